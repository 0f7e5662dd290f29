//! A letter to someone who has read the paper and never seen this code:
//! `cargo run --release -p charflow --example two_clouds`.
//!
//! The map `T(x) = x + tanh(3 x)`, coordinate by coordinate, is the gradient of a convex function, so by Brenier's
//! theorem it is optimal for the quadratic cost between any `mu` and `T#mu`. It parts a round cloud into four. We
//! hide it, learn it from two independent sets of samples, and look how close we come.
#![allow(clippy::print_stdout)] // An example is there to print.

use charflow::cost::Quadratic;
use charflow::evaluate::{Truth, evaluate};
use charflow::map::{BackwardMap, ForwardMap};
use charflow::solver::{Config, NcfSolver, Silent};
use charflow::{Problem, Samples};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// The hidden map, on points `[n, 2]`.
fn truth(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x + (3.0 * x).tanh()).collect()
}

fn main() -> charflow::Result<()> {
    // Points of a standard normal in the plane, row-major `[n, 2]`.
    let rng = ChaCha8Rng::seed_from_u64(1);
    let mut numbers = rng.sample_iter(StandardNormal);
    let mut normal = |n: usize| numbers.by_ref().take(2 * n).collect::<Vec<f64>>();

    // Two clouds make a problem [1]. The target's points are images of other points than the source's.
    let source = Samples::from_f64(&normal(4000), 2)?.named("a round cloud");
    let target = Samples::from_f64(&truth(&normal(4000)), 2)?.named("the same, parted");
    let problem = Problem::new(source, target, Box::new(Quadratic))?;

    // A problem and settings make a solution: one potential, hence both maps [7, 8].
    let mut config = Config::preset("auto", 4000, 4000, 2)?;
    config.steps = 2000;
    let solution = NcfSolver::new(config).solve(problem, &mut Silent)?;
    let map = &solution.map;

    // There, half way [6], and back again.
    let x = [0.5, -0.1];
    let y = map.forward(&x)?;
    println!("T{x:?} = {y:.3?}, exactly {:.3?}", truth(&x));
    println!("half way: {:.3?}", map.forward_at(&x, 0.5)?);
    println!("and back: {:.3?}\n", map.backward(&y)?);

    // How good is it, on points never seen? L2-UVP is the squared error in percent of the target's variance.
    let (x, y) = (normal(3000), truth(&normal(3000)));
    let images = Truth::Images {
        forward: Some(truth(&x)),
        backward: None,
    };
    let (x, y) = (Samples::from_f64(&x, 2)?, Samples::from_f64(&y, 2)?);
    print!("{}", evaluate(map, &x, &y, Some(&images), 0)?);
    Ok(())
}

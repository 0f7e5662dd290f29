//! A cost of one's own, for someone who has read the paper: `cargo run --release -p charflow --example own_cost`.
//!
//! Going up is four times as dear as going down: `l(v) = sum_i a(v_i) v_i^2 / 2`, with `a = 4` for a rise and 1 for all else. Its slope `q_i = a(v_i) v_i` is
//! continuous and has the sign of `v_i`, so `H(q) = sum_i q_i^2 / (2 a(q_i))` and `V(q)_i = q_i / a(q_i)`. And `l(v)` is not `l(-v)`: the way back is a problem of its own.
#![allow(clippy::print_stdout)] // An example is there to print.

use charflow::cost::Cost;
use charflow::map::ForwardMap;
use charflow::solver::{Config, NcfSolver, Silent};
use charflow::{Problem, Samples};

#[derive(Debug, Clone, Copy)]
struct Uphill;

/// The weight of coordinate `i`; the second one is the height.
fn a(i: usize, v: f64) -> f64 {
    if i == 1 && v > 0.0 { 4.0 } else { 1.0 }
}

#[rustfmt::skip] // One line a formula.
impl Cost for Uphill {
    fn name(&self) -> String { "uphill".into() }
    fn l(&self, v: &[f64]) -> f64 { (0..2).map(|i| a(i, v[i]) * v[i] * v[i] / 2.0).sum() }
    fn hamiltonian(&self, q: &[f64]) -> f64 { (0..2).map(|i| q[i] * q[i] / (2.0 * a(i, q[i]))).sum() }
    fn velocity(&self, q: &[f64], v: &mut [f64]) { for i in 0..2 { v[i] = q[i] / a(i, q[i]); } }
    fn hessian_vec(&self, q: &[f64], w: &[f64], out: &mut [f64]) { for i in 0..2 { out[i] = w[i] / a(i, q[i]); } }
    fn rescaled(&self, _scale: f64) -> Box<dyn Cost> { Box::new(*self) } // l(s v) = s^2 l(v)
    fn cost_factor(&self, scale: f64) -> f64 { scale * scale }
}

/// Two small heaps of 500 points, around (0, `left`) and (1.4, `right`), one after the other: `[1000, 2]`.
fn heaps(left: f64, right: f64, turn: f64) -> Vec<f64> {
    let point = |k: usize| {
        let (r, angle) = (
            0.15 * (k as f64 % 500.0 / 500.0).sqrt(),
            2.4 * k as f64 + turn,
        );
        let (x, y) = if k < 500 { (0.0, left) } else { (1.4, right) };
        [x + r * angle.cos(), y + r * angle.sin()]
    };
    (0..1000).flat_map(point).collect()
}

#[rustfmt::skip]
fn main() -> charflow::Result<()> {
    // On the way up one heap can climb 2 while the other rests, or both climb 1 and change sides: in the mean 1 against 1.5 under the quadratic cost, 4 against 3 here.
    let (low, high) = (heaps(0.0, 1.0, 0.0), heaps(2.0, 1.0, 1.0));
    for (way, from, to) in [("up:  ", &low, &high), ("down:", &high, &low)] {
        let problem = Problem::new(Samples::from_f64(from, 2)?, Samples::from_f64(to, 2)?, Box::new(Uphill))?;
        let mut config = Config::preset("auto", 1000, 1000, 2)?;
        config.set("network.hidden", "[32, 32]")?;
        config.steps = 1000;
        let map = NcfSolver::new(config).solve(problem, &mut Silent)?.map;
        let moves: Vec<f64> = map.forward(from)?.iter().zip(from).map(|(t, x)| t - x).collect();
        let mean = |f: &dyn Fn(&[f64]) -> f64, v: &[f64]| v.chunks(2).map(f).sum::<f64>() / (v.len() / 2) as f64;
        let [left, right] = [&moves[..1000], &moves[1000..]].map(|v| [mean(&|v| v[0], v), mean(&|v| v[1], v)]);
        println!("{way} the left heap moves by {left:+.2?}, the right one by {right:+.2?}; mean cost {:.2}", mean(&|v| Uphill.l(v), &moves));
    }
    Ok(())
}

//! A lower bound of the excess: what pairing the points otherwise would have saved.
//!
//! ```text
//! e_n = (1/n) sum_i l(T(x_i) - x_i) - min_sigma (1/n) sum_i l(T(x_sigma(i)) - x_i) >= 0,          E[ e_n ] <= E_mu[ l(T(x) - x) ] - W(mu, T#mu)
//! ```
//!
//! *Proof.* The first mean has the expectation `E_mu[l(T(x) - x)]`. The second is `W(mu_n, T#mu_n)`, and `W` is jointly convex (a mixture of couplings is a coupling of the mixtures), so by Jensen's
//! inequality its expectation is at least `W(E mu_n, E T#mu_n) = W(mu, T#mu)`. Subtract.
//!
//! Five disjoint groups of points give five independent `e_n`, each of expectation at most the excess: their mean minus 2.13 of its standard errors (Student, four degrees of freedom) is a 95 % lower confidence
//! bound. With weights there is none. In many dimensions a point has no other near it and nothing can be saved; then there is no bound above zero, which says nothing.

use super::potential::SourcePotential;
use crate::exact::assignment;
use crate::statistics::cloud::{Cloud, rows_of, some_rows};
use crate::statistics::finite;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Groups, and points in each at most: an assignment takes the cube of their number.
const GROUPS: usize = 5;
const GROUP: usize = 300;
/// Points in each at least.
const LEAST: usize = 20;
/// Student's 95 % quantile at four degrees of freedom.
const STUDENT: f64 = 2.131_847;

/// The bound, in the user's units, from points and images `[n, d]` in solver units, with the weights of `cloud`; `None` where it is not positive.
pub(crate) fn excess_lower(
    potential: &SourcePotential,
    points: &[f64],
    images: &[f64],
    cloud: &Cloud,
    seed: u64,
) -> Option<f64> {
    let d = potential.dim();
    // Points drawn by weight are drawn again and again: the groups would not be independent.
    if cloud.weights.is_some() {
        return None;
    }
    let n = cloud.len(d);
    let size = (n / GROUPS).min(GROUP);
    if size < LEAST {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(25);
    let mut rows = some_rows(cloud, GROUPS * size, d, &mut rng);
    rows.shuffle(&mut rng);
    let saved: Vec<f64> = rows
        .par_chunks_exact(size)
        .map(|rows| {
            let (x, t) = (rows_of(points, rows, d), rows_of(images, rows, d));
            let mut v = vec![0.0; d];
            let costs: Vec<f64> = x
                .chunks_exact(d)
                .flat_map(|x| {
                    t.chunks_exact(d)
                        .map(|t| potential.inner_cost(x, t, &mut v))
                        .collect::<Vec<_>>()
                })
                .collect();
            // What a cost forbids is infinite: such pairs have no assignment here.
            if costs.iter().any(|c| !c.is_finite()) {
                return f64::NAN;
            }
            let Ok(best) = assignment(&costs, size) else {
                return f64::NAN;
            };
            let sum: f64 = best
                .iter()
                .enumerate()
                .map(|(i, j)| costs[i * size + i] - costs[i * size + j])
                .sum();
            sum / size as f64
        })
        .collect();
    let mean = saved.iter().sum::<f64>() / GROUPS as f64;
    let square = saved.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (GROUPS - 1) as f64;
    let bound = mean - STUDENT * (square / GROUPS as f64).sqrt();
    // Rounding of the costs is no saving.
    let rounding = 1e-9 * saved.iter().fold(0.0f64, |m, s| m.max(s.abs())).max(1e-3);
    finite(potential.factor() * bound).filter(|_| bound > rounding)
}

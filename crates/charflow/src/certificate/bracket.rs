//! Two bounds of the optimal cost between two samples.
//!
//! ```text
//! lower = mean_j min_i [ g(x_i) + l(y_j - x_i) ] - mean_i g(x_i)       <=  W(mu_k, nu_k)  <=  upper = mean_i l(y_match(i) - x_i)
//! ```
//!
//! for the empirical measures `mu_k, nu_k` of `k` points each. `lower` is the dual value of a pair that is feasible on the points themselves, `upper` the cost of a
//! coupling: the exact assignment of `T(x_i)` to `y_j`. (A coupling that a cost with a limit forbids has no cost, and `upper` is left out.) Both hold whatever the potential and the map are. For large `k` the bracket closes around `W(mu, nu)` from
//! above, and slowly in high dimension: the cost between two samples is larger than between their laws.

use super::transform::Source;
use crate::error::Result;
use crate::exact::assignment;
use crate::statistics::cloud::{Cloud, rows_of, some_rows};
use crate::statistics::finite;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

/// Points of each side: an assignment of more takes longer than all the rest.
pub(crate) const POINTS: usize = 1500;

/// Bounds of the optimal cost between the empirical measures of equally many points of either side. User's units.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bracket {
    /// Points of each side.
    pub points: usize,
    /// Whether these are all the points, with equal weights: else they are a random part of them, drawn by weight.
    pub all: bool,
    /// The dual value on the points.
    pub lower: Option<f64>,
    /// The cost of the map's coupling.
    pub upper: Option<f64>,
}

/// From the source, its images `[n, d]` and the target `[m, d]`, in solver units.
pub(crate) fn between(
    source: &Source<'_>,
    images: &[f64],
    target: &[f64],
    clouds: [&Cloud; 2],
    seed: u64,
) -> Result<Option<Bracket>> {
    let d = source.potential.dim();
    let (n, m) = (source.g.len(), target.len() / d);
    let k = n.min(m).min(POINTS);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(24);
    let rows = clouds.map(|c| some_rows(c, k, d, &mut rng));
    let take = |from: &[f64], rows: &[usize]| rows_of(from, rows, d);
    let (x, t, y) = (
        take(source.points, &rows[0]),
        take(images, &rows[0]),
        take(target, &rows[1]),
    );
    let g: Vec<f64> = rows[0].iter().map(|&i| source.g[i]).collect();
    let part = Source {
        potential: source.potential,
        points: &x,
        g: &g,
        images: &[],
        ball: source.ball,
    };
    // Around the mean of g, so that a constant in it costs no digits.
    let middle = g.iter().sum::<f64>() / k as f64;
    let lower = part.discrete(&y).iter().map(|v| v - middle).sum::<f64>() / k as f64;
    let mut costs = vec![0.0; k * k];
    costs.par_chunks_mut(k).zip(t.par_chunks(d)).for_each_init(
        || vec![0.0; d],
        |v, (row, t)| {
            for (c, y) in row.iter_mut().zip(y.chunks_exact(d)) {
                *c = source.potential.inner_cost(t, y, v);
            }
        },
    );
    // What the cost forbids is matched only where nothing else is left; the coupling is judged by its own cost below, whatever matched it.
    let largest = costs.iter().copied().filter(|c| c.is_finite());
    let forbidden = k as f64 * (1.0 + largest.fold(0.0, f64::max));
    for c in &mut costs {
        if !c.is_finite() {
            *c = forbidden;
        }
    }
    let columns = assignment(&costs, k)?;
    let mut v = vec![0.0; d];
    let upper = columns
        .iter()
        .zip(x.chunks_exact(d))
        .map(|(&j, x)| {
            source
                .potential
                .inner_cost(x, &y[j * d..(j + 1) * d], &mut v)
        })
        .sum::<f64>()
        / k as f64;
    let factor = source.potential.factor();
    Ok(Some(Bracket {
        points: k,
        all: k == n && k == m && clouds.iter().all(|c| c.weights.is_none()),
        lower: finite(factor * lower),
        upper: finite(factor * upper),
    }))
}

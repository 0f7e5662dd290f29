//! The optimality gap: how far above the cheapest cost a map is, from the slack at every point.
//!
//! Forward, with `g^c` over a ball that holds the source (module `transform`),
//!
//! ```text
//! s(x) = l(T(x) - x) + g(x) - g^c(T(x)) >= 0,          E_mu[ l(T(x) - x) ] - W(mu, T#mu) <= E_mu[ s ]
//! ```
//!
//! *Proof.* `g^c(y) - g(x) <= l(y - x)` for all `x` in the ball and all `y`, so integrating over any coupling of `mu` and `T#mu` gives `W(mu, T#mu) >= E_mu[g^c(T(x))] - E_mu[g]` (weak duality;
//! Villani 2003, Theorem 1.3). Backward the same inequality between `S#nu` and `nu`:
//!
//! ```text
//! s(y) = l(y - S(y)) + g(S(y)) - g^c(y) >= 0,          E_nu[ l(y - S(y)) ] - W(S#nu, nu) <= E_nu[ s ]
//! ```
//!
//! so one transform at the target's points serves the backward gap and the dual value `D = E_nu[g^c] - E_mu[g]`.
//!
//! **Confidence.** The mean slack is a mean over independent points: its bound is that of module `interval`. Some three over `n` of all points may be placed in any way and not be in the sample; for these the bound allows the mean
//! slack of a point that is sent where another one belongs. A search that misses the least minimum makes the slack too small. Some points, drawn by weight,
//! are searched again from forty-five other starts; what that adds to their slack has the same kind of bound, which is added. If `k` of them were missed, the share that is missed is at most the
//! Clopper-Pearson bound of `k` (three over their number if `k = 0`), which is reported: by how much the slack is too small there, nobody can say.

use super::transform::{Guesses, Source, Transform, more_starts};
use crate::statistics::cloud::{Cloud, some_rows};
use crate::statistics::finite;
use crate::statistics::interval::{Miss, share_upper, upper};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Points searched again: a twentieth, and at least so many if there are.
const AGAIN: usize = 300;

/// How near a map is to the cheapest way to the points it reaches. User's units; a number that does not exist is `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Optimality {
    /// `E l(T(x) - x)`; backward `E l(y - S(y))`.
    pub cost: Option<f64>,
    /// Standard error of that.
    pub cost_standard_error: Option<f64>,
    /// Mean slack: at least what the map costs above the cheapest way.
    pub slack: Option<f64>,
    /// Standard error of the mean slack.
    pub standard_error: Option<f64>,
    /// One-sided 95 % upper confidence bound of the mean slack, what the further search found included.
    pub slack_upper: Option<f64>,
    /// The same at 97.5 %, for bounds that have another half.
    #[serde(skip)]
    pub(super) slack_upper_strict: Option<f64>,
    /// 95 % quantile of the slack.
    pub slack_quantile_95: Option<f64>,
    /// Mean slack of a point that is sent where another one belongs: what is allowed for the points, about three over their number, that no sample has.
    pub slack_misplaced: Option<f64>,
    /// Mean slack over mean cost: the share of the cost that is avoidable, at most.
    pub share: Option<f64>,
    /// One-sided 95 % upper confidence bound of that.
    pub share_upper: Option<f64>,
    /// The same bound, but for the allowance for points that no sample has, over what the map costs beyond moving the whole cloud by its mean displacement, `E l(T(x) - x) - l(E[T(x) - x])` (not negative, by Jensen).
    pub share_beyond_shift: Option<f64>,
    /// `slack_upper` over `E l(T(x) - E T)`: the same in units of the spread of the points reached.
    pub share_of_spread: Option<f64>,
    /// The same without the allowance.
    #[serde(skip)]
    pub(super) seen_of_spread: Option<f64>,
    /// 95 % lower confidence bound of what the map costs above the cheapest way, from matching points otherwise (module `matching`); `None` if none above zero was found.
    pub excess_lower: Option<f64>,
    /// Share of the points whose `g^c` is attained on the surface of the ball: there the potential falls off outside of the points.
    pub on_surface: f64,
    /// Share of the searches that did not meet their tolerance.
    pub not_converged: f64,
    /// Points searched again from other starts.
    pub searched_again: usize,
    /// Share of those for which that found a lower value: the slack reported is too small there.
    pub search_missed: f64,
    /// 95 % upper confidence bound of the share of all points for which it would.
    pub search_missed_upper: f64,
    /// Mean slack that the further search added on those points.
    pub slack_missed: Option<f64>,
}

impl Optimality {
    /// What cannot be said.
    pub(super) fn nothing() -> Self {
        Optimality {
            cost: None,
            cost_standard_error: None,
            slack: None,
            standard_error: None,
            slack_upper: None,
            slack_upper_strict: None,
            slack_quantile_95: None,
            slack_misplaced: None,
            share: None,
            share_upper: None,
            share_beyond_shift: None,
            share_of_spread: None,
            seen_of_spread: None,
            excess_lower: None,
            on_surface: 0.0,
            not_converged: 0.0,
            searched_again: 0,
            search_missed: 0.0,
            search_missed_upper: 1.0,
            slack_missed: None,
        }
    }
}

/// Pairs `(x_i, y_i)` of a map in one direction, in solver units, and the transform at their `y_i`.
pub(super) struct Pairs<'a> {
    pub source: &'a Source<'a>,
    /// `[n, d]` each.
    pub x: &'a [f64],
    pub y: &'a [f64],
    /// `g(x_i)`.
    pub g: &'a [f64],
    /// The points that are reached: the `y` forward, the `x` backward.
    pub reached: &'a [f64],
    /// Whose weights these are.
    pub cloud: &'a Cloud,
    pub seed: u64,
}

/// What a repeated search of some points says of the first one.
pub(super) struct Missed {
    count: usize,
    found: usize,
    gains: Vec<f64>,
}

impl Missed {
    /// Searches again for some rows of `y`, drawn by weight; gains in the user's units.
    pub(super) fn of(
        source: &Source<'_>,
        y: &[f64],
        transform: &Transform,
        cloud: &Cloud,
        seed: u64,
    ) -> Self {
        let d = source.potential.dim();
        let n = transform.value.len();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(23);
        let again = some_rows(cloud, n.min((n / 20).max(AGAIN)), d, &mut rng);
        let further = more_starts(source, y, &again, seed);
        let mut v = vec![0.0; d];
        let gains: Vec<f64> = again
            .iter()
            .zip(&further.value)
            .map(|(&j, &value)| {
                let first = transform.value[j];
                let gain = first - value;
                // h is a difference of large numbers where the points are far apart.
                let far = source.potential.inner_cost(
                    &source.ball.centre,
                    &y[j * d..(j + 1) * d],
                    &mut v,
                );
                let rounding = 1e-9 * d as f64 + 1e-12 * (first.abs() + value.abs() + far.abs());
                if gain > rounding {
                    source.potential.factor() * gain
                } else {
                    0.0
                }
            })
            .collect();
        Missed {
            count: again.len(),
            found: gains.iter().filter(|g| **g > 0.0).count(),
            gains,
        }
    }

    /// Upper confidence bound of the mean gain: zero if nothing was gained, whatever the level.
    ///
    pub(super) fn upper(&self, miss: Miss, seed: u64) -> Option<f64> {
        upper(&self.gains, None, None, 0.0, miss, seed).upper
    }
}

pub(super) fn mean(values: &[f64], weights: Option<&[f64]>) -> f64 {
    match weights {
        None => values.iter().sum::<f64>() / values.len() as f64,
        Some(w) => values.iter().zip(w).map(|(v, w)| v * w).sum(),
    }
}

/// Of the mean: `n / (n - 1) sum_i w_i^2 (v_i - m)^2`, its root.
fn standard_error(values: &[f64], weights: Option<&[f64]>) -> f64 {
    let m = mean(values, weights);
    let n = values.len() as f64;
    let square: f64 = values
        .iter()
        .enumerate()
        .map(|(i, v)| (weights.map_or(1.0 / n, |w| w[i]) * (v - m)).powi(2))
        .sum();
    (n / (n - 1.0) * square).sqrt()
}

/// The least value that at least the share `at` of the weight does not exceed.
fn quantile(values: &[f64], weights: Option<&[f64]>, at: f64) -> f64 {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut sum = 0.0;
    for &i in &order {
        sum += weights.map_or(1.0 / values.len() as f64, |w| w[i]);
        if sum >= at - 1e-12 {
            return values[i];
        }
    }
    order.last().map_or(f64::NAN, |&i| values[i])
}

/// Share of the points, by weight.
fn share(of: &[bool], weights: Option<&[f64]>) -> f64 {
    let values: Vec<f64> = of.iter().map(|b| f64::from(u8::from(*b))).collect();
    if values.is_empty() {
        0.0
    } else {
        mean(&values, weights).clamp(0.0, 1.0)
    }
}

impl Pairs<'_> {
    fn dim(&self) -> usize {
        self.source.potential.dim()
    }

    fn weights(&self) -> Option<&[f64]> {
        self.cloud.weights.as_deref()
    }

    /// The gap, from the transform at the `y_i` and a repeated search of some.
    pub(super) fn optimality(&self, transform: &Transform, missed: &Missed) -> Optimality {
        let d = self.dim();
        let potential = self.source.potential;
        let factor = potential.factor();
        let weights = self.weights();
        let mut v = vec![0.0; d];
        let costs: Vec<f64> = self
            .x
            .chunks_exact(d)
            .zip(self.y.chunks_exact(d))
            .map(|(x, y)| potential.inner_cost(x, y, &mut v))
            .collect();
        // Not negative but for rounding: the search from x itself begins at g(x) + l(y - x).
        let slack: Vec<f64> = costs
            .iter()
            .zip(self.g)
            .zip(&transform.value)
            .map(|((cost, g), value)| {
                // Further than the cost allows: what that is above the best is not a difference of two infinities.
                if cost.is_infinite() {
                    return f64::INFINITY;
                }
                let s = factor * (cost + g - value);
                if s.is_nan() {
                    f64::INFINITY
                } else {
                    s.max(0.0)
                }
            })
            .collect();
        // Two bounds share the 5 %, unless one of them is nothing.
        let [miss, strict] = if missed.found > 0 {
            [Miss::Half, Miss::Quarter]
        } else {
            [Miss::Whole, Miss::Half]
        };
        let gains = upper(&missed.gains, None, None, 0.0, miss, self.seed);
        let limit = self.misplaced(&transform.value);
        let found = upper(&slack, None, weights, limit, miss, self.seed);
        // What the points themselves show, with no allowance for others.
        let seen = upper(&slack, None, weights, 0.0, miss, self.seed)
            .upper
            .zip(gains.upper)
            .and_then(|(a, b)| finite(a + b));
        let stricter = upper(&slack, None, weights, limit, strict, self.seed);
        let strict_gains = missed.upper(strict, self.seed);
        let costs: Vec<f64> = costs.iter().map(|c| factor * c).collect();
        let cost = mean(&costs, weights);
        let ratio = upper(&slack, Some(&costs), weights, limit, miss, self.seed);
        let slack_upper = found
            .upper
            .zip(gains.upper)
            .and_then(|(a, b)| finite(a + b));
        let share_upper_ = ratio
            .upper
            .zip(gains.upper)
            .and_then(|(a, b)| finite(if b > 0.0 { a + b / cost } else { a }));
        let (shift, spread) = self.shift_and_spread();
        // A cost with a limit makes a spread beyond it infinite, which is no measure of anything.
        let over = |s: Option<f64>, by: f64| {
            let s = s.filter(|_| by.is_finite());
            s.and_then(|s| finite(s / by))
        };
        Optimality {
            cost: finite(cost),
            cost_standard_error: finite(standard_error(&costs, weights)),
            slack: found.estimate,
            standard_error: found.standard_error,
            slack_upper,
            slack_upper_strict: stricter
                .upper
                .zip(strict_gains)
                .and_then(|(a, b)| finite(a + b)),
            slack_quantile_95: finite(quantile(&slack, weights, 0.95)),
            slack_misplaced: finite(limit),
            share: ratio.estimate,
            share_upper: share_upper_,
            share_beyond_shift: over(seen, (cost - factor * shift).max(0.0)),
            share_of_spread: over(slack_upper, factor * spread),
            seen_of_spread: over(seen, factor * spread),
            excess_lower: None,
            on_surface: share(&transform.on_surface, weights),
            not_converged: 1.0 - share(&transform.converged, weights),
            searched_again: missed.count,
            search_missed: missed.found as f64 / missed.count.max(1) as f64,
            search_missed_upper: if missed.count == transform.value.len() && weights.is_none() {
                // All of them were: nothing is left to chance.
                missed.found as f64 / missed.count.max(1) as f64
            } else {
                share_upper(missed.found, missed.count)
            },
            slack_missed: gains.estimate,
        }
    }

    /// Mean of `l(y_j - x_i) + g(x_i) - g^c(y_j)` over a random pairing: the slack of a point sent where another one belongs, in the user's units; zero where it is not finite.
    fn misplaced(&self, transforms: &[f64]) -> f64 {
        let d = self.dim();
        let n = self.g.len();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(26);
        // Pairs of points that weigh something; of those that the cost allows.
        let mut order: Vec<usize> = (0..n)
            .filter(|&i| self.weights().is_none_or(|w| w[i] > 0.0))
            .collect();
        let from = order.clone();
        order.shuffle(&mut rng);
        let mut v = vec![0.0; d];
        let slack: Vec<f64> = from
            .iter()
            .zip(&order)
            .map(|(&i, &j)| {
                let (x, y) = (&self.x[i * d..(i + 1) * d], &self.y[j * d..(j + 1) * d]);
                self.source.potential.inner_cost(x, y, &mut v) + self.g[i] - transforms[j]
            })
            .filter(|s: &f64| s.is_finite())
            .collect();
        if slack.is_empty() {
            return 0.0;
        }
        let mean = self.source.potential.factor() * mean(&slack, None);
        if mean.is_finite() { mean.max(0.0) } else { 0.0 }
    }

    /// `l(E[y - x])` and `E l(r - E r)` of the points `r` that are reached, solver units.
    fn shift_and_spread(&self) -> (f64, f64) {
        let d = self.dim();
        let n = self.g.len();
        let weight = |i: usize| self.weights().map_or(1.0 / n as f64, |w| w[i]);
        let middle = |points: &[f64]| {
            let mut m = vec![0.0; d];
            for (i, p) in points.chunks_exact(d).enumerate() {
                for (m, p) in m.iter_mut().zip(p) {
                    *m += weight(i) * p;
                }
            }
            m
        };
        let mut v = vec![0.0; d];
        let shift = self
            .source
            .potential
            .inner_cost(&middle(self.x), &middle(self.y), &mut v);
        let to = middle(self.reached);
        let spread = self
            .reached
            .chunks_exact(d)
            .enumerate()
            .map(|(i, t)| weight(i) * self.source.potential.inner_cost(&to, t, &mut v))
            .sum();
        (shift, spread)
    }
}

/// The dual value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Value {
    /// `D = E_nu[g^c(y)] - E_mu[g(x)]`.
    pub dual: Option<f64>,
    /// Its standard error, from the sample variances of the two means.
    pub standard_error: Option<f64>,
    /// 98.75 % upper confidence bound of what the further search takes off the mean of `g^c`.
    pub missed: Option<f64>,
    /// 95 % lower confidence bound of `D`, what the further search found taken off: a lower bound of the cheapest cost from the source to the target.
    pub lower: Option<f64>,
}

impl Value {
    /// From `g` on the source, the transform on the target, and what a repeated search of the latter found.
    pub(super) fn of(
        source: &Source<'_>,
        transform: &Transform,
        missed: &Missed,
        weights: [Option<&[f64]>; 2],
        seed: u64,
    ) -> Self {
        let factor = source.potential.factor();
        // Around a common middle, so that a constant in g costs no digits.
        let middle = mean(source.g, weights[0]);
        let moments = |values: &[f64], weights: Option<&[f64]>| {
            let values: Vec<f64> = values.iter().map(|v| factor * (v - middle)).collect();
            (mean(&values, weights), standard_error(&values, weights))
        };
        let g = moments(source.g, weights[0]);
        let gc = moments(&transform.value, weights[1]);
        let dual = finite(gc.0 - g.0);
        let standard_error = finite(g.1.hypot(gc.1));
        let miss = if missed.found > 0 {
            Miss::Half
        } else {
            Miss::Whole
        };
        let mut value = Value {
            dual,
            standard_error,
            missed: missed.upper(Miss::Quarter, seed),
            lower: None,
        };
        value.lower = dual
            .zip(standard_error)
            .zip(missed.upper(miss, seed))
            .and_then(|((d, se), missed)| finite(d - miss.normal() * se - missed));
        value
    }

    /// What cannot be said.
    pub(super) fn nothing() -> Self {
        Value {
            dual: None,
            standard_error: None,
            missed: None,
            lower: None,
        }
    }

    fn at(&self, errors: f64) -> Option<f64> {
        finite(self.dual? + errors * self.standard_error? - self.missed?)
    }

    /// `(2 D)^(1/2)` at so many standard errors from `D`, if that is positive.
    pub(super) fn root(&self, errors: f64) -> Option<f64> {
        self.at(errors)
            .filter(|v| *v > 0.0)
            .map(|v| (2.0 * v).sqrt())
    }
}

/// What is known of the minimisers at the target's points.
pub(super) fn transforms<'a>(
    source: &Source<'_>,
    images: &[f64],
    back: Option<&'a [f64]>,
    target: &[f64],
    pulled: Option<&'a [f64]>,
    seed: u64,
) -> [Transform; 2] {
    let at_images = Guesses {
        preimages: true,
        guess: back,
    };
    let at_target = Guesses {
        preimages: false,
        guess: pulled,
    };
    [
        Transform::of(source, images, at_images, seed),
        Transform::of(source, target, at_target, seed),
    ]
}

//! The certificate of a map: within what share of the cheapest cost it moves the source, at what mismatch, at what confidence, on how many points.
//!
//! Any forward map `T` that comes with any source potential `g`, for any cost `l`. With `g^c(y) = min_x g(x) + l(y - x)` the *slack*
//!
//! ```text
//! s(x) = l(T(x) - x) + g(x) - g^c(T(x)) >= 0,          E_mu[ l(T(x) - x) ] - W(mu, T#mu) <= E_mu[ s ]
//! ```
//!
//! where `W` is the least cost of any way from one measure to the other: `(-g, g^c)` is feasible for Kantorovich's dual problem, so
//! `W(mu, T#mu) >= E_mu[ g^c(T(x)) ] - E_mu[ g ]` (weak duality; Villani, "Topics in Optimal Transportation", 2003, Theorem 1.3). The mean slack is a mean over points
//! of `mu`: no bias of small samples, in any dimension. It asks nothing of `g`; a wrong potential makes the bound wide, never wrong.
//!
//! | part | what it says | |
//! |---|---|---|
//! | [`Optimality`] | `E s` with its 95 % upper confidence bound, and as a share of the cost | `interval` |
//! | [`Convexity`] | for the quadratic cost, where `g + |x|^2 / 2` is not convex | `curvature` |
//! | [`Mismatch`] | `ED(T#mu, nu)` and `ED(S#nu, mu)`, noise floor, p-value | `mismatch` |
//! | [`Value`] | `D = E_nu[ g^c ] - E_mu[ g ]`, a lower bound on the cost up to sampling and to what the search for `g^c` missed, beside `E l(T(x) - x)` | |
//! | [`Bracket`] | two bounds of the optimal cost between the two samples themselves | `bracket` |
//!
//! **The search.** `g^c` is an infimum over all of `R^d`. A search that misses the least minimum overstates `g^c` and understates the slack, so each point is searched
//! from several starts (module `transform`), and for a random twentieth of the points again from thirty more. By how much those improved is added to the upper bound, and
//! the share that did is reported.
//!
//! **What it does not prove.** A small slack bounds the cost; it bounds the map's error only through the smoothness of the potential: for the quadratic cost
//! `E s >= E |T - T*|^2 / (2 beta)` if the convex potential is `beta`-smooth, `T*` being optimal from `mu` to `T#mu`. That `T#mu` is `nu` is a matter of the mismatch,
//! whose test sees only what so many points can show. In high dimension the sample bracket is wide by nature (the cost between two samples is
//! larger than between their laws). A tail that no sample point met is in none of the figures. And points by which a fit was stopped or chosen were not quite unseen.

mod bracket;
mod curvature;
mod interval;
pub(crate) mod mismatch;
mod potential;
mod sentence;
mod transform;

pub use bracket::Bracket;
pub use curvature::Convexity;
pub use mismatch::{mismatch_between, noise_in};
pub use potential::SourcePotential;

use crate::error::{Error, Result};
use crate::map::{BackwardMap, ForwardMap};
use crate::model::CharacteristicMap;
use crate::samples::Samples;
use interval::{NORMAL, upper};
use mismatch::{Cloud, finite, noise_floor, p_value};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use transform::{Guesses, Source, Transform, more_starts};

/// Points of each side that take part at most.
pub const MOST_POINTS: usize = 10_000;

/// Points of each side whose mismatch is computed: it has two digits, more points would change the third.
const MISMATCH_POINTS: usize = 5000;

/// Below so many points a side every bound is too wide to mean anything.
pub const FEW: usize = 50;

/// Where the points come from, as far as the caller knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The fit did not see them.
    HeldOut,
    /// The map was fitted to them.
    Fitted,
    /// Not known.
    #[default]
    Given,
}

/// How [`certify`] goes about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Seed of all draws.
    pub seed: u64,
    /// Where the points come from.
    pub origin: Origin,
    /// Whether the fit was asked to send classes to classes \[17\]: then the best map need not be optimal between the whole clouds.
    pub by_class: bool,
}

/// The certificate in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Near the cheapest cost, and no mismatch to be seen with points enough to see one, on points the map was not fitted to.
    Good,
    /// Neither good nor bad; the sentence says where it falls short.
    Limited,
    /// Not shown to be near the cheapest cost, or away from the target.
    Bad,
    /// The points, or the problem, allow no statement.
    CannotSay,
}

/// How near a map is to the cheapest way to the points it reaches. User's units; a number that does not exist is `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Optimality {
    /// `E l(T(x) - x)`.
    pub cost: Option<f64>,
    /// Mean slack: at least what the map costs above the cheapest way.
    pub slack: Option<f64>,
    /// Standard error of the mean slack.
    pub standard_error: Option<f64>,
    /// One-sided 95 % upper confidence bound of the mean slack, what the further search found included.
    pub slack_upper: Option<f64>,
    /// 95 % quantile of the slack.
    pub slack_quantile_95: Option<f64>,
    /// Mean slack over mean cost: the share of the cost that is avoidable, at most.
    pub share: Option<f64>,
    /// One-sided 95 % upper confidence bound of that.
    pub share_upper: Option<f64>,
    /// `slack_upper` over what the map costs beyond moving the whole cloud by its mean displacement, `E l(T(x) - x) - l(E[T(x) - x])` (not negative, by Jensen).
    pub share_beyond_shift: Option<f64>,
    /// `slack_upper` over `E l(T(x) - E T)`: the same in units of the spread of the points reached.
    pub share_of_spread: Option<f64>,
    /// Share of the points at which the search ran away: there `g(x) + l(y - x)` has no least value, and what is reported is too small.
    pub unbounded: f64,
    /// Share of the searches that did not meet their tolerance.
    pub not_converged: f64,
    /// Points searched again from thirty more starts.
    pub searched_again: usize,
    /// Share of those for which that found a lower value: the slack reported is too small there.
    pub search_missed: f64,
    /// Mean slack that the further search added on those points.
    pub slack_missed: Option<f64>,
}

/// How far the points reached are from those to be reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mismatch {
    /// Points moved, points to be reached.
    pub points: [usize; 2],
    /// The energy distance of the two.
    pub energy_distance: Option<f64>,
    /// What chance alone shows (95 %).
    pub noise_floor: Option<f64>,
    /// p-value of the relabelling test.
    pub p_value: Option<f64>,
    /// Root mean square distance of two of the points to be reached: the scale of an energy distance.
    pub spread: Option<f64>,
}

/// The dual value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Value {
    /// `D = E_nu[g^c(y)] - E_mu[g(x)]`.
    pub dual: Option<f64>,
    /// Its standard error, from the sample variances of the two means.
    pub standard_error: Option<f64>,
}

/// What can be said of a map, and what cannot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Certificate {
    /// In one word.
    pub verdict: Verdict,
    /// In one sentence.
    pub sentence: String,
    /// Where the points come from.
    pub origin: Origin,
    /// Source and target points that took part.
    pub points: [usize; 2],
    /// The cost's name.
    pub cost: String,
    /// Nearness to the cheapest cost.
    pub optimality: Optimality,
    /// Where the potential is not convex; for the quadratic cost.
    pub convexity: Option<Convexity>,
    /// `ED(T#mu, nu)`.
    pub forward: Mismatch,
    /// `ED(S#nu, mu)`, if there is a backward map.
    pub backward: Option<Mismatch>,
    /// The dual value.
    pub value: Value,
    /// Bounds of the optimal cost between the samples.
    pub bracket: Option<Bracket>,
    /// What cannot be said, and why.
    pub notes: Vec<String>,
}

/// The certificate of a fitted map. See [`certify`].
///
/// # Errors
/// As for [`certify`].
pub fn certify_map(
    map: &CharacteristicMap,
    source: &Samples,
    target: &Samples,
    options: &Options,
) -> Result<Certificate> {
    let options = Options {
        by_class: options.by_class || !map.about().classes.is_empty(),
        ..*options
    };
    certify(
        map,
        Some(map),
        &SourcePotential::of_map(map),
        source,
        target,
        &options,
    )
}

/// Judges the map `forward` by the source potential `potential`, on points of the source and the target. Of larger sets 10,000 points take part, drawn by the seed.
///
/// Without points that the fit did not see, and without at least 50 a side, little can be said; the certificate then says so.
///
/// # Errors
/// [`Error::Problem`] if the dimensions differ, a side has fewer than two points, or a map refuses a point.
pub fn certify(
    forward: &dyn ForwardMap,
    backward: Option<&dyn BackwardMap>,
    potential: &SourcePotential,
    source: &Samples,
    target: &Samples,
    options: &Options,
) -> Result<Certificate> {
    certify_with(forward, backward, potential, source, target, options, None)
}

/// As [`certify`], with the mismatches if the caller has them already.
pub(crate) fn certify_with(
    forward: &dyn ForwardMap,
    backward: Option<&dyn BackwardMap>,
    potential: &SourcePotential,
    source: &Samples,
    target: &Samples,
    options: &Options,
    known: Option<[Mismatch; 2]>,
) -> Result<Certificate> {
    let d = potential.dim();
    let dims = [
        ("the forward map", Some(forward.dim())),
        ("the backward map", backward.map(|b| b.dim())),
        (source.name(), Some(source.dim())),
        (target.name(), Some(target.dim())),
    ];
    for (name, dim) in dims {
        if let Some(dim) = dim.filter(|&dim| dim != d) {
            return Err(Error::problem(format!(
                "{name} has {dim} coordinates, the potential has {d}; a certificate needs all of one dimension"
            )));
        }
    }
    for side in [source, target] {
        if side.len() < 2 {
            return Err(Error::problem(format!(
                "{} has one point; a certificate needs at least two on each side, and some hundreds to say anything",
                side.name()
            )));
        }
    }
    let seed = options.seed;
    let mut notes = Vec::new();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(20);
    let x = Cloud::draw(source, MOST_POINTS, &mut rng, &mut notes)?;
    let y = Cloud::draw(target, MOST_POINTS, &mut rng, &mut notes)?;
    let images = forward.forward(&x.points)?;
    let pulled = backward.map(|b| b.backward(&y.points)).transpose()?;

    let [z, tz, yz] = [&x.points, &images, &y.points].map(|p| potential.to_solver(p));
    let g = potential.inner_values(&z);
    let judged = Judged {
        potential,
        source: Source {
            potential,
            points: &z,
            g: &g,
        },
        images: &tz,
        target: &yz,
        weights: [x.weights.as_deref(), y.weights.as_deref()],
        seed,
    };
    let back_of_images = backward.map(|b| b.backward(&images)).transpose()?;
    let optimality = judged.optimality(back_of_images.map(|p| potential.to_solver(&p)));
    let value = judged.value(pulled.as_ref().map(|p| potential.to_solver(p)));
    let convexity = potential.is_quadratic().then(|| {
        let n = z.len() / d;
        let count = n.min(curvature::POINTS);
        let rows = rand::seq::index::sample(&mut rng, n, count);
        let some: Vec<f64> = rows
            .iter()
            .flat_map(|i| z[i * d..(i + 1) * d].iter().copied())
            .collect();
        Convexity::of(potential, &some, seed)
    });
    let bracket = bracket::between(&judged.source, &tz, &yz, [&x, &y], seed)?;
    let (forward, backward) = match known {
        Some([forward, back]) => (forward, backward.map(|_| back)),
        None => (
            Mismatch::of(&images, &x, &y, d, seed),
            pulled.as_ref().map(|p| Mismatch::of(p, &y, &x, d, seed)),
        ),
    };
    let mut certificate = Certificate {
        verdict: Verdict::CannotSay,
        sentence: String::new(),
        origin: options.origin,
        points: [x.len(d), y.len(d)],
        cost: potential.cost_name().into(),
        optimality,
        convexity,
        forward,
        backward,
        value,
        bracket,
        notes,
    };
    let effective = [&x, &y].map(|c| c.effective_number(d));
    sentence::conclude(&mut certificate, effective, options.by_class);
    Ok(certificate)
}

/// All that the parts need, in solver units.
struct Judged<'a> {
    potential: &'a SourcePotential,
    source: Source<'a>,
    images: &'a [f64],
    target: &'a [f64],
    weights: [Option<&'a [f64]>; 2],
    seed: u64,
}

fn mean(values: &[f64], weights: Option<&[f64]>) -> f64 {
    match weights {
        None => values.iter().sum::<f64>() / values.len() as f64,
        Some(w) => values.iter().zip(w).map(|(v, w)| v * w).sum(),
    }
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

fn share(of: &[bool]) -> f64 {
    of.iter().filter(|b| **b).count() as f64 / of.len().max(1) as f64
}

impl Judged<'_> {
    fn dim(&self) -> usize {
        self.potential.dim()
    }

    fn optimality(&self, back: Option<Vec<f64>>) -> Optimality {
        let d = self.dim();
        let n = self.source.g.len();
        let factor = self.potential.factor();
        let weights = self.weights[0];
        let mut v = vec![0.0; d];
        let costs: Vec<f64> = self
            .source
            .points
            .chunks_exact(d)
            .zip(self.images.chunks_exact(d))
            .map(|(x, t)| self.potential.inner_cost(x, t, &mut v))
            .collect();
        let guesses = Guesses {
            preimages: true,
            guess: back.as_deref(),
        };
        let transform = Transform::of(&self.source, self.images, guesses, self.seed);
        // Not negative but for rounding: the search from x itself begins at g(x) + l(T(x) - x).
        let slack: Vec<f64> = (0..n)
            .map(|i| {
                // Further than the cost allows: what that is above the best is not a difference of two infinities.
                if costs[i].is_infinite() {
                    return f64::INFINITY;
                }
                factor * (costs[i] + self.source.g[i] - transform.value[i]).max(0.0)
            })
            .collect();

        let count = n.min((n / 20).max(50));
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(23);
        let again = rand::seq::index::sample(&mut rng, n, count).into_vec();
        let further = more_starts(&self.source, self.images, &again, self.seed);
        let gains: Vec<f64> = again
            .iter()
            .zip(&further.value)
            .map(|(&i, &value)| {
                let gain = transform.value[i] - value;
                let rounding = 1e-9 * d as f64
                    + 1e-12 * (costs[i].abs() + self.source.g[i].abs() + value.abs());
                if gain > rounding { factor * gain } else { 0.0 }
            })
            .collect();
        let missed = upper(&gains, None, None, self.seed);
        let found = upper(&slack, None, weights, self.seed);
        let costs: Vec<f64> = costs.iter().map(|c| factor * c).collect();
        let cost = mean(&costs, weights);
        let ratio = upper(&slack, Some(&costs), weights, self.seed);
        let extra = match (missed.estimate, missed.standard_error) {
            (Some(m), Some(se)) => Some(m + NORMAL * se),
            _ => None,
        };
        let slack_upper = found.upper.zip(extra).and_then(|(a, b)| finite(a + b));
        let share_upper = ratio
            .upper
            .zip(extra)
            .and_then(|(a, b)| finite(if b > 0.0 { a + b / cost } else { a }));
        let (shift, spread) = self.shift_and_spread();
        // A cost with a limit makes a spread beyond it infinite, which is no measure of anything.
        let over = |by: f64| {
            let s = slack_upper.filter(|_| by.is_finite());
            s.and_then(|s| finite(s / by))
        };
        Optimality {
            cost: finite(cost),
            slack: found.estimate,
            standard_error: found.standard_error,
            slack_upper,
            slack_quantile_95: finite(quantile(&slack, weights, 0.95)),
            share: ratio.estimate,
            share_upper,
            share_beyond_shift: over((cost - factor * shift).max(0.0)),
            share_of_spread: over(factor * spread),
            unbounded: share(&transform.runaway),
            not_converged: 1.0 - share(&transform.converged),
            searched_again: count,
            search_missed: share(&gains.iter().map(|g| *g > 0.0).collect::<Vec<_>>()),
            slack_missed: missed.estimate,
        }
    }

    /// `l(E[T(x) - x])` and `E l(T(x) - E T)`, solver units.
    fn shift_and_spread(&self) -> (f64, f64) {
        let d = self.dim();
        let n = self.source.g.len();
        let weight = |i: usize| self.weights[0].map_or(1.0 / n as f64, |w| w[i]);
        let middle = |points: &[f64]| {
            let mut m = vec![0.0; d];
            for (i, p) in points.chunks_exact(d).enumerate() {
                for (m, p) in m.iter_mut().zip(p) {
                    *m += weight(i) * p;
                }
            }
            m
        };
        let (from, to) = (middle(self.source.points), middle(self.images));
        let mut v = vec![0.0; d];
        let shift = self.potential.inner_cost(&from, &to, &mut v);
        let spread = self
            .images
            .chunks_exact(d)
            .enumerate()
            .map(|(i, t)| weight(i) * self.potential.inner_cost(&to, t, &mut v))
            .sum();
        (shift, spread)
    }

    fn value(&self, pulled: Option<Vec<f64>>) -> Value {
        let factor = self.potential.factor();
        let guesses = Guesses {
            preimages: false,
            guess: pulled.as_deref(),
        };
        let transform = Transform::of(&self.source, self.target, guesses, self.seed);
        // Around a common middle, so that a constant in g costs no digits.
        let middle = mean(self.source.g, self.weights[0]);
        let around = |values: &[f64]| {
            values
                .iter()
                .map(|v| factor * (v - middle))
                .collect::<Vec<_>>()
        };
        let [g, gc] = [
            (around(self.source.g), self.weights[0]),
            (around(&transform.value), self.weights[1]),
        ]
        .map(|(values, weights)| {
            let m = mean(&values, weights);
            let n = values.len() as f64;
            let square: f64 = values
                .iter()
                .enumerate()
                .map(|(i, v)| (weights.map_or(1.0 / n, |w| w[i]) * (v - m)).powi(2))
                .sum();
            (m, n / (n - 1.0) * square)
        });
        let unbounded = transform.runaway.iter().any(|r| *r);
        Value {
            dual: finite(gc.0 - g.0).filter(|_| !unbounded),
            standard_error: finite((g.1 + gc.1).sqrt()).filter(|_| !unbounded),
        }
    }
}

impl Mismatch {
    /// Of the moved points of `from` against those of `to`; on 5,000 of each at most, evenly spaced.
    fn of(moved: &[f64], from: &Cloud, to: &Cloud, d: usize, seed: u64) -> Self {
        let rows = mismatch::spaced(from.len(d), MISMATCH_POINTS);
        let (a, b) = (
            from.part(&rows, d),
            to.part(&mismatch::spaced(to.len(d), MISMATCH_POINTS), d),
        );
        let moved = mismatch::rows_of(moved, &rows, d);
        let sizes = [a.len(d), b.len(d)];
        Mismatch::known(
            mismatch::mismatch(&moved, &a, &b, d),
            noise_floor(&b, sizes, d, seed),
            p_value(&moved, &a, &b, d, seed),
            &b,
            sizes,
            d,
        )
    }

    /// From figures that were computed elsewhere, for points of `to`.
    pub(crate) fn known(
        energy_distance: f64,
        noise_floor: Option<f64>,
        p_value: Option<f64>,
        to: &Cloud,
        points: [usize; 2],
        d: usize,
    ) -> Self {
        Mismatch {
            points,
            energy_distance: finite(energy_distance),
            noise_floor,
            p_value,
            spread: finite((2.0 * to.variance(d)).sqrt()),
        }
    }
}

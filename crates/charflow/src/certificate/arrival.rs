//! Whether the points that are reached are the target's: one test at the number of points that is printed, class by class where there are classes, and a lower bound of how far they are apart.
//!
//! The test is [`mod@crate::statistics::two_sample`]. With classes a map that sends every class onto another one reaches the whole target, so the classes are tested, each alone against its own, and
//! judged by the worst: with `K` of them the least p-value times `K` (Bonferroni) counts, with enough relabellings for it to become small.
//!
//! The lower bound of `W2(T#mu, nu)` is the larger of two, each at 97.5 %: that of `statistics::marginal`, from the points that are reached; and, for the quadratic cost, from the dual value `D` of the potential
//!
//! ```text
//! W2(T#mu, nu) >= W2(mu, nu) - W2(mu, T#mu) >= (2 D)^(1/2) - (2 E_mu[ l(T(x) - x) ])^(1/2)
//! ```
//!
//! (the triangle inequality; `D <= W2(mu, nu)^2 / 2` by weak duality; `T` is one coupling of `mu` and `T#mu`).

use crate::exact::GaussianMap;
use crate::map::ForwardMap;
use crate::samples::Samples;
use crate::statistics::cloud::{Cloud, energy_distance_to, rows_of};
use crate::statistics::two_sample::{LEVEL, Pool, RELABELLINGS};
use crate::statistics::{Evidence, TwoSample, finite, marginal};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Points of each side that are tested at most.
pub const TESTED: usize = 5000;

/// Relabellings of a class for each class there is, so that the least p-value times their number can be small; and at most.
const FOR_EACH_CLASS: usize = 60;
const MOST_RELABELLINGS: usize = 30_000;

/// How far the points reached are from those to be reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Arrival {
    /// Points moved, points to be reached: all of them are in the test.
    pub points: [usize; 2],
    /// The energy distance of the two, a U-statistic.
    pub energy_distance: Option<f64>,
    /// What it exceeds between equal laws in 1 % of all cases, at this number of points.
    pub noise_floor: Option<f64>,
    /// p-value of the two-sample test of the whole clouds.
    pub p_value: Option<f64>,
    /// Random relabellings behind it.
    pub relabellings: usize,
    /// What the test looked at, the most telling first.
    pub evidence: Vec<Evidence>,
    /// Root mean square distance of two of the points to be reached: the scale of an energy distance.
    pub spread: Option<f64>,
    /// The energy distance that the best linear map between these points leaves.
    pub linear_energy_distance: Option<f64>,
    /// 95 % lower confidence bound of `W2(T#mu, nu)`, in the user's unit; `None` if none above zero was found.
    pub w2_lower: Option<f64>,
    /// Its square over the variance of the points to be reached, in percent: the least L2-UVP that a map with these images can have.
    pub uvp_lower: Option<f64>,
    /// That of the module `marginal` alone, which no search takes part in.
    #[serde(skip)]
    pub(super) uvp_marginal: Option<f64>,
    /// Class by class, if the map was asked to send classes to classes and the points have some.
    pub by_class: Option<ArrivalByClass>,
}

/// Each class against its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArrivalByClass {
    /// The least p-value of a class, times their number (at most 1).
    pub p_value: Option<f64>,
    /// Of the classes that are told from their own the farthest; if none is, that of the least p-value.
    pub worst: Option<String>,
    /// The classes that were tested, in order of their names.
    pub classes: Vec<ClassArrival>,
    /// Classes with fewer than two points on a side, by weight, of which nothing can be said.
    pub not_tested: Vec<String>,
    /// Points moved and points to be reached that belong to none of the classes tested.
    pub others: [usize; 2],
}

/// One class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassArrival {
    /// Its name.
    pub class: String,
    /// Its points.
    pub test: TwoSample,
}

impl ArrivalByClass {
    /// The worst class and its figures.
    #[must_use]
    pub fn worst(&self) -> Option<&ClassArrival> {
        let name = self.worst.as_ref()?;
        self.classes.iter().find(|c| &c.class == name)
    }

    /// Whether some class is told from its own at the level of the whole.
    #[must_use]
    pub fn differ(&self) -> bool {
        self.p_value.is_some_and(|p| p <= LEVEL)
    }
}

/// What a judgement of arrivals is told.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub d: usize,
    pub columns: Option<&'a [String]>,
    /// Names of classes to be judged each alone; empty for none.
    pub classes: &'a [String],
    pub seed: u64,
}

impl Arrival {
    /// Of the images `moved` of the points of `from`, which should be those of `to`; on 5,000 of each at most, drawn at random.
    pub(crate) fn of(moved: &[f64], from: &Cloud, to: &Cloud, task: Task<'_>) -> Self {
        let Task { d, seed, .. } = task;
        // At random: rows may come in some order, which evenly spaced ones would follow.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(27);
        let rows = [from, to].map(|c| {
            let n = c.len(d);
            let mut rows = rand::seq::index::sample(&mut rng, n, n.min(TESTED)).into_vec();
            rows.sort_unstable();
            rows
        });
        let moved = rows_of(moved, &rows[0], d);
        let (a, b) = (from.part(&rows[0], d), to.part(&rows[1], d));
        let sides = [
            (&moved[..], a.weights.as_deref()),
            (&b.points[..], b.weights.as_deref()),
        ];
        let test = match Pool::new(sides, d, RELABELLINGS, seed) {
            Ok(pool) => pool.test(task.columns, seed),
            Err(points) => TwoSample {
                // All the same: nothing to test, and nothing between them.
                energy_distance: (a.len(d) > 1 && b.len(d) > 1).then_some(0.0),
                ..TwoSample::nothing(points)
            },
        };
        let w2_lower = marginal::w2_lower(sides[0], sides[1], d, seed);
        let variance = b.variance(d);
        let uvp_lower = w2_lower
            .and_then(|w| finite(100.0 * w * w / variance))
            .filter(|_| variance > 0.0);
        Arrival {
            points: test.points,
            energy_distance: test.energy_distance,
            noise_floor: test.noise_floor,
            p_value: test.p_value,
            relabellings: test.relabellings,
            evidence: test.evidence,
            spread: finite((2.0 * variance).sqrt()),
            linear_energy_distance: linear(&a, &b, d),
            w2_lower,
            uvp_lower,
            uvp_marginal: uvp_lower,
            by_class: by_class(&moved, &a, &b, task),
        }
    }

    /// What cannot be said.
    pub(crate) fn nothing(points: [usize; 2]) -> Self {
        Arrival {
            points,
            energy_distance: None,
            noise_floor: None,
            p_value: None,
            relabellings: 0,
            evidence: vec![],
            spread: None,
            linear_energy_distance: None,
            w2_lower: None,
            uvp_lower: None,
            uvp_marginal: None,
            by_class: None,
        }
    }

    /// Takes another lower bound of `W2` into account.
    pub(crate) fn at_least(&mut self, w2: Option<f64>) {
        let variance = self.spread.map_or(0.0, |s| 0.5 * s * s);
        if let Some(w) = w2.filter(|w| w.is_finite() && *w > self.w2_lower.unwrap_or(0.0)) {
            self.w2_lower = Some(w);
            self.uvp_lower = finite(100.0 * w * w / variance);
        }
    }

    /// Whether the whole clouds are told apart.
    #[must_use]
    pub fn differ(&self) -> bool {
        self.p_value.is_some_and(|p| p <= LEVEL)
            || self
                .energy_distance
                .zip(self.noise_floor)
                .is_some_and(|(e, floor)| e > floor)
    }
}

/// The energy distance that the map between the Gaussians of the same moments leaves.
fn linear(a: &Cloud, b: &Cloud, d: usize) -> Option<f64> {
    // An eigenvalue problem of so many dimensions takes longer than all the rest.
    if d > 512 {
        return None;
    }
    let moments = [a, b].map(|c| {
        let samples = Samples::from_f64(&c.points, d).ok()?;
        let samples = match &c.weights {
            Some(w) => samples.with_weights(w.clone()).ok()?,
            None => samples,
        };
        Some(samples.moments())
    });
    let [Some(m0), Some(m1)] = moments else {
        return None;
    };
    let images = GaussianMap::from_moments(&m0, &m1)
        .ok()?
        .forward(&a.points)
        .ok()?;
    finite(energy_distance_to(&images, a, b, d))
}

fn by_class(moved: &[f64], a: &Cloud, b: &Cloud, task: Task<'_>) -> Option<ArrivalByClass> {
    let Task { d, seed, .. } = task;
    if task.classes.is_empty() || a.classes.is_none() || b.classes.is_none() {
        return None;
    }
    let draws = (FOR_EACH_CLASS * task.classes.len()).clamp(RELABELLINGS, MOST_RELABELLINGS);
    let found: Vec<(String, Option<TwoSample>)> = task
        .classes
        .iter()
        .map(|class| {
            let [(x, at), (y, _)] = [a, b].map(|c| c.of_class(class, d));
            let moved = rows_of(moved, &at, d);
            let sides = [
                (&moved[..], x.weights.as_deref()),
                (&y.points[..], y.weights.as_deref()),
            ];
            // A class of points without weight has none.
            let worth = |all: &Cloud, part: &Cloud| {
                let some = all.weights.is_none() || part.weights.is_some();
                some && part.len(d) > 1 && part.effective_number(d) > 1.5
            };
            let enough = worth(a, &x) && worth(b, &y);
            let test = enough.then(|| match Pool::new(sides, d, draws, seed) {
                Ok(pool) => pool.test(task.columns, seed),
                Err(points) => TwoSample::nothing(points),
            });
            (class.clone(), test)
        })
        .collect();
    let mut classes = Vec::new();
    let mut not_tested = Vec::new();
    for (class, test) in found {
        match test {
            Some(test) => classes.push(ClassArrival { class, test }),
            None => not_tested.push(class),
        }
    }
    let count = classes.len() as f64;
    let p = |c: &ClassArrival| c.test.p_value.unwrap_or(1.0);
    let least = classes.iter().map(p).min_by(f64::total_cmp);
    let tested = classes.iter().any(|c| c.test.p_value.is_some());
    // With too few relabellings for the least p-value to count nothing could be told.
    let telling = count <= LEVEL * (draws + 1) as f64;
    let p_value = least
        .filter(|_| tested && telling)
        .map(|p| (p * count).min(1.0));
    // Of those that are told from their own, the one that is farthest from it; else the one of the least p-value.
    let far = |c: &ClassArrival| c.test.energy_distance.unwrap_or(0.0);
    let worst = classes
        .iter()
        .filter(|c| p(c) * count <= LEVEL)
        .max_by(|a, b| far(a).total_cmp(&far(b)))
        .or_else(|| {
            let some = classes.iter().filter(|c| c.test.p_value.is_some());
            some.min_by(|a, b| p(a).total_cmp(&p(b)))
        });
    let others = [a, b].map(|c| {
        let of = c.classes.as_deref().unwrap_or_default();
        let tested = |name: &String| classes.iter().any(|k| &k.class == name);
        of.iter().filter(|name| !tested(name)).count()
    });
    Some(ArrivalByClass {
        p_value,
        worst: worst.map(|w| w.class.clone()),
        classes,
        not_tested,
        others,
    })
}

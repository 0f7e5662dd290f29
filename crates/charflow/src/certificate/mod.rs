//! The certificate of a map: how far above the cheapest cost it moves the source, whether it reaches the target, at what confidence, on how many points.
//!
//! Any forward map `T` that comes with any source potential `g`, for any cost `l`; a backward map `S` if there is one.
//!
//! | part | what it says | proof and conditions |
//! |---|---|---|
//! | [`Optimality`] | `E l(T(x) - x) - W(mu, T#mu)` is at most this, as a share of the cost; the same for `S` | `optimality`, `interval` |
//! | its `excess_lower` | and at least this | `matching` |
//! | [`MapError`] | `E|T - T'|^2` is at most this, if the curvature stays below what was seen; quadratic cost | `deviation`, `curvature` |
//! | [`Convexity`] | where `g + |x|^2 / 2` is not convex; quadratic cost | `curvature` |
//! | [`Arrival`] | whether `T#mu` can be told from `nu` and `S#nu` from `mu`, class by class where there are classes; `W2` between them is at least this | `arrival`, [`mod@crate::statistics::two_sample`], `statistics::marginal` |
//! | [`Value`] | `D = E_nu[ g^c ] - E_mu[ g ]`, a lower bound of the cheapest cost from `mu` to `nu` | `optimality` |
//! | [`Bracket`] | two bounds of the cheapest cost between the two samples themselves | `bracket` |
//! | [`Path`] | whether the potential knows at times in between where points came from | `path` |
//!
//! Here `W` is the least cost between two measures, `W2` the Wasserstein distance of order two, `T'` the optimal map from `mu` to `T#mu`. None asks anything of `g`: a wrong potential makes a bound wide, never wrong.
//!
//! **The verdict** is `good` only if all of this holds: the optimality gap of both maps is at most 5 % of the cost (and of the spread of the points reached), neither image can be told from what it should be (no
//! class from its own, of 100 points or more), by points enough ([`enough`]) that are not known to be those of the fit; and few further searches find more. A gap of up to 1 % of the spread passes up to 10 % of the cost.
//!
//! **What it does not prove.** That `T#mu` is `nu`: a test sees what so many points show. A share of the points below three over their number, whatever it does: no sample has it. And points by which a fit
//! was stopped or chosen were not quite unseen; the sentence says so. In high dimension the sample bracket is wide by nature (the cost between two samples is larger than between their laws).

mod arrival;
mod bracket;
mod curvature;
mod deviation;
mod matching;
mod optimality;
mod path;
mod potential;
mod sentence;
mod transform;

pub use crate::statistics::cloud::{energy_distance_between, noise_in};
pub use arrival::{Arrival, ArrivalByClass, ClassArrival, TESTED};
pub use bracket::Bracket;
pub use curvature::Convexity;
pub use deviation::MapError;
pub use optimality::{Optimality, Value};
pub use path::Path;
pub use potential::SourcePotential;

pub(crate) use arrival::Task;

use crate::error::{Error, Result};
use crate::map::{BackwardMap, ForwardMap};
use crate::model::CharacteristicMap;
use crate::samples::{Samples, distance};
use crate::statistics::cloud::Cloud;
use crate::statistics::interval::{Miss, upper};
use optimality::{Missed, Pairs};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use transform::{Ball, Source};

/// Version of the certificate's fields, in `report.json` and in what is printed with `--json`.
pub const FORMAT: u32 = 2;

/// Points of each side that take part at most.
pub const MOST_POINTS: usize = 10_000;

/// Below so many points a side every bound is too wide to mean anything.
pub const FEW: usize = 50;

/// Below so many points a side in `d` dimensions a twentieth of the target could be missing unseen (500, by weight too), or a law be another one along a direction between the columns (60 a dimension, as far as
/// studies of known truths show); 1,000 are enough to be called good, though they need not show it along one direction of many.
#[must_use]
pub fn enough(d: usize) -> usize {
    (60 * d).clamp(500, 1000)
}

/// Where the points come from, as far as the caller knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The fit did not see them.
    HeldOut,
    /// The fit did not learn from them, but they chose the model or ended the fit.
    Choosing,
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
    /// Whether the fit was asked to send classes to classes \[17\]: then classes are judged, each against its own, and the best map need not be optimal between the whole clouds.
    pub by_class: bool,
}

/// The certificate in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Near the cheapest cost, and not to be told from the target with points enough to tell, which the map was not fitted to.
    Good,
    /// Neither good nor bad; the sentence says where it falls short.
    Limited,
    /// Not shown to be near the cheapest cost, or away from the target.
    Bad,
    /// The points, or the problem, allow no statement.
    CannotSay,
}

/// What can be said of a map, and what cannot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Certificate {
    /// [`FORMAT`].
    pub format: u32,
    /// In one word.
    pub verdict: Verdict,
    /// In one sentence.
    pub sentence: String,
    /// Where the points come from.
    pub origin: Origin,
    /// Source and target points that took part.
    pub points: [usize; 2],
    /// As how many points of equal weight they count.
    pub effective_points: [f64; 2],
    /// The cost's name.
    pub cost: String,
    /// Nearness of `T` to the cheapest cost.
    pub optimality: Optimality,
    /// Nearness of `S`, if there is a backward map.
    pub backward_optimality: Option<Optimality>,
    /// How far `T` can be from the optimal map to the points it reaches; for the quadratic cost.
    pub map_error: Option<MapError>,
    /// Where the potential is not convex; for the quadratic cost.
    pub convexity: Option<Convexity>,
    /// `T#mu` against `nu`.
    pub forward: Arrival,
    /// `S#nu` against `mu`, if there is a backward map.
    pub backward: Option<Arrival>,
    /// The dual value.
    pub value: Value,
    /// Bounds of the optimal cost between the samples.
    pub bracket: Option<Bracket>,
    /// Drift along the characteristics; for a fitted map, which has a potential at all times.
    pub path: Option<Path>,
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
    certify_map_with(map, source, target, options, None)
}

/// As [`certify_map`], with the arrivals if the caller has them already.
pub(crate) fn certify_map_with(
    map: &CharacteristicMap,
    source: &Samples,
    target: &Samples,
    options: &Options,
    known: Option<[Arrival; 2]>,
) -> Result<Certificate> {
    let fitted = &map.about().classes;
    let options = Options {
        by_class: options.by_class || !fitted.is_empty(),
        ..*options
    };
    let classes = if fitted.is_empty() {
        classes_of(source, target, &options)
    } else {
        fitted.clone()
    };
    let mut certificate = certify_with(
        map,
        Some(map),
        &SourcePotential::of_map(map),
        [source, target],
        &classes,
        &options,
        known,
    )?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    rng.set_stream(20);
    let x = Cloud::draw(source, MOST_POINTS, &mut rng, &mut Vec::new())?;
    // Points on the way lie between points the map takes; one that it refuses all the same leaves nothing to say.
    certificate.path = Path::of(map, &x).ok();
    Ok(certificate)
}

/// Judges the map `forward` by the source potential `potential`, on points of the source and the target. Of larger sets 10,000 points take part, drawn by the seed.
///
/// Without points that the fit did not see, and without at least 50 a side, little can be said; the certificate then says so. So it does where the map or the potential is not finite.
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
    let classes = classes_of(source, target, options);
    certify_with(
        forward,
        backward,
        potential,
        [source, target],
        &classes,
        options,
        None,
    )
}

/// The names of the classes to be judged, in order: those of either side, if classes are to be judged at all.
fn classes_of(source: &Samples, target: &Samples, options: &Options) -> Vec<String> {
    if !options.by_class {
        return vec![];
    }
    let mut names: Vec<String> = source
        .class_names()
        .iter()
        .chain(target.class_names())
        .cloned()
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The normal law's quantile at `1 - 0.025 / 4`: with the 98.75 % of what searches missed, three bounds in one of 97.5 %.
const LIMIT: f64 = 2.497_705;

/// The bound of module `deviation`, from images `[T(x), T_g(x)]` in solver units.
fn map_error(
    optimality: &Optimality,
    curvature: Option<f64>,
    [images, own]: [&[f64]; 2],
    cloud: &Cloud,
    (potential, ball): (&SourcePotential, &Ball),
    seed: u64,
) -> Option<MapError> {
    let d = potential.dim();
    let weights = cloud.weights.as_deref();
    let squares: Vec<f64> = images
        .chunks_exact(d)
        .zip(own.chunks_exact(d))
        .map(|(a, b)| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum())
        .collect();
    let reached = Cloud {
        points: images.to_vec(),
        weights: cloud.weights.clone(),
        classes: None,
        rows: vec![],
    };
    // The farthest that an image of T_g can be from one of T#mu: by their common middle.
    let middle = reached.mean(d);
    let farthest = |points: &[f64]| {
        let rows = points.chunks_exact(d);
        rows.map(|p| distance(p, &middle)).fold(0.0, f64::max)
    };
    let step = farthest(images) + farthest(own);
    MapError::of(
        optimality.slack_upper_strict? / potential.factor(),
        upper(&squares, None, weights, 0.0, Miss::Half, seed).upper?,
        reached.variance(d),
        curvature?.max(step / ball.margin()),
        potential.scale(),
    )
}

fn certify_with(
    forward: &dyn ForwardMap,
    backward: Option<&dyn BackwardMap>,
    potential: &SourcePotential,
    [source, target]: [&Samples; 2],
    classes: &[String],
    options: &Options,
    known: Option<[Arrival; 2]>,
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
    let mut certificate = Certificate {
        format: FORMAT,
        verdict: Verdict::CannotSay,
        sentence: String::new(),
        origin: options.origin,
        points: [x.len(d), y.len(d)],
        effective_points: [&x, &y].map(|c| c.effective_number(d)),
        cost: potential.cost_name().into(),
        optimality: Optimality::nothing(),
        backward_optimality: None,
        map_error: None,
        convexity: None,
        forward: Arrival::nothing([x.len(d), y.len(d)]),
        backward: None,
        value: Value::nothing(),
        bracket: None,
        path: None,
        notes,
    };
    let not_finite = |name: &str, points: &[f64]| {
        let rows = points.chunks_exact(d);
        let count = rows.filter(|p| p.iter().any(|v| !v.is_finite())).count();
        (count > 0).then(|| {
            format!(
                "the {name} map is not finite at {count} of {} points",
                points.len() / d
            )
        })
    };
    let broken = not_finite("forward", &images)
        .or_else(|| pulled.as_ref().and_then(|p| not_finite("backward", p)));
    if let Some(broken) = broken {
        sentence::conclude_broken(&mut certificate, &broken);
        return Ok(certificate);
    }
    let task = Task {
        d,
        columns: source.columns(),
        classes,
        seed,
    };
    let (ahead, back) = match known {
        Some([ahead, back]) => (ahead, backward.map(|_| back)),
        None => (
            Arrival::of(&images, &x, &y, task),
            pulled.as_ref().map(|p| Arrival::of(p, &y, &x, task)),
        ),
    };
    certificate.forward = ahead;
    certificate.backward = back;

    let to_solver = |p: &[f64]| potential.to_solver(p);
    let [z, tz, yz] = [&x.points, &images, &y.points].map(|p| to_solver(p));
    let sz = pulled.as_ref().map(|p| to_solver(p));
    let g = potential.inner_values(&z);
    let g_pulled = sz.as_ref().map(|s| potential.inner_values(s));
    let own = potential.own_images(&z);
    let count = g.iter().chain(g_pulled.iter().flatten());
    let (all, bad) = count.fold((0, 0), |(n, bad), g| {
        (n + 1, bad + usize::from(!g.is_finite()))
    });
    if bad > 0 || own.iter().any(|v| !v.is_finite()) {
        certificate.notes.push(format!(
            "certificate: the potential or its gradient is not finite at some of the points (its values at {bad} of {all}); the optimality gap and the dual value cannot be said"
        ));
        sentence::conclude(&mut certificate, options.by_class, d);
        return Ok(certificate);
    }
    let mut held = vec![&z[..]];
    held.extend(sz.as_deref());
    let ball = Ball::around(&held, d);
    let transformed = Source {
        potential,
        points: &z,
        g: &g,
        images: &own,
        ball: &ball,
    };
    let back_of_images = backward.map(|b| b.backward(&images)).transpose()?;
    // A guess that is not finite is none.
    let back_of_images = back_of_images
        .filter(|p| p.iter().all(|v| v.is_finite()))
        .map(|p| to_solver(&p));
    let [at_images, at_target] = optimality::transforms(
        &transformed,
        &tz,
        back_of_images.as_deref(),
        &yz,
        sz.as_deref(),
        seed,
    );
    let missed = [
        Missed::of(&transformed, &tz, &at_images, &x, seed),
        Missed::of(&transformed, &yz, &at_target, &y, seed),
    ];
    let ahead_pairs = Pairs {
        source: &transformed,
        x: &z,
        y: &tz,
        g: &g,
        reached: &tz,
        cloud: &x,
        seed,
    };
    certificate.optimality = ahead_pairs.optimality(&at_images, &missed[0]);
    certificate.optimality.excess_lower = matching::excess_lower(potential, &z, &tz, &x, seed);
    if let (Some(sz), Some(g)) = (&sz, &g_pulled) {
        let pairs = Pairs {
            source: &transformed,
            x: sz,
            y: &yz,
            g,
            reached: sz,
            cloud: &y,
            seed,
        };
        let mut back = pairs.optimality(&at_target, &missed[1]);
        back.excess_lower = matching::excess_lower(potential, sz, &yz, &y, seed);
        certificate.backward_optimality = Some(back);
    }
    let weights = [x.weights.as_deref(), y.weights.as_deref()];
    certificate.value = Value::of(&transformed, &at_target, &missed[1], weights, seed);
    if potential.is_quadratic() {
        let n = z.len() / d;
        let count = n.min(curvature::POINTS);
        let rows = rand::seq::index::sample(&mut rng, n, count);
        let some: Vec<f64> = rows
            .iter()
            .flat_map(|i| z[i * d..(i + 1) * d].iter().copied())
            .collect();
        let convexity = Convexity::of(potential, &some, seed);
        certificate.map_error = map_error(
            &certificate.optimality,
            convexity.largest_eigenvalue,
            [&tz, &own],
            &x,
            (potential, &ball),
            seed,
        );
        certificate.convexity = Some(convexity);
    }
    if potential.is_plain_quadratic() {
        // The triangle inequality of module `arrival`, in both directions.
        if let Some(w2) = certificate.value.root(-LIMIT) {
            let cost =
                |o: &Optimality| Some((2.0 * (o.cost? + LIMIT * o.cost_standard_error?)).sqrt());
            let [ahead, back] = [
                cost(&certificate.optimality),
                certificate.backward_optimality.as_ref().and_then(cost),
            ];
            certificate.forward.at_least(ahead.map(|c| w2 - c));
            if let Some(arrival) = &mut certificate.backward {
                arrival.at_least(back.map(|c| w2 - c));
            }
        }
    }
    certificate.bracket = bracket::between(&transformed, &tz, &yz, [&x, &y], seed)?;
    sentence::conclude(&mut certificate, options.by_class, d);
    Ok(certificate)
}

//! How good a map is: energy distance beside its noise floor, cost, cycles, residuals, and the baselines that know almost nothing.
//!
//! | figure | formula |
//! |---|---|
//! | energy distance | `ED(T#mu, nu)`, `ED(S#nu, mu)`, the U-statistic of [`crate::loss::energy_distance()`] |
//! | noise floor | what the same statistic exceeds in 1 % of random relabellings of the moved and the given points; its mean is 0 |
//! | energy distance by class | `ED(T#mu_k, nu_k)` and `ED(S#nu_k, mu_k)` for each class k \[17\], each beside its own noise floor, and their mean over the classes |
//! | p-value | of the two-sample test of [`mod@crate::statistics::two_sample`] on the same points |
//! | cost | `E l(T(x) - x)` and `E l(y - S(y))` |
//! | cycle | `E |S(T(x)) - x|^2` and `E |T(S(y)) - y|^2`, in percent of the cloud's variance |
//! | residual | mean `|r|` of the implicit solution formula \[9\] along the flow, in percent of the cost |
//! | L2-UVP | `100 E |T(x) - T*(x)|^2 / Var(nu)` where the truth is known, backward with `Var(mu)` |
//!
//! Everything is in the user's units.
//!
//! Where the model was fitted with labels, the energy distance of all points together does not see what the fit was asked for: it is zero too for
//! a map that sends every class onto another one. That by class is
//!
//! ```text
//! (1 / K) sum_k ED(T#mu_k, nu_k)        (1 / K) sum_k ED(S#nu_k, mu_k)
//! ```
//!
//! with `mu_k` and `nu_k` the points of class k and their weights, scaled to sum to one. The loss \[17\] is the sum of both, times `K`.

use crate::certificate::{self, Arrival, Certificate, Origin};
use crate::characteristic::flow::Velocity;
use crate::characteristic::implicit;
use crate::cost;
use crate::error::{Error, Result};
use crate::exact::GaussianMap;
use crate::loss::objective::to_lanes;
use crate::map::{BackwardMap, ConstantMap, ForwardMap, IdentityMap};
use crate::model::CharacteristicMap;
use crate::potential::{BLOCK, Potential};
use crate::samples::Samples;
use crate::statistics::cloud::{Cloud, mean_cost};
use crate::statistics::finite;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;
use std::fmt;

/// Points of each side that take part at most; more would change the third digit of a figure that has two.
pub const MOST_POINTS: usize = 5000;

/// The true maps, where they are known.
#[derive(Clone, Debug)]
pub enum Truth {
    /// Both measures are Gaussian: means and covariances (row-major `[d, d]`).
    Gaussian {
        /// Mean of the source, `[d]`.
        m0: Vec<f64>,
        /// Covariance of the source.
        s0: Vec<f64>,
        /// Mean of the target.
        m1: Vec<f64>,
        /// Covariance of the target.
        s1: Vec<f64>,
    },
    /// The true images of the very points that are evaluated.
    Images {
        /// `T*(x)` for each source point, `[n, d]`.
        forward: Option<Vec<f64>>,
        /// `S*(y)` for each target point, `[m, d]`.
        backward: Option<Vec<f64>>,
    },
}

/// One map's figures in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Direction {
    /// Energy distance of the moved points to the given ones.
    pub energy_distance: f64,
    /// p-value of the two-sample test.
    pub p_value: Option<f64>,
    /// Mean cost of the displacement.
    pub cost: f64,
    /// L2-UVP in percent, where the truth is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uvp: Option<f64>,
}

/// How well one class arrives at its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassDistance {
    /// The class.
    pub class: String,
    /// Its source and target points that took part.
    pub points: [usize; 2],
    /// `ED(T#mu_k, nu_k)`.
    pub forward: f64,
    /// Noise floor of that (99 %).
    pub noise_forward: Option<f64>,
    /// p-value of that class's test, not corrected for the others.
    pub p_forward: Option<f64>,
    /// `ED(S#nu_k, mu_k)`.
    pub backward: f64,
    /// Noise floor of that (99 %).
    pub noise_backward: Option<f64>,
    /// p-value of that class's test.
    pub p_backward: Option<f64>,
}

/// The energy distance by class \[17\].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ByClass {
    /// Mean over the classes of `ED(T#mu_k, nu_k)`.
    pub forward: f64,
    /// Mean over the classes of `ED(S#nu_k, mu_k)`.
    pub backward: f64,
    /// The classes, in order of their names.
    pub classes: Vec<ClassDistance>,
}

/// One map's figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// `charflow`, `linear`, `constant`, `identity`.
    pub map: String,
    /// Source to target.
    pub forward: Direction,
    /// Target to source.
    pub backward: Direction,
}

/// A map judged on two sets of points.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Source and target points that took part.
    pub points: [usize; 2],
    /// Source and target points that were given.
    pub given: [usize; 2],
    /// Dimension.
    pub dim: usize,
    /// The cost's name.
    pub cost: String,
    /// Noise floor of the forward energy distance (99 %).
    pub noise_forward: Option<f64>,
    /// Noise floor of the backward energy distance (99 %).
    pub noise_backward: Option<f64>,
    /// How far above the optimal cost the map is, and whether it reaches the target: the figures behind the one sentence to quote.
    pub certificate: Certificate,
    /// The map, then the baselines.
    pub rows: Vec<Row>,
    /// `E |S(T(x)) - x|^2` in percent of the source's variance.
    pub cycle_forward: Option<f64>,
    /// `E |T(S(y)) - y|^2` in percent of the target's variance.
    pub cycle_backward: Option<f64>,
    /// Mean `|r|` along the flow in percent of the map's mean cost.
    pub residual: Option<f64>,
    /// Share of pushed points whose nearest target point has their class, where there are classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_accuracy_forward: Option<f64>,
    /// Share of pulled points whose nearest source point has their class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_accuracy_backward: Option<f64>,
    /// The energy distance class by class, where the model was fitted with labels and the points have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_class: Option<ByClass>,
    /// What cannot be said, and why.
    pub notes: Vec<String>,
}

/// A map in both directions, whoever made it.
struct Pair<'a> {
    name: &'a str,
    forward: &'a dyn ForwardMap,
    backward: &'a dyn BackwardMap,
}

/// Judges `map` on source and target points, which should be points it was not fitted to.
///
/// The linear baseline is the one stored with the model, fitted to the same samples as the model. Of larger sets 5,000 points take part, drawn by `seed`.
///
/// # Errors
/// [`Error::Problem`] if the dimensions differ or a side has fewer than two points.
pub fn evaluate(
    map: &CharacteristicMap,
    source: &Samples,
    target: &Samples,
    truth: Option<&Truth>,
    seed: u64,
) -> Result<Evaluation> {
    evaluate_on(Origin::Given, map, source, target, truth, seed)
}

/// As [`evaluate`], for points of which it is known whether the map was fitted to them: the certificate says so, and claims less where it was.
///
/// # Errors
/// As for [`evaluate`].
pub fn evaluate_on(
    origin: Origin,
    map: &CharacteristicMap,
    source: &Samples,
    target: &Samples,
    truth: Option<&Truth>,
    seed: u64,
) -> Result<Evaluation> {
    let d = map.dim();
    for side in [source, target] {
        if side.dim() != d {
            return Err(Error::Problem(format!(
                "{} has {} columns, the model was fitted to {d}",
                side.name(),
                side.dim()
            )));
        }
        if side.len() < 2 {
            return Err(Error::Problem(format!(
                "{} has one point; a comparison needs at least two on each side",
                side.name()
            )));
        }
    }
    let mut notes = Vec::new();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let x = Cloud::draw(source, MOST_POINTS, &mut rng, &mut notes)?;
    let y = Cloud::draw(target, MOST_POINTS, &mut rng, &mut notes)?;
    let truth = truth
        .map(|t| Images::new(t, source, target, &x, &y))
        .transpose()?;

    let identity = IdentityMap::new(d);
    let constant = ConstantMap::new(x.mean(d), y.mean(d))?;
    let mut pairs = vec![Pair {
        name: "charflow",
        forward: map,
        backward: map,
    }];
    if let Some(linear) = map.linear() {
        pairs.push(Pair {
            name: "linear",
            forward: linear,
            backward: linear,
        });
    }
    pairs.push(Pair {
        name: "constant",
        forward: &constant,
        backward: &constant,
    });
    pairs.push(Pair {
        name: "identity",
        forward: &identity,
        backward: &identity,
    });

    let names = &map.about().classes;
    let mut rows = Vec::new();
    let mut images: Option<[Vec<f64>; 2]> = None;
    let mut arrivals: Option<[Arrival; 2]> = None;
    for (number, pair) in pairs.iter().enumerate() {
        let pushed = pair.forward.forward(&x.points)?;
        let pulled = pair.backward.backward(&y.points)?;
        let uvp = |found: &[f64], exact: Option<&Vec<f64>>, variance: f64| {
            exact.and_then(|exact| finite(100.0 * mean_square(found, exact, d) / variance))
        };
        let task = certificate::Task {
            d,
            columns: source.columns(),
            // Baselines are not judged class by class.
            classes: if number == 0 { names } else { &[] },
            seed,
        };
        let found = [
            Arrival::of(&pushed, &x, &y, task),
            Arrival::of(&pulled, &y, &x, task),
        ];
        let [ahead, back] = &found;
        rows.push(Row {
            map: pair.name.into(),
            forward: Direction {
                energy_distance: ahead.energy_distance.unwrap_or(0.0),
                p_value: ahead.p_value,
                cost: mean_cost(map.cost(), &x.points, &pushed, &x, d),
                uvp: truth
                    .as_ref()
                    .and_then(|t| uvp(&pushed, t.forward.as_ref(), t.variance[1])),
            },
            backward: Direction {
                energy_distance: back.energy_distance.unwrap_or(0.0),
                p_value: back.p_value,
                cost: mean_cost(map.cost(), &pulled, &y.points, &y, d),
                uvp: truth
                    .as_ref()
                    .and_then(|t| uvp(&pulled, t.backward.as_ref(), t.variance[0])),
            },
        });
        images.get_or_insert([pushed, pulled]);
        arrivals.get_or_insert(found);
    }
    let beyond: Vec<&str> = rows
        .iter()
        .filter(|row| {
            [&row.forward, &row.backward]
                .iter()
                .any(|d| d.cost.is_infinite())
        })
        .map(|row| row.map.as_str())
        .collect();
    if !beyond.is_empty() {
        notes.push(format!(
            "a cost of \"-\" is infinite: some points move further than {} allows ({})",
            cost::short(&map.cost().name()),
            beyond.join(", ")
        ));
    }
    let [pushed, pulled] = images.unwrap_or_default();
    let cycle = |moved: Vec<f64>, cloud: &Cloud| {
        finite(100.0 * mean_square(&moved, &cloud.points, d) / cloud.variance(d))
    };
    let cycle_forward = cycle(map.backward(&pushed)?, &x);
    let cycle_backward = cycle(map.forward(&pulled)?, &y);
    if cycle_forward.is_none() || cycle_backward.is_none() {
        notes.push("a cloud has no variance: cycle errors in percent of it cannot be said".into());
    }
    let residual = residual(map, &x, rows[0].forward.cost);
    if residual.is_none() {
        notes.push(
            "the map moves nothing: the residual in percent of its cost cannot be said".into(),
        );
    }
    let noise = [0, 1].map(|k| arrivals.as_ref().and_then(|a| a[k].noise_floor));
    if noise.iter().any(Option::is_none) {
        notes.push("a noise floor needs two different points of each side".into());
    }
    let by_class = arrivals.as_ref().and_then(by_class);
    let mut certificate = certificate::certify_map_with(
        map,
        source,
        target,
        &certificate::Options {
            seed,
            origin,
            by_class: !names.is_empty(),
        },
        arrivals,
    )?;
    notes.append(&mut certificate.notes);
    let accuracy = |moved: &[f64], from: &Cloud, to: &Cloud| match (&from.classes, &to.classes) {
        (Some(a), Some(b)) => nearest_class(moved, a, &to.points, b, d),
        _ => None,
    };
    Ok(Evaluation {
        points: [x.len(d), y.len(d)],
        given: [source.len(), target.len()],
        dim: d,
        cost: map.cost().name(),
        noise_forward: noise[0],
        noise_backward: noise[1],
        certificate,
        class_accuracy_forward: accuracy(&pushed, &x, &y),
        class_accuracy_backward: accuracy(&pulled, &y, &x),
        rows,
        cycle_forward,
        cycle_backward,
        residual,
        by_class,
        notes,
    })
}

/// The energy distance by class, from the arrivals of both directions; `None` if the model was not fitted with labels, or the points have none.
fn by_class([ahead, back]: &[Arrival; 2]) -> Option<ByClass> {
    let (ahead, back) = (ahead.by_class.as_ref()?, back.by_class.as_ref()?);
    let classes: Vec<ClassDistance> = ahead
        .classes
        .iter()
        .filter_map(|a| {
            let b = back.classes.iter().find(|b| b.class == a.class)?;
            Some(ClassDistance {
                class: a.class.clone(),
                points: a.test.points,
                forward: a.test.energy_distance.unwrap_or(0.0),
                noise_forward: a.test.noise_floor,
                p_forward: a.test.p_value,
                backward: b.test.energy_distance.unwrap_or(0.0),
                noise_backward: b.test.noise_floor,
                p_backward: b.test.p_value,
            })
        })
        .collect();
    if classes.is_empty() {
        return None;
    }
    let mean = |value: fn(&ClassDistance) -> f64| {
        classes.iter().map(value).sum::<f64>() / classes.len() as f64
    };
    Some(ByClass {
        forward: mean(|c| c.forward),
        backward: mean(|c| c.backward),
        classes,
    })
}

/// True images of the points that take part.
struct Images {
    forward: Option<Vec<f64>>,
    backward: Option<Vec<f64>>,
    /// Variances by which errors are divided: of the source, of the target.
    variance: [f64; 2],
}

impl Images {
    fn new(
        truth: &Truth,
        source: &Samples,
        target: &Samples,
        x: &Cloud,
        y: &Cloud,
    ) -> Result<Self> {
        let d = source.dim();
        match truth {
            Truth::Gaussian { m0, s0, m1, s1 } => {
                let map = GaussianMap::new(m0, s0, m1, s1)?;
                if map.dim() != d {
                    return Err(Error::Problem(format!(
                        "the truth is of {} dimensions, the points are of {d}",
                        map.dim()
                    )));
                }
                let trace = |s: &[f64]| (0..d).map(|i| s[i * d + i]).sum::<f64>();
                Ok(Images {
                    forward: Some(map.forward(&x.points)?),
                    backward: Some(map.backward(&y.points)?),
                    variance: [trace(s0), trace(s1)],
                })
            }
            Truth::Images { forward, backward } => {
                let pick = |images: &Option<Vec<f64>>, samples: &Samples, rows: &[u32]| match images
                {
                    None => Ok(None),
                    Some(images) if images.len() != samples.len() * d => {
                        Err(Error::Problem(format!(
                            "the truth has {} rows, {} has {}; it needs one row for each point, in order",
                            images.len() / d,
                            samples.name(),
                            samples.len()
                        )))
                    }
                    Some(images) => Ok(Some(
                        rows.iter()
                            .flat_map(|&i| {
                                images[i as usize * d..(i as usize + 1) * d].iter().copied()
                            })
                            .collect::<Vec<f64>>(),
                    )),
                };
                Ok(Images {
                    forward: pick(forward, source, &x.rows)?,
                    backward: pick(backward, target, &y.rows)?,
                    variance: [x.variance(d), y.variance(d)],
                })
            }
        }
    }
}

fn mean_square(a: &[f64], b: &[f64], d: usize) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / (a.len() / d) as f64
}

/// Mean `|r|` at times spread over `[0, 1]` on the characteristics of the source points, in percent of `cost`.
fn residual(map: &CharacteristicMap, x: &Cloud, cost: f64) -> Option<f64> {
    let d = map.dim();
    let network = map.potential_in_solver_units();
    let inner = map.cost().rescaled(map.scaling().scale);
    let velocity = Velocity::new(inner.as_ref(), d);
    let n = x.len(d).min(2000);
    let mut own = implicit::ImplicitWork::new(network);
    let mut work = network.workspace();
    let mut sum = 0.0;
    for start in (0..n).step_by(BLOCK) {
        let count = (n - start).min(BLOCK);
        let mut at = Vec::with_capacity(count * d);
        let mut times = [0.0f32; BLOCK];
        for i in 0..count {
            let t = ((start + i) as f64 * 0.618_033_988_749_894_9).fract();
            times[i] = t as f32;
            let Ok(moved) = map.forward_at(&x.points[(start + i) * d..(start + i + 1) * d], t)
            else {
                return None;
            };
            at.extend(moved);
        }
        let mut z = vec![0.0f32; count * d];
        map.to_solver(&at, &mut z);
        let mut lanes = vec![0.0f32; (d + 1) * BLOCK];
        to_lanes(&z, d, &mut lanes);
        lanes[d * BLOCK..].copy_from_slice(&times);
        let mut weight = [0.0f32; BLOCK];
        weight[..count].fill(1.0);
        let (_, sizes) = implicit::block(
            network,
            velocity,
            &lanes,
            &weight,
            [1.0, 0.0],
            None,
            &mut work,
            &mut own,
        );
        sum += sizes[0];
    }
    finite(100.0 * map.cost().cost_factor(map.scaling().scale) * sum / n as f64 / cost)
}

/// Share of `moved` points whose nearest point of `to` has their class.
fn nearest_class(
    moved: &[f64],
    classes: &[String],
    to: &[f64],
    to_classes: &[String],
    d: usize,
) -> Option<f64> {
    let known = |classes: &[String]| classes.iter().filter(|c| !c.is_empty()).count();
    if known(classes) == 0 || known(to_classes) == 0 {
        return None;
    }
    let right: usize = moved
        .par_chunks_exact(d)
        .zip(classes)
        .filter(|(_, class)| !class.is_empty())
        .map(|(p, class)| {
            let mut best = (f64::INFINITY, 0);
            for (j, q) in to.chunks_exact(d).enumerate() {
                if to_classes[j].is_empty() {
                    continue;
                }
                let distance: f64 = p.iter().zip(q).map(|(a, b)| (a - b).powi(2)).sum();
                if distance < best.0 {
                    best = (distance, j);
                }
            }
            usize::from(&to_classes[best.1] == class)
        })
        .sum();
    Some(right as f64 / known(classes) as f64)
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let truth = self
            .rows
            .iter()
            .any(|r| r.forward.uvp.is_some() || r.backward.uvp.is_some());
        writeln!(f, "{}.\n", self.certificate.sentence())?;
        writeln!(
            f,
            "{} source and {} target points, {} dimension{}, cost {}",
            self.points[0],
            self.points[1],
            self.dim,
            if self.dim == 1 { "" } else { "s" },
            cost::short(&self.cost)
        )?;
        write!(f, "{:<12} {:>28} {:>28}", "", "forward", "backward")?;
        writeln!(f)?;
        write!(f, "{:<12}", "map")?;
        for _ in 0..2 {
            write!(f, " {:>10} {:>6} {:>10}", "energy d.", "p", "cost")?;
        }
        if truth {
            write!(f, " {:>10} {:>10}", "UVP fwd %", "UVP bwd %")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:<12}", row.map)?;
            for d in [&row.forward, &row.backward] {
                write!(
                    f,
                    " {:>10} {:>6} {:>10}",
                    short(d.energy_distance),
                    d.p_value.map_or("-".into(), |p| format!("{p:.3}")),
                    short(d.cost)
                )?;
            }
            if truth {
                for uvp in [row.forward.uvp, row.backward.uvp] {
                    write!(f, " {:>10}", uvp.map_or("-".into(), short))?;
                }
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "{:<12} {:>10} {:>18} {:>10}",
            "noise (99 %)",
            some(self.noise_forward),
            "",
            some(self.noise_backward)
        )?;
        if let Some(by_class) = &self.by_class {
            write_by_class(f, by_class)?;
        }
        writeln!(
            f,
            "cycle error {} % and {} % of the variance; Hamilton-Jacobi residual {} % of the cost",
            some(self.cycle_forward),
            some(self.cycle_backward),
            some(self.residual)
        )?;
        if let (Some(a), Some(b)) = (self.class_accuracy_forward, self.class_accuracy_backward) {
            writeln!(
                f,
                "arrived at their own class: {:.1} % forward, {:.1} % backward",
                100.0 * a,
                100.0 * b
            )?;
        }
        self.certificate.write_figures(f)?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

fn write_by_class(f: &mut fmt::Formatter<'_>, by_class: &ByClass) -> fmt::Result {
    let width = by_class
        .classes
        .iter()
        .map(|c| c.class.chars().count())
        .max()
        .unwrap_or(0)
        .clamp(12, 24);
    writeln!(
        f,
        "{:<width$} {:>10} {:>17} {:>10} {:>17}",
        "by class", "energy d.", "noise (99 %)", "energy d.", "noise (99 %)"
    )?;
    for c in &by_class.classes {
        let class: String = c.class.chars().take(width).collect();
        writeln!(
            f,
            "{class:<width$} {:>10} {:>17} {:>10} {:>17}",
            short(c.forward),
            some(c.noise_forward),
            short(c.backward),
            some(c.noise_backward)
        )?;
    }
    writeln!(
        f,
        "{:<width$} {:>10} {:>17} {:>10}",
        "mean",
        short(by_class.forward),
        "",
        short(by_class.backward)
    )
}

/// The same for a number that may not exist.
fn some(x: Option<f64>) -> String {
    x.map_or("-".into(), short)
}

/// Three significant digits, plain where that is short.
pub(crate) fn short(x: f64) -> String {
    if !x.is_finite() {
        return "-".into();
    }
    if x == 0.0 {
        return "0".into();
    }
    let magnitude = x.abs().log10().floor();
    if (-3.0..5.0).contains(&magnitude) {
        let places = (2.0 - magnitude).clamp(0.0, 5.0) as usize;
        format!("{x:.places$}")
    } else {
        format!("{x:.2e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::energy_distance;
    use rand::RngExt;

    /// An untrained map, which was told of these classes.
    fn some_map(d: usize, classes: &[&str]) -> CharacteristicMap {
        let mut config = crate::solver::Config::preset("auto", 10, 10, d).unwrap();
        config.set("network.hidden", "[8]").unwrap();
        config.set("warm_start", "none").unwrap();
        let shape = crate::potential::Shape {
            dim: d,
            layers: config.layers().unwrap(),
        };
        let theta: Vec<f32> = (0..shape.parameters())
            .map(|i| (i as f32 * 0.7).sin())
            .collect();
        let info = crate::model::ModelInfo {
            kind: "model".into(),
            format: crate::model::FORMAT_VERSION,
            charflow: "0".into(),
            dim: d,
            columns: None,
            classes: classes.iter().map(|c| c.to_string()).collect(),
            config,
            step: 1,
        };
        CharacteristicMap::new(info, crate::Scaling::identity(d), &theta, None).unwrap()
    }

    #[test]
    fn the_mismatch_by_class_is_that_of_each_class_alone() {
        let d = 2;
        let side = |n: usize, seed: u64, weighted: bool| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let points: Vec<f64> = (0..n * d)
                .map(|_| 0.1 * seed as f64 + rng.random_range(-1.0..1.0))
                .collect();
            let labels: Vec<String> = (0..n)
                .map(|i| {
                    if i == 5 {
                        "lone"
                    } else {
                        ["a", "b"][i % 3 % 2]
                    }
                    .to_string()
                })
                .collect();
            let weights: Vec<f64> = (0..n)
                .map(|i| if weighted { 1.0 + (i % 4) as f64 } else { 1.0 })
                .collect();
            let samples = Samples::from_f64(&points, d)
                .unwrap()
                .with_labels(labels.clone())
                .unwrap()
                .with_weights(weights.clone())
                .unwrap();
            (samples, labels, weights)
        };
        let map = some_map(d, &["a", "b", "lone"]);
        let sides = [side(120, 1, true), side(90, 2, false)];
        let found = evaluate(&map, &sides[0].0, &sides[1].0, None, 3).unwrap();
        let by_class = found.by_class.clone().unwrap();
        assert_eq!(by_class.classes.len(), 2);
        assert!(
            found
                .notes
                .iter()
                .any(|n| n.contains("class \"lone\" cannot be judged"))
        );
        // The definition: both clouds without the other classes.
        let part = |k: usize, class: &str, moved: bool| -> (Vec<f64>, Vec<f64>) {
            let (samples, labels, weights) = &sides[k];
            let rows: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == class).collect();
            let sum: f64 = rows.iter().map(|&i| weights[i]).sum();
            let points: Vec<f64> = rows.iter().flat_map(|&i| samples.point(i)).collect();
            let points = match (moved, k) {
                (false, _) => points,
                (true, 0) => map.forward(&points).unwrap(),
                (true, _) => map.backward(&points).unwrap(),
            };
            (points, rows.iter().map(|&i| weights[i] / sum).collect())
        };
        let mut means = [0.0; 2];
        for c in &by_class.classes {
            let ed = |from: usize| {
                let (p, a) = part(from, &c.class, true);
                let (q, b) = part(1 - from, &c.class, false);
                energy_distance(&p, Some(&a), &q, Some(&b), d)
            };
            assert!((c.forward - ed(0)).abs() < 1e-5, "{} {}", c.forward, ed(0));
            assert!((c.backward - ed(1)).abs() < 1e-5);
            assert!(c.noise_forward.unwrap() > 0.0 && c.noise_backward.unwrap() > 0.0);
            means[0] += 0.5 * ed(0);
            means[1] += 0.5 * ed(1);
        }
        assert!((by_class.forward - means[0]).abs() < 1e-5);
        assert!((by_class.backward - means[1]).abs() < 1e-5);
        let text = found.to_string();
        assert!(
            text.contains("by class") && text.contains("\nmean "),
            "{text}"
        );
        // A model that was not told of classes is not judged by them.
        let plain = evaluate(&some_map(d, &[]), &sides[0].0, &sides[1].0, None, 3).unwrap();
        assert!(plain.by_class.is_none() && !plain.to_string().contains("by class"));
    }

    #[test]
    fn numbers_are_short() {
        for (x, text) in [
            (0.0, "0"),
            (1234.5, "1234"),
            (0.012_34, "0.0123"),
            (1e-9, "1.00e-9"),
            (-3.456, "-3.46"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(short(x), text);
        }
    }
}

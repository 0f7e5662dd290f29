//! `bench elastic`: single cells from day 2 to day 7 under `l(v) = |v|^2 / 2 + gamma sum_i |v_i|`, for several `gamma`.
//!
//! ```text
//! zeros(gamma) = share of pairs (cell, i) with T(x)_i = x_i exactly,     V(q)_i = sign(q_i) max(|q_i| - gamma, 0)
//! ```
//!
//! The velocity is a soft threshold, so a coordinate whose momentum is below `gamma` stays to the last bit. Larger gammas let more of them rest, while the cells must still arrive:
//! the share of zeros is shown beside the mismatch with its noise floor, and beside what the map pays. All on cells that no fit has seen.

use super::cite::{day, folder, shuffled};
use super::known::{solve, steps_in_time};
use super::record::{Record, digits, markdown};
use super::{Bench, Method};
use crate::failure::{Failure, Result};
use crate::interrupt::{self, Guard};
use crate::terminal::duration;
use charflow::certificate::Origin;
use charflow::cost::{Cost, Elastic};
use charflow::evaluate::{Evaluation, evaluate_on};
use charflow::exact::GaussianMap;
use charflow::loss::energy_distance;
use charflow::map::{BackwardMap, ForwardMap, IdentityMap};
use charflow::solver::{Config, Outcome, Report};
use charflow::{Problem, Samples};
use charflow_lab::figures::{LossPanel, Series, Style, SweepFigure};
use serde::Serialize;
use std::path::Path;

const DAYS: [u8; 2] = [2, 7];
const COMPONENTS: usize = 50;
/// Cells of each side set aside for judging; a quarter of a side that has fewer than four times as many.
const JUDGED_ON: usize = 1000;
/// Seconds of each fit.
const SECONDS: f64 = 90.0;
/// The default gammas, in units of the median `|v_i|` under the best linear map. Components differ ten times and more in scale, so the shares of zeros that gammas
/// make grow slowly, from none to most.
const MULTIPLES: [f64; 8] = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

/// The cells with all that was tried on them.
#[derive(Serialize)]
struct Run {
    from_day: u8,
    to_day: u8,
    components: usize,
    fitted_on: [usize; 2],
    judged_on: [usize; 2],
    /// Of the linear map, over the coordinates of the cells fitted to: what the default gammas are multiples of.
    median_move: f64,
    baselines: Vec<(&'static str, Scores)>,
    rows: Vec<Row>,
}

/// A gamma with its fit.
#[derive(Serialize)]
struct Row {
    gamma: f64,
    scores: Scores,
    evaluation: Evaluation,
    settings: Config,
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_mb: Option<f64>,
}

/// Each pair is forward, backward; on the cells set aside.
#[derive(Serialize)]
struct Scores {
    /// Share of coordinates that do not move at all.
    zeros: [f64; 2],
    /// Coordinates of a cell that move, in the mean.
    moved: [f64; 2],
    energy_distance: [f64; 2],
    /// `E |T(x) - x|^2 / 2`.
    half_square: f64,
    /// `E sum_i |T(x)_i - x_i|`.
    absolute: f64,
}

impl Scores {
    fn of(
        forward: &dyn ForwardMap,
        backward: &dyn BackwardMap,
        [x, y]: [&[f64]; 2],
        d: usize,
    ) -> Result<Self> {
        let (there, back) = (forward.forward(x)?, backward.backward(y)?);
        let zeros = |from: &[f64], to: &[f64]| {
            let still = from.iter().zip(to).filter(|(a, b)| a == b).count();
            still as f64 / from.len() as f64
        };
        let zeros = [zeros(x, &there), zeros(y, &back)];
        let n = (x.len() / d) as f64;
        let mean = |f: fn(f64) -> f64| x.iter().zip(&there).map(|(x, t)| f(t - x)).sum::<f64>() / n;
        Ok(Scores {
            zeros,
            moved: zeros.map(|share| d as f64 * (1.0 - share)),
            energy_distance: [
                energy_distance(&there, None, y, None, d),
                energy_distance(&back, None, x, None, d),
            ],
            half_square: mean(|v| 0.5 * v * v),
            absolute: mean(f64::abs),
        })
    }
}

/// The median of `|v_i|` over all displacements under a map.
fn median_move(map: &dyn ForwardMap, x: &[f64]) -> Result<f64> {
    let images = map.forward(x)?;
    let mut moves: Vec<f64> = x.iter().zip(images).map(|(x, t)| (t - x).abs()).collect();
    moves.sort_unstable_by(f64::total_cmp);
    Ok(moves[moves.len() / 2])
}

/// With two digits, so that a gamma can be said and typed.
fn rounded(x: f64) -> f64 {
    format!("{x:.1e}").parse().unwrap_or(x)
}

/// What is wrong with the command line is told before data are read.
///
/// # Errors
/// A gamma below 0; several numbers of components; another method.
pub(super) fn check(bench: &Bench) -> Result<()> {
    for &gamma in &bench.gamma {
        Elastic::new(gamma).map_err(|e| Failure::input(format!("--gamma: {e}")))?;
    }
    if bench.components.len() > 1 {
        return Err(Failure::input(
            "elastic takes one number of components; its table has a row for each gamma.",
        ));
    }
    if bench.method != [Method::NcfDual] {
        return Err(Failure::input(
            "elastic has no --method: it fits with the preset auto.",
        ));
    }
    Ok(())
}

/// Runs the benchmark.
///
/// # Errors
/// See [`Failure`].
pub fn run(bench: &Bench) -> Result<()> {
    let folder = folder(bench)?;
    let d = bench.components.first().copied().unwrap_or(COMPONENTS);
    let [from, to] = DAYS;
    // The cells set aside are the first ones of a random order; both sides in orders of their own.
    let sides = [
        shuffled(&day(&folder, from, d)?, d, bench.seed),
        shuffled(&day(&folder, to, d)?, d, bench.seed ^ 1),
    ];
    let aside = sides
        .each_ref()
        .map(|cells| (cells.len() / d / 4).min(JUDGED_ON) * d);
    let judged = [&sides[0][..aside[0]], &sides[1][..aside[1]]];
    let fitted = [&sides[0][aside[0]..], &sides[1][aside[1]..]];
    let points = |cells: [&[f64]; 2]| cells.map(|c| c.len() / d);
    let samples = |cells: [&[f64]; 2]| -> Result<[Samples; 2]> {
        Ok([
            Samples::from_f64(cells[0], d)?.named(format!("cells of day {from}")),
            Samples::from_f64(cells[1], d)?.named(format!("cells of day {to}")),
        ])
    };

    let out = bench.folder("elastic")?;
    let [source, target] = samples(fitted)?;
    let linear = GaussianMap::from_moments(&source.moments(), &target.moments())?;
    let median_move = median_move(&linear, fitted[0])?;
    let mut gammas = if bench.gamma.is_empty() {
        MULTIPLES.map(|k| rounded(k * median_move)).to_vec()
    } else {
        bench.gamma.clone()
    };
    gammas.sort_unstable_by(f64::total_cmp);
    gammas.dedup();

    let mut record = Record::new(
        "elastic",
        vec![
            format!("All on {} + {} cells that took part in no fit (a random part of day {from} and of day {to}); fitted to the other {} + {}. {d} principal components, in the data's own units.",
                points(judged)[0], points(judged)[1], points(fitted)[0], points(fitted)[1]),
            "At rest: the share of coordinates of a cell with T(x)_i equal to x_i to the last bit, in double precision; moved: coordinates of a cell that are not, in the mean.".into(),
            "ED is 2 E|X - Y| - E|X - X'| - E|Y - Y'| without bias; floor: its 95 % quantile between random draws of one day, of the same sizes.".into(),
            "Avoidable: at most this share of the elastic cost, at 95 % confidence, could be saved on the way to the same points (the certificate of `charflow evaluate`).".into(),
            format!("Median move of a coordinate under the best linear map: {}. The default gammas are {:?} times that, with two digits.",
                digits(Some(median_move)), MULTIPLES),
        ],
    );
    let baselines = {
        let identity = IdentityMap::new(d);
        vec![
            ("identity", Scores::of(&identity, &identity, judged, d)?),
            ("linear", Scores::of(&linear, &linear, judged, d)?),
        ]
    };
    record.runs.push(Run {
        from_day: from,
        to_day: to,
        components: d,
        fitted_on: points(fitted),
        judged_on: points(judged),
        median_move,
        baselines,
        rows: Vec::new(),
    });
    record.save(&out, "")?;

    let guard = Guard::new();
    for gamma in gammas {
        if interrupt::asked() {
            record.interrupted = true;
            break;
        }
        let cost = Elastic::new(gamma)?;
        let problem = || -> Result<Problem> {
            let [source, target] = samples(fitted)?;
            Ok(Problem::new(source, target, Box::new(cost))?)
        };
        let [n, m] = points(fitted);
        let mut config = bench.config(Method::NcfDual, n, m, d)?;
        config.cost = cost.name();
        // For all gammas alike: at 0 alone the best linear map would be there to begin at.
        config.warm_start = "translation".into();
        if bench.time_limit.is_none() {
            config.time_limit = SECONDS;
        }
        if bench.steps.is_none() && config.time_limit > 0.0 {
            config.steps = config.steps.min(steps_in_time(&config, problem()?)?);
        }
        let (solution, peak_memory_mb) = solve(&format!("gamma {gamma}"), &config, problem()?)?;
        if solution.outcome == Outcome::Interrupted {
            record.interrupted = true;
            break;
        }
        let [x, y] = samples(judged)?;
        let map = &solution.map;
        let row = Row {
            gamma,
            scores: Scores::of(map, map, judged, d)?,
            evaluation: evaluate_on(Origin::HeldOut, map, &x, &y, None, bench.seed)?,
            settings: config,
            report: solution.report,
            peak_memory_mb,
        };
        if let Some(run) = record.runs.first_mut() {
            run.rows.push(row);
        }
        record.save(&out, &table(&record.runs))?;
    }
    drop(guard);
    let files = if draw(&record.runs, &out)? {
        "record.json, table.md, zeros.png, zeros.svg"
    } else {
        "record.json, table.md"
    };
    record.save(&out, &table(&record.runs))?;
    let text = format!("{}\n", table(&record.runs));
    record.conclude(bench.json, &text, files, &out)
}

fn table(runs: &[Run]) -> String {
    let head = [
        "gamma",
        "at rest % fwd",
        "bwd",
        "moved fwd",
        "bwd",
        "ED fwd",
        "floor",
        "ED bwd",
        "floor",
        "E half v^2",
        "E sum abs v",
        "elastic cost",
        "avoidable %",
        "time",
        "steps",
    ];
    let mut rows = Vec::new();
    let mut kept = String::new();
    for run in runs {
        let start = |name: String, s: &Scores, floors: [Option<f64>; 2]| {
            let mut cells = vec![name];
            cells.extend(s.zeros.map(|share| format!("{:.1}", 100.0 * share)));
            cells.extend(s.moved.map(|v| digits(Some(v))));
            for (ed, floor) in s.energy_distance.into_iter().zip(floors) {
                cells.extend([digits(Some(ed)), digits(floor)]);
            }
            cells.extend([s.half_square, s.absolute].map(|v| digits(Some(v))));
            cells
        };
        for (name, scores) in &run.baselines {
            let mut cells = start((*name).into(), scores, [None; 2]);
            cells.resize(head.len(), "-".into());
            rows.push(cells);
        }
        for row in &run.rows {
            let e = &row.evaluation;
            let mut cells = start(
                row.gamma.to_string(),
                &row.scores,
                [e.noise_forward, e.noise_backward],
            );
            cells.push(digits(Some(
                row.scores.half_square + row.gamma * row.scores.absolute,
            )));
            let avoidable = e.certificate.optimality.share_upper;
            cells.push(avoidable.map_or("-".into(), |s| format!("{:.1}", 100.0 * s)));
            cells.push(duration(row.report.seconds));
            cells.push(row.report.steps.to_string());
            rows.push(cells);
            kept.push_str(&format!(
                "- gamma {}: kept the model of step {}: {}{}\n",
                row.gamma,
                row.report.chosen_step,
                row.report.chosen_by,
                match row.report.outcome {
                    Outcome::Diverged => "; the solve diverged",
                    _ => "",
                }
            ));
        }
    }
    format!("{}\n{kept}", markdown(&head, &rows))
}

/// What rests, what is missed and what is paid against gamma; false where there is no fit to draw.
fn draw(runs: &[Run], out: &Path) -> Result<bool> {
    let Some(run) = runs.first() else {
        return Ok(false);
    };
    let Some(first) = run.rows.first() else {
        return Ok(false);
    };
    let line = |name: &str, color: usize, value: &dyn Fn(&Row) -> f64| {
        let points = run.rows.iter().map(|r| (r.gamma, value(r))).collect();
        Series::new(name, points, Style::Line, color)
    };
    let mut mismatch = vec![
        line("forward", 0, &|r| r.scores.energy_distance[0]),
        line("backward", 1, &|r| r.scores.energy_distance[1]),
    ];
    let floors = [
        first.evaluation.noise_forward,
        first.evaluation.noise_backward,
    ];
    for (k, floor) in floors.into_iter().enumerate() {
        if let Some(floor) = floor {
            let name = ["floor, forward", "floor, backward"][k];
            mismatch.push(Series::level(name, floor, k));
        }
    }
    let percent = |value: fn(&Scores) -> f64| {
        let whole = value(&first.scores);
        move |r: &Row| 100.0 * value(&r.scores) / whole
    };
    let panels = [
        LossPanel {
            title: "Coordinates at rest".into(),
            y_label: "% of all, exactly".into(),
            series: vec![
                line("forward", 0, &|r| 100.0 * r.scores.zeros[0]),
                line("backward", 1, &|r| 100.0 * r.scores.zeros[1]),
            ],
        },
        LossPanel {
            title: "Mismatch".into(),
            y_label: "energy distance".into(),
            series: mismatch,
        },
        LossPanel {
            title: format!("What is paid, forward (gamma = {}: 100 %)", first.gamma),
            y_label: "%".into(),
            series: vec![
                line("E |v|² / 2", 2, &percent(|s| s.half_square)),
                line("E sum |v_i|", 3, &percent(|s| s.absolute)),
            ],
        },
    ];
    SweepFigure {
        title: "",
        x_label: "gamma",
        panels: &panels,
    }
    .save(&out.join("zeros"))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_count_what_does_not_move() {
        struct First;
        impl ForwardMap for First {
            fn dim(&self) -> usize {
                2
            }
            fn forward(&self, x: &[f64]) -> charflow::Result<Vec<f64>> {
                Ok(x.chunks(2).flat_map(|x| [x[0] + 3.0, x[1]]).collect())
            }
        }
        let x = [0.0, 1.0, 2.0, -1.0, 5.0, 0.5];
        let scores = Scores::of(&First, &IdentityMap::new(2), [&x, &x], 2).unwrap();
        assert_eq!((scores.zeros, scores.moved), ([0.5, 1.0], [1.0, 0.0]));
        assert_eq!((scores.half_square, scores.absolute), (4.5, 3.0));
        assert_eq!(median_move(&First, &x).unwrap(), 3.0);
        assert_eq!(rounded(0.123_456), 0.12);
        assert_eq!(rounded(0.0), 0.0);
    }
}

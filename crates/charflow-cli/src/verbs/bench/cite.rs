//! `bench cite`: single cells of four days; a day left out is predicted from the days around it.
//!
//! The map between two days goes through the days between them: `x_t = x + t V(grad u(x, 0))`, or from the other end `y_t = y - (1 - t) V(grad u(y, 1))`, and the cells at
//! `t` are compared with those of the left-out day.

use super::Bench;
use super::known::{problem_of, solve};
use super::record::{Record, digits, markdown};
use crate::failure::{Failure, Result};
use crate::interrupt::{self, Guard};
use crate::terminal::duration;
use charflow::exact::wasserstein;
use charflow::loss::energy_distance;
use charflow::map::ForwardMap;
use charflow::solver::{Config, Outcome, Report};
use charflow_io::{ReadOptions, read};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Points of each side in an exact assignment.
const ASSIGNED: usize = 2000;
const COMPONENTS: [usize; 2] = [50, 100];
/// From, to, and the day left out between them.
const TASKS: [[u8; 3]; 2] = [[2, 4, 3], [3, 7, 4]];

/// One task in one number of components.
#[derive(Serialize)]
struct Run {
    from_day: u8,
    to_day: u8,
    left_out_day: u8,
    time: f64,
    components: usize,
    cells: [usize; 3],
    rows: Vec<Row>,
    fits: Vec<Fit>,
}

#[derive(Serialize)]
struct Fit {
    method: &'static str,
    settings: Config,
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_mb: Option<f64>,
}

/// Distances of some cells to the left-out day.
#[derive(Serialize)]
struct Row {
    cells: String,
    /// `2 E|X - Y| - E|X - X'| - E|Y - Y'|`.
    energy_distance: f64,
    half_energy_distance: f64,
    wasserstein_1: f64,
    wasserstein_2: f64,
}

/// Rows in a random order, by seed: the first so many are a random part.
pub(super) fn shuffled(cells: &[f64], d: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..cells.len() / d).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, rng.random_range(0..=i));
    }
    order
        .iter()
        .flat_map(|i| cells[i * d..(i + 1) * d].iter().copied())
        .collect()
}

/// Both clouds whole for the energy distance, a random part of each for the assignments.
fn distances(name: &str, x: &[f64], y: &[f64], d: usize, seed: u64) -> Result<Row> {
    let ed = energy_distance(x, None, y, None, d);
    let n = (x.len() / d).min(y.len() / d).min(ASSIGNED);
    // The same part of the left-out day in every row.
    let (x, y) = (shuffled(x, d, seed ^ 1), shuffled(y, d, seed));
    let w = |power| wasserstein(&x[..n * d], &y[..n * d], d, power);
    Ok(Row {
        cells: name.into(),
        energy_distance: ed,
        half_energy_distance: 0.5 * ed,
        wasserstein_1: w(1)?,
        wasserstein_2: w(2)?,
    })
}

/// The first components of the cells of a day.
///
/// # Errors
/// A file that cannot be read, with fewer columns than asked for, or with hardly any cells.
pub(super) fn day(folder: &Path, day: u8, components: usize) -> Result<Vec<f64>> {
    let path = folder.join(format!("cite_pca100_day{day}.npy"));
    let table = read(&path, &ReadOptions::default())?;
    if table.dim < components {
        return Err(Failure::input(format!(
            "--components {components}: {} has {} columns.",
            path.display(),
            table.dim
        )));
    }
    if table.rows < 10 {
        return Err(Failure::input(format!(
            "{}: {} cells; expected at least 10.",
            path.display(),
            table.rows
        )));
    }
    let all = table.to_f64();
    Ok(all
        .chunks_exact(table.dim)
        .flat_map(|row| row[..components].iter().copied())
        .collect())
}

/// The folder with the cells: the one asked for, or `singlecell_cite` in it.
///
/// # Errors
/// No folder is given, or the cells are not there.
pub(super) fn folder(bench: &Bench) -> Result<PathBuf> {
    let folder = bench.data_folder().ok_or_else(|| {
        Failure::input("the cells are needed, cite_pca100_day2.npy and so on: give their folder with --data DIR, or in CHARFLOW_DATA.")
    })?;
    let places = [folder.join("singlecell_cite"), folder.clone()];
    places.into_iter().find(|p| p.join("cite_pca100_day2.npy").is_file()).ok_or_else(|| {
        Failure::input(format!(
            "{} holds no cite_pca100_day2.npy, nor does singlecell_cite in it. Give the folder with --data DIR.",
            folder.display()
        ))
    })
}

/// Runs the benchmark.
///
/// # Errors
/// See [`Failure`].
pub fn run(bench: &Bench) -> Result<()> {
    let folder = &folder(bench)?;
    let components: &[usize] = if bench.components.is_empty() {
        &COMPONENTS
    } else {
        &bench.components
    };
    for &d in components {
        // Before the first fit: every file is there and wide enough.
        for k in [2, 3, 4, 7] {
            day(folder, k, d)?;
        }
    }
    let out = bench.folder("cite")?;
    let mut record = Record::new(
        "cite",
        vec![
            "ED is 2 E|X - Y| - E|X - X'| - E|Y - Y'| over all cells, without bias, in the data's own units; LightSB reports half of it.".to_string(),
            format!("W1 and W2 are exact (an optimal assignment) between {ASSIGNED} random cells of each side; W2 is the root of the mean squared distance. In so many dimensions they are far from 0 for two draws of one law: see the noise floor."),
            "Noise floor: two disjoint random parts of the left-out day, of at most 2000 cells each. Linear: x + t (A x + b - x), A x + b the optimal map between Gaussians of the same moments.".to_string(),
            "No left-out cell takes part in a fit or in the choice of a model.".to_string(),
        ],
    );
    record.save(&out, "")?;
    let guard = Guard::new();
    'all: for &d in components {
        for [from, to, left_out] in TASKS {
            let t = f64::from(left_out - from) / f64::from(to - from);
            let (source, target, truth) = (
                day(folder, from, d)?,
                day(folder, to, d)?,
                day(folder, left_out, d)?,
            );
            let row = |name: &str, x: &[f64]| distances(name, x, &truth, d, bench.seed);
            let mixed = shuffled(&truth, d, bench.seed ^ 2);
            let half = (truth.len() / d / 2).min(ASSIGNED) * d;
            let mut rows = vec![
                distances(
                    "noise floor",
                    &mixed[..half],
                    &mixed[half..2 * half],
                    d,
                    bench.seed,
                )?,
                row(&format!("day {from} as it is"), &source)?,
                row(&format!("day {to} as it is"), &target)?,
            ];
            let mut fits = Vec::new();
            let whole = problem_of(&source, &target, d, "quadratic")?;
            let (m0, m1) = whole.moments();
            let linear = charflow::exact::GaussianMap::from_moments(m0, m1)?;
            let moved: Vec<f64> = source
                .iter()
                .zip(linear.forward(&source)?)
                .map(|(x, y)| x + t * (y - x))
                .collect();
            rows.push(row("linear", &moved)?);
            for method in bench.methods() {
                if interrupt::asked() {
                    record.interrupted = true;
                    break;
                }
                let config = bench.config(method, source.len() / d, target.len() / d, d)?;
                let name = format!("{d} components, day {from} to {to}, {}", method.name());
                let (solution, peak_memory_mb) = solve(
                    &name,
                    &config,
                    problem_of(&source, &target, d, "quadratic")?,
                )?;
                if solution.outcome == Outcome::Interrupted {
                    record.interrupted = true;
                    break;
                }
                let map = &solution.map;
                rows.push(row(
                    &format!("{}, day {from} pushed", method.name()),
                    &map.forward_at(&source, t)?,
                )?);
                rows.push(row(
                    &format!("{}, day {to} pulled", method.name()),
                    &map.backward_at(&target, t)?,
                )?);
                fits.push(Fit {
                    method: method.name(),
                    settings: config,
                    report: solution.report,
                    peak_memory_mb,
                });
            }
            record.runs.push(Run {
                from_day: from,
                to_day: to,
                left_out_day: left_out,
                time: t,
                components: d,
                cells: [&source, &target, &truth].map(|c| c.len() / d),
                rows,
                fits,
            });
            record.save(&out, &table(&record.runs))?;
            if record.interrupted {
                break 'all;
            }
        }
    }
    drop(guard);
    let text = format!("{}\n", table(&record.runs));
    record.conclude(bench.json, &text, "record.json, table.md", &out)
}

fn table(runs: &[Run]) -> String {
    let mut rows = Vec::new();
    let mut kept = String::new();
    for run in runs {
        let task = format!(
            "{} -> {}, {} left out",
            run.from_day, run.to_day, run.left_out_day
        );
        for row in &run.rows {
            let numbers = [
                row.energy_distance,
                row.half_energy_distance,
                row.wasserstein_1,
                row.wasserstein_2,
            ];
            let mut cells = vec![run.components.to_string(), task.clone(), row.cells.clone()];
            cells.extend(numbers.map(|v| digits(Some(v))));
            rows.push(cells);
        }
        for fit in &run.fits {
            let memory = fit
                .peak_memory_mb
                .map_or(String::new(), |m| format!(", {m:.0} MB"));
            kept.push_str(&format!(
                "- {} components, {task}, {}: {} steps in {}{memory}; kept the model of step {}: {}\n",
                run.components,
                fit.method,
                fit.report.steps,
                duration(fit.report.seconds),
                fit.report.chosen_step,
                fit.report.chosen_by
            ));
        }
    }
    let head = ["components", "days", "cells", "ED", "ED / 2", "W1", "W2"];
    format!("{}\n{kept}", markdown(&head, &rows))
}

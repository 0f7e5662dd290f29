//! `bench color`: colour transfer between pairs of pictures, both ways, every method, means by group (paper 6.1.3, B.3, C.2).
//!
//! The pairs are those of a table `pairs.csv` with the columns `group`, `pair`, `role`, `file_a`, `file_b`; files are relative to its folder. Pictures are judged as stored samples,
//! before a file format loses anything.

use super::Bench;
use super::record::{Record, digits, markdown};
use crate::failure::{Failure, Result};
use crate::interrupt::{self, Guard};
use crate::terminal::{duration, tell};
use crate::verbs::color::{
    Fitting, Judged, Kind, Side, Use, Wanted, fitted_baselines, judge, raster, recolored,
};
use charflow::evaluate::{Evaluation, evaluate_on};
use charflow::solver::{Config, Report};
use charflow_lab::color::{Space, Way};
use charflow_lab::figures::{MontageFigure, Raster};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A line of `pairs.csv`.
#[derive(Deserialize, Clone)]
struct Pair {
    group: String,
    pair: String,
    role: String,
    file_a: PathBuf,
    file_b: PathBuf,
}

/// What came out for a pair.
#[derive(Serialize)]
struct Run {
    group: String,
    pair: String,
    /// Decoding, fitting, certificate and both pictures: what `charflow color` does but for its files and the scores.
    seconds: f64,
    forward: Judged,
    backward: Judged,
    evaluation: Evaluation,
    report: Report,
    settings: Config,
}

/// Histogram intersection of the paper's method (table of 6.1.3), in groups that go by these names here; its pairs are others.
const PAPER: [(&str, f64); 3] = [
    ("winter_summer", 0.891),
    ("monet_photo", 0.917),
    ("gogh_photo", 0.912),
];

/// Runs the benchmark.
///
/// # Errors
/// See [`Failure`].
pub fn run(bench: &Bench) -> Result<()> {
    let folder = folder(bench)?;
    let pairs = pairs(bench, &folder)?;
    let out = bench.folder("color")?;
    let mut record = Record::new(
        "color",
        vec![
            format!("Pairs of role {}, both directions of each, judged as stored samples of 8 bits before any file format. Means over pairs and directions.", bench.role),
            "EMD: 1-D Wasserstein-1 distance of the channels' 256-bin histograms, levels scaled to [0, 1]; HI: histogram intersection; both means over the channels. ED: energy distance of 5,000 + 5,000 colours as points of [0, 1]^3, of pixels that took part in the fits; chance: its 95 % quantile between draws of one picture.".into(),
            "Moved: mean distance of old and new colour. Clipped: share of the pixels whose new colour was outside of the gamut.".into(),
            "Grain: each 8-bit pixel is spread over its level's cell before it is mapped. It is worth much in the histogram metrics, since a stretch of whole levels leaves gaps; histogram matching is therefore also shown with the same grain. Without grain it is the table from level to level that picture programs use.".into(),
            "The paper's row is quoted; its pairs are others of the same data sets, and its EMD fits no definition that we found, so it is left out.".into(),
        ],
    );
    // What a montage shows of each pair: direction, then the pair's pictures by column.
    let mut montages: Vec<(String, [Vec<MontageRow>; 2])> = Vec::new();
    let mut columns = Vec::new();
    let _guard = Guard::new();
    for pair in &pairs {
        if interrupt::asked() {
            record.interrupted = true;
            break;
        }
        tell(&format!("{} {}", pair.group, pair.pair));
        let done = one(bench, &folder, pair)?;
        let (run, rows) = match done {
            Some(done) => done,
            None => {
                record.interrupted = true;
                break;
            }
        };
        if montages.iter().all(|m| m.0 != pair.group) {
            montages.push((pair.group.clone(), Default::default()));
        }
        if let Some((_, sides)) = montages.iter_mut().find(|m| m.0 == pair.group) {
            for (side, (names, row)) in sides.iter_mut().zip(rows) {
                columns = names;
                side.push((pair.pair.clone(), row));
            }
        }
        record.runs.push(run);
        record.save(&out, &table(&record.runs))?;
    }
    let mut files = String::from("record.json, table.md");
    if !bench.no_figures {
        for (group, sides) in &montages {
            for (side, way) in sides.iter().zip(["forward", "backward"]) {
                let (labels, rows): (Vec<String>, Vec<Vec<Raster>>) = side.iter().cloned().unzip();
                let name = format!("{group}-{way}");
                MontageFigure {
                    title: &format!("{group}, {way}"),
                    columns: &columns,
                    rows: &rows,
                    row_labels: &labels,
                }
                .save(&out.join(&name))?;
                files.push_str(&format!(", {name}.png"));
            }
        }
    }
    record.save(&out, &table(&record.runs))?;
    record.conclude(
        bench.json,
        &format!("{}\n", table(&record.runs)),
        &files,
        &out,
    )
}

/// Names of columns, and a picture for each.
type Columns = (Vec<String>, Vec<Raster>);
/// A pair's name and its pictures.
type MontageRow = (String, Vec<Raster>);

/// Fits and judges one pair; `None` after an interrupt.
fn one(bench: &Bench, folder: &Path, pair: &Pair) -> Result<Option<(Run, [Columns; 2])>> {
    let started = Instant::now();
    let source = Side::read(&folder.join(&pair.file_a))?;
    let target = Side::read(&folder.join(&pair.file_b))?;
    let fitting = Fitting {
        space: Space::Srgb,
        effort: bench.effort.name().into(),
        seed: bench.seed,
        threads: bench.threads.unwrap_or(0),
        time_limit: bench.time_limit.unwrap_or(0.0),
        steps: bench.steps,
        set: bench.set.clone(),
    };
    let (problem, settings) = fitting.problem(&source, &target)?;
    let solution = match fitting.solve(problem, &settings) {
        Ok(done) => done,
        Err(Failure::Short(_)) if interrupt::asked() => return Ok(None),
        Err(e) => return Err(e),
    };
    let map = &solution.map;
    let (x, y) = &solution.points;
    let evaluation = evaluate_on(solution.origin(), map, x, y, None, bench.seed)?;
    let usage = |grain: Option<u64>, kind| Use {
        space: Space::Srgb,
        kind,
        strength: 1.0,
        exact: true,
        grain,
    };
    let grain = Some(bench.seed);
    // One way: the picture, the look of this kind, and what it makes of it.
    let made = |way, from: &Side, usage: Use| {
        recolored(&from.picture, &usage.look(map, way), usage.finish())
    };
    let full = usage(grain, Kind::Full);
    let pushed = made(Way::Forward, &source, full)?;
    let pulled = made(Way::Backward, &target, full)?;
    let seconds = started.elapsed().as_secs_f64();

    let baselines = fitted_baselines(&source, &target)?;
    let side = |way, from: &Side, to: &Side, (result, done)| -> Result<(Judged, Columns)> {
        let mut ours = vec![(full.name(), result, done)];
        let graded = usage(grain, Kind::Graded);
        for (name, usage) in [
            ("charflow, no grain".into(), usage(None, Kind::Full)),
            (graded.name(), graded),
        ] {
            let (result, done) = made(way, from, usage)?;
            ours.push((name, result, done));
        }
        let wanted = Wanted::of(&to.picture, bench.seed);
        let mut columns = Columns::default();
        let judged = judge(
            &from.picture,
            &wanted,
            &ours,
            &baselines,
            way,
            grain,
            &mut |method, picture| {
                if !method.ends_with("grain") {
                    columns.0.push(method.into());
                    columns.1.push(raster(picture)?);
                }
                Ok(())
            },
        )?;
        columns.0.push("target".into());
        columns.1.push(raster(&to.picture)?);
        Ok((judged, columns))
    };
    let (forward, there) = side(Way::Forward, &source, &target, pushed)?;
    let (backward, back) = side(Way::Backward, &target, &source, pulled)?;
    Ok(Some((
        Run {
            group: pair.group.clone(),
            pair: pair.pair.clone(),
            seconds,
            forward,
            backward,
            evaluation,
            report: solution.report,
            settings,
        },
        [there, back],
    )))
}

/// The folder of `pairs.csv`.
fn folder(bench: &Bench) -> Result<PathBuf> {
    let Some(folder) = bench.data_folder() else {
        return Err(Failure::input(
            "color needs pairs of pictures: give their folder, with pairs.csv in it, by --data, or set CHARFLOW_DATA.",
        ));
    };
    [folder.clone(), folder.join("color_pairs")]
        .into_iter()
        .find(|f| f.join("pairs.csv").is_file())
        .ok_or_else(|| {
            Failure::input(format!(
                "{}: there is no pairs.csv in it, nor in color_pairs in it. It needs the columns group, pair, role, file_a, file_b.",
                folder.display()
            ))
        })
}

/// The pairs asked for, in the order of the table.
fn pairs(bench: &Bench, folder: &Path) -> Result<Vec<Pair>> {
    let path = folder.join("pairs.csv");
    let bad = |e: &csv::Error| Failure::input(format!("{}: {e}.", path.display()));
    let mut reader = csv::Reader::from_path(&path).map_err(|e| bad(&e))?;
    let all: Vec<Pair> = reader
        .deserialize()
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| bad(&e))?;
    let groups = distinct(all.iter().map(|p| p.group.as_str()));
    if let Some(group) = bench.group.iter().find(|g| !groups.contains(&g.as_str())) {
        return Err(Failure::input(format!(
            "--group {group}: {} has the groups {}.",
            path.display(),
            groups.join(", ")
        )));
    }
    let mut chosen: Vec<Pair> = Vec::new();
    for pair in &all {
        let asked = bench.group.is_empty() || bench.group.contains(&pair.group);
        let before = chosen.iter().filter(|p| p.group == pair.group).count();
        if asked && pair.role == bench.role && bench.pairs.is_none_or(|most| before < most) {
            chosen.push(pair.clone());
        }
    }
    if chosen.is_empty() {
        return Err(Failure::input(format!(
            "{}: no pair has the role {} in the groups asked for.",
            path.display(),
            bench.role
        )));
    }
    Ok(chosen)
}

/// Each name once, in order.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut out = Vec::new();
    for name in names {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

/// Means by group and method.
fn table(runs: &[Run]) -> String {
    let head = [
        "group",
        "method",
        "EMD",
        "HI",
        "ED 3-D",
        "chance",
        "moved",
        "clipped %",
        "seconds",
    ];
    let mut rows = Vec::new();
    let groups = distinct(runs.iter().map(|r| r.group.as_str()));
    for group in groups {
        let runs: Vec<&Run> = runs.iter().filter(|r| r.group == group).collect();
        let sides: Vec<&Judged> = runs
            .iter()
            .flat_map(|r| [&r.forward, &r.backward])
            .collect();
        let noise: Vec<f64> = sides.iter().filter_map(|j| j.noise).collect();
        let mean = |values: &mut dyn Iterator<Item = f64>| {
            let all: Vec<f64> = values.collect();
            all.iter().sum::<f64>() / all.len().max(1) as f64
        };
        let seconds = mean(&mut runs.iter().map(|r| r.seconds));
        let methods = sides.first().map_or(0, |j| j.scores.len());
        for k in 0..methods {
            let of = |f: &dyn Fn(&crate::verbs::color::Score) -> f64| {
                mean(&mut sides.iter().map(|j| f(&j.scores[k])))
            };
            let name = &sides[0].scores[k].method;
            rows.push(vec![
                group.to_string(),
                name.clone(),
                format!("{:.5}", of(&|s| s.emd)),
                format!("{:.4}", of(&|s| s.histogram_intersection)),
                digits(Some(of(&|s| s.energy_distance))),
                digits(Some(mean(&mut noise.iter().copied()))),
                format!("{:.3}", of(&|s| s.moved)),
                format!("{:.2}", 100.0 * of(&|s| s.clipped)),
                if name == "charflow" {
                    format!("{seconds:.1}")
                } else {
                    "-".into()
                },
            ]);
        }
        if let Some((_, hi)) = PAPER.iter().find(|p| p.0 == group) {
            let mut cells = vec!["-".to_string(); head.len()];
            cells[0] = group.into();
            cells[1] = "NCF (paper)".into();
            cells[3] = hi.to_string();
            rows.push(cells);
        }
    }
    let each: String = runs
        .iter()
        .map(|r| {
            let ours = |j: &Judged| {
                j.scores
                    .iter()
                    .find(|s| s.method == "charflow")
                    .map_or_else(String::new, |s| {
                        format!(
                            "EMD {:.4}, HI {:.3}, ED {:.1e}",
                            s.emd, s.histogram_intersection, s.energy_distance
                        )
                    })
            };
            format!(
                "- {} {}: forward {}; backward {}; {} ({} steps)\n",
                r.group,
                r.pair,
                ours(&r.forward),
                ours(&r.backward),
                duration(r.seconds),
                r.report.steps
            )
        })
        .collect();
    format!("{}\n{each}", markdown(&head, &rows))
}

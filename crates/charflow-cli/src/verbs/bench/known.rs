//! Problems with a known answer: fit, judge, say.
//!
//! Every row is judged on fresh points, drawn with another seed than those of the fit.

use super::Bench;
use super::record::{Record, digits, forget_peak, markdown, peak_memory};
use crate::failure::Result;
use crate::interrupt::{self, Guard};
use crate::progress::Watcher;
use crate::terminal::{duration, tell};
use charflow::cost::{self, Cost, Quadratic};
use charflow::exact::GaussianMap;
use charflow::loss::energy_distance;
use charflow::map::{BackwardMap, ForwardMap, IdentityMap};
use charflow::model::CharacteristicMap;
use charflow::solver::{
    Checkpoint, Config, NcfSolver, Observer, Outcome, Progress, Report, Solution,
};
use charflow::{Problem, Samples};
use charflow_lab::figures::{LossFigure, LossPanel, Series, Style};
use charflow_lab::metrics;
use serde::Serialize;
use std::path::Path;

/// Fresh points of each side that a map is judged on.
const JUDGED_ON: usize = 65_536;
/// Of these, points of each side in an energy distance: it takes the square of their number.
const ENERGY_POINTS: usize = 10_000;
/// Fresh points of each side behind a curve.
const CURVE_POINTS: usize = 4096;
/// Added to the seed of the fit for the points of the judging.
const OTHER_SEED: u64 = 0x5eed_0000;

/// Points and their true images, `[n, d]` each.
pub type Pairs = (Vec<f64>, Vec<f64>);

/// A problem whose answer is known.
pub trait Known {
    /// The dimension.
    fn dim(&self) -> usize;
    /// Where it comes from, in words.
    fn origin(&self) -> String;
    /// The cost that its map is optimal for.
    fn cost(&self) -> &dyn Cost {
        &Quadratic
    }
    /// Its name and what is asked of a fit, where a benchmark has problems of several kinds.
    fn asked(&self) -> Option<Asked> {
        None
    }
    /// Total variance of source and target.
    fn variances(&self) -> [f64; 2];
    /// Source points `x` and `T(x)`.
    ///
    /// # Errors
    /// What the problem says.
    fn source(&self, n: usize, seed: u64, stream: u64) -> Result<Pairs>;
    /// Target points `y` and `S(y)`.
    ///
    /// # Errors
    /// What the problem says.
    fn target(&self, n: usize, seed: u64, stream: u64) -> Result<Pairs>;
    /// Forward L2-UVP in percent that others have published, by method.
    fn published(&self) -> Vec<(&'static str, f64)>;
    /// The same for methods whose numbers are known from a secondary source only.
    fn reported(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }
}

/// The column of a dimension in a table of others' numbers, by method: none where there is no such column, no row where there is no number.
pub fn column_of<const N: usize>(
    dim: usize,
    dims: &[usize; N],
    rows: &[(&'static str, [f64; N])],
) -> Vec<(&'static str, f64)> {
    let Some(k) = dims.iter().position(|d| *d == dim) else {
        return Vec::new();
    };
    rows.iter()
        .map(|(name, row)| (*name, row[k]))
        .filter(|(_, v)| !v.is_nan())
        .collect()
}

/// What is asked of a fit.
#[derive(Serialize, Clone)]
pub struct Asked {
    /// The kind of problem: `line`, `pair`.
    pub problem: String,
    /// The cost, with its settings.
    pub cost: String,
    /// L2-UVP in percent, at most, forward and backward.
    pub uvp_percent: f64,
    /// How far the transport cost may be from the true one, in percent of it.
    pub cost_percent: f64,
    /// A cost with another cheapest map, if there is one.
    pub wrong_cost: Option<String>,
}

/// A fit to make. Its cost is that of the settings.
pub struct Entry {
    /// Its name in table and figure.
    pub name: String,
    /// Its settings.
    pub config: Config,
    /// Whether as many steps are asked for as the time limit has room for, by a short trial. Warm-up and looks at the held-out points are shares of the
    /// steps, so a limit that comes long before the last step would leave out the one and stretch the other.
    pub steps_by_time: bool,
}

/// One problem with all that was tried on it.
#[derive(Serialize)]
pub struct Run {
    pub dim: usize,
    data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    training_points: usize,
    judged_on: usize,
    energy_distance_on: usize,
    pub true_cost: f64,
    pub rows: Vec<Row>,
    published_forward_uvp: Vec<(&'static str, f64)>,
    /// As reported by a secondary source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reported_forward_uvp: Vec<(&'static str, f64)>,
}

/// One map on one problem.
#[derive(Serialize)]
pub struct Row {
    pub map: String,
    pub scores: Scores,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
}

/// Each pair is forward, backward.
#[derive(Serialize)]
pub struct Scores {
    pub uvp_percent: [f64; 2],
    cosine: [f64; 2],
    pub energy_distance: [f64; 2],
    /// `E l(T(x) - x)` for the cost of the problem; infinite, in JSON null, where the map goes further than the cost allows.
    pub cost: f64,
}

/// How a map was fitted.
#[derive(Serialize)]
pub struct Fit {
    pub settings: Config,
    pub report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_mb: Option<f64>,
    /// The averaged weights on the way, on 4,096 fresh points. Recorded only: nothing is chosen by it.
    curve: Vec<Point>,
}

/// One point of a curve.
#[derive(Serialize, Clone, Copy)]
struct Point {
    step: u64,
    seconds: f64,
    /// Forward, backward.
    uvp_percent: [f64; 2],
}

/// Points with their true images for judging.
struct Judge<'a> {
    dim: usize,
    cost: &'a dyn Cost,
    variances: [f64; 2],
    /// Forward, backward.
    pairs: [Pairs; 2],
}

impl<'a> Judge<'a> {
    fn new(problem: &'a dyn Known, n: usize, seed: u64, stream: u64) -> Result<Self> {
        let seed = seed.wrapping_add(OTHER_SEED);
        let variances = problem.variances();
        Ok(Judge {
            dim: problem.dim(),
            cost: problem.cost(),
            variances: [variances[1], variances[0]],
            pairs: [
                problem.source(n, seed, stream)?,
                problem.target(n, seed, stream + 1)?,
            ],
        })
    }

    fn uvp(&self, images: &[Vec<f64>; 2]) -> Result<[f64; 2]> {
        let of =
            |k: usize| metrics::l2_uvp(&images[k], &self.pairs[k].1, self.dim, self.variances[k]);
        Ok([of(0)?, of(1)?])
    }

    fn images(
        &self,
        forward: &dyn ForwardMap,
        backward: &dyn BackwardMap,
    ) -> Result<[Vec<f64>; 2]> {
        Ok([
            forward.forward(&self.pairs[0].0)?,
            backward.backward(&self.pairs[1].0)?,
        ])
    }

    fn scores(&self, forward: &dyn ForwardMap, backward: &dyn BackwardMap) -> Result<Scores> {
        let images = self.images(forward, backward)?;
        let d = self.dim;
        let cosine = |k: usize| metrics::cosine(&self.pairs[k].0, &images[k], &self.pairs[k].1, d);
        let energy = |k: usize| {
            let part = |v: &[f64]| v[..v.len().min(ENERGY_POINTS * d)].to_vec();
            energy_distance(
                &part(&images[k]),
                None,
                &part(&self.pairs[1 - k].0),
                None,
                d,
            )
        };
        Ok(Scores {
            uvp_percent: self.uvp(&images)?,
            cosine: [cosine(0)?, cosine(1)?],
            energy_distance: [energy(0), energy(1)],
            cost: mean_cost(self.cost, &self.pairs[0].0, &images[0], d),
        })
    }

    fn true_cost(&self) -> f64 {
        mean_cost(self.cost, &self.pairs[0].0, &self.pairs[0].1, self.dim)
    }
}

/// `E l(T(x) - x)`.
fn mean_cost(cost: &dyn Cost, x: &[f64], images: &[f64], d: usize) -> f64 {
    let mut v = vec![0.0; d];
    let sum: f64 = x
        .chunks_exact(d)
        .zip(images.chunks_exact(d))
        .map(|(x, t)| {
            v.iter_mut()
                .zip(x.iter().zip(t))
                .for_each(|(v, (x, t))| *v = t - x);
            cost.l(&v)
        })
        .sum();
    sum / (x.len() / d).max(1) as f64
}

/// What a map on the way scores, forward and backward.
pub type OnTheWay<'a> = &'a (dyn Fn(&CharacteristicMap) -> Result<[f64; 2]> + Sync);

/// A score on the way.
#[derive(Clone, Copy)]
pub struct Moment {
    pub step: u64,
    pub seconds: f64,
    /// Forward, backward.
    pub scores: [f64; 2],
}

/// Shows progress as `fit` does, and follows what the map scores.
pub struct Recorder<'a> {
    watcher: Watcher<'a>,
    judge: Option<OnTheWay<'a>>,
    /// Between scores: this share of the time so far, since scores change fast at first, and at least so many seconds.
    pub pace: [f64; 2],
    pub curve: Vec<Moment>,
}

impl Observer for Recorder<'_> {
    fn on_progress(&mut self, progress: &Progress<'_>) {
        self.watcher.on_progress(progress);
    }

    fn on_note(&mut self, text: &str) {
        self.watcher.on_note(text);
    }

    fn should_stop(&mut self) -> bool {
        self.watcher.should_stop()
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> charflow::Result<()> {
        let Some(judge) = self.judge else {
            return Ok(());
        };
        if self
            .curve
            .last()
            .is_some_and(|p| p.step == checkpoint.step())
        {
            return Ok(());
        }
        // A map that cannot be evaluated leaves a gap in a picture, it does not end a solve.
        if let Ok(scores) = judge(&checkpoint.map()?) {
            self.curve.push(Moment {
                step: checkpoint.step(),
                seconds: checkpoint.seconds(),
                scores,
            });
        }
        Ok(())
    }

    fn checkpoint_seconds(&self) -> f64 {
        let [share, least] = self.pace;
        let spent = self.curve.last().map_or(0.0, |p| p.seconds);
        (share * spent).max(least)
    }
}

impl<'a> Recorder<'a> {
    /// Scores every second at first, later every fiftieth of the time so far.
    pub fn new(config: &Config, judge: Option<OnTheWay<'a>>) -> Self {
        Recorder {
            watcher: Watcher::new(None, config.time_limit, 0.0, 1.0),
            judge,
            pace: [0.02, 1.0],
            curve: Vec::new(),
        }
    }
}

/// Source and target for a fit, with the cost as [`charflow::cost::parse`] reads it.
///
/// # Errors
/// What [`Samples`] and [`Problem`] find wrong with them.
pub fn problem_of(source: &[f64], target: &[f64], d: usize, cost: &str) -> Result<Problem> {
    let source = Samples::from_f64(source, d)?.named("source");
    let target = Samples::from_f64(target, d)?.named("target");
    Ok(Problem::new(source, target, cost::parse(cost)?)?)
}

/// One fit; its peak of memory in megabytes, where it can be told.
///
/// # Errors
/// What the solver says.
pub fn solve(name: &str, config: &Config, problem: Problem) -> Result<(Solution, Option<f64>)> {
    solve_with(name, config, problem, &mut Recorder::new(config, None))
}

/// [`solve`], followed by a recorder.
///
/// # Errors
/// What the solver says.
pub fn solve_with(
    name: &str,
    config: &Config,
    problem: Problem,
    recorder: &mut Recorder<'_>,
) -> Result<(Solution, Option<f64>)> {
    tell(&format!("{name}: {} steps at most", config.steps));
    forget_peak();
    let solution = NcfSolver::new(config.clone()).solve(problem, recorder);
    recorder.watcher.finish();
    let solution = solution?;
    let report = &solution.report;
    tell(&format!(
        "{name}: {} steps in {}; kept that of step {}: {}",
        report.steps,
        duration(report.seconds),
        report.chosen_step,
        report.chosen_by
    ));
    Ok((solution, peak_memory()))
}

/// The steps that the time limit has room for, from a trial of a twentieth of it.
///
/// # Errors
/// What the solver says.
pub fn steps_in_time(config: &Config, problem: Problem) -> Result<u64> {
    let trial = Config {
        time_limit: (0.05 * config.time_limit).clamp(0.2, 5.0),
        ..config.clone()
    };
    let report = NcfSolver::new(trial)
        .solve(problem, &mut Recorder::new(config, None))?
        .report;
    let rate = report.steps as f64 / report.seconds.max(1e-3);
    Ok(((rate * config.time_limit) as u64).max(1))
}

/// A benchmark: its problems, what is fitted to each, and how it is shown.
pub struct Plan<'a> {
    /// Its name.
    pub name: &'static str,
    /// What a reader has to know, a sentence each.
    pub about: Vec<String>,
    /// The problems.
    pub problems: &'a [Box<dyn Known>],
    /// Training points of each side for a problem.
    pub samples: &'a dyn Fn(&dyn Known) -> usize,
    /// The fits to make for a problem.
    pub entries: &'a dyn Fn(&dyn Known) -> Result<Vec<Entry>>,
    /// The table of all runs: [`table`], or one of its own.
    pub table: fn(&[Run]) -> String,
    /// The figure `error`, false where there is nothing to draw: [`draw`], or one of its own.
    pub draw: fn(&[Run], &Path) -> Result<bool>,
}

/// Fits and judges all problems, and writes what came out.
///
/// # Errors
/// What the problems, the solver or the disk say; [`Failure::Short`] after an interrupt, when all that was done is written.
pub fn run(bench: &Bench, plan: Plan<'_>) -> Result<()> {
    let Plan {
        name: benchmark,
        about,
        problems,
        table,
        draw,
        ..
    } = plan;
    let out = bench.folder(benchmark)?;
    let mut record = Record::new(benchmark, about);
    record.about.push(format!(
        "L2-UVP, cosine and cost on {JUDGED_ON} fresh points of each side, energy distances on {ENERGY_POINTS} of them; curves on {CURVE_POINTS} others. The truth was recorded, never used: each model was chosen as its row says."
    ));
    record.save(&out, "")?;
    let guard = Guard::new();
    for problem in problems {
        let d = problem.dim();
        let n = (plan.samples)(problem.as_ref());
        let entries = (plan.entries)(problem.as_ref())?;
        let (source, _) = problem.source(n, bench.seed, 0)?;
        // Other source points than those of the fit lie behind the target: the samples are not paired.
        let (target, _) = problem.target(n, bench.seed, 1)?;
        let judge = Judge::new(problem.as_ref(), JUDGED_ON, bench.seed, 0)?;
        let curve_judge = Judge::new(problem.as_ref(), CURVE_POINTS, bench.seed, 2)?;
        let linear = {
            // The closed form is that of the quadratic cost, in the coordinates of the problem's own.
            let whole = problem_of(&source, &target, d, &problem.cost().name())?;
            let (m0, m1) = whole.inner_moments();
            GaussianMap::from_moments(m0, m1)?.in_coordinates(problem.cost().coordinates())
        };
        let identity = IdentityMap::new(d);
        let baseline = |name: &str, scores| Row {
            map: name.into(),
            scores,
            fit: None,
        };
        record.runs.push(Run {
            dim: d,
            data: problem.origin(),
            asked: problem.asked(),
            training_points: n,
            judged_on: JUDGED_ON,
            energy_distance_on: ENERGY_POINTS,
            true_cost: judge.true_cost(),
            rows: vec![
                baseline("identity", judge.scores(&identity, &identity)?),
                baseline("linear", judge.scores(&linear, &linear)?),
            ],
            published_forward_uvp: problem.published(),
            reported_forward_uvp: problem.reported(),
        });
        // Several problems have the same dimension: those say their names.
        let of = problem.asked().map_or(String::new(), |a| {
            format!("{}, {}, ", a.problem, cost::short(&a.cost))
        });
        for entry in entries {
            let Entry {
                name, mut config, ..
            } = entry;
            if entry.steps_by_time && config.time_limit > 0.0 {
                config.steps =
                    steps_in_time(&config, problem_of(&source, &target, d, &config.cost)?)?;
            }
            if interrupt::asked() {
                record.interrupted = true;
                break;
            }
            let follow = |map: &CharacteristicMap| curve_judge.uvp(&curve_judge.images(map, map)?);
            let mut recorder = Recorder::new(&config, Some(&follow));
            let whole = problem_of(&source, &target, d, &config.cost)?;
            let (solution, peak_memory_mb) =
                solve_with(&format!("{of}d {d}, {name}"), &config, whole, &mut recorder)?;
            if solution.outcome == Outcome::Interrupted {
                record.interrupted = true;
                break;
            }
            let row = Row {
                scores: judge.scores(&solution.map, &solution.map)?,
                map: name,
                fit: Some(Fit {
                    settings: config,
                    report: solution.report,
                    peak_memory_mb,
                    curve: recorder
                        .curve
                        .iter()
                        .map(|m| Point {
                            step: m.step,
                            seconds: m.seconds,
                            uvp_percent: m.scores,
                        })
                        .collect(),
                }),
            };
            if let Some(run) = record.runs.last_mut() {
                run.rows.push(row);
            }
            record.save(&out, &table(&record.runs))?;
        }
        record.save(&out, &table(&record.runs))?;
        if record.interrupted {
            break;
        }
    }
    drop(guard);
    let figure = draw(&record.runs, &out)?;
    let files = if figure {
        "record.json, table.md, error.png, error.svg"
    } else {
        "record.json, table.md"
    };
    record.conclude(bench.json, &table(&record.runs), files, &out)
}

/// All rows, then what others have published beside ours.
pub fn table(runs: &[Run]) -> String {
    let head = [
        "d",
        "map",
        "UVP % fwd",
        "bwd",
        "cos fwd",
        "bwd",
        "ED fwd",
        "bwd",
        "cost",
        "true cost",
        "time",
        "steps",
        "memory MB",
    ];
    let mut rows = Vec::new();
    let mut kept = String::new();
    for run in runs {
        for row in &run.rows {
            let s = &row.scores;
            let fit = row.fit.as_ref();
            let mut cells = vec![run.dim.to_string(), row.map.clone()];
            cells.extend([s.uvp_percent[0], s.uvp_percent[1]].map(|v| digits(Some(v))));
            cells.extend(s.cosine.map(|v| format!("{v:.4}")));
            cells.extend(s.energy_distance.map(|v| format!("{v:.1e}")));
            cells.extend([format!("{:.4}", s.cost), format!("{:.4}", run.true_cost)]);
            cells.push(fit.map_or("-".into(), |f| duration(f.report.seconds)));
            cells.push(fit.map_or("-".into(), |f| f.report.steps.to_string()));
            cells.push(
                fit.and_then(|f| f.peak_memory_mb)
                    .map_or("-".into(), |m| format!("{m:.0}")),
            );
            rows.push(cells);
            if let Some(f) = fit {
                kept.push_str(&format!(
                    "- d {}, {}: kept the model of step {}: {}{}\n",
                    run.dim,
                    row.map,
                    f.report.chosen_step,
                    f.report.chosen_by,
                    match f.report.outcome {
                        Outcome::Diverged => "; the solve diverged",
                        _ => "",
                    }
                ));
            }
        }
    }
    let mut text = markdown(&head, &rows);
    text.push_str(&published(runs));
    if !kept.is_empty() {
        text.push_str(&format!("\n{kept}"));
    }
    text
}

/// Forward errors of ours beside those that others have published, or that a secondary source reports.
fn published(runs: &[Run]) -> String {
    type Numbers = fn(&Run) -> &[(&'static str, f64)];
    let sources: [(&str, Numbers); 2] = [
        ("published", |run| &run.published_forward_uvp),
        ("reported", |run| &run.reported_forward_uvp),
    ];
    let with: Vec<&Run> = runs
        .iter()
        .filter(|run| sources.iter().any(|(_, of)| !of(run).is_empty()))
        .collect();
    if with.is_empty() {
        return String::new();
    }
    let mut head = vec!["forward L2-UVP %".to_string()];
    head.extend(with.iter().map(|r| format!("d = {}", r.dim)));
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut ours: Vec<&str> = Vec::new();
    for row in with.iter().flat_map(|r| &r.rows) {
        if !ours.contains(&row.map.as_str()) {
            ours.push(&row.map);
        }
    }
    for name in ours {
        let cells = with.iter().map(|r| {
            let row = r.rows.iter().find(|row| row.map == name);
            digits(row.map(|row| row.scores.uvp_percent[0]))
        });
        rows.push(
            std::iter::once(format!("{name}, here"))
                .chain(cells)
                .collect(),
        );
    }
    for (word, numbers) in sources {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in with.iter().flat_map(|run| numbers(run)) {
            if !names.contains(name) {
                names.push(name);
            }
        }
        for name in names {
            let cells = with.iter().map(|run| {
                let found = numbers(run).iter().find(|(n, _)| *n == name);
                found.map_or("-".into(), |(_, v)| v.to_string())
            });
            rows.push(
                std::iter::once(format!("{name}, {word}"))
                    .chain(cells)
                    .collect(),
            );
        }
    }
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    format!("\n{}", markdown(&head, &rows))
}

/// Error against time; false where there is no curve to draw.
pub fn draw(runs: &[Run], out: &Path) -> Result<bool> {
    let several = runs.len() > 1;
    let panel = |k: usize, title: &str| {
        let mut series = Vec::new();
        for (d, run) in runs.iter().enumerate() {
            for (m, (row, fit)) in (run.rows.iter())
                .filter_map(|row| Some((row, row.fit.as_ref()?)))
                .enumerate()
            {
                let name = if several {
                    format!("d = {}, {}", run.dim, row.map)
                } else {
                    row.map.clone()
                };
                let points = fit
                    .curve
                    .iter()
                    .map(|p| (p.seconds, p.uvp_percent[k]))
                    .collect();
                // There are six colours: dots tell what would be the seventh line, or another method in the colour of its dimension.
                let (color, style) = match (several, m) {
                    (true, 0) => (d, Style::Line),
                    (true, _) => (d, Style::Points),
                    (false, 0..6) => (m, Style::Line),
                    (false, _) => (m, Style::Points),
                };
                series.push(Series::new(name, points, style, color));
            }
        }
        LossPanel {
            title: title.into(),
            y_label: "L2-UVP, %".into(),
            series,
        }
    };
    let panels = [panel(0, "forward"), panel(1, "backward")];
    if panels[0].series.iter().all(|s| s.points.is_empty()) {
        return Ok(false);
    }
    LossFigure {
        title: "",
        x_label: "seconds",
        panels: &panels,
    }
    .save(&out.join("error"))?;
    Ok(true)
}

//! `bench adapt`: domain adaptation. The source's points have labels, the target's have none; the source is moved onto the target, and its labels go with it.
//!
//! ```text
//! label(y) = label of the x_i whose T(x_i) is nearest to y,      accuracy = share of target points with label(y) = their own
//! ```
//!
//! As in Courty, Flamary, Tuia and Rakotomamonjy, "Optimal transport for domain adaptation" (IEEE PAMI 39, 2017): digits of USPS and MNIST at 16 x 16 pixels, and four sets of pictures of objects as
//! histograms of SURF words (Office-Caltech10; Gong, Shi, Sha and Grauman, CVPR 2012). All methods work on the same principal components.

use super::known::{problem_of, solve};
use super::record::{Record, markdown};
use super::{Bench, Method};
use crate::failure::{Failure, Result};
use crate::interrupt::{self, Guard};
use crate::terminal::{duration, tell};
use charflow::cost::Quadratic;
use charflow::exact::GaussianMap;
use charflow::map::ForwardMap;
use charflow::solver::{Config, Outcome, Report};
use charflow::{Problem, Samples};
use charflow_io::read_npz_matrix;
use charflow_lab::discrete::{Sinkhorn, SinkhornClasses, exact, squared_distances};
use charflow_lab::figures::{DotFigure, DotRow};
use charflow_lab::metrics::{column_statistics, nearest_class_accuracy};
use charflow_lab::project::Components;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Seconds of each fit.
const SECONDS: f64 = 60.0;
/// Target labels a class that the semi-supervised rows see.
const LABELS: usize = 3;
/// Classes are 0 to 9 in all sets.
const CLASSES: usize = 10;
/// Weight of the entropy and of the classes, as shares of the largest squared distance. Chosen before any accuracy was seen, and the same for all tasks: with target labels to tune on
/// there would be no need to adapt.
const EPS: f64 = 0.01;
const WEIGHT: f64 = 0.1;

/// What the features are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Features {
    Digits,
    Surf,
}

impl Features {
    fn name(self) -> &'static str {
        match self {
            Features::Digits => "digits, 16 x 16 pixels",
            Features::Surf => "objects, SURF words",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Features::Digits => "usps_mnist_16x16",
            Features::Surf => "office_caltech_surf",
        }
    }

    fn width(self) -> usize {
        match self {
            Features::Digits => 256,
            Features::Surf => 800,
        }
    }

    fn components(self) -> usize {
        match self {
            Features::Digits => 64,
            Features::Surf => 32,
        }
    }
}

/// A domain's name, features and file.
const DOMAINS: [(&str, Features, &str); 6] = [
    ("usps", Features::Digits, "usps1800.npz"),
    ("mnist", Features::Digits, "mnist2000.npz"),
    ("amazon", Features::Surf, "amazon_surf_l10.npz"),
    ("caltech", Features::Surf, "caltech_surf_l10.npz"),
    ("dslr", Features::Surf, "dslr_surf_l10.npz"),
    ("webcam", Features::Surf, "webcam_surf_l10.npz"),
];

/// Indices of source and target in [`DOMAINS`].
type Task = [usize; 2];

fn task_name(task: Task) -> String {
    task.map(|k| DOMAINS[k].0).join("-")
}

/// All ordered pairs of domains with the same features.
fn all_tasks() -> Vec<Task> {
    let count = DOMAINS.len();
    (0..count)
        .flat_map(|a| (0..count).map(move |b| [a, b]))
        .filter(|[a, b]| a != b && DOMAINS[*a].1 == DOMAINS[*b].1)
        .collect()
}

/// The tasks asked for.
fn tasks(bench: &Bench) -> Result<Vec<Task>> {
    let all = all_tasks();
    if bench.task.is_empty() {
        return Ok(all);
    }
    let mut chosen = Vec::new();
    for name in &bench.task {
        let task = all.iter().find(|t| task_name(**t) == *name);
        let task = task.ok_or_else(|| {
            let names: Vec<String> = all.iter().map(|t| task_name(*t)).collect();
            Failure::input(format!(
                "--task {name}: there is no such task; there are {}.",
                names.join(", ")
            ))
        })?;
        if !chosen.contains(task) {
            chosen.push(*task);
        }
    }
    Ok(chosen)
}

/// What is wrong with the command line.
///
/// # Errors
/// A task there is not, or options that do not go with this bench.
pub fn check(bench: &Bench) -> Result<()> {
    if bench.components.len() > 1 {
        return Err(Failure::input(
            "--components: adapt takes one number, for all tasks.",
        ));
    }
    if bench.method != [Method::NcfDual] {
        return Err(Failure::input(
            "adapt has no --method: it always compares the same ones.",
        ));
    }
    if bench.target_labels == Some(1) {
        return Err(Failure::input(
            "--target-labels 1: a class is fitted to two points at least; give 2 or more, or 0 for no semi-supervised rows.",
        ));
    }
    tasks(bench).map(|_| ())
}

/// The points of a domain as they are used, with their classes.
struct Domain {
    path: PathBuf,
    /// `[n, width]`.
    x: Vec<f64>,
    classes: Vec<usize>,
}

impl Domain {
    /// # Errors
    /// A file or an array that is missing or damaged; points of another width, labels that are not one a point, whole and in range.
    fn read(folder: &Path, domain: usize) -> Result<Self> {
        let (_, features, file) = DOMAINS[domain];
        let places = [folder.join(features.folder()).join(file), folder.join(file)];
        let path = places.iter().find(|p| p.is_file()).ok_or_else(|| {
            Failure::input(format!(
                "{} is missing. Give the folder that holds {} with --data DIR.",
                places[0].display(),
                features.folder()
            ))
        })?;
        let shown = path.display();
        let width = features.width();
        let (mut x, shape) = read_npz_matrix(path, "x")?;
        let (y, labels) = read_npz_matrix(path, "y")?;
        if shape.len() != 2 || shape[1] != width {
            return Err(Failure::input(format!(
                "{shown}: array `x` has the shape {shape:?}; expected a row of {width} features for each picture."
            )));
        }
        if labels != [shape[0]] {
            return Err(Failure::input(format!(
                "{shown}: array `y` has the shape {labels:?}; expected a label for each of the {} rows of `x`.",
                shape[0]
            )));
        }
        if shape[0] < 10 {
            return Err(Failure::input(format!(
                "{shown}: {} pictures; expected at least 10.",
                shape[0]
            )));
        }
        let in_range = |v: &f64| *v >= 0.0 && *v < CLASSES as f64 && v.fract() == 0.0;
        if let Some(k) = y.iter().position(|v| !in_range(v)) {
            return Err(Failure::input(format!(
                "{shown}: the label of row {} is {}; expected a whole number from 0 to {}.",
                k + 1,
                y[k],
                CLASSES - 1
            )));
        }
        if features == Features::Surf {
            standardise(&mut x, width)
                .map_err(|message| Failure::input(format!("{shown}: {message}")))?;
        }
        Ok(Domain {
            path: path.clone(),
            x,
            classes: y.iter().map(|v| *v as usize).collect(),
        })
    }

    /// How many points each class has.
    fn counts(&self) -> [usize; CLASSES] {
        let mut counts = [0; CLASSES];
        self.classes.iter().for_each(|k| counts[*k] += 1);
        counts
    }
}

/// Counts of words as shares of the row, then each column with mean 0 and deviation 1 within the domain: the usual preparation of these histograms. A word that never varies is left at 0.
fn standardise(x: &mut [f64], width: usize) -> std::result::Result<(), String> {
    for (k, row) in x.chunks_exact_mut(width).enumerate() {
        let sum: f64 = row.iter().sum();
        if sum <= 0.0 || row.iter().any(|v| *v < 0.0) {
            return Err(format!(
                "row {} is no histogram; expected counts of at least 0, not all of them 0.",
                k + 1
            ));
        }
        row.iter_mut().for_each(|v| *v /= sum);
    }
    let statistics = column_statistics(x, width).map_err(|e| e.to_string())?;
    for row in x.chunks_exact_mut(width) {
        for (j, v) in row.iter_mut().enumerate() {
            let (mean, variance) = (statistics.means[j], statistics.variances[j]);
            *v = if variance > 0.0 {
                (*v - mean) / variance.sqrt()
            } else {
                0.0
            };
        }
    }
    Ok(())
}

/// Both sides have the same classes, and the target enough points of each for the labels that are shown.
fn check_classes(source: &Domain, target: &Domain, labels: usize) -> Result<()> {
    let counts = [source.counts(), target.counts()];
    for k in 0..CLASSES {
        let (has, has_not) = match [counts[0][k], counts[1][k]] {
            [0, 0] => continue,
            [_, 0] => (source, target),
            [0, _] => (target, source),
            [_, n] if n <= labels => {
                return Err(Failure::input(format!(
                    "{}: class {k} has {n} pictures; with --target-labels {labels} there would be none left to score.",
                    target.path.display()
                )));
            }
            _ => continue,
        };
        return Err(Failure::input(format!(
            "{} has pictures of class {k}, {} has none; labels can only be carried over between the same classes.",
            has.path.display(),
            has_not.path.display()
        )));
    }
    Ok(())
}

/// A task with all that was tried on it.
#[derive(Serialize)]
struct Run {
    task: String,
    features: &'static str,
    /// Source, target.
    points: [usize; 2],
    components: usize,
    /// Share of the variance of both domains together that the components hold.
    variance_kept_percent: f64,
    rows: Vec<Row>,
}

/// A method on a task.
#[derive(Serialize)]
struct Row {
    method: String,
    accuracy_percent: f64,
    scored_on: usize,
    /// Of fitting and moving.
    seconds: f64,
    /// What there is to know about the fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fit: Option<Fit>,
}

#[derive(Serialize)]
struct Fit {
    settings: Config,
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_mb: Option<f64>,
}

/// The two clouds of a task in their components.
struct Clouds<'a> {
    name: String,
    d: usize,
    /// `[n, d]`.
    x: Vec<f64>,
    /// `[m, d]`.
    y: Vec<f64>,
    of_x: &'a [usize],
    of_y: &'a [usize],
}

impl Clouds<'_> {
    /// Percent of target points, but those left out, whose nearest reference has their class.
    fn accuracy(
        &self,
        references: &[f64],
        classes: &[usize],
        left_out: &[usize],
    ) -> Result<(f64, usize)> {
        let kept = (0..self.of_y.len()).filter(|j| !left_out.contains(j));
        let (mut points, mut own) = (Vec::new(), Vec::new());
        for j in kept {
            points.extend_from_slice(&self.y[j * self.d..(j + 1) * self.d]);
            own.push(self.of_y[j]);
        }
        let share = nearest_class_accuracy(&points, &own, references, classes, self.d)?;
        Ok((100.0 * share, own.len()))
    }

    /// Moves the source, by `images`, and scores it.
    fn row(
        &self,
        method: &str,
        left_out: &[usize],
        images: impl FnOnce() -> Result<Moved>,
    ) -> Result<Row> {
        let begun = Instant::now();
        let moved = images()?;
        let seconds = begun.elapsed().as_secs_f64();
        let (accuracy_percent, scored_on) = self.accuracy(&moved.points, self.of_x, left_out)?;
        tell(&format!(
            "{}, {method}: {accuracy_percent:.1} % in {}",
            self.name,
            duration(seconds)
        ));
        Ok(Row {
            method: method.to_string(),
            accuracy_percent,
            scored_on,
            seconds,
            notes: moved.notes,
            fit: moved.fit,
        })
    }
}

/// Images of the source, and how they came about.
struct Moved {
    points: Vec<f64>,
    notes: Vec<String>,
    fit: Option<Fit>,
}

impl Moved {
    fn new(points: Vec<f64>, notes: Vec<String>) -> Self {
        Moved {
            points,
            notes,
            fit: None,
        }
    }
}

/// `count` rows of each class, by seed, ascending.
pub fn draw_labels<C: Copy + Into<usize>>(classes: &[C], count: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = Vec::new();
    for k in 0..CLASSES {
        let mut rows: Vec<usize> = (0..classes.len())
            .filter(|j| classes[*j].into() == k)
            .collect();
        for place in 0..count.min(rows.len()) {
            let other = rng.random_range(place..rows.len());
            rows.swap(place, other);
            drawn.push(rows[place]);
        }
    }
    drawn.sort_unstable();
    drawn
}

/// Runs the benchmark.
///
/// # Errors
/// See [`Failure`].
pub fn run(bench: &Bench) -> Result<()> {
    let folder = bench.data_folder().ok_or_else(|| {
        Failure::input("the features are needed, usps_mnist_16x16 and office_caltech_surf: give their folder with --data DIR, or in CHARFLOW_DATA.")
    })?;
    let labels = bench.target_labels.unwrap_or(LABELS);
    let tasks = tasks(bench)?;
    // Before the first fit: every file is there and can be used.
    let mut domains: Vec<Option<Domain>> = DOMAINS.iter().map(|_| None).collect();
    for &k in tasks.iter().flatten() {
        if domains[k].is_none() {
            domains[k] = Some(Domain::read(&folder, k)?);
        }
    }
    let mut pairs = Vec::new();
    for &task in &tasks {
        if let [Some(source), Some(target)] = task.map(|k| domains[k].as_ref()) {
            check_classes(source, target, labels)?;
            pairs.push((task, source, target));
        }
    }
    let out = bench.folder("adapt")?;
    let mut record = Record::new("adapt", about(labels));
    record.save(&out, "")?;
    let guard = Guard::new();
    for (task, source, target) in pairs {
        let (run, whole) = one(bench, task, source, target, labels)?;
        record.runs.push(run);
        record.interrupted = !whole;
        record.save(&out, &table(&record.runs))?;
        if record.interrupted {
            break;
        }
    }
    drop(guard);
    let mut files = "record.json, table.md";
    if draw(&record.runs, &out)? {
        files = "record.json, table.md, accuracy.png, accuracy.svg";
    }
    let text = format!("{}\n", table(&record.runs));
    record.conclude(bench.json, &text, files, &out)
}

fn about(labels: usize) -> Vec<String> {
    let mut about = vec![
        "Accuracy in percent: each target point takes the label of the nearest moved source point. Target labels are used for the score alone, but where a row says otherwise.".to_string(),
        "Digits are taken as they are; SURF counts as shares of their row, then each column with mean 0 and deviation 1 within its domain. All rows work on the same principal components of both domains together, found without labels; `kept` is their share of the variance.".to_string(),
        "Linear: the optimal map between Gaussians of the same moments, with covariances shrunk where points are few. Couplings move a source point to the mean of what it is coupled with; ncf is the map of the preset auto.".to_string(),
        format!("Fixed, not tuned: entropy {EPS}, classes {WEIGHT} with delta {} (l_p-l_1, p = 1/2), as shares of the largest squared distance. Only sinkhorn + classes uses source labels to move points.", SinkhornClasses::default().delta),
        "Seconds are of fitting and moving on this machine, other work beside it counts too; ncf gives a map for points it has not seen and its inverse, couplings give neither.".to_string(),
    ];
    if labels > 0 {
        about.push(format!("In the last two rows {labels} target points a class, drawn by seed, show their labels. Labels alone: they are the only references. ncf, {labels} labels a class: a class-conditional fit in which these points are the target of their class, and all points that of the whole; the references are the moved source points, as in the other rows. The shown points are left out of the score of these two rows alone, which so have slightly fewer points to get right."));
    }
    about
}

/// All methods on one task; false if interrupted.
fn one(
    bench: &Bench,
    task: Task,
    source: &Domain,
    target: &Domain,
    labels: usize,
) -> Result<(Run, bool)> {
    let features = DOMAINS[task[0]].1;
    let asked = bench
        .components
        .first()
        .copied()
        .unwrap_or(features.components());
    let width = features.width();
    // So many points span no more.
    let span = source.classes.len() + target.classes.len() - 1;
    let d = asked.min(width).min(span);
    let components = Components::fit(&[&source.x, &target.x], width, d)?;
    let kept = 100.0 * components.explained().iter().sum::<f64>();
    let clouds = Clouds {
        name: task_name(task),
        d,
        x: components.apply(&source.x)?,
        y: components.apply(&target.x)?,
        of_x: &source.classes,
        of_y: &target.classes,
    };
    let (n, m) = (clouds.of_x.len(), clouds.of_y.len());
    tell(&format!(
        "{}: {n} and {m} points, {d} of {width} components keep {:.1} % of the variance",
        clouds.name, kept
    ));
    let mut run = Run {
        task: clouds.name.clone(),
        features: features.name(),
        points: [n, m],
        components: d,
        variance_kept_percent: kept,
        rows: Vec::new(),
    };
    let (x, y) = (&clouds.x, &clouds.y);
    let sinkhorn = Sinkhorn {
        eps: EPS,
        ..Default::default()
    };
    // Its rounds come to rest long before the masses are right to six digits, which takes thousands of steps where classes hardly mix.
    let by_classes = SinkhornClasses {
        sinkhorn: Sinkhorn {
            tolerance: 1e-4,
            max_steps: 1000,
            ..sinkhorn
        },
        weight: WEIGHT,
        ..Default::default()
    };
    let said =
        |steps: usize, error: f64| format!("{steps} steps, error of the rows' masses {error:.1e}");
    type Images<'a> = Box<dyn Fn() -> Result<Moved> + 'a>;
    let methods: [(&str, Images<'_>); 5] = [
        ("none", Box::new(|| Ok(Moved::new(x.clone(), Vec::new())))),
        (
            "linear",
            Box::new(|| {
                let whole = problem_of(x, y, d, "quadratic")?;
                let (m0, m1) = whole.moments();
                let map = GaussianMap::from_moments(m0, m1)?;
                Ok(Moved::new(map.forward(x)?, map.notes().to_vec()))
            }),
        ),
        (
            "exact",
            Box::new(|| {
                let found = exact(&squared_distances(x, y, d)?, n, m)?;
                let notes = vec![format!("{} pivots", found.pivots)];
                Ok(Moved::new(found.plan.barycentric(y, d)?, notes))
            }),
        ),
        (
            "sinkhorn",
            Box::new(|| {
                let found = sinkhorn.solve(&squared_distances(x, y, d)?, n, m)?;
                let notes = vec![said(found.steps, found.error)];
                Ok(Moved::new(found.plan.barycentric(y, d)?, notes))
            }),
        ),
        (
            "sinkhorn + classes",
            Box::new(|| {
                let costs = squared_distances(x, y, d)?;
                let found = by_classes.solve(&costs, n, m, clouds.of_x)?;
                let rounds = found.objective.len() - 1;
                let notes = vec![format!(
                    "{rounds} rounds, {}",
                    said(found.steps, found.error)
                )];
                Ok(Moved::new(found.plan.barycentric(y, d)?, notes))
            }),
        ),
    ];
    for (name, images) in &methods {
        if interrupt::asked() {
            return Ok((run, false));
        }
        run.rows.push(clouds.row(name, &[], images)?);
    }
    let Some(row) = fitted(bench, &clouds, "ncf", &[])? else {
        return Ok((run, false));
    };
    run.rows.push(row);
    if labels == 0 {
        return Ok((run, true));
    }
    let known = draw_labels(clouds.of_y, labels, bench.seed);
    let references: Vec<f64> = known
        .iter()
        .flat_map(|j| &y[j * d..(j + 1) * d])
        .copied()
        .collect();
    let classes: Vec<usize> = known.iter().map(|j| clouds.of_y[*j]).collect();
    let (accuracy_percent, scored_on) = clouds.accuracy(&references, &classes, &known)?;
    run.rows.push(Row {
        method: format!("labels alone ({labels})"),
        accuracy_percent,
        scored_on,
        seconds: 0.0,
        notes: Vec::new(),
        fit: None,
    });
    let name = format!("ncf, {labels} labels a class");
    let Some(row) = fitted(bench, &clouds, &name, &known)? else {
        return Ok((run, false));
    };
    run.rows.push(row);
    Ok((run, true))
}

/// The row of our own fit: class by class where some target points have `known` labels, those without taking part in what the whole clouds have to satisfy. None if interrupted.
fn fitted(
    bench: &Bench,
    clouds: &Clouds<'_>,
    method: &str,
    known: &[usize],
) -> Result<Option<Row>> {
    let (x, d) = (&clouds.x, clouds.d);
    let (n, m) = (clouds.of_x.len(), clouds.of_y.len());
    let (problem, mut config) = if known.is_empty() {
        (
            problem_of(x, &clouds.y, d, "quadratic")?,
            bench.config(Method::NcfDual, n, m, d)?,
        )
    } else {
        let source = Samples::from_f64(x, d)?
            .named("source")
            .with_labels(clouds.of_x.iter().map(usize::to_string).collect())?;
        let seen = |j: usize| {
            known
                .binary_search(&j)
                .ok()
                .map(|_| clouds.of_y[j].to_string())
        };
        let target = Samples::from_f64(&clouds.y, d)?
            .named("target")
            .with_some_labels((0..m).map(seen).collect())?;
        (
            Problem::new(source, target, Box::new(Quadratic))?,
            bench.config_for_classes(n, m, d)?,
        )
    };
    if bench.time_limit.is_none() {
        config.time_limit = SECONDS;
    }
    let mut interrupted = false;
    let row = clouds.row(method, known, || {
        let name = format!("{}, {method}", clouds.name);
        let (solution, peak_memory_mb) = solve(&name, &config, problem)?;
        interrupted = solution.outcome == Outcome::Interrupted;
        Ok(Moved {
            points: solution.map.forward(x)?,
            notes: Vec::new(),
            fit: Some(Fit {
                settings: config,
                report: solution.report,
                peak_memory_mb,
            }),
        })
    })?;
    Ok((!interrupted).then_some(row))
}

/// A line for each task, then means, then seconds.
fn table(runs: &[Run]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for row in runs.iter().flat_map(|r| &r.rows) {
        if !names.contains(&row.method.as_str()) {
            names.push(&row.method);
        }
    }
    let row_of = |run: &Run, name: &str| -> Option<[f64; 2]> {
        let row = run.rows.iter().find(|r| r.method == name)?;
        Some([row.accuracy_percent, row.seconds])
    };
    let cell = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.1}"));
    let mut rows = Vec::new();
    for run in runs {
        let mut cells = vec![
            run.task.clone(),
            run.points.map(|n| n.to_string()).join(" + "),
            run.components.to_string(),
            format!("{:.0} %", run.variance_kept_percent),
        ];
        cells.extend(
            names
                .iter()
                .map(|name| cell(row_of(run, name).map(|r| r[0]))),
        );
        rows.push(cells);
    }
    let mean = |label: &str, of: &[&Run], which: usize| {
        let mut cells = vec![
            label.to_string(),
            String::new(),
            String::new(),
            String::new(),
        ];
        cells.extend(names.iter().map(|name| {
            let all: Option<Vec<f64>> = of
                .iter()
                .map(|run| row_of(run, name).map(|r| r[which]))
                .collect();
            cell(all.map(|v| v.iter().sum::<f64>() / v.len() as f64))
        }));
        cells
    };
    for features in [Features::Digits, Features::Surf] {
        let of: Vec<&Run> = runs
            .iter()
            .filter(|r| r.features == features.name())
            .collect();
        if of.len() > 1 {
            let kind = features.name().split(',').next().unwrap_or_default();
            rows.push(mean(&format!("mean, {kind}"), &of, 0));
        }
        if !of.is_empty() {
            let kind = features.name().split(',').next().unwrap_or_default();
            rows.push(mean(&format!("seconds, {kind}"), &of, 1));
        }
    }
    let mut head = vec!["task", "points", "d", "kept"];
    head.extend(&names);
    let mut text = markdown(&head, &rows);
    for run in runs {
        for row in &run.rows {
            let Some(Fit {
                report,
                peak_memory_mb,
                ..
            }) = &row.fit
            else {
                continue;
            };
            let memory = peak_memory_mb.map_or(String::new(), |m| format!(", {m:.0} MB"));
            text.push_str(&format!(
                "{}- {}, {}: {} steps in {}{memory}; kept the model of step {}: {}\n",
                if text.ends_with("|\n") { "\n" } else { "" },
                run.task,
                row.method,
                report.steps,
                duration(report.seconds),
                report.chosen_step,
                report.chosen_by
            ));
        }
    }
    text
}

/// A line of dots for each task; false where there is nothing to draw.
fn draw(runs: &[Run], out: &Path) -> Result<bool> {
    let mut groups: Vec<(String, Vec<DotRow>)> = Vec::new();
    for run in runs.iter().filter(|r| !r.rows.is_empty()) {
        let dots = run
            .rows
            .iter()
            .map(|row| (row.method.clone(), [row.accuracy_percent, f64::NAN]));
        let row = DotRow {
            label: run.task.clone(),
            dots: dots.collect(),
            asked: None,
        };
        match groups.last_mut().filter(|(t, _)| t == run.features) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((run.features.to_string(), vec![row])),
        }
    }
    if groups.is_empty() {
        return Ok(false);
    }
    DotFigure {
        groups: &groups,
        x_label: "target points with the right label, %",
        sides: None,
        logarithmic: false,
    }
    .save(&out.join("accuracy"))?;
    Ok(true)
}

//! `charflow evaluate`: how good a map is, on points it may never have seen.

use crate::failure::{Failure, Result};
use crate::files::{ColumnArgs, Expected, RowArgs, options_for, read_for};
use crate::run::{DataRecord, Fitted, command_line};
use crate::terminal::{note, quoted, say};
use charflow::Samples;
use charflow::certificate::Origin;
use charflow::evaluate::{Evaluation, Truth, evaluate_on};
use charflow::map::{BackwardMap, ForwardMap};
use charflow::model::CharacteristicMap;
use charflow::samples::UNLABELLED;
use charflow_io::{Format, ReadOptions, Reader, npz_keys, read_npz_matrix};
use charflow_lab::metrics;
use charflow_run::{Brief, FileRecord, Points};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Say how good a fitted map is on two files of points.
///
/// First the certificate in a sentence: how far above the optimal cost the map is at most, and whether the points reached can be told from the target's, on how many points. Its figures are the optimality gap
/// (with the mean slack, both maps), a bound of the map's own error, lower bounds of W2 from the target, the dual value (a lower bound of the optimal cost, up to sampling and the search), a bracket of the optimal cost
/// between the two samples, where the potential is not convex, and how well it knows the way back at times in between. docs/certificate.md says how to read them.
///
/// Then energy distances of the pushed and pulled points beside what noise alone would give, transport cost, cycle errors, and the same for
/// the identity, the constant map and the linear one. For a model fitted with labels also the energy distance of each class. For the quadratic cost
/// the share of pairs of points that are moved against each other, of which an optimal map has none; in the plane the share of pairs of
/// lines that cross, which an optimal map may have. With --truth also the distance to the true map.
#[derive(clap::Args)]
#[command(after_help = "\
The truth is one of:
  an .npz with Sigma0 and Sigma1 (and m0, m1 where the means are not zero): two Gaussians, whose optimal map is known
  an .npz with forward (images of SOURCE, row by row), backward (images of TARGET), or both
  any other table: images of SOURCE, row by row

Example (every line runs as printed):
  charflow data gaussians --dim 2 -o gauss2
  charflow fit gauss2/source.csv gauss2/target.csv -o run-gauss2 --time-limit 20s
  charflow evaluate run-gauss2 gauss2/source.csv gauss2/target.csv --truth gauss2/truth.npz")]
pub struct Evaluate {
    /// A run directory, or a model file
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Points of the source
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// Points of the target
    #[arg(value_name = "TARGET")]
    target: PathBuf,
    /// What is known of the true map
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArgs,
    #[command(flatten)]
    rows: RowArgs,
    /// Seed of the random draws behind the noise floor
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// Points of each side whose pairs are looked at.
const MOST_PAIRED: usize = 2000;

/// What pairs of transport lines say of optimality.
#[derive(Serialize)]
struct Pairs {
    /// Points of source and target whose pairs were looked at.
    points: [usize; 2],
    /// Share of pairs that the map moves against each other, forward and backward; for the quadratic cost, whose optimal map has none. For a
    /// model fitted with labels the pairs within classes, since only there the map is to be optimal \[17\].
    #[serde(skip_serializing_if = "Option::is_none")]
    not_monotone: Option<[f64; 2]>,
    /// Whether these are pairs within classes only.
    within_classes: bool,
    /// Share of pairs of lines that cross in the plane, at whatever times; in two dimensions.
    #[serde(skip_serializing_if = "Option::is_none")]
    crossing: Option<[f64; 2]>,
}

/// Some points of a side, evenly spaced in the file, and the class of each.
struct Part {
    points: Vec<f64>,
    classes: Option<Vec<u32>>,
}

impl Part {
    fn of(samples: &Samples) -> Self {
        let weighs = |i: &u32| samples.weights().is_none_or(|w| w[*i as usize] > 0.0);
        let all: Vec<u32> = (0..samples.len() as u32).filter(weighs).collect();
        let count = all.len().min(MOST_PAIRED);
        // Evenly spaced, so that files sorted by class take part whole.
        let rows: Vec<u32> = (0..count).map(|k| all[k * all.len() / count]).collect();
        let class = |of: &[u32]| rows.iter().map(|&i| of[i as usize]).collect();
        Part {
            points: samples.gather(&rows),
            classes: samples.class_of().map(class),
        }
    }

    /// Share of the pairs, all or within classes, that are moved against each other on the way to `images`.
    fn not_monotone(&self, images: &[f64], d: usize, within_classes: bool) -> Result<f64> {
        let classes = match &self.classes {
            Some(classes) if within_classes => classes,
            _ => return Ok(metrics::monotone_violations(&self.points, images, d)?),
        };
        let (mut against, mut all) = (0.0, 0.0);
        // Points of unknown class belong to no pair.
        let known: std::collections::BTreeSet<u32> = classes
            .iter()
            .copied()
            .filter(|&c| c != UNLABELLED)
            .collect();
        for class in known {
            let of = |points: &[f64]| -> Vec<f64> {
                let rows = points.chunks_exact(d).zip(classes);
                rows.filter(|(_, c)| **c == class)
                    .flat_map(|(row, _)| row.iter().copied())
                    .collect()
            };
            let (x, t) = (of(&self.points), of(images));
            if !x.is_empty() {
                let pairs = metrics::pairs(x.len() / d) as f64;
                against += pairs * metrics::monotone_violations(&x, &t, d)?;
                all += pairs;
            }
        }
        Ok(if all > 0.0 { against / all } else { 0.0 })
    }

    /// Share of the pairs of lines to `images` that cross in the plane.
    fn crossing(&self, images: &[f64]) -> f64 {
        let lines: Vec<([f64; 2], [f64; 2])> = self
            .points
            .chunks_exact(2)
            .zip(images.chunks_exact(2))
            .map(|(a, b)| ([a[0], a[1]], [b[0], b[1]]))
            .collect();
        metrics::crossings(&lines) as f64 / metrics::pairs(lines.len()).max(1) as f64
    }
}

impl Pairs {
    fn of(map: &CharacteristicMap, source: &Samples, target: &Samples) -> Result<Self> {
        let d = map.dim();
        let (x, y) = (Part::of(source), Part::of(target));
        let images = [map.forward(&x.points)?, map.backward(&y.points)?];
        let within = !map.about().classes.is_empty() && x.classes.is_some() && y.classes.is_some();
        let not_monotone = if map.cost().name() == "quadratic" {
            Some([
                x.not_monotone(&images[0], d, within)?,
                y.not_monotone(&images[1], d, within)?,
            ])
        } else {
            None
        };
        Ok(Pairs {
            points: [x.points.len() / d, y.points.len() / d],
            not_monotone,
            within_classes: within,
            crossing: (d == 2).then(|| [x.crossing(&images[0]), y.crossing(&images[1])]),
        })
    }
}

impl std::fmt::Display for Pairs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |share: f64| {
            let places = if share < 0.01 { 3 } else { 1 };
            format!("{:.places$} %", 100.0 * share)
        };
        let both = |[a, b]: [f64; 2]| format!("{} forward, {} backward", percent(a), percent(b));
        let mut parts = Vec::new();
        if let Some(share) = self.not_monotone {
            parts.push(format!(
                "pairs {}moved against each other (an optimal map has none): {}",
                if self.within_classes {
                    "of one class "
                } else {
                    ""
                },
                both(share)
            ));
        }
        if let Some(share) = self.crossing {
            parts.push(format!("lines that cross, at any times: {}", both(share)));
        }
        if parts.is_empty() {
            return Ok(());
        }
        writeln!(f, "{}", parts.join("; "))
    }
}

/// All rows of a table were taken where the fit took some: likelier forgotten than meant.
fn warn_of_all_rows(points: &Points, fitted: &FileRecord, option: &str) {
    let (None, Some(rows)) = (&points.record.chosen, &fitted.chosen) else {
        return;
    };
    let has_the_column = Reader::open(
        &points.record.path,
        &ReadOptions {
            rows: Some(rows.clone()),
            ..Default::default()
        },
    )
    .is_ok();
    if has_the_column {
        note(&format!(
            "all rows of {} are judged; the fit took {rows}. For the same rows add {option} {}",
            points.record.path.display(),
            quoted(rows)
        ));
    }
}

#[derive(Serialize)]
struct Json<'a> {
    charflow: &'static str,
    command: String,
    run: &'a Path,
    source: Brief<'a>,
    target: Brief<'a>,
    evaluation: &'a Evaluation,
    pairs: &'a Pairs,
}

impl Evaluate {
    /// Runs the verb.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<()> {
        let fitted = Fitted::open(&self.run)?;
        let expected = Expected::by(&fitted);
        let data = fitted.data.as_ref();
        let (of_source, of_target) = (
            self.rows.source_rows.as_deref(),
            self.rows.target_rows.as_deref(),
        );
        let source = self.read(&self.source, of_source, &expected, data)?;
        let target = self.read(&self.target, of_target, &expected, data)?;
        if let Some(data) = data {
            warn_of_all_rows(&source, &data.source, "--source-rows");
            warn_of_all_rows(&target, &data.target, "--target-rows");
        }
        let truth = match &self.truth {
            Some(path) => Some(read_truth(
                path,
                &self.source,
                source.samples.len(),
                target.samples.len(),
                &expected,
            )?),
            None => None,
        };
        // The very tables of the fit: most of their rows were fitted to, whichever were held out.
        let same = |points: &Points, was: &FileRecord| points.record.same_points(was);
        let origin = match data {
            Some(d) if same(&source, &d.source) || same(&target, &d.target) => Origin::Fitted,
            _ => Origin::Given,
        };
        let evaluation = evaluate_on(
            origin,
            &fitted.map,
            &source.samples,
            &target.samples,
            truth.as_ref(),
            self.seed,
        )?;
        let pairs = Pairs::of(&fitted.map, &source.samples, &target.samples)?;
        if self.json {
            return say(&to_json(&Json {
                charflow: env!("CARGO_PKG_VERSION"),
                command: command_line(),
                run: &self.run,
                source: source.record.brief(),
                target: target.record.brief(),
                evaluation: &evaluation,
                pairs: &pairs,
            })?);
        }
        let mut text = String::new();
        for choice in [&source.record, &target.record]
            .into_iter()
            .filter_map(FileRecord::choice)
        {
            text.push_str(&format!("{choice}\n"));
        }
        text.push_str(&evaluation.to_string());
        text.push_str(&pairs.to_string());
        say(text.trim_end())
    }

    /// A file with the labels and weights asked for, else with those of the fit if the file has them.
    fn read(
        &self,
        path: &Path,
        rows: Option<&str>,
        expected: &Expected<'_>,
        data: Option<&DataRecord>,
    ) -> Result<Points> {
        let asked = &self.columns;
        let Some(data) = data else {
            return read_for(path, asked, rows, expected);
        };
        let like_the_fit = ColumnArgs {
            columns: asked.columns.clone(),
            labels: asked.labels.clone().or_else(|| data.labels.clone()),
            unlabelled: asked.unlabelled.clone().or_else(|| data.unlabelled.clone()),
            weights: asked.weights.clone().or_else(|| data.weights.clone()),
            array: asked.array.clone().or_else(|| data.array.clone()),
        };
        if options_for(path, &like_the_fit, rows, expected).is_ok() {
            return read_for(path, &like_the_fit, rows, expected);
        }
        // What is wrong with the file, if anything is, is said of the plain request.
        let points = read_for(path, asked, rows, expected)?;
        note(&format!(
            "{}: the labels or weights of the fit are not in this file; it is taken without them",
            path.display()
        ));
        Ok(points)
    }
}

/// JSON text for people and programs.
///
/// # Errors
/// A value that JSON cannot hold, which none of ours is.
pub fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map_err(|e| Failure::input(format!("the report cannot be written as JSON: {e}")))
}

/// Reads what is known of the true map; `n` and `m` are the points of source and target.
fn read_truth(
    path: &Path,
    source: &Path,
    n: usize,
    m: usize,
    expected: &Expected<'_>,
) -> Result<Truth> {
    let d = expected.dim;
    if Format::of(path)? != Format::Npz {
        let images = read_for(path, &ColumnArgs::default(), None, expected)?.samples;
        if images.len() != n {
            return Err(Failure::input(format!(
                "{}: {} rows, {} has {n}; the truth needs one image a point, in the same order.",
                path.display(),
                images.len(),
                source.display()
            )));
        }
        return Ok(Truth::Images {
            forward: Some(images.to_f64()),
            backward: None,
        });
    }
    let keys = npz_keys(path)?;
    let has = |key: &str| keys.iter().any(|k| k == key);
    let matrix = |key: &str, shape: &[usize]| -> Result<Vec<f64>> {
        let (values, found) = read_npz_matrix(path, key)?;
        if found == shape {
            return Ok(values);
        }
        Err(Failure::input(format!(
            "{}: array `{key}` has the shape {found:?}, expected {shape:?}.",
            path.display()
        )))
    };
    if has("Sigma0") && has("Sigma1") {
        let mean = |key: &str| {
            if has(key) {
                matrix(key, &[d])
            } else {
                Ok(vec![0.0; d])
            }
        };
        return Ok(Truth::Gaussian {
            m0: mean("m0")?,
            s0: matrix("Sigma0", &[d, d])?,
            m1: mean("m1")?,
            s1: matrix("Sigma1", &[d, d])?,
        });
    }
    let images = |key: &str, rows: usize| {
        if has(key) {
            matrix(key, &[rows, d]).map(Some)
        } else {
            Ok(None)
        }
    };
    let (forward, backward) = (images("forward", n)?, images("backward", m)?);
    if forward.is_none() && backward.is_none() {
        return Err(Failure::input(format!(
            "{}: a truth holds the arrays Sigma0 and Sigma1, or forward, or backward; this one holds {}.",
            path.display(),
            keys.join(", ")
        )));
    }
    Ok(Truth::Images { forward, backward })
}

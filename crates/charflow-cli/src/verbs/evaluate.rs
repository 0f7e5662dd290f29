//! `charflow evaluate`: how good a map is, on points it may never have seen.

use crate::failure::{Failure, Result};
use crate::files::{Brief, ColumnArgs, Expected, Points, read_for};
use crate::run::{DataRecord, Fitted, command_line};
use crate::terminal::{note, say};
use charflow::evaluate::{Evaluation, Truth, evaluate};
use charflow_io::{Format, npz_keys, read_npz_matrix};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Say how good a fitted map is on two files of points.
///
/// Energy distances of the pushed and pulled points beside what noise alone would give, transport cost, cycle errors, and the same for
/// the identity, the constant map and the linear one. With --truth also the distance to the true map.
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
    /// Seed of the random draws behind the noise floor
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    charflow: &'static str,
    command: String,
    run: &'a Path,
    source: Brief<'a>,
    target: Brief<'a>,
    evaluation: &'a Evaluation,
}

impl Evaluate {
    /// Runs the verb.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<()> {
        let fitted = Fitted::open(&self.run)?;
        let expected = fitted.expected();
        let source = self.read(&self.source, &expected, fitted.data.as_ref())?;
        let target = self.read(&self.target, &expected, fitted.data.as_ref())?;
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
        let evaluation = evaluate(
            &fitted.map,
            &source.samples,
            &target.samples,
            truth.as_ref(),
            self.seed,
        )?;
        if self.json {
            return say(&to_json(&Json {
                charflow: env!("CARGO_PKG_VERSION"),
                command: command_line(),
                run: &self.run,
                source: source.record.brief(),
                target: target.record.brief(),
                evaluation: &evaluation,
            })?);
        }
        say(evaluation.to_string().trim_end())
    }

    /// A file with the labels and weights asked for, else with those of the fit if the file has them.
    fn read(
        &self,
        path: &Path,
        expected: &Expected<'_>,
        data: Option<&DataRecord>,
    ) -> Result<Points> {
        let asked = &self.columns;
        let Some(data) = data else {
            return read_for(path, asked, expected);
        };
        let like_the_fit = ColumnArgs {
            columns: asked.columns.clone(),
            labels: asked.labels.clone().or_else(|| data.labels.clone()),
            weights: asked.weights.clone().or_else(|| data.weights.clone()),
            array: asked.array.clone().or_else(|| data.array.clone()),
        };
        if crate::files::options_for(path, &like_the_fit, expected).is_ok() {
            return read_for(path, &like_the_fit, expected);
        }
        // What is wrong with the file, if anything is, is said of the plain request.
        let points = read_for(path, asked, expected)?;
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
        let images = read_for(path, &ColumnArgs::default(), expected)?.samples;
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

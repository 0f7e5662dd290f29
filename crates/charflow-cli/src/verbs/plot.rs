//! `charflow plot`: the pictures of a run, drawn again.

use crate::failure::{Failure, Result};
use crate::files::{ColumnArgs, RowArgs, read_pair};
use crate::pictures::{Clouds, draw};
use crate::run::{Fitted, RunDir};
use crate::terminal::{note, say, shown};
use std::path::PathBuf;

/// Draw the pictures of a run again: transport, flow and losses, each as PNG and SVG.
///
/// The data are read from where they were when the run was begun, or from --source and --target.
#[derive(clap::Args)]
#[command(after_help = "\
Example (every line runs as printed):
  charflow data swiss-roll -o data
  charflow data moons -o data
  charflow fit data/swiss-roll.csv data/moons.csv -o run --time-limit 20s
  charflow plot run -o pictures")]
pub struct Plot {
    /// The run directory
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The folder to draw into [default: the run's figures]
    #[arg(short = 'o', long = "out", value_name = "DIR")]
    out: Option<PathBuf>,
    /// The source points, if they have moved
    #[arg(long, value_name = "FILE")]
    source: Option<PathBuf>,
    /// The target points, if they have moved
    #[arg(long, value_name = "FILE")]
    target: Option<PathBuf>,
}

impl Plot {
    /// Runs the verb.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<()> {
        if self.run.is_file() {
            return Err(Failure::input(format!(
                "{}: plot needs a run directory, which knows the data and the losses; this is a file.",
                self.run.display()
            )));
        }
        let run = RunDir::new(&self.run);
        let fitted = Fitted::open(&self.run)?;
        let data = fitted.data.as_ref().ok_or_else(|| {
            Failure::input(format!(
                "{}: data.toml is missing, so the data of the run are not known.",
                self.run.display()
            ))
        })?;
        let place = |given: &Option<PathBuf>, record: &charflow_run::FileRecord, option: &str| {
            match given {
                Some(path) => Ok(path.clone()),
                None if record.in_memory => Err(Failure::input(format!(
                    "the points {} of the run came from the memory of a program. Say which file holds them with {option} FILE.",
                    record.path.display()
                ))),
                None if record.absolute.exists() => Ok(record.absolute.clone()),
                None if record.path.exists() => Ok(record.path.clone()),
                None => Err(Failure::input(format!(
                    "{} of the run is no longer at {}. Say where it is with {option} FILE.",
                    record.path.display(),
                    record.absolute.display()
                ))),
            }
        };
        let source = place(&self.source, &data.source, "--source")?;
        let target = place(&self.target, &data.target, "--target")?;
        let (source, target) = read_pair(
            &source,
            &target,
            &ColumnArgs::of_run(data),
            &RowArgs::of_run(data),
        )?;
        for (points, record, side) in [
            (&source, &data.source, "source"),
            (&target, &data.target, "target"),
        ] {
            if points.samples.dim() != fitted.map.dim() {
                return Err(Failure::input(format!(
                    "{}: {} columns, the model was fitted to {}.",
                    points.record.path.display(),
                    points.samples.dim(),
                    fitted.map.dim()
                )));
            }
            if points.record.fingerprint != record.fingerprint {
                note(&format!(
                    "the {side} {} is not what the run was fitted to",
                    points.record.path.display()
                ));
            }
        }
        let history = run.read_history()?;
        let out = self.out.unwrap_or_else(|| run.figures());
        for file in draw(
            &fitted.map,
            &Clouds::of(
                [&source.record, &target.record],
                &source.samples,
                &target.samples,
            ),
            &history,
            &out,
        )? {
            say(&shown(&file))?;
        }
        Ok(())
    }
}

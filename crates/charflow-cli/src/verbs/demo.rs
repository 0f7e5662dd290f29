//! `charflow demo`: the whole way on a small example.

use super::data::store;
use super::fit::Fit;
use crate::failure::{Failure, Result};
use crate::run::{RunDir, check_free};
use crate::terminal::{say, shown};
use charflow_lab::datasets::generate;
use std::path::PathBuf;

/// Points of each cloud.
const POINTS: usize = 10_000;
/// Steps of the fit.
const STEPS: u64 = 6000;
/// A slow machine stops here, with what it has.
const SECONDS: f64 = 90.0;

/// Swiss roll to double moons and back: write the data, fit, draw, report; under two minutes on two cores.
///
/// Run again it replaces what it wrote before.
#[derive(clap::Args)]
#[command(after_help = "\
Example (runs as printed):
  charflow demo -o demo")]
pub struct Demo {
    /// The folder to work in
    #[arg(short = 'o', long = "out", value_name = "DIR", default_value = "demo")]
    out: PathBuf,
    /// Points of each cloud
    #[arg(short = 'n', long = "points", value_name = "N", default_value_t = POINTS)]
    points: usize,
    /// Optimisation steps
    #[arg(long, value_name = "N", default_value_t = STEPS)]
    steps: u64,
}

impl Demo {
    /// Runs the verb.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<()> {
        let run = self.out.join("run");
        self.check_folder(&RunDir::new(&run))?;
        let mut files = Vec::new();
        for name in ["swiss-roll", "moons"] {
            for (path, what) in store(
                &generate(name, self.points, None, 0)?,
                &self.out,
                "csv",
                true,
            )? {
                say(&format!("{}: {what}", shown(&path)))?;
                files.push(path);
            }
        }
        let [source, target] = &files[..] else {
            return Err(Failure::input(
                "the demo's data sets are not what they were",
            ));
        };
        let figure = run.join("figures").join("transport.png");
        Fit {
            source: source.clone(),
            target: target.clone(),
            out: run,
            steps: Some(self.steps),
            time_limit: Some(SECONDS),
            force: true,
            ..Fit::default()
        }
        .run()?;
        say(&format!("look at {}", shown(&figure)))
    }

    /// The folder may be new, empty, or an earlier demo; nothing else is written into.
    fn check_folder(&self, run: &RunDir) -> Result<()> {
        if !self.out.exists() {
            return Ok(());
        }
        if !self.out.is_dir() {
            return Err(Failure::input(format!(
                "{} is no folder. Choose another one with -o.",
                self.out.display()
            )));
        }
        let entries = std::fs::read_dir(&self.out)
            .map_err(|e| Failure::system(&self.out, "cannot be read", &e))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = ["swiss-roll.csv", "moons.csv", "run"].contains(&name.as_str())
                || name.starts_with('.');
            if !ours {
                return Err(Failure::input(format!(
                    "{} holds other files ({name}), and the demo writes into a folder of its own. Choose another one with -o.",
                    self.out.display()
                )));
            }
        }
        check_free(run, true)
    }
}

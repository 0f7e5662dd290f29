//! Run directories as the command speaks of them: what is refused, and what to do instead.

use crate::failure::{Failure, Result};
use crate::terminal::quoted;
use charflow_run::Standing;
use std::path::Path;

pub use charflow_run::{DataRecord, FIGURES, Fitted, Lock, RunDir, resume_command};

/// Writes a file whole or not at all.
///
/// # Errors
/// What the system says, with the file's name.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    Ok(charflow_run::write_file(path, bytes)?)
}

/// Refuses a path where no run can begin.
///
/// # Errors
/// The directory exists, and it is not an earlier run to be replaced by `force`.
pub fn check_free(run: &RunDir, force: bool) -> Result<()> {
    let place = run.path().display();
    let message = match (run.standing()?, force) {
        (Standing::Free, _) | (Standing::Run, true) => return Ok(()),
        (Standing::NoFolder, _) => {
            format!("{place} exists and is no folder. Choose another one with -o.")
        }
        (Standing::Other, true) => format!(
            "{place} exists and does not look like a run of charflow (no config.toml of ours), so --force does not touch it. Choose another one with -o."
        ),
        (Standing::Run, false) => format!(
            "{place} holds a run already. Go on with it by --resume, replace it by --force, or choose another one with -o."
        ),
        (Standing::Other, false) => {
            format!("{place} exists already. Choose another one with -o.")
        }
    };
    Err(Failure::input(message))
}

/// The command line of this process, as a shell would take it.
pub fn command_line() -> String {
    let mut words = std::env::args_os();
    words.next();
    std::iter::once("charflow".to_string())
        .chain(words.map(|w| quoted(&w.to_string_lossy())))
        .collect::<Vec<_>>()
        .join(" ")
}

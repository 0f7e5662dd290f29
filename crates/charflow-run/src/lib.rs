//! A solve as files, and the settings of one: what the command and the Python package share.
//!
//! [`Settings`] are what is asked of a solve, [`RunDir`] is the solve as files, [`DataRecord`] what a run remembers of its points, [`Points`] a table of points as samples with
//! that record. No mathematics here, and nothing is printed: errors are [`charflow::Error`], sentences that either face passes on as they are.

mod cost;
mod dir;
mod record;
mod report;
mod settings;
mod shell;

pub use cost::resolved_cost;
pub use dir::{
    FIGURES, Fitted, Lock, NO_SUCH_RUN, RunDir, Standing, history_from_csv, history_to_csv,
    resume_command, write_file,
};
pub use record::{Brief, DataRecord, FileRecord, Points, fingerprint, unlabelled_in};
pub use report::{RunReport, is_finished, judged_on};
pub use settings::{Change, Settings, changes};
pub use shell::{quoted, shown};

use charflow::Error;
use charflow_io::IoError;
use std::path::Path;

/// A file or folder that the system refused.
fn system(path: &Path, doing: &str, error: &std::io::Error) -> Error {
    Error::Io {
        path: path.into(),
        message: format!("{doing}: {error}."),
    }
}

/// What a reader or writer of tables says, in the same words.
fn told(error: IoError) -> Error {
    if error.row.is_none() && error.column.is_none() {
        return Error::Io {
            message: error.message,
            path: error.path,
        };
    }
    Error::Problem(error.to_string())
}

//! How the command ends when it does not simply end well.

use charflow::Error;
use charflow_io::IoError;
use charflow_lab::LabError;
use std::path::Path;

/// The reason to stop, sorted by exit status.
#[derive(Debug)]
pub enum Failure {
    /// Exit status 2: the command line, or a file, cannot be used.
    Input(String),
    /// Exit status 1: the work was begun and fell short.
    Short(String),
    /// Exit status 0, silently: whoever read our output has closed the pipe and wants no more.
    Pipe,
}

/// `Result` with [`Failure`].
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// Exit status 2 with this sentence.
    pub fn input(message: impl Into<String>) -> Self {
        Failure::Input(message.into())
    }

    /// Exit status 2 for a file or folder the system refused.
    pub fn system(path: &Path, doing: &str, error: &std::io::Error) -> Self {
        Failure::Input(format!("{}: {doing}: {error}.", path.display()))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Numerical { .. } => Failure::Short(error.to_string()),
            _ => Failure::Input(error.to_string()),
        }
    }
}

impl From<IoError> for Failure {
    fn from(error: IoError) -> Self {
        Failure::Input(error.to_string())
    }
}

impl From<LabError> for Failure {
    fn from(error: LabError) -> Self {
        Failure::Input(error.to_string())
    }
}

use std::path::PathBuf;

/// What can go wrong in this crate. Each message is a sentence that says what was expected.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// No data set has this name.
    #[error("unknown data set \"{name}\"; there are: {known}")]
    UnknownDataset {
        /// The name asked for.
        name: String,
        /// The names there are, with commas.
        known: String,
    },
    /// The arguments do not fit together, or cannot be used.
    #[error("{0}")]
    Input(String),
    /// Someone asked a long computation to stop.
    #[error("stopped before the end; nothing was kept")]
    Interrupted,
    /// A figure could not be written; nothing is left half-written.
    #[error("{}: {message}", path.display())]
    Io {
        /// The file that was to be written.
        path: PathBuf,
        /// What happened, and what to do.
        message: String,
    },
}

impl From<charflow::Error> for LabError {
    fn from(error: charflow::Error) -> Self {
        LabError::Input(error.to_string())
    }
}

impl From<charflow_io::IoError> for LabError {
    fn from(error: charflow_io::IoError) -> Self {
        LabError::Io {
            message: error.message_without_path(),
            path: error.path,
        }
    }
}

//! The errors of the crate, by what the caller can do about them.
//!
//! An outcome such as "the step limit was reached" is no error; it is a value on the solution. An `Err` is kept for
//! input that makes no sense, for files, and for numbers that stopped being finite.

use std::path::PathBuf;

/// What went wrong, sorted by the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The data make no sense as they stand: fix the samples.
    #[error("{0}")]
    Problem(String),
    /// A setting makes no sense: change the named field.
    #[error("setting `{field}`: {message}")]
    Config {
        /// Dotted name of the setting, for instance `optimiser.rate`.
        field: String,
        /// What was found, what was expected.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{}: {message}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened, and what to do.
        message: String,
    },
    /// A quantity is not finite and there is no good state to go back to: the start itself is bad.
    #[error("{quantity} is not finite at step {step}; try a smaller `optimiser.rate`")]
    Numerical {
        /// The step at which it was seen, counted from 1; 0 when it was before the first step or outside a solve.
        step: u64,
        /// The quantity, in words: `the energy distance (forward)`.
        quantity: String,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Shorthand for [`Error::Problem`].
    pub(crate) fn problem(message: impl Into<String>) -> Self {
        Error::Problem(message.into())
    }

    /// Shorthand for [`Error::Config`].
    pub(crate) fn config(field: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Config {
            field: field.into(),
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_reads_as_a_sentence_that_names_its_place() {
        let config = Error::config("optimiser.rate", "expected a number above 0, found -1");
        assert_eq!(
            config.to_string(),
            "setting `optimiser.rate`: expected a number above 0, found -1"
        );
        let io = Error::Io {
            path: PathBuf::from("run/model.safetensors"),
            message: "the file ends early".into(),
        };
        assert_eq!(io.to_string(), "run/model.safetensors: the file ends early");
        let numerical = Error::Numerical {
            step: 7,
            quantity: "the loss".into(),
        };
        assert!(
            numerical
                .to_string()
                .starts_with("the loss is not finite at step 7")
        );
    }
}

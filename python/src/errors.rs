//! Errors on their way out: each of the library's as the exception of `charflow` that is also Python's own kind of it.

use pyo3::prelude::*;

/// The exceptions by name, in `charflow._errors`.
const MODULE: &str = "charflow._errors";

fn raised(py: Python<'_>, class: &str, message: String) -> PyErr {
    let made = py
        .import(MODULE)
        .and_then(|module| module.getattr(class))
        .and_then(|class| class.call1((message,)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(e) => e,
    }
}

/// What the library says, in its words.
pub fn told(py: Python<'_>, error: charflow::Error) -> PyErr {
    let class = match error {
        charflow::Error::Problem(_) => "ProblemError",
        charflow::Error::Config { .. } => "SettingError",
        charflow::Error::Io { .. } => "FileError",
        charflow::Error::Numerical { .. } => "NumericalError",
    };
    raised(py, class, error.to_string())
}

/// A run that is not there.
pub fn missing(py: Python<'_>, path: &std::path::Path) -> PyErr {
    let message = format!("{}: {}", path.display(), charflow_run::NO_SUCH_RUN);
    raised(py, "MissingFileError", message)
}

/// A mistake in the points or in how something was called.
pub fn problem(py: Python<'_>, message: impl Into<String>) -> PyErr {
    raised(py, "ProblemError", message.into())
}

/// A panic, which is a mistake of ours.
pub fn bug(py: Python<'_>, payload: &(dyn std::any::Any + Send)) -> PyErr {
    let what = payload
        .downcast_ref::<&str>()
        .copied()
        .or(payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let message = format!(
        "this is a bug in charflow {}, not in your data: {what}. Please report it with the call.",
        env!("CARGO_PKG_VERSION")
    );
    raised(py, "InternalError", message)
}

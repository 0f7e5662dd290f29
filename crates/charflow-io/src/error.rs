//! What can go wrong with a file, said so that a person can find the place and mend it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the caller can do about an [`IoError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The operating system refused: missing file, no permission, full disk.
    System,
    /// The file's name ends in none of the known extensions, or in one that this build leaves out.
    Extension,
    /// The file is not what its extension says, is cut short, is damaged, or holds a type that is not read.
    Malformed,
    /// The file holds no points.
    Empty,
    /// A column or array that is asked for is missing, is named twice, or does not fit.
    Columns,
    /// One cell is bad: not a number, not finite, a negative weight, an empty label, a row of another length.
    Cell,
    /// The arguments of a call do not fit together (a programming mistake).
    Usage,
}

/// An error about one file. `Display` is one or two sentences that begin with the file and, where they are
/// known, the row, the line and the column: ``data.csv, row 3 (line 4), column `y`: expected a number, found `abc`.``
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {message}", path.display(), self.place())]
#[non_exhaustive]
pub struct IoError {
    /// The file.
    pub path: PathBuf,
    /// What kind of thing went wrong.
    pub kind: Kind,
    /// The row of data, from 1; a header is not counted.
    pub row: Option<u64>,
    /// The line of a text file, from 1; a header is counted.
    pub line: Option<u64>,
    /// The name of the column.
    pub column: Option<String>,
    /// What was found, what was expected, what to do.
    pub message: String,
}

/// The result of reading or writing a file.
pub type Result<T, E = IoError> = std::result::Result<T, E>;

impl IoError {
    pub(crate) fn new(path: &Path, kind: Kind, message: impl Into<String>) -> Self {
        IoError {
            path: path.to_path_buf(),
            kind,
            row: None,
            line: None,
            column: None,
            message: message.into(),
        }
    }

    pub(crate) fn cell(
        path: &Path,
        row: u64,
        line: Option<u64>,
        column: &str,
        message: impl Into<String>,
    ) -> Self {
        IoError {
            row: Some(row),
            line,
            column: Some(column.to_string()),
            ..Self::new(path, Kind::Cell, message)
        }
    }

    pub(crate) fn row(
        path: &Path,
        row: u64,
        line: Option<u64>,
        message: impl Into<String>,
    ) -> Self {
        IoError {
            row: Some(row),
            line,
            ..Self::new(path, Kind::Cell, message)
        }
    }

    pub(crate) fn malformed(path: &Path, message: impl Into<String>) -> Self {
        Self::new(path, Kind::Malformed, message)
    }

    /// The file is there but cannot be read.
    pub(crate) fn reading(path: &Path, error: &std::io::Error) -> Self {
        let message = match error.kind() {
            ErrorKind::NotFound => "there is no such file.".to_string(),
            ErrorKind::PermissionDenied => "no permission to read this file.".to_string(),
            ErrorKind::IsADirectory => "this is a folder; a file is expected.".to_string(),
            ErrorKind::UnexpectedEof => {
                return Self::malformed(
                    path,
                    "the file ends too early: it is cut short. Copy or write it again.",
                );
            }
            ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                return Self::malformed(
                    path,
                    format!("the file is damaged ({error}). Copy or write it again."),
                );
            }
            _ => format!("cannot be read: {error}."),
        };
        Self::new(path, Kind::System, message)
    }

    /// The file cannot be created, written, or moved to its place.
    pub(crate) fn writing(path: &Path, error: &std::io::Error) -> Self {
        let folder = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p.display().to_string(),
            _ => ".".to_string(),
        };
        let message = match error.kind() {
            ErrorKind::NotFound => {
                format!("cannot be written: the folder `{folder}` does not exist. Create it first.")
            }
            ErrorKind::NotADirectory => format!("cannot be written: `{folder}` is not a folder."),
            ErrorKind::PermissionDenied => {
                format!("cannot be written: no permission to create files in `{folder}`.")
            }
            ErrorKind::ReadOnlyFilesystem => {
                format!("cannot be written: `{folder}` is on a read-only file system.")
            }
            ErrorKind::IsADirectory => {
                "cannot be written: this is a folder; name a file.".to_string()
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => format!(
                "cannot be written: {error}. Nothing was left behind in `{folder}`; make room or choose another place."
            ),
            _ => format!("cannot be written: {error}. Nothing was left behind in `{folder}`."),
        };
        Self::new(path, Kind::System, message)
    }

    fn place(&self) -> String {
        let mut place = String::new();
        if let Some(row) = self.row {
            place.push_str(&format!(", row {row}"));
        }
        if let Some(line) = self.line {
            place.push_str(&if self.row.is_some() {
                format!(" (line {line})")
            } else {
                format!(", line {line}")
            });
        }
        if let Some(column) = &self.column {
            place.push_str(&format!(", column `{column}`"));
        }
        place
    }

    /// The sentence without the file's name, for callers that print the path themselves.
    pub fn message_without_path(&self) -> String {
        let place = self.place();
        match place.strip_prefix(", ") {
            Some(place) => format!("{place}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

/// `'a', 'b', 'c'`, cut after twenty names: the list of what is there, for messages.
pub(crate) fn list<S: AsRef<str>>(names: &[S]) -> String {
    const MOST: usize = 20;
    let mut text = names
        .iter()
        .take(MOST)
        .map(|n| format!("`{}`", n.as_ref()))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > MOST {
        text.push_str(&format!(" and {} more", names.len() - MOST));
    }
    text
}

/// A cell as it is shown in a message: short, on one line.
pub(crate) fn shown(cell: &[u8]) -> String {
    let text = String::from_utf8_lossy(cell);
    let mut out: String = text
        .chars()
        .take(40)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().count() > 40 {
        out.push_str("...");
    }
    out
}

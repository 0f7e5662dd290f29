//! Which format a file has (by its extension), and how wide its numbers are.

use crate::error::{IoError, Kind, Result};
use std::path::Path;

/// The formats read and written. A file's extension, in any case, says which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `.npy`: one numpy array, `[n, d]` or `[n]`.
    Npy,
    /// `.npz`: a zip of named numpy arrays.
    Npz,
    /// `.csv`: text, fields separated by commas.
    Csv,
    /// `.tsv`: text, fields separated by tabs.
    Tsv,
    /// `.parquet`: Apache Parquet. Needs the feature `parquet`, on by default.
    Parquet,
}

impl Format {
    /// The format of `path`, by its extension.
    ///
    /// # Errors
    /// [`Kind::Extension`] with the list of the known ones.
    pub fn of(path: impl AsRef<Path>) -> Result<Format> {
        let path = path.as_ref();
        let extension = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or("")
            .to_ascii_lowercase();
        match extension.as_str() {
            "npy" => Ok(Format::Npy),
            "npz" => Ok(Format::Npz),
            "csv" => Ok(Format::Csv),
            "tsv" => Ok(Format::Tsv),
            "parquet" if cfg!(feature = "parquet") => Ok(Format::Parquet),
            "parquet" => Err(IoError::new(
                path,
                Kind::Extension,
                "this build reads no Parquet. Build it with `cargo build --release --features parquet`, or use .npy, .npz, .csv or .tsv.",
            )),
            "" => Err(IoError::new(
                path,
                Kind::Extension,
                "the file's name has no extension, which says its format. Known are .npy, .npz, .csv, .tsv and .parquet.",
            )),
            other => Err(IoError::new(
                path,
                Kind::Extension,
                format!(
                    "unknown extension `.{other}`. Known are .npy, .npz, .csv, .tsv and .parquet."
                ),
            )),
        }
    }

    /// Whether a file of this format can hold text columns beside the points: csv, tsv and parquet can.
    pub fn holds_text(self) -> bool {
        matches!(self, Format::Csv | Format::Tsv | Format::Parquet)
    }
}

/// The width of the numbers in a file. Text counts as `F64`; integers of up to 16 bits count as `F32`,
/// which holds them exactly, wider ones as `F64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// IEEE single precision, 4 bytes.
    F32,
    /// IEEE double precision, 8 bytes.
    F64,
}

//! Tables of points in and out: `.npy`, `.npz`, `.csv`, `.tsv` and `.parquet`, chosen by a file's extension, in single and double precision.
//!
//! A table is `n` points in `R^d`, one a row, and optionally a class name and a weight for each. [`read`] takes a whole file into
//! memory, once, in single precision around an origin; [`Reader`] and [`Writer`] stream it in chunks, so that memory does not grow with the rows.
//! Points that are in memory already become the same table by [`Table::from_memory`].
//! A file that is written appears whole or not at all. A file that cannot be used gives an [`IoError`] that names the file, the row,
//! the line of a text file, and the column.
//!
//! ```
//! use charflow_io::{ReadOptions, read};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("cells.csv");
//! std::fs::write(&path, "day,x,y\nmon,0.5,1\ntue,0.25,2\n")?;
//! let options = ReadOptions { labels: Some("day".into()), ..Default::default() };
//! let table = read(&path, &options)?;
//! assert_eq!((table.rows, table.dim), (2, 2));
//! assert_eq!(table.columns, ["x", "y"]);
//! assert_eq!(table.values, [0.5, 1.0, 0.25, 2.0]);
//! assert_eq!(table.labels.unwrap(), ["mon", "tue"]);
//!
//! std::fs::write(&path, "x,y\n0.5,1\n0.25,two\n")?;
//! let error = read(&path, &ReadOptions::default()).unwrap_err();
//! assert_eq!(error.message_without_path(), "row 2 (line 3), column `y`: expected a number, found `two`.");
//! # Ok(()) }
//! ```
//!
//! | format | names | labels and weights | columns that are no coordinates |
//! |---|---|---|---|
//! | npy | no | columns by number | left out |
//! | npz | in an array `columns`, optional | arrays of their own, by key; or columns | left out |
//! | csv, tsv | a header, found without asking | columns by name or number | passed through as text |
//! | parquet | yes | columns by name or number | passed through as text |
//!
//! Numpy arrays are read in either byte order, in C and Fortran order, of any real number type, with one axis (one column) or two; deflated
//! npz entries too. One case needs memory for the whole array as it is stored: a deflated one in Fortran order.
//! [`ReadOptions::rows`] takes some of the rows only, by their value in one column, without holding the others.
//! Whole numbers in a float or text label, `3.0`, are the class `3`.
//!
//! Pictures are in `picture`, behind the feature `pictures`. Arrays of bytes in MNIST's idx format are read by [`read_idx`].

mod array;
mod atomic;
mod columns;
mod error;
mod format;
mod idx;
mod npy;
mod npz;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "pictures")]
pub mod picture;
mod read;
mod rows;
mod text;
mod write;

pub use atomic::{AtomicFile, write_file};
pub use columns::columns_spec;
pub use error::{IoError, Kind, Result};
pub use format::{Format, Precision};
pub use idx::{Idx, is_idx, read_idx};
pub use npz::{npz_keys, read_npz_matrix};
pub use read::{InMemory, ReadOptions, Reader, Table, read};
pub use write::Writer;

//! Reading: a stream of checked rows, and the whole table at once.

use crate::columns::default_names;
use crate::error::{IoError, Kind, Result};
use crate::format::{Format, Precision};
use crate::rows::RowFilter;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What to read of a file. The default is every column of numbers as a coordinate, no labels, no weights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The coordinates, as a comma list of names (`x,y`), ranges of names (`x1-x50`, `x1..x50`), numbers from 1 (`3`) and
    /// ranges of numbers (`1-50`). A name goes before a number; a name with a comma is put in double quotes
    /// ([`crate::columns_spec`] does so). Without it: all columns of numbers but the labels and weights; then a column of text is an error.
    pub columns: Option<String>,
    /// The column of class names: a column's name, or its number from 1; in an npz also the key of an array of its own,
    /// `[n]`, of whole numbers or text.
    pub labels: Option<String>,
    /// The column of weights, named like the labels: finite and not negative, not all zero.
    pub weights: Option<String>,
    /// The array of an npz that holds the points, `[n, d]` or `[n]`. Without it: `x`, or else the only array of numbers with two axes.
    pub array: Option<String>,
    /// The rows to take, as `COLUMN=VALUE` or `COLUMN=VALUE,VALUE,...`; without it all. The column is named like the labels (in an npz
    /// also by key), and is no coordinate unless `columns` says so. A value that is a number is compared as a number (`0` is `0.0`), any
    /// other as text; one with a comma is put in double quotes. Rows that are not taken are not looked at any further: they may hold
    /// what would be an error in others.
    pub rows: Option<String>,
}

/// What goes with the points of a chunk.
#[derive(Default)]
pub(crate) struct Side {
    pub labels: Vec<String>,
    pub weights: Vec<f64>,
    pub extras: Vec<String>,
    /// Where each row of a text file begins, in bytes, so that an error can find its line; empty for other formats.
    pub starts: Vec<u64>,
    /// Rows in the chunk.
    pub chunk: usize,
    /// Chooses the rows, if not all are taken. Every source asks it of every row.
    pub filter: Option<RowFilter>,
}

/// A format's rows. Appends up to `max_rows` rows to empty buffers and tells how many; fewer only at the end, where it is 0 in the end.
/// With a filter these are the rows it takes, so that a chunk is what it would be of a file of these rows alone.
pub(crate) trait Source {
    fn fill(&mut self, max_rows: usize, points: &mut Vec<f64>, side: &mut Side) -> Result<usize>;
}

/// A file whose header is read.
pub(crate) struct Opened {
    pub names: Vec<String>,
    pub has_names: bool,
    pub extras: Vec<String>,
    pub rows: Option<usize>,
    pub precision: Precision,
    /// The weights' column or array, for messages.
    pub weight: Option<String>,
    pub filter: Option<RowFilter>,
    pub source: Box<dyn Source + Send>,
}

/// The file's length; a folder or an empty file is an error.
pub(crate) fn length(path: &Path, file: &File) -> Result<u64> {
    let metadata = file.metadata().map_err(|e| IoError::reading(path, &e))?;
    if metadata.is_dir() {
        return Err(IoError::reading(
            path,
            &std::io::ErrorKind::IsADirectory.into(),
        ));
    }
    if metadata.is_file() && metadata.len() == 0 {
        return Err(IoError::new(
            path,
            Kind::Empty,
            "the file is empty (0 bytes).",
        ));
    }
    Ok(metadata.len())
}

/// A file of points read in chunks, in memory that does not grow with its rows.
///
/// Every value given out is finite, every weight finite and not negative, every label not empty.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("cells.csv");
/// std::fs::write(&path, "cell,x,y\na,1,2\nb,3,4\nc,5,6\n")?;
/// let options = charflow_io::ReadOptions { columns: Some("x,y".into()), ..Default::default() };
/// let mut reader = charflow_io::Reader::open(&path, &options)?;
/// let mut rows = Vec::new();
/// let mut sum = 0.0;
/// while reader.next_chunk(2, &mut rows)? > 0 {
///     sum += rows.iter().sum::<f64>();
/// }
/// assert_eq!((sum, reader.extra_columns()), (21.0, &["cell".to_string()][..]));
/// # Ok(()) }
/// ```
pub struct Reader {
    path: PathBuf,
    opened: Opened,
    side: Side,
    rows_read: u64,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.path)
            .field("columns", &self.opened.names)
            .field("rows_read", &self.rows_read)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens a file and settles which column is what. What can be seen before the first row is an error here:
    /// a missing file, a foreign or truncated one, a missing column, an array that is too short.
    ///
    /// # Errors
    /// See [`Kind`].
    pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Reader> {
        Self::open_for(path.as_ref(), options, true)
    }

    fn open_for(path: &Path, options: &ReadOptions, keep_extras: bool) -> Result<Reader> {
        let format = Format::of(path)?;
        // Opening a folder succeeds on some systems and fails only at the first read.
        if path.is_dir() {
            return Err(IoError::reading(
                path,
                &std::io::ErrorKind::IsADirectory.into(),
            ));
        }
        let mut opened = match format {
            Format::Npy => crate::array::open_npy(path, options)?,
            Format::Npz => crate::npz::open_npz(path, options)?,
            Format::Csv => crate::text::open_text(path, b',', options, keep_extras)?,
            Format::Tsv => crate::text::open_text(path, b'\t', options, keep_extras)?,
            #[cfg(feature = "parquet")]
            Format::Parquet => crate::parquet::open_parquet(path, options, keep_extras)?,
            // `Format::of` has already said so.
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => {
                return Err(IoError::new(
                    path,
                    Kind::Extension,
                    "this build reads no Parquet.",
                ));
            }
        };
        let filter = opened.filter.take();
        if filter.is_some() {
            // How many are chosen is known only in the end.
            opened.rows = None;
        }
        Ok(Reader {
            path: path.to_path_buf(),
            opened,
            side: Side {
                filter,
                ..Side::default()
            },
            rows_read: 0,
        })
    }

    /// The coordinates' names, `[d]`; `x1`, `x2`, ... by their place in the file where it has none.
    pub fn columns(&self) -> &[String] {
        &self.opened.names
    }

    /// Whether the names are the file's own.
    pub fn has_names(&self) -> bool {
        self.opened.has_names
    }

    /// Number of coordinates, d.
    pub fn dim(&self) -> usize {
        self.opened.names.len()
    }

    /// The width of the file's numbers.
    pub fn precision(&self) -> Precision {
        self.opened.precision
    }

    /// Number of rows, where it is known before they are read (all formats but text, unless rows are chosen).
    pub fn rows_hint(&self) -> Option<usize> {
        self.opened.rows
    }

    /// The names of the columns that are no coordinates, in the file's order, labels and weights among them: text and Parquet
    /// pass them through as text; the numpy formats have none.
    pub fn extra_columns(&self) -> &[String] {
        &self.opened.extras
    }

    /// The extra columns of the last chunk, `[rows, extras]` row by row.
    pub fn extras(&self) -> &[String] {
        &self.side.extras
    }

    /// The labels of the last chunk, `[rows]`, or empty where none are asked for.
    pub fn labels(&self) -> &[String] {
        &self.side.labels
    }

    /// The weights of the last chunk, `[rows]`, or empty where none are asked for.
    pub fn weights(&self) -> &[f64] {
        &self.side.weights
    }

    /// Rows given out so far.
    pub fn rows_read(&self) -> u64 {
        self.rows_read
    }

    /// Rows of the file looked at so far: those given out, and those that [`ReadOptions::rows`] passes over.
    pub fn rows_looked_at(&self) -> u64 {
        self.side
            .filter
            .as_ref()
            .map_or(self.rows_read, |f| f.looked_at)
    }

    /// Where the row `k` (from 0) of the last chunk stands in the file: its row, from 1.
    pub fn row_in_file(&self, k: usize) -> u64 {
        let chunk = self.side.chunk as u64;
        match &self.side.filter {
            Some(filter) => filter.numbers.get(k).copied().unwrap_or(filter.looked_at),
            None => self.rows_read - chunk + k as u64 + 1,
        }
    }

    /// Puts the next rows, at most `max_rows`, into `rows`: `[returned, d]`, row by row. 0 is the end of the file.
    ///
    /// # Errors
    /// The first bad cell, by row and column, or a file that cannot be read further.
    pub fn next_chunk(&mut self, max_rows: usize, rows: &mut Vec<f64>) -> Result<usize> {
        rows.clear();
        self.side.labels.clear();
        self.side.weights.clear();
        self.side.extras.clear();
        self.side.starts.clear();
        self.side.chunk = 0;
        if let Some(filter) = &mut self.side.filter {
            filter.numbers.clear();
        }
        let n = self
            .opened
            .source
            .fill(max_rows.max(1), rows, &mut self.side)?;
        self.rows_read += n as u64;
        self.side.chunk = n;
        if n == 0
            && let Some(filter) = &self.side.filter
        {
            filter.check(&self.path)?;
        }
        let dim = self.dim();
        let bad_point = rows.iter().position(|v| !v.is_finite());
        let worst_weight = self
            .side
            .weights
            .iter()
            .position(|w| !w.is_finite() || *w < 0.0);
        // The earlier row is told first.
        if let Some(k) = bad_point.filter(|k| worst_weight.is_none_or(|w| k / dim <= w)) {
            return Err(self.cell(k / dim, &self.opened.names[k % dim], not_finite(rows[k])));
        }
        if let Some(k) = worst_weight {
            let m = bad_weight(self.side.weights[k]);
            return Err(self.cell(k, self.opened.weight.as_deref().unwrap_or("weights"), m));
        }
        Ok(n)
    }

    fn cell(&self, k: usize, column: &str, message: String) -> IoError {
        IoError::cell(
            &self.path,
            self.row_in_file(k),
            self.side
                .starts
                .get(k)
                .and_then(|&s| crate::text::line_at(&self.path, s)),
            column,
            message,
        )
    }
}

/// A whole file of points in single precision around an origin: the point i is `origin + values[i]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The file; of a table from memory what it is called.
    pub path: PathBuf,
    /// Whether the points came from memory, by [`Table::from_memory`].
    pub in_memory: bool,
    /// The coordinates' names, `[d]`; `x1`, `x2`, ... by their place in the file where it has none.
    pub columns: Vec<String>,
    /// Whether the names are the file's own.
    pub has_names: bool,
    /// Number of coordinates, d.
    pub dim: usize,
    /// Number of points, n; at least 1.
    pub rows: usize,
    /// Rows in the file: more than `rows` where [`ReadOptions::rows`] chose some.
    pub rows_in_file: usize,
    /// `[d]`, in double precision. Zero, except for a column of a double-precision file whose values lie far from zero compared with
    /// their spread: there single precision would lose the spread, and the origin is a round number among the values.
    pub origin: Vec<f64>,
    /// `[n, d]`, row by row.
    pub values: Vec<f32>,
    /// `[n]`, the class of each point, where asked for.
    pub labels: Option<Vec<String>>,
    /// `[n]`, as in the file (not normalised), where asked for.
    pub weights: Option<Vec<f64>>,
    /// The width of the file's numbers.
    pub precision: Precision,
}

/// Points that are in memory already, and what goes with them.
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    /// What messages call them.
    pub name: String,
    /// The coordinates' names, `[d]`, if they have any.
    pub columns: Option<Vec<String>>,
    /// Number of coordinates, d.
    pub dim: usize,
    /// Whether the values were in double precision.
    pub double: bool,
    /// `[n]`, the class of each point.
    pub labels: Option<Vec<String>>,
    /// `[n]`, not normalised.
    pub weights: Option<Vec<f64>>,
}

impl Table {
    /// The table that [`read`] would give of a file that holds these points, bit by bit: `values` are their coordinates, row by row.
    ///
    /// # Errors
    /// No point, a value or a weight that is not finite, one that leaves single precision, a negative weight, by row and column; other numbers of names, labels or
    /// weights than there are columns and points.
    pub fn from_memory(about: InMemory, values: impl IntoIterator<Item = f64>) -> Result<Table> {
        let InMemory {
            name,
            columns,
            dim,
            double,
            labels,
            weights,
        } = about;
        let path = PathBuf::from(name);
        let usage = |kind, m: String| IoError::new(&path, kind, m);
        if dim == 0 {
            return Err(usage(Kind::Empty, "the points have no columns.".into()));
        }
        let has_names = columns.is_some();
        let columns = columns.unwrap_or_else(|| default_names(dim));
        if columns.len() != dim {
            let m = format!("{} names for {dim} columns.", columns.len());
            return Err(usage(Kind::Usage, m));
        }
        let mut incoming = values.into_iter();
        let mut stored: Vec<f32> = Vec::with_capacity(incoming.size_hint().0);
        let mut push = |origin: &[f64], value: f64| -> Result<()> {
            let at = stored.len();
            let cell = |m: String| {
                IoError::cell(&path, (at / dim) as u64 + 1, None, &columns[at % dim], m)
            };
            if !value.is_finite() {
                return Err(cell(not_finite(value)));
            }
            let single = (value - origin[at % dim]) as f32;
            if !single.is_finite() {
                return Err(cell(too_large(value)));
            }
            stored.push(single);
            Ok(())
        };
        let first: Vec<f64> = incoming.by_ref().take(rows_at_once(dim) * dim).collect();
        // A value that is not finite is told below, where its place is known.
        let origin = if double && first.len() >= dim && first.iter().all(|v| v.is_finite()) {
            origin_of(&first[..first.len() / dim * dim], dim)
        } else {
            vec![0.0; dim]
        };
        for value in first.into_iter().chain(incoming) {
            push(&origin, value)?;
        }
        let rows = stored.len() / dim;
        if rows == 0 {
            return Err(usage(Kind::Empty, "there are no rows.".into()));
        }
        if stored.len() != rows * dim {
            let m = format!("{} values are no rows of {dim}.", stored.len());
            return Err(usage(Kind::Usage, m));
        }
        for (what, count) in [
            ("label", labels.as_ref().map(Vec::len)),
            ("weight", weights.as_ref().map(Vec::len)),
        ] {
            if let Some(count) = count.filter(|&n| n != rows) {
                let plural = |n: usize| if n == 1 { "" } else { "s" };
                let m = format!(
                    "{count} {what}{} for {rows} point{}; expected one a point.",
                    plural(count),
                    plural(rows)
                );
                return Err(usage(Kind::Columns, m));
            }
        }
        if let Some(weights) = &weights {
            if let Some(i) = weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
                let m = bad_weight(weights[i]);
                return Err(IoError::cell(&path, i as u64 + 1, None, "weights", m));
            }
            if weights.iter().sum::<f64>() <= 0.0 {
                return Err(usage(Kind::Columns, NO_WEIGHT.into()));
            }
        }
        Ok(Table {
            path,
            in_memory: true,
            columns,
            has_names,
            dim,
            rows,
            rows_in_file: rows,
            origin,
            values: stored,
            labels,
            weights,
            precision: if double {
                Precision::F64
            } else {
                Precision::F32
            },
        })
    }

    /// The point `i` in double precision, `[d]`.
    pub fn point(&self, i: usize) -> Vec<f64> {
        let row = &self.values[i * self.dim..(i + 1) * self.dim];
        self.origin
            .iter()
            .zip(row)
            .map(|(o, v)| o + f64::from(*v))
            .collect()
    }

    /// All points in double precision, `[n, d]`: a copy twice the size of [`Table::values`].
    pub fn to_f64(&self) -> Vec<f64> {
        self.values
            .chunks_exact(self.dim)
            .flat_map(|row| self.origin.iter().zip(row).map(|(o, v)| o + f64::from(*v)))
            .collect()
    }
}

/// Rows that are looked at together: a megabyte or two, but enough to see a column's range.
fn rows_at_once(dim: usize) -> usize {
    ((1 << 18) / dim).clamp(64, 1 << 16)
}

fn not_finite(value: f64) -> String {
    format!(
        "the value is {value}; every value must be a finite number. Fill it or leave the row out."
    )
}

fn too_large(value: f64) -> String {
    format!("the value {value:e} is too large for single precision (3.4e38). Rescale the column.")
}

fn bad_weight(weight: f64) -> String {
    format!("the weight is {weight}; weights are finite and not negative.")
}

const NO_WEIGHT: &str = "the weights sum to zero; at least one must be positive.";

/// How far from zero a column may lie, in multiples of its range, before it gets an origin: up to here single precision
/// resolves the range to 2^-24 times this, 5e-7.
const FAR: f64 = 8.0;

/// The origin of each column from the first rows, `[rows, d]`.
///
/// It is a multiple of a power of two near the range, so that taking it off is exact in double precision wherever the values are
/// of like size (they have at most 53 bits above the same last place).
fn origin_of(rows: &[f64], dim: usize) -> Vec<f64> {
    (0..dim)
        .map(|c| {
            let column = || rows[c..].iter().step_by(dim);
            let low = column().copied().fold(f64::INFINITY, f64::min);
            let high = column().copied().fold(f64::NEG_INFINITY, f64::max);
            let (range, middle) = (high - low, low / 2.0 + high / 2.0);
            if low.abs().max(high.abs()) <= FAR * range || !range.is_finite() {
                return 0.0;
            }
            let step = 2f64.powi(range.log2().floor() as i32);
            let rounded = (middle / step).round() * step;
            // A range of zero, or one below the last place of the values.
            if range > 0.0 && rounded.is_finite() {
                rounded
            } else {
                low
            }
        })
        .collect()
}

/// Reads a whole file of points. Memory: the single-precision values once (plus labels and weights), and one chunk of a few megabytes.
///
/// # Errors
/// The first thing wrong with the file, by row and column; weights that sum to zero; a value that leaves single precision. A file with one
/// point is fine here.
pub fn read(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Table> {
    let path = path.as_ref();
    let mut reader = Reader::open_for(path, options, false)?;
    let dim = reader.dim();
    let chunk = rows_at_once(dim);
    let mut values: Vec<f32> = Vec::new();
    if let Some(n) = reader.rows_hint() {
        let enough = n
            .checked_mul(dim)
            .is_some_and(|count| values.try_reserve_exact(count).is_ok());
        if !enough {
            return Err(IoError::new(
                path,
                Kind::System,
                format!(
                    "{n} rows of {dim} columns do not fit into memory. Choose fewer columns with --columns."
                ),
            ));
        }
    }
    let mut labels = options
        .labels
        .as_ref()
        .map(|_| Vec::with_capacity(reader.rows_hint().unwrap_or(0)));
    let mut weights = options
        .weights
        .as_ref()
        .map(|_| Vec::with_capacity(reader.rows_hint().unwrap_or(0)));
    let mut origin = vec![0.0; dim];
    let mut rows = Vec::new();
    let mut first = true;
    loop {
        let n = reader.next_chunk(chunk, &mut rows)?;
        if n == 0 {
            break;
        }
        if std::mem::replace(&mut first, false) && reader.precision() == Precision::F64 {
            origin = origin_of(&rows, dim);
        }
        for (k, row) in rows.chunks_exact(dim).enumerate() {
            for c in 0..dim {
                let value = (row[c] - origin[c]) as f32;
                if !value.is_finite() {
                    return Err(reader.cell(k, &reader.opened.names[c], too_large(row[c])));
                }
                values.push(value);
            }
        }
        if let Some(labels) = &mut labels {
            labels.append(&mut reader.side.labels);
        }
        if let Some(weights) = &mut weights {
            weights.append(&mut reader.side.weights);
        }
    }
    values.shrink_to_fit();
    let count = values.len() / dim;
    if count == 0 {
        return Err(IoError::new(path, Kind::Empty, "the file has no rows."));
    }
    if let Some(w) = &weights
        && w.iter().sum::<f64>() <= 0.0
    {
        let column = reader.opened.weight.clone();
        return Err(IoError {
            column,
            ..IoError::new(path, Kind::Columns, NO_WEIGHT)
        });
    }
    let rows_in_file = usize::try_from(reader.rows_looked_at()).unwrap_or(usize::MAX);
    Ok(Table {
        path: path.to_path_buf(),
        in_memory: false,
        columns: reader.opened.names,
        has_names: reader.opened.has_names,
        dim,
        rows: count,
        rows_in_file,
        origin,
        values,
        labels,
        weights,
        precision: reader.opened.precision,
    })
}

#[cfg(test)]
mod tests {
    use super::origin_of;

    #[test]
    fn an_origin_is_given_only_where_it_is_needed() {
        assert_eq!(origin_of(&[0.0, 1.0, -3.0, 2.0], 1), [0.0]);
        assert_eq!(origin_of(&[5.0, 6.0, 7.0], 1), [0.0]);
        assert_eq!(origin_of(&[0.0, 0.0], 1), [0.0]);
        assert_eq!(
            origin_of(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0], 1),
            [1e9 + 2.0]
        );
        // A constant column is its origin, exactly.
        assert_eq!(origin_of(&[0.1, 5.0, 0.1, -5.0], 2), [0.1, 0.0]);
        // Beyond the range of doubles and below their last place.
        assert_eq!(origin_of(&[-1.7e308, 1.7e308], 1), [0.0]);
        let next = f64::from_bits(1e300f64.to_bits() + 1);
        assert!((origin_of(&[1e300, next], 1)[0] - 1e300).abs() <= next - 1e300);
    }

    #[test]
    fn taking_an_origin_off_is_exact() {
        // A grid of 2^-20 at 1e6 has values of 40 bits: nothing may be lost at all.
        let values: Vec<f64> = (0..1000)
            .map(|k| 1e6 + (k as f64 * 37.0 % 1000.0) * 2f64.powi(-20))
            .collect();
        let origin = origin_of(&values, 1)[0];
        for v in values {
            assert_eq!(origin + f64::from((v - origin) as f32), v);
        }
    }
}

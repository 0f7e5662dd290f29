//! Writing: rows out, in chunks, into a file that appears whole or not at all.

use crate::atomic::AtomicFile;
use crate::columns::duplicate;
use crate::error::{IoError, Kind, Result};
use crate::format::{Format, Precision};
use crate::npy::Header;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Writes a file of points in chunks. The format is that of the file's extension:
///
/// - npy: an array `[n, d]`, C order, little-endian; no names, no extra columns;
/// - npz: the same as the array `x`, and the names as the array `columns`; no extra columns;
/// - csv, tsv: a header, then the points and after them the extra columns, each number with as many digits as make it come back exactly;
/// - Parquet: the coordinates as FLOAT or DOUBLE, the extra columns as text, compressed with snappy.
///
/// The file is written under a temporary name beside its place and renamed by [`Writer::finish`]; dropped before that, or after an
/// error, nothing remains. Memory does not grow with the rows.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("out.npy");
/// use charflow_io::{Precision, ReadOptions, Writer, read};
/// let columns = ["x".to_string(), "y".to_string()];
/// let mut writer = Writer::create(&path, &columns, &[], Precision::F32)?;
/// writer.write(&[1.0, 2.0, 3.0, 4.0], &[])?; // two rows
/// writer.write(&[5.0, 6.0], &[])?; // and one more
/// writer.finish()?;
/// assert_eq!(read(&path, &ReadOptions::default())?.values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// # Ok(()) }
/// ```
pub struct Writer {
    path: PathBuf,
    dim: usize,
    extras: usize,
    rows: u64,
    precision: Precision,
    sink: Sink,
    scratch: Vec<u8>,
}

enum Sink {
    Npy(BufWriter<AtomicFile>),
    /// The array grows in a file of its own, since a zip entry is preceded by its checksum; `finish` puts it into the zip.
    Npz {
        array: BufWriter<AtomicFile>,
        columns: Vec<String>,
    },
    Text(Box<csv::Writer<AtomicFile>>),
    #[cfg(feature = "parquet")]
    Parquet(Box<parquet_sink::ParquetSink>),
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("path", &self.path)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// Begins a file with the coordinates `columns`, `[d]`, and after them the text columns `extra_columns`.
    ///
    /// # Errors
    /// An unknown extension, a folder that is missing or cannot be written, two columns of the same name, or extra columns in a
    /// numpy format ([`Format::holds_text`] tells which can hold them).
    pub fn create(
        path: impl AsRef<Path>,
        columns: &[String],
        extra_columns: &[String],
        precision: Precision,
    ) -> Result<Writer> {
        let path = path.as_ref();
        let format = Format::of(path)?;
        let all: Vec<String> = columns.iter().chain(extra_columns).cloned().collect();
        if columns.is_empty() {
            return Err(IoError::new(
                path,
                Kind::Usage,
                "a table needs at least one coordinate.",
            ));
        }
        if let Some(name) = duplicate(&all) {
            return Err(IoError::new(
                path,
                Kind::Columns,
                format!("two columns are named `{name}`. Give every column its own name."),
            ));
        }
        if !extra_columns.is_empty() && !format.holds_text() {
            let m = format!(
                "a numpy file holds numbers only, not the extra columns {}. Write .csv, .tsv or .parquet, or leave them out.",
                crate::error::list(extra_columns)
            );
            return Err(IoError::new(path, Kind::Columns, m));
        }
        let writing = |e: io::Error| IoError::writing(path, &e);
        let file = AtomicFile::create(path)?;
        let array = |file: AtomicFile| -> Result<BufWriter<AtomicFile>> {
            let mut file = BufWriter::with_capacity(1 << 17, file);
            // Holds the place; the rows are counted by `finish`.
            file.write_all(&Header::bytes(precision, 0, columns.len()))
                .map_err(writing)?;
            Ok(file)
        };
        let sink = match format {
            Format::Npy => Sink::Npy(array(file)?),
            Format::Npz => Sink::Npz {
                array: array(file)?,
                columns: columns.to_vec(),
            },
            Format::Csv | Format::Tsv => {
                let delimiter = if format == Format::Csv { b',' } else { b'\t' };
                let mut writer = csv::WriterBuilder::new()
                    .delimiter(delimiter)
                    .buffer_capacity(1 << 17)
                    .from_writer(file);
                writer.write_record(&all).map_err(|e| text_error(path, e))?;
                Sink::Text(Box::new(writer))
            }
            #[cfg(feature = "parquet")]
            Format::Parquet => Sink::Parquet(Box::new(parquet_sink::ParquetSink::new(
                path,
                file,
                columns,
                extra_columns,
                precision,
            )?)),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => {
                return Err(IoError::new(
                    path,
                    Kind::Extension,
                    "this build writes no Parquet.",
                ));
            }
        };
        Ok(Writer {
            path: path.to_path_buf(),
            dim: columns.len(),
            extras: extra_columns.len(),
            rows: 0,
            precision,
            sink,
            scratch: Vec::new(),
        })
    }

    /// Appends rows, `[n, d]` row by row, with their extra columns, `[n, extras]` row by row. Values are written as they are, rounded to
    /// the file's precision.
    ///
    /// # Errors
    /// The sizes do not fit together, or the file cannot be written (a full disk). After an error drop the writer; nothing remains.
    pub fn write(&mut self, rows: &[f64], extras: &[String]) -> Result<()> {
        let n = rows.len() / self.dim;
        if rows.len() != n * self.dim || extras.len() != n * self.extras {
            let m = format!(
                "{} values and {} extras are no whole rows of {} coordinates and {} extras.",
                rows.len(),
                extras.len(),
                self.dim,
                self.extras
            );
            return Err(IoError::new(&self.path, Kind::Usage, m));
        }
        self.rows += n as u64;
        match &mut self.sink {
            Sink::Npy(file) | Sink::Npz { array: file, .. } => {
                // A few kilobytes at a time, so that a large call needs no second copy.
                for part in rows.chunks(1 << 13) {
                    self.scratch.clear();
                    match self.precision {
                        Precision::F32 => part
                            .iter()
                            .for_each(|v| self.scratch.extend((*v as f32).to_le_bytes())),
                        Precision::F64 => part
                            .iter()
                            .for_each(|v| self.scratch.extend(v.to_le_bytes())),
                    }
                    file.write_all(&self.scratch)
                        .map_err(|e| IoError::writing(&self.path, &e))?;
                }
            }
            Sink::Text(writer) => {
                for k in 0..n {
                    for v in &rows[k * self.dim..(k + 1) * self.dim] {
                        self.scratch.clear();
                        // The shortest text that reads back as the same number; `{:?}` turns to 1e300 where `{}` writes 300 zeros.
                        let written = match self.precision {
                            Precision::F32 => write!(self.scratch, "{:?}", *v as f32),
                            Precision::F64 => write!(self.scratch, "{v:?}"),
                        };
                        written.map_err(|e| IoError::writing(&self.path, &e))?;
                        writer
                            .write_field(&self.scratch)
                            .map_err(|e| text_error(&self.path, e))?;
                    }
                    let extras = &extras[k * self.extras..(k + 1) * self.extras];
                    extras
                        .iter()
                        .try_for_each(|e| writer.write_field(e))
                        .map_err(|e| text_error(&self.path, e))?;
                    writer
                        .write_record(None::<&[u8]>)
                        .map_err(|e| text_error(&self.path, e))?;
                }
            }
            #[cfg(feature = "parquet")]
            Sink::Parquet(sink) => sink.write(&self.path, rows, extras)?,
        }
        Ok(())
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Completes the file, flushes it to the disk and puts it in its place.
    ///
    /// # Errors
    /// The disk is full or failed. Then nothing remains, and a file that was there before is as it was.
    pub fn finish(self) -> Result<()> {
        let path = self.path;
        let writing = |e: io::Error| IoError::writing(&path, &e);
        let complete = |file: BufWriter<AtomicFile>| -> Result<AtomicFile> {
            let mut file = file.into_inner().map_err(|e| writing(e.into_error()))?;
            file.seek(SeekFrom::Start(0)).map_err(writing)?;
            file.write_all(&Header::bytes(self.precision, self.rows, self.dim))
                .map_err(writing)?;
            Ok(file)
        };
        match self.sink {
            Sink::Npy(file) => complete(file)?.commit(),
            Sink::Npz { array, columns } => {
                let mut array = complete(array)?;
                array.seek(SeekFrom::Start(0)).map_err(writing)?;
                pack(&path, array, &columns)?.commit()
            }
            Sink::Text(writer) => writer
                .into_inner()
                .map_err(|e| writing(io::Error::new(e.error().kind(), e.to_string())))?
                .commit(),
            #[cfg(feature = "parquet")]
            Sink::Parquet(sink) => sink.finish(&path)?.commit(),
        }
    }
}

fn text_error(path: &Path, error: csv::Error) -> IoError {
    match error.into_kind() {
        csv::ErrorKind::Io(e) => IoError::writing(path, &e),
        other => IoError::new(
            path,
            Kind::Usage,
            format!("the row cannot be written: {other:?}."),
        ),
    }
}

/// After its first error it takes everything and keeps nothing. A zip writer that is dropped tries to complete its archive, and
/// prints to the terminal when that fails; zip 8 offers no way to give an archive up.
struct Mute<W> {
    inner: W,
    failed: bool,
}

impl<W: Write> Write for Mute<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed {
            return Ok(bytes.len());
        }
        self.inner.write(bytes).inspect_err(|_| self.failed = true)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.failed {
            return Ok(());
        }
        self.inner.flush().inspect_err(|_| self.failed = true)
    }
}

impl<W: Seek> Seek for Mute<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if self.failed {
            // Where it would be, as far as one can tell: nothing is read back.
            return Ok(if let SeekFrom::Start(at) = to { at } else { 0 });
        }
        self.inner.seek(to).inspect_err(|_| self.failed = true)
    }
}

/// A zip of the array `x` and the names. Stored, not deflated: floats hardly shrink, and a stored array can be read in place.
fn pack(path: &Path, mut array: AtomicFile, columns: &[String]) -> Result<AtomicFile> {
    let zip_error = |e: zip::result::ZipError| match e {
        zip::result::ZipError::Io(e) => IoError::writing(path, &e),
        other => IoError::new(path, Kind::System, format!("cannot be written: {other}.")),
    };
    let writing = |e: io::Error| IoError::writing(path, &e);
    let file = BufWriter::with_capacity(1 << 17, AtomicFile::create(path)?);
    let mut out = zip::ZipWriter::new(Mute {
        inner: file,
        failed: false,
    });
    // `large_file`: the sizes have 64 bits, as numpy writes them.
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .large_file(true);
    out.start_file("x.npy", options).map_err(zip_error)?;
    io::copy(&mut array, &mut out).map_err(writing)?;
    out.start_file(format!("{}.npy", crate::npz::NAMES), options)
        .map_err(zip_error)?;
    let width = columns
        .iter()
        .map(|c| c.chars().count())
        .max()
        .unwrap_or(0)
        .max(1);
    let mut names = Header::bytes_of(&format!("<U{width}"), &format!("({},)", columns.len()));
    for column in columns {
        let units = column
            .chars()
            .map(u32::from)
            .chain(std::iter::repeat(0))
            .take(width);
        units.for_each(|u| names.extend(u.to_le_bytes()));
    }
    out.write_all(&names).map_err(writing)?;
    let file = out.finish().map_err(zip_error)?;
    file.inner.into_inner().map_err(|e| writing(e.into_error()))
}

#[cfg(feature = "parquet")]
mod parquet_sink {
    use super::*;
    use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType};
    use parquet::errors::ParquetError;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::types::{Type, TypePtr};
    use std::sync::Arc;

    /// Rows gathered into row groups of about four million values: Parquet stores a group column by column.
    pub(super) struct ParquetSink {
        file: SerializedFileWriter<AtomicFile>,
        dim: usize,
        extra: usize,
        precision: Precision,
        group: usize,
        rows: Vec<f64>,
        extras: Vec<String>,
    }

    fn failed(path: &Path, error: ParquetError) -> IoError {
        match error {
            ParquetError::External(e) if e.is::<io::Error>() => match e.downcast::<io::Error>() {
                Ok(e) => IoError::writing(path, &e),
                Err(e) => IoError::new(path, Kind::System, format!("cannot be written: {e}.")),
            },
            other => IoError::new(path, Kind::System, format!("cannot be written: {other}.")),
        }
    }

    impl ParquetSink {
        pub fn new(
            path: &Path,
            file: AtomicFile,
            columns: &[String],
            extras: &[String],
            precision: Precision,
        ) -> Result<Self> {
            let physical = match precision {
                Precision::F32 => Physical::FLOAT,
                Precision::F64 => Physical::DOUBLE,
            };
            let number = |name: &String| {
                Type::primitive_type_builder(name, physical)
                    .with_repetition(Repetition::REQUIRED)
                    .build()
            };
            let text = |name: &String| {
                Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
                    .with_repetition(Repetition::REQUIRED)
                    .with_logical_type(Some(LogicalType::String))
                    .build()
            };
            let fields: std::result::Result<Vec<TypePtr>, ParquetError> = columns
                .iter()
                .map(number)
                .chain(extras.iter().map(text))
                .map(|t| t.map(Arc::new))
                .collect();
            let schema =
                fields.and_then(|f| Type::group_type_builder("schema").with_fields(f).build());
            let schema = schema.map_err(|e| failed(path, e))?;
            let mut properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_created_by(concat!("charflow ", env!("CARGO_PKG_VERSION")).to_string());
            // Coordinates hardly repeat: a dictionary of them would be given up after costing its memory.
            for name in columns {
                properties =
                    properties.set_column_dictionary_enabled(vec![name.clone()].into(), false);
            }
            let file =
                SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build()))
                    .map_err(|e| failed(path, e))?;
            let group = ((1 << 22) / (columns.len() + extras.len())).clamp(1 << 10, 1 << 17);
            Ok(ParquetSink {
                file,
                dim: columns.len(),
                extra: extras.len(),
                precision,
                group,
                rows: Vec::new(),
                extras: Vec::new(),
            })
        }

        pub fn write(&mut self, path: &Path, rows: &[f64], extras: &[String]) -> Result<()> {
            for k in 0..rows.len() / self.dim {
                self.rows
                    .extend_from_slice(&rows[k * self.dim..(k + 1) * self.dim]);
                self.extras
                    .extend_from_slice(&extras[k * self.extra..(k + 1) * self.extra]);
                if self.rows.len() == self.group * self.dim {
                    self.flush().map_err(|e| failed(path, e))?;
                }
            }
            Ok(())
        }

        fn flush(&mut self) -> std::result::Result<(), ParquetError> {
            let mut group = self.file.next_row_group()?;
            let mut column = 0;
            while let Some(mut writer) = group.next_column()? {
                if column < self.dim {
                    let values = self.rows.iter().skip(column).step_by(self.dim);
                    match self.precision {
                        Precision::F32 => {
                            let values: Vec<f32> = values.map(|v| *v as f32).collect();
                            writer
                                .typed::<FloatType>()
                                .write_batch(&values, None, None)?;
                        }
                        Precision::F64 => {
                            let values: Vec<f64> = values.copied().collect();
                            writer
                                .typed::<DoubleType>()
                                .write_batch(&values, None, None)?;
                        }
                    }
                } else {
                    let values = self
                        .extras
                        .iter()
                        .skip(column - self.dim)
                        .step_by(self.extra);
                    let values: Vec<ByteArray> =
                        values.map(|t| ByteArray::from(t.as_str())).collect();
                    writer
                        .typed::<ByteArrayType>()
                        .write_batch(&values, None, None)?;
                }
                writer.close()?;
                column += 1;
            }
            group.close()?;
            self.rows.clear();
            self.extras.clear();
            Ok(())
        }

        pub fn finish(mut self, path: &Path) -> Result<AtomicFile> {
            if !self.rows.is_empty() {
                self.flush().map_err(|e| failed(path, e))?;
            }
            self.file.into_inner().map_err(|e| failed(path, e))
        }
    }
}

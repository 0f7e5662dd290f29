//! Apache Parquet, column by column, without Arrow.

use crate::columns::{ColumnInfo, select};
use crate::error::{IoError, Kind, Result};
use crate::format::Precision;
use crate::npy::class_of_number;
use crate::read::{Opened, ReadOptions, Side, Source};
use crate::rows::{Cell, RowFilter};
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::ColumnDescPtr;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// What a column of the file becomes.
#[derive(Debug, Clone, Copy)]
enum Role {
    Point(usize),
    Label,
    Weight,
    /// Chooses the rows.
    Chooser,
    /// In this place of the extras.
    Extra(usize),
}

struct ParquetSource {
    path: PathBuf,
    file: SerializedFileReader<File>,
    /// Column of the file, its roles; what chooses the rows comes first.
    wanted: Vec<(usize, ColumnDescPtr, Vec<Role>)>,
    dim: usize,
    extras: usize,
    group: usize,
    left: usize,
    open: Vec<ColumnReader>,
    row: u64,
}

fn failed(path: &Path, error: &ParquetError) -> IoError {
    let text = error.to_string();
    match text.split_once("Disabled feature at compile time: ") {
        Some((_, codec)) => IoError::malformed(
            path,
            format!(
                "the columns are compressed with {}, which is not read. Write them with snappy or zstd.",
                codec.replace("flate2", "gzip")
            ),
        ),
        None => IoError::malformed(
            path,
            format!("the file is cut short or damaged ({text}). Copy or write it again."),
        ),
    }
}

/// The parquet crate may panic on a damaged file in places that no check of ours can foresee; a damaged file is an error, not a crash.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(IoError::malformed(
            path,
            "the file is damaged. Copy or write it again.",
        ))
    })
}

/// What a column holds if it holds no numbers.
fn not_numeric(column: &ColumnDescPtr) -> Option<String> {
    if column.max_rep_level() > 0 {
        return Some("lists".into());
    }
    let time = match column.logical_type_ref() {
        Some(LogicalType::Timestamp(..) | LogicalType::Time(..) | LogicalType::Date) => {
            Some("dates or times")
        }
        Some(LogicalType::Decimal(..)) => Some("decimals (cast them to double)"),
        _ => None,
    };
    if let Some(what) = time {
        return Some(what.into());
    }
    match (column.physical_type(), column.converted_type()) {
        (Physical::FLOAT | Physical::DOUBLE, _) => None,
        (
            Physical::INT32 | Physical::INT64,
            ConvertedType::NONE
            | ConvertedType::INT_8
            | ConvertedType::INT_16
            | ConvertedType::INT_32
            | ConvertedType::INT_64
            | ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64,
        ) => None,
        (Physical::BOOLEAN, _) => Some("true and false".into()),
        (Physical::INT32 | Physical::INT64 | Physical::INT96, _) => Some("dates or times".into()),
        (Physical::BYTE_ARRAY, _) => Some("text".into()),
        (Physical::FIXED_LEN_BYTE_ARRAY, _) => {
            Some("bytes or half precision (cast it to float)".into())
        }
    }
}

fn single(column: &ColumnDescPtr) -> bool {
    matches!(
        (column.physical_type(), column.converted_type()),
        (Physical::FLOAT, _)
            | (
                Physical::INT32,
                ConvertedType::INT_8
                    | ConvertedType::INT_16
                    | ConvertedType::UINT_8
                    | ConvertedType::UINT_16
            )
    )
}

pub(crate) fn open_parquet(
    path: &Path,
    options: &ReadOptions,
    keep_extras: bool,
) -> Result<Opened> {
    if options.array.is_some() {
        return Err(IoError::new(
            path,
            Kind::Columns,
            "an array is asked for, but only an .npz file holds named arrays.",
        ));
    }
    let mut file = File::open(path).map_err(|e| IoError::reading(path, &e))?;
    crate::read::length(path, &file)?;
    let mut start = [0; 8];
    let read =
        std::io::Read::read(&mut file, &mut start).map_err(|e| IoError::reading(path, &e))?;
    if !start[..read].starts_with(b"PAR1") {
        return Err(IoError::malformed(
            path,
            format!(
                "this is not a Parquet file{}.",
                crate::text::resembles(&start[..read])
            ),
        ));
    }
    let file = guarded(path, || {
        SerializedFileReader::new(file).map_err(|e| failed(path, &e))
    })?;
    let metadata = file.metadata();
    let rows = usize::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
    let all: Vec<ColumnDescPtr> = metadata.file_metadata().schema_descr().columns().to_vec();
    let columns: Vec<ColumnInfo> = all
        .iter()
        .map(|c| {
            let name = c.path().parts().join(".");
            // pandas stores a row index that is not 0, 1, 2, ... as a column of such a name.
            let skipped_by_default = name.starts_with("__index_level_");
            ColumnInfo {
                not_numeric: not_numeric(c),
                skipped_by_default,
                name,
            }
        })
        .collect();
    if rows == 0 {
        return Err(IoError::new(
            path,
            Kind::Empty,
            "the file has columns but no rows.",
        ));
    }
    let (chooser, filter) = match &options.rows {
        Some(spec) => {
            let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
            let (column, filter) = RowFilter::of_columns(path, spec, &names)?;
            if all[column].max_rep_level() > 0 {
                return Err(IoError::new(
                    path,
                    Kind::Columns,
                    format!(
                        "rows cannot be chosen by the column `{}`: it holds lists.",
                        columns[column].name
                    ),
                ));
            }
            (Some(column), Some(filter))
        }
        None => (None, None),
    };
    let mut chosen = select(
        path,
        &columns,
        options.columns.as_deref(),
        options.labels.as_deref(),
        options.weights.as_deref(),
        chooser,
    )?;
    // A list has no place in a row of text.
    chosen
        .extras
        .retain(|&c| keep_extras && all[c].max_rep_level() == 0);
    if let Some(c) = chosen.label.filter(|&c| all[c].max_rep_level() > 0) {
        return Err(IoError::new(
            path,
            Kind::Columns,
            format!("the label column `{}` holds lists.", columns[c].name),
        ));
    }
    let mut wanted: Vec<(usize, ColumnDescPtr, Vec<Role>)> = Vec::new();
    let mut want = |column: usize, role: Role| match wanted.iter_mut().find(|w| w.0 == column) {
        Some(w) => w.2.push(role),
        None => wanted.push((column, all[column].clone(), vec![role])),
    };
    chooser.into_iter().for_each(|c| want(c, Role::Chooser));
    chosen
        .points
        .iter()
        .enumerate()
        .for_each(|(k, &c)| want(c, Role::Point(k)));
    chosen.label.into_iter().for_each(|c| want(c, Role::Label));
    chosen
        .weight
        .into_iter()
        .for_each(|c| want(c, Role::Weight));
    chosen
        .extras
        .iter()
        .enumerate()
        .for_each(|(k, &c)| want(c, Role::Extra(k)));
    let name = |c: usize| columns[c].name.clone();
    let narrow = chosen.points.iter().all(|&c| single(&all[c]));
    Ok(Opened {
        names: chosen.points.iter().map(|&c| name(c)).collect(),
        has_names: true,
        extras: chosen.extras.iter().map(|&c| name(c)).collect(),
        rows: Some(rows),
        precision: if narrow {
            Precision::F32
        } else {
            Precision::F64
        },
        weight: chosen.weight.map(name),
        filter,
        source: Box::new(ParquetSource {
            path: path.to_path_buf(),
            file,
            wanted,
            dim: chosen.points.len(),
            extras: chosen.extras.len(),
            group: 0,
            left: 0,
            open: Vec::new(),
            row: 0,
        }),
    })
}

/// The next `n` values of a column; `None` where it has none.
fn take<T: DataType>(
    path: &Path,
    column: &ColumnDescPtr,
    reader: &mut ColumnReaderImpl<T>,
    n: usize,
) -> Result<Vec<Option<T::T>>> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let full = column.max_def_level();
    let mut got = 0;
    while got < n {
        let read = reader.read_records(
            n - got,
            (full > 0).then_some(&mut levels),
            None,
            &mut values,
        );
        let (records, _, _) = read.map_err(|e| failed(path, &e))?;
        if records == 0 {
            return Err(IoError::malformed(
                path,
                "a column ends before its rows do: the file is damaged. Copy or write it again.",
            ));
        }
        got += records;
    }
    let mut values = values.into_iter();
    if full == 0 {
        return Ok(values.map(Some).collect());
    }
    Ok(levels
        .iter()
        .map(|&l| if l == full { values.next() } else { None })
        .collect())
}

/// A chunk of one column.
enum Values {
    /// Numbers, and the way to write each out exactly.
    F32(Vec<Option<f32>>),
    F64(Vec<Option<f64>>),
    Signed(Vec<Option<i64>>),
    Unsigned(Vec<Option<u64>>),
    Text(Vec<Option<String>>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Values::F32(v) => v.len(),
            Values::F64(v) => v.len(),
            Values::Signed(v) => v.len(),
            Values::Unsigned(v) => v.len(),
            Values::Text(v) => v.len(),
        }
    }

    fn number(&self, k: usize) -> Option<f64> {
        match self {
            Values::F32(v) => v[k].map(f64::from),
            Values::F64(v) => v[k],
            Values::Signed(v) => v[k].map(|x| x as f64),
            Values::Unsigned(v) => v[k].map(|x| x as f64),
            Values::Text(_) => None,
        }
    }

    /// As the choice of rows sees it.
    fn cell(&self, k: usize) -> Cell<'_> {
        const EMPTY: Cell<'_> = Cell::Text("");
        match self {
            Values::F32(v) => v[k].map_or(EMPTY, Cell::F32),
            Values::F64(v) => v[k].map_or(EMPTY, Cell::F64),
            Values::Text(v) => Cell::Text(v[k].as_deref().unwrap_or("")),
            Values::Signed(v) => v[k].map_or(EMPTY, |x| Cell::Whole(x.into())),
            Values::Unsigned(v) => v[k].map_or(EMPTY, |x| Cell::Whole(x.into())),
        }
    }

    fn text(&self, k: usize) -> Option<String> {
        match self {
            Values::F32(v) => v[k].map(|x| format!("{x:?}")),
            Values::F64(v) => v[k].map(|x| format!("{x:?}")),
            Values::Signed(v) => v[k].map(|x| x.to_string()),
            Values::Unsigned(v) => v[k].map(|x| x.to_string()),
            Values::Text(v) => v[k].clone(),
        }
    }

    fn class(&self, k: usize) -> Option<String> {
        match self {
            Values::F32(_) | Values::F64(_) => self.number(k).and_then(class_of_number),
            _ => self
                .text(k)
                .map(|t| t.trim().to_string())
                .filter(|t| !t.is_empty()),
        }
    }
}

fn read_column(
    path: &Path,
    column: &ColumnDescPtr,
    reader: &mut ColumnReader,
    n: usize,
) -> Result<Values> {
    let unsigned = matches!(
        column.converted_type(),
        ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64
    );
    fn map<A, B>(values: Vec<Option<A>>, f: impl Fn(A) -> B) -> Vec<Option<B>> {
        values.into_iter().map(|v| v.map(&f)).collect()
    }
    let plain = not_numeric(column).is_none();
    // Text is shown as it is, anything else as the parquet crate shows it.
    let show = |field: Field| match field {
        Field::Str(text) => text,
        other => other.to_string(),
    };
    let bytes = |value: ByteArray| match column.converted_type() {
        ConvertedType::DECIMAL => Field::convert_byte_array(column, value)
            .map(show)
            .unwrap_or_default(),
        _ => String::from_utf8_lossy(value.data()).into_owned(),
    };
    Ok(match reader {
        ColumnReader::FloatColumnReader(r) => Values::F32(take(path, column, r, n)?),
        ColumnReader::DoubleColumnReader(r) => Values::F64(take(path, column, r, n)?),
        ColumnReader::Int32ColumnReader(r) => {
            let values = take(path, column, r, n)?;
            match column.converted_type() {
                _ if plain && unsigned => Values::Unsigned(map(values, |v| u64::from(v as u32))),
                ConvertedType::DATE | ConvertedType::DECIMAL | ConvertedType::TIME_MILLIS => {
                    Values::Text(map(values, |v| show(Field::convert_int32(column, v))))
                }
                _ => Values::Signed(map(values, i64::from)),
            }
        }
        ColumnReader::Int64ColumnReader(r) => {
            let values = take(path, column, r, n)?;
            match column.converted_type() {
                _ if plain && unsigned => Values::Unsigned(map(values, |v| v as u64)),
                ConvertedType::DECIMAL
                | ConvertedType::TIME_MICROS
                | ConvertedType::TIMESTAMP_MILLIS
                | ConvertedType::TIMESTAMP_MICROS => {
                    Values::Text(map(values, |v| show(Field::convert_int64(column, v))))
                }
                _ => Values::Signed(values),
            }
        }
        // As Python writes them, so that a csv made by pandas has the same classes.
        ColumnReader::BoolColumnReader(r) => Values::Text(map(take(path, column, r, n)?, |v| {
            if v { "True" } else { "False" }.to_string()
        })),
        ColumnReader::ByteArrayColumnReader(r) => {
            Values::Text(map(take(path, column, r, n)?, bytes))
        }
        ColumnReader::FixedLenByteArrayColumnReader(r) => {
            Values::Text(map(take(path, column, r, n)?, |v| {
                bytes(ByteArray::from(v.data().to_vec()))
            }))
        }
        ColumnReader::Int96ColumnReader(r) => Values::Text(map(take(path, column, r, n)?, |v| {
            show(Field::convert_int96(column, v))
        })),
    })
}

impl ParquetSource {
    /// Opens the next row group that has rows.
    fn next_group(&mut self) -> Result<bool> {
        while self.left == 0 {
            if self.group == self.file.num_row_groups() {
                return Ok(false);
            }
            let group = self
                .file
                .get_row_group(self.group)
                .map_err(|e| failed(&self.path, &e))?;
            self.open.clear();
            for (column, _, _) in &self.wanted {
                self.open.push(
                    group
                        .get_column_reader(*column)
                        .map_err(|e| failed(&self.path, &e))?,
                );
            }
            self.left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            self.group += 1;
        }
        Ok(true)
    }

    /// Reads the next `n` rows of the open group and appends those taken; tells how many.
    fn part(&mut self, n: usize, points: &mut Vec<f64>, side: &mut Side) -> Result<usize> {
        let first_point = points.len();
        let first_extra = side.extras.len();
        let mut taken: Vec<usize> = Vec::new();
        for (i, ((_, column, roles), reader)) in self.wanted.iter().zip(&mut self.open).enumerate()
        {
            let values = read_column(&self.path, column, reader, n)?;
            if values.len() != n {
                return Err(IoError::malformed(
                    &self.path,
                    "a column has another number of rows than the table: the file is damaged.",
                ));
            }
            if i == 0 {
                taken = match &mut side.filter {
                    Some(filter) => (0..n).filter(|&k| filter.takes(&values.cell(k))).collect(),
                    None => (0..n).collect(),
                };
                points.resize(first_point + taken.len() * self.dim, 0.0);
                side.extras
                    .resize(first_extra + taken.len() * self.extras, String::new());
            }
            let absent = |k: usize, message: &str| {
                IoError::cell(
                    &self.path,
                    self.row + k as u64 + 1,
                    None,
                    &column.path().parts().join("."),
                    message,
                )
            };
            const NULL: &str = "the value is missing (null). Every point needs a number in every column: fill it or leave the row out.";
            for role in roles {
                for (to, &k) in taken.iter().enumerate() {
                    match *role {
                        Role::Chooser => {}
                        Role::Point(c) => {
                            points[first_point + to * self.dim + c] = values.number(k).ok_or_else(|| absent(k, NULL))?;
                        }
                        Role::Weight => side.weights.push(values.number(k).ok_or_else(|| absent(k, NULL))?),
                        Role::Label => side.labels.push(values.class(k).ok_or_else(|| {
                            absent(k, "the label is missing, empty or not a finite number. Every point needs a class.")
                        })?),
                        Role::Extra(c) => side.extras[first_extra + to * self.extras + c] = values.text(k).unwrap_or_default(),
                    }
                }
            }
        }
        Ok(taken.len())
    }
}

impl Source for ParquetSource {
    fn fill(&mut self, max_rows: usize, points: &mut Vec<f64>, side: &mut Side) -> Result<usize> {
        let mut got = 0;
        let path = self.path.clone();
        while got < max_rows && guarded(&path, || self.next_group())? {
            let n = self.left.min(max_rows - got);
            got += guarded(&path, || self.part(n, points, side))?;
            self.left -= n;
            self.row += n as u64;
        }
        Ok(got)
    }
}

//! Comma- and tab-separated text.
//!
//! Whether the first row is a header is read off the file, so that no option is needed: it is one if some cell of it is no
//! number above a cell that is one in the second row, or if none of its cells is a number.

use crate::columns::{ColumnInfo, default_names, select};
use crate::error::{IoError, Kind, Result, shown};
use crate::format::Precision;
use crate::npy::{MAGIC, class_of_number};
use crate::read::{Opened, ReadOptions, Side, Source};
use crate::rows::{Cell, RowFilter};
use csv::ByteRecord;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What a file that is not what its name says looks like: "; it looks like a zip ...".
pub(crate) fn resembles(start: &[u8]) -> &'static str {
    if start.starts_with(MAGIC) {
        "; it looks like a numpy array: name it .npy"
    } else if start.starts_with(b"PK") {
        "; it looks like a zip: an npz should be named .npz, a spreadsheet exported to .csv"
    } else if start.starts_with(b"PAR1") {
        "; it looks like Parquet: name it .parquet"
    } else if start.starts_with(&[0x1f, 0x8b]) {
        "; it looks like gzip: unpack it first"
    } else if start.starts_with(b"\x89HDF") {
        "; it looks like HDF5 (.h5, .h5ad): export the points to .npy or .parquet"
    } else {
        ""
    }
}

/// A cell as a number; `None` if it is none. NaN and infinities are numbers here: they are refused by value, not as text.
fn number(cell: &[u8]) -> Option<f64> {
    std::str::from_utf8(cell.trim_ascii()).ok()?.parse().ok()
}

struct TextSource {
    path: PathBuf,
    reader: csv::Reader<File>,
    /// Rows looked at to find the header.
    pending: VecDeque<ByteRecord>,
    record: ByteRecord,
    names: Vec<String>,
    /// What the first row is, for messages: "header" or "first row".
    first: &'static str,
    points: Vec<usize>,
    label: Option<usize>,
    weight: Option<usize>,
    extras: Vec<usize>,
    /// The column by which rows are chosen.
    chooser: Option<usize>,
    row: u64,
}

pub(crate) fn open_text(
    path: &Path,
    delimiter: u8,
    options: &ReadOptions,
    keep_extras: bool,
) -> Result<Opened> {
    let reading = |e: std::io::Error| IoError::reading(path, &e);
    let mut file = File::open(path).map_err(reading)?;
    crate::read::length(path, &file)?;
    if options.array.is_some() {
        return Err(IoError::new(
            path,
            Kind::Columns,
            "an array is asked for, but only an .npz file holds named arrays.",
        ));
    }
    let mut start = Vec::new();
    (&mut file)
        .take(4096)
        .read_to_end(&mut start)
        .map_err(reading)?;
    if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
        return Err(IoError::malformed(
            path,
            "the text is UTF-16. Save it as UTF-8.",
        ));
    }
    if start.contains(&0) || !resembles(&start).is_empty() {
        return Err(IoError::malformed(
            path,
            format!("this is not text{}.", resembles(&start)),
        ));
    }
    file.seek(SeekFrom::Start(0)).map_err(reading)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .buffer_capacity(1 << 17)
        .from_reader(file);

    let mut next = || -> Result<Option<ByteRecord>> {
        let mut record = ByteRecord::new();
        loop {
            if !reader
                .read_byte_record(&mut record)
                .map_err(|e| broken(path, e))?
            {
                return Ok(None);
            }
            if !blank(&record) {
                return Ok(Some(record));
            }
        }
    };
    let comment = |r: &ByteRecord| {
        r.get(0)
            .is_some_and(|c| c.trim_ascii_start().starts_with(b"#"))
    };
    let empty = |m: &str| IoError::new(path, Kind::Empty, m);
    let mut first = next()?.ok_or_else(|| empty("the file is empty."))?;
    let mut second = next()?;
    // `numpy.savetxt` begins its header with `# `; several such lines are comments but for the last.
    while comment(&first) {
        match second {
            Some(s) if comment(&s) || s.len() != first.len() => (first, second) = (s, next()?),
            _ => break,
        }
    }
    let mut cells: Vec<String> = first
        .iter()
        .map(|c| String::from_utf8_lossy(c.trim_ascii()).into_owned())
        .collect();
    if comment(&first) {
        cells[0] = cells[0].trim_start_matches('#').trim().to_string();
    }
    let has_names = is_header(path, &cells, &first, second.as_ref())?;
    let width = cells.len();
    let names = if has_names {
        named(cells)
    } else {
        default_names(width)
    };
    let mut pending = VecDeque::new();
    if !has_names {
        pending.push_back(first);
    }
    pending.extend(second);
    let Some(sample) = pending.front() else {
        return Err(empty("the file has a header but no rows."));
    };
    let columns: Vec<ColumnInfo> = names
        .iter()
        .enumerate()
        .map(|(c, name)| {
            let cell = sample.get(c).unwrap_or(b"");
            // An empty cell is told by its row; the column may well hold numbers.
            let text = number(cell).is_none() && !missing(cell);
            ColumnInfo {
                not_numeric: text.then(|| "text".to_string()),
                ..ColumnInfo::number(name.clone())
            }
        })
        .collect();
    let separators = [
        (b';', "semicolons"),
        (b'\t', "tabs"),
        (b',', "commas"),
        (b' ', "spaces"),
    ];
    if width == 1 && columns[0].not_numeric.is_some() {
        let cell = sample.get(0).unwrap_or(b"");
        for (sign, word) in separators {
            let parts: Vec<&[u8]> = cell
                .split(|&b| b == sign)
                .filter(|p| !p.is_empty())
                .collect();
            if sign != delimiter && parts.len() > 1 && parts.iter().all(|p| number(p).is_some()) {
                let remedy = if sign == b'\t' {
                    "Name the file .tsv."
                } else {
                    "Separate them by commas (.csv) or tabs (.tsv)."
                };
                return Err(IoError::malformed(
                    path,
                    format!("the fields are separated by {word}. {remedy}"),
                ));
            }
        }
    }
    // By its name the user chose the column: then a cell that is no number is told with its place.
    let explicit = options.columns.is_some();
    let open_columns: Vec<ColumnInfo> = columns
        .iter()
        .map(|c| ColumnInfo {
            not_numeric: c.not_numeric.clone().filter(|_| !explicit),
            ..ColumnInfo::number(c.name.clone())
        })
        .collect();
    let (chooser, filter) = match &options.rows {
        Some(spec) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let (column, filter) = RowFilter::of_columns(path, spec, &names)?;
            (Some(column), Some(filter))
        }
        None => (None, None),
    };
    if !explicit && has_names {
        let by_hand = [&options.labels, &options.weights];
        if let Some(c) = unnamed(&names).filter(|&c| {
            chooser != Some(c)
                && !by_hand
                    .iter()
                    .any(|o| o.as_deref() == Some(names[c].as_str()))
        }) {
            return Err(IoError::new(
                path,
                Kind::Columns,
                format!(
                    "column {} has no name in the header; it may be a row index. Choose the coordinates with --columns, for example --columns {}.",
                    c + 1,
                    if c == 0 {
                        format!("2-{width}")
                    } else {
                        format!("1-{c}")
                    }
                ),
            ));
        }
    }
    let mut chosen = select(
        path,
        &open_columns,
        options.columns.as_deref(),
        options.labels.as_deref(),
        options.weights.as_deref(),
        chooser,
    )?;
    if !keep_extras {
        chosen.extras.clear();
    }
    let name = |c: usize| names[c].clone();
    Ok(Opened {
        names: chosen.points.iter().map(|&c| name(c)).collect(),
        has_names,
        extras: chosen.extras.iter().map(|&c| name(c)).collect(),
        rows: None,
        precision: Precision::F64,
        weight: chosen.weight.map(name),
        filter,
        source: Box::new(TextSource {
            path: path.to_path_buf(),
            reader,
            pending,
            record: ByteRecord::new(),
            first: if has_names { "header" } else { "first row" },
            points: chosen.points,
            label: chosen.label,
            weight: chosen.weight,
            extras: chosen.extras,
            chooser,
            names,
            row: 0,
        }),
    })
}

/// The line, from 1, of the record that begins at this byte. The csv reader's own count stops before the empty lines that precede a
/// record, so the lines are counted again, once there is an error to report.
pub(crate) fn line_at(path: &Path, start: u64) -> Option<u64> {
    let mut bytes = std::io::BufReader::new(File::open(path).ok()?).bytes();
    let (mut line, mut at, mut last) = (1, 0, 0);
    loop {
        // At the end of the file the record began on the last line seen.
        let byte = bytes.next().transpose().ok()?.unwrap_or(b' ');
        if at >= start && !matches!(byte, b'\r' | b'\n') {
            // A lone carriage return, as of old Macs, ends a line too.
            return Some(line + u64::from(last == b'\r'));
        }
        line += u64::from(byte == b'\n' || last == b'\r');
        (last, at) = (byte, at + 1);
    }
}

/// A line of nothing but blanks. (Lines without anything are skipped by the csv reader itself.)
fn blank(record: &ByteRecord) -> bool {
    record.len() == 1 && record[0].trim_ascii().is_empty()
}

fn missing(cell: &[u8]) -> bool {
    let cell = cell.trim_ascii().to_ascii_lowercase();
    matches!(
        cell.as_slice(),
        b"" | b"na" | b"n/a" | b"null" | b"none" | b"-" | b"?"
    )
}

fn is_header(
    path: &Path,
    cells: &[String],
    first: &ByteRecord,
    second: Option<&ByteRecord>,
) -> Result<bool> {
    let line = first.position().and_then(|p| line_at(path, p.byte()));
    let is_number = |c: &String| number(c.as_bytes()).is_some();
    if cells.iter().all(is_number) {
        return Ok(false);
    }
    // `,0,1,2`: the header that pandas writes above its row index.
    let counted = cells[1..]
        .iter()
        .enumerate()
        .all(|(k, c)| *c == k.to_string());
    if cells.len() > 1 && cells[0].is_empty() && counted {
        return Ok(true);
    }
    let names = cells
        .iter()
        .filter(|c| !is_number(c) && !missing(c.as_bytes()))
        .count();
    if names == 0 && cells.iter().any(is_number) {
        let c = cells.iter().position(|c| !is_number(c)).unwrap_or(0);
        return Err(IoError::cell(
            path,
            1,
            line,
            &default_names(c + 1)[c],
            "the cell is empty. Every point needs a number in every column: fill it or leave the row out.",
        ));
    }
    if !cells.iter().any(is_number) {
        return Ok(true);
    }
    // Some of each. A text column has text in the second row too; a name stands above a number.
    let above = |c: usize| {
        !is_number(&cells[c])
            && second
                .and_then(|s| s.get(c))
                .is_some_and(|s| number(s).is_some())
    };
    let Some(c) = (0..cells.len()).find(|&c| above(c)) else {
        return Ok(false);
    };
    // Whole numbers may be names (`day,1,2`); -0.3 is not: then a bad cell is likelier than a header, and taking the row for
    // a header would lose a point in silence.
    let whole = |c: &String| c.bytes().all(|b| b.is_ascii_digit());
    if cells.iter().any(|c| is_number(c) && !whole(c)) {
        return Err(IoError::cell(
            path,
            1,
            line,
            &default_names(c + 1)[c],
            format!(
                "expected a number, found `{}`. If this row is a header, give every column a name that is not a number.",
                shown(cells[c].as_bytes())
            ),
        ));
    }
    Ok(true)
}

/// The header's names; a column without one is called `column3` after its place.
fn named(cells: Vec<String>) -> Vec<String> {
    let name = |(k, cell): (usize, String)| {
        if cell.is_empty() {
            format!("column{}", k + 1)
        } else {
            cell
        }
    };
    cells.into_iter().enumerate().map(name).collect()
}

fn unnamed(names: &[String]) -> Option<usize> {
    names
        .iter()
        .enumerate()
        .position(|(k, name)| *name == format!("column{}", k + 1))
}

fn broken(path: &Path, error: csv::Error) -> IoError {
    let line = error.position().map(|p| p.line());
    match error.into_kind() {
        csv::ErrorKind::Io(e) => IoError::reading(path, &e),
        other => IoError {
            line,
            ..IoError::malformed(path, format!("the text cannot be read: {other:?}."))
        },
    }
}

impl TextSource {
    fn advance(&mut self) -> Result<bool> {
        if let Some(record) = self.pending.pop_front() {
            self.record = record;
            return Ok(true);
        }
        loop {
            if !self
                .reader
                .read_byte_record(&mut self.record)
                .map_err(|e| broken(&self.path, e))?
            {
                return Ok(false);
            }
            // In a table of one column a blank line may be a missing value; csv leaves empty lines out there too.
            if !(blank(&self.record) && self.names.len() > 1) {
                return Ok(true);
            }
        }
    }

    fn number(&self, column: usize, start: u64) -> Result<f64> {
        let cell = &self.record[column];
        number(cell).ok_or_else(|| {
            let message = if missing(cell) {
                let found = if cell.trim_ascii().is_empty() { "the cell is empty".to_string() } else { format!("found `{}`, a missing value", shown(cell)) };
                format!("{found}. Every point needs a number in every column: fill it or leave the row out.")
            } else {
                format!("expected a number, found `{}`.", shown(cell))
            };
            let line = line_at(&self.path, start);
            IoError::cell(&self.path, self.row, line, &self.names[column], message)
        })
    }
}

impl Source for TextSource {
    fn fill(&mut self, max_rows: usize, points: &mut Vec<f64>, side: &mut Side) -> Result<usize> {
        let mut n = 0;
        while n < max_rows {
            if !self.advance()? {
                return Ok(n);
            }
            self.row += 1;
            let start = self.record.position().map_or(0, |p| p.byte());
            if self.record.len() != self.names.len() {
                return Err(IoError::row(
                    &self.path,
                    self.row,
                    line_at(&self.path, start),
                    format!(
                        "the row has {} fields; the {} has {}.",
                        self.record.len(),
                        self.first,
                        self.names.len()
                    ),
                ));
            }
            if let (Some(c), Some(filter)) = (self.chooser, &mut side.filter)
                && !filter.takes(&Cell::Text(&String::from_utf8_lossy(&self.record[c])))
            {
                continue;
            }
            n += 1;
            side.starts.push(start);
            for k in 0..self.points.len() {
                points.push(self.number(self.points[k], start)?);
            }
            if let Some(c) = self.weight {
                side.weights.push(self.number(c, start)?);
            }
            if let Some(c) = self.label {
                let label = class(&self.record[c]).ok_or_else(|| {
                    IoError::cell(
                        &self.path,
                        self.row,
                        line_at(&self.path, start),
                        &self.names[c],
                        "the label is empty. Every point needs a class.",
                    )
                })?;
                side.labels.push(label);
            }
            for &c in &self.extras {
                side.extras
                    .push(String::from_utf8_lossy(&self.record[c]).into_owned());
            }
        }
        Ok(n)
    }
}

/// A cell as the name of a class. `3.0` is the class `3`, as in numpy arrays; any other text is the name as it stands.
fn class(cell: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(cell.trim_ascii()).into_owned();
    if text.is_empty() {
        return None;
    }
    let whole = text.split_once('.').is_some_and(|(a, b)| {
        let a = a.strip_prefix('-').unwrap_or(a);
        !a.is_empty()
            && a.bytes().all(|c| c.is_ascii_digit())
            && !b.is_empty()
            && b.bytes().all(|c| c == b'0')
    });
    if whole {
        number(cell).and_then(class_of_number)
    } else {
        Some(text)
    }
}

//! Rows out of a numpy array, wherever its bytes lie: a file of its own, or an entry of an npz.

use crate::columns::{ColumnInfo, default_names, select};
use crate::error::{IoError, Kind, Result};
use crate::npy::{DType, Element, Header, decode, name_of};
use crate::read::{Opened, ReadOptions, Side, Source};
use crate::rows::{Cell, RowFilter, compact};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Where the values are.
pub(crate) enum Bytes {
    /// In a file from this offset on, as they are.
    At(File, u64),
    /// Behind a reader that only goes forward (a deflated entry of an npz, or one whose checksum is watched).
    Stream(Box<dyn Read + Send>),
    /// In memory: a deflated array in Fortran order, which no forward reader can give by rows.
    Held(Vec<u8>),
}

impl Bytes {
    /// Fills `into` with the bytes from `offset` on. A stream must be asked in order.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        match self {
            Bytes::At(file, start) => {
                file.seek(SeekFrom::Start(*start + offset))?;
                file.read_exact(into)
            }
            Bytes::Stream(stream) => stream.read_exact(into),
            Bytes::Held(all) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let part = from
                    .checked_add(into.len())
                    .and_then(|to| all.get(from..to));
                into.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

pub(crate) struct ArraySource {
    path: PathBuf,
    bytes: Bytes,
    dtype: DType,
    fortran: bool,
    rows: usize,
    width: usize,
    points: Vec<usize>,
    label: Option<(usize, String)>,
    weight: Option<usize>,
    /// From arrays of their own in an npz, whole.
    labels: Option<Vec<String>>,
    weights: Option<Vec<f64>>,
    chooser: Option<Chooser>,
    next: usize,
    scratch: Vec<u8>,
}

/// Where the cells are by which rows are chosen.
enum Chooser {
    /// In a column of the points.
    Column(usize),
    /// In an array of its own in an npz, whole.
    Own(DType, Vec<u8>),
}

/// What goes with an array of points.
pub(crate) struct Beside {
    /// The columns' names, if the file has them.
    pub names: Option<Vec<String>>,
    pub labels: Option<Vec<String>>,
    pub weights: Option<Vec<f64>>,
    /// An array of its own by which rows are chosen, and the choice.
    pub chooser: Option<(DType, Vec<u8>, RowFilter)>,
}

/// Opens an `.npy` file.
pub(crate) fn open_npy(path: &Path, options: &ReadOptions) -> Result<Opened> {
    let mut file = File::open(path).map_err(|e| IoError::reading(path, &e))?;
    let length = crate::read::length(path, &file)?;
    if let Some(array) = &options.array {
        return Err(IoError::new(
            path,
            Kind::Columns,
            format!(
                "the array `{array}` is asked for, but an .npy file holds one array without a name."
            ),
        ));
    }
    let header = Header::read(path, "", &mut io::BufReader::new(&mut file))?;
    check_length(path, "", &header, length.saturating_sub(header.length))?;
    let start = header.length;
    open(
        path,
        "",
        header,
        Bytes::At(file, start),
        options,
        Beside {
            names: None,
            labels: None,
            weights: None,
            chooser: None,
        },
    )
}

/// The values must all be there before the first is given out: a file cut short is told at once, with the rows it has.
pub(crate) fn check_length(path: &Path, what: &str, header: &Header, there: u64) -> Result<()> {
    if there >= header.data {
        return Ok(());
    }
    let rows = match header.table() {
        Ok((rows, _)) if !header.fortran && rows > 0 => {
            let row = (header.data / rows as u64).max(1);
            format!(", enough for {} of its {rows} rows", there / row)
        }
        _ => String::new(),
    };
    Err(IoError::malformed(
        path,
        format!(
            "{what}the file is cut short: an array of shape {:?} and type {} takes {} bytes, and {there} are there{rows}. Copy or write it again.",
            header.shape,
            header.dtype.name(),
            header.data
        ),
    ))
}

/// Opens an array whose header is read and whose length is checked.
pub(crate) fn open(
    path: &Path,
    what: &str,
    header: Header,
    bytes: Bytes,
    options: &ReadOptions,
    beside: Beside,
) -> Result<Opened> {
    let (rows, width) = header
        .table()
        .map_err(|m| IoError::malformed(path, format!("{what}{m}")))?;
    if !header.dtype.is_number() {
        let m = format!(
            "{what}this array holds {} values; coordinates are numbers.",
            header.dtype.name()
        );
        return Err(IoError::malformed(path, m));
    }
    if rows == 0 || width == 0 {
        let m = format!("{what}the array is empty: its shape is {:?}.", header.shape);
        return Err(IoError::new(path, Kind::Empty, m));
    }
    let has_names = beside.names.is_some();
    let columns: Vec<ColumnInfo> = beside
        .names
        .unwrap_or_else(|| default_names(width))
        .into_iter()
        .map(ColumnInfo::number)
        .collect();
    let label = options
        .labels
        .as_deref()
        .filter(|_| beside.labels.is_none());
    let weight = options
        .weights
        .as_deref()
        .filter(|_| beside.weights.is_none());
    let (chooser, filter) = match (beside.chooser, &options.rows) {
        (Some((dtype, cells, filter)), _) => (Some(Chooser::Own(dtype, cells)), Some(filter)),
        (None, Some(spec)) => {
            let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
            let (column, filter) = RowFilter::of_columns(path, spec, &names)?;
            (Some(Chooser::Column(column)), Some(filter))
        }
        (None, None) => (None, None),
    };
    let choosing = match chooser {
        Some(Chooser::Column(c)) => Some(c),
        _ => None,
    };
    let chosen = select(
        path,
        &columns,
        options.columns.as_deref(),
        label,
        weight,
        choosing,
    )?;
    let name = |c: usize| columns[c].name.clone();
    Ok(Opened {
        names: chosen.points.iter().map(|&c| name(c)).collect(),
        has_names,
        // An array holds numbers only; what is not asked for is not carried along.
        extras: Vec::new(),
        rows: Some(rows),
        precision: header.dtype.precision(),
        weight: chosen
            .weight
            .map(name)
            .or_else(|| beside.weights.as_ref().and(options.weights.clone())),
        filter,
        source: Box::new(ArraySource {
            path: path.to_path_buf(),
            bytes,
            dtype: header.dtype,
            fortran: header.fortran && width > 1,
            rows,
            width,
            points: chosen.points,
            label: chosen.label.map(|c| (c, name(c))),
            weight: chosen.weight,
            labels: beside.labels,
            weights: beside.weights,
            chooser,
            next: 0,
            scratch: Vec::new(),
        }),
    })
}

impl ArraySource {
    /// One column of the chunk, with the distance between its values: from the rows in `scratch`, or fetched alone in Fortran order.
    fn column(&mut self, column: usize, n: usize) -> Result<(usize, usize)> {
        let size = self.dtype.size();
        if !self.fortran {
            return Ok((column * size, self.width * size));
        }
        self.scratch.resize(n * size, 0);
        let offset = (column * self.rows + self.next) as u64 * size as u64;
        self.bytes
            .read(offset, &mut self.scratch)
            .map_err(|e| IoError::reading(&self.path, &e))?;
        Ok((0, size))
    }
}

/// A value as the choice of rows sees it.
fn cell_of<T>(dtype: DType, bytes: &[u8], see: impl FnOnce(&Cell<'_>) -> T) -> T {
    let number = || {
        let mut value = [0.0];
        decode(dtype, bytes, 0, 0, 1, &mut value, 1);
        value[0]
    };
    match dtype.element {
        Element::F32 => see(&Cell::F32(number() as f32)),
        Element::F16 | Element::F64 => see(&Cell::F64(number())),
        _ => {
            let text = name_of(dtype, bytes).unwrap_or_default();
            match text.parse() {
                Ok(whole) if dtype.is_number() => see(&Cell::Whole(whole)),
                _ => see(&Cell::Text(&text)),
            }
        }
    }
}

impl ArraySource {
    /// Which of the next `n` rows are taken; `None` for all.
    fn taken(&mut self, n: usize, side: &mut Side) -> Result<Option<Vec<bool>>> {
        let Some(filter) = &mut side.filter else {
            return Ok(None);
        };
        let mut mask = Vec::with_capacity(n);
        match &self.chooser {
            Some(Chooser::Own(dtype, cells)) => {
                let size = dtype.size();
                for row in self.next..self.next + n {
                    let cell = &cells[row * size..(row + 1) * size];
                    mask.push(cell_of(*dtype, cell, |c| filter.takes(c)));
                }
            }
            Some(Chooser::Column(column)) => {
                let column = *column;
                let (offset, stride) = self.column(column, n)?;
                let size = self.dtype.size();
                for row in 0..n {
                    let from = offset + row * stride;
                    let cell = &self.scratch[from..from + size];
                    mask.push(cell_of(self.dtype, cell, |c| filter.takes(c)));
                }
            }
            None => return Ok(None),
        }
        Ok(Some(mask))
    }

    /// Reads the next `n` rows and appends those taken; tells how many.
    fn part(&mut self, n: usize, points: &mut Vec<f64>, side: &mut Side) -> Result<usize> {
        let (size, dim) = (self.dtype.size(), self.points.len());
        if !self.fortran {
            let row = self.width * size;
            self.scratch.resize(n * row, 0);
            let offset = self.next as u64 * row as u64;
            self.bytes
                .read(offset, &mut self.scratch)
                .map_err(|e| IoError::reading(&self.path, &e))?;
        }
        let mask = self.taken(n, side)?;
        let takes = |row: usize| mask.as_ref().is_none_or(|m| m[row]);
        let before = points.len();
        points.resize(before + n * dim, 0.0);
        for k in 0..dim {
            let (offset, stride) = self.column(self.points[k], n)?;
            decode(
                self.dtype,
                &self.scratch,
                offset,
                stride,
                n,
                &mut points[before + k..],
                dim,
            );
        }
        let weights_before = side.weights.len();
        if let Some(column) = self.weight {
            let (offset, stride) = self.column(column, n)?;
            side.weights.resize(weights_before + n, 0.0);
            decode(
                self.dtype,
                &self.scratch,
                offset,
                stride,
                n,
                &mut side.weights[weights_before..],
                1,
            );
        } else if let Some(weights) = &self.weights {
            side.weights
                .extend_from_slice(&weights[self.next..self.next + n]);
        }
        if let Some((column, name)) = self.label.clone() {
            let (offset, stride) = self.column(column, n)?;
            for row in (0..n).filter(|&row| takes(row)) {
                let from = offset + row * stride;
                let label = name_of(self.dtype, &self.scratch[from..from + size]);
                side.labels.push(label.ok_or_else(|| {
                    IoError::cell(
                        &self.path,
                        (self.next + row + 1) as u64,
                        None,
                        &name,
                        "the label is not a finite number.",
                    )
                })?);
            }
        } else if let Some(labels) = &mut self.labels {
            let rows = labels[self.next..self.next + n].iter_mut().enumerate();
            side.labels.extend(
                rows.filter(|(row, _)| takes(*row))
                    .map(|(_, label)| std::mem::take(label)),
            );
        }
        self.next += n;
        if let Some(mask) = &mask {
            compact(points, before, dim, mask);
            if side.weights.len() > weights_before {
                compact(&mut side.weights, weights_before, 1, mask);
            }
        }
        Ok((points.len() - before) / dim)
    }
}

impl Source for ArraySource {
    fn fill(&mut self, max_rows: usize, points: &mut Vec<f64>, side: &mut Side) -> Result<usize> {
        let mut got = 0;
        while got < max_rows && self.next < self.rows {
            let n = (max_rows - got).min(self.rows - self.next);
            got += self.part(n, points, side)?;
        }
        Ok(got)
    }
}

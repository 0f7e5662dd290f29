//! Rows out of a numpy array, wherever its bytes lie: a file of its own, or an entry of an npz.

use crate::columns::{ColumnInfo, default_names, select};
use crate::error::{IoError, Kind, Result};
use crate::npy::{DType, Header, decode, name_of};
use crate::read::{Opened, ReadOptions, Side, Source};
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
    next: usize,
    scratch: Vec<u8>,
}

/// What goes with an array of points.
pub(crate) struct Beside {
    /// The columns' names, if the file has them.
    pub names: Option<Vec<String>>,
    pub labels: Option<Vec<String>>,
    pub weights: Option<Vec<f64>>,
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
    let chosen = select(path, &columns, options.columns.as_deref(), label, weight)?;
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

impl Source for ArraySource {
    fn fill(&mut self, max_rows: usize, points: &mut Vec<f64>, side: &mut Side) -> Result<usize> {
        let n = max_rows.min(self.rows - self.next);
        if n == 0 {
            return Ok(0);
        }
        let (size, dim) = (self.dtype.size(), self.points.len());
        if !self.fortran {
            let row = self.width * size;
            self.scratch.resize(n * row, 0);
            let offset = self.next as u64 * row as u64;
            self.bytes
                .read(offset, &mut self.scratch)
                .map_err(|e| IoError::reading(&self.path, &e))?;
        }
        points.resize(n * dim, 0.0);
        for k in 0..dim {
            let (offset, stride) = self.column(self.points[k], n)?;
            decode(
                self.dtype,
                &self.scratch,
                offset,
                stride,
                n,
                &mut points[k..],
                dim,
            );
        }
        if let Some(column) = self.weight {
            let (offset, stride) = self.column(column, n)?;
            side.weights.resize(n, 0.0);
            decode(
                self.dtype,
                &self.scratch,
                offset,
                stride,
                n,
                &mut side.weights,
                1,
            );
        } else if let Some(weights) = &self.weights {
            side.weights
                .extend_from_slice(&weights[self.next..self.next + n]);
        }
        if let Some((column, name)) = self.label.clone() {
            let (offset, stride) = self.column(column, n)?;
            for row in 0..n {
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
            side.labels.extend(
                labels[self.next..self.next + n]
                    .iter_mut()
                    .map(std::mem::take),
            );
        }
        self.next += n;
        Ok(n)
    }
}

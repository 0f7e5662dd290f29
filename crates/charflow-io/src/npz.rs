//! The npz container: a zip whose entries are numpy arrays, `x.npy` being the array `x`.

use crate::array::{Beside, Bytes, check_length, open};
use crate::columns::{default_names, one};
use crate::error::{IoError, Kind, Result, list};
use crate::npy::{Element, Header, decode, name_of};
use crate::read::{Opened, ReadOptions};
use crate::rows::RowFilter;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// The array that holds the columns' names, where there is one; [`crate::Writer`] writes it.
pub(crate) const NAMES: &str = "columns";

/// One array of the zip's directory.
struct Entry {
    key: String,
    deflated: bool,
    encrypted: bool,
    supported: bool,
    start: u64,
    compressed: u64,
    size: u64,
    crc: u32,
}

/// The zip's directory, arrays only.
fn directory(path: &Path) -> Result<Vec<Entry>> {
    let file = File::open(path).map_err(|e| IoError::reading(path, &e))?;
    crate::read::length(path, &file)?;
    let mut magic = Vec::new();
    (&file)
        .take(8)
        .read_to_end(&mut magic)
        .map_err(|e| IoError::reading(path, &e))?;
    if !magic.starts_with(b"PK") {
        return Err(IoError::malformed(
            path,
            format!(
                "this is not an npz (zip) file{}.",
                crate::text::resembles(&magic)
            ),
        ));
    }
    let damaged = |e: zip::result::ZipError| {
        IoError::malformed(
            path,
            format!(
                "the zip's directory cannot be read ({e}): the file is cut short or damaged. Copy or write it again."
            ),
        )
    };
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    let mut entries = Vec::new();
    for k in 0..archive.len() {
        let entry = archive.by_index_raw(k).map_err(damaged)?;
        let Some(key) = entry.name().strip_suffix(".npy").map(str::to_string) else {
            continue;
        };
        let method = entry.compression();
        entries.push(Entry {
            key,
            deflated: method == zip::CompressionMethod::Deflated,
            supported: matches!(
                method,
                zip::CompressionMethod::Stored | zip::CompressionMethod::Deflated
            ),
            encrypted: entry.encrypted(),
            start: entry.data_start().unwrap_or(0),
            compressed: entry.compressed_size(),
            size: entry.size(),
            crc: entry.crc32(),
        });
    }
    if entries.is_empty() {
        return Err(IoError::new(path, Kind::Empty, "the npz holds no arrays."));
    }
    Ok(entries)
}

/// An entry read from the front; the last byte is given out only if the checksum fits.
struct Checked {
    inner: Box<dyn Read + Send>,
    left: u64,
    hash: crc32fast::Hasher,
    crc: u32,
}

impl Read for Checked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(into.len());
        if most == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut into[..most])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hash.update(&into[..n]);
        self.left -= n as u64;
        if self.left == 0 && self.hash.clone().finalize() != self.crc {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its checksum does not fit",
            ));
        }
        Ok(n)
    }
}

fn what(key: &str) -> String {
    format!("array `{key}`: ")
}

/// The entry from its first byte, and its header.
fn begin(path: &Path, entry: &Entry) -> Result<(Checked, Header)> {
    if entry.encrypted || !entry.supported {
        let why = if entry.encrypted {
            "is encrypted"
        } else {
            "is compressed in a way that is not read"
        };
        return Err(IoError::malformed(
            path,
            format!(
                "array `{}` {why}. Save it with `numpy.savez` or `numpy.savez_compressed`.",
                entry.key
            ),
        ));
    }
    let mut file = File::open(path).map_err(|e| IoError::reading(path, &e))?;
    file.seek(SeekFrom::Start(entry.start))
        .map_err(|e| IoError::reading(path, &e))?;
    let packed = BufReader::with_capacity(1 << 16, file.take(entry.compressed));
    let inner: Box<dyn Read + Send> = if entry.deflated {
        Box::new(flate2::bufread::DeflateDecoder::new(packed))
    } else {
        Box::new(packed)
    };
    let mut stream = Checked {
        inner,
        left: entry.size,
        hash: crc32fast::Hasher::new(),
        crc: entry.crc,
    };
    let header = Header::read(path, &what(&entry.key), &mut stream)?;
    check_length(path, &what(&entry.key), &header, stream.left)?;
    Ok((stream, header))
}

/// A whole array, as its bytes.
fn whole(path: &Path, entry: &Entry) -> Result<(Header, Vec<u8>)> {
    let (stream, header) = begin(path, entry)?;
    let mut bytes = Vec::new();
    let size = usize::try_from(header.data).unwrap_or(usize::MAX);
    // A deflated entry is at most about 1032 times its packed size: a length beyond that is made up.
    if entry.deflated
        && header.data
            > entry
                .compressed
                .saturating_mul(1100)
                .saturating_add(1 << 16)
        || bytes.try_reserve_exact(size).is_err()
    {
        return Err(IoError::malformed(
            path,
            format!(
                "array `{}` claims {size} bytes, more than there can be.",
                entry.key
            ),
        ));
    }
    stream
        .take(header.data)
        .read_to_end(&mut bytes)
        .map_err(|e| IoError::reading(path, &e))?;
    if bytes.len() < size {
        return Err(IoError::reading(path, &io::ErrorKind::UnexpectedEof.into()));
    }
    Ok((header, bytes))
}

fn find<'a>(path: &Path, entries: &'a [Entry], key: &str) -> Result<&'a Entry> {
    entries.iter().find(|e| e.key == key).ok_or_else(|| {
        let keys: Vec<&str> = entries.iter().map(|e| e.key.as_str()).collect();
        IoError::new(
            path,
            Kind::Columns,
            format!("there is no array `{key}`. The arrays are {}.", list(&keys)),
        )
    })
}

/// The array of points: the one asked for, `x`, the only one with two axes, or the only one.
fn points<'a>(
    path: &Path,
    entries: &'a [Entry],
    asked: Option<&str>,
    beside: &[Option<&str>],
) -> Result<&'a Entry> {
    if let Some(key) = asked {
        return find(path, entries, key);
    }
    let mut described = Vec::new();
    let mut tables = Vec::new();
    for entry in entries
        .iter()
        .filter(|e| !beside.contains(&Some(e.key.as_str())))
    {
        match begin(path, entry) {
            Ok((_, header)) => {
                if header.dtype.is_number() && header.shape.len() == 2 {
                    tables.push(entry);
                }
                let shape: Vec<String> = header.shape.iter().map(usize::to_string).collect();
                described.push(format!(
                    "`{}` {} [{}]",
                    entry.key,
                    header.dtype.name(),
                    shape.join(", ")
                ));
            }
            // A damaged array is an error once it is the one wanted.
            Err(e) if e.kind == Kind::System => return Err(e),
            Err(_) => described.push(format!("`{}` (not readable)", entry.key)),
        }
    }
    if let Some(x) = entries.iter().find(|e| e.key == "x") {
        return Ok(x);
    }
    match (tables.as_slice(), entries) {
        ([one], _) => Ok(one),
        ([], [one]) => Ok(one),
        _ => Err(IoError::new(
            path,
            Kind::Columns,
            format!(
                "which array holds the points is not clear: none is named `x` and {} have two axes. Name one of {} with --array.",
                if tables.is_empty() {
                    "none".to_string()
                } else {
                    tables.len().to_string()
                },
                described.join(", ")
            ),
        )),
    }
}

/// An array with one axis (or `[n, 1]`), as names of classes.
fn labels(path: &Path, entry: &Entry, rows: usize) -> Result<Vec<String>> {
    let (header, bytes) = one_axis(path, entry, rows, "labels")?;
    let size = header.dtype.size();
    let cell = |row: usize| name_of(header.dtype, &bytes[row * size..(row + 1) * size]);
    (0..rows)
        .map(|row| {
            cell(row).ok_or_else(|| {
                IoError::cell(
                    path,
                    row as u64 + 1,
                    None,
                    &entry.key,
                    "the label is empty or not a finite number.",
                )
            })
        })
        .collect()
}

fn weights(path: &Path, entry: &Entry, rows: usize) -> Result<Vec<f64>> {
    let (header, bytes) = one_axis(path, entry, rows, "weights")?;
    if !header.dtype.is_number() {
        return Err(IoError::new(
            path,
            Kind::Columns,
            format!(
                "the array `{}` holds {} values; weights are numbers.",
                entry.key,
                header.dtype.name()
            ),
        ));
    }
    let mut values = vec![0.0; rows];
    decode(
        header.dtype,
        &bytes,
        0,
        header.dtype.size(),
        rows,
        &mut values,
        1,
    );
    Ok(values)
}

fn one_axis(path: &Path, entry: &Entry, rows: usize, role: &str) -> Result<(Header, Vec<u8>)> {
    let (header, bytes) = whole(path, entry)?;
    if !matches!(*header.shape.as_slice(), [n] | [n, 1] if n == rows) {
        return Err(IoError::new(
            path,
            Kind::Columns,
            format!(
                "the {role} `{}` have the shape {:?}; one for each of the {rows} points, [{rows}], is expected.",
                entry.key, header.shape
            ),
        ));
    }
    Ok((header, bytes))
}

/// The columns' names, if there is such an array and it fits.
fn names(path: &Path, entries: &[Entry], width: usize) -> Result<Option<Vec<String>>> {
    let Some(entry) = entries.iter().find(|e| e.key == NAMES) else {
        return Ok(None);
    };
    let Ok((header, bytes)) = whole(path, entry) else {
        return Ok(None);
    };
    let text = matches!(header.dtype.element, Element::Bytes(n) | Element::Unicode(n) if n > 0);
    if !text || header.shape != [width] {
        return Ok(None);
    }
    let size = header.dtype.size();
    Ok((0..width)
        .map(|k| name_of(header.dtype, &bytes[k * size..(k + 1) * size]))
        .collect())
}

pub(crate) fn open_npz(path: &Path, options: &ReadOptions) -> Result<Opened> {
    let entries = directory(path)?;
    let (label, weight) = (options.labels.as_deref(), options.weights.as_deref());
    // Of a choice of rows only the words before each `=` can be a key; which one is settled below.
    let mut beside = vec![label, weight];
    if let Some(spec) = options.rows.as_deref() {
        beside.extend(
            spec.match_indices('=')
                .map(|(at, _)| Some(spec[..at].trim())),
        );
    }
    let entry = points(path, &entries, options.array.as_deref(), &beside)?;
    let (stream, header) = begin(path, entry)?;
    let (rows, width) = header
        .table()
        .map_err(|m| IoError::malformed(path, what(&entry.key) + &m))?;
    // A key comes before a column: an array of its own is the way of npz.
    let own = |key: Option<&str>| {
        entries
            .iter()
            .find(|e| Some(e.key.as_str()) == key && e.key != entry.key)
    };
    // What is neither a key nor a column's name or number of the points is a key that is not there.
    let names = names(path, &entries, width)?;
    for key in [label, weight].into_iter().flatten() {
        let column = names.as_ref().is_some_and(|n| n.iter().any(|n| n == key))
            || key.parse::<usize>().is_ok()
            || key.starts_with('x');
        if own(Some(key)).is_none() && !column {
            find(path, &entries, key)?;
        }
    }
    // What chooses the rows is an array of its own too, or else a column of the points.
    let chooser = match &options.rows {
        Some(spec) => {
            let columns = names.clone().unwrap_or_else(|| default_names(width));
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let others = entries
                .iter()
                .filter(|e| e.key != entry.key && e.key != NAMES);
            let there: Vec<&str> = others
                .map(|e| e.key.as_str())
                .chain(columns.clone())
                .collect();
            let find = |asked: &str| match own(Some(asked.trim())) {
                Some(entry) => Some(Some(entry)),
                None => one(&columns, asked).map(|_| None),
            };
            match RowFilter::parse(path, spec, &there, find)? {
                (Some(entry), filter) => {
                    let (header, cells) = one_axis(path, entry, rows, "values to choose rows by")?;
                    Some((header.dtype, cells, filter))
                }
                (None, _) => None,
            }
        }
        None => None,
    };
    let beside = Beside {
        labels: own(label).map(|e| labels(path, e, rows)).transpose()?,
        weights: own(weight).map(|e| weights(path, e, rows)).transpose()?,
        chooser,
        names,
    };
    let bytes = match (header.fortran && width > 1, entry.deflated) {
        (false, _) => Bytes::Stream(Box::new(stream)),
        (true, false) => {
            let file = File::open(path).map_err(|e| IoError::reading(path, &e))?;
            Bytes::At(file, entry.start + header.length)
        }
        (true, true) => Bytes::Held(whole(path, entry)?.1),
    };
    open(path, &what(&entry.key), header, bytes, options, beside)
}

/// The names of the arrays in an `.npz`, in the order of the file.
///
/// # Errors
/// The file is missing, no zip, damaged, or holds no array.
pub fn npz_keys(path: impl AsRef<Path>) -> Result<Vec<String>> {
    Ok(directory(path.as_ref())?
        .into_iter()
        .map(|e| e.key)
        .collect())
}

/// A whole array of an `.npz` in double precision, in C order (the last index runs fastest), and its shape. For small
/// arrays: covariances, a true map's values.
///
/// # Errors
/// The file or the array is missing (the message lists those there), is damaged, holds no numbers, or has a value that is
/// not finite (the message gives its index, from 0).
pub fn read_npz_matrix(path: impl AsRef<Path>, key: &str) -> Result<(Vec<f64>, Vec<usize>)> {
    let path = path.as_ref();
    let entries = directory(path)?;
    let (header, bytes) = whole(path, find(path, &entries, key)?)?;
    if !header.dtype.is_number() {
        return Err(IoError::malformed(
            path,
            format!(
                "array `{key}` holds {} values; numbers are expected.",
                header.dtype.name()
            ),
        ));
    }
    let count: usize = header.shape.iter().product();
    let mut values = vec![0.0; count];
    decode(
        header.dtype,
        &bytes,
        0,
        header.dtype.size(),
        count,
        &mut values,
        1,
    );
    if header.fortran && header.shape.len() > 1 {
        let stored = values.clone();
        let mut index = vec![0usize; header.shape.len()];
        for value in &mut values {
            // The first index runs fastest in what is stored.
            let from = index
                .iter()
                .zip(&header.shape)
                .rev()
                .fold(0, |at, (&i, &n)| at * n + i);
            *value = stored[from];
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                if index[axis] < header.shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
    }
    if let Some(k) = values.iter().position(|v| !v.is_finite()) {
        let mut index = vec![0; header.shape.len()];
        let mut left = k;
        for (i, &n) in index.iter_mut().zip(&header.shape).rev() {
            *i = left % n;
            left /= n;
        }
        return Err(IoError::malformed(
            path,
            format!(
                "array `{key}` has the value {} at {index:?}; finite numbers are expected.",
                values[k]
            ),
        ));
    }
    Ok((values, header.shape))
}

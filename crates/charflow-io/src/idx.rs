//! Arrays of bytes in the idx format of MNIST, plain or gzipped.
//!
//! ```text
//! 0, 0, type, k      one byte each; type 0x08 is u8, the only one read; k axes
//! sides              k big-endian u32
//! values             in C order, the last index runs fastest
//! ```
//!
//! Images are `[n, height, width]`, labels `[n]`. Format: LeCun, Cortes, Burges, "The MNIST database", the page's last section.

use crate::error::{IoError, Kind, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// More axes than any file of images has.
const MOST_AXES: u8 = 4;

/// An array of bytes with its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// Sides, the slowest index first. Their product is the number of values; no side is zero.
    pub shape: Vec<usize>,
    /// Values in C order.
    pub values: Vec<u8>,
}

/// Whether a path's name says idx, as those of MNIST and Fashion-MNIST do: `...-idx3-ubyte`, `....idx`, each also with `.gz`.
#[must_use]
pub fn is_idx(path: impl AsRef<Path>) -> bool {
    let name = path
        .as_ref()
        .file_name()
        .map(|n| n.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.ends_with(".idx") || name.ends_with("-ubyte") || name.ends_with(".ubyte")
}

/// Reads a whole idx file. Whether it is gzipped is seen from its first bytes, not from its name.
///
/// # Errors
/// The file is missing, is no idx file, holds values that are not bytes, is cut short or longer than its header says, or is empty.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Idx> {
    let path = path.as_ref();
    let mut file = File::open(path).map_err(|e| IoError::reading(path, &e))?;
    let mut raw = Vec::new();
    file.read_to_end(&mut raw)
        .map_err(|e| IoError::reading(path, &e))?;
    if raw.starts_with(&[0x1f, 0x8b]) {
        let header = header_of_gzip(path, &raw)?;
        // What the header promises and one byte more: a gzip bomb is not unpacked beyond that.
        let wanted = header.start + header.count;
        let mut bytes = Vec::new();
        flate2::read::MultiGzDecoder::new(raw.as_slice())
            .take(wanted as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|_| cut_gzip(path))?;
        raw = bytes;
    }
    let header = header(path, &raw)?;
    let found = raw.len() - header.start;
    if found != header.count {
        let (much, advice) = if found < header.count {
            (format!("{found}"), "it is cut short")
        } else {
            ("more".into(), "it is damaged or something else follows")
        };
        return Err(IoError::malformed(
            path,
            format!(
                "the header promises {} values ({}), the file holds {much}: {advice}. Copy it again.",
                header.count,
                by(&header.shape)
            ),
        ));
    }
    raw.drain(..header.start);
    Ok(Idx {
        shape: header.shape,
        values: raw,
    })
}

struct Header {
    shape: Vec<usize>,
    /// Of the values.
    start: usize,
    count: usize,
}

fn cut_gzip(path: &Path) -> IoError {
    IoError::malformed(
        path,
        "the gzip stream is cut short or damaged. Copy the file again.",
    )
}

/// The header alone, so that memory is taken for what the file says and no more.
fn header_of_gzip(path: &Path, raw: &[u8]) -> Result<Header> {
    let mut start = Vec::new();
    flate2::read::MultiGzDecoder::new(raw)
        .take(4 + 4 * u64::from(MOST_AXES))
        .read_to_end(&mut start)
        .map_err(|_| cut_gzip(path))?;
    header(path, &start)
}

fn header(path: &Path, bytes: &[u8]) -> Result<Header> {
    let malformed = |message: String| IoError::malformed(path, message);
    if bytes.len() < 4 || bytes[0] != 0 || bytes[1] != 0 {
        let found: Vec<String> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
        return Err(malformed(format!(
            "this is not an idx file: it begins with the bytes {}, expected 00 00 08 and the number of axes.",
            if found.is_empty() {
                "(none)".into()
            } else {
                found.join(" ")
            }
        )));
    }
    if bytes[2] != 0x08 {
        let kind = match bytes[2] {
            0x09 => "signed bytes",
            0x0b => "16-bit integers",
            0x0c => "32-bit integers",
            0x0d => "single-precision numbers",
            0x0e => "double-precision numbers",
            _ => "an unknown type",
        };
        return Err(malformed(format!(
            "this idx file holds {kind} (type {:02x}); unsigned bytes (type 08) are expected.",
            bytes[2]
        )));
    }
    let axes = bytes[3];
    if axes == 0 || axes > MOST_AXES {
        return Err(malformed(format!(
            "this idx file says that it has {axes} axes; 1 (labels) to {MOST_AXES} are expected."
        )));
    }
    let start = 4 + 4 * usize::from(axes);
    if bytes.len() < start {
        return Err(malformed(
            "the file ends in its header: it is cut short. Copy it again.".into(),
        ));
    }
    let shape: Vec<usize> = bytes[4..start]
        .chunks_exact(4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
        .collect();
    let count = shape
        .iter()
        .try_fold(1usize, |product, &side| product.checked_mul(side))
        .filter(|&count| count < isize::MAX as usize - start)
        .ok_or_else(|| {
            malformed(format!(
                "the header's sides {} do not fit into memory: the file is damaged.",
                by(&shape)
            ))
        })?;
    if count == 0 {
        return Err(IoError::new(
            path,
            Kind::Empty,
            format!("the file holds nothing (its sides are {}).", by(&shape)),
        ));
    }
    Ok(Header {
        shape,
        start,
        count,
    })
}

/// `60000 x 28 x 28`.
fn by(shape: &[usize]) -> String {
    let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
    sides.join(" x ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn bytes(kind: u8, sides: &[u32], values: &[u8]) -> Vec<u8> {
        let mut all = vec![0, 0, kind, sides.len() as u8];
        sides.iter().for_each(|s| all.extend(s.to_be_bytes()));
        all.extend(values);
        all
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Idx> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-idx3-ubyte");
        std::fs::write(&path, bytes).unwrap();
        read_idx(&path)
    }

    fn refused(bytes: &[u8], part: &str) {
        let message = read(bytes).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
        assert!(message.contains("a-idx3-ubyte"), "{message}");
    }

    #[test]
    fn reads_plain_and_gzipped() {
        let values: Vec<u8> = (0..12).collect();
        let plain = bytes(8, &[3, 2, 2], &values);
        let expected = Idx {
            shape: vec![3, 2, 2],
            values,
        };
        assert_eq!(read(&plain).unwrap(), expected);
        assert_eq!(read(&gzipped(&plain)).unwrap(), expected);
        // Labels.
        assert_eq!(read(&bytes(8, &[2], &[7, 9])).unwrap().values, [7, 9]);
    }

    #[test]
    fn refuses_what_is_no_idx_file_and_says_why() {
        refused(b"", "(none)");
        refused(b"\x89PNG....", "89 50 4e 47");
        refused(&bytes(0x0d, &[1], &[0; 4]), "single-precision");
        refused(&bytes(8, &[], &[]), "0 axes");
        refused(&bytes(8, &[1, 1, 1, 1, 1], &[0]), "5 axes");
        refused(&bytes(8, &[2, 2], &[])[..9], "ends in its header");
        refused(&bytes(8, &[0, 28, 28], &[]), "holds nothing");
        refused(&bytes(8, &[u32::MAX; 4], &[0]), "do not fit");
        // Cut, and too long.
        refused(
            &bytes(8, &[3, 2], &[0; 5]),
            "promises 6 values (3 x 2), the file holds 5",
        );
        refused(&bytes(8, &[3, 2], &[0; 7]), "holds more");
        refused(&gzipped(&bytes(8, &[3, 2], &[0; 7])), "holds more");
        let whole = gzipped(&bytes(8, &[200], &(0..200).collect::<Vec<u8>>()));
        for cut in [3, 12, whole.len() / 2, whole.len() - 9] {
            assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_header_that_promises_much_takes_no_memory() {
        refused(&bytes(8, &[60_000, 28, 28], &[0; 10]), "47040000");
        refused(&gzipped(&bytes(8, &[u32::MAX, 1, 1], &[0; 10])), "holds 10");
    }

    #[test]
    fn names_of_idx_files() {
        for name in [
            "train-images-idx3-ubyte.gz",
            "t10k-labels-idx1-ubyte",
            "a.IDX",
            "a.idx.gz",
        ] {
            assert!(is_idx(name), "{name}");
        }
        for name in ["a.npz", "idx.png", "a.gz"] {
            assert!(!is_idx(name), "{name}");
        }
    }
}

//! The numpy array format: its header, its number types, and nothing about where the bytes come from.
//!
//! A file is the six bytes `\x93NUMPY`, a version, the length of a header, the header (a Python dictionary with the
//! keys `descr`, `fortran_order` and `shape`), and then the values, without gaps. The header is parsed here: the whole grammar
//! that numpy writes is strings, `True`, `False`, whole numbers and tuples, and the crates that read it bring a parser of Python with them.

use crate::error::{IoError, Result};
use crate::format::Precision;
use std::io::Read;
use std::path::Path;

/// The first bytes of every `.npy` file.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
    /// So many bytes of text, ended by zeros.
    Bytes(usize),
    /// So many UTF-32 characters, ended by zeros.
    Unicode(usize),
}

/// The type of one value: what it is, and whether its bytes run from the most significant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DType {
    pub element: Element,
    pub big_endian: bool,
}

impl DType {
    /// Bytes of one value.
    pub fn size(self) -> usize {
        match self.element {
            Element::Bool | Element::I8 | Element::U8 => 1,
            Element::F16 | Element::I16 | Element::U16 => 2,
            Element::F32 | Element::I32 | Element::U32 => 4,
            Element::F64 | Element::I64 | Element::U64 => 8,
            Element::Bytes(n) => n,
            Element::Unicode(n) => 4 * n,
        }
    }

    pub fn is_number(self) -> bool {
        !matches!(
            self.element,
            Element::Bool | Element::Bytes(_) | Element::Unicode(_)
        )
    }

    pub fn precision(self) -> Precision {
        match self.element {
            Element::F64 | Element::I32 | Element::I64 | Element::U32 | Element::U64 => {
                Precision::F64
            }
            _ => Precision::F32,
        }
    }

    /// numpy's own name for it, for messages.
    pub fn name(self) -> &'static str {
        match self.element {
            Element::F16 => "float16",
            Element::F32 => "float32",
            Element::F64 => "float64",
            Element::I8 => "int8",
            Element::I16 => "int16",
            Element::I32 => "int32",
            Element::I64 => "int64",
            Element::U8 => "uint8",
            Element::U16 => "uint16",
            Element::U32 => "uint32",
            Element::U64 => "uint64",
            Element::Bool => "bool",
            Element::Bytes(_) | Element::Unicode(_) => "text",
        }
    }

    fn parse(descr: &str) -> Option<DType> {
        let mut chars = descr.chars();
        let order = chars.next()?;
        let kind = chars.next()?;
        let digits = chars.as_str();
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let size: usize = digits.parse().ok()?;
        let element = match (kind, size) {
            ('f', 2) => Element::F16,
            ('f', 4) => Element::F32,
            ('f', 8) => Element::F64,
            ('i', 1) => Element::I8,
            ('i', 2) => Element::I16,
            ('i', 4) => Element::I32,
            ('i', 8) => Element::I64,
            ('u', 1) => Element::U8,
            ('u', 2) => Element::U16,
            ('u', 4) => Element::U32,
            ('u', 8) => Element::U64,
            ('b', 1) => Element::Bool,
            ('S' | 'a', n) if n < 1 << 20 => Element::Bytes(n),
            ('U', n) if n < 1 << 20 => Element::Unicode(n),
            _ => return None,
        };
        let big_endian = match order {
            '<' | '|' => false,
            '>' => true,
            '=' => cfg!(target_endian = "big"),
            _ => return None,
        };
        Some(DType {
            element,
            big_endian,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub dtype: DType,
    pub fortran: bool,
    pub shape: Vec<usize>,
    /// Bytes before the values.
    pub length: u64,
    /// Bytes of the values.
    pub data: u64,
}

impl Header {
    /// Reads the header and leaves `reader` at the first value. `what` names the array in messages: "" or "array `x`: ".
    pub fn read(path: &Path, what: &str, reader: &mut impl Read) -> Result<Header> {
        let bad = |message: String| IoError::malformed(path, format!("{what}{message}"));
        let io = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => bad(
                "the file ends inside its npy header: it is cut short. Copy or write it again."
                    .into(),
            ),
            _ => IoError::reading(path, &e),
        };
        let mut start = [0u8; 8];
        let mut got = 0;
        while got < start.len() {
            match reader.read(&mut start[got..]) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(io(e)),
            }
        }
        if got < MAGIC.len() || &start[..MAGIC.len()] != MAGIC {
            return Err(bad(format!(
                "this is not a numpy array{}.",
                crate::text::resembles(&start[..got])
            )));
        }
        if got < start.len() {
            return Err(io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let width = match start[6] {
            1 => 2,
            2 | 3 => 4,
            v => {
                return Err(bad(format!(
                    "npy format version {v} is newer than the versions 1 to 3 known here. Save it again with `numpy.save`."
                )));
            }
        };
        let mut length = [0u8; 4];
        reader.read_exact(&mut length[..width]).map_err(io)?;
        let length = u32::from_le_bytes(length) as usize;
        // numpy refuses headers above 10,000 bytes itself; this bound only keeps a damaged length from asking for memory.
        if length > 1 << 20 {
            return Err(bad(format!(
                "the npy header claims {length} bytes: the file is damaged. Write it again."
            )));
        }
        let mut text = vec![0u8; length];
        reader.read_exact(&mut text).map_err(io)?;
        let text = String::from_utf8_lossy(&text);
        let (dtype, fortran, shape) = parse_dictionary(&text).map_err(bad)?;
        let data = shape
            .iter()
            .try_fold(dtype.size(), |a, &n| a.checked_mul(n))
            .ok_or_else(|| bad(format!("the npy header claims the shape {shape:?}, more than a machine can hold: the file is damaged.")))?;
        Ok(Header {
            dtype,
            fortran,
            shape,
            length: (8 + width + length) as u64,
            data: data as u64,
        })
    }

    /// The header of a C-ordered little-endian float array `[rows, dim]`, always [`WRITTEN`] bytes long whatever `rows` is,
    /// so that it can be put in once the rows are counted.
    pub fn bytes(precision: Precision, rows: u64, dim: usize) -> Vec<u8> {
        let descr = match precision {
            Precision::F32 => "<f4",
            Precision::F64 => "<f8",
        };
        Self::bytes_of(descr, &format!("({rows}, {dim})"))
    }

    /// The same for any type and shape, both as numpy writes them.
    pub fn bytes_of(descr: &str, shape: &str) -> Vec<u8> {
        let mut text =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        // Magic 6, version 2, length 2; then padded with spaces and a newline to a multiple of 64, as numpy does.
        let padded = (WRITTEN - 10).max((text.len() + 11).next_multiple_of(64) - 10);
        text.extend(std::iter::repeat_n(' ', padded - 1 - text.len()));
        text.push('\n');
        let mut out = MAGIC.to_vec();
        out.extend([1, 0]);
        out.extend((padded as u16).to_le_bytes());
        out.extend(text.as_bytes());
        out
    }

    /// The array as a table: rows and columns. One axis is one column.
    pub fn table(&self) -> std::result::Result<(usize, usize), String> {
        match *self.shape.as_slice() {
            [n] => Ok((n, 1)),
            [n, d] => Ok((n, d)),
            [] => Err(
                "this array is a single number; an array of shape [rows, columns] is expected."
                    .into(),
            ),
            [n, ..] => Err(format!(
                "this array has {} axes {:?}; [rows, columns] is expected. Flatten it with `a.reshape({n}, -1)` and save it again.",
                self.shape.len(),
                self.shape
            )),
        }
    }
}

/// Bytes of a header written here: room for any number of rows.
pub(crate) const WRITTEN: usize = 128;

/// A Python literal, as far as numpy's headers use them.
#[derive(Debug)]
enum Literal {
    Text(String),
    Bool(bool),
    Number(u64),
    /// A tuple or a list.
    Sequence(Vec<Literal>),
}

fn parse_dictionary(text: &str) -> std::result::Result<(DType, bool, Vec<usize>), String> {
    let damaged = || {
        "the npy header cannot be understood: the file is damaged. Write it again with `numpy.save`.".to_string()
    };
    let mut rest = text.trim().strip_prefix('{').ok_or_else(damaged)?;
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    loop {
        rest = rest.trim_start();
        if rest.starts_with('}') {
            break;
        }
        let (key, after) = literal(rest, 0).ok_or_else(damaged)?;
        let after = after.trim_start().strip_prefix(':').ok_or_else(damaged)?;
        let (value, after) = literal(after, 0).ok_or_else(damaged)?;
        rest = after.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest);
        match key {
            Literal::Text(k) if k == "descr" => descr = Some(value),
            Literal::Text(k) if k == "fortran_order" => fortran = Some(value),
            Literal::Text(k) if k == "shape" => shape = Some(value),
            _ => return Err(damaged()),
        }
    }
    let dtype = match descr {
        Some(Literal::Text(d)) => DType::parse(&d).ok_or_else(|| unread(&d))?,
        Some(Literal::Sequence(_)) => {
            return Err("this is a structured array (a record of named fields), which is not read. Save the numbers as a plain array, or as csv.".into());
        }
        _ => return Err(damaged()),
    };
    let Some(Literal::Bool(fortran)) = fortran else {
        return Err(damaged());
    };
    let Some(Literal::Sequence(axes)) = shape else {
        return Err(damaged());
    };
    let shape = axes.iter().map(|a| {
        if let Literal::Number(n) = a {
            usize::try_from(*n).ok()
        } else {
            None
        }
    });
    Ok((
        dtype,
        fortran,
        shape.collect::<Option<_>>().ok_or_else(damaged)?,
    ))
}

fn unread(descr: &str) -> String {
    match descr.chars().nth(1) {
        Some('O') => "this is an array of Python objects (pickled), which is not read. Save it as numbers or text: `a.astype(float)`, `a.astype(str)`.".into(),
        Some('c') => "this array holds complex numbers; real ones are expected.".into(),
        _ => format!("this array has the type `{descr}`, which is not read. Save it as float32 or float64: `a.astype('f8')`."),
    }
}

/// One literal from the front of `text`, and what follows it.
fn literal(text: &str, depth: usize) -> Option<(Literal, &str)> {
    let text = text.trim_start();
    let first = text.chars().next()?;
    match first {
        '\'' | '"' => {
            let body = &text[1..];
            let end = body.find(first)?;
            Some((Literal::Text(body[..end].to_string()), &body[end + 1..]))
        }
        '(' | '[' if depth < 8 => {
            let close = if first == '(' { ')' } else { ']' };
            let mut items = Vec::new();
            let mut rest = text[1..].trim_start();
            while !rest.starts_with(close) {
                let (item, after) = literal(rest, depth + 1)?;
                items.push(item);
                rest = after.trim_start();
                match rest.strip_prefix(',') {
                    Some(after) => rest = after.trim_start(),
                    None if rest.starts_with(close) => {}
                    None => return None,
                }
            }
            Some((Literal::Sequence(items), &rest[1..]))
        }
        '0'..='9' => {
            let end = text
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len());
            let rest = &text[end..];
            // Python 2 wrote long whole numbers as `5L`.
            Some((
                Literal::Number(text[..end].parse().ok()?),
                rest.strip_prefix('L').unwrap_or(rest),
            ))
        }
        _ => {
            if let Some(rest) = text.strip_prefix("True") {
                return Some((Literal::Bool(true), rest));
            }
            text.strip_prefix("False")
                .map(|rest| (Literal::Bool(false), rest))
        }
    }
}

/// Values from bytes: for each of `rows` rows, the value that starts `offset + row * stride` bytes in, into
/// `out[row * out_stride]`. Numbers only.
pub(crate) fn decode(
    dtype: DType,
    bytes: &[u8],
    offset: usize,
    stride: usize,
    rows: usize,
    out: &mut [f64],
    out_stride: usize,
) {
    macro_rules! with {
        ($t:ty) => {{
            const N: usize = size_of::<$t>();
            let at = |row: usize| -> [u8; N] {
                let from = offset + row * stride;
                let mut value = [0u8; N];
                value.copy_from_slice(&bytes[from..from + N]);
                value
            };
            if dtype.big_endian {
                for row in 0..rows {
                    out[row * out_stride] = <$t>::from_be_bytes(at(row)) as f64;
                }
            } else {
                for row in 0..rows {
                    out[row * out_stride] = <$t>::from_le_bytes(at(row)) as f64;
                }
            }
        }};
    }
    match dtype.element {
        Element::F32 => with!(f32),
        Element::F64 => with!(f64),
        Element::I8 => with!(i8),
        Element::I16 => with!(i16),
        Element::I32 => with!(i32),
        Element::I64 => with!(i64),
        Element::U8 => with!(u8),
        Element::U16 => with!(u16),
        Element::U32 => with!(u32),
        Element::U64 => with!(u64),
        Element::F16 => {
            for row in 0..rows {
                let from = offset + row * stride;
                let pair = [bytes[from], bytes[from + 1]];
                out[row * out_stride] = half(if dtype.big_endian {
                    u16::from_be_bytes(pair)
                } else {
                    u16::from_le_bytes(pair)
                });
            }
        }
        // The door lets no array of these through as coordinates.
        Element::Bool | Element::Bytes(_) | Element::Unicode(_) => {}
    }
}

/// IEEE half precision: 1 sign, 5 exponent, 10 fraction bits.
fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match (bits >> 10) & 0x1f {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1024.0 + fraction) * 2f64.powi(i32::from(e) - 25),
    };
    if bits & 0x8000 != 0 {
        -magnitude
    } else {
        magnitude
    }
}

/// One value as the name of a class: whole numbers without a point, text without its padding. `None` for NaN, infinity and empty text.
pub(crate) fn name_of(dtype: DType, bytes: &[u8]) -> Option<String> {
    let whole = |width: usize| {
        // Sign or zero extension to 64 bits, from the least significant byte.
        let mut wide = [0u8; 8];
        for k in 0..width {
            wide[k] = bytes[if dtype.big_endian { width - 1 - k } else { k }];
        }
        wide
    };
    let name = match dtype.element {
        Element::Bool => if bytes[0] != 0 { "True" } else { "False" }.to_string(),
        Element::U8 | Element::U16 | Element::U32 | Element::U64 => {
            u64::from_le_bytes(whole(dtype.size())).to_string()
        }
        Element::I8 | Element::I16 | Element::I32 | Element::I64 => {
            let unused = 64 - 8 * dtype.size();
            ((i64::from_le_bytes(whole(dtype.size())) << unused) >> unused).to_string()
        }
        Element::F16 | Element::F32 | Element::F64 => {
            let mut value = [0.0];
            decode(dtype, bytes, 0, 0, 1, &mut value, 1);
            return class_of_number(value[0]);
        }
        Element::Bytes(_) => String::from_utf8_lossy(bytes)
            .trim_end_matches('\0')
            .to_string(),
        Element::Unicode(n) => {
            let unit = |k: usize| {
                let mut four = [0u8; 4];
                four.copy_from_slice(&bytes[4 * k..4 * k + 4]);
                if dtype.big_endian {
                    u32::from_be_bytes(four)
                } else {
                    u32::from_le_bytes(four)
                }
            };
            let text: String = (0..n)
                .map(|k| char::from_u32(unit(k)).unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect();
            text.trim_end_matches('\0').to_string()
        }
    };
    let name = name.trim();
    if name.is_empty() {
        None
    } else {
        Some(name.to_string())
    }
}

/// A number as the name of a class: `3.0` is the class `3`, so that files that hold the same classes as whole numbers and as floats agree.
pub(crate) fn class_of_number(value: f64) -> Option<String> {
    if !value.is_finite() {
        None
    } else if value == value.trunc() && value.abs() < 2f64.powi(53) {
        Some((value as i64).to_string())
    } else {
        Some(value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_as_numpy_writes_them_are_understood() {
        let ok = |t: &str| parse_dictionary(t).unwrap();
        let (d, f, s) =
            ok("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }          \n");
        assert_eq!(
            (d.element, d.big_endian, f, s),
            (Element::F32, false, false, vec![3, 4])
        );
        let (d, f, s) = ok("{\"shape\":(5L,),'fortran_order':True,'descr':'>i8'}");
        assert_eq!(
            (d.element, d.big_endian, f, s),
            (Element::I64, true, true, vec![5])
        );
        assert_eq!(
            ok("{'descr': '|u1', 'fortran_order': False, 'shape': (), }").2,
            Vec::<usize>::new()
        );
    }

    #[test]
    fn foreign_types_and_damage_are_named() {
        let e = |d: &str, s: &str| {
            parse_dictionary(&format!(
                "{{'descr': {d}, 'fortran_order': False, 'shape': {s}, }}"
            ))
            .unwrap_err()
        };
        assert!(e("'|O'", "(3,)").contains("Python objects"));
        assert!(e("'<c16'", "(3,)").contains("complex"));
        assert!(e("'<M8[ns]'", "(3,)").contains("`<M8[ns]`"));
        assert!(e("[('x', '<f8'), ('y', '<f8')]", "(3,)").contains("structured"));
        assert!(e("'<f8'", "(-3,)").contains("damaged"));
        assert!(e("'<f8'", "(3,").contains("damaged"));
        assert!(e("'<f8'", "7").contains("damaged"));
        assert!(parse_dictionary("").is_err());
        assert!(parse_dictionary("{'descr'").is_err());
        assert!(parse_dictionary(&("{'descr': ".to_string() + &"(".repeat(10_000))).is_err());
    }

    #[test]
    fn a_written_header_reads_back_and_keeps_its_length() {
        for rows in [0, 1, 1_000_000, u64::MAX] {
            let bytes = Header::bytes(Precision::F64, rows, 3);
            assert_eq!(bytes.len(), WRITTEN);
        }
        let bytes = Header::bytes(Precision::F32, 7, 2);
        let h = Header::read(Path::new("a.npy"), "", &mut bytes.as_slice()).unwrap();
        assert_eq!(
            (h.shape, h.fortran, h.length, h.data),
            (vec![7, 2], false, 128, 56)
        );
    }

    #[test]
    fn every_half_is_exact() {
        // Against the definition: sign, 2^(e-15), 1 + f/1024; and the known corners.
        assert_eq!(
            [
                half(0x3c00),
                half(0xc000),
                half(0x7bff),
                half(0x0001),
                half(0x0400)
            ],
            [1.0, -2.0, 65504.0, 2f64.powi(-24), 2f64.powi(-14)]
        );
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
        for bits in 1..0x7c00u16 {
            assert!(half(bits) > half(bits - 1));
        }
    }

    #[test]
    fn class_names_agree_between_types() {
        let d = |s: &str| DType::parse(s).unwrap();
        assert_eq!(name_of(d("|i1"), &[0xfd]).as_deref(), Some("-3"));
        assert_eq!(name_of(d(">i2"), &[0xff, 0xfd]).as_deref(), Some("-3"));
        assert_eq!(
            name_of(d("<f4"), &(-3f32).to_le_bytes()).as_deref(),
            Some("-3")
        );
        assert_eq!(
            name_of(d("<u8"), &u64::MAX.to_le_bytes()).as_deref(),
            Some("18446744073709551615")
        );
        assert_eq!(name_of(d("|S4"), b"ab\0\0").as_deref(), Some("ab"));
        assert_eq!(
            name_of(d(">U2"), &[0, 0, 0, 0xe9, 0, 0, 0, 0]).as_deref(),
            Some("\u{e9}")
        );
        assert_eq!(name_of(d("<f8"), &f64::NAN.to_le_bytes()), None);
        assert_eq!(name_of(d("|S2"), &[0, 0]), None);
    }
}

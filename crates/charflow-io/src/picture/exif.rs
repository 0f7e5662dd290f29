//! The one thing in EXIF that recolouring makes wrong: the preview.
//!
//! EXIF is a small TIFF file (EXIF 2.3, 4.5): byte order, the place of the first directory, its entries of 12 bytes, then the place of the second
//! directory, which is that of the preview.

/// The bytes without their preview: the first directory is made the last. Bytes that are no EXIF stay as they are.
pub(super) fn without_preview(mut exif: Vec<u8>) -> Vec<u8> {
    if let Some(at) = second_directory(&exif)
        && let Some(place) = exif.get_mut(at..at + 4)
    {
        place.fill(0);
    }
    exif
}

/// The place of the second directory of a TIFF file; 0 for none.
pub(super) fn next_directory(tiff: &[u8]) -> Option<usize> {
    number(tiff, second_directory(tiff)?, 4)
}

/// Where the place of the second directory stands.
fn second_directory(tiff: &[u8]) -> Option<usize> {
    let first = number(tiff, 4, 4)?;
    let entries = number(tiff, first, 2)?;
    let at = first + 2 + 12 * entries;
    number(tiff, at, 4).map(|_| at)
}

/// An unsigned number in the file's byte order.
fn number(tiff: &[u8], at: usize, bytes: usize) -> Option<usize> {
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let part = tiff.get(at..at.checked_add(bytes)?)?;
    let value = |v: usize, b: &u8| 256 * v + usize::from(*b);
    Some(if little {
        part.iter().rev().fold(0, value)
    } else {
        part.iter().fold(0, value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_directory_is_cut_off_in_either_byte_order() {
        let little = [
            b"II*\0".as_slice(),
            &[8, 0, 0, 0, 1, 0],
            &[9; 12],
            &[77, 0, 0, 0],
        ]
        .concat();
        let big = [
            b"MM\0*".as_slice(),
            &[0, 0, 0, 8, 0, 1],
            &[9; 12],
            &[0, 0, 0, 77],
        ]
        .concat();
        for exif in [little, big] {
            let out = without_preview(exif.clone());
            assert_eq!(out[..22], exif[..22]);
            assert_eq!(out[22..], [0; 4]);
        }
        for odd in [
            vec![],
            b"II*".to_vec(),
            b"II*\0\xff\xff\xff\xff".to_vec(),
            vec![7; 40],
        ] {
            assert_eq!(without_preview(odd.clone()), odd);
        }
    }
}

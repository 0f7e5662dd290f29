//! Pictures in.

use super::exif::without_preview;
use super::{Levels, MOST_PIXELS, Picture, PictureFormat, jpeg};
use crate::error::{IoError, Kind, Result};
use image::codecs::{jpeg::JpegDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, Limits};
use std::io::Cursor;
use std::path::Path;

/// What a decoder may allocate. The number of pixels is checked beforehand; the decoders' own default would refuse pictures of 200 megapixels.
const MOST_BYTES: u64 = 1 << 34;

impl Picture {
    /// Reads a picture whole.
    ///
    /// # Errors
    /// The file is missing, unreadable, no picture, of another format, cut short, damaged, animated, in inks (CMYK), in floating point, without pixels, or has more than
    /// [`MOST_PIXELS`]; each says what to do.
    pub fn read(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(IoError::reading(
                path,
                &std::io::ErrorKind::IsADirectory.into(),
            ));
        }
        let bytes = std::fs::read(path).map_err(|e| IoError::reading(path, &e))?;
        if bytes.is_empty() {
            return Err(IoError::new(path, Kind::Empty, "the file is empty."));
        }
        let format = match image::guess_format(&bytes) {
            Ok(ImageFormat::Jpeg) => PictureFormat::Jpeg,
            Ok(ImageFormat::Png) => PictureFormat::Png,
            Ok(ImageFormat::Tiff) => PictureFormat::Tiff,
            Ok(ImageFormat::WebP) => PictureFormat::WebP,
            Ok(other) => return Err(foreign(path, &format!("{other:?}").to_uppercase())),
            Err(_) if bytes.get(4..8) == Some(b"ftyp") => {
                return Err(foreign(path, "HEIF or video"));
            }
            Err(_) => {
                return Err(IoError::malformed(
                    path,
                    "this is no picture that is known; JPEG, PNG, TIFF and WebP are read.",
                ));
            }
        };
        let fail = |e: ImageError| explained(path, &e);
        let open = Cursor::new(bytes.as_slice());
        match format {
            PictureFormat::Jpeg => {
                let facts = jpeg::facts(&bytes);
                if facts.components == Some(4) {
                    return Err(inks(path));
                }
                if !facts.ends {
                    return Err(cut(path));
                }
                decoded(path, format, JpegDecoder::new(open).map_err(fail)?, vec![])
            }
            PictureFormat::Png => {
                let decoder = PngDecoder::new(open).map_err(fail)?;
                if decoder.is_apng().map_err(fail)? {
                    return Err(animated(path));
                }
                decoded(path, format, decoder, vec![])
            }
            PictureFormat::WebP => {
                // The decoder reads what it needs; parts at the end could be missing.
                let size = bytes
                    .get(4..8)
                    .map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                if bytes.len() < size as usize + 8 {
                    return Err(cut(path));
                }
                let decoder = WebPDecoder::new(open).map_err(fail)?;
                if decoder.has_animation() {
                    return Err(animated(path));
                }
                decoded(path, format, decoder, vec![])
            }
            PictureFormat::Tiff => {
                let decoder = TiffDecoder::new(open).map_err(fail)?;
                if matches!(
                    decoder.original_color_type(),
                    ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16
                ) {
                    return Err(inks(path));
                }
                let mut notes = Vec::new();
                if has_more_pages(&bytes) {
                    notes.push("the file holds several pages; the first one is used".to_string());
                }
                let mut picture = decoded(path, format, decoder, notes)?;
                picture.turn_upright();
                Ok(picture)
            }
        }
    }

    /// Turns the pixels by the orientation, which is then that of the pixels.
    fn turn_upright(&mut self) {
        if self.orientation == Orientation::NoTransforms {
            return;
        }
        let Some(mut turned) = self.to_dynamic() else {
            return;
        };
        turned.apply_orientation(self.orientation);
        self.orientation = Orientation::NoTransforms;
        (self.width, self.height) = (turned.width(), turned.height());
        self.levels = match turned {
            DynamicImage::ImageRgb8(b) => Levels::Eight(b.into_raw()),
            DynamicImage::ImageRgba8(b) => Levels::Eight(b.into_raw()),
            DynamicImage::ImageRgb16(b) => Levels::Sixteen(b.into_raw()),
            other => Levels::Sixteen(other.into_rgba16().into_raw()),
        };
    }
}

fn decoded(
    path: &Path,
    format: PictureFormat,
    mut decoder: impl ImageDecoder,
    mut notes: Vec<String>,
) -> Result<Picture> {
    let fail = |e: ImageError| explained(path, &e);
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(IoError::new(
            path,
            Kind::Empty,
            "the picture has no pixels.",
        ));
    }
    if pixels > MOST_PIXELS {
        return Err(IoError::new(
            path,
            Kind::Malformed,
            format!(
                "the picture has {width} x {height} pixels, {} million; at most {} million are read. Make it smaller, fit, and give the .cube file to a program for large pictures.",
                pixels / 1_000_000,
                MOST_PIXELS / 1_000_000
            ),
        ));
    }
    // What cannot be read of these does not hinder the picture.
    let icc = decoder.icc_profile().ok().flatten();
    let exif = decoder.exif_metadata().ok().flatten().map(without_preview);
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    // After the metadata: of TIFF, limits leave nothing for them.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_BYTES);
    decoder.set_limits(limits).map_err(fail)?;
    let image = DynamicImage::from_decoder(decoder).map_err(fail)?;
    let grey = matches!(
        image,
        DynamicImage::ImageLuma8(_)
            | DynamicImage::ImageLumaA8(_)
            | DynamicImage::ImageLuma16(_)
            | DynamicImage::ImageLumaA16(_)
    );
    let (channels, levels) = match image {
        DynamicImage::ImageRgb8(b) => (3, Levels::Eight(b.into_raw())),
        DynamicImage::ImageRgba8(b) => (4, Levels::Eight(b.into_raw())),
        DynamicImage::ImageRgb16(b) => (3, Levels::Sixteen(b.into_raw())),
        DynamicImage::ImageRgba16(b) => (4, Levels::Sixteen(b.into_raw())),
        DynamicImage::ImageLuma8(_) => (3, Levels::Eight(image.into_rgb8().into_raw())),
        DynamicImage::ImageLumaA8(_) => (4, Levels::Eight(image.into_rgba8().into_raw())),
        DynamicImage::ImageLuma16(_) => (3, Levels::Sixteen(image.into_rgb16().into_raw())),
        DynamicImage::ImageLumaA16(_) => (4, Levels::Sixteen(image.into_rgba16().into_raw())),
        _ => {
            return Err(IoError::malformed(
                path,
                "its samples are floating-point numbers; 8 and 16 bits are read. Convert it first.",
            ));
        }
    };
    if grey {
        notes.push("a grey picture; read as red, green and blue alike".to_string());
    }
    Ok(Picture {
        width,
        height,
        channels,
        levels,
        format,
        grey,
        icc,
        exif,
        orientation,
        notes,
    })
}

/// Whether the first directory of a (classic) TIFF file names a second one.
fn has_more_pages(bytes: &[u8]) -> bool {
    super::exif::next_directory(bytes).is_some_and(|place| place != 0)
}

fn foreign(path: &Path, what: &str) -> IoError {
    IoError::malformed(
        path,
        format!("this is {what}; JPEG, PNG, TIFF and WebP are read. Convert it to PNG first."),
    )
}

fn inks(path: &Path) -> IoError {
    IoError::malformed(
        path,
        "its colours are inks (CMYK); a look is for light. Convert the picture to RGB first.",
    )
}

fn animated(path: &Path) -> IoError {
    IoError::malformed(
        path,
        "this is an animation; a still picture is expected. Take it apart into frames, or give the .cube file of a look to a video program.",
    )
}

fn cut(path: &Path) -> IoError {
    IoError::malformed(
        path,
        "the file ends too early: it is cut short. Copy or write it again.",
    )
}

/// A decoder's error as a sentence of ours.
fn explained(path: &Path, error: &ImageError) -> IoError {
    match error {
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => cut(path),
        ImageError::Limits(_) => IoError::malformed(
            path,
            "the picture needs more than 16 GiB to be read. Make it smaller first.",
        ),
        ImageError::Unsupported(e) => IoError::malformed(
            path,
            format!("a kind of picture that is not read ({e}). Convert it to PNG first."),
        ),
        other => {
            let text = other.to_string();
            let early = [
                "unexpected end",
                "end of file",
                "eof",
                "too short",
                "truncated",
                "failed to fill",
            ];
            if early.iter().any(|w| text.to_lowercase().contains(w)) {
                cut(path)
            } else {
                IoError::malformed(
                    path,
                    format!("the file is damaged ({text}). Copy or write it again."),
                )
            }
        }
    }
}

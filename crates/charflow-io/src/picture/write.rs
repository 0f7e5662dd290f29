//! Pictures out.

use super::{Levels, Picture, PictureFormat};
use crate::atomic::write_file;
use crate::error::{IoError, Kind, Result};
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, tiff::TiffEncoder, webp::WebPEncoder};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageBuffer, ImageEncoder};
use std::io::Cursor;
use std::path::Path;

impl Picture {
    /// Writes the picture whole or not at all, in the format of the name, in its own number of bits where the format holds them: JPEG and WebP take 8, JPEG no opacity.
    /// `quality`, from 1 to 100, is JPEG's. Colour profile and EXIF go along.
    ///
    /// # Errors
    /// An extension that is none of a picture, sides too long for the format, a file that cannot be written.
    pub fn write(&self, path: &Path, quality: u8) -> Result<()> {
        let format = PictureFormat::of(path)?;
        let bytes = self.encoded(path, format, quality)?;
        write_file(path, &bytes)
    }

    fn encoded(&self, path: &Path, format: PictureFormat, quality: u8) -> Result<Vec<u8>> {
        let most = match format {
            PictureFormat::Jpeg => 65_535,
            PictureFormat::WebP => 16_384,
            PictureFormat::Png | PictureFormat::Tiff => u32::MAX,
        };
        if self.width.max(self.height) > most {
            return Err(IoError::new(
                path,
                Kind::Usage,
                format!(
                    "this format holds at most {most} pixels a side, the picture has {} x {}. Write it as .png or .tif.",
                    self.width, self.height
                ),
            ));
        }
        let lost = || {
            IoError::new(
                path,
                Kind::Usage,
                "the samples are not those of the picture.",
            )
        };
        let mut image = self.to_dynamic().ok_or_else(lost)?;
        if format == PictureFormat::Tiff {
            image.apply_orientation(self.orientation);
        }
        if self.grey {
            image = grey(image);
        }
        if format == PictureFormat::WebP {
            image = match (self.grey, self.channels > 3) {
                (_, true) => DynamicImage::ImageRgba8(image.into_rgba8()),
                (true, false) => DynamicImage::ImageLuma8(image.into_luma8()),
                (false, false) => DynamicImage::ImageRgb8(image.into_rgb8()),
            };
        }
        // TIFF of the library has no grey with opacity.
        if format == PictureFormat::Tiff && self.grey && self.channels > 3 {
            image = match self.levels {
                Levels::Eight(_) => DynamicImage::ImageRgba8(image.into_rgba8()),
                Levels::Sixteen(_) => DynamicImage::ImageRgba16(image.into_rgba16()),
            };
        }
        let mut out = Vec::new();
        match format {
            PictureFormat::Jpeg => self.put(
                JpegEncoder::new_with_quality(&mut out, quality.clamp(1, 100)),
                &image,
            ),
            PictureFormat::Png => self.put(PngEncoder::new(&mut out), &image),
            PictureFormat::WebP => self.put(WebPEncoder::new_lossless(&mut out), &image),
            PictureFormat::Tiff => {
                let mut place = Cursor::new(&mut out);
                self.put(TiffEncoder::new(&mut place), &image)
            }
        }
        .map_err(|e| IoError::new(path, Kind::System, format!("cannot be encoded: {e}.")))?;
        Ok(out)
    }

    /// The samples with the metadata, through an encoder, which takes what it can hold of depth and opacity.
    fn put(&self, mut encoder: impl ImageEncoder, image: &DynamicImage) -> image::ImageResult<()> {
        // A format without a place for them refuses, which is no reason to lose the picture.
        // A profile of grey values makes no sense of red, green and blue, nor the other way: such a file would be misread.
        let grey = matches!(
            image.color(),
            ColorType::L8 | ColorType::L16 | ColorType::La8 | ColorType::La16
        );
        let other: &[u8] = if grey { b"RGB " } else { b"GRAY" };
        if let Some(icc) = &self.icc
            && icc.get(16..20) != Some(other)
        {
            let _ = encoder.set_icc_profile(icc.clone());
        }
        if let Some(exif) = &self.exif {
            let _ = encoder.set_exif_metadata(exif.clone());
        }
        image.write_with_encoder(encoder)
    }

    /// The samples in the types of the library; `None` if their number is not that of the picture.
    pub(super) fn to_dynamic(&self) -> Option<DynamicImage> {
        let (w, h) = (self.width, self.height);
        match (&self.levels, self.channels) {
            (Levels::Eight(s), 3) => {
                ImageBuffer::from_raw(w, h, s.clone()).map(DynamicImage::ImageRgb8)
            }
            (Levels::Eight(s), _) => {
                ImageBuffer::from_raw(w, h, s.clone()).map(DynamicImage::ImageRgba8)
            }
            (Levels::Sixteen(s), 3) => {
                ImageBuffer::from_raw(w, h, s.clone()).map(DynamicImage::ImageRgb16)
            }
            (Levels::Sixteen(s), _) => {
                ImageBuffer::from_raw(w, h, s.clone()).map(DynamicImage::ImageRgba16)
            }
        }
    }

    /// Whether the pixels are to be turned when they are looked at.
    #[must_use]
    pub fn is_turned(&self) -> bool {
        self.orientation != Orientation::NoTransforms
    }
}

/// The mean of red, green and blue; the library's own conversion weighs them, which would change greys that are equal only nearly.
fn grey(image: DynamicImage) -> DynamicImage {
    let (w, h) = (image.width(), image.height());
    let whole =
        match &image {
            DynamicImage::ImageRgb8(b) => {
                ImageBuffer::from_raw(w, h, means(b, 3, |v| v as u8)).map(DynamicImage::ImageLuma8)
            }
            DynamicImage::ImageRgba8(b) => {
                ImageBuffer::from_raw(w, h, means(b, 4, |v| v as u8)).map(DynamicImage::ImageLumaA8)
            }
            DynamicImage::ImageRgb16(b) => ImageBuffer::from_raw(w, h, means(b, 3, |v| v as u16))
                .map(DynamicImage::ImageLuma16),
            DynamicImage::ImageRgba16(b) => ImageBuffer::from_raw(w, h, means(b, 4, |v| v as u16))
                .map(DynamicImage::ImageLumaA16),
            _ => None,
        };
    whole.unwrap_or(image)
}

/// Each pixel's mean, its opacity after it if there is one.
fn means<T: Copy + Into<u32>>(samples: &[T], channels: usize, level: fn(u32) -> T) -> Vec<T> {
    let pixels = samples.chunks_exact(channels);
    pixels
        .flat_map(|p| {
            let [r, g, b] = [p[0], p[1], p[2]].map(Into::into);
            std::iter::once(level((r + g + b + 1) / 3)).chain(p.get(3).copied())
        })
        .collect()
}

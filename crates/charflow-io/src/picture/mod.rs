//! Still pictures in and out: JPEG, PNG, TIFF and WebP.
//!
//! A [`Picture`] holds the samples as the file stores them, 8 or 16 bits, red, green, blue and opacity if there is one, together with what has to survive:
//! the colour profile (ICC) and EXIF with its orientation. What it is, is found from the content; in which format it is written, from the name.
//!
//! | format | bits | opacity | EXIF | written |
//! |---|---|---|---|---|
//! | JPEG | 8 | no | kept | at a quality, colours at full resolution |
//! | PNG | 8, 16 | yes | kept | lossless |
//! | TIFF | 8, 16 | yes | no: the pixels are turned upright instead | lossless |
//! | WebP | 8 | yes | kept | lossless |
//!
//! A preview inside EXIF is taken out, since it would show the picture as it was.

mod exif;
mod jpeg;
mod read;
mod write;

use crate::error::{IoError, Kind, Result};
use image::metadata::Orientation;
use std::path::Path;

/// The largest number of pixels that is read.
pub const MOST_PIXELS: u64 = 1 << 30;

/// Formats of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// TIFF.
    Tiff,
    /// WebP.
    WebP,
}

impl PictureFormat {
    /// The format that a name stands for.
    ///
    /// # Errors
    /// Another extension, or none.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path
            .extension()
            .map(|e| e.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        match extension.as_str() {
            "jpg" | "jpeg" | "jpe" | "jfif" => Ok(PictureFormat::Jpeg),
            "png" => Ok(PictureFormat::Png),
            "tif" | "tiff" => Ok(PictureFormat::Tiff),
            "webp" => Ok(PictureFormat::WebP),
            other => Err(IoError::new(
                path,
                Kind::Extension,
                format!(
                    "pictures are written as .jpg, .png, .tif or .webp, found {}.",
                    if other.is_empty() {
                        "no extension".to_string()
                    } else {
                        format!("`.{other}`")
                    }
                ),
            )),
        }
    }

    /// The extension of its files.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            PictureFormat::Jpeg => "jpg",
            PictureFormat::Png => "png",
            PictureFormat::Tiff => "tif",
            PictureFormat::WebP => "webp",
        }
    }
}

/// Samples as they are stored, row by row, the channels of a pixel side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Levels {
    /// 0 to 255.
    Eight(Vec<u8>),
    /// 0 to 65535.
    Sixteen(Vec<u16>),
}

/// A still picture with what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    width: u32,
    height: u32,
    channels: usize,
    levels: Levels,
    format: PictureFormat,
    grey: bool,
    icc: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
    orientation: Orientation,
    notes: Vec<String>,
}

impl Picture {
    /// A picture of 8 bits from `[height, width, 3]` samples, red, green, blue; with `grey` its files hold one value a pixel.
    ///
    /// # Panics
    /// If there are not `3 * width * height` samples, at least one pixel.
    #[must_use]
    pub fn new(width: u32, height: u32, rgb: Vec<u8>, grey: bool) -> Self {
        assert!(
            !rgb.is_empty() && rgb.len() as u64 == 3 * u64::from(width) * u64::from(height),
            "{} samples are no picture of {width} x {height}",
            rgb.len()
        );
        Self {
            width,
            height,
            channels: 3,
            levels: Levels::Eight(rgb),
            format: PictureFormat::Png,
            grey,
            icc: None,
            exif: None,
            orientation: Orientation::NoTransforms,
            notes: Vec::new(),
        }
    }

    /// Columns as stored, before any turning by EXIF.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows as stored.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Number of pixels.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Samples of a pixel: 3, or 4 with opacity.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Bits of a sample: 8 or 16.
    #[must_use]
    pub fn bits(&self) -> u32 {
        match self.levels {
            Levels::Eight(_) => 8,
            Levels::Sixteen(_) => 16,
        }
    }

    /// Number of levels of a sample: 256 or 65536.
    #[must_use]
    pub fn level_count(&self) -> usize {
        1 << self.bits()
    }

    /// The samples, `[height, width, channels]`.
    #[must_use]
    pub fn samples(&self) -> &Levels {
        &self.levels
    }

    /// The samples, to be changed in place; their number must stay.
    pub fn samples_mut(&mut self) -> &mut Levels {
        &mut self.levels
    }

    /// The format it was read from.
    #[must_use]
    pub fn format(&self) -> PictureFormat {
        self.format
    }

    /// Whether the file holds grey values; here red, green and blue are equal then.
    #[must_use]
    pub fn is_grey(&self) -> bool {
        self.grey
    }

    /// Whether to write grey values: the mean of red, green and blue.
    pub fn set_grey(&mut self, grey: bool) {
        self.grey = grey;
    }

    /// The colour profile.
    #[must_use]
    pub fn icc(&self) -> Option<&[u8]> {
        self.icc.as_deref()
    }

    /// What a user should be told of the reading.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// A copy of 8 bits as it is to be looked at: turned by its orientation, transparent parts over white. Returns width, height, `[height, width, 3]`.
    #[must_use]
    pub fn upright(&self) -> (u32, u32, Vec<u8>) {
        let pixels = self.pixels();
        let mut rgb = Vec::with_capacity(3 * pixels);
        let mut put = |pixel: [f32; 3], opacity: f32| {
            rgb.extend(pixel.map(|v| (v * opacity + 255.0 * (1.0 - opacity) + 0.5) as u8));
        };
        match &self.levels {
            Levels::Eight(s) => s.chunks_exact(self.channels).for_each(|p| {
                let opacity = p.get(3).map_or(1.0, |a| f32::from(*a) / 255.0);
                put([p[0], p[1], p[2]].map(f32::from), opacity);
            }),
            Levels::Sixteen(s) => s.chunks_exact(self.channels).for_each(|p| {
                let opacity = p.get(3).map_or(1.0, |a| f32::from(*a) / 65535.0);
                put([p[0], p[1], p[2]].map(|v| f32::from(v) / 257.0), opacity);
            }),
        }
        match image::RgbImage::from_raw(self.width, self.height, rgb) {
            Some(buffer) => {
                let mut picture = image::DynamicImage::ImageRgb8(buffer);
                picture.apply_orientation(self.orientation);
                (
                    picture.width(),
                    picture.height(),
                    picture.into_rgb8().into_raw(),
                )
            }
            // Only samples_mut could have made their number a wrong one.
            None => (0, 0, Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests;

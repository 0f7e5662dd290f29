//! Small pictures of one size as an array, `pixels: [n, channels, height, width]` in `[0, 1]`, with their classes if they have any.

use crate::error::LabError;
use charflow_io::read_idx;
use std::path::Path;

/// `n` pictures of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Rows of a picture.
    pub height: usize,
    /// Columns of a picture.
    pub width: usize,
    /// `[n, channels, height, width]`, in `[0, 1]`.
    pub pixels: Vec<f32>,
}

impl Images {
    /// Pictures from their pixels.
    ///
    /// # Errors
    /// [`LabError::Input`] for sides of zero, a number of pixels that is no whole number of pictures, none at all, or a pixel outside `[0, 1]`.
    pub fn new(
        channels: usize,
        height: usize,
        width: usize,
        pixels: Vec<f32>,
    ) -> Result<Self, LabError> {
        let each = channels * height * width;
        if each == 0 || pixels.is_empty() || !pixels.len().is_multiple_of(each) {
            return Err(LabError::Input(format!(
                "{} pixels are no whole number of images of {channels} x {height} x {width}",
                pixels.len()
            )));
        }
        if let Some(at) = pixels.iter().position(|v| !(0.0..=1.0).contains(v)) {
            return Err(LabError::Input(format!(
                "image {} (from 0) has a pixel of {}; pixels lie in [0, 1]",
                at / each,
                pixels[at]
            )));
        }
        Ok(Self {
            channels,
            height,
            width,
            pixels,
        })
    }

    /// Grey images from an idx file of `[n, height, width]` bytes; 255 is 1.
    ///
    /// # Errors
    /// As for [`read_idx`], and for an array of another number of axes.
    pub fn read_idx(path: &Path) -> Result<Self, LabError> {
        let idx = read_idx(path)?;
        let &[_, height, width] = idx.shape.as_slice() else {
            return Err(LabError::Io {
                path: path.into(),
                message: format!(
                    "images have three axes (number, height, width), this file has {}{}",
                    idx.shape.len(),
                    if idx.shape.len() == 1 {
                        ": it looks like a file of labels"
                    } else {
                        ""
                    }
                ),
            });
        };
        let pixels = idx.values.iter().map(|&v| f32::from(v) / 255.0).collect();
        Self::new(1, height, width, pixels)
    }

    /// Number of pictures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pixels.len() / self.each()
    }

    /// Never: [`Images::new`] refuses none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// Numbers a picture has.
    #[must_use]
    pub fn each(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Sides, `[channels, height, width]`.
    #[must_use]
    pub fn sides(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// One picture, `[channels, height, width]`.
    #[must_use]
    pub fn one(&self, i: usize) -> &[f32] {
        &self.pixels[i * self.each()..(i + 1) * self.each()]
    }

    /// The same in colour where that is asked for: three equal planes of a grey one. Anything else stays as it is.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Self {
        if (self.channels, channels) != (1, 3) {
            return self;
        }
        let plane = self.height * self.width;
        let pixels = self
            .pixels
            .chunks_exact(plane)
            .flat_map(|p| p.repeat(3))
            .collect();
        Images {
            channels,
            pixels,
            ..self
        }
    }

    /// Some of the pictures, in the order asked for. Indices must exist.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            pixels: rows.iter().flat_map(|&i| self.one(i)).copied().collect(),
            ..*self
        }
    }

    /// The images in another size: bilinear, half-pixel centres, edges clamped, without smoothing where they get smaller.
    ///
    /// # Errors
    /// [`LabError::Input`] for a side of zero.
    pub fn resized(&self, height: usize, width: usize) -> Result<Self, LabError> {
        if height == 0 || width == 0 {
            return Err(LabError::Input(
                "images have sides of one pixel or more".into(),
            ));
        }
        // For each place: the two pixels it lies between, and how near it is to the second.
        let places = |from: usize, to: usize| -> Vec<(usize, usize, f32)> {
            let scale = from as f64 / to as f64;
            (0..to)
                .map(|i| {
                    let at = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, (from - 1) as f64);
                    let low = at.floor() as usize;
                    (low, (low + 1).min(from - 1), (at - low as f64) as f32)
                })
                .collect()
        };
        let (rows, columns) = (places(self.height, height), places(self.width, width));
        let mut pixels = Vec::with_capacity(self.len() * self.channels * height * width);
        for plane in self.pixels.chunks_exact(self.height * self.width) {
            for &(top, bottom, down) in &rows {
                for &(left, right, over) in &columns {
                    let between = |row: usize| {
                        let row = &plane[row * self.width..(row + 1) * self.width];
                        row[left] * (1.0 - over) + row[right] * over
                    };
                    let v = between(top) * (1.0 - down) + between(bottom) * down;
                    pixels.push(v.clamp(0.0, 1.0));
                }
            }
        }
        Ok(Self {
            height,
            width,
            pixels,
            ..*self
        })
    }

    /// An error if pictures of `expected` sides are wanted and these are others.
    pub(crate) fn check_sides(&self, expected: [usize; 3], who: &str) -> Result<(), LabError> {
        if self.sides() == expected {
            return Ok(());
        }
        let text = |[c, h, w]: [usize; 3]| {
            format!("{h} x {w}, {}", if c == 1 { "grey" } else { "colour" })
        };
        Err(LabError::Input(format!(
            "{who} takes images of {}; these are {}",
            text(expected),
            text(self.sides())
        )))
    }
}

/// Classes, one a picture, from an idx file of `[n]` bytes; `n` must be that of the pictures, and no class may reach `classes`.
///
/// # Errors
/// As for [`read_idx`], another number of axes or labels, a label out of range (the message gives its row).
pub fn read_idx_labels(path: &Path, n: usize, classes: usize) -> Result<Vec<u8>, LabError> {
    let idx = read_idx(path)?;
    let io = |message: String| LabError::Io {
        path: path.into(),
        message,
    };
    if idx.shape.len() != 1 {
        return Err(io(format!(
            "labels have one axis, this file has {}{}",
            idx.shape.len(),
            if idx.shape.len() == 3 {
                ": it looks like a file of images"
            } else {
                ""
            }
        )));
    }
    if idx.values.len() != n {
        return Err(io(format!(
            "{} labels for {n} images; one for each is expected",
            idx.values.len()
        )));
    }
    if let Some(row) = idx.values.iter().position(|&l| usize::from(l) >= classes) {
        return Err(io(format!(
            "row {} has the label {}; labels from 0 to {} are expected",
            row + 1,
            idx.values[row],
            classes - 1
        )));
    }
    Ok(idx.values)
}

//! A picture within a figure.

use crate::LabError;
use crate::images::Images;

/// Pixels `[height, width, 3]`, 8 bits, small enough for a figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row by row.
    pub rgb: Vec<u8>,
}

impl Raster {
    /// A picture reduced to at most `most` pixels on its long side: each new pixel is the mean of the old ones that it covers. Smaller pictures stay as they are.
    ///
    /// # Errors
    /// No pixels, or a number of samples that is not `3 width height`.
    pub fn reduced(width: usize, height: usize, rgb: &[u8], most: usize) -> Result<Self, LabError> {
        check(width, height, rgb.len(), "the picture")?;
        let (most, long) = (most.max(1), width.max(height));
        if long <= most {
            return Ok(Raster {
                width,
                height,
                rgb: rgb.to_vec(),
            });
        }
        let small = |side: usize| (side * most).div_ceil(long);
        Ok(shrunk(width, height, rgb, small(width), small(height)))
    }

    /// Image `i` (from 0) of several, grey or in colour.
    ///
    /// # Errors
    /// No such image; channels that are neither one nor three.
    pub fn of_image(images: &Images, i: usize) -> Result<Self, LabError> {
        if i >= images.len() || !matches!(images.channels, 1 | 3) {
            return Err(LabError::Input(format!(
                "image {i} (from 0) of {} with {} channels cannot be drawn: it must exist, with one channel or three",
                images.len(),
                images.channels
            )));
        }
        let (image, plane) = (images.one(i), images.height * images.width);
        let byte = |v: f32| (255.0 * v).round() as u8;
        let rgb = (0..plane)
            .flat_map(|p| [0, 1, 2].map(|c| byte(image[c % images.channels * plane + p])));
        Ok(Raster {
            width: images.width,
            height: images.height,
            rgb: rgb.collect(),
        })
    }

    /// Whether there are as many samples as the sides say: the fields are open, so figures ask at their door.
    pub(super) fn check(&self, what: &str) -> Result<(), LabError> {
        check(self.width, self.height, self.rgb.len(), what)
    }

    /// With sides of at most these lengths; a side that is no longer stays as it is.
    pub(super) fn within(&self, width: usize, height: usize) -> Self {
        let (w, h) = (self.width.min(width), self.height.min(height));
        if (w, h) == (self.width, self.height) {
            return self.clone();
        }
        shrunk(self.width, self.height, &self.rgb, w, h)
    }
}

fn check(width: usize, height: usize, samples: usize, what: &str) -> Result<(), LabError> {
    let expected = width.checked_mul(height).and_then(|n| n.checked_mul(3));
    if samples == 0 || expected != Some(samples) {
        return Err(LabError::Input(format!(
            "{what} has {samples} samples, which is no picture of {width} x {height} pixels of three channels"
        )));
    }
    Ok(())
}

/// The mean over the area of each new pixel, rounded once, at the end.
fn shrunk(width: usize, height: usize, rgb: &[u8], w: usize, h: usize) -> Raster {
    let columns: Vec<_> = (0..w).map(|k| parts(width, w, k)).collect();
    let mut out = Vec::with_capacity(3 * w * h);
    for k in 0..h {
        // Rows lie in one piece, so they are summed first.
        let mut row = vec![0.0; 3 * width];
        for (r, part) in parts(height, h, k) {
            for (sum, v) in row.iter_mut().zip(&rgb[3 * width * r..3 * width * (r + 1)]) {
                *sum += part * f64::from(*v);
            }
        }
        let area = (width as f64 / w as f64) * (height as f64 / h as f64);
        for column in &columns {
            for channel in 0..3 {
                let sum: f64 = column.iter().map(|(c, p)| p * row[3 * c + channel]).sum();
                out.push((sum / area).round() as u8);
            }
        }
    }
    Raster {
        width: w,
        height: h,
        rgb: out,
    }
}

/// The old cells that new cell `k` covers, and how much of each.
fn parts(old: usize, new: usize, k: usize) -> Vec<(usize, f64)> {
    let step = old as f64 / new as f64;
    let (from, to) = (k as f64 * step, (k + 1) as f64 * step);
    (from as usize..(to.ceil() as usize).min(old))
        .map(|c| (c, (to.min(c as f64 + 1.0) - from.max(c as f64)).max(0.0)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_images_become_colours() {
        let values = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
        // One row of two pixels: red 0, 51; green 102, 153; blue 204, 255.
        let colour = Images::new(3, 1, 2, values.to_vec()).unwrap();
        let raster = Raster::of_image(&colour, 0).unwrap();
        assert_eq!((raster.width, raster.height), (2, 1));
        assert_eq!(raster.rgb, [0, 102, 204, 51, 153, 255]);
        let grey = Images::new(1, 1, 2, values.to_vec()).unwrap();
        let raster = Raster::of_image(&grey, 2).unwrap();
        assert_eq!(raster.rgb, [204, 204, 204, 255, 255, 255]);
        assert!(Raster::of_image(&grey, 3).is_err());
        let two = Images::new(2, 1, 1, vec![0.5; 2]).unwrap();
        assert!(Raster::of_image(&two, 0).is_err());
    }

    #[test]
    fn whole_factors_give_means_of_blocks() {
        let rgb: Vec<u8> = (0..4 * 4).flat_map(|p| [10 * p as u8, 0, 255]).collect();
        let small = Raster::reduced(4, 4, &rgb, 2).unwrap();
        assert_eq!((small.width, small.height), (2, 2));
        // Pixels 0, 1, 4, 5: their mean is 2.5 tens.
        assert_eq!(small.rgb[..3], [25, 0, 255]);
        assert_eq!(small.rgb[9..], [125, 0, 255]);
    }

    /// In whole numbers: a hundred small blocks, where rounding half way would be seen.
    #[test]
    fn whole_factors_are_rounded_once() {
        let rgb: Vec<u8> = (0..3 * 40 * 20u32)
            .map(|v| (v.wrapping_mul(2_654_435_761) >> 24) as u8 % 4)
            .collect();
        let small = Raster::reduced(40, 20, &rgb, 20).unwrap();
        for (k, got) in small.rgb.iter().enumerate() {
            let (x, y, channel) = (k / 3 % 20, k / 60, k % 3);
            let at = |dx, dy| u32::from(rgb[3 * (40 * (2 * y + dy) + 2 * x + dx) + channel]);
            let sum = at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1);
            assert_eq!(u32::from(*got), (sum + 2) / 4, "sample {k}");
        }
        // The mean is a quarter; rounded after each axis it would be one.
        let quarter = [[0; 3], [1; 3], [0; 3], [0; 3]].concat();
        assert_eq!(Raster::reduced(2, 2, &quarter, 1).unwrap().rgb, [0; 3]);
    }

    #[test]
    fn other_factors_keep_the_mean_and_the_shape() {
        let rgb: Vec<u8> = (0..7 * 31).flat_map(|p| [(p % 7 * 30) as u8; 3]).collect();
        let small = Raster::reduced(7, 31, &rgb, 10).unwrap();
        assert_eq!((small.width, small.height), (3, 10));
        let mean = |v: &[u8]| v.iter().map(|v| f64::from(*v)).sum::<f64>() / v.len() as f64;
        assert!((mean(&small.rgb) - mean(&rgb)).abs() < 1.0);
        assert_eq!(
            Raster::reduced(1, 1, &[1, 2, 3], 10).unwrap().rgb,
            [1, 2, 3]
        );
        assert_eq!(Raster::reduced(1, 400, &[9; 1200], 4).unwrap().rgb, [9; 12]);
        assert!(Raster::reduced(2, 1, &[0; 3], 10).is_err());
        assert!(Raster::reduced(0, 0, &[], 10).is_err());
        assert!(Raster::reduced(usize::MAX, 3, &[0; 9], 10).is_err());
        assert!(Raster::reduced(2, 1, &[0; 6], 0).is_ok());
    }
}

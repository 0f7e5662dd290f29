//! A picture within a figure.

use crate::LabError;

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
        if rgb.is_empty() || rgb.len() != 3 * width * height {
            return Err(LabError::Input(format!(
                "{} samples are no picture of {width} x {height} pixels of three channels",
                rgb.len()
            )));
        }
        let long = width.max(height);
        if long <= most.max(1) {
            return Ok(Raster {
                width,
                height,
                rgb: rgb.to_vec(),
            });
        }
        let small = |side: usize| (side * most.max(1)).div_ceil(long).max(1);
        let (w, h) = (small(width), small(height));
        // One axis after the other: the mean over a box is the mean of means.
        let across = shrink(rgb, height, width, 3, w);
        let down = shrink(&across, 1, height, 3 * w, h);
        Ok(Raster {
            width: w,
            height: h,
            rgb: down,
        })
    }
}

/// The middle axis of `[outer, old, inner]` reduced to `new` by the means over the parts covered.
fn shrink(values: &[u8], outer: usize, old: usize, inner: usize, new: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(outer * new * inner);
    let step = old as f64 / new as f64;
    for o in 0..outer {
        for k in 0..new {
            let (from, to) = (k as f64 * step, (k + 1) as f64 * step);
            let cells = from as usize..(to.ceil() as usize).min(old);
            for i in 0..inner {
                let mut sum = 0.0;
                for c in cells.clone() {
                    let part = (to.min(c as f64 + 1.0) - from.max(c as f64)).max(0.0);
                    sum += part * f64::from(values[(o * old + c) * inner + i]);
                }
                out.push((sum / step).round() as u8);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_factors_give_means_of_blocks() {
        let rgb: Vec<u8> = (0..4 * 4).flat_map(|p| [10 * p as u8, 0, 255]).collect();
        let small = Raster::reduced(4, 4, &rgb, 2).unwrap();
        assert_eq!((small.width, small.height), (2, 2));
        // Pixels 0, 1, 4, 5: their mean is 2.5 tens.
        assert_eq!(small.rgb[..3], [25, 0, 255]);
        assert_eq!(small.rgb[9..], [125, 0, 255]);
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
    }
}

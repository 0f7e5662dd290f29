//! Histogram matching, each channel alone.
//!
//! ```text
//! T_k = G_k^-1 o F_k        F_k, G_k the running shares of channel k in source and target
//! ```
//!
//! The optimal map of each channel for every convex cost, and of no pair of channels: it cannot turn a colour's hue. A level counts as a cell that is evenly filled,
//! so `F` and `G` are continuous. At the middle of a cell, which is what a stored level is, this is the table from level to level that picture programs use
//! (Gonzalez and Woods, "Digital Image Processing", 3.3); over pixels that are spread over their cells it matches the histogram exactly.

use super::{Baseline, checked};
use crate::LabError;
use charflow::Result;
use charflow::map::{BackwardMap, ForwardMap, check_points};

/// One channel of one picture.
#[derive(Debug, Clone)]
struct Law {
    /// `[levels + 1]`: the share of the pixels below each edge of the cells.
    below: Vec<f64>,
}

impl Law {
    fn of(values: impl Iterator<Item = f64>, levels: usize) -> Self {
        let mut below = vec![0.0; levels + 1];
        let mut count = 0.0;
        for v in values {
            let level = (v * (levels - 1) as f64)
                .round()
                .clamp(0.0, (levels - 1) as f64);
            below[level as usize + 1] += 1.0;
            count += 1.0;
        }
        let mut sum = 0.0;
        for b in &mut below {
            sum += *b / count;
            *b = sum;
        }
        // Rounding must not leave the end short of everything.
        below[levels] = 1.0;
        Law { below }
    }

    fn most(&self) -> f64 {
        (self.below.len() - 2) as f64
    }

    /// The share of the law below the value `v`.
    fn share(&self, v: f64) -> f64 {
        // Cell `l` is [l - 1/2, l + 1/2] levels.
        let edge = (v * self.most() + 0.5).clamp(0.0, self.most() + 1.0);
        let cell = (edge as usize).min(self.below.len() - 2);
        let part = edge - cell as f64;
        self.below[cell] + part * (self.below[cell + 1] - self.below[cell])
    }

    /// The value below which the share `p` of the law is.
    fn quantile(&self, p: f64) -> f64 {
        let end = self.below.len() - 1;
        let edge = self.below.partition_point(|b| *b < p).clamp(1, end);
        let (low, high) = (self.below[edge - 1], self.below[edge]);
        let part = if high > low {
            (p - low) / (high - low)
        } else {
            0.5
        };
        ((edge - 1) as f64 + part.clamp(0.0, 1.0) - 0.5) / self.most()
    }
}

/// Per-channel histogram matching.
#[derive(Debug, Clone)]
pub struct HistogramMatching {
    laws: [[Law; 3]; 2],
}

impl HistogramMatching {
    /// From stored colours `[n, 3]` and `[m, 3]`, which have `levels` levels.
    ///
    /// # Errors
    /// A side without colours, or not in rows of three; fewer than two levels.
    pub fn fit(
        source: &[f64],
        target: &[f64],
        levels: [usize; 2],
    ) -> std::result::Result<Self, LabError> {
        if levels.iter().any(|l| *l < 2) {
            return Err(LabError::Input(format!(
                "a histogram needs at least two levels, found {levels:?}"
            )));
        }
        let of = |colors: &[[f64; 3]], levels| {
            std::array::from_fn(|k| Law::of(colors.iter().map(|c| c[k]), levels))
        };
        Ok(HistogramMatching {
            laws: [
                of(checked(source, "the source")?, levels[0]),
                of(checked(target, "the target")?, levels[1]),
            ],
        })
    }

    fn carried(&self, x: &[f64], from: usize) -> Result<Vec<f64>> {
        check_points(x, 3)?;
        let (from, to) = (&self.laws[from], &self.laws[1 - from]);
        Ok(x.iter()
            .enumerate()
            .map(|(i, v)| to[i % 3].quantile(from[i % 3].share(*v)))
            .collect())
    }
}

impl ForwardMap for HistogramMatching {
    fn dim(&self) -> usize {
        3
    }
    fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        self.carried(x, 0)
    }
}

impl BackwardMap for HistogramMatching {
    fn dim(&self) -> usize {
        3
    }
    fn backward(&self, y: &[f64]) -> Result<Vec<f64>> {
        self.carried(y, 1)
    }
}

impl Baseline for HistogramMatching {
    fn name(&self) -> &'static str {
        "histogram matching"
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::colors;
    use super::*;
    use crate::color::{histogram_intersection, histograms, recolor};

    /// Sorted pixels of equal number: the k-th of one goes to the k-th of the other, to within a cell on average.
    #[test]
    fn it_is_the_increasing_rearrangement() {
        let a = colors(3000, [0.4, 0.5, 0.3], [0.3, 0.2, 0.2], 1);
        let b = colors(3000, [0.6, 0.4, 0.5], [0.2, 0.3, 0.3], 2);
        let method = HistogramMatching::fit(&a, &b, [256; 2]).unwrap();
        let image = method.forward(&a).unwrap();
        for k in 0..3 {
            let sorted = |v: &[f64]| {
                let mut v: Vec<f64> = v.iter().skip(k).step_by(3).copied().collect();
                v.sort_by(f64::total_cmp);
                v
            };
            let (got, wanted) = (sorted(&image), sorted(&b));
            let off: f64 = got.iter().zip(&wanted).map(|(g, w)| (g - w).abs()).sum();
            // Ties of one level share an image, which is the middle of theirs.
            assert!(off / 3000.0 < 0.7 / 255.0, "{off}");
        }
    }

    #[test]
    fn spread_pixels_match_exactly_and_stored_levels_leave_gaps() {
        let stored = |c: &[f64]| {
            c.iter()
                .map(|v| (255.0 * v).round() as u8)
                .collect::<Vec<u8>>()
        };
        let a = colors(50_000, [0.5; 3], [0.1; 3], 3);
        let b = colors(50_000, [0.5; 3], [0.4; 3], 4);
        let method = HistogramMatching::fit(&a, &b, [256; 2]).unwrap();
        let wanted = histograms(&stored(&b), 3);
        let got = |seed| {
            let mut out = stored(&a);
            recolor(&mut out, 3, &method, seed).unwrap();
            histogram_intersection(&histograms(&out, 3), &wanted)
        };
        assert!(got(None) < 0.5, "{}", got(None));
        assert!(got(Some(1)) > 0.97, "{}", got(Some(1)));
    }
}

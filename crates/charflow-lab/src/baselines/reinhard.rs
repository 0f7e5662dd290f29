//! Reinhard, Ashikhmin, Gooch and Shirley, "Color transfer between images", IEEE Computer Graphics and Applications 21 (2001).
//!
//! ```text
//! z = P log10(M c)                                      l alpha beta of a stored colour c
//! T: z_k -> mean'_k + (sd'_k / sd_k) (z_k - mean_k)     each coordinate's mean and deviation become the target's
//! ```
//!
//! The article gives its matrices for stored values and takes logarithms of them as they are; a value of zero has none, so cone responses below one
//! level of 8 bits count as one level.

use super::{Baseline, checked};
use crate::LabError;
use charflow::Result;
use charflow::map::{BackwardMap, ForwardMap, check_points};
use nalgebra::{Matrix3, Vector3};

/// Least cone response.
const LEAST: f64 = 1.0 / 255.0;

/// Mean and deviation matching in `l alpha beta`.
#[derive(Debug, Clone)]
pub struct Reinhard {
    space: Opponent,
    /// Mean and deviation of source and target.
    sides: [(Vector3<f64>, Vector3<f64>); 2],
}

#[derive(Debug, Clone)]
struct Opponent {
    cones: Matrix3<f64>,
    cones_inverse: Matrix3<f64>,
    /// Orthonormal rows, so its transpose is its inverse.
    axes: Matrix3<f64>,
}

impl Opponent {
    fn new() -> Self {
        let cones = Matrix3::new(
            0.3811, 0.5783, 0.0402, //
            0.1967, 0.7244, 0.0782, //
            0.0241, 0.1288, 0.8444,
        );
        let (a, b, c) = (1.0 / 3f64.sqrt(), 1.0 / 6f64.sqrt(), 1.0 / 2f64.sqrt());
        Opponent {
            cones,
            // The matrix is a constant and regular.
            cones_inverse: cones.try_inverse().unwrap_or_default(),
            axes: Matrix3::new(a, a, a, b, b, -2.0 * b, c, -c, 0.0),
        }
    }

    fn point(&self, c: &[f64; 3]) -> Vector3<f64> {
        let cones = self.cones * Vector3::from(*c);
        self.axes * cones.map(|v| v.max(LEAST).log10())
    }

    fn color(&self, z: Vector3<f64>) -> [f64; 3] {
        let cones = (self.axes.transpose() * z).map(|v| 10f64.powf(v));
        (self.cones_inverse * cones).into()
    }
}

impl Reinhard {
    /// From stored colours `[n, 3]` and `[m, 3]`.
    ///
    /// # Errors
    /// A side without colours, or not in rows of three.
    pub fn fit(source: &[f64], target: &[f64]) -> std::result::Result<Self, LabError> {
        let space = Opponent::new();
        let side = |colors: &[[f64; 3]]| {
            let n = colors.len() as f64;
            let points: Vec<Vector3<f64>> = colors.iter().map(|c| space.point(c)).collect();
            let mean = points.iter().sum::<Vector3<f64>>() / n;
            let square = points
                .iter()
                .map(|z| (z - mean).map(|v| v * v))
                .sum::<Vector3<f64>>();
            (mean, (square / n).map(f64::sqrt))
        };
        let sides = [
            side(checked(source, "the source")?),
            side(checked(target, "the target")?),
        ];
        Ok(Reinhard { space, sides })
    }

    fn carried(&self, x: &[f64], from: usize) -> Result<Vec<f64>> {
        check_points(x, 3)?;
        let ((mean, sd), (to_mean, to_sd)) = (&self.sides[from], &self.sides[1 - from]);
        // A coordinate that does not vary has no scale to change.
        let factor = Vector3::from_fn(|k, _| if sd[k] > 1e-9 { to_sd[k] / sd[k] } else { 1.0 });
        Ok(x.as_chunks::<3>()
            .0
            .iter()
            .flat_map(|c| {
                let z = self.space.point(c) - mean;
                self.space.color(z.component_mul(&factor) + to_mean)
            })
            .collect())
    }
}

impl ForwardMap for Reinhard {
    fn dim(&self) -> usize {
        3
    }
    fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        self.carried(x, 0)
    }
}

impl BackwardMap for Reinhard {
    fn dim(&self) -> usize {
        3
    }
    fn backward(&self, y: &[f64]) -> Result<Vec<f64>> {
        self.carried(y, 1)
    }
}

impl Baseline for Reinhard {
    fn name(&self) -> &'static str {
        "Reinhard"
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::colors;
    use super::*;

    #[test]
    fn means_and_deviations_become_the_targets() {
        let a = colors(4000, [0.4, 0.5, 0.3], [0.3, 0.2, 0.2], 1);
        let b = colors(4000, [0.6, 0.4, 0.5], [0.2, 0.3, 0.3], 2);
        let method = Reinhard::fit(&a, &b).unwrap();
        let image = method.forward(&a).unwrap();
        let again = Reinhard::fit(&image, &b).unwrap();
        for k in 0..3 {
            assert!((again.sides[0].0[k] - again.sides[1].0[k]).abs() < 1e-9);
            assert!((again.sides[0].1[k] - again.sides[1].1[k]).abs() < 1e-9);
        }
        // A grey has no hue: alpha is zero where the cone responses of the article's matrix are equal, beta likewise, to its printed digits.
        let grey = method.space.point(&[0.5; 3]);
        assert!(grey[1].abs() < 0.01 && grey[2].abs() < 0.01, "{grey:?}");
    }
}

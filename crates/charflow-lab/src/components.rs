//! The first principal components of several clouds together.
//!
//! ```text
//! C = sum_i (x_i - m)(x_i - m)',      z = V_k' (x - m),      V_k: [d, k] eigenvectors of the k largest eigenvalues of C
//! ```
//!
//! With fewer points than columns the Gram matrix `G = Xc Xc'` is decomposed instead: `G w = l w` gives `v = Xc' w / sqrt(l)`. Each vector's largest entry is made
//! positive, so signs do not depend on the decomposition. Coordinates keep their variances: nothing is whitened.

use crate::{LabError, rows};
use nalgebra::{DMatrix, SymmetricEigen};

/// An affine map from `R^d` to `R^k`.
#[derive(Debug, Clone, PartialEq)]
pub struct Components {
    mean: Vec<f64>,
    /// `[d, k]`, orthonormal columns.
    axes: DMatrix<f64>,
    kept: f64,
}

impl Components {
    /// Fits at most `k` components to the clouds `[n, dim]` together: fewer where the points span no more.
    ///
    /// # Errors
    /// No points, points that all agree, `k` of 0, a slice that is not `[n, dim]`, or a value that is not finite.
    pub fn fit(clouds: &[&[f64]], dim: usize, k: usize) -> Result<Self, LabError> {
        let mut n = 0;
        for cloud in clouds {
            n += rows(cloud, dim, "a cloud")?;
            if let Some(at) = cloud.iter().position(|v| !v.is_finite()) {
                return Err(LabError::Input(format!(
                    "a cloud has the value {} in row {}, column {}",
                    cloud[at],
                    at / dim + 1,
                    at % dim + 1
                )));
            }
        }
        if n == 0 || k == 0 {
            return Err(LabError::Input(format!(
                "{k} principal components of {n} points; expected at least one of each"
            )));
        }
        // Row-major [n, dim] read as column-major [dim, n].
        let all: Vec<f64> = clouds.iter().flat_map(|c| c.iter().copied()).collect();
        let mut x = DMatrix::from_vec(dim, n, all);
        let mean = x.column_mean();
        for mut column in x.column_iter_mut() {
            column -= &mean;
        }
        let spread = x.norm_squared();
        let by_columns = dim <= n;
        let eigen = SymmetricEigen::new(if by_columns {
            &x * x.transpose()
        } else {
            x.tr_mul(&x)
        });
        let mut order: Vec<usize> = (0..dim.min(n)).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        // What is below this is rounding, and its vector any.
        order.retain(|&a| eigen.eigenvalues[a] > 1e-12 * spread);
        order.truncate(k);
        if order.is_empty() {
            return Err(LabError::Input(
                "all points agree; there are no principal components".into(),
            ));
        }
        let mut axes = DMatrix::zeros(dim, order.len());
        let mut kept = 0.0;
        for (place, &a) in order.iter().enumerate() {
            let vector = eigen.eigenvectors.column(a);
            let mut axis = if by_columns {
                vector.into_owned()
            } else {
                &x * vector
            };
            axis /= axis.norm();
            if axis[axis.icamax()] < 0.0 {
                axis.neg_mut();
            }
            axes.set_column(place, &axis);
            kept += eigen.eigenvalues[a];
        }
        Ok(Self {
            mean: mean.as_slice().to_vec(),
            axes,
            kept: (kept / spread).min(1.0),
        })
    }

    /// The number of components.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.axes.ncols()
    }

    /// Share of the variance of the clouds together that the components hold, in `[0, 1]`.
    #[must_use]
    pub fn kept(&self) -> f64 {
        self.kept
    }

    /// Coordinates: `[n, d]` to `[n, k]`.
    ///
    /// # Errors
    /// A slice that is not `[n, d]`.
    pub fn apply(&self, values: &[f64]) -> Result<Vec<f64>, LabError> {
        let dim = self.mean.len();
        let n = rows(values, dim, "a cloud")?;
        let centred: Vec<f64> = values
            .chunks_exact(dim)
            .flat_map(|row| row.iter().zip(&self.mean).map(|(v, m)| v - m))
            .collect();
        // Column-major [k, n] is row-major [n, k].
        let z = self.axes.tr_mul(&DMatrix::from_vec(dim, n, centred));
        Ok(z.as_slice().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::column_statistics;
    use crate::project::Projection;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    /// `n` points with deviation `1 / (1 + k)` along axis `k`, turned, off centre.
    fn cloud(n: usize, dim: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let frame = DMatrix::<f64>::from_fn(dim, dim, |_, _| rng.sample(StandardNormal))
            .qr()
            .q();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let z = DMatrix::<f64>::from_fn(dim, n, |k, _| {
            rng.sample::<f64, _>(StandardNormal) / (1 + k) as f64
        });
        (frame * z).iter().map(|v| v + 3.0).collect()
    }

    #[test]
    fn fewer_points_than_columns_or_more() {
        for (n, dim) in [(30, 8), (12, 40)] {
            let (x, y) = (cloud(n, dim, 1), cloud(n / 2, dim, 2));
            let fit = Components::fit(&[&x, &y], dim, 5).unwrap();
            let pooled: Vec<f64> = x.iter().chain(&y).copied().collect();
            let z = fit.apply(&pooled).unwrap();
            let (all, some) = (
                column_statistics(&pooled, dim).unwrap(),
                column_statistics(&z, 5).unwrap(),
            );
            let share = some.variances.iter().sum::<f64>() / all.variances.iter().sum::<f64>();
            assert!(
                (share - fit.kept()).abs() < 1e-10 && share < 1.0,
                "{share} {}",
                fit.kept()
            );
            assert!(some.means.iter().all(|m| m.abs() < 1e-10));
            // Uncorrelated, in order.
            for a in 0..5 {
                for b in 0..a {
                    let product: f64 = z.chunks(5).map(|z| z[a] * z[b]).sum();
                    assert!(product.abs() < 1e-9);
                    assert!(some.variances[b] >= some.variances[a]);
                }
            }
            // The first two are those that pictures are drawn in.
            let plane = Projection::fit(&[&x, &y], dim)
                .unwrap()
                .apply(&pooled)
                .unwrap();
            for (z, p) in z.chunks(5).zip(plane.chunks(2)) {
                assert!((z[0] - p[0]).abs() < 1e-6 && (z[1] - p[1]).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn all_components_keep_distances_and_flat_clouds_have_fewer() {
        let x = cloud(20, 4, 3);
        let fit = Components::fit(&[&x], 4, 9).unwrap();
        let z = fit.apply(&x).unwrap();
        assert_eq!(fit.dim(), 4);
        assert!((fit.kept() - 1.0).abs() < 1e-12);
        let square = |x: &[f64]| (0..4).map(|k| (x[k] - x[4 + k]).powi(2)).sum::<f64>();
        assert!((square(&x) - square(&z)).abs() < 1e-10);
        // Three points span a plane.
        assert_eq!(Components::fit(&[&x[..12]], 4, 9).unwrap().dim(), 2);
        for (cloud, k) in [(&[][..], 1), (&[1.0; 8], 2), (&x, 0), (&[f64::NAN; 4], 1)] {
            assert!(Components::fit(&[cloud], 4, k).is_err());
        }
        assert!(fit.apply(&[1.0; 5]).is_err());
    }
}

//! Two Gaussians `N(0, Sigma0)` and `N(0, Sigma1)` with random covariances `Sigma = Q diag(lambda) Q'`: `Q` uniform on the orthogonal
//! matrices, `ln lambda_i` uniform on `[-ln 2, ln 2]`, so every condition number is below 4.
//!
//! The optimal map is linear and known in closed form, so errors can be measured exactly.

use nalgebra::{Cholesky, DMatrix};

use super::{Generated, NamedCloud, check_size, normal, rng, uniform};
use crate::LabError;

/// The covariances of a Gaussian pair with zero means.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianTruth {
    /// Covariance of the source, row-major `[dim, dim]`.
    pub sigma0: Vec<f64>,
    /// Covariance of the target, row-major `[dim, dim]`.
    pub sigma1: Vec<f64>,
    /// The dimension.
    pub dim: usize,
}

/// Draws the two covariances for a seed (the points come from other streams of the same seed).
pub fn random_pair(dim: usize, seed: u64) -> GaussianTruth {
    GaussianTruth {
        sigma0: random_covariance(dim, seed, 2),
        sigma1: random_covariance(dim, seed, 3),
        dim,
    }
}

fn random_covariance(dim: usize, seed: u64, stream: u64) -> Vec<f64> {
    let mut rng = rng(seed, stream);
    let noise = DMatrix::from_fn(dim, dim, |_, _| normal(&mut rng));
    let qr = noise.qr();
    let (mut q, r) = qr.unpack();
    // Haar measure needs the signs of R's diagonal moved into Q (Mezzadri 2007).
    for j in 0..dim {
        if r[(j, j)] < 0.0 {
            q.column_mut(j).neg_mut();
        }
    }
    let mut scaled = q.clone();
    for j in 0..dim {
        let lambda = ((2.0 * uniform(&mut rng) - 1.0) * std::f64::consts::LN_2).exp();
        scaled.column_mut(j).scale_mut(lambda);
    }
    let sigma = scaled * q.transpose();
    // Rounding leaves the two triangles different in the last bit; a covariance is symmetric exactly.
    (0..dim * dim)
        .map(|k| 0.5 * (sigma[(k / dim, k % dim)] + sigma[(k % dim, k / dim)]))
        .collect()
}

pub(super) fn generate(n: usize, dim: usize, seed: u64) -> Generated {
    let truth = random_pair(dim, seed);
    let cloud = |stem: &str, sigma: &[f64], stream: u64| {
        let factor = Cholesky::new(DMatrix::from_row_slice(dim, dim, sigma)).map(|c| c.unpack());
        // Eigenvalues are at least 1/2, so the factor exists; the fallback keeps this total.
        let factor = factor.unwrap_or_else(|| DMatrix::identity(dim, dim));
        NamedCloud {
            stem: stem.to_owned(),
            values: colour(&factor, n, seed, stream),
            dim,
            labels: None,
        }
    };
    let clouds = vec![
        cloud("source", &truth.sigma0, 0),
        cloud("target", &truth.sigma1, 1),
    ];
    Generated {
        clouds,
        truth: Some(truth),
    }
}

/// Draws `n` points of `N(0, sigma)` as `L z`, `sigma = L L'` (Cholesky), `z ~ N(0, I)`; returns `[n, dim]`.
///
/// `sigma` is row-major `[dim, dim]`. Clouds that must be independent of each other need different streams (or seeds): the same seed and
/// stream give the same `z`.
///
/// # Errors
/// `sigma` of the wrong size, not finite, not symmetric to 1e-8 of its largest entry, or not positive definite.
pub fn draw_gaussian(
    sigma: &[f64],
    dim: usize,
    n: usize,
    seed: u64,
    stream: u64,
) -> Result<Vec<f64>, LabError> {
    if dim == 0 || dim.checked_mul(dim) != Some(sigma.len()) {
        return Err(LabError::Input(format!(
            "a covariance of dimension {dim} has {dim} x {dim} entries, not {}",
            sigma.len()
        )));
    }
    if let Some(k) = sigma.iter().position(|v| !v.is_finite()) {
        return Err(LabError::Input(format!(
            "entry ({}, {}) of the covariance is {}",
            k / dim + 1,
            k % dim + 1,
            sigma[k]
        )));
    }
    let largest = sigma.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for i in 0..dim {
        for j in 0..i {
            if (sigma[i * dim + j] - sigma[j * dim + i]).abs() > 1e-8 * largest {
                return Err(LabError::Input(format!(
                    "the covariance is not symmetric: entries ({0}, {1}) and ({1}, {0}) differ",
                    i + 1,
                    j + 1
                )));
            }
        }
    }
    check_size(n, dim)?;
    let factor = Cholesky::new(DMatrix::from_row_slice(dim, dim, sigma)).ok_or_else(|| {
        LabError::Input(
            "the covariance is not positive definite, so it has no Cholesky factor".to_owned(),
        )
    })?;
    Ok(colour(&factor.unpack(), n, seed, stream))
}

/// `n` rows `L z` for a lower triangular `L`.
fn colour(factor: &DMatrix<f64>, n: usize, seed: u64, stream: u64) -> Vec<f64> {
    let dim = factor.nrows();
    // Rows of L side by side, so that the inner product below runs over contiguous numbers.
    let rows: Vec<f64> = (0..dim * dim).map(|k| factor[(k / dim, k % dim)]).collect();
    let mut rng = rng(seed, stream);
    let mut z = vec![0.0; dim];
    let mut values = Vec::with_capacity(n * dim);
    for _ in 0..n {
        z.fill_with(|| normal(&mut rng));
        for i in 0..dim {
            values.push(
                rows[i * dim..=i * dim + i]
                    .iter()
                    .zip(&z)
                    .map(|(l, z)| l * z)
                    .sum(),
            );
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covariance(values: &[f64], dim: usize) -> Vec<f64> {
        let n = (values.len() / dim) as f64;
        let mut c = vec![0.0; dim * dim];
        for row in values.chunks(dim) {
            for i in 0..dim {
                for j in 0..dim {
                    c[i * dim + j] += row[i] * row[j] / n;
                }
            }
        }
        c
    }

    #[test]
    fn samples_have_the_covariances_of_the_truth() {
        let (dim, n) = (4, 200_000);
        let data = generate(n, dim, 11);
        let truth = data.truth.unwrap();
        for (cloud, sigma) in data.clouds.iter().zip([&truth.sigma0, &truth.sigma1]) {
            for (have, want) in covariance(&cloud.values, dim).iter().zip(sigma) {
                assert!((have - want).abs() < 0.03, "{have} {want}");
            }
        }
        // Independent clouds: no cross-covariance, which a shared stream would have.
        for i in 0..dim {
            let cross: f64 = (0..n)
                .map(|k| data.clouds[0].values[k * dim + i] * data.clouds[1].values[k * dim + i])
                .sum::<f64>()
                / n as f64;
            assert!(cross.abs() < 0.03);
        }
    }

    #[test]
    fn eigenvalues_lie_between_a_half_and_two_and_matrices_are_symmetric() {
        for dim in [1, 2, 7, 64] {
            let pair = random_pair(dim, 3);
            assert_ne!(pair.sigma0, pair.sigma1);
            for sigma in [&pair.sigma0, &pair.sigma1] {
                let m = DMatrix::from_row_slice(dim, dim, sigma);
                assert_eq!(m, m.transpose());
                assert!(
                    m.symmetric_eigenvalues()
                        .iter()
                        .all(|&v| (0.5 - 1e-9..=2.0 + 1e-9).contains(&v))
                );
            }
        }
    }

    #[test]
    fn draws_are_refused_where_no_gaussian_exists() {
        let message =
            |sigma: &[f64], dim| draw_gaussian(sigma, dim, 3, 0, 0).unwrap_err().to_string();
        assert!(message(&[1.0, 0.0, 0.0], 2).contains("2 x 2"));
        assert!(message(&[1.0, 0.0, f64::NAN, 1.0], 2).contains("entry (2, 1)"));
        assert!(message(&[1.0, 0.5, 0.0, 1.0], 2).contains("symmetric"));
        assert!(message(&[1.0, 2.0, 2.0, 1.0], 2).contains("positive definite"));
        assert_eq!(draw_gaussian(&[4.0], 1, 5, 1, 0).unwrap(), {
            let unit = draw_gaussian(&[1.0], 1, 5, 1, 0).unwrap();
            unit.iter().map(|v| 2.0 * v).collect::<Vec<_>>()
        });
        assert_ne!(
            draw_gaussian(&[4.0], 1, 5, 1, 0).unwrap(),
            draw_gaussian(&[4.0], 1, 5, 1, 1).unwrap()
        );
    }
}

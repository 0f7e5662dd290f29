//! The Fréchet distance between two clouds of features, each seen as a Gaussian.
//!
//! With means `m1, m2` and covariances `S1, S2` in `R^(d x d)` it is
//!
//! ```text
//! |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^(1/2) S2 S1^(1/2))^(1/2)),
//! ```
//!
//! the squared Wasserstein-2 distance of the two Gaussians (Dowson and Landau, 1982). On features of a classifier it judges generated images
//! (Heusel et al., NeurIPS 2017). It is biased: two samples of one law are apart by a number that grows with `d` and falls like `1 / n`. Compare only
//! distances taken with the same `n`, and give that of two halves of the real images beside them.

use nalgebra::{DMatrix, SymmetricEigen};

use crate::{LabError, rows};

/// Mean and covariance of a cloud of features.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureStatistics {
    mean: Vec<f64>,
    covariance: DMatrix<f64>,
    n: usize,
}

impl FeatureStatistics {
    /// Statistics of `features: [n, dim]`; the covariance has the divisor `n - 1`.
    ///
    /// # Errors
    /// Fewer than two rows, a slice that is not `[n, dim]`, or numbers that are not finite or too large to square.
    pub fn fit(features: &[f64], dim: usize) -> Result<Self, LabError> {
        let n = rows(features, dim, "the table of features")?;
        if n < 2 {
            return Err(LabError::Input(format!(
                "a covariance needs at least two rows of features, these are {n}"
            )));
        }
        if let Some(k) = features.iter().position(|v| !v.is_finite()) {
            return Err(LabError::Input(format!(
                "the features have the value {} in row {}, column {}",
                features[k],
                k / dim + 1,
                k % dim + 1
            )));
        }
        let mut mean = vec![0.0; dim];
        for row in features.chunks_exact(dim) {
            for k in 0..dim {
                mean[k] += row[k];
            }
        }
        mean.iter_mut().for_each(|m| *m /= n as f64);
        let mut covariance = DMatrix::zeros(dim, dim);
        for block in features.chunks(1024 * dim) {
            // Row-major [r, dim] read as column-major [dim, r]: the block already transposed. Centred first, so that an offset costs no digits.
            let centred =
                DMatrix::from_fn(dim, block.len() / dim, |k, i| block[i * dim + k] - mean[k]);
            covariance += &centred * centred.transpose();
        }
        covariance /= (n - 1) as f64;
        // The decomposition would not end on infinities.
        if covariance.iter().chain(&mean).any(|v| !v.is_finite()) {
            return Err(LabError::Input(
                "the features are too large: their covariance is not finite".to_owned(),
            ));
        }
        Ok(Self {
            mean,
            covariance,
            n,
        })
    }

    /// Mean, `[dim]`.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Covariance with the divisor `n - 1`, `[dim, dim]`.
    #[must_use]
    pub fn covariance(&self) -> &[f64] {
        self.covariance.as_slice()
    }

    /// Numbers a row has.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Rows there were.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }
}

/// The (squared) Fréchet distance, in the squared unit of the features.
///
/// Eigenvalues that rounding made negative count as zero, and so does a negative result. Where a covariance is singular, rounding leaves about `1e-8` of its
/// largest eigenvalue: the root of `1e-16`.
///
/// # Errors
/// Features of different dimensions.
pub fn frechet_distance(a: &FeatureStatistics, b: &FeatureStatistics) -> Result<f64, LabError> {
    if a.dim() != b.dim() {
        return Err(LabError::Input(format!(
            "a Fréchet distance needs features of one dimension; these have {} and {}",
            a.dim(),
            b.dim()
        )));
    }
    let means: f64 = a
        .mean
        .iter()
        .zip(&b.mean)
        .map(|(x, y)| (x - y) * (x - y))
        .sum();
    let root = root(&a.covariance);
    let product = &root * &b.covariance * &root;
    // Symmetric but for rounding; the decomposition reads one half only.
    let eigenvalues = SymmetricEigen::new(0.5 * (&product + product.transpose())).eigenvalues;
    let cross: f64 = eigenvalues.iter().map(|v| v.max(0.0).sqrt()).sum();
    Ok((means + a.covariance.trace() + b.covariance.trace() - 2.0 * cross).max(0.0))
}

/// The positive root of a symmetric matrix without negative eigenvalues.
fn root(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    let eigen = SymmetricEigen::new(matrix.clone());
    let mut scaled = eigen.eigenvectors.clone();
    for (mut column, value) in scaled.column_iter_mut().zip(&eigen.eigenvalues) {
        column *= value.max(0.0).sqrt();
    }
    scaled * eigen.eigenvectors.transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    fn normal(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        DMatrix::from_fn(rows, columns, |_, _| rng.sample(StandardNormal))
    }

    /// `[n, d]` features `m + A z` whose sample mean is `m` and whose sample covariance is `A A'` to rounding, with `n = 40`.
    fn features(mean: &[f64], a: &DMatrix<f64>) -> Vec<f64> {
        let n = 40;
        let mut z = normal(n, a.ncols(), 3);
        for mut column in z.column_iter_mut() {
            let m = column.mean();
            column.add_scalar_mut(-m);
        }
        let z = z.qr().q() * ((n - 1) as f64).sqrt();
        let x = z * a.transpose();
        (0..n)
            .flat_map(|i| (0..a.nrows()).map(move |k| (i, k)))
            .map(|(i, k)| x[(i, k)] + mean[k])
            .collect()
    }

    fn statistics(mean: &[f64], a: &DMatrix<f64>) -> FeatureStatistics {
        FeatureStatistics::fit(&features(mean, a), mean.len()).unwrap()
    }

    fn diagonal(values: &[f64]) -> DMatrix<f64> {
        DMatrix::from_diagonal(&nalgebra::DVector::from_row_slice(values))
    }

    fn near(got: f64, want: f64) {
        assert!(
            (got - want).abs() <= 1e-9 * (1.0 + want.abs()),
            "{got} instead of {want}"
        );
    }

    #[test]
    fn moments_meet_their_naive_twin() {
        // Two columns that hang together, more rows than a block, and an offset.
        let noise = normal(1500, 2, 1);
        let x: Vec<f64> = (0..1500)
            .flat_map(|i| {
                [
                    1e5 + noise[(i, 0)],
                    2.0 * noise[(i, 0)] - 0.5 * noise[(i, 1)],
                ]
            })
            .collect();
        let fit = FeatureStatistics::fit(&x, 2).unwrap();
        let mean = [0, 1].map(|k| x.iter().skip(k).step_by(2).sum::<f64>() / 1500.0);
        assert_eq!((fit.dim(), fit.n()), (2, 1500));
        for k in 0..2 {
            assert!((fit.mean()[k] - mean[k]).abs() < 1e-9);
            for l in 0..2 {
                let sum: f64 = x
                    .chunks(2)
                    .map(|r| (r[k] - mean[k]) * (r[l] - mean[l]))
                    .sum();
                near(fit.covariance()[2 * k + l], sum / 1499.0);
            }
        }
        // The divisor, on two rows: (1 + 1) / 1.
        assert_eq!(
            FeatureStatistics::fit(&[-1.0, 1.0], 1)
                .unwrap()
                .covariance(),
            [2.0]
        );
    }

    /// In one dimension, and wherever the covariances commute: `sum (m1 - m2)^2 + (s1 - s2)^2`.
    #[test]
    fn commuting_covariances_have_their_closed_form() {
        let one = |m: f64, s: f64| statistics(&[m], &diagonal(&[s]));
        near(
            frechet_distance(&one(1.0, 3.0), &one(-1.0, 0.5)).unwrap(),
            4.0 + 6.25,
        );
        let a = statistics(&[0.0, 1.0, 2.0], &diagonal(&[1.0, 2.0, 3.0]));
        let b = statistics(&[0.5, 1.0, -1.0], &diagonal(&[3.0, 1.0, 0.1]));
        near(
            frechet_distance(&a, &b).unwrap(),
            0.25 + 9.0 + 4.0 + 1.0 + 2.9 * 2.9,
        );
        near(frechet_distance(&a, &a).unwrap(), 0.0);
    }

    /// For two columns `tr M^(1/2) = sqrt(tr M + 2 sqrt(det M))`, whatever the axes.
    #[test]
    fn two_columns_have_their_closed_form() {
        let a = DMatrix::from_row_slice(2, 2, &[2.0, 0.3, -1.0, 0.7]);
        let b = DMatrix::from_row_slice(2, 2, &[0.4, 1.5, 0.9, -0.2]);
        let (s, t) = (&a * a.transpose(), &b * b.transpose());
        assert!((&s * &t - &t * &s).norm() > 1.0, "they must not commute");
        let m = &s * &t;
        let determinant: f64 = m.determinant();
        let cross = (m.trace() + 2.0 * determinant.sqrt()).sqrt();
        let got = frechet_distance(&statistics(&[0.0; 2], &a), &statistics(&[3.0, 0.0], &b));
        near(got.unwrap(), 9.0 + s.trace() + t.trace() - 2.0 * cross);
    }

    /// A symmetric positive matrix `P` is the optimal map from `N(0, S)` to `N(0, P S P)`, so the distance is `tr((I - P) S (I - P))`. And only
    /// such a one: by a turn, which leaves the cloud of a round Gaussian where it is, nothing has to be moved.
    #[test]
    fn the_cost_of_an_optimal_map_is_the_distance() {
        let (d, g) = (5, normal(5, 5, 8));
        let p = &g * g.transpose() * 0.3 + DMatrix::identity(d, d) * 0.2;
        let a = normal(5, 5, 9);
        let away = (DMatrix::identity(d, d) - &p) * &a;
        let zero = [0.0; 5];
        let (from, to) = (statistics(&zero, &a), statistics(&zero, &(&p * &a)));
        near(frechet_distance(&from, &to).unwrap(), away.norm_squared());
        let turn = g.qr().q();
        let round = statistics(&zero, &DMatrix::identity(d, d));
        near(
            frechet_distance(&round, &statistics(&zero, &turn)).unwrap(),
            0.0,
        );
    }

    #[test]
    fn symmetric_and_blind_to_shifts_and_turns_of_both() {
        let (a, b, turn) = (normal(6, 6, 1), normal(6, 6, 2), normal(6, 6, 4).qr().q());
        let (m, k) = (vec![1.0, 0.0, 2.0, 0.0, -1.0, 0.0], vec![0.5; 6]);
        let (x, y) = (statistics(&m, &a), statistics(&k, &b));
        let d = frechet_distance(&x, &y).unwrap();
        assert!(d > 1.0);
        near(frechet_distance(&y, &x).unwrap(), d);
        let moved = |m: &[f64]| {
            let m = &turn * nalgebra::DVector::from_row_slice(m);
            m.iter().map(|v| v + 7.0).collect::<Vec<f64>>()
        };
        let (x2, y2) = (
            statistics(&moved(&m), &(&turn * &a)),
            statistics(&moved(&k), &(&turn * &b)),
        );
        near(frechet_distance(&x2, &y2).unwrap(), d);
        // Moved apart by (3, 4, 0, ...): 25 and nothing else.
        let mut far = m.clone();
        far[0] += 3.0;
        far[1] += 4.0;
        near(frechet_distance(&x, &statistics(&far, &a)).unwrap(), 25.0);
    }

    /// Lines in a plane: covariances `u u'` and `v v'`, `tr (.)^(1/2) = |<u, v>|`. And one point, many times.
    #[test]
    fn singular_covariances_pass() {
        let flat = |u: [f64; 3]| statistics(&[0.0; 3], &DMatrix::from_column_slice(3, 1, &u));
        let (u, v) = (flat([1.0, 2.0, 0.0]), flat([2.0, 0.0, 1.0]));
        let got = frechet_distance(&u, &v).unwrap();
        assert!((got - (5.0 + 5.0 - 2.0 * 2.0)).abs() < 1e-6, "{got}");
        assert!(frechet_distance(&u, &u).unwrap() < 1e-6);
        let point = FeatureStatistics::fit(&[1.0; 12], 3).unwrap();
        near(frechet_distance(&point, &point).unwrap(), 0.0);
        near(frechet_distance(&point, &u).unwrap(), 3.0 + 5.0);
        // Fewer rows than columns.
        let few = FeatureStatistics::fit(
            &normal(3, 10, 5).as_slice()[..30]
                .iter()
                .map(|v| 1e3 * v)
                .collect::<Vec<_>>(),
            10,
        );
        let few = few.unwrap();
        assert!(frechet_distance(&few, &few).unwrap() < 1e-7 * few.covariance.trace());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (values, dim, part) in [
            (vec![1.0, 2.0], 2, "these are 1"),
            (vec![], 2, "these are 0"),
            (vec![1.0, 2.0, 3.0], 2, "whole number of rows"),
            (vec![1.0, f64::NAN, 3.0, 4.0], 2, "row 1, column 2"),
            (vec![1e200, -1e200], 1, "too large"),
            (vec![1.0], 0, "no columns"),
        ] {
            let error = FeatureStatistics::fit(&values, dim)
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{error}");
        }
        let (one, two) = (
            FeatureStatistics::fit(&[1.0, 2.0], 1).unwrap(),
            FeatureStatistics::fit(&[1.0, 2.0, 3.0, 4.0], 2).unwrap(),
        );
        let error = frechet_distance(&one, &two).unwrap_err().to_string();
        assert!(error.contains("1 and 2"), "{error}");
    }
}

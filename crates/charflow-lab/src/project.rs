//! The plane in which clouds of dimension `d > 2` are drawn: their first two principal components.
//!
//! With all clouds pooled, mean `m` and covariance `C` in `R^(d x d)`, the coordinates of a point are `(<v1, x - m>, <v2, x - m>)`, `v1, v2` the
//! eigenvectors of the two largest eigenvalues. Each vector's largest entry is made positive, so the picture does not flip between runs.

use nalgebra::{DMatrix, SymmetricEigen};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::{LabError, rows};

/// Up to here the covariance is formed and decomposed; beyond, subspace iteration needs only products with the data.
const DIRECT_DIM: usize = 256;
/// Rows used to fit: a plane for a picture does not get better with more.
const FIT_ROWS: usize = 20_000;

/// An affine map from `R^d` to the plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    mean: Vec<f64>,
    /// `v1` then `v2`, `[2, dim]`; `None` where the points are drawn as they are (`d = 2`).
    axes: Option<Vec<f64>>,
    explained: [f64; 2],
}

impl Projection {
    /// Fits the plane to the clouds together. Two columns are left as they are (identity); one column gets a zero beside it.
    ///
    /// # Errors
    /// No points, a slice that is not `[n, dim]`, or a value that is not finite.
    pub fn fit(clouds: &[&[f64]], dim: usize) -> Result<Self, LabError> {
        let mut total = 0;
        for cloud in clouds {
            total += rows(cloud, dim, "a cloud to be drawn")?;
            if let Some(k) = cloud.iter().position(|v| !v.is_finite()) {
                return Err(LabError::Input(format!(
                    "a cloud to be drawn has the value {} in row {}, column {}",
                    cloud[k],
                    k / dim + 1,
                    k % dim + 1
                )));
            }
        }
        if total == 0 {
            return Err(LabError::Input(
                "principal components need at least one point".to_owned(),
            ));
        }
        let sample = centred_sample(clouds, dim, total);
        let spread: f64 = sample.data.iter().map(|v| v * v).sum();
        let share = |v: f64| if spread > 0.0 { v / spread } else { 0.0 };
        if dim == 1 {
            return Ok(Self {
                mean: sample.mean,
                axes: Some(vec![1.0, 0.0]),
                explained: [share(spread), 0.0],
            });
        }
        if dim == 2 {
            let column = |k: usize| sample.data.iter().skip(k).step_by(2).map(|v| v * v).sum();
            return Ok(Self {
                mean: vec![0.0; 2],
                axes: None,
                explained: [share(column(0)), share(column(1))],
            });
        }
        let (axes, values) = if dim <= DIRECT_DIM {
            by_decomposition(&sample.data, dim)
        } else {
            by_iteration(&sample.data, dim)
        };
        Ok(Self {
            mean: sample.mean,
            axes: Some(axes),
            explained: values.map(share),
        })
    }

    /// Coordinates in the plane: `[n, dim]` to `[n, 2]`.
    ///
    /// # Errors
    /// A slice that is not `[n, dim]` for the fitted `dim`.
    pub fn apply(&self, values: &[f64]) -> Result<Vec<f64>, LabError> {
        let dim = self.mean.len();
        rows(values, dim, "a cloud to be drawn")?;
        let Some(axes) = &self.axes else {
            return Ok(values.to_vec());
        };
        if dim == 1 {
            // The mean stays in: a single column is drawn in the user's own units.
            return Ok(values.iter().flat_map(|&v| [v, 0.0]).collect());
        }
        let mut plane = Vec::with_capacity(values.len() / dim * 2);
        for row in values.chunks_exact(dim) {
            let mut p = [0.0; 2];
            for k in 0..dim {
                let centred = row[k] - self.mean[k];
                p[0] += axes[k] * centred;
                p[1] += axes[dim + k] * centred;
            }
            plane.extend(p);
        }
        Ok(plane)
    }

    /// Share of the pooled variance along each axis, in `[0, 1]`.
    pub fn explained(&self) -> [f64; 2] {
        self.explained
    }

    /// Names for the two axes: the columns' own for `d <= 2`, else the component and its share.
    pub fn axis_labels(&self, columns: &[String]) -> [String; 2] {
        let name = |k: usize| {
            columns
                .get(k)
                .cloned()
                .unwrap_or_else(|| format!("x{}", k + 1))
        };
        match self.mean.len() {
            1 => [name(0), String::new()],
            2 => [name(0), name(1)],
            _ => [0, 1].map(|k| format!("PC {} ({:.0} %)", k + 1, 100.0 * self.explained[k])),
        }
    }
}

struct Sample {
    mean: Vec<f64>,
    /// Evenly spaced rows minus the mean, `[r, dim]`.
    data: Vec<f64>,
}

fn centred_sample(clouds: &[&[f64]], dim: usize, total: usize) -> Sample {
    let stride = total.div_ceil(FIT_ROWS);
    let mut data: Vec<f64> = clouds
        .iter()
        .flat_map(|cloud| cloud.chunks_exact(dim))
        .step_by(stride)
        .flat_map(|row| row.iter().copied())
        .collect();
    let count = (data.len() / dim) as f64;
    let mut mean = vec![0.0; dim];
    for row in data.chunks_exact(dim) {
        for k in 0..dim {
            mean[k] += row[k] / count;
        }
    }
    for row in data.chunks_exact_mut(dim) {
        for k in 0..dim {
            row[k] -= mean[k];
        }
    }
    Sample { mean, data }
}

/// Eigenvectors of the scatter matrix `X'X`, formed block by block.
fn by_decomposition(data: &[f64], dim: usize) -> (Vec<f64>, [f64; 2]) {
    let mut scatter = DMatrix::zeros(dim, dim);
    for block in data.chunks(1024 * dim) {
        // Row-major [r, dim] read as column-major [dim, r]: the block already transposed.
        let transposed = DMatrix::from_column_slice(dim, block.len() / dim, block);
        scatter += &transposed * transposed.transpose();
    }
    let eigen = SymmetricEigen::new(scatter);
    let mut order: Vec<usize> = (0..dim).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let mut axes = Vec::with_capacity(2 * dim);
    for &k in &order[..2] {
        axes.extend(upright(
            eigen.eigenvectors.column(k).iter().copied().collect(),
        ));
    }
    (
        axes,
        [
            eigen.eigenvalues[order[0]].max(0.0),
            eigen.eigenvalues[order[1]].max(0.0),
        ],
    )
}

/// Subspace iteration with 8 vectors: `W <- orth(X'(X W))`, then a small eigenproblem. It converges like `(lambda_9 / lambda_2)^k`; where that
/// ratio is near one, the directions it confuses show equally much.
fn by_iteration(data: &[f64], dim: usize) -> (Vec<f64>, [f64; 2]) {
    const VECTORS: usize = 8;
    const ITERATIONS: usize = 60;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut basis = DMatrix::<f64>::from_fn(dim, VECTORS, |_, _| rng.sample(StandardNormal))
        .qr()
        .q();
    let mut small = DMatrix::zeros(VECTORS, VECTORS);
    for _ in 0..ITERATIONS {
        let mut image = DMatrix::zeros(dim, VECTORS);
        for block in data.chunks(1024 * dim) {
            let transposed = DMatrix::from_column_slice(dim, block.len() / dim, block);
            image += &transposed * transposed.tr_mul(&basis);
        }
        let next = basis.tr_mul(&image);
        let settled = (&next - &small).norm() <= 1e-9 * next.norm();
        small = next;
        if settled {
            break;
        }
        basis = image.qr().q();
    }
    let eigen = SymmetricEigen::new(0.5 * (&small + small.transpose()));
    let mut order: Vec<usize> = (0..VECTORS).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let mut axes = Vec::with_capacity(2 * dim);
    for &k in &order[..2] {
        axes.extend(upright(
            (&basis * eigen.eigenvectors.column(k))
                .iter()
                .copied()
                .collect(),
        ));
    }
    (
        axes,
        [
            eigen.eigenvalues[order[0]].max(0.0),
            eigen.eigenvalues[order[1]].max(0.0),
        ],
    )
}

/// The vector or its negative, whichever has a positive largest entry.
fn upright(vector: Vec<f64>) -> Vec<f64> {
    let largest = vector
        .iter()
        .fold(0.0f64, |m, &v| if v.abs() > m.abs() { v } else { m });
    if largest < 0.0 {
        vector.into_iter().map(|v| -v).collect()
    } else {
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[n, dim]` with standard deviation `1 / (1 + k)^2` along the k-th axis of a random orthogonal frame, off centre.
    fn cloud(n: usize, dim: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let frame = DMatrix::<f64>::from_fn(dim, dim, |_, _| rng.sample(StandardNormal))
            .qr()
            .q();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut values = Vec::new();
        for _ in 0..n {
            let z = DMatrix::from_fn(dim, 1, |k, _| {
                rng.sample::<f64, _>(StandardNormal) / ((1 + k) * (1 + k)) as f64
            });
            values.extend((&frame * z).iter().map(|v| v + 5.0));
        }
        values
    }

    #[test]
    fn iteration_meets_decomposition() {
        for dim in [10, 60] {
            let values = cloud(400, dim, 1);
            let sample = centred_sample(&[&values], dim, 400);
            let (a, va) = by_decomposition(&sample.data, dim);
            let (b, vb) = by_iteration(&sample.data, dim);
            for (x, y) in a.iter().zip(&b) {
                assert!((x - y).abs() < 1e-4, "{x} {y}");
            }
            assert!(va.iter().zip(&vb).all(|(x, y)| (x / y - 1.0).abs() < 1e-6));
        }
    }

    #[test]
    fn axes_are_orthonormal_and_coordinates_uncorrelated_with_the_variances_claimed() {
        let (x, y) = (cloud(300, 6, 1), cloud(200, 6, 2));
        let fit = Projection::fit(&[&x, &y], 6).unwrap();
        let axes = fit.axes.as_ref().unwrap();
        let dot = |a: usize, b: usize| {
            (0..6)
                .map(|k| axes[6 * a + k] * axes[6 * b + k])
                .sum::<f64>()
        };
        assert!(
            (dot(0, 0) - 1.0).abs() < 1e-12
                && (dot(1, 1) - 1.0).abs() < 1e-12
                && dot(0, 1).abs() < 1e-12
        );
        let pooled: Vec<f64> = x.iter().chain(&y).copied().collect();
        let plane = fit.apply(&pooled).unwrap();
        let (mut s, total) = (
            [0.0; 3],
            crate::metrics::total_variance(&pooled, 6).unwrap() * 499.0,
        );
        for p in plane.chunks(2) {
            s = [s[0] + p[0] * p[0], s[1] + p[1] * p[1], s[2] + p[0] * p[1]];
        }
        assert!(s[2].abs() < 1e-9 * s[0]);
        assert!(
            (s[0] / total - fit.explained()[0]).abs() < 1e-12
                && (s[1] / total - fit.explained()[1]).abs() < 1e-12
        );
        assert!(fit.explained()[0] > 0.8 && fit.axis_labels(&[])[0].starts_with("PC 1 ("));
    }

    #[test]
    fn one_and_two_columns_keep_their_units_and_degenerate_clouds_pass() {
        let two = Projection::fit(&[&[1.0, 2.0, 3.0, 9.0]], 2).unwrap();
        assert_eq!(two.apply(&[7.0, 8.0]).unwrap(), [7.0, 8.0]);
        assert_eq!(two.axis_labels(&["a".into(), "b".into()]), ["a", "b"]);
        let one = Projection::fit(&[&[5.0, 6.0]], 1).unwrap();
        assert_eq!(one.apply(&[5.0]).unwrap(), [5.0, 0.0]);
        let same = Projection::fit(&[&[2.0; 12]], 4).unwrap();
        assert!(
            same.apply(&[2.0; 4])
                .unwrap()
                .iter()
                .all(|v| v.abs() < 1e-12)
        );
        assert!(same.explained() == [0.0; 2]);
        let wide = Projection::fit(&[&vec![1.5; 300 * 3]], 300).unwrap();
        assert!(
            wide.apply(&vec![1.5; 300])
                .unwrap()
                .iter()
                .all(|v| v.is_finite())
        );
        assert!(Projection::fit(&[&[]], 3).is_err());
        assert!(
            Projection::fit(&[&[1.0, f64::NAN, 1.0]], 3)
                .unwrap_err()
                .to_string()
                .contains("row 1, column 2")
        );
    }
}

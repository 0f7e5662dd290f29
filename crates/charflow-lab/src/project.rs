//! The plane in which clouds of dimension `d > 2` are drawn: their first two principal components.
//!
//! With all clouds pooled, mean `m` and covariance `C` in `R^(d x d)`, the coordinates of a point are `(<v1, x - m>, <v2, x - m>)`, `v1, v2` the
//! eigenvectors of the two largest eigenvalues. Each vector's largest entry is made positive, so the picture does not flip between runs.
//! [`Projection`] is that plane; [`Components`] gives as many coordinates as asked for, in any dimension.

use nalgebra::{DMatrix, DVector, Dyn, SymmetricEigen};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::{LabError, rows};

/// Up to here the covariance is formed and decomposed; beyond, subspace iteration needs only products with the data.
const DIRECT_DIM: usize = 256;
/// Rows used to fit: a plane for a picture does not get better with more.
const FIT_ROWS: usize = 20_000;

/// Vectors that subspace iteration carries beyond those asked for.
const SPARE: usize = 6;

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
        let sample = centred_sample(clouds, dim, check(clouds, dim)?);
        let spread = sample.spread();
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
        let (axes, values) = largest(&sample.data, dim, 2);
        Ok(Self {
            mean: sample.mean,
            axes: Some(axes),
            explained: [share(values[0]), share(values[1])],
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
        Ok(coordinates(values, &self.mean, axes))
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
            _ => [0, 1].map(|k| label(k, self.explained[k])),
        }
    }
}

/// An affine map from `R^d` to its first principal components.
#[derive(Debug, Clone, PartialEq)]
pub struct Components {
    mean: Vec<f64>,
    /// `v1, v2, ...`, `[count, dim]`.
    axes: Vec<f64>,
    explained: Vec<f64>,
}

impl Components {
    /// Fits the first `count` components to the clouds together, `[n, dim]` each.
    ///
    /// # Errors
    /// No points, a slice that is not `[n, dim]`, a value that is not finite, no components or more than there are columns.
    pub fn fit(clouds: &[&[f64]], dim: usize, count: usize) -> Result<Self, LabError> {
        let total = check(clouds, dim)?;
        if count == 0 || count > dim {
            return Err(LabError::Input(format!(
                "{count} principal components of points with {dim} columns were asked for; there are 1 to {dim}"
            )));
        }
        let sample = centred_sample(clouds, dim, total);
        let spread = sample.spread();
        let (axes, values) = largest(&sample.data, dim, count);
        Ok(Self {
            mean: sample.mean,
            axes,
            explained: values
                .into_iter()
                .map(|v| if spread > 0.0 { v / spread } else { 0.0 })
                .collect(),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.explained.len()
    }

    /// Coordinates: `[n, dim]` to `[n, count]`.
    ///
    /// # Errors
    /// A slice that is not `[n, dim]` for the fitted `dim`.
    pub fn apply(&self, values: &[f64]) -> Result<Vec<f64>, LabError> {
        rows(values, self.mean.len(), "a cloud to be drawn")?;
        Ok(coordinates(values, &self.mean, &self.axes))
    }

    /// Share of the pooled variance along each component, in `[0, 1]`, the largest first.
    #[must_use]
    pub fn explained(&self) -> &[f64] {
        &self.explained
    }

    /// `PC 1 (34 %)` and so on.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        (0..self.count())
            .map(|k| label(k, self.explained[k]))
            .collect()
    }
}

fn label(k: usize, explained: f64) -> String {
    format!("PC {} ({:.0} %)", k + 1, 100.0 * explained)
}

/// Number of points of all clouds.
fn check(clouds: &[&[f64]], dim: usize) -> Result<usize, LabError> {
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
    Ok(total)
}

/// `<v, x - mean>` for each row `x` and each axis `v`: `[n, dim]` to `[n, count]`.
fn coordinates(values: &[f64], mean: &[f64], axes: &[f64]) -> Vec<f64> {
    let dim = mean.len();
    let mut out = Vec::with_capacity(values.len() / dim * (axes.len() / dim));
    for row in values.chunks_exact(dim) {
        out.extend(
            axes.chunks_exact(dim)
                .map(|axis| (0..dim).fold(0.0, |sum, k| sum + axis[k] * (row[k] - mean[k]))),
        );
    }
    out
}

struct Sample {
    mean: Vec<f64>,
    /// Evenly spaced rows minus the mean, `[r, dim]`.
    data: Vec<f64>,
}

impl Sample {
    /// Sum of the squared distances to the mean.
    fn spread(&self) -> f64 {
        self.data.iter().map(|v| v * v).sum()
    }
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

/// The eigenvectors of the `count` largest eigenvalues of the scatter matrix `X'X`, `[count, dim]`, and these values.
fn largest(data: &[f64], dim: usize, count: usize) -> (Vec<f64>, Vec<f64>) {
    if dim <= DIRECT_DIM || count + SPARE > dim {
        by_decomposition(data, dim, count)
    } else {
        by_iteration(data, dim, count)
    }
}

/// By decomposition of the matrix, formed block by block.
fn by_decomposition(data: &[f64], dim: usize, count: usize) -> (Vec<f64>, Vec<f64>) {
    let mut scatter = DMatrix::zeros(dim, dim);
    for block in data.chunks(1024 * dim) {
        // Row-major [r, dim] read as column-major [dim, r]: the block already transposed.
        let transposed = DMatrix::from_column_slice(dim, block.len() / dim, block);
        scatter += &transposed * transposed.transpose();
    }
    let eigen = SymmetricEigen::new(scatter);
    first(&eigen, count, |k| eigen.eigenvectors.column(k).into_owned())
}

/// By subspace iteration with `q = count + 6` vectors: `W <- orth(X'(X W))`, then a small eigenproblem. It converges like
/// `(lambda_(q+1) / lambda_count)^k`; where that ratio is near one, the directions it confuses show equally much.
fn by_iteration(data: &[f64], dim: usize, count: usize) -> (Vec<f64>, Vec<f64>) {
    const ITERATIONS: usize = 60;
    let vectors = count + SPARE;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut basis = DMatrix::<f64>::from_fn(dim, vectors, |_, _| rng.sample(StandardNormal))
        .qr()
        .q();
    let mut small = DMatrix::zeros(vectors, vectors);
    for _ in 0..ITERATIONS {
        let mut image = DMatrix::zeros(dim, vectors);
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
    first(&eigen, count, |k| &basis * eigen.eigenvectors.column(k))
}

/// The `count` largest eigenvalues with their vectors, each upright.
fn first(
    eigen: &SymmetricEigen<f64, Dyn>,
    count: usize,
    vector: impl Fn(usize) -> DVector<f64>,
) -> (Vec<f64>, Vec<f64>) {
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    order.truncate(count);
    let axes = order
        .iter()
        .flat_map(|&k| upright(vector(k).iter().copied().collect()))
        .collect();
    let values = order.iter().map(|&k| eigen.eigenvalues[k].max(0.0));
    (axes, values.collect())
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
        for (dim, count) in [(10, 2), (60, 2), (60, 5)] {
            let values = cloud(400, dim, 1);
            let sample = centred_sample(&[&values], dim, 400);
            let (a, va) = by_decomposition(&sample.data, dim, count);
            let (b, vb) = by_iteration(&sample.data, dim, count);
            assert_eq!((a.len(), va.len()), (count * dim, count));
            assert_eq!((b.len(), vb.len()), (count * dim, count));
            for (x, y) in a.iter().zip(&b) {
                assert!((x - y).abs() < 1e-4, "{x} {y}");
            }
            assert!(va.iter().zip(&vb).all(|(x, y)| (x / y - 1.0).abs() < 1e-6));
        }
    }

    #[test]
    fn the_first_two_components_are_the_plane() {
        for dim in [3, 6, 300] {
            let (x, y) = (cloud(60, dim, 1), cloud(50, dim, 2));
            let plane = Projection::fit(&[&x, &y], dim).unwrap();
            let two = Components::fit(&[&x, &y], dim, 2).unwrap();
            assert_eq!(two.apply(&y).unwrap(), plane.apply(&y).unwrap());
            assert_eq!(two.explained(), plane.explained());
            assert_eq!(two.labels(), plane.axis_labels(&[]));
        }
    }

    /// All components are a turn: distances stay, coordinates are uncorrelated, variances fall and add up to one.
    #[test]
    fn all_components_keep_distances_and_are_uncorrelated() {
        let (x, y) = (cloud(80, 5, 1), cloud(70, 5, 2));
        let fit = Components::fit(&[&x, &y], 5, 5).unwrap();
        let (u, v) = (fit.apply(&x).unwrap(), fit.apply(&y).unwrap());
        let far = |a: &[f64], b: &[f64]| {
            let square = |(p, q): (&f64, &f64)| (p - q) * (p - q);
            a.iter().zip(b).map(square).sum::<f64>()
        };
        for (a, b) in (0..70).map(|i| (5 * i..5 * i + 5, 345 - 5 * i..350 - 5 * i)) {
            let (before, after) = (far(&x[a.clone()], &y[b.clone()]), far(&u[a], &v[b]));
            assert!((before - after).abs() < 1e-9 * (1.0 + before));
        }
        let all = [u, v].concat();
        let moment = |k: usize, l: usize| all.chunks(5).map(|p| p[k] * p[l]).sum::<f64>();
        let total: f64 = (0..5).map(|k| moment(k, k)).sum();
        for k in 0..5 {
            assert!((moment(k, k) / total - fit.explained()[k]).abs() < 1e-12);
            assert!(k == 0 || fit.explained()[k] < fit.explained()[k - 1]);
            assert!((0..k).all(|l| moment(k, l).abs() < 1e-9 * total));
        }
        assert!((fit.explained().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        // Fewer are the first of them.
        let three = Components::fit(&[&x, &y], 5, 3).unwrap().apply(&x).unwrap();
        let cut: Vec<f64> = all
            .chunks(5)
            .take(80)
            .flat_map(|p| p[..3].to_vec())
            .collect();
        assert_eq!(three, cut);
    }

    /// Points along known axes: component 1 is column 2, component 2 column 1, and the signs are up.
    #[test]
    fn components_of_an_axis_parallel_cloud_are_its_columns() {
        let x = [[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0], [0.0, -3.0]].concat();
        let fit = Components::fit(&[&x], 2, 2).unwrap();
        let got = fit.apply(&[5.0, 7.0]).unwrap();
        assert!(
            (got[0] - 7.0).abs() < 1e-12 && (got[1] - 5.0).abs() < 1e-12,
            "{got:?}"
        );
        assert_eq!(fit.labels(), ["PC 1 (90 %)", "PC 2 (10 %)"]);
        let one = Components::fit(&[&[2.0, 4.0]], 1, 1).unwrap();
        assert_eq!(one.apply(&[2.0, 4.0, 5.0]).unwrap(), [-1.0, 1.0, 2.0]);
        let same = Components::fit(&[&[2.0; 12]], 4, 3).unwrap();
        assert_eq!((same.count(), same.explained()), (3, &[0.0; 3][..]));
        for (count, part) in [(0, "0 principal"), (3, "there are 1 to 2")] {
            let error = Components::fit(&[&x], 2, count).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(Components::fit(&[], 2, 1).is_err());
        assert!(fit.apply(&[1.0]).is_err());
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

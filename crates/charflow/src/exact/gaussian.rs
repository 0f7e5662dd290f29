//! Gaussians under the quadratic cost, in closed form \[15, 21-23\].
//!
//! For `mu = N(m0, S0)`, `nu = N(m1, S1)` on `R^d` the optimal map is
//!
//! ```text
//! T(x) = m1 + A (x - m0),   S(y) = m0 + A^-1 (y - m1),   A = S0^(-1/2) (S0^(1/2) S1 S0^(1/2))^(1/2) S0^(-1/2)
//! ```
//!
//! `A` is the symmetric positive definite solution of `A S0 A = S1`. With Cholesky factors `S0 = L0 L0'`, `S1 = L1 L1'` and `Q` the orthogonal
//! polar factor of `L1' L0` it is `A = L1 Q L0^-1`, which is how it is computed: then `A S0 A' = L1 Q Q' L1' = S1` holds to rounding
//! however uneven the covariances are, where the formula above loses digits in its square roots.
//!
//! The potential, with `B = A - I`, `D = m1 - m0`, `m_t = m0 + t D` and `K = (I + t B)^-1`, is
//!
//! ```text
//! u(x, t)      = (x - m_t)' B K (x - m_t) / 2 + D'(x - m0) - t |D|^2 / 2
//! grad u(x, t) = D + B K (x - m_t)
//! u_t(x, t)    = -|D|^2 / 2 - D' B K (x - m_t) - |B K (x - m_t)|^2 / 2
//! ```
//!
//! This is the paper's formula `x' B K x / 2 + b0' K x - (t / 2) b0' K b0`, `b0 = m1 - A m0`, up to a constant, written around the moving mean so
//! that means far from zero cost no digits. On characteristics `x_t - m_t = (I + t B)(x_0 - m0)`, so `p = D + B (x_0 - m0)` is constant, and
//! `d(B K)/dt = -(B K)^2` gives `u_t + |grad u|^2 / 2 = 0`. All eigenvalues of `A` are positive, so `I + t B` is invertible on `[0, 1]`.
//!
//! The mirrored map `m1 - A (x - m0)` has the same push-forward and no smooth potential: no energy distance can tell it from `T`, the
//! Hamilton-Jacobi equation can.

use crate::cost::Coordinates;
use crate::error::{Error, Result};
use crate::map::{BackwardMap, ForwardMap, check_points};
use crate::samples::{Moments, Scaling};
use nalgebra::{Cholesky, DMatrix, DVector, SymmetricEigen};

/// The optimal map between two Gaussians under the quadratic cost; from the moments of samples, the best linear map.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianMap {
    m0: Vec<f64>,
    m1: Vec<f64>,
    a: DMatrix<f64>,
    a_inverse: DMatrix<f64>,
    notes: Vec<String>,
    coordinates: Option<Coordinates>,
}

impl GaussianMap {
    /// From means `m0, m1: [d]` and covariances `s0, s1: [d, d]`, symmetric positive definite.
    ///
    /// # Errors
    /// [`Error::Problem`] that names the argument: another length, a value that is not finite, not symmetric, not positive definite.
    pub fn new(m0: &[f64], s0: &[f64], m1: &[f64], s1: &[f64]) -> Result<Self> {
        let d = m0.len();
        if d == 0 || m1.len() != d {
            return Err(Error::problem(format!(
                "the mean m0 has {d} coordinates, m1 has {}; expected the same number, at least 1",
                m1.len()
            )));
        }
        for (name, mean) in [("m0", m0), ("m1", m1)] {
            if let Some(j) = mean.iter().position(|v| !v.is_finite()) {
                return Err(Error::problem(format!(
                    "coordinate {} of the mean {name} is {}; expected a finite value",
                    j + 1,
                    mean[j]
                )));
            }
        }
        let s0 = checked_covariance("S0", s0, d)?;
        let s1 = checked_covariance("S1", s1, d)?;
        Self::from_covariances(m0.to_vec(), &s0, m1.to_vec(), &s1, Vec::new())
    }

    /// From the moments of samples, whatever they are: the linear baseline and the warm start.
    ///
    /// Two repairs are made where they are needed, and said in [`GaussianMap::notes`]; both work in units of the columns' pooled standard deviations,
    /// so no choice of units matters.
    ///
    /// * Fewer than `2 d` (effective, distinct) points do not determine a covariance: it is shrunk towards a multiple of the identity by the
    ///   oracle-approximating estimator of Chen, Wiesel, Eldar and Hero (2010).
    /// * A cloud that lies in a flat (constant columns, columns that depend on each other) has no variance across it: the flat directions are
    ///   given a ten-thousandth of the cloud's average variance. So the map stretches a flat cloud by at most about a hundred.
    ///
    /// # Errors
    /// [`Error::Problem`] for moments of different dimensions or that are not finite.
    pub fn from_moments(source: &Moments, target: &Moments) -> Result<Self> {
        let d = source.dim();
        if d == 0 || target.dim() != d {
            return Err(Error::problem(format!(
                "the moments of the source have {d} coordinates, those of the target {}; expected the same number, at least 1",
                target.dim()
            )));
        }
        for (name, moments) in [("source", source), ("target", target)] {
            if !moments
                .mean
                .iter()
                .chain(&moments.cov)
                .all(|v| v.is_finite())
            {
                return Err(Error::problem(format!(
                    "the moments of the {name} are not finite; its values are too large, choose another unit"
                )));
            }
        }

        // Units: the pooled standard deviation of each column, the average one where both sides are constant.
        let pooled: Vec<f64> = (0..d)
            .map(|j| 0.5 * (source.cov[j * d + j] + target.cov[j * d + j]))
            .collect();
        let average = pooled.iter().sum::<f64>() / d as f64;
        let unit: Vec<f64> = pooled
            .iter()
            .map(|&v| {
                if v > 0.0 {
                    v.sqrt()
                } else {
                    positive_or_one(average.sqrt())
                }
            })
            .collect();
        let mut notes = Vec::new();
        let mut sides = [("source", source), ("target", target)].map(|(name, moments)| {
            let s = DMatrix::from_fn(d, d, |i, j| moments.cov[i * d + j] / unit[i] / unit[j]);
            let points = moments.effective_count.min(moments.distinct() as f64);
            (name, moments, shrink(s, points, name, &mut notes))
        });
        // A cloud without any variance borrows the other's size.
        let sizes = [0, 1].map(|k| sides[k].2.trace() / d as f64);
        for (k, (name, moments, s)) in sides.iter_mut().enumerate() {
            let size = [sizes[k], sizes[1 - k], 1.0]
                .into_iter()
                .find(|&size| size > 0.0)
                .unwrap_or(1.0);
            fill_flat_directions(s, moments, size, name, &mut notes);
        }
        let [s0, s1] =
            sides.map(|(_, _, s)| DMatrix::from_fn(d, d, |i, j| s[(i, j)] * unit[i] * unit[j]));
        Self::from_covariances(source.mean.clone(), &s0, target.mean.clone(), &s1, notes)
    }

    /// From the parts of a map saved before: the means `m0, m1: [d]` and `A: [d, d]`, symmetric positive definite.
    ///
    /// # Errors
    /// As [`GaussianMap::new`].
    pub fn from_parts(m0: Vec<f64>, m1: Vec<f64>, a: &[f64]) -> Result<Self> {
        let d = m0.len();
        if d == 0 || m1.len() != d || !m0.iter().chain(&m1).all(|v| v.is_finite()) {
            return Err(Error::problem(format!(
                "the means m0 and m1 have {d} and {} coordinates; expected the same number of finite values, at least 1",
                m1.len()
            )));
        }
        let a = checked_covariance("A", a, d)?;
        let a_inverse = Cholesky::new(a.clone())
            .ok_or_else(|| not_definite("A", &a))?
            .inverse();
        Ok(Self {
            m0,
            m1,
            a,
            a_inverse,
            notes: Vec::new(),
            coordinates: None,
        })
    }

    fn from_covariances(
        m0: Vec<f64>,
        s0: &DMatrix<f64>,
        m1: Vec<f64>,
        s1: &DMatrix<f64>,
        notes: Vec<String>,
    ) -> Result<Self> {
        // Sizes out first: then no product over- or underflows whatever the units are.
        let (size0, size1) = (s0.diagonal().max(), s1.diagonal().max());
        // Wide columns first: entry (i, j) of L1' L0 sums over the columns from max(i, j) on, so the narrow ones are not drowned by the wide.
        let d = m0.len();
        let mut order: Vec<usize> = (0..d).collect();
        let width = |j: usize| (s0[(j, j)] / size0) * (s1[(j, j)] / size1);
        order.sort_by(|&i, &j| width(j).total_cmp(&width(i)));
        let sorted = |s: &DMatrix<f64>, size: f64| {
            DMatrix::from_fn(d, d, |i, j| s[(order[i], order[j])] / size)
        };
        let (s0, s1) = (sorted(s0, size0), sorted(s1, size1));
        let l0 = cholesky("S0", &s0)?;
        let l1 = cholesky("S1", &s1)?;
        let q = orthogonal_polar_factor(&(l1.transpose() * &l0));
        let a = right_divide(&(&l1 * &q), &l0).ok_or_else(|| not_definite("S0", &s0))?;
        let a_inverse =
            right_divide(&(&l0 * q.transpose()), &l1).ok_or_else(|| not_definite("S1", &s1))?;
        let mut place = vec![0; d];
        for (k, &j) in order.iter().enumerate() {
            place[j] = k;
        }
        let unsorted = |m: DMatrix<f64>| DMatrix::from_fn(d, d, |i, j| m[(place[i], place[j])]);
        let ratio = (size1 / size0).sqrt();
        Ok(Self {
            m0,
            m1,
            a: unsorted(better_triangle(&a, &s0, &s1)) * ratio,
            a_inverse: unsorted(better_triangle(&a_inverse, &s1, &s0)) / ratio,
            notes,
            coordinates: None,
        })
    }

    /// The dimension `d`.
    pub fn dim(&self) -> usize {
        self.m0.len()
    }

    /// The coordinates `B` of the map, if it has some; then its means and matrix are those of the points `B x`.
    #[must_use]
    pub fn coordinates(&self) -> Option<&Coordinates> {
        self.coordinates.as_ref()
    }

    /// The mean of the source `m0: [d]`, of the points `B x` if the map has coordinates.
    pub fn source_mean(&self) -> &[f64] {
        &self.m0
    }

    /// The mean of the target `m1: [d]`, likewise.
    pub fn target_mean(&self) -> &[f64] {
        &self.m1
    }

    /// The matrix `A: [d, d]` of the forward map, symmetric; likewise.
    pub fn matrix(&self) -> Vec<f64> {
        self.a.as_slice().to_vec()
    }

    /// What [`GaussianMap::from_moments`] had to repair, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The map `x -> B^-1 T(B x)`: optimal for the cost `l(v) = |B v|^2 / 2`. Means and matrix stay as they are, those of the points `B x`.
    #[must_use]
    pub fn in_coordinates(self, coordinates: Option<&Coordinates>) -> Self {
        Self {
            coordinates: coordinates.cloned(),
            ..self
        }
    }

    /// The same map on `z = (x - shift) / scale`, or `(B x - shift) / scale` if it has coordinates: the means move, `A` stays.
    pub fn in_solver_units(&self, scaling: &Scaling) -> Self {
        let go = |mean: &[f64]| {
            mean.iter()
                .zip(&scaling.shift)
                .map(|(m, s)| (m - s) / scaling.scale)
                .collect()
        };
        Self {
            m0: go(&self.m0),
            m1: go(&self.m1),
            coordinates: None,
            ..self.clone()
        }
    }

    /// Runs `map` on the points `B x`, and comes back.
    fn inside(&self, x: &[f64], map: impl Fn(&[f64]) -> Result<Vec<f64>>) -> Result<Vec<f64>> {
        let Some(coordinates) = &self.coordinates else {
            return map(x);
        };
        // What is wrong is told of the points as they were given.
        check_points(x, self.m0.len())?;
        let mut images = map(&Coordinates::entered(Some(coordinates), x))?;
        coordinates.leave(&mut images);
        Ok(images)
    }

    /// The potential of the map, on the points `B x` if it has coordinates.
    pub fn potential(&self) -> GaussianPotential {
        GaussianPotential::new(self)
    }
}

impl ForwardMap for GaussianMap {
    fn dim(&self) -> usize {
        self.m0.len()
    }

    /// `T(x) = m1 + A (x - m0)`.
    fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        self.inside(x, |x| affine(x, &self.m0, &self.a, 1.0, &self.m1))
    }
}

impl BackwardMap for GaussianMap {
    fn dim(&self) -> usize {
        self.m0.len()
    }

    /// `S(y) = m0 + A^-1 (y - m1)`.
    fn backward(&self, y: &[f64]) -> Result<Vec<f64>> {
        self.inside(y, |y| affine(y, &self.m1, &self.a_inverse, 1.0, &self.m0))
    }
}

/// The mirrored map `m1 - A (x - m0)` and its inverse: right marginals, wrong map. A test oracle.
#[derive(Clone, Debug, PartialEq)]
pub struct MirroredGaussianMap(GaussianMap);

impl MirroredGaussianMap {
    /// The mirror image of an optimal map.
    pub fn new(map: &GaussianMap) -> Self {
        Self(map.clone())
    }

    /// The dimension `d`.
    pub fn dim(&self) -> usize {
        self.0.dim()
    }
}

impl ForwardMap for MirroredGaussianMap {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        affine(x, &self.0.m0, &self.0.a, -1.0, &self.0.m1)
    }
}

impl BackwardMap for MirroredGaussianMap {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn backward(&self, y: &[f64]) -> Result<Vec<f64>> {
        affine(y, &self.0.m1, &self.0.a_inverse, -1.0, &self.0.m0)
    }
}

/// The potential `u(x, t)` of a [`GaussianMap`], with `u(m0, 0) = 0`.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianPotential {
    m0: DVector<f64>,
    /// `D = m1 - m0`.
    shift: DVector<f64>,
    /// The eigenvectors of `A` as columns, and the eigenvalues of `B = A - I`, all above -1.
    vectors: DMatrix<f64>,
    bend: DVector<f64>,
}

impl GaussianPotential {
    /// The potential of the map; takes one eigendecomposition.
    pub fn new(map: &GaussianMap) -> Self {
        let eigen = SymmetricEigen::new(map.a.clone());
        let largest = eigen.eigenvalues.max();
        Self {
            m0: DVector::from_column_slice(&map.m0),
            shift: DVector::from_iterator(
                map.dim(),
                map.m1.iter().zip(&map.m0).map(|(b, a)| b - a),
            ),
            // A is positive definite; an eigenvalue below the rounding of the largest may come out as zero.
            bend: eigen.eigenvalues.map(|a| a.max(1e-15 * largest) - 1.0),
            vectors: eigen.eigenvectors,
        }
    }

    /// The dimension `d`.
    pub fn dim(&self) -> usize {
        self.m0.len()
    }

    /// The mean of the source, `m0: [d]`.
    pub fn source_mean(&self) -> &[f64] {
        self.m0.as_slice()
    }

    /// `D = m1 - m0: [d]`.
    pub fn shift(&self) -> &[f64] {
        self.shift.as_slice()
    }

    /// The eigenvalues `b_k > -1` of `B = A - I`, `[d]`, in the order of [`GaussianPotential::eigenvectors`].
    pub fn eigenvalues(&self) -> &[f64] {
        self.bend.as_slice()
    }

    /// The eigenvectors of `B`, `[d, d]`, one a row: `B = sum_k b_k e_k e_k'`.
    pub fn eigenvectors(&self) -> &[f64] {
        // Columns of a column-major matrix are the rows of the row-major slice.
        self.vectors.as_slice()
    }

    /// `c = E'(x - m_t)`, the coordinates around the moving mean, and `k c`, with `k_i = b_i / (1 + t b_i)` the eigenvalues of `B K`.
    fn coordinates(&self, x: &[f64], t: f64) -> (DVector<f64>, DVector<f64>) {
        let around = DVector::from_fn(self.dim(), |j, _| (x[j] - self.m0[j]) - t * self.shift[j]);
        let c = self.vectors.tr_mul(&around);
        let kc = c.zip_map(&self.bend, |c, b| b / (1.0 + t * b) * c);
        (c, kc)
    }

    /// `u(x, t)` at one point `x: [d]`, for `t` in `[0, 1]`.
    pub fn value(&self, x: &[f64], t: f64) -> f64 {
        let (c, kc) = self.coordinates(x, t);
        let along: f64 = (0..self.dim())
            .map(|j| self.shift[j] * (x[j] - self.m0[j]))
            .sum();
        0.5 * c.dot(&kc) + along - 0.5 * t * self.shift.norm_squared()
    }

    /// `p = grad_x u(x, t)` at one point `x: [d]`, into `p: [d]`.
    pub fn grad_x(&self, x: &[f64], t: f64, p: &mut [f64]) {
        let (_, kc) = self.coordinates(x, t);
        let gradient = &self.shift + &self.vectors * kc;
        p.copy_from_slice(gradient.as_slice());
    }

    /// `u_t(x, t)`, the time derivative at one point `x: [d]`.
    pub fn u_t(&self, x: &[f64], t: f64) -> f64 {
        let (_, kc) = self.coordinates(x, t);
        let along = self.vectors.tr_mul(&self.shift);
        -0.5 * self.shift.norm_squared() - along.dot(&kc) - 0.5 * kc.norm_squared()
    }

    /// The Hessian `B K` of `u(., t)`, `[d, d]`: the same at every point.
    pub fn hessian(&self, t: f64) -> Vec<f64> {
        let scaled = DMatrix::from_fn(self.dim(), self.dim(), |i, k| {
            self.vectors[(i, k)] * self.bend[k] / (1.0 + t * self.bend[k])
        });
        (scaled * self.vectors.transpose()).as_slice().to_vec()
    }
}

/// `to + sign * matrix (x - from)` for the rows of `x: [n, d]`, a block of rows a matrix product.
fn affine(
    x: &[f64],
    from: &[f64],
    matrix: &DMatrix<f64>,
    sign: f64,
    to: &[f64],
) -> Result<Vec<f64>> {
    let d = from.len();
    check_points(x, d)?;
    let mut out = Vec::with_capacity(x.len());
    for block in x.chunks(d * 256) {
        let around = DMatrix::from_fn(d, block.len() / d, |j, i| block[i * d + j] - from[j]);
        let moved = matrix * around;
        for column in moved.column_iter() {
            out.extend(column.iter().zip(to).map(|(v, to)| to + sign * v));
        }
    }
    Ok(out)
}

/// The orthogonal factor `Q` of the polar decomposition `G = Q P`, `P` symmetric positive definite, of an invertible `G`.
///
/// With the singular values `G = U diag(s) V'` it is `U V'`. They are computed by one-sided Jacobi rotations: columns of `G` are turned against
/// each other until all are orthogonal, which keeps the digits of small singular values when rows and columns have very different sizes.
fn orthogonal_polar_factor(g: &DMatrix<f64>) -> DMatrix<f64> {
    let d = g.ncols();
    if d > LARGEST_FOR_JACOBI {
        // Twice as fast and more; good enough unless the columns are very uneven, which the check below sees.
        let eigen = SymmetricEigen::new(g.tr_mul(g));
        let inverse = eigen
            .eigenvalues
            .map(|s2| 1.0 / s2.max(f64::MIN_POSITIVE).sqrt());
        let scaled = g * &eigen.eigenvectors * DMatrix::from_diagonal(&inverse);
        let q = scaled * eigen.eigenvectors.transpose();
        let off = (q.tr_mul(&q) - DMatrix::identity(d, d)).amax();
        if off <= 1e-8 {
            return q;
        }
    }
    let mut w = g.clone();
    let mut v = DMatrix::<f64>::identity(d, d);
    // Six to ten sweeps are usual; the bound only keeps an impossible case from running forever.
    for _ in 0..60 {
        let mut turned = false;
        for i in 0..d {
            for j in i + 1..d {
                let (a, b, c) = (
                    w.column(i).norm_squared(),
                    w.column(j).norm_squared(),
                    w.column(i).dot(&w.column(j)),
                );
                if c.abs() <= 1e-15 * a.sqrt() * b.sqrt() {
                    continue;
                }
                turned = true;
                let zeta = (b - a) / (2.0 * c);
                let t = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let cos = 1.0 / t.hypot(1.0);
                let sin = cos * t;
                for m in [&mut w, &mut v] {
                    let (mut left, mut right) = m.columns_range_pair_mut(i, j);
                    for k in 0..d {
                        let (x, y) = (left[k], right[k]);
                        left[k] = cos * x - sin * y;
                        right[k] = sin * x + cos * y;
                    }
                }
            }
        }
        if !turned {
            break;
        }
    }
    for mut column in w.column_iter_mut() {
        let s = column.norm();
        column /= s;
    }
    w * v.transpose()
}

/// Up to this dimension the accurate way takes less than a second.
const LARGEST_FOR_JACOBI: usize = 256;

/// `X` with `X L = M` for a lower triangular `L`.
fn right_divide(m: &DMatrix<f64>, l: &DMatrix<f64>) -> Option<DMatrix<f64>> {
    Some(l.tr_solve_lower_triangular(&m.transpose())?.transpose())
}

/// The symmetric matrix of the more accurate of `m_ij` and `m_ji`, for `m = L1 Q L0^-1`.
///
/// Rounding in `Q` enters `m_ij` times the deviation of column `i` of the target over that of column `j` of the source. The smaller of the two
/// products loses nothing of the push-forward; averaging them would, when one column is a million times the other.
fn better_triangle(m: &DMatrix<f64>, s0: &DMatrix<f64>, s1: &DMatrix<f64>) -> DMatrix<f64> {
    let error =
        |i: usize, j: usize| (s1[(i, i)] / s1[(j, j)]).sqrt() * (s0[(i, i)] / s0[(j, j)]).sqrt();
    DMatrix::from_fn(m.nrows(), m.ncols(), |i, j| match error(i, j) {
        // Alike: the average is as good as either, and evens out their rounding.
        e if (0.1..=10.0).contains(&e) => 0.5 * (m[(i, j)] + m[(j, i)]),
        e if e < 1.0 => m[(i, j)],
        _ => m[(j, i)],
    })
}

fn symmetric(m: &DMatrix<f64>) -> DMatrix<f64> {
    (m + m.transpose()) * 0.5
}

fn positive_or_one(v: f64) -> f64 {
    if v > 0.0 { v } else { 1.0 }
}

fn not_definite(name: &str, s: &DMatrix<f64>) -> Error {
    Error::problem(format!(
        "{name} is not positive definite (least eigenvalue {:.3e}, largest {:.3e}); for samples use their moments, which are repaired",
        s.symmetric_eigenvalues().min(),
        s.symmetric_eigenvalues().max()
    ))
}

/// The Cholesky factor, computed with unit diagonal so that uneven columns do not matter; refuses what is singular to rounding.
fn cholesky(name: &str, s: &DMatrix<f64>) -> Result<DMatrix<f64>> {
    let d = s.nrows();
    let deviation: Vec<f64> = (0..d).map(|j| s[(j, j)].sqrt()).collect();
    if !deviation.iter().all(|v| v.is_normal()) {
        return Err(not_definite(name, s));
    }
    let correlation = DMatrix::from_fn(d, d, |i, j| s[(i, j)] / deviation[i] / deviation[j]);
    let mut l = Cholesky::new(correlation)
        .ok_or_else(|| not_definite(name, s))?
        .unpack();
    if l.diagonal().min() < 1e-7 {
        return Err(not_definite(name, s));
    }
    for i in 0..d {
        for j in 0..=i {
            l[(i, j)] *= deviation[i];
        }
    }
    Ok(l)
}

fn checked_covariance(name: &str, s: &[f64], d: usize) -> Result<DMatrix<f64>> {
    if s.len() != d * d {
        return Err(Error::problem(format!(
            "{name} has {} values; expected {d} x {d} = {}",
            s.len(),
            d * d
        )));
    }
    if let Some(at) = s.iter().position(|v| !v.is_finite()) {
        return Err(Error::problem(format!(
            "row {}, column {} of {name} is {}; expected a finite value",
            at / d + 1,
            at % d + 1,
            s[at]
        )));
    }
    let m = DMatrix::from_row_slice(d, d, s);
    for i in 0..d {
        for j in 0..i {
            let size = (m[(i, i)] * m[(j, j)]).abs().sqrt();
            if (m[(i, j)] - m[(j, i)]).abs() > 1e-6 * size {
                return Err(Error::problem(format!(
                    "{name} is not symmetric: row {}, column {} is {}, row {}, column {} is {}",
                    i + 1,
                    j + 1,
                    m[(i, j)],
                    j + 1,
                    i + 1,
                    m[(j, i)]
                )));
            }
        }
    }
    let m = symmetric(&m);
    cholesky(name, &m)?;
    Ok(m)
}

/// Oracle-approximating shrinkage (Chen, Wiesel, Eldar, Hero 2010) of a covariance from `points` points, when they are fewer than `2 d`.
fn shrink(s: DMatrix<f64>, points: f64, name: &str, notes: &mut Vec<String>) -> DMatrix<f64> {
    let d = s.nrows() as f64;
    let trace = s.trace();
    let squares = s.norm_squared();
    let spread = squares - trace * trace / d;
    if points >= 2.0 * d || spread <= 1e-14 * squares {
        return s;
    }
    let rho = ((1.0 - 2.0 / d) * squares + trace * trace) / ((points + 1.0 - 2.0 / d) * spread);
    let rho = rho.clamp(0.0, 1.0);
    notes.push(format!(
        "linear map: {points:.0} distinct points of the {name} do not determine a covariance in {d} dimensions; it was shrunk by {:.0} % towards a \
         multiple of the identity",
        100.0 * rho
    ));
    let mut shrunk = s * (1.0 - rho);
    for j in 0..shrunk.nrows() {
        shrunk[(j, j)] += rho * trace / d;
    }
    shrunk
}

/// Gives the flat directions of a cloud a ten-thousandth of its average variance `size`.
fn fill_flat_directions(
    s: &mut DMatrix<f64>,
    moments: &Moments,
    size: f64,
    name: &str,
    notes: &mut Vec<String>,
) {
    let d = s.nrows();
    // Shrinkage has filled them already, unless there was nothing to shrink towards.
    let flat = if cholesky(name, s).is_ok() && moments.distinct() <= d {
        0
    } else {
        d - moments.rank()
    };
    if flat == 0 {
        return;
    }
    let eigen = SymmetricEigen::new(s.clone());
    let mut order: Vec<usize> = (0..d).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[a].total_cmp(&eigen.eigenvalues[b]));
    for &k in &order[..flat] {
        let e = eigen.eigenvectors.column(k);
        // What rounding left there goes, the floor comes.
        let fill = FLOOR * size - eigen.eigenvalues[k];
        s.ger(fill, &e, &e, 1.0);
    }
    *s = symmetric(s);
    notes.push(format!(
        "linear map: the {name} is flat in {flat} of {d} directions; they were given a ten-thousandth of its average variance"
    ));
}

/// The variance of a flat direction, as a share of the average.
const FLOOR: f64 = 1e-4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Samples;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random(d: usize, seed: u64) -> DMatrix<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        DMatrix::from_fn(d, d, |_, _| rng.random_range(-1.0..1.0))
    }

    /// A covariance with eigenvalues between 0.2 and about `d`.
    fn covariance(d: usize, seed: u64) -> DMatrix<f64> {
        let r = random(d, seed);
        &r * r.transpose() + DMatrix::identity(d, d) * 0.2
    }

    fn mean(d: usize, seed: u64) -> Vec<f64> {
        random(d, seed).column(0).iter().map(|v| 3.0 * v).collect()
    }

    fn example(d: usize, seed: u64) -> (GaussianMap, DMatrix<f64>, DMatrix<f64>) {
        let (s0, s1) = (covariance(d, seed), covariance(d, seed + 1));
        let (m0, m1) = (mean(d, seed + 2), mean(d, seed + 3));
        let map = GaussianMap::new(&m0, s0.as_slice(), &m1, s1.as_slice()).unwrap();
        (map, s0, s1)
    }

    fn points(n: usize, d: usize, seed: u64) -> Vec<Vec<f64>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n)
            .map(|_| (0..d).map(|_| rng.random_range(-4.0..4.0)).collect())
            .collect()
    }

    fn grad(u: &GaussianPotential, x: &[f64], t: f64) -> Vec<f64> {
        let mut p = vec![f64::NAN; x.len()];
        u.grad_x(x, t, &mut p);
        p
    }

    fn along(x: &[f64], t: f64, v: &[f64]) -> Vec<f64> {
        x.iter().zip(v).map(|(x, v)| x + t * v).collect()
    }

    fn half_square(v: &[f64]) -> f64 {
        0.5 * v.iter().map(|v| v * v).sum::<f64>()
    }

    fn square_root(s: &DMatrix<f64>) -> DMatrix<f64> {
        let eigen = SymmetricEigen::new(s.clone());
        &eigen.eigenvectors
            * DMatrix::from_diagonal(&eigen.eigenvalues.map(f64::sqrt))
            * eigen.eigenvectors.transpose()
    }

    #[test]
    fn the_matrix_is_the_papers() {
        for d in [1, 2, 5, 16] {
            let (map, s0, s1) = example(d, 10);
            let root = square_root(&s0);
            let inverse = root.clone().try_inverse().unwrap();
            let paper = &inverse * square_root(&(&root * &s1 * &root)) * &inverse;
            assert!((&map.a - &paper).amax() < 1e-11 * paper.amax());
            // Symmetric, positive, and it carries one covariance onto the other.
            assert!((&map.a * &s0 * map.a.transpose() - &s1).amax() < 1e-12 * s1.amax());
            assert!(map.a.symmetric_eigenvalues().min() > 0.0);
            assert!((&map.a * &map.a_inverse - DMatrix::identity(d, d)).amax() < 1e-11);
        }
    }

    #[test]
    fn the_large_path_agrees_with_jacobi() {
        let d = LARGEST_FOR_JACOBI + 3;
        let (a, b) = (random(d, 20), covariance(d, 21));
        let g = a * 0.1 + b;
        let q = orthogonal_polar_factor(&g);
        assert!((q.tr_mul(&q) - DMatrix::identity(d, d)).amax() < 1e-10);
        // The other factor is symmetric and positive.
        let p = q.tr_mul(&g);
        assert!((&p - p.transpose()).amax() < 1e-9 * p.amax());
        assert!(p.symmetric_eigenvalues().min() > 0.0);
    }

    #[test]
    fn maps_carry_the_means_and_invert_each_other() {
        let (map, ..) = example(4, 30);
        let mirror = MirroredGaussianMap::new(&map);
        let y = map.forward(map.source_mean()).unwrap();
        for (y, m) in y.iter().zip(map.target_mean()) {
            assert!((y - m).abs() < 1e-14);
        }
        let x: Vec<f64> = points(600, 4, 31).concat();
        let back = map.backward(&map.forward(&x).unwrap()).unwrap();
        let mirrored = mirror.backward(&mirror.forward(&x).unwrap()).unwrap();
        for i in 0..x.len() {
            assert!((x[i] - back[i]).abs() < 1e-11);
            assert!((x[i] - mirrored[i]).abs() < 1e-11);
        }
        // One row at a time gives what many give.
        let whole = map.forward(&x).unwrap();
        let single = map.forward(&x[400..404]).unwrap();
        for j in 0..4 {
            assert!((whole[400 + j] - single[j]).abs() < 1e-13);
        }
    }

    #[test]
    fn the_potential_is_the_papers_up_to_a_constant() {
        let (map, ..) = example(3, 40);
        let u = map.potential();
        let b = &map.a - DMatrix::identity(3, 3);
        let m0 = DVector::from_column_slice(&map.m0);
        let m1 = DVector::from_column_slice(&map.m1);
        let b0 = &m1 - &map.a * &m0;
        let paper = |x: &[f64], t: f64| {
            let x = DVector::from_column_slice(x);
            let k = (DMatrix::identity(3, 3) + &b * t).try_inverse().unwrap();
            0.5 * (x.transpose() * &b * &k * &x)[0] + (b0.transpose() * &k * &x)[0]
                - 0.5 * t * (b0.transpose() * &k * &b0)[0]
        };
        let constant = u.value(&[0.0; 3], 0.0) - paper(&[0.0; 3], 0.0);
        for (i, x) in points(40, 3, 41).iter().enumerate() {
            let t = i as f64 / 39.0;
            let expected = paper(x, t) + constant;
            assert!((u.value(x, t) - expected).abs() < 1e-11 * (1.0 + expected.abs()));
        }
        assert_eq!(u.value(&map.m0, 0.0), 0.0);
    }

    #[test]
    fn the_potential_satisfies_every_equation_of_the_paper() {
        for d in [1, 2, 8] {
            let (map, ..) = example(d, 50);
            let u = map.potential();
            for (i, x) in points(30, d, 51).iter().enumerate() {
                let t = i as f64 / 29.0;
                let p = grad(&u, x, t);
                let size = 1.0 + half_square(&p) + u.value(x, t).abs();
                // [5]
                assert!((u.u_t(x, t) + half_square(&p)).abs() < 1e-12 * size);
                // [9]: V(p) = p, l(V(p)) = |p|^2 / 2.
                let foot = along(x, -t, &p);
                let residual = u.value(x, t) - u.value(&foot, 0.0) - t * half_square(&p);
                assert!(residual.abs() < 1e-12 * size, "{residual}");
                // Its terminal twin.
                let end = along(x, 1.0 - t, &p);
                let twin = u.value(x, t) - u.value(&end, 1.0) + (1.0 - t) * half_square(&p);
                assert!(twin.abs() < 1e-12 * size, "{twin}");
                // [6]: p is constant on the characteristic.
                for (a, b) in grad(&u, &foot, 0.0).iter().zip(&p) {
                    assert!((a - b).abs() < 1e-11 * size);
                }
                // [7, 8]
                let y = map.forward(x).unwrap();
                for (a, b) in along(x, 1.0, &grad(&u, x, 0.0)).iter().zip(&y) {
                    assert!((a - b).abs() < 1e-12 * size);
                }
                let back = map.backward(x).unwrap();
                for (a, b) in along(x, -1.0, &grad(&u, x, 1.0)).iter().zip(&back) {
                    assert!((a - b).abs() < 1e-11 * size);
                }
            }
        }
    }

    #[test]
    fn derivatives_of_the_potential_meet_central_differences() {
        let (map, ..) = example(3, 60);
        let u = map.potential();
        let h = 1e-5;
        for (i, x) in points(20, 3, 61).iter().enumerate() {
            let t = 0.1 + 0.8 * i as f64 / 19.0;
            let p = grad(&u, x, t);
            let hessian = u.hessian(t);
            for j in 0..3 {
                let mut v = vec![0.0; 3];
                v[j] = 1.0;
                let (plus, minus) = (along(x, h, &v), along(x, -h, &v));
                let slope = (u.value(&plus, t) - u.value(&minus, t)) / (2.0 * h);
                assert!((slope - p[j]).abs() < 1e-8 * (1.0 + p[j].abs()));
                let (plus, minus) = (grad(&u, &plus, t), grad(&u, &minus, t));
                for k in 0..3 {
                    let slope = (plus[k] - minus[k]) / (2.0 * h);
                    assert!((slope - hessian[3 * k + j]).abs() < 1e-8);
                }
            }
            let slope = (u.value(x, t + h) - u.value(x, t - h)) / (2.0 * h);
            let exact = u.u_t(x, t);
            assert!(
                (slope - exact).abs() < 1e-7 * (1.0 + exact.abs()),
                "{slope} against {exact}"
            );
        }
        // The parts are those of B.
        let (b, e, d) = (u.eigenvalues(), u.eigenvectors(), 3);
        for i in 0..d {
            for j in 0..d {
                let sum: f64 = (0..d).map(|k| b[k] * e[k * d + i] * e[k * d + j]).sum();
                let expected = map.a[(i, j)] - f64::from(u8::from(i == j));
                assert!((sum - expected).abs() < 1e-12);
                assert!((u.hessian(0.0)[i * d + j] - expected).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn the_dual_value_is_the_transport_cost() {
        // E_nu u(., 1) - E_mu u(., 0) = |D|^2 / 2 + tr(S0 + S1 - 2 S0 A) / 2, with the expectations of quadratics taken in closed form.
        let (map, s0, s1) = example(5, 70);
        let u = map.potential();
        let hessian = |t| DMatrix::from_row_slice(5, 5, &u.hessian(t));
        let dual = u.value(&map.m1, 1.0) + 0.5 * (hessian(1.0) * &s1).trace()
            - u.value(&map.m0, 0.0)
            - 0.5 * (hessian(0.0) * &s0).trace();
        let cost = half_square(u.shift()) + 0.5 * (&s0 + &s1 - &s0 * &map.a * 2.0).trace();
        assert!((dual - cost).abs() < 1e-12 * cost, "{dual} against {cost}");
        // And the map pays it: E |T(x) - x|^2 / 2 = |D|^2 / 2 + tr(B S0 B) / 2.
        let b = &map.a - DMatrix::identity(5, 5);
        let paid = half_square(u.shift()) + 0.5 * (&b * &s0 * &b).trace();
        assert!((paid - cost).abs() < 1e-12 * cost);
    }

    #[test]
    fn the_mirrored_map_has_the_same_moments_and_pays_more() {
        let (map, s0, s1) = example(3, 80);
        let mirror = MirroredGaussianMap::new(&map);
        // Columns of L0 around the mean carry the covariance: sum of (x - m0)(x - m0)' = S0.
        let l0 = Cholesky::new(s0.clone()).unwrap().unpack();
        let mut sum = DMatrix::zeros(3, 3);
        let mut paid = [0.0; 2];
        for k in 0..3 {
            let x: Vec<f64> = (0..3).map(|j| map.m0[j] + l0[(j, k)]).collect();
            let (y, z) = (mirror.forward(&x).unwrap(), map.forward(&x).unwrap());
            let around = DVector::from_fn(3, |j, _| y[j] - map.m1[j]);
            sum += &around * around.transpose();
            for (paid, y) in paid.iter_mut().zip([&y, &z]) {
                let centred: Vec<f64> = (0..3)
                    .map(|j| (y[j] - map.m1[j]) - (x[j] - map.m0[j]))
                    .collect();
                *paid += half_square(&centred);
            }
        }
        assert!((sum - &s1).amax() < 1e-12 * s1.amax());
        assert!(paid[0] > 1.5 * paid[1]);
        assert_eq!(mirror.dim(), 3);
    }

    #[test]
    fn means_far_from_zero_cost_no_digits() {
        let (s0, s1) = (covariance(2, 90), covariance(2, 91));
        let m0 = [1e8, -3e8];
        let m1 = [1e8 + 2.0, -3e8 + 1.0];
        let u = GaussianMap::new(&m0, s0.as_slice(), &m1, s1.as_slice())
            .unwrap()
            .potential();
        for offset in points(10, 2, 92) {
            let x = [m0[0] + offset[0], m0[1] + offset[1]];
            let p = grad(&u, &x, 0.4);
            let foot = along(&x, -0.4, &p);
            let residual = u.value(&x, 0.4) - u.value(&foot, 0.0) - 0.4 * half_square(&p);
            assert!(residual.abs() < 1e-6, "{residual}");
        }
    }

    #[test]
    fn uneven_columns_and_extreme_scales_keep_the_push_forward() {
        for scales in [
            [1e-6, 1e-6, 1e-6],
            [1e6, 1e6, 1e6],
            [1e-60, 1e-60, 1e-60],
            [1e-6, 1.0, 1e6],
            [1e4, 1e-4, 1.0],
        ] {
            let scaled =
                |s: &DMatrix<f64>| DMatrix::from_fn(3, 3, |i, j| scales[i] * scales[j] * s[(i, j)]);
            let (s0, s1) = (scaled(&covariance(3, 100)), scaled(&covariance(3, 101)));
            let zero = [0.0; 3];
            let map = GaussianMap::new(&zero, s0.as_slice(), &zero, s1.as_slice()).unwrap();
            let pushed = &map.a * &s0 * &map.a;
            let pulled = &map.a_inverse * &s1 * &map.a_inverse;
            for i in 0..3 {
                for j in 0..3 {
                    let size = scales[i] * scales[j];
                    assert!(
                        (pushed[(i, j)] - s1[(i, j)]).abs() < 1e-9 * size,
                        "{scales:?}: {} against {}",
                        pushed[(i, j)] / size,
                        s1[(i, j)] / size
                    );
                    assert!((pulled[(i, j)] - s0[(i, j)]).abs() < 1e-9 * size);
                }
            }
            assert!(map.potential().eigenvalues().iter().all(|b| *b > -1.0));
        }
    }

    #[test]
    fn parts_and_units_round_trip() {
        let (map, ..) = example(3, 110);
        let again = GaussianMap::from_parts(map.m0.clone(), map.m1.clone(), &map.matrix()).unwrap();
        let x = [0.3, -2.0, 5.0];
        assert_eq!(again.forward(&x).unwrap(), map.forward(&x).unwrap());
        for (a, b) in again
            .backward(&x)
            .unwrap()
            .iter()
            .zip(map.backward(&x).unwrap())
        {
            assert!((a - b).abs() < 1e-12);
        }
        let scaling = Scaling {
            shift: vec![1.0, 2.0, -3.0],
            scale: 0.01,
        };
        let solver = map.in_solver_units(&scaling);
        let go = |x: &[f64]| -> Vec<f64> {
            x.iter()
                .zip(&scaling.shift)
                .map(|(x, s)| (x - s) / scaling.scale)
                .collect()
        };
        let (a, b) = (
            solver.forward(&go(&x)).unwrap(),
            go(&map.forward(&x).unwrap()),
        );
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() < 1e-10 * (1.0 + b.abs()));
        }
    }

    fn moments(x: &[f64], d: usize) -> Moments {
        Samples::from_f64(x, d).unwrap().moments()
    }

    #[test]
    fn moments_of_many_points_are_used_as_they_are() {
        let (x, y) = (points(300, 4, 120).concat(), points(200, 4, 121).concat());
        let (s, t) = (moments(&x, 4), moments(&y, 4));
        let map = GaussianMap::from_moments(&s, &t).unwrap();
        assert!(map.notes().is_empty());
        let pushed = moments(&map.forward(&x).unwrap(), 4);
        for (a, b) in pushed.cov.iter().zip(&t.cov) {
            assert!((a - b).abs() < 1e-5);
        }
        let exact = GaussianMap::new(&s.mean, &s.cov, &t.mean, &t.cov).unwrap();
        assert!((&exact.a - &map.a).amax() < 1e-12);
    }

    #[test]
    fn fewer_points_than_dimensions_are_shrunk_and_it_is_said() {
        for scale in [1e-6, 1.0, 1e6] {
            let few: Vec<f64> = points(20, 50, 130)
                .concat()
                .iter()
                .map(|v| scale * v)
                .collect();
            let many: Vec<f64> = points(500, 50, 131)
                .concat()
                .iter()
                .map(|v| scale * v)
                .collect();
            let map = GaussianMap::from_moments(&moments(&few, 50), &moments(&many, 50)).unwrap();
            assert_eq!(map.notes().len(), 1);
            assert!(
                map.notes()[0].contains("20 distinct points of the source"),
                "{:?}",
                map.notes()
            );
            // Both sides are the same uniform law, so a sensible A is near the identity, on points never seen too.
            let eigenvalues = map.a.symmetric_eigenvalues();
            assert!(
                eigenvalues.min() > 0.5 && eigenvalues.max() < 2.0,
                "{eigenvalues}"
            );
        }
    }

    #[test]
    fn flat_clouds_get_a_finite_map_that_is_right_where_the_points_are() {
        // Source on a plane z = 2, target in full space; then the other way round.
        let flat: Vec<f64> = points(200, 2, 140)
            .iter()
            .flat_map(|x| [x[0], x[1], 2.0])
            .collect();
        let full: Vec<f64> = points(200, 3, 141).concat();
        let (s, t) = (moments(&flat, 3), moments(&full, 3));
        let map = GaussianMap::from_moments(&s, &t).unwrap();
        assert!(
            map.notes()[0].contains("source is flat in 1 of 3"),
            "{:?}",
            map.notes()
        );
        let eigenvalues = map.a.symmetric_eigenvalues();
        assert!(
            eigenvalues.min() > 0.0 && eigenvalues.max() < 200.0,
            "{eigenvalues}"
        );
        let back = moments(&map.backward(&full).unwrap(), 3);
        assert!(back.cov[8] < 1e-3 * s.variance());
        for (i, j) in [(0, 0), (0, 1), (1, 1)] {
            assert!((back.cov[3 * i + j] - s.cov[3 * i + j]).abs() < 1e-2 * s.variance());
        }
        // The same flat on both sides: the map stays in it.
        let other: Vec<f64> = points(200, 2, 142)
            .iter()
            .flat_map(|x| [3.0 * x[0] + x[1], x[1] - 7.0, 2.0])
            .collect();
        let map = GaussianMap::from_moments(&s, &moments(&other, 3)).unwrap();
        let pushed = map.forward(&flat).unwrap();
        assert!(pushed.chunks(3).all(|y| (y[2] - 2.0).abs() < 1e-9));
        let pushed = moments(&pushed, 3);
        let other = moments(&other, 3);
        for (a, b) in pushed.cov.iter().zip(&other.cov) {
            assert!((a - b).abs() < 1e-4 * other.variance(), "{a} against {b}");
        }
    }

    #[test]
    fn dependent_columns_of_different_units_are_no_obstacle() {
        let line = |x: Vec<Vec<f64>>| -> Vec<f64> {
            x.iter()
                .flat_map(|x| [1e5 * x[0], 1e-5 * x[0], x[0] - x[1], x[1]])
                .collect()
        };
        let (x, y) = (line(points(100, 2, 150)), line(points(80, 2, 151)));
        let (s, t) = (moments(&x, 4), moments(&y, 4));
        let map = GaussianMap::from_moments(&s, &t).unwrap();
        assert_eq!(map.notes().len(), 2, "{:?}", map.notes());
        let pushed = moments(&map.forward(&x).unwrap(), 4);
        for i in 0..4 {
            for j in 0..4 {
                let size = (t.cov[5 * i] * t.cov[5 * j]).sqrt();
                let (a, b) = (pushed.cov[4 * i + j], t.cov[4 * i + j]);
                assert!((a - b).abs() < 1e-2 * size, "{i} {j}: {a} against {b}");
            }
        }
    }

    #[test]
    fn a_cloud_of_one_point_is_no_obstacle() {
        let point = moments(&[1.0, 2.0].repeat(5), 2);
        let cloud = moments(&points(100, 2, 160).concat(), 2);
        for (s, t) in [(&point, &cloud), (&cloud, &point), (&point, &point)] {
            let map = GaussianMap::from_moments(s, t).unwrap();
            assert!(!map.notes().is_empty());
            let y = map.forward(&s.mean).unwrap();
            assert!(y.iter().zip(&t.mean).all(|(y, m)| (y - m).abs() < 1e-12));
            let u = map.potential();
            let p = grad(&u, &[0.5, 0.5], 0.5);
            assert!(p.iter().all(|v| v.is_finite()));
            assert!(u.eigenvalues().iter().all(|b| *b > -1.0));
        }
    }

    #[test]
    fn bad_covariances_are_refused_by_name() {
        let says = |result: Result<GaussianMap>, words: &[&str]| {
            let message = result.unwrap_err().to_string();
            for word in words {
                assert!(message.contains(word), "{message:?} lacks {word:?}");
            }
        };
        let (m, one) = ([0.0, 0.0], [1.0, 0.0, 0.0, 1.0]);
        says(
            GaussianMap::new(&m, &one[..3], &m, &one),
            &["S0", "3 values", "2 x 2"],
        );
        says(GaussianMap::new(&m, &one, &[0.0], &one), &["m0", "m1"]);
        says(
            GaussianMap::new(&m, &one, &[0.0, f64::NAN], &one),
            &["coordinate 2", "m1"],
        );
        says(
            GaussianMap::new(&m, &one, &m, &[1.0, 0.3, 0.2, 1.0]),
            &["S1", "not symmetric", "row 2, column 1"],
        );
        for bad in [
            [1.0, 2.0, 2.0, 1.0],
            [1.0, 1.0, 1.0, 1.0],
            [0.0; 4],
            [-1.0, 0.0, 0.0, 1.0],
        ] {
            says(
                GaussianMap::new(&m, &bad, &m, &one),
                &["S0", "not positive definite", "least eigenvalue"],
            );
        }
        says(
            GaussianMap::new(&m, &[f64::INFINITY, 0.0, 0.0, 1.0], &m, &one),
            &["S0", "row 1, column 1"],
        );
        says(
            GaussianMap::from_parts(vec![0.0; 2], vec![0.0; 2], &[1.0, 2.0, 2.0, 1.0]),
            &["A is not positive definite"],
        );
    }
}

//! Sums of pairwise Euclidean distances and their gradients, tile by tile: no `n x m` matrix is ever held.
//!
//! For a row point `x` and weighted columns `(y_j, b_j)`:
//! `value = sum_j b_j |x - y_j|` and `gradient = sum_j b_j (x - y_j) / |x - y_j|`, a term with `x = y_j` counting as zero in both.
//!
//! Up to [`DIRECT`] dimensions the differences are formed directly. Above, a tile of 48 by 48 squared distances is
//! `|x|^2 + |y|^2 - 2 x.y`, one matrix product, and the gradient `x sum_j w_j - sum_j w_j y_j` with `w_j = b_j / |x - y_j|` is
//! another. Squared distances below [`coincident`] are rounding error of that formula and count as zero, so clouds should be centred.

use crate::product::{OuterTerm, gram};
use crate::simd::{Simd, by_isa};
use crate::{Aligned, BLOCK, Isa, Real, blocks, padded};

/// The largest dimension in which differences are formed directly.
pub const DIRECT: usize = 4;

/// Column blocks whose sums are held in the working precision before they go to `f64`.
const FLUSH: usize = 16;

/// A squared distance at or below this share of `|x|^2 + |y|^2` is taken to be zero.
#[must_use]
pub fn coincident<T: Real>() -> T {
    T::of(8.0) * T::EPSILON
}

/// A weighted cloud in the layouts the tiles need.
#[derive(Debug, Default)]
pub struct Cloud<T> {
    n: usize,
    dim: usize,
    /// `[blocks, dim, 48]`, zero beyond the last point.
    lanes: Aligned<T>,
    /// `[blocks * 48, padded(dim)]`, zero beyond; only above `DIRECT` dimensions.
    rows: Aligned<T>,
    /// `|y|^2`, `[blocks * 48]`; only above `DIRECT` dimensions.
    norms: Aligned<T>,
    /// `[blocks * 48]`, zero beyond the last point.
    weights: Aligned<T>,
}

impl<T: Real> Cloud<T> {
    /// A cloud of `n` points of dimension `dim`, `points: [n, dim]` row-major, with the given weights or `1 / n` each.
    ///
    /// # Panics
    /// If the lengths do not fit.
    #[must_use]
    pub fn new(points: &[T], dim: usize, weights: Option<&[T]>) -> Self {
        let mut cloud = Cloud::default();
        cloud.fill(points, dim, weights);
        cloud
    }

    /// As [`Cloud::new`], keeping the memory.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn fill(&mut self, points: &[T], dim: usize, weights: Option<&[T]>) {
        assert!(dim > 0 && points.len().is_multiple_of(dim));
        let n = points.len() / dim;
        assert!(weights.is_none_or(|w| w.len() == n));
        let whole = blocks(n) * BLOCK;
        self.n = n;
        self.dim = dim;
        self.lanes.reset(whole * dim);
        self.weights.reset(whole);
        for i in 0..n {
            let at = (i / BLOCK) * dim * BLOCK + i % BLOCK;
            for k in 0..dim {
                self.lanes[at + k * BLOCK] = points[i * dim + k];
            }
            self.weights[i] = weights.map_or_else(|| T::ONE / T::of(n as f64), |w| w[i]);
        }
        if dim > DIRECT {
            let width = padded(dim);
            self.rows.reset(whole * width);
            self.norms.reset(whole);
            for i in 0..n {
                let point = &points[i * dim..(i + 1) * dim];
                self.rows[i * width..i * width + dim].copy_from_slice(point);
                self.norms[i] = T::of(point.iter().map(|x| x.f64() * x.f64()).sum());
            }
        }
    }

    /// Points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Dimension.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The weights, `[n]`.
    #[must_use]
    pub fn weights(&self) -> &[T] {
        &self.weights[..self.n]
    }
}

/// Memory of one worker for [`rows`].
#[derive(Debug, Default)]
pub struct Scratch<T> {
    tile: Aligned<T>,
    moved: Aligned<T>,
}

/// For the 48 points of block `block` of `x` against all of `y`.
///
/// `value: [48]` gets `sum_j b_j |x_i - y_j|`, in `f64`; `gradient`, if asked for, `[48, dim]` row-major, gets
/// `sum_j b_j (x_i - y_j) / |x_i - y_j|`. Rows beyond the last point of `x` hold numbers without meaning.
///
/// If `x` and `y` are the same cloud the diagonal drops out by itself: a point is at distance zero from itself.
///
/// # Panics
/// If the dimensions differ or a slice is too short.
pub fn rows<T: Real>(
    isa: Isa,
    x: &Cloud<T>,
    block: usize,
    y: &Cloud<T>,
    value: &mut [f64],
    gradient: Option<&mut [T]>,
    scratch: &mut Scratch<T>,
) {
    assert!(x.dim == y.dim && block < blocks(x.n) && value.len() >= BLOCK);
    assert!(gradient.as_ref().is_none_or(|g| g.len() >= BLOCK * x.dim));
    if x.dim <= DIRECT {
        direct(isa, x, block, y, value, gradient);
    } else {
        by_products(isa, x, block, y, value, gradient, scratch);
    }
}

fn direct<T: Real>(
    isa: Isa,
    x: &Cloud<T>,
    block: usize,
    y: &Cloud<T>,
    value: &mut [f64],
    gradient: Option<&mut [T]>,
) {
    let d = x.dim;
    let mut sums = [T::ZERO; BLOCK];
    let mut slopes = [T::ZERO; BLOCK * DIRECT];
    let mut total = [0.0; BLOCK];
    let mut total_slopes = [0.0; BLOCK * DIRECT];
    let columns = blocks(y.n);
    let rows = (x.n - block * BLOCK).min(BLOCK);
    let points = &x.lanes[block * d * BLOCK..(block + 1) * d * BLOCK];
    for first in (0..columns).step_by(FLUSH) {
        let count = FLUSH.min(columns - first);
        let lanes = &y.lanes[first * d * BLOCK..(first + count) * d * BLOCK];
        let weights = &y.weights[first * BLOCK..(first + count) * BLOCK];
        // SAFETY: `points` is [d, 48], `lanes` [count, d, 48], `weights` [count, 48], and the results hold 48 rows.
        unsafe {
            let (p, l, w) = (points.as_ptr(), lanes.as_ptr(), weights.as_ptr());
            let (s, g) = (sums.as_mut_ptr(), slopes.as_mut_ptr());
            match d {
                1 => direct_1(isa, rows, p, count, l, w, s, g),
                2 => direct_2(isa, rows, p, count, l, w, s, g),
                3 => direct_3(isa, rows, p, count, l, w, s, g),
                _ => direct_4(isa, rows, p, count, l, w, s, g),
            }
        }
        for i in 0..rows {
            total[i] += sums[i].f64();
            for k in 0..d {
                total_slopes[i * d + k] += slopes[i * d + k].f64();
            }
        }
    }
    value[..BLOCK].copy_from_slice(&total);
    if let Some(gradient) = gradient {
        for i in 0..BLOCK * d {
            gradient[i] = T::of(total_slopes[i]);
        }
    }
}

/// # Safety
/// `points: [D, 48]`, `lanes: [count, D, 48]`, `weights: [count, 48]`, `sums: [rows]`, `slopes: [rows, D]`, `rows <= 48`.
#[inline(always)]
unsafe fn direct_body<V: Simd, const D: usize>(
    rows: usize,
    points: *const V::T,
    count: usize,
    lanes: *const V::T,
    weights: *const V::T,
    sums: *mut V::T,
    slopes: *mut V::T,
) {
    for i in 0..rows {
        // SAFETY: the caller's promise.
        unsafe {
            let mut centre = [V::zero(); D];
            for k in 0..D {
                centre[k] = V::splat(*points.add(k * BLOCK + i));
            }
            let tiny = V::splat(V::T::of(1e-30));
            let mut sum = V::zero();
            let mut slope = [V::zero(); D];
            for column in 0..count {
                let lanes = lanes.add(column * D * BLOCK);
                let weights = weights.add(column * BLOCK);
                for s in (0..BLOCK).step_by(V::N) {
                    let mut difference = [V::zero(); D];
                    let mut square = V::zero();
                    for k in 0..D {
                        difference[k] = centre[k].sub(V::load(lanes.add(k * BLOCK + s)));
                        square = difference[k].fma(difference[k], square);
                    }
                    // At distance zero: the root of `tiny` is finite, and the difference that multiplies it is zero.
                    let inverse = square.max(tiny).rsqrt();
                    let w = V::load(weights.add(s)).mul(inverse);
                    sum = square.fma(w, sum);
                    for k in 0..D {
                        slope[k] = difference[k].fma(w, slope[k]);
                    }
                }
            }
            *sums.add(i) = sum.sum();
            for k in 0..D {
                *slopes.add(i * D + k) = slope[k].sum();
            }
        }
    }
}
macro_rules! direct_in {
    ($name:ident, $body:ident, $d:literal) => {
        /// # Safety
        /// As for [`direct_body`].
        #[inline(always)]
        unsafe fn $body<V: Simd>(
            rows: usize,
            points: *const V::T,
            count: usize,
            lanes: *const V::T,
            weights: *const V::T,
            sums: *mut V::T,
            slopes: *mut V::T,
        ) {
            // SAFETY: the caller's promise.
            unsafe { direct_body::<V, $d>(rows, points, count, lanes, weights, sums, slopes) }
        }
        by_isa!(
            $name = $body(rows: usize, points: *const T, count: usize, lanes: *const T, weights: *const T, sums: *mut T, slopes: *mut T)
        );
    };
}
direct_in!(direct_1, direct_1_body, 1);
direct_in!(direct_2, direct_2_body, 2);
direct_in!(direct_3, direct_3_body, 3);
direct_in!(direct_4, direct_4_body, 4);

fn by_products<T: Real>(
    isa: Isa,
    x: &Cloud<T>,
    block: usize,
    y: &Cloud<T>,
    value: &mut [f64],
    gradient: Option<&mut [T]>,
    scratch: &mut Scratch<T>,
) {
    let d = x.dim;
    let width = padded(d);
    if scratch.tile.is_empty() {
        scratch.tile.reset(BLOCK * BLOCK);
    }
    scratch.moved.reset(BLOCK * width);
    let points = &x.lanes[block * d * BLOCK..(block + 1) * d * BLOCK];
    let norms = &x.norms[block * BLOCK..(block + 1) * BLOCK];
    let mut sums = [T::ZERO; BLOCK];
    let mut pulls = [T::ZERO; BLOCK];
    let mut total = [0.0; BLOCK];
    let want = gradient.is_some();
    let columns = blocks(y.n);
    for column in 0..columns {
        // The tile is [i, j] with the points of y as lanes: `weigh` sums along its rows, and as it stands it is the `x` of the outer product below.
        gram(
            isa,
            d,
            points,
            &y.lanes[column * d * BLOCK..(column + 1) * d * BLOCK],
            &mut scratch.tile,
        );
        // SAFETY: the tile is [48, 48], the others hold 48 numbers.
        unsafe {
            weigh(
                isa,
                norms.as_ptr(),
                y.norms[column * BLOCK..].as_ptr(),
                y.weights[column * BLOCK..(column + 1) * BLOCK].as_ptr(),
                scratch.tile.as_mut_ptr(),
                sums.as_mut_ptr(),
                pulls.as_mut_ptr(),
            );
        }
        if want {
            let rows = &y.rows[column * BLOCK * width..(column + 1) * BLOCK * width];
            crate::product::outer_add(
                isa,
                BLOCK,
                width,
                &[OuterTerm {
                    x: &scratch.tile,
                    z: rows,
                }],
                &mut scratch.moved,
            );
        }
        if column % FLUSH == FLUSH - 1 || column + 1 == columns {
            for i in 0..BLOCK {
                total[i] += sums[i].f64();
                sums[i] = T::ZERO;
            }
        }
    }
    value[..BLOCK].copy_from_slice(&total);
    if let Some(gradient) = gradient {
        for i in 0..BLOCK {
            for k in 0..d {
                gradient[i * d + k] =
                    points[k * BLOCK + i] * pulls[i] - scratch.moved[i * width + k];
            }
        }
    }
}

/// Turns a Gram tile into weights: `tile[i, j] <- w_ij = b_j / |x_i - y_j|`, adding `sum_j b_j |x_i - y_j|` and `sum_j w_ij`.
///
/// # Safety
/// `xn, yn, weights: [48]`, `tile: [48, 48]`, `sums, pulls: [48]`.
#[inline(always)]
unsafe fn weigh_body<V: Simd>(
    xn: *const V::T,
    yn: *const V::T,
    weights: *const V::T,
    tile: *mut V::T,
    sums: *mut V::T,
    pulls: *mut V::T,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let (zero, minus_two) = (V::zero(), V::splat(V::T::of(-2.0)));
        let share = V::splat(coincident::<V::T>());
        let tiny = V::splat(V::T::of(1e-30));
        for i in 0..BLOCK {
            let row = tile.add(i * BLOCK);
            let own = V::splat(*xn.add(i));
            let mut sum = V::zero();
            let mut pull = V::zero();
            for s in (0..BLOCK).step_by(V::N) {
                let both = own.add(V::load(yn.add(s)));
                let square = V::load(row.add(s)).fma(minus_two, both);
                let inverse = square.max(tiny).rsqrt();
                let w = V::load(weights.add(s)).mul(inverse);
                let w = square.select_gt(both.mul(share), w, zero);
                sum = square.fma(w, sum);
                pull = pull.add(w);
                w.store(row.add(s));
            }
            *sums.add(i) += sum.sum();
            *pulls.add(i) += pull.sum();
        }
    }
}
by_isa!(weigh = weigh_body(xn: *const T, yn: *const T, weights: *const T, tile: *mut T, sums: *mut T, pulls: *mut T));

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(n: usize, d: usize, seed: u64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        (0..n * d)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
            })
            .collect()
    }

    fn naive(x: &[f64], y: &[f64], b: &[f64], d: usize, i: usize) -> (f64, Vec<f64>) {
        let mut sum = 0.0;
        let mut slope = vec![0.0; d];
        for j in 0..y.len() / d {
            let r: f64 = (0..d)
                .map(|k| (x[i * d + k] - y[j * d + k]).powi(2))
                .sum::<f64>()
                .sqrt();
            if r > 0.0 {
                sum += b[j] * r;
                for k in 0..d {
                    slope[k] += b[j] * (x[i * d + k] - y[j * d + k]) / r;
                }
            }
        }
        (sum, slope)
    }

    fn check<T: Real>(n: usize, m: usize, d: usize, tolerance: f64) {
        let (x, mut y) = (cloud(n, d, 1), cloud(m, d, 2));
        y[..d].copy_from_slice(&x[..d]); // one coincident pair
        let b: Vec<f64> = (0..m).map(|j| 0.5 + (j % 7) as f64).collect();
        let as_t = |v: &[f64]| v.iter().map(|&a| T::of(a)).collect::<Vec<T>>();
        // The twin must see the rounded points.
        let back = |v: &[T]| v.iter().map(|a| a.f64()).collect::<Vec<f64>>();
        let (xt, yt, bt) = (as_t(&x), as_t(&y), as_t(&b));
        let (x, y) = (back(&xt), back(&yt));
        let (xc, yc) = (Cloud::new(&xt, d, None), Cloud::new(&yt, d, Some(&bt)));
        for isa in Isa::available() {
            let mut scratch = Scratch::default();
            for block in 0..blocks(n) {
                let mut value = [0.0; BLOCK];
                let mut gradient = vec![T::ZERO; BLOCK * d];
                rows(
                    isa,
                    &xc,
                    block,
                    &yc,
                    &mut value,
                    Some(&mut gradient),
                    &mut scratch,
                );
                for i in 0..BLOCK.min(n - block * BLOCK) {
                    let (sum, slope) = naive(&x, &y, &b, d, block * BLOCK + i);
                    assert!(
                        (value[i] - sum).abs() <= tolerance * sum.abs(),
                        "{isa:?} {n} {m} {d}: {} {sum}",
                        value[i]
                    );
                    let size = slope.iter().map(|a| a.abs()).fold(1.0, f64::max);
                    for k in 0..d {
                        assert!(
                            (gradient[i * d + k].f64() - slope[k]).abs() <= 50.0 * tolerance * size,
                            "{isa:?} {n} {m} {d}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn rows_are_their_naive_twin() {
        for d in [1, 2, 3, 4, 5, 17, 50] {
            for (n, m) in [(1, 1), (2, 3), (48, 48), (49, 100), (130, 1000)] {
                check::<f64>(n, m, d, 1e-12);
                check::<f32>(n, m, d, 3e-6);
            }
        }
    }

    #[test]
    fn a_cloud_against_itself_has_no_diagonal() {
        let d = 6;
        let x: Vec<f32> = cloud(60, d, 3).iter().map(|&a| a as f32).collect();
        let c = Cloud::new(&x, d, None);
        let wide: Vec<f64> = x.iter().map(|&a| f64::from(a)).collect();
        let mut value = [0.0; BLOCK];
        rows(
            Isa::current(),
            &c,
            0,
            &c,
            &mut value,
            None,
            &mut Scratch::default(),
        );
        let (sum, _) = naive(&wide, &wide, &[1.0 / 60.0; 60], d, 5);
        assert!((value[5] - sum).abs() < 1e-6);
    }
}

//! Linear coordinates in which a cost is a plainer one: `l(v) = l'(B v)` with an invertible `B: [d, d]`.
//!
//! A problem whose cost names such coordinates is solved on the points `B x`; its maps go there and come back, `x -> B^-1 T'(B x)`. So what the fit looks at, its
//! single precision, its energy distances and its searches, has the scales that the cost gives to the columns and not those of the columns' units.

use nalgebra::{DMatrix, SymmetricEigen};
use std::borrow::Cow;

/// An invertible matrix `B` with its inverse.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinates {
    d: usize,
    /// `B`, row-major.
    to: Vec<f64>,
    /// `B^-1`, row-major.
    back: Vec<f64>,
}

impl Coordinates {
    /// `B = C^(1/2) U` from the eigenvalues and eigenvectors of a symmetric positive definite `C` and the diagonal of `U`.
    pub(super) fn new(c: &SymmetricEigen<f64, nalgebra::Dyn>, unit: &[f64]) -> Self {
        let q = &c.eigenvectors;
        let d = unit.len();
        let root = |f: fn(f64) -> f64| -> DMatrix<f64> {
            let scaled = DMatrix::from_fn(d, d, |i, k| q[(i, k)] * f(c.eigenvalues[k]));
            scaled * q.transpose()
        };
        let rows = |entry: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            (0..d * d).map(|k| entry(k / d, k % d)).collect()
        };
        let (to, back) = (root(f64::sqrt), root(|x| 1.0 / x.sqrt()));
        Coordinates {
            d,
            to: rows(&|i, j| to[(i, j)] * unit[j]),
            back: rows(&|i, j| back[(i, j)] / unit[i]),
        }
    }

    /// The dimension `d`.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.d
    }

    /// `B x` for each row of `x: [n, d]`; without coordinates the points themselves, not copied.
    pub(crate) fn entered<'a>(coordinates: Option<&Self>, x: &'a [f64]) -> Cow<'a, [f64]> {
        let Some(coordinates) = coordinates else {
            return Cow::Borrowed(x);
        };
        let mut x = x.to_vec();
        coordinates.enter(&mut x);
        Cow::Owned(x)
    }

    /// `B x` for each row of `x: [n, d]`, in place.
    pub fn enter(&self, x: &mut [f64]) {
        multiply(&self.to, self.d, x);
    }

    /// `B^-1 x` for each row of `x: [n, d]`, in place.
    pub fn leave(&self, x: &mut [f64]) {
        multiply(&self.back, self.d, x);
    }

    /// `B' p` for each row of gradients `p: [n, d]` with respect to `B x`, in place: the gradients with respect to `x`.
    pub fn leave_gradients(&self, p: &mut [f64]) {
        let d = self.d;
        let mut image = vec![0.0; d];
        for row in p.chunks_exact_mut(d) {
            image.fill(0.0);
            for (to, p) in self.to.chunks_exact(d).zip(&*row) {
                for (image, b) in image.iter_mut().zip(to) {
                    *image += b * p;
                }
            }
            row.copy_from_slice(&image);
        }
    }
}

fn multiply(matrix: &[f64], d: usize, rows: &mut [f64]) {
    let mut image = vec![0.0; d];
    for row in rows.chunks_exact_mut(d) {
        for (image, m) in image.iter_mut().zip(matrix.chunks_exact(d)) {
            *image = m.iter().zip(&*row).map(|(m, x)| m * x).sum();
        }
        row.copy_from_slice(&image);
    }
}

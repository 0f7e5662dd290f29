//! `l(v) = v'Av / 2` with a symmetric positive definite `A: [d, d]`, so `H(q) = q'A^-1 q / 2`, `V(q) = A^-1 q`, `H'' = A^-1`.
//!
//! For features that do not mean the same: weights on the diagonal, or a metric that was learned. `A = S^-1` with a covariance `S` is Mahalanobis' own distance (1936).
//! In coordinates `B x` with `B'B = A` it is the quadratic cost, and that is where it is solved: see [`Coordinates`].
//!
//! Columns may be in units many powers of ten apart. So everything is asked of the matrix `C = D^(-1/2) A D^(-1/2)` with `D` the diagonal of `A`, whose own diagonal is one: `C` is
//! positive definite as `A` is, and `B = C^(1/2) D^(1/2)`.

use super::{Coordinates, Cost, Quadratic};
use crate::error::{Error, Result};
use nalgebra::{DMatrix, SymmetricEigen};

/// The cost `l(v) = v'Av / 2`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mahalanobis {
    d: usize,
    /// `A`, row-major.
    matrix: Vec<f64>,
    /// `A^-1`, row-major.
    inverse: Vec<f64>,
    coordinates: Coordinates,
}

/// Smallest eigenvalue of `C`, at least: below that the inverse has no digits that single precision could use.
const LEAST: f64 = 1e-10;

impl Mahalanobis {
    /// From the rows of `A`.
    ///
    /// # Errors
    /// [`Error::Config`] for the field `cost`: no rows, rows of another length than their number, a value that is not finite, not symmetric, not positive definite.
    pub fn new(rows: &[Vec<f64>]) -> Result<Self> {
        let bad = |message: String| Err(Error::config("cost", message));
        let d = rows.len();
        if d == 0 {
            return bad(
                "the matrix of the Mahalanobis cost has no rows; expected d rows of d numbers"
                    .into(),
            );
        }
        if let Some((i, row)) = rows.iter().enumerate().find(|(_, row)| row.len() != d) {
            return bad(format!(
                "the matrix of the Mahalanobis cost is not square: {d} row{}, and {} number{} in row {}; expected d rows of d numbers for points of d columns, \
                 one weight a column on the diagonal",
                if d == 1 { "" } else { "s" },
                row.len(),
                if row.len() == 1 { "" } else { "s" },
                i + 1
            ));
        }
        for (i, row) in rows.iter().enumerate() {
            for (j, &x) in row.iter().enumerate() {
                if !x.is_finite() {
                    return bad(format!(
                        "row {}, column {} of the Mahalanobis matrix is {x}; expected a finite number",
                        i + 1,
                        j + 1
                    ));
                }
                let other = rows[j][i];
                if (x - other).abs() > 1e-6 * x.abs().max(other.abs()) {
                    return bad(format!(
                        "the matrix of the Mahalanobis cost is not symmetric: row {}, column {} is {x}, row {}, column {} is {other}; only the symmetric part \
                         (A + A') / 2 counts, give that",
                        i + 1,
                        j + 1,
                        j + 1,
                        i + 1
                    ));
                }
            }
        }
        if let Some(i) = (0..d).find(|&i| rows[i][i] <= 0.0) {
            return bad(format!(
                "the matrix of the Mahalanobis cost is not positive definite: row {}, column {} is {}; expected weights above 0 on the diagonal",
                i + 1,
                i + 1,
                rows[i][i]
            ));
        }
        let a = DMatrix::from_fn(d, d, |i, j| 0.5 * (rows[i][j] + rows[j][i]));
        let unit: Vec<f64> = (0..d).map(|i| a[(i, i)].sqrt()).collect();
        let eigen =
            SymmetricEigen::new(DMatrix::from_fn(d, d, |i, j| a[(i, j)] / unit[i] / unit[j]));
        let low = eigen.eigenvalues.min();
        if low.is_nan() || low <= LEAST {
            return bad(format!(
                "the matrix of the Mahalanobis cost is not positive definite: with its diagonal scaled to 1 the least eigenvalue is {low:.3e}; expected more than {LEAST:.0e}. \
                 With every entry of the diagonal times {:.6} it would be",
                1.0 + 1e-6 - low.min(0.0)
            ));
        }
        let coordinates = Coordinates::new(&eigen, &unit);
        let q = &eigen.eigenvectors;
        let scaled = DMatrix::from_fn(d, d, |i, k| q[(i, k)] / eigen.eigenvalues[k]);
        let inner = scaled * q.transpose();
        let inverse = DMatrix::from_fn(d, d, |i, j| inner[(i, j)] / unit[i] / unit[j]);
        Ok(Mahalanobis {
            d,
            matrix: a.as_slice().to_vec(),
            inverse: inverse.as_slice().to_vec(),
            coordinates,
        })
    }

    /// From the rest of `mahalanobis:...`: the rows as `[[2,0.5],[0.5,1]]`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let rows: Vec<Vec<f64>> = serde_json::from_str(text).map_err(|_| {
            Error::config(
                "cost",
                format!(
                    "\"mahalanobis:{}\" holds no matrix; expected its rows, as in mahalanobis:[[2,0.5],[0.5,1]] (the command also reads them from a file: \
                     --cost mahalanobis:FILE)",
                    text.chars().take(60).collect::<String>()
                ),
            )
        })?;
        Self::new(&rows)
    }

    fn product(&self, matrix: &[f64], x: &[f64], out: &mut [f64]) {
        for (out, row) in out.iter_mut().zip(matrix.chunks_exact(self.d)) {
            *out = row.iter().zip(x).map(|(m, x)| m * x).sum();
        }
    }

    fn half_form(&self, matrix: &[f64], x: &[f64]) -> f64 {
        let rows = matrix.chunks_exact(self.d).zip(x);
        rows.map(|(row, xi)| xi * row.iter().zip(x).map(|(m, x)| m * x).sum::<f64>())
            .sum::<f64>()
            * 0.5
    }
}

impl Cost for Mahalanobis {
    /// With the whole matrix, so that a model says what it was fitted for; [`super::short`] leaves it out.
    fn name(&self) -> String {
        let rows: Vec<String> = self
            .matrix
            .chunks_exact(self.d)
            .map(|row| {
                let row: Vec<String> = row.iter().map(f64::to_string).collect();
                format!("[{}]", row.join(","))
            })
            .collect();
        format!("mahalanobis:[{}]", rows.join(","))
    }

    fn l(&self, v: &[f64]) -> f64 {
        self.half_form(&self.matrix, v)
    }

    fn hamiltonian(&self, q: &[f64]) -> f64 {
        self.half_form(&self.inverse, q)
    }

    fn velocity(&self, q: &[f64], out: &mut [f64]) {
        self.product(&self.inverse, q, out);
    }

    fn hessian_vec(&self, _q: &[f64], w: &[f64], out: &mut [f64]) {
        self.product(&self.inverse, w, out);
    }

    /// `l(s B^-1 w) = s^2 |w|^2 / 2`: the quadratic cost in its own coordinates.
    fn rescaled(&self, _scale: f64) -> Box<dyn Cost> {
        Box::new(Quadratic)
    }

    /// `f(s) = s^2`.
    fn cost_factor(&self, scale: f64) -> f64 {
        scale * scale
    }

    fn dim(&self) -> Option<usize> {
        Some(self.d)
    }

    /// `B = C^(1/2) D^(1/2)`.
    fn coordinates(&self) -> Option<&Coordinates> {
        Some(&self.coordinates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{check_cost, momenta};

    fn diagonal(d: usize) -> Vec<Vec<f64>> {
        (0..d)
            .map(|i| {
                (0..d)
                    .map(|j| if i == j { (i + 1) as f64 } else { 0.0 })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn identities_and_derivatives() {
        let tilted = vec![
            vec![2.0, 0.5, 0.1],
            vec![0.5, 1.0, -0.3],
            vec![0.1, -0.3, 0.7],
        ];
        for rows in [tilted, diagonal(3)] {
            check_cost(&Mahalanobis::new(&rows).unwrap(), &momenta(3));
        }
        check_cost(&Mahalanobis::new(&[vec![4.0]]).unwrap(), &momenta(1));
        // Weights on the diagonal, by hand.
        let cost = Mahalanobis::new(&diagonal(2)).unwrap();
        assert_eq!(cost.l(&[1.0, 2.0]), 4.5);
        assert!((cost.hamiltonian(&[1.0, 2.0]) - 1.5).abs() < 1e-15);
    }

    /// Columns in units ten million times apart.
    #[test]
    fn uneven_units() {
        let rows = vec![vec![1e10, 2e2], vec![2e2, 1e-4]];
        let cost = Mahalanobis::new(&rows).unwrap();
        let v = [3e-6, -7.0];
        let mut w = v;
        cost.coordinates().unwrap().enter(&mut w);
        assert!((Quadratic.l(&w) - cost.l(&v)).abs() <= 1e-12 * cost.l(&v));
        cost.coordinates().unwrap().leave(&mut w);
        assert!(
            w.iter()
                .zip(&v)
                .all(|(a, b)| (a - b).abs() <= 1e-12 * b.abs())
        );
        assert!(Mahalanobis::parse("[[1,0],[0,1e-14]]").is_ok());
    }

    #[test]
    fn matrices_that_will_not_do_are_told_apart() {
        for (text, parts) in [
            ("[]", &["no rows"][..]),
            ("[[1,2,3]]", &["not square", "1 row,", "3 numbers"]),
            ("[[1,0],[0]]", &["not square", "row 2"]),
            (
                "[[1,0.5],[0.2,1]]",
                &["not symmetric", "0.5", "0.2", "row 1, column 2"],
            ),
            (
                "[[1,2],[2,1]]",
                &["not positive definite", "-1.0", "diagonal times"],
            ),
            (
                "[[0,0],[0,0]]",
                &["not positive definite", "row 1, column 1"],
            ),
            ("[[4,0],[0,-1]]", &["row 2, column 2 is -1"]),
            // Small beside the largest entry, and yet not the same.
            ("[[1e6,0.5],[0,1e-3]]", &["not symmetric"]),
            ("metric.csv", &["metric.csv", "FILE"]),
            ("[[1,0],[0,1]", &["no matrix"]),
        ] {
            let message = Mahalanobis::parse(text).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{message}");
            }
        }
        let message = Mahalanobis::new(&[vec![1.0, f64::NAN], vec![0.0, 1.0]]).unwrap_err();
        assert!(message.to_string().contains("row 1, column 2"));
        // What is said to be enough is enough.
        assert!(Mahalanobis::parse("[[2.000001,2],[2,2.000001]]").is_ok());
    }
}

//! Maps of points: forward, from source to target, and backward.
//!
//! ```text
//! T: R^d -> R^d,   T#mu = nu          forward
//! S: R^d -> R^d,   S#nu = mu          backward
//! ```
//!
//! Every map implements what it has of the two traits, so that metrics, certificates and pictures are written once and
//! never ask who made the map. Here are the traits and the two baselines that know almost nothing of the data:
//! [`IdentityMap`] and [`ConstantMap`]. The linear baseline is [`crate::exact::GaussianMap`].

use crate::error::{Error, Result};

/// A map from source points to target points.
pub trait ForwardMap {
    /// The dimension `d` of the points.
    fn dim(&self) -> usize;

    /// `T(x)` for each row of `x: [n, d]` (row-major, the user's units); returns `[n, d]`.
    ///
    /// # Errors
    /// [`Error::Problem`] if the length of `x` is no multiple of `d` or a value is not finite.
    fn forward(&self, x: &[f64]) -> Result<Vec<f64>>;
}

/// A map from target points to source points.
pub trait BackwardMap {
    /// The dimension `d` of the points.
    fn dim(&self) -> usize;

    /// `S(y)` for each row of `y: [n, d]` (row-major, the user's units); returns `[n, d]`.
    ///
    /// # Errors
    /// [`Error::Problem`] if the length of `y` is no multiple of `d` or a value is not finite.
    fn backward(&self, y: &[f64]) -> Result<Vec<f64>>;
}

/// The number of points in `x: [n, d]`, after checking that it is whole and that all values are finite.
///
/// # Errors
/// [`Error::Problem`] that names the lengths, or the row and column (counted from 1) of the first bad value.
pub fn check_points(x: &[f64], dim: usize) -> Result<usize> {
    if dim == 0 || !x.len().is_multiple_of(dim) {
        return Err(Error::problem(format!(
            "{} values are not a whole number of points in {dim} dimensions; the map was made for {dim} columns",
            x.len()
        )));
    }
    if let Some(at) = x.iter().position(|v| !v.is_finite()) {
        return Err(Error::problem(format!(
            "row {}, column {} of the points is {}; a map needs finite values",
            at / dim + 1,
            at % dim + 1,
            x[at]
        )));
    }
    Ok(x.len() / dim)
}

/// The baseline that leaves every point where it is: `T(x) = x`, `S(y) = y`.
#[derive(Debug, Clone, PartialEq)]
pub struct IdentityMap {
    dim: usize,
}

impl IdentityMap {
    /// The identity of `R^dim`.
    pub fn new(dim: usize) -> Self {
        Self { dim }
    }

    /// The dimension `d`.
    pub fn dim(&self) -> usize {
        self.dim
    }
}

impl ForwardMap for IdentityMap {
    fn dim(&self) -> usize {
        self.dim
    }

    fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        check_points(x, self.dim)?;
        Ok(x.to_vec())
    }
}

impl BackwardMap for IdentityMap {
    fn dim(&self) -> usize {
        self.dim
    }

    fn backward(&self, y: &[f64]) -> Result<Vec<f64>> {
        check_points(y, self.dim)?;
        Ok(y.to_vec())
    }
}

/// The baseline that sends every point to the mean of the other side: `T(x) = m1`, `S(y) = m0`.
///
/// Its L2-UVP is 100 % by definition, so it is the zero of that scale.
#[derive(Debug, Clone, PartialEq)]
pub struct ConstantMap {
    source_mean: Vec<f64>,
    target_mean: Vec<f64>,
}

impl ConstantMap {
    /// From the mean of the source `m0: [d]` and of the target `m1: [d]`.
    ///
    /// # Errors
    /// [`Error::Problem`] if the lengths differ or are zero.
    pub fn new(source_mean: Vec<f64>, target_mean: Vec<f64>) -> Result<Self> {
        if source_mean.len() != target_mean.len() || source_mean.is_empty() {
            return Err(Error::problem(format!(
                "the mean of the source has {} coordinates, that of the target {}; expected the same number, at least 1",
                source_mean.len(),
                target_mean.len()
            )));
        }
        Ok(Self {
            source_mean,
            target_mean,
        })
    }

    /// The dimension `d`.
    pub fn dim(&self) -> usize {
        self.source_mean.len()
    }
}

impl ForwardMap for ConstantMap {
    fn dim(&self) -> usize {
        self.source_mean.len()
    }

    fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        let n = check_points(x, self.target_mean.len())?;
        Ok(self.target_mean.repeat(n))
    }
}

impl BackwardMap for ConstantMap {
    fn dim(&self) -> usize {
        self.source_mean.len()
    }

    fn backward(&self, y: &[f64]) -> Result<Vec<f64>> {
        let n = check_points(y, self.source_mean.len())?;
        Ok(self.source_mean.repeat(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baselines_do_what_they_say() {
        let x = [1.0, 2.0, 3.0, 4.0];
        let identity = IdentityMap::new(2);
        assert_eq!(identity.forward(&x).unwrap(), x);
        assert_eq!(identity.backward(&x).unwrap(), x);
        let constant = ConstantMap::new(vec![0.5, 0.0], vec![7.0, 8.0]).unwrap();
        assert_eq!(constant.forward(&x).unwrap(), [7.0, 8.0, 7.0, 8.0]);
        assert_eq!(constant.backward(&x).unwrap(), [0.5, 0.0, 0.5, 0.0]);
        assert_eq!(constant.dim(), 2);
        assert!(identity.forward(&[]).unwrap().is_empty());
    }

    #[test]
    fn points_of_another_shape_or_not_finite_are_refused_with_their_place() {
        let map = IdentityMap::new(3);
        let message = map.forward(&[1.0; 4]).unwrap_err().to_string();
        assert!(
            message.contains("4 values") && message.contains("3 columns"),
            "{message}"
        );
        let message = map
            .backward(&[0.0, 0.0, 0.0, 0.0, f64::NAN, 0.0])
            .unwrap_err()
            .to_string();
        assert!(message.contains("row 2, column 2"), "{message}");
        assert!(ConstantMap::new(vec![0.0], vec![0.0, 1.0]).is_err());
        assert!(ConstantMap::new(vec![], vec![]).is_err());
    }
}

//! The optimal linear map, for colours known as MKL: Pitie and Kokaram, "The linear Monge-Kantorovitch linear colour mapping for example-based colour transfer", 2007.
//!
//! ```text
//! T(x) = m' + A (x - m),   A = S^-1/2 (S^1/2 S' S^1/2)^1/2 S^-1/2        m, S mean and covariance
//! ```
//!
//! It is [`GaussianMap`], which is also where the fit starts.

use super::{Baseline, checked};
use crate::LabError;
use charflow::exact::GaussianMap;
use charflow::map::{BackwardMap, ForwardMap};
use charflow::{Result, Samples};

/// The linear map of mean and covariance.
#[derive(Debug, Clone)]
pub struct Linear(GaussianMap);

impl Linear {
    /// From stored colours `[n, 3]` and `[m, 3]`.
    ///
    /// # Errors
    /// A side without colours, or not in rows of three.
    pub fn fit(source: &[f64], target: &[f64]) -> std::result::Result<Self, LabError> {
        let moments = |colors: &[f64], what: &str| {
            checked(colors, what)?;
            Ok::<_, LabError>(Samples::from_f64(colors, 3)?.moments())
        };
        let (a, b) = (
            moments(source, "the source")?,
            moments(target, "the target")?,
        );
        Ok(Linear(GaussianMap::from_moments(&a, &b)?))
    }
}

impl ForwardMap for Linear {
    fn dim(&self) -> usize {
        3
    }
    fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        self.0.forward(x)
    }
}

impl BackwardMap for Linear {
    fn dim(&self) -> usize {
        3
    }
    fn backward(&self, y: &[f64]) -> Result<Vec<f64>> {
        self.0.backward(y)
    }
}

impl Baseline for Linear {
    fn name(&self) -> &'static str {
        "linear (MKL)"
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::colors;
    use super::*;

    #[test]
    fn mean_and_covariance_become_the_targets() {
        let a = colors(4000, [0.4, 0.5, 0.3], [0.3, 0.2, 0.2], 1);
        let b = colors(4000, [0.6, 0.4, 0.5], [0.2, 0.3, 0.3], 2);
        let image = Linear::fit(&a, &b).unwrap().forward(&a).unwrap();
        let moments = |c: &[f64]| Samples::from_f64(c, 3).unwrap().moments();
        let (got, wanted) = (moments(&image), moments(&b));
        for k in 0..3 {
            assert!((got.mean[k] - wanted.mean[k]).abs() < 1e-5);
        }
        assert!((got.variance() / wanted.variance() - 1.0).abs() < 1e-4);
    }
}

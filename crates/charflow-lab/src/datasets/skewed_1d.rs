//! Skewed pair on the line: source `N(0, 1)`, target log-normal `exp(s z)`, `s = 1/2`.
//!
//! The optimal map for every convex cost is the increasing one, `T(x) = exp(s x)`: strongly curved, with the long tail that linear maps miss.

use super::{Generated, NamedCloud, normal, rng};

/// The logarithm of the target has this standard deviation.
pub const SIGMA: f64 = 0.5;

/// The optimal map `T(x) = exp(x / 2)` of the pair.
pub fn optimal(x: f64) -> f64 {
    (SIGMA * x).exp()
}

pub(super) fn generate(n: usize, _dim: usize, seed: u64) -> Generated {
    let cloud = |stem: &str, stream: u64, map: fn(f64) -> f64| {
        let mut rng = rng(seed, stream);
        let values = (0..n).map(|_| map(normal(&mut rng))).collect();
        NamedCloud {
            stem: stem.to_owned(),
            values,
            dim: 1,
            labels: None,
        }
    };
    Generated {
        clouds: vec![cloud("source", 0, |z| z), cloud("target", 1, optimal)],
        truth: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::column_statistics;

    #[test]
    fn the_target_has_log_normal_moments() {
        let stats = column_statistics(&generate(200_000, 1, 3).clouds[1].values, 1).unwrap();
        let s2 = SIGMA * SIGMA;
        assert!((stats.means[0] - (s2 / 2.0).exp()).abs() < 0.01);
        assert!((stats.variances[0] - (s2.exp() - 1.0) * s2.exp()).abs() < 0.02);
    }
}

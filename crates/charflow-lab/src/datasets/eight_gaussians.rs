//! Eight Gaussians: centres at distance 4 and angles `k pi / 4`, equal weights, standard deviation 0.4.

use std::f64::consts::PI;

use rand::RngExt;

use super::{Generated, normal, planar};

const RADIUS: f64 = 4.0;
const SPREAD: f64 = 0.4;

pub(super) fn generate(n: usize, _dim: usize, seed: u64) -> Generated {
    planar("eight-gaussians", n, seed, |rng| {
        let angle = f64::from(rng.random_range(0..8u32)) * PI / 4.0;
        [
            RADIUS * angle.cos() + SPREAD * normal(rng),
            RADIUS * angle.sin() + SPREAD * normal(rng),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::column_statistics;

    #[test]
    fn moments_are_those_of_the_mixture() {
        // Mean 0; variance of each coordinate RADIUS^2 / 2 + SPREAD^2.
        let stats = column_statistics(&generate(100_000, 2, 3).clouds[0].values, 2).unwrap();
        for k in 0..2 {
            assert!(stats.means[k].abs() < 0.05);
            assert!(
                (stats.variances[k] / (RADIUS * RADIUS / 2.0 + SPREAD * SPREAD) - 1.0).abs() < 0.02
            );
        }
    }
}

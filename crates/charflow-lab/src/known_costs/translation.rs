//! `T(x) = x + a`, optimal for every convex cost.
//!
//! Proof (Jensen): any coupling of `mu` and `T#mu` has the mean displacement `E[y - x] = a`, so `E l(y - x) >= l(E[y - x]) = l(a)`, which is what `T` costs.

use charflow::cost::Cost;
use rand::RngExt;

use super::mixture::Mixture;
use super::{KnownTransport, fixed};

/// `|a|`: long beside the standard error of the means of some ten thousand points, by which the cost of any fitted map is off.
const LENGTH: f64 = 4.0;

#[derive(Debug)]
pub(super) struct Translation {
    cost: Box<dyn Cost>,
    source: Mixture,
    shift: Vec<f64>,
}

impl Translation {
    pub fn new(cost: Box<dyn Cost>, dim: usize) -> Self {
        let mut rng = fixed(dim, 1);
        // Coordinates of either sign, some three times as long as others, none zero.
        let mut shift: Vec<f64> = (0..dim)
            .map(|_| {
                let size: f64 = rng.random_range(0.5..1.5);
                if rng.random() { size } else { -size }
            })
            .collect();
        let length = shift.iter().map(|a| a * a).sum::<f64>().sqrt();
        shift.iter_mut().for_each(|a| *a *= LENGTH / length);
        Translation {
            cost,
            source: Mixture::clusters(dim, 1.0, 0.6),
            shift,
        }
    }
}

impl KnownTransport for Translation {
    fn dim(&self) -> usize {
        self.shift.len()
    }

    fn cost(&self) -> &dyn Cost {
        self.cost.as_ref()
    }

    fn about(&self) -> String {
        format!("three Gaussians, shifted by a vector of length {LENGTH}")
    }

    fn sample_source(&self, n: usize, seed: u64, stream: u64) -> Vec<f64> {
        self.source.sample(n, seed, stream)
    }

    fn forward(&self, x: &[f64]) -> Vec<f64> {
        x.iter()
            .zip(self.shift.iter().cycle())
            .map(|(x, a)| x + a)
            .collect()
    }
}

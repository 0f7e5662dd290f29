//! `T(x)_i = T_i(x_i)` with each `T_i` increasing, optimal for the costs `l(v) = sum_i l_i(v_i)` with `l_i` convex: quadratic, powers, elastic, Mahalanobis with a diagonal
//! matrix.
//!
//! Proof. The cost of a coupling is the sum of the costs of its projections to the coordinates, each at least that of the cheapest way between the two `i`-th marginals,
//! which is `T_i`: the increasing map on the line. Nothing is asked of `mu`: its coordinates need not be independent.
//!
//! ```text
//! T_i(x) = (1 - a_i) x + b_i tanh(k_i (x - m_i)) + s_i,    a_i < 1, b_i, k_i > 0: increasing; b_i k_i = 2.5 or so: two heaps from one
//! ```
//!
//! The shift `s_i` is of either sign and longer than what the rest moves for most points: displacements that change their sign would have, for the elastic cost, momenta
//! that jump there by twice its threshold.

use charflow::cost::Cost;
use rand::RngExt;

use super::mixture::Mixture;
use super::{KnownTransport, fixed};

/// The four numbers of one coordinate's map.
#[derive(Debug)]
struct Curve {
    shrink: f64,
    height: f64,
    steep: f64,
    middle: f64,
    shift: f64,
}

#[derive(Debug)]
pub(super) struct Product {
    cost: Box<dyn Cost>,
    source: Mixture,
    curves: Vec<Curve>,
}

impl Product {
    pub fn new(cost: Box<dyn Cost>, dim: usize) -> Self {
        let mut rng = fixed(dim, 2);
        let curves = (0..dim)
            .map(|_| Curve {
                shrink: rng.random_range(0.5..0.8),
                height: rng.random_range(0.8..1.2),
                steep: rng.random_range(2.0..3.0),
                middle: rng.random_range(-0.4..0.4),
                shift: rng.random_range(0.7..1.0) * if rng.random() { 1.0 } else { -1.0 },
            })
            .collect();
        Product {
            cost,
            source: Mixture::clusters(dim, 1.0, 0.6),
            curves,
        }
    }
}

impl KnownTransport for Product {
    fn dim(&self) -> usize {
        self.curves.len()
    }

    fn cost(&self) -> &dyn Cost {
        self.cost.as_ref()
    }

    fn about(&self) -> String {
        "three Gaussians, each coordinate by a steep curve of its own".into()
    }

    fn sample_source(&self, n: usize, seed: u64, stream: u64) -> Vec<f64> {
        self.source.sample(n, seed, stream)
    }

    fn forward(&self, x: &[f64]) -> Vec<f64> {
        x.iter()
            .zip(self.curves.iter().cycle())
            .map(|(&x, c)| {
                (1.0 - c.shrink) * x + c.height * (c.steep * (x - c.middle)).tanh() + c.shift
            })
            .collect()
    }
}

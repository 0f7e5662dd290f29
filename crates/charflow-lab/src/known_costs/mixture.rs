//! The sources: `x = c_k + s_k z` with `k` uniform on three components and `z ~ N(0, I_d)`.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::fixed;

/// Number of components.
const COMPONENTS: usize = 3;

/// A mixture of three Gaussians with equal weights.
#[derive(Debug)]
pub(super) struct Mixture {
    dim: usize,
    /// `[3, d]`.
    centers: Vec<f64>,
    spreads: [f64; COMPONENTS],
}

impl Mixture {
    /// Three clusters: each coordinate of the centres has the values -1, 0, 1 times `far`, in random order, every spread is `spread`; all scaled to variance 1 a coordinate.
    pub fn clusters(dim: usize, far: f64, spread: f64) -> Self {
        let mut rng = fixed(dim, 0);
        let unit = 1.0 / (2.0 / 3.0 * far * far + spread * spread).sqrt();
        let mut centers = vec![0.0; COMPONENTS * dim];
        for k in 0..dim {
            let mut at = [-1.0, 0.0, 1.0];
            for i in [2_usize, 1] {
                at.swap(i, rng.random_range(0..=i));
            }
            (0..COMPONENTS).for_each(|c| centers[c * dim + k] = at[c] * far * unit);
        }
        Mixture {
            dim,
            centers,
            spreads: [spread * unit; COMPONENTS],
        }
    }

    /// Three spreads around nearly the same point: centres within `off` of zero in each coordinate.
    pub fn shells(dim: usize, spreads: [f64; COMPONENTS], off: f64) -> Self {
        let mut rng = fixed(dim, 0);
        Mixture {
            dim,
            centers: (0..COMPONENTS * dim)
                .map(|_| rng.random_range(-off..off))
                .collect(),
            spreads,
        }
    }

    /// `n` points, `[n, d]`.
    pub fn sample(&self, n: usize, seed: u64, stream: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        let mut x = Vec::with_capacity(n * self.dim);
        for _ in 0..n {
            let k = rng.random_range(0..COMPONENTS);
            let center = &self.centers[k * self.dim..(k + 1) * self.dim];
            x.extend(
                center
                    .iter()
                    .map(|c| c + self.spreads[k] * normal(&mut rng)),
            );
        }
        x
    }
}

/// A standard normal number.
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    rng.sample(StandardNormal)
}

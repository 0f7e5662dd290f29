//! `T(x) = h(r) x / r` with `r = |x|` and `h >= 0` increasing, optimal for the costs `l(v) = L(|v|)` with `L` convex and increasing: norm powers, quadratic, relativistic.
//!
//! Proof. By the triangle inequality `|T(x') - x| >= | |T(x')| - |x| | = |h(r') - r|` for any two points, with equality for `x' = x`, whose image lies on its own ray. So a
//! coupling of `mu` and `T#mu` costs at least what it costs between the radii under the convex cost `L(|.|)` of the line, and there the increasing `h` is the cheapest way.
//! Nothing is asked of `mu`: it need not be round.
//!
//! For a Mahalanobis cost `l(v) = |Bv|^2 / 2` the same holds with the length `r = |Bx|`. The map is then made in the coordinates `B x`.
//!
//! ```text
//! h(r) = 1.9 + 0.45 r        points near the centre move out by up to 1.9, those at r = 3.5 stay
//! ```

use charflow::cost::Cost;

use super::KnownTransport;
use super::mixture::Mixture;

const START: f64 = 1.9;
const SLOPE: f64 = 0.45;

#[derive(Debug)]
pub(super) struct Radial {
    cost: Box<dyn Cost>,
    dim: usize,
    /// In the cost's own coordinates, if it has them.
    source: Mixture,
}

impl Radial {
    pub fn new(cost: Box<dyn Cost>, dim: usize) -> Self {
        // Radii of about 0.9, 1.9 and 2.8 whatever the dimension, so that the curve of h matters.
        let unit = (8.0 / dim as f64).sqrt();
        Radial {
            cost,
            dim,
            source: Mixture::shells(dim, [0.3, 0.65, 1.0].map(|s| s * unit), 0.15 * unit),
        }
    }
}

impl KnownTransport for Radial {
    fn dim(&self) -> usize {
        self.dim
    }

    fn cost(&self) -> &dyn Cost {
        self.cost.as_ref()
    }

    fn about(&self) -> String {
        format!(
            "three Gaussians of different spread, moved along rays to the distance {START} + {SLOPE} r{}",
            if self.cost.coordinates().is_some() {
                ", distances as the cost measures them"
            } else {
                ""
            }
        )
    }

    fn sample_source(&self, n: usize, seed: u64, stream: u64) -> Vec<f64> {
        let mut x = self.source.sample(n, seed, stream);
        if let Some(coordinates) = self.cost.coordinates() {
            coordinates.leave(&mut x);
        }
        x
    }

    fn forward(&self, x: &[f64]) -> Vec<f64> {
        let mut images = x.to_vec();
        let mut own = x.to_vec();
        if let Some(coordinates) = self.cost.coordinates() {
            coordinates.enter(&mut own);
        }
        for (image, own) in images
            .chunks_exact_mut(self.dim)
            .zip(own.chunks_exact(self.dim))
        {
            let r = own.iter().map(|x| x * x).sum::<f64>().sqrt();
            // The centre itself has no ray; it is never drawn.
            let factor = (START + SLOPE * r) / r.max(f64::MIN_POSITIVE);
            image.iter_mut().for_each(|x| *x *= factor);
        }
        images
    }
}

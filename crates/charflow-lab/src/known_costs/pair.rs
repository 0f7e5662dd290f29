//! `T(x) = x + V(grad f(x))` with a convex `f: R^d -> R` and `V = grad H`, the optimal map from any `mu` to `T#mu` for the cost `l` whose Legendre transform is `H`.
//!
//! Proof. Let `y = T(x)`. The function `x' -> f(x') + l(y - x')` is convex, so a point where a subgradient vanishes is a minimum over all of `R^d`. At `x' = x` this asks that
//! `grad f(x)` is a subgradient of `l` at `y - x`, and that is the same as `y - x = V(grad f(x))` (Fenchel). So with `g = f` and the transform `g^c(y) = inf_x' g(x') + l(y - x')`
//!
//! ```text
//! g^c(y') - g(x') <= l(y' - x')   for all x', y',    with equality for y' = T(x'):
//! E_nu[g^c] - E_mu[g] = E_mu[l(T(x) - x)]
//! ```
//!
//! `g` and `g^c` are a solution of the dual problem and `T` is optimal, however far it moves. (A potential that is not convex would do if `g(x') + l(y - x')` had its minimum where it is
//! stationary; that limits displacements. Convexity limits nothing.) This is the potential of the method with `u(., 0) = f`, from which it has to find `f` up to a constant.
//!
//! ```text
//! f(x) = (c / tau) log sum_k exp(tau (w_k . x + b_k)),    grad f(x) = c sum_k a_k(x) w_k,   a = softmax(tau (W x + b))
//! w_0 = e_0,   w_k = e_0 + r_k e_k,   r = 3, 2, 1.2, 0.7, ...,   e_0, e_1, ... orthonormal in random directions
//! ```
//!
//! Why this shape: under a cost that sees the length of the momentum alone (norm powers, relativistic) a point moves along its momentum, as under the quadratic cost, and only how
//! far changes. So the maps differ where the momentum gets longer in a direction across it: here the part along `e_0`, which all pieces share, has another size in each piece.
//! How far a wrong cost's map is from the truth is for a fit to show; that it is another one the tests show.
//!
//! The offsets `b_k` give the pieces equal shares of the source. `w`, `b` and `tau` are the same for all costs; `c > 0` alone depends on the cost, so that
//! `E|T(x) - x|^2 = 1.2^2 d` for each, or `(0.88 s)^2` where a speed `s` is lower than that.

use charflow::cost::Cost;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::mixture::{Mixture, normal};
use super::{KnownTransport, LOOKED_AT, fixed};

/// Root mean square of a displacement's coordinate, in standard deviations of the source.
pub(super) const LENGTH: f64 = 1.2;
/// Mean length of the displacements beside a speed limit, at most.
pub(super) const OF_THE_SPEED: f64 = 0.88;
/// `r_k` of the first pieces; they come again in more dimensions.
const RADII: [f64; 4] = [3.0, 2.0, 1.2, 0.7];
/// All of them for each so many dimensions.
const EVERY: usize = 16;
/// `tau` times the root mean square of `|w_k|`: about how sharp the kinks between the pieces are.
const SHARP: f64 = 4.0;
/// Blocks of points for one thread.
const BLOCK: usize = 256;

#[derive(Debug)]
pub(super) struct Pair {
    cost: Box<dyn Cost>,
    dim: usize,
    source: Mixture,
    /// `w`, `[K, d]`.
    slopes: Vec<f64>,
    /// `b`, `[K]`.
    offsets: Vec<f64>,
    tau: f64,
    /// `c`.
    size: f64,
}

impl Pair {
    pub fn new(cost: Box<dyn Cost>, dim: usize) -> Self {
        let mut rng = fixed(dim, 3);
        let radii = RADII.repeat(dim.div_ceil(EVERY));
        let pieces = 1 + radii.len().min(dim - 1);
        let basis = directions(&mut rng, dim, pieces);
        let mut slopes = basis[0].clone();
        for (e, r) in basis[1..].iter().zip(radii) {
            slopes.extend(basis[0].iter().zip(e).map(|(shared, own)| shared + r * own));
        }
        let mean_square = slopes.iter().map(|w| w * w).sum::<f64>() / pieces as f64;
        let mut pair = Pair {
            cost,
            dim,
            source: Mixture::clusters(dim, 1.0, 0.6),
            slopes,
            offsets: vec![0.0; pieces],
            tau: SHARP / mean_square.sqrt(),
            size: 1.0,
        };
        let x = pair.source.sample(LOOKED_AT / 4, 0, 1 << 36);
        pair.balance(&x);
        pair.scale(&x);
        pair
    }

    /// `softmax(tau (W x + b))` at one point, `[K]`.
    fn shares(&self, x: &[f64], out: &mut [f64]) {
        for (a, (w, b)) in out
            .iter_mut()
            .zip(self.slopes.chunks_exact(self.dim).zip(&self.offsets))
        {
            let dot: f64 = w.iter().zip(x).map(|(w, x)| w * x).sum();
            *a = self.tau * (dot + b);
        }
        let top = out.iter().fold(f64::NEG_INFINITY, |m, a| m.max(*a));
        let mut sum = 0.0;
        for a in out.iter_mut() {
            *a = (*a - top).exp();
            sum += *a;
        }
        out.iter_mut().for_each(|a| *a /= sum);
    }

    /// `grad f(x) / c` at one point, `[d]`; `shares: [K]` is for the work on the way.
    fn gradient(&self, x: &[f64], shares: &mut [f64], out: &mut [f64]) {
        self.shares(x, shares);
        out.fill(0.0);
        for (a, w) in shares.iter().zip(self.slopes.chunks_exact(self.dim)) {
            out.iter_mut().zip(w).for_each(|(q, w)| *q += a * w);
        }
    }

    /// Offsets for which every piece has its share of the points `x`, by lowering those that have more.
    fn balance(&mut self, x: &[f64]) {
        let n = (x.len() / self.dim) as f64;
        let pieces = self.offsets.len();
        let (mut mean, mut shares) = (vec![0.0; pieces], vec![0.0; pieces]);
        for _ in 0..40 {
            mean.fill(0.0);
            for x in x.chunks_exact(self.dim) {
                self.shares(x, &mut shares);
                mean.iter_mut().zip(&shares).for_each(|(m, a)| *m += a / n);
            }
            for (b, m) in self.offsets.iter_mut().zip(&mean) {
                *b -= (m * pieces as f64).ln() / self.tau;
            }
        }
    }

    /// The factor `c` by bisection: displacements grow with it.
    fn scale(&mut self, x: &[f64]) {
        let d = self.dim;
        let mut gradients = vec![0.0; x.len()];
        let mut shares = vec![0.0; self.offsets.len()];
        for (x, q) in x.chunks_exact(d).zip(gradients.chunks_exact_mut(d)) {
            self.gradient(x, &mut shares, q);
        }
        let n = (x.len() / d) as f64;
        let wanted = (LENGTH * LENGTH * d as f64).min((OF_THE_SPEED * self.cost.reach()).powi(2));
        let (mut low, mut high) = (1e-4_f64, 1e4_f64);
        let (mut p, mut v) = (vec![0.0; d], vec![0.0; d]);
        for _ in 0..60 {
            let middle = (low * high).sqrt();
            let mut sum = 0.0;
            for q in gradients.chunks_exact(d) {
                p.iter_mut().zip(q).for_each(|(p, q)| *p = middle * q);
                self.cost.velocity(&p, &mut v);
                sum += v.iter().map(|v| v * v).sum::<f64>() / n;
            }
            if sum < wanted {
                low = middle;
            } else {
                high = middle;
            }
        }
        self.size = low;
    }
}

/// `count <= dim` orthonormal vectors in random directions, by Gram and Schmidt.
fn directions(rng: &mut ChaCha8Rng, dim: usize, count: usize) -> Vec<Vec<f64>> {
    let mut found: Vec<Vec<f64>> = Vec::with_capacity(count);
    for _ in 0..count {
        let mut v: Vec<f64> = (0..dim).map(|_| normal(rng)).collect();
        // Twice, so that the last vector of a whole basis is as good as the first.
        for e in found.iter().chain(&found) {
            let along: f64 = e.iter().zip(&v).map(|(e, v)| e * v).sum();
            v.iter_mut().zip(e).for_each(|(v, e)| *v -= along * e);
        }
        let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        v.iter_mut().for_each(|v| *v /= length);
        found.push(v);
    }
    found
}

impl KnownTransport for Pair {
    fn dim(&self) -> usize {
        self.dim
    }

    fn cost(&self) -> &dyn Cost {
        self.cost.as_ref()
    }

    fn about(&self) -> String {
        format!(
            "three Gaussians, moved by V(grad f), f a smooth maximum of {} planes",
            self.offsets.len()
        )
    }

    fn sample_source(&self, n: usize, seed: u64, stream: u64) -> Vec<f64> {
        self.source.sample(n, seed, stream)
    }

    fn forward(&self, x: &[f64]) -> Vec<f64> {
        let d = self.dim;
        let mut images = vec![0.0; x.len()];
        images
            .par_chunks_mut(BLOCK * d)
            .zip(x.par_chunks(BLOCK * d))
            .for_each(|(images, x)| {
                let (mut p, mut shares) = (vec![0.0; d], vec![0.0; self.offsets.len()]);
                for (image, x) in images.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                    self.gradient(x, &mut shares, &mut p);
                    p.iter_mut().for_each(|p| *p *= self.size);
                    self.cost.velocity(&p, image);
                    image.iter_mut().zip(x).for_each(|(v, x)| *v += x);
                }
            });
        images
    }
}

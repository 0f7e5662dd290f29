//! Where the potential is not convex, for the quadratic cost.
//!
//! ```text
//! g is c-concave  <=>  g + |x|^2 / 2 is convex  <=>  I + g''(x) >= 0 at every x
//! ```
//!
//! The least and the largest eigenvalue of `I + g''` at sample points, by Lanczos (1950) from a random start with full reorthogonalisation. Products with the Hessian are central
//! differences of the double-precision gradient: `g''(x) v = (grad g(x + h v) - grad g(x - h v)) / 2h`, with 48 points as lanes. Ritz values lie between the
//! least and the largest eigenvalue, so what is found to be negative is (to the differences' error, about 1e-9). No unit matters: `g''` has none.

use super::potential::SourcePotential;
use crate::characteristic::conjugate::dots;
use crate::potential::BLOCK;
use nalgebra::{DMatrix, SymmetricEigen};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::Serialize;

/// Points at which the Hessian is looked at.
pub(crate) const POINTS: usize = 288;

/// Lanczos steps at most: the ends of a spectrum are found long before its middle.
const STEPS: usize = 20;

/// Below this an eigenvalue counts as negative: far above the error of the differences.
const NEGATIVE: f64 = -1e-6;

/// The Hessian of `g + |x|^2 / 2` at sample points.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Convexity {
    /// Points looked at.
    pub points: usize,
    /// The least eigenvalue found.
    pub least_eigenvalue: Option<f64>,
    /// Share of the points at which it is negative: there the potential is no Kantorovich potential.
    pub share_not_convex: Option<f64>,
    /// The largest eigenvalue found: `M` of the bound of the map's error.
    pub largest_eigenvalue: Option<f64>,
}

/// The least and the largest eigenvalue found at each row of `z: [k, d]`, in solver units.
pub(crate) fn extreme_eigenvalues(
    potential: &SourcePotential,
    z: &[f64],
    seed: u64,
) -> Vec<[f64; 2]> {
    let d = potential.dim();
    let mut out = vec![[0.0; 2]; z.len() / d];
    out.par_chunks_mut(BLOCK)
        .zip(z.par_chunks(BLOCK * d))
        .enumerate()
        .for_each(|(block, (out, z))| lanczos(potential, z, seed, block as u64, out));
    out
}

fn add(factor: &[f64; BLOCK], a: &[f64], to: &mut [f64]) {
    for (a, to) in a.chunks_exact(BLOCK).zip(to.chunks_exact_mut(BLOCK)) {
        for s in 0..BLOCK {
            to[s] += factor[s] * a[s];
        }
    }
}

fn scale(factor: &[f64; BLOCK], a: &mut [f64]) {
    for row in a.chunks_exact_mut(BLOCK) {
        for s in 0..BLOCK {
            row[s] *= factor[s];
        }
    }
}

fn lanczos(potential: &SourcePotential, z: &[f64], seed: u64, block: u64, out: &mut [[f64; 2]]) {
    let d = potential.dim();
    let n = d * BLOCK;
    let count = out.len();
    let mut x = vec![0.0; n];
    for s in 0..BLOCK {
        let row = s.min(count - 1) * d;
        for k in 0..d {
            x[k * BLOCK + s] = z[row + k];
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(1_000_000 + block);
    let mut q: Vec<f64> = (0..n).map(|_| StandardNormal.sample(&mut rng)).collect();
    let inverse =
        |squares: [f64; BLOCK]| squares.map(|s| if s > 0.0 { 1.0 / s.sqrt() } else { 0.0 });
    let norm = inverse(dots(d, &q, &q));
    scale(&norm, &mut q);
    let mut memory = potential.block();
    let (mut plus, mut minus) = (vec![0.0; n + BLOCK], vec![0.0; n + BLOCK]);
    potential.gradient(&mut memory, &x, &mut plus);
    // A third of the digits for the step: the error of a central difference is its square against rounding over it, and what rounds is the gradient.
    let mut step = [0.0; BLOCK];
    for s in 0..BLOCK {
        let most = |of: &[f64]| (0..d).map(|k| of[k * BLOCK + s].abs()).fold(1.0, f64::max);
        step[s] = (6e-6 * most(&x)).max((f64::EPSILON * most(&plus)).cbrt());
    }
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let (mut alphas, mut betas) = (Vec::new(), Vec::new());
    let steps = d.min(STEPS);
    for number in 0..steps {
        let mut at = x.clone();
        add(&step, &q, &mut at);
        potential.gradient(&mut memory, &at, &mut plus);
        at.copy_from_slice(&x);
        add(&step.map(|h| -h), &q, &mut at);
        potential.gradient(&mut memory, &at, &mut minus);
        // w = q + g'' q.
        let mut w = q.clone();
        for (row, i) in w.chunks_exact_mut(BLOCK).zip((0..n).step_by(BLOCK)) {
            for s in 0..BLOCK {
                row[s] += (plus[i + s] - minus[i + s]) / (2.0 * step[s]);
            }
        }
        let alpha = dots(d, &w, &q);
        alphas.push(alpha);
        basis.push(q);
        // Twice is enough (Kahan, Parlett).
        for _ in 0..2 {
            for b in &basis {
                let along = dots(d, &w, b).map(|a| -a);
                add(&along, b, &mut w);
            }
        }
        let squares = dots(d, &w, &w);
        let mut beta = squares.map(f64::sqrt);
        if number + 1 < steps {
            // An invariant subspace: the lane is done, and goes on with zeros.
            for s in 0..BLOCK {
                if beta[s] <= 1e-8 * (1.0 + alpha[s].abs()) {
                    beta[s] = 0.0;
                }
            }
            betas.push(beta);
        }
        scale(&beta.map(|b| if b > 0.0 { 1.0 / b } else { 0.0 }), &mut w);
        q = w;
    }
    for (s, out) in out.iter_mut().enumerate() {
        // Where a lane ended early the rest of its matrix is no part of it.
        let used = betas
            .iter()
            .position(|b| b[s] == 0.0)
            .map_or(steps, |k| k + 1);
        let matrix = DMatrix::from_fn(used, used, |i, j| match i.abs_diff(j) {
            0 => alphas[i][s],
            1 => betas[i.min(j)][s],
            _ => 0.0,
        });
        *out = if matrix.iter().all(|v| v.is_finite()) {
            let values = SymmetricEigen::new(matrix).eigenvalues;
            [values.min(), values.max()]
        } else {
            [f64::NAN; 2]
        };
    }
}

impl Convexity {
    /// At the rows of `z: [k, d]`, in solver units.
    pub(crate) fn of(potential: &SourcePotential, z: &[f64], seed: u64) -> Self {
        let all = extreme_eigenvalues(potential, z, seed);
        let finite = || all.iter().filter(|v| v[0].is_finite());
        let negative = finite().filter(|v| v[0] < NEGATIVE).count();
        Convexity {
            points: all.len(),
            least_eigenvalue: finite().map(|v| v[0]).min_by(f64::total_cmp),
            share_not_convex: (finite().count() > 0)
                .then(|| negative as f64 / finite().count() as f64),
            // Where one point has no curvature there is no bound of it.
            largest_eigenvalue: (finite().count() == all.len())
                .then(|| finite().map(|v| v[1]).max_by(f64::total_cmp))
                .flatten(),
        }
    }
}

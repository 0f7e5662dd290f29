//! One update of the parameters from one gradient: Adam, or Adam in the eigenbasis of Shampoo's preconditioner (SOAP).
//!
//! Adam (Kingma and Ba 2015): `m = b1 m + (1 - b1) G`, `v = b2 v + (1 - b2) G^2`, `theta -= rate m^ / (sqrt(v^) + eps)`, all by entry.
//!
//! SOAP (Vyas et al. 2024): for a weight matrix with gradient `G [r, h]`, keep running means `L` of `G G'` and `R` of `G' G`, and orthonormal eigenvectors
//! `U` of `L`, `V` of `R`. Adam's second moment is that of `U' G V`; the update is `U [(U' m V) / (sqrt(v^) + eps)] V'`. So the step is scaled by direction, not by
//! entry. The energy distance is flat in many directions and steep in few, which are mixtures of entries.
//! The bases begin as the eigenvectors of the first step, which changes no matrix, and are renewed every [`OptimiserConfig::refresh`] steps by one step of
//! orthogonal iteration. Vectors (biases, output) take Adam's update.
//!
//! Measured on a drawn Gaussian pair, 100,000 samples, one seed, forward UVP in percent, Adam against SOAP at rate 3e-3: D = 4, 2,500 steps, 0.077 and 0.033;
//! D = 16, 1,000 steps, 0.28 and 0.18. A step takes 2 to 12 percent longer.

use super::checkpoint::Weights;
use super::config::OptimiserConfig;
use crate::potential::Shape;
use charflow_kernels::lanes::{AdamStep, adam};
use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut, SymmetricEigen};
use rayon::prelude::*;

/// A side longer than this keeps its own axes as basis: the eigenvectors would cost more than the gradient.
const LONGEST: usize = 512;

/// Added to the first covariance's diagonal, as a share of its largest entry: well above one rounding.
const RIDGE: f32 = 1e-6;

/// A tensor of the parameters.
struct Tensor {
    length: usize,
    /// `(h, r)` for a matrix that is preconditioned. A row-major `[r, h]` is what nalgebra, which is column-major, calls `h x r`.
    matrix: Option<(usize, usize)>,
}

impl Tensor {
    /// Numbers that are remembered besides the moments: for each side its covariance and its basis.
    fn memory(&self) -> usize {
        self.matrix
            .map_or(0, |(a, b)| 2 * (kept(a) * kept(a) + kept(b) * kept(b)))
    }
}

fn kept(side: usize) -> usize {
    if side <= LONGEST { side } else { 0 }
}

/// The update rule for the parameters of one network.
pub(crate) struct Optimiser {
    tensors: Vec<Tensor>,
    refresh: u64,
    decay: f32,
}

impl Optimiser {
    pub fn new(config: &OptimiserConfig, shape: &Shape) -> Self {
        let soap = config.kind == "soap";
        let tensors = shape
            .tensors()
            .into_iter()
            .map(|(_, _, sides)| Tensor {
                length: sides.iter().product(),
                matrix: match sides[..] {
                    [r, h] if soap => Some((h, r)),
                    _ => None,
                },
            })
            .collect();
        Optimiser {
            tensors,
            refresh: config.refresh,
            decay: config.beta2 as f32,
        }
    }

    /// What must be remembered besides the moments, at the start: covariances zero, bases not yet there.
    pub fn memory(&self) -> Vec<f32> {
        vec![0.0; self.tensors.iter().map(Tensor::memory).sum()]
    }

    /// The update of step `number` (from 1).
    pub fn step(&self, number: u64, step: AdamStep, gradient: &[f32], w: &mut Weights) {
        let mut parts = Vec::with_capacity(self.tensors.len());
        let mut rest = (
            gradient,
            &mut w.theta[..],
            &mut w.m[..],
            &mut w.v[..],
            &mut w.ema[..],
            &mut w.memory[..],
        );
        for tensor in &self.tensors {
            let n = tensor.length;
            let (gradient, g) = rest.0.split_at(n);
            let (theta, t) = rest.1.split_at_mut(n);
            let (m, mm) = rest.2.split_at_mut(n);
            let (v, vv) = rest.3.split_at_mut(n);
            let (ema, e) = rest.4.split_at_mut(n);
            let (memory, more) = rest.5.split_at_mut(tensor.memory());
            parts.push((tensor, gradient, theta, m, v, ema, memory));
            rest = (g, t, mm, vv, e, more);
        }
        parts
            .into_par_iter()
            .for_each(
                |(tensor, gradient, theta, m, v, ema, memory)| match tensor.matrix {
                    None => adam(step, gradient, theta, m, v, ema),
                    Some(sides) => {
                        self.rotated(number, sides, step, gradient, theta, m, v, memory);
                        for (average, x) in ema.iter_mut().zip(theta) {
                            *average = step.ema_decay * *average + (1.0 - step.ema_decay) * *x;
                        }
                    }
                },
            );
    }

    fn rotated(
        &self,
        number: u64,
        (a, b): (usize, usize),
        step: AdamStep,
        gradient: &[f32],
        theta: &mut [f32],
        m: &mut [f32],
        v: &mut [f32],
        memory: &mut [f32],
    ) {
        let gradient = DMatrixView::from_slice(gradient, a, b) * step.clip;
        let (first, second) = memory.split_at_mut(2 * kept(a) * kept(a));
        let first = basis(first, &gradient, self.decay, number, self.refresh, false);
        let second = basis(second, &gradient, self.decay, number, self.refresh, true);
        let into = |x: &DMatrix<f32>| -> DMatrix<f32> {
            let half = first
                .as_ref()
                .map_or_else(|| x.clone(), |u| transposed_times(u, x));
            second.as_ref().map_or_else(|| half.clone(), |w| &half * w)
        };
        let mut mean = DMatrixViewMut::from_slice(m, a, b);
        mean.zip_apply(&gradient, |m, g| {
            *m = step.beta1 * *m + (1.0 - step.beta1) * g;
        });
        let turned = into(&gradient);
        let mut update = into(&mean.into_owned());
        for ((u, g), v) in update.iter_mut().zip(turned.iter()).zip(v.iter_mut()) {
            *v = step.beta2 * *v + (1.0 - step.beta2) * g * g;
            *u /= (*v * step.correction).sqrt() + step.epsilon;
        }
        if number == 1 {
            // In the bases of one gradient that gradient is diagonal: every other entry is a rounding error, which Adam would scale to a full step.
            // (With a side that keeps its own axes this is not so; there it is one step of many.)
            return;
        }
        let half = match &first {
            Some(u) => u * &update,
            None => update,
        };
        let back = match &second {
            Some(w) => half * w.transpose(),
            None => half,
        };
        for (x, u) in theta.iter_mut().zip(back.iter()) {
            *x -= step.rate * u;
        }
    }
}

/// `a' b`. The library's own `tr_mul` goes entry by entry; its product is blocked and vectorised, and worth the copy.
fn transposed_times(a: &DMatrix<f32>, b: &DMatrix<f32>) -> DMatrix<f32> {
    a.transpose() * b
}

/// The eigenbasis of one side of a matrix for this step; `None` for a side that is too long.
///
/// Takes the gradient into the running covariance (`G G'`, or `G' G` for the second side), and renews the basis when it is time.
fn basis(
    memory: &mut [f32],
    gradient: &DMatrix<f32>,
    decay: f32,
    number: u64,
    refresh: u64,
    second: bool,
) -> Option<DMatrix<f32>> {
    if memory.is_empty() {
        return None;
    }
    let n = if second {
        gradient.ncols()
    } else {
        gradient.nrows()
    };
    let (covariance, basis) = memory.split_at_mut(n * n);
    let mut covariance = DMatrixViewMut::from_slice(covariance, n, n);
    let outer = if second {
        transposed_times(gradient, gradient)
    } else {
        gradient * gradient.transpose()
    };
    covariance.zip_apply(&outer, |c, o| *c = decay * *c + (1.0 - decay) * o);
    let renewed = if !covariance.iter().all(|x| x.is_finite()) {
        // The solver's guard will say so; a decomposition of this might not end.
        None
    } else if number == 1 {
        // Largest first: the order that orthogonal iteration tends to, so that no column has to travel.
        // A gradient's covariance is often singular to many digits, and then the iteration's rotations underflow, to NaN or to vectors that are not orthogonal.
        // A multiple of the identity changes no eigenvector and prevents that.
        let mut raised = covariance.into_owned();
        let ridge = RIDGE * raised.amax();
        for i in 0..n {
            raised[(i, i)] += ridge;
        }
        let eigen = SymmetricEigen::new(raised);
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&i, &j| eigen.eigenvalues[j].total_cmp(&eigen.eigenvalues[i]));
        Some(eigen.eigenvectors.select_columns(&order))
    } else if number.is_multiple_of(refresh) {
        // One step of orthogonal iteration. A column may come out with the other sign, to which the second moments are blind.
        let before = DMatrixView::from_slice(basis, n, n);
        Some((&covariance * before).qr().q())
    } else {
        None
    };
    match renewed.filter(|q| q.iter().all(|x| x.is_finite())) {
        Some(q) => {
            basis.copy_from_slice(q.as_slice());
            Some(q)
        }
        None if number == 1 => {
            let axes = DMatrix::identity(n, n);
            basis.copy_from_slice(axes.as_slice());
            Some(axes)
        }
        None => Some(DMatrix::from_column_slice(n, n, basis)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::potential::Family;
    use charflow_kernels::activation::Activation;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn shape() -> Shape {
        Shape {
            dim: 2,
            layers: Family::Mlp.layers(&[6, 6, 7], Activation::Tanh).unwrap(),
        }
    }

    fn optimiser(kind: &str, shape: &Shape) -> Optimiser {
        let config = OptimiserConfig {
            kind: kind.into(),
            refresh: 3,
            ..OptimiserConfig::default()
        };
        Optimiser::new(&config, shape)
    }

    fn weights(optimiser: &Optimiser, theta: Vec<f32>) -> Weights {
        let zero = vec![0.0; theta.len()];
        Weights {
            step: 0,
            m: zero.clone(),
            v: zero,
            ema: theta.clone(),
            memory: optimiser.memory(),
            theta,
        }
    }

    fn adam_step(number: u64, rate: f64) -> AdamStep {
        let k = number as i32;
        AdamStep {
            beta1: 0.9,
            beta2: 0.99,
            clip: 1.0,
            rate: (rate / (1.0 - 0.9f64.powi(k))) as f32,
            correction: (1.0 / (1.0 - 0.99f64.powi(k))) as f32,
            // Above what rounding leaves in a direction without gradient, and far below the gradients.
            epsilon: 1e-5,
            ema_decay: 0.9,
        }
    }

    /// Turning every gradient of a matrix, `Q G P`, turns the path of its weights in the same way. A transposition in the wrong place breaks this, and so does Adam.
    #[test]
    fn soap_does_not_know_the_axes() {
        let shape = shape();
        let (_, offset, sides) = shape
            .tensors()
            .into_iter()
            .find(|t| t.0 == "layer2.C")
            .unwrap();
        assert_eq!(sides, [6, 6]);
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let random = |rng: &mut ChaCha8Rng| {
            DMatrix::<f32>::from_fn(6, 6, |_, _| rng.random_range(-1.0..1.0))
        };
        let (q, p) = (random(&mut rng).qr().q(), random(&mut rng).qr().q());
        // Sides of different scale, so that the eigenvalues are far apart.
        let scale =
            DMatrix::from_diagonal(&nalgebra::DVector::from_fn(6, |i, _| 0.8f32.powi(i as i32)));
        let gradients: Vec<_> = (0..30)
            .map(|_| &scale * random(&mut rng) * &scale)
            .collect();
        let end = |kind: &str, turned: bool| {
            let o = optimiser(kind, &shape);
            let mut w = weights(&o, vec![0.0; shape.parameters()]);
            for (number, g) in (1..).zip(&gradients) {
                let g = if turned { &q * g * &p } else { g.clone() };
                let mut gradient = vec![0.0; w.theta.len()];
                // Row-major.
                gradient[offset..offset + 36].copy_from_slice(g.transpose().as_slice());
                o.step(number, adam_step(number, 1e-2), &gradient, &mut w);
            }
            DMatrix::from_row_slice(6, 6, &w.theta[offset..offset + 36])
        };
        let off = |kind: &str| {
            let straight = end(kind, false);
            (end(kind, true) - &q * &straight * &p).norm() / straight.norm()
        };
        assert!(off("soap") < 1e-3, "{}", off("soap"));
        assert!(off("adam") > 0.1, "{}", off("adam"));
    }

    /// Diagonal gradients make the bases the axes, up to order and sign; there SOAP is Adam, but for the first step, which it only looks at.
    #[test]
    fn soap_of_diagonal_gradients_is_adam() {
        let shape = shape();
        let start: Vec<f32> = (0..shape.parameters())
            .map(|i| (i as f32 * 0.37).sin())
            .collect();
        let mut ends = Vec::new();
        let mut moved = vec![false; start.len()];
        for kind in ["adam", "soap"] {
            let o = optimiser(kind, &shape);
            let mut w = weights(&o, start.clone());
            for number in 1..=20 {
                let mut gradient = vec![0.0; start.len()];
                for (_, offset, sides) in shape.tensors() {
                    // Without a null space, in which the bases are anybody's choice: square matrices only.
                    if let [rows, columns] = sides[..] {
                        if rows != columns {
                            continue;
                        }
                        for i in 0..rows {
                            // Of different sizes, so that the eigenvectors are the axes and no mixture of them.
                            moved[offset + i * columns + i] = true;
                            gradient[offset + i * columns + i] =
                                (1 + i) as f32 * (number as f32 * 0.5).cos() + 0.1;
                        }
                    } else {
                        moved[offset] = true;
                        gradient[offset] = 1.0;
                    }
                }
                let rate = if number == 1 { 0.0 } else { 1e-2 };
                o.step(number, adam_step(number, rate), &gradient, &mut w);
            }
            ends.push((w.theta, w.ema));
        }
        let [(adam, adam_ema), (soap, soap_ema)] = &ends[..] else {
            unreachable!()
        };
        for i in 0..start.len() {
            // Off the diagonal there is only what rounding leaves there, which the update scales up. The others move by tenths.
            let near = if moved[i] { 2e-5 } else { 5e-3 };
            assert!((adam[i] - soap[i]).abs() < near, "{} {}", adam[i], soap[i]);
            assert!((adam_ema[i] - soap_ema[i]).abs() < near);
        }
    }

    /// Gradients as they come: rows of very different size, rows of zeros (units that do nothing), or of rank one; the covariances are then singular.
    #[test]
    fn bases_are_orthonormal_from_the_first_step_on() {
        let shape = shape();
        for seed in 0..20 {
            for kind in 0..3 {
                let o = optimiser("soap", &shape);
                let mut w = weights(&o, vec![0.0; shape.parameters()]);
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                for number in 1..=25 {
                    let mut gradient = vec![0.0; w.theta.len()];
                    for (_, offset, sides) in shape.tensors() {
                        let columns = *sides.last().unwrap();
                        let rows = sides.iter().product::<usize>() / columns;
                        for r in 0..rows {
                            let size = match (kind, r) {
                                (1, 0) if rows > 1 => 0.0,
                                (2, _) => 1.0,
                                _ => 10f32.powf(-8.0 * (r as f32 * 0.618).fract()),
                            };
                            for c in 0..columns {
                                gradient[offset + r * columns + c] = if kind == 2 {
                                    (1.0 + r as f32) * (0.7 * c as f32 + number as f32).sin()
                                } else {
                                    size * rng.random_range(-1.0..1.0)
                                };
                            }
                        }
                    }
                    let before = w.theta.clone();
                    o.step(number, adam_step(number, 1e-3), &gradient, &mut w);
                    orthonormal(&o, &w);
                    for (name, offset, sides) in shape.tensors() {
                        let own = offset..offset + sides.iter().product::<usize>();
                        assert!(
                            number == 1 || w.theta[own.clone()] != before[own],
                            "{name} stands still"
                        );
                    }
                }
            }
        }
    }

    fn orthonormal(o: &Optimiser, w: &Weights) {
        let mut at = 0;
        for tensor in &o.tensors {
            let Some((a, b)) = tensor.matrix else {
                continue;
            };
            for n in [a, b] {
                let q = DMatrix::from_column_slice(n, n, &w.memory[at + n * n..at + 2 * n * n]);
                let off = (q.tr_mul(&q) - DMatrix::<f32>::identity(n, n)).amax();
                assert!(off < 2e-5, "{off}");
                at += 2 * n * n;
            }
        }
        assert_eq!(at, w.memory.len());
    }
}

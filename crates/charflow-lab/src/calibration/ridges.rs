//! Potentials made of ridges: known in closed form, and as a network that the certificate takes.
//!
//! ```text
//! g(z) = <c, z> + sum_k f_k sp(<w_k, z> + b_k),      sp(s) = log(1 + exp(beta s)) / beta
//! grad g(z) = c + sum_k f_k sigma(beta (<w_k, z> + b_k)) w_k
//! T(x) = x + V(grad g(x))                            in the coordinates z = B x of the cost, where it has some
//! ```
//!
//! With `f_k >= 0` the function `g(x') + l(y - x')` is convex, so `T` is optimal from any measure to its image, for every convex cost: the proof stands at `known_costs::Family::Pair`. A linear
//! term is two ridges, since `sp(s) - sp(-s) = s`.

use charflow::certificate::SourcePotential;
use charflow::cost::Cost;
use charflow::potential::{Isa, Layer, Potential, Shape, WarmPotential};
use charflow::samples::Scaling;
use charflow_kernels::activation::Activation;

use crate::LabError;

/// A sum of ridges and a linear function.
#[derive(Clone, Debug)]
pub(super) struct Ridges {
    pub dim: usize,
    /// `w`, `[K, d]`.
    pub slopes: Vec<f64>,
    /// `b`, `[K]`.
    pub offsets: Vec<f64>,
    /// `f`, `[K]`.
    pub sizes: Vec<f64>,
    /// `c`, `[d]`.
    pub linear: Vec<f64>,
    pub beta: f64,
}

impl Ridges {
    /// `g(z) = <c, z>`.
    pub fn plane(linear: Vec<f64>) -> Self {
        Ridges {
            dim: linear.len(),
            slopes: Vec::new(),
            offsets: Vec::new(),
            sizes: Vec::new(),
            linear,
            beta: 1.0,
        }
    }

    /// `g` whose derivative along each coordinate is `q_i(z_i)`, up to the distance of the knots: `sum_i int q_i`. The knots `low..high` are the same for all coordinates.
    pub fn product(
        dim: usize,
        [low, high]: [f64; 2],
        knots: usize,
        q: impl Fn(usize, f64) -> f64,
    ) -> Self {
        let step = (high - low) / knots as f64;
        let mut g = Ridges {
            // A sigmoid this wide smooths over about a step.
            beta: 4.0 / step,
            ..Ridges::plane((0..dim).map(|i| q(i, low)).collect())
        };
        for i in 0..dim {
            for k in 0..knots {
                let at = low + (k as f64 + 0.5) * step;
                g.slopes
                    .extend((0..dim).map(|j| f64::from(u8::from(i == j))));
                g.offsets.push(-at);
                g.sizes.push(q(i, at + 0.5 * step) - q(i, at - 0.5 * step));
            }
        }
        g
    }

    /// `grad g` at rows of `z: [n, d]`.
    pub fn gradient(&self, z: &[f64]) -> Vec<f64> {
        let d = self.dim;
        let mut out = Vec::with_capacity(z.len());
        for z in z.chunks_exact(d) {
            let at = out.len();
            out.extend_from_slice(&self.linear);
            for ((w, b), f) in self
                .slopes
                .chunks_exact(d)
                .zip(&self.offsets)
                .zip(&self.sizes)
            {
                let s: f64 = w.iter().zip(z).map(|(w, z)| w * z).sum::<f64>() + b;
                let sigma = 1.0 / (1.0 + (-self.beta * s).exp());
                for (o, w) in out[at..].iter_mut().zip(w) {
                    *o += f * sigma * w;
                }
            }
        }
        out
    }

    /// `T(x) = x + V(grad g)` for rows of `x: [n, d]`, for the given cost.
    pub fn map(&self, cost: &dyn Cost, x: &[f64]) -> Vec<f64> {
        let d = self.dim;
        let mut z = x.to_vec();
        let inner = cost.rescaled(1.0);
        if let Some(c) = cost.coordinates() {
            c.enter(&mut z);
        }
        let q = self.gradient(&z);
        let mut v = vec![0.0; d];
        for (z, q) in z.chunks_exact_mut(d).zip(q.chunks_exact(d)) {
            inner.velocity(q, &mut v);
            z.iter_mut().zip(&v).for_each(|(z, v)| *z += v);
        }
        if let Some(c) = cost.coordinates() {
            c.leave(&mut z);
        }
        z
    }

    /// As the certificate takes it.
    pub fn potential(&self, cost: &dyn Cost) -> Result<SourcePotential, LabError> {
        let d = self.dim;
        let size = self.linear.iter().map(|c| c * c).sum::<f64>().sqrt();
        let mut units: Vec<(Vec<f64>, f64, f64)> = self
            .slopes
            .chunks_exact(d)
            .zip(&self.offsets)
            .zip(&self.sizes)
            .map(|((w, b), f)| (w.to_vec(), *b, *f))
            .collect();
        let along: Vec<f64> = self
            .linear
            .iter()
            .map(|c| c / size.max(f64::MIN_POSITIVE))
            .collect();
        units.push((along.clone(), 0.0, size));
        units.push((along.iter().map(|c| -c).collect(), 0.0, -size));
        let h = units.len();
        let layer = Layer {
            width: h,
            previous: false,
            input: true,
            quadratic: false,
            residual: false,
            scale: 1.0,
            activation: Activation::Softplus { beta: self.beta },
        };
        let shape = Shape {
            dim: d,
            layers: vec![layer],
        };
        let mut theta = vec![0.0; shape.parameters()];
        for (name, offset, _) in shape.tensors() {
            for (k, (w, b, f)) in units.iter().enumerate() {
                match name.as_str() {
                    "layer1.W" => (0..d).for_each(|j| theta[offset + j * h + k] = w[j]),
                    "layer1.b" => theta[offset + k] = *b,
                    "output.F" => theta[offset + k] = *f,
                    _ => {}
                }
            }
        }
        let mut potential = WarmPotential::<f64>::new(Isa::current(), shape, None);
        potential.set_parameters(&theta);
        Ok(SourcePotential::new(potential, Scaling::identity(d), cost)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use charflow::cost::{Quadratic, parse};

    fn some() -> Ridges {
        Ridges {
            dim: 2,
            slopes: vec![1.0, 0.5, -0.3, 1.2, 0.0, -1.0],
            offsets: vec![0.1, -0.4, 0.3],
            sizes: vec![0.7, 1.1, 0.4],
            linear: vec![0.6, -0.2],
            beta: 2.0,
        }
    }

    #[test]
    fn the_network_has_the_gradient_of_the_formula() {
        let g = some();
        let network = g.potential(&Quadratic).unwrap();
        for x in [[0.3, -0.8], [2.0, 1.0], [-1.5, 0.2]] {
            let slope = g.gradient(&x);
            for k in 0..2 {
                let at = |h: f64| {
                    let mut x = x.to_vec();
                    x[k] += h;
                    network.values(&x).unwrap()[0]
                };
                let found = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((found - slope[k]).abs() < 1e-8, "{found} {}", slope[k]);
            }
        }
    }

    /// In the coordinates of a metric the map is that of the quadratic cost.
    #[test]
    fn no_rearrangement_of_the_images_is_cheaper() {
        for name in [
            "quadratic",
            "power:3",
            "elastic:0.5",
            "norm-power:1.5",
            "mahalanobis:[[2,0.5],[0.5,1]]",
        ] {
            let cost = parse(name).unwrap();
            let x: Vec<f64> = (0..120)
                .map(|k| (f64::from(k * k % 97) * 0.37).sin() * 2.0)
                .collect();
            let y = some().map(cost.as_ref(), &x);
            let [own, least] = super::super::truth::own_and_least(cost.as_ref(), &x, &y, 2);
            assert!(own - least < 1e-9 * own, "{name}: {own} {least}");
        }
    }

    #[test]
    fn a_product_has_the_slopes_asked_for() {
        let q = |i: usize, z: f64| (1.0 + i as f64) * z.tanh();
        let g = Ridges::product(2, [-4.0, 4.0], 200, q);
        for z in [-2.0, -0.3, 0.0, 0.7, 3.0] {
            let found = g.gradient(&[z, z]);
            for i in 0..2 {
                assert!((found[i] - q(i, z)).abs() < 0.01, "{found:?}");
            }
        }
    }
}

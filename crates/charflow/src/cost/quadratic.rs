//! `l(v) = |v|^2 / 2`, so `H(q) = |q|^2 / 2`, `V(q) = q`, `H'' = I`: the cost of the paper's experiments.
//!
//! The optimal cost is half the squared 2-Wasserstein distance, and the optimal map is the gradient of a convex function.

use super::Cost;

/// The quadratic cost `l(v) = |v|^2 / 2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quadratic;

impl Cost for Quadratic {
    fn name(&self) -> String {
        "quadratic".into()
    }

    fn l(&self, v: &[f64]) -> f64 {
        0.5 * v.iter().map(|v| v * v).sum::<f64>()
    }

    fn hamiltonian(&self, q: &[f64]) -> f64 {
        0.5 * q.iter().map(|q| q * q).sum::<f64>()
    }

    fn velocity(&self, q: &[f64], out: &mut [f64]) {
        out.copy_from_slice(q);
    }

    fn hessian_vec(&self, _q: &[f64], w: &[f64], out: &mut [f64]) {
        out.copy_from_slice(w);
    }

    /// `|s v|^2 / 2 = s^2 |v|^2 / 2`: the cost itself.
    fn rescaled(&self, _scale: f64) -> Box<dyn Cost> {
        Box::new(*self)
    }

    /// `f(s) = s^2`.
    fn cost_factor(&self, scale: f64) -> f64 {
        scale * scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{check_cost, momenta};

    #[test]
    fn identities_and_derivatives() {
        check_cost(&Quadratic, &momenta(3));
        check_cost(&Quadratic, &momenta(1));
        check_cost(&Quadratic, &[vec![1e3, 1e-3, -40.0], vec![-0.7, 0.0, 1e-5]]);
    }
}

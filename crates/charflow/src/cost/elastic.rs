//! `l(v) = |v|^2 / 2 + gamma |v|_1` with `gamma >= 0`, so with `soft(q)_i = sign(q_i) max(|q_i| - gamma, 0)`: `H(q) = |soft(q)|^2 / 2`, `V(q) = soft(q)`, and `H''(q)` keeps
//! the coordinates with `|q_i| > gamma`.
//!
//! Displacements that touch few coordinates: a coordinate whose momentum stays below `gamma` does not move at all (Cuturi, Klein and Ablin, "Monge, Bregman and
//! Occam: interpretable optimal transport in high dimensions with feature-sparse maps", 2023). `gamma` has the unit of a displacement.

use super::{Cost, Quadratic};
use crate::error::{Error, Result};

/// The cost `l(v) = |v|^2 / 2 + gamma |v|_1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Elastic {
    gamma: f64,
}

impl Elastic {
    /// The cost with the given `gamma`, in the unit of the points.
    ///
    /// # Errors
    /// [`Error::Config`] for the field `cost` unless `gamma` is finite and at least 0.
    pub fn new(gamma: f64) -> Result<Self> {
        if gamma >= 0.0 && gamma.is_finite() {
            return Ok(Elastic { gamma });
        }
        Err(Error::config(
            "cost",
            format!(
                "elastic:{gamma}: expected a gamma of at least 0, in the unit of the points; 0 is the quadratic cost, a negative one would pay for moving"
            ),
        ))
    }

    fn soft(&self, q: f64) -> f64 {
        (q.abs() - self.gamma).max(0.0).copysign(q)
    }
}

impl Cost for Elastic {
    fn name(&self) -> String {
        format!("elastic:{}", self.gamma)
    }

    fn l(&self, v: &[f64]) -> f64 {
        v.iter().map(|v| 0.5 * v * v + self.gamma * v.abs()).sum()
    }

    fn hamiltonian(&self, q: &[f64]) -> f64 {
        0.5 * q.iter().map(|&q| self.soft(q).powi(2)).sum::<f64>()
    }

    fn velocity(&self, q: &[f64], out: &mut [f64]) {
        for (out, &q) in out.iter_mut().zip(q) {
            *out = self.soft(q);
        }
    }

    fn hessian_vec(&self, q: &[f64], w: &[f64], out: &mut [f64]) {
        for (out, (q, w)) in out.iter_mut().zip(q.iter().zip(w)) {
            *out = if q.abs() > self.gamma { *w } else { 0.0 };
        }
    }

    /// `l(s v) = s^2 (|v|^2 / 2 + (gamma / s) |v|_1)`; with `gamma = 0` the quadratic cost, whose best linear map is known.
    fn rescaled(&self, scale: f64) -> Box<dyn Cost> {
        if self.gamma == 0.0 {
            return Box::new(Quadratic);
        }
        Box::new(Elastic {
            gamma: self.gamma / scale,
        })
    }

    /// `f(s) = s^2`.
    fn cost_factor(&self, scale: f64) -> f64 {
        scale * scale
    }

    /// With `share` of gamma. Where all momenta are below gamma nothing moves and `H''` is zero: a solve that matches clouds alone would stay there for ever. (The dual stage
    /// does not need it, its gradient is in the values of the potential.)
    fn softened(&self, share: f64) -> Option<Box<dyn Cost>> {
        Some(Box::new(Elastic {
            gamma: share * self.gamma,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{check_cost, momenta};

    #[test]
    fn identities_and_derivatives() {
        // None of the momenta has a coordinate within a step of the kink.
        for gamma in [0.0, 0.5, 0.93] {
            check_cost(&Elastic::new(gamma).unwrap(), &momenta(3));
            check_cost(&Elastic::new(gamma).unwrap(), &momenta(1));
        }
    }

    /// A coordinate stays exactly where it is while its momentum is below gamma, on either side, and at gamma itself.
    #[test]
    fn small_momenta_do_not_move() {
        let cost = Elastic::new(0.5).unwrap();
        let mut v = [f64::NAN; 5];
        cost.velocity(&[0.5, -0.5, 0.499, 0.75, -2.0], &mut v);
        assert_eq!(v, [0.0, 0.0, 0.0, 0.25, -1.5]);
        cost.hessian_vec(&[0.5, -0.5, 0.0, 0.75, -2.0], &[1.0; 5], &mut v);
        assert_eq!(v, [0.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(cost.l(&[-2.0, 0.0, 1.0]), 2.0 + 0.5 + 0.5 * 3.0);
    }

    #[test]
    fn a_gamma_below_zero_is_refused() {
        for gamma in [-0.1, f64::NAN, f64::INFINITY] {
            let message = Elastic::new(gamma).unwrap_err().to_string();
            assert!(message.contains("at least 0"), "{message}");
        }
    }
}

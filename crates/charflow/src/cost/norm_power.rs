//! `l(v) = |v|^a / a` with `a > 1`, so with `1/a + 1/b = 1`: `H(q) = |q|^b / b`, `V(q) = |q|^(b-2) q`, `H''(q) w = |q|^(b-2) (w + (b-2) (n.w) n)` with `n = q / |q|`.
//!
//! The costs of the Wasserstein distances `W_a`: below 2 robust to points far away, above 2 bound by the longest moves. They look the same from every direction.
//!
//! Where `a > 2`, so `b < 2`, `H''` is infinite at `q = 0`. It is taken as at `|q| = 1e-4` below that: `V` itself is exact everywhere.

use super::power::{FLAT, conjugate, raise};
use super::{Cost, Quadratic, norm};
use crate::error::Result;

/// The cost `l(v) = |v|^a / a`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormPower {
    a: f64,
    b: f64,
}

impl NormPower {
    /// The cost of power `a`, from 1.1 to 10.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for the field `cost`, for other powers.
    pub fn new(a: f64) -> Result<Self> {
        Ok(NormPower {
            a,
            b: conjugate("norm-power", a)?,
        })
    }
}

impl Cost for NormPower {
    fn name(&self) -> String {
        format!("norm-power:{}", self.a)
    }

    fn l(&self, v: &[f64]) -> f64 {
        raise(norm(v), self.a) / self.a
    }

    fn hamiltonian(&self, q: &[f64]) -> f64 {
        raise(norm(q), self.b) / self.b
    }

    fn velocity(&self, q: &[f64], out: &mut [f64]) {
        let size = norm(q);
        // At zero a power below 0 is infinite, and the velocity zero.
        let factor = if size > 0.0 {
            raise(size, self.b - 2.0)
        } else {
            0.0
        };
        for (out, q) in out.iter_mut().zip(q) {
            *out = factor * q;
        }
    }

    fn hessian_vec(&self, q: &[f64], w: &[f64], out: &mut [f64]) {
        let size = norm(q);
        let least = if self.b < 2.0 { FLAT } else { 0.0 };
        let factor = raise(size.max(least), self.b - 2.0);
        let along = if size > 0.0 {
            let dot: f64 = q.iter().zip(w).map(|(q, w)| q / size * w).sum();
            (self.b - 2.0) * dot
        } else {
            0.0
        };
        for (out, (q, w)) in out.iter_mut().zip(q.iter().zip(w)) {
            let n = if size > 0.0 { q / size } else { 0.0 };
            *out = factor * (w + along * n);
        }
    }

    /// `l(s v) = s^a l(v)`: the cost itself; of power 2 the quadratic one, whose best linear map is known.
    fn rescaled(&self, _scale: f64) -> Box<dyn Cost> {
        if self.a == 2.0 {
            return Box::new(Quadratic);
        }
        Box::new(*self)
    }

    /// `f(s) = s^a`.
    fn cost_factor(&self, scale: f64) -> f64 {
        raise(scale, self.a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{Power, check_cost, check_zero_and_far_away, momenta};

    #[test]
    fn identities_and_derivatives() {
        for a in [1.1, 1.5, 2.0, 2.7, 3.0, 4.0] {
            check_cost(&NormPower::new(a).unwrap(), &momenta(3));
            check_cost(&NormPower::new(a).unwrap(), &momenta(1));
        }
    }

    #[test]
    fn power_two_is_the_quadratic_cost_and_one_dimension_the_separable_one() {
        let (two, q) = (NormPower::new(2.0).unwrap(), [0.3, -4.0, 0.0]);
        let mut v = [0.0; 3];
        two.velocity(&q, &mut v);
        assert!((two.l(&q) - Quadratic.l(&q)).abs() < 1e-14);
        assert_eq!(v, q);
        let (norm, sum) = (NormPower::new(1.5).unwrap(), Power::new(1.5).unwrap());
        assert!((norm.l(&[-0.7]) - sum.l(&[-0.7])).abs() < 1e-15);
        assert!((norm.hamiltonian(&[-0.7]) - sum.hamiltonian(&[-0.7])).abs() < 1e-15);
    }

    #[test]
    fn zero_and_far_away() {
        for a in [1.1, 1.5, 3.0, 10.0] {
            check_zero_and_far_away(&NormPower::new(a).unwrap());
        }
    }
}

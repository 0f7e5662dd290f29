//! `l(v) = sum_i |v_i|^a / a` with `a > 1`, so with `1/a + 1/b = 1`: `H(q) = sum_i |q_i|^b / b`, `V(q)_i = sign(q_i) |q_i|^(b-1)`, `H''(q) = diag (b-1) |q_i|^(b-2)`.
//!
//! The cost is a sum over coordinates: between product measures the optimal map acts on each coordinate alone. Above 2 long moves cost more and the longest ones are
//! cut first; below 2 they cost less, and a few long moves are preferred to many short ones.
//!
//! Where `a > 2`, so `b < 2`, `H''` is infinite at `q_i = 0`. It is taken as at `|q_i| =` [`FLAT`] below that: `V` itself is exact everywhere.

use super::{Cost, Quadratic};
use crate::error::{Error, Result};

/// The momentum below which the second derivative of a Hamiltonian that has none at zero is taken as constant.
pub(super) const FLAT: f64 = 1e-4;

/// Powers that can be asked for. Nearer to 1 the conjugate power is above 11, and momenta that single precision tells apart move points as if they were the same; above 10
/// the same holds of displacements.
pub(super) const POWERS: std::ops::RangeInclusive<f64> = 1.1..=10.0;

/// A power `a` with its conjugate `b`, checked.
pub(super) fn conjugate(name: &str, a: f64) -> Result<f64> {
    if POWERS.contains(&a) {
        return Ok(a / (a - 1.0));
    }
    let (low, high) = (POWERS.start(), POWERS.end());
    Err(Error::config(
        "cost",
        if a > 1.0 && a < *low {
            format!(
                "{name}:{a}: expected a power from {low} to {high}; {low} is the nearest to the distance itself that single precision can follow"
            )
        } else if a > *high {
            format!("{name}:{a}: expected a power from {low} to {high}")
        } else {
            format!(
                "{name}:{a}: expected a power above 1, from {low} to {high}; at 1 and below the cost is not strictly convex and no map solves the problem"
            )
        },
    ))
}

/// `x^e` for `x >= 0`, never beyond the largest number; the exponents that the powers 1.5, 2 and 3 make need no logarithm.
pub(super) fn raise(x: f64, e: f64) -> f64 {
    let y = if e == 0.0 {
        1.0
    } else if e == 0.5 {
        x.sqrt()
    } else if e == -0.5 {
        1.0 / x.sqrt()
    } else if e == 1.0 {
        x
    } else if e == 1.5 {
        x * x.sqrt()
    } else if e == 2.0 {
        x * x
    } else if e == 3.0 {
        x * x * x
    } else {
        x.powf(e)
    };
    // An infinite factor times a coordinate that is zero would not be a number.
    y.min(f64::MAX)
}

/// The separable power cost `l(v) = sum_i |v_i|^a / a`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Power {
    a: f64,
    b: f64,
}

impl Power {
    /// The cost of power `a`, from 1.1 to 10.
    ///
    /// # Errors
    /// [`Error::Config`] for the field `cost`, for other powers.
    pub fn new(a: f64) -> Result<Self> {
        Ok(Power {
            a,
            b: conjugate("power", a)?,
        })
    }
}

impl Cost for Power {
    fn name(&self) -> String {
        format!("power:{}", self.a)
    }

    fn l(&self, v: &[f64]) -> f64 {
        v.iter().map(|v| raise(v.abs(), self.a)).sum::<f64>() / self.a
    }

    fn hamiltonian(&self, q: &[f64]) -> f64 {
        q.iter().map(|q| raise(q.abs(), self.b)).sum::<f64>() / self.b
    }

    fn velocity(&self, q: &[f64], out: &mut [f64]) {
        for (out, q) in out.iter_mut().zip(q) {
            *out = raise(q.abs(), self.b - 1.0).copysign(*q);
        }
    }

    fn hessian_vec(&self, q: &[f64], w: &[f64], out: &mut [f64]) {
        let least = if self.b < 2.0 { FLAT } else { 0.0 };
        for (out, (q, w)) in out.iter_mut().zip(q.iter().zip(w)) {
            *out = raise(q.abs().max(least), self.b - 2.0) * ((self.b - 1.0) * w);
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
    use crate::cost::{check_cost, check_zero_and_far_away, momenta};

    #[test]
    fn identities_and_derivatives() {
        for a in [1.1, 1.5, 2.0, 2.7, 3.0, 4.0] {
            check_cost(&Power::new(a).unwrap(), &momenta(3));
            check_cost(&Power::new(a).unwrap(), &momenta(1));
        }
    }

    #[test]
    fn power_two_is_the_quadratic_cost() {
        let (two, q) = (Power::new(2.0).unwrap(), [0.3, -4.0, 0.0]);
        let mut v = [0.0; 3];
        two.velocity(&q, &mut v);
        assert_eq!(
            (two.l(&q), two.hamiltonian(&q)),
            (Quadratic.l(&q), Quadratic.l(&q))
        );
        assert_eq!(v, q);
    }

    #[test]
    fn zero_and_far_away() {
        for a in [1.1, 1.5, 3.0, 10.0] {
            check_zero_and_far_away(&Power::new(a).unwrap());
        }
    }

    #[test]
    fn powers_that_will_not_do() {
        for (a, part) in [
            (1.0, "above 1"),
            (0.5, "above 1"),
            (-3.0, "above 1"),
            (f64::NAN, "above 1"),
            (1.01, "1.1 is the nearest"),
            (11.0, "1.1 to 10"),
            (f64::INFINITY, "1.1 to 10"),
        ] {
            let message = Power::new(a).unwrap_err().to_string();
            assert!(
                message.contains(part) && message.contains("`cost`"),
                "{message}"
            );
        }
    }
}

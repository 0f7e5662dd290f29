//! `l(v) = s^2 (1 - sqrt(1 - |v|^2 / s^2))` for `|v| <= s`, infinite beyond, so `H(q) = s^2 (sqrt(1 + |q|^2 / s^2) - 1)`, `V(q) = q / e`,
//! `H''(q) w = (w - q (q.w) / (s e)^2) / e` with `e = sqrt(1 + |q|^2 / s^2)`.
//!
//! No point moves further than `s` in unit time, whatever its momentum; short moves cost as under the quadratic cost (Brenier, "Extended Monge-Kantorovich theory",
//! 2003; McCann and Puel, "Constructing a relativistic heat flow by transport time steps", 2009). `s` has the unit of a displacement.

use super::{Cost, norm};
use crate::error::{Error, Result};

/// The cost `l(v) = s^2 (1 - sqrt(1 - |v|^2 / s^2))`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relativistic {
    speed: f64,
    /// A displacement longer than the speed by this much counts as equally long.
    slack: f64,
}

/// What single precision makes of a displacement by rounding its two ends: a share of the speed, and in solver units, where points are a few units from zero, at least a length.
const ROUNDING: f64 = 1e-5;

impl Relativistic {
    /// The cost with the given speed limit, in the unit of the points.
    ///
    /// # Errors
    /// [`Error::Config`] for the field `cost` unless the speed is finite and above 0.
    pub fn new(speed: f64) -> Result<Self> {
        if speed > 0.0 && speed.is_finite() {
            return Ok(Relativistic {
                speed,
                slack: ROUNDING * speed,
            });
        }
        Err(Error::config(
            "cost",
            format!(
                "relativistic:{speed}: expected a speed above 0, in the unit of the points: the furthest that any of them may move"
            ),
        ))
    }

    /// `|x| / s`.
    fn ratio(&self, x: &[f64]) -> f64 {
        norm(x) / self.speed
    }
}

impl Cost for Relativistic {
    fn name(&self) -> String {
        format!("relativistic:{}", self.speed)
    }

    fn l(&self, v: &[f64]) -> f64 {
        let ratio = self.ratio(v);
        if ratio > 1.0 + self.slack / self.speed {
            return f64::INFINITY;
        }
        // The same as s^2 (1 - sqrt(1 - ratio^2)), without the difference of two numbers near one.
        let square = ratio.min(1.0).powi(2);
        self.speed * self.speed * square / (1.0 + (1.0 - square).sqrt())
    }

    fn hamiltonian(&self, q: &[f64]) -> f64 {
        let ratio = self.ratio(q);
        // With one factor of the square in front of the root, so that nothing overflows before H itself does.
        self.speed * self.speed * ratio * (ratio / (1.0 + 1.0_f64.hypot(ratio)))
    }

    fn velocity(&self, q: &[f64], out: &mut [f64]) {
        let energy = 1.0_f64.hypot(self.ratio(q));
        for (out, q) in out.iter_mut().zip(q) {
            *out = q / energy;
        }
    }

    fn hessian_vec(&self, q: &[f64], w: &[f64], out: &mut [f64]) {
        let energy = 1.0_f64.hypot(self.ratio(q));
        // q / (s e) has at most length one.
        let unit = |q: f64| q / self.speed / energy;
        let along: f64 = q.iter().zip(w).map(|(q, w)| unit(*q) * w).sum();
        for (out, (q, w)) in out.iter_mut().zip(q.iter().zip(w)) {
            *out = (w - unit(*q) * along) / energy;
        }
    }

    /// `l(c v) = c^2 (s/c)^2 (1 - sqrt(1 - |v|^2 / (s/c)^2))` for a scale `c`.
    fn rescaled(&self, scale: f64) -> Box<dyn Cost> {
        let speed = self.speed / scale;
        Box::new(Relativistic {
            speed,
            slack: ROUNDING * speed.max(1.0),
        })
    }

    /// `f(c) = c^2` for a scale `c`.
    fn cost_factor(&self, scale: f64) -> f64 {
        scale * scale
    }

    fn reach(&self) -> f64 {
        self.speed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{Quadratic, check_cost, momenta};

    #[test]
    fn identities_and_derivatives() {
        for speed in [0.3, 1.0, 2.0, 50.0] {
            check_cost(&Relativistic::new(speed).unwrap(), &momenta(3));
            check_cost(&Relativistic::new(speed).unwrap(), &momenta(1));
        }
    }

    #[test]
    fn no_point_moves_faster_and_slow_ones_move_as_under_the_quadratic_cost() {
        let cost = Relativistic::new(2.0).unwrap();
        let mut v = [f64::NAN; 3];
        for far in [10.0, 1e6, 1e100, 1e200, 1e300] {
            cost.velocity(&[far, 0.0, -far], &mut v);
            assert!(
                Quadratic.l(&v) <= 2.0 * (1.0 + 1e-12) && v[1] == 0.0,
                "{v:?}"
            );
            // Very fast ones nearly as fast as allowed.
            assert!(
                far < 1e5 || Quadratic.l(&v) > 2.0 * (1.0 - 1e-10),
                "{far}: {v:?}"
            );
            assert!(cost.l(&v).is_finite());
            assert!(cost.hamiltonian(&[far, 0.0, -far]) > 0.0);
            cost.hessian_vec(&[far, 0.0, -far], &[1.0, 1.0, 0.0], &mut v);
            assert!(v.iter().all(|x| x.is_finite()), "{far}: {v:?}");
        }
        let slow = [1e-4, -2e-4, 0.0];
        assert!((cost.l(&slow) / Quadratic.l(&slow) - 1.0).abs() < 1e-8);
        assert_eq!(cost.l(&[2.0, 0.0, 0.0]), 4.0);
        assert_eq!(cost.l(&[2.1, 0.0, 0.0]), f64::INFINITY);
        assert_eq!(cost.l(&[0.0; 3]), 0.0);
        cost.velocity(&[0.0; 3], &mut v);
        assert_eq!(v, [0.0; 3]);
    }

    #[test]
    fn a_speed_of_zero_or_less_is_refused() {
        for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let message = Relativistic::new(speed).unwrap_err().to_string();
            assert!(message.contains("above 0"), "{message}");
        }
    }
}

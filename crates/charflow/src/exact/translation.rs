//! Shifts: `T(x) = x + a`, optimal between `mu` and its own shift for every convex cost.
//!
//! ```text
//! u(x, t) = p.(x - c) - t H(p),      V(p) = a,      grad u = p,      u_t + H(grad u) = 0
//! ```
//!
//! By Jensen's inequality: `E l(T(x) - x) >= l(E T(x) - E x) = l(a)` for any map between them. Between other clouds it is the start of a solve whose cost has no linear map in
//! closed form: it carries the mean of the source to that of the target and is no more wrong than that.

use crate::cost::Cost;

/// The potential of a shift by `V(p)`; in solver units where a solve uses it.
#[derive(Clone, Debug, PartialEq)]
pub struct Translation {
    centre: Vec<f64>,
    momentum: Vec<f64>,
    energy: f64,
}

/// Under a cost that lets coordinates rest a shift of one by less than this counts as none, in solver units, where the points have a variance of about one: the noise of a
/// mean is no reason to wake it.
const NO_SHIFT: f64 = 0.05;

impl Translation {
    /// The shift that carries the mean `from: [d]` to the mean `to: [d]`, all in the units of `cost`, those of the solver.
    ///
    /// `p` is `grad l` at the shift, by central differences: the equation holds exactly for whatever `p`, the shift to about nine digits. A shift beyond what the cost allows is cut.
    #[must_use]
    pub fn between(from: &[f64], to: &[f64], cost: &dyn Cost) -> Self {
        // What may rest is what needs softening to wake.
        let rests = cost.softened(1.0).is_some();
        let shift: Vec<f64> = from
            .iter()
            .zip(to)
            .map(|(a, b)| b - a)
            .map(|v| if rests && v.abs() < NO_SHIFT { 0.0 } else { v })
            .collect();
        let length = shift.iter().map(|v| v * v).sum::<f64>().sqrt();
        let longest = 0.9 * cost.reach();
        let cut = if length > longest {
            longest / length
        } else {
            1.0
        };
        let shift: Vec<f64> = shift.iter().map(|v| cut * v).collect();
        let momentum: Vec<f64> = (0..shift.len())
            .map(|i| {
                let step = 1e-5 * (1.0 + shift[i].abs());
                let at = |h: f64| {
                    let mut v = shift.clone();
                    v[i] += h;
                    cost.l(&v)
                };
                let slope = (at(step) - at(-step)) / (2.0 * step);
                if slope.is_finite() { slope } else { 0.0 }
            })
            .collect();
        Translation {
            centre: from.to_vec(),
            energy: cost.hamiltonian(&momentum),
            momentum,
        }
    }

    /// The dimension `d`.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.centre.len()
    }

    /// `c: [d]`, where `u(., 0)` is zero.
    #[must_use]
    pub fn centre(&self) -> &[f64] {
        &self.centre
    }

    /// `p: [d]`.
    #[must_use]
    pub fn momentum(&self) -> &[f64] {
        &self.momentum
    }

    /// `H(p)`.
    #[must_use]
    pub fn energy(&self) -> f64 {
        self.energy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::parse;

    #[test]
    fn the_momentum_of_a_shift_moves_by_that_shift() {
        let (from, to) = ([0.5, -1.0, 0.0], [1.5, -1.7, 0.0]);
        for cost in [
            "quadratic",
            "norm-power:1.5",
            "norm-power:3",
            "power:1.5",
            "power:3",
            "elastic:0.7",
            "relativistic:2.0",
        ] {
            let cost = parse(cost).unwrap();
            let map = Translation::between(&from, &to, cost.as_ref());
            let mut v = [f64::NAN; 3];
            cost.velocity(map.momentum(), &mut v);
            for i in 0..3 {
                assert!((v[i] - (to[i] - from[i])).abs() < 1e-7, "{cost:?}: {v:?}");
            }
            // Fenchel at the shift: the dual value of this potential is the cost of the shift.
            let p_v: f64 = map.momentum().iter().zip(&v).map(|(p, v)| p * v).sum();
            assert!((p_v - map.energy() - cost.l(&v)).abs() < 1e-8);
        }
    }

    #[test]
    fn noise_does_not_wake_a_coordinate_that_rests_and_no_shift_is_beyond_reach() {
        let elastic = parse("elastic:0.7").unwrap();
        let map = Translation::between(&[0.0, 0.0], &[0.01, 1.0], elastic.as_ref());
        assert_eq!(map.momentum()[0], 0.0);
        let slow = parse("relativistic:0.5").unwrap();
        let map = Translation::between(&[0.0, 0.0], &[3.0, 4.0], slow.as_ref());
        let mut v = [0.0; 2];
        slow.velocity(map.momentum(), &mut v);
        assert!(
            (v[0] - 0.27).abs() < 1e-4 && (v[1] - 0.36).abs() < 1e-4,
            "{v:?}"
        );
    }
}

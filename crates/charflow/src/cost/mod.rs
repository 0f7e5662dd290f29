//! Transport costs `c(x, y) = l(y - x)`, with `l: R^d -> R` convex.
//!
//! A cost enters the method through four functions of a displacement `v` or a momentum `q`, both in `R^d`:
//!
//! | | formula | where |
//! |---|---|---|
//! | cost | `l(v)` | the implicit solution formula \[9\], the transport cost \[1\] |
//! | Hamiltonian | `H(q) = sup_v q.v - l(v)` | Hamilton-Jacobi equation `u_t + H(grad u) = 0` \[5\] |
//! | velocity | `V(q) = grad H(q)` | characteristics `x + t V(p)` \[6\], the maps \[7, 8\] |
//! | Hessian-vector product | `H''(q) w` | seeds of the parameter gradient |
//!
//! They hang together by Fenchel's equality `q.V(q) - H(q) = l(V(q))`, which the tests hold every cost to.
//!
//! One file a cost. To add one: write the file beside `quadratic.rs`, and its line in [`parse`].

mod quadratic;

pub use quadratic::Quadratic;

use crate::error::{Error, Result};
use std::fmt;

/// A convex cost of a displacement, with its Legendre transform.
///
/// All slices have length `d`; `out` is overwritten. Inputs are finite, lengths agree: nothing is checked here.
pub trait Cost: Send + Sync + fmt::Debug {
    /// The name as [`parse`] reads it, settings included: `parse(cost.name())` gives the cost back.
    fn name(&self) -> String;

    /// `l(v)`, the cost of the displacement `v: [d]`.
    fn l(&self, v: &[f64]) -> f64;

    /// `H(q) = sup_v q.v - l(v)` of the momentum `q: [d]`.
    fn hamiltonian(&self, q: &[f64]) -> f64;

    /// `V(q) = grad H(q)`, the displacement of momentum `q: [d]`, into `out: [d]`.
    fn velocity(&self, q: &[f64], out: &mut [f64]);

    /// `H''(q) w` into `out: [d]`, with `q, w: [d]`.
    fn hessian_vec(&self, q: &[f64], w: &[f64], out: &mut [f64]);

    /// The cost that acts in solver units: the `l_s` with `l(s v) = f(s) l_s(v)`, where `f` is [`Cost::cost_factor`].
    ///
    /// The solver works on `z = (x - shift) / s`. A displacement `v` of `z` is `s v` in the user's units, so `l_s` has
    /// the same optimal maps on `z` as `l` has on `x`. With `u_s` its potential, the user's potential and momentum are
    /// `u = f(s) u_s`, `p = (f(s) / s) p_s`, and `V(p) = s V_s(p_s)`, `H(p) = f(s) H_s(p_s)`.
    fn rescaled(&self, scale: f64) -> Box<dyn Cost>;

    /// The factor `f(s) > 0` of the law `l(s v) = f(s) l_s(v)`; see [`Cost::rescaled`].
    fn cost_factor(&self, scale: f64) -> f64;
}

/// The costs that [`parse`] knows: how each is written, and its formula.
pub const KNOWN: &[(&str, &str)] = &[("quadratic", "l(v) = |v|^2 / 2")];

/// The cost written as `text`, for instance `quadratic`.
///
/// # Errors
/// [`Error::Config`] for the field `cost`, with the list of what exists and how to write it.
pub fn parse(text: &str) -> Result<Box<dyn Cost>> {
    match text.trim() {
        "quadratic" => Ok(Box::new(Quadratic)),
        other => {
            let known: Vec<String> = KNOWN
                .iter()
                .map(|(name, formula)| format!("`{name}` for {formula}"))
                .collect();
            Err(Error::config(
                "cost",
                format!(
                    "there is no cost \"{other}\"; the costs are written {}",
                    known.join(", ")
                ),
            ))
        }
    }
}

/// Checks that every cost has to pass: Fenchel's equality, derivatives against central differences, the law of scaling.
#[cfg(test)]
pub(crate) fn check_cost(cost: &dyn Cost, momenta: &[Vec<f64>]) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for q in momenta {
        let d = q.len();
        let mut v = vec![f64::NAN; d];
        cost.velocity(q, &mut v);

        // Fenchel: equality at V(q), inequality elsewhere.
        let (h, l) = (cost.hamiltonian(q), cost.l(&v));
        assert!((dot(q, &v) - h - l).abs() <= 1e-13 * (1.0 + h.abs() + l.abs()));
        for other in momenta.iter().filter(|other| other.len() == d) {
            assert!(dot(q, other) - h <= cost.l(other) + 1e-12 * (1.0 + h.abs()));
        }

        // V = grad H and H'' w = dV/dw against central differences with a step of eps^(1/3).
        let size = 1.0 + q.iter().fold(0.0_f64, |m, &a| m.max(a.abs()));
        let step = 6e-6 * size;
        for i in 0..d {
            let (mut plus, mut minus) = (q.clone(), q.clone());
            plus[i] += step;
            minus[i] -= step;
            let slope = (cost.hamiltonian(&plus) - cost.hamiltonian(&minus)) / (2.0 * step);
            assert!(
                (slope - v[i]).abs() <= 1e-8 * size,
                "V: {slope} against {}",
                v[i]
            );
        }
        let w: Vec<f64> = (0..d).map(|i| 0.3 + ((i * 7) % 5) as f64 - 2.0).collect();
        let at = |sign: f64| {
            let moved: Vec<f64> = q.iter().zip(&w).map(|(q, w)| q + sign * step * w).collect();
            let mut v = vec![0.0; d];
            cost.velocity(&moved, &mut v);
            v
        };
        let (plus, minus) = (at(1.0), at(-1.0));
        let mut product = vec![f64::NAN; d];
        cost.hessian_vec(q, &w, &mut product);
        for i in 0..d {
            let slope = (plus[i] - minus[i]) / (2.0 * step);
            assert!(
                (slope - product[i]).abs() <= 1e-8 * size,
                "H''w: {slope} against {}",
                product[i]
            );
        }

        // The law of scaling, and what follows from it for H and V.
        for s in [1e-6, 0.3, 1.0, 1e6] {
            let (f, inner) = (cost.cost_factor(s), cost.rescaled(s));
            assert!(f > 0.0);
            let moved: Vec<f64> = v.iter().map(|v| s * v).collect();
            let (left, right) = (cost.l(&moved), f * inner.l(&v));
            assert!((left - right).abs() <= 1e-12 * left.abs());
            let user: Vec<f64> = q.iter().map(|q| f / s * q).collect();
            let (left, right) = (cost.hamiltonian(&user), f * inner.hamiltonian(q));
            assert!((left - right).abs() <= 1e-12 * left.abs());
            let (mut left, mut right) = (vec![0.0; d], vec![0.0; d]);
            cost.velocity(&user, &mut left);
            inner.velocity(q, &mut right);
            for i in 0..d {
                assert!((left[i] - s * right[i]).abs() <= 1e-12 * left[i].abs());
            }
        }
    }
    let again = parse(&cost.name()).expect("a cost's name is how it is written");
    assert_eq!(again.name(), cost.name());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_cost_is_answered_with_the_known_ones() {
        let message = parse("manhattan").unwrap_err().to_string();
        assert!(message.contains("`cost`"), "{message}");
        assert!(message.contains("manhattan"), "{message}");
        for (name, formula) in KNOWN {
            assert!(
                message.contains(name) && message.contains(formula),
                "{message}"
            );
            assert_eq!(parse(name).unwrap().name(), *name);
        }
        assert_eq!(parse(" quadratic\n").unwrap().name(), "quadratic");
        assert!(parse("").is_err());
    }
}

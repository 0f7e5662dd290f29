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
//! One file a cost. To add one: write the file beside `quadratic.rs`, and its lines in [`KNOWN`] and [`parse`]. A cost of your own needs no place here: implement
//! [`Cost`] and give it to [`crate::Problem::new`], as `examples/own_cost.rs` does.

mod coordinates;
mod elastic;
mod mahalanobis;
mod norm_power;
mod power;
mod quadratic;
mod relativistic;

pub use coordinates::Coordinates;
pub use elastic::Elastic;
pub use mahalanobis::Mahalanobis;
pub use norm_power::NormPower;
pub use power::Power;
pub use quadratic::Quadratic;
pub use relativistic::Relativistic;

use crate::error::{Error, Result};
use std::fmt;

/// A convex cost of a displacement, with its Legendre transform.
///
/// All slices have length `d`; `out` is overwritten. Inputs are finite, lengths agree: nothing is checked here. Outputs are never NaN; `l` is infinite where the cost
/// forbids a displacement.
pub trait Cost: Send + Sync + fmt::Debug {
    /// The name, settings included. For a cost of this library it is as [`parse`] reads it, `parse(cost.name())` gives the cost back; one of your own may be called anything else.
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
    ///
    /// With [`Cost::coordinates`] `B` the solver works on `z = (B x - shift) / s`, a displacement is `s B^-1 v`, and the laws are `l(s B^-1 v) = f(s) l_s(v)`,
    /// `p = (f(s) / s) B' p_s`, `V(p) = s B^-1 V_s(p_s)`.
    fn rescaled(&self, scale: f64) -> Box<dyn Cost>;

    /// The factor `f(s) > 0` of the law `l(s v) = f(s) l_s(v)`; see [`Cost::rescaled`].
    fn cost_factor(&self, scale: f64) -> f64;

    /// The dimension of the points, if the cost is for one alone.
    fn dim(&self) -> Option<usize> {
        None
    }

    /// The length of a displacement beyond which `l` is infinite.
    fn reach(&self) -> f64 {
        f64::INFINITY
    }

    /// A cost near this one to begin a solve with, for `share` from 0 to 1, at 1 this one; for a cost under which points may rest in such a way that no gradient of the
    /// distances between the clouds wakes them. Of the rescaled cost, that of the solver.
    fn softened(&self, _share: f64) -> Option<Box<dyn Cost>> {
        None
    }

    /// Linear coordinates to solve in, if there are better ones than the columns; [`Cost::rescaled`] is then the cost in those.
    fn coordinates(&self) -> Option<&Coordinates> {
        None
    }
}

/// Two different names for one sentence, by [`short`]: of two matrices the second is called another one.
#[must_use]
pub fn short_pair(a: &str, b: &str) -> (String, String) {
    match (short(a), short(b)) {
        (a, b) if a == b => (a, "another matrix".into()),
        both => both,
    }
}

/// `|v|`, without overflow on the way.
fn norm(v: &[f64]) -> f64 {
    let largest = v.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    largest * v.iter().map(|v| (v / largest).powi(2)).sum::<f64>().sqrt()
}

/// Whether a cost is the quadratic one, as it stands.
pub(crate) fn is_quadratic(cost: &dyn Cost) -> bool {
    cost.name() == Quadratic.name()
}

/// Whether the best linear map under a cost is known in closed form: it is the quadratic one in its own coordinates.
pub(crate) fn has_linear_maps(cost: &dyn Cost) -> bool {
    is_quadratic(cost.rescaled(1.0).as_ref())
}

/// The costs that [`parse`] knows: how each is written, and its formula.
pub const KNOWN: &[(&str, &str)] = &[
    ("quadratic", "l(v) = |v|^2 / 2"),
    (
        "mahalanobis:[[2,0.5],[0.5,1]]",
        "l(v) = v'Av / 2, from a file of the command with mahalanobis:FILE",
    ),
    ("norm-power:1.5", "l(v) = |v|^a / a, a > 1"),
    ("power:3", "l(v) = sum_i |v_i|^a / a, a > 1"),
    (
        "elastic:0.5",
        "l(v) = |v|^2 / 2 + gamma sum_i |v_i|, gamma >= 0",
    ),
    (
        "relativistic:2.0",
        "l(v) = s^2 (1 - sqrt(1 - |v|^2 / s^2)), no move further than s > 0",
    ),
];

/// The cost written as `text`, for instance `quadratic` or `elastic:0.5`. Parameters are in the user's units.
///
/// # Errors
/// [`Error::Config`] for the field `cost`: an unknown cost, with the list of what exists and how to write it; a parameter that is missing, no number, or out of range.
pub fn parse(text: &str) -> Result<Box<dyn Cost>> {
    let text = text.trim();
    let (kind, setting) = match text.split_once(':') {
        Some((kind, setting)) => (kind, Some(setting.trim())),
        None => (text, None),
    };
    let number = |what: &str, example: &str| -> Result<f64> {
        let given = setting.unwrap_or_default();
        given.parse().map_err(|_| {
            Error::config(
                "cost",
                format!(
                    "\"{text}\" needs {what} after the colon, {}; written for instance {example}",
                    if given.is_empty() {
                        "and there is none".to_string()
                    } else {
                        format!("and \"{given}\" is no number")
                    }
                ),
            )
        })
    };
    Ok(match kind {
        "quadratic" if setting.is_none() => Box::new(Quadratic),
        "mahalanobis" => Box::new(Mahalanobis::parse(setting.unwrap_or_default())?),
        "norm-power" => Box::new(NormPower::new(number("its power", "norm-power:1.5")?)?),
        "power" => Box::new(Power::new(number("its power", "power:3")?)?),
        "elastic" => Box::new(Elastic::new(number("its gamma", "elastic:0.5")?)?),
        "relativistic" => Box::new(Relativistic::new(number("its speed", "relativistic:2.0")?)?),
        _ => {
            let known: Vec<String> = KNOWN
                .iter()
                .map(|(name, formula)| format!("`{name}` for {formula}"))
                .collect();
            return Err(Error::config(
                "cost",
                format!(
                    "there is no cost \"{text}\"; the costs are written {}",
                    known.join("; ")
                ),
            ));
        }
    })
}

/// A cost's name for a table or a sentence: [`Cost::name`] with a matrix left out.
#[must_use]
pub fn short(name: &str) -> String {
    match name.split_once(":[") {
        Some((kind, rows)) => match rows.matches('[').count() {
            1 => format!("{kind} (matrix of 1 row)"),
            d => format!("{kind} (matrix of {d} rows)"),
        },
        None => name.into(),
    }
}

/// Momenta of `d` coordinates to check a cost at, small and large, none of them zero.
#[cfg(test)]
pub(crate) fn momenta(d: usize) -> Vec<Vec<f64>> {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(17);
    let mut one = |scale: f64| -> Vec<f64> {
        (0..d)
            .map(|_| {
                let size: f64 = rng.random_range(0.3..2.0);
                if rng.random_range(0.0..1.0) < 0.5 {
                    scale * size
                } else {
                    -scale * size
                }
            })
            .collect()
    };
    (0..30)
        .map(|i| one([1.0, 1.0, 0.3, 2.0, 1.5][i % 5]))
        .collect()
}

/// Checks that every cost has to pass, away from its kinks: Fenchel's equality, derivatives against differences, convexity of `H`, the law of scaling.
#[cfg(test)]
pub(crate) fn check_cost(cost: &dyn Cost, momenta: &[Vec<f64>]) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let near = |a: f64, b: f64, tolerance: f64| {
        assert!(
            (a - b).abs() <= tolerance * (1.0 + a.abs() + b.abs()),
            "{}: {a} against {b}",
            cost.name()
        );
    };
    // Error h^4, so that powers with large higher derivatives pass at 1e-8.
    let slope = |f: &dyn Fn(f64) -> f64, h: f64| {
        (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)
    };
    for (number, q) in momenta.iter().enumerate() {
        let d = q.len();
        let mut v = vec![f64::NAN; d];
        cost.velocity(q, &mut v);

        // Fenchel: equality at V(q), inequality elsewhere.
        let (h, l) = (cost.hamiltonian(q), cost.l(&v));
        near(dot(q, &v) - h, l, 1e-13);
        for other in momenta.iter().filter(|other| other.len() == d) {
            assert!(dot(q, other) - h <= cost.l(other) + 1e-12 * (1.0 + h.abs()));
            // H lies below its chords, strictly above nothing: the middle of any two momenta.
            let middle: Vec<f64> = q.iter().zip(other).map(|(a, b)| 0.5 * (a + b)).collect();
            let chord = 0.5 * (h + cost.hamiltonian(other));
            assert!(cost.hamiltonian(&middle) <= chord + 1e-12 * (1.0 + chord.abs()));
        }

        // V = grad H and H'' w = dV/dw.
        let size = q.iter().fold(0.0_f64, |m, &a| m.max(a.abs()));
        let step = 2e-4 * size;
        for i in 0..d {
            let at = |h: f64| {
                let mut moved = q.clone();
                moved[i] += h;
                cost.hamiltonian(&moved)
            };
            near(slope(&at, step), v[i], 1e-8);
        }
        let w: Vec<f64> = (0..d)
            .map(|i| 0.3 + ((i * 7 + number) % 5) as f64 - 2.0)
            .collect();
        let mut product = vec![f64::NAN; d];
        cost.hessian_vec(q, &w, &mut product);
        for i in 0..d {
            let at = |h: f64| {
                let moved: Vec<f64> = q.iter().zip(&w).map(|(q, w)| q + h * w).collect();
                let mut v = vec![0.0; d];
                cost.velocity(&moved, &mut v);
                v[i]
            };
            near(slope(&at, 0.1 * step), product[i], 1e-8);
        }
        assert!(dot(&w, &product) >= 0.0, "H is convex");

        // The law of scaling, and what follows from it for H and V. `B' p` is `(B w).p` for unit vectors `w`.
        let enter = |x: &mut [f64]| {
            if let Some(c) = cost.coordinates() {
                c.enter(x);
            }
        };
        let leave = |x: &mut [f64]| {
            if let Some(c) = cost.coordinates() {
                c.leave(x);
            }
        };
        for s in [1e-3, 0.3, 1.0, 1e3] {
            let (f, inner) = (cost.cost_factor(s), cost.rescaled(s));
            assert!(f > 0.0);
            let mut moved = vec![0.0; d];
            inner.velocity(q, &mut moved);
            let left_of = f * inner.l(&moved);
            let displaced: Vec<f64> = {
                let mut x: Vec<f64> = moved.iter().map(|v| s * v).collect();
                leave(&mut x);
                x
            };
            let relative = |a: f64, b: f64| {
                assert!(
                    (a - b).abs() <= 1e-11 * a.abs(),
                    "{}: {a} against {b}",
                    cost.name()
                );
            };
            relative(left_of, cost.l(&displaced));
            let user: Vec<f64> = (0..d)
                .map(|i| {
                    let mut unit = vec![0.0; d];
                    unit[i] = 1.0;
                    enter(&mut unit);
                    f / s * dot(&unit, q)
                })
                .collect();
            relative(cost.hamiltonian(&user), f * inner.hamiltonian(q));
            let mut image = vec![0.0; d];
            cost.velocity(&user, &mut image);
            let largest = image.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
            for i in 0..d {
                assert!((image[i] - displaced[i]).abs() <= 1e-11 * largest);
            }
        }
    }
    // At rest nothing moves, nothing is paid.
    let d = momenta[0].len();
    let zero = vec![0.0; d];
    let mut out = vec![f64::NAN; d];
    cost.velocity(&zero, &mut out);
    assert_eq!(out, zero);
    assert_eq!((cost.l(&zero), cost.hamiltonian(&zero)), (0.0, 0.0));
    cost.hessian_vec(&zero, &vec![1.0; d], &mut out);
    assert!(out.iter().all(|x| x.is_finite()));

    let again = parse(&cost.name()).expect("a cost's name is how it is written");
    assert_eq!(again.name(), cost.name());
    let (v, mut a, mut b) = (&momenta[0], vec![0.0; d], vec![0.0; d]);
    cost.velocity(v, &mut a);
    again.velocity(v, &mut b);
    assert_eq!(a, b, "the name holds every digit");
}

/// Checks of an even cost at rest and at momenta near the end of the numbers: nothing is NaN, a coordinate without momentum stays.
#[cfg(test)]
pub(crate) fn check_zero_and_far_away(cost: &dyn Cost) {
    let mut out = [f64::NAN; 3];
    cost.velocity(&[0.0; 3], &mut out);
    assert_eq!(out, [0.0; 3]);
    cost.hessian_vec(&[0.0; 3], &[1.0, -1.0, 0.0], &mut out);
    assert!(out.iter().all(|x| x.is_finite()), "{cost:?}: {out:?}");
    assert_eq!((cost.l(&[0.0; 3]), cost.hamiltonian(&[0.0; 3])), (0.0, 0.0));
    for far in [1e30, 1e300] {
        cost.velocity(&[far, 0.0, -far], &mut out);
        assert!(
            out[0] > 0.0 && out[1] == 0.0 && out[2] == -out[0],
            "{cost:?}: {out:?}"
        );
        cost.hessian_vec(&[far, 0.0, -far], &[0.0, 1.0, 0.0], &mut out);
        assert!(out.iter().all(|x| !x.is_nan()), "{cost:?}: {out:?}");
    }
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
            let again = parse(name).unwrap().name();
            assert_eq!(parse(&again).unwrap().name(), again);
        }
        assert_eq!(parse(" quadratic\n").unwrap().name(), "quadratic");
        assert_eq!(parse("relativistic: 2.0").unwrap().name(), "relativistic:2");
        assert!(parse("").is_err());
        assert!(parse("quadratic:2").is_err());
    }

    #[test]
    fn settings_that_are_missing_or_no_numbers_are_named() {
        for (text, parts) in [
            (
                "power",
                &["needs its power", "there is none", "power:3"][..],
            ),
            ("norm-power:", &["needs its power", "norm-power:1.5"]),
            ("elastic:lots", &["its gamma", "lots", "no number"]),
            ("relativistic:1,5", &["its speed", "1,5"]),
            ("mahalanobis", &["no matrix", "FILE"]),
            ("power:1", &["above 1"]),
            ("norm-power:0.5", &["above 1"]),
            ("elastic:-1", &["at least 0"]),
            ("relativistic:0", &["above 0"]),
        ] {
            let message = parse(text).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{message}");
            }
        }
    }

    #[test]
    fn a_matrix_is_left_out_of_the_short_name() {
        assert_eq!(
            short("mahalanobis:[[2,0.5],[0.5,1]]"),
            "mahalanobis (matrix of 2 rows)"
        );
        assert_eq!(short("elastic:0.5"), "elastic:0.5");
    }
}

//! Kantorovich's dual value as a loss, from either end of one potential, and the ties that keep both maps in closed form.
//!
//! With `g = u(., 0)`, `f = u(., 1)` and the transforms of [`crate::characteristic::conjugate`],
//!
//! ```text
//! D_s = E_nu[ g^c(y) ] - E_mu[ g(x) ]        g^c(y) = min_x g(x) + l(y - x),  attained at x*(y)        from the source's end
//! D_t = E_nu[ f(y) ] - E_mu[ f_c(x) ]        f_c(x) = max_y f(y) - l(y - x),  attained at y*(x)        from the target's end
//! ```
//!
//! Either is at most the optimal cost, whatever `u` is, and equal to it at the solution: weak and strong duality. (With searches that are cut short, up to what they missed. They stay
//! within a ball that holds the data, so this is said of laws in that ball; the certificate searches on, and everywhere.) So it is ascended; nothing is played against
//! anything, since the inner searches are carried out. By the envelope theorem the points found are held fixed, and the gradient in the parameters is that of
//!
//! ```text
//! D_s:  mean_j u(x*_j, 0) - mean_i u(x_i, 0)             D_t:  mean_j u(y_j, 1) - mean_i u(y*_i, 1)
//! ```
//!
//! Near the solution `D* - D_s` is half the mean squared error of `x*` as the backward map, in the metric of the potential's curvature. What the searches find is
//! also where the maps should go, so the maps are regressed on it,
//!
//! ```text
//! tie:        E_nu F(p(y, 1), y - x*(y)) + E_mu F(p(x, 0), y*(x) - x),        F(p, v) = H(p) + l(v) - p.v >= 0
//! tie_value:  ( E_nu (u(y, 1) - g^c(y))^2 + E_mu (u(x, 0) - f_c(x))^2 ) / 2
//! ```
//!
//! each term where its search is made. `F` is Fenchel's gap, zero exactly where `V(p) = v`, convex in `p`; for the quadratic cost it is `|V(p) - v|^2 / 2`. Seeds: `ubar` at the
//! samples and at the points found, and `pbar = V(p) - v`, that is `T - y*` and `x* - S`. There is no `H''` in it. A squared distance of the points would have one, and be
//! blind where `H'' = 0` (the elastic cost: a momentum in the dead zone would never leave it) and wild where `H''` is infinite (powers above 2 at rest); a regression of `p`
//! on `grad l` would need what a cost with kinks does not have. (Blondel, Martins and Niculae, "Learning with Fenchel-Young losses", 2020.)
//!
//! (The dual ascent on one potential goes back to Taghvaei and Jalali (2019) and Makkuva et al. (2020); that a good guess and an honest search belong together is
//! the point of Amos, "On amortizing convex conjugates for optimal transport" (2023). Here the other end of the same potential is the guess.)

use crate::characteristic::conjugate::Search;

/// Factors of the dual terms; a search is made at an end whose factor is not zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DualWeights {
    /// Of `-D_s`.
    pub source: f64,
    /// Of `-D_t`.
    pub target: f64,
    /// Of the tie of the maps.
    pub tie: f64,
    /// Of the tie of the values.
    pub tie_value: f64,
    /// How far the searches go.
    pub search: Search,
}

impl DualWeights {
    /// No dual terms.
    pub const OFF: DualWeights = DualWeights {
        source: 0.0,
        target: 0.0,
        tie: 0.0,
        tie_value: 0.0,
        search: Search {
            evaluations: 1,
            tolerance: 0.0,
            radius: f64::INFINITY,
        },
    };

    /// Whether any search is made.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.source != 0.0 || self.target != 0.0
    }

    /// The factor of the end whose search starts from the samples of `side`: target points (1) are searched for at the source's end.
    pub(crate) fn of_side(&self, side: usize) -> f64 {
        if side == 1 { self.source } else { self.target }
    }
}

impl Default for DualWeights {
    fn default() -> Self {
        Self::OFF
    }
}

/// The dual terms of one evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DualValues {
    /// `D_s`, zero if it was not asked for.
    pub source: f64,
    /// `D_t`.
    pub target: f64,
    /// `E F(p(y, 1), y - x*) + E F(p(x, 0), y* - x)`.
    pub tie: f64,
    /// `E(u(y, 1) - g^c)^2 + E(u(x, 0) - f_c)^2`.
    pub tie_value: f64,
    /// Share of the searches that met their tolerance.
    pub converged: f64,
    /// Share that met a direction in which the potential is not c-concave.
    pub bends_down: f64,
    /// Share that ran away, or was stopped on its way out, and was left out.
    pub runaway: f64,
    /// Evaluations of a block a search took, on average.
    pub evaluations: f64,
}

/// A point found further away than this many times the root of the dimension (solver units) has run away.
pub(crate) const RUNAWAY: f64 = 30.0;

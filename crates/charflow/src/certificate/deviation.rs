//! A bound of the map's own error, for the quadratic cost, conditional on the potential's curvature.
//!
//! Let `phi = |x|^2 / 2 + g`, `T_g = grad phi` the potential's own map, `T'` the optimal map from `mu` to `T#mu`, and `M` a bound of the largest eigenvalue of `phi''` along the segments from `x` to
//! `x - (T_g(x) - T'(x)) / M`. Then
//!
//! ```text
//! E_mu |T_g(x) - T'(x)|^2 <= 2 M E_mu[ s ]
//! ```
//!
//! *Proof.* For any `y` the function `h(z) = g(z) + |y - z|^2 / 2` has the gradient `grad phi(z) - y` and the second derivative `phi''`, so with a step of `1 / M` (the descent lemma)
//! `g^c(y) <= h(x) - |grad phi(x) - y|^2 / (2 M)`. Take `y = T'(x)` and the mean over `mu`:
//!
//! ```text
//! E|T_g - T'|^2 / (2 M) <= E[g(x)] + E[|T' - x|^2 / 2] - E[g^c(T'(x))] = E[g] + W(mu, T#mu) - E_{T#mu}[g^c] = E[s] - (E[|T - x|^2 / 2] - W(mu, T#mu)) <= E[s]
//! ```
//!
//! since `T'#mu = T#mu`. (Hutter and Rigollet 2021, Proposition 10, is the case of a convex `phi`; neither convexity nor uniqueness of `T'` is used.) Minkowski's inequality adds the distance of the map that is judged to `T_g`:
//!
//! ```text
//! (E|T - T'|^2)^(1/2) <= (E|T - T_g|^2)^(1/2) + (2 M E[s])^(1/2)
//! ```
//!
//! `M` is the largest eigenvalue found at some hundred sample points (module `curvature`), so the bound is said with its condition. `g^c` is the infimum over a ball, so the step must not leave it: `M` is at least the largest possible
//! `|T_g(x) - T'(x)|` over the distance of the points from its surface. In the user's units, or, for a Mahalanobis cost, in the coordinates in which that is quadratic;
//! in percent of the variance of `T#mu` there. Where it is no better than a constant map's 100 % it is not given.

use crate::statistics::finite;
use serde::Serialize;

/// How far a map can be from the optimal one to the points it reaches.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MapError {
    /// `M`: the bound holds if the largest eigenvalue of `I + g''` stays below this along the segments of the proof.
    pub curvature: f64,
    /// `(E|T - T_g|^2)^(1/2)`: how far the map is from its potential's own.
    pub to_own_map: f64,
    /// 95 % upper confidence bound of `(E|T - T'|^2)^(1/2)`.
    pub root_mean_square_upper: Option<f64>,
    /// The same as L2-UVP: 100 times its square over the variance of the points reached, in percent; `None` where that is 100 or more.
    pub uvp_upper: Option<f64>,
}

impl MapError {
    /// From the bound of the mean slack, `E|T - T_g|^2` and the variance of the images, all in solver units; `scale` is that of a length.
    pub(crate) fn of(
        slack_upper: f64,
        own: f64,
        variance: f64,
        curvature: f64,
        scale: f64,
    ) -> Option<Self> {
        let curvature = curvature.max(0.0);
        let root = own.max(0.0).sqrt() + (2.0 * curvature * slack_upper.max(0.0)).sqrt();
        let uvp = 100.0 * root * root / variance;
        Some(MapError {
            curvature: finite(curvature)?,
            to_own_map: finite(scale * own.max(0.0).sqrt())?,
            root_mean_square_upper: finite(scale * root),
            uvp_upper: finite(uvp).filter(|u| *u < 100.0 && variance > 0.0),
        })
    }
}

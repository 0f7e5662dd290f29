//! Whether the map is right at times in between: the momentum is constant along a characteristic \[6\].
//!
//! With `p_0 = grad u(x, 0)`, `x_t = x + t V(p_0)` and `p_t = grad u(x_t, t)`, the way back from `x_t` by the potential at its own time ends at
//!
//! ```text
//! x_t - t V(p_t) = x + t (V(p_0) - V(p_t))
//! ```
//!
//! *Proof.* Put in `x_t`. So the drift `t |V(p_t) - V(p_0)|` is exactly how far the way back misses the start. Where it is zero, `x -> x_t` has a left inverse: trajectories do not meet at time `t`, and the
//! potential at `t` knows where every point came from. At `t = 1` it is the cycle error `|S(T(x)) - x|`. No derivative in time is taken.

use crate::error::Result;
use crate::model::CharacteristicMap;
use crate::statistics::cloud::{Cloud, rows_of, spaced};
use crate::statistics::finite;
use serde::Serialize;

/// Points of the source at most.
const POINTS: usize = 2000;

/// Times looked at.
const TIMES: [f64; 4] = [0.25, 0.5, 0.75, 1.0];

/// Drift of the momentum along the characteristics of source points.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Path {
    /// Points looked at.
    pub points: usize,
    /// Times `t`.
    pub times: Vec<f64>,
    /// `100 E|t (V(p_t) - V(p_0))|^2 / Var(mu)` at each time, in percent.
    pub return_error: Vec<Option<f64>>,
}

impl Path {
    /// Of a fitted map on points of the source.
    pub(crate) fn of(map: &CharacteristicMap, cloud: &Cloud) -> Result<Self> {
        let d = map.dim();
        let rows = spaced(cloud.len(d), POINTS);
        let x = rows_of(&cloud.points, &rows, d);
        let variance = cloud.variance(d);
        let weight: Vec<f64> = rows.iter().map(|&i| cloud.weight(i, d)).collect();
        let total: f64 = weight.iter().sum();
        let velocity = |at: &[f64], t: f64| -> Result<Vec<f64>> {
            let p = map.gradient(at, t)?;
            let mut v = vec![0.0; p.len()];
            for (p, v) in p.chunks_exact(d).zip(v.chunks_exact_mut(d)) {
                map.cost().velocity(p, v);
            }
            Ok(v)
        };
        let v0 = velocity(&x, 0.0)?;
        let mut return_error = Vec::new();
        for t in TIMES {
            let vt = velocity(&map.forward_at(&x, t)?, t)?;
            let square: f64 = v0
                .chunks_exact(d)
                .zip(vt.chunks_exact(d))
                .zip(&weight)
                .map(|((a, b), w)| {
                    w * a
                        .iter()
                        .zip(b)
                        .map(|(a, b)| (t * (b - a)).powi(2))
                        .sum::<f64>()
                })
                .sum();
            return_error.push(finite(100.0 * square / total / variance));
        }
        Ok(Path {
            points: rows.len(),
            times: TIMES.to_vec(),
            return_error,
        })
    }
}

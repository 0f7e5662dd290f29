//! Couplings of two finite clouds, one method a file: what others do about points that are all there are.
//!
//! ```text
//! P in U(a, b) = { P: [n, m] >= 0,  P 1 = a,  P' 1 = b },      a_i = 1 / n,  b_j = 1 / m
//! T(x_i) = sum_j P_ij y_j / sum_j P_ij                         the barycentric projection, the map that a coupling stands for
//! ```
//!
//! | file | which coupling |
//! |---|---|
//! | `exact` | of least cost: a linear programme, by the network simplex method |
//! | `sinkhorn` | of least cost less `eps` times the entropy |
//! | `sinkhorn_classes` | the same, asked that a target point draws on one class of source points |
//!
//! Unlike a potential, a coupling says nothing about points that were not in the clouds.

mod exact;
mod sinkhorn;
mod sinkhorn_classes;

pub use exact::{Exact, exact};
pub use sinkhorn::{Entropic, Sinkhorn};
pub use sinkhorn_classes::{ByClass, SinkhornClasses};

use crate::{LabError, rows};
use rayon::prelude::*;

/// A coupling of `n` and `m` points of equal weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The masses `[n, m]`, of sum 1.
    pub mass: Vec<f64>,
    /// Points of the source.
    pub n: usize,
    /// Points of the target.
    pub m: usize,
}

impl Plan {
    /// `sum_ij P_ij c_ij` for costs `[n, m]`.
    ///
    /// # Errors
    /// Another number of costs.
    pub fn cost(&self, costs: &[f64]) -> Result<f64, LabError> {
        if costs.len() != self.mass.len() {
            return Err(LabError::Input(format!(
                "{} costs for a coupling of {} and {} points; expected their product",
                costs.len(),
                self.n,
                self.m
            )));
        }
        Ok(self.mass.iter().zip(costs).map(|(p, c)| p * c).sum())
    }

    /// The images `[n, dim]` of the source points among the target points `y: [m, dim]`. A source point without mass has no image and is given the mean of `y`.
    ///
    /// # Errors
    /// Another number of target points.
    pub fn barycentric(&self, y: &[f64], dim: usize) -> Result<Vec<f64>, LabError> {
        let m = rows(y, dim, "the target cloud")?;
        if m != self.m {
            return Err(LabError::Input(format!(
                "{m} target points for a coupling with {}",
                self.m
            )));
        }
        let mean: Vec<f64> = (0..dim)
            .map(|k| y.iter().skip(k).step_by(dim).sum::<f64>() / m as f64)
            .collect();
        let mut images = vec![0.0; self.n * dim];
        images
            .par_chunks_mut(dim)
            .zip(self.mass.par_chunks(m))
            .for_each(|(image, row)| {
                let mut total = 0.0;
                for (&p, y) in row.iter().zip(y.chunks_exact(dim)) {
                    if p > 0.0 {
                        total += p;
                        for k in 0..dim {
                            image[k] += p * y[k];
                        }
                    }
                }
                if total > 0.0 {
                    image.iter_mut().for_each(|v| *v /= total);
                } else {
                    image.copy_from_slice(&mean);
                }
            });
        Ok(images)
    }
}

/// `|x_i - y_j|^2` for `x: [n, dim]`, `y: [m, dim]`, as `[n, m]`.
///
/// # Errors
/// A cloud without points or not in rows of `dim`, or with a value that is not finite.
pub fn squared_distances(x: &[f64], y: &[f64], dim: usize) -> Result<Vec<f64>, LabError> {
    for (cloud, what) in [(x, "the source cloud"), (y, "the target cloud")] {
        if rows(cloud, dim, what)? == 0 {
            return Err(LabError::Input(format!("{what} has no points")));
        }
        if let Some(k) = cloud.iter().position(|v| !v.is_finite()) {
            return Err(LabError::Input(format!(
                "{what} has the value {} in row {}, column {}",
                cloud[k],
                k / dim + 1,
                k % dim + 1
            )));
        }
    }
    Ok(x.par_chunks(dim)
        .flat_map_iter(|x| {
            y.chunks_exact(dim)
                .map(move |y| x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum())
        })
        .collect())
}

/// Costs of `n` and `m` points, at least one each, all finite.
fn check(costs: &[f64], n: usize, m: usize) -> Result<(), LabError> {
    if n == 0 || m == 0 || n.checked_mul(m) != Some(costs.len()) {
        return Err(LabError::Input(format!(
            "{} costs cannot couple {n} points with {m}; expected their product, and a point on either side",
            costs.len()
        )));
    }
    match costs.iter().position(|c| !c.is_finite()) {
        None => Ok(()),
        Some(at) => Err(LabError::Input(format!(
            "the cost of row {} and column {} is {}; couplings need finite costs",
            at / m + 1,
            at % m + 1,
            costs[at]
        ))),
    }
}

/// The largest absolute cost: the unit in which tolerances and `eps` are given. 1 if all are zero.
fn unit(costs: &[f64]) -> f64 {
    match costs.iter().fold(0.0_f64, |a, c| a.max(c.abs())) {
        0.0 => 1.0,
        largest => largest,
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::Plan;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// `n` points in a box of side 2 around `center` in every coordinate.
    pub fn cloud(n: usize, dim: usize, center: f64, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n * dim)
            .map(|_| center + rng.random_range(-1.0..1.0))
            .collect()
    }

    /// How far the marginals are from uniform ones, summed over both sides.
    pub fn marginal_error(plan: &Plan) -> f64 {
        let Plan { mass, n, m } = plan;
        assert!(mass.iter().all(|p| *p >= 0.0), "negative masses");
        let row = |i: usize| mass[i * m..(i + 1) * m].iter().sum::<f64>();
        let column = |j: usize| mass.iter().skip(j).step_by(*m).sum::<f64>();
        (0..*n)
            .map(|i| (row(i) - 1.0 / *n as f64).abs())
            .sum::<f64>()
            + (0..*m)
                .map(|j| (column(j) - 1.0 / *m as f64).abs())
                .sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_weighted_means() {
        let plan = Plan {
            mass: vec![0.5, 0.0, 0.1, 0.3, 0.0, 0.0],
            n: 3,
            m: 2,
        };
        let images = plan.barycentric(&[0.0, 1.0, 4.0, 5.0], 2).unwrap();
        let expected = [0.0, 1.0, 3.0, 4.0, 2.0, 3.0];
        assert!(
            images
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-15)
        );
        let costs = [1.0, 9.0, 2.0, 3.0, 9.0, 9.0];
        assert!((plan.cost(&costs).unwrap() - 1.6).abs() < 1e-15);
        assert!(plan.cost(&costs[1..]).is_err() && plan.barycentric(&[0.0; 6], 2).is_err());
    }

    #[test]
    fn clouds_that_make_no_sense_are_named() {
        let costs = squared_distances(&[0.0, 0.0, 3.0, 4.0], &[0.0, 0.0], 2).unwrap();
        assert_eq!(costs, [0.0, 25.0]);
        for (x, y, part) in [
            (&[][..], &[1.0][..], "source cloud has no points"),
            (&[1.0], &[], "target cloud has no points"),
            (&[1.0], &[1.0, f64::NAN], "row 2, column 1"),
        ] {
            let message = squared_distances(x, y, 1).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        assert!(check(&[0.0; 5], 2, 3).is_err() && check(&[], 0, 3).is_err());
        let message = check(&[0.0, f64::INFINITY], 1, 2).unwrap_err().to_string();
        assert!(message.contains("row 1 and column 2"), "{message}");
    }
}

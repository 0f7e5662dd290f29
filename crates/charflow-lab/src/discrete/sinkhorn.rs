//! The coupling of least cost less entropy.
//!
//! ```text
//! min over P in U(a, b) of  sum_ij c_ij P_ij + e sum_ij P_ij (log P_ij - 1),       e = eps max |c|
//! P_ij = exp((f_i + g_j - c_ij) / e) r_i s_j
//! ```
//!
//! Row and column factors are set in turn so that the rows, the columns, have their masses (Cuturi, "Sinkhorn distances: lightspeed computation of optimal transport",
//! NeurIPS 2013). Factors `r, s` that leave `[1e-30, 1e30]` go into the potentials `f, g`, which are then settled once with logarithms, and the kernel is formed anew
//! (Schmitzer, "Stabilized sparse scaling algorithms for entropy regularized transport problems", SIAM Journal on Scientific Computing 41, 2019, 3.1): so small `e` neither
//! overflow nor vanish, and a step is two products with a matrix.

use super::{Plan, check, unit};
use crate::LabError;
use rayon::prelude::*;

/// Settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sinkhorn {
    /// Weight of the entropy as a share of the largest `|c|`.
    pub eps: f64,
    /// Ends at `sum_i |sum_j P_ij - 1 / n| <= tolerance`; the columns' sums are exact.
    pub tolerance: f64,
    /// Ends after so many steps in any case.
    pub max_steps: usize,
}

impl Default for Sinkhorn {
    fn default() -> Self {
        Self {
            eps: 0.01,
            tolerance: 1e-6,
            max_steps: 10_000,
        }
    }
}

/// A coupling, and how far the method came.
#[derive(Debug, Clone, PartialEq)]
pub struct Entropic {
    /// The coupling.
    pub plan: Plan,
    /// Steps taken, each of rows and columns.
    pub steps: usize,
    /// `sum_i |sum_j P_ij - 1 / n|`, after the last step.
    pub error: f64,
    /// Whether the error is within the tolerance.
    pub converged: bool,
}

impl Sinkhorn {
    pub(super) fn checked(&self) -> Result<(), LabError> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        if positive(self.eps) && positive(self.tolerance) && self.max_steps > 0 {
            return Ok(());
        }
        Err(LabError::Input(format!(
            "Sinkhorn with eps {}, tolerance {} and {} steps at most; expected positive numbers",
            self.eps, self.tolerance, self.max_steps
        )))
    }

    /// The coupling for `costs: [n, m]` and equal weights.
    ///
    /// # Errors
    /// Not `n * m` costs, no points, a cost that is not finite; settings that are not positive.
    pub fn solve(&self, costs: &[f64], n: usize, m: usize) -> Result<Entropic, LabError> {
        self.checked()?;
        check(costs, n, m)?;
        let mut scaling = Scaling::new(n, m, self.eps * unit(costs));
        Ok(scaling.run(costs, self.tolerance, self.max_steps))
    }
}

/// Factors beyond this, or below its inverse, go into the potentials.
const LARGE: f64 = 1e30;
/// Rows of a block whose contributions to the columns are added up before those of other blocks: sums do not depend on threads.
const BLOCK: usize = 64;

/// Potentials that a second solve with other costs can begin from.
pub(super) struct Scaling {
    n: usize,
    m: usize,
    e: f64,
    f: Vec<f64>,
    g: Vec<f64>,
}

impl Scaling {
    pub fn new(n: usize, m: usize, e: f64) -> Self {
        Scaling {
            n,
            m,
            e,
            f: vec![0.0; n],
            g: vec![0.0; m],
        }
    }

    pub fn run(&mut self, costs: &[f64], tolerance: f64, max_steps: usize) -> Entropic {
        let (n, m) = (self.n, self.m);
        let (a, b) = (1.0 / n as f64, 1.0 / m as f64);
        let mut kernel = vec![0.0; n * m];
        self.settle(costs, &mut kernel);
        let (mut r, mut s) = (vec![1.0; n], vec![1.0; m]);
        let mut steps = 0;
        // Settled potentials have their columns right: the error is that of the rows.
        let error = loop {
            let sums = row_sums(&kernel, &s, m);
            let error: f64 = r
                .iter()
                .zip(&sums)
                .map(|(r, sum)| (r * sum - a).abs())
                .sum();
            if error <= tolerance || steps == max_steps {
                break error;
            }
            steps += 1;
            let rows: Vec<f64> = sums.iter().map(|sum| a / sum).collect();
            let columns: Vec<f64> = column_sums(&kernel, &rows, m)
                .iter()
                .map(|sum| b / sum)
                .collect();
            // Also false where one is not a number.
            let fine = |v: &f64| (1.0 / LARGE..=LARGE).contains(v);
            let all = rows.iter().all(fine) && columns.iter().all(fine);
            if all {
                (r, s) = (rows, columns);
                continue;
            }
            // The factors of the last step that was fine.
            for (f, r) in self.f.iter_mut().zip(&r) {
                *f += self.e * r.ln();
            }
            for (g, s) in self.g.iter_mut().zip(&s) {
                *g += self.e * s.ln();
            }
            self.settle(costs, &mut kernel);
            r.fill(1.0);
            s.fill(1.0);
        };
        kernel
            .par_chunks_mut(m)
            .zip(&r)
            .for_each(|(row, r)| row.iter_mut().zip(&s).for_each(|(p, s)| *p *= r * s));
        for (f, r) in self.f.iter_mut().zip(&r) {
            *f += self.e * r.ln();
        }
        for (g, s) in self.g.iter_mut().zip(&s) {
            *g += self.e * s.ln();
        }
        Entropic {
            plan: Plan { mass: kernel, n, m },
            steps,
            error,
            converged: error <= tolerance,
        }
    }

    /// One step of rows and columns with logarithms, and the kernel of the potentials found.
    ///
    /// ```text
    /// f_i = e log(1 / n) - e log sum_j exp((g_j - c_ij) / e),      and g likewise
    /// ```
    fn settle(&mut self, costs: &[f64], kernel: &mut [f64]) {
        let (n, m, e) = (self.n, self.m, self.e);
        let g = &self.g;
        self.f
            .par_iter_mut()
            .zip(costs.par_chunks(m))
            .for_each(|(f, costs)| {
                let value = |j: usize| (g[j] - costs[j]) / e;
                let largest = (0..m).map(value).fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = (0..m).map(|j| (value(j) - largest).exp()).sum();
                *f = -e * (largest + sum.ln() + (n as f64).ln());
            });
        let f = &self.f;
        self.g.par_iter_mut().enumerate().for_each(|(j, g)| {
            let value = |i: usize| (f[i] - costs[i * m + j]) / e;
            let largest = (0..n).map(value).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..n).map(|i| (value(i) - largest).exp()).sum();
            *g = -e * (largest + sum.ln() + (m as f64).ln());
        });
        let g = &self.g;
        kernel
            .par_chunks_mut(m)
            .zip(costs.par_chunks(m))
            .zip(&self.f)
            .for_each(|((row, costs), f)| {
                for j in 0..m {
                    row[j] = ((f + g[j] - costs[j]) / e).exp();
                }
            });
    }
}

/// `K s` for `K: [n, m]`.
fn row_sums(kernel: &[f64], s: &[f64], m: usize) -> Vec<f64> {
    kernel.par_chunks(m).map(|row| dot(row, s)).collect()
}

/// `K' r`.
fn column_sums(kernel: &[f64], r: &[f64], m: usize) -> Vec<f64> {
    let parts: Vec<Vec<f64>> = kernel
        .par_chunks(BLOCK * m)
        .zip(r.par_chunks(BLOCK))
        .map(|(rows, r)| {
            let mut sums = vec![0.0; m];
            for (row, r) in rows.chunks_exact(m).zip(r) {
                sums.iter_mut().zip(row).for_each(|(sum, k)| *sum += r * k);
            }
            sums
        })
        .collect();
    let mut sums = vec![0.0; m];
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, p)| *sum += p);
    }
    sums
}

/// In eight sums, so that they go side by side.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<8>(), y.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (x, y) in x.iter().zip(y) {
        for k in 0..8 {
            sums[k] += x[k] * y[k];
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cloud, marginal_error};
    use super::super::{exact, squared_distances};
    use super::*;

    fn problem(n: usize, m: usize) -> Vec<f64> {
        squared_distances(&cloud(n, 3, 0.0, 1), &cloud(m, 3, 0.5, 2), 3).unwrap()
    }

    /// The naive twin: plain scaling of `exp(-c / e)`, many times.
    #[test]
    fn meets_plain_scaling() {
        let (n, m) = (40, 27);
        let costs = problem(n, m);
        let settings = Sinkhorn {
            eps: 0.05,
            tolerance: 1e-13,
            ..Default::default()
        };
        let found = settings.solve(&costs, n, m).unwrap();
        assert!(found.converged && marginal_error(&found.plan) < 1e-12);
        let mut plain: Vec<f64> = costs
            .iter()
            .map(|c| (-c / (0.05 * unit(&costs))).exp())
            .collect();
        for _ in 0..5000 {
            for row in plain.chunks_exact_mut(m) {
                let sum: f64 = row.iter().sum();
                row.iter_mut().for_each(|p| *p /= sum * n as f64);
            }
            for j in 0..m {
                let sum: f64 = plain.iter().skip(j).step_by(m).sum();
                (0..n).for_each(|i| plain[i * m + j] /= sum * m as f64);
            }
        }
        for (a, b) in found.plan.mass.iter().zip(&plain) {
            assert!((a - b).abs() < 1e-13, "{a} {b}");
        }
    }

    /// The entropy of a coupling lies between 0 and `log(n m)`, so the cost is above the least one by at most `e log(n m)`; it falls with `e`.
    #[test]
    fn comes_down_to_the_least_cost_without_overflow() {
        let (n, m) = (50, 70);
        let costs = problem(n, m);
        let least = exact(&costs, n, m).unwrap().plan.cost(&costs).unwrap();
        let mut last = f64::INFINITY;
        for eps in [1.0, 0.1, 0.01, 0.002] {
            let settings = Sinkhorn {
                eps,
                tolerance: 1e-5,
                max_steps: 200_000,
            };
            let found = settings.solve(&costs, n, m).unwrap();
            assert!(
                found.converged,
                "eps {eps}: {} steps, {}",
                found.steps, found.error
            );
            assert!(marginal_error(&found.plan) < 1e-5);
            let cost = found.plan.cost(&costs).unwrap();
            let bound = eps * unit(&costs) * ((n * m) as f64).ln();
            assert!(
                cost > least - 1e-4 && cost < least + bound + 1e-4,
                "{eps} {cost} {least}"
            );
            assert!(cost < last + 1e-5, "{eps} {cost} {last}");
            last = cost;
        }
        assert!(last < 1.05 * least, "{last} {least}");
        // exp(-1e6) is no number that a computer holds. Few steps settle little, but what there is is a coupling of the right columns.
        let tiny = Sinkhorn {
            eps: 1e-6,
            max_steps: 20,
            ..Default::default()
        };
        let plan = tiny.solve(&costs, n, m).unwrap().plan;
        for j in 0..m {
            let sum: f64 = plan.mass.iter().skip(j).step_by(m).sum();
            assert!((sum * m as f64 - 1.0).abs() < 1e-9, "{j} {sum}");
        }
    }

    #[test]
    fn points_that_agree_and_settings_that_make_no_sense() {
        let found = Sinkhorn::default().solve(&[0.0; 12], 3, 4).unwrap();
        assert!(
            found
                .plan
                .mass
                .iter()
                .all(|p| (p - 1.0 / 12.0).abs() < 1e-15)
        );
        let one = Sinkhorn::default().solve(&[5.0], 1, 1).unwrap();
        assert!((one.plan.mass[0] - 1.0).abs() < 1e-12);
        let short = Sinkhorn {
            eps: 1e-3,
            max_steps: 2,
            ..Default::default()
        };
        let found = short.solve(&problem(30, 20), 30, 20).unwrap();
        assert!(!found.converged && found.steps == 2 && found.error > 1e-6);
        let none = Sinkhorn {
            eps: 0.0,
            ..Default::default()
        };
        assert!(
            none.solve(&[1.0], 1, 1)
                .unwrap_err()
                .to_string()
                .contains("eps 0")
        );
    }
}

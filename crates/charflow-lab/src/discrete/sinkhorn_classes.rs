//! The coupling of least cost less entropy that asks each target point to draw on one class of source points.
//!
//! ```text
//! F(P) = sum_ij c_ij P_ij + e sum_ij P_ij (log P_ij - 1) + h W(P),      e = eps max |c|,  h = weight max |c|
//! W(P) = (1 / m) sum_j sum_k sqrt(m P_kj + delta),                      P_kj = sum over i in class k of P_ij
//! ```
//!
//! The class-regularised coupling of Courty, Flamary, Tuia and Rakotomamonjy, "Optimal transport for domain adaptation" (IEEE PAMI 39, 2017), in the form with the
//! `l_p - l_1` group penalty, `p = 1/2`, and majorisation and minimisation (Courty, Flamary and Tuia, "Domain adaptation with regularized optimal transport", ECML PKDD 2014).
//! `W` is concave, so it lies below its tangent, and
//!
//! ```text
//! P <- argmin over U(a, b) of  <c + h grad W(P), .> + e <., log . - 1>,       d W / d P_ij = 1 / (2 sqrt(m P_kj + delta)),  i in class k
//! ```
//!
//! never raises `F`: a [`super::Sinkhorn`] problem each, from the potentials of the last. The first is the coupling without classes. `m P_kj` is the share of target point `j` that comes from
//! class `k`, in `[0, 1]` whatever `n` and `m`; `delta` keeps the slope finite where there is none. `F` is not convex: this is a local minimum, the one
//! found from there. Only source labels are used.

use super::sinkhorn::Scaling;
use super::{Plan, Sinkhorn, check, unit};
use crate::LabError;
use rayon::prelude::*;

/// Settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SinkhornClasses {
    /// Those of each problem without classes; `tolerance` and `max_steps` are for each round.
    pub sinkhorn: Sinkhorn,
    /// Weight of the classes, as a share of the largest `|c|`.
    pub weight: f64,
    /// Share of a target point below which a class is hardly asked to vanish any more.
    pub delta: f64,
    /// Rounds at most.
    pub rounds: usize,
    /// Ends when a round lowers `F` by less than this share of the largest `|c|`.
    pub gain: f64,
}

impl Default for SinkhornClasses {
    fn default() -> Self {
        Self {
            sinkhorn: Sinkhorn::default(),
            weight: 0.1,
            delta: 0.01,
            rounds: 20,
            gain: 1e-5,
        }
    }
}

/// A coupling, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct ByClass {
    /// The coupling.
    pub plan: Plan,
    /// `F` in units of the largest `|c|`, of the coupling without classes and after each round.
    pub objective: Vec<f64>,
    /// Steps of all rounds.
    pub steps: usize,
    /// Error of the rows in the last round, as in [`super::Entropic`].
    pub error: f64,
    /// Whether the last round was within the tolerance.
    pub converged: bool,
}

impl SinkhornClasses {
    /// The coupling for `costs: [n, m]`, equal weights and the classes of the `n` source points, numbered from 0.
    ///
    /// # Errors
    /// As [`Sinkhorn::solve`]; another number of classes than points; settings out of range.
    pub fn solve(
        &self,
        costs: &[f64],
        n: usize,
        m: usize,
        classes: &[usize],
    ) -> Result<ByClass, LabError> {
        self.sinkhorn.checked()?;
        check(costs, n, m)?;
        if classes.len() != n {
            return Err(LabError::Input(format!(
                "{} classes for {n} source points; expected one a point",
                classes.len()
            )));
        }
        let fine = |v: f64, least: f64| v >= least && v.is_finite();
        if !(fine(self.weight, 0.0) && fine(self.delta, f64::MIN_POSITIVE) && fine(self.gain, 0.0))
        {
            return Err(LabError::Input(format!(
                "classes with weight {}, delta {} and gain {}; expected numbers of at least 0, delta above it",
                self.weight, self.delta, self.gain
            )));
        }
        let scale = unit(costs);
        let members = members(classes);
        let Sinkhorn {
            eps,
            tolerance,
            max_steps,
        } = self.sinkhorn;
        let mut scaling = Scaling::new(n, m, eps * scale);
        let mut found = scaling.run(costs, tolerance, max_steps);
        let (mut slopes, value) = self.penalty(&found.plan, &members);
        let mut objective = vec![self.objective(costs, scale, &found.plan) + self.weight * value];
        let mut steps = found.steps;
        let mut tilted = vec![0.0; n * m];
        for _ in 0..self.rounds {
            tilted
                .par_chunks_mut(m)
                .zip(costs.par_chunks(m))
                .zip(classes)
                .for_each(|((row, costs), k)| {
                    let slopes = &slopes[k * m..(k + 1) * m];
                    for j in 0..m {
                        row[j] = costs[j] + self.weight * scale * slopes[j];
                    }
                });
            found = scaling.run(&tilted, tolerance, max_steps);
            steps += found.steps;
            let (next, value) = self.penalty(&found.plan, &members);
            slopes = next;
            let now = self.objective(costs, scale, &found.plan) + self.weight * value;
            let before = objective.last().copied().unwrap_or(f64::INFINITY);
            objective.push(now);
            if before - now < self.gain {
                break;
            }
        }
        Ok(ByClass {
            plan: found.plan,
            objective,
            steps,
            error: found.error,
            converged: found.converged,
        })
    }

    /// `d W / d P` for each class and target point, `[classes, m]`, and `W`.
    fn penalty(&self, plan: &Plan, members: &[Vec<usize>]) -> (Vec<f64>, f64) {
        let m = plan.m;
        let roots: Vec<Vec<f64>> = members
            .par_iter()
            .map(|rows| {
                let mut mass = vec![0.0; m];
                for i in rows {
                    let row = &plan.mass[i * m..(i + 1) * m];
                    mass.iter_mut().zip(row).for_each(|(sum, p)| *sum += p);
                }
                mass.iter()
                    .map(|p| (m as f64 * p + self.delta).sqrt())
                    .collect()
            })
            .collect();
        let value = roots.iter().flatten().sum::<f64>() / m as f64;
        (
            roots.iter().flatten().map(|root| 0.5 / root).collect(),
            value,
        )
    }

    /// Cost and entropy, in units of the largest cost.
    fn objective(&self, costs: &[f64], scale: f64, plan: &Plan) -> f64 {
        let parts: Vec<f64> = plan
            .mass
            .par_chunks(plan.m)
            .zip(costs.par_chunks(plan.m))
            .map(|(mass, costs)| {
                let terms = mass.iter().zip(costs).filter(|(p, _)| **p > 0.0);
                terms
                    .map(|(p, c)| p * c / scale + self.sinkhorn.eps * p * (p.ln() - 1.0))
                    .sum()
            })
            .collect();
        parts.iter().sum()
    }
}

/// The points of each class.
fn members(classes: &[usize]) -> Vec<Vec<usize>> {
    let count = classes.iter().max().map_or(0, |k| k + 1);
    let mut members = vec![Vec::new(); count];
    for (i, &k) in classes.iter().enumerate() {
        members[k].push(i);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::super::squared_distances;
    use super::super::testing::{cloud, marginal_error};
    use super::*;

    /// Two classes side by side, and as target the same two, nearer to each other than they are wide.
    fn problem(n: usize, m: usize) -> (Vec<f64>, Vec<usize>) {
        let classes: Vec<usize> = (0..n).map(|i| usize::from(i >= n / 2)).collect();
        let mut x = cloud(n, 2, 0.0, 1);
        (0..n).for_each(|i| x[2 * i] += if classes[i] == 0 { -0.8 } else { 0.8 });
        let mut y = cloud(m, 2, 0.0, 2);
        (0..m).for_each(|j| y[2 * j] += if j % 2 == 0 { -0.5 } else { 0.5 });
        (squared_distances(&x, &y, 2).unwrap(), classes)
    }

    /// Share of all target points that comes from classes other than the largest there.
    fn mixed(plan: &Plan, classes: &[usize]) -> f64 {
        (0..plan.m)
            .map(|j| {
                let share = |k: usize| -> f64 {
                    (0..plan.n)
                        .filter(|i| classes[*i] == k)
                        .map(|i| plan.mass[i * plan.m + j])
                        .sum()
                };
                share(0).min(share(1))
            })
            .sum()
    }

    #[test]
    fn without_weight_it_is_sinkhorn() {
        let (costs, classes) = problem(40, 30);
        let settings = SinkhornClasses {
            weight: 0.0,
            ..Default::default()
        };
        let found = settings.solve(&costs, 40, 30, &classes).unwrap();
        let plain = settings.sinkhorn.solve(&costs, 40, 30).unwrap();
        for (a, b) in found.plan.mass.iter().zip(&plain.plan.mass) {
            assert!((a - b).abs() < 1e-7, "{a} {b}");
        }
    }

    #[test]
    fn every_round_lowers_the_objective_and_classes_part() {
        let (n, m) = (60, 50);
        let (costs, classes) = problem(n, m);
        let mut last = f64::INFINITY;
        for weight in [0.0, 0.1, 1.0] {
            let settings = SinkhornClasses {
                weight,
                sinkhorn: Sinkhorn {
                    eps: 0.02,
                    tolerance: 1e-10,
                    ..Default::default()
                },
                ..Default::default()
            };
            let found = settings.solve(&costs, n, m, &classes).unwrap();
            assert!(found.converged && marginal_error(&found.plan) < 1e-9);
            for pair in found.objective.windows(2) {
                assert!(pair[1] <= pair[0] + 1e-9, "{weight}: {:?}", found.objective);
            }
            let now = mixed(&found.plan, &classes);
            assert!(now < last, "{weight}: {now} {last}");
            last = now;
        }
        assert!(last < 0.01, "{last}");
    }

    #[test]
    fn the_slope_is_that_of_the_penalty() {
        let (costs, classes) = problem(12, 9);
        let settings = SinkhornClasses::default();
        let plan = settings.sinkhorn.solve(&costs, 12, 9).unwrap().plan;
        let members = members(&classes);
        let (slopes, _) = settings.penalty(&plan, &members);
        for (i, j) in [(0, 0), (3, 7), (11, 4)] {
            let at = |step: f64| {
                let mut plan = plan.clone();
                plan.mass[i * 9 + j] += step;
                settings.penalty(&plan, &members).1
            };
            let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
            let given = slopes[classes[i] * 9 + j];
            assert!((slope / given - 1.0).abs() < 1e-6, "{slope} {given}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let settings = SinkhornClasses::default();
        let message = settings
            .solve(&[1.0; 6], 2, 3, &[0])
            .unwrap_err()
            .to_string();
        assert!(message.contains("1 classes for 2"), "{message}");
        let bad = SinkhornClasses {
            delta: 0.0,
            ..Default::default()
        };
        assert!(bad.solve(&[1.0; 6], 2, 3, &[0, 1]).is_err());
    }
}

//! What is true of a map, and how it is known.
//!
//! ```text
//! excess    E l(T(x) - x) - W(mu, T#mu) >= 0
//! uvp       100 E|T - T*|^2 / Var(nu), T* optimal from mu to nu
//! w2        W2(T#mu, nu), between two numbers
//! off       E|T - T'|^2, T' optimal from mu to T#mu
//! ```
//!
//! Why each is the truth ([`Structure`]):
//!
//! * *Optimal.* `T` is the gradient of a convex function (or `x + V(grad f)`, f convex): no excess, `T' = T` (Brenier; `known_costs`).
//! * *Preserving.* `T = T* o s` where `s` (perhaps drawn at random, point by point) leaves `mu` as it is. Then `T#mu = nu`, the cheapest way there is `T*`, and
//!   `excess = E[ l(T(x) - x) - l(T*(x) - x) ]`, `off = E|T - T*|^2`, `w2 = 0`; means over many points `x`.
//! * *Line.* In one dimension the optimal coupling of two samples is the sorted one, for every convex cost; with many points that is all there is to know.
//! * *Given.* By formula; said where it is made.
//! * *Unknown.* Then `excess` and `off` are not there, and the bounds of `w2` are these: `W2^2(T#mu, nu) <= E|T - T*|^2` (both maps from the same `x`), and at least that of any projection to a line,
//!   computed by sorting, less twice what two samples of one law show; and at least the Gelbrich bound `|m - m'|^2 + tr(S + S' - 2 (S^1/2 S' S^1/2)^1/2)`, used where the moments are exact.
//!
//! Costs, UVP and these means are over [`Reference::x`], thousands of fresh points.

use charflow::cost::Cost;
use nalgebra::{DMatrix, SymmetricEigen};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// What is true of a map. User's units; what is not known is `None`.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// `E l(T(x) - x)`.
    pub cost: f64,
    /// `W(mu, nu)`.
    pub optimal_cost: Option<f64>,
    /// `E l(T(x) - x) - W(mu, T#mu)`.
    pub excess: Option<f64>,
    /// `100 E|T - T*|^2 / Var(nu)`, %.
    pub uvp: Option<f64>,
    /// `W2(T#mu, nu)`: at least, at most.
    pub w2: Option<[f64; 2]>,
    /// `E|T - T'|^2`.
    pub off: Option<f64>,
    /// The same in percent of the variance of `T#mu`.
    pub off_percent: Option<f64>,
    /// Classes whose own UVP, in percent of their own variance, is the largest: that.
    pub class_uvp: Option<f64>,
    /// Share of the mass of one of `T#mu` and `nu` that lies where the other has none.
    pub misplaced: f64,
    /// Along one direction: `100 W2^2 / Var` of the projections, %.
    pub marginal: f64,
    /// Why the map counts as wrong; empty if it does not.
    pub wrong: Vec<String>,
    /// An exact map with its exact potential.
    pub right: bool,
}

/// A UVP above this is materially wrong, %.
const WRONG_UVP: f64 = 5.0;
/// An excess above this share of the cost is.
const WRONG_EXCESS: f64 = 0.1;
/// So is more mass than this in places where the other measure has none.
const WRONG_MASS: f64 = 0.05;
/// And a law of one direction that is off by more than this share of the variance along it, %.
const WRONG_MARGINAL: f64 = 10.0;

impl Truth {
    /// Says whether the map is wrong, by the rule in the head of the module `calibration`.
    pub(super) fn judged(mut self) -> Self {
        let mut why = Vec::new();
        if let Some(u) = self.uvp.filter(|u| *u > WRONG_UVP) {
            why.push(format!("UVP {u:.1} %"));
        }
        if let Some(e) = self.excess.filter(|e| *e > WRONG_EXCESS * self.cost) {
            why.push(format!(
                "{:.1} % of the cost avoidable",
                100.0 * e / self.cost
            ));
        }
        if let Some(u) = self.class_uvp.filter(|u| *u > WRONG_UVP) {
            why.push(format!("UVP {u:.1} % within a class"));
        }
        if self.misplaced > WRONG_MASS - 1e-9 {
            why.push(format!(
                "{:.0} % of the mass misplaced",
                100.0 * self.misplaced
            ));
        }
        if self.marginal > WRONG_MARGINAL {
            why.push(format!("{:.0} % off along one direction", self.marginal));
        }
        self.right &= why.is_empty();
        self.wrong = why;
        self
    }
}

/// Why a truth is known; see the module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Structure {
    Optimal,
    Preserving,
    /// Excess and `E|T - T'|^2`.
    Given(f64, Option<f64>),
    Unknown,
}

/// Many fresh points of a problem, with their true images.
pub(super) struct Reference {
    pub d: usize,
    pub x: Vec<f64>,
    pub t: Vec<f64>,
    /// Images of other points: what two samples of `nu` differ by.
    pub others: Vec<f64>,
    /// `Var(nu)`.
    pub variance: f64,
    /// `E l(T*(x) - x)`.
    pub optimal_cost: f64,
}

impl Reference {
    pub fn new(d: usize, cost: &dyn Cost, x: Vec<f64>, t: Vec<f64>, others: Vec<f64>) -> Self {
        Reference {
            variance: variance(&t, d),
            optimal_cost: mean_cost(cost, &x, &t, d),
            d,
            x,
            t,
            others,
        }
    }

    /// What is true of a map with the images `f: [n, d]` of [`Reference::x`].
    pub fn truth(&self, cost: &dyn Cost, f: &[f64], structure: Structure) -> Truth {
        let d = self.d;
        let paid = mean_cost(cost, &self.x, f, d);
        let apart = mean_square(f, &self.t, d);
        let mut truth = Truth {
            cost: paid,
            optimal_cost: Some(self.optimal_cost),
            uvp: Some(100.0 * apart / self.variance),
            ..Truth::default()
        };
        match structure {
            Structure::Optimal => {
                truth.excess = Some(0.0);
                truth.off = Some(0.0);
            }
            Structure::Preserving => {
                // A cost with a limit may be infinite: then nothing is said.
                truth.excess = Some(paid - self.optimal_cost).filter(|e| e.is_finite());
                truth.off = Some(apart);
                truth.w2 = Some([0.0; 2]);
            }
            Structure::Given(excess, off) => {
                truth.excess = Some(excess);
                truth.off = off;
            }
            Structure::Unknown => {}
        }
        if d == 1 && structure != Structure::Preserving {
            let (x, sorted, order) = (ascending(&self.x), ascending(f), order(&self.x));
            if structure == Structure::Unknown {
                let least = mean_cost(cost, &x, &sorted, 1);
                truth.excess = Some(paid - least)
                    .filter(|e| e.is_finite())
                    .map(|e| e.max(0.0));
                let own: Vec<f64> = order.iter().map(|&i| f[i]).collect();
                truth.off = Some(mean_square(&own, &sorted, 1));
            }
            let w = mean_square(&sorted, &ascending(&self.t), 1).sqrt();
            truth.w2 = Some([w; 2]);
        } else if truth.w2.is_none() {
            truth.w2 = Some([self.at_least(f), apart.sqrt()]);
        }
        let own = variance(f, d);
        truth.off_percent = truth.off.filter(|_| own > 0.0).map(|o| 100.0 * o / own);
        truth
    }

    /// A lower bound of `W2(T#mu, nu)` from projections to lines.
    fn at_least(&self, f: &[f64]) -> f64 {
        let d = self.d;
        let [a, b] = [mean(f, d), mean(&self.t, d)];
        let mut directions: Vec<Vec<f64>> = (0..d.min(8))
            .map(|k| (0..d).map(|j| f64::from(u8::from(j == k))).collect())
            .collect();
        directions.push(a.iter().zip(&b).map(|(a, b)| a - b).collect());
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        directions.extend((0..8).map(|_| (0..d).map(|_| rng.sample(StandardNormal)).collect()));
        directions
            .into_iter()
            .filter_map(|mut e| {
                let length = e.iter().map(|e| e * e).sum::<f64>().sqrt();
                if length < 1e-12 {
                    return None;
                }
                e.iter_mut().for_each(|v| *v /= length);
                let [f, t, o] = [f, &self.t, &self.others].map(|p| ascending(&project(p, &e)));
                Some(mean_square(&f, &t, 1).sqrt() - 2.0 * mean_square(&t, &o, 1).sqrt())
            })
            .fold(0.0, f64::max)
    }
}

/// `<p, e>` for each row.
pub(super) fn project(p: &[f64], e: &[f64]) -> Vec<f64> {
    p.chunks_exact(e.len())
        .map(|p| p.iter().zip(e).map(|(p, e)| p * e).sum())
        .collect()
}

pub(super) fn ascending(v: &[f64]) -> Vec<f64> {
    let mut v = v.to_vec();
    v.sort_by(f64::total_cmp);
    v
}

fn order(v: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..v.len()).collect();
    order.sort_by(|&a, &b| v[a].total_cmp(&v[b]));
    order
}

pub(super) fn mean(p: &[f64], d: usize) -> Vec<f64> {
    let mut m = vec![0.0; d];
    let n = (p.len() / d) as f64;
    for p in p.chunks_exact(d) {
        m.iter_mut().zip(p).for_each(|(m, p)| *m += p / n);
    }
    m
}

/// Trace of the covariance.
pub(super) fn variance(p: &[f64], d: usize) -> f64 {
    let m = mean(p, d);
    let n = (p.len() / d) as f64;
    p.chunks_exact(d)
        .flat_map(|p| p.iter().zip(&m))
        .map(|(p, m)| (p - m).powi(2))
        .sum::<f64>()
        / n
}

/// `E|a - b|^2`.
pub(super) fn mean_square(a: &[f64], b: &[f64], d: usize) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / (a.len() / d) as f64
}

/// `E l(y - x)`.
pub(super) fn mean_cost(cost: &dyn Cost, x: &[f64], y: &[f64], d: usize) -> f64 {
    let mut v = vec![0.0; d];
    let sum: f64 = x
        .chunks_exact(d)
        .zip(y.chunks_exact(d))
        .map(|(x, y)| {
            v.iter_mut()
                .zip(y.iter().zip(x))
                .for_each(|(v, (y, x))| *v = y - x);
            cost.l(&v)
        })
        .sum();
    sum / (x.len() / d) as f64
}

/// `tr(S + S' - 2 (S^1/2 S' S^1/2)^1/2)` of two covariances `[d, d]`: `W2^2` of the Gaussians around one mean, and at most that of any other laws with these covariances (Gelbrich 1990).
pub(super) fn bures(s: &[f64], other: &[f64], d: usize) -> f64 {
    let root = |m: DMatrix<f64>| {
        let e = SymmetricEigen::new(m);
        let q = e.eigenvectors;
        let r = e.eigenvalues.map(|v| v.max(0.0).sqrt());
        &q * DMatrix::from_diagonal(&r) * q.transpose()
    };
    let [a, b] = [s, other].map(|m| DMatrix::from_row_slice(d, d, m));
    let half = root(a.clone());
    let mut middle = &half * &b * &half;
    middle = 0.5 * (&middle + middle.transpose());
    (a.trace() + b.trace() - 2.0 * root(middle).trace()).max(0.0)
}

/// What the pairing `x_i -> y_i` costs, and the cheapest pairing: by an exact assignment.
#[cfg(test)]
pub(super) fn own_and_least(cost: &dyn Cost, x: &[f64], y: &[f64], d: usize) -> [f64; 2] {
    let n = x.len() / d;
    let mut costs = Vec::with_capacity(n * n);
    for x in x.chunks_exact(d) {
        // A cost may forbid a pair.
        costs.extend(y.chunks_exact(d).map(|y| mean_cost(cost, x, y, d).min(1e6)));
    }
    let pairs = charflow::exact::assignment(&costs, n).unwrap();
    let sum =
        |of: &dyn Fn(usize) -> usize| (0..n).map(|i| costs[i * n + of(i)]).sum::<f64>() / n as f64;
    [sum(&|i| i), sum(&|i| pairs[i])]
}

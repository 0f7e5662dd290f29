//! A lower bound of `W2(P, Q)` from samples, in any dimension, in the user's unit.
//!
//! For every function `g`, with `g^c(y) = min_x g(x) + |y - x|^2 / 2`, weak duality says
//!
//! ```text
//! D(g) = E_Q[ g^c(y) ] - E_P[ g(x) ]  <=  W2(P, Q)^2 / 2
//! ```
//!
//! (integrate `g^c(y) - g(x) <= |y - x|^2 / 2` over the optimal coupling; Villani 2003, Theorem 1.3). `g` is made from one half of the points and `D` is a difference of two means over the other
//! half, which know nothing of it: no bias of small samples, a plain standard error. Both halves take turns; the mean of the two bounds is a bound, and its standard error at most the mean
//! of theirs. Three families of `g`, for which `g^c` is exact:
//!
//! | `g` | sees |
//! |---|---|
//! | `sum_k g_k(x_k)`, each from quantiles: `g_k' = F_Q^-1 o F_P - id` | every column's own law: `W2(P, Q)^2 >= sum_k W2(P_k, Q_k)^2` |
//! | the same along the principal directions of both clouds | thin directions, leading directions |
//! | quadratic: the potential between the Gaussians with the same moments | means and covariances |
//!
//! The bound is the largest of the three, each at the level 2.5 % / 3 (Bonferroni). Where it is not positive there is none: `W2 >= 0` says nothing. The normal law stands for
//! that of the means; the halves have hundreds of points or nothing is said.

use super::two_sample::Side;
use crate::exact::GaussianMap;
use crate::map::BackwardMap;
use crate::samples::Samples;
use nalgebra::{DMatrix, SymmetricEigen};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Knots of a one-dimensional map at most.
const KNOTS: usize = 64;

/// Points of each half at least, by weight.
const LEAST: f64 = 50.0;

/// Largest dimension in which principal directions and moments are taken.
const MOST: usize = 256;

/// The normal law's quantile at `1 - 0.025 / 3`.
const QUANTILE: f64 = 2.393_980;

/// Points and weights of half a side.
struct Half {
    points: Vec<f64>,
    weights: Vec<f64>,
}

impl Half {
    fn mean(&self, values: &[f64]) -> (f64, f64) {
        let mean: f64 = values.iter().zip(&self.weights).map(|(v, w)| v * w).sum();
        let square: f64 = values
            .iter()
            .zip(&self.weights)
            .map(|(v, w)| (w * (v - mean)).powi(2))
            .sum();
        let n = values.len() as f64;
        (mean, n / (n - 1.0) * square)
    }

    fn turned(&self, basis: &DMatrix<f64>) -> Half {
        let d = basis.nrows();
        Half {
            points: self
                .points
                .par_chunks_exact(d)
                .flat_map_iter(|x| {
                    (0..d).map(move |k| (0..d).map(|j| basis[(j, k)] * x[j]).sum::<f64>())
                })
                .collect(),
            weights: self.weights.clone(),
        }
    }
}

/// Two random halves, points of no weight left out; `None` if they are too small.
fn halves((points, weights): Side<'_>, d: usize, rng: &mut ChaCha8Rng) -> Option<[Half; 2]> {
    let n = points.len() / d;
    let mut rows: Vec<usize> = (0..n)
        .filter(|&i| weights.is_none_or(|w| w[i] > 0.0))
        .collect();
    rows.shuffle(rng);
    let (a, b) = rows.split_at(rows.len() / 2);
    let worth = |rows: &[usize]| {
        weights.map_or(rows.len() as f64, |w| {
            let (sum, squares) = rows
                .iter()
                .fold((0.0, 0.0), |(s, q), &i| (s + w[i], q + w[i] * w[i]));
            sum * sum / squares
        })
    };
    if !(worth(a) >= LEAST && worth(b) >= LEAST) {
        return None;
    }
    Some([a, b].map(|rows| {
        let sum: f64 = rows.iter().map(|&i| weights.map_or(1.0, |w| w[i])).sum();
        Half {
            points: super::cloud::rows_of(points, rows, d),
            weights: rows
                .iter()
                .map(|&i| weights.map_or(1.0, |w| w[i]) / sum)
                .collect(),
        }
    }))
}

/// A convex potential of one variable as its increasing map through knots, of slope one beyond them.
struct Line {
    from: Vec<f64>,
    to: Vec<f64>,
    /// `g` at the knots.
    values: Vec<f64>,
}

/// The values at equally spaced levels of a weighted sample.
fn quantiles(mut sample: Vec<(f64, f64)>, count: usize) -> Vec<f64> {
    sample.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut out = Vec::with_capacity(count);
    let mut at = 0;
    let mut sum = sample[0].1;
    for k in 0..count {
        let level = (k as f64 + 0.5) / count as f64;
        while sum < level && at + 1 < sample.len() {
            at += 1;
            sum += sample[at].1;
        }
        out.push(sample[at].0);
    }
    out
}

impl Line {
    fn between(x: Vec<(f64, f64)>, y: Vec<(f64, f64)>) -> Self {
        let count = KNOTS.min(x.len().min(y.len()) / 4).max(2);
        let [mut from, mut to] = [x, y].map(|s| quantiles(s, count));
        // Increasing, strictly: any increasing map will do.
        for knots in [&mut from, &mut to] {
            let size = knots.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            let range = (knots[count - 1] - knots[0]).max(1e-9 * size).max(1e-300);
            for k in 1..count {
                knots[k] = knots[k].max(knots[k - 1] + 1e-6 * range);
            }
        }
        let mut line = Line {
            from,
            to,
            values: vec![0.0],
        };
        for k in 1..count {
            let step = line.rise(k - 1, line.from[k]);
            line.values.push(line.values[k - 1] + step);
        }
        line
    }

    /// `int (t(u) - u) du` from knot `k` to `x` on the segment behind it.
    fn rise(&self, k: usize, x: f64) -> f64 {
        let (s, t) = (self.from[k], self.to[k]);
        let slope = match self.from.get(k + 1) {
            Some(next) => (self.to[k + 1] - t) / (next - s),
            None => 1.0,
        };
        let step = x - s;
        step * (t - s) + 0.5 * (slope - 1.0) * step * step
    }

    fn value(&self, x: f64) -> f64 {
        if x < self.from[0] {
            // Slope one: the displacement is that of the first knot.
            return (x - self.from[0]) * (self.to[0] - self.from[0]);
        }
        let k = self.from.partition_point(|s| *s <= x) - 1;
        self.values[k] + self.rise(k, x)
    }

    /// `min_x g(x) + (y - x)^2 / 2`, attained where `t(x) = y`.
    fn transform(&self, y: f64) -> f64 {
        let last = self.to.len() - 1;
        let x = if y <= self.to[0] {
            y - self.to[0] + self.from[0]
        } else if y >= self.to[last] {
            y - self.to[last] + self.from[last]
        } else {
            let k = self.to.partition_point(|t| *t <= y) - 1;
            let share = (y - self.to[k]) / (self.to[k + 1] - self.to[k]);
            self.from[k] + share * (self.from[k + 1] - self.from[k])
        };
        self.value(x) + 0.5 * (y - x).powi(2)
    }
}

/// `D` on `test` of the additive potential made from `fit`, and its variance.
fn additive(fit: [&Half; 2], test: [&Half; 2], d: usize) -> (f64, f64) {
    let column = |half: &Half, k: usize| -> Vec<(f64, f64)> {
        let places = half.points.iter().skip(k).step_by(d);
        places.copied().zip(half.weights.iter().copied()).collect()
    };
    let lines: Vec<Line> = (0..d)
        .into_par_iter()
        .map(|k| Line::between(column(fit[0], k), column(fit[1], k)))
        .collect();
    let values = |half: &Half, of: fn(&Line, f64) -> f64| -> Vec<f64> {
        half.points
            .par_chunks_exact(d)
            .map(|p| p.iter().zip(&lines).map(|(p, line)| of(line, *p)).sum())
            .collect()
    };
    difference(
        test,
        &values(test[0], Line::value),
        &values(test[1], Line::transform),
    )
}

fn difference(test: [&Half; 2], g: &[f64], transforms: &[f64]) -> (f64, f64) {
    let (a, va) = test[0].mean(g);
    let (b, vb) = test[1].mean(transforms);
    (b - a, va + vb)
}

/// The same of the quadratic potential between the moments of `fit`.
fn quadratic(fit: [&Half; 2], test: [&Half; 2], d: usize) -> Option<(f64, f64)> {
    let moments = fit.map(|h| {
        let samples =
            Samples::from_f64(&h.points, d).and_then(|s| s.with_weights(h.weights.clone()));
        samples.map(|s| s.moments())
    });
    let [Ok(m0), Ok(m1)] = moments else {
        return None;
    };
    let map = GaussianMap::from_moments(&m0, &m1).ok()?;
    let potential = map.potential();
    let values = |points: &[f64]| -> Vec<f64> {
        points
            .par_chunks_exact(d)
            .map(|x| potential.value(x, 0.0))
            .collect()
    };
    let back = map.backward(&test[1].points).ok()?;
    let transforms: Vec<f64> = values(&back)
        .iter()
        .zip(back.chunks_exact(d).zip(test[1].points.chunks_exact(d)))
        .map(|(g, (x, y))| g + 0.5 * x.iter().zip(y).map(|(x, y)| (y - x).powi(2)).sum::<f64>())
        .collect();
    Some(difference(test, &values(&test[0].points), &transforms))
}

/// A 97.5 % lower confidence bound of `W2` between the laws of two weighted clouds; `None` if none above zero was found.
pub(crate) fn w2_lower(x: Side<'_>, y: Side<'_>, d: usize, seed: u64) -> Option<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(12);
    let [x0, x1] = halves(x, d, &mut rng)?;
    let [y0, y1] = halves(y, d, &mut rng)?;
    let turns = [([&x0, &y0], [&x1, &y1]), ([&x1, &y1], [&x0, &y0])];
    let bound = |parts: [(f64, f64); 2]| {
        let mean = 0.5 * (parts[0].0 + parts[1].0);
        let error = 0.5 * (parts[0].1.sqrt() + parts[1].1.sqrt());
        mean - QUANTILE * error
    };
    let mut bounds = vec![bound(turns.map(|(fit, test)| additive(fit, test, d)))];
    if (2..=MOST).contains(&d) {
        bounds.push(bound(turns.map(|(fit, test)| {
            let Some(basis) = basis(fit, d) else {
                return (f64::NEG_INFINITY, 0.0);
            };
            let [a, b] = fit.map(|h| h.turned(&basis));
            let [p, q] = test.map(|h| h.turned(&basis));
            additive([&a, &b], [&p, &q], d)
        })));
        let quadratic = turns.map(|(fit, test)| quadratic(fit, test, d));
        if let [Some(a), Some(b)] = quadratic {
            bounds.push(bound([a, b]));
        }
    }
    let best = bounds
        .into_iter()
        .filter(|b| b.is_finite())
        .fold(0.0, f64::max);
    (best > 0.0).then(|| (2.0 * best).sqrt())
}

/// Principal directions of both clouds together.
fn basis(fit: [&Half; 2], d: usize) -> Option<DMatrix<f64>> {
    let mut mean = vec![0.0; d];
    for half in fit {
        for (x, w) in half.points.chunks_exact(d).zip(&half.weights) {
            mean.iter_mut().zip(x).for_each(|(m, x)| *m += 0.5 * w * x);
        }
    }
    let mut covariance = DMatrix::<f64>::zeros(d, d);
    for half in fit {
        let n = half.weights.len();
        let x = DMatrix::from_fn(d, n, |k, i| {
            half.weights[i].sqrt() * (half.points[i * d + k] - mean[k])
        });
        covariance += &x * x.transpose();
    }
    covariance
        .iter()
        .all(|v| v.is_finite())
        .then(|| SymmetricEigen::new(covariance).eigenvectors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution, StandardNormal};

    fn normal(n: usize, d: usize, shift: f64, scale: f64, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n * d)
            .map(|_| {
                let z: f64 = StandardNormal.sample(&mut rng);
                shift + scale * z
            })
            .collect()
    }

    /// `g^c` of the closed form is the least value on a fine grid, inside and outside of the knots; and `t` is `g' + id`.
    #[test]
    fn the_transform_of_a_line_is_the_least_value() {
        let sample = |all: &[f64]| -> Vec<(f64, f64)> {
            all.iter().map(|v| (*v, 1.0 / all.len() as f64)).collect()
        };
        let x = normal(200, 1, 0.3, 1.0, 1);
        let y: Vec<f64> = x.iter().map(|x| x.powi(3) + 2.0).collect();
        let line = Line::between(sample(&x), sample(&y));
        let grid: Vec<f64> = (0..40_001).map(|i| -20.0 + 0.001 * f64::from(i)).collect();
        let values: Vec<f64> = grid.iter().map(|x| line.value(*x)).collect();
        for y in [-9.0, -1.0, 0.5, 2.0, 2.3, 7.0, 12.0] {
            let least = grid
                .iter()
                .zip(&values)
                .map(|(x, g)| g + 0.5 * (y - x).powi(2))
                .fold(f64::INFINITY, f64::min);
            let found = line.transform(y);
            assert!(
                found <= least + 1e-9 && found > least - 1e-4,
                "{y}: {found} {least}"
            );
        }
    }

    /// Shifts, scales and turned ellipses have a known distance; equal laws are never said to be apart, but for one in twenty.
    #[test]
    fn the_bound_is_below_the_distance_and_near_it() {
        let (n, d) = (2000, 5);
        let mut said = 0;
        for seed in 0..40 {
            let x = normal(n, d, 0.0, 1.0, 2 * seed);
            let y = normal(n, d, 0.0, 1.0, 2 * seed + 1);
            said += usize::from(w2_lower((&x, None), (&y, None), d, seed).is_some());
        }
        assert!(said <= 5, "{said} of 40");
        let x = normal(n, d, 0.0, 1.0, 100);
        for (shift, scale) in [(0.5, 1.0), (0.0, 1.5), (-1.0, 0.5)] {
            let y = normal(n, d, shift, scale, 101);
            let truth = (d as f64 * (shift * shift + (scale - 1.0f64).powi(2))).sqrt();
            let found = w2_lower((&x, None), (&y, None), d, 3).unwrap();
            assert!(found <= truth && found > 0.8 * truth, "{found} {truth}");
        }
        // A correlation that no column shows: variances 1.9 and 0.1 along the diagonals.
        let y: Vec<f64> = normal(n, 2, 0.0, 1.0, 102)
            .chunks_exact(2)
            .flat_map(|z| {
                let (a, b) = (1.9f64.sqrt() * z[0], 0.1f64.sqrt() * z[1]);
                [(a + b) / 2f64.sqrt(), (a - b) / 2f64.sqrt()]
            })
            .collect();
        let x = normal(n, 2, 0.0, 1.0, 103);
        let truth = ((1.9f64.sqrt() - 1.0).powi(2) + (1.0 - 0.1f64.sqrt()).powi(2)).sqrt();
        let found = w2_lower((&x, None), (&y, None), 2, 3).unwrap();
        assert!(found <= truth && found > 0.8 * truth, "{found} {truth}");
    }

    /// Points with weights are the law that the weights make of them.
    #[test]
    fn weights_make_the_law() {
        let n = 4000;
        let x = normal(n, 1, 0.0, 1.0, 7);
        // exp(x - 1/2) is the density of N(1, 1) in N(0, 1).
        let w: Vec<f64> = x.iter().map(|x| (x - 0.5).exp()).collect();
        let y = normal(n, 1, 1.0, 1.0, 8);
        assert!(w2_lower((&x, Some(&w)), (&y, None), 1, 1).is_none());
        let found = w2_lower((&x, None), (&y, None), 1, 1).unwrap();
        assert!((0.85..1.0).contains(&found), "{found}");
    }
}

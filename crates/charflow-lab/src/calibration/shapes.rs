//! Laws that have the mean and the covariance of a standard normal one and are another: what is reached is `T#mu`, what was to be reached is `nu`, and they differ in shape alone.
//!
//! ```text
//! T(x) = x + a,     mu of the one law,     nu = a + the other law
//! ```
//!
//! A translation is optimal to its image, so the excess is zero, `g(x) = <a, x>` is its potential, and all that is wrong is where it arrives. Let `T*` be optimal from `mu` to `nu`; then `T* - a` is optimal
//! from `mu` to `nu - a`, and
//!
//! ```text
//! E|T* - T|^2 = W2^2(T#mu, nu),       UVP = 100 W2^2 / Var(nu),        W(mu, nu) = (W2^2 + |a|^2) / 2   as the means agree
//! ```
//!
//! `W2^2` of products is the sum over the factors, in any frame; a factor on the line is known by sorting; two spherical laws are as far apart as their radii (the map along rays).
//!
//! Three coordinates whose signs multiply to 1: `x_3 -> |x_3| sign(x_1 x_2)`. Any two of them are as before. Half of the mass of the normal law lies in the four octants that are empty now; it has to
//! go at least to the nearest wall, and may go to the mirror image behind it: `E[min_j x_j^2] / 2 <= W2^2 <= 4 E[min_j x_j^2] / 2`.
//!
//! One cluster of 20 missing: a twentieth of `nu` is a distance `D` or more from all of `T#mu`, so `W2^2 >= D^2 / 20` with `D` the distance to the nearest other centre less five spreads; at most what moving the missing
//! share from the other clusters costs, each its own part: `E|X - Y|^2 / 20` with `X` of the others, `Y` of the missing one.

use std::sync::Arc;

use charflow::cost::Quadratic;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::problem::{Draw, normal, normals, rng};
use super::truth::{Truth, ascending, mean_square};

/// The two laws, and how far they are apart.
pub(super) struct Shape {
    pub name: &'static str,
    pub dim: usize,
    pub from: Draw,
    pub to: Draw,
    /// `a`.
    pub shift: Vec<f64>,
    /// `W2^2`, at least and at most.
    square: [f64; 2],
    variance: f64,
    misplaced: f64,
    marginal: f64,
}

/// Draws of one number.
type One = fn(&mut ChaCha8Rng) -> f64;

/// Two heaps of spread 0.1, standardised.
fn two_point(rng: &mut ChaCha8Rng) -> f64 {
    (if rng.random() { 1.0 } else { -1.0 } + 0.1 * normal(rng)) / 1.01_f64.sqrt()
}

/// Exponential, standardised.
fn skewed(rng: &mut ChaCha8Rng) -> f64 {
    -(1.0 - rng.random::<f64>()).ln() - 1.0
}

/// Half narrow, half wide: variance 1, heavy tails.
fn peaked(rng: &mut ChaCha8Rng) -> f64 {
    normal(rng)
        * if rng.random() {
            0.25
        } else {
            1.9375_f64.sqrt()
        }
}

const MANY: usize = 100_000;

/// `W2^2` of two laws on the line, by sorting many points of each.
fn on_the_line(a: One, b: One) -> f64 {
    let [a, b] = [(a, 1), (b, 2)].map(|(law, stream)| {
        let mut rng = rng(99, stream);
        let points: Vec<f64> = (0..MANY).map(|_| law(&mut rng)).collect();
        ascending(&points)
    });
    mean_square(&a, &b, 1)
}

fn rows(d: usize, row: impl Fn(&mut ChaCha8Rng) -> Vec<f64> + Send + Sync + 'static) -> Draw {
    let _ = d;
    Arc::new(move |n, seed, stream| {
        let mut rng = rng(seed, stream);
        (0..n).flat_map(|_| row(&mut rng)).collect()
    })
}

impl Shape {
    fn new(name: &'static str, dim: usize, to: Draw, square: [f64; 2]) -> Self {
        Shape {
            name,
            dim,
            from: rows(dim, move |rng| normals(dim, rng)),
            to,
            shift: (0..dim)
                .map(|j| if j % 2 == 0 { 1.0 } else { -0.6 })
                .collect(),
            square,
            variance: dim as f64,
            misplaced: 0.0,
            marginal: 0.0,
        }
    }

    /// Every coordinate two heaps.
    pub fn vertices(d: usize) -> Self {
        let each = on_the_line(normal, two_point);
        let to = rows(d, move |rng| (0..d).map(|_| two_point(rng)).collect());
        Shape {
            marginal: 100.0 * each,
            ..Shape::new("vertices of a cube", d, to, [each * d as f64; 2])
        }
    }

    fn coordinate(name: &'static str, d: usize, law: One) -> Self {
        let each = on_the_line(normal, law);
        let to = rows(d, move |rng| {
            let mut x = normals(d, rng);
            x[d / 2] = law(rng);
            x
        });
        Shape {
            marginal: 100.0 * each,
            ..Shape::new(name, d, to, [each; 2])
        }
    }

    /// One coordinate two heaps.
    pub fn one_coordinate(d: usize) -> Self {
        Self::coordinate("one coordinate in two heaps", d, two_point)
    }

    /// One coordinate skewed.
    pub fn one_skewed(d: usize) -> Self {
        Self::coordinate("one coordinate skewed", d, skewed)
    }

    /// One coordinate peaked with wide tails.
    pub fn one_peaked(d: usize) -> Self {
        Self::coordinate("one coordinate peaked", d, peaked)
    }

    /// One direction, of no coordinate, two heaps.
    pub fn one_direction(d: usize) -> Self {
        let each = on_the_line(normal, two_point);
        let mut along = normals(d, &mut rng(5, d as u64));
        let length = along.iter().map(|e| e * e).sum::<f64>().sqrt();
        along.iter_mut().for_each(|e| *e /= length);
        let to = rows(d, move |rng| {
            let mut x = normals(d, rng);
            let part: f64 = x.iter().zip(&along).map(|(x, e)| x * e).sum();
            let new = two_point(rng);
            x.iter_mut()
                .zip(&along)
                .for_each(|(x, e)| *x += (new - part) * e);
            x
        });
        Shape {
            marginal: 100.0 * each,
            ..Shape::new("one direction in two heaps", d, to, [each; 2])
        }
    }

    /// `count` triples of coordinates whose signs multiply to 1.
    pub fn triples(d: usize, count: usize) -> Self {
        let mut of = rng(7, 1);
        let least: f64 = (0..MANY)
            .map(|_| {
                normals(3, &mut of)
                    .iter()
                    .map(|x| x * x)
                    .fold(f64::INFINITY, f64::min)
            })
            .sum::<f64>()
            / MANY as f64;
        let to = rows(d, move |rng| {
            let mut x = normals(d, rng);
            for t in 0..count {
                let [a, b, c] = [3 * t, 3 * t + 1, 3 * t + 2];
                x[c] = x[c].abs() * (x[a] * x[b]).signum();
            }
            x
        });
        let name = if count == 1 {
            "signs of one triple"
        } else {
            "signs of all triples"
        };
        Shape {
            // P(|x| > 1/4)^3 / 2: mass a quarter of a standard deviation or more from where there is any.
            misplaced: 0.5 * 0.8026_f64.powi(3),
            ..Shape::new(name, d, to, [0.5, 2.0].map(|s| s * least * count as f64))
        }
    }

    /// Spherical, half near and half far out.
    pub fn two_radii(d: usize) -> Self {
        let size = |rng: &mut ChaCha8Rng| if rng.random() { 0.5 } else { 1.75_f64.sqrt() };
        let radius =
            move |rng: &mut ChaCha8Rng| normals(d, rng).iter().map(|x| x * x).sum::<f64>().sqrt();
        let (mut a, mut b) = (rng(8, 1), rng(8, 2));
        let n = MANY / 10;
        let one: Vec<f64> = (0..n).map(|_| radius(&mut a)).collect();
        let two: Vec<f64> = (0..n).map(|_| size(&mut b) * radius(&mut b)).collect();
        let square = mean_square(&ascending(&one), &ascending(&two), 1);
        let to = rows(d, move |rng| {
            let s = size(rng);
            normals(d, rng).iter().map(|x| s * x).collect()
        });
        Shape::new("two radii", d, to, [square; 2])
    }

    /// Twenty clusters, of which `T#mu` has nineteen.
    pub fn missing_cluster(d: usize) -> Self {
        Self::clusters("one cluster of 20 missing", d, 4.0, |k| {
            if k == 0 { 0.0 } else { 1.0 / 19.0 }
        })
    }

    /// Twenty clusters, five of which hold twice what they should and five nothing but a half: 12.5 % in the wrong places.
    pub fn wrong_shares(d: usize) -> Self {
        Self::clusters("shares of clusters wrong", d, 4.0, |k| match k {
            0..5 => 0.075,
            5..10 => 0.025,
            _ => 0.05,
        })
    }

    /// The weights are those of `T#mu`; `nu` has a twentieth each.
    fn clusters(name: &'static str, d: usize, far: f64, weight: fn(usize) -> f64) -> Self {
        const K: usize = 20;
        const SPREAD: f64 = 0.5;
        let centres: Vec<f64> = normals(K * d, &mut rng(9, d as u64))
            .iter()
            .map(|c| far * c)
            .collect();
        let at = |k: usize| &centres[k * d..(k + 1) * d];
        let square =
            |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let extra: Vec<f64> = (0..K).map(|k| weight(k) - 0.05).collect();
        let misplaced: f64 = extra.iter().map(|e| e.max(0.0)).sum();
        // What lacks has to come from clusters that have too much.
        let givers: Vec<usize> = (0..K).filter(|k| extra[*k] > 1e-12).collect();
        let (mut least, mut most) = (0.0, 0.0);
        for k in (0..K).filter(|k| extra[*k] < -1e-12) {
            let between = |g: &usize| square(at(k), at(*g)).sqrt();
            // All but a millionth of a cluster is within this of its centre.
            let around = SPREAD * ((d as f64).sqrt() + 3.0);
            let nearest = (0..K)
                .filter(|g| *g != k)
                .map(|g| between(&g))
                .fold(f64::INFINITY, f64::min);
            least += -extra[k] * (nearest - 2.0 * around).max(0.0).powi(2);
            // From all givers in equal parts, points independent of each other.
            let mean: f64 =
                givers.iter().map(|g| between(g).powi(2)).sum::<f64>() / givers.len() as f64;
            most += -extra[k] * (mean + 2.0 * SPREAD * SPREAD * d as f64);
        }
        let mean: Vec<f64> = (0..d)
            .map(|j| (0..K).map(|k| at(k)[j]).sum::<f64>() / K as f64)
            .collect();
        let variance = SPREAD * SPREAD * d as f64
            + (0..K).map(|k| square(at(k), &mean)).sum::<f64>() / K as f64;
        let law = |weight: fn(usize) -> f64, centres: Vec<f64>| {
            rows(d, move |rng| {
                let mut left: f64 = rng.random();
                let mut k = 0;
                while k + 1 < K && left >= weight(k) {
                    left -= weight(k);
                    k += 1;
                }
                (0..d)
                    .map(|j| centres[k * d + j] + SPREAD * normal(rng))
                    .collect()
            })
        };
        Shape {
            from: law(weight, centres.clone()),
            misplaced,
            variance,
            ..Shape::new(name, d, law(|_| 0.05, centres), [least, most])
        }
    }

    /// What is true of the translation.
    pub fn truth(&self) -> Truth {
        let length = self.shift.iter().map(|a| a * a).sum::<f64>();
        let [least, most] = self.square;
        let exact = most - least < 1e-9 * most && self.variance == self.dim as f64;
        Truth {
            cost: 0.5 * length,
            optimal_cost: exact.then_some(0.5 * (length + least)),
            excess: Some(0.0),
            // Where there are two bounds, the lower one: wrong by that is wrong.
            uvp: Some(100.0 * least / self.variance),
            w2: Some([least.sqrt(), most.sqrt()]),
            off: Some(0.0),
            off_percent: Some(0.0),
            misplaced: self.misplaced,
            marginal: self.marginal,
            ..Truth::default()
        }
        .judged()
    }

    pub fn cost() -> Quadratic {
        Quadratic
    }
}

#[cfg(test)]
mod tests {
    use super::super::truth::own_and_least;
    use super::*;

    /// Means and covariances are those of the normal law, where that is said.
    #[test]
    fn the_moments_do_not_tell() {
        for shape in [
            Shape::vertices(6),
            Shape::one_coordinate(6),
            Shape::one_skewed(6),
            Shape::one_peaked(6),
            Shape::one_direction(6),
            Shape::triples(6, 2),
            Shape::two_radii(6),
        ] {
            let n = 40_000;
            let y = (shape.to)(n, 3, 0);
            for i in 0..6 {
                for j in 0..=i {
                    let c: f64 = y.chunks_exact(6).map(|y| y[i] * y[j]).sum::<f64>() / n as f64;
                    let should = f64::from(u8::from(i == j));
                    // The vertices have variance 1, two radii a fourth moment of 3 / 2 of the normal one.
                    assert!((c - should).abs() < 0.04, "{} {i} {j}: {c}", shape.name);
                }
            }
        }
    }

    /// An exact assignment of a few hundred points in few dimensions is near the truth, and never far below: the cost between samples is larger than between laws.
    #[test]
    fn the_distances_are_those_of_assignments() {
        for (shape, slack) in [
            (Shape::vertices(2), 0.15),
            (Shape::one_coordinate(2), 0.15),
            (Shape::one_skewed(2), 0.15),
            (Shape::one_direction(2), 0.15),
            (Shape::triples(3, 1), 0.35),
            (Shape::two_radii(2), 0.15),
        ] {
            let d = shape.dim;
            let n = 500;
            let (x, y) = ((shape.from)(n, 4, 0), (shape.to)(n, 5, 0));
            let [_, least] = own_and_least(&Quadratic, &x, &y, d);
            let found = 2.0 * least;
            let [low, high] = shape.square;
            assert!(
                found > low - 0.05 && found < high + slack,
                "{}: {found} {low} {high}",
                shape.name
            );
        }
    }

    #[test]
    fn a_missing_cluster_is_as_far_as_it_is() {
        let shape = Shape::missing_cluster(2);
        let (x, y) = ((shape.from)(400, 4, 0), (shape.to)(400, 5, 0));
        let [_, least] = own_and_least(&Quadratic, &x, &y, 2);
        let [low, high] = shape.square;
        assert!(
            low <= 2.0 * least && 2.0 * least < 1.5 * high,
            "{low} {least} {high}"
        );
        assert!(shape.truth().wrong.iter().any(|w| w.contains("mass")));
    }
}

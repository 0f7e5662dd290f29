//! One dimension: the monotone rearrangement, optimal for every convex cost.
//!
//! ```text
//! T = Q_nu o F_mu,   F_mu(x) = mu((-inf, x]),   Q_nu(s) = inf { y : F_nu(y) >= s }
//! ```
//!
//! For samples, [`Rearrangement::coupling`] pairs the sorted masses from the left, exactly, and
//! [`Rearrangement::transport_cost`] is the exact optimal cost between the two empirical measures. The map interpolates: `F` runs linearly between
//! the levels `sum_{j < i} w_j + w_i / 2` at the sorted points (equal points count as one), `Q` is the same curve of the target read the other way; beyond the
//! outermost source points the displacement stays what it is there.

use crate::error::{Error, Result};
use crate::map::{BackwardMap, ForwardMap, check_points};

/// The monotone rearrangement of one weighted set of numbers onto another.
#[derive(Clone, Debug, PartialEq)]
pub struct Rearrangement {
    source: Side,
    target: Side,
}

/// Distinct points ascending, their masses (sum 1) and mid-levels.
#[derive(Clone, Debug, PartialEq)]
struct Side {
    points: Vec<f64>,
    masses: Vec<f64>,
    levels: Vec<f64>,
}

impl Rearrangement {
    /// From source points `[n]` and target points `[m]`, with optional weights of at least 0 and any positive sum.
    ///
    /// # Errors
    /// [`Error::Problem`] for no points, values that are not finite, or bad weights.
    pub fn new(
        source: &[f64],
        source_weights: Option<&[f64]>,
        target: &[f64],
        target_weights: Option<&[f64]>,
    ) -> Result<Self> {
        Ok(Self {
            source: Side::new("source", source, source_weights)?,
            target: Side::new("target", target, target_weights)?,
        })
    }

    /// The optimal coupling as `(x, y, mass)`, ascending in both; the masses sum to 1.
    pub fn coupling(&self) -> Vec<(f64, f64, f64)> {
        let (s, t) = (&self.source, &self.target);
        let mut pairs = Vec::with_capacity(s.points.len() + t.points.len());
        let (mut i, mut j) = (0, 0);
        let (mut left, mut right) = (s.masses[0], t.masses[0]);
        loop {
            let mass = left.min(right);
            if mass > 0.0 {
                pairs.push((s.points[i], t.points[j], mass));
            }
            left -= mass;
            right -= mass;
            // At the last point of a side the other runs out by rounding alone.
            if left <= right && i + 1 < s.points.len() {
                i += 1;
                left = s.masses[i];
            } else if j + 1 < t.points.len() {
                j += 1;
                right = t.masses[j];
            } else if i + 1 < s.points.len() {
                i += 1;
                left = s.masses[i];
            } else {
                return pairs;
            }
        }
    }

    /// `sum mass l(y - x)` over the coupling: the least cost between the two sets, if `l` is convex.
    pub fn transport_cost(&self, l: impl Fn(f64) -> f64) -> f64 {
        self.coupling()
            .into_iter()
            .map(|(x, y, mass)| mass * l(y - x))
            .sum()
    }
}

impl ForwardMap for Rearrangement {
    /// 1.
    fn dim(&self) -> usize {
        1
    }

    fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        check_points(x, 1)?;
        Ok(x.iter()
            .map(|&x| carry(x, &self.source, &self.target))
            .collect())
    }
}

impl BackwardMap for Rearrangement {
    /// 1.
    fn dim(&self) -> usize {
        1
    }

    fn backward(&self, y: &[f64]) -> Result<Vec<f64>> {
        check_points(y, 1)?;
        Ok(y.iter()
            .map(|&y| carry(y, &self.target, &self.source))
            .collect())
    }
}

impl Side {
    fn new(name: &str, points: &[f64], weights: Option<&[f64]>) -> Result<Self> {
        if points.is_empty() {
            return Err(Error::problem(format!(
                "the {name} has no points; expected at least one"
            )));
        }
        check_points(points, 1)?;
        if let Some(w) = weights {
            let bad = w.iter().any(|w| !(w.is_finite() && *w >= 0.0));
            if w.len() != points.len() || bad || w.iter().all(|w| *w == 0.0) {
                return Err(Error::problem(format!(
                    "the weights of the {name} must be {} numbers of at least 0, not all 0",
                    points.len()
                )));
            }
        }
        let weight = |i: usize| weights.map_or(1.0, |w| w[i]);
        let mut order: Vec<usize> = (0..points.len()).filter(|&i| weight(i) > 0.0).collect();
        order.sort_by(|&a, &b| points[a].total_cmp(&points[b]));
        let mut side = Self {
            points: Vec::new(),
            masses: Vec::new(),
            levels: Vec::new(),
        };
        for i in order {
            match (side.points.last(), side.masses.last_mut()) {
                (Some(&last), Some(mass)) if last == points[i] => *mass += weight(i),
                _ => {
                    side.points.push(points[i]);
                    side.masses.push(weight(i));
                }
            }
        }
        let total: f64 = side.masses.iter().sum();
        let mut below = 0.0;
        for mass in &mut side.masses {
            *mass /= total;
            side.levels.push(below + 0.5 * *mass);
            below += *mass;
        }
        Ok(side)
    }
}

/// `Q_to(F_from(x))`, with the displacement of the ends beyond them.
fn carry(x: f64, from: &Side, to: &Side) -> f64 {
    let (first, last) = (from.points[0], from.points[from.points.len() - 1]);
    let inside = x.clamp(first, last);
    let level = interpolate(inside, &from.points, &from.levels);
    interpolate(level, &to.levels, &to.points) + (x - inside)
}

/// The value at `x` of the piecewise linear curve through `(xs, ys)`, constant beyond its ends; `xs` ascending.
fn interpolate(x: f64, xs: &[f64], ys: &[f64]) -> f64 {
    let above = xs.partition_point(|&a| a < x);
    if above == 0 {
        return ys[0];
    }
    if above == xs.len() {
        return ys[xs.len() - 1];
    }
    let (a, b) = (xs[above - 1], xs[above]);
    let share = (x - a) / (b - a);
    ys[above - 1] * (1.0 - share) + ys[above] * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn numbers(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| rng.random_range(-3.0..3.0)).collect()
    }

    /// Least cost over all assignments of equally many points.
    fn by_all_permutations(x: &[f64], y: &mut Vec<f64>, k: usize, l: &dyn Fn(f64) -> f64) -> f64 {
        if k == x.len() {
            return x.iter().zip(y.iter()).map(|(x, y)| l(y - x)).sum::<f64>() / x.len() as f64;
        }
        let mut least = f64::INFINITY;
        for other in k..x.len() {
            y.swap(k, other);
            least = least.min(by_all_permutations(x, y, k + 1, l));
            y.swap(k, other);
        }
        least
    }

    #[test]
    fn the_coupling_is_optimal_for_every_convex_cost() {
        let costs: [&dyn Fn(f64) -> f64; 4] = [
            &|v| 0.5 * v * v,
            &|v: f64| v.abs().powf(1.5),
            &|v: f64| v.abs().powi(3),
            &|v: f64| v.exp() - v,
        ];
        for seed in 0..5 {
            let (x, mut y) = (numbers(6, seed), numbers(6, 100 + seed));
            let map = Rearrangement::new(&x, None, &y, None).unwrap();
            for l in costs {
                let least = by_all_permutations(&x, &mut y, 0, l);
                assert!((map.transport_cost(l) - least).abs() <= 1e-12 * (1.0 + least));
            }
        }
    }

    #[test]
    fn the_coupling_has_the_right_marginals() {
        let (x, y) = (numbers(7, 1), numbers(11, 2));
        let w: Vec<f64> = (0..7).map(|i| (i % 3) as f64).collect();
        let map = Rearrangement::new(&x, Some(&w), &y, None).unwrap();
        let pairs = map.coupling();
        let total: f64 = w.iter().sum();
        for (x, w) in x.iter().zip(&w) {
            let mass: f64 = pairs.iter().filter(|p| p.0 == *x).map(|p| p.2).sum();
            assert!((mass - w / total).abs() < 1e-15);
        }
        for y in &y {
            let mass: f64 = pairs.iter().filter(|p| p.1 == *y).map(|p| p.2).sum();
            assert!((mass - 1.0 / 11.0).abs() < 1e-14);
        }
        assert!(pairs.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
    }

    #[test]
    fn integer_weights_are_repeated_points() {
        let (x, y) = (numbers(4, 3), numbers(5, 4));
        let repeated = [x[0], x[0], x[0], x[1], x[2], x[2], x[3]];
        let weighted = Rearrangement::new(&x, Some(&[3.0, 1.0, 2.0, 1.0]), &y, None).unwrap();
        let repeated = Rearrangement::new(&repeated, None, &y, None).unwrap();
        let l = |v: f64| v * v;
        assert!((weighted.transport_cost(l) - repeated.transport_cost(l)).abs() < 1e-14);
        let at = [-2.0, 0.0, 0.3, 5.0];
        let (a, b) = (
            weighted.forward(&at).unwrap(),
            repeated.forward(&at).unwrap(),
        );
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() < 1e-13);
        }
    }

    #[test]
    fn a_translation_is_found_everywhere_and_an_increasing_map_at_the_points() {
        let x = numbers(50, 5);
        let moved: Vec<f64> = x.iter().map(|x| x + 4.0).collect();
        let map = Rearrangement::new(&x, None, &moved, None).unwrap();
        for at in [-100.0, -1.0, 0.0, 2.2, 100.0] {
            assert!((map.forward(&[at]).unwrap()[0] - at - 4.0).abs() < 1e-12);
            assert!((map.backward(&[at]).unwrap()[0] - at + 4.0).abs() < 1e-12);
        }
        let pushed: Vec<f64> = x.iter().map(|x| x.powi(3)).collect();
        let map = Rearrangement::new(&x, None, &pushed, None).unwrap();
        for (y, p) in map.forward(&x).unwrap().iter().zip(&pushed) {
            assert!((y - p).abs() < 1e-12);
        }
        for (x, back) in x.iter().zip(map.backward(&pushed).unwrap()) {
            assert!((x - back).abs() < 1e-12);
        }
    }

    #[test]
    fn the_map_is_monotone_for_unequal_sides_with_ties() {
        let x = [0.0, 0.0, 1.0, 2.0, 2.0, 2.0];
        let y: Vec<f64> = numbers(40, 6);
        let map = Rearrangement::new(&x, None, &y, None).unwrap();
        let at: Vec<f64> = (-40..80).map(|k| 0.05 * f64::from(k)).collect();
        assert!(map.forward(&at).unwrap().is_sorted());
        assert!(map.backward(&at).unwrap().is_sorted());
    }

    #[test]
    fn single_points_and_bad_input() {
        let map = Rearrangement::new(&[1.0], None, &[5.0], None).unwrap();
        assert_eq!(map.forward(&[1.0, 3.0]).unwrap(), [5.0, 7.0]);
        assert_eq!(map.coupling(), [(1.0, 5.0, 1.0)]);
        assert!(Rearrangement::new(&[], None, &[1.0], None).is_err());
        assert!(Rearrangement::new(&[1.0], None, &[f64::NAN], None).is_err());
        assert!(Rearrangement::new(&[1.0], Some(&[0.0]), &[1.0], None).is_err());
        assert!(Rearrangement::new(&[1.0], Some(&[-1.0]), &[1.0], None).is_err());
        assert!(Rearrangement::new(&[1.0], Some(&[1.0, 1.0]), &[1.0], None).is_err());
    }
}

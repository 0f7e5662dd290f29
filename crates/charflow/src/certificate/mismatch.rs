//! How far two clouds are from having one law, beside what chance alone would show.
//!
//! ```text
//! ED(P, Q) = 2 E|X - Y| - E|X - X'| - E|Y - Y'|
//! ```
//!
//! The U-statistic of [`crate::loss::energy_distance()`]; its noise floor, the 95 % quantile of the same statistic between two disjoint random draws of one
//! cloud, of the same sizes; and the p-value of a relabelling test (Szekely and Rizzo, "Testing for equal distributions in high dimension", 2004).

use crate::cost::Cost;
use crate::error::{Error, Result};
use crate::loss::energy_distance;
use crate::map::check_points;
use crate::samples::{Samples, effective_number};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Points of each side in a relabelling test.
const TEST_POINTS: usize = 750;

/// Random divisions for a noise floor or a p-value.
const DIVISIONS: usize = 400;

/// The points that take part, in the user's units.
pub(crate) struct Cloud {
    pub points: Vec<f64>,
    pub weights: Option<Vec<f64>>,
    /// Empty text for a point without a class.
    pub classes: Option<Vec<String>>,
    pub rows: Vec<u32>,
}

impl Cloud {
    /// At most `most` points, drawn at random and said in a note.
    pub fn draw(
        samples: &Samples,
        most: usize,
        rng: &mut ChaCha8Rng,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let n = samples.len();
        let rows: Vec<u32> = if n <= most {
            (0..n as u32).collect()
        } else {
            notes.push(format!(
                "{}: {most} of {n} points, drawn at random, took part",
                samples.name()
            ));
            let mut rows: Vec<u32> = rand::seq::index::sample(rng, n, most)
                .iter()
                .map(|i| i as u32)
                .collect();
            rows.sort_unstable();
            rows
        };
        let part = samples.select(&rows)?;
        Ok(Cloud {
            points: part.to_f64(),
            weights: part.weights().map(<[f64]>::to_vec),
            classes: part.class_of().map(|of| {
                (0..of.len())
                    .map(|i| part.class_name(i).unwrap_or_default().into())
                    .collect()
            }),
            rows,
        })
    }

    pub fn len(&self, d: usize) -> usize {
        self.points.len() / d
    }

    /// The points of one class, their weights scaled to sum to one, and where they stand in this cloud.
    pub fn of_class(&self, class: &str, d: usize) -> (Self, Vec<usize>) {
        let classes = self.classes.as_deref().unwrap_or_default();
        let places: Vec<usize> = (0..classes.len())
            .filter(|&i| classes[i] == class)
            .collect();
        let cloud = self.part(&places, d);
        (cloud, places)
    }

    /// The points of the given places, their weights scaled to sum to one, without classes.
    pub fn part(&self, places: &[usize], d: usize) -> Self {
        let weights = self.weights.as_ref().and_then(|w| {
            let sum: f64 = places.iter().map(|&i| w[i]).sum();
            // Nothing but points of weight zero: there is no law to keep.
            (sum > 0.0).then(|| places.iter().map(|&i| w[i] / sum).collect())
        });
        Cloud {
            points: rows_of(&self.points, places, d),
            weights,
            classes: None,
            rows: places.iter().map(|&i| self.rows[i]).collect(),
        }
    }

    /// As how many points of equal weight these count.
    pub fn effective_number(&self, d: usize) -> f64 {
        effective_number(self.weights.as_deref(), self.len(d))
    }

    /// Points that weigh anything.
    pub fn effective(&self, d: usize) -> usize {
        self.weights
            .as_ref()
            .map_or_else(|| self.len(d), |w| w.iter().filter(|w| **w > 0.0).count())
    }

    pub fn weight(&self, i: usize, d: usize) -> f64 {
        self.weights
            .as_ref()
            .map_or_else(|| 1.0 / self.len(d) as f64, |w| w[i])
    }

    pub fn mean(&self, d: usize) -> Vec<f64> {
        let mut mean = vec![0.0; d];
        for (i, row) in self.points.chunks_exact(d).enumerate() {
            for (m, x) in mean.iter_mut().zip(row) {
                *m += self.weight(i, d) * x;
            }
        }
        mean
    }

    pub fn variance(&self, d: usize) -> f64 {
        let mean = self.mean(d);
        let sum: f64 = self
            .points
            .chunks_exact(d)
            .enumerate()
            .map(|(i, row)| {
                self.weight(i, d)
                    * row
                        .iter()
                        .zip(&mean)
                        .map(|(x, m)| (x - m).powi(2))
                        .sum::<f64>()
            })
            .sum();
        // Points that are all the same leave the rounding of their mean.
        if sum > 1e-28 * mean.iter().map(|m| m * m).sum::<f64>() {
            sum
        } else {
            0.0
        }
    }
}

pub(crate) fn rows_of(points: &[f64], rows: &[usize], d: usize) -> Vec<f64> {
    rows.iter()
        .flat_map(|&i| points[i * d..(i + 1) * d].iter().copied())
        .collect()
}

/// At most `most` of `n` places, evenly spaced.
pub(crate) fn spaced(n: usize, most: usize) -> Vec<usize> {
    let count = n.min(most);
    (0..count).map(|k| k * n / count).collect()
}

/// Points relative to a common centre, in units of their spread, as `f32`: what the distance kernels want. Returns the unit.
fn centred(clouds: &[&[f64]], d: usize) -> (Vec<Vec<f32>>, f64) {
    let n: usize = clouds.iter().map(|c| c.len() / d).sum();
    let mut mean = vec![0.0; d];
    for cloud in clouds {
        for row in cloud.chunks_exact(d) {
            for (m, x) in mean.iter_mut().zip(row) {
                *m += x / n as f64;
            }
        }
    }
    let mut square = 0.0;
    for cloud in clouds {
        for row in cloud.chunks_exact(d) {
            square += row
                .iter()
                .zip(&mean)
                .map(|(x, m)| (x - m).powi(2))
                .sum::<f64>();
        }
    }
    let unit = (square / (n * d) as f64).sqrt();
    let unit = if unit > 0.0 && unit.is_finite() {
        unit
    } else {
        1.0
    };
    let narrow = clouds
        .iter()
        .map(|cloud| {
            cloud
                .chunks_exact(d)
                .flat_map(|row| {
                    row.iter()
                        .zip(&mean)
                        .map(|(x, m)| ((x - m) / unit) as f32)
                        .collect::<Vec<f32>>()
                })
                .collect()
        })
        .collect();
    (narrow, unit)
}

pub(crate) fn mismatch(moved: &[f64], from: &Cloud, to: &Cloud, d: usize) -> f64 {
    let (clouds, unit) = centred(&[moved, &to.points], d);
    let narrow = |w: &Option<Vec<f64>>| {
        w.as_ref()
            .map(|w| w.iter().map(|&x| x as f32).collect::<Vec<f32>>())
    };
    let (a, b) = (narrow(&from.weights), narrow(&to.weights));
    unit * energy_distance(&clouds[0], a.as_deref(), &clouds[1], b.as_deref(), d)
}

pub(crate) fn mean_cost(cost: &dyn Cost, x: &[f64], y: &[f64], cloud: &Cloud, d: usize) -> f64 {
    let mut v = vec![0.0; d];
    let mut sum = 0.0;
    for (i, (x, y)) in x.chunks_exact(d).zip(y.chunks_exact(d)).enumerate() {
        for k in 0..d {
            v[k] = y[k] - x[k];
        }
        sum += cloud.weight(i, d) * cost.l(&v);
    }
    sum
}

/// At most `most` rows of a cloud; by weight and with replacement if there are weights.
pub(crate) fn some_rows(cloud: &Cloud, most: usize, d: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let n = cloud.len(d);
    match &cloud.weights {
        None => {
            let mut rows = rand::seq::index::sample(rng, n, most.min(n)).into_vec();
            rows.sort_unstable();
            rows
        }
        Some(w) => {
            let mut sum = 0.0;
            let sums: Vec<f64> = w
                .iter()
                .map(|w| {
                    sum += w;
                    sum
                })
                .collect();
            (0..most.min(n))
                .map(|_| {
                    let u = rng.random_range(0.0..sum);
                    sums.partition_point(|&s| s <= u).min(n - 1)
                })
                .collect()
        }
    }
}

/// All distances of a small set of points, to divide it many times.
struct Distances {
    n: usize,
    matrix: Vec<f32>,
    row_sums: Vec<f64>,
    total: f64,
}

impl Distances {
    fn new(points: &[&[f64]], d: usize) -> (Self, f64) {
        let flat: Vec<f64> = points.iter().flat_map(|p| p.iter().copied()).collect();
        let (narrow, unit) = centred(&[&flat], d);
        let x = &narrow[0];
        let n = points.len();
        let mut matrix = vec![0.0f32; n * n];
        matrix.par_chunks_mut(n).enumerate().for_each(|(i, row)| {
            for (j, out) in row.iter_mut().enumerate() {
                let mut sum = 0.0f32;
                for k in 0..d {
                    let v = x[i * d + k] - x[j * d + k];
                    sum += v * v;
                }
                *out = sum.sqrt();
            }
        });
        let row_sums: Vec<f64> = matrix
            .chunks_exact(n)
            .map(|row| row.iter().map(|&v| f64::from(v)).sum())
            .collect();
        let total = row_sums.iter().sum();
        (
            Distances {
                n,
                matrix,
                row_sums,
                total,
            },
            unit,
        )
    }

    /// The energy distance between the rows `part` and all others.
    fn divided(&self, part: &[usize]) -> f64 {
        let (k, rest) = (part.len() as f64, (self.n - part.len()) as f64);
        let mut inside = 0.0;
        let mut touching = 0.0;
        for &i in part {
            let row = &self.matrix[i * self.n..(i + 1) * self.n];
            inside += sum_of(row, part);
            touching += self.row_sums[i];
        }
        let across = touching - inside;
        let outside = self.total - inside - 2.0 * across;
        2.0 * across / (k * rest) - inside / (k * (k - 1.0)) - outside / (rest * (rest - 1.0))
    }

    /// The statistic of `DIVISIONS` random divisions into `k` and the rest, ascending.
    fn random_divisions(&self, k: usize, seed: u64) -> Vec<f64> {
        let mut all: Vec<f64> = (0..DIVISIONS)
            .into_par_iter()
            .map(|i| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(i as u64 + 1);
                let mut part = rand::seq::index::sample(&mut rng, self.n, k).into_vec();
                part.sort_unstable();
                self.divided(&part)
            })
            .collect();
        all.sort_by(f64::total_cmp);
        all
    }
}

/// The sum of the values at `places`, in eight lanes: in one, each addition would wait for the one before.
fn sum_of(values: &[f32], places: &[usize]) -> f64 {
    let (whole, rest) = places.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for places in whole {
        for (lane, &j) in lanes.iter_mut().zip(places) {
            *lane += f64::from(values[j]);
        }
    }
    let rest: f64 = rest.iter().map(|&j| f64::from(values[j])).sum();
    lanes.iter().sum::<f64>() + rest
}

/// The 95 % quantile of the statistic for clouds of `sizes` points of one law, from random halves of `cloud`.
///
/// The statistic's null distribution scales as `1/n + 1/m`, so halves of other sizes than asked for are scaled by that.
pub(crate) fn noise_floor(cloud: &Cloud, sizes: [usize; 2], d: usize, seed: u64) -> Option<f64> {
    let n = cloud.len(d);
    if n < 4 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(7);
    let rows = some_rows(cloud, 2 * TEST_POINTS, d, &mut rng);
    let points: Vec<&[f64]> = rows
        .iter()
        .map(|&i| &cloud.points[i * d..(i + 1) * d])
        .collect();
    let (distances, unit) = Distances::new(&points, d);
    let k = points.len() / 2;
    let all = distances.random_divisions(k, seed);
    let quantile = all[(0.95 * (DIVISIONS - 1) as f64).round() as usize];
    let rate = |a: usize, b: usize| 1.0 / a as f64 + 1.0 / b as f64;
    // Random halves of a finite set are a little further apart than independent draws of its law (each point that is in one half is missing in
    // the other); with hundreds of points that is below the quantile's own error.
    finite(unit * quantile * rate(sizes[0], sizes[1]) / rate(k, points.len() - k))
}

/// The relabelling test of `moved` against the points of `to`, on at most 750 points of each.
pub(crate) fn p_value(moved: &[f64], from: &Cloud, to: &Cloud, d: usize, seed: u64) -> Option<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(8);
    let (a, b) = (
        some_rows(from, TEST_POINTS, d, &mut rng),
        some_rows(to, TEST_POINTS, d, &mut rng),
    );
    let mut points: Vec<&[f64]> = a.iter().map(|&i| &moved[i * d..(i + 1) * d]).collect();
    points.extend(b.iter().map(|&j| &to.points[j * d..(j + 1) * d]));
    let (distances, _) = Distances::new(&points, d);
    let part: Vec<usize> = (0..a.len()).collect();
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let found = distances.divided(&part);
    let all = distances.random_divisions(a.len(), seed);
    // A hair of tolerance: on tied data the same division can come out a rounding apart.
    let above = all.iter().filter(|&&s| s >= found - 1e-9).count();
    Some((1 + above) as f64 / (1 + DIVISIONS) as f64)
}

/// A cloud of points of equal weight, at least two.
fn plain(points: &[f64], d: usize) -> Result<Cloud> {
    let n = check_points(points, d)?;
    if n < 2 {
        return Err(Error::problem(format!(
            "{n} points; a mismatch needs at least two on each side"
        )));
    }
    Ok(Cloud {
        points: points.to_vec(),
        weights: None,
        classes: None,
        rows: (0..n as u32).collect(),
    })
}

/// The energy distance of `x: [n, d]` and `y: [m, d]`, row-major, a U-statistic: not negative in expectation, but the estimate may be.
///
/// For points that no fitted map stands behind; a map's own is in [`Certificate`](super::Certificate) and [`crate::evaluate::Evaluation`].
///
/// # Errors
/// [`Error::Problem`](crate::Error::Problem) if a side is not whole rows, has fewer than two, or holds a value that is not finite.
pub fn mismatch_between(x: &[f64], y: &[f64], d: usize) -> Result<f64> {
    let (from, to) = (plain(x, d)?, plain(y, d)?);
    Ok(mismatch(x, &from, &to, d))
}

/// What chance alone shows in [`mismatch_between`]: the 95 % quantile of the statistic between draws of `sizes` points of `y: [m, d]`, by `seed`; `None` below four points.
///
/// # Errors
/// As for [`mismatch_between`].
pub fn noise_in(y: &[f64], sizes: [usize; 2], d: usize, seed: u64) -> Result<Option<f64>> {
    Ok(noise_floor(&plain(y, d)?, sizes, d, seed))
}

/// What JSON can hold.
pub(crate) fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(n: usize, d: usize, shift: f64, seed: u64) -> Cloud {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Cloud {
            points: (0..n * d)
                .map(|_| shift + rng.random_range(-1.0..1.0))
                .collect(),
            weights: None,
            classes: None,
            rows: (0..n as u32).collect(),
        }
    }

    #[test]
    fn two_draws_of_one_law_stay_below_the_floor_and_a_shift_does_not() {
        let d = 3;
        let [x, y, z] = [(0.0, 1), (0.0, 2), (0.2, 3)].map(|(s, k)| cloud(900, d, s, k).points);
        let same = mismatch_between(&x, &y, d).unwrap();
        let other = mismatch_between(&z, &y, d).unwrap();
        let floor = noise_in(&y, [900; 2], d, 4).unwrap().unwrap();
        assert!(same < floor && other > 5.0 * floor);
        assert!(mismatch_between(&x, &y[..3], d).is_err());
        assert!(mismatch_between(&x, &y[..4], d).is_err());
        assert!(mismatch_between(&[0.0, f64::NAN], &[0.0, 1.0], 1).is_err());
        assert!(noise_in(&y[..3], [900; 2], d, 4).is_err());
        assert_eq!(noise_in(&y[..6], [900; 2], d, 4).unwrap(), None);
    }

    #[test]
    fn a_division_is_the_energy_distance_of_its_parts() {
        let d = 3;
        let x = cloud(40, d, 0.0, 1);
        let points: Vec<&[f64]> = x.points.chunks_exact(d).collect();
        let (distances, unit) = Distances::new(&points, d);
        let part: Vec<usize> = (0..40).filter(|i| i % 3 == 0).collect();
        let pick = |inside: bool| -> Vec<f64> {
            (0..40)
                .filter(|i| (i % 3 == 0) == inside)
                .flat_map(|i| points[i].to_vec())
                .collect()
        };
        let expected = energy_distance(&pick(true), None, &pick(false), None, d);
        assert!((unit * distances.divided(&part) - expected).abs() < 1e-6);
    }

    #[test]
    fn the_floor_is_what_independent_draws_show() {
        // The 95 % quantile of the statistic between fresh draws, beside the floor from one cloud.
        let d = 2;
        let mut fresh: Vec<f64> = (0..400)
            .map(|i| {
                mismatch(
                    &cloud(100, d, 0.0, 1000 + 2 * i).points,
                    &cloud(100, d, 0.0, 0),
                    &cloud(150, d, 0.0, 1001 + 2 * i),
                    d,
                )
            })
            .collect();
        fresh.sort_by(f64::total_cmp);
        let expected = fresh[380];
        let found = noise_floor(&cloud(900, d, 0.0, 5), [100, 150], d, 3).unwrap();
        assert!((found / expected - 1.0).abs() < 0.25, "{found} {expected}");
    }

    #[test]
    fn p_values_are_small_for_other_laws_and_spread_for_the_same() {
        let d = 2;
        let (x, y, z) = (
            cloud(200, d, 0.0, 1),
            cloud(200, d, 0.0, 2),
            cloud(200, d, 0.3, 3),
        );
        assert!(p_value(&z.points, &z, &x, d, 1).unwrap() < 0.01);
        let p: Vec<f64> = (0..40)
            .map(|i| {
                p_value(
                    &cloud(60, d, 0.0, 10 + i).points,
                    &cloud(60, d, 0.0, 0),
                    &y,
                    d,
                    1,
                )
                .unwrap()
            })
            .collect();
        let small = p.iter().filter(|&&p| p < 0.1).count();
        assert!((0..12).contains(&small), "{p:?}");
        assert!(p.iter().any(|&p| p > 0.5));
    }
}

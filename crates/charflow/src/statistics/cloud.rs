//! The points that take part in a judgement: coordinates in the user's units, weights, classes; and the energy distance of two such clouds,
//!
//! ```text
//! ED(P, Q) = 2 E|X - Y| - E|X - X'| - E|Y - Y'|
//! ```
//!
//! the U-statistic of [`crate::loss::energy_distance()`].

use super::finite;
use super::two_sample::Pool;
use crate::cost::Cost;
use crate::error::{Error, Result};
use crate::loss::energy_distance;
use crate::map::check_points;
use crate::samples::{Samples, effective_number};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Points of which [`noise_in`] makes random halves.
const HALVED: usize = 10_000;

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
        // Points of no weight take no part.
        let weighs: Vec<u32> = match samples.weights() {
            Some(w) => (0..samples.len() as u32)
                .filter(|&i| w[i as usize] > 0.0)
                .collect(),
            None => vec![],
        };
        let n = if weighs.is_empty() {
            samples.len()
        } else {
            weighs.len()
        };
        let rows: Vec<u32> = if n <= most {
            (0..samples.len() as u32).collect()
        } else {
            notes.push(format!(
                "{}: {most} of {n} points, drawn at random, took part",
                samples.name()
            ));
            let mut rows: Vec<u32> = rand::seq::index::sample(rng, n, most)
                .iter()
                .map(|i| weighs.get(i).copied().unwrap_or(i as u32))
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

    /// The points of the given places, their weights scaled to sum to one.
    pub fn part(&self, places: &[usize], d: usize) -> Self {
        let weights = self.weights.as_ref().and_then(|w| {
            let sum: f64 = places.iter().map(|&i| w[i]).sum();
            // Nothing but points of weight zero: there is no law to keep.
            (sum > 0.0).then(|| places.iter().map(|&i| w[i] / sum).collect())
        });
        Cloud {
            points: rows_of(&self.points, places, d),
            weights,
            classes: self
                .classes
                .as_ref()
                .map(|c| places.iter().map(|&i| c[i].clone()).collect()),
            rows: places.iter().map(|&i| self.rows[i]).collect(),
        }
    }

    /// As how many points of equal weight these count.
    pub fn effective_number(&self, d: usize) -> f64 {
        effective_number(self.weights.as_deref(), self.len(d))
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

/// The energy distance of `moved`, which have the weights of `from`, to the points of `to`.
pub(crate) fn energy_distance_to(moved: &[f64], from: &Cloud, to: &Cloud, d: usize) -> f64 {
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
/// For points that no fitted map stands behind; a map's own is in [`Certificate`](crate::certificate::Certificate) and [`crate::evaluate::Evaluation`].
///
/// # Errors
/// [`Error::Problem`](crate::Error::Problem) if a side is not whole rows, has fewer than two, or holds a value that is not finite.
pub fn energy_distance_between(x: &[f64], y: &[f64], d: usize) -> Result<f64> {
    let (from, to) = (plain(x, d)?, plain(y, d)?);
    Ok(energy_distance_to(x, &from, &to, d))
}

/// What equal laws show in [`energy_distance_between`]: the 95 % quantile of the statistic between draws of `sizes` points of `y: [m, d]`, by `seed`; `None` below four points.
///
/// From random halves of at most 10,000 points; the statistic scales as `1/n + 1/m` under one law.
///
/// # Errors
/// As for [`energy_distance_between`].
pub fn noise_in(y: &[f64], sizes: [usize; 2], d: usize, seed: u64) -> Result<Option<f64>> {
    let cloud = plain(y, d)?;
    let n = cloud.len(d);
    if n < 4 {
        return Ok(None);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(7);
    let rows = some_rows(&cloud, HALVED, d, &mut rng);
    let points = rows_of(y, &rows, d);
    let half = rows.len() / 2;
    let (a, b) = points.split_at(half * d);
    let Ok(pool) = Pool::new([(a, None), (b, None)], d, 400, seed) else {
        return Ok(Some(0.0));
    };
    // Labels by the order of the rows are one more random division, if the rows come in no order; they may not.
    let mut all = pool.energy_distances()[1..].to_vec();
    all.sort_by(f64::total_cmp);
    let quantile = all[(0.95 * (all.len() - 1) as f64).round() as usize];
    let rate = |a: usize, b: usize| 1.0 / a as f64 + 1.0 / b as f64;
    // Random halves of a finite set are a little further apart than independent draws of its law (each point that is in one half is missing in
    // the other); with hundreds of points that is below the quantile's own error.
    Ok(finite(
        quantile * rate(sizes[0], sizes[1]) / rate(half, rows.len() - half),
    ))
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
        let same = energy_distance_between(&x, &y, d).unwrap();
        let other = energy_distance_between(&z, &y, d).unwrap();
        let floor = noise_in(&y, [900; 2], d, 4).unwrap().unwrap();
        assert!(same < floor && other > 5.0 * floor);
        assert!(energy_distance_between(&x, &y[..3], d).is_err());
        assert!(energy_distance_between(&x, &y[..4], d).is_err());
        assert!(energy_distance_between(&[0.0, f64::NAN], &[0.0, 1.0], 1).is_err());
        assert!(noise_in(&y[..3], [900; 2], d, 4).is_err());
        assert_eq!(noise_in(&y[..6], [900; 2], d, 4).unwrap(), None);
    }

    #[test]
    fn the_floor_is_what_independent_draws_show() {
        // The 95 % quantile of the statistic between fresh draws, beside the floor from one cloud.
        let d = 2;
        let mut fresh: Vec<f64> = (0..400)
            .map(|i| {
                energy_distance_to(
                    &cloud(100, d, 0.0, 1000 + 2 * i).points,
                    &cloud(100, d, 0.0, 0),
                    &cloud(150, d, 0.0, 1001 + 2 * i),
                    d,
                )
            })
            .collect();
        fresh.sort_by(f64::total_cmp);
        let expected = fresh[380];
        let found = noise_in(&cloud(900, d, 0.0, 5).points, [100, 150], d, 3)
            .unwrap()
            .unwrap();
        assert!((found / expected - 1.0).abs() < 0.25, "{found} {expected}");
    }
}

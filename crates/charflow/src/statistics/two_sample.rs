//! Whether two clouds of points have one law: one test, which looks at places, scales and shapes.
//!
//! The energy distance of the whole clouds sees differences of mean and scale in many dimensions, hardly of shape: `N(0, I)` and the vertices of a cube differ by less than the noise of
//! thousands of points in 64 dimensions. So the test also looks at
//!
//! | part | statistics |
//! |---|---|
//! | `energy distance` | `ED(P, Q)` of the clouds as they are, the U-statistic of [`crate::loss::energy_distance()`] |
//! | `column` | in one dimension, `ED / 2 = int (F_P - F_Q)^2 dz` (Szekely and Rizzo 2013), for every column; and the same of the ranks |
//! | `principal direction` | the same along the principal directions of both clouds together, the first and the last ones: a thin cloud that one side leaves shows in the last |
//! | `random direction` | the same along random directions, half of them in units of the principal directions |
//! | `covariance` | differences of means, covariances and covariances of absolute values of the standardised columns (above 48 dimensions: leading principal directions): the largest entry, and the largest eigenvalue |
//! | `triples` | the product of the signs of three columns, up to 24 columns |
//! | `pursued direction` | the largest difference of `E|q.z|` over all directions `q`, by ascent, for each relabelling anew |
//! | `region` | the mass in the cells of k-means partitions of both clouds together: chi-square and largest cell |
//! | `neighbours` | `MMD^2` (Gretton et al. 2012) of the kernel `(1 + r^2 / h^2)^-4`, `h` the distance of some ten nearest points: local structure |
//!
//! **The p-value.** All statistics are computed for the labels found and for hundreds of random relabellings (module `relabel`). A part's statistic is the largest of its own, each standardised
//! by its mean and deviation over all relabellings. The parts are combined as
//!
//! ```text
//! W = max_f [ log w_f - log S_f(T_f) ],        p = share of the relabellings with at least the W found
//! ```
//!
//! where `S_f` is the share of relabellings with at least this statistic (beyond the 5 % largest an exponential tail through their mean excess, so that one overwhelming part is enough) and
//! `w_f` are 0.4 for the energy distance, equal for the other parts. Directions, partitions, units and `S_f` are functions of the pool alone, or of the pool and one set of labels alike for all; so without weights the p-value is
//! exact: `P(p <= a) <= a` under one law, for every `a` and any number of points (Romano and Wolf 2005). With weights it is right for many points.
//!
//! **The noise floor** is what the energy distance exceeds in 1 % of the relabellings. At the level 2.5 % with `w = 0.4` that is where the energy distance alone is enough to reject, so words and figures agree.
//!
//! "The leading directions of the difference of the covariances" depend on the labels, so they would have to be chosen anew in each relabelling; their eigenvalue, which is, is the statistic.

use super::cloud::rows_of;
use super::finite;
use super::relabel::{Kernel, Relabellings, Shape};
use crate::error::Result;
use crate::map::check_points;
use charflow_kernels::product::{Finish, Init, Packed};
use charflow_kernels::{BLOCK, Isa};
use nalgebra::{DMatrix, SymmetricEigen};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::Serialize;

/// Random relabellings, unless a smaller level asks for more.
pub(crate) const RELABELLINGS: usize = 499;

/// At this level, for each direction of a map, two clouds are told apart: with both directions a right map is so in at most 5 %.
pub const LEVEL: f64 = 0.025;

/// Share of the relabellings whose energy distance is above the noise floor.
pub const ABOVE_THE_FLOOR: f64 = 0.01;

/// Weight of the energy distance among the parts; the others share the rest.
const WEIGHT: f64 = 0.4;

/// Principal directions at most, half of them the first ones and half the last.
const DIRECTIONS: usize = 256;

/// Random directions.
const RANDOM: usize = 32;

/// Columns or directions whose covariances are looked at.
const COVARIANCES: usize = 48;

/// Columns whose triples are looked at.
const TRIPLES: usize = 24;

/// Steps of ascent to the direction along which sizes differ most, and from how many of the best and of the worst starts.
const PURSUED: usize = 8;
const CLIMBS: usize = 3;

/// Points from which directions and partitions are made in many dimensions.
const PRINCIPAL_POINTS: usize = 4000;

/// A part of the test, and what in it differs most.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// The part: a name of the module's table.
    pub part: String,
    /// The column, direction, pair of columns or region.
    pub place: String,
    /// The part's own p-value, not corrected for the other parts.
    pub p_value: f64,
}

/// Two clouds compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TwoSample {
    /// Points of either side, all of which were tested.
    pub points: [usize; 2],
    /// The energy distance, a U-statistic: it may be below zero.
    pub energy_distance: Option<f64>,
    /// What it exceeds in 1 % of the relabellings.
    pub noise_floor: Option<f64>,
    /// p-value of all parts together; `None` below two points a side or if all points are the same.
    pub p_value: Option<f64>,
    /// Random relabellings behind it: the least p-value is one over one more.
    pub relabellings: usize,
    /// The parts, the most telling first.
    pub evidence: Vec<Evidence>,
}

impl TwoSample {
    /// Whether the two are told apart at `level`, or by an energy distance above its floor.
    #[must_use]
    pub fn differ(&self, level: f64) -> bool {
        self.p_value.is_some_and(|p| p <= level)
            || self
                .energy_distance
                .zip(self.noise_floor)
                .is_some_and(|(e, floor)| e > floor)
    }
}

/// Compares `x: [n, d]` and `y: [m, d]`, row-major, weights `[n]`, `[m]` not negative (of any sum). `columns: [d]` are names for the evidence.
///
/// # Errors
/// [`Error::Problem`](crate::Error::Problem) if a side is not whole rows or holds a value that is not finite, or there are not as many weights as points.
pub fn two_sample(
    x: &[f64],
    a: Option<&[f64]>,
    y: &[f64],
    b: Option<&[f64]>,
    d: usize,
    columns: Option<&[String]>,
    seed: u64,
) -> Result<TwoSample> {
    for (points, weights) in [(x, a), (y, b)] {
        let n = check_points(points, d)?;
        if let Some(w) = weights
            && (w.len() != n || w.iter().any(|w| !(*w >= 0.0 && w.is_finite())))
        {
            return Err(crate::Error::problem(format!(
                "{} weights for {n} points; expected one for each point, not negative and finite",
                w.len()
            )));
        }
    }
    Ok(Pool::new([(x, a), (y, b)], d, RELABELLINGS, seed)
        .map_or_else(TwoSample::nothing, |pool| pool.test(columns, seed)))
}

impl TwoSample {
    /// What cannot be said.
    pub(crate) fn nothing(points: [usize; 2]) -> Self {
        TwoSample {
            points,
            energy_distance: None,
            noise_floor: None,
            p_value: None,
            relabellings: 0,
            evidence: vec![],
        }
    }
}

/// Statistics of one kind for all relabellings, and their places.
struct Part {
    name: &'static str,
    /// `[statistics][relabellings]`.
    values: Vec<Vec<f64>>,
    places: Vec<String>,
}

/// Both clouds, those of weight zero left out, ready to be relabelled.
pub(crate) struct Pool {
    points: Vec<f64>,
    d: usize,
    given: [usize; 2],
    labels: Relabellings,
    signed: Vec<Vec<f32>>,
}

/// Points and weights of one side.
pub(crate) type Side<'a> = (&'a [f64], Option<&'a [f64]>);

impl Pool {
    /// The sizes back, if there is nothing to test.
    pub(crate) fn new(
        sides: [Side<'_>; 2],
        d: usize,
        draws: usize,
        seed: u64,
    ) -> std::result::Result<Self, [usize; 2]> {
        let given = sides.map(|(points, _)| points.len() / d);
        let weighted = sides.iter().any(|(_, w)| w.is_some());
        let mut points = Vec::new();
        let mut masses = Vec::new();
        let mut sizes = [0; 2];
        for (k, (p, w)) in sides.into_iter().enumerate() {
            let n = given[k];
            let rows: Vec<usize> = (0..n).filter(|&i| w.is_none_or(|w| w[i] > 0.0)).collect();
            let sum: f64 = rows.iter().map(|&i| w.map_or(1.0, |w| w[i])).sum();
            sizes[k] = rows.len();
            if rows.len() == n {
                points.extend_from_slice(p);
            } else {
                points.extend(rows_of(p, &rows, d));
            }
            masses.extend(rows.iter().map(|&i| match (weighted, w) {
                (false, _) => 1.0,
                (true, None) => 1.0 / sum,
                (true, Some(w)) => w[i] / sum,
            }));
        }
        let first = &points[..d.min(points.len())];
        let same = points.chunks_exact(d).all(|p| p == first);
        if sizes.iter().any(|n| *n < 2) || same {
            return Err(given);
        }
        let labels = Relabellings::new(masses, sizes[0], weighted, draws, seed);
        let signed = labels.signed();
        Ok(Pool {
            points,
            d,
            given,
            labels,
            signed,
        })
    }

    fn len(&self) -> usize {
        self.labels.len
    }

    fn count(&self) -> usize {
        self.labels.count
    }

    /// The energy distances of all relabellings, the one found first.
    pub(crate) fn energy_distances(&self) -> Vec<f64> {
        let unit = self.unit();
        let mean = self.mean();
        let narrow: Vec<f32> = self
            .points
            .chunks_exact(self.d)
            .flat_map(|x| x.iter().zip(&mean).map(|(x, m)| ((x - m) / unit) as f32))
            .collect();
        let kernel = Kernel {
            points: &narrow,
            dim: self.d,
            shape: Shape::Distance,
        };
        let rows = kernel.rows(&self.labels.masses);
        let mut all = self.labels.energy_distances(&kernel, &rows);
        all.iter_mut().for_each(|e| *e *= unit);
        all
    }

    fn mass(&self, i: usize) -> f64 {
        self.labels.masses[i]
    }

    fn total(&self) -> f64 {
        self.labels.masses.iter().sum()
    }

    fn mean(&self) -> Vec<f64> {
        let total = self.total();
        let mut mean = vec![0.0; self.d];
        for (i, x) in self.points.chunks_exact(self.d).enumerate() {
            for (m, x) in mean.iter_mut().zip(x) {
                *m += self.mass(i) / total * x;
            }
        }
        mean
    }

    /// Root mean square deviation of a coordinate from its mean, each.
    fn deviations(&self) -> Vec<f64> {
        let (mean, total) = (self.mean(), self.total());
        let mut square = vec![0.0; self.d];
        for (i, x) in self.points.chunks_exact(self.d).enumerate() {
            for ((s, x), m) in square.iter_mut().zip(x).zip(&mean) {
                *s += self.mass(i) / total * (x - m).powi(2);
            }
        }
        // A constant column leaves the rounding of its mean.
        square
            .iter()
            .zip(&mean)
            .map(|(s, m)| if *s > 1e-28 * m * m { s.sqrt() } else { 0.0 })
            .collect()
    }

    /// Middle and scale of each coordinate that a few far points do not move: the median, and the width of the middle half in normal deviations (the deviation, where that half is one value).
    fn robust(&self) -> Vec<(f64, f64)> {
        let deviations = self.deviations();
        (0..self.d)
            .into_par_iter()
            .map(|k| {
                let mut places: Vec<f64> = self
                    .points
                    .iter()
                    .skip(k)
                    .step_by(self.d)
                    .copied()
                    .collect();
                places.sort_by(f64::total_cmp);
                let at = |share: f64| places[(share * (places.len() - 1) as f64) as usize];
                let width = (at(0.75) - at(0.25)) / 1.349;
                let scale = if width > 0.0 && deviations[k] > 0.0 {
                    width
                } else {
                    deviations[k]
                };
                (at(0.5), scale)
            })
            .collect()
    }

    /// Of all coordinates together.
    fn unit(&self) -> f64 {
        let square: f64 = self.deviations().iter().map(|s| s * s).sum();
        let unit = (square / self.d as f64).sqrt();
        if unit > 0.0 && unit.is_finite() {
            unit
        } else {
            1.0
        }
    }

    /// The whole test.
    pub(crate) fn test(&self, columns: Option<&[String]>, seed: u64) -> TwoSample {
        let energy = self.energy_distances();
        let found = energy[0];
        let noise_floor = floor(&energy[1..]);
        let frame = Frame::new(self, seed);
        let name = |k: usize| {
            columns
                .and_then(|c| c.get(k).cloned())
                .unwrap_or_else(|| format!("column {}", k + 1))
        };
        let mut parts = vec![Part {
            name: "energy distance",
            values: vec![energy],
            places: vec!["all coordinates".into()],
        }];
        parts.extend(frame.lines(self, &name));
        parts.push(frame.covariances(self, &name));
        parts.push(frame.triples(self, &name));
        parts.extend(frame.pursuit(self, seed));
        parts.push(frame.regions(self, seed));
        parts.extend(frame.neighbours(self, seed));
        parts.retain(|p| !p.values.is_empty());
        let (p_value, evidence) = combine(&parts);
        TwoSample {
            points: self.given,
            energy_distance: finite(found),
            noise_floor,
            p_value,
            relabellings: self.count() - 1,
            evidence,
        }
    }

    /// `sum_i f_r(i) m_i` for features `f_r` of the points, `[features][relabellings]`.
    fn sums(&self, count: usize, feature: &(dyn Fn(usize, usize) -> f64 + Sync)) -> Vec<Vec<f64>> {
        let n = self.len();
        let (rows, depth) = (192, 384);
        let isa = Isa::current();
        let parts: Vec<Vec<Vec<f64>>> = (0..count.div_ceil(rows))
            .into_par_iter()
            .map(|part| {
                let first = part * rows;
                let rows = (count - first).min(rows);
                let mut sums = vec![vec![0.0f32; rows * BLOCK]; self.signed.len()];
                let mut features = vec![0.0f32; rows * depth];
                for start in (0..n).step_by(depth) {
                    let some = (n - start).min(depth);
                    let mut packed = Packed::<f32>::new(isa, rows, some);
                    for (r, row) in features.chunks_exact_mut(depth).enumerate() {
                        for (i, f) in row[..some].iter_mut().enumerate() {
                            *f = feature(first + r, start + i) as f32;
                        }
                    }
                    packed.pack(&features, depth, 1);
                    for (column, sums) in self.signed.iter().zip(&mut sums) {
                        let b = &column[start * BLOCK..(start + some) * BLOCK];
                        let init = if start == 0 { Init::Zero } else { Init::Add };
                        packed.multiply(b, init, Finish::Store(sums));
                    }
                }
                (0..rows)
                    .map(|r| {
                        let row = r * BLOCK..(r + 1) * BLOCK;
                        let all = sums.iter().flat_map(|s| s[row.clone()].iter());
                        all.take(self.count()).map(|&v| f64::from(v)).collect()
                    })
                    .collect()
            })
            .collect();
        parts.into_iter().flatten().collect()
    }

    /// `int (F_P - F_Q)^2 dz` for all relabellings, of the points' places on a line; and the same of their ranks, which a few far points do not drown.
    fn on_a_line(&self, places: &[f64]) -> Option<[Vec<f64>; 2]> {
        let mut order: Vec<u32> = (0..places.len() as u32).collect();
        order.sort_by(|&a, &b| places[a as usize].total_cmp(&places[b as usize]));
        let (first, last) = (order.first()?, order.last()?);
        let range = places[*last as usize] - places[*first as usize];
        if !(range > 0.0 && range.is_finite()) {
            return None;
        }
        let mut out = [0, 1].map(|_| Vec::with_capacity(self.count()));
        // Points of one place have one rank: nothing is between them.
        let mut ranks = vec![0.0f32; order.len()];
        let mut ties = 1.0f32;
        for (rank, pair) in order.windows(2).enumerate() {
            if places[pair[0] as usize] < places[pair[1] as usize] {
                ranks[rank] = ties / order.len() as f32;
                ties = 1.0;
            } else {
                ties += 1.0;
            }
        }
        for column in &self.signed {
            let mut sum = [0.0f32; BLOCK];
            let mut square = [0.0f32; BLOCK];
            let mut ranked = [0.0f32; BLOCK];
            let mut flushed = [[0.0f64; BLOCK]; 2];
            for (rank, pair) in order.windows(2).enumerate() {
                let [i, next] = [pair[0] as usize, pair[1] as usize];
                let gap = ((places[next] - places[i]) / range) as f32;
                let masses = &column[i * BLOCK..(i + 1) * BLOCK];
                for s in 0..BLOCK {
                    sum[s] += masses[s];
                    let q = sum[s] * sum[s];
                    square[s] += q * gap;
                    ranked[s] += q * ranks[rank];
                }
                if rank % 512 == 511 {
                    for (flushed, sums) in flushed.iter_mut().zip([&mut square, &mut ranked]) {
                        for s in 0..BLOCK {
                            flushed[s] += f64::from(sums[s]);
                            sums[s] = 0.0;
                        }
                    }
                }
            }
            let some = (self.count() - out[0].len()).min(BLOCK);
            for ((out, flushed), sums) in out.iter_mut().zip(flushed).zip([square, ranked]) {
                out.extend((0..some).map(|s| flushed[s] + f64::from(sums[s])));
            }
        }
        Some(out)
    }
}

/// What the given share of the energy distances of random relabellings is above.
fn floor(random: &[f64]) -> Option<f64> {
    let mut sorted = random.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    // Above it the p-value is at most the share: (1 + k) / (1 + B).
    let k = (ABOVE_THE_FLOOR * (random.len() + 1) as f64).round() as usize;
    sorted.get(k.max(1) - 1).copied().and_then(finite)
}

/// Units and directions of the pool; no label takes part in them.
struct Frame {
    mean: Vec<f64>,
    /// Middle and scale of each column.
    robust: Vec<(f64, f64)>,
    /// Principal directions `[k][d]`, by falling variance, and the deviation along each.
    principal: Vec<(usize, Vec<f64>, f64)>,
    random: Vec<Vec<f64>>,
}

impl Frame {
    fn new(pool: &Pool, seed: u64) -> Self {
        let d = pool.d;
        let mean = pool.mean();
        let deviations = pool.deviations();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(9);
        let principal = if d == 1 {
            vec![]
        } else {
            principal(pool, &mean, &deviations, &mut rng)
        };
        let mut random = Vec::new();
        if d > 1 {
            for k in 0..RANDOM {
                let mut v = vec![0.0; d];
                if k % 2 == 0 || principal.is_empty() {
                    // In units of the columns.
                    for (v, s) in v.iter_mut().zip(&deviations) {
                        let z: f64 = StandardNormal.sample(&mut rng);
                        *v = if *s > 0.0 { z / s } else { 0.0 };
                    }
                } else {
                    for (_, direction, s) in &principal {
                        let z: f64 = StandardNormal.sample(&mut rng);
                        if *s > 0.0 {
                            v.iter_mut()
                                .zip(direction)
                                .for_each(|(v, q)| *v += z / s * q);
                        }
                    }
                }
                random.push(v);
            }
        }
        Frame {
            mean,
            robust: pool.robust(),
            principal,
            random,
        }
    }

    fn along(&self, pool: &Pool, direction: &[f64]) -> Vec<f64> {
        pool.points
            .chunks_exact(pool.d)
            .map(|x| {
                x.iter()
                    .zip(&self.mean)
                    .zip(direction)
                    .map(|((x, m), q)| (x - m) * q)
                    .sum()
            })
            .collect()
    }

    /// The parts that look at one line at a time.
    fn lines(&self, pool: &Pool, name: &(dyn Fn(usize) -> String + Sync)) -> Vec<Part> {
        let d = pool.d;
        let line = |places: Vec<f64>, name: String| pool.on_a_line(&places).map(|v| (v, name));
        let part = |title, found: Vec<Option<([Vec<f64>; 2], String)>>| {
            let mut part = Part {
                name: title,
                values: vec![],
                places: vec![],
            };
            for (values, name) in found.into_iter().flatten() {
                part.places.extend([name.clone(), name]);
                part.values.extend(values);
            }
            part
        };
        let columns: Vec<_> = (0..d)
            .into_par_iter()
            .map(|k| {
                let places = pool
                    .points
                    .iter()
                    .skip(k)
                    .step_by(d)
                    .map(|x| x - self.mean[k])
                    .collect();
                line(places, name(k))
            })
            .collect();
        let principal: Vec<_> = self
            .principal
            .par_iter()
            .map(|(k, q, _)| {
                line(
                    self.along(pool, q),
                    format!("principal direction {}", k + 1),
                )
            })
            .collect();
        let random: Vec<_> = self
            .random
            .par_iter()
            .enumerate()
            .map(|(k, q)| line(self.along(pool, q), format!("random direction {}", k + 1)))
            .collect();
        vec![
            part("column", columns),
            part("principal direction", principal),
            part("random direction", random),
        ]
    }

    /// Differences of the first and second moments of the standardised columns and of their absolute values.
    fn covariances(&self, pool: &Pool, name: &(dyn Fn(usize) -> String + Sync)) -> Part {
        let d = pool.d;
        let n = pool.len();
        // [variables][N], standardised, cut at four deviations: a few far points are not to drown the rest.
        let mut variables: Vec<(String, Vec<f64>)> = if d <= COVARIANCES {
            (0..d)
                .filter(|&k| self.robust[k].1 > 0.0)
                .map(|k| {
                    let places = pool.points.iter().skip(k).step_by(d);
                    let z = places.map(|x| (x - self.robust[k].0) / self.robust[k].1);
                    (name(k), z.collect())
                })
                .collect()
        } else {
            self.principal
                .iter()
                .filter(|(_, _, s)| *s > 0.0)
                .take(COVARIANCES)
                .map(|(k, q, s)| {
                    let z = self.along(pool, q).iter().map(|z| z / s).collect();
                    (format!("principal direction {}", k + 1), z)
                })
                .collect()
        };
        let plain = variables.len();
        for k in 0..plain {
            let z = &mut variables[k].1;
            z.iter_mut().for_each(|z| *z = z.clamp(-4.0, 4.0));
            let mean = z.iter().map(|z| z.abs()).sum::<f64>() / n as f64;
            let size = z.iter().map(|z| z.abs() - mean).collect();
            let title = format!("|{}|", variables[k].0);
            variables.push((title, size));
        }
        let q = variables.len();
        // With the constant 1 as variable 0 the means are products too.
        let at = |v: usize, i: usize| if v == 0 { 1.0 } else { variables[v - 1].1[i] };
        let pairs: Vec<(usize, usize)> = (0..=q)
            .flat_map(|b| (0..=b).map(move |a| (a, b)))
            .skip(1)
            .collect();
        // [pairs][relabellings]: sum_i w_a w_b m_i.
        let products = pool.sums(pairs.len(), &|r, i| at(pairs[r].0, i) * at(pairs[r].1, i));
        let title = |v: usize| {
            if v == 0 {
                String::new()
            } else {
                variables[v - 1].0.clone()
            }
        };
        let mut values = Vec::new();
        let mut places = Vec::new();
        for (&(a, b), v) in pairs.iter().zip(&products) {
            // The mean of one that was centred, and its square, are seen by the lines.
            if a == 0 {
                continue;
            }
            values.push(v.iter().map(|v| v.abs()).collect());
            places.push(if a == b {
                format!("scale of {}", title(a))
            } else {
                format!("{} with {}", title(a), title(b))
            });
        }
        // The largest eigenvalue of the differences, in size, of the plain variables and of their absolute values.
        for (from, kind) in [
            (1, "covariance of the columns"),
            (1 + plain, "covariance of their sizes"),
        ] {
            if plain < 2 {
                break;
            }
            let mut index = vec![vec![0usize; plain]; plain];
            for (k, &(a, b)) in pairs.iter().enumerate() {
                let inside = |v: usize| (from..from + plain).contains(&v);
                if inside(a) && inside(b) {
                    index[a - from][b - from] = k;
                    index[b - from][a - from] = k;
                }
            }
            let largest: Vec<f64> = (0..pool.count())
                .into_par_iter()
                .map(|p| {
                    let entry = |a: usize, b: usize| products[index[a][b]][p];
                    largest_eigenvalue(&DMatrix::from_fn(plain, plain, entry))
                })
                .collect();
            values.push(largest);
            places.push(kind.into());
        }
        Part {
            name: "covariance",
            values,
            places,
        }
    }

    /// Signs of three columns together: where every pair of them is as it should be, and the three are not.
    fn triples(&self, pool: &Pool, name: &(dyn Fn(usize) -> String + Sync)) -> Part {
        let d = pool.d;
        let columns: Vec<usize> = (0..d)
            .filter(|&k| self.robust[k].1 > 0.0)
            .take(TRIPLES)
            .collect();
        let signs: Vec<Vec<f64>> = columns
            .iter()
            .map(|&k| {
                let places = pool.points.iter().skip(k).step_by(d);
                places.map(|x| (x - self.robust[k].0).signum()).collect()
            })
            .collect();
        let q = columns.len();
        let triples: Vec<[usize; 3]> = (0..q)
            .flat_map(|a| (a + 1..q).flat_map(move |b| (b + 1..q).map(move |c| [a, b, c])))
            .collect();
        let mut values = pool.sums(triples.len(), &|r, i| {
            triples[r].iter().map(|&v| signs[v][i]).product()
        });
        values.iter_mut().flatten().for_each(|v| *v = v.abs());
        let places = triples
            .iter()
            .map(|t| {
                let names: Vec<String> = t.iter().map(|&v| name(columns[v])).collect();
                format!("the signs of {} together", names.join(", "))
            })
            .collect();
        Part {
            name: "triples",
            values,
            places,
        }
    }

    /// The direction along which sizes differ most: `max_q |E_P|q.z| - E_Q|q.z||` over unit `q`, `z` in units of the principal directions, looked for anew in every relabelling.
    ///
    /// From the three best and the three worst of the principal and of random directions some steps of ascent `q <- q / 2 + g / |g|`, `g = sum_i m_i sign(q.z_i) z_i`, at unit length.
    fn pursuit(&self, pool: &Pool, seed: u64) -> Option<Part> {
        let axes: Vec<Vec<f64>> = self
            .principal
            .iter()
            .filter(|(_, _, s)| *s > 0.0)
            .take(COVARIANCES)
            .map(|(_, q, s)| self.along(pool, q).iter().map(|z| z / s).collect())
            .collect();
        let k = axes.len();
        if k < 2 {
            return None;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(13);
        let mut starts: Vec<Vec<f32>> = (0..k)
            .map(|a| (0..k).map(|b| f32::from(u8::from(a == b))).collect())
            .collect();
        for _ in 0..4 * RANDOM {
            let v: Vec<f64> = (0..k).map(|_| StandardNormal.sample(&mut rng)).collect();
            let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt();
            starts.push(v.iter().map(|v| (v / norm) as f32).collect());
        }
        let n = pool.len();
        let z: Vec<f32> = (0..n)
            .flat_map(|i| axes.iter().map(move |a| a[i].clamp(-6.0, 6.0) as f32))
            .collect();
        let size = |r: usize, i: usize| -> f64 {
            let q = &starts[r];
            let row = &z[i * k..(i + 1) * k];
            f64::from(row.iter().zip(q).map(|(z, q)| z * q).sum::<f32>().abs())
        };
        let sizes = pool.sums(starts.len(), &size);
        let isa = Isa::current();
        // The rows of z, and z turned round, in chunks.
        let rows = 192;
        let chunks: Vec<(Packed<f32>, Packed<f32>)> = z
            .chunks(rows * k)
            .map(|z| {
                let rows = z.len() / k;
                let mut forth = Packed::new(isa, rows, k);
                forth.pack(z, k, 1);
                let mut back = Packed::new(isa, k, rows);
                back.pack(z, 1, k);
                (forth, back)
            })
            .collect();
        let best: Vec<Vec<f64>> = pool
            .signed
            .par_iter()
            .enumerate()
            .map(|(lane, masses)| {
                let mut largest = vec![0.0f64; BLOCK];
                let climbs = (0..CLIMBS).flat_map(|rank| [(rank, 1.0f32), (rank, -1.0)]);
                for (rank, sign) in climbs {
                    let mut q = vec![0.0f32; k * BLOCK];
                    for s in 0..BLOCK {
                        let p = lane * BLOCK + s;
                        let value = |r: usize| sizes[r].get(p).map_or(0.0, |v| f64::from(sign) * v);
                        let mut order: Vec<usize> = (0..starts.len()).collect();
                        order.sort_by(|&a, &b| value(b).total_cmp(&value(a)));
                        for (a, v) in starts[order[rank]].iter().enumerate() {
                            q[a * BLOCK + s] = *v;
                        }
                    }
                    let mut along = vec![0.0f32; rows * BLOCK];
                    for _ in 0..PURSUED {
                        let mut gradient = vec![0.0f32; k * BLOCK];
                        let mut value = [0.0f64; BLOCK];
                        for (c, (forth, back)) in chunks.iter().enumerate() {
                            let count = forth.rows();
                            forth.multiply(&q, Init::Zero, Finish::Store(&mut along));
                            let masses = &masses[c * rows * BLOCK..];
                            for (row, m) in along
                                .chunks_exact_mut(BLOCK)
                                .zip(masses.chunks_exact(BLOCK))
                                .take(count)
                            {
                                for s in 0..BLOCK {
                                    let size = row[s].abs() * m[s];
                                    value[s] += f64::from(size);
                                    row[s] = if row[s] < 0.0 { -m[s] } else { m[s] };
                                }
                            }
                            let init = if c == 0 { Init::Zero } else { Init::Add };
                            back.multiply(&along, init, Finish::Store(&mut gradient));
                        }
                        for s in 0..BLOCK {
                            largest[s] = largest[s].max(f64::from(sign) * value[s]);
                            let square = |of: &[f32]| -> f32 {
                                (0..k)
                                    .map(|a| of[a * BLOCK + s].powi(2))
                                    .sum::<f32>()
                                    .sqrt()
                            };
                            let g = square(&gradient).max(f32::MIN_POSITIVE);
                            for a in 0..k {
                                let i = a * BLOCK + s;
                                q[i] = 0.5 * q[i] + sign * gradient[i] / g;
                            }
                            let norm = square(&q).max(f32::MIN_POSITIVE);
                            for a in 0..k {
                                q[a * BLOCK + s] /= norm;
                            }
                        }
                    }
                }
                largest
            })
            .collect();
        Some(Part {
            name: "pursued direction",
            values: vec![best.into_iter().flatten().take(pool.count()).collect()],
            places: vec!["a direction between the columns".into()],
        })
    }

    /// Standardised columns; above 64 dimensions the leading principal directions of them. `[N, k]`.
    fn standardised(&self, pool: &Pool) -> (Vec<f32>, usize) {
        let d = pool.d;
        let most = 64;
        if d > most && !self.principal.is_empty() {
            let leading: Vec<_> = self.principal.iter().take(most).collect();
            let unit = leading.first().map_or(1.0, |l| l.2.max(f64::MIN_POSITIVE));
            let k = leading.len();
            let mut out = vec![0.0f32; pool.len() * k];
            for (c, (_, q, _)) in leading.iter().enumerate() {
                for (i, z) in self.along(pool, q).iter().enumerate() {
                    out[i * k + c] = (z / unit) as f32;
                }
            }
            return (out, k);
        }
        let out = pool
            .points
            .chunks_exact(d)
            .flat_map(|x| {
                (0..d).map(|k| {
                    let (middle, s) = self.robust[k];
                    if s > 0.0 {
                        ((x[k] - middle) / s).clamp(-10.0, 10.0) as f32
                    } else {
                        0.0
                    }
                })
            })
            .collect();
        (out, d)
    }

    /// Masses of cells.
    fn regions(&self, pool: &Pool, seed: u64) -> Part {
        let (points, k) = self.standardised(pool);
        let n = pool.len();
        let mut values = Vec::new();
        let mut places = Vec::new();
        for cells in [12, 48] {
            if n < 10 * cells {
                continue;
            }
            let of = k_means(&points, k, cells, seed);
            let mut shares = vec![0.0; cells];
            for (i, &c) in of.iter().enumerate() {
                shares[c as usize] += pool.mass(i) / pool.total();
            }
            let mut squares = vec![0.0; pool.count()];
            let mut largest = vec![0.0f64; pool.count()];
            let mut place = 0;
            let mut masses = vec![[0.0f32; BLOCK]; cells];
            for (lane, column) in pool.signed.iter().enumerate() {
                masses.iter_mut().for_each(|m| m.fill(0.0));
                for (row, &c) in column.chunks_exact(BLOCK).zip(&of) {
                    for (m, v) in masses[c as usize].iter_mut().zip(row) {
                        *m += v;
                    }
                }
                for (c, m) in masses.iter().enumerate().filter(|(c, _)| shares[*c] > 0.0) {
                    for (s, m) in m.iter().enumerate() {
                        let p = lane * BLOCK + s;
                        if p >= pool.count() {
                            break;
                        }
                        let z = f64::from(*m).powi(2) / shares[c];
                        squares[p] += z;
                        if z > largest[p] {
                            largest[p] = z;
                            if p == 0 {
                                place = c;
                            }
                        }
                    }
                }
            }
            let middle = |c: usize| {
                // Where the cell lies: its two columns furthest from the middle.
                let mut sum = vec![0.0; k];
                let mut count = 0.0;
                for (x, _) in points
                    .chunks_exact(k)
                    .zip(&of)
                    .filter(|(_, o)| **o as usize == c)
                {
                    sum.iter_mut().zip(x).for_each(|(s, x)| *s += f64::from(*x));
                    count += 1.0;
                }
                let mut order: Vec<usize> = (0..k).collect();
                order.sort_by(|&a, &b| sum[b].abs().total_cmp(&sum[a].abs()));
                let what = if k == pool.d {
                    "column"
                } else {
                    "principal direction"
                };
                order
                    .iter()
                    .take(2)
                    .map(|&j| format!("{what} {} about {:.1} deviations", j + 1, sum[j] / count))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            values.push(squares);
            places.push(format!("{cells} regions together"));
            values.push(largest);
            places.push(format!("the region of {}", middle(place)));
        }
        Part {
            name: "region",
            values,
            places,
        }
    }

    /// Local structure.
    fn neighbours(&self, pool: &Pool, seed: u64) -> Option<Part> {
        let (points, k) = self.standardised(pool);
        let n = pool.len();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(11);
        let some = rand::seq::index::sample(&mut rng, n, n.min(200)).into_vec();
        let mut near: Vec<f32> = some
            .par_iter()
            .filter_map(|&i| {
                let x = &points[i * k..(i + 1) * k];
                let mut squares: Vec<f32> = points
                    .chunks_exact(k)
                    .map(|y| x.iter().zip(y).map(|(a, b)| (a - b).powi(2)).sum::<f32>())
                    .filter(|s| *s > 0.0)
                    .collect();
                let at = 9.min(squares.len().checked_sub(1)?);
                Some(*squares.select_nth_unstable_by(at, f32::total_cmp).1)
            })
            .collect();
        if near.is_empty() {
            return None;
        }
        near.sort_by(f32::total_cmp);
        let square = near[near.len() / 2];
        if !(square > 0.0 && square.is_finite()) {
            return None;
        }
        let kernel = Kernel {
            points: &points,
            dim: k,
            shape: Shape::Near(1.0 / square),
        };
        Some(Part {
            name: "neighbours",
            values: vec![kernel.quadratic_forms(&pool.signed, n, pool.count())],
            places: vec!["points within short distances".into()],
        })
    }
}

/// Principal directions of the pool: all of them up to [`DIRECTIONS`] dimensions, else the leading ones of some of the points.
fn principal(
    pool: &Pool,
    mean: &[f64],
    deviations: &[f64],
    rng: &mut ChaCha8Rng,
) -> Vec<(usize, Vec<f64>, f64)> {
    let d = pool.d;
    let n = pool.len();
    if d <= DIRECTIONS {
        let total = pool.total();
        let mut covariance = DMatrix::<f64>::zeros(d, d);
        // In blocks, so that the sums are products of matrices.
        for start in (0..n).step_by(512) {
            let count = (n - start).min(512);
            let block = DMatrix::from_fn(d, count, |k, i| {
                (pool.mass(start + i) / total).sqrt() * (pool.points[(start + i) * d + k] - mean[k])
            });
            covariance += &block * block.transpose();
        }
        if covariance.iter().any(|v| !v.is_finite()) {
            return vec![];
        }
        let eigen = SymmetricEigen::new(covariance);
        let mut order: Vec<usize> = (0..d).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let least = 1e-14 * eigen.eigenvalues.max();
        return order
            .iter()
            .enumerate()
            .map(|(rank, &k)| {
                let value = eigen.eigenvalues[k];
                let s = if value > least { value.sqrt() } else { 0.0 };
                (
                    rank,
                    eigen.eigenvectors.column(k).iter().copied().collect(),
                    s,
                )
            })
            .collect();
    }
    // Orthogonal iteration on some of the points.
    let wanted = DIRECTIONS / 4;
    let rows: Vec<usize> = super::cloud::spaced(n, PRINCIPAL_POINTS);
    let x = DMatrix::from_fn(rows.len(), d, |i, k| pool.points[rows[i] * d + k] - mean[k]);
    let mut q = DMatrix::from_fn(d, wanted, |k, _| {
        let z: f64 = StandardNormal.sample(rng);
        z * deviations[k]
    });
    for _ in 0..6 {
        q = (x.transpose() * (&x * &q)).qr().q();
    }
    let along = &x * &q;
    if along.iter().any(|v| !v.is_finite()) {
        return vec![];
    }
    (0..wanted)
        .map(|k| {
            let s = along.column(k).norm() / (rows.len() as f64).sqrt();
            (k, q.column(k).iter().copied().collect(), s)
        })
        .collect()
}

/// The largest eigenvalue in size of a symmetric matrix, by thirty power steps on its square.
fn largest_eigenvalue(matrix: &DMatrix<f64>) -> f64 {
    let k = matrix.nrows();
    let mut v = nalgebra::DVector::from_fn(k, |i, _| 1.0 + (0.7 * i as f64).sin());
    let mut size = 0.0;
    for _ in 0..30 {
        let norm = v.norm();
        if norm == 0.0 || !norm.is_finite() {
            return 0.0;
        }
        v /= norm;
        let w = matrix * &v;
        size = w.norm();
        v = matrix * w;
    }
    size
}

/// Cells of a k-means partition (Lloyd 1982, from k-means++ starts) of `points: [n, k]`.
fn k_means(points: &[f32], k: usize, cells: usize, seed: u64) -> Vec<u32> {
    let n = points.len() / k;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(10);
    let point = |i: usize| &points[i * k..(i + 1) * k];
    let square =
        |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum() };
    let mut centres: Vec<f32> = point(rng.random_range(0..n)).to_vec();
    let mut nearest: Vec<f32> = points
        .par_chunks_exact(k)
        .map(|x| square(x, &centres))
        .collect();
    while centres.len() < cells * k {
        let total: f64 = nearest.iter().map(|v| f64::from(*v)).sum();
        let next = if total > 0.0 && total.is_finite() {
            let mut left = rng.random_range(0.0..total);
            let at = nearest.iter().position(|v| {
                left -= f64::from(*v);
                left < 0.0
            });
            at.unwrap_or(n - 1)
        } else {
            rng.random_range(0..n)
        };
        let centre = point(next).to_vec();
        nearest
            .par_iter_mut()
            .zip(points.par_chunks_exact(k))
            .for_each(|(v, x)| *v = v.min(square(x, &centre)));
        centres.extend(centre);
    }
    let assign = |centres: &[f32]| -> Vec<u32> {
        points
            .par_chunks_exact(k)
            .map(|x| {
                let mut best = (f32::INFINITY, 0);
                for (c, centre) in centres.chunks_exact(k).enumerate() {
                    let s = square(x, centre);
                    if s < best.0 {
                        best = (s, c as u32);
                    }
                }
                best.1
            })
            .collect()
    };
    let mut of = assign(&centres);
    for _ in 0..6 {
        let mut sums = vec![0.0f64; cells * k];
        let mut counts = vec![0.0f64; cells];
        for (x, &c) in points.chunks_exact(k).zip(&of) {
            counts[c as usize] += 1.0;
            let sum = &mut sums[c as usize * k..(c as usize + 1) * k];
            sum.iter_mut().zip(x).for_each(|(s, x)| *s += f64::from(*x));
        }
        for (c, count) in counts.iter().enumerate().filter(|(_, n)| **n > 0.0) {
            for j in 0..k {
                centres[c * k + j] = (sums[c * k + j] / count) as f32;
            }
        }
        of = assign(&centres);
    }
    of
}

/// `-log` of the share of values that are at least this one; beyond the largest twentieth an exponential tail.
fn scores(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let tail = (n / 20).max(2).min(n - 1);
    let from = sorted[tail];
    // The largest of them aside: where one stands far out, it must not stretch its own tail.
    let excess = sorted[1..tail].iter().map(|v| v - from).sum::<f64>() / (tail - 1).max(1) as f64;
    let share = tail as f64 / n as f64;
    values
        .iter()
        .map(|&v| {
            if v > from && excess > 0.0 {
                (v - from) / excess - share.ln()
            } else {
                let at_least = sorted.partition_point(|&s| s >= v);
                -(at_least as f64 / n as f64).ln()
            }
        })
        .collect()
}

/// The p-value of all parts together, and what each shows.
fn combine(parts: &[Part]) -> (Option<f64>, Vec<Evidence>) {
    let count = parts[0].values[0].len();
    let others = (parts.len() - 1).max(1) as f64;
    let mut best = vec![f64::NEG_INFINITY; count];
    let mut evidence = Vec::new();
    for (k, part) in parts.iter().enumerate() {
        // The largest of a part's statistics, in their own deviations.
        let mut largest = vec![f64::NEG_INFINITY; count];
        let mut place = 0;
        for (j, values) in part.values.iter().enumerate() {
            let mean = values.iter().sum::<f64>() / count as f64;
            let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count as f64;
            if !(square > 0.0 && square.is_finite()) {
                continue;
            }
            let s = square.sqrt();
            for (p, v) in values.iter().enumerate() {
                let z = (v - mean) / s;
                if z > largest[p] {
                    largest[p] = z;
                    if p == 0 {
                        place = j;
                    }
                }
            }
        }
        if largest[0] == f64::NEG_INFINITY {
            continue;
        }
        let score = scores(&largest);
        let weight = if parts.len() == 1 {
            1.0
        } else if k == 0 {
            WEIGHT
        } else {
            (1.0 - WEIGHT) / others
        };
        for (best, score) in best.iter_mut().zip(&score) {
            *best = best.max(score + f64::ln(weight));
        }
        // A hair of tolerance: on tied data equal labels come out a rounding apart.
        let at_least = largest.iter().filter(|v| **v >= largest[0] - 1e-9).count();
        evidence.push((
            score[0] + f64::ln(weight),
            Evidence {
                part: part.name.into(),
                place: part.places[place].clone(),
                p_value: at_least as f64 / count as f64,
            },
        ));
    }
    if evidence.is_empty() {
        // No statistic varies: values so large that their squares are not finite.
        return (None, vec![]);
    }
    let at_least = best.iter().filter(|b| **b >= best[0] - 1e-7).count();
    evidence.sort_by(|a, b| b.0.total_cmp(&a.0));
    (
        Some(at_least as f64 / count as f64),
        evidence.into_iter().map(|e| e.1).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normals(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| StandardNormal.sample(&mut rng)).collect()
    }

    /// Points and their weights.
    type Weighted = (Vec<f64>, Option<Vec<f64>>);

    /// Shares of p-values at or below a level over draws of one law; `make(seed)` gives points and weights of both sides.
    fn rejected(draws: u64, d: usize, make: &(dyn Fn(u64) -> [Weighted; 2] + Sync)) -> [f64; 2] {
        let p: Vec<[bool; 2]> = (0..draws)
            .into_par_iter()
            .map(|seed| {
                let [(x, a), (y, b)] = make(seed);
                let r = two_sample(&x, a.as_deref(), &y, b.as_deref(), d, None, seed).unwrap();
                [
                    r.p_value.unwrap() <= 0.05,
                    r.energy_distance > r.noise_floor,
                ]
            })
            .collect();
        [0, 1].map(|k| p.iter().filter(|p| p[k]).count() as f64 / draws as f64)
    }

    /// Under one law the p-value is uniform, whatever the dimension, sizes, ties and weights; the floor is passed in one of a hundred cases.
    #[test]
    fn the_level_is_what_it_says() {
        let draws = 250;
        let plain = |n: usize, m: usize, d: usize| {
            rejected(draws, d, &move |s| {
                [
                    (normals(n * d, 2 * s + 1), None),
                    (normals(m * d, 2 * s), None),
                ]
            })
        };
        let ties = rejected(draws, 2, &|s| {
            let round = |v: Vec<f64>| (v.iter().map(|v| v.round()).collect(), None);
            [round(normals(200, 2 * s + 1)), round(normals(240, 2 * s))]
        });
        let weighted = rejected(draws, 2, &|s| {
            let w = |n, s| Some(normals(n, s).iter().map(|z| (0.5 * z).exp()).collect());
            [
                (normals(300, 2 * s + 1), w(150, 5000 + s)),
                (normals(500, 2 * s), None),
            ]
        });
        // Importance weights: N(0.4, 1) as weighted points of N(0, 1).
        let importance = rejected(draws, 1, &|s| {
            let x = normals(300, 2 * s + 1);
            let w = x.iter().map(|x| (0.4 * x).exp()).collect();
            let y = normals(300, 2 * s).iter().map(|y| y + 0.4).collect();
            [(x, Some(w)), (y, None)]
        });
        let all = [
            plain(100, 100, 1),
            plain(60, 140, 2),
            plain(100, 100, 8),
            ties,
            weighted,
            importance,
        ];
        // The deviation of a share of 250 draws is 1.4 % at 5 %, 0.6 % at 1 %.
        for (k, [p, floor]) in all.iter().enumerate() {
            assert!((0.0..=0.096).contains(p), "{k}: {all:?}");
            assert!((0.0..=0.032).contains(floor), "{k}: {all:?}");
        }
        // Of all 1,500, 0.56 %.
        let mean = |k: usize| all.iter().map(|a| a[k]).sum::<f64>() / all.len() as f64;
        assert!((0.036..=0.064).contains(&mean(0)), "{all:?}");
        assert!((0.003..=0.018).contains(&mean(1)), "{all:?}");
    }

    /// What the pooled energy distance does not see.
    #[test]
    fn shapes_are_told_apart() {
        let n = 1000;
        // (name, dimension, what shows it, second cloud from (standard normal points, seed), first cloud likewise)
        type Make = Box<dyn Fn(Vec<f64>, u64) -> Vec<f64> + Sync>;
        let same: fn() -> Make = || Box::new(|z, _| z);
        let mixture = |clusters: usize, d: usize, far: f64| -> Make {
            let centres = normals(20 * d, 12345);
            Box::new(move |z, _| {
                let rows = z.chunks_exact(d).enumerate();
                rows.flat_map(|(i, z)| {
                    let c = i % clusters * d;
                    z.iter()
                        .zip(&centres[c..c + d])
                        .map(|(z, c)| far * c + z)
                        .collect::<Vec<_>>()
                })
                .collect()
            })
        };
        let cases: Vec<(&str, usize, Make, Make)> = vec![
            (
                "vertices of a cube",
                64,
                same(),
                Box::new(|z, s| {
                    let noise = normals(z.len(), 999 + s);
                    z.iter()
                        .zip(noise)
                        .map(|(z, e)| z.signum() + 0.1 * e)
                        .collect()
                }),
            ),
            (
                "one column two-peaked, of the same mean and variance",
                16,
                same(),
                Box::new(|mut z, _| {
                    z.iter_mut()
                        .skip(3)
                        .step_by(16)
                        .for_each(|z| *z = 0.9 * z.signum() + 0.19f64.sqrt() * (z.abs() - 0.8));
                    z
                }),
            ),
            (
                "two columns correlated, margins as before",
                16,
                same(),
                Box::new(|mut z, _| {
                    for z in z.chunks_exact_mut(16) {
                        z[3] = 0.35 * z[5] + (1.0f64 - 0.1225).sqrt() * z[3];
                    }
                    z
                }),
            ),
            (
                "the product of three columns positive, pairs independent",
                4,
                same(),
                Box::new(|mut z, _| {
                    for z in z.chunks_exact_mut(4) {
                        z[2] = z[2].abs() * (z[0] * z[1]).signum();
                    }
                    z
                }),
            ),
            (
                "the same in sixteen dimensions",
                16,
                same(),
                Box::new(|mut z, _| {
                    for z in z.chunks_exact_mut(16) {
                        z[9] = z[9].abs() * (z[0] * z[4]).signum();
                    }
                    z
                }),
            ),
            (
                "two heaps along a direction between the columns",
                8,
                same(),
                Box::new(|mut z, _| {
                    let q = 1.0 / 8f64.sqrt();
                    for z in z.chunks_exact_mut(8) {
                        let along: f64 = z.iter().map(|z| q * z).sum();
                        let heaps = 0.95 * along.signum() + 0.3 * (along.abs() - 0.8);
                        z.iter_mut().for_each(|z| *z += q * (heaps - along));
                    }
                    z
                }),
            ),
            (
                "one cluster of twenty missing",
                64,
                mixture(19, 64, 3.0),
                mixture(20, 64, 3.0),
            ),
            (
                "one cluster of twenty missing in the plane",
                2,
                mixture(19, 2, 8.0),
                mixture(20, 2, 8.0),
            ),
            (
                "a thin direction left",
                6,
                Box::new(|z, _| oblique(z, 1e-3)),
                Box::new(|z, _| oblique(z, 1.5e-3)),
            ),
        ];
        for (name, d, first, second) in cases {
            let seen = (0..10)
                .filter(|&s| {
                    let x = first(normals(n * d, 2 * s + 1), s);
                    let y = second(normals(n * d, 2 * s), s);
                    let r = two_sample(&x, None, &y, None, d, None, s).unwrap();
                    r.p_value.unwrap() <= 0.05
                })
                .count();
            assert!(seen >= 9, "{name}: {seen} of 10");
        }
    }

    /// A cloud of dimension five in six, `thin` thick across, along no axis.
    fn oblique(mut z: Vec<f64>, thin: f64) -> Vec<f64> {
        let normal = 1.0 / 6f64.sqrt();
        for z in z.chunks_exact_mut(6) {
            let along: f64 = z.iter().map(|z| z * normal).sum();
            z.iter_mut()
                .for_each(|z| *z += (thin - 1.0) * along * normal);
        }
        z
    }

    #[test]
    fn places_are_named_and_what_cannot_be_said_is_not() {
        let d = 5;
        let x = normals(400 * d, 1);
        let mut y = normals(400 * d, 2);
        y.iter_mut().skip(2).step_by(d).for_each(|v| *v += 1.0);
        let names: Vec<String> = ["a", "b", "cdk1", "d", "e"].map(String::from).into();
        let r = two_sample(&x, None, &y, None, d, Some(&names), 3).unwrap();
        assert!(r.differ(LEVEL) && r.p_value == Some(0.002), "{r:?}");
        let column = r.evidence.iter().find(|e| e.part == "column").unwrap();
        assert_eq!(column.place, "cdk1");
        // The same twice, and the other way round.
        assert_eq!(
            r,
            two_sample(&x, None, &y, None, d, Some(&names), 3).unwrap()
        );
        let turned = two_sample(&y, None, &x, None, d, Some(&names), 3).unwrap();
        let near = |a: Option<f64>, b: Option<f64>| (a.unwrap() - b.unwrap()).abs() < 1e-5;
        assert!(near(r.energy_distance, turned.energy_distance));
        // Points without weight are not there.
        let mut more = x.clone();
        more.extend([1e9; 5]);
        let mut w = vec![1.0; 401];
        w[400] = 0.0;
        let with = two_sample(&more, Some(&w), &y, None, d, Some(&names), 3).unwrap();
        assert!(near(r.energy_distance, with.energy_distance) && with.differ(LEVEL));
        // Nothing to test.
        for (x, y) in [(vec![1.0], vec![1.0, 2.0]), (vec![3.0; 4], vec![3.0; 5])] {
            let r = two_sample(&x, None, &y, None, 1, None, 1).unwrap();
            assert!(r.p_value.is_none() && !r.differ(LEVEL), "{r:?}");
        }
        assert!(two_sample(&[f64::NAN, 1.0], None, &[1.0, 2.0], None, 1, None, 1).is_err());
        assert!(two_sample(&[0.0, 1.0], Some(&[1.0]), &[1.0, 2.0], None, 1, None, 1).is_err());
        assert!(
            two_sample(
                &[0.0, 1.0],
                Some(&[1.0, -1.0]),
                &[1.0, 2.0],
                None,
                1,
                None,
                1
            )
            .is_err()
        );
    }

    /// `int (F_P - F_Q)^2 dz` is half the energy distance with self terms over `n^2`.
    #[test]
    fn on_a_line_the_energy_distance_is_an_integral() {
        let (x, y) = (normals(70, 1), normals(50, 2));
        let pool = Pool::new([(&x, None), (&y, None)], 1, 20, 1).ok().unwrap();
        let all: Vec<f64> = x.iter().chain(&y).copied().collect();
        let [lines, ranks] = pool.on_a_line(&all).unwrap();
        let found = lines[0];
        let mean = |a: &[f64], b: &[f64]| {
            let sum: f64 = a
                .iter()
                .flat_map(|a| b.iter().map(move |b| (a - b).abs()))
                .sum();
            sum / (a.len() * b.len()) as f64
        };
        let v = 2.0 * mean(&x, &y) - mean(&x, &x) - mean(&y, &y);
        let range = all.iter().copied().fold(f64::NEG_INFINITY, f64::max)
            - all.iter().copied().fold(f64::INFINITY, f64::min);
        assert!((found - 0.5 * v / range).abs() < 1e-6, "{found} {v}");
        // Of the ranks: far points change nothing.
        let mut far = all.clone();
        let last = (0..far.len())
            .max_by(|&a, &b| far[a].total_cmp(&far[b]))
            .unwrap();
        far[last] = 1e6;
        let again = pool.on_a_line(&far).unwrap();
        assert_eq!(ranks, again[1]);
        assert_ne!(lines, again[0]);
    }

    #[test]
    fn scores_are_logarithms_of_shares_with_a_tail() {
        let values: Vec<f64> = (0..200).map(f64::from).collect();
        let s = scores(&values);
        // Half of the values are at least the 100th.
        assert!((s[100] - 2f64.ln()).abs() < 1e-12);
        assert!(s.windows(2).all(|w| w[0] <= w[1]));
        let mut far = values.clone();
        far[199] = 1e6;
        // Far out it scores far higher, and does not change the others.
        let t = scores(&far);
        assert!(t[199] > 1000.0 && (0..199).all(|i| s[i] == t[i]));
    }
}

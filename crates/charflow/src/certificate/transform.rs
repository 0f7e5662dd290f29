//! The c-transform of a source potential, searched honestly.
//!
//! ```text
//! g^c(y)      = min_x in R^d   g(x) + l(y - x)            by search
//! g^d(y)      = min_i          g(x_i) + l(y - x_i)        over the sample points: the discrete transform, exact
//! ```
//!
//! A search finds a local minimum, so its value is an upper bound on the infimum. Too large a `g^c` makes the slack too small and the certificate too good, so
//! every point is searched from several starts: what the caller knows (the preimage, the backward map's guess), the three best of *all* sample points by
//! `g(x_i) + l(y - x_i)`, and, since a preimage is stationary whether or not it is a minimum, a point a little beside it. All starts are searched a little way,
//! then those that can still be best are refined to rounding; the least value is taken, `g^d` included. [`Transform::of`] says nothing of what no start
//! reached; [`more_starts`] tries again for some of the points from thirty.
//!
//! For the quadratic cost the `n m` costs come from products: `|y - x|^2 / 2 = |x|^2 / 2 - x.y + |y|^2 / 2`, with `x` around the cloud's mean so that a far
//! shift costs no digits in the differences that decide. The value of the best is then computed directly.

use super::potential::SourcePotential;
use crate::characteristic::conjugate::{Found, Search};
use crate::potential::{BLOCK, Isa};
use crate::samples::distance;
use charflow_kernels::product::{Finish, Init, Packed};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// Sample points a search starts from.
pub(crate) const NEAREST: usize = 3;

/// No sample point: there are fewer than were asked for.
const NONE: u32 = u32::MAX;

/// A point found further from the cloud than this many of its radii has run away: there `g(x) + l(y - x)` has no least value.
const RUNAWAY: f64 = 30.0;

/// How far beside a preimage the extra start lies, in solver units a coordinate.
const BESIDE: f64 = 0.1;

/// The source cloud in solver units, with the potential on it.
pub(crate) struct Source<'a> {
    pub potential: &'a SourcePotential,
    /// `[n, d]`.
    pub points: &'a [f64],
    /// `g(x_i)`, `[n]`.
    pub g: &'a [f64],
}

/// Transforms of `m` points, in solver units.
pub(crate) struct Transform {
    /// The least value found, `[m]`.
    pub value: Vec<f64>,
    /// `g^d`, `[m]`.
    #[cfg(test)]
    pub discrete: Vec<f64>,
    /// Whether the search ran away from the cloud.
    pub runaway: Vec<bool>,
    /// Whether the tolerance was met.
    pub converged: Vec<bool>,
}

/// The first, short search from every start.
const SHORT: Search = Search {
    evaluations: 14,
    tolerance: 1e-3,
    radius: f64::INFINITY,
};

/// Refinement, in rounds: those not done yet go on together, so that few hard points do not keep many waiting.
const ROUNDS: [usize; 3] = [30, 80, 250];
const TOLERANCE: f64 = 1e-7;

impl Source<'_> {
    fn dim(&self) -> usize {
        self.potential.dim()
    }

    fn point(&self, i: u32) -> &[f64] {
        let d = self.dim();
        &self.points[i as usize * d..(i as usize + 1) * d]
    }

    /// Centre and largest distance from it.
    fn extent(&self) -> (Vec<f64>, f64) {
        let d = self.dim();
        let n = self.points.len() / d;
        let mut centre = vec![0.0; d];
        for x in self.points.chunks_exact(d) {
            for (c, x) in centre.iter_mut().zip(x) {
                *c += x / n as f64;
            }
        }
        let radius = self
            .points
            .chunks_exact(d)
            .map(|x| distance(x, &centre))
            .fold(0.0, f64::max);
        (centre, radius.max((d as f64).sqrt()))
    }

    /// The `k` sample points with the least `g(x_i) + l(y - x_i)`, best first, for each row of `y: [m, d]`: `[m, k]`.
    pub fn best_samples(&self, y: &[f64], k: usize) -> Vec<u32> {
        let d = self.dim();
        let mut best = vec![NONE; y.len() / d * k];
        if self.potential.is_quadratic() {
            let tiles = Tiles::new(self);
            best.par_chunks_mut(BLOCK * k)
                .zip(y.par_chunks(BLOCK * d))
                .for_each_init(
                    || (vec![0.0; d * BLOCK], vec![0.0; TILE * BLOCK]),
                    |(lanes, scores), (best, y)| tiles.best(y, k, lanes, scores, best),
                );
        } else {
            best.par_chunks_mut(k).zip(y.par_chunks(d)).for_each_init(
                || (vec![0.0; d], vec![0.0; k]),
                |(v, values), (best, y)| {
                    values.fill(f64::INFINITY);
                    for (i, x) in self.points.chunks_exact(d).enumerate() {
                        let h = self.g[i] + self.potential.inner_cost(x, y, v);
                        insert(h, i as u32, values, best);
                    }
                },
            );
        }
        best
    }

    /// `g(x_i) + l(y - x_i)`.
    fn at_sample(&self, i: u32, y: &[f64], v: &mut [f64]) -> f64 {
        self.g[i as usize] + self.potential.inner_cost(self.point(i), y, v)
    }

    /// `g^d(y)` for each row of `y: [m, d]`.
    pub fn discrete(&self, y: &[f64]) -> Vec<f64> {
        let best = self.best_samples(y, 1);
        self.values_at(y, &best, 1)
    }

    fn values_at(&self, y: &[f64], best: &[u32], k: usize) -> Vec<f64> {
        let d = self.dim();
        let mut v = vec![0.0; d];
        y.chunks_exact(d)
            .zip(best.chunks_exact(k))
            .map(|(y, best)| {
                if best[0] == NONE {
                    // No sample point has a finite value.
                    f64::INFINITY
                } else {
                    self.at_sample(best[0], y, &mut v)
                }
            })
            .collect()
    }
}

/// Keeps `values`, ascending, and their `indices`; the first of equals stays first.
fn insert(h: f64, i: u32, values: &mut [f64], indices: &mut [u32]) {
    let k = values.len();
    if h.partial_cmp(&values[k - 1]) != Some(std::cmp::Ordering::Less) {
        return;
    }
    let mut at = k - 1;
    while at > 0 && values[at - 1] > h {
        values[at] = values[at - 1];
        indices[at] = indices[at - 1];
        at -= 1;
    }
    values[at] = h;
    indices[at] = i;
}

/// Sample points in one product: its result stays in the second cache.
const TILE: usize = 128;

/// `-x_i` and `g_i + |x_i|^2 / 2`, around the cloud's mean, packed for products.
struct Tiles {
    centre: Vec<f64>,
    tiles: Vec<(Packed<f64>, Vec<f64>)>,
}

impl Tiles {
    fn new(source: &Source<'_>) -> Self {
        let d = source.dim();
        let (centre, _) = source.extent();
        let isa = Isa::current();
        let tiles = source
            .points
            .chunks(TILE * d)
            .zip(source.g.chunks(TILE))
            .map(|(x, g)| {
                let away: Vec<f64> = x
                    .chunks_exact(d)
                    .flat_map(|x| x.iter().zip(&centre).map(|(x, c)| c - x))
                    .collect();
                let mut packed = Packed::new(isa, g.len(), d);
                packed.pack(&away, d, 1);
                let bias = away
                    .chunks_exact(d)
                    .zip(g)
                    .map(|(x, g)| g + 0.5 * x.iter().map(|x| x * x).sum::<f64>())
                    .collect();
                (packed, bias)
            })
            .collect();
        Tiles { centre, tiles }
    }

    fn best(&self, y: &[f64], k: usize, lanes: &mut [f64], scores: &mut [f64], best: &mut [u32]) {
        let d = self.centre.len();
        let count = y.len() / d;
        lanes.fill(0.0);
        for (s, y) in y.chunks_exact(d).enumerate() {
            for j in 0..d {
                lanes[j * BLOCK + s] = y[j] - self.centre[j];
            }
        }
        let mut values = vec![f64::INFINITY; BLOCK * k];
        let mut worst = [f64::INFINITY; BLOCK];
        worst[count..].fill(f64::NEG_INFINITY);
        let mut first = 0u32;
        for (packed, bias) in &self.tiles {
            let rows = bias.len();
            packed.multiply(
                lanes,
                Init::Bias(bias),
                Finish::Store(&mut scores[..rows * BLOCK]),
            );
            for (i, row) in scores[..rows * BLOCK].chunks_exact(BLOCK).enumerate() {
                let mut better = 0u32;
                for s in 0..BLOCK {
                    better += u32::from(row[s] < worst[s]);
                }
                if better == 0 {
                    continue;
                }
                for s in 0..count {
                    if row[s] < worst[s] {
                        let range = s * k..(s + 1) * k;
                        insert(
                            row[s],
                            first + i as u32,
                            &mut values[range.clone()],
                            &mut best[range],
                        );
                        worst[s] = values[s * k + k - 1];
                    }
                }
            }
            first += rows as u32;
        }
    }
}

/// Searches to be made: rows of given points and starts, and whose they are.
#[derive(Default)]
struct Tasks {
    owner: Vec<u32>,
    y: Vec<f64>,
    z: Vec<f64>,
}

impl Tasks {
    fn push(&mut self, owner: usize, y: &[f64], start: &[f64]) {
        self.owner.push(owner as u32);
        self.y.extend_from_slice(y);
        self.z.extend_from_slice(start);
    }
}

/// What a caller knows of the minimisers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Guesses<'a> {
    /// The row of the source cloud that is mapped to row `i` of `y`: row `i` itself.
    pub preimages: bool,
    /// Points to start from, `[m, d]`.
    pub guess: Option<&'a [f64]>,
}

impl Transform {
    /// The transform at the rows of `y: [m, d]`.
    pub fn of(source: &Source<'_>, y: &[f64], guesses: Guesses<'_>, seed: u64) -> Self {
        let d = source.dim();
        let best = source.best_samples(y, NEAREST);
        let discrete = source.values_at(y, &best, NEAREST);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(21);
        let mut tasks = Tasks::default();
        for (j, y) in y.chunks_exact(d).enumerate() {
            if guesses.preimages {
                let x = source.point(j as u32);
                tasks.push(j, y, x);
                let beside: Vec<f64> = x
                    .iter()
                    .map(|x| {
                        let z: f64 = StandardNormal.sample(&mut rng);
                        x + BESIDE * z
                    })
                    .collect();
                tasks.push(j, y, &beside);
            }
            if let Some(guess) = guesses.guess {
                tasks.push(j, y, &guess[j * d..(j + 1) * d]);
            }
            for &i in &best[j * NEAREST..(j + 1) * NEAREST] {
                if i != NONE && !(guesses.preimages && i as usize == j) {
                    tasks.push(j, y, source.point(i));
                }
            }
        }
        search_all(source, tasks, discrete)
    }
}

/// Again for the rows `of` of `y`, from their fifteen best sample points and fifteen random ones: `[of.len()]` transforms.
pub(crate) fn more_starts(source: &Source<'_>, y: &[f64], of: &[usize], seed: u64) -> Transform {
    const EACH: usize = 15;
    let d = source.dim();
    let n = source.g.len();
    let y: Vec<f64> = of
        .iter()
        .flat_map(|&j| y[j * d..(j + 1) * d].iter().copied())
        .collect();
    let best = source.best_samples(&y, EACH);
    let discrete = source.values_at(&y, &best, EACH);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(22);
    let mut tasks = Tasks::default();
    for (j, y) in y.chunks_exact(d).enumerate() {
        for &i in best[j * EACH..(j + 1) * EACH]
            .iter()
            .filter(|i| **i != NONE)
        {
            tasks.push(j, y, source.point(i));
        }
        for _ in 0..EACH {
            tasks.push(j, y, source.point(rng.random_range(0..n) as u32));
        }
    }
    search_all(source, tasks, discrete)
}

fn search_all(source: &Source<'_>, mut tasks: Tasks, discrete: Vec<f64>) -> Transform {
    let d = source.dim();
    let m = discrete.len();
    let (centre, radius) = source.extent();
    let away = |z: &[f64]| {
        let r = distance(z, &centre);
        r.is_nan() || r > RUNAWAY * radius
    };
    let mut found = source.potential.search(&tasks.y, &mut tasks.z, SHORT);

    // The tasks of each point, one after another as they were pushed.
    let mut ranges = vec![0..0; m];
    for (t, &j) in tasks.owner.iter().enumerate() {
        let range: &mut std::ops::Range<usize> = &mut ranges[j as usize];
        if range.end == 0 {
            *range = t..t;
        }
        range.end = t + 1;
    }
    let least = |found: &[Found], range: &std::ops::Range<usize>| {
        range
            .clone()
            .min_by(|&a, &b| found[a].value.total_cmp(&found[b].value))
    };
    // What can still be best: by the residual, `h` may fall by about half its square (more where it is flatter than a unit bend, so four times that).
    let mut open: Vec<usize> = Vec::new();
    for range in &ranges {
        let Some(first) = least(&found, range) else {
            continue;
        };
        let place = |t: usize| &tasks.z[t * d..(t + 1) * d];
        let mut kept: Vec<usize> = vec![first];
        for t in range.clone().filter(|&t| t != first) {
            let hope = found[t].value - 2.0 * found[t].residual <= found[first].value;
            let apart = kept
                .iter()
                .all(|&k| distance(place(t), place(k)) > 0.02 * (d as f64).sqrt());
            if hope && apart && kept.len() < 3 {
                kept.push(t);
            }
        }
        open.extend(kept);
    }
    for evaluations in ROUNDS {
        open.retain(|&t| !away(&tasks.z[t * d..(t + 1) * d]));
        let rows = |all: &[f64]| -> Vec<f64> {
            open.iter()
                .flat_map(|&t| all[t * d..(t + 1) * d].iter().copied())
                .collect()
        };
        let (y, mut z) = (rows(&tasks.y), rows(&tasks.z));
        let limits = Search {
            evaluations,
            tolerance: TOLERANCE,
            radius: f64::INFINITY,
        };
        let again = source.potential.search(&y, &mut z, limits);
        for ((&t, z), again) in open.iter().zip(z.chunks_exact(d)).zip(&again) {
            tasks.z[t * d..(t + 1) * d].copy_from_slice(z);
            found[t] = *again;
        }
        open = open
            .into_iter()
            .zip(&again)
            .filter(|(_, again)| !again.converged)
            .map(|(t, _)| t)
            .collect();
    }
    let mut transform = Transform {
        value: discrete.clone(),
        #[cfg(test)]
        discrete,
        runaway: vec![false; m],
        converged: vec![true; m],
    };
    for (j, range) in ranges.iter().enumerate() {
        if let Some(t) = least(&found, range) {
            let far = away(&tasks.z[t * d..(t + 1) * d]);
            transform.runaway[j] = far || !found[t].value.is_finite();
            transform.converged[j] = found[t].converged;
            if found[t].value < transform.value[j] {
                transform.value[j] = found[t].value;
            }
        }
    }
    transform
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Cost;
    use crate::exact::GaussianMap;
    use crate::potential::{Family, Shape, WarmPotential};
    use crate::samples::Scaling;
    use charflow_kernels::activation::Activation;

    /// The quadratic cost under another name: takes the way of all costs.
    #[derive(Debug)]
    struct Plain;

    impl Cost for Plain {
        fn name(&self) -> String {
            "plain".into()
        }
        fn l(&self, v: &[f64]) -> f64 {
            0.5 * v.iter().map(|v| v * v).sum::<f64>()
        }
        fn hamiltonian(&self, q: &[f64]) -> f64 {
            self.l(q)
        }
        fn velocity(&self, q: &[f64], out: &mut [f64]) {
            out.copy_from_slice(q);
        }
        fn hessian_vec(&self, _: &[f64], w: &[f64], out: &mut [f64]) {
            out.copy_from_slice(w);
        }
        fn rescaled(&self, _: f64) -> Box<dyn Cost> {
            Box::new(Plain)
        }
        fn cost_factor(&self, scale: f64) -> f64 {
            scale * scale
        }
    }

    fn network(d: usize, cost: &dyn Cost) -> SourcePotential {
        let layers = Family::Mlp
            .layers(&[9, 7], Activation::Softplus { beta: 2.0 })
            .unwrap();
        let mut potential =
            WarmPotential::<f64>::new(Isa::current(), Shape { dim: d, layers }, None);
        let theta: Vec<f64> = (0..crate::potential::Potential::parameters(&potential))
            .map(|i| (0.9 * i as f64).sin())
            .collect();
        crate::potential::Potential::set_parameters(&mut potential, &theta);
        SourcePotential::new(potential, Scaling::identity(d), cost).unwrap()
    }

    fn points(n: usize, d: usize, shift: f64, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n * d)
            .map(|_| shift + rng.random_range(-2.0..2.0))
            .collect()
    }

    #[test]
    fn the_best_sample_points_are_those_of_the_definition() {
        for (n, m, d, shift) in [(1, 5, 1, 0.0), (130, 49, 3, 1e6), (300, 100, 20, -4.0)] {
            for cost in [&crate::cost::Quadratic as &dyn Cost, &Plain] {
                let potential = network(d, cost);
                let (x, y) = (points(n, d, 0.5, 1), points(m, d, shift, 2));
                let g = potential.inner_values(&x);
                let source = Source {
                    potential: &potential,
                    points: &x,
                    g: &g,
                };
                let found = source.best_samples(&y, 3);
                let discrete = source.discrete(&y);
                for (j, y) in y.chunks_exact(d).enumerate() {
                    let mut all: Vec<(f64, u32)> = (0..n)
                        .map(|i| {
                            let v: Vec<f64> =
                                y.iter().zip(&x[i * d..]).map(|(y, x)| y - x).collect();
                            (g[i] + cost.l(&v), i as u32)
                        })
                        .collect();
                    all.sort_by(|a, b| a.0.total_cmp(&b.0));
                    let rounding = 1e-13 * (1.0 + all[0].0.abs());
                    assert!((discrete[j] - all[0].0).abs() <= 100.0 * rounding);
                    for (k, &i) in found[j * 3..(j + 1) * 3].iter().enumerate() {
                        match all.get(k) {
                            None => assert_eq!(i, NONE),
                            Some(&(h, expected)) => {
                                let its = all.iter().find(|a| a.1 == i).unwrap().0;
                                assert!(i == expected || (its - h).abs() < 100.0 * rounding);
                            }
                        }
                    }
                }
            }
        }
    }

    /// A wavy potential in one dimension has many local minima; a fine grid knows the least.
    #[test]
    fn the_least_of_many_minima_is_found() {
        let layers = Family::Mlp.layers(&[40, 40], Activation::Tanh).unwrap();
        let mut potential =
            WarmPotential::<f64>::new(Isa::current(), Shape { dim: 1, layers }, None);
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let theta: Vec<f64> = (0..crate::potential::Potential::parameters(&potential))
            .map(|_| rng.random_range(-2.0..2.0))
            .collect();
        crate::potential::Potential::set_parameters(&mut potential, &theta);
        let potential =
            SourcePotential::new(potential, Scaling::identity(1), &crate::cost::Quadratic).unwrap();
        let (x, y) = (points(400, 1, 0.0, 1), points(100, 1, 0.0, 2));
        let g = potential.inner_values(&x);
        let source = Source {
            potential: &potential,
            points: &x,
            g: &g,
        };
        let transform = Transform::of(&source, &y, Guesses::default(), 1);
        let grid: Vec<f64> = (0..60_000).map(|i| -30.0 + 0.001 * f64::from(i)).collect();
        let values = potential.inner_values(&grid);
        let mut missed = 0;
        for (j, y) in y.iter().enumerate() {
            let least = grid
                .iter()
                .zip(&values)
                .map(|(x, g)| g + 0.5 * (y - x).powi(2))
                .fold(f64::INFINITY, f64::min);
            // Never below the infimum (the grid is that much above it), never above the discrete transform.
            assert!(transform.value[j] > least - 0.02);
            assert!(transform.value[j] <= transform.discrete[j]);
            missed += usize::from(transform.value[j] > least + 1e-6);
        }
        assert!(missed < 10, "{missed}");
    }

    #[test]
    fn curvature_is_that_of_the_closed_form() {
        let map = GaussianMap::from_parts(
            vec![0.0; 3],
            vec![1.0, -2.0, 3e5],
            &[2.0, 0.3, 0.0, 0.3, 0.7, 0.1, 0.0, 0.1, 1.5],
        )
        .unwrap();
        let potential = SourcePotential::of_gaussian(&map);
        let exact = nalgebra::DMatrix::from_row_slice(3, 3, &map.matrix())
            .symmetric_eigenvalues()
            .min();
        for least in
            super::super::curvature::least_eigenvalues(&potential, &points(50, 3, 0.0, 3), 1)
        {
            assert!((least - exact).abs() < 1e-6, "{least} {exact}");
        }
    }
}

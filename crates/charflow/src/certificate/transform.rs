//! The c-transform of a source potential, searched honestly.
//!
//! ```text
//! g^c(y)      = min_{x in B}   g(x) + l(y - x)            by search
//! g^d(y)      = min_i          g(x_i) + l(y - x_i)        over the sample points: the discrete transform, exact
//! ```
//!
//! `B` is a ball around the source points, half as wide again as they are. Weak duality needs `g^c(y) - g(x) <= l(y - x)` on the support of the source only, so any `B` that holds it will do; what a
//! network is far from all points does not matter then, and there is always a least value. (Of a law with heavy tails some of the mass beyond the sample may lie outside; that is less than the share of points that no sample has.)
//!
//! A search finds a local minimum, so its value is an upper bound on the infimum. Too large a `g^c` makes the slack too small and the certificate too good, so
//! every point is searched from many starts:
//!
//! - what the caller knows: the preimage, a point a little beside it (a preimage is stationary whether or not it is a minimum), the backward map's guess;
//! - the best of *all* sample points by `h_i = g(x_i) + l(y - x_i)`;
//! - those whose own images `t_i = x_i + V(grad g(x_i))` are nearest to `y`: a minimiser in the ball's inside is stationary, so its own image *is* `y`. Where a cloud falls into
//!   clusters the best basin need not hold a single sample point that is good by value;
//! - for the quadratic cost, those with the least `h_i - |t_i - y|^2 / 2M` for `M` = 1/2, 1, 2: the minimum that the gradient `x_i - y + grad g(x_i) = t_i - y` foretells at curvature `M`;
//! - the points half way between the preimage (or guess) and the sample points of the nearest images.
//!
//! All are searched a few steps, the more hopeful ones further, then those that can still be best are refined to rounding; the least value is taken, `g^d` included. [`Transform::of`] says
//! nothing of what no start reached; [`more_starts`] tries again for some of the points from forty-five others.
//!
//! For the quadratic cost and for the images the `n m` scores come from products: `|y - x|^2 / 2 = |x|^2 / 2 - x.y + |y|^2 / 2`, with `x` around the cloud's mean so that a far
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

/// Sample points a search starts from: the best by value, the nearest images, those of the least foretold minimum for each curvature.
const BY_VALUE: usize = 3;
const BY_IMAGE: usize = 3;
const FORETOLD: usize = 1;
const CURVATURES: [f64; 3] = [0.5, 1.0, 2.0];

/// No sample point: there are fewer than were asked for.
const NONE: u32 = u32::MAX;

/// The ball's radius, in distances of the farthest source point from their mean.
const REACH: f64 = 1.5;

/// How far beside a preimage the extra start lies, in solver units a coordinate.
const BESIDE: f64 = 0.1;

/// The ball over which a transform is the infimum, in solver units.
#[derive(Clone, Debug)]
pub(crate) struct Ball {
    pub centre: Vec<f64>,
    pub radius: f64,
}

impl Ball {
    /// Around rows of points, half as wide again as they are.
    pub fn around(points: &[&[f64]], d: usize) -> Self {
        let rows = || points.iter().flat_map(|p| p.chunks_exact(d));
        let n = rows().count() as f64;
        let mut centre = vec![0.0; d];
        for x in rows() {
            for (c, x) in centre.iter_mut().zip(x) {
                *c += x / n;
            }
        }
        let radius = rows().map(|x| distance(x, &centre)).fold(0.0, f64::max);
        Ball {
            radius: REACH * radius.max((d as f64).sqrt()),
            centre,
        }
    }

    /// How far every point that it was drawn around is from its surface, at least.
    pub fn margin(&self) -> f64 {
        self.radius * (1.0 - 1.0 / REACH)
    }

    fn on_surface(&self, z: &[f64]) -> bool {
        let r = distance(z, &self.centre);
        r.is_nan() || r > (1.0 - 1e-6) * self.radius
    }
}

/// The source cloud in solver units, with the potential on it.
pub(crate) struct Source<'a> {
    pub potential: &'a SourcePotential,
    /// `[n, d]`.
    pub points: &'a [f64],
    /// `g(x_i)`, `[n]`.
    pub g: &'a [f64],
    /// Images under the potential's own map, `[n, d]`; empty where only the discrete transform is asked for.
    pub images: &'a [f64],
    /// What the transform is the infimum over.
    pub ball: &'a Ball,
}

/// Transforms of `m` points, in solver units.
pub(crate) struct Transform {
    /// The least value found, `[m]`.
    pub value: Vec<f64>,
    /// `g^d`, `[m]`.
    #[cfg(test)]
    pub discrete: Vec<f64>,
    /// Whether the least value lies on the surface of the ball.
    pub on_surface: Vec<bool>,
    /// Whether the tolerance was met.
    pub converged: Vec<bool>,
}

const fn limits(evaluations: usize, tolerance: f64) -> Search {
    Search {
        evaluations,
        tolerance,
        radius: f64::INFINITY,
    }
}

/// The first steps from every start, and those of the more hopeful ones.
const FIRST: Search = limits(4, 1e-3);
const SHORT: Search = limits(12, 1e-3);

/// Starts of a point that go on after the first steps.
const HOPEFUL: usize = 6;

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

    /// The `k` sample points with the least `g(x_i) + l(y - x_i)`, best first, for each row of `y: [m, d]`: `[m, k]`.
    pub fn best_samples(&self, y: &[f64], k: usize) -> Vec<u32> {
        let d = self.dim();
        let mut best = vec![NONE; y.len() / d * k];
        if self.potential.is_quadratic() {
            return self.scores(None).best(y, k);
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

    /// The `k` sample points whose own images are nearest to each row of `y`, nearest first: `[m, k]`.
    pub fn nearest_images(&self, y: &[f64], k: usize) -> Vec<u32> {
        let centre = mean(self.images, self.dim());
        let rows = || self.images.chunks_exact(centre.len());
        let half_square = |t: &[f64]| {
            0.5 * t
                .iter()
                .zip(&centre)
                .map(|(t, c)| (t - c).powi(2))
                .sum::<f64>()
        };
        let bias: Vec<f64> = rows().map(half_square).collect();
        let away: Vec<f64> = rows()
            .flat_map(|t| t.iter().zip(&centre).map(|(t, c)| c - t))
            .collect();
        Tiles::new(centre, &away, &bias).best(y, k)
    }

    /// Scores `g_i + |x_i - y|^2 / 2 - |t_i - y|^2 / 2M` up to what `y` alone adds, for the quadratic cost; without `M` the last term is left out.
    fn scores(&self, curvature: Option<f64>) -> Tiles {
        let d = self.dim();
        let centre = mean(self.points, d);
        let n = self.g.len();
        let mut bias = Vec::with_capacity(n);
        let mut away = Vec::with_capacity(n * d);
        for (i, x) in self.points.chunks_exact(d).enumerate() {
            let mut b = self.g[i];
            for (k, (x, c)) in x.iter().zip(&centre).enumerate() {
                let x = x - c;
                let (mut a, mut square) = (-x, x * x);
                if let Some(m) = curvature {
                    let t = self.images[i * d + k] - c;
                    a += t / m;
                    square -= t * t / m;
                }
                away.push(a);
                b += 0.5 * square;
            }
            bias.push(b);
        }
        Tiles::new(centre, &away, &bias)
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

fn mean(points: &[f64], d: usize) -> Vec<f64> {
    let n = (points.len() / d) as f64;
    let mut mean = vec![0.0; d];
    for x in points.chunks_exact(d) {
        for (m, x) in mean.iter_mut().zip(x) {
            *m += x / n;
        }
    }
    mean
}

/// Rows `a_i` and numbers `b_i` for scores `b_i + a_i.(y - centre)`, packed for products.
struct Tiles {
    centre: Vec<f64>,
    tiles: Vec<(Packed<f64>, Vec<f64>)>,
}

impl Tiles {
    fn new(centre: Vec<f64>, rows: &[f64], bias: &[f64]) -> Self {
        let d = centre.len();
        let isa = Isa::current();
        let tiles = rows
            .chunks(TILE * d)
            .zip(bias.chunks(TILE))
            .map(|(rows, bias)| {
                let mut packed = Packed::new(isa, bias.len(), d);
                packed.pack(rows, d, 1);
                (packed, bias.to_vec())
            })
            .collect();
        Tiles { centre, tiles }
    }

    /// The `k` rows of the least score for each row of `y: [m, d]`, least first: `[m, k]`.
    fn best(&self, y: &[f64], k: usize) -> Vec<u32> {
        let d = self.centre.len();
        let mut best = vec![NONE; y.len() / d * k];
        best.par_chunks_mut(BLOCK * k)
            .zip(y.par_chunks(BLOCK * d))
            .for_each_init(
                || (vec![0.0; d * BLOCK], vec![0.0; TILE * BLOCK]),
                |(lanes, scores), (best, y)| self.block(y, k, lanes, scores, best),
            );
        best
    }

    fn block(&self, y: &[f64], k: usize, lanes: &mut [f64], scores: &mut [f64], best: &mut [u32]) {
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
        let by_value = source.best_samples(y, BY_VALUE);
        let discrete = source.values_at(y, &by_value, BY_VALUE);
        let by_image = source.nearest_images(y, BY_IMAGE);
        let foretold: Vec<Vec<u32>> = if source.potential.is_quadratic() {
            let least = |m| source.scores(Some(m)).best(y, FORETOLD);
            CURVATURES.map(least).into()
        } else {
            vec![]
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(21);
        let mut tasks = Tasks::default();
        let mut samples: Vec<u32> = Vec::new();
        for (j, y) in y.chunks_exact(d).enumerate() {
            let of = |all: &[u32], k: usize| all[j * k..(j + 1) * k].to_vec();
            let images = of(&by_image, BY_IMAGE);
            samples.clear();
            samples.extend(of(&by_value, BY_VALUE));
            samples.extend(&images);
            samples.extend(foretold.iter().flat_map(|f| of(f, FORETOLD)));
            samples.sort_unstable();
            samples.dedup();
            samples.retain(|&i| i != NONE && !(guesses.preimages && i as usize == j));
            let mut known = None;
            if let Some(guess) = guesses.guess {
                let guess = &guess[j * d..(j + 1) * d];
                tasks.push(j, y, guess);
                known = Some(guess);
            }
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
                known = Some(x);
            }
            for &i in &samples {
                tasks.push(j, y, source.point(i));
            }
            if let Some(known) = known {
                let others = images
                    .iter()
                    .filter(|&&i| i != NONE && !(guesses.preimages && i as usize == j));
                for &i in others {
                    tasks.push(j, y, &half_way(known, source.point(i)));
                }
            }
        }
        search_all(source, tasks, discrete)
    }
}

fn half_way(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| 0.5 * (a + b)).collect()
}

/// Again for the rows `of` of `y`, from fifteen sample points each: the best by value, those of the nearest images, random ones. `[of.len()]` transforms.
pub(crate) fn more_starts(source: &Source<'_>, y: &[f64], of: &[usize], seed: u64) -> Transform {
    const EACH: usize = 15;
    let d = source.dim();
    let n = source.g.len();
    let y: Vec<f64> = of
        .iter()
        .flat_map(|&j| y[j * d..(j + 1) * d].iter().copied())
        .collect();
    let by_value = source.best_samples(&y, EACH);
    let discrete = source.values_at(&y, &by_value, EACH);
    let by_image = source.nearest_images(&y, EACH);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(22);
    let mut tasks = Tasks::default();
    for (j, y) in y.chunks_exact(d).enumerate() {
        let range = j * EACH..(j + 1) * EACH;
        let known = by_value[range.clone()].iter().chain(&by_image[range]);
        let mut samples: Vec<u32> = known.copied().filter(|i| *i != NONE).collect();
        samples.extend((0..EACH).map(|_| rng.random_range(0..n) as u32));
        samples.sort_unstable();
        samples.dedup();
        for i in samples {
            tasks.push(j, y, source.point(i));
        }
    }
    search_all(source, tasks, discrete)
}

/// The tasks of each point, one after another as they were pushed.
fn ranges(tasks: &Tasks, m: usize) -> Vec<std::ops::Range<usize>> {
    let mut ranges = vec![0..0; m];
    for (t, &j) in tasks.owner.iter().enumerate() {
        let range: &mut std::ops::Range<usize> = &mut ranges[j as usize];
        if range.end == 0 {
            *range = t..t;
        }
        range.end = t + 1;
    }
    ranges
}

fn search_all(source: &Source<'_>, tasks: Tasks, discrete: Vec<f64>) -> Transform {
    let d = source.dim();
    let m = discrete.len();
    let potential = source.potential;
    let mut first = tasks;
    let found = potential.search(source.ball, &first.y, &mut first.z, FIRST);

    // The hopeful ones: by the residual, `h` may fall by about half its square.
    let mut tasks = Tasks::default();
    for range in ranges(&first, m) {
        let hope = |t: &usize| found[*t].value - 0.5 * found[*t].residual;
        let mut order: Vec<usize> = range.collect();
        if order.len() > HOPEFUL {
            // The lowest so far goes on whatever the others may hope for.
            order.sort_by(|a, b| hope(a).total_cmp(&hope(b)));
            let lowest = order
                .iter()
                .enumerate()
                .min_by(|a, b| found[*a.1].value.total_cmp(&found[*b.1].value));
            if let Some((at, _)) = lowest
                && at >= HOPEFUL
            {
                order.swap(at, HOPEFUL - 1);
            }
            order.truncate(HOPEFUL);
            order.sort_unstable();
        }
        for t in order {
            let row = t * d..(t + 1) * d;
            tasks.push(
                first.owner[t] as usize,
                &first.y[row.clone()],
                &first.z[row],
            );
        }
    }
    let mut found = potential.search(source.ball, &tasks.y, &mut tasks.z, SHORT);
    let ranges = ranges(&tasks, m);
    let least = |found: &[Found], range: &std::ops::Range<usize>| {
        range
            .clone()
            .min_by(|&a, &b| found[a].value.total_cmp(&found[b].value))
    };
    // What can still be best (where it is flatter than a unit bend `h` may fall by more, so four times that).
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
        let rows = |all: &[f64]| -> Vec<f64> {
            open.iter()
                .flat_map(|&t| all[t * d..(t + 1) * d].iter().copied())
                .collect()
        };
        let (y, mut z) = (rows(&tasks.y), rows(&tasks.z));
        let again = potential.search(source.ball, &y, &mut z, limits(evaluations, TOLERANCE));
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
        on_surface: vec![false; m],
        converged: vec![true; m],
    };
    for (j, range) in ranges.iter().enumerate() {
        if let Some(t) = least(&found, range) {
            transform.converged[j] = found[t].converged && found[t].value.is_finite();
            if found[t].value < transform.value[j] {
                transform.value[j] = found[t].value;
                transform.on_surface[j] = source.ball.on_surface(&tasks.z[t * d..(t + 1) * d]);
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
                let (g, images) = (potential.inner_values(&x), potential.own_images(&x));
                let source = Source {
                    potential: &potential,
                    points: &x,
                    g: &g,
                    images: &images,
                    ball: &Ball::around(&[&x], d),
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

    #[test]
    fn nearest_images_and_foretold_minima_are_those_of_the_definition() {
        for (n, m, d) in [(130, 49, 3), (300, 60, 20)] {
            let potential = network(d, &crate::cost::Quadratic);
            let (x, y) = (points(n, d, 0.5, 1), points(m, d, 2.0, 2));
            let (g, images) = (potential.inner_values(&x), potential.own_images(&x));
            let source = Source {
                potential: &potential,
                points: &x,
                g: &g,
                images: &images,
                ball: &Ball::around(&[&x], d),
            };
            let square = |a: &[f64], b: &[f64]| distance(a, b).powi(2);
            let row = |of: &[f64], i: usize| of[i * d..(i + 1) * d].to_vec();
            let check = |found: &[u32], score: &dyn Fn(usize, &[f64]) -> f64, k: usize| {
                for (j, y) in y.chunks_exact(d).enumerate() {
                    let mut all: Vec<f64> = (0..n).map(|i| score(i, y)).collect();
                    let mine: Vec<f64> = (0..k).map(|r| all[found[j * k + r] as usize]).collect();
                    all.sort_by(f64::total_cmp);
                    for (mine, best) in mine.iter().zip(&all) {
                        assert!((mine - best).abs() < 1e-9 * (1.0 + best.abs()));
                    }
                }
            };
            check(
                &source.nearest_images(&y, 3),
                &|i, y| square(&row(&images, i), y),
                3,
            );
            for m in CURVATURES {
                let score = |i: usize, y: &[f64]| {
                    g[i] + 0.5 * square(&row(&x, i), y) - square(&row(&images, i), y) / (2.0 * m)
                };
                check(&source.scores(Some(m)).best(&y, 2), &score, 2);
            }
        }
    }

    /// A potential without a least value: over the ball there is one, on its surface where the slope leads.
    #[test]
    fn the_search_keeps_to_the_ball() {
        let d = 3;
        // g = -|x|^2, so h(x) = -|x|^2 + |y - x|^2 / 2 falls without end; over the ball |x| <= r the least value is at r y / |y|.
        let shape = Shape {
            dim: d,
            layers: vec![crate::potential::Layer {
                width: d,
                previous: false,
                input: true,
                quadratic: true,
                residual: false,
                scale: 1.0,
                activation: Activation::Identity,
            }],
        };
        let mut theta = vec![0.0; shape.parameters()];
        let place = |name: &str| shape.tensors().iter().find(|t| t.0 == name).unwrap().1;
        // The units of a quadratic layer are squares of linear forms.
        for k in 0..d {
            theta[place("layer1.Q") + k * d + k] = 1.0;
            theta[place("output.F") + k] = -1.0;
        }
        let mut potential = WarmPotential::<f64>::new(Isa::current(), shape, None);
        crate::potential::Potential::set_parameters(&mut potential, &theta);
        let potential =
            SourcePotential::new(potential, Scaling::identity(d), &crate::cost::Quadratic).unwrap();
        let x = points(60, d, 0.0, 1);
        let (g, images) = (potential.inner_values(&x), potential.own_images(&x));
        assert!((g[0] + x[..d].iter().map(|v| v * v).sum::<f64>()).abs() < 1e-12);
        let ball = Ball {
            centre: vec![0.0; d],
            radius: 4.0,
        };
        let source = Source {
            potential: &potential,
            points: &x,
            g: &g,
            images: &images,
            ball: &ball,
        };
        let y = points(50, d, 0.0, 2);
        let found = Transform::of(&source, &y, Guesses::default(), 1);
        for (j, y) in y.chunks_exact(d).enumerate() {
            let norm = y.iter().map(|v| v * v).sum::<f64>().sqrt();
            let least = -16.0 + 0.5 * (4.0 - norm).powi(2);
            assert!(
                (found.value[j] - least).abs() < 1e-6 * (1.0 + least.abs()),
                "{} {least}",
                found.value[j]
            );
            assert!(found.on_surface[j] && found.converged[j]);
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
        let (g, images) = (potential.inner_values(&x), potential.own_images(&x));
        let ball = Ball {
            centre: vec![0.0],
            radius: 30.0,
        };
        let source = Source {
            potential: &potential,
            points: &x,
            g: &g,
            images: &images,
            ball: &ball,
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
        assert_eq!(missed, 0);
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
        let exact = nalgebra::DMatrix::from_row_slice(3, 3, &map.matrix()).symmetric_eigenvalues();
        for found in
            super::super::curvature::extreme_eigenvalues(&potential, &points(50, 3, 0.0, 3), 1)
        {
            assert!((found[0] - exact.min()).abs() < 1e-6, "{found:?} {exact}");
            assert!((found[1] - exact.max()).abs() < 1e-6, "{found:?} {exact}");
        }
    }
}

//! Problems with a known optimal map: a law to draw from, the map, its potential.
//!
//! | family | source | optimal map `T*` | because | potential |
//! |---|---|---|---|---|
//! | gaussian | `N(m, S)` | `m' + A (x - m)`, `A` symmetric positive definite | gradient of a convex quadratic | exact |
//! | tails | `m + L z / r`, `z` normal, `6 r^2` chi-squared of 6 degrees | the same | nothing is asked of `mu` | exact |
//! | clusters | 12 far Gaussians | the same; with labels, the clusters | | exact |
//! | ridges | three Gaussians | `x + V(grad g)`, `g` a sum of convex ridges, for every cost | see `ridges` | exact |
//! | corners | Gaussians at the corners of a cube | the same with `g' = 1.5 tanh(3 x)` in some coordinates | | exact |
//! | translation | `known_costs` | `x + a` | Jensen | exact, a plane |
//! | line, product | `known_costs` | increasing in each coordinate | rearrangement | slopes `l'(T - x)` between knots: near |
//! | radial, pair | `known_costs` | along rays, `x + V(grad f)` | see there | fitted |
//! | w2 | `mixture_to_map` | gradient of a convex network | Brenier | exact, the network itself |
//! | labelled | far Gaussians, one a class | a closed form of its own for each class | of each class, not of the whole | the linear map's |

use std::sync::Arc;

use charflow::certificate::SourcePotential;
use charflow::cost::{Cost, Quadratic};
use charflow::exact::GaussianMap;
use charflow::map::{BackwardMap, ForwardMap, check_points};
use charflow::model::CharacteristicMap;
use charflow::solver::{Config, NcfSolver, Silent};
use charflow::{Result, Samples};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::ridges::Ridges;
use crate::datasets::{draw_gaussian, random_pair};
use crate::known_costs::Family;
use crate::{LabError, MixtureToMap};

/// A map of many points, `[n, d]` to `[n, d]`.
pub(super) type Points = Arc<dyn Fn(&[f64]) -> Vec<f64> + Send + Sync>;
/// `n` points of a law, by seed and stream.
pub(super) type Draw = Arc<dyn Fn(usize, u64, u64) -> Vec<f64> + Send + Sync>;
/// The class of a source point.
pub(super) type ClassOf = Arc<dyn Fn(&[f64]) -> usize + Send + Sync>;
/// Settings of a fit for so many points in so many dimensions.
pub type Settings = dyn Fn(usize, usize) -> Config + Send + Sync;

/// A map by formula.
#[derive(Clone)]
pub(super) struct Rule {
    pub dim: usize,
    pub map: Points,
}

impl Rule {
    pub fn new(dim: usize, map: impl Fn(&[f64]) -> Vec<f64> + Send + Sync + 'static) -> Self {
        Rule {
            dim,
            map: Arc::new(map),
        }
    }

    /// Row by row.
    pub fn each(dim: usize, map: impl Fn(&[f64]) -> Vec<f64> + Send + Sync + 'static) -> Self {
        Rule::new(dim, move |x| x.chunks_exact(dim).flat_map(&map).collect())
    }

    pub fn of_gaussian(map: &GaussianMap) -> Self {
        let map = map.clone();
        // Never refused: points are checked before.
        Rule::new(map.dim(), move |x| map.forward(x).unwrap_or_default())
    }

    pub fn back_of_gaussian(map: &GaussianMap) -> Self {
        let map = map.clone();
        Rule::new(map.dim(), move |x| map.backward(x).unwrap_or_default())
    }

    pub fn at(&self, x: &[f64]) -> Vec<f64> {
        (self.map)(x)
    }
}

impl ForwardMap for Rule {
    fn dim(&self) -> usize {
        self.dim
    }

    fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        check_points(x, self.dim)?;
        Ok(self.at(x))
    }
}

impl BackwardMap for Rule {
    fn dim(&self) -> usize {
        self.dim
    }

    fn backward(&self, y: &[f64]) -> Result<Vec<f64>> {
        check_points(y, self.dim)?;
        Ok(self.at(y))
    }
}

/// What a source potential is made of: it is made again for every case.
#[derive(Clone)]
pub(super) enum Own {
    Linear(GaussianMap),
    Ridges(Ridges),
    Network(Arc<MixtureToMap>),
    Fit(Arc<CharacteristicMap>),
    World(Arc<super::basins::World>),
}

impl Own {
    pub fn potential(&self, cost: &dyn Cost) -> std::result::Result<SourcePotential, LabError> {
        match self {
            Own::Linear(map) => Ok(SourcePotential::of_gaussian(map)),
            Own::Ridges(g) => g.potential(cost),
            Own::Network(problem) => problem.source_potential(),
            Own::Fit(map) => Ok(SourcePotential::of_map(map)),
            Own::World(world) => world.potential(),
        }
    }
}

/// How points of a law come to have weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weighing {
    /// They have none.
    Plain,
    /// Drawn with the density `a(x)` more often, `a = 0.2 + 0.8 / (1 + exp(-2 z))` with `z` the first coordinate in standard deviations, and weighed by `1 / a`: so the weighted law is the law.
    Importance,
    /// Weighed by counts `1, 2, ...` that have nothing to do with the place (geometric, mean 2).
    Counts,
}

/// A source, the optimal map, and its potential.
#[derive(Clone)]
pub(super) struct Problem {
    pub family: &'static str,
    pub about: String,
    pub dim: usize,
    pub cost: Arc<dyn Cost>,
    pub draw: Draw,
    pub map: Rule,
    pub back: Option<Rule>,
    pub own: Own,
    /// Whether the potential is that of the map, to rounding.
    pub exact: bool,
    /// The two Gaussians, if it is them: the map, and `S` of the source.
    pub gaussian: Option<(GaussianMap, Vec<f64>)>,
    /// `m` and `L`, with `m + L R z` of the law of `m + L z` for every rotation `R`.
    pub round: Option<(Vec<f64>, Vec<f64>)>,
    /// The law does not change under `2 m - x`.
    pub symmetric: Option<Vec<f64>>,
    pub classes: Option<(usize, ClassOf)>,
    pub weighing: Weighing,
}

pub(super) fn rng(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    rng.sample(StandardNormal)
}

pub(super) fn normals(n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..n).map(|_| normal(rng)).collect()
}

/// The lower triangular `L` with `L L' = S`.
pub(super) fn cholesky(s: &[f64], d: usize) -> Vec<f64> {
    let mut l = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| l[i * d + k] * l[j * d + k]).sum();
            let left = s[i * d + j] - dot;
            l[i * d + j] = if i == j {
                left.max(0.0).sqrt()
            } else {
                left / l[j * d + j]
            };
        }
    }
    l
}

/// `m + L z`.
pub(super) fn shaped(m: &[f64], l: &[f64], z: &[f64]) -> Vec<f64> {
    let d = m.len();
    (0..d)
        .map(|i| m[i] + (0..=i).map(|k| l[i * d + k] * z[k]).sum::<f64>())
        .collect()
}

impl Problem {
    fn linear(family: &'static str, about: String, map: &GaussianMap, draw: Draw) -> Self {
        Problem {
            family,
            about,
            dim: map.dim(),
            cost: Arc::new(Quadratic),
            draw,
            map: Rule::of_gaussian(map),
            back: Some(Rule::back_of_gaussian(map)),
            own: Own::Linear(map.clone()),
            exact: true,
            gaussian: None,
            round: None,
            symmetric: None,
            classes: None,
            weighing: Weighing::Plain,
        }
    }

    /// Means up to `far` standard deviations apart, a coordinate.
    fn gaussians(
        d: usize,
        seed: u64,
        far: f64,
    ) -> std::result::Result<(GaussianMap, Vec<f64>), LabError> {
        let truth = random_pair(d, seed);
        let mut rng = rng(seed, 1 << 40);
        let m0 = normals(d, &mut rng);
        let m1: Vec<f64> = m0.iter().map(|m| m + far * normal(&mut rng)).collect();
        Ok((
            GaussianMap::new(&m0, &truth.sigma0, &m1, &truth.sigma1)?,
            truth.sigma0,
        ))
    }

    pub fn gaussian(d: usize, seed: u64) -> std::result::Result<Self, LabError> {
        let far = [0.0, 0.3, 1.0][seed as usize % 3];
        let (map, s0) = Self::gaussians(d, seed, far)?;
        let m0 = map.source_mean().to_vec();
        let (m, s) = (m0.clone(), s0.clone());
        let draw: Draw = Arc::new(move |n, seed, stream| {
            let mut x = draw_gaussian(&s, d, n, seed, stream).unwrap_or_default();
            x.chunks_exact_mut(d)
                .for_each(|x| x.iter_mut().zip(&m).for_each(|(x, m)| *x += m));
            x
        });
        let mut problem = Self::linear(
            "gaussian",
            format!("two Gaussians, means {far} apart"),
            &map,
            draw,
        );
        problem.round = Some((m0.clone(), cholesky(&s0, d)));
        problem.symmetric = Some(m0);
        problem.gaussian = Some((map, s0));
        Ok(problem)
    }

    pub fn tails(d: usize, seed: u64) -> std::result::Result<Self, LabError> {
        let (map, s0) = Self::gaussians(d, seed, 0.3)?;
        let m = map.source_mean().to_vec();
        let l = cholesky(&s0, d);
        let (at, shape) = (m.clone(), l.clone());
        let draw: Draw = Arc::new(move |n, seed, stream| {
            let mut rng = rng(seed, stream);
            (0..n)
                .flat_map(|_| {
                    let mut z = normals(d, &mut rng);
                    let chi: f64 = (0..6).map(|_| normal(&mut rng).powi(2)).sum();
                    z.iter_mut().for_each(|z| *z /= (chi / 6.0).sqrt());
                    shaped(&at, &shape, &z)
                })
                .collect()
        });
        let mut problem = Self::linear(
            "tails",
            "elliptical t of 6 degrees of freedom".into(),
            &map,
            draw,
        );
        problem.round = Some((m.clone(), l));
        problem.symmetric = Some(m);
        Ok(problem)
    }

    /// Twelve clusters, their centres 4 apart a coordinate, of spread 0.5.
    pub fn clusters(d: usize, seed: u64) -> std::result::Result<Self, LabError> {
        const K: usize = 12;
        let (map, _) = Self::gaussians(d, seed, 0.3)?;
        let mut of = rng(seed, (1 << 40) + 1);
        let centres: Vec<f64> = normals(K * d, &mut of).iter().map(|c| 4.0 * c).collect();
        let at = centres.clone();
        let draw: Draw = Arc::new(move |n, seed, stream| {
            let mut rng = rng(seed, stream);
            (0..n)
                .flat_map(|_| {
                    let k = rng.random_range(0..K);
                    (0..d)
                        .map(|j| at[k * d + j] + 0.5 * normal(&mut rng))
                        .collect::<Vec<_>>()
                })
                .collect()
        });
        let mut problem = Self::linear(
            "clusters",
            format!("{K} clusters, one linear map"),
            &map,
            draw,
        );
        problem.classes = Some((K, nearest(centres, d)));
        Ok(problem)
    }

    /// Three Gaussians moved by ridges, for any cost.
    pub fn ridges(cost: Arc<dyn Cost>, d: usize, seed: u64) -> Self {
        let k = 2 * d + 4;
        let mut of = rng(seed, (1 << 40) + 2);
        let slope = 1.6 / (d as f64).sqrt();
        let mut g = Ridges {
            dim: d,
            slopes: normals(k * d, &mut of).iter().map(|w| slope * w).collect(),
            offsets: normals(k, &mut of),
            sizes: (0..k).map(|_| of.random_range(0.2..1.4)).collect(),
            linear: normals(d, &mut of).iter().map(|c| 0.4 * c).collect(),
            beta: 2.5,
        };
        let centres = normals(3 * d, &mut of);
        let draw: Draw = Arc::new(move |n, seed, stream| {
            let mut rng = rng(seed, stream);
            (0..n)
                .flat_map(|_| {
                    let k = rng.random_range(0..3);
                    (0..d)
                        .map(|j| centres[k * d + j] + 0.6 * normal(&mut rng))
                        .collect::<Vec<_>>()
                })
                .collect()
        });
        // Displacements of 1.2 a coordinate, or as far as two thirds of the reach: they grow with g.
        let x = draw(1000, seed, 40);
        let wanted = (1.2 * (d as f64).sqrt()).min(0.66 * cost.reach());
        let (mut low, mut high) = (1e-4_f64, 1e4_f64);
        let unit = g.clone();
        for _ in 0..40 {
            let by = (low * high).sqrt();
            g.sizes = unit.sizes.iter().map(|f| by * f).collect();
            g.linear = unit.linear.iter().map(|c| by * c).collect();
            let moved = super::truth::mean_square(&x, &g.map(cost.as_ref(), &x), d).sqrt();
            if moved < wanted {
                low = by;
            } else {
                high = by;
            }
        }
        Self::by_ridges(
            "ridges",
            format!("three Gaussians, {k} ridges"),
            cost,
            g,
            draw,
        )
    }

    fn by_ridges(
        family: &'static str,
        about: String,
        cost: Arc<dyn Cost>,
        g: Ridges,
        draw: Draw,
    ) -> Self {
        let (c, of) = (Arc::clone(&cost), g.clone());
        Problem {
            family,
            about,
            dim: g.dim,
            map: Rule::new(g.dim, move |x| of.map(c.as_ref(), x)),
            cost,
            draw,
            back: None,
            own: Own::Ridges(g),
            exact: true,
            gaussian: None,
            round: None,
            symmetric: None,
            classes: None,
            weighing: Weighing::Plain,
        }
    }

    /// `2^m` clusters of spread 0.35 at the corners `+-1.8` of a cube in the first `m` coordinates; they move apart by 1.5 a coordinate.
    pub fn corners(d: usize, m: usize) -> Self {
        let (height, steep) = (1.5, 3.0);
        let g = Ridges {
            dim: d,
            slopes: (0..m * d)
                .map(|k| f64::from(u8::from(k % d == k / d)))
                .collect(),
            offsets: vec![0.0; m],
            // tanh(k s) = 2 sigma(2 k s) - 1.
            sizes: vec![2.0 * height; m],
            linear: (0..d).map(|j| if j < m { -height } else { 0.4 }).collect(),
            beta: 2.0 * steep,
        };
        let draw: Draw = Arc::new(move |n, seed, stream| {
            let mut rng = rng(seed, stream);
            (0..n)
                .flat_map(|_| {
                    (0..d)
                        .map(|j| {
                            let side = match (j < m, rng.random()) {
                                (false, _) => 0.0,
                                (_, true) => CORNER,
                                _ => -CORNER,
                            };
                            side + 0.35 * normal(&mut rng)
                        })
                        .collect::<Vec<_>>()
                })
                .collect()
        });
        let mut problem = Self::by_ridges(
            "corners",
            format!("clusters at {} corners", 1 << m),
            Arc::new(Quadratic),
            g,
            draw,
        );
        problem.symmetric = Some(vec![0.0; d]);
        let class: ClassOf = Arc::new(move |x| (0..m).map(|j| usize::from(x[j] > 0.0) << j).sum());
        problem.classes = Some((1 << m, class));
        problem
    }

    /// A problem of [`crate::known_costs`].
    pub fn known(
        family: Family,
        cost: &str,
        d: usize,
        settings: &Settings,
    ) -> std::result::Result<Self, LabError> {
        let parsed = || charflow::cost::parse(cost);
        let known: Arc<dyn crate::known_costs::KnownTransport> =
            Arc::from(family.problem(parsed()?, d)?);
        let cost: Arc<dyn Cost> = Arc::from(parsed()?);
        let of = Arc::clone(&known);
        let map = Rule::new(d, move |x| of.forward(x));
        let of = Arc::clone(&known);
        let draw: Draw = Arc::new(move |n, seed, stream| of.sample_source(n, seed, stream));
        // In the coordinates of the cost.
        let momentum = |i: usize, z: f64| {
            let mut x = vec![z; d];
            if let Some(c) = cost.coordinates() {
                c.leave(&mut x);
            }
            let mut v: Vec<f64> = map.at(&x).iter().zip(&x).map(|(t, x)| t - x).collect();
            if let Some(c) = cost.coordinates() {
                c.enter(&mut v);
            }
            let inner = cost.rescaled(1.0);
            let h = 1e-6;
            let mut at = |s: f64| {
                let kept = v[i];
                v[i] += s;
                let l = inner.l(&v);
                v[i] = kept;
                l
            };
            (at(h) - at(-h)) / (2.0 * h)
        };
        let (own, exact) = match family {
            Family::Translation => (
                Own::Ridges(Ridges::plane((0..d).map(|i| momentum(i, 0.0)).collect())),
                true,
            ),
            Family::Line => (
                Own::Ridges(Ridges::product(1, [-5.5, 5.5], 110, momentum)),
                false,
            ),
            Family::Product => (
                Own::Ridges(Ridges::product(d, [-4.5, 4.5], 30, momentum)),
                false,
            ),
            Family::Radial | Family::Pair => {
                let n = 2000;
                let fit = fitted(&draw, &map, cost.as_ref(), n, 200, &settings(n, d))?;
                (Own::Fit(Arc::new(fit)), false)
            }
        };
        Ok(Problem {
            family: family.name(),
            about: format!("{}, {}", known.about(), charflow::cost::short(&cost.name())),
            dim: d,
            symmetric: (family == Family::Line).then(|| vec![0.0]),
            round: (family == Family::Line).then(|| (vec![0.0], vec![1.0])),
            cost,
            draw,
            map,
            back: None,
            own,
            exact,
            gaussian: None,
            classes: None,
            weighing: Weighing::Plain,
        })
    }

    pub fn mixture(problem: Arc<MixtureToMap>) -> Self {
        let (a, b, c) = (
            Arc::clone(&problem),
            Arc::clone(&problem),
            Arc::clone(&problem),
        );
        let d = problem.dim();
        Problem {
            family: "w2",
            about: problem.name().to_string(),
            dim: d,
            cost: Arc::new(Quadratic),
            draw: Arc::new(move |n, seed, stream| a.sample_source(n, seed, stream)),
            map: Rule::new(d, move |x| b.forward(x).unwrap_or_default()),
            back: Some(Rule::new(d, move |y| c.backward(y).unwrap_or_default())),
            own: Own::Network(problem),
            exact: true,
            gaussian: None,
            round: None,
            symmetric: None,
            classes: None,
            weighing: Weighing::Plain,
        }
    }

    /// Far classes, each a Gaussian with a closed form of its own. The optimal map of each class, not of the whole: the truth is that of the classes.
    pub fn labelled(d: usize, k: usize, seed: u64) -> std::result::Result<Self, LabError> {
        let mut of = rng(seed, (1 << 40) + 3);
        let mut maps = Vec::new();
        let mut centres = Vec::new();
        let mut roots = Vec::new();
        for c in 0..k {
            let pair = random_pair(d, seed * 31 + c as u64);
            // Centres on a circle of radius 8, images further round on another.
            let angle = std::f64::consts::TAU * c as f64 / k as f64;
            let at = |r: f64, angle: f64, of: &mut ChaCha8Rng| -> Vec<f64> {
                (0..d)
                    .map(|j| match j {
                        0 => r * angle.cos(),
                        1 => r * angle.sin(),
                        _ => 0.5 * normal(of),
                    })
                    .collect()
            };
            let (m0, m1) = (at(8.0, angle, &mut of), at(9.0, angle + 1.2, &mut of));
            maps.push(GaussianMap::new(&m0, &pair.sigma0, &m1, &pair.sigma1)?);
            roots.push(cholesky(&pair.sigma0, d));
            centres.extend(m0);
        }
        let class = nearest(centres.clone(), d);
        let (at, by, of_class) = (centres, maps, Arc::clone(&class));
        let draw: Draw = Arc::new(move |n, seed, stream| {
            let mut rng = rng(seed, stream);
            (0..n)
                .flat_map(|_| {
                    let c = rng.random_range(0..k);
                    let z = normals(d, &mut rng);
                    shaped(&at[c * d..(c + 1) * d], &roots[c], &z)
                })
                .collect()
        });
        let map = Rule::each(d, move |x| by[of_class(x)].forward(x).unwrap_or_default());
        let x = Samples::from_f64(&draw(4000, seed, 5), d)?;
        let y = Samples::from_f64(&map.at(&draw(4000, seed, 6)), d)?;
        let linear = GaussianMap::from_moments(&x.moments(), &y.moments())?;
        Ok(Problem {
            family: "labelled",
            about: format!("{k} classes, each with its own map"),
            dim: d,
            cost: Arc::new(Quadratic),
            draw,
            map,
            back: None,
            own: Own::Linear(linear),
            exact: false,
            gaussian: None,
            round: None,
            symmetric: None,
            classes: Some((k, class)),
            weighing: Weighing::Plain,
        })
    }

    /// Whether a class is that of the whole: then its map is optimal for the whole cloud too.
    pub fn one_map(&self) -> bool {
        self.family != "labelled"
    }

    /// `n` points with their weights, if they have some: the source, or those behind the target.
    pub fn weighed(&self, n: usize, seed: u64, stream: u64) -> (Vec<f64>, Option<Vec<f64>>) {
        let mut rng = rng(seed, stream + (1 << 41));
        match self.weighing {
            Weighing::Plain => ((self.draw)(n, seed, stream), None),
            Weighing::Counts => {
                let weights = (0..n)
                    .map(|_| {
                        let mut count = 1.0;
                        while rng.random::<bool>() {
                            count += 1.0;
                        }
                        count
                    })
                    .collect();
                ((self.draw)(n, seed, stream), Some(weights))
            }
            Weighing::Importance => {
                let d = self.dim;
                let all = (self.draw)(8 * n, seed, stream);
                // Fixed, so that the law is that of the same density whatever the sample.
                let some = (self.draw)(2000, 77, 1 << 42);
                let first: Vec<f64> = some.iter().step_by(d).copied().collect();
                let m = first.iter().sum::<f64>() / first.len() as f64;
                let s = (first.iter().map(|x| (x - m).powi(2)).sum::<f64>() / first.len() as f64)
                    .sqrt();
                let (mut points, mut weights) = (Vec::new(), Vec::new());
                for x in all.chunks_exact(d) {
                    let a = 0.2 + 0.8 / (1.0 + (-2.0 * (x[0] - m) / s).exp());
                    if rng.random::<f64>() < a {
                        points.extend_from_slice(x);
                        weights.push(1.0 / a);
                    }
                    if weights.len() == n {
                        break;
                    }
                }
                (points, Some(weights))
            }
        }
    }
}

/// Where the corners are.
pub(super) const CORNER: f64 = 1.8;

/// The class of the nearest centre.
fn nearest(centres: Vec<f64>, d: usize) -> ClassOf {
    Arc::new(move |x| {
        let far = |c: &[f64]| c.iter().zip(x).map(|(c, x)| (c - x).powi(2)).sum::<f64>();
        let all = centres.chunks_exact(d).map(far).enumerate();
        all.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(k, _)| k)
    })
}

/// A fit to `n` points a side, by so many steps; other points than any that a certificate sees.
pub(super) fn fitted(
    draw: &Draw,
    map: &Rule,
    cost: &dyn Cost,
    n: usize,
    steps: u64,
    settings: &Config,
) -> std::result::Result<CharacteristicMap, LabError> {
    let d = map.dim;
    let x = Samples::from_f64(&draw(n, 1_000_003, 11), d)?;
    let y = Samples::from_f64(&map.at(&draw(n, 1_000_003, 12)), d)?;
    let mut config = settings.clone();
    config.cost = cost.name();
    config.steps = steps;
    let problem = charflow::Problem::new(x, y, charflow::cost::parse(&cost.name())?)?;
    Ok(NcfSolver::new(config).solve(problem, &mut Silent)?.map)
}

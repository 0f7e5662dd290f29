//! A calibration study of the certificate: problems and maps whose truth is known, right and wrong, to hold every claim against.
//!
//! ```text
//! claim: truth <= bound, with 95 % confidence        coverage = share of cases in which that is so
//! ```
//!
//! A [`Case`] is a source and a target sample, a map with its potential, and the [`Truth`]. No map was fitted to the points it is judged on. A [`Recipe`] makes cases: one problem (module `problem`) or one shape
//! (`shapes`, `basins`), several maps (`maps`), several sizes. Why each truth is the truth stands in those files and in `truth`.
//!
//! **What is wrong.** A map is materially wrong if
//!
//! 1. its L2-UVP against the optimal map is above 5 %, or
//! 2. more than 10 % of its cost is avoidable on the way to where it goes, or
//! 3. within a class that holds a twentieth of the points its UVP, in percent of the class's own variance, is above 5 %, or
//! 4. a twentieth of the mass of `T#mu` or of the target lies where the other has none (for shapes: a quarter of a standard deviation from it), or
//! 5. along some direction `W2^2` of the projections is above 10 % of the variance along it.
//!
//! Rule 3 is for cases that are judged by class. A map is *right* if it is the optimal one with its potential, to rounding. All others (noise of one percent, a linear map of a thousand points) are neither, and are counted apart.
//!
//! Whether a wrong map can be seen at all depends on the points. A verdict of `good` on 100 points for a map that is wrong in one direction of 64 is still a wrong verdict: what so few points cannot show should not be called good.

mod basins;
mod maps;
mod problem;
mod ridges;
mod shapes;
mod truth;

use std::sync::Arc;

use charflow::Samples;
use charflow::certificate::SourcePotential;
use charflow::map::{BackwardMap, ForwardMap};

pub use problem::Settings;
pub use truth::Truth;

use crate::known_costs::Family;
use crate::{LabError, MixtureToMap};
use basins::World;
use maps::{Kind, Made, make};
use problem::{Own, Problem, Rule, Weighing};
use ridges::Ridges;
use shapes::Shape;
use truth::{Reference, mean_cost};

/// How many cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Some hundred small ones.
    Smoke,
    /// More than a thousand.
    Full,
}

/// Points to judge on, a map to be judged, and what is true of it.
pub struct Case {
    /// The problems it is one of.
    pub family: String,
    /// The kind of map.
    pub kind: String,
    /// The problem in words.
    pub about: String,
    /// Seed of its points.
    pub seed: u64,
    /// Points of the source, as many as of the target.
    pub source: Samples,
    /// Points of the target.
    pub target: Samples,
    /// The map.
    pub forward: Box<dyn ForwardMap + Send + Sync>,
    /// Its way back, if it has one.
    pub backward: Option<Box<dyn BackwardMap + Send + Sync>>,
    /// The potential it comes with.
    pub potential: SourcePotential,
    /// Whether it is asked to send classes to classes.
    pub by_class: bool,
    /// What is true.
    pub truth: Truth,
}

/// Cases that have a problem in common.
pub struct Recipe {
    /// Its name.
    pub name: String,
    make: Box<dyn Fn() -> Result<Vec<Case>, LabError> + Send + Sync>,
}

impl Recipe {
    /// Makes the cases.
    ///
    /// # Errors
    /// What a problem or a fit says.
    pub fn cases(&self) -> Result<Vec<Case>, LabError> {
        (self.make)()
    }
}

/// Points behind a truth.
fn reference_points(scale: Scale) -> usize {
    match scale {
        Scale::Smoke => 4_000,
        Scale::Full => 20_000,
    }
}

fn reference(problem: &Problem, scale: Scale) -> Reference {
    let n = reference_points(scale);
    let x = (problem.draw)(n, 424_243, 31);
    let t = problem.map.at(&x);
    let others = problem.map.at(&(problem.draw)(n, 424_243, 32));
    Reference::new(problem.dim, problem.cost.as_ref(), x, t, others)
}

/// The seed of a case: that of the study, the recipe's number, the map's, the size's.
fn mixed(parts: &[u64]) -> u64 {
    parts.iter().fold(0x1234_5678, |h: u64, p| {
        let h = (h ^ p).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        h ^ (h >> 31)
    }) >> 16
}

/// A sample with its weights and labels.
fn samples(
    points: &[f64],
    d: usize,
    weights: Option<Vec<f64>>,
    labels: Option<Vec<String>>,
    name: &str,
) -> Result<Samples, LabError> {
    let mut s = Samples::from_f64(points, d)?.named(name);
    if let Some(w) = weights {
        s = s.with_weights(w)?;
    }
    if let Some(l) = labels {
        s = s.with_labels(l)?;
    }
    Ok(s)
}

fn case(
    problem: &Problem,
    made: &Made,
    n: usize,
    seed: u64,
    by_class: bool,
) -> Result<Case, LabError> {
    let d = problem.dim;
    let (x, source_weights) = problem.weighed(n, seed, 0);
    // Other points behind the target: the samples are not paired.
    let (behind, target_weights) = problem.weighed(n, seed, 1);
    let y = problem.map.at(&behind);
    let labels = |x: &[f64]| {
        let (_, class) = problem.classes.as_ref().filter(|_| by_class)?;
        Some(
            x.chunks_exact(d)
                .map(|x| format!("class {}", class(x)))
                .collect(),
        )
    };
    let mut truth = made.truth.clone();
    if !by_class && problem.one_map() {
        truth.class_uvp = None;
        let right = truth.right;
        truth = Truth { right, ..truth }.judged();
    }
    Ok(Case {
        family: format!(
            "{}{}{}",
            problem.family,
            match problem.weighing {
                Weighing::Plain => "",
                Weighing::Importance => ", weights",
                Weighing::Counts => ", counts",
            },
            if by_class && problem.one_map() {
                ", classes"
            } else {
                ""
            }
        ),
        kind: made.kind.clone(),
        about: format!("{}, d = {d}", problem.about),
        seed,
        source: samples(&x, d, source_weights, labels(&x), "source")?,
        target: samples(&y, d, target_weights, labels(&behind), "target")?,
        forward: Box::new(made.forward.clone()),
        backward: made
            .backward
            .clone()
            .map(|b| Box::new(b) as Box<dyn BackwardMap + Send + Sync>),
        potential: made.own.potential(problem.cost.as_ref())?,
        by_class,
        truth,
    })
}

/// The recipes of a study. `networks` are the files of the W2 benchmark; without them random problems of their form are drawn. `settings` are those of the fits.
#[must_use]
pub fn suite(
    scale: Scale,
    seed: u64,
    networks: Vec<MixtureToMap>,
    settings: Arc<Settings>,
) -> Vec<Recipe> {
    let mut suite = Suite {
        scale,
        seed,
        settings,
        recipes: Vec::new(),
    };
    suite.gaussians();
    suite.weighted();
    suite.clusters();
    suite.costs();
    suite.networks(networks);
    suite.shapes();
    suite.basins();
    suite.fits();
    suite.recipes
}

struct Suite {
    scale: Scale,
    seed: u64,
    settings: Arc<Settings>,
    recipes: Vec<Recipe>,
}

type Maker = Box<dyn Fn(&Settings) -> Result<Problem, LabError> + Send + Sync>;

impl Suite {
    fn full(&self) -> bool {
        self.scale == Scale::Full
    }

    /// One or the other.
    fn of<T>(&self, smoke: T, full: T) -> T {
        if self.full() { full } else { smoke }
    }

    fn add(
        &mut self,
        name: String,
        sizes: &[usize],
        kinds: &[Kind],
        by_class: bool,
        problem: Maker,
    ) {
        let number = self.recipes.len() as u64;
        let (scale, seed, settings) = (self.scale, self.seed, Arc::clone(&self.settings));
        let (sizes, kinds) = (sizes.to_vec(), kinds.to_vec());
        let make = move || {
            let settings = settings.as_ref();
            let problem = problem(settings)?;
            let reference = reference(&problem, scale);
            let mut cases = Vec::new();
            for (k, kind) in kinds.iter().enumerate() {
                let Some(made) = make(
                    *kind,
                    &problem,
                    &reference,
                    mixed(&[seed, number, k as u64]),
                    settings,
                )?
                else {
                    continue;
                };
                for (s, &n) in sizes.iter().enumerate() {
                    let seed = mixed(&[seed, number, k as u64, s as u64, n as u64]);
                    cases.push(case(&problem, &made, n, seed, by_class)?);
                }
            }
            Ok(cases)
        };
        self.recipes.push(Recipe {
            name,
            make: Box::new(make),
        });
    }

    fn gaussians(&mut self) {
        let kinds: &[Kind] = &[
            Kind::Exact,
            Kind::Linear(1000),
            Kind::Linear(60),
            Kind::Noisy(0.1),
            Kind::Noisy(0.4),
            Kind::Shuffled(0.01),
            Kind::Shuffled(0.1),
            Kind::Blurred(0.97),
            Kind::Turned(0.2),
            Kind::Turned(1.0),
            Kind::Mirrored,
            Kind::Far(0.05),
            Kind::Shrunk(0.3),
            Kind::Shifted,
            Kind::Moved,
            Kind::Identity,
            Kind::Constant,
            Kind::Memorised(200),
            Kind::WrongPotential,
        ];
        let dims: &[usize] = self.of(&[1, 2, 16], &[1, 2, 4, 8, 16, 32, 64]);
        let repeats = self.of(1, 2);
        for &d in dims {
            for r in 0..repeats {
                let seed = self.seed + 100 * r + d as u64;
                // Large ones last and few: a certificate's time grows faster than its points.
                let sizes: &[usize] = match (self.full(), d) {
                    (false, _) => &[300],
                    (true, ..9) if r == 0 => &[100, 200, 1000],
                    (true, ..17) => &[150, 500],
                    (true, _) if r == 0 => &[200, 1000],
                    (true, _) => &[400],
                };
                self.add(
                    format!("gaussian, d {d}, {r}"),
                    sizes,
                    kinds,
                    false,
                    Box::new(move |_| Problem::gaussian(d, seed)),
                );
            }
        }
        if !self.full() {
            return;
        }
        self.add(
            "gaussian, many points".into(),
            &[4000, 10_000],
            &[Kind::Exact, Kind::Turned(0.2), Kind::Noisy(0.4)],
            false,
            {
                let seed = self.seed + 7;
                Box::new(move |_| Problem::gaussian(8, seed))
            },
        );
        for d in [1, 2, 8, 32] {
            let seed = self.seed + d as u64;
            let kinds = [
                Kind::Exact,
                Kind::Linear(500),
                Kind::Shuffled(0.01),
                Kind::Shuffled(0.1),
                Kind::Turned(0.3),
                Kind::Mirrored,
                Kind::Far(0.05),
                Kind::Shrunk(0.3),
            ];
            self.add(
                format!("tails, d {d}"),
                &[100, 300, 1000],
                &kinds,
                false,
                Box::new(move |_| Problem::tails(d, seed)),
            );
        }
    }

    fn weighted(&mut self) {
        let kinds = [
            Kind::Exact,
            Kind::Shuffled(0.05),
            Kind::Turned(0.3),
            Kind::Mirrored,
            Kind::Blurred(0.9),
            Kind::Unweighted,
            Kind::Far(0.05),
            Kind::Moved,
        ];
        for weighing in [Weighing::Importance, Weighing::Counts] {
            for &d in self.of(&[2][..], &[1, 2, 4, 16]) {
                let seed = self.seed + 40 + d as u64;
                let maker: Maker = Box::new(move |_| {
                    Ok(Problem {
                        weighing,
                        ..Problem::gaussian(d, seed)?
                    })
                });
                self.add(
                    format!("gaussian, {weighing:?}, d {d}"),
                    self.of(&[300], &[200, 1000]),
                    &kinds,
                    false,
                    maker,
                );
            }
        }
    }

    fn clusters(&mut self) {
        let kinds = [
            Kind::Exact,
            Kind::Linear(1000),
            Kind::Shuffled(0.03),
            Kind::Far(0.05),
            Kind::ClassMirrored,
            Kind::ClassElsewhere,
            Kind::ClassesSwapped,
            Kind::Memorised(100),
        ];
        let corners = [
            Kind::Exact,
            Kind::Shuffled(0.03),
            Kind::Mirrored,
            Kind::Exchanged,
            Kind::Twisted,
            Kind::MirroredInside,
            Kind::Negated,
            Kind::Shrunk(0.3),
            Kind::ClassMirrored,
            Kind::ClassesSwapped,
            Kind::ClassElsewhere,
        ];
        let labelled = [
            Kind::Exact,
            Kind::ClassMirrored,
            Kind::ClassElsewhere,
            Kind::ClassesSwapped,
            Kind::Shifted,
        ];
        for &d in self.of(&[4][..], &[2, 8, 32]) {
            let seed = self.seed + d as u64;
            for by_class in [false, true] {
                let sizes = self.of(&[400][..], &[300, 1000]);
                self.add(
                    format!("clusters, d {d}, by class {by_class}"),
                    sizes,
                    &kinds,
                    by_class,
                    Box::new(move |_| Problem::clusters(d, seed)),
                );
                let m = d.min(3);
                self.add(
                    format!("corners, d {d}, by class {by_class}"),
                    sizes,
                    &corners,
                    by_class,
                    Box::new(move |_| Ok(Problem::corners(d, m))),
                );
            }
            for &k in self.of(&[3][..], &[2, 4, 8]) {
                self.add(
                    format!("labelled, d {d}, {k} classes"),
                    self.of(&[400], &[400, 1000]),
                    &labelled,
                    true,
                    Box::new(move |_| Problem::labelled(d, k, seed)),
                );
            }
        }
    }

    fn costs(&mut self) {
        let line = [
            Kind::Exact,
            Kind::Noisy(0.3),
            Kind::Shuffled(0.02),
            Kind::Shuffled(0.2),
            Kind::Blurred(0.9),
            Kind::Mirrored,
            Kind::Far(0.05),
            Kind::Shrunk(0.3),
            Kind::Shifted,
            Kind::Identity,
        ];
        let others = [
            Kind::Exact,
            Kind::Shuffled(0.02),
            Kind::Shuffled(0.2),
            Kind::Shifted,
            Kind::Identity,
            Kind::Noisy(0.3),
        ];
        let ridges = [
            Kind::Exact,
            Kind::Shuffled(0.05),
            Kind::Permuted,
            Kind::Negated,
            Kind::Noisy(0.3),
            Kind::Shrunk(0.3),
            Kind::Identity,
            Kind::Far(0.05),
        ];
        let sizes = self.of(&[200][..], &[100, 300, 1000]);
        for family in Family::ALL {
            if matches!(family, Family::Radial | Family::Pair) {
                // Their potentials are fitted: with the fits.
                continue;
            }
            for &d in family.dims() {
                let costs = family.costs(d);
                for cost in costs
                    .into_iter()
                    .take(self.of(if family == Family::Line { 3 } else { 1 }, 9))
                {
                    let kinds: &[Kind] = if family == Family::Line {
                        &line
                    } else {
                        &others
                    };
                    let sizes = if family == Family::Product {
                        self.of(&[200][..], &[300])
                    } else {
                        sizes
                    };
                    let name =
                        format!("{}, {}, d {d}", family.name(), charflow::cost::short(&cost));
                    self.add(
                        name,
                        sizes,
                        kinds,
                        false,
                        Box::new(move |settings| Problem::known(family, &cost, d, settings)),
                    );
                }
            }
        }
        for &d in self.of(&[2][..], &[2, 8, 32]) {
            let seed = self.seed + d as u64;
            let costs = Family::Pair.costs(d);
            for cost in costs.into_iter().take(self.of(4, 9)) {
                let name = format!("ridges, {}, d {d}", charflow::cost::short(&cost));
                let sizes = if d > 8 {
                    &[300][..]
                } else {
                    self.of(&[200][..], &[150, 600])
                };
                self.add(
                    name,
                    sizes,
                    &ridges,
                    false,
                    Box::new(move |_| {
                        Ok(Problem::ridges(
                            Arc::from(charflow::cost::parse(&cost)?),
                            d,
                            seed,
                        ))
                    }),
                );
            }
        }
    }

    fn networks(&mut self, mut found: Vec<MixtureToMap>) {
        let kinds = [
            Kind::Exact,
            Kind::Linear(1000),
            Kind::Shuffled(0.02),
            Kind::Shuffled(0.2),
            Kind::Noisy(0.2),
            Kind::Far(0.05),
            Kind::Shrunk(0.3),
            Kind::Moved,
            Kind::Identity,
            Kind::Memorised(200),
        ];
        if found.is_empty() {
            let dims: &[usize] = self.of(&[2], &[2, 8]);
            // Never refused: the dimensions are between 1 and 1024.
            found = dims
                .iter()
                .filter_map(|d| MixtureToMap::random(*d, self.seed).ok())
                .collect();
        }
        if !self.full() {
            found.truncate(1);
        }
        for problem in found {
            let problem = Arc::new(problem);
            let sizes = self.of(
                &[300][..],
                if problem.dim() > 16 {
                    &[300]
                } else {
                    &[200, 1000]
                },
            );
            self.add(
                format!("w2, {}, d {}", problem.name(), problem.dim()),
                sizes,
                &kinds,
                false,
                Box::new(move |_| Ok(Problem::mixture(Arc::clone(&problem)))),
            );
        }
    }

    fn shapes(&mut self) {
        let all: Vec<fn(usize) -> Shape> = vec![
            Shape::vertices,
            Shape::one_coordinate,
            Shape::one_skewed,
            Shape::one_peaked,
            Shape::one_direction,
            |d| Shape::triples(d, d / 3),
            |d| Shape::triples(d, 1),
            Shape::two_radii,
            Shape::missing_cluster,
            Shape::wrong_shares,
        ];
        let dims: &[usize] = self.of(&[16], &[6, 16, 64]);
        for shape in all {
            for &d in dims {
                let sizes = self.of(&[600][..], &[300, 1000, 2000]);
                let (number, seed) = (self.recipes.len() as u64, self.seed);
                let name = format!("shape, {}, d {d}", shape(d).name);
                let sizes = sizes.to_vec();
                let make = move || {
                    let shape = shape(d);
                    let truth = shape.truth();
                    sizes
                        .iter()
                        .map(|&n| of_shape(&shape, &truth, n, mixed(&[seed, number, n as u64])))
                        .collect()
                };
                self.recipes.push(Recipe {
                    name,
                    make: Box::new(make),
                });
            }
        }
    }

    fn basins(&mut self) {
        // Pairs of clusters, dimension, points.
        let worlds: &[(usize, usize, usize)] = self.of(
            &[(10, 16, 500)],
            &[
                (10, 16, 500),
                (40, 16, 2000),
                (20, 32, 1000),
                (60, 32, 3000),
                (40, 64, 1500),
                (150, 64, 9000),
            ],
        );
        for &(pairs, d, n) in worlds {
            let (number, seed) = (self.recipes.len() as u64, self.seed);
            let scale = self.scale;
            let make = move || {
                let world = Arc::new(World::new(d, pairs, 0.9, 60.0, 400.0, seed + 7));
                Ok(vec![of_world(&world, n, mixed(&[seed, number]), scale)?])
            };
            self.recipes.push(Recipe {
                name: format!("basins, {pairs} pairs, d {d}"),
                make: Box::new(make),
            });
        }
    }

    fn fits(&mut self) {
        let (brief, well) = (40, self.of(100, 400));
        let kinds = [
            Kind::Fitted(brief),
            Kind::Fitted(well),
            Kind::FitPermuted(brief),
        ];
        let sizes = self.of(&[300][..], &[300, 1000]);
        for &d in self.of(&[2][..], &[1, 2, 8, 16]) {
            let seed = self.seed + 300 + d as u64;
            self.add(
                format!("fits, gaussian, d {d}"),
                sizes,
                &kinds,
                false,
                Box::new(move |_| Problem::gaussian(d, seed)),
            );
        }
        if !self.full() {
            return;
        }
        for d in [2, 8] {
            let seed = self.seed + 400 + d as u64;
            let network =
                move |_: &Settings| Ok(Problem::mixture(Arc::new(MixtureToMap::random(d, seed)?)));
            self.add(
                format!("fits, w2, d {d}"),
                sizes,
                &kinds,
                false,
                Box::new(network),
            );
            self.add(
                format!("fits, clusters, d {d}"),
                sizes,
                &kinds,
                false,
                Box::new(move |_| Problem::clusters(d, seed)),
            );
            self.add(
                format!("fits, corners, d {d}"),
                sizes,
                &kinds,
                false,
                Box::new(move |_| Ok(Problem::corners(d, 2))),
            );
        }
        for family in [Family::Line, Family::Product] {
            let d = family.dims()[0];
            for cost in family.costs(d).into_iter().take(3) {
                let name = format!("fits, {}, {}", family.name(), charflow::cost::short(&cost));
                self.add(
                    name,
                    sizes,
                    &kinds,
                    false,
                    Box::new(move |s| Problem::known(family, &cost, d, s)),
                );
            }
        }
        // Of these the true map stands with a fitted potential too.
        let kinds = [
            Kind::Exact,
            Kind::Shuffled(0.1),
            Kind::Fitted(brief),
            Kind::Fitted(well),
            Kind::FitPermuted(brief),
            Kind::Shifted,
        ];
        for family in [Family::Radial, Family::Pair] {
            let d = 8;
            for cost in family.costs(d) {
                let name = format!("fits, {}, {}", family.name(), charflow::cost::short(&cost));
                self.add(
                    name,
                    sizes,
                    &kinds,
                    false,
                    Box::new(move |s| Problem::known(family, &cost, d, s)),
                );
            }
        }
    }
}

fn of_shape(shape: &Shape, truth: &Truth, n: usize, seed: u64) -> Result<Case, LabError> {
    let d = shape.dim;
    let plus = |mut p: Vec<f64>| {
        p.chunks_exact_mut(d)
            .for_each(|p| p.iter_mut().zip(&shape.shift).for_each(|(p, a)| *p += a));
        p
    };
    let (x, y) = ((shape.from)(n, seed, 0), plus((shape.to)(n, seed, 1)));
    let (there, back) = (shape.shift.clone(), shape.shift.clone());
    Ok(Case {
        family: "shape".into(),
        kind: shape.name.into(),
        about: format!("another law of the same moments, d = {d}"),
        seed,
        source: samples(&x, d, None, None, "source")?,
        target: samples(&y, d, None, None, "target")?,
        forward: Box::new(Rule::each(d, move |x| {
            x.iter().zip(&there).map(|(x, a)| x + a).collect()
        })),
        backward: Some(Box::new(Rule::each(d, move |y| {
            y.iter().zip(&back).map(|(y, a)| y - a).collect()
        }))),
        potential: Ridges::plane(shape.shift.clone()).potential(&Shape::cost())?,
        by_class: false,
        truth: truth.clone(),
    })
}

fn of_world(world: &Arc<World>, n: usize, seed: u64, scale: Scale) -> Result<Case, LabError> {
    let d = world.dim;
    let cost = Shape::cost();
    let x = world.draw(reference_points(scale) / 2, seed, 9);
    let [paid, undone] = [world.map(&x), world.undone(&x)].map(|y| mean_cost(&cost, &x, &y, d));
    let truth = Truth {
        cost: paid,
        // At least: by the cost of a coupling to the same images.
        excess: Some(paid - undone),
        w2: Some([0.0; 2]),
        ..Truth::default()
    }
    .judged();
    let of = Arc::clone(world);
    Ok(Case {
        family: "basins".into(),
        kind: format!("basins of {} clusters", world.len()),
        about: format!("pairs of clusters exchanged, d = {d}"),
        seed,
        source: samples(&world.draw(n, seed, 0), d, None, None, "source")?,
        target: samples(&world.map(&world.draw(n, seed, 1)), d, None, None, "target")?,
        forward: Box::new(Rule::new(d, move |x| of.map(x))),
        backward: None,
        potential: Own::World(Arc::clone(world)).potential(&cost)?,
        by_class: false,
        truth,
    })
}

#[cfg(test)]
mod tests;

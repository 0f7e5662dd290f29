//! The loop: draw, evaluate, step; look at the held-out points now and then; keep the best.

use super::checkpoint::{Checkpoint, Weights};
use super::config::{Config, LARGEST_LINEAR};
use super::observer::{Observer, Progress};
use super::optimiser::Optimiser;
use super::report::{HistoryRow, Outcome, Report, Solution};
use crate::characteristic::conjugate::{Found, Search};
use crate::cost::{self, Cost, has_linear_maps};
use crate::error::{Error, Result};
use crate::exact::{GaussianMap, Translation};
use crate::loss::energy_distance::spread;
use crate::loss::{Batch, DualWeights, Group, LossWeights, Objective, Values};
use crate::map::{BackwardMap, ForwardMap};
use crate::model::{Bounds, CharacteristicMap, FORMAT_VERSION, ModelInfo};
use crate::potential::network::initial_parameters;
use crate::potential::{ClosedForm, Isa, Potential, Shape, WarmPotential};
use crate::problem::{Pairing, Problem, Split};
use crate::samples::{Samples, Scaling};
use crate::statistics::cloud;
use crate::statistics::two_sample::{Pool, RELABELLINGS};
use charflow_kernels::distance::Cloud;
use charflow_kernels::lanes::AdamStep;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;

/// Rows written to the history over a solve, at least.
const HISTORY_ROWS: u64 = 200;

/// Searches on the held-out points go further than those of a step: they judge.
const JUDGE_EVALUATIONS: usize = 40;
const JUDGE_TOLERANCE: f64 = 1e-4;

/// Fitted points handed out for judging when none are held out.
const JUDGED_AT_MOST: usize = 10_000;

/// Smaller rates that are tried where the held-out score stops improving, before the solve is brought to its end; one, if nothing was ever better than the start.
const DROPS: u32 = 2;

/// Steps without a better score that are waited for at least.
const SHORTEST_WAIT: f64 = 100.0;

/// Shares of the held-out searches that run away, or meet a direction in which the potential is not c-concave, beyond which the dual stage went wrong. A map that tears
/// its cloud apart has some of the latter.
const RAN_AWAY: f64 = 0.05;
const BENT: f64 = 0.6;

/// Share of a solve without the dual stage over which a softened cost becomes the one asked for.
const SOFTENED: f64 = 0.5;

/// How far out the dual searches go, in radii of the data.
const SEARCHED: f64 = 1.5;

/// Held-out points of a side that choose the model; the others are for the certificate alone.
const CHOOSING: usize = 3000;

/// Held-out points beyond those that are enough to judge by.
const FRESH: usize = 2000;

/// Points of a side that show whether the start misses the target, and the p-value below which it does.
const TESTED: usize = 750;
const MISSES: f64 = 0.005;

/// The solver of the paper: neural characteristic flows.
#[derive(Clone, Debug)]
pub struct NcfSolver {
    config: Config,
}

impl NcfSolver {
    /// A solver with the given settings.
    #[must_use]
    pub fn new(config: Config) -> Self {
        NcfSolver { config }
    }

    /// Solves the problem from the beginning.
    ///
    /// # Errors
    /// [`Error::Config`] for settings that make no sense, [`Error::Numerical`] if the very first losses are not finite, and what the observer returns.
    pub fn solve(&self, problem: Problem, observer: &mut dyn Observer) -> Result<Solution> {
        self.run(problem, None, observer)
    }

    /// Goes on from a checkpoint of the same problem.
    ///
    /// Steps, time limit and threads may differ from the checkpoint's settings; with more steps than before the schedule of the learning rate is the new one.
    ///
    /// # Errors
    /// As for [`NcfSolver::solve`], and [`Error::Config`] if the checkpoint does not fit the settings or the data.
    pub fn resume(
        &self,
        problem: Problem,
        checkpoint: Checkpoint,
        observer: &mut dyn Observer,
    ) -> Result<Solution> {
        self.run(problem, Some(checkpoint), observer)
    }

    fn run(
        &self,
        mut problem: Problem,
        from: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Solution> {
        // The problem's cost is what is solved for; the settings carry its name. A cost of the user's own has one that cannot be parsed.
        let mut config = Config {
            cost: problem.cost().name(),
            ..self.config.clone()
        };
        if self.config.cost != config.cost {
            // Spelt otherwise is not another cost.
            let asked = cost::parse(&self.config.cost)?.name();
            if asked != config.cost {
                let (is, asked) = cost::short_pair(&config.cost, &asked);
                observer.on_note(&format!(
                    "the problem's cost is {is}, the settings say {asked}: the problem's counts"
                ));
            }
        }
        config.check_all_but_the_cost()?;
        let quadratic = has_linear_maps(problem.cost());
        let mut refused = Vec::new();
        if config.warm_start != "none" && problem.dim() > LARGEST_LINEAR {
            config.warm_start = "none".into();
            refused.push(format!(
                "no warm start: the closed form is computed up to {LARGEST_LINEAR} dimensions"
            ));
        }
        if config.warm_start == "gaussian" && !quadratic {
            config.warm_start = "translation".into();
            refused.push(
                "the start is the shift between the means: the best linear map is known in closed form for the quadratic cost".into(),
            );
        }
        if config.dual.begin < 1.0 && *problem.pairing() != Pairing::Whole {
            config.dual.begin = 1.0;
            refused.push(
                "no dual stage: with classes the map is optimal within each class only, which the dual value does not see".into(),
            );
        }
        // From here on nothing is done in parallel on other threads than these.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.config.threads)
            .build()
            .map_err(|e| Error::config("threads", e.to_string()))?;
        pool.install(|| {
            let splits = split(&problem, &self.config)?;
            let scaling = match &from {
                Some(checkpoint) => {
                    if checkpoint.scaling.dim() != problem.dim() {
                        return Err(Error::config(
                            "resume",
                            format!(
                                "the checkpoint is of {} dimensions, the data have {}",
                                checkpoint.scaling.dim(),
                                problem.dim()
                            ),
                        ));
                    }
                    problem.normalise_with(checkpoint.scaling.clone());
                    checkpoint.scaling.clone()
                }
                None => problem.normalise(),
            };
            let inner = problem.cost().rescaled(scaling.scale);
            Training::new(
                &config,
                &problem,
                splits,
                scaling,
                inner.as_ref(),
                from,
                refused,
            )?
            .train(observer)
        })
    }
}

/// The held-out share, cut so that at most `held_out.most` points of the larger side are taken.
fn split(problem: &Problem, config: &Config) -> Result<(Split, Split)> {
    let largest = problem.source().len().max(problem.target().len()) as f64;
    let fraction = config
        .held_out
        .fraction
        .min(config.held_out.most as f64 / largest);
    problem.split(config.seed, fraction)
}

/// Draws points of one side, class by class.
struct Drawer {
    /// For each class: its rows that may be drawn.
    classes: Vec<Vec<u32>>,
    /// Points to draw of each class.
    counts: Vec<usize>,
    /// For each class, if weighted: running sums of weights.
    cumulative: Option<Vec<Vec<f64>>>,
}

impl Drawer {
    fn new(samples: &Samples, parts: Parts, batch: usize) -> Self {
        let classes = parts.rows;
        // Rows of weight zero are never drawn.
        let classes: Vec<Vec<u32>> = match samples.weights() {
            Some(w) => classes
                .into_iter()
                .map(|rows| rows.into_iter().filter(|&i| w[i as usize] > 0.0).collect())
                .collect(),
            None => classes,
        };
        let total: usize = classes.iter().map(Vec::len).sum();
        let counts = classes
            .iter()
            .enumerate()
            .map(|(k, rows)| {
                let share = if !parts.whole_beside {
                    rows.len() as f64 / total.max(1) as f64
                } else if k + 1 == classes.len() {
                    0.5
                } else {
                    // In proportion, the few labelled points of a class would be two a step.
                    0.5 / (classes.len() - 1) as f64
                };
                ((batch as f64 * share).round() as usize)
                    .max(2)
                    .min(rows.len())
            })
            .collect();
        let cumulative = samples.weights().map(|w| {
            classes
                .iter()
                .map(|rows| {
                    let mut sum = 0.0;
                    rows.iter()
                        .map(|&i| {
                            sum += w[i as usize];
                            sum
                        })
                        .collect()
                })
                .collect()
        });
        Drawer {
            classes,
            counts,
            cumulative,
        }
    }

    /// Appends the drawn points and weights; returns the range of each class.
    ///
    /// A class drawn whole keeps its weights. Otherwise a weighted class is drawn with replacement, in proportion to weight, and the draws count alike; an
    /// unweighted one without replacement.
    fn draw(
        &self,
        samples: &Samples,
        rng: &mut ChaCha8Rng,
        points: &mut Vec<f32>,
        weights: &mut Vec<f32>,
    ) -> Vec<std::ops::Range<usize>> {
        let d = samples.dim();
        points.clear();
        weights.clear();
        let mut ranges = Vec::with_capacity(self.classes.len());
        let mut at = 0;
        for (k, rows) in self.classes.iter().enumerate() {
            let n = self.counts[k];
            if rows.is_empty() {
                ranges.push(at..at);
                continue;
            }
            let mut put = |i: u32, w: f64| {
                let i = i as usize * d;
                points.extend_from_slice(&samples.values()[i..i + d]);
                weights.push(w as f32);
            };
            let each = 1.0 / n as f64;
            match &self.cumulative {
                None if n == rows.len() => rows.iter().for_each(|&i| put(i, each)),
                None => rand::seq::index::sample(rng, rows.len(), n)
                    .iter()
                    .for_each(|i| put(rows[i], each)),
                Some(sums) => {
                    let sums = &sums[k];
                    let total = sums[sums.len() - 1];
                    if n == rows.len() {
                        let mut before = 0.0;
                        for (&i, &sum) in rows.iter().zip(sums) {
                            put(i, (sum - before) / total);
                            before = sum;
                        }
                    } else {
                        for _ in 0..n {
                            let u = rng.random_range(0.0..total);
                            put(
                                rows[sums.partition_point(|&s| s <= u).min(rows.len() - 1)],
                                each,
                            );
                        }
                    }
                }
            }
            ranges.push(at..at + n);
            at += n;
        }
        ranges
    }
}

/// What is drawn and compared by itself among `rows` (ascending) of a side: each class; all rows if there are no labels, and beside the classes if some points have none.
struct Parts {
    rows: Vec<Vec<u32>>,
    /// Whether the last part is all of the rows and the others are classes.
    whole_beside: bool,
}

impl Parts {
    fn of(pairing: &Pairing, side: usize, rows: &[u32]) -> Self {
        let (mut parts, whole_beside) = match pairing {
            Pairing::Whole => (vec![rows.to_vec()], false),
            Pairing::ByClass {
                source,
                target,
                whole,
                ..
            } => {
                let within = |class: &Vec<u32>| -> Vec<u32> {
                    class
                        .iter()
                        .copied()
                        .filter(|i| rows.binary_search(i).is_ok())
                        .collect()
                };
                let classes: Vec<_> = [source, target][side].iter().map(within).collect();
                (classes, *whole)
            }
        };
        if whole_beside {
            parts.push(rows.to_vec());
        }
        Self {
            rows: parts,
            whole_beside,
        }
    }

    /// The parts of held-out rows. With few labels no class can spare any: it is judged on the points it is fitted to, or nothing would judge where classes go.
    fn to_judge(pairing: &Pairing, side: usize, held_out: &[u32]) -> Self {
        let mut parts = Self::of(pairing, side, held_out);
        if let (true, Pairing::ByClass { source, target, .. }) = (parts.whole_beside, pairing) {
            for (rows, all) in parts.rows.iter_mut().zip([source, target][side]) {
                if rows.len() < 2 {
                    rows.clone_from(all);
                }
            }
        }
        parts
    }
}

struct Training<'a> {
    config: &'a Config,
    problem: &'a Problem,
    splits: (Split, Split),
    cost: &'a dyn Cost,
    network: WarmPotential<f32>,
    objective: Objective<WarmPotential<f32>, f32>,
    optimiser: Optimiser,
    judge: Option<Judge>,
    drawers: [Drawer; 2],
    /// Corners of the samples' bounding box, `[d]` each.
    box_low: Vec<f32>,
    box_high: Vec<f32>,
    state: Checkpoint,
    /// Of the data.
    radius: f64,
    /// Whether the dual stage has begun.
    in_dual: bool,
    /// The score of the model with the least one.
    reference: Option<Score>,
    gradient: Vec<f32>,
    batch: Batch<f32>,
    started: Instant,
    seconds_before: f64,
    notes: Vec<String>,
}

/// Looks at the held-out points with the averaged weights.
struct Judge {
    batch: Batch<f32>,
    network: WarmPotential<f32>,
    objective: Objective<WarmPotential<f32>, f32>,
    /// Without the dual stage, scores closer than this are equal: the statistic's own scale of noise. The least score of many is one that happens to lean towards
    /// the held-out points, by about `1 / n`; without the tolerance an early, worse model would often be kept for it.
    tolerance: f64,
    /// Whether the dual terms make the score.
    dual: bool,
}

/// How good a model is on the held-out points; less is better.
///
/// With a dual stage it is the held-out certificate, up to a constant that no model changes: with `s(y) = u(S(y), 0) + l(y - S(y)) - g^c(y) >= 0`, by how much the backward map
/// falls short of its own transform, and likewise for the forward map and the other end,
///
/// ```text
/// score = -D + E s        (the mean over the ends that are searched)
/// ```
///
/// `D` is at most the optimal cost, so either part is an excess. (The searches stay within [`SEARCHED`] radii of the data; the certificate's own do not.) The terms of each point are kept: two models are compared point by point, and the standard error of
/// their mean difference is far below that of either score.
#[derive(Clone, Debug)]
struct Score {
    value: f64,
    /// Terms of the source points and of the target points, weighted to sum up to the mean.
    terms: [Vec<f64>; 2],
}

impl Score {
    /// The standard error of the difference of two scores on the same points; zero if they are no sums over points.
    fn noise(&self, other: &Score) -> f64 {
        let mut square = 0.0;
        for (a, b) in self.terms.iter().zip(&other.terms) {
            let n = a.len() as f64;
            if n < 2.0 {
                continue;
            }
            let mean = a.iter().zip(b).map(|(a, b)| a - b).sum::<f64>() / n;
            // The terms carry the weight 1/n, so their sum has the variance n Var.
            square += a
                .iter()
                .zip(b)
                .map(|(a, b)| (a - b - mean).powi(2))
                .sum::<f64>()
                * n
                / (n - 1.0);
        }
        square.sqrt()
    }
}

/// What a look at the held-out points gave.
#[derive(Clone, Debug)]
struct Look {
    values: Values,
    score: Score,
}

/// The parameters that a solve begins with: random, but on top of a closed form with an output of zero, so that the map begins as the linear one.
fn start(potential: &WarmPotential<f32>, seed: u64) -> Vec<f32> {
    let shape = potential.shape();
    let mut theta: Vec<f32> = initial_parameters(shape, seed)
        .iter()
        .map(|&x| x as f32)
        .collect();
    if potential.closed_form().is_some() {
        for (name, offset, sides) in shape.tensors() {
            if name.starts_with("output.") {
                let n: usize = sides.iter().product();
                theta[offset..offset + n].fill(0.0);
            }
        }
    }
    theta
}

/// The factors of a stage.
///
/// `radius` is that of the data, [`data_radius`].
fn stage_weights(config: &Config, dual: bool, radius: f64) -> LossWeights {
    let loss = &config.loss;
    let d = &config.dual;
    let (residual, energy, dual) = if dual {
        let weights = DualWeights {
            source: d.source,
            target: d.target,
            tie: d.tie,
            tie_value: d.tie_value,
            search: Search {
                evaluations: d.evaluations,
                tolerance: d.tolerance,
                radius: SEARCHED * radius,
            },
        };
        (d.residual, d.energy, weights)
    } else {
        (1.0, 1.0, DualWeights::OFF)
    };
    LossWeights {
        hj: residual * loss.hj,
        hj_terminal: residual * loss.hj_terminal,
        pde: residual * loss.pde,
        energy: energy * loss.energy,
        dual,
    }
}

/// The linear map of the points that are learned from, in the user's units and the coordinates of the cost; `None` where the moments make none.
fn linear_map(problem: &Problem, splits: &(Split, Split)) -> Option<GaussianMap> {
    // One side at a time, so that there is never more than one copy.
    let moments = |samples: &Samples, split: &Split| {
        if split.held_out.is_empty() {
            Some(samples.moments())
        } else {
            Some(samples.select(&split.train).ok()?.moments())
        }
    };
    let m0 = moments(problem.source(), &splits.0)?;
    let m1 = moments(problem.target(), &splits.1)?;
    let map = GaussianMap::from_moments(&m0, &m1).ok()?;
    Some(map.in_coordinates(problem.cost().coordinates()))
}

impl<'a> Training<'a> {
    fn new(
        config: &'a Config,
        problem: &'a Problem,
        splits: (Split, Split),
        scaling: Scaling,
        cost: &'a dyn Cost,
        from: Option<Checkpoint>,
        refused: Vec<String>,
    ) -> Result<Self> {
        let d = problem.dim();
        let shape = Shape {
            dim: d,
            layers: config.layers()?,
        };
        let isa = Isa::current();
        // The linear map of the points that are learned from: held-out points would not be held out of it otherwise.
        let linear = if d <= LARGEST_LINEAR {
            linear_map(problem, &splits)
        } else {
            None
        };
        let mut notes = problem.notes().to_vec();
        notes.extend(refused);
        let warm = if config.warm_start == "none" {
            None
        } else {
            let Some(linear) = &linear else {
                return Err(Error::config(
                    "warm_start",
                    "the points' moments make no linear map to start from; set it to `none`",
                ));
            };
            let inside = linear.in_solver_units(&scaling);
            Some(if config.warm_start == "gaussian" {
                notes.extend(linear.notes().iter().cloned());
                ClosedForm::Gaussian(inside.potential())
            } else {
                ClosedForm::Translation(Translation::between(
                    inside.source_mean(),
                    inside.target_mean(),
                    cost,
                ))
            })
        };
        let network = WarmPotential::<f32>::new(isa, shape.clone(), warm);
        let optimiser = Optimiser::new(&config.optimiser, &shape);
        let state = match from {
            Some(checkpoint) => {
                if checkpoint.now.theta.len() != network.parameters() {
                    return Err(Error::config(
                        "network",
                        format!(
                            "the checkpoint has {} parameters, these settings make {}",
                            checkpoint.now.theta.len(),
                            network.parameters()
                        ),
                    ));
                }
                if checkpoint.now.memory.len() != optimiser.memory().len() {
                    return Err(Error::config(
                        "optimiser.kind",
                        "the checkpoint was made with another optimiser",
                    ));
                }
                let mut checkpoint = checkpoint;
                for (what, was, is) in [
                    ("cost", &checkpoint.config.cost, &config.cost),
                    (
                        "warm_start",
                        &checkpoint.config.warm_start,
                        &config.warm_start,
                    ),
                ] {
                    if was != is {
                        let (was, is) = cost::short_pair(was, is);
                        return Err(Error::config(
                            what,
                            format!("the checkpoint was made with {was}, this solve is with {is}"),
                        ));
                    }
                }
                if checkpoint.config.steps != config.steps {
                    // Another plan: what the old one had begun to end goes on.
                    checkpoint.plateau = None;
                }
                checkpoint.config = config.clone();
                checkpoint.linear = linear;
                checkpoint
            }
            None => {
                let theta = start(&network, config.seed);
                let zero = vec![0.0; theta.len()];
                let now = Weights {
                    step: 0,
                    m: zero.clone(),
                    v: zero,
                    ema: theta.clone(),
                    memory: optimiser.memory(),
                    theta,
                };
                Checkpoint {
                    config: config.clone(),
                    scaling,
                    linear,
                    good: now.clone(),
                    best: now.ema.clone(),
                    least: now.ema.clone(),
                    now,
                    best_step: 0,
                    best_score: f64::INFINITY,
                    first_score: f64::INFINITY,
                    improved_step: 0,
                    least_step: 0,
                    plateau: None,
                    drops: 0,
                    rate_factor: 1.0,
                    divergences: 0,
                    seconds: 0.0,
                    history: Vec::new(),
                }
            }
        };
        let side = |samples: &Samples, split: &Split, which: usize, batch: usize| {
            Drawer::new(
                samples,
                Parts::of(problem.pairing(), which, &split.train),
                batch,
            )
        };
        let drawers = [
            side(problem.source(), &splits.0, 0, config.batch.source),
            side(problem.target(), &splits.1, 1, config.batch.target),
        ];
        let (box_low, box_high) = bounding_box(problem);
        let radius = data_radius(problem);
        let judge = Judge::new(config, problem, &splits, &network, radius);
        Ok(Training {
            objective: Objective::new(&network, stage_weights(config, false, radius)),
            radius,
            in_dual: false,
            reference: None,
            optimiser,
            gradient: vec![0.0; network.parameters()],
            batch: Batch::default(),
            started: Instant::now(),
            seconds_before: state.seconds,
            notes,
            config,
            problem,
            splits,
            cost,
            network,
            judge,
            drawers,
            box_low,
            box_high,
            state,
        })
    }

    fn train(mut self, observer: &mut dyn Observer) -> Result<Solution> {
        let steps = self.config.steps;
        let begun = self.state.now.step;
        let look_every = steps.div_ceil(self.config.held_out.evaluations).max(1);
        let row_every = steps.div_ceil(HISTORY_ROWS).max(1);
        let mut saved = Instant::now();
        self.network.set_parameters(&self.state.now.theta);
        self.look_first();
        // Of a resumed solve: whether its last step was of the stage already.
        if begun > 0 && self.config.dual.begin < 1.0 && self.done(begun) >= self.config.dual.begin {
            self.in_dual = true;
            self.objective
                .set_weights(&self.network, stage_weights(self.config, true, self.radius));
        }
        let mut outcome = Outcome::StepLimit;
        while self.state.now.step < self.last_step() {
            let step = self.state.now.step + 1;
            self.enter_stage(step);
            let look = step.is_multiple_of(look_every) || step == self.last_step();
            let row = look || step.is_multiple_of(row_every) || step == 1;
            self.draw(step);
            if self.in_dual {
                let dual = &self.config.dual;
                let more = dual.evaluations_end.max(dual.evaluations) - dual.evaluations;
                let evaluations =
                    dual.evaluations + (self.fallen(step) * more as f64).round() as usize;
                self.objective.set_evaluations(evaluations);
            }
            let softened = self.softened(step);
            let values = self.objective.evaluate(
                &self.network,
                softened.as_deref().unwrap_or(self.cost),
                &self.batch,
                Some(&mut self.gradient),
                row,
            );
            let norm = self
                .gradient
                .iter()
                .map(|&g| f64::from(g) * f64::from(g))
                .sum::<f64>()
                .sqrt();
            let rate = self.rate(step);
            let mut broken = self.broken(&values, norm);
            if broken.is_none() {
                self.step(step, rate, norm);
                self.network.set_parameters(&self.state.now.theta);
            }
            if broken.is_none() && row {
                let judged = if look {
                    self.judge
                        .as_mut()
                        .map(|judge| judge.look(&self.state.now.ema, self.cost))
                } else {
                    None
                };
                broken = judged
                    .as_ref()
                    .filter(|l| !l.values.total.is_finite() || !l.score.value.is_finite())
                    .map(|_| "the held-out objective".to_string());
                if broken.is_none() && judged.as_ref().is_some_and(|l| self.fell_back(l)) {
                    self.drop_back(
                        step,
                        "the searches ran away, or what was gained on the held-out points was lost",
                        observer,
                    );
                    continue;
                }
                if broken.is_none() {
                    if self.state.now.theta.iter().all(|x| x.is_finite()) {
                        self.record(step, rate, &values, judged.as_ref(), look);
                    } else {
                        broken = Some("a parameter".into());
                    }
                }
            }
            if let Some(quantity) = broken {
                if !self.step_back(step, &quantity, observer)? {
                    outcome = Outcome::Diverged;
                    break;
                }
                continue;
            }
            if look {
                self.rest(step, observer);
            }
            let seconds = self.started.elapsed().as_secs_f64();
            self.state.seconds = self.seconds_before + seconds;
            observer.on_progress(&Progress {
                step,
                steps,
                seconds,
                rate: (step - begun.min(step)) as f64 / seconds.max(1e-9),
                latest: self.state.history.last(),
            });
            if saved.elapsed().as_secs_f64() >= observer.checkpoint_seconds() {
                observer.on_checkpoint(&self.state)?;
                saved = Instant::now();
            }
            if self.config.time_limit > 0.0
                && self.state.seconds >= self.config.time_limit
                && self.state.now.step < self.last_step()
            {
                outcome = Outcome::TimeLimit;
                break;
            }
            if observer.should_stop() {
                if self.state.now.step < self.last_step() {
                    outcome = Outcome::Interrupted;
                }
                break;
            }
        }
        if outcome == Outcome::StepLimit && self.state.plateau.is_some() {
            outcome = Outcome::Converged;
        }
        observer.on_checkpoint(&self.state)?;
        self.finish(outcome, observer)
    }

    /// Share of the solve that is done before `step`: of the steps or of the time limit, whichever is further along.
    fn done(&self, step: u64) -> f64 {
        let done = (step - 1) as f64 / self.config.steps as f64;
        if self.config.time_limit > 0.0 {
            done.max(self.state.seconds / self.config.time_limit)
                .min(1.0)
        } else {
            done
        }
    }

    /// The cost of a step on the way to the one asked for, if there is one: without the dual stage, over the first half of the solve.
    fn softened(&self, step: u64) -> Option<Box<dyn Cost>> {
        let share = self.done(step) / SOFTENED;
        if share >= 1.0 || self.config.dual.begin < 1.0 {
            return None;
        }
        self.cost.softened(share)
    }

    /// Begins the dual stage when its time has come, and leaves it where the solve went back to before that.
    fn enter_stage(&mut self, step: u64) {
        let begin = self.config.dual.begin;
        let due = begin < 1.0 && self.done(step) >= begin;
        if due == self.in_dual {
            return;
        }
        self.in_dual = due;
        self.objective
            .set_weights(&self.network, stage_weights(self.config, due, self.radius));
        if due && self.config.held_out.patience > 0.0 {
            // What came before is no measure of the stage's patience, and nothing to go back to.
            self.state.improved_step = self.state.improved_step.max(step - 1);
            self.state.good = self.state.now.clone();
        }
    }

    /// Scores that later ones are compared with: that of the start, and of the model with the least score so far.
    fn look_first(&mut self) {
        let Some(judge) = &mut self.judge else {
            return;
        };
        let look = judge.look(&self.state.least, self.cost);
        if look.score.value.is_finite() {
            if self.state.now.step == 0 && judge.dual {
                // The start takes part: nothing worse is ever kept.
                self.state.best_score = look.score.value;
                self.state.first_score = look.score.value;
            }
            self.reference = Some(look.score);
        }
    }

    /// Whether the dual stage went wrong since the last look: all that was gained on the held-out points is lost again, and more than noise explains.
    fn fell_back(&self, look: &Look) -> bool {
        let (Some(judge), Some(least)) = (&self.judge, &self.reference) else {
            return false;
        };
        if !judge.dual || !self.in_dual || self.state.plateau.is_some() {
            return false;
        }
        // A falling rate is smaller at every step; the drops are for before.
        if self.done(self.state.now.step + 1) >= self.config.optimiser.stable
            && self.state.drops >= DROPS
        {
            return false;
        }
        let dual = &look.values.dual;
        if dual.runaway > RAN_AWAY || dual.bends_down > BENT {
            return true;
        }
        let score = &look.score;
        let gained = (self.state.first_score - least.value).max(0.0);
        let lost = score.value - least.value;
        let noise = score.noise(least).max(1e-5 * self.problem.dim() as f64);
        lost > gained + 10.0 * noise
    }

    /// The step after which the solve ends.
    fn last_step(&self) -> u64 {
        let steps = self.config.steps;
        self.state
            .plateau
            .map_or(steps, |(begun, length)| (begun + length).min(steps))
    }

    /// If the score has not improved for long enough: on from the best state with a smaller rate, in the end with one that falls ([`Training::drop_back`]).
    fn rest(&mut self, step: u64, observer: &mut dyn Observer) {
        let patience = self.config.held_out.patience;
        if patience == 0.0 || self.judge.is_none() || self.state.plateau.is_some() {
            return;
        }
        // What is judged under the cost asked for need not improve while another one is solved for.
        if self.softened(step + 1).is_some() {
            self.state.improved_step = self.state.improved_step.max(step);
            self.state.good = self.state.now.clone();
            return;
        }
        // Before the dual stage its score says nothing of what is being done.
        if !self.in_dual && self.judge.as_ref().is_some_and(|j| j.dual) {
            return;
        }
        // Only while the rate is constant: a falling one is on its way to the end already.
        if self.done(step + 1) >= self.config.optimiser.stable {
            return;
        }
        let waited = step - self.state.improved_step;
        // What can be learned shows early; where the start was never bettered, half the wait is enough.
        let share = if self.state.least_step == 0 {
            0.5 * patience
        } else {
            patience
        };
        if (waited as f64) < (share * self.config.steps as f64).max(SHORTEST_WAIT) {
            return;
        }
        let good = self.state.good.step;
        let why = format!("no better score in the {waited} steps since step {good}");
        self.drop_back(step, &why, observer);
    }

    /// On from the best state, which is this one if it is within noise of the best, with a smaller rate, or, if that was done often enough, with a rate that falls to the end.
    fn drop_back(&mut self, step: u64, why: &str, observer: &mut dyn Observer) {
        // What is within noise of the best is not worth going back for, unless it is the start that was never bettered.
        if self.state.best_step == step && self.state.good.step > 0 {
            self.state.good = self.state.now.clone();
            self.state.improved_step = step;
        }
        let good = self.state.good.step;
        self.state.now = self.state.good.clone();
        self.network.set_parameters(&self.state.now.theta);
        self.state.history.retain(|row| row.step <= good);
        if self.state.best_step > good {
            // Of a way that is given up.
            self.state.best.clone_from(&self.state.least);
            self.state.best_step = self.state.least_step;
        }
        // A rate that is too high looks the same as an end: smaller ones are tried first.
        let drops = if good == 0 { 1 } else { DROPS };
        let falling = self.done(step) >= self.config.optimiser.stable;
        if self.state.drops < drops || falling {
            self.state.drops += 1;
            self.state.rate_factor *= self.config.guard.shrink;
            self.note(
                format!(
                    "{why} (step {step}): on from step {good}, the rate times {:.3}",
                    self.state.rate_factor
                ),
                observer,
            );
            return;
        }
        // As long as the falling part of a whole solve is to its constant part.
        let o = &self.config.optimiser;
        let length = ((1.0 - o.stable) / o.stable.max(0.1) * good as f64).ceil();
        let length = (length as u64).clamp(1, self.config.steps);
        self.state.plateau = Some((good, length));
        self.note(
            format!("{why} (step {step}): on from step {good}, and down with the rate over {length} steps"),
            observer,
        );
    }

    /// How far the rate's fall has come before `step`: 0 in the constant part, 1 at the end.
    fn fallen(&self, step: u64) -> f64 {
        let stable = self.config.optimiser.stable;
        match self.state.plateau {
            Some((begun, length)) => {
                ((step - 1).saturating_sub(begun) as f64 / length.max(1) as f64).min(1.0)
            }
            None => ((self.done(step) - stable) / (1.0 - stable)).clamp(0.0, 1.0),
        }
    }

    /// The learning rate: a linear warm-up, a constant part, then half a cosine. Under a time limit the schedule follows whichever is further along, steps or time.
    fn rate(&self, step: u64) -> f64 {
        let o = &self.config.optimiser;
        let done = self.done(step);
        let warm = if o.warm_up > 0.0 {
            // One step on, so that the first one is not for nothing.
            ((done + 1.0 / self.config.steps as f64) / o.warm_up).min(1.0)
        } else {
            1.0
        };
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * self.fallen(step)).cos());
        o.rate * self.state.rate_factor * warm * (o.final_rate + (1.0 - o.final_rate) * cosine)
    }

    fn step(&mut self, step: u64, rate: f64, norm: f64) {
        let o = &self.config.optimiser;
        let w = &mut self.state.now;
        let k = step as i32;
        let clip = if o.clip > 0.0 && norm > o.clip {
            o.clip / norm
        } else {
            1.0
        };
        // The average of few steps must not remember the random start.
        let ema = o.ema.min(step as f64 / (step as f64 + 9.0));
        self.optimiser.step(
            step,
            AdamStep {
                beta1: o.beta1 as f32,
                beta2: o.beta2 as f32,
                clip: clip as f32,
                rate: (rate / (1.0 - o.beta1.powi(k))) as f32,
                correction: (1.0 / (1.0 - o.beta2.powi(k))) as f32,
                epsilon: o.epsilon as f32,
                ema_decay: if o.ema == 0.0 { 0.0 } else { ema as f32 },
            },
            &self.gradient,
            w,
        );
        w.step = step;
    }

    /// Draws the samples and collocation points of a step; all randomness is (seed, step).
    fn draw(&mut self, step: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(step);
        let rng = &mut rng;
        let batch = &mut self.batch;
        let source = self.drawers[0].draw(
            self.problem.source(),
            rng,
            &mut batch.source,
            &mut batch.source_weights,
        );
        let target = self.drawers[1].draw(
            self.problem.target(),
            rng,
            &mut batch.target,
            &mut batch.target_weights,
        );
        batch.groups = source
            .into_iter()
            .zip(target)
            .map(|(source, target)| Group { source, target })
            .collect();
        batch.points.clear();
        batch.times.clear();
        batch.from_source.clear();
        batch.from_target.clear();
        let loss = &self.config.loss;
        if loss.hj + loss.hj_terminal + loss.pde == 0.0 {
            return;
        }
        let d = self.problem.dim();
        let k = self.config.batch.collocation;
        let along = (k as f64 * self.config.collocation.characteristics).round() as usize;
        let (n, m) = (batch.source.len() / d, batch.target.len() / d);
        for i in 0..along {
            if i % 2 == 0 {
                batch
                    .from_source
                    .push((rng.random_range(0..n as u32), rng.random_range(0.0..1.0)));
            } else {
                batch
                    .from_target
                    .push((rng.random_range(0..m as u32), rng.random_range(0.0..1.0)));
            }
        }
        for _ in along..k {
            for j in 0..d {
                let share: f32 = rng.random_range(0.0..1.0);
                batch
                    .points
                    .push(self.box_low[j] + share * (self.box_high[j] - self.box_low[j]));
            }
            batch.times.push(rng.random_range(0.0..1.0));
        }
    }

    /// What stopped being finite, if anything.
    fn broken(&self, values: &Values, norm: f64) -> Option<String> {
        [
            ("the energy distance (forward)", values.ed_forward),
            ("the energy distance (backward)", values.ed_backward),
            (
                "the Hamilton-Jacobi loss",
                values.hj + values.hj_terminal + values.pde,
            ),
            (
                "the dual value",
                values.dual.source + values.dual.target + values.dual.tie,
            ),
            ("the gradient", norm),
        ]
        .into_iter()
        .find(|(_, x)| !x.is_finite())
        .map(|(name, _)| name.to_string())
    }

    /// Back to the last good state with a smaller rate; false if that was done too often.
    fn step_back(
        &mut self,
        step: u64,
        quantity: &str,
        observer: &mut dyn Observer,
    ) -> Result<bool> {
        let guard = &self.config.guard;
        if self.state.now.step == 0 && self.state.divergences == 0 {
            // No step was taken yet: not the optimiser's doing, the start itself is not finite.
            return Err(Error::Numerical {
                step,
                quantity: quantity.into(),
            });
        }
        self.state.now = self.state.good.clone();
        self.network.set_parameters(&self.state.now.theta);
        if self.state.divergences >= guard.retries {
            self.note(
                format!("{quantity} stopped being finite at step {step}; {} attempts with smaller rates did not help", guard.retries),
                observer,
            );
            return Ok(false);
        }
        self.state.divergences += 1;
        self.state.rate_factor *= guard.shrink;
        let good = self.state.good.step;
        self.state.history.retain(|row| row.step <= good);
        self.note(
            format!(
                "{quantity} stopped being finite at step {step}: back to step {good} with the rate times {:.3}",
                self.state.rate_factor
            ),
            observer,
        );
        Ok(true)
    }

    fn note(&mut self, text: String, observer: &mut dyn Observer) {
        observer.on_note(&text);
        self.notes.push(text);
    }

    /// A row of the history; at a look also the good state and, perhaps, the best one.
    fn record(&mut self, step: u64, rate: f64, values: &Values, judged: Option<&Look>, look: bool) {
        self.state.history.push(HistoryRow {
            step,
            seconds: self.seconds_before + self.started.elapsed().as_secs_f64(),
            rate,
            loss: values.total,
            hj: values.hj,
            hj_terminal: values.hj_terminal,
            pde: values.pde,
            ed_forward: values.ed_forward,
            ed_backward: values.ed_backward,
            dual: values.dual.source + values.dual.target,
            converged: values.dual.converged,
            held_out: judged.map(|l| l.score.value),
            held_out_forward: judged.map(|l| l.values.ed_forward),
            held_out_backward: judged.map(|l| l.values.ed_backward),
        });
        if !look {
            return;
        }
        if self.judge.is_none() || self.config.held_out.patience == 0.0 {
            self.state.good = self.state.now.clone();
        }
        if let Some(look) = judged {
            self.consider(look, step);
        }
        if judged.is_none() || self.config.held_out.choose == "last" {
            self.state.best.clone_from(&self.state.now.ema);
            self.state.best_step = step;
        }
    }

    /// Goes back to the linear map or the shift of the start, unless the kept model is better on the held-out points by two standard errors; whether it did.
    ///
    /// Where the truth is linear, a network learns the noise of its points and no more, and by chance some step of it looks better than the start. Where all points
    /// together show that the start does not reach the target, there is no reason to doubt a better score: of few points few are held out, and their score is noisy.
    fn prefer_the_start(&mut self) -> bool {
        let Some(judge) = &mut self.judge else {
            return false;
        };
        if !judge.dual
            || self.network.closed_form().is_none()
            || self.config.held_out.choose == "last"
        {
            return false;
        }
        let theta = start(&self.network, self.config.seed);
        let begun = judge.look(&theta, self.cost).score;
        let kept = judge.look(&self.state.best, self.cost).score;
        let noise = kept.noise(&begun);
        let better = |errors: f64| kept.value < begun.value - errors * noise;
        if !begun.value.is_finite() || better(2.0) || better(0.0) && self.misses(&theta) {
            return false;
        }
        self.state.best = theta;
        self.state.best_step = 0;
        true
    }

    /// Whether the points, those that are learned from included, are enough to see that a map does not carry either measure onto the other.
    ///
    /// For maps with too few parameters to have learned the points by heart.
    fn misses(&self, theta: &[f32]) -> bool {
        let Ok(map) = self.map_of(theta, 0) else {
            return false;
        };
        let seed = self.config.seed;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw =
            |samples: &Samples| cloud::Cloud::draw(samples, TESTED, &mut rng, &mut Vec::new());
        let [source, target] = self.problem.given();
        let (Ok(x), Ok(y)) = (draw(source), draw(target)) else {
            return false;
        };
        let d = self.problem.dim();
        let p_value = |moved: Result<Vec<f64>>, from: &cloud::Cloud, to: &cloud::Cloud| {
            let moved = moved.ok()?;
            let sides = [
                (&moved[..], from.weights.as_deref()),
                (&to.points[..], to.weights.as_deref()),
            ];
            let pool = Pool::new(sides, d, RELABELLINGS, seed).ok()?;
            let all = pool.energy_distances();
            let above = all
                .iter()
                .filter(|e| **e >= all[0] - 1e-9 * all[0].abs())
                .count();
            Some(above as f64 / all.len() as f64)
        };
        let forward = p_value(map.forward(&x.points), &x, &y);
        let backward = p_value(map.backward(&y.points), &y, &x);
        [forward, backward].iter().flatten().any(|&p| p < MISSES)
    }

    /// The map of some parameters, which were those of `step`.
    fn map_of(&self, theta: &[f32], step: u64) -> Result<CharacteristicMap> {
        let info = ModelInfo {
            kind: "model".into(),
            format: FORMAT_VERSION,
            charflow: env!("CARGO_PKG_VERSION").into(),
            dim: self.problem.dim(),
            columns: self.problem.source().columns().map(<[String]>::to_vec),
            classes: self.classes(),
            config: Config {
                // What does not change the model does not go into it: equal models are equal files.
                threads: 0,
                time_limit: 0.0,
                ..self.config.clone()
            },
            step,
        };
        CharacteristicMap::with_cost(
            info,
            self.state.scaling.clone(),
            theta,
            self.state.linear.clone(),
            self.problem.shared_cost(),
        )
    }

    fn classes(&self) -> Vec<String> {
        match self.problem.pairing() {
            Pairing::Whole => vec![],
            Pairing::ByClass { names, .. } => names.clone(),
        }
    }

    /// Keeps the model if its score is the least so far, or no more above it than noise explains.
    fn consider(&mut self, look: &Look, step: u64) {
        let Some(judge) = &self.judge else {
            return;
        };
        let score = &look.score;
        let tolerance = match (&self.reference, judge.dual) {
            (Some(least), true) => score.noise(least),
            _ => judge.tolerance,
        };
        if score.value <= self.state.best_score + tolerance {
            self.state.best.clone_from(&self.state.now.ema);
            self.state.best_step = step;
        }
        // Better by more than noise, or it would be chance that sets the mark, and small steps forward add up until they are.
        let step_forward = if judge.dual { tolerance } else { 0.0 };
        if score.value < self.state.best_score - step_forward || self.state.best_score.is_infinite()
        {
            self.state.best_score = score.value;
            self.state.improved_step = step;
            self.state.least_step = step;
            if self.config.held_out.patience > 0.0 {
                self.state.good = self.state.now.clone();
            }
            self.state.least.clone_from(&self.state.now.ema);
            self.reference = Some(score.clone());
        }
    }

    fn finish(mut self, outcome: Outcome, observer: &mut dyn Observer) -> Result<Solution> {
        // A solve that ends between two looks: the last state gets its chance too.
        let step = self.state.now.step;
        if self
            .state
            .history
            .iter()
            .rev()
            .find(|r| r.held_out.is_some() || self.judge.is_none())
            .map(|r| r.step)
            != Some(step)
            && step > 0
            && outcome != Outcome::Diverged
            && self.state.now.theta.iter().all(|x| x.is_finite())
        {
            let judged = self
                .judge
                .as_mut()
                .map(|judge| judge.look(&self.state.now.ema, self.cost));
            let last = judged.is_none() || self.config.held_out.choose == "last";
            if let Some(look) = judged.filter(|l| l.score.value.is_finite()) {
                self.consider(&look, step);
            }
            if last {
                self.state.best.clone_from(&self.state.now.ema);
                self.state.best_step = step;
            }
        }
        if step > 0 && outcome != Outcome::StepLimit && self.softened(step).is_some() {
            self.note(
                "the solve ended while its cost was still on the way to the one asked for, which it reaches half way through; go on with more time".into(),
                observer,
            );
        }
        let start_kept = self.prefer_the_start();
        let judged = self.judge.is_some() && self.config.held_out.choose == "best";
        let chosen_by = if start_kept {
            format!(
                "the {} that it began with: nothing learned was better on held-out points by more than noise",
                if self.config.warm_start == "gaussian" {
                    "linear map"
                } else {
                    "shift"
                }
            )
        } else if judged {
            if self.judge.as_ref().is_some_and(|j| j.dual) {
                "the held-out certificate (dual value and slack): the latest model within noise of the best".to_string()
            } else {
                "the least held-out objective, the latest among those equal within its noise"
                    .to_string()
            }
        } else if self.config.held_out.choose == "best" {
            "the last step: there were too few points to hold any out".to_string()
        } else {
            "the last step, as set by held_out.choose".to_string()
        };
        if self.judge.is_none() && self.config.held_out.fraction > 0.0 {
            self.note(
                "too few points to hold any out: the figures are of points the map was fitted to"
                    .into(),
                observer,
            );
        }
        let map = self.map_of(&self.state.best, self.state.best_step)?;
        let [source, target] = self.problem.given();
        let map = map.with_bounds(Bounds::of(source), Bounds::of(target));
        let (points, fitted, chose) = self.judging_points()?;
        Ok(Solution {
            map,
            points,
            fitted,
            chose,
            outcome,
            report: Report {
                outcome,
                steps: step,
                seconds: self.state.seconds,
                source_points: [self.problem.source().len(), self.splits.0.held_out.len()],
                target_points: [self.problem.target().len(), self.splits.1.held_out.len()],
                dim: self.problem.dim(),
                classes: self.classes(),
                parameters: self.network.parameters(),
                chosen_step: self.state.best_step,
                chosen_by,
                divergences: self.state.divergences,
                notes: self.notes,
            },
            history: self.state.history,
        })
    }
}

impl Training<'_> {
    /// Points to judge the map on: the held-out ones, or, if there are none, those it was fitted to (and true).
    ///
    /// Also whether the map was fitted to them, and whether they chose the model.
    fn judging_points(&self) -> Result<((Samples, Samples), bool, bool)> {
        let fitted = self.judge.is_none();
        let mut chose = false;
        let mut side = |samples: &Samples, split: &Split| {
            let rows = if fitted {
                &split.train
            } else {
                &split.held_out
            };
            let weighs = |i: &u32| samples.weights().is_none_or(|w| w[*i as usize] > 0.0);
            let mut rows: Vec<u32> = rows.iter().copied().filter(weighs).collect();
            // Where enough are left, those that chose the model do not judge it.
            if !fitted && rows.len() >= CHOOSING + FRESH {
                let chosen = choosing(&split.held_out);
                rows.retain(|i| chosen.binary_search(i).is_err());
            } else {
                chose = !fitted;
            }
            let count = rows.len().min(JUDGED_AT_MOST);
            // Evenly through the file, which may be in some order.
            let some: Vec<u32> = (0..count).map(|k| rows[k * rows.len() / count]).collect();
            samples.select(&some)
        };
        let points = (
            side(self.problem.given()[0], &self.splits.0)?,
            side(self.problem.given()[1], &self.splits.1)?,
        );
        Ok((points, fitted, chose))
    }
}

/// The held-out rows that choose the model, evenly through all of them, which may be in some order; ascending.
fn choosing(held_out: &[u32]) -> Vec<u32> {
    let count = held_out.len().min(CHOOSING);
    (0..count)
        .map(|k| held_out[k * held_out.len() / count])
        .collect()
}

impl Judge {
    fn new(
        config: &Config,
        problem: &Problem,
        splits: &(Split, Split),
        network: &WarmPotential<f32>,
        radius: f64,
    ) -> Option<Self> {
        if splits.0.held_out.len() < 2 || splits.1.held_out.len() < 2 {
            return None;
        }
        let held_out = [choosing(&splits.0.held_out), choosing(&splits.1.held_out)];
        let mut batch = Batch::default();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut all = |samples: &Samples,
                       side: usize,
                       rows: &[u32],
                       points: &mut Vec<f32>,
                       weights: &mut Vec<f32>| {
            Drawer::new(
                samples,
                Parts::to_judge(problem.pairing(), side, rows),
                rows.len(),
            )
            .draw_all(samples, &mut rng, points, weights)
        };
        let source = all(
            problem.source(),
            0,
            &held_out[0],
            &mut batch.source,
            &mut batch.source_weights,
        );
        let target = all(
            problem.target(),
            1,
            &held_out[1],
            &mut batch.target,
            &mut batch.target_weights,
        );
        // A class without held-out points on either side says nothing.
        batch.groups = source
            .into_iter()
            .zip(target)
            .filter(|(s, t)| s.len() >= 2 && t.len() >= 2)
            .map(|(source, target)| Group { source, target })
            .collect();
        if batch.groups.is_empty() {
            return None;
        }
        let d = problem.dim();
        let (n, m) = (batch.source.len() / d, batch.target.len() / d);
        // Times spread evenly, in an order that has nothing to do with the points' (a step by the golden ratio).
        let time = |i: usize| (i as f64 * 0.618_033_988_749_894_9).fract() as f32;
        batch.from_source = (0..n.min(1000)).map(|i| (i as u32, time(i))).collect();
        batch.from_target = (0..m.min(1000)).map(|i| (i as u32, time(i))).collect();
        let mut tolerance = 0.0;
        for group in &batch.groups {
            for (points, rows) in [
                (&batch.source, &group.source),
                (&batch.target, &group.target),
            ] {
                let cloud = Cloud::new(&points[rows.start * d..rows.end * d], d, None);
                // Either direction has a noise of about (spread / n) / 2 of each cloud.
                tolerance += spread(&cloud) / rows.len() as f64;
            }
        }
        let dual = config.dual.begin < 1.0;
        let mut weights = stage_weights(config, dual, radius);
        weights.energy = config.loss.energy.max(if dual { 1.0 } else { 0.0 });
        weights.dual.search = Search {
            evaluations: JUDGE_EVALUATIONS,
            tolerance: JUDGE_TOLERANCE,
            radius: weights.dual.search.radius,
        };
        Some(Judge {
            objective: Objective::new(network, weights),
            network: network.cast(),
            tolerance: tolerance * weights.energy,
            dual,
            batch,
        })
    }

    fn look(&mut self, theta: &[f32], cost: &dyn Cost) -> Look {
        self.network.set_parameters(theta);
        let values = self
            .objective
            .evaluate(&self.network, cost, &self.batch, None, true);
        let score = if self.dual {
            self.score()
        } else {
            Score {
                value: values.total,
                terms: [vec![], vec![]],
            }
        };
        Look { values, score }
    }

    /// The score of the model that was just evaluated.
    fn score(&self) -> Score {
        let sides = [self.objective.found(0), self.objective.found(1)];
        let weights = self.objective.weights().dual;
        // A side's points carry their own end's transform, if it is searched, and the potential of the other end.
        let ends =
            f64::from(u8::from(weights.source != 0.0)) + f64::from(u8::from(weights.target != 0.0));
        let [x, y] = sides;
        let each = |given: &[f32], n: usize| -> Vec<f64> {
            if given.is_empty() {
                vec![1.0 / n as f64; n]
            } else {
                given.iter().map(|&w| f64::from(w)).collect()
            }
        };
        let a = each(&self.batch.source_weights, x.len());
        let b = each(&self.batch.target_weights, y.len());
        let term = |w: f64, (found, u): &(Found, f64), own: bool, other: bool, sign: f64| {
            let mut sum = 0.0;
            if own {
                // The transform, and what the map's own guess misses of it.
                sum += -sign * found.value + (found.start - found.value).abs();
            }
            if other {
                sum += -sign * u;
            }
            w * sum / ends
        };
        let (source, target) = (weights.source != 0.0, weights.target != 0.0);
        let xs: Vec<f64> = x
            .iter()
            .zip(&a)
            .map(|(p, &w)| term(w, p, target, source, -1.0))
            .collect();
        let ys: Vec<f64> = y
            .iter()
            .zip(&b)
            .map(|(p, &w)| term(w, p, source, target, 1.0))
            .collect();
        Score {
            value: xs.iter().sum::<f64>() + ys.iter().sum::<f64>(),
            terms: [xs, ys],
        }
    }
}

impl Drawer {
    /// All rows of all classes, even of classes with fewer than two.
    fn draw_all(
        mut self,
        samples: &Samples,
        rng: &mut ChaCha8Rng,
        points: &mut Vec<f32>,
        weights: &mut Vec<f32>,
    ) -> Vec<std::ops::Range<usize>> {
        self.counts = self.classes.iter().map(Vec::len).collect();
        self.draw(samples, rng, points, weights)
    }
}

/// The largest distance of a point of positive weight from zero, in solver units.
fn data_radius(problem: &Problem) -> f64 {
    let d = problem.dim();
    let mut largest = 0.0_f64;
    for side in [problem.source(), problem.target()] {
        for (i, row) in side.values().chunks_exact(d).enumerate() {
            if side.weights().is_none_or(|w| w[i] > 0.0) {
                let square = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
                largest = largest.max(square);
            }
        }
    }
    largest.sqrt()
}

/// The corners of the box that holds all points, `[d]` each, in solver units.
fn bounding_box(problem: &Problem) -> (Vec<f32>, Vec<f32>) {
    let d = problem.dim();
    let mut low = vec![f32::INFINITY; d];
    let mut high = vec![f32::NEG_INFINITY; d];
    for side in [problem.source(), problem.target()] {
        for row in side.values().chunks_exact(d) {
            for j in 0..d {
                low[j] = low[j].min(row[j]);
                high[j] = high[j].max(row[j]);
            }
        }
    }
    (low, high)
}

//! The objective \[14, 53\] and its exact parameter gradient.
//!
//! ```text
//! L(theta) = lambda_hj HJ + lambda_terminal HJ_terminal + lambda_pde PDE + lambda_ed sum_k [ ED(T#mu_k, nu_k) + ED(S#nu_k, mu_k) ]
//! ```
//!
//! `k` runs over classes; without labels there is one. The Hamilton-Jacobi terms do not see classes \[17\].
//!
//! and the dual terms of [`super::dual`], if they are on.
//!
//! One evaluation has up to four parallel phases: evaluate the potential at the samples and move them; search for the dual's transforms, from the moved points; sum
//! distances between moved and given clouds by tiles; run the Hamilton-Jacobi blocks and send the seeds back. Work is dealt to a fixed number of shards, so the
//! gradient is the same to the last bit on any number of threads.

use super::dual::{DualValues, DualWeights, RUNAWAY};
use super::energy_distance::self_factor;
use crate::characteristic::conjugate::{Conjugate, End, Found, Search};
use crate::characteristic::flow::{Columns, Velocity};
use crate::characteristic::{implicit, pde};
use crate::cost::Cost;
use crate::potential::{BLOCK, Isa, Potential, Scalar};
use charflow_kernels::distance::{Cloud, Scratch, rows};
use charflow_kernels::{Aligned, blocks, parallel};
use rayon::prelude::*;
use std::ops::Range;

/// Factors of the terms of the objective; a term with factor zero is not computed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossWeights {
    /// Of the implicit Hamilton-Jacobi loss \[13\].
    pub hj: f64,
    /// Of its terminal-anchored twin (B.4).
    pub hj_terminal: f64,
    /// Of the squared residual of the equation \[5\] (HJ-PINN).
    pub pde: f64,
    /// Of the energy distances \[53\].
    pub energy: f64,
    /// Of the dual terms.
    pub dual: DualWeights,
}

/// A class within a batch: its rows on either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Rows of [`Batch::source`].
    pub source: Range<usize>,
    /// Rows of [`Batch::target`].
    pub target: Range<usize>,
}

/// The samples of one step.
#[derive(Clone, Debug, Default)]
pub struct Batch<T> {
    /// Source points, `[n, d]` row-major.
    pub source: Vec<T>,
    /// Target points, `[m, d]` row-major.
    pub target: Vec<T>,
    /// Weights of the source points, summing to one within each group; empty for equal weights.
    pub source_weights: Vec<T>,
    /// Weights of the target points.
    pub target_weights: Vec<T>,
    /// The classes; one group for a problem without labels.
    pub groups: Vec<Group>,
    /// Collocation points given outright, `[k, d]`.
    pub points: Vec<T>,
    /// Their times, `[k]`.
    pub times: Vec<T>,
    /// Collocation on characteristics from source points: `x_i + t V(p(x_i, 0))` for each `(i, t)`, held fixed under differentiation.
    pub from_source: Vec<(u32, T)>,
    /// Collocation on characteristics to target points: `y_j - (1 - t) V(p(y_j, 1))` for each `(j, t)`.
    pub from_target: Vec<(u32, T)>,
}

/// The terms of the objective, unweighted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Values {
    /// The weighted sum.
    pub total: f64,
    /// Implicit Hamilton-Jacobi loss.
    pub hj: f64,
    /// Terminal twin.
    pub hj_terminal: f64,
    /// Squared residual of the equation.
    pub pde: f64,
    /// `sum_k ED(T#mu_k, nu_k)`. Without the constant `- E|Y - Y'|` unless [`Objective::evaluate`] was asked for values.
    pub ed_forward: f64,
    /// `sum_k ED(S#nu_k, mu_k)`, likewise.
    pub ed_backward: f64,
    /// The dual terms.
    pub dual: DualValues,
}

/// One block of samples and what became of it.
struct Moved<P: Potential<T>, T: Scalar> {
    /// 0 forward, 1 backward.
    side: usize,
    /// First row of the block in the batch.
    start: usize,
    count: usize,
    tape: P::Tape,
    x: Vec<T>,
    gradient: Vec<T>,
    /// `T(x) - x` or `S(y) - y`, `[d, 48]`.
    shift: Vec<T>,
    /// The potential at the samples.
    u: [T; BLOCK],
    /// What the dual search found from here: the points, `[d, 48]`, and the rest.
    found_at: Vec<T>,
    found: [Found; BLOCK],
    /// `u + l` or `u - l` at the points found: the transforms, unless the points are held.
    value: [f64; BLOCK],
    /// Weights of the lanes in the dual, zero for those that ran away and those that hold no point.
    weight: [T; BLOCK],
}

struct Shard<P: Potential<T>, T: Scalar> {
    work: P::Workspace,
    implicit: Option<implicit::ImplicitWork<P, T>>,
    pde: Option<pde::PdeWork<P, T>>,
    into: Aligned<T>,
    moved: Vec<Moved<P, T>>,
    columns: Columns,
    seed: Aligned<T>,
    gradient: Vec<T>,
    sums: Values,
    /// Search and a tape for the points found, if the dual is on.
    search: Option<(Conjugate<P, T>, P::Tape)>,
}

/// One block of a moved cloud against the given cloud and against itself.
struct Pair<T> {
    side: usize,
    group: usize,
    block: usize,
    value: f64,
    gradient: Vec<T>,
    other: Vec<T>,
}

/// The objective with its memory, kept from step to step.
pub struct Objective<P: Potential<T>, T: Scalar> {
    weights: LossWeights,
    shards: Vec<Shard<P, T>>,
    accumulated: Vec<T>,
    moved_clouds: [Vec<Cloud<T>>; 2],
    given_clouds: [Vec<Cloud<T>>; 2],
    pairs: Vec<Pair<T>>,
    /// `T(x)` and `S(y)`, row-major.
    images: [Vec<T>; 2],
    /// `dL/dT(x)` and `dL/dS(y)`, row-major.
    slopes: [Vec<T>; 2],
    collocation: Vec<T>,
    collocation_weights: Vec<T>,
    hold: bool,
}

impl<P: Potential<T>, T: Scalar> Objective<P, T> {
    /// An objective with the given factors.
    #[must_use]
    pub fn new(potential: &P, weights: LossWeights) -> Self {
        let d = potential.dim();
        let mut objective = Objective {
            weights,
            shards: (0..parallel::SHARDS)
                .map(|_| Shard {
                    work: potential.workspace(),
                    implicit: None,
                    pde: None,
                    search: None,
                    into: Aligned::zeros(potential.accumulator_len()),
                    moved: Vec::new(),
                    columns: Columns::new(d),
                    seed: Aligned::zeros((d + 1) * BLOCK),
                    gradient: vec![T::ZERO; (d + 1) * BLOCK],
                    sums: Values::default(),
                })
                .collect(),
            accumulated: vec![T::ZERO; potential.accumulator_len()],
            moved_clouds: [vec![], vec![]],
            given_clouds: [vec![], vec![]],
            pairs: vec![],
            images: [vec![], vec![]],
            slopes: [vec![], vec![]],
            collocation: vec![],
            collocation_weights: vec![],
            hold: false,
        };
        objective.set_weights(potential, weights);
        objective
    }

    /// Other factors from here on: a stage of the solve.
    pub fn set_weights(&mut self, potential: &P, weights: LossWeights) {
        self.weights = weights;
        for shard in &mut self.shards {
            if weights.hj == 0.0 && weights.hj_terminal == 0.0 {
                shard.implicit = None;
            } else if shard.implicit.is_none() {
                shard.implicit = Some(implicit::ImplicitWork::new(potential));
            }
            if weights.pde == 0.0 {
                shard.pde = None;
            } else if shard.pde.is_none() {
                shard.pde = Some(pde::PdeWork::new(potential));
            }
            if !weights.dual.is_on() {
                shard.search = None;
            } else if shard.search.is_none() {
                shard.search = Some((Conjugate::new(potential), potential.tape()));
            }
        }
    }

    /// How many evaluations a dual search may take from here on.
    pub fn set_evaluations(&mut self, evaluations: usize) {
        self.weights.dual.search.evaluations = evaluations;
    }

    /// The factors.
    #[must_use]
    pub fn weights(&self) -> &LossWeights {
        &self.weights
    }

    /// With `true`, the next evaluations make no searches and take the points found last: then the value is the function whose gradient is returned, which the
    /// tests compare. The batch must be the same.
    pub fn hold_found(&mut self, hold: bool) {
        self.hold = hold;
    }

    /// For each sample of one side (0 source, 1 target), in order, what its dual search found, and the potential at the sample itself; empty without a search there.
    #[must_use]
    pub fn found(&self, side: usize) -> Vec<(Found, f64)> {
        let mut list: Vec<(usize, Vec<(Found, f64)>)> = Vec::new();
        for shard in &self.shards {
            for moved in shard.moved.iter().filter(|m| m.side == side) {
                let lanes = (0..moved.count).map(|s| (moved.found[s], moved.u[s].f64()));
                list.push((moved.start, lanes.collect()));
            }
        }
        list.sort_by_key(|(start, _)| *start);
        list.into_iter().flat_map(|(_, lanes)| lanes).collect()
    }

    /// Evaluates the objective on a batch; with `gradient: [parameters]`, its exact parameter gradient.
    ///
    /// `values` asks for the parts of the energy distances that do not depend on the parameters: without them a step is cheaper.
    /// Must run inside the thread pool that should do the work.
    pub fn evaluate(
        &mut self,
        potential: &P,
        cost: &dyn Cost,
        batch: &Batch<T>,
        gradient: Option<&mut [T]>,
        values: bool,
    ) -> Values {
        let velocity = Velocity::new(cost, potential.dim());
        let want = gradient.is_some();
        for shard in &mut self.shards {
            shard.sums = Values::default();
            if want {
                shard.into.fill(T::ZERO);
            }
        }
        let mut total = Values::default();
        let dual = self.weights.dual.is_on();
        let moving = self.weights.energy != 0.0
            || dual
            || !batch.from_source.is_empty()
            || !batch.from_target.is_empty();
        if moving {
            self.move_samples(potential, velocity, batch);
        }
        if dual {
            self.transform(potential, velocity, batch);
            total.dual = self.dual_values(potential.dim(), velocity);
        }
        if want {
            for (side, images) in self.images.iter().enumerate() {
                self.slopes[side].clear();
                self.slopes[side].resize(images.len(), T::ZERO);
            }
        }
        if self.weights.energy != 0.0 {
            self.pair(potential.dim(), batch, want, values, &mut total);
        }
        self.residuals_and_seeds(potential, velocity, batch, want);
        for shard in &self.shards {
            total.hj += shard.sums.hj;
            total.hj_terminal += shard.sums.hj_terminal;
            total.pde += shard.sums.pde;
        }
        let w = &self.weights;
        total.total = w.hj * total.hj
            + w.hj_terminal * total.hj_terminal
            + w.pde * total.pde
            + w.energy * (total.ed_forward + total.ed_backward)
            - w.dual.source * total.dual.source
            - w.dual.target * total.dual.target
            + w.dual.tie * total.dual.tie
            + 0.5 * w.dual.tie_value * total.dual.tie_value;
        if let Some(gradient) = gradient {
            let parts: Vec<&[T]> = self.shards.iter().map(|s| &s.into[..]).collect();
            parallel::reduce(&parts, &mut self.accumulated);
            potential.unpad(&self.accumulated, gradient);
        }
        total
    }

    /// Evaluates the potential at all samples of the batch and moves them to the other end.
    fn move_samples(&mut self, potential: &P, velocity: Velocity<'_>, batch: &Batch<T>) {
        let d = potential.dim();
        let counts = [batch.source.len() / d, batch.target.len() / d];
        let whole = [blocks(counts[0]), blocks(counts[1])];
        let shards = self.shards.len();
        for (s, shard) in self.shards.iter_mut().enumerate() {
            let mut k = 0;
            for item in (s..whole[0] + whole[1]).step_by(shards) {
                let side = usize::from(item >= whole[0]);
                let start = (item - side * whole[0]) * BLOCK;
                if k == shard.moved.len() {
                    shard.moved.push(Moved {
                        side,
                        start,
                        count: 0,
                        tape: potential.tape(),
                        x: vec![T::ZERO; (d + 1) * BLOCK],
                        gradient: vec![T::ZERO; (d + 1) * BLOCK],
                        shift: vec![T::ZERO; d * BLOCK],
                        u: [T::ZERO; BLOCK],
                        found_at: vec![T::ZERO; d * BLOCK],
                        found: [Found::default(); BLOCK],
                        value: [0.0; BLOCK],
                        weight: [T::ZERO; BLOCK],
                    });
                }
                let moved = &mut shard.moved[k];
                moved.side = side;
                moved.start = start;
                moved.count = (counts[side] - start).min(BLOCK);
                k += 1;
            }
            shard.moved.truncate(k);
        }
        self.shards
            .par_iter_mut()
            .with_max_len(1)
            .for_each(|shard| {
                for moved in &mut shard.moved {
                    let (points, time, sign) = if moved.side == 0 {
                        (&batch.source, T::ZERO, T::ONE)
                    } else {
                        (&batch.target, T::ONE, -T::ONE)
                    };
                    let points = &points[moved.start * d..(moved.start + moved.count) * d];
                    to_lanes(points, d, &mut moved.x);
                    moved.x[d * BLOCK..].fill(time);
                    potential.forward(&moved.x, &mut moved.tape, &mut shard.work, &mut moved.u);
                    potential.reverse(&mut moved.tape, &mut shard.work, &mut moved.gradient);
                    velocity.velocity(&moved.gradient, &mut moved.shift, &mut shard.columns);
                    moved.shift.iter_mut().for_each(|v| *v *= sign);
                }
            });
        for side in 0..2 {
            self.images[side].resize(counts[side] * d, T::ZERO);
        }
        for shard in &self.shards {
            for moved in &shard.moved {
                let image = &mut self.images[moved.side][moved.start * d..];
                for s in 0..moved.count {
                    for k in 0..d {
                        let i = k * BLOCK + s;
                        image[s * d + k] = moved.x[i] + moved.shift[i];
                    }
                }
            }
        }
    }

    /// The dual searches, from the moved points. Lanes that ran away are left out, and the others weigh more for it.
    fn transform(&mut self, potential: &P, velocity: Velocity<'_>, batch: &Batch<T>) {
        let d = potential.dim();
        let dual = self.weights.dual;
        let hold = self.hold;
        // Held points are evaluated where they are.
        let limits = if hold {
            Search {
                evaluations: 1,
                tolerance: 0.0,
                radius: f64::INFINITY,
            }
        } else {
            dual.search
        };
        self.shards
            .par_iter_mut()
            .with_max_len(1)
            .for_each(|shard| {
                let Some((search, _)) = &mut shard.search else {
                    return;
                };
                search.reset_count();
                for moved in &mut shard.moved {
                    let (points, weights, end) = if moved.side == 0 {
                        (&batch.source, &batch.source_weights, End::Target)
                    } else {
                        (&batch.target, &batch.target_weights, End::Source)
                    };
                    let all = points.len() / d;
                    moved.weight.fill(T::ZERO);
                    for s in 0..moved.count {
                        moved.weight[s] = if weights.is_empty() {
                            T::of(1.0 / all as f64)
                        } else {
                            T::of(weights[moved.start + s].f64() / batch.groups.len().max(1) as f64)
                        };
                    }
                    if dual.of_side(moved.side) == 0.0 {
                        continue;
                    }
                    if !hold {
                        for i in 0..d * BLOCK {
                            moved.found_at[i] = moved.x[i] + moved.shift[i];
                        }
                    }
                    let found = search.search(
                        potential,
                        velocity,
                        end,
                        &moved.x,
                        &mut moved.found_at,
                        moved.count,
                        limits,
                        &mut shard.work,
                    );
                    moved.value = found.map(|found| found.value);
                    if !hold {
                        moved.found = found;
                    }
                    let far = RUNAWAY * RUNAWAY * d as f64;
                    for s in 0..moved.count {
                        let mut square = 0.0;
                        for k in 0..d {
                            let away = moved.found_at[k * BLOCK + s] - moved.x[k * BLOCK + s];
                            square += away.f64() * away.f64();
                        }
                        let found = &moved.found[s];
                        if found.stopped_at_radius || !(square <= far && found.value.is_finite()) {
                            moved.weight[s] = T::ZERO;
                        }
                    }
                }
            });
        for side in 0..2 {
            let mut sum = 0.0;
            for shard in &self.shards {
                for moved in shard.moved.iter().filter(|m| m.side == side) {
                    sum += moved.weight.iter().map(|w| w.f64()).sum::<f64>();
                }
            }
            if sum == 0.0 && self.weights.dual.of_side(side) != 0.0 {
                // Every search ran away: what is left of the dual value would only push the potential up or down.
                for shard in &mut self.shards {
                    for moved in &mut shard.moved {
                        moved.weight.fill(T::ZERO);
                    }
                }
            } else if sum > 0.0 && (sum - 1.0).abs() > 1e-6 {
                let factor = T::of(1.0 / sum);
                for shard in &mut self.shards {
                    for moved in shard.moved.iter_mut().filter(|m| m.side == side) {
                        moved.weight.iter_mut().for_each(|w| *w *= factor);
                    }
                }
            }
        }
    }

    /// The dual terms from what was found, summed in a fixed order.
    fn dual_values(&mut self, d: usize, velocity: Velocity<'_>) -> DualValues {
        let dual = self.weights.dual;
        let mut values = DualValues::default();
        let (mut searches, mut points) = (0.0, 0.0);
        for shard in &mut self.shards {
            for moved in &shard.moved {
                let searched = dual.of_side(moved.side) != 0.0;
                let (mut h, mut l) = ([T::ZERO; BLOCK], [T::ZERO; BLOCK]);
                if searched {
                    // The displacement found, y* - x or y - x*.
                    let sign = if moved.side == 1 { -T::ONE } else { T::ONE };
                    for i in 0..d * BLOCK {
                        shard.gradient[i] = sign * (moved.found_at[i] - moved.x[i]);
                    }
                    velocity.hamiltonian(&moved.gradient, &mut h, &mut shard.columns);
                    velocity.cost(&shard.gradient, &mut l, &mut shard.columns);
                }
                for s in 0..moved.count {
                    let (w, u) = (moved.weight[s].f64(), moved.u[s].f64());
                    let found = &moved.found[s];
                    // Target points carry u(y, 1) to D_t and the transform to D_s, source points the same with the other sign.
                    let sign = if moved.side == 1 { w } else { -w };
                    if dual.of_side(1 - moved.side) != 0.0 {
                        if moved.side == 1 {
                            values.target += sign * u;
                        } else {
                            values.source += sign * u;
                        }
                    }
                    if !searched {
                        continue;
                    }
                    points += 1.0;
                    values.converged += f64::from(u8::from(found.converged));
                    values.bends_down += f64::from(u8::from(found.bends_down));
                    if w == 0.0 {
                        values.runaway += 1.0;
                        continue;
                    }
                    if moved.side == 1 {
                        values.source += sign * moved.value[s];
                    } else {
                        values.target += sign * moved.value[s];
                    }
                    values.tie_value += w * (u - found.value).powi(2);
                    let mut gap = h[s].f64() + l[s].f64();
                    for k in 0..d {
                        let i = k * BLOCK + s;
                        gap -= moved.gradient[i].f64() * shard.gradient[i].f64();
                    }
                    values.tie += w * gap;
                }
                searches += f64::from(u8::from(searched));
            }
        }
        let evaluations: u64 = self
            .shards
            .iter()
            .filter_map(|s| s.search.as_ref().map(|(search, _)| search.evaluations()))
            .sum();
        values.evaluations = evaluations as f64 / f64::max(searches, 1.0);
        if points > 0.0 {
            values.converged /= points;
            values.bends_down /= points;
            values.runaway /= points;
        }
        values
    }

    /// Energy distances of moved against given clouds, and their slopes at the moved points.
    fn pair(&mut self, d: usize, batch: &Batch<T>, want: bool, values: bool, total: &mut Values) {
        let groups = batch.groups.len();
        for side in 0..2 {
            self.moved_clouds[side].resize_with(groups, Cloud::default);
            self.given_clouds[side].resize_with(groups, Cloud::default);
        }
        let images = &self.images;
        let part = |points: &[T], weights: &[T], rows: &Range<usize>, cloud: &mut Cloud<T>| {
            let weights = (!weights.is_empty()).then(|| &weights[rows.clone()]);
            cloud.fill(&points[rows.start * d..rows.end * d], d, weights);
        };
        let [moved_0, moved_1] = &mut self.moved_clouds;
        let [given_0, given_1] = &mut self.given_clouds;
        batch
            .groups
            .par_iter()
            .zip(moved_0.par_iter_mut().zip(moved_1.par_iter_mut()))
            .zip(given_0.par_iter_mut().zip(given_1.par_iter_mut()))
            .for_each(|((group, (m0, m1)), (g0, g1))| {
                let forward = || {
                    part(&images[0], &batch.source_weights, &group.source, m0);
                    part(&batch.target, &batch.target_weights, &group.target, g0);
                };
                let backward = || {
                    part(&images[1], &batch.target_weights, &group.target, m1);
                    part(&batch.source, &batch.source_weights, &group.source, g1);
                };
                rayon::join(forward, backward);
            });

        let mut k = 0;
        for side in 0..2 {
            for (g, cloud) in self.moved_clouds[side].iter().enumerate() {
                for block in 0..blocks(cloud.len()) {
                    if k == self.pairs.len() {
                        self.pairs.push(Pair {
                            side,
                            group: g,
                            block,
                            value: 0.0,
                            gradient: vec![T::ZERO; d * BLOCK],
                            other: vec![T::ZERO; d * BLOCK],
                        });
                    }
                    let pair = &mut self.pairs[k];
                    (pair.side, pair.group, pair.block) = (side, g, block);
                    k += 1;
                }
            }
        }
        self.pairs.truncate(k);
        let isa = Isa::current();
        let (moved_clouds, given_clouds) = (&self.moved_clouds, &self.given_clouds);
        let lambda = T::of(self.weights.energy);
        let pairs = self.pairs.par_iter_mut().with_max_len(1);
        pairs.for_each_init(Scratch::default, |scratch, pair| {
            let moved = &moved_clouds[pair.side][pair.group];
            let given = &given_clouds[pair.side][pair.group];
            let mut cross = [0.0; BLOCK];
            let mut own = [0.0; BLOCK];
            let factor = self_factor(moved);
            rows(
                isa,
                moved,
                pair.block,
                given,
                &mut cross,
                want.then_some(&mut pair.gradient[..]),
                scratch,
            );
            rows(
                isa,
                moved,
                pair.block,
                moved,
                &mut own,
                want.then_some(&mut pair.other[..]),
                scratch,
            );
            let first = pair.block * BLOCK;
            let weights = &moved.weights()[first..(first + BLOCK).min(moved.len())];
            pair.value = 0.0;
            for (s, &a) in weights.iter().enumerate() {
                pair.value += a.f64() * (2.0 * cross[s] - factor * own[s]);
                if want {
                    let two_a = (a + a) * lambda;
                    let f = T::of(factor);
                    for i in s * d..(s + 1) * d {
                        pair.gradient[i] = two_a * (pair.gradient[i] - f * pair.other[i]);
                    }
                }
            }
        });
        let mut sums = [0.0; 2];
        for pair in &self.pairs {
            sums[pair.side] += pair.value;
            if want {
                let group = &batch.groups[pair.group];
                let rows = if pair.side == 0 {
                    &group.source
                } else {
                    &group.target
                };
                let start = (rows.start + pair.block * BLOCK) * d;
                let end = rows.end * d;
                let n = (end - start).min(BLOCK * d);
                self.slopes[pair.side][start..start + n].copy_from_slice(&pair.gradient[..n]);
            }
        }
        if values {
            for side in 0..2 {
                sums[side] -= given_clouds[side]
                    .iter()
                    .map(super::energy_distance::spread)
                    .sum::<f64>();
            }
        }
        total.ed_forward = sums[0];
        total.ed_backward = sums[1];
    }

    /// The Hamilton-Jacobi terms, and the parameter gradient of everything.
    fn residuals_and_seeds(
        &mut self,
        potential: &P,
        velocity: Velocity<'_>,
        batch: &Batch<T>,
        want: bool,
    ) {
        let d = potential.dim();
        let items = self.collocate(d, batch);
        let size = (d + 1) * BLOCK;
        let w = self.weights;
        let (collocation, weights, slopes) =
            (&self.collocation, &self.collocation_weights, &self.slopes);
        let shards = self.shards.len();
        self.shards
            .par_iter_mut()
            .with_max_len(1)
            .enumerate()
            .for_each(|(s, shard)| {
                // Blocks of residuals are dealt from the far end, so that the shards with one sample block more get one residual block less.
                for item in ((shards - 1 - s)..items).step_by(shards) {
                    let x = &collocation[item * size..(item + 1) * size];
                    let weight = &weights[item * BLOCK..(item + 1) * BLOCK];
                    if let Some(own) = &mut shard.implicit {
                        let into = want.then_some(&mut shard.into[..]);
                        let (squares, _) = implicit::block(
                            potential,
                            velocity,
                            x,
                            weight,
                            [w.hj, w.hj_terminal],
                            into,
                            &mut shard.work,
                            own,
                        );
                        shard.sums.hj += squares[0];
                        shard.sums.hj_terminal += squares[1];
                    }
                    if let Some(own) = &mut shard.pde {
                        let into = want.then_some(&mut shard.into[..]);
                        shard.sums.pde += pde::block(
                            potential,
                            velocity,
                            x,
                            weight,
                            w.pde,
                            into,
                            &mut shard.work,
                            own,
                        );
                    }
                }
                if !want || w.energy == 0.0 && !w.dual.is_on() {
                    return;
                }
                let dual = w.dual;
                let mut slope = vec![T::ZERO; d * BLOCK];
                for moved in &mut shard.moved {
                    let rows =
                        &slopes[moved.side][moved.start * d..(moved.start + moved.count) * d];
                    slope.fill(T::ZERO);
                    to_lanes(rows, d, &mut slope);
                    let mut ubar = [T::ZERO; BLOCK];
                    let sign = if moved.side == 1 { -T::ONE } else { T::ONE };
                    if dual.is_on() {
                        let searched = dual.of_side(moved.side) != 0.0;
                        // -D_s grows with u(x, 0) at the source points, -D_t falls with u(y, 1) at the target points.
                        let other = sign * T::of(dual.of_side(1 - moved.side));
                        for s in 0..BLOCK {
                            let weight = moved.weight[s];
                            ubar[s] = weight * other;
                            if searched {
                                let off = T::of(moved.u[s].f64() - moved.found[s].value);
                                ubar[s] += T::of(dual.tie_value) * weight * off;
                            }
                        }
                    }
                    shard.seed.fill(T::ZERO);
                    if w.energy != 0.0 {
                        slope.iter_mut().for_each(|v| *v *= sign);
                        velocity.hessian_vec(
                            &moved.gradient,
                            &slope,
                            &mut shard.seed,
                            &mut shard.columns,
                        );
                    }
                    if dual.of_side(moved.side) != 0.0 {
                        let tie = sign * T::of(dual.tie);
                        for k in 0..d {
                            for s in 0..BLOCK {
                                let i = k * BLOCK + s;
                                // A lane without weight may hold anything, even what is not finite.
                                if moved.weight[s] != T::ZERO {
                                    let off = moved.x[i] + moved.shift[i] - moved.found_at[i];
                                    shard.seed[i] += tie * moved.weight[s] * off;
                                }
                            }
                        }
                    }
                    potential.accumulate(
                        &mut moved.tape,
                        &mut shard.work,
                        &ubar,
                        Some(&shard.seed),
                        &mut shard.into,
                    );
                    let factor = dual.of_side(moved.side);
                    if let (Some((_, tape)), true) = (&mut shard.search, factor != 0.0) {
                        // The potential at the points found: -D_s falls with it, -D_t grows.
                        let time = if moved.side == 1 { T::ZERO } else { T::ONE };
                        let x = &mut shard.seed;
                        for k in 0..d {
                            for s in 0..BLOCK {
                                let i = k * BLOCK + s;
                                x[i] = if moved.weight[s] == T::ZERO {
                                    T::ZERO
                                } else {
                                    moved.found_at[i]
                                };
                            }
                        }
                        x[d * BLOCK..].fill(time);
                        for s in 0..BLOCK {
                            ubar[s] = sign * T::of(factor) * moved.weight[s];
                        }
                        let mut u = [T::ZERO; BLOCK];
                        let gradient = &mut shard.gradient;
                        potential.forward(x, tape, &mut shard.work, &mut u);
                        potential.reverse(tape, &mut shard.work, gradient);
                        potential.accumulate(tape, &mut shard.work, &ubar, None, &mut shard.into);
                    }
                }
            });
    }

    /// Lays out the collocation points in blocks; returns how many.
    fn collocate(&mut self, d: usize, batch: &Batch<T>) -> usize {
        let given = batch.times.len();
        let count = given + batch.from_source.len() + batch.from_target.len();
        let items = blocks(count);
        self.collocation.clear();
        self.collocation.resize(items * (d + 1) * BLOCK, T::ZERO);
        self.collocation_weights.clear();
        self.collocation_weights.resize(items * BLOCK, T::ZERO);
        let each = T::of(1.0 / count.max(1) as f64);
        let mut i = 0;
        let (collocation, weights) = (&mut self.collocation, &mut self.collocation_weights);
        let mut put = |point: &mut dyn FnMut(usize) -> T, t: T| {
            let at = (i / BLOCK) * (d + 1) * BLOCK + i % BLOCK;
            for k in 0..d {
                collocation[at + k * BLOCK] = point(k);
            }
            collocation[at + d * BLOCK] = t;
            weights[i] = each;
            i += 1;
        };
        for (n, &t) in batch.times.iter().enumerate() {
            put(&mut |k| batch.points[n * d + k], t);
        }
        // x + t (T(x) - x), and y + (1 - t) (S(y) - y).
        for (side, list) in [&batch.from_source, &batch.from_target]
            .into_iter()
            .enumerate()
        {
            let points = if side == 0 {
                &batch.source
            } else {
                &batch.target
            };
            let images = &self.images[side];
            for &(row, t) in list {
                let at = row as usize * d;
                let share = if side == 0 { t } else { T::ONE - t };
                put(
                    &mut |k| {
                        let x = points[at + k];
                        x + share * (images[at + k] - x)
                    },
                    t,
                );
            }
        }
        items
    }
}

/// Row-major points `[n <= 48, d]` to lanes `[d, 48]`; columns beyond the last point are zero.
pub(crate) fn to_lanes<T: Scalar>(points: &[T], d: usize, lanes: &mut [T]) {
    let n = points.len() / d;
    for k in 0..d {
        let row = &mut lanes[k * BLOCK..(k + 1) * BLOCK];
        for s in 0..n {
            row[s] = points[s * d + k];
        }
        row[n..].fill(T::ZERO);
    }
}

//! The c-transform of the potential at either end, by a batched quasi-Newton search.
//!
//! With `g = u(., 0)` and `f = u(., 1)` the two transforms are
//!
//! ```text
//! g^c(y) = min_x   g(x) + l(y - x)           attained where  x + V(grad g(x)) = y      from the source's end
//! f_c(x) = max_y   f(y) - l(y - x)           attained where  y - V(grad f(y)) = x      from the target's end
//! ```
//!
//! Hopf-Lax says `u(y, 1) = g^c(y)` and `u(x, 0) = f_c(x)` for the solution of the Hamilton-Jacobi equation. Both are one search,
//!
//! ```text
//! min_z  h(z) = s u(z, t) + l(s (given - z)),      R(z) = z - given + s V(grad u(z, t)),      s = 1, t = 0  or  s = -1, t = 1
//! ```
//!
//! `R` vanishes exactly where `h` is stationary, for every cost, also where `l` has kinks: `V` is monotone, so with `q = grad u(z, t)` and
//! `w = grad l(s (given - z))`, `grad h . R = (q - w).(V(q) - V(w)) >= 0`, and `-R` is a direction of descent. For the quadratic cost `R = grad h`. The search is
//! L-BFGS on `R` (Nocedal 1980; Liu and Nocedal 1989), 48 points at a time with the points as lanes, each lane with its own step length: a trial is taken if `h` does not grow,
//! else the lane's step is cut. So a lane's `h` never grows by more than its rounding, and the point returned is its best up to that.
//!
//! The start is the map's own guess: `S(y) = y - V(grad u(y, 1))` and `T(x) = x + V(grad u(x, 0))`, which become exact as the fit settles.

use super::flow::{Columns, Velocity};
use crate::potential::{BLOCK, Potential, Scalar};

/// The end of the characteristics whose potential is transformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `min_x u(x, 0) + l(y - x)` for a given target point `y`.
    Source,
    /// `max_y u(y, 1) - l(y - x)` for a given source point `x`.
    Target,
}

impl End {
    /// The time of the potential that is transformed.
    #[must_use]
    pub fn time(self) -> f64 {
        match self {
            End::Source => 0.0,
            End::Target => 1.0,
        }
    }

    /// `s` of the module's formulas.
    #[must_use]
    pub fn sign(self) -> f64 {
        match self {
            End::Source => 1.0,
            End::Target => -1.0,
        }
    }
}

/// When a search ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// Evaluations of the potential and its gradient at most, the first one included.
    pub evaluations: usize,
    /// A lane is done where `|R|^2 <= tolerance^2 (|given - z|^2 + d)`, `d` being the dimension: solver units have a variance of about one a coordinate.
    pub tolerance: f64,
    /// Points further than this from zero are not taken, unless the search begins there: in solver units, where zero is the middle of the data.
    ///
    /// The minimum of a transform is attained among the points that there are. Far away a network is what it is: one that bends down there has no least value under a cost that grows
    /// more slowly than it falls (powers below 2), and a single search that gets there would outweigh all the others.
    pub radius: f64,
}

/// What became of one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Found {
    /// The transform: `min h`, or for the target's end `max = -min h`.
    pub value: f64,
    /// The same at the start of the search.
    pub start: f64,
    /// `|R|^2` at the point found.
    pub residual: f64,
    /// Whether the tolerance was met.
    pub converged: bool,
    /// Whether the search met a direction in which `h` bends down: there `u` is not c-concave (c-convex at the target's end).
    pub bends_down: bool,
    /// Whether [`Search::radius`] stopped it: what was found is no minimum, the search was on its way out.
    pub stopped_at_radius: bool,
}

/// Corrections an L-BFGS direction is made of.
const MEMORY: usize = 6;
/// Factor on the step of a lane whose trial was worse.
const CUT: f64 = 0.3;

/// Memory of one worker.
pub struct Conjugate<P: Potential<T>, T: Scalar> {
    tape: P::Tape,
    /// `[d + 1, 48]`: the trial points and their time.
    trial: Vec<T>,
    u: [T; BLOCK],
    gradient: Vec<T>,
    v: Vec<T>,
    l: [T; BLOCK],
    /// Accepted points, their `R`, the direction, the trial's `R`; `[d, 48]` each.
    z: Vec<T>,
    r: Vec<T>,
    direction: Vec<T>,
    r_trial: Vec<T>,
    steps: [Vec<T>; MEMORY],
    changes: [Vec<T>; MEMORY],
    /// `1 / (step . change)`, zero for a lane that has no such correction.
    inverse: [[T; BLOCK]; MEMORY],
    columns: Columns,
    evaluations: u64,
    /// Centre `[d]` and radius of the ball that the minimum is taken over.
    ball: Option<(Vec<T>, T)>,
}

impl<P: Potential<T>, T: Scalar> Conjugate<P, T> {
    /// For the given potential.
    pub fn new(potential: &P) -> Self {
        let d = potential.dim();
        let block = || vec![T::ZERO; d * BLOCK];
        Conjugate {
            tape: potential.tape(),
            trial: vec![T::ZERO; (d + 1) * BLOCK],
            u: [T::ZERO; BLOCK],
            gradient: vec![T::ZERO; (d + 1) * BLOCK],
            v: block(),
            l: [T::ZERO; BLOCK],
            z: block(),
            r: block(),
            direction: block(),
            r_trial: block(),
            steps: std::array::from_fn(|_| block()),
            changes: std::array::from_fn(|_| block()),
            inverse: [[T::ZERO; BLOCK]; MEMORY],
            columns: Columns::new(d),
            evaluations: 0,
            ball: None,
        }
    }

    /// Takes minima over the ball of this centre `[d]` and radius from now on, by projected steps: what would leave it goes along its surface.
    ///
    /// A point on the surface is done where the part of `R` along the surface is small and the rest points outwards. (Only [`Search::radius`] refuses steps; it stays infinite then.)
    pub fn within(&mut self, centre: &[f64], radius: f64) {
        self.ball = Some((centre.iter().map(|c| T::of(*c)).collect(), T::of(radius)));
    }

    /// Starts counting anew.
    pub fn reset_count(&mut self) {
        self.evaluations = 0;
    }

    /// Blocks evaluated since then, over all searches: what the work is counted in.
    #[must_use]
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// Searches from `z: [d, 48]` for the 48 points `given: [d, 48]`, and leaves the points found in `z`.
    ///
    /// The first `count` lanes hold points; the others are carried along and do not keep the search going.
    pub fn search(
        &mut self,
        potential: &P,
        cost: Velocity<'_>,
        end: End,
        given: &[T],
        z: &mut [T],
        count: usize,
        limits: Search,
        work: &mut P::Workspace,
    ) -> [Found; BLOCK] {
        let d = potential.dim();
        let n = d * BLOCK;
        let mut found = [Found::default(); BLOCK];
        let sign = T::of(end.sign());
        let tolerance = T::of(limits.tolerance * limits.tolerance);
        let dimension = T::of(d as f64);
        let mut h = [T::ZERO; BLOCK];
        let mut noise = [T::ZERO; BLOCK];
        self.trial[n..].fill(T::of(end.time()));
        self.trial[..n].copy_from_slice(&z[..n]);
        self.project();
        z[..n].copy_from_slice(&self.trial[..n]);
        self.evaluate(potential, cost, sign, given, work, &mut h, &mut noise);
        self.z.copy_from_slice(&z[..n]);
        self.r.copy_from_slice(&self.r_trial);
        for s in 0..BLOCK {
            found[s].start = h[s].f64();
        }
        for inverse in &mut self.inverse {
            inverse.fill(T::ZERO);
        }
        let radius = T::of(limits.radius * limits.radius);
        let farthest = dots(d, &self.z, &self.z).map(|r| if r > radius { r } else { radius });
        let mut scale = [T::ONE; BLOCK];
        let mut refused = [0i32; BLOCK];
        let mut held_back = [false; BLOCK];
        for number in 0..limits.evaluations.max(1) {
            let mut distances = [T::ZERO; BLOCK];
            for k in 0..d {
                for s in 0..BLOCK {
                    let i = k * BLOCK + s;
                    let away = given[i] - self.z[i];
                    distances[s] += away * away;
                }
            }
            let squares = dots(d, &self.r, &self.r);
            let free = self.free_squares(d, &squares);
            let mut all = true;
            for s in 0..BLOCK {
                let near = distances[s] + dimension;
                found[s].residual = free[s].f64();
                found[s].converged = free[s] <= tolerance * near;
                all &= found[s].converged || s >= count;
                // Squares from here on: no step is longer than twice the way to the given point, or so.
                distances[s] = T::of(4.0) * near;
            }
            if all || number + 1 >= limits.evaluations {
                break;
            }
            self.find_direction(d, number, &scale);
            let lengths = dots(d, &self.direction, &self.direction);
            let mut step = [T::ONE; BLOCK];
            for s in 0..BLOCK {
                let mut factor = CUT.powi((refused[s] - 1).max(0));
                let square = factor * factor * lengths[s].f64();
                if square > distances[s].f64() {
                    factor *= (distances[s].f64() / square).sqrt();
                }
                step[s] = T::of(factor);
            }
            for k in 0..d {
                for s in 0..BLOCK {
                    let i = k * BLOCK + s;
                    self.trial[i] = self.z[i] + step[s] * self.direction[i];
                }
            }
            self.project();
            let outside = dots(d, &self.trial[..n], &self.trial[..n]);
            let mut h_trial = [T::ZERO; BLOCK];
            let mut noise_trial = [T::ZERO; BLOCK];
            self.evaluate(
                potential,
                cost,
                sign,
                given,
                work,
                &mut h_trial,
                &mut noise_trial,
            );
            let slot = number % MEMORY;
            for i in 0..n {
                self.steps[slot][i] = self.trial[i] - self.z[i];
                self.changes[slot][i] = self.r_trial[i] - self.r[i];
            }
            let along = dots(d, &self.steps[slot], &self.changes[slot]);
            let size = dots(d, &self.steps[slot], &self.steps[slot]);
            let bend = dots(d, &self.changes[slot], &self.changes[slot]);
            let after = dots(d, &self.r_trial, &self.r_trial);
            let mut taken = [false; BLOCK];
            for s in 0..BLOCK {
                // Where `h` is flat to its rounding, `R` still tells.
                let flat = h_trial[s] <= h[s] + T::of(8.0) * noise[s] && after[s] < squares[s];
                let near = outside[s] <= farthest[s];
                taken[s] =
                    (h_trial[s] <= h[s] + noise[s] || flat) && near && h_trial[s].is_finite();
                let tiny = 1e-3 * (size[s].f64() * bend[s].f64()).sqrt();
                // A change of `R` that may be rounding says nothing of the bend. (`distances` holds four times the square of the scale.)
                let rounding = 1e3 * T::EPSILON.f64();
                let told = bend[s].f64() > rounding * rounding * distances[s].f64();
                found[s].bends_down |= told && near && along[s].f64() < -tiny;
                // A correction is true of the function whether or not the step was taken.
                let usable = near && tiny > 0.0 && tiny.is_finite() && along[s].f64() > tiny;
                held_back[s] = !near;
                if usable {
                    self.inverse[slot][s] = T::ONE / along[s];
                    scale[s] = along[s] / bend[s];
                } else {
                    self.inverse[slot][s] = T::ZERO;
                }
                if taken[s] {
                    h[s] = h_trial[s];
                    noise[s] = noise_trial[s];
                    refused[s] = 0;
                } else {
                    // The first time the new correction alone may mend the step.
                    refused[s] = (refused[s] + 1).max(if usable { 1 } else { 2 });
                }
            }
            for k in 0..d {
                for s in 0..BLOCK {
                    let i = k * BLOCK + s;
                    if self.inverse[slot][s] == T::ZERO {
                        self.steps[slot][i] = T::ZERO;
                        self.changes[slot][i] = T::ZERO;
                    }
                    if taken[s] {
                        self.z[i] = self.trial[i];
                        self.r[i] = self.r_trial[i];
                    }
                }
            }
        }
        z[..n].copy_from_slice(&self.z);
        for s in 0..BLOCK {
            found[s].value = end.sign() * h[s].f64();
            found[s].start *= end.sign();
            found[s].stopped_at_radius = held_back[s] && !found[s].converged;
        }
        found
    }

    /// Brings the trial points back to the ball, if there is one.
    fn project(&mut self) {
        let Some((centre, radius)) = &self.ball else {
            return;
        };
        let mut squares = [T::ZERO; BLOCK];
        for (row, c) in self.trial.chunks_exact(BLOCK).zip(centre) {
            for s in 0..BLOCK {
                squares[s] += (row[s] - *c) * (row[s] - *c);
            }
        }
        let factor = squares.map(|q| {
            if q > *radius * *radius {
                T::of(radius.f64() / q.f64().sqrt())
            } else {
                T::ONE
            }
        });
        for (row, c) in self.trial.chunks_exact_mut(BLOCK).zip(centre) {
            for s in 0..BLOCK {
                if factor[s] != T::ONE {
                    row[s] = *c + factor[s] * (row[s] - *c);
                }
            }
        }
    }

    /// `|R|^2` of the lanes; of those on the surface of the ball that would leave it, of what is along the surface. These forget their corrections, which are those of other directions.
    fn free_squares(&mut self, d: usize, squares: &[T; BLOCK]) -> [T; BLOCK] {
        let mut free = *squares;
        let Some((centre, radius)) = &self.ball else {
            return free;
        };
        let (mut size, mut along) = ([T::ZERO; BLOCK], [T::ZERO; BLOCK]);
        for k in 0..d {
            for s in 0..BLOCK {
                let away = self.z[k * BLOCK + s] - centre[k];
                size[s] += away * away;
                along[s] += away * self.r[k * BLOCK + s];
            }
        }
        let near_surface = T::of((1.0 - 1e-6) * radius.f64() * radius.f64());
        for s in 0..BLOCK {
            if size[s] >= near_surface && along[s] < T::ZERO {
                let normal = along[s].f64().powi(2) / size[s].f64();
                free[s] = T::of((squares[s].f64() - normal).max(0.0));
                for inverse in &mut self.inverse {
                    inverse[s] = T::ZERO;
                }
            }
        }
        free
    }

    /// `direction = -H R`, `H` being the L-BFGS inverse of the corrections so far: the two loops, over all lanes. A correction that a lane lacks is zero there.
    fn find_direction(&mut self, d: usize, number: usize, scale: &[T; BLOCK]) {
        let first = number.saturating_sub(MEMORY);
        self.direction.copy_from_slice(&self.r);
        let mut alphas = [[T::ZERO; BLOCK]; MEMORY];
        for k in (first..number).rev() {
            let slot = k % MEMORY;
            let mut alpha = dots(d, &self.steps[slot], &self.direction);
            for s in 0..BLOCK {
                alpha[s] *= self.inverse[slot][s];
            }
            subtract(d, &alpha, &self.changes[slot], &mut self.direction);
            alphas[slot] = alpha;
        }
        for row in self.direction.chunks_exact_mut(BLOCK) {
            for s in 0..BLOCK {
                row[s] *= scale[s];
            }
        }
        for k in first..number {
            let slot = k % MEMORY;
            let mut beta = dots(d, &self.changes[slot], &self.direction);
            for s in 0..BLOCK {
                beta[s] = beta[s] * self.inverse[slot][s] - alphas[slot][s];
            }
            subtract(d, &beta, &self.steps[slot], &mut self.direction);
        }
        self.direction.iter_mut().for_each(|x| *x = -*x);
    }

    /// `h`, `R` and the rounding of `h` at the trial points.
    fn evaluate(
        &mut self,
        potential: &P,
        cost: Velocity<'_>,
        sign: T,
        given: &[T],
        work: &mut P::Workspace,
        h: &mut [T; BLOCK],
        noise: &mut [T; BLOCK],
    ) {
        let n = potential.dim() * BLOCK;
        self.evaluations += 1;
        potential.forward(&self.trial, &mut self.tape, work, &mut self.u);
        potential.reverse(&mut self.tape, work, &mut self.gradient);
        cost.velocity(&self.gradient, &mut self.v, &mut self.columns);
        for k in 0..n / BLOCK {
            for s in 0..BLOCK {
                let i = k * BLOCK + s;
                self.r_trial[i] = self.trial[i] - given[i] + sign * self.v[i];
                self.v[i] = sign * (given[i] - self.trial[i]);
            }
        }
        cost.cost(&self.v, &mut self.l, &mut self.columns);
        let eps = T::EPSILON + T::EPSILON;
        for s in 0..BLOCK {
            h[s] = sign * self.u[s] + self.l[s];
            noise[s] = eps * T::of(self.u[s].f64().abs() + self.l[s].f64().abs());
        }
    }
}

/// `sum_k a[k, s] b[k, s]` for each lane.
pub(crate) fn dots<T: Scalar>(d: usize, a: &[T], b: &[T]) -> [T; BLOCK] {
    let mut out = [T::ZERO; BLOCK];
    for (a, b) in a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK)).take(d) {
        for s in 0..BLOCK {
            out[s] += a[s] * b[s];
        }
    }
    out
}

/// `out[k, s] -= factor[s] a[k, s]`.
fn subtract<T: Scalar>(d: usize, factor: &[T; BLOCK], a: &[T], out: &mut [T]) {
    for (out, a) in out
        .chunks_exact_mut(BLOCK)
        .zip(a.chunks_exact(BLOCK))
        .take(d)
    {
        for s in 0..BLOCK {
            out[s] += -factor[s] * a[s];
        }
    }
}

//! A potential of the source with the cost it belongs to, in double precision.
//!
//! ```text
//! g: R^d -> R,     g^c(y) = min_x g(x) + l(y - x)
//! ```
//!
//! Computed in solver units `z = (x - shift) / s` (`x` in the coordinates of the cost), where `g = f(s) g_s` and `l(s v) = f(s) l_s(v)` (see [`Cost::rescaled`]); asked and answered in the user's.
//! A network fitted in single precision is taken with its parameters as they are: what is certified is a function known to fifteen digits, whatever arithmetic the
//! map was computed in.

use super::transform::Ball;
use crate::characteristic::conjugate::{Conjugate, End, Found, Search};
use crate::characteristic::flow::{Columns, Velocity};
use crate::cost::{Coordinates, Cost, Quadratic, is_quadratic};
use crate::error::{Error, Result};
use crate::exact::GaussianMap;
use crate::loss::objective::to_lanes;
use crate::map::check_points;
use crate::model::CharacteristicMap;
use crate::potential::{BLOCK, ClosedForm, Isa, Layer, Potential, Shape, WarmPotential};
use crate::samples::Scaling;
use charflow_kernels::activation::Activation;
use rayon::prelude::*;

/// A source potential `g = u(., 0)` in `f64`, its scaling, and the cost.
pub struct SourcePotential {
    potential: WarmPotential<f64>,
    scaling: Scaling,
    inner: Box<dyn Cost>,
    factor: f64,
    cost: String,
    coordinates: Option<Coordinates>,
}

impl std::fmt::Debug for SourcePotential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourcePotential")
            .field("dim", &self.dim())
            .field("cost", &self.cost)
            .field("scaling", &self.scaling)
            .finish_non_exhaustive()
    }
}

impl SourcePotential {
    /// From a potential in solver units, the scaling to them, and the cost in the user's units.
    ///
    /// # Errors
    /// [`Error::Problem`] if the dimensions differ or the scale is not positive.
    pub fn new(potential: WarmPotential<f64>, scaling: Scaling, cost: &dyn Cost) -> Result<Self> {
        let d = potential.dim();
        if scaling.dim() != d || !(scaling.scale > 0.0 && scaling.scale.is_finite()) {
            return Err(Error::problem(format!(
                "a potential of {d} dimensions with a scaling of {} and scale {}; expected the same dimension and a positive scale",
                scaling.dim(),
                scaling.scale
            )));
        }
        Ok(Self::with(potential, scaling, cost))
    }

    /// The potential `u(., 0)` of a fitted map.
    #[must_use]
    pub fn of_map(map: &CharacteristicMap) -> Self {
        let potential = map.potential_in_solver_units().cast();
        Self::with(potential, map.scaling().clone(), map.cost())
    }

    fn with(potential: WarmPotential<f64>, scaling: Scaling, cost: &dyn Cost) -> Self {
        SourcePotential {
            potential,
            inner: cost.rescaled(scaling.scale),
            factor: cost.cost_factor(scaling.scale),
            cost: cost.name(),
            coordinates: cost.coordinates().cloned(),
            scaling,
        }
    }

    /// The potential of a linear map between Gaussians, for the quadratic cost, in the map's own coordinates if it has some: exact for that map.
    #[must_use]
    pub fn of_gaussian(map: &GaussianMap) -> Self {
        let d = map.dim();
        // One idle unit: the network of zeros that a warm potential adds to the closed form.
        let layer = Layer {
            width: 1,
            previous: false,
            input: true,
            quadratic: false,
            residual: false,
            scale: 1.0,
            activation: Activation::Identity,
        };
        let shape = Shape {
            dim: d,
            layers: vec![layer],
        };
        SourcePotential {
            potential: WarmPotential::new(
                Isa::current(),
                shape,
                Some(ClosedForm::Gaussian(map.potential())),
            ),
            scaling: Scaling::identity(d),
            inner: Box::new(Quadratic),
            factor: 1.0,
            cost: Quadratic.name(),
            coordinates: map.coordinates().cloned(),
        }
    }

    /// Dimension `d` of the points.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.potential.dim()
    }

    /// The cost's name.
    #[must_use]
    pub fn cost_name(&self) -> &str {
        &self.cost
    }

    /// `g(x)` for each row of `x: [n, d]`, `[n]`, in the user's units.
    ///
    /// # Errors
    /// [`Error::Problem`] if `x` is no whole number of points or a value is not finite.
    pub fn values(&self, x: &[f64]) -> Result<Vec<f64>> {
        check_points(x, self.dim())?;
        let mut g = self.inner_values(&self.to_solver(x));
        g.iter_mut().for_each(|g| *g *= self.factor);
        Ok(g)
    }

    /// Factor from solver units to the user's for `g`, `l` and all that is made of them.
    pub(crate) fn factor(&self) -> f64 {
        self.factor
    }

    /// Length of a solver unit in the user's (in the coordinates of the cost).
    pub(crate) fn scale(&self) -> f64 {
        self.scaling.scale
    }

    /// Whether the cost is the quadratic one of the points as they are.
    pub(crate) fn is_plain_quadratic(&self) -> bool {
        self.is_quadratic() && self.coordinates.is_none()
    }

    pub(crate) fn is_quadratic(&self) -> bool {
        // In its coordinates the Mahalanobis cost is one of these too.
        is_quadratic(self.inner.as_ref())
    }

    /// `z = (x - shift) / s`, or `(B x - shift) / s` with the coordinates of the cost.
    pub(crate) fn to_solver(&self, x: &[f64]) -> Vec<f64> {
        let Scaling { shift, scale } = &self.scaling;
        Coordinates::entered(self.coordinates.as_ref(), x)
            .chunks_exact(shift.len())
            .flat_map(|x| x.iter().zip(shift).map(|(x, s)| (x - s) / scale))
            .collect()
    }

    /// `l_s(y - x)` of two points in solver units; `v: [d]` is scratch.
    pub(crate) fn inner_cost(&self, x: &[f64], y: &[f64], v: &mut [f64]) -> f64 {
        for ((v, x), y) in v.iter_mut().zip(x).zip(y) {
            *v = y - x;
        }
        self.inner.l(v)
    }

    /// `g_s` at rows of `z: [n, d]`.
    pub(crate) fn inner_values(&self, z: &[f64]) -> Vec<f64> {
        let d = self.dim();
        let mut out = vec![0.0; z.len() / d];
        out.par_chunks_mut(BLOCK)
            .zip(z.par_chunks(BLOCK * d))
            .for_each_init(
                || Block::new(&self.potential),
                |block, (out, z)| {
                    block.load(z, d);
                    let u = block.value(&self.potential);
                    out.copy_from_slice(&u[..out.len()]);
                },
            );
        out
    }

    /// `grad g_s` at 48 points `z: [d, 48]` in lanes, into `gradient: [d + 1, 48]`.
    pub(crate) fn gradient(&self, block: &mut Block, z: &[f64], gradient: &mut [f64]) {
        let n = self.dim() * BLOCK;
        block.x[..n].copy_from_slice(&z[..n]);
        block.value(&self.potential);
        self.potential
            .reverse(&mut block.tape, &mut block.work, gradient);
    }

    pub(crate) fn block(&self) -> Block {
        Block::new(&self.potential)
    }

    /// The images `x + V(grad g_s(x))` that the potential's own map gives the rows of `z: [n, d]`, in solver units.
    pub(crate) fn own_images(&self, z: &[f64]) -> Vec<f64> {
        let d = self.dim();
        let velocity = Velocity::new(self.inner.as_ref(), d);
        let mut out = z.to_vec();
        out.par_chunks_mut(BLOCK * d).for_each_init(
            || {
                let gradient = vec![0.0; (d + 1) * BLOCK];
                (
                    Block::new(&self.potential),
                    gradient,
                    vec![0.0; d * BLOCK],
                    Columns::new(d),
                )
            },
            |(block, gradient, v, columns), out| {
                block.load(out, d);
                block.value(&self.potential);
                self.potential
                    .reverse(&mut block.tape, &mut block.work, gradient);
                velocity.velocity(gradient, v, columns);
                for (s, x) in out.chunks_exact_mut(d).enumerate() {
                    for (k, x) in x.iter_mut().enumerate() {
                        *x += v[k * BLOCK + s];
                    }
                }
            },
        );
        out
    }

    /// Searches `min g_s(x) + l_s(y - x)` over `x` in the ball, from each row of `z: [k, d]` for the given point of the same row of `y: [k, d]`; the points found are left in `z`.
    pub(crate) fn search(
        &self,
        ball: &Ball,
        y: &[f64],
        z: &mut [f64],
        limits: Search,
    ) -> Vec<Found> {
        let d = self.dim();
        let velocity = Velocity::new(self.inner.as_ref(), d);
        let mut found = vec![Found::default(); z.len() / d];
        found
            .par_chunks_mut(BLOCK)
            .zip(z.par_chunks_mut(BLOCK * d))
            .zip(y.par_chunks(BLOCK * d))
            .for_each_init(
                || {
                    let mut search = Conjugate::new(&self.potential);
                    search.within(&ball.centre, ball.radius);
                    (
                        search,
                        self.potential.workspace(),
                        vec![0.0; d * BLOCK],
                        vec![0.0; d * BLOCK],
                    )
                },
                |(search, work, given, at), ((found, z), y)| {
                    let count = found.len();
                    to_lanes(y, d, given);
                    to_lanes(z, d, at);
                    for s in count..BLOCK {
                        // Idle lanes repeat the first point: nothing odd is computed in them.
                        for k in 0..d {
                            given[k * BLOCK + s] = given[k * BLOCK];
                            at[k * BLOCK + s] = at[k * BLOCK];
                        }
                    }
                    let all = search.search(
                        &self.potential,
                        velocity,
                        End::Source,
                        given,
                        at,
                        count,
                        limits,
                        work,
                    );
                    found.copy_from_slice(&all[..count]);
                    // No value is no least value, whatever the sign of a NaN.
                    for f in found.iter_mut().filter(|f| f.value.is_nan()) {
                        f.value = f64::INFINITY;
                        f.converged = false;
                    }
                    for (s, z) in z.chunks_exact_mut(d).enumerate() {
                        for k in 0..d {
                            z[k] = at[k * BLOCK + s];
                        }
                    }
                },
            );
        found
    }
}

/// Memory of one worker for 48 points at time 0.
pub(crate) struct Block {
    x: Vec<f64>,
    tape: <WarmPotential<f64> as Potential<f64>>::Tape,
    work: <WarmPotential<f64> as Potential<f64>>::Workspace,
}

impl Block {
    fn new(potential: &WarmPotential<f64>) -> Self {
        Block {
            x: vec![0.0; (potential.dim() + 1) * BLOCK],
            tape: potential.tape(),
            work: potential.workspace(),
        }
    }

    /// Takes at most 48 rows.
    fn load(&mut self, z: &[f64], d: usize) {
        to_lanes(z, d, &mut self.x);
        self.x[d * BLOCK..].fill(0.0);
    }

    fn value(&mut self, potential: &WarmPotential<f64>) -> [f64; BLOCK] {
        let mut u = [0.0; BLOCK];
        potential.forward(&self.x, &mut self.tape, &mut self.work, &mut u);
        u
    }
}

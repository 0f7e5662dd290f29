//! The potential of a solve that begins at a map in closed form: the best linear one, or a shift, plus a network.
//!
//! ```text
//! u(x, t) = u_0(x, t) + u_theta(x, t),        u_0 = u_G  or  u_S
//! u_G     = c' K_t c / 2 + D'(x - m0) - t |D|^2 / 2,     c = E (x - m_t),   m_t = m0 + t D,   K_t = diag( b / (1 + t b) )
//! ```
//!
//! with the eigenvectors `E` and eigenvalues `b > -1` of `A - I`, `A` being the matrix of the Gaussian map (see [`crate::exact::gaussian`]). `u_G` solves the
//! Hamilton-Jacobi equation of the quadratic cost exactly, so a network that is zero at the start gives the linear map and no residual; training learns
//! the rest. `u_G` has no parameters: seeds go to the network alone.
//!
//! `u_S = p'(x - c) - t H(p)` is that of a shift (see [`crate::exact::translation`]) and does the same for every cost.
//!
//! `grad u_G = E'(e + K_t c)` with `e = E D`, and `du_G/dt = -|e + K_t c|^2 / 2`: two products of `[d, d]` with a block.

use super::network::{Network, Tape, Workspace};
use super::{Potential, Scalar, Shape};
use crate::exact::{GaussianPotential, Translation};
use charflow_kernels::product::{Finish, Init, Packed};
use charflow_kernels::{Aligned, BLOCK, Isa};

/// A solution of the Hamilton-Jacobi equation that a network is added to.
#[derive(Clone, Debug, PartialEq)]
pub enum ClosedForm {
    /// The best linear map, under the quadratic cost.
    Gaussian(GaussianPotential),
    /// A shift, under any cost.
    Translation(Translation),
}

impl ClosedForm {
    /// The dimension `d`.
    #[must_use]
    pub fn dim(&self) -> usize {
        match self {
            ClosedForm::Gaussian(g) => g.dim(),
            ClosedForm::Translation(t) => t.dim(),
        }
    }
}

/// The Gaussian part, packed for the kernels.
struct Gaussian<T> {
    d: usize,
    /// `E`, and `E'`.
    to: Packed<T>,
    back: Packed<T>,
    /// `-E m0`.
    centre: Vec<T>,
    /// `e = E D`.
    shift: Vec<T>,
    /// `b`.
    bend: Vec<T>,
    /// `|D|^2 / 2`.
    half: T,
}

impl<T: Scalar> Gaussian<T> {
    fn new(isa: Isa, potential: &GaussianPotential) -> Self {
        let d = potential.dim();
        let rows = potential.eigenvectors();
        let project = |x: &[f64]| -> Vec<f64> {
            rows.chunks_exact(d)
                .map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum())
                .collect()
        };
        let narrow = |x: &[f64]| x.iter().map(|&x| T::of(x)).collect::<Vec<T>>();
        let matrix = narrow(rows);
        let mut to = Packed::new(isa, d, d);
        to.pack(&matrix, d, 1);
        let mut back = Packed::new(isa, d, d);
        back.pack(&matrix, 1, d);
        let centre: Vec<f64> = project(potential.source_mean())
            .iter()
            .map(|x| -x)
            .collect();
        Gaussian {
            d,
            to,
            back,
            centre: narrow(&centre),
            shift: narrow(&project(potential.shift())),
            bend: narrow(potential.eigenvalues()),
            half: T::of(0.5 * potential.shift().iter().map(|x| x * x).sum::<f64>()),
        }
    }

    /// Adds `u_G` to `u: [48]`, and leaves `e + K c` in `momentum: [d, 48]`.
    fn forward(&self, x: &[T], momentum: &mut [T], u: &mut [T]) {
        let n = self.d * BLOCK;
        let t = &x[n..n + BLOCK];
        let c = &mut momentum[..n];
        self.to
            .multiply(&x[..n], Init::Bias(&self.centre), Finish::Store(&mut *c));
        for s in 0..BLOCK {
            u[s] += -t[s] * self.half;
        }
        let half = T::of(0.5);
        for (k, row) in c.chunks_exact_mut(BLOCK).enumerate() {
            let (b, e) = (self.bend[k], self.shift[k]);
            for s in 0..BLOCK {
                // Around m0 first: the linear term D'(x - m0) is e'E(x - m0).
                let around = row[s];
                let c = around - t[s] * e;
                let kc = b / (T::ONE + t[s] * b) * c;
                u[s] += half * c * kc + e * around;
                row[s] = e + kc;
            }
        }
    }

    /// Adds `grad u_G` to `gradient: [d + 1, 48]`.
    fn reverse(&self, momentum: &[T], gradient: &mut [T]) {
        let n = self.d * BLOCK;
        self.back
            .multiply(&momentum[..n], Init::Add, Finish::Store(&mut gradient[..n]));
        let half = T::of(-0.5);
        for row in momentum[..n].chunks_exact(BLOCK) {
            for s in 0..BLOCK {
                gradient[n + s] += half * row[s] * row[s];
            }
        }
    }
}

/// A shift, in the potential's number type.
struct Shift<T> {
    momentum: Vec<T>,
    /// `-p'c`.
    constant: T,
    energy: T,
}

impl<T: Scalar> Shift<T> {
    fn new(map: &Translation) -> Self {
        let at_centre = map.momentum().iter().zip(map.centre());
        Shift {
            momentum: map.momentum().iter().map(|&x| T::of(x)).collect(),
            constant: T::of(-at_centre.map(|(p, c)| p * c).sum::<f64>()),
            energy: T::of(map.energy()),
        }
    }

    /// Adds `u_S` to `u: [48]`.
    fn forward(&self, x: &[T], u: &mut [T]) {
        let t = &x[self.momentum.len() * BLOCK..];
        for s in 0..BLOCK {
            u[s] += self.constant - t[s] * self.energy;
        }
        for (&p, row) in self.momentum.iter().zip(x.chunks_exact(BLOCK)) {
            for s in 0..BLOCK {
                u[s] += p * row[s];
            }
        }
    }

    /// Adds `grad u_S` to `gradient: [d + 1, 48]`.
    fn reverse(&self, gradient: &mut [T]) {
        let last = -self.energy;
        let each = self.momentum.iter().chain(std::iter::once(&last));
        for (&p, row) in each.zip(gradient.chunks_exact_mut(BLOCK)) {
            row.iter_mut().for_each(|g| *g += p);
        }
    }
}

enum Part<T> {
    Gaussian(Gaussian<T>),
    Shift(Shift<T>),
}

/// A network on top of a closed form, or a network alone.
pub struct WarmPotential<T> {
    isa: Isa,
    network: Network<T>,
    closed_form: Option<ClosedForm>,
    part: Option<Part<T>>,
}

/// What one block's evaluation leaves behind.
pub struct WarmTape<T> {
    network: Tape<T>,
    /// `e + K c`, `[d, 48]`, of a Gaussian part; else empty.
    momentum: Aligned<T>,
}

impl<T: Scalar> WarmPotential<T> {
    /// A network of the given shape with all parameters zero, on top of the closed form if there is one.
    ///
    /// # Panics
    /// If the dimensions differ, and as [`Network::new`].
    #[must_use]
    pub fn new(isa: Isa, shape: Shape, closed_form: Option<ClosedForm>) -> Self {
        assert!(closed_form.as_ref().is_none_or(|g| g.dim() == shape.dim));
        WarmPotential {
            isa,
            network: Network::new(isa, shape),
            part: closed_form.as_ref().map(|form| match form {
                ClosedForm::Gaussian(g) => Part::Gaussian(Gaussian::new(isa, g)),
                ClosedForm::Translation(t) => Part::Shift(Shift::new(t)),
            }),
            closed_form,
        }
    }

    /// What the network is added to.
    #[must_use]
    pub fn closed_form(&self) -> Option<&ClosedForm> {
        self.closed_form.as_ref()
    }

    /// The shape of the network.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        self.network.shape()
    }

    /// The parameters of the network, in the order of [`Shape::tensors`].
    #[must_use]
    pub fn theta(&self) -> &[T] {
        self.network.theta()
    }

    /// The same potential in another number type, parameters rounded.
    #[must_use]
    pub fn cast<U: Scalar>(&self) -> WarmPotential<U> {
        let mut other =
            WarmPotential::new(self.isa, self.shape().clone(), self.closed_form.clone());
        let theta: Vec<U> = self.theta().iter().map(|x| U::of(x.f64())).collect();
        other.set_parameters(&theta);
        other
    }
}

impl<T: Scalar> Potential<T> for WarmPotential<T> {
    type Tape = WarmTape<T>;
    type Workspace = Workspace<T>;

    fn dim(&self) -> usize {
        self.network.dim()
    }

    fn parameters(&self) -> usize {
        self.network.parameters()
    }

    fn accumulator_len(&self) -> usize {
        self.network.accumulator_len()
    }

    fn unpad(&self, accumulated: &[T], gradient: &mut [T]) {
        self.network.unpad(accumulated, gradient);
    }

    fn set_parameters(&mut self, theta: &[T]) {
        self.network.set_parameters(theta);
    }

    fn tape(&self) -> WarmTape<T> {
        let rows = match &self.part {
            Some(Part::Gaussian(g)) => g.d,
            _ => 0,
        };
        WarmTape {
            network: self.network.tape(),
            momentum: Aligned::zeros(rows * BLOCK),
        }
    }

    fn workspace(&self) -> Workspace<T> {
        self.network.workspace()
    }

    fn forward(&self, x: &[T], tape: &mut WarmTape<T>, work: &mut Workspace<T>, u: &mut [T]) {
        self.network.forward(x, &mut tape.network, work, u);
        match &self.part {
            Some(Part::Gaussian(g)) => g.forward(x, &mut tape.momentum, u),
            Some(Part::Shift(s)) => s.forward(x, u),
            None => {}
        }
    }

    fn reverse(&self, tape: &mut WarmTape<T>, work: &mut Workspace<T>, gradient: &mut [T]) {
        self.network.reverse(&mut tape.network, work, gradient);
        match &self.part {
            Some(Part::Gaussian(g)) => g.reverse(&tape.momentum, gradient),
            Some(Part::Shift(s)) => s.reverse(gradient),
            None => {}
        }
    }

    fn accumulate(
        &self,
        tape: &mut WarmTape<T>,
        work: &mut Workspace<T>,
        ubar: &[T],
        seed: Option<&[T]>,
        into: &mut [T],
    ) {
        self.network
            .accumulate(&mut tape.network, work, ubar, seed, into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::characteristic::conjugate::{Conjugate, End, Search};
    use crate::characteristic::flow::Velocity;
    use crate::cost::Quadratic;
    use crate::exact::GaussianMap;
    use crate::map::{BackwardMap, ForwardMap};
    use crate::potential::Family;
    use charflow_kernels::activation::Activation;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn gaussian(d: usize, seed: u64, stretch: f64) -> GaussianMap {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut covariance = |scale: f64| {
            let m: Vec<f64> = (0..d * d).map(|_| rng.random_range(-1.0..1.0)).collect();
            (0..d * d)
                .map(|i| {
                    let (r, c) = (i / d, i % d);
                    let dot: f64 = (0..d).map(|k| m[r * d + k] * m[c * d + k]).sum();
                    scale * dot + if r == c { 0.3 } else { 0.0 }
                })
                .collect::<Vec<f64>>()
        };
        let (s0, s1) = (covariance(1.0), covariance(stretch));
        let m0: Vec<f64> = (0..d).map(|i| 0.3 * i as f64 - 0.5).collect();
        let m1: Vec<f64> = (0..d).map(|i| 1.0 - 0.2 * i as f64).collect();
        GaussianMap::new(&m0, &s0, &m1, &s1).unwrap()
    }

    fn shape(d: usize) -> Shape {
        Shape {
            dim: d,
            layers: Family::Dense
                .layers(&[7, 5], Activation::Softplus { beta: 1.0 })
                .unwrap(),
        }
    }

    fn block<T: Scalar>(d: usize, t: f64, seed: u64) -> Vec<T> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut x: Vec<T> = (0..d * BLOCK)
            .map(|_| T::of(rng.random_range(-2.0..2.0)))
            .collect();
        x.extend([T::of(t); BLOCK]);
        x
    }

    /// With a network of zeros the potential, its gradient and its time derivative are the closed form's; with any network they are the sum.
    #[test]
    fn the_sum_is_its_two_parts() {
        fn check<T: Scalar>(tolerance: f64) {
            for d in [1, 3, 17] {
                let closed = gaussian(d, 3, 2.0).potential();
                let mut sum = WarmPotential::<T>::new(
                    Isa::current(),
                    shape(d),
                    Some(ClosedForm::Gaussian(closed.clone())),
                );
                let mut alone = Network::<T>::new(Isa::current(), shape(d));
                let theta: Vec<T> = (0..alone.parameters())
                    .map(|i| T::of(0.3 * (i as f64 * 0.9).sin()))
                    .collect();
                sum.set_parameters(&theta);
                alone.set_parameters(&theta);
                let x = block::<T>(d, 0.37, 5);
                let (mut a, mut b) = ([T::ZERO; BLOCK], [T::ZERO; BLOCK]);
                let mut p = vec![T::ZERO; (d + 1) * BLOCK];
                let mut q = p.clone();
                let (mut tape, mut work) = (sum.tape(), sum.workspace());
                sum.forward(&x, &mut tape, &mut work, &mut a);
                sum.reverse(&mut tape, &mut work, &mut p);
                let (mut tape, mut work) = (alone.tape(), alone.workspace());
                alone.forward(&x, &mut tape, &mut work, &mut b);
                alone.reverse(&mut tape, &mut work, &mut q);
                for s in 0..BLOCK {
                    let point: Vec<f64> = (0..d).map(|k| x[k * BLOCK + s].f64()).collect();
                    let t = x[d * BLOCK + s].f64();
                    let value = closed.value(&point, t);
                    let near = tolerance * (1.0 + value.abs());
                    assert!((a[s].f64() - b[s].f64() - value).abs() < near);
                    let mut gradient = vec![0.0; d];
                    closed.grad_x(&point, t, &mut gradient);
                    gradient.push(closed.u_t(&point, t));
                    for k in 0..=d {
                        let i = k * BLOCK + s;
                        let near = tolerance * (1.0 + gradient[k].abs() + q[i].f64().abs());
                        assert!((p[i].f64() - q[i].f64() - gradient[k]).abs() < near);
                    }
                }
            }
        }
        check::<f64>(1e-12);
        check::<f32>(2e-5);
    }

    /// Hopf-Lax in closed form: the transforms of a Gaussian potential are its values at the other end, attained where the maps say; from any start.
    #[test]
    fn transforms_of_a_gaussian_potential_are_its_other_end() {
        fn check<T: Scalar>(tolerance: f64, search_tolerance: f64) {
            for (d, stretch) in [(1, 2.0), (2, 0.3), (5, 4.0), (12, 1.0)] {
                let map = gaussian(d, 11, stretch);
                let closed = map.potential();
                let potential = WarmPotential::<T>::new(
                    Isa::current(),
                    shape(d),
                    Some(ClosedForm::Gaussian(closed.clone())),
                );
                let mut search = Conjugate::new(&potential);
                let mut work = potential.workspace();
                for (end, other) in [(End::Source, 1.0), (End::Target, 0.0)] {
                    let given = block::<T>(d, 0.0, 8);
                    let mut z = block::<T>(d, 0.0, 9);
                    z.truncate(d * BLOCK);
                    let found = search.search(
                        &potential,
                        Velocity::new(&Quadratic, d),
                        end,
                        &given,
                        &mut z,
                        BLOCK,
                        Search {
                            evaluations: 200,
                            tolerance: search_tolerance,
                            radius: f64::INFINITY,
                        },
                        &mut work,
                    );
                    for s in 0..BLOCK {
                        let point: Vec<f64> = (0..d).map(|k| given[k * BLOCK + s].f64()).collect();
                        let expected = closed.value(&point, other);
                        let place = match end {
                            End::Source => map.backward(&point),
                            End::Target => map.forward(&point),
                        }
                        .unwrap();
                        assert!(found[s].converged, "{d} {end:?} {:?}", found[s]);
                        assert!(!found[s].bends_down);
                        let near = tolerance * (1.0 + expected.abs());
                        assert!((found[s].value - expected).abs() < near, "{d} {end:?}");
                        // The transform is a bound that a start can only miss.
                        assert!(end.sign() * (found[s].start - found[s].value) >= -near);
                        for k in 0..d {
                            let away = (z[k * BLOCK + s].f64() - place[k]).abs();
                            assert!(away < 30.0 * tolerance * (1.0 + place[k].abs()), "{away}");
                        }
                    }
                }
                // A quadratic of d dimensions needs about d steps and a few, not hundreds.
                assert!(
                    search.evaluations() < 2 * (4 * d as u64 + 20),
                    "{}",
                    search.evaluations()
                );
            }
        }
        check::<f64>(1e-9, 1e-8);
        check::<f32>(3e-5, 1e-4);
    }

    /// Under a cost that grows more slowly than the potential falls nothing far out is a minimum: searches end within the radius, and say that they were stopped.
    #[test]
    fn searches_stay_within_their_radius() {
        let d = 2;
        let map = GaussianMap::new(
            &[0.0; 2],
            &[1.0, 0.0, 0.0, 1.0],
            &[0.0; 2],
            &[0.01, 0.0, 0.0, 0.01],
        )
        .unwrap();
        let closed = ClosedForm::Gaussian(map.potential());
        let potential = WarmPotential::<f64>::new(Isa::current(), shape(d), Some(closed));
        let cost = crate::cost::NormPower::new(1.5).unwrap();
        let (mut search, mut work) = (Conjugate::new(&potential), potential.workspace());
        let mut run = |radius: f64, given: f64, start: f64| {
            let mut z = vec![start; d * BLOCK];
            let found = search.search(
                &potential,
                Velocity::new(&cost, d),
                End::Source,
                &[given; 2 * BLOCK],
                &mut z,
                BLOCK,
                Search {
                    evaluations: 60,
                    tolerance: 1e-9,
                    radius,
                },
                &mut work,
            );
            (found[0], z[0].hypot(z[BLOCK]))
        };
        // Far from the top of the potential it falls faster than the cost grows.
        let (free, at) = run(f64::INFINITY, 6.0, 6.0);
        assert!(at > 100.0 && !free.converged, "{free:?} {at}");
        let (held, at) = run(12.0, 6.0, 6.0);
        assert!(
            at <= 12.0 && held.stopped_at_radius && held.value.is_finite(),
            "{held:?} {at}"
        );
        // A start outside is not sent home, but goes no further out.
        let (_, at) = run(12.0, 6.0, 15.0);
        assert!(at <= 15.0 * 2f64.sqrt() + 1e-9, "{at}");
        // Where there is a minimum inside, the radius is not met.
        let (near, at) = run(12.0, 0.1, 0.1);
        assert!(
            near.converged && !near.stopped_at_radius && at < 12.0,
            "{near:?} {at}"
        );
        assert_eq!(near, run(f64::INFINITY, 0.1, 0.1).0);
    }
}

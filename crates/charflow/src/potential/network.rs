//! One engine for all networks: value, gradient, and exact parameter gradients from seeds.
//!
//! Write `X = (x, t)` in R^(d+1). Layer `l`, with the terms it has:
//!
//! ```text
//! y_l = Q_l X        z_l = C_l a_{l-1} + W_l X + b_l + y_l^2        a_l = [a_{l-1}] + k_l act(z_l)        u = F . a_L + c
//! ```
//!
//! Reverse sweep, with `s_l = k_l act'(z_l)`, `g_l = du/da_l`, `D_l = du/dz_l`:
//!
//! ```text
//! g_L = F        D_l = s_l g_l        g_{l-1} = C_l' D_l + [g_l]        du/dX = sum_l W_l' D_l + Q_l' (2 y_l D_l)
//! ```
//!
//! Seeds `ubar` and `Xdot = (pbar, tbar)` ask for the parameter gradient of `ubar u + Xdot . du/dX`. The second term is the tangent of `u`
//! along `Xdot`:
//!
//! ```text
//! ydot_l = Q_l Xdot        zdot_l = C_l adot_{l-1} + W_l Xdot + 2 y_l ydot_l        adot_l = [adot_{l-1}] + s_l zdot_l
//! ```
//!
//! The adjoints of `adot_l`, `zdot_l` are `g_l`, `D_l`, already there. Those of the primal, with `c_l = k_l act''(z_l)`:
//!
//! ```text
//! G_L = ubar F        Z_l = s_l G_l + c_l zdot_l g_l        G_{l-1} = C_l' Z_l + [G_l]
//! dC_l = a_{l-1} Z_l' + adot_{l-1} D_l'        dW_l = X Z_l' + Xdot D_l'        db_l = Z_l
//! dQ_l = X (2 y_l Z_l + 2 ydot_l D_l)' + Xdot (2 y_l D_l)'        dF = ubar a_L + adot_L        dc = ubar
//! ```
//!
//! In units of one evaluation's multiply-adds: forward 1, reverse 1, tangent 1, adjoint 1, the two outer products 2. With `ubar` alone,
//! `Z_l = ubar D_l`, and one outer product is all.

use super::{Place, Places, Potential, Scalar, Shape};
use charflow_kernels::activation::evaluate;
use charflow_kernels::product::{Init, OuterTerm, Packed, outer_add, transpose};
use charflow_kernels::{BLOCK, Isa, lanes, padded};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// The weights of one matrix, packed for both directions.
struct Weights<T> {
    forward: Packed<T>,
    reverse: Packed<T>,
    place: Place,
    columns: usize,
}

impl<T: Scalar> Weights<T> {
    fn new(isa: Isa, place: Place, columns: usize) -> Self {
        Weights {
            forward: Packed::new(isa, columns, place.rows),
            reverse: Packed::new(isa, place.rows, columns),
            place,
            columns,
        }
    }

    fn pack(&mut self, theta: &[T]) {
        let matrix = &theta[self.place.offset..self.place.offset + self.place.rows * self.columns];
        self.forward.pack(matrix, 1, self.columns);
        self.reverse.pack(matrix, self.columns, 1);
    }
}

/// A network with its parameters. See the module.
pub struct Network<T> {
    isa: Isa,
    shape: Shape,
    places: Places,
    padded: Places,
    c: Vec<Option<Weights<T>>>,
    w: Vec<Option<Weights<T>>>,
    q: Vec<Option<Weights<T>>>,
    theta: Vec<T>,
    widest: usize,
}

struct LayerTape<T> {
    y: Vec<T>,
    a: Vec<T>,
    s: Vec<T>,
    c: Vec<T>,
    g: Vec<T>,
}

/// What the evaluation of one block leaves behind: for each layer `y, a, s, c, g`, each `[h_l, 48]`, and the points.
pub struct Tape<T> {
    x: Vec<T>,
    layers: Vec<LayerTape<T>>,
}

struct LayerWork<T> {
    ydot: Vec<T>,
    zdot: Vec<T>,
    adot: Vec<T>,
}

/// Memory of one worker.
pub struct Workspace<T> {
    z: Vec<T>,
    delta: Vec<T>,
    twice: Vec<T>,
    adjoint: Vec<T>,
    ahead: Vec<T>,
    behind: Vec<T>,
    delta_flipped: Vec<T>,
    adjoint_flipped: Vec<T>,
    layers: Vec<LayerWork<T>>,
    ones: Vec<T>,
}

impl<T: Scalar> Network<T> {
    /// A network of the given shape with all parameters zero.
    #[must_use]
    pub fn new(isa: Isa, shape: Shape) -> Self {
        let places = shape.places(|h| h);
        let make = |list: &[Option<Place>]| {
            list.iter()
                .zip(&shape.layers)
                .map(|(place, layer)| place.map(|p| Weights::new(isa, p, layer.width)))
                .collect()
        };
        Network {
            isa,
            c: make(&places.c),
            w: make(&places.w),
            q: make(&places.q),
            theta: vec![T::ZERO; places.total],
            padded: shape.places(padded),
            places,
            widest: shape.layers.iter().map(|l| l.width).max().unwrap_or(0),
            shape,
        }
    }

    /// The shape.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The parameters, in the order of [`Shape::tensors`].
    #[must_use]
    pub fn theta(&self) -> &[T] {
        &self.theta
    }

    /// The same network in another number type, parameters rounded.
    #[must_use]
    pub fn cast<U: Scalar>(&self) -> Network<U> {
        let mut other = Network::new(self.isa, self.shape.clone());
        let theta: Vec<U> = self.theta.iter().map(|x| U::of(x.f64())).collect();
        other.set_parameters(&theta);
        other
    }
}

/// Starting parameters, `[parameters]`, in `f64` so that every number type starts at the same point up to rounding.
///
/// Entries of `C` and `W` are normal with variance `1 / (inputs)`, of `Q` a tenth of that deviation (squares of the input grow fast), biases uniform in
/// `[-1, 1]` for plain layers (they spread the kinks of a softplus over the data, which are centred with unit variance) and zero after squares, the output
/// normal with variance `1 / h_L`; the constant is zero.
#[must_use]
pub fn initial_parameters(shape: &Shape, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::MAX);
    let places = shape.places(|h| h);
    let mut theta = vec![0.0; places.total];
    let mut normal = |n: usize, deviation: f64, out: &mut [f64]| {
        for x in &mut out[..n] {
            let z: f64 = StandardNormal.sample(&mut rng);
            *x = deviation * z;
        }
    };
    for (l, layer) in shape.layers.iter().enumerate() {
        for (place, factor) in [(places.c[l], 1.0), (places.w[l], 1.0), (places.q[l], 0.1)] {
            if let Some(p) = place {
                let deviation = factor / (p.rows as f64).sqrt();
                normal(p.rows * layer.width, deviation, &mut theta[p.offset..]);
            }
        }
    }
    let last = shape.layers.last().map_or(1, |l| l.width);
    normal(last, 1.0 / (last as f64).sqrt(), &mut theta[places.f..]);
    for (l, layer) in shape.layers.iter().enumerate() {
        if !layer.quadratic {
            for x in &mut theta[places.b[l]..places.b[l] + layer.width] {
                *x = rng.random_range(-1.0..1.0);
            }
        }
    }
    theta
}

impl<T: Scalar> Potential<T> for Network<T> {
    type Tape = Tape<T>;
    type Workspace = Workspace<T>;

    fn dim(&self) -> usize {
        self.shape.dim
    }

    fn parameters(&self) -> usize {
        self.places.total
    }

    fn accumulator_len(&self) -> usize {
        self.padded.total
    }

    fn unpad(&self, accumulated: &[T], gradient: &mut [T]) {
        let copy = |from: usize, to: usize, rows: usize, width: usize, gradient: &mut [T]| {
            for r in 0..rows {
                let at = from + r * padded(width);
                gradient[to + r * width..to + (r + 1) * width]
                    .copy_from_slice(&accumulated[at..at + width]);
            }
        };
        for (l, layer) in self.shape.layers.iter().enumerate() {
            for (wide, flat) in [
                (self.padded.c[l], self.places.c[l]),
                (self.padded.w[l], self.places.w[l]),
                (self.padded.q[l], self.places.q[l]),
            ] {
                if let (Some(wide), Some(flat)) = (wide, flat) {
                    copy(wide.offset, flat.offset, flat.rows, layer.width, gradient);
                }
            }
            copy(self.padded.b[l], self.places.b[l], 1, layer.width, gradient);
        }
        let last = self.shape.layers.last().map_or(0, |l| l.width);
        copy(self.padded.f, self.places.f, 1, last, gradient);
        gradient[self.places.constant] = accumulated[self.padded.constant];
    }

    fn set_parameters(&mut self, theta: &[T]) {
        self.theta.copy_from_slice(theta);
        for weights in self
            .c
            .iter_mut()
            .chain(&mut self.w)
            .chain(&mut self.q)
            .flatten()
        {
            weights.pack(&self.theta);
        }
    }

    fn tape(&self) -> Tape<T> {
        let block = |h: usize| vec![T::ZERO; h * BLOCK];
        Tape {
            x: block(self.shape.dim + 1),
            layers: self
                .shape
                .layers
                .iter()
                .map(|l| LayerTape {
                    y: block(if l.quadratic { l.width } else { 0 }),
                    a: block(l.width),
                    s: block(l.width),
                    c: block(l.width),
                    g: block(l.width),
                })
                .collect(),
        }
    }

    fn workspace(&self) -> Workspace<T> {
        let block = |h: usize| vec![T::ZERO; h * BLOCK];
        let h = self.widest;
        Workspace {
            z: block(h),
            delta: block(h),
            twice: block(h),
            adjoint: block(h),
            ahead: block(h),
            behind: block(h),
            delta_flipped: block(padded(h)),
            adjoint_flipped: block(padded(h)),
            layers: self
                .shape
                .layers
                .iter()
                .map(|l| LayerWork {
                    ydot: block(if l.quadratic { l.width } else { 0 }),
                    zdot: block(l.width),
                    adot: block(l.width),
                })
                .collect(),
            ones: vec![T::ONE; BLOCK],
        }
    }

    fn forward(&self, x: &[T], tape: &mut Tape<T>, work: &mut Workspace<T>, u: &mut [T]) {
        let isa = self.isa;
        tape.x.copy_from_slice(&x[..(self.shape.dim + 1) * BLOCK]);
        for (l, layer) in self.shape.layers.iter().enumerate() {
            let n = layer.width * BLOCK;
            let z = &mut work.z[..n];
            let (before, rest) = tape.layers.split_at_mut(l);
            let now = &mut rest[0];
            let bias = &self.theta[self.places.b[l]..self.places.b[l] + layer.width];
            let mut init = Init::Bias(bias);
            if let Some(c) = &self.c[l] {
                c.forward.multiply(&before[l - 1].a, init, z);
                init = Init::Add;
            }
            if let Some(w) = &self.w[l] {
                w.forward.multiply(&tape.x, init, z);
            }
            if let Some(q) = &self.q[l] {
                q.forward.multiply(&tape.x, Init::Zero, &mut now.y);
                lanes::square_add(isa, &now.y, z);
            }
            if layer.residual {
                now.a.copy_from_slice(&before[l - 1].a);
            } else {
                now.a.fill(T::ZERO);
            }
            evaluate(
                isa,
                layer.activation,
                T::of(layer.scale),
                z,
                &mut now.a,
                &mut now.s,
                &mut now.c,
            );
        }
        if let (Some(last), Some(layer)) = (tape.layers.last(), self.shape.layers.last()) {
            u[..BLOCK].fill(self.theta[self.places.constant]);
            let f = &self.theta[self.places.f..self.places.f + layer.width];
            lanes::weighted_sum(isa, f, &last.a, &mut u[..BLOCK]);
        }
    }

    fn reverse(&self, tape: &mut Tape<T>, work: &mut Workspace<T>, gradient: &mut [T]) {
        let isa = self.isa;
        let mut init = Init::Zero;
        for (l, layer) in self.shape.layers.iter().enumerate().rev() {
            let n = layer.width * BLOCK;
            let (before, rest) = tape.layers.split_at_mut(l);
            let now = &mut rest[0];
            if l + 1 == self.shape.layers.len() {
                let f = &self.theta[self.places.f..self.places.f + layer.width];
                lanes::outer_fill(isa, f, &work.ones, &mut now.g);
            }
            let delta = &mut work.delta[..n];
            lanes::mul(isa, &now.s, &now.g, delta);
            if let Some(w) = &self.w[l] {
                w.reverse.multiply(delta, init, gradient);
                init = Init::Add;
            }
            if let Some(q) = &self.q[l] {
                let twice = &mut work.twice[..n];
                lanes::cross(isa, &now.y, delta, twice);
                q.reverse.multiply(twice, init, gradient);
                init = Init::Add;
            }
            if let Some(c) = &self.c[l] {
                let g = &mut before[l - 1].g;
                c.reverse.multiply(delta, Init::Zero, g);
                if layer.residual {
                    lanes::add(isa, &now.g, g);
                }
            }
        }
    }

    fn accumulate(
        &self,
        tape: &mut Tape<T>,
        work: &mut Workspace<T>,
        ubar: &[T],
        seed: Option<&[T]>,
        into: &mut [T],
    ) {
        match seed {
            Some(seed) => self.accumulate_both(tape, work, ubar, seed, into),
            None => self.accumulate_value(tape, work, ubar, into),
        }
    }
}

impl<T: Scalar> Network<T> {
    /// `ubar` alone: `Z_l = ubar D_l`.
    fn accumulate_value(
        &self,
        tape: &Tape<T>,
        work: &mut Workspace<T>,
        ubar: &[T],
        into: &mut [T],
    ) {
        let isa = self.isa;
        for (l, layer) in self.shape.layers.iter().enumerate() {
            let n = layer.width * BLOCK;
            let wide = padded(layer.width);
            let now = &tape.layers[l];
            let (delta, adjoint) = (&mut work.delta[..n], &mut work.adjoint[..n]);
            lanes::mul(isa, &now.s, &now.g, delta);
            lanes::scale_samples(isa, delta, ubar, adjoint);
            transpose(isa, layer.width, adjoint, &mut work.adjoint_flipped);
            let z = &work.adjoint_flipped[..];
            if let Some(p) = self.padded.c[l] {
                let x = &tape.layers[l - 1].a;
                outer_add(
                    isa,
                    p.rows,
                    wide,
                    &[OuterTerm { x, z }],
                    &mut into[p.offset..p.offset + p.rows * wide],
                );
            }
            if let Some(p) = self.padded.w[l] {
                let x = &tape.x;
                outer_add(
                    isa,
                    p.rows,
                    wide,
                    &[OuterTerm { x, z }],
                    &mut into[p.offset..p.offset + p.rows * wide],
                );
            }
            let b = self.padded.b[l];
            lanes::row_sums_add(isa, adjoint, &work.ones, &mut into[b..b + layer.width]);
            if let Some(p) = self.padded.q[l] {
                let twice = &mut work.twice[..n];
                lanes::cross(isa, &now.y, adjoint, twice);
                transpose(isa, layer.width, twice, &mut work.delta_flipped);
                let (x, z) = (&tape.x, &work.delta_flipped[..]);
                outer_add(
                    isa,
                    p.rows,
                    wide,
                    &[OuterTerm { x, z }],
                    &mut into[p.offset..p.offset + p.rows * wide],
                );
            }
            // Columns beyond a layer's width must stay zero for the next, wider or narrower, layer.
            clear_padding(layer.width, &mut work.adjoint_flipped);
            clear_padding(layer.width, &mut work.delta_flipped);
        }
        self.accumulate_output(tape, work, ubar, None, into);
    }

    fn accumulate_output(
        &self,
        tape: &Tape<T>,
        work: &Workspace<T>,
        ubar: &[T],
        adot: Option<&[T]>,
        into: &mut [T],
    ) {
        let (Some(last), Some(layer)) = (tape.layers.last(), self.shape.layers.last()) else {
            return;
        };
        let f = self.padded.f;
        lanes::row_sums_add(self.isa, &last.a, ubar, &mut into[f..f + layer.width]);
        if let Some(adot) = adot {
            lanes::row_sums_add(self.isa, adot, &work.ones, &mut into[f..f + layer.width]);
        }
        let mut sum = T::ZERO;
        for &x in &ubar[..BLOCK] {
            sum += x;
        }
        into[self.padded.constant] += sum;
    }

    fn accumulate_both(
        &self,
        tape: &Tape<T>,
        work: &mut Workspace<T>,
        ubar: &[T],
        seed: &[T],
        into: &mut [T],
    ) {
        let isa = self.isa;
        let seed = &seed[..(self.shape.dim + 1) * BLOCK];
        // The tangent along the seed.
        for (l, layer) in self.shape.layers.iter().enumerate() {
            let now = &tape.layers[l];
            let (before, rest) = work.layers.split_at_mut(l);
            let LayerWork { ydot, zdot, adot } = &mut rest[0];
            let mut init = Init::Zero;
            if let Some(c) = &self.c[l] {
                c.forward.multiply(&before[l - 1].adot, init, zdot);
                init = Init::Add;
            }
            if let Some(w) = &self.w[l] {
                w.forward.multiply(seed, init, zdot);
            }
            if let Some(q) = &self.q[l] {
                q.forward.multiply(seed, Init::Zero, ydot);
                lanes::cross_add(isa, &now.y, ydot, zdot);
            }
            if layer.residual {
                lanes::mul_add(isa, &now.s, zdot, &before[l - 1].adot, adot);
            } else {
                lanes::mul(isa, &now.s, zdot, adot);
            }
        }
        // The adjoints of the primal, last layer first, and the outer products.
        for (l, layer) in self.shape.layers.iter().enumerate().rev() {
            let n = layer.width * BLOCK;
            let wide = padded(layer.width);
            let now = &tape.layers[l];
            let ahead = &mut work.ahead[..n];
            if l + 1 == self.shape.layers.len() {
                let f = &self.theta[self.places.f..self.places.f + layer.width];
                lanes::outer_fill(isa, f, ubar, ahead);
            }
            let (delta, adjoint) = (&mut work.delta[..n], &mut work.adjoint[..n]);
            let dots = &work.layers[l];
            lanes::mul(isa, &now.s, &now.g, delta);
            lanes::adjoint(isa, &now.s, ahead, &now.c, &dots.zdot, &now.g, adjoint);
            transpose(isa, layer.width, delta, &mut work.delta_flipped);
            transpose(isa, layer.width, adjoint, &mut work.adjoint_flipped);
            let terms = |x, xdot| {
                [
                    OuterTerm {
                        x,
                        z: &work.adjoint_flipped[..],
                    },
                    OuterTerm {
                        x: xdot,
                        z: &work.delta_flipped[..],
                    },
                ]
            };
            if let Some(p) = self.padded.c[l] {
                let terms = terms(&tape.layers[l - 1].a, &work.layers[l - 1].adot);
                outer_add(
                    isa,
                    p.rows,
                    wide,
                    &terms,
                    &mut into[p.offset..p.offset + p.rows * wide],
                );
            }
            if let Some(p) = self.padded.w[l] {
                outer_add(
                    isa,
                    p.rows,
                    wide,
                    &terms(&tape.x, seed),
                    &mut into[p.offset..p.offset + p.rows * wide],
                );
            }
            let b = self.padded.b[l];
            lanes::row_sums_add(isa, adjoint, &work.ones, &mut into[b..b + layer.width]);
            if let Some(p) = self.padded.q[l] {
                let twice = &mut work.twice[..n];
                lanes::cross_pair(isa, &now.y, adjoint, &dots.ydot, delta, twice);
                transpose(isa, layer.width, twice, &mut work.adjoint_flipped);
                lanes::cross(isa, &now.y, delta, twice);
                transpose(isa, layer.width, twice, &mut work.delta_flipped);
                let terms = [
                    OuterTerm {
                        x: &tape.x,
                        z: &work.adjoint_flipped[..],
                    },
                    OuterTerm {
                        x: seed,
                        z: &work.delta_flipped[..],
                    },
                ];
                outer_add(
                    isa,
                    p.rows,
                    wide,
                    &terms,
                    &mut into[p.offset..p.offset + p.rows * wide],
                );
            }
            clear_padding(layer.width, &mut work.adjoint_flipped);
            clear_padding(layer.width, &mut work.delta_flipped);
            if let Some(c) = &self.c[l] {
                let behind = &mut work.behind[..c.place.rows * BLOCK];
                c.reverse.multiply(adjoint, Init::Zero, behind);
                if layer.residual {
                    lanes::add(isa, &work.ahead[..n], behind);
                }
                std::mem::swap(&mut work.ahead, &mut work.behind);
            }
        }
        let last = self.shape.layers.len() - 1;
        self.accumulate_output(tape, work, ubar, Some(&work.layers[last].adot), into);
    }
}

/// Zeroes a transposed block whose width is not its padded width: a layer of another width reads other columns of it.
fn clear_padding<T: Scalar>(width: usize, flipped: &mut [T]) {
    if padded(width) != width {
        flipped.fill(T::ZERO);
    }
}

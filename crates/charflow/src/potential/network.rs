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
//! G_L = ubar F        Z_l = s_l G_l + c_l zdot_l g_l = s_l G_l + h_l zdot_l D_l        G_{l-1} = C_l' Z_l + [G_l]
//! dC_l = a_{l-1} Z_l' + adot_{l-1} D_l'        dW_l = X Z_l' + Xdot D_l'        db_l = Z_l
//! dQ_l = X (2 y_l Z_l + 2 ydot_l D_l)' + Xdot (2 y_l D_l)'        dF = ubar a_L + adot_L        dc = ubar
//! ```
//!
//! with the bend `h_l = c_l / s_l = act'' / act'`, a straight line in `s_l` for a softplus. So a tape holds `a, s, D`, and everything between two products is
//! the finish of the first one ([`Finish`]); `g` and `G` themselves are kept only below a residual layer. `F` is a product of depth 1.
//!
//! In units of one evaluation's multiply-adds: forward 1, reverse 1, tangent 1, adjoint 1, the two outer products 2. With `ubar` alone,
//! `Z_l = ubar D_l`, and one outer product is all.

use super::{Place, Places, Potential, Scalar, Shape};
use charflow_kernels::activation::{Bend, bend_line, evaluate};
use charflow_kernels::product::{Finish, Init, OuterTerm, Packed, outer_add, transpose};
use charflow_kernels::{Aligned, BLOCK, Isa, lanes, padded};
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
    /// The output weights as a matrix `[h_L, 1]`.
    f: Packed<T>,
    theta: Vec<T>,
    widest: usize,
}

struct LayerTape<T> {
    y: Aligned<T>,
    a: Aligned<T>,
    s: Aligned<T>,
    /// `h`, if it is no line in `s`.
    bend: Aligned<T>,
    /// `g`, if the layer is residual.
    g: Aligned<T>,
    delta: Aligned<T>,
}

/// What the evaluation of one block leaves behind: for each layer `y, a, s, h, g, D` as far as needed, each `[h_l, 48]`, and the points.
pub struct Tape<T> {
    x: Aligned<T>,
    layers: Vec<LayerTape<T>>,
}

struct LayerWork<T> {
    ydot: Aligned<T>,
    zdot: Aligned<T>,
    adot: Aligned<T>,
    /// `Z`.
    adjoint: Aligned<T>,
    /// `G`, if the layer is residual.
    ahead: Aligned<T>,
}

/// Memory of one worker.
pub struct Workspace<T> {
    z: Aligned<T>,
    twice: Aligned<T>,
    delta_flipped: Aligned<T>,
    adjoint_flipped: Aligned<T>,
    layers: Vec<LayerWork<T>>,
    ones: Aligned<T>,
}

impl<T: Scalar> Network<T> {
    /// A network of the given shape with all parameters zero.
    ///
    /// # Panics
    /// If a layer has squares of the input but not the input itself, or neither the input nor the layer before.
    #[must_use]
    pub fn new(isa: Isa, shape: Shape) -> Self {
        for layer in &shape.layers {
            assert!(layer.input || layer.previous && !layer.quadratic);
        }
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
            f: Packed::new(isa, shape.layers.last().map_or(0, |l| l.width), 1),
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
        self.f.pack(&self.theta[self.places.f..], 1, 1);
    }

    fn tape(&self) -> Tape<T> {
        let block = |h: usize| Aligned::zeros(h * BLOCK);
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
                    bend: block(if bend_line::<T>(l.activation, l.scale).is_none() {
                        l.width
                    } else {
                        0
                    }),
                    g: block(if l.residual { l.width } else { 0 }),
                    delta: block(l.width),
                })
                .collect(),
        }
    }

    fn workspace(&self) -> Workspace<T> {
        let block = |h: usize| Aligned::zeros(h * BLOCK);
        let h = self.widest;
        Workspace {
            z: block(h),
            twice: block(h),
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
                    adjoint: block(l.width),
                    ahead: block(if l.residual { l.width } else { 0 }),
                })
                .collect(),
            ones: {
                let mut ones = block(1);
                ones.fill(T::ONE);
                ones
            },
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
            if let Some(w) = &self.w[l] {
                w.forward.multiply(&tape.x, init, Finish::Store(z));
                init = Init::Add;
            }
            if let Some(q) = &self.q[l] {
                let sum = &mut now.y;
                q.forward
                    .multiply(&tape.x, Init::Zero, Finish::Square { sum, out: z });
            }
            if let Some(c) = &self.c[l] {
                c.forward.multiply(&before[l - 1].a, init, Finish::Store(z));
            }
            evaluate(
                isa,
                layer.activation,
                T::of(layer.scale),
                z,
                layer.residual.then(|| &before[l - 1].a[..]),
                &mut now.a,
                &mut now.s,
                wanted(&mut now.bend),
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
            let (before, rest) = tape.layers.split_at_mut(l);
            let now = &mut rest[0];
            if l + 1 == self.shape.layers.len() {
                let (s, sum, out) = (&now.s, wanted(&mut now.g), &mut now.delta);
                self.f
                    .multiply(&work.ones, Init::Zero, Finish::Scale { s, sum, out });
            }
            if let Some(w) = &self.w[l] {
                w.reverse
                    .multiply(&now.delta, init, Finish::Store(gradient));
                init = Init::Add;
            }
            if let Some(q) = &self.q[l] {
                let twice = &mut work.twice[..layer.width * BLOCK];
                lanes::cross(isa, &now.y, &now.delta, twice);
                q.reverse.multiply(twice, init, Finish::Store(gradient));
                init = Init::Add;
            }
            if let Some(c) = &self.c[l] {
                let below = &mut before[l - 1];
                let (s, sum, out) = (&below.s, wanted(&mut below.g), &mut below.delta);
                c.reverse.multiply(
                    &now.delta,
                    residual(layer.residual, &now.g),
                    Finish::Scale { s, sum, out },
                );
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
    /// `into += sum of the terms` at the place of a matrix, if the layer has it.
    fn outer(
        &self,
        place: Option<Place>,
        width: usize,
        terms: &[OuterTerm<'_, T>],
        into: &mut [T],
    ) {
        if let Some(p) = place {
            let wide = padded(width);
            let matrix = &mut into[p.offset..p.offset + p.rows * wide];
            outer_add(self.isa, p.rows, wide, terms, matrix);
        }
    }

    /// `db_l = Z_l`, summed over the samples: an outer product with a row of ones, `z` being `Z_l` transposed.
    fn outer_bias(&self, l: usize, ones: &[T], z: &[T], into: &mut [T]) {
        let (offset, rows) = (self.padded.b[l], 1);
        let terms = [OuterTerm { x: ones, z }];
        let width = self.shape.layers[l].width;
        self.outer(Some(Place { offset, rows }), width, &terms, into);
    }

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
            let now = &tape.layers[l];
            let adjoint = &mut work.layers[l].adjoint;
            lanes::scale_samples(isa, &now.delta, ubar, adjoint);
            transpose(isa, layer.width, adjoint, &mut work.adjoint_flipped);
            let z = &work.adjoint_flipped[..];
            if l > 0 {
                let x = &tape.layers[l - 1].a;
                self.outer(self.padded.c[l], layer.width, &[OuterTerm { x, z }], into);
            }
            let x = &tape.x;
            self.outer(self.padded.w[l], layer.width, &[OuterTerm { x, z }], into);
            self.outer_bias(l, &work.ones, z, into);
            if layer.quadratic {
                let twice = &mut work.twice[..layer.width * BLOCK];
                lanes::cross(isa, &now.y, adjoint, twice);
                transpose(isa, layer.width, twice, &mut work.delta_flipped);
                let (x, z) = (&tape.x, &work.delta_flipped[..]);
                self.outer(self.padded.q[l], layer.width, &[OuterTerm { x, z }], into);
            }
        }
        self.accumulate_output(tape, ubar, None, into);
    }

    fn accumulate_output(&self, tape: &Tape<T>, ubar: &[T], adot: Option<&[T]>, into: &mut [T]) {
        let (Some(last), Some(layer)) = (tape.layers.last(), self.shape.layers.last()) else {
            return;
        };
        let f = &mut into[self.padded.f..self.padded.f + layer.width];
        lanes::row_sums_add(self.isa, &last.a, ubar, adot, f);
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
        let last = self.shape.layers.len() - 1;
        let seed = &seed[..(self.shape.dim + 1) * BLOCK];
        // The tangent along the seed: the last product of a layer, `C` or else `W`, makes `adot` of the sum.
        for (l, layer) in self.shape.layers.iter().enumerate() {
            let now = &tape.layers[l];
            let (before, rest) = work.layers.split_at_mut(l);
            let LayerWork {
                ydot, zdot, adot, ..
            } = &mut rest[0];
            let mut init = Init::Zero;
            if let Some(q) = &self.q[l] {
                let (y, sum, out) = (&now.y, ydot, &mut *zdot);
                q.forward
                    .multiply(seed, Init::Zero, Finish::Cross { y, sum, out });
                init = Init::Add;
            }
            if let (Some(w), Some(_)) = (&self.w[l], &self.c[l]) {
                w.forward.multiply(seed, init, Finish::Store(zdot));
                init = Init::Add;
            }
            let s = &now.s;
            let (sum, out) = (Some(&mut zdot[..]), &mut adot[..]);
            if let Some(c) = &self.c[l] {
                let below = &before[l - 1].adot;
                let finish = if layer.residual {
                    let plus = below;
                    Finish::ScaleAdd { s, plus, sum, out }
                } else {
                    Finish::Scale { s, sum, out }
                };
                c.forward.multiply(below, init, finish);
            } else if let Some(w) = &self.w[l] {
                w.forward
                    .multiply(seed, init, Finish::Scale { s, sum, out });
            }
        }
        // The adjoints of the primal, last layer first, and the outer products.
        self.adjoint(tape, work, last, &self.f, ubar);
        for (l, layer) in self.shape.layers.iter().enumerate().rev() {
            let n = layer.width * BLOCK;
            let now = &tape.layers[l];
            let dots = &work.layers[l];
            let (delta, adjoint) = (&now.delta, &dots.adjoint);
            transpose(isa, layer.width, delta, &mut work.delta_flipped);
            transpose(isa, layer.width, adjoint, &mut work.adjoint_flipped);
            if l > 0 {
                let pair = [&tape.layers[l - 1].a[..], &work.layers[l - 1].adot];
                let terms = work.terms(pair);
                self.outer(self.padded.c[l], layer.width, &terms, into);
            }
            let terms = work.terms([&tape.x, seed]);
            self.outer(self.padded.w[l], layer.width, &terms, into);
            self.outer_bias(l, &work.ones, &work.adjoint_flipped, into);
            if layer.quadratic {
                let twice = &mut work.twice[..n];
                lanes::cross_pair(isa, &now.y, adjoint, &dots.ydot, delta, twice);
                transpose(isa, layer.width, twice, &mut work.adjoint_flipped);
                lanes::cross(isa, &now.y, delta, twice);
                transpose(isa, layer.width, twice, &mut work.delta_flipped);
                let terms = work.terms([&tape.x, seed]);
                self.outer(self.padded.q[l], layer.width, &terms, into);
            }
            if let Some(c) = &self.c[l] {
                self.adjoint(tape, work, l - 1, &c.reverse, &[]);
            }
        }
        self.accumulate_output(tape, ubar, Some(&work.layers[last].adot), into);
    }

    /// `G_l` as a product of `matrix`, and from it `Z_l`, in one go: of `F` with `ubar` for the last layer, else of `C_{l+1}'` with `Z_{l+1}`.
    fn adjoint(
        &self,
        tape: &Tape<T>,
        work: &mut Workspace<T>,
        l: usize,
        matrix: &Packed<T>,
        ubar: &[T],
    ) {
        let now = &tape.layers[l];
        let layer = &self.shape.layers[l];
        let (low, high) = work.layers.split_at_mut(l + 1);
        let LayerWork {
            zdot,
            adjoint,
            ahead,
            ..
        } = &mut low[l];
        let (from, init) = match high.first() {
            Some(above) => (
                &above.adjoint[..],
                residual(self.shape.layers[l + 1].residual, &above.ahead),
            ),
            None => (ubar, Init::Zero),
        };
        let bend = bend_line(layer.activation, layer.scale);
        matrix.multiply(
            from,
            init,
            Finish::Adjoint {
                s: &now.s,
                bend: bend.map_or(Bend::Given(&now.bend), Bend::Line),
                zdot,
                delta: &now.delta,
                sum: wanted(ahead),
                out: adjoint,
            },
        );
    }
}

impl<T> Workspace<T> {
    /// `x Z' + xdot D'`, with what the flipped blocks hold.
    fn terms<'a>(&'a self, [x, xdot]: [&'a [T]; 2]) -> [OuterTerm<'a, T>; 2] {
        let (adjoint, delta) = (&self.adjoint_flipped[..], &self.delta_flipped[..]);
        [OuterTerm { x, z: adjoint }, OuterTerm { x: xdot, z: delta }]
    }
}

/// A place that is kept only if it was given memory.
fn wanted<T>(place: &mut [T]) -> Option<&mut [T]> {
    (!place.is_empty()).then_some(place)
}

/// A sum that starts from the layer above, if that layer is residual.
fn residual<T>(residual: bool, above: &[T]) -> Init<'_, T> {
    if residual {
        Init::Block(above)
    } else {
        Init::Zero
    }
}

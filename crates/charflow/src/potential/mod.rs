//! The potential `u_theta(x, t)`: networks whose value, gradients and parameter gradients are exact.
//!
//! ```text
//! u: R^d x [0, 1] -> R,      p = grad_x u(x, t) in R^d
//! ```
//!
//! Every loss depends on the parameters `theta` through `u`, `p` and `u_t` at sample points. The solver hands the potential, for each
//! point, the *seeds* `ubar = dL/du`, `pbar = dL/dp`, `tbar = dL/du_t`; the parameter gradient is then that of `ubar u + pbar . p + tbar u_t`, which
//! needs no second-order automatic differentiation (see [`network`]).
//!
//! [`Potential`] is the seam to the numbers: nothing above it knows how or where they are computed. Points come in blocks of
//! [`BLOCK`] = 48, feature-major: `[d + 1, 48]`, the last row being time.

pub mod network;
pub mod warm;

use crate::error::{Error, Result};
use charflow_kernels::activation::{Activate, Activation};
pub use charflow_kernels::{BLOCK, Isa};
pub use network::{Network, Tape, Workspace};
pub use warm::{ClosedForm, WarmPotential};

/// A number type the potential can be computed in: `f32` for speed, `f64` for proof.
pub trait Scalar: Activate {}
impl<T: Activate> Scalar for T {}

/// A differentiable potential, evaluated in blocks.
///
/// The order of calls for one block is `forward`, then `reverse` if a gradient is wanted, then `accumulate` if the parameters' is.
/// The tape carries what the later calls need from the earlier ones; a workspace holds nothing between calls.
pub trait Potential<T: Scalar>: Sync {
    /// What one block's evaluation leaves behind.
    type Tape: Send;
    /// Memory of one worker.
    type Workspace: Send;

    /// Dimension `d` of the points.
    fn dim(&self) -> usize;
    /// Number of parameters.
    fn parameters(&self) -> usize;
    /// Length of the buffer that [`Potential::accumulate`] adds to (it may be padded).
    fn accumulator_len(&self) -> usize;
    /// The plain gradient `[parameters]` from an accumulated buffer.
    fn unpad(&self, accumulated: &[T], gradient: &mut [T]);
    /// Takes new parameters, `[parameters]`.
    fn set_parameters(&mut self, theta: &[T]);
    /// A tape for one block.
    fn tape(&self) -> Self::Tape;
    /// A workspace for one worker.
    fn workspace(&self) -> Self::Workspace;
    /// Evaluates `u: [48]` at the points `x: [d + 1, 48]`.
    fn forward(&self, x: &[T], tape: &mut Self::Tape, work: &mut Self::Workspace, u: &mut [T]);
    /// The gradient `[d + 1, 48]` of `u` in `(x, t)`: `p` above, `u_t` in the last row.
    fn reverse(&self, tape: &mut Self::Tape, work: &mut Self::Workspace, gradient: &mut [T]);
    /// Adds the parameter gradient of `sum_s ubar_s u_s + seed_s . grad u_s` to `into`.
    ///
    /// `ubar: [48]`; `seed: [d + 1, 48]` holds `pbar` and, in the last row, `tbar`; without it the gradient of `ubar u` alone.
    fn accumulate(
        &self,
        tape: &mut Self::Tape,
        work: &mut Self::Workspace,
        ubar: &[T],
        seed: Option<&[T]>,
        into: &mut [T],
    );
}

/// A layer of a potential: `a_l = [a_{l-1} +] scale act(C a_{l-1} + W (x, t) + b + (Q (x, t))^2)`, terms as switched on.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Units, `h_l`.
    pub width: usize,
    /// Whether the layer before feeds this one by a matrix `C`.
    pub previous: bool,
    /// Whether the input feeds this layer by a matrix `W`.
    pub input: bool,
    /// Whether the squares of linear forms of the input feed this layer, by a matrix `Q`.
    pub quadratic: bool,
    /// Whether the layer's output is added to the layer before.
    pub residual: bool,
    /// Factor on the activation.
    pub scale: f64,
    /// Activation.
    pub activation: Activation,
}

/// The families of networks of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Plain layers.
    Mlp,
    /// A linear lift, then layers added to what came before with factor `1 / number of layers`.
    ResNet,
    /// The shape of DenseICNN without its convexity (paper, B.2): every layer sees the input, linearly and by squares.
    Dense,
}

impl Family {
    /// The name in settings and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Family::Mlp => "mlp",
            Family::ResNet => "resnet",
            Family::Dense => "dense",
        }
    }

    /// The family of a name.
    ///
    /// # Errors
    /// [`Error::Config`] for the field `network.kind`, with the list.
    pub fn parse(name: &str) -> Result<Family> {
        match name {
            "mlp" => Ok(Family::Mlp),
            "resnet" => Ok(Family::ResNet),
            "dense" => Ok(Family::Dense),
            other => Err(Error::config(
                "network.kind",
                format!(
                    "there is no network \"{other}\"; the networks are `mlp`, `resnet`, `dense`"
                ),
            )),
        }
    }

    /// The layers of this family with the given widths.
    ///
    /// A ResNet's widths must be equal.
    ///
    /// # Errors
    /// [`Error::Config`] for the field `network.hidden`.
    pub fn layers(self, hidden: &[usize], activation: Activation) -> Result<Vec<Layer>> {
        let bad = |message: &str| Err(Error::config("network.hidden", message));
        if hidden.is_empty() {
            return bad("expected at least one layer, for instance [64, 64]; found none");
        }
        if hidden.iter().any(|&h| h == 0 || h > 16384) {
            return bad("expected widths from 1 to 16384");
        }
        if self == Family::ResNet && hidden.iter().any(|&h| h != hidden[0]) {
            return bad(
                "the layers of a `resnet` are added to each other, so their widths must be equal",
            );
        }
        let plain = |width| Layer {
            width,
            previous: true,
            input: false,
            quadratic: false,
            residual: false,
            scale: 1.0,
            activation,
        };
        let mut layers: Vec<Layer> = match self {
            Family::Mlp => hidden.iter().map(|&width| plain(width)).collect(),
            Family::ResNet => {
                let scale = 1.0 / hidden.len() as f64;
                let mut layers = vec![Layer {
                    activation: Activation::Identity,
                    ..plain(hidden[0])
                }];
                layers.extend(hidden.iter().map(|&width| Layer {
                    residual: true,
                    scale,
                    ..plain(width)
                }));
                layers
            }
            Family::Dense => hidden
                .iter()
                .enumerate()
                .map(|(i, &width)| Layer {
                    input: true,
                    quadratic: true,
                    // The first layer is a quadratic form as it stands: no activation after it.
                    activation: if i == 0 {
                        Activation::Identity
                    } else {
                        activation
                    },
                    ..plain(width)
                })
                .collect(),
        };
        layers[0].previous = false;
        layers[0].input = true;
        Ok(layers)
    }
}

/// The shape of a network: dimension and layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Dimension `d` of the points.
    pub dim: usize,
    /// Layers in order.
    pub layers: Vec<Layer>,
}

/// Where the parameters of one layer stand in the flat vector: offset of the matrix, its rows (inputs); the columns are the layer's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub offset: usize,
    pub rows: usize,
}

/// The parameters of a network as one flat vector.
///
/// For each layer in order, as far as it has them: `C [h_{l-1}, h_l]`, `W [d + 1, h_l]`, `Q [d + 1, h_l]`, `b [h_l]`; then the output weights
/// `F [h_L]` and the constant `c [1]`. All matrices row-major, inputs first.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub c: Vec<Option<Place>>,
    pub w: Vec<Option<Place>>,
    pub q: Vec<Option<Place>>,
    pub b: Vec<usize>,
    pub f: usize,
    pub constant: usize,
    pub total: usize,
}

impl Shape {
    /// Offsets with matrix rows `row(h_l)` numbers apart.
    pub(crate) fn places(&self, row: impl Fn(usize) -> usize) -> Places {
        let inputs = self.dim + 1;
        let mut at = 0;
        let mut places = Places {
            c: vec![],
            w: vec![],
            q: vec![],
            b: vec![],
            f: 0,
            constant: 0,
            total: 0,
        };
        let mut before = 0;
        for layer in &self.layers {
            let width = row(layer.width);
            let mut take = |wanted: bool, rows: usize| {
                wanted.then(|| {
                    let offset = at;
                    at += rows * width;
                    Place { offset, rows }
                })
            };
            places.c.push(take(layer.previous, before));
            places.w.push(take(layer.input, inputs));
            places.q.push(take(layer.quadratic, inputs));
            places.b.push(at);
            at += width;
            before = layer.width;
        }
        places.f = at;
        at += row(before);
        places.constant = at;
        at += row(1);
        places.total = at;
        places
    }

    /// The number of parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.places(|h| h).total
    }

    /// Names, offsets and shapes of the parameter tensors, in order: what a model file stores.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, usize, Vec<usize>)> {
        let places = self.places(|h| h);
        let mut list = Vec::new();
        for (l, layer) in self.layers.iter().enumerate() {
            for (name, place) in [("C", places.c[l]), ("W", places.w[l]), ("Q", places.q[l])] {
                if let Some(place) = place {
                    list.push((
                        format!("layer{}.{name}", l + 1),
                        place.offset,
                        vec![place.rows, layer.width],
                    ));
                }
            }
            list.push((format!("layer{}.b", l + 1), places.b[l], vec![layer.width]));
        }
        let last = self.layers.last().map_or(0, |l| l.width);
        list.push(("output.F".into(), places.f, vec![last]));
        list.push(("output.c".into(), places.constant, vec![1]));
        list
    }

    /// Multiply-adds of one evaluation of `u` at one point: the unit in which costs are counted.
    ///
    /// The gradient in `(x, t)` costs one more, the parameter gradient of `u` one more, that of `u` and `p` four more.
    #[must_use]
    pub fn multiply_adds(&self) -> usize {
        let places = self.places(|h| h);
        let mut sum = 0;
        for (l, layer) in self.layers.iter().enumerate() {
            for place in [places.c[l], places.w[l], places.q[l]]
                .into_iter()
                .flatten()
            {
                sum += place.rows * layer.width;
            }
        }
        sum + self.layers.last().map_or(0, |l| l.width)
    }
}

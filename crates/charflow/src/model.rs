//! The map a solve gives: one network, both directions and every time in between \[7, 8, 10\], and its file.
//!
//! ```text
//! T(x) = x + V(grad u(x, 0))        S(y) = y - V(grad u(y, 1))        x_t = x + t V(grad u(x, 0))
//! ```
//!
//! `model.safetensors` carries everything: the parameters by name, the scaling, the box of either side's points, and one JSON text in the
//! metadata with shape, cost, columns, classes and version. Any safetensors reader opens it.

use crate::characteristic::flow::{Columns, Velocity};
use crate::cost::{self, Coordinates, Cost};
use crate::error::{Error, Result};
use crate::exact::{GaussianMap, Translation};
use crate::loss::objective::to_lanes;
use crate::map::{BackwardMap, ForwardMap, check_points};
use crate::potential::{BLOCK, ClosedForm, Isa, Potential, Shape, WarmPotential};
use crate::samples::{Samples, Scaling};
use crate::solver::Config;
use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The version of the file format this crate writes.
pub const FORMAT_VERSION: u32 = 3;

/// The key of the JSON text in the file's metadata.
const METADATA_KEY: &str = "charflow";

/// What a model file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Always `model`.
    pub kind: String,
    /// Version of the format.
    pub format: u32,
    /// Version of charflow that wrote it.
    pub charflow: String,
    /// Dimension of the points.
    pub dim: usize,
    /// Names of the fitted columns, if the samples had any.
    pub columns: Option<Vec<String>>,
    /// Names of the classes, empty without labels.
    pub classes: Vec<String>,
    /// Settings of the solve, network and cost among them.
    pub config: Config,
    /// Step whose weights these are.
    pub step: u64,
}

/// The smallest box, sides along the axes, that holds a cloud; in the user's units.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// The least value of each coordinate, `[d]`.
    pub low: Vec<f64>,
    /// The largest, `[d]`.
    pub high: Vec<f64>,
}

/// How many widths of the box a point may lie outside before its image is called extrapolation.
const FAR: f64 = 10.0;

/// A side of the box counts as at least this share of the longest one, so that a constant column does not make every point a far one.
const THIN: f64 = 0.01;

impl Bounds {
    /// The box of all points, whatever their weights.
    #[must_use]
    pub fn of(samples: &Samples) -> Self {
        let d = samples.dim();
        let (mut low, mut high) = (vec![f32::INFINITY; d], vec![f32::NEG_INFINITY; d]);
        for row in samples.values().chunks_exact(d) {
            for j in 0..d {
                low[j] = low[j].min(row[j]);
                high[j] = high[j].max(row[j]);
            }
        }
        let user = |z: Vec<f32>| {
            z.iter()
                .zip(samples.origin())
                .map(|(&z, o)| o + samples.unit() * f64::from(z))
                .collect()
        };
        Bounds {
            low: user(low),
            high: user(high),
        }
    }

    /// How many of the points `x: [n, d]` lie more than ten widths of the box outside it, in some coordinate.
    ///
    /// A side shorter than a hundredth of the longest counts as that long. A box that is one point is far from nothing.
    #[must_use]
    pub fn far(&self, x: &[f64]) -> usize {
        let widths: Vec<f64> = self
            .low
            .iter()
            .zip(&self.high)
            .map(|(l, h)| h - l)
            .collect();
        let longest = widths.iter().copied().fold(0.0, f64::max);
        if longest == 0.0 {
            return 0;
        }
        let reach: Vec<f64> = widths.iter().map(|w| FAR * w.max(THIN * longest)).collect();
        let far = |row: &&[f64]| {
            (0..row.len())
                .any(|j| row[j] < self.low[j] - reach[j] || row[j] > self.high[j] + reach[j])
        };
        x.par_chunks_exact(self.low.len())
            .with_min_len(1024)
            .filter(far)
            .count()
    }
}

/// Forward and backward map of one potential.
pub struct CharacteristicMap {
    potential: WarmPotential<f32>,
    cost: Arc<dyn Cost>,
    inner_cost: Box<dyn Cost>,
    scaling: Scaling,
    linear: Option<GaussianMap>,
    bounds: Option<[Bounds; 2]>,
    info: ModelInfo,
}

impl std::fmt::Debug for CharacteristicMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CharacteristicMap")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// Points a worker takes at a time.
const CHUNK: usize = 32 * BLOCK;

impl CharacteristicMap {
    /// A map from its parts: parameters `theta` of the network that `info.config` describes, in solver units, the cost it names, and the linear map of the
    /// samples' moments, in the user's units and the coordinates of the cost: the baseline, and with a `warm_start` what the network is added to (`gaussian`), or the shift
    /// between its means (`translation`).
    ///
    /// # Errors
    /// [`Error::Config`] if the settings make no network or cost, or ask for a warm start without a linear map, [`Error::Problem`] if the parameters do not
    /// fit the network.
    pub fn new(
        info: ModelInfo,
        scaling: Scaling,
        theta: &[f32],
        linear: Option<GaussianMap>,
    ) -> Result<Self> {
        let cost = cost::parse(&info.config.cost)?;
        Self::with_cost(info, scaling, theta, linear, cost)
    }

    /// As [`CharacteristicMap::new`] with a cost that [`cost::parse`] does not know: a user's own.
    ///
    /// # Errors
    /// As for [`CharacteristicMap::new`], and [`Error::Config`] if the cost's name is not the one in `info.config.cost`.
    pub fn with_cost(
        info: ModelInfo,
        scaling: Scaling,
        theta: &[f32],
        linear: Option<GaussianMap>,
        cost: impl Into<Arc<dyn Cost>>,
    ) -> Result<Self> {
        let cost = cost.into();
        if cost.name() != info.config.cost {
            return Err(Error::config(
                "cost",
                format!(
                    "the model was fitted with {}, not with {}",
                    info.config.cost,
                    cost.name()
                ),
            ));
        }
        if let Some(d) = cost.dim().filter(|d| *d != info.dim) {
            return Err(Error::config(
                "cost",
                format!("the cost is for {d} dimensions, the model has {}", info.dim),
            ));
        }
        let shape = Shape {
            dim: info.dim,
            layers: info.config.layers()?,
        };
        if shape.parameters() != theta.len()
            || scaling.dim() != info.dim
            || linear.as_ref().is_some_and(|l| l.dim() != info.dim)
        {
            return Err(Error::Problem(format!(
                "{} parameters for a network that has {}, of dimension {}",
                theta.len(),
                shape.parameters(),
                info.dim
            )));
        }
        let inner_cost = cost.rescaled(scaling.scale);
        let linear = linear.map(|l| l.in_coordinates(cost.coordinates()));
        let warm = match (info.config.warm_start.as_str(), &linear) {
            ("gaussian", Some(linear)) => Some(ClosedForm::Gaussian(
                linear.in_solver_units(&scaling).potential(),
            )),
            ("translation", Some(linear)) => {
                let linear = linear.in_solver_units(&scaling);
                Some(ClosedForm::Translation(Translation::between(
                    linear.source_mean(),
                    linear.target_mean(),
                    inner_cost.as_ref(),
                )))
            }
            ("gaussian" | "translation", None) => {
                return Err(Error::config(
                    "warm_start",
                    "the network is added to a linear map, which is missing",
                ));
            }
            ("none", _) => None,
            (other, _) => {
                return Err(Error::config(
                    "warm_start",
                    format!(
                        "there is no start \"{other}\"; was the file written by a newer version?"
                    ),
                ));
            }
        };
        let mut potential = WarmPotential::new(Isa::current(), shape, warm);
        potential.set_parameters(theta);
        Ok(CharacteristicMap {
            potential,
            inner_cost,
            cost,
            scaling,
            linear,
            bounds: None,
            info,
        })
    }

    /// The closed-form Gaussian map of the moments of the samples the model was fitted to: the best linear map.
    #[must_use]
    pub fn linear(&self) -> Option<&GaussianMap> {
        self.linear.as_ref()
    }

    /// The same map with the boxes of the source and the target it was fitted to, which are then stored beside it.
    #[must_use]
    pub fn with_bounds(mut self, source: Bounds, target: Bounds) -> Self {
        self.bounds = Some([source, target]);
        self
    }

    /// The boxes of the source and of the target that the model was fitted to, if the file has them.
    #[must_use]
    pub fn bounds(&self) -> Option<&[Bounds; 2]> {
        self.bounds.as_ref()
    }

    /// The first value of `x: [n, d]` that is beyond single precision in the model's units: row and column, from 0.
    #[must_use]
    pub fn out_of_reach(&self, x: &[f64]) -> Option<(usize, usize)> {
        let d = self.dim();
        let Scaling { shift, scale } = &self.scaling;
        let inside = Coordinates::entered(self.cost.coordinates(), x);
        let at = inside
            .chunks_exact(d)
            .flatten()
            .zip(shift.iter().cycle())
            .position(|(x, s)| !(((x - s) / scale) as f32).is_finite())?;
        let row = at / d;
        // In other coordinates all columns take part; the one that is farthest out is the likeliest reason.
        let column = match self.cost.coordinates() {
            None => at % d,
            Some(_) => self.farthest_column(&x[row * d..(row + 1) * d]),
        };
        Some((row, column))
    }

    /// The column, from 0, in which a point `x: [d]` lies farthest from the middle of the data, in the user's units.
    #[must_use]
    pub fn farthest_column(&self, x: &[f64]) -> usize {
        let mut middle = self.scaling.shift.clone();
        if let Some(coordinates) = self.cost.coordinates() {
            coordinates.leave(&mut middle);
        }
        let out = |j: usize| (x[j] - middle[j]).abs();
        (0..x.len())
            .max_by(|&i, &j| out(i).total_cmp(&out(j)))
            .unwrap_or(0)
    }

    /// Dimension `d` of the points.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.info.dim
    }

    /// What the model file says.
    #[must_use]
    pub fn about(&self) -> &ModelInfo {
        &self.info
    }

    /// Names of the fitted columns, if the samples had any.
    #[must_use]
    pub fn columns(&self) -> Option<&[String]> {
        self.info.columns.as_deref()
    }

    /// The transport cost, in the user's units.
    #[must_use]
    pub fn cost(&self) -> &dyn Cost {
        self.cost.as_ref()
    }

    /// The scaling between the network's units and the user's, these in the coordinates of the cost.
    #[must_use]
    pub fn scaling(&self) -> &Scaling {
        &self.scaling
    }

    /// The potential, in solver units.
    #[must_use]
    pub fn potential_in_solver_units(&self) -> &WarmPotential<f32> {
        &self.potential
    }

    /// The points at time `t` of the characteristics that start at `x: [n, d]` at time 0: `x + t V(grad u(x, 0))`.
    ///
    /// # Errors
    /// [`Error::Problem`] for a time outside `[0, 1]`, points that are not finite or not of dimension `d`, and points so far outside the
    /// data that single precision does not hold them or their images.
    pub fn forward_at(&self, x: &[f64], t: f64) -> Result<Vec<f64>> {
        check_time(t)?;
        self.moved(x, 0.0, t)
    }

    /// The points at time `t` of the characteristics that end at `y: [n, d]` at time 1: `y - (1 - t) V(grad u(y, 1))`.
    ///
    /// # Errors
    /// As for [`CharacteristicMap::forward_at`].
    pub fn backward_at(&self, y: &[f64], t: f64) -> Result<Vec<f64>> {
        check_time(t)?;
        self.moved(y, 1.0, t - 1.0)
    }

    /// The potential `u(x, t)` of points `x: [n, d]`, `[n]`, in the units of the cost; constants are arbitrary.
    ///
    /// `-u(., 0)` and `u(., 1)` are the Kantorovich potentials.
    ///
    /// # Errors
    /// As for [`CharacteristicMap::forward_at`].
    pub fn potential(&self, x: &[f64], t: f64) -> Result<Vec<f64>> {
        check_time(t)?;
        let n = self.check_reach(x)?;
        let factor = self.cost.cost_factor(self.scaling.scale);
        let mut out = vec![0.0; n];
        self.each_block(x, t as f32, &mut out, 1, |_, u, _, _, out| {
            for (o, u) in out.iter_mut().zip(u) {
                *o = factor * f64::from(*u);
            }
        });
        Ok(out)
    }

    /// The gradient `grad u(x, t)` of the potential with respect to the points `x: [n, d]`, `[n, d]`, in the units of the cost over those of the points.
    ///
    /// `V` of it is the velocity: at time 0 the displacement `T(x) - x`, at time 1 `y - S(y)`.
    ///
    /// # Errors
    /// As for [`CharacteristicMap::forward_at`].
    pub fn gradient(&self, x: &[f64], t: f64) -> Result<Vec<f64>> {
        check_time(t)?;
        let n = self.check_reach(x)?;
        let d = self.dim();
        // u = f u_s((x - shift) / s).
        let factor = self.cost.cost_factor(self.scaling.scale) / self.scaling.scale;
        let mut out = vec![0.0; n * d];
        self.each_block(x, t as f32, &mut out, d, |n, _, gradient, _, out| {
            for s in 0..n {
                for k in 0..d {
                    out[s * d + k] = factor * f64::from(gradient[k * BLOCK + s]);
                }
            }
        });
        if let Some(coordinates) = self.cost.coordinates() {
            coordinates.leave_gradients(&mut out);
        }
        Ok(out)
    }

    fn moved(&self, x: &[f64], at: f64, factor: f64) -> Result<Vec<f64>> {
        self.check_reach(x)?;
        let mut out = x.to_vec();
        let d = self.dim();
        let velocity = Velocity::new(self.inner_cost.as_ref(), d);
        self.each_block(x, at as f32, &mut out, d, |n, _, gradient, extra, out| {
            velocity.velocity(gradient, &mut extra.v, &mut extra.columns);
            for s in 0..n {
                for k in 0..d {
                    extra.rows[s * d + k] = extra.v[k * BLOCK + s];
                }
            }
            match self.cost.coordinates() {
                None => self.scaling.displace(out, &extra.rows[..n * d], factor),
                Some(coordinates) => {
                    let mut v = vec![0.0; n * d];
                    self.scaling.displace(&mut v, &extra.rows[..n * d], factor);
                    coordinates.leave(&mut v);
                    out.iter_mut().zip(v).for_each(|(x, v)| *x += v);
                }
            }
        });
        match out.iter().position(|v| !v.is_finite()) {
            None => Ok(out),
            Some(at) => Err(Error::Problem(format!(
                "the image of row {} is not finite: the point lies too far outside the data the model was fitted on",
                at / d + 1
            ))),
        }
    }

    /// The points `x: [n, d]` in solver units, into `z: [n, d]`: in the coordinates of the cost, shifted and scaled.
    pub fn to_solver(&self, x: &[f64], z: &mut [f32]) {
        let inside = Coordinates::entered(self.cost.coordinates(), x);
        self.scaling.to_solver(&inside, z);
    }

    fn check_reach(&self, x: &[f64]) -> Result<usize> {
        let n = check_points(x, self.dim())?;
        match self.out_of_reach(x) {
            None => Ok(n),
            Some((i, j)) => Err(Error::Problem(format!(
                "row {}, column {} of the points is {:e}: too far outside the data the model was fitted on, single precision does not hold it",
                i + 1,
                j + 1,
                x[i * self.dim() + j]
            ))),
        }
    }

    /// Runs `work(points in block, u, gradient, memory, out rows)` over all blocks, in parallel; `width` numbers of `out` a point.
    fn each_block(
        &self,
        x: &[f64],
        t: f32,
        out: &mut [f64],
        width: usize,
        work: impl Fn(usize, &[f32], &[f32], &mut Extra, &mut [f64]) + Sync,
    ) {
        let d = self.dim();
        out.par_chunks_mut(CHUNK * width)
            .zip(x.par_chunks(CHUNK * d))
            .for_each_init(
                || Extra::new(&self.potential),
                |extra, (out, x)| {
                    for (out, x) in out.chunks_mut(BLOCK * width).zip(x.chunks(BLOCK * d)) {
                        let n = x.len() / d;
                        self.to_solver(x, &mut extra.rows[..n * d]);
                        to_lanes(&extra.rows[..n * d], d, &mut extra.x);
                        extra.x[d * BLOCK..].fill(t);
                        let Extra {
                            x,
                            u,
                            gradient,
                            tape,
                            work: memory,
                            ..
                        } = extra;
                        self.potential.forward(x, tape, memory, u);
                        self.potential.reverse(tape, memory, gradient);
                        let (u, gradient) = (extra.u, std::mem::take(&mut extra.gradient));
                        work(n, &u, &gradient, extra, out);
                        extra.gradient = gradient;
                    }
                },
            );
    }

    /// Writes the model file, atomically: a temporary file beside it, flushed to disk, then renamed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        save(path, self.written())
    }

    /// The bytes of the model file.
    ///
    /// # Errors
    /// [`Error::Problem`] if they cannot be put together.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.written().map_err(Error::Problem)
    }

    fn written(&self) -> std::result::Result<Vec<u8>, String> {
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        for (name, offset, shape) in self.potential.shape().tensors() {
            let n: usize = shape.iter().product();
            tensors.push((
                name,
                Dtype::F32,
                shape,
                le_f32(&self.potential.theta()[offset..offset + n]),
            ));
        }
        tensors.push((
            "scaling.shift".into(),
            Dtype::F64,
            vec![self.dim()],
            le_f64(&self.scaling.shift),
        ));
        tensors.push((
            "scaling.scale".into(),
            Dtype::F64,
            vec![1],
            le_f64(&[self.scaling.scale]),
        ));
        if let Some(linear) = &self.linear {
            let d = self.dim();
            tensors.push((
                "linear.source_mean".into(),
                Dtype::F64,
                vec![d],
                le_f64(linear.source_mean()),
            ));
            tensors.push((
                "linear.target_mean".into(),
                Dtype::F64,
                vec![d],
                le_f64(linear.target_mean()),
            ));
            tensors.push((
                "linear.matrix".into(),
                Dtype::F64,
                vec![d, d],
                le_f64(&linear.matrix()),
            ));
        }
        if let Some(bounds) = &self.bounds {
            for (side, bounds) in ["source", "target"].into_iter().zip(bounds) {
                let d = self.dim();
                tensors.push((
                    format!("box.{side}"),
                    Dtype::F64,
                    vec![2, d],
                    le_f64(&[&bounds.low[..], &bounds.high].concat()),
                ));
            }
        }
        let text = serde_json::to_string(&self.info).map_err(|e| e.to_string())?;
        to_safetensors(&tensors, text)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Io`] with what is wrong: not a safetensors file, cut short, written by something else or by a newer version, tensors missing or of other shapes.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_with(path, None)
    }

    /// The model that [`CharacteristicMap::to_bytes`] was called on.
    ///
    /// # Errors
    /// [`Error::Problem`] with what is wrong, as for [`CharacteristicMap::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes, None).map_err(|m| Error::Problem(format!("the model's bytes: {m}")))
    }

    /// As [`CharacteristicMap::load`] for a model fitted with a user's own cost.
    ///
    /// # Errors
    /// As for [`CharacteristicMap::load`], also if the model names another cost.
    pub fn load_with_cost(path: &Path, cost: Box<dyn Cost>) -> Result<Self> {
        Self::load_with(path, Some(cost))
    }

    fn load_with(path: &Path, cost: Option<Box<dyn Cost>>) -> Result<Self> {
        load(path, |bytes| Self::parse(bytes, cost))
    }

    fn parse(bytes: &[u8], cost: Option<Box<dyn Cost>>) -> std::result::Result<Self, String> {
        let (file, text) = open_safetensors(bytes)?;
        let info: ModelInfo = parse_info(&text, "model", FORMAT_VERSION)?;
        let layers = info
            .config
            .layers()
            .map_err(|e| format!("the settings in this file make no network: {e}"))?;
        let shape = Shape {
            dim: info.dim,
            layers,
        };
        let mut theta = vec![0.0f32; shape.parameters()];
        for (name, offset, dims) in shape.tensors() {
            let values = read_f32(&file, &name, &dims)?;
            theta[offset..offset + values.len()].copy_from_slice(&values);
        }
        if let Some(i) = theta.iter().position(|x| !x.is_finite()) {
            return Err(format!(
                "parameter {i} is {}; the file is damaged",
                theta[i]
            ));
        }
        let scaling = Scaling {
            shift: read_f64(&file, "scaling.shift", &[info.dim])?,
            scale: read_f64(&file, "scaling.scale", &[1])?[0],
        };
        if !(scaling.scale > 0.0
            && scaling.scale.is_finite()
            && scaling.shift.iter().all(|x| x.is_finite()))
        {
            return Err("the scaling is not finite and positive; the file is damaged".into());
        }
        let d = info.dim;
        let linear = if file.names().contains(&"linear.matrix") {
            let part = |name: &str, shape: &[usize]| read_f64(&file, name, shape);
            let (m0, m1) = (
                part("linear.source_mean", &[d])?,
                part("linear.target_mean", &[d])?,
            );
            let map = GaussianMap::from_parts(m0, m1, &part("linear.matrix", &[d, d])?);
            Some(map.map_err(|e| format!("the linear map in this file: {e}"))?)
        } else {
            None
        };
        // Files of earlier versions have no boxes.
        let bounds = if file.names().contains(&"box.source") {
            let part = |name: &str| -> std::result::Result<Bounds, String> {
                let low_high = read_f64(&file, name, &[2, d])?;
                if !low_high.iter().all(|v| v.is_finite()) {
                    return Err(format!(
                        "the tensor \"{name}\" is not finite; the file is damaged"
                    ));
                }
                Ok(Bounds {
                    low: low_high[..d].to_vec(),
                    high: low_high[d..].to_vec(),
                })
            };
            Some([part("box.source")?, part("box.target")?])
        } else {
            None
        };
        let map = match cost {
            Some(cost) => Self::with_cost(info, scaling, &theta, linear, cost),
            None => Self::new(info, scaling, &theta, linear),
        };
        let mut map = map.map_err(|e| e.to_string())?;
        map.bounds = bounds;
        Ok(map)
    }
}

/// Memory of one worker.
struct Extra {
    x: Vec<f32>,
    u: [f32; BLOCK],
    gradient: Vec<f32>,
    v: Vec<f32>,
    rows: Vec<f32>,
    columns: Columns,
    tape: <WarmPotential<f32> as Potential<f32>>::Tape,
    work: <WarmPotential<f32> as Potential<f32>>::Workspace,
}

impl Extra {
    fn new(network: &WarmPotential<f32>) -> Self {
        let d = network.dim();
        let block = || vec![0.0; (d + 1) * BLOCK];
        Extra {
            x: block(),
            u: [0.0; BLOCK],
            gradient: block(),
            v: block(),
            rows: block(),
            columns: Columns::new(d),
            tape: network.tape(),
            work: network.workspace(),
        }
    }
}

fn check_time(t: f64) -> Result<()> {
    if (0.0..=1.0).contains(&t) {
        Ok(())
    } else {
        Err(Error::Problem(format!(
            "time {t} is outside [0, 1]: 0 is the source, 1 the target"
        )))
    }
}

impl ForwardMap for CharacteristicMap {
    fn dim(&self) -> usize {
        self.info.dim
    }
    fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        self.forward_at(x, 1.0)
    }
}

impl BackwardMap for CharacteristicMap {
    fn dim(&self) -> usize {
        self.info.dim
    }
    fn backward(&self, y: &[f64]) -> Result<Vec<f64>> {
        self.backward_at(y, 0.0)
    }
}

pub(crate) fn io(path: &Path, e: &std::io::Error) -> Error {
    Error::Io {
        path: path.into(),
        message: e.to_string(),
    }
}

/// Writes the bytes of a model or a checkpoint, or says of the file why there are none.
pub(crate) fn save(path: &Path, bytes: std::result::Result<Vec<u8>, String>) -> Result<()> {
    let of_file = |message| Error::Io {
        path: path.into(),
        message,
    };
    write_atomically(path, &bytes.map_err(of_file)?)
}

/// Reads a model or a checkpoint; what is wrong with its bytes is said of the file.
pub(crate) fn load<T>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> std::result::Result<T, String>,
) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|e| io(path, &e))?;
    parse(&bytes).map_err(|message| Error::Io {
        path: path.into(),
        message,
    })
}

/// Writes a file so that at any moment either the old or the new content is there, whole: a temporary file beside it, flushed to the disk,
/// then renamed. The library's own, for models and checkpoints; tables and figures go through `charflow_io::AtomicFile`.
///
/// # Errors
/// [`Error::Io`]; the temporary file is removed, and what was there before is as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    // A link stays a link: what it points to is replaced.
    let target = match std::fs::symlink_metadata(path) {
        Ok(m) if m.file_type().is_symlink() => {
            std::fs::canonicalize(path).unwrap_or_else(|_| path.into())
        }
        _ => path.to_path_buf(),
    };
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = target.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &target)?;
        // The rename is on disk only once the folder is.
        if let Some(folder) = target.parent()
            && let Ok(folder) = std::fs::File::open(if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            })
        {
            let _ = folder.sync_all();
        }
        Ok(())
    };
    write().map_err(|e| {
        let _ = std::fs::remove_file(&temporary);
        Error::Io {
            path: path.into(),
            message: format!("cannot be written: {e}"),
        }
    })
}

pub(crate) fn le_f32(x: &[f32]) -> Vec<u8> {
    x.iter().flat_map(|v| v.to_le_bytes()).collect()
}

pub(crate) fn le_f64(x: &[f64]) -> Vec<u8> {
    x.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// One JSON text as the only metadata entry: a map of several would be written in random order, and equal models must be equal files.
pub(crate) fn to_safetensors(
    tensors: &[(String, Dtype, Vec<usize>, Vec<u8>)],
    text: String,
) -> std::result::Result<Vec<u8>, String> {
    let views: std::result::Result<Vec<(String, TensorView<'_>)>, String> = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes)
                .map(|view| (name.clone(), view))
                .map_err(|e| e.to_string())
        })
        .collect();
    let metadata = HashMap::from([(METADATA_KEY.to_string(), text)]);
    safetensors::serialize(views?, Some(metadata)).map_err(|e| e.to_string())
}

pub(crate) fn open_safetensors(
    bytes: &[u8],
) -> std::result::Result<(SafeTensors<'_>, String), String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| {
        format!(
            "this is no whole safetensors file ({e}); it is cut short, damaged, or something else"
        )
    })?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
    let text = header
        .metadata()
        .as_ref()
        .and_then(|m| m.get(METADATA_KEY))
        .cloned()
        .ok_or("this safetensors file was not written by charflow")?;
    Ok((file, text))
}

/// Checks kind and version before the rest of the text is asked to fit this version's structure.
pub(crate) fn parse_info<I: for<'a> Deserialize<'a>>(
    text: &str,
    kind: &str,
    newest: u32,
) -> std::result::Result<I, String> {
    #[derive(Deserialize)]
    struct Head {
        kind: String,
        format: u32,
        charflow: String,
    }
    let head: Head = serde_json::from_str(text)
        .map_err(|e| format!("its description cannot be read ({e}); the file is damaged"))?;
    if head.kind != kind {
        return Err(format!("this is a charflow {}, not a {kind}", head.kind));
    }
    if head.format > newest {
        return Err(format!(
            "written by charflow {} in format {}; this is charflow {}, which reads formats up to {newest}: use a newer charflow",
            head.charflow,
            head.format,
            env!("CARGO_PKG_VERSION"),
        ));
    }
    serde_json::from_str(text).map_err(|e| {
        format!("its description does not fit ({e}); the file is damaged or from another version")
    })
}

fn tensor_bytes<'a>(
    file: &'a SafeTensors<'_>,
    name: &str,
    dtype: Dtype,
    shape: &[usize],
) -> std::result::Result<&'a [u8], String> {
    let view = file
        .tensor(name)
        .map_err(|_| format!("the tensor \"{name}\" is missing"))?;
    if view.dtype() != dtype || view.shape() != shape {
        return Err(format!(
            "the tensor \"{name}\" is {:?} {:?}, expected {dtype:?} {shape:?}",
            view.dtype(),
            view.shape()
        ));
    }
    Ok(view.data())
}

pub(crate) fn read_f32(
    file: &SafeTensors<'_>,
    name: &str,
    shape: &[usize],
) -> std::result::Result<Vec<f32>, String> {
    let bytes = tensor_bytes(file, name, Dtype::F32, shape)?;
    Ok(bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect())
}

pub(crate) fn read_f64(
    file: &SafeTensors<'_>,
    name: &str,
    shape: &[usize],
) -> std::result::Result<Vec<f64>, String> {
    let bytes = tensor_bytes(file, name, Dtype::F64, shape)?;
    Ok(bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|b| f64::from_le_bytes(*b))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(bounds: bool) -> CharacteristicMap {
        let map = map_for("quadratic");
        let cloud = |v: &[f64]| Bounds::of(&Samples::from_f64(v, 2).unwrap());
        if bounds {
            map.with_bounds(
                cloud(&[0.0, 1.0, 2.0, -3.0, 1.0, 0.5]),
                cloud(&[5.0, 5.0, 6.0, 7.0]),
            )
        } else {
            map
        }
    }

    fn map_for(cost: &str) -> CharacteristicMap {
        let mut config = Config::preset("auto", 10, 10, 2).unwrap();
        config.cost = cost.into();
        config.set("network.hidden", "[8]").unwrap();
        config.set("warm_start", "none").unwrap();
        let info = ModelInfo {
            kind: "model".into(),
            format: FORMAT_VERSION,
            charflow: "0".into(),
            dim: 2,
            columns: None,
            classes: vec![],
            step: 1,
            config,
        };
        let shape = Shape {
            dim: 2,
            layers: info.config.layers().unwrap(),
        };
        let theta: Vec<f32> = (0..shape.parameters())
            .map(|i| ((i as f32) * 0.7).sin())
            .collect();
        let scaling = Scaling {
            shift: vec![1.0, -1.0],
            scale: 2.0,
        };
        CharacteristicMap::new(info, scaling, &theta, None).unwrap()
    }

    #[test]
    fn the_gradient_is_that_of_the_potential_in_the_units_of_the_user() {
        let x = [0.3, -0.8, 2.0, -1.5, -1.0, 0.25];
        for cost in [
            "quadratic",
            "mahalanobis:[[4,1],[1,2]]",
            "norm-power:1.5",
            "elastic:0.5",
        ] {
            let map = map_for(cost);
            for t in [0.0, 0.4, 1.0] {
                let gradient = map.gradient(&x, t).unwrap();
                for at in 0..x.len() {
                    // Wide enough for single precision.
                    let h = 2e-2;
                    let u = |step: f64| {
                        let mut x = x;
                        x[at] += step;
                        map.potential(&x, t).unwrap()[at / 2]
                    };
                    let difference =
                        (u(-2.0 * h) - 8.0 * u(-h) + 8.0 * u(h) - u(2.0 * h)) / (12.0 * h);
                    assert!(
                        (gradient[at] - difference).abs() < 2e-3 * (1.0 + difference.abs()),
                        "{cost} {t} {at}: {} {difference}",
                        gradient[at]
                    );
                }
            }
        }
        // The velocity of the gradient is the displacement.
        let displacement = |map: &CharacteristicMap| -> Vec<f64> {
            let y = map.forward(&x).unwrap();
            y.iter().zip(&x).map(|(y, x)| y - x).collect()
        };
        let map = map_for("quadratic");
        for (v, p) in displacement(&map)
            .iter()
            .zip(map.gradient(&x, 0.0).unwrap())
        {
            assert!((v - p).abs() < 1e-6, "{v} {p}");
        }
        let map = map_for("mahalanobis:[[4,1],[1,2]]");
        let (v, p) = (displacement(&map), map.gradient(&x, 0.0).unwrap());
        for (v, p) in v.chunks(2).zip(p.chunks(2)) {
            assert!((4.0 * v[0] + v[1] - p[0]).abs() < 1e-5, "{v:?} {p:?}");
            assert!((v[0] + 2.0 * v[1] - p[1]).abs() < 1e-5, "{v:?} {p:?}");
        }
    }

    #[test]
    fn a_model_comes_back_from_its_bytes() {
        let map = map(true);
        let bytes = map.to_bytes().unwrap();
        let again = CharacteristicMap::from_bytes(&bytes).unwrap();
        assert_eq!(again.to_bytes().unwrap(), bytes);
        assert_eq!(again.forward(&[0.1, 0.2]), map.forward(&[0.1, 0.2]));
        let message = CharacteristicMap::from_bytes(&bytes[..bytes.len() / 2])
            .unwrap_err()
            .to_string();
        assert!(message.starts_with("the model's bytes: "), "{message}");
    }

    #[test]
    fn the_boxes_go_with_the_file_and_files_without_them_load() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        map(true).save(&path).unwrap();
        let bounds = CharacteristicMap::load(&path).unwrap();
        let bounds = bounds.bounds().unwrap();
        assert_eq!(
            (&bounds[0].low[..], &bounds[0].high[..]),
            (&[0.0, -3.0][..], &[2.0, 1.0][..])
        );
        assert_eq!(
            (&bounds[1].low[..], &bounds[1].high[..]),
            (&[5.0, 5.0][..], &[6.0, 7.0][..])
        );
        map(false).save(&path).unwrap();
        assert!(CharacteristicMap::load(&path).unwrap().bounds().is_none());
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 1);
    }

    #[test]
    fn far_is_more_than_ten_widths_out() {
        let bounds = Bounds {
            low: vec![0.0, -1.0, 7.0],
            high: vec![2.0, 1.0, 7.0],
        };
        assert_eq!(
            bounds.far(&[
                21.9, 0.0, 7.0, 22.1, 0.0, 7.0, 0.0, -20.9, 7.0, 0.0, -21.1, 7.0
            ]),
            2
        );
        // The constant column counts as a hundredth of the longest side.
        assert_eq!(bounds.far(&[0.0, 0.0, 7.19, 0.0, 0.0, 7.21]), 1);
        let point = Bounds {
            low: vec![1.0],
            high: vec![1.0],
        };
        assert_eq!(point.far(&[1e9]), 0);
    }

    #[test]
    fn what_single_precision_does_not_hold_is_refused() {
        let map = map(false);
        assert!(map.forward(&[0.0, 1e9, 3.0, 4.0]).is_ok());
        assert_eq!(map.out_of_reach(&[0.0, 1.0, 1e39, 0.0]), Some((1, 0)));
        assert_eq!(map.out_of_reach(&[6e38, -6e38]), None);
        for value in [1e39, -1e300] {
            let points = [0.0, 0.0, 0.0, 0.0, 1.0, value];
            for e in [
                map.forward(&points).unwrap_err(),
                map.backward(&points).unwrap_err(),
                map.potential(&points, 0.5).unwrap_err(),
            ] {
                assert!(e.to_string().contains("row 3, column 2"), "{e}");
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        // A folder is in the way of the rename.
        let path = folder.path().join("model");
        std::fs::create_dir(&path).unwrap();
        let e = write_atomically(&path, b"x").unwrap_err().to_string();
        assert!(e.contains("model: cannot be written"), "{e}");
        let e = write_atomically(&folder.path().join("none/model"), b"x").unwrap_err();
        assert!(e.to_string().contains("cannot be written"), "{e}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

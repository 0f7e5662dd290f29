//! What the networks of images share: the residual trunk, the training loop, files of weights.
//!
//! On the Burn framework, its plain CPU backend. Burn is fine here and not for the potential: these losses need first derivatives only.

use crate::error::LabError;
use crate::images::Images;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::prelude::*;
use burn::store::{ModuleSnapshot, ModuleStore, SafetensorsStore};
use burn::tensor::activation::relu;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Pictures that go through a network at once where nothing is trained.
const AT_ONCE: usize = 500;

/// Under which name a file's facts stand in it, a `key=value` a line.
const FACTS: &str = "charflow";

/// Where a training stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Passes over the pictures in all.
    pub epochs: usize,
    /// Mean loss over the last pass or, in the first, so far.
    pub loss: f64,
    /// Since the start.
    pub seconds: f64,
}

/// Told after every step; `Break` ends the training with [`LabError::Interrupted`].
pub type OnProgress<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

/// How long and how fast to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Passes over the pictures.
    pub epochs: usize,
    /// Pictures a step.
    pub batch: usize,
    /// Greatest rate of AdamW: reached in a tenth of the steps, then down to zero along a cosine.
    pub rate: f64,
    /// Decoupled weight decay.
    pub decay: f32,
    /// Pictures are moved by up to so many pixels each way, at random.
    pub shift: usize,
    /// Pictures are mirrored left to right, half of them at random.
    pub mirror: bool,
    /// Half of the pictures, at random, are smoothed once or twice by a binomial filter of 3 x 3: a judge of decoded pictures, which are smoother than real ones, should
    /// not take smoothness for a sign of a class.
    pub blur: bool,
    /// Of initial weights, order and noise.
    pub seed: u64,
}

/// One step's pictures.
pub(crate) struct Batch {
    /// `[batch, channels, height, width]`.
    pub(crate) images: Tensor<4>,
    /// `[batch]`; empty tensors do not exist, so none without labels.
    pub(crate) labels: Option<Tensor<1, Int>>,
}

/// The CPU.
pub(crate) fn device() -> Device {
    Device::flex()
}

/// Builds a network with initial weights that follow from the seed alone. Burn draws them from one generator a process, hence the lock.
pub(crate) fn seeded<M: Module>(seed: u64, build: impl FnOnce(&Device) -> M) -> M {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = device().autodiff();
    device.seed(seed);
    let network = build(&device);
    // Weights are drawn when they are first looked at: now, while no other network is.
    network.num_params();
    network
}

/// A matrix of standard normal numbers from our own generator, so that other threads do not change it.
pub(crate) fn normal(
    rng: &mut ChaCha8Rng,
    rows: usize,
    columns: usize,
    device: &Device,
) -> Tensor<2> {
    let values: Vec<f32> = (0..rows * columns)
        .map(|_| rng.sample(rand_distr::StandardNormal))
        .collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

fn tensor(pixels: Vec<f32>, [c, h, w]: [usize; 3], device: &Device) -> Tensor<4> {
    let n = pixels.len() / (c * h * w);
    Tensor::from_data(TensorData::new(pixels, [n, c, h, w]), device)
}

/// The numbers of a tensor. Ours are all single precision.
pub(crate) fn numbers<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data()
        .convert::<f32>()
        .try_to_vec::<f32>()
        .unwrap_or_default()
}

/// Applies a network to pictures, some at a time: the outputs one after the other.
pub(crate) fn apply<const D: usize>(
    images: &Images,
    f: impl Fn(Tensor<4>) -> Tensor<D>,
) -> Vec<f32> {
    let device = device();
    images
        .pixels
        .chunks(AT_ONCE * images.each())
        .flat_map(|some| numbers(f(tensor(some.to_vec(), images.sides(), &device))))
        .collect()
}

/// Applies a network to points `[n, dim]`, some at a time.
pub(crate) fn apply_rows<const D: usize>(
    values: &[f32],
    dim: usize,
    f: impl Fn(Tensor<2>) -> Tensor<D>,
) -> Vec<f32> {
    let device = device();
    values
        .chunks(AT_ONCE * dim)
        .flat_map(|some| {
            let data = TensorData::new(some.to_vec(), [some.len() / dim, dim]);
            numbers(f(Tensor::from_data(data, &device)))
        })
        .collect()
}

/// The index of each row's largest number, `[n, classes]`; the first of equal ones.
pub(crate) fn largest(logits: &[f32], classes: usize) -> Vec<u8> {
    logits
        .chunks_exact(classes)
        .map(|row| {
            let best = |a: usize, b: usize| if row[b] > row[a] { b } else { a };
            (0..row.len()).fold(0, best) as u8
        })
        .collect()
}

/// The rate at a step, as a share of the greatest.
fn warm_then_cosine(step: usize, steps: usize) -> f64 {
    let warm = (steps / 10).max(1);
    if step < warm {
        return (step + 1) as f64 / warm as f64;
    }
    let share = (step - warm) as f64 / (steps - warm).max(1) as f64;
    0.5 * (1.0 + (std::f64::consts::PI * share).cos())
}

/// Writes a picture to `out`, moved by `(down, right)` pixels and perhaps mirrored; what comes in from outside is 0.
fn moved(picture: &[f32], [c, h, w]: [usize; 3], by: [isize; 2], mirror: bool, out: &mut Vec<f32>) {
    for channel in 0..c {
        for row in 0..h as isize {
            for column in 0..w as isize {
                let (i, j) = (row - by[0], column - by[1]);
                let inside = (0..h as isize).contains(&i) && (0..w as isize).contains(&j);
                let j = if mirror { w as isize - 1 - j } else { j };
                out.push(if inside {
                    picture[(channel * h + i as usize) * w + j as usize]
                } else {
                    0.0
                });
            }
        }
    }
}

/// Smooths a picture in place: weights 1, 2, 1 along rows and then along columns, edges repeated.
fn smooth(picture: &mut [f32], [_, h, w]: [usize; 3]) {
    let line = |plane: &mut [f32], start: usize, step: usize, n: usize| {
        let mut before = plane[start];
        for k in 0..n {
            let here = plane[start + k * step];
            let after = plane[start + (k + 1).min(n - 1) * step];
            plane[start + k * step] = 0.25 * before + 0.5 * here + 0.25 * after;
            before = here;
        }
    };
    for plane in picture.chunks_exact_mut(h * w) {
        (0..h).for_each(|row| line(plane, row * w, 1, w));
        (0..w).for_each(|column| line(plane, column, w, h));
    }
}

/// Trains a network: `loss(network, batch, rng)` is the mean loss of a batch.
///
/// The same seed gives the same weights to the last bit on the same kind of processor, if no other training runs in the process: the framework's sums of gradients then come
/// in another order.
pub(crate) fn train<M: Module>(
    mut network: M,
    images: &Images,
    labels: Option<&[u8]>,
    schedule: &Schedule,
    loss: impl Fn(&M, &Batch, &mut ChaCha8Rng) -> Tensor<1>,
    on_progress: OnProgress<'_>,
) -> Result<M, LabError> {
    let device = device().autodiff();
    let n = images.len();
    let batch = schedule.batch.min(n);
    // The few pictures that do not fill a batch are left to the next pass.
    let each = n / batch;
    let steps = schedule.epochs * each;
    let mut optimiser = AdamWConfig::new().with_weight_decay(schedule.decay).init();
    let mut rng = ChaCha8Rng::seed_from_u64(schedule.seed);
    let mut order: Vec<usize> = (0..n).collect();
    let started = Instant::now();
    let mut step = 0;
    let mut mean = f64::NAN;
    for epoch in 0..schedule.epochs {
        order.shuffle(&mut rng);
        let (mut sum, mut count) = (0.0, 0.0);
        for rows in order.chunks_exact(batch) {
            let mut pixels = Vec::with_capacity(batch * images.each());
            for &i in rows {
                let s = schedule.shift as i32;
                let by = [(); 2].map(|()| rng.random_range(-s..=s) as isize);
                let mirror = schedule.mirror && rng.random();
                moved(images.one(i), images.sides(), by, mirror, &mut pixels);
                let times = if schedule.blur {
                    [0, 0, 1, 2][rng.random_range(0..4)]
                } else {
                    0
                };
                let last = pixels.len() - images.each();
                (0..times).for_each(|_| smooth(&mut pixels[last..], images.sides()));
            }
            let batch = Batch {
                images: tensor(pixels, images.sides(), &device),
                labels: labels.map(|labels| {
                    let some: Vec<i32> = rows.iter().map(|&i| i32::from(labels[i])).collect();
                    let n = some.len();
                    Tensor::from_data(TensorData::new(some, [n]), &device)
                }),
            };
            let value = loss(&network, &batch, &mut rng);
            let number = f64::from(value.clone().into_scalar::<f32>());
            if !number.is_finite() {
                return Err(LabError::Input(format!(
                    "the training diverged: the loss is {number} at step {step} of {steps}; a smaller rate than {} may help",
                    schedule.rate
                )));
            }
            let gradients = GradientsParams::from_grads(value.backward(), &network);
            let rate = schedule.rate * warm_then_cosine(step, steps);
            network = optimiser.step(rate, network, gradients);
            step += 1;
            sum += number;
            count += 1.0;
            if epoch == 0 {
                mean = sum / count;
            }
            let told = on_progress(&Progress {
                step,
                steps,
                epochs: schedule.epochs,
                loss: mean,
                seconds: started.elapsed().as_secs_f64(),
            });
            if told.is_break() {
                return Err(LabError::Interrupted);
            }
        }
        mean = sum / count;
    }
    Ok(network)
}

/// A convolution of 3 x 3 with an edge of zeros that keeps the size, or halves it.
fn conv3(from: usize, to: usize, stride: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([from, to], [3, 3])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .with_bias(false)
        .init(device)
}

/// `relu(x + norm(conv(relu(norm(conv(x))))))`: the basic block of He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2016.
#[derive(Module, Debug)]
struct Residual {
    first: Conv2d,
    first_norm: BatchNorm,
    second: Conv2d,
    second_norm: BatchNorm,
}

impl Residual {
    fn new(width: usize, device: &Device) -> Self {
        let norm = || BatchNormConfig::new(width).init(device);
        Self {
            first: conv3(width, width, 1, device),
            first_norm: norm(),
            second: conv3(width, width, 1, device),
            second_norm: norm(),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = relu(self.first_norm.forward(self.first.forward(x.clone())));
        relu(x + self.second_norm.forward(self.second.forward(y)))
    }
}

/// Half the size, then a residual block.
#[derive(Module, Debug)]
struct Stage {
    down: Conv2d,
    norm: BatchNorm,
    block: Residual,
}

/// Three stages of widths `w, 2w, 4w`: a picture of `[c, h, w]` becomes `[4w, h/8, w/8]`, sides rounded up. Six convolutions in residual blocks and three strided
/// ones: a narrow relative of ResNet-18, which has four stages of two blocks and begins with 64 channels.
#[derive(Module, Debug)]
pub(crate) struct Trunk {
    stages: Vec<Stage>,
}

impl Trunk {
    pub(crate) fn new(channels: usize, width: usize, device: &Device) -> Self {
        let mut from = channels;
        let stages = [width, 2 * width, 4 * width]
            .map(|to| {
                let stage = Stage {
                    down: conv3(from, to, 2, device),
                    norm: BatchNormConfig::new(to).init(device),
                    block: Residual::new(to, device),
                };
                from = to;
                stage
            })
            .into();
        Self { stages }
    }

    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.stages.iter().fold(x, |x, stage| {
            let x = relu(stage.norm.forward(stage.down.forward(x)));
            stage.block.forward(x)
        })
    }

    /// A side of what comes out.
    pub(crate) fn side(side: usize) -> usize {
        side.div_ceil(2).div_ceil(2).div_ceil(2)
    }
}

/// A network's weights and facts about it, as the bytes of a safetensors file: what kind of network it is, the sides of its images, and others.
pub(crate) fn to_bytes<M: Module>(
    network: &M,
    kind: &str,
    [channels, height, width]: [usize; 3],
    facts: &[(&str, String)],
) -> Result<Vec<u8>, LabError> {
    let sides = [("channels", channels), ("height", height), ("width", width)];
    let sides = sides.map(|(key, side)| (key, side.to_string()));
    let lines = std::iter::once(("kind", kind.to_string()))
        .chain(sides)
        .chain(facts.iter().cloned())
        .map(|(key, value)| format!("{key}={value}"));
    // One entry: several are written in an order that changes from run to run.
    let mut store = SafetensorsStore::from_bytes(None)
        .clear_metadata()
        .metadata(FACTS, lines.collect::<Vec<_>>().join("\n"));
    let wrong =
        |e: &dyn std::fmt::Display| LabError::Input(format!("the weights cannot be written: {e}"));
    store.collect_from(network).map_err(|e| wrong(&e))?;
    store.get_bytes().map_err(|e| wrong(&e))
}

/// The longest side of an image in a file.
const MOST_SIDE: usize = 4096;

/// The facts in a safetensors file.
pub(crate) struct Facts(HashMap<String, String>);

impl Facts {
    /// # Errors
    /// [`LabError::Input`] if the bytes are no safetensors file, or of another kind than `kind`.
    pub(crate) fn read(bytes: &[u8], kind: &str) -> Result<Self, LabError> {
        let (_, metadata) = safetensors::SafeTensors::read_metadata(bytes).map_err(|e| {
            LabError::Input(format!(
                "this is no whole safetensors file ({e}); a file that charflow wrote is expected"
            ))
        })?;
        let all = metadata.metadata().as_ref();
        let text = all.and_then(|m| m.get(FACTS)).map_or("", String::as_str);
        let facts = Self(
            text.lines()
                .filter_map(|line| line.split_once('='))
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect(),
        );
        match facts.0.get("kind") {
            Some(found) if found == kind => Ok(facts),
            found => Err(LabError::Input(format!(
                "this file holds {}; {kind} is expected",
                found.map_or("weights of something else", String::as_str)
            ))),
        }
    }

    /// Sides of the network's images, `[channels, height, width]`.
    ///
    /// # Errors
    /// As for [`Facts::get`].
    pub(crate) fn sides(&self) -> Result<[usize; 3], LabError> {
        let side = |key| self.within(key, 1..=MOST_SIDE);
        Ok([side("channels")?, side("height")?, side("width")?])
    }

    /// A number that a network is built from: one out of range is no size to allocate.
    ///
    /// # Errors
    /// As for [`Facts::get`], and if it is out of range.
    pub(crate) fn within(
        &self,
        key: &str,
        range: RangeInclusive<usize>,
    ) -> Result<usize, LabError> {
        let value = self.get(key)?;
        if range.contains(&value) {
            return Ok(value);
        }
        Err(LabError::Input(format!(
            "the file's `{key}` is {value}, expected {} to {}; it is damaged",
            range.start(),
            range.end()
        )))
    }

    /// # Errors
    /// [`LabError::Input`] if the fact is missing or is not of the type.
    pub(crate) fn get<T: std::str::FromStr>(&self, key: &str) -> Result<T, LabError> {
        self.0.get(key).and_then(|v| v.parse().ok()).ok_or_else(|| {
            LabError::Input(format!(
                "the file's `{key}` is missing or damaged; it was not written by this version"
            ))
        })
    }
}

/// Fills a network with the weights of a safetensors file.
pub(crate) fn load<M: Module>(mut network: M, bytes: &[u8]) -> Result<M, LabError> {
    // Validation is on: a missing tensor or another shape is an error.
    let mut store = SafetensorsStore::from_bytes(Some(bytes.to_vec()));
    let loaded = network
        .load_from(&mut store)
        .map_err(|e| LabError::Input(format!("the weights do not fit: {e}")))?;
    match loaded.unused.first() {
        None => Ok(network),
        Some(tensor) => Err(LabError::Input(format!(
            "the weights do not fit: the network has no `{tensor}`; the file is damaged"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_moved_and_mirrored() {
        // Two channels of 2 x 3, so that rows, columns and channels cannot be taken for one another.
        let picture: Vec<f32> = (1..=12).map(|v| v as f32).collect();
        let change = |by, mirror| {
            let mut out = Vec::new();
            moved(&picture, [2, 2, 3], by, mirror, &mut out);
            out
        };
        assert_eq!(change([0, 0], false), picture);
        assert_eq!(
            change([1, 0], false),
            [0., 0., 0., 1., 2., 3., 0., 0., 0., 7., 8., 9.]
        );
        assert_eq!(
            change([0, -1], false),
            [2., 3., 0., 5., 6., 0., 8., 9., 0., 11., 12., 0.]
        );
        assert_eq!(
            change([0, 0], true),
            [3., 2., 1., 6., 5., 4., 9., 8., 7., 12., 11., 10.]
        );
    }

    #[test]
    fn smoothing_is_the_binomial_filter() {
        let mut picture = vec![0.0; 2 * 25];
        picture[12] = 16.0;
        // A constant channel stays what it is, edges too.
        picture[25..].fill(3.0);
        smooth(&mut picture, [2, 5, 5]);
        let expected = [1., 2., 1., 2., 4., 2., 1., 2., 1.];
        for (k, e) in expected.iter().enumerate() {
            assert_eq!(picture[(1 + k / 3) * 5 + 1 + k % 3], *e);
        }
        assert_eq!(picture[..25].iter().sum::<f32>(), 16.0);
        assert!(picture[25..].iter().all(|&v| v == 3.0));
    }

    #[test]
    fn the_rate_rises_for_a_tenth_and_falls_to_nothing() {
        let rates: Vec<f64> = (0..100).map(|s| warm_then_cosine(s, 100)).collect();
        assert!(rates[..10].is_sorted() && rates[10..].is_sorted_by(|a, b| a >= b));
        assert!((rates[9] - 1.0).abs() < 1e-12 && rates[0] > 0.0);
        assert!(rates[99] < 1e-3 && rates[99] > 0.0);
        // A single step is taken at the full rate, not at none.
        assert_eq!(warm_then_cosine(0, 1), 1.0);
    }
}

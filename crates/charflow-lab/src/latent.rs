//! A convolutional variational autoencoder: pictures as points of a low-dimensional space, in which they can be transported (the paper's B.4).
//!
//! ```text
//! encoder   x [c, h, w] -> style m(x), log-variance s(x), both [k]        residual trunk, then two linear heads
//! decoder   z [k] -> D(z) [c, h, w] in (0, 1)                             linear, then transposed convolutions
//! loss      E_z [ -sum over pixels of x log D(z) + (1 - x) log(1 - D(z)) ] + beta KL( N(m, e^s) | N(0, 1) ),
//!           z = m + e^(s/2) eps, eps standard normal
//! ```
//!
//! beta: Higgins et al., "beta-VAE", 2017. With labels, which is ours, the encoder has a third head, the classes' probabilities `q(x)`, and
//!
//! ```text
//! z = sum_k q_k c_k + m + e^(s/2) eps,        loss + a ( -log q_class(x) ),        c_k = r times the k-th unit vector
//! ```
//!
//! so that a picture lies around the centre of the class that the encoder takes it for, any two classes are `r sqrt 2` standard deviations apart and have
//! one law of style around their centres. Pixels alone tell classes badly (a shirt and a coat), and a smooth map can hardly send points that lie side by side to
//! different places; probabilities are near 0 or 1 for most pictures, so few lie in between. Encoding needs no label.
//!
//! In training the centres lie on the axes. Afterwards the space is rotated at random, by a seed of its own: else two spaces of as many classes, made independently,
//! would be aligned class by class, and any map between them would carry class `k` to class `k` without having learned to.
//!
//! A picture's point is the normalised mean of its `z`, `(E z - mean) / deviation` entry by entry, with mean and deviation of the training pictures. A latent that says nothing
//! about the picture has a mean that hardly varies (below [`ACTIVE`]); scaling it up would make noise as loud as the rest, so it is centred
//! only. If no latent is active the autoencoder has collapsed, which is an error. With labels that is asked of the style `m` alone, before the rotation: the
//! classes' centres vary in any case.

use crate::classifier::check_labels;
use crate::error::LabError;
use crate::images::Images;
use crate::neural::{
    Batch, Facts, OnProgress, Schedule, Trunk, apply, apply_rows, device, load, normal, seeded,
    to_bytes, train,
};
use burn::nn::conv::{ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::{log_softmax, relu, sigmoid, softplus};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What the file says that it holds.
const KIND: &str = "a charflow autoencoder";

/// A latent is active if the variance of its mean over the training pictures is above this (Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", 2016).
pub const ACTIVE: f64 = 0.01;

/// Widths of images are multiples of this: the decoder doubles twice.
const MULTIPLE: usize = 4;

/// Two classes' centres are at least so far apart, in separations: were they nearer, the classes would lie on one another.
const APART: f64 = 0.5;

/// How an autoencoder is made.
#[derive(Clone, Debug, PartialEq)]
pub struct VaeConfig {
    /// Dimension of the latent space, `k`.
    pub latent: usize,
    /// Channels of the encoder's first stage; the decoder begins with four times as many.
    pub width: usize,
    /// Weight of the divergence from the standard normal law.
    pub beta: f64,
    /// Distance `r` of the classes' centres from zero; used only with labels.
    pub separation: f64,
    /// Weight `a` of the class's cross-entropy; used only with labels.
    pub class_weight: f64,
    /// Seed of the rotation; used only with labels.
    pub rotation: u64,
    /// How it is trained.
    pub schedule: Schedule,
}

#[derive(Module, Debug)]
struct Encoder {
    trunk: Trunk,
    mean: Linear,
    log_variance: Linear,
    /// Log-odds of the classes.
    classes: Option<Linear>,
    /// The classes' centres, a row each; not trained.
    centres: Option<Linear>,
}

/// What an encoder makes of pictures.
struct Encoded {
    /// `m`, `[n, k]`.
    style: Tensor<2>,
    log_variance: Tensor<2>,
    /// `E z`, `[n, k]`.
    mean: Tensor<2>,
    /// `log q`, `[n, classes]`.
    log_classes: Option<Tensor<2>>,
}

impl Encoder {
    fn forward(&self, x: Tensor<4>) -> Encoded {
        let y = self.trunk.forward(x).flatten::<2>(1, 3);
        let style = self.mean.forward(y.clone());
        // Bounded: an early step must not make e^s infinite.
        let log_variance = self.log_variance.forward(y.clone()).clamp(-10.0, 4.0);
        let log_classes = self
            .classes
            .as_ref()
            .map(|head| log_softmax(head.forward(y), 1));
        let mean = match (&log_classes, &self.centres) {
            (Some(logs), Some(centres)) => style.clone() + centres.forward(logs.clone().exp()),
            _ => style.clone(),
        };
        Encoded {
            style,
            log_variance,
            mean,
            log_classes,
        }
    }
}

#[derive(Module, Debug)]
struct Decoder {
    start: Linear,
    first: ConvTranspose2d,
    second: ConvTranspose2d,
    channels: usize,
    height: usize,
    width: usize,
}

impl Decoder {
    fn new(latent: usize, channels: usize, [c, h, w]: [usize; 3], device: &Device) -> Self {
        let (height, width) = (h / MULTIPLE, w / MULTIPLE);
        // 4 x 4 with stride 2 and an edge of 1: exactly twice the side.
        let double = |from, to| {
            ConvTranspose2dConfig::new([from, to], [4, 4])
                .with_stride([2, 2])
                .with_padding([1, 1])
                .init(device)
        };
        Self {
            start: LinearConfig::new(latent, channels * height * width).init(device),
            first: double(channels, channels / 2),
            second: double(channels / 2, c),
            channels,
            height,
            width,
        }
    }

    /// Log-odds of the pixels.
    fn forward(&self, z: Tensor<2>) -> Tensor<4> {
        let [n, _] = z.dims();
        let y = relu(self.start.forward(z)).reshape([n, self.channels, self.height, self.width]);
        self.second.forward(relu(self.first.forward(y)))
    }
}

#[derive(Module, Debug)]
struct Network {
    encoder: Encoder,
    decoder: Decoder,
}

impl Network {
    fn new(shape: &Shape, device: &Device) -> Self {
        let [c, h, w] = shape.sides;
        let flat = 4 * shape.width * Trunk::side(h) * Trunk::side(w);
        let linear = || LinearConfig::new(flat, shape.latent).init(device);
        Self {
            encoder: Encoder {
                trunk: Trunk::new(c, shape.width, device),
                mean: linear(),
                log_variance: linear(),
                classes: shape
                    .classes
                    .map(|n| LinearConfig::new(flat, n).init(device)),
                // Set, and kept from training, once the weights are drawn.
                centres: shape.classes.map(|n| {
                    LinearConfig::new(n, shape.latent)
                        .with_bias(false)
                        .init(device)
                }),
            },
            decoder: Decoder::new(shape.latent, 4 * shape.width, shape.sides, device),
        }
    }
}

/// The centres of the classes, `[classes, k]`: unit vectors along axes while there are enough, else along random directions, times the separation.
fn centres(classes: usize, config: &VaeConfig) -> Tensor<2> {
    let device = device().autodiff();
    let directions = if classes <= config.latent {
        Tensor::<2>::eye(config.latent, &device).slice([0..classes, 0..config.latent])
    } else {
        let mut rng = ChaCha8Rng::seed_from_u64(config.schedule.seed);
        let random = normal(&mut rng, classes, config.latent, &device);
        let lengths = random.clone().square().sum_dim(1).sqrt().clamp_min(1e-6);
        random / lengths
    };
    directions * config.separation
}

/// Refuses classes that would lie on one another, as they do in few dimensions.
fn check_distances(centres: &Tensor<2>, config: &VaeConfig) -> Result<(), LabError> {
    let [classes, k] = centres.dims();
    let values: Vec<f32> = centres.to_data().try_to_vec().unwrap_or_default();
    let row = |i: usize| &values[i * k..(i + 1) * k];
    let distance = |i: usize, j: usize| -> f64 {
        let square: f32 = row(i)
            .iter()
            .zip(row(j))
            .map(|(a, b)| (a - b).powi(2))
            .sum();
        f64::from(square).sqrt()
    };
    let least = (0..classes)
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .map(|(i, j)| distance(i, j))
        .fold(f64::INFINITY, f64::min);
    if values.len() == classes * k && least >= APART * config.separation {
        return Ok(());
    }
    Err(LabError::Input(format!(
        "{classes} classes do not lie apart from one another in {k} latents; expected as many latents as classes, or nearly"
    )))
}

/// How many latents have a mean that varies; none is a collapse, which is said in these words: of what they say nothing, where the mean was looked at, what to check.
fn active(variances: &[f64], [of, over, check]: [&str; 3]) -> Result<usize, LabError> {
    let count = variances.iter().filter(|&&v| v > ACTIVE).count();
    if count > 0 {
        return Ok(count);
    }
    let most = variances.iter().copied().fold(0.0, f64::max);
    Err(LabError::Input(format!(
        "the autoencoder has collapsed: none of its {} latents says anything about {of} (the greatest variance of a latent's mean {over} is {most:.1e}, expected above \
         {ACTIVE}). Lower beta, train longer, or check that {check}",
        variances.len()
    )))
}

/// What the network's shape follows from.
#[derive(Clone, Debug, PartialEq)]
struct Shape {
    sides: [usize; 3],
    latent: usize,
    width: usize,
    classes: Option<usize>,
}

/// A trained autoencoder of pictures of one size.
#[derive(Clone, Debug)]
pub struct Vae {
    network: Network,
    shape: Shape,
    /// Of the means of the training pictures, `[k]`.
    mean: Vec<f32>,
    /// Their deviation; 1 where a latent is not active.
    deviation: Vec<f32>,
    active: usize,
    /// Of a training with labels: latents whose style varies. Not kept in the file.
    styles: Option<usize>,
}

/// Training pictures on which the style is looked at.
const LOOKED_AT: usize = 5000;

impl Vae {
    /// Trains one on pictures, and on their classes if given, which count from 0.
    ///
    /// # Errors
    /// [`LabError`] for sides that are no multiples of 4, labels that do not fit, a loss that is no longer finite, a collapsed autoencoder, or an observer that ends it.
    pub fn train(
        images: &Images,
        labels: Option<&[u8]>,
        config: &VaeConfig,
        on_progress: OnProgress<'_>,
    ) -> Result<Self, LabError> {
        let sides = images.sides();
        if !sides[1].is_multiple_of(MULTIPLE) || !sides[2].is_multiple_of(MULTIPLE) {
            return Err(LabError::Input(format!(
                "the images are {} x {}; the autoencoder takes sides that are multiples of {MULTIPLE}: enlarge or cut them",
                sides[1], sides[2]
            )));
        }
        let shape = Shape {
            sides,
            latent: config.latent,
            width: config.width,
            classes: labels.map(|l| check_labels(images, l)).transpose()?,
        };
        let mut network = seeded(config.schedule.seed, |d| Network::new(&shape, d));
        if let (Some(layer), Some(classes)) = (&mut network.encoder.centres, shape.classes) {
            let centres = centres(classes, config);
            check_distances(&centres, config)?;
            layer.weight = layer.weight.clone().map(|_| centres.clone());
            network.encoder.centres = network.encoder.centres.map(Module::no_grad);
        }
        let loss = |network: &Network, batch: &Batch, rng: &mut _| {
            let x = batch.images.clone();
            let Encoded {
                style,
                log_variance,
                mean,
                log_classes,
            } = network.encoder.forward(x.clone());
            let [n, k] = mean.dims();
            let noise = normal(rng, n, k, &x.device());
            let z = mean + (log_variance.clone() * 0.5).exp() * noise;
            let odds = network.decoder.forward(z);
            // -x log D - (1 - x) log(1 - D) = softplus(odds) - x odds.
            let pixels = (softplus(odds.clone(), 1.0) - x * odds).sum();
            let divergence =
                (style.square() + log_variance.clone().exp() - log_variance - 1.0).sum() * 0.5;
            let mut total = pixels + divergence * config.beta;
            if let (Some(logs), Some(labels)) = (log_classes, &batch.labels) {
                let right = logs.gather(1, labels.clone().reshape([n, 1]));
                total = total - right.sum() * config.class_weight;
            }
            total / n as f64
        };
        let network = train(network, images, labels, &config.schedule, loss, on_progress)?.valid();
        let mut vae = Self {
            network,
            mean: vec![0.0; config.latent],
            deviation: vec![1.0; config.latent],
            active: 0,
            styles: None,
            shape,
        };
        if labels.is_some() {
            vae.look_at_styles(images)?;
            vae.rotate(config.rotation);
        }
        vae.normalise(images)?;
        Ok(vae)
    }

    /// Counts the latents that say something about a picture beside its class.
    fn look_at_styles(&mut self, images: &Images) -> Result<(), LabError> {
        let k = self.shape.latent;
        let count = images.len().min(LOOKED_AT);
        let rows: Vec<usize> = (0..count).map(|i| i * images.len() / count).collect();
        let styles = apply(&images.select(&rows), |x| {
            self.network.encoder.forward(x).style
        });
        let styles: Vec<f64> = styles.into_iter().map(f64::from).collect();
        let variances = crate::metrics::column_statistics(&styles, k)?.variances;
        let words = [
            "an image but its class",
            "around the classes' centres",
            "the images of a class differ",
        ];
        self.styles = Some(active(&variances, words)?);
        Ok(())
    }

    /// Rotates the latent space: `R` times what it gave comes out of the encoder, and the decoder takes that.
    fn rotate(&mut self, seed: u64) {
        let k = self.shape.latent;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let draw = |_, _| rng.sample::<f64, _>(rand_distr::StandardNormal);
        let q = nalgebra::DMatrix::from_fn(k, k, draw).qr().q();
        let numbers = q.transpose().iter().map(|&v| v as f32).collect();
        let r = Tensor::<2>::from_data(TensorData::new(numbers, [k, k]), &device());
        let Network { encoder, decoder } = &mut self.network;
        // A layer is x W + b.
        let by = |w: Tensor<2>| w.matmul(r.clone());
        encoder.mean.weight = encoder.mean.weight.clone().map(by);
        encoder.mean.bias = encoder
            .mean
            .bias
            .clone()
            .map(|b| b.map(|b| by(b.reshape([1, k])).reshape([k])));
        if let Some(centres) = &mut encoder.centres {
            centres.weight = centres.weight.clone().map(by);
        }
        let back = |w: Tensor<2>| r.clone().transpose().matmul(w);
        decoder.start.weight = decoder.start.weight.clone().map(back);
    }

    /// Sets mean and deviation from the training pictures.
    fn normalise(&mut self, images: &Images) -> Result<(), LabError> {
        let k = self.shape.latent;
        let means: Vec<f64> = apply(images, |x| self.network.encoder.forward(x).mean)
            .into_iter()
            .map(f64::from)
            .collect();
        let statistics = crate::metrics::column_statistics(&means, k)?;
        let words = ["the image", "over the images", "the images differ"];
        self.active = active(&statistics.variances, words)?;
        self.mean = statistics.means.iter().map(|&m| m as f32).collect();
        self.deviation = statistics
            .variances
            .iter()
            .map(|&v| if v > ACTIVE { v.sqrt() as f32 } else { 1.0 })
            .collect();
        Ok(())
    }

    /// Dimension of the latent space, `k`.
    #[must_use]
    pub fn latent(&self) -> usize {
        self.shape.latent
    }

    /// Latents that say something about the picture, at most `k`.
    #[must_use]
    pub fn active(&self) -> usize {
        self.active
    }

    /// Of an autoencoder that was just trained with labels: latents that say something about the picture beside its class, at most `k`.
    #[must_use]
    pub fn styles(&self) -> Option<usize> {
        self.styles
    }

    /// Whether classes took part in the training.
    #[must_use]
    pub fn knows_classes(&self) -> bool {
        self.shape.classes.is_some()
    }

    /// Sides of the pictures, `[channels, height, width]`.
    #[must_use]
    pub fn sides(&self) -> [usize; 3] {
        self.shape.sides
    }

    /// The points of pictures, `[n, k]`: normalised means.
    ///
    /// # Errors
    /// [`LabError::Input`] for pictures of another size.
    pub fn encode(&self, images: &Images) -> Result<Vec<f64>, LabError> {
        images.check_sides(self.shape.sides, "this autoencoder")?;
        let mut values = apply(images, |x| self.network.encoder.forward(x).mean);
        for row in values.chunks_exact_mut(self.shape.latent) {
            for ((v, m), d) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *v = (*v - m) / d;
            }
        }
        Ok(values.into_iter().map(f64::from).collect())
    }

    /// The pictures of points `[n, k]`.
    ///
    /// # Errors
    /// [`LabError::Input`] for points of another dimension or that are not finite.
    pub fn decode(&self, points: &[f64]) -> Result<Images, LabError> {
        let k = self.shape.latent;
        let n = crate::rows(points, k, "the points")?;
        if n == 0 {
            return Err(LabError::Input("there are no points to decode".into()));
        }
        if let Some(at) = points.iter().position(|v| !v.is_finite()) {
            return Err(LabError::Input(format!(
                "point {} (from 0) has the coordinate {}; finite numbers are expected",
                at / k,
                points[at]
            )));
        }
        let latents: Vec<f32> = points
            .iter()
            .enumerate()
            .map(|(i, &v)| v as f32 * self.deviation[i % k] + self.mean[i % k])
            .collect();
        let pixels = apply_rows(&latents, k, |z| sigmoid(self.network.decoder.forward(z)));
        let [c, h, w] = self.shape.sides;
        Images::new(c, h, w, pixels)
    }

    /// The autoencoder as the bytes of a safetensors file.
    ///
    /// # Errors
    /// [`LabError::Input`] if they cannot be put together.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LabError> {
        let list = |v: &[f32]| v.iter().map(f32::to_string).collect::<Vec<_>>().join(" ");
        to_bytes(
            &self.network,
            KIND,
            self.shape.sides,
            &[
                ("classes", self.shape.classes.unwrap_or(0).to_string()),
                ("latent", self.shape.latent.to_string()),
                ("network_width", self.shape.width.to_string()),
                ("active", self.active.to_string()),
                ("mean", list(&self.mean)),
                ("deviation", list(&self.deviation)),
            ],
        )
    }

    /// An autoencoder from the bytes of its file.
    ///
    /// # Errors
    /// [`LabError::Input`] if they are something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LabError> {
        let facts = Facts::read(bytes, KIND)?;
        let shape = Shape {
            sides: facts.sides()?,
            latent: facts.within("latent", 1..=512)?,
            width: facts.within("network_width", 1..=256)?,
            classes: Some(facts.within("classes", 0..=256)?).filter(|&c| c > 0),
        };
        let [channels, height, width] = shape.sides;
        if ![1, 3].contains(&channels)
            || !height.is_multiple_of(MULTIPLE)
            || !width.is_multiple_of(MULTIPLE)
        {
            return Err(LabError::Input(format!(
                "the file's images of {channels} x {height} x {width} are none that an autoencoder takes; it is damaged"
            )));
        }
        let list = |key: &str| -> Result<Vec<f32>, LabError> {
            let text: String = facts.get(key)?;
            let values: Vec<f32> = text.split(' ').filter_map(|v| v.parse().ok()).collect();
            if values.len() == shape.latent {
                Ok(values)
            } else {
                Err(LabError::Input(format!("the file's `{key}` is damaged")))
            }
        };
        let (mean, deviation) = (list("mean")?, list("deviation")?);
        let network = seeded(0, |d| Network::new(&shape, d)).valid();
        Ok(Self {
            network: load(network, bytes)?,
            mean,
            deviation,
            active: facts.get("active")?,
            styles: None,
            shape,
        })
    }
}

//! A residual network that says which class a picture is of: the judge of transported pictures.
//!
//! ```text
//! features  f(x) = mean over places of trunk(x)        [4w]
//! logits    W f(x) + b                                 [classes]
//! ```
//!
//! The paper's judge is a ResNet-18; this one is narrower, so that it trains on two cores: three stages of one basic block, of `w, 2w, 4w` channels.

use crate::error::LabError;
use crate::images::Images;
use crate::neural::{
    Batch, Facts, OnProgress, Schedule, Trunk, apply, device, largest, load, seeded, to_bytes,
    train,
};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;

/// What the file says that it holds.
const KIND: &str = "a charflow classifier";

/// How a classifier is made.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierConfig {
    /// Channels of the first stage, `w`.
    pub width: usize,
    /// How it is trained.
    pub schedule: Schedule,
}

#[derive(Module, Debug)]
struct Network {
    trunk: Trunk,
    head: Linear,
}

impl Network {
    fn new(channels: usize, width: usize, classes: usize, device: &Device) -> Self {
        Self {
            trunk: Trunk::new(channels, width, device),
            head: LinearConfig::new(4 * width, classes).init(device),
        }
    }

    fn features(&self, x: Tensor<4>) -> Tensor<2> {
        let y = self.trunk.forward(x);
        let [n, c, h, w] = y.dims();
        y.reshape([n, c, h * w]).mean_dim(2).reshape([n, c])
    }
}

/// A trained classifier of pictures of one size.
#[derive(Clone, Debug)]
pub struct Classifier {
    network: Network,
    sides: [usize; 3],
    classes: usize,
    width: usize,
}

impl Classifier {
    /// Trains one on pictures and their classes, which count from 0.
    ///
    /// # Errors
    /// [`LabError`] if the numbers differ, a class is missing, the loss is no longer finite, or the observer ends it.
    pub fn train(
        images: &Images,
        labels: &[u8],
        config: &ClassifierConfig,
        on_progress: OnProgress<'_>,
    ) -> Result<Self, LabError> {
        let classes = check_labels(images, labels)?;
        let sides = images.sides();
        let network = seeded(config.schedule.seed, |d| {
            Network::new(sides[0], config.width, classes, d)
        });
        let cross_entropy = CrossEntropyLossConfig::new()
            .with_smoothing(Some(0.1))
            .init(&device().autodiff());
        let loss = |network: &Network, batch: &Batch, _: &mut _| {
            let labels = batch
                .labels
                .clone()
                .expect("a classifier is trained with labels");
            cross_entropy.forward(
                network.head.forward(network.features(batch.images.clone())),
                labels,
            )
        };
        let network = train(
            network,
            images,
            Some(labels),
            &config.schedule,
            loss,
            on_progress,
        )?;
        Ok(Self {
            network: network.valid(),
            sides,
            classes,
            width: config.width,
        })
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Length of a feature vector, `4w`.
    #[must_use]
    pub fn feature_dim(&self) -> usize {
        4 * self.width
    }

    /// The class of each picture, from 0.
    ///
    /// # Errors
    /// [`LabError::Input`] for pictures of another size.
    pub fn classify(&self, images: &Images) -> Result<Vec<u8>, LabError> {
        images.check_sides(self.sides, "this classifier")?;
        let logits = apply(images, |x| {
            self.network.head.forward(self.network.features(x))
        });
        Ok(largest(&logits, self.classes))
    }

    /// What the last layer sees, `[n, feature_dim]`.
    ///
    /// # Errors
    /// [`LabError::Input`] for pictures of another size.
    pub fn features(&self, images: &Images) -> Result<Vec<f64>, LabError> {
        images.check_sides(self.sides, "this classifier")?;
        let features = apply(images, |x| self.network.features(x));
        Ok(features.into_iter().map(f64::from).collect())
    }

    /// The classifier as the bytes of a safetensors file.
    ///
    /// # Errors
    /// [`LabError::Input`] if they cannot be put together.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LabError> {
        to_bytes(
            &self.network,
            KIND,
            self.sides,
            &[
                ("classes", self.classes.to_string()),
                ("network_width", self.width.to_string()),
            ],
        )
    }

    /// A classifier from the bytes of its file.
    ///
    /// # Errors
    /// [`LabError::Input`] if they are something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LabError> {
        let facts = Facts::read(bytes, KIND)?;
        let sides = facts.sides()?;
        let classes = facts.within("classes", 2..=256)?;
        let width = facts.within("network_width", 1..=256)?;
        let network = seeded(0, |d| Network::new(sides[0], width, classes, d)).valid();
        Ok(Self {
            network: load(network, bytes)?,
            sides,
            classes,
            width,
        })
    }
}

/// The number of classes of `labels`, one a picture.
///
/// # Errors
/// [`LabError::Input`] if the numbers differ, there is one class only, or a class below the greatest has no picture.
pub(crate) fn check_labels(images: &Images, labels: &[u8]) -> Result<usize, LabError> {
    if labels.len() != images.len() {
        return Err(LabError::Input(format!(
            "{} labels for {} images; one for each is expected",
            labels.len(),
            images.len()
        )));
    }
    let classes = labels.iter().max().map_or(0, |&l| usize::from(l) + 1);
    if classes < 2 {
        return Err(LabError::Input(
            "there is only one class; two or more are expected".into(),
        ));
    }
    for class in 0..classes {
        if !labels.contains(&(class as u8)) {
            return Err(LabError::Input(format!(
                "no image has the label {class}, though labels go up to {}; labels count from 0 without gaps",
                classes - 1
            )));
        }
    }
    Ok(classes)
}

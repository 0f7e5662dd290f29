//! Trained autoencoders and classifiers of MNIST and Fashion-MNIST that come with the source, and how they were trained.
//!
//! `charflow bench mnist --retrain` makes them again. Nothing of the images is in them but what the weights keep.

use crate::classifier::{Classifier, ClassifierConfig};
use crate::error::LabError;
use crate::images::Images;
use crate::latent::{Vae, VaeConfig};
use crate::neural::{OnProgress, Schedule};

/// A data set of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Handwritten digits.
    Mnist,
    /// Clothes.
    Fashion,
}

/// What an autoencoder was told in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knows {
    /// The images alone, as in the paper.
    Images,
    /// Images and classes.
    Classes,
}

impl Domain {
    /// Both.
    pub const ALL: [Domain; 2] = [Domain::Mnist, Domain::Fashion];

    /// The folder of its files.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Domain::Mnist => "mnist",
            Domain::Fashion => "fashion-mnist",
        }
    }

    /// What its classes are called, 0 to 9.
    #[must_use]
    pub fn class_names(self) -> [&'static str; 10] {
        match self {
            Domain::Mnist => ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
            Domain::Fashion => [
                "T-shirt",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ],
        }
    }
}

impl Knows {
    /// Both.
    pub const ALL: [Knows; 2] = [Knows::Classes, Knows::Images];

    /// As files and tables call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Knows::Images => "images",
            Knows::Classes => "classes",
        }
    }
}

/// The file of an autoencoder.
#[must_use]
pub fn autoencoder_file(domain: Domain, knows: Knows) -> String {
    format!("{}-vae-{}.safetensors", domain.folder(), knows.name())
}

/// The file of a classifier.
#[must_use]
pub fn classifier_file(domain: Domain) -> String {
    format!("{}-classifier.safetensors", domain.folder())
}

/// The autoencoder that comes with the source.
///
/// # Errors
/// Never for files as they were committed.
pub fn autoencoder(domain: Domain, knows: Knows) -> Result<Vae, LabError> {
    Vae::from_bytes(match (domain, knows) {
        (Domain::Mnist, Knows::Images) => {
            include_bytes!("../weights/mnist-vae-images.safetensors")
        }
        (Domain::Mnist, Knows::Classes) => {
            include_bytes!("../weights/mnist-vae-classes.safetensors")
        }
        (Domain::Fashion, Knows::Images) => {
            include_bytes!("../weights/fashion-mnist-vae-images.safetensors")
        }
        (Domain::Fashion, Knows::Classes) => {
            include_bytes!("../weights/fashion-mnist-vae-classes.safetensors")
        }
    })
}

/// The classifier that comes with the source.
///
/// # Errors
/// Never for files as they were committed.
pub fn classifier(domain: Domain) -> Result<Classifier, LabError> {
    Classifier::from_bytes(match domain {
        Domain::Mnist => include_bytes!("../weights/mnist-classifier.safetensors"),
        Domain::Fashion => include_bytes!("../weights/fashion-mnist-classifier.safetensors"),
    })
}

/// Trains a domain's autoencoder as the one that comes with the source.
///
/// # Errors
/// As for [`Vae::train`].
pub fn train_autoencoder(
    domain: Domain,
    knows: Knows,
    images: &Images,
    labels: &[u8],
    on_progress: OnProgress<'_>,
) -> Result<Vae, LabError> {
    let fashion = domain == Domain::Fashion;
    let config = VaeConfig {
        latent: 24,
        width: 16,
        // Clothes differ from one another by fine details, which a smaller weight keeps.
        beta: if fashion { 0.5 } else { 1.0 },
        separation: 8.0,
        class_weight: 20.0,
        rotation: u64::from(fashion),
        schedule: Schedule {
            epochs: if fashion { 12 } else { 8 },
            batch: 128,
            rate: 3e-3,
            decay: 0.01,
            shift: 0,
            mirror: false,
            blur: false,
            seed: 0,
        },
    };
    let labels = (knows == Knows::Classes).then_some(labels);
    Vae::train(images, labels, &config, on_progress)
}

/// Trains a domain's classifier as the one that comes with the source.
///
/// # Errors
/// As for [`Classifier::train`].
pub fn train_classifier(
    domain: Domain,
    images: &Images,
    labels: &[u8],
    on_progress: OnProgress<'_>,
) -> Result<Classifier, LabError> {
    let fashion = domain == Domain::Fashion;
    let config = ClassifierConfig {
        width: if fashion { 24 } else { 16 },
        schedule: Schedule {
            epochs: if fashion { 12 } else { 6 },
            batch: 128,
            rate: 4e-3,
            decay: 0.01,
            shift: if fashion { 1 } else { 2 },
            mirror: fashion,
            blur: true,
            seed: 0,
        },
    };
    Classifier::train(images, labels, &config, on_progress)
}

//! LeNet-5 as a feature extractor for handwritten digits, with other people's weights: the 84 numbers before its last layer.
//!
//! ```text
//! x [1, 32, 32] -> conv 5x5 to 6, tanh, max-pool 2 -> conv 5x5 to 16, tanh, max-pool 2 -> conv 5x5 to 120, tanh -> linear to 84, tanh = features -> linear to 10
//! ```
//!
//! The 28 x 28 image is enlarged to 32 x 32 bilinearly (half-pixel centres, edges clamped). Weights: a safetensors file with the keys `convnet.{c1,c3,c5}` and
//! `fc.{f6,f7}` as PyTorch lays them out, such as that of the project gan-metrics-pytorch, converted.

use crate::error::LabError;
use crate::images::Images;
use crate::neural::{apply, seeded};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use burn::store::{ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};
use std::path::Path;

#[derive(Module, Debug)]
struct Convolutions {
    c1: Conv2d,
    c3: Conv2d,
    c5: Conv2d,
}

#[derive(Module, Debug)]
struct Full {
    f6: Linear,
    f7: Linear,
}

#[derive(Module, Debug)]
struct Network {
    convnet: Convolutions,
    fc: Full,
    pool: MaxPool2d,
}

impl Network {
    fn new(device: &Device) -> Self {
        let conv = |from, to| Conv2dConfig::new([from, to], [5, 5]).init(device);
        Self {
            convnet: Convolutions {
                c1: conv(1, 6),
                c3: conv(6, 16),
                c5: conv(16, 120),
            },
            fc: Full {
                f6: LinearConfig::new(120, 84).init(device),
                f7: LinearConfig::new(84, 10).init(device),
            },
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
        }
    }

    fn features(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.pool.forward(self.convnet.c1.forward(x).tanh());
        let x = self.pool.forward(self.convnet.c3.forward(x).tanh());
        let x = self.convnet.c5.forward(x).tanh().flatten::<2>(1, 3);
        self.fc.f6.forward(x).tanh()
    }
}

/// A LeNet-5 with weights from a file.
#[derive(Clone, Debug)]
pub struct LeNet(Network);

impl LeNet {
    /// Numbers of a feature vector.
    pub const FEATURES: usize = 84;

    /// Reads the weights.
    ///
    /// # Errors
    /// [`LabError::Io`] if the file is missing or does not hold this network.
    pub fn read(path: &Path) -> Result<Self, LabError> {
        let io = |message: String| LabError::Io {
            path: path.into(),
            message,
        };
        let bytes = std::fs::read(path).map_err(|e| io(format!("cannot be read: {e}")))?;
        let mut network = seeded(0, Network::new).valid();
        let mut store =
            SafetensorsStore::from_bytes(Some(bytes)).with_from_adapter(PyTorchToBurnAdapter);
        network
            .load_from(&mut store)
            .map_err(|e| io(format!("holds no LeNet-5 as it is expected: {e}")))?;
        Ok(Self(network))
    }

    /// Features, `[n, 84]`, of grey images of any size.
    ///
    /// # Errors
    /// [`LabError::Input`] for colour images.
    pub fn features(&self, images: &Images) -> Result<Vec<f64>, LabError> {
        let large = images.resized(32, 32)?;
        large.check_sides([1, 32, 32], "LeNet-5")?;
        let features = apply(&large, |x| self.0.features(x));
        Ok(features.into_iter().map(f64::from).collect())
    }

    /// The digit of each image.
    ///
    /// # Errors
    /// As for [`LeNet::features`].
    pub fn classify(&self, images: &Images) -> Result<Vec<u8>, LabError> {
        let large = images.resized(32, 32)?;
        large.check_sides([1, 32, 32], "LeNet-5")?;
        let logits = apply(&large, |x| self.0.fc.f7.forward(self.0.features(x)));
        Ok(crate::neural::largest(&logits, 10))
    }
}

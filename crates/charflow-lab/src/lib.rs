//! The evidence around the method: where the points come from, how good a map is, and what it looks like.
//!
//! Everything here works on plain slices, row-major `[n, d]` in `f64`, and never asks which map made the points. Costs are those of [`charflow::cost`].
//!
//! | module | what |
//! |---|---|
//! | [`datasets`] | seeded point clouds with known shape, some with the exact answer |
//! | [`mixture_to_map`] | the continuous Wasserstein-2 benchmark: a problem of any dimension with its true map |
//! | [`known_costs`] | problems with their true map for each cost |
//! | [`calibration`] | problems and maps with known truth, right and wrong, to judge the certificate by |
//! | [`metrics`] | L2-UVP, cosine, column statistics, nearest-class accuracy, pairs that are not monotone, crossings |
//! | [`frechet`] | the Fréchet distance between clouds of features |
//! | [`images`] | small pictures of one size, with their classes |
//! | [`spread`] | labels of a few points given to all others along the cloud |
//! | [`style`] | thickness and slant of handwriting, and how far they are kept |
//! | [`project`] | principal components of several clouds together, for pictures of `d > 2` |
//! | [`color`] | pictures as points: colour spaces, looks, look-up tables, histograms |
//! | [`discrete`] | couplings of finite clouds: exact, entropic, entropic with classes |
//! | [`baselines`] | what others do about colours: histogram matching, Reinhard, the linear map |
//! | [`figures`] | transport figure, flow strip, curves, densities, grids of images, each as PNG and SVG from one drawing |

pub mod baselines;
pub mod calibration;
#[cfg(feature = "latent")]
pub mod classifier;
pub mod color;
pub mod datasets;
pub mod discrete;
mod error;
pub mod figures;
pub mod frechet;
pub mod images;
pub mod known_costs;
#[cfg(feature = "latent")]
pub mod latent;
#[cfg(feature = "latent")]
pub mod lenet;
pub mod metrics;
pub mod mixture_to_map;
#[cfg(feature = "latent")]
pub mod neural;
pub mod project;
#[cfg(feature = "latent")]
pub mod shipped;
pub mod spread;
pub mod style;

pub use error::LabError;
pub use mixture_to_map::MixtureToMap;

/// Number of rows of a row-major `[n, dim]` slice, or an error that says why it is none.
pub(crate) fn rows(values: &[f64], dim: usize, what: &str) -> Result<usize, LabError> {
    if dim == 0 {
        return Err(LabError::Input(format!(
            "{what} has no columns; at least one is needed"
        )));
    }
    if !values.len().is_multiple_of(dim) {
        return Err(LabError::Input(format!(
            "{what} holds {} numbers, which is not a whole number of rows of {dim}",
            values.len()
        )));
    }
    Ok(values.len() / dim)
}

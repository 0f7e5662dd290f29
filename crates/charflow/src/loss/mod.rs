//! The losses: mismatch of the pushed and pulled clouds \[11, 12\], the Hamilton-Jacobi residuals \[13\], and their weighted sum \[14, 53\].

pub mod energy_distance;
pub mod objective;

pub use energy_distance::{energy_distance, mean_distance};
pub use objective::{Batch, Group, LossWeights, Objective, Values};

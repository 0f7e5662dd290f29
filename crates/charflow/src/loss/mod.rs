//! The losses: mismatch of the pushed and pulled clouds \[11, 12\], the Hamilton-Jacobi residuals \[13\], their weighted sum \[14, 53\],
//! and the dual value.

pub mod dual;
pub mod energy_distance;
pub mod objective;

pub use dual::{DualValues, DualWeights};
pub use energy_distance::{energy_distance, mean_distance};
pub use objective::{Batch, Group, LossWeights, Objective, Values};

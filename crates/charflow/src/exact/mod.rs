//! Transport problems whose answer is known in closed form: oracles for the tests, and baselines for the reports.
//!
//! | | problem | answer |
//! |---|---|---|
//! | [`gaussian`] | Gaussians, quadratic cost \[15, 21-23\] | [`GaussianMap`], [`GaussianPotential`] |
//! | [`rearrangement`] | `d = 1`, any convex cost | [`Rearrangement`] |
//! | [`translation`] | a cloud and its shift, any convex cost | [`Translation`] |
//! | [`mod@assignment`] | `n` against `n` points, any cost | [`assignment()`], [`wasserstein`] |

pub mod assignment;
pub mod gaussian;
pub mod rearrangement;
pub mod translation;

pub use assignment::{assignment, wasserstein};
pub use gaussian::{GaussianMap, GaussianPotential, MirroredGaussianMap};
pub use rearrangement::Rearrangement;
pub use translation::Translation;

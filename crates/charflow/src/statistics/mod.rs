//! What two sets of points say of two laws: used by every judge, defined once.
//!
//! | module | what |
//! |---|---|
//! | `cloud` | the points that take part, their weights and classes |
//! | `two_sample` | whether two clouds have one law: energy distance, its noise floor, and a test that looks at shape |
//! | `interval` | upper confidence bounds of means and shares |
//! | `marginal` | a lower bound of `W2` between two laws, in any dimension |
//! | `relabel` | signed masses under random relabellings, and quadratic forms of kernels under all of them at once |

pub(crate) mod cloud;
pub(crate) mod interval;
pub(crate) mod marginal;
mod relabel;
pub mod two_sample;

pub use two_sample::{Evidence, TwoSample, two_sample};

/// What JSON can hold.
pub(crate) fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

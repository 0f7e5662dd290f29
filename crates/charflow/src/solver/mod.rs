//! The solver: a problem goes in, a map comes out \[10\].
//!
//! - [`config`]: the settings.
//! - [`train`]: the loop.
//! - `optimiser`: Adam and SOAP.
//! - [`observer`]: how progress goes out and a wish to stop comes in.
//! - [`checkpoint`]: the state of a solve as a file; a resumed solve ends bit-identical to one never stopped.
//! - [`report`]: outcome, history, and what was chosen and why.

pub mod checkpoint;
pub mod config;
pub mod observer;
mod optimiser;
pub mod report;
pub mod train;

pub use checkpoint::Checkpoint;
pub use config::{Config, EFFORTS, PRESETS};
pub use observer::{Observer, Progress, Silent};
pub use report::{HistoryRow, Outcome, Report, Solution};
pub use train::NcfSolver;

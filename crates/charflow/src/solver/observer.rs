//! Progress goes out through an observer; the library never prints.

use super::checkpoint::Checkpoint;
use super::report::HistoryRow;
use crate::error::Result;

/// Where a solve stands. Handed out at every step: an observer that prints should look at the clock first.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Steps done.
    pub step: u64,
    /// Steps asked for.
    pub steps: u64,
    /// Seconds of this session.
    pub seconds: f64,
    /// Steps a second, of this session.
    pub rate: f64,
    /// The latest row of the history, if there is one.
    pub latest: Option<&'a HistoryRow>,
}

/// Watches a solve. All methods have an empty default.
pub trait Observer: Send {
    /// Called after every step.
    fn on_progress(&mut self, _progress: &Progress<'_>) {}
    /// Something worth saying: a preset's choice, a step back after a divergence.
    fn on_note(&mut self, _text: &str) {}
    /// Asked after every step; true ends the solve with [`Outcome::Interrupted`](super::Outcome::Interrupted).
    fn should_stop(&mut self) -> bool {
        false
    }
    /// Called with the full state every few seconds, and when the solve ends, however it ends.
    ///
    /// # Errors
    /// An error here ends the solve.
    fn on_checkpoint(&mut self, _checkpoint: &Checkpoint) -> Result<()> {
        Ok(())
    }
    /// Seconds between checkpoints.
    fn checkpoint_seconds(&self) -> f64 {
        10.0
    }
}

/// An observer that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}

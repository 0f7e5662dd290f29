//! One file a verb.

pub mod bench;
pub mod color;
pub mod data;
pub mod demo;
pub mod evaluate;
pub mod fit;
pub mod latent;
pub mod plot;
pub mod transport;

use crate::failure::{Failure, Result};

/// The threads of everything outside a solve, which has its own: results do not depend on them.
///
/// # Errors
/// The system does not give so many.
pub fn set_threads(threads: usize) -> Result<()> {
    if threads > 1024 {
        return Err(Failure::input(format!(
            "--threads {threads}: expected at most 1024, or 0 for all cores."
        )));
    }
    if threads == 0 {
        return Ok(());
    }
    // Set once a process; a second call (the demo fits too) finds it as it wants it.
    match rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
    {
        Ok(()) => Ok(()),
        Err(_) if rayon::current_num_threads() == threads => Ok(()),
        Err(e) => Err(Failure::input(format!("--threads {threads}: {e}."))),
    }
}

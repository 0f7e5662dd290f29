//! Ctrl-C, and the signals that ask a program to end.
//!
//! While a [`Guard`] lives, the first signal only sets a flag that the work looks at between steps; a second one, or one outside a guard, ends
//! the process at once. That is safe at any time: every file is written beside its place and renamed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Guards that live: they may be nested.
static GUARDED: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicBool = AtomicBool::new(false);

/// Begins to listen. Where the system does not allow that, signals end the process as they always do.
pub fn listen() {
    let _ = ctrlc::set_handler(|| {
        if GUARDED.load(Ordering::SeqCst) > 0 && !ASKED.swap(true, Ordering::SeqCst) {
            crate::terminal::tell("\nstopping after this step; press Ctrl-C again to stop at once");
        } else {
            std::process::exit(1);
        }
    });
}

/// Whether someone has asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// While it lives, the work promises to look at [`asked`].
pub struct Guard(());

impl Guard {
    /// From now on a signal is answered by the work.
    pub fn new() -> Self {
        GUARDED.fetch_add(1, Ordering::SeqCst);
        Guard(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        GUARDED.fetch_sub(1, Ordering::SeqCst);
    }
}

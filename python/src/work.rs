//! Where the work is done: without the interpreter's lock, on threads of our own, and never with a panic at the end.

use crate::errors::{bug, told};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The pool of this process, the number of threads that was asked for, and the process. That of another process is of no use: a child made by `fork` has the memory of its
/// parent's threads and not the threads, and would wait for them for ever. That is why rayon's global pool is not used, here or below.
static POOL: Mutex<Option<(u32, usize, Arc<ThreadPool>)>> = Mutex::new(None);

/// More threads are refused, as in the settings of a fit.
const MOST_THREADS: usize = 1024;

fn pool(threads: usize) -> charflow::Result<Arc<ThreadPool>> {
    let refused = |message: String| charflow::Error::Config {
        field: "threads".into(),
        message,
    };
    if threads > MOST_THREADS {
        return Err(refused(format!(
            "expected at most {MOST_THREADS}, or 0 for all cores, found {threads}"
        )));
    }
    let process = std::process::id();
    let mut kept = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    match kept.take() {
        Some((of, count, pool)) if of == process && count == threads => {
            *kept = Some((of, count, Arc::clone(&pool)));
            return Ok(pool);
        }
        // Not dropped: dropping talks to threads that are not there.
        Some((of, _, pool)) if of != process => std::mem::forget(pool),
        _ => {}
    }
    let made = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = Arc::new(made.map_err(|e| refused(e.to_string()))?);
    *kept = Some((process, threads, Arc::clone(&pool)));
    Ok(pool)
}

/// Does `work` without the interpreter's lock; its panic becomes an exception.
pub fn guarded<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> charflow::Result<T> + Send,
) -> PyResult<T> {
    let done = py.detach(|| catch_unwind(AssertUnwindSafe(work)));
    match done {
        Ok(result) => result.map_err(|e| told(py, e)),
        Err(payload) => Err(bug(py, payload.as_ref())),
    }
}

/// As [`guarded`], with so many threads for what is done in parallel; 0 for all cores.
pub fn parallel<T: Send>(
    py: Python<'_>,
    threads: usize,
    work: impl FnOnce() -> charflow::Result<T> + Send,
) -> PyResult<T> {
    guarded(py, || pool(threads)?.install(work))
}

/// Between two looks at signals.
pub const LOOK: Duration = Duration::from_millis(100);

/// As [`parallel`] for work that takes its time: an interrupt, or what another signal's handler raises, ends the waiting at once. The work itself goes on to its end on a thread of
/// its own, and what it found is dropped.
pub fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    threads: usize,
    work: impl FnOnce() -> charflow::Result<T> + Send + 'static,
) -> PyResult<T> {
    let (to, from) = channel();
    let spawned = std::thread::Builder::new().spawn(move || {
        let done = catch_unwind(AssertUnwindSafe(|| pool(threads)?.install(work)));
        // Nobody may be waiting any more.
        let _ = to.send(done);
    });
    if let Err(e) = spawned {
        return Err(told(
            py,
            charflow::Error::Config {
                field: "threads".into(),
                message: e.to_string(),
            },
        ));
    }
    // A receiver is for one thread at a time; the lock only says so.
    let from = Mutex::new(from);
    loop {
        let done = py.detach(|| {
            let from = from.lock().unwrap_or_else(PoisonError::into_inner);
            from.recv_timeout(LOOK)
        });
        match done {
            Ok(Ok(result)) => return result.map_err(|e| told(py, e)),
            Ok(Err(payload)) => return Err(bug(py, payload.as_ref())),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => return Err(bug(py, &"no answer")),
        }
    }
}

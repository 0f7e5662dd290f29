//! Where the work is done: without the interpreter's lock, on threads of our own, and never with a panic at the end.

use crate::errors::{bug, told};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// The pools of this process, by their number of threads as it was asked for. Those of another process are of no use: a child made by `fork` has the memory of its
/// parent's threads and not the threads, and would wait for them for ever. That is why rayon's global pool is not used.
static POOLS: Mutex<(u32, BTreeMap<usize, Arc<ThreadPool>>)> = Mutex::new((0, BTreeMap::new()));

fn pool(threads: usize) -> charflow::Result<Arc<ThreadPool>> {
    let mut guard = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    let (process, pools) = &mut *guard;
    if *process != std::process::id() {
        // Not dropped: dropping waits for threads that are not there.
        std::mem::forget(std::mem::take(pools));
        *process = std::process::id();
    }
    if let Some(pool) = pools.get(&threads) {
        return Ok(Arc::clone(pool));
    }
    let made = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = Arc::new(made.map_err(|e| charflow::Error::Config {
        field: "threads".into(),
        message: e.to_string(),
    })?);
    pools.insert(threads, Arc::clone(&pool));
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

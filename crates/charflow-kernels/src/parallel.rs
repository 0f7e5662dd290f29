//! A fixed division of work and a fixed order of summation, whatever the number of threads.
//!
//! Work is cut into a number of *shards* that does not depend on the machine. A shard owns its accumulator and goes
//! through its items in order; the accumulators are then added in order of their number. Threads only decide who runs a shard
//! and when, so sums are the same to the last bit on any number of threads.

use rayon::prelude::*;

/// Shards of every sum. More would balance better and cost more memory and adding.
pub const SHARDS: usize = 8;

/// Runs `work(item, shard state)` for each item; item `i` belongs to shard `i % states.len()`, and a shard's items run in order.
///
/// Must be called inside the thread pool that should do the work.
pub fn sharded<S: Send>(states: &mut [S], items: usize, work: impl Fn(usize, &mut S) + Sync) {
    let shards = states.len();
    states
        .par_iter_mut()
        .with_max_len(1)
        .enumerate()
        .for_each(|(shard, state)| {
            let mut item = shard;
            while item < items {
                work(item, state);
                item += shards;
            }
        });
}

/// `out[i] = sum over parts of part[i]`, added in the order of the parts; elements in parallel.
///
/// # Panics
/// If a part is shorter than `out`.
pub fn reduce<T: crate::Real>(parts: &[&[T]], out: &mut [T]) {
    const CHUNK: usize = 4096;
    assert!(parts.iter().all(|part| part.len() >= out.len()));
    out.par_chunks_mut(CHUNK).enumerate().for_each(|(c, out)| {
        let start = c * CHUNK;
        let n = out.len();
        out.fill(T::ZERO);
        for part in parts {
            for (o, &x) in out.iter_mut().zip(&part[start..start + n]) {
                *o += x;
            }
        }
    });
}

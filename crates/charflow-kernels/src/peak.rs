//! The machine's fused multiply-add rate, measured: what a share of peak is a share of.

use crate::Isa;
use crate::simd::{Simd, by_isa};
use std::time::Instant;

/// Independent sums in flight: more than the latency times the units of any processor in use, few enough for 16 registers.
const SUMS: usize = 12;

/// Floating-point operations a second of `threads` threads doing nothing but `f32` fused multiply-adds in registers, for about `seconds`.
///
/// The best of several short spells counts, since other work on the machine can only slow it down.
#[must_use]
pub fn fma_rate(isa: Isa, threads: usize, seconds: f64) -> f64 {
    const ROUNDS: usize = 200_000;
    let lanes = match isa.name() {
        "avx512" => 16,
        "avx2" => 8,
        _ => 4,
    };
    let work = (ROUNDS * SUMS * lanes * 2 * threads) as f64;
    let started = Instant::now();
    let mut best: f64 = 0.0;
    while started.elapsed().as_secs_f64() < seconds {
        let spell = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut out = 0.0f32;
                    // SAFETY: `out` is a good place for one number.
                    unsafe {
                        spin(
                            isa,
                            ROUNDS,
                            std::hint::black_box(0.999),
                            std::hint::black_box(0.001),
                            &raw mut out,
                        )
                    };
                    std::hint::black_box(out);
                });
            }
        });
        best = best.max(work / spell.elapsed().as_secs_f64());
    }
    best
}

/// # Safety
/// `out` is a good place for one number.
#[inline(always)]
unsafe fn spin_body<V: Simd<T = f32>>(rounds: usize, a: f32, b: f32, out: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let (a, b) = (V::splat(a), V::splat(b));
        let mut sums = [V::zero(); SUMS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = sum.fma(a, b);
            }
        }
        let mut total = V::zero();
        for sum in sums {
            total = total.add(sum);
        }
        *out = total.sum();
    }
}
by_isa!(spin<f32> = spin_body(rounds: usize, a: f32, b: f32, out: *mut f32));

//! The numbers under charflow. This crate knows nothing of transport: it multiplies small matrices, applies
//! activations, measures distances between points, and does each of these with the widest vectors the processor has.
//!
//! # Layout
//!
//! Samples are worked on in *blocks* of [`BLOCK`] = 48. Within a block a quantity with `h` features is stored
//! feature-major, `[h, 48]`: sample `s` of feature `i` at `i * 48 + s`. The samples are the vector lanes, so a
//! weight is broadcast and no activation is ever packed. 48 is a multiple of every lane count in use (2 to 16), three
//! AVX-512 vectors wide: three vectors by eight features fill 24 of the 32 registers with accumulators.
//!
//! | module | what |
//! |---|---|
//! | [`isa`] | which instruction set runs; `CHARFLOW_ISA` forces one |
//! | [`product`] | products of weights with a block, and outer products summed over a block |
//! | [`activation`] | softplus, tanh, celu with first and second derivatives |
//! | [`lanes`] | elementwise steps and sums of the sweeps |
//! | [`aligned`] | memory that begins on a cache line |
//! | [`distance`] | sums of pairwise distances and their gradients, by tiles |
//! | [`peak`] | the machine's multiply-add rate, to compare with |
//! | [`parallel`] | a fixed division of work and a fixed order of summation, whatever the number of threads |
//!
//! # Instruction sets
//!
//! Each routine is written once over the trait [`simd::Simd`] and compiled for AVX-512, AVX2 + FMA, and portable Rust.
//! The choice is made at run time. Results of different sets differ by rounding; results of one set are the same on
//! any number of threads.

pub mod activation;
pub mod aligned;
pub mod distance;
pub mod isa;
pub mod lanes;
pub mod parallel;
pub mod peak;
pub mod product;
pub mod real;
pub mod simd;

pub use aligned::Aligned;
pub use isa::Isa;
pub use real::Real;

/// Samples in a block. See the crate documentation.
pub const BLOCK: usize = 48;

/// Widths of matrices that are accumulated by outer products are padded to a multiple of this many numbers.
pub const PAD: usize = 16;

/// `n` rounded up to a multiple of [`PAD`].
#[must_use]
pub const fn padded(n: usize) -> usize {
    n.div_ceil(PAD) * PAD
}

/// The number of blocks that hold `n` samples.
#[must_use]
pub const fn blocks(n: usize) -> usize {
    n.div_ceil(BLOCK)
}

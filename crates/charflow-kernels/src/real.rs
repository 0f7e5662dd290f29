//! The two number types: `f32` for speed, `f64` for proof.

use crate::simd::{Lanes, Simd};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

/// Nobody else may implement `Real`: the kernels' `unsafe` relies on its two types and their vectors.
mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`, with the vector types that carry it in each instruction set.
pub trait Real:
    sealed::Sealed
    + Copy
    + Send
    + Sync
    + Default
    + PartialOrd
    + std::fmt::Debug
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + std::ops::MulAssign
    + crate::product::Multiply
    + 'static
{
    /// Vector of the AVX-512 path.
    type Avx512: Simd<T = Self>;
    /// Vector of the AVX2 path.
    type Avx2: Simd<T = Self>;
    /// Vector of the portable path.
    type Portable: Simd<T = Self>;

    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Distance from 1 to the next number.
    const EPSILON: Self;

    /// Rounded from `f64`.
    fn of(x: f64) -> Self;
    /// Exact in `f64`.
    fn f64(self) -> f64;
    /// Whether the number is neither infinite nor NaN.
    fn is_finite(self) -> bool;
}

impl Real for f32 {
    #[cfg(target_arch = "x86_64")]
    type Avx512 = __m512;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = __m256;
    #[cfg(not(target_arch = "x86_64"))]
    type Avx512 = Lanes<f32, 4>;
    #[cfg(not(target_arch = "x86_64"))]
    type Avx2 = Lanes<f32, 4>;
    type Portable = Lanes<f32, 4>;
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
    const EPSILON: f32 = f32::EPSILON;
    #[inline(always)]
    fn of(x: f64) -> f32 {
        x as f32
    }
    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }
    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }
}

impl Real for f64 {
    #[cfg(target_arch = "x86_64")]
    type Avx512 = __m512d;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = __m256d;
    #[cfg(not(target_arch = "x86_64"))]
    type Avx512 = Lanes<f64, 2>;
    #[cfg(not(target_arch = "x86_64"))]
    type Avx2 = Lanes<f64, 2>;
    type Portable = Lanes<f64, 2>;
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
    const EPSILON: f64 = f64::EPSILON;
    #[inline(always)]
    fn of(x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn f64(self) -> f64 {
        self
    }
    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }
}

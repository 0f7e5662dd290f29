//! One vector of lanes: the few operations the kernels are written in.
//!
//! A kernel is an `#[inline(always)]` function generic in `V: Simd`; the macro `by_isa!` compiles it
//! once per instruction set inside a function that enables that set's features, so the intrinsics below are inlined.

use crate::real::Real;

/// A vector of `N` numbers.
///
/// # Safety of the methods
/// Every method must be called only where the instruction set of the implementing type is available, which
/// `by_isa!` ensures. `load` and `store` further need `N` readable or writable numbers at the pointer; no
/// alignment is asked.
#[allow(clippy::missing_safety_doc)] // said once, above
pub trait Simd: Copy {
    /// The number type of a lane.
    type T: Real;
    /// Lanes.
    const N: usize;
    /// Rows of the accumulator tile that fit the registers beside three vectors of columns.
    const TILE_ROWS: usize;
    /// Rows of the accumulator tile of outer products, beside `OUTER_VECTORS` vectors of columns.
    const OUTER_ROWS: usize;
    /// Vectors of columns of the accumulator tile of outer products.
    const OUTER_VECTORS: usize;

    /// All lanes zero.
    unsafe fn zero() -> Self;
    /// All lanes `x`.
    unsafe fn splat(x: Self::T) -> Self;
    /// Lanes from memory.
    unsafe fn load(p: *const Self::T) -> Self;
    /// Lanes to memory.
    unsafe fn store(self, p: *mut Self::T);
    /// `self + b`.
    unsafe fn add(self, b: Self) -> Self;
    /// `self - b`.
    unsafe fn sub(self, b: Self) -> Self;
    /// `self * b`.
    unsafe fn mul(self, b: Self) -> Self;
    /// `self * b + c`, fused where the set has it.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// The larger; `b` where `self` is NaN.
    unsafe fn max(self, b: Self) -> Self;
    /// The smaller; `b` where `self` is NaN.
    unsafe fn min(self, b: Self) -> Self;
    /// Magnitude.
    unsafe fn abs(self) -> Self;
    /// `self > b ? x : y`, lane by lane.
    unsafe fn select_gt(self, b: Self, x: Self, y: Self) -> Self;
    /// `1 / self` to within 2 ulp, for normal positive numbers.
    unsafe fn recip(self) -> Self;
    /// `1 / sqrt(self)` to within 3 ulp, for normal positive numbers.
    unsafe fn rsqrt(self) -> Self;
    /// `self - floor(self)`, for magnitudes below 2^22.
    unsafe fn fraction(self) -> Self;
    /// `self 2^floor(y)` for lanes of `y` in -126 ..= 0.
    unsafe fn times_exp2_floor(self, y: Self) -> Self;
    /// Sum of the lanes, in a fixed order.
    unsafe fn sum(self) -> Self::T;
}

/// The portable vector: an array the compiler may keep in registers.
#[derive(Clone, Copy, Debug)]
pub struct Lanes<T, const N: usize>(pub [T; N]);

macro_rules! portable {
    ($t:ty, $n:literal, $exp2:expr) => {
        impl Simd for Lanes<$t, $n> {
            type T = $t;
            const N: usize = $n;
            const TILE_ROWS: usize = 3;
            const OUTER_ROWS: usize = 3;
            const OUTER_VECTORS: usize = 3;
            #[inline(always)]
            unsafe fn zero() -> Self {
                Lanes([0.0; $n])
            }
            #[inline(always)]
            unsafe fn splat(x: $t) -> Self {
                Lanes([x; $n])
            }
            #[inline(always)]
            unsafe fn load(p: *const $t) -> Self {
                // SAFETY: the caller owns N readable numbers at p.
                unsafe { Lanes(p.cast::<[$t; $n]>().read_unaligned()) }
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $t) {
                // SAFETY: the caller owns N writable numbers at p.
                unsafe { p.cast::<[$t; $n]>().write_unaligned(self.0) }
            }
            #[inline(always)]
            unsafe fn add(mut self, b: Self) -> Self {
                for i in 0..$n {
                    self.0[i] += b.0[i];
                }
                self
            }
            #[inline(always)]
            unsafe fn sub(mut self, b: Self) -> Self {
                for i in 0..$n {
                    self.0[i] -= b.0[i];
                }
                self
            }
            #[inline(always)]
            unsafe fn mul(mut self, b: Self) -> Self {
                for i in 0..$n {
                    self.0[i] *= b.0[i];
                }
                self
            }
            #[inline(always)]
            unsafe fn fma(mut self, b: Self, c: Self) -> Self {
                // Not `mul_add`: without the instruction that is a slow library call.
                for i in 0..$n {
                    self.0[i] = self.0[i] * b.0[i] + c.0[i];
                }
                self
            }
            #[inline(always)]
            unsafe fn max(mut self, b: Self) -> Self {
                for i in 0..$n {
                    self.0[i] = if self.0[i] > b.0[i] {
                        self.0[i]
                    } else {
                        b.0[i]
                    };
                }
                self
            }
            #[inline(always)]
            unsafe fn min(mut self, b: Self) -> Self {
                for i in 0..$n {
                    self.0[i] = if self.0[i] < b.0[i] {
                        self.0[i]
                    } else {
                        b.0[i]
                    };
                }
                self
            }
            #[inline(always)]
            unsafe fn abs(mut self) -> Self {
                for i in 0..$n {
                    self.0[i] = self.0[i].abs();
                }
                self
            }
            #[inline(always)]
            unsafe fn select_gt(mut self, b: Self, x: Self, y: Self) -> Self {
                for i in 0..$n {
                    self.0[i] = if self.0[i] > b.0[i] { x.0[i] } else { y.0[i] };
                }
                self
            }
            #[inline(always)]
            unsafe fn recip(mut self) -> Self {
                for i in 0..$n {
                    self.0[i] = 1.0 / self.0[i];
                }
                self
            }
            #[inline(always)]
            unsafe fn rsqrt(mut self) -> Self {
                for i in 0..$n {
                    self.0[i] = 1.0 / self.0[i].sqrt();
                }
                self
            }
            #[inline(always)]
            unsafe fn fraction(mut self) -> Self {
                for i in 0..$n {
                    self.0[i] -= self.0[i].floor();
                }
                self
            }
            #[inline(always)]
            unsafe fn times_exp2_floor(mut self, y: Self) -> Self {
                for i in 0..$n {
                    self.0[i] *= $exp2(y.0[i].floor());
                }
                self
            }
            #[inline(always)]
            unsafe fn sum(self) -> $t {
                let mut s = 0.0;
                for i in 0..$n {
                    s += self.0[i];
                }
                s
            }
        }
    };
}

portable!(f32, 4, |k: f32| f32::from_bits(
    ((k as i32 + 127) << 23) as u32
));
portable!(f64, 2, |k: f64| f64::from_bits(
    ((k as i64 + 1023) << 52) as u64
));

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use std::arch::x86_64::*;

    const FLOOR: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;

    // SAFETY, for every block in this module: the trait asks that methods are called only where the instruction set of
    // the implementing type is available, and that pointers handed to `load` and `store` are good for N numbers.

    impl Simd for __m512 {
        type T = f32;
        const N: usize = 16;
        const TILE_ROWS: usize = 8;
        const OUTER_ROWS: usize = 6;
        const OUTER_VECTORS: usize = 4;
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            // SAFETY: see the top of the module.
            unsafe { _mm512_storeu_ps(p, self) }
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_add_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn sub(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_sub_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn mul(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_mul_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn fma(self, b: Self, c: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_fmadd_ps(self, b, c) }
        }
        #[inline(always)]
        unsafe fn max(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_max_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn min(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_min_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn abs(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_abs_ps(self) }
        }
        #[inline(always)]
        unsafe fn select_gt(self, b: Self, x: Self, y: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(self, b), y, x) }
        }
        #[inline(always)]
        unsafe fn recip(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe {
                // 14 bits, then one Newton step: r (2 - x r). The divider would take 16 cycles a vector.
                let r = _mm512_rcp14_ps(self);
                let e = _mm512_fnmadd_ps(self, r, _mm512_set1_ps(1.0));
                _mm512_fmadd_ps(r, e, r)
            }
        }
        #[inline(always)]
        unsafe fn rsqrt(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe {
                // 14 bits, then one Newton step: r + r/2 (1 - x r^2).
                let r = _mm512_rsqrt14_ps(self);
                let xr = _mm512_mul_ps(self, r);
                let e = _mm512_fnmadd_ps(xr, r, _mm512_set1_ps(1.0));
                _mm512_fmadd_ps(_mm512_mul_ps(r, _mm512_set1_ps(0.5)), e, r)
            }
        }
        #[inline(always)]
        unsafe fn times_exp2_floor(self, y: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_scalef_ps(self, y) }
        }
        #[inline(always)]
        unsafe fn fraction(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_reduce_ps::<FLOOR>(self) }
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            // SAFETY: see the top of the module.
            unsafe { _mm512_reduce_add_ps(self) }
        }
    }

    impl Simd for __m512d {
        type T = f64;
        const N: usize = 8;
        const TILE_ROWS: usize = 8;
        const OUTER_ROWS: usize = 6;
        const OUTER_VECTORS: usize = 4;
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_setzero_pd() }
        }
        #[inline(always)]
        unsafe fn splat(x: f64) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_set1_pd(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f64) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_loadu_pd(p) }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f64) {
            // SAFETY: see the top of the module.
            unsafe { _mm512_storeu_pd(p, self) }
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_add_pd(self, b) }
        }
        #[inline(always)]
        unsafe fn sub(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_sub_pd(self, b) }
        }
        #[inline(always)]
        unsafe fn mul(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_mul_pd(self, b) }
        }
        #[inline(always)]
        unsafe fn fma(self, b: Self, c: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_fmadd_pd(self, b, c) }
        }
        #[inline(always)]
        unsafe fn max(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_max_pd(self, b) }
        }
        #[inline(always)]
        unsafe fn min(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_min_pd(self, b) }
        }
        #[inline(always)]
        unsafe fn abs(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_abs_pd(self) }
        }
        #[inline(always)]
        unsafe fn select_gt(self, b: Self, x: Self, y: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_mask_blend_pd(_mm512_cmp_pd_mask::<_CMP_GT_OQ>(self, b), y, x) }
        }
        #[inline(always)]
        unsafe fn recip(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_div_pd(_mm512_set1_pd(1.0), self) }
        }
        #[inline(always)]
        unsafe fn rsqrt(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_div_pd(_mm512_set1_pd(1.0), _mm512_sqrt_pd(self)) }
        }
        #[inline(always)]
        unsafe fn times_exp2_floor(self, y: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_scalef_pd(self, y) }
        }
        #[inline(always)]
        unsafe fn fraction(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm512_reduce_pd::<FLOOR>(self) }
        }
        #[inline(always)]
        unsafe fn sum(self) -> f64 {
            // SAFETY: see the top of the module.
            unsafe { _mm512_reduce_add_pd(self) }
        }
    }

    impl Simd for __m256 {
        type T = f32;
        const N: usize = 8;
        const TILE_ROWS: usize = 4;
        const OUTER_ROWS: usize = 4;
        const OUTER_VECTORS: usize = 3;
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            // SAFETY: see the top of the module.
            unsafe { _mm256_storeu_ps(p, self) }
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_add_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn sub(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_sub_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn mul(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_mul_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn fma(self, b: Self, c: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_fmadd_ps(self, b, c) }
        }
        #[inline(always)]
        unsafe fn max(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_max_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn min(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_min_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn abs(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), self) }
        }
        #[inline(always)]
        unsafe fn select_gt(self, b: Self, x: Self, y: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_GT_OQ>(self, b)) }
        }
        #[inline(always)]
        unsafe fn recip(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_div_ps(_mm256_set1_ps(1.0), self) }
        }
        #[inline(always)]
        unsafe fn rsqrt(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_div_ps(_mm256_set1_ps(1.0), _mm256_sqrt_ps(self)) }
        }
        #[inline(always)]
        unsafe fn times_exp2_floor(self, y: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe {
                let k = _mm256_cvtps_epi32(_mm256_round_ps::<FLOOR>(y));
                let k = _mm256_add_epi32(k, _mm256_set1_epi32(127));
                self.mul(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(k)))
            }
        }
        #[inline(always)]
        unsafe fn fraction(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_sub_ps(self, _mm256_round_ps::<FLOOR>(self)) }
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            // SAFETY: see the top of the module.
            unsafe {
                let h = _mm_add_ps(
                    _mm256_castps256_ps128(self),
                    _mm256_extractf128_ps::<1>(self),
                );
                let h = _mm_add_ps(h, _mm_movehl_ps(h, h));
                let h = _mm_add_ss(h, _mm_shuffle_ps::<1>(h, h));
                _mm_cvtss_f32(h)
            }
        }
    }

    impl Simd for __m256d {
        type T = f64;
        const N: usize = 4;
        const TILE_ROWS: usize = 4;
        const OUTER_ROWS: usize = 4;
        const OUTER_VECTORS: usize = 3;
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_setzero_pd() }
        }
        #[inline(always)]
        unsafe fn splat(x: f64) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_set1_pd(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f64) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_loadu_pd(p) }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f64) {
            // SAFETY: see the top of the module.
            unsafe { _mm256_storeu_pd(p, self) }
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_add_pd(self, b) }
        }
        #[inline(always)]
        unsafe fn sub(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_sub_pd(self, b) }
        }
        #[inline(always)]
        unsafe fn mul(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_mul_pd(self, b) }
        }
        #[inline(always)]
        unsafe fn fma(self, b: Self, c: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_fmadd_pd(self, b, c) }
        }
        #[inline(always)]
        unsafe fn max(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_max_pd(self, b) }
        }
        #[inline(always)]
        unsafe fn min(self, b: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_min_pd(self, b) }
        }
        #[inline(always)]
        unsafe fn abs(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_andnot_pd(_mm256_set1_pd(-0.0), self) }
        }
        #[inline(always)]
        unsafe fn select_gt(self, b: Self, x: Self, y: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_blendv_pd(y, x, _mm256_cmp_pd::<_CMP_GT_OQ>(self, b)) }
        }
        #[inline(always)]
        unsafe fn recip(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_div_pd(_mm256_set1_pd(1.0), self) }
        }
        #[inline(always)]
        unsafe fn rsqrt(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_div_pd(_mm256_set1_pd(1.0), _mm256_sqrt_pd(self)) }
        }
        #[inline(always)]
        unsafe fn times_exp2_floor(self, y: Self) -> Self {
            // SAFETY: see the top of the module.
            unsafe {
                let k = _mm256_cvtpd_epi32(_mm256_round_pd::<FLOOR>(y));
                let k = _mm256_add_epi64(_mm256_cvtepi32_epi64(k), _mm256_set1_epi64x(1023));
                self.mul(_mm256_castsi256_pd(_mm256_slli_epi64::<52>(k)))
            }
        }
        #[inline(always)]
        unsafe fn fraction(self) -> Self {
            // SAFETY: see the top of the module.
            unsafe { _mm256_sub_pd(self, _mm256_round_pd::<FLOOR>(self)) }
        }
        #[inline(always)]
        unsafe fn sum(self) -> f64 {
            // SAFETY: see the top of the module.
            unsafe {
                let h = _mm_add_pd(
                    _mm256_castpd256_pd128(self),
                    _mm256_extractf128_pd::<1>(self),
                );
                _mm_cvtsd_f64(_mm_add_sd(h, _mm_unpackhi_pd(h, h)))
            }
        }
    }
}

/// Compiles a kernel body for every instruction set and defines the function that picks one.
///
/// `by_isa!(name = body(a: A, b: B));` defines `unsafe fn name<T: Real>(isa: Isa, a: A, b: B)` which calls
/// `body::<V>(a, b)` with the vector type of `isa`.
///
/// The defined function is unsafe because `body` is: its demands on pointers pass on to the caller.
macro_rules! by_isa {
    ($name:ident = $body:ident($($arg:ident: $ty:ty),* $(,)?)) => {
        by_isa!($name<T: $crate::Real> [T] = $body($($arg: $ty),*));
    };
    ($name:ident<f32> = $body:ident($($arg:ident: $ty:ty),* $(,)?)) => {
        by_isa!($name<> [f32] = $body($($arg: $ty),*));
    };
    ($name:ident<f64> = $body:ident($($arg:ident: $ty:ty),* $(,)?)) => {
        by_isa!($name<> [f64] = $body($($arg: $ty),*));
    };
    ($name:ident<$($g:ident: $bound:path)?> [$t:ty] = $body:ident($($arg:ident: $ty:ty),*)) => {
        #[inline]
        unsafe fn $name<$($g: $bound)?>(isa: $crate::Isa, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
            unsafe fn wide<$($g: $bound)?>($($arg: $ty),*) {
                // SAFETY: the features are enabled here; the rest is the caller's promise.
                unsafe { $body::<<$t as $crate::Real>::Avx512>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn middle<$($g: $bound)?>($($arg: $ty),*) {
                // SAFETY: the features are enabled here; the rest is the caller's promise.
                unsafe { $body::<<$t as $crate::Real>::Avx2>($($arg),*) }
            }
            match isa.kind() {
                // SAFETY: an `Isa` exists only for a set that was detected, so the processor has it; the rest is the caller's promise.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Kind::Avx512 => unsafe { wide($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Kind::Avx2 => unsafe { middle($($arg),*) },
                // SAFETY: plain Rust; pointers are the caller's promise.
                _ => unsafe { $body::<<$t as $crate::Real>::Portable>($($arg),*) },
            }
        }
    };
}
pub(crate) use by_isa;

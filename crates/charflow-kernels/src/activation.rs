//! Activations with first and second derivatives.
//!
//! | activation | `f(z)` | `f'(z)` | `f''(z)` |
//! |---|---|---|---|
//! | softplus | `log(1 + exp(beta z)) / beta` | `1 / (1 + exp(-beta z))` | `beta f' (1 - f')` |
//! | tanh | `tanh z` | `1 - f^2` | `-2 f f'` |
//! | celu | `z` if `z > 0`, else `exp(z) - 1` | `1`, else `exp(z)` | `0`, else `exp(z)` |
//! | identity | `z` | `1` | `0` |
//!
//! In `f32` all of them are one exponential of a number `<= 0` and a short polynomial, without a branch; the errors against
//! `f64` are a few units in the last place of the larger of the value and 1. In `f64` they call the standard library.

use crate::simd::{Simd, by_isa};
use crate::{Isa, Real};

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `log(1 + exp(beta z)) / beta`.
    Softplus {
        /// Sharpness; the function tends to `max(z, 0)` as it grows.
        beta: f64,
    },
    /// Hyperbolic tangent.
    Tanh,
    /// `max(z, 0) + min(exp(z) - 1, 0)`.
    Celu,
    /// `z`.
    Identity,
}

/// Value, first and second derivative in `f64` by the standard library.
#[must_use]
pub fn exact(kind: Activation, z: f64) -> [f64; 3] {
    match kind {
        Activation::Softplus { beta } => {
            let e = (-(beta * z).abs()).exp();
            let r = 1.0 / (1.0 + e);
            let s = if z > 0.0 { r } else { e * r };
            [z.max(0.0) + e.ln_1p() / beta, s, beta * e * r * r]
        }
        Activation::Tanh => {
            let f = z.tanh();
            let s = 1.0 - f * f;
            [f, s, -2.0 * f * s]
        }
        Activation::Celu => {
            if z > 0.0 {
                [z, 1.0, 0.0]
            } else {
                [z.exp_m1(), z.exp(), z.exp()]
            }
        }
        Activation::Identity => [z, 1.0, 0.0],
    }
}

/// The type that evaluates activations: `f32` by vectors, `f64` by the standard library.
pub trait Activate: Real {
    /// See [`evaluate`].
    fn evaluate(
        isa: Isa,
        kind: Activation,
        scale: Self,
        z: &[Self],
        value: &mut [Self],
        first: &mut [Self],
        second: &mut [Self],
    );
}

/// `value += scale f(z)` with `value` given, `first = scale f'(z)`, `second = scale f''(z)`.
///
/// `value` holds what is added to (zero, or the residual connection). All slices have one length, a multiple of 16.
///
/// # Panics
/// If the lengths differ or are no multiple of 16.
#[inline]
pub fn evaluate<T: Activate>(
    isa: Isa,
    kind: Activation,
    scale: T,
    z: &[T],
    value: &mut [T],
    first: &mut [T],
    second: &mut [T],
) {
    let n = z.len();
    assert!(n.is_multiple_of(16) && value.len() == n && first.len() == n && second.len() == n);
    T::evaluate(isa, kind, scale, z, value, first, second);
}

impl Activate for f64 {
    fn evaluate(
        _: Isa,
        kind: Activation,
        scale: f64,
        z: &[f64],
        value: &mut [f64],
        first: &mut [f64],
        second: &mut [f64],
    ) {
        for i in 0..z.len() {
            let [f, s, c] = exact(kind, z[i]);
            value[i] += scale * f;
            first[i] = scale * s;
            second[i] = scale * c;
        }
    }
}

impl Activate for f32 {
    #[inline]
    fn evaluate(
        isa: Isa,
        kind: Activation,
        scale: f32,
        z: &[f32],
        value: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        // SAFETY: the caller (`evaluate`) checked that the slices have one length, a multiple of every lane count.
        unsafe {
            evaluate_by_isa(
                isa,
                kind,
                scale,
                z.len(),
                z.as_ptr(),
                value.as_mut_ptr(),
                first.as_mut_ptr(),
                second.as_mut_ptr(),
            );
        }
    }
}

/// `exp(x)` for `x <= 0`; 0 below -87.
///
/// `x = k ln 2 + r`, `|r| <= ln 2 / 2`, and Taylor's polynomial of degree 6 in `r`: the first term left out is below
/// 1.2e-7 relative.
#[inline(always)]
unsafe fn exp_nonpositive<V: Simd<T = f32>>(x: V) -> V {
    // SAFETY: the trait's promise is passed on to the caller.
    unsafe {
        let x = x.max(V::splat(-87.0));
        let k = x.mul(V::splat(std::f32::consts::LOG2_E)).round();
        // ln 2 in two parts, the first with trailing zeros, so that k times it is exact.
        let r = k.fma(V::splat(-0.693_359_4), x);
        let r = k.fma(V::splat(2.121_944_4e-4), r);
        let mut p = V::splat(1.0 / 720.0);
        p = p.fma(r, V::splat(1.0 / 120.0));
        p = p.fma(r, V::splat(1.0 / 24.0));
        p = p.fma(r, V::splat(1.0 / 6.0));
        p = p.fma(r, V::splat(0.5));
        p = p.fma(r, V::splat(1.0));
        p = p.fma(r, V::splat(1.0));
        p.mul(k.exp2_whole())
    }
}

/// `log(1 + e) / e` on `[0, 1]`: least-squares fit at Chebyshev nodes, absolute error of `log(1 + e)` below 6e-8.
const LOG1P: [f32; 10] = [
    1.0,
    -0.49999905,
    0.33330005,
    -0.24954559,
    0.19678117,
    -0.15311863,
    0.10614265,
    -0.0570642,
    0.019907162,
    -0.0032563785,
];

#[inline(always)]
unsafe fn log1p_unit<V: Simd<T = f32>>(e: V) -> V {
    // SAFETY: the trait's promise is passed on to the caller.
    unsafe {
        let mut p = V::splat(LOG1P[9]);
        for i in (0..9).rev() {
            p = p.fma(e, V::splat(LOG1P[i]));
        }
        p.mul(e)
    }
}

/// # Safety
/// All pointers good for `n` numbers, `n` a multiple of the lane count.
#[inline(always)]
unsafe fn evaluate_body<V: Simd<T = f32>>(
    kind: Activation,
    scale: f32,
    n: usize,
    z: *const f32,
    value: *mut f32,
    first: *mut f32,
    second: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let (zero, one) = (V::zero(), V::splat(1.0));
        let c = V::splat(scale);
        match kind {
            Activation::Softplus { beta } => {
                let b = V::splat(beta as f32);
                let per_b = V::splat((1.0 / beta) as f32);
                let curve = V::splat(beta as f32 * scale);
                for i in (0..n).step_by(V::N) {
                    let x = V::load(z.add(i));
                    let e = exp_nonpositive::<V>(zero.sub(x.mul(b).abs()));
                    let r = one.add(e).recip();
                    let er = e.mul(r);
                    let f = log1p_unit::<V>(e).fma(per_b, x.max(zero));
                    let s = x.select_gt(zero, r, er);
                    f.fma(c, V::load(value.add(i))).store(value.add(i));
                    s.mul(c).store(first.add(i));
                    er.mul(r).mul(curve).store(second.add(i));
                }
            }
            Activation::Tanh => {
                for i in (0..n).step_by(V::N) {
                    let x = V::load(z.add(i));
                    let a = x.abs();
                    let e = exp_nonpositive::<V>(a.mul(V::splat(-2.0)));
                    let r = one.add(e).recip();
                    // (1 - e) r loses the last digits for small a, where a - a^3/3 + 2a^5/15 has them.
                    let far = one.sub(e).mul(r);
                    let q = a.mul(a);
                    let mut near = V::splat(-17.0 / 315.0);
                    near = near.fma(q, V::splat(2.0 / 15.0));
                    near = near.fma(q, V::splat(-1.0 / 3.0));
                    let near = near.mul(q).fma(a, a);
                    let f = V::splat(0.2).select_gt(a, near, far);
                    let f = x.select_gt(zero, f, zero.sub(f));
                    // 1 - f^2 = 4 e r^2, without cancellation.
                    let s = e.mul(r).mul(r).mul(V::splat(4.0)).mul(c);
                    f.fma(c, V::load(value.add(i))).store(value.add(i));
                    s.store(first.add(i));
                    f.mul(s).mul(V::splat(-2.0)).store(second.add(i));
                }
            }
            Activation::Celu => {
                for i in (0..n).step_by(V::N) {
                    let x = V::load(z.add(i));
                    let e = exp_nonpositive::<V>(x.min(zero));
                    // e - 1 loses the last digits near 0; the absolute error stays below one rounding of 1.
                    let f = x.select_gt(zero, x, e.sub(one));
                    f.fma(c, V::load(value.add(i))).store(value.add(i));
                    x.select_gt(zero, one, e).mul(c).store(first.add(i));
                    x.select_gt(zero, zero, e).mul(c).store(second.add(i));
                }
            }
            Activation::Identity => {
                for i in (0..n).step_by(V::N) {
                    let x = V::load(z.add(i));
                    x.fma(c, V::load(value.add(i))).store(value.add(i));
                    c.store(first.add(i));
                    zero.store(second.add(i));
                }
            }
        }
    }
}
by_isa!(evaluate_by_isa<f32> = evaluate_body(kind: Activation, scale: f32, n: usize, z: *const f32, value: *mut f32, first: *mut f32, second: *mut f32));

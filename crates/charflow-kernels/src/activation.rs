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
use crate::{BLOCK, Isa, Real};

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
/// `value` holds what is added to (zero, or the residual connection). All slices have one length, a multiple of [`BLOCK`].
///
/// # Panics
/// If the lengths differ or are no multiple of [`BLOCK`].
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
    assert!(n.is_multiple_of(BLOCK) && value.len() == n && first.len() == n && second.len() == n);
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

/// Vectors worked on side by side: each is one long chain of dependent operations, and one chain alone leaves the units idle most of the time.
const ABREAST: usize = 3;

/// `exp(x)` for `x <= 0`; `exp(-40)`, about 4e-18, below -40.
///
/// The floor is far below one rounding of 1, which is all that the value is added to or multiplied with. Without it derivatives of far units are
/// so small that their products are denormal numbers, each of which costs the processor over a hundred cycles: a sharp softplus trained half as fast.
///
/// `x = k ln 2 + r`, `|r| <= ln 2 / 2`, and Taylor's polynomial of degree 6 in `r`: the first term left out is below
/// 1.2e-7 relative.
#[inline(always)]
unsafe fn exp_nonpositive<V: Simd<T = f32>, const K: usize>(x: [V; K]) -> [V; K] {
    const TAYLOR: [f32; 7] = [
        1.0,
        1.0,
        0.5,
        1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 120.0,
        1.0 / 720.0,
    ];
    // SAFETY: the trait's promise is passed on to the caller.
    unsafe {
        let (mut k, mut r, mut p) = (x, x, x);
        for i in 0..K {
            let x = x[i].max(V::splat(-40.0));
            k[i] = x.mul(V::splat(std::f32::consts::LOG2_E)).round();
            // ln 2 in two parts, the first with trailing zeros, so that k times it is exact.
            r[i] = k[i].fma(V::splat(-0.693_359_4), x);
            r[i] = k[i].fma(V::splat(2.121_944_4e-4), r[i]);
            p[i] = V::splat(TAYLOR[6]);
        }
        for c in (0..6).rev() {
            for i in 0..K {
                p[i] = p[i].fma(r[i], V::splat(TAYLOR[c]));
            }
        }
        for i in 0..K {
            p[i] = p[i].mul(k[i].exp2_whole());
        }
        p
    }
}

/// `log(1 + e) / e` on `[0, 1]`, interpolated at Chebyshev nodes: the absolute error of `log(1 + e)` is below 1.5e-7.
const LOG1P: [f32; 8] = [
    0.9999998,
    -0.4999745,
    0.33276176,
    -0.24499612,
    0.17757024,
    -0.10785368,
    0.044214193,
    -0.008574676,
];

/// `log(1 + e)` for `e` in `[0, 1]`.
#[inline(always)]
unsafe fn log1p_unit<V: Simd<T = f32>, const K: usize>(e: [V; K]) -> [V; K] {
    // SAFETY: the trait's promise is passed on to the caller.
    unsafe {
        let mut p = [V::splat(LOG1P[7]); K];
        for c in (0..7).rev() {
            for i in 0..K {
                p[i] = p[i].fma(e[i], V::splat(LOG1P[c]));
            }
        }
        for i in 0..K {
            p[i] = p[i].mul(e[i]);
        }
        p
    }
}

/// # Safety
/// All pointers good for `n` numbers, `n` a multiple of 48.
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
    const K: usize = ABREAST;
    // SAFETY: the caller's promise; 48 is a multiple of three vectors of any set.
    unsafe {
        let (zero, one) = (V::zero(), V::splat(1.0));
        let c = V::splat(scale);
        for start in (0..n).step_by(K * V::N) {
            let mut x = [zero; K];
            for i in 0..K {
                x[i] = V::load(z.add(start + i * V::N));
            }
            // f / scale, f' and f'' of each vector.
            let (mut f, mut s, mut b) = (x, x, x);
            match kind {
                Activation::Softplus { beta } => {
                    let sharp = V::splat(beta as f32);
                    let per_b = V::splat((1.0 / beta) as f32);
                    let curve = V::splat(beta as f32 * scale);
                    let mut e = x;
                    for i in 0..K {
                        e[i] = zero.sub(x[i].mul(sharp).abs());
                    }
                    let e = exp_nonpositive::<V, K>(e);
                    let log = log1p_unit::<V, K>(e);
                    for i in 0..K {
                        let r = one.add(e[i]).recip();
                        let er = e[i].mul(r);
                        f[i] = log[i].fma(per_b, x[i].max(zero));
                        s[i] = x[i].select_gt(zero, r, er).mul(c);
                        b[i] = er.mul(r).mul(curve);
                    }
                }
                Activation::Tanh => {
                    let mut e = x;
                    for i in 0..K {
                        e[i] = x[i].abs().mul(V::splat(-2.0));
                    }
                    let e = exp_nonpositive::<V, K>(e);
                    for i in 0..K {
                        let a = x[i].abs();
                        let r = one.add(e[i]).recip();
                        // (1 - e) r loses the last digits for small a, where a - a^3/3 + 2a^5/15 - ... has them.
                        let far = one.sub(e[i]).mul(r);
                        let q = a.mul(a);
                        let mut near = V::splat(-17.0 / 315.0);
                        near = near.fma(q, V::splat(2.0 / 15.0));
                        near = near.fma(q, V::splat(-1.0 / 3.0));
                        let near = near.mul(q).fma(a, a);
                        let size = V::splat(0.2).select_gt(a, near, far);
                        f[i] = x[i].select_gt(zero, size, zero.sub(size));
                        // 1 - f^2 = 4 e r^2, without cancellation.
                        s[i] = e[i].mul(r).mul(r).mul(V::splat(4.0)).mul(c);
                        b[i] = f[i].mul(s[i]).mul(V::splat(-2.0));
                    }
                }
                Activation::Celu => {
                    let mut e = x;
                    for i in 0..K {
                        e[i] = x[i].min(zero);
                    }
                    let e = exp_nonpositive::<V, K>(e);
                    for i in 0..K {
                        // e - 1 loses the last digits near 0; the absolute error stays below one rounding of 1.
                        f[i] = x[i].select_gt(zero, x[i], e[i].sub(one));
                        s[i] = x[i].select_gt(zero, one, e[i]).mul(c);
                        b[i] = x[i].select_gt(zero, zero, e[i]).mul(c);
                    }
                }
                Activation::Identity => {
                    for i in 0..K {
                        s[i] = c;
                        b[i] = zero;
                    }
                }
            }
            for i in 0..K {
                let at = start + i * V::N;
                f[i].fma(c, V::load(value.add(at))).store(value.add(at));
                s[i].store(first.add(at));
                b[i].store(second.add(at));
            }
        }
    }
}
by_isa!(evaluate_by_isa<f32> = evaluate_body(kind: Activation, scale: f32, n: usize, z: *const f32, value: *mut f32, first: *mut f32, second: *mut f32));

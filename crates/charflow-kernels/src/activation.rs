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

/// The bend `h = f'' / f'` of a scaled activation, which is how second derivatives enter: with `s = scale f'`, `scale f'' = s h`.
///
/// A softplus has `h = beta (1 - f') = beta - (beta / scale) s`, so nothing beside `s` needs to be kept. For the others `h` is written down.
#[derive(Clone, Copy, Debug)]
pub enum Bend<'a, T> {
    /// `h = line[0] + line[1] s`.
    Line([T; 2]),
    /// `h` itself.
    Given(&'a [T]),
}

/// The straight line `h = line[0] + line[1] s` of a scaled activation, see [`Bend`], if it has one: those without need [`evaluate`] to write `h`.
#[must_use]
pub fn bend_line<T: Real>(kind: Activation, scale: f64) -> Option<[T; 2]> {
    match kind {
        Activation::Softplus { beta } => Some([T::of(beta), T::of(-beta / scale)]),
        Activation::Identity => Some([T::ZERO; 2]),
        Activation::Tanh | Activation::Celu => None,
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
        plus: Option<&[Self]>,
        value: &mut [Self],
        first: &mut [Self],
        bend: Option<&mut [Self]>,
    );
}

/// `value = plus + scale f(z)`, `first = scale f'(z)`, `bend = f''(z) / f'(z)`.
///
/// `scale` is positive, `plus` the residual connection; `bend` is written if asked for. All slices have one length, a multiple of [`BLOCK`].
///
/// # Panics
/// If the lengths differ or are no multiple of [`BLOCK`].
#[inline]
pub fn evaluate<T: Activate>(
    isa: Isa,
    kind: Activation,
    scale: T,
    z: &[T],
    plus: Option<&[T]>,
    value: &mut [T],
    first: &mut [T],
    bend: Option<&mut [T]>,
) {
    T::evaluate(isa, kind, scale, z, plus, value, first, bend);
}

impl Activate for f64 {
    fn evaluate(
        _: Isa,
        kind: Activation,
        scale: f64,
        z: &[f64],
        plus: Option<&[f64]>,
        value: &mut [f64],
        first: &mut [f64],
        mut bend: Option<&mut [f64]>,
    ) {
        let n = z.len();
        assert!(n.is_multiple_of(BLOCK) && value.len() == n && first.len() == n);
        for i in 0..n {
            let [f, s, _] = exact(kind, z[i]);
            value[i] = plus.map_or(0.0, |x| x[i]) + scale * f;
            first[i] = scale * s;
            if let Some(bend) = &mut bend {
                bend[i] = match kind {
                    Activation::Softplus { beta } => beta * (1.0 - s),
                    Activation::Tanh => -2.0 * f,
                    Activation::Celu => f64::from(u8::from(z[i] <= 0.0)),
                    Activation::Identity => 0.0,
                };
            }
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
        plus: Option<&[f32]>,
        value: &mut [f32],
        first: &mut [f32],
        bend: Option<&mut [f32]>,
    ) {
        let n = z.len();
        assert!(n.is_multiple_of(BLOCK) && value.len() == n && first.len() == n);
        assert!(plus.is_none_or(|x| x.len() == n) && bend.as_ref().is_none_or(|x| x.len() == n));
        // SAFETY: the slices have one length, a multiple of every lane count.
        unsafe {
            evaluate_by_isa(
                isa,
                kind,
                scale,
                n,
                z.as_ptr(),
                plus.map_or(std::ptr::null(), <[f32]>::as_ptr),
                value.as_mut_ptr(),
                first.as_mut_ptr(),
                bend.map_or(std::ptr::null_mut(), <[f32]>::as_mut_ptr),
            );
        }
    }
}

/// Vectors worked on side by side: each is one long chain of dependent operations, and one chain alone leaves the units idle most of the time.
const ABREAST: usize = 3;

/// `2^x` on `[0, 1]`: the relative error is below 1e-7, that of its roundings aside.
const EXP2: [f32; 6] = [
    0.999_999_94,
    0.693_153_1,
    0.240_153_62,
    0.055_826_318,
    0.008_989_34,
    0.001_877_576_7,
];

/// `exp(per x)` for `per x <= 0`; `2^-58`, about 3e-18, below -40.2.
///
/// The floor is far below one rounding of 1, which is all that the value is added to or multiplied with. Without it derivatives of far units are so
/// small that their products are denormal numbers, each of which costs the processor over a hundred cycles.
///
/// With `y = x per / ln 2 = k + r`, `k` whole, `0 <= r <= 1`: `2^k` times a polynomial of degree 5 in `r`. `y` is rounded to its last place, which moves
/// the value by at most 4e-8.
#[inline(always)]
unsafe fn exp_nonpositive<V: Simd<T = f32>, const K: usize>(x: [V; K], per: f32) -> [V; K] {
    // SAFETY: the trait's promise is passed on to the caller.
    unsafe {
        let (mut y, mut r, mut p) = (x, x, x);
        let per = V::splat(per * std::f32::consts::LOG2_E);
        for i in 0..K {
            // In this order a NaN stays one.
            y[i] = V::splat(-58.0).max(x[i].mul(per));
            r[i] = y[i].fraction();
            p[i] = V::splat(EXP2[5]);
        }
        for c in (0..5).rev() {
            for i in 0..K {
                p[i] = p[i].fma(r[i], V::splat(EXP2[c]));
            }
        }
        for i in 0..K {
            p[i] = p[i].times_exp2_floor(y[i]);
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
/// `z`, `value`, `first` good for `n` numbers, `plus` and `bend` null or the same, `n` a multiple of 48.
#[inline(always)]
unsafe fn evaluate_body<V: Simd<T = f32>>(
    kind: Activation,
    scale: f32,
    n: usize,
    z: *const f32,
    plus: *const f32,
    value: *mut f32,
    first: *mut f32,
    bend: *mut f32,
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
            // scale f, scale f' and f'' / f' of each vector.
            let (mut f, mut s, mut h) = (x, x, x);
            match kind {
                Activation::Softplus { beta } => {
                    let beta = beta as f32;
                    let per_b = V::splat(scale / beta);
                    let per_scale = V::splat(1.0 / scale);
                    let mut e = x;
                    for i in 0..K {
                        e[i] = x[i].abs();
                    }
                    let e = exp_nonpositive::<V, K>(e, -beta);
                    let log = log1p_unit::<V, K>(e);
                    for i in 0..K {
                        // scale / (1 + e): the factor costs nothing inside the sum.
                        let r = e[i].fma(per_scale, per_scale).recip();
                        let mut ramp = zero.max(x[i]);
                        if scale != 1.0 {
                            ramp = ramp.mul(c);
                        }
                        f[i] = log[i].fma(per_b, ramp);
                        s[i] = r.mul(x[i].select_gt(zero, one, e[i]));
                        if !bend.is_null() {
                            h[i] = s[i].fma(V::splat(-beta / scale), V::splat(beta));
                        }
                    }
                }
                Activation::Tanh => {
                    let mut e = x;
                    for i in 0..K {
                        e[i] = x[i].abs();
                    }
                    let e = exp_nonpositive::<V, K>(e, -2.0);
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
                        let value = x[i].select_gt(zero, size, zero.sub(size));
                        f[i] = value.mul(c);
                        // 1 - f^2 = 4 e r^2, without cancellation.
                        s[i] = e[i].mul(r).mul(r).mul(V::splat(4.0)).mul(c);
                        h[i] = value.mul(V::splat(-2.0));
                    }
                }
                Activation::Celu => {
                    let mut e = x;
                    for i in 0..K {
                        e[i] = zero.min(x[i]);
                    }
                    let e = exp_nonpositive::<V, K>(e, 1.0);
                    for i in 0..K {
                        // e - 1 loses the last digits near 0; the absolute error stays below two roundings of 1.
                        f[i] = x[i].select_gt(zero, x[i], e[i].sub(one)).mul(c);
                        s[i] = x[i].select_gt(zero, one, e[i]).mul(c);
                        h[i] = x[i].select_gt(zero, zero, one);
                    }
                }
                Activation::Identity => {
                    for i in 0..K {
                        f[i] = x[i].mul(c);
                        s[i] = c;
                        h[i] = zero;
                    }
                }
            }
            for i in 0..K {
                let at = start + i * V::N;
                if !plus.is_null() {
                    f[i] = f[i].add(V::load(plus.add(at)));
                }
                f[i].store(value.add(at));
                s[i].store(first.add(at));
                if !bend.is_null() {
                    h[i].store(bend.add(at));
                }
            }
        }
    }
}
by_isa!(evaluate_by_isa<f32> = evaluate_body(kind: Activation, scale: f32, n: usize, z: *const f32, plus: *const f32, value: *mut f32, first: *mut f32, bend: *mut f32));

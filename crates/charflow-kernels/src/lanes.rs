//! Elementwise steps and sums of the sweeps, as far as they do not end a product ([`crate::product::Finish`]).
//!
//! All blocks are feature-major, `[rows, 48]`; slices in one call have one length, a multiple of [`BLOCK`].

use crate::simd::{Simd, by_isa};
use crate::{BLOCK, Isa, Real};

fn same<T>(n: usize, slices: &[&[T]]) {
    assert!(
        n.is_multiple_of(BLOCK) && slices.iter().all(|s| s.len() == n),
        "blocks of different sizes"
    );
}

/// Defines an elementwise kernel: `out[i] = f(inputs[i])`, where `f` may read `out[i]` as `o`.
macro_rules! elementwise {
    ($(#[$doc:meta])* $name:ident, $isa:ident, $body:ident, ($($x:ident),+), $o:ident => $f:expr) => {
        $(#[$doc])*
        ///
        /// # Panics
        /// If the lengths differ or are no multiple of [`BLOCK`].
        #[inline]
        pub fn $name<T: Real>(isa: Isa, $($x: &[T],)+ out: &mut [T]) {
            same(out.len(), &[$($x),+]);
            // SAFETY: all slices have the length of `out`, a multiple of every lane count.
            unsafe { $isa(isa, out.len(), $($x.as_ptr(),)+ out.as_mut_ptr()) }
        }

        /// # Safety
        /// All pointers good for `n` numbers, `n` a multiple of the lane count.
        #[inline(always)]
        unsafe fn $body<V: Simd>(n: usize, $($x: *const V::T,)+ out: *mut V::T) {
            for i in (0..n).step_by(V::N) {
                // SAFETY: the caller's promise.
                unsafe {
                    $(let $x = V::load($x.add(i));)+
                    #[allow(unused_variables)]
                    let $o = V::load(out.add(i));
                    ($f).store(out.add(i));
                }
            }
        }
        by_isa!($isa = $body(n: usize, $($x: *const T,)+ out: *mut T));
    };
}

elementwise! {
    /// `out = 2 a b`.
    cross, cross_isa, cross_body, (a, b), o => a.add(a).mul(b)
}
elementwise! {
    /// `out = 2 (a b + c d)`.
    cross_pair, cross_pair_isa, cross_pair_body, (a, b, c, d), o => {
        let s = a.fma(b, c.mul(d));
        s.add(s)
    }
}

/// `out[r, s] = a[r, s] w[s]`: `a, out: [rows, 48]`, `w: [48]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn scale_samples<T: Real>(isa: Isa, a: &[T], w: &[T], out: &mut [T]) {
    same(out.len(), &[a]);
    assert!(w.len() >= BLOCK);
    // SAFETY: the lengths were checked.
    unsafe {
        scale_samples_isa(
            isa,
            a.len() / BLOCK,
            a.as_ptr(),
            w.as_ptr(),
            out.as_mut_ptr(),
        );
    }
}

/// # Safety
/// `a, out: [rows, 48]`, `w: [48]`.
#[inline(always)]
unsafe fn scale_samples_body<V: Simd>(rows: usize, a: *const V::T, w: *const V::T, out: *mut V::T) {
    for s in (0..BLOCK).step_by(V::N) {
        // SAFETY: the caller's promise.
        unsafe {
            let x = V::load(w.add(s));
            for r in 0..rows {
                x.mul(V::load(a.add(r * BLOCK + s)))
                    .store(out.add(r * BLOCK + s));
            }
        }
    }
}
by_isa!(scale_samples_isa = scale_samples_body(rows: usize, a: *const T, w: *const T, out: *mut T));

/// `out[s] += sum_r f[r] a[r, s]`: `f: [rows]`, `a: [rows, 48]`, `out: [48]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn weighted_sum<T: Real>(isa: Isa, f: &[T], a: &[T], out: &mut [T]) {
    assert!(out.len() >= BLOCK && a.len() == f.len() * BLOCK);
    // SAFETY: the lengths were checked.
    unsafe { weighted_sum_isa(isa, f.len(), f.as_ptr(), a.as_ptr(), out.as_mut_ptr()) }
}

/// # Safety
/// `f: [rows]`, `a: [rows, 48]`, `out: [48]`.
#[inline(always)]
unsafe fn weighted_sum_body<V: Simd>(rows: usize, f: *const V::T, a: *const V::T, out: *mut V::T) {
    for s in (0..BLOCK).step_by(V::N) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut acc = V::load(out.add(s));
            for r in 0..rows {
                acc = V::splat(*f.add(r)).fma(V::load(a.add(r * BLOCK + s)), acc);
            }
            acc.store(out.add(s));
        }
    }
}
by_isa!(weighted_sum_isa = weighted_sum_body(rows: usize, f: *const T, a: *const T, out: *mut T));

/// `out[r] += sum_s (a[r, s] w[s] + b[r, s])`: `a, b: [rows, 48]`, `w: [48]`, `out: [rows]`; without `b` its term is zero.
///
/// # Panics
/// If the lengths do not fit.
pub fn row_sums_add<T: Real>(isa: Isa, a: &[T], w: &[T], b: Option<&[T]>, out: &mut [T]) {
    assert!(w.len() >= BLOCK && a.len() == out.len() * BLOCK);
    assert!(b.is_none_or(|b| b.len() == a.len()));
    // SAFETY: the lengths were checked.
    unsafe {
        row_sums_isa(
            isa,
            out.len(),
            a.as_ptr(),
            w.as_ptr(),
            b.map_or(std::ptr::null(), <[T]>::as_ptr),
            out.as_mut_ptr(),
        );
    }
}

/// # Safety
/// `a: [rows, 48]`, `w: [48]`, `b: [rows, 48]` or null, `out: [rows]`.
#[inline(always)]
unsafe fn row_sums_body<V: Simd>(
    rows: usize,
    a: *const V::T,
    w: *const V::T,
    b: *const V::T,
    out: *mut V::T,
) {
    for r in 0..rows {
        // SAFETY: the caller's promise.
        unsafe {
            let mut acc = V::zero();
            for s in (0..BLOCK).step_by(V::N) {
                acc = V::load(a.add(r * BLOCK + s)).fma(V::load(w.add(s)), acc);
                if !b.is_null() {
                    acc = acc.add(V::load(b.add(r * BLOCK + s)));
                }
            }
            *out.add(r) += acc.sum();
        }
    }
}
by_isa!(row_sums_isa = row_sums_body(rows: usize, a: *const T, w: *const T, b: *const T, out: *mut T));

/// The parameters of one Adam update, bias corrections included.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Factor on the gradient (the clip).
    pub clip: f32,
    /// Learning rate divided by `1 - beta1^k`.
    pub rate: f32,
    /// `1 / (1 - beta2^k)`.
    pub correction: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decay of the averaged parameters: `ema = decay ema + (1 - decay) theta`.
    pub ema_decay: f32,
}

/// One Adam update of parameters, moments and their running average (Kingma and Ba 2015).
///
/// Plain Rust: it is a thousandth of a step's time.
///
/// # Panics
/// If the lengths differ.
pub fn adam(
    step: AdamStep,
    gradient: &[f32],
    theta: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
    ema: &mut [f32],
) {
    let n = gradient.len();
    assert!(theta.len() == n && m.len() == n && v.len() == n && ema.len() == n);
    for i in 0..n {
        let g = gradient[i] * step.clip;
        m[i] = step.beta1 * m[i] + (1.0 - step.beta1) * g;
        v[i] = step.beta2 * v[i] + (1.0 - step.beta2) * g * g;
        theta[i] -= step.rate * m[i] / ((v[i] * step.correction).sqrt() + step.epsilon);
        ema[i] = step.ema_decay * ema[i] + (1.0 - step.ema_decay) * theta[i];
    }
}

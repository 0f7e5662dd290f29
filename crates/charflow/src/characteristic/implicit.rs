//! The implicit solution formula \[9\] as a loss \[13\], and its terminal twin (paper, B.4).
//!
//! With `p = grad u(x, t)`, `v = V(p)`, a foot `x0 = x - t v` and a head `z = x + (1 - t) v`:
//!
//! ```text
//! r  = u(x, t) - u(x0, 0) - t l(v)              rb = u(x, t) - u(z, 1) + (1 - t) l(v)
//! ```
//!
//! Both vanish for the viscosity solution where characteristics do not cross. The loss is the mean of `r^2` over collocation points.
//! Since `grad l(V(p)) = p`, the seeds are
//!
//! ```text
//! dr/du(x,t) = 1     dr/du(x0,0) = -1     dr/dp  = t H''(p) [grad u(x0, 0) - p]
//! drb/du(x,t) = 1    drb/du(z,1) = -1     drb/dp = (1 - t) H''(p) [p - grad u(z, 1)]
//! ```

use super::flow::{Columns, Velocity};
use crate::potential::{BLOCK, Potential, Scalar};
use charflow_kernels::Aligned;

/// Which end of the characteristic the formula is anchored at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The foot, at time 0: the paper's \[9\].
    Initial,
    /// The head, at time 1: the terminal twin.
    Terminal,
}

/// Memory of one worker.
pub struct ImplicitWork<P: Potential<T>, T: Scalar> {
    here: P::Tape,
    there: P::Tape,
    u: [T; BLOCK],
    gradient: Vec<T>,
    u_end: [T; BLOCK],
    gradient_end: Vec<T>,
    x_end: Vec<T>,
    v: Vec<T>,
    l: [T; BLOCK],
    w: Vec<T>,
    hw: Vec<T>,
    ubar: [T; BLOCK],
    ubar_end: [T; BLOCK],
    seed: Aligned<T>,
    columns: Columns,
}

impl<P: Potential<T>, T: Scalar> ImplicitWork<P, T> {
    /// For the given potential.
    pub fn new(potential: &P) -> Self {
        let d = potential.dim();
        let block = || vec![T::ZERO; (d + 1) * BLOCK];
        ImplicitWork {
            here: potential.tape(),
            there: potential.tape(),
            u: [T::ZERO; BLOCK],
            gradient: block(),
            u_end: [T::ZERO; BLOCK],
            gradient_end: block(),
            x_end: block(),
            v: block(),
            l: [T::ZERO; BLOCK],
            w: block(),
            hw: block(),
            ubar: [T::ZERO; BLOCK],
            ubar_end: [T::ZERO; BLOCK],
            seed: Aligned::zeros((d + 1) * BLOCK),
            columns: Columns::new(d),
        }
    }
}

/// The residuals of one block of collocation points, weighted and summed: `sum_s weight_s r_s^2`, for each anchor asked for.
///
/// `x: [d + 1, 48]`; `weight: [48]`, zero for columns that hold no point. With `into`, the gradient of `sum_a lambda_a sum_s weight_s r_s^2` is
/// added to it. Returns the weighted sums of squares for (initial, terminal), zero where `lambda` is zero, and the same of `|r|`.
pub fn block<P: Potential<T>, T: Scalar>(
    potential: &P,
    cost: Velocity<'_>,
    x: &[T],
    weight: &[T],
    lambda: [f64; 2],
    into: Option<&mut [T]>,
    work: &mut P::Workspace,
    own: &mut ImplicitWork<P, T>,
) -> ([f64; 2], [f64; 2]) {
    let d = potential.dim();
    let n = d * BLOCK;
    let t = &x[n..n + BLOCK];
    potential.forward(x, &mut own.here, work, &mut own.u);
    potential.reverse(&mut own.here, work, &mut own.gradient);
    cost.velocity(&own.gradient, &mut own.v, &mut own.columns);
    cost.cost(&own.v, &mut own.l, &mut own.columns);
    own.ubar.fill(T::ZERO);
    own.seed.fill(T::ZERO);
    let mut squares = [0.0; 2];
    let mut sizes = [0.0; 2];
    let mut into = into;
    for anchor in [Anchor::Initial, Anchor::Terminal] {
        let which = anchor as usize;
        if lambda[which] == 0.0 {
            continue;
        }
        // x_end = x - tau v, at time `end`, with tau = t or t - 1.
        let end = match anchor {
            Anchor::Initial => T::ZERO,
            Anchor::Terminal => T::ONE,
        };
        for k in 0..d {
            for s in 0..BLOCK {
                let i = k * BLOCK + s;
                own.x_end[i] = x[i] - (t[s] - end) * own.v[i];
            }
        }
        own.x_end[n..n + BLOCK].fill(end);
        potential.forward(&own.x_end, &mut own.there, work, &mut own.u_end);
        for s in 0..BLOCK {
            let r = own.u[s] - own.u_end[s] - (t[s] - end) * own.l[s];
            let w = weight[s].f64();
            // A column without a point may hold anything, even what is not finite.
            let r = if w == 0.0 { T::ZERO } else { r };
            squares[which] += w * r.f64() * r.f64();
            sizes[which] += w * r.f64().abs();
            let q = T::of(2.0 * lambda[which] * w) * r;
            own.ubar[s] += q;
            own.ubar_end[s] = -q;
        }
        if let Some(into) = into.as_deref_mut() {
            potential.reverse(&mut own.there, work, &mut own.gradient_end);
            for i in 0..n {
                own.w[i] = own.gradient_end[i] - own.gradient[i];
            }
            cost.hessian_vec(&own.gradient, &own.w, &mut own.hw, &mut own.columns);
            for k in 0..d {
                for s in 0..BLOCK {
                    let i = k * BLOCK + s;
                    // (t - end) covers both anchors: dr/dp = (t - end) H'' [grad u(x_end) - p].
                    own.seed[i] += -own.ubar_end[s] * (t[s] - end) * own.hw[i];
                }
            }
            potential.accumulate(&mut own.there, work, &own.ubar_end, None, into);
        }
    }
    if let Some(into) = into {
        potential.accumulate(&mut own.here, work, &own.ubar, Some(&own.seed), into);
    }
    (squares, sizes)
}

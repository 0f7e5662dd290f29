//! The Hamilton-Jacobi equation itself \[5\] as a loss: the HJ-PINN ablation.
//!
//! ```text
//! r = u_t + H(grad u)        dr/du_t = 1        dr/dp = V(p)
//! ```

use super::flow::{Columns, Velocity};
use crate::potential::{BLOCK, Potential, Scalar};

/// Memory of one worker.
pub struct PdeWork<P: Potential<T>, T: Scalar> {
    tape: P::Tape,
    u: [T; BLOCK],
    gradient: Vec<T>,
    h: [T; BLOCK],
    seed: Vec<T>,
    columns: Columns,
}

impl<P: Potential<T>, T: Scalar> PdeWork<P, T> {
    /// For the given potential.
    pub fn new(potential: &P) -> Self {
        let d = potential.dim();
        PdeWork {
            tape: potential.tape(),
            u: [T::ZERO; BLOCK],
            gradient: vec![T::ZERO; (d + 1) * BLOCK],
            h: [T::ZERO; BLOCK],
            seed: vec![T::ZERO; (d + 1) * BLOCK],
            columns: Columns::new(d),
        }
    }
}

/// `sum_s weight_s r_s^2` of one block; with `into`, adds the gradient of `lambda` times that.
///
/// `x: [d + 1, 48]`, `weight: [48]`, zero for columns that hold no point.
pub fn block<P: Potential<T>, T: Scalar>(
    potential: &P,
    cost: Velocity<'_>,
    x: &[T],
    weight: &[T],
    lambda: f64,
    into: Option<&mut [T]>,
    work: &mut P::Workspace,
    own: &mut PdeWork<P, T>,
) -> f64 {
    let d = potential.dim();
    let n = d * BLOCK;
    potential.forward(x, &mut own.tape, work, &mut own.u);
    potential.reverse(&mut own.tape, work, &mut own.gradient);
    cost.hamiltonian(&own.gradient, &mut own.h, &mut own.columns);
    cost.velocity(&own.gradient, &mut own.seed, &mut own.columns);
    let mut sum = 0.0;
    for s in 0..BLOCK {
        let w = weight[s].f64();
        let r = if w == 0.0 {
            T::ZERO
        } else {
            own.gradient[n + s] + own.h[s]
        };
        sum += w * r.f64() * r.f64();
        own.u[s] = T::of(2.0 * lambda * w) * r;
    }
    if let Some(into) = into {
        for k in 0..d {
            for s in 0..BLOCK {
                own.seed[k * BLOCK + s] *= own.u[s];
            }
        }
        own.seed[n..n + BLOCK].copy_from_slice(&own.u);
        own.u.fill(T::ZERO);
        potential.accumulate(&mut own.tape, work, &own.u, Some(&own.seed), into);
    }
    sum
}

//! Velocities along characteristics, block by block.
//!
//! ```text
//! v_s = V(p_s) = grad H(p_s)        p, v: [d, 48], one column a sample
//! ```
//!
//! A cost is written for one point in `f64`. For the quadratic cost these functions copy; for others a column is gathered, handed to the
//! cost, and scattered (`cargo bench --bench step` prints what that takes).

use crate::cost::{Cost, is_quadratic};
use crate::potential::{BLOCK, Scalar};

/// Memory for one gathered column.
#[derive(Debug)]
pub struct Columns {
    a: Vec<f64>,
    b: Vec<f64>,
    c: Vec<f64>,
}

impl Columns {
    /// For points of dimension `d`.
    #[must_use]
    pub fn new(d: usize) -> Self {
        Columns {
            a: vec![0.0; d],
            b: vec![0.0; d],
            c: vec![0.0; d],
        }
    }
}

fn gather<T: Scalar>(block: &[T], s: usize, column: &mut [f64]) {
    for (k, x) in column.iter_mut().enumerate() {
        *x = block[k * BLOCK + s].f64();
    }
}

fn scatter<T: Scalar>(column: &[f64], s: usize, block: &mut [T]) {
    for (k, &x) in column.iter().enumerate() {
        block[k * BLOCK + s] = T::of(x);
    }
}

/// A cost with what the blocks need to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Velocity<'a> {
    cost: &'a dyn Cost,
    quadratic: bool,
    dim: usize,
}

impl<'a> Velocity<'a> {
    /// The velocity field of `cost` in `d` dimensions.
    #[must_use]
    pub fn new(cost: &'a dyn Cost, dim: usize) -> Self {
        Velocity {
            quadratic: is_quadratic(cost),
            cost,
            dim,
        }
    }

    /// `v = V(p)`; `p, v: [d, 48]` (longer slices are cut).
    pub fn velocity<T: Scalar>(&self, p: &[T], v: &mut [T], columns: &mut Columns) {
        let n = self.dim * BLOCK;
        if self.quadratic {
            v[..n].copy_from_slice(&p[..n]);
            return;
        }
        for s in 0..BLOCK {
            gather(p, s, &mut columns.a);
            self.cost.velocity(&columns.a, &mut columns.b);
            scatter(&columns.b, s, v);
        }
    }

    /// `out = H''(p) w`; `p, w, out: [d, 48]`.
    pub fn hessian_vec<T: Scalar>(&self, p: &[T], w: &[T], out: &mut [T], columns: &mut Columns) {
        let n = self.dim * BLOCK;
        if self.quadratic {
            out[..n].copy_from_slice(&w[..n]);
            return;
        }
        for s in 0..BLOCK {
            gather(p, s, &mut columns.a);
            gather(w, s, &mut columns.b);
            self.cost
                .hessian_vec(&columns.a, &columns.b, &mut columns.c);
            scatter(&columns.c, s, out);
        }
    }

    /// `l(v)`, `[48]`.
    pub fn cost<T: Scalar>(&self, v: &[T], out: &mut [T], columns: &mut Columns) {
        if self.quadratic {
            squares(v, self.dim, out);
            return;
        }
        for s in 0..BLOCK {
            gather(v, s, &mut columns.a);
            out[s] = T::of(self.cost.l(&columns.a));
        }
    }

    /// `H(p)`, `[48]`.
    pub fn hamiltonian<T: Scalar>(&self, p: &[T], out: &mut [T], columns: &mut Columns) {
        if self.quadratic {
            squares(p, self.dim, out);
            return;
        }
        for s in 0..BLOCK {
            gather(p, s, &mut columns.a);
            out[s] = T::of(self.cost.hamiltonian(&columns.a));
        }
    }
}

/// Half the squared norm of each column.
fn squares<T: Scalar>(v: &[T], dim: usize, out: &mut [T]) {
    let half = T::of(0.5);
    out[..BLOCK].fill(T::ZERO);
    for k in 0..dim {
        for s in 0..BLOCK {
            let x = v[k * BLOCK + s];
            out[s] += half * x * x;
        }
    }
}

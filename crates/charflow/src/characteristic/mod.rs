//! Characteristics of the Hamilton-Jacobi equation: straight lines `x + t V(p)` along which `p = grad u` is constant \[6\].
//!
//! - [`flow`]: velocities of a block of points, and the momentum seeds that a loss on `x + V(p)` gives back.
//! - [`implicit`]: the implicit solution formula \[9\] and its terminal twin, with seeds.
//! - [`conjugate`]: the c-transforms of the potential at either end, searched along them.
//! - [`pde`]: the equation itself \[5\], for the HJ-PINN ablation.

pub mod conjugate;
pub mod flow;
pub mod implicit;
pub mod pde;

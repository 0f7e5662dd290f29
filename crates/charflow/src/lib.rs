//! # Neural Hamilton-Jacobi characteristic flows for optimal transport
//!
//! Given samples of two measures `mu, nu` on `R^d` and a convex cost `l`, find Monge's map \[1\]
//!
//! ```text
//! T = argmin over T with T#mu = nu of  E_mu[ l(T(x) - x) ]
//! ```
//!
//! together with its inverse `S`. With the Hamiltonian `H(q) = sup_v q.v - l(v)` and the velocity `V = grad H`, the potential
//! `u: R^d x [0, 1] -> R` of the problem solves the Hamilton-Jacobi equation \[5\]
//!
//! ```text
//! u_t + H(grad u) = 0
//! ```
//!
//! whose characteristics are straight lines. One potential gives both maps, and all points in between, in closed form:
//!
//! ```text
//! T(x)   = x + V(grad u(x, 0))        forward                     [7]
//! S(y)   = y - V(grad u(y, 1))        backward                    [8]
//! x_t    = x + t V(grad u(x, 0))      displacement interpolation  [6]
//! ```
//!
//! Numbers in brackets are the equations of Park, Liu, Zhou and Osher, "Neural Hamilton-Jacobi Characteristic Flows for Optimal
//! Transport" (ICLR 2026, [arXiv:2510.01153](https://arxiv.org/abs/2510.01153)); its authors' own code is [Yebbi/NCF](https://github.com/Yebbi/NCF).
//!
//! # From the paper to the code
//!
//! | paper | module |
//! |---|---|
//! | measures and their samples | [`samples`] |
//! | cost `l`, Hamiltonian `H`, velocity `V` | [`cost`] |
//! | Monge's problem \[1\], classes \[17\] | [`problem`] |
//! | forward and backward maps \[7, 8\] | [`map`] |
//! | potential `u(x, t)`, its gradients, parameter gradients from seeds | [`potential`] |
//! | characteristics \[6\], implicit formula \[9\], the equation \[5\] | [`characteristic`] |
//! | energy distance \[11, 12\], residual losses \[13\], objective \[14, 17, 53\] | [`loss`] |
//! | the training loop | [`solver`] |
//! | the fitted maps \[10\] and their file | [`model`] |
//! | Gaussians in closed form \[15, 21-23\], one dimension | [`exact`] |
//! | how good a map is | [`evaluate`], [`certificate`] |
//!
//! # Example
//!
//! ```
//! use charflow::cost::Quadratic;
//! use charflow::exact::GaussianMap;
//! use charflow::map::{BackwardMap, ForwardMap};
//! use charflow::solver::{Config, NcfSolver, Silent};
//! use charflow::{Problem, Samples};
//!
//! // Three points in the plane, and the same points moved by (10, 0).
//! let source = Samples::from_f64(&[0.0, 0.0, 1.0, 0.0, 0.0, 2.0], 2)?.named("source");
//! let target = Samples::from_f64(&[10.0, 0.0, 11.0, 0.0, 10.0, 2.0], 2)?.named("target");
//! let problem = Problem::new(source, target, Box::new(Quadratic))?;
//!
//! // The best linear map, from the moments alone.
//! let (m0, m1) = problem.moments();
//! let map = GaussianMap::from_moments(m0, m1)?;
//! let y = map.forward(&[0.5, 0.5])?;
//! assert!((y[0] - 10.5).abs() < 1e-9 && (y[1] - 0.5).abs() < 1e-9);
//! let x = map.backward(&y)?;
//! assert!((x[0] - 0.5).abs() < 1e-9);
//!
//! // The map of a network; real problems have more points and take more steps.
//! let mut config = Config::preset("auto", 3, 3, 2)?;
//! config.steps = 30;
//! config.set("network.hidden", "[16, 16]")?;
//! let solution = NcfSolver::new(config).solve(problem, &mut Silent)?;
//! let y = solution.map.forward(&[0.5, 0.5])?;
//! let half = solution.map.forward_at(&[0.5, 0.5], 0.5)?;
//! assert!((half[0] - 0.5 * (0.5 + y[0])).abs() < 1e-5);
//! # Ok::<(), charflow::Error>(())
//! ```
//!
//! Points are row-major flat slices `[n, d]`, in `f64` and the user's units wherever a user meets them, in `f32` and centred, scaled
//! units inside the solver.

pub mod certificate;
pub mod characteristic;
pub mod cost;
pub mod error;
pub mod evaluate;
pub mod exact;
pub mod loss;
pub mod map;
pub mod model;
pub mod potential;
pub mod problem;
pub mod samples;
pub mod solver;
pub mod statistics;

pub use error::{Error, Result};
pub use problem::{Pairing, Problem, Split};
pub use samples::{Moments, Samples, Scaling};

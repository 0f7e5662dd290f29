//! A mixture of Gaussians and the gradient of a convex network on it: a transport problem of any dimension whose answer is known.
//!
//! ```text
//! x = s M_k z + c_k,  k uniform, z ~ N(0, I_d), s = 0.4        the source
//! T = a (grad psi_1 + grad psi_2 + b)                          the optimal map for the quadratic cost, onto T#source, the target
//!
//! q_i(x)_j = (x . Q_i[:, j])^2 + (W_i x + b_i)_j,  i = 0, 1, 2
//! u_0 = q_0(x),   u_1 = celu(C_0 u_0 + q_1(x)),   u_2 = celu(C_1 u_1 + q_2(x))
//! psi(x) = F u_2 + 0.005 |x|^2                                 C_0, C_1, F >= 0, so psi is convex
//! ```
//!
//! `T` is the gradient of the strongly convex `Psi = a (psi_1 + psi_2 + <b, x>)`, therefore optimal onto its own image (Brenier). Its inverse has no closed form:
//! `S(y) = argmax_x <x, y> - Psi(x)` is found by Newton's method.
//!
//! From Korotin, Li, Genevay, Solomon, Filippov, Burnaev, "Do Neural Optimal Transport Solvers Work? A Continuous Wasserstein-2 Benchmark" (NeurIPS 2021);
//! [`MixtureToMap::load`] reads a safetensors file of that form, of any dimension and any widths, [`MixtureToMap::random`] draws one by its recipe.

use std::path::{Path, PathBuf};

use charflow::certificate::SourcePotential;
use charflow::cost::Quadratic as QuadraticCost;
use charflow::exact::GaussianMap;
use charflow::potential::{ClosedForm, Isa, Layer, Potential, Shape, WarmPotential};
use charflow::samples::Scaling;
use charflow_kernels::activation::Activation;
use nalgebra::{Cholesky, DMatrix, DVector};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors};

use crate::metrics::column_statistics;
use crate::{LabError, rows};

/// The spread of each component of the source around its centre.
const SPREAD: f64 = 0.4;
/// The strong convexity of each potential: the benchmark evaluates its networks with this one.
const STRONG: f64 = 0.01;
/// Points that go through a network side by side: sixteen accumulators stay in registers.
const LANES: usize = 16;
/// The residual of the inverse: `|T(x) - y| <= ACCURACY (1 + |y|)`.
const ACCURACY: f64 = 1e-9;
/// Newton steps for one point; a dozen is usual.
const NEWTON_STEPS: usize = 200;
/// Points from which [`MixtureToMap::random`] takes `a`, `b` and the target's covariance.
const STANDARDISED_ON: usize = 1 << 16;

type Lane = [f64; LANES];

/// The source, the true map and what is known of both.
#[derive(Debug, Clone)]
pub struct MixtureToMap {
    name: String,
    dim: usize,
    /// `[K, d]`.
    centers: Vec<f64>,
    /// `[K, d, d]`.
    maps: Vec<f64>,
    source_cov: Vec<f64>,
    target_cov: Vec<f64>,
    shift: Vec<f64>,
    scale: f64,
    potentials: [Icnn; 2],
    check: Option<Check>,
}

/// Points and values that the makers of a file left in it, for whoever reads it to compare.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Source points, `[n, d]`.
    pub x: Vec<f64>,
    /// The gradients of the two potentials there, `[n, d]` each.
    pub gradients: [Vec<f64>; 2],
    /// `T(x)`, `[n, d]`.
    pub map: Vec<f64>,
}

/// One input-convex network, its matrices in both orders: every product runs along contiguous numbers.
#[derive(Debug, Clone)]
struct Icnn {
    quadratic: [Quadratic; 3],
    convex: [Both; 2],
    last: Vec<f64>,
}

/// `q(x) = (Q'x)^2 + W x + b`.
#[derive(Debug, Clone)]
struct Quadratic {
    /// `Q'`, `[h, d]`.
    q: Both,
    /// `[h, d]`.
    w: Both,
    b: Vec<f64>,
}

/// A matrix and its transpose, row-major.
#[derive(Debug, Clone)]
struct Both {
    rows: usize,
    columns: usize,
    plain: Vec<f64>,
    turned: Vec<f64>,
}

impl Both {
    fn new(plain: Vec<f64>, rows: usize, columns: usize) -> Self {
        let turned = (0..plain.len())
            .map(|k| plain[k % rows * columns + k / rows])
            .collect();
        Both {
            rows,
            columns,
            plain,
            turned,
        }
    }

    fn matrix(&self) -> DMatrix<f64> {
        // nalgebra stores columns: the transpose by rows is the matrix by columns.
        DMatrix::from_column_slice(self.rows, self.columns, &self.turned)
    }
}

/// `out += m x` for `m: [out, x]`.
fn multiply(m: &[f64], x: &[Lane], out: &mut [Lane]) {
    for (row, out) in m.chunks_exact(x.len()).zip(out) {
        let mut sum = *out;
        for (m, x) in row.iter().zip(x) {
            for l in 0..LANES {
                sum[l] += m * x[l];
            }
        }
        *out = sum;
    }
}

fn celu(t: f64) -> f64 {
    if t > 0.0 { t } else { t.exp_m1() }
}

/// The slope of celu.
fn slope(t: f64) -> f64 {
    if t > 0.0 { 1.0 } else { t.exp() }
}

/// The second derivative of celu, from the left at 0.
fn bend(t: f64) -> f64 {
    if t > 0.0 { 0.0 } else { t.exp() }
}

/// What one network's gradient at a block of points needs besides.
#[derive(Default)]
struct Scratch {
    a: [Vec<Lane>; 3],
    z: [Vec<Lane>; 3],
    u: Vec<Lane>,
    g: [Vec<Lane>; 3],
    s: Vec<Lane>,
}

fn cleared(v: &mut Vec<Lane>, len: usize) -> &mut [Lane] {
    v.clear();
    v.resize(len, [0.0; LANES]);
    v
}

impl Icnn {
    fn widths(&self) -> [usize; 3] {
        [0, 1, 2].map(|i| self.quadratic[i].b.len())
    }

    /// `out += grad psi(x)` at the points in the lanes of `x: [d]`; returns `psi`.
    fn gradient(&self, x: &[Lane], out: &mut [Lane], s: &mut Scratch) -> Lane {
        let h = self.widths();
        for (i, layer) in self.quadratic.iter().enumerate() {
            let a = cleared(&mut s.a[i], h[i]);
            multiply(&layer.q.plain, x, a);
            let z = cleared(&mut s.z[i], h[i]);
            for (j, z) in z.iter_mut().enumerate() {
                for l in 0..LANES {
                    z[l] = a[j][l] * a[j][l] + layer.b[j];
                }
            }
            multiply(&layer.w.plain, x, z);
        }
        let [z0, z1, z2] = &mut s.z;
        multiply(&self.convex[0].plain, z0, z1);
        let u1 = cleared(&mut s.u, h[1]);
        for (u, z) in u1.iter_mut().zip(z1.iter()) {
            *u = z.map(celu);
        }
        multiply(&self.convex[1].plain, u1, z2);

        let mut psi = [0.0; LANES];
        let [g0, g1, g2] = &mut s.g;
        let g2 = cleared(g2, h[2]);
        for (j, g) in g2.iter_mut().enumerate() {
            for l in 0..LANES {
                psi[l] += self.last[j] * celu(z2[j][l]);
                g[l] = self.last[j] * slope(z2[j][l]);
            }
        }
        let g1 = cleared(g1, h[1]);
        multiply(&self.convex[1].turned, g2, g1);
        for (g, z) in g1.iter_mut().zip(z1.iter()) {
            for l in 0..LANES {
                g[l] *= slope(z[l]);
            }
        }
        multiply(&self.convex[0].turned, g1, cleared(g0, h[0]));
        for (i, layer) in self.quadratic.iter().enumerate() {
            let g = &s.g[i];
            multiply(&layer.w.turned, g, out);
            let ag = cleared(&mut s.s, h[i]);
            for (j, ag) in ag.iter_mut().enumerate() {
                for l in 0..LANES {
                    ag[l] = 2.0 * s.a[i][j][l] * g[j][l];
                }
            }
            multiply(&layer.q.turned, ag, out);
        }
        for (x, out) in x.iter().zip(out) {
            for l in 0..LANES {
                out[l] += STRONG * x[l];
                psi[l] += 0.5 * STRONG * x[l] * x[l];
            }
        }
        psi
    }
}

/// The matrices of one network as Newton's method wants them.
struct Curvature {
    q: [DMatrix<f64>; 3],
    w: [DMatrix<f64>; 3],
    b: [DVector<f64>; 3],
    c: [DMatrix<f64>; 2],
    last: DVector<f64>,
}

impl Curvature {
    fn new(net: &Icnn) -> Self {
        let of = |f: &dyn Fn(&Quadratic) -> DMatrix<f64>| [0, 1, 2].map(|i| f(&net.quadratic[i]));
        Curvature {
            q: of(&|layer| layer.q.matrix()),
            w: of(&|layer| layer.w.matrix()),
            b: [0, 1, 2].map(|i| DVector::from_column_slice(&net.quadratic[i].b)),
            c: [0, 1].map(|i| net.convex[i].matrix()),
            last: DVector::from_column_slice(&net.last),
        }
    }

    /// `psi`, its gradient and its Hessian at `x`; the latter two are added. With `g_i` the derivative of psi by `q_i` and `J_i` the Jacobian of `z_i = C u + q_i`,
    ///
    /// ```text
    /// grad psi = sum_i (2 Q_i diag(g_i) Q_i' x + W_i' g_i) + 0.01 x
    /// Hess psi = sum_i 2 Q_i diag(g_i) Q_i' + J_1' diag(C_1' g_2 celu''(z_1)) J_1 + J_2' diag(F celu''(z_2)) J_2 + 0.01 I
    /// ```
    fn add(
        &self,
        x: &DVector<f64>,
        gradient: &mut DVector<f64>,
        hessian: Option<&mut DMatrix<f64>>,
    ) -> f64 {
        let a = [0, 1, 2].map(|i| &self.q[i] * x);
        let q = [0, 1, 2].map(|i| a[i].component_mul(&a[i]) + &self.w[i] * x + &self.b[i]);
        let z1 = &self.c[0] * &q[0] + &q[1];
        let z2 = &self.c[1] * z1.map(celu) + &q[2];
        let psi = self.last.dot(&z2.map(celu)) + 0.5 * STRONG * x.norm_squared();
        let g2 = self.last.component_mul(&z2.map(slope));
        let back = self.c[1].tr_mul(&g2);
        let g1 = back.component_mul(&z1.map(slope));
        let g = [self.c[0].tr_mul(&g1), g1, g2];
        for i in 0..3 {
            *gradient +=
                self.w[i].tr_mul(&g[i]) + self.q[i].tr_mul(&(2.0 * a[i].component_mul(&g[i])));
        }
        gradient.axpy(STRONG, x, 1.0);
        let Some(hessian) = hessian else { return psi };
        let weighted = |m: &DMatrix<f64>, by: &DVector<f64>| {
            let mut out = m.clone();
            out.column_iter_mut()
                .for_each(|mut c| c.component_mul_assign(by));
            out
        };
        for i in 0..3 {
            hessian.gemm_tr(2.0, &self.q[i], &weighted(&self.q[i], &g[i]), 1.0);
        }
        let jacobian = |i: usize| weighted(&self.q[i], &(2.0 * &a[i])) + &self.w[i];
        let j1 = &self.c[0] * jacobian(0) + jacobian(1);
        let j2 = &self.c[1] * weighted(&j1, &z1.map(slope)) + jacobian(2);
        hessian.gemm_tr(
            1.0,
            &j1,
            &weighted(&j1, &back.component_mul(&z1.map(bend))),
            1.0,
        );
        hessian.gemm_tr(
            1.0,
            &j2,
            &weighted(&j2, &self.last.component_mul(&z2.map(bend))),
            1.0,
        );
        for k in 0..x.len() {
            hessian[(k, k)] += STRONG;
        }
        psi
    }
}

impl MixtureToMap {
    /// Every file of this form among the `.safetensors` files of a folder, by dimension; none if there are none.
    ///
    /// # Errors
    /// The folder cannot be read; a file is no safetensors file, or one of this form with something wrong in it.
    pub fn find(folder: &Path) -> Result<Vec<Self>, LabError> {
        let entries =
            std::fs::read_dir(folder).map_err(|e| io(folder, format!("cannot be read: {e}")))?;
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .map(|e| e.path())
            .filter(|p| p.extension().is_some_and(|e| e == "safetensors"))
            .collect();
        files.sort();
        let mut found = Vec::new();
        for path in files {
            let bytes = read(&path)?;
            let (_, head) =
                SafeTensors::read_metadata(&bytes).map_err(|e| io(&path, damaged(&e)))?;
            // A model of ours, or anyone's: not what is looked for.
            if head.info("source.centers").is_some() {
                found.push(Self::parse(&path, &bytes)?);
            }
        }
        found.sort_by_key(Self::dim);
        Ok(found)
    }

    /// Reads one file.
    ///
    /// # Errors
    /// [`LabError::Io`] that names the tensor, what was found and what was expected.
    pub fn load(path: &Path) -> Result<Self, LabError> {
        Self::parse(path, &read(path)?)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, LabError> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| io(path, damaged(&e)))?;
        let file = File { path, file };
        let shape = file.shape("source.centers")?;
        let [components, d] = shape[..] else {
            return Err(io(
                path,
                format!(
                    "the tensor \"source.centers\" has the shape {shape:?}; expected [components, dimension]"
                ),
            ));
        };
        if components == 0 || d == 0 {
            return Err(io(
                path,
                format!(
                    "the tensor \"source.centers\" has the shape {shape:?}; expected at least one component and one dimension"
                ),
            ));
        }
        let scale = file.numbers("standardize.scale", &[1])?[0];
        if scale <= 0.0 {
            return Err(io(
                path,
                format!("\"standardize.scale\" is {scale}; expected a number above 0"),
            ));
        }
        let covariance = |key: &str| -> Result<Vec<f64>, LabError> {
            let values = file.numbers(key, &[d, d])?;
            if (0..d).any(|k| values[k * d + k] < 0.0) || trace(&values, d) <= 0.0 {
                return Err(io(
                    path,
                    format!(
                        "\"{key}\" is no covariance: its diagonal must not be negative, and not all zero"
                    ),
                ));
            }
            Ok(values)
        };
        let check = match file.shape("check.x") {
            Ok(shape) => {
                let of = |key: &str| file.numbers(key, &[shape[0], d]);
                Some(Check {
                    x: of("check.x")?,
                    gradients: [of("check.grad_v1")?, of("check.grad_v2")?],
                    map: of("check.map")?,
                })
            }
            Err(_) => None,
        };
        Ok(MixtureToMap {
            name: path
                .file_stem()
                .map_or(String::new(), |s| s.to_string_lossy().into_owned()),
            dim: d,
            centers: file.numbers("source.centers", &[components, d])?,
            maps: file.numbers("source.maps", &[components, d, d])?,
            source_cov: covariance("source.cov")?,
            target_cov: covariance("target.cov")?,
            shift: file.numbers("standardize.shift", &[d])?,
            scale,
            potentials: [file.network("v1", d)?, file.network("v2", d)?],
            check,
        })
    }

    /// Draws a problem of this form: the source by the benchmark's recipe, the two networks of its widths with random weights, `a` and `b` and the target's
    /// covariance from 2^16 points.
    ///
    /// # Errors
    /// A dimension of 0, or above 1024.
    pub fn random(dim: usize, seed: u64) -> Result<Self, LabError> {
        if dim == 0 || dim > 1024 {
            return Err(LabError::Input(format!(
                "a random problem of {dim} dimensions: expected 1 to 1024"
            )));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Stream 0 and those next to it are the samples'.
        rng.set_stream(1 << 32);
        let mut normal = |sd: f64| -> f64 { sd * rng.sample::<f64, _>(StandardNormal) };
        let mut maps: Vec<f64> = (0..3 * dim * dim).map(|_| normal(1.0)).collect();
        for row in maps.chunks_exact_mut(dim) {
            let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            row.iter_mut().for_each(|v| *v /= norm);
        }
        let [h1, h2, h3] = [(2 * dim).max(64), (2 * dim).max(64), dim.max(32)];
        // Sums over `n` terms stay of order one. The convex weights are log-normal with a heavy tail: the sum of many equal parts would be smooth, and the map almost
        // linear.
        let mut network = || {
            let mut matrix = |rows: usize, columns: usize, sd: f64| -> Vec<f64> {
                (0..rows * columns).map(|_| normal(sd)).collect()
            };
            let sd = 1.0 / (dim as f64).sqrt();
            let quadratic = [h1, h2, h3].map(|h| Quadratic {
                q: Both::new(matrix(h, dim, 0.3 * sd), h, dim),
                w: Both::new(matrix(h, dim, 6.0 * sd), h, dim),
                b: matrix(h, 1, 3.0),
            });
            let mut convex = |rows: usize, columns: usize| -> Vec<f64> {
                let weights = matrix(rows, columns, 2.0);
                weights
                    .into_iter()
                    .map(|z| z.exp() / columns as f64)
                    .collect()
            };
            Icnn {
                quadratic,
                convex: [
                    Both::new(convex(h2, h1), h2, h1),
                    Both::new(convex(h3, h2), h3, h2),
                ],
                last: convex(1, h3),
            }
        };
        let potentials = [network(), network()];
        let mut centers = vec![0.0; 3 * dim];
        for k in 0..dim {
            let mut at = [-1.0, 0.0, 1.0];
            for i in [2_usize, 1] {
                at.swap(i, rng.random_range(0..=i));
            }
            (0..3).for_each(|c| centers[c * dim + k] = at[c]);
        }
        let squares: f64 = centers.iter().map(|c| c * c).sum::<f64>() / 3.0;
        let factor = (dim as f64).sqrt() / (squares + dim as f64 * SPREAD * SPREAD).sqrt();
        centers
            .iter_mut()
            .chain(&mut maps)
            .for_each(|v| *v *= factor);
        let mut source_cov = vec![0.0; dim * dim];
        for (c, m) in centers.chunks_exact(dim).zip(maps.chunks_exact(dim * dim)) {
            for i in 0..dim {
                for j in 0..dim {
                    let product: f64 = (0..dim).map(|k| m[i * dim + k] * m[j * dim + k]).sum();
                    source_cov[i * dim + j] += (c[i] * c[j] + SPREAD * SPREAD * product) / 3.0;
                }
            }
        }
        let mut problem = MixtureToMap {
            name: format!("random mixture-to-map, seed {seed}"),
            dim,
            centers,
            maps,
            source_cov,
            target_cov: vec![0.0; dim * dim],
            shift: vec![0.0; dim],
            scale: 1.0,
            potentials,
            check: None,
        };
        let mut images = problem.forward(&problem.sample_source(STANDARDISED_ON, seed, 1 << 33))?;
        let statistics = column_statistics(&images, dim)?;
        problem.scale = (dim as f64 / statistics.variances.iter().sum::<f64>()).sqrt();
        problem.shift = statistics.means.iter().map(|m| -m).collect();
        for row in images.chunks_exact_mut(dim) {
            for (v, shift) in row.iter_mut().zip(&problem.shift) {
                *v = problem.scale * (*v + shift);
            }
        }
        let images = DMatrix::from_column_slice(dim, STANDARDISED_ON, &images);
        let cov = &images * images.transpose() / (STANDARDISED_ON - 1) as f64;
        problem.target_cov = cov.as_slice().to_vec();
        Ok(problem)
    }

    /// The name of the file without its ending, or what was drawn.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The dimension `d`.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The exact covariance of the source, `[d, d]`.
    #[must_use]
    pub fn source_covariance(&self) -> &[f64] {
        &self.source_cov
    }

    /// The covariance of the target, `[d, d]`, as the file has it: estimated from many samples.
    #[must_use]
    pub fn target_covariance(&self) -> &[f64] {
        &self.target_cov
    }

    /// Trace of the source's covariance.
    #[must_use]
    pub fn source_variance(&self) -> f64 {
        trace(&self.source_cov, self.dim)
    }

    /// Trace of the target's covariance.
    #[must_use]
    pub fn target_variance(&self) -> f64 {
        trace(&self.target_cov, self.dim)
    }

    /// The values that the file gives to compare with.
    #[must_use]
    pub fn check(&self) -> Option<&Check> {
        self.check.as_ref()
    }

    /// `n` points of the source, `[n, d]`. The same seed and stream give the same points; other streams of a seed are independent of them.
    #[must_use]
    pub fn sample_source(&self, n: usize, seed: u64, stream: u64) -> Vec<f64> {
        let d = self.dim;
        let components = self.centers.len() / d;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        let mut of = Vec::with_capacity(n);
        let mut x = Vec::with_capacity(n * d);
        for _ in 0..n {
            of.push(rng.random_range(0..components));
            x.extend((0..d).map(|_| rng.sample::<f64, _>(StandardNormal)));
        }
        x.par_chunks_mut(d).zip(of).for_each_init(
            || vec![0.0; d],
            |z, (x, k)| {
                z.copy_from_slice(x);
                let map = &self.maps[k * d * d..(k + 1) * d * d];
                let center = &self.centers[k * d..(k + 1) * d];
                for (x, (row, c)) in x.iter_mut().zip(map.chunks_exact(d).zip(center)) {
                    let sum: f64 = row.iter().zip(z.iter()).map(|(m, z)| m * z).sum();
                    *x = SPREAD * sum + c;
                }
            },
        );
        x
    }

    /// The true map: `T(x)` for `x: [n, d]`.
    ///
    /// # Errors
    /// A length that is no whole number of points.
    pub fn forward(&self, x: &[f64]) -> Result<Vec<f64>, LabError> {
        rows(x, self.dim, "the cloud")?;
        let mut out = self.gradients(x, &[0, 1]);
        for row in out.chunks_exact_mut(self.dim) {
            for (v, shift) in row.iter_mut().zip(&self.shift) {
                *v = self.scale * (*v + shift);
            }
        }
        Ok(out)
    }

    /// The potential `g = Psi - |x|^2 / 2` of the true map, `T = x + grad g`: the two networks side by side as one, and the squares in closed form,
    ///
    /// ```text
    /// g(x) = a (F_1 u_2 + F_2 u_2') + x'(A - I) x / 2 + a <b, x>,    A = 2 (0.01 a) I
    /// ```
    ///
    /// # Errors
    /// Never for a problem of this form.
    pub fn source_potential(&self) -> Result<SourcePotential, LabError> {
        let d = self.dim;
        let widths = self.potentials.each_ref().map(Icnn::widths);
        let layer = |l: usize| Layer {
            width: widths[0][l] + widths[1][l],
            previous: l > 0,
            input: true,
            quadratic: true,
            residual: false,
            scale: 1.0,
            activation: if l == 0 {
                Activation::Identity
            } else {
                Activation::Celu
            },
        };
        let shape = Shape {
            dim: d,
            layers: (0..3).map(layer).collect(),
        };
        let mut theta = vec![0.0; shape.parameters()];
        for (name, at, _) in shape.tensors() {
            for (i, net) in self.potentials.iter().enumerate() {
                // Where a network's units begin in a layer.
                let first = |l: usize| i * widths[0][l];
                let h = |l: usize| widths[0][l] + widths[1][l];
                let mut put = |m: &Both, l: usize, row: usize| {
                    for (k, v) in m.plain.iter().enumerate() {
                        let (unit, input) = (k / m.columns, k % m.columns);
                        theta[at + (row + input) * h(l) + first(l) + unit] = *v;
                    }
                };
                let l = name.as_bytes()["layer".len()].wrapping_sub(b'1') as usize;
                match name.split('.').next_back() {
                    Some("W") => put(&net.quadratic[l].w, l, 0),
                    Some("Q") => put(&net.quadratic[l].q, l, 0),
                    Some("C") => put(&net.convex[l - 1], l, first(l - 1)),
                    Some("b") => {
                        for (k, b) in net.quadratic[l].b.iter().enumerate() {
                            theta[at + first(l) + k] = *b;
                        }
                    }
                    Some("F") => {
                        for (k, f) in net.last.iter().enumerate() {
                            theta[at + first(2) + k] = self.scale * f;
                        }
                    }
                    _ => {}
                }
            }
        }
        let mut a = vec![0.0; d * d];
        (0..d).for_each(|k| a[k * (d + 1)] = 2.0 * STRONG * self.scale);
        let shift = self.shift.iter().map(|b| self.scale * b).collect();
        let squares = GaussianMap::from_parts(vec![0.0; d], shift, &a)?.potential();
        let mut potential =
            WarmPotential::<f64>::new(Isa::current(), shape, Some(ClosedForm::Gaussian(squares)));
        potential.set_parameters(&theta);
        Ok(SourcePotential::new(
            potential,
            Scaling::identity(d),
            &QuadraticCost,
        )?)
    }

    /// The sum of the gradients of some of the two potentials at `x: [n, d]`.
    fn gradients(&self, x: &[f64], which: &[usize]) -> Vec<f64> {
        let d = self.dim;
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(LANES * d)
            .zip(x.par_chunks(LANES * d))
            .for_each_init(
                || {
                    (
                        Scratch::default(),
                        vec![[0.0; LANES]; d],
                        vec![[0.0; LANES]; d],
                    )
                },
                |(scratch, lanes, sum), (out, x)| {
                    // The lanes of an incomplete last block keep old points, which no one looks at.
                    for (l, row) in x.chunks_exact(d).enumerate() {
                        (0..d).for_each(|k| lanes[k][l] = row[k]);
                    }
                    sum.fill([0.0; LANES]);
                    for &v in which {
                        self.potentials[v].gradient(lanes, sum, scratch);
                    }
                    for (l, row) in out.chunks_exact_mut(d).enumerate() {
                        (0..d).for_each(|k| row[k] = sum[k][l]);
                    }
                },
            );
        out
    }

    /// The true inverse: `S(y) = argmax_x <x, y> - Psi(x)` for `y: [n, d]`, to a residual `|T(x) - y|` of 1e-9 (1 + |y|).
    ///
    /// Newton's method with backtracking, each point by itself; about a dozen Hessians a point. Where `y = T(x)` was made from a known `x`, that is the answer and
    /// need not be searched.
    ///
    /// # Errors
    /// A length that is no whole number of points, a value that is not finite, or (never seen) a point that stays above the residual.
    pub fn backward(&self, y: &[f64]) -> Result<Vec<f64>, LabError> {
        rows(y, self.dim, "the cloud")?;
        let d = self.dim;
        if let Some(k) = y.iter().position(|v| !v.is_finite()) {
            return Err(LabError::Input(format!(
                "row {}, column {} of the points is {}; the inverse needs finite values",
                k / d + 1,
                k % d + 1,
                y[k]
            )));
        }
        let curvatures = [0, 1].map(|v| Curvature::new(&self.potentials[v]));
        let mut out = y.to_vec();
        out.par_chunks_mut(d).enumerate().try_for_each(|(i, x)| {
            self.invert(&curvatures, x).map_err(|residual| {
                LabError::Input(format!("the inverse at row {} was not found: {NEWTON_STEPS} Newton steps leave a residual of {residual:.1e}", i + 1))
            })
        })?;
        Ok(out)
    }

    /// `y` becomes `S(y)`; the residual if it does not.
    fn invert(&self, curvatures: &[Curvature; 2], y: &mut [f64]) -> Result<(), f64> {
        let d = self.dim;
        let target = DVector::from_column_slice(y);
        let enough = ACCURACY * (1.0 + target.norm());
        // f(x) = Psi(x) - <x, y>, strongly convex: its only stationary point is the answer.
        let look = |x: &DVector<f64>, mut hessian: Option<&mut DMatrix<f64>>| {
            let mut gradient = DVector::from_column_slice(&self.shift);
            let mut value = gradient.dot(x);
            for c in curvatures {
                value += c.add(x, &mut gradient, hessian.as_deref_mut());
            }
            gradient *= self.scale;
            gradient -= &target;
            (self.scale * value - target.dot(x), gradient)
        };
        let mut x = target.clone();
        let mut residual = f64::INFINITY;
        for _ in 0..NEWTON_STEPS {
            let mut hessian = DMatrix::zeros(d, d);
            let (value, gradient) = look(&x, Some(&mut hessian));
            residual = gradient.norm();
            if residual <= enough {
                y.copy_from_slice(x.as_slice());
                return Ok(());
            }
            hessian *= self.scale;
            let step = match Cholesky::new(hessian) {
                Some(factor) => -factor.solve(&gradient),
                None => break,
            };
            let descent = gradient.dot(&step);
            let mut share = 1.0;
            loop {
                let next = &x + share * &step;
                let (v, g) = look(&next, None);
                // Close to the answer the values differ by rounding alone; there the gradient decides.
                let close = residual < 1e4 * enough && g.norm() < residual;
                if v <= value + 1e-4 * share * descent || close {
                    x = next;
                    break;
                }
                share *= 0.5;
                if share < 1e-10 {
                    return Err(residual);
                }
            }
        }
        Err(residual)
    }
}

fn trace(m: &[f64], d: usize) -> f64 {
    (0..d).map(|k| m[k * d + k]).sum()
}

fn io(path: &Path, message: String) -> LabError {
    LabError::Io {
        path: path.into(),
        message,
    }
}

fn damaged(e: &dyn std::fmt::Display) -> String {
    format!("is no safetensors file, or one that was cut short ({e}); copy it again")
}

fn read(path: &Path) -> Result<Vec<u8>, LabError> {
    std::fs::read(path).map_err(|e| io(path, format!("cannot be read: {e}")))
}

struct File<'a> {
    path: &'a Path,
    file: SafeTensors<'a>,
}

impl File<'_> {
    fn shape(&self, key: &str) -> Result<Vec<usize>, LabError> {
        let tensor = self.file.tensor(key).map_err(|_| {
            io(
                self.path,
                format!("the tensor \"{key}\" is missing; expected a file of the form Mix3toMix10"),
            )
        })?;
        Ok(tensor.shape().to_vec())
    }

    fn numbers(&self, key: &str, shape: &[usize]) -> Result<Vec<f64>, LabError> {
        let found = self.shape(key)?;
        if found != shape {
            return Err(io(
                self.path,
                format!("the tensor \"{key}\" has the shape {found:?}; expected {shape:?}"),
            ));
        }
        let tensor = self
            .file
            .tensor(key)
            .map_err(|e| io(self.path, e.to_string()))?;
        let data = tensor.data();
        let values: Vec<f64> = match tensor.dtype() {
            Dtype::F32 => data
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f64::from(f32::from_le_bytes(*b)))
                .collect(),
            Dtype::F64 => data
                .as_chunks::<8>()
                .0
                .iter()
                .map(|b| f64::from_le_bytes(*b))
                .collect(),
            other => {
                return Err(io(
                    self.path,
                    format!("the tensor \"{key}\" holds {other:?}; expected F32 or F64"),
                ));
            }
        };
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(values),
            Some(at) => Err(io(
                self.path,
                format!(
                    "number {} of the tensor \"{key}\" is {}; expected finite values",
                    at + 1,
                    values[at]
                ),
            )),
        }
    }

    fn network(&self, prefix: &str, d: usize) -> Result<Icnn, LabError> {
        let mut quadratic = Vec::with_capacity(3);
        for i in 0..3 {
            let key = |part: &str| format!("{prefix}.quadratic_layers.{i}.{part}");
            let bias = self.shape(&key("bias"))?;
            let [h] = bias[..] else {
                return Err(io(
                    self.path,
                    format!(
                        "the tensor \"{}\" has the shape {bias:?}; expected one number a unit",
                        key("bias")
                    ),
                ));
            };
            // Stored as [input, rank, output]; the rank is one.
            let q = self.numbers(&key("quadratic_decomposed"), &[d, 1, h])?;
            quadratic.push(Quadratic {
                q: Both::new(Both::new(q, d, h).turned, h, d),
                w: Both::new(self.numbers(&key("weight"), &[h, d])?, h, d),
                b: self.numbers(&key("bias"), &[h])?,
            });
        }
        let quadratic: [Quadratic; 3] = quadratic
            .try_into()
            .map_err(|_| io(self.path, "three quadratic layers are expected".into()))?;
        let [h1, h2, h3] = [0, 1, 2].map(|i| quadratic[i].b.len());
        let convex = |key: &str, rows: usize, columns: usize| -> Result<Vec<f64>, LabError> {
            let key = format!("{prefix}.{key}.weight");
            let weights = self.numbers(&key, &[rows, columns])?;
            match weights.iter().position(|w| *w < 0.0) {
                None => Ok(weights),
                Some(at) => Err(io(
                    self.path,
                    format!(
                        "number {} of the tensor \"{key}\" is {}; the weights of a convex layer must not be negative",
                        at + 1,
                        weights[at]
                    ),
                )),
            }
        };
        Ok(Icnn {
            convex: [
                Both::new(convex("convex_layers.0", h2, h1)?, h2, h1),
                Both::new(convex("convex_layers.1", h3, h2)?, h3, h2),
            ],
            last: convex("final_layer", 1, h3)?,
            quadratic,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;
    use std::collections::BTreeMap;

    type Tensors = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

    /// A problem as the tensors of its file.
    fn tensors(p: &MixtureToMap) -> Tensors {
        let d = p.dim;
        let mut all = Tensors::new();
        let mut put = |key: &str, shape: &[usize], values: &[f64]| {
            all.insert(key.to_string(), (shape.to_vec(), values.to_vec()));
        };
        put("source.centers", &[3, d], &p.centers);
        put("source.maps", &[3, d, d], &p.maps);
        put("source.cov", &[d, d], &p.source_cov);
        put("target.cov", &[d, d], &p.target_cov);
        put("standardize.shift", &[d], &p.shift);
        put("standardize.scale", &[1], &[p.scale]);
        for (v, net) in ["v1", "v2"].iter().zip(&p.potentials) {
            for (i, layer) in net.quadratic.iter().enumerate() {
                let h = layer.b.len();
                let key = |part: &str| format!("{v}.quadratic_layers.{i}.{part}");
                put(&key("quadratic_decomposed"), &[d, 1, h], &layer.q.turned);
                put(&key("weight"), &[h, d], &layer.w.plain);
                put(&key("bias"), &[h], &layer.b);
            }
            let [h1, h2, h3] = net.widths();
            put(
                &format!("{v}.convex_layers.0.weight"),
                &[h2, h1],
                &net.convex[0].plain,
            );
            put(
                &format!("{v}.convex_layers.1.weight"),
                &[h3, h2],
                &net.convex[1].plain,
            );
            put(&format!("{v}.final_layer.weight"), &[1, h3], &net.last);
        }
        all
    }

    fn write(path: &Path, tensors: &Tensors) {
        let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
            .iter()
            .map(|(k, (shape, values))| {
                (
                    k.clone(),
                    shape.clone(),
                    values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                )
            })
            .collect();
        let views = bytes.iter().map(|(k, shape, b)| {
            (
                k.clone(),
                TensorView::new(Dtype::F64, shape.clone(), b).unwrap(),
            )
        });
        std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    }

    fn potential(p: &MixtureToMap, x: &[f64]) -> f64 {
        let x = DVector::from_column_slice(x);
        let mut gradient = DVector::zeros(p.dim);
        let psi: f64 = p
            .potentials
            .iter()
            .map(|net| Curvature::new(net).add(&x, &mut gradient, None))
            .sum();
        p.scale * (psi + DVector::from_column_slice(&p.shift).dot(&x))
    }

    #[test]
    fn the_map_is_the_gradient_and_the_hessian_its_derivative() {
        for d in [1, 3, 20] {
            let p = MixtureToMap::random(d, 5).unwrap();
            // More than a block, and no multiple of it.
            let x = p.sample_source(LANES + 3, 1, 0);
            let t = p.forward(&x).unwrap();
            for (x, t) in x.chunks(d).zip(t.chunks(d)) {
                let mut hessian = DMatrix::zeros(d, d);
                let mut gradient = DVector::zeros(d);
                for net in &p.potentials {
                    Curvature::new(net).add(
                        &DVector::from_column_slice(x),
                        &mut gradient,
                        Some(&mut hessian),
                    );
                }
                for k in 0..d {
                    let at = |h: f64| {
                        let mut x = x.to_vec();
                        x[k] += h;
                        x
                    };
                    // The slope of celu bends at 0: a stencil across it is off by the step times the bend, so the step is small.
                    let step = 1e-6;
                    let slope =
                        (potential(&p, &at(step)) - potential(&p, &at(-step))) / (2.0 * step);
                    assert!(
                        (slope - t[k]).abs() < 1e-5 * (1.0 + t[k].abs()),
                        "{slope} {}",
                        t[k]
                    );
                    assert!(
                        (p.scale * (gradient[k] + p.shift[k]) - t[k]).abs()
                            < 1e-12 * (1.0 + t[k].abs())
                    );
                    let (up, down) = (
                        p.forward(&at(step)).unwrap(),
                        p.forward(&at(-step)).unwrap(),
                    );
                    for j in 0..d {
                        let slope = (up[j] - down[j]) / (2.0 * step);
                        assert!(
                            (slope - p.scale * hessian[(j, k)]).abs() < 1e-4 * (1.0 + slope.abs()),
                            "{slope} {}",
                            p.scale * hessian[(j, k)]
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_source_potential_is_that_of_the_map() {
        for d in [1, 3, 20] {
            let p = MixtureToMap::random(d, 5).unwrap();
            let g = p.source_potential().unwrap();
            let x = p.sample_source(4, 1, 0);
            let t = p.forward(&x).unwrap();
            for (x, t) in x.chunks(d).zip(t.chunks(d)) {
                for k in 0..d {
                    let at = |h: f64| {
                        let mut x = x.to_vec();
                        x[k] += h;
                        g.values(&x).unwrap()[0]
                    };
                    let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
                    assert!(
                        (slope - (t[k] - x[k])).abs() < 1e-5 * (1.0 + t[k].abs()),
                        "{slope} {}",
                        t[k] - x[k]
                    );
                }
            }
        }
    }

    #[test]
    fn the_inverse_of_the_map_is_the_identity() {
        for d in [1, 2, 12] {
            let p = MixtureToMap::random(d, 2).unwrap();
            let x = p.sample_source(50, 1, 7);
            let back = p.backward(&p.forward(&x).unwrap()).unwrap();
            for (a, b) in x.iter().zip(&back) {
                // The strong convexity turns a residual of 1e-9 into at most 1e-7 / a.
                assert!((a - b).abs() < 1e-7, "{a} {b}");
            }
            // Far outside the data too.
            let far: Vec<f64> = x.iter().map(|v| 50.0 * v).collect();
            let there = p.forward(&p.backward(&far).unwrap()).unwrap();
            for (a, b) in far.iter().zip(&there) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
            assert!(p.backward(&vec![f64::NAN; d]).is_err());
            assert!(p.backward(&vec![0.0; d + 1]).is_err() || d == 1);
        }
    }

    #[test]
    fn samples_have_the_moments_that_are_stated() {
        let p = MixtureToMap::random(4, 3).unwrap();
        assert!((p.source_variance() - 4.0).abs() < 1e-9);
        assert!((p.target_variance() - 4.0).abs() < 1e-9);
        let x = p.sample_source(100_000, 8, 0);
        let t = p.forward(&x).unwrap();
        for (cloud, cov) in [(&x, &p.source_cov), (&t, &p.target_cov)] {
            let s = column_statistics(cloud, 4).unwrap();
            for k in 0..4 {
                assert!(s.means[k].abs() < 0.03, "{:?}", s.means);
                assert!(
                    (s.variances[k] - cov[5 * k]).abs() < 0.05,
                    "{:?}",
                    s.variances
                );
            }
        }
        assert_eq!(x[..400], p.sample_source(100, 8, 0)[..]);
        assert_ne!(x[..400], p.sample_source(100, 8, 1)[..]);
        assert_ne!(x[..400], p.sample_source(100, 9, 0)[..]);
        assert!(MixtureToMap::random(0, 0).is_err());
    }

    #[test]
    fn a_file_comes_back_and_a_broken_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mix3tomix10_3.safetensors");
        let p = MixtureToMap::random(3, 1).unwrap();
        write(&path, &tensors(&p));
        let found = MixtureToMap::find(folder.path()).unwrap();
        assert_eq!(
            (found.len(), found[0].dim(), found[0].name()),
            (1, 3, "mix3tomix10_3")
        );
        let x = p.sample_source(40, 0, 0);
        assert_eq!(x, found[0].sample_source(40, 0, 0));
        assert_eq!(p.forward(&x).unwrap(), found[0].forward(&x).unwrap());

        let broken = |parts: &[&str], change: &dyn Fn(&mut Tensors)| {
            let mut all = tensors(&p);
            change(&mut all);
            write(&path, &all);
            for message in [
                MixtureToMap::load(&path).unwrap_err(),
                MixtureToMap::find(folder.path()).unwrap_err(),
            ] {
                let message = message.to_string();
                assert!(
                    parts
                        .iter()
                        .chain(&["mix3tomix10_3.safetensors"])
                        .all(|p| message.contains(p)),
                    "{message}"
                );
            }
        };
        broken(&["v2.final_layer.weight", "missing"], &|t| {
            t.remove("v2.final_layer.weight");
        });
        broken(
            &["v1.quadratic_layers.1.weight", "[192, 1]", "[64, 3]"],
            &|t| {
                t.get_mut("v1.quadratic_layers.1.weight").unwrap().0 = vec![192, 1];
            },
        );
        broken(&["number 3", "source.maps", "NaN"], &|t| {
            t.get_mut("source.maps").unwrap().1[2] = f64::NAN;
        });
        broken(&["v1.convex_layers.0.weight", "negative"], &|t| {
            t.get_mut("v1.convex_layers.0.weight").unwrap().1[5] = -0.5;
        });
        broken(&["standardize.scale", "above 0"], &|t| {
            t.get_mut("standardize.scale").unwrap().1[0] = 0.0;
        });
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let message = MixtureToMap::find(folder.path()).unwrap_err().to_string();
        assert!(message.contains("cut short"), "{message}");
        // Another kind of file is none of ours.
        let mut other = Tensors::new();
        other.insert("weights".into(), (vec![1], vec![0.0]));
        write(&path, &other);
        assert!(MixtureToMap::find(folder.path()).unwrap().is_empty());
    }

    /// The benchmark's own files, where they are at hand.
    #[test]
    fn the_files_of_the_benchmark_agree_with_their_own_values() {
        let folder = match std::env::var_os("CHARFLOW_DATA") {
            Some(f) => PathBuf::from(f),
            None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        };
        let folder = folder.join("w2bench");
        if !folder.is_dir() {
            use std::io::Write;
            let _ = writeln!(
                std::io::stderr(),
                "skipped: no w2bench; set CHARFLOW_DATA to the folder of real data"
            );
            return;
        }
        let found = MixtureToMap::find(&folder).unwrap();
        assert!(!found.is_empty());
        for p in found {
            let check = p.check().unwrap();
            let near = |a: &[f64], b: &[f64]| {
                assert_eq!(a.len(), b.len());
                for (a, b) in a.iter().zip(b) {
                    assert!(
                        (a - b).abs() < 1e-10 * (1.0 + b.abs()),
                        "{}: {a} {b}",
                        p.name()
                    );
                }
            };
            near(&p.gradients(&check.x, &[0]), &check.gradients[0]);
            near(&p.gradients(&check.x, &[1]), &check.gradients[1]);
            near(&p.forward(&check.x).unwrap(), &check.map);
            let back = p.backward(&check.map).unwrap();
            for (a, b) in back.iter().zip(&check.x) {
                assert!((a - b).abs() < 1e-6, "{}: {a} {b}", p.name());
            }
            assert!((p.source_variance() / p.dim() as f64 - 1.0).abs() < 1e-3);
        }
    }
}

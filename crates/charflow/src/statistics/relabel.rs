//! Two weighted clouds under many random relabellings at once.
//!
//! The `N = n + m` points of both clouds are one pool with masses `c_i`. A relabelling is a set `A` of the pool; its two measures are
//!
//! ```text
//! P = sum_A c_i delta_i / C_A,        Q = sum_(not A) c_i delta_i / C_B,        C_A + C_B = sum_i c_i
//! ```
//!
//! Relabelling 0 is the one that was found. Without weights `c_i = 1` and the sets are random ones of the same size: if both clouds come from one law all relabellings are
//! equally likely, and the rank of the first among them is a p-value, exactly (Fisher 1935; Good, "Permutation Tests", 2000). With weights `c_i` are the normalised ones of either side and the sets are
//! drawn by fair coins: `P - Q = sum_i e_i c_i (delta_i - pooled)` to first order, `e_i = +-1`, whose covariance `sum_i c_i^2 (delta_i - pooled)^2` is that of the difference of the two
//! self-normalised means under one weighted law, whatever the sizes and weights; so the p-value is right for many points (the wild bootstrap: Wu 1986; Chwialkowski et al. 2014).
//! Permuting weighted points with fixed sizes would not do: it halves or doubles that covariance where the sizes differ.
//!
//! A quadratic form `sum_ij m_i m_j K(z_i, z_j)` is wanted for hundreds of relabellings. `K` is made once, in tiles of 48 x 48, and each tile multiplied by the masses
//! of all relabellings, which are lanes: `N^2 B` multiplications and additions at the speed of a matrix product, and no `N x N` matrix in memory.

use charflow_kernels::product::{Finish, Init, Packed, gram};
use charflow_kernels::{BLOCK, Isa};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Masses of the pool and its relabellings.
pub(crate) struct Relabellings {
    /// Points of the pool.
    pub len: usize,
    /// Relabellings, the one that was found among them.
    pub count: usize,
    /// `c_i`, `[N]`.
    pub masses: Vec<f64>,
    /// `c_i` inside `A`, 0 outside; `[lanes][padded N][48]`, zero beyond.
    inside: Vec<Vec<f32>>,
    /// `C_A` and `sum_A c_i^2` of each relabelling.
    sums: Vec<[f64; 2]>,
    /// The same of the whole pool.
    total: [f64; 2],
}

fn padded(n: usize) -> usize {
    n.div_ceil(BLOCK) * BLOCK
}

impl Relabellings {
    /// Of a pool whose first `n` points are the first cloud; `draws` random ones. `weighted`: by fair coins, else of the same size.
    pub fn new(masses: Vec<f64>, n: usize, weighted: bool, draws: usize, seed: u64) -> Self {
        let len = masses.len();
        let count = draws + 1;
        let lanes = count.div_ceil(BLOCK);
        let rows = padded(len);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(8);
        let mut inside = vec![vec![0.0f32; rows * BLOCK]; lanes];
        let mut sums = Vec::with_capacity(count);
        let mut order: Vec<u32> = (0..len as u32).collect();
        for draw in 0..count {
            let chosen: Vec<u32> = if draw == 0 {
                (0..n as u32).collect()
            } else if weighted {
                (0..len as u32).filter(|_| rng.random::<bool>()).collect()
            } else {
                order.partial_shuffle(&mut rng, n).0.to_vec()
            };
            let column = &mut inside[draw / BLOCK];
            let mut sum = [0.0; 2];
            for &i in &chosen {
                let c = masses[i as usize];
                column[i as usize * BLOCK + draw % BLOCK] = c as f32;
                sum[0] += c;
                sum[1] += c * c;
            }
            sums.push(sum);
        }
        let total = masses
            .iter()
            .fold([0.0; 2], |s, c| [s[0] + c, s[1] + c * c]);
        Relabellings {
            len,
            count,
            masses,
            inside,
            sums,
            total,
        }
    }

    /// The signed masses of `P - Q`: `c_i / C_A` inside, `-c_i / C_B` outside; in the same layout.
    pub fn signed(&self) -> Vec<Vec<f32>> {
        self.inside
            .iter()
            .enumerate()
            .map(|(lane, inside)| {
                let mut plus = [0.0f64; BLOCK];
                let mut minus = [0.0f64; BLOCK];
                for s in 0..BLOCK {
                    let Some(sum) = self.sums.get(lane * BLOCK + s) else {
                        continue;
                    };
                    let inverse = |c: f64| if c > 0.0 { 1.0 / c } else { 0.0 };
                    plus[s] = inverse(sum[0]);
                    minus[s] = inverse(self.total[0] - sum[0]);
                }
                let mut out = vec![0.0f32; inside.len()];
                for (i, c) in self.masses.iter().enumerate() {
                    let row = &inside[i * BLOCK..(i + 1) * BLOCK];
                    let out = &mut out[i * BLOCK..(i + 1) * BLOCK];
                    for s in 0..BLOCK {
                        out[s] = (if row[s] > 0.0 {
                            c * plus[s]
                        } else {
                            -c * minus[s]
                        }) as f32;
                    }
                }
                out
            })
            .collect()
    }

    /// The energy distance of `P` and `Q` for each relabelling, from the `rows` of `sum_j c_j |z_i - z_j|`; self terms as in a U-statistic.
    pub fn energy_distances(&self, points: &Kernel<'_>, rows: &[f64]) -> Vec<f64> {
        let within = points.quadratic_forms(&self.inside, self.len, self.count);
        let total: f64 = rows.iter().zip(&self.masses).map(|(r, c)| r * c).sum();
        let mut touching = vec![0.0; self.count];
        for (lane, inside) in self.inside.iter().enumerate() {
            for (i, r) in rows.iter().enumerate() {
                for (s, c) in inside[i * BLOCK..(i + 1) * BLOCK].iter().enumerate() {
                    if let Some(t) = touching.get_mut(lane * BLOCK + s) {
                        *t += r * f64::from(*c);
                    }
                }
            }
        }
        (0..self.count)
            .map(|p| {
                let [a, a2] = self.sums[p];
                let (b, b2) = (self.total[0] - a, self.total[1] - a2);
                let across = touching[p] - within[p];
                let outside = total - within[p] - 2.0 * across;
                let mean = |sum: f64, by: f64| if by > 0.0 { sum / by } else { 0.0 };
                2.0 * mean(across, a * b) - mean(within[p], a * a - a2) - mean(outside, b * b - b2)
            })
            .collect()
    }
}

/// What a kernel does with a squared distance.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// `|x - y|`.
    Distance,
    /// `(1 + |x - y|^2 / h^2)^-4`: near points count, far ones do not. Given as `1 / h^2`.
    Near(f32),
}

/// A kernel on the points of a pool.
pub(crate) struct Kernel<'a> {
    /// `[N, d]`, near zero and of a size near one: differences are formed in single precision.
    pub points: &'a [f32],
    pub dim: usize,
    pub shape: Shape,
}

/// Up to this dimension differences are formed directly, as in [`charflow_kernels::distance`].
const DIRECT: usize = 8;

impl Kernel<'_> {
    /// `[blocks][d][48]`, zero beyond, and the squared lengths `[blocks * 48]`.
    fn lanes(&self) -> (Vec<f32>, Vec<f32>) {
        let d = self.dim;
        let n = self.points.len() / d;
        let rows = padded(n);
        let mut lanes = vec![0.0; rows * d];
        let mut norms = vec![0.0; rows];
        for (i, x) in self.points.chunks_exact(d).enumerate() {
            let at = (i / BLOCK) * d * BLOCK + i % BLOCK;
            for (k, &x) in x.iter().enumerate() {
                lanes[at + k * BLOCK] = x;
            }
            norms[i] = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() as f32;
        }
        (lanes, norms)
    }

    /// `K` of two blocks, `[48, 48]`.
    fn tile(&self, isa: Isa, a: (&[f32], &[f32]), b: (&[f32], &[f32]), out: &mut [f32]) {
        let d = self.dim;
        if d <= DIRECT {
            out.fill(0.0);
            for k in 0..d {
                let (x, y) = (
                    &a.0[k * BLOCK..(k + 1) * BLOCK],
                    &b.0[k * BLOCK..(k + 1) * BLOCK],
                );
                for (row, x) in out.chunks_exact_mut(BLOCK).zip(x) {
                    for s in 0..BLOCK {
                        let v = x - y[s];
                        row[s] += v * v;
                    }
                }
            }
        } else {
            gram(isa, d, a.0, b.0, out);
            for (row, x) in out.chunks_exact_mut(BLOCK).zip(a.1) {
                for s in 0..BLOCK {
                    let size = x + b.1[s];
                    let square = size - 2.0 * row[s];
                    // Below that it is rounding: the points are the same.
                    row[s] = if square <= 8.0 * f32::EPSILON * size {
                        0.0
                    } else {
                        square
                    };
                }
            }
        }
        match self.shape {
            Shape::Distance => out.iter_mut().for_each(|v| *v = v.sqrt()),
            Shape::Near(inverse) => out.iter_mut().for_each(|v| {
                let near = 1.0 / (1.0 + *v * inverse);
                let square = near * near;
                *v = square * square;
            }),
        }
    }

    /// `sum_ij m_i m_j K(z_i, z_j)` for each of `count` columns of masses, in the layout of [`Relabellings`].
    pub fn quadratic_forms(&self, masses: &[Vec<f32>], n: usize, count: usize) -> Vec<f64> {
        let d = self.dim;
        let isa = Isa::current();
        let (lanes, norms) = self.lanes();
        let blocks = padded(n) / BLOCK;
        let block = |i: usize| {
            (
                &lanes[i * d * BLOCK..(i + 1) * d * BLOCK],
                &norms[i * BLOCK..(i + 1) * BLOCK],
            )
        };
        let parts: Vec<Vec<f64>> = (0..blocks)
            .into_par_iter()
            .map_init(
                || {
                    (
                        vec![0.0f32; BLOCK * BLOCK],
                        vec![vec![0.0f32; BLOCK * BLOCK]; masses.len()],
                        Packed::<f32>::new(isa, BLOCK, BLOCK),
                    )
                },
                |(tile, sums, packed), i| {
                    // K is symmetric: the tile on the diagonal counts half, and all of it twice.
                    for j in i..blocks {
                        self.tile(isa, block(i), block(j), tile);
                        if i == j {
                            tile.iter_mut().for_each(|v| *v *= 0.5);
                        }
                        packed.pack(tile, BLOCK, 1);
                        for (column, sums) in masses.iter().zip(sums.iter_mut()) {
                            let b = &column[j * BLOCK * BLOCK..(j + 1) * BLOCK * BLOCK];
                            let init = if i == j { Init::Zero } else { Init::Add };
                            packed.multiply(b, init, Finish::Store(sums));
                        }
                    }
                    let mut out = vec![0.0; masses.len() * BLOCK];
                    for ((column, sums), out) in masses
                        .iter()
                        .zip(sums.iter())
                        .zip(out.chunks_exact_mut(BLOCK))
                    {
                        let mine = &column[i * BLOCK * BLOCK..(i + 1) * BLOCK * BLOCK];
                        for (row, sums) in mine.chunks_exact(BLOCK).zip(sums.chunks_exact(BLOCK)) {
                            for s in 0..BLOCK {
                                out[s] += 2.0 * f64::from(row[s] * sums[s]);
                            }
                        }
                    }
                    out
                },
            )
            .collect();
        // In the order of the blocks, whatever thread they came from.
        let mut out = vec![0.0; count];
        for part in parts {
            for (out, part) in out.iter_mut().zip(part) {
                *out += part;
            }
        }
        out
    }

    /// `sum_j c_j K(z_i, z_j)` for each point.
    pub fn rows(&self, masses: &[f64]) -> Vec<f64> {
        let isa = Isa::current();
        let d = self.dim;
        let n = masses.len();
        let (lanes, norms) = self.lanes();
        let blocks = padded(n) / BLOCK;
        let block = |i: usize| {
            (
                &lanes[i * d * BLOCK..(i + 1) * d * BLOCK],
                &norms[i * BLOCK..(i + 1) * BLOCK],
            )
        };
        let mut out = vec![0.0; n];
        out.par_chunks_mut(BLOCK).enumerate().for_each_init(
            || vec![0.0f32; BLOCK * BLOCK],
            |tile, (i, out)| {
                for j in 0..blocks {
                    self.tile(isa, block(i), block(j), tile);
                    let masses = &masses[j * BLOCK..((j + 1) * BLOCK).min(n)];
                    for (out, row) in out.iter_mut().zip(tile.chunks_exact(BLOCK)) {
                        *out += row
                            .iter()
                            .zip(masses)
                            .map(|(k, c)| f64::from(*k) * c)
                            .sum::<f64>();
                    }
                }
            },
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(n: usize, d: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n * d).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// The double sum, relabelling by relabelling.
    #[test]
    fn quadratic_forms_are_double_sums() {
        for (n, d) in [(7, 1), (100, 3), (130, 20)] {
            let x = points(n, d, 3);
            let masses: Vec<f64> = (0..n).map(|i| 1.0 + (i % 3) as f64).collect();
            let all = Relabellings::new(masses.clone(), n / 3, true, 60, 5);
            for shape in [Shape::Distance, Shape::Near(0.7)] {
                let kernel = Kernel {
                    points: &x,
                    dim: d,
                    shape,
                };
                let signed = all.signed();
                let found = kernel.quadratic_forms(&signed, n, all.count);
                let k = |i: usize, j: usize| {
                    let square: f64 = (0..d)
                        .map(|k| f64::from(x[i * d + k] - x[j * d + k]).powi(2))
                        .sum();
                    match shape {
                        Shape::Distance => square.sqrt(),
                        Shape::Near(h) => (1.0 + square * f64::from(h)).powi(-4),
                    }
                };
                for p in [0, 1, 47, 48, 60] {
                    let m = |i: usize| f64::from(signed[p / BLOCK][i * BLOCK + p % BLOCK]);
                    let expected: f64 = (0..n)
                        .flat_map(|i| (0..n).map(move |j| (i, j)))
                        .map(|(i, j)| m(i) * m(j) * k(i, j))
                        .sum();
                    assert!(
                        (found[p] - expected).abs() < 2e-6,
                        "{n} {d} {p}: {} {expected}",
                        found[p]
                    );
                    // Two measures of mass one.
                    assert!((0..n).map(m).sum::<f64>().abs() < 1e-6);
                }
                let rows = kernel.rows(&masses);
                let expected: f64 = (0..n).map(|j| masses[j] * k(1, j)).sum();
                assert!((rows[1] - expected).abs() < 1e-4 * expected);
            }
        }
    }

    #[test]
    fn energy_distances_are_those_of_the_parts() {
        let (n, d) = (90, 4);
        let x = points(n, d, 9);
        for weighted in [false, true] {
            let masses: Vec<f64> = (0..n)
                .map(|i| if weighted { 0.5 + (i % 4) as f64 } else { 1.0 })
                .collect();
            let all = Relabellings::new(masses.clone(), 40, weighted, 50, 5);
            let kernel = Kernel {
                points: &x,
                dim: d,
                shape: Shape::Distance,
            };
            let found = all.energy_distances(&kernel, &kernel.rows(&masses));
            for p in [0, 1, 50] {
                let inside = |i: usize| all.inside[p / BLOCK][i * BLOCK + p % BLOCK] > 0.0;
                assert_eq!(
                    (0..n).filter(|&i| inside(i)).count() == 40,
                    !weighted || p == 0
                );
                let part = |want: bool| -> (Vec<f64>, Vec<f64>) {
                    let rows: Vec<usize> = (0..n).filter(|&i| inside(i) == want).collect();
                    let sum: f64 = rows.iter().map(|&i| masses[i]).sum();
                    (
                        rows.iter()
                            .flat_map(|&i| x[i * d..(i + 1) * d].iter().map(|&v| f64::from(v)))
                            .collect(),
                        rows.iter().map(|&i| masses[i] / sum).collect(),
                    )
                };
                let ((a, wa), (b, wb)) = (part(true), part(false));
                let expected = crate::loss::energy_distance(&a, Some(&wa), &b, Some(&wb), d);
                assert!(
                    (found[p] - expected).abs() < 1e-5,
                    "{} {expected}",
                    found[p]
                );
            }
        }
    }
}

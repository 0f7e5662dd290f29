//! The energy distance \[11, 12\]: the squared MMD with kernel `-|x - y|`, as a U-statistic with weights.
//!
//! For weighted clouds `(x_i, a_i)`, `(y_j, b_j)`, weights summing to one:
//!
//! ```text
//! ED = 2 sum_ij a_i b_j |x_i - y_j| - sum_{i != i'} a_i a_i' |x_i - x_i'| / (1 - sum a^2) - sum_{j != j'} b_j b_j' |y_j - y_j'| / (1 - sum b^2)
//! ```
//!
//! With equal weights the self terms are divided by `n (n - 1)`: the estimate is unbiased, so between two draws of one law its mean is
//! zero and half of its values are negative. Distances are summed by tiles; no `n x m` matrix is ever held.

use charflow_kernels::distance::{Cloud, Scratch, rows};
use charflow_kernels::{BLOCK, Isa, Real, blocks};
use rayon::prelude::*;

/// `sum_i a_i sum_j b_j |x_i - y_j|`.
///
/// The sum runs over blocks of 48 points in parallel and is added in order, so it is the same on any number of threads.
#[must_use]
pub fn mean_distance<T: Real>(x: &Cloud<T>, y: &Cloud<T>) -> f64 {
    let isa = Isa::current();
    let sums: Vec<f64> = (0..blocks(x.len()))
        .into_par_iter()
        .map(|block| {
            let mut value = [0.0; BLOCK];
            rows(isa, x, block, y, &mut value, None, &mut Scratch::default());
            let weights = &x.weights()[block * BLOCK..((block + 1) * BLOCK).min(x.len())];
            weights.iter().zip(value).map(|(a, v)| a.f64() * v).sum()
        })
        .collect();
    sums.iter().sum()
}

/// `1 / (1 - sum a^2)`: what makes a weighted self term unbiased; zero for a single point.
pub(crate) fn self_factor<T: Real>(cloud: &Cloud<T>) -> f64 {
    let squares: f64 = cloud.weights().iter().map(|a| a.f64() * a.f64()).sum();
    if squares < 1.0 {
        1.0 / (1.0 - squares)
    } else {
        0.0
    }
}

/// `sum_{i != i'} a_i a_i' |x_i - x_i'| / (1 - sum a^2)`: the mean distance within a cloud.
#[must_use]
pub fn spread<T: Real>(x: &Cloud<T>) -> f64 {
    mean_distance(x, x) * self_factor(x)
}

/// The energy distance of two clouds `x: [n, d]`, `y: [m, d]`, row-major, equal weights if none are given.
///
/// Weights are taken to sum to one. Not negative in expectation, but the estimate may be.
#[must_use]
pub fn energy_distance<T: Real>(
    x: &[T],
    a: Option<&[T]>,
    y: &[T],
    b: Option<&[T]>,
    dim: usize,
) -> f64 {
    let (x, y) = (Cloud::new(x, dim, a), Cloud::new(y, dim, b));
    2.0 * mean_distance(&x, &y) - spread(&x) - spread(&y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn cloud(n: usize, d: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n * d).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// The definition, written as it is read.
    fn naive(x: &[f64], a: &[f64], y: &[f64], b: &[f64], d: usize) -> f64 {
        let distance = |p: &[f64], q: &[f64]| {
            p.iter()
                .zip(q)
                .map(|(s, t)| (s - t).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        let pair = |x: &[f64], a: &[f64], y: &[f64], b: &[f64], skip: bool| {
            let mut sum = 0.0;
            let mut mass = 0.0;
            for (i, p) in x.chunks(d).enumerate() {
                for (j, q) in y.chunks(d).enumerate() {
                    if !(skip && i == j) {
                        sum += a[i] * b[j] * distance(p, q);
                        mass += a[i] * b[j];
                    }
                }
            }
            sum / mass
        };
        2.0 * pair(x, a, y, b, false) - pair(x, a, x, a, true) - pair(y, b, y, b, true)
    }

    #[test]
    fn the_energy_distance_is_its_definition() {
        for d in [1, 2, 3, 5, 12] {
            let (x, y) = (cloud(70, d, 1), cloud(101, d, 2));
            let even = |n: usize| vec![1.0 / n as f64; n];
            let mut a: Vec<f64> = (0..70).map(|i| 1.0 + (i % 5) as f64).collect();
            let total: f64 = a.iter().sum();
            a.iter_mut().for_each(|w| *w /= total);
            let plain = energy_distance(&x, None, &y, None, d);
            assert!((plain - naive(&x, &even(70), &y, &even(101), d)).abs() < 1e-12);
            let weighted = energy_distance(&x, Some(&a), &y, None, d);
            assert!((weighted - naive(&x, &a, &y, &even(101), d)).abs() < 1e-12);
            let narrow = |v: &[f64]| v.iter().map(|&s| s as f32).collect::<Vec<f32>>();
            let single = energy_distance(&narrow(&x), None, &narrow(&y), None, d);
            assert!((single - plain).abs() < 2e-6, "{single} {plain}");
        }
    }

    #[test]
    fn a_whole_weight_is_that_many_copies_up_to_the_self_term() {
        // With weights the U-statistic leaves out a point's distance to itself only once, so compare the V-statistic parts.
        let d = 3;
        let x = cloud(30, d, 5);
        let mut doubled = x.clone();
        doubled.extend_from_slice(&x[..15 * d]);
        let weights: Vec<f64> = (0..30)
            .map(|i| if i < 15 { 2.0 / 45.0 } else { 1.0 / 45.0 })
            .collect();
        let y = Cloud::new(&cloud(40, d, 6), d, None);
        let a = mean_distance(&Cloud::new(&x, d, Some(&weights)), &y);
        let b = mean_distance(&Cloud::new(&doubled, d, None), &y);
        assert!((a - b).abs() < 1e-13);
    }

    #[test]
    fn two_draws_of_one_law_are_at_zero_on_average() {
        let mut sum = 0.0;
        let mut negative = 0;
        for seed in 0..200 {
            let ed = energy_distance(
                &cloud(40, 2, 2 * seed),
                None,
                &cloud(60, 2, 2 * seed + 1),
                None,
                2,
            );
            sum += ed;
            negative += usize::from(ed < 0.0);
        }
        // The standard error of the mean is about 0.0015; a V-statistic would sit at +0.04.
        assert!((sum / 200.0).abs() < 0.006, "{}", sum / 200.0);
        assert!((60..180).contains(&negative), "{negative}");
    }

    #[test]
    fn symmetric_and_blind_to_shift_scaling_linearly() {
        let (x, y) = (cloud(50, 2, 7), cloud(60, 2, 8));
        let ed = energy_distance(&x, None, &y, None, 2);
        assert!((ed - energy_distance(&y, None, &x, None, 2)).abs() < 1e-14);
        let moved = |v: &[f64]| v.iter().map(|s| 3.0 * s + 7.0).collect::<Vec<f64>>();
        assert!((3.0 * ed - energy_distance(&moved(&x), None, &moved(&y), None, 2)).abs() < 1e-12);
    }

    #[test]
    fn the_same_on_any_number_of_threads() {
        let (x, y) = (cloud(500, 6, 1), cloud(700, 6, 2));
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| energy_distance(&x, None, &y, None, 6))
                .to_bits()
        };
        assert_eq!(on(1), on(2));
        assert_eq!(on(1), on(5));
    }
}

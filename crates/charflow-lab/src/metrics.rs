//! How far a map is from the truth, for points row-major `[n, dim]`.
//!
//! - L2-UVP: `100 E|That(x) - T*(x)|^2 / Var`, in percent. `Var` is the trace of the covariance of the measure mapped onto: the target's forward, the
//!   source's backward. The constant map to the mean scores 100.
//! - Cosine: `E<That(x) - x, T*(x) - x> / sqrt(E|That(x) - x|^2 E|T*(x) - x|^2)`. It is 1 where the displacements agree up to a positive factor.
//! - Nearest-class accuracy: the share of pushed points whose nearest target point has their class.
//! - Pairs that are not monotone: the share of pairs with `<x_i - x_j, T(x_i) - T(x_j)> < 0`. The optimal map for the quadratic cost has none.
//! - Crossings: the pairs of transport lines that cross in the plane. What a picture shows, not an error: see [`crossings`].
//!
//! Both first ones as in the continuous Wasserstein-2 benchmark (Korotin et al., NeurIPS 2021).

use rayon::prelude::*;

use crate::{LabError, rows};

/// Mean and variance of each column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnStatistics {
    /// Means, `[dim]`.
    pub means: Vec<f64>,
    /// Unbiased variances (divisor `n - 1`; zero for one row), `[dim]`.
    pub variances: Vec<f64>,
}

/// Mean and variance of each column, in two passes so that a large offset costs no digits.
///
/// # Errors
/// No rows, or a slice that is not `[n, dim]`.
pub fn column_statistics(values: &[f64], dim: usize) -> Result<ColumnStatistics, LabError> {
    let n = rows(values, dim, "the table")?;
    if n == 0 {
        return Err(LabError::Input(
            "column statistics need at least one row".to_owned(),
        ));
    }
    let mut means = vec![0.0; dim];
    for row in values.chunks_exact(dim) {
        for k in 0..dim {
            means[k] += row[k];
        }
    }
    means.iter_mut().for_each(|m| *m /= n as f64);
    let mut variances = vec![0.0; dim];
    for row in values.chunks_exact(dim) {
        for k in 0..dim {
            variances[k] += (row[k] - means[k]).powi(2);
        }
    }
    variances
        .iter_mut()
        .for_each(|v| *v /= (n - 1).max(1) as f64);
    Ok(ColumnStatistics { means, variances })
}

/// Trace of the covariance: the sum of the columns' variances.
///
/// # Errors
/// As [`column_statistics`].
pub fn total_variance(values: &[f64], dim: usize) -> Result<f64, LabError> {
    Ok(column_statistics(values, dim)?.variances.iter().sum())
}

/// L2-UVP in percent of `estimated` against `truth`, both `[n, dim]` at the same points; `variance` is the total variance of the measure mapped onto.
///
/// # Errors
/// No rows, shapes that differ, or a variance that is not positive.
pub fn l2_uvp(
    estimated: &[f64],
    truth: &[f64],
    dim: usize,
    variance: f64,
) -> Result<f64, LabError> {
    let n = same_rows(estimated, truth, dim)?;
    if !(variance > 0.0 && variance.is_finite()) {
        return Err(LabError::Input(format!(
            "L2-UVP divides by the total variance, which must be positive, not {variance}"
        )));
    }
    let error: f64 = estimated
        .iter()
        .zip(truth)
        .map(|(a, b)| (a - b) * (a - b))
        .sum();
    Ok(100.0 * error / n as f64 / variance)
}

/// Cosine between the displacements of two maps at the points `x`; all `[n, dim]`.
///
/// If exactly one of them moves nothing the cosine is 0, if neither does it is 1.
///
/// # Errors
/// No rows, or shapes that differ.
pub fn cosine(x: &[f64], estimated: &[f64], truth: &[f64], dim: usize) -> Result<f64, LabError> {
    same_rows(estimated, truth, dim)?;
    same_rows(x, truth, dim)?;
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for ((x, a), b) in x.iter().zip(estimated).zip(truth) {
        let (a, b) = (a - x, b - x);
        both += a * b;
        first += a * a;
        second += b * b;
    }
    Ok(match (first > 0.0, second > 0.0) {
        (true, true) => both / (first.sqrt() * second.sqrt()),
        (false, false) => 1.0,
        _ => 0.0,
    })
}

/// Share of pushed points, in `[0, 1]`, whose nearest target point (Euclidean; the first of equals) has the same class.
///
/// Brute force in tiles over all cores: `n m dim` operations, memory `O(n)`. Classes may be names or numbers.
///
/// # Errors
/// No points on either side, shapes that do not fit, or a class missing for some point.
pub fn nearest_class_accuracy<C: PartialEq + Sync>(
    pushed: &[f64],
    pushed_class: &[C],
    target: &[f64],
    target_class: &[C],
    dim: usize,
) -> Result<f64, LabError> {
    let n = rows(pushed, dim, "the pushed cloud")?;
    let m = rows(target, dim, "the target cloud")?;
    if n == 0 || m == 0 {
        return Err(LabError::Input(
            "nearest-class accuracy needs points on both sides".to_owned(),
        ));
    }
    if pushed_class.len() != n || target_class.len() != m {
        return Err(LabError::Input(format!(
            "{n} pushed and {m} target points came with {} and {} classes",
            pushed_class.len(),
            target_class.len()
        )));
    }
    /// Queries that share one sweep over the target, and target points per tile: both stay in cache.
    const QUERIES: usize = 32;
    const TILE: usize = 512;
    let right: usize = pushed
        .par_chunks(QUERIES * dim)
        .zip(pushed_class.par_chunks(QUERIES))
        .map(|(points, classes)| {
            let mut nearest = vec![(f64::INFINITY, 0usize); classes.len()];
            for (tile, block) in target.chunks(TILE * dim).enumerate() {
                for (query, best) in points.chunks_exact(dim).zip(&mut nearest) {
                    for (j, y) in block.chunks_exact(dim).enumerate() {
                        let distance: f64 =
                            query.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum();
                        if distance < best.0 {
                            *best = (distance, tile * TILE + j);
                        }
                    }
                }
            }
            // A point with no finite distance has no nearest target, so it counts as wrong.
            nearest
                .iter()
                .zip(classes)
                .filter(|((d, j), class)| d.is_finite() && target_class[*j] == **class)
                .count()
        })
        .sum();
    Ok(right as f64 / n as f64)
}

/// Share of pairs of points, in `[0, 1]`, that a map moves against each other: `<x_i - x_j, T(x_i) - T(x_j)> < 0`, for `x` and its images
/// `t`, both `[n, dim]`. 0 for fewer than two points.
///
/// For the quadratic cost this is 2-cycle monotonicity, `|x_i - T_i|^2 + |x_j - T_j|^2 <= |x_i - T_j|^2 + |x_j - T_i|^2`: where it
/// fails, swapping the two images is cheaper. So an optimal map has none; a map without any need not be optimal (longer cycles).
/// It also keeps points apart on their way: with `a = x_i - x_j` and `b = T_i - T_j`,
/// `|(1 - s) a + s b|^2 >= (1 - s)^2 |a|^2 + s^2 |b|^2`, so two points never meet at a time `s` in (0, 1); and where two do meet,
/// `b = -(1 - s) / s a` and the product is negative.
///
/// `n^2 dim / 2` operations over all cores.
///
/// # Errors
/// Slices that are not of one shape `[n, dim]`.
pub fn monotone_violations(x: &[f64], t: &[f64], dim: usize) -> Result<f64, LabError> {
    let n = same_rows(x, t, dim)?;
    let against: usize = (0..n)
        .into_par_iter()
        .map(|i| {
            let (xi, ti) = (&x[i * dim..(i + 1) * dim], &t[i * dim..(i + 1) * dim]);
            x[..i * dim]
                .chunks_exact(dim)
                .zip(t[..i * dim].chunks_exact(dim))
                .filter(|(xj, tj)| {
                    let product: f64 = (0..dim).map(|k| (xi[k] - xj[k]) * (ti[k] - tj[k])).sum();
                    product < 0.0
                })
                .count()
        })
        .sum();
    Ok(against as f64 / pairs(n).max(1) as f64)
}

/// The number of pairs of `n` things.
#[must_use]
pub fn pairs(n: usize) -> usize {
    n * n.saturating_sub(1) / 2
}

/// How many pairs of segments `(from, to)` in the plane cross properly: in one point that is inside both.
///
/// This counts what a picture of transport lines shows. It is no test of optimality for the quadratic cost: the lines from (0, 0) to
/// (1, 0) and from (0.5, -0.1) to (5, 0.9) cross at (0.95, 0), one at time 0.95, the other at 0.1, and the pair is monotone
/// (`<a, b> = 1.91`). What optimality forbids is crossing at the same time, which [`monotone_violations`] sees. (For the cost `|v|` lines of an optimal
/// map do not cross: by the triangle inequality on both sides of the crossing the swapped pair is shorter.)
#[must_use]
pub fn crossings(lines: &[([f64; 2], [f64; 2])]) -> usize {
    // Twice the signed area of the triangle: on which side of the line from p to q lies r?
    let side = |p: [f64; 2], q: [f64; 2], r: [f64; 2]| {
        (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])
    };
    let apart = |a: f64, b: f64| (a > 0.0 && b < 0.0) || (a < 0.0 && b > 0.0);
    lines
        .par_iter()
        .enumerate()
        .map(|(i, &(a, b))| {
            lines[..i]
                .iter()
                .filter(|&&(c, d)| {
                    apart(side(a, b, c), side(a, b, d)) && apart(side(c, d, a), side(c, d, b))
                })
                .count()
        })
        .sum()
}

fn same_rows(a: &[f64], b: &[f64], dim: usize) -> Result<usize, LabError> {
    let n = rows(a, dim, "the cloud")?;
    if a.len() != b.len() {
        return Err(LabError::Input(format!(
            "two clouds to be compared hold {} and {} numbers",
            a.len(),
            b.len()
        )));
    }
    if n == 0 {
        return Err(LabError::Input(
            "a metric needs at least one point".to_owned(),
        ));
    }
    Ok(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::generate;

    fn clouds() -> (Vec<f64>, Vec<f64>) {
        let mut data = generate("gaussians", 500, Some(3), 1).unwrap().clouds;
        let y = data.remove(1).values;
        (data.remove(0).values, y)
    }

    #[test]
    fn uvp_of_the_truth_is_zero_and_of_the_mean_a_hundred() {
        let (_, y) = clouds();
        let stats = column_statistics(&y, 3).unwrap();
        let n = 500.0;
        let variance = total_variance(&y, 3).unwrap() * (n - 1.0) / n;
        assert_eq!(l2_uvp(&y, &y, 3, variance).unwrap(), 0.0);
        let mean: Vec<f64> = (0..500).flat_map(|_| stats.means.clone()).collect();
        assert!((l2_uvp(&mean, &y, 3, variance).unwrap() - 100.0).abs() < 1e-9);
        // Twice the error is four times the UVP; units cancel.
        let half: Vec<f64> = mean.iter().zip(&y).map(|(a, b)| 0.5 * (a + b)).collect();
        assert!((l2_uvp(&half, &y, 3, variance).unwrap() - 25.0).abs() < 1e-9);
        let big = |v: &[f64]| v.iter().map(|v| 1e6 * v).collect::<Vec<_>>();
        assert!((l2_uvp(&big(&half), &big(&y), 3, 1e12 * variance).unwrap() - 25.0).abs() < 1e-9);
    }

    #[test]
    fn cosine_sees_direction_only() {
        let (x, y) = clouds();
        let along = |s: f64| {
            x.iter()
                .zip(&y)
                .map(|(a, b)| a + s * (b - a))
                .collect::<Vec<_>>()
        };
        assert!((cosine(&x, &y, &y, 3).unwrap() - 1.0).abs() < 1e-12);
        assert!((cosine(&x, &along(0.3), &y, 3).unwrap() - 1.0).abs() < 1e-12);
        assert!((cosine(&x, &along(-2.0), &y, 3).unwrap() + 1.0).abs() < 1e-12);
        assert_eq!(cosine(&x, &x, &y, 3).unwrap(), 0.0);
        assert_eq!(cosine(&x, &x, &x, 3).unwrap(), 1.0);
        // A right angle.
        assert_eq!(
            cosine(&[0.0, 0.0], &[1.0, 0.0], &[0.0, 3.0], 2).unwrap(),
            0.0
        );
    }

    #[test]
    fn variance_survives_an_offset() {
        let (x, _) = clouds();
        let moved: Vec<f64> = x.iter().map(|v| 1e-3 * v + 1e6).collect();
        let ratio = total_variance(&moved, 3).unwrap() / total_variance(&x, 3).unwrap();
        assert!((ratio / 1e-6 - 1.0).abs() < 1e-4, "{ratio}");
    }

    #[test]
    fn nearest_class_meets_its_naive_twin() {
        let (x, y) = clouds();
        // More targets than one tile, and sizes that are no multiple of it.
        let y: Vec<f64> = y.iter().chain(&x[..900]).map(|v| v + 0.1).collect();
        let m = y.len() / 3;
        let from: Vec<usize> = (0..500).map(|i| i % 3).collect();
        let to: Vec<usize> = (0..m).map(|i| i * 7 % 3).collect();
        let mut right = 0;
        for i in 0..500 {
            let d = |j: usize| {
                (0..3)
                    .map(|k| (x[3 * i + k] - y[3 * j + k]).powi(2))
                    .sum::<f64>()
            };
            let best = (0..m).min_by(|&a, &b| d(a).total_cmp(&d(b))).unwrap();
            right += usize::from(to[best] == from[i]);
        }
        assert_eq!(
            nearest_class_accuracy(&x, &from, &y, &to, 3).unwrap(),
            right as f64 / 500.0
        );
        assert!(right > 50 && right < 450);
    }

    #[test]
    fn a_gradient_of_a_convex_function_is_monotone_and_a_reflection_is_not() {
        let (x, _) = clouds();
        // The gradient of |x|^4 / 4 + a convex quadratic.
        let monotone: Vec<f64> = x
            .chunks(3)
            .flat_map(|p| {
                let square: f64 = p.iter().map(|v| v * v).sum();
                [
                    square * p[0] + 2.0 * p[0] + p[1],
                    square * p[1] + p[0] + 2.0 * p[1],
                    square * p[2] + 3.0,
                ]
            })
            .collect();
        assert_eq!(monotone_violations(&x, &monotone, 3).unwrap(), 0.0);
        assert_eq!(monotone_violations(&x, &x, 3).unwrap(), 0.0);
        let back: Vec<f64> = x.iter().map(|v| -v).collect();
        assert_eq!(monotone_violations(&x, &back, 3).unwrap(), 1.0);
        // One axis turned round: some pairs, as the definition counts them.
        let mirrored: Vec<f64> = x.chunks(3).flat_map(|p| [-p[0], p[1], p[2]]).collect();
        let mut against = 0;
        for i in 0..500 {
            for j in 0..i {
                let product: f64 = (0..3)
                    .map(|k| {
                        (x[3 * i + k] - x[3 * j + k]) * (mirrored[3 * i + k] - mirrored[3 * j + k])
                    })
                    .sum();
                against += usize::from(product < 0.0);
            }
        }
        let share = monotone_violations(&x, &mirrored, 3).unwrap();
        assert_eq!(share, against as f64 / pairs(500) as f64);
        assert!(share > 0.1 && share < 0.6, "{share}");
        assert_eq!(monotone_violations(&[1.0], &[2.0], 1).unwrap(), 0.0);
        // It is the swap that would be cheaper.
        let square =
            |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let row = |v: &[f64], i: usize| v[3 * i..3 * i + 3].to_vec();
        for (i, j) in [(0, 1), (2, 9), (100, 400), (7, 8)] {
            let (a, b, s, t) = (row(&x, i), row(&x, j), row(&mirrored, i), row(&mirrored, j));
            let swapped = square(&a, &t) + square(&b, &s) < square(&a, &s) + square(&b, &t);
            let pair = [a, b].concat();
            assert_eq!(
                monotone_violations(&pair, &[s, t].concat(), 3).unwrap() > 0.0,
                swapped
            );
        }
    }

    #[test]
    fn crossings_meet_their_naive_twin() {
        let line = |a: [f64; 4]| ([a[0], a[1]], [a[2], a[3]]);
        let count =
            |lines: &[[f64; 4]]| crossings(&lines.iter().map(|l| line(*l)).collect::<Vec<_>>());
        assert_eq!(count(&[[0.0, 0.0, 2.0, 2.0], [0.0, 2.0, 2.0, 0.0]]), 1);
        // They touch, share an end, lie on one line, are points.
        assert_eq!(count(&[[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 2.0, 0.0]]), 0);
        assert_eq!(count(&[[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 0.0]]), 0);
        assert_eq!(count(&[[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0]]), 0);
        assert_eq!(count(&[[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0]]), 0);
        // The example of the documentation: they cross and are monotone.
        let crossing = [[0.0, 0.0, 1.0, 0.0], [0.5, -0.1, 5.0, 0.9]];
        assert_eq!(count(&crossing), 1);
        assert_eq!(
            monotone_violations(&[0.0, 0.0, 0.5, -0.1], &[1.0, 0.0, 5.0, 0.9], 2).unwrap(),
            0.0
        );
        // Solve for the parameters of the point in common.
        let mut data = generate("moons", 200, None, 3).unwrap().clouds;
        let from = data.remove(0).values;
        let lines: Vec<([f64; 2], [f64; 2])> = (0..100)
            .map(|i| {
                (
                    [from[2 * i], from[2 * i + 1]],
                    [from[200 + 2 * i], from[201 + 2 * i]],
                )
            })
            .collect();
        let mut expected = 0;
        for (i, (a, b)) in lines.iter().enumerate() {
            for (c, d) in &lines[..i] {
                let (u, v, w) = (
                    [b[0] - a[0], b[1] - a[1]],
                    [d[0] - c[0], d[1] - c[1]],
                    [c[0] - a[0], c[1] - a[1]],
                );
                let det = u[0] * v[1] - u[1] * v[0];
                let (s, t) = (
                    (w[0] * v[1] - w[1] * v[0]) / det,
                    (w[0] * u[1] - w[1] * u[0]) / det,
                );
                expected += usize::from(s > 0.0 && s < 1.0 && t > 0.0 && t < 1.0);
            }
        }
        assert_eq!(crossings(&lines), expected);
        assert!(expected > 100 && expected < pairs(100), "{expected}");
    }

    #[test]
    fn wrong_shapes_are_refused() {
        assert!(monotone_violations(&[1.0, 2.0], &[1.0], 1).is_err());
        assert!(l2_uvp(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], 2, 1.0).is_err());
        assert!(l2_uvp(&[1.0, 2.0], &[1.0], 1, 1.0).is_err());
        assert!(l2_uvp(&[1.0], &[1.0], 1, 0.0).is_err());
        assert!(column_statistics(&[], 2).is_err());
        assert!(column_statistics(&[1.0], 0).is_err());
        assert!(nearest_class_accuracy(&[1.0], &["a", "b"], &[1.0], &["a"], 1).is_err());
        assert_eq!(
            nearest_class_accuracy(&[f64::NAN], &["a"], &[1.0], &["a"], 1).unwrap(),
            0.0
        );
    }
}

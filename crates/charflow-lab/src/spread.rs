//! Labels of a few points, spread to all others along the cloud.
//!
//! ```text
//! W_ij = exp(-|x_i - x_j|^2 / (s_i s_j))     if one is among the K nearest of the other, else 0;    s_i: distance of x_i to its K-th nearest
//! S    = D^(-1/2) W D^(-1/2),                D = diag(sum_j W_ij)
//! F   <- alpha S F + (1 - alpha) Y,          Y_ic = 1 if x_i is labelled c, else 0
//! label of x_i = argmax_c F_ic / sum_j F_jc
//! ```
//!
//! Zhou, Bousquet, Lal, Weston and Schölkopf, "Learning with local and global consistency", NIPS 2003; the scales `s_i` after Zelnik-Manor and Perona, "Self-tuning spectral
//! clustering", NIPS 2004; the division by a class's sum, so that no class wins for its size, after Zhu, Ghahramani and Lafferty, ICML 2003 (there: towards known shares).
//! It is right where classes are clusters, and that is all it knows: a point is given the class of the labelled points that are best reached from
//! it by short steps.

use crate::error::LabError;
use crate::rows;
use rayon::prelude::*;

/// Neighbours of a point, `K`.
const NEIGHBOURS: usize = 10;
/// How much more the neighbours count than the labels.
const ALPHA: f64 = 0.99;
/// Rounds; the influence of a label fades as `alpha` to their number.
const ROUNDS: usize = 200;

/// The class of each point of `x` (`[n, dim]`), given those of some; the given ones are kept.
///
/// Time grows as `n^2 dim`: 20,000 points in 24 dimensions take some ten seconds on two cores. Memory grows as `n`.
///
/// # Errors
/// [`LabError::Input`] if no point is labelled, the numbers differ, or there are too few points to have neighbours.
pub fn spread_labels(x: &[f64], dim: usize, labels: &[Option<u8>]) -> Result<Vec<u8>, LabError> {
    let n = rows(x, dim, "the points")?;
    if labels.len() != n {
        return Err(LabError::Input(format!(
            "{} labels for {n} points; one for each, or none in its place, is expected",
            labels.len()
        )));
    }
    if n < 2 {
        return Err(LabError::Input(
            "labels are spread between two points or more".into(),
        ));
    }
    let Some(classes) = labels.iter().flatten().max().map(|&c| usize::from(c) + 1) else {
        return Err(LabError::Input(
            "no point is labelled, so there is nothing to spread".into(),
        ));
    };
    let edges = symmetric(&nearest(x, dim, NEIGHBOURS.min(n - 1)));
    let mut given = vec![0.0; n * classes];
    for (i, label) in labels.iter().enumerate() {
        if let Some(c) = label {
            given[i * classes + usize::from(*c)] = 1.0;
        }
    }
    let mut f = given.clone();
    for _ in 0..ROUNDS {
        let mut next = vec![0.0; n * classes];
        next.par_chunks_mut(classes)
            .zip(given.par_chunks(classes))
            .zip(&edges)
            .for_each(|((row, given), edges)| {
                for &(j, w) in edges {
                    let other = &f[j as usize * classes..(j as usize + 1) * classes];
                    row.iter_mut().zip(other).for_each(|(r, o)| *r += w * o);
                }
                for (r, g) in row.iter_mut().zip(given) {
                    *r = ALPHA * *r + (1.0 - ALPHA) * g;
                }
            });
        f = next;
    }
    let mut sums = vec![0.0; classes];
    for row in f.chunks_exact(classes) {
        sums.iter_mut().zip(row).for_each(|(s, v)| *s += v);
    }
    // A class that no label names has nothing anywhere, and never wins.
    let share = |v: f64, sum: f64| if sum > 0.0 { v / sum } else { -1.0 };
    let found = f.chunks_exact(classes).zip(labels).map(|(row, label)| {
        label.unwrap_or_else(|| {
            let best = |a: usize, b: usize| {
                if share(row[b], sums[b]) > share(row[a], sums[a]) {
                    b
                } else {
                    a
                }
            };
            (0..classes).fold(0, best) as u8
        })
    });
    Ok(found.collect())
}

/// The `k` nearest other points of each, nearest first, with squared distances.
fn nearest(x: &[f64], dim: usize, k: usize) -> Vec<Vec<(u32, f64)>> {
    let n = x.len() / dim;
    (0..n)
        .into_par_iter()
        .map(|i| {
            let point = &x[i * dim..(i + 1) * dim];
            let mut found: Vec<(u32, f64)> = Vec::with_capacity(k + 1);
            for (j, other) in x.chunks_exact(dim).enumerate() {
                let square: f64 = point
                    .iter()
                    .zip(other)
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum();
                if j != i && (found.len() < k || square < found[k - 1].1) {
                    let at = found.partition_point(|(_, s)| *s <= square);
                    found.insert(at, (j as u32, square));
                    found.truncate(k);
                }
            }
            found
        })
        .collect()
}

/// The rows of `S`.
fn symmetric(nearest: &[Vec<(u32, f64)>]) -> Vec<Vec<(u32, f64)>> {
    let scale = |i: usize| nearest[i].last().map_or(0.0, |(_, s)| s.sqrt());
    let mut edges: Vec<Vec<(u32, f64)>> = nearest
        .iter()
        .enumerate()
        .map(|(i, found)| {
            let weight = |&(j, square): &(u32, f64)| {
                let unit = scale(i) * scale(j as usize);
                // Of equal points, more than K, all scales are zero.
                let w = if unit > 0.0 {
                    (-square / unit).exp()
                } else {
                    1.0
                };
                (j, w)
            };
            found.iter().map(weight).collect()
        })
        .collect();
    for i in 0..nearest.len() {
        for k in 0..nearest[i].len() {
            let (j, w) = edges[i][k];
            // The weight is the same seen from either side, so only its absence is mended.
            if nearest[j as usize]
                .iter()
                .all(|(back, _)| *back as usize != i)
            {
                edges[j as usize].push((i as u32, w));
            }
        }
    }
    let degrees: Vec<f64> = edges
        .iter()
        .map(|row| {
            row.iter()
                .map(|(_, w)| w)
                .sum::<f64>()
                .max(f64::MIN_POSITIVE)
        })
        .collect();
    for (i, row) in edges.iter_mut().enumerate() {
        for (j, w) in row {
            *w /= (degrees[i] * degrees[*j as usize]).sqrt();
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Two half circles, one in the other's hollow, and which of the two.
    fn moons(n: usize) -> (Vec<f64>, Vec<u8>) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut x = Vec::new();
        let classes: Vec<u8> = (0..n).map(|i| (i % 2) as u8).collect();
        for &c in &classes {
            let angle = rng.random_range(0.0..std::f64::consts::PI);
            let mut noise = || rng.random_range(-0.1..0.1);
            let (cos, sin) = (angle.cos(), angle.sin());
            let at = if c == 0 {
                [cos, sin]
            } else {
                [1.0 - cos, 0.5 - sin]
            };
            x.extend(at.map(|v| v + noise()));
        }
        (x, classes)
    }

    #[test]
    fn one_label_a_moon_is_enough() {
        let (x, classes) = moons(600);
        // The tips, which are nearer to the other moon's middle than to their own far end.
        let tip = |class: u8| {
            let far = |i: &usize| if class == 0 { -x[2 * i] } else { x[2 * i] };
            let of = (0..600).filter(|&i| classes[i] == class);
            of.max_by(|a, b| far(a).total_cmp(&far(b))).unwrap()
        };
        let mut labels = vec![None; 600];
        for class in [0, 1] {
            labels[tip(class)] = Some(class);
        }
        assert_eq!(spread_labels(&x, 2, &labels).unwrap(), classes);
    }

    #[test]
    fn neighbours_are_those_of_the_definition_and_the_graph_is_symmetric() {
        let (x, _) = moons(80);
        let found = nearest(&x, 2, 7);
        for i in 0..80 {
            let mut all: Vec<(f64, u32)> = (0..80)
                .filter(|&j| j != i)
                .map(|j| {
                    let d = (x[2 * i] - x[2 * j]).powi(2) + (x[2 * i + 1] - x[2 * j + 1]).powi(2);
                    (d, j as u32)
                })
                .collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            let naive: Vec<u32> = all[..7].iter().map(|p| p.1).collect();
            assert_eq!(found[i].iter().map(|p| p.0).collect::<Vec<_>>(), naive);
        }
        let edges = symmetric(&found);
        for (i, row) in edges.iter().enumerate() {
            for &(j, w) in row {
                let back: Vec<f64> = edges[j as usize]
                    .iter()
                    .filter(|e| e.0 as usize == i)
                    .map(|e| e.1)
                    .collect();
                assert_eq!(back.len(), 1);
                assert!((back[0] - w).abs() < 1e-15 && w > 0.0);
            }
        }
    }

    #[test]
    fn what_is_given_is_kept_and_what_makes_no_sense_is_refused() {
        // A label against all of its neighbours stays.
        let (x, classes) = moons(100);
        let mut labels: Vec<Option<u8>> = classes.iter().copied().map(Some).collect();
        labels[5] = Some(0);
        labels[7] = None;
        let found = spread_labels(&x, 2, &labels).unwrap();
        assert_eq!((found[5], found[7]), (0, 1));
        // Many equal points, and a class number that no label has.
        let same = spread_labels(&[1.0; 60], 2, &[vec![Some(2)], vec![None; 29]].concat());
        assert_eq!(same.unwrap(), vec![2; 30]);
        assert!(spread_labels(&x, 2, &[None; 100]).is_err());
        assert!(spread_labels(&x, 2, &labels[..9]).is_err());
        assert!(spread_labels(&[1.0, 2.0], 2, &[Some(1)]).is_err());
    }
}

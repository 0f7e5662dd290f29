//! Labelled mixture, after the 2-D class-conditional example of the paper (6.2.1).
//!
//! Class `k` of `K = 4`: source `N(2 e(k), 0.25^2 I)`, target `N(4 e(k + 1), 0.35^2 I)`, `e(k) = (cos 2 pi k / K, sin 2 pi k / K)`.
//!
//! So class `k` must go a quarter turn round. The unlabelled optimal map knows nothing of that: it moves each source mode straight outward,
//! `2 e(k) -> 4 e(k)`, which is the place of class `k - 1`, and no point arrives at its own class. (The modes are well separated, so
//! the optimal map permutes them, and of all permutations the identity has the greatest `sum_k <e(k), e(s(k))>`.)
//!
//! The class-wise map is not optimal, but it can be followed by characteristics: centre `k` at time `t` is `e(k)` turned and scaled by the complex number
//! `2 (1 - t) + 4 t i`, whose modulus is at least `4 / sqrt 5 = 1.79`. The four bundles never meet at the same time, so a smooth potential
//! exists along them. A half turn would make them collide at the centre.
//!
//! Classes take turns (`A, B, C, D, A, ...`), so both clouds have the same class shares up to one point.

use std::f64::consts::TAU;

use super::{Generated, NamedCloud, normal, rng};

/// Names of the classes.
pub const CLASSES: [&str; 4] = ["A", "B", "C", "D"];
/// The target of class `k` lies in the direction of source class `k + SHIFT`.
pub const SHIFT: usize = 1;

const RADII: [f64; 2] = [2.0, 4.0];
const SPREADS: [f64; 2] = [0.25, 0.35];

/// Centre of a class in the source, `2 e(k)`.
pub fn source_centre(class: usize) -> [f64; 2] {
    direction(class).map(|v| RADII[0] * v)
}

/// Centre of a class in the target, `4 e(k + 1)`.
pub fn target_centre(class: usize) -> [f64; 2] {
    direction(class + SHIFT).map(|v| RADII[1] * v)
}

fn direction(class: usize) -> [f64; 2] {
    let angle = TAU * (class % CLASSES.len()) as f64 / CLASSES.len() as f64;
    [angle.cos(), angle.sin()]
}

pub(super) fn generate(n: usize, _dim: usize, seed: u64) -> Generated {
    let cloud = |stem: &str, stream: u64, centre: fn(usize) -> [f64; 2], spread: f64| {
        let mut rng = rng(seed, stream);
        let values = (0..n)
            .flat_map(|i| centre(i % CLASSES.len()).map(|c| c + spread * normal(&mut rng)))
            .collect();
        let labels = (0..n)
            .map(|i| CLASSES[i % CLASSES.len()].to_owned())
            .collect();
        NamedCloud {
            stem: stem.to_owned(),
            values,
            dim: 2,
            labels: Some(labels),
        }
    };
    let clouds = vec![
        cloud("source", 0, source_centre, SPREADS[0]),
        cloud("target", 1, target_centre, SPREADS[1]),
    ];
    Generated {
        clouds,
        truth: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::nearest_class_accuracy;

    #[test]
    fn class_wise_translation_arrives_and_the_optimal_map_does_not() {
        let data = generate(400, 2, 7);
        let (source, target) = (&data.clouds[0], &data.clouds[1]);
        let (from, to) = (
            source.labels.as_ref().unwrap(),
            target.labels.as_ref().unwrap(),
        );
        let accuracy =
            |pushed: &[f64]| nearest_class_accuracy(pushed, from, &target.values, to, 2).unwrap();
        let translated: Vec<f64> = (0..400)
            .flat_map(|i| {
                let (k, p) = (i % 4, &source.values[2 * i..2 * i + 2]);
                [0, 1].map(|j| p[j] - source_centre(k)[j] + target_centre(k)[j])
            })
            .collect();
        assert_eq!(accuracy(&translated), 1.0);
        // Moving every mode outward is the cheapest: check it against all 24 permutations of the centres.
        let cost = |s: [usize; 4]| -> f64 {
            (0..4)
                .map(|k| {
                    (0..2)
                        .map(|j| (target_centre(s[k])[j] - source_centre(k)[j]).powi(2))
                        .sum::<f64>()
                })
                .sum()
        };
        let mut all = Vec::new();
        for code in 0..256usize {
            let s = [code % 4, code / 4 % 4, code / 16 % 4, code / 64];
            if (0..4).all(|k| s.contains(&k)) {
                all.push((cost(s), s));
            }
        }
        assert_eq!(all.len(), 24);
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(
            all[0].1,
            [3, 0, 1, 2],
            "class k goes to the place of class k - 1"
        );
        assert!(all[1].0 > all[0].0 + 1.0);
        let outward: Vec<f64> = source.values.iter().map(|v| 2.0 * v).collect();
        assert_eq!(accuracy(&outward), 0.0);
    }

    #[test]
    fn bundles_of_characteristics_never_meet() {
        for step in 0..=100 {
            let t = f64::from(step) / 100.0;
            let at = |k: usize| {
                [0, 1].map(|j| (1.0 - t) * source_centre(k)[j] + t * target_centre(k)[j])
            };
            for (a, b) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
                let gap = (at(a)[0] - at(b)[0]).hypot(at(a)[1] - at(b)[1]);
                assert!(
                    gap > 6.0 * SPREADS[1],
                    "classes {a} and {b} are {gap} apart at time {t}"
                );
            }
        }
    }
}

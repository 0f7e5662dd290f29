//! Rings: radius 1 or 2 with probability 1/3 and 2/3 (equal density along both), uniform angle, plus `0.07 z`, `z ~ N(0, I)`.

use std::f64::consts::TAU;

use super::{Generated, normal, planar, uniform};

const NOISE: f64 = 0.07;

pub(super) fn generate(n: usize, _dim: usize, seed: u64) -> Generated {
    planar("rings", n, seed, |rng| {
        let radius = if uniform(rng) < 1.0 / 3.0 { 1.0 } else { 2.0 };
        let angle = TAU * uniform(rng);
        [
            radius * angle.cos() + NOISE * normal(rng),
            radius * angle.sin() + NOISE * normal(rng),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_points_is_on_the_inner_ring() {
        let values = &generate(6000, 2, 3).clouds[0].values;
        let radius = |p: &[f64]| p[0].hypot(p[1]);
        assert!(
            values
                .chunks(2)
                .all(|p| (radius(p) - 1.0).abs().min((radius(p) - 2.0).abs()) < 6.0 * NOISE)
        );
        let inner = values.chunks(2).filter(|p| radius(p) < 1.5).count();
        assert!(
            (1850..2150).contains(&inner),
            "{inner} of 6000 on the inner ring"
        );
    }
}

//! Double moons: with `a` uniform on `[0, pi]`, either `(cos a, sin a)` or `(1 - cos a, 1/2 - sin a)`, with probability 1/2 each;
//! then moved to the centre `(1/2, 1/4)`, scaled by 4/3, and `0.07 z` added, `z ~ N(0, I)`.
//!
//! The moons of scikit-learn's `make_moons`, scaled to width 4.

use std::f64::consts::PI;

use super::{Generated, normal, planar, uniform};

const SCALE: f64 = 4.0 / 3.0;
const NOISE: f64 = 0.07;

pub(super) fn generate(n: usize, _dim: usize, seed: u64) -> Generated {
    planar("moons", n, seed, |rng| {
        let lower = uniform(rng) < 0.5;
        let angle = PI * uniform(rng);
        let (x, y) = if lower {
            (1.0 - angle.cos(), 0.5 - angle.sin())
        } else {
            (angle.cos(), angle.sin())
        };
        [
            SCALE * (x - 0.5) + NOISE * normal(rng),
            SCALE * (y - 0.25) + NOISE * normal(rng),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_on_one_of_two_half_circles() {
        let values = &generate(4000, 2, 3).clouds[0].values;
        let distance =
            |p: &[f64], x: f64, y: f64| ((p[0] - SCALE * x).hypot(p[1] - SCALE * y) - SCALE).abs();
        let upper = values
            .chunks(2)
            .filter(|p| distance(p, -0.5, -0.25) < distance(p, 0.5, 0.25))
            .count();
        assert!(
            values
                .chunks(2)
                .all(|p| distance(p, -0.5, -0.25).min(distance(p, 0.5, 0.25)) < 6.0 * NOISE)
        );
        assert!(
            (1700..2300).contains(&upper),
            "{upper} of 4000 in the upper moon"
        );
    }
}

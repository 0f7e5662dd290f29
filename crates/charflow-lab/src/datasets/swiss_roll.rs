//! Swiss roll: `x = (a cos a, a sin a) / 7 + 0.06 z`, angle `a = 3 pi (1 + 2 w) / 2`, `w` uniform on `[0, 1]`, `z ~ N(0, I)`.
//!
//! The 2-D roll of scikit-learn's `make_swiss_roll`, scaled so that the outer end lies at distance 2.02.

use std::f64::consts::PI;

use super::{Generated, normal, planar, uniform};

const SCALE: f64 = 1.0 / 7.0;
const NOISE: f64 = 0.06;

pub(super) fn generate(n: usize, _dim: usize, seed: u64) -> Generated {
    planar("swiss-roll", n, seed, |rng| {
        let angle = 1.5 * PI * (1.0 + 2.0 * uniform(rng));
        let radius = SCALE * angle;
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
    fn points_lie_on_the_roll() {
        // Radius and angle agree on the spiral: radius / SCALE = angle + 2 pi k for some whole k, up to the noise.
        for p in generate(2000, 2, 3).clouds[0].values.chunks(2) {
            let turns = (p[0].hypot(p[1]) / SCALE - p[1].atan2(p[0])) / (2.0 * PI);
            assert!((turns - turns.round()).abs() * 2.0 * PI * SCALE < 6.0 * NOISE);
        }
    }
}

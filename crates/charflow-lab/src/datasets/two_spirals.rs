//! Two spirals: angle `a = 3 pi sqrt(w)`, `w` uniform on `[0, 1]`, point `+-(a cos a, a sin a) / 4.7` with a fair sign, plus `0.06 z`, `z ~ N(0, I)`.
//!
//! The square root spreads the points evenly along the arms, but for the centre.

use std::f64::consts::PI;

use super::{Generated, normal, planar, uniform};

const SCALE: f64 = 1.0 / 4.7;
const NOISE: f64 = 0.06;

pub(super) fn generate(n: usize, _dim: usize, seed: u64) -> Generated {
    planar("two-spirals", n, seed, |rng| {
        let sign = if uniform(rng) < 0.5 { 1.0 } else { -1.0 };
        let angle = 3.0 * PI * uniform(rng).sqrt();
        let radius = sign * SCALE * angle;
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
    fn points_lie_on_one_of_two_arms() {
        for p in generate(2000, 2, 3).clouds[0].values.chunks(2) {
            // The second arm is the first one turned by pi, so turns count in half circles.
            let halves = (p[0].hypot(p[1]) / SCALE - p[1].atan2(p[0])) / PI;
            let off = (halves - halves.round()).abs() * PI * SCALE;
            assert!(off < 6.0 * NOISE || p[0].hypot(p[1]) < 6.0 * NOISE);
        }
    }
}

//! A fitted map as a look: from stored colours to stored colours, part of the way if wanted, exact or averaged.
//!
//! ```text
//! exact    c -> color(x + s (T(x) - x)),          x = point(c),  s in [0, 1]
//! graded   T(x) replaced by its average  T_h(c) = sum_k w_k T(point(c + h z_k))
//! ```
//!
//! With the quadratic cost `x + s (T(x) - x)` is the map at time `s`: displacement interpolation (McCann 1997). The averaging points `z_k` and their weights
//! are the rule of degree 5 for the standard normal law on `R^3` (the centre and the corners of an icosahedron; Stroud 1971, U3 5-1 with a centre), so `T_h` is `T` smoothed by a
//! normal law of width `h` of stored colours, whatever the space: levels are what pictures are noisy in. In the space `srgb`, `T` is the gradient of a convex function of `c`, hence so are its shifts and their mean: an
//! averaged map still turns no colours around. It stretches small differences less, so noise and the blocks of a compressed picture are not made visible, and it follows the
//! target's histogram less closely.

use super::{CHANNELS, Space};
use charflow::Result;
use charflow::map::{BackwardMap, ForwardMap, check_points};

/// Which way a fitted map is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Source colours to the target's.
    Forward,
    /// Target colours to the source's.
    Backward,
}

/// A map of both directions, used in one of them.
pub struct Directed<'a, M: ?Sized>(pub &'a M, pub Way);

impl<M: ForwardMap + BackwardMap + ?Sized> ForwardMap for Directed<'_, M> {
    fn dim(&self) -> usize {
        ForwardMap::dim(self.0)
    }

    fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        match self.1 {
            Way::Forward => self.0.forward(x),
            Way::Backward => self.0.backward(x),
        }
    }
}

/// A map between points of a space, seen as one between stored colours.
pub struct Look<'a, M> {
    map: Directed<'a, M>,
    space: Space,
    strength: f64,
    averaged: Option<Averaged>,
}

/// The width of the normal law that a map is averaged over, in stored colours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Averaged(pub f64);

impl<'a, M: ForwardMap + BackwardMap> Look<'a, M> {
    /// `map` between points of `space`, all the way and as it is.
    pub fn new(map: &'a M, way: Way, space: Space) -> Self {
        Look {
            map: Directed(map, way),
            space,
            strength: 1.0,
            averaged: None,
        }
    }

    /// Only the share `strength` of the way, in `[0, 1]`.
    #[must_use]
    pub fn at(mut self, strength: f64) -> Self {
        self.strength = strength;
        self
    }

    /// Averaged over nearby colours, or not.
    #[must_use]
    pub fn averaged(mut self, averaged: Option<Averaged>) -> Self {
        self.averaged = averaged;
        self
    }

    fn mean_image(&self, colors: &[f64], width: f64) -> Result<Vec<f64>> {
        let mut mean = vec![0.0; colors.len()];
        for (weight, z) in RULE {
            let shifted: Vec<f64> = colors
                .as_chunks::<CHANNELS>()
                .0
                .iter()
                .flat_map(|c| {
                    let near = std::array::from_fn(|k| c[k] + width * z[k]);
                    self.space.point(near)
                })
                .collect();
            for (m, y) in mean.iter_mut().zip(self.map.forward(&shifted)?) {
                *m += weight * y;
            }
        }
        Ok(mean)
    }
}

impl<M: ForwardMap + BackwardMap> ForwardMap for Look<'_, M> {
    fn dim(&self) -> usize {
        CHANNELS
    }

    fn forward(&self, colors: &[f64]) -> Result<Vec<f64>> {
        check_points(colors, CHANNELS)?;
        let mut x = Vec::with_capacity(colors.len());
        for c in colors.as_chunks::<CHANNELS>().0 {
            x.extend(self.space.point(*c));
        }
        let mut y = match self.averaged {
            None => self.map.forward(&x)?,
            Some(Averaged(width)) => self.mean_image(colors, width)?,
        };
        for (y, x) in y
            .as_chunks_mut::<CHANNELS>()
            .0
            .iter_mut()
            .zip(x.as_chunks::<CHANNELS>().0)
        {
            for k in 0..CHANNELS {
                y[k] = x[k] + self.strength * (y[k] - x[k]);
            }
            *y = self.space.color(*y);
        }
        Ok(y)
    }
}

/// The distance of the icosahedron's corners from its centre, over that of `(0, 1, phi)`: `sqrt(5)` in the units of the normal law.
const SCALE: f64 = 1.175_570_504_584_946_3;
const PHI: f64 = 1.618_033_988_749_895;
const A: f64 = SCALE;
const B: f64 = SCALE * PHI;
const W: f64 = 0.05;

const RULE: [(f64, [f64; CHANNELS]); 13] = [
    (0.4, [0.0, 0.0, 0.0]),
    (W, [0.0, A, B]),
    (W, [0.0, A, -B]),
    (W, [0.0, -A, B]),
    (W, [0.0, -A, -B]),
    (W, [A, B, 0.0]),
    (W, [A, -B, 0.0]),
    (W, [-A, B, 0.0]),
    (W, [-A, -B, 0.0]),
    (W, [B, 0.0, A]),
    (W, [-B, 0.0, A]),
    (W, [B, 0.0, -A]),
    (W, [-B, 0.0, -A]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use charflow::exact::GaussianMap;

    /// All moments up to degree 5 are those of the standard normal law: a wrong radius or weight fails at degree 2 or 4.
    #[test]
    fn the_rule_is_exact_to_degree_five() {
        let moment = |n: i32| match n {
            0 => 1.0,
            2 => 1.0,
            4 => 3.0,
            _ => 0.0,
        };
        for i in 0..6 {
            for j in 0..6 - i {
                for k in 0..6 - i - j {
                    let found: f64 = RULE
                        .iter()
                        .map(|(w, z)| w * z[0].powi(i) * z[1].powi(j) * z[2].powi(k))
                        .sum();
                    let wanted = moment(i) * moment(j) * moment(k);
                    assert!((found - wanted).abs() < 1e-12, "{i} {j} {k}: {found}");
                }
            }
        }
    }

    fn linear() -> GaussianMap {
        let s0 = [0.04, 0.01, 0.0, 0.01, 0.03, 0.0, 0.0, 0.0, 0.02];
        let s1 = [0.02, 0.0, 0.01, 0.0, 0.05, 0.0, 0.01, 0.0, 0.03];
        GaussianMap::new(&[0.4, 0.5, 0.3], &s0, &[0.5, 0.3, 0.6], &s1).unwrap()
    }

    #[test]
    fn a_linear_map_is_its_own_average_and_its_ways_are_inverse() {
        let map = linear();
        let c = [0.2, 0.7, 0.4, 0.9, 0.1, 0.5];
        let forward = Look::new(&map, Way::Forward, Space::Srgb);
        let there = forward.forward(&c).unwrap();
        let plain = map.forward(&c).unwrap();
        let averaged = Look::new(&map, Way::Forward, Space::Srgb)
            .averaged(Some(Averaged(0.1)))
            .forward(&c)
            .unwrap();
        let back = Look::new(&map, Way::Backward, Space::Srgb)
            .forward(&there)
            .unwrap();
        for i in 0..c.len() {
            assert!((there[i] - plain[i]).abs() < 1e-12);
            assert!((averaged[i] - there[i]).abs() < 1e-12);
            assert!((back[i] - c[i]).abs() < 1e-9);
        }
    }

    #[test]
    fn strength_runs_from_the_picture_to_the_look() {
        let map = linear();
        let c = [0.2, 0.7, 0.4];
        for space in Space::ALL {
            let at = |s: f64| {
                Look::new(&map, Way::Forward, space)
                    .at(s)
                    .forward(&c)
                    .unwrap()
            };
            let (none, half, full) = (at(0.0), at(0.5), at(1.0));
            let x = space.point(c);
            let end = map.forward(&x).unwrap();
            for k in 0..3 {
                assert!((none[k] - c[k]).abs() < 1e-9);
                let middle = space.point([half[0], half[1], half[2]]);
                assert!(
                    (middle[k] - 0.5 * (x[k] + end[k])).abs() < 1e-9,
                    "{space:?}"
                );
                let whole = space.point([full[0], full[1], full[2]]);
                assert!((whole[k] - end[k]).abs() < 1e-9);
            }
        }
    }
}

//! A potential of many basins, made to mislead a search: pairs of a narrow and a broad cluster that the map exchanges against the optimum.
//!
//! ```text
//! x = c_k + xi,   |xi| < r_k,        T(x) = x + v_k + kappa_k xi        in the ball of cluster k
//! g(x) = G_k + <v_k, xi> + kappa_k |xi|^2 / 2  there, smoothly cut off outside:  T = x + grad g
//! ```
//!
//! Within a cluster `g + |x|^2 / 2` is convex: no negative curvature where there are points. The two clusters `a`, `b` of a pair lie along a line; `a`, on the left, goes to the place on the right and `b` to that
//! on the left. A search for `g^c(T(x))` that begins at `x` finds the own basin, a local minimum; the partner's is the lower one, and among a few hundred others no sample of it need be among the best starts.
//!
//! The truth: the noise `xi` of `b` has the law of that of `a` times `ratio`, and the images of each are balls of the same kind, so the coupling that sends `c_a + xi` to the image of
//! `c_b + ratio xi` has the same images as `T`. What it costs less is a lower bound of the excess, by which a claim can be refuted.

use charflow::certificate::SourcePotential;
use charflow::cost::Quadratic;
use charflow::potential::{Isa, Layer, Potential, Shape, WarmPotential};
use charflow::samples::Scaling;
use charflow_kernels::activation::Activation;

use super::problem::{normals, rng};
use crate::LabError;

/// Spread of a broad cluster over that of its narrow partner.
const RATIO: f64 = 4.0;
/// `1 + kappa` of the narrow and of the broad ones: the images are of about one size.
const STRETCH: [f64; 2] = [1.8, 0.45];
/// Radius of a ball in root mean squares of its noise.
const REACH: f64 = 1.25;
/// Of the softplus: how sharply a ball ends.
const BETA: f64 = 60.0;
/// The steepness of a ball's wall.
const WALL: f64 = 20.0;
/// How much of the noise along the line of the pair is taken out.
const FLAT: f64 = 0.99;

struct Cluster {
    centre: Vec<f64>,
    shift: Vec<f64>,
    kappa: f64,
    sigma: f64,
    radius: f64,
    /// Unit vector along the line of the pair.
    along: Vec<f64>,
    /// `G`.
    level: f64,
}

/// The clusters; `2 k` and `2 k + 1` are partners.
pub struct World {
    pub(super) dim: usize,
    clusters: Vec<Cluster>,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl World {
    /// `pairs` pairs in `dim` dimensions: `gain` is about what the exchange wastes, in variances of a narrow cluster; centres are `spread` apart a coordinate, and levels `depth` below 0.
    pub(super) fn new(
        dim: usize,
        pairs: usize,
        gain: f64,
        spread: f64,
        depth: f64,
        seed: u64,
    ) -> Self {
        let d = dim as f64;
        let mut rng = rng(seed, 0);
        let radii = [REACH * d.sqrt(), REACH * RATIO * d.sqrt()];
        let apart = radii[0] + radii[1] + 1.0;
        let crossed = 2.0 * gain * d / apart;
        let mut clusters = Vec::new();
        for _ in 0..pairs {
            let middle: Vec<f64> = normals(dim, &mut rng).iter().map(|z| spread * z).collect();
            let mut along = normals(dim, &mut rng);
            let length = dot(&along, &along).sqrt();
            along.iter_mut().for_each(|e| *e /= length);
            let at = |t: f64| -> Vec<f64> {
                middle.iter().zip(&along).map(|(m, e)| m + t * e).collect()
            };
            let centres = [at(0.0), at(apart)];
            let between = radii[0] + 0.5;
            let ends = [at(between + crossed / 2.0), at(between - crossed / 2.0)];
            let shifts = [0, 1].map(|i| {
                ends[i]
                    .iter()
                    .zip(&centres[i])
                    .map(|(z, c)| z - c)
                    .collect::<Vec<_>>()
            });
            // Levels for which the broad cluster has no slack on average: then the narrow one has all of it.
            let mut gap = 0.0;
            let draws = 200;
            for _ in 0..draws {
                let mut xi: Vec<f64> = normals(dim, &mut rng).iter().map(|z| RATIO * z).collect();
                flatten(&mut xi, &along);
                let y: Vec<f64> = ends[1]
                    .iter()
                    .zip(&xi)
                    .map(|(z, xi)| z + STRETCH[1] * xi)
                    .collect();
                let value = |i: usize| {
                    let w: Vec<f64> = y.iter().zip(&centres[i]).map(|(y, c)| y - c).collect();
                    let off: Vec<f64> = y.iter().zip(&ends[i]).map(|(y, z)| y - z).collect();
                    0.5 * dot(&w, &w) - dot(&off, &off) / (2.0 * STRETCH[i])
                };
                gap += (value(1) - value(0)) / f64::from(draws);
            }
            let low =
                -0.5 * dot(&shifts[0], &shifts[0]).max(dot(&shifts[1], &shifts[1])) - 30.0 - depth;
            for (i, ((centre, shift), level)) in centres
                .into_iter()
                .zip(shifts)
                .zip([low + gap, low])
                .enumerate()
            {
                clusters.push(Cluster {
                    centre,
                    shift,
                    kappa: STRETCH[i] - 1.0,
                    sigma: [1.0, RATIO][i],
                    radius: radii[i],
                    along: along.clone(),
                    level,
                });
            }
        }
        World { dim, clusters }
    }

    pub(super) fn len(&self) -> usize {
        self.clusters.len()
    }

    /// The cluster in whose ball a point is.
    fn of(&self, x: &[f64]) -> usize {
        let far = |c: &Cluster| {
            x.iter()
                .zip(&c.centre)
                .map(|(x, c)| (x - c).powi(2))
                .sum::<f64>()
                / c.radius.powi(2)
        };
        let all = self.clusters.iter().map(far).enumerate();
        all.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(k, _)| k)
    }

    /// Points of all clusters in turn.
    pub(super) fn draw(&self, n: usize, seed: u64, stream: u64) -> Vec<f64> {
        let mut rng = rng(seed, stream);
        let mut out = Vec::with_capacity(n * self.dim);
        for i in 0..n {
            let c = &self.clusters[i % self.clusters.len()];
            loop {
                let mut xi: Vec<f64> = normals(self.dim, &mut rng)
                    .iter()
                    .map(|z| c.sigma * z)
                    .collect();
                flatten(&mut xi, &c.along);
                if dot(&xi, &xi).sqrt() < 0.97 * c.radius {
                    out.extend(xi.iter().zip(&c.centre).map(|(xi, c)| xi + c));
                    break;
                }
            }
        }
        out
    }

    pub(super) fn map(&self, x: &[f64]) -> Vec<f64> {
        x.chunks_exact(self.dim)
            .flat_map(|x| self.image(&self.clusters[self.of(x)], x))
            .collect()
    }

    fn image(&self, c: &Cluster, x: &[f64]) -> Vec<f64> {
        (0..self.dim)
            .map(|j| x[j] + c.shift[j] + c.kappa * (x[j] - c.centre[j]))
            .collect()
    }

    /// The coupling to the same images that undoes the exchange.
    pub(super) fn undone(&self, x: &[f64]) -> Vec<f64> {
        x.chunks_exact(self.dim)
            .flat_map(|x| {
                let i = self.of(x);
                let (a, b) = (&self.clusters[i], &self.clusters[i ^ 1]);
                let there: Vec<f64> = (0..self.dim)
                    .map(|j| b.centre[j] + (x[j] - a.centre[j]) * b.sigma / a.sigma)
                    .collect();
                self.image(b, &there)
            })
            .collect()
    }

    /// Two units a cluster: `a sp(r^2 - |x - c|^2)` and `-b sp(r'^2 - |x - c'|^2)`, whose sum is the quadratic in the ball and nothing far outside.
    pub(super) fn potential(&self) -> Result<SourcePotential, LabError> {
        let d = self.dim;
        let h = 2 * self.clusters.len();
        let layer = |width, previous, quadratic, activation| Layer {
            width,
            previous,
            input: true,
            quadratic,
            residual: false,
            scale: 1.0,
            activation,
        };
        let shape = Shape {
            dim: d,
            layers: vec![
                layer(d, false, true, Activation::Identity),
                layer(h, true, false, Activation::Softplus { beta: BETA }),
            ],
        };
        let mut theta = vec![0.0; shape.parameters()];
        for (name, offset, _) in shape.tensors() {
            if name == "layer1.Q" {
                // The squares of the coordinates.
                (0..d).for_each(|j| theta[offset + j * d + j] = 1.0);
            }
            for (i, c) in self.clusters.iter().enumerate() {
                let rise = WALL - c.kappa / 2.0;
                let beside: Vec<f64> = c
                    .centre
                    .iter()
                    .zip(&c.shift)
                    .map(|(c, v)| c - v / (2.0 * WALL))
                    .collect();
                let own = c.radius.powi(2);
                let other = (rise * own + dot(&c.shift, &c.shift) / (4.0 * WALL) - c.level) / WALL;
                for (unit, centre, r, f) in [
                    (2 * i, &c.centre, own, rise),
                    (2 * i + 1, &beside, other, -WALL),
                ] {
                    match name.as_str() {
                        "layer2.C" => (0..d).for_each(|j| theta[offset + j * h + unit] = -1.0),
                        "layer2.W" => {
                            (0..d).for_each(|j| theta[offset + j * h + unit] = 2.0 * centre[j])
                        }
                        "layer2.b" => theta[offset + unit] = r - dot(centre, centre),
                        "output.F" => theta[offset + unit] = f,
                        _ => {}
                    }
                }
            }
        }
        let mut potential = WarmPotential::<f64>::new(Isa::current(), shape, None);
        potential.set_parameters(&theta);
        Ok(SourcePotential::new(
            potential,
            Scaling::identity(d),
            &Quadratic,
        )?)
    }
}

/// Takes most of the noise along the line away.
fn flatten(xi: &mut [f64], along: &[f64]) {
    let part = FLAT * dot(xi, along);
    xi.iter_mut().zip(along).for_each(|(x, e)| *x -= part * e);
}

#[cfg(test)]
mod tests {
    use super::super::truth::{mean_cost, own_and_least};
    use super::*;

    fn world() -> World {
        World::new(16, 4, 0.9, 60.0, 400.0, 1)
    }

    #[test]
    fn the_map_is_that_of_the_potential() {
        let world = world();
        let g = world.potential().unwrap();
        let x = world.draw(8, 3, 0);
        for (x, t) in x.chunks_exact(16).zip(world.map(&x).chunks_exact(16)) {
            for j in 0..16 {
                let at = |s: f64| {
                    let mut x = x.to_vec();
                    x[j] += s;
                    g.values(&x).unwrap()[0]
                };
                let slope = (at(1e-4) - at(-1e-4)) / 2e-4;
                assert!(
                    (slope - (t[j] - x[j])).abs() < 1e-4,
                    "{slope} {}",
                    t[j] - x[j]
                );
            }
        }
    }

    /// In two dimensions an exact assignment of a few hundred points finds what the undone coupling saves; in sixteen no sample shows it (which is the trap), but the law of the images is the same.
    #[test]
    fn the_exchange_wastes_what_is_said() {
        let small = World::new(2, 3, 0.9, 60.0, 400.0, 1);
        let x = small.draw(600, 3, 0);
        let [images, undone] = [small.map(&x), small.undone(&x)];
        let [paid, less] = [&images, &undone].map(|y| mean_cost(&Quadratic, &x, y, 2));
        let [own, least] = own_and_least(&Quadratic, &x, &images, 2);
        assert!(less < paid && (own - paid).abs() < 1e-9 * paid);
        assert!(
            own - least > 0.7 * (paid - less),
            "{own} {least} {paid} {less}"
        );

        let world = world();
        let x = world.draw(8000, 3, 0);
        let [images, undone] = [world.map(&x), world.undone(&x)];
        let [paid, less] = [&images, &undone].map(|y| mean_cost(&Quadratic, &x, y, 16));
        assert!(less < 0.95 * paid, "{paid} {less}");
        // Radii around the ends of the clusters, and how many there are.
        for c in &world.clusters {
            let end: Vec<f64> = c.centre.iter().zip(&c.shift).map(|(c, v)| c + v).collect();
            let radii = |p: &[f64]| {
                let all = p.chunks_exact(16).map(|p| {
                    let off: Vec<f64> = p.iter().zip(&end).map(|(p, e)| p - e).collect();
                    dot(&off, &off).sqrt()
                });
                let mut near: Vec<f64> = all.filter(|r| *r < 2.5 * c.radius).collect();
                near.sort_by(f64::total_cmp);
                near
            };
            let [a, b] = [&images, &undone].map(|p| radii(p));
            assert_eq!(a.len(), b.len());
            for q in [1, 5, 9] {
                let at = q * a.len() / 10;
                assert!((a[at] / b[at] - 1.0).abs() < 0.05, "{} {}", a[at], b[at]);
            }
        }
    }
}

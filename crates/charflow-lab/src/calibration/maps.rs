//! The maps that are judged: right ones, near ones, and wrong ones of every kind we could think of.
//!
//! | kind | `T(x)` | known |
//! |---|---|---|
//! | exact | `T*(x)` | optimal, `T#mu = nu` |
//! | linear | the closed form of other points' moments | optimal: a symmetric positive definite matrix |
//! | noisy s | `T*(x) + s z`, `z` normal, in units of `sqrt(Var(nu) / d)` | for Gaussians `T#mu = N(m', S' + s^2 I)`: `W` in closed form |
//! | shuffled p | with probability `p` the image of another point | preserving |
//! | blurred r | `T*(m + r (x - m) + sqrt(1 - r^2) L z)`, Gaussian source | preserving (Mehler) |
//! | turned a | `T*(m + L R L^-1 (x - m))`, `R` turns planes by `a` | preserving, for laws that are round but for `L` |
//! | mirrored | `T*(2 m - x)`, for a Gaussian `m' - A (x - m)` | preserving, for symmetric laws |
//! | clusters exchanged, twisted, mirrored inside | `T*` after a symmetry of the corners | preserving |
//! | far p | with probability `p` ten standard deviations away in one direction | bounds only |
//! | shrunk e | `m' + (1 - e) (T* - m')` | bounds, `UVP = 100 e^2` |
//! | shifted | `T* + 0.35 sd` in every coordinate | optimal |
//! | moved | `x + m' - m`, right in the mean only | optimal |
//! | identity, constant | `x`, `m'` | optimal |
//! | memorised k | that of `k` targets that is nearest to `T*(x)` | bounds; UVP |
//! | weights permuted, negated | `x + V(grad g)` of the potential with other weights | if they stay positive optimal |
//! | wrong potential | `T*`, with another potential | optimal; the bound may be wide |
//! | unweighted | the linear map of the points without their weights | optimal |
//! | class ... | `T*`, but for one class | UVP of the class |
//!
//! "Random" means: drawn by a generator that begins at the bits of `x`. So every map here is a function of `x`, and fresh points see fresh draws.

use std::sync::Arc;

use charflow::Samples;
use charflow::exact::GaussianMap;
use charflow::model::CharacteristicMap;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::problem::{
    CORNER, Own, Problem, Rule, Settings, Weighing, cholesky, fitted, normal, normals, rng, shaped,
};
use super::ridges::Ridges;
use super::truth::{Reference, Structure, Truth, bures, mean, variance};
use crate::LabError;

/// What is done to a point before the map.
type Before = Box<dyn Fn(&[f64]) -> Vec<f64> + Send + Sync>;

/// What is done to an image after it, knowing the point.
type After = Box<dyn Fn(&[f64], &mut [f64]) + Send + Sync>;

/// What is done to the optimal map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Exact,
    Linear(usize),
    Noisy(f64),
    Shuffled(f64),
    Blurred(f64),
    Turned(f64),
    Mirrored,
    Exchanged,
    Twisted,
    MirroredInside,
    Far(f64),
    Shrunk(f64),
    Shifted,
    Moved,
    Identity,
    Constant,
    Memorised(usize),
    Permuted,
    Negated,
    WrongPotential,
    Unweighted,
    ClassMirrored,
    ClassElsewhere,
    ClassesSwapped,
    /// Steps of a fit.
    Fitted(u64),
    /// The fit's weights in another order.
    FitPermuted(u64),
}

impl Kind {
    pub fn name(self) -> String {
        match self {
            Kind::Exact => "exact".into(),
            Kind::Linear(n) => format!("linear of {n}"),
            Kind::Noisy(s) => format!("noisy {s}"),
            Kind::Shuffled(p) => format!("shuffled {p}"),
            Kind::Blurred(r) => format!("blurred {r}"),
            Kind::Turned(a) => format!("turned {a}"),
            Kind::Mirrored => "mirrored".into(),
            Kind::Exchanged => "clusters exchanged".into(),
            Kind::Twisted => "two clusters exchanged".into(),
            Kind::MirroredInside => "mirrored inside clusters".into(),
            Kind::Far(p) => format!("far {p}"),
            Kind::Shrunk(e) => format!("shrunk {e}"),
            Kind::Shifted => "shifted".into(),
            Kind::Moved => "moved by the mean".into(),
            Kind::Identity => "identity".into(),
            Kind::Constant => "constant".into(),
            Kind::Memorised(k) => format!("memorised {k}"),
            Kind::Permuted => "weights permuted".into(),
            Kind::Negated => "weights negated".into(),
            Kind::WrongPotential => "wrong potential".into(),
            Kind::Unweighted => "unweighted".into(),
            Kind::ClassMirrored => "one class mirrored".into(),
            Kind::ClassElsewhere => "one class elsewhere".into(),
            Kind::ClassesSwapped => "two classes swapped".into(),
            Kind::Fitted(steps) if steps < BRIEF => "fitted briefly".into(),
            Kind::Fitted(_) => "fitted".into(),
            Kind::FitPermuted(_) => "fit, weights permuted".into(),
        }
    }
}

/// Fewer steps than this are a brief fit.
const BRIEF: u64 = 100;
/// Points a side of a fit.
const FIT_ON: usize = 1500;

/// A map with its potential and its truth.
pub(super) struct Made {
    pub kind: String,
    pub forward: Rule,
    pub backward: Option<Rule>,
    pub own: Own,
    pub truth: Truth,
}

/// A generator that begins at the bits of a point.
fn of_point(x: &[f64], seed: u64) -> ChaCha8Rng {
    let mut h = seed ^ 0x9E37_79B9_7F4A_7C15;
    for v in x {
        h = (h ^ v.to_bits()).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        h ^= h >> 29;
    }
    rng(h, 7)
}

/// `T` of a fit; it is in single precision inside, its points are not.
fn of_fit(map: &Arc<CharacteristicMap>, back: bool) -> Rule {
    use charflow::map::{BackwardMap, ForwardMap};
    let of = Arc::clone(map);
    Rule::new(map.dim(), move |x| {
        let images = if back { of.backward(x) } else { of.forward(x) };
        images.unwrap_or_else(|_| vec![f64::NAN; x.len()])
    })
}

/// The map of a kind, or `None` where the problem has none of it.
pub(super) fn make(
    kind: Kind,
    problem: &Problem,
    reference: &Reference,
    seed: u64,
    settings: &Settings,
) -> Result<Option<Made>, LabError> {
    use Structure::{Given, Optimal, Preserving, Unknown};
    let d = problem.dim;
    let cost = problem.cost.as_ref();
    let quadratic = cost.name() == "quadratic";
    let star = problem.map.clone();
    let sd = (reference.variance / d as f64).sqrt();
    let mut own = problem.own.clone();
    let mut backward = None;
    let mut exact_potential = problem.exact;
    // `T* o s`.
    let after = |s: Before| {
        let star = star.clone();
        Rule::new(d, move |x| {
            let moved: Vec<f64> = x.chunks_exact(d).flat_map(&s).collect();
            star.at(&moved)
        })
    };
    // `T*`, then something of point and image.
    let then = |s: After| {
        let star = star.clone();
        Rule::new(d, move |x| {
            let mut t = star.at(x);
            for (x, t) in x.chunks_exact(d).zip(t.chunks_exact_mut(d)) {
                s(x, t);
            }
            t
        })
    };
    let mut shuffled = None;
    let corner_symmetry = problem.family == "corners";
    let (forward, structure) = match kind {
        Kind::Exact => {
            backward.clone_from(&problem.back);
            (
                star.clone(),
                if problem.one_map() { Optimal } else { Unknown },
            )
        }
        Kind::Linear(n) => {
            if !quadratic {
                return Ok(None);
            }
            let (x, _) = problem.weighed(n, seed, 21);
            let y = star.at(&(problem.draw)(n, seed, 22));
            let [a, b] = [x, y].map(|p| Samples::from_f64(&p, d).map(|s| s.moments()));
            let map = GaussianMap::from_moments(&a?, &b?)?;
            own = Own::Linear(map.clone());
            backward = Some(Rule::back_of_gaussian(&map));
            exact_potential = false;
            (Rule::of_gaussian(&map), Optimal)
        }
        Kind::Noisy(size) => {
            let size = size * sd;
            let forward = then(Box::new(move |x, t| {
                let mut rng = of_point(x, 1);
                t.iter_mut().for_each(|t| *t += size * normal(&mut rng));
            }));
            let structure = match &problem.gaussian {
                Some((map, s0)) => {
                    // N(m', S' + s^2 I) from N(m, S), Gelbrich with equality; T' - T = (A' - A)(x - m) - s z.
                    let s1 = image_covariance(map, s0);
                    let mut wide = s1.clone();
                    (0..d).for_each(|k| wide[k * (d + 1)] += size * size);
                    let shift: f64 = map
                        .source_mean()
                        .iter()
                        .zip(map.target_mean())
                        .map(|(a, b)| (a - b).powi(2))
                        .sum();
                    let least = 0.5 * (shift + bures(s0, &wide, d));
                    let own = 0.5 * (shift + bures(s0, &s1, d)) + 0.5 * size * size * d as f64;
                    let zero = vec![0.0; d];
                    let best = GaussianMap::new(&zero, s0, &zero, &wide)?.matrix();
                    let difference: Vec<f64> =
                        best.iter().zip(map.matrix()).map(|(a, b)| a - b).collect();
                    let off = quadratic_form(&difference, s0, d) + size * size * d as f64;
                    Given(own - least, Some(off))
                }
                None => Unknown,
            };
            (forward, structure)
        }
        Kind::Shuffled(p) => {
            let part = |p: f64| {
                let draw = Arc::clone(&problem.draw);
                after(Box::new(move |x| {
                    let mut rng = of_point(x, 2);
                    if rng.random::<f64>() < p {
                        draw(1, rng.random(), 1 << 33)
                    } else {
                        x.to_vec()
                    }
                }))
            };
            // p times what it is if all are shuffled, known to more digits than from the few that are.
            let all = part(1.0).at(&reference.x);
            let whole = reference.truth(cost, &all, Preserving);
            let times = |v: Option<f64>| v.map(|v| p * v);
            shuffled = Some(Truth {
                cost: reference.optimal_cost + p * (whole.cost - reference.optimal_cost),
                excess: times(whole.excess),
                uvp: times(whole.uvp),
                off: times(whole.off),
                off_percent: times(whole.off_percent),
                ..whole
            });
            (part(p), Preserving)
        }
        Kind::Blurred(r) => {
            let Some((m, l)) = problem
                .round
                .clone()
                .filter(|_| problem.gaussian.is_some() || problem.family == "line")
            else {
                return Ok(None);
            };
            let s = after(Box::new(move |x| {
                let mut rng = of_point(x, 3);
                let z = normals(m.len(), &mut rng);
                let zero = vec![0.0; m.len()];
                let new = shaped(&zero, &l, &z);
                (0..m.len())
                    .map(|i| m[i] + r * (x[i] - m[i]) + (1.0 - r * r).sqrt() * new[i])
                    .collect()
            }));
            (s, Preserving)
        }
        Kind::Turned(angle) => {
            let Some((m, l)) = problem.round.clone().filter(|_| d > 1) else {
                return Ok(None);
            };
            let s = after(Box::new(move |x| {
                let d = m.len();
                // z = L^-1 (x - m), turned in the planes (0, 1), (2, 3), ...
                let mut z = vec![0.0; d];
                for i in 0..d {
                    let dot: f64 = (0..i).map(|k| l[i * d + k] * z[k]).sum();
                    z[i] = (x[i] - m[i] - dot) / l[i * d + i];
                }
                let (sin, cos) = angle.sin_cos();
                for pair in z.chunks_exact_mut(2) {
                    let (a, b) = (pair[0], pair[1]);
                    (pair[0], pair[1]) = (cos * a - sin * b, sin * a + cos * b);
                }
                shaped(&m, &l, &z)
            }));
            (s, Preserving)
        }
        Kind::Mirrored => {
            let Some(m) = problem.symmetric.clone() else {
                return Ok(None);
            };
            if let Some(back) = problem.back.clone() {
                let m = m.clone();
                backward = Some(Rule::new(d, move |y| {
                    let mut x = back.at(y);
                    x.chunks_exact_mut(d)
                        .for_each(|x| x.iter_mut().zip(&m).for_each(|(x, m)| *x = 2.0 * m - *x));
                    x
                }));
            }
            (
                after(Box::new(move |x| {
                    x.iter().zip(&m).map(|(x, m)| 2.0 * m - x).collect()
                })),
                Preserving,
            )
        }
        Kind::Exchanged | Kind::Twisted | Kind::MirroredInside if !corner_symmetry => {
            return Ok(None);
        }
        // Whole clusters to the other side of the first coordinate, unturned.
        Kind::Exchanged => (after(Box::new(|x| crossed(x, true))), Preserving),
        // Only those that lie on the upper side of all other corner coordinates: two of 2^m.
        Kind::Twisted => {
            let m = problem
                .classes
                .as_ref()
                .map_or(1, |(k, _)| k.ilog2() as usize);
            (
                after(Box::new(move |x| {
                    crossed(x, x[1..m].iter().all(|v| *v > 0.0))
                })),
                Preserving,
            )
        }
        Kind::MirroredInside => {
            let m = problem
                .classes
                .as_ref()
                .map_or(1, |(k, _)| k.ilog2() as usize);
            let inside = move |x: &[f64]| -> Vec<f64> {
                (0..x.len())
                    .map(|j| {
                        if j < m {
                            2.0 * CORNER.copysign(x[j]) - x[j]
                        } else {
                            -x[j]
                        }
                    })
                    .collect()
            };
            (after(Box::new(inside)), Preserving)
        }
        Kind::Far(p) => {
            let far = 10.0 * sd;
            let forward = then(Box::new(move |x, t| {
                if of_point(x, 4).random::<f64>() < p {
                    t[0] += far;
                }
            }));
            (forward, Unknown)
        }
        Kind::Shrunk(e) => {
            let m = mean(&reference.t, d);
            let forward = then(Box::new(move |_, t| {
                t.iter_mut()
                    .zip(&m)
                    .for_each(|(t, m)| *t = m + (1.0 - e) * (*t - m))
            }));
            // For a Gaussian x + (1 - e) A (x - m) has a symmetric positive definite matrix.
            (
                forward,
                if problem.gaussian.is_some() {
                    Optimal
                } else {
                    Unknown
                },
            )
        }
        Kind::Shifted => {
            let by = 0.35 * sd;
            // T* + a is the gradient of a convex function, if T* is.
            let structure = if quadratic && problem.one_map() {
                Optimal
            } else {
                Unknown
            };
            (
                then(Box::new(move |_, t| t.iter_mut().for_each(|t| *t += by))),
                structure,
            )
        }
        Kind::Moved => {
            let [a, b] = [&reference.x, &reference.t].map(|p| mean(p, d));
            let by: Vec<f64> = a.iter().zip(&b).map(|(a, b)| b - a).collect();
            if quadratic {
                own = Own::Ridges(Ridges::plane(by.clone()));
            }
            let forward = Rule::each(d, move |x| x.iter().zip(&by).map(|(x, b)| x + b).collect());
            (forward, Optimal)
        }
        Kind::Identity => {
            own = Own::Ridges(Ridges::plane(vec![0.0; d]));
            backward = Some(Rule::new(d, <[f64]>::to_vec));
            (Rule::new(d, <[f64]>::to_vec), Optimal)
        }
        Kind::Constant => {
            let [m0, m1] = [&reference.x, &reference.t].map(|p| mean(p, d));
            if quadratic {
                let mut flat = vec![0.0; d * d];
                (0..d).for_each(|k| flat[k * (d + 1)] = 1e-4);
                own = Own::Linear(GaussianMap::from_parts(m0, m1.clone(), &flat)?);
            }
            // There is one coupling with a point.
            (Rule::each(d, move |_| m1.clone()), Optimal)
        }
        Kind::Memorised(k) => {
            let kept = star.at(&(problem.draw)(k, seed, 23));
            let forward = then(Box::new(move |_, t| {
                let far = |y: &[f64]| y.iter().zip(&*t).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
                let best = kept
                    .chunks_exact(t.len())
                    .min_by(|a, b| far(a).total_cmp(&far(b)));
                if let Some(best) = best {
                    let best = best.to_vec();
                    t.copy_from_slice(&best);
                }
            }));
            (forward, Unknown)
        }
        Kind::Permuted | Kind::Negated => {
            let Own::Ridges(g) = &problem.own else {
                return Ok(None);
            };
            let mut g = g.clone();
            if kind == Kind::Permuted {
                // Whole directions change their sizes and thresholds.
                g.offsets.shuffle(&mut rng(seed, 24));
                g.slopes.rotate_left(1);
            } else {
                g.sizes.iter_mut().for_each(|f| *f = -*f);
            }
            own = Own::Ridges(g.clone());
            let cost = Arc::clone(&problem.cost);
            let structure = if kind == Kind::Permuted {
                Optimal
            } else {
                Unknown
            };
            (Rule::new(d, move |x| g.map(cost.as_ref(), x)), structure)
        }
        Kind::WrongPotential => {
            exact_potential = false;
            own = Own::Ridges(Ridges {
                dim: d,
                slopes: normals(8 * d, &mut rng(seed, 25)),
                offsets: vec![0.0; 8],
                sizes: vec![0.2; 8],
                linear: vec![0.1; d],
                beta: 2.0,
            });
            backward.clone_from(&problem.back);
            (
                star.clone(),
                if problem.one_map() { Optimal } else { Unknown },
            )
        }
        Kind::Unweighted => {
            if problem.weighing != Weighing::Importance || !quadratic {
                return Ok(None);
            }
            // From the source to the target points as if they had no weights.
            let (behind, _) = problem.weighed(20_000, seed, 27);
            let [a, b] = [&reference.x, &star.at(&behind)]
                .map(|p| Samples::from_f64(p, d).map(|s| s.moments()));
            let map = GaussianMap::from_moments(&a?, &b?)?;
            own = Own::Linear(map.clone());
            (Rule::of_gaussian(&map), Optimal)
        }
        Kind::ClassMirrored | Kind::ClassElsewhere | Kind::ClassesSwapped => {
            let Some((count, class)) = problem.classes.clone() else {
                return Ok(None);
            };
            // The images of each class: their means.
            let mut sums = vec![vec![0.0; d]; count];
            let mut inside = vec![vec![0.0; d]; count];
            let mut many = vec![0.0; count];
            for (x, t) in reference.x.chunks_exact(d).zip(reference.t.chunks_exact(d)) {
                let c = class(x);
                many[c] += 1.0;
                sums[c].iter_mut().zip(t).for_each(|(s, t)| *s += t);
                inside[c].iter_mut().zip(x).for_each(|(s, x)| *s += x);
            }
            for (c, n) in many.iter().enumerate() {
                let n = f64::max(*n, 1.0);
                sums[c]
                    .iter_mut()
                    .chain(&mut inside[c])
                    .for_each(|s| *s /= n);
            }
            let star = star.clone();
            let forward = Rule::new(d, move |x| {
                let moved: Vec<f64> = x
                    .chunks_exact(d)
                    .flat_map(|x| {
                        let c = class(x);
                        (0..d)
                            .map(|j| match (kind, c) {
                                (Kind::ClassMirrored, 0) => 2.0 * inside[0][j] - x[j],
                                _ => x[j],
                            })
                            .collect::<Vec<_>>()
                    })
                    .collect();
                let mut t = star.at(&moved);
                for (x, t) in x.chunks_exact(d).zip(t.chunks_exact_mut(d)) {
                    let c = class(x);
                    let to = match (kind, c) {
                        (Kind::ClassElsewhere, 0) | (Kind::ClassesSwapped, 0) => 1,
                        (Kind::ClassesSwapped, 1) => 0,
                        _ => c,
                    };
                    for j in 0..d {
                        t[j] += sums[to][j] - sums[c][j];
                    }
                }
                t
            });
            (forward, Unknown)
        }
        Kind::Fitted(steps) | Kind::FitPermuted(steps) => {
            let fit = fitted(
                &problem.draw,
                &problem.map,
                cost,
                FIT_ON,
                steps,
                &settings(FIT_ON, d),
            )?;
            let fit = if matches!(kind, Kind::FitPermuted(_)) {
                permuted(&fit, seed)?
            } else {
                fit
            };
            let fit = Arc::new(fit);
            own = Own::Fit(Arc::clone(&fit));
            backward = Some(of_fit(&fit, true));
            exact_potential = false;
            (of_fit(&fit, false), Unknown)
        }
    };
    let images = forward.at(&reference.x);
    if images.iter().any(|v| !v.is_finite()) {
        return Ok(None);
    }
    let mut truth = shuffled.unwrap_or_else(|| reference.truth(cost, &images, structure));
    if let Some((map, s0)) = &problem.gaussian {
        of_gaussians(&mut truth, kind, map, s0);
    }
    match kind {
        Kind::Exact | Kind::WrongPotential => truth.w2 = Some([0.0; 2]),
        Kind::Constant => truth.w2 = Some([reference.variance.sqrt(); 2]),
        Kind::Identity if quadratic && problem.one_map() => {
            truth.w2 = Some([(2.0 * reference.optimal_cost).sqrt(); 2])
        }
        _ => {}
    }
    if let Some((_, class)) = &problem.classes {
        truth.class_uvp = Some(worst_class(reference, &images, class.as_ref()));
    }
    if !problem.one_map() {
        // The map is the cheapest within each class; the figures of the whole are none of its concern.
        truth.excess = None;
        truth.off = None;
        truth.optimal_cost = None;
    }
    truth.right = kind == Kind::Exact && exact_potential;
    Ok(Some(Made {
        kind: kind.name(),
        forward,
        backward,
        own,
        truth: truth.judged(),
    }))
}

/// `x` with its first coordinate in the other corner, if so.
fn crossed(x: &[f64], does: bool) -> Vec<f64> {
    let mut x = x.to_vec();
    if does {
        x[0] -= 2.0 * CORNER.copysign(x[0]);
    }
    x
}

/// In closed form what is a mean over points elsewhere: with `x' = s(x)` and `C = E (x' - m)(x - m)'`, for `s` that preserve `N(m, S)`,
///
/// ```text
/// W(mu, nu) = (|m' - m|^2 + W2^2) / 2        excess = tr(A (S - C))        E|T - T*|^2 = tr(A (2 S - C - C') A)
/// C = (1 - p) S shuffled,   r S blurred,   L R L' turned,   -S mirrored
/// ```
fn of_gaussians(truth: &mut Truth, kind: Kind, map: &GaussianMap, s0: &[f64]) {
    let d = map.dim();
    let matrix = |m: &[f64]| nalgebra::DMatrix::from_row_slice(d, d, m);
    let (a, s) = (matrix(&map.matrix()), matrix(s0));
    let shift: f64 = map
        .source_mean()
        .iter()
        .zip(map.target_mean())
        .map(|(a, b)| (a - b).powi(2))
        .sum();
    let nu = image_covariance(map, s0);
    let optimal = 0.5 * (shift + bures(s0, &nu, d));
    truth.optimal_cost = Some(optimal);
    let c = match kind {
        Kind::Shuffled(p) => (1.0 - p) * &s,
        Kind::Blurred(r) => r * &s,
        Kind::Mirrored => -&s,
        Kind::Turned(angle) => {
            let l = matrix(&cholesky(s0, d));
            let mut turn = nalgebra::DMatrix::identity(d, d);
            let (sin, cos) = angle.sin_cos();
            for k in (0..d - d % 2).step_by(2) {
                turn[(k, k)] = cos;
                turn[(k + 1, k + 1)] = cos;
                turn[(k, k + 1)] = -sin;
                turn[(k + 1, k)] = sin;
            }
            &l * turn * l.transpose()
        }
        _ => return,
    };
    let total = matrix(&nu).trace();
    let excess = (&a * (&s - &c)).trace();
    let off = (&a * (2.0 * &s - &c - c.transpose()) * &a).trace();
    truth.cost = optimal + excess;
    truth.excess = Some(excess);
    truth.off = Some(off);
    truth.off_percent = Some(100.0 * off / total);
    truth.uvp = truth.off_percent;
}

/// `A S A'`.
fn image_covariance(map: &GaussianMap, s0: &[f64]) -> Vec<f64> {
    let d = map.dim();
    let a = nalgebra::DMatrix::from_row_slice(d, d, &map.matrix());
    let s = nalgebra::DMatrix::from_row_slice(d, d, s0);
    let m = &a * s * a.transpose();
    let m = 0.5 * (&m + m.transpose());
    (0..d * d).map(|k| m[(k / d, k % d)]).collect()
}

/// `tr(B S B')`.
fn quadratic_form(b: &[f64], s: &[f64], d: usize) -> f64 {
    let [b, s] = [b, s].map(|m| nalgebra::DMatrix::from_row_slice(d, d, m));
    (&b * s * b.transpose()).trace()
}

/// The largest UVP of a class of at least a twentieth of the points, in percent of its own variance.
fn worst_class(reference: &Reference, f: &[f64], class: &dyn Fn(&[f64]) -> usize) -> f64 {
    let d = reference.d;
    let mut of: std::collections::BTreeMap<usize, [Vec<f64>; 2]> =
        std::collections::BTreeMap::new();
    for ((x, t), f) in reference
        .x
        .chunks_exact(d)
        .zip(reference.t.chunks_exact(d))
        .zip(f.chunks_exact(d))
    {
        let [a, b] = of.entry(class(x)).or_default();
        a.extend_from_slice(t);
        b.extend_from_slice(f);
    }
    let all = reference.x.len();
    of.values()
        .filter(|[t, _]| 20 * t.len() >= all)
        .map(|[t, f]| 100.0 * super::truth::mean_square(f, t, d) / variance(t, d))
        .fold(0.0, f64::max)
}

/// The same network with all its weights dealt out anew.
fn permuted(fit: &CharacteristicMap, seed: u64) -> Result<CharacteristicMap, LabError> {
    let mut theta = fit.potential_in_solver_units().theta().to_vec();
    theta.shuffle(&mut rng(seed, 28));
    Ok(CharacteristicMap::new(
        fit.about().clone(),
        fit.scaling().clone(),
        &theta,
        fit.linear().cloned(),
    )?)
}

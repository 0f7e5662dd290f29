//! Whether a cost that forbids long moves leaves a way from source to target, `|T(x) - x| <= s`.
//!
//! The least `s` that does is the Wasserstein distance of infinite order. In one dimension it is the largest distance of quantiles, and projecting on a unit vector `e` makes
//! nothing longer, so for all `e` and `q`
//!
//! ```text
//! |F_nu^-1(q; e) - F_mu^-1(q; e)|  <=  W_inf(mu, nu)        F(.; e) the law of e.x
//! ```
//!
//! For laws known by `n` and `m` points the quantiles are taken apart by the band that holds a distribution function with high probability, `sqrt(log(4000 k) / 2n)` for `k`
//! directions and classes: 99.9 % for all of them and both clouds together (Massart 1990), so that chance in the tails forbids nothing. Weighted points count as many as they are worth. From above it
//! is at most the longest move of any matching of the points; in many dimensions that is a good deal more than the laws need, since the nearest point of a sample is far away.
//!
//! From 30 points on, and without classes, the means say the same more sharply: `|E y - E x| <= W_inf` (Jensen), less what the two means may be off, the root of the sum of their
//! variances plus four standard errors along their difference.
//!
//! With classes each class has to get to its own: the bounds are the largest over the classes.

use crate::cost::Cost;
use crate::error::{Error, Result};
use crate::exact::assignment;
use crate::problem::Pairing;
use crate::samples::{Samples, distance, effective_number};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// Points of each side that are matched.
const MATCHED: usize = 1000;

/// Points of each side whose projections are sorted.
const PROJECTED: usize = 20_000;

/// Random directions beside the coordinates' and that of the means.
const DIRECTIONS: usize = 32;

/// The means of fewer points say nothing: their own error is not known well enough.
const FEWEST: f64 = 30.0;

/// A speed is said to do with this much room: at the very bound the points that need it move at an infinite momentum.
const ROOM: f64 = 1.05;

/// Nothing for a cost without a limit. An error below a lower bound, a note between the bounds.
pub(super) fn check(
    source: &Samples,
    target: &Samples,
    pairing: &Pairing,
    cost: &dyn Cost,
) -> Result<Option<String>> {
    let reach = cost.reach();
    if reach.is_infinite() {
        return Ok(None);
    }
    let bounds = match pairing {
        Pairing::Whole => bounds(source, target, 1)?,
        Pairing::ByClass {
            source: from,
            target: to,
            ..
        } => {
            let each = from.iter().zip(to).map(|(of_source, of_target)| {
                let (source, target) = (source.select(of_source)?, target.select(of_target)?);
                bounds(&source, &target, from.len())
            });
            let each = each.collect::<Result<Vec<_>>>()?;
            each.into_iter().reduce(Bounds::and).unwrap_or_default()
        }
    };
    let enough = round_up(ROOM * bounds.upper.max(bounds.lower));
    let tried = if bounds.all {
        String::new()
    } else {
        format!(
            " for the points that were tried, {} of each side",
            bounds.matched
        )
    };
    let name = crate::cost::short(&cost.name());
    if reach < bounds.lower {
        return Err(Error::config(
            "cost",
            format!(
                "{name}: no point may move further than {reach}, but some have to move {} to get from {} to {}; a limit of {enough} would do{tried}",
                round_up(bounds.lower),
                source.name(),
                target.name()
            ),
        ));
    }
    Ok((reach < bounds.upper).then(|| {
        format!(
            "{name}: whether every point can get where it has to without moving further than {reach} is not known; a limit of {enough} would do{tried}"
        )
    }))
}

/// Of the longest move that is needed.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    lower: f64,
    upper: f64,
    /// Points of each side behind `upper`, and whether they are all there are.
    matched: usize,
    all: bool,
}

impl Bounds {
    /// Of two classes together.
    fn and(self, other: Bounds) -> Self {
        Bounds {
            lower: self.lower.max(other.lower),
            upper: self.upper.max(other.upper),
            matched: self.matched + other.matched,
            all: self.all && other.all,
        }
    }
}

/// `classes` is the number of such bounds of which the largest counts.
fn bounds(source: &Samples, target: &Samples, classes: usize) -> Result<Bounds> {
    let matched = source.len().min(target.len()).min(MATCHED);
    let [x, y] = [source, target].map(|s| evenly(s, matched));
    Ok(Bounds {
        lower: least_move(source, target, classes),
        upper: longest_of_matching(&x, &y, matched, source.dim())?,
        matched,
        all: source.len() == matched
            && target.len() == matched
            && source.weights().is_none()
            && target.weights().is_none(),
    })
}

/// A lower bound of the longest move.
fn least_move(source: &Samples, target: &Samples, classes: usize) -> f64 {
    let d = source.dim();
    let clouds = [source, target].map(|s| evenly(s, PROJECTED));
    let means = clouds.each_ref().map(|c| mean(c, d));
    let mut directions: Vec<Vec<f64>> = (0..d.min(256))
        .map(|j| (0..d).map(|k| f64::from(u8::from(j == k))).collect())
        .collect();
    directions.push(means[0].iter().zip(&means[1]).map(|(a, b)| b - a).collect());
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for _ in 0..DIRECTIONS {
        directions.push((0..d).map(|_| StandardNormal.sample(&mut rng)).collect());
    }
    let chance = (4000.0 * (directions.len() * classes) as f64).ln();
    // Independent points that the clouds are worth.
    let worth = [source, target]
        .map(|samples| effective_number(samples.weights(), samples.len()).min(PROJECTED as f64));
    let band: f64 = worth.iter().map(|n| (chance / (2.0 * n)).sqrt()).sum();
    let between = if classes == 1 && worth.iter().all(|n| *n >= FEWEST) {
        between_means(&clouds, &means, worth, d)
    } else {
        0.0
    };
    directions
        .par_iter()
        .map(|direction| {
            let length = distance(direction, &vec![0.0; d]);
            if length == 0.0 {
                return 0.0;
            }
            let [x, y] = clouds.each_ref().map(|cloud| {
                let mut along: Vec<f64> = cloud
                    .chunks_exact(d)
                    .map(|x| x.iter().zip(direction).map(|(x, e)| x * e / length).sum())
                    .collect();
                along.sort_by(f64::total_cmp);
                along
            });
            apart(&x, &y, band).max(apart(&y, &x, band))
        })
        .reduce(|| 0.0, f64::max)
        .max(between)
}

/// How far apart the means are at least.
fn between_means(clouds: &[Vec<f64>; 2], means: &[Vec<f64>; 2], worth: [f64; 2], d: usize) -> f64 {
    let length = distance(&means[0], &means[1]);
    if length == 0.0 {
        return 0.0;
    }
    let (mut all, mut along) = (0.0, 0.0);
    for k in 0..2 {
        let n = (clouds[k].len() / d) as f64;
        for x in clouds[k].chunks_exact(d) {
            let dot: f64 = (0..d)
                .map(|j| (x[j] - means[k][j]) * (means[1][j] - means[0][j]))
                .sum();
            all += distance(x, &means[k]).powi(2) / n / (worth[k] - 1.0);
            along += (dot / length).powi(2) / n / (worth[k] - 1.0);
        }
    }
    (length - all.sqrt() - 4.0 * along.sqrt()).max(0.0)
}

/// `max_q G^-1(q) - F^-1(q + band)` of two sorted samples: how far some points of the first have to move up.
fn apart(x: &[f64], y: &[f64], band: f64) -> f64 {
    let (n, m) = (x.len() as f64, y.len() as f64);
    let mut most = 0.0_f64;
    for (j, y) in y.iter().enumerate() {
        let i = ((j as f64 / m + band) * n).ceil() as usize;
        if let Some(x) = x.get(i) {
            most = most.max(y - x);
        }
    }
    most
}

/// To three digits, upwards.
fn round_up(x: f64) -> f64 {
    let unit = 10f64.powf(x.log10().floor() - 2.0);
    // Once more through text, so that no trailing digits of the product show.
    format!("{:.3e}", (x / unit).ceil() * unit)
        .parse()
        .unwrap_or(x)
}

/// At most `k` points of positive weight, evenly through the file, or by weight.
fn evenly(samples: &Samples, k: usize) -> Vec<f64> {
    let n = samples.len();
    let count = n.min(k);
    let some: Vec<u32> = match samples.weights() {
        None => (0..count).map(|i| (i * n / count) as u32).collect(),
        Some(weights) => {
            // Systematic sampling: the points at equal steps of the weight.
            let (mut sum, mut i) = (weights[0], 0);
            (0..count)
                .map(|k| {
                    let at = (k as f64 + 0.5) / count as f64;
                    while sum < at && i + 1 < n {
                        i += 1;
                        sum += weights[i];
                    }
                    i as u32
                })
                .collect()
        }
    };
    samples.gather(&some)
}

/// The longest move of a matching of `k` and `k` points that avoids long moves: the least over matchings of least total `|y - x|^p` for growing `p`.
fn longest_of_matching(x: &[f64], y: &[f64], k: usize, d: usize) -> Result<f64> {
    let distances: Vec<f64> = x
        .chunks_exact(d)
        .flat_map(|x| y.chunks_exact(d).map(move |y| distance(x, y)))
        .collect();
    let mut best = f64::INFINITY;
    for power in [2, 16] {
        // By the best so far, so that the power neither over- nor underflows.
        let unit = if best.is_finite() && best > 0.0 {
            best
        } else {
            distances
                .iter()
                .copied()
                .fold(0.0, f64::max)
                .max(f64::MIN_POSITIVE)
        };
        let costs: Vec<f64> = distances
            .iter()
            .map(|r| (r / unit).min(4.0).powi(power))
            .collect();
        let columns = assignment(&costs, k)?;
        let longest = (0..k)
            .map(|i| distances[i * k + columns[i]])
            .fold(0.0, f64::max);
        best = best.min(longest);
    }
    Ok(best)
}

fn mean(points: &[f64], d: usize) -> Vec<f64> {
    let mut mean = vec![0.0; d];
    for x in points.chunks_exact(d) {
        for (m, x) in mean.iter_mut().zip(x) {
            *m += x / (points.len() / d) as f64;
        }
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Relativistic;

    fn line(from: f64, n: usize) -> Samples {
        let x: Vec<f64> = (0..n).map(|i| from + i as f64 / n as f64).collect();
        Samples::from_f64(&x, 1).unwrap().named("points")
    }

    #[test]
    fn a_limit_below_the_shift_is_refused_with_one_that_does() {
        let (source, target) = (line(0.0, 2000), line(3.0, 1500));
        let check = |s: f64| {
            check(
                &source,
                &target,
                &Pairing::Whole,
                &Relativistic::new(s).unwrap(),
            )
        };
        let message = check(2.9).unwrap_err().to_string();
        for part in ["`cost`", "relativistic:2.9", "would do"] {
            assert!(message.contains(part), "{message}");
        }
        let named: f64 = message
            .split("a limit of ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .and_then(|text| text.parse().ok())
            .unwrap();
        assert!((3.0..3.3).contains(&named), "{message}");
        assert_eq!(check(named).unwrap(), None);
        // Between what is impossible and what is known to do.
        assert!(check(2.99).unwrap().unwrap().contains("not known"));
    }

    /// Two clouds with the same mean, one of them three times as wide: the ends have to move, and not by chance.
    #[test]
    fn wide_clouds_are_told_from_chance_in_the_tails() {
        let draw = |d: usize, n: usize, scale: f64, seed: u64| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let x: Vec<f64> = (0..n * d)
                .map(|_| {
                    let z: f64 = StandardNormal.sample(&mut rng);
                    scale * z
                })
                .collect();
            Samples::from_f64(&x, d).unwrap()
        };
        let (narrow, wide) = (draw(3, 4000, 1.0, 1), draw(3, 4000, 3.0, 2));
        let slow = Relativistic::new(1.0).unwrap();
        assert!(check(&narrow, &wide, &Pairing::Whole, &slow).is_err());
        // The same law twice: nothing has to move, although no two points are near each other.
        assert!(
            check(
                &draw(8, 3000, 1.0, 3),
                &draw(8, 3000, 1.0, 4),
                &Pairing::Whole,
                &Relativistic::new(0.2).unwrap()
            )
            .is_ok()
        );
        // The bound is below the truth: quantiles that far out are 2 z apart.
        let bound = least_move(&narrow, &wide, 1);
        assert!((2.0..5.5).contains(&bound), "{bound}");
    }

    #[test]
    fn other_costs_are_not_asked() {
        let far = line(1e6, 50);
        assert_eq!(
            check(
                &line(0.0, 50),
                &far,
                &Pairing::Whole,
                &crate::cost::Quadratic
            )
            .unwrap(),
            None
        );
    }

    /// Two classes that change places: each has to go all the way, though the clouds as wholes are the same.
    #[test]
    fn classes_have_to_get_to_their_own() {
        let both = |swap: bool| {
            let x: Vec<f64> = line(0.0, 400)
                .to_f64()
                .into_iter()
                .chain(line(10.0, 400).to_f64())
                .collect();
            let labels = (0..800)
                .map(|i| if (i < 400) == swap { "b" } else { "a" }.to_string())
                .collect();
            Samples::from_f64(&x, 1)
                .unwrap()
                .with_labels(labels)
                .unwrap()
        };
        let slow = || Box::new(Relativistic::new(1.0).unwrap());
        assert!(crate::Problem::new(both(false), both(false), slow()).is_ok());
        let message = crate::Problem::new(both(false), both(true), slow())
            .unwrap_err()
            .to_string();
        assert!(message.contains("a limit of 10.6 would do"), "{message}");
    }

    /// A handful of points a class, and many classes: nothing is forbidden by chance.
    #[test]
    fn few_points_of_many_classes_forbid_nothing() {
        for n in [2, 3, 20] {
            for seed in 0..40 {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let mut draw = || {
                    let x: Vec<f64> = (0..n).map(|_| StandardNormal.sample(&mut rng)).collect();
                    Samples::from_f64(&x, 1).unwrap()
                };
                let (x, y) = (draw(), draw());
                assert!(least_move(&x, &y, 1) < 1e-9, "{n} {seed}");
            }
        }
    }

    /// Points that stand for others are worth no more than they are: their copies are no evidence.
    #[test]
    fn few_heavy_points_forbid_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut heavy = || {
            let x: Vec<f64> = (0..1000).map(|_| StandardNormal.sample(&mut rng)).collect();
            let weights = (0..1000).map(|i| if i < 10 { 1.0 } else { 1e-6 }).collect();
            Samples::from_f64(&x, 1)
                .unwrap()
                .with_weights(weights)
                .unwrap()
        };
        let (x, y) = (heavy(), heavy());
        assert!(least_move(&x, &y, 1) < 1e-9, "{}", least_move(&x, &y, 1));
    }
}

//! Whether a cost that forbids long moves leaves a way from source to target, `|T(x) - x| <= s`.
//!
//! The least `s` that does is the Wasserstein distance of infinite order. In one dimension it is the largest distance of quantiles, and projecting on a unit vector `e` makes
//! nothing longer, so for all `e` and `q`
//!
//! ```text
//! |F_nu^-1(q; e) - F_mu^-1(q; e)|  <=  W_inf(mu, nu)        F(.; e) the law of e.x
//! ```
//!
//! For laws known by `n` and `m` points the quantiles are taken apart by the band that holds a distribution function with 99.95 % probability, `sqrt(log(4000) / 2n)`
//! (Massart 1990), so that chance in the tails forbids nothing. From above it is at most the longest move of any matching of the points; in many dimensions that is a good
//! deal more than the laws need, since the nearest point of a sample is far away.

use crate::cost::Cost;
use crate::error::{Error, Result};
use crate::exact::assignment;
use crate::samples::Samples;
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

/// A speed is said to do with this much room: at the very bound the points that need it move at an infinite momentum.
const ROOM: f64 = 1.05;

/// Nothing for a cost without a limit. An error below a lower bound, a note between the bounds.
pub(super) fn check(source: &Samples, target: &Samples, cost: &dyn Cost) -> Result<Option<String>> {
    let reach = cost.reach();
    if reach.is_infinite() {
        return Ok(None);
    }
    let lower = least_move(source, target);
    let some = [source, target].map(|s| evenly(s, MATCHED));
    let upper = longest_of_matching(&some[0], &some[1], source.dim())?;
    let enough = round_up(ROOM * upper.max(lower));
    let whole = source.len() <= MATCHED && target.len() <= MATCHED;
    let tried = if whole {
        String::new()
    } else {
        format!(" ({MATCHED} points of each side were matched)")
    };
    let name = crate::cost::short(&cost.name());
    if reach < lower {
        return Err(Error::config(
            "cost",
            format!(
                "{name}: no point may move further than {reach}, but some have to move {} to get from {} to {}; a limit of {enough} would do{tried}",
                round_up(lower),
                source.name(),
                target.name()
            ),
        ));
    }
    Ok((reach < upper).then(|| {
        format!(
            "{name}: whether every point can get where it has to without moving further than {reach} is not known; with a limit of {enough} it can{tried}"
        )
    }))
}

/// A lower bound of the longest move.
fn least_move(source: &Samples, target: &Samples) -> f64 {
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
            apart(&x, &y).max(apart(&y, &x))
        })
        .reduce(|| 0.0, f64::max)
}

/// `max_q G^-1(q - band) - F^-1(q + band)` of two sorted samples: how far some points of the first have to move up.
fn apart(x: &[f64], y: &[f64]) -> f64 {
    let band = |n: usize| (4000f64.ln() / (2.0 * n as f64)).sqrt();
    let (n, m) = (x.len() as f64, y.len() as f64);
    let mut most = 0.0_f64;
    for (j, y) in y.iter().enumerate() {
        // Point j is the quantile q - band(m) for q up to j / m + band(m); x at q + band(n).
        let q = j as f64 / m + band(m as usize) + band(x.len());
        let i = (q * n).ceil() as usize;
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

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).powi(2))
        .sum::<f64>()
        .sqrt()
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

/// The longest move of a matching that avoids long moves: the least over matchings of least total `|y - x|^p` for growing `p`.
fn longest_of_matching(x: &[f64], y: &[f64], d: usize) -> Result<f64> {
    let k = (x.len() / d).min(y.len() / d);
    let (x, y) = (evenly_rows(x, k, d), evenly_rows(y, k, d));
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

fn evenly_rows(points: &[f64], k: usize, d: usize) -> Vec<f64> {
    let n = points.len() / d;
    (0..k)
        .flat_map(|i| points[i * n / k * d..(i * n / k + 1) * d].iter().copied())
        .collect()
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
        let check = |s: f64| check(&source, &target, &Relativistic::new(s).unwrap());
        let message = check(2.5).unwrap_err().to_string();
        for part in ["`cost`", "relativistic:2.5", "would do"] {
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
        assert!(check(&narrow, &wide, &slow).is_err());
        // The same law twice: nothing has to move, although no two points are near each other.
        assert!(
            check(
                &draw(8, 3000, 1.0, 3),
                &draw(8, 3000, 1.0, 4),
                &Relativistic::new(0.2).unwrap()
            )
            .is_ok()
        );
        // The bound is below the truth: quantiles that far out are 2 z apart.
        let bound = least_move(&narrow, &wide);
        assert!((2.0..5.5).contains(&bound), "{bound}");
    }

    #[test]
    fn other_costs_are_not_asked() {
        let far = line(1e6, 50);
        assert_eq!(
            check(&line(0.0, 50), &far, &crate::cost::Quadratic).unwrap(),
            None
        );
    }
}

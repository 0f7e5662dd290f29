//! Whether a cost that forbids long moves leaves a way from source to target, `|T(x) - x| <= s`.
//!
//! The least `s` that does is the Wasserstein distance of infinite order between the samples. Bounds of it,
//!
//! ```text
//! |E y - E x|,   max_j min_i |y_j - x_i|,   max_i min_j |y_j - x_i|   <=   W_inf   <=   max_i |y_match(i) - x_i|
//! ```
//!
//! the first by Jensen's inequality, the others because every point has to come from somewhere and to go somewhere; the upper one for any matching. Weights are left out
//! of the matching, so for weighted points it is not said.

use crate::cost::Cost;
use crate::error::{Error, Result};
use crate::exact::assignment;
use crate::samples::Samples;
use rayon::prelude::*;

/// Points of each side that are matched, and that look for their nearest among all of the other side.
const POINTS: usize = 1000;

/// A speed is said to do with this much room: at the very bound the points that need it move at an infinite momentum.
const ROOM: f64 = 1.05;

/// Nothing for a cost without a limit. An error below a lower bound, a note between the bounds.
pub(super) fn check(source: &Samples, target: &Samples, cost: &dyn Cost) -> Result<Option<String>> {
    let reach = cost.reach();
    if reach.is_infinite() {
        return Ok(None);
    }
    let d = source.dim();
    let means = [source, target].map(|s| s.moments().mean);
    let shift = distance(&means[0], &means[1]);
    let some = [source, target].map(|s| evenly(s, POINTS));
    let nearest = |from: &[f64], to: &Samples| -> f64 {
        let to = to.to_f64();
        from.par_chunks_exact(d)
            .map(|x| {
                let near = to.chunks_exact(d).map(|y| distance(x, y));
                near.fold(f64::INFINITY, f64::min)
            })
            .reduce(|| 0.0, f64::max)
    };
    let lower = shift
        .max(nearest(&some[0], target))
        .max(nearest(&some[1], source));
    let upper = longest_of_matching(&some[0], &some[1], d)?;
    let enough = ROOM * upper.max(lower);
    let whole = source.len() <= POINTS && target.len() <= POINTS;
    let name = crate::cost::short(&cost.name());
    if reach < lower {
        let why = if shift >= reach {
            format!("the mean of {} lies {shift:.4} from that of {}", target.name(), source.name())
        } else {
            format!("some point lies {lower:.4} from the nearest one of the other side")
        };
        return Err(Error::config(
            "cost",
            format!(
                "{name}: no point may move further than {reach}, but {why}; a limit of {} would do{}",
                round_up(enough),
                if whole { "" } else { " for the 1000 points of each side that were tried" }
            ),
        ));
    }
    Ok((reach < upper).then(|| {
        format!(
            "{name}: it is not known whether all points can get where they have to without moving further than {reach}; with a limit of {} they can{}",
            round_up(enough),
            if whole { "" } else { " (1000 points of each side were matched)" }
        )
    }))
}

/// To three digits, upwards.
fn round_up(x: f64) -> f64 {
    let unit = 10f64.powf(x.log10().floor() - 2.0);
    // Once more through text, so that no trailing digits of the product show.
    format!("{:.3e}", (x / unit).ceil() * unit).parse().unwrap_or(x)
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// At most `k` points of positive weight, evenly through the file.
fn evenly(samples: &Samples, k: usize) -> Vec<f64> {
    let weighs = |i: &u32| samples.weights().is_none_or(|w| w[*i as usize] > 0.0);
    let rows: Vec<u32> = (0..samples.len() as u32).filter(weighs).collect();
    let count = rows.len().min(k);
    let some: Vec<u32> = (0..count).map(|i| rows[i * rows.len() / count]).collect();
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
            distances.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE)
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
        let (source, target) = (line(0.0, 200), line(3.0, 150));
        let check = |s: f64| check(&source, &target, &Relativistic::new(s).unwrap());
        let message = check(2.9).unwrap_err().to_string();
        for part in ["`cost`", "relativistic:2.9", "3.0", "would do"] {
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
    }

    /// Two clouds with the same mean, one of them with an outlier.
    #[test]
    fn a_single_point_too_far_is_seen() {
        let mut far: Vec<f64> = (0..99).map(|i| f64::from(i) / 99.0).collect();
        far.push(9.0);
        let source = line(0.0, 100);
        let target = Samples::from_f64(&far, 1).unwrap();
        let message = check(&source, &target, &Relativistic::new(2.0).unwrap()).unwrap_err();
        assert!(message.to_string().contains("nearest"), "{message}");
        assert!(check(&source, &target, &Relativistic::new(9.5).unwrap()).unwrap().is_none());
        let note = check(&source, &target, &Relativistic::new(8.2).unwrap()).unwrap();
        assert!(note.is_none() || note.unwrap().contains("not known"));
    }

    #[test]
    fn other_costs_are_not_asked() {
        let far = line(1e6, 50);
        assert_eq!(check(&line(0.0, 50), &far, &crate::cost::Quadratic).unwrap(), None);
    }
}

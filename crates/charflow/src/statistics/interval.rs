//! Upper confidence bounds of a mean that no table covers: slacks are not negative, skewed, and may be rare.
//!
//! ```text
//! r = sum_i w_i s_i / sum_i w_i c_i,        se(r)^2 = n / (n - 1) sum_i w_i^2 (s_i - r c_i)^2 / (sum_i w_i c_i)^2
//!
//! t     = r - q_5%( (r* - r) / se* ) se                                  over bootstrap resamples *, and not less than r + 1.645 se
//! u     = q_95%( (sum_i w_i V_i s_i + w_0 V_0 b) / (sum_i w_i V_i c_i + w_0 V_0 E c) )     over independent V_0, ..., V_n of the exponential law
//! upper = max(t, u)
//! ```
//!
//! `t` is the percentile-t bootstrap (Efron 1979; Hall, "Theoretical comparison of bootstrap confidence intervals", 1988), second-order correct, so a right tail moves
//! the bound outwards as it should, which the normal bound does not. It knows nothing of what no point met: where one point in a hundred is badly placed, two samples of a hundred in five have none of these.
//!
//! `u` is Gaffke's bound (2005; Learned-Miller and Thomas 2019): the values get random weights, and one more value `b` stands for what was not met. For values of 0 and `b` it is the exact bound of Clopper and Pearson
//! (1934): without a hit in `n` it is `(1 - 0.05^(1/n)) b`, about `3 b / n`, the rule of three. `b` is the largest value that was met, or the `limit` that the caller knows, if that is larger. With `w_0 = 1 / n`, `n` by weight.
//!
//! With `c = 1` these are bounds of a mean. A value above `b` that fewer than three points in `n` have is in neither.
//!
//! Where all of the sum is in one or two of many points, more than 5 % of the resamples are without them: their own error is the rounding of the others, and `t` would be
//! millions of errors away. From 50 points on `se*` counts as at least a tenth of `se`.

use super::finite;
use crate::samples::effective_number;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};
use rayon::prelude::*;

/// Resamples: the 5 % quantile is then one of them.
const RESAMPLES: usize = 999;

/// From so many points on (as many as their weights are worth), an error of a resample counts as at least this share of that of the sample.
const MANY: f64 = 50.0;
const LEAST_ERROR: f64 = 0.1;

/// The 95 % quantile of the normal law.
pub(crate) const NORMAL: f64 = 1.644_853_626_951_472_6;

/// With what probability a bound may fail: several bounds in one share 5 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Miss {
    /// 5 %.
    Whole,
    /// 5 % / 2.
    Half,
    /// 5 % / 4.
    Quarter,
}

impl Miss {
    fn probability(self) -> f64 {
        match self {
            Miss::Whole => 0.05,
            Miss::Half => 0.025,
            Miss::Quarter => 0.0125,
        }
    }

    /// The normal law's quantile at one minus that.
    pub(crate) fn normal(self) -> f64 {
        match self {
            Miss::Whole => NORMAL,
            Miss::Half => 1.959_963_984_540_054,
            Miss::Quarter => 2.241_402_727_604_947,
        }
    }
}

/// An estimate, its standard error, and the one-sided upper confidence bound; each as far as it exists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    pub estimate: Option<f64>,
    pub standard_error: Option<f64>,
    pub upper: Option<f64>,
}

/// `(r, se)` over the given indices.
fn ratio(
    rows: impl Iterator<Item = usize> + Clone,
    weight: impl Fn(usize) -> f64,
    s: &[f64],
    c: impl Fn(usize) -> f64,
) -> (f64, f64) {
    let (mut above, mut below, mut n) = (0.0, 0.0, 0.0);
    for i in rows.clone() {
        above += weight(i) * s[i];
        below += weight(i) * c(i);
        n += 1.0;
    }
    let r = above / below;
    let square: f64 = rows.map(|i| (weight(i) * (s[i] - r * c(i))).powi(2)).sum();
    (r, (n / (n - 1.0) * square).sqrt() / below)
}

/// The bound of `E s / E c`, or of `E s` without `c`; `s, c: [n]`, weights with sum 1 or all equal. `limit`: what a value that no point met may be.
pub(crate) fn upper(
    s: &[f64],
    c: Option<&[f64]>,
    weights: Option<&[f64]>,
    limit: f64,
    miss: Miss,
    seed: u64,
) -> Bound {
    let n = s.len();
    let none = Bound {
        estimate: None,
        standard_error: None,
        upper: None,
    };
    if n == 0 {
        return none;
    }
    let weight = |i: usize| weights.map_or(1.0 / n as f64, |w| w[i]);
    let c = |i: usize| c.map_or(1.0, |c| c[i]);
    let (r, se) = ratio(0..n, weight, s, c);
    let Some(estimate) = finite(r) else {
        return none;
    };
    let Some(se) = finite(se) else {
        return Bound {
            estimate: Some(estimate),
            ..none
        };
    };
    let least = if effective_number(weights, n) >= MANY {
        LEAST_ERROR * se
    } else {
        0.0
    };
    let mut t: Vec<f64> = (0..RESAMPLES)
        .into_par_iter()
        .map_init(
            || vec![0usize; n],
            |rows, b| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(100 + b as u64);
                rows.iter_mut().for_each(|i| *i = rng.random_range(0..n));
                let (again, its) = ratio(rows.iter().copied(), weight, s, c);
                // All of one value: nothing moved, or infinitely far.
                if again == r {
                    0.0
                } else if !again.is_finite() || its.is_nan() {
                    f64::NEG_INFINITY
                } else {
                    (again - r) / its.max(least)
                }
            },
        )
        .collect();
    t.iter_mut()
        .filter(|t| t.is_nan())
        .for_each(|t| *t = f64::NEG_INFINITY);
    t.sort_by(f64::total_cmp);
    let beyond = (miss.probability() * (RESAMPLES + 1) as f64) as usize;
    let upper = if se == 0.0 {
        r
    } else {
        (r - t[beyond - 1] * se).max(r + miss.normal() * se)
    };
    let most = s.iter().copied().fold(limit, f64::max);
    let one_more = 1.0 / effective_number(weights, n);
    let mean_c: f64 = (0..n).map(|i| weight(i) * c(i)).sum();
    let mut u: Vec<f64> = (0..RESAMPLES)
        .into_par_iter()
        .map(|b| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(100_000 + b as u64);
            let mut draw = || -> f64 { Exp1.sample(&mut rng) };
            let unseen = one_more * draw();
            let (mut above, mut below) = (unseen * most, unseen * mean_c);
            for i in 0..n {
                let w = weight(i) * draw();
                above += w * s[i];
                below += w * c(i);
            }
            above / below
        })
        .collect();
    u.sort_by(f64::total_cmp);
    let upper = upper.max(u[RESAMPLES - beyond]);
    Bound {
        estimate: Some(estimate),
        standard_error: Some(se),
        upper: finite(upper),
    }
}

/// The exact one-sided 95 % upper bound of a probability of which `k` of `n` independent trials were hits (Clopper and Pearson 1934): the `p` with `P(X <= k) = 5 %`.
///
/// For `k = 0` it is `1 - 0.05^(1/n)`, about `3 / n`: the rule of three.
pub(crate) fn share_upper(k: usize, n: usize) -> f64 {
    if k >= n {
        return 1.0;
    }
    // log P(X <= k), falling in p.
    let log_below = |p: f64| {
        let mut term = n as f64 * (-p).ln_1p();
        let mut largest = term;
        let mut terms = vec![term];
        for i in 1..=k {
            term += ((n - i + 1) as f64 / i as f64).ln() + p.ln() - (-p).ln_1p();
            largest = largest.max(term);
            terms.push(term);
        }
        largest + terms.iter().map(|t| (t - largest).exp()).sum::<f64>().ln()
    };
    let (mut low, mut high) = (k as f64 / n as f64, 1.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if log_below(middle) > 0.05f64.ln() {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A skewed law, as slacks are: exponentials (skewness 2) of 200 points. The bound is to cover in 95 of 100 cases; the normal bound does in fewer.
    #[test]
    fn the_bound_covers_the_mean_of_a_skewed_law() {
        let cases = 1500;
        let found: Vec<[bool; 4]> = (0..cases)
            .map(|seed| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let mut draw = || -> f64 { Exp1.sample(&mut rng) };
                let s: Vec<f64> = (0..200).map(|_| draw()).collect();
                let c: Vec<f64> = s.iter().map(|s| 0.5 * s + 0.25 * draw()).collect();
                // Importance weights of the law of density proportional to exp(-2 s): its mean is 1/2.
                let w: Vec<f64> = s.iter().map(|s| (-s).exp()).collect();
                let sum: f64 = w.iter().sum();
                let w: Vec<f64> = w.iter().map(|w| w / sum).collect();
                let bound = upper(&s, None, None, 0.0, Miss::Whole, seed);
                let (mean, se) = (bound.estimate.unwrap(), bound.standard_error.unwrap());
                [
                    bound.upper.unwrap() >= 1.0,
                    mean + NORMAL * se >= 1.0,
                    upper(&s, Some(&c), None, 0.0, Miss::Whole, seed)
                        .upper
                        .unwrap()
                        >= 1.0 / 0.75,
                    upper(&s, None, Some(&w), 0.0, Miss::Whole, seed)
                        .upper
                        .unwrap()
                        >= 0.5,
                ]
            })
            .collect();
        let share = |k: usize| found.iter().filter(|f| f[k]).count() as f64 / cases as f64;
        // Two deviations of such a share are 1.1 %. The one more value is as large as the largest, whatever its own cost and weight: bounds of a ratio and of
        // weighted values are the wider for it.
        for (k, most) in [(0, 0.99), (2, 1.0), (3, 1.0)] {
            assert!((0.939..=most).contains(&share(k)), "{k}: {}", share(k));
        }
        assert!(share(1) < 0.939, "{}", share(1));
    }

    /// One point in fifty has a slack of 1, the others none: of a hundred points as good as none may, and the bound is to cover all the same. For 0 and 1 it is that of Clopper and Pearson.
    #[test]
    fn what_no_point_met_is_in_the_bound() {
        let cases = 600;
        let covered = (0..cases)
            .filter(|&seed| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let s: Vec<f64> = (0..100)
                    .map(|_| f64::from(u8::from(rng.random_range(0..50) == 0)))
                    .collect();
                upper(&s, None, None, 1.0, Miss::Whole, seed).upper.unwrap() >= 0.02
            })
            .count();
        assert!(covered as f64 >= 0.94 * cases as f64, "{covered}");
        let none = upper(&[0.0; 300], None, None, 2.0, Miss::Whole, 1)
            .upper
            .unwrap();
        let exact = 2.0 * share_upper(0, 300);
        assert!((none / exact - 1.0).abs() < 0.1, "{none} {exact}");
        // In shares of a cost of 4 a quarter of that.
        let share = upper(&[0.0; 300], Some(&[4.0; 300]), None, 2.0, Miss::Whole, 1);
        assert!((4.0 * share.upper.unwrap() / exact - 1.0).abs() < 0.1);
        // Without a limit nothing is made of nothing.
        assert_eq!(
            upper(&[0.0; 300], None, None, 0.0, Miss::Whole, 1).upper,
            Some(0.0)
        );
    }

    /// The rule of three, and the definition: at the bound, so few hits have a probability of 5 %.
    #[test]
    fn the_share_is_bounded_exactly() {
        assert!((share_upper(0, 300) - (1.0 - 0.05f64.powf(1.0 / 300.0))).abs() < 1e-9);
        assert!((share_upper(0, 1000) - 3.0 / 1000.0).abs() < 1e-5);
        for (k, n) in [(1, 10), (4, 50), (19, 20)] {
            let p = share_upper(k, n);
            let below: f64 = (0..=k)
                .map(|i| {
                    let choose: f64 = (0..i).map(|j| (n - j) as f64 / (j + 1) as f64).product();
                    choose * p.powi(i as i32) * (1.0 - p).powi((n - i) as i32)
                })
                .sum();
            assert!((below - 0.05).abs() < 1e-9, "{k} {n}: {below}");
        }
        assert_eq!(share_upper(7, 7), 1.0);
        assert_eq!(share_upper(0, 0), 1.0);
    }

    /// One slack among many, far above the rounding of the others: seen, and bounded.
    #[test]
    fn a_single_large_value_is_no_reason_for_an_absurd_bound() {
        let mut s: Vec<f64> = (0..2000).map(|i| 1e-13 * f64::from(i % 7)).collect();
        s[77] = 1.0;
        let bound = upper(&s, None, None, 0.0, Miss::Whole, 3).upper.unwrap();
        assert!((4.74 / 2000.0..12.0 / 2000.0).contains(&bound), "{bound}");
    }

    #[test]
    fn weights_count_and_what_does_not_exist_is_none() {
        // A point of weight zero is as good as absent for the estimate.
        let bound = upper(
            &[1.0, 2.0, 9.0],
            None,
            Some(&[0.5, 0.5, 0.0]),
            0.0,
            Miss::Whole,
            0,
        );
        assert_eq!(bound.estimate, Some(1.5));
        assert!(bound.standard_error.unwrap() > 0.0);
        let one = upper(&[1.0], None, None, 0.0, Miss::Whole, 0);
        assert_eq!((one.estimate, one.upper), (Some(1.0), None));
        assert_eq!(
            upper(&[0.0; 5], None, None, 0.0, Miss::Whole, 0).upper,
            Some(0.0)
        );
        assert_eq!(upper(&[], None, None, 0.0, Miss::Whole, 0).estimate, None);
        assert_eq!(
            upper(&[1.0, 2.0], Some(&[0.0, 0.0]), None, 0.0, Miss::Whole, 0).estimate,
            None
        );
        assert_eq!(
            upper(&[f64::INFINITY, 2.0], None, None, 0.0, Miss::Whole, 0).estimate,
            None
        );
        // Two points: half of the resamples are of one value, infinitely many errors away.
        assert_eq!(
            upper(&[1.0, 2.0], None, None, 0.0, Miss::Whole, 0).upper,
            None
        );
    }
}

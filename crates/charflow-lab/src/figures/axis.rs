//! Axes: which numbers stand beside them, and where a value lands in pixels.

/// A scale from values to the numbers the axis is divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    Linear,
    /// Base 10; for positive values.
    Log,
    /// Linear on `[-c, c]`, base 10 beyond: `sign(v) |v| / c`, or `sign(v) (1 + log10(|v| / c))`. For U-statistics, which go below zero.
    Symlog(f64),
}

impl Scale {
    pub fn apply(self, v: f64) -> f64 {
        match self {
            Scale::Linear => v,
            Scale::Log => v.log10(),
            Scale::Symlog(c) if v.abs() <= c => v / c,
            Scale::Symlog(c) => v.signum() * (1.0 + (v.abs() / c).log10()),
        }
    }
}

/// A number beside an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    /// Position in the scale's numbers (see [`Scale::apply`]).
    pub at: f64,
    pub label: String,
}

/// Range, ticks and what the tick labels leave out, e.g. `×10⁻⁶ +1000000`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub lo: f64,
    pub hi: f64,
    pub ticks: Vec<Tick>,
    pub note: String,
}

impl Axis {
    /// A linear axis over `[lo, hi]` with about `wanted` ticks at multiples of 1, 2 or 5 times a power of ten.
    ///
    /// Labels are short at any scale: what all of them share, a power of ten or a large offset, moves into the note.
    pub fn linear(lo: f64, hi: f64, wanted: usize) -> Self {
        let (step, exponent) = nice_step((hi - lo) / wanted.max(1) as f64);
        let (first, last) = (
            (lo / step - 1e-9).ceil() as i64,
            (hi / step + 1e-9).floor() as i64,
        );
        let largest = lo.abs().max(hi.abs());
        let mut notes = Vec::new();
        // More than 5 digits in a label: subtract a round number near the middle.
        let mut base = 0i64;
        if largest / step >= 1e4 {
            let coarse = ((hi - lo).log10().ceil() as i32).max(exponent + 1);
            let unit = 10f64.powi(coarse);
            let offset = (0.5 * (lo + hi) / unit).round() * unit;
            if offset != 0.0 {
                base = (offset / step).round() as i64;
                notes.push(format!(
                    "{}{}",
                    if offset > 0.0 { "+" } else { "−" },
                    plain(offset.abs(), (-coarse).max(0) as usize)
                ));
            }
        }
        let reach = (first - base).abs().max((last - base).abs()) as f64 * step;
        let mut shared = 0;
        if reach > 0.0 && !(1e-3 * (1.0 - 1e-9)..1e5).contains(&reach) {
            shared = (reach.log10() + 1e-9).floor() as i32;
            notes.insert(0, format!("×10{}", superscript(shared)));
        }
        let decimals = (shared - exponent).max(0) as usize;
        let unit = step / 10f64.powi(shared);
        let ticks = (first..=last)
            .take(100)
            .map(|k| Tick {
                at: k as f64 * step,
                label: signed((k - base) as f64 * unit, decimals),
            })
            .collect();
        Self {
            lo,
            hi,
            ticks,
            note: notes.join(" "),
        }
    }

    /// A linear axis with as many ticks, at most `wanted`, as have room: their labels keep clear of each other over `length` pixels.
    pub fn linear_fitted(
        lo: f64,
        hi: f64,
        wanted: usize,
        length: f32,
        width: impl Fn(&str) -> f32,
    ) -> Self {
        let mut axis = Self::linear(lo, hi, wanted);
        for fewer in (1..wanted).rev() {
            let gap = axis
                .ticks
                .windows(2)
                .map(|w| (w[1].at - w[0].at) / (hi - lo) * f64::from(length))
                .fold(f64::INFINITY, f64::min);
            let widest = axis
                .ticks
                .iter()
                .map(|t| width(&t.label))
                .fold(0.0, f32::max);
            if f64::from(widest) + 8.0 <= gap {
                break;
            }
            axis = Self::linear(lo, hi, fewer);
        }
        axis
    }

    /// An axis over a logarithmic or partly logarithmic scale; `lo` and `hi` in values.
    pub fn scaled(lo: f64, hi: f64, scale: Scale) -> Self {
        let (a, b) = (scale.apply(lo), scale.apply(hi));
        let pad = 0.05 * (b - a).max(0.2);
        let (a, b) = (a - pad, b + pad);
        let mut values: Vec<f64> = Vec::new();
        match scale {
            Scale::Linear => return Self::linear(a, b, 5),
            Scale::Log => {
                let (from, to) = (a.floor() as i32, b.ceil() as i32);
                let decades = (from..=to)
                    .filter(|&k| (a..=b).contains(&f64::from(k)))
                    .count();
                if decades >= 2 {
                    let stride = decades.div_ceil(7) as i32;
                    values.extend(
                        (from..=to)
                            .filter(|k| k.rem_euclid(stride) == 0)
                            .map(|k| 10f64.powi(k)),
                    );
                } else {
                    let linear = Self::linear(10f64.powf(a), 10f64.powf(b), 5);
                    if linear.note.is_empty() {
                        let ticks = linear
                            .ticks
                            .into_iter()
                            .filter(|t| t.at > 0.0)
                            .map(|t| Tick {
                                at: t.at.log10(),
                                label: t.label,
                            });
                        return Self {
                            lo: a,
                            hi: b,
                            ticks: ticks.collect(),
                            note: String::new(),
                        };
                    }
                    values.extend(
                        (from..=to).flat_map(|k| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(k))),
                    );
                }
            }
            Scale::Symlog(c) => {
                let decades = ((a.abs().max(b.abs()) - 1.0).ceil().max(0.0)) as i32;
                let stride = (decades / 5 + 1) as usize;
                values.push(0.0);
                for k in (0..=decades).step_by(stride) {
                    values.extend([c * 10f64.powi(k), -c * 10f64.powi(k)]);
                }
                values.sort_by(f64::total_cmp);
            }
        }
        let ticks = values
            .into_iter()
            .map(|v| Tick {
                at: scale.apply(v),
                label: short(v),
            })
            .filter(|t| (a..=b).contains(&t.at))
            .collect();
        Self {
            lo: a,
            hi: b,
            ticks,
            note: String::new(),
        }
    }

    /// Steps of a run: whole numbers, thousands written `k` where all ticks are thousands.
    pub fn steps(lo: f64, hi: f64) -> Self {
        // There is nothing between one step and the next.
        let wanted = if hi - lo < 6.0 {
            (hi - lo).max(1.0) as usize
        } else {
            6
        };
        let mut axis = Self::linear(lo, hi, wanted);
        let whole = axis
            .ticks
            .iter()
            .all(|t| (t.at - t.at.round()).abs() < 1e-9 && t.at.abs() < 1e12);
        if whole {
            let thousands = hi >= 10_000.0 && axis.ticks.iter().all(|t| t.at % 1000.0 == 0.0);
            for tick in &mut axis.ticks {
                tick.label = if thousands && tick.at != 0.0 {
                    format!("{}k", signed(tick.at / 1000.0, 0))
                } else {
                    signed(tick.at, 0)
                };
            }
            axis.note.clear();
        }
        axis
    }

    /// Where the scaled value lies along the axis, 0 at `lo`, 1 at `hi`.
    pub fn share(&self, at: f64) -> f64 {
        (at - self.lo) / (self.hi - self.lo)
    }
}

/// Of 1, 2, 5 times a power of ten the nearest to `rough`, and the exponent of that power.
fn nice_step(rough: f64) -> (f64, i32) {
    let exponent = rough.log10().floor() as i32;
    let (factor, k) = match rough / 10f64.powi(exponent) {
        m if m < 1.5 => (1.0, exponent),
        m if m < 3.5 => (2.0, exponent),
        m if m < 7.5 => (5.0, exponent),
        _ => (1.0, exponent + 1),
    };
    // Dividing by a positive power is exact where multiplying by a negative one is not: 2 / 10, not 2 * 0.1.
    let step = if k < 0 {
        factor / 10f64.powi(-k)
    } else {
        factor * 10f64.powi(k)
    };
    (step, k)
}

/// A number with a true minus sign, and no minus before zero.
fn signed(v: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", v.abs());
    let zero = text.bytes().all(|b| b == b'0' || b == b'.');
    if v < 0.0 && !zero {
        format!("−{text}")
    } else {
        text
    }
}

/// A positive number without exponent where it is short, and without zeros that say nothing.
fn plain(v: f64, decimals: usize) -> String {
    if v < 1e15 {
        let text = format!("{v:.decimals$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    } else {
        let text = format!("{v:e}");
        match text
            .split_once('e')
            .map(|(m, e)| (m.to_owned(), e.parse::<i32>().unwrap_or(0)))
        {
            Some((mantissa, exponent)) => format!("{mantissa}×10{}", superscript(exponent)),
            None => text,
        }
    }
}

/// A tick of a logarithmic axis: decimal near one, a power of ten elsewhere.
fn short(v: f64) -> String {
    let m = v.abs();
    if m == 0.0 {
        return "0".to_owned();
    }
    let exponent = (m.log10() + 1e-9).floor() as i32;
    if (-3..=3).contains(&exponent) {
        return signed(v, (-exponent).max(0) as usize);
    }
    let mantissa = m / 10f64.powi(exponent);
    let sign = if v < 0.0 { "−" } else { "" };
    let factor = if (mantissa - 1.0).abs() < 1e-6 {
        String::new()
    } else {
        format!("{mantissa:.0}×")
    };
    format!("{sign}{factor}10{}", superscript(exponent))
}

fn superscript(k: i32) -> String {
    k.to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '0' => '⁰',
            digit => char::from_u32('⁰' as u32 + digit as u32 - '0' as u32).unwrap_or(digit),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|t| t.label.as_str()).collect()
    }

    #[test]
    fn labels_are_short_at_every_scale() {
        assert_eq!(
            labels(&Axis::linear(-2.3, 2.3, 5)),
            ["−2", "−1", "0", "1", "2"]
        );
        let small = Axis::linear(-2.3e-6, 2.3e-6, 5);
        assert_eq!(
            (labels(&small), small.note.as_str()),
            (vec!["−2", "−1", "0", "1", "2"], "×10⁻⁶")
        );
        let far = Axis::linear(1e6 - 2.3, 1e6 + 2.3, 5);
        assert_eq!(
            (labels(&far), far.note.as_str()),
            (vec!["−2", "−1", "0", "1", "2"], "+1000000")
        );
        let both = Axis::linear(-5.0 - 2.3e-6, -5.0 + 2.3e-6, 5);
        assert_eq!(
            (labels(&both), both.note.as_str()),
            (vec!["−2", "−1", "0", "1", "2"], "×10⁻⁶ −5")
        );
        let big = Axis::linear(-2.3e6, 2.3e6, 5);
        assert_eq!(
            (labels(&big), big.note.as_str()),
            (vec!["−2", "−1", "0", "1", "2"], "×10⁶")
        );
        assert_eq!(
            labels(&Axis::linear(0.0, 0.01, 2)),
            ["0.000", "0.005", "0.010"]
        );
    }

    #[test]
    fn ticks_are_right_and_few_whatever_the_range() {
        for (centre, range) in [
            (0.0, 1.0),
            (3.0, 1e-9),
            (1e6, 1e-3),
            (-1e12, 50.0),
            (1e-6, 3e-6),
            (7.7, 0.3),
            (0.0, 1e200),
            (1e-200, 1e-200),
        ] {
            let axis = Axis::linear(centre - range / 2.0, centre + range / 2.0, 5);
            assert!(
                (2..=8).contains(&axis.ticks.len()),
                "{centre} {range}: {:?}",
                axis.ticks
            );
            for tick in &axis.ticks {
                assert!(
                    (-1e-6..=1.0 + 1e-6).contains(&axis.share(tick.at)),
                    "{centre} {range}"
                );
                assert!(
                    tick.label.chars().count() <= 7,
                    "{centre} {range} {:?}",
                    tick.label
                );
            }
            let distinct: std::collections::HashSet<_> = labels(&axis).into_iter().collect();
            assert_eq!(
                distinct.len(),
                axis.ticks.len(),
                "{centre} {range}: {:?}",
                axis.ticks
            );
        }
    }

    #[test]
    fn symlog_is_increasing_continuous_and_odd() {
        let s = Scale::Symlog(0.01);
        assert!((s.apply(0.01 + 1e-12) - s.apply(0.01)).abs() < 1e-9);
        assert_eq!(s.apply(-3.0), -s.apply(3.0));
        assert_eq!(s.apply(0.1), 2.0);
        let axis = Axis::scaled(-0.005, 20.0, s);
        assert_eq!(labels(&axis), ["0", "0.01", "0.1", "1", "10"]);
    }

    #[test]
    fn log_axes_show_decades_or_finer() {
        assert_eq!(
            labels(&Axis::scaled(1e-5, 20.0, Scale::Log)),
            ["10⁻⁵", "10⁻⁴", "0.001", "0.01", "0.1", "1", "10"]
        );
        assert!(Axis::scaled(1.1, 3.0, Scale::Log).ticks.len() >= 2);
        assert!(Axis::scaled(2.1e-7, 3e-7, Scale::Log).ticks.len() <= 8);
        assert!(Axis::scaled(1e-30, 1.0, Scale::Log).ticks.len() <= 8);
    }

    #[test]
    fn steps_are_whole_numbers() {
        assert_eq!(
            labels(&Axis::steps(0.0, 25_000.0)),
            ["0", "5k", "10k", "15k", "20k", "25k"]
        );
        assert_eq!(labels(&Axis::steps(-0.03, 2.03)), ["0", "1", "2"]);
        assert_eq!(
            labels(&Axis::steps(0.0, 1000.0)),
            ["0", "200", "400", "600", "800", "1000"]
        );
    }
}

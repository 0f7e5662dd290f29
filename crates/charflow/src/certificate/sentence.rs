//! The certificate in words: one sentence to quote, one word to test, and the figures in a few lines.

use super::{Certificate, FEW, Mismatch, Optimality, Origin, Verdict};
use crate::evaluate::short;
use std::fmt;

/// An avoidable share of the cost up to this is near optimal.
const NEAR: f64 = 0.05;
/// Above this it is not.
const FAR: f64 = 0.3;
/// The same for the share of the cost beyond the common shift.
const NEAR_BEYOND: f64 = 0.2;
const FAR_BEYOND: f64 = 0.6;
/// A slack below this share of the spread of the points is nothing, whatever share of a small cost it is.
const NOTHING: f64 = 0.01;
/// A cost below this share of that spread is that of two clouds all but the same.
const SAME: f64 = 1e-3;
/// An energy distance above this share of the spread is away from the target; a noise floor above it cannot see that.
const AWAY: f64 = 0.02;
/// More searches than this that missed the least value: the figure is not firm.
const MISSED: f64 = 0.05;

/// What is said of one part: the words, and how it stands.
struct Part {
    words: String,
    verdict: Verdict,
}

/// Fills in verdict, sentence and notes.
pub(super) fn conclude(c: &mut Certificate, effective: [f64; 2], by_class: bool) {
    notes(c, effective, by_class);
    let place = match c.origin {
        Origin::HeldOut => "points held out of the fit",
        Origin::Fitted => "points the map was fitted to",
        Origin::Given => "points",
    };
    let [n, m] = c.points;
    let place = format!("On {n} + {m} {place}");
    let fewest = effective[0].min(effective[1]);
    if fewest < FEW as f64 {
        let weighed = if fewest < 0.9 * n.min(m) as f64 {
            " (by their weights they count as fewer)"
        } else {
            ""
        };
        c.sentence = format!(
            "{place}{weighed} nothing can be said of this map with confidence: below {FEW} points a side every bound is too wide to mean anything"
        );
        c.verdict = Verdict::CannotSay;
        return;
    }
    let cost = optimality(&c.optimality);
    let arrival = arrival(&c.forward);
    let back = c.backward.as_ref().map(backward);
    let mut verdicts = vec![arrival.verdict];
    if let Some(back) = &back {
        verdicts.push(back.verdict);
    }
    if by_class {
        // A large slack is no fault here, and the whole clouds do not show whether classes arrive at their own.
        verdicts.push(Verdict::Limited);
    } else {
        verdicts.push(cost.verdict);
    }
    if c.origin == Origin::Fitted
        || c.optimality.search_missed > MISSED
        || c.optimality.not_converged > MISSED
    {
        verdicts.push(Verdict::Limited);
    }
    c.verdict = [Verdict::Bad, Verdict::CannotSay, Verdict::Limited]
        .into_iter()
        .find(|v| verdicts.contains(v))
        .unwrap_or(Verdict::Good);
    let mut words = if by_class && cost.verdict == Verdict::Bad {
        format!(
            "{place}, how near this map is to the cheapest way cannot be said, since it was asked to send classes to classes"
        )
    } else {
        format!("{place}, {}", cost.words)
    };
    let joint = match (
        cost.verdict == Verdict::Bad,
        arrival.verdict == Verdict::Bad,
    ) {
        (false, true) | (true, false) => ", but ",
        (true, true) => "; and ",
        (false, false) => ", and ",
    };
    words.push_str(joint);
    words.push_str(&arrival.words);
    if let Some(back) = back.filter(|b| !b.words.is_empty()) {
        words.push_str("; ");
        words.push_str(&back.words);
    }
    if c.origin == Origin::Fitted {
        words.push_str("; on points the fit did not see it may be worse");
    }
    c.sentence = words;
}

fn optimality(o: &Optimality) -> Part {
    let part = |verdict, words: String| Part { words, verdict };
    let (Some(cost), Some(upper)) = (o.cost, o.slack_upper) else {
        return part(
            Verdict::Bad,
            "nothing can be shown of how near this map is to the cheapest way".into(),
        );
    };
    if o.unbounded > 0.0 {
        return part(
            Verdict::Bad,
            format!(
                "this map is not shown to be near optimal: at {} of its points the potential has no least value to compare its cost with",
                percent(o.unbounded)
            ),
        );
    }
    // E l(T - E T), recovered from the share.
    let of_spread = o.share_of_spread.unwrap_or(f64::INFINITY);
    let spread = if of_spread > 0.0 {
        upper / of_spread
    } else {
        f64::INFINITY
    };
    if cost <= 0.0 || (of_spread > 0.0 && cost < SAME * spread) {
        return part(
            if of_spread > NOTHING && upper > 0.0 {
                Verdict::Limited
            } else {
                Verdict::CannotSay
            },
            format!(
                "source and target are so alike that the share of the cost means nothing (this map costs {}, of which at most {} is avoidable, 95 % confidence)",
                short(cost),
                short(upper.min(cost.max(0.0)))
            ),
        );
    }
    let share = o.share_upper.unwrap_or(f64::INFINITY);
    let beyond = o.share_beyond_shift.unwrap_or(f64::INFINITY);
    let negligible = of_spread <= NOTHING;
    if share > FAR && !(negligible && share < 1.0) {
        return part(
            Verdict::Bad,
            if share >= 1.0 {
                "this map is not near optimal as far as can be shown: all of its cost may be avoidable (95 % confidence)".into()
            } else {
                format!(
                    "this map is not near optimal as far as can be shown: up to {} of its cost is avoidable (95 % confidence)",
                    percent(share)
                )
            },
        );
    }
    let mut words = format!(
        "moving the source by this map costs at most {} more than the cheapest way to reach the same points (95 % confidence)",
        percent(share / (1.0 - share))
    );
    let mut verdict = if share <= NEAR || negligible {
        Verdict::Good
    } else {
        Verdict::Limited
    };
    if !negligible && beyond > NEAR_BEYOND {
        // Most of the cost is a common shift, of which no map has a choice.
        if beyond > FAR_BEYOND {
            verdict = Verdict::Bad;
        } else if verdict == Verdict::Good {
            verdict = Verdict::Limited;
        }
        let rest = if beyond >= 1.0 {
            "all".into()
        } else {
            format!("up to {}", percent(beyond))
        };
        words.push_str(&format!(
            ", but of what it costs beyond shifting the whole cloud {rest} may be avoidable"
        ));
    }
    part(verdict, words)
}

/// Whether a mismatch is seen at all, and whether it is large.
fn seen(m: &Mismatch) -> Option<(f64, f64, bool, bool)> {
    let (e, floor) = (m.energy_distance?, m.noise_floor?);
    let scale = m.spread.unwrap_or(0.0);
    let there = e > floor && m.p_value.is_none_or(|p| p < 0.05);
    Some((e, floor, there, e > AWAY * scale))
}

fn arrival(m: &Mismatch) -> Part {
    if m.spread == Some(0.0) {
        return Part {
            words: "whether it reaches the target cannot be said, whose points are all the same"
                .into(),
            verdict: Verdict::CannotSay,
        };
    }
    let Some((e, floor, there, large)) = seen(m) else {
        return Part {
            words: "whether it reaches the target cannot be said".into(),
            verdict: Verdict::CannotSay,
        };
    };
    // The unbiased estimate may be below zero, the distance is not.
    let figures = format!(
        "energy distance {}; chance alone shows up to {}",
        short(e.max(0.0)),
        short(floor)
    );
    match (there, large) {
        (true, true) => Part {
            words: format!(
                "it does not reach the target: {}",
                figures.replace(';', ",")
            ),
            verdict: Verdict::Bad,
        },
        (true, false) => Part {
            words: format!(
                "where the points arrive is close to the target, but not the same ({figures})"
            ),
            verdict: Verdict::Limited,
        },
        (false, _) => {
            let weak = floor > AWAY * m.spread.unwrap_or(0.0);
            let mut words = format!("where they arrive cannot be told from the target ({figures})");
            if weak {
                words.push_str(", which so few points would not show");
            }
            Part {
                words,
                verdict: if weak {
                    Verdict::Limited
                } else {
                    Verdict::Good
                },
            }
        }
    }
}

/// Said only where it falls short.
fn backward(m: &Mismatch) -> Part {
    let mut part = arrival(m);
    part.words = match (part.verdict, seen(m)) {
        (Verdict::Bad, Some((e, floor, ..))) => format!(
            "the backward map does not reach the source: energy distance {}, chance alone shows up to {}",
            short(e),
            short(floor)
        ),
        _ => String::new(),
    };
    part
}

fn notes(c: &mut Certificate, effective: [f64; 2], by_class: bool) {
    let o = &c.optimality;
    let mut notes = Vec::new();
    if o.search_missed > 0.0 {
        notes.push(format!(
            "certificate: for {} of {} points searched again from thirty more starts a lower value was found; the slack is too small there by {} on average, \
             which its upper bound includes",
            percent(o.search_missed),
            o.searched_again,
            o.slack_missed.map_or("an unknown amount".into(), short)
        ));
    }
    if o.unbounded > 0.0 {
        notes.push(format!(
            "certificate: at {} of the points the potential has no least value; the slack and the dual value cannot be said",
            percent(o.unbounded)
        ));
    }
    if o.not_converged > o.unbounded + 1e-3 {
        notes.push(format!(
            "certificate: {} of the searches did not meet their tolerance; the slack may be too small there",
            percent(o.not_converged)
        ));
    }
    if o.slack_upper.is_none() && o.unbounded == 0.0 {
        notes.push(
            "certificate: too few different points for a confidence bound of the slack".into(),
        );
    }
    if by_class {
        notes.push(
            "certificate: the model was fitted class by class; a small slack says that it is near optimal within classes too, a large one is no fault".into(),
        );
    }
    if c.origin == Origin::Fitted {
        notes.push(
            "certificate: these are points the map was fitted to, so the figures are too good"
                .into(),
        );
    }
    if let Some(b) = c.bracket.as_ref().filter(|b| !b.all) {
        notes.push(format!(
            "certificate: the sample bracket is that of {} random points of each side{}",
            b.points,
            if effective[0] < c.points[0] as f64 - 0.5 || effective[1] < c.points[1] as f64 - 0.5 {
                ", drawn by weight"
            } else {
                ""
            }
        ));
    }
    c.notes.extend(notes);
}

/// A share in percent, two digits; what is less than a hundredth of a percent is said to be that much, as in "at most".
fn percent(share: f64) -> String {
    let p = 100.0 * share;
    if !p.is_finite() {
        "an unknown share".into()
    } else if p < 0.01 {
        "0.01 %".into()
    } else if p < 0.1 {
        format!("{p:.2} %")
    } else if p < 10.0 {
        format!("{p:.1} %")
    } else {
        format!("{p:.0} %")
    }
}

impl Certificate {
    /// One plain sentence to quote.
    #[must_use]
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// The figures, without sentence and notes.
    pub(crate) fn write_figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |x: Option<f64>| x.map_or("-".into(), short);
        let o = &self.optimality;
        writeln!(
            f,
            "slack {} (at most {} at 95 %; 95 % of the points below {}), {} of the cost {}",
            number(o.slack),
            number(o.slack_upper),
            number(o.slack_quantile_95),
            o.share.map_or("-".into(), |s| if s < 1e-4 {
                "below 0.01 %".into()
            } else {
                percent(s)
            }),
            number(o.cost)
        )?;
        write!(
            f,
            "dual value {} +- {} beside the cost {}",
            number(self.value.dual),
            number(self.value.standard_error),
            number(o.cost)
        )?;
        if let Some(b) = &self.bracket {
            write!(
                f,
                "; between {} + {} points the least cost is {} to {}",
                b.points,
                b.points,
                number(b.lower),
                number(b.upper)
            )?;
        }
        writeln!(f)?;
        if let Some(c) = &self.convexity {
            writeln!(
                f,
                "potential not convex at {} of {} points (least eigenvalue {})",
                c.share_not_convex.map_or("-".into(), |s| if s == 0.0 {
                    "none".into()
                } else {
                    percent(s)
                }),
                c.points,
                number(c.least_eigenvalue)
            )?;
        }
        writeln!(
            f,
            "(a small slack bounds the cost; how far the map itself is from the best one it bounds only where the potential is smooth)"
        )
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}.", self.sentence)?;
        self.write_figures(f)?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

//! The certificate in words: one sentence to quote, one word to test, and the figures in a few lines.
//!
//! The words about arrival follow the two-sample test, and, where it tells the two apart, a scale of three things: the noise floor, what the best linear map leaves, and the spread of the target together with the lower
//! bound of the distance (as a share of the target's variance, which means the same in every dimension):
//!
//! | words | when |
//! |---|---|
//! | "cannot be told from the target" | the test does not tell them apart, nor is the energy distance above its floor |
//! | "close to the target, but not the same" | up to 5 floors, up to 1 % of the variance, and less than half of the linear map's energy distance |
//! | "does not reach the target" | above 2 % of the spread, above 5 % of the variance, or no less than half of what a linear map leaves |
//! | "away from the target" | in between |

use super::arrival::{Arrival, ClassArrival};
use super::{Certificate, FEW, Optimality, Origin, Verdict, enough};
use crate::evaluate::short;
use crate::statistics::two_sample::LEVEL;
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
/// Above this share of the spread it is something, whatever share of a large cost it is: where curvatures are about one, it is an L2-UVP of as much.
const SOMETHING: f64 = 0.05;
/// A cost below this share of that spread is that of two clouds all but the same.
const SAME: f64 = 1e-3;
/// An energy distance above this share of the spread is away from the target; a noise floor above it cannot see that.
const AWAY: f64 = 0.02;
/// A lower bound of the distance above this share of the variance, in percent, is away from the target; up to the other it is close.
const AWAY_UVP: f64 = 5.0;
const CLOSE_UVP: f64 = 1.0;
/// Noise floors up to which two clouds are close.
const CLOSE_FLOORS: f64 = 5.0;
/// An energy distance of at least this share of what a linear map leaves is no better than that.
const NO_BETTER: f64 = 0.5;
/// More searches than this of which further ones find more: the figure is not firm.
const MISSED: f64 = 0.05;
/// A gap that is nothing beside the spread is good up to this share of the cost.
const SMALL: f64 = 0.1;
/// Points of a class from which on a map can be good by class.
const OF_A_CLASS: usize = 100;

/// What is said of one part: the words, and how it stands.
struct Part {
    words: String,
    verdict: Verdict,
}

fn place(c: &Certificate) -> String {
    let [n, m] = c.points;
    let of = match c.origin {
        Origin::HeldOut => "points held out of the fit",
        Origin::Choosing => "points held out of the fit, which also chose the model",
        Origin::Fitted => "points the map was fitted to",
        Origin::Given => "points",
    };
    format!("On {n} + {m} {of}")
}

/// For a map that is not finite somewhere: nothing else can be said.
pub(super) fn conclude_broken(c: &mut Certificate, broken: &str) {
    c.verdict = Verdict::Bad;
    c.sentence = format!("{}, {broken}: nothing else can be said of it", place(c));
}

/// Fills in verdict, sentence and notes.
pub(super) fn conclude(c: &mut Certificate, by_class: bool, d: usize) {
    notes(c, by_class);
    let [n, m] = c.points;
    let place = place(c);
    let fewest = c.effective_points[0].min(c.effective_points[1]);
    let weighed = if fewest < 0.9 * n.min(m) as f64 {
        format!(" (by their weights they count as {fewest:.0})")
    } else {
        String::new()
    };
    if fewest < FEW as f64 {
        c.sentence = format!(
            "{place}{weighed} nothing can be said of this map with confidence: below {FEW} points a side every bound is too wide to mean anything"
        );
        c.verdict = Verdict::CannotSay;
        return;
    }
    let cost = optimality(&c.optimality);
    let back_cost = c.backward_optimality.as_ref().map(optimality);
    let ahead = arrival(&c.forward, by_class, "the target");
    let back = c
        .backward
        .as_ref()
        .map(|b| arrival(b, by_class, "the source"));
    let mut verdicts = vec![ahead.verdict];
    verdicts.extend(back.as_ref().map(|b| b.verdict));
    let gaps = [Some(&cost), back_cost.as_ref()].into_iter().flatten();
    for gap in gaps {
        verdicts.push(match gap.verdict {
            // A large gap is no fault where classes go to classes.
            Verdict::Bad | Verdict::CannotSay if by_class => Verdict::Limited,
            v => v,
        });
    }
    let few = fewest < enough(1) as f64 || n.min(m) < enough(d);
    let loose = |o: &Optimality| o.search_missed_upper > MISSED || o.not_converged > MISSED;
    if c.origin == Origin::Fitted
        || few
        || loose(&c.optimality)
        || c.backward_optimality.as_ref().is_some_and(loose)
    {
        verdicts.push(Verdict::Limited);
    }
    // Where all points of a side are the same there is neither a spread nor a law to judge by.
    let same = [Some(&c.forward), c.backward.as_ref()]
        .into_iter()
        .flatten()
        .any(|a| a.spread == Some(0.0));
    let order = if same {
        [Verdict::CannotSay, Verdict::Bad, Verdict::Limited]
    } else {
        [Verdict::Bad, Verdict::CannotSay, Verdict::Limited]
    };
    c.verdict = order
        .into_iter()
        .find(|v| verdicts.contains(v))
        .unwrap_or(Verdict::Good);
    let mut words = if by_class && cost.verdict == Verdict::Bad {
        format!(
            "{place}{weighed}, how near this map is to the optimal one cannot be said, since it was asked to send classes to classes"
        )
    } else {
        format!("{place}{weighed}, {}", cost.words)
    };
    let joint = match (cost.verdict == Verdict::Bad, ahead.verdict == Verdict::Bad) {
        (false, true) | (true, false) => ", but ",
        (true, true) => "; and ",
        (false, false) => ", and ",
    };
    words.push_str(joint);
    words.push_str(&ahead.words);
    if few && ahead.verdict != Verdict::Bad {
        words.push_str(&format!(
            "; with fewer than {} points a side a part of it could be missing or misshapen unseen",
            enough(d)
        ));
    }
    if let Some(back) =
        back.filter(|b| b.verdict == Verdict::Bad || differs(c.backward.as_ref(), by_class))
    {
        words.push_str("; backward, ");
        words.push_str(&back.words);
    }
    let short_of = |g: &Part| matches!(g.verdict, Verdict::Bad | Verdict::Limited);
    if let Some(gap) = back_cost.filter(|g| !by_class && !same && short_of(g)) {
        words.push_str("; of the backward map: ");
        words.push_str(&gap.words);
    }
    let open = [Some(&c.optimality), c.backward_optimality.as_ref()]
        .into_iter()
        .flatten()
        .map(|o| o.not_converged)
        .fold(0.0, f64::max);
    if open > MISSED {
        words.push_str(&format!(
            "; {} of the inner minimisations did not converge",
            percent(open)
        ));
    }
    if c.origin == Origin::Fitted {
        words.push_str("; on points the fit did not see it may be worse");
    }
    c.sentence = words;
}

fn differs(a: Option<&Arrival>, by_class: bool) -> bool {
    a.is_some_and(|a| match &a.by_class {
        Some(classes) if by_class => classes.differ(),
        _ => a.differ(),
    })
}

fn optimality(o: &Optimality) -> Part {
    let part = |verdict, words: String| Part { words, verdict };
    let (Some(cost), Some(upper)) = (o.cost, o.slack_upper) else {
        return part(
            Verdict::Bad,
            "nothing can be shown of how near this map is to the optimal one".into(),
        );
    };
    // E l(T - E T), recovered from the share.
    let of_spread = o.share_of_spread.unwrap_or(f64::INFINITY);
    let spread = if of_spread > 0.0 {
        upper / of_spread
    } else {
        f64::INFINITY
    };
    // Also where all that so many points allow to be avoidable is nothing beside the spread, and yet as much as the cost.
    let tiny = of_spread <= NOTHING && o.share_upper.is_some_and(|s| s >= 1.0);
    if cost <= 0.0 || (of_spread > 0.0 && cost < SAME * spread) || tiny {
        return part(
            if (of_spread > NOTHING && upper > 0.0) || tiny {
                Verdict::Limited
            } else {
                Verdict::CannotSay
            },
            format!(
                "points and images are so alike that the share of the cost means nothing (this map costs {}, of which at most {} is avoidable, 95 % confidence)",
                short(cost),
                short(upper.min(cost.max(0.0)))
            ),
        );
    }
    let share = o.share_upper.unwrap_or(f64::INFINITY);
    let beyond = o.share_beyond_shift.unwrap_or(f64::INFINITY);
    let negligible = of_spread <= NOTHING;
    if share > FAR && !(negligible && share < 1.0) {
        let least = o
            .excess_lower
            .map(|e| format!("; at least {} is", percent_below((e / cost).min(1.0))))
            .unwrap_or_default();
        return part(
            Verdict::Bad,
            if share >= 1.0 {
                format!(
                    "this map is not near optimal as far as can be shown: all of its cost may be avoidable (95 % confidence{least})"
                )
            } else {
                format!(
                    "this map is not near optimal as far as can be shown: up to {} of its cost is avoidable (95 % confidence{least})",
                    percent(share)
                )
            },
        );
    }
    let least = match o.excess_lower {
        Some(e) if e < cost => format!(", at least {} more", percent_below(e / (cost - e))),
        _ => String::new(),
    };
    let searched = if o.search_missed_upper > 0.0 {
        format!(
            "; for {} of {} points searched again further searches found more, so for at most {} of all would they",
            if o.search_missed == 0.0 {
                "none".into()
            } else {
                format!("{:.0}", o.search_missed * o.searched_again as f64)
            },
            o.searched_again,
            percent(o.search_missed_upper)
        )
    } else {
        String::new()
    };
    let mut words = format!(
        "this map costs at most {} more than the optimal map to the points it reaches{least} (95 % confidence{searched})",
        percent(share / (1.0 - share))
    );
    let mut verdict = if (share <= NEAR && of_spread <= SOMETHING) || (negligible && share <= SMALL)
    {
        Verdict::Good
    } else {
        Verdict::Limited
    };
    // Points that are all the same have no spread but rounding.
    if of_spread > SOMETHING && of_spread < 1e3 && share <= NEAR {
        words.push_str(&format!(
            ", which is up to {} of the spread of these points",
            percent(of_spread)
        ));
    }
    // Of a map that is all but a shift there is nothing beyond it but rounding.
    let seen = o.seen_of_spread.is_none_or(|s| s > NOTHING);
    if seen && beyond > NEAR_BEYOND {
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

/// What an energy distance that is told from nothing is beside the floor, the linear map and the spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Size {
    Close,
    Away,
    NotThere,
}

fn size(a: &Arrival) -> Size {
    let e = a.energy_distance.unwrap_or(f64::INFINITY);
    let floor = a.noise_floor.unwrap_or(0.0);
    let spread = a.spread.unwrap_or(0.0);
    // The bound that no search takes part in.
    let uvp = a.uvp_marginal.unwrap_or(0.0);
    // A linear map that is at the floor itself leaves nothing to be better than.
    let no_better = a
        .linear_energy_distance
        .is_some_and(|l| l > CLOSE_FLOORS * floor && e > floor && e >= NO_BETTER * l);
    if e > AWAY * spread || uvp > AWAY_UVP || no_better {
        Size::NotThere
    } else if e <= CLOSE_FLOORS * floor && uvp <= CLOSE_UVP {
        Size::Close
    } else {
        Size::Away
    }
}

/// Words and verdict of one direction; `to` is what is to be reached.
fn arrival(a: &Arrival, by_class: bool, to: &str) -> Part {
    let part = |verdict, words: String| Part { words, verdict };
    if a.spread == Some(0.0) {
        return part(
            Verdict::CannotSay,
            format!("whether it reaches {to} cannot be said, whose points are all the same"),
        );
    }
    let (Some(e), Some(floor), Some(p)) = (a.energy_distance, a.noise_floor, a.p_value) else {
        return part(
            Verdict::CannotSay,
            format!("whether it reaches {to} cannot be said"),
        );
    };
    if by_class {
        return match &a.by_class {
            Some(classes) => arrival_by_class(a, classes, to),
            None => part(
                if a.differ() && size(a) == Size::NotThere {
                    Verdict::Bad
                } else {
                    Verdict::Limited
                },
                format!(
                    "whether classes arrive at their own cannot be said, since the points have none; all together {}",
                    whole(a, e, floor, p, to)
                ),
            ),
        };
    }
    let weak = floor > AWAY * a.spread.unwrap_or(0.0);
    let mut words = whole(a, e, floor, p, to);
    let verdict = if !a.differ() {
        if weak {
            words.push_str(", which so few points would not show");
            Verdict::Limited
        } else {
            Verdict::Good
        }
    } else if size(a) == Size::NotThere {
        Verdict::Bad
    } else {
        Verdict::Limited
    };
    part(verdict, words)
}

/// The words about all points together.
fn whole(a: &Arrival, e: f64, floor: f64, p: f64, to: &str) -> String {
    let [n, m] = a.points;
    // The unbiased estimate may be below zero, the distance is not.
    let figures = format!(
        "energy distance {}, noise floor {}, p = {} with {n} + {m} points",
        short(e.max(0.0)),
        short(floor),
        short(p)
    );
    if !a.differ() {
        return format!("where they arrive cannot be told from {to} ({figures})");
    }
    let shown = match a.evidence.first() {
        Some(v) if v.part != "energy distance" => format!("; {} shows it most", v.place),
        _ => String::new(),
    };
    let least = a.uvp_lower.map_or(String::new(), |u| {
        format!(
            "; in the mean square they are at least {} apart, {} of the variance",
            a.w2_lower.map_or("-".into(), short),
            percent_below(u / 100.0)
        )
    });
    match size(a) {
        Size::Close => {
            format!(
                "where they arrive is close to {to}, but not the same ({figures}{shown}{least})"
            )
        }
        Size::Away => format!("where they arrive is away from {to} ({figures}{shown}{least})"),
        Size::NotThere => format!("it does not reach {to} ({figures}{shown}{least})"),
    }
}

fn arrival_by_class(a: &Arrival, classes: &super::ArrivalByClass, to: &str) -> Part {
    let part = |verdict, words: String| Part { words, verdict };
    let (Some(p), Some(worst)) = (classes.p_value, classes.worst()) else {
        return part(
            Verdict::CannotSay,
            "whether classes arrive at their own cannot be said: no class has enough points".into(),
        );
    };
    let count = classes.classes.len();
    let ClassArrival { class, test } = worst;
    let [n, m] = test.points;
    let figures = format!(
        "worst of {count} classes {class:?}: energy distance {}, noise floor {}, p = {} with {n} + {m} points, {} for all classes",
        test.energy_distance
            .map_or("-".into(), |e| short(e.max(0.0))),
        test.noise_floor.map_or("-".into(), short),
        test.p_value.map_or("-".into(), short),
        short(p)
    );
    if p > LEVEL {
        let mut words =
            format!("where they arrive cannot be told from {to}, class by class ({figures})");
        let mut verdict = Verdict::Good;
        if !classes.not_tested.is_empty() {
            words.push_str(&format!(
                "; nothing can be said of {}",
                names(&classes.not_tested)
            ));
            verdict = Verdict::Limited;
        }
        let fewest = classes
            .classes
            .iter()
            .map(|c| c.test.points[0].min(c.test.points[1]))
            .min();
        if fewest.is_some_and(|n| n < OF_A_CLASS) {
            words.push_str(&format!(
                "; classes with fewer than {OF_A_CLASS} points would show little"
            ));
            verdict = Verdict::Limited;
        }
        if classes.others.iter().any(|n| *n > 0) {
            words.push_str(&format!(
                "; nothing can be said of {} + {} points without a class that was tested",
                classes.others[0], classes.others[1]
            ));
            verdict = Verdict::Limited;
        }
        return part(verdict, words);
    }
    // A class is its own target: its energy distance beside its floor and the spread of all.
    let e = test.energy_distance.unwrap_or(f64::INFINITY);
    let floor = test.noise_floor.unwrap_or(0.0);
    if e > AWAY * a.spread.unwrap_or(0.0) {
        part(
            Verdict::Bad,
            format!("it does not carry every class to its own ({figures})"),
        )
    } else if e <= CLOSE_FLOORS * floor {
        part(
            Verdict::Limited,
            format!("where the classes arrive is close to {to}, but not the same ({figures})"),
        )
    } else {
        part(
            Verdict::Limited,
            format!("where some classes arrive is away from {to} ({figures})"),
        )
    }
}

fn names(all: &[String]) -> String {
    let some: Vec<String> = all.iter().take(3).map(|n| format!("class {n:?}")).collect();
    let rest = all.len() - some.len();
    if rest > 0 {
        format!("{} and {rest} more", some.join(", "))
    } else {
        some.join(" and ")
    }
}

fn notes(c: &mut Certificate, by_class: bool) {
    let mut notes = Vec::new();
    let gaps = [
        ("", Some(&c.optimality)),
        ("backward: ", c.backward_optimality.as_ref()),
    ];
    for (which, o) in gaps.into_iter().filter_map(|(w, o)| Some((w, o?))) {
        if o.search_missed > 0.0 {
            notes.push(format!(
                "certificate: {which}for {} of {} points searched again a lower value was found; the slack is too small there by {} on average, \
                 which its upper bound includes for the points searched again only",
                percent(o.search_missed),
                o.searched_again,
                o.slack_missed.map_or("an unknown amount".into(), short)
            ));
        }
        if o.on_surface > 0.01 {
            notes.push(format!(
                "certificate: {which}for {} of the points the least value lies on the surface of the ball that holds the source: outside of its points the potential falls off",
                percent(o.on_surface)
            ));
        }
        if o.not_converged > 1e-3 {
            notes.push(format!(
                "certificate: {which}{} of the inner minimisations did not meet their tolerance; the slack may be too small there",
                percent(o.not_converged)
            ));
        }
        if o.slack_upper.is_none() && o.slack.is_some() {
            notes.push(format!(
                "certificate: {which}too few different points for a confidence bound of the slack"
            ));
        }
    }
    if by_class {
        notes.push(
            "certificate: the model was fitted class by class; a small optimality gap says that it is near optimal within classes too, a large one is no fault".into(),
        );
    }
    let arrivals = [Some(&c.forward), c.backward.as_ref()];
    let mut lost: Vec<String> = arrivals
        .into_iter()
        .flatten()
        .filter_map(|a| a.by_class.as_ref())
        .flat_map(|b| b.not_tested.clone())
        .collect();
    lost.sort();
    lost.dedup();
    if !lost.is_empty() {
        notes.push(format!(
            "certificate: {} cannot be judged: fewer than two points on a side",
            names(&lost)
        ));
    }
    if c.origin == Origin::Fitted {
        notes.push(
            "certificate: these are points the map was fitted to, so the figures are too good"
                .into(),
        );
    }
    if let Some(b) = c.bracket.as_ref().filter(|b| !b.all) {
        let [n, m] = c.points;
        let effective = c.effective_points;
        notes.push(format!(
            "certificate: the sample bracket is that of {} random points of each side{}",
            b.points,
            if effective[0] < n as f64 - 0.5 || effective[1] < m as f64 - 0.5 {
                ", drawn by weight"
            } else {
                ""
            }
        ));
    }
    c.notes.extend(notes);
}

/// A share in percent for "at most": two digits, rounded up.
fn percent(share: f64) -> String {
    rounded(100.0 * share, f64::ceil)
}

/// The same for "at least": rounded down.
fn percent_below(share: f64) -> String {
    rounded(100.0 * share, f64::floor)
}

fn rounded(p: f64, way: fn(f64) -> f64) -> String {
    if !p.is_finite() {
        return "an unknown share".into();
    }
    let places = if p < 0.1 {
        2
    } else if p < 10.0 {
        1
    } else {
        0
    };
    let unit = 10f64.powi(places);
    // A hair, so that a number of so many digits stays what it is.
    let hair = if way(0.5) > 0.5 { -1e-9 } else { 1e-9 };
    let p = way(p * unit + hair).max(0.0) / unit;
    if p == 0.0 {
        return if way(0.5) > 0.5 {
            "0.01 %".into()
        } else {
            "0 %".into()
        };
    }
    format!("{p:.0$} %", places as usize)
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
        let gaps = [
            ("optimality gap", Some(&self.optimality)),
            ("backward", self.backward_optimality.as_ref()),
        ];
        for (title, o) in gaps.into_iter().filter_map(|(t, o)| Some((t, o?))) {
            writeln!(
                f,
                "{title}: slack {} (at most {} at 95 %; 95 % of the points below {}), {} of the cost {}; gap at least {}",
                number(o.slack),
                number(o.slack_upper),
                number(o.slack_quantile_95),
                o.share.map_or("-".into(), |s| if s < 1e-4 {
                    "below 0.01 %".into()
                } else {
                    percent(s)
                }),
                number(o.cost),
                o.excess_lower.map_or("0".into(), short)
            )?;
        }
        write!(
            f,
            "dual value {} +- {} beside the cost {}",
            number(self.value.dual),
            number(self.value.standard_error),
            number(self.optimality.cost)
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
                "potential not convex at {} of {} points (eigenvalues of I + g'' from {} to {})",
                c.share_not_convex.map_or("-".into(), |s| if s == 0.0 {
                    "none".into()
                } else {
                    percent(s)
                }),
                c.points,
                number(c.least_eigenvalue),
                number(c.largest_eigenvalue)
            )?;
        }
        if let Some(e) = &self.map_error {
            match e.uvp_upper {
                Some(u) => writeln!(
                    f,
                    "map error: L2-UVP to the optimal map to the same points at most {} %, if the potential's curvature along these segments stays below {}",
                    short(u),
                    short(e.curvature)
                )?,
                None => writeln!(
                    f,
                    "map error: the bound of the L2-UVP is above 100 % (curvature up to {}), so it says nothing",
                    short(e.curvature)
                )?,
            }
        }
        let reached = [
            (
                "W2 from the points reached to the target",
                Some(&self.forward),
            ),
            ("backward to the source", self.backward.as_ref()),
        ];
        let words: Vec<String> = reached
            .into_iter()
            .filter_map(|(t, a)| {
                let a = a?;
                Some(match (a.w2_lower, a.uvp_lower) {
                    (Some(w), Some(u)) => format!(
                        "{t} at least {} ({} of the variance)",
                        short(w),
                        percent_below(u / 100.0)
                    ),
                    _ => format!("{t}: no bound above 0"),
                })
            })
            .collect();
        writeln!(f, "{}", words.join("; "))?;
        if let Some(p) = &self.path {
            let errors: Vec<String> = p
                .times
                .iter()
                .zip(&p.return_error)
                .map(|(t, e)| format!("{} at t = {t}", number(*e)))
                .collect();
            writeln!(
                f,
                "the way back along the characteristics misses the start by, in % of the variance: {}",
                errors.join(", ")
            )?;
        }
        Ok(())
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

//! `bench certificate`: is what the certificate says true, how tight is it, and which wrong maps does it call good?
//!
//! ```text
//! coverage    share of the cases in which a claim holds, beside its level of 95 %, with the interval of Clopper and Pearson (1934)
//! tightness   bound / truth, where the truth is above zero
//! ```
//!
//! Cases with their truth are those of `charflow_lab::calibration`; [`bounds_of`] is all that reads a certificate's figures. Each worker takes the next recipe and computes with one thread, so that results
//! do not depend on their number and seconds are those of one core.

use super::record::{Record, digits, markdown};
use super::{Bench, Effort, Method};
use crate::failure::{Failure, Result};
use crate::interrupt::{self, Guard};
use crate::terminal::{duration, tell};
use charflow::certificate::{Certificate, Options, Origin, Verdict, certify};
use charflow::solver::Config;
use charflow_lab::LabError;
use charflow_lab::calibration::{Case, Scale as Size, Truth, suite};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The level of all bounds.
const LEVEL: f64 = 0.95;
/// From so many points a side on a right map should be called good.
const ENOUGH: usize = 1000;

/// How many cases.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// Some hundred small cases
    Smoke,
    /// More than a thousand
    Full,
}

/// On which side of the claim the truth is said to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    /// The truth is at most what is claimed.
    AtMost,
    /// The truth is at least that.
    AtLeast,
}

/// A bound that the certificate states, with the truth.
#[derive(Clone, Debug, Serialize)]
struct Claim {
    name: &'static str,
    claimed: f64,
    truth: f64,
    side: Side,
    holds: bool,
}

/// Every bound of a certificate whose truth is known: the one place that reads its figures.
fn bounds_of(c: &Certificate, truth: &Truth) -> Vec<Claim> {
    use Side::{AtLeast, AtMost};
    let o = &c.optimality;
    let share = truth.excess.map(|e| {
        if truth.cost > 0.0 {
            e / truth.cost
        } else {
            0.0
        }
    });
    // Rounding: a claim of zero and a truth of 1e-17 agree.
    let near = 1e-9 * (truth.cost.abs() + 1e-3);
    [
        ("excess, slack_upper", o.slack_upper, truth.excess, AtMost),
        ("share_upper", o.share_upper, share, AtMost),
        ("excess_lower", o.excess_lower, truth.excess, AtLeast),
        ("value, lower", c.value.lower, truth.optimal_cost, AtLeast),
        (
            "map_error, uvp_upper",
            c.map_error.as_ref().and_then(|e| e.uvp_upper),
            truth.off_percent,
            AtMost,
        ),
        // Where only an interval is known: false if above its upper end.
        (
            "forward, w2_lower",
            c.forward.w2_lower,
            truth.w2.map(|w| w[1]),
            AtLeast,
        ),
    ]
    .into_iter()
    .filter_map(|(name, claimed, truth, side)| {
        // A cost with a limit makes some truths infinite: they say nothing.
        let (claimed, truth) = (claimed?, truth.filter(|t| t.is_finite())?);
        let holds = match side {
            AtMost => truth <= claimed + near,
            AtLeast => truth >= claimed - near,
        };
        Some(Claim {
            name,
            claimed,
            truth,
            side,
            holds,
        })
    })
    .collect()
}

/// One case and what was said of it.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    recipe: String,
    family: String,
    map: String,
    about: String,
    /// With `--seed` and the recipe it makes the case again.
    points_seed: u64,
    dim: usize,
    points: usize,
    /// Why the map counts as wrong.
    wrong: Vec<String>,
    right: bool,
    uvp_percent: Option<f64>,
    excess: Option<f64>,
    cost: f64,
    w2: Option<[f64; 2]>,
    verdict: Verdict,
    sentence: String,
    claims: Vec<Claim>,
    seconds: f64,
}

impl Run {
    fn fooled(&self) -> bool {
        !self.wrong.is_empty() && self.verdict == Verdict::Good
    }

    fn describe(&self) -> String {
        format!(
            "{}: {}, {}, n = {}, seed {} ({})",
            self.recipe,
            self.map,
            self.about,
            self.points,
            self.points_seed,
            self.wrong.join(", ")
        )
    }
}

fn judged(recipe: &str, case: &Case, seed: u64) -> Result<Run> {
    let begun = Instant::now();
    let options = Options {
        seed,
        origin: Origin::HeldOut,
        by_class: case.by_class,
    };
    let backward = case
        .backward
        .as_deref()
        .map(|b| b as &dyn charflow::map::BackwardMap);
    let c = certify(
        case.forward.as_ref(),
        backward,
        &case.potential,
        &case.source,
        &case.target,
        &options,
    )?;
    let t = &case.truth;
    Ok(Run {
        recipe: recipe.into(),
        family: case.family.clone(),
        map: case.kind.clone(),
        about: case.about.clone(),
        points_seed: case.seed,
        dim: case.source.dim(),
        points: case.source.len(),
        wrong: t.wrong.clone(),
        right: t.right,
        uvp_percent: t.uvp,
        excess: t.excess,
        cost: t.cost,
        w2: t.w2,
        verdict: c.verdict,
        claims: bounds_of(&c, t),
        sentence: c.sentence,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// Settings of a fit of a second or a few: a small network, small batches, whatever `--set` says.
fn small(bench: &Bench, n: usize, d: usize) -> Result<Config> {
    let mut config = super::settings(Method::NcfDual, Effort::Quick, n, n, d)?;
    config.network.hidden = vec![32, 32];
    config.batch.source = 256;
    config.batch.target = 256;
    config.batch.collocation = 64;
    config.held_out.most = 300;
    bench.overlaid(config)
}

/// Runs the benchmark.
///
/// # Errors
/// See [`Failure`].
pub fn run(bench: &Bench) -> Result<()> {
    let (size, name) = match bench.scale.unwrap_or(Scale::Full) {
        Scale::Smoke => (Size::Smoke, "smoke"),
        Scale::Full => (Size::Full, "full"),
    };
    if let Some(folder) = bench.data.as_ref().filter(|f| !f.is_dir()) {
        return Err(Failure::input(format!(
            "--data {}: there is no such folder.",
            folder.display()
        )));
    }
    let networks = match bench.data_folder() {
        Some(folder) => super::w2::find(&folder)?,
        None => Vec::new(),
    };
    let base = bench.clone();
    let settings = move |n: usize, d: usize| {
        // Looked at before: nothing here is refused that was not then.
        small(&base, n, d).unwrap_or_default()
    };
    let mut recipes = suite(size, bench.seed, networks, Arc::new(settings));
    if let Some(text) = &bench.only {
        let names: Vec<String> = recipes.iter().map(|r| r.name.clone()).collect();
        recipes.retain(|r| r.name.contains(text));
        if recipes.is_empty() {
            return Err(Failure::input(format!(
                "--only {text}: no problem has this in its name; there are {}.",
                names.join("; ")
            )));
        }
    }
    if let Some(most) = bench.recipes.filter(|most| *most < recipes.len()) {
        // Evenly from all of them.
        let all = recipes.len();
        let mut at = 0;
        recipes.retain(|_| {
            at += 1;
            at * most / all > (at - 1) * most / all
        });
    }
    let out = bench.folder("certificate")?;
    let mut record = Record::new(
        "certificate",
        vec![
            format!("Cases of scale {name}; no map was fitted to the points it is judged on. A map is wrong by the five rules of charflow_lab::calibration (UVP above 5 %, a tenth of the cost avoidable, a class, a twentieth of the mass or a direction off), right if it is the optimal one with its potential."),
            "Coverage is over cases whose truth is above zero; where it is zero a bound that is never negative cannot fail. Tightness: bound over truth, median and 95 % quantile.".into(),
            "Fits are brief and small on purpose. Seconds are those of one core.".into(),
        ],
    );
    let guard = Guard::new();
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Vec<Run>)>> = Mutex::new(Vec::new());
    let failed: Mutex<Option<Failure>> = Mutex::new(None);
    let workers = rayon::current_num_threads().min(recipes.len());
    let work = || -> Result<()> {
        loop {
            let k = next.fetch_add(1, Ordering::SeqCst);
            let Some(recipe) = recipes.get(k).filter(|_| !interrupt::asked()) else {
                return Ok(());
            };
            let told = |e: LabError| Failure::input(format!("{}: {e}", recipe.name));
            let began = Instant::now();
            let cases = recipe.cases().map_err(told)?;
            let made = began.elapsed().as_secs_f64();
            let runs = cases
                .iter()
                .map(|case| judged(&recipe.name, case, bench.seed))
                .collect::<Result<Vec<Run>>>()?;
            tell(&format!(
                "{}: {} cases, made in {}, judged in {}",
                recipe.name,
                runs.len(),
                duration(made),
                duration(runs.iter().map(|r| r.seconds).sum())
            ));
            if let Ok(mut done) = done.lock() {
                done.push((k, runs));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                // One thread a worker: no recipe waits within another, and times are its own.
                let ended = match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
                    Ok(pool) => pool.install(work),
                    Err(e) => Err(Failure::input(format!("no thread can be started: {e}"))),
                };
                if let (Err(e), Ok(mut failed)) = (ended, failed.lock()) {
                    // The others end with what they are at.
                    next.store(usize::MAX / 2, Ordering::SeqCst);
                    failed.get_or_insert(e);
                }
            });
        }
    });
    drop(guard);
    if let Some(e) = failed.into_inner().ok().flatten() {
        return Err(e);
    }
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(k, _)| *k);
    record.interrupted = done.len() < recipes.len();
    record.runs = done.into_iter().flat_map(|(_, runs)| runs).collect();
    record.about.push(format!(
        "{} cases in {}.",
        record.runs.len(),
        duration(begun.elapsed().as_secs_f64())
    ));
    let text = table(&record.runs);
    record.save(&out, &text)?;
    record.conclude(bench.json, &text, "record.json, table.md", &out)
}

/// All tables.
fn table(runs: &[Run]) -> String {
    [
        coverage(runs),
        by_family(runs),
        by_map(runs),
        right(runs),
        fooled(runs),
    ]
    .join("\n")
}

fn claims<'a>(runs: &'a [Run], name: &'a str) -> impl Iterator<Item = &'a Claim> + Clone {
    runs.iter()
        .flat_map(|r| &r.claims)
        .filter(move |c| c.name == name)
}

/// The claims in the order of [`bounds_of`].
fn names(runs: &[Run]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for c in runs.iter().flat_map(|r| &r.claims) {
        if !names.contains(&c.name) {
            names.push(c.name);
        }
    }
    names
}

fn percent(k: usize, n: usize) -> String {
    if n == 0 {
        "-".into()
    } else {
        format!("{:.1}", 100.0 * k as f64 / n as f64)
    }
}

/// How often claims with a positive truth hold, of how many.
fn held<'a>(claims: impl Iterator<Item = &'a Claim>) -> (usize, usize) {
    claims
        .filter(|c| c.truth > 1e-12)
        .fold((0, 0), |(k, n), c| (k + usize::from(c.holds), n + 1))
}

fn coverage(runs: &[Run]) -> String {
    let mut rows = Vec::new();
    for name in names(runs) {
        let all = claims(runs, name);
        let (k, n) = held(all.clone());
        let [low, high] = clopper_pearson(k, n);
        let mut tight: Vec<f64> = all
            .clone()
            .filter(|c| c.truth > 1e-12)
            .map(|c| c.claimed / c.truth)
            .collect();
        tight.sort_by(f64::total_cmp);
        let at = |q: f64| digits(tight.get((q * tight.len() as f64) as usize).copied());
        let broken = all.clone().filter(|c| !c.holds).count();
        rows.push(vec![
            name.to_string(),
            all.clone().count().to_string(),
            n.to_string(),
            percent(k, n),
            format!("{:.1} to {:.1}", 100.0 * low, 100.0 * high),
            (if high < LEVEL { "below" } else { "yes" }).to_string(),
            broken.to_string(),
            at(0.5),
            at(0.95),
        ]);
    }
    let head = [
        "bound (95 %)",
        "cases",
        "truth > 0",
        "coverage %",
        "interval (95 %)",
        "nominal",
        "broken",
        "bound/truth median",
        "95 %",
    ];
    markdown(&head, &rows)
}

fn by_family(runs: &[Run]) -> String {
    let names = names(runs);
    let mut head = vec!["family", "cases"];
    head.extend(&names);
    head.extend(["wrong", "called good", "seconds a case"]);
    let mut groups: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    for r in runs {
        groups.entry(&r.family).or_default().push(r);
    }
    let mut rows = Vec::new();
    for (family, runs) in groups {
        let mut row = vec![family.to_string(), runs.len().to_string()];
        for name in &names {
            let (k, n) = held(
                runs.iter()
                    .flat_map(|r| &r.claims)
                    .filter(|c| c.name == *name),
            );
            row.push(if n == 0 {
                "-".into()
            } else {
                format!("{} % of {n}", percent(k, n))
            });
        }
        row.push(
            runs.iter()
                .filter(|r| !r.wrong.is_empty())
                .count()
                .to_string(),
        );
        row.push(runs.iter().filter(|r| r.fooled()).count().to_string());
        row.push(digits(Some(
            runs.iter().map(|r| r.seconds).sum::<f64>() / runs.len() as f64,
        )));
        rows.push(row);
    }
    markdown(&head, &rows)
}

fn by_map(runs: &[Run]) -> String {
    let mut groups: BTreeMap<&str, [usize; 6]> = BTreeMap::new();
    for r in runs {
        let g = groups.entry(&r.map).or_default();
        g[0] += 1;
        g[1] += usize::from(!r.wrong.is_empty());
        g[2] += usize::from(r.fooled());
        if !r.wrong.is_empty() {
            match r.verdict {
                Verdict::Good => {}
                Verdict::Limited => g[3] += 1,
                Verdict::Bad => g[4] += 1,
                Verdict::CannotSay => g[5] += 1,
            }
        }
    }
    let rows: Vec<Vec<String>> = groups
        .into_iter()
        .map(|(map, g)| {
            std::iter::once(map.to_string())
                .chain(g.iter().map(usize::to_string))
                .collect()
        })
        .collect();
    markdown(
        &[
            "map",
            "cases",
            "wrong",
            "wrong and good",
            "limited",
            "bad",
            "cannot say",
        ],
        &rows,
    )
}

fn right(runs: &[Run]) -> String {
    let mut rows = Vec::new();
    for by_class in [false, true] {
        let some = runs.iter().filter(|r| {
            r.right && r.points >= ENOUGH && (r.family.ends_with("classes") == by_class)
        });
        let (mut n, mut good, mut bad) = (0, 0, 0);
        for r in some {
            n += 1;
            good += usize::from(r.verdict == Verdict::Good);
            bad += usize::from(r.verdict == Verdict::Bad);
        }
        let what = if by_class { "by class" } else { "of the whole" };
        rows.push(vec![
            what.to_string(),
            n.to_string(),
            percent(n - good, n),
            percent(bad, n),
        ]);
    }
    markdown(
        &[
            "right maps, 1000 points or more",
            "cases",
            "not called good %",
            "called bad %",
        ],
        &rows,
    )
}

fn fooled(runs: &[Run]) -> String {
    let wrong = runs.iter().filter(|r| !r.wrong.is_empty()).count();
    let some: Vec<&Run> = runs.iter().filter(|r| r.fooled()).collect();
    let mut text = format!("{} of {wrong} wrong maps were called good.\n", some.len());
    for r in some {
        text.push_str(&format!("- {}\n", r.describe()));
    }
    text
}

/// The interval of Clopper and Pearson for a probability, from `k` of `n`: those `p` under which neither `k` or more nor `k` or fewer is rarer than 2.5 %.
fn clopper_pearson(k: usize, n: usize) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    // P(X <= j) at p, from logarithms of the terms.
    let at_most = |j: usize, p: f64| -> f64 {
        let mut term = n as f64 * (1.0 - p).ln();
        let mut sum = term.exp();
        for i in 1..=j {
            term += ((n - i + 1) as f64 / i as f64).ln() + p.ln() - (1.0 - p).ln();
            sum += term.exp();
        }
        sum
    };
    // Decreasing in p.
    let solve = |j: usize, wanted: f64| {
        let (mut low, mut high) = (1e-12, 1.0 - 1e-12);
        for _ in 0..100 {
            let p = 0.5 * (low + high);
            if at_most(j, p) > wanted {
                low = p;
            } else {
                high = p;
            }
        }
        0.5 * (low + high)
    };
    [
        if k == 0 { 0.0 } else { solve(k - 1, 0.975) },
        if k == n { 1.0 } else { solve(k, 0.025) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R: binom.test(k, n)$conf.int.
    #[test]
    fn intervals_are_those_of_the_tables() {
        for (k, n, low, high) in [
            (95, 100, 0.887_165, 0.983_569),
            (0, 10, 0.0, 0.308_497),
            (10, 10, 0.691_503, 1.0),
            (5, 10, 0.187_086, 0.812_914),
        ] {
            let [a, b] = clopper_pearson(k, n);
            assert!(
                (a - low).abs() < 1e-5 && (b - high).abs() < 1e-5,
                "{k} {n}: {a} {b}"
            );
        }
        assert!(clopper_pearson(950, 1000)[1] > 0.95);
    }
}

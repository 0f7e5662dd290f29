//! `bench costs`: problems whose optimal map is known for a convex cost `l(y - x)`, one family after another (see [`charflow_lab::known_costs`]).
//!
//! Beside the fits stands one with a wrong cost: from the same samples, by ncf+dual at effort quick. Its maps are judged against the truth of the right cost, and what
//! it transports is charged at the right cost.

use super::known::{self, Asked, Entry, Known, Pairs, Plan, Run};
use super::record::{digits, markdown};
use super::{Bench, Effort, Method, Problem};
use crate::failure::{Failure, Result};
use crate::terminal::duration;
use charflow::cost::{self, Cost};
use charflow::solver::Config;
use charflow_lab::figures::{DotFigure, DotRow};
use charflow_lab::known_costs::{Family, KnownTransport};
use charflow_lab::metrics;
use std::path::Path;

/// Training points of each side. The cost between two samples is off from the true one by `sqrt((Var f(x) + Var f^c(y)) / n)`, whatever the method; to ask for 1 % of the cost this has
/// to be well below it.
const SAMPLES: usize = 1 << 18;
/// Training points of each side on the line, where that error is largest: 1.7 % of the quadratic cost and 2.8 % of power:3 from 20,000 points (sixty pairs of samples, sorted), a
/// fifth of it from these.
const SAMPLES_LINE: usize = 1 << 19;
/// Seconds of each fit.
const SECONDS: f64 = 300.0;
/// Points of each side behind the variances.
const VARIANCES_FROM: usize = 1 << 17;
/// Asked for, L2-UVP in percent: on the line, elsewhere.
const ASKED: [f64; 2] = [1.0, 2.0];
/// Asked for: the transport cost, in percent of the true one.
const ASKED_COST: f64 = 1.0;

impl Problem {
    fn family(self) -> Family {
        match self {
            Problem::Line => Family::Line,
            Problem::Translation => Family::Translation,
            Problem::Radial => Family::Radial,
            Problem::Product => Family::Product,
            Problem::Pair => Family::Pair,
        }
    }
}

/// A problem of a family, for a cost.
struct Transport {
    family: Family,
    problem: Box<dyn KnownTransport>,
    variances: [f64; 2],
}

impl Transport {
    fn new(family: Family, cost: &str, dim: usize) -> Result<Self> {
        let problem = family.problem(cost::parse(cost)?, dim)?;
        let x = problem.sample_source(VARIANCES_FROM, 0, 1 << 33);
        let images = problem.forward(&x);
        Ok(Transport {
            family,
            variances: [
                metrics::total_variance(&x, dim)?,
                metrics::total_variance(&images, dim)?,
            ],
            problem,
        })
    }
}

impl Known for Transport {
    fn dim(&self) -> usize {
        self.problem.dim()
    }

    fn origin(&self) -> String {
        format!("{}: {}", self.family.name(), self.problem.about())
    }

    fn cost(&self) -> &dyn Cost {
        self.problem.cost()
    }

    fn asked(&self) -> Option<Asked> {
        Some(Asked {
            problem: self.family.name().into(),
            cost: self.cost().name(),
            uvp_percent: ASKED[usize::from(self.family != Family::Line)],
            cost_percent: ASKED_COST,
            wrong_cost: self.family.wrong_cost(self.cost(), self.dim()),
        })
    }

    fn variances(&self) -> [f64; 2] {
        self.variances
    }

    fn source(&self, n: usize, seed: u64, stream: u64) -> Result<Pairs> {
        let x = self.problem.sample_source(n, seed, stream);
        let images = self.problem.forward(&x);
        Ok((x, images))
    }

    fn target(&self, n: usize, seed: u64, stream: u64) -> Result<Pairs> {
        // A target point is the image of a source point, which is therefore its true preimage.
        let (x, images) = self.source(n, seed, stream)?;
        Ok((images, x))
    }

    fn published(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }
}

/// The kind of a cost: its name without its settings.
fn kind(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// The cost that `text` stands for in a problem of a family. A kind alone is the problem's own cost of that kind.
///
/// # Errors
/// No cost; a kind for which the family has none.
fn cost_of(text: &str, family: Family, dim: usize) -> Result<String> {
    let own = family.costs(dim);
    if let Some(own) = own.iter().find(|c| kind(c) == text.trim()) {
        return Ok(own.clone());
    }
    // The pair has one of every kind.
    if Family::Pair
        .costs(dim)
        .iter()
        .any(|c| kind(c) == text.trim())
    {
        let kinds: Vec<&str> = own.iter().map(|c| kind(c)).collect();
        return Err(Failure::input(format!(
            "{} with {text}: the family has a map that is known to be optimal for {}.",
            family.name(),
            kinds.join(", ")
        )));
    }
    Ok(charflow_run::resolved_cost(text)?)
}

/// The problems asked for. What was asked for by the names of problem and cost has to be; of a cost alone, all problems that there are.
fn problems(bench: &Bench) -> Result<Vec<Box<dyn Known>>> {
    let mut families: Vec<Family> = Vec::new();
    for problem in &bench.problem {
        if !families.contains(&problem.family()) {
            families.push(problem.family());
        }
    }
    let by_name = !families.is_empty();
    if !by_name {
        families.extend(Family::ALL);
    }
    if !bench.dims.is_empty() && !families.contains(&Family::Pair) {
        return Err(Failure::input(
            "--dims is for the problem pair: the line is of one dimension, the others of eight.",
        ));
    }
    // What is no cost at all is told first. A kind alone becomes one in each problem.
    for text in &bench.cost {
        cost_of(text, Family::Pair, 8)?;
    }
    let mut found: Vec<Box<dyn Known>> = Vec::new();
    let mut refusal = None;
    for family in families {
        let dims = match family {
            Family::Pair if !bench.dims.is_empty() => &bench.dims[..],
            _ => family.dims(),
        };
        for &dim in dims {
            let costs: Vec<Result<String>> = if bench.cost.is_empty() {
                family.costs(dim).into_iter().map(Ok).collect()
            } else {
                let given = bench.cost.iter();
                given.map(|text| cost_of(text, family, dim)).collect()
            };
            for cost in costs {
                match cost.and_then(|cost| Transport::new(family, &cost, dim)) {
                    Ok(problem) => {
                        // Asked for twice is fitted once.
                        let there = found.iter().any(|p| {
                            (p.origin(), p.dim()) == (problem.origin(), dim)
                                && p.cost().name() == problem.cost().name()
                        });
                        if !there {
                            found.push(Box::new(problem));
                        }
                    }
                    Err(why) if by_name => return Err(why),
                    Err(why) => refusal = Some(why),
                }
            }
        }
    }
    match refusal {
        Some(why) if found.is_empty() => Err(why),
        _ => Ok(found),
    }
}

/// Runs the benchmark.
///
/// # Errors
/// See [`Failure`].
pub fn run(bench: &Bench) -> Result<()> {
    let problems = problems(bench)?;
    let mut about = vec![
        "Asked: L2-UVP of a fit at most 1 % on the line and 2 % elsewhere, forward and backward, and its transport cost within 1 % of the true one. Costs of a row are in the \
         unit of the problem's own cost; inf: the map goes further than that cost allows."
            .to_string(),
        "linear is the closed form between means and covariances for the quadratic cost, for Mahalanobis in its own coordinates."
            .to_string(),
    ];
    if bench.no_wrong {
        about.push("Without fits with a wrong cost.".into());
    } else {
        about.push(
            "`COST instead`: the same samples fitted with another cost by ncf+dual at effort quick, judged by the truth and the cost of the problem. Radial maps are the same for all costs \
             of the length, product maps for all sums over coordinates, so there the wrong cost is a metric; on the line and for a translation every convex cost has the \
             same map, and there is none."
                .into(),
        );
    }
    let samples = |problem: &dyn Known| {
        let own = if problem.dim() == 1 {
            SAMPLES_LINE
        } else {
            SAMPLES
        };
        bench.samples.unwrap_or(own)
    };
    let limit = |config: &mut Config| {
        if bench.time_limit.is_none() {
            config.time_limit = SECONDS;
        }
    };
    let entries = |problem: &dyn Known| {
        let (n, d) = (samples(problem), problem.dim());
        let mut entries = super::w2::entries(bench, n, d)?;
        for entry in &mut entries {
            entry.config.cost = problem.cost().name();
            limit(&mut entry.config);
        }
        let wrong = problem.asked().and_then(|asked| asked.wrong_cost);
        if let Some(wrong) = wrong.filter(|_| !bench.no_wrong) {
            let mut config = bench.config_at(Effort::Quick, Method::NcfDual, n, n, d)?;
            config.cost = wrong;
            limit(&mut config);
            entries.push(Entry {
                name: instead(&config.cost),
                config,
                steps_by_time: false,
            });
        }
        Ok(entries)
    };
    known::run(
        bench,
        Plan {
            name: "costs",
            about,
            problems: &problems,
            samples: &samples,
            entries: &entries,
            table,
            draw,
        },
    )
}

/// The name of a fit with a wrong cost.
fn instead(wrong: &str) -> String {
    format!("{} instead", cost::short(wrong))
}

/// How far a row's transport cost is from the true one, in percent of it.
fn off(run: &Run, cost: f64) -> f64 {
    100.0 * (cost / run.true_cost - 1.0)
}

/// All rows, each fit with whether it is as good as asked.
fn table(runs: &[Run]) -> String {
    let head = [
        "problem",
        "d",
        "cost",
        "map",
        "UVP % fwd",
        "bwd",
        "transport cost",
        "true",
        "off by %",
        "ED fwd",
        "bwd",
        "time",
        "steps",
        "asked",
        "reached",
    ];
    let mut rows = Vec::new();
    for run in runs {
        let Some(asked) = &run.asked else { continue };
        for row in &run.rows {
            let s = &row.scores;
            let fit = row.fit.as_ref();
            let off = off(run, s.cost);
            let mut cells = vec![
                asked.problem.clone(),
                run.dim.to_string(),
                cost::short(&asked.cost),
                row.map.clone(),
            ];
            cells.extend(s.uvp_percent.map(|v| digits(Some(v))));
            cells.extend([
                format!("{:.4}", s.cost),
                format!("{:.4}", run.true_cost),
                if off.is_finite() {
                    format!("{off:+.2}")
                } else {
                    "inf".into()
                },
            ]);
            cells.extend(s.energy_distance.map(|v| format!("{v:.1e}")));
            cells.push(fit.map_or("-".into(), |f| duration(f.report.seconds)));
            cells.push(fit.map_or("-".into(), |f| f.report.steps.to_string()));
            cells.extend(match fit.filter(|f| f.settings.cost == asked.cost) {
                Some(_) => {
                    let well = s.uvp_percent.iter().all(|v| *v <= asked.uvp_percent)
                        && off.abs() <= asked.cost_percent;
                    [
                        format!("{} %", asked.uvp_percent),
                        if well { "yes" } else { "no" }.into(),
                    ]
                }
                None => ["-".into(), "-".into()],
            });
            rows.push(cells);
        }
    }
    markdown(&head, &rows)
}

/// A line for each problem with the errors of its maps; false where nothing was fitted.
fn draw(runs: &[Run], out: &Path) -> Result<bool> {
    let mut groups: Vec<(String, Vec<DotRow>)> = Vec::new();
    for run in runs
        .iter()
        .filter(|run| run.rows.iter().any(|r| r.fit.is_some()))
    {
        let Some(asked) = &run.asked else { continue };
        let title = format!("{}, d = {}", asked.problem, run.dim);
        let dots = run.rows.iter().filter(|r| r.map != "identity").map(|row| {
            let wrong = row
                .fit
                .as_ref()
                .is_some_and(|f| f.settings.cost != asked.cost);
            let name = if wrong { "a wrong cost" } else { &row.map };
            (name.to_string(), row.scores.uvp_percent)
        });
        let row = DotRow {
            label: kind_and_number(&asked.cost),
            dots: dots.collect(),
            asked: Some(asked.uvp_percent),
        };
        match groups.last_mut().filter(|(t, _)| *t == title) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((title, vec![row])),
        }
    }
    if groups.is_empty() {
        return Ok(false);
    }
    DotFigure {
        groups: &groups,
        x_label: "L2-UVP, %",
        sides: Some(["forward", "backward"]),
        logarithmic: true,
    }
    .save(&out.join("error"))?;
    Ok(true)
}

/// A cost's name short enough for a figure: no matrix.
fn kind_and_number(name: &str) -> String {
    name.split(":[").next().unwrap_or(name).to_string()
}

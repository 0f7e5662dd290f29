//! `bench study`: what each part of the method is worth, on one problem, with the same time for each variant.

use super::known::{self, Entry, Known, Plan};
use super::w2::{self, Mixture, SAMPLES};
use super::{Bench, Method};
use crate::failure::{Failure, Result};
use crate::verbs::fit::with_set;
use charflow_lab::MixtureToMap;

/// Seconds of each variant.
const SECONDS: f64 = 120.0;
const DIM: usize = 8;

/// The variants: name, and the settings put over those of the preset `auto`. Each line has all parts of the lines above it and one more; the last exchanges the optimiser.
///
/// The one table to change when a part is added.
const VARIANTS: &[(&str, &[&str])] = &[
    (
        "ED only",
        &[
            "loss.hj=0",
            "loss.hj_terminal=0",
            "warm_start=none",
            "optimiser.ema=0",
        ],
    ),
    (
        "+ HJ (box collocation)",
        &[
            "collocation.characteristics=0",
            "warm_start=none",
            "optimiser.ema=0",
        ],
    ),
    (
        "+ characteristic collocation",
        &[
            "collocation.characteristics=1",
            "warm_start=none",
            "optimiser.ema=0",
        ],
    ),
    (
        "+ warm start",
        &["collocation.characteristics=1", "optimiser.ema=0"],
    ),
    ("+ dual stage", &["optimiser.ema=0"]),
    ("+ averaged weights (EMA)", &[]),
    (
        "Adam instead of SOAP",
        &["optimiser.kind=adam", "optimiser.rate=2e-3"],
    ),
];

/// The first row with a dual stage.
const DUAL_FROM: usize = 4;

/// Runs the study.
///
/// # Errors
/// See [`Failure`].
pub fn run(bench: &Bench) -> Result<()> {
    let dim = match bench.dims[..] {
        [] => DIM,
        [d] => d,
        _ => {
            return Err(Failure::input(
                "study looks at one dimension: give one to --dims.",
            ));
        }
    };
    let found = match bench.data_folder() {
        Some(folder) => {
            let found = w2::find(&folder)?;
            if found.is_empty() && bench.data.is_some() {
                return Err(Failure::input(format!(
                    "{} holds no file of the benchmark w2. Leave --data out to study a random problem.",
                    folder.display()
                )));
            }
            if found.is_empty() {
                found
            } else {
                w2::choose(found, &[dim], &folder)?
            }
        }
        None => Vec::new(),
    };
    let of_the_benchmark = found.first().is_some_and(w2::of_the_benchmark);
    let drawn = found.is_empty();
    let problem = match found.into_iter().next() {
        Some(problem) => problem,
        None => MixtureToMap::random(dim, bench.seed)?,
    };
    let seconds = bench.time_limit.unwrap_or(SECONDS);
    let mut about = vec![format!(
        "Each variant has the parts of those above it and one more, and the same time{}; the last one has another optimiser. The variants without a dual stage have the rate and the batches that `auto` gives to the losses alone.",
        if seconds > 0.0 {
            format!(" ({seconds} s)")
        } else {
            String::new()
        }
    )];
    if drawn {
        about.push(format!(
            "There were no files of the benchmark: this is a random problem of its form, seed {}.",
            bench.seed
        ));
    }
    let n = bench.samples.unwrap_or(SAMPLES);
    let problems: [Box<dyn Known>; 1] = [Box::new(Mixture {
        problem,
        of_the_benchmark,
    })];
    let entries = |problem: &dyn Known| {
        let d = problem.dim();
        VARIANTS
            .iter()
            .enumerate()
            .map(|(row, (name, set))| {
                let set: Vec<String> = set.iter().map(|s| (*s).to_string()).collect();
                let auto = super::settings(Method::NcfDual, bench.effort, n, n, d)?;
                let mut config = auto.clone();
                if row < DUAL_FROM {
                    config = config.losses_alone(n, n, d);
                    config.network = auto.network;
                    config.warm_start = auto.warm_start;
                    config.held_out = auto.held_out;
                }
                config = with_set(config, &set)?;
                // All have the same time, and none ends before it.
                config.held_out.patience = 0.0;
                config.time_limit = seconds;
                Ok(Entry {
                    name: (*name).into(),
                    config: bench.overlaid(config)?,
                    steps_by_time: bench.steps.is_none(),
                })
            })
            .collect()
    };
    known::run(
        bench,
        Plan {
            name: "study",
            about,
            problems: &problems,
            samples: &|_| n,
            entries: &entries,
            table: known::table,
            draw: known::draw,
        },
    )
}

//! `report.json`: what came out.

use crate::record::{Brief, DataRecord};
use charflow::evaluate::Evaluation;
use charflow::solver::{Config, Outcome, Report};
use serde::Serialize;
use std::path::PathBuf;

/// What `report.json` holds.
#[derive(Serialize)]
pub struct RunReport<'a> {
    /// Version of these fields and of those of the evaluation (`docs/certificate.md`); reports without it are of version 1.
    format: u32,
    charflow: &'static str,
    isa: &'static str,
    command: String,
    done: bool,
    solve: &'a Report,
    source: Brief<'a>,
    target: Brief<'a>,
    evaluated_on: &'static str,
    evaluation: Option<&'a Evaluation>,
    files: Vec<PathBuf>,
}

impl<'a> RunReport<'a> {
    /// Of a solve, begun by `command`, that wrote `files`; `fitted` says whether it was evaluated on points that the map was fitted to.
    pub fn new(
        command: String,
        solve: &'a Report,
        fitted: bool,
        data: &'a DataRecord,
        evaluation: Option<&'a Evaluation>,
        files: Vec<PathBuf>,
    ) -> Self {
        RunReport {
            format: charflow::certificate::FORMAT,
            charflow: env!("CARGO_PKG_VERSION"),
            isa: charflow_kernels::Isa::current().name(),
            command,
            done: solve.outcome.is_done(),
            solve,
            source: data.source.brief(),
            target: data.target.brief(),
            evaluated_on: judged_on(fitted),
            evaluation,
            files,
        }
    }
}

/// Whether a solve that was begun with `begun` and has done `steps_done` steps has nothing left to do under the settings `config`.
#[must_use]
pub fn is_finished(earlier: &Report, begun: &Config, config: &Config, steps_done: u64) -> bool {
    let by_time = earlier.outcome == Outcome::TimeLimit
        && config.time_limit > 0.0
        && earlier.seconds >= config.time_limit;
    let by_steps = steps_done >= config.steps && earlier.steps == steps_done;
    let by_score = earlier.outcome == Outcome::Converged && config.steps == begun.steps;
    earlier.outcome.is_done() && (by_steps || by_time || by_score)
}

/// The points a finished map is judged on, in words.
#[must_use]
pub fn judged_on(fitted: bool) -> &'static str {
    if fitted {
        "points the map was fitted to"
    } else {
        "points held out of the fit"
    }
}

//! `report.json`: what came out.

use crate::record::{Brief, DataRecord};
use charflow::evaluate::Evaluation;
use charflow::solver::{Report, Solution};
use serde::Serialize;
use std::path::PathBuf;

/// What `report.json` holds.
#[derive(Serialize)]
pub struct RunReport<'a> {
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
    /// Of a solve, begun by `command`, that wrote `files`.
    pub fn new(
        command: String,
        solution: &'a Solution,
        data: &'a DataRecord,
        evaluation: Option<&'a Evaluation>,
        files: Vec<PathBuf>,
    ) -> Self {
        RunReport {
            charflow: env!("CARGO_PKG_VERSION"),
            isa: charflow_kernels::Isa::current().name(),
            command,
            done: solution.outcome.is_done(),
            solve: &solution.report,
            source: data.source.brief(),
            target: data.target.brief(),
            evaluated_on: judged_on(solution.fitted),
            evaluation,
            files,
        }
    }
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

//! What a solve says of itself.

use crate::certificate::Origin;
use crate::model::CharacteristicMap;
use crate::samples::Samples;
use serde::{Deserialize, Serialize};

/// How a solve ended. None of these is an error: there is a map in each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All steps were done.
    StepLimit,
    /// The held-out score had stopped improving.
    Converged,
    /// The time limit was reached.
    TimeLimit,
    /// The observer asked to stop.
    Interrupted,
    /// Numbers stopped being finite more often than `guard.retries` allows; the map is the last good one.
    Diverged,
}

impl Outcome {
    /// Whether the solve did what was asked of it.
    #[must_use]
    pub fn is_done(self) -> bool {
        matches!(
            self,
            Outcome::StepLimit | Outcome::TimeLimit | Outcome::Converged
        )
    }
}

/// One row of `history.csv`. Losses are in solver units, unweighted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Steps done.
    pub step: u64,
    /// Seconds of solving, sessions before a resume included.
    pub seconds: f64,
    /// Learning rate.
    pub rate: f64,
    /// The objective on the step's batch.
    pub loss: f64,
    /// Implicit Hamilton-Jacobi loss.
    pub hj: f64,
    /// Its terminal twin.
    pub hj_terminal: f64,
    /// Squared residual of the equation.
    pub pde: f64,
    /// Energy distance of the pushed batch.
    pub ed_forward: f64,
    /// Energy distance of the pulled batch.
    pub ed_backward: f64,
    /// Dual value on the step's batch, of the ends that are searched; zero before the dual stage.
    pub dual: f64,
    /// Share of the dual's searches that met their tolerance.
    pub converged: f64,
    /// The score of the averaged weights on the held-out points: with a dual stage minus the dual value plus what the maps fall short of it, otherwise the
    /// objective.
    pub held_out: Option<f64>,
    /// Energy distance of the pushed held-out points.
    pub held_out_forward: Option<f64>,
    /// Energy distance of the pulled held-out points.
    pub held_out_backward: Option<f64>,
}

/// The facts of a solve, for `report.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Steps done.
    pub steps: u64,
    /// Seconds of solving, sessions before a resume included.
    pub seconds: f64,
    /// Source points, of them held out.
    pub source_points: [usize; 2],
    /// Target points, of them held out.
    pub target_points: [usize; 2],
    /// Dimension.
    pub dim: usize,
    /// Classes, by name; empty without labels.
    pub classes: Vec<String>,
    /// Parameters of the network.
    pub parameters: usize,
    /// The step whose weights were kept.
    pub chosen_step: u64,
    /// Why that one.
    pub chosen_by: String,
    /// How often the solve went back to an earlier state.
    pub divergences: u32,
    /// What is worth knowing about the data and the solve, a sentence each.
    pub notes: Vec<String>,
}

/// A solve's result.
#[derive(Debug)]
pub struct Solution {
    /// The map.
    pub map: CharacteristicMap,
    /// Source and target points to judge the map on: the held-out ones, or fitted ones where none could be spared.
    pub points: (Samples, Samples),
    /// Whether `points` are points the map was fitted to.
    pub fitted: bool,
    /// Whether `points`, though held out, chose the model or ended the fit: with enough held-out points others judge.
    pub chose: bool,
    /// How the solve ended.
    pub outcome: Outcome,
    /// Losses over steps.
    pub history: Vec<HistoryRow>,
    /// The facts.
    pub report: Report,
}

impl Solution {
    /// What a certificate on [`Solution::points`] has to be told of them.
    #[must_use]
    pub fn origin(&self) -> Origin {
        if self.fitted {
            Origin::Fitted
        } else if self.chose {
            Origin::Choosing
        } else {
            Origin::HeldOut
        }
    }
}

//! The state of a solve as a file.
//!
//! A checkpoint holds all that the coming steps depend on: parameters, moments, averaged weights, the last good state, the best model so far, and
//! the history. Batches come from a generator seeded by (seed, step), so there is no generator state to keep. A solve resumed from a
//! checkpoint therefore ends bit-identical to one that was never stopped.

use super::config::Config;
use super::report::HistoryRow;
use crate::error::{Error, Result};
use crate::exact::GaussianMap;
use crate::model::{
    CharacteristicMap, FORMAT_VERSION, ModelInfo, le_f32, le_f64, load, open_safetensors,
    parse_info, read_f32, read_f64, save, to_safetensors,
};
use crate::samples::Scaling;
use safetensors::tensor::Dtype;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of the checkpoint format this crate writes.
pub const CHECKPOINT_VERSION: u32 = 3;

/// Parameters and what the optimiser remembers of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weights {
    /// Steps that led here.
    pub step: u64,
    pub theta: Vec<f32>,
    pub m: Vec<f32>,
    pub v: Vec<f32>,
    pub ema: Vec<f32>,
    /// What SOAP remembers besides (see [`super::optimiser`]); empty for Adam.
    pub memory: Vec<f32>,
}

/// The full state of a solve between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub(crate) config: Config,
    pub(crate) scaling: Scaling,
    /// The best linear map of the points that are learned from, in the user's units.
    pub(crate) linear: Option<GaussianMap>,
    pub(crate) now: Weights,
    pub(crate) good: Weights,
    pub(crate) best: Vec<f32>,
    /// The model with the least score, which need not be the one that is kept.
    pub(crate) least: Vec<f32>,
    pub(crate) best_step: u64,
    pub(crate) best_score: f64,
    /// The score of the start.
    pub(crate) first_score: f64,
    /// The step that patience counts from: of the least score, or where a stage began.
    pub(crate) improved_step: u64,
    /// The step of the least score.
    pub(crate) least_step: u64,
    /// Where the score had stopped improving, the step that the rate falls from, and over how many.
    pub(crate) plateau: Option<(u64, u64)>,
    /// How often it had, and a smaller rate was tried.
    pub(crate) drops: u32,
    pub(crate) rate_factor: f64,
    pub(crate) divergences: u32,
    pub(crate) seconds: f64,
    pub(crate) history: Vec<HistoryRow>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    kind: String,
    format: u32,
    charflow: String,
    config: Config,
    step: u64,
    good_step: u64,
    best_step: u64,
    #[serde(default)]
    improved_step: u64,
    #[serde(default)]
    least_step: Option<u64>,
    #[serde(default)]
    plateau: Option<(u64, u64)>,
    #[serde(default)]
    drops: u32,
    divergences: u32,
}

const COLUMNS: usize = 14;

impl Checkpoint {
    /// Steps done.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.now.step
    }

    /// The settings of the solve.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The history so far.
    #[must_use]
    pub fn history(&self) -> &[HistoryRow] {
        &self.history
    }

    /// Seconds of solving, sessions before a resume included.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// The map of the averaged weights as they are now: to watch a solve by, not what the solve will choose.
    ///
    /// # Errors
    /// [`Error::Config`] for a cost that [`crate::cost::parse`] does not know.
    pub fn map(&self) -> Result<CharacteristicMap> {
        let info = ModelInfo {
            kind: "model".into(),
            format: FORMAT_VERSION,
            charflow: env!("CARGO_PKG_VERSION").into(),
            dim: self.scaling.dim(),
            columns: None,
            classes: Vec::new(),
            config: self.config.clone(),
            step: self.now.step,
        };
        CharacteristicMap::new(
            info,
            self.scaling.clone(),
            &self.now.ema,
            self.linear.clone(),
        )
    }

    /// Writes the file, atomically.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        save(path, self.written())
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`Error::Problem`] if they cannot be put together.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.written().map_err(Error::Problem)
    }

    fn written(&self) -> std::result::Result<Vec<u8>, String> {
        let f32s = |name: &str, x: &[f32]| (name.to_string(), Dtype::F32, vec![x.len()], le_f32(x));
        let f64s = |name: &str, x: &[f64]| (name.to_string(), Dtype::F64, vec![x.len()], le_f64(x));
        let mut tensors = vec![f32s("best", &self.best), f32s("least", &self.least)];
        for (name, w) in [("now", &self.now), ("good", &self.good)] {
            tensors.push(f32s(&format!("{name}.theta"), &w.theta));
            tensors.push(f32s(&format!("{name}.m"), &w.m));
            tensors.push(f32s(&format!("{name}.v"), &w.v));
            tensors.push(f32s(&format!("{name}.ema"), &w.ema));
            tensors.push(f32s(&format!("{name}.memory"), &w.memory));
        }
        tensors.push(f64s("scaling.shift", &self.scaling.shift));
        tensors.push(f64s(
            "numbers",
            &[
                self.scaling.scale,
                self.best_score,
                self.rate_factor,
                self.seconds,
                self.first_score,
            ],
        ));
        if let Some(linear) = &self.linear {
            tensors.push(f64s("linear.source_mean", linear.source_mean()));
            tensors.push(f64s("linear.target_mean", linear.target_mean()));
            tensors.push(f64s("linear.matrix", &linear.matrix()));
        }
        let rows: Vec<f64> = self.history.iter().flat_map(to_numbers).collect();
        tensors.push((
            "history".into(),
            Dtype::F64,
            vec![self.history.len(), COLUMNS],
            le_f64(&rows),
        ));
        let head = Head {
            kind: "checkpoint".into(),
            format: CHECKPOINT_VERSION,
            charflow: env!("CARGO_PKG_VERSION").into(),
            config: self.config.clone(),
            step: self.now.step,
            good_step: self.good.step,
            best_step: self.best_step,
            improved_step: self.improved_step,
            least_step: Some(self.least_step),
            plateau: self.plateau,
            drops: self.drops,
            divergences: self.divergences,
        };
        let text = serde_json::to_string(&head).map_err(|e| e.to_string())?;
        to_safetensors(&tensors, text)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Io`] with what is wrong.
    pub fn load(path: &Path) -> Result<Self> {
        load(path, Self::parse)
    }

    /// The state that [`Checkpoint::to_bytes`] was called on.
    ///
    /// # Errors
    /// [`Error::Problem`] with what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes).map_err(|m| Error::Problem(format!("the checkpoint's bytes: {m}")))
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let (file, text) = open_safetensors(bytes)?;
        let head: Head = parse_info(&text, "checkpoint", CHECKPOINT_VERSION)?;
        let length = |name: &str| {
            file.tensor(name)
                .map(|t| t.shape().to_vec())
                .map_err(|_| format!("the tensor \"{name}\" is missing"))
        };
        let parameters = length("now.theta")?;
        let earlier = "it was written by an earlier version, which this one cannot resume; begin again with --force";
        length("least").map_err(|_| earlier)?;
        let memory = length("now.memory")?;
        let dim = length("scaling.shift")?;
        let rows = length("history")?;
        if rows.len() != 2 || rows[1] != COLUMNS {
            return Err(
                "the history has another number of columns; the file is from another version"
                    .into(),
            );
        }
        let weights = |name: &str, step: u64| -> std::result::Result<Weights, String> {
            let part = |which: &str| read_f32(&file, &format!("{name}.{which}"), &parameters);
            Ok(Weights {
                step,
                theta: part("theta")?,
                m: part("m")?,
                v: part("v")?,
                ema: part("ema")?,
                memory: read_f32(&file, &format!("{name}.memory"), &memory)?,
            })
        };
        let linear = if file.names().contains(&"linear.matrix") {
            let square = [dim[0] * dim[0]];
            let map = GaussianMap::from_parts(
                read_f64(&file, "linear.source_mean", &dim)?,
                read_f64(&file, "linear.target_mean", &dim)?,
                &read_f64(&file, "linear.matrix", &square)?,
            );
            Some(map.map_err(|e| format!("the linear map in this file: {e}"))?)
        } else {
            None
        };
        let numbers = read_f64(&file, "numbers", &[5])?;
        let history = read_f64(&file, "history", &rows)?;
        Ok(Checkpoint {
            now: weights("now", head.step)?,
            good: weights("good", head.good_step)?,
            best: read_f32(&file, "best", &parameters)?,
            least: read_f32(&file, "least", &parameters)?,
            first_score: numbers[4],
            best_step: head.best_step,
            improved_step: head.improved_step,
            least_step: head.least_step.unwrap_or(head.improved_step),
            plateau: head.plateau,
            drops: head.drops,
            best_score: numbers[1],
            rate_factor: numbers[2],
            seconds: numbers[3],
            divergences: head.divergences,
            linear,
            scaling: Scaling {
                shift: read_f64(&file, "scaling.shift", &dim)?,
                scale: numbers[0],
            },
            history: history.chunks_exact(COLUMNS).map(from_numbers).collect(),
            config: head.config,
        })
    }
}

fn to_numbers(row: &HistoryRow) -> [f64; COLUMNS] {
    let or_nan = |x: Option<f64>| x.unwrap_or(f64::NAN);
    [
        row.step as f64,
        row.seconds,
        row.rate,
        row.loss,
        row.hj,
        row.hj_terminal,
        row.pde,
        row.ed_forward,
        row.ed_backward,
        row.dual,
        row.converged,
        or_nan(row.held_out),
        or_nan(row.held_out_forward),
        or_nan(row.held_out_backward),
    ]
}

fn from_numbers(x: &[f64]) -> HistoryRow {
    let maybe = |x: f64| (!x.is_nan()).then_some(x);
    HistoryRow {
        step: x[0] as u64,
        seconds: x[1],
        rate: x[2],
        loss: x[3],
        hj: x[4],
        hj_terminal: x[5],
        pde: x[6],
        ed_forward: x[7],
        ed_backward: x[8],
        dual: x[9],
        converged: x[10],
        held_out: maybe(x[11]),
        held_out_forward: maybe(x[12]),
        held_out_backward: maybe(x[13]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn some() -> Checkpoint {
        let weights = |step: u64| Weights {
            step,
            theta: vec![1.0, -2.5, step as f32],
            m: vec![0.1; 3],
            v: vec![0.2; 3],
            ema: vec![0.3; 3],
            memory: vec![0.4; 5],
        };
        Checkpoint {
            config: Config::default(),
            scaling: Scaling {
                shift: vec![1e6, -3.0],
                scale: 0.1,
            },
            linear: None,
            now: weights(12),
            good: weights(10),
            best: vec![9.0; 3],
            least: vec![8.0; 3],
            first_score: 3.5,
            improved_step: 7,
            least_step: 6,
            plateau: Some((7, 5)),
            drops: 2,
            best_step: 8,
            best_score: f64::INFINITY,
            rate_factor: 0.3,
            divergences: 1,
            seconds: 1.5,
            history: vec![HistoryRow {
                step: 10,
                seconds: 1.0,
                rate: 1e-3,
                loss: 0.5,
                hj: 0.1,
                hj_terminal: 0.0,
                pde: 0.0,
                ed_forward: -0.1,
                ed_backward: 0.2,
                dual: 1.25,
                converged: 0.5,
                held_out: Some(0.3),
                held_out_forward: None,
                held_out_backward: Some(0.1),
            }],
        }
    }

    #[test]
    fn comes_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let checkpoint = some();
        checkpoint.save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint);
        // Nothing but the file is left behind.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn damage_is_said_not_suffered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        some().save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for keep in [0, 4, 100, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..keep]).unwrap();
            let text = Checkpoint::load(&path).unwrap_err().to_string();
            assert!(
                text.contains("checkpoint.safetensors") && text.contains("cut short"),
                "{text}"
            );
        }
        let newer = String::from_utf8_lossy(&bytes).replace("\\\"format\\\":3", "\\\"format\\\":9");
        assert!(Checkpoint::parse(newer.as_bytes()).is_err());
    }
}

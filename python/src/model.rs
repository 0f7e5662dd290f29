//! A fitted map with what its run knows: what `CharacteristicFlow` holds.

use crate::errors::{problem, told};
use crate::points::{Coordinates, Points};
use crate::solve::{Solved, solve};
use crate::work::{guarded, parallel};
use charflow::certificate::{Options, Origin, certify_map};
use charflow::evaluate::{Evaluation, evaluate_on};
use charflow::map::ForwardMap;
use charflow::model::CharacteristicMap;
use charflow::solver::{Checkpoint, Config, HistoryRow, Outcome, Report};
use charflow::{Error, Problem, Samples};
use charflow_run::{
    Change, DataRecord, FileRecord, Fitted, RunDir, RunReport, Settings, Standing, changes,
    history_from_csv, history_to_csv, is_finished, write_file,
};
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A fitted map, and where its solve stands.
#[pyclass(frozen, module = "charflow._charflow")]
pub struct Model {
    map: Arc<CharacteristicMap>,
    config: Config,
    /// None for a model file without its run.
    data: Option<DataRecord>,
    history: Vec<HistoryRow>,
    /// `report.json`, without the files it names.
    report: Option<Value>,
    solve: Option<Report>,
    /// Of the evaluation and its certificate, as the command prints them; not stored in a run.
    text: Option<[String; 2]>,
    /// A checkpoint that cannot be used is worth a word only when it is needed.
    checkpoint: Result<Option<Checkpoint>, Error>,
}

/// The columns of the history that are numbers at every row, and those that may be missing.
type Column = (&'static str, fn(&HistoryRow) -> f64);
const HISTORY: [Column; 14] = [
    ("step", |r| r.step as f64),
    ("seconds", |r| r.seconds),
    ("rate", |r| r.rate),
    ("loss", |r| r.loss),
    ("hj", |r| r.hj),
    ("hj_terminal", |r| r.hj_terminal),
    ("pde", |r| r.pde),
    ("ed_forward", |r| r.ed_forward),
    ("ed_backward", |r| r.ed_backward),
    ("dual", |r| r.dual),
    ("converged", |r| r.converged),
    ("held_out", |r| r.held_out.unwrap_or(f64::NAN)),
    ("held_out_forward", |r| {
        r.held_out_forward.unwrap_or(f64::NAN)
    }),
    ("held_out_backward", |r| {
        r.held_out_backward.unwrap_or(f64::NAN)
    }),
];

fn bad(message: String) -> Error {
    Error::Problem(message)
}

fn json(value: &impl serde::Serialize) -> charflow::Result<String> {
    serde_json::to_string(value).map_err(|e| bad(format!("the report cannot be written: {e}")))
}

/// What is asked of a solve, by the names that the command gives it.
fn settings(asked: Option<&Bound<'_, PyDict>>) -> PyResult<Settings> {
    let mut settings = Settings::default();
    for (key, value) in asked.into_iter().flatten() {
        let key: String = key.extract()?;
        match key.as_str() {
            "preset" => settings.preset = value.extract()?,
            "effort" => settings.effort = value.extract()?,
            "cost" => settings.cost = value.extract()?,
            "steps" => settings.steps = value.extract()?,
            "time_limit" => settings.time_limit = value.extract()?,
            "seed" => settings.seed = value.extract()?,
            "threads" => settings.threads = value.extract()?,
            _ => settings.set.push((key, value.extract()?)),
        }
    }
    Ok(settings)
}

#[pymethods]
impl Model {
    /// Fits a map. `asked` are settings by name: preset, effort, cost, steps, time_limit, seed, threads, and any other by its dotted name with its value as TOML.
    /// `command` is what the report names as its origin; `progress(step, steps, seconds, loss, held_out)` is called some ten times a second.
    #[staticmethod]
    #[pyo3(signature = (source, target, asked, command, progress=None))]
    fn fit(
        py: Python<'_>,
        source: &Points,
        target: &Points,
        asked: &Bound<'_, PyDict>,
        command: String,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let mut settings = settings(Some(asked))?;
        let [source, target] = [source.take(py)?, target.take(py)?];
        settings.by_class = source.samples.class_of().is_some();
        let records = [source.record, target.record];
        let (problem, config) = guarded(py, || {
            // Wrong settings are told before anything is done with the points.
            let cost = charflow::cost::parse(&settings.on(2, 2, 1)?.cost)?;
            let problem = Problem::new(source.samples, target.samples, cost)?;
            let [n, m] = [problem.source().len(), problem.target().len()];
            let config = settings.on(n, m, problem.dim())?;
            Ok((problem, config))
        })?;
        let data = record(&problem, records);
        let solved = solve(py, problem, config.clone(), None, progress.as_ref())?;
        Self::of(py, solved, config, data, command)
    }

    /// Goes on with the solve on the same points; `asked` may change steps, time_limit and threads. None if there is nothing left to do.
    #[pyo3(signature = (source, target, asked, command, progress=None))]
    fn resume(
        &self,
        py: Python<'_>,
        source: &Points,
        target: &Points,
        asked: &Bound<'_, PyDict>,
        command: String,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Option<Self>> {
        let settings = settings(Some(asked))?;
        let (Some(data), Ok(Some(checkpoint))) = (&self.data, &self.checkpoint) else {
            let message = match &self.checkpoint {
                Err(e) => format!("{e}: this fit cannot be gone on with. Fit anew."),
                _ => "this map has no state of its solve, so it cannot be gone on with. Fit anew, or load the run directory of a fit.".into(),
            };
            return Err(problem(py, message));
        };
        let [source, target] = [source.take(py)?, target.take(py)?];
        for (is, was, side) in [
            (&source.record, &data.source, "source"),
            (&target.record, &data.target, "target"),
        ] {
            if is.fingerprint != was.fingerprint {
                let how = if is.rows != was.rows {
                    format!("{} rows, then {}", is.rows, was.rows)
                } else if is.columns != was.columns {
                    format!("its columns are {:?}, then {:?}", is.columns, was.columns)
                } else {
                    "as many rows, but other values, labels or weights".into()
                };
                return Err(problem(
                    py,
                    format!(
                        "{} is not the {side} that this fit was begun with: {how}. Give the same points, or fit anew.",
                        is.path.display()
                    ),
                ));
            }
        }
        let config = settings
            .over(self.config.clone())
            .map_err(|e| told(py, e))?;
        config.check().map_err(|e| told(py, e))?;
        let changed = changes(&self.config, &config).map_err(|e| told(py, e))?;
        if let Some(Change { name, was, is }) = changed.iter().find(|c| !c.is_allowed()) {
            let message = format!(
                "this fit was begun with {name} = {was}, now it is {is}. A resumed fit must be the same fit: leave that as it was, or fit anew."
            );
            return Err(problem(py, message));
        }
        let done = checkpoint.step();
        if config.steps < done {
            let message = format!(
                "steps {}: this fit has done {done} steps already. Ask for more, or fit anew.",
                config.steps
            );
            return Err(problem(py, message));
        }
        if let Some(report) = &self.solve
            && is_finished(report, &self.config, &config, done)
        {
            return Ok(None);
        }
        let problem = guarded(py, || {
            let cost = charflow::cost::parse(&config.cost)?;
            Problem::new(source.samples, target.samples, cost)
        })?;
        let solved = solve(
            py,
            problem,
            config.clone(),
            Some(checkpoint.clone()),
            progress.as_ref(),
        )?;
        Self::of(py, solved, config, data.clone(), command).map(Some)
    }

    /// Loads a run directory or a model file.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        guarded(py, || Self::open(&path))
    }

    /// Writes a run directory, or, where the path ends in `.safetensors`, the model file alone.
    fn save(&self, py: Python<'_>, path: PathBuf, overwrite: bool) -> PyResult<()> {
        guarded(py, || self.write(&path, overwrite))
    }

    /// All of it as bytes, for pickle: the model, and of the run what there is.
    fn to_parts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let parts = PyDict::new(py);
        let model = guarded(py, || self.map.to_bytes())?;
        parts.set_item("model", PyBytes::new(py, &model))?;
        parts.set_item("config", self.config.to_toml())?;
        if let Some(data) = &self.data {
            let text = guarded(py, || toml::to_string(data).map_err(|e| bad(e.to_string())))?;
            parts.set_item("data", text)?;
        }
        let history = guarded(py, || history_to_csv(&self.history).map_err(bad))?;
        parts.set_item("history", PyBytes::new(py, &history))?;
        if let Some(report) = &self.report {
            parts.set_item("report", guarded(py, || json(report))?)?;
        }
        if let Ok(Some(checkpoint)) = &self.checkpoint {
            let bytes = guarded(py, || checkpoint.to_bytes())?;
            parts.set_item("checkpoint", PyBytes::new(py, &bytes))?;
        }
        parts.set_item("text", self.text.clone())?;
        Ok(parts)
    }

    /// How pickle and copy make it again.

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let make = slf.get_type().getattr("from_parts")?;
        let parts = slf.get().to_parts(py)?;
        (make, (parts,)).into_pyobject(py)
    }

    /// The model whose `to_parts` these are.
    #[staticmethod]
    fn from_parts(py: Python<'_>, parts: &Bound<'_, PyDict>) -> PyResult<Self> {
        let bytes = |name: &str| -> PyResult<Option<Vec<u8>>> {
            let item = parts.get_item(name)?;
            item.map(|b| Ok(b.cast::<PyBytes>()?.as_bytes().to_vec()))
                .transpose()
        };
        let text = |name: &str| -> PyResult<Option<String>> {
            Ok(parts
                .get_item(name)?
                .map(|t| t.extract::<Option<String>>())
                .transpose()?
                .flatten())
        };
        let (model, history) = (bytes("model")?, bytes("history")?);
        let checkpoint = bytes("checkpoint")?;
        let (config, data, report) = (text("config")?, text("data")?, text("report")?);
        let said: Option<[String; 2]> = match parts.get_item("text")? {
            Some(both) => both.extract()?,
            None => None,
        };
        guarded(py, || {
            let map = CharacteristicMap::from_bytes(&model.unwrap_or_default())?;
            let config = Config::from_toml(&config.unwrap_or_default())?;
            let data = data.map(|t| toml::from_str(&t)).transpose();
            let report = report.map(|t| serde_json::from_str(&t)).transpose();
            let report: Option<Value> = report.map_err(|e| bad(e.to_string()))?;
            Ok(Model {
                map: Arc::new(map),
                config,
                data: data.map_err(|e: toml::de::Error| bad(e.to_string()))?,
                history: history_from_csv(&history.unwrap_or_default()).map_err(bad)?,
                solve: solve_of(report.as_ref()),
                report,
                text: said,
                checkpoint: checkpoint.map(|b| Checkpoint::from_bytes(&b)).transpose(),
            })
        })
    }

    /// The points at time `t` of the characteristics that start at `x`, of shape (n, d), at time 0; and how many of `x` lie far outside the source of the fit.
    #[pyo3(signature = (x, t, threads))]
    fn forward_at<'py>(
        &self,
        py: Python<'py>,
        x: Coordinates<'py>,
        t: f64,
        threads: usize,
    ) -> PyResult<(Bound<'py, PyAny>, usize)> {
        self.mapped(py, &x, threads, self.map.dim(), |map, x| {
            Ok((map.forward_at(x, t)?, far(map, x, 0)))
        })
    }

    /// The points at time `t` of the characteristics that end at `y`, of shape (n, d), at time 1; and how many of `y` lie far outside the target of the fit.
    #[pyo3(signature = (y, t, threads))]
    fn backward_at<'py>(
        &self,
        py: Python<'py>,
        y: Coordinates<'py>,
        t: f64,
        threads: usize,
    ) -> PyResult<(Bound<'py, PyAny>, usize)> {
        self.mapped(py, &y, threads, self.map.dim(), |map, y| {
            Ok((map.backward_at(y, t)?, far(map, y, 1)))
        })
    }

    /// The potential u(x, t), of shape (n, 1).
    #[pyo3(signature = (x, t, threads))]
    fn potential<'py>(
        &self,
        py: Python<'py>,
        x: Coordinates<'py>,
        t: f64,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (values, _) =
            self.mapped(py, &x, threads, 1, |map, x| Ok((map.potential(x, t)?, 0)))?;
        Ok(values)
    }

    /// The gradient of the potential with respect to the points, of shape (n, d).
    #[pyo3(signature = (x, t, threads))]
    fn gradient<'py>(
        &self,
        py: Python<'py>,
        x: Coordinates<'py>,
        t: f64,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (values, _) = self.mapped(py, &x, threads, self.map.dim(), |map, x| {
            Ok((map.gradient(x, t)?, 0))
        })?;
        Ok(values)
    }

    /// Seconds that the Rust library takes for the forward map of `x`, and nothing around it: what the face's overhead is measured against.
    fn seconds_forward(&self, py: Python<'_>, x: Coordinates<'_>, threads: usize) -> PyResult<f64> {
        let map = Arc::clone(&self.map);
        x.with_rows(py, threads, move |x| {
            let started = std::time::Instant::now();
            let y = map.forward(x)?;
            let seconds = started.elapsed().as_secs_f64();
            drop(y);
            Ok(seconds)
        })
    }

    /// The certificate on points, as JSON and as text.
    fn certify(
        &self,
        py: Python<'_>,
        source: &Points,
        target: &Points,
        seed: u64,
        threads: usize,
    ) -> PyResult<(String, String)> {
        let (origin, source, target) = self.judged(py, source, target)?;
        let map = Arc::clone(&self.map);
        parallel(py, threads, move || {
            let options = Options {
                seed,
                origin,
                by_class: false,
            };
            let certificate = certify_map(&map, &source, &target, &options)?;
            Ok((json(&certificate)?, certificate.to_string()))
        })
    }

    /// The whole evaluation on points, as JSON, and it and its certificate as text.
    fn evaluate(
        &self,
        py: Python<'_>,
        source: &Points,
        target: &Points,
        seed: u64,
        threads: usize,
    ) -> PyResult<(String, [String; 2])> {
        let (origin, source, target) = self.judged(py, source, target)?;
        let map = Arc::clone(&self.map);
        parallel(py, threads, move || {
            let evaluation = evaluate_on(origin, &map, &source, &target, None, seed)?;
            Ok((
                json(&evaluation)?,
                [evaluation.to_string(), evaluation.certificate.to_string()],
            ))
        })
    }

    /// What `report.json` holds, as JSON; None for a model file without its run.
    #[getter]
    fn report(&self) -> Option<String> {
        self.report.as_ref().map(Value::to_string)
    }

    /// The evaluation of the fit and its certificate as the command prints them; None where the model was loaded.
    #[getter]
    fn text(&self) -> Option<[String; 2]> {
        self.text.clone()
    }

    /// The losses over steps: arrays by name.
    #[getter]
    fn history<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let columns = PyDict::new(py);
        for (name, value) in HISTORY {
            let values = self.history.iter().map(value);
            columns.set_item(name, PyArray1::from_iter(py, values))?;
        }
        Ok(columns)
    }

    /// All settings, as JSON.
    #[getter]
    fn config(&self, py: Python<'_>) -> PyResult<String> {
        guarded(py, || json(&self.config))
    }

    /// The transport cost as the model keeps it.
    #[getter]
    fn cost(&self) -> String {
        self.map.cost().name()
    }

    /// The dimension of the points.
    #[getter]
    fn dim(&self) -> usize {
        self.map.dim()
    }

    /// The names of the fitted columns, if they have any.
    #[getter]
    fn columns(&self) -> Option<Vec<String>> {
        self.map.columns().map(<[String]>::to_vec)
    }

    /// The classes, in order of their names; empty without labels.
    #[getter]
    fn classes(&self) -> Vec<String> {
        self.map.about().classes.clone()
    }

    /// Whether the solve can be gone on with.
    #[getter]
    fn can_resume(&self) -> bool {
        matches!(self.checkpoint, Ok(Some(_))) && self.data.is_some()
    }
}

impl Model {
    /// What a solve left, judged on the points that were held out of it unless it was interrupted or diverged.
    fn of(
        py: Python<'_>,
        solved: Solved,
        config: Config,
        data: DataRecord,
        command: String,
    ) -> PyResult<Self> {
        let Solved {
            solution,
            checkpoint,
        } = solved;
        let (config, data) = (&config, &data);
        parallel(py, config.threads, move || {
            let evaluation: Option<Evaluation> = if solution.outcome.is_done() {
                let (source, target) = &solution.points;
                let origin = solution.origin();
                let seed = config.seed;
                Some(evaluate_on(
                    origin,
                    &solution.map,
                    source,
                    target,
                    None,
                    seed,
                )?)
            } else {
                None
            };
            let report = RunReport::new(
                command,
                &solution.report,
                solution.fitted,
                data,
                evaluation.as_ref(),
                Vec::new(),
            );
            let report = serde_json::to_value(&report)
                .map_err(|e| bad(format!("the report cannot be made: {e}")))?;
            Ok(Model {
                map: Arc::new(solution.map),
                config: config.clone(),
                data: Some(data.clone()),
                history: solution.history,
                report: Some(report),
                solve: Some(solution.report),
                text: evaluation.map(|e| [e.to_string(), e.certificate.to_string()]),
                checkpoint: Ok(checkpoint),
            })
        })
    }

    fn mapped<'py>(
        &self,
        py: Python<'py>,
        x: &Coordinates<'py>,
        threads: usize,
        columns: usize,
        work: impl FnOnce(&CharacteristicMap, &[f64]) -> charflow::Result<(Vec<f64>, usize)> + Send,
    ) -> PyResult<(Bound<'py, PyAny>, usize)> {
        let map = Arc::clone(&self.map);
        let [rows, width] = x.shape();
        if width != self.map.dim() {
            let message = format!(
                "the points have {width} column{}, the model was fitted to {}",
                if width == 1 { "" } else { "s" },
                self.map.dim()
            );
            return Err(problem(py, message));
        }
        let (values, far) = if rows == 0 {
            (Vec::new(), 0)
        } else {
            x.with_rows(py, threads, |x| work(&map, x))?
        };
        Ok((x.returned(py, threads, values, columns)?, far))
    }

    /// Points to judge the map on, and whether they are those of the fit.
    fn judged(
        &self,
        py: Python<'_>,
        source: &Points,
        target: &Points,
    ) -> PyResult<(Origin, Samples, Samples)> {
        let [source, target] = [source.take(py)?, target.take(py)?];
        let same = |points: &charflow_run::Points, was: &FileRecord| {
            points.record.fingerprint == was.fingerprint
        };
        let origin = match &self.data {
            Some(d) if same(&source, &d.source) || same(&target, &d.target) => Origin::Fitted,
            _ => Origin::Given,
        };
        Ok((origin, source.samples, target.samples))
    }

    fn open(path: &Path) -> charflow::Result<Self> {
        let Fitted { map, data } = Fitted::open(path)?;
        let map = Arc::new(map);
        if !path.is_dir() {
            return Ok(Model {
                config: map.about().config.clone(),
                map,
                data: None,
                history: Vec::new(),
                report: None,
                solve: None,
                text: None,
                checkpoint: Ok(None),
            });
        }
        let run = RunDir::new(path);
        let report: Option<Value> = match std::fs::read_to_string(run.report()) {
            Ok(text) => Some(serde_json::from_str(&text).map_err(|e| Error::Io {
                path: run.report(),
                message: format!("the report is damaged: {e}."),
            })?),
            Err(_) => None,
        };
        Ok(Model {
            config: run.read_config()?,
            map,
            data,
            history: run.read_history()?,
            solve: solve_of(report.as_ref()),
            report,
            text: None,
            checkpoint: run.read_checkpoint(),
        })
    }

    fn write(&self, path: &Path, overwrite: bool) -> charflow::Result<()> {
        let refused = |message: &str| Error::Io {
            path: path.into(),
            message: message.into(),
        };
        if path.extension().is_some_and(|e| e == "safetensors") {
            if !overwrite && path.exists() {
                return Err(refused(
                    "exists already. Replace it by overwrite=True, or choose another path.",
                ));
            }
            return self.map.save(path);
        }
        let (Some(data), Some(report)) = (&self.data, &self.report) else {
            return Err(refused(
                "this map was loaded from a model file without its run, which a run directory needs. Save the model file alone by a path that ends in .safetensors.",
            ));
        };
        let run = RunDir::new(path);
        match (run.standing()?, overwrite) {
            (Standing::Free, _) | (Standing::Run, true) => {}
            (Standing::NoFolder, _) => {
                return Err(refused("exists and is no folder. Choose another path."));
            }
            (Standing::Other, true) => {
                return Err(refused(
                    "exists and does not look like a run of charflow (no config.toml of ours), so overwrite=True does not touch it. Choose another path.",
                ));
            }
            (Standing::Run, false) => {
                return Err(refused(
                    "holds a run already. Replace it by overwrite=True, or choose another path.",
                ));
            }
            (Standing::Other, false) => {
                return Err(refused("exists already. Choose another path."));
            }
        }
        let _lock = run.begin(&self.config, data)?;
        self.map.save(&run.model())?;
        run.write_history(&self.history)?;
        let mut files = vec![run.model(), run.config(), run.data(), run.history()];
        if let Ok(Some(checkpoint)) = &self.checkpoint {
            checkpoint.save(&run.checkpoint())?;
            files.push(run.checkpoint());
        }
        files.push(run.report());
        let mut report = report.clone();
        report["files"] = files.iter().map(|f| f.to_string_lossy()).collect();
        let text = serde_json::to_string_pretty(&report)
            .map_err(|e| bad(format!("the report cannot be written: {e}")))?;
        // The report comes last: a run that has one needs nothing more.
        write_file(&run.report(), text.as_bytes())
    }
}

/// How many points lie far outside the side of the fit that they are moved from: 0 the source, 1 the target.
fn far(map: &CharacteristicMap, x: &[f64], side: usize) -> usize {
    map.bounds().map_or(0, |b| b[side].far(x))
}

/// The facts of the solve in a report.
fn solve_of(report: Option<&Value>) -> Option<Report> {
    serde_json::from_value(report?.get("solve")?.clone()).ok()
}

/// What a run remembers of points that came from memory.
fn record(problem: &Problem, [source, target]: [FileRecord; 2]) -> DataRecord {
    let [labels, weights] = [
        problem.given().iter().any(|s| s.class_of().is_some()),
        problem.given().iter().any(|s| s.weights().is_some()),
    ];
    DataRecord {
        charflow: env!("CARGO_PKG_VERSION").into(),
        columns: None,
        labels: labels.then(|| "labels".into()),
        unlabelled: None,
        weights: weights.then(|| "weights".into()),
        array: None,
        source,
        target,
    }
}

/// Outcomes as Python is told them.
pub fn outcomes() -> Vec<String> {
    use Outcome::{Converged, Diverged, Interrupted, StepLimit, TimeLimit};
    [StepLimit, Converged, TimeLimit, Interrupted, Diverged]
        .iter()
        .filter_map(|o| serde_json::to_value(o).ok()?.as_str().map(String::from))
        .collect()
}

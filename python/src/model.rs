//! A fitted map with what its run knows: what `CharacteristicFlow` holds.

use crate::errors::{missing, problem, told};
use crate::points::{Coordinates, Points};
use crate::solve::{Solved, solve};
use crate::work::{guarded, interruptible, parallel};
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
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// That a resumed fit is asked to be another one.
fn another(name: &str, was: &str, is: &str) -> String {
    format!(
        "this fit was begun with {name} = {was}, now it is {is}. A resumed fit must be the same fit: leave that as it was, or fit anew."
    )
}

/// What is asked of a solve, by the names that the command gives it, and what stands in place of labels that are not known.
fn settings(asked: &Bound<'_, PyDict>) -> PyResult<(Settings, Option<String>)> {
    let (mut settings, mut unlabelled) = (Settings::default(), None);
    for (key, value) in asked {
        let key: String = key.extract()?;
        match key.as_str() {
            "preset" => settings.preset = value.extract()?,
            "effort" => settings.effort = value.extract()?,
            "cost" => settings.cost = value.extract()?,
            "steps" => settings.steps = value.extract()?,
            "time_limit" => settings.time_limit = value.extract()?,
            "seed" => settings.seed = value.extract()?,
            "threads" => settings.threads = value.extract()?,
            "unlabelled" => unlabelled = value.extract()?,
            _ => settings.set.push((key, value.extract()?)),
        }
    }
    Ok((settings, unlabelled))
}

#[pymethods]
impl Model {
    /// Fits a map. `asked` are settings by name: preset, effort, cost, steps, time_limit, seed, threads, and any other by its dotted name with its value as TOML.
    /// `command` is what the report names as its origin; `progress(step, steps, seconds, loss, held_out)` is called some ten times a second. Also gives whether an
    /// interrupt came once the solve was over: then the map is whole and not judged.
    #[staticmethod]
    #[pyo3(signature = (source, target, asked, command, progress=None))]
    fn fit(
        py: Python<'_>,
        source: &Points,
        target: &Points,
        asked: &Bound<'_, PyDict>,
        command: String,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(Self, bool)> {
        let (mut settings, unlabelled) = settings(asked)?;
        let [source, target] = [source.take(py)?, target.take(py)?];
        settings.by_class = source.samples.class_of().is_some();
        let records = [source.record, target.record];
        let (problem, config) = parallel(py, settings.threads.unwrap_or(0), || {
            // Wrong settings are told before anything is done with the points.
            let cost = charflow::cost::parse(&settings.on(2, 2, 1)?.cost)?;
            let problem = Problem::new(source.samples, target.samples, cost)?;
            let [n, m] = [problem.source().len(), problem.target().len()];
            let config = settings.on(n, m, problem.dim())?;
            Ok((problem, config))
        })?;
        let data = record(&problem, records, unlabelled);
        let solved = solve(py, problem, config.clone(), None, progress.as_ref())?;
        Self::of(py, solved, config, data, command)
    }

    /// Goes on with the solve on the same points; `asked` may change steps, time_limit and threads. None if there is nothing left to do, else as `fit`.
    #[pyo3(signature = (source, target, asked, command, progress=None))]
    fn resume(
        &self,
        py: Python<'_>,
        source: &Points,
        target: &Points,
        asked: &Bound<'_, PyDict>,
        command: String,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Option<(Self, bool)>> {
        let (settings, _) = settings(asked)?;
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
                return Err(problem(
                    py,
                    format!(
                        "{} is not the {side} that this fit was begun with: {}. Give the same points, or fit anew.",
                        is.path.display(),
                        is.difference(was)
                    ),
                ));
            }
        }
        for (name, asked, was) in [
            ("preset", &settings.preset, &self.config.preset),
            ("effort", &settings.effort, &self.config.effort),
        ] {
            if let Some(is) = asked.as_ref().filter(|is| *is != was) {
                return Err(problem(py, another(name, was, is)));
            }
        }
        let config = settings
            .over(self.config.clone())
            .map_err(|e| told(py, e))?;
        config.check().map_err(|e| told(py, e))?;
        let changed = changes(&self.config, &config).map_err(|e| told(py, e))?;
        if let Some(Change { name, was, is }) = changed.iter().find(|c| !c.is_allowed()) {
            return Err(problem(py, another(name, was, is)));
        }
        let done = checkpoint.step();
        if config.steps < done {
            let message = format!(
                "steps {}: this fit has done {done} steps already. Ask for more, or fit anew.",
                config.steps
            );
            return Err(problem(py, message));
        }
        if let Some(report) = solve_of(self.report.as_ref())
            && is_finished(&report, &self.config, &config, done)
        {
            return Ok(None);
        }
        let problem = parallel(py, config.threads, || {
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
        if std::fs::symlink_metadata(&path).is_err() {
            return Err(missing(py, &path));
        }
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
                report,
                text: said,
                checkpoint: checkpoint.map(|b| Checkpoint::from_bytes(&b)).transpose(),
            })
        })
    }

    /// The points at time `t` of the characteristics that start at `x`, of shape (n, d), at time 0; and how many of `x` lie far outside the source of the fit.
    fn forward_at<'py>(
        &self,
        py: Python<'py>,
        x: Coordinates<'py>,
        t: f64,
        threads: usize,
    ) -> PyResult<(Bound<'py, PyAny>, usize)> {
        self.moved(py, &x, threads, 0, |map, x| map.forward_at(x, t))
    }

    /// The points at time `t` of the characteristics that end at `y`, of shape (n, d), at time 1; and how many of `y` lie far outside the target of the fit.
    fn backward_at<'py>(
        &self,
        py: Python<'py>,
        y: Coordinates<'py>,
        t: f64,
        threads: usize,
    ) -> PyResult<(Bound<'py, PyAny>, usize)> {
        self.moved(py, &y, threads, 1, |map, y| map.backward_at(y, t))
    }

    /// The potential u(x, t), of shape (n, 1).
    fn potential<'py>(
        &self,
        py: Python<'py>,
        x: Coordinates<'py>,
        t: f64,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.check_width(py, &x)?;
        x.mapped(py, threads, 1, |x| self.map.potential(x, t))
    }

    /// The gradient of the potential with respect to the points, of shape (n, d).
    fn gradient<'py>(
        &self,
        py: Python<'py>,
        x: Coordinates<'py>,
        t: f64,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.check_width(py, &x)?;
        x.mapped(py, threads, self.map.dim(), |x| self.map.gradient(x, t))
    }

    /// Seconds that the Rust library takes for the forward map of `x`, and nothing around it: what the face's overhead is measured against.
    fn seconds_forward(&self, py: Python<'_>, x: Coordinates<'_>, threads: usize) -> PyResult<f64> {
        x.with_rows(py, threads, |x| {
            let started = std::time::Instant::now();
            let y = self.map.forward(x)?;
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
        interruptible(py, threads, move || {
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
        interruptible(py, threads, move || {
            let evaluation = evaluate_on(origin, &map, &source, &target, None, seed)?;
            Ok((json(&evaluation)?, texts(&evaluation)))
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

    /// The settings that a fit would have on these points by preset, effort and cost alone, as JSON; None for a model file without its run.
    #[getter]
    fn usual_config(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let Some(data) = &self.data else {
            return Ok(None);
        };
        let usual = Settings {
            preset: Some(self.config.preset.clone()),
            effort: Some(self.config.effort.clone()),
            cost: Some(self.config.cost.clone()),
            by_class: !self.map.about().classes.is_empty(),
            ..Settings::default()
        };
        let [n, m] = [data.source.rows, data.target.rows];
        guarded(py, || json(&usual.on(n, m, self.map.dim())?)).map(Some)
    }

    /// What stood in place of labels that were not known, if anything did.
    #[getter]
    fn unlabelled(&self) -> Option<String> {
        self.data.as_ref()?.unlabelled.clone()
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
}

impl Model {
    /// What a solve left, judged on the points that were held out of it unless it was interrupted or diverged. An interrupt ends the judging only.
    fn of(
        py: Python<'_>,
        solved: Solved,
        config: Config,
        data: DataRecord,
        command: String,
    ) -> PyResult<(Self, bool)> {
        let Solved {
            solution,
            checkpoint,
        } = solved;
        let origin = solution.origin();
        let map = Arc::new(solution.map);
        let (mut evaluation, mut late): (Option<Evaluation>, _) = (None, false);
        if solution.outcome.is_done() {
            let (map, seed) = (Arc::clone(&map), config.seed);
            let (source, target) = solution.points;
            let judged = interruptible(py, config.threads, move || {
                evaluate_on(origin, &map, &source, &target, None, seed)
            });
            match judged {
                Ok(judged) => evaluation = Some(judged),
                Err(e) if e.is_instance_of::<PyKeyboardInterrupt>(py) => late = true,
                Err(e) => return Err(e),
            }
        }
        let model = guarded(py, || {
            let report = RunReport::new(
                command,
                &solution.report,
                solution.fitted,
                &data,
                evaluation.as_ref(),
                Vec::new(),
            );
            let report = serde_json::to_value(&report)
                .map_err(|e| bad(format!("the report cannot be made: {e}")))?;
            Ok(Model {
                map,
                config,
                data: Some(data),
                history: solution.history,
                report: Some(report),
                text: evaluation.as_ref().map(texts),
                checkpoint: Ok(checkpoint),
            })
        })?;
        Ok((model, late))
    }

    /// Images of points, and how many of the points lie far outside the side of the fit that they are moved from: 0 the source, 1 the target.
    fn moved<'py>(
        &self,
        py: Python<'py>,
        x: &Coordinates<'py>,
        threads: usize,
        side: usize,
        images: impl Fn(&CharacteristicMap, &[f64]) -> charflow::Result<Vec<f64>> + Sync,
    ) -> PyResult<(Bound<'py, PyAny>, usize)> {
        self.check_width(py, x)?;
        let bounds = self.map.bounds().map(|both| &both[side]);
        let far = AtomicUsize::new(0);
        let values = x.mapped(py, threads, self.map.dim(), |x| {
            let values = images(&self.map, x)?;
            far.fetch_add(bounds.map_or(0, |b| b.far(x)), Ordering::Relaxed);
            Ok(values)
        })?;
        Ok((values, far.into_inner()))
    }

    fn check_width(&self, py: Python<'_>, x: &Coordinates<'_>) -> PyResult<()> {
        let [_, width] = x.shape();
        if width == self.map.dim() {
            return Ok(());
        }
        let message = format!(
            "the points have {width} column{}, the model was fitted to {}",
            if width == 1 { "" } else { "s" },
            self.map.dim()
        );
        Err(problem(py, message))
    }

    /// Points to judge the map on, and whether they are those of the fit.
    fn judged(
        &self,
        py: Python<'_>,
        source: &Points,
        target: &Points,
    ) -> PyResult<(Origin, Samples, Samples)> {
        let [source, target] = [source.take(py)?, target.take(py)?];
        let origin = match &self.data {
            Some(d)
                if source.record.same_points(&d.source) || target.record.same_points(&d.target) =>
            {
                Origin::Fitted
            }
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
                text: None,
                checkpoint: Ok(None),
            });
        }
        let run = RunDir::new(path);
        let report = match std::fs::read(run.report()) {
            Ok(bytes) => Some(report_from(&bytes).map_err(|message| Error::Io {
                path: run.report(),
                message: format!(
                    "the report is damaged: {message}. Evaluate the run again, or remove the file."
                ),
            })?),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => {
                return Err(Error::Io {
                    path: run.report(),
                    message: format!("cannot be read: {e}."),
                });
            }
        };
        Ok(Model {
            config: run.read_config()?,
            map,
            data,
            history: run.read_history()?,
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
                "this map was loaded without the record of its data or its report, which a run directory needs. Save the model file alone by a path that ends in .safetensors.",
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

/// An evaluation and its certificate as the command prints them.
fn texts(evaluation: &Evaluation) -> [String; 2] {
    [evaluation.to_string(), evaluation.certificate.to_string()]
}

/// The facts of the solve in a report.
fn solve_of(report: Option<&Value>) -> Option<Report> {
    serde_json::from_value(report?.get("solve")?.clone()).ok()
}

/// A report in which everything is where it is looked for.
fn report_from(bytes: &[u8]) -> Result<Value, String> {
    let report: Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if !report.is_object() {
        return Err("expected an object".into());
    }
    if solve_of(Some(&report)).is_none() {
        return Err("it does not say how the solve ended".into());
    }
    let certificate = |e: &Value| -> bool {
        let part = |name: &str| e.get("certificate").and_then(|c| c.get(name));
        part("sentence").is_some_and(Value::is_string)
            && part("verdict").is_some_and(Value::is_string)
            && ["optimality", "value", "forward"]
                .iter()
                .all(|name| part(name).is_some_and(Value::is_object))
            && e.get("rows").is_some_and(Value::is_array)
            && e.get("points").is_some_and(Value::is_array)
    };
    match report.get("evaluation") {
        None | Some(Value::Null) => Ok(report),
        Some(e) if certificate(e) => Ok(report),
        Some(_) => Err("its evaluation has no certificate".into()),
    }
}

/// What a run remembers of points that came from memory.
fn record(
    problem: &Problem,
    [source, target]: [FileRecord; 2],
    unlabelled: Option<String>,
) -> DataRecord {
    let [labels, weights] = [
        problem.given().iter().any(|s| s.class_of().is_some()),
        problem.given().iter().any(|s| s.weights().is_some()),
    ];
    DataRecord {
        charflow: env!("CARGO_PKG_VERSION").into(),
        columns: None,
        labels: labels.then(|| "labels".into()),
        unlabelled: unlabelled.filter(|_| labels),
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

//! `charflow fit`: two files of points go in, a run directory comes out.

use super::evaluate::to_json;
use crate::failure::{Failure, Result};
use crate::files::{ColumnArgs, RowArgs, read_pair};
use crate::interrupt::Guard;
use crate::pictures::{Clouds, draw};
use crate::progress::Watcher;
use crate::run::{DataRecord, Lock, RunDir, check_free, command_line, resume_command, write_file};
use crate::terminal::{duration, note, parse_duration, quoted, say, shown};
use charflow::Problem;
use charflow::cost::{short, short_pair};
use charflow::evaluate::evaluate_on;
use charflow::solver::{Checkpoint, Config, NcfSolver, Outcome, Report, Solution};
use charflow_run::{
    Change, FileRecord, Points, RunReport, Settings, changes, is_finished, judged_on, unlabelled_in,
};
use serde::Deserialize;
use std::path::PathBuf;

/// Fit a map between two files of points.
///
/// Writes a run directory: config.toml (every setting), data.toml, model.safetensors, history.csv, report.json, figures, and a checkpoint
/// from which --resume goes on. Says first, in a sentence, how near the map is to the cheapest one, on points held out of the fit. Formats: .npy, .npz, .csv, .tsv, .parquet, by the file's name.
#[derive(clap::Args, Default)]
#[command(after_help = "\
Settings come from the preset, then --config, then --set, then the options named after them.

Example (every line runs as printed):
  charflow data swiss-roll -o data
  charflow data moons -o data
  charflow fit data/swiss-roll.csv data/moons.csv -o run --steps 2000 --set 'network.hidden=[32,32]'
  charflow data labelled-mixture -o m
  charflow fit m/source.csv m/target.csv -o run-m --labels label --time-limit 20s
  charflow fit data/swiss-roll.csv data/moons.csv -o run-quick --effort quick --steps 500
  charflow fit m/source.csv m/source.csv -o ab --source-rows 3=A --target-rows 3=B --steps 2000")]
pub struct Fit {
    /// The source points
    #[arg(value_name = "SOURCE")]
    pub source: PathBuf,
    /// The target points
    #[arg(value_name = "TARGET")]
    pub target: PathBuf,
    /// The run directory to make
    #[arg(short = 'o', long = "out", value_name = "RUN")]
    pub out: PathBuf,
    #[command(flatten)]
    pub columns: ColumnArgs,
    #[command(flatten)]
    pub rows: RowArgs,
    /// The transport cost l(v) of moving a point by v, with its parameters in the units of the data [default: quadratic]
    ///
    ///   quadratic         |v|^2 / 2
    ///   mahalanobis:FILE  v'Av / 2, the rows of A in FILE
    ///   norm-power:1.5    |v|^a / a, a from 1.1 to 10
    ///   power:3           sum_i |v_i|^a / a, a from 1.1 to 10
    ///   elastic:0.5       |v|^2 / 2 + gamma sum_i |v_i|, gamma >= 0
    ///   relativistic:2.0  s^2 (1 - sqrt(1 - |v|^2 / s^2)), s > 0
    ///
    /// FILE may be in any format of points; mahalanobis:[[2,0.5],[0.5,1]] gives the matrix itself.
    /// Under elastic, coordinates that gain little by moving do not move at all; under relativistic no point moves
    /// further than s.
    #[arg(long, value_name = "COST", verbatim_doc_comment)]
    pub cost: Option<String>,
    /// The settings to begin from: auto, paper-2d, paper-gaussian or color [default: auto]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// How much work the presets auto and color do: quick, normal or best; without effect with --labels or a --config [default: normal]
    #[arg(long, value_name = "EFFORT")]
    pub effort: Option<String>,
    /// Settings from a file, such as the config.toml of another run
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// One setting by its name in config.toml, such as optimiser.rate=1e-3; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Optimisation steps
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Stop after this time with what there is: 90, 90s, 5m, 1h; 0 for no limit
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub time_limit: Option<f64>,
    /// Seed of everything random
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Threads; 0 for all cores. Results do not depend on it
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Time between checkpoints [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub checkpoint_every: Option<f64>,
    /// Go on with the run in RUN; begins it if there is none
    #[arg(long, conflicts_with = "force")]
    pub resume: bool,
    /// Replace the run in RUN
    #[arg(long)]
    pub force: bool,
    /// Draw no pictures
    #[arg(long)]
    pub no_figures: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Everything settled, nothing done yet.
struct Plan {
    problem: Problem,
    config: Config,
    data: DataRecord,
    checkpoint: Option<Checkpoint>,
    lock: Lock,
}

/// What a resume needs to know of the report.
#[derive(Deserialize)]
struct Earlier {
    solve: Report,
}

impl Fit {
    /// Runs the verb.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<()> {
        let run = RunDir::new(&self.out);
        let going_on = self.resume && run.exists();
        let Some(plan) = (if going_on {
            self.plan_resume(&run)?
        } else {
            Some(self.plan_new(&run)?)
        }) else {
            return Ok(());
        };
        let Plan {
            problem,
            config,
            data,
            checkpoint,
            lock,
        } = plan;
        let _lock = lock;

        // What is looked at afterwards is copied now: the solver works on the points in place.
        let clouds = (!self.no_figures).then(|| {
            let files = [&data.source, &data.target];
            let [source, target] = problem.given();
            Clouds::of(files, source, target)
        });
        if !self.json {
            say(&begun(&problem, &config, &data, &checkpoint))?;
        }
        let said = problem.notes().to_vec();
        let solution = self.solve(&run, problem, &config, &data, checkpoint)?;
        solution.map.save(&run.model())?;
        run.write_history(&solution.history)?;

        let done = solution.outcome.is_done();
        let mut evaluation = None;
        let mut files = vec![
            run.model(),
            run.config(),
            run.data(),
            run.history(),
            run.checkpoint(),
        ];
        if done {
            evaluation = Some(evaluate_on(
                solution.origin(),
                &solution.map,
                &solution.points.0,
                &solution.points.1,
                None,
                config.seed,
            )?);
            if let Some(clouds) = &clouds {
                files.extend(draw(
                    &solution.map,
                    clouds,
                    &solution.history,
                    &run.figures(),
                )?);
            }
        }
        files.push(run.report());
        // The report comes last: a run that has one needs nothing more.
        let json = to_json(&RunReport::new(
            command_line(),
            &solution.report,
            solution.fitted,
            &data,
            evaluation.as_ref(),
            files,
        ))?;
        write_file(&run.report(), json.as_bytes())?;
        if self.json {
            say(&json)?;
        } else {
            say(&ended(&solution, &config, &said))?;
            if let Some(evaluation) = &evaluation {
                say(&format!(
                    "\non {}:\n{}",
                    judged_on(solution.fitted),
                    evaluation.to_string().trim_end()
                ))?;
            }
            if done {
                say(&next(&run, &data, clouds.is_some()))?;
            }
        }
        let resume = resume_command(&data, run.path());
        match solution.outcome {
            Outcome::Interrupted => Err(Failure::Short(format!(
                "interrupted after {} of {} steps. The model so far is in {}. Go on with: {resume}",
                solution.report.steps,
                config.steps,
                run.model().display()
            ))),
            Outcome::Diverged => Err(Failure::Short(format!(
                "the solve diverged after {} steps, {} attempts with smaller rates included. The last good model is in {}. Begin again with a smaller \
                 rate: --set optimiser.rate={:.1e} --force",
                solution.report.steps,
                solution.report.divergences,
                run.model().display(),
                config.optimiser.rate / 10.0
            ))),
            _ => Ok(()),
        }
    }

    /// Checks everything, then makes the run directory.
    fn plan_new(&self, run: &RunDir) -> Result<Plan> {
        check_free(run, self.force)?;
        if self.resume {
            note(&format!(
                "there is no run in {} yet; it is begun",
                run.path().display()
            ));
        }
        // Wrong settings are told before large files are read.
        let settings = self.settings()?;
        let cost = charflow::cost::parse(&settings.on(2, 2, 1)?.cost)?;
        super::set_threads(self.threads.unwrap_or(0))?;
        let (source, target) = read_pair(&self.source, &self.target, &self.columns, &self.rows)?;
        let data = record(&self.columns, &source, &target);
        let problem = Problem::new(source.samples, target.samples, cost)?;
        let config = settings.on(
            problem.source().len(),
            problem.target().len(),
            problem.dim(),
        )?;
        let lock = run.begin(&config, &data)?;
        Ok(Plan {
            problem,
            config,
            data,
            checkpoint: None,
            lock,
        })
    }

    /// Checks that the run is the same one; `None` if it has nothing left to do.
    fn plan_resume(&self, run: &RunDir) -> Result<Option<Plan>> {
        let place = run.path().display();
        if !run.looks_like_a_run() {
            return Err(Failure::input(format!(
                "{place} exists and is no run of charflow, so there is nothing to resume. Choose another one with -o."
            )));
        }
        let lock = run.lock()?;
        run.sweep();
        let begun_with = run.read_config()?;
        if !run.data().exists() {
            return Err(Failure::input(format!(
                "{place} was left before it was set up (no data.toml). Begin again with --force."
            )));
        }
        let old = run.read_data()?;
        let config = self.settings()?.over(begun_with.clone())?;
        config.check()?;
        if let Some(effort) = self.effort.as_ref().filter(|e| **e != begun_with.effort) {
            return Err(Failure::input(format!(
                "{place} was begun with --effort {}, not {effort}.{REMEDY}",
                begun_with.effort
            )));
        }
        if let Some(preset) = self.preset.as_ref().filter(|p| **p != begun_with.preset) {
            return Err(Failure::input(format!(
                "{place} was begun with --preset {}, not {preset}.{REMEDY}",
                begun_with.preset
            )));
        }
        let changed = changes(&begun_with, &config)?;
        if let Some(Change { name, was, is }) = changed.iter().find(|c| !c.is_allowed()) {
            let (was, is) = short_pair(was, is);
            return Err(Failure::input(format!(
                "{place} was begun with {name} = {was}, now it is {is}.{REMEDY}"
            )));
        }

        let asked = &self.columns;
        for (name, was, is) in [
            ("columns", &old.columns, &asked.columns),
            ("labels", &old.labels, &asked.labels),
            ("unlabelled", &old.unlabelled, &asked.unlabelled),
            ("weights", &old.weights, &asked.weights),
            ("array", &old.array, &asked.array),
            ("source-rows", &old.source.chosen, &self.rows.source_rows),
            ("target-rows", &old.target.chosen, &self.rows.target_rows),
        ] {
            // Points from memory had no file, hence no columns in one.
            if is.is_some() && is != was && !old.source.in_memory {
                return Err(Failure::input(format!(
                    "{place} was begun with {}, now it is --{name} {}.{REMEDY}",
                    was.as_ref()
                        .map_or(format!("no --{name}"), |w| format!("--{name} {w}")),
                    is.as_deref().unwrap_or("")
                )));
            }
        }
        super::set_threads(config.threads)?;
        let (columns, rows) = if old.source.in_memory {
            (self.columns.clone(), self.rows.clone())
        } else {
            (ColumnArgs::of_run(&old), RowArgs::of_run(&old))
        };
        let (source, target) = read_pair(&self.source, &self.target, &columns, &rows)?;
        for (points, was, side) in [
            (&source, &old.source, "source"),
            (&target, &old.target, "target"),
        ] {
            if points.record.fingerprint != was.fingerprint {
                return Err(Failure::input(format!(
                    "{} is not the {side} that {place} was begun with: {}.{REMEDY}",
                    points.record.path.display(),
                    points.record.difference(was)
                )));
            }
        }
        let data = record(&columns, &source, &target);
        let problem = Problem::new(
            source.samples,
            target.samples,
            charflow::cost::parse(&config.cost)?,
        )?;

        let checkpoint = run
            .read_checkpoint()
            .map_err(|e| Failure::input(format!("{e}. Begin again with --force.")))?;
        let steps_done = checkpoint.as_ref().map_or(0, Checkpoint::step);
        if config.steps < steps_done {
            return Err(Failure::input(format!(
                "--steps {}: {place} has done {steps_done} steps already. Ask for more, or begin again with --force.",
                config.steps
            )));
        }
        if let Ok(text) = std::fs::read_to_string(run.report())
            && let Ok(earlier) = serde_json::from_str::<Earlier>(&text)
            && is_finished(&earlier.solve, &begun_with, &config, steps_done)
        {
            if self.json {
                say(&text)?;
            } else {
                say(&format!(
                    "{place} is done: {} steps in {}. To go on, ask for more --steps or a longer --time-limit.",
                    earlier.solve.steps,
                    duration(earlier.solve.seconds)
                ))?;
            }
            return Ok(None);
        }
        if changed.iter().any(|c| c.name == "steps") && steps_done > 0 {
            note(
                "with another number of steps the learning rate follows a new plan from here on; the result is not that of a run begun with it",
            );
        }
        if !changed.is_empty() {
            write_file(&run.config(), config.to_toml().as_bytes())?;
        }
        Ok(Some(Plan {
            problem,
            config,
            data,
            checkpoint,
            lock,
        }))
    }

    /// What the options ask of a solve.
    fn settings(&self) -> Result<Settings> {
        let file = match &self.config {
            Some(path) => Some((path.clone(), read_text(path)?)),
            None => None,
        };
        Ok(Settings {
            preset: self.preset.clone(),
            effort: self.effort.clone(),
            file,
            set: pairs(&self.set)?,
            cost: self.cost.clone(),
            steps: self.steps,
            time_limit: self.time_limit,
            seed: self.seed,
            threads: self.threads,
            by_class: self.columns.labels.is_some(),
        })
    }

    fn solve(
        &self,
        run: &RunDir,
        problem: Problem,
        config: &Config,
        data: &DataRecord,
        from: Option<Checkpoint>,
    ) -> Result<Solution> {
        let before = from
            .as_ref()
            .and_then(|c| c.history().last())
            .map_or(0.0, |row| row.seconds);
        let mut watcher = Watcher::new(
            Some(run),
            config.time_limit,
            before,
            self.checkpoint_every.unwrap_or(10.0),
        );
        let guard = Guard::new();
        let solver = NcfSolver::new(config.clone());
        let solution = match from {
            Some(checkpoint) => solver.resume(problem, checkpoint, &mut watcher),
            None => solver.solve(problem, &mut watcher),
        };
        watcher.finish();
        drop(guard);
        solution.map_err(|e| match e {
            charflow::Error::Io { .. } => Failure::input(format!(
                "{e}. The run up to its last checkpoint is kept; when this is mended go on with: {}",
                resume_command(data, run.path())
            )),
            other => other.into(),
        })
    }
}

/// Settings of the form KEY=VALUE.
///
/// # Errors
/// No `=`.
fn pairs(set: &[String]) -> Result<Vec<(String, String)>> {
    set.iter()
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) => Ok((key.to_string(), value.to_string())),
            None => Err(Failure::input(format!(
                "--set {pair}: expected KEY=VALUE, such as optimiser.rate=1e-3."
            ))),
        })
        .collect()
}

/// Puts settings of the form KEY=VALUE over others.
///
/// # Errors
/// No `=`, a setting that does not exist, a value of the wrong kind.
pub fn with_set(mut config: Config, set: &[String]) -> Result<Config> {
    for (key, value) in pairs(set)? {
        config.set(&key, &value)?;
    }
    Ok(config)
}

const REMEDY: &str = " A resumed run must be the same run: leave that as it was, or choose another directory with -o.";

fn read_text(path: &std::path::Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| Failure::system(path, "the settings cannot be read", &e))
}

fn record(columns: &ColumnArgs, source: &Points, target: &Points) -> DataRecord {
    DataRecord {
        charflow: env!("CARGO_PKG_VERSION").into(),
        columns: columns.columns.clone(),
        labels: columns.labels.clone(),
        unlabelled: columns.unlabelled.clone(),
        weights: columns.weights.clone(),
        array: columns.array.clone(),
        source: source.record.clone(),
        target: target.record.clone(),
    }
}

fn begun(
    problem: &Problem,
    config: &Config,
    data: &DataRecord,
    checkpoint: &Option<Checkpoint>,
) -> String {
    let d = problem.dim();
    let mut text = format!(
        "{} points ({}) to {} points ({}), {d} column{}\n",
        problem.source().len(),
        problem.source().name(),
        problem.target().len(),
        problem.target().name(),
        if d == 1 { "" } else { "s" }
    );
    for choice in [&data.source, &data.target]
        .into_iter()
        .filter_map(FileRecord::choice)
    {
        text.push_str(&format!("{choice}\n"));
    }
    let classes = problem.source().class_names().len();
    if classes > 0 {
        text.push_str(&format!("{classes} classes, paired by name"));
        let [a, b] = [problem.source(), problem.target()].map(unlabelled_in);
        if a + b > 0 {
            text.push_str(&format!(
                "; {a} source and {b} target points of unknown class"
            ));
        }
        text.push('\n');
    }
    let network = &config.network;
    text.push_str(&format!(
        "preset {}: {} {:?}, cost {}, seed {}, {} steps",
        config.preset,
        network.kind,
        network.hidden,
        short(&config.cost),
        config.seed,
        config.steps
    ));
    if config.time_limit > 0.0 {
        text.push_str(&format!(", at most {}", duration(config.time_limit)));
    }
    for reason in config.reasons(problem.source().len(), problem.target().len(), d) {
        text.push_str(&format!("\n  {reason}"));
    }
    if let Some(checkpoint) = checkpoint {
        text.push_str(&format!("\ngoing on from step {}", checkpoint.step()));
    }
    for note in problem.notes() {
        text.push_str(&format!("\nnote: {note}"));
    }
    text
}

/// `said` are the notes that were told before.
fn ended(solution: &Solution, config: &Config, said: &[String]) -> String {
    let report = &solution.report;
    let how = match solution.outcome {
        Outcome::StepLimit => "done",
        Outcome::Converged => "converged",
        Outcome::TimeLimit => "time limit reached",
        Outcome::Interrupted => "interrupted",
        Outcome::Diverged => "diverged",
    };
    let steps = if report.steps == config.steps {
        format!("{} steps", report.steps)
    } else {
        format!("{} of {} steps", report.steps, config.steps)
    };
    let mut text = format!(
        "{how}: {steps} in {}; kept the model of step {}: {}",
        duration(report.seconds),
        report.chosen_step,
        report.chosen_by
    );
    for line in report.notes.iter().filter(|line| !said.contains(line)) {
        text.push_str(&format!("\nnote: {line}"));
    }
    text
}

fn next(run: &RunDir, data: &DataRecord, figures: bool) -> String {
    let place = shown(run.path());
    let mut text = format!(
        "\nfiles in {place}: model.safetensors, report.json, history.csv, config.toml, data.toml"
    );
    if figures {
        text.push_str(", figures");
    }
    text.push_str(&format!(
        "\nnext: charflow transport {place} {}{} -o moved.csv\n      charflow evaluate {place} {} {}{}",
        shown(&data.source.path),
        data.source
            .chosen
            .as_ref()
            .map_or(String::new(), |rows| format!(" --rows {}", quoted(rows))),
        shown(&data.source.path),
        shown(&data.target.path),
        RowArgs::of_run(data).words()
    ));
    text
}

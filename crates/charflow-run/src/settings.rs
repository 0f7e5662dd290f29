//! The settings of a solve: what was asked for, over what follows from the data.
//!
//! ```text
//! preset and effort  <  a file of settings  <  single settings by name  <  cost, steps, time limit, seed, threads
//! ```
//!
//! Whoever asks, the command or a program in Python, the same words on the same data give the same [`Config`], hence the same model.

use crate::cost::resolved_cost;
use charflow::solver::Config;
use charflow::{Error, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is asked of a solve; what is left out follows from the data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The settings to begin from: one of [`charflow::solver::PRESETS`].
    pub preset: Option<String>,
    /// One of [`charflow::solver::EFFORTS`].
    pub effort: Option<String>,
    /// A file of settings, such as the `config.toml` of another run: its name and its text.
    pub file: Option<(PathBuf, String)>,
    /// Single settings by their dotted name, as [`Config::set`] takes them.
    pub set: Vec<(String, String)>,
    /// The transport cost, as [`resolved_cost`] takes it.
    pub cost: Option<String>,
    /// Optimisation steps.
    pub steps: Option<u64>,
    /// Seconds of solving, 0 for no limit.
    pub time_limit: Option<f64>,
    /// Seed of everything random.
    pub seed: Option<u64>,
    /// Threads, 0 for all cores.
    pub threads: Option<usize>,
    /// Whether the points have labels.
    pub by_class: bool,
}

impl Settings {
    /// The settings of a new solve on `n` and `m` points in `d` dimensions.
    ///
    /// # Errors
    /// [`Error::Config`] with the setting, [`Error::Problem`] or [`Error::Io`] with the file.
    pub fn on(&self, n: usize, m: usize, d: usize) -> Result<Config> {
        let named = |asked: &Option<String>, key: &str, default: &str| {
            let in_file = || self.file.as_ref().and_then(|(_, text)| word_in(text, key));
            asked
                .clone()
                .or_else(in_file)
                .unwrap_or_else(|| default.into())
        };
        let preset = named(&self.preset, "preset", "auto");
        let effort = named(&self.effort, "effort", "normal");
        let mut config = Config::preset_with_effort(&preset, &effort, n, m, d)?;
        if self.by_class {
            config = config.for_classes(n, m, d);
        }
        let mut config = self.over(config)?;
        config.preset = preset;
        config.effort = effort;
        config.check()?;
        Ok(config)
    }

    /// Puts what is asked for over settings: those of the data, or those that a run was begun with.
    ///
    /// # Errors
    /// As for [`Settings::on`].
    pub fn over(&self, mut config: Config) -> Result<Config> {
        if let Some((path, text)) = &self.file {
            config = config
                .merged(text)
                .map_err(|e| Error::Problem(format!("{}: {e}", path.display())))?;
        }
        for (key, value) in &self.set {
            config.set(key, value)?;
        }
        if let Some(steps) = self.steps {
            config.steps = steps;
        }
        if let Some(seconds) = self.time_limit {
            config.time_limit = seconds;
        }
        if let Some(seed) = self.seed {
            config.seed = seed;
        }
        if let Some(threads) = self.threads {
            config.threads = threads;
        }
        if let Some(cost) = &self.cost {
            config.cost.clone_from(cost);
        }
        config.cost = resolved_cost(&config.cost)?;
        if i64::try_from(config.seed).is_err() || i64::try_from(config.steps).is_err() {
            return Err(Error::Problem(
                "seed and steps go up to 9223372036854775807, the largest number a .toml file holds."
                    .into(),
            ));
        }
        Ok(config)
    }
}

/// The word that a file of settings gives for `key`.
fn word_in(text: &str, key: &str) -> Option<String> {
    Some(
        text.parse::<toml::Table>()
            .ok()?
            .get(key)?
            .as_str()?
            .to_string(),
    )
}

/// A setting that is another one now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its dotted name.
    pub name: String,
    /// The old value, as TOML.
    pub was: String,
    /// The new one.
    pub is: String,
}

impl Change {
    /// Whether a run may go on with it: it does not change where the run goes, only how far and how fast.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        ["steps", "time_limit", "threads"].contains(&self.name.as_str())
    }
}

/// The settings in which two sets differ.
///
/// # Errors
/// [`Error::Problem`] for settings that no TOML file holds.
pub fn changes(old: &Config, new: &Config) -> Result<Vec<Change>> {
    let flat = |config: &Config| -> Result<BTreeMap<String, String>> {
        let table = toml::Table::try_from(config).map_err(|e| Error::Problem(e.to_string()))?;
        let mut out = BTreeMap::new();
        flatten(&table, "", &mut out);
        Ok(out)
    };
    let (old, new) = (flat(old)?, flat(new)?);
    Ok(old
        .into_iter()
        .filter_map(|(name, was)| {
            let is = new.get(&name)?.clone();
            (is != was).then_some(Change { name, was, is })
        })
        .collect())
}

fn flatten(table: &toml::Table, path: &str, out: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let name = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match value {
            toml::Value::Table(inner) => flatten(inner, &name, out),
            other => {
                out.insert(name, other.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_goes_over_what_the_data_say() {
        let plain = Settings::default().on(500, 600, 2).unwrap();
        assert_eq!(
            (plain.preset.as_str(), plain.effort.as_str()),
            ("auto", "normal")
        );
        let file = "preset = \"paper-2d\"\nsteps = 7\nseed = 3\n[optimiser]\nrate = 0.5\n";
        let asked = Settings {
            file: Some(("other.toml".into(), file.into())),
            set: vec![("optimiser.rate".into(), "0.25".into())],
            seed: Some(9),
            cost: Some(" elastic:0.50".into()),
            ..Settings::default()
        };
        let config = asked.on(500, 600, 2).unwrap();
        // The file is over the preset that it names, a single setting over the file, an option over both.
        assert_eq!((config.preset.as_str(), config.steps), ("paper-2d", 7));
        assert_eq!((config.optimiser.rate, config.seed), (0.25, 9));
        assert_eq!(config.cost, "elastic:0.5");
        assert_eq!(
            config.batch,
            Config::preset("paper-2d", 500, 600, 2).unwrap().batch
        );
        let by_class = Settings {
            by_class: true,
            ..Settings::default()
        };
        assert_eq!(by_class.on(500, 600, 8).unwrap(), plain_for_classes());
        for (settings, word) in [
            (
                Settings {
                    effort: Some("much".into()),
                    ..Settings::default()
                },
                "much",
            ),
            (
                Settings {
                    cost: Some("cubic".into()),
                    ..Settings::default()
                },
                "cubic",
            ),
            (
                Settings {
                    seed: Some(u64::MAX),
                    ..Settings::default()
                },
                "seed",
            ),
            (
                Settings {
                    file: Some(("o.toml".into(), "stepz = 1".into())),
                    ..Settings::default()
                },
                "o.toml",
            ),
        ] {
            let message = settings.on(500, 600, 2).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }

    fn plain_for_classes() -> Config {
        let plain = Config::preset_with_effort("auto", "normal", 500, 600, 8).unwrap();
        plain.for_classes(500, 600, 8)
    }

    #[test]
    fn changes_are_named_and_told_apart() {
        let old = Settings::default().on(50, 60, 2).unwrap();
        assert_eq!(changes(&old, &old), Ok(vec![]));
        let mut new = old.clone();
        new.steps += 1;
        new.optimiser.rate *= 2.0;
        let found = changes(&old, &new).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|c| (c.name.as_str(), c.is_allowed()))
            .collect();
        assert_eq!(names, [("optimiser.rate", false), ("steps", true)]);
        assert_eq!(found[1].is, new.steps.to_string());
    }
}

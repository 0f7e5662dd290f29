//! The run directory: a solve as files.
//!
//! | file | what |
//! |---|---|
//! | `config.toml` | every setting, defaults written out |
//! | `data.toml` | the two files, the rows and columns used, and a fingerprint of the points |
//! | `model.safetensors` | the map |
//! | `checkpoint.safetensors` | where the solve stands, for `--resume` |
//! | `history.csv` | losses over steps |
//! | `report.json` | what came out |
//! | `figures/` | pictures |
//!
//! The directory appears with its first two files in it, and every file is replaced whole: killed at any moment, a run can be resumed.

use crate::record::DataRecord;
use crate::shell::shown;
use crate::{system, told};
use charflow::model::CharacteristicMap;
use charflow::solver::{Checkpoint, Config, HistoryRow};
use charflow::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Writes a file whole or not at all.
///
/// # Errors
/// [`Error::Io`] with what the system says.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    charflow_io::write_file(path, bytes).map_err(told)
}

/// A run directory, there or not yet.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

/// The files a run may hold beside its figures.
const FILES: [&str; 6] = [
    "config.toml",
    "data.toml",
    "model.safetensors",
    "checkpoint.safetensors",
    "history.csv",
    "report.json",
];

/// The pictures a run may hold.
pub const FIGURES: [&str; 3] = ["transport", "flow", "losses"];

/// What is where a run is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing, or an empty folder.
    Free,
    /// A run of charflow, as far as can be seen.
    Run,
    /// A folder of something else.
    Other,
    /// A file.
    NoFolder,
}

/// While it lives, no other process works on the run.
#[derive(Debug)]
pub struct Lock {
    _folder: Option<fs::File>,
}

impl RunDir {
    /// The run directory at `path`.
    pub fn new(path: &Path) -> Self {
        RunDir {
            path: path.to_path_buf(),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }
    /// The data's record.
    pub fn data(&self) -> PathBuf {
        self.path.join("data.toml")
    }
    /// The map.
    pub fn model(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }
    /// The state of the solve.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.safetensors")
    }
    /// The losses.
    pub fn history(&self) -> PathBuf {
        self.path.join("history.csv")
    }
    /// What came out.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.json")
    }
    /// The pictures.
    pub fn figures(&self) -> PathBuf {
        self.path.join("figures")
    }

    /// Whether something of that name exists, a broken link included.
    pub fn exists(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok()
    }

    /// Whether the directory was written by this command, as far as can be seen: its settings can be read.
    pub fn looks_like_a_run(&self) -> bool {
        // An empty file would pass for settings that are all left at their defaults; ours names them all.
        let ours = |text: String| text.contains("[network]") && text.contains("[optimiser]");
        self.read_config().is_ok() && fs::read_to_string(self.config()).is_ok_and(ours)
    }

    /// What is at the path now.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder that cannot be read.
    pub fn standing(&self) -> Result<Standing> {
        if !self.exists() {
            return Ok(Standing::Free);
        }
        if !self.path.is_dir() {
            return Ok(Standing::NoFolder);
        }
        let empty = fs::read_dir(&self.path)
            .map_err(|e| system(&self.path, "cannot be read", &e))?
            .next()
            .is_none();
        Ok(match (empty, self.looks_like_a_run()) {
            (_, true) => Standing::Run,
            (true, false) => Standing::Free,
            (false, false) => Standing::Other,
        })
    }

    /// Makes the directory with its settings and the data's record; files of an earlier run in it are removed, no others.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(&self, config: &Config, data: &DataRecord) -> Result<Lock> {
        let settings = config.to_toml();
        let record = toml::to_string(data).map_err(|e| {
            Error::Problem(format!("the record of the data cannot be written: {e}"))
        })?;
        if self.exists() {
            let lock = self.lock()?;
            // The settings stay until the new ones replace them: without them the directory would not be known as ours.
            let results = FILES
                .iter()
                .filter(|f| **f != "config.toml")
                .map(|f| self.path.join(f));
            let pictures = FIGURES
                .iter()
                .flat_map(|f| ["png", "svg"].map(|e| self.figures().join(format!("{f}.{e}"))));
            for file in results.chain(pictures) {
                match fs::remove_file(&file) {
                    Err(e)
                        if e.kind() != std::io::ErrorKind::NotFound
                            && e.kind() != std::io::ErrorKind::NotADirectory =>
                    {
                        return Err(system(&file, "cannot be removed", &e));
                    }
                    _ => {}
                }
            }
            self.sweep();
            write_file(&self.config(), settings.as_bytes())?;
            write_file(&self.data(), record.as_bytes())?;
            return Ok(lock);
        }
        // A new directory gets its name when both files are in it.
        let parent = match self.path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let cannot = |e: &std::io::Error| system(&self.path, "the folder cannot be made", e);
        fs::create_dir_all(&parent).map_err(|e| cannot(&e))?;
        let name = self
            .path
            .file_name()
            .ok_or_else(|| Error::Problem(format!("{} names no folder.", self.path.display())))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.tmp", std::process::id()));
        let temporary = parent.join(hidden);
        let _ = fs::remove_dir_all(&temporary);
        let made = fs::create_dir(&temporary)
            .map_err(|e| cannot(&e))
            .and_then(|()| {
                let inside = RunDir::new(&temporary);
                let lock = inside.lock()?;
                write_file(&inside.config(), settings.as_bytes())?;
                write_file(&inside.data(), record.as_bytes())?;
                fs::rename(&temporary, &self.path).map_err(|e| cannot(&e))?;
                Ok(lock)
            });
        if made.is_err() {
            let _ = fs::remove_dir_all(&temporary);
        }
        made
    }

    /// Keeps other processes from working on the run.
    ///
    /// # Errors
    /// One does already.
    pub fn lock(&self) -> Result<Lock> {
        // A folder can be opened and locked on Unix only; elsewhere runs are not guarded against each other.
        let folder = if cfg!(unix) {
            fs::File::open(&self.path).ok()
        } else {
            None
        };
        if let Some(folder) = &folder
            && let Err(fs::TryLockError::WouldBlock) = folder.try_lock()
        {
            return Err(Error::Io {
                path: self.path.clone(),
                message: "another charflow is working on this run.".into(),
            });
        }
        Ok(Lock { _folder: folder })
    }

    /// Removes what a killed process left: our own temporary files.
    pub fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.path) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let bare = name.strip_prefix('.').unwrap_or(&name);
            if name.ends_with(".tmp") && FILES.iter().any(|f| bare.starts_with(&format!("{f}."))) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The settings of the run.
    ///
    /// # Errors
    /// They are missing or cannot be read.
    pub fn read_config(&self) -> Result<Config> {
        let path = self.config();
        let text = fs::read_to_string(&path).map_err(|e| system(&path, "cannot be read", &e))?;
        Config::from_toml(&text).map_err(|e| Error::Io {
            path,
            message: e.to_string(),
        })
    }

    /// The record of the run's data.
    ///
    /// # Errors
    /// It is missing or cannot be read.
    pub fn read_data(&self) -> Result<DataRecord> {
        let path = self.data();
        let text = fs::read_to_string(&path).map_err(|e| system(&path, "cannot be read", &e))?;
        toml::from_str(&text).map_err(|e| Error::Io {
            path,
            message: e.message().to_string(),
        })
    }

    /// The state of the solve; none where the file is missing.
    ///
    /// # Errors
    /// [`Error::Io`]: the file is damaged, or of a version that cannot be gone on with.
    pub fn read_checkpoint(&self) -> Result<Option<Checkpoint>> {
        let path = self.checkpoint();
        path.exists().then(|| Checkpoint::load(&path)).transpose()
    }

    /// Writes the losses.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_history(&self, rows: &[HistoryRow]) -> Result<()> {
        let path = self.history();
        let bytes = history_to_csv(rows).map_err(|message| Error::Io {
            path: path.clone(),
            message,
        })?;
        write_file(&path, &bytes)
    }

    /// Reads the losses; none where the file is missing.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn read_history(&self) -> Result<Vec<HistoryRow>> {
        let path = self.history();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(system(&path, "cannot be read", &e)),
        };
        history_from_csv(&bytes).map_err(|message| Error::Io { path, message })
    }
}

/// The bytes of `history.csv`.
///
/// # Errors
/// What the writer says.
pub fn history_to_csv(rows: &[HistoryRow]) -> std::result::Result<Vec<u8>, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(|e| format!("{e}."))?;
    }
    writer.into_inner().map_err(|e| format!("{e}."))
}

/// The losses in the bytes of `history.csv`.
///
/// # Errors
/// The bytes are damaged.
pub fn history_from_csv(bytes: &[u8]) -> std::result::Result<Vec<HistoryRow>, String> {
    csv::Reader::from_reader(bytes)
        .deserialize()
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| format!("the losses cannot be read: {e}."))
}

/// What is said of a path where nothing is.
pub const NO_SUCH_RUN: &str = "there is no such run directory or model file.";

/// A fitted map, and what its run knows of the data.
pub struct Fitted {
    /// The map.
    pub map: CharacteristicMap,
    /// The data's record, where the map was given as a run directory.
    pub data: Option<DataRecord>,
}

impl Fitted {
    /// Loads a run directory, or a model file.
    ///
    /// # Errors
    /// [`Error::Io`]: there is no such run, or its model is missing, cut short, foreign, or newer than this program.
    pub fn open(path: &Path) -> Result<Self> {
        let run = RunDir::new(path);
        let refused = |message: String| Error::Io {
            path: path.into(),
            message,
        };
        if !run.exists() {
            return Err(refused(NO_SUCH_RUN.into()));
        }
        if !path.is_dir() {
            let map = CharacteristicMap::load(path)?;
            return Ok(Fitted { map, data: None });
        }
        if !run.model().exists() {
            return Err(match (run.looks_like_a_run(), run.read_data()) {
                (true, Ok(data)) => refused(format!(
                    "this run holds no model yet: its fit did not end. Go on with it by: {}",
                    resume_command(&data, path)
                )),
                _ => refused(
                    "this folder holds no model.safetensors, so it is no run of charflow.".into(),
                ),
            });
        }
        let map = CharacteristicMap::load(&run.model())?;
        // A model without its neighbours still works; a damaged record is worth a word.
        let data = if run.data().exists() {
            Some(run.read_data()?)
        } else {
            None
        };
        Ok(Fitted { map, data })
    }
}

/// The command that goes on with a run.
pub fn resume_command(data: &DataRecord, run: &Path) -> String {
    format!(
        "charflow fit {} {} -o {} --resume",
        shown(&data.source.path),
        shown(&data.target.path),
        shown(run)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        assert!(run.read_history().unwrap().is_empty());
        let row = HistoryRow {
            step: 3,
            seconds: 0.1,
            rate: 1e-3,
            loss: 0.1 + 0.2,
            hj: 1e-300,
            hj_terminal: 0.0,
            pde: 0.0,
            ed_forward: -1e-9,
            ed_backward: 4.0,
            dual: 1.5,
            converged: 0.75,
            held_out: None,
            held_out_forward: Some(0.25),
            held_out_backward: None,
        };
        run.write_history(&[row.clone(), row.clone()]).unwrap();
        assert_eq!(run.read_history().unwrap(), [row.clone(), row]);
        let text = fs::read_to_string(run.history()).unwrap();
        assert!(text.starts_with("step,seconds,rate,loss,hj,"), "{text}");
    }

    #[test]
    fn a_path_is_free_or_said_not_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(&folder.path().join("run"));
        assert_eq!(run.standing(), Ok(Standing::Free));
        fs::create_dir(run.path()).unwrap();
        assert_eq!(run.standing(), Ok(Standing::Free));
        fs::write(run.path().join("thesis.txt"), "years").unwrap();
        assert_eq!(run.standing(), Ok(Standing::Other));
        fs::write(run.config(), Config::default().to_toml()).unwrap();
        assert_eq!(run.standing(), Ok(Standing::Run));
        let file = RunDir::new(&run.config());
        assert_eq!(file.standing(), Ok(Standing::NoFolder));
    }
}

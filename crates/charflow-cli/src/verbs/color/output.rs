//! A folder that appears whole: everything is written beside its place first.

use crate::failure::{Failure, Result};
use crate::run::RunDir;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the files of a folder are written until all are there.
pub struct Staging {
    place: PathBuf,
    inside: PathBuf,
}

impl Staging {
    /// A folder beside `place`, in which nothing is yet.
    ///
    /// # Errors
    /// The place around it cannot be written to.
    pub fn begin(place: &Path) -> Result<Self> {
        let cannot = |e: &std::io::Error| Failure::system(place, "the folder cannot be made", e);
        let parent = match place.parent() {
            Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&parent).map_err(|e| cannot(&e))?;
        let name = place
            .file_name()
            .ok_or_else(|| Failure::input(format!("{} names no folder.", place.display())))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.tmp", std::process::id()));
        let inside = parent.join(hidden);
        let _ = fs::remove_dir_all(&inside);
        fs::create_dir(&inside).map_err(|e| cannot(&e))?;
        Ok(Staging {
            place: place.to_path_buf(),
            inside,
        })
    }

    /// The path of a file in the making.
    pub fn path(&self, name: &str) -> PathBuf {
        self.inside.join(name)
    }

    /// Gives the folder its name. Where it exists, files of an earlier run that `stale` knows are removed, and ours take their places one by one; others stay.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(self, stale: impl Fn(&str) -> bool) -> Result<()> {
        let cannot = |e: &std::io::Error| Failure::system(&self.place, "cannot be written to", e);
        if !self.place.exists() {
            return fs::rename(&self.inside, &self.place).map_err(|e| cannot(&e));
        }
        let old = fs::read_dir(&self.place).map_err(|e| cannot(&e))?;
        for entry in old.flatten() {
            if stale(&entry.file_name().to_string_lossy()) && entry.path().is_file() {
                fs::remove_file(entry.path()).map_err(|e| cannot(&e))?;
            }
        }
        self.move_into(&self.inside, &self.place)
            .map_err(|e| cannot(&e))
    }

    fn move_into(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                self.move_into(&entry.path(), &target)?;
            } else {
                fs::rename(entry.path(), target)?;
            }
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.inside);
    }
}

/// The run directory that a staging folder becomes.
pub fn run_of(staging: &Staging) -> RunDir {
    RunDir::new(&staging.inside)
}

//! A folder that appears whole: everything is written beside its place first.

use crate::failure::{Failure, Result};
use crate::run::RunDir;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the files of a folder are written until all are there: in a hidden folder beside it, or within it where it exists, so that what is tried is what is needed.
pub struct Staging {
    place: PathBuf,
    inside: PathBuf,
    /// Folders around the place that were made for it, the outermost first.
    made: Vec<PathBuf>,
}

impl Staging {
    /// A folder in which nothing is yet.
    ///
    /// # Errors
    /// The place, or the one around it, cannot be written to.
    pub fn begin(place: &Path) -> Result<Self> {
        let cannot = |e: &std::io::Error| Failure::system(place, "the folder cannot be made", e);
        let hidden = format!(".charflow-{}.tmp", std::process::id());
        let around = match place.parent() {
            Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let mut staging = Staging {
            place: place.to_path_buf(),
            inside: if place.is_dir() { place } else { &around }.join(hidden),
            made: Vec::new(),
        };
        let mut missing: Vec<&Path> = around
            .ancestors()
            .take_while(|p| !p.as_os_str().is_empty() && !p.exists())
            .collect();
        missing.reverse();
        for folder in missing {
            fs::create_dir(folder).map_err(|e| cannot(&e))?;
            staging.made.push(folder.to_path_buf());
        }
        let _ = fs::remove_dir_all(&staging.inside);
        fs::create_dir(&staging.inside).map_err(|e| cannot(&e))?;
        Ok(staging)
    }

    /// The path of a file in the making.
    pub fn path(&self, name: &str) -> PathBuf {
        self.inside.join(name)
    }

    /// Gives the folder its name. Where it exists, our files take their places one by one, `last` at the end, then those of an earlier run that `stale` knows and that have not been
    /// replaced are removed; others stay.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(mut self, last: &str, stale: &[PathBuf]) -> Result<()> {
        let cannot = |e: &std::io::Error| Failure::system(&self.place, "cannot be written to", e);
        if self.place.is_dir() {
            let last = PathBuf::from(last);
            let mut files = files_in(&self.inside).map_err(|e| cannot(&e))?;
            files.sort_by_key(|f| *f == last);
            for file in &files {
                let target = self.place.join(file);
                target
                    .parent()
                    .map_or(Ok(()), fs::create_dir_all)
                    .and_then(|()| fs::rename(self.inside.join(file), target))
                    .map_err(|e| cannot(&e))?;
            }
            for file in stale.iter().filter(|f| !files.contains(f)) {
                match fs::remove_file(self.place.join(file)) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(cannot(&e)),
                    _ => {}
                }
            }
        } else {
            fs::rename(&self.inside, &self.place).map_err(|e| cannot(&e))?;
        }
        self.made.clear();
        Ok(())
    }
}

/// The files in a folder and in those within it, by their paths from it.
fn files_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = PathBuf::from(entry.file_name());
        if entry.path().is_dir() {
            files.extend(files_in(&entry.path())?.into_iter().map(|f| name.join(f)));
        } else {
            files.push(name);
        }
    }
    Ok(files)
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.inside);
        // Only those that are empty again.
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The run directory that a staging folder becomes.
pub fn run_of(staging: &Staging) -> RunDir {
    RunDir::new(&staging.inside)
}

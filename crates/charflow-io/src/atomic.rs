//! A file that appears whole or not at all: written beside its place, flushed to the disk, then renamed.

use crate::error::{IoError, Kind, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file whole or not at all.
///
/// # Errors
/// As [`AtomicFile::create`] and [`AtomicFile::commit`]; whatever was at `path` is left as it was.
pub fn write_file(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)
        .map_err(|e| IoError::writing(path, &e))?;
    file.commit()
}

/// A file under a temporary name (`.NAME.PID-K.tmp`) in the folder of its target. [`AtomicFile::commit`] puts it
/// in its place; dropping it without `commit` removes it. Whoever reads the target sees the old file or the whole new one.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    temporary: PathBuf,
    file: File,
    committed: bool,
}

impl AtomicFile {
    /// Creates the temporary file beside `target`.
    ///
    /// # Errors
    /// The folder is missing or cannot be written, or `target` is itself a folder.
    pub fn create(target: impl AsRef<Path>) -> Result<AtomicFile> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let target = target.as_ref();
        if target.is_dir() {
            return Err(IoError::writing(
                target,
                &io::Error::from(ErrorKind::IsADirectory),
            ));
        }
        // A link stays a link: what it points to is replaced.
        let target = match fs::symlink_metadata(target) {
            Ok(m) if m.file_type().is_symlink() => {
                fs::canonicalize(target).unwrap_or_else(|_| target.to_path_buf())
            }
            _ => target.to_path_buf(),
        };
        let Some(name) = target.file_name() else {
            return Err(IoError::new(
                &target,
                Kind::System,
                "cannot be written: this names no file.",
            ));
        };
        loop {
            let k = COUNT.fetch_add(1, Ordering::Relaxed);
            let mut hidden = std::ffi::OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{}-{k}.tmp", std::process::id()));
            let temporary = target.with_file_name(hidden);
            match OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&temporary)
            {
                Ok(file) => {
                    return Ok(AtomicFile {
                        target,
                        temporary,
                        file,
                        committed: false,
                    });
                }
                // Left by a process of the same id that was killed: take the next name.
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(IoError::writing(&target, &e)),
            }
        }
    }

    /// The file's final place.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Flushes the file to the disk and renames it to its target.
    ///
    /// # Errors
    /// The disk is full or failed; the temporary file is removed and the target left as it was.
    pub fn commit(mut self) -> Result<()> {
        let done = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.temporary, &self.target));
        done.map_err(|e| IoError::writing(&self.target, &e))?;
        self.committed = true;
        // The rename itself survives a power cut only when the folder is flushed too. Some file systems
        // refuse to flush a folder; the file is whole in any case, so that is no error.
        #[cfg(unix)]
        if let Some(folder) = self.target.parent() {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            if let Ok(folder) = File::open(folder) {
                let _ = folder.sync_all();
            }
        }
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Read for AtomicFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read(bytes)
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

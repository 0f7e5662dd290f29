//! A folder to run the command in, and what came out.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Settings that make a fit of a few hundred points take a fraction of a second.
pub const TINY: [&str; 9] = [
    "--no-figures",
    "--set",
    "network.hidden=[8]",
    "--set",
    "batch.source=64",
    "--set",
    "batch.target=64",
    "--set",
    "batch.collocation=64",
];

/// What a run of the command left.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// Status 0.
    #[track_caller]
    pub fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Status 2, nothing on standard output, one `error:` that holds all parts.
    #[track_caller]
    pub fn refused(self, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert!(self.out.is_empty(), "{self:?}");
        assert_eq!(self.err.matches("error: ").count(), 1, "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is not in: {}", self.err);
        }
        self
    }
}

/// A folder that is removed in the end.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Place {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// With `a.csv` and `b.csv`, 300 points each in two columns.
    pub fn with_data() -> Self {
        let place = Place::new();
        place.run("data swiss-roll -o . -n 300").well();
        place.run("data moons -o . -n 300").well();
        std::fs::rename(place.path("swiss-roll.csv"), place.path("a.csv")).unwrap();
        std::fs::rename(place.path("moons.csv"), place.path("b.csv")).unwrap();
        place
    }

    /// With data and a fitted `run`.
    pub fn with_run() -> Self {
        let place = Place::with_data();
        place.fit("a.csv b.csv -o run --steps 20").well();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Names in the folder, in order.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path(folder))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_charflow"));
        command
            .args(words)
            .current_dir(self.folder.path())
            .env_remove("CHARFLOW_ISA");
        command
    }

    /// Runs the command with words that hold no spaces.
    pub fn run(&self, line: &str) -> Ended {
        end(&mut self.command(line.split_whitespace()))
    }

    pub fn fit_command(&self, line: &str) -> Command {
        let mut command = self.command(["fit"]);
        command.args(line.split_whitespace()).args(TINY);
        command
    }

    /// A tiny fit.
    pub fn fit(&self, line: &str) -> Ended {
        end(&mut self.fit_command(line))
    }

    pub fn spawn_fit(&self, line: &str) -> Child {
        self.fit_command(line)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs a line of shell with the command on its path.
    pub fn shell(&self, line: &str) -> Ended {
        let bin = Path::new(env!("CARGO_BIN_EXE_charflow")).parent().unwrap();
        let mut path = std::ffi::OsString::from(bin);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        end(Command::new("sh")
            .arg("-c")
            .arg(line)
            .current_dir(self.folder.path())
            .env("PATH", path))
    }
}

pub fn end(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A bench with fits that take a moment, and no data but what the line names.
pub fn bench(place: &Place, line: &str) -> Ended {
    let mut command = place.command(["bench"]);
    command
        .args(line.split_whitespace())
        .args([
            "--set",
            "network.hidden=[8]",
            "--set",
            "held_out.patience=0",
        ])
        .env_remove("CHARFLOW_DATA");
    end(&mut command)
}

/// The folder of real data, if all of these are in it; says aloud what is skipped otherwise.
pub fn real_data(needed: &[&str]) -> Option<PathBuf> {
    let folder = match std::env::var_os("CHARFLOW_DATA") {
        Some(f) => PathBuf::from(f),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    if needed.iter().all(|name| folder.join(name).exists()) {
        return Some(folder);
    }
    skipped(&format!(
        "no {}; set CHARFLOW_DATA to the folder of real data",
        needed.join(" and ")
    ));
    None
}

/// Says aloud that a test is skipped: what a test prints is swallowed otherwise.
pub fn skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

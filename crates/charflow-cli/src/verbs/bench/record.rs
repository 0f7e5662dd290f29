//! `record.json`: what was run, on what, and what came out.

use crate::failure::{Failure, Result};
use crate::run::{command_line, write_file};
use crate::terminal::{say, shown};
use crate::verbs::evaluate::to_json;
use serde::Serialize;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A bench with its runs.
#[derive(Serialize)]
pub struct Record<R> {
    charflow: &'static str,
    benchmark: &'static str,
    command: String,
    /// UTC, when it began.
    date: String,
    machine: Machine,
    /// What a reader has to know before comparing, a sentence each.
    pub about: Vec<String>,
    /// Whether it was interrupted before all runs were done.
    pub interrupted: bool,
    /// The runs.
    pub runs: Vec<R>,
}

#[derive(Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
    threads: usize,
    isa: &'static str,
    system: String,
}

impl<R: Serialize> Record<R> {
    /// A record without runs.
    pub fn new(benchmark: &'static str, about: Vec<String>) -> Self {
        Record {
            charflow: env!("CARGO_PKG_VERSION"),
            benchmark,
            command: command_line(),
            date: date(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |d| d.as_secs()),
            ),
            machine: Machine {
                cpu: cpu(),
                cores: std::thread::available_parallelism().map_or(0, usize::from),
                threads: rayon::current_num_threads(),
                isa: charflow_kernels::Isa::current().name(),
                system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            },
            about,
            interrupted: false,
            runs: Vec::new(),
        }
    }

    /// The last words: the record as JSON or the table with the notes, the files, and whether it was interrupted.
    ///
    /// # Errors
    /// [`Failure::Short`] after an interrupt, when all that was done is written.
    pub fn conclude(&self, json: bool, table: &str, files: &str, out: &Path) -> Result<()> {
        if json {
            say(&to_json(self)?)?;
        } else {
            let notes: String = self.about.iter().map(|a| format!("- {a}\n")).collect();
            say(&format!("{table}{notes}"))?;
            say(&format!("files in {}: {files}", shown(out)))?;
        }
        if self.interrupted {
            return Err(Failure::Short(format!(
                "interrupted. What was done is in {}.",
                shown(out)
            )));
        }
        Ok(())
    }

    /// Writes `record.json` and `table.md`; called after each run, so that nothing done is lost.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, out: &Path, table: &str) -> Result<()> {
        write_file(&out.join("record.json"), to_json(self)?.as_bytes())?;
        let head = format!(
            "# charflow bench {}\n\ncharflow {}, {}, {} on {} ({} threads, {})\n\n    {}\n\n",
            self.benchmark,
            self.charflow,
            self.date,
            self.machine.system,
            self.machine.cpu,
            self.machine.threads,
            self.machine.isa,
            self.command
        );
        let notes: String = self.about.iter().map(|a| format!("- {a}\n")).collect();
        write_file(
            &out.join("table.md"),
            format!("{head}{table}\n{notes}").as_bytes(),
        )
    }
}

/// The processor's name, where the system tells it.
fn cpu() -> String {
    std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|l| l.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_string())
        })
        .unwrap_or_else(|| std::env::consts::ARCH.to_string())
}

/// Seconds since 1970 as `2026-11-24T23:27:25Z` (the calendar as in Hinnant, "chrono-compatible low-level date algorithms").
fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March have the leap day at their end.
    let z = days + 719_468;
    let era = z / 146_097;
    let of_era = z % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year_of_era + 400 * era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// Forgets the peak of memory so far, where the system lets us.
pub fn forget_peak() {
    // 5: the peak resident set size only (proc(5)).
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The peak of memory in megabytes, where there is a /proc.
pub fn peak_memory() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024.0)
}

/// A Markdown table.
pub fn markdown(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (w, cell) in widths.iter_mut().zip(row) {
            *w = (*w).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = String>| -> String {
        let padded = cells.zip(&widths).map(|(c, &w)| format!(" {c:w$} |"));
        format!("|{}\n", padded.collect::<String>())
    };
    let mut text = line(&mut head.iter().map(|h| (*h).to_string()));
    text.push_str(&line(&mut widths.iter().map(|&w| "-".repeat(w))));
    for row in rows {
        text.push_str(&line(&mut row.iter().cloned()));
    }
    text
}

/// A number with about three digits that count; a dash for none.
pub fn digits(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(v) if !v.is_finite() => v.to_string(),
        Some(v) if v.abs() >= 100.0 => format!("{v:.1}"),
        Some(v) if v.abs() >= 10.0 => format!("{v:.2}"),
        Some(v) if v == 0.0 || v.abs() >= 0.01 => format!("{v:.3}"),
        Some(v) => format!("{v:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(date(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(date(1_795_562_845), "2026-11-24T23:27:25Z");
    }

    #[test]
    fn tables_are_whole() {
        let text = markdown(&["a", "long head"], &[vec!["wide cell".into(), "1".into()]]);
        assert_eq!(
            text,
            "| a         | long head |\n| --------- | --------- |\n| wide cell | 1         |\n"
        );
        assert_eq!(digits(Some(0.0)), "0.000");
        assert_eq!(digits(Some(-1.2345e-5)), "-1.2e-5");
        assert_eq!(digits(Some(14.049)), "14.05");
        assert_eq!(digits(None), "-");
    }
}

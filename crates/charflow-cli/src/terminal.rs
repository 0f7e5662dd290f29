//! Words out: results on standard output, everything else on standard error, and no panic when either is gone.

use crate::failure::{Failure, Result};
use std::io::{ErrorKind, Write, stderr, stdout};

pub use charflow_run::{quoted, shown};

/// Writes a result to standard output, with a line end.
///
/// # Errors
/// [`Failure::Pipe`] if the reader has gone, [`Failure::Input`] if the output is a file on a full disk and the like.
pub fn say(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    let done = out
        .write_all(text.as_bytes())
        .and_then(|()| {
            if text.ends_with('\n') {
                Ok(())
            } else {
                out.write_all(b"\n")
            }
        })
        .and_then(|()| out.flush());
    done.map_err(|e| match e.kind() {
        ErrorKind::BrokenPipe => Failure::Pipe,
        _ => Failure::input(format!("standard output cannot be written: {e}.")),
    })
}

/// Writes a line to standard error; if that is closed there is no one to tell.
pub fn tell(text: &str) {
    let _ = writeln!(stderr().lock(), "{text}");
}

/// A remark that does not stop the work.
pub fn note(text: &str) {
    tell(&format!("note: {text}"));
}

/// Seconds as a person says them: `8.2 s`, `3 min 20 s`, `1 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..10 => format!("{:.1} s", seconds.max(0.0)),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Reads a time limit: `90`, `90s`, `5m`, `1h`, `1h30m`; plain numbers are seconds.
///
/// # Errors
/// A sentence that shows how to write one.
pub fn parse_duration(text: &str) -> std::result::Result<f64, String> {
    let bad = || "expected a time such as 90, 90s, 5m, 1h or 1h30m".to_string();
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return if seconds >= 0.0 && seconds.is_finite() {
            Ok(seconds)
        } else {
            Err(bad())
        };
    }
    let (mut total, mut number) = (0.0, String::new());
    for c in text.trim().chars() {
        let unit = match c {
            '0'..='9' | '.' => {
                number.push(c);
                continue;
            }
            's' => 1.0,
            'm' => 60.0,
            'h' => 3600.0,
            _ => return Err(bad()),
        };
        total += unit * number.parse::<f64>().map_err(|_| bad())?;
        number.clear();
    }
    if text.trim().is_empty() || !number.is_empty() {
        return Err(bad());
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_said() {
        for (text, seconds) in [
            ("90", 90.0),
            ("90s", 90.0),
            ("5m", 300.0),
            ("1h", 3600.0),
            ("1h30m", 5400.0),
            ("0.5", 0.5),
            ("1.5m", 90.0),
            ("0", 0.0),
        ] {
            assert_eq!(parse_duration(text), Ok(seconds), "{text}");
        }
        for text in ["", "s", "5x", "m5", "-1", "nan", "inf", "5m3", "1..2s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(duration(8.24), "8.2 s");
        assert_eq!(duration(59.4), "59 s");
        assert_eq!(duration(200.0), "3 min 20 s");
        assert_eq!(duration(3900.0), "1 h 5 min");
    }
}

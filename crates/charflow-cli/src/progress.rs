//! Progress: a bar on a terminal, a line every few seconds elsewhere; always on standard error.

use crate::interrupt;
use crate::run::RunDir;
use crate::terminal::{duration, note, tell};
use charflow::Result;
use charflow::solver::{Checkpoint, Observer, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Seconds between lines where there is no terminal.
const LINE_SECONDS: f64 = 5.0;
/// Parts of the bar: enough for any width.
const PARTS: u64 = 1000;

/// Shows progress, keeps checkpoints, and stops the solve when asked to.
pub struct Watcher<'a> {
    /// Where checkpoints go, if anywhere.
    run: Option<&'a RunDir>,
    bar: Option<ProgressBar>,
    last: Option<Instant>,
    /// Between the first step and the last: what is said before or after is in the report, which follows.
    under_way: bool,
    time_limit: f64,
    seconds_before: f64,
    checkpoint_seconds: f64,
}

impl<'a> Watcher<'a> {
    /// Watches a solve, of `run` if it has a directory; `seconds_before` were spent before a resume.
    pub fn new(
        run: Option<&'a RunDir>,
        time_limit: f64,
        seconds_before: f64,
        checkpoint_seconds: f64,
    ) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(PARTS), ProgressDrawTarget::stderr_with_hz(5));
            if let Ok(style) = ProgressStyle::with_template("{bar:14} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Watcher {
            run,
            bar,
            last: None,
            under_way: false,
            time_limit,
            seconds_before,
            checkpoint_seconds,
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Share of the work done, and seconds left: by steps or by time, whichever ends first.
    fn ahead(&self, p: &Progress<'_>) -> (f64, Option<f64>) {
        let mut share = p.step as f64 / p.steps.max(1) as f64;
        let mut left = (p.rate > 0.0).then(|| (p.steps - p.step.min(p.steps)) as f64 / p.rate);
        if self.time_limit > 0.0 {
            let spent = self.seconds_before + p.seconds;
            share = share.max(spent / self.time_limit);
            let until = (self.time_limit - spent).max(0.0);
            left = Some(left.map_or(until, |l| l.min(until)));
        }
        (share.min(1.0), left)
    }
}

/// What matters most comes first: a narrow terminal cuts the end off.
fn line(p: &Progress<'_>, left: Option<f64>) -> String {
    let mut text = format!("step {}/{}  {:.0}/s", p.step, p.steps, p.rate);
    if let Some(left) = left {
        text.push_str(&format!("  {} left", duration(left)));
    }
    if let Some(row) = p.latest {
        let hj = row.hj + row.hj_terminal + row.pde;
        text.push_str(&format!(
            "  loss {:.1e}  HJ {hj:.1e}  ED {:.1e} {:.1e}",
            row.loss, row.ed_forward, row.ed_backward
        ));
        if let Some(held_out) = row.held_out {
            text.push_str(&format!("  held-out {held_out:.1e}"));
        }
    }
    text
}

impl Observer for Watcher<'_> {
    fn on_progress(&mut self, p: &Progress<'_>) {
        self.under_way = p.step < p.steps;
        let every = if self.bar.is_some() {
            0.2
        } else {
            LINE_SECONDS
        };
        // The rate of the first steps says nothing yet.
        let last = self.last.get_or_insert_with(Instant::now);
        if last.elapsed() < Duration::from_secs_f64(every) {
            return;
        }
        self.last = Some(Instant::now());
        let (share, left) = self.ahead(p);
        let text = line(p, left);
        match &self.bar {
            Some(bar) => {
                bar.set_message(text);
                bar.set_position((share * PARTS as f64) as u64);
            }
            None => tell(&text),
        }
    }

    fn on_note(&mut self, text: &str) {
        if !self.under_way {
            return;
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| note(text)),
            None => note(text),
        }
    }

    fn should_stop(&mut self) -> bool {
        interrupt::asked()
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.run
            .map_or(Ok(()), |run| checkpoint.save(&run.checkpoint()))
    }

    fn checkpoint_seconds(&self) -> f64 {
        self.checkpoint_seconds
    }
}

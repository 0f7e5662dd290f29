//! A solve watched from Python: progress and Ctrl-C reach the thread that called, while the work runs on another.

use crate::errors::{bug, told};
use crate::work::LOOK;
use charflow::Problem;
use charflow::solver::{Checkpoint, Config, NcfSolver, Observer, Progress, Solution};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Instant;

/// Where a solve stands, as `progress` is told.
struct Standing {
    step: u64,
    steps: u64,
    seconds: f64,
    loss: Option<f64>,
    held_out: Option<f64>,
}

struct Watcher<'a> {
    to: Sender<Standing>,
    stop: &'a AtomicBool,
    told: Option<Instant>,
    checkpoint: Option<Checkpoint>,
}

impl Observer for Watcher<'_> {
    fn on_progress(&mut self, p: &Progress<'_>) {
        if self.told.is_some_and(|t| t.elapsed() < LOOK) && p.step < p.steps {
            return;
        }
        self.told = Some(Instant::now());
        // Nobody may be listening any more: the caller is on its way out.
        let _ = self.to.send(Standing {
            step: p.step,
            steps: p.steps,
            seconds: p.seconds,
            loss: p.latest.map(|row| row.loss),
            held_out: p.latest.and_then(|row| row.held_out),
        });
    }

    fn should_stop(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> charflow::Result<()> {
        self.checkpoint = Some(checkpoint.clone());
        Ok(())
    }

    // It is kept in memory, so the one at the end is enough.
    fn checkpoint_seconds(&self) -> f64 {
        f64::INFINITY
    }
}

/// What a solve left.
pub struct Solved {
    pub solution: Solution,
    pub checkpoint: Option<Checkpoint>,
}

/// Solves, on a thread of its own, without the interpreter's lock. The calling thread looks at signals meanwhile: an interrupt ends the solve after its step, with what there is. So
/// does an exception of `progress`, which is then raised.
pub fn solve(
    py: Python<'_>,
    problem: Problem,
    config: Config,
    from: Option<Checkpoint>,
    progress: Option<&Py<PyAny>>,
) -> PyResult<Solved> {
    let stop = AtomicBool::new(false);
    let (to, listener) = channel();
    let mut watcher = Watcher {
        to,
        stop: &stop,
        told: None,
        checkpoint: None,
    };
    let mut raised = None;
    let solved = py.detach(|| {
        let from_solver = listener;
        std::thread::scope(|scope| {
            let work = scope.spawn(move || {
                let solver = NcfSolver::new(config);
                let solution = match from {
                    Some(checkpoint) => solver.resume(problem, checkpoint, &mut watcher),
                    None => solver.solve(problem, &mut watcher),
                };
                solution.map(|solution| Solved {
                    solution,
                    checkpoint: watcher.checkpoint.take(),
                })
            });
            loop {
                let mut latest = match from_solver.recv_timeout(LOOK) {
                    Ok(standing) => Some(standing),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                while let Ok(newer) = from_solver.try_recv() {
                    latest = Some(newer);
                }
                let looked = Python::attach(|py| -> PyResult<bool> {
                    let look = py.check_signals().and_then(|()| match (progress, latest) {
                        (Some(progress), Some(s)) => progress
                            .call1(py, (s.step, s.steps, s.seconds, s.loss, s.held_out))
                            .map(drop),
                        _ => Ok(()),
                    });
                    // The signal may also have come while `progress` ran, and is raised there.
                    match look {
                        Ok(()) => Ok(false),
                        Err(e) if e.is_instance_of::<PyKeyboardInterrupt>(py) => Ok(true),
                        Err(e) => Err(e),
                    }
                });
                match looked {
                    Ok(false) => {}
                    Ok(true) => stop.store(true, Ordering::Relaxed),
                    Err(e) => {
                        stop.store(true, Ordering::Relaxed);
                        raised.get_or_insert(e);
                    }
                }
            }
            work.join()
        })
    });
    if let Some(e) = raised {
        return Err(e);
    }
    match solved {
        Ok(solution) => solution.map_err(|e| told(py, e)),
        Err(payload) => Err(bug(py, payload.as_ref())),
    }
}

//! The pictures of a run: transport, flow, losses.

use crate::failure::Result;
use charflow::Samples;
use charflow::map::{BackwardMap, ForwardMap};
use charflow::model::CharacteristicMap;
use charflow::solver::HistoryRow;
use charflow_lab::figures::{
    FlowStrip, LineTransportFigure, LossFigure, LossPanel, Series, Style, TransportFigure,
};
use charflow_lab::project::Projection;
use charflow_run::FileRecord;
use std::path::{Path, PathBuf};

/// Points drawn of each side: more only make the files larger.
const MOST: usize = 4000;
/// Transport lines drawn.
const LINES: usize = 150;
/// Times of the strip.
const TIMES: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// What is drawn of the data: some points of either side, in the user's units.
pub struct Clouds {
    title: String,
    columns: Vec<String>,
    source: Side,
    target: Side,
}

struct Side {
    points: Vec<f64>,
    classes: Option<Vec<String>>,
}

impl Side {
    fn of(samples: &Samples) -> Self {
        let weighs = |i: &u32| samples.weights().is_none_or(|w| w[*i as usize] > 0.0);
        let all: Vec<u32> = (0..samples.len() as u32).filter(weighs).collect();
        let count = all.len().min(MOST);
        // Evenly spaced, so that files sorted by class are shown whole.
        let rows: Vec<u32> = (0..count).map(|k| all[k * all.len() / count]).collect();
        Side {
            points: samples.gather(&rows),
            classes: samples.class_of().is_some().then(|| {
                rows.iter()
                    .map(|&i| samples.class_name(i as usize).unwrap_or("no label").into())
                    .collect()
            }),
        }
    }
}

impl Clouds {
    /// Takes up to a few thousand points of each side; call it while the samples are at hand.
    pub fn of(files: [&FileRecord; 2], source: &Samples, target: &Samples) -> Self {
        let columns = source.columns().or(target.columns()).map_or_else(
            || (1..=source.dim()).map(|k| format!("x{k}")).collect(),
            <[String]>::to_vec,
        );
        Clouds {
            title: format!("{} to {}", files[0].title(), files[1].title()),
            columns,
            source: Side::of(source),
            target: Side::of(target),
        }
    }
}

/// Draws all figures into a folder, which is made if it is not there; returns the files.
///
/// # Errors
/// A file that cannot be written.
pub fn draw(
    map: &CharacteristicMap,
    clouds: &Clouds,
    history: &[HistoryRow],
    out: &Path,
) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(out)
        .map_err(|e| crate::failure::Failure::system(out, "the folder cannot be made", &e))?;
    let mut files = Vec::new();
    let (source, target) = (&clouds.source.points[..], &clouds.target.points[..]);
    let pushed = map.forward(source)?;
    let pulled = map.backward(target)?;
    if map.dim() == 1 {
        let figure = LineTransportFigure {
            title: &clouds.title,
            source,
            target,
            pushed: &pushed,
            pulled: &pulled,
            axis_label: clouds.columns[0].clone(),
            lines: LINES,
        };
        files.extend(figure.save(&out.join("transport"))?);
    } else {
        // The plane is that of the data alone, so pictures of two maps of the same data can be laid side by side.
        let plane = Projection::fit(&[source, target], map.dim())?;
        let axis_labels = plane.axis_labels(&clouds.columns);
        let figure = TransportFigure {
            title: &clouds.title,
            source: &plane.apply(source)?,
            target: &plane.apply(target)?,
            pushed: &plane.apply(&pushed)?,
            pulled: &plane.apply(&pulled)?,
            source_classes: clouds.source.classes.as_deref(),
            target_classes: clouds.target.classes.as_deref(),
            axis_labels: axis_labels.clone(),
            lines: LINES,
        };
        files.extend(figure.save(&out.join("transport"))?);
        let mut steps = Vec::new();
        for t in TIMES {
            steps.push(plane.apply(&map.forward_at(source, t)?)?);
        }
        let strip = FlowStrip {
            title: &clouds.title,
            times: &TIMES,
            clouds: &steps,
            classes: clouds.source.classes.as_deref(),
            axis_labels,
        };
        files.extend(strip.save(&out.join("flow"))?);
    }
    if !history.is_empty() {
        files.extend(losses(history, out)?);
    }
    Ok(files)
}

/// The curves of `history.csv`.
fn losses(history: &[HistoryRow], out: &Path) -> Result<Vec<PathBuf>> {
    let line = |name: &str, color: usize, value: &dyn Fn(&HistoryRow) -> f64| {
        Series::new(
            name,
            history.iter().map(|r| (r.step as f64, value(r))).collect(),
            Style::Line,
            color,
        )
    };
    let dots = |name: &str, color: usize, value: &dyn Fn(&HistoryRow) -> Option<f64>| {
        let points = history
            .iter()
            .filter_map(|r| Some((r.step as f64, value(r)?)))
            .collect();
        Series::new(name, points, Style::Points, color)
    };
    let label = "solver units";
    let mut panels = vec![
        panel(
            "Energy distance",
            label,
            vec![
                line("forward", 0, &|r| r.ed_forward),
                line("backward", 1, &|r| r.ed_backward),
                dots("forward, held out", 0, &|r| r.held_out_forward),
                dots("backward, held out", 1, &|r| r.held_out_backward),
            ],
        ),
        panel(
            "Hamilton-Jacobi losses",
            label,
            vec![
                line("implicit", 2, &|r| r.hj),
                line("implicit, terminal", 3, &|r| r.hj_terminal),
                line("residual", 4, &|r| r.pde),
            ],
        ),
        panel(
            "Objective",
            label,
            vec![
                line("batch", 0, &|r| r.loss),
                dots("held out", 1, &|r| r.held_out),
            ],
        ),
        panel("Learning rate", "", vec![line("rate", 5, &|r| r.rate)]),
    ];
    panels.retain(|p| !p.series.is_empty());
    let figure = LossFigure {
        title: "",
        x_label: "step",
        panels: &panels,
    };
    Ok(figure.save(&out.join("losses"))?)
}

/// A panel without the curves that are zero throughout: losses that are switched off.
fn panel(title: &str, y_label: &str, mut series: Vec<Series>) -> LossPanel {
    series.retain(|s| s.points.iter().any(|p| p.1 != 0.0 && p.1.is_finite()));
    LossPanel {
        title: title.into(),
        y_label: y_label.into(),
        series,
    }
}

//! Curves on a logarithmic scale: losses against the step of a run, errors against its time.
//!
//! The value axis is logarithmic where all values are positive. Energy distances as U-statistics go below zero near the end; then the axis is linear
//! around zero and logarithmic beyond, and its label says where it changes.

use std::path::{Path, PathBuf};

use super::axis::{Axis, Scale};
use super::drawing::{Anchor, Drawing, Ink, Item};
use super::panel::{self, Frame, LABEL_SIZE, padded, turned, with_note};
use super::{font, palette};
use crate::LabError;

/// Size of a panel in pixels.
const PANEL: [f32; 2] = [430.0, 270.0];
/// Decades below the largest value that are still drawn logarithmically.
const DECADES: i32 = 10;
/// Of measurements at settings: values further apart than by this factor are drawn logarithmically.
const FAR_APART: f64 = 30.0;

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A line through the points: training losses.
    Line,
    /// Dots: held-out values.
    Points,
    /// A dashed line across the panel at the first point's value: a noise floor.
    Level,
}

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Step and value. Values that are not finite leave a gap.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub style: Style,
    /// Number of the colour; curves that belong together (training, held-out, floor) share one.
    pub color: usize,
}

impl Series {
    /// A curve from its parts.
    pub fn new(
        name: impl Into<String>,
        points: Vec<(f64, f64)>,
        style: Style,
        color: usize,
    ) -> Self {
        Self {
            name: name.into(),
            points,
            style,
            color,
        }
    }

    /// A horizontal dashed line at `value`.
    pub fn level(name: impl Into<String>, value: f64, color: usize) -> Self {
        Self::new(name, vec![(0.0, value)], Style::Level, color)
    }
}

/// Curves that share axes.
#[derive(Debug, Clone, PartialEq)]
pub struct LossPanel {
    /// Heading.
    pub title: String,
    /// Name of the value axis.
    pub y_label: String,
    /// The curves; later ones lie above.
    pub series: Vec<Series>,
}

/// One or more panels of curves, two in a row.
#[derive(Debug, Clone, PartialEq)]
pub struct LossFigure<'a> {
    /// Heading; empty for none.
    pub title: &'a str,
    /// Name of the horizontal axes: `step`, `seconds`.
    pub x_label: &'a str,
    /// The panels.
    pub panels: &'a [LossPanel],
}

/// What differs between pictures of curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Many points of a run: plain lines, logarithmic values, two panels in a row.
    Run,
    /// The same on linear axes.
    Linear,
    /// Few measurements at settings: a dot at each, values from zero, three panels in a row.
    Sweep,
}

impl LossFigure<'_> {
    /// Writes `stem.png` and `stem.svg` (`losses.*` inside, if `stem` is a directory) and returns the two paths.
    ///
    /// # Errors
    /// Nothing to draw: no panels, or no finite value in any of them; a file that cannot be written.
    pub fn save(&self, stem: &Path) -> Result<Vec<PathBuf>, LabError> {
        self.drawing()?.save(stem, "losses")
    }

    fn drawing(&self) -> Result<Drawing, LabError> {
        lay_out(self.title, self.x_label, self.panels, Look::Run)
    }
}

/// Heading, panels row by row, each with its legend.
pub(super) fn lay_out(
    heading: &str,
    x_label: &str,
    panels: &[LossPanel],
    look: Look,
) -> Result<Drawing, LabError> {
    let finite = |series: &Series| {
        series
            .points
            .iter()
            .any(|p| p.0.is_finite() && p.1.is_finite())
    };
    if !panels.iter().any(|panel| panel.series.iter().any(finite)) {
        return Err(LabError::Input(
            "there are no finite values to draw".to_owned(),
        ));
    }
    let mut drawing = Drawing {
        width: 0.0,
        height: 0.0,
        items: Vec::new(),
        title: heading.to_owned(),
    };
    let mut top = if heading.is_empty() { 10.0 } else { 42.0 };
    for row in panels.chunks(if look == Look::Sweep { 3 } else { 2 }) {
        let plans: Vec<Plan> = row.iter().map(|p| Plan::new(p, look)).collect();
        let head = plans.iter().map(Plan::head).fold(0.0, f32::max);
        let mut left = 0.0;
        for plan in &plans {
            left += 30.0 + plan.y_width;
            plan.draw(&mut drawing, [left, top + head], head, x_label);
            left += PANEL[0] + 16.0;
        }
        drawing.width = drawing.width.max(left);
        top += head + PANEL[1] + 48.0;
    }
    drawing.height = top - 8.0;
    panel::heading(&mut drawing, heading);
    Ok(drawing)
}

/// A panel with its axes chosen.
struct Plan<'a> {
    panel: &'a LossPanel,
    look: Look,
    scale: Scale,
    x_scale: Scale,
    x: Axis,
    y: Axis,
    y_width: f32,
    /// Legend rows: number of the series, and its horizontal place.
    legend: Vec<Vec<(usize, f32)>>,
}

impl<'a> Plan<'a> {
    fn new(panel: &'a LossPanel, look: Look) -> Self {
        let points = || {
            panel
                .series
                .iter()
                .flat_map(|s| &s.points)
                .filter(|p| p.0.is_finite() && p.1.is_finite())
        };
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.fold([f64::INFINITY, f64::NEG_INFINITY], |r, v| {
                [r[0].min(v), r[1].max(v)]
            })
        };
        let curves = || {
            panel
                .series
                .iter()
                .filter(|s| s.style != Style::Level)
                .flat_map(|s| &s.points)
                .filter(|p| p.0.is_finite() && p.1.is_finite())
        };
        let mut steps = range(&mut curves().map(|p| p.0));
        let mut values = range(&mut points().map(|p| p.1));
        if values[0] > values[1] {
            values = [0.0, 1.0];
        }
        if steps[0] > steps[1] {
            steps = [0.0, 1.0];
        } else if steps[0] == steps[1] {
            steps = [steps[0] - 1.0, steps[1] + 1.0];
        }
        let scale = match look {
            Look::Run => choose_scale(values, points().map(|p| p.1)),
            Look::Linear => Scale::Linear,
            Look::Sweep if values[0] > 0.0 && values[1] > FAR_APART * values[0] => Scale::Log,
            Look::Sweep => {
                values = [values[0].min(0.0), values[1].max(0.0)];
                Scale::Linear
            }
        };
        let y = match scale {
            Scale::Linear => {
                let [lo, hi] = padded(values, 0.05);
                Axis::linear(lo, hi, 5)
            }
            _ => Axis::scaled(values[0], values[1], scale),
        };
        let pad = 0.015 * (steps[1] - steps[0]);
        let least = curves().map(|p| p.0).filter(|x| *x > 0.0);
        let least = least.fold(f64::INFINITY, f64::min);
        let (x, x_scale) = match look {
            Look::Run | Look::Linear => {
                (Axis::steps(steps[0] - pad, steps[1] + pad), Scale::Linear)
            }
            // Settings that double from one to the next, and perhaps none at all.
            Look::Sweep if steps[0] >= 0.0 && steps[1] > FAR_APART * least => {
                let scale = Scale::Symlog(10f64.powi(least.log10().floor() as i32));
                (Axis::scaled(steps[0], steps[1], scale), scale)
            }
            Look::Sweep => (
                Axis::linear(steps[0] - pad, steps[1] + pad, 6),
                Scale::Linear,
            ),
        };
        let mut legend: Vec<Vec<(usize, f32)>> = Vec::new();
        let mut used = f32::INFINITY;
        for (k, series) in panel
            .series
            .iter()
            .enumerate()
            .filter(|(_, s)| !s.points.is_empty())
        {
            let wide = 48.0 + font::width(&series.name, LABEL_SIZE).min(PANEL[0] - 60.0);
            if used + wide > PANEL[0] {
                legend.push(Vec::new());
                used = 0.0;
            }
            if let Some(row) = legend.last_mut() {
                row.push((k, used));
            }
            used += wide;
        }
        Self {
            panel,
            look,
            scale,
            x_scale,
            y_width: Frame::y_label_width(&y),
            x,
            y,
            legend,
        }
    }

    /// Pixels above the frame for title and legend.
    fn head(&self) -> f32 {
        26.0 + 17.0 * self.legend.len() as f32
    }

    /// `at` is the frame's corner; the heading stands `head` pixels above it.
    fn draw(&self, drawing: &mut Drawing, at: [f32; 2], head: f32, x_label: &str) {
        let frame = Frame {
            at,
            size: PANEL,
            x: self.x.clone(),
            y: self.y.clone(),
        };
        frame.draw(drawing, true);
        let [left, top] = at;
        if let Scale::Symlog(_) = self.scale {
            let y = frame.place(self.x.lo, 0.0)[1];
            drawing.line(vec![[left, y], [left + PANEL[0], y]], 0.9, palette::BORDER);
        }
        let centre = left + 0.5 * PANEL[0];
        let x_note = match self.x_scale {
            Scale::Symlog(c) => format!("linear below {}", plain_power(c)),
            _ => self.x.note.clone(),
        };
        let title = font::fit(&self.panel.title, 12.0, PANEL[0]);
        drawing.text(
            [centre, top - head + 16.0],
            title,
            12.0,
            Anchor::Middle,
            palette::TEXT,
        );
        drawing.text(
            [centre, top + PANEL[1] + 30.0],
            with_note(x_label, &x_note, PANEL[0]),
            LABEL_SIZE,
            Anchor::Middle,
            palette::TEXT,
        );
        let note = match self.scale {
            Scale::Symlog(c) => format!("linear within ±{}", plain_power(c)),
            _ => self.y.note.clone(),
        };
        let label = with_note(&self.panel.y_label, &note, PANEL[1]);
        turned(
            drawing,
            [left - self.y_width - 10.0, top + 0.5 * PANEL[1]],
            label,
        );

        let ink = |series: &Series| palette::category(series.color, self.panel.series.len().min(6));
        // Lines below, dots above them whatever the order given.
        for style in [Style::Line, Style::Level, Style::Points] {
            for series in self.panel.series.iter().filter(|s| s.style == style) {
                self.draw_series(drawing, &frame, series, ink(series));
            }
        }
        for (k, row) in self.legend.iter().enumerate() {
            let y = top - 17.0 * (self.legend.len() - k) as f32 + 8.0;
            for &(s, x) in row {
                let series = &self.panel.series[s];
                let x = left + x;
                key(drawing, [x, y - 4.0], series.style, self.look, ink(series));
                drawing.text(
                    [x + 28.0, y],
                    font::fit(&series.name, LABEL_SIZE, PANEL[0] - 60.0),
                    LABEL_SIZE,
                    Anchor::Start,
                    palette::TEXT,
                );
            }
        }
    }

    fn draw_series(&self, drawing: &mut Drawing, frame: &Frame, series: &Series, ink: Ink) {
        let place = |p: &(f64, f64)| frame.place(self.x_scale.apply(p.0), self.scale.apply(p.1));
        let drawable = |p: &(f64, f64)| p.0.is_finite() && p.1.is_finite();
        match series.style {
            Style::Level => {
                if let Some(p) = series.points.first().filter(|p| drawable(p)) {
                    let y = place(p)[1];
                    let line = vec![[frame.at[0], y], [frame.at[0] + frame.size[0], y]];
                    drawing.items.push(Item::Lines {
                        lines: vec![line],
                        width: 1.2,
                        ink,
                        dash: Some([6.0, 4.0]),
                    });
                }
            }
            Style::Points => {
                let points: Vec<[f32; 2]> = series
                    .points
                    .iter()
                    .filter(|p| drawable(p))
                    .map(place)
                    .collect();
                let radius = if points.len() > 150 { 1.8 } else { 2.8 };
                // A white rim lifts the dots off the noise of the training curves.
                drawing.dots(points.clone(), radius + 0.9, Ink::solid([255; 3]));
                drawing.dots(points, radius, ink);
            }
            Style::Line => {
                let alpha = if self.panel.series.iter().any(|s| s.style == Style::Points) {
                    0.5
                } else {
                    0.85
                };
                let mut lines = Vec::new();
                for run in series.points.split(|p| !drawable(p)) {
                    match run {
                        [] => {}
                        [alone] => drawing.dots(vec![place(alone)], 1.5, ink),
                        _ => lines.push(thinned(run.iter().map(place))),
                    }
                }
                if !lines.is_empty() {
                    drawing.items.push(Item::Lines {
                        lines,
                        width: 1.0,
                        ink: ink.faint(alpha),
                        dash: None,
                    });
                }
                if self.look == Look::Sweep {
                    let measured = series.points.iter().filter(|p| drawable(p));
                    drawing.dots(measured.map(place).collect(), 2.8, ink);
                }
            }
        }
    }
}

/// A legend key: a piece of what the series looks like, 22 pixels wide.
fn key(drawing: &mut Drawing, at: [f32; 2], style: Style, look: Look, ink: Ink) {
    let line = vec![at, [at[0] + 22.0, at[1]]];
    match style {
        Style::Line => {
            drawing.line(line, 2.0, ink);
            if look == Look::Sweep {
                drawing.dots(vec![[at[0] + 11.0, at[1]]], 3.2, ink);
            }
        }
        Style::Level => drawing.items.push(Item::Lines {
            lines: vec![line],
            width: 1.4,
            ink,
            dash: Some([6.0, 4.0]),
        }),
        Style::Points => drawing.dots(vec![[at[0] + 11.0, at[1]]], 3.2, ink),
    }
}

/// First, least, greatest and last point of each half pixel: the same picture from any number of points.
fn thinned(points: impl Iterator<Item = [f32; 2]>) -> Vec<[f32; 2]> {
    let mut out = Vec::new();
    let mut column: Vec<[f32; 2]> = Vec::new();
    let flush = |column: &mut Vec<[f32; 2]>, out: &mut Vec<[f32; 2]>| {
        if column.len() > 4 {
            let by_height = |a: &usize, b: &usize| column[*a][1].total_cmp(&column[*b][1]);
            let last = column.len() - 1;
            let mut keep = vec![0, last];
            keep.extend((0..=last).min_by(by_height));
            keep.extend((0..=last).max_by(by_height));
            keep.sort_unstable();
            keep.dedup();
            out.extend(keep.into_iter().map(|k| column[k]));
        } else {
            out.extend(column.iter());
        }
        column.clear();
    };
    for p in points {
        if column
            .first()
            .is_some_and(|first| (p[0] - first[0]).abs() >= 0.5)
        {
            flush(&mut column, &mut out);
        }
        column.push(p);
    }
    flush(&mut column, &mut out);
    out
}

/// Logarithmic for positive values; linear around zero where some are not; linear throughout where that would leave no decade.
fn choose_scale(range: [f64; 2], values: impl Iterator<Item = f64>) -> Scale {
    let [lo, hi] = range;
    let floor = hi * 10f64.powi(-DECADES);
    if hi <= 0.0 || floor == 0.0 {
        return Scale::Linear;
    }
    if lo >= floor {
        return Scale::Log;
    }
    let power = |v: f64| 10f64.powi(v.log10().ceil() as i32);
    // Everything below zero lies in the linear part; if there is only zero or the very small, the least positive value starts the decades.
    let start = if lo < 0.0 {
        power(-lo)
    } else {
        power(values.filter(|v| *v > 0.0).fold(hi, f64::min))
    };
    let start = start.max(power(floor));
    if start * 10.0 > hi {
        Scale::Linear
    } else {
        Scale::Symlog(start)
    }
}

fn plain_power(c: f64) -> String {
    Axis::scaled(c, c, Scale::Symlog(c))
        .ticks
        .iter()
        .rev()
        .find(|t| t.at > 0.0)
        .map_or_else(|| c.to_string(), |t| t.label.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::testing::{assert_inside, look};

    /// A decaying curve with multiplicative noise that ends at `floor`.
    fn decay(n: usize, every: f64, start: f64, floor: f64, swing: f64) -> Vec<(f64, f64)> {
        (0..n)
            .map(|i| {
                let wave = 1.0 + swing * ((i * 7919 % 1000) as f64 / 500.0 - 1.0);
                (
                    i as f64 * every,
                    (start * (-8.0 * i as f64 / n as f64).exp() + floor) * wave,
                )
            })
            .collect()
    }

    fn panels(n: usize, scale: f64, negative: bool) -> Vec<LossPanel> {
        let every = 20_000.0 / n as f64;
        let dip = if negative { 4e-3 * scale } else { 0.0 };
        let lower = |mut points: Vec<(f64, f64)>| {
            points
                .iter_mut()
                .enumerate()
                .for_each(|(i, p)| p.1 -= dip * (i * 31 % 17) as f64 / 8.0);
            points
        };
        vec![
            LossPanel {
                title: "Losses".into(),
                y_label: "loss".into(),
                series: vec![
                    Series::new(
                        "total",
                        decay(n, every, 5.0 * scale, 0.01 * scale, 0.3),
                        Style::Line,
                        0,
                    ),
                    Series::new(
                        "Hamilton-Jacobi",
                        decay(n, every, scale, 1e-4 * scale, 0.5),
                        Style::Line,
                        1,
                    ),
                    Series::new(
                        "Hamilton-Jacobi, terminal",
                        decay(n, every, 0.6 * scale, 2e-4 * scale, 0.5),
                        Style::Line,
                        2,
                    ),
                ],
            },
            LossPanel {
                title: "Energy distance".into(),
                y_label: "energy distance".into(),
                series: vec![
                    Series::new(
                        "forward",
                        lower(decay(n, every, 3.0 * scale, 0.002 * scale, 0.6)),
                        Style::Line,
                        0,
                    ),
                    Series::new(
                        "backward",
                        lower(decay(n, every, 2.0 * scale, 0.002 * scale, 0.6)),
                        Style::Line,
                        1,
                    ),
                    Series::new(
                        "forward, held out",
                        lower(decay(20, 1000.0, 3.0 * scale, 0.002 * scale, 0.1)),
                        Style::Points,
                        0,
                    ),
                    Series::new(
                        "backward, held out",
                        lower(decay(20, 1000.0, 2.0 * scale, 0.002 * scale, 0.1)),
                        Style::Points,
                        1,
                    ),
                    Series::level("noise floor (95 %)", 0.006 * scale, 2),
                ],
            },
        ]
    }

    #[test]
    fn curves_stay_in_their_panels() {
        for (name, n, scale, negative) in [
            ("losses", 2000, 1.0, false),
            ("negative", 2000, 1.0, true),
            ("long", 200_000, 1.0, true),
            ("tiny", 500, 1e-9, true),
            ("huge", 40, 1e9, false),
        ] {
            let panels = panels(n, scale, negative);
            let drawing = LossFigure {
                title: "Swiss roll to moons",
                x_label: "step",
                panels: &panels,
            }
            .drawing()
            .unwrap();
            assert_inside(&drawing, 2);
            assert!(drawing.svg().len() < 300_000, "{name}");
            look(&drawing, &format!("loss-{name}"));
        }
    }

    #[test]
    fn short_broken_and_one_sided_histories_draw() {
        let one = |points: Vec<(f64, f64)>| {
            vec![LossPanel {
                title: "Losses".into(),
                y_label: "loss".into(),
                series: vec![Series::new("total", points, Style::Line, 0)],
            }]
        };
        let cases = [
            ("first-step", one(vec![(0.0, 2.0)])),
            (
                "diverged",
                one(vec![
                    (0.0, 2.0),
                    (10.0, 1.0),
                    (20.0, f64::NAN),
                    (30.0, f64::INFINITY),
                    (40.0, 1.5),
                    (50.0, 1.2),
                ]),
            ),
            ("constant", one(vec![(0.0, 2.0), (10.0, 2.0)])),
            ("zeros", one(vec![(0.0, 0.0), (10.0, 0.0)])),
            ("all-negative", one(vec![(0.0, -3.0), (10.0, -1.0)])),
            ("to-zero", one(vec![(0.0, 3.0), (10.0, 1e-5), (20.0, 0.0)])),
            (
                "one-decade",
                one(vec![(0.0, 3.0), (10.0, 2.5), (20.0, 1.2)]),
            ),
        ];
        for (name, panels) in cases {
            let drawing = LossFigure {
                title: "",
                x_label: "step",
                panels: &panels,
            }
            .drawing()
            .unwrap();
            assert_inside(&drawing, 1);
            look(&drawing, &format!("loss-{name}"));
        }
        assert!(
            LossFigure {
                title: "",
                x_label: "step",
                panels: &[]
            }
            .drawing()
            .is_err()
        );
        assert!(
            LossFigure {
                title: "",
                x_label: "step",
                panels: &one(vec![(0.0, f64::NAN)])
            }
            .drawing()
            .unwrap_err()
            .to_string()
            .contains("no finite")
        );
    }

    #[test]
    fn scales_follow_the_sign_of_the_values() {
        let scale = |v: &[f64]| {
            choose_scale(
                [
                    v.iter().copied().fold(f64::INFINITY, f64::min),
                    v.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                ],
                v.iter().copied(),
            )
        };
        assert_eq!(scale(&[1.0, 1e-6]), Scale::Log);
        assert_eq!(scale(&[1.0, -3e-3]), Scale::Symlog(0.01));
        assert_eq!(scale(&[1.0, -0.3]), Scale::Linear);
        assert_eq!(scale(&[-1.0, -0.3]), Scale::Linear);
        assert_eq!(scale(&[0.0]), Scale::Linear);
        assert!(
            matches!(scale(&[1.0, 0.0, 2e-4]), Scale::Symlog(c) if (c / 1e-3 - 1.0).abs() < 1e-9)
        );
    }

    #[test]
    fn thinning_keeps_the_extremes() {
        let points: Vec<[f32; 2]> = (0..10_000)
            .map(|i| {
                [
                    i as f32 * 0.01,
                    if i == 5003 { 99.0 } else { (i % 7) as f32 },
                ]
            })
            .collect();
        let few = thinned(points.iter().copied());
        assert!(few.len() <= 4 * 202 && few.contains(&points[5003]));
        assert_eq!((few.first(), few.last()), (points.first(), points.last()));
    }
}

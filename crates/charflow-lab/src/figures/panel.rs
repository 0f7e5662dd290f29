//! What the scatter figures share: limits that hold every point, a row of equal panels, dots by size of cloud, class colours.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::axis::Axis;
use super::drawing::{Anchor, Drawing, Ink};
use super::{font, palette};
use crate::{LabError, rows};

/// Points drawn per cloud: more do not show in a panel of this size, and would make the SVG slow.
pub(super) const MOST_DOTS: usize = 20_000;
/// Width of a panel of a row in pixels.
const PANEL: f32 = 208.0;
const GAP: f32 = 18.0;
pub(super) const TITLE_SIZE: f32 = 15.0;
pub(super) const LABEL_SIZE: f32 = 11.0;
pub(super) const TICK_SIZE: f32 = 9.5;
/// Classes named in a legend; the rest is counted.
const LEGEND: usize = 12;

/// An axis-parallel box with a scale on each side.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub at: [f32; 2],
    pub size: [f32; 2],
    pub x: Axis,
    pub y: Axis,
}

/// Draws a figure's title in the middle of its head, cut if the drawing is too narrow; none for an empty one.
pub fn heading(drawing: &mut Drawing, title: &str) {
    if title.is_empty() {
        return;
    }
    let text = font::fit(title, TITLE_SIZE, drawing.width - 24.0);
    drawing.text(
        [0.5 * drawing.width, 24.0],
        text,
        TITLE_SIZE,
        Anchor::Middle,
        palette::TEXT,
    );
}

impl Frame {
    /// Pixels of a point given in the axes' numbers.
    pub fn place(&self, x: f64, y: f64) -> [f32; 2] {
        [
            self.at[0] + (self.x.share(x) * f64::from(self.size[0])) as f32,
            self.at[1] + ((1.0 - self.y.share(y)) * f64::from(self.size[1])) as f32,
        ]
    }

    /// Grid, border and tick labels.
    pub fn draw(&self, drawing: &mut Drawing, y_labels: bool) {
        let [left, top] = self.at;
        let (right, bottom) = (left + self.size[0], top + self.size[1]);
        for tick in &self.x.ticks {
            let x = self.place(tick.at, self.y.lo)[0];
            drawing.line(vec![[x, top], [x, bottom]], 0.8, palette::GRID);
            // A label at a corner would meet the label of the next panel.
            let half = 0.5 * font::width(&tick.label, TICK_SIZE);
            let over = (left - (x - half)).max(x + half - right);
            if over <= 0.5 * GAP - 4.0 || y_labels && x - half < left && over < 20.0 {
                drawing.text(
                    [x, bottom + 13.0],
                    &tick.label,
                    TICK_SIZE,
                    Anchor::Middle,
                    palette::QUIET,
                );
            }
        }
        for tick in &self.y.ticks {
            let y = self.place(self.x.lo, tick.at)[1];
            drawing.line(vec![[left, y], [right, y]], 0.8, palette::GRID);
            if y_labels {
                drawing.text(
                    [left - 5.0, y + 3.4],
                    &tick.label,
                    TICK_SIZE,
                    Anchor::End,
                    palette::QUIET,
                );
            }
        }
        let border = vec![
            [left, top],
            [right, top],
            [right, bottom],
            [left, bottom],
            [left, top],
        ];
        drawing.line(border, 0.9, palette::BORDER);
    }

    /// Pixels to the left of the frame that the tick labels of `y` take.
    pub fn y_label_width(axis: &Axis) -> f32 {
        axis.ticks
            .iter()
            .map(|t| font::width(&t.label, TICK_SIZE))
            .fold(0.0, f32::max)
            + 7.0
    }
}

/// Checks that a cloud is `[n, 2]` with at least one point, all finite and small enough to subtract.
pub(super) fn check_plane(cloud: &[f64], what: &str) -> Result<usize, LabError> {
    check_cloud(cloud, 2, what)
}

pub(super) fn check_cloud(cloud: &[f64], dim: usize, what: &str) -> Result<usize, LabError> {
    let n = rows(cloud, dim, &format!("the {what} of a figure"))?;
    if n == 0 {
        return Err(LabError::Input(format!(
            "the {what} of a figure has no points"
        )));
    }
    if let Some(k) = cloud.iter().position(|v| v.is_nan() || v.abs() > 1e300) {
        return Err(LabError::Input(format!(
            "the {what} of a figure cannot be drawn: point {} has the value {}",
            k / dim + 1,
            cloud[k]
        )));
    }
    Ok(n)
}

/// Least and greatest value of each of two coordinates.
pub(super) fn bounds(clouds: &[&[f64]]) -> [[f64; 2]; 2] {
    let mut box_ = [[f64::INFINITY, f64::NEG_INFINITY]; 2];
    for point in clouds.iter().flat_map(|cloud| cloud.chunks_exact(2)) {
        for k in 0..2 {
            box_[k] = [box_[k][0].min(point[k]), box_[k][1].max(point[k])];
        }
    }
    box_
}

/// A range with room around it, wide enough that neighbouring numbers differ.
pub(super) fn padded(range: [f64; 2], share: f64) -> [f64; 2] {
    let middle = 0.5 * range[0] + 0.5 * range[1];
    let size = range[0].abs().max(range[1].abs());
    let mut half = 0.5 * (range[1] - range[0]) * (1.0 + 2.0 * share);
    if half <= 1e-11 * size || half < 1e-280 {
        half = if size > 1e-280 {
            (0.1 * size).min(1.0)
        } else {
            1.0
        };
    }
    [middle - half, middle + half]
}

/// A row of panels with shared limits, equal units on both axes.
pub(super) struct Row {
    pub drawing: Drawing,
    pub frames: Vec<Frame>,
}

impl Row {
    /// Lays out one panel for each title around the points of all clouds, and draws axes and titles.
    pub fn new(
        title: &str,
        panels: &[String],
        axis_labels: &[String; 2],
        clouds: &[&[f64]],
    ) -> Self {
        let [mut x, mut y] = bounds(clouds);
        // A direction in which nothing varies takes its room from the other one.
        let (wide, high) = (x[1] - x[0], y[1] - y[0]);
        if wide <= 1e-3 * high {
            let middle = 0.5 * (x[0] + x[1]);
            x = [middle - 0.3 * high, middle + 0.3 * high];
        } else if high <= 1e-3 * wide {
            let middle = 0.5 * (y[0] + y[1]);
            y = [middle - 0.3 * wide, middle + 0.3 * wide];
        }
        let (x, y) = (padded(x, 0.06), padded(y, 0.06));
        let height = PANEL * (((y[1] - y[0]) / (x[1] - x[0])) as f32).clamp(0.6, 1.4);
        // One unit is equally long on both axes: the scarcer side sets it.
        let unit = ((x[1] - x[0]) / f64::from(PANEL)).max((y[1] - y[0]) / f64::from(height));
        let spread = |range: [f64; 2], pixels: f32| {
            let (middle, half) = (
                0.5 * range[0] + 0.5 * range[1],
                0.5 * unit * f64::from(pixels),
            );
            [middle - half, middle + half]
        };
        let (x, y) = (spread(x, PANEL), spread(y, height));
        let x_axis = Axis::linear_fitted(x[0], x[1], 5, PANEL, |text| font::width(text, TICK_SIZE));
        let y_axis = Axis::linear(y[0], y[1], (5.0 * height / PANEL).round() as usize);

        let left = 26.0 + Frame::y_label_width(&y_axis);
        let top = if title.is_empty() { 28.0 } else { 56.0 };
        let count = panels.len() as f32;
        let width = left + count * PANEL + (count - 1.0) * GAP + 14.0;
        let mut drawing = Drawing {
            width,
            height: top + height + 36.0,
            items: Vec::new(),
            title: title.to_owned(),
        };
        heading(&mut drawing, title);
        let mut frames = Vec::new();
        for (k, name) in panels.iter().enumerate() {
            let at = [left + k as f32 * (PANEL + GAP), top];
            let frame = Frame {
                at,
                size: [PANEL, height],
                x: x_axis.clone(),
                y: y_axis.clone(),
            };
            frame.draw(&mut drawing, k == 0);
            let centre = at[0] + 0.5 * PANEL;
            drawing.text(
                [centre, top - 8.0],
                font::fit(name, 12.0, PANEL),
                12.0,
                Anchor::Middle,
                palette::TEXT,
            );
            let label = with_note(&axis_labels[0], &frame.x.note, PANEL);
            drawing.text(
                [centre, top + height + 28.0],
                label,
                LABEL_SIZE,
                Anchor::Middle,
                palette::TEXT,
            );
            frames.push(frame);
        }
        if let Some(first) = frames.first() {
            let label = with_note(&axis_labels[1], &first.y.note, height);
            turned(&mut drawing, [18.0, top + 0.5 * height], label);
        }
        Self { drawing, frames }
    }

    /// A legend of classes and a quiet line of notes below the panels.
    pub fn finish(mut self, classes: Option<&Classes>, note: Option<String>) -> Drawing {
        if let Some(classes) = classes {
            let count = classes.names.len();
            let mut entries: Vec<Entry> = classes
                .names
                .iter()
                .take(LEGEND)
                .enumerate()
                .map(|(k, name)| {
                    (
                        Some(palette::category(k, count)),
                        font::fit(name, LABEL_SIZE, 150.0),
                    )
                })
                .collect();
            if count > LEGEND {
                entries.push((None, format!("and {} more", count - LEGEND)));
            }
            legend(&mut self.drawing, &entries);
        }
        if let Some(note) = note {
            self.drawing.height += 16.0;
            let at = [self.drawing.width - 14.0, self.drawing.height - 8.0];
            self.drawing
                .text(at, note, TICK_SIZE, Anchor::End, palette::QUIET);
        }
        self.drawing
    }
}

/// Colour, if it has one, and name.
type Entry = (Option<Ink>, String);

/// Adds rows of dots with names, centred, below what is there.
fn legend(drawing: &mut Drawing, entries: &[Entry]) {
    const SPACE: f32 = 30.0;
    let mut lines: Vec<(f32, Vec<&Entry>)> = Vec::new();
    for entry in entries {
        let wide = font::width(&entry.1, LABEL_SIZE) + SPACE;
        match lines.last_mut() {
            Some((used, line)) if *used + wide <= drawing.width - 40.0 => {
                *used += wide;
                line.push(entry);
            }
            _ => lines.push((wide, vec![entry])),
        }
    }
    for (used, line) in lines {
        drawing.height += 18.0;
        let mut x = 0.5 * (drawing.width - used) + 12.0;
        let y = drawing.height - 8.0;
        for (ink, name) in line {
            if let Some(ink) = ink {
                drawing.dots(vec![[x, y - 4.0]], 4.0, *ink);
            }
            drawing.text([x + 8.0, y], name, LABEL_SIZE, Anchor::Start, palette::TEXT);
            x += font::width(name, LABEL_SIZE) + SPACE;
        }
    }
    drawing.height += 2.0;
}

/// An axis label turned to read upward.
pub(super) fn turned(drawing: &mut Drawing, at: [f32; 2], text: String) {
    drawing.items.push(super::drawing::Item::Text {
        at,
        text,
        size: LABEL_SIZE,
        anchor: Anchor::Middle,
        ink: palette::TEXT,
        turned: true,
    });
}

/// An axis label followed by what its numbers leave out; the label is cut, never the note.
pub(super) fn with_note(label: &str, note: &str, limit: f32) -> String {
    if note.is_empty() {
        return font::fit(label, LABEL_SIZE, limit);
    }
    let note = format!(" ({note})");
    let room = limit - font::width(&note, LABEL_SIZE);
    format!("{}{note}", font::fit(label, LABEL_SIZE, room))
}

/// The classes of both clouds under one numbering, in the order of their names.
pub(super) struct Classes {
    pub names: Vec<String>,
    pub source: Option<Vec<usize>>,
    pub target: Option<Vec<usize>>,
}

impl Classes {
    /// `None` if neither cloud has classes; an error if there are not as many as points.
    pub fn new(
        source: Option<&[String]>,
        n: usize,
        target: Option<&[String]>,
        m: usize,
    ) -> Result<Option<Self>, LabError> {
        for (labels, count, what) in [(source, n, "source"), (target, m, "target")] {
            if let Some(labels) = labels
                && labels.len() != count
            {
                return Err(LabError::Input(format!(
                    "the {what} has {count} points but {} classes were given",
                    labels.len()
                )));
            }
        }
        if source.is_none() && target.is_none() {
            return Ok(None);
        }
        let mut names: Vec<String> = source
            .iter()
            .chain(&target)
            .flat_map(|l| l.iter().cloned())
            .collect();
        names.sort_unstable_by(|a, b| natural(a).cmp(&natural(b)));
        names.dedup();
        let place: std::collections::HashMap<&str, usize> = names
            .iter()
            .enumerate()
            .map(|(k, name)| (name.as_str(), k))
            .collect();
        let number = |labels: Option<&[String]>| {
            labels.map(|l| l.iter().map(|name| place[name.as_str()]).collect())
        };
        let (source, target) = (number(source), number(target));
        Ok(Some(Self {
            names,
            source,
            target,
        }))
    }

    fn inks(&self) -> Vec<Ink> {
        (0..self.names.len())
            .map(|k| palette::category(k, self.names.len()))
            .collect()
    }
}

/// Numbers before text and by value, so that class 10 follows class 9.
fn natural(name: &str) -> (bool, u64, &str) {
    name.parse::<u64>()
        .map_or((true, 0, name), |number| (false, number, name))
}

/// A random order of `0..n`, the same for clouds of equal size, cut to what is drawn. Random, so that no class hides another.
pub(super) fn drawn_order(n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let keep = n.min(MOST_DOTS);
    for k in 0..keep {
        order.swap(k, rng.random_range(k..n));
    }
    order.truncate(keep);
    order
}

/// Radius and opacity for `n` dots in a panel: many small faint ones, few large ones.
pub(super) fn dot_style(n: usize) -> (f32, f32) {
    let n = n.clamp(1, MOST_DOTS) as f32;
    (
        (9.0 / n.powf(0.25)).clamp(0.8, 2.8),
        (2.2 * n.powf(-0.2)).clamp(0.3, 0.9),
    )
}

/// Draws a cloud, in one colour or by class.
pub(super) fn scatter(
    drawing: &mut Drawing,
    frame: &Frame,
    cloud: &[f64],
    ink: Ink,
    classes: Option<(&Classes, &[usize])>,
    fade: f32,
) {
    let order = drawn_order(cloud.len() / 2);
    let (radius, alpha) = dot_style(order.len());
    let place = |i: usize| frame.place(cloud[2 * i], cloud[2 * i + 1]);
    match classes {
        None => drawing.dots(
            order.iter().map(|&i| place(i)).collect(),
            radius,
            ink.faint(alpha * fade),
        ),
        Some((classes, of)) => {
            // Small blocks in turn, so that classes lie among each other rather than in layers.
            for block in order.chunks(400) {
                let mut groups = vec![Vec::new(); classes.names.len()];
                for &i in block {
                    groups[of[i]].push(place(i));
                }
                for (points, ink) in groups.into_iter().zip(classes.inks()) {
                    drawing.dots(points, radius, ink.faint(alpha * fade));
                }
            }
        }
    }
}

/// What is said when not every point is drawn.
pub(super) fn subset_note(counts: &[usize]) -> Option<String> {
    let most = counts.iter().copied().max()?;
    (most > MOST_DOTS).then(|| {
        format!(
            "{} of {} points drawn in a panel",
            grouped(MOST_DOTS),
            grouped(most)
        )
    })
}

fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (k, c) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

//! Numbers of several things on several tasks: a row for each task, a dot for each thing on one axis (Cleveland, "The Elements of Graphing Data", 1985).
//!
//! A dot may come in two sides, filled and hollow, such as forward and backward. Rows stand in groups; a tick in a row marks what is asked for, where something is.
//! Errors are drawn on a logarithmic axis, shares on a linear one.

use std::path::{Path, PathBuf};

use super::axis::{Axis, Scale};
use super::drawing::{Anchor, Drawing, Ink, Item};
use super::panel::{LABEL_SIZE, TICK_SIZE};
use super::{font, palette};
use crate::LabError;

/// Width of the panel in pixels.
const WIDTH: f32 = 470.0;
/// Height of a row, of a group's heading.
const ROW: f32 = 17.0;
const HEADING: f32 = 24.0;
const RADIUS: f32 = 4.6;
/// Values below this are drawn here: of a value that is zero but for rounding, the size says nothing.
const LEAST: f64 = 1e-3;

/// One row: a task.
#[derive(Debug, Clone, PartialEq)]
pub struct DotRow {
    /// Its name.
    pub label: String,
    /// What was measured: whose it is, and the two sides. Values that are not finite are left out.
    pub dots: Vec<(String, [f64; 2])>,
    /// The value asked for, at most; none where nothing is.
    pub asked: Option<f64>,
}

/// Groups of rows over one axis.
#[derive(Debug, Clone, PartialEq)]
pub struct DotFigure<'a> {
    /// Heading and rows of each group.
    pub groups: &'a [(String, Vec<DotRow>)],
    /// Name of the axis.
    pub x_label: &'a str,
    /// Names of the sides: filled, hollow; none where only the first is given.
    pub sides: Option<[&'a str; 2]>,
    /// Whether the axis is logarithmic; values below 0.001 are then drawn there.
    pub logarithmic: bool,
}

impl DotFigure<'_> {
    /// Writes `stem.png` and `stem.svg` (`dots.*` inside, if `stem` is a directory) and returns the two paths.
    ///
    /// # Errors
    /// No finite value to draw; a file that cannot be written.
    pub fn save(&self, stem: &Path) -> Result<Vec<PathBuf>, LabError> {
        self.drawing()?.save(stem, "dots")
    }

    fn drawing(&self) -> Result<Drawing, LabError> {
        let rows = || self.groups.iter().flat_map(|(_, rows)| rows);
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in rows().flat_map(|row| &row.dots) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let (scale, least) = if self.logarithmic {
            (Scale::Log, LEAST)
        } else {
            (Scale::Linear, f64::NEG_INFINITY)
        };
        let values = rows()
            .flat_map(|row| row.dots.iter().flat_map(|d| d.1))
            .filter(|v| v.is_finite());
        let [low, high] = values.fold([f64::INFINITY, f64::NEG_INFINITY], |e, v| {
            [e[0].min(v.max(least)), e[1].max(v.max(least))]
        });
        if low > high {
            return Err(LabError::Input("there are no finite values to draw".into()));
        }
        let asked = rows().filter_map(|row| row.asked);
        let low = asked.clone().fold(low, f64::min).max(least);
        let high = asked.clone().fold(high, f64::max);
        let axis = if self.logarithmic {
            Axis::scaled(0.7 * low, 1.4 * high, scale)
        } else {
            Axis::scaled(low, high, scale)
        };
        let marked = asked.count() > 0;

        let labels = rows().map(|row| font::width(&row.label, LABEL_SIZE));
        let titles = self.groups.iter().map(|(t, _)| font::width(t, 12.0));
        let left = 24.0 + labels.chain(titles).fold(0.0, f32::max).min(220.0);
        let mut drawing = Drawing {
            width: left + WIDTH + 24.0,
            height: 0.0,
            items: Vec::new(),
            title: self.x_label.to_string(),
        };
        let x = |v: f64| left + WIDTH * axis.share(scale.apply(v.max(least))) as f32;
        let ink = |name: &str| {
            let k = names.iter().position(|n| *n == name).unwrap_or(0);
            palette::category(k, names.len())
        };
        let top = legend(&mut drawing, left, &names, self.sides, marked, &ink);

        let count: usize = rows().count();
        let bottom = top + HEADING * self.groups.len() as f32 + ROW * count as f32 + 6.0;
        for tick in &axis.ticks {
            let at = left + WIDTH * axis.share(tick.at) as f32;
            drawing.line(vec![[at, top], [at, bottom]], 0.9, palette::GRID);
            if !tick.label.is_empty() {
                drawing.text(
                    [at, bottom + 14.0],
                    tick.label.clone(),
                    TICK_SIZE,
                    Anchor::Middle,
                    palette::QUIET,
                );
            }
        }
        let mut y = top;
        for (title, rows) in self.groups {
            y += HEADING;
            drawing.text(
                [12.0, y - 7.0],
                font::fit(title, 12.0, left - 16.0),
                12.0,
                Anchor::Start,
                palette::TEXT,
            );
            for row in rows {
                let middle = y + 0.5 * ROW;
                drawing.text(
                    [left - 8.0, middle + 4.0],
                    font::fit(&row.label, LABEL_SIZE, left - 16.0),
                    LABEL_SIZE,
                    Anchor::End,
                    palette::TEXT,
                );
                let ends = [[left, middle], [left + WIDTH, middle]];
                drawing.line(ends.to_vec(), 0.6, palette::GRID);
                if let Some(goal) = row.asked.map(x) {
                    let mark = [[goal, middle - 0.5 * ROW], [goal, middle + 0.5 * ROW]];
                    drawing.line(mark.to_vec(), 1.4, palette::BORDER);
                }
                for (name, sides) in &row.dots {
                    // Hollow first: where both fall on one place, the filled one is seen within the ring.
                    for (k, v) in sides
                        .iter()
                        .enumerate()
                        .rev()
                        .filter(|(_, v)| v.is_finite())
                    {
                        dot(&mut drawing, [x(*v), middle], k == 1, ink(name));
                    }
                }
                y += ROW;
            }
        }
        let frame = [
            [left, top],
            [left + WIDTH, top],
            [left + WIDTH, bottom],
            [left, bottom],
            [left, top],
        ];
        drawing.line(frame.to_vec(), 0.9, palette::BORDER);
        drawing.text(
            [left + 0.5 * WIDTH, bottom + 32.0],
            self.x_label.to_string(),
            LABEL_SIZE,
            Anchor::Middle,
            palette::TEXT,
        );
        drawing.height = bottom + 42.0;
        Ok(drawing)
    }
}

/// The names with their colours, the sides with their shapes and the mark of what is asked; returns where the panel begins.
fn legend(
    drawing: &mut Drawing,
    left: f32,
    names: &[&str],
    sides: Option<[&str; 2]>,
    marked: bool,
    ink: &dyn Fn(&str) -> Ink,
) -> f32 {
    let mut entries: Vec<(String, bool, Option<Ink>)> = names
        .iter()
        .map(|name| ((*name).to_string(), false, Some(ink(name))))
        .collect();
    for (k, side) in sides.into_iter().flatten().enumerate() {
        entries.push((side.to_string(), k == 1, Some(palette::QUIET)));
    }
    if marked {
        entries.push(("asked, at most".into(), false, None));
    }
    let (mut x, mut y) = (left, 20.0);
    for (text, hollow, ink) in entries {
        let wide = 30.0 + font::width(&text, LABEL_SIZE);
        if x + wide > left + WIDTH && x > left {
            (x, y) = (left, y + 17.0);
        }
        match ink {
            Some(ink) => dot(drawing, [x + 6.0, y - 4.0], hollow, ink),
            None => drawing.line(
                vec![[x + 6.0, y - 10.0], [x + 6.0, y + 2.0]],
                1.4,
                palette::BORDER,
            ),
        }
        drawing.text(
            [x + 15.0, y],
            text,
            LABEL_SIZE,
            Anchor::Start,
            palette::TEXT,
        );
        x += wide;
    }
    y + 14.0
}

fn dot(drawing: &mut Drawing, at: [f32; 2], hollow: bool, ink: Ink) {
    drawing.items.push(Item::Dots {
        points: vec![at],
        radius: RADIUS,
        ink,
    });
    if hollow {
        drawing.items.push(Item::Dots {
            points: vec![at],
            radius: RADIUS - 1.5,
            ink: Ink::solid([255; 3]),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Vec<(String, Vec<DotRow>)> {
        let row = |label: &str, values: [f64; 3]| DotRow {
            label: label.into(),
            dots: ["linear", "ncf+dual", "a wrong cost"]
                .iter()
                .zip(values)
                .map(|(name, v)| ((*name).to_string(), [v, 0.4 * v]))
                .collect(),
            asked: Some(2.0),
        };
        vec![
            (
                "line, d = 1".into(),
                vec![
                    row("quadratic", [17.0, 0.1, f64::NAN]),
                    row("power:3", [17.0, 0.3, f64::NAN]),
                ],
            ),
            (
                "pair, d = 32".into(),
                vec![
                    row("elastic:0.8", [23.0, 1.9, 5.0]),
                    row("mahalanobis", [21.0, 0.0, 30.0]),
                ],
            ),
        ]
    }

    #[test]
    fn every_dot_lies_in_the_panel_and_rows_stand_apart() {
        let groups = groups();
        let figure = DotFigure {
            groups: &groups,
            x_label: "L2-UVP, %",
            sides: Some(["forward", "backward"]),
            logarithmic: true,
        };
        let drawing = figure.drawing().unwrap();
        super::super::testing::look(&drawing, "dots");
        super::super::testing::assert_inside(&drawing, 1);
        let dots = drawing.items.iter().filter(
            |item| matches!(item, Item::Dots { radius, ink, .. } if *radius == RADIUS && *ink != palette::QUIET),
        );
        // Three names in the legend; two sides of ten finite values.
        assert_eq!(dots.count(), 3 + 2 * 10);
    }

    #[test]
    fn shares_have_one_side_a_linear_axis_and_no_mark() {
        let names = [
            "none", "linear", "exact", "sinkhorn", "classes", "ncf", "labels",
        ];
        let row = |k: usize| DotRow {
            label: format!("task {k}"),
            dots: names
                .iter()
                .enumerate()
                .map(|(i, name)| {
                    (
                        (*name).to_string(),
                        [40.0 + ((7 * i + 5 * k) % 23) as f64, f64::NAN],
                    )
                })
                .collect(),
            asked: None,
        };
        let groups = [("features".to_string(), (0..3).map(row).collect())];
        let figure = DotFigure {
            groups: &groups,
            x_label: "accuracy, %",
            sides: None,
            logarithmic: false,
        };
        let drawing = figure.drawing().unwrap();
        super::super::testing::look(&drawing, "dots-shares");
        super::super::testing::assert_inside(&drawing, 1);
        let dots = drawing
            .items
            .iter()
            .filter(|item| matches!(item, Item::Dots { .. }));
        assert_eq!(dots.count(), 7 + 7 * 3);
    }

    #[test]
    fn nothing_to_draw_is_told() {
        let figure = DotFigure {
            groups: &[],
            x_label: "",
            sides: None,
            logarithmic: false,
        };
        assert!(figure.drawing().is_err());
    }
}

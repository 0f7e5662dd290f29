//! Points on a line: densities before and after, and paths in time.

use std::path::{Path, PathBuf};

use super::axis::Axis;
use super::drawing::{Anchor, Drawing, Item};
use super::panel::{
    Frame, LABEL_SIZE, check_cloud, drawn_order, heading, padded, turned, with_note,
};
use super::{font, palette};
use crate::LabError;

const PANEL: [f32; 2] = [300.0, 230.0];

/// For one column: the target beside `T(x)`, the source beside `S(y)`, and straight paths from `x` at time 0 to `T(x)` at time 1.
///
/// The optimal map on a line is increasing, so the paths of a good one do not cross.
#[derive(Debug, Clone)]
pub struct LineTransportFigure<'a> {
    /// Heading; empty for none.
    pub title: &'a str,
    /// Source points, `[n]`.
    pub source: &'a [f64],
    /// Target points, `[m]`.
    pub target: &'a [f64],
    /// `T(x)` in the order of the source, `[n]`.
    pub pushed: &'a [f64],
    /// `S(y)` in the order of the target, `[m]`.
    pub pulled: &'a [f64],
    /// Name of the column.
    pub axis_label: String,
    /// How many paths to draw, at most.
    pub lines: usize,
}

impl LineTransportFigure<'_> {
    /// Writes `stem.png` and `stem.svg` (`transport.*` inside, if `stem` is a directory) and returns the two paths.
    ///
    /// # Errors
    /// Clouds that are empty, of different sizes where they must agree, or not finite; a file that cannot be written.
    pub fn save(&self, stem: &Path) -> Result<Vec<PathBuf>, LabError> {
        self.drawing()?.save(stem, "transport")
    }

    fn drawing(&self) -> Result<Drawing, LabError> {
        for (cloud, what) in [
            (self.source, "source"),
            (self.target, "target"),
            (self.pushed, "pushed points"),
            (self.pulled, "pulled points"),
        ] {
            check_cloud(cloud, 1, what)?;
        }
        if self.pushed.len() != self.source.len() || self.pulled.len() != self.target.len() {
            return Err(LabError::Input(format!(
                "a figure got {} pushed and {} pulled points for {} source and {} target points; each needs one",
                self.pushed.len(),
                self.pulled.len(),
                self.source.len(),
                self.target.len()
            )));
        }
        let all = [self.source, self.target, self.pushed, self.pulled];
        let [lo, hi] = padded(range(&all), 0.05);
        let x = Axis::linear_fitted(lo, hi, 6, PANEL[0], |text| font::width(text, 9.5));

        let mut drawing = Drawing {
            width: 0.0,
            height: 0.0,
            items: Vec::new(),
            title: self.title.to_owned(),
        };
        let top = if self.title.is_empty() { 52.0 } else { 84.0 };
        let mut left = 0.0;
        let pairs = [
            (
                "Forward: target y and T(x)",
                (self.target, palette::TARGET, "y"),
                (self.pushed, palette::SOURCE, "T(x)"),
            ),
            (
                "Backward: source x and S(y)",
                (self.source, palette::SOURCE, "x"),
                (self.pulled, palette::TARGET, "S(y)"),
            ),
        ];
        for (title, wanted, got) in pairs {
            let (filled, outlined) = (density(wanted.0, got.0), density(got.0, wanted.0));
            let highest = filled
                .iter()
                .chain(&outlined)
                .fold(0.0f64, |m, b| m.max(b.2));
            let y = Axis::linear(0.0, 1.08 * highest, 4);
            left += 32.0 + Frame::y_label_width(&y);
            let frame = Frame {
                at: [left, top],
                size: PANEL,
                x: x.clone(),
                y,
            };
            self.head(&mut drawing, &frame, title, "density");
            for &(a, b, v) in filled.iter().filter(|b| b.2 > 0.0) {
                let (corner, end) = (frame.place(a, v), frame.place(b, 0.0));
                drawing.items.push(Item::Rect {
                    at: corner,
                    size: [end[0] - corner[0], end[1] - corner[1]],
                    ink: wanted.1.faint(0.3),
                });
            }
            let mut outline = Vec::new();
            for (k, &(a, b, v)) in outlined.iter().enumerate() {
                if k == 0 {
                    outline.push(frame.place(a, 0.0));
                }
                outline.extend([frame.place(a, v), frame.place(b, v)]);
                if k + 1 == outlined.len() {
                    outline.push(frame.place(b, 0.0));
                }
            }
            drawing.line(outline, 1.4, got.1);
            // The key, right-aligned above the frame.
            let y = top - 7.0;
            let mut x = left + 0.5 * PANEL[0] - 60.0;
            drawing.items.push(Item::Rect {
                at: [x, y - 9.0],
                size: [16.0, 9.0],
                ink: wanted.1.faint(0.3),
            });
            drawing.text(
                [x + 21.0, y],
                wanted.2,
                LABEL_SIZE,
                Anchor::Start,
                palette::TEXT,
            );
            x += 62.0;
            drawing.line(vec![[x, y - 4.5], [x + 16.0, y - 4.5]], 1.6, got.1);
            drawing.text(
                [x + 21.0, y],
                got.2,
                LABEL_SIZE,
                Anchor::Start,
                palette::TEXT,
            );
            left += PANEL[0];
        }
        let y = Axis::linear(-0.04, 1.04, 5);
        left += 32.0 + Frame::y_label_width(&y);
        let frame = Frame {
            at: [left, top],
            size: PANEL,
            x,
            y,
        };
        self.head(&mut drawing, &frame, "Paths x → T(x)", "time t");
        let chosen: Vec<usize> = drawn_order(self.source.len())
            .into_iter()
            .take(self.lines)
            .collect();
        let ends = |i: usize| {
            [
                frame.place(self.source[i], 0.0),
                frame.place(self.pushed[i], 1.0),
            ]
        };
        let lines: Vec<_> = chosen.iter().map(|&i| ends(i).to_vec()).collect();
        if !lines.is_empty() {
            drawing.items.push(Item::Lines {
                lines,
                width: 0.5,
                ink: palette::BLACK.faint(0.7),
                dash: None,
            });
        }
        drawing.dots(
            chosen.iter().map(|&i| ends(i)[0]).collect(),
            1.8,
            palette::SOURCE,
        );
        drawing.dots(
            chosen.iter().map(|&i| ends(i)[1]).collect(),
            1.8,
            palette::TARGET,
        );

        drawing.width = left + PANEL[0] + 16.0;
        drawing.height = top + PANEL[1] + 38.0;
        heading(&mut drawing, self.title);
        Ok(drawing)
    }

    fn head(&self, drawing: &mut Drawing, frame: &Frame, title: &str, y_label: &str) {
        frame.draw(drawing, true);
        let [left, top] = frame.at;
        let centre = left + 0.5 * PANEL[0];
        drawing.text(
            [centre, top - 27.0],
            title,
            12.0,
            Anchor::Middle,
            palette::TEXT,
        );
        let label = with_note(&self.axis_label, &frame.x.note, PANEL[0]);
        drawing.text(
            [centre, top + PANEL[1] + 30.0],
            label,
            LABEL_SIZE,
            Anchor::Middle,
            palette::TEXT,
        );
        let at = [
            left - Frame::y_label_width(&frame.y) - 10.0,
            top + 0.5 * PANEL[1],
        ];
        turned(drawing, at, with_note(y_label, &frame.y.note, PANEL[1]));
    }
}

fn range(clouds: &[&[f64]]) -> [f64; 2] {
    clouds
        .iter()
        .flat_map(|c| c.iter())
        .fold([f64::INFINITY, f64::NEG_INFINITY], |r, &v| {
            [r[0].min(v), r[1].max(v)]
        })
}

/// Histogram density of a cloud over the range it shares with `beside`: left edge, right edge, height.
fn density(cloud: &[f64], beside: &[f64]) -> Vec<(f64, f64, f64)> {
    let [lo, hi] = padded(range(&[cloud, beside]), 0.0);
    let bins = (2.0 * (cloud.len().min(beside.len()) as f64).cbrt())
        .round()
        .clamp(6.0, 70.0) as usize;
    let width = (hi - lo) / bins as f64;
    let mut counts = vec![0usize; bins];
    for v in cloud {
        counts[(((v - lo) / width) as usize).min(bins - 1)] += 1;
    }
    let unit = 1.0 / (cloud.len() as f64 * width);
    counts
        .iter()
        .enumerate()
        .map(|(k, &c)| {
            (
                lo + k as f64 * width,
                lo + (k + 1) as f64 * width,
                c as f64 * unit,
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::{generate, skewed_optimal};
    use crate::figures::testing::{assert_inside, look};

    #[test]
    fn densities_integrate_to_one_and_nothing_is_clipped() {
        for (name, n, scale, shift) in [
            ("friendly", 2000, 1.0, 0.0),
            ("tiny", 300, 1e-6, 0.0),
            ("far", 300, 1.0, 1e6),
            ("thirty", 30, 1.0, 0.0),
            ("constant", 5, 0.0, 3.0),
        ] {
            let data = generate("skewed-1d", n, None, 2).unwrap().clouds;
            let place = |v: Vec<f64>| v.into_iter().map(|v| scale * v + shift).collect::<Vec<_>>();
            let pushed = place(data[0].values.iter().map(|&x| skewed_optimal(x)).collect());
            let pulled = place(data[1].values.iter().map(|y| 2.0 * y.ln()).collect());
            let (source, target) = (place(data[0].values.clone()), place(data[1].values.clone()));
            let mass: f64 = density(&source, &pulled)
                .iter()
                .map(|b| (b.1 - b.0) * b.2)
                .sum();
            assert!((mass - 1.0).abs() < 1e-6, "{name} {mass}");
            let figure = LineTransportFigure {
                title: "Normal to log-normal",
                source: &source,
                target: &target,
                pushed: &pushed,
                pulled: &pulled,
                axis_label: "x1".into(),
                lines: 80,
            };
            let drawing = figure.drawing().unwrap();
            assert_inside(&drawing, 3);
            look(&drawing, &format!("line-{name}"));
        }
    }
}

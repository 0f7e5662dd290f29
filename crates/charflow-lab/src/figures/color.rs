//! Two pictures, each in the other's colours, with the histograms that were wanted and got.

use std::path::{Path, PathBuf};

use super::axis::Axis;
use super::drawing::{Anchor, Drawing, Ink};
use super::panel::{LABEL_SIZE, TICK_SIZE, TITLE_SIZE};
use super::{Raster, font, palette};
use crate::LabError;
use crate::color::{BINS, CHANNELS, Histograms};

/// The box of a picture.
const CELL: [f32; 2] = [330.0, 248.0];
/// The box of a histogram.
const PANEL: [f32; 2] = [256.0, 58.0];
const GAP: f32 = 18.0;
const MARGIN: f32 = 14.0;
/// Red, green and blue of one lightness, so that none stands out.
const CHANNEL_INKS: [(&str, [u8; 3]); CHANNELS] = [
    ("red", [200, 60, 50]),
    ("green", [20, 140, 80]),
    ("blue", [30, 110, 190]),
];

/// Originals on the left, results on the right, histograms beside the results.
#[derive(Debug, Clone, PartialEq)]
pub struct ColorFigure<'a> {
    /// Heading; empty for none.
    pub title: &'a str,
    /// A: its name and pixels.
    pub source: (&'a str, &'a Raster),
    /// B.
    pub target: (&'a str, &'a Raster),
    /// A in the colours of B.
    pub forward: &'a Raster,
    /// B in the colours of A.
    pub backward: &'a Raster,
    /// Of A, B, the forward and the backward result.
    pub histograms: [Histograms; 4],
}

impl ColorFigure<'_> {
    /// Writes `stem.png` and `stem.svg` (`color.*` inside, if `stem` is a directory) and returns the two paths.
    ///
    /// # Errors
    /// A histogram that has not 256 finite bins; a file that cannot be written.
    pub fn save(&self, stem: &Path) -> Result<Vec<PathBuf>, LabError> {
        self.drawing()?.save(stem, "color")
    }

    fn drawing(&self) -> Result<Drawing, LabError> {
        let good = |h: &Vec<f64>| h.len() == BINS && h.iter().all(|v| v.is_finite() && *v >= 0.0);
        if !self.histograms.iter().flatten().all(good) {
            return Err(LabError::Input(format!(
                "a histogram has {BINS} shares that are not negative"
            )));
        }
        let top = if self.title.is_empty() { 10.0 } else { 36.0 };
        let row = CELL[1] + 40.0;
        let histograms_at = MARGIN + 2.0 * (CELL[0] + GAP) + 34.0;
        let mut drawing = Drawing {
            width: histograms_at + PANEL[0] + MARGIN,
            height: top + 2.0 * row + 6.0,
            items: Vec::new(),
            title: if self.title.is_empty() {
                format!(
                    "{} and {}, each in the other's colours",
                    self.source.0, self.target.0
                )
            } else {
                self.title.to_string()
            },
        };
        if !self.title.is_empty() {
            drawing.text(
                [MARGIN, 24.0],
                self.title,
                TITLE_SIZE,
                Anchor::Start,
                palette::TEXT,
            );
        }
        let [a, b, forward, backward] = &self.histograms;
        let rows = [
            (self.source, self.forward, self.target.0, forward, b),
            (self.target, self.backward, self.source.0, backward, a),
        ];
        for (k, ((name, original), result, other, got, wanted)) in rows.into_iter().enumerate() {
            let y = top + row * k as f32;
            for (j, (raster, caption)) in [
                (original, name.to_string()),
                (result, format!("in the colours of {other}")),
            ]
            .into_iter()
            .enumerate()
            {
                let x = MARGIN + (CELL[0] + GAP) * j as f32;
                drawing.text(
                    [x, y + 12.0],
                    font::fit(&caption, LABEL_SIZE, CELL[0]),
                    LABEL_SIZE,
                    Anchor::Start,
                    palette::TEXT,
                );
                drawing.image([x, y + 18.0], CELL, raster);
            }
            let caption = format!("area: {other}; line: the result");
            drawing.text(
                [histograms_at, y + 12.0],
                font::fit(&caption, LABEL_SIZE, PANEL[0]),
                LABEL_SIZE,
                Anchor::Start,
                palette::TEXT,
            );
            for c in 0..CHANNELS {
                let at = [histograms_at, y + 32.0 + (PANEL[1] + 18.0) * c as f32];
                panel(
                    &mut drawing,
                    at,
                    CHANNEL_INKS[c],
                    &wanted[c],
                    &got[c],
                    c + 1 == CHANNELS,
                );
            }
        }
        Ok(drawing)
    }
}

/// One channel: the wanted histogram as an area, the found one as a line.
fn panel(
    drawing: &mut Drawing,
    at: [f32; 2],
    (name, rgb): (&str, [u8; 3]),
    wanted: &[f64],
    got: &[f64],
    last: bool,
) {
    // A spike of a clipped channel would flatten all else: it may leave the panel, and its share is said.
    let mut sorted: Vec<f64> = wanted.to_vec();
    sorted.sort_by(f64::total_cmp);
    let most = (1.6 * sorted[BINS - 4])
        .max(sorted[BINS - 1] / 8.0)
        .max(1e-9);
    let axis = Axis::linear(0.0, 100.0 * most, 3);
    let share = |v: f64| axis.share(100.0 * v).clamp(0.0, 1.0) as f32;
    let x = |bin: f32| at[0] + PANEL[0] * bin / BINS as f32;
    let floor = at[1] + PANEL[1];
    let ink = Ink::solid(rgb);
    for (bin, v) in wanted.iter().enumerate() {
        let tall = PANEL[1] * share(*v);
        if tall > 0.0 {
            drawing.items.push(super::drawing::Item::Rect {
                at: [x(bin as f32), floor - tall],
                size: [PANEL[0] / BINS as f32, tall],
                ink: ink.faint(0.35),
            });
        }
    }
    let line: Vec<[f32; 2]> = got
        .iter()
        .enumerate()
        .map(|(bin, v)| [x(bin as f32 + 0.5), floor - PANEL[1] * share(*v)])
        .collect();
    drawing.line(line, 1.0, ink);
    let frame = [
        at,
        [at[0] + PANEL[0], at[1]],
        [at[0] + PANEL[0], floor],
        [at[0], floor],
        at,
    ];
    drawing.line(frame.to_vec(), 0.9, palette::BORDER);
    drawing.text(
        [at[0], at[1] - 4.0],
        name,
        TICK_SIZE,
        Anchor::Start,
        palette::TEXT,
    );
    for tick in axis
        .ticks
        .iter()
        .filter(|t| !t.label.is_empty() && t.at <= 100.0 * most)
    {
        drawing.text(
            [at[0] - 4.0, floor - PANEL[1] * share(tick.at / 100.0) + 3.0],
            format!("{} %", tick.label),
            TICK_SIZE,
            Anchor::End,
            palette::QUIET,
        );
    }
    if last {
        for (level, anchor) in [
            (0, Anchor::Start),
            (128, Anchor::Middle),
            (255, Anchor::End),
        ] {
            drawing.text(
                [x(level as f32 + 0.5), floor + 12.0],
                level.to_string(),
                TICK_SIZE,
                anchor,
                palette::QUIET,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::testing::{assert_inside, look};

    fn raster(width: usize, height: usize) -> Raster {
        let rgb = (0..width * height)
            .flat_map(|p| {
                [
                    (p % width * 255 / width) as u8,
                    (p / width * 255 / height) as u8,
                    90,
                ]
            })
            .collect();
        Raster { width, height, rgb }
    }

    fn bell(center: f64, wide: f64) -> Vec<f64> {
        let mut h: Vec<f64> = (0..BINS)
            .map(|b| (-0.5 * ((b as f64 - center) / wide).powi(2)).exp())
            .collect();
        let sum: f64 = h.iter().sum();
        h.iter_mut().for_each(|v| *v /= sum);
        h
    }

    #[test]
    fn wide_tall_and_tiny_pictures_and_spikes_are_drawn() {
        let spike = |at: usize| {
            (0..BINS)
                .map(|b| f64::from(u8::from(b == at)))
                .collect::<Vec<f64>>()
        };
        for (name, sizes) in [
            ("color-wide", [(300, 100), (256, 256)]),
            ("color-tall", [(50, 400), (1, 1)]),
        ] {
            let [a, b] = sizes.map(|(w, h)| raster(w, h));
            let drawing = ColorFigure {
                title: "",
                source: (
                    "a picture with a long name, from a folder of pictures, of the year 2026.jpg",
                    &a,
                ),
                target: ("b.png", &b),
                forward: &a,
                backward: &b,
                histograms: [
                    [bell(60.0, 20.0), bell(128.0, 40.0), bell(200.0, 5.0)],
                    [spike(255), spike(0), bell(128.0, 30.0)],
                    [bell(250.0, 3.0), bell(3.0, 3.0), bell(130.0, 30.0)],
                    [bell(62.0, 20.0), bell(127.0, 40.0), bell(200.0, 6.0)],
                ],
            }
            .drawing()
            .unwrap();
            assert_inside(&drawing, 6);
            look(&drawing, name);
        }
    }

    #[test]
    fn histograms_of_another_kind_are_refused() {
        let a = raster(2, 2);
        let mut figure = ColorFigure {
            title: "t",
            source: ("a", &a),
            target: ("b", &a),
            forward: &a,
            backward: &a,
            histograms: std::array::from_fn(|_| std::array::from_fn(|_| bell(9.0, 3.0))),
        };
        assert!(figure.drawing().is_ok());
        figure.histograms[2][1].pop();
        assert!(figure.drawing().is_err());
        figure.histograms[2][1].push(f64::NAN);
        assert!(figure.drawing().is_err());
    }
}

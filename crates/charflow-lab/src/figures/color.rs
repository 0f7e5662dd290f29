//! Two pictures, each in the other's colours, with the histograms that were wanted and got.

use std::path::{Path, PathBuf};

use super::axis::Axis;
use super::drawing::{Anchor, Drawing, Ink, Item, fitted};
use super::panel::{LABEL_SIZE, TICK_SIZE, TITLE_SIZE, turned};
use super::{Raster, font, palette};
use crate::LabError;
use crate::color::{BINS, CHANNELS, Histograms};

/// The box of a picture; a column is as wide as its widest one, and wide enough for captions.
const CELL: [f32; 2] = [330.0, 248.0];
const NARROW: f32 = 210.0;
/// The box of a histogram.
const PANEL: [f32; 2] = [264.0, 58.0];
/// Room between the frame and the first and last level, which clipped pictures fill.
const INSET: f32 = 4.0;
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
    /// A histogram that has not 256 finite bins, a picture whose samples do not fit its size; a file that cannot be written.
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
        for (raster, what) in [
            (self.source.1, "the source"),
            (self.target.1, "the target"),
            (self.forward, "the forward result"),
            (self.backward, "the backward result"),
        ] {
            raster.check(what)?;
        }
        let widest = |pictures: [&Raster; 2]| {
            let widths = pictures.map(|raster| fitted(CELL, raster)[0]);
            widths[0].max(widths[1]).max(NARROW)
        };
        let columns = [
            widest([self.source.1, self.target.1]),
            widest([self.forward, self.backward]),
        ];
        let lefts = [MARGIN, MARGIN + columns[0] + GAP];
        let top = if self.title.is_empty() { 10.0 } else { 36.0 };
        let row = CELL[1] + 40.0;
        let histograms_at = lefts[1] + columns[1] + GAP + 48.0;
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
                font::fit(self.title, TITLE_SIZE, drawing.width - 2.0 * MARGIN),
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
                let x = lefts[j];
                drawing.text(
                    [x, y + 12.0],
                    font::fit(&caption, LABEL_SIZE, columns[j]),
                    LABEL_SIZE,
                    Anchor::Start,
                    palette::TEXT,
                );
                // Under its caption, not in the middle.
                drawing.image([x, y + 18.0], [fitted(CELL, raster)[0], CELL[1]], raster);
            }
            // The line is named before a name of any length.
            let caption = format!("line: the result; area: {other}");
            drawing.text(
                [histograms_at, y + 12.0],
                font::fit(&caption, LABEL_SIZE, PANEL[0]),
                LABEL_SIZE,
                Anchor::Start,
                palette::TEXT,
            );
            turned(
                &mut drawing,
                [
                    histograms_at - 42.0,
                    y + 32.0 + PANEL[1] + 18.0 + 0.5 * PANEL[1],
                ],
                "share of pixels".into(),
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
    // A spike of a clipped channel would flatten all else: it ends at the top of the panel, and its share is said.
    let mut sorted: Vec<f64> = wanted.to_vec();
    sorted.sort_by(f64::total_cmp);
    let most = (1.6 * sorted[BINS - 4])
        .max(sorted[BINS - 1] / 8.0)
        .max(1e-9);
    let axis = Axis::linear(0.0, 100.0 * most, 3);
    let share = |v: f64| axis.share(100.0 * v).clamp(0.0, 1.0) as f32;
    let wide = (PANEL[0] - 2.0 * INSET) / BINS as f32;
    let x = |bin: f32| at[0] + INSET + wide * bin;
    let floor = at[1] + PANEL[1];
    let ink = Ink::solid(rgb);
    for (bin, v) in wanted.iter().enumerate() {
        let tall = PANEL[1] * share(*v);
        if tall > 0.0 {
            drawing.items.push(Item::Rect {
                at: [x(bin as f32), floor - tall],
                size: [wide, tall],
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
    let beyond = [("area", wanted), ("line", got)]
        .into_iter()
        .filter_map(|(what, shares)| {
            let (level, share) = peak(shares);
            (share > most * (1.0 + 1e-9))
                .then(|| format!("{what} to {} % at {level}", percent(share)))
        })
        .collect::<Vec<_>>()
        .join(", ");
    if !beyond.is_empty() {
        drawing.text(
            [at[0] + PANEL[0], at[1] - 4.0],
            beyond,
            TICK_SIZE,
            Anchor::End,
            palette::QUIET,
        );
    }
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
        drawing.text(
            [at[0] + 0.5 * PANEL[0], floor + 25.0],
            "level",
            LABEL_SIZE,
            Anchor::Middle,
            palette::TEXT,
        );
    }
}

/// The largest share and its level.
fn peak(shares: &[f64]) -> (usize, f64) {
    let at = |best: (usize, f64), (level, share): (usize, &f64)| {
        if *share > best.1 {
            (level, *share)
        } else {
            best
        }
    };
    shares.iter().enumerate().fold((0, 0.0), at)
}

fn percent(share: f64) -> String {
    let decimals = usize::from(share < 0.0995);
    format!("{:.decimals$}", 100.0 * share)
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

    /// Areas and lines of the histograms lie in some panel.
    fn assert_histograms_inside(drawing: &Drawing) {
        let frames: Vec<&Vec<[f32; 2]>> = drawing
            .items
            .iter()
            .filter_map(|i| match i {
                Item::Lines { lines, ink, .. } if *ink == palette::BORDER => Some(&lines[0]),
                _ => None,
            })
            .collect();
        let inside = |p: &[f32; 2]| {
            frames
                .iter()
                .any(|f| (0..2).all(|k| p[k] >= f[0][k] - 1e-3 && p[k] <= f[2][k] + 1e-3))
        };
        for item in &drawing.items {
            match item {
                Item::Rect { at, size, .. } => {
                    assert!(inside(at) && inside(&[at[0] + size[0], at[1] + size[1]]));
                }
                Item::Lines { lines, .. } => assert!(lines[0].iter().all(inside)),
                _ => {}
            }
        }
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
                title: "A title as long as a title can be, and then longer than that, since people give long titles to their figures, and the picture ends somewhere",
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
            assert_histograms_inside(&drawing);
            let said = |what: &str| {
                let is = |i: &&Item| matches!(i, Item::Text { text, .. } if text == what);
                drawing.items.iter().filter(is).count()
            };
            // The two spikes of the target leave their panels, and so do the lines: bells cut off at the end, 1 / (3 sqrt(2 pi)) over the part that is left.
            assert_eq!(said("area to 100 % at 255, line to 14 % at 250"), 1);
            assert_eq!(said("area to 100 % at 0, line to 15 % at 3"), 1);
            assert_eq!([said("level"), said("share of pixels")], [2, 2]);
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
        figure.histograms[2][1][BINS - 1] = 0.0;
        assert!(figure.drawing().is_ok());
        let broken = Raster {
            width: 3,
            ..a.clone()
        };
        figure.backward = &broken;
        let error = figure.drawing().unwrap_err().to_string();
        assert!(error.contains("backward result has 12 samples"), "{error}");
    }
}

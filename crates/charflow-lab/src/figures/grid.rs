//! Many small images with what a map makes of them, as Figure 4 of the paper: a row for each class, in each cell the input above its output.
//!
//! Chosen by whoever calls, so say in the caption how: the first of each class is a choice that nobody can suspect. Each pixel is painted as a square.

use std::path::{Path, PathBuf};

use super::drawing::{Anchor, Drawing};
use super::panel::{LABEL_SIZE, heading};
use super::{Raster, font, palette};
use crate::LabError;
use crate::images::Images;

/// Pixels of the PNG that the long side of an image should have, about.
const SIDE: f32 = 112.0;
/// Pixels of the PNG to a unit of the drawing.
const SCALE: f32 = 2.0;
/// Between input and output, between cells, between rows.
const GAPS: [f32; 3] = [2.0, 6.0, 10.0];
/// Longer labels are cut.
const LABEL: f32 = 150.0;
/// A heading and a caption need as much.
const LEAST_WIDTH: f32 = 260.0;

/// Rows of pairs of images.
#[derive(Debug, Clone, PartialEq)]
pub struct GridFigure<'a> {
    /// Heading; empty for none.
    pub title: &'a str,
    /// What is shown, below the rows; as many lines as it takes. Empty for none.
    pub caption: &'a str,
    /// What the map was given.
    pub inputs: &'a Images,
    /// What it made of them, in the same order. Size and colour may differ from those of the inputs.
    pub outputs: &'a Images,
    /// Name of the class, and which images to show, counted from 0.
    pub rows: &'a [(String, Vec<usize>)],
}

impl GridFigure<'_> {
    /// Writes `stem.png` and `stem.svg` (`grid.*` inside, if `stem` is a directory) and returns the two paths.
    ///
    /// # Errors
    /// Nothing to show, another number of outputs than of inputs, an image that does not exist; a file that cannot be written.
    pub fn save(&self, stem: &Path) -> Result<Vec<PathBuf>, LabError> {
        self.drawing()?.save(stem, "grid")
    }

    fn drawing(&self) -> Result<Drawing, LabError> {
        if self.inputs.len() != self.outputs.len() {
            return Err(LabError::Input(format!(
                "a grid of {} inputs and {} outputs; one for each is expected",
                self.inputs.len(),
                self.outputs.len()
            )));
        }
        let columns = self.rows.iter().map(|r| r.1.len()).max().unwrap_or(0);
        if columns == 0 {
            return Err(LabError::Input(
                "a grid needs a row with an image".to_owned(),
            ));
        }
        let label = |text: &str| font::fit(text, LABEL_SIZE, LABEL);
        let widths = self
            .rows
            .iter()
            .map(|r| font::width(&label(&r.0), LABEL_SIZE));
        let left = (16.0 + widths.fold(0.0, f32::max)).ceil();
        let top = if self.title.is_empty() { 8.0 } else { 36.0 };
        let (above, below) = (size(self.inputs), size(self.outputs));
        let cell = [
            above[0].max(below[0]) + GAPS[1],
            above[1] + GAPS[0] + below[1] + GAPS[2],
        ];
        let width = (left + cell[0] * columns as f32 + 4.0).max(LEAST_WIDTH);
        let bottom = top + cell[1] * self.rows.len() as f32;
        let mut drawing = Drawing {
            width,
            height: bottom,
            items: Vec::new(),
            title: self.title.to_owned(),
        };
        heading(&mut drawing, self.title);
        for (r, (name, indices)) in self.rows.iter().enumerate() {
            let y = top + cell[1] * r as f32;
            drawing.text(
                [left - 8.0, y + 0.5 * (cell[1] - GAPS[2]) + 4.0],
                label(name),
                LABEL_SIZE,
                Anchor::End,
                palette::TEXT,
            );
            for (k, &i) in indices.iter().enumerate() {
                let x = left + cell[0] * k as f32;
                let wide = cell[0] - GAPS[1];
                let (input, output) = (
                    Raster::of_image(self.inputs, i)?,
                    Raster::of_image(self.outputs, i)?,
                );
                drawing.image([x, y], [wide, above[1]], &input);
                let lower = y + above[1] + GAPS[0];
                drawing.image([x, lower], [wide, below[1]], &output);
            }
        }
        for (k, line) in wrapped(self.caption, LABEL_SIZE, width - 24.0)
            .into_iter()
            .enumerate()
        {
            drawing.text(
                [12.0, bottom + 10.0 + 15.0 * k as f32],
                line,
                LABEL_SIZE,
                Anchor::Start,
                palette::QUIET,
            );
            drawing.height = bottom + 20.0 + 15.0 * k as f32;
        }
        Ok(drawing)
    }
}

/// Width and height of an image in the drawing: a whole number of the PNG's pixels for each of its own. Two are not among them, since
/// [`Drawing::image`] takes so small an enlargement for a photograph and smooths it. Images much larger than a cell are reduced.
fn size(images: &Images) -> [f32; 2] {
    let long = images.width.max(images.height) as f32;
    let times = match (SIDE / long).round() {
        2.0 => 3.0,
        0.0 => SIDE / long,
        whole => whole,
    };
    [images.width, images.height].map(|side| (times * side as f32).ceil() / SCALE)
}

/// The words of a text in lines of at most `limit` pixels; a longer word is cut.
fn wrapped(text: &str, size: f32, limit: f32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        if let Some(line) = lines.last_mut() {
            let longer = format!("{line} {word}");
            if font::width(&longer, size) <= limit {
                *line = longer;
                continue;
            }
        }
        lines.push(font::fit(word, size, limit));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::drawing::Item;
    use crate::figures::testing::{assert_inside, look};

    /// `n` rings whose colour channels differ, `[n, channels, height, width]`, larger with the number.
    fn rings(n: usize, channels: usize, height: usize, width: usize) -> Images {
        let mut pixels = Vec::new();
        for i in 0..n {
            for c in 0..channels {
                for p in 0..height * width {
                    let (x, y) = ((p % width) as f32, (p / width) as f32);
                    let far = ((x - 0.5 * width as f32) / width as f32)
                        .hypot((y - 0.4 * height as f32) / height as f32);
                    let ring = 1.0 - 12.0 * (far - 0.12 - 0.02 * (i % 12) as f32).abs();
                    pixels.push((ring.clamp(0.0, 1.0) + 0.2 * c as f32).min(1.0));
                }
            }
        }
        Images::new(channels, height, width, pixels).unwrap()
    }

    fn images(drawing: &Drawing) -> Vec<([f32; 2], [f32; 2], &Raster)> {
        let items = drawing.items.iter();
        items
            .filter_map(|item| match item {
                Item::Image { at, size, raster } => Some((*at, *size, raster)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn rows_of_classes_grey_and_in_colour() {
        let names = ["zero", "one", "two"];
        let rows: Vec<(String, Vec<usize>)> = (0..3)
            .map(|r| (names[r].to_owned(), (0..12).map(|k| 12 * r + k).collect()))
            .collect();
        let caption = "Upper image of each pair: input; lower: what the map makes of it. \
                       The first twelve test images of each class, chosen by their place in the file and by nothing else. \
                       Inputs are grey, outputs in colour.";
        for (name, title, inputs, outputs) in [
            (
                "grid",
                "Digits to letters",
                rings(36, 1, 28, 28),
                rings(36, 1, 28, 28),
            ),
            (
                "grid-mixed",
                "Grey to colour",
                rings(36, 1, 28, 28),
                rings(36, 3, 32, 32),
            ),
            (
                "grid-wide",
                "",
                rings(36, 3, 40, 64),
                rings(36, 3, 140, 150),
            ),
        ] {
            let drawing = GridFigure {
                title,
                caption,
                inputs: &inputs,
                outputs: &outputs,
                rows: &rows,
            }
            .drawing()
            .unwrap();
            look(&drawing, name);
            assert_inside(&drawing, 0);
            assert_eq!(images(&drawing).len(), 72);
        }
    }

    /// Rows of different lengths in one narrow figure, with a long title and labels.
    #[test]
    fn short_rows_and_long_names() {
        let both = rings(3, 1, 28, 28);
        let rows = [
            (
                "a class whose name is much longer than it should be".to_owned(),
                vec![2],
            ),
            ("none".to_owned(), vec![]),
            ("two".to_owned(), vec![0, 2]),
        ];
        let drawing = GridFigure {
            title: "A title that is wider than two images and their labels are",
            caption: "Averyveryverylongwordthatfitsintonolineofthisfigurewhateveronedoestoit, and words.",
            inputs: &both,
            outputs: &both,
            rows: &rows,
        }
        .drawing()
        .unwrap();
        look(&drawing, "grid-narrow");
        assert_inside(&drawing, 0);
    }

    /// Outputs stand below their inputs, columns in the order of the indices, and each pixel is a square in its place.
    #[test]
    fn pairs_stand_in_their_places_pixel_for_pixel() {
        // Red, green and blue say number, column and row.
        let coded = |n: usize, blue: f32| {
            let mut pixels = Vec::new();
            for i in 0..n {
                pixels.extend([(i + 1) as f32 / 10.0; 15]);
                pixels.extend((0..15).map(|p| (p % 5) as f32 / 5.0));
                pixels.extend((0..15).map(|p| blue + (p / 5) as f32 / 10.0));
            }
            Images::new(3, 3, 5, pixels).unwrap()
        };
        let (inputs, outputs) = (coded(4, 0.0), coded(4, 0.5));
        let rows = [("a".to_owned(), vec![3, 1]), ("b".to_owned(), vec![0])];
        let drawing = GridFigure {
            title: "",
            caption: "",
            inputs: &inputs,
            outputs: &outputs,
            rows: &rows,
        }
        .drawing()
        .unwrap();
        let shown = images(&drawing);
        assert_eq!(shown.len(), 6);
        let png = drawing.png().unwrap();
        let map = tiny_skia::Pixmap::decode_png(&png).unwrap();
        let byte = |v: f32| (255.0 * v).round() as u8;
        for (k, (number, blue)) in [(3, 0.0), (3, 0.5), (1, 0.0), (1, 0.5), (0, 0.0), (0, 0.5)]
            .into_iter()
            .enumerate()
        {
            let (at, size, raster) = shown[k];
            assert_eq!((raster.width, raster.height), (5, 3));
            // 112 pixels for five are 22 each.
            assert_eq!(size, [55.0, 33.0]);
            for y in 0..66usize {
                for x in 0..110usize {
                    let place = [(2.0 * at[0]) as usize + x, (2.0 * at[1]) as usize + y];
                    let p = map.pixels()[place[1] * map.width() as usize + place[0]];
                    let want = [
                        byte((number + 1) as f32 / 10.0),
                        byte((x / 22) as f32 / 5.0),
                        byte(blue + (y / 22) as f32 / 10.0),
                    ];
                    assert_eq!([p.red(), p.green(), p.blue()], want, "{k} {x} {y}");
                }
            }
        }
        let at = |k: usize| shown[k].0;
        assert!(at(1)[0] == at(0)[0] && at(1)[1] > at(0)[1] + 33.0);
        assert!(at(2)[0] > at(0)[0] + 55.0 && at(2)[1] == at(0)[1]);
        assert!(at(4)[0] == at(0)[0] && at(4)[1] > at(1)[1] + 33.0);
    }

    #[test]
    fn images_are_enlarged_by_whole_numbers() {
        for (side, want) in [
            (8, 56.0),
            (16, 56.0),
            (28, 56.0),
            (32, 64.0),
            (64, 96.0),
            (112, 56.0),
            (400, 56.0),
        ] {
            let got = size(&Images::new(1, 1, side, vec![0.0; side]).unwrap());
            assert_eq!(got[0], want, "{side}");
            let times = 2.0 * got[0] / side as f32;
            assert!(side > 200 || times.fract() == 0.0 && times != 2.0);
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let (two, three) = (rings(2, 1, 4, 4), rings(3, 1, 4, 4));
        let rows = |i: Vec<usize>| vec![("a".to_owned(), i)];
        for (outputs, rows, part) in [
            (&three, rows(vec![0]), "2 inputs and 3 outputs"),
            (&two, rows(vec![]), "needs a row"),
            (&two, vec![], "needs a row"),
            (&two, rows(vec![0, 2]), "image 2"),
        ] {
            let error = GridFigure {
                title: "",
                caption: "",
                inputs: &two,
                outputs,
                rows: &rows,
            }
            .drawing()
            .unwrap_err()
            .to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}

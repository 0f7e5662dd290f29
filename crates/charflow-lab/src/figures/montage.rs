//! Pictures in a grid, as Figures 7 to 9 of the paper: a row for each pair, a column for each method.
//!
//! Only as PNG: an SVG would hold the same pixels, coded larger.

use std::path::{Path, PathBuf};

use super::drawing::{Anchor, Drawing};
use super::panel::{LABEL_SIZE, TITLE_SIZE};
use super::{Raster, font, palette};
use crate::LabError;

/// The side of a cell; the PNG has two pixels to the unit, so a picture of 256 pixels is painted pixel for pixel.
const CELL: f32 = 128.0;
/// Longer labels are cut.
const LABEL: f32 = 150.0;
const GAP: f32 = 4.0;

/// Rows of pictures under common captions.
#[derive(Debug, Clone, PartialEq)]
pub struct MontageFigure<'a> {
    /// Heading; empty for none.
    pub title: &'a str,
    /// What each column is.
    pub columns: &'a [String],
    /// The pictures.
    pub rows: &'a [Vec<Raster>],
    /// What each row is.
    pub row_labels: &'a [String],
}

impl MontageFigure<'_> {
    /// Writes `stem.png` (`montage.png` inside, if `stem` is a directory) and returns its path.
    ///
    /// # Errors
    /// No rows, a row of another length than the captions, a picture whose samples do not fit its size; a file that cannot be written.
    pub fn save(&self, stem: &Path) -> Result<Vec<PathBuf>, LabError> {
        self.drawing()?.save_png(stem, "montage")
    }

    fn drawing(&self) -> Result<Drawing, LabError> {
        if self.rows.is_empty()
            || self.columns.is_empty()
            || self.row_labels.len() != self.rows.len()
            || self.rows.iter().any(|r| r.len() != self.columns.len())
        {
            return Err(LabError::Input(format!(
                "a montage of {} rows with {} labels under {} captions: expected a label a row and a picture a caption",
                self.rows.len(),
                self.row_labels.len(),
                self.columns.len()
            )));
        }
        for (row, label) in self.rows.iter().zip(self.row_labels) {
            for (raster, caption) in row.iter().zip(self.columns) {
                raster.check(&format!("\"{caption}\" in row \"{label}\""))?;
            }
        }
        let label = |text: &str| font::fit(text, LABEL_SIZE, LABEL);
        let widths = self
            .row_labels
            .iter()
            .map(|l| font::width(&label(l), LABEL_SIZE));
        let left = (16.0 + widths.fold(0.0, f32::max)).ceil();
        let head = if self.title.is_empty() { 8.0 } else { 34.0 };
        let top = head + 18.0;
        let step = CELL + GAP;
        let mut drawing = Drawing {
            width: left + step * self.columns.len() as f32 + 4.0,
            height: top + step * self.rows.len() as f32 + 4.0,
            items: Vec::new(),
            title: self.title.to_string(),
        };
        if !self.title.is_empty() {
            drawing.text(
                [left, 24.0],
                font::fit(self.title, TITLE_SIZE, step * self.columns.len() as f32),
                TITLE_SIZE,
                Anchor::Start,
                palette::TEXT,
            );
        }
        for (k, caption) in self.columns.iter().enumerate() {
            drawing.text(
                [left + step * k as f32 + 0.5 * CELL, top - 7.0],
                font::fit(caption, LABEL_SIZE, CELL),
                LABEL_SIZE,
                Anchor::Middle,
                palette::TEXT,
            );
        }
        for (r, (row, name)) in self.rows.iter().zip(self.row_labels).enumerate() {
            let y = top + step * r as f32;
            drawing.text(
                [left - 8.0, y + 0.5 * CELL + 4.0],
                label(name),
                LABEL_SIZE,
                Anchor::End,
                palette::TEXT,
            );
            for (k, raster) in row.iter().enumerate() {
                drawing.image([left + step * k as f32, y], [CELL; 2], raster);
            }
        }
        Ok(drawing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::testing::assert_inside;

    fn raster(width: usize, height: usize, color: [u8; 3]) -> Raster {
        Raster {
            width,
            height,
            rgb: color.repeat(width * height),
        }
    }

    #[test]
    fn pictures_of_any_shape_stand_in_their_cells() {
        let columns =
            ["source", "a method with a very long name indeed", "target"].map(String::from);
        let rows = vec![
            vec![
                raster(40, 20, [255, 0, 0]),
                raster(20, 40, [0, 255, 0]),
                raster(1, 1, [0, 0, 255]),
            ];
            2
        ];
        let labels = [
            "01",
            "a row whose label is as long as labels of rows should never be",
        ]
        .map(String::from);
        let figure = MontageFigure {
            title: "a title that is longer than three pictures are wide, and would leave the montage",
            columns: &columns,
            rows: &rows,
            row_labels: &labels,
        };
        let drawing = figure.drawing().unwrap();
        assert_inside(&drawing, 0);
        let folder = tempfile::tempdir().unwrap();
        let paths = figure.save(folder.path()).unwrap();
        assert_eq!(paths, [folder.path().join("montage.png")]);
        let map = tiny_skia::Pixmap::decode_png(&std::fs::read(&paths[0]).unwrap()).unwrap();
        let share = |want: [u8; 3]| {
            let is = |p: &&tiny_skia::PremultipliedColorU8| [p.red(), p.green(), p.blue()] == want;
            map.pixels().iter().filter(is).count() as f32 / (2.0 * CELL).powi(2)
        };
        // Two rows: two half cells of red, two of green, two whole ones of blue.
        assert!((share([255, 0, 0]) - 1.0).abs() < 1e-6);
        assert!((share([0, 255, 0]) - 1.0).abs() < 1e-6);
        assert!((share([0, 0, 255]) - 2.0).abs() < 1e-6);
    }

    /// Noise of 256 pixels, the size that benchmarks use, comes through untouched.
    #[test]
    fn pixels_are_painted_one_for_one() {
        let rgb: Vec<u8> = (0..3 * 256 * 256u32)
            .map(|v| (v.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let picture = Raster {
            width: 256,
            height: 256,
            rgb,
        };
        let figure = MontageFigure {
            title: "",
            columns: &["a".into()],
            rows: &[vec![picture.clone()]],
            row_labels: &["label".into()],
        };
        let map = tiny_skia::Pixmap::decode_png(&figure.drawing().unwrap().png().unwrap()).unwrap();
        let wide = map.width() as usize;
        let corner = [wide - 2 * (GAP + 4.0) as usize - 256, 2 * 26];
        for (k, want) in picture.rgb.as_chunks::<3>().0.iter().enumerate() {
            let p = map.pixels()[(corner[1] + k / 256) * wide + corner[0] + k % 256];
            assert_eq!([p.red(), p.green(), p.blue()], *want, "pixel {k}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let columns = vec!["a".to_string()];
        let rows = [vec![raster(1, 1, [0; 3]); 2]];
        let labels = vec!["1".to_string()];
        for (rows, labels) in [
            (&rows[..], &labels[..]),
            (&rows[..0], &labels[..0]),
            (&rows[..], &labels[..0]),
        ] {
            let figure = MontageFigure {
                title: "",
                columns: &columns,
                rows,
                row_labels: labels,
            };
            assert!(figure.drawing().is_err());
        }
        let mut broken = raster(2, 2, [0; 3]);
        broken.rgb.pop();
        let error = MontageFigure {
            title: "",
            columns: &columns,
            rows: &[vec![broken]],
            row_labels: &labels,
        }
        .drawing()
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("\"a\" in row \"1\" has 11 samples"),
            "{error}"
        );
    }
}

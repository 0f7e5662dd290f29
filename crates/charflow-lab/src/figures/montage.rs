//! Pictures in a grid, as Figures 7 to 9 of the paper: a row for each pair, a column for each method.
//!
//! Only as PNG: an SVG would hold the same pixels, coded larger.

use std::path::{Path, PathBuf};

use super::drawing::{Anchor, Drawing};
use super::panel::{LABEL_SIZE, TITLE_SIZE};
use super::{Raster, font, palette};
use crate::LabError;

/// The side of a cell; the PNG has two pixels to the unit, so a picture of 256 pixels keeps about all of them.
const CELL: f32 = 130.0;
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
    /// Writes `stem.png` and returns its path.
    ///
    /// # Errors
    /// No rows, a row of another length than the captions; a file that cannot be written.
    pub fn save(&self, stem: &Path) -> Result<PathBuf, LabError> {
        self.drawing()?.save_png(stem)
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
        let labels = self.row_labels.iter().map(|l| font::width(l, LABEL_SIZE));
        let left = 16.0 + labels.fold(0.0, f32::max);
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
                self.title,
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
        for (r, (row, label)) in self.rows.iter().zip(self.row_labels).enumerate() {
            let y = top + step * r as f32;
            drawing.text(
                [left - 8.0, y + 0.5 * CELL + 4.0],
                label.clone(),
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
        let labels = ["01", "02"].map(String::from);
        let figure = MontageFigure {
            title: "group",
            columns: &columns,
            rows: &rows,
            row_labels: &labels,
        };
        let drawing = figure.drawing().unwrap();
        assert_inside(&drawing, 0);
        let folder = tempfile::tempdir().unwrap();
        let path = figure.save(&folder.path().join("m")).unwrap();
        let map = tiny_skia::Pixmap::decode_png(&std::fs::read(path).unwrap()).unwrap();
        let share = |want: [u8; 3]| {
            let is = |p: &&tiny_skia::PremultipliedColorU8| [p.red(), p.green(), p.blue()] == want;
            map.pixels().iter().filter(is).count() as f32 / (2.0 * CELL).powi(2)
        };
        // Two rows: two half cells of red, two of green, two whole ones of blue.
        assert!((share([255, 0, 0]) - 1.0).abs() < 0.05);
        assert!((share([0, 255, 0]) - 1.0).abs() < 0.05);
        assert!((share([0, 0, 255]) - 2.0).abs() < 0.05);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let columns = vec!["a".to_string()];
        let rows = vec![vec![raster(1, 1, [0; 3]); 2]];
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
    }
}

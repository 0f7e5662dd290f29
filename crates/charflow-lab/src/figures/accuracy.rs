//! Accuracies against the step of a run, on linear axes.
//!
//! The value axis holds the values and not all of 0 to 100 %: of good methods, the last percents differ.

use std::path::{Path, PathBuf};

use super::drawing::Drawing;
use super::loss::{Look, LossPanel, lay_out};
use crate::LabError;

/// One or more panels of accuracies in percent, two in a row. What is reached by real data or by chance is a [`super::Series::level`].
#[derive(Debug, Clone, PartialEq)]
pub struct AccuracyFigure<'a> {
    /// Heading; empty for none.
    pub title: &'a str,
    /// Name of the horizontal axes: `step`, `seconds`.
    pub x_label: &'a str,
    /// The panels; values in percent.
    pub panels: &'a [LossPanel],
}

impl AccuracyFigure<'_> {
    /// Writes `stem.png` and `stem.svg` (`accuracy.*` inside, if `stem` is a directory) and returns the two paths.
    ///
    /// # Errors
    /// Nothing to draw: no panels, or no finite value in any of them; a value outside 0 to 100; a file that cannot be written.
    pub fn save(&self, stem: &Path) -> Result<Vec<PathBuf>, LabError> {
        self.drawing()?.save(stem, "accuracy")
    }

    fn drawing(&self) -> Result<Drawing, LabError> {
        for series in self.panels.iter().flat_map(|panel| &panel.series) {
            let outside = |v: f64| v.is_finite() && !(0.0..=100.0).contains(&v);
            if let Some(p) = series.points.iter().find(|p| outside(p.1)) {
                return Err(LabError::Input(format!(
                    "\"{}\" has the accuracy {} at {}; percent from 0 to 100 are expected",
                    series.name, p.1, p.0
                )));
            }
        }
        lay_out(self.title, self.x_label, self.panels, Look::Linear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::testing::{assert_inside, look};
    use crate::figures::{Series, Style};

    fn rising(to: f64, slowness: f64) -> Vec<(f64, f64)> {
        (0..=40)
            .map(|k| {
                let step = 500.0 * f64::from(k);
                (step, to - (to - 9.0) * (-step / slowness).exp())
            })
            .collect()
    }

    fn panel(title: &str, series: Vec<Series>) -> LossPanel {
        LossPanel {
            title: title.into(),
            y_label: "accuracy, %".into(),
            series,
        }
    }

    /// From 3 % to 97 %, where other pictures of curves would take logarithms: equal steps are equally far apart on both axes.
    #[test]
    fn axes_are_linear() {
        let panels = [
            panel(
                "Forward",
                vec![
                    Series::new("charflow, paired", rising(97.0, 2e3), Style::Line, 0),
                    Series::new("charflow, unpaired", rising(93.0, 4e3), Style::Line, 1),
                    Series::new("minimax", rising(70.0, 8e3), Style::Line, 2),
                    Series::level("classifier on real images", 99.4, 3),
                ],
            ),
            panel(
                "Backward",
                vec![Series::new(
                    "low",
                    vec![(0.0, 1.0), (50.0, 50.0), (5e3, f64::NAN), (10e3, 100.0)],
                    Style::Points,
                    0,
                )],
            ),
        ];
        let drawing = AccuracyFigure {
            title: "Accuracy of transported digits",
            x_label: "step",
            panels: &panels,
        }
        .drawing()
        .unwrap();
        assert_inside(&drawing, 2);
        look(&drawing, "accuracy");
        let svg = drawing.svg();
        for label in [">20<", ">80<", ">14k<", ">accuracy, %<"] {
            assert!(svg.contains(label), "{label}");
        }
        assert!(!svg.contains("linear below") && !svg.contains("10⁻"));
    }

    #[test]
    fn other_units_are_refused() {
        for bad in [-0.1, 100.5] {
            let series = vec![Series::new("forward", vec![(7.0, bad)], Style::Line, 0)];
            let error = AccuracyFigure {
                title: "",
                x_label: "step",
                panels: &[panel("", series)],
            }
            .drawing()
            .unwrap_err()
            .to_string();
            assert!(
                error.contains("\"forward\"") && error.contains("at 7;"),
                "{error}"
            );
        }
    }
}

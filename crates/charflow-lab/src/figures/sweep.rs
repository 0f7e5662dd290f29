//! What came out against a setting: a dot for each run, joined by lines, in panels that share the horizontal axis.
//!
//! Values are drawn from zero, and logarithmically only where they are positive and more than a decade and a half apart, so that a share of nothing stands on the ground.
//! Settings as far apart are drawn logarithmically too, linear between zero and the power of ten below the least positive one.

use std::path::{Path, PathBuf};

use super::drawing::Drawing;
use super::loss::{Look, LossPanel, lay_out};
use crate::LabError;

/// One or more panels of measurements against a setting, three in a row.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepFigure<'a> {
    /// Heading; empty for none.
    pub title: &'a str,
    /// The setting, on the horizontal axes.
    pub x_label: &'a str,
    /// The panels.
    pub panels: &'a [LossPanel],
}

impl SweepFigure<'_> {
    /// Writes `stem.png` and `stem.svg` (`sweep.*` inside, if `stem` is a directory) and returns the two paths.
    ///
    /// # Errors
    /// Nothing to draw: no panels, or no finite value in any of them; a file that cannot be written.
    pub fn save(&self, stem: &Path) -> Result<Vec<PathBuf>, LabError> {
        self.drawing()?.save(stem, "sweep")
    }

    fn drawing(&self) -> Result<Drawing, LabError> {
        lay_out(self.title, self.x_label, self.panels, Look::Sweep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::testing::{assert_inside, look};
    use crate::figures::{Series, Style};

    #[test]
    fn a_setting_of_zero_and_values_of_zero_are_drawn() {
        let near = [0.0, 0.25, 0.5, 1.0, 2.0, 4.0];
        for (name, at) in [
            ("sweep", near),
            ("sweep-tiny", near.map(|x| 1e-7 * x)),
            ("sweep-huge", near.map(|x| 1e7 * x)),
            ("sweep-far", [0.0, 1.1, 2.3, 9.1, 36.0, 73.0]),
        ] {
            let line = |name: &str, values: [f64; 6], color| {
                Series::new(
                    name,
                    at.into_iter().zip(values).collect(),
                    Style::Line,
                    color,
                )
            };
            let panel = |title: &str, series| LossPanel {
                title: title.into(),
                y_label: "value".into(),
                series,
            };
            let panels = [
                panel(
                    "Share of zeros",
                    vec![
                        line("forward", [0.0, 0.002, 0.3, 0.5, 0.8, 0.9], 0),
                        line("backward", [0.0, 0.001, 0.2, 0.5, 0.7, 0.95], 1),
                    ],
                ),
                panel(
                    "Mismatch",
                    vec![
                        line("forward", [-0.01, 0.02, 0.02, 0.03, 0.1, 0.2], 0),
                        Series::level("noise floor (95 %)", 0.03, 2),
                    ],
                ),
                panel(
                    "Cost",
                    vec![line("forward", [1.0, 2.0, 5.0, 20.0, 90.0, 300.0], 0)],
                ),
            ];
            let drawing = SweepFigure {
                title: "Zeros",
                x_label: "gamma",
                panels: &panels,
            }
            .drawing()
            .unwrap();
            assert_inside(&drawing, 3);
            look(&drawing, name);
        }
    }

    #[test]
    fn one_setting_is_enough_and_none_is_too_few() {
        let panels = [LossPanel {
            title: "Share".into(),
            y_label: "share".into(),
            series: vec![Series::new("forward", vec![(0.0, 0.0)], Style::Line, 0)],
        }];
        let figure = |panels| SweepFigure {
            title: "",
            x_label: "gamma",
            panels,
        };
        assert_inside(&figure(&panels[..]).drawing().unwrap(), 1);
        assert!(figure(&panels[..0]).drawing().is_err());
    }
}

//! The cloud on its way: one panel for each of several times.

use std::path::{Path, PathBuf};

use super::drawing::Drawing;
use super::palette;
use super::panel::{Classes, Row, check_plane, scatter, subset_note};
use crate::LabError;

/// The source cloud pushed to several times, `x_t = x + t V(grad u(x, 0))`, side by side.
#[derive(Debug, Clone)]
pub struct FlowStrip<'a> {
    /// Heading; empty for none.
    pub title: &'a str,
    /// The times, one for each panel; colours go from the source's at 0 to the target's at 1.
    pub times: &'a [f64],
    /// The cloud at each time, `[n, 2]`.
    pub clouds: &'a [Vec<f64>],
    /// Class of each point, the same at all times.
    pub classes: Option<&'a [String]>,
    /// Names of the two axes.
    pub axis_labels: [String; 2],
}

impl FlowStrip<'_> {
    /// Writes `stem.png` and `stem.svg` (`flow.*` inside, if `stem` is a directory) and returns the two paths.
    ///
    /// # Errors
    /// No times, not one cloud for each, clouds that are empty, of different sizes or not finite; a file that cannot be written.
    pub fn save(&self, stem: &Path) -> Result<Vec<PathBuf>, LabError> {
        self.drawing()?.save(stem, "flow")
    }

    fn drawing(&self) -> Result<Drawing, LabError> {
        if self.times.is_empty() || self.times.len() != self.clouds.len() {
            return Err(LabError::Input(format!(
                "a flow strip needs one cloud for each time; it got {} times and {} clouds",
                self.times.len(),
                self.clouds.len()
            )));
        }
        let n = check_plane(&self.clouds[0], "cloud at the first time")?;
        for (t, cloud) in self.times.iter().zip(self.clouds) {
            let have = check_plane(cloud, &format!("cloud at time {t}"))?;
            if have != n {
                return Err(LabError::Input(format!(
                    "the clouds of a flow strip must have as many points each; at time {t} there are {have}, not {n}"
                )));
            }
        }
        let classes = Classes::new(self.classes, n, None, 0)?;
        let coloured = classes
            .as_ref()
            .and_then(|c| c.source.as_deref().map(|of| (c, of)));
        let names: Vec<String> = self.times.iter().map(|t| format!("t = {t}")).collect();
        let all: Vec<&[f64]> = self.clouds.iter().map(Vec::as_slice).collect();
        let mut row = Row::new(self.title, &names, &self.axis_labels, &all);
        for ((frame, cloud), &t) in row.frames.iter().zip(&all).zip(self.times) {
            scatter(
                &mut row.drawing,
                frame,
                cloud,
                palette::blend(t),
                coloured,
                1.0,
            );
        }
        Ok(row.finish(classes.as_ref(), subset_note(&[n])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::{generate, source_centre, target_centre};
    use crate::figures::testing::{assert_inside, look};

    #[test]
    fn every_time_has_its_panel_and_all_points() {
        let data = generate("labelled-mixture", 800, None, 0)
            .unwrap()
            .clouds
            .remove(0);
        let labels = data.labels.unwrap();
        let times = [0.0, 0.25, 0.5, 0.75, 1.0];
        let clouds: Vec<Vec<f64>> = times
            .iter()
            .map(|t| {
                (0..1600)
                    .map(|k| {
                        data.values[k]
                            + t * (target_centre(k / 2 % 4)[k % 2]
                                - source_centre(k / 2 % 4)[k % 2])
                    })
                    .collect()
            })
            .collect();
        for (classes, name) in [
            (None, "flow-plain"),
            (Some(labels.as_slice()), "flow-classes"),
        ] {
            let strip = FlowStrip {
                title: "Forward flow",
                times: &times,
                clouds: &clouds,
                classes,
                axis_labels: ["x1".into(), "x2".into()],
            };
            let drawing = strip.drawing().unwrap();
            assert_inside(&drawing, 5);
            look(&drawing, name);
        }
        let strip = FlowStrip {
            title: "",
            times: &times[..4],
            clouds: &clouds,
            classes: None,
            axis_labels: Default::default(),
        };
        assert!(
            strip
                .drawing()
                .unwrap_err()
                .to_string()
                .contains("4 times and 5 clouds")
        );
    }
}

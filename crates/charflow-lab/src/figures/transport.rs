//! The layout of the paper's Figure 1: five panels that show both maps of a pair of clouds in the plane.

use std::path::{Path, PathBuf};

use super::drawing::{Drawing, Item};
use super::palette;
use super::panel::{Classes, Row, check_plane, dot_style, drawn_order, scatter, subset_note};
use crate::LabError;

/// Source, target, forward `T(x)`, backward `S(y)`, and transport lines from `x` to `T(x)`.
///
/// Colour says where a point comes from: source points and `T(x)` are blue, target points and `S(y)` orange. With classes, colour is the class.
/// Clouds of more than two dimensions come through [`crate::project::Projection`] first.
#[derive(Debug, Clone)]
pub struct TransportFigure<'a> {
    /// Heading; empty for none.
    pub title: &'a str,
    /// Source points `x`, `[n, 2]`.
    pub source: &'a [f64],
    /// Target points `y`, `[m, 2]`.
    pub target: &'a [f64],
    /// `T(x)` for the source points in the same order, `[n, 2]`.
    pub pushed: &'a [f64],
    /// `S(y)` for the target points in the same order, `[m, 2]`.
    pub pulled: &'a [f64],
    /// Class of each source point.
    pub source_classes: Option<&'a [String]>,
    /// Class of each target point.
    pub target_classes: Option<&'a [String]>,
    /// Names of the two axes.
    pub axis_labels: [String; 2],
    /// How many transport lines to draw, at most; 150 shows a pattern without covering it.
    pub lines: usize,
}

impl TransportFigure<'_> {
    /// Writes `stem.png` and `stem.svg` (`transport.*` inside, if `stem` is a directory) and returns the two paths.
    ///
    /// # Errors
    /// Clouds that are empty, of different sizes where they must agree, or not finite; a file that cannot be written.
    pub fn save(&self, stem: &Path) -> Result<Vec<PathBuf>, LabError> {
        self.drawing()?.save(stem, "transport")
    }

    fn drawing(&self) -> Result<Drawing, LabError> {
        let (n, m) = (
            check_plane(self.source, "source")?,
            check_plane(self.target, "target")?,
        );
        for (cloud, of, count, what) in [
            (self.pushed, "source", n, "pushed points"),
            (self.pulled, "target", m, "pulled points"),
        ] {
            let have = check_plane(cloud, what)?;
            if have != count {
                return Err(LabError::Input(format!(
                    "a figure got {have} {what} for {count} {of} points; each needs one"
                )));
            }
        }
        let classes = Classes::new(self.source_classes, n, self.target_classes, m)?;
        let from = classes
            .as_ref()
            .and_then(|c| c.source.as_deref().map(|of| (c, of)));
        let to = classes
            .as_ref()
            .and_then(|c| c.target.as_deref().map(|of| (c, of)));

        let names = [
            "Source x",
            "Target y",
            "Forward T(x)",
            "Backward S(y)",
            "Transport x → T(x)",
        ]
        .map(str::to_owned);
        let mut row = Row::new(
            self.title,
            &names,
            &self.axis_labels,
            &[self.source, self.target, self.pushed, self.pulled],
        );
        let frames = row.frames.clone();
        let drawing = &mut row.drawing;
        scatter(drawing, &frames[0], self.source, palette::SOURCE, from, 1.0);
        scatter(drawing, &frames[1], self.target, palette::TARGET, to, 1.0);
        scatter(drawing, &frames[2], self.pushed, palette::SOURCE, from, 1.0);
        scatter(drawing, &frames[3], self.pulled, palette::TARGET, to, 1.0);

        // Both clouds faintly, the lines above them, and the lines' ends on top.
        let frame = &frames[4];
        scatter(drawing, frame, self.source, palette::SOURCE, from, 0.6);
        scatter(drawing, frame, self.target, palette::TARGET, to, 0.6);
        let chosen: Vec<usize> = drawn_order(n).into_iter().take(self.lines).collect();
        let at = |cloud: &[f64], i: usize| frame.place(cloud[2 * i], cloud[2 * i + 1]);
        let lines: Vec<_> = chosen
            .iter()
            .map(|&i| vec![at(self.source, i), at(self.pushed, i)])
            .collect();
        if !lines.is_empty() {
            drawing.items.push(Item::Lines {
                lines,
                width: 0.5,
                ink: palette::BLACK.faint(0.75),
                dash: None,
            });
            let radius = dot_style(n).0.clamp(1.1, 2.0);
            let ink = |i: usize, plain| {
                from.map_or(plain, |(c, of)| palette::category(of[i], c.names.len()))
            };
            for (cloud, plain) in [
                (self.source, palette::SOURCE),
                (self.pushed, palette::TARGET),
            ] {
                // One item a colour, in the order of first use.
                let mut groups: Vec<(super::drawing::Ink, Vec<[f32; 2]>)> = Vec::new();
                for &i in &chosen {
                    let colour = ink(i, plain);
                    match groups.iter_mut().find(|g| g.0 == colour) {
                        Some(group) => group.1.push(at(cloud, i)),
                        None => groups.push((colour, vec![at(cloud, i)])),
                    }
                }
                for (colour, points) in groups {
                    drawing.dots(points, radius, colour);
                }
            }
        }
        Ok(row.finish(classes.as_ref(), subset_note(&[n, m])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::{draw_gaussian, generate};
    use crate::figures::testing::{assert_inside, look, unit_square};

    fn affine(values: &[f64], scale: f64, shift: f64) -> Vec<f64> {
        values.iter().map(|v| scale * v + shift).collect()
    }

    fn figure<'a>(
        clouds: &'a [Vec<f64>; 4],
        classes: Option<&'a [String]>,
        title: &'a str,
    ) -> TransportFigure<'a> {
        TransportFigure {
            title,
            source: &clouds[0],
            target: &clouds[1],
            pushed: &clouds[2],
            pulled: &clouds[3],
            source_classes: classes,
            target_classes: classes,
            axis_labels: ["x1".into(), "x2".into()],
            lines: 150,
        }
    }

    /// Clouds with pushed and pulled points near, but not on, what they should meet.
    fn clouds(n: usize, scale: f64, shift: f64) -> [Vec<f64>; 4] {
        let cloud = |name, seed| {
            affine(
                &generate(name, n, None, seed).unwrap().clouds[0].values,
                scale,
                shift,
            )
        };
        [
            cloud("swiss-roll", 1),
            cloud("moons", 2),
            cloud("moons", 3),
            cloud("swiss-roll", 4),
        ]
    }

    #[test]
    fn no_point_is_outside_its_panel_at_any_scale_or_size() {
        let cases = [
            ("friendly", 2000, 1.0, 0.0),
            ("tiny-scale", 500, 1e-6, 0.0),
            ("far-away", 500, 1.0, 1e6),
            ("tiny-far", 500, 1e-6, 5.0),
            ("large-scale", 500, 1e6, 3e6),
            ("thirty", 30, 1.0, 0.0),
            ("many", 100_000, 1.0, 0.0),
        ];
        for (name, n, scale, shift) in cases {
            let data = clouds(n, scale, shift);
            let drawing = figure(&data, None, "Swiss roll and moons")
                .drawing()
                .unwrap();
            assert_inside(&drawing, 5);
            // All clouds but the lines panel's ends: as many dots as points, up to the most that are drawn.
            let dots: usize = drawing
                .items
                .iter()
                .map(|i| {
                    if let Item::Dots { points, .. } = i {
                        points.len()
                    } else {
                        0
                    }
                })
                .sum();
            assert_eq!(dots, 6 * n.min(20_000) + 2 * 150.min(n), "{name}");
            look(&drawing, &format!("transport-{name}"));
        }
    }

    #[test]
    fn one_unit_is_equally_long_on_both_axes() {
        // A square drawn in data is a square in pixels, also where the cloud is long and flat.
        for stretch in [1.0, 8.0, 0.1] {
            let mut data = clouds(200, 1.0, 0.0);
            data.iter_mut()
                .for_each(|c| c.iter_mut().step_by(2).for_each(|v| *v *= stretch));
            let drawing = figure(&data, None, "").drawing().unwrap();
            assert_inside(&drawing, 5);
            let row = Row::new("", &["a".into()], &["x".into(), "y".into()], &[&data[0]]);
            let [side, other] = unit_square(&row.frames[0]);
            assert!((side / other - 1.0).abs() < 1e-3, "{side} {other}");
            look(&drawing, &format!("transport-stretch-{stretch}"));
        }
    }

    #[test]
    fn classes_colour_and_degenerate_clouds_draw() {
        let data = generate("labelled-mixture", 1000, None, 0).unwrap().clouds;
        let labels = data[0].labels.clone().unwrap();
        let noise = draw_gaussian(&[0.05, 0.0, 0.0, 0.05], 2, 1000, 3, 0).unwrap();
        let moved = |v: &[f64]| v.iter().zip(&noise).map(|(a, b)| a + b).collect::<Vec<_>>();
        let four = [
            data[0].values.clone(),
            data[1].values.clone(),
            moved(&data[1].values),
            moved(&data[0].values),
        ];
        let drawing = figure(&four, Some(&labels), "Labelled mixture")
            .drawing()
            .unwrap();
        assert_inside(&drawing, 5);
        look(&drawing, "transport-classes");

        let long: Vec<String> = (0..1000)
            .map(|i| format!("a class with a long name <{}> & more", i % 5))
            .collect();
        look(
            &figure(&four, Some(&long), "Five classes with long names")
                .drawing()
                .unwrap(),
            "transport-long-classes",
        );
        let many: Vec<String> = (0..1000).map(|i| (i % 40).to_string()).collect();
        look(
            &figure(&four, Some(&many), "Forty classes")
                .drawing()
                .unwrap(),
            "transport-many-classes",
        );

        // One place, one line, one far point.
        let point = [vec![3.0; 20], vec![3.0; 20], vec![3.0; 20], vec![3.0; 20]];
        let zero = [vec![0.0; 20], vec![0.0; 20], vec![0.0; 20], vec![0.0; 20]];
        let line: Vec<f64> = (0..50).flat_map(|i| [f64::from(i), 7.0]).collect();
        let mut far = clouds(100, 1.0, 0.0);
        far[2][0] = 400.0;
        for (name, data) in [
            ("point", point),
            ("zero", zero),
            ("line", [line.clone(), line.clone(), line.clone(), line]),
            ("outlier", far),
        ] {
            let drawing = figure(&data, None, "").drawing().unwrap();
            assert_inside(&drawing, 5);
            look(&drawing, &format!("transport-{name}"));
        }
    }

    #[test]
    fn bad_clouds_are_named() {
        let mut data = clouds(10, 1.0, 0.0);
        data[2][5] = f64::NAN;
        let message = figure(&data, None, "").drawing().unwrap_err().to_string();
        assert!(
            message.contains("pushed points") && message.contains("point 3"),
            "{message}"
        );
        let mut data = clouds(10, 1.0, 0.0);
        data[3].truncate(12);
        let message = figure(&data, None, "").drawing().unwrap_err().to_string();
        assert!(
            message.contains("6 pulled points for 10 target"),
            "{message}"
        );
        let data = clouds(10, 1.0, 0.0);
        let labels = vec!["a".to_owned(); 9];
        assert!(
            figure(&data, Some(&labels), "")
                .drawing()
                .unwrap_err()
                .to_string()
                .contains("9 classes")
        );
    }
}

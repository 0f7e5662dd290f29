//! Densities of several clouds along the same coordinates, as Figure 11 of the paper: a panel for each principal component, a curve for each cloud.
//!
//! A curve is the kernel estimate `f(x) = 1 / (n h) sum_i phi((x - x_i) / h)`, `phi` the standard normal density, with the bandwidth
//! `h = 0.9 min(s, IQR / 1.34) n^(-1/5)` of Silverman (Density Estimation, 1986, equation 3.31): `s` the standard deviation, IQR the distance between the
//! quartiles. It is never narrower than half a pixel, so that a cloud in one point is seen as a spike.

use std::path::{Path, PathBuf};

use super::axis::Axis;
use super::drawing::{Anchor, Drawing, Ink, Item};
use super::panel::{Frame, LABEL_SIZE, TICK_SIZE, check_cloud, heading, padded, turned, with_note};
use super::{font, palette};
use crate::LabError;
use crate::project::Components;

const PANEL: [f32; 2] = [220.0, 170.0];
/// Panels in a row.
const ACROSS: usize = 4;
/// Least bandwidth as a share of the range: half a pixel.
const LEAST: f64 = 0.5 / PANEL[0] as f64;
/// Bandwidths that a curve goes on beyond its outermost points.
const TAIL: f64 = 3.0;

/// Curves over one coordinate.
#[derive(Debug, Clone, PartialEq)]
pub struct DensityPanel {
    /// Heading; empty for none.
    pub title: String,
    /// Name of the coordinate.
    pub x_label: String,
    /// Name and values, `[n]`, of each cloud; later ones lie above. A name has one colour in all panels.
    pub curves: Vec<(String, Vec<f64>)>,
}

impl DensityPanel {
    /// A panel for each component, with a curve for each cloud `[n, dim]`.
    ///
    /// # Errors
    /// A cloud that is not `[n, dim]` for the `dim` of the components.
    pub fn of_components(
        components: &Components,
        clouds: &[(&str, &[f64])],
    ) -> Result<Vec<Self>, LabError> {
        let count = components.count();
        let mut panels: Vec<Self> = components
            .labels()
            .into_iter()
            .map(|x_label| Self {
                title: String::new(),
                x_label,
                curves: Vec::new(),
            })
            .collect();
        for (name, cloud) in clouds {
            let coordinates = components.apply(cloud)?;
            for (k, panel) in panels.iter_mut().enumerate() {
                let column = coordinates.iter().skip(k).step_by(count).copied();
                panel.curves.push(((*name).to_owned(), column.collect()));
            }
        }
        Ok(panels)
    }
}

/// One or more panels of densities, four in a row, under one legend.
#[derive(Debug, Clone, PartialEq)]
pub struct DensityFigure<'a> {
    /// Heading; empty for none.
    pub title: &'a str,
    /// The panels.
    pub panels: &'a [DensityPanel],
}

impl DensityFigure<'_> {
    /// Writes `stem.png` and `stem.svg` (`density.*` inside, if `stem` is a directory) and returns the two paths.
    ///
    /// # Errors
    /// No panels, a panel without curves, a curve without values or with one that is not finite; a file that cannot be written.
    pub fn save(&self, stem: &Path) -> Result<Vec<PathBuf>, LabError> {
        self.drawing()?.save(stem, "density")
    }

    fn drawing(&self) -> Result<Drawing, LabError> {
        if self.panels.is_empty() || self.panels.iter().any(|p| p.curves.is_empty()) {
            return Err(LabError::Input(
                "a figure of densities needs a panel, and a curve in each".to_owned(),
            ));
        }
        let mut names: Vec<&str> = Vec::new();
        for (name, values) in self.panels.iter().flat_map(|p| &p.curves) {
            check_cloud(values, 1, &format!("curve \"{name}\""))?;
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let mut drawing = Drawing {
            width: 0.0,
            height: 0.0,
            items: Vec::new(),
            title: self.title.to_owned(),
        };
        let plans: Vec<Plan> = self.panels.iter().map(Plan::new).collect();
        let wide = |row: &[Plan]| {
            let sides = row.iter().enumerate().map(|(k, p)| p.left(k) + PANEL[0]);
            sides.sum::<f32>() + 16.0
        };
        drawing.width = plans.chunks(ACROSS).map(wide).fold(0.0, f32::max);
        heading(&mut drawing, self.title);
        let mut top = if self.title.is_empty() { 6.0 } else { 36.0 };
        top += legend(&mut drawing, &names, top);
        for row in plans.chunks(ACROSS) {
            top += if row.iter().any(|p| !p.panel.title.is_empty()) {
                24.0
            } else {
                8.0
            };
            let mut left = 0.0;
            for (k, plan) in row.iter().enumerate() {
                left += plan.left(k);
                plan.draw(&mut drawing, [left, top], k == 0, &names);
                left += PANEL[0];
            }
            top += PANEL[1] + 42.0;
        }
        drawing.height = top;
        Ok(drawing)
    }
}

/// A panel with its curves computed and its axes chosen.
struct Plan<'a> {
    panel: &'a DensityPanel,
    curves: Vec<Vec<(f64, f64)>>,
    x: Axis,
    y: Axis,
}

impl<'a> Plan<'a> {
    fn new(panel: &'a DensityPanel) -> Self {
        let values = panel.curves.iter().flat_map(|c| &c.1);
        let range = values.fold([f64::INFINITY, f64::NEG_INFINITY], |r, &v| {
            [r[0].min(v), r[1].max(v)]
        });
        let range = padded(range, 0.0);
        let curves: Vec<_> = panel.curves.iter().map(|c| density(&c.1, range)).collect();
        let points = || curves.iter().flatten();
        let ends = points().fold(range, |r, p| [r[0].min(p.0), r[1].max(p.0)]);
        let highest = points().fold(0.0f64, |m, p| m.max(p.1));
        let [lo, hi] = padded(ends, 0.01);
        Self {
            panel,
            x: Axis::linear_fitted(lo, hi, 5, PANEL[0], |text| font::width(text, TICK_SIZE)),
            y: Axis::linear(0.0, 1.08 * highest, 4),
            curves,
        }
    }

    /// Whether the value axis is named: the first of a row, and one whose numbers leave something out.
    fn named(&self, k: usize) -> bool {
        k == 0 || !self.y.note.is_empty()
    }

    /// Pixels between the frame and what stands to the left of it.
    fn left(&self, k: usize) -> f32 {
        Frame::y_label_width(&self.y) + if self.named(k) { 30.0 } else { 16.0 }
    }

    fn draw(&self, drawing: &mut Drawing, at: [f32; 2], first: bool, names: &[&str]) {
        let [left, top] = at;
        let frame = Frame {
            at,
            size: PANEL,
            x: self.x.clone(),
            y: self.y.clone(),
        };
        frame.draw(drawing, true);
        let centre = left + 0.5 * PANEL[0];
        if !self.panel.title.is_empty() {
            drawing.text(
                [centre, top - 8.0],
                font::fit(&self.panel.title, 12.0, PANEL[0]),
                12.0,
                Anchor::Middle,
                palette::TEXT,
            );
        }
        drawing.text(
            [centre, top + PANEL[1] + 29.0],
            with_note(&self.panel.x_label, &self.x.note, PANEL[0]),
            LABEL_SIZE,
            Anchor::Middle,
            palette::TEXT,
        );
        if self.named(usize::from(!first)) {
            let x = left - Frame::y_label_width(&self.y) - 10.0;
            let label = with_note("density", &self.y.note, PANEL[1]);
            turned(drawing, [x, top + 0.5 * PANEL[1]], label);
        }
        let places: Vec<(usize, Vec<[f32; 2]>)> = self
            .panel
            .curves
            .iter()
            .zip(&self.curves)
            .map(|((name, _), curve)| {
                let number = names.iter().position(|n| n == name).unwrap_or(0);
                (
                    number,
                    curve.iter().map(|p| frame.place(p.0, p.1)).collect(),
                )
            })
            .collect();
        // All areas below all lines, so that no line is dimmed.
        let ground = top + PANEL[1];
        for (number, line) in &places {
            let mut points = line.clone();
            if let (Some(start), Some(end)) = (line.first(), line.last()) {
                points.extend([[end[0], ground], [start[0], ground]]);
            }
            drawing.items.push(Item::Area {
                points,
                ink: ink(*number, names.len()).faint(0.13),
            });
        }
        for (number, line) in places {
            drawing.items.push(stroke(line, number, names.len()));
        }
    }
}

fn ink(number: usize, count: usize) -> Ink {
    palette::category(number, count)
}

/// The line of curve `number`. Dashes let one curve be seen through another, where a map is good.
fn stroke(line: Vec<[f32; 2]>, number: usize, count: usize) -> Item {
    Item::Lines {
        lines: vec![line],
        width: 1.6,
        ink: ink(number, count).faint(0.85),
        dash: [None, Some([6.0, 3.0]), Some([2.0, 2.0])][number % 3],
    }
}

/// Lines with names, centred from `top` on; returns the height it takes.
fn legend(drawing: &mut Drawing, names: &[&str], top: f32) -> f32 {
    let mut lines: Vec<(f32, Vec<(usize, String)>)> = Vec::new();
    for (k, name) in names.iter().enumerate() {
        let name = font::fit(name, LABEL_SIZE, drawing.width - 80.0);
        let wide = 52.0 + font::width(&name, LABEL_SIZE);
        match lines.last_mut() {
            Some((used, line)) if *used + wide <= drawing.width - 20.0 => {
                *used += wide;
                line.push((k, name));
            }
            _ => lines.push((wide, vec![(k, name)])),
        }
    }
    let height = 17.0 * lines.len() as f32;
    for (r, (used, line)) in lines.into_iter().enumerate() {
        let y = top + 17.0 * r as f32 + 12.0;
        let mut x = 0.5 * (drawing.width - used) + 10.0;
        for (k, name) in line {
            let mut key = stroke(vec![[x, y - 4.0], [x + 24.0, y - 4.0]], k, names.len());
            if let Item::Lines { ink, .. } = &mut key {
                ink.alpha = 1.0;
            }
            drawing.items.push(key);
            let wide = font::width(&name, LABEL_SIZE);
            drawing.text(
                [x + 30.0, y],
                name,
                LABEL_SIZE,
                Anchor::Start,
                palette::TEXT,
            );
            x += 52.0 + wide;
        }
    }
    height
}

/// The curve `(x, f(x))` of a cloud, in steps of a quarter of the bandwidth; `range` holds all clouds of the panel.
fn density(cloud: &[f64], range: [f64; 2]) -> Vec<(f64, f64)> {
    // In shares of the range, so that no square is too large or small for a number.
    let size = range[1] - range[0];
    let mut z: Vec<f64> = cloud.iter().map(|v| (v - range[0]) / size).collect();
    z.sort_unstable_by(f64::total_cmp);
    let h = bandwidth(&z).max(LEAST);
    let (start, end) = (z[0] - TAIL * h, z[z.len() - 1] + TAIL * h);
    let steps = ((end - start) / (0.25 * h)).ceil() as usize;
    let unit = 1.0 / (z.len() as f64 * h * (2.0 * std::f64::consts::PI).sqrt());
    (0..=steps)
        .map(|k| {
            let x = start + (end - start) * k as f64 / steps as f64;
            // Further away a kernel is below 1e-14 of its height.
            let from = z.partition_point(|v| *v < x - 8.0 * h);
            let sum: f64 = z[from..]
                .iter()
                .take_while(|v| **v <= x + 8.0 * h)
                .map(|v| (-0.5 * ((x - v) / h).powi(2)).exp())
                .sum();
            (range[0] + x * size, sum * unit / size)
        })
        .collect()
}

/// Silverman's bandwidth of sorted values; zero if they are all the same.
fn bandwidth(sorted: &[f64]) -> f64 {
    let n = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / n;
    let square: f64 = sorted.iter().map(|v| (v - mean) * (v - mean)).sum();
    let deviation = (square / (n - 1.0).max(1.0)).sqrt();
    let quantile = |p: f64| {
        let at = p * (n - 1.0);
        let (k, part) = (at as usize, at.fract());
        let next = sorted[(k + 1).min(sorted.len() - 1)];
        sorted[k] + part * (next - sorted[k])
    };
    let quartiles = (quantile(0.75) - quantile(0.25)) / 1.34;
    // Where more than half of the values are the same, the quartiles say nothing.
    let spread = if quartiles > 0.0 {
        deviation.min(quartiles)
    } else {
        deviation
    };
    0.9 * spread * n.powf(-0.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::testing::{assert_inside, look};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    fn normal(n: usize, mean: f64, deviation: f64, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n)
            .map(|_| mean + deviation * rng.sample::<f64, _>(StandardNormal))
            .collect()
    }

    fn extent(v: &[f64]) -> [f64; 2] {
        let edge = |f: fn(f64, f64) -> f64, e: f64| v.iter().copied().fold(e, f);
        [
            edge(f64::min, f64::INFINITY),
            edge(f64::max, f64::NEG_INFINITY),
        ]
    }

    /// Integrals over the curve of `1`, `x` and `(x - mean)^2`.
    fn moments(curve: &[(f64, f64)]) -> [f64; 3] {
        let step = curve[1].0 - curve[0].0;
        let sum = |g: &dyn Fn(f64) -> f64| curve.iter().map(|p| g(p.0) * p.1 * step).sum::<f64>();
        let mean = sum(&|x| x);
        [sum(&|_| 1.0), mean, sum(&|x| (x - mean) * (x - mean))]
    }

    #[test]
    fn curves_meet_their_naive_twin() {
        let values = normal(300, 2.0, 0.7, 1);
        let sorted = {
            let mut v = values.clone();
            v.sort_by(f64::total_cmp);
            v
        };
        // With 300 values the quartiles lie a quarter and three quarters between two of them.
        let (q1, q3) = (
            0.25 * sorted[74] + 0.75 * sorted[75],
            0.75 * sorted[224] + 0.25 * sorted[225],
        );
        let mean = values.iter().sum::<f64>() / 300.0;
        let s = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 299.0).sqrt();
        let h = 0.9 * s.min((q3 - q1) / 1.34) / 300f64.powf(0.2);
        assert!((bandwidth(&sorted) - h).abs() < 1e-12);
        let curve = density(&values, [-1.0, 6.0]);
        for (x, f) in &curve {
            let kernel = |v: &f64| (-(x - v) * (x - v) / (2.0 * h * h)).exp();
            let naive = values.iter().map(kernel).sum::<f64>()
                / (300.0 * h * (2.0 * std::f64::consts::PI).sqrt());
            assert!((f - naive).abs() < 1e-10, "{f} {naive}");
        }
        let truth = |x: f64| {
            (-0.5 * ((x - 2.0) / 0.7).powi(2)).exp() / (0.7 * (2.0 * std::f64::consts::PI).sqrt())
        };
        assert!(curve.iter().all(|(x, f)| (f - truth(*x)).abs() < 0.08));
    }

    /// The estimate has mass one, the mean of the values and their variance plus `h^2`, in any unit.
    #[test]
    fn moments_are_those_of_the_values() {
        for (scale, shift) in [
            (1.0, 0.0),
            (1e-9, 0.0),
            (1.0, 1e6),
            (-1e9, 3.0),
            (1e290, 0.0),
        ] {
            let values: Vec<f64> = normal(500, 1.0, 2.0, 2)
                .iter()
                .map(|v| scale * v + shift)
                .collect();
            let curve = density(&values, extent(&values));
            // Back into plain units.
            let plain: Vec<(f64, f64)> = curve
                .iter()
                .map(|(x, f)| ((x - shift) / scale.abs(), f * scale.abs()))
                .collect();
            let mut z: Vec<f64> = values.iter().map(|v| (v - shift) / scale.abs()).collect();
            z.sort_by(f64::total_cmp);
            let [mass, mean, variance] = moments(&plain);
            let m = z.iter().sum::<f64>() / 500.0;
            let v = z.iter().map(|x| (x - m).powi(2)).sum::<f64>() / 500.0 + bandwidth(&z).powi(2);
            assert!((mass - 1.0).abs() < 1e-3, "{scale} {mass}");
            assert!((mean - m).abs() < 5e-3, "{scale} {mean} {m}");
            assert!((variance / v - 1.0).abs() < 0.01, "{scale} {variance} {v}");
        }
    }

    #[test]
    fn components_become_panels_in_order() {
        let x = [[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0], [0.0, -3.0]].concat();
        let y = [5.0, 7.0];
        let components = Components::fit(&[&x], 2, 2).unwrap();
        let panels = DensityPanel::of_components(&components, &[("x", &x), ("y", &y)]).unwrap();
        assert_eq!(panels.len(), 2);
        assert_eq!(panels[0].x_label, "PC 1 (90 %)");
        assert_eq!(panels[1].x_label, "PC 2 (10 %)");
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(&panels[0].curves[0].1, &[0.0, 0.0, 3.0, -3.0]));
        assert!(close(&panels[1].curves[0].1, &[1.0, -1.0, 0.0, 0.0]));
        assert!(close(&panels[0].curves[1].1, &[7.0]) && panels[1].curves[1].0 == "y");
        assert!(DensityPanel::of_components(&components, &[("odd", &[1.0])]).is_err());
    }

    fn panel(title: &str, x_label: &str, curves: Vec<(&str, Vec<f64>)>) -> DensityPanel {
        DensityPanel {
            title: title.into(),
            x_label: x_label.into(),
            curves: curves.into_iter().map(|(n, v)| (n.to_owned(), v)).collect(),
        }
    }

    #[test]
    fn panels_hold_their_curves() {
        let mix = |a: f64, b: f64, scale: f64, seed| {
            let v = [normal(400, a, 0.5, seed), normal(600, b, 0.8, seed + 1)].concat();
            v.into_iter().map(|v| scale * v).collect::<Vec<f64>>()
        };
        let three = |k: u64, scale: f64| {
            vec![
                ("source", mix(-1.0, 0.5, scale, k)),
                ("target", mix(-2.0, 2.0, scale, k + 2)),
                ("transported", mix(-2.1, 2.0, scale, k + 4)),
            ]
        };
        let row: Vec<DensityPanel> = (0..4)
            .map(|k| {
                let scale = [1.0, 0.5, 1e-6, 2e5][k];
                panel(
                    "",
                    &format!("PC {} (12 %)", k + 1),
                    three(10 * k as u64, scale),
                )
            })
            .collect();
        let odd = vec![
            panel("Friendly", "x1", three(1, 1.0)),
            panel(
                "One point",
                "x2",
                vec![
                    ("source", normal(200, 0.0, 1.0, 3)),
                    ("target", vec![0.3; 50]),
                ],
            ),
            panel("All the same", "x3", vec![("target", vec![1e6; 9])]),
            panel(
                "Far",
                "x4",
                vec![
                    ("source", normal(200, 1e7, 1.0, 3)),
                    ("a cloud with a name that is long", vec![1e7]),
                ],
            ),
            panel(
                "In the next row",
                "x5",
                vec![
                    (
                        "one more cloud with a name that is long",
                        vec![1.0, 2.0, 4.0],
                    ),
                    ("fifth", vec![3.0]),
                    ("sixth", vec![2.0, 3.0]),
                ],
            ),
        ];
        for (name, title, panels) in [
            ("density", "Latent codes along principal components", &row),
            ("density-odd", "", &odd),
        ] {
            let drawing = DensityFigure { title, panels }.drawing().unwrap();
            look(&drawing, name);
            assert_inside(&drawing, panels.len());
            assert!(drawing.svg().len() < 300_000);
            let areas = drawing
                .items
                .iter()
                .filter(|i| matches!(i, Item::Area { .. }));
            assert_eq!(
                areas.count(),
                panels.iter().map(|p| p.curves.len()).sum::<usize>()
            );
        }
    }

    /// Small values left, large ones right; dense ones high. Colours go with names, not with places.
    #[test]
    fn axes_and_colours_are_not_mixed_up() {
        let (low, high) = (normal(400, -3.0, 0.3, 1), normal(400, 3.0, 1.2, 2));
        let panels = [
            panel("", "", vec![("low", low.clone()), ("high", high.clone())]),
            panel("", "", vec![("high", high), ("low", low)]),
        ];
        let drawing = DensityFigure {
            title: "",
            panels: &panels,
        }
        .drawing()
        .unwrap();
        let areas: Vec<(Ink, [f32; 2])> = drawing
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Area { points, ink } => {
                    let top = points.iter().min_by(|a, b| a[1].total_cmp(&b[1]));
                    Some((*ink, *top.unwrap()))
                }
                _ => None,
            })
            .collect();
        let [(a, low), (b, high), (c, _), (d, _)] = areas[..] else {
            panic!("four areas")
        };
        assert!(low[0] < high[0] - 50.0 && low[1] < high[1] - 50.0);
        assert!(a == d && b == c && a.rgb != b.rgb);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for (panels, part) in [
            (vec![], "needs a panel"),
            (vec![panel("", "", vec![])], "a curve in each"),
            (vec![panel("", "", vec![("a", vec![])])], "curve \"a\""),
            (
                vec![panel("", "", vec![("a", vec![1.0, f64::NAN])])],
                "point 2",
            ),
        ] {
            let figure = DensityFigure {
                title: "",
                panels: &panels,
            };
            let error = figure.drawing().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}

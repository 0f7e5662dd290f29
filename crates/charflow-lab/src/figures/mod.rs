//! Pictures, each written as PNG and SVG from one drawing.
//!
//! | figure | what it shows |
//! |---|---|
//! | [`TransportFigure`] | source, target, forward, backward and transport lines, as Figure 1 of the paper |
//! | [`FlowStrip`] | the cloud at several times between source and target |
//! | [`LineTransportFigure`] | the same story for points on a line: densities, and paths in time |
//! | [`DotFigure`] | numbers of several maps on several problems, a row for each |
//! | [`LossFigure`] | losses against the step, with held-out values and noise floors |
//! | [`AccuracyFigure`] | accuracies against the step, on linear axes |
//! | [`SweepFigure`] | what came out against a setting |
//! | [`ColorFigure`] | two pictures, each in the other's colours, with their histograms |
//! | [`MontageFigure`] | pictures in a grid, as Figures 7 to 9 of the paper |
//! | [`GridFigure`] | many small pictures with what a map makes of them, a row for each class, as Figure 4 |
//! | [`DensityFigure`] | densities of clouds along principal components, as Figure 11 |
//!
//! All panels of a figure of points share their limits, axes are equal, and the limits contain every point, drawn or not. Of large clouds a fixed random subset is drawn;
//! the figure then says so. Colours are those of Okabe and Ito (and Tol's muted set for more than six classes), which colour-blind readers
//! can tell apart. Files are written whole or not at all.

mod accuracy;
mod axis;
mod color;
mod density;
mod dots;
mod drawing;
mod font;
mod grid;
mod line_transport;
mod loss;
mod montage;
mod palette;
mod panel;
mod raster;
mod strip;
mod sweep;
mod transport;

pub use accuracy::AccuracyFigure;
pub use color::ColorFigure;
pub use density::{DensityFigure, DensityPanel};
pub use dots::{DotFigure, DotRow};
pub use grid::GridFigure;
pub use line_transport::LineTransportFigure;
pub use loss::{LossFigure, LossPanel, Series, Style};
pub use montage::MontageFigure;
pub use raster::Raster;
pub use strip::FlowStrip;
pub use sweep::SweepFigure;
pub use transport::TransportFigure;

#[cfg(test)]
mod testing {
    use super::drawing::{Anchor, Drawing, Item};
    use super::panel::Frame;
    use super::{font, palette};

    /// Left, top, right, bottom.
    type Box4 = [f32; 4];

    fn panels(drawing: &Drawing) -> Vec<Box4> {
        let borders = drawing.items.iter().filter_map(|item| match item {
            Item::Lines { lines, ink, .. } if *ink == palette::BORDER && lines[0].len() == 5 => {
                Some(&lines[0])
            }
            _ => None,
        });
        borders
            .map(|b| [b[0][0], b[0][1], b[2][0], b[2][1]])
            .collect()
    }

    fn text_box(item: &Item) -> Option<(Box4, &str)> {
        let Item::Text {
            at,
            text,
            size,
            anchor,
            turned,
            ..
        } = item
        else {
            return None;
        };
        let wide = font::width(text, *size);
        let before = match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => 0.5 * wide,
            Anchor::End => wide,
        };
        let (up, down) = (0.76 * size, 0.2 * size);
        let [x, y] = *at;
        let area = if *turned {
            [x - up, y - (wide - before), x + down, y + before]
        } else {
            [x - before, y - up, x + wide - before, y + down]
        };
        Some((area, text))
    }

    /// Every mark lies whole inside a panel (keys of the legend aside), every text inside the picture, and no two texts or images meet.
    pub fn assert_inside(drawing: &Drawing, count: usize) {
        let panels = panels(drawing);
        assert_eq!(panels.len(), count);
        let within = |p: [f32; 2], r: f32| {
            panels.iter().any(|b| {
                p[0] >= b[0] + r && p[0] <= b[2] - r && p[1] >= b[1] + r && p[1] <= b[3] - r
            })
        };
        for item in &drawing.items {
            match item {
                // Legend keys are larger than any data dot, or lie above the panels.
                Item::Dots { points, radius, .. } if *radius < 3.0 => {
                    for p in points {
                        assert!(
                            within(*p, *radius),
                            "a dot of radius {radius} at {p:?} is outside {panels:?}"
                        );
                    }
                }
                Item::Lines { lines, ink, .. }
                    if *ink == palette::BLACK.faint(0.75) || matches!(ink.alpha, 0.5 | 0.85) =>
                {
                    for p in lines.iter().flatten() {
                        assert!(within(*p, 0.0), "a line at {p:?} is outside {panels:?}");
                    }
                }
                Item::Area { points, .. } => {
                    for p in points {
                        assert!(within(*p, 0.0), "an area at {p:?} is outside {panels:?}");
                    }
                }
                _ => {}
            }
        }
        let texts: Vec<(Box4, &str)> = drawing.items.iter().filter_map(text_box).collect();
        let images: Vec<Box4> = drawing
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Image { at, size, .. } => {
                    Some([at[0], at[1], at[0] + size[0], at[1] + size[1]])
                }
                _ => None,
            })
            .collect();
        let meet = |a: &Box4, b: &Box4| a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
        for (k, a) in images.iter().enumerate() {
            assert!(
                a[0] >= 0.0 && a[1] >= 0.0 && a[2] <= drawing.width && a[3] <= drawing.height,
                "the image at {a:?} leaves the picture"
            );
            let others = images[..k].iter().chain(texts.iter().map(|(b, _)| b));
            for b in others.chain(&panels) {
                assert!(!meet(a, b), "the image at {a:?} meets {b:?}");
            }
        }
        for (k, (a, text)) in texts.iter().enumerate() {
            assert!(
                a[0] >= 0.0 && a[1] >= 0.0 && a[2] <= drawing.width && a[3] <= drawing.height,
                "{text:?} at {a:?} leaves the picture"
            );
            for (b, other) in &texts[..k] {
                assert!(!meet(a, b), "{text:?} at {a:?} meets {other:?} at {b:?}");
            }
        }
    }

    /// Width and height in pixels of a square of side one hundredth of the panel's range of `x`.
    pub fn unit_square(frame: &Frame) -> [f32; 2] {
        let side = (frame.x.hi - frame.x.lo) / 100.0;
        let (a, b) = (
            frame.place(frame.x.lo, frame.y.lo),
            frame.place(frame.x.lo + side, frame.y.lo + side),
        );
        [b[0] - a[0], a[1] - b[1]]
    }

    /// Both files must be sound. With CHARFLOW_PICTURES set to a folder they are kept there, to be looked at.
    pub fn look(drawing: &Drawing, name: &str) {
        let folder = tempfile::tempdir().unwrap();
        let kept = std::env::var_os("CHARFLOW_PICTURES").map(std::path::PathBuf::from);
        let stem = kept.as_deref().unwrap_or(folder.path()).join(name);
        let paths = drawing.save(&stem, "unused").unwrap();
        let map = tiny_skia::Pixmap::decode_png(&std::fs::read(&paths[0]).unwrap()).unwrap();
        assert_eq!(
            (map.width(), map.height()),
            (
                (2.0 * drawing.width).ceil() as u32,
                (2.0 * drawing.height).ceil() as u32
            )
        );
        // Something is drawn, and the background is white.
        let dark = map.pixels().iter().filter(|p| p.red() < 200).count();
        assert!(dark > 500 && map.pixels()[0].red() == 255, "{name}");
        let svg = std::fs::read_to_string(&paths[1]).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        let count = |what: &str| svg.matches(what).count();
        assert_eq!(count("<g "), count("</g>"));
        assert_eq!(count("<text "), count("</text>"));
        assert_eq!(count("<"), count(">"));
        assert!(!svg.contains("NaN") && !svg.contains("inf "), "{name}");
    }

    #[test]
    fn files_are_named_by_the_stem_and_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut drawing = Drawing {
            width: 40.0,
            height: 20.0,
            items: Vec::new(),
            title: "a < b & c".into(),
        };
        drawing.text(
            [1.0, 15.0],
            "x < y\u{7}",
            10.0,
            Anchor::Start,
            palette::TEXT,
        );
        let paths = drawing
            .save(&folder.path().join("run.v1"), "figure")
            .unwrap();
        assert_eq!(
            paths,
            [
                folder.path().join("run.v1.png"),
                folder.path().join("run.v1.svg")
            ]
        );
        assert_eq!(
            drawing.save(folder.path(), "figure").unwrap()[1],
            folder.path().join("figure.svg")
        );
        let svg = std::fs::read_to_string(&paths[1]).unwrap();
        assert!(svg.contains("a &lt; b &amp; c") && svg.contains("x &lt; y </text>"));
        // Nothing but the four files stays, and writing again replaces them.
        drawing
            .save(&folder.path().join("run.v1"), "figure")
            .unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
        let error = drawing
            .save(&folder.path().join("missing/stem"), "figure")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("missing") && error.contains("stem.png"),
            "{error}"
        );
    }
}

//! One drawing, two files: a list of simple shapes in pixels, written as SVG or painted as PNG.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tiny_skia::{FillRule, LineCap, Paint, PathBuilder, Pixmap, Stroke, StrokeDash, Transform};

use super::{Raster, font};
use crate::LabError;

/// Pixels of the PNG per unit of the drawing: legible in print and on dense screens.
const PNG_SCALE: f32 = 2.0;
/// Dots that share one SVG path. Within a path overlapping dots do not darken, so it must be small against the number that overlap.
const SVG_DOTS: usize = 100;

/// Colour with opacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ink {
    pub rgb: [u8; 3],
    pub alpha: f32,
}

impl Ink {
    pub const fn solid(rgb: [u8; 3]) -> Self {
        Self { rgb, alpha: 1.0 }
    }

    pub const fn faint(self, alpha: f32) -> Self {
        Self {
            rgb: self.rgb,
            alpha,
        }
    }

    fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.rgb[0], self.rgb[1], self.rgb[2])
    }

    fn paint(self) -> Paint<'static> {
        let mut paint = Paint {
            anti_alias: true,
            ..Paint::default()
        };
        let [r, g, b] = self.rgb;
        paint.set_color_rgba8(r, g, b, (255.0 * self.alpha).round() as u8);
        paint
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// Corner, width and height; filled.
    Rect {
        at: [f32; 2],
        size: [f32; 2],
        ink: Ink,
    },
    /// Connected strokes, each list on its own.
    Lines {
        lines: Vec<Vec<[f32; 2]>>,
        width: f32,
        ink: Ink,
        dash: Option<[f32; 2]>,
    },
    /// A filled polygon.
    Area { points: Vec<[f32; 2]>, ink: Ink },
    /// Filled circles of one radius.
    Dots {
        points: Vec<[f32; 2]>,
        radius: f32,
        ink: Ink,
    },
    /// A picture, filling its box.
    Image {
        at: [f32; 2],
        size: [f32; 2],
        raster: Raster,
    },
    /// One line of text; `at` is on the baseline; `turned` text reads upward.
    Text {
        at: [f32; 2],
        text: String,
        size: f32,
        anchor: Anchor,
        ink: Ink,
        turned: bool,
    },
}

/// A picture: size in pixels, and shapes from back to front on white.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drawing {
    pub width: f32,
    pub height: f32,
    pub items: Vec<Item>,
    /// For readers that cannot see it, the `<title>` of the SVG.
    pub title: String,
}

impl Drawing {
    pub fn text(
        &mut self,
        at: [f32; 2],
        text: impl Into<String>,
        size: f32,
        anchor: Anchor,
        ink: Ink,
    ) {
        self.items.push(Item::Text {
            at,
            text: text.into(),
            size,
            anchor,
            ink,
            turned: false,
        });
    }

    pub fn line(&mut self, points: Vec<[f32; 2]>, width: f32, ink: Ink) {
        self.items.push(Item::Lines {
            lines: vec![points],
            width,
            ink,
            dash: None,
        });
    }

    pub fn dots(&mut self, points: Vec<[f32; 2]>, radius: f32, ink: Ink) {
        if !points.is_empty() {
            self.items.push(Item::Dots {
                points,
                radius,
                ink,
            });
        }
    }

    /// A picture in the middle of a box, as large as its shape allows. Its corners lie on pixels of the PNG, and it keeps no more pixels than are shown there,
    /// so that a large one is painted pixel for pixel and the SVG stays small.
    pub fn image(&mut self, at: [f32; 2], size: [f32; 2], raster: &Raster) {
        let pixels = fitted(size, raster).map(|side| PNG_SCALE * side);
        let corner = [0, 1].map(|k| {
            let middle = PNG_SCALE * (at[k] + 0.5 * size[k]);
            (middle - 0.5 * pixels[k]).round() / PNG_SCALE
        });
        self.items.push(Item::Image {
            at: corner,
            size: pixels.map(|side| side / PNG_SCALE),
            raster: raster.within(pixels[0] as usize, pixels[1] as usize),
        });
    }

    /// The drawing as an SVG document.
    pub fn svg(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_svg(&mut out);
        out
    }

    fn write_svg(&self, out: &mut String) -> std::fmt::Result {
        let (w, h) = (self.width, self.height);
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
             font-family=\"DejaVu Sans, Verdana, sans-serif\">"
        )?;
        writeln!(out, "<title>{}</title>", escape(&self.title))?;
        writeln!(out, "<rect width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>")?;
        for item in &self.items {
            match item {
                Item::Rect { at, size, ink } => {
                    writeln!(
                        out,
                        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"{}/>",
                        n(at[0]),
                        n(at[1]),
                        n(size[0]),
                        n(size[1]),
                        ink.hex(),
                        opacity("fill", *ink)
                    )?;
                }
                Item::Lines {
                    lines,
                    width,
                    ink,
                    dash,
                } => {
                    write!(
                        out,
                        "<path fill=\"none\" stroke=\"{}\"{} stroke-width=\"{}\" stroke-linejoin=\"round\"",
                        ink.hex(),
                        opacity("stroke", *ink),
                        n(*width)
                    )?;
                    if let Some([on, off]) = dash {
                        write!(out, " stroke-dasharray=\"{} {}\"", n(*on), n(*off))?;
                    }
                    write!(out, " d=\"")?;
                    for line in lines {
                        write_path(out, line)?;
                    }
                    writeln!(out, "\"/>")?;
                }
                Item::Area { points, ink } => {
                    write!(
                        out,
                        "<path fill=\"{}\"{} d=\"",
                        ink.hex(),
                        opacity("fill", *ink)
                    )?;
                    write_path(out, points)?;
                    writeln!(out, "Z\"/>")?;
                }
                Item::Dots {
                    points,
                    radius,
                    ink,
                } => {
                    // A stroke of no length with a round cap is a dot, at a third of the bytes of a circle.
                    writeln!(
                        out,
                        "<g fill=\"none\" stroke=\"{}\"{} stroke-width=\"{}\" stroke-linecap=\"round\">",
                        ink.hex(),
                        opacity("stroke", *ink),
                        n(2.0 * radius)
                    )?;
                    for chunk in points.chunks(SVG_DOTS) {
                        write!(out, "<path d=\"")?;
                        for p in chunk {
                            write!(out, "M{} {}h0", n(p[0]), n(p[1]))?;
                        }
                        writeln!(out, "\"/>")?;
                    }
                    writeln!(out, "</g>")?;
                }
                Item::Image { at, size, raster } => {
                    let png = pixmap(raster)
                        .and_then(|map| map.encode_png().ok())
                        .unwrap_or_default();
                    writeln!(
                        out,
                        "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\"{} href=\"data:image/png;base64,{}\"/>",
                        n(at[0]),
                        n(at[1]),
                        n(size[0]),
                        n(size[1]),
                        if coarse(*size, raster) {
                            " image-rendering=\"pixelated\""
                        } else {
                            ""
                        },
                        base64(&png)
                    )?;
                }
                Item::Text {
                    at,
                    text,
                    size,
                    anchor,
                    ink,
                    turned,
                } => {
                    let anchor = match anchor {
                        Anchor::Start => "start",
                        Anchor::Middle => "middle",
                        Anchor::End => "end",
                    };
                    let turn = if *turned {
                        format!(" transform=\"rotate(-90 {} {})\"", n(at[0]), n(at[1]))
                    } else {
                        String::new()
                    };
                    writeln!(
                        out,
                        "<text x=\"{}\" y=\"{}\" font-size=\"{}\" text-anchor=\"{anchor}\" fill=\"{}\"{turn}>{}</text>",
                        n(at[0]),
                        n(at[1]),
                        n(*size),
                        ink.hex(),
                        escape(text)
                    )?;
                }
            }
        }
        writeln!(out, "</svg>")
    }

    /// The drawing as the bytes of a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, String> {
        let size = |v: f32| (v * PNG_SCALE).ceil() as u32;
        let mut map =
            Pixmap::new(size(self.width), size(self.height)).ok_or("the picture has no size")?;
        map.fill(tiny_skia::Color::WHITE);
        let scale = Transform::from_scale(PNG_SCALE, PNG_SCALE);
        for item in &self.items {
            match item {
                Item::Rect { at, size, ink } => {
                    if let Some(rect) = tiny_skia::Rect::from_xywh(at[0], at[1], size[0], size[1]) {
                        map.fill_rect(rect, &ink.paint(), scale, None);
                    }
                }
                Item::Lines {
                    lines,
                    width,
                    ink,
                    dash,
                } => {
                    let stroke = Stroke {
                        width: *width,
                        line_join: tiny_skia::LineJoin::Round,
                        line_cap: LineCap::Butt,
                        dash: dash.and_then(|[on, off]| StrokeDash::new(vec![on, off], 0.0)),
                        ..Stroke::default()
                    };
                    let mut path = PathBuilder::new();
                    for line in lines {
                        follow(&mut path, line);
                    }
                    if let Some(path) = path.finish() {
                        map.stroke_path(&path, &ink.paint(), &stroke, scale, None);
                    }
                }
                Item::Area { points, ink } => {
                    let mut path = PathBuilder::new();
                    follow(&mut path, points);
                    path.close();
                    if let Some(path) = path.finish() {
                        map.fill_path(&path, &ink.paint(), FillRule::Winding, scale, None);
                    }
                }
                Item::Dots {
                    points,
                    radius,
                    ink,
                } => {
                    let Some(circle) = PathBuilder::from_circle(0.0, 0.0, *radius) else {
                        continue;
                    };
                    let paint = ink.paint();
                    for p in points {
                        map.fill_path(
                            &circle,
                            &paint,
                            FillRule::Winding,
                            scale.pre_translate(p[0], p[1]),
                            None,
                        );
                    }
                }
                Item::Image { at, size, raster } => {
                    let Some(picture) = pixmap(raster) else {
                        continue;
                    };
                    let factor = [
                        size[0] / raster.width as f32,
                        size[1] / raster.height as f32,
                    ];
                    let paint = tiny_skia::PixmapPaint {
                        quality: if coarse(*size, raster) {
                            tiny_skia::FilterQuality::Nearest
                        } else {
                            tiny_skia::FilterQuality::Bilinear
                        },
                        ..tiny_skia::PixmapPaint::default()
                    };
                    let place = scale
                        .pre_translate(at[0], at[1])
                        .pre_scale(factor[0], factor[1]);
                    map.draw_pixmap(0, 0, picture.as_ref(), &paint, place, None);
                }
                Item::Text {
                    at,
                    text,
                    size,
                    anchor,
                    ink,
                    turned,
                } => {
                    let mut path = PathBuilder::new();
                    for segment in font::outline(&printable(text), *size) {
                        match segment {
                            font::Segment::Move(p) => path.move_to(p[0], p[1]),
                            font::Segment::Line(p) => path.line_to(p[0], p[1]),
                            font::Segment::Quad(c, p) => path.quad_to(c[0], c[1], p[0], p[1]),
                            font::Segment::Close => path.close(),
                        }
                    }
                    let Some(path) = path.finish() else { continue };
                    let shift = match anchor {
                        Anchor::Start => 0.0,
                        Anchor::Middle => -0.5 * font::width(text, *size),
                        Anchor::End => -font::width(text, *size),
                    };
                    let mut place = scale.pre_translate(at[0], at[1]);
                    if *turned {
                        place = place.pre_rotate(-90.0);
                    }
                    map.fill_path(
                        &path,
                        &ink.paint(),
                        FillRule::Winding,
                        place.pre_translate(shift, 0.0),
                        None,
                    );
                }
            }
        }
        map.encode_png().map_err(|e| e.to_string())
    }

    /// Writes `stem.png` and `stem.svg` (or `default.*` inside, if `stem` is a directory) and returns both paths.
    pub fn save(&self, stem: &Path, default: &str) -> Result<Vec<PathBuf>, LabError> {
        let (png, svg) = (named(stem, default, ".png"), named(stem, default, ".svg"));
        self.write_png(&png)?;
        charflow_io::write_file(&svg, self.svg().as_bytes())?;
        Ok(vec![png, svg])
    }

    /// The same without the SVG.
    pub fn save_png(&self, stem: &Path, default: &str) -> Result<Vec<PathBuf>, LabError> {
        let png = named(stem, default, ".png");
        self.write_png(&png)?;
        Ok(vec![png])
    }

    fn write_png(&self, path: &Path) -> Result<(), LabError> {
        let pixels = self.png().map_err(|message| LabError::Io {
            path: path.to_path_buf(),
            message,
        })?;
        Ok(charflow_io::write_file(path, &pixels)?)
    }
}

/// The file of a stem, or of the default one in a directory: not `with_extension`, since a stem may have dots.
fn named(stem: &Path, default: &str, extension: &str) -> PathBuf {
    let mut name = if stem.is_dir() {
        stem.join(default)
    } else {
        stem.to_path_buf()
    }
    .into_os_string();
    name.push(extension);
    PathBuf::from(name)
}

/// The size of a picture in a box: the whole of one side, in whole pixels of the PNG and at least one of them.
pub(super) fn fitted(size: [f32; 2], raster: &Raster) -> [f32; 2] {
    let sides = [raster.width as f32, raster.height as f32];
    let scale = (size[0] / sides[0]).min(size[1] / sides[1]);
    sides.map(|side| (PNG_SCALE * scale * side).round().max(1.0) / PNG_SCALE)
}

/// Whether a picture is so much enlarged that its pixels are to be seen as such.
fn coarse(size: [f32; 2], raster: &Raster) -> bool {
    PNG_SCALE * size[0] > 2.0 * raster.width as f32
        && PNG_SCALE * size[1] > 2.0 * raster.height as f32
}

/// The raster as the library wants it; `None` without pixels.
fn pixmap(raster: &Raster) -> Option<Pixmap> {
    let size = tiny_skia::IntSize::from_wh(raster.width as u32, raster.height as u32)?;
    let rgba = raster
        .rgb
        .as_chunks::<3>()
        .0
        .iter()
        .flat_map(|&[r, g, b]| [r, g, b, 255])
        .collect();
    Pixmap::from_vec(rgba, size)
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(4 * bytes.len().div_ceil(3));
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .enumerate()
            .fold(0u32, |w, (k, b)| w | u32::from(*b) << (16 - 8 * k));
        for k in 0..4 {
            out.push(if k <= chunk.len() {
                char::from(LETTERS[(word >> (18 - 6 * k) & 63) as usize])
            } else {
                '='
            });
        }
    }
    out
}

/// A line for the `d` of an SVG path.
fn write_path(out: &mut String, line: &[[f32; 2]]) -> std::fmt::Result {
    for (k, p) in line.iter().enumerate() {
        write!(
            out,
            "{}{} {}",
            if k == 0 { 'M' } else { 'L' },
            n(p[0]),
            n(p[1])
        )?;
    }
    Ok(())
}

/// The same for the PNG.
fn follow(path: &mut PathBuilder, line: &[[f32; 2]]) {
    for (k, p) in line.iter().enumerate() {
        if k == 0 {
            path.move_to(p[0], p[1]);
        } else {
            path.line_to(p[0], p[1]);
        }
    }
}

/// A coordinate with at most two decimals.
fn n(v: f32) -> String {
    let text = format!("{v:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

fn opacity(of: &str, ink: Ink) -> String {
    if ink.alpha < 1.0 {
        format!(" {of}-opacity=\"{}\"", n(ink.alpha))
    } else {
        String::new()
    }
}

/// Control characters have no glyph and no place in XML.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') {
                ' '
            } else {
                c
            }
        })
        .collect()
}

fn escape(text: &str) -> String {
    printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 4648, section 10.
    #[test]
    fn base64_is_that_of_the_standard() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn a_picture_keeps_its_colors_and_its_sides() {
        let mut drawing = Drawing {
            width: 40.0,
            height: 20.0,
            items: Vec::new(),
            title: String::new(),
        };
        // Left red, right blue, in the middle half of the drawing.
        let raster = Raster {
            width: 2,
            height: 2,
            rgb: [[200, 10, 20], [20, 10, 200]].repeat(2).concat(),
        };
        drawing.image([0.0, 0.0], [40.0, 20.0], &raster);
        let map = Pixmap::decode_png(&drawing.png().unwrap()).unwrap();
        let at = |x: u32, y: u32| map.pixel(x, y).map(|p| [p.red(), p.green(), p.blue()]);
        assert_eq!(at(5, 20), Some([255; 3]));
        assert_eq!(at(25, 20), Some([200, 10, 20]));
        assert_eq!(at(55, 20), Some([20, 10, 200]));
        assert_eq!(at(75, 20), Some([255; 3]));
        let svg = drawing.svg();
        assert!(
            svg.contains("<image x=\"10\" y=\"0\" width=\"20\" height=\"20\""),
            "{svg}"
        );
    }

    fn drawing(width: f32, height: f32) -> Drawing {
        Drawing {
            width,
            height,
            items: Vec::new(),
            title: String::new(),
        }
    }

    fn pixels(map: &Pixmap) -> Vec<[u8; 3]> {
        map.pixels()
            .iter()
            .map(|p| [p.red(), p.green(), p.blue()])
            .collect()
    }

    /// The picture in an SVG, read by another way than it was written.
    fn embedded(svg: &str) -> Pixmap {
        let (_, rest) = svg.split_once("data:image/png;base64,").unwrap();
        let (code, _) = rest.split_once('"').unwrap();
        let letters: Vec<char> = ('A'..='Z')
            .chain('a'..='z')
            .chain('0'..='9')
            .chain(['+', '/'])
            .collect();
        let bits: Vec<bool> = code
            .trim_end_matches('=')
            .chars()
            .map(|c| letters.iter().position(|l| *l == c).unwrap())
            .flat_map(|six| (0..6).rev().map(move |k| six >> k & 1 == 1))
            .collect();
        let byte = |b: &[bool]| b.iter().fold(0, |v, bit| v << 1 | u8::from(*bit));
        let bytes: Vec<u8> = bits.chunks_exact(8).map(byte).collect();
        Pixmap::decode_png(&bytes).unwrap()
    }

    #[test]
    fn the_svg_holds_the_pixels() {
        let rgb: Vec<u8> = (0..3 * 5 * 4).map(|v| 4 * v as u8).collect();
        let raster = Raster {
            width: 5,
            height: 4,
            rgb,
        };
        let mut drawing = drawing(60.0, 50.0);
        drawing.image([0.0; 2], [50.0, 40.0], &raster);
        let svg = drawing.svg();
        let map = embedded(&svg);
        assert_eq!((map.width(), map.height()), (5, 4));
        assert_eq!(pixels(&map).concat(), raster.rgb);
        assert!(svg.contains("pixelated"));
    }

    /// One pixel in four is red, the others blue: the mean is told by no single pixel.
    #[test]
    fn a_large_picture_keeps_its_mean_and_gets_small() {
        let (width, height) = (1203, 801);
        let (red, blue) = ([240, 20, 40], [40, 100, 200]);
        let rgb = (0..width * height)
            .flat_map(|p| {
                if (p % width + p / width * 2) % 4 == 0 {
                    red
                } else {
                    blue
                }
            })
            .collect();
        let raster = Raster { width, height, rgb };
        let mut drawing = drawing(100.0, 80.0);
        drawing.image([10.3, 5.2], [80.0, 70.0], &raster);
        let Item::Image { at, size, .. } = drawing.items[0] else {
            panic!("an image")
        };
        assert_eq!(size, [80.0, 53.5]);
        let corner = at.map(|v| (PNG_SCALE * v) as usize);
        let map = Pixmap::decode_png(&drawing.png().unwrap()).unwrap();
        let painted = pixels(&map);
        let shown: Vec<[u8; 3]> = (0..107)
            .flat_map(|y| {
                let row = (corner[1] + y) * map.width() as usize + corner[0];
                painted[row..row + 160].to_vec()
            })
            .collect();
        for c in 0..3 {
            let mean = shown.iter().map(|p| f64::from(p[c])).sum::<f64>() / shown.len() as f64;
            let want = 0.25 * f64::from(red[c]) + 0.75 * f64::from(blue[c]);
            assert!(
                (mean - want).abs() < 0.5,
                "channel {c}: {mean} for about {want}"
            );
        }
        // Around it all is white: nothing is smeared over the border.
        let outside = painted.iter().filter(|p| **p != [255; 3]).count();
        assert_eq!(outside, shown.len());
        // In the SVG are the very pixels of the PNG.
        let map = embedded(&drawing.svg());
        assert_eq!((map.width(), map.height()), (160, 107));
        assert_eq!(pixels(&map), shown);
    }

    #[test]
    fn the_thinnest_picture_is_seen() {
        let raster = Raster {
            width: 1,
            height: 9000,
            rgb: [10, 20, 30].repeat(9000),
        };
        let mut drawing = drawing(40.0, 40.0);
        drawing.image([5.0; 2], [30.0; 2], &raster);
        let map = Pixmap::decode_png(&drawing.png().unwrap()).unwrap();
        let seen = pixels(&map).iter().filter(|p| **p == [10, 20, 30]).count();
        assert_eq!(seen, 60);
    }
}

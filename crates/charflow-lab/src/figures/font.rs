//! Glyph outlines of the embedded font (DejaVu Sans, `assets/`), so that pictures look the same on a machine without fonts.
//!
//! A reader of the few TrueType tables needed: `cmap` (format 4), `hmtx`, `loca`, `glyf`. It exists because the input is one known file: a general
//! font library costs a minute of build time. Every read is checked; what is not there draws nothing.

use std::sync::LazyLock;

static BYTES: &[u8] = include_bytes!("../../assets/DejaVuSans.ttf");
static FONT: LazyLock<Option<Font>> = LazyLock::new(|| Font::open(BYTES));

/// A piece of an outline in font units, `y` upward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Segment {
    Move([f32; 2]),
    Line([f32; 2]),
    /// Quadratic: control point, end.
    Quad([f32; 2], [f32; 2]),
    Close,
}

/// Width of a line of text in pixels at `size` pixels per em.
pub(super) fn width(text: &str, size: f32) -> f32 {
    let Some(font) = FONT.as_ref() else {
        return 0.6 * size * text.chars().count() as f32;
    };
    text.chars()
        .map(|c| font.advance(font.glyph(c)))
        .sum::<f32>()
        * size
        / font.units
}

/// Outlines of a line of text that starts at the origin, in pixels, `y` downward, each segment already placed.
pub(super) fn outline(text: &str, size: f32) -> Vec<Segment> {
    let Some(font) = FONT.as_ref() else {
        return Vec::new();
    };
    let scale = size / font.units;
    let mut pen = 0.0;
    let mut out = Vec::new();
    let mut piece = Vec::new();
    for c in text.chars() {
        let glyph = font.glyph(c);
        piece.clear();
        font.outline(glyph, 0, &mut piece);
        let place = |p: [f32; 2]| [(pen + p[0]) * scale, -p[1] * scale];
        out.extend(piece.iter().map(|segment| match *segment {
            Segment::Move(p) => Segment::Move(place(p)),
            Segment::Line(p) => Segment::Line(place(p)),
            Segment::Quad(c, p) => Segment::Quad(place(c), place(p)),
            Segment::Close => Segment::Close,
        }));
        pen += font.advance(glyph);
    }
    out
}

/// The text, or its beginning and an ellipsis, at most `limit` pixels wide.
pub(super) fn fit(text: &str, size: f32, limit: f32) -> String {
    if width(text, size) <= limit {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        let longer = format!("{short}{c}");
        if width(&format!("{longer}…"), size) > limit {
            break;
        }
        short = longer;
    }
    format!("{}…", short.trim_end())
}

struct Font {
    units: f32,
    long_offsets: bool,
    metrics: usize,
    cmap: &'static [u8],
    hmtx: &'static [u8],
    loca: &'static [u8],
    glyf: &'static [u8],
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(
        data.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

fn i16_at(data: &[u8], at: usize) -> Option<i16> {
    u16_at(data, at).map(|v| v as i16)
}

fn u32_at(data: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_be_bytes(data.get(at..at.checked_add(4)?)?.try_into().ok()?) as usize)
}

impl Font {
    fn open(bytes: &'static [u8]) -> Option<Self> {
        let table = |tag: &[u8; 4]| -> Option<&'static [u8]> {
            let entry = (0..usize::from(u16_at(bytes, 4)?))
                .map(|k| 12 + 16 * k)
                .find(|&at| bytes.get(at..at + 4) == Some(tag))?;
            let start = u32_at(bytes, entry + 8)?;
            bytes.get(start..start.checked_add(u32_at(bytes, entry + 12)?)?)
        };
        let (head, cmap) = (table(b"head")?, table(b"cmap")?);
        // The Unicode subtable for characters up to U+FFFF: platform 3, encoding 1, format 4.
        let subtable = (0..usize::from(u16_at(cmap, 2)?))
            .map(|k| 4 + 8 * k)
            .find(|&at| u16_at(cmap, at) == Some(3) && u16_at(cmap, at + 2) == Some(1))
            .and_then(|at| cmap.get(u32_at(cmap, at + 4)?..))?;
        (u16_at(subtable, 0)? == 4).then_some(())?;
        Some(Self {
            units: f32::from(u16_at(head, 18)?),
            long_offsets: i16_at(head, 50)? == 1,
            metrics: usize::from(u16_at(table(b"hhea")?, 34)?),
            cmap: subtable,
            hmtx: table(b"hmtx")?,
            loca: table(b"loca")?,
            glyf: table(b"glyf")?,
        })
    }

    /// Glyph number of a character; 0, the box for what is missing, if there is none.
    fn glyph(&self, c: char) -> usize {
        u16::try_from(u32::from(c))
            .ok()
            .and_then(|code| self.find(code))
            .unwrap_or(0)
    }

    fn find(&self, code: u16) -> Option<usize> {
        let twice = usize::from(u16_at(self.cmap, 6)?);
        let (ends, starts) = (14, 16 + twice);
        let (deltas, offsets) = (starts + twice, starts + 2 * twice);
        let k = (0..twice)
            .step_by(2)
            .find(|&k| u16_at(self.cmap, ends + k).is_some_and(|end| end >= code))?;
        let start = u16_at(self.cmap, starts + k)?;
        if start > code {
            return None;
        }
        let delta = u16_at(self.cmap, deltas + k)?;
        let offset = usize::from(u16_at(self.cmap, offsets + k)?);
        if offset == 0 {
            return Some(usize::from(code.wrapping_add(delta)));
        }
        match u16_at(
            self.cmap,
            offsets + k + offset + 2 * usize::from(code - start),
        )? {
            0 => None,
            glyph => Some(usize::from(glyph.wrapping_add(delta))),
        }
    }

    fn advance(&self, glyph: usize) -> f32 {
        u16_at(self.hmtx, 4 * glyph.min(self.metrics.saturating_sub(1))).map_or(0.0, f32::from)
    }

    /// Appends the outline of a glyph. Composite glyphs (accents) nest; `depth` bounds that.
    fn outline(&self, glyph: usize, depth: usize, out: &mut Vec<Segment>) {
        if depth > 4 {
            return;
        }
        let offset = |k: usize| {
            if self.long_offsets {
                u32_at(self.loca, 4 * k)
            } else {
                u16_at(self.loca, 2 * k).map(|v| 2 * usize::from(v))
            }
        };
        let (Some(start), Some(end)) = (offset(glyph), offset(glyph + 1)) else {
            return;
        };
        let Some(data) = self.glyf.get(start..end) else {
            return;
        };
        match i16_at(data, 0) {
            Some(contours) if contours >= 0 => {
                let mut pieces = Vec::new();
                if simple(data, contours as usize, &mut pieces).is_some() {
                    out.append(&mut pieces);
                }
            }
            Some(_) => {
                self.composite(data, depth, out);
            }
            None => {}
        }
    }

    fn composite(&self, data: &[u8], depth: usize, out: &mut Vec<Segment>) -> Option<()> {
        let mut at = 10;
        loop {
            let (flags, glyph) = (u16_at(data, at)?, usize::from(u16_at(data, at + 2)?));
            at += 4;
            let (dx, dy) = if flags & 1 != 0 {
                at += 4;
                (
                    f32::from(i16_at(data, at - 4)?),
                    f32::from(i16_at(data, at - 2)?),
                )
            } else {
                at += 2;
                (
                    f32::from(*data.get(at - 2)? as i8),
                    f32::from(*data.get(at - 1)? as i8),
                )
            };
            let mut m = [1.0, 0.0, 0.0, 1.0];
            let mut number = || {
                at += 2;
                i16_at(data, at - 2).map(|v| f32::from(v) / 16384.0)
            };
            if flags & 0x08 != 0 {
                m[0] = number()?;
                m[3] = m[0];
            } else if flags & 0x40 != 0 {
                m[0] = number()?;
                m[3] = number()?;
            } else if flags & 0x80 != 0 {
                m = [number()?, number()?, number()?, number()?];
            }
            let mut part = Vec::new();
            self.outline(glyph, depth + 1, &mut part);
            let place = |p: [f32; 2]| {
                [
                    m[0] * p[0] + m[2] * p[1] + dx,
                    m[1] * p[0] + m[3] * p[1] + dy,
                ]
            };
            out.extend(part.into_iter().map(|segment| match segment {
                Segment::Move(p) => Segment::Move(place(p)),
                Segment::Line(p) => Segment::Line(place(p)),
                Segment::Quad(c, p) => Segment::Quad(place(c), place(p)),
                Segment::Close => Segment::Close,
            }));
            if flags & 0x20 == 0 {
                return Some(());
            }
        }
    }
}

/// Outline of a simple glyph: contours of on-curve points and quadratic control points, two controls in a row having a point halfway between.
fn simple(data: &[u8], contours: usize, out: &mut Vec<Segment>) -> Option<()> {
    if contours == 0 {
        return Some(());
    }
    let ends: Vec<usize> = (0..contours)
        .map(|k| u16_at(data, 10 + 2 * k).map(usize::from))
        .collect::<Option<_>>()?;
    let count = ends.last()? + 1;
    let mut at = 10 + 2 * contours;
    at += 2 + usize::from(u16_at(data, at)?);
    let mut flags = Vec::with_capacity(count);
    while flags.len() < count {
        let flag = *data.get(at)?;
        at += 1;
        let mut repeat = 1;
        if flag & 8 != 0 {
            repeat += usize::from(*data.get(at)?);
            at += 1;
        }
        flags.extend(std::iter::repeat_n(flag, repeat));
    }
    let mut coordinates = |short: u8, same: u8| -> Option<Vec<f32>> {
        let mut value = 0i32;
        let mut list = Vec::with_capacity(count);
        for flag in &flags[..count] {
            if flag & short != 0 {
                let step = i32::from(*data.get(at)?);
                at += 1;
                value += if flag & same != 0 { step } else { -step };
            } else if flag & same == 0 {
                value += i32::from(i16_at(data, at)?);
                at += 2;
            }
            list.push(value as f32);
        }
        Some(list)
    };
    let xs = coordinates(2, 16)?;
    let ys = coordinates(4, 32)?;
    let mut first = 0;
    for end in ends {
        let n = (end + 1).checked_sub(first)?;
        let point = |k: usize| [xs[first + k % n], ys[first + k % n]];
        let on = |k: usize| flags[first + k % n] & 1 != 0;
        let middle = |a: [f32; 2], b: [f32; 2]| [0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1])];
        if n >= 2 {
            // Begin at a point on the curve; if the contour has none, halfway between its first two controls.
            let begin = (0..n).find(|&k| on(k));
            let (start, skip) =
                begin.map_or_else(|| (middle(point(0), point(1)), 0), |k| (point(k), k));
            out.push(Segment::Move(start));
            let mut k = skip + 1;
            while k <= skip + n {
                if on(k) {
                    out.push(Segment::Line(point(k)));
                } else {
                    let next = if on(k + 1) {
                        point(k + 1)
                    } else {
                        middle(point(k), point(k + 1))
                    };
                    out.push(Segment::Quad(point(k), next));
                    k += usize::from(on(k + 1));
                }
                k += 1;
            }
            out.push(Segment::Close);
        }
        first = end + 1;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_what_figures_say() {
        let font = FONT.as_ref().unwrap();
        for c in "AZaz09.,()%=×⁰¹²³⁴⁵⁶⁷⁸⁹⁻−→…₁₂äéßÅЖλ".chars() {
            let glyph = font.glyph(c);
            assert!(glyph > 0, "{c}");
            let mut out = Vec::new();
            font.outline(glyph, 0, &mut out);
            assert!(
                out.len() > 3
                    && matches!(out[0], Segment::Move(_))
                    && out.last() == Some(&Segment::Close),
                "{c}"
            );
        }
        // Characters it lacks get the box, not a crash: a private one, and one beyond U+FFFF.
        assert_eq!(font.glyph('\u{e999}'), 0);
        assert_eq!(font.glyph('😀'), 0);
    }

    #[test]
    fn outlines_stay_inside_their_advance_and_line() {
        for c in "AHMogxyQ|_é".chars() {
            let text = c.to_string();
            let (wide, size) = (width(&text, 100.0), 100.0);
            for segment in outline(&text, size) {
                if let Segment::Line(p) | Segment::Move(p) | Segment::Quad(_, p) = segment {
                    assert!(
                        (-15.0..wide + 15.0).contains(&p[0]) && (-100.0..30.0).contains(&p[1]),
                        "{c} {p:?}"
                    );
                }
            }
        }
        // Published advances of DejaVu Sans, 2048 units per em: digit 1303, space 651.
        assert!((width("0", 2048.0) - 1303.0).abs() < 1e-3);
        assert!((width("0 0", 2048.0) - 3257.0).abs() < 1e-3);
    }

    #[test]
    fn long_text_is_cut_to_the_width() {
        let text = "a very long class name indeed";
        assert_eq!(fit(text, 10.0, 500.0), text);
        let short = fit(text, 10.0, 60.0);
        assert!(short.ends_with('…') && short.len() > 4 && width(&short, 10.0) <= 60.0);
        assert_eq!(fit(text, 10.0, 0.0), "…");
    }
}

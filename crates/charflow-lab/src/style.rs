//! Style of handwriting: how thick the strokes are and how far they lean, in grey images with bright strokes on a dark ground.
//!
//! A map between digits that keeps the style gives an output whose thickness and slant go with those of its input; [`correlation`] says how well.
//! Both are those of Morpho-MNIST (Castro et al., JMLR 2019) in meaning. Rows count downward, columns to the right; `I` is the intensity.
//!
//! - Thickness, in pixels: the ink over the length of the strokes,
//!
//!   ```text
//!   (sum I / max I) / l,    l = A / (4 E[D]).
//!   ```
//!
//!   `A` is the area where `I`, bilinear between pixel centres and zero around the image, exceeds half of its greatest value. `D` is the distance of a point
//!   of this area to its outline, a polygon, and `E` the mean over the area. Across a stroke of width `w` the distance is uniform on `[0, w / 2]`, so its mean is
//!   `w / 4`, and `l` is the length. Morpho-MNIST takes twice the mean distance over the skeleton, which is the same on a long stroke; but skeletons of
//!   small blurred images have spurs. Parts of pixels count in the sum of `I`, where the outline alone would miss up to a sixth of a pixel of the width. The
//!   sum goes over the pixels of the ink and their eight neighbours, so that a faint haze elsewhere does not count. Ends make the thickness smaller (a bar
//!   `w x b` has `w (1 - w / (3 b))`), crossings greater.
//! - Slant: `atan(-mu11 / mu02)` in radians, with `mu11 = sum I (x - mx)(y - my)` and `mu02 = sum I (y - my)^2` over columns `x` and rows `y` around the
//!   centroid `(mx, my)`. It is the horizontal shear that makes columns and rows uncorrelated. Positive leans right, as `/`.

use rayon::prelude::*;

use crate::LabError;
use crate::images::Images;

/// An image without a pixel as bright as this is blank: what is left of it is noise.
const BLANK: f64 = 0.1;
/// Points a pixel and axis at which the distance is taken.
const FINE: usize = 4;

/// Thickness of the strokes in pixels, one an image; `None` for blank ones.
///
/// # Errors
/// Images in colour.
pub fn stroke_thickness(images: &Images) -> Result<Vec<Option<f64>>, LabError> {
    each(images, thickness_of)
}

/// Slant of the strokes in radians, positive to the right, one an image; `None` for blank ones, and where all ink lies in one row.
///
/// # Errors
/// Images in colour.
pub fn slant(images: &Images) -> Result<Vec<Option<f64>>, LabError> {
    each(images, slant_of)
}

/// Pearson's correlation over the pairs of which both are there; `None` if fewer than two are, or one side is constant.
///
/// # Errors
/// Lists of different lengths.
pub fn correlation(a: &[Option<f64>], b: &[Option<f64>]) -> Result<Option<f64>, LabError> {
    if a.len() != b.len() {
        return Err(LabError::Input(format!(
            "a correlation needs pairs, but there are {} and {} numbers",
            a.len(),
            b.len()
        )));
    }
    let pairs: Vec<(f64, f64)> = a.iter().zip(b).filter_map(|(x, y)| x.zip(*y)).collect();
    let n = pairs.len() as f64;
    let (ma, mb) = pairs
        .iter()
        .fold((0.0, 0.0), |m, p| (m.0 + p.0 / n, m.1 + p.1 / n));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        aa += (x - ma) * (x - ma);
        bb += (y - mb) * (y - mb);
        ab += (x - ma) * (y - mb);
    }
    // Rounding of the mean is no spread.
    let spread = |square: f64, mean: f64| square > n * (1e-14 * mean).powi(2);
    Ok((spread(aa, ma) && spread(bb, mb)).then(|| (ab / (aa.sqrt() * bb.sqrt())).clamp(-1.0, 1.0)))
}

fn each(
    images: &Images,
    measure: impl Fn(&Grey) -> Option<f64> + Sync,
) -> Result<Vec<Option<f64>>, LabError> {
    images.check_sides([1, images.height, images.width], "a measure of style")?;
    Ok((0..images.len())
        .into_par_iter()
        .map(|i| {
            let image = Grey {
                width: images.width,
                pixels: images.one(i),
            };
            if image.brightest() < BLANK {
                return None;
            }
            measure(&image)
        })
        .collect())
}

/// One image, `[height, width]`.
struct Grey<'a> {
    width: usize,
    pixels: &'a [f32],
}

impl Grey<'_> {
    fn height(&self) -> usize {
        self.pixels.len() / self.width
    }

    fn brightest(&self) -> f64 {
        f64::from(self.pixels.iter().fold(0.0f32, |m, v| m.max(*v)))
    }

    /// Pixel in row `y` and column `x`; zero outside.
    fn at(&self, x: isize, y: isize) -> f64 {
        if x < 0 || y < 0 || x >= self.width as isize || y >= self.height() as isize {
            return 0.0;
        }
        f64::from(self.pixels[y as usize * self.width + x as usize])
    }

    /// The four pixels around a cell with its upper left corner in the centre of pixel `(x, y)`, going round: clockwise as seen.
    fn corners(&self, x: isize, y: isize) -> [f64; 4] {
        [
            self.at(x, y),
            self.at(x + 1, y),
            self.at(x + 1, y + 1),
            self.at(x, y + 1),
        ]
    }

    /// Sum over the pixels above `level` and those beside them.
    fn ink(&self, level: f64) -> f64 {
        let (w, h) = (self.width as isize, self.height() as isize);
        let beside =
            |x: isize, y: isize| (0..9).any(|k| self.at(x - 1 + k % 3, y - 1 + k / 3) > level);
        (0..w * h)
            .map(|k| (k % w, k / w))
            .filter(|&(x, y)| beside(x, y))
            .map(|(x, y)| self.at(x, y))
            .sum()
    }

    /// All cells, with the ring of zeros around the image.
    fn cells(&self) -> impl Iterator<Item = (isize, isize)> {
        let (w, h) = (self.width as isize, self.height() as isize);
        (-1..h).flat_map(move |y| (-1..w).map(move |x| (x, y)))
    }
}

/// From, to: `[x, y]` in pixels.
type Segment = [[f64; 2]; 2];

/// Where the intensity passes `level`: in each cell of four pixel centres straight pieces between the points where its sides do (marching squares).
fn outline(image: &Grey, level: f64) -> Vec<Segment> {
    let mut segments = Vec::new();
    for (x, y) in image.cells() {
        let values = image.corners(x, y);
        let inside = values.map(|v| v > level);
        let corner = |k: usize| {
            let (dx, dy) = [(0, 0), (1, 0), (1, 1), (0, 1)][k];
            [(x + dx) as f64, (y + dy) as f64]
        };
        let cuts: Vec<[f64; 2]> = (0..4)
            .filter(|&k| inside[k] != inside[(k + 1) % 4])
            .map(|k| {
                let (a, b) = (values[k], values[(k + 1) % 4]);
                let (p, q, t) = (corner(k), corner((k + 1) % 4), (level - a) / (b - a));
                [0, 1].map(|i| p[i] + t * (q[i] - p[i]))
            })
            .collect();
        match cuts[..] {
            [a, b] => segments.push([a, b]),
            // Two opposite corners are ink. If the middle is too, the other two are cut off, else these.
            [a, b, c, d] => {
                let middle = values.iter().sum::<f64>() / 4.0 > level;
                if middle == inside[0] {
                    segments.extend([[a, b], [c, d]]);
                } else {
                    segments.extend([[d, a], [b, c]]);
                }
            }
            _ => {}
        }
    }
    segments
}

fn thickness_of(image: &Grey) -> Option<f64> {
    const STEP: f64 = 1.0 / FINE as f64;
    let brightest = image.brightest();
    let level = 0.5 * brightest;
    let outline = outline(image, level);
    // Over the ink: its area, and the integral of the distance to the outline.
    let (mut area, mut integral) = (0.0, 0.0);
    for (x, y) in image.cells() {
        let [a, b, c, d] = image.corners(x, y);
        if a.max(b).max(c).max(d) <= level {
            continue;
        }
        for k in 0..FINE * FINE {
            let [s, t] = [k % FINE, k / FINE].map(|k| (k as f64 + 0.5) * STEP);
            let value = (1.0 - t) * ((1.0 - s) * a + s * b) + t * ((1.0 - s) * d + s * c);
            let point = [x as f64 + s, y as f64 + t];
            let nearest = outline
                .iter()
                .map(|segment| squared_distance(point, segment))
                .fold(f64::INFINITY, f64::min)
                .sqrt();
            let depth = if value > level { nearest } else { -nearest };
            // How much of the step around the point is ink: a stroke along the rows would else gain or lose a whole row of points.
            let part = (depth + 0.5 * STEP).clamp(0.0, STEP);
            area += part * STEP;
            integral += part * STEP * if part < STEP { 0.5 * part } else { depth };
        }
    }
    let length = area * area / (4.0 * integral);
    (integral > 0.0).then(|| image.ink(level) / brightest / length)
}

/// From a point to the nearest point of a segment.
fn squared_distance(p: [f64; 2], [a, b]: &Segment) -> f64 {
    let (u, v) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let square = u[0] * u[0] + u[1] * u[1];
    let t = if square > 0.0 {
        ((u[0] * v[0] + u[1] * v[1]) / square).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (v[0] - t * u[0]).powi(2) + (v[1] - t * u[1]).powi(2)
}

fn slant_of(image: &Grey) -> Option<f64> {
    let ink = || {
        image.pixels.iter().enumerate().map(|(k, v)| {
            let (x, y) = (k % image.width, k / image.width);
            (x as f64, y as f64, f64::from(*v))
        })
    };
    let mass: f64 = ink().map(|(.., v)| v).sum();
    let (mx, my) = ink().fold((0.0, 0.0), |m, (x, y, v)| {
        (m.0 + x * v / mass, m.1 + y * v / mass)
    });
    let (mu11, mu02) = ink().fold((0.0, 0.0), |m, (x, y, v)| {
        (m.0 + v * (x - mx) * (y - my), m.1 + v * (y - my) * (y - my))
    });
    (mu02 > 1e-9 * mass).then(|| (-mu11 / mu02).atan())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// An image of `width` columns and 28 rows whose pixels are the shares of them that lie in a set of points `(x, y)`.
    fn painted(width: usize, inside: impl Fn(f64, f64) -> bool) -> Images {
        const PARTS: usize = 16;
        let pixels = (0..28 * width)
            .map(|k| {
                let (x, y) = ((k % width) as f64, (k / width) as f64);
                let part = |j: usize| (j as f64 + 0.5) / PARTS as f64 - 0.5;
                let hits = (0..PARTS * PARTS)
                    .filter(|j| inside(x + part(j % PARTS), y + part(j / PARTS)))
                    .count();
                hits as f32 / (PARTS * PARTS) as f32
            })
            .collect();
        Images::new(1, 28, width, pixels).unwrap()
    }

    /// A bar of width `w` and length 20 around `(cx, cy)` whose upper end is sheared by `shear` columns a row.
    fn sheared(w: f64, shear: f64, cx: f64, cy: f64) -> Images {
        painted(32, move |x, y| {
            // Rows count downward: the top, where y < cy, goes right.
            (x - cx + shear * (y - cy)).abs() <= 0.5 * w && (y - cy).abs() <= 10.0
        })
    }

    /// A bar with round ends, thickness `w`, length 18 between the middles of its ends, turned by `angle` to the right.
    fn turned(w: f64, angle: f64, cx: f64, cy: f64) -> Images {
        painted(32, move |x, y| {
            let end = [9.0 * angle.sin(), -9.0 * angle.cos()];
            let segment = [[cx - end[0], cy - end[1]], [cx + end[0], cy + end[1]]];
            squared_distance([x, y], &segment) <= 0.25 * w * w
        })
    }

    fn ring(w: f64) -> Images {
        painted(28, move |x, y| {
            ((x - 13.3).hypot(y - 13.8) - 8.0).abs() <= 0.5 * w
        })
    }

    fn thickness(images: &Images) -> f64 {
        stroke_thickness(images).unwrap()[0].unwrap()
    }

    fn lean(images: &Images) -> f64 {
        slant(images).unwrap()[0].unwrap()
    }

    fn mirrored(images: &Images) -> Images {
        let rows = images.pixels.chunks(images.width);
        let pixels = rows.flat_map(|r| r.iter().rev().copied()).collect();
        Images::new(1, images.height, images.width, pixels).unwrap()
    }

    /// A ring has no ends, so that its thickness is the width itself.
    #[test]
    fn thickness_of_a_ring_is_its_width() {
        for w in [1.7, 2.0, 2.5, 3.0, 4.0, 5.5] {
            let got = thickness(&ring(w));
            assert!((got - w).abs() < 0.03, "{got} instead of {w}");
        }
    }

    #[test]
    fn thickness_of_a_bar_is_its_width_less_what_its_ends_take() {
        for w in [2.0, 2.6, 3.3, 4.0, 5.0] {
            let got = thickness(&sheared(w, 0.0, 15.3, 13.6));
            let want = w * (1.0 - w / 60.0);
            assert!((got - want).abs() < 0.1, "{got} instead of {want}");
        }
    }

    #[test]
    fn thickness_grows_with_the_stroke_at_any_place_and_angle() {
        for angle in [-0.7, 0.0, 0.3, 0.8, 1.5] {
            let mut last = 0.0;
            for k in 0..16 {
                let w = 1.6 + 0.25 * f64::from(k);
                let got = thickness(&turned(w, angle, 15.2, 13.7));
                assert!(got > last + 0.1, "{w} {angle}: {got} after {last}");
                last = got;
            }
        }
    }

    #[test]
    fn thickness_is_nearly_blind_to_slant_and_place_and_blind_to_contrast() {
        for w in [2.0, 3.0, 4.5] {
            let upright = thickness(&turned(w, 0.0, 15.0, 13.5));
            for (angle, cx, cy) in [
                (0.2, 15.0, 13.5),
                (-0.5, 15.0, 13.5),
                (0.785, 15.0, 13.5),
                (1.2, 15.0, 13.5),
                (0.0, 15.5, 13.5),
                (0.0, 15.25, 13.1),
                (0.0, 18.0, 12.0),
            ] {
                let got = thickness(&turned(w, angle, cx, cy));
                assert!(
                    (got / upright - 1.0).abs() < 0.03,
                    "{w} {angle}: {got}, {upright}"
                );
            }
        }
        let mut image = turned(3.0, 0.3, 15.0, 13.5);
        let before = thickness(&image);
        image.pixels.iter_mut().for_each(|v| *v *= 0.5);
        assert!((thickness(&image) - before).abs() < 1e-6);
        // A faint haze over the ground, as decoders leave it.
        image.pixels.iter_mut().for_each(|v| *v = v.max(0.015));
        assert!((thickness(&image) - before).abs() < 0.1);
    }

    /// Ink up to the border: the outline closes around the image, half a pixel beyond the outermost centres.
    #[test]
    fn ink_may_touch_the_border() {
        let full = Images::new(1, 28, 28, vec![1.0; 784]).unwrap();
        // The roof over a square of side 28: its mean height is a sixth of the side.
        let got = thickness(&full);
        assert!((got - 4.0 * 28.0 / 6.0).abs() < 0.1, "{got}");
    }

    /// On noise, where every kind of cell occurs: the outline is closed, and lies between points of ink and points of none.
    #[test]
    fn the_outline_separates_ink_from_ground() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut saddles = [0; 2];
        for _ in 0..20 {
            let pixels: Vec<f32> = (0..30).map(|_| rng.random_range(0.0..1.0)).collect();
            let image = Grey {
                width: 6,
                pixels: &pixels,
            };
            let segments = outline(&image, 0.5);
            for (x, y) in image.cells() {
                let corners = image.corners(x, y);
                let ink = corners.map(|v| v > 0.5);
                if !(ink[0] == ink[2] && ink[1] == ink[3] && ink[0] != ink[1]) {
                    continue;
                }
                // From a corner to the middle the outline is crossed where one is ink and the other is not.
                let middle = corners.iter().sum::<f64>() / 4.0 > 0.5;
                saddles[usize::from(middle)] += 1;
                for (k, d) in [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
                    .iter()
                    .enumerate()
                {
                    let way = (
                        [x as f64 + d[0], y as f64 + d[1]],
                        [x as f64 + 0.5, y as f64 + 0.5],
                    );
                    let crossed = segments
                        .iter()
                        .filter(|s| crate::metrics::crossings(&[way, (s[0], s[1])]) > 0)
                        .count();
                    assert_eq!(crossed, usize::from(middle != ink[k]));
                }
            }
            // Closed: each end is shared by two pieces.
            for [p, q] in &segments {
                for end in [p, q] {
                    let same = |o: &[f64; 2]| (o[0] - end[0]).hypot(o[1] - end[1]) < 1e-12;
                    let ends = segments.iter().flatten().filter(|o| same(o)).count();
                    assert_eq!(ends, 2);
                }
            }
        }
        assert!(saddles[0] > 5 && saddles[1] > 5, "{saddles:?}");
    }

    #[test]
    fn slant_is_the_shear_and_positive_to_the_right() {
        for shear in [-0.6, -0.25, 0.0, 0.1, 0.4, 0.8] {
            let image = sheared(3.0, shear, 15.0, 13.5);
            let got = lean(&image);
            assert!((got - f64::atan(shear)).abs() < 2e-3, "{got} for {shear}");
            assert!((lean(&mirrored(&image)) + got).abs() < 1e-9);
            let moved = lean(&sheared(3.0, shear, 17.0, 12.5));
            assert!((moved - got).abs() < 1e-9, "{moved}");
        }
        // "/" in words: the upper row has its ink on the right.
        let slash = Images::new(1, 2, 2, vec![0.0, 1.0, 1.0, 0.0]).unwrap();
        assert!((lean(&slash) - std::f64::consts::FRAC_PI_4).abs() < 1e-12);
        // Rows and columns are not mixed up: three rows of two columns, one column a row and a half.
        let tall = Images::new(1, 3, 2, vec![0.0, 1.0, 0.0, 0.0, 1.0, 0.0]).unwrap();
        assert!((lean(&tall) - 0.5f64.atan()).abs() < 1e-12);
    }

    #[test]
    fn slant_does_not_see_thickness_or_contrast() {
        let of = |w: f64| lean(&sheared(w, 0.3, 15.0, 13.5));
        assert!((of(2.0) - of(5.0)).abs() < 3e-3);
        let mut image = sheared(3.0, 0.3, 15.0, 13.5);
        let before = lean(&image);
        image.pixels.iter_mut().for_each(|v| *v *= 0.4);
        assert!((lean(&image) - before).abs() < 1e-6);
    }

    #[test]
    fn blank_flat_and_coloured_images() {
        let noise = (0..28 * 28).map(|k| 0.09 * (k % 7) as f32 / 6.0);
        let blank: Vec<f32> = vec![0.0; 784].into_iter().chain(noise).collect();
        let blank = Images::new(1, 28, 28, blank).unwrap();
        assert_eq!(stroke_thickness(&blank).unwrap(), [None, None]);
        assert_eq!(slant(&blank).unwrap(), [None, None]);
        // One bright pixel, one row.
        for pixels in [vec![0.0, 1.0, 0.0, 0.0], vec![1.0, 1.0, 0.0, 0.0]] {
            let image = Images::new(1, 2, 2, pixels).unwrap();
            assert_eq!(slant(&image).unwrap(), [None]);
            assert!(thickness(&image) > 0.0);
        }
        let colour = Images::new(3, 2, 2, vec![0.5; 12]).unwrap();
        assert!(
            slant(&colour)
                .unwrap_err()
                .to_string()
                .contains("grey; these are 2 x 2, colour")
        );
        assert!(stroke_thickness(&colour).is_err());
    }

    #[test]
    fn each_image_has_its_own_number() {
        let (a, b) = (
            sheared(2.0, 0.3, 15.0, 13.5),
            sheared(4.0, -0.3, 15.0, 13.5),
        );
        let both = Images::new(1, 28, 32, [a.pixels.clone(), b.pixels.clone()].concat()).unwrap();
        let (t, s) = (stroke_thickness(&both).unwrap(), slant(&both).unwrap());
        assert_eq!(t, [Some(thickness(&a)), Some(thickness(&b))]);
        assert_eq!(s, [Some(lean(&a)), Some(lean(&b))]);
    }

    #[test]
    fn correlation_is_pearsons_over_whole_pairs() {
        let some = |v: &[f64]| v.iter().map(|v| Some(*v)).collect::<Vec<_>>();
        let a = some(&[1.0, 2.0, 3.0, 4.0]);
        let close = |b: &[Option<f64>], want: f64| {
            let got = correlation(&a, b).unwrap().unwrap();
            assert!((got - want).abs() < 1e-12, "{got} instead of {want}");
        };
        close(&some(&[5.0, 7.0, 9.0, 11.0]), 1.0);
        close(&some(&[1e6, 1e6 - 1.0, 1e6 - 2.0, 1e6 - 3.0]), -1.0);
        // By hand: deviations (-1.5, -0.5, 0.5, 1.5) and (-1, 1, -1, 1).
        close(&some(&[0.0, 2.0, 0.0, 2.0]), 2.0 / 20f64.sqrt());
        // The third pair is left out on both sides: (1, 3), (2, 1), (4, 5).
        let gap = [Some(3.0), Some(1.0), None, Some(5.0)];
        let whole = correlation(&some(&[1.0, 2.0, 4.0]), &some(&[3.0, 1.0, 5.0])).unwrap();
        assert_eq!(correlation(&a, &gap).unwrap(), whole);
        assert_eq!(correlation(&gap, &a).unwrap(), whole);
        for b in [
            some(&[0.1; 4]),
            vec![None; 4],
            vec![Some(1.0), None, None, None],
        ] {
            assert_eq!(correlation(&a, &b).unwrap(), None);
        }
        assert!(correlation(&a, &[None]).is_err());
    }
}

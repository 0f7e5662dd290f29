//! A look whose changes vary as slowly as the picture lets them.
//!
//! ```text
//! c' = c + G(T(c) - c)        G the guided filter, the picture its own guide
//! ```
//!
//! A map of colours stretches what it must, and with it the noise of a sensor and the blocks of a compressed file. What is filtered is the change, not the picture, so
//! details stay: Rabin, Delon and Gousseau, "Removing artefacts from color and contrast modifications", IEEE Transactions on Image Processing 20 (2011). The filter is the guided filter of He, Sun
//! and Tang, "Guided image filtering", IEEE PAMI 35 (2013): in each window of radius `r` the change is fitted by an affine function of the colour, ridge `e`,
//!
//! ```text
//! a = (Cov(c, c) + e)^-1 Cov(c, v),    b = mean(v) - a' mean(c),    G(v) = mean(a)' c + mean(b)
//! ```
//!
//! so differences of colour below `sqrt(e)` all change alike, and edges, which are above, stay edges.

use super::CHANNELS;
use super::picture::{Level, Recolored, colors, outcome};
use crate::LabError;
use charflow::map::ForwardMap;
use rayon::prelude::*;

/// The ridge: differences of 2.5 of 255 levels are noise.
const RIDGE: f64 = 1e-4;
/// Rows that a thread works on at once, beside those around them; fewer of wide pictures, since a pixel takes some 250 bytes while it is worked on.
const STRIP: usize = 96;
/// The least.
const LOW_STRIP: usize = 32;
/// Cov(c, c): the upper triangle of a symmetric matrix.
const PAIRS: [(usize, usize); 6] = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];

/// A radius that suits a picture of so many pixels: the larger the picture, the larger its smooth parts; 16 covers the blocks of a compressed file.
#[must_use]
pub fn radius(pixels: usize) -> usize {
    ((pixels as f64).sqrt() / 80.0).round().clamp(3.0, 16.0) as usize
}

/// As [`recolor`](super::recolor) without grain, the changes smoothed over windows of `radius` pixels; `width` is that of a row.
///
/// # Errors
/// Samples that are not whole rows of pixels; what `look` says.
pub fn recolor_smoothly<S: Level>(
    samples: &mut [S],
    width: usize,
    channels: usize,
    look: &(dyn ForwardMap + Sync),
    radius: usize,
) -> Result<Recolored, LabError> {
    let row = width * channels;
    if !(CHANNELS..=CHANNELS + 1).contains(&channels)
        || row == 0
        || !samples.len().is_multiple_of(row)
    {
        return Err(LabError::Input(format!(
            "{} samples are not whole rows of {width} pixels of {channels} channels; expected 3 or 4 channels",
            samples.len()
        )));
    }
    let height = samples.len() / row;
    let strip = ((1 << 20) / width).clamp(LOW_STRIP, STRIP);
    let old: &[S] = samples;
    // Each strip is computed from the picture as it was, with the rows around it that its windows of windows touch.
    let strips: Result<Vec<Strip<S>>, LabError> = (0..height.div_ceil(strip))
        .into_par_iter()
        .map(|k| {
            let rows = k * strip..((k + 1) * strip).min(height);
            let around = rows.start.saturating_sub(2 * radius)..(rows.end + 2 * radius).min(height);
            let part = &old[around.start * row..around.end * row];
            let count = part.len() / channels;
            let c = colors(part, channels, 0..count, None);
            let new = look.forward(&c)?;
            let v: Vec<f64> = new.iter().zip(&c).map(|(new, c)| new - c).collect();
            let smooth = guided(&c, &v, width, radius);
            let inside = (rows.start - around.start) * width..(rows.end - around.start) * width;
            let mut out = part[inside.start * channels..inside.end * channels].to_vec();
            let new: Vec<f64> = inside
                .flat_map(|i| (0..CHANNELS).map(move |k| CHANNELS * i + k))
                .map(|i| c[i] + smooth[i])
                .collect();
            let sums = outcome(&mut out, channels, &new, None);
            Ok((out, sums))
        })
        .collect();
    let strips = strips?;
    let mut sums = Vec::new();
    for (place, (strip, part)) in samples.chunks_mut(strip * row).zip(strips) {
        place.copy_from_slice(&strip);
        sums.push(part);
    }
    Ok(Recolored::of(sums))
}

/// New samples, and what [`outcome`] says of them.
type Strip<S> = (Vec<S>, [f64; 4]);

/// The guided filter of `v: [h, w, 3]` by the colours `c: [h, w, 3]`.
fn guided(c: &[f64], v: &[f64], width: usize, radius: usize) -> Vec<f64> {
    let n = c.len() / CHANNELS;
    let mean = |f: &dyn Fn(usize) -> f64| {
        let mut plane: Vec<f64> = (0..n).map(f).collect();
        window_means(&mut plane, width, radius);
        plane
    };
    let mean_of = |x: &[f64]| -> [Vec<f64>; CHANNELS] {
        std::array::from_fn(|k| mean(&|i| x[CHANNELS * i + k]))
    };
    let (mc, mv) = (mean_of(c), mean_of(v));
    // (Cov(c, c) + e)^-1 of each window, in the place of the mean squares; one for all channels.
    let mut inverses: [Vec<f64>; 6] =
        PAIRS.map(|(j, k)| mean(&|i| c[CHANNELS * i + j] * c[CHANNELS * i + k]));
    for i in 0..n {
        let s = std::array::from_fn(|p| {
            let (j, k) = PAIRS[p];
            inverses[p][i] - mc[j][i] * mc[k][i] + if j == k { RIDGE } else { 0.0 }
        });
        for (plane, v) in inverses.iter_mut().zip(inverse(&s)) {
            plane[i] = v;
        }
    }
    let mut out = vec![0.0; CHANNELS * n];
    for k in 0..CHANNELS {
        let products: [Vec<f64>; CHANNELS] =
            std::array::from_fn(|j| mean(&|i| c[CHANNELS * i + j] * v[CHANNELS * i + k]));
        // The affine functions of all windows, then their means over the windows that a pixel is in.
        let mut affine: [Vec<f64>; CHANNELS + 1] = std::array::from_fn(|_| vec![0.0; n]);
        for i in 0..n {
            let right = std::array::from_fn(|j| products[j][i] - mc[j][i] * mv[k][i]);
            let a = times(&inverses.each_ref().map(|plane| plane[i]), right);
            for j in 0..CHANNELS {
                affine[j][i] = a[j];
            }
            affine[CHANNELS][i] = mv[k][i] - (0..CHANNELS).map(|j| a[j] * mc[j][i]).sum::<f64>();
        }
        for plane in &mut affine {
            window_means(plane, width, radius);
        }
        for i in 0..n {
            let linear: f64 = (0..CHANNELS)
                .map(|j| affine[j][i] * c[CHANNELS * i + j])
                .sum();
            out[CHANNELS * i + k] = linear + affine[CHANNELS][i];
        }
    }
    out
}

/// The inverse of a symmetric positive definite matrix, upper triangles, by its adjugate: the ridge keeps the determinant from zero.
fn inverse(s: &[f64; 6]) -> [f64; 6] {
    let [xx, xy, xz, yy, yz, zz] = *s;
    let (p, q, r) = (yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy);
    let (t, u, w) = (xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy);
    let determinant = xx * p + xy * q + xz * r;
    [p, q, r, t, u, w].map(|v| v / determinant)
}

/// `s b` for a symmetric matrix, its upper triangle given.
fn times(s: &[f64; 6], b: [f64; CHANNELS]) -> [f64; CHANNELS] {
    let [xx, xy, xz, yy, yz, zz] = *s;
    [
        xx * b[0] + xy * b[1] + xz * b[2],
        xy * b[0] + yy * b[1] + yz * b[2],
        xz * b[0] + yz * b[1] + zz * b[2],
    ]
}

/// Each value replaced by the mean over its square window, cut at the sides.
fn window_means(plane: &mut [f64], width: usize, radius: usize) {
    let height = plane.len() / width;
    let mut line = Vec::new();
    for row in plane.chunks_exact_mut(width) {
        running_means(row, 1, width, radius, &mut line);
    }
    for x in 0..width {
        running_means(&mut plane[x..], width, height, radius, &mut line);
    }
}

/// The means over windows of `count` values that stand `stride` apart.
fn running_means(
    values: &mut [f64],
    stride: usize,
    count: usize,
    radius: usize,
    line: &mut Vec<f64>,
) {
    line.clear();
    line.extend((0..count).map(|i| values[i * stride]));
    let mut sum: f64 = line[..radius.min(count)].iter().sum();
    for i in 0..count {
        if i + radius < count {
            sum += line[i + radius];
        }
        if i > radius {
            sum -= line[i - radius - 1];
        }
        let inside = (i + radius + 1).min(count) - i.saturating_sub(radius);
        values[i * stride] = sum / inside as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::testing::Formula;
    use crate::color::{grain, recolor};
    use charflow::map::IdentityMap;

    /// Window means against the definition, on windows larger than the picture too.
    #[test]
    fn window_means_are_means_over_windows() {
        let (w, h) = (7, 5);
        let plane: Vec<f64> = (0..w * h).map(|i| ((i * 37) % 23) as f64).collect();
        for radius in [0, 1, 2, 9] {
            let mut out = plane.clone();
            window_means(&mut out, w, radius);
            for y in 0..h {
                for x in 0..w {
                    let (mut sum, mut count) = (0.0, 0.0);
                    for v in y.saturating_sub(radius)..(y + radius + 1).min(h) {
                        for u in x.saturating_sub(radius)..(x + radius + 1).min(w) {
                            sum += plane[v * w + u];
                            count += 1.0;
                        }
                    }
                    assert!((out[y * w + x] - sum / count).abs() < 1e-12, "{radius}");
                }
            }
        }
    }

    #[test]
    fn the_small_system_is_solved() {
        let s = [2.0, 0.3, -0.2, 1.5, 0.4, 0.9];
        let x = times(&inverse(&s), [1.0, -2.0, 0.5]);
        let rows = [[s[0], s[1], s[2]], [s[1], s[3], s[4]], [s[2], s[4], s[5]]];
        for (row, b) in rows.iter().zip([1.0, -2.0, 0.5]) {
            let found: f64 = row.iter().zip(x).map(|(r, x)| r * x).sum();
            assert!((found - b).abs() < 1e-12);
        }
    }

    /// A picture with edges and noise, wider than a strip is high.
    fn picture(width: usize, height: usize, noise: f64) -> Vec<u8> {
        (0..width * height)
            .flat_map(|i| {
                let (x, y) = (i % width, i / width);
                let base = if x < width / 2 {
                    [90.0, 120.0, 160.0]
                } else {
                    [200.0, 60.0, 40.0 + 0.2 * y as f64]
                };
                let spread = grain(1, i as u64);
                std::array::from_fn::<u8, 3, _>(|k| {
                    (base[k] + 2.0 * noise * spread[k]).round() as u8
                })
            })
            .collect()
    }

    #[test]
    fn a_change_that_is_affine_in_the_color_passes_and_strips_do_not_show() {
        let (w, h) = (40, 3 * STRIP / 2 + 7);
        let look = Formula(|[r, g, b]| [0.2 + 0.7 * r, 0.9 * g + 0.1 * b, 0.3 + 0.5 * b - 0.1 * r]);
        let (mut smooth, mut plain) = (picture(w, h, 30.0), picture(w, h, 30.0));
        let done = recolor_smoothly(&mut smooth, w, 3, &look, 4).unwrap();
        recolor(&mut plain, 3, &look, None).unwrap();
        // The ridge takes a little of the slope where the picture varies little.
        for (a, b) in smooth.iter().zip(&plain) {
            assert!(a.abs_diff(*b) <= 3, "{a} {b}");
        }
        assert!(done.moved > 0.05 && done.clipped == 0.0);
        let mut same = picture(w, h, 30.0);
        recolor_smoothly(&mut same, w, 3, &IdentityMap::new(3), 4).unwrap();
        assert_eq!(same, picture(w, h, 30.0));
    }

    /// A look that no affine function gives: strips with the rows around them against the whole picture at once, to the level.
    #[test]
    fn strips_are_parts_of_the_whole() {
        let (w, h, radius) = (23, 2 * STRIP + 31, 5);
        let look = Formula(|[r, g, b]| [r * r, (6.0 * g).sin().abs(), 1.0 - r * b]);
        let before = picture(w, h, 20.0);
        let mut strips = before.clone();
        recolor_smoothly(&mut strips, w, 3, &look, radius).unwrap();
        let c = colors(&before, 3, 0..w * h, None);
        let v: Vec<f64> = look
            .forward(&c)
            .unwrap()
            .iter()
            .zip(&c)
            .map(|(y, c)| y - c)
            .collect();
        let whole: Vec<f64> = guided(&c, &v, w, radius)
            .iter()
            .zip(&c)
            .map(|(g, c)| c + g)
            .collect();
        let mut wanted = before.clone();
        outcome(&mut wanted, 3, &whole, None);
        // Running sums start elsewhere: a value on the edge of two levels may fall to either side.
        let other = strips.iter().zip(&wanted).filter(|(a, b)| a != b).count();
        assert!(other < 5, "{other}");
    }

    /// Noise of a level, stretched eightfold by the look: the smooth one leaves it as it was, and keeps the edge.
    #[test]
    fn noise_is_not_stretched_and_edges_stay() {
        let (w, h) = (64, 64);
        let look = Formula(|c| c.map(|v| (v + 0.03 * (v * 255.0 * 1.5).sin()).clamp(0.0, 1.0)));
        let spread = |s: &[u8]| {
            let left: Vec<f64> = (0..w * h)
                .filter(|i| i % w < w / 2 - 12)
                .map(|i| f64::from(s[3 * i]))
                .collect();
            let mean = left.iter().sum::<f64>() / left.len() as f64;
            (left.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / left.len() as f64).sqrt()
        };
        let before = picture(w, h, 1.5);
        let (mut smooth, mut plain) = (before.clone(), before.clone());
        recolor_smoothly(&mut smooth, w, 3, &look, 6).unwrap();
        recolor(&mut plain, 3, &look, None).unwrap();
        assert!(spread(&plain) > 3.0 * spread(&before));
        assert!(
            spread(&smooth) < 1.3 * spread(&before),
            "{} {}",
            spread(&smooth),
            spread(&before)
        );
        let edge = |s: &[u8]| i32::from(s[3 * (32 * w + 34)]) - i32::from(s[3 * (32 * w + 29)]);
        assert!(edge(&smooth) > 90, "{}", edge(&smooth));
    }

    #[test]
    fn tiny_pictures_and_what_makes_no_rows() {
        let mut one = vec![10u8, 200, 30, 128];
        recolor_smoothly(&mut one, 1, 4, &Formula(|c| c.map(|v| 1.0 - v)), 16).unwrap();
        assert_eq!(one, [245, 55, 225, 128]);
        assert!(recolor_smoothly(&mut one, 3, 4, &IdentityMap::new(3), 4).is_err());
        assert!(recolor_smoothly(&mut one, 0, 4, &IdentityMap::new(3), 4).is_err());
        assert_eq!([radius(1), radius(1 << 16), radius(24_000_000)], [3, 3, 16]);
    }
}

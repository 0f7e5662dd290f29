//! Stored samples to colours, and back through a look.

use super::CHANNELS;
use crate::LabError;
use charflow::map::ForwardMap;
use rayon::prelude::*;

/// A stored sample: 8 or 16 bits.
pub trait Level: Copy + Send + Sync {
    /// The largest level.
    const MOST: f64;
    /// The level as a number.
    fn value(self) -> f64;
    /// The level nearest to `v`, with `v` in levels.
    fn nearest(v: f64) -> Self;
}

impl Level for u8 {
    const MOST: f64 = 255.0;
    fn value(self) -> f64 {
        f64::from(self)
    }
    fn nearest(v: f64) -> Self {
        // A conversion to an integer saturates at the ends.
        (v + 0.5) as u8
    }
}

impl Level for u16 {
    const MOST: f64 = 65535.0;
    fn value(self) -> f64 {
        f64::from(self)
    }
    fn nearest(v: f64) -> Self {
        (v + 0.5) as u16
    }
}

/// Three numbers uniform in `[-1/2, 1/2)`, in levels, for the pixel of number `pixel`: the same for the same seed, whatever thread asks.
///
/// splitmix64 (Steele, Lea, Flood 2014), 21 bits a channel.
#[must_use]
pub fn grain(seed: u64, pixel: u64) -> [f64; CHANNELS] {
    let mut z = seed
        .wrapping_mul(0xd134_2543_de82_ef95)
        .wrapping_add(pixel.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    let bits = 21;
    std::array::from_fn(|k| {
        let part = (z >> (bits * k)) & ((1 << bits) - 1);
        part as f64 / (1u64 << bits) as f64 - 0.5
    })
}

/// The colours `[n, 3]` of pixels, in `[0, 1]`, each spread over its cell if `seed` is given; `channels` is 3, or 4 with opacity. `pixels` are their numbers in the picture.
#[must_use]
pub fn colors<S: Level>(
    samples: &[S],
    channels: usize,
    pixels: impl Iterator<Item = usize>,
    seed: Option<u64>,
) -> Vec<f64> {
    let mut out = Vec::with_capacity(CHANNELS * pixels.size_hint().0);
    for pixel in pixels {
        let spread = seed.map_or([0.0; CHANNELS], |seed| grain(seed, pixel as u64));
        let sample = &samples[pixel * channels..][..CHANNELS];
        let color: [f64; CHANNELS] =
            std::array::from_fn(|k| (sample[k].value() + spread[k]) / S::MOST);
        out.extend_from_slice(&color);
    }
    out
}

/// What became of a picture's pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recolored {
    /// Share of the pixels whose new colour was outside of the gamut, by more than half a level, and was clipped.
    pub clipped: f64,
    /// Mean distance between old and new stored colour, `E |c' - c|`, colours in `[0, 1]^3`.
    pub moved: f64,
    /// Share of the pixels whose grain the look stretched beyond [`MOST_GRAIN`] levels and which was cut there: at least that share is stretched more than fourfold, so that noise and the blocks of a compressed
    /// file show. 0 where there was no grain.
    pub stretched: f64,
}

impl Recolored {
    /// From the sums of the parts of a picture.
    pub(super) fn of(parts: Vec<[f64; 4]>) -> Self {
        let mut sums = [0.0; 4];
        for part in parts {
            for (sum, v) in sums.iter_mut().zip(part) {
                *sum += v;
            }
        }
        let share = |v: f64| if sums[0] > 0.0 { v / sums[0] } else { 0.0 };
        Recolored {
            clipped: share(sums[1]),
            moved: share(sums[2]),
            stretched: share(sums[3]),
        }
    }
}

/// Stores new colours `[n, 3]` in the pixels that can be seen; returns their number, how many were clipped, the sum of the distances, and how many of them `stretched` names.
pub(super) fn outcome<S: Level>(
    samples: &mut [S],
    channels: usize,
    new: &[f64],
    stretched: Option<&[bool]>,
) -> [f64; 4] {
    let outside = 0.5 / S::MOST;
    let mut sums = [0.0; 4];
    for (i, (pixel, c)) in samples
        .chunks_exact_mut(channels)
        .zip(new.as_chunks::<CHANNELS>().0)
        .enumerate()
    {
        if channels > CHANNELS && pixel[CHANNELS].value() == 0.0 {
            continue;
        }
        let mut square = 0.0;
        let mut out = false;
        for k in 0..CHANNELS {
            let level = S::nearest(S::MOST * c[k]);
            square += (level.value() - pixel[k].value()).powi(2);
            out |= !(-outside..=1.0 + outside).contains(&c[k]);
            pixel[k] = level;
        }
        sums[0] += 1.0;
        sums[1] += f64::from(u8::from(out));
        sums[2] += square.sqrt() / S::MOST;
        sums[3] += f64::from(u8::from(stretched.is_some_and(|s| s[i])));
    }
    sums
}

/// The most by which spreading a pixel over its cell may change its new colour, in levels: half a level stretched fourfold.
pub const MOST_GRAIN: f64 = 2.0;

/// Pixels that a thread works on at once: a look of a network wants many, a cache few.
const BLOCK: usize = 1 << 12;

/// Replaces the colours of a picture, `samples` row-major and interleaved, by their images under `look`, in place.
///
/// Each pixel is spread over its cell by [`grain`] first if `seed` is given: levels that are stretched apart, up to fourfold, then leave no gaps, so no bands. What the
/// spreading changes is kept within [`MOST_GRAIN`] levels, so that no stretch makes a plain surface noisy. Opacity, the fourth of four `channels`, is kept, and pixels that are wholly
/// transparent are left alone and not counted.
///
/// # Errors
/// Samples that are not whole pixels; what `look` says.
pub fn recolor<S: Level>(
    samples: &mut [S],
    channels: usize,
    look: &(dyn ForwardMap + Sync),
    seed: Option<u64>,
) -> Result<Recolored, LabError> {
    if !(CHANNELS..=CHANNELS + 1).contains(&channels) || !samples.len().is_multiple_of(channels) {
        return Err(LabError::Input(format!(
            "{} samples are not whole pixels of {channels} channels; expected 3 or 4 channels",
            samples.len()
        )));
    }
    let parts: Result<Vec<[f64; 4]>, LabError> = samples
        .par_chunks_mut(BLOCK * channels)
        .enumerate()
        .map(|(block, samples)| {
            let count = samples.len() / channels;
            let mut old = colors(samples, channels, 0..count, None);
            let mut new = look.forward(&old)?;
            let mut stretched = Vec::new();
            if let Some(seed) = seed {
                for (i, c) in old.as_chunks_mut::<CHANNELS>().0.iter_mut().enumerate() {
                    let spread = grain(seed, (block * BLOCK + i) as u64);
                    for k in 0..CHANNELS {
                        c[k] += spread[k] / S::MOST;
                    }
                }
                let most = MOST_GRAIN / S::MOST;
                stretched = vec![false; count];
                for (i, (c, spread)) in new.iter_mut().zip(look.forward(&old)?).enumerate() {
                    let change = spread - *c;
                    stretched[i / CHANNELS] |= change.abs() > most;
                    *c += change.clamp(-most, most);
                }
            }
            let stretched = seed.map(|_| &stretched[..]);
            Ok(outcome(samples, channels, &new, stretched))
        })
        .collect();
    Ok(Recolored::of(parts?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::testing::Formula;
    use charflow::map::IdentityMap;

    #[test]
    fn grain_is_uniform_and_repeats() {
        let n = 20_000;
        let all: Vec<[f64; 3]> = (0..n).map(|i| grain(3, i)).collect();
        for k in 0..CHANNELS {
            let mean = all.iter().map(|g| g[k]).sum::<f64>() / n as f64;
            let square = all.iter().map(|g| g[k] * g[k]).sum::<f64>() / n as f64;
            let beside = all.iter().map(|g| g[k] * g[(k + 1) % 3]).sum::<f64>() / n as f64;
            let next = all.windows(2).map(|w| w[0][k] * w[1][k]).sum::<f64>() / n as f64;
            assert!(mean.abs() < 0.01, "{mean}");
            assert!((square - 1.0 / 12.0).abs() < 0.002, "{square}");
            assert!(
                beside.abs() < 0.003 && next.abs() < 0.003,
                "{beside} {next}"
            );
        }
        assert_eq!(grain(3, 7), all[7]);
        assert_ne!(grain(4, 7), all[7]);
    }

    /// Within its cell a pixel keeps its level: the identity changes no picture, with grain or without.
    #[test]
    fn the_identity_changes_nothing() {
        let samples: Vec<u8> = (0..256 * 3 * 40).map(|i| (i * 7 % 256) as u8).collect();
        for seed in [None, Some(1)] {
            let mut out = samples.clone();
            let done = recolor(&mut out, 3, &IdentityMap::new(3), seed).unwrap();
            assert_eq!(out, samples);
            assert_eq!(done.moved, 0.0);
            assert_eq!(done.clipped, 0.0);
        }
        let deep: Vec<u16> = (0..3 * 5000u32).map(|i| (i * 13) as u16).collect();
        let mut out = deep.clone();
        recolor(&mut out, 3, &IdentityMap::new(3), Some(2)).unwrap();
        assert_eq!(out, deep);
    }

    /// Levels stretched fourfold: without grain three of four levels are never used, with it all are used alike.
    #[test]
    fn grain_leaves_no_gaps() {
        let samples: Vec<u8> = (0..3 * 60_000).map(|i| 96 + (i / 3 % 60) as u8).collect();
        let stretch = Formula(|c| c.map(|v| 4.0 * (v - 96.0 / 255.0)));
        let used = |seed| {
            let mut out = samples.clone();
            recolor(&mut out, 3, &stretch, seed).unwrap();
            let mut counts = [0usize; 256];
            out.iter().for_each(|v| counts[usize::from(*v)] += 1);
            counts
        };
        assert_eq!(used(None).iter().filter(|c| **c > 0).count(), 60);
        let counts = used(Some(5));
        // 3 * 60,000 samples over 240 levels: 750 each.
        assert!(counts[4..230].iter().all(|c| (600..900).contains(c)));
    }

    #[test]
    fn a_plain_surface_does_not_become_noise() {
        let mut samples = vec![128u8; 3 * 1000];
        let stretch = Formula(|c| c.map(|v| 100.0 * (v - 128.0 / 255.0) + 0.5));
        let done = recolor(&mut samples, 3, &stretch, Some(9)).unwrap();
        assert!(done.stretched > 0.99, "{done:?}");
        assert!(samples.iter().all(|v| (125..=130).contains(v)));
        assert!(samples.iter().any(|v| *v != 128));
    }

    #[test]
    fn what_leaves_the_gamut_is_clipped_and_counted() {
        let mut samples = vec![0u8, 100, 200, 255, 50, 250, 10, 20, 30, 0];
        samples.truncate(9);
        let done = recolor(
            &mut samples,
            3,
            &Formula(|c| c.map(|v| v + 20.0 / 255.0)),
            None,
        )
        .unwrap();
        assert_eq!(samples, [20, 120, 220, 255, 70, 255, 30, 40, 50]);
        assert!((done.clipped - 1.0 / 3.0).abs() < 1e-12);
        let moved = (2.0 * (3.0f64 * 400.0).sqrt() + (400.0f64 + 25.0).sqrt()) / 3.0 / 255.0;
        assert!((done.moved - moved).abs() < 1e-12);
    }

    #[test]
    fn opacity_stays_and_what_cannot_be_seen_is_left_alone() {
        let mut samples = vec![10u8, 20, 30, 255, 10, 20, 30, 0, 10, 20, 30, 7];
        let done = recolor(
            &mut samples,
            4,
            &Formula(|c| c.map(|v| v + 1.0 / 255.0)),
            None,
        )
        .unwrap();
        assert_eq!(samples, [11, 21, 31, 255, 10, 20, 30, 0, 11, 21, 31, 7]);
        assert!((done.moved - 3f64.sqrt() / 255.0).abs() < 1e-12);
        assert!(recolor(&mut samples, 5, &IdentityMap::new(3), None).is_err());
        assert!(recolor(&mut samples[..7], 4, &IdentityMap::new(3), None).is_err());
        let mut clear = vec![1u8, 2, 3, 0];
        assert_eq!(
            recolor(&mut clear, 4, &Formula(|_| [9.0; 3]), None).unwrap(),
            Recolored {
                clipped: 0.0,
                moved: 0.0,
                stretched: 0.0
            }
        );
    }

    #[test]
    fn the_number_of_a_pixel_does_not_depend_on_the_block() {
        let n = BLOCK + 5;
        let mut samples = vec![128u8; 3 * n];
        let stretch = Formula(|c| c.map(|v| 4.0 * (v - 128.0 / 255.0) + 0.5));
        recolor(&mut samples, 3, &stretch, Some(9)).unwrap();
        let alone = colors(&vec![128u8; 3 * n], 3, 0..n, Some(9));
        let wanted = stretch.forward(&alone).unwrap();
        for (s, w) in samples.iter().zip(wanted) {
            assert_eq!(*s, u8::nearest(255.0 * w));
        }
    }
}

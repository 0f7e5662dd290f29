//! How alike two pictures' histograms are, channel by channel (METHOD 7; paper 6.1.3).
//!
//! ```text
//! h_k[b]   share of the pixels whose channel k has level b of 256
//! EMD      mean over k of  W1(h_k, h'_k) = sum_b |H_k[b] - H'_k[b]| / 255,   H the running sum, levels scaled to [0, 1]
//! HI       mean over k of  sum_b min(h_k[b], h'_k[b])                         (Swain and Ballard 1991)
//! ```
//!
//! Both see one channel at a time: a map that matches each channel alone wins them by construction and may still break what belongs together. The energy distance of the
//! colours as points of `[0, 1]^3` sees the whole ([`charflow::certificate::energy_distance_between`]).

use super::{CHANNELS, Level};

/// Levels of a histogram.
pub const BINS: usize = 256;

/// The histograms of a picture's channels, `[3][256]`, each summing to one.
pub type Histograms = [Vec<f64>; CHANNELS];

/// The histograms of stored samples; of 16 bits the upper 8 count. Pixels that are wholly transparent do not.
#[must_use]
pub fn histograms<S: Level>(samples: &[S], channels: usize) -> Histograms {
    let mut counts = [[0u64; BINS]; CHANNELS];
    for pixel in samples.chunks_exact(channels) {
        if channels > CHANNELS && pixel[CHANNELS].value() == 0.0 {
            continue;
        }
        for k in 0..CHANNELS {
            counts[k][(pixel[k].value() * BINS as f64 / (S::MOST + 1.0)) as usize] += 1;
        }
    }
    counts.map(|counts| {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        counts.iter().map(|&c| c as f64 / total).collect()
    })
}

/// The earth mover's distance: mean over the channels of the 1-D Wasserstein-1 distance, levels scaled to `[0, 1]`.
#[must_use]
pub fn emd(a: &Histograms, b: &Histograms) -> f64 {
    let mut sum = 0.0;
    for (a, b) in a.iter().zip(b) {
        let mut running = 0.0;
        for (a, b) in a.iter().zip(b) {
            running += a - b;
            sum += running.abs() / (BINS - 1) as f64;
        }
    }
    sum / CHANNELS as f64
}

/// The histogram intersection: mean over the channels of the sum of the smaller bins, 1 for equal histograms.
#[must_use]
pub fn histogram_intersection(a: &Histograms, b: &Histograms) -> f64 {
    let sum: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| a.iter().zip(b).map(|(a, b)| a.min(*b)).sum::<f64>())
        .sum();
    sum / CHANNELS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_pictures_have_their_known_distances() {
        // Red shifts by 10 levels, green half of the pixels by 100, blue stays.
        let a = [10u8, 0, 7, 10, 0, 9];
        let b = [20u8, 0, 7, 20, 100, 9];
        let (a, b) = (histograms(&a, 3), histograms(&b, 3));
        assert!((emd(&a, &b) - (10.0 + 50.0) / 3.0 / 255.0).abs() < 1e-12);
        assert!((histogram_intersection(&a, &b) - (0.0 + 0.5 + 1.0) / 3.0).abs() < 1e-12);
        assert_eq!(emd(&a, &a), 0.0);
        assert_eq!(emd(&a, &b), emd(&b, &a));
        assert!((histogram_intersection(&b, &b) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn black_to_white_is_one() {
        let (black, white) = (histograms(&[0u8; 6], 3), histograms(&[255u8; 6], 3));
        assert!((emd(&black, &white) - 1.0).abs() < 1e-12);
        assert_eq!(histogram_intersection(&black, &white), 0.0);
    }

    #[test]
    fn deep_pictures_count_by_their_upper_bits_and_clear_pixels_not_at_all() {
        let shallow = [3u8, 200, 255, 0, 1, 2];
        let deep: Vec<u16> = shallow.iter().map(|&v| 256 * u16::from(v) + 255).collect();
        assert_eq!(histograms(&shallow, 3), histograms(&deep, 3));
        let with_alpha = [3u8, 200, 255, 9, 50, 50, 50, 0, 0, 1, 2, 255];
        assert_eq!(histograms(&with_alpha, 4), histograms(&shallow, 3));
        assert!(histograms::<u8>(&[], 3)[0].iter().all(|v| *v == 0.0));
    }
}

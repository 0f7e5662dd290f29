//! What others do about colours, one method a file, as maps of stored colours `[n, 3]` in `[0, 1]`, both ways.
//!
//! | file | what |
//! |---|---|
//! | `histogram` | each channel alone: the increasing map between the histograms |
//! | `reinhard` | mean and deviation in `l alpha beta` (Reinhard et al. 2001) |
//! | `linear` | mean and covariance: the optimal linear map, known as Monge-Kantorovitch linear or MKL (Pitie and Kokaram 2007) |

mod histogram;
mod linear;
mod reinhard;

pub use histogram::HistogramMatching;
pub use linear::Linear;
pub use reinhard::Reinhard;

use crate::LabError;
use charflow::map::{BackwardMap, ForwardMap};

/// A method of colour transfer that is fitted in closed form.
pub trait Baseline: ForwardMap + BackwardMap + Send + Sync {
    /// As tables call it.
    fn name(&self) -> &'static str;
}

/// All of them, fitted to the stored colours `[n, 3]` of two pictures; `levels` is the number of levels of each side.
///
/// # Errors
/// A side without colours, or not in rows of three.
pub fn all(
    source: &[f64],
    target: &[f64],
    levels: [usize; 2],
) -> Result<Vec<Box<dyn Baseline>>, LabError> {
    Ok(vec![
        Box::new(HistogramMatching::fit(source, target, levels)?),
        Box::new(Reinhard::fit(source, target)?),
        Box::new(Linear::fit(source, target)?),
    ])
}

/// Colours in rows of three, at least one.
fn checked<'a>(colors: &'a [f64], what: &str) -> Result<&'a [[f64; 3]], LabError> {
    match crate::rows(colors, 3, what)? {
        0 => Err(LabError::Input(format!("{what} has no colours"))),
        _ => Ok(colors.as_chunks().0),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use rand::{RngExt, SeedableRng};

    /// `n` colours around `center`, stored with 8 bits.
    pub fn colors(n: usize, center: [f64; 3], spread: [f64; 3], seed: u64) -> Vec<f64> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        (0..n)
            .flat_map(|_| {
                let common: f64 = rng.random_range(-0.5..0.5);
                std::array::from_fn::<f64, 3, _>(|k| {
                    let own: f64 = rng.random_range(-0.5..0.5);
                    let v: f64 = center[k] + spread[k] * (common + 0.5 * own);
                    (255.0 * v.clamp(0.0, 1.0)).round() / 255.0
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::{Directed, Histograms, Way, emd, histograms, recolor};

    fn stored(colors: &[f64]) -> Vec<u8> {
        colors.iter().map(|c| (255.0 * c).round() as u8).collect()
    }

    /// Each is nearer to the target than the picture as it is, in both directions, and histogram matching as near as levels allow.
    #[test]
    fn all_bring_a_picture_nearer_and_go_back() {
        let a = testing::colors(20_000, [0.4, 0.5, 0.3], [0.3, 0.2, 0.2], 1);
        let b = testing::colors(20_000, [0.6, 0.4, 0.5], [0.2, 0.3, 0.3], 2);
        let (sa, sb) = (stored(&a), stored(&b));
        let (ha, hb): (Histograms, Histograms) = (histograms(&sa, 3), histograms(&sb, 3));
        let before = emd(&ha, &hb);
        let mut found = Vec::new();
        for method in all(&a, &b, [256; 2]).unwrap() {
            let mut there = sa.clone();
            recolor(&mut there, 3, &*method, None).unwrap();
            let forward = emd(&histograms(&there, 3), &hb);
            let mut back = sb.clone();
            let way = Directed(&*method, Way::Backward);
            recolor(&mut back, 3, &way, None).unwrap();
            let backward = emd(&histograms(&back, 3), &ha);
            assert!(
                forward < 0.35 * before,
                "{} {forward} of {before}",
                method.name()
            );
            assert!(
                backward < 0.35 * before,
                "{} {backward} of {before}",
                method.name()
            );
            let again = method.backward(&method.forward(&a).unwrap()).unwrap();
            let off = a
                .iter()
                .zip(&again)
                .map(|(a, b)| (a - b).abs())
                .sum::<f64>()
                / a.len() as f64;
            assert!(off < 0.01, "{} comes back {off} away", method.name());
            found.push(forward);
        }
        // Matched to within a part of a level.
        assert!(found[0] < 0.5 / 255.0, "{found:?}");
    }

    #[test]
    fn one_color_and_no_color() {
        let (one, other) = ([0.2, 0.4, 0.6].repeat(9), [0.9, 0.1, 0.5].repeat(4));
        for method in all(&one, &other, [256; 2]).unwrap() {
            let image = method.forward(&one).unwrap();
            for (v, w) in image.iter().zip(other.iter().cycle()) {
                assert!((v - w).abs() < 0.01, "{} {image:?}", method.name());
            }
        }
        assert!(all(&[], &one, [256; 2]).is_err());
        assert!(all(&one, &[0.5; 4], [256; 2]).is_err());
    }
}

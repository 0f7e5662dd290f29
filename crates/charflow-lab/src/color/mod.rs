//! Colour transfer: the pixels of a picture as points, and maps of points as looks.
//!
//! ```text
//! c in [0, 1]^3      a pixel's red, green and blue as they are stored, divided by the largest level (255 or 65535)
//! x = chart(c)       its point in the space where transport is solved: sRGB as it is, linear light, or Oklab
//! c' = chart^-1(T(x))  its new colour; what lies outside of [0, 1] is clipped, and counted
//! ```
//!
//! The law of a picture is that of its pixels (paper 6.1.3). Stored levels are not points but cells of width one level: a pixel is spread evenly over its
//! cell ([`grain`]), for the fit, so that the law has no atoms, and again when a picture is recoloured, so that a stretch of the levels leaves no gaps and no bands.
//! Every map is a [`ForwardMap`](charflow::map::ForwardMap) of stored colours `[n, 3]`, whoever made it.

mod look;
mod metrics;
mod picture;
mod smooth;
mod space;
mod table;

pub use look::{Averaged, Directed, Look, Way};
pub use metrics::{BINS, Histograms, emd, histogram_intersection, histograms};
pub use picture::{Level, MOST_GRAIN, Recolored, colors, grain, recolor};
pub use smooth::{radius, recolor_smoothly};
pub use space::Space;
pub use table::Table;

/// Channels of a colour.
pub const CHANNELS: usize = 3;

#[cfg(test)]
mod testing {
    use super::CHANNELS;
    use charflow::map::ForwardMap;

    /// A look given by a formula.
    pub struct Formula(pub fn([f64; CHANNELS]) -> [f64; CHANNELS]);

    impl ForwardMap for Formula {
        fn dim(&self) -> usize {
            CHANNELS
        }
        fn forward(&self, x: &[f64]) -> charflow::Result<Vec<f64>> {
            let colors = x.as_chunks::<CHANNELS>().0.iter();
            Ok(colors.flat_map(|c| self.0(*c)).collect())
        }
    }
}

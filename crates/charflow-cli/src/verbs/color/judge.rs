//! How well a picture has taken on the other's colours, beside what others make of it.

use super::pair::{Finish, JUDGED, Side, colors, histograms, pixels, recolored};
use crate::failure::Result;
use charflow::certificate::{energy_distance_between, noise_in};
use charflow::map::IdentityMap;
use charflow_io::picture::Picture;
use charflow_lab::baselines::{self, Baseline};
use charflow_lab::color::{
    CHANNELS, Directed, Histograms, Recolored, Way, emd, histogram_intersection,
};
use serde::Serialize;

/// One method's result in one direction.
#[derive(Serialize, Clone, Debug)]
pub struct Score {
    /// Who made it.
    pub method: String,
    /// Mean over the channels of the 1-D Wasserstein-1 distance of the histograms, levels scaled to `[0, 1]`.
    pub emd: f64,
    /// Mean over the channels of the histogram intersection.
    pub histogram_intersection: f64,
    /// Energy distance of the stored colours as points of `[0, 1]^3`.
    pub energy_distance: f64,
    /// Mean distance that the colours moved.
    pub moved: f64,
    /// Share of the pixels clipped to the gamut.
    pub clipped: f64,
}

/// What a picture is compared with.
pub struct Wanted {
    histograms: Histograms,
    colors: Vec<f64>,
    seed: u64,
}

impl Wanted {
    /// The colours of this picture.
    pub fn of(picture: &Picture, seed: u64) -> Self {
        let some = pixels(picture, JUDGED, seed ^ 0xa11);
        Wanted {
            histograms: histograms(picture),
            colors: colors(picture, &some, None),
            seed,
        }
    }

    /// The score of a result.
    ///
    /// # Errors
    /// A picture with fewer than two pixels.
    fn score(&self, method: &str, result: &Picture, done: Recolored) -> Result<Score> {
        let some = pixels(result, JUDGED, self.seed ^ 0xb22);
        let found = histograms(result);
        Ok(Score {
            method: method.into(),
            emd: emd(&found, &self.histograms),
            histogram_intersection: histogram_intersection(&found, &self.histograms),
            energy_distance: energy_distance_between(
                &colors(result, &some, None),
                &self.colors,
                CHANNELS,
            )?,
            moved: done.moved,
            clipped: done.clipped,
        })
    }

    /// What chance alone shows in the energy distance of a picture with so many pixels that can be seen.
    fn noise(&self, visible: usize) -> Result<Option<f64>> {
        let sizes = [visible.min(JUDGED), self.colors.len() / CHANNELS];
        Ok(noise_in(&self.colors, sizes, CHANNELS, self.seed)?)
    }
}

/// A direction judged.
#[derive(Serialize, Clone, Debug)]
pub struct Judged {
    /// What chance alone shows in the energy distance (95 %).
    pub noise: Option<f64>,
    /// The picture as it is, ours, and the baselines.
    pub scores: Vec<Score>,
}

/// The closed-form methods, fitted to the pair.
///
/// # Errors
/// A picture without colours.
pub fn fitted_baselines(source: &Side, target: &Side) -> Result<Vec<Box<dyn Baseline>>> {
    let all = |side: &Side| {
        let seen = pixels(&side.picture, super::pair::MOST_FITTED, 0);
        colors(&side.picture, &seen, None)
    };
    let levels = [source, target].map(|s| s.picture.level_count());
    Ok(baselines::all(&all(source), &all(target), levels)?)
}

/// Judges one direction: the picture as it is, our results, the baselines; and, where `grain` is given, histogram matching with the same grain, since that is what its
/// histogram metrics gain from. Each result is handed to `see`, with its method, and let go.
///
/// # Errors
/// A picture with fewer than two pixels; what `see` says.
pub fn judge(
    picture: &Picture,
    wanted: &Wanted,
    ours: &[(String, Picture, Recolored)],
    baselines: &[Box<dyn Baseline>],
    way: Way,
    grain: Option<u64>,
    see: &mut dyn FnMut(&str, &Picture) -> Result<()>,
) -> Result<Judged> {
    let mut scores = Vec::new();
    let mut add = |method: &str, result: &Picture, done| -> Result<()> {
        scores.push(wanted.score(method, result, done)?);
        see(method, result)
    };
    let (same, done) = recolored(picture, &IdentityMap::new(CHANNELS), Finish::Plain)?;
    add("as it is", &same, done)?;
    for (method, result, done) in ours {
        add(method, result, *done)?;
    }
    for (k, method) in baselines.iter().enumerate() {
        let map = Directed(&**method, way);
        let (result, done) = recolored(picture, &map, Finish::Plain)?;
        add(method.name(), &result, done)?;
        if let (0, Some(seed)) = (k, grain) {
            let (result, done) = recolored(picture, &map, Finish::Grain(seed))?;
            add(&format!("{}, grain", method.name()), &result, done)?;
        }
    }
    let noise = wanted.noise(pixels(picture, JUDGED, 0).len())?;
    Ok(Judged { noise, scores })
}

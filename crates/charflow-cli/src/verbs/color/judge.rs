//! How well a picture has taken on the other's colours, beside what others make of it.

use super::pair::{Finish, JUDGED, Side, colors, histograms, pixels, recolored};
use crate::failure::Result;
use charflow::certificate::{Distance, mismatch_between};
use charflow::map::{ForwardMap, IdentityMap};
use charflow_io::picture::Picture;
use charflow_lab::baselines::{self, Baseline};
use charflow_lab::color::{CHANNELS, Histograms, Recolored, Way, emd, histogram_intersection};
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

    /// The score of a result, and what chance alone shows in its energy distance.
    ///
    /// # Errors
    /// A picture with fewer than two pixels.
    pub fn score(
        &self,
        method: &str,
        result: &Picture,
        done: Recolored,
    ) -> Result<(Score, Distance)> {
        let some = pixels(result, JUDGED, self.seed ^ 0xb22);
        let mismatch = mismatch_between(
            &colors(result, &some, None),
            &self.colors,
            CHANNELS,
            self.seed,
        )?;
        let found = histograms(result);
        Ok((
            Score {
                method: method.into(),
                emd: emd(&found, &self.histograms),
                histogram_intersection: histogram_intersection(&found, &self.histograms),
                energy_distance: mismatch.energy_distance,
                moved: done.moved,
                clipped: done.clipped,
            },
            mismatch,
        ))
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

/// A baseline in one direction.
struct Directed<'a>(&'a dyn Baseline, Way);

impl ForwardMap for Directed<'_> {
    fn dim(&self) -> usize {
        CHANNELS
    }
    fn forward(&self, x: &[f64]) -> charflow::Result<Vec<f64>> {
        match self.1 {
            Way::Forward => self.0.forward(x),
            Way::Backward => self.0.backward(x),
        }
    }
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

/// A method's name and what it made of a picture.
pub struct Shown {
    /// The method.
    pub method: String,
    /// Its result.
    pub picture: Picture,
}

/// Judges one direction: the picture as it is, our result, the baselines; and, where `grain` is given, histogram matching with the same grain, since that is what its
/// histogram metrics gain from. Returns the results too.
///
/// # Errors
/// See [`Wanted::score`].
pub fn judge(
    picture: &Picture,
    wanted: &Wanted,
    ours: Vec<(String, Picture, Recolored)>,
    baselines: &[Box<dyn Baseline>],
    way: Way,
    grain: Option<u64>,
) -> Result<(Judged, Vec<Shown>)> {
    let mut scores = Vec::new();
    let mut shown = Vec::new();
    let mut noise = None;
    let mut add = |method: String, result: Picture, done| -> Result<()> {
        let (score, mismatch) = wanted.score(&method, &result, done)?;
        noise = mismatch.noise;
        scores.push(score);
        shown.push(Shown {
            method,
            picture: result,
        });
        Ok(())
    };
    let (same, done) = recolored(picture, &IdentityMap::new(CHANNELS), Finish::Plain)?;
    add("as it is".into(), same, done)?;
    for (method, result, done) in ours {
        add(method, result, done)?;
    }
    for (k, method) in baselines.iter().enumerate() {
        let map = Directed(&**method, way);
        let (result, done) = recolored(picture, &map, Finish::Plain)?;
        add(method.name().into(), result, done)?;
        if let (0, Some(seed)) = (k, grain) {
            let (result, done) = recolored(picture, &map, Finish::Grain(seed))?;
            add(format!("{}, grain", method.name()), result, done)?;
        }
    }
    Ok((Judged { noise, scores }, shown))
}

//! Two pictures as a problem of transport, and its solution.

use crate::failure::{Failure, Result};
use crate::interrupt::Guard;
use crate::progress::Watcher;
use crate::verbs::fit::with_set;
use charflow::cost::Quadratic;
use charflow::map::ForwardMap;
use charflow::solver::{Config, NcfSolver, Outcome, Solution};
use charflow::{Problem, Samples};
use charflow_io::picture::{Levels, Picture};
use charflow_lab::LabError;
use charflow_lab::color::{self, CHANNELS, Histograms, Recolored, Space};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};

/// Pixels of a side that a fit uses: of larger pictures so many, drawn at random.
pub const MOST_FITTED: usize = 1 << 18;
/// Points of a side that a fit has at least: pixels of smaller pictures take part several times, each time elsewhere in their cells.
const LEAST_FITTED: usize = 1 << 12;
/// Pixels that a mismatch is computed from.
pub const JUDGED: usize = 5_000;

/// A picture with what is known of it.
pub struct Side {
    /// As errors call it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// The picture.
    pub picture: Picture,
}

/// The numbers of the pixels that can be seen, at most `most` of them, drawn at random by `seed`, in order.
pub fn pixels(picture: &Picture, most: usize, seed: u64) -> Vec<usize> {
    let channels = picture.channels();
    let opaque = channels == CHANNELS;
    let clear = |i: &usize| match picture.samples() {
        Levels::Eight(s) => s[i * channels + CHANNELS] == 0,
        Levels::Sixteen(s) => s[i * channels + CHANNELS] == 0,
    };
    let count = picture.pixels();
    // Without opacity the numbers need not be listed first: of a large picture that would be gigabytes.
    let seen: Option<Vec<usize>> = (!opaque).then(|| (0..count).filter(|i| !clear(i)).collect());
    let n = seen.as_ref().map_or(count, Vec::len);
    if n <= most {
        return seen.unwrap_or_else(|| (0..count).collect());
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(11);
    let mut chosen = rand::seq::index::sample(&mut rng, n, most).into_vec();
    chosen.sort_unstable();
    match seen {
        Some(seen) => chosen.into_iter().map(|i| seen[i]).collect(),
        None => chosen,
    }
}

/// Stored colours `[n, 3]` of some pixels, spread over their cells if `seed` is given.
pub fn colors(picture: &Picture, pixels: &[usize], seed: Option<u64>) -> Vec<f64> {
    let (channels, pixels) = (picture.channels(), pixels.iter().copied());
    match picture.samples() {
        Levels::Eight(s) => color::colors(s, channels, pixels, seed),
        Levels::Sixteen(s) => color::colors(s, channels, pixels, seed),
    }
}

/// The histograms of a picture.
pub fn histograms(picture: &Picture) -> Histograms {
    match picture.samples() {
        Levels::Eight(s) => color::histograms(s, picture.channels()),
        Levels::Sixteen(s) => color::histograms(s, picture.channels()),
    }
}

/// What is done about the noise that a look stretches.
#[derive(Clone, Copy, Debug)]
pub enum Finish {
    /// Nothing.
    Plain,
    /// 8-bit levels are spread over their cells, by this seed.
    Grain(u64),
    /// Changes are smoothed over the picture.
    Smooth,
}

/// A picture through a look.
///
/// # Errors
/// What the look says.
pub fn recolored(
    picture: &Picture,
    look: &(dyn ForwardMap + Sync),
    finish: Finish,
) -> Result<(Picture, Recolored), LabError> {
    let mut out = picture.clone();
    // A look may give a grey picture colours.
    out.set_grey(false);
    let (width, channels) = (picture.width() as usize, picture.channels());
    let radius = color::radius(picture.pixels());
    let grain = match finish {
        // A cell of 16 bits is below everything that is seen.
        Finish::Grain(seed) if picture.bits() == 8 => Some(seed),
        _ => None,
    };
    let smooth = matches!(finish, Finish::Smooth);
    let done = match out.samples_mut() {
        Levels::Eight(s) if smooth => color::recolor_smoothly(s, width, channels, look, radius)?,
        Levels::Sixteen(s) if smooth => color::recolor_smoothly(s, width, channels, look, radius)?,
        Levels::Eight(s) => color::recolor(s, channels, look, grain)?,
        Levels::Sixteen(s) => color::recolor(s, channels, look, grain)?,
    };
    Ok((out, done))
}

impl Side {
    /// Reads a picture.
    ///
    /// # Errors
    /// What [`Picture::read`] says.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Side {
            name: path.display().to_string(),
            path: path.to_path_buf(),
            picture: Picture::read(path)?,
        })
    }

    /// Its points in `space`.
    fn samples(&self, space: Space, seed: u64) -> Result<Samples> {
        let seen = pixels(&self.picture, MOST_FITTED, seed);
        if seen.is_empty() {
            return Err(Failure::input(format!(
                "{}: every pixel is transparent, so there is no colour to see.",
                self.name
            )));
        }
        let first = colors(&self.picture, &seen[..1], None);
        if colors(&self.picture, &seen, None)
            .as_chunks::<CHANNELS>()
            .0
            .iter()
            .all(|c| c[..] == first[..])
        {
            let what = if seen.len() == 1 {
                "one pixel"
            } else {
                "one colour"
            };
            return Err(Failure::input(format!(
                "{}: the picture has {what} only; a look needs at least two colours to tell apart. Choose another picture.",
                self.name
            )));
        }
        let times = LEAST_FITTED.div_ceil(seen.len());
        let mut values = Vec::with_capacity(times * seen.len() * CHANNELS);
        for time in 0..times {
            let spread = colors(&self.picture, &seen, Some(seed.wrapping_add(time as u64)));
            for c in spread.as_chunks::<CHANNELS>().0 {
                values.extend(space.point(*c));
            }
        }
        Ok(Samples::from_f64(&values, CHANNELS)?
            .named(self.name.clone())
            .with_columns(space.columns().map(String::from).to_vec())?)
    }
}

/// How a pair is fitted.
#[derive(Clone, Debug)]
pub struct Fitting {
    /// The space of the points.
    pub space: Space,
    /// `quick`, `normal` or `best`.
    pub effort: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Threads; 0 for all cores.
    pub threads: usize,
    /// Seconds; 0 for no limit.
    pub time_limit: f64,
    /// Steps, if not the preset's.
    pub steps: Option<u64>,
    /// Settings of the form KEY=VALUE.
    pub set: Vec<String>,
}

impl Fitting {
    /// The settings for `n` and `m` points.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub fn config(&self, n: usize, m: usize) -> Result<Config> {
        let mut config = Config::preset_with_effort("color", &self.effort, n, m, CHANNELS)?;
        config.seed = self.seed;
        config.threads = self.threads;
        config.time_limit = self.time_limit;
        if let Some(steps) = self.steps {
            config.steps = steps;
        }
        let config = with_set(config, &self.set)?;
        if config.cost != "quadratic" {
            return Err(Failure::input(format!(
                "--set cost={}: looks are maps of the quadratic cost. For points of another cost use charflow fit.",
                config.cost
            )));
        }
        config.check()?;
        Ok(config)
    }

    /// The laws of the colours of two pictures, and the settings for them.
    ///
    /// # Errors
    /// A picture without two colours, settings that make no sense.
    pub fn problem(&self, source: &Side, target: &Side) -> Result<(Problem, Config)> {
        let samples = |side: &Side, seed| side.samples(self.space, seed);
        // The two sides' places within their cells must not be the same numbers.
        let source = samples(source, self.seed)?;
        let target = samples(target, self.seed ^ 0x5eed)?;
        let problem = Problem::new(source, target, Box::new(Quadratic))?;
        let config = self.config(problem.source().len(), problem.target().len())?;
        Ok((problem, config))
    }

    /// The map between them.
    ///
    /// # Errors
    /// A solve that was interrupted or diverged.
    pub fn solve(&self, problem: Problem, config: &Config) -> Result<Solution> {
        let mut watcher = Watcher::new(None, config.time_limit, 0.0, 0.0);
        let guard = Guard::new();
        let solution = NcfSolver::new(config.clone()).solve(problem, &mut watcher);
        watcher.finish();
        drop(guard);
        let solution = solution?;
        match solution.outcome {
            Outcome::Interrupted => Err(Failure::Short("interrupted; nothing was written.".into())),
            Outcome::Diverged => Err(Failure::Short(format!(
                "the solve diverged after {} steps; nothing was written. Try a smaller rate: --set optimiser.rate={:.1e}",
                solution.report.steps,
                config.optimiser.rate / 10.0
            ))),
            _ => Ok(solution),
        }
    }
}

/// Mean distance in levels of 8 bits, over some pixels of a picture and the channels, between what a `.cube` file holds and the look itself, both clipped.
///
/// # Errors
/// What the look says.
pub fn table_error(picture: &Picture, look: &dyn ForwardMap, table: &color::Table) -> Result<f64> {
    let some = colors(picture, &pixels(picture, 4 * JUDGED, 0), None);
    let (a, b) = (look.forward(&some)?, table.clipped().forward(&some)?);
    let clip = |v: &f64| v.clamp(0.0, 1.0);
    let sum: f64 = a
        .iter()
        .zip(&b)
        .map(|(a, b)| (clip(a) - clip(b)).abs())
        .sum();
    Ok(255.0 * sum / a.len().max(1) as f64)
}

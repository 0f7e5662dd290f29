//! Seeded point clouds: one file each, formula first.
//!
//! Same name, size, dimension and seed give the same numbers, bit for bit. Each cloud of a pair draws from its own stream of the generator,
//! so source and target are independent. Clouds that go together have comparable scale: swiss roll, moons, spirals and rings
//! fill about `[-2, 2]^2`; checkerboard and eight Gaussians about `[-4, 4]^2`.

mod checkerboard;
mod eight_gaussians;
mod gaussians;
mod labelled_mixture;
mod moons;
mod rings;
mod skewed_1d;
mod swiss_roll;
mod two_spirals;

pub use gaussians::{GaussianTruth, draw_gaussian, random_pair};
pub use labelled_mixture::{CLASSES, SHIFT, source_centre, target_centre};
pub use skewed_1d::{SIGMA as SKEWED_SIGMA, optimal as skewed_optimal};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::LabError;

/// One cloud of points and the name of the file it would be stored in.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedCloud {
    /// File name without extension: `source`, `target`, or the name of the set.
    pub stem: String,
    /// The points, row-major `[n, dim]`.
    pub values: Vec<f64>,
    /// Number of columns.
    pub dim: usize,
    /// A class name for each point, where the set has classes.
    pub labels: Option<Vec<String>>,
}

/// What [`generate`] returns: one cloud, or source and target in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// The clouds.
    pub clouds: Vec<NamedCloud>,
    /// The covariances behind a pair of Gaussians (zero means), which determine the optimal map.
    pub truth: Option<GaussianTruth>,
}

/// A set in the list: name, description, dimension (`None` where the user chooses), generator.
struct Entry {
    name: &'static str,
    about: &'static str,
    dim: Option<usize>,
    make: fn(n: usize, dim: usize, seed: u64) -> Generated,
}

const ENTRIES: &[Entry] = &[
    Entry {
        name: "swiss-roll",
        about: "a spiral band, 2-D",
        dim: Some(2),
        make: swiss_roll::generate,
    },
    Entry {
        name: "moons",
        about: "two interlocking half circles, 2-D",
        dim: Some(2),
        make: moons::generate,
    },
    Entry {
        name: "checkerboard",
        about: "uniform on 8 squares of a 4 x 4 board, 2-D",
        dim: Some(2),
        make: checkerboard::generate,
    },
    Entry {
        name: "eight-gaussians",
        about: "eight Gaussians on a circle of radius 4, 2-D",
        dim: Some(2),
        make: eight_gaussians::generate,
    },
    Entry {
        name: "two-spirals",
        about: "two spiral arms turned by half a circle, 2-D",
        dim: Some(2),
        make: two_spirals::generate,
    },
    Entry {
        name: "rings",
        about: "two concentric rings, 2-D",
        dim: Some(2),
        make: rings::generate,
    },
    Entry {
        name: "labelled-mixture",
        about: "source and target with 4 classes; the unlabelled optimal map mixes them up, 2-D",
        dim: Some(2),
        make: labelled_mixture::generate,
    },
    Entry {
        name: "gaussians",
        about: "source and target Gaussian with random covariances, any dimension, truth included",
        dim: None,
        make: gaussians::generate,
    },
    Entry {
        name: "skewed-1d",
        about: "source normal, target log-normal, 1-D; the optimal map is exp(x/2)",
        dim: Some(1),
        make: skewed_1d::generate,
    },
];

/// Every data set: its name and one line about it.
pub fn names() -> &'static [(&'static str, &'static str)] {
    const NAMES: [(&str, &str); ENTRIES.len()] = {
        let mut list = [("", ""); ENTRIES.len()];
        let mut i = 0;
        while i < ENTRIES.len() {
            list[i] = (ENTRIES[i].name, ENTRIES[i].about);
            i += 1;
        }
        list
    };
    &NAMES
}

/// Largest dimension of `gaussians`: an orthogonal matrix of this size still takes only seconds.
const MAX_DIM: usize = 1024;

/// Draws `n` points of every cloud of the set `name`.
///
/// `dim` is for `gaussians` (default 2); the other sets have their own dimension and accept only that.
///
/// # Errors
/// An unknown name (the message lists those there are), fewer than two points, or a dimension the set does not have.
pub fn generate(
    name: &str,
    n: usize,
    dim: Option<usize>,
    seed: u64,
) -> Result<Generated, LabError> {
    let Some(entry) = ENTRIES.iter().find(|entry| entry.name == name) else {
        let known: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
        return Err(LabError::UnknownDataset {
            name: name.to_owned(),
            known: known.join(", "),
        });
    };
    if n < 2 {
        return Err(LabError::Input(format!(
            "{name} was asked for {n} points; at least 2 are needed"
        )));
    }
    let dim = match (entry.dim, dim) {
        (Some(own), Some(asked)) if own != asked => {
            return Err(LabError::Input(format!(
                "{name} has dimension {own}, not {asked}; leave the dimension out, or use gaussians"
            )));
        }
        (Some(own), _) => own,
        (None, asked) => asked.unwrap_or(2),
    };
    if dim == 0 || dim > MAX_DIM {
        return Err(LabError::Input(format!(
            "{name} can have 1 to {MAX_DIM} dimensions, not {dim}"
        )));
    }
    check_size(n, dim)?;
    Ok((entry.make)(n, dim, seed))
}

/// Refuses sizes whose memory cannot be addressed, before an allocation aborts the program.
fn check_size(n: usize, dim: usize) -> Result<(), LabError> {
    match n.checked_mul(dim).and_then(|count| count.checked_mul(16)) {
        Some(bytes) if bytes < isize::MAX as usize >> 20 => Ok(()),
        _ => Err(LabError::Input(format!(
            "{n} points of dimension {dim} do not fit in memory"
        ))),
    }
}

/// The generator for one cloud: `stream` keeps clouds of the same seed independent.
fn rng(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// Uniform on `[0, 1)`.
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    rng.random()
}

/// Standard normal.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    rng.sample(StandardNormal)
}

/// A set of one 2-D cloud from a rule that draws one point.
fn planar(
    stem: &str,
    n: usize,
    seed: u64,
    mut point: impl FnMut(&mut ChaCha8Rng) -> [f64; 2],
) -> Generated {
    let mut rng = rng(seed, 0);
    let values = (0..n).flat_map(|_| point(&mut rng)).collect();
    Generated {
        clouds: vec![NamedCloud {
            stem: stem.to_owned(),
            values,
            dim: 2,
            labels: None,
        }],
        truth: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::column_statistics;

    #[test]
    fn every_set_has_its_shape_and_repeats() {
        for &(name, about) in names() {
            assert!(!about.is_empty());
            let a = generate(name, 37, None, 5).unwrap();
            assert_eq!(
                a,
                generate(name, 37, None, 5).unwrap(),
                "{name} is not deterministic"
            );
            assert_ne!(
                a.clouds,
                generate(name, 37, None, 6).unwrap().clouds,
                "{name} ignores its seed"
            );
            for cloud in &a.clouds {
                assert_eq!(cloud.values.len(), 37 * cloud.dim);
                assert!(
                    cloud.values.iter().all(|v| v.is_finite() && v.abs() < 40.0),
                    "{name}"
                );
                assert!(cloud.labels.as_ref().is_none_or(|l| l.len() == 37));
            }
            let stems: Vec<&str> = a.clouds.iter().map(|c| c.stem.as_str()).collect();
            assert!(
                stems == [name] || stems == ["source", "target"],
                "{name}: {stems:?}"
            );
        }
    }

    #[test]
    fn a_longer_draw_begins_with_the_shorter_one() {
        for &(name, _) in names() {
            let short = generate(name, 10, None, 1).unwrap();
            let long = generate(name, 20, None, 1).unwrap();
            for (s, l) in short.clouds.iter().zip(&long.clouds) {
                assert_eq!(s.values, l.values[..s.values.len()], "{name}");
            }
        }
    }

    #[test]
    fn planar_sets_fill_their_box() {
        for (name, lo, hi) in [
            ("swiss-roll", 1.6, 2.6),
            ("moons", 1.8, 2.5),
            ("two-spirals", 1.6, 2.6),
            ("rings", 1.8, 2.6),
            ("checkerboard", 3.9, 4.0),
        ] {
            let cloud = &generate(name, 20_000, None, 0).unwrap().clouds[0];
            let far = cloud.values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            assert!((lo..=hi).contains(&far), "{name} reaches {far}");
            let mean = column_statistics(&cloud.values, 2).unwrap().means;
            assert!(
                mean.iter().all(|m| m.abs() < 0.5),
                "{name} is centred at {mean:?}"
            );
        }
    }

    #[test]
    fn refusals_say_what_to_do() {
        let message = |name, n, dim| generate(name, n, dim, 0).unwrap_err().to_string();
        assert!(message("swissroll", 10, None).contains("swiss-roll, moons"));
        assert!(message("moons", 1, None).contains("at least 2"));
        assert!(message("moons", 10, Some(3)).contains("dimension 2"));
        assert!(message("gaussians", 10, Some(0)).contains("1 to"));
        assert!(message("gaussians", usize::MAX / 2, Some(64)).contains("memory"));
        assert!(generate("moons", 10, Some(2), 0).is_ok());
    }
}

//! `bench w2`: mixture to map, the continuous Wasserstein-2 benchmark (Korotin et al., NeurIPS 2021).

use super::Bench;
use super::known::{self, Entry, Known, Pairs, Plan};
use crate::failure::{Failure, Result};
use charflow_lab::MixtureToMap;
use std::path::{Path, PathBuf};

/// Training points of each side.
pub const SAMPLES: usize = 1 << 18;

/// Forward L2-UVP in percent, from the benchmark's own table: method, then d = 2, 4, 8, 16, 32, 64, 128. `None` where the method diverged.
const PUBLISHED: [(&str, [Option<f64>; 7]); 7] = [
    (
        "MMv1",
        [
            Some(0.2),
            Some(1.0),
            Some(1.8),
            Some(1.4),
            Some(6.9),
            Some(8.1),
            Some(2.2),
        ],
    ),
    (
        "MM",
        [
            Some(0.1),
            Some(0.3),
            Some(0.9),
            Some(2.2),
            Some(4.2),
            Some(3.2),
            Some(3.1),
        ],
    ),
    (
        "MM:R",
        [
            Some(0.1),
            Some(0.3),
            Some(0.7),
            Some(1.9),
            Some(2.8),
            Some(4.5),
            None,
        ],
    ),
    (
        "W2",
        [
            Some(0.1),
            Some(0.7),
            Some(2.6),
            Some(3.3),
            Some(6.0),
            Some(7.2),
            Some(2.0),
        ],
    ),
    (
        "LS",
        [
            Some(5.0),
            Some(11.6),
            Some(21.5),
            Some(31.7),
            Some(42.1),
            Some(40.1),
            Some(46.8),
        ],
    ),
    (
        "QC",
        [
            Some(1.5),
            Some(14.5),
            Some(28.6),
            Some(47.2),
            Some(64.0),
            Some(75.2),
            Some(80.5),
        ],
    ),
    (
        "linear",
        [
            Some(14.1),
            Some(14.9),
            Some(27.3),
            Some(41.6),
            Some(55.3),
            Some(63.9),
            Some(63.6),
        ],
    ),
];

/// One problem; the published numbers are those of the benchmark's files only.
pub struct Mixture {
    pub problem: MixtureToMap,
    pub of_the_benchmark: bool,
}

impl Known for Mixture {
    fn dim(&self) -> usize {
        self.problem.dim()
    }

    fn origin(&self) -> String {
        self.problem.name().to_string()
    }

    fn variances(&self) -> [f64; 2] {
        [
            self.problem.source_variance(),
            self.problem.target_variance(),
        ]
    }

    fn source(&self, n: usize, seed: u64, stream: u64) -> Result<Pairs> {
        let x = self.problem.sample_source(n, seed, stream);
        let images = self.problem.forward(&x)?;
        Ok((x, images))
    }

    fn target(&self, n: usize, seed: u64, stream: u64) -> Result<Pairs> {
        // A target point is the image of a source point, which is therefore its true preimage.
        let (x, images) = self.source(n, seed, stream)?;
        Ok((images, x))
    }

    fn published(&self) -> Vec<(&'static str, f64)> {
        let column = [2, 4, 8, 16, 32, 64, 128]
            .iter()
            .position(|d| *d == self.dim());
        match column {
            Some(k) if self.of_the_benchmark => PUBLISHED
                .iter()
                .filter_map(|(name, row)| Some((*name, row[k]?)))
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// Whether a problem is one of the benchmark's own, by the name of its file: published numbers are of those alone.
pub fn of_the_benchmark(problem: &MixtureToMap) -> bool {
    let name = problem.name();
    (name.contains("mix3tomix10") || name.contains("mixtomix10"))
        && name.contains(&format!("_{}", problem.dim()))
}

/// The benchmark's files: in a folder, or in w2bench in it.
///
/// # Errors
/// A file of this form with something wrong in it.
pub fn find(folder: &Path) -> Result<Vec<MixtureToMap>> {
    for place in [folder.join("w2bench"), folder.to_path_buf()] {
        if place.is_dir() {
            let found = MixtureToMap::find(&place)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
    Ok(Vec::new())
}

/// Those of the dimensions asked for.
///
/// # Errors
/// A dimension that no file has.
pub fn choose(
    mut found: Vec<MixtureToMap>,
    dims: &[usize],
    folder: &Path,
) -> Result<Vec<MixtureToMap>> {
    let there: Vec<String> = found.iter().map(|p| p.dim().to_string()).collect();
    if let Some(d) = dims.iter().find(|d| !found.iter().any(|p| p.dim() == **d)) {
        return Err(Failure::input(format!(
            "--dims {d}: {} has no file of this dimension; there are {}.",
            folder.display(),
            there.join(", ")
        )));
    }
    found.retain(|p| dims.is_empty() || dims.contains(&p.dim()));
    Ok(found)
}

/// Runs the benchmark.
///
/// # Errors
/// See [`Failure`].
pub fn run(bench: &Bench) -> Result<()> {
    let folder: PathBuf = bench.data_folder().ok_or_else(|| {
        Failure::input(
            "w2 needs the benchmark's files, such as mixtomix10_8.safetensors: give their folder with --data DIR, or in CHARFLOW_DATA. Without them, `bench study` draws a \
             random problem of their form.",
        )
    })?;
    let found = find(&folder)?;
    if found.is_empty() {
        return Err(Failure::input(format!(
            "{} holds no file of the benchmark (a .safetensors file with source.centers, v1.final_layer.weight and so on), nor does w2bench in it. Give the folder with --data DIR.",
            folder.display()
        )));
    }
    let problems: Vec<Box<dyn Known>> = choose(found, &bench.dims, &folder)?
        .into_iter()
        .map(|problem| -> Box<dyn Known> {
            Box::new(Mixture {
                of_the_benchmark: of_the_benchmark(&problem),
                problem,
            })
        })
        .collect();
    let n = bench.samples.unwrap_or(SAMPLES);
    let about = vec![
        "Published rows: the benchmark's own table. For MM, MMv1 and W2 its authors keep the checkpoint of lowest test UVP; here a model is chosen without the truth. They draw fresh \
         samples at every step; here a fit sees the given number of points of each side, not paired."
            .to_string(),
    ];
    known::run(
        bench,
        Plan {
            name: "w2",
            about,
            problems: &problems,
            samples: &|_| n,
            entries: &|problem| entries(bench, n, problem.dim()),
            table: known::table,
            draw: known::draw,
        },
    )
}

/// The methods asked for, with their settings.
///
/// # Errors
/// Settings that make no sense.
pub fn entries(bench: &Bench, n: usize, d: usize) -> Result<Vec<Entry>> {
    bench
        .methods()
        .into_iter()
        .map(|method| {
            Ok(Entry {
                name: method.name().into(),
                config: bench.config(method, n, n, d)?,
                steps_by_time: false,
            })
        })
        .collect()
}

//! `bench w2`: mixture to map, the continuous Wasserstein-2 benchmark (Korotin et al., NeurIPS 2021).

use super::Bench;
use super::known::{self, Entry, Known, Pairs, Plan};
use crate::failure::{Failure, Result};
use charflow_lab::MixtureToMap;
use std::path::{Path, PathBuf};

/// Training points of each side.
pub const SAMPLES: usize = 1 << 18;

/// Dimensions of the benchmark: the columns below.
const DIMS: [usize; 8] = [2, 4, 8, 16, 32, 64, 128, 256];
/// No number: the method diverged, or its number is not at hand.
const NONE: f64 = f64::NAN;
/// Forward L2-UVP in percent for [`DIMS`], from the benchmark's own table (2021).
const PUBLISHED: [(&str, [f64; 8]); 7] = [
    ("MMv1", [0.2, 1.0, 1.8, 1.4, 6.9, 8.1, 2.2, 2.6]),
    ("MM", [0.1, 0.3, 0.9, 2.2, 4.2, 3.2, 3.1, NONE]),
    ("MM:R", [0.1, 0.3, 0.7, 1.9, 2.8, 4.5, NONE, NONE]),
    ("W2", [0.1, 0.7, 2.6, 3.3, 6.0, 7.2, 2.0, NONE]),
    ("LS", [5.0, 11.6, 21.5, 31.7, 42.1, 40.1, 46.8, NONE]),
    ("QC", [1.5, 14.5, 28.6, 47.2, 64.0, 75.2, 80.5, NONE]),
    ("linear", [14.1, 14.9, 27.3, 41.6, 55.3, 63.9, 63.6, NONE]),
];
/// The same for later methods, as a secondary source reports them: Amos, "On amortizing convex conjugates for optimal transport" (ICLR 2023), its MLP with L-BFGS; Buzun et al.,
/// "Expectile regularization for fast and accurate training of neural optimal transport" (NeurIPS 2024).
const REPORTED: [(&str, [f64; 8]); 2] = [
    ("w2ot", [0.03, 0.22, 0.60, 0.80, 2.09, 2.08, 0.67, 0.65]),
    ("ENOT", [0.02, 0.03, 0.14, 0.24, 0.67, 0.56, 0.30, 0.51]),
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
        self.column_of(&PUBLISHED)
    }

    fn reported(&self) -> Vec<(&'static str, f64)> {
        self.column_of(&REPORTED)
    }
}

impl Mixture {
    /// The numbers of a table for this problem.
    fn column_of(&self, rows: &[(&'static str, [f64; 8])]) -> Vec<(&'static str, f64)> {
        if self.of_the_benchmark {
            known::column_of(self.problem.dim(), &DIMS, rows)
        } else {
            Vec::new()
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
        "Reported rows: later methods, as a secondary source reports them; not checked against their papers. w2ot: MLP and L-BFGS (2023). ENOT (NeurIPS 2024): 200,000 steps of 1,024 fresh \
         points, 14 to 21 minutes on a GPU."
            .to_string(),
        "The truth is the gradient of dense input-convex networks with CELU: squares of linear forms in every layer. The family `dense` (auto above 4 dimensions) has that shape, \
         and so have the networks of MM, MMv1 and W2, which helps them; an MLP, as in w2ot and in auto up to 4 dimensions, has not."
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

#[cfg(test)]
mod tests {
    use super::known::column_of;
    use super::*;

    #[test]
    fn columns_go_by_the_dimension() {
        let best = |dim| {
            column_of(dim, &DIMS, &PUBLISHED)
                .iter()
                .map(|(_, v)| *v)
                .fold(f64::INFINITY, f64::min)
        };
        let bests = DIMS.map(best);
        assert_eq!(bests, [0.1, 0.3, 0.7, 1.4, 2.8, 3.2, 2.0, 2.6]);
        // Without a number there is no row: MM:R diverged in 128 dimensions.
        assert!(
            column_of(128, &DIMS, &PUBLISHED)
                .iter()
                .all(|(name, _)| *name != "MM:R")
        );
        assert_eq!(
            column_of(64, &DIMS, &REPORTED),
            [("w2ot", 2.08), ("ENOT", 0.56)]
        );
        assert!(column_of(3, &DIMS, &PUBLISHED).is_empty());
    }
}

//! `charflow data`: points to try things on.

use crate::failure::{Failure, Result};
use crate::run::write_file;
use crate::terminal::{say, shown};
use charflow_io::{Precision, Writer};
use charflow_lab::datasets::{
    GaussianTruth, Generated, NamedCloud, draw_gaussian, generate, names,
};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

/// Write a data set with known shape to files.
///
/// A set of one cloud becomes NAME.csv; a pair becomes source.csv and target.csv, the gaussians with truth.npz, their covariances.
#[derive(clap::Args)]
#[command(after_help = "\
Example (every line runs as printed):
  charflow data --list
  charflow data moons -o data -n 2000
  charflow data gaussians --dim 8 -o gauss8 --format npy")]
pub struct Data {
    /// The data set; --list shows them all
    #[arg(value_name = "NAME", required_unless_present = "list")]
    name: Option<String>,
    /// The folder to write to; made if it is not there
    #[arg(
        short = 'o',
        long = "out",
        value_name = "DIR",
        required_unless_present = "list"
    )]
    out: Option<PathBuf>,
    /// Points of each cloud
    #[arg(
        short = 'n',
        long = "points",
        value_name = "N",
        default_value_t = 10_000
    )]
    points: usize,
    /// Seed: the same seed gives the same points
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Dimension, for the sets that leave it open
    #[arg(long, value_name = "D")]
    dim: Option<usize>,
    /// For gaussians: an npz with the covariances Sigma0 and Sigma1 to draw from, instead of random ones
    #[arg(long, value_name = "FILE", conflicts_with = "dim")]
    covariances: Option<PathBuf>,
    /// Format of the files
    #[arg(long, value_enum, default_value_t = FileFormat::Csv)]
    format: FileFormat,
    /// Replace files that are there already
    #[arg(long)]
    force: bool,
    /// List the data sets
    #[arg(long)]
    list: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum FileFormat {
    Csv,
    Tsv,
    Npy,
    Npz,
    Parquet,
}

impl FileFormat {
    fn extension(self) -> &'static str {
        match self {
            FileFormat::Csv => "csv",
            FileFormat::Tsv => "tsv",
            FileFormat::Npy => "npy",
            FileFormat::Npz => "npz",
            FileFormat::Parquet => "parquet",
        }
    }
}

impl Data {
    /// Runs the verb.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<()> {
        let (false, Some(name), Some(out)) = (self.list, &self.name, &self.out) else {
            let width = names().iter().map(|n| n.0.len()).max().unwrap_or(0);
            let lines: Vec<String> = names()
                .iter()
                .map(|(name, about)| format!("{name:width$}  {about}"))
                .collect();
            return say(&lines.join("\n"));
        };
        let data = match &self.covariances {
            Some(path) if name == "gaussians" => gaussians_of(path, self.points, self.seed)?,
            Some(_) => {
                return Err(Failure::input(format!(
                    "--covariances goes with the set gaussians, not with {name}."
                )));
            }
            None => generate(name, self.points, self.dim, self.seed)?,
        };
        let written = store(&data, out, self.format.extension(), self.force)?;
        for (path, what) in &written {
            say(&format!("{}: {what}", shown(path)))?;
        }
        if let [(source, _), (target, _), ..] = &written[..] {
            let labelled = data.clouds.iter().all(|c| c.labels.is_some());
            say(&format!(
                "next: charflow fit {} {} -o run{}",
                shown(source),
                shown(target),
                if labelled { " --labels label" } else { "" }
            ))?;
        }
        Ok(())
    }
}

/// The covariances Sigma0 and Sigma1 of an npz.
///
/// # Errors
/// An array that is missing or not square, or two of different sizes.
pub fn covariances_of(path: &Path) -> Result<GaussianTruth> {
    let read = |key: &str| -> Result<(Vec<f64>, usize)> {
        let (values, shape) = charflow_io::read_npz_matrix(path, key)?;
        match shape[..] {
            [d, e] if d == e && d > 0 => Ok((values, d)),
            _ => Err(Failure::input(format!(
                "{}: {key} has the shape {shape:?}; a covariance is square.",
                path.display()
            ))),
        }
    };
    let ((sigma0, dim), (sigma1, other)) = (read("Sigma0")?, read("Sigma1")?);
    if dim != other {
        return Err(Failure::input(format!(
            "{}: Sigma0 is of {dim} dimensions, Sigma1 of {other}.",
            path.display()
        )));
    }
    Ok(GaussianTruth {
        sigma0,
        sigma1,
        dim,
    })
}

/// Draws from N(0, Sigma0) and N(0, Sigma1), the covariances being those of a file.
fn gaussians_of(path: &Path, points: usize, seed: u64) -> Result<Generated> {
    let truth = covariances_of(path)?;
    let dim = truth.dim;
    let cloud = |stem: &str, sigma: &[f64], stream| -> Result<NamedCloud> {
        Ok(NamedCloud {
            stem: stem.into(),
            values: draw_gaussian(sigma, dim, points, seed, stream)?,
            dim,
            labels: None,
        })
    };
    Ok(Generated {
        clouds: vec![
            cloud("source", &truth.sigma0, 0)?,
            cloud("target", &truth.sigma1, 1)?,
        ],
        truth: Some(truth),
    })
}

/// Writes the clouds of a set into a folder; returns each file and what is in it.
///
/// # Errors
/// A file that is there already (without `force`) or cannot be written, labels in a format that holds none.
pub fn store(
    data: &Generated,
    out: &Path,
    extension: &str,
    force: bool,
) -> Result<Vec<(PathBuf, String)>> {
    let truth = out.join("truth.npz");
    let files: Vec<PathBuf> = data
        .clouds
        .iter()
        .map(|c| out.join(format!("{}.{extension}", c.stem)))
        .collect();
    // Everything that can be known is checked before the first file is touched.
    if let Some(there) = files
        .iter()
        .chain(data.truth.as_ref().map(|_| &truth))
        .find(|f| f.exists())
        && !force
    {
        return Err(Failure::input(format!(
            "{} is there already. Choose another folder, or replace it with --force.",
            there.display()
        )));
    }
    if data.clouds.iter().any(|c| c.labels.is_some()) && matches!(extension, "npy" | "npz") {
        return Err(Failure::input(format!(
            "this set has class labels, which .{extension} does not hold. Use --format csv, tsv or parquet."
        )));
    }
    std::fs::create_dir_all(out)
        .map_err(|e| Failure::system(out, "the folder cannot be made", &e))?;
    let mut written = Vec::new();
    for (cloud, path) in data.clouds.iter().zip(files) {
        let columns: Vec<String> = (1..=cloud.dim).map(|k| format!("x{k}")).collect();
        let extra: &[String] = if cloud.labels.is_some() {
            &["label".to_string()]
        } else {
            &[]
        };
        let mut writer = Writer::create(&path, &columns, extra, Precision::F64)?;
        writer.write(&cloud.values, cloud.labels.as_deref().unwrap_or(&[]))?;
        writer.finish()?;
        let rows = cloud.values.len() / cloud.dim;
        let what = format!(
            "{rows} points, {} column{}{}",
            cloud.dim,
            if cloud.dim == 1 { "" } else { "s" },
            if cloud.labels.is_some() {
                " and the column label"
            } else {
                ""
            }
        );
        written.push((path, what));
    }
    if let Some(gaussian) = &data.truth {
        write_file(&truth, &truth_archive(gaussian)?)?;
        written.push((
            truth,
            "the covariances Sigma0 and Sigma1, for `evaluate --truth`".into(),
        ));
    }
    Ok(written)
}

/// The covariances as the bytes of an npz, with the same names as in other people's benchmarks.
fn truth_archive(truth: &GaussianTruth) -> Result<Vec<u8>> {
    let fail = |e: &dyn std::fmt::Display| {
        Failure::input(format!("the covariances cannot be packed: {e}"))
    };
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (key, values) in [("Sigma0", &truth.sigma0), ("Sigma1", &truth.sigma1)] {
        let mut header = format!(
            "{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, {}), }}",
            truth.dim, truth.dim
        );
        // Magic, version, length and header together are a multiple of 64 bytes, and end with a line end.
        let padding = 63 - (10 + header.len()) % 64;
        header.push_str(&" ".repeat(padding));
        header.push('\n');
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default());
        archive
            .start_file(format!("{key}.npy"), options)
            .map_err(|e| fail(&e))?;
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        archive.write_all(&bytes).map_err(|e| fail(&e))?;
    }
    Ok(archive.finish().map_err(|e| fail(&e))?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_is_read_back_as_it_was() {
        for dim in [1, 2, 7, 40] {
            let truth = charflow_lab::datasets::random_pair(dim, 3);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("truth.npz");
            std::fs::write(&path, truth_archive(&truth).unwrap()).unwrap();
            for (key, values) in [("Sigma0", &truth.sigma0), ("Sigma1", &truth.sigma1)] {
                let (read, shape) = charflow_io::read_npz_matrix(&path, key).unwrap();
                assert_eq!((&read, shape), (values, vec![dim, dim]));
            }
        }
    }
}

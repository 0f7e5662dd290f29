//! `charflow latent`: images as points of a learned space and back, so that they can be transported like any points.
//!
//! | file | what |
//! |---|---|
//! | `images` | images and their classes from idx files, folders of pictures, tables; and back |
//! | `work` | train, encode, decode; behind the feature `latent` |

#[cfg(feature = "latent")]
mod images;
#[cfg(feature = "latent")]
mod work;

#[cfg(feature = "latent")]
pub use work::watch;

use crate::failure::Result;
use std::path::PathBuf;

/// Turn images into points of a learned low-dimensional space and points into images.
///
/// A convolutional beta-VAE: train it on images once, encode images, transport the points with fit and transport, decode what comes out.
/// Images are an idx file as those of MNIST, plain or .gz (labels: its idx file of labels), a folder of pictures of one size (the names of folders within it are the
/// classes), or a table with a row of pixels in [0, 1] for each image and --size (labels: a column). Sides are multiples of 4.
///
/// Needs a command built with the feature latent: cargo install --path crates/charflow-cli --features latent.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  charflow latent train images-idx3-ubyte.gz --labels labels-idx1-ubyte.gz -o digits.safetensors
  charflow latent encode digits.safetensors images-idx3-ubyte.gz -o points.csv
  charflow latent decode digits.safetensors points.csv -o sheet.png")]
pub struct Latent {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Train(Train),
    Encode(Encode),
    Decode(Decode),
}

/// Where images come from.
#[derive(clap::Args)]
struct Source {
    /// Images: an idx file, a folder of pictures, or a table of pixels
    #[arg(value_name = "IMAGES")]
    images: PathBuf,
    /// Classes: an idx file of labels for an idx file of images, a column for a table; a folder's classes are the folders in it
    #[arg(long, value_name = "FILE or COLUMN")]
    labels: Option<String>,
    /// For a table: rows x columns of its images, such as 16x16
    #[arg(long, value_name = "HxW", value_parser = parse_size)]
    size: Option<(usize, usize)>,
    /// At most so many images, evenly spread over the file
    #[arg(short = 'n', long, value_name = "N")]
    most: Option<usize>,
}

/// Train an autoencoder on images.
///
/// The loss is the cross-entropy of the pixels, plus beta times the divergence of the latents from the standard normal law or, with --labels, from a normal law around a
/// centre of the class that the encoder finds, and the cross-entropy of that class. Labels make the space know the classes, which pixels alone tell badly; encoding needs none.
#[derive(clap::Args)]
struct Train {
    #[command(flatten)]
    source: Source,
    /// The file to write, .safetensors
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
    /// Dimension of the latent space
    #[arg(long, value_name = "K", default_value_t = 16)]
    latent: usize,
    /// Weight of the divergence from the standard normal law
    #[arg(long, value_name = "B", default_value_t = 1.0)]
    beta: f64,
    /// With --labels: how far the classes' centres lie from zero, in standard deviations of a class
    #[arg(long, value_name = "R", default_value_t = 8.0)]
    separation: f64,
    /// With --labels: weight of the cross-entropy of the class that the encoder finds
    #[arg(long, value_name = "A", default_value_t = 20.0)]
    class_weight: f64,
    /// Channels of the first layer
    #[arg(long, value_name = "W", default_value_t = 16)]
    width: usize,
    /// Passes over the images
    #[arg(long, value_name = "N", default_value_t = 8)]
    epochs: usize,
    /// Images a step
    #[arg(long, value_name = "N", default_value_t = 128)]
    batch: usize,
    /// Greatest rate of the optimiser
    #[arg(long, value_name = "R", default_value_t = 3e-3)]
    rate: f64,
    /// Move images by up to so many pixels at random
    #[arg(long, value_name = "PIXELS", default_value_t = 0)]
    shift: usize,
    /// Mirror half of the images left to right
    #[arg(long)]
    mirror: bool,
    /// Seed of weights, order and noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Turn images into points, one a row, columns z1 to zK, and label if there are classes.
#[derive(clap::Args)]
struct Encode {
    /// The autoencoder
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    source: Source,
    /// The table to write: .csv, .tsv, .parquet; .npy and .npz hold no labels
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

/// Turn points into images.
#[derive(clap::Args)]
struct Decode {
    /// The autoencoder
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The points, a table with as many columns as the autoencoder has latents
    #[arg(value_name = "POINTS")]
    points: PathBuf,
    /// Columns of the table that are no coordinates, with commas
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    drop: Vec<String>,
    /// Where to write: a .png is one sheet of all images, ...-idx3-ubyte an idx file, .npy, .npz, .csv, .tsv or .parquet a table of pixels in [0, 1]; anything else is a
    /// folder of one picture each
    #[arg(short = 'o', long = "out", value_name = "FILE or DIR")]
    out: PathBuf,
    /// Replace what is there
    #[arg(long)]
    force: bool,
}

fn parse_size(text: &str) -> std::result::Result<(usize, usize), String> {
    let sides = text
        .split_once(['x', 'X'])
        .and_then(|(h, w)| Some((h.trim().parse().ok()?, w.trim().parse().ok()?)));
    match sides {
        Some((h, w)) if (1..=4096).contains(&h) && (1..=4096).contains(&w) => Ok((h, w)),
        _ => Err("expected rows x columns, such as 16x16".into()),
    }
}

impl Latent {
    /// Runs the verb.
    ///
    /// # Errors
    /// See [`crate::failure::Failure`].
    #[cfg(feature = "latent")]
    pub fn run(self) -> Result<()> {
        match self.verb {
            Verb::Train(train) => train.run(),
            Verb::Encode(encode) => encode.run(),
            Verb::Decode(decode) => decode.run(),
        }
    }

    /// Says which feature is missing.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "latent"))]
    pub fn run(self) -> Result<()> {
        Err(without("latent"))
    }
}

/// What a command built without the networks of images says.
#[cfg(not(feature = "latent"))]
pub fn without(verb: &str) -> crate::failure::Failure {
    crate::failure::Failure::input(format!(
        "this charflow was built without the networks of images, which {verb} needs: build it with the feature latent, for instance cargo run --release --features \
         latent -- {verb} ... (Rust 1.95 or later; some three minutes more to build)."
    ))
}

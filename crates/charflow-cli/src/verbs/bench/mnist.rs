//! `bench mnist`: classes of images to classes of images, in the latent spaces of autoencoders (paper 5.3, 6.2, B.4).
//!
//! | task | source | target | class k of the source goes to |
//! |---|---|---|---|
//! | `fashion-to-mnist` | Fashion-MNIST | MNIST | digit k |
//! | `pairs` | even digits of MNIST | odd digits of MNIST | 2j to 2j + 1 |
//! | `shift` | MNIST | MNIST | k + 1 mod 10 |
//!
//! The maps are fitted to latents of training images. What is judged are test images, whose class no map is told: encode, transport, decode, classify. The
//! classifiers saw real training images only.
//!
//! Settings are not to be chosen on those test images: `--judge-on held-out-training` puts a tenth of the training images in their place.

use super::Bench;
use super::adapt::draw_labels;
use super::known::{Recorder, solve, solve_with};
use super::mnist_args::{JudgeOn, Latents};
use super::record::{Record, digits, markdown};
use crate::failure::{Failure, Result};
use crate::interrupt::{self, Guard};
use crate::run::write_file;
use crate::terminal::{duration, note, tell};
use crate::verbs::latent::watch;
use charflow::evaluate::{Evaluation, evaluate_on};
use charflow::exact::GaussianMap;
use charflow::map::{BackwardMap, ForwardMap};
use charflow::model::CharacteristicMap;
use charflow::solver::{Config, Report};
use charflow::{Problem, Samples, cost};
use charflow_lab::LabError;
use charflow_lab::classifier::Classifier;
use charflow_lab::figures::{
    AccuracyFigure, DensityFigure, DensityPanel, GridFigure, LossPanel, Series, Style,
};
use charflow_lab::frechet::{FeatureStatistics, frechet_distance};
use charflow_lab::images::{Images, read_idx_labels};
use charflow_lab::latent::Vae;
use charflow_lab::lenet::LeNet;
use charflow_lab::project::Components;
use charflow_lab::shipped::{self, Domain, Knows};
use charflow_lab::spread::spread_labels;
use charflow_lab::style;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Classes of both data sets.
const CLASSES: usize = 10;
/// Test images whose accuracy is followed during a fit.
const FOLLOWED: usize = 1000;
/// Of so many training images of a class the last one is held out, where these are judged on.
const ONE_IN: usize = 10;
/// Images of a class in a grid.
const SHOWN: usize = 10;

/// The tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    FashionToMnist,
    Pairs,
    Shift,
}

impl Task {
    const ALL: [Task; 3] = [Task::FashionToMnist, Task::Pairs, Task::Shift];

    fn name(self) -> &'static str {
        match self {
            Task::FashionToMnist => "fashion-to-mnist",
            Task::Pairs => "pairs",
            Task::Shift => "shift",
        }
    }

    fn domains(self) -> [Domain; 2] {
        match self {
            Task::FashionToMnist => [Domain::Fashion, Domain::Mnist],
            _ => [Domain::Mnist, Domain::Mnist],
        }
    }

    /// Where a class of one side goes; `None` if the class is not on that side.
    fn goes_to(self, side: usize, class: u8) -> Option<u8> {
        match (self, side) {
            (Task::FashionToMnist, _) => Some(class),
            (Task::Pairs, 0) => class.is_multiple_of(2).then_some(class + 1),
            (Task::Pairs, _) => (!class.is_multiple_of(2)).then(|| class - 1),
            (Task::Shift, 0) => Some((class + 1) % 10),
            (Task::Shift, _) => Some((class + 9) % 10),
        }
    }

    /// Accuracy that the paper prints (table of 6.2), forward and backward, in percent.
    fn paper(self) -> [Option<f64>; 2] {
        match self {
            Task::FashionToMnist => [Some(83.42), None],
            Task::Pairs => [Some(95.58), Some(95.08)],
            Task::Shift => [Some(92.51), Some(92.73)],
        }
    }
}

/// What came out for a task.
#[derive(Serialize)]
struct Run {
    task: &'static str,
    /// What the autoencoders of source and target were told.
    latents: [&'static str; 2],
    latent_dimension: usize,
    /// Labelled target images a class; absent if all.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels_per_class: Option<usize>,
    /// So many target points were given a label by spreading those; of the points that had none, the right one in so many percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels_spread_to: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels_spread_right: Option<f64>,
    labels_permuted: bool,
    /// Which images are judged.
    judged_on: &'static str,
    /// Training images and those judged, source and target.
    images: [[usize; 2]; 2],
    /// Fitting and judging, and encoding what an earlier task has not.
    seconds: f64,
    forward: Scores,
    backward: Scores,
    /// `E |T(x) - x|^2 / 2` of test images, in squared units of the normalised latents.
    transport_cost: f64,
    /// The same of the map fitted with the energy distance alone, and its accuracy, forward and backward.
    #[serde(skip_serializing_if = "Option::is_none")]
    energy_alone: Option<EnergyAlone>,
    /// Accuracy of test images over the steps.
    curve: Vec<Point>,
    evaluation: Evaluation,
    report: Report,
    settings: Config,
}

#[derive(Serialize)]
struct EnergyAlone {
    transport_cost: f64,
    accuracy: [f64; 2],
    steps: u64,
    seconds: f64,
}

#[derive(Serialize, Clone, Copy)]
struct Point {
    step: u64,
    seconds: f64,
    /// Forward and backward, in percent.
    accuracy: [f64; 2],
}

/// One direction.
#[derive(Serialize)]
struct Scores {
    /// Share of transported test images that the classifier of their new domain puts into the right class, percent.
    accuracy: f64,
    by_class: Vec<ClassScore>,
    /// The same of the best linear map between the clouds.
    accuracy_linear: f64,
    /// Real test images of the side they go to, decoded: how many the classifier still gets right.
    accuracy_decoded: f64,
    features: &'static str,
    /// Fréchet distances: transported to decoded test images, transported to real ones, decoded to real ones.
    frechet_to_decoded: f64,
    frechet_to_real: f64,
    frechet_decoded_to_real: f64,
    /// Correlation of stroke thickness and slant before and after, where both sides are digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    style: Option<StyleScore>,
}

#[derive(Serialize)]
struct StyleScore {
    thickness: Option<f64>,
    slant: Option<f64>,
}

#[derive(Serialize)]
struct ClassScore {
    from: String,
    to: String,
    images: usize,
    /// Percent.
    accuracy: f64,
}

/// The images of a domain: those that maps are fitted to, and those that they are judged on.
struct Set {
    train: Images,
    train_labels: Vec<u8>,
    /// Test images, or training images held out of the fits.
    test: Images,
    test_labels: Vec<u8>,
}

impl Set {
    fn read(data: &Path, domain: Domain, judge_on: JudgeOn) -> Result<Self> {
        let folder = data.join(domain.folder());
        let part = |name: &str| -> Result<(Images, Vec<u8>)> {
            let find = |kind: &str| -> Result<PathBuf> {
                let plain = folder.join(format!("{name}-{kind}-ubyte"));
                let zipped = folder.join(format!("{name}-{kind}-ubyte.gz"));
                [plain, zipped.clone()]
                    .into_iter()
                    .find(|p| p.is_file())
                    .ok_or_else(|| {
                        Failure::input(format!(
                            "{}: there is no such file, plain or .gz. --data (or CHARFLOW_DATA) names a folder with mnist and fashion-mnist in it, each with its four idx files.",
                            zipped.display()
                        ))
                    })
            };
            let path = find("images-idx3")?;
            let images = Images::read_idx(&path)?;
            if images.sides() != [1, 28, 28] {
                return Err(Failure::input(format!(
                    "{}: images of {} x {}; these networks are for 28 x 28.",
                    path.display(),
                    images.height,
                    images.width
                )));
            }
            let path = find("labels-idx1")?;
            let labels = read_idx_labels(&path, images.len(), CLASSES)?;
            for class in 0..CLASSES as u8 {
                let count = labels.iter().filter(|&&l| l == class).count();
                if count < 2 {
                    return Err(Failure::input(format!(
                        "{}: class {class} has {count} image{}; each needs at least two.",
                        path.display(),
                        if count == 1 { "" } else { "s" }
                    )));
                }
            }
            Ok((images, labels))
        };
        let (train, train_labels) = part("train")?;
        let (test, test_labels) = match judge_on {
            JudgeOn::Test => part("t10k")?,
            JudgeOn::HeldOutTraining => {
                return Self::held_out(&train, &train_labels).ok_or_else(|| {
                    Failure::input(format!(
                        "--judge-on held-out-training: one in {ONE_IN} images of a class is held out; {} has a class with fewer than {}.",
                        folder.display(),
                        2 * ONE_IN
                    ))
                });
            }
        };
        Ok(Self {
            train,
            train_labels,
            test,
            test_labels,
        })
    }
}

impl Set {
    /// Training images alone: every tenth of each class, in the order of the file, is judged, the others are fitted to. `None` if that leaves a class with fewer than two to judge.
    fn held_out(images: &Images, labels: &[u8]) -> Option<Self> {
        let (fitted, judged) = every_tenth(labels)?;
        let pick = |rows: &[usize]| rows.iter().map(|&i| labels[i]).collect();
        Some(Self {
            train: images.select(&fitted),
            train_labels: pick(&fitted),
            test: images.select(&judged),
            test_labels: pick(&judged),
        })
    }
}

/// Rows that stay and rows held out: every tenth of each class. `None` if that leaves a class with fewer than two held out.
fn every_tenth(labels: &[u8]) -> Option<(Vec<usize>, Vec<usize>)> {
    let mut seen = [0usize; CLASSES];
    let (judged, fitted) = (0..labels.len()).partition(|&i| {
        let count = &mut seen[usize::from(labels[i])];
        *count += 1;
        count.is_multiple_of(ONE_IN)
    });
    let enough = seen.iter().all(|&n| n >= 2 * ONE_IN);
    enough.then_some((fitted, judged))
}

/// The networks of a domain.
struct Networks {
    vae: Vae,
    classifier: Classifier,
}

/// A domain seen through one of its autoencoders: what tasks share, computed once.
struct Space {
    domain: Domain,
    vae: Vae,
    classifier: Classifier,
    /// Latents of training images, `[n, k]`.
    train: Vec<f64>,
    test: Vec<f64>,
    /// What test images look like after encoding and decoding.
    decoded: Images,
    /// The classes that the classifier then finds.
    decoded_found: Vec<u8>,
    /// Features of decoded and of real test images, `[m, features]`.
    decoded_features: Vec<f64>,
    real_features: Vec<f64>,
    /// Length of a feature vector.
    features: usize,
}

impl Space {
    fn new(domain: Domain, set: &Set, networks: Networks, lenet: Option<&LeNet>) -> Result<Self> {
        let Networks { vae, classifier } = networks;
        let test = vae.encode(&set.test)?;
        let decoded = vae.decode(&test)?;
        let mut space = Self {
            domain,
            train: vae.encode(&set.train)?,
            test,
            decoded_found: classifier.classify(&decoded)?,
            decoded,
            decoded_features: Vec::new(),
            real_features: Vec::new(),
            features: match (domain, lenet) {
                (Domain::Mnist, Some(_)) => LeNet::FEATURES,
                _ => classifier.feature_dim(),
            },
            vae,
            classifier,
        };
        space.decoded_features = space.features_of(&space.decoded, lenet)?;
        space.real_features = space.features_of(&set.test, lenet)?;
        Ok(space)
    }

    /// Features of images of this domain.
    fn features_of(&self, images: &Images, lenet: Option<&LeNet>) -> Result<Vec<f64>> {
        Ok(match lenet.filter(|_| self.domain == Domain::Mnist) {
            Some(lenet) => lenet.features(images)?,
            None => self.classifier.features(images)?,
        })
    }

    /// What the features are called.
    fn features_are(&self, lenet: bool) -> &'static str {
        match (self.domain, lenet) {
            (Domain::Mnist, true) => "LeNet-5 (84)",
            (Domain::Mnist, false) => "our MNIST classifier (64)",
            (Domain::Fashion, _) => "our Fashion-MNIST classifier (96)",
        }
    }
}

/// One side of a task: the images of a space whose classes take part.
struct Side<'a> {
    space: &'a Space,
    /// Latents of training images, `[n, k]`, and their classes.
    train: Vec<f64>,
    train_labels: Vec<u8>,
    /// Rows of the test set.
    test_rows: Vec<usize>,
    test_images: Images,
    test: Vec<f64>,
    test_labels: Vec<u8>,
}

impl<'a> Side<'a> {
    fn new(task: Task, side: usize, set: &Set, space: &'a Space) -> Self {
        let takes_part = |labels: &[u8]| -> Vec<usize> {
            (0..labels.len())
                .filter(|&i| task.goes_to(side, labels[i]).is_some())
                .collect()
        };
        let pick = |rows: &[usize], labels: &[u8]| rows.iter().map(|&i| labels[i]).collect();
        let k = space.vae.latent();
        let train_rows = takes_part(&set.train_labels);
        let test_rows = takes_part(&set.test_labels);
        Self {
            space,
            train: rows_of(&space.train, &train_rows, k),
            train_labels: pick(&train_rows, &set.train_labels),
            test_images: set.test.select(&test_rows),
            test: rows_of(&space.test, &test_rows, k),
            test_labels: pick(&test_rows, &set.test_labels),
            test_rows,
        }
    }
}

/// Some rows of `[n, dim]`.
fn rows_of(values: &[f64], rows: &[usize], dim: usize) -> Vec<f64> {
    rows.iter()
        .flat_map(|&i| &values[i * dim..(i + 1) * dim])
        .copied()
        .collect()
}

/// Runs the benchmark.
///
/// # Errors
/// See [`Failure`].
pub fn run(bench: &Bench) -> Result<()> {
    let args = &bench.mnist;
    let tasks = tasks(bench)?;
    if args.labels_per_class.is_some_and(|n| n < 2) {
        return Err(Failure::input(
            "--labels-per-class: expected at least 2; a measure needs two points.",
        ));
    }
    let data = bench.data_folder().ok_or_else(|| {
        Failure::input(
            "mnist needs the images: --data DIR (or CHARFLOW_DATA) with the folders mnist and, for fashion-to-mnist, fashion-mnist; extractors in it is used if it is there.",
        )
    })?;
    let needed = |domain| tasks.iter().any(|t| t.domains().contains(&domain));
    let mut sets: Vec<(Domain, Set)> = Vec::new();
    for domain in Domain::ALL.into_iter().filter(|&d| needed(d)) {
        sets.push((domain, Set::read(&data, domain, args.judge_on)?));
    }
    let out = bench.folder("mnist")?;
    let _guard = Guard::new();
    let extractor = data.join("extractors/lenet5_mnist.safetensors");
    let lenet = if extractor.is_file() {
        Some(LeNet::read(&extractor)?)
    } else {
        note(&format!(
            "{} is not there: Fréchet distances of digits are by our own classifier's features.",
            extractor.display()
        ));
        None
    };
    if args.retrain && !retrain(&sets, &out)? {
        return Err(Failure::Short(format!(
            "interrupted. What was trained is in {}.",
            out.display()
        )));
    }
    let mut record = Record::new(
        "mnist",
        vec![
            "Accuracy: transported test images that a classifier of the new domain, trained on real training images, puts into the class they should have gone to. Maps are fitted to training images and are not told the class of what they move.".into(),
            "Latents: whether the autoencoders were told the classes of training images (classes) or not (images, as in the paper). Normalised entry by entry.".into(),
            "decoded: real test images of the target, encoded and decoded: what the autoencoder alone costs. linear: the best linear map between the two clouds, which knows no classes.".into(),
            "FD: Fréchet distances of the features named, between test images, as many of each class; no Inception FID and not to be put beside one.".into(),
            "Cost: E |T(x) - x|^2 / 2 in normalised latents; ED only: the same network fitted without the Hamilton-Jacobi losses.".into(),
            "The paper's figures are quoted from its table; its autoencoders, classifiers and splits are others.".into(),
        ],
    );
    if args.judge_on == JudgeOn::HeldOutTraining {
        record.about.push(format!(
            "Judged on training images, one in {ONE_IN} of each class, which no fit saw; where a line says test images, these are meant, and test images were not read. {}",
            if args.retrain {
                "The networks were trained on the other training images."
            } else {
                "The autoencoders and classifiers that come with the source saw all training images, so figures compare settings and say nothing of new images."
            }
        ));
    }
    let mut files = String::from("record.json, table.md");
    let mut spaces = Vec::new();
    for task in tasks {
        if interrupt::asked() {
            record.interrupted = true;
            break;
        }
        match one(bench, task, &sets, &mut spaces, lenet.as_ref(), &out)? {
            Some((run, drawn)) => {
                files.push_str(&drawn);
                record.runs.push(run);
                record.save(&out, &table(&record.runs))?;
            }
            None => {
                record.interrupted = true;
                break;
            }
        }
    }
    record.save(&out, &table(&record.runs))?;
    record.conclude(
        bench.json,
        &format!("{}\n", table(&record.runs)),
        &files,
        &out,
    )
}

/// The tasks asked for.
fn tasks(bench: &Bench) -> Result<Vec<Task>> {
    if bench.task.is_empty() {
        return Ok(Task::ALL.to_vec());
    }
    let mut asked: Vec<&String> = Vec::new();
    for name in &bench.task {
        if !asked.contains(&name) {
            asked.push(name);
        }
    }
    asked
        .into_iter()
        .map(|name| {
            Task::ALL
                .into_iter()
                .find(|t| t.name() == *name)
                .ok_or_else(|| {
                    Failure::input(format!(
                        "--task {name}: the tasks of mnist are {}.",
                        Task::ALL.map(Task::name).join(", ")
                    ))
                })
        })
        .collect()
}

/// Trains all networks of the domains and writes them to `out`; false after an interrupt.
fn retrain(sets: &[(Domain, Set)], out: &Path) -> Result<bool> {
    for (domain, set) in sets {
        let write = |name: String, made: Result<Vec<u8>, LabError>, started: Instant| match made {
            Err(LabError::Interrupted) => Ok(false),
            made => {
                write_file(&out.join(&name), &made?)?;
                let seconds = started.elapsed().as_secs_f64();
                tell(&format!("{name}: trained in {}", duration(seconds)));
                Ok::<bool, Failure>(true)
            }
        };
        for knows in Knows::ALL {
            let started = Instant::now();
            let made = shipped::train_autoencoder(
                *domain,
                knows,
                &set.train,
                &set.train_labels,
                &mut watch(),
            )
            .and_then(|vae| vae.to_bytes());
            if !write(shipped::autoencoder_file(*domain, knows), made, started)? {
                return Ok(false);
            }
        }
        let started = Instant::now();
        let made = shipped::train_classifier(*domain, &set.train, &set.train_labels, &mut watch())
            .and_then(|c| c.to_bytes());
        if !write(shipped::classifier_file(*domain), made, started)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The networks of a domain: those just trained, or those that come with the source.
fn networks(bench: &Bench, domain: Domain, knows: Knows, out: &Path) -> Result<Networks> {
    let read = |name: String| {
        let path = out.join(name);
        std::fs::read(&path).map_err(|e| Failure::system(&path, "cannot be read", &e))
    };
    Ok(if bench.mnist.retrain {
        Networks {
            vae: Vae::from_bytes(&read(shipped::autoencoder_file(domain, knows))?)?,
            classifier: Classifier::from_bytes(&read(shipped::classifier_file(domain))?)?,
        }
    } else {
        Networks {
            vae: shipped::autoencoder(domain, knows)?,
            classifier: shipped::classifier(domain)?,
        }
    })
}

/// The images of a side as points with the class they are paired by: the digit or garment that they become.
fn samples(task: Task, side: &Side<'_>, which: usize, labels: &[Option<u8>]) -> Result<Samples> {
    let paired = |class: u8| {
        let target = match which {
            0 => task.goes_to(0, class),
            _ => Some(class),
        };
        target.map(|c| c.to_string())
    };
    let labels = labels.iter().map(|l| l.and_then(paired)).collect();
    let columns = (1..=side.space.vae.latent())
        .map(|k| format!("z{k}"))
        .collect();
    Ok(Samples::from_f64(&side.train, side.space.vae.latent())?
        .named(["source", "target"][which])
        .with_columns(columns)?
        .with_some_labels(labels)?)
}

/// Labels that were spread: to how many points that had none, and of how many of these the label is right, in percent.
#[derive(Clone, Copy)]
struct Spread {
    to: usize,
    right: f64,
}

/// Which target labels a fit is given, of points `[n, dim]`, and what came of spreading them.
fn known_labels(
    bench: &Bench,
    labels: &[u8],
    points: &[f64],
    dim: usize,
) -> Result<(Vec<Option<u8>>, Option<Spread>)> {
    let mut labels = labels.to_vec();
    if bench.mnist.permute_labels {
        labels.shuffle(&mut ChaCha8Rng::seed_from_u64(bench.seed));
    }
    let Some(each) = bench.mnist.labels_per_class else {
        return Ok((labels.into_iter().map(Some).collect(), None));
    };
    for class in 0..CLASSES as u8 {
        let count = labels.iter().filter(|&&l| l == class).count();
        if (1..each).contains(&count) {
            return Err(Failure::input(format!(
                "--labels-per-class {each}: class {class} of the target has {count} images."
            )));
        }
    }
    let mut known = vec![None; labels.len()];
    for i in draw_labels(&labels, each, bench.seed) {
        known[i] = Some(labels[i]);
    }
    let count = bench.mnist.spread.min(labels.len());
    if count == 0 {
        return Ok((known, None));
    }
    // The labelled points, and others evenly through the file.
    let mut rows: Vec<usize> = (0..count).map(|k| k * labels.len() / count).collect();
    rows.extend((0..labels.len()).filter(|&i| known[i].is_some()));
    rows.sort_unstable();
    rows.dedup();
    let some: Vec<Option<u8>> = rows.iter().map(|&i| known[i]).collect();
    let spread = spread_labels(&rows_of(points, &rows, dim), dim, &some)?;
    let new = rows
        .iter()
        .zip(&spread)
        .filter(|(i, _)| known[**i].is_none());
    let (found, own): (Vec<u8>, Vec<u8>) = new.map(|(&i, &label)| (label, labels[i])).unzip();
    let spread_to = (!own.is_empty()).then(|| Spread {
        to: own.len(),
        right: share(&found, &own),
    });
    for (&i, &label) in rows.iter().zip(&spread) {
        known[i] = Some(label);
    }
    Ok((known, spread_to))
}

/// Share of images whose class is the wanted one, percent.
fn share(found: &[u8], wanted: &[u8]) -> f64 {
    let right = found.iter().zip(wanted).filter(|(a, b)| a == b).count();
    100.0 * right as f64 / wanted.len() as f64
}

/// Share of `images` that the classifier puts into the wanted class, percent.
fn accuracy(classifier: &Classifier, images: &Images, wanted: &[u8]) -> Result<f64> {
    Ok(share(&classifier.classify(images)?, wanted))
}

/// Encodes, fits and judges one task; `None` after an interrupt.
fn one(
    bench: &Bench,
    task: Task,
    sets: &[(Domain, Set)],
    spaces: &mut Vec<((Domain, Knows), Space)>,
    lenet: Option<&LeNet>,
    out: &Path,
) -> Result<Option<(Run, String)>> {
    let args = &bench.mnist;
    let started = Instant::now();
    let latents = args.latents.unwrap_or(Latents::Classes);
    let knows = [0, 1].map(|side| match (latents, side) {
        // An autoencoder that was told all classes would be more labels than were asked for.
        (Latents::Classes, 1) if args.labels_per_class.is_some() => Knows::Images,
        (Latents::Classes, _) => Knows::Classes,
        (Latents::Images, _) => Knows::Images,
    });
    let set_of = |domain: Domain| {
        sets.iter()
            .find(|(d, _)| *d == domain)
            .map(|(_, set)| set)
            .ok_or_else(|| Failure::input("this task's images were not read"))
    };
    for which in [0, 1] {
        let key = (task.domains()[which], knows[which]);
        if spaces.iter().all(|(k, _)| *k != key) {
            tell(&format!("{}: encoding {}", task.name(), key.0.folder()));
            let networks = networks(bench, key.0, key.1, out)?;
            spaces.push((key, Space::new(key.0, set_of(key.0)?, networks, lenet)?));
        }
    }
    let side = |which: usize| -> Result<Side<'_>> {
        let domain = task.domains()[which];
        let space = spaces
            .iter()
            .find(|(key, _)| *key == (domain, knows[which]))
            .map(|(_, space)| space)
            .ok_or_else(|| Failure::input("this task's images were not encoded"))?;
        Ok(Side::new(task, which, set_of(domain)?, space))
    };
    let (source, target) = (side(0)?, side(1)?);
    let k = source.space.vae.latent();
    let all: Vec<Option<u8>> = source.train_labels.iter().copied().map(Some).collect();
    let (known, spread_to) = known_labels(bench, &target.train_labels, &target.train, k)?;
    let problem = || -> Result<Problem> {
        Ok(Problem::new(
            samples(task, &source, 0, &all)?,
            samples(task, &target, 1, &known)?,
            cost::parse("quadratic")?,
        )?)
    };
    let fitted = problem()?;
    let linear = GaussianMap::from_moments(fitted.moments().0, fitted.moments().1)?;
    let (n, m) = (fitted.source().len(), fitted.target().len());
    let settings = bench.config_for_classes(n, m, k)?;
    // What each test image should become.
    let wanted = |side: &Side<'_>, which: usize| -> Vec<u8> {
        side.test_labels
            .iter()
            .filter_map(|&l| task.goes_to(which, l))
            .collect()
    };
    let wanted = [wanted(&source, 0), wanted(&target, 1)];
    let part = FOLLOWED
        .min(source.test_labels.len())
        .min(target.test_labels.len());
    let follow = |map: &CharacteristicMap| -> Result<[f64; 2]> {
        let there = target
            .space
            .vae
            .decode(&map.forward(&source.test[..part * k])?)?;
        let back = source
            .space
            .vae
            .decode(&map.backward(&target.test[..part * k])?)?;
        Ok([
            accuracy(&target.space.classifier, &there, &wanted[0][..part])?,
            accuracy(&source.space.classifier, &back, &wanted[1][..part])?,
        ])
    };
    let mut recorder = Recorder::new(&settings, Some(&follow));
    // Decoding and classifying take a second.
    recorder.pace = [0.1, 3.0];
    let (solution, _) = solve_with(task.name(), &settings, fitted, &mut recorder)?;
    let curve: Vec<Point> = recorder
        .curve
        .iter()
        .map(|m| Point {
            step: m.step,
            seconds: m.seconds,
            accuracy: m.scores,
        })
        .collect();
    if interrupt::asked() {
        return Ok(None);
    }
    let map = &solution.map;
    let energy_alone = if args.no_ablation {
        None
    } else {
        let mut alone = settings.clone();
        alone.loss.hj = 0.0;
        alone.loss.hj_terminal = 0.0;
        let name = format!("{}, energy distance alone", task.name());
        let (other, _) = solve(&name, &alone, problem()?)?;
        if interrupt::asked() {
            return Ok(None);
        }
        let pushed = other.map.forward(&source.test)?;
        let pulled = other.map.backward(&target.test)?;
        Some(EnergyAlone {
            transport_cost: half_square(&source.test, &pushed, k),
            accuracy: [
                accuracy(
                    &target.space.classifier,
                    &target.space.vae.decode(&pushed)?,
                    &wanted[0],
                )?,
                accuracy(
                    &source.space.classifier,
                    &source.space.vae.decode(&pulled)?,
                    &wanted[1],
                )?,
            ],
            steps: other.report.steps,
            seconds: other.report.seconds,
        })
    };
    tell(&format!("{}: judging", task.name()));
    let pushed = map.forward(&source.test)?;
    let pulled = map.backward(&target.test)?;
    let there = target.space.vae.decode(&pushed)?;
    let back = source.space.vae.decode(&pulled)?;
    let forward = scores(
        &source,
        &target,
        &there,
        &target.space.vae.decode(&linear.forward(&source.test)?)?,
        &wanted[0],
        lenet,
    )?;
    let backward = scores(
        &target,
        &source,
        &back,
        &source.space.vae.decode(&linear.backward(&target.test)?)?,
        &wanted[1],
        lenet,
    )?;
    let (x, y) = &solution.points;
    let evaluation = evaluate_on(solution.origin(), map, x, y, None, bench.seed)?;
    let transport_cost = half_square(&source.test, &pushed, k);
    let mut files = String::new();
    if !bench.no_figures {
        for (which, from, to, images, moved) in [
            (0, &source, &target, &there, &pushed),
            (1, &target, &source, &back, &pulled),
        ] {
            let way = ["forward", "backward"][which];
            let name = format!("{}-{way}-grid", task.name());
            grid(task, which, from, to, images, &out.join(&name))?;
            files.push_str(&format!(", {name}.png"));
            let name = format!("{}-{way}-latents", task.name());
            density(task, which, from, to, moved, &out.join(&name))?;
            files.push_str(&format!(", {name}.png"));
        }
        if curve.len() > 1 {
            let name = format!("{}-accuracy", task.name());
            draw_curve(task, &curve, &out.join(&name))?;
            files.push_str(&format!(", {name}.png"));
        }
    }
    let run = Run {
        task: task.name(),
        latents: knows.map(Knows::name),
        latent_dimension: k,
        labels_per_class: args.labels_per_class,
        labels_spread_to: spread_to.map(|s| s.to),
        labels_spread_right: spread_to.map(|s| s.right),
        labels_permuted: args.permute_labels,
        judged_on: match args.judge_on {
            JudgeOn::Test => "test images",
            JudgeOn::HeldOutTraining => "held-out training images",
        },
        images: [[n, source.test_labels.len()], [m, target.test_labels.len()]],
        seconds: started.elapsed().as_secs_f64(),
        forward,
        backward,
        transport_cost,
        energy_alone,
        curve,
        evaluation,
        report: solution.report.clone(),
        settings,
    };
    Ok(Some((run, files)))
}

/// Mean of `|T(x) - x|^2 / 2`.
fn half_square(x: &[f64], images: &[f64], k: usize) -> f64 {
    let sum: f64 = x.iter().zip(images).map(|(a, b)| (a - b).powi(2)).sum();
    0.5 * sum / (x.len() / k) as f64
}

/// Rows of two lists of classes, as many of each class from either, the first ones: else distances would show that the sides have other shares of the classes.
fn balanced(a: &[u8], b: &[u8]) -> (Vec<usize>, Vec<usize>) {
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for class in 0..CLASSES as u8 {
        let rows = |labels: &[u8]| -> Vec<usize> {
            (0..labels.len()).filter(|&i| labels[i] == class).collect()
        };
        let (x, y) = (rows(a), rows(b));
        let count = x.len().min(y.len());
        of_a.extend(&x[..count]);
        of_b.extend(&y[..count]);
    }
    (of_a, of_b)
}

/// Judges one direction: `images` are the transported test images of `from`.
fn scores(
    from: &Side<'_>,
    to: &Side<'_>,
    images: &Images,
    by_linear: &Images,
    wanted: &[u8],
    lenet: Option<&LeNet>,
) -> Result<Scores> {
    let found = to.space.classifier.classify(images)?;
    let from_names = from.space.domain.class_names();
    let to_names = to.space.domain.class_names();
    let mut by_class = Vec::new();
    for class in 0..CLASSES as u8 {
        let rows: Vec<usize> = (0..wanted.len())
            .filter(|&i| from.test_labels[i] == class)
            .collect();
        let Some(&first) = rows.first() else {
            continue;
        };
        let right = rows.iter().filter(|&&i| found[i] == wanted[i]).count();
        by_class.push(ClassScore {
            from: from_names[usize::from(class)].into(),
            to: to_names[usize::from(wanted[first])].into(),
            images: rows.len(),
            accuracy: 100.0 * right as f64 / rows.len() as f64,
        });
    }
    let (moved_rows, real_rows) = balanced(wanted, &to.test_labels);
    let real_rows: Vec<usize> = real_rows.iter().map(|&i| to.test_rows[i]).collect();
    let dim = to.space.features;
    let statistics = |features: &[f64], rows: &[usize]| {
        FeatureStatistics::fit(&rows_of(features, rows, dim), dim)
    };
    let (moved, decoded, real) = (
        statistics(&to.space.features_of(images, lenet)?, &moved_rows)?,
        statistics(&to.space.decoded_features, &real_rows)?,
        statistics(&to.space.real_features, &real_rows)?,
    );
    let decoded_found: Vec<u8> = to
        .test_rows
        .iter()
        .map(|&i| to.space.decoded_found[i])
        .collect();
    let digits = from.space.domain == Domain::Mnist && to.space.domain == Domain::Mnist;
    let style = if digits {
        let before = &from.test_images;
        Some(StyleScore {
            thickness: style::correlation(
                &style::stroke_thickness(before)?,
                &style::stroke_thickness(images)?,
            )?,
            slant: style::correlation(&style::slant(before)?, &style::slant(images)?)?,
        })
    } else {
        None
    };
    Ok(Scores {
        accuracy: share(&found, wanted),
        by_class,
        accuracy_linear: accuracy(&to.space.classifier, by_linear, wanted)?,
        accuracy_decoded: share(&decoded_found, &to.test_labels),
        features: to.space.features_are(lenet.is_some()),
        frechet_to_decoded: frechet_distance(&moved, &decoded)?,
        frechet_to_real: frechet_distance(&moved, &real)?,
        frechet_decoded_to_real: frechet_distance(&decoded, &real)?,
        style,
    })
}

/// Principal components that are shown.
const COMPONENTS: usize = 4;

/// Input and output images, the first of each class in the order of the test set: nothing is chosen.
fn grid(
    task: Task,
    which: usize,
    from: &Side<'_>,
    to: &Side<'_>,
    images: &Images,
    stem: &Path,
) -> Result<()> {
    let mut rows = Vec::new();
    for class in 0..CLASSES as u8 {
        let Some(wanted) = task.goes_to(which, class) else {
            continue;
        };
        let some: Vec<usize> = (0..from.test_labels.len())
            .filter(|&i| from.test_labels[i] == class)
            .take(SHOWN)
            .collect();
        let name = format!(
            "{} to {}",
            from.space.domain.class_names()[usize::from(class)],
            to.space.domain.class_names()[usize::from(wanted)]
        );
        rows.push((name, some));
    }
    GridFigure {
        title: &format!("{}, {}", task.name(), ["forward", "backward"][which]),
        caption: "Test images above what the map makes of them, the first of each class in the order of the test set.",
        inputs: &from.test_images,
        outputs: images,
        rows: &rows,
    }
    .save(stem)?;
    Ok(())
}

/// Densities of latents along the principal components of the cloud they should arrive at (Figure 11).
fn density(
    task: Task,
    which: usize,
    from: &Side<'_>,
    to: &Side<'_>,
    moved: &[f64],
    stem: &Path,
) -> Result<()> {
    let components = Components::fit(
        &[&to.test],
        to.space.vae.latent(),
        COMPONENTS.min(to.space.vae.latent()),
    )?;
    let panels = DensityPanel::of_components(
        &components,
        &[
            ("before", &from.test),
            ("wanted", &to.test),
            ("transported", moved),
        ],
    )?;
    DensityFigure {
        title: &format!(
            "{}, {}: latents of test images",
            task.name(),
            ["forward", "backward"][which]
        ),
        panels: &panels,
    }
    .save(stem)?;
    Ok(())
}

/// Accuracy over the steps (Figure 12).
fn draw_curve(task: Task, curve: &[Point], stem: &Path) -> Result<()> {
    let series = |name: &str, side: usize| {
        let points = curve
            .iter()
            .map(|p| (p.step as f64, p.accuracy[side]))
            .collect();
        Series::new(name, points, Style::Line, side)
    };
    AccuracyFigure {
        title: task.name(),
        x_label: "step",
        panels: &[LossPanel {
            title: String::new(),
            y_label: "accuracy of transported test images (%)".into(),
            series: vec![series("forward", 0), series("backward", 1)],
        }],
    }
    .save(stem)?;
    Ok(())
}

/// Which target labels there were, in a word.
fn labels_of(run: &Run) -> String {
    let mut text = match run.labels_per_class {
        Some(n) => format!("{n} a class"),
        None => "all".into(),
    };
    if let (Some(n), Some(right)) = (run.labels_spread_to, run.labels_spread_right) {
        text.push_str(&format!(", spread to {n}: {right:.1} % right"));
    }
    if run.labels_permuted {
        text.push_str(", shuffled");
    }
    text
}

/// The table.
fn table(runs: &[Run]) -> String {
    let percent = |v: f64| format!("{v:.2}");
    let mut rows = Vec::new();
    for run in runs {
        for (side, way, scores) in [(0, "forward", &run.forward), (1, "backward", &run.backward)] {
            let paper = Task::ALL
                .iter()
                .find(|t| t.name() == run.task)
                .and_then(|t| t.paper()[side]);
            let style = scores.style.as_ref();
            rows.push(vec![
                run.task.into(),
                way.into(),
                percent(scores.accuracy),
                paper.map_or("-".into(), percent),
                percent(scores.accuracy_decoded),
                percent(scores.accuracy_linear),
                digits(Some(scores.frechet_to_decoded)),
                digits(Some(scores.frechet_decoded_to_real)),
                digits(Some(scores.frechet_to_real)),
                scores.features.into(),
                digits(style.and_then(|s| s.thickness)),
                digits(style.and_then(|s| s.slant)),
            ]);
        }
    }
    let mut text = markdown(
        &[
            "task",
            "",
            "accuracy %",
            "paper",
            "decoded %",
            "linear %",
            "FD to decoded",
            "FD decoded to real",
            "FD to real",
            "features",
            "thickness kept",
            "slant kept",
        ],
        &rows,
    );
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let alone = run.energy_alone.as_ref();
            vec![
                run.task.into(),
                format!("{} / {}", run.latents[0], run.latents[1]),
                labels_of(run),
                run.report.steps.to_string(),
                duration(run.report.seconds),
                duration(run.seconds),
                digits(Some(run.transport_cost)),
                digits(alone.map(|a| a.transport_cost)),
                alone.map_or("-".into(), |a| {
                    format!("{} / {}", percent(a.accuracy[0]), percent(a.accuracy[1]))
                }),
            ]
        })
        .collect();
    text.push('\n');
    text.push_str(&markdown(
        &[
            "task",
            "latents",
            "target labels",
            "steps",
            "fit",
            "in all",
            "cost",
            "cost, ED only",
            "accuracy, ED only",
        ],
        &rows,
    ));
    for run in runs {
        let classes = |scores: &Scores| {
            scores
                .by_class
                .iter()
                .map(|c| format!("{} to {} {:.1}", c.from, c.to, c.accuracy))
                .collect::<Vec<_>>()
                .join(", ")
        };
        text.push_str(&format!(
            "\n{} forward, by class: {}\n\n{} backward, by class: {}\n\n{} certificate: {}.\n",
            run.task,
            classes(&run.forward),
            run.task,
            classes(&run.backward),
            run.task,
            run.evaluation.certificate.sentence
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_goes_where_its_image_comes_from() {
        for task in Task::ALL {
            let mut reached = std::collections::BTreeSet::new();
            for class in 0..CLASSES as u8 {
                let Some(to) = task.goes_to(0, class) else {
                    assert!(task == Task::Pairs && class % 2 == 1);
                    continue;
                };
                assert_eq!(task.goes_to(1, to), Some(class), "{} {class}", task.name());
                assert!(reached.insert(to));
            }
            assert_eq!(reached.len(), if task == Task::Pairs { 5 } else { 10 });
        }
        assert_eq!(Task::Shift.goes_to(0, 9), Some(0));
        assert_eq!(Task::Pairs.goes_to(0, 4), Some(5));
    }

    #[test]
    fn every_tenth_of_each_class_is_held_out() {
        // Classes by turns, then more of the last one.
        let labels: Vec<u8> = (0..200).map(|i| i % 10).chain([9; 10]).collect();
        let (fitted, judged) = every_tenth(&labels).unwrap();
        assert_eq!(fitted.len() + judged.len(), labels.len());
        assert!(judged.iter().all(|i| !fitted.contains(i)));
        for class in 0..10 {
            let held_out = judged.iter().filter(|&&i| labels[i] == class).count();
            assert_eq!(held_out, if class == 9 { 3 } else { 2 }, "{class}");
        }
        assert_eq!(judged[..2], [90, 91]);
        // Nineteen of a class leave one to judge.
        assert!(every_tenth(&labels[..199]).is_none());
    }

    #[test]
    fn as_many_of_each_class_are_compared() {
        let (a, b) = balanced(&[0, 1, 1, 2, 0, 1], &[1, 0, 2, 2, 1]);
        assert_eq!(a, [0, 1, 2, 3]);
        assert_eq!(b, [1, 0, 4, 2]);
    }
}

//! The networks of images: on toy pictures what must hold of any training, on real images what the files that come with the source can do.
#![cfg(feature = "latent")]
#![allow(clippy::unwrap_used)]

use charflow_lab::LabError;
use charflow_lab::classifier::{Classifier, ClassifierConfig};
use charflow_lab::frechet::{FeatureStatistics, frechet_distance};
use charflow_lab::images::{Images, read_idx_labels};
use charflow_lab::latent::{Vae, VaeConfig};
use charflow_lab::lenet::LeNet;
use charflow_lab::neural::{Progress, Schedule};
use charflow_lab::shipped::{self, Domain, Knows};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SIDE: usize = 8;

/// Trainings at the same time in one process change each other's last digits: one after the other.
static ONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bright bar, lying in class 0 and standing in class 1, somewhere, of some brightness.
fn bars(n: usize, seed: u64) -> (Images, Vec<u8>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pixels = vec![0.0; n * SIDE * SIDE];
    let labels: Vec<u8> = (0..n).map(|i| (i % 2) as u8).collect();
    for (picture, &class) in pixels.chunks_mut(SIDE * SIDE).zip(&labels) {
        let (at, bright) = (rng.random_range(1..SIDE - 2), rng.random_range(0.6..1.0));
        for along in 0..SIDE {
            for across in at..at + 2 {
                let (row, column) = if class == 0 {
                    (across, along)
                } else {
                    (along, across)
                };
                picture[row * SIDE + column] = bright;
            }
        }
    }
    (Images::new(1, SIDE, SIDE, pixels).unwrap(), labels)
}

fn schedule(seed: u64) -> Schedule {
    Schedule {
        epochs: 30,
        batch: 32,
        rate: 1e-2,
        decay: 0.01,
        shift: 0,
        mirror: false,
        blur: false,
        seed,
    }
}

fn config(seed: u64) -> VaeConfig {
    VaeConfig {
        latent: 3,
        width: 4,
        beta: 0.1,
        separation: 8.0,
        class_weight: 20.0,
        rotation: seed,
        schedule: schedule(seed),
    }
}

fn on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, LabError>, parts: &[&str]) {
    let message = outcome.unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

fn share(found: &[u8], wanted: &[u8]) -> f64 {
    let right = found.iter().zip(wanted).filter(|(a, b)| a == b).count();
    100.0 * right as f64 / wanted.len() as f64
}

#[test]
fn an_autoencoder_follows_from_its_seed_and_survives_its_file() {
    let _alone = alone();
    let (images, labels) = bars(256, 1);
    let train = |seed| Vae::train(&images, None, &config(seed), &mut on).unwrap();
    let vae = train(3);
    let bytes = vae.to_bytes().unwrap();
    assert!(bytes == train(3).to_bytes().unwrap());
    assert!(bytes != train(4).to_bytes().unwrap());

    // Every bit of every point and pixel comes back, or a weight, a statistic or its order was lost.
    let again = Vae::from_bytes(&bytes).unwrap();
    let points = vae.encode(&images).unwrap();
    assert_eq!(points, again.encode(&images).unwrap());
    let decoded = vae.decode(&points).unwrap();
    assert_eq!(decoded.pixels, again.decode(&points).unwrap().pixels);
    assert_eq!(
        (again.latent(), again.active(), again.sides()),
        (3, vae.active(), [1, SIDE, SIDE])
    );
    assert!(!again.knows_classes());

    // It has learned the bars: far better than the mean picture, on bars it has not seen too.
    let (fresh, _) = bars(100, 2);
    let back = vae.decode(&vae.encode(&fresh).unwrap()).unwrap();
    let error = |a: &[f32], b: &[f32]| -> f32 {
        a.iter().zip(b).map(|(p, q)| (p - q).powi(2)).sum::<f32>() / a.len() as f32
    };
    let mut mean = vec![0.0; SIDE * SIDE];
    for i in 0..images.len() {
        mean.iter_mut()
            .zip(images.one(i))
            .for_each(|(m, v)| *m += v / images.len() as f32);
    }
    let of_mean: Vec<f32> = (0..fresh.len()).flat_map(|_| mean.clone()).collect();
    let (ours, plain) = (
        error(&fresh.pixels, &back.pixels),
        error(&fresh.pixels, &of_mean),
    );
    assert!(ours < 0.35 * plain, "{ours} {plain}");
    assert_eq!(labels.len(), images.len());
}

#[test]
fn points_are_normalised_entry_by_entry() {
    let _alone = alone();
    let (images, _) = bars(256, 1);
    let vae = Vae::train(&images, None, &config(0), &mut on).unwrap();
    assert!(vae.active() > 0);
    let points = vae.encode(&images).unwrap();
    let n = images.len() as f64;
    let mut scaled = 0;
    for k in 0..3 {
        let column: Vec<f64> = points.iter().skip(k).step_by(3).copied().collect();
        let mean = column.iter().sum::<f64>() / n;
        let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        assert!(mean.abs() < 1e-4, "{mean}");
        // A latent that says nothing is centred and not scaled up.
        scaled += usize::from((variance - 1.0).abs() < 1e-3);
        assert!(variance < 1.001, "{variance}");
    }
    assert_eq!(scaled, vae.active());
}

#[test]
fn classes_in_training_part_the_points() {
    let _alone = alone();
    let (images, labels) = bars(256, 1);
    let vae = Vae::train(&images, Some(&labels), &config(0), &mut on).unwrap();
    assert!(vae.knows_classes());
    // Of pictures it has not seen, without their labels: along the line between the classes' means no two classes meet.
    let (fresh, of) = bars(100, 2);
    let points = vae.encode(&fresh).unwrap();
    let mut mean = [[0.0; 3]; 2];
    for (point, &class) in points.chunks(3).zip(&of) {
        for k in 0..3 {
            mean[usize::from(class)][k] += point[k] / 50.0;
        }
    }
    let along = |p: &[f64]| -> f64 { (0..3).map(|k| p[k] * (mean[1][k] - mean[0][k])).sum() };
    let side = |class: u8| {
        points
            .chunks(3)
            .zip(&of)
            .filter(move |(_, c)| **c == class)
            .map(|(p, _)| along(p))
    };
    let (last, first) = (
        side(0).fold(f64::MIN, f64::max),
        side(1).fold(f64::MAX, f64::min),
    );
    assert!(last < first, "{last} {first}");
}

#[test]
fn a_collapsed_autoencoder_is_an_error() {
    let _alone = alone();
    // All pictures alike: no latent can say anything.
    let same = Images::new(1, SIDE, SIDE, vec![0.5; 64 * SIDE * SIDE]).unwrap();
    refused(
        Vae::train(&same, None, &config(0), &mut on),
        &["collapsed", "3 latents", "beta"],
    );
    // So strong a pull to the standard normal law that nothing is worth saying.
    let (images, _) = bars(256, 1);
    let strong = VaeConfig {
        beta: 1e4,
        ..config(0)
    };
    refused(
        Vae::train(&images, None, &strong, &mut on),
        &["collapsed", "variance"],
    );
    // With labels the classes' centres vary in any case, and nothing else does.
    let (images, labels) = bars(256, 1);
    refused(
        Vae::train(&images, Some(&labels), &strong, &mut on),
        &["collapsed", "but its class"],
    );
    let vae = Vae::train(&images, Some(&labels), &config(0), &mut on).unwrap();
    assert!(vae.styles().is_some_and(|n| n > 0 && n <= 3));
}

#[test]
fn classes_that_would_lie_on_one_another_are_refused() {
    let _alone = alone();
    let (images, _) = bars(256, 1);
    let labels: Vec<u8> = (0..256).map(|i| (i % 4) as u8).collect();
    let one = VaeConfig {
        latent: 1,
        ..config(0)
    };
    refused(
        Vae::train(&images, Some(&labels), &one, &mut on),
        &["4 classes", "1 latents"],
    );
}

#[test]
fn a_damaged_file_is_an_error() {
    let _alone = alone();
    let (images, labels) = bars(256, 1);
    let bytes = Vae::train(&images, Some(&labels), &config(0), &mut on)
        .unwrap()
        .to_bytes()
        .unwrap();
    // Facts of the same length, so that the file is whole but for them.
    for (was, is) in [
        ("height=8", "height=0"),
        ("height=8", "height=7"),
        ("latent=3", "latent=0"),
        ("classes=2", "classes=0"),
        ("channels=1", "channels=2"),
    ] {
        let at = bytes
            .windows(was.len())
            .position(|w| w == was.as_bytes())
            .unwrap_or_else(|| panic!("{was}"));
        let mut damaged = bytes.clone();
        damaged[at..at + is.len()].copy_from_slice(is.as_bytes());
        assert!(Vae::from_bytes(&damaged).is_err(), "{is}");
    }
}

#[test]
fn grey_images_are_grey_in_colour() {
    let (images, _) = bars(3, 1);
    let coloured = images.clone().with_channels(3);
    assert_eq!(coloured.sides(), [3, SIDE, SIDE]);
    for i in 0..3 {
        assert_eq!(coloured.one(i), images.one(i).repeat(3));
    }
    assert_eq!(images.clone().with_channels(1).pixels, images.pixels);
    assert_eq!(coloured.clone().with_channels(1).pixels, coloured.pixels);
}

#[test]
fn a_classifier_learns_follows_from_its_seed_and_survives_its_file() {
    let _alone = alone();
    let (images, labels) = bars(256, 1);
    let config = ClassifierConfig {
        width: 4,
        schedule: Schedule {
            epochs: 10,
            ..schedule(5)
        },
    };
    let train = || Classifier::train(&images, &labels, &config, &mut on).unwrap();
    let classifier = train();
    let bytes = classifier.to_bytes().unwrap();
    assert!(bytes == train().to_bytes().unwrap());
    let (fresh, of) = bars(200, 2);
    assert_eq!(classifier.classify(&fresh).unwrap(), of);
    let again = Classifier::from_bytes(&bytes).unwrap();
    assert_eq!(again.classify(&fresh).unwrap(), of);
    assert_eq!(
        again.features(&fresh).unwrap(),
        classifier.features(&fresh).unwrap()
    );
    assert_eq!((again.classes(), again.feature_dim()), (2, 16));
    assert_eq!(again.features(&fresh).unwrap().len(), 200 * 16);
}

#[test]
fn what_does_not_fit_is_refused() {
    let _alone = alone();
    let (images, labels) = bars(64, 1);
    let quick = VaeConfig {
        schedule: Schedule {
            epochs: 1,
            ..schedule(0)
        },
        ..config(0)
    };
    let train = |labels: &[u8]| Vae::train(&images, Some(labels), &quick, &mut on);
    refused(train(&labels[..60]), &["60 labels", "64 images"]);
    refused(train(&[0; 64]), &["there is only one class"]);
    let gap: Vec<u8> = labels.iter().map(|l| 2 * l).collect();
    refused(train(&gap), &["label 1", "go up to 2"]);
    let odd = Images::new(1, 6, 10, vec![0.5; 600]).unwrap();
    refused(
        Vae::train(&odd, None, &quick, &mut on),
        &["6 x 10", "multiples of 4"],
    );
    // Ended by who watches.
    let mut steps = 0;
    let ended = Vae::train(&images, None, &quick, &mut |_| {
        steps += 1;
        ControlFlow::Break(())
    });
    assert!(matches!(ended, Err(LabError::Interrupted)), "{ended:?}");
    assert_eq!(steps, 1);

    let vae = Vae::train(&images, Some(&labels), &config(0), &mut on).unwrap();
    refused(vae.encode(&odd), &["6 x 10", "8 x 8"]);
    refused(vae.decode(&[]), &["no points"]);
    refused(vae.decode(&[0.0; 4]), &["points", "3"]);
    refused(
        vae.decode(&[0.0, 0.0, 0.0, 0.0, f64::NAN, 0.0]),
        &["point 1", "NaN"],
    );
    let bytes = vae.to_bytes().unwrap();
    refused(
        Classifier::from_bytes(&bytes),
        &["a charflow autoencoder", "a charflow classifier"],
    );
    refused(
        Vae::from_bytes(&bytes[..bytes.len() - 7]),
        &["no whole safetensors file"],
    );
    refused(Vae::from_bytes(b"P6 8 8 255"), &["safetensors"]);
    refused(Vae::from_bytes(&[]), &["safetensors"]);
}

/// The folder of real data, if all of these are in it; says aloud what is skipped otherwise.
fn real_data(needed: &[&str]) -> Option<PathBuf> {
    let folder = match std::env::var_os("CHARFLOW_DATA") {
        Some(f) => PathBuf::from(f),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    if needed.iter().all(|name| folder.join(name).exists()) {
        return Some(folder);
    }
    let _ = writeln!(
        std::io::stderr(),
        "skipped: no {}; set CHARFLOW_DATA to the folder of real data",
        needed.join(" and ")
    );
    None
}

fn images(data: &Path, domain: Domain, part: &str) -> (Images, Vec<u8>) {
    let file = |kind: &str| data.join(format!("{}/{part}-{kind}-ubyte.gz", domain.folder()));
    let images = Images::read_idx(&file("images-idx3")).unwrap();
    let labels = read_idx_labels(&file("labels-idx1"), images.len(), 10).unwrap();
    (images, labels)
}

#[test]
fn what_comes_with_the_source_can_be_read() {
    let mut latent = Vec::new();
    for domain in Domain::ALL {
        let classifier = shipped::classifier(domain).unwrap();
        assert_eq!(classifier.classes(), 10);
        assert!(classifier.to_bytes().unwrap().len() < 5_000_000);
        for knows in Knows::ALL {
            let vae = shipped::autoencoder(domain, knows).unwrap();
            assert_eq!(vae.knows_classes(), knows == Knows::Classes);
            assert_eq!(vae.sides(), [1, 28, 28]);
            assert!(vae.to_bytes().unwrap().len() < 5_000_000);
            latent.push(vae.latent());
        }
    }
    // A map goes between spaces of one dimension.
    assert!(latent.iter().all(|&k| k == latent[0]), "{latent:?}");
}

/// The figures that the README promises: classifiers on real test images, and on what the autoencoders make of them.
#[test]
fn what_comes_with_the_source_is_as_good_as_promised() {
    let Some(data) = real_data(&["mnist", "fashion-mnist"]) else {
        return;
    };
    // What was measured, less what another rounding may change: classifier, then images decoded by the autoencoders that were told the classes and not.
    for (domain, real, kept) in [
        (Domain::Mnist, 99.4, [98.9, 98.3]),
        (Domain::Fashion, 92.4, [90.3, 85.8]),
    ] {
        let (test, labels) = images(&data, domain, "t10k");
        let classifier = shipped::classifier(domain).unwrap();
        let found = share(&classifier.classify(&test).unwrap(), &labels);
        assert!(found >= real, "{domain:?}: {found}");
        for (knows, kept) in [Knows::Classes, Knows::Images].into_iter().zip(kept) {
            let vae = shipped::autoencoder(domain, knows).unwrap();
            let decoded = vae.decode(&vae.encode(&test).unwrap()).unwrap();
            let found = share(&classifier.classify(&decoded).unwrap(), &labels);
            assert!(found >= kept, "{domain:?} {knows:?}: {found}");
        }
    }
}

/// Against another implementation's numbers for the same weights and images.
#[test]
fn le_net_and_the_frechet_distance_are_as_measured_elsewhere() {
    let file = "extractors/lenet5_mnist.safetensors";
    let Some(data) = real_data(&["mnist", "fashion-mnist", file]) else {
        return;
    };
    let lenet = LeNet::read(&data.join(file)).unwrap();
    let (digits, labels) = images(&data, Domain::Mnist, "t10k");
    let right = share(&lenet.classify(&digits).unwrap(), &labels);
    assert!((right - 98.79).abs() < 0.015, "{right}");
    let of = |images: &Images| {
        FeatureStatistics::fit(&lenet.features(images).unwrap(), LeNet::FEATURES).unwrap()
    };
    let part = |rows: Vec<usize>| of(&digits.select(&rows));
    let all = of(&digits);
    let close = |a: &FeatureStatistics, b: &FeatureStatistics, expected: f64| {
        let found = frechet_distance(a, b).unwrap();
        assert!(
            (found / expected - 1.0).abs() < 2e-3,
            "{found}, expected {expected}"
        );
    };
    close(
        &part((0..5000).collect()),
        &part((5000..10_000).collect()),
        0.84366,
    );
    let zeros = (0..labels.len()).filter(|&i| labels[i] == 0).collect();
    close(&all, &part(zeros), 90.123);
    let (clothes, _) = images(&data, Domain::Fashion, "t10k");
    close(&all, &of(&clothes), 44.7111);
    let (train, _) = images(&data, Domain::Mnist, "train");
    close(&of(&train), &all, 0.05123);
}

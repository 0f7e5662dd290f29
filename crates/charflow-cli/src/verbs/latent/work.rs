//! Train, encode, decode.

use super::images::{Form, Labelled, write};
use super::{Decode, Encode, Train};
use crate::failure::{Failure, Result};
use crate::files::same_file;
use crate::interrupt::{self, Guard};
use crate::run::write_file;
use crate::terminal::{duration, note, quoted, say, shown, tell};
use crate::verbs::evaluate::to_json;
use charflow_io::{Format, Precision, ReadOptions, Writer, read};
use charflow_lab::LabError;
use charflow_lab::latent::{Vae, VaeConfig};
use charflow_lab::neural::{Progress, Schedule};
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// Shows a training every few seconds and stops it when asked to.
pub fn watch() -> impl FnMut(&Progress) -> ControlFlow<()> {
    let mut last = Instant::now();
    move |p| {
        if last.elapsed() > Duration::from_secs(10) {
            last = Instant::now();
            let left = p.seconds / p.step as f64 * (p.steps - p.step) as f64;
            tell(&format!(
                "step {}/{}  loss {:.4}  {} left",
                p.step,
                p.steps,
                p.loss,
                duration(left)
            ));
        }
        if interrupt::asked() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// An autoencoder from its file.
///
/// # Errors
/// A file that cannot be read or is something else.
pub fn load(path: &Path) -> Result<Vae> {
    let bytes = std::fs::read(path).map_err(|e| Failure::system(path, "cannot be read", &e))?;
    Vae::from_bytes(&bytes).map_err(|e| Failure::input(format!("{}: {e}.", path.display())))
}

fn check_free(out: &Path, force: bool) -> Result<()> {
    if out.exists() && !force {
        return Err(Failure::input(format!(
            "{} is there already. Choose another name, or replace it with --force.",
            out.display()
        )));
    }
    // Told before the work, not after it. Nothing is left of the attempt.
    let model = out.extension().is_some_and(|e| e == "safetensors");
    if model || !matches!(Form::of(out), Form::Folder) {
        drop(charflow_io::AtomicFile::create(out)?);
    }
    Ok(())
}

/// What a training tells.
#[derive(Serialize)]
struct Report {
    images: usize,
    classes: usize,
    latent: usize,
    active: usize,
    /// With classes: latents that say something beside the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    styles: Option<usize>,
    /// Mean squared error of a pixel of the training images, in `[0, 1]` squared.
    squared_error: f64,
    /// The same of the mean image.
    squared_error_of_the_mean: f64,
    seconds: f64,
    bytes: usize,
}

impl Train {
    fn check(&self) -> Result<()> {
        let range = |name: &str, value: f64, least: f64, most: f64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(Failure::input(format!(
                    "--{name} {value}: expected {least} to {most}."
                )))
            }
        };
        range("latent", self.latent as f64, 1.0, 512.0)?;
        range("width", self.width as f64, 1.0, 256.0)?;
        range("beta", self.beta, 0.0, 1e6)?;
        range("separation", self.separation, 0.0, 1e3)?;
        range("class-weight", self.class_weight, 0.0, 1e6)?;
        range("epochs", self.epochs as f64, 1.0, 1e6)?;
        range("batch", self.batch as f64, 2.0, 1e5)?;
        range("rate", self.rate, 1e-9, 1.0)?;
        range("shift", self.shift as f64, 0.0, 64.0)?;
        if self.out.extension().is_none_or(|e| e != "safetensors") {
            return Err(Failure::input(format!(
                "{}: the autoencoder's file is a .safetensors.",
                self.out.display()
            )));
        }
        check_free(&self.out, self.force)
    }

    /// Trains and writes.
    pub fn run(self) -> Result<()> {
        self.check()?;
        let labelled = self.source.read()?;
        let classes = labelled.classes()?;
        let Labelled { images, .. } = labelled;
        let config = VaeConfig {
            latent: self.latent,
            width: self.width,
            beta: self.beta,
            separation: self.separation,
            class_weight: self.class_weight,
            rotation: self.seed,
            schedule: Schedule {
                epochs: self.epochs,
                batch: self.batch,
                rate: self.rate,
                decay: 0.01,
                shift: self.shift,
                mirror: self.mirror,
                blur: false,
                seed: self.seed,
            },
        };
        tell(&format!(
            "{} images of {} x {}, {}, {} passes",
            images.len(),
            images.height,
            images.width,
            classes
                .as_ref()
                .map_or("no classes".into(), |c| format!("{} classes", c.0.len())),
            self.epochs
        ));
        let _guard = Guard::new();
        let started = Instant::now();
        let labels = classes.as_ref().map(|c| c.1.as_slice());
        let vae = match Vae::train(&images, labels, &config, &mut watch()) {
            Err(LabError::Interrupted) => {
                return Err(Failure::Short("interrupted; nothing was written.".into()));
            }
            done => done?,
        };
        let seconds = started.elapsed().as_secs_f64();
        let bytes = vae.to_bytes()?;
        let decoded = vae.decode(&vae.encode(&images)?)?;
        let (n, each) = (images.len() as f64, images.each());
        let mut mean = vec![0.0; each];
        for i in 0..images.len() {
            mean.iter_mut()
                .zip(images.one(i))
                .for_each(|(m, v)| *m += f64::from(*v) / n);
        }
        let (mut error, mut of_mean) = (0.0, 0.0);
        for (k, (a, b)) in images.pixels.iter().zip(&decoded.pixels).enumerate() {
            error += f64::from(a - b).powi(2);
            of_mean += (f64::from(*a) - mean[k % each]).powi(2);
        }
        let report = Report {
            images: images.len(),
            classes: classes.as_ref().map_or(0, |c| c.0.len()),
            latent: vae.latent(),
            active: vae.active(),
            styles: vae.styles(),
            squared_error: error / images.pixels.len() as f64,
            squared_error_of_the_mean: of_mean / images.pixels.len() as f64,
            seconds,
            bytes: bytes.len(),
        };
        write_file(&self.out, &bytes)?;
        let active = report.styles.unwrap_or(report.active);
        if active < report.latent {
            note(&format!(
                "{} of the {} latents have collapsed: they say nothing about the image{} (variance of their mean below {}). They are harmless; a smaller --beta keeps more, a \
                 smaller --latent leaves them out.",
                report.latent - active,
                report.latent,
                if report.styles.is_some() {
                    " but its class"
                } else {
                    ""
                },
                charflow_lab::latent::ACTIVE
            ));
        }
        if self.json {
            return say(&to_json(&report)?);
        }
        say(&format!(
            "{}: {} latents, {} of them active; squared error of a pixel {:.4} (the mean image: {:.4}); {}",
            shown(&self.out),
            report.latent,
            active,
            report.squared_error,
            report.squared_error_of_the_mean,
            duration(seconds)
        ))?;
        let mut beside = String::new();
        if let Some((height, width)) = self.source.size {
            beside.push_str(&format!(" --size {height}x{width}"));
        }
        if let Some(labels) = &self.source.labels {
            beside.push_str(&format!(" --labels {}", quoted(labels)));
        }
        say(&format!(
            "next: charflow latent encode {} {}{beside} -o points.csv",
            shown(&self.out),
            shown(&self.source.images)
        ))
    }
}

impl Encode {
    /// Encodes and writes.
    pub fn run(self) -> Result<()> {
        check_free(&self.out, self.force)?;
        let format = Format::of(&self.out)?;
        let vae = load(&self.model)?;
        if same_file(&self.source.images, &self.out) {
            return Err(Failure::input("the input and the output are one file."));
        }
        let Labelled { images, labels } = self.source.read()?;
        let images = images.with_channels(vae.sides()[0]);
        if labels.is_some() && !format.holds_text() {
            return Err(Failure::input(format!(
                "{}: these images have classes, which this format does not hold. Write .csv, .tsv or .parquet.",
                self.out.display()
            )));
        }
        let points = vae
            .encode(&images)
            .map_err(|e| Failure::input(format!("{}: {e}.", self.source.images.display())))?;
        let columns: Vec<String> = (1..=vae.latent()).map(|k| format!("z{k}")).collect();
        let extra: &[String] = if labels.is_some() {
            &["label".to_string()]
        } else {
            &[]
        };
        let mut writer = Writer::create(&self.out, &columns, extra, Precision::F32)?;
        writer.write(&points, labels.as_deref().unwrap_or_default())?;
        writer.finish()?;
        say(&format!(
            "{}: {} points, columns z1 to z{}{}",
            shown(&self.out),
            images.len(),
            vae.latent(),
            if labels.is_some() { " and label" } else { "" }
        ))
    }
}

impl Decode {
    /// Decodes and writes.
    pub fn run(self) -> Result<()> {
        let folder = matches!(Form::of(&self.out), Form::Folder);
        let filled = folder
            && std::fs::read_dir(&self.out).is_ok_and(|mut entries| entries.next().is_some());
        if filled || !folder {
            check_free(&self.out, self.force)?;
        }
        if same_file(&self.points, &self.out) {
            return Err(Failure::input("the input and the output are one file."));
        }
        let vae = load(&self.model)?;
        let latents: Vec<String> = (1..=vae.latent()).map(|k| format!("z{k}")).collect();
        let named = ReadOptions {
            columns: Some(charflow_io::columns_spec(&latents)),
            ..ReadOptions::default()
        };
        // By their names, in whatever order and with whatever beside them, if they have those that encode gives them.
        let by_name = charflow_io::Reader::open(&self.points, &named).is_ok_and(|r| r.has_names());
        let options = if by_name {
            named
        } else {
            let columns = (!self.drop.is_empty()).then(|| kept(&self.points, &self.drop));
            ReadOptions {
                columns: columns.transpose()?,
                ..ReadOptions::default()
            }
        };
        let table = read(&self.points, &options)?;
        if table.has_names && !by_name {
            note(&format!(
                "{}: the columns are not named z1 to z{}; they are taken in the order they are in",
                self.points.display(),
                vae.latent()
            ));
        }
        if table.dim != vae.latent() {
            return Err(Failure::input(format!(
                "{}: {} columns; the autoencoder {} has {} latents. Columns that are no coordinates are left out with --drop.",
                self.points.display(),
                table.dim,
                self.model.display(),
                vae.latent()
            )));
        }
        let images = vae.decode(&table.to_f64())?;
        let what = write(&images, &self.out)?;
        say(&format!("{}: {what}", shown(&self.out)))
    }
}

/// The columns of a table without some of them.
fn kept(path: &Path, drop: &[String]) -> Result<String> {
    // Labels may hold text, and with them left out by name the header can be read.
    let options = ReadOptions {
        labels: drop.first().cloned(),
        ..ReadOptions::default()
    };
    let reader = charflow_io::Reader::open(path, &options)?;
    if let Some(unknown) = drop.iter().skip(1).find(|d| !reader.columns().contains(d)) {
        return Err(Failure::input(format!(
            "--drop {unknown}: {} has no such column.",
            path.display()
        )));
    }
    let names: Vec<&String> = reader
        .columns()
        .iter()
        .filter(|c| !drop.contains(c))
        .collect();
    Ok(charflow_io::columns_spec(&names))
}

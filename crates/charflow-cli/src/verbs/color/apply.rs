//! A fitted look on more pictures.

use super::pair::recolored;
use super::{Color, LookRecord, Use, space_named};
use crate::failure::{Failure, Result};
use crate::files::same_file;
use crate::interrupt::{self, Guard};
use crate::run::Fitted;
use crate::terminal::{duration, note, say, shown, tell};
use charflow_io::picture::{Picture, PictureFormat};
use charflow_lab::color::Way;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

impl Color {
    /// Every picture through the look of `run`, written to the folder under its own name. All names are looked at before the first picture is read; a picture that cannot be
    /// used ends the work, and those before it stay.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(super) fn apply_to_all(&self, run: &Path) -> Result<()> {
        let record = record_of(run)?;
        let fitted = Fitted::open(run)?;
        let usage = Use {
            space: space_named(&record.space).map_err(|e| {
                Failure::input(format!(
                    "{}: space {}: {e}.",
                    run.join("color.toml").display(),
                    record.space
                ))
            })?,
            kind: self.look.unwrap_or(record.look),
            strength: self.strength.unwrap_or(record.strength),
            exact: self.exact,
            grain: if self.no_grain {
                None
            } else {
                self.seed.or(record.grain)
            },
        };
        let places = self.places()?;
        std::fs::create_dir_all(&self.out)
            .map_err(|e| Failure::system(&self.out, "the folder cannot be made", &e))?;
        let way = if self.backward {
            Way::Backward
        } else {
            Way::Forward
        };
        // The table, once it is needed.
        let mut table = None;
        let guard = Guard::new();
        let count = places.len();
        for (k, (image, place)) in places.into_iter().enumerate() {
            let started = Instant::now();
            if interrupt::asked() {
                return Err(Failure::Short(format!(
                    "interrupted; {k} of {count} pictures are in {}.",
                    self.out.display()
                )));
            }
            let picture = Picture::read(image)?;
            for text in picture.notes() {
                note(&format!("{}: {text}", image.display()));
            }
            if picture.format() != PictureFormat::of(&place)? {
                note(&format!(
                    "{}: its content is another format than its name says; it is written as the name says",
                    image.display()
                ));
            }
            let pixels = picture.pixels();
            let applied = Instant::now();
            let (mut result, done) = if usage.goes_through_table(pixels) {
                let through = match table.take() {
                    Some(table) => table,
                    None => usage.through(&fitted.map, way, pixels)?,
                };
                let done = recolored(&picture, &*through, usage.finish())?;
                table = Some(through);
                done
            } else {
                let look = usage.look(&fitted.map, way);
                recolored(&picture, &look, usage.finish())?
            };
            result.set_grey(record.grey && picture.is_grey());
            let applied = applied.elapsed().as_secs_f64();
            result.write(&place, self.quality)?;
            tell(&format!(
                "{}: {} x {}, colours in {}, {:.1} % clipped, all in {}",
                shown(&place),
                picture.width(),
                picture.height(),
                duration(applied),
                100.0 * done.clipped,
                duration(started.elapsed().as_secs_f64())
            ));
        }
        drop(guard);
        say(&format!(
            "{count} picture{} in {}",
            if count == 1 { "" } else { "s" },
            shown(&self.out)
        ))
    }

    /// Where each picture goes.
    fn places(&self) -> Result<Vec<(&PathBuf, PathBuf)>> {
        let mut taken: BTreeMap<PathBuf, &PathBuf> = BTreeMap::new();
        let mut places = Vec::new();
        for image in &self.images {
            let name = image
                .file_name()
                .ok_or_else(|| Failure::input(format!("{}: names no file.", image.display())))?;
            let place = self.out.join(name);
            PictureFormat::of(&place)?;
            if let Some(other) = taken.insert(place.clone(), image) {
                return Err(Failure::input(format!(
                    "{} and {} would both be written to {}. Take them one folder at a time.",
                    other.display(),
                    image.display(),
                    place.display()
                )));
            }
            if same_file(image, &place) {
                return Err(Failure::input(format!(
                    "{} is a picture to read; it would be lost. Choose another folder with -o.",
                    place.display()
                )));
            }
            if place.exists() && !self.force {
                return Err(Failure::input(format!(
                    "{} exists already. Choose another folder with -o, or replace it by --force.",
                    place.display()
                )));
            }
            places.push((image, place));
        }
        Ok(places)
    }
}

/// What the run's look is.
fn record_of(run: &Path) -> Result<LookRecord> {
    let path = run.join("color.toml");
    if !path.exists() {
        return Err(Failure::input(format!(
            "{}: this is no run of charflow color (no color.toml in it). Make one with: charflow color A B -o DIR",
            run.display()
        )));
    }
    let text =
        std::fs::read_to_string(&path).map_err(|e| Failure::system(&path, "cannot be read", &e))?;
    toml::from_str(&text)
        .map_err(|e| Failure::input(format!("{}: {}", path.display(), e.message())))
}

//! `charflow color`: two pictures go in; each comes out in the other's colours, with look-up tables for other programs.
//!
//! | file | what |
//! |---|---|
//! | `pair` | two pictures as a problem, and its solution |
//! | `judge` | how alike the colours are, beside what others make of it |
//! | `apply` | a fitted look on more pictures |
//! | `output` | a folder that appears whole |

mod apply;
mod judge;
mod output;
mod pair;

pub use judge::{Judged, Score, Wanted, fitted_baselines, judge};
pub use pair::{Finish, Fitting, Side, histograms, recolored};

use super::evaluate::to_json;
use crate::failure::{Failure, Result};
use crate::interrupt::{self, Guard};
use crate::run::{FIGURES, RunDir, check_free, command_line, write_file};
use crate::terminal::{duration, note, parse_duration, say, shown};
use charflow::evaluate::{Evaluation, evaluate_on};
use charflow::map::ForwardMap;
use charflow::model::CharacteristicMap;
use charflow::solver::Report;
use charflow_io::picture::Picture;
use charflow_lab::color::{Averaged, Look, Space, Table, Way};
use charflow_lab::figures::{ColorFigure, Raster};
use output::Staging;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Give two pictures each other's colours.
///
/// Writes a folder: forward (A in the colours of B) and backward (B in the colours of A), in size, format and bit depth of the originals; forward.cube and backward.cube, 3-D look-up tables for
/// photo and video programs; a figure of all four with their histograms; report.json with the certificate, and with scores of every method beside ours; the model. JPEG, PNG, TIFF and WebP.
///
/// With --apply a fitted look goes on more pictures, such as the frames of a film.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  charflow color day.jpg sunset.jpg -o sunset-look
  charflow color day.jpg sunset.jpg -o half-way --strength 0.5 --look graded
  charflow color --apply sunset-look frame-1.png frame-2.png -o frames
  ffmpeg -i film.mp4 -vf lut3d=sunset-look/forward.cube film-at-sunset.mp4")]
pub struct Color {
    /// Two pictures, A and B; with --apply, any number
    #[arg(value_name = "IMAGE", required = true, num_args = 1..)]
    images: Vec<PathBuf>,
    /// The folder to make
    #[arg(short = 'o', long = "out", value_name = "DIR")]
    out: PathBuf,
    /// Use the look fitted in RUN on the pictures, each written to DIR under its own name
    #[arg(long, value_name = "RUN")]
    apply: Option<PathBuf>,
    /// With --apply: from the colours of B to those of A
    #[arg(long, requires = "apply")]
    backward: bool,
    /// full: the map as it is; graded: averaged over nearby colours and its changes smoothed over the picture, for the eye; histograms are matched less closely [default: full, or that of the run]
    #[arg(long, value_enum)]
    look: Option<Kind>,
    /// How far to go, from 0 (the picture as it is) to 1: a displacement interpolation [default: 1, or that of the run]
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    strength: Option<f64>,
    /// Where colours are points: srgb (as stored), linear (light) or oklab [default: srgb]
    #[arg(long, value_name = "SPACE", value_parser = space_named, conflicts_with = "apply")]
    space: Option<Space>,
    /// Nodes an axis of the look-up tables, 2 to 129
    #[arg(long, value_name = "N", default_value_t = 33, conflicts_with = "apply")]
    lut_size: usize,
    /// How much work the fit is given: quick, normal or best [default: normal]
    #[arg(long, value_name = "EFFORT", conflicts_with = "apply")]
    effort: Option<String>,
    /// The network for every pixel, however large the picture; without it pictures above 512 x 512 go through a table of 65 nodes an axis
    #[arg(long)]
    exact: bool,
    /// Take 8-bit levels as they are, without spreading pixels over them; stretched tones may then show bands
    #[arg(long)]
    no_grain: bool,
    /// Quality of JPEG files, 1 to 100
    #[arg(long, value_name = "Q", default_value_t = 95, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// Optimisation steps
    #[arg(long, value_name = "N", conflicts_with = "apply")]
    steps: Option<u64>,
    /// Stop the fit after this time with what there is: 90, 90s, 5m
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "apply")]
    time_limit: Option<f64>,
    /// One setting by its name in config.toml, such as optimiser.rate=1e-3; may be repeated
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "apply")]
    set: Vec<String>,
    /// Seed of everything random [default: 0, or that of the run]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Threads; 0 for all cores. Results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Replace the run in DIR; with --apply, pictures in it
    #[arg(long)]
    force: bool,
    /// Draw no figure
    #[arg(long, conflicts_with = "apply")]
    no_figures: bool,
    /// Print the report as JSON
    #[arg(long, conflicts_with = "apply")]
    json: bool,
}

/// How a map becomes a look.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The map as it is
    Full,
    /// Averaged over nearby colours
    Graded,
}

impl Kind {
    /// What is averaged over: 15 of 255 levels.
    fn averaged(self) -> Option<Averaged> {
        (self == Kind::Graded).then_some(Averaged(0.06))
    }
}

fn space_named(name: &str) -> Result<Space, String> {
    Space::named(name).ok_or_else(|| format!("expected {}", Space::ALL.map(Space::name).join(", ")))
}

/// `color.toml`: what a look is, beside its model.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct LookRecord {
    /// Version of charflow that wrote it.
    charflow: String,
    /// Where colours are points.
    space: String,
    /// How the map becomes a look.
    look: Kind,
    /// How far it goes.
    strength: f64,
    /// Nodes an axis of the tables.
    lut_size: usize,
    /// Whether both pictures are grey, so that results are.
    grey: bool,
    /// Seed of the grain; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    grain: Option<u64>,
    /// A.
    source: PictureRecord,
    /// B.
    target: PictureRecord,
}

/// A picture of a run.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
struct PictureRecord {
    path: PathBuf,
    width: u32,
    height: u32,
    bits: u32,
}

impl PictureRecord {
    fn of(path: &Path, picture: &Picture) -> Self {
        PictureRecord {
            path: path.to_path_buf(),
            width: picture.width(),
            height: picture.height(),
            bits: picture.bits(),
        }
    }
}

/// What `report.json` holds.
#[derive(Serialize)]
struct Json<'a> {
    charflow: &'static str,
    isa: &'static str,
    command: String,
    done: bool,
    /// Reading, fitting, recolouring, judging and writing, up to this report.
    seconds: f64,
    solve: &'a Report,
    look: &'a LookRecord,
    /// Of the map between the laws of colours, at full strength and not averaged.
    evaluation: &'a Evaluation,
    /// A in the colours of B.
    forward: &'a Judged,
    /// B in the colours of A.
    backward: &'a Judged,
    /// Mean distance in levels between the table of the .cube file and the network, over the pixels of the picture, forward and backward.
    table_error: [f64; 2],
    notes: &'a [String],
}

/// How looks are used on pictures.
#[derive(Clone, Copy)]
pub struct Use {
    /// Where colours are points.
    pub space: Space,
    /// How the map becomes a look.
    pub kind: Kind,
    /// How far it goes.
    pub strength: f64,
    /// The network for every pixel.
    pub exact: bool,
    /// Seed of the grain, if there is any.
    pub grain: Option<u64>,
}

/// The share of stretched pixels from which on it is said.
const NOISY: f64 = 0.1;
/// Pictures of at most so many pixels go through the network itself: a table costs as much.
const EXACT_PIXELS: usize = 512 * 512;
/// Nodes an axis of the table that larger ones go through.
const TABLE: usize = 65;

impl Use {
    /// The look of a map.
    pub fn look<'a>(&self, map: &'a CharacteristicMap, way: Way) -> Look<'a, CharacteristicMap> {
        Look::new(map, way, self.space)
            .at(self.strength)
            .averaged(self.kind.averaged())
    }

    /// What a picture of that many pixels goes through.
    ///
    /// # Errors
    /// What the map says.
    pub fn through<'a>(
        &self,
        map: &'a CharacteristicMap,
        way: Way,
        pixels: usize,
    ) -> Result<Box<dyn ForwardMap + Sync + 'a>> {
        let look = self.look(map, way);
        Ok(if self.goes_through_table(pixels) {
            Box::new(Table::of(&look, TABLE)?)
        } else {
            Box::new(look)
        })
    }

    /// As tables call it: baselines go all the way, so a look that does not is named.
    pub fn name(&self) -> String {
        let mut name = String::from("charflow");
        if self.kind == Kind::Graded {
            name.push_str(", graded");
        }
        if self.strength < 1.0 {
            name.push_str(&format!(", {:.2}", self.strength));
        }
        name
    }

    /// What is done about stretched noise.
    pub fn finish(&self) -> Finish {
        match (self.kind, self.grain) {
            (Kind::Graded, _) => Finish::Smooth,
            (Kind::Full, Some(seed)) => Finish::Grain(seed),
            (Kind::Full, None) => Finish::Plain,
        }
    }

    /// Whether a picture of that many pixels goes through a table.
    fn goes_through_table(&self, pixels: usize) -> bool {
        !self.exact && pixels > EXACT_PIXELS
    }
}

impl Color {
    /// Runs the verb.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<()> {
        if let Some(s) = self.strength
            && !(0.0..=1.0).contains(&s)
        {
            return Err(Failure::input(format!(
                "--strength {s}: expected a number from 0 (the picture as it is) to 1 (the other's colours)."
            )));
        }
        super::set_threads(self.threads)?;
        match &self.apply {
            Some(run) => self.apply_to_all(run),
            None => self.fit(),
        }
    }

    fn fit(&self) -> Result<()> {
        let started = Instant::now();
        let [a, b] = &self.images[..] else {
            return Err(Failure::input(format!(
                "{} picture{} given: expected two, A and B. To use a fitted look on more pictures: charflow color --apply RUN IMAGE... -o DIR",
                self.images.len(),
                if self.images.len() == 1 { "" } else { "s" }
            )));
        };
        if !Table::SIZES.contains(&self.lut_size) {
            return Err(Failure::input(format!(
                "--lut-size {}: expected {} to {} nodes an axis; 33 is what most programs use.",
                self.lut_size,
                Table::SIZES.start(),
                Table::SIZES.end()
            )));
        }
        let run = RunDir::new(&self.out);
        check_free(&run, self.force).map_err(|e| match e {
            // There is no going on with a look: a fit is a matter of seconds.
            Failure::Input(_) if !self.force && run.looks_like_a_run() => Failure::input(format!(
                "{} holds a run already. Replace it by --force, or choose another folder with -o.",
                self.out.display()
            )),
            e => e,
        })?;
        if let Ok(out) = self.out.canonicalize()
            && let Some(image) = self
                .images
                .iter()
                .find(|i| i.canonicalize().is_ok_and(|i| i.starts_with(&out)))
        {
            return Err(Failure::input(format!(
                "{} lies in {}, where it could be replaced. Choose another folder with -o.",
                image.display(),
                self.out.display()
            )));
        }
        let _guard = Guard::new();
        let seed = self.seed.unwrap_or(0);
        let fitting = Fitting {
            space: self.space.unwrap_or_default(),
            effort: self.effort.clone().unwrap_or_else(|| "normal".into()),
            seed,
            threads: self.threads,
            time_limit: self.time_limit.unwrap_or(0.0),
            steps: self.steps,
            set: self.set.clone(),
        };
        // Wrong settings, and a folder that cannot be written, are told before large pictures are read.
        fitting.config(2, 2)?;
        drop(Staging::begin(&self.out)?);
        let (source, target) = (Side::read(a)?, Side::read(b)?);
        let mut notes: Vec<String> = [&source, &target]
            .iter()
            .flat_map(|s| s.picture.notes().iter().map(|n| format!("{}: {n}", s.name)))
            .collect();
        if source.picture.icc() != target.picture.icc() {
            notes.push("the pictures have different colour profiles; their values are matched as they are stored, and each result keeps the profile of its own picture".into());
        }
        let usage = Use {
            space: fitting.space,
            kind: self.look.unwrap_or(Kind::Full),
            strength: self.strength.unwrap_or(1.0),
            exact: self.exact,
            grain: (!self.no_grain).then_some(seed),
        };
        let record = LookRecord {
            charflow: env!("CARGO_PKG_VERSION").into(),
            space: usage.space.name().into(),
            look: usage.kind,
            strength: usage.strength,
            lut_size: self.lut_size,
            grey: source.picture.is_grey() && target.picture.is_grey(),
            grain: usage.grain,
            source: PictureRecord::of(a, &source.picture),
            target: PictureRecord::of(b, &target.picture),
        };
        let (problem, config) = fitting.problem(&source, &target)?;
        if !self.json {
            say(&begun(&record))?;
        }
        let solution = fitting.solve(problem, &config)?;
        let map = &solution.map;
        let (x, y) = &solution.points;
        let evaluation = evaluate_on(solution.origin(), map, x, y, None, config.seed)?;

        let baselines = fitted_baselines(&source, &target)?;
        let mut judged = Vec::new();
        let mut results = Vec::new();
        let mut tables = Vec::new();
        let mut table_error = [0.0; 2];
        for (k, (way, from, to)) in [
            (Way::Forward, &source, &target),
            (Way::Backward, &target, &source),
        ]
        .into_iter()
        .enumerate()
        {
            if interrupt::asked() {
                return Err(Failure::Short("interrupted; nothing was written.".into()));
            }
            let through = usage.through(map, way, from.picture.pixels())?;
            let (mut result, done) = recolored(&from.picture, &*through, usage.finish())?;
            result.set_grey(record.grey);
            if done.stretched > NOISY {
                notes.push(format!(
                    "{}: on at least {:.0} % of the picture the map stretches one level to more than four, so its noise, and the blocks of a compressed file, will show; --look graded is gentler",
                    from.name,
                    100.0 * done.stretched
                ));
            }
            let wanted = Wanted::of(&to.picture, seed);
            let ours = [(usage.name(), result, done)];
            judged.push(judge(
                &from.picture,
                &wanted,
                &ours,
                &baselines,
                way,
                usage.grain,
                &mut |_, _| Ok(()),
            )?);
            let look = usage.look(map, way);
            let table = Table::of(&look, self.lut_size)?;
            table_error[k] = pair::table_error(&from.picture, &look, &table)?;
            results.extend(ours.map(|(_, result, _)| result));
            tables.push(table.cube(&format!(
                "{} in the colours of {}",
                file(&from.path),
                file(&to.path)
            )));
        }

        // What is computed is written whole, Ctrl-C or not.
        let staging = Staging::begin(&self.out)?;
        for (stem, (result, table)) in ["forward", "backward"]
            .into_iter()
            .zip(results.iter().zip(&tables))
        {
            let path = staging.path(&format!("{stem}.{}", result.format().extension()));
            result.write(&path, self.quality)?;
            write_file(&staging.path(&format!("{stem}.cube")), table.as_bytes())?;
        }
        let run = output::run_of(&staging);
        map.save(&run.model())?;
        run.write_history(&solution.history)?;
        write_file(&run.config(), config.to_toml().as_bytes())?;
        let text = toml::to_string(&record)
            .map_err(|e| Failure::input(format!("color.toml cannot be written: {e}")))?;
        write_file(&staging.path("color.toml"), text.as_bytes())?;
        if !self.no_figures {
            let pictures = [&source.picture, &target.picture, &results[0], &results[1]];
            draw(pictures, [a, b], &staging.path("figures"))?;
        }
        let json = to_json(&Json {
            charflow: env!("CARGO_PKG_VERSION"),
            isa: charflow_kernels::Isa::current().name(),
            command: command_line(),
            done: true,
            seconds: started.elapsed().as_secs_f64(),
            solve: &solution.report,
            look: &record,
            evaluation: &evaluation,
            forward: &judged[0],
            backward: &judged[1],
            table_error,
            notes: &notes,
        })?;
        write_file(&run.report(), json.as_bytes())?;
        staging.finish("report.json", &of_earlier_runs())?;
        for text in &notes {
            note(text);
        }
        if self.json {
            return say(&json);
        }
        say(&format!(
            "{}{}\n\n{}",
            evaluation.certificate.sentence(),
            if usage.name() == "charflow" {
                ""
            } else {
                " (This is about the full map.)"
            },
            table(&judged[0], &judged[1])
        ))?;
        let extension = |k: usize| results[k].format().extension();
        say(&format!(
            "\n{} in all, the fit {} ({} steps)\nfiles in {}: forward.{}, backward.{}, forward.cube, backward.cube, report.json, color.toml, model.safetensors{}\nnext: charflow color --apply {} IMAGE... -o DIR",
            duration(started.elapsed().as_secs_f64()),
            duration(solution.report.seconds),
            solution.report.steps,
            shown(&self.out),
            extension(0),
            extension(1),
            if self.no_figures { "" } else { ", figures" },
            shown(&self.out)
        ))
    }
}

/// Files of an earlier run, of points too, that a new one replaces or takes away.
fn of_earlier_runs() -> Vec<PathBuf> {
    let pictures = ["forward", "backward"]
        .into_iter()
        .flat_map(|stem| ["jpg", "png", "tif", "webp", "cube"].map(|e| format!("{stem}.{e}")));
    let figures = ["color"]
        .into_iter()
        .chain(FIGURES)
        .flat_map(|stem| ["png", "svg"].map(|e| format!("figures/{stem}.{e}")));
    let others = ["data.toml", "checkpoint.safetensors"].map(String::from);
    pictures
        .chain(figures)
        .chain(others)
        .map(PathBuf::from)
        .collect()
}

/// The last part of a path.
fn file(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

fn begun(record: &LookRecord) -> String {
    let one = |p: &PictureRecord| {
        format!(
            "{} ({} x {}, {} bits)",
            shown(&p.path),
            p.width,
            p.height,
            p.bits
        )
    };
    format!(
        "{} and {}, colours in {}",
        one(&record.source),
        one(&record.target),
        record.space
    )
}

/// The figure of a run.
fn draw(pictures: [&Picture; 4], files: [&Path; 2], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::system(folder, "the folder cannot be made", &e))?;
    let mut rasters = Vec::new();
    for picture in pictures {
        rasters.push(raster(picture)?);
    }
    let names = files.map(file);
    ColorFigure {
        title: "",
        source: (&names[0], &rasters[0]),
        target: (&names[1], &rasters[1]),
        forward: &rasters[2],
        backward: &rasters[3],
        histograms: pictures.map(histograms),
    }
    .save(&folder.join("color"))?;
    Ok(())
}

/// A picture small enough for a figure.
pub fn raster(picture: &Picture) -> Result<Raster> {
    let (width, height, rgb) = picture.upright();
    Ok(Raster::reduced(
        width as usize,
        height as usize,
        &rgb,
        1024,
    )?)
}

/// Scores of both directions, a line a method.
fn table(forward: &Judged, backward: &Judged) -> String {
    let mut text = format!("{:26}{:^43}  {:^43}\n{:26}", "", "forward", "backward", "");
    for _ in 0..2 {
        text.push_str(&format!(
            "{:>8}{:>8}{:>10}{:>8}{:>9}  ",
            "EMD", "HI", "ED 3-D", "moved", "clipped"
        ));
    }
    let cells = |s: &Score| {
        format!(
            "{:8.4}{:8.3}{:>10}{:8.3}{:>9}  ",
            s.emd,
            s.histogram_intersection,
            short(s.energy_distance),
            s.moved,
            format!("{:.1} %", 100.0 * s.clipped)
        )
    };
    for (f, b) in forward.scores.iter().zip(&backward.scores) {
        text.push_str(&format!("\n{:26}{}{}", f.method, cells(f), cells(b)));
    }
    let noise = |j: &Judged| format!("{:>26}{:19}", j.noise.map_or("-".into(), short), "");
    text.push_str(&format!(
        "\n{:26}{}{}",
        "chance (95 %)",
        noise(forward),
        noise(backward)
    ));
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
        + "\nEMD and HI: histograms of the channels; ED: energy distance of the colours as points, which sees what belongs together; moved: mean change of a colour\ngrain: pixels spread over their levels; ours has it (but for graded looks), of the others only the row that says so"
}

/// An energy distance in few digits.
fn short(v: f64) -> String {
    if v.abs() >= 1e-3 {
        format!("{v:.4}")
    } else {
        format!("{v:.1e}")
    }
}

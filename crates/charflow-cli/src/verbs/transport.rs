//! `charflow transport`: points through a fitted map, chunk by chunk.

use crate::failure::{Failure, Result};
use crate::files::{ColumnArgs, Expected, options_for, same_file};
use crate::interrupt::{self, Guard};
use crate::run::Fitted;
use crate::terminal::{duration, note, shown, tell};
use charflow::model::CharacteristicMap;
use charflow_io::{Format, Reader, Writer};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

/// Move points through a fitted map: forward, backward, or to a time in between.
///
/// Any number of rows: they are read, moved and written in chunks. The format of the output is that of its name; other columns of a text
/// or Parquet table are kept.
#[derive(clap::Args)]
#[command(after_help = "\
Example (every line runs as printed):
  charflow data swiss-roll -o data
  charflow data moons -o data
  charflow fit data/swiss-roll.csv data/moons.csv -o run --time-limit 20s
  charflow transport run data/swiss-roll.csv -o moved.csv
  charflow transport run data/moons.csv -o back.npy --backward
  charflow transport run data/swiss-roll.csv -o halfway.csv --at 0.5
  charflow data labelled-mixture -o mixture
  charflow fit mixture/source.csv mixture/target.csv -o run-mixture --labels label --time-limit 20s
  charflow transport run-mixture mixture/source.csv -o some.csv --rows label=A,B")]
pub struct Transport {
    /// A run directory, or a model file
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The points to move: .npy, .npz, .csv, .tsv or .parquet
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    /// Where to write them
    #[arg(short = 'o', long = "out", value_name = "OUTPUT")]
    out: PathBuf,
    /// From target to source
    #[arg(long)]
    backward: bool,
    /// Stop at time T: 0 is the source, 1 the target [default: 1, or 0 with --backward]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    at: Option<f64>,
    /// The columns that are coordinates [default: those of the fit]
    #[arg(long, value_name = "SPEC")]
    columns: Option<String>,
    /// Only these rows: day=2, or stage=early,late
    #[arg(long, value_name = "COLUMN=VALUES")]
    rows: Option<String>,
    /// The array of an .npz that holds the points
    #[arg(long, value_name = "KEY")]
    array: Option<String>,
    /// Threads; 0 for all cores
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
}

/// Rows with what goes along with them.
struct Chunk {
    rows: Vec<f64>,
    extras: Vec<String>,
    /// Where each row stands in the file, from 1.
    places: Vec<u64>,
}

/// Rows moved, and how many of them lie far outside the data of the fit.
#[derive(Default)]
struct Moved {
    rows: usize,
    far: usize,
}

impl Transport {
    /// Runs the verb.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<()> {
        if let Some(t) = self.at
            && !(0.0..=1.0).contains(&t)
        {
            return Err(Failure::input(format!(
                "--at {t}: expected a time from 0 (the source) to 1 (the target)."
            )));
        }
        super::set_threads(self.threads)?;
        let fitted = Fitted::open(&self.run)?;
        let format = Format::of(&self.out)?;
        if same_file(&self.input, &self.out) {
            return Err(Failure::input(format!(
                "{} is the input; its points would be lost. Choose another output with -o.",
                self.out.display()
            )));
        }
        let args = ColumnArgs {
            columns: self.columns.clone(),
            array: self
                .array
                .clone()
                .or_else(|| fitted.data.as_ref().and_then(|d| d.array.clone())),
            ..Default::default()
        };
        let rows = self.rows.as_deref();
        let options = match options_for(&self.input, &args, rows, &Expected::by(&fitted)) {
            // The run's own array may be missing in another file.
            Err(_) if self.array.is_none() && args.array.is_some() => {
                let args = ColumnArgs {
                    array: None,
                    ..args
                };
                options_for(&self.input, &args, rows, &Expected::by(&fitted))?
            }
            other => other?,
        };
        let mut reader = Reader::open(&self.input, &options)?;
        let keep = format.holds_text();
        if !keep && !reader.extra_columns().is_empty() {
            note(&format!(
                "the other columns ({}) are left out: {} holds numbers only",
                reader.extra_columns().join(", "),
                shown(&self.out)
            ));
        }
        let extra_columns = if keep {
            reader.extra_columns().to_vec()
        } else {
            Vec::new()
        };
        // A file without names gets those of the fit, unless a column that is passed through goes by one of them.
        let columns = match fitted.map.columns() {
            Some(names)
                if !reader.has_names() && names.iter().all(|n| !extra_columns.contains(n)) =>
            {
                names.to_vec()
            }
            _ => reader.columns().to_vec(),
        };

        let started = Instant::now();
        let _guard = Guard::new();
        // A chunk is large enough for all threads to have a share, and small beside any machine.
        let size = ((1 << 20) / reader.dim()).clamp(256, 1 << 16);
        let mut writer = Writer::create(&self.out, &columns, &extra_columns, reader.precision())?;
        let (to_move, moved_in) = sync_channel::<Chunk>(1);
        let (to_write, moved_out) = sync_channel::<Chunk>(1);
        // Reading, moving and writing overlap. Each part ends when its neighbour has gone; the errors are looked at afterwards, in order.
        let (read, moved, wrote) = std::thread::scope(|scope| {
            let read = scope.spawn(|| read_all(&mut reader, size, keep, to_move));
            let write = scope.spawn(|| write_all(&mut writer, moved_out));
            let moved = self.move_all(&fitted, &columns, moved_in, to_write);
            (join(read.join()), moved, join(write.join()))
        });
        read?;
        let moved = moved?;
        wrote?;
        if interrupt::asked() {
            return Err(Failure::Short(format!(
                "interrupted; {} was not written.",
                self.out.display()
            )));
        }
        if reader.rows_read() == 0 {
            return Err(Failure::input(format!(
                "{}: the file has no rows.",
                self.input.display()
            )));
        }
        if moved.far > 0 {
            tell(&format!(
                "warning: {} of {} rows lie far outside the data the model was fitted on; their images are extrapolation",
                moved.far, moved.rows
            ));
        }
        let rows = writer.rows();
        writer.finish()?;
        tell(&format!(
            "{rows} point{}{} in {} to {}",
            if rows == 1 { "" } else { "s" },
            if self.rows.is_some() {
                format!(" of {}", reader.rows_looked_at())
            } else {
                String::new()
            },
            duration(started.elapsed().as_secs_f64()),
            shown(&self.out)
        ));
        Ok(())
    }

    /// Moves what comes, chunk by chunk.
    fn move_all(
        &self,
        fitted: &Fitted,
        columns: &[String],
        from: Receiver<Chunk>,
        to: SyncSender<Chunk>,
    ) -> Result<Moved> {
        let map = &fitted.map;
        let bounds = map.bounds().map(|b| &b[usize::from(self.backward)]);
        let mut moved = Moved::default();
        for chunk in from {
            let rows = self
                .images(map, &chunk.rows)
                .map_err(|e| self.refusal(map, columns, &chunk).unwrap_or(e.into()))?;
            moved.rows += chunk.places.len();
            moved.far += bounds.map_or(0, |b| b.far(&chunk.rows));
            if to.send(Chunk { rows, ..chunk }).is_err() {
                break;
            }
        }
        Ok(moved)
    }

    fn images(&self, map: &CharacteristicMap, rows: &[f64]) -> charflow::Result<Vec<f64>> {
        if self.backward {
            map.backward_at(rows, self.at.unwrap_or(0.0))
        } else {
            map.forward_at(rows, self.at.unwrap_or(1.0))
        }
    }

    /// The first row of a chunk that cannot be moved, by its place in the file, and the column that is the reason.
    fn refusal(
        &self,
        map: &CharacteristicMap,
        columns: &[String],
        chunk: &Chunk,
    ) -> Option<Failure> {
        let d = map.dim();
        let (k, row) = chunk
            .rows
            .chunks_exact(d)
            .enumerate()
            .find(|(_, row)| self.images(map, row).is_err())?;
        let (column, why) = match map.out_of_reach(row) {
            Some((_, j)) => (j, "single precision in the model's units does not hold it"),
            // The value farthest out.
            None => (map.farthest_column(row), "its image is not finite"),
        };
        Some(Failure::input(format!(
            "{}, row {}, column `{}`: the value {:e} lies too far outside the data the model was fitted on: {why}. Leave the row out or mend it.",
            self.input.display(),
            chunk.places.get(k)?,
            columns.get(column)?,
            row[column]
        )))
    }
}

/// A thread's result; its panic goes on here.
fn join<T>(result: std::thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn read_all(reader: &mut Reader, size: usize, keep: bool, to: SyncSender<Chunk>) -> Result<()> {
    loop {
        let mut rows = Vec::new();
        if interrupt::asked() || reader.next_chunk(size, &mut rows)? == 0 {
            return Ok(());
        }
        let extras = if keep {
            reader.extras().to_vec()
        } else {
            Vec::new()
        };
        let count = rows.len() / reader.dim();
        let places = (0..count).map(|k| reader.row_in_file(k)).collect();
        let chunk = Chunk {
            rows,
            extras,
            places,
        };
        if to.send(chunk).is_err() {
            return Ok(());
        }
    }
}

fn write_all(writer: &mut Writer, from: Receiver<Chunk>) -> Result<()> {
    for chunk in from {
        writer.write(&chunk.rows, &chunk.extras)?;
    }
    Ok(())
}

//! Files of points in: which columns, and which column of one file goes with which of the other.

use crate::failure::{Failure, Result};
use crate::terminal::{note, quoted};
use charflow::Samples;
use charflow::samples::UNLABELLED;
use charflow_io::{IoError, Kind, ReadOptions, Reader, Table, columns_spec, read};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Which columns of a file are what: options that several verbs share.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ColumnArgs {
    /// The columns that are coordinates: names, numbers from 1, and ranges: x,y or 1-50 or x1..x50 [default: all columns of numbers]
    #[arg(long, value_name = "SPEC")]
    pub columns: Option<String>,
    /// The column of class names; classes are paired by name
    #[arg(long, value_name = "COLUMN")]
    pub labels: Option<String>,
    /// What stands in the column of class names where the class is not known: such points take part in what the whole clouds have to satisfy only
    #[arg(long, value_name = "NAME", requires = "labels")]
    pub unlabelled: Option<String>,
    /// The column of weights, numbers of at least 0
    #[arg(long, value_name = "COLUMN")]
    pub weights: Option<String>,
    /// The array of an .npz that holds the points [default: x, or the only one with two axes]
    #[arg(long, value_name = "KEY")]
    pub array: Option<String>,
}

impl ColumnArgs {
    /// As the reader wants them.
    pub fn options(&self) -> ReadOptions {
        ReadOptions {
            columns: self.columns.clone(),
            labels: self.labels.clone(),
            weights: self.weights.clone(),
            array: self.array.clone(),
            rows: None,
        }
    }
}

/// Which rows of the two files take part: options that fit and evaluate share.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct RowArgs {
    /// Only these rows of SOURCE: day=2, or stage=early,late. The column is then no coordinate
    #[arg(long, value_name = "COLUMN=VALUES")]
    pub source_rows: Option<String>,
    /// Only these rows of TARGET, which may be the same file
    #[arg(long, value_name = "COLUMN=VALUES")]
    pub target_rows: Option<String>,
}

impl RowArgs {
    /// As the words of a command line, with a blank before each.
    pub fn words(&self) -> String {
        [
            ("--source-rows", &self.source_rows),
            ("--target-rows", &self.target_rows),
        ]
        .into_iter()
        .filter_map(|(option, rows)| Some(format!(" {option} {}", quoted(rows.as_ref()?))))
        .collect()
    }
}

/// What a run remembers of a file it was fitted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// As it was given.
    pub path: PathBuf,
    /// From the root of the file system, so that the file is found from anywhere.
    pub absolute: PathBuf,
    /// Size of the file.
    pub bytes: u64,
    /// Points.
    pub rows: usize,
    /// Which rows of the file they are: `--source-rows` or `--target-rows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// Rows in the file, where some were chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_in_file: Option<usize>,
    /// Names of the coordinates, in the order fitted; none where the file has no names.
    pub columns: Vec<String>,
    /// A hash of names, points, labels and weights as read: [`fingerprint`].
    pub fingerprint: String,
}

/// A file as reports name it: without the folders of the machine it was on.
#[derive(Clone, Debug, Serialize)]
pub struct Brief<'a> {
    path: &'a Path,
    bytes: u64,
    rows: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    chosen: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_in_file: Option<usize>,
    columns: &'a [String],
    fingerprint: &'a str,
}

impl FileRecord {
    /// For a report.
    pub fn brief(&self) -> Brief<'_> {
        Brief {
            path: &self.path,
            bytes: self.bytes,
            rows: self.rows,
            chosen: self.chosen.as_deref(),
            rows_in_file: self.rows_in_file,
            columns: &self.columns,
            fingerprint: &self.fingerprint,
        }
    }

    /// The file, and the choice of rows if there is one: `cells.csv (day=2)`.
    pub fn name(&self) -> String {
        named(&self.path, self.chosen.as_deref())
    }

    /// As [`FileRecord::name`] without folders and extension, for the title of a picture.
    pub fn title(&self) -> String {
        let stem = self.path.file_stem().unwrap_or(self.path.as_os_str());
        named(Path::new(stem), self.chosen.as_deref())
    }

    /// What was chosen of how much, for a report: `1429 of the 10998 rows of cells.csv (day=2)`; none without a choice.
    pub fn choice(&self) -> Option<String> {
        let all = self.rows_in_file?;
        Some(format!(
            "{} of the {all} rows of {}",
            self.rows,
            self.name()
        ))
    }

    fn of(table: &Table, chosen: Option<&str>) -> Self {
        let path = table.path.clone();
        FileRecord {
            absolute: std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone()),
            bytes: std::fs::metadata(&path).map_or(0, |m| m.len()),
            rows: table.rows,
            chosen: chosen.map(str::to_string),
            rows_in_file: chosen.map(|_| table.rows_in_file),
            columns: if table.has_names {
                table.columns.clone()
            } else {
                Vec::new()
            },
            fingerprint: fingerprint(table),
            path,
        }
    }
}

fn named(path: &Path, chosen: Option<&str>) -> String {
    match chosen {
        Some(rows) => format!("{} ({rows})", path.display()),
        None => path.display().to_string(),
    }
}

/// 64 bits in hexadecimal that depend on everything that is read of a file: names, points, labels, weights.
///
/// Not for secrecy: it tells a run whether it is resumed with the data it was begun with.
pub fn fingerprint(table: &Table) -> String {
    let mut hash = Mixer(0x243F_6A88_85A3_08D3);
    hash.word(table.rows as u64);
    hash.word(table.dim as u64);
    if table.has_names {
        table.columns.iter().for_each(|c| hash.text(c));
    }
    table.origin.iter().for_each(|o| hash.word(o.to_bits()));
    table
        .values
        .iter()
        .for_each(|v| hash.word(u64::from(v.to_bits())));
    for label in table.labels.iter().flatten() {
        hash.text(label);
    }
    for weight in table.weights.iter().flatten() {
        hash.word(weight.to_bits());
    }
    format!("{:016x}", hash.0)
}

struct Mixer(u64);

impl Mixer {
    /// A multiplication by an odd number and a shift to the right are both invertible: no word is lost.
    fn word(&mut self, word: u64) {
        let x = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = x ^ (x >> 29);
    }

    fn text(&mut self, text: &str) {
        self.word(text.len() as u64);
        text.bytes().for_each(|b| self.word(u64::from(b)));
    }
}

/// A file as samples, and what to remember of it.
pub struct Points {
    /// The points, named by their file.
    pub samples: Samples,
    /// What to remember.
    pub record: FileRecord,
}

impl Points {
    /// The samples of a table; its numbers are moved, not copied.
    fn of(table: Table, chosen: Option<&str>, unlabelled: Option<&str>) -> Result<Self> {
        let record = FileRecord::of(&table, chosen);
        let mut samples = Samples::with_origin(table.values, table.dim, table.origin)
            .map_err(|e| Failure::input(format!("{}: {e}", table.path.display())))?
            .named(record.name());
        if table.has_names {
            samples = samples.with_columns(table.columns)?;
        }
        if let Some(weights) = table.weights {
            samples = samples.with_weights(weights)?;
        }
        if let Some(labels) = table.labels {
            let known = |label: String| (Some(label.as_str()) != unlabelled).then_some(label);
            samples = samples.with_some_labels(labels.into_iter().map(known).collect())?;
        }
        Ok(Points { samples, record })
    }
}

/// How many of labelled points have no class.
pub fn unlabelled_in(samples: &Samples) -> usize {
    let classes = samples.class_of().unwrap_or_default();
    classes.iter().filter(|&&c| c == UNLABELLED).count()
}

/// Reads source and target; columns are matched by name where both files have names, else by their place.
pub fn read_pair(
    source: &Path,
    target: &Path,
    args: &ColumnArgs,
    rows: &RowArgs,
) -> Result<(Points, Points)> {
    let of_rows = |rows: &Option<String>| ReadOptions {
        rows: rows.clone(),
        ..args.options()
    };
    let first = read(source, &of_rows(&rows.source_rows))?;
    let mut options = of_rows(&rows.target_rows);
    if let Some(columns) = target_columns(&first, target, args, rows, &options)? {
        options.columns = Some(columns);
    }
    // The source's numbers are moved before the target is read: no more than the two clouds are ever in memory.
    let unlabelled = args.unlabelled.as_deref();
    let first = Points::of(first, rows.source_rows.as_deref(), unlabelled)?;
    let second = Points::of(
        read(target, &options)?,
        rows.target_rows.as_deref(),
        unlabelled,
    )?;
    if let Some(name) = unlabelled
        && unlabelled_in(&first.samples) + unlabelled_in(&second.samples) == 0
    {
        return Err(Failure::input(format!(
            "--unlabelled {name}: no point of {} or {} has the label {name}. Leave it out, or give the name that stands where the class is not known.",
            source.display(),
            target.display()
        )));
    }
    Ok((first, second))
}

/// The columns to ask the target for, if they are not the ones it gives anyway.
fn target_columns(
    source: &Table,
    target: &Path,
    args: &ColumnArgs,
    rows: &RowArgs,
    options: &ReadOptions,
) -> Result<Option<String>> {
    let peek = Reader::open(target, options)?;
    if !source.has_names || !peek.has_names() || peek.columns() == source.columns {
        return Ok(None);
    }
    let (ours, theirs) = (&source.columns, peek.columns());
    let missing: Vec<&String> = ours.iter().filter(|c| !theirs.contains(c)).collect();
    if missing.is_empty() && ours.len() == theirs.len() {
        return Ok(Some(columns_spec(ours)));
    }
    if args.columns.is_some() {
        // Chosen by number: the target may hold the same names elsewhere.
        let by_name = ReadOptions {
            columns: Some(columns_spec(ours)),
            ..options.clone()
        };
        if Reader::open(target, &by_name).is_ok() {
            return Ok(by_name.columns);
        }
    }
    if ours.len() == theirs.len() {
        if missing.len() < ours.len() {
            let extra: Vec<&String> = theirs.iter().filter(|c| !ours.contains(c)).collect();
            return Err(Failure::input(format!(
                "{} and {} share some columns only: {} has {} where {} has {}. Choose the columns with --columns, or give both files the same names.",
                source.path.display(),
                target.display(),
                source.path.display(),
                listed(&missing),
                target.display(),
                listed(&extra),
            )));
        }
        note(&format!(
            "the two files name their columns differently; they are matched by place: {} with {}",
            listed(&ours.iter().collect::<Vec<_>>()),
            listed(&theirs.iter().collect::<Vec<_>>())
        ));
    }
    // The column by which the source's rows were chosen is no coordinate of the target either.
    if missing.is_empty() && rows.source_rows.is_some() {
        return Ok(Some(columns_spec(ours)));
    }
    // Different numbers of columns: the problem says so.
    Ok(None)
}

fn listed(names: &[&String]) -> String {
    let mut text = names
        .iter()
        .take(8)
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > 8 {
        text.push_str(&format!(" and {} more", names.len() - 8));
    }
    text
}

/// What a model expects of a file.
pub struct Expected<'a> {
    /// Dimension of the points.
    pub dim: usize,
    /// Names of the columns, if the fit had any.
    pub columns: Option<&'a [String]>,
    /// The `--columns` of the fit, if it is known.
    pub spec: Option<&'a str>,
}

/// Options that read the columns a model was fitted to: those asked for, else the model's by name, else the fit's own choice, else all if their number fits.
pub fn options_for(
    path: &Path,
    args: &ColumnArgs,
    rows: Option<&str>,
    expected: &Expected<'_>,
) -> Result<ReadOptions> {
    let fits = |options: &ReadOptions| -> std::result::Result<(usize, bool), IoError> {
        Reader::open(path, options).map(|r| (r.dim(), r.has_names()))
    };
    let with = |columns: Option<String>| ReadOptions {
        columns,
        rows: rows.map(str::to_string),
        ..args.options()
    };
    let count = |n: usize| format!("{n} column{}", if n == 1 { "" } else { "s" });
    let wrong = |found: usize| {
        let names = expected.columns.map_or(String::new(), |c| {
            format!(" ({})", listed(&c.iter().collect::<Vec<_>>()))
        });
        Failure::input(format!(
            "{}: {} of coordinates, the model was fitted to {}{names}. Choose them with --columns.",
            path.display(),
            count(found),
            expected.dim,
        ))
    };
    if args.columns.is_some() {
        let options = with(args.columns.clone());
        let (dim, _) = fits(&options)?;
        return if dim == expected.dim {
            Ok(options)
        } else {
            Err(wrong(dim))
        };
    }
    if let Some(names) = expected.columns {
        let options = with(Some(columns_spec(names)));
        match fits(&options) {
            Ok((_, true)) => return Ok(options),
            Ok(_) => {}
            Err(e) if e.kind == Kind::Columns => {}
            Err(e) => return Err(e.into()),
        }
    }
    let all = with(None);
    let whole = fits(&all);
    if let Ok((dim, named)) = &whole
        && *dim == expected.dim
    {
        if let (true, Some(names)) = (*named, expected.columns) {
            note(&format!(
                "{}: the columns are not named {}, as in the fit; they are taken in the order they are in",
                path.display(),
                listed(&names.iter().collect::<Vec<_>>())
            ));
        }
        return Ok(all);
    }
    if let Some(spec) = expected.spec {
        let options = with(Some(spec.to_string()));
        if let Ok((dim, _)) = fits(&options)
            && dim == expected.dim
        {
            return Ok(options);
        }
    }
    Err(wrong(whole?.0))
}

/// Reads a file whose columns fit a model.
pub fn read_for(
    path: &Path,
    args: &ColumnArgs,
    rows: Option<&str>,
    expected: &Expected<'_>,
) -> Result<Points> {
    let options = options_for(path, args, rows, expected)?;
    Points::of(read(path, &options)?, rows, args.unlabelled.as_deref())
}

/// Whether two paths lead to one file that is there.
pub fn same_file(a: &Path, b: &Path) -> bool {
    match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        let options = ReadOptions {
            labels: text.contains("kind").then(|| "kind".into()),
            weights: text.contains("mass").then(|| "mass".into()),
            ..Default::default()
        };
        read(&path, &options).unwrap()
    }

    #[test]
    fn the_fingerprint_sees_every_change() {
        let texts = [
            "x,y\n1,2\n3,4\n",
            "x,z\n1,2\n3,4\n",
            "x,y\n1,2\n4,3\n",
            "x,y\n3,4\n1,2\n",
            "x,y\n1,2\n3,4\n5,6\n",
            "x,y,kind\n1,2,a\n3,4,b\n",
            "x,y,kind\n1,2,b\n3,4,a\n",
            "x,y,mass\n1,2,1\n3,4,2\n",
            "x\n1\n2\n3\n4\n",
            "0,0\n0,0\n",
            "0,0\n0,0\n0,0\n",
            "0\n0\n0\n0\n",
        ];
        let prints: std::collections::HashSet<String> =
            texts.iter().map(|t| fingerprint(&table(t))).collect();
        assert_eq!(prints.len(), texts.len());
        assert_eq!(
            fingerprint(&table(texts[0])),
            fingerprint(&table("x,y\n1.0,2.00\n3e0,4\n"))
        );
    }
}

//! What a run remembers of its points: the two files, the rows and columns taken, and a fingerprint.

use charflow::samples::UNLABELLED;
use charflow::{Error, Result, Samples};
use charflow_io::Table;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a run was fitted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecord {
    /// Version of charflow that wrote it.
    pub charflow: String,
    /// `--columns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<String>,
    /// `--labels`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// `--unlabelled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<String>,
    /// `--weights`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// `--array`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array: Option<String>,
    /// The source.
    pub source: FileRecord,
    /// The target.
    pub target: FileRecord,
}

/// What a run remembers of a file it was fitted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// As it was given; of points that came from memory what they are called.
    pub path: PathBuf,
    /// From the root of the file system, so that the file is found from anywhere.
    pub absolute: PathBuf,
    /// Whether the points came from memory and no file holds them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_memory: bool,
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
    /// A hash of the points alone, row by row; missing in runs of earlier builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<String>,
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

    /// Whether two records are of the same points, whatever their names, labels and weights.
    #[must_use]
    pub fn same_points(&self, other: &FileRecord) -> bool {
        match (&self.points, &other.points) {
            (Some(a), Some(b)) => a == b,
            _ => self.fingerprint == other.fingerprint,
        }
    }

    /// The first thing in which other points are other ones, in words.
    #[must_use]
    pub fn difference(&self, was: &FileRecord) -> String {
        if self.rows != was.rows {
            format!("{} rows, then {}", self.rows, was.rows)
        } else if self.columns != was.columns {
            format!("its columns are {:?}, then {:?}", self.columns, was.columns)
        } else if self.same_points(was) {
            "the same points, with other labels or weights".to_string()
        } else {
            "as many rows, but other values".to_string()
        }
    }

    fn of(table: &Table, chosen: Option<&str>, unlabelled: Option<&str>) -> Self {
        let path = table.path.clone();
        let file = !table.in_memory;
        FileRecord {
            absolute: file
                .then(|| std::fs::canonicalize(&path).ok())
                .flatten()
                .unwrap_or_else(|| path.clone()),
            in_memory: !file,
            bytes: std::fs::metadata(&path).map_or(0, |m| if file { m.len() } else { 0 }),
            rows: table.rows,
            chosen: chosen.map(str::to_string),
            rows_in_file: chosen.map(|_| table.rows_in_file),
            columns: if table.has_names {
                table.columns.clone()
            } else {
                Vec::new()
            },
            fingerprint: fingerprint(table, unlabelled),
            points: Some(fingerprint_of_points(table)),
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

/// 64 bits in hexadecimal that depend on everything that is read of a file: names, points, labels, weights. Of points without a class (`unlabelled` stands in place of
/// their label) it is the same whatever stands there.
///
/// Not for secrecy: it tells a run whether it is resumed with the data it was begun with.
pub fn fingerprint(table: &Table, unlabelled: Option<&str>) -> String {
    let mut hash = Mixer(0x243F_6A88_85A3_08D3);
    hash.word(table.rows as u64);
    hash.word(table.dim as u64);
    if table.has_names {
        table.columns.iter().for_each(|c| hash.text(c));
    }
    hash.points(table);
    for label in table.labels.iter().flatten() {
        if Some(label.as_str()) == unlabelled {
            hash.word(u64::MAX);
        } else {
            hash.text(label);
        }
    }
    for weight in table.weights.iter().flatten() {
        hash.word(weight.to_bits());
    }
    format!("{:016x}", hash.0)
}

/// The same of the points alone.
fn fingerprint_of_points(table: &Table) -> String {
    let mut hash = Mixer(0x1319_8A2E_0370_7344);
    hash.word(table.rows as u64);
    hash.word(table.dim as u64);
    hash.points(table);
    format!("{:016x}", hash.0)
}

struct Mixer(u64);

impl Mixer {
    /// A multiplication by an odd number and a shift to the right are both invertible: no word is lost.
    fn word(&mut self, word: u64) {
        let x = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = x ^ (x >> 29);
    }

    fn points(&mut self, table: &Table) {
        table.origin.iter().for_each(|o| self.word(o.to_bits()));
        let values = table.values.iter();
        values.for_each(|v| self.word(u64::from(v.to_bits())));
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
    /// The samples of a table; its numbers are moved, not copied. `chosen` are the rows of the file that the table holds, `unlabelled` is what stands in
    /// place of a label where the class is not known.
    ///
    /// # Errors
    /// As for [`Samples`].
    pub fn of(table: Table, chosen: Option<&str>, unlabelled: Option<&str>) -> Result<Self> {
        let record = FileRecord::of(&table, chosen, unlabelled);
        let mut samples = Samples::with_origin(table.values, table.dim, table.origin)
            .map_err(|e| Error::Problem(format!("{}: {e}", table.path.display())))?
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

#[cfg(test)]
mod tests {
    use super::*;
    use charflow_io::{ReadOptions, read};

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
            texts.iter().map(|t| fingerprint(&table(t), None)).collect();
        assert_eq!(prints.len(), texts.len());
        assert_eq!(
            fingerprint(&table(texts[0]), None),
            fingerprint(&table("x,y\n1.0,2.00\n3e0,4\n"), None)
        );
        // What stands for an unknown class does not matter, which points have none does.
        let [one, other, third] =
            ["a\n3,4,?", "a\n3,4,none", "?\n3,4,a"].map(|t| table(&format!("x,y,kind\n1,2,{t}\n")));
        let print = fingerprint(&one, Some("?"));
        assert_eq!(print, fingerprint(&other, Some("none")));
        assert_ne!(print, fingerprint(&third, Some("?")));
        // Of the points alone.
        let points = |text: &str| fingerprint_of_points(&table(text));
        assert_eq!(points(texts[0]), points(texts[1]));
        assert_eq!(points(texts[0]), points(texts[5]));
        assert_eq!(points(texts[0]), points(texts[7]));
        assert_ne!(points(texts[0]), points(texts[2]));
        assert_ne!(points(texts[0]), points(texts[3]));
    }
}

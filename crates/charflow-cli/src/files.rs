//! Files of points in: which columns, and which column of one file goes with which of the other.

use crate::failure::{Failure, Result};
use crate::terminal::{note, quoted};
use charflow_io::{IoError, Kind, ReadOptions, Reader, Table, columns_spec, read};
use charflow_run::{DataRecord, Fitted, Points, unlabelled_in};
use std::path::Path;

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
    /// Those that a run was begun with.
    pub fn of_run(data: &DataRecord) -> Self {
        ColumnArgs {
            columns: data.columns.clone(),
            labels: data.labels.clone(),
            unlabelled: data.unlabelled.clone(),
            weights: data.weights.clone(),
            array: data.array.clone(),
        }
    }

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
    /// Those that a run was begun with.
    pub fn of_run(data: &DataRecord) -> Self {
        RowArgs {
            source_rows: data.source.chosen.clone(),
            target_rows: data.target.chosen.clone(),
        }
    }

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

impl<'a> Expected<'a> {
    /// What a fitted map expects of a file.
    pub fn by(fitted: &'a Fitted) -> Self {
        Expected {
            dim: fitted.map.dim(),
            columns: fitted.map.columns(),
            spec: fitted.data.as_ref().and_then(|d| d.columns.as_deref()),
        }
    }
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
    Ok(Points::of(
        read(path, &options)?,
        rows,
        args.unlabelled.as_deref(),
    )?)
}

/// Whether two paths lead to one file that is there.
pub fn same_file(a: &Path, b: &Path) -> bool {
    match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

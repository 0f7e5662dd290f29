//! Which columns of a table are the points, the labels, the weights, and what is left over.
//!
//! A SPEC is a comma list of items. Each item is, tried in this order,
//!
//! - a column's name, `x`; in double quotes, `"a,b"`, when it holds a comma or looks like something else;
//! - a range of names, `x1-x50` or `x1..x50`, both ends included, in the order of the file;
//! - a column's number, from 1, `3`, or a range of numbers, `1-50` or `1..50`.
//!
//! The points have their coordinates in the order of the SPEC.

use crate::error::{IoError, Kind, Result, list};
use std::path::Path;

/// The columns of a file by their place in it, from 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The coordinates, in the order asked for.
    pub points: Vec<usize>,
    pub label: Option<usize>,
    pub weight: Option<usize>,
    /// Every column that is no coordinate, in the file's order (the labels' and weights' too).
    pub extras: Vec<usize>,
}

/// What the selection needs to know of a column.
pub(crate) struct ColumnInfo {
    pub name: String,
    /// `None` if it holds numbers, else what it holds instead, as "text".
    pub not_numeric: Option<String>,
    /// Never a coordinate unless asked for by name (an index that pandas stored as a column).
    pub skipped_by_default: bool,
}

impl ColumnInfo {
    pub fn number(name: impl Into<String>) -> Self {
        ColumnInfo {
            name: name.into(),
            not_numeric: None,
            skipped_by_default: false,
        }
    }
}

/// `x1`, `x2`, ...: the names where the file has none.
pub(crate) fn default_names(count: usize) -> Vec<String> {
    (1..=count).map(|k| format!("x{k}")).collect()
}

/// A SPEC that means exactly these columns, quoted where a name needs it: the way to ask another file for the columns of a first.
///
/// ```
/// let names = ["x".to_string(), "a,b".to_string()];
/// assert_eq!(charflow_io::columns_spec(&names), "x,\"a,b\"");
/// ```
pub fn columns_spec<S: AsRef<str>>(names: &[S]) -> String {
    let quote = |name: &str| {
        let plain = !name.is_empty() && name.trim() == name && !name.contains([',', '"']);
        if plain {
            name.to_string()
        } else {
            format!("\"{}\"", name.replace('"', "\"\""))
        }
    };
    names
        .iter()
        .map(|n| quote(n.as_ref()))
        .collect::<Vec<_>>()
        .join(",")
}

/// Two columns of the same name, if there are any.
pub(crate) fn duplicate<S: AsRef<str>>(names: &[S]) -> Option<&str> {
    let mut seen = std::collections::HashSet::new();
    names.iter().map(|n| n.as_ref()).find(|n| !seen.insert(*n))
}

/// Settles which column is what. The column `chooser`, by which rows are chosen, is a coordinate only if the SPEC says so.
pub(crate) fn select(
    path: &Path,
    columns: &[ColumnInfo],
    spec: Option<&str>,
    label: Option<&str>,
    weight: Option<&str>,
    chooser: Option<usize>,
) -> Result<Selection> {
    let fail = |message: String| Err(IoError::new(path, Kind::Columns, message));
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    if let Some(name) = duplicate(&names) {
        return fail(format!(
            "two columns are named `{name}`. Give every column its own name."
        ));
    }
    let single = |what: &str, asked: Option<&str>| -> Result<Option<usize>> {
        asked
            .map(|name| {
                one(&names, name).ok_or_else(|| {
                    IoError::new(
                        path,
                        Kind::Columns,
                        format!(
                            "there is no {what} column `{name}`.{} The columns are {}.",
                            hint(&names, name),
                            list(&names)
                        ),
                    )
                })
            })
            .transpose()
    };
    let label = single("label", label)?;
    let weight = single("weights", weight)?;
    if let (Some(l), true) = (label, label == weight) {
        return fail(format!(
            "column `{}` is asked for both as labels and as weights.",
            names[l]
        ));
    }
    if let Some(w) = weight
        && let Some(what) = &columns[w].not_numeric
    {
        return fail(format!(
            "the weights column `{}` holds {what}; weights are numbers.",
            names[w]
        ));
    }

    let points = match spec {
        Some(spec) => {
            let points = parse(&names, spec).map_err(|m| IoError::new(path, Kind::Columns, m))?;
            for &c in &points {
                let clash = [(label, "labels"), (weight, "weights")]
                    .into_iter()
                    .find(|(k, _)| *k == Some(c));
                if let Some((_, what)) = clash {
                    return fail(format!(
                        "column `{}` is asked for both as a coordinate and as {what}. Leave it out of the columns `{spec}`.",
                        names[c]
                    ));
                }
                if let Some(what) = &columns[c].not_numeric {
                    return fail(format!(
                        "column `{}` holds {what}; coordinates are numbers.",
                        names[c]
                    ));
                }
            }
            points
        }
        None => {
            let rest = (0..columns.len())
                .filter(|&c| Some(c) != label && Some(c) != weight && Some(c) != chooser);
            let rest: Vec<usize> = rest.filter(|&c| !columns[c].skipped_by_default).collect();
            let (good, bad): (Vec<usize>, Vec<usize>) = rest
                .iter()
                .partition(|&&c| columns[c].not_numeric.is_none());
            if let Some(&c) = bad.first() {
                let what = columns[c].not_numeric.as_deref().unwrap_or("text");
                let remedy = if good.is_empty() {
                    "No column holds numbers.".to_string()
                } else {
                    format!(
                        "Choose the coordinates with --columns {}",
                        short_spec(&names, &good)
                    ) + if label.is_none() && what == "text" {
                        " (and the classes, if these are they, with --labels)."
                    } else {
                        "."
                    }
                };
                return fail(format!(
                    "column `{}` holds {what}, not numbers. {remedy}",
                    names[c]
                ));
            }
            good
        }
    };
    if points.is_empty() {
        return fail(format!(
            "no column is left for the coordinates. The columns are {}.",
            list(&names)
        ));
    }
    let mut is_point = vec![false; columns.len()];
    points.iter().for_each(|&c| is_point[c] = true);
    let extras = (0..columns.len()).filter(|&c| !is_point[c]).collect();
    Ok(Selection {
        points,
        label,
        weight,
        extras,
    })
}

/// A SPEC for these columns, short enough to type: runs of three and more as ranges, by name where that is plain.
fn short_spec(names: &[&str], columns: &[usize]) -> String {
    let plain = |c: usize| {
        names[c]
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let runs = columns.chunk_by(|a, b| a + 1 == *b);
    let item = |run: &[usize]| match *run {
        [first, _, .., last] if plain(first) && plain(last) => {
            format!("{}..{}", names[first], names[last])
        }
        [first, _, .., last] => format!("{}-{}", first + 1, last + 1),
        _ => columns_spec(&run.iter().map(|&c| names[c]).collect::<Vec<_>>()),
    };
    runs.map(item).collect::<Vec<_>>().join(",")
}

/// One column by name, or else by its number from 1.
pub(crate) fn one(names: &[&str], asked: &str) -> Option<usize> {
    let asked = asked.trim();
    let bare = unquote(asked);
    names
        .iter()
        .position(|n| *n == bare.as_deref().unwrap_or(asked))
        .or_else(|| match asked.parse::<usize>() {
            Ok(k) if k >= 1 && k <= names.len() && bare.is_none() => Some(k - 1),
            _ => None,
        })
}

pub(crate) fn unquote(item: &str) -> Option<String> {
    let inner = item.strip_prefix('"')?.strip_suffix('"')?;
    Some(inner.replace("\"\"", "\""))
}

pub(crate) fn hint(names: &[&str], asked: &str) -> String {
    let plain = |s: &str| s.to_lowercase().replace([' ', '_', '-'], "");
    match names.iter().find(|n| plain(n) == plain(asked)) {
        Some(near) => format!(" Did you mean `{near}`?"),
        None => String::new(),
    }
}

/// The columns, from 0, that a SPEC means.
fn parse(names: &[&str], spec: &str) -> std::result::Result<Vec<usize>, String> {
    let mut chosen = Vec::new();
    for item in split(spec)? {
        chosen.extend(item_columns(names, item.trim(), spec)?);
    }
    let mut seen = vec![false; names.len()];
    for &c in &chosen {
        if std::mem::replace(&mut seen[c], true) {
            return Err(format!("the columns `{spec}` name `{}` twice.", names[c]));
        }
    }
    Ok(chosen)
}

/// Splits at commas outside double quotes.
pub(crate) fn split(spec: &str) -> std::result::Result<Vec<&str>, String> {
    let (mut items, mut start, mut quoted) = (Vec::new(), 0, false);
    for (i, c) in spec.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                items.push(&spec[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    if quoted {
        return Err(format!(
            "the columns `{spec}` have a double quote that is not closed."
        ));
    }
    items.push(&spec[start..]);
    Ok(items)
}

fn item_columns(names: &[&str], item: &str, spec: &str) -> std::result::Result<Vec<usize>, String> {
    if item.is_empty() {
        return Err(format!(
            "the columns `{spec}` have an empty item. Write a comma list of names, numbers from 1, or ranges: `x,y`, `1-50`, `x1..x50`."
        ));
    }
    if let Some(c) = names.iter().position(|n| *n == item) {
        return Ok(vec![c]);
    }
    if item.starts_with('"')
        && unquote(item).is_some_and(|bare| !bare.contains('"') || item.contains("\"\""))
    {
        return one(names, item)
            .map(|c| vec![c])
            .ok_or_else(|| missing(names, item.trim_matches('"')));
    }
    // A range: the first place to cut that leaves two names wins, since names may hold the sign themselves (`pc-1-pc-50`).
    let cuts = || {
        let dots = item
            .match_indices("..")
            .map(|(i, s)| (&item[..i], &item[i + s.len()..]));
        let dashes = item
            .match_indices('-')
            .map(|(i, s)| (&item[..i], &item[i + s.len()..]));
        dots.chain(dashes)
            .map(|(a, b)| (a.trim(), b.trim()))
            .filter(|(a, b)| !a.is_empty() && !b.is_empty())
    };
    let name = |s: &str| {
        let bare = unquote(s);
        names
            .iter()
            .position(|n| *n == bare.as_deref().unwrap_or(s))
    };
    for (a, b) in cuts() {
        if let (Some(first), Some(last)) = (name(a), name(b)) {
            return range(first, last, item);
        }
    }
    let number = |s: &str| -> std::result::Result<usize, String> {
        match s.parse::<usize>() {
            Ok(k) if k >= 1 && k <= names.len() => Ok(k - 1),
            Ok(_) => Err(format!(
                "there is no column number {s}: the file has {}, numbered from 1.",
                counted(names.len())
            )),
            // More digits than a machine word.
            Err(_) => Err(format!("there is no column number {s}.")),
        }
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if digits(item) {
        return Ok(vec![number(item)?]);
    }
    for (a, b) in cuts() {
        if digits(a) && digits(b) {
            return range(number(a)?, number(b)?, item);
        }
    }
    // A range with one good end: name the bad one.
    for (a, b) in cuts() {
        match (name(a), name(b)) {
            (Some(_), None) => return Err(missing(names, b)),
            (None, Some(_)) => return Err(missing(names, a)),
            _ => {}
        }
    }
    Err(missing(names, item))
}

fn range(first: usize, last: usize, item: &str) -> std::result::Result<Vec<usize>, String> {
    if first > last {
        return Err(format!(
            "the column range `{item}` runs backward: its first column comes after its last."
        ));
    }
    Ok((first..=last).collect())
}

fn counted(n: usize) -> String {
    if n == 1 {
        "1 column".to_string()
    } else {
        format!("{n} columns")
    }
}

fn missing(names: &[&str], asked: &str) -> String {
    format!(
        "there is no column `{asked}`.{} The columns are {}.",
        hint(names, asked),
        list(names)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&str> {
        list.split_whitespace().collect()
    }

    #[test]
    fn a_spec_means_what_its_grammar_says() {
        let n = names("t x1 x2 x3 pc-1 pc-2 pc-3 2");
        let p = |s: &str| parse(&n, s).unwrap();
        assert_eq!(p("x2"), [2]);
        assert_eq!(p("x3, t ,x1"), [3, 0, 1]);
        assert_eq!(p("x1-x3"), [1, 2, 3]);
        assert_eq!(p("x1..x3"), [1, 2, 3]);
        assert_eq!(p("pc-1-pc-3"), [4, 5, 6]);
        assert_eq!(p("pc-1..pc-2"), [4, 5]);
        assert_eq!(p("pc-2"), [5]);
        // A name wins over a number, in ranges too only if both ends are names.
        assert_eq!(p("2"), [7]);
        assert_eq!(p("1-3"), [0, 1, 2]);
        assert_eq!(p("1"), [0]);
        assert_eq!(p("1..2,8-8"), [0, 1, 7]);
    }

    #[test]
    fn a_spec_of_names_means_those_names() {
        let awkward = ["a,b", "1-2", "say \"x\"", "", " y ", "z"];
        let spec = columns_spec(&awkward);
        assert_eq!(
            parse(&awkward, &spec).unwrap(),
            [0, 1, 2, 3, 4, 5],
            "{spec}"
        );
    }

    #[test]
    fn a_bad_spec_is_named() {
        let n = names("x y Class_A");
        let e = |s: &str| parse(&n, s).unwrap_err();
        assert_eq!(
            e("z"),
            "there is no column `z`. The columns are `x`, `y`, `Class_A`."
        );
        assert!(e("class a").contains("Did you mean `Class_A`?"));
        assert!(e("x-z").contains("there is no column `z`"));
        assert!(e("1-9").contains("no column number 9: the file has 3 columns"));
        assert!(e("0").contains("no column number 0"));
        assert!(e("99999999999999999999999").contains("no column number 999"));
        assert!(e("y-x").contains("runs backward"));
        assert!(e("3-1").contains("runs backward"));
        assert!(e("x,1").contains("name `x` twice"));
        assert!(e("x,,y").contains("empty item"));
        assert!(e("").contains("empty item"));
        assert!(e("\"x").contains("not closed"));
        assert!(e("\"q\"").contains("no column `q`"));
    }
}

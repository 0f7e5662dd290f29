//! Which rows of a table are taken: those whose cell in one column is one of some values.
//!
//! A choice is written `COLUMN=VALUE` or `COLUMN=VALUE,VALUE,...`. The column is a name, or a number from 1. The first `=` with a column
//! before it divides the two, so names may hold the sign. Values with a comma are put in double quotes. A value that is a number
//! is compared as a number (`0` is `0.0` and `0e0`), any other as text, blanks around it apart.

use crate::columns::{hint, one, split, unquote};
use crate::error::{IoError, Kind, Result, list, shown};
use std::path::Path;

/// Values of the column that a message lists at most.
const MOST_SEEN: usize = 8;

/// A cell of the choosing column.
pub(crate) enum Cell<'a> {
    /// As it stands; a missing one is empty.
    Text(&'a str),
    /// A whole number.
    Whole(i128),
    /// A floating-point number.
    F64(f64),
    /// One in single precision: `0.1` of the command line is then the single nearest to it.
    F32(f32),
}

struct Wanted {
    text: String,
    whole: Option<i128>,
    number: Option<f64>,
    found: bool,
}

impl Wanted {
    fn new(text: String) -> Self {
        Wanted {
            whole: text.parse().ok(),
            number: text.parse().ok().filter(|x: &f64| !x.is_nan()),
            text,
            found: false,
        }
    }

    fn is(&self, cell: &Cell<'_>) -> bool {
        match (cell, self.number) {
            (Cell::Text(text), number) => {
                let text = text.trim();
                if text == self.text {
                    return true;
                }
                // Whole numbers beyond 2^53, such as identifiers, are not told apart by a double.
                match (self.whole, number, text.parse::<f64>()) {
                    (Some(whole), _, Ok(_)) if text.parse::<i128>().is_ok() => {
                        text.parse() == Ok(whole)
                    }
                    (_, Some(number), Ok(cell)) => cell == number,
                    _ => false,
                }
            }
            (Cell::Whole(cell), number) => match self.whole {
                Some(whole) => *cell == whole,
                None => number.is_some_and(|number| *cell as f64 == number),
            },
            (Cell::F64(cell), Some(number)) => *cell == number,
            (Cell::F32(cell), Some(number)) => *cell == number as f32,
            (_, None) => false,
        }
    }
}

/// A choice of rows, and what it has met so far.
pub(crate) struct RowFilter {
    column: String,
    wanted: Vec<Wanted>,
    /// The first few other values of the column, for the message if something is not found.
    seen: Vec<String>,
    more: bool,
    /// Rows looked at.
    pub looked_at: u64,
    /// The rows of the chunk being filled, by their number in the file from 1.
    pub numbers: Vec<u64>,
}

impl RowFilter {
    /// Reads `COLUMN=VALUES`; `find` tells what a name or number stands for, `names` is what there is.
    pub fn parse<T>(
        path: &Path,
        spec: &str,
        names: &[&str],
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<(T, RowFilter)> {
        let fail = |message: String| Err(IoError::new(path, Kind::Columns, message));
        let mut cuts = spec
            .match_indices('=')
            .map(|(at, _)| (&spec[..at], &spec[at + 1..]));
        let Some((first, _)) = cuts.clone().next() else {
            return fail(format!(
                "the rows `{spec}` are no choice. Write COLUMN=VALUE or COLUMN=VALUE,VALUE: `time=0`."
            ));
        };
        let Some((place, column, values)) =
            cuts.find_map(|(column, values)| Some((find(column)?, column.trim(), values)))
        else {
            let first = first.trim();
            return fail(format!(
                "there is no column `{first}` to choose rows by.{} The columns are {}.",
                hint(names, first),
                list(names)
            ));
        };
        let column = unquote(column).unwrap_or_else(|| column.to_string());
        let Ok(items) = split(values) else {
            return fail(format!(
                "the rows `{spec}` have a double quote that is not closed."
            ));
        };
        let mut wanted: Vec<Wanted> = Vec::new();
        for item in items {
            let item = item.trim();
            // An empty value is likelier a slip of the shell than a wish for empty cells.
            if item.is_empty() {
                return fail(format!(
                    "the rows `{spec}` have an empty value. Write COLUMN=VALUE or COLUMN=VALUE,VALUE; \"\" for empty cells."
                ));
            }
            wanted.push(Wanted::new(
                unquote(item).map_or_else(|| item.to_string(), |t| t.trim().to_string()),
            ));
        }
        Ok((
            place,
            RowFilter {
                column,
                wanted,
                seen: Vec::new(),
                more: false,
                looked_at: 0,
                numbers: Vec::new(),
            },
        ))
    }

    /// As [`RowFilter::parse`] for a table whose columns have these names, real or made up.
    pub fn of_columns(path: &Path, spec: &str, names: &[&str]) -> Result<(usize, RowFilter)> {
        Self::parse(path, spec, names, |asked| one(names, asked))
    }

    /// Whether the next row is taken. To be asked of every row, in order.
    pub fn takes(&mut self, cell: &Cell<'_>) -> bool {
        self.looked_at += 1;
        if let Some(wanted) = self.wanted.iter_mut().find(|w| w.is(cell)) {
            wanted.found = true;
            self.numbers.push(self.looked_at);
            return true;
        }
        if !self.more {
            let text = match cell {
                Cell::Text(text) => shown(text.trim().as_bytes()),
                Cell::Whole(x) => x.to_string(),
                Cell::F64(x) => x.to_string(),
                Cell::F32(x) => x.to_string(),
            };
            if !self.seen.contains(&text) {
                if self.seen.len() < MOST_SEEN {
                    self.seen.push(text);
                } else {
                    self.more = true;
                }
            }
        }
        false
    }

    /// At the end of the file: every value asked for must have been there, or it may be a slip.
    pub fn check(&self, path: &Path) -> Result<()> {
        let missing: Vec<&str> = self
            .wanted
            .iter()
            .filter(|w| !w.found)
            .map(|w| w.text.as_str())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let found = self
            .wanted
            .iter()
            .filter(|w| w.found)
            .map(|w| w.text.clone());
        let mut there: Vec<String> = found.chain(self.seen.iter().cloned()).collect();
        // As a person would list them: numbers by size.
        if let Ok(mut numbers) = there
            .iter()
            .map(|t| t.parse::<f64>().map(|x| (x, t.clone())))
            .collect::<std::result::Result<Vec<_>, _>>()
        {
            numbers.sort_by(|a, b| a.0.total_cmp(&b.0));
            there = numbers.into_iter().map(|(_, t)| t).collect();
        } else {
            there.sort();
        }
        Err(IoError::new(
            path,
            Kind::Empty,
            format!(
                "no row has {} in the column `{}`. Its values are {}{}.",
                missing
                    .iter()
                    .map(|t| format!("`{t}`"))
                    .collect::<Vec<_>>()
                    .join(" or "),
                self.column,
                list(&there),
                if self.more { " and others" } else { "" }
            ),
        ))
    }
}

/// Keeps of `values`, `[rows, width]` from the place `from` on, the rows that `mask` marks.
pub(crate) fn compact<T>(values: &mut Vec<T>, from: usize, width: usize, mask: &[bool]) {
    let mut to = from;
    for (k, _) in mask.iter().enumerate().filter(|(_, keep)| **keep) {
        for c in 0..width {
            values.swap(to, from + k * width + c);
            to += 1;
        }
    }
    values.truncate(to);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(spec: &str) -> RowFilter {
        RowFilter::of_columns(Path::new("t"), spec, &["time", "a=b", "kind"])
            .unwrap()
            .1
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_text_as_text() {
        let takes = |spec: &str, cell: Cell<'_>| filter(spec).takes(&cell);
        for cell in ["0", "0.0", " 0 ", "0e0", "-0", "+0"] {
            assert!(takes("time=0", Cell::Text(cell)), "{cell}");
            assert!(takes("time=0.00", Cell::Text(cell)), "{cell}");
        }
        for cell in ["", "1", "O", "zero", "nan"] {
            assert!(!takes("time=0", Cell::Text(cell)), "{cell}");
        }
        assert!(takes("time=0", Cell::F64(0.0)) && !takes("time=0", Cell::F64(1e-300)));
        assert!(takes("time=0.0", Cell::Whole(0)) && !takes("time=0.5", Cell::Whole(0)));
        assert!(takes("time=0.1", Cell::F32(0.1)) && !takes("time=0.1", Cell::F64(0.1f32.into())));
        assert!(
            takes("kind= day 2 ", Cell::Text("day 2")) && !takes("kind=Day", Cell::Text("day"))
        );
        assert!(
            takes("kind=\"a,b\",c", Cell::Text("a,b")) && takes("kind=\"a,b\",c", Cell::Text("c"))
        );
        assert!(takes("kind=\"\"", Cell::Text(" ")) && takes("kind=nan", Cell::Text("nan")));
        assert!(!takes(
            "time=9007199254740993",
            Cell::Text("9007199254740992")
        ));
        assert!(takes("a=b=3", Cell::Text("3.0")) && takes("2=3", Cell::Text("3")));
    }

    #[test]
    fn a_choice_that_makes_no_sense_is_named() {
        let e = |spec: &str| {
            RowFilter::of_columns(Path::new("t"), spec, &["time", "Kind"])
                .err()
                .unwrap()
                .to_string()
        };
        assert!(e("time").contains("COLUMN=VALUE"));
        assert!(e("tme=0").contains("no column `tme`") && e("tme=0").contains("`time`, `Kind`"));
        assert!(e("kind=0").contains("Did you mean `Kind`?"));
        assert!(e("time=").contains("empty value") && e("time=1,,2").contains("empty value"));
        assert!(e("time=\"1").contains("not closed"));
        assert!(e("9=1").contains("no column `9`"));
    }

    #[test]
    fn values_that_are_not_there_are_told_with_those_that_are() {
        let mut f = filter("time=0,7,x");
        for t in ["10", "0", "9", "10"] {
            f.takes(&Cell::Text(t));
        }
        let m = f.check(Path::new("t")).unwrap_err().to_string();
        assert_eq!(
            m,
            "t: no row has `7` or `x` in the column `time`. Its values are `0`, `9`, `10`."
        );
        assert_eq!((f.looked_at, &f.numbers[..]), (4, &[2][..]));
        let mut f = filter("time=-1");
        (0..20).for_each(|t| {
            f.takes(&Cell::F64(t.into()));
        });
        let m = f.check(Path::new("t")).unwrap_err().to_string();
        assert!(m.ends_with("`6`, `7` and others."), "{m}");
    }

    #[test]
    fn what_is_kept_keeps_its_order() {
        let mut v = vec![9, 1, 2, 3, 4, 5, 6];
        compact(&mut v, 1, 2, &[false, true, true]);
        assert_eq!(v, [9, 3, 4, 5, 6]);
        compact(&mut v, 5, 2, &[]);
        compact(&mut v, 1, 4, &[false]);
        assert_eq!(v, [9]);
    }
}

//! The transport cost as a person writes it: `mahalanobis:FILE` becomes `mahalanobis:[[..],[..]]`, which needs no file.
//!
//! A matrix `A: [d, d]` is `d` rows of `d` numbers in any format that holds points, with or without names. It is put into the settings whole, digit by digit, so that a run
//! directory and a model can be repeated from themselves.

use crate::told;
use charflow::cost::{Cost, Mahalanobis, parse};
use charflow::{Error, Result};
use charflow_io::{Kind, ReadOptions, Reader};
use std::path::Path;

/// What stands for the matrix's file.
const FILE: &str = "mahalanobis:";

/// A cost's spelling without files, as [`parse`] reads it and as a model keeps it.
///
/// # Errors
/// A cost that there is not; a parameter that is missing or out of range; a file that cannot be read, or holds no symmetric positive definite matrix.
pub fn resolved_cost(text: &str) -> Result<String> {
    let text = text.trim();
    Ok(match file_of(text) {
        Some(path) => matrix(path)?.name(),
        None => parse(text)?.name(),
    })
}

/// The file that a cost names.
fn file_of(text: &str) -> Option<&Path> {
    let setting = text.strip_prefix(FILE)?.trim();
    (!setting.is_empty() && !setting.starts_with('[')).then(|| Path::new(setting))
}

fn matrix(path: &Path) -> Result<Mahalanobis> {
    let place = path.display();
    let mut reader = Reader::open(path, &ReadOptions::default()).map_err(|e| {
        // What the reader advises, to choose columns, is for points.
        if e.kind == Kind::Columns {
            return Error::Problem(format!(
                "{place}: expected the matrix of the cost, d rows of d numbers for points of d columns, and nothing else in the file: no names of the rows, no other columns, no other arrays."
            ));
        }
        told(e)
    })?;
    let d = reader.dim();
    let (mut rows, mut chunk) = (Vec::new(), Vec::new());
    // A table of points given by mistake is not read to its end.
    while rows.len() <= d && reader.next_chunk(d + 1, &mut chunk).map_err(told)? > 0 {
        rows.extend(chunk.chunks_exact(d).map(<[f64]>::to_vec));
    }
    if rows.len() > d {
        return Err(Error::Problem(format!(
            "{place}: the matrix of the Mahalanobis cost is not square: more than {d} row{} of {d} number{}; expected d rows of d numbers for points of d columns.",
            if d == 1 { "" } else { "s" },
            if d == 1 { "" } else { "s" },
        )));
    }
    Mahalanobis::new(&rows).map_err(|e| match e {
        Error::Config { message, .. } => Error::Problem(format!("{place}: {message}")),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_from_a_matrix() {
        for (text, file) in [
            ("mahalanobis:metric.csv", Some("metric.csv")),
            ("mahalanobis: C:\\a.npy ", Some("C:\\a.npy")),
            ("mahalanobis:[[1,0],[0,1]]", None),
            ("mahalanobis:", None),
            ("mahalanobis", None),
            ("elastic:0.5", None),
        ] {
            assert_eq!(file_of(text), file.map(Path::new), "{text}");
        }
        assert_eq!(resolved_cost(" elastic:0.50").unwrap(), "elastic:0.5");
    }
}

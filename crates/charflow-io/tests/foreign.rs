//! Files made by numpy, pandas and pyarrow (`fixtures/make.py`) read as they are meant.

use charflow_io::{Precision, ReadOptions, Reader, Table, npz_keys, read, read_npz_matrix};
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn options(columns: &str, labels: &str, weights: &str, array: &str) -> ReadOptions {
    let given = |s: &str| (!s.is_empty()).then(|| s.to_string());
    ReadOptions {
        columns: given(columns),
        labels: given(labels),
        weights: given(weights),
        array: given(array),
        ..Default::default()
    }
}

fn table(name: &str, o: &ReadOptions) -> Table {
    read(fixture(name), o).unwrap_or_else(|e| panic!("{e}"))
}

fn error(name: &str, o: &ReadOptions) -> String {
    read(fixture(name), o).unwrap_err().message_without_path()
}

/// x[i, j] = 10 i + j + plus, as `make.py` has it.
fn expected(plus: f64) -> Vec<f64> {
    (0..12)
        .map(|k| 10.0 * (k / 3) as f64 + (k % 3) as f64 + plus)
        .collect()
}

#[test]
fn every_numpy_layout_gives_the_same_points() {
    let none = ReadOptions::default();
    for (name, plus, precision) in [
        ("c_f4.npy", 0.25, Precision::F32),
        ("c_f8.npy", 0.25, Precision::F64),
        ("fortran_f8.npy", 0.25, Precision::F64),
        ("big_endian_f4.npy", 0.25, Precision::F32),
        ("half.npy", 0.25, Precision::F32),
        ("version2.npy", 0.25, Precision::F64),
        ("i8.npy", 0.0, Precision::F64),
        ("i2_big.npy", 0.0, Precision::F32),
        ("u1_big_fortran.npy", 0.0, Precision::F32),
        ("plain.npz", 0.25, Precision::F64),
        ("deflated.npz", 0.25, Precision::F32),
        ("deflated_fortran.npz", 0.25, Precision::F64),
        ("savetxt.csv", 0.25, Precision::F64),
        ("savetxt.tsv", 0.25, Precision::F64),
    ] {
        let o = if name == "plain.npz" {
            options("", "", "", "x")
        } else {
            none.clone()
        };
        let t = table(name, &o);
        assert_eq!((t.rows, t.dim, t.precision), (4, 3, precision), "{name}");
        assert_eq!(t.to_f64(), expected(plus), "{name}");
        assert_eq!(t.origin, [0.0; 3], "{name}");
        // In chunks of any size, with columns turned round.
        for chunk in [1, 3, 100] {
            let o = ReadOptions {
                columns: Some("3,1".into()),
                ..o.clone()
            };
            let mut reader = Reader::open(fixture(name), &o).unwrap();
            let (mut rows, mut all) = (Vec::new(), Vec::new());
            while reader.next_chunk(chunk, &mut rows).unwrap() > 0 {
                all.extend_from_slice(&rows);
            }
            let e = expected(plus);
            assert_eq!(
                all,
                (0..4)
                    .flat_map(|i| [e[3 * i + 2], e[3 * i]])
                    .collect::<Vec<_>>(),
                "{name}"
            );
        }
    }
    assert_eq!(
        table("one_axis.npy", &none).to_f64(),
        [0.25, 10.25, 20.25, 30.25]
    );
    assert_eq!(table("one_axis.npy", &none).dim, 1);
}

#[test]
fn labels_and_weights_beside_an_array() {
    let label = |name: &str, key: &str, array: &str| {
        table(name, &options("", key, "", array)).labels.unwrap()
    };
    assert_eq!(label("plain.npz", "y", ""), ["3", "-1", "3", "7"]);
    assert_eq!(label("plain.npz", "words", ""), ["a", "b\u{e9}", "a", "c"]);
    assert_eq!(label("plain.npz", "raw", ""), ["a", "bc", "a", "d"]);
    assert_eq!(
        label("plain.npz", "2", ""),
        ["1.25", "11.25", "21.25", "31.25"]
    );
    assert_eq!(label("deflated.npz", "y", ""), ["3", "1", "3", "7"]);
    assert_eq!(label("fortran.npz", "y", "points"), ["0", "1", "2", "3"]);
    let t = table("plain.npz", &options("", "y", "w", ""));
    assert_eq!(t.weights.unwrap(), [1.0, 2.0, 0.5, 0.0]);
    assert_eq!(t.dim, 3);
    let t = table("i8.npy", &options("", "1", "3", ""));
    assert_eq!(t.labels.unwrap(), ["0", "10", "20", "30"]);
    assert_eq!(t.weights.unwrap(), [2.0, 12.0, 22.0, 32.0]);
    assert_eq!(
        (t.columns, t.values),
        (vec!["x2".to_string()], vec![1.0, 11.0, 21.0, 31.0])
    );
    let t = table("fortran_f8.npy", &options("", "x1", "2", ""));
    assert_eq!(t.labels.unwrap(), ["0.25", "10.25", "20.25", "30.25"]);
    assert_eq!(t.weights.unwrap(), [1.25, 11.25, 21.25, 31.25]);
}

#[test]
fn small_matrices_of_an_npz() {
    assert_eq!(
        npz_keys(fixture("plain.npz")).unwrap(),
        ["x", "y", "w", "words", "raw", "Sigma", "cube"]
    );
    let (m, shape) = read_npz_matrix(fixture("plain.npz"), "Sigma").unwrap();
    assert_eq!((m, shape), (expected(0.25)[..9].to_vec(), vec![3, 3]));
    let (m, shape) = read_npz_matrix(fixture("plain.npz"), "cube").unwrap();
    assert_eq!(
        (m, shape),
        ((0..24).map(f64::from).collect(), vec![2, 3, 4])
    );
    assert_eq!(
        read_npz_matrix(fixture("deflated_fortran.npz"), "arr_0")
            .unwrap()
            .0,
        expected(0.25)
    );
    let e = read_npz_matrix(fixture("two.npz"), "c").unwrap_err();
    assert_eq!(e.message, "there is no array `c`. The arrays are `a`, `b`.");
    assert!(
        read_npz_matrix(fixture("plain.npz"), "words")
            .unwrap_err()
            .message
            .contains("holds text values")
    );
}

#[test]
fn pandas_text() {
    let o = options("a,b,c", "kind", "", "");
    let t = table("pandas.csv", &o);
    assert_eq!(
        (t.to_f64(), t.labels.unwrap()),
        (
            expected(0.25),
            ["u", "v", "u", "w"].map(String::from).to_vec()
        )
    );
    assert_eq!(
        table("pandas.csv", &options("", "kind", "", "")).columns,
        ["a", "b", "c"]
    );
    assert_eq!(table("pandas_index.csv", &o).to_f64(), expected(0.25));
    assert_eq!(
        error("pandas_index.csv", &options("", "kind", "", "")),
        "column 1 has no name in the header; it may be a row index. Choose the coordinates with --columns, for example --columns 2-5."
    );
    assert_eq!(
        table("savetxt.csv", &ReadOptions::default()).columns,
        ["a", "b", "c"]
    );
    assert!(!table("savetxt.tsv", &ReadOptions::default()).has_names);
}

#[test]
fn what_numpy_can_hold_and_we_cannot_is_named() {
    let none = ReadOptions::default();
    assert!(error("objects.npy", &none).contains("Python objects (pickled)"));
    assert!(error("record.npy", &none).contains("structured array"));
    assert!(error("three_axes.npy", &none).contains(
        "3 axes [2, 2, 2]; [rows, columns] is expected. Flatten it with `a.reshape(2, -1)`"
    ));
    let e = error("two.npz", &none);
    assert!(e.contains("none is named `x` and 2 have two axes. Name one of `a` float64 [4, 3], `b` float64 [4, 3] with --array"), "{e}");
    assert!(
        error("two.npz", &options("", "", "", "q"))
            .contains("no array `q`. The arrays are `a`, `b`.")
    );
    assert!(error("two.npz", &options("", "y", "", "a")).contains("no array `y`"));
    assert!(error("plain.npz", &options("", "", "", "words")).contains("holds text values"));
    let e = error("plain.npz", &options("", "Sigma", "", ""));
    assert!(
        e.contains("`Sigma` have the shape [3, 3]; one for each of the 4 points, [4], is expected"),
        "{e}"
    );
    assert!(error("plain.npz", &options("", "", "words", "")).contains("weights are numbers"));
    let e = error("plain.npz", &options("", "", "y", ""));
    assert_eq!(
        e,
        "row 2, column `y`: the weight is -1; weights are finite and not negative."
    );
}

#[cfg(feature = "parquet")]
mod parquet {
    use super::*;

    #[test]
    fn pandas_and_pyarrow() {
        let o = options("a,b,c", "kind", "", "");
        for name in ["pandas.parquet", "zstd.parquet"] {
            let t = table(name, &o);
            assert_eq!((t.to_f64(), t.precision), (expected(0.25), Precision::F64));
            assert_eq!(t.labels.unwrap(), ["u", "v", "u", "w"]);
            assert_eq!(
                table(name, &options("", "kind", "", "")).columns,
                ["a", "b", "c"]
            );
        }
        // The row index that pandas keeps is no coordinate, but it is passed on.
        let o = options("", "kind", "", "");
        let t = table("pandas_index.parquet", &o);
        assert_eq!(
            (t.columns.len(), t.labels.unwrap()),
            (3, ["w", "u", "v"].map(String::from).to_vec())
        );
        let reader = Reader::open(fixture("pandas_index.parquet"), &o).unwrap();
        assert_eq!(reader.extra_columns(), ["kind", "__index_level_0__"]);
    }

    #[test]
    fn types() {
        let e = error("types.parquet", &ReadOptions::default());
        assert!(e.contains("column `flag` holds true and false, not numbers. Choose the coordinates with --columns f..i"), "{e}");
        assert!(
            error("types.parquet", &options("f,when", "", "", ""))
                .contains("column `when` holds dates or times")
        );
        assert!(
            error("types.parquet", &options("f,list.list.element", "", "", ""))
                .contains("holds lists")
        );
        let mut reader =
            Reader::open(fixture("types.parquet"), &options("f,u", "label", "u", "")).err();
        assert!(
            reader
                .take()
                .unwrap()
                .message
                .contains("both as a coordinate and as weights")
        );
        let mut reader =
            Reader::open(fixture("types.parquet"), &options("f,i", "label", "u", "")).unwrap();
        let mut rows = Vec::new();
        // Across the boundary of two row groups.
        assert_eq!(reader.next_chunk(100, &mut rows).unwrap(), 4);
        assert_eq!(rows, [0.25, -1.0, 10.25, 2.0, 20.25, 3.0, 30.25, 4.0]);
        assert_eq!(reader.weights(), [1.0, 2.0, 3.0, 4294967295.0]);
        assert_eq!(reader.labels(), ["s", "t", "s", "t"]);
        assert_eq!(reader.precision(), Precision::F32);
        assert_eq!(reader.extra_columns(), ["u", "flag", "when", "label"]);
        assert_eq!(reader.extras()[0], "1");
        assert_eq!(reader.extras()[1], "True");
        assert!(
            reader.extras()[2].starts_with("2020-01-01"),
            "{}",
            reader.extras()[2]
        );
        assert_eq!(reader.extras()[15], "t");
    }

    #[test]
    fn missing_values_and_other_codecs_are_named() {
        let o = options("a,b,c", "", "", "");
        let e = error("nan.parquet", &o);
        assert!(e.starts_with("row 3, column `b`: the value is"), "{e}");
        let e = error("null.parquet", &ReadOptions::default());
        assert!(
            e.starts_with("row 2, column `a`: the value is missing (null)."),
            "{e}"
        );
        let e = error("gzip.parquet", &o);
        assert_eq!(
            e,
            "the columns are compressed with gzip, which is not read. Write them with snappy or zstd."
        );
    }

    /// Cut at every length and with single bytes changed: always an answer, never a crash.
    #[test]
    fn damage_is_an_error_not_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged.parquet");
        let whole = std::fs::read(fixture("types.parquet")).unwrap();
        let o = options("f,i", "label", "u", "");
        // The hook prints each panic that the guard turns into an error: keep the output of a passing test quiet.
        for length in (0..whole.len()).step_by(7) {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(read(&path, &o).is_err(), "cut at {length}");
        }
        for at in (0..whole.len()).step_by(5) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            std::fs::write(&path, &bytes).unwrap();
            let _ = read(&path, &o);
        }
    }
}

#[test]
fn damaged_numpy_files_are_errors_not_crashes() {
    let folder = tempfile::tempdir().unwrap();
    for (name, o) in [
        ("fortran_f8.npy", options("", "", "", "")),
        ("plain.npz", options("", "y", "w", "")),
        ("deflated.npz", options("", "y", "", "")),
    ] {
        let path = folder.path().join(name);
        let whole = std::fs::read(fixture(name)).unwrap();
        for length in (0..whole.len()).step_by(7) {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(read(&path, &o).is_err(), "{name} cut at {length}");
        }
        for at in (0..whole.len()).step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            std::fs::write(&path, &bytes).unwrap();
            let _ = read(&path, &o);
        }
    }
    // A changed value inside a stored entry is caught by the zip's checksum.
    let path = folder.path().join("x.npz");
    let mut bytes = std::fs::read(fixture("plain.npz")).unwrap();
    let at = bytes
        .windows(8)
        .position(|w| w == 12.25f64.to_le_bytes())
        .unwrap();
    bytes[at + 1] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let e = read(
        &path,
        &ReadOptions {
            array: Some("x".into()),
            ..Default::default()
        },
    )
    .unwrap_err()
    .message;
    assert!(e.contains("checksum"), "{e}");
}

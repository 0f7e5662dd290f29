//! A choice of rows gives what a file of these rows alone gives, in every format, in chunks of any size.

use charflow_io::{Kind, Precision, ReadOptions, Reader, Table, Writer, read};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn rows(choice: &str) -> ReadOptions {
    ReadOptions {
        rows: (!choice.is_empty()).then(|| choice.to_string()),
        ..Default::default()
    }
}

/// 1,000 rows of three columns, the first of which is 0, 1 or 2.
fn points(n: usize) -> Vec<f64> {
    (0..n)
        .flat_map(|i| {
            let t = (i * i % 7 % 3) as f64;
            [t, (i as f64).sin() + t, 1e6 + (i as f64).cos()]
        })
        .collect()
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|n| n.to_string()).collect()
}

fn write(path: &Path, columns: &[&str], values: &[f64]) {
    let mut writer = Writer::create(path, &names(columns), &[], Precision::F64).unwrap();
    writer.write(values, &[]).unwrap();
    writer.finish().unwrap();
}

#[test]
fn a_choice_is_the_file_of_those_rows() {
    let folder = tempfile::tempdir().unwrap();
    let all = points(1000);
    for format in ["csv", "tsv", "npz", "parquet", "npy"] {
        let whole = folder.path().join(format!("whole.{format}"));
        write(&whole, &["time", "x", "y"], &all);
        let column = if format == "npy" { "1" } else { "time" };
        for (values, wanted) in [("0", &[0.0][..]), ("2.0", &[2.0]), ("1,0", &[0.0, 1.0])] {
            let alone: Vec<f64> = all
                .chunks(3)
                .filter(|r| wanted.contains(&r[0]))
                .flat_map(|r| [r[1], r[2]])
                .collect();
            let part = folder.path().join(format!("part.{format}"));
            write(&part, &["x", "y"], &alone);
            let options = rows(&format!("{column}={values}"));
            let found = read(&whole, &options).unwrap();
            let expected = read(&part, &ReadOptions::default()).unwrap();
            assert_eq!(found.rows_in_file, 1000, "{format}");
            assert_eq!(expected.rows_in_file, expected.rows);
            let same = Table {
                path: expected.path.clone(),
                rows_in_file: expected.rows_in_file,
                columns: expected.columns.clone(),
                ..found
            };
            assert_eq!(same, expected, "{format} {values}");
            // Every chunk but the last is full, and each row knows its place.
            for chunk in [1, 7, 256, 5000] {
                let mut reader = Reader::open(&whole, &options).unwrap();
                assert_eq!(reader.rows_hint(), None);
                let (mut some, mut got, mut ended) = (Vec::new(), Vec::new(), false);
                loop {
                    let n = reader.next_chunk(chunk, &mut some).unwrap();
                    if n == 0 {
                        break;
                    }
                    assert!(!ended);
                    ended = n < chunk;
                    for (k, row) in some.chunks(2).enumerate() {
                        let i = reader.row_in_file(k) as usize - 1;
                        assert_eq!(all[3 * i + 1..3 * i + 3], *row, "{format}");
                    }
                    got.extend_from_slice(&some);
                }
                assert_eq!(got, alone, "{format} {chunk}");
                assert_eq!(reader.rows_looked_at(), 1000);
                assert_eq!(reader.rows_read() as usize, alone.len() / 2);
            }
        }
        // Asked for by name, the column is a coordinate all the same.
        let options = ReadOptions {
            columns: Some("1-3".into()),
            ..rows(&format!("{column}=1"))
        };
        assert_eq!(read(&whole, &options).unwrap().dim, 3);
        let e = read(&whole, &rows(&format!("{column}=5"))).unwrap_err();
        assert!(
            e.message.contains("no row has `5`")
                && e.message.replace(".0", "").contains("`0`, `1`, `2`."),
            "{e}"
        );
        let e = read(&whole, &rows("day=5")).unwrap_err();
        assert!(
            e.kind == Kind::Columns && e.message.contains("no column `day`"),
            "{e}"
        );
    }
}

#[test]
fn labels_weights_and_other_columns_go_with_their_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(
        &path,
        "kind,x,w,time\na,1,0.5,0\nb,2,0.25,1\nc,bad,none,2\n,,,2\na,5,1,1\n",
    )
    .unwrap();
    let options = ReadOptions {
        labels: Some("kind".into()),
        weights: Some("w".into()),
        ..rows("time=1")
    };
    let table = read(&path, &options).unwrap();
    assert_eq!(table.labels.unwrap(), ["b", "a"]);
    assert_eq!(table.weights.unwrap(), [0.25, 1.0]);
    assert_eq!(
        (table.values, table.columns),
        (vec![2.0, 5.0], names(&["x"]))
    );
    let mut reader = Reader::open(
        &path,
        &ReadOptions {
            columns: Some("x".into()),
            ..rows("time=0,1")
        },
    )
    .unwrap();
    let mut some = Vec::new();
    assert_eq!(reader.next_chunk(10, &mut some).unwrap(), 3);
    assert_eq!(reader.extra_columns(), ["kind", "w", "time"]);
    assert_eq!(reader.extras()[3..6], names(&["b", "0.25", "1"]));
    // By class, which is text.
    let options = ReadOptions {
        columns: Some("x".into()),
        ..rows("kind=b")
    };
    assert_eq!(read(&path, &options).unwrap().to_f64(), [2.0]);
    // What is wrong in a row that is taken is told by its place in the file.
    let options = ReadOptions {
        columns: Some("x".into()),
        ..rows("time=2")
    };
    let e = read(&path, &options).unwrap_err();
    assert_eq!((e.row, e.line), (Some(3), Some(4)), "{e}");
    std::fs::write(&path, "x,time\n1,0\nnan,1\ninf,0\n").unwrap();
    assert_eq!(read(&path, &rows("time=0")).unwrap_err().row, Some(3));
    assert_eq!(read(&path, &rows("time=1")).unwrap_err().row, Some(2));
    std::fs::write(&path, "x,time\n1,0\nnan,1\n1e300,0\n").unwrap();
    assert_eq!(read(&path, &rows("time=0")).unwrap_err().row, Some(3));
}

#[test]
fn files_of_other_programs() {
    let first = |name: &str, choice: &str, array: &str| {
        let options = ReadOptions {
            array: (!array.is_empty()).then(|| array.to_string()),
            ..rows(choice)
        };
        let table = read(fixture(name), &options).unwrap();
        let column: Vec<f64> = table.to_f64().chunks(table.dim).map(|r| r[0]).collect();
        (table.dim, column)
    };
    // Arrays of their own: whole numbers, text, bytes, doubles.
    assert_eq!(first("plain.npz", "y=3", ""), (3, vec![0.25, 20.25]));
    assert_eq!(
        first("plain.npz", "words=bé,c", ""),
        (3, vec![10.25, 30.25])
    );
    assert_eq!(first("plain.npz", "raw=bc", ""), (3, vec![10.25]));
    assert_eq!(first("plain.npz", "w=0.50,0", ""), (3, vec![20.25, 30.25]));
    assert_eq!(first("deflated.npz", "y=1", ""), (3, vec![10.25]));
    assert_eq!(first("fortran.npz", "y=3", "points"), (3, vec![30.25]));
    // Columns by number, in Fortran order too, and of whole numbers.
    assert_eq!(first("fortran_f8.npy", "2=21.25", ""), (2, vec![20.25]));
    assert_eq!(first("deflated_fortran.npz", "3=2.25", ""), (2, vec![0.25]));
    assert_eq!(first("i8.npy", "1=20", "").1.len(), 1);
    // A key that is not there is told with those that are.
    let e = read(fixture("plain.npz"), &rows("day=1")).unwrap_err();
    assert!(
        e.message.contains("no column `day`") && e.message.contains("`words`"),
        "{e}"
    );
    let e = read(fixture("plain.npz"), &rows("Sigma=1")).unwrap_err();
    assert!(
        e.message
            .contains("to choose rows by `Sigma` have the shape"),
        "{e}"
    );
    // A missing value in a row that is not taken does no harm.
    let options = |choice: &str| ReadOptions {
        columns: Some("1".into()),
        ..rows(choice)
    };
    assert!(read(fixture("null.parquet"), &options("")).is_err());
    let table = read(fixture("null.parquet"), &options("a=1,3")).unwrap();
    assert_eq!(table.to_f64(), [1.0, 3.0]);
    assert!(read(fixture("null.parquet"), &options("b=2")).is_err());
    let table = |choice: &str| {
        read(fixture("types.parquet"), &options(choice))
            .unwrap()
            .rows
    };
    assert_eq!(
        (table("u=4294967295"), table("i=-1,2"), table("flag=True")),
        (1, 2, 3)
    );
    assert_eq!((table("label=t"), table("f=0.25")), (2, 1));
}

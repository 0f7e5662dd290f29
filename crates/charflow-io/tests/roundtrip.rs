//! What is written comes back, in every format and precision, and nothing half-written is ever seen.

use charflow_io::{
    Format, InMemory, Kind, Precision, ReadOptions, Reader, Table, Writer, columns_spec, read,
};
use std::fs;
use std::path::Path;

fn formats() -> Vec<&'static str> {
    let mut all = vec!["npy", "npz", "csv", "tsv"];
    if cfg!(feature = "parquet") {
        all.push("parquet");
    }
    all
}

fn names(d: usize) -> Vec<String> {
    (0..d).map(|k| format!("c{k}")).collect()
}

/// Numbers of all sizes, with long digits: a small generator is enough.
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    (0..count)
        .map(|k| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let unit = (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
            unit * 10f64.powi((k % 7) as i32 - 3)
        })
        .collect()
}

fn stream(path: &Path, options: &ReadOptions, chunk: usize) -> Vec<f64> {
    let mut reader = Reader::open(path, options).unwrap();
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    loop {
        let n = reader.next_chunk(chunk, &mut rows).unwrap();
        assert_eq!(rows.len(), n * reader.dim());
        if n == 0 {
            return all;
        }
        all.extend_from_slice(&rows);
    }
}

#[test]
fn numbers_come_back_exactly() {
    let folder = tempfile::tempdir().unwrap();
    for format in formats() {
        for precision in [Precision::F32, Precision::F64] {
            for (n, d) in [(1, 1), (7, 3), (1000, 5), (3, 400)] {
                let path = folder.path().join(format!("points.{format}"));
                let values = numbers(n * d, (n + d) as u64);
                let mut writer = Writer::create(&path, &names(d), &[], precision).unwrap();
                // In unequal parts.
                let (a, b) = values.split_at(n / 3 * d);
                writer.write(a, &[]).unwrap();
                writer.write(&[], &[]).unwrap();
                writer.write(b, &[]).unwrap();
                assert_eq!(writer.rows(), n as u64);
                writer.finish().unwrap();
                let expected: Vec<f64> = match precision {
                    Precision::F32 => values.iter().map(|v| f64::from(*v as f32)).collect(),
                    Precision::F64 => values,
                };
                // Short decimal text of a single-precision number reads back as that number, in single precision.
                let text = matches!(format, "csv" | "tsv");
                let narrow = text && precision == Precision::F32;
                let seen = |v: f64| if narrow { f64::from(v as f32) } else { v };
                for chunk in [1, 13, 100_000] {
                    let back = stream(&path, &ReadOptions::default(), chunk);
                    let back: Vec<f64> = back.into_iter().map(seen).collect();
                    assert_eq!(back, expected, "{format} {precision:?} {n} {d}");
                }
                let table = read(&path, &ReadOptions::default()).unwrap();
                assert_eq!((table.rows, table.dim), (n, d));
                let own_names = format != "npy";
                assert_eq!(
                    (table.has_names, table.columns == names(d)),
                    (own_names, own_names)
                );
                assert_eq!(
                    table.precision,
                    if text { Precision::F64 } else { precision }
                );
                if n > 1 {
                    let naive: Vec<f32> = expected.iter().map(|v| *v as f32).collect();
                    assert_eq!(table.origin, vec![0.0; d]);
                    assert_eq!(table.values, naive);
                }
            }
        }
    }
}

#[test]
fn the_largest_and_smallest_numbers_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let values = [
        f64::MAX,
        f64::MIN_POSITIVE,
        -0.0,
        5e-324,
        1.0 / 3.0,
        1e16,
        123456789.125,
        -f64::MAX,
    ];
    for format in formats() {
        let path = folder.path().join(format!("edge.{format}"));
        let mut writer = Writer::create(&path, &names(2), &[], Precision::F64).unwrap();
        writer.write(&values, &[]).unwrap();
        writer.finish().unwrap();
        let back = stream(&path, &ReadOptions::default(), 3);
        assert!(
            back.iter()
                .zip(&values)
                .all(|(a, b)| a.to_bits() == b.to_bits()),
            "{format}: {back:?}"
        );
    }
}

#[test]
fn extra_columns_pass_through_every_pair_of_text_formats() {
    let folder = tempfile::tempdir().unwrap();
    let points = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let extras = [
        "a,b",
        "say \"x\"",
        "",
        "tab\there",
        " blank ",
        "line\nbreak",
    ]
    .map(String::from);
    let (columns, extra_columns) = (
        ["x".to_string(), "y, z".to_string()],
        ["name".to_string(), "note".to_string()],
    );
    let text: Vec<&str> = formats()
        .into_iter()
        .filter(|f| !f.starts_with("np"))
        .collect();
    for from in &text {
        let first = folder.path().join(format!("first.{from}"));
        let mut writer = Writer::create(&first, &columns, &extra_columns, Precision::F64).unwrap();
        writer.write(&points[..4], &extras[..4]).unwrap();
        writer.write(&points[4..], &extras[4..]).unwrap();
        writer.finish().unwrap();
        for to in &text {
            let second = folder.path().join(format!("second.{to}"));
            let options = ReadOptions {
                columns: Some(columns_spec(&columns)),
                ..Default::default()
            };
            let mut reader = Reader::open(&first, &options).unwrap();
            let mut writer = Writer::create(
                &second,
                reader.columns(),
                reader.extra_columns(),
                reader.precision(),
            )
            .unwrap();
            let mut rows = Vec::new();
            while reader.next_chunk(2, &mut rows).unwrap() > 0 {
                writer.write(&rows, reader.extras()).unwrap();
            }
            writer.finish().unwrap();
            let mut reader = Reader::open(&second, &options).unwrap();
            reader.next_chunk(10, &mut rows).unwrap();
            assert_eq!(
                (rows.as_slice(), reader.extras()),
                (&points[..], &extras[..]),
                "{from} to {to}"
            );
            assert_eq!(
                (reader.columns(), reader.extra_columns()),
                (&columns[..], &extra_columns[..])
            );
        }
    }
    for numpy in ["npy", "npz"] {
        let path = folder.path().join(format!("out.{numpy}"));
        assert!(!Format::of(&path).unwrap().holds_text());
        let e = Writer::create(&path, &columns, &extra_columns, Precision::F64).unwrap_err();
        assert!(
            e.message
                .contains("numbers only, not the extra columns `name`, `note`"),
            "{e}"
        );
    }
}

#[test]
fn many_row_groups_and_chunks() {
    // More rows than a parquet row group of this width holds, and than one chunk of `read`.
    let folder = tempfile::tempdir().unwrap();
    let (n, d) = (140_000, 2);
    let values = numbers(n * d, 1);
    for format in formats() {
        let path = folder.path().join(format!("long.{format}"));
        let mut writer = Writer::create(&path, &names(d), &[], Precision::F32).unwrap();
        values
            .chunks(9_998)
            .for_each(|part| writer.write(part, &[]).unwrap());
        writer.finish().unwrap();
        let table = read(&path, &ReadOptions::default()).unwrap();
        assert_eq!(
            table.values,
            values.iter().map(|v| *v as f32).collect::<Vec<_>>(),
            "{format}"
        );
    }
}

/// A cloud of unit size far away: single precision alone would keep 1e9 + 0.3 as 1e9.
#[test]
fn a_big_offset_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (n, d) = (5_000, 3);
    let offset = [1e9, 0.0, -3e12];
    let mut values = numbers(n * d, 3);
    values
        .iter_mut()
        .enumerate()
        .for_each(|(k, v)| *v += offset[k % d]);
    for format in formats() {
        let path = folder.path().join(format!("far.{format}"));
        let mut writer = Writer::create(&path, &names(d), &[], Precision::F64).unwrap();
        writer.write(&values, &[]).unwrap();
        writer.finish().unwrap();
        let table: Table = read(&path, &ReadOptions::default()).unwrap();
        assert_eq!(table.origin[1], 0.0);
        let mut worst = 0f64;
        for (k, (back, v)) in table.to_f64().iter().zip(&values).enumerate() {
            // Half a last place of the spread in single precision, and one of the value itself in double.
            let spread = 500.0;
            worst = worst.max((back - v).abs() / (spread * 6e-8 + v.abs() * f64::EPSILON));
            assert_eq!(table.point(k / d)[k % d], *back);
        }
        assert!(worst < 1.0, "{format}: {worst}");
    }
}

#[test]
fn nothing_half_written_remains() {
    let folder = tempfile::tempdir().unwrap();
    let list = || {
        fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect::<Vec<_>>()
    };
    for format in formats() {
        let path = folder.path().join(format!("out.{format}"));
        let mut writer = Writer::create(&path, &names(2), &[], Precision::F64).unwrap();
        writer.write(&[1.0, 2.0], &[]).unwrap();
        assert!(!path.exists());
        assert_eq!(list().len(), 1, "the temporary file lies beside the target");
        drop(writer);
        assert!(list().is_empty(), "{format}: {:?}", list());

        // A file that was there stays until the new one is whole.
        fs::write(&path, "old").unwrap();
        let mut writer = Writer::create(&path, &names(2), &[], Precision::F64).unwrap();
        writer.write(&[1.0, 2.0], &[]).unwrap();
        assert_eq!(writer.write(&[1.0], &[]).unwrap_err().kind, Kind::Usage);
        drop(writer);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let mut writer = Writer::create(&path, &names(2), &[], Precision::F64).unwrap();
        writer.write(&[1.0, 2.0], &[]).unwrap();
        writer.finish().unwrap();
        assert_eq!(
            read(&path, &ReadOptions::default()).unwrap().to_f64(),
            [1.0, 2.0]
        );
        assert_eq!(list().len(), 1);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn where_nothing_can_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let create = |path: &Path| {
        Writer::create(path, &names(1), &[], Precision::F64)
            .unwrap_err()
            .to_string()
    };
    let e = create(&folder.path().join("no/such/out.csv"));
    assert!(
        e.contains("no/such` does not exist. Create it first."),
        "{e}"
    );
    let e = create(&folder.path().join("out.xlsx"));
    assert!(
        e.contains("unknown extension `.xlsx`. Known are .npy, .npz, .csv, .tsv and .parquet."),
        "{e}"
    );
    fs::create_dir(folder.path().join("dir.npy")).unwrap();
    let e = create(&folder.path().join("dir.npy"));
    assert!(e.contains("this is a folder; name a file"), "{e}");
    fs::write(folder.path().join("plain"), "").unwrap();
    let e = create(&folder.path().join("plain/out.csv"));
    assert!(e.contains("is not a folder"), "{e}");
    let twice = Writer::create(
        folder.path().join("a.csv"),
        &names(1),
        &names(1),
        Precision::F64,
    )
    .unwrap_err();
    assert!(twice.message.contains("two columns are named `c0`"));
    assert_eq!(
        Writer::create(folder.path().join("a.csv"), &[], &[], Precision::F64)
            .unwrap_err()
            .kind,
        Kind::Usage
    );
}

#[test]
fn points_in_memory_are_the_table_of_a_file_that_holds_them() {
    let folder = tempfile::tempdir().unwrap();
    // More rows than are looked at together, and a column far from zero whose range grows after them.
    let (n, d) = (70_000, 3);
    let mut values = numbers(n * d, 3);
    for (i, row) in values.chunks_exact_mut(d).enumerate() {
        row[1] += if i < 69_000 { 1e6 } else { 2e6 };
    }
    for precision in [Precision::F64, Precision::F32] {
        let path = folder.path().join("points.npz");
        let mut writer = Writer::create(&path, &names(d), &[], precision).unwrap();
        writer.write(&values, &[]).unwrap();
        writer.finish().unwrap();
        let of_file = read(&path, &ReadOptions::default()).unwrap();
        let double = precision == Precision::F64;
        let seen = |v: &f64| if double { *v } else { f64::from(*v as f32) };
        let about = InMemory {
            name: "X".into(),
            columns: Some(names(d)),
            dim: d,
            double,
            ..InMemory::default()
        };
        let of_memory = Table::from_memory(about, values.iter().map(seen)).unwrap();
        assert_eq!(of_memory.origin[1] != 0.0, double);
        let as_file = Table {
            path: path.clone(),
            in_memory: false,
            ..of_memory
        };
        assert_eq!(as_file, of_file);
    }
}

#[test]
fn points_in_memory_are_refused_in_the_words_of_a_file() {
    let two = |values: &[f64], change: &dyn Fn(&mut InMemory)| {
        let mut about = InMemory {
            name: "X".into(),
            dim: 2,
            double: true,
            ..InMemory::default()
        };
        change(&mut about);
        Table::from_memory(about, values.to_vec())
            .unwrap_err()
            .to_string()
    };
    let same = |_: &mut InMemory| {};
    assert_eq!(
        two(&[1.0, 2.0, 3.0, f64::NAN], &same),
        "X, row 2, column `x2`: the value is NaN; every value must be a finite number. Fill it or leave the row out."
    );
    for (message, words) in [
        (two(&[1e39, 0.0, 0.0, 0.0], &same), "row 1, column `x1`"),
        (two(&[], &same), "no rows"),
        (two(&[1.0, 2.0, 3.0], &same), "3 values are no rows of 2"),
        (two(&[1.0; 2], &|a| a.dim = 0), "no columns"),
        (
            two(&[1.0; 2], &|a| a.columns = Some(names(3))),
            "3 names for 2 columns",
        ),
        (
            two(&[1.0; 2], &|a| a.labels = Some(names(2))),
            "2 labels for 1 point;",
        ),
        (
            two(&[1.0; 2], &|a| a.weights = Some(vec![])),
            "0 weights for 1 point;",
        ),
        (
            two(&[1.0; 2], &|a| a.weights = Some(vec![-1.0])),
            "row 1, column `weights`: the weight is -1",
        ),
        (
            two(&[1.0; 2], &|a| a.weights = Some(vec![0.0])),
            "sum to zero",
        ),
    ] {
        assert!(
            message.starts_with("X") && message.contains(words),
            "{message}"
        );
    }
}

//! Every bad input has its message: file, row, line, column, what was found, what to do.

use charflow_io::{Kind, ReadOptions, Table, columns_spec, read};
use std::fs;

fn given(s: &str) -> Option<String> {
    (!s.is_empty()).then(|| s.to_string())
}

fn options(columns: &str, labels: &str, weights: &str) -> ReadOptions {
    ReadOptions {
        columns: given(columns),
        labels: given(labels),
        weights: given(weights),
        ..Default::default()
    }
}

fn try_text(
    name: &str,
    content: impl AsRef<[u8]>,
    o: &ReadOptions,
) -> Result<Table, (String, Kind)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    read(&path, o).map_err(|e| {
        let text = e.to_string();
        assert!(
            text.starts_with(&path.display().to_string()),
            "the file is named first: {text}"
        );
        assert!(text.ends_with(['.', '?']), "a sentence: {text}");
        (e.message_without_path(), e.kind)
    })
}

fn csv(content: &str) -> Table {
    try_text("a.csv", content, &ReadOptions::default())
        .unwrap_or_else(|e| panic!("{content:?}: {e:?}"))
}

#[track_caller]
fn bad(content: &str, o: &ReadOptions, kind: Kind, message: &str) {
    let (text, k) = try_text("a.csv", content, o).expect_err(content);
    assert!(
        text.starts_with(message),
        "\n found    {text}\n expected {message}"
    );
    assert_eq!(k, kind, "{text}");
}

#[test]
fn bad_cells() {
    let none = ReadOptions::default();
    let b = |content: &str, message: &str| bad(content, &none, Kind::Cell, message);
    b(
        "x,y\n1,2\n3,nan\n",
        "row 2 (line 3), column `y`: the value is NaN; every value must be a finite number.",
    );
    b(
        "x,y\n1,2\n\n\n-inf,4\n",
        "row 2 (line 5), column `x`: the value is -inf",
    );
    b(
        "1,2\n3,1e999\n",
        "row 2 (line 2), column `x2`: the value is inf",
    );
    b(
        "x,y\n1,2\n3,abc\n",
        "row 2 (line 3), column `y`: expected a number, found `abc`.",
    );
    b(
        "x,y\n1,2\n3,\n",
        "row 2 (line 3), column `y`: the cell is empty. Every point needs a number in every column",
    );
    b(
        "x,y\n1,2\n3,NA\n",
        "row 2 (line 3), column `y`: found `NA`, a missing value.",
    );
    b(
        "x,y\n1,2\n3\n",
        "row 2 (line 3): the row has 1 fields; the header has 2.",
    );
    b(
        "1,2\n3,4,5\n",
        "row 2 (line 2): the row has 3 fields; the first row has 2.",
    );
    b(
        "x,y\n1,2,3\n",
        "row 1 (line 2): the row has 3 fields; the header has 2.",
    );
    b(
        "1,\n3,4\n",
        "row 1 (line 1), column `x2`: the cell is empty.",
    );
    b(
        "1,-0.5\nq,4\n",
        "row 2 (line 2), column `x1`: expected a number, found `q`.",
    );
    b(
        "0.5,oops,-3\n3,4,5\n",
        "row 1 (line 1), column `x2`: expected a number, found `oops`. If this row is a header",
    );
    b(
        "x,y\n1,2\n3,1e39\n",
        "row 2 (line 3), column `y`: the value 1e39 is too large for single precision",
    );
    b("x,y\r\n1,2\r\n\r\n3,q\r\n", "row 2 (line 4), column `y`");
    b("x,y\r1,2\r3,q\r", "row 2 (line 3), column `y`");
    b("x,y\n1,2\n  \n\n3,q", "row 2 (line 5), column `y`");
    // A far row is counted across chunks.
    let mut long = String::from("x,y\n");
    (0..200_000).for_each(|k| long.push_str(&format!("{k},1\n")));
    long.push_str("1,z\n");
    b(
        &long,
        "row 200001 (line 200002), column `y`: expected a number, found `z`.",
    );
    // Fields over several lines.
    bad(
        "name,x\n\"a\nb\",1\nc,d\n",
        &options("x", "", ""),
        Kind::Cell,
        "row 2 (line 4), column `x`: expected a number, found `d`",
    );
}

#[test]
fn bad_labels_and_weights() {
    let b = |content: &str, l: &str, w: &str, kind: Kind, message: &str| {
        bad(content, &options("", l, w), kind, message)
    };
    b(
        "x,c\n1,a\n2,\n",
        "c",
        "",
        Kind::Cell,
        "row 2 (line 3), column `c`: the label is empty.",
    );
    b(
        "x,w\n1,1\n2,-0.5\n",
        "",
        "w",
        Kind::Cell,
        "row 2 (line 3), column `w`: the weight is -0.5; weights are finite and not negative.",
    );
    b(
        "x,w\n1,1\n2,nan\n",
        "",
        "w",
        Kind::Cell,
        "row 2 (line 3), column `w`: the weight is NaN",
    );
    b(
        "x,w\n1,0\n2,0\n",
        "",
        "w",
        Kind::Columns,
        "column `w`: the weights sum to zero",
    );
    b(
        "x,w\n1,a\n2,0\n",
        "",
        "w",
        Kind::Columns,
        "the weights column `w` holds text; weights are numbers.",
    );
    b(
        "x,w\n1,1\n2,a\n",
        "",
        "w",
        Kind::Cell,
        "row 2 (line 3), column `w`: expected a number, found `a`.",
    );
    b(
        "x,c\n1,a\n",
        "class",
        "",
        Kind::Columns,
        "there is no label column `class`. The columns are `x`, `c`.",
    );
    b(
        "x,Class\n1,a\n",
        "class",
        "",
        Kind::Columns,
        "there is no label column `class`. Did you mean `Class`?",
    );
    b(
        "x,c\n1,2\n",
        "",
        "3",
        Kind::Columns,
        "there is no weights column `3`.",
    );
    b(
        "x,c\n1,2\n",
        "c",
        "c",
        Kind::Columns,
        "column `c` is asked for both as labels and as weights.",
    );
    b(
        "c\n2\n3\n",
        "c",
        "",
        Kind::Columns,
        "no column is left for the coordinates. The columns are `c`.",
    );
}

#[test]
fn bad_columns() {
    let b = |content: &str, columns: &str, message: &str| {
        bad(content, &options(columns, "", ""), Kind::Columns, message)
    };
    b(
        "x,x\n1,2\n",
        "",
        "two columns are named `x`. Give every column its own name.",
    );
    b(
        "x,y\n1,2\n",
        "x,z",
        "there is no column `z`. The columns are `x`, `y`.",
    );
    b("x,y\n1,2\n", "x,x", "the columns `x,x` name `x` twice.");
    b(
        "x,y\n1,2\n",
        "1-3",
        "there is no column number 3: the file has 2 columns, numbered from 1.",
    );
    b(
        "cell,x1,x2,x3,y\nA,1,2,3,4\n",
        "",
        "column `cell` holds text, not numbers. Choose the coordinates with --columns x1..y (and the classes, if these are they, with --labels).",
    );
    bad(
        "a,x\nu,1\n",
        &options("1,2", "1", ""),
        Kind::Columns,
        "column `a` is asked for both as a coordinate and as labels",
    );
    bad(
        "a,x\nu,1\n",
        &options("a,x", "", ""),
        Kind::Cell,
        "row 1 (line 2), column `a`: expected a number, found `u`.",
    );
    bad(
        "a,b\nu,v\n",
        &options("", "a", ""),
        Kind::Columns,
        "column `b` holds text, not numbers. No column holds numbers.",
    );
}

#[test]
fn files_that_are_not_what_they_say() {
    let none = ReadOptions::default();
    let e = |name: &str, content: &[u8]| try_text(name, content, &none).unwrap_err();
    for name in ["a.csv", "a.tsv", "a.npy", "a.npz", "a.parquet"] {
        if cfg!(feature = "parquet") || name != "a.parquet" {
            assert_eq!(
                e(name, b""),
                ("the file is empty (0 bytes).".into(), Kind::Empty),
                "{name}"
            );
        }
    }
    assert_eq!(
        e("a.csv", b"\n \n\n"),
        ("the file is empty.".into(), Kind::Empty)
    );
    assert_eq!(
        e("a.csv", b"x,y\n"),
        ("the file has a header but no rows.".into(), Kind::Empty)
    );
    assert_eq!(
        e("a.csv", b"\x93NUMPY\x01\x00").0,
        "this is not text; it looks like a numpy array: name it .npy."
    );
    assert_eq!(e("a.npy", b"1,2\n3,4\n").0, "this is not a numpy array.");
    assert!(e("a.npy", b"PK\x03\x04abcd").0.contains("looks like a zip"));
    assert!(
        e("a.npz", b"\x93NUMPY\x01\x00")
            .0
            .contains("not an npz (zip) file; it looks like a numpy array: name it .npy.")
    );
    assert!(
        e("a.npz", b"PK\x03\x04abcd")
            .0
            .contains("directory cannot be read")
    );
    assert!(e("a.csv", b"\xff\xfex\x00").0.contains("UTF-16"));
    assert!(e("a.csv", b"\x1f\x8b\x08").0.contains("gzip"));
    assert!(
        e("a.csv", b"1;2\n3;4\n")
            .0
            .contains("separated by semicolons"),
        "{:?}",
        e("a.csv", b"1;2\n3;4\n")
    );
    assert!(
        e("a.csv", b"1\t2\n3\t4\n")
            .0
            .contains("separated by tabs. Name the file .tsv.")
    );
    assert!(
        e("a.csv", b"x;y\n1;2\n3;4\n")
            .0
            .contains("separated by semicolons")
    );
    assert!(
        e("a.txt", b"1")
            .0
            .contains("unknown extension `.txt`. Known are .npy, .npz, .csv, .tsv and .parquet.")
    );
    assert!(e("a", b"1").0.contains("no extension"));
    #[cfg(feature = "parquet")]
    assert!(
        e("a.parquet", b"x,y\n1,2\n")
            .0
            .contains("this is not a Parquet file.")
    );
    #[cfg(not(feature = "parquet"))]
    assert!(e("a.parquet", b"PAR1").0.contains("--features parquet"));
}

#[test]
fn a_short_npy_tells_what_it_has() {
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(
        format!(
            "{:<117}\n",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (10, 2), }"
        )
        .into_bytes(),
    );
    let e = |bytes: &[u8]| {
        try_text("a.npy", bytes, &ReadOptions::default())
            .unwrap_err()
            .0
    };
    assert_eq!(
        e(&[&bytes[..], &[0; 44]].concat()),
        "the file is cut short: an array of shape [10, 2] and type float32 takes 80 bytes, and 44 are there, enough for 5 of its 10 rows. Copy or write it again."
    );
    assert!(e(&bytes[..40]).contains("ends inside its npy header"));
    assert!(e(&bytes[..7]).contains("ends inside its npy header"));
    let mut version = bytes.clone();
    version[6] = 9;
    assert!(e(&version).contains("npy format version 9 is newer"));
    // NaN by row and column, and a wrong number of columns asked for.
    let mut data = [0u8; 80];
    data[4 * 7..4 * 8].copy_from_slice(&f32::NAN.to_le_bytes());
    let whole = [&bytes[..], &data].concat();
    assert!(
        e(&whole).starts_with("row 4, column `x2`: the value is NaN"),
        "{}",
        e(&whole)
    );
    let m = try_text("a.npy", &whole, &options("x1", "9", ""))
        .unwrap_err()
        .0;
    assert!(m.contains("there is no label column `9`"), "{m}");
    // A huge shape asks for no memory, and one beyond 64 bits is no crash.
    let huge = |shape: &str| {
        format!(
            "{:<117}\n",
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}")
        )
    };
    for (shape, m) in [
        ("(99999999999, 2)", "cut short"),
        (
            "(9999999999999, 9999999999)",
            "more than a machine can hold",
        ),
    ] {
        let m2 = e(&[&bytes[..10], huge(shape).as_bytes()].concat());
        assert!(m2.contains(m), "{m2}");
    }
    assert!(
        e(&[&bytes[..10], huge("(0, 2)").as_bytes()].concat())
            .contains("the array is empty: its shape is [0, 2]")
    );
}

#[test]
fn missing_files_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    let e = |name: &str| {
        read(folder.path().join(name), &ReadOptions::default())
            .unwrap_err()
            .message
    };
    for format in ["csv", "npy", "npz", "tsv"] {
        assert_eq!(e(&format!("none.{format}")), "there is no such file.");
        let name = format!("dir.{format}");
        fs::create_dir(folder.path().join(&name)).unwrap();
        assert_eq!(e(&name), "this is a folder; a file is expected.");
    }
    let path = folder.path().join("a.csv");
    fs::write(&path, "1,2\n").unwrap();
    let o = ReadOptions {
        array: Some("x".into()),
        ..Default::default()
    };
    assert!(
        read(&path, &o)
            .unwrap_err()
            .message
            .contains("only an .npz file holds named arrays")
    );
}

/// Headers are found, not asked for.
#[test]
fn headers() {
    let names = |content: &str| (csv(content).columns.join(" "), csv(content).rows);
    assert_eq!(names("x,y\n1,2\n"), ("x y".into(), 1));
    assert_eq!(names("1,2\n3,4\n"), ("x1 x2".into(), 2));
    assert_eq!(names("\u{feff}x,y\r\n1,2\r\n"), ("x y".into(), 1));
    assert_eq!(names(" x , y \n 1 , 2 \n"), ("x y".into(), 1));
    assert_eq!(names("# x,y\n1,2\n"), ("x y".into(), 1));
    assert_eq!(
        names("# made today\n# by us\n1,2\n3,4\n"),
        ("x1 x2".into(), 2)
    );
    assert_eq!(names("day,1,2\n3,4,5\n"), ("day 1 2".into(), 1));
    assert_eq!(names("1"), ("x1".into(), 1));
    assert_eq!(names("x\n1e-3\n+2\n.5\n"), ("x".into(), 3));
    // No header above a column of text.
    let t = try_text(
        "a.csv",
        "0.5,0.25,cat\n0.125,2,dog\n",
        &options("", "3", ""),
    )
    .unwrap();
    assert_eq!(
        (t.rows, t.has_names, t.labels.unwrap()),
        (2, false, vec!["cat".to_string(), "dog".to_string()])
    );
    // pandas' row index above whole-number names.
    let t = try_text("a.csv", ",0,1\n0,5,6\n1,7,8\n", &options("0,1", "", "")).unwrap();
    assert_eq!(
        (t.columns, t.values),
        (
            vec!["0".to_string(), "1".to_string()],
            vec![5.0, 6.0, 7.0, 8.0]
        )
    );
    let t = try_text("a.tsv", "x\ty\n1\t2\n", &ReadOptions::default()).unwrap();
    assert_eq!(t.to_f64(), [1.0, 2.0]);
}

#[test]
fn labels_of_text_and_numbers_have_one_name() {
    let t = try_text(
        "a.csv",
        "x,c\n1,3\n2,3.0\n3, -4.00\n4,v1.0\n5,3.5\n6,007\n",
        &options("", "c", ""),
    )
    .unwrap();
    assert_eq!(t.labels.unwrap(), ["3", "3", "-4", "v1.0", "3.5", "007"]);
    assert_eq!(t.columns, ["x"]);
}

#[test]
fn columns_by_any_name() {
    let content = "t,x1,x2,x3,\"a,b\"\n0,1,2,3,4\n5,6,7,8,9\n";
    let values = |columns: &str| {
        try_text("a.csv", content, &options(columns, "", ""))
            .unwrap()
            .values
    };
    assert_eq!(values("x1..x3"), [1.0, 2.0, 3.0, 6.0, 7.0, 8.0]);
    assert_eq!(values("5,2-3"), [4.0, 1.0, 2.0, 9.0, 6.0, 7.0]);
    assert_eq!(values(&columns_spec(&["a,b", "t"])), [4.0, 0.0, 9.0, 5.0]);
    assert_eq!(
        values(""),
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    );
}

/// The csv reader against the plainest parser there is.
#[test]
fn a_naive_twin_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let mut text = String::from("a,b,c\n");
    for k in 0..10_000u64 {
        let v = k.wrapping_mul(0x9e3779b97f4a7c15);
        text.push_str(&format!(
            "{},{:e},{}\n",
            k as f64 / 7.0,
            (v >> 12) as f64 * 1e-9,
            v as i32
        ));
    }
    fs::write(&path, &text).unwrap();
    let naive: Vec<f32> = text
        .lines()
        .skip(1)
        .flat_map(|l| l.split(',').map(|c| c.parse::<f64>().unwrap() as f32))
        .collect();
    assert_eq!(read(&path, &ReadOptions::default()).unwrap().values, naive);
}

/// The real data, where it is at hand.
#[test]
fn real_data_reads() {
    let folder = match std::env::var_os("CHARFLOW_DATA") {
        Some(f) => std::path::PathBuf::from(f),
        None => std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    if !folder.is_dir() {
        // A skipped test says so.
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no data folder; set CHARFLOW_DATA to read the real files"
        );
        return;
    }
    let t = read(
        folder.join("singlecell_small/hematopoiesis_2d.csv"),
        &options("", "time_index", ""),
    )
    .unwrap();
    assert_eq!((t.rows, t.columns.join(" ")), (10_998, "x1 x2".into()));
    let count = |class: &str| {
        t.labels
            .as_ref()
            .unwrap()
            .iter()
            .filter(|l| *l == class)
            .count()
    };
    assert_eq!([count("0"), count("1"), count("2")], [1429, 3781, 5788]);
    let t = read(
        folder.join("singlecell_cite/cite_pca100_day2.npy"),
        &options("1-50", "", ""),
    )
    .unwrap();
    assert_eq!((t.rows, t.dim), (4857, 50));
    let t = read(folder.join("usps/usps_test.npz"), &options("", "y", "")).unwrap();
    assert_eq!(
        (
            t.rows,
            t.dim,
            t.labels.unwrap().iter().filter(|l| *l == "0").count()
        ),
        (2007, 256, 359)
    );
    let (sigma, shape) =
        charflow_io::read_npz_matrix(folder.join("gaussians/2D_Test_Distributions.npz"), "Sigma0")
            .unwrap();
    assert_eq!(shape, [2, 2]);
    assert!((sigma[0] + sigma[3] - 1.9785).abs() < 1e-4);
}

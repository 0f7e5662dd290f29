//! `bench adapt` on tiny features, and what it says about files it cannot use.

use crate::place::{Ended, Place, bench, real_data};
use std::io::Write;
use std::path::Path;

/// A bench whose fits take a moment.
fn adapt(place: &Place, line: &str) -> Ended {
    bench(place, &format!("adapt {line}"))
}

/// An array as `.npy`.
fn npy(kind: &str, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|n| format!("{n},")).collect();
    let mut head = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    while !(head.len() + 11).is_multiple_of(64) {
        head.push(' ');
    }
    head.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((head.len() as u16).to_le_bytes());
    file.extend(head.bytes());
    file.extend(bytes);
    file
}

fn npz(path: &Path, arrays: &[(&str, Vec<u8>)]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let plain =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), plain).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

/// Numbers in `[-0.5, 0.5)` that look drawn.
fn noise(k: usize) -> f64 {
    let v = (k as f64 * 12.9898).sin() * 43758.5453;
    v - v.floor() - 0.5
}

/// `n` pictures of two classes at `shift - 1` and `shift + 1` in the first feature, the rest nearly constant.
fn pictures(n: usize, width: usize, shift: f64, seed: usize) -> (Vec<f32>, Vec<u8>) {
    let classes: Vec<u8> = (0..n).map(|i| (i % 2) as u8).collect();
    let x = (0..n * width)
        .map(|k| {
            let drawn = noise(k + 1000 * seed);
            match k % width {
                0 => (shift + 2.0 * f64::from(classes[k / width]) - 1.0 + 0.4 * drawn) as f32,
                1 => drawn as f32,
                _ => (0.01 * drawn) as f32,
            }
        })
        .collect();
    (x, classes)
}

fn store(path: &Path, (x, y): &(Vec<f32>, Vec<u8>)) {
    let bytes: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
    let shape = [y.len(), x.len() / y.len()];
    npz(
        path,
        &[
            ("x", npy("<f4", &shape, &bytes)),
            ("y", npy("|u1", &[y.len()], y)),
        ],
    );
}

/// Two domains of digits, the second two to the right.
fn with_digits() -> Place {
    let place = Place::new();
    let folder = place.path("data/usps_mnist_16x16");
    store(&folder.join("usps1800.npz"), &pictures(60, 256, 0.0, 1));
    store(&folder.join("mnist2000.npz"), &pictures(80, 256, 2.0, 2));
    place
}

const DIGITS: &str = "--data data --task usps-mnist --components 2 --steps 20";

#[test]
fn a_shift_is_undone_by_every_method() {
    let place = with_digits();
    let ended = adapt(&place, &format!("{DIGITS} -o out")).well();
    for part in [
        "| usps-mnist ",
        "60 + 80",
        "sinkhorn + classes",
        "accuracy.png",
        "labels alone (3)",
        "ncf, 3 labels a class",
        "Fixed, not tuned: entropy 0.01, classes 0.1",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    assert!(
        ended.err.contains("2 of 256 components keep"),
        "{}",
        ended.err
    );
    assert_eq!(
        place.names("out"),
        ["accuracy.png", "accuracy.svg", "record.json", "table.md"]
    );
    let record: serde_json::Value =
        serde_json::from_slice(&place.bytes("out/record.json")).unwrap();
    let run = &record["runs"][0];
    assert_eq!(run["points"], serde_json::json!([60, 80]));
    assert!(run["variance_kept_percent"].as_f64().unwrap() > 90.0);
    let rows = run["rows"].as_array().unwrap();
    for row in rows {
        let name = row["method"].as_str().unwrap();
        let accuracy = row["accuracy_percent"].as_f64().unwrap();
        // As they are, all target points lie among or beyond the source's second class. From random weights, where nothing moves, 20 steps are too few
        // to change that: more right ones than before would know the labels from somewhere else.
        let range = match name {
            "none" | "ncf, 3 labels a class" => 45.0..=55.0,
            _ => 97.0..=100.0,
        };
        assert!(range.contains(&accuracy), "{name}: {accuracy}");
        let labelled = name.contains("labels");
        assert_eq!(
            row["scored_on"],
            if labelled { 80 - 6 } else { 80 },
            "{name}"
        );
    }
    assert_eq!(rows.len(), 8);
    assert_eq!(rows[5]["fit"]["report"]["steps"], 20);
    assert_eq!(
        rows[7]["fit"]["report"]["classes"],
        serde_json::json!(["0", "1"])
    );
    // With time to move them the fit takes the classes to their own.
    let longer = DIGITS.replace("--steps 20", "--steps 400");
    let ended = adapt(&place, &format!("{longer} -o longer --json")).well();
    let longer: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    let row = &longer["runs"][0]["rows"][7];
    assert_eq!(row["method"], "ncf, 3 labels a class");
    assert!(row["accuracy_percent"].as_f64().unwrap() > 95.0, "{row}");
    // Without labels the last two rows are not there.
    let ended = adapt(&place, &format!("{DIGITS} --target-labels 0 -o few")).well();
    assert!(!ended.out.contains("labels a class"), "{}", ended.out);

    // Again, as JSON, from the folder with the files itself: what does not depend on the clock is the same.
    let line = DIGITS.replace("data data", "data data/usps_mnist_16x16");
    let again = adapt(&place, &format!("{line} -o again --json")).well();
    let again: serde_json::Value = serde_json::from_str(&again.out).unwrap();
    for (a, b) in again["runs"][0]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .zip(rows)
    {
        assert_eq!(a["accuracy_percent"], b["accuracy_percent"]);
    }
}

#[test]
fn features_that_cannot_be_used_are_named() {
    let place = with_digits();
    let file = place.path("data/usps_mnist_16x16/mnist2000.npz");
    let good = pictures(80, 256, 2.0, 2);
    let refused = |parts: &[&str]| {
        adapt(&place, DIGITS).refused(parts);
    };
    store(&file, &pictures(80, 255, 2.0, 2));
    refused(&["mnist2000.npz", "[80, 255]", "256 features"]);
    let (x, mut y) = good.clone();
    y[6] = 10;
    store(&file, &(x, y));
    refused(&["mnist2000.npz", "label of row 7 is 10", "0 to 9"]);
    let (x, mut y) = good.clone();
    y[0] = 4;
    store(&file, &(x, y));
    refused(&[
        "mnist2000.npz has pictures of class 4",
        "usps1800.npz has none",
    ]);
    let (x, y) = good.clone();
    store(&file, &(x, y.iter().map(|_| 1).collect()));
    refused(&[
        "usps1800.npz has pictures of class 0",
        "mnist2000.npz has none",
    ]);
    store(&file, &pictures(4, 256, 2.0, 2));
    refused(&["mnist2000.npz", "4 pictures", "at least 10"]);
    npz(&file, &[("x", npy("<f4", &[1, 256], &[0; 1024]))]);
    refused(&["mnist2000.npz", "`y`"]);
    npz(
        &file,
        &[
            ("x", npy("|u1", &[12, 256], &[1; 12 * 256])),
            ("y", npy("|u1", &[11], &[1; 11])),
        ],
    );
    refused(&["mnist2000.npz", "[11]", "12 rows"]);
    std::fs::write(&file, "no zip").unwrap();
    refused(&["mnist2000.npz"]);
    std::fs::remove_file(&file).unwrap();
    refused(&["mnist2000.npz is missing", "--data DIR"]);
    store(&file, &good);
    adapt(&place, &format!("{DIGITS} --target-labels 40")).refused(&[
        "mnist2000.npz",
        "class 0 has 40",
        "--target-labels 40",
    ]);
    adapt(&place, "--data data --task dslr-amazon").refused(&["dslr_surf_l10.npz is missing"]);
    assert_eq!(place.names("."), ["data"]);
}

#[test]
fn histograms_without_words_are_told() {
    let place = Place::new();
    for (file, empty) in [("dslr", 0), ("webcam", 3)] {
        let path = place.path(&format!("{file}_surf_l10.npz"));
        let mut x: Vec<u8> = (0..12 * 800).map(|k| u8::from(k % 7 == 0)).collect();
        x[800 * empty..800 * (empty + 1)].fill(u8::from(empty == 0));
        let y: Vec<u8> = (0..12).map(|i| i % 2).collect();
        npz(
            &path,
            &[
                ("x", npy("|u1", &[12, 800], &x)),
                ("y", npy("|u1", &[12], &y)),
            ],
        );
    }
    adapt(&place, "--data . --task dslr-webcam")
        .refused(&["webcam_surf_l10.npz: row 4 is no histogram"]);
}

#[test]
fn options_that_do_not_go_together_are_told() {
    let place = Place::new();
    for (line, parts) in [
        ("", &["--data DIR", "CHARFLOW_DATA"][..]),
        (
            "--data . --task mnist-amazon",
            &["mnist-amazon", "usps-mnist", "dslr-webcam"],
        ),
        ("--data . --components 5,6", &["--components", "one number"]),
        ("--data . --components 0", &["1 to 1024"]),
        ("--data . --method ncf", &["--method"]),
        ("--data . --dims 3", &["--dims", "--components"]),
        ("--data . --samples 100", &["--samples"]),
        ("--data . --target-labels 1", &["--target-labels 1", "two"]),
        ("--data . --gamma 1", &["--gamma", "elastic"]),
    ] {
        adapt(&place, line).refused(parts);
    }
    for (line, part) in [
        (
            "bench w2 --task usps-mnist",
            "--task goes with mnist and adapt",
        ),
        (
            "bench cite --target-labels 1",
            "--target-labels goes with adapt",
        ),
    ] {
        place.run(line).refused(&[part]);
    }
    assert!(place.names(".").is_empty(), "{:?}", place.names("."));
}

/// The real features, where they are at hand.
#[test]
fn real_features() {
    let Some(folder) = real_data(&["office_caltech_surf"]) else {
        return;
    };
    let place = Place::new();
    let data = folder.to_string_lossy();
    let line = format!("--data {data} --task dslr-webcam --task webcam-dslr --steps 3 -o out");
    let ended = adapt(&place, &line).well();
    for part in ["157 + 295", "295 + 157", "mean, objects"] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    let record: serde_json::Value =
        serde_json::from_slice(&place.bytes("out/record.json")).unwrap();
    for run in record["runs"].as_array().unwrap() {
        let rows = run["rows"].as_array().unwrap();
        assert_eq!(rows[0]["method"], "none");
        let unmoved = rows[0]["accuracy_percent"].as_f64().unwrap();
        for row in rows {
            // Two cameras in one office: an easy pair, for any method that is not broken (chance: 10 percent).
            let accuracy = row["accuracy_percent"].as_f64().unwrap();
            let range = match row["method"].as_str().unwrap() {
                // Three steps from random weights, where nothing moves: what it was before, on slightly fewer points.
                name if name.contains("labels a class") => unmoved - 5.0..=unmoved + 5.0,
                // Three pictures a class are better than chance and worse than hundreds.
                name if name.contains("labels") => 30.0..=unmoved,
                _ => 60.0..=100.0,
            };
            assert!(range.contains(&accuracy), "{row:?}");
        }
    }
}

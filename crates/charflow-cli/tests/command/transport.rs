//! Points through a map: in chunks as in one piece, whatever the format.

use crate::place::Place;
use charflow::map::{BackwardMap, ForwardMap};
use charflow::model::CharacteristicMap;
use charflow_io::{Precision, ReadOptions, Writer, read};

fn names(d: usize) -> Vec<String> {
    (1..=d).map(|k| format!("x{k}")).collect()
}

#[test]
fn chunks_give_what_one_piece_gives() {
    let place = Place::with_run();
    // More rows than two chunks, and no whole number of blocks.
    let n = 2 * 65_536 + 777;
    let points: Vec<f64> = (0..2 * n)
        .map(|k| ((k as f64) * 0.618).sin() * 2.0)
        .collect();
    let mut writer = Writer::create(place.path("big.npy"), &names(2), &[], Precision::F64).unwrap();
    writer.write(&points, &[]).unwrap();
    writer.finish().unwrap();

    let map = CharacteristicMap::load(&place.path("run/model.safetensors")).unwrap();
    for (options, expected) in [
        ("", map.forward(&points).unwrap()),
        ("--backward", map.backward(&points).unwrap()),
        ("--at 0.25", map.forward_at(&points, 0.25).unwrap()),
        (
            "--backward --at 0.25",
            map.backward_at(&points, 0.25).unwrap(),
        ),
        ("--threads 1", map.forward(&points).unwrap()),
    ] {
        place
            .run(&format!("transport run big.npy -o out.npy {options}"))
            .well();
        // The file holds doubles: nothing may differ.
        let bytes = place.bytes("out.npy");
        let found: Vec<f64> = npy_body(&bytes)
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
            .collect();
        assert!(found == expected, "{options}");
    }
    // A model file alone does as well.
    place
        .run("transport run/model.safetensors big.npy -o out2.npy")
        .well();
    place.run("transport run big.npy -o out.npy").well();
    assert_eq!(place.bytes("out.npy"), place.bytes("out2.npy"));
}

/// The numbers of a file in version 1 of the format, after magic, version, and the header with its length.
fn npy_body(bytes: &[u8]) -> &[u8] {
    let length = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    &bytes[10 + length..]
}

#[test]
fn formats_and_precision_go_through() {
    let place = Place::with_run();
    for (precision, from) in [(Precision::F32, "f32"), (Precision::F64, "f64")] {
        for extension in ["npy", "npz", "csv", "tsv", "parquet"] {
            let input = format!("{from}.{extension}");
            let mut writer = Writer::create(place.path(&input), &names(2), &[], precision).unwrap();
            writer
                .write(&[0.5, 0.25, -1.0, 1.0, 0.0, 0.0], &[])
                .unwrap();
            writer.finish().unwrap();
            for out in ["npy", "npz", "csv", "tsv", "parquet"] {
                let output = format!("{from}-{extension}.{out}");
                place
                    .run(&format!("transport run {input} -o {output}"))
                    .well();
                let table = read(place.path(&output), &ReadOptions::default()).unwrap();
                assert_eq!((table.rows, table.dim), (3, 2), "{output}");
                // Text has no width: it counts as double.
                let text_in = matches!(extension, "csv" | "tsv");
                let expected = if matches!(out, "csv" | "tsv") || text_in {
                    Precision::F64
                } else {
                    precision
                };
                assert_eq!(table.precision, expected, "{output}");
            }
        }
    }
}

#[test]
fn other_columns_of_a_table_are_kept() {
    let place = Place::with_run();
    place.write("in.csv", "cell,x2,note,x1\nc1,0.5,\"a, b\",1\nc2,0.25,,2\n");
    place.run("transport run in.csv -o out.csv").well();
    let text = String::from_utf8(place.bytes("out.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "x1,x2,cell,note");
    assert!(
        lines[1].ends_with(",c1,\"a, b\"") && lines[2].ends_with(",c2,"),
        "{text}"
    );
    place.run("transport run in.csv -o out.parquet").well();
    place
        .run("transport run out.parquet -o back.csv --backward")
        .well();
    assert!(
        String::from_utf8(place.bytes("back.csv"))
            .unwrap()
            .contains("c2")
    );
    // Numpy holds no text, and that is said.
    let ended = place.run("transport run in.csv -o out.npy").well();
    assert!(
        ended.err.contains("cell, note") && ended.err.contains("left out"),
        "{}",
        ended.err
    );
    // x1 = 1, x2 = 0.5 whatever their order in the file.
    place.write("plain.csv", "1,0.5\n2,0.25\n");
    place.run("transport run plain.csv -o plain-out.npy").well();
    assert_eq!(place.bytes("out.npy"), place.bytes("plain-out.npy"));
}

#[test]
fn the_ends_of_time_are_the_points_and_their_images() {
    let place = Place::with_run();
    let points = |name: &str| {
        read(place.path(name), &ReadOptions::default())
            .unwrap()
            .to_f64()
    };
    place.run("transport run a.csv -o t0.csv --at 0").well();
    assert_eq!(points("t0.csv"), points("a.csv"));
    place.run("transport run a.csv -o t1.csv --at 1").well();
    place.run("transport run a.csv -o t.csv").well();
    assert_eq!(points("t1.csv"), points("t.csv"));
    place
        .run("transport run b.csv -o b1.csv --backward --at 1")
        .well();
    assert_eq!(points("b1.csv"), points("b.csv"));
}

#[test]
fn what_cannot_be_moved_is_refused_and_nothing_is_left() {
    let place = Place::with_run();
    place.write("three.csv", "1,2,3\n4,5,6\n");
    place.write("bad.csv", "x1,x2\n1,2\n3,nan\n");
    place.write("header.csv", "x1,x2\n");
    let before = place.names(".");
    place
        .run("transport run a.csv -o o.csv --at 2")
        .refused(&["--at 2", "0", "1"]);
    place
        .run("transport run a.csv -o o.csv --at -0.5")
        .refused(&["--at -0.5"]);
    place
        .run("transport run a.csv -o o.csv --at nan")
        .refused(&["--at NaN"]);
    place
        .run("transport run a.csv -o a.csv")
        .refused(&["a.csv is the input"]);
    place
        .run("transport run a.csv -o ./run/../a.csv")
        .refused(&["is the input"]);
    place
        .run("transport run a.csv -o o.txt")
        .refused(&["o.txt", ".csv", ".parquet"]);
    place
        .run("transport run a.csv -o missing/o.csv")
        .refused(&["missing", "does not exist"]);
    place.run("transport run three.csv -o o.csv").refused(&[
        "three.csv",
        "3 columns",
        "2",
        "--columns",
    ]);
    place
        .run("transport run bad.csv -o o.csv")
        .refused(&["bad.csv", "row 2", "line 3", "x2"]);
    place
        .run("transport run header.csv -o o.csv")
        .refused(&["header.csv"]);
    place
        .run("transport run nowhere.csv -o o.csv")
        .refused(&["nowhere.csv", "no such file"]);
    place
        .run("transport nowhere a.csv -o o.csv")
        .refused(&["nowhere", "no such run"]);
    place
        .run("transport . a.csv -o o.csv")
        .refused(&["no model.safetensors"]);
    assert_eq!(place.names("."), before);
    place
        .run("transport run three.csv -o o.csv --columns 2-3")
        .well();
}

#[test]
fn foreign_short_and_newer_models_are_named() {
    let place = Place::with_run();
    let model = place.bytes("run/model.safetensors");
    for keep in [0, 3, 100, model.len() / 2, model.len() - 1] {
        place.write("cut.safetensors", &model[..keep]);
        place
            .run("transport cut.safetensors a.csv -o o.csv")
            .refused(&["cut.safetensors"]);
    }
    place.write("foreign.safetensors", b"PK\x03\x04 this is something else");
    place
        .run("transport foreign.safetensors a.csv -o o.csv")
        .refused(&["foreign.safetensors", "something else"]);
    let values = [0u8; 16];
    let view =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![4], &values).unwrap();
    place.write(
        "other.safetensors",
        safetensors::serialize([("weight", view)], None).unwrap(),
    );
    place
        .run("transport other.safetensors a.csv -o o.csv")
        .refused(&["other.safetensors", "not written by charflow"]);
    place
        .run("transport run/checkpoint.safetensors a.csv -o o.csv")
        .refused(&["checkpoint", "not a model"]);
    // The header of safetensors is JSON, and ours a JSON text in it.
    let (old, new) = (br#"\"format\":3,"#, br#"\"format\":7,"#);
    let at = model.windows(old.len()).position(|w| w == old).unwrap();
    let mut newer = model.clone();
    newer[at..at + new.len()].copy_from_slice(new);
    place.write("newer.safetensors", newer);
    place
        .run("transport newer.safetensors a.csv -o o.csv")
        .refused(&["newer.safetensors", "format 7", "newer charflow"]);
    assert!(!place.path("o.csv").exists());
}

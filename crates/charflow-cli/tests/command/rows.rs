//! Some rows of a table: chosen by a column they are as good as a file of their own.

use crate::place::{Place, real_data};
use charflow_io::{Precision, ReadOptions, Writer, read};

/// `all.csv`: the points of `a.csv` at time 0, those of `b.csv` at time 2, and others between them, in turn; the time last.
fn with_times() -> Place {
    let place = Place::with_data();
    let rows = |name: &str| -> Vec<String> {
        let text = String::from_utf8(place.bytes(name)).unwrap();
        text.lines().skip(1).map(str::to_string).collect()
    };
    let mut text = String::from("x1,x2,time\n");
    for (a, b) in rows("a.csv").iter().zip(rows("b.csv")) {
        // At time 1 something is missing: it is nobody's concern that does not ask for time 1.
        text.push_str(&format!("{a},0\n,bad,1.0\n{b},2.0\n"));
    }
    place.write("all.csv", text);
    place
}

#[test]
fn a_fit_on_chosen_rows_is_a_fit_on_files_of_them() {
    let place = with_times();
    place.fit("a.csv b.csv -o apart --steps 20").well();
    let ended = place
        .fit("all.csv all.csv -o run --source-rows time=0.0 --target-rows time=2 --steps 20")
        .well();
    assert_eq!(
        place.bytes("run/model.safetensors"),
        place.bytes("apart/model.safetensors")
    );
    for part in [
        "300 points (all.csv (time=0.0)) to 300 points (all.csv (time=2)), 2 columns",
        "300 of the 900 rows of all.csv (time=0.0)",
        "charflow transport run all.csv --rows time=0.0 -o moved.csv",
        "charflow evaluate run all.csv all.csv --source-rows time=0.0 --target-rows time=2",
    ] {
        assert!(
            ended.out.contains(part),
            "`{part}` is not in: {}",
            ended.out
        );
    }
    let data = String::from_utf8(place.bytes("run/data.toml")).unwrap();
    for part in [
        "chosen = \"time=0.0\"",
        "chosen = \"time=2\"",
        "rows_in_file = 900",
        "rows = 300",
    ] {
        assert!(data.contains(part), "{data}");
    }
    let report: serde_json::Value =
        serde_json::from_slice(&place.bytes("run/report.json")).unwrap();
    assert_eq!(report["source"]["chosen"], "time=0.0");
    assert_eq!(report["target"]["rows_in_file"], 900);
    // The run knows its rows: to go on, and to draw.
    let more = "--steps 40 --no-figures";
    place
        .run(&format!("fit all.csv all.csv -o run --resume {more}"))
        .well();
    place
        .run(&format!("fit a.csv b.csv -o apart --resume {more}"))
        .well();
    assert_eq!(
        place.bytes("run/model.safetensors"),
        place.bytes("apart/model.safetensors")
    );
    place
        .run("fit all.csv all.csv -o run --resume --source-rows time=2")
        .refused(&["--source-rows time=0.0", "--source-rows time=2"]);
    let ended = place.run("plot run -o pictures").well();
    assert!(!ended.err.contains("is not what"), "{}", ended.err);
    let picture = String::from_utf8(place.bytes("pictures/transport.svg")).unwrap();
    assert!(picture.contains("all (time=0.0) to all (time=2)"));

    // Judged on chosen rows as on files of them.
    let judged = |line: &str| -> serde_json::Value {
        let ended = place.run(&format!("evaluate run {line} --json")).well();
        serde_json::from_str(&ended.out).unwrap()
    };
    let (chosen, apart) = (
        judged("all.csv all.csv --source-rows time=0 --target-rows time=2"),
        judged("a.csv b.csv"),
    );
    assert_eq!(chosen["evaluation"], apart["evaluation"]);
    assert_eq!(chosen["pairs"], apart["pairs"]);
    assert_eq!(chosen["source"]["rows_in_file"], 900);
    let ended = place
        .run("evaluate run all.csv b.csv --source-rows time=0")
        .well();
    assert!(
        ended
            .out
            .starts_with("300 of the 900 rows of all.csv (time=0)\n"),
        "{}",
        ended.out
    );
    // Forgotten, it is said.
    place.write(
        "good.csv",
        String::from_utf8(place.bytes("all.csv"))
            .unwrap()
            .replace(",bad", "0,0"),
    );
    let ended = place.run("evaluate run good.csv b.csv").well();
    assert!(
        ended.err.contains("all rows of good.csv") && ended.err.contains("--source-rows time=0.0"),
        "{}",
        ended.err
    );
}

#[test]
fn the_choosing_column_of_the_source_is_no_coordinate_of_the_target() {
    let place = with_times();
    let text = String::from_utf8(place.bytes("all.csv")).unwrap();
    let late: String = text
        .lines()
        .filter(|l| l.starts_with("x1") || l.ends_with(",2.0"))
        .map(|l| format!("{l}\n"))
        .collect();
    place.write("late.csv", late);
    place
        .fit("all.csv late.csv -o run --source-rows time=0 --steps 10")
        .well();
    place.fit("a.csv b.csv -o apart --steps 10").well();
    assert_eq!(
        place.bytes("run/model.safetensors"),
        place.bytes("apart/model.safetensors")
    );
}

#[test]
fn chosen_rows_move_as_a_file_of_them_does() {
    let place = with_times();
    place.fit("a.csv b.csv -o run --steps 20").well();
    place.run("transport run a.csv -o alone.csv").well();
    let ended = place
        .run("transport run all.csv -o some.csv --rows time=0")
        .well();
    assert!(ended.err.contains("300 points of 900"), "{}", ended.err);
    let points = |name: &str| {
        let options = ReadOptions {
            columns: Some("x1,x2".into()),
            ..Default::default()
        };
        read(place.path(name), &options).unwrap().to_f64()
    };
    assert_eq!(points("some.csv"), points("alone.csv"));
    let text = String::from_utf8(place.bytes("some.csv")).unwrap();
    assert!(text.starts_with("x1,x2,time\n") && text.lines().nth(1).unwrap().ends_with(",0"));
    // Several values, and more rows than a chunk holds: in every format, by name or by number.
    let n = 70_000;
    let values: Vec<f64> = (0..n)
        .flat_map(|i| [(i as f64).sin(), (i as f64).cos(), (i % 7) as f64])
        .collect();
    let wanted: Vec<f64> = values
        .chunks(3)
        .filter(|r| r[2] == 1.0 || r[2] == 6.0)
        .flat_map(|r| [r[0], r[1]])
        .collect();
    let names = ["x1", "x2", "time"].map(String::from);
    let write = |name: &str, columns: &[String], values: &[f64]| {
        let mut writer = Writer::create(place.path(name), columns, &[], Precision::F64).unwrap();
        writer.write(values, &[]).unwrap();
        writer.finish().unwrap();
    };
    write("wanted.npy", &names[..2], &wanted);
    place.run("transport run wanted.npy -o expected.npy").well();
    for format in ["csv", "tsv", "npz", "npy", "parquet"] {
        write(&format!("many.{format}"), &names, &values);
        let column = if format == "npy" { "3" } else { "time" };
        place
            .run(&format!(
                "transport run many.{format} -o got.npy --rows {column}=1,6.0"
            ))
            .well();
        assert_eq!(
            place.bytes("got.npy"),
            place.bytes("expected.npy"),
            "{format}"
        );
    }
}

#[test]
fn a_choice_that_finds_nothing_is_refused() {
    let place = with_times();
    place.fit("a.csv b.csv -o run --steps 10").well();
    let before = place.names(".");
    place
        .fit("all.csv all.csv -o new --source-rows day=0 --target-rows time=2")
        .refused(&["all.csv", "no column `day`", "`x1`, `x2`, `time`"]);
    place
        .fit("all.csv all.csv -o new --source-rows time=0 --target-rows time=5")
        .refused(&[
            "all.csv",
            "no row has `5`",
            "`time`",
            "`0`",
            "`1.0`",
            "`2.0`",
        ]);
    place
        .fit("all.csv b.csv -o new --source-rows time=1")
        .refused(&["all.csv", "row 2", "line 3", "x1"]);
    place
        .fit("all.csv b.csv -o new --source-rows time")
        .refused(&["`time`", "COLUMN=VALUE"]);
    place
        .run("transport run all.csv -o o.csv --rows time=0,7")
        .refused(&["no row has `7`"]);
    place
        .run("transport run all.csv -o o.csv --rows tme=0")
        .refused(&["no column `tme`"]);
    place
        .run("evaluate run all.csv b.csv --source-rows time=9")
        .refused(&["no row has `9`"]);
    place
        .run("evaluate run a.csv b.csv --target-rows time=2")
        .refused(&["b.csv", "no column `time`"]);
    assert_eq!(place.names("."), before);
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_the_rows_passed_over() {
    let place = with_times();
    place.fit("a.csv b.csv -o run --steps 10").well();
    let peak = |n: usize| -> u64 {
        let names = ["x1", "x2", "time"].map(String::from);
        let mut writer =
            Writer::create(place.path("big.npy"), &names, &[], Precision::F64).unwrap();
        let chunk: Vec<f64> = (0..10_000)
            .flat_map(|i| [0.5, 0.25, (i % 5) as f64])
            .collect();
        (0..n).for_each(|_| writer.write(&chunk, &[]).unwrap());
        writer.finish().unwrap();
        let ended = place.shell(
            "charflow transport run big.npy -o out.npy --rows 3=4 --threads 1 & pid=$!; peak=0; \
             while kill -0 $pid 2> /dev/null; do p=$(sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$pid/status 2> /dev/null); \
             [ -n \"$p\" ] && peak=$p; done; wait $pid && echo $peak",
        );
        ended.well().out.trim().parse().unwrap()
    };
    // 60 times the rows, 140 MB more of file.
    let (small, large) = (peak(10), peak(600));
    assert!(large < small + 60_000, "{small} kB, then {large} kB");
}

/// The real table, where it is at hand.
#[test]
fn a_time_course_in_one_file() {
    let Some(folder) = real_data(&["singlecell_small/hematopoiesis_2d.csv"]) else {
        return;
    };
    let table = folder.join("singlecell_small/hematopoiesis_2d.csv");
    let place = Place::new();
    std::fs::copy(&table, place.path("cells.csv")).unwrap();
    let rows = "--source-rows time_index=0 --target-rows time_index=2";
    let ended = place
        .fit(&format!("cells.csv cells.csv -o run --steps 20 {rows}"))
        .well();
    for part in [
        "1429 of the 10998 rows of cells.csv (time_index=0)",
        "5788 of the 10998 rows of cells.csv (time_index=2)",
    ] {
        assert!(ended.out.contains(part), "{}", ended.out);
    }
    place
        .run(&format!("evaluate run cells.csv cells.csv {rows}"))
        .well();
    let ended = place
        .run("transport run cells.csv -o moved.csv --rows time_index=0,1 --at 0.5")
        .well();
    assert!(ended.err.contains("5210 points of 10998"), "{}", ended.err);
}

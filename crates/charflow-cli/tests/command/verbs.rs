//! Every verb does what it says.

use crate::place::{Place, end};
use charflow_io::{ReadOptions, read};

#[test]
fn every_set_is_written_in_every_format_that_holds_it() {
    let place = Place::new();
    let list = place.run("data --list").well().out;
    let names: Vec<&str> = list
        .lines()
        .map(|l| l.split_whitespace().next().unwrap())
        .collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        for format in ["csv", "tsv", "npy", "npz", "parquet"] {
            let folder = format!("{name}-{format}");
            let ended = place.run(&format!(
                "data {name} -o {folder} -n 40 --seed 3 --format {format}"
            ));
            if name == "labelled-mixture" && format.starts_with("np") {
                ended.refused(&["class labels", "--format csv"]);
                assert!(!place.path(&folder).exists());
                continue;
            }
            ended.well();
            let points = place
                .names(&folder)
                .into_iter()
                .filter(|f| f != "truth.npz");
            for file in points {
                let labels = (name == "labelled-mixture").then(|| "label".to_string());
                let table = read(
                    place.path(&folder).join(file),
                    &ReadOptions {
                        labels,
                        ..Default::default()
                    },
                )
                .unwrap();
                assert_eq!(table.rows, 40);
            }
        }
    }
    assert_eq!(
        place.names("gaussians-csv"),
        ["source.csv", "target.csv", "truth.npz"]
    );
}

#[test]
fn generated_data_are_not_written_over_what_is_there() {
    let place = Place::new();
    place.write("moons.csv", "my own");
    place
        .run("data moons -o .")
        .refused(&["moons.csv is there already", "--force"]);
    assert_eq!(place.bytes("moons.csv"), b"my own");
    place.run("data moons -o . -n 10 --force").well();
    let first = place.bytes("moons.csv");
    place.run("data moons -o . -n 10 --force").well();
    assert_eq!(place.bytes("moons.csv"), first);
    place.run("data moons -o . -n 10 --force --seed 1").well();
    assert_ne!(place.bytes("moons.csv"), first);
}

#[test]
fn a_fit_leaves_a_whole_run_and_says_what_it_did() {
    let place = Place::with_data();
    let ended = place
        .run("fit a.csv b.csv -o deep/run --steps 20 --seed 5 --set network.hidden=[8] --set batch.collocation=64")
        .well();
    for part in [
        "300 points (a.csv) to 300 points (b.csv), 2 columns",
        "done: 20 steps",
        "charflow",
        "linear",
        "identity",
        "noise",
        "charflow transport deep/run",
    ] {
        assert!(
            ended.out.contains(part),
            "`{part}` is not in: {}",
            ended.out
        );
    }
    assert_eq!(
        place.names("deep/run"),
        [
            "checkpoint.safetensors",
            "config.toml",
            "data.toml",
            "figures",
            "history.csv",
            "model.safetensors",
            "report.json"
        ]
    );
    assert_eq!(place.names("deep"), ["run"]);
    assert_eq!(
        place.names("deep/run/figures"),
        [
            "flow.png",
            "flow.svg",
            "losses.png",
            "losses.svg",
            "transport.png",
            "transport.svg"
        ]
    );
    // Every default is written out, and the settings can begin another run.
    let config = String::from_utf8(place.bytes("deep/run/config.toml")).unwrap();
    for part in [
        "seed = 5",
        "steps = 20",
        "hidden = [8]",
        "rate = ",
        "retries = ",
    ] {
        assert!(config.contains(part), "{config}");
    }
    place
        .run("fit a.csv b.csv -o again --config deep/run/config.toml --no-figures")
        .well();
    assert_eq!(
        place.bytes("again/model.safetensors"),
        place.bytes("deep/run/model.safetensors")
    );
    let history = String::from_utf8(place.bytes("deep/run/history.csv")).unwrap();
    assert!(history.starts_with("step,seconds,rate,loss,") && history.lines().count() > 5);
}

#[test]
fn json_is_all_there_is_on_standard_output() {
    let place = Place::with_data();
    let ended = place.fit("a.csv b.csv -o run --steps 20 --json").well();
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["done"], true);
    assert_eq!(report["solve"]["steps"], 20);
    assert_eq!(report["source"]["rows"], 300);
    assert_eq!(report["evaluation"]["rows"][0]["map"], "charflow");
    assert!(report["evaluation"]["noise_forward"].as_f64().unwrap() > 0.0);
    assert!(
        report["command"]
            .as_str()
            .unwrap()
            .starts_with("charflow fit a.csv b.csv")
    );
    assert_eq!(
        ended.out.trim_end().as_bytes(),
        place.bytes("run/report.json")
    );
    let ended = place.run("evaluate run a.csv b.csv --json").well();
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["evaluation"]["given"][0], 300);
}

#[test]
fn settings_come_in_their_order() {
    let place = Place::with_data();
    place.write(
        "mine.toml",
        "preset = \"paper-2d\"\nsteps = 7\nseed = 1\n[optimiser]\nrate = 0.5\n",
    );
    place.fit("a.csv b.csv -o run --config mine.toml --set steps=6 --set optimiser.rate=1e-3 --seed 9").well();
    let config = String::from_utf8(place.bytes("run/config.toml")).unwrap();
    for part in [
        "preset = \"paper-2d\"",
        "steps = 6",
        "seed = 9",
        "rate = 0.001",
        "characteristics = 0.0",
    ] {
        assert!(config.contains(part), "`{part}` is not in: {config}");
    }
}

#[test]
fn the_same_seed_gives_the_same_model_on_any_number_of_threads() {
    let place = Place::with_data();
    for threads in [1, 2, 3] {
        place
            .fit(&format!(
                "a.csv b.csv -o run{threads} --steps 40 --threads {threads}"
            ))
            .well();
    }
    place.fit("a.csv b.csv -o other --steps 40 --seed 1").well();
    let one = place.bytes("run1/model.safetensors");
    assert_eq!(one, place.bytes("run2/model.safetensors"));
    assert_eq!(one, place.bytes("run3/model.safetensors"));
    assert_ne!(one, place.bytes("other/model.safetensors"));
}

#[test]
fn columns_are_matched_by_name() {
    let place = Place::with_data();
    let text = String::from_utf8(place.bytes("b.csv")).unwrap();
    let swapped: String = text
        .lines()
        .map(|l| {
            let (a, b) = l.split_once(',').unwrap();
            format!("{b},{a}\n")
        })
        .collect();
    place.write("swapped.csv", swapped);
    place.fit("a.csv b.csv -o run --steps 10").well();
    place.fit("a.csv swapped.csv -o run2 --steps 10").well();
    assert_eq!(
        place.bytes("run/model.safetensors"),
        place.bytes("run2/model.safetensors")
    );
    // By number, the source's columns say which names are meant.
    place
        .fit("a.csv swapped.csv -o run3 --steps 10 --columns 1-2")
        .well();
    assert_eq!(
        place.bytes("run/model.safetensors"),
        place.bytes("run3/model.safetensors")
    );
    // Other names: by place, and it is said.
    place.write("named.csv", text.replace("x1,x2", "u,v"));
    let ended = place.fit("a.csv named.csv -o run4 --steps 10").well();
    assert!(ended.err.contains("matched by place"), "{}", ended.err);
    assert_eq!(
        place.bytes("run/model.safetensors"),
        place.bytes("run4/model.safetensors")
    );
}

#[test]
fn labels_and_weights_go_in() {
    let place = Place::new();
    place.run("data labelled-mixture -o . -n 300").well();
    let ended = place
        .fit("source.csv target.csv -o run --labels label --steps 20")
        .well();
    assert!(ended.out.contains("4 classes"), "{}", ended.out);
    assert!(ended.out.contains("own class"), "{}", ended.out);
    // The label column is text: without --labels the remedy is named.
    place
        .fit("source.csv target.csv -o plain --steps 20")
        .refused(&["source.csv", "label", "--columns"]);
    let ended = place.run("evaluate run source.csv target.csv").well();
    assert!(ended.out.contains("own class"), "{}", ended.out);

    let place = Place::with_data();
    let weighted = |text: Vec<u8>| -> String {
        let text = String::from_utf8(text).unwrap();
        text.lines()
            .enumerate()
            .map(|(i, l)| {
                if i == 0 {
                    format!("{l},w\n")
                } else {
                    format!("{l},{}\n", i % 3)
                }
            })
            .collect()
    };
    place.write("aw.csv", weighted(place.bytes("a.csv")));
    place.write("bw.csv", weighted(place.bytes("b.csv")));
    place
        .fit("aw.csv bw.csv -o run --weights w --steps 20")
        .well();
    place.run("evaluate run aw.csv bw.csv").well();
    // A file without the column is judged without weights, and that is said.
    let ended = place.run("evaluate run a.csv bw.csv").well();
    assert!(ended.err.contains("taken without"), "{}", ended.err);
}

/// A table with the class of two rows in three taken away.
fn mostly_unlabelled(table: Vec<u8>) -> String {
    let table = String::from_utf8(table).unwrap();
    table
        .lines()
        .enumerate()
        .map(|(i, line)| match line.rsplit_once(',') {
            Some((point, _)) if i > 0 && i % 3 > 0 => format!("{point},?\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn points_of_unknown_class_take_part() {
    let place = Place::new();
    place.run("data labelled-mixture -o . -n 300").well();
    place.write("few.csv", mostly_unlabelled(place.bytes("target.csv")));
    let fit = |options: &str| place.fit(&format!("source.csv few.csv {options} --steps 20"));
    let ended = fit("-o run --labels label --unlabelled ?").well();
    assert!(
        ended
            .out
            .contains("4 classes, paired by name; 0 source and 200 target points of unknown class"),
        "{}",
        ended.out
    );
    // The run remembers it: the same file is judged alike, and the fit goes on only with the same name.
    let ended = place.run("evaluate run source.csv few.csv").well();
    assert!(ended.out.contains("by class"), "{}", ended.out);
    place
        .run("fit source.csv few.csv -o run --labels label --unlabelled A --resume")
        .refused(&["--unlabelled ?", "--unlabelled A"]);
    // Without the option the name is a class like others, and the source has none of it.
    fit("-o other --labels label").refused(&["few.csv has \"?\"", "partner"]);
    fit("-o other --labels label --unlabelled X").refused(&["--unlabelled X", "few.csv"]);
    fit("-o other --unlabelled ?").refused(&["--labels"]);
    place.write("none.csv", "x1,x2,label\n1,2,?\n3,4,?\n5,6,?\n");
    place
        .fit("source.csv none.csv -o other --labels label --unlabelled ? --steps 20")
        .refused(&["none.csv", "3 points has a label"]);
    assert!(!place.path("other").exists());
}

#[test]
fn a_truth_gives_its_distance() {
    let place = Place::new();
    place.run("data gaussians --dim 3 -o . -n 400").well();
    place.fit("source.csv target.csv -o run --steps 20").well();
    let gaussian = place
        .run("evaluate run source.csv target.csv --truth truth.npz")
        .well();
    assert!(gaussian.out.contains("UVP"), "{}", gaussian.out);
    // The map's own images are a truth it meets exactly.
    place.run("transport run source.csv -o images.csv").well();
    let ended = place
        .run("evaluate run source.csv target.csv --truth images.csv --json")
        .well();
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert!(
        report["evaluation"]["rows"][0]["forward"]["uvp"]
            .as_f64()
            .unwrap()
            < 1e-9
    );
    place.run("data gaussians --dim 3 -o short -n 399").well();
    place
        .run("evaluate run source.csv target.csv --truth short/source.csv")
        .refused(&["399 rows", "source.csv has 400"]);
    place.run("data gaussians --dim 2 -o flat -n 10").well();
    place
        .run("evaluate run source.csv target.csv --truth flat/truth.npz")
        .refused(&["Sigma0", "[2, 2]", "[3, 3]"]);
    place
        .run("data gaussians --dim 3 -o npz -n 10 --format npz")
        .well();
    place
        .run("evaluate run source.csv target.csv --truth npz/source.npz")
        .refused(&["Sigma0", "holds"]);
}

#[test]
fn plot_draws_again_what_fit_drew() {
    let place = Place::with_data();
    place
        .run("fit a.csv b.csv -o run --steps 10 --set network.hidden=[8]")
        .well();
    place.run("plot run -o pictures").well();
    for name in ["transport", "flow", "losses"] {
        let (a, b) = (
            place.bytes(&format!("run/figures/{name}.svg")),
            place.bytes(&format!("pictures/{name}.svg")),
        );
        if name != "losses" {
            assert_eq!(a.len(), b.len(), "{name}");
        }
        assert!(b.starts_with(b"<svg") || b.starts_with(b"<?xml"));
    }
    // Data that moved are asked for by name.
    std::fs::rename(place.path("a.csv"), place.path("moved.csv")).unwrap();
    place.run("plot run").refused(&["a.csv", "--source"]);
    place.run("plot run --source moved.csv").well();
    place
        .run("plot run/model.safetensors")
        .refused(&["run directory"]);
}

#[test]
fn one_column_and_many_columns_are_drawn() {
    let place = Place::new();
    place.run("data skewed-1d -o line -n 200").well();
    place
        .run("fit line/source.csv line/target.csv -o run1 --steps 10 --set network.hidden=[8]")
        .well();
    assert_eq!(
        place.names("run1/figures"),
        ["losses.png", "losses.svg", "transport.png", "transport.svg"]
    );
    place
        .run("data gaussians --dim 5 -o five -n 200 --format npy")
        .well();
    place
        .run("fit five/source.npy five/target.npy -o run5 --steps 10 --set network.hidden=[8,8]")
        .well();
    assert_eq!(place.names("run5/figures").len(), 6);
}

#[test]
fn the_demo_runs_twice_and_keeps_to_its_folder() {
    let place = Place::new();
    for _ in 0..2 {
        let ended = place.run("demo --steps 10 -n 300").well();
        assert!(
            ended.out.contains("demo/run/figures/transport.png"),
            "{}",
            ended.out
        );
        assert!(place.path("demo/run/figures/transport.png").exists());
        assert_eq!(place.names("demo"), ["moons.csv", "run", "swiss-roll.csv"]);
    }
    place.write("demo/thesis.txt", "years");
    place.run("demo --steps 10").refused(&["thesis.txt", "-o"]);
    place.run("demo --steps 10 -o .").refused(&["demo", "-o"]);
}

#[test]
fn every_verb_has_help_with_an_example_that_runs_as_printed() {
    let place = Place::new();
    for verb in ["", "data", "transport", "evaluate", "plot", "fit"] {
        let words = [verb, "--help"].into_iter().filter(|w| !w.is_empty());
        let help = end(&mut place.command(words)).well().out;
        let lines: Vec<&str> = help
            .lines()
            .map(str::trim)
            .filter(|l| l.starts_with("charflow "))
            .collect();
        assert!(!lines.is_empty(), "{verb}: {help}");
        // As printed, in a folder of their own; only fewer points and steps, to keep the tests quick.
        let folder = format!("in-{verb}");
        std::fs::create_dir(place.path(&folder)).unwrap();
        for line in lines {
            let mut line = ["--time-limit 20s", "--time-limit 1m", "--steps 2000"]
                .iter()
                .fold(line.to_string(), |line, long| {
                    line.replace(long, "--steps 5")
                });
            if line.starts_with("charflow data")
                && !line.contains(" -n ")
                && !line.contains("--list")
            {
                line.push_str(" -n 200");
            }
            // A line that the help has broken would run with fewer options than it shows.
            assert!(
                !line.starts_with("charflow fit") || line.contains("--steps 5"),
                "broken: {line}"
            );
            let ended = place.shell(&format!("cd {folder} && {line}"));
            assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
        }
    }
    let version = place.run("--version").well().out;
    assert_eq!(
        version.trim(),
        format!("charflow {}", env!("CARGO_PKG_VERSION"))
    );
    place.run("demo --help").well();
}

#[test]
fn a_reader_that_leaves_is_no_accident() {
    let place = Place::with_run();
    for line in [
        "charflow data --list",
        "charflow evaluate run a.csv b.csv",
        "charflow fit --help",
    ] {
        let ended = place.shell(&format!("{line} | true; {line} | head -n 1"));
        assert!(
            !ended.err.contains("panic") && !ended.err.contains("bug"),
            "{ended:?}"
        );
    }
}

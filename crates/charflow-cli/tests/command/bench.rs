//! `bench`: small ones from end to end, and what it says when it cannot.

use crate::place::{Place, bench, real_data};

fn json(text: &[u8]) -> serde_json::Value {
    serde_json::from_slice(text).unwrap()
}

#[test]
fn gaussians_from_end_to_end() {
    let place = Place::new();
    let ended = bench(&place, "gaussians --dims 2 --steps 30 --samples 500").well();
    for part in [
        "identity",
        "linear",
        "ncf",
        "| NCF, published         | 0.01",
        "| NOT, published         | 77.248 |",
        "| NCF-Adaptive, reported | 0.01",
        "| MM:R, reported         | 0.012",
        "a training that failed",
        "drawn by the paper's recipe",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    assert!(ended.err.contains("30 steps"), "{}", ended.err);
    assert_eq!(
        place.names("bench-gaussians"),
        ["error.png", "error.svg", "record.json", "table.md"]
    );
    let record = json(&place.bytes("bench-gaussians/record.json"));
    assert_eq!(record["interrupted"], false);
    let rows = record["runs"][0]["rows"].as_array().unwrap();
    let uvp = |k: usize, side: usize| rows[k]["scores"]["uvp_percent"][side].as_f64().unwrap();
    for side in [0, 1] {
        // The truth is linear: from 500 points within a few percent of it, far better than staying.
        assert!(
            uvp(1, side) < 2.0 && uvp(1, side) < 0.5 * uvp(0, side),
            "{rows:?}"
        );
        // 30 steps from random weights do something.
        assert!(uvp(2, side).is_finite() && uvp(2, side) > 0.0);
    }
    let fit = &rows[2]["fit"];
    assert_eq!(fit["report"]["steps"], 30);
    assert_eq!(fit["settings"]["network"]["hidden"][0], 8);
    let curve = fit["curve"].as_array().unwrap();
    assert_eq!(curve.last().unwrap()["step"], 30);
    let table = String::from_utf8(place.bytes("bench-gaussians/table.md")).unwrap();
    assert!(
        table.contains("charflow bench gaussians --dims 2") && table.contains("| 2 "),
        "{table}"
    );

    // Again into the same folder, as JSON: what does not depend on the clock is the same.
    let again = bench(&place, "gaussians --dims 2 --steps 30 --samples 500 --json").well();
    let again = json(again.out.as_bytes());
    for k in 0..3 {
        assert_eq!(again["runs"][0]["rows"][k]["scores"], rows[k]["scores"]);
    }
}

#[test]
fn given_covariances_are_taken() {
    let place = Place::new();
    place
        .run("data gaussians --dim 3 -o data -n 10 --seed 5")
        .well();
    std::fs::rename(
        place.path("data/truth.npz"),
        place.path("data/3D_Test_Distributions.npz"),
    )
    .unwrap();
    let ended = bench(
        &place,
        "gaussians --dims 3 --data data --steps 5 --samples 100 --method hj-pinn,linear -o out",
    )
    .well();
    assert!(
        !ended.out.contains("drawn by") && ended.out.contains("hj-pinn"),
        "{}",
        ended.out
    );
    let record = json(&place.bytes("out/record.json"));
    assert_eq!(record["runs"][0]["data"], "3D_Test_Distributions.npz");
    assert_eq!(
        record["runs"][0]["rows"][2]["fit"]["settings"]["loss"]["pde"],
        1.0
    );
}

#[test]
fn a_study_needs_no_data() {
    let place = Place::new();
    let ended = bench(
        &place,
        "study --dims 2 --steps 4 --samples 200 --time-limit 5s",
    )
    .well();
    for part in [
        "ED only",
        "+ averaged weights (EMA)",
        "Adam instead of SOAP",
        "random problem",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    bench(&place, "study --dims 2,8").refused(&["study", "one dimension"]);
}

#[test]
fn elastic_from_end_to_end() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("data/singlecell_cite")).unwrap();
    let names: Vec<String> = (1..=10).map(|k| format!("pc{k}")).collect();
    for (day, shift) in [(2, 0.0), (7, 3.0)] {
        // The first component moves, the others hardly vary.
        let cells: Vec<f64> = (0..600)
            .map(|k| {
                let noise = (f64::from(k * k % 311 + day) * 12.9898).sin() * 43758.5453;
                let noise = noise - noise.floor() - 0.5;
                if k % 10 == 0 {
                    noise + shift
                } else {
                    0.02 * noise
                }
            })
            .collect();
        let path = place.path(&format!("data/singlecell_cite/cite_pca100_day{day}.npy"));
        let mut writer =
            charflow_io::Writer::create(path, &names, &[], charflow_io::Precision::F64).unwrap();
        writer.write(&cells, &[]).unwrap();
        writer.finish().unwrap();
    }
    let line = "elastic --components 5 --gamma 1,0 --steps 20 --data data";
    let ended = bench(&place, line).well();
    for part in [
        "gamma",
        "at rest %",
        "identity",
        "linear",
        "zeros.png",
        "15 + 15 cells",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    assert_eq!(
        place.names("bench-elastic"),
        ["record.json", "table.md", "zeros.png", "zeros.svg"]
    );
    let record = json(&place.bytes("bench-elastic/record.json"));
    let run = &record["runs"][0];
    assert_eq!(run["fitted_on"], serde_json::json!([45, 45]));
    let rows = run["rows"].as_array().unwrap();
    let zeros = |k: usize| rows[k]["scores"]["zeros"][0].as_f64().unwrap();
    assert_eq!(
        (&rows[0]["gamma"], &rows[1]["gamma"]),
        (&0.0.into(), &1.0.into())
    );
    assert_eq!(rows[1]["settings"]["cost"], "elastic:1");
    // Under gamma = 1 the components that hardly change rest, the one that moves does not. (At gamma = 0 so few steps may keep the start, a shift of the first alone.)
    assert!(zeros(1) > 0.3 && zeros(1) < 0.9, "{}", zeros(1));

    // Again, as JSON: what does not depend on the clock is the same. The default gammas follow the data.
    let again = json(
        bench(&place, &format!("{line} --json"))
            .well()
            .out
            .as_bytes(),
    );
    assert_eq!(again["runs"][0]["rows"][1]["scores"], rows[1]["scores"]);
    let ended = bench(
        &place,
        "elastic --components 2 --steps 2 --data data -o out",
    )
    .well();
    assert!(ended.out.contains("Median move"), "{}", ended.out);
    let record = json(&place.bytes("out/record.json"));
    assert_eq!(record["runs"][0]["rows"].as_array().unwrap().len(), 8);
}

#[test]
fn costs_from_end_to_end() {
    let place = Place::new();
    let line = "costs --problem line --cost power:3 --samples 500 --steps 30 -o out --no-wrong";
    let ended = bench(&place, line).well();
    for part in ["line", "power:3", "ncf+dual", "1 %", "Without fits"] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    assert!(
        ended.err.contains("line, power:3, d 1, ncf+dual: 30 steps"),
        "{}",
        ended.err
    );
    assert_eq!(
        place.names("out"),
        ["error.png", "error.svg", "record.json", "table.md"]
    );
    let record = json(&place.bytes("out/record.json"));
    assert_eq!(record["runs"].as_array().unwrap().len(), 1);
    let run = &record["runs"][0];
    assert_eq!(
        (&run["asked"]["problem"], &run["asked"]["cost"]),
        (&"line".into(), &"power:3".into())
    );
    assert_eq!(run["rows"].as_array().unwrap().len(), 3);
    assert_eq!(run["rows"][2]["fit"]["settings"]["cost"], "power:3");
    // E|T(x) - x|^3 / 3, and nothing for those who stay.
    let truth = run["true_cost"].as_f64().unwrap();
    assert!((0.1..0.5).contains(&truth), "{truth}");
    assert_eq!(run["rows"][0]["scores"]["cost"], 0.0);
    let table = String::from_utf8(place.bytes("out/table.md")).unwrap();
    assert!(
        table.contains("| line ") && table.contains("reached"),
        "{table}"
    );
}

/// The wrong cost has its row, charged at the right one; a kind alone is the problem's own cost.
#[test]
fn the_wrong_cost_stands_beside_the_right_one() {
    let place = Place::new();
    let line = "costs --problem pair --dims 2 --cost elastic --samples 300 --steps 10 -o out";
    let ended = bench(&place, line).well();
    assert!(ended.out.contains("quadratic instead"), "{}", ended.out);
    let record = json(&place.bytes("out/record.json"));
    let run = &record["runs"][0];
    assert_eq!(run["asked"]["cost"], "elastic:1");
    assert_eq!(run["rows"][2]["fit"]["settings"]["cost"], "elastic:1");
    assert_eq!(run["rows"][3]["fit"]["settings"]["cost"], "quadratic");
}

#[test]
fn costs_that_do_not_go_together_are_told() {
    let place = Place::new();
    for (line, parts) in [
        ("gaussians --problem line", &["--problem", "costs"][..]),
        ("w2 --cost power:3", &["--cost", "costs"]),
        ("study --no-wrong", &["--no-wrong", "costs"]),
        ("costs --problem disc", &["disc", "translation"]),
        ("costs --cost manhattan", &["manhattan", "elastic:0.5"]),
        ("costs --cost power:0.5", &["above 1"]),
        ("costs --problem line --dims 2", &["--dims", "pair"]),
        ("costs --problem pair --dims 1", &["pair", "1 dimension"]),
        ("costs --data .", &["--data"]),
        (
            "costs --problem radial --cost power:3",
            &["radial with power:3", "length"],
        ),
        (
            "costs --problem product --cost relativistic",
            &["product with relativistic", "elastic"],
        ),
        (
            "costs --problem translation --cost relativistic:1",
            &["translation", "at least 4.3"],
        ),
        (
            "costs --problem line --cost mahalanobis:[[2,0],[0,1]]",
            &["2 columns"],
        ),
        ("costs --cost mahalanobis:[[2,0],[0,1]]", &["columns"]),
        (
            "costs --set cost=power:3",
            &["--set cost=power:3", "--cost"],
        ),
    ] {
        bench(&place, line).refused(parts);
    }
    assert!(place.names(".").is_empty(), "{:?}", place.names("."));
}

/// The calibration of the certificate: no wrong map is called good, and no bound holds less often than it says, as far as so many cases can tell.
#[test]
fn the_certificate_is_calibrated() {
    let place = Place::new();
    let ended = bench(&place, "certificate --scale smoke").well();
    for part in [
        "coverage %",
        "wrong and good",
        "not called good %",
        "basins",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    assert_eq!(
        place.names("bench-certificate"),
        ["record.json", "table.md"]
    );
    let record = json(&place.bytes("bench-certificate/record.json"));
    let runs = record["runs"].as_array().unwrap();
    assert!(runs.len() > 150, "{}", runs.len());
    let wrong = |run: &&serde_json::Value| !run["wrong"].as_array().unwrap().is_empty();
    assert!(runs.iter().filter(wrong).count() > 100);
    let fooled: Vec<&str> = runs
        .iter()
        .filter(wrong)
        .filter(|run| run["verdict"] == "good")
        .filter_map(|run| run["map"].as_str())
        .collect();
    assert!(fooled.is_empty(), "{fooled:?}: {}", ended.out);
    // The row of each bound says whether 95 % lies above its interval.
    let bounds: Vec<&str> = ended
        .out
        .lines()
        .skip(2)
        .take_while(|l| l.starts_with('|'))
        .collect();
    assert!(bounds.len() >= 3, "{}", ended.out);
    assert!(bounds.iter().all(|l| l.contains("| yes ")), "{}", ended.out);
    // Nothing depends on the number of threads but the seconds; one problem alone has the same cases.
    let few = "certificate --scale smoke --only ridges --recipes 2 --json";
    let said = |threads: &str| {
        let text = bench(&place, &format!("{few} --threads {threads}"))
            .well()
            .out;
        let mut runs = json(text.as_bytes())["runs"].take();
        assert!(runs.as_array().unwrap().len() > 5);
        for run in runs.as_array_mut().unwrap() {
            run["seconds"] = 0.into();
        }
        runs
    };
    let alone = said("1");
    assert_eq!(alone, said("2"));
    for one in alone.as_array().unwrap() {
        let same = |r: &&serde_json::Value| {
            r["points_seed"] == one["points_seed"] && r["recipe"] == one["recipe"]
        };
        let there = runs.iter().find(same).unwrap();
        assert_eq!(there["claims"], one["claims"]);
    }
}

#[test]
fn what_there_is_not_is_said() {
    let place = Place::new();
    bench(&place, "w3").refused(&["w3", "gaussians", "cite"]);
    bench(&place, "gaussians --method sinkhorn").refused(&["sinkhorn", "ncf+dual", "hj-pinn"]);
    bench(&place, "gaussians --dims 0").refused(&["1 to 1024"]);
    bench(&place, "gaussians --dims two").refused(&["two"]);
    bench(&place, "gaussians --samples 3").refused(&["--samples", "at least 10"]);
    bench(&place, "gaussians --set optimiser.rat=1").refused(&["optimiser.rat"]);
    bench(&place, "gaussians --data nowhere").refused(&["nowhere", "no such folder"]);
    bench(&place, "cite --dims 2").refused(&["--components"]);
    bench(&place, "w2 --components 2").refused(&["--dims"]);
    bench(&place, "w2").refused(&["--data DIR", "CHARFLOW_DATA"]);
    bench(&place, "cite").refused(&["--data DIR", "cite_pca100_day2.npy"]);
    bench(&place, "elastic").refused(&["--data DIR", "CHARFLOW_DATA", "cite_pca100_day2.npy"]);
    bench(&place, "elastic --data .").refused(&["cite_pca100_day2.npy", "singlecell_cite"]);
    bench(&place, "elastic --dims 2").refused(&["--components"]);
    bench(&place, "elastic --components 5,10").refused(&["one number"]);
    bench(&place, "elastic --gamma=-1").refused(&["--gamma", "at least 0"]);
    bench(&place, "elastic --gamma some").refused(&["some"]);
    bench(&place, "elastic --method ncf").refused(&["--method"]);
    bench(&place, "cite --gamma 1").refused(&["--gamma", "elastic"]);
    bench(&place, "w2 --data .").refused(&["no file of the benchmark"]);
    bench(&place, "w2 --scale smoke").refused(&["--scale", "certificate"]);
    bench(&place, "certificate --dims 2").refused(&["--dims", "--scale"]);
    bench(&place, "certificate --recipes 0").refused(&["--recipes"]);
    bench(&place, "certificate --only unicorns").refused(&["unicorns", "gaussian"]);
    bench(&place, "study --only w2").refused(&["--only", "certificate"]);
    bench(&place, "certificate --data nowhere").refused(&["nowhere", "no such folder"]);
    bench(&place, "cite --data .").refused(&["cite_pca100_day2.npy"]);
    assert!(place.names(".").is_empty(), "{:?}", place.names("."));
}

#[test]
fn a_broken_file_is_named() {
    let place = Place::new();
    place.write("mixtomix10_2.safetensors", "not at all");
    bench(&place, "w2 --data .").refused(&["mixtomix10_2.safetensors", "copy it again"]);
    place.write("2D_Test_Distributions.npz", "nor this");
    std::fs::remove_file(place.path("mixtomix10_2.safetensors")).unwrap();
    bench(&place, "gaussians --dims 2 --data .").refused(&["2D_Test_Distributions.npz"]);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_said_before_the_work() {
    let place = Place::new();
    place.write("taken", "a file");
    bench(
        &place,
        "gaussians --dims 2 --steps 30 --samples 500 -o taken",
    )
    .refused(&["taken", "-o"]);
    place.write("mine.txt", "years of work");
    bench(&place, "gaussians --dims 2 --steps 30 --samples 500 -o .")
        .refused(&["other files", "-o"]);
}

/// The real files, where they are at hand.
#[test]
fn the_benchmarks_own_files() {
    let Some(folder) = real_data(&["w2bench", "singlecell_cite"]) else {
        return;
    };
    let place = Place::new();
    let data = folder.to_string_lossy();
    let ended = bench(
        &place,
        &format!("w2 --dims 2 --steps 5 --samples 20000 --data {data} -o w2"),
    )
    .well();
    for part in ["MMv1, published", "w2ot, reported", "ENOT, reported"] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    let record = json(&place.bytes("w2/record.json"));
    assert_eq!(
        record["runs"][0]["reported_forward_uvp"],
        serde_json::json!([["w2ot", 0.03], ["ENOT", 0.02]])
    );
    let rows = record["runs"][0]["rows"].as_array().unwrap();
    // What the benchmark prints for the linear map is 14.1 (from other samples), for the identity 32.8.
    for (k, expected) in [(0, 32.8), (1, 14.05)] {
        let uvp = rows[k]["scores"]["uvp_percent"][0].as_f64().unwrap();
        assert!((uvp - expected).abs() < 0.5, "{uvp} {expected}");
    }
    bench(&place, &format!("w2 --dims 5 --data {data}")).refused(&["--dims 5", "there are"]);
    let ended = bench(
        &place,
        &format!("cite --components 3 --steps 5 --data {data}"),
    )
    .well();
    for part in [
        "noise floor",
        "2 -> 4, 3 left out",
        "ncf+dual, day 7 pulled",
        "linear",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
}

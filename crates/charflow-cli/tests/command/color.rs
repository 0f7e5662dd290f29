//! `charflow color`: two pictures from end to end, the tables in another program, and what is said of pictures that cannot be used.

use crate::place::{Ended, Place, end, real_data, skipped};
use charflow_io::picture::{Levels, Picture};
use std::process::Command;

/// Settings that make a fit take a fraction of a second.
const TINY: &str = "--steps 60 --set network.hidden=[16] --set batch.source=64 --set batch.target=64 --set batch.collocation=32";

/// A picture as a PPM text would have it, coded as PNG through another tool: the crate that writes our own.
fn png(place: &Place, name: &str, width: u32, height: u32, color: impl Fn(u32, u32) -> Vec<u8>) {
    let channels = color(0, 0).len();
    let samples: Vec<u8> = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| color(x, y))
        .collect();
    let kind = match channels {
        1 => image::ExtendedColorType::L8,
        3 => image::ExtendedColorType::Rgb8,
        _ => image::ExtendedColorType::Rgba8,
    };
    image::save_buffer(place.path(name), &samples, width, height, kind).unwrap();
}

/// Numbers that look random, from 0 to 1.
fn noise(x: u32, y: u32, k: u32) -> f64 {
    let v = f64::from(x * 374 + y * 668 + k * 149) * 0.618_034;
    (v.sin() * 43_758.545).fract().abs()
}

/// A warm and a cold picture.
fn pair(place: &Place) {
    let tone = |base: [f64; 3], wide: f64| {
        move |x: u32, y: u32| {
            let common = noise(x, y, 9) - 0.5;
            (0..3)
                .map(|k| {
                    let own = noise(x, y, k as u32) - 0.5;
                    (base[k] + wide * common + 25.0 * own).clamp(0.0, 255.0) as u8
                })
                .collect()
        }
    };
    png(place, "warm.png", 48, 40, tone([180.0, 120.0, 70.0], 90.0));
    png(place, "cold.png", 40, 52, tone([70.0, 110.0, 160.0], 60.0));
}

fn color(place: &Place, line: &str) -> Ended {
    place.run(&format!("color {line}"))
}

fn fit(place: &Place, line: &str) -> Ended {
    color(place, &format!("{line} {TINY}"))
}

fn levels(place: &Place, name: &str) -> Vec<u8> {
    match Picture::read(&place.path(name)).unwrap().samples() {
        Levels::Eight(s) => s.clone(),
        Levels::Sixteen(_) => panic!("{name} has 16 bits"),
    }
}

fn means(samples: &[u8], channels: usize) -> [f64; 3] {
    std::array::from_fn(|k| {
        let channel = samples.iter().skip(k).step_by(channels);
        channel.clone().map(|v| f64::from(*v)).sum::<f64>() / channel.count() as f64
    })
}

fn apart(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

#[test]
fn two_pictures_take_on_each_others_colors() {
    let place = Place::new();
    pair(&place);
    let done = fit(&place, "warm.png cold.png -o look").well();
    assert!(
        done.out.contains("histogram matching") && done.out.contains("ED 3-D"),
        "{}",
        done.out
    );
    assert_eq!(
        place.names("look"),
        [
            "backward.cube",
            "backward.png",
            "color.toml",
            "config.toml",
            "figures",
            "forward.cube",
            "forward.png",
            "history.csv",
            "model.safetensors",
            "report.json"
        ]
    );
    assert_eq!(place.names("look/figures"), ["color.png", "color.svg"]);
    let forward = Picture::read(&place.path("look/forward.png")).unwrap();
    assert_eq!(
        (forward.width(), forward.height(), forward.bits()),
        (48, 40, 8)
    );
    let [warm, cold, to_cold, to_warm] = [
        "warm.png",
        "cold.png",
        "look/forward.png",
        "look/backward.png",
    ]
    .map(|name| means(&levels(&place, name), 3));
    assert!(apart(warm, cold) > 50.0);
    assert!(apart(to_cold, cold) < 4.0, "{to_cold:?} {cold:?}");
    assert!(apart(to_warm, warm) < 4.0, "{to_warm:?} {warm:?}");

    let report: serde_json::Value =
        serde_json::from_slice(&place.bytes("look/report.json")).unwrap();
    let scores = report["forward"]["scores"].as_array().unwrap();
    let score = |k: usize, what: &str| scores[k][what].as_f64().unwrap();
    assert_eq!(scores[0]["method"], "as it is");
    assert_eq!(scores[1]["method"], "charflow");
    assert!(score(1, "emd") < 0.2 * score(0, "emd"));
    assert!(score(1, "energy_distance") < 0.2 * score(0, "energy_distance"));
    assert_eq!(score(0, "moved"), 0.0);
    assert!(report["evaluation"]["certificate"].is_object() && report["done"] == true);
    let off = report["table_error"][0].as_f64().unwrap();
    assert!(off > 0.0 && off < 1.0, "{off}");

    // The same again is the same to the last bit, on one thread too.
    fit(
        &place,
        "warm.png cold.png -o again --threads 1 --no-figures",
    )
    .well();
    for name in ["forward.png", "backward.cube", "model.safetensors"] {
        assert_eq!(
            place.bytes(&format!("look/{name}")),
            place.bytes(&format!("again/{name}")),
            "{name}"
        );
    }
    assert!(!place.names("again").contains(&"figures".to_string()));
}

#[test]
fn strength_runs_from_the_picture_to_the_look() {
    let place = Place::new();
    pair(&place);
    fit(&place, "warm.png cold.png -o look --no-figures").well();
    let apply = |more: &str, folder: &str| {
        color(&place, &format!("--apply look warm.png -o {folder} {more}")).well();
        levels(&place, &format!("{folder}/warm.png"))
    };
    let [none, half, full] = [("0", "s0"), ("0.5", "s5"), ("1", "s1")]
        .map(|(s, folder)| apply(&format!("--strength {s} --no-grain"), folder));
    assert_eq!(none, levels(&place, "warm.png"));
    for ((a, h), f) in none.iter().zip(&half).zip(&full) {
        let middle = 0.5 * (f64::from(*a) + f64::from(*f));
        // What was clipped at the end is not at the half.
        assert!(
            (f64::from(*h) - middle).abs() <= 1.0 || *f == 0 || *f == 255,
            "{a} {h} {f}"
        );
    }
    // With grain, as the fit itself did it.
    assert_eq!(apply("", "same"), levels(&place, "look/forward.png"));
    // The other way.
    color(&place, "--apply look cold.png -o back --backward").well();
    assert_eq!(
        levels(&place, "back/cold.png"),
        levels(&place, "look/backward.png")
    );
    // Gentler: changes vary less from pixel to pixel.
    let rough = |s: &[u8]| {
        let pairs = s.windows(4).map(|w| f64::from(w[0].abs_diff(w[3])));
        pairs.sum::<f64>() / s.len() as f64
    };
    let graded = apply("--look graded", "graded");
    assert!(
        rough(&graded) < 1.1 * rough(&full),
        "{} {}",
        rough(&graded),
        rough(&full)
    );
    assert!(apart(means(&graded, 3), means(&full, 3)) < 15.0);
    assert_ne!(graded, full);
    // The run's own grain, unless another is asked for.
    fit(&place, "warm.png cold.png -o seven --no-figures --seed 7").well();
    color(&place, "--apply seven warm.png -o seven-again").well();
    assert_eq!(
        levels(&place, "seven-again/warm.png"),
        levels(&place, "seven/forward.png")
    );
    fit(&place, "warm.png cold.png -o plain --no-figures --no-grain").well();
    color(&place, "--apply plain warm.png -o plain-again").well();
    assert_eq!(
        levels(&place, "plain-again/warm.png"),
        levels(&place, "plain/forward.png")
    );
}

#[test]
fn every_space_reaches_the_colors() {
    let place = Place::new();
    pair(&place);
    let cold = means(&levels(&place, "cold.png"), 3);
    for space in ["linear", "oklab"] {
        fit(
            &place,
            &format!("warm.png cold.png -o {space} --space {space} --no-figures"),
        )
        .well();
        let found = means(&levels(&place, &format!("{space}/forward.png")), 3);
        assert!(apart(found, cold) < 6.0, "{space} {found:?} {cold:?}");
        let graded = format!("--apply {space} warm.png -o {space}-graded --look graded");
        color(&place, &graded).well();
        let found = means(&levels(&place, &format!("{space}-graded/warm.png")), 3);
        assert!(apart(found, cold) < 15.0, "{space} {found:?} {cold:?}");
        // The run remembers its space.
        color(
            &place,
            &format!("--apply {space} warm.png -o {space}-again"),
        )
        .well();
        assert_eq!(
            levels(&place, &format!("{space}-again/warm.png")),
            levels(&place, &format!("{space}/forward.png"))
        );
    }
}

/// A picture of 300,000 pixels goes through a table, unless it is asked not to.
#[test]
fn large_pictures_go_through_a_table_that_is_near_the_network() {
    let place = Place::new();
    pair(&place);
    fit(&place, "warm.png cold.png -o look --no-figures").well();
    png(&place, "large.png", 640, 480, |x, y| {
        vec![
            (90 + x / 5) as u8,
            (60 + y / 5) as u8,
            (50 + (x + y) / 16) as u8,
        ]
    });
    color(&place, "--apply look large.png -o table --no-grain").well();
    color(&place, "--apply look large.png -o exact --no-grain --exact").well();
    let (table, exact) = (
        levels(&place, "table/large.png"),
        levels(&place, "exact/large.png"),
    );
    let off: f64 = table
        .iter()
        .zip(&exact)
        .map(|(a, b)| f64::from(a.abs_diff(*b)))
        .sum();
    let off = off / table.len() as f64;
    assert!(off > 0.0 && off < 0.5, "{off}");
}

#[test]
fn ffmpeg_reads_the_tables_as_we_do() {
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        skipped("no ffmpeg on the path; Debian has it as the package ffmpeg");
        return;
    }
    let place = Place::new();
    pair(&place);
    fit(&place, "warm.png cold.png -o look --no-figures").well();
    color(&place, "--apply look warm.png -o plain --no-grain --exact").well();
    let words = [
        "-v",
        "error",
        "-i",
        "warm.png",
        "-vf",
        "lut3d=look/forward.cube",
        "-pix_fmt",
        "rgb24",
        "-update",
        "1",
        "ffmpeg.png",
    ];
    let done = Command::new("ffmpeg")
        .args(words)
        .current_dir(place.path("."))
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let (ours, theirs) = (
        levels(&place, "plain/warm.png"),
        levels(&place, "ffmpeg.png"),
    );
    assert_eq!(ours.len(), theirs.len());
    let off: f64 = ours
        .iter()
        .zip(&theirs)
        .map(|(a, b)| f64::from(a.abs_diff(*b)))
        .sum();
    let off = off / ours.len() as f64;
    assert!(off < 1.0, "{off}");
}

#[test]
fn opacity_and_depth_are_kept() {
    let place = Place::new();
    pair(&place);
    png(&place, "clear.png", 30, 30, |x, y| {
        let tone = (100.0 + 90.0 * noise(x, y, 1)) as u8;
        vec![
            tone,
            (0.5 * f64::from(tone)) as u8,
            40,
            if x < 10 { 0 } else { 200 },
        ]
    });
    fit(&place, "clear.png cold.png -o look --no-figures").well();
    let (before, after) = (
        levels(&place, "clear.png"),
        levels(&place, "look/forward.png"),
    );
    for (b, a) in before.chunks(4).zip(after.chunks(4)) {
        assert_eq!(a[3], b[3]);
        // What cannot be seen is left alone.
        assert!(b[3] > 0 || a == b);
    }
    let deep: Vec<u16> = (0..3 * 40 * 40u32)
        .map(|i| (20_000.0 + 30_000.0 * noise(i, 1, i % 3)) as u16)
        .collect();
    let buffer = image::ImageBuffer::<image::Rgb<u16>, _>::from_raw(40, 40, deep).unwrap();
    buffer.save(place.path("deep.png")).unwrap();
    fit(&place, "deep.png cold.png -o deep-look --no-figures").well();
    assert_eq!(
        Picture::read(&place.path("deep-look/forward.png"))
            .unwrap()
            .bits(),
        16
    );
    assert_eq!(
        Picture::read(&place.path("deep-look/backward.png"))
            .unwrap()
            .bits(),
        8
    );
}

#[test]
fn grey_pictures_of_a_pair_stay_grey_and_the_same_picture_twice_stays_itself() {
    let place = Place::new();
    pair(&place);
    png(&place, "g1.png", 40, 40, |x, y| {
        vec![(40.0 + 100.0 * noise(x, y, 1)) as u8]
    });
    png(&place, "g2.png", 40, 40, |x, y| {
        vec![(120.0 + 110.0 * noise(x, y, 2)) as u8]
    });
    let done = fit(&place, "g1.png g2.png -o grey --no-figures").well();
    assert!(done.err.contains("grey picture"), "{}", done.err);
    let result = Picture::read(&place.path("grey/forward.png")).unwrap();
    assert!(result.is_grey());
    let (found, wanted) = (
        means(&levels(&place, "grey/forward.png"), 3),
        means(&levels(&place, "g2.png"), 3),
    );
    assert!(apart(found, wanted) < 6.0, "{found:?} {wanted:?}");

    color(&place, "--apply grey g1.png -o grey-again").well();
    assert!(
        Picture::read(&place.path("grey-again/g1.png"))
            .unwrap()
            .is_grey()
    );

    // A look with colours gives a grey picture colours, in the run and afterwards.
    fit(&place, "warm.png cold.png -o look --no-figures").well();
    color(&place, "--apply look g1.png -o tinted").well();
    assert!(
        !Picture::read(&place.path("tinted/g1.png"))
            .unwrap()
            .is_grey()
    );
    fit(&place, "g1.png cold.png -o toned --no-figures").well();
    assert!(
        !Picture::read(&place.path("toned/forward.png"))
            .unwrap()
            .is_grey()
    );

    fit(&place, "warm.png warm.png -o same --no-figures").well();
    let (before, after) = (
        levels(&place, "warm.png"),
        levels(&place, "same/forward.png"),
    );
    let off: f64 = before
        .iter()
        .zip(&after)
        .map(|(a, b)| f64::from(a.abs_diff(*b)))
        .sum();
    assert!(
        off / (before.len() as f64) < 3.0,
        "{}",
        off / before.len() as f64
    );
}

#[test]
fn pictures_that_cannot_be_used_are_refused_and_nothing_is_written() {
    let place = Place::new();
    pair(&place);
    place.write("text.jpg", "no picture at all");
    let whole = place.bytes("warm.png");
    place.write("cut.png", &whole[..whole.len() / 2]);
    png(&place, "plain.png", 9, 9, |_, _| vec![10, 20, 30]);
    png(&place, "dot.png", 1, 1, |_, _| vec![10, 20, 30]);
    png(&place, "clear.png", 3, 3, |x, _| vec![x as u8, 20, 30, 0]);
    let before = place.names(".");
    for (line, parts) in [
        ("text.jpg cold.png", ["text.jpg", "no picture"]),
        ("warm.png cut.png", ["cut.png", "cut short"]),
        ("plain.png cold.png", ["plain.png", "one colour only"]),
        ("warm.png dot.png", ["dot.png", "one pixel only"]),
        ("clear.png cold.png", ["clear.png", "transparent"]),
        ("missing.png cold.png", ["missing.png", "no such file"]),
        ("warm.png .", [".", "folder"]),
        ("warm.png", ["1 picture given", "expected two"]),
        ("warm.png cold.png cut.png", ["3 pictures given", "--apply"]),
        (
            "warm.png cold.png --strength 1.5",
            ["--strength 1.5", "from 0"],
        ),
        (
            "warm.png cold.png --lut-size 1",
            ["--lut-size 1", "2 to 129"],
        ),
        (
            "warm.png cold.png --space lab",
            ["lab", "srgb, linear, oklab"],
        ),
        ("warm.png cold.png --quality 0", ["0", "1..=100"]),
        (
            "warm.png cold.png --effort huge",
            ["huge", "quick, normal, best"],
        ),
        (
            "warm.png cold.png --set cost=power:3",
            ["cost=power:3", "charflow fit"],
        ),
        ("warm.png cold.png --backward", ["--backward", "--apply"]),
        ("--apply nowhere warm.png", ["nowhere", "charflow color"]),
    ] {
        color(&place, &format!("{line} -o out/of/way")).refused(&parts);
        assert_eq!(place.names("."), before, "{line}");
    }
    // A place that cannot be written is told before the fit.
    place.write("file", "");
    fit(&place, "warm.png cold.png -o file/out").refused(&["file"]);
    fit(&place, "warm.png cold.png -o file").refused(&["no folder"]);
}

#[test]
fn folders_are_replaced_only_when_asked_and_other_files_stay() {
    let place = Place::new();
    pair(&place);
    fit(&place, "warm.png cold.png -o look").well();
    fit(&place, "warm.png cold.png -o look").refused(&["look", "--force"]);
    fit(&place, "look/forward.png cold.png -o look --force").refused(&["look/forward.png", "-o"]);
    std::fs::create_dir(place.path("empty")).unwrap();
    fit(&place, "warm.png cold.png -o empty --no-figures").well();
    assert!(place.names("empty").contains(&"forward.png".into()));
    fit(&place, "warm.png cold.png -o new/folders/look --no-figures").well();
    assert_eq!(place.names("new/folders"), ["look"]);
    place.write("look/mine.txt", "years of work");
    // Another format: the pictures of the earlier run go.
    fit(&place, "cold.png warm.png -o j --no-figures").well();
    let jpg = |name: &str, to: &str| {
        Picture::read(&place.path(name))
            .unwrap()
            .write(&place.path(to), 95)
            .unwrap()
    };
    jpg("warm.png", "warm.jpg");
    fit(&place, "warm.jpg cold.png -o look --force --no-figures").well();
    let names = place.names("look");
    assert!(
        names.contains(&"forward.jpg".into()) && !names.contains(&"forward.png".into()),
        "{names:?}"
    );
    assert_eq!(place.bytes("look/mine.txt"), b"years of work");
}

#[test]
fn applying_never_overwrites_unasked() {
    let place = Place::new();
    pair(&place);
    fit(&place, "warm.png cold.png -o look --no-figures").well();
    color(&place, "--apply look warm.png cold.png -o out").well();
    assert_eq!(place.names("out"), ["cold.png", "warm.png"]);
    color(&place, "--apply look warm.png -o out").refused(&["out/warm.png", "--force"]);
    color(&place, "--apply look warm.png -o out --force").well();
    color(&place, "--apply look warm.png -o . --force").refused(&["would be lost"]);
    color(&place, "--apply look warm.png out/warm.png -o two").refused(&["both"]);
    place.write("frame.gif", "");
    color(&place, "--apply look warm.png frame.gif -o two").refused(&["frame.gif", ".jpg, .png"]);
    assert!(!place.path("two").exists());
    place.write("look/color.toml", "nonsense");
    color(&place, "--apply look warm.png -o three").refused(&["color.toml"]);
    // A plain run of points is no look.
    place.run("data moons -o . -n 300").well();
    place.fit("moons.csv moons.csv -o points --steps 2").well();
    color(&place, "--apply points warm.png -o three").refused(&["no color.toml"]);
    let json = end(place
        .command(["color", "warm.png", "cold.png", "-o", "j", "--json"])
        .args(TINY.split(' ')))
    .well();
    assert!(
        serde_json::from_str::<serde_json::Value>(&json.out).unwrap()["look"]["space"] == "srgb"
    );
}

fn bench(place: &Place, line: &str) -> Ended {
    let mut command = place.command(["bench", "color"]);
    command
        .args(line.split_whitespace())
        .args(TINY.split(' '))
        .env_remove("CHARFLOW_DATA");
    end(&mut command)
}

#[test]
fn the_benchmark_from_end_to_end() {
    let place = Place::new();
    pair(&place);
    place.write(
        "pairs.csv",
        "group,pair,role,file_a,file_b,size\ntones,01,eval,warm.png,cold.png,48\ntones,02,eval,cold.png,warm.png,40\ntones,03,dev,warm.png,warm.png,40\n",
    );
    let done = bench(&place, "--data . --pairs 1").well();
    for part in [
        "tones",
        "charflow, graded",
        "histogram matching, grain",
        "linear (MKL)",
    ] {
        assert!(done.out.contains(part), "{part}: {}", done.out);
    }
    assert_eq!(
        place.names("bench-color"),
        [
            "record.json",
            "table.md",
            "tones-backward.png",
            "tones-forward.png"
        ]
    );
    let record: serde_json::Value =
        serde_json::from_slice(&place.bytes("bench-color/record.json")).unwrap();
    assert_eq!(record["runs"].as_array().unwrap().len(), 1);
    assert_eq!(record["runs"][0]["pair"], "01");
    assert_eq!(record["interrupted"], false);

    bench(&place, "--data . --group nowhere -o x").refused(&["nowhere", "tones"]);
    bench(&place, "--data . --role test -o x").refused(&["role test"]);
    bench(&place, "-o x").refused(&["--data", "pairs.csv"]);
    bench(&place, "--data look -o x").refused(&["no pairs.csv"]);
    bench(&place, "--data . --dims 3 -o x").refused(&["--dims"]);
    place.write(
        "pairs.csv",
        "group,pair,role,file_a,file_b\ntones,01,eval,warm.png,gone.png\n",
    );
    bench(&place, "--data . -o x").refused(&["gone.png", "no such file"]);
    place
        .run("bench gaussians --group tones")
        .refused(&["--group", "color"]);
}

/// The real pairs, where they are at hand: our scores of the pictures as they are against those that came with the data, from another program, and a short fit against the baselines.
#[test]
fn scores_of_real_pictures_are_those_of_another_program() {
    let Some(folder) = real_data(&["color_pairs/pairs.csv"]) else {
        return;
    };
    let table = folder.join("color_pairs/pairs.csv");
    let place = Place::new();
    let line = format!(
        "bench color --data {} --role dev --pairs 1 --no-figures --effort quick --steps 300 -o out",
        folder.display()
    );
    place.run(&line).well();
    let record: serde_json::Value =
        serde_json::from_slice(&place.bytes("out/record.json")).unwrap();
    let mut seen = 0;
    for row in csv::Reader::from_path(&table).unwrap().records() {
        let row = row.unwrap();
        let runs = record["runs"].as_array().unwrap();
        let Some(run) = runs
            .iter()
            .find(|r| r["group"] == row[0] && r["pair"] == row[1])
        else {
            continue;
        };
        seen += 1;
        for way in ["forward", "backward"] {
            let scores = run[way]["scores"].as_array().unwrap();
            let score = |k: usize, what: &str| scores[k][what].as_f64().unwrap();
            // Two decoders differ by a grey level here and there.
            let (w1, hi): (f64, f64) = (row[11].parse().unwrap(), row[12].parse().unwrap());
            assert!(
                (score(0, "emd") - w1).abs() < 5e-4,
                "{} {w1}",
                score(0, "emd")
            );
            assert!((score(0, "histogram_intersection") - hi).abs() < 5e-3);
            assert_eq!(scores[1]["method"], "charflow");
            let baselines = scores.iter().filter(|s| {
                let name = s["method"].as_str().unwrap();
                !name.starts_with("charflow")
            });
            for other in baselines {
                assert!(
                    score(1, "energy_distance") < other["energy_distance"].as_f64().unwrap(),
                    "{other}"
                );
            }
        }
    }
    assert_eq!(seen, 3);
}

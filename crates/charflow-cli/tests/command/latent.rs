//! `charflow latent` and `bench mnist`: without their feature they name it; with it, on tiny images, they work, and say what is wrong with a file.

use crate::place::Place;

/// An idx file of bytes.
fn idx(shape: &[usize], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    for &n in shape {
        bytes.extend((n as u32).to_be_bytes());
    }
    bytes.extend(values);
    bytes
}

/// `n` images of 8 x 8: a bar that lies or stands, and which of the two.
fn bars(n: usize) -> (Vec<u8>, Vec<u8>) {
    let mut pixels = vec![0; n * 64];
    let classes: Vec<u8> = (0..n).map(|i| (i % 2) as u8).collect();
    for (i, image) in pixels.chunks_mut(64).enumerate() {
        let at = 1 + (i / 2) % 6;
        for along in 0..8 {
            let place = if classes[i] == 0 {
                at * 8 + along
            } else {
                along * 8 + at
            };
            image[place] = 180 + (i * 7 % 70) as u8;
        }
    }
    (idx(&[n, 8, 8], &pixels), idx(&[n], &classes))
}

fn with_bars() -> Place {
    let place = Place::new();
    let (images, labels) = bars(64);
    place.write("images-idx3-ubyte", images);
    place.write("labels-idx1-ubyte", labels);
    place
}

#[test]
#[cfg(not(feature = "latent"))]
fn without_the_feature_it_is_named() {
    let place = with_bars();
    place.write("points.csv", "z1,z2\n1,2\n3,4\n");
    let before = place.names(".");
    for line in [
        "latent train images-idx3-ubyte -o a.safetensors",
        "latent encode a.safetensors images-idx3-ubyte -o b.csv",
        "latent decode a.safetensors points.csv -o sheet.png",
        "bench mnist --data . -o out",
    ] {
        place
            .run(line)
            .refused(&["--features latent", "Rust 1.95", "charflow"]);
    }
    assert_eq!(place.names("."), before);
}

#[cfg(feature = "latent")]
mod with {
    use super::*;
    use std::path::Path;

    const TINY: &str = "--latent 2 --width 2 --batch 16 --rate 0.01 --beta 0.1";

    fn with_model() -> Place {
        let place = with_bars();
        place
            .run(&format!(
                "latent train images-idx3-ubyte --labels labels-idx1-ubyte -o bars.safetensors --epochs 8 {TINY}"
            ))
            .well();
        place
    }

    #[test]
    fn there_and_back() {
        let place = with_model();
        let ended = place
            .run("latent encode bars.safetensors images-idx3-ubyte --labels labels-idx1-ubyte -o p.csv")
            .well();
        assert!(
            ended.out.contains("64 points, columns z1 to z2 and label"),
            "{}",
            ended.out
        );
        let text = String::from_utf8(place.bytes("p.csv")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines.len()), ("z1,z2,label", 65));
        assert!(lines[1].ends_with(",0") && lines[2].ends_with(",1"));
        // The points are those that fit and transport take.
        place
            .fit("p.csv p.csv -o run --labels label --steps 5")
            .well();
        place.run("transport run p.csv -o moved.csv").well();
        for out in ["sheet.png", "back-idx3-ubyte", "pixels.csv", "pictures"] {
            let ended = place
                .run(&format!(
                    "latent decode bars.safetensors moved.csv --drop label -o {out}"
                ))
                .well();
            assert!(ended.out.contains("64 "), "{}", ended.out);
        }
        assert_eq!(place.names("pictures").len(), 64);
        // The three kinds of images say the same: an idx file, pictures and a table come back as equal points.
        place
            .run("latent encode bars.safetensors back-idx3-ubyte -o a.csv")
            .well();
        place
            .run("latent encode bars.safetensors pictures -o b.csv")
            .well();
        assert_eq!(place.bytes("a.csv"), place.bytes("b.csv"));
        place
            .run("latent encode bars.safetensors pixels.csv --size 8x8 -n 10 -o c.csv")
            .well();
        let lines = String::from_utf8(place.bytes("c.csv")).unwrap();
        assert_eq!(lines.lines().count(), 11);
        // Columns go by their names, whatever their order and what stands beside them.
        let turned: String = String::from_utf8(place.bytes("p.csv"))
            .unwrap()
            .lines()
            .map(|line| {
                let cells: Vec<&str> = line.split(',').collect();
                format!("{},{},{}\n", cells[2], cells[1], cells[0])
            })
            .collect();
        place.write("turned.csv", turned.as_bytes());
        place
            .run("latent decode bars.safetensors p.csv -o one.csv")
            .well();
        place
            .run("latent decode bars.safetensors turned.csv -o two.csv")
            .well();
        assert_eq!(place.bytes("one.csv"), place.bytes("two.csv"));
        // Fewer pictures in the same folder are all that is in it then.
        let few: String = turned.lines().take(4).map(|l| format!("{l}\n")).collect();
        place.write("few.csv", few.as_bytes());
        place
            .run("latent decode bars.safetensors few.csv -o pictures --force")
            .well();
        assert_eq!(place.names("pictures").len(), 3);
        for (words, said) in [
            ("p.csv -o sheet.jpg", "one sheet of all images is a .png"),
            ("p.csv -o p.csv --force", "one file"),
            ("p.csv -o none/there.csv", "none"),
        ] {
            place
                .run(&format!("latent decode bars.safetensors {words}"))
                .refused(&[said]);
        }
        // Nothing that is there is written over.
        place
            .run("latent encode bars.safetensors pictures -o b.csv")
            .refused(&["b.csv is there already", "--force"]);
    }

    #[test]
    fn training_is_by_seed_and_says_what_it_found() {
        let place = with_bars();
        let train = |name: &str, more: &str| {
            place
                .run(&format!(
                    "latent train images-idx3-ubyte -o {name}.safetensors --epochs 40 {TINY} {more}"
                ))
                .well()
        };
        let ended = train("a", "--json");
        let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!(report["images"], 64);
        assert_eq!(report["latent"], 2);
        let error = |key: &str| report[key].as_f64().unwrap();
        assert!(error("squared_error") < error("squared_error_of_the_mean"));
        train("b", "");
        assert!(place.bytes("a.safetensors") == place.bytes("b.safetensors"));
        train("c", "--seed 1");
        assert!(place.bytes("a.safetensors") != place.bytes("c.safetensors"));
    }

    #[test]
    fn a_collapse_is_said_and_nothing_written() {
        let place = with_bars();
        place
            .run("latent train images-idx3-ubyte -o a.safetensors --latent 2 --width 2 --batch 16 --epochs 4 --beta 100000")
            .refused(&["collapsed", "beta"]);
        assert!(!place.path("a.safetensors").exists());
        // A place that cannot be written is told before the training, which would be long.
        place
            .run("latent train images-idx3-ubyte -o none/a.safetensors --epochs 100")
            .refused(&["none"]);
    }

    #[test]
    fn bad_images() {
        let place = with_model();
        let whole = place.bytes("images-idx3-ubyte");
        place.write("cut-idx3-ubyte", &whole[..whole.len() - 9]);
        place.write("wrong-idx3-ubyte", b"P5 8 8 255 and so on");
        place.write("odd-idx3-ubyte", idx(&[2, 6, 6], &[9; 72]));
        place.write("none-idx3-ubyte", idx(&[0, 8, 8], &[]));
        place.write("few-idx1-ubyte", idx(&[3], &[0, 1, 0]));
        place.write("table.csv", "p1,p2,p3\n0.1,0.2,0.3\n0.2,0.3,0.4\n");
        place.write("range.csv", "a,b,c,d\n0,0,0,300\n0,0,0,1\n");
        std::fs::create_dir(place.path("empty")).unwrap();
        let before = place.names(".");
        let train = |line: &str| place.run(&format!("latent train {line} -o x.safetensors"));
        train("missing-idx3-ubyte").refused(&["missing-idx3-ubyte"]);
        train("wrong-idx3-ubyte").refused(&["wrong-idx3-ubyte", "idx"]);
        train("cut-idx3-ubyte").refused(&["cut-idx3-ubyte"]);
        train("none-idx3-ubyte").refused(&["none-idx3-ubyte"]);
        train("labels-idx1-ubyte").refused(&["labels-idx1-ubyte", "axes"]);
        train("odd-idx3-ubyte").refused(&["6 x 6", "multiples of 4"]);
        train("images-idx3-ubyte --labels few-idx1-ubyte").refused(&[
            "few-idx1-ubyte",
            "3 labels",
            "64",
        ]);
        train("images-idx3-ubyte --labels images-idx3-ubyte")
            .refused(&["images-idx3-ubyte", "one axis"]);
        train("images-idx3-ubyte --latent 0").refused(&["--latent 0"]);
        train("images-idx3-ubyte --rate 7").refused(&["--rate 7"]);
        train("images-idx3-ubyte --size 8x8").refused(&["--size"]);
        train("table.csv").refused(&["table.csv", "--size"]);
        train("table.csv --size 2x2").refused(&["table.csv", "3 columns", "4"]);
        train("range.csv --size 2x2").refused(&["range.csv", "300"]);
        train("empty").refused(&["empty", "no pictures"]);
        place
            .run("latent train images-idx3-ubyte -o x.npy")
            .refused(&["x.npy", ".safetensors"]);
        place
            .run("latent encode bars.safetensors odd-idx3-ubyte -o x.csv")
            .refused(&["odd-idx3-ubyte", "8 x 8", "6 x 6"]);
        place
            .run("latent encode images-idx3-ubyte images-idx3-ubyte -o x.csv")
            .refused(&["images-idx3-ubyte", "safetensors"]);
        place
            .run("latent encode bars.safetensors images-idx3-ubyte --labels labels-idx1-ubyte -o x.npy")
            .refused(&["x.npy", "classes"]);
        place
            .run("latent decode bars.safetensors table.csv -o x.png")
            .refused(&["table.csv", "3 columns", "2 latents", "--drop"]);
        assert_eq!(place.names("."), before);
    }

    /// A folder of data as `bench mnist` wants it: `n` images of 28 x 28 a part, class `i` mod 10.
    fn digits(place: &Place, n: usize, change: impl Fn(&str, &mut Vec<u8>)) {
        let folder = place.path("data/mnist");
        std::fs::create_dir_all(&folder).unwrap();
        for part in ["train", "t10k"] {
            let pixels: Vec<u8> = (0..n * 784).map(|k| (k * 31 % 251) as u8).collect();
            let classes: Vec<u8> = (0..n).map(|i| (i % 10) as u8).collect();
            for (kind, bytes) in [
                ("images-idx3", idx(&[n, 28, 28], &pixels)),
                ("labels-idx1", idx(&[n], &classes)),
            ] {
                let name = format!("{part}-{kind}-ubyte");
                let mut bytes = bytes;
                change(&name, &mut bytes);
                std::fs::write(folder.join(name), bytes).unwrap();
            }
        }
    }

    #[test]
    fn bad_data_of_the_bench() {
        let place = Place::new();
        let bench = |line: &str| place.run(&format!("bench mnist --data data -o out {line}"));
        std::fs::create_dir(place.path("data")).unwrap();
        bench("--task shift").refused(&["train-images-idx3-ubyte.gz", "--data"]);
        digits(&place, 40, |_, _| {});
        bench("--task fashion-to-mnist").refused(&["fashion-mnist"]);
        bench("--task fall").refused(&["fall", "fashion-to-mnist, pairs, shift"]);
        bench("--task shift --labels-per-class 1").refused(&["--labels-per-class", "at least 2"]);
        bench("--task shift --labels-per-class 30").refused(&["--labels-per-class 30"]);
        let changed = |name: &'static str, at: usize, value: u8, parts: &[&str]| {
            digits(&place, 40, |n, bytes| {
                if n == name {
                    bytes[at] = value;
                }
            });
            bench("--task shift").refused(parts);
        };
        digits(&place, 199, |_, _| {});
        bench("--task shift --judge-on held-out-training")
            .refused(&["--judge-on held-out-training", "fewer than 20"]);
        // A class with one image; a label out of range; another kind of number.
        digits(&place, 11, |_, _| {});
        bench("--task shift").refused(&["train-labels-idx1-ubyte", "class 1 has", "at least two"]);
        changed(
            "train-labels-idx1-ubyte",
            8 + 6,
            10,
            &["train-labels-idx1-ubyte", "row 7", "10"],
        );
        changed("t10k-images-idx3-ubyte", 2, 13, &["t10k-images-idx3-ubyte"]);
        changed("t10k-images-idx3-ubyte", 3, 2, &["t10k-images-idx3-ubyte"]);
        digits(&place, 40, |name, bytes| {
            if name == "train-images-idx3-ubyte" {
                *bytes = idx(&[40, 16, 16], &[7; 40 * 256]);
            }
        });
        bench("--task shift").refused(&["train-images-idx3-ubyte", "16 x 16", "28 x 28"]);
        assert!(!Path::new(&place.path("out")).join("record.json").exists());
    }

    #[test]
    fn the_bench_from_end_to_end() {
        // Noise instead of digits: what is tested is that every part is there, not how good it is.
        let place = Place::new();
        digits(&place, 400, |_, _| {});
        let line = "bench mnist --data data --task shift --steps 4 --set network.hidden=[8] --set batch.source=64 --set batch.target=64 --set batch.collocation=32";
        let ended = place.run(&format!("{line} -o out")).well();
        assert!(
            ended.out.contains("shift forward, by class: 0 to 1"),
            "{}",
            ended.out
        );
        assert!(
            ended.err.contains("lenet5_mnist.safetensors"),
            "{}",
            ended.err
        );
        let record: serde_json::Value =
            serde_json::from_slice(&place.bytes("out/record.json")).unwrap();
        let run = &record["runs"][0];
        for direction in ["forward", "backward"] {
            let scores = &run[direction];
            let number = |key: &str| scores[key].as_f64().unwrap();
            assert!((0.0..=100.0).contains(&number("accuracy")));
            assert!(number("frechet_decoded_to_real") > 0.0);
            assert_eq!(scores["by_class"].as_array().unwrap().len(), 10);
        }
        assert!(run["energy_alone"]["transport_cost"].as_f64().unwrap() > 0.0);
        let names = place.names("out");
        for name in [
            "shift-forward-grid.png",
            "shift-backward-latents.png",
            "table.md",
        ] {
            assert!(names.contains(&name.to_string()), "{name}: {names:?}");
        }
        // A tenth of the training images in place of test images, which need not be there.
        for kind in ["images-idx3", "labels-idx1"] {
            let name = format!("data/mnist/t10k-{kind}-ubyte");
            std::fs::rename(place.path(&name), place.path(&format!("{kind}-aside"))).unwrap();
        }
        let line_held = format!("{line} --judge-on held-out-training --no-ablation --no-figures");
        let ended = place.run(&format!("{line_held} -o held")).well();
        assert!(
            ended.out.contains("test images were not read"),
            "{}",
            ended.out
        );
        let held: serde_json::Value =
            serde_json::from_slice(&place.bytes("held/record.json")).unwrap();
        let run = &held["runs"][0];
        assert_eq!(run["judged_on"], "held-out training images");
        assert_eq!(run["images"], serde_json::json!([[360, 40], [360, 40]]));
        for kind in ["images-idx3", "labels-idx1"] {
            let name = format!("data/mnist/t10k-{kind}-ubyte");
            std::fs::rename(place.path(&format!("{kind}-aside")), place.path(&name)).unwrap();
        }
        // Few labels: the target's autoencoder is the one that was never told any.
        let ended = place
            .run(&format!(
                "{line} -o few --labels-per-class 5 --no-ablation --no-figures"
            ))
            .well();
        assert!(ended.out.contains("classes / images"), "{}", ended.out);
        assert_eq!(place.names("few"), ["record.json", "table.md"]);
    }
}

//! What cannot be fitted is refused with status 2, in a sentence that names the place, and nothing is left behind.

use crate::place::{Place, end};

/// Fits `a.csv` to `bad.csv` with this content and expects a refusal.
#[track_caller]
fn refused(content: impl AsRef<[u8]>, options: &str, parts: &[&str]) {
    let place = Place::with_data();
    place.write("bad.csv", content);
    let before = place.names(".");
    for line in [
        format!("a.csv bad.csv -o run --steps 5 {options}"),
        format!("bad.csv a.csv -o run --steps 5 {options}"),
    ] {
        place.fit(&line).refused(parts);
    }
    assert_eq!(place.names("."), before);
}

#[test]
fn bad_tables() {
    refused(
        "x1,x2\n1,2\n3,nan\n5,6\n",
        "",
        &["bad.csv", "row 2", "line 3", "x2"],
    );
    refused(
        "x1,x2\n1,2\n-inf,4\n5,6\n",
        "",
        &["bad.csv", "row 2", "x1", "inf"],
    );
    refused("x1,x2\n1,2\n3\n5,6\n", "", &["bad.csv", "line 3"]);
    refused("x1,x2\n1,2\n3,4,5\n5,6\n", "", &["bad.csv", "line 3"]);
    refused(
        "x1,x2\n1,2\n3,four\n5,6\n",
        "",
        &["bad.csv", "row 2", "x2", "four"],
    );
    refused("x1,x2\n1,2\n,4\n5,6\n", "", &["bad.csv", "row 2", "x1"]);
    refused("", "", &["bad.csv", "empty"]);
    refused("x1,x2\n", "", &["bad.csv"]);
    refused("x1,x2\n1,2\n", "", &["bad.csv", "one point"]);
    refused(
        "x1,x2,x3\n1,2,3\n4,5,6\n",
        "",
        &["bad.csv has 3", "a.csv has 2", "columns"],
    );
    refused("x1,x1\n1,2\n3,4\n", "", &["bad.csv", "x1"]);
    refused("x1,z\n1,2\n3,4\n", "", &["x2", "z", "--columns"]);
    refused([0xff, 0xfe, 0x00, 0x01, b'\n', 0xff], "", &["bad.csv"]);
}

#[test]
fn bad_columns() {
    let place = Place::with_data();
    let before = place.names(".");
    let fit = |options: &str| place.fit(&format!("a.csv b.csv -o run --steps 5 {options}"));
    fit("--columns x1,x9").refused(&["a.csv", "x9", "x1", "x2"]);
    fit("--columns 1-9").refused(&["a.csv", "9", "2 columns"]);
    fit("--columns x1,x1").refused(&["x1", "twice"]);
    fit("--labels kind").refused(&["a.csv", "kind", "x1"]);
    fit("--weights w").refused(&["a.csv", "w", "x1"]);
    assert_eq!(place.names("."), before);
    place
        .fit("missing.csv b.csv -o run")
        .refused(&["missing.csv", "no such file"]);
    place
        .fit("a.csv missing.csv -o run")
        .refused(&["missing.csv", "no such file"]);
    place
        .fit("a.txt b.csv -o run")
        .refused(&["a.txt", ".csv", ".npy"]);
    place.fit(". b.csv -o run").refused(&["."]);
    place.write("cut.npy", &b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8'"[..]);
    place.fit("cut.npy b.csv -o run").refused(&["cut.npy"]);
    assert!(!place.path("run").exists());
}

#[test]
fn bad_classes_and_weights() {
    let place = Place::new();
    place.write("a.csv", "x,k\n1,red\n2,red\n3,blue\n4,blue\n");
    place.write("b.csv", "x,k\n1,red\n2,red\n3,green\n4,green\n");
    place.write("lone.csv", "x,k\n1,red\n2,red\n3,blue\n");
    place.write("hole.csv", "x,k\n1,red\n2,\n3,blue\n");
    place.write("negative.csv", "x,w\n1,1\n2,-3\n3,1\n");
    place.write("zero.csv", "x,w\n1,0\n2,0\n3,0\n");
    place.write("weighted.csv", "x,w\n1,1\n2,2\n3,1\n");
    let before = place.names(".");
    place
        .fit("a.csv b.csv -o run --labels k")
        .refused(&["blue", "green", "a.csv", "b.csv"]);
    place
        .fit("a.csv lone.csv -o run --labels k")
        .refused(&["lone.csv", "blue", "two"]);
    place
        .fit("a.csv hole.csv -o run --labels k")
        .refused(&["hole.csv", "row 2", "k"]);
    place
        .fit("a.csv weighted.csv -o run --labels k")
        .refused(&["weighted.csv", "k"]);
    place
        .fit("weighted.csv negative.csv -o run --weights w")
        .refused(&["negative.csv", "row 2", "w", "-3"]);
    place
        .fit("weighted.csv zero.csv -o run --weights w")
        .refused(&["zero.csv", "zero"]);
    assert_eq!(place.names("."), before);
}

#[test]
fn bad_settings() {
    let place = Place::with_data();
    place.write("bad.toml", "steps = \"many\"\n");
    place.write("unknown.toml", "[optimiser]\nspeed = 3\n");
    place.write("broken.toml", "steps = = 3\n");
    let before = place.names(".");
    for (options, parts) in [
        ("--set optimiser.speed=3", &["optimiser.speed", "rate"][..]),
        ("--set steps", &["--set steps", "KEY=VALUE"]),
        ("--set optimiser.rate=-1", &["optimiser.rate", "above 0"]),
        ("--set network.kind=cnn", &["mlp"]),
        ("--config bad.toml", &["bad.toml", "steps"]),
        (
            "--config unknown.toml",
            &["unknown.toml", "optimiser.speed"],
        ),
        ("--config broken.toml", &["broken.toml"]),
        ("--config nowhere.toml", &["nowhere.toml"]),
        ("--preset best", &["best", "paper-2d"]),
        ("--cost cubic", &["cubic", "quadratic"]),
        ("--steps 0", &["steps", "at least 1"]),
        ("--steps -3", &["-3"]),
        ("--steps many", &["many"]),
        ("--time-limit 5x", &["5x", "5m"]),
        ("--threads 99999", &["threads", "1024"]),
        ("--seed 18446744073709551615", &["seed"]),
        ("--resume --force", &["--resume", "--force"]),
    ] {
        place
            .fit(&format!("a.csv b.csv -o run {options}"))
            .refused(parts);
    }
    assert_eq!(place.names("."), before);
    place.run("").code.filter(|c| *c == 2).unwrap();
    place.run("fits").refused(&["fits"]);
    place.run("fit a.csv").refused(&["TARGET"]);
    place.run("fit a.csv b.csv").refused(&["--out"]);
    place.run("data").refused(&["NAME"]);
    place
        .run("data nonsense -o x")
        .refused(&["nonsense", "swiss-roll"]);
    place.run("data moons -o x -n 1").refused(&["at least 2"]);
    place
        .run("data moons -o x --dim 3")
        .refused(&["dimension 2"]);
    let mut command = place.command(["data", "--list"]);
    end(command.env("CHARFLOW_ISA", "abacus")).refused(&["CHARFLOW_ISA=abacus", "portable"]);
    let mut command = place.command(["data", "--list"]);
    end(command.env("CHARFLOW_ISA", "portable")).well();
}

#[test]
fn a_run_that_exists_is_not_touched() {
    let place = Place::with_run();
    place.write("run/mine.txt", "notes");
    let model = place.bytes("run/model.safetensors");
    place
        .fit("a.csv b.csv -o run --steps 20")
        .refused(&["run", "--resume", "--force"]);
    assert_eq!(place.bytes("run/model.safetensors"), model);
    place
        .fit("a.csv b.csv -o run --steps 20 --seed 3 --force")
        .well();
    assert_ne!(place.bytes("run/model.safetensors"), model);
    // What is not ours stays.
    assert_eq!(place.bytes("run/mine.txt"), b"notes");

    std::fs::create_dir(place.path("other")).unwrap();
    place.write("other/thesis.txt", "years");
    place
        .fit("a.csv b.csv -o other")
        .refused(&["other", "exists"]);
    place
        .fit("a.csv b.csv -o other --force")
        .refused(&["other", "does not look like a run"]);
    place
        .fit("a.csv b.csv -o other --resume")
        .refused(&["other", "no run"]);
    place
        .fit("a.csv b.csv -o a.csv --force")
        .refused(&["a.csv", "no folder"]);
    assert_eq!(place.names("other"), ["thesis.txt"]);
    // A bad fit with --force leaves the old run whole.
    place.write("bad.csv", "x1,x2\n1,2\n3,nan\n");
    let model = place.bytes("run/model.safetensors");
    place
        .fit("a.csv bad.csv -o run --force")
        .refused(&["bad.csv"]);
    assert_eq!(place.bytes("run/model.safetensors"), model);
}

#[test]
#[cfg(unix)]
fn a_disk_that_is_full_and_a_folder_that_cannot_be_written() {
    let place = Place::with_run();
    place.run("data moons -o big -n 20000").well();
    let before = place.names(".");
    // The limit on the size of a file stands in for a full disk: 8 blocks, of 512 bytes or 1 KiB.
    let full =
        |line: &str| place.shell(&format!("trap '' XFSZ; ulimit -f 8; exec charflow {line}"));
    full("transport run big/moons.csv -o o.csv").refused(&["o.csv"]);
    full("data moons -o . -n 20000").refused(&["moons.csv"]);
    full("plot run -o .").refused(&["transport.png", "Nothing was left behind"]);
    assert_eq!(place.names("."), before);
    let fit = "fit a.csv b.csv -o full --steps 20 --no-figures --set network.hidden=[64,64] --set batch.collocation=64";
    let ended = full(fit);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.err.contains("full/checkpoint.safetensors") && ended.err.contains("--resume"),
        "{ended:?}"
    );
    assert_eq!(place.names("full"), ["config.toml", "data.toml"]);
    // With room again it goes on.
    place.run(&format!("{fit} --resume")).well();

    place
        .fit("a.csv b.csv -o a.csv/run --steps 5")
        .refused(&["a.csv/run"]);
    place
        .run("data moons -o a.csv/data")
        .refused(&["a.csv/data"]);
    place
        .run("plot run -o a.csv/pictures")
        .refused(&["a.csv/pictures"]);
    if cfg!(target_os = "linux") {
        place
            .run("plot run -o /proc")
            .refused(&["/proc/transport.png", "cannot be written"]);
        place
            .fit("a.csv b.csv -o /proc/nowhere/run --steps 5")
            .refused(&["/proc/nowhere/run"]);
        place
            .run("transport run a.csv -o /proc/nowhere/o.csv")
            .refused(&["/proc/nowhere"]);
        let ended = place.shell("charflow data --list > /dev/full");
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("standard output"), "{ended:?}");
    }
}

#[test]
fn odd_data_work() {
    let place = Place::new();
    let table = |point: &dyn Fn(f64) -> [f64; 2]| -> String {
        (0..50)
            .map(|i| point(f64::from(i)))
            .map(|[a, b]| format!("{a:e},{b:e}\n"))
            .collect()
    };
    place.write("small.csv", table(&|i| [i.sin() * 1e-6, i.cos() * 1e-6]));
    place.write(
        "small2.csv",
        table(&|i| [3e-6 + i.sin() * 1e-6, i.cos() * 2e-6]),
    );
    place.write("large.csv", table(&|i| [i.sin() * 1e6, i.cos() * 1e6]));
    place.write(
        "large2.csv",
        table(&|i| [3e6 + i.sin() * 1e6, i.cos() * 2e6]),
    );
    place.write("constant.csv", table(&|i| [i.sin(), 7.0]));
    place.write("constant2.csv", table(&|i| [i.cos(), 7.0]));
    place.write("flat.csv", table(&|i| [i.sin(), 2.0 * i.sin()]));
    place.write("copies.csv", table(&|i| [(i % 5.0).sin(), (i % 5.0).cos()]));
    place.write("one.csv", table(&|_| [1.0, 2.0]));
    for (k, (a, b, said)) in [
        ("small", "small2", ""),
        ("large", "large2", ""),
        ("constant", "constant2", "7 everywhere"),
        ("flat", "copies", "flat of 1"),
        ("copies", "flat", "copies of another"),
        ("one", "flat", "same point"),
        ("flat", "one", "same point"),
        ("one", "one", "same point"),
    ]
    .into_iter()
    .enumerate()
    {
        let ended = place.run(&format!(
            "fit {a}.csv {b}.csv -o run{k} --steps 20 --set network.hidden=[8] --set batch.collocation=64"
        ));
        let ended = ended.well();
        assert!(ended.out.contains(said), "{a} to {b}: {}", ended.out);
        place
            .run(&format!("transport run{k} {a}.csv -o moved{k}.csv"))
            .well();
    }
}

//! A run that was stopped, by any means at any moment, ends as if it never was.

use crate::place::Place;
use std::time::Duration;

const STEPS: &str = "--steps 1500 --checkpoint-every 0.01";

#[test]
fn killed_at_any_moment_and_resumed_it_ends_the_same() {
    let place = Place::with_data();
    place.fit(&format!("a.csv b.csv -o whole {STEPS}")).well();
    let whole = place.bytes("whole/model.safetensors");
    // Milliseconds until the kill: from before anything is written to well into the solve.
    let mut state = 12345u64;
    let mut killed = 0;
    for k in 0..12 {
        let mut child = place.spawn_fit(&format!("a.csv b.csv -o run --resume {STEPS}"));
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let wait = if k < 3 {
            2 + 4 * k
        } else {
            (state >> 33) % 300
        };
        std::thread::sleep(Duration::from_millis(wait));
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        // Whatever is there is whole.
        if place.path("run").exists() {
            assert!(place.path("run/config.toml").exists() && place.path("run/data.toml").exists());
        }
    }
    assert!(killed >= 3, "the fit ended before it could be killed");
    place
        .fit(&format!("a.csv b.csv -o run --resume {STEPS}"))
        .well();
    assert_eq!(place.bytes("run/model.safetensors"), whole);
    // Nothing of the killed ones is left in the run, and the losses are those of one run.
    assert!(
        place.names("run").iter().all(|n| !n.ends_with(".tmp")),
        "{:?}",
        place.names("run")
    );
    let steps = |name: &str| -> Vec<String> {
        let text = String::from_utf8(place.bytes(name)).unwrap();
        text.lines()
            .map(|l| {
                l.split(',')
                    .enumerate()
                    .filter(|(k, _)| *k != 1)
                    .map(|(_, v)| v)
                    .collect::<Vec<_>>()
                    .join(",")
            })
            .collect()
    };
    assert_eq!(steps("run/history.csv"), steps("whole/history.csv"));
    // Once more there is nothing to do.
    let ended = place
        .fit(&format!("a.csv b.csv -o run --resume {STEPS}"))
        .well();
    assert!(ended.out.contains("is done"), "{}", ended.out);
}

#[test]
#[cfg(unix)]
fn interrupted_it_saves_and_says_how_to_go_on() {
    let place = Place::with_data();
    let steps = "--steps 4000";
    place.fit(&format!("a.csv b.csv -o whole {steps}")).well();
    for signal in ["INT", "TERM"] {
        let run = format!("run-{signal}");
        let child = place.spawn_fit(&format!("a.csv b.csv -o {run} {steps}"));
        while !place.path(&run).exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(100));
        place.shell(&format!("kill -{signal} {}", child.id()));
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(
            err.contains(&format!("charflow fit a.csv b.csv -o {run} --resume")),
            "{err}"
        );
        assert!(place.path(&run).join("model.safetensors").exists());
        // The model so far can be used.
        place
            .run(&format!("transport {run} a.csv -o {run}.csv"))
            .well();
        // The printed command is enough, whatever the run was begun with.
        let ended = place
            .run(&format!("fit a.csv b.csv -o {run} --resume --no-figures"))
            .well();
        assert!(ended.out.contains("going on from step"), "{}", ended.out);
        assert_eq!(
            place.bytes(&format!("{run}/model.safetensors")),
            place.bytes("whole/model.safetensors")
        );
    }
}

#[test]
fn another_run_is_not_resumed() {
    let place = Place::with_run();
    let resume = |line: &str| place.run(&format!("fit {line} -o run --resume --no-figures"));
    resume("a.csv a.csv").refused(&["a.csv", "target", "other values"]);
    place.run("data moons -o . -n 50").well();
    resume("a.csv moons.csv").refused(&["moons.csv", "50 rows", "300"]);
    resume("a.csv b.csv --seed 1").refused(&["seed = 0", "1"]);
    resume("a.csv b.csv --set optimiser.rate=1").refused(&["optimiser.rate"]);
    resume("a.csv b.csv --preset paper-2d").refused(&["--preset auto", "paper-2d"]);
    resume("a.csv b.csv --columns x1").refused(&["--columns"]);
    resume("a.csv b.csv --labels k").refused(&["--labels"]);
    resume("a.csv b.csv --steps 10").refused(&["--steps 10", "20"]);
    // The same data under another name are the same data.
    std::fs::copy(place.path("a.csv"), place.path("c.csv")).unwrap();
    resume("c.csv b.csv").well();
    // A damaged checkpoint is named.
    let checkpoint = place.bytes("run/checkpoint.safetensors");
    place.write(
        "run/checkpoint.safetensors",
        &checkpoint[..checkpoint.len() / 2],
    );
    resume("a.csv b.csv --steps 40").refused(&["checkpoint.safetensors", "--force"]);
}

#[test]
fn a_finished_run_can_be_asked_for_more() {
    let place = Place::with_run();
    let ended = place
        .run("fit a.csv b.csv -o run --resume --steps 40 --threads 1 --no-figures")
        .well();
    assert!(
        ended.out.contains("going on from step 20") && ended.out.contains("done: 40 steps"),
        "{}",
        ended.out
    );
    assert!(ended.err.contains("learning rate"), "{}", ended.err);
    let config = String::from_utf8(place.bytes("run/config.toml")).unwrap();
    assert!(
        config.contains("steps = 40") && config.contains("threads = 1"),
        "{config}"
    );
    // A time limit ends a run well, and a longer one lets it go on.
    place
        .fit("a.csv b.csv -o timed --steps 10000000 --time-limit 0.3s")
        .well();
    let ended = place
        .run("fit a.csv b.csv -o timed --resume --no-figures")
        .well();
    assert!(ended.out.contains("is done"), "{}", ended.out);
    let ended = place
        .run("fit a.csv b.csv -o timed --resume --time-limit 0.5s --no-figures")
        .well();
    assert!(ended.out.contains("time limit reached"), "{}", ended.out);
}

#[test]
fn a_run_is_begun_where_there_is_none() {
    let place = Place::with_data();
    let ended = place.fit("a.csv b.csv -o run --steps 20 --resume").well();
    assert!(ended.err.contains("no run in run yet"), "{}", ended.err);
    place.fit("a.csv b.csv -o other --steps 20").well();
    assert_eq!(
        place.bytes("run/model.safetensors"),
        place.bytes("other/model.safetensors")
    );
}

#[test]
#[cfg(unix)]
fn two_processes_do_not_work_on_one_run() {
    let place = Place::with_data();
    let mut child = place.spawn_fit("a.csv b.csv -o run --steps 10000000");
    while !place.path("run").exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    place
        .fit("a.csv b.csv -o run --steps 10000000 --resume")
        .refused(&["run", "another charflow"]);
    place
        .fit("a.csv b.csv -o run --force")
        .refused(&["run", "another charflow"]);
    child.kill().unwrap();
    child.wait().unwrap();
    place
        .run("fit a.csv b.csv -o run --steps 10 --force --no-figures")
        .well();
}

#[test]
fn a_solve_that_diverges_says_so_and_keeps_the_last_good_model() {
    let place = Place::with_data();
    let ended = place.fit(
        "a.csv b.csv -o run --steps 50 --set optimiser.rate=1e30 --set held_out.evaluations=2 --json",
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.err.contains("diverged") && ended.err.contains("optimiser.rate"),
        "{ended:?}"
    );
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["solve"]["outcome"], "diverged");
    assert_eq!(report["done"], false);
    place.run("transport run a.csv -o moved.csv").well();
}

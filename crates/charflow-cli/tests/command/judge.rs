//! What evaluate says of classes and of pairs, and what transport says of points far out.

use crate::place::Place;

#[test]
fn classes_are_judged_one_by_one() {
    let place = Place::new();
    place.run("data labelled-mixture -o . -n 300").well();
    place
        .fit("source.csv target.csv -o run --labels label --steps 20")
        .well();
    let ended = place
        .run("evaluate run source.csv target.csv --json")
        .well();
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    let by_class = &report["evaluation"]["by_class"];
    let classes = by_class["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 4);
    for direction in ["forward", "backward"] {
        let mean: f64 = classes
            .iter()
            .map(|c| c[direction].as_f64().unwrap() / 4.0)
            .sum();
        assert!((by_class[direction].as_f64().unwrap() - mean).abs() < 1e-9);
    }
    assert_eq!(classes[0]["class"], "A");
    assert_eq!(classes[0]["points"][0], 75);
    assert!(classes[0]["noise_forward"].as_f64().unwrap() > 0.0);
    let ended = place.run("evaluate run source.csv target.csv").well();
    let lines: Vec<&str> = ended.out.lines().collect();
    let at = lines
        .iter()
        .position(|l| l.starts_with("by class"))
        .unwrap();
    assert!(
        lines[at + 1].starts_with("A ") && lines[at + 5].starts_with("mean "),
        "{}",
        ended.out
    );
    // A class is moved in one piece: pairs are judged within classes, where the map is to be optimal.
    assert!(
        ended.out.contains("pairs of one class moved against"),
        "{}",
        ended.out
    );
    assert_eq!(report["pairs"]["within_classes"], true);
    // Without labels in the fit there is nothing to judge by class.
    place
        .fit("source.csv target.csv -o plain --columns x1,x2 --steps 20")
        .well();
    let ended = place.run("evaluate plain source.csv target.csv").well();
    assert!(!ended.out.contains("by class"), "{}", ended.out);
}

#[test]
fn a_map_has_a_certificate() {
    let place = Place::with_run();
    let ended = place.run("evaluate run a.csv b.csv").well();
    // The files are those of the fit, and the sentence comes first.
    let first = ended.out.lines().next().unwrap();
    assert!(
        first.starts_with("On 300 + 300 points the map was fitted to") && first.ends_with('.'),
        "{}",
        ended.out
    );
    assert!(
        ended.out.contains("\noptimality gap: slack "),
        "{}",
        ended.out
    );
    let ended = place.run("evaluate run a.csv b.csv --json").well();
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    let certificate = &report["evaluation"]["certificate"];
    assert_eq!(
        format!("{}.", certificate["sentence"].as_str().unwrap()),
        first
    );
    assert_eq!(certificate["origin"], "fitted");
    assert_ne!(certificate["verdict"], "good");
    assert!(certificate["optimality"]["slack_upper"].as_f64().is_some());
    assert!(certificate["value"]["dual"].as_f64().is_some());
    assert!(certificate["bracket"]["lower"].as_f64().is_some());
    // Fits say the same of points they held out, or say that they held none out.
    let report = std::fs::read_to_string(place.path("run/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["format"], 2);
    assert_eq!(report["evaluation"]["certificate"]["format"], 2);
    let sentence = &report["evaluation"]["certificate"]["sentence"];
    assert!(
        sentence
            .as_str()
            .unwrap()
            .contains(report["evaluated_on"].as_str().unwrap())
    );
}

#[test]
fn pairs_are_judged() {
    let place = Place::with_run();
    let ended = place.run("evaluate run a.csv b.csv").well();
    assert!(
        ended.out.contains("pairs moved against each other")
            && ended.out.contains("lines that cross"),
        "{}",
        ended.out
    );
    let ended = place.run("evaluate run a.csv b.csv --json").well();
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["pairs"]["points"][0], 300);
    let share = report["pairs"]["not_monotone"][0].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&share));
    assert!(report["pairs"]["crossing"][1].as_f64().is_some());
    // Lines cross in the plane only.
    place.run("data gaussians --dim 3 -o three -n 200").well();
    place
        .fit("three/source.csv three/target.csv -o run3 --steps 10")
        .well();
    let ended = place
        .run("evaluate run3 three/source.csv three/target.csv")
        .well();
    assert!(
        ended.out.contains("pairs moved against each other")
            && !ended.out.contains("lines that cross"),
        "{}",
        ended.out
    );
}

#[test]
fn points_far_out_are_told_or_refused() {
    let place = Place::with_run();
    // Near, far to the right, far below, near.
    place.write("some.csv", "x1,x2\n0.5,0.5\n1000,0\n0,-1e6\n3,3\n");
    let ended = place.run("transport run some.csv -o o.csv").well();
    let warning = "warning: 2 of 4 rows lie far outside the data the model was fitted on; their images are extrapolation";
    assert_eq!(ended.err.matches(warning).count(), 1, "{}", ended.err);
    assert_eq!(ended.err.matches("warning").count(), 1);
    let ended = place
        .run("transport run some.csv -o o.csv --backward")
        .well();
    assert!(ended.err.contains("2 of 4 rows"), "{}", ended.err);
    let ended = place.run("transport run a.csv -o o.csv").well();
    assert!(!ended.err.contains("warning"), "{}", ended.err);
    // Beyond single precision there is no image.
    std::fs::remove_file(place.path("o.csv")).unwrap();
    let before = place.names(".");
    for value in ["1e39", "-1e300"] {
        place.write("some.csv", format!("x1,x2\n0.5,0.5\n\n0.5,{value}\n"));
        place.run("transport run some.csv -o o.csv").refused(&[
            "some.csv, row 2, column `x2`",
            "e3",
            "too far outside",
        ]);
        place
            .run("transport run some.csv -o o.csv --backward --at 0.5")
            .refused(&["some.csv, row 2, column `x2`"]);
    }
    // Held by single precision, but not what the network makes of it.
    place.write("some.csv", "x1,x2,t\n0.5,0.5,1\n1,1,0\n1e38,2,1\n");
    let ended = place.run("transport run some.csv -o o.csv --rows t=1 --columns x1,x2");
    if ended.code == Some(2) {
        ended.refused(&["some.csv, row 3, column `x1`", "not finite"]);
    } else {
        assert!(ended.well().err.contains("1 of 2 rows"));
        std::fs::remove_file(place.path("o.csv")).unwrap();
    }
    std::fs::remove_file(place.path("some.csv")).unwrap();
    let before: Vec<String> = before.into_iter().filter(|n| n != "some.csv").collect();
    assert_eq!(place.names("."), before);
}

//! `--cost`: every cost from end to end, and what is said of one that makes no sense.

use crate::place::Place;
use charflow_io::{ReadOptions, read};
use std::fmt::Write;

/// Two clouds of 200 points, the target shifted by (1, 0) and stretched along: near enough for a speed limit of 3, and nothing has to move across.
fn clouds() -> Place {
    let place = Place::new();
    let table = |shift: [f64; 2], stretch: f64, phase: f64| {
        let mut text = String::from("x,y\n");
        for i in 0..200 {
            let (r, a) = (
                (f64::from(i) / 200.0).sqrt(),
                2.399_963 * f64::from(i) + phase,
            );
            let _ = writeln!(
                text,
                "{},{}",
                shift[0] + stretch * r * a.cos(),
                shift[1] + r * a.sin()
            );
        }
        text
    };
    place.write("a.csv", table([0.0, 0.0], 1.0, 0.0));
    place.write("b.csv", table([1.0, 0.0], 1.5, 0.3));
    place
}

fn points(place: &Place, name: &str) -> Vec<f64> {
    read(place.path(name), &ReadOptions::default())
        .unwrap()
        .to_f64()
}

/// Displacements from one file to the other, row by row.
fn displacements(place: &Place, from: &str, to: &str) -> Vec<[f64; 2]> {
    let (from, to) = (points(place, from), points(place, to));
    assert_eq!(from.len(), to.len());
    from.chunks_exact(2)
        .zip(to.chunks_exact(2))
        .map(|(a, b)| [b[0] - a[0], b[1] - a[1]])
        .collect()
}

#[test]
fn every_cost_goes_from_end_to_end() {
    let place = clouds();
    place.write("metric.csv", "x,y\n2,0.5\n0.5,1\n");
    for (k, (cost, kept, shown)) in [
        ("quadratic", "quadratic", "cost quadratic"),
        (
            "mahalanobis:metric.csv",
            "mahalanobis:[[2,0.5],[0.5,1]]",
            "cost mahalanobis (matrix of 2 rows)",
        ),
        ("norm-power:1.5", "norm-power:1.5", "cost norm-power:1.5"),
        ("power:3", "power:3", "cost power:3"),
        ("elastic:1.25", "elastic:1.25", "cost elastic:1.25"),
        ("relativistic:3.0", "relativistic:3", "cost relativistic:3"),
    ]
    .into_iter()
    .enumerate()
    {
        let run = format!("run{k}");
        let ended = place
            .run(&format!(
                "fit a.csv b.csv -o {run} --steps 20 --seed 1 --cost {cost}"
            ))
            .well();
        // A person is shown the short name.
        let head = ended.out.lines().nth(1).unwrap();
        assert!(head.contains(shown), "{cost}: {head}");
        let config = String::from_utf8(place.bytes(&format!("{run}/config.toml"))).unwrap();
        assert!(
            config.contains(&format!("cost = \"{kept}\"")),
            "{cost}: {config}"
        );

        // Forward, then back.
        place
            .run(&format!("transport {run} a.csv -o there{k}.npy"))
            .well();
        place
            .run(&format!(
                "transport {run} there{k}.npy -o back{k}.npy --backward"
            ))
            .well();
        let moved = displacements(&place, "a.csv", &format!("there{k}.npy"));
        assert!(moved.iter().flatten().all(|v| v.is_finite()), "{cost}");
        if cost.starts_with("relativistic") {
            // Within the rounding of the points to single precision.
            let furthest = moved.iter().map(|v| v[0].hypot(v[1])).fold(0.0, f64::max);
            assert!(furthest <= 3.0 * (1.0 + 1e-5), "{furthest}");
        }
        if cost.starts_with("elastic") {
            assert!(
                moved.iter().flatten().any(|v| *v == 0.0),
                "no coordinate stayed: {moved:?}"
            );
        }

        let said = place.run(&format!("evaluate {run} a.csv b.csv")).well();
        assert!(said.out.contains(shown), "{cost}: {}", said.out);
        let json = place
            .run(&format!("evaluate {run} a.csv b.csv --json"))
            .well();
        let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(json["evaluation"]["cost"], kept);
        // The figures of the fit are those that the model makes again.
        let figure = format!("{run}/figures/transport.png");
        let drawn = place.bytes(&figure);
        place.run(&format!("plot {run}")).well();
        assert!(drawn == place.bytes(&figure), "{cost}: another figure");
    }
}

/// The matrix is in the run: its file is not needed again, and another one is refused.
#[test]
fn a_run_is_repeated_without_the_matrix_file() {
    let place = clouds();
    place.write("metric.tsv", "2\t0.5\n0.5\t1\n");
    let fit = "a.csv b.csv --steps 20 --cost mahalanobis:metric.tsv";
    place.fit(&format!("{fit} -o run")).well();
    place.write("metric.tsv", "2\t0\n0\t1\n");
    place.fit(&format!("{fit} -o run --resume")).refused(&[
        "mahalanobis (matrix of 2 rows)",
        "another matrix",
        "same run",
    ]);
    std::fs::remove_file(place.path("metric.tsv")).unwrap();
    place.fit("a.csv b.csv -o run --resume --steps 30").well();
    place
        .fit("a.csv b.csv -o again --config run/config.toml --steps 20")
        .well();
    let config = |run: &str| String::from_utf8(place.bytes(&format!("{run}/config.toml"))).unwrap();
    assert!(config("again").contains("cost = \"mahalanobis:[[2,0.5],[0.5,1]]\""));

    // Settings from a file and from --set are read the same way, and a cost of the settings is what is fitted.
    place.write("metric.csv", "2,0.5\n0.5,1\n");
    place.write("cost.toml", "cost = \"mahalanobis:metric.csv\"\n");
    for (k, options) in [
        "--config cost.toml",
        "--set cost=mahalanobis:metric.csv",
        "--cost mahalanobis:[[2,0.5],[0.5,1]]",
        "--config cost.toml --cost mahalanobis:[[2,0.5],[0.5,1]]",
    ]
    .into_iter()
    .enumerate()
    {
        place
            .fit(&format!("a.csv b.csv -o same{k} --steps 20 {options}"))
            .well();
        assert_eq!(
            place.bytes(&format!("same{k}/model.safetensors")),
            place.bytes("again/model.safetensors"),
            "{options}"
        );
    }
}

/// The formats of points are the formats of a matrix.
#[test]
fn a_matrix_is_read_from_any_format() {
    let place = clouds();
    for (k, extension) in ["csv", "tsv", "npy", "npz", "parquet"].iter().enumerate() {
        let file = format!("metric.{extension}");
        let names = ["a".to_string(), "b".to_string()];
        let mut writer = charflow_io::Writer::create(
            place.path(&file),
            &names,
            &[],
            charflow_io::Precision::F64,
        )
        .unwrap();
        writer.write(&[2.1, 0.3, 0.3, 1.7], &[]).unwrap();
        writer.finish().unwrap();
        place
            .fit(&format!(
                "a.csv b.csv -o run{k} --steps 2 --cost mahalanobis:{file}"
            ))
            .well();
        let config = String::from_utf8(place.bytes(&format!("run{k}/config.toml"))).unwrap();
        assert!(
            config.contains("mahalanobis:[[2.1,0.3],[0.3,1.7]]"),
            "{file}: {config}"
        );
    }
}

#[test]
fn costs_that_make_no_sense() {
    let place = clouds();
    for (name, content) in [
        ("wide.csv", "1,0,0\n0,1,0\n"),
        ("long.csv", "1,0\n0,1\n0,0\n0,1\n"),
        ("uneven.csv", "1,0.5\n0.2,1\n"),
        ("indefinite.csv", "1,2\n2,1\n"),
        ("zero.csv", "0,0\n0,0\n"),
        ("text.csv", "1,0.5\n0.5,much\n"),
        ("named.csv", "name,a,b\nfirst,1,0\nsecond,0,1\n"),
        ("hole.csv", "1,nan\nnan,1\n"),
        ("empty.csv", ""),
    ] {
        place.write(name, content);
    }
    std::fs::create_dir(place.path("folder.csv")).unwrap();
    let before = place.names(".");
    for (cost, parts) in [
        ("manhattan", &["manhattan", "quadratic", "elastic"][..]),
        ("quadratic:2", &["quadratic:2"]),
        ("power:1", &["power:1", "above 1"]),
        ("norm-power:0.5", &["norm-power:0.5", "above 1"]),
        ("norm-power:-2", &["above 1"]),
        ("power", &["needs its power", "power:3"]),
        ("norm-power:", &["needs its power", "norm-power:1.5"]),
        ("elastic:-1", &["elastic:-1", "at least 0"]),
        ("elastic", &["needs its gamma", "elastic:0.5"]),
        ("elastic:some", &["some", "no number"]),
        ("elastic:nan", &["at least 0"]),
        ("relativistic:-2", &["relativistic:-2", "above 0"]),
        ("relativistic:0", &["above 0"]),
        ("relativistic", &["needs its speed", "relativistic:2.0"]),
        ("mahalanobis", &["no matrix", "mahalanobis:FILE"]),
        ("mahalanobis:", &["no matrix", "mahalanobis:FILE"]),
        ("mahalanobis:[[1,0],[0]]", &["not square", "row 2"]),
        ("mahalanobis:[[1,0],[0,1]", &["no matrix"]),
        (
            "mahalanobis:nowhere.csv",
            &["nowhere.csv", "there is no such file"],
        ),
        ("mahalanobis:metric.doc", &["metric.doc", ".npy"]),
        ("mahalanobis:folder.csv", &["folder.csv", "folder"]),
        ("mahalanobis:empty.csv", &["empty.csv", "empty"]),
        (
            "mahalanobis:wide.csv",
            &["wide.csv", "not square", "2 rows", "3 numbers"],
        ),
        (
            "mahalanobis:long.csv",
            &["long.csv", "not square", "more than 2 rows of 2 numbers"],
        ),
        (
            "mahalanobis:uneven.csv",
            &["uneven.csv", "not symmetric", "row 1, column 2 is 0.5"],
        ),
        (
            "mahalanobis:indefinite.csv",
            &["indefinite.csv", "not positive definite", "eigenvalue"],
        ),
        (
            "mahalanobis:zero.csv",
            &["zero.csv", "not positive definite"],
        ),
        (
            "mahalanobis:text.csv",
            &["text.csv", "row 2", "much", "number"],
        ),
        (
            "mahalanobis:named.csv",
            &["named.csv", "d rows of d numbers", "nothing else"],
        ),
        ("mahalanobis:hole.csv", &["hole.csv", "row 1", "NaN"]),
    ] {
        // Before any data are read: the files of points need not be there.
        place
            .fit(&format!("no.csv nor.csv -o run --cost {cost}"))
            .refused(parts);
        place
            .fit(&format!("a.csv b.csv -o run --set cost={cost}"))
            .refused(parts);
    }
    assert_eq!(place.names("."), before);
}

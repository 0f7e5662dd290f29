//! Solves under every cost: known maps are found, units do not matter, what a cost forbids does not happen.

mod common;

use charflow::cost::{Cost, Mahalanobis, Quadratic, parse};
use charflow::map::{BackwardMap, ForwardMap};
use charflow::model::CharacteristicMap;
use charflow::solver::{Checkpoint, Config, NcfSolver, Observer, Silent, Solution};
use charflow::{Problem, Samples};
use common::{Uneven, costs, normal};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn small(steps: u64) -> Config {
    let mut config = Config::preset("auto", 2000, 2000, 2).unwrap();
    for (key, value) in [
        ("network.kind", "dense"),
        ("network.hidden", "[24, 24, 12]"),
        ("network.beta", "2"),
        ("optimiser.rate", "1e-2"),
        ("batch.source", "250"),
        ("batch.target", "250"),
        ("batch.collocation", "100"),
        ("held_out.patience", "0"),
        ("held_out.choose", "last"),
        ("collocation.characteristics", "1"),
        ("threads", "1"),
    ] {
        config.set(key, value).unwrap();
    }
    config.steps = steps;
    config
}

fn solve(config: &Config, cost: Box<dyn Cost>, x: &[f64], y: &[f64], d: usize) -> Solution {
    let samples = |x: &[f64], name| Samples::from_f64(x, d).unwrap().named(name);
    let problem = Problem::new(samples(x, "source"), samples(y, "target"), cost).unwrap();
    NcfSolver::new(config.clone())
        .solve(problem, &mut Silent)
        .unwrap()
}

/// `x + V(grad f(x))` with the convex `f(x) = sum_k log cosh(a_k.x + b_k)`: optimal for every convex cost (see `certificate.rs`). `scale` is a change of units, under which
/// momenta have the unit of `f(s) / s`.
fn image(cost: &dyn Cost, x: &[f64], scale: f64) -> Vec<f64> {
    const A: [[f64; 3]; 4] = [
        [1.2, 0.4, 0.3],
        [-0.5, 1.0, -0.2],
        [0.6, -0.9, 0.4],
        [0.3, 0.8, -0.6],
    ];
    let momentum = cost.cost_factor(scale) / scale;
    x.chunks_exact(2)
        .flat_map(|x| {
            let mut q = [0.0; 2];
            for [a, b, c] in A {
                let slope = (a * x[0] / scale + b * x[1] / scale + c).tanh();
                q[0] += 1.2 * momentum * slope * a;
                q[1] += 1.2 * momentum * slope * b;
            }
            let mut v = [0.0; 2];
            cost.velocity(&q, &mut v);
            [x[0] + v[0], x[1] + v[1]]
        })
        .collect()
}

fn uvp(found: &[f64], exact: &[f64]) -> f64 {
    let n = (exact.len() / 2) as f64;
    let error: f64 = found.iter().zip(exact).map(|(a, b)| (a - b).powi(2)).sum();
    let variance: f64 = (0..2)
        .map(|k| {
            let column: Vec<f64> = exact.iter().skip(k).step_by(2).copied().collect();
            let mean = column.iter().sum::<f64>() / n;
            column.iter().map(|x| (x - mean).powi(2)).sum::<f64>()
        })
        .sum();
    100.0 * error / variance
}

/// Errors of the two maps in percent.
fn errors(map: &CharacteristicMap, cost: &dyn Cost, scale: f64) -> [f64; 2] {
    let x: Vec<f64> = normal(2000, 2, 9).iter().map(|x| scale * x).collect();
    let y = image(cost, &x, scale);
    [
        uvp(&map.forward(&x).unwrap(), &y),
        uvp(&map.backward(&y).unwrap(), &x),
    ]
}

/// The name gives a cost back, but for the uneven one, which is no cost of the library.
fn again(cost: &dyn Cost) -> Box<dyn Cost> {
    parse(&cost.name()).unwrap_or_else(|_| Box::new(Uneven))
}

#[test]
fn the_map_of_every_cost_is_found() {
    for cost in costs(2) {
        let x = normal(2000, 2, 1);
        let y = image(cost.as_ref(), &normal(2000, 2, 2), 1.0);
        let solution = solve(&small(800), again(cost.as_ref()), &x, &y, 2);
        let right = errors(&solution.map, cost.as_ref(), 1.0);
        let other = solve(&small(800), Box::new(Quadratic), &x, &y, 2);
        let wrong = errors(&other.map, cost.as_ref(), 1.0);
        for k in 0..2 {
            assert!(right[k] < 2.0, "{}: {right:?}", cost.name());
            // Where the velocities of the two costs differ most. In two dimensions the maps of the others are near each other.
            if ["norm-power:1.5", "power:1.5"].contains(&&*cost.name())
                || cost.name().starts_with("mahalanobis")
            {
                assert!(
                    wrong[k] > 1.5 * right[k],
                    "{}: {right:?} {wrong:?}",
                    cost.name()
                );
            }
        }
        // Save, load: the same map.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        solution.map.save(&path).unwrap();
        let loaded = if cost.name() == "uneven" {
            CharacteristicMap::load_with_cost(&path, Box::new(Uneven))
        } else {
            CharacteristicMap::load(&path)
        };
        let loaded = loaded.unwrap();
        assert_eq!(
            loaded.forward(&x).unwrap(),
            solution.map.forward(&x).unwrap()
        );
        assert_eq!(
            loaded.backward(&y).unwrap(),
            solution.map.backward(&y).unwrap()
        );
    }
}

/// Parameters are in the user's units: the same clouds in a unit 1024 times smaller, under the cost in that unit.
#[test]
fn units_do_not_matter() {
    // A power of two: the numbers are the same but for their exponents.
    let s = 1024.0;
    for (small_units, large_units) in [
        ("elastic:0.1", "elastic:102.4"),
        ("relativistic:2", "relativistic:2048"),
        ("norm-power:1.5", "norm-power:1.5"),
        ("power:3", "power:3"),
        (
            "mahalanobis:[[2,0.5],[0.5,1]]",
            "mahalanobis:[[2,0.5],[0.5,1]]",
        ),
    ] {
        let x = normal(500, 2, 1);
        let y = image(
            parse(small_units).unwrap().as_ref(),
            &normal(500, 2, 2),
            1.0,
        );
        let scaled = |x: &[f64]| -> Vec<f64> { x.iter().map(|x| s * x).collect() };
        let config = small(20);
        let one = solve(&config, parse(small_units).unwrap(), &x, &y, 2);
        let other = solve(
            &config,
            parse(large_units).unwrap(),
            &scaled(&x),
            &scaled(&y),
            2,
        );
        let (a, b) = (
            one.map.forward(&x).unwrap(),
            other.map.forward(&scaled(&x)).unwrap(),
        );
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b / s).abs() < 1e-6, "{small_units}: {a} {}", b / s);
        }
        // Potentials are in the units of the cost.
        let factor = parse(large_units).unwrap().cost_factor(s);
        let (u, w) = (
            one.map.potential(&x, 0.0).unwrap(),
            other.map.potential(&scaled(&x), 0.0).unwrap(),
        );
        for (u, w) in u.iter().zip(&w) {
            assert!(
                (u - w / factor).abs() < 1e-5,
                "{small_units}: {u} {}",
                w / factor
            );
        }
    }
}

/// A Mahalanobis solve is the quadratic one on the points `B x`, step by step, and comes back.
#[test]
fn mahalanobis_is_quadratic_in_its_own_coordinates() {
    // Columns in units a thousand times apart, as features are.
    let rows = [vec![1e-6, 2e-4], vec![2e-4, 1.0]];
    let cost = Mahalanobis::new(&rows).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut cloud = |shift: f64| -> Vec<f64> {
        (0..800)
            .flat_map(|_| {
                let (a, b): (f64, f64) = (rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0));
                [1000.0 * (a + shift), b + 0.3 * a.abs() + shift]
            })
            .collect()
    };
    // As samples store them, so that both solves see the same numbers.
    let stored = |x: Vec<f64>| Samples::from_f64(&x, 2).unwrap().to_f64();
    let (x, y) = (stored(cloud(0.0)), stored(cloud(0.7)));
    let enter = |x: &[f64]| {
        let mut x = x.to_vec();
        cost.coordinates().unwrap().enter(&mut x);
        x
    };
    let config = small(60);
    let there = solve(&config, Box::new(Quadratic), &enter(&x), &enter(&y), 2);
    let here = solve(&config, Box::new(cost.clone()), &x, &y, 2);
    for (a, b) in [
        (here.map.forward(&x), there.map.forward(&enter(&x))),
        (here.map.backward(&y), there.map.backward(&enter(&y))),
        (
            here.map.linear().unwrap().forward(&x),
            there.map.linear().unwrap().forward(&enter(&x)),
        ),
    ] {
        let mut b = b.unwrap();
        cost.coordinates().unwrap().leave(&mut b);
        for (i, (a, b)) in a.unwrap().iter().zip(&b).enumerate() {
            let unit = [1000.0, 1.0][i % 2];
            assert!((a - b).abs() < 1e-9 * unit, "{a} {b}");
        }
    }
    // The points handed out for judging are the user's own, to the last bit.
    let (source, _) = &here.points;
    for point in source.to_f64().chunks_exact(2) {
        assert!(
            x.chunks_exact(2)
                .any(|x| (x[0] - point[0]).abs() < 1e-4 && (x[1] - point[1]).abs() < 1e-6)
        );
    }
    // And the certificate is that of the coordinates.
    let evaluation = charflow::evaluate::evaluate(
        &here.map,
        &Samples::from_f64(&x, 2).unwrap(),
        &Samples::from_f64(&y, 2).unwrap(),
        None,
        0,
    )
    .unwrap();
    let certificate = &evaluation.certificate;
    assert!(certificate.convexity.is_some());
    let paid = certificate.optimality.cost.unwrap();
    let images = here.map.forward(&x).unwrap();
    let by_hand = x
        .chunks_exact(2)
        .zip(images.chunks_exact(2))
        .map(|(x, t)| cost.l(&[t[0] - x[0], t[1] - x[1]]))
        .sum::<f64>()
        / 800.0;
    assert!((paid - by_hand).abs() < 1e-5 * by_hand, "{paid} {by_hand}");
}

/// Under the elastic cost coordinates that need not move stay where they are to the last bit, at most of the points: where the two samples differ by chance, a coordinate
/// is moved a little. Under the relativistic cost nothing moves faster than allowed.
#[test]
fn what_a_cost_forbids_does_not_happen() {
    let x = normal(2000, 3, 1);
    let target = |seed| -> Vec<f64> {
        normal(2000, 3, seed)
            .chunks_exact(3)
            .flat_map(|z| [z[0] + 1.5 + 0.4 * z[0].tanh(), z[1], z[2]])
            .collect()
    };
    let y = target(2);
    let moved = |cost: &str, k: usize| {
        let map = solve(&small(500), parse(cost).unwrap(), &x, &y, 3).map;
        let images = map.forward(&x).unwrap();
        let pairs = x.iter().zip(&images).skip(k).step_by(3);
        let still = pairs.clone().filter(|(a, b)| a == b).count() as f64 / 2000.0;
        let mean = pairs.map(|(a, b)| (a - b).abs()).sum::<f64>() / 2000.0;
        (still, mean)
    };
    let (still, far) = moved("elastic:0.5", 0);
    assert!(still == 0.0 && far > 1.0, "{still} {far}");
    for k in [1, 2] {
        let (still, far) = moved("elastic:0.5", k);
        let (still_quadratic, far_quadratic) = moved("quadratic", k);
        assert!(
            still > 0.4 && far < 0.7 * far_quadratic,
            "{still} {far} {far_quadratic}"
        );
        assert!(still_quadratic < 0.01);
    }

    let speed = 2.2;
    let relativistic = solve(&small(500), parse("relativistic:2.2").unwrap(), &x, &y, 3);
    let images = relativistic.map.forward(&x).unwrap();
    for (a, b) in x.chunks_exact(3).zip(images.chunks_exact(3)) {
        let moved = a
            .iter()
            .zip(b)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f64>()
            .sqrt();
        assert!(moved <= speed * (1.0 + 1e-5), "{moved}");
    }
}

#[test]
fn a_cost_for_other_points_is_refused() {
    let samples = |d: usize| {
        Samples::from_f64(&normal(50, d, 1), d)
            .unwrap()
            .named("cells.csv")
    };
    let matrix = parse("mahalanobis:[[2,0.5],[0.5,1]]").unwrap();
    let message = Problem::new(samples(3), samples(3), matrix)
        .unwrap_err()
        .to_string();
    for part in ["cells.csv", "3 columns", "for 2", "matrix"] {
        assert!(message.contains(part), "{message}");
    }
    let far = Samples::from_f64(
        &normal(50, 3, 1).iter().map(|x| x + 9.0).collect::<Vec<_>>(),
        3,
    );
    let slow = parse("relativistic:0.5").unwrap();
    let message = Problem::new(samples(3), far.unwrap(), slow)
        .unwrap_err()
        .to_string();
    assert!(message.contains("would do"), "{message}");
}

/// The losses of the paper alone see nothing where all momenta are below gamma; a gamma that grows on the way gets them above it.
#[test]
fn an_elastic_map_begins_to_move_without_the_dual_stage() {
    let x = normal(1000, 2, 1);
    let y: Vec<f64> = normal(1000, 2, 2)
        .chunks_exact(2)
        .flat_map(|z| [z[0] + 3.0, z[1]])
        .collect();
    let mut config = small(400);
    config.set("dual.begin", "1").unwrap();
    config.set("warm_start", "none").unwrap();
    let mean = |x: &[f64]| x.iter().step_by(2).sum::<f64>() / 1000.0;
    // Also with patience, which must not run out while the cost is still on its way.
    for patience in ["0", "0.1"] {
        config.set("held_out.patience", patience).unwrap();
        let solution = solve(&config, parse("elastic:3").unwrap(), &x, &y, 2);
        assert!(solution.report.steps > 200, "{:?}", solution.report);
        let images = solution.map.forward(&x).unwrap();
        assert!(
            (mean(&images) - mean(&y)).abs() < 0.3,
            "{patience}: {}",
            mean(&images)
        );
    }
}

/// A solve under a user's own cost goes on from its checkpoint, with the settings that the checkpoint holds; under another cost it does not.
#[test]
fn a_solve_goes_on_under_the_cost_it_began_with() {
    struct Keep(Option<Checkpoint>, u64);
    impl Observer for Keep {
        fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> charflow::Result<()> {
            if checkpoint.step() <= self.1 {
                self.0 = Some(checkpoint.clone());
            }
            Ok(())
        }
        fn checkpoint_seconds(&self) -> f64 {
            0.0
        }
    }
    let problem = |cost: Box<dyn Cost>| {
        let x = Samples::from_f64(&normal(400, 2, 1), 2).unwrap();
        let y = Samples::from_f64(&image(&Uneven, &normal(400, 2, 2), 1.0), 2).unwrap();
        Problem::new(x, y, cost).unwrap()
    };
    for cost in [
        || -> Box<dyn Cost> { Box::new(Uneven) },
        || parse("mahalanobis:[[2,0.5],[0.5,1]]").unwrap(),
    ] {
        let mut keep = Keep(None, 20);
        let whole = NcfSolver::new(small(40))
            .solve(problem(cost()), &mut keep)
            .unwrap();
        let checkpoint = keep.0.unwrap();
        assert_eq!(checkpoint.step(), 20);
        let config = checkpoint.config().clone();
        assert_eq!(config.cost, cost().name());
        let again = NcfSolver::new(config.clone())
            .resume(problem(cost()), checkpoint.clone(), &mut Silent)
            .unwrap();
        let x = normal(50, 2, 5);
        assert_eq!(
            again.map.forward(&x).unwrap(),
            whole.map.forward(&x).unwrap()
        );
        let other = NcfSolver::new(small(40))
            .resume(problem(parse("power:3").unwrap()), checkpoint, &mut Silent)
            .unwrap_err()
            .to_string();
        assert!(
            other.contains("`cost`") && other.contains("power:3"),
            "{other}"
        );
    }
    // Another matrix is another cost, and settings that ask for a start which the cost does not have resume as they began.
    let matrix = |text: &str| problem(parse(text).unwrap());
    let mut keep = Keep(None, 20);
    let config = small(40);
    assert_eq!(config.warm_start, "gaussian");
    NcfSolver::new(config.clone())
        .solve(matrix("mahalanobis:[[2,0.5],[0.5,1]]"), &mut keep)
        .unwrap();
    let message = NcfSolver::new(config.clone())
        .resume(
            matrix("mahalanobis:[[2,0],[0,1]]"),
            keep.0.unwrap(),
            &mut Silent,
        )
        .unwrap_err()
        .to_string();
    assert!(message.contains("another matrix"), "{message}");
    let mut keep = Keep(None, 20);
    for resumed in [false, true] {
        let problem = problem(parse("elastic:0.3").unwrap());
        let solver = NcfSolver::new(config.clone());
        if resumed {
            solver
                .resume(problem, keep.0.clone().unwrap(), &mut Silent)
                .unwrap();
        } else {
            solver.solve(problem, &mut keep).unwrap();
        }
    }
}

/// Classes and weights go along into the coordinates of a cost.
#[test]
fn classes_and_weights_stay_with_their_points_in_other_coordinates() {
    let labels = |n: usize| -> Vec<String> { (0..n).map(|i| ["a", "b"][i % 2].into()).collect() };
    let cloud = |seed, shift: f64| -> Samples {
        let x: Vec<f64> = normal(300, 2, seed)
            .chunks_exact(2)
            .enumerate()
            .flat_map(|(i, z)| [300.0 * (z[0] * 0.2 + shift + (i % 2) as f64), z[1] * 0.2])
            .collect();
        let weights = (0..300).map(|i| 1.0 + (i % 5) as f64).collect();
        Samples::from_f64(&x, 2)
            .unwrap()
            .with_labels(labels(300))
            .unwrap()
            .with_weights(weights)
            .unwrap()
    };
    let cost = parse("mahalanobis:[[1e-5,0],[0,1]]").unwrap();
    let problem = Problem::new(cloud(1, 0.0), cloud(2, 3.0), cost).unwrap();
    let given = problem.given()[0].clone();
    assert_eq!(problem.source().weights(), given.weights());
    assert_eq!(problem.source().class_of(), given.class_of());
    let mut config = Config::preset("auto", 300, 300, 2)
        .unwrap()
        .for_classes(300, 300, 2);
    config.set("network.hidden", "[24, 24]").unwrap();
    config.steps = 400;
    let solution = NcfSolver::new(config).solve(problem, &mut Silent).unwrap();
    let evaluation =
        charflow::evaluate::evaluate(&solution.map, &given, &cloud(3, 3.0), None, 0).unwrap();
    // The classes are 300 apart in a column of spread 60; a map that mixed them would be off by hundreds.
    for class in &evaluation.by_class.unwrap().classes {
        assert!(class.forward < 30.0 && class.backward < 30.0, "{class:?}");
    }
}

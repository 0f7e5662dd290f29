//! Truths that are no closed form against naive ones: exact assignments of a few hundred points, and closed forms where a mean over points stands elsewhere.

use super::maps::make;
use super::truth::own_and_least;
use super::*;
use charflow::exact::GaussianMap;
use charflow::solver::Config;

fn settings() -> Arc<Settings> {
    Arc::new(|n, d| {
        let mut config = Config::preset_with_effort("auto", "quick", n, n, d).unwrap_or_default();
        config.network.hidden = vec![8];
        config
    })
}

fn made(problem: &Problem, kind: Kind) -> Option<Made> {
    let reference = reference(problem, Scale::Full);
    make(kind, problem, &reference, 5, settings().as_ref()).unwrap()
}

/// What `n` points say: cost, excess by an exact assignment to the images, and the cost of an exact assignment of the images to as many of the target.
fn by_assignment(problem: &Problem, made: &Made, n: usize) -> [f64; 3] {
    let (d, cost) = (problem.dim, problem.cost.as_ref());
    let x = (problem.draw)(n, 17, 0);
    let images = made.forward.at(&x);
    let [paid, least] = own_and_least(cost, &x, &images, d);
    let y = problem.map.at(&(problem.draw)(n, 17, 1));
    let [_, apart] = own_and_least(cost, &images, &y, d);
    [paid, paid - least, apart]
}

/// In one and two dimensions a few hundred points assigned exactly are near the truth of every kind; with images drawn at random the assignment finds more to avoid than there is, never much less.
#[test]
fn the_excess_is_that_of_an_assignment() {
    let problem = Problem::gaussian(2, 4).unwrap();
    for kind in [
        Kind::Exact,
        Kind::Noisy(0.4),
        Kind::Shuffled(0.2),
        Kind::Blurred(0.9),
        Kind::Turned(1.0),
        Kind::Mirrored,
        Kind::Shrunk(0.3),
        Kind::Shifted,
        Kind::Moved,
        Kind::Identity,
    ] {
        let made = made(&problem, kind).unwrap();
        let [paid, found, apart] = by_assignment(&problem, &made, 400);
        let t = &made.truth;
        let excess = t.excess.unwrap();
        // Standard errors of 400 points, and the bias of an assignment between two samples.
        let near = 0.15 * (1.0 + t.cost);
        assert!(
            (paid - t.cost).abs() < near,
            "{}: cost {paid} {}",
            made.kind,
            t.cost
        );
        assert!(
            (found - excess).abs() < 0.5 * near,
            "{}: excess {found} {excess}",
            made.kind
        );
        let [least, most] = t.w2.unwrap();
        let w2 = (2.0 * apart).sqrt();
        assert!(
            w2 > least - 0.12 && w2 < most + 0.35,
            "{}: {w2}, {least} to {most}",
            made.kind
        );
    }
}

/// `excess = tr((M - I) S (M - I)') / 2 + ... - W` in closed form, for the maps of a Gaussian that are linear.
#[test]
fn means_over_points_meet_the_closed_forms() {
    let d = 4;
    let problem = Problem::gaussian(d, 9).unwrap();
    let (map, s0) = problem.gaussian.clone().unwrap();
    let a = nalgebra::DMatrix::from_row_slice(d, d, &map.matrix());
    let s = nalgebra::DMatrix::from_row_slice(d, d, &s0);
    let trace = (&a * &s).trace();
    let target = (&a * &s * &a).trace();
    let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 0.03, "{a} {b}");
    let reference = reference(&problem, Scale::Full);
    for (kind, excess, off) in [
        (Kind::Mirrored, Some(2.0 * trace), 4.0 * target),
        (Kind::Blurred(0.9), Some(0.1 * trace), 0.2 * target),
        (Kind::Shuffled(0.3), Some(0.3 * trace), 0.6 * target),
        // Planes turned by a right angle: x' and x are orthogonal in every plane.
        (
            Kind::Turned(std::f64::consts::FRAC_PI_2),
            None,
            2.0 * target,
        ),
    ] {
        let made = made(&problem, kind).unwrap();
        let t = &made.truth;
        let means = reference.truth(
            problem.cost.as_ref(),
            &made.forward.at(&reference.x),
            truth::Structure::Preserving,
        );
        if let Some(excess) = excess {
            near(t.excess.unwrap(), excess);
        }
        near(means.excess.unwrap(), t.excess.unwrap());
        near(means.off.unwrap(), t.off.unwrap());
        near(means.uvp.unwrap(), t.uvp.unwrap());
        near(means.cost, t.cost);
        near(t.off.unwrap(), off);
        near(means.optimal_cost.unwrap(), t.optimal_cost.unwrap());
    }
    let shift: f64 = map
        .source_mean()
        .iter()
        .zip(map.target_mean())
        .map(|(a, b)| (a - b).powi(2))
        .sum();
    near(
        reference.optimal_cost,
        0.5 * (shift + s.trace() + target - 2.0 * trace),
    );
}

/// Noise: the closed form of two Gaussians against that of the optimal map between them.
#[test]
fn the_distance_of_gaussians_is_what_their_map_costs() {
    for d in [1, 3, 8] {
        let pair = crate::datasets::random_pair(d, 3);
        let zero = vec![0.0; d];
        let map = GaussianMap::new(&zero, &pair.sigma0, &zero, &pair.sigma1).unwrap();
        let b: Vec<f64> = map
            .matrix()
            .iter()
            .enumerate()
            .map(|(k, a)| if k % (d + 1) == 0 { a - 1.0 } else { *a })
            .collect();
        let [b, s] = [&b, &pair.sigma0].map(|m| nalgebra::DMatrix::from_row_slice(d, d, m));
        let moved = (&b * s * b.transpose()).trace();
        let found = truth::bures(&pair.sigma0, &pair.sigma1, d);
        assert!((found / moved - 1.0).abs() < 1e-9, "{found} {moved}");
    }
}

/// Maps that are said to leave the law of the images as it is: means, second and third moments of many points.
#[test]
fn preserving_maps_preserve() {
    let problems = [
        Problem::gaussian(2, 1).unwrap(),
        Problem::tails(2, 1).unwrap(),
        Problem::clusters(2, 1).unwrap(),
        Problem::corners(3, 2),
        Problem::known(Family::Line, "power:3", 1, settings().as_ref()).unwrap(),
    ];
    let mut found = 0;
    for problem in &problems {
        let d = problem.dim;
        let reference = reference(problem, Scale::Full);
        for kind in [
            Kind::Shuffled(0.3),
            Kind::Blurred(0.8),
            Kind::Turned(0.7),
            Kind::Mirrored,
            Kind::Exchanged,
            Kind::Twisted,
            Kind::MirroredInside,
        ] {
            let Some(made) = make(kind, problem, &reference, 5, settings().as_ref()).unwrap()
            else {
                continue;
            };
            found += 1;
            let f = made.forward.at(&reference.x);
            let size = (reference.variance / d as f64).sqrt();
            for (i, j, k) in [(0, 0, 0), (d - 1, 0, 0), (d - 1, d - 1, 0)] {
                let moment = |p: &[f64], of: &dyn Fn(&[f64]) -> f64| {
                    p.chunks_exact(d).map(of).sum::<f64>() / (p.len() / d) as f64
                };
                let m = truth::mean(&reference.t, d);
                for of in [
                    &(|p: &[f64]| (p[i] - m[i]) / size) as &dyn Fn(&[f64]) -> f64,
                    &|p: &[f64]| (p[i] - m[i]) * (p[j] - m[j]) / (size * size),
                    &|p: &[f64]| {
                        ((p[i] - m[i]) * (p[j] - m[j]) * (p[k] - m[k]) / size.powi(3))
                            .clamp(-30.0, 30.0)
                    },
                ] {
                    let [a, b, c] = [&f, &reference.t, &reference.others].map(|p| moment(p, of));
                    assert!(
                        (a - b).abs() < 0.12 + 2.0 * (b - c).abs(),
                        "{} {}: {a} {b} {c}",
                        problem.about,
                        made.kind
                    );
                }
            }
        }
    }
    assert_eq!(found, 16);
}

/// The exact maps are the cheapest pairing of their own points, under their own cost; and their potential shows it: the certificate's slack is nothing.
#[test]
fn exact_maps_are_exact() {
    let settings = settings();
    let cost = |name: &str| Arc::from(charflow::cost::parse(name).unwrap());
    let problems = [
        Problem::gaussian(3, 2).unwrap(),
        Problem::tails(2, 2).unwrap(),
        Problem::clusters(2, 2).unwrap(),
        Problem::corners(3, 2),
        Problem::ridges(cost("quadratic"), 2, 3),
        Problem::ridges(cost("norm-power:1.3"), 2, 3),
        Problem::ridges(cost("mahalanobis:[[2,0.5],[0.5,1]]"), 2, 3),
        Problem::ridges(cost("relativistic:2"), 2, 3),
        Problem::known(Family::Translation, "elastic:0.5", 8, settings.as_ref()).unwrap(),
        Problem::known(Family::Line, "power:3", 1, settings.as_ref()).unwrap(),
        Problem::known(Family::Product, "quadratic", 8, settings.as_ref()).unwrap(),
        Problem::mixture(Arc::new(MixtureToMap::random(2, 1).unwrap())),
    ];
    for problem in &problems {
        let made = made(problem, Kind::Exact).unwrap();
        let [paid, excess, _] = by_assignment(problem, &made, 150);
        assert!(
            excess < 1e-9 * (1.0 + paid),
            "{}: {excess} of {paid}",
            problem.about
        );
        assert_eq!(made.truth.right, problem.exact);
        let case = case(problem, &made, 60, 3, false).unwrap();
        let options = charflow::certificate::Options::default();
        let c = charflow::certificate::certify(
            case.forward.as_ref(),
            None,
            &case.potential,
            &case.source,
            &case.target,
            &options,
        )
        .unwrap();
        let slack = c.optimality.slack.unwrap();
        let near = if problem.exact { 1e-6 } else { 5e-3 };
        assert!(
            slack < near * (1.0 + paid),
            "{}: slack {slack} of {paid}",
            problem.about
        );
    }
}

/// Weighted points are of the same law as the plain ones.
#[test]
fn weights_undo_the_drawing() {
    for weighing in [Weighing::Importance, Weighing::Counts] {
        let problem = Problem {
            weighing,
            ..Problem::gaussian(2, 1).unwrap()
        };
        let (x, w) = problem.weighed(40_000, 3, 0);
        let w = w.unwrap();
        let total: f64 = w.iter().sum();
        let plain = (problem.draw)(40_000, 4, 0);
        for k in 0..2 {
            let weighted: f64 = x
                .chunks_exact(2)
                .zip(&w)
                .map(|(x, w)| w * x[k] / total)
                .sum();
            let mean = plain.iter().skip(k).step_by(2).sum::<f64>() / 40_000.0;
            assert!((weighted - mean).abs() < 0.03, "{weighted} {mean}");
            let unweighted = x.iter().skip(k).step_by(2).sum::<f64>() / (x.len() / 2) as f64;
            assert!(weighing == Weighing::Counts || k == 1 || (unweighted - mean).abs() > 0.1);
        }
    }
}

/// What is wrong by which rule.
#[test]
fn wrong_is_what_the_rules_say() {
    let problem = Problem::labelled(2, 3, 1).unwrap();
    let why = |kind| made(&problem, kind).unwrap().truth.wrong.join("; ");
    assert_eq!(why(Kind::Exact), "");
    assert!(why(Kind::ClassMirrored).contains("within a class"));
    assert!(why(Kind::ClassesSwapped).contains("UVP"));
    let gaussian = Problem::gaussian(2, 1).unwrap();
    let truth = |kind| made(&gaussian, kind).unwrap().truth;
    assert!(truth(Kind::Exact).right && !truth(Kind::Linear(1000)).right);
    assert!(truth(Kind::Noisy(0.1)).wrong.is_empty());
    assert!(
        truth(Kind::Mirrored)
            .wrong
            .iter()
            .any(|w| w.contains("avoidable"))
    );
    // What is constant is wrong, and costs no more than it must.
    let constant = truth(Kind::Constant);
    assert!(constant.excess == Some(0.0) && !constant.wrong.is_empty() && !constant.right);
}

/// The same seed makes the same cases; another one others.
#[test]
fn cases_repeat() {
    let first = |seed| {
        let suite = suite(Scale::Smoke, seed, vec![], settings());
        let cases = suite[1].cases().unwrap();
        let c = &cases[4];
        (
            c.kind.clone(),
            c.seed,
            c.source.to_f64(),
            c.forward.forward(&c.source.to_f64()).unwrap(),
        )
    };
    assert_eq!(first(1), first(1));
    assert_ne!(first(1), first(2));
    // Names are told apart.
    let suite = suite(Scale::Full, 0, vec![], settings());
    let names: std::collections::BTreeSet<&str> = suite.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names.len(), suite.len());
}

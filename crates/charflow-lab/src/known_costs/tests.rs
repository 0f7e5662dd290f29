//! Every problem against the exact assignment between its points, and against costs for which its map is not the cheapest.

use super::*;
use charflow::cost::parse;
use charflow::exact::assignment;

/// What a pair costs that the cost forbids: more than all others together.
const FORBIDDEN: f64 = 1e6;

/// `l` between all pairs, and what the pairing `x_i -> T(x_i)` and the cheapest pairing cost.
fn own_and_least(cost: &dyn Cost, x: &[f64], images: &[f64], d: usize) -> [f64; 2] {
    let n = x.len() / d;
    let mut costs = Vec::with_capacity(n * n);
    for x in x.chunks_exact(d) {
        for y in images.chunks_exact(d) {
            let v: Vec<f64> = y.iter().zip(x).map(|(y, x)| y - x).collect();
            costs.push(cost.l(&v).min(FORBIDDEN));
        }
    }
    let pairs = assignment(&costs, n).unwrap();
    let sum = |of: &dyn Fn(usize) -> usize| (0..n).map(|i| costs[i * n + of(i)]).sum::<f64>();
    [sum(&|i| i), sum(&|i| pairs[i])]
}

fn every(mut look: impl FnMut(Family, &str, &dyn KnownTransport)) {
    for family in Family::ALL {
        for &dim in family.dims() {
            for name in family.costs(dim) {
                let problem = family.problem(parse(&name).unwrap(), dim).unwrap();
                assert_eq!((problem.dim(), problem.cost().name()), (dim, name.clone()));
                look(family, &name, problem.as_ref());
            }
        }
    }
}

/// 200 points on a circle of radius 1 around a source point, in a plane: of random directions for an even `number`, for an odd one that of the displacements
/// of two others, where displacements change.
///
/// A few hundred random points in eight dimensions are too far apart to find anything: hardly any pairing of theirs but the right one is sensible. Along a loop there are many, since
/// all points may move on by one, and what that gains is the integral of `grad l(T(x) - x) . dx` around the loop less a term that falls with the number of points. The integral is
/// zero for every loop where `T` is optimal.
fn loop_of_points(problem: &dyn KnownTransport, number: u64) -> Vec<f64> {
    let d = problem.dim();
    let center = problem.sample_source(1, number, 7);
    let others = problem.sample_source(2, number, 8);
    let images = problem.forward(&others);
    let mut directions: Vec<Vec<f64>> = displacements(&others, &images, d).collect();
    if number.is_multiple_of(2) {
        let mut rng = fixed(d, 100 + number);
        for v in directions.iter_mut().flatten() {
            *v = mixture::normal(&mut rng);
        }
    }
    for v in &mut directions {
        let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        v.iter_mut().for_each(|v| *v /= length);
    }
    let (a, b) = (&directions[0], &directions[1]);
    (0..200)
        .flat_map(|k| {
            let (sin, cos) = (f64::from(k) / 200.0 * std::f64::consts::TAU).sin_cos();
            let at = |i: usize| center[i] + cos * a[i] + sin * b[i];
            (0..d).map(at).collect::<Vec<f64>>()
        })
        .collect()
}

/// No rearrangement of the images is cheaper, for points of the source and for loops: cyclical monotonicity, which an optimal map has at any points.
#[test]
fn the_map_is_the_cheapest_pairing_of_its_own_points() {
    every(|family, name, problem| {
        let d = problem.dim();
        let random = problem.sample_source(60, 5, 0);
        for x in [random, loop_of_points(problem, 1)] {
            let images = problem.forward(&x);
            let [own, least] = own_and_least(problem.cost(), &x, &images, d);
            assert!(own < FORBIDDEN);
            assert!(
                own - least <= 1e-9 * own,
                "{}, d {d}, {name}: {own} against {least}",
                family.name()
            );
        }
    });
}

/// The same check fails for the wrong cost: around a loop the images are better moved on.
#[test]
fn the_map_is_not_the_cheapest_for_the_wrong_cost() {
    every(|family, name, problem| {
        let d = problem.dim();
        let Some(wrong) = family.wrong_cost(problem.cost(), d) else {
            assert!(matches!(family, Family::Line | Family::Translation));
            return;
        };
        let wrong = parse(&wrong).unwrap();
        // Not every plane shows it.
        let found = (0..40).find(|&number| {
            let x = loop_of_points(problem, number);
            let images = problem.forward(&x);
            let [own, least] = own_and_least(wrong.as_ref(), &x, &images, d);
            own - least > 1e-5 * own
        });
        assert!(
            found.is_some(),
            "{}, d {d}, {name}, {}",
            family.name(),
            wrong.name()
        );
    });
}

/// What there is to say about a problem's size: L2-UVP of the linear map forward and backward in percent, root mean square of a displacement's coordinate, share of
/// coordinates that do not move, shortest and longest displacement.
fn look_at(problem: &dyn KnownTransport) -> ([f64; 2], f64, f64, [f64; 2]) {
    use charflow::Samples;
    use charflow::cost::Quadratic;
    use charflow::map::{BackwardMap, ForwardMap};
    let d = problem.dim();
    let x = problem.sample_source(20_000, 1, 0);
    let y = problem.forward(&x);
    let samples = |v: &[f64]| Samples::from_f64(v, d).unwrap();
    let both = charflow::Problem::new(samples(&x), samples(&y), Box::new(Quadratic)).unwrap();
    let (m0, m1) = both.moments();
    let linear = charflow::exact::GaussianMap::from_moments(m0, m1).unwrap();
    let uvp = |estimated: Vec<f64>, truth: &[f64]| {
        let variance = crate::metrics::total_variance(truth, d).unwrap();
        crate::metrics::l2_uvp(&estimated, truth, d, variance).unwrap()
    };
    let moved: Vec<Vec<f64>> = displacements(&x, &y, d).collect();
    let squares: Vec<f64> = moved
        .iter()
        .map(|v| v.iter().map(|v| v * v).sum())
        .collect();
    let mean = squares.iter().sum::<f64>() / squares.len() as f64;
    let still = moved.iter().flatten().filter(|v| v.abs() < 1e-12).count();
    let ends = [f64::INFINITY, 0.0_f64];
    let ends = squares
        .iter()
        .fold(ends, |e, s| [e[0].min(s.sqrt()), e[1].max(s.sqrt())]);
    (
        [
            uvp(linear.forward(&x).unwrap(), &y),
            uvp(linear.backward(&y).unwrap(), &x),
        ],
        (mean / d as f64).sqrt(),
        still as f64 / x.len() as f64,
        ends,
    )
}

/// Problems that the linear map does not solve and in which points go somewhere.
#[test]
fn the_problems_are_neither_linear_nor_small() {
    every(|family, name, problem| {
        let (uvp, length, still, ends) = look_at(problem);
        let d = problem.dim();
        let what = format!(
            "{:11} d {d:2} {:28} linear {:5.2} {:5.2} %, displacement {length:.2} a coordinate, {:.2} of them zero, |v| {:.2} to {:.2}",
            family.name(),
            short(name),
            uvp[0],
            uvp[1],
            still,
            ends[0],
            ends[1]
        );
        assert!(ends[1] < problem.cost().reach(), "{what}");
        match family {
            Family::Translation => assert!(uvp[0] < 1e-6, "{what}"),
            Family::Line | Family::Radial | Family::Product => {
                assert!(uvp[0] > 5.0 && length > 0.3, "{what}");
            }
            Family::Pair => {
                assert!(uvp[0] > 7.0 && (1.15..1.25).contains(&length), "{what}");
                let sparse = name.starts_with("elastic");
                assert!(!sparse || (0.35..0.65).contains(&still), "{what}");
            }
        }
    });
}

/// The same seed and stream give the same points, others do not, and more begin with the fewer.
#[test]
fn points_repeat() {
    every(|family, name, problem| {
        let d = problem.dim();
        let x = problem.sample_source(20, 3, 1);
        assert_eq!(x.len(), 20 * d);
        assert_eq!(x, problem.sample_source(40, 3, 1)[..20 * d]);
        assert_ne!(x, problem.sample_source(20, 4, 1));
        assert_ne!(x, problem.sample_source(20, 3, 2));
        // What is fixed is so in every copy.
        let copy = family.problem(parse(name).unwrap(), d).unwrap();
        assert_eq!(problem.forward(&x), copy.forward(&x));
    });
}

#[test]
fn what_does_not_go_together_is_told() {
    let told = |family: Family, name: &str, dim: usize| {
        let refused = family.problem(parse(name).unwrap(), dim);
        refused.map(|p| p.about()).unwrap_err().to_string()
    };
    for (family, name, dim, parts) in [
        (Family::Line, "quadratic", 2, &["line", "2 dimensions"][..]),
        (Family::Pair, "quadratic", 1, &["1 dimension;"]),
        (
            Family::Pair,
            "mahalanobis:[[2,0],[0,1]]",
            8,
            &["2 columns", "8"],
        ),
        (Family::Radial, "power:3", 8, &["radial", "length"]),
        (Family::Radial, "elastic:0.5", 8, &["norm-power"]),
        (Family::Product, "norm-power:1.5", 8, &["sum", "elastic"]),
        (Family::Product, "relativistic:9", 8, &["sum"]),
        (
            Family::Product,
            "mahalanobis:[[2,1],[1,2]]",
            2,
            &["diagonal"],
        ),
        (
            Family::Translation,
            "relativistic:3",
            8,
            &["4.000", "at least 4.3"],
        ),
        (Family::Line, "relativistic:1", 1, &["move by up to"]),
    ] {
        let message = told(family, name, dim);
        for part in parts {
            assert!(message.contains(part), "{message}");
        }
    }
    // Costs that are what they need to be by their parameter.
    for (family, name) in [
        (Family::Radial, "power:2"),
        (Family::Radial, "elastic:0"),
        (Family::Radial, "norm-power:3"),
        (Family::Product, "norm-power:2"),
    ] {
        assert!(family.problem(parse(name).unwrap(), 8).is_ok(), "{name}");
    }
    // A pair keeps any speed.
    let slow = Family::Pair
        .problem(parse("relativistic:0.5").unwrap(), 8)
        .unwrap();
    let x = slow.sample_source(50, 0, 0);
    assert!(displacements(&x, &slow.forward(&x), 8).all(|v| slow.cost().l(&v).is_finite()));
}

/// The quadratic cost by another name is not called a wrong one.
#[test]
fn a_wrong_cost_is_another_cost() {
    for name in [
        "power:2",
        "norm-power:2",
        "elastic:0",
        "mahalanobis:[[3,0],[0,3]]",
    ] {
        let cost = parse(name).unwrap();
        for family in [Family::Radial, Family::Pair] {
            let wrong = parse(&family.wrong_cost(cost.as_ref(), 2).unwrap()).unwrap();
            assert!(!proportional(wrong.as_ref(), cost.as_ref(), 2), "{name}");
        }
    }
}

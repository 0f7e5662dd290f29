//! The certificate against truths: it covers every excess, calls good maps good and bad ones bad, and says what cannot be said.

mod common;

use charflow::certificate::{
    Certificate, Options, Origin, SourcePotential, Verdict, certify, certify_map,
};
use charflow::cost::{Cost, Quadratic};
use charflow::evaluate::{evaluate, evaluate_on};
use charflow::exact::{GaussianMap, MirroredGaussianMap, assignment};
use charflow::map::{BackwardMap, ForwardMap, IdentityMap};
use charflow::model::{CharacteristicMap, FORMAT_VERSION, ModelInfo};
use charflow::potential::{Family, Isa, Potential, Shape, WarmPotential};
use charflow::samples::Scaling;
use charflow::solver::Config;
use charflow::{Result, Samples};
use charflow_kernels::activation::Activation;
use common::{Uneven, costs, normal};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A map given point by point.
struct Rows<F: Fn(&[f64]) -> Vec<f64>>(usize, F);

impl<F: Fn(&[f64]) -> Vec<f64>> ForwardMap for Rows<F> {
    fn dim(&self) -> usize {
        self.0
    }
    fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        Ok(x.chunks_exact(self.0).flat_map(&self.1).collect())
    }
}

/// A map of all points together.
struct Whole<F: Fn(&[f64]) -> Vec<f64>>(usize, F);

impl<F: Fn(&[f64]) -> Vec<f64>> ForwardMap for Whole<F> {
    fn dim(&self) -> usize {
        self.0
    }
    fn forward(&self, x: &[f64]) -> Result<Vec<f64>> {
        Ok((self.1)(x))
    }
}

fn samples(x: &[f64], d: usize) -> Samples {
    Samples::from_f64(x, d).unwrap()
}

/// A random network as potential; `size` is how far it bends.
fn network(d: usize, size: f64, seed: u64, scale: f64, cost: &dyn Cost) -> SourcePotential {
    let layers = Family::Mlp
        .layers(&[8, 8], Activation::Softplus { beta: 2.0 })
        .unwrap();
    let mut potential = WarmPotential::<f64>::new(Isa::current(), Shape { dim: d, layers }, None);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let theta: Vec<f64> = (0..potential.parameters())
        .map(|_| size * rng.random_range(-1.0..1.0))
        .collect();
    potential.set_parameters(&theta);
    let scaling = Scaling {
        shift: vec![0.3; d],
        scale,
    };
    SourcePotential::new(potential, scaling, cost).unwrap()
}

fn options(seed: u64, origin: Origin) -> Options {
    Options {
        seed,
        origin,
        by_class: false,
    }
}

fn judge(
    map: &dyn ForwardMap,
    back: Option<&dyn BackwardMap>,
    potential: &SourcePotential,
    x: &[f64],
    y: &[f64],
) -> Certificate {
    let d = potential.dim();
    certify(
        map,
        back,
        potential,
        &samples(x, d),
        &samples(y, d),
        &options(1, Origin::HeldOut),
    )
    .unwrap()
}

fn displacement(x: &[f64], y: &[f64]) -> Vec<f64> {
    y.iter().zip(x).map(|(y, x)| y - x).collect()
}

fn cost_of(cost: &dyn Cost, x: &[f64], y: &[f64], d: usize) -> f64 {
    let each = x.chunks_exact(d).zip(y.chunks_exact(d));
    each.map(|(x, y)| cost.l(&displacement(x, y))).sum::<f64>() / (x.len() / d) as f64
}

/// The optimal cost between two samples of equal size.
fn optimum(cost: &dyn Cost, x: &[f64], y: &[f64], d: usize) -> f64 {
    let n = x.len() / d;
    let costs: Vec<f64> = x
        .chunks_exact(d)
        .flat_map(|x| y.chunks_exact(d).map(move |y| cost.l(&displacement(x, y))))
        .collect();
    let columns = assignment(&costs, n).unwrap();
    columns
        .iter()
        .enumerate()
        .map(|(i, j)| costs[i * n + j])
        .sum::<f64>()
        / n as f64
}

/// Weak duality holds on the very sample: for any map, potential and cost the mean slack is at least the cost above the exact assignment's, with no statistics in between.
/// And the bracket brackets. (What `Samples` stores is rounded to single precision; so are the points used here.)
#[test]
fn the_slack_covers_the_excess_and_the_bracket_the_optimum() {
    for seed in 0..12 {
        let d = 1 + seed as usize % 3;
        let n = 90;
        let x = samples(&normal(n, d, 100 + seed), d).to_f64();
        let y: Vec<f64> = samples(&normal(n, d, 200 + seed), d)
            .to_f64()
            .iter()
            .map(|v| f64::from((1.5 * v + 0.7) as f32))
            .collect();
        for (cost, scale) in [(&Quadratic as &dyn Cost, 1.0), (&Uneven, 2.5)] {
            let potential = network(d, 0.2 + 0.1 * seed as f64, seed, scale, cost);
            let turn = 0.3 * seed as f64;
            let map = Rows(d, move |x: &[f64]| {
                (0..x.len())
                    .map(|k| turn.cos() * x[k] + turn.sin() * x[(k + 1) % x.len()].tanh() + 0.4)
                    .collect()
            });
            let images = map.forward(&x).unwrap();
            let c = judge(&map, None, &potential, &x, &y);
            let exact = cost_of(cost, &x, &images, d);
            let excess = exact - optimum(cost, &x, &images, d);
            let slack = c.optimality.slack.unwrap();
            let near = 1e-9 * (1.0 + exact);
            assert!((c.optimality.cost.unwrap() - exact).abs() < near);
            assert!(slack >= excess - near, "{seed} {cost:?}: {slack} {excess}");
            assert!(c.optimality.slack_upper.unwrap() >= slack);
            let bracket = c.bracket.unwrap();
            let best = optimum(cost, &x, &y, d);
            assert!(bracket.all && bracket.points == n);
            assert!(bracket.lower.unwrap() <= best + near && best <= bracket.upper.unwrap() + near);
        }
    }
}

/// Closed form: a linear map `M x + b` of a Gaussian costs `(tr (M - I) S (M - I)' + |(M - I) m + b|^2) / 2`, the best one to the same Gaussian likewise with its `A`.
#[test]
fn the_bound_covers_the_excess_of_linear_maps() {
    let trace = |a: &[f64]| {
        let b = [a[0] - 1.0, a[1], a[2], a[3] - 1.0];
        0.5 * b.iter().map(|b| b * b).sum::<f64>()
    };
    let (mut within, mut cases) = (0, 0);
    for seed in 0..40 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let m: Vec<f64> = (0..4)
            .map(|i| rng.random_range(-1.0..1.0) + if i % 3 == 0 { 0.8 } else { 0.0 })
            .collect();
        let shift = [0.3, -0.5];
        let product = [
            m[0] * m[0] + m[1] * m[1],
            m[0] * m[2] + m[1] * m[3],
            m[0] * m[2] + m[1] * m[3],
            m[2] * m[2] + m[3] * m[3],
        ];
        let identity = [1.0, 0.0, 0.0, 1.0];
        let Ok(best) = GaussianMap::new(&[0.0; 2], &identity, &shift, &product) else {
            continue;
        };
        let excess = trace(&m) - trace(&best.matrix());
        let x = normal(300, 2, 50 + seed);
        let map = Rows(2, move |x: &[f64]| {
            vec![
                m[0] * x[0] + m[1] * x[1] + shift[0],
                m[2] * x[0] + m[3] * x[1] + shift[1],
            ]
        });
        let y = best.forward(&normal(300, 2, 90 + seed)).unwrap();
        // The right potential, for which the mean slack is the excess, and a wrong one.
        let wrong =
            GaussianMap::from_parts(vec![0.1; 2], vec![0.4; 2], &[1.2, 0.2, 0.2, 0.9]).unwrap();
        let c = judge(&map, None, &SourcePotential::of_gaussian(&best), &x, &y);
        let o = &c.optimality;
        let se = o.standard_error.unwrap();
        assert!(
            (o.slack.unwrap() - excess).abs() < 5.0 * se + 1e-9,
            "{o:?} {excess}"
        );
        within += usize::from(o.slack_upper.unwrap() >= excess - 1e-9);
        cases += 1;
        assert!(
            o.excess_lower.unwrap_or(0.0) <= excess + 1e-9,
            "{o:?} {excess}"
        );
        let c = judge(&map, None, &SourcePotential::of_gaussian(&wrong), &x, &y);
        let o = &c.optimality;
        assert!(o.slack.unwrap() + 5.0 * o.standard_error.unwrap() >= excess);
    }
    // 95 % each: fewer than 35 of 40 in one of a hundred studies. `bench certificate` has thousands of cases.
    assert!(cases >= 38 && within >= cases - 5, "{within} of {cases}");
}

/// `T = x + V(grad g)` with a small `g` is optimal for its cost: no slack, for the cost as it is. With the displacement the wrong way round there is some.
#[test]
fn a_wrong_sign_of_an_uneven_cost_is_seen() {
    let d = 2;
    let potential = network(d, 0.7, 3, 1.7, &Uneven);
    let step = |sign: f64| {
        let potential = &potential;
        Rows(d, move |x: &[f64]| {
            let h = 1e-5;
            let q: Vec<f64> = (0..d)
                .map(|k| {
                    let at = |s: f64| {
                        let mut z = x.to_vec();
                        z[k] += s * h;
                        potential.values(&z).unwrap()[0]
                    };
                    (at(1.0) - at(-1.0)) / (2.0 * h)
                })
                .collect();
            let mut v = vec![0.0; d];
            Uneven.velocity(&q.iter().map(|q| sign * q).collect::<Vec<_>>(), &mut v);
            x.iter().zip(v).map(|(x, v)| x + sign * v).collect()
        })
    };
    let x = normal(300, d, 1);
    let right = judge(
        &step(1.0),
        None,
        &potential,
        &x,
        &step(1.0).forward(&x).unwrap(),
    );
    let wrong = judge(&step(-1.0), None, &potential, &x, &x);
    let cost = right.optimality.cost.unwrap();
    assert!(cost > 1e-3);
    assert!(
        right.optimality.slack.unwrap() < 1e-8 * cost,
        "{:?}",
        right.optimality
    );
    assert!(
        wrong.optimality.slack.unwrap() > 1e-2 * cost,
        "{:?}",
        wrong.optimality
    );
    assert!(right.convexity.is_none());
}

/// A convex potential: one hidden layer of softplus with positive output weights. Then `g(x') + l(y - x')` is convex, and `x + V(grad g(x))` optimal for every convex cost.
fn convex(d: usize, seed: u64, cost: &dyn Cost) -> SourcePotential {
    let layers = Family::Mlp
        .layers(&[10], Activation::Softplus { beta: 2.0 })
        .unwrap();
    let shape = Shape { dim: d, layers };
    let mut potential = WarmPotential::<f64>::new(Isa::current(), shape.clone(), None);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut theta: Vec<f64> = (0..potential.parameters())
        .map(|_| 0.9 * rng.random_range(-1.0..1.0))
        .collect();
    for (name, offset, sides) in shape.tensors() {
        if name.starts_with("output.") {
            let n: usize = sides.iter().product();
            theta[offset..offset + n]
                .iter_mut()
                .for_each(|w| *w = w.abs());
        }
    }
    potential.set_parameters(&theta);
    let scaling = Scaling {
        shift: vec![0.3; d],
        scale: 1.7,
    };
    SourcePotential::new(potential, scaling, cost).unwrap()
}

/// The certificate knows the optimal map of every cost from its potential, and tells it from the map of the potential under the quadratic cost.
#[test]
fn every_cost_has_its_own_optimal_map() {
    let d = 2;
    for cost in costs(d) {
        let potential = convex(d, 5, cost.as_ref());
        let gradient = |x: &[f64]| -> Vec<f64> {
            let h = 1e-5;
            let at = |k: usize, s: f64| {
                let mut z = x.to_vec();
                z[k] += s * h;
                potential.values(&z).unwrap()[0]
            };
            (0..d)
                .map(|k| (at(k, 1.0) - at(k, -1.0)) / (2.0 * h))
                .collect()
        };
        let right = Rows(d, |x: &[f64]| {
            let mut v = vec![0.0; d];
            cost.velocity(&gradient(x), &mut v);
            x.iter().zip(v).map(|(x, v)| x + v).collect()
        });
        let straight = Rows(d, |x: &[f64]| {
            x.iter()
                .zip(gradient(x))
                .map(|(x, q)| x + 0.5 * q)
                .collect()
        });
        let x = normal(200, d, 1);
        let y = right.forward(&x).unwrap();
        let good = judge(&right, None, &potential, &x, &y);
        let o = &good.optimality;
        let paid = o.cost.unwrap();
        assert!(paid > 1e-2, "{cost:?}: nothing moves");
        assert!(o.slack.unwrap() < 1e-7 * paid, "{cost:?} {o:?}");
        assert!(o.on_surface == 0.0, "{cost:?} {o:?}");
        let other = judge(&straight, None, &potential, &x, &y).optimality;
        assert!(
            other.slack.unwrap() > 1e-3 * other.cost.unwrap(),
            "{cost:?} {other:?}"
        );
        let quadratic_inside = cost.rescaled(1.0).name() == "quadratic";
        assert_eq!(good.convexity.is_some(), quadratic_inside);
    }
}

fn pair() -> GaussianMap {
    GaussianMap::new(
        &[0.3, -1.0],
        &[1.0, 0.4, 0.4, 0.8],
        &[1.0, 0.5],
        &[0.6, -0.2, -0.2, 1.5],
    )
    .unwrap()
}

/// Source and target points of [`pair`].
fn clouds(n: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
    let source = |seed| -> Vec<f64> {
        let z = normal(n, 2, seed);
        z.chunks_exact(2)
            .flat_map(|z| [0.3 + z[0], -1.0 + 0.4 * z[0] + 0.8 * z[1]])
            .collect()
    };
    let (x, y) = (source(seed), source(seed + 1));
    (x, pair().forward(&y).unwrap())
}

#[test]
fn an_exact_map_is_good_and_others_are_bad() {
    let map = pair();
    let potential = SourcePotential::of_gaussian(&map);
    let (x, y) = clouds(1000, 5);
    let good = judge(&map, Some(&map), &potential, &x, &y);
    assert_eq!(good.verdict, Verdict::Good, "{good}");
    let o = &good.optimality;
    assert!(o.slack.unwrap() < 1e-9 && o.slack_quantile_95.unwrap() < 1e-9);
    // Three points in a thousand may be anywhere: no sample shows them.
    let unseen = 3.0 / 1000.0 * o.slack_misplaced.unwrap();
    assert!(
        (0.85..1.15).contains(&(o.slack_upper.unwrap() / unseen)),
        "{good}"
    );
    assert_eq!(good.optimality.search_missed, 0.0);
    assert_eq!(good.convexity.as_ref().unwrap().share_not_convex, Some(0.0));
    let sentence = good.sentence();
    assert!(
        sentence.starts_with("On 1000 + 1000 points held out of the fit, this map costs at most")
            && sentence.contains("cannot be told from the target"),
        "{sentence}"
    );
    let value = &good.value;
    assert!(
        (value.dual.unwrap() - good.optimality.cost.unwrap()).abs()
            < 4.0 * value.standard_error.unwrap()
    );

    let mirrored = MirroredGaussianMap::new(&map);
    let identity = IdentityMap::new(2);
    let shuffled = Whole(2, |x: &[f64]| {
        let mut rows: Vec<Vec<f64>> = pair()
            .forward(x)
            .unwrap()
            .chunks(2)
            .map(<[f64]>::to_vec)
            .collect();
        rows.shuffle(&mut ChaCha8Rng::seed_from_u64(3));
        rows.concat()
    });
    for (bad, optimal, reaches) in [
        (&mirrored as &dyn ForwardMap, false, true),
        (&identity, true, false),
        (&shuffled, false, true),
    ] {
        let c = judge(bad, None, &potential, &x, &y);
        assert_eq!(c.verdict, Verdict::Bad, "{c}");
        if !optimal {
            assert!(c.sentence().contains("not near optimal"), "{c}");
        }
        assert_eq!(
            c.sentence().contains("does not reach the target"),
            !reaches,
            "{c}"
        );
    }
    // A potential that has nothing to do with the map.
    let c = judge(&map, None, &network(2, 3.0, 8, 1.0, &Quadratic), &x, &y);
    assert_eq!(c.verdict, Verdict::Bad, "{c}");
}

#[test]
fn what_cannot_be_said_is_not() {
    let map = pair();
    let potential = SourcePotential::of_gaussian(&map);
    let (x, y) = clouds(400, 9);
    // On the points of the fit nothing is better than limited.
    let c = certify(
        &map,
        Some(&map),
        &potential,
        &samples(&x, 2),
        &samples(&y, 2),
        &options(0, Origin::Fitted),
    )
    .unwrap();
    assert_eq!(c.verdict, Verdict::Limited, "{c}");
    assert!(
        c.sentence().contains("fitted to") && c.sentence().contains("may be worse"),
        "{c}"
    );
    // Thirty points, and a linear map fitted to them.
    let small = [samples(&x[..60], 2), samples(&y[..60], 2)];
    let fitted = GaussianMap::from_moments(&small[0].moments(), &small[1].moments()).unwrap();
    for origin in [Origin::Fitted, Origin::HeldOut, Origin::Given] {
        let c = certify(
            &fitted,
            Some(&fitted),
            &SourcePotential::of_gaussian(&fitted),
            &small[0],
            &small[1],
            &options(0, origin),
        )
        .unwrap();
        assert_eq!(c.verdict, Verdict::CannotSay, "{c}");
        assert!(c.sentence().contains("nothing can be said"), "{c}");
    }
    // Fitted class by class.
    let c = certify(
        &MirroredGaussianMap::new(&map),
        None,
        &potential,
        &samples(&x, 2),
        &samples(&y, 2),
        &Options {
            by_class: true,
            ..options(0, Origin::HeldOut)
        },
    )
    .unwrap();
    assert_eq!(c.verdict, Verdict::Limited, "{c}");
    assert!(
        c.sentence().contains("cannot be said")
            && c.notes.iter().any(|n| n.contains("class by class"))
    );
}

/// A model file's worth of map, untrained, on top of the linear map.
fn model(x: &Samples, y: &Samples, size: f32) -> CharacteristicMap {
    let d = x.dim();
    let mut config = Config::preset("auto", x.len(), y.len(), d).unwrap();
    config.set("network.hidden", "[8, 8]").unwrap();
    config.set("warm_start", "gaussian").unwrap();
    let shape = Shape {
        dim: d,
        layers: config.layers().unwrap(),
    };
    let theta: Vec<f32> = (0..shape.parameters())
        .map(|i| size * (i as f32 * 0.7).sin())
        .collect();
    let info = ModelInfo {
        kind: "model".into(),
        format: FORMAT_VERSION,
        charflow: "0".into(),
        dim: d,
        columns: None,
        classes: vec![],
        config,
        step: 1,
    };
    let (m0, m1) = (x.moments(), y.moments());
    let linear = GaussianMap::from_moments(&m0, &m1).unwrap();
    CharacteristicMap::new(info, Scaling::pooled(&m0, &m1), &theta, Some(linear)).unwrap()
}

#[test]
fn a_fitted_map_is_certified_by_its_own_potential_on_any_number_of_threads() {
    let (x, y) = clouds(300, 20);
    let (x, y) = (samples(&x, 2), samples(&y, 2));
    let map = model(&x, &y, 0.05);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| certify_map(&map, &x, &y, &options(4, Origin::HeldOut)).unwrap())
    };
    let (one, two) = (on(1), on(2));
    assert_eq!(one, two);
    assert_eq!(
        serde_json::to_string(&one).unwrap(),
        serde_json::to_string(&two).unwrap()
    );
    // The potential is that of the map: its dual and its slack are in the units of the cost.
    let o = &one.optimality;
    assert!(o.share.unwrap() < 0.01, "{one}");
    let evaluation = evaluate_on(Origin::HeldOut, &map, &x, &y, None, 4).unwrap();
    assert_eq!(evaluation.certificate.optimality, one.optimality);
    assert_eq!(evaluation.certificate.sentence, one.sentence);
    assert!(evaluation.to_string().starts_with(one.sentence()));
}

#[test]
fn bad_input_is_answered_in_words_without_a_nan() {
    let (x, y) = clouds(120, 30);
    let far: Vec<f64> = y.iter().map(|v| v + 1e6).collect();
    let ties = |n: usize, of: [f64; 3]| -> Vec<f64> {
        (0..n).flat_map(|i| [of[i % 3], of[(i / 3) % 3]]).collect()
    };
    let flat: Vec<f64> = x.chunks_exact(2).flat_map(|p| [p[0], 7.0]).collect();
    let flat_too: Vec<f64> = y.chunks_exact(2).flat_map(|p| [p[0], 7.0]).collect();
    let some = |p: &[f64], n: usize| p[..2 * n].to_vec();
    let cases: Vec<(&str, Vec<f64>, Vec<f64>)> = vec![
        ("two points", some(&x, 2), some(&y, 2)),
        ("two equal points", vec![1.0; 4], vec![1.0; 4]),
        ("five points", some(&x, 5), some(&y, 5)),
        ("unequal sizes", some(&x, 60), y.clone()),
        ("the same cloud", x.clone(), x.clone()),
        ("one value", vec![2.0; 240], vec![2.0; 240]),
        ("one value to another", vec![2.0; 240], vec![5.0; 240]),
        ("far apart", x.clone(), far),
        (
            "ties",
            ties(120, [0.0, 1.0, 2.0]),
            ties(120, [0.0, 1.0, 5.0]),
        ),
        ("a constant feature", flat, flat_too),
    ];
    for (name, x, y) in cases {
        for weighted in [false, true] {
            let side = |p: &[f64]| {
                let s = samples(p, 2);
                let n = s.len();
                if weighted {
                    s.with_weights(
                        (0..n)
                            .map(|i| (i % 3) as f64 + if i == 0 { 1.0 } else { 0.0 })
                            .collect(),
                    )
                    .unwrap()
                } else {
                    s
                }
            };
            let (x, y) = (side(&x), side(&y));
            let map = model(&x, &y, 0.02);
            let e = evaluate(&map, &x, &y, None, 1).unwrap();
            let c = &e.certificate;
            let text = format!("{e}");
            assert!(
                !text.contains("NaN") && !text.contains("inf "),
                "{name}: {text}"
            );
            let o = &c.optimality;
            for v in [
                o.on_surface,
                o.not_converged,
                o.search_missed,
                o.search_missed_upper,
            ] {
                assert!((0.0..=1.0).contains(&v), "{name}");
            }
            if x.len().min(y.len()) < 50 {
                assert_eq!(c.verdict, Verdict::CannotSay, "{name}: {text}");
            }
            assert!(!c.sentence().is_empty());
            match name {
                "the same cloud" => {
                    assert!(c.sentence().contains("so alike"), "{name}: {text}");
                    assert_ne!(c.verdict, Verdict::Good, "{name}: {text}");
                }
                "one value" | "one value to another" => {
                    assert!(c.sentence().contains("all the same"), "{name}: {text}");
                    assert_eq!(c.verdict, Verdict::CannotSay, "{name}: {text}");
                    assert!(e.cycle_forward.is_none() && e.residual.is_none_or(f64::is_finite));
                }
                _ => {}
            }
        }
    }
    let one = samples(&[1.0, 2.0], 2);
    let (x, y) = (samples(&x, 2), samples(&y, 2));
    let map = pair();
    let potential = SourcePotential::of_gaussian(&map);
    let e = certify(&map, None, &potential, &one, &y, &Options::default()).unwrap_err();
    assert!(e.to_string().contains("one point"), "{e}");
    let e = certify(
        &IdentityMap::new(3),
        None,
        &potential,
        &x,
        &y,
        &Options::default(),
    )
    .unwrap_err();
    assert!(e.to_string().contains("the forward map has 3"), "{e}");
}

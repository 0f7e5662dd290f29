//! Every parameter gradient against central differences in `f64`, for every network and every loss; `f32` against `f64`.

mod common;

use charflow::characteristic::conjugate::Search;
use charflow::cost::{Cost, Quadratic};
use charflow::exact::{GaussianMap, Translation};
use charflow::loss::{Batch, DualWeights, Group, LossWeights, Objective};
use charflow::potential::network::initial_parameters;
use charflow::potential::{
    BLOCK, ClosedForm, Family, Isa, Network, Potential, Scalar, Shape, WarmPotential,
};
use charflow_kernels::activation::Activation;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const OFF: LossWeights = LossWeights {
    hj: 0.0,
    hj_terminal: 0.0,
    pde: 0.0,
    energy: 0.0,
    dual: DualWeights::OFF,
};

/// `sum_i v_i^4 / 4 + |v|^2 / 2`'s dual is not in closed form, so a cost given by its Hamiltonian: `H(q) = |q|^2 / 2 + sum log cosh q_i`.
/// Only what the gradients need is right; `l` comes from Fenchel's equality at `V(q)` by a few Newton steps.
#[derive(Debug)]
struct Bent;

impl Cost for Bent {
    fn name(&self) -> String {
        "bent".into()
    }
    fn l(&self, v: &[f64]) -> f64 {
        v.iter()
            .map(|&v| {
                let mut q = v / 2.0;
                for _ in 0..60 {
                    let c = 1.0 / q.cosh().powi(2);
                    q -= (q + q.tanh() - v) / (1.0 + c);
                }
                q * v - (q * q / 2.0 + q.cosh().ln())
            })
            .sum()
    }
    fn hamiltonian(&self, q: &[f64]) -> f64 {
        q.iter().map(|q| q * q / 2.0 + q.cosh().ln()).sum()
    }
    fn velocity(&self, q: &[f64], out: &mut [f64]) {
        for (o, q) in out.iter_mut().zip(q) {
            *o = q + q.tanh();
        }
    }
    fn hessian_vec(&self, q: &[f64], w: &[f64], out: &mut [f64]) {
        for i in 0..q.len() {
            out[i] = (1.0 + 1.0 / q[i].cosh().powi(2)) * w[i];
        }
    }
    fn rescaled(&self, _: f64) -> Box<dyn Cost> {
        Box::new(Bent)
    }
    fn cost_factor(&self, _: f64) -> f64 {
        1.0
    }
}

fn networks(dim: usize) -> Vec<(String, Shape)> {
    let mut list = Vec::new();
    for (family, hidden) in [
        (Family::Mlp, vec![19, 33]),
        (Family::Mlp, vec![16, 16, 16]),
        (Family::ResNet, vec![21, 21]),
        (Family::Dense, vec![18, 35, 7]),
    ] {
        for activation in [
            Activation::Softplus { beta: 2.0 },
            Activation::Tanh,
            Activation::Celu,
        ] {
            list.push((
                format!("{} {hidden:?} {activation:?} d={dim}", family.name()),
                Shape {
                    dim,
                    layers: family.layers(&hidden, activation).unwrap(),
                },
            ));
        }
    }
    list
}

fn losses() -> Vec<(&'static str, LossWeights)> {
    vec![
        ("hj", LossWeights { hj: 1.3, ..OFF }),
        (
            "terminal",
            LossWeights {
                hj_terminal: 0.7,
                ..OFF
            },
        ),
        ("pde", LossWeights { pde: 1.0, ..OFF }),
        ("energy", LossWeights { energy: 2.0, ..OFF }),
        (
            "all",
            LossWeights {
                hj: 0.3,
                hj_terminal: 0.4,
                pde: 0.2,
                energy: 1.0,
                dual: DualWeights::OFF,
            },
        ),
        ("dual, source's end", dual(1.0, 0.0, 0.0, 0.0)),
        (
            "all and the dual",
            LossWeights {
                hj: 0.3,
                energy: 0.5,
                ..dual(1.0, 0.5, 2.0, 0.6)
            },
        ),
    ]
}

/// Dual terms with a search of no step: what is found is the map's own guess, on every number type alike.
fn dual(source: f64, target: f64, tie: f64, tie_value: f64) -> LossWeights {
    LossWeights {
        dual: DualWeights {
            source,
            target,
            tie,
            tie_value,
            search: Search {
                evaluations: 1,
                tolerance: 1e-9,
                radius: f64::INFINITY,
            },
        },
        ..OFF
    }
}

/// Weighted samples in two classes of uneven sizes, none a multiple of 48, and some collocation points.
fn batch<T: Scalar>(d: usize) -> Batch<T> {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut cloud = |n: usize, shift: f64| -> Vec<T> {
        (0..n * d)
            .map(|_| T::of(shift + rng.random_range(-1.5..1.5)))
            .collect()
    };
    let (source, target, points) = (cloud(61, 0.2), cloud(53, -0.1), cloud(50, 0.0));
    let times = (0..50).map(|i| T::of(f64::from(i) / 49.0)).collect();
    let weights = |sizes: [usize; 2]| -> Vec<T> {
        sizes
            .iter()
            .flat_map(|&n| {
                let raw: Vec<f64> = (0..n).map(|i| 1.0 + (i % 3) as f64).collect();
                let sum: f64 = raw.iter().sum();
                raw.into_iter().map(move |w| T::of(w / sum))
            })
            .collect()
    };
    Batch {
        source,
        target,
        source_weights: weights([20, 41]),
        target_weights: weights([33, 20]),
        groups: vec![
            Group {
                source: 0..20,
                target: 0..33,
            },
            Group {
                source: 20..61,
                target: 33..53,
            },
        ],
        points,
        times,
        from_source: vec![],
        from_target: vec![],
    }
}

fn gradient<T: Scalar>(
    shape: &Shape,
    theta: &[f64],
    weights: LossWeights,
    cost: &dyn Cost,
    batch: &Batch<T>,
) -> (f64, Vec<f64>) {
    let mut network = Network::<T>::new(Isa::current(), shape.clone());
    let rounded: Vec<T> = theta.iter().map(|&x| T::of(x)).collect();
    network.set_parameters(&rounded);
    let mut objective = Objective::new(&network, weights);
    let mut gradient = vec![T::ZERO; network.parameters()];
    let values = objective.evaluate(&network, cost, batch, Some(&mut gradient), true);
    (values.total, gradient.iter().map(|g| g.f64()).collect())
}

fn value(
    shape: &Shape,
    held_at: &[f64],
    theta: &[f64],
    weights: LossWeights,
    cost: &dyn Cost,
    batch: &Batch<f64>,
) -> f64 {
    let mut network = Network::<f64>::new(Isa::current(), shape.clone());
    network.set_parameters(held_at);
    let mut objective = Objective::new(&network, weights);
    // What the dual searches find is held fixed under differentiation: the points found are those of `held_at`.
    objective.evaluate(&network, cost, batch, None, true);
    objective.hold_found(true);
    network.set_parameters(theta);
    objective.evaluate(&network, cost, batch, None, true).total
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|a| a * a).sum::<f64>().sqrt()
}

/// How far single precision may be off: a share of the gradient.
const SINGLE: f64 = 2e-5;

/// Directional derivatives along a few random directions and along single parameters of each kind, by a five-point stencil.
fn check_gradients(cost: &dyn Cost, d: usize, single_off: f64) {
    let batch64 = batch::<f64>(d);
    let batch32 = batch::<f32>(d);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (name, shape) in networks(d) {
        let theta = initial_parameters(&shape, 3);
        for (loss, weights) in losses() {
            let (_, exact) = gradient::<f64>(&shape, &theta, weights, cost, &batch64);
            let size = norm(&exact);
            assert!(
                size > 1e-8,
                "{name} {loss}: a gradient of zero shows nothing"
            );
            let along = |direction: &[f64]| {
                let at = |h: f64| {
                    let moved: Vec<f64> = theta
                        .iter()
                        .zip(direction)
                        .map(|(a, b)| a + h * b)
                        .collect();
                    value(&shape, &theta, &moved, weights, cost, &batch64)
                };
                // A celu's second derivative jumps at zero: the loss has kinks, and only a step so small that no sample meets one will do.
                // So has the elastic cost, where a momentum passes gamma, and the uneven one at rest.
                let kinks =
                    name.contains("Celu") || ["elastic:0.1", "uneven"].contains(&&*cost.name());
                let step = if kinks { 1e-7 } else { 3e-5 };
                let h = step / norm(direction).max(1.0);
                (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h)
            };
            let mut directions: Vec<Vec<f64>> = (0..3)
                .map(|_| {
                    (0..theta.len())
                        .map(|_| rng.random_range(-1.0..1.0))
                        .collect()
                })
                .collect();
            for (_, offset, dims) in shape.tensors() {
                let n: usize = dims.iter().product();
                let mut unit = vec![0.0; theta.len()];
                unit[offset + rng.random_range(0..n)] = 1.0;
                directions.push(unit);
            }
            for direction in &directions {
                let found: f64 = exact.iter().zip(direction).map(|(a, b)| a * b).sum();
                let expected = along(direction);
                let scale = size * norm(direction);
                assert!(
                    (found - expected).abs() <= 1e-6 * scale.max(1e-3),
                    "{name} {loss}: {found} against {expected}, gradient of size {size}"
                );
            }
            let (_, single) = gradient::<f32>(&shape, &theta, weights, cost, &batch32);
            let difference: Vec<f64> = single.iter().zip(&exact).map(|(a, b)| a - b).collect();
            assert!(
                norm(&difference) <= single_off * size,
                "{name} {loss}: f32 is {} off",
                norm(&difference) / size
            );
        }
    }
}

#[test]
fn gradients_are_differences_in_two_dimensions() {
    check_gradients(&Quadratic, 2, SINGLE);
}

#[test]
fn gradients_are_differences_in_seven_dimensions() {
    check_gradients(&Quadratic, 7, SINGLE);
}

#[test]
fn gradients_are_differences_for_a_cost_that_bends() {
    check_gradients(&Bent, 3, SINGLE);
}

#[test]
fn gradients_are_differences_for_every_cost() {
    for cost in common::costs(3).into_iter().skip(1) {
        // Where H'' grows without bound towards rest, or jumps, the rounding of a momentum shows in it.
        let rough = ["norm-power:3", "power:3", "elastic:0.1", "uneven"];
        let single = if rough.contains(&&*cost.name()) {
            3e-3
        } else {
            SINGLE
        };
        check_gradients(cost.as_ref(), 3, single);
    }
}

/// The tie alone, to points that a search of a few steps found away from where the maps point: its gradient is that of Fenchel's gap with the points held.
#[test]
fn the_tie_pulls_the_maps_to_the_points_found() {
    let d = 3;
    let b = batch::<f64>(d);
    for cost in common::costs(d) {
        let (_, shape) = &networks(d)[0];
        let theta: Vec<f64> = initial_parameters(shape, 3)
            .iter()
            .map(|x| 2.0 * x)
            .collect();
        let mut network = Network::<f64>::new(Isa::current(), shape.clone());
        network.set_parameters(&theta);
        let mut weights = dual(1e-12, 1e-12, 1.0, 0.0);
        weights.dual.search.evaluations = 4;
        let mut objective = Objective::new(&network, weights);
        let mut exact = vec![0.0; network.parameters()];
        let values = objective.evaluate(&network, cost.as_ref(), &b, Some(&mut exact), true);
        assert!(values.dual.tie > 1e-4, "{cost:?}: {values:?}");
        assert!(norm(&exact) > 1e-3, "{cost:?}: {}", norm(&exact));
        objective.hold_found(true);
        let mut at = |moved: &[f64]| {
            network.set_parameters(moved);
            objective
                .evaluate(&network, cost.as_ref(), &b, None, true)
                .total
        };
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for _ in 0..4 {
            let direction: Vec<f64> = theta.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
            let mut step = |h: f64| {
                let moved: Vec<f64> = theta
                    .iter()
                    .zip(&direction)
                    .map(|(a, b)| a + h * b)
                    .collect();
                at(&moved)
            };
            let h = 1e-7;
            let expected = (step(h) - step(-h)) / (2.0 * h);
            let found: f64 = exact.iter().zip(&direction).map(|(a, b)| a * b).sum();
            assert!(
                (found - expected).abs() < 1e-5 * norm(&exact) * norm(&direction),
                "{cost:?}: {found} {expected}"
            );
        }
    }
}

/// The potential of a shift by `a` on a cloud and its shift, for every cost, the uneven one among them, and in either direction: all that is said of it in closed form. A
/// wrong sign in a map, a residual, a search or a tie turns `l(a)` into `l(-a)` or moves a point the wrong way.
#[test]
fn everything_about_a_shift_is_exact() {
    let d = 3;
    let shape = Shape {
        dim: d,
        layers: Family::Mlp
            .layers(&[5], Activation::Softplus { beta: 1.0 })
            .unwrap(),
    };
    for cost in common::costs(d) {
        for sign in [1.0, -1.0] {
            let shift: Vec<f64> = [0.5, -0.9, 0.7].iter().map(|a| sign * a).collect();
            let l = cost.l(&shift);
            let map = Translation::between(&[0.0; 3], &shift, cost.as_ref());
            let potential = WarmPotential::<f64>::new(
                Isa::current(),
                shape.clone(),
                Some(ClosedForm::Translation(map)),
            );
            let mut weights = dual(1.0, 1.0, 1.0, 1.0);
            weights.dual.search.evaluations = 60;
            (weights.hj, weights.hj_terminal, weights.pde) = (1.0, 1.0, 1.0);
            weights.energy = 1.0;
            let plain = batch::<f64>(d);
            let n = plain.source.len() / d;
            let target: Vec<f64> = plain
                .source
                .iter()
                .enumerate()
                .map(|(i, x)| x + shift[i % d])
                .collect();
            let b = Batch {
                target: target.clone(),
                source_weights: vec![],
                target_weights: vec![],
                groups: vec![Group {
                    source: 0..n,
                    target: 0..n,
                }],
                from_source: (0..20).map(|i| (i, 0.05 * f64::from(i))).collect(),
                from_target: (0..20).map(|i| (i, 0.05 * f64::from(i))).collect(),
                ..plain
            };
            let mut objective = Objective::new(&potential, weights);
            let values = objective.evaluate(&potential, cost.as_ref(), &b, None, true);
            let near = 1e-7 * (1.0 + l);
            assert!(
                (values.dual.source - l).abs() < near,
                "{cost:?} {sign} {values:?}"
            );
            assert!(
                (values.dual.target - l).abs() < near,
                "{cost:?} {sign} {values:?}"
            );
            assert!(values.dual.tie.abs() < 1e-8, "{cost:?} {sign} {values:?}");
            assert!(values.dual.tie_value < 1e-8, "{cost:?} {sign} {values:?}");
            for residual in [values.hj, values.hj_terminal, values.pde] {
                assert!(residual < 1e-12, "{cost:?} {sign} {values:?}");
            }
            // The pushed source is the target, point by point: the U-statistic of a cloud with itself.
            let itself = charflow::loss::energy_distance(&target, None, &target, None, d);
            assert!(
                (values.ed_forward - itself).abs() < 1e-6,
                "{cost:?} {sign} {values:?}"
            );
            let itself = charflow::loss::energy_distance(&b.source, None, &b.source, None, d);
            assert!(
                (values.ed_backward - itself).abs() < 1e-6,
                "{cost:?} {sign} {values:?}"
            );
        }
    }
}

#[test]
fn value_and_gradient_of_the_potential_are_differences() {
    for (name, shape) in networks(3) {
        let mut network = Network::<f64>::new(Isa::current(), shape.clone());
        network.set_parameters(&initial_parameters(&shape, 7));
        let (mut tape, mut work) = (network.tape(), network.workspace());
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let x: Vec<f64> = (0..4 * BLOCK)
            .map(|_| rng.random_range(-1.0..1.0))
            .collect();
        let mut u = [0.0; BLOCK];
        let mut gradient = vec![0.0; 4 * BLOCK];
        network.forward(&x, &mut tape, &mut work, &mut u);
        network.reverse(&mut tape, &mut work, &mut gradient);
        for k in 0..4 {
            let h = 1e-5;
            let at = |h: f64| {
                let mut moved = x.clone();
                moved[k * BLOCK..(k + 1) * BLOCK]
                    .iter_mut()
                    .for_each(|a| *a += h);
                let mut u = [0.0; BLOCK];
                network.forward(
                    &moved,
                    &mut network.tape(),
                    &mut network.workspace(),
                    &mut u,
                );
                u
            };
            let (up, down) = (at(h), at(-h));
            for s in 0..BLOCK {
                let expected = (up[s] - down[s]) / (2.0 * h);
                assert!(
                    (gradient[k * BLOCK + s] - expected).abs() < 1e-8 * (1.0 + expected.abs()),
                    "{name} {k} {s}"
                );
            }
        }
    }
}

#[test]
fn the_gradient_is_the_same_on_any_number_of_threads() {
    let (_, shape) = &networks(2)[0];
    let theta = initial_parameters(shape, 3);
    let weights = losses()[4].1;
    let mut b = batch::<f32>(2);
    b.from_source = (0..40).map(|i| (i, 0.02 * i as f32)).collect();
    b.from_target = (0..30).map(|i| (i, 0.03 * i as f32)).collect();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| gradient::<f32>(shape, &theta, weights, &Quadratic, &b))
    };
    let one = on(1);
    for threads in [2, 3, 7] {
        assert_eq!(one, on(threads));
    }
}

/// The envelope theorem: with searches that are carried out, what is held fixed under differentiation makes no difference, for the dual value from either end. And the
/// value is that of the transforms: at most the cost of any coupling, and of the exact potential's own map exactly that.
#[test]
fn the_dual_value_is_ascended_along_its_gradient() {
    let d = 3;
    let spread = [1.0, 0.2, 0.0, 0.2, 0.7, 0.1, 0.0, 0.1, 0.5];
    let wide = [0.8, -0.1, 0.1, -0.1, 1.4, 0.0, 0.1, 0.0, 0.9];
    let map = GaussianMap::new(&[0.1, 0.0, -0.2], &spread, &[0.6, -0.3, 0.2], &wide).unwrap();
    let shape = Shape {
        dim: d,
        layers: Family::Dense
            .layers(&[9, 6], Activation::Softplus { beta: 1.0 })
            .unwrap(),
    };
    let theta: Vec<f64> = initial_parameters(&shape, 3)
        .iter()
        .map(|x| 0.3 * x)
        .collect();
    let b = Batch::<f64> {
        source_weights: vec![],
        target_weights: vec![],
        groups: vec![Group {
            source: 0..61,
            target: 0..53,
        }],
        ..batch(d)
    };
    for (source, target) in [(1.0, 0.0), (0.0, 1.0), (0.6, 0.9)] {
        let mut weights = dual(source, target, 0.0, 0.0);
        weights.dual.search.evaluations = 100;
        let mut potential = WarmPotential::new(
            Isa::current(),
            shape.clone(),
            Some(ClosedForm::Gaussian(map.potential())),
        );
        let mut objective = Objective::new(&potential, weights);
        let mut at = |theta: &[f64], gradient: Option<&mut [f64]>| {
            potential.set_parameters(theta);
            let values = objective.evaluate(&potential, &Quadratic, &b, gradient, true);
            assert!(values.dual.converged > 0.999 && values.dual.bends_down == 0.0);
            values.total
        };
        let mut gradient = vec![0.0; theta.len()];
        at(&theta, Some(&mut gradient));
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..5 {
            let direction: Vec<f64> = theta.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
            let mut moved = |h: f64| {
                let moved: Vec<f64> = theta
                    .iter()
                    .zip(&direction)
                    .map(|(a, b)| a + h * b)
                    .collect();
                at(&moved, None)
            };
            let h = 1e-4;
            let expected = (moved(h) - moved(-h)) / (2.0 * h);
            let found: f64 = gradient.iter().zip(&direction).map(|(a, b)| a * b).sum();
            let scale = norm(&gradient) * norm(&direction);
            assert!(
                (found - expected).abs() < 1e-6 * scale,
                "{found} {expected}"
            );
        }
    }
    // Without a network the potential is exact, and on pairs (x, T(x)) both values are the mean cost of the map.
    use charflow::map::ForwardMap;
    let images = map.forward(&b.source).unwrap();
    let n = b.source.len() / d;
    let pairs = Batch {
        target: images.clone(),
        groups: vec![Group {
            source: 0..n,
            target: 0..n,
        }],
        ..b
    };
    let mut weights = dual(1.0, 1.0, 1.0, 1.0);
    weights.dual.search.evaluations = 100;
    let potential = WarmPotential::new(
        Isa::current(),
        shape,
        Some(ClosedForm::Gaussian(map.potential())),
    );
    let values =
        Objective::new(&potential, weights).evaluate(&potential, &Quadratic, &pairs, None, true);
    let cost = pairs
        .source
        .iter()
        .zip(&images)
        .map(|(a, b)| 0.5 * (a - b).powi(2))
        .sum::<f64>()
        / n as f64;
    for found in [values.dual.source, values.dual.target] {
        assert!((found - cost).abs() < 1e-9, "{found} {cost}");
    }
    assert!(values.dual.tie < 1e-12 && values.dual.tie_value < 1e-12);
}

//! One training step in the two settings of the paper, and `transport`: `cargo bench --bench step`.
//!
//! What is counted as work: the matrix products that the formulas ask for (multiply and add are two), and the products of the distance
//! tiles. Activations, transposes, Adam, and everything else is not counted, so it lowers the share. In units of one evaluation of the
//! potential at one point (see `potential::network`): a sample in the energy distance costs 6, a collocation point 9. In the dual stage each evaluation of a search costs 2,
//! a point found 3, a sample 6; no energy distance is computed.
//! The peak is measured in the same run, by threads that do nothing but multiply-adds in registers; it is taken before and after.
//! On both sides the best spell counts: other work on the machine can only slow things down.

#![allow(clippy::print_stdout)]

use charflow::characteristic::conjugate::Search;
use charflow::cost::{Cost, Quadratic};
use charflow::loss::{Batch, DualWeights, Group, LossWeights, Objective};
use charflow::map::ForwardMap;
use charflow::model::{CharacteristicMap, FORMAT_VERSION, ModelInfo};
use charflow::potential::network::initial_parameters;
use charflow::potential::{Family, Isa, Network, Potential, Shape};
use charflow::samples::Scaling;
use charflow::solver::Config;
use charflow_kernels::activation::Activation;
use charflow_kernels::distance::DIRECT;
use charflow_kernels::lanes::{AdamStep, adam};
use charflow_kernels::peak::fma_rate;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;

struct Setting {
    name: &'static str,
    shape: Shape,
    collocation: usize,
    samples: usize,
    rounds: usize,
    /// Evaluations of a search; zero for the losses of the paper.
    searches: usize,
}

fn settings() -> Vec<Setting> {
    let softplus = |beta| Activation::Softplus { beta };
    let layers = |family: Family, hidden: &[usize], beta| {
        family.layers(hidden, softplus(beta)).expect("valid widths")
    };
    vec![
        Setting {
            name: "2-D, MLP 3-64x4-1",
            shape: Shape {
                dim: 2,
                layers: layers(Family::Mlp, &[64; 4], 5.0),
            },
            collocation: 1000,
            samples: 750,
            rounds: 150,
            searches: 0,
        },
        Setting {
            name: "64-D, Dense [128, 128, 64]",
            shape: Shape {
                dim: 64,
                layers: layers(Family::Dense, &[128, 128, 64], 1.0),
            },
            collocation: 1000,
            samples: 2000,
            rounds: 12,
            searches: 0,
        },
        Setting {
            name: "32-D, dual stage, Dense [128, 128, 64]",
            shape: Shape {
                dim: 32,
                layers: layers(Family::Dense, &[128, 128, 64], 1.0),
            },
            collocation: 250,
            samples: 750,
            rounds: 40,
            searches: 8,
        },
    ]
}

fn work(s: &Setting) -> f64 {
    let d = s.shape.dim as f64;
    let (n, k) = (s.samples as f64, s.collocation as f64);
    let units = 6.0 * 2.0 * n + 9.0 * k;
    let one = 2.0 * s.shape.multiply_adds() as f64;
    if s.searches > 0 {
        return one * (units + (2.0 * s.searches as f64 + 3.0) * n);
    }
    let network = one * units;
    // Each direction: moved against given and moved against moved. By products: one for the distances and one for the slopes. Directly: a subtraction, and a
    // multiply-add each for square and slope, in every coordinate.
    let pair = if s.shape.dim > DIRECT {
        4.0 * d
    } else {
        5.0 * d
    };
    network + 2.0 * 2.0 * n * n * pair
}

fn main() {
    let isa = Isa::current();
    println!("instruction set {}", isa.name());
    for s in settings() {
        let mut rates = Vec::new();
        for threads in [1, 2] {
            let before = fma_rate(isa, threads, 0.5);
            let seconds = step(&s, threads, &Quadratic);
            let peak = before.max(fma_rate(isa, threads, 0.5));
            let rate = work(&s) / seconds;
            println!(
                "{:<40} {threads} thread{}: {:7.2} ms/step, {:6.1} GFLOP/s, {:4.1} % of {:.1}",
                s.name,
                if threads == 1 { " " } else { "s" },
                1e3 * seconds,
                rate / 1e9,
                100.0 * rate / peak,
                peak / 1e9
            );
            rates.push(seconds);
        }
        println!(
            "{:<40} two threads are {:.2} times one",
            s.name,
            rates[0] / rates[1]
        );
    }
    other_costs();
    for threads in [1, 2] {
        transport(threads);
    }
}

/// Best seconds of a step (the peak is a best, too): evaluation, gradient, Adam, packing of the new parameters.
fn step(s: &Setting, threads: usize, cost: &dyn Cost) -> f64 {
    let d = s.shape.dim;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads");
    let mut network = Network::<f32>::new(Isa::current(), s.shape.clone());
    let mut theta: Vec<f32> = initial_parameters(&s.shape, 1)
        .iter()
        .map(|&x| x as f32)
        .collect();
    network.set_parameters(&theta);
    let dual = s.searches > 0;
    let weights = LossWeights {
        hj: 1.0,
        energy: if dual { 0.0 } else { 1.0 },
        dual: DualWeights {
            source: if dual { 1.0 } else { 0.0 },
            tie: 1.0,
            search: Search {
                evaluations: s.searches,
                // Never met: the search is as long as it can be.
                tolerance: 0.0,
                radius: f64::INFINITY,
            },
            ..DualWeights::OFF
        },
        ..LossWeights::default()
    };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut cloud =
        |n: usize| -> Vec<f32> { (0..n * d).map(|_| rng.random_range(-1.5..1.5)).collect() };
    let batch = Batch {
        source: cloud(s.samples),
        target: cloud(s.samples),
        groups: vec![Group {
            source: 0..s.samples,
            target: 0..s.samples,
        }],
        points: cloud(s.collocation),
        times: (0..s.collocation)
            .map(|i| i as f32 / s.collocation as f32)
            .collect(),
        ..Batch::default()
    };
    let mut objective = Objective::new(&network, weights);
    let mut gradient = vec![0.0; network.parameters()];
    let zero = || vec![0.0f32; theta.len()];
    let (mut m, mut v, mut ema) = (zero(), zero(), zero());
    let adam_step = AdamStep {
        beta1: 0.9,
        beta2: 0.99,
        clip: 1.0,
        rate: 1e-6,
        correction: 1.0,
        epsilon: 1e-8,
        ema_decay: 0.99,
    };
    let mut times: Vec<f64> = pool.install(|| {
        (0..s.rounds)
            .map(|_| {
                let started = Instant::now();
                objective.evaluate(&network, cost, &batch, Some(&mut gradient), false);
                adam(adam_step, &gradient, &mut theta, &mut m, &mut v, &mut ema);
                network.set_parameters(&theta);
                started.elapsed().as_secs_f64()
            })
            .collect()
    });
    times.sort_by(f64::total_cmp);
    times[0]
}

/// Step of the dual stage under other costs, beside that under the quadratic one just before.
fn other_costs() {
    let Some(s) = settings().into_iter().find(|s| s.searches > 0) else {
        return;
    };
    for name in [
        "elastic:0.1",
        "relativistic:9",
        "norm-power:1.5",
        "power:3",
        "power:2.5",
    ] {
        let cost = charflow::cost::parse(name).expect("a cost");
        let quadratic = step(&s, 2, &Quadratic);
        let seconds = step(&s, 2, cost.as_ref());
        println!(
            "{:<40} {name}: {:.2} times the step under the quadratic cost",
            s.name,
            seconds / quadratic
        );
    }
}

/// One million points through the 2-D model.
fn transport(threads: usize) {
    let isa = Isa::current();
    let d = 2;
    let n = 1_000_000;
    let config = Config::preset("paper-2d", n, n, d).expect("a preset");
    let info = ModelInfo {
        kind: "model".into(),
        format: FORMAT_VERSION,
        charflow: String::new(),
        dim: d,
        columns: None,
        classes: vec![],
        config: config.clone(),
        step: 0,
    };
    let shape = Shape {
        dim: d,
        layers: config.layers().expect("layers"),
    };
    let theta: Vec<f32> = initial_parameters(&shape, 1)
        .iter()
        .map(|&x| x as f32)
        .collect();
    let map = CharacteristicMap::new(info, Scaling::identity(d), &theta, None).expect("a map");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let x: Vec<f64> = (0..n * d).map(|_| rng.random_range(-1.5..1.5)).collect();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads");
    let before = fma_rate(isa, threads, 0.5);
    let mut times: Vec<f64> = (0..9)
        .map(|_| {
            let started = Instant::now();
            std::hint::black_box(pool.install(|| map.forward(&x)).expect("points"));
            started.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let peak = before.max(fma_rate(isa, threads, 0.5));
    // Value and gradient: two units a point.
    let rate = 4.0 * shape.multiply_adds() as f64 * n as f64 / times[0];
    println!(
        "transport of {n} points, {threads} thread{}: {:.3} s, {:.1} GFLOP/s, {:.1} % of {:.1}",
        if threads == 1 { " " } else { "s" },
        times[0],
        rate / 1e9,
        100.0 * rate / peak,
        peak / 1e9
    );
}

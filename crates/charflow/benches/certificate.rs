//! The certificate of a map at full size: `cargo bench --bench certificate`.
//!
//! 10,000 + 10,000 points in 50 dimensions, a dense network [100, 100, 50] on top of the linear map, untrained but for small random weights. Most of the time goes to the
//! searches for `g^c`, in double precision: their number of evaluations is what a rougher potential makes larger.

#![allow(clippy::print_stdout)]

use charflow::certificate::{Options, certify_map};
use charflow::exact::GaussianMap;
use charflow::model::{CharacteristicMap, FORMAT_VERSION, ModelInfo};
use charflow::potential::network::initial_parameters;
use charflow::potential::{Isa, Shape};
use charflow::samples::Scaling;
use charflow::solver::Config;
use charflow::{Error, Samples};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::time::Instant;

fn main() -> Result<(), Error> {
    let (n, d) = (10_000, 50);
    println!(
        "instruction set {}, {} threads",
        Isa::current().name(),
        rayon::current_num_threads()
    );
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut draw = |stretch: f64, shift: f64| -> Vec<f64> {
        (0..n * d)
            .map(|i| {
                let z: f64 = StandardNormal.sample(&mut rng);
                shift + (1.0 + stretch * (i % d) as f64 / d as f64) * z
            })
            .collect()
    };
    let source = Samples::from_f64(&draw(0.0, 0.0), d)?;
    let target = Samples::from_f64(&draw(1.0, 0.3), d)?;
    let (m0, m1) = (source.moments(), target.moments());
    for size in [0.0, 0.3] {
        let mut config = Config::preset("auto", n, n, d)?;
        config.set("network.kind", "\"dense\"")?;
        config.set("network.hidden", "[100, 100, 50]")?;
        config.set("warm_start", "\"gaussian\"")?;
        let shape = Shape {
            dim: d,
            layers: config.layers()?,
        };
        let theta: Vec<f32> = initial_parameters(&shape, 7)
            .iter()
            .map(|x| (size * x) as f32)
            .collect();
        let info = ModelInfo {
            kind: "model".into(),
            format: FORMAT_VERSION,
            charflow: "0".into(),
            dim: d,
            columns: None,
            classes: vec![],
            config,
            step: 0,
        };
        let map = CharacteristicMap::new(
            info,
            Scaling::pooled(&m0, &m1),
            &theta,
            Some(GaussianMap::from_moments(&m0, &m1)?),
        )?;
        let start = Instant::now();
        let certificate = certify_map(&map, &source, &target, &Options::default())?;
        println!(
            "network times {size}: {:.1} s\n{certificate}",
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

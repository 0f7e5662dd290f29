//! What several test files share.
#![allow(dead_code)] // each file uses its own part of it

use charflow::cost::Cost;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// `n` standard normal points, `[n, d]`.
pub fn normal(n: usize, d: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n * d)
        .map(|_| StandardNormal.sample(&mut rng))
        .collect()
}

/// `l(v) = sum v^2 / 2` where `v > 0`, `3 v^2 / 2` where `v < 0`: up is cheaper than down, so a wrong sign shows.
#[derive(Debug)]
pub struct Uneven;

fn weight(v: f64) -> f64 {
    if v > 0.0 { 1.0 } else { 3.0 }
}

impl Cost for Uneven {
    fn name(&self) -> String {
        "uneven".into()
    }
    fn l(&self, v: &[f64]) -> f64 {
        v.iter().map(|&v| 0.5 * weight(v) * v * v).sum()
    }
    fn hamiltonian(&self, q: &[f64]) -> f64 {
        q.iter().map(|&q| 0.5 * q * q / weight(q)).sum()
    }
    fn velocity(&self, q: &[f64], out: &mut [f64]) {
        for (o, &q) in out.iter_mut().zip(q) {
            *o = q / weight(q);
        }
    }
    fn hessian_vec(&self, q: &[f64], w: &[f64], out: &mut [f64]) {
        for ((o, &q), w) in out.iter_mut().zip(q).zip(w) {
            *o = w / weight(q);
        }
    }
    fn rescaled(&self, _: f64) -> Box<dyn Cost> {
        Box::new(Uneven)
    }
    fn cost_factor(&self, scale: f64) -> f64 {
        scale * scale
    }
}

/// Every cost of the library in `d` dimensions, and the uneven one.
pub fn costs(d: usize) -> Vec<Box<dyn Cost>> {
    let rows: Vec<String> = (0..d)
        .map(|i| {
            let row: Vec<String> = (0..d)
                .map(|j| match i.abs_diff(j) {
                    0 => (0.5 + i as f64).to_string(),
                    1 => "0.2".into(),
                    _ => "0".into(),
                })
                .collect();
            format!("[{}]", row.join(","))
        })
        .collect();
    let names = [
        "quadratic".to_string(),
        format!("mahalanobis:[{}]", rows.join(",")),
        "norm-power:1.5".into(),
        "norm-power:3".into(),
        "power:1.5".into(),
        "power:3".into(),
        "elastic:0.1".into(),
        "relativistic:2.0".into(),
    ];
    let mut costs: Vec<Box<dyn Cost>> = names
        .iter()
        .map(|name| charflow::cost::parse(name).unwrap())
        .collect();
    costs.push(Box::new(Uneven));
    costs
}

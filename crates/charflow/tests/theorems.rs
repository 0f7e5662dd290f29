//! The theorems as tests: the exact Gaussian potential has no residual of any kind, and the mirrored Gaussian map, which no energy distance can tell from
//! the truth, is rejected by the Hamilton-Jacobi loss (paper, Theorem 5.4).

use charflow::characteristic::flow::Velocity;
use charflow::characteristic::{implicit, pde};
use charflow::cost::Quadratic;
use charflow::exact::gaussian::MirroredGaussianMap;
use charflow::exact::{GaussianMap, GaussianPotential};
use charflow::loss::{Batch, Group, LossWeights, Objective, energy_distance};
use charflow::map::{BackwardMap, ForwardMap};
use charflow::potential::{BLOCK, Potential};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// A potential without parameters, given by its value and gradient at a point.
struct Given<F: Fn(&[f64], f64) -> (f64, Vec<f64>, f64) + Sync> {
    dim: usize,
    /// `(x, t)` to `(u, grad u, u_t)`.
    at: F,
}

impl<F: Fn(&[f64], f64) -> (f64, Vec<f64>, f64) + Sync> Potential<f64> for Given<F> {
    type Tape = Vec<f64>;
    type Workspace = ();
    fn dim(&self) -> usize {
        self.dim
    }
    fn parameters(&self) -> usize {
        0
    }
    fn accumulator_len(&self) -> usize {
        0
    }
    fn unpad(&self, _: &[f64], _: &mut [f64]) {}
    fn set_parameters(&mut self, _: &[f64]) {}
    fn tape(&self) -> Vec<f64> {
        vec![0.0; (self.dim + 1) * BLOCK]
    }
    fn workspace(&self) {}
    fn forward(&self, x: &[f64], tape: &mut Vec<f64>, (): &mut (), u: &mut [f64]) {
        tape.copy_from_slice(x);
        for s in 0..BLOCK {
            let point: Vec<f64> = (0..self.dim).map(|k| x[k * BLOCK + s]).collect();
            u[s] = (self.at)(&point, x[self.dim * BLOCK + s]).0;
        }
    }
    fn reverse(&self, tape: &mut Vec<f64>, (): &mut (), gradient: &mut [f64]) {
        for s in 0..BLOCK {
            let point: Vec<f64> = (0..self.dim).map(|k| tape[k * BLOCK + s]).collect();
            let (_, p, u_t) = (self.at)(&point, tape[self.dim * BLOCK + s]);
            for k in 0..self.dim {
                gradient[k * BLOCK + s] = p[k];
            }
            gradient[self.dim * BLOCK + s] = u_t;
        }
    }
    fn accumulate(
        &self,
        _: &mut Vec<f64>,
        (): &mut (),
        _: &[f64],
        _: Option<&[f64]>,
        _: &mut [f64],
    ) {
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

fn gaussian(n: usize, mean: &[f64], cov: &[f64; 4], seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let a = cov[0].sqrt();
    let b = cov[1] / a;
    let c = (cov[3] - b * b).sqrt();
    (0..n)
        .flat_map(|_| {
            let z: f64 = StandardNormal.sample(&mut rng);
            let w: f64 = StandardNormal.sample(&mut rng);
            [mean[0] + a * z, mean[1] + b * z + c * w]
        })
        .collect()
}

/// Points in a box around both clouds, and all times.
fn collocation(seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..3 * BLOCK)
        .map(|i| {
            if i < 2 * BLOCK {
                rng.random_range(-3.0..3.0)
            } else {
                rng.random_range(0.0..1.0)
            }
        })
        .collect()
}

/// Root mean squares of the two implicit residuals and of the equation's.
fn residuals<P: Potential<f64>>(potential: &P) -> [f64; 3] {
    let velocity = Velocity::new(&Quadratic, 2);
    let weight = [1.0 / BLOCK as f64; BLOCK];
    let x = collocation(4);
    let mut work = potential.workspace();
    let (squares, _) = implicit::block(
        potential,
        velocity,
        &x,
        &weight,
        [1.0, 1.0],
        None,
        &mut work,
        &mut implicit::ImplicitWork::new(potential),
    );
    let pde = pde::block(
        potential,
        velocity,
        &x,
        &weight,
        1.0,
        None,
        &mut work,
        &mut pde::PdeWork::new(potential),
    );
    [squares[0].sqrt(), squares[1].sqrt(), pde.sqrt()]
}

#[allow(clippy::type_complexity)] // a closure type, written once
fn exact(
    potential: &GaussianPotential,
) -> Given<impl Fn(&[f64], f64) -> (f64, Vec<f64>, f64) + Sync + '_> {
    Given {
        dim: 2,
        at: move |x, t| {
            let mut p = vec![0.0; 2];
            potential.grad_x(x, t, &mut p);
            (potential.value(x, t), p, potential.u_t(x, t))
        },
    }
}

#[test]
fn the_exact_potential_has_no_residual_and_no_mismatch() {
    let map = pair();
    let potential = map.potential();
    let given = exact(&potential);
    for r in residuals(&given) {
        assert!(r < 1e-12, "{r}");
    }
    // And its maps, read off by the objective, are the closed form's: the mismatch is that of T(x) and S(y).
    let x = gaussian(400, &[0.3, -1.0], &[1.0, 0.4, 0.4, 0.8], 1);
    let y = gaussian(300, &[1.0, 0.5], &[0.6, -0.2, -0.2, 1.5], 2);
    let weights = LossWeights {
        hj: 0.0,
        hj_terminal: 0.0,
        pde: 0.0,
        energy: 1.0,
        ..LossWeights::default()
    };
    let batch = Batch {
        source: x.clone(),
        target: y.clone(),
        groups: vec![Group {
            source: 0..400,
            target: 0..300,
        }],
        ..Batch::default()
    };
    let values = Objective::new(&given, weights).evaluate(&given, &Quadratic, &batch, None, true);
    let forward = energy_distance(&map.forward(&x).unwrap(), None, &y, None, 2);
    let backward = energy_distance(&map.backward(&y).unwrap(), None, &x, None, 2);
    assert!((values.ed_forward - forward).abs() < 1e-12);
    assert!((values.ed_backward - backward).abs() < 1e-12);
}

#[test]
fn a_wrong_time_or_sign_in_the_exact_potential_is_seen() {
    let potential = pair().potential();
    let slow = Given {
        dim: 2,
        at: |x: &[f64], t: f64| {
            let mut p = vec![0.0; 2];
            potential.grad_x(x, 0.9 * t, &mut p);
            (
                potential.value(x, 0.9 * t),
                p,
                0.9 * potential.u_t(x, 0.9 * t),
            )
        },
    };
    let flipped = Given {
        dim: 2,
        at: |x: &[f64], t: f64| {
            let mut p = vec![0.0; 2];
            potential.grad_x(x, t, &mut p);
            (
                -potential.value(x, t),
                vec![-p[0], -p[1]],
                -potential.u_t(x, t),
            )
        },
    };
    for r in residuals(&slow).into_iter().chain(residuals(&flipped)) {
        assert!(r > 0.01, "{r}");
    }
}

#[test]
fn the_mirrored_map_fools_the_energy_distance_and_not_the_residual() {
    let map = pair();
    let mirrored = MirroredGaussianMap::new(&map);
    let x = gaussian(3000, &[0.3, -1.0], &[1.0, 0.4, 0.4, 0.8], 3);
    let y = gaussian(3000, &[1.0, 0.5], &[0.6, -0.2, -0.2, 1.5], 4);
    let mismatch = |image: Vec<f64>, to: &[f64]| energy_distance(&image, None, to, None, 2).abs();
    // Two draws of one law of this size are at most about 0.002 apart; the clouds themselves are 0.9 apart.
    assert!(energy_distance(&x, None, &y, None, 2) > 0.5);
    assert!(mismatch(map.forward(&x).unwrap(), &y) < 0.004);
    assert!(mismatch(mirrored.forward(&x).unwrap(), &y) < 0.004);
    assert!(mismatch(mirrored.backward(&y).unwrap(), &x) < 0.004);
    // The mirrored map costs more.
    let cost = |image: Vec<f64>| {
        image
            .iter()
            .zip(&x)
            .map(|(a, b)| 0.5 * (a - b).powi(2))
            .sum::<f64>()
            / 3000.0
    };
    assert!(cost(mirrored.forward(&x).unwrap()) > 2.0 * cost(map.forward(&x).unwrap()));

    // A smooth potential with the mirrored maps at both ends: u = (1 - t) q0 + t q1 with grad q0 = M(x) - x and grad q1 = y - M^{-1}(y). Its energy distances
    // are those of the mirrored map, so they cannot object; every form of the Hamilton-Jacobi loss does.
    let (m0, m1, a) = (
        map.source_mean().to_vec(),
        map.target_mean().to_vec(),
        map.matrix(),
    );
    let det = a[0] * a[3] - a[1] * a[2];
    let inverse = [a[3] / det, -a[1] / det, -a[2] / det, a[0] / det];
    let quadratic = |matrix: &[f64], z: &[f64]| -> ([f64; 2], f64) {
        let v = [
            matrix[0] * z[0] + matrix[1] * z[1],
            matrix[2] * z[0] + matrix[3] * z[1],
        ];
        (v, 0.5 * (v[0] * z[0] + v[1] * z[1]))
    };
    let given = Given {
        dim: 2,
        at: |x: &[f64], t: f64| {
            let (z0, z1) = ([x[0] - m0[0], x[1] - m0[1]], [x[0] - m1[0], x[1] - m1[1]]);
            // M(x) - x = m1 - A z0 - x, the gradient of m1.x - z0'A z0/2 - |x|^2/2; x - M^{-1}(x) = x - m0 + A^{-1} z1.
            let (az, az2) = quadratic(&a, &z0);
            let (bz, bz2) = quadratic(&inverse, &z1);
            let norm = 0.5 * (x[0] * x[0] + x[1] * x[1]);
            let q0 = m1[0] * x[0] + m1[1] * x[1] - az2 - norm;
            let q1 = norm - m0[0] * x[0] - m0[1] * x[1] + bz2;
            let p = (0..2)
                .map(|k| (1.0 - t) * (m1[k] - az[k] - x[k]) + t * (x[k] - m0[k] + bz[k]))
                .collect();
            ((1.0 - t) * q0 + t * q1, p, q1 - q0)
        },
    };
    // Its maps are the mirrored ones.
    let (mut tape, mut p) = (given.tape(), vec![0.0; 3 * BLOCK]);
    let mut block = collocation(9);
    block[2 * BLOCK..].fill(0.0);
    given.forward(&block, &mut tape, &mut (), &mut [0.0; BLOCK]);
    given.reverse(&mut tape, &mut (), &mut p);
    for s in 0..BLOCK {
        let image = mirrored.forward(&[block[s], block[BLOCK + s]]).unwrap();
        assert!(
            (block[s] + p[s] - image[0]).abs() < 1e-12
                && (block[BLOCK + s] + p[BLOCK + s] - image[1]).abs() < 1e-12
        );
    }
    let exact_residuals = residuals(&exact(&map.potential()));
    for (wrong, right) in residuals(&given).into_iter().zip(exact_residuals) {
        assert!(wrong > 0.5 && right < 1e-12, "{wrong} {right}");
    }
}

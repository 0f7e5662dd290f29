//! Every product and elementwise step against its naive twin, on every instruction set this processor has.

use charflow_kernels::activation::{self, Activation, Bend, bend_line};
use charflow_kernels::product::{Finish, Init, OuterTerm, Packed, gram, outer_add, transpose};
use charflow_kernels::{BLOCK, Isa, Real, lanes, padded};
use proptest::prelude::*;

fn numbers(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
        })
        .collect()
}

fn of<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|&a| T::of(a)).collect()
}

fn close<T: Real>(found: &[T], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a.f64() - b).abs() <= tolerance * (1.0 + b.abs()),
            "{what} [{i}]: {a:?} instead of {b}"
        );
    }
}

fn products<T: Real>(rows: usize, depth: usize, tolerance: f64) {
    let a: Vec<T> = of(&numbers(rows * depth, 1));
    let b: Vec<T> = of(&numbers(depth * BLOCK, 2));
    let c0: Vec<T> = of(&numbers(rows * BLOCK, 3));
    let bias: Vec<T> = of(&numbers(rows, 4));
    for isa in Isa::available() {
        let mut packed = Packed::new(isa, rows, depth);
        // Row-major and column-major sources must give the same matrix.
        for by_column in [false, true] {
            if by_column {
                let mut flipped = vec![T::ZERO; rows * depth];
                for r in 0..rows {
                    for k in 0..depth {
                        flipped[k * rows + r] = a[r * depth + k];
                    }
                }
                packed.pack(&flipped, 1, rows);
            } else {
                packed.pack(&a, depth, 1);
            }
            for mode in 0..4 {
                let mut c = c0.clone();
                let init = match mode {
                    0 => Init::Zero,
                    1 => Init::Add,
                    2 => Init::Bias(&bias),
                    _ => Init::Block(&c0),
                };
                packed.multiply(&b, init, Finish::Store(&mut c));
                let mut expected = vec![0.0; rows * BLOCK];
                for r in 0..rows {
                    for s in 0..BLOCK {
                        let block = c0[r * BLOCK + s].f64();
                        let start = [0.0, block, bias[r].f64(), block][mode];
                        expected[r * BLOCK + s] = (0..depth)
                            .map(|k| a[r * depth + k].f64() * b[k * BLOCK + s].f64())
                            .sum::<f64>()
                            + start;
                    }
                }
                close(
                    &c,
                    &expected,
                    tolerance,
                    &format!("{isa:?} {rows} x {depth}"),
                );
            }
        }
    }
}

/// A product with a finish, given where it starts, `sum` and `out`.
type Run<'a, T> = dyn Fn(Init<'_, T>, &mut [T], &mut [T]) + 'a;

/// Every finish of a product against the product stored and its formula applied afterwards.
fn finishes<T: Real>(rows: usize, depth: usize, tolerance: f64) {
    let n = rows * BLOCK;
    let a: Vec<T> = of(&numbers(rows * depth, 1));
    let b: Vec<T> = of(&numbers(depth * BLOCK, 2));
    let x: Vec<Vec<T>> = (0..6).map(|i| of(&numbers(n, 10 + i))).collect();
    let v = |k: usize, i: usize| x[k][i].f64();
    let line = [T::of(2.5), T::of(-0.75)];
    for isa in Isa::available() {
        let mut packed = Packed::new(isa, rows, depth);
        packed.pack(&a, depth, 1);
        let mut plain = vec![T::ZERO; n];
        packed.multiply(&b, Init::Zero, Finish::Store(&mut plain));
        // The finish, whether the sum starts from `x[4]`, the formula for `out` of `S` and the place.
        let run = |finish: &Run<'_, T>, keeps: bool, formula: &dyn Fn(f64, usize) -> f64| {
            for add in [false, true] {
                let (mut sum, mut out) = (x[4].clone(), x[5].clone());
                let init = match (add, keeps) {
                    (false, _) => Init::Zero,
                    (true, true) => Init::Add,
                    (true, false) => Init::Block(&x[4]),
                };
                finish(init, &mut sum, &mut out);
                let total = |i: usize| plain[i].f64() + if add { v(4, i) } else { 0.0 };
                let kept: Vec<f64> = (0..n)
                    .map(|i| if keeps { total(i) } else { v(4, i) })
                    .collect();
                let expected: Vec<f64> = (0..n).map(|i| formula(total(i), i)).collect();
                let what = format!("{isa:?} {rows} x {depth} finish");
                close(&sum, &kept, tolerance, &what);
                close(&out, &expected, tolerance, &what);
            }
        };
        for keep in [false, true] {
            run(
                &|init, sum, out| {
                    let (s, sum) = (&x[0][..], keep.then_some(sum));
                    packed.multiply(&b, init, Finish::Scale { s, sum, out });
                },
                keep,
                &|sum, i| v(0, i) * sum,
            );
            run(
                &|init, sum, out| {
                    let (s, plus, sum) = (&x[0][..], &x[1][..], keep.then_some(sum));
                    packed.multiply(&b, init, Finish::ScaleAdd { s, plus, sum, out });
                },
                keep,
                &|sum, i| v(0, i) * sum + v(1, i),
            );
            for given in [false, true] {
                run(
                    &|init, sum, out| {
                        let finish = Finish::Adjoint {
                            s: &x[0],
                            bend: if given {
                                Bend::Given(&x[3])
                            } else {
                                Bend::Line(line)
                            },
                            zdot: &x[1],
                            delta: &x[2],
                            sum: keep.then_some(sum),
                            out,
                        };
                        packed.multiply(&b, init, finish);
                    },
                    keep,
                    &|sum, i| {
                        let h = if given { v(3, i) } else { 2.5 - 0.75 * v(0, i) };
                        v(0, i) * sum + h * v(1, i) * v(2, i)
                    },
                );
            }
        }
        run(
            &|init, sum, out| packed.multiply(&b, init, Finish::Square { sum, out }),
            true,
            &|sum, i| v(5, i) + sum * sum,
        );
        run(
            &|init, sum, out| {
                let y = &x[0];
                packed.multiply(&b, init, Finish::Cross { y, sum, out });
            },
            true,
            &|sum, i| 2.0 * v(0, i) * sum,
        );
    }
}

fn outers<T: Real>(rows: usize, out: usize, tolerance: f64) {
    let width = padded(out);
    let x: Vec<Vec<T>> = (0..2).map(|i| of(&numbers(rows * BLOCK, 5 + i))).collect();
    let z: Vec<Vec<T>> = (0..2).map(|i| of(&numbers(out * BLOCK, 7 + i))).collect();
    let c0: Vec<T> = of(&numbers(rows * width, 9));
    for isa in Isa::available() {
        let mut flipped = vec![vec![T::ZERO; BLOCK * width]; 2];
        for i in 0..2 {
            transpose(isa, out, &z[i], &mut flipped[i]);
        }
        for terms in 1..=2 {
            let list: Vec<OuterTerm<'_, T>> = (0..terms)
                .map(|i| OuterTerm {
                    x: &x[i],
                    z: &flipped[i],
                })
                .collect();
            let mut c = c0.clone();
            outer_add(isa, rows, width, &list, &mut c);
            let mut expected: Vec<f64> = c0.iter().map(|a| a.f64()).collect();
            for i in 0..terms {
                for r in 0..rows {
                    for o in 0..out {
                        for s in 0..BLOCK {
                            expected[r * width + o] +=
                                x[i][r * BLOCK + s].f64() * z[i][o * BLOCK + s].f64();
                        }
                    }
                }
            }
            close(
                &c,
                &expected,
                tolerance,
                &format!("{isa:?} outer {rows} x {out}"),
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn products_of_any_shape(rows in 1usize..70, depth in 1usize..70) {
        products::<f64>(rows, depth, 1e-13);
        products::<f32>(rows, depth, 1e-5);
    }

    #[test]
    fn finishes_of_any_shape(rows in 1usize..40, depth in 1usize..30) {
        finishes::<f64>(rows, depth, 1e-13);
        finishes::<f32>(rows, depth, 3e-5);
    }

    #[test]
    fn outer_products_of_any_shape(rows in 1usize..40, out in 1usize..140) {
        outers::<f64>(rows, out, 1e-13);
        outers::<f32>(rows, out, 1e-5);
    }
}

#[test]
fn products_of_the_sizes_in_use() {
    for (rows, depth) in [
        (64, 3),
        (64, 64),
        (1, 64),
        (3, 64),
        (128, 65),
        (65, 128),
        (128, 128),
    ] {
        products::<f32>(rows, depth, 1e-5);
    }
}

#[test]
fn gram_tiles() {
    for depth in [1, 5, 50] {
        let a: Vec<f32> = of(&numbers(depth * BLOCK, 1));
        let b: Vec<f32> = of(&numbers(depth * BLOCK, 2));
        let mut expected = vec![0.0; BLOCK * BLOCK];
        for k in 0..depth {
            for r in 0..BLOCK {
                for s in 0..BLOCK {
                    expected[r * BLOCK + s] += a[k * BLOCK + r].f64() * b[k * BLOCK + s].f64();
                }
            }
        }
        for isa in Isa::available() {
            let mut c = vec![0.0f32; BLOCK * BLOCK];
            gram(isa, depth, &a, &b, &mut c);
            close(&c, &expected, 1e-5, "gram");
        }
    }
}

#[test]
fn activations_are_the_exact_ones() {
    // Dense near zero, far out on both sides, and the ends of the exponential's range.
    let mut z: Vec<f64> = (-4000..4000).map(|i| f64::from(i) * 0.005).collect();
    z.extend((-1000..1000).map(|i| f64::from(i) * 1e-6));
    z.extend([
        0.0, -0.0, 88.0, -88.0, 1e4, -1e4, 1e30, -1e30, 3e-39, -3e-39,
    ]);
    while !z.len().is_multiple_of(BLOCK) {
        z.push(0.5);
    }
    for kind in [
        Activation::Softplus { beta: 1.0 },
        Activation::Softplus { beta: 10.0 },
        Activation::Tanh,
        Activation::Celu,
        Activation::Identity,
    ] {
        let z32: Vec<f32> = of(&z);
        for isa in Isa::available() {
            let plus = vec![0.25f32; z.len()];
            let [mut a, mut bare, mut s, mut h] = [(); 4].map(|()| vec![7.0f32; z.len()]);
            let (k, own) = (0.5, Some(&plus[..]));
            activation::evaluate(isa, kind, k, &z32, None, &mut bare, &mut s, None);
            activation::evaluate(isa, kind, k, &z32, own, &mut a, &mut s, Some(&mut h));
            for i in 0..z.len() {
                let [f, f1, f2] = activation::exact(kind, f64::from(z32[i]));
                let scale = if let Activation::Softplus { beta } = kind {
                    beta
                } else {
                    1.0
                };
                let near = |x: f32, y: f64, size: f64| {
                    (f64::from(x) - y).abs() <= 4.0 * f64::from(f32::EPSILON) * (size + y.abs())
                };
                assert!(
                    near(bare[i], 0.5 * f, 1.0),
                    "{kind:?} {isa:?} f({}) = {} not {f}",
                    z32[i],
                    bare[i]
                );
                assert!(
                    near(a[i], 0.25 + 0.5 * f, 1.0),
                    "{kind:?} {isa:?} f({}) = {} not {f}",
                    z32[i],
                    a[i]
                );
                assert!(
                    near(s[i], 0.5 * f1, 1.0),
                    "{kind:?} {isa:?} f'({}) = {} not {f1}",
                    z32[i],
                    s[i]
                );
                // The second derivative, from the bend as it was written and from its line.
                let line = bend_line::<f32>(kind, 0.5).map(|[p, q]| p + q * s[i]);
                for h in [Some(h[i]), line].into_iter().flatten() {
                    assert!(
                        near(h * s[i], 0.5 * f2, scale),
                        "{kind:?} {isa:?} f''({}) = {} not {f2}",
                        z32[i],
                        h * s[i]
                    );
                }
            }
        }
    }
}

#[test]
fn derivatives_of_the_exact_activations_are_differences() {
    for kind in [
        Activation::Softplus { beta: 3.0 },
        Activation::Tanh,
        Activation::Celu,
        Activation::Identity,
    ] {
        for i in -50..50 {
            let z = f64::from(i) * 0.1 + 0.03; // celu's second derivative jumps at 0
            let h = 1e-5;
            let (up, down) = (
                activation::exact(kind, z + h),
                activation::exact(kind, z - h),
            );
            let at = activation::exact(kind, z);
            assert!(
                (at[1] - (up[0] - down[0]) / (2.0 * h)).abs() < 1e-8,
                "{kind:?} {z}"
            );
            assert!(
                (at[2] - (up[1] - down[1]) / (2.0 * h)).abs() < 1e-8,
                "{kind:?} {z}"
            );
        }
    }
}

#[test]
fn elementwise_steps_are_their_formulas() {
    let rows = 5;
    let n = rows * BLOCK;
    let x: Vec<Vec<f64>> = (0..6).map(|i| numbers(n, 20 + i)).collect();
    let f = numbers(rows, 30);
    let w = numbers(BLOCK, 31);
    for isa in Isa::available() {
        let run = |g: &dyn Fn(&mut [f64]), formula: &dyn Fn(usize) -> f64| {
            let mut out = x[5].clone();
            g(&mut out);
            let expected: Vec<f64> = (0..n).map(formula).collect();
            close(&out, &expected, 1e-14, "elementwise");
        };
        let v = |k: usize, i: usize| x[k][i];
        run(&|o| lanes::cross(isa, &x[0], &x[1], o), &|i| {
            2.0 * v(0, i) * v(1, i)
        });
        run(
            &|o| lanes::cross_pair(isa, &x[0], &x[1], &x[2], &x[3], o),
            &|i| 2.0 * (v(0, i) * v(1, i) + v(2, i) * v(3, i)),
        );
        run(&|o| lanes::scale_samples(isa, &x[0], &w, o), &|i| {
            v(0, i) * w[i % BLOCK]
        });
        let mut out = w.clone();
        lanes::weighted_sum(isa, &f, &x[0], &mut out);
        let expected: Vec<f64> = (0..BLOCK)
            .map(|s| w[s] + (0..rows).map(|r| f[r] * v(0, r * BLOCK + s)).sum::<f64>())
            .collect();
        close(&out, &expected, 1e-14, "weighted_sum");
        for both in [false, true] {
            let mut out = f.clone();
            lanes::row_sums_add(isa, &x[0], &w, both.then_some(&x[1][..]), &mut out);
            let b = |i: usize| if both { v(1, i) } else { 0.0 };
            let sum = |r: usize| -> f64 {
                let term = |s: usize| w[s] * v(0, r * BLOCK + s) + b(r * BLOCK + s);
                (0..BLOCK).map(term).sum()
            };
            let expected: Vec<f64> = (0..rows).map(|r| f[r] + sum(r)).collect();
            close(&out, &expected, 1e-14, "row_sums_add");
        }
    }
}

//! Transport problems whose optimal map is known for a convex cost `c(x, y) = l(y - x)` that need not be the quadratic one.
//!
//! Each problem is a source `mu`, a map `T: R^d -> R^d` and the cost for which `T` is the cheapest way from `mu` to its image `nu = T#mu`. A target point is the image of
//! a source point, which is its true preimage: `y = T(x)`, `S(y) = x`.
//!
//! | family | map | optimal for | because |
//! |---|---|---|---|
//! | [`Family::Line`] | `F_nu^-1 o F_mu`, `d = 1` | every convex `l` | the increasing rearrangement |
//! | [`Family::Translation`] | `x + a` | every convex `l` | Jensen's inequality |
//! | [`Family::Radial`] | `h(r) x / r`, `h >= 0` increasing, `r = \|x\|` | `l` of `\|v\|` alone | triangle inequality, then the line |
//! | [`Family::Product`] | `T_i(x_i)`, each increasing | `l` a sum over coordinates | the line, in each coordinate |
//! | [`Family::Pair`] | `x + V(grad f(x))`, `f` convex | the `l` with `V = grad H` | `f` and its transform are a dual solution |
//!
//! The proofs stand in the files. None of them needs anything of `mu`, so all sources in more than one dimension are mixtures of three Gaussians; `mu` has a density and the
//! costs are strictly convex, so the optimal map is the only one (Gangbo and McCann, "The geometry of optimal transportation", 1996).
//!
//! What is fixed in a problem (centres, shifts, pieces) depends on family, dimension and cost; the seed is for the points alone.

mod line;
mod mixture;
mod pair;
mod product;
mod radial;
mod translation;

use charflow::cost::{Cost, Mahalanobis, Quadratic, short};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::LabError;

/// A source, a map, and the cost for which the map is optimal.
///
/// Points are row-major, `[n, d]`.
pub trait KnownTransport: Send + Sync + std::fmt::Debug {
    /// The dimension `d`.
    fn dim(&self) -> usize;

    /// The cost, in the unit of the points.
    fn cost(&self) -> &dyn Cost;

    /// Source and map in words.
    fn about(&self) -> String;

    /// `n` points of the source, `[n, d]`. The same seed and stream give the same points, more of them begin with the fewer; other streams of a seed are independent.
    fn sample_source(&self, n: usize, seed: u64, stream: u64) -> Vec<f64>;

    /// The true map: `T(x)` for `x: [n, d]`.
    fn forward(&self, x: &[f64]) -> Vec<f64>;
}

/// The families of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Increasing rearrangement on the line.
    Line,
    /// A shift by one vector.
    Translation,
    /// Along rays from a centre.
    Radial,
    /// Each coordinate on its own.
    Product,
    /// A measure and its image under `x + V(grad f(x))`.
    Pair,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 5] = [
        Family::Line,
        Family::Translation,
        Family::Radial,
        Family::Product,
        Family::Pair,
    ];

    /// Its name: `line`, `translation`, and so on.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Family::Line => "line",
            Family::Translation => "translation",
            Family::Radial => "radial",
            Family::Product => "product",
            Family::Pair => "pair",
        }
    }

    /// The dimensions it is looked at in.
    #[must_use]
    pub fn dims(self) -> &'static [usize] {
        match self {
            Family::Line => &[1],
            Family::Translation | Family::Radial | Family::Product => &[8],
            Family::Pair => &[8, 32],
        }
    }

    /// A cost of each kind for which the family has a problem in `dim` dimensions, as [`charflow::cost::parse`] reads them.
    ///
    /// Where a parameter has a unit it suits the lengths of the family's displacements: a speed that is higher than all and not by much, a threshold of the size of a coordinate.
    #[must_use]
    pub fn costs(self, dim: usize) -> Vec<String> {
        let pair = self == Family::Pair;
        let speed = match self {
            Family::Line => 2.5,
            Family::Translation => 5.0,
            Family::Pair => {
                let length = pair::LENGTH * (dim as f64).sqrt();
                (10.0 * length / pair::OF_THE_SPEED).round() / 10.0
            }
            Family::Radial | Family::Product => 2.0,
        };
        // Nearer to 1 where a power of 1.5 would move points almost as the quadratic cost does.
        let norm_power = if pair { 1.3 } else { 1.5 };
        let gamma = if pair { 1.0 } else { 0.5 };
        let quadratic = "quadratic".to_string();
        let metric = uneven(dim);
        let norm_power = format!("norm-power:{norm_power}");
        let power = "power:3".to_string();
        let elastic = format!("elastic:{gamma}");
        let relativistic = format!("relativistic:{speed}");
        match self {
            Family::Radial => vec![quadratic, metric, norm_power, relativistic],
            Family::Product => vec![quadratic, metric, power, elastic],
            _ => vec![quadratic, metric, norm_power, power, elastic, relativistic],
        }
    }

    /// A cost that is wrong for this problem: the cheapest map for it is another one. `None` where every cost has the same map.
    #[must_use]
    pub fn wrong_cost(self, cost: &dyn Cost, dim: usize) -> Option<String> {
        let name = match self {
            Family::Line | Family::Translation => return None,
            // All costs that see the length alone agree: it takes another length to disagree.
            Family::Radial if cost.coordinates().is_none() => uneven(dim),
            // All sums over coordinates agree: it takes a metric that ties them together.
            Family::Product => metric(dim, |i, j| if i == j { 1.0 } else { 0.5 }),
            // Under other names too the quadratic cost is the quadratic cost.
            Family::Radial if proportional(cost, &Quadratic, dim) => uneven(dim),
            Family::Pair if proportional(cost, &Quadratic, dim) => "norm-power:1.3".into(),
            Family::Radial | Family::Pair => "quadratic".into(),
        };
        Some(name)
    }

    /// The family's problem for a cost, in `dim` dimensions.
    ///
    /// # Errors
    /// [`LabError::Input`] if the family has no map in this dimension, none that is known to be optimal for this cost, or one that moves points further than the cost allows.
    pub fn problem(
        self,
        cost: Box<dyn Cost>,
        dim: usize,
    ) -> Result<Box<dyn KnownTransport>, LabError> {
        let (family, name) = (self.name(), short(&cost.name()));
        let refuse = |why: String| Err(LabError::Input(format!("{family} with {name}: {why}")));
        let fits = if self == Family::Line {
            dim == 1
        } else {
            (2..=1024).contains(&dim)
        };
        if !fits {
            return refuse(format!(
                "there is no such problem in {dim} dimension{}; line is of 1, the others of 2 to 1024",
                if dim == 1 { "" } else { "s" }
            ));
        }
        if let Some(d) = cost.dim().filter(|d| *d != dim) {
            return refuse(format!(
                "the cost is for points of {d} columns, the problem has {dim}"
            ));
        }
        if self == Family::Radial && !is_radial(cost.as_ref(), dim) {
            return refuse(
                "a map along rays is known to be optimal where the cost depends on the length of the displacement alone (quadratic, mahalanobis with its own length, \
                 norm-power, relativistic)"
                    .into(),
            );
        }
        if self == Family::Product && !is_sum(cost.as_ref(), dim) {
            return refuse(
                "a map of each coordinate alone is known to be optimal where the cost is a sum over coordinates (quadratic, mahalanobis with a diagonal matrix, power, elastic)"
                    .into(),
            );
        }
        let problem: Box<dyn KnownTransport> = match self {
            Family::Line => Box::new(line::Line::new(cost)),
            Family::Translation => Box::new(translation::Translation::new(cost, dim)),
            Family::Radial => Box::new(radial::Radial::new(cost, dim)),
            Family::Product => Box::new(product::Product::new(cost, dim)),
            Family::Pair => Box::new(pair::Pair::new(cost, dim)),
        };
        let reach = problem.cost().reach();
        if reach.is_finite() {
            let x = problem.sample_source(LOOKED_AT, 0, 1 << 34);
            let far = displacements(&x, &problem.forward(&x), dim)
                .map(|v| v.iter().map(|v| v * v).sum::<f64>().sqrt())
                .fold(0.0, f64::max);
            // The pair's displacements come from V, which keeps the limit.
            if far > 0.95 * reach && self != Family::Pair {
                return refuse(format!(
                    "the points move by up to {far:.3}, so the speed has to be at least {:.1}",
                    (far / 0.095).ceil() / 10.0
                ));
            }
        }
        Ok(problem)
    }
}

/// Points on which a problem looks at itself.
const LOOKED_AT: usize = 1 << 14;

/// `T(x) - x`, row by row.
fn displacements<'a>(
    x: &'a [f64],
    images: &'a [f64],
    dim: usize,
) -> impl Iterator<Item = Vec<f64>> + 'a {
    x.chunks_exact(dim)
        .zip(images.chunks_exact(dim))
        .map(|(x, t)| t.iter().zip(x).map(|(t, x)| t - x).collect())
}

/// A Mahalanobis cost that has no two coordinates alike: weights from 1/4 to 4 on the diagonal, equal ratios apart; in one dimension 4.
fn uneven(dim: usize) -> String {
    metric(dim, |i, j| {
        let share = if dim == 1 {
            1.0
        } else {
            i as f64 / (dim - 1) as f64
        };
        let weight = (2.0 * (2.0 * share - 1.0)).exp2();
        if i == j {
            (weight * 1e3).round() / 1e3
        } else {
            0.0
        }
    })
}

/// The Mahalanobis cost with these entries, as it is written.
fn metric(dim: usize, entry: impl Fn(usize, usize) -> f64) -> String {
    let rows: Vec<Vec<f64>> = (0..dim)
        .map(|i| (0..dim).map(|j| entry(i, j)).collect())
        .collect();
    // Never refused: both matrices that are asked for are positive definite.
    Mahalanobis::new(&rows).map_or_else(|_| "quadratic".into(), |cost| cost.name())
}

/// Whether `l` depends on the length of the displacement alone, in the cost's own coordinates: asked of `l` itself, at displacements of several lengths and directions.
fn is_radial(cost: &dyn Cost, dim: usize) -> bool {
    let of = |v: &[f64]| {
        let mut v = v.to_vec();
        if let Some(coordinates) = cost.coordinates() {
            coordinates.leave(&mut v);
        }
        cost.l(&v)
    };
    probes(cost, dim).iter().all(|v| {
        let mut along = vec![0.0; dim];
        along[0] = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        near(of(v), of(&along))
    })
}

/// Whether `l(v) = sum_i l(v_i e_i)`: asked of `l` itself.
fn is_sum(cost: &dyn Cost, dim: usize) -> bool {
    probes(cost, dim).iter().all(|v| {
        let mut axis = vec![0.0; dim];
        let sum: f64 = (0..dim)
            .map(|i| {
                axis[i] = v[i];
                let l = cost.l(&axis);
                axis[i] = 0.0;
                l
            })
            .sum();
        near(cost.l(v), sum)
    })
}

/// Whether one cost is a multiple of the other, and so has the same maps: asked of `l` itself.
fn proportional(a: &dyn Cost, b: &dyn Cost, dim: usize) -> bool {
    let ratios: Vec<f64> = probes(a, dim).iter().map(|v| a.l(v) / b.l(v)).collect();
    ratios.iter().all(|r| near(*r, ratios[0]))
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (a.abs() + b.abs())
}

/// Displacements of several lengths that the cost allows.
fn probes(cost: &dyn Cost, dim: usize) -> Vec<Vec<f64>> {
    let mut rng = fixed(dim, 99);
    let longest = (0.5 * cost.reach()).min(4.0);
    (1..=12)
        .map(|k| {
            let v: Vec<f64> = (0..dim).map(|_| mixture::normal(&mut rng)).collect();
            let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
            let to = longest * f64::from(k) / 12.0 / length;
            v.iter().map(|v| v * to).collect()
        })
        .collect()
}

/// The generator for what is fixed in a problem; `of` tells its parts apart.
fn fixed(dim: usize, of: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(dim as u64);
    // Small streams are the points'.
    rng.set_stream((1 << 35) + of);
    rng
}

#[cfg(test)]
mod tests;

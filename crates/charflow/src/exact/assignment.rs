//! The exact assignment: the optimal coupling of two sets of `n` points with equal weights.
//!
//! ```text
//! min over permutations s of  sum_i c[i, s(i)]
//! = max over u, v with u_i + v_j <= c[i, j] of  sum_i u_i + sum_j v_j
//! ```
//!
//! Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment problems" (Computing 38, 1987): column
//! reduction, augmenting row reduction, then a shortest path (Dijkstra's, dense) for each row still free. `O(n^3)` at worst, no recursion, no tolerance:
//! every decision compares two numbers, so ties and rounding can cost time but never an answer.
//!
//! Why our own: see the note in this file's tests on the crates that were measured beside it.

use crate::error::{Error, Result};
use crate::map::check_points;
use rayon::prelude::*;

/// No row, no column.
const NONE: usize = usize::MAX;

/// The column of each row in an assignment of least total cost, for `costs: [n, n]` row-major.
///
/// Seconds on one core of the machine of November 2026 for squared distances between two Gaussian clouds: `n` = 2000 0.1 (`d` = 16) and 1.8 (`d` = 2), `n` = 3000
/// 0.4 and 5.9. Two clouds of one law in few dimensions are the hard case: paths are long where many pairings are nearly as good. Memory beside the costs is `O(n)`.
///
/// # Errors
/// [`Error::Problem`] if there are not `n * n` costs, or one is not finite.
pub fn assignment(costs: &[f64], n: usize) -> Result<Vec<usize>> {
    if n.checked_mul(n) != Some(costs.len()) {
        return Err(Error::problem(format!(
            "{} costs cannot pair {n} rows with {n} columns; expected n * n of them",
            costs.len()
        )));
    }
    if let Some(at) = costs.iter().position(|c| !c.is_finite()) {
        return Err(Error::problem(format!(
            "the cost of row {} and column {} is {}; an assignment needs finite costs",
            at / n + 1,
            at % n + 1,
            costs[at]
        )));
    }
    let mut pairs = Pairs {
        costs,
        n,
        v: vec![f64::INFINITY; n],
        column_of: vec![NONE; n],
        row_of: vec![NONE; n],
    };
    pairs.reduce_columns();
    let mut free: Vec<usize> = (0..n).filter(|&i| pairs.column_of[i] == NONE).collect();
    // A second sweep still pays; a third does not (as in the paper).
    for _ in 0..2 {
        free = pairs.reduce_rows(free);
    }
    let mut path = Path::new(n);
    for i in free {
        pairs.augment(i, &mut path);
    }
    Ok(pairs.column_of)
}

/// The exact Wasserstein distance of order `power` between two clouds of `n` points each, `x, y: [n, dim]`:
///
/// ```text
/// W_p = ( min over permutations s of (1 / n) sum_i |x_i - y_s(i)|^p )^(1 / p)
/// ```
///
/// In many dimensions it is far above the distance of the laws the points come from: compare it with that of two draws of one law. Memory: `8 n^2` bytes.
///
/// # Errors
/// [`Error::Problem`] if the clouds are empty or of different sizes, a value is not finite, or `power` is 0.
pub fn wasserstein(x: &[f64], y: &[f64], dim: usize, power: u32) -> Result<f64> {
    let n = check_points(x, dim)?;
    if check_points(y, dim)? != n || n == 0 || power == 0 {
        return Err(Error::problem(format!(
            "an exact Wasserstein distance of order {power} between {n} and {} points: expected an order of at least 1 and two clouds of one size, not empty",
            y.len() / dim
        )));
    }
    let costs: Vec<f64> = x
        .par_chunks(dim)
        .flat_map_iter(|x| {
            y.chunks_exact(dim).map(move |y| {
                let square: f64 = x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum();
                // No root to undo where none is needed: 2 is what most ask for.
                match power {
                    2 => square,
                    1 => square.sqrt(),
                    _ => square.powf(0.5 * f64::from(power)),
                }
            })
        })
        .collect();
    let columns = assignment(&costs, n)?;
    let total: f64 = (0..n).map(|i| costs[i * n + columns[i]]).sum();
    Ok((total / n as f64).powf(1.0 / f64::from(power)))
}

/// A partial assignment with column prices `v`: each assigned row sits at a least `c[i, j] - v[j]` of its row.
struct Pairs<'a> {
    costs: &'a [f64],
    n: usize,
    v: Vec<f64>,
    column_of: Vec<usize>,
    row_of: Vec<usize>,
}

/// Scratch of the shortest paths.
struct Path {
    /// Length of the shortest path to each column found so far.
    length: Vec<f64>,
    /// The row before each column on that path.
    before: Vec<usize>,
    /// Columns whose shortest path is known, in the order it became so, then those where it is not.
    columns: Vec<usize>,
}

impl Path {
    fn new(n: usize) -> Self {
        Path {
            length: vec![0.0; n],
            before: vec![0; n],
            columns: (0..n).collect(),
        }
    }
}

impl Pairs<'_> {
    fn row(&self, i: usize) -> &[f64] {
        &self.costs[i * self.n..(i + 1) * self.n]
    }

    fn assign(&mut self, i: usize, j: usize) {
        self.column_of[i] = j;
        self.row_of[j] = i;
    }

    /// The price of a column is its least cost; its row takes it if that is still free. Then the slack of a row with one column only
    /// goes into the price of this column.
    fn reduce_columns(&mut self) {
        let n = self.n;
        let mut least = vec![0; n];
        for i in 0..n {
            for (j, &c) in self.costs[i * n..(i + 1) * n].iter().enumerate() {
                if c < self.v[j] {
                    self.v[j] = c;
                    least[j] = i;
                }
            }
        }
        let mut wanted = vec![0; n];
        for j in (0..n).rev() {
            wanted[least[j]] += 1;
            if self.column_of[least[j]] == NONE {
                self.assign(least[j], j);
            }
        }
        for i in (0..n).filter(|&i| wanted[i] == 1) {
            let taken = self.column_of[i];
            let slack = (self.row(i).iter().zip(&self.v).enumerate())
                .filter(|(j, _)| *j != taken)
                .map(|(_, (c, v))| c - v)
                .fold(f64::INFINITY, f64::min);
            if slack.is_finite() {
                self.v[taken] -= slack;
            }
        }
    }

    /// Each free row takes its best column at the price at which the second best is as good; whoever sat there is free, and goes next.
    fn reduce_rows(&mut self, mut free: Vec<usize>) -> Vec<usize> {
        // Prices that creep down in tiny amounts are the shortest paths' work, not ours.
        let mut turns = 20 * self.n;
        let mut left = Vec::new();
        free.reverse();
        while let Some(i) = free.pop() {
            let (mut first, mut second) = ((f64::INFINITY, 0), (f64::INFINITY, 0));
            for (j, (c, v)) in self.row(i).iter().zip(&self.v).enumerate() {
                let h = c - v;
                if h < second.0 {
                    if h < first.0 {
                        second = first;
                        first = (h, j);
                    } else {
                        second = (h, j);
                    }
                }
            }
            let mut j = first.1;
            let price = self.v[j] - (second.0 - first.0);
            // Infinite for a single column; equal where the gain is lost in rounding.
            let gained = price.is_finite() && price < self.v[j];
            if gained {
                self.v[j] = price;
            } else if self.row_of[j] != NONE && second.0 == first.0 {
                j = second.1;
            }
            let sat = self.row_of[j];
            self.assign(i, j);
            if sat != NONE {
                self.column_of[sat] = NONE;
                if gained && turns > 0 {
                    free.push(sat);
                } else {
                    left.push(sat);
                }
            }
            turns = turns.saturating_sub(1);
        }
        left
    }

    /// Assigns the free row `start` along the shortest alternating path to a free column, and moves the prices so that all stay at their best.
    fn augment(&mut self, start: usize, path: &mut Path) {
        let n = self.n;
        let Path {
            length,
            before,
            columns,
        } = path;
        for j in 0..n {
            length[j] = self.costs[start * n + j] - self.v[j];
            before[j] = start;
        }
        let mut known = 0;
        let (end, total) = loop {
            let mut nearest = known;
            for k in known..n {
                let (j, best) = (columns[k], columns[nearest]);
                // Of equals a free column, which ends the search.
                if length[j] < length[best] || (length[j] == length[best] && self.row_of[j] == NONE)
                {
                    nearest = k;
                }
            }
            columns.swap(known, nearest);
            let j = columns[known];
            let i = self.row_of[j];
            if i == NONE {
                break (j, length[j]);
            }
            known += 1;
            let row = &self.costs[i * n..(i + 1) * n];
            let offset = length[j] - (row[j] - self.v[j]);
            for &k in &columns[known..] {
                let through = row[k] - self.v[k] + offset;
                if through < length[k] {
                    length[k] = through;
                    before[k] = i;
                }
            }
        };
        for &j in &columns[..known] {
            self.v[j] += length[j] - total;
        }
        let mut j = end;
        loop {
            let i = before[j];
            let next = self.column_of[i];
            self.assign(i, j);
            if i == start {
                return;
            }
            j = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    // The crates (November 2026), and why none is here. lapjv 0.3: needs ndarray, compares path lengths to an absolute 2e-16 (wrong scale for costs
    // that are not of order one), and ends with "will not finish" where that goes astray. lsap 1.0: scipy's routine, sound, but without the two reductions.
    // pathfinding 4: wants integer or `Ord` costs and panics on overflow.
    // Seconds of processor time for n = 3000, squared distances, d = 2 and d = 16, all with the same total: ours 5.9 and 0.4, lsap 5.5 and 4.3, lapjv
    // 12.4 and 0.7.

    fn total(costs: &[f64], n: usize, columns: &[usize]) -> f64 {
        let mut seen = columns.to_vec();
        seen.sort_unstable();
        assert_eq!(seen, (0..n).collect::<Vec<_>>(), "no permutation");
        (0..n).map(|i| costs[i * n + columns[i]]).sum()
    }

    /// The naive twin: all permutations.
    fn least(costs: &[f64], n: usize, i: usize, taken: &mut Vec<bool>) -> f64 {
        if i == n {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for j in 0..n {
            if !taken[j] {
                taken[j] = true;
                best = best.min(costs[i * n + j] + least(costs, n, i + 1, taken));
                taken[j] = false;
            }
        }
        best
    }

    #[test]
    fn meets_all_permutations() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for n in 0..=7 {
            for round in 0..60 {
                let costs: Vec<f64> = (0..n * n)
                    .map(|_| match round % 4 {
                        0 => rng.random_range(-1.0..1.0),
                        // Many ties.
                        1 => f64::from(rng.random_range(0..3_i32)),
                        // Ten orders of magnitude.
                        2 => 10f64.powf(rng.random_range(-5.0..5.0)),
                        // A gain below rounding.
                        _ => 1e8 + 1e-8 * rng.random_range(0.0..4.0),
                    })
                    .collect();
                let found = total(&costs, n, &assignment(&costs, n).unwrap());
                let best = least(&costs, n, 0, &mut vec![false; n]);
                let size = costs.iter().fold(0.0_f64, |a, c| a.max(c.abs()));
                assert!(
                    (found - best).abs() <= 1e-13 * size * n as f64,
                    "n {n}, round {round}: {found} and {best}"
                );
            }
        }
    }

    #[test]
    fn in_one_dimension_it_is_the_monotone_rearrangement() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let n = 300;
        let mut draw = || -> Vec<f64> { (0..n).map(|_| rng.random_range(-3.0..3.0)).collect() };
        let (x, y) = (draw(), draw());
        let costs: Vec<f64> = x
            .iter()
            .flat_map(|x| y.iter().map(move |y| (x - y) * (x - y)))
            .collect();
        let found = total(&costs, n, &assignment(&costs, n).unwrap()) / n as f64;
        let exact = crate::exact::Rearrangement::new(&x, None, &y, None)
            .unwrap()
            .transport_cost(|v| v * v);
        assert!((found - exact).abs() < 1e-12, "{found} and {exact}");
    }

    #[test]
    fn the_distance_of_a_moved_cloud_is_the_way_it_was_moved() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let x: Vec<f64> = (0..100 * 3).map(|_| rng.random_range(-1.0..1.0)).collect();
        // A translation is optimal for every convex cost; the order of the points does not matter.
        let mut y: Vec<f64> = x.iter().map(|v| v + 2.0).collect();
        y.rotate_left(30);
        for power in [1, 2, 3] {
            let w = wasserstein(&x, &y, 3, power).unwrap();
            assert!((w - 12f64.sqrt()).abs() < 1e-12, "{power}: {w}");
        }
        assert!(wasserstein(&x, &y[3..], 3, 2).is_err());
        assert!(wasserstein(&x, &y, 3, 0).is_err());
        assert!(wasserstein(&[], &[], 3, 1).is_err());
        assert!(wasserstein(&x, &y, 0, 1).is_err());
    }

    #[test]
    fn equal_costs_and_repeated_points_end() {
        let n = 400;
        total(
            &vec![1.0; n * n],
            n,
            &assignment(&vec![1.0; n * n], n).unwrap(),
        );
        // A cloud of 20 places, each 20 times, against itself in another order: the answer is 0.
        let costs: Vec<f64> = (0..n * n)
            .map(|k| ((k / n) as f64 % 20.0 - (k % n / 20) as f64).abs())
            .collect();
        assert_eq!(total(&costs, n, &assignment(&costs, n).unwrap()), 0.0);
    }

    #[test]
    fn costs_that_make_no_sense_are_named() {
        let message = assignment(&[1.0; 3], 2).unwrap_err().to_string();
        assert!(message.contains("3 costs"), "{message}");
        let message = assignment(&[0.0, 1.0, f64::NAN, 0.0], 2)
            .unwrap_err()
            .to_string();
        assert!(message.contains("row 2 and column 1"), "{message}");
        assert!(assignment(&[], usize::MAX).is_err());
        assert!(assignment(&[], 0).unwrap().is_empty());
        assert_eq!(assignment(&[5.0], 1).unwrap(), [0]);
    }
}

//! The optimal coupling of `n` and `m` points of equal weights.
//!
//! ```text
//! min over P in U(a, b) of  sum_ij c_ij P_ij
//! = max over u, v with u_i + v_j <= c_ij of  (1 / n) sum_i u_i + (1 / m) sum_j v_j
//! P_ij > 0  =>  u_i + v_j = c_ij                         complementary slackness
//! ```
//!
//! The network simplex method on the complete bipartite graph. Masses are whole numbers, `m / g` a row and `n / g` a column with `g = gcd(n, m)`, so flows are exact.
//! The basis is a spanning tree, hung from one artificial node that begins with an arc to each point; from each arc of the tree follows one dual. An arc `(i, j)` with
//! `c_ij - u_i - v_j < 0` enters, closes a cycle, and the arc of the cycle that runs dry first leaves. Of several the one is taken that keeps the tree strongly feasible
//! (every empty arc points to the root), with which no tree comes twice (Cunningham, "A network simplex method", Mathematical Programming 11, 1976;
//! the rule as in Ahuja, Magnanti and Orlin, "Network Flows", 1993, 11.6): equal weights make most steps degenerate, so this matters here. Of each row, in turn, the arc of least
//! reduced cost enters.
//!
//! An artificial arc costs the largest `|c|`. That is enough, since any row and any column have an arc: two artificial ones with flow are dearer than the one
//! between their ends.
//!
//! Why our own: rust-optimal-transport (0.2, 2022) wraps C++ and needs its compiler; pathfinding's flows want whole costs. Of `n = m` points
//! [`charflow::exact::assignment`] is faster.

use super::{Plan, check, unit};
use crate::LabError;

/// An optimal coupling with its duals.
#[derive(Debug, Clone, PartialEq)]
pub struct Exact {
    /// The coupling: at most `n + m - 1` masses are not zero.
    pub plan: Plan,
    /// `[n]`, with `u_i + v_j <= c_ij` up to `1e-11 max |c|`.
    pub u: Vec<f64>,
    /// `[m]`.
    pub v: Vec<f64>,
    /// Steps from tree to tree.
    pub pivots: u64,
}

/// No node.
const NONE: usize = usize::MAX;
/// Reduced costs from here on count as negative, in units of the largest cost: well above the rounding of a dual, which is a sum of costs along a path of the tree.
const NEGATIVE: f64 = -1e-11;

/// The coupling of least cost for `costs: [n, m]` and equal weights.
///
/// # Errors
/// Not `n * m` costs, no points, or a cost that is not finite.
pub fn exact(costs: &[f64], n: usize, m: usize) -> Result<Exact, LabError> {
    check(costs, n, m)?;
    let scale = unit(costs);
    let mut tree = Tree::new(costs, n, m, scale);
    let mut pivots = 0;
    // Rows looked at since the last arc that entered.
    let (mut idle, mut row) = (0, 0);
    while idle < n {
        match tree.best_of_row(row) {
            Some(column) => {
                tree.enter(row, column);
                pivots += 1;
                idle = 0;
            }
            None => idle += 1,
        }
        row = (row + 1) % n;
    }
    // `m / g` units a row, so a unit is `1 / (n m / g)`.
    let share = 1.0 / (n as f64 * tree.supply as f64);
    let mut mass = vec![0.0; n * m];
    for node in 0..n + m {
        let parent = tree.parent[node];
        if parent != tree.root {
            let (i, j) = (node.min(parent), node.max(parent) - n);
            mass[i * m + j] = tree.flow[node] as f64 * share;
        }
    }
    let v = tree.dual.split_off(n);
    Ok(Exact {
        plan: Plan { mass, n, m },
        u: tree.dual,
        v: v[..m].to_vec(),
        pivots,
    })
}

/// A feasible basis. Nodes: rows `0..n`, columns `n..n + m`, then the root. Every arc goes from a row to a column, to the root, or from the root to a column: from a row up to its parent, from the
/// parent down to a column.
struct Tree<'a> {
    costs: &'a [f64],
    n: usize,
    m: usize,
    root: usize,
    /// Units of mass of each row.
    supply: u64,
    artificial: f64,
    negative: f64,
    parent: Vec<usize>,
    depth: Vec<u32>,
    /// On the arc between a node and its parent.
    flow: Vec<u64>,
    /// `u` of rows, `v` of columns, 0 of the root: the two ends of an arc of the tree sum to its cost.
    dual: Vec<f64>,
    child: Vec<usize>,
    next: Vec<usize>,
    previous: Vec<usize>,
    stack: Vec<usize>,
}

impl<'a> Tree<'a> {
    fn new(costs: &'a [f64], n: usize, m: usize, scale: f64) -> Self {
        let root = n + m;
        let g = gcd(n, m);
        let (supply, demand) = ((m / g) as u64, (n / g) as u64);
        let mut tree = Tree {
            costs,
            n,
            m,
            root,
            supply,
            artificial: scale,
            negative: NEGATIVE * scale,
            parent: vec![NONE; root + 1],
            depth: vec![0; root + 1],
            flow: vec![demand; root + 1],
            dual: vec![scale; root + 1],
            child: vec![NONE; root + 1],
            next: vec![NONE; root + 1],
            previous: vec![NONE; root + 1],
            stack: Vec::new(),
        };
        tree.flow[..n].fill(supply);
        tree.dual[root] = 0.0;
        for node in 0..root {
            tree.depth[node] = 1;
            tree.hang(node, root);
        }
        tree
    }

    /// The column of least reduced cost in a row, if that is negative.
    fn best_of_row(&self, row: usize) -> Option<usize> {
        let costs = &self.costs[row * self.m..(row + 1) * self.m];
        let duals = &self.dual[self.n..self.root];
        // The least value first, several at a time; where it is is asked only if it counts.
        const LANES: usize = 8;
        let mut least = [f64::INFINITY; LANES];
        let ((c, c_rest), (v, v_rest)) = (costs.as_chunks::<LANES>(), duals.as_chunks::<LANES>());
        for (c, v) in c.iter().zip(v) {
            for k in 0..LANES {
                let reduced = c[k] - v[k];
                least[k] = if reduced < least[k] {
                    reduced
                } else {
                    least[k]
                };
            }
        }
        let rest = c_rest.iter().zip(v_rest).map(|(c, v)| c - v);
        let least = least.into_iter().chain(rest).fold(f64::INFINITY, f64::min);
        if least - self.dual[row] >= self.negative {
            return None;
        }
        costs.iter().zip(duals).position(|(c, v)| c - v == least)
    }

    /// Takes the arc from a row to a column into the tree, and another one out.
    fn enter(&mut self, row: usize, column: usize) {
        let column = self.n + column;
        let (mut a, mut b) = (row, column);
        while a != b {
            if self.depth[a] >= self.depth[b] {
                a = self.parent[a];
            } else {
                b = self.parent[b];
            }
        }
        let apex = a;
        // Flow goes from the apex down to the row, over to the column and back up. Against it run the arcs of rows on the first way, of columns on the second; the last one
        // met of those that run dry first leaves.
        let (mut least, mut out, mut on_row_side) = (u64::MAX, NONE, true);
        let mut node = row;
        while node != apex {
            if node < self.n && self.flow[node] < least {
                (least, out) = (self.flow[node], node);
            }
            node = self.parent[node];
        }
        node = column;
        while node != apex {
            if node >= self.n && self.flow[node] <= least {
                (least, out, on_row_side) = (self.flow[node], node, false);
            }
            node = self.parent[node];
        }
        if least > 0 {
            for (start, against) in [(row, true), (column, false)] {
                node = start;
                while node != apex {
                    if (node < self.n) == against {
                        self.flow[node] -= least;
                    } else {
                        self.flow[node] += least;
                    }
                    node = self.parent[node];
                }
            }
        }
        // What hung below the arc that left is turned over and hung from the other end of the one that came.
        let (mut node, mut above) = if on_row_side {
            (row, column)
        } else {
            (column, row)
        };
        let top = node;
        let mut flow = least;
        loop {
            let old = self.parent[node];
            self.unhang(node);
            self.hang(node, above);
            let held = std::mem::replace(&mut self.flow[node], flow);
            if node == out {
                break;
            }
            (above, node, flow) = (node, old, held);
        }
        self.refresh(top);
    }

    /// Depths and duals of a subtree from those of the node it hangs from. Duals are added up anew, so that rounding does not gather from step to step.
    fn refresh(&mut self, top: usize) {
        let mut stack = std::mem::take(&mut self.stack);
        stack.push(top);
        while let Some(node) = stack.pop() {
            let parent = self.parent[node];
            self.depth[node] = self.depth[parent] + 1;
            let cost = if parent == self.root {
                self.artificial
            } else {
                let (i, j) = (node.min(parent), node.max(parent) - self.n);
                self.costs[i * self.m + j]
            };
            self.dual[node] = cost - self.dual[parent];
            let mut child = self.child[node];
            while child != NONE {
                stack.push(child);
                child = self.next[child];
            }
        }
        self.stack = stack;
    }

    fn hang(&mut self, node: usize, parent: usize) {
        let first = std::mem::replace(&mut self.child[parent], node);
        self.parent[node] = parent;
        self.next[node] = first;
        self.previous[node] = NONE;
        if first != NONE {
            self.previous[first] = node;
        }
    }

    fn unhang(&mut self, node: usize) {
        let (previous, next) = (self.previous[node], self.next[node]);
        if previous == NONE {
            self.child[self.parent[node]] = next;
        } else {
            self.next[previous] = next;
        }
        if next != NONE {
            self.previous[next] = previous;
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cloud, marginal_error};
    use super::super::{Plan, squared_distances};
    use super::*;
    use charflow::exact::assignment;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// The naive twin: every point becomes as many as its units of mass, and all ways to pair them are tried, equal ones once.
    fn least(costs: &[f64], n: usize, m: usize) -> f64 {
        fn go(
            costs: &[f64],
            m: usize,
            row: usize,
            left: u64,
            supply: u64,
            room: &mut [u64],
        ) -> f64 {
            if left == 0 {
                return if (row + 1) * m == costs.len() {
                    0.0
                } else {
                    go(costs, m, row + 1, supply, supply, room)
                };
            }
            let mut best = f64::INFINITY;
            for j in 0..m {
                if room[j] > 0 {
                    room[j] -= 1;
                    let rest = go(costs, m, row, left - 1, supply, room);
                    best = best.min(costs[row * m + j] + rest);
                    room[j] += 1;
                }
            }
            best
        }
        let g = gcd(n, m);
        let supply = (m / g) as u64;
        go(costs, m, 0, supply, supply, &mut vec![(n / g) as u64; m]) * g as f64 / (n * m) as f64
    }

    /// Marginals, duals and complementary slackness: together they prove that the coupling is optimal.
    fn proven(costs: &[f64], found: &Exact) -> f64 {
        let Plan { mass, n, m } = &found.plan;
        let size = costs.iter().fold(1e-300_f64, |a, c| a.max(c.abs()));
        assert!(marginal_error(&found.plan) < 1e-12);
        assert!(mass.iter().filter(|p| **p > 0.0).count() < n + m);
        for i in 0..*n {
            for j in 0..*m {
                let slack = costs[i * m + j] - found.u[i] - found.v[j];
                assert!(slack > -1.1e-11 * size, "{i} {j} {slack}");
                assert!(
                    mass[i * m + j] == 0.0 || slack < 1e-12 * size,
                    "{i} {j} {slack}"
                );
            }
        }
        let primal = found.plan.cost(costs).unwrap();
        let dual =
            found.u.iter().sum::<f64>() / *n as f64 + found.v.iter().sum::<f64>() / *m as f64;
        assert!((primal - dual).abs() < 1e-11 * size, "{primal} {dual}");
        primal
    }

    #[test]
    fn meets_all_couplings() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (n, m) in [
            (1, 1),
            (1, 4),
            (4, 1),
            (2, 3),
            (3, 2),
            (3, 3),
            (2, 4),
            (4, 2),
            (3, 4),
            (6, 3),
            (4, 6),
        ] {
            for round in 0..40 {
                let costs: Vec<f64> = (0..n * m)
                    .map(|_| match round % 4 {
                        0 => rng.random_range(-1.0..1.0),
                        // Many ties.
                        1 => f64::from(rng.random_range(0..3_i32)),
                        // Ten orders of magnitude.
                        2 => 10f64.powf(rng.random_range(-5.0..5.0)),
                        // All negative.
                        _ => rng.random_range(-7.0..-1.0),
                    })
                    .collect();
                let found = proven(&costs, &exact(&costs, n, m).unwrap());
                // The twin takes long where rows have many units.
                if n * m <= 12 || round < 2 {
                    let best = least(&costs, n, m);
                    let size = costs.iter().fold(0.0_f64, |a, c| a.max(c.abs()));
                    assert!(
                        (found - best).abs() <= 1e-11 * size,
                        "{n} {m} round {round}: {found} {best}"
                    );
                }
            }
        }
    }

    #[test]
    fn of_as_many_points_it_is_the_assignment() {
        for (n, dim, seed) in [(60, 2, 1), (200, 2, 2), (150, 16, 3)] {
            let costs = squared_distances(
                &cloud(n, dim, 0.0, seed),
                &cloud(n, dim, 0.7, seed + 9),
                dim,
            )
            .unwrap();
            let found = proven(&costs, &exact(&costs, n, n).unwrap());
            let columns = assignment(&costs, n).unwrap();
            let expected = (0..n).map(|i| costs[i * n + columns[i]]).sum::<f64>() / n as f64;
            assert!(
                (found - expected).abs() < 1e-11 * expected.max(1.0),
                "{found} {expected}"
            );
        }
    }

    /// On a line the monotone coupling is optimal for every convex cost.
    #[test]
    fn on_a_line_it_is_the_monotone_coupling() {
        let (x, y) = (cloud(120, 1, 0.0, 5), cloud(77, 1, 2.0, 6));
        let costs = squared_distances(&x, &y, 1).unwrap();
        let found = proven(&costs, &exact(&costs, 120, 77).unwrap());
        let expected = charflow::exact::Rearrangement::new(&x, None, &y, None)
            .unwrap()
            .transport_cost(|v| v * v);
        assert!((found - expected).abs() < 1e-11, "{found} {expected}");
    }

    #[test]
    fn unequal_numbers_equal_costs_and_repeated_points_end() {
        for (n, m) in [(97, 60), (60, 97), (50, 100), (90, 60), (1, 300), (300, 1)] {
            let costs = squared_distances(&cloud(n, 3, 0.0, 7), &cloud(m, 3, 0.3, 8), 3).unwrap();
            proven(&costs, &exact(&costs, n, m).unwrap());
            assert!(
                (proven(&vec![2.5; n * m], &exact(&vec![2.5; n * m], n, m).unwrap()) - 2.5).abs()
                    < 1e-12
            );
            assert_eq!(
                proven(&vec![0.0; n * m], &exact(&vec![0.0; n * m], n, m).unwrap()),
                0.0
            );
        }
        // Ten places, twenty times against thirty times.
        let costs: Vec<f64> = (0..200 * 300)
            .map(|k| ((k / 300) as f64 % 10.0 - (k % 300 / 30) as f64).abs())
            .collect();
        assert!(proven(&costs, &exact(&costs, 200, 300).unwrap()).abs() < 1e-15);
    }

    /// The unit of the costs does not matter, and steps stay in proportion to the points.
    #[test]
    fn effort_and_units() {
        let (n, m) = (300, 280);
        let costs = squared_distances(&cloud(n, 10, 0.0, 9), &cloud(m, 10, 0.2, 10), 10).unwrap();
        let found = exact(&costs, n, m).unwrap();
        assert!(found.pivots < 60 * (n + m) as u64, "{}", found.pivots);
        let tiny: Vec<f64> = costs.iter().map(|c| 1e-200 * c).collect();
        let again = exact(&tiny, n, m).unwrap();
        let (a, b) = (
            found.plan.cost(&costs).unwrap(),
            again.plan.cost(&costs).unwrap(),
        );
        assert!((a - b).abs() < 1e-10 * a, "{a} {b}");
        assert!(exact(&costs, n, m + 1).is_err());
    }
}

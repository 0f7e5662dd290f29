//! The problem \[1\]: source and target samples, a cost, and which points may go where. Everything is checked here, once.
//!
//! ```text
//! min over T with T#mu = nu of  E_mu[ l(T(x) - x) ],      mu, nu on R^d given by samples
//! ```
//!
//! With class labels the maps are conditional \[17\]: `T#mu_k = nu_k` for every class `k`; the classes of the two sides are paired by name. Where some points have no
//! label, `T#mu = nu` is asked for as well, and that is all that these points take part in.

mod reach;

use crate::cost::Cost;
use crate::error::{Error, Result};
use crate::samples::{Moments, Samples, Scaling, UNLABELLED};
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Which source points may go to which target points.
#[derive(Clone, Debug, PartialEq)]
pub enum Pairing {
    /// All to all.
    Whole,
    /// Class to class of the same name. The three lists have the same length, one entry a class.
    ByClass {
        /// The names of the classes, in order.
        names: Vec<String>,
        /// The rows of each class in the source, ascending.
        source: Vec<Vec<u32>>,
        /// The rows of each class in the target, ascending.
        target: Vec<Vec<u32>>,
        /// Whether some points, on either side, have no class: then the whole clouds are compared too.
        whole: bool,
    },
}

/// A division of the rows of one side, each list ascending.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Split {
    /// The rows the solver learns from.
    pub train: Vec<u32>,
    /// The rows kept back to choose the model and to say how good it is. Empty when there are too few points to spare any.
    pub held_out: Vec<u32>,
}

/// A transport problem that makes sense.
#[derive(Debug)]
pub struct Problem {
    source: Samples,
    target: Samples,
    cost: Arc<dyn Cost>,
    pairing: Pairing,
    moments: (Moments, Moments),
    /// The samples as they were given and the moments of those that are solved for, if the cost has coordinates of its own.
    outside: Option<Box<Outside>>,
    scaling: Option<Scaling>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Outside {
    given: [Samples; 2],
    inner_moments: (Moments, Moments),
}

/// Below this many points on a side nothing is held out: the energy distance of two or three points tells nothing.
const FEWEST_TO_SPLIT: usize = 20;

impl Problem {
    /// Checks the two sides against each other.
    ///
    /// # Errors
    /// [`Error::Problem`], naming the sets by [`Samples::named`]: different dimensions, the same columns in another order, fewer than two
    /// points of positive weight on a side or in a class, labels on one side only, classes without a partner; a cost for points of another dimension, or one that
    /// forbids moves as long as some have to be.
    pub fn new(source: Samples, target: Samples, cost: Box<dyn Cost>) -> Result<Self> {
        check_columns(&source, &target)?;
        for side in [&source, &target] {
            let count = (0..side.len()).filter(|&i| weighs(side, i)).count();
            if count < 2 {
                return Err(Error::problem(format!(
                    "{}: {} found; a measure needs at least two points",
                    side.name(),
                    match (side.len(), count) {
                        (1, _) => "one point was".to_string(),
                        (n, count) => format!("{count} of {n} points with a positive weight was"),
                    }
                )));
            }
        }
        let pairing = pair_classes(&source, &target)?;
        let moments = (source.moments(), target.moments());
        let mut notes = notes(&source, &target, &moments);
        if let Some(d) = cost.dim().filter(|d| *d != source.dim()) {
            return Err(Error::problem(format!(
                "{}: the points have {} column{}, the cost is for {d}: its matrix needs as many rows as the points have columns",
                source.name(),
                source.dim(),
                if source.dim() == 1 { "" } else { "s" }
            )));
        }
        notes.extend(reach::check(&source, &target, &pairing, cost.as_ref())?);
        let (source, target, outside) = match cost.coordinates() {
            None => (source, target, None),
            Some(coordinates) => {
                let inside = [source.entered(coordinates)?, target.entered(coordinates)?];
                let inner_moments = (inside[0].moments(), inside[1].moments());
                let [s, t] = inside;
                let outside = Outside {
                    given: [source, target],
                    inner_moments,
                };
                (s, t, Some(Box::new(outside)))
            }
        };
        Ok(Self {
            outside,
            source,
            target,
            cost: cost.into(),
            pairing,
            moments,
            scaling: None,
            notes,
        })
    }

    /// The dimension `d` of the points.
    pub fn dim(&self) -> usize {
        self.source.dim()
    }

    /// The source samples that are solved for: in the coordinates of the cost, in solver units once [`Problem::normalise`] was called.
    pub fn source(&self) -> &Samples {
        &self.source
    }

    /// The target samples that are solved for, likewise.
    pub fn target(&self) -> &Samples {
        &self.target
    }

    /// Source and target as they were given, whatever the coordinates of the cost.
    pub fn given(&self) -> [&Samples; 2] {
        match &self.outside {
            Some(outside) => [&outside.given[0], &outside.given[1]],
            None => [&self.source, &self.target],
        }
    }

    /// The cost, in the user's units.
    pub fn cost(&self) -> &dyn Cost {
        self.cost.as_ref()
    }

    /// The same, for a map that outlives the problem.
    pub(crate) fn shared_cost(&self) -> Arc<dyn Cost> {
        Arc::clone(&self.cost)
    }

    /// Which points may go where.
    pub fn pairing(&self) -> &Pairing {
        &self.pairing
    }

    /// The moments of source and target, in the user's units.
    pub fn moments(&self) -> (&Moments, &Moments) {
        (&self.moments.0, &self.moments.1)
    }

    /// The moments of the samples that are solved for: in the coordinates of the cost, before [`Problem::normalise`].
    pub fn inner_moments(&self) -> (&Moments, &Moments) {
        match &self.outside {
            Some(outside) => (&outside.inner_moments.0, &outside.inner_moments.1),
            None => self.moments(),
        }
    }

    /// What a report should say of the data, a sentence each: copies, constant columns, flat clouds, extreme scales.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Goes to solver units, in place and without a second copy of the points: `values = (x - shift) / scale`, by [`Scaling::pooled`].
    /// A second call changes nothing.
    pub fn normalise(&mut self) -> Scaling {
        if let Some(scaling) = &self.scaling {
            return scaling.clone();
        }
        let (source, target) = self.inner_moments();
        let scaling = Scaling::pooled(source, target);
        self.normalise_with(scaling.clone());
        scaling
    }

    /// Goes to the solver units of an earlier solve, which a resumed one has to use.
    pub fn normalise_with(&mut self, scaling: Scaling) {
        self.source.normalise(&scaling);
        self.target.normalise(&scaling);
        self.scaling = Some(scaling);
    }

    /// The scaling in force, if [`Problem::normalise`] was called.
    pub fn scaling(&self) -> Option<&Scaling> {
        self.scaling.as_ref()
    }

    /// Divides the rows of source and target into those to learn from and those held out, about `fraction` of them, by class.
    ///
    /// The division depends on the seed and the counts alone. Rows of weight zero are never held out. A side, or a class, with fewer
    /// than 20 rows keeps all of them, and so does its partner, since held-out points are compared across; otherwise at least two rows
    /// end on either side of the division.
    ///
    /// # Errors
    /// [`Error::Config`] for the field `held_out.fraction` unless `0 <= fraction <= 0.5`.
    pub fn split(&self, seed: u64, fraction: f64) -> Result<(Split, Split)> {
        if !(0.0..=0.5).contains(&fraction) {
            return Err(Error::config(
                "held_out.fraction",
                format!("expected a number from 0 to 0.5, found {fraction}"),
            ));
        }
        let whole = |samples: &Samples| vec![(0..samples.len() as u32).collect::<Vec<u32>>()];
        let (source, target) = match &self.pairing {
            Pairing::Whole => (whole(&self.source), whole(&self.target)),
            Pairing::ByClass {
                source,
                target,
                whole: false,
                ..
            } => (source.clone(), target.clone()),
            Pairing::ByClass { source, target, .. } => (
                vec![dispensable(&self.source, source)],
                vec![dispensable(&self.target, target)],
            ),
        };
        // A generator for each side, so that one side's split does not move when the other gains a point.
        let mut rngs = [0, 1].map(|side| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(side);
            rng
        });
        let mut splits = (Split::default(), Split::default());
        for (s, t) in source.into_iter().zip(target) {
            let weighing = |samples: &Samples, rows: &[u32]| -> Vec<u32> {
                rows.iter()
                    .copied()
                    .filter(|&i| weighs(samples, i as usize))
                    .collect()
            };
            let eligible = (weighing(&self.source, &s), weighing(&self.target, &t));
            let spare = fraction > 0.0
                && eligible.0.len() >= FEWEST_TO_SPLIT
                && eligible.1.len() >= FEWEST_TO_SPLIT;
            for (side, eligible, split) in [
                (0, eligible.0, &mut splits.0),
                (1, eligible.1, &mut splits.1),
            ] {
                let held = if spare {
                    let held = (fraction * eligible.len() as f64).round() as usize;
                    choose(eligible, held.max(2), &mut rngs[side])
                } else {
                    Vec::new()
                };
                split.held_out.extend(held);
            }
        }
        for (samples, split) in [(&self.source, &mut splits.0), (&self.target, &mut splits.1)] {
            split.held_out.sort_unstable();
            split.train = (0..samples.len() as u32)
                .filter(|i| split.held_out.binary_search(i).is_err())
                .collect();
        }
        Ok(splits)
    }
}

/// The rows of one side that may be held out where labels are few: all but those of a class with fewer than 20, which have to be learnt from.
fn dispensable(samples: &Samples, classes: &[Vec<u32>]) -> Vec<u32> {
    let mut keep = vec![false; samples.len()];
    for rows in classes.iter().filter(|rows| rows.len() < FEWEST_TO_SPLIT) {
        rows.iter().for_each(|&i| keep[i as usize] = true);
    }
    (0..samples.len() as u32)
        .filter(|&i| !keep[i as usize])
        .collect()
}

/// `count` of the rows, at random, ascending: the first steps of a Fisher-Yates shuffle.
fn choose(mut rows: Vec<u32>, count: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    for k in 0..count {
        let other = rng.random_range(k..rows.len());
        rows.swap(k, other);
    }
    rows.truncate(count);
    rows.sort_unstable();
    rows
}

fn weighs(samples: &Samples, i: usize) -> bool {
    samples.weights().is_none_or(|w| w[i] > 0.0)
}

fn check_columns(source: &Samples, target: &Samples) -> Result<()> {
    let list = |samples: &Samples| match samples.columns() {
        Some(columns) => format!(" ({})", some(columns)),
        None => String::new(),
    };
    if source.dim() != target.dim() {
        return Err(Error::problem(format!(
            "{} has {} columns{}, {} has {}{}; source and target need the same columns, choose them with `columns`",
            source.name(),
            source.dim(),
            list(source),
            target.name(),
            target.dim(),
            list(target),
        )));
    }
    if let (Some(a), Some(b)) = (source.columns(), target.columns())
        && a != b
    {
        let (mut sorted_a, mut sorted_b) = (a.to_vec(), b.to_vec());
        sorted_a.sort();
        sorted_b.sort();
        if sorted_a == sorted_b {
            return Err(Error::problem(format!(
                "{} and {} have the same columns in another order{} against{}; name them in one order with `columns`",
                source.name(),
                target.name(),
                list(source),
                list(target),
            )));
        }
    }
    Ok(())
}

fn pair_classes(source: &Samples, target: &Samples) -> Result<Pairing> {
    let (of_source, of_target) = match (source.class_of(), target.class_of()) {
        (None, None) => return Ok(Pairing::Whole),
        (Some(s), Some(t)) => (s, t),
        (s, _) => {
            let (with, without) = if s.is_some() {
                (source, target)
            } else {
                (target, source)
            };
            return Err(Error::problem(format!(
                "{} has class labels, {} has none; classes are paired by name, so give both labels or neither",
                with.name(),
                without.name()
            )));
        }
    };
    let (rows_s, rows_t) = (
        rows_by_class(source, of_source),
        rows_by_class(target, of_target),
    );
    let only = |a: &[(String, Vec<u32>)], b: &[(String, Vec<u32>)]| -> Vec<String> {
        a.iter()
            .map(|(name, _)| name)
            .filter(|name| !b.iter().any(|(other, _)| other == *name))
            .cloned()
            .collect()
    };
    let (only_s, only_t) = (only(&rows_s, &rows_t), only(&rows_t, &rows_s));
    if !only_s.is_empty() || !only_t.is_empty() {
        let mut parts = Vec::new();
        for (names, side) in [(&only_s, source), (&only_t, target)] {
            if !names.is_empty() {
                parts.push(format!("only {} has {}", side.name(), quoted(names)));
            }
        }
        let fold = |name: &String| name.trim().to_lowercase();
        let hint = if only_s
            .iter()
            .any(|a| only_t.iter().any(|b| fold(a) == fold(b)))
        {
            " (capitals and spaces count)"
        } else {
            ""
        };
        return Err(Error::problem(format!(
            "classes without a partner: {}; classes are paired by name{hint}: rename these, leave their rows out, or fit without labels",
            parts.join(", "),
        )));
    }
    for (side, rows) in [(source, &rows_s), (target, &rows_t)] {
        for (name, rows) in rows {
            let count = rows.iter().filter(|&&i| weighs(side, i as usize)).count();
            if count < 2 {
                return Err(Error::problem(format!(
                    "{}: class \"{name}\" has {count} point{} of positive weight; every class needs at least two: add points, leave the class out on both \
                     sides, or fit without labels",
                    side.name(),
                    if count == 1 { "" } else { "s" },
                )));
            }
        }
    }
    let whole = [of_source, of_target]
        .iter()
        .any(|of| of.contains(&UNLABELLED));
    let (names, source) = rows_s.into_iter().unzip();
    Ok(Pairing::ByClass {
        names,
        source,
        whole,
        target: rows_t.into_iter().map(|(_, rows)| rows).collect(),
    })
}

/// The rows of each class that has any, by name. [`Samples::select`] may leave classes empty.
fn rows_by_class(samples: &Samples, class_of: &[u32]) -> Vec<(String, Vec<u32>)> {
    let mut rows = vec![Vec::new(); samples.class_names().len()];
    for (i, &k) in class_of.iter().enumerate() {
        if k != UNLABELLED {
            rows[k as usize].push(i as u32);
        }
    }
    samples
        .class_names()
        .iter()
        .cloned()
        .zip(rows)
        .filter(|(_, rows)| !rows.is_empty())
        .collect()
}

/// At most eight names, then how many more.
fn shortened(names: &[String], write: impl Fn(&String) -> String) -> String {
    let mut text = names
        .iter()
        .take(8)
        .map(write)
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > 8 {
        text.push_str(&format!(" and {} more", names.len() - 8));
    }
    text
}

fn some(names: &[String]) -> String {
    shortened(names, String::clone)
}

fn quoted(names: &[String]) -> String {
    shortened(names, |name| format!("\"{name}\""))
}

/// The ranks of larger covariances are not worth their `O(d^3)` here.
const LARGEST_RANK: usize = 1024;

fn notes(source: &Samples, target: &Samples, moments: &(Moments, Moments)) -> Vec<String> {
    let mut notes = Vec::new();
    for (side, moments) in [(source, &moments.0), (target, &moments.1)] {
        let (n, d) = (side.len(), side.dim());
        if moments.distinct() == 1 {
            notes.push(format!(
                "{}: all {n} points are the same point; no map can spread one point",
                side.name()
            ));
            continue;
        }
        if moments.duplicates > 0 {
            notes.push(format!(
                "{}: {} of {n} points are exact copies of another",
                side.name(),
                moments.duplicates
            ));
        }
        if !moments.constant.is_empty() {
            let columns: Vec<String> = moments
                .constant
                .iter()
                .map(|&j| {
                    format!(
                        "{} is {} everywhere",
                        side.column_in_words(j),
                        moments.mean[j]
                    )
                })
                .collect();
            notes.push(format!("{}: {}", side.name(), some(&columns)));
        }
        if n <= d {
            notes.push(format!(
                "{}: {n} points in {d} dimensions span at most {} of them",
                side.name(),
                n - 1
            ));
        } else if d <= LARGEST_RANK {
            let (rank, varying) = (moments.rank(), d - moments.constant.len());
            if rank < varying {
                notes.push(format!(
                    "{}: the points lie in a flat of {rank} dimensions, out of {varying} columns that vary",
                    side.name()
                ));
            }
        }
        if moments.effective_count < 2.0 * (n as f64).sqrt().min(10.0) && side.weights().is_some() {
            notes.push(format!(
                "{}: the weights leave {:.1} of {n} points effective",
                side.name(),
                moments.effective_count
            ));
        }
    }
    let (s, t) = (&moments.0, &moments.1);
    if let (Some(a), Some(b)) = (source.columns(), target.columns())
        && a != b
    {
        notes.push(format!(
            "the columns have other names in {} ({}) than in {} ({}); they are matched by place",
            source.name(),
            some(a),
            target.name(),
            some(b)
        ));
    }
    // Far clouds and uneven columns cost digits: the solver sees everything in units of the one scale, with 24 bits.
    let scaling = Scaling::pooled(s, t);
    let apart = s
        .mean
        .iter()
        .zip(&t.mean)
        .map(|(a, b)| (b - a).powi(2))
        .sum::<f64>()
        .sqrt()
        / scaling.scale;
    if apart > 1e4 * (s.dim() as f64).sqrt() && s.variance() + t.variance() > 0.0 {
        notes.push(format!(
            "the means are {apart:.0} times further apart than the points of one side are; the fit loses digits, subtract the mean of each side first"
        ));
    }
    let deviation = |j: usize| (0.5 * (s.cov[j * s.dim() + j] + t.cov[j * s.dim() + j])).sqrt();
    let faint: Vec<String> = (0..s.dim())
        .filter(|&j| deviation(j) > 0.0 && deviation(j) < 1e-5 * scaling.scale)
        .map(|j| source.column_in_words(j))
        .collect();
    if !faint.is_empty() {
        notes.push(format!(
            "{} vary 100,000 times less than the columns do on average, so the cost hardly sees them; use other units if they matter",
            some(&faint)
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Quadratic;

    fn grid(n: usize, d: usize) -> Samples {
        let x: Vec<f64> = (0..n * d)
            .map(|i| ((i * 7919 % 1009) as f64 / 1009.0 - 0.5) + ((i / d) as f64).sin())
            .collect();
        Samples::from_f64(&x, d).unwrap()
    }

    fn labelled(labels: &[(&str, usize)], name: &str) -> Samples {
        let labels: Vec<String> = labels
            .iter()
            .flat_map(|(label, n)| vec![label.to_string(); *n])
            .collect();
        grid(labels.len(), 2)
            .with_labels(labels)
            .unwrap()
            .named(name)
    }

    fn problem(source: Samples, target: Samples) -> Result<Problem> {
        Problem::new(source, target, Box::new(Quadratic))
    }

    fn says(result: Result<Problem>, words: &[&str]) {
        let message = result.unwrap_err().to_string();
        for word in words {
            assert!(message.contains(word), "{message:?} lacks {word:?}");
        }
    }

    #[test]
    fn a_friendly_problem_has_nothing_to_note() {
        let problem = problem(grid(50, 2).named("s"), grid(60, 2).named("t")).unwrap();
        assert_eq!(problem.notes(), &[] as &[String]);
        assert_eq!(problem.pairing(), &Pairing::Whole);
        assert_eq!(
            (problem.dim(), problem.cost().name()),
            (2, "quadratic".into())
        );
    }

    #[test]
    fn dimensions_and_columns_must_agree() {
        says(
            problem(grid(5, 2).named("a.npy"), grid(5, 3).named("b.npy")),
            &["a.npy has 2 columns", "b.npy has 3", "columns"],
        );
        let named = |columns: [&str; 2], name: &str| {
            grid(5, 2)
                .with_columns(columns.map(String::from).to_vec())
                .unwrap()
                .named(name)
        };
        says(
            problem(named(["x", "y"], "a.csv"), named(["y", "x"], "b.csv")),
            &["a.csv", "b.csv", "another order", "x, y"],
        );
        let other = problem(named(["x", "y"], "a.csv"), named(["u", "v"], "b.csv")).unwrap();
        assert!(
            other.notes()[0].contains("other names"),
            "{:?}",
            other.notes()
        );
    }

    #[test]
    fn a_measure_needs_two_points_that_weigh_something() {
        says(
            problem(grid(1, 2).named("lonely.csv"), grid(5, 2)),
            &["lonely.csv", "one point", "at least two"],
        );
        let weighted = grid(5, 2)
            .with_weights(vec![0.0, 0.0, 1.0, 0.0, 0.0])
            .unwrap();
        says(
            problem(grid(5, 2), weighted.named("w.csv")),
            &["w.csv", "1 of 5 points", "positive weight"],
        );
    }

    #[test]
    fn points_without_a_label_take_part_in_the_whole_only() {
        let some: Vec<Option<String>> = (0..100)
            .map(|i| (i < 6).then(|| ["a", "b"][i % 2].to_string()))
            .collect();
        let target = grid(100, 2).with_some_labels(some).unwrap().named("t");
        assert_eq!(
            (target.class_name(1), target.class_name(6)),
            (Some("b"), None)
        );
        let pair = problem(labelled(&[("a", 40), ("b", 40)], "s"), target).unwrap();
        let Pairing::ByClass { target, whole, .. } = pair.pairing() else {
            panic!("{:?}", pair.pairing());
        };
        assert!(*whole);
        assert_eq!(target, &vec![vec![0, 2, 4], vec![1, 3, 5]]);
        // The few labelled points are all learnt from, and points are held out on both sides all the same.
        let (s, t) = pair.split(0, 0.2).unwrap();
        assert!((0..6).all(|i| t.train.contains(&i)), "{t:?}");
        assert_eq!((s.held_out.len(), t.held_out.len()), (16, 19));
        assert_eq!(t.train.len() + t.held_out.len(), 100);
    }

    #[test]
    fn labels_that_are_all_missing_are_refused() {
        let message = grid(3, 2)
            .named("bare")
            .with_some_labels(vec![None; 3])
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("bare") && message.contains("none of the 3"),
            "{message}"
        );
    }

    #[test]
    fn classes_are_paired_by_name() {
        let pair = problem(
            labelled(&[("b", 3), ("a", 2)], "s"),
            labelled(&[("a", 4), ("b", 2)], "t"),
        )
        .unwrap();
        let Pairing::ByClass {
            names,
            source,
            target,
            whole: false,
        } = pair.pairing()
        else {
            panic!("expected classes");
        };
        assert_eq!(names, &["a", "b"]);
        assert_eq!(source, &[vec![3, 4], vec![0, 1, 2]]);
        assert_eq!(target, &[vec![0, 1, 2, 3], vec![4, 5]]);
    }

    #[test]
    fn classes_that_do_not_pair_are_named_with_a_remedy() {
        says(
            problem(
                labelled(&[("mono", 3), ("T cell", 2)], "s.csv"),
                labelled(&[("mono", 4), ("t cell", 2), ("ery", 2)], "t.csv"),
            ),
            &[
                "only s.csv has \"T cell\"",
                "only t.csv has \"ery\", \"t cell\"",
                "capitals",
                "rename",
                "without labels",
            ],
        );
        says(
            problem(labelled(&[("a", 3)], "s.csv"), grid(3, 2).named("t.csv")),
            &["s.csv has class labels", "t.csv has none"],
        );
        says(
            problem(
                labelled(&[("a", 3), ("b", 1)], "s.csv"),
                labelled(&[("a", 3), ("b", 5)], "t.csv"),
            ),
            &["s.csv", "class \"b\" has 1 point ", "at least two"],
        );
        let many: Vec<String> = (0..30).map(|k| format!("c{k:02}")).collect();
        let many: Vec<(&str, usize)> = many.iter().map(|name| (name.as_str(), 2)).collect();
        says(
            problem(labelled(&many, "s.csv"), labelled(&[("c00", 3)], "t.csv")),
            &["\"c08\" and 21 more"],
        );
    }

    #[test]
    fn notes_say_what_is_degenerate() {
        // y is constant in the source; the target lies on a line and repeats a point.
        let source: Vec<f64> = (0..30).flat_map(|i| [i as f64, 2.5]).collect();
        let target: Vec<f64> = (0..30)
            .map(|i| (i % 28) as f64)
            .flat_map(|i| [i, 3.0 * i])
            .collect();
        let columns = || vec!["x".to_string(), "y".to_string()];
        let side = |x: &[f64], name: &str| {
            Samples::from_f64(x, 2)
                .unwrap()
                .with_columns(columns())
                .unwrap()
                .named(name)
        };
        let notes = problem(side(&source, "s.csv"), side(&target, "t.csv"))
            .unwrap()
            .notes()
            .join("\n");
        for words in [
            "s.csv: column 2 (\"y\") is 2.5 everywhere",
            "t.csv: 2 of 30 points are exact copies",
            "t.csv: the points lie in a flat of 1 dimensions, out of 2",
        ] {
            assert!(notes.contains(words), "{notes:?} lacks {words:?}");
        }
        let notes = problem(
            grid(5, 9).named("few"),
            Samples::new(vec![1.0; 90], 9).unwrap().named("same"),
        )
        .unwrap()
        .notes()
        .join("\n");
        assert!(notes.contains("few: 5 points in 9 dimensions"), "{notes}");
        assert!(
            notes.contains("same: all 10 points are the same"),
            "{notes}"
        );
    }

    #[test]
    fn notes_say_where_digits_are_lost() {
        let shifted: Vec<f64> = grid(50, 2).to_f64().iter().map(|v| v + 1e7).collect();
        let far = problem(grid(50, 2), Samples::from_f64(&shifted, 2).unwrap()).unwrap();
        assert!(
            far.notes()[0].contains("further apart"),
            "{:?}",
            far.notes()
        );
        let uneven: Vec<f64> = grid(50, 2)
            .to_f64()
            .chunks(2)
            .flat_map(|x| [x[0] * 1e7, x[1]])
            .collect();
        let uneven = Samples::from_f64(&uneven, 2).unwrap();
        let uneven = problem(uneven.clone(), uneven).unwrap();
        assert!(
            uneven.notes()[0].contains("column 2 vary"),
            "{:?}",
            uneven.notes()
        );
    }

    #[test]
    fn normalising_happens_in_place_and_once() {
        let x: Vec<f64> = grid(500, 3)
            .to_f64()
            .iter()
            .map(|v| 1e6 * (v + 40.0))
            .collect();
        let y: Vec<f64> = grid(400, 3).to_f64().iter().map(|v| 3e6 * v).collect();
        let mut problem = problem(
            Samples::from_f64(&x, 3).unwrap(),
            Samples::from_f64(&y, 3).unwrap(),
        )
        .unwrap();
        let place = problem.source().values().as_ptr();
        let scaling = problem.normalise();
        assert_eq!(problem.source().values().as_ptr(), place);
        let z = problem.source().values().to_vec();
        assert_eq!(problem.normalise(), scaling);
        assert_eq!(problem.source().values(), z);
        assert_eq!(problem.scaling(), Some(&scaling));
        // Pooled mean 0, average variance 1, and user units as before.
        let unit = |s: &Samples| Samples::new(s.values().to_vec(), 3).unwrap().moments();
        let (s, t) = (unit(problem.source()), unit(problem.target()));
        for j in 0..3 {
            assert!((s.mean[j] + t.mean[j]).abs() < 1e-5);
        }
        assert!((0.5 * (s.variance() + t.variance()) / 3.0 - 1.0).abs() < 1e-5);
        for (a, b) in problem.source().to_f64().iter().zip(&x) {
            assert!((a - b).abs() <= 1e-6 * 4e7);
        }
    }

    #[test]
    fn normalised_values_are_the_same_on_any_number_of_threads() {
        let on = |threads| {
            let mut problem = problem(grid(20_000, 3), grid(100, 3)).unwrap();
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(|| problem.normalise());
            problem.source().values().to_vec()
        };
        assert_eq!(on(1), on(3));
    }

    fn is_division(split: &Split, n: usize) {
        let mut all = [split.train.clone(), split.held_out.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..n as u32).collect::<Vec<_>>());
        assert!(split.train.is_sorted() && split.held_out.is_sorted());
    }

    #[test]
    fn a_split_divides_the_rows_and_depends_on_the_seed_alone() {
        let p = problem(grid(1000, 2), grid(300, 2)).unwrap();
        let (s, t) = p.split(7, 0.1).unwrap();
        is_division(&s, 1000);
        is_division(&t, 300);
        assert_eq!((s.held_out.len(), t.held_out.len()), (100, 30));
        assert_eq!(p.split(7, 0.1).unwrap(), (s.clone(), t));
        assert_ne!(p.split(8, 0.1).unwrap().0, s);
        // The source's split does not move with the target's size.
        let other = problem(grid(1000, 2), grid(200, 2)).unwrap();
        assert_eq!(other.split(7, 0.1).unwrap().0, s);
        // The rows are spread evenly: the mean of 100 out of 1000 is 500 +- 27.
        let mean = s.held_out.iter().sum::<u32>() as f64 / 100.0;
        assert!((mean - 500.0).abs() < 110.0, "{mean}");
        assert!(p.split(7, 0.0).unwrap().0.held_out.is_empty());
        for fraction in [-0.1, 0.6, f64::NAN] {
            let message = p.split(7, fraction).unwrap_err().to_string();
            assert!(message.contains("held_out.fraction"), "{message}");
        }
    }

    #[test]
    fn a_split_keeps_classes_in_proportion_and_small_ones_whole() {
        let p = problem(
            labelled(&[("a", 200), ("b", 40), ("c", 5), ("d", 100)], "s"),
            labelled(&[("a", 100), ("b", 25), ("c", 100), ("d", 30)], "t"),
        )
        .unwrap();
        let (s, t) = p.split(1, 0.04).unwrap();
        is_division(&s, 345);
        is_division(&t, 255);
        let count = |split: &Split, samples: &Samples| {
            let mut count = [0; 4];
            for &i in &split.held_out {
                count[samples.class_of().unwrap()[i as usize] as usize] += 1;
            }
            count
        };
        assert_eq!(count(&s, p.source()), [8, 2, 0, 4]);
        assert_eq!(count(&t, p.target()), [4, 2, 0, 2]);
    }

    #[test]
    fn few_points_and_points_without_weight_are_not_held_out() {
        let p = problem(grid(19, 2), grid(500, 2)).unwrap();
        let (s, t) = p.split(1, 0.2).unwrap();
        assert!(s.held_out.is_empty() && t.held_out.is_empty());
        let weights: Vec<f64> = (0..100).map(|i| (i % 2) as f64).collect();
        let p = problem(grid(100, 2).with_weights(weights).unwrap(), grid(100, 2)).unwrap();
        let (s, _) = p.split(1, 0.2).unwrap();
        is_division(&s, 100);
        assert_eq!(s.held_out.len(), 10);
        assert!(s.held_out.iter().all(|i| i % 2 == 1));
    }
}

//! Samples of one measure: points, weights, classes, and the shift and scale the solver works in.
//!
//! ```text
//! mu ~ sum_i w_i delta(x_i),    x_i = origin + unit * values_i in R^d,    w_i >= 0, sum_i w_i = 1
//! ```
//!
//! The points are stored once, in `f32`, as offsets from an `f64` origin. So a table of `f64` values with a large offset
//! (coordinates of a map, time stamps) loses nothing, and a table of `f32` values is taken as it lies in memory.
//! [`Samples`] never copies its values: going to solver units ([`Scaling`]) happens in place, by changing `values`, `origin`
//! and `unit` together, so that everything asked in the user's units has the same answer before and after.

use crate::cost::Coordinates;
use crate::error::{Error, Result};
use nalgebra::DMatrix;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// As how many points of equal weight `n` points count, with weights of sum 1: `1 / sum w^2` (Kish 1965).
pub(crate) fn effective_number(weights: Option<&[f64]>, n: usize) -> f64 {
    weights.map_or(n as f64, |w| 1.0 / w.iter().map(|w| w * w).sum::<f64>())
}

/// `|a - b|` of two points.
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    square.sqrt()
}

/// Where [`Samples::class_of`] says that a point has no label, beside others that have one.
pub const UNLABELLED: u32 = u32::MAX;

/// Points of one measure in `R^d`, with optional weights and class labels. Finite by construction, never empty.
#[derive(Clone, Debug)]
pub struct Samples {
    name: String,
    dim: usize,
    values: Vec<f32>,
    origin: Vec<f64>,
    unit: f64,
    columns: Option<Vec<String>>,
    weights: Option<Vec<f64>>,
    class_names: Vec<String>,
    class_of: Option<Vec<u32>>,
}

impl Samples {
    /// `n` points from `values: [n, dim]` (row-major). The values are taken over, not copied.
    ///
    /// # Errors
    /// [`Error::Problem`] if there is no point, no column, a part of a row, or a value that is not finite.
    pub fn new(values: Vec<f32>, dim: usize) -> Result<Self> {
        Self::with_origin(values, dim, vec![0.0; dim])
    }

    /// `n` points `origin + values_i` from `values: [n, dim]` and `origin: [dim]`. The values are taken over, not copied.
    ///
    /// # Errors
    /// As [`Samples::new`], and if the origin has another length or is not finite.
    pub fn with_origin(values: Vec<f32>, dim: usize, origin: Vec<f64>) -> Result<Self> {
        check_shape(values.len(), dim)?;
        if origin.len() != dim {
            return Err(Error::problem(format!(
                "the origin has {} coordinates, the points have {dim}",
                origin.len()
            )));
        }
        if let Some(j) = origin.iter().position(|v| !v.is_finite()) {
            return Err(Error::problem(format!(
                "column {} of the origin is {}; expected a finite value",
                j + 1,
                origin[j]
            )));
        }
        if let Some(at) = first_not_finite(&values) {
            return Err(not_finite(at, dim, f64::from(values[at])));
        }
        Ok(Self::from_parts(values, dim, origin, 1.0))
    }

    /// `n` points from `f64` values `[n, dim]`, for any scale up to 1e100: a column whose offset is large beside its spread gets an
    /// origin, so what is rounded to `f32` is the distance from the middle of the column.
    ///
    /// # Errors
    /// As [`Samples::new`], and for values beyond 1e100.
    pub fn from_f64(values: &[f64], dim: usize) -> Result<Self> {
        check_shape(values.len(), dim)?;
        let mut low = vec![f64::INFINITY; dim];
        let mut high = vec![f64::NEG_INFINITY; dim];
        for (at, &v) in values.iter().enumerate() {
            if !v.is_finite() {
                return Err(not_finite(at, dim, v));
            }
            if v.abs() > 1e100 {
                return Err(Error::problem(format!(
                    "row {}, column {} of the samples is {v:e}; values up to 1e100 can be used, choose another unit",
                    at / dim + 1,
                    at % dim + 1
                )));
            }
            let j = at % dim;
            low[j] = low[j].min(v);
            high[j] = high[j].max(v);
        }
        // Without need no origin: then values that were f32 to begin with stay exactly what they were.
        let origin: Vec<f64> = (0..dim)
            .map(|j| {
                let (middle, half) = (0.5 * (low[j] + high[j]), 0.5 * (high[j] - low[j]));
                if middle.abs() > 4.0 * half {
                    middle
                } else {
                    0.0
                }
            })
            .collect();
        let largest = (0..dim)
            .map(|j| (low[j] - origin[j]).abs().max((high[j] - origin[j]).abs()))
            .fold(0.0, f64::max);
        // f32 reaches from 1e-38 to 1e38. Beyond half of that (in the exponent) a power of two carries the rest, exactly.
        let unit = if largest > 0.0 && !(1e-18..=1e18).contains(&largest) {
            largest.log2().floor().exp2()
        } else {
            1.0
        };
        let stored = values
            .iter()
            .enumerate()
            .map(|(at, v)| ((v - origin[at % dim]) / unit) as f32)
            .collect();
        Ok(Self::from_parts(stored, dim, origin, unit))
    }

    fn from_parts(values: Vec<f32>, dim: usize, origin: Vec<f64>, unit: f64) -> Self {
        Self {
            name: "samples".into(),
            dim,
            values,
            origin,
            unit,
            columns: None,
            weights: None,
            class_names: Vec::new(),
            class_of: None,
        }
    }

    /// The name used in messages and notes: a file name, or `source`.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Names of the `dim` columns, used in messages and notes, and to see that two sets have theirs in the same order.
    ///
    /// # Errors
    /// [`Error::Problem`] if there are more or fewer names than columns.
    pub fn with_columns(mut self, columns: Vec<String>) -> Result<Self> {
        if columns.len() != self.dim {
            return Err(Error::problem(format!(
                "{}: {} column names for {} columns",
                self.name,
                columns.len(),
                self.dim
            )));
        }
        self.columns = Some(columns);
        Ok(self)
    }

    /// One weight a point, at least 0; only their ratios matter, they are stored with sum 1.
    ///
    /// # Errors
    /// [`Error::Problem`] if the number differs from the number of points, a weight is negative or not finite, or all are zero.
    pub fn with_weights(mut self, mut weights: Vec<f64>) -> Result<Self> {
        if weights.len() != self.len() {
            return Err(Error::problem(format!(
                "{}: {} weights for {} points; expected one a point",
                self.name,
                weights.len(),
                self.len()
            )));
        }
        if let Some(i) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(Error::problem(format!(
                "{}: the weight in row {} is {}; expected a number of at least 0",
                self.name,
                i + 1,
                weights[i]
            )));
        }
        // By the largest first, so that no sum overflows or vanishes.
        let largest = weights.iter().copied().fold(0.0, f64::max);
        if largest == 0.0 {
            return Err(Error::problem(format!(
                "{}: all {} weights are zero; at least two must be positive",
                self.name,
                weights.len()
            )));
        }
        let sum: f64 = weights.iter().map(|w| w / largest).sum();
        for w in &mut weights {
            *w = *w / largest / sum;
        }
        self.weights = Some(weights);
        Ok(self)
    }

    /// One class label a point. The classes are ordered by name.
    ///
    /// # Errors
    /// [`Error::Problem`] if the number differs from the number of points or a label is empty.
    pub fn with_labels(self, labels: Vec<String>) -> Result<Self> {
        self.with_some_labels(labels.into_iter().map(Some).collect())
    }

    /// A class label for some of the points, `None` for the others: their class is not known, and they take part in what the whole clouds have to satisfy only.
    ///
    /// # Errors
    /// [`Error::Problem`] if the number differs from the number of points, a label is empty, or no point has one.
    pub fn with_some_labels(mut self, labels: Vec<Option<String>>) -> Result<Self> {
        if labels.len() != self.len() {
            return Err(Error::problem(format!(
                "{}: {} labels for {} points; expected one a point",
                self.name,
                labels.len(),
                self.len()
            )));
        }
        if labels.iter().all(Option::is_none) {
            return Err(Error::problem(format!(
                "{}: none of the {} points has a label; label some, or leave labels out",
                self.name,
                labels.len()
            )));
        }
        let empty = |label: &Option<String>| label.as_ref().is_some_and(|l| l.trim().is_empty());
        if let Some(i) = labels.iter().position(empty) {
            return Err(Error::problem(format!(
                "{}: the label in row {} is empty; give every point a class, or leave the row out",
                self.name,
                i + 1
            )));
        }
        let mut names: Vec<&String> = Vec::new();
        {
            let mut seen = std::collections::HashSet::new();
            for label in labels.iter().flatten() {
                if seen.insert(label) {
                    names.push(label);
                }
            }
        }
        names.sort();
        let names: Vec<String> = names.into_iter().cloned().collect();
        let index: std::collections::HashMap<&str, u32> = names
            .iter()
            .enumerate()
            .map(|(k, name)| (name.as_str(), k as u32))
            .collect();
        self.class_of = Some(
            labels
                .iter()
                .map(|label| label.as_ref().map_or(UNLABELLED, |l| index[l.as_str()]))
                .collect(),
        );
        self.class_names = names;
        Ok(self)
    }

    /// The name used in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of points `n`, at least 1.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// The dimension `d` of the points.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The stored values `[n, d]`: `x = origin + unit * values`. After [`crate::Problem::normalise`] these are the points in solver units.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The origin `[d]` of the stored values, in the user's units.
    pub fn origin(&self) -> &[f64] {
        &self.origin
    }

    /// The length of one stored unit, in the user's units.
    pub fn unit(&self) -> f64 {
        self.unit
    }

    /// The names of the columns, if they have any.
    pub fn columns(&self) -> Option<&[String]> {
        self.columns.as_deref()
    }

    /// Column `j` (from 0) in words, for messages: its number from 1, and its name.
    pub(crate) fn column_in_words(&self, j: usize) -> String {
        match &self.columns {
            Some(columns) => format!("column {} (\"{}\")", j + 1, columns[j]),
            None => format!("column {}", j + 1),
        }
    }

    /// The weights `[n]`, with sum 1; `None` when all points weigh the same.
    pub fn weights(&self) -> Option<&[f64]> {
        self.weights.as_deref()
    }

    /// The names of the classes in order, empty without labels.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The class of each point as an index into [`Samples::class_names`], [`UNLABELLED`] where a point has none; `None` without labels.
    pub fn class_of(&self) -> Option<&[u32]> {
        self.class_of.as_deref()
    }

    /// Point `i` in the user's units, `[d]`.
    pub fn point(&self, i: usize) -> Vec<f64> {
        let row = &self.values[i * self.dim..(i + 1) * self.dim];
        row.iter()
            .zip(&self.origin)
            .map(|(&v, o)| o + self.unit * f64::from(v))
            .collect()
    }

    /// All points in the user's units, `[n, d]`: a copy, at twice the memory of the samples.
    pub fn to_f64(&self) -> Vec<f64> {
        let mut out = vec![0.0; self.values.len()];
        for (row, out) in self
            .values
            .chunks_exact(self.dim)
            .zip(out.chunks_exact_mut(self.dim))
        {
            for j in 0..self.dim {
                out[j] = self.origin[j] + self.unit * f64::from(row[j]);
            }
        }
        out
    }

    /// The points of the given rows in the user's units, `[rows, d]`.
    pub fn gather(&self, rows: &[u32]) -> Vec<f64> {
        let mut out = Vec::with_capacity(rows.len() * self.dim);
        for &i in rows {
            let row = &self.values[i as usize * self.dim..(i as usize + 1) * self.dim];
            out.extend(
                row.iter()
                    .zip(&self.origin)
                    .map(|(&v, o)| o + self.unit * f64::from(v)),
            );
        }
        out
    }

    /// The name of a point's class, if it has one.
    pub fn class_name(&self, i: usize) -> Option<&str> {
        let class = *self.class_of.as_ref()?.get(i)?;
        self.class_names.get(class as usize).map(String::as_str)
    }

    /// A copy of the given rows, at least one, in the order given, with their weights (again with sum 1) and classes.
    ///
    /// # Errors
    /// [`Error::Problem`] if no row is given, a row does not exist, or all rows have weight zero.
    pub fn select(&self, rows: &[u32]) -> Result<Self> {
        if let Some(i) = rows.iter().find(|&&i| i as usize >= self.len()) {
            return Err(Error::problem(format!(
                "{}: row {} was asked for, there are {} rows",
                self.name,
                i + 1,
                self.len()
            )));
        }
        if rows.is_empty() {
            return Err(Error::problem(format!(
                "{}: no row was asked for",
                self.name
            )));
        }
        let mut values = Vec::with_capacity(rows.len() * self.dim);
        for &i in rows {
            values.extend_from_slice(
                &self.values[i as usize * self.dim..(i as usize + 1) * self.dim],
            );
        }
        let mut chosen =
            Self::from_parts(values, self.dim, self.origin.clone(), self.unit).named(&self.name);
        chosen.columns.clone_from(&self.columns);
        if let Some(classes) = &self.class_of {
            chosen.class_of = Some(rows.iter().map(|&i| classes[i as usize]).collect());
            chosen.class_names.clone_from(&self.class_names);
        }
        match &self.weights {
            Some(weights) => {
                chosen.with_weights(rows.iter().map(|&i| weights[i as usize]).collect())
            }
            None => Ok(chosen),
        }
    }

    /// The same samples with points `B x`: names, columns, weights and classes stay.
    ///
    /// # Errors
    /// [`Error::Problem`] if the points become too large to hold.
    pub(crate) fn entered(&self, coordinates: &Coordinates) -> Result<Self> {
        let mut points = self.to_f64();
        points
            .par_chunks_mut(self.dim * 1024)
            .for_each(|rows| coordinates.enter(rows));
        let mut inside = Self::from_f64(&points, self.dim)
            .map_err(|e| {
                Error::problem(format!(
                    "{}, in the coordinates of the cost: {e}",
                    self.name
                ))
            })?
            .named(&self.name);
        inside.columns.clone_from(&self.columns);
        inside.weights.clone_from(&self.weights);
        inside.class_names.clone_from(&self.class_names);
        inside.class_of.clone_from(&self.class_of);
        Ok(inside)
    }

    /// Goes to solver units in place: afterwards `values = (x - shift) / scale`, and `x` is what it was up to `f32` rounding.
    pub(crate) fn normalise(&mut self, scaling: &Scaling) {
        let (dim, unit) = (self.dim, self.unit);
        let origin = &self.origin;
        self.values.par_chunks_mut(dim * 4096).for_each(|rows| {
            for row in rows.chunks_exact_mut(dim) {
                for j in 0..dim {
                    // The difference of the two offsets first: it is small where both are large.
                    let x = (origin[j] - scaling.shift[j]) + unit * f64::from(row[j]);
                    row[j] = (x / scaling.scale) as f32;
                }
            }
        });
        self.origin.clone_from(&scaling.shift);
        self.unit = scaling.scale;
    }

    /// Mean, covariance and what is degenerate about the points, in the user's units, in `f64`.
    ///
    /// Two passes over the stored values, in blocks of rows whose boundaries depend on `n` and `d` alone and whose sums are added in
    /// order: the same bits on any number of threads. Beside the samples it takes a few MB, plus `d^2` numbers a block.
    pub fn moments(&self) -> Moments {
        let (n, d) = (self.len(), self.dim);
        let weight = |i: usize| self.weights.as_ref().map_or(1.0 / n as f64, |w| w[i]);
        // At most 64 blocks, and at most 32 MB in their matrices together.
        let blocks = n
            .div_ceil(4096)
            .min((1 << 22) / (d * d).min(1 << 22))
            .clamp(1, 64);
        let length = n.div_ceil(blocks);
        let ranges: Vec<_> = (0..blocks)
            .map(|b| (b * length).min(n)..((b + 1) * length).min(n))
            .collect();

        // First pass: the mean, and the range of each column over the points that weigh anything.
        let first: Vec<_> = ranges
            .par_iter()
            .map(|range| {
                let mut sum = vec![0.0_f64; d];
                let mut low = vec![f32::INFINITY; d];
                let mut high = vec![f32::NEG_INFINITY; d];
                for i in range.clone() {
                    let w = weight(i);
                    if w == 0.0 {
                        continue;
                    }
                    let row = &self.values[i * d..(i + 1) * d];
                    for j in 0..d {
                        sum[j] += w * f64::from(row[j]);
                        low[j] = low[j].min(row[j]);
                        high[j] = high[j].max(row[j]);
                    }
                }
                (sum, low, high)
            })
            .collect();
        let (mut mean, mut low, mut high) = first[0].clone();
        for (s, l, h) in &first[1..] {
            for j in 0..d {
                mean[j] += s[j];
                low[j] = low[j].min(l[j]);
                high[j] = high[j].max(h[j]);
            }
        }
        let constant: Vec<usize> = (0..d).filter(|&j| low[j] == high[j]).collect();
        for &j in &constant {
            mean[j] = f64::from(low[j]);
        }

        // Second pass: the covariance, as products of blocks of 256 centred rows.
        const ROWS: usize = 256;
        let second: Vec<DMatrix<f64>> = ranges
            .par_iter()
            .map(|range| {
                let mut sum = DMatrix::zeros(d, d);
                let mut centred = DMatrix::zeros(d, ROWS);
                let mut weighted = DMatrix::zeros(ROWS, d);
                for start in range.clone().step_by(ROWS) {
                    let rows = ROWS.min(range.end - start);
                    for r in 0..rows {
                        let w = weight(start + r);
                        let row = &self.values[(start + r) * d..(start + r + 1) * d];
                        for j in 0..d {
                            let v = f64::from(row[j]) - mean[j];
                            centred[(j, r)] = v;
                            weighted[(r, j)] = w * v;
                        }
                    }
                    sum.gemm(1.0, &centred.columns(0, rows), &weighted.rows(0, rows), 1.0);
                }
                sum
            })
            .collect();
        let mut scatter = DMatrix::zeros(d, d);
        for s in &second {
            scatter += s;
        }

        // sum w^2 is 1/n for equal weights, so this is the usual n / (n - 1).
        let squares = match &self.weights {
            Some(w) => w.iter().map(|w| w * w).sum::<f64>(),
            None => 1.0 / n as f64,
        };
        let free = 1.0 - squares;
        let factor = if free > 1e-12 {
            self.unit * self.unit / free
        } else {
            0.0
        };
        let mut cov = vec![0.0; d * d];
        for j in 0..d {
            for k in 0..d {
                cov[j * d + k] = 0.5 * (scatter[(j, k)] + scatter[(k, j)]) * factor;
            }
        }
        for &j in &constant {
            for k in 0..d {
                cov[j * d + k] = 0.0;
                cov[k * d + j] = 0.0;
            }
        }
        let rounding = (0..d)
            .map(|j| {
                self.unit * f64::from(low[j].abs().max(high[j].abs())) * f64::from(f32::EPSILON)
            })
            .collect();
        Moments {
            mean: (0..d)
                .map(|j| self.origin[j] + self.unit * mean[j])
                .collect(),
            cov,
            count: n,
            effective_count: 1.0 / squares,
            constant,
            duplicates: self.duplicates(),
            rounding,
        }
    }

    /// How many points are exact copies of an earlier one. Sorts one hash a row; rows with equal hashes are compared.
    fn duplicates(&self) -> usize {
        let d = self.dim;
        let row = |i: u32| &self.values[i as usize * d..(i as usize + 1) * d];
        // Zero has two signs in f32 and they are the same point.
        let same = |a: u32, b: u32| row(a).iter().zip(row(b)).all(|(a, b)| a == b);
        let mut hashes: Vec<(u64, u32)> = (0..self.len() as u32)
            .into_par_iter()
            .map(|i| {
                let mut h = 0x9e37_79b9_7f4a_7c15_u64;
                for &v in row(i) {
                    h = (h ^ u64::from((v + 0.0).to_bits())).wrapping_mul(0xff51_afd7_ed55_8ccd);
                    h ^= h >> 32;
                }
                (h, i)
            })
            .collect();
        hashes.par_sort_unstable();
        let mut copies = 0;
        let mut distinct: Vec<u32> = Vec::new();
        for group in hashes.chunk_by(|a, b| a.0 == b.0) {
            distinct.clear();
            for &(_, i) in group {
                if distinct.iter().any(|&other| same(i, other)) {
                    copies += 1;
                } else {
                    distinct.push(i);
                }
            }
        }
        copies
    }
}

fn check_shape(len: usize, dim: usize) -> Result<()> {
    if dim == 0 {
        return Err(Error::problem(
            "the points have no columns; expected at least one",
        ));
    }
    if len == 0 {
        return Err(Error::problem("there are no points; expected at least two"));
    }
    if !len.is_multiple_of(dim) {
        return Err(Error::problem(format!(
            "{len} values are not a whole number of points in {dim} dimensions"
        )));
    }
    if len / dim > u32::MAX as usize {
        return Err(Error::problem(format!(
            "{} points are more than the {} that can be used",
            len / dim,
            u32::MAX
        )));
    }
    Ok(())
}

fn not_finite(at: usize, dim: usize, value: f64) -> Error {
    Error::problem(format!(
        "row {}, column {} of the samples is {value}; expected a finite value, leave the row out or fill it in",
        at / dim + 1,
        at % dim + 1
    ))
}

fn first_not_finite(values: &[f32]) -> Option<usize> {
    values.iter().position(|v| !v.is_finite())
}

/// Mean and covariance of a set of samples, with what is degenerate about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// The weighted mean `[d]`.
    pub mean: Vec<f64>,
    /// The weighted covariance `[d, d]`, unbiased: `sum_i w_i (x_i - m)(x_i - m)' / (1 - sum_i w_i^2)`, which is the usual
    /// `n - 1` in the denominator for equal weights. Zero for a single point.
    pub cov: Vec<f64>,
    /// The number of points `n`.
    pub count: usize,
    /// `1 / sum_i w_i^2`: the number of points, as far as the weights leave it (Kish).
    pub effective_count: f64,
    /// The columns (from 0) in which all points agree.
    pub constant: Vec<usize>,
    /// How many points are exact copies of another; `count - duplicates` are distinct.
    pub duplicates: usize,
    /// The rounding of the stored values by column `[d]`, in the same units as the mean: spread below it is noise.
    pub rounding: Vec<f64>,
}

impl Moments {
    /// The dimension `d`.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// The total variance: the trace of the covariance.
    pub fn variance(&self) -> f64 {
        let d = self.dim();
        (0..d).map(|j| self.cov[j * d + j]).sum()
    }

    /// The moments of `z = (x - shift) / scale`.
    pub fn in_solver_units(&self, scaling: &Scaling) -> Self {
        let s = scaling.scale;
        Self {
            mean: self
                .mean
                .iter()
                .zip(&scaling.shift)
                .map(|(m, shift)| (m - shift) / s)
                .collect(),
            cov: self.cov.iter().map(|c| c / s / s).collect(),
            rounding: self.rounding.iter().map(|r| r / s).collect(),
            ..self.clone()
        }
    }

    /// The numerical rank of the covariance: the number of directions, measured in standard deviations of each column, in which
    /// the points spread by more than `1e-5` of the widest or the rounding of the stored values, whichever is more.
    ///
    /// Takes `O(d^3)`.
    pub fn rank(&self) -> usize {
        let d = self.dim();
        let varying: Vec<usize> = (0..d).filter(|&j| self.cov[j * d + j] > 0.0).collect();
        if varying.is_empty() {
            return 0;
        }
        let deviation: Vec<f64> = varying
            .iter()
            .map(|&j| self.cov[j * d + j].sqrt())
            .collect();
        let correlation = DMatrix::from_fn(varying.len(), varying.len(), |a, b| {
            self.cov[varying[a] * d + varying[b]] / deviation[a] / deviation[b]
        });
        let eigenvalues = correlation.symmetric_eigenvalues();
        let tolerance = self.rank_tolerance(&varying, &deviation, eigenvalues.max());
        let spanned = eigenvalues.iter().filter(|&&e| e > tolerance).count();
        spanned.min(self.distinct().saturating_sub(1))
    }

    /// The number of distinct points.
    pub fn distinct(&self) -> usize {
        self.count.saturating_sub(self.duplicates)
    }

    /// The eigenvalue, in units of the columns' `deviation`, below which a direction counts as flat.
    fn rank_tolerance(&self, columns: &[usize], deviation: &[f64], largest: f64) -> f64 {
        let noise = columns
            .iter()
            .zip(deviation)
            .map(|(&j, s)| (self.rounding.get(j).copied().unwrap_or(0.0) / s).powi(2) / 4.0)
            .fold(0.0, f64::max);
        noise.max(1e-10 * largest)
    }
}

/// The one shift and the one scale between the user's points `x` and the solver's points `z`:
/// `z = (x - shift) / scale`, `x = shift + scale z`.
///
/// One number scales all columns, because a scale of its own for each column would change the cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// The user's point that becomes the solver's zero, `[d]`.
    pub shift: Vec<f64>,
    /// The length of one solver unit in the user's units, positive.
    pub scale: f64,
}

impl Scaling {
    /// No shift, scale 1.
    pub fn identity(dim: usize) -> Self {
        Self {
            shift: vec![0.0; dim],
            scale: 1.0,
        }
    }

    /// The shift is the middle of the two means, so neither cloud counts for more by having more points. The scale is the root of the
    /// within-cloud variance, averaged over the two clouds and over the coordinates. If both clouds are single points it is the distance of the
    /// means instead, over the root of `4 d`; if that is zero too it is 1.
    pub fn pooled(source: &Moments, target: &Moments) -> Self {
        let d = source.dim();
        let within = 0.5 * (source.variance() + target.variance()) / d as f64;
        let between = source
            .mean
            .iter()
            .zip(&target.mean)
            .map(|(a, b)| (0.5 * (b - a)).powi(2))
            .sum::<f64>()
            / d as f64;
        let scale = [within, between]
            .into_iter()
            .map(f64::sqrt)
            .find(|s| s.is_normal())
            .unwrap_or(1.0);
        Self {
            shift: source
                .mean
                .iter()
                .zip(&target.mean)
                .map(|(a, b)| 0.5 * (a + b))
                .collect(),
            scale,
        }
    }

    /// The dimension `d`.
    pub fn dim(&self) -> usize {
        self.shift.len()
    }

    /// `z = (x - shift) / scale` for the rows of `x: [n, d]`, into `z: [n, d]`.
    pub fn to_solver(&self, x: &[f64], z: &mut [f32]) {
        let d = self.dim();
        for (x, z) in x.chunks_exact(d).zip(z.chunks_exact_mut(d)) {
            for j in 0..d {
                z[j] = ((x[j] - self.shift[j]) / self.scale) as f32;
            }
        }
    }

    /// `x = shift + scale z` for the rows of `z: [n, d]`, into `x: [n, d]`.
    pub fn to_user(&self, z: &[f32], x: &mut [f64]) {
        let d = self.dim();
        for (z, x) in z.chunks_exact(d).zip(x.chunks_exact_mut(d)) {
            for j in 0..d {
                x[j] = self.shift[j] + self.scale * f64::from(z[j]);
            }
        }
    }

    /// Moves the user's points along the solver's displacements: `x += scale * factor * v` for `x, v: [n, d]`.
    ///
    /// A map that ends with this loses nothing of `x`: only the displacement has been through `f32`.
    pub fn displace(&self, x: &mut [f64], v: &[f32], factor: f64) {
        for (x, v) in x.iter_mut().zip(v) {
            *x += self.scale * factor * f64::from(*v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// `n` points whose columns depend on each other, with column `j` at scale `10^j` around `offset`.
    fn cloud(n: usize, d: usize, offset: f64, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut x = Vec::with_capacity(n * d);
        for _ in 0..n {
            let mut last = 0.0;
            for j in 0..d {
                let fresh: f64 = rng.random_range(-1.0..1.0);
                last = 0.5 * last + fresh;
                x.push(offset + last * 10f64.powi(j as i32 % 3));
            }
        }
        x
    }

    /// The formula of the documentation, written down.
    fn naive(x: &[f64], w: &[f64], d: usize) -> (Vec<f64>, Vec<f64>) {
        let mean: Vec<f64> = (0..d)
            .map(|j| w.iter().enumerate().map(|(i, w)| w * x[i * d + j]).sum())
            .collect();
        let free = 1.0 - w.iter().map(|w| w * w).sum::<f64>();
        let mut cov = vec![0.0; d * d];
        for (i, w) in w.iter().enumerate() {
            for j in 0..d {
                for k in 0..d {
                    let (a, b) = (x[i * d + j] - mean[j], x[i * d + k] - mean[k]);
                    cov[j * d + k] += w * a * b / free;
                }
            }
        }
        (mean, cov)
    }

    fn assert_close(a: &[f64], b: &[f64], tolerance: f64) {
        assert_eq!(a.len(), b.len());
        let size = b.iter().fold(1e-300_f64, |m, v| m.max(v.abs()));
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() <= tolerance * size, "{a} against {b}");
        }
    }

    #[test]
    fn f64_values_with_a_large_offset_keep_their_digits() {
        // Spread 1 around 1e9: f32 alone would have steps of 64 there.
        let x = cloud(500, 2, 1e9, 1);
        let samples = Samples::from_f64(&x, 2).unwrap();
        for (a, b) in samples.to_f64().iter().zip(&x) {
            assert!((a - b).abs() < 1e-5, "{a} against {b}");
        }
        assert_eq!(samples.to_f64()[6..8], samples.point(3)[..]);
        assert_eq!(samples.gather(&[3, 0])[..2], samples.point(3)[..]);
    }

    #[test]
    fn f32_values_stay_exactly_what_they_are() {
        let x: Vec<f32> = cloud(100, 3, 0.5, 2).iter().map(|&v| v as f32).collect();
        let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        assert_eq!(Samples::new(x.clone(), 3).unwrap().to_f64(), wide);
        let from_f64 = Samples::from_f64(&wide, 3).unwrap();
        assert_eq!((from_f64.values(), from_f64.to_f64()), (&x[..], wide));
    }

    #[test]
    fn scales_beyond_f32_work() {
        for scale in [1e-90, 1e-30, 1e-6, 1e6, 1e30, 1e90] {
            let x: Vec<f64> = cloud(50, 2, 0.0, 3).iter().map(|v| v * scale).collect();
            let samples = Samples::from_f64(&x, 2).unwrap();
            assert_close(&samples.to_f64(), &x, 1e-7);
            let moments = samples.moments();
            let (mean, cov) = naive(&x, &[1.0 / 50.0; 50], 2);
            assert_close(&moments.mean, &mean, 1e-6);
            assert_close(&moments.cov, &cov, 1e-6);
            assert_eq!(moments.rank(), 2);
        }
        let message = Samples::from_f64(&[1.0, 1e200], 2).unwrap_err().to_string();
        assert!(message.contains("row 1, column 2"), "{message}");
    }

    #[test]
    fn moments_are_those_of_the_formula() {
        // Across block borders, with and without weights, one of them zero.
        for (n, d) in [(1, 2), (2, 1), (257, 3), (5000, 7), (9001, 2)] {
            let x = cloud(n, d, 100.0, 4);
            let samples = Samples::from_f64(&x, d).unwrap();
            let stored = samples.to_f64();
            let moments = samples.clone().moments();
            let (mean, cov) = naive(&stored, &vec![1.0 / n as f64; n], d);
            assert_close(&moments.mean, &mean, 1e-13);
            if n > 1 {
                assert_close(&moments.cov, &cov, 1e-12);
                let trace: f64 = (0..d).map(|j| cov[j * d + j]).sum();
                assert!((moments.variance() - trace).abs() <= 1e-12 * trace);
            } else {
                assert_eq!(moments.cov, vec![0.0; d * d]);
            }
            if n > 2 {
                let weights: Vec<f64> = (0..n).map(|i| (i % 4) as f64 * 1e200).collect();
                let weighted = samples.with_weights(weights).unwrap();
                let moments = weighted.moments();
                let w = weighted.weights().unwrap();
                assert!((w.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                let (mean, cov) = naive(&stored, w, d);
                assert_close(&moments.mean, &mean, 1e-12);
                assert_close(&moments.cov, &cov, 1e-11);
            }
        }
    }

    #[test]
    fn equal_weights_are_no_weights() {
        let x = cloud(700, 3, 0.0, 5);
        let plain = Samples::from_f64(&x, 3).unwrap();
        let weighted = plain.clone().with_weights(vec![3.0; 700]).unwrap();
        let (a, b) = (plain.moments(), weighted.moments());
        assert_close(&a.mean, &b.mean, 1e-14);
        assert_close(&a.cov, &b.cov, 1e-14);
        assert!((b.effective_count - 700.0).abs() < 1e-6);
    }

    #[test]
    fn moments_have_the_same_bits_on_any_number_of_threads() {
        let samples = Samples::from_f64(&cloud(30_000, 5, 3.0, 6), 5).unwrap();
        let on = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(|| samples.moments())
        };
        let one = on(1);
        assert!([2, 3, 8].into_iter().all(|threads| on(threads) == one));
    }

    #[test]
    fn what_is_asked_in_user_units_does_not_change_in_solver_units() {
        let mut samples = Samples::from_f64(&cloud(2000, 3, 1e6, 7), 3).unwrap();
        let before = (samples.to_f64(), samples.moments());
        let scaling = Scaling {
            shift: vec![1e6, 1e6 + 3.0, 1e6 - 5.0],
            scale: 40.0,
        };
        let place = samples.values().as_ptr();
        samples.normalise(&scaling);
        assert_eq!(samples.values().as_ptr(), place, "the values were copied");
        for (a, b) in samples.to_f64().iter().zip(&before.0) {
            assert!((a - b).abs() < 1e-5);
        }
        let after = samples.moments();
        assert_close(&after.cov, &before.1.cov, 1e-6);
        // The stored values are the solver's points.
        let mut z = vec![0.0_f32; samples.values().len()];
        scaling.to_solver(&before.0, &mut z);
        for (a, b) in z.iter().zip(samples.values()) {
            assert!((a - b).abs() <= 1e-6);
        }
        // And their moments are those in solver units.
        let solver = Samples::new(samples.values().to_vec(), 3)
            .unwrap()
            .moments();
        let converted = before.1.in_solver_units(&scaling);
        assert_close(&converted.mean, &solver.mean, 1e-6);
        assert_close(&converted.cov, &solver.cov, 1e-6);
    }

    #[test]
    fn scaling_goes_there_and_back() {
        for scale in [1e-6, 1.0, 1e6] {
            let scaling = Scaling {
                shift: vec![5.0 * scale, -7e3 * scale],
                scale,
            };
            let x: Vec<f64> = [5.5, -7e3, 4.0, -7001.0]
                .iter()
                .map(|v| v * scale)
                .collect();
            let (mut z, mut back) = (vec![0.0_f32; 4], vec![0.0; 4]);
            scaling.to_solver(&x, &mut z);
            assert!((z[0] - 0.5).abs() < 1e-6 && (z[3] + 1.0).abs() < 1e-6);
            scaling.to_user(&z, &mut back);
            assert_close(&back, &x, 1e-9);
            let mut moved = x.clone();
            scaling.displace(&mut moved, &[1.0, 0.0, -2.0, 4.0], 0.5);
            assert_close(
                &moved,
                &[x[0] + 0.5 * scale, x[1], x[2] - scale, x[3] + 2.0 * scale],
                1e-15,
            );
        }
        let mut z = [0.0_f32; 2];
        Scaling::identity(2).to_solver(&[1.5, -2.0], &mut z);
        assert_eq!(z, [1.5, -2.0]);
    }

    #[test]
    fn pooled_scaling_makes_the_average_variance_one_and_has_a_fallback() {
        let a = Samples::from_f64(&cloud(300, 2, 0.0, 8), 2).unwrap();
        let b = Samples::from_f64(&cloud(5000, 2, 50.0, 9), 2).unwrap();
        let scaling = Scaling::pooled(&a.moments(), &b.moments());
        let variance = |s: &Samples| s.moments().in_solver_units(&scaling).variance();
        assert!((0.5 * (variance(&a) + variance(&b)) / 2.0 - 1.0).abs() < 1e-12);
        // Two single points: the distance of the means; the same point twice: one.
        let point = |v: f64| Samples::from_f64(&[v, 0.0, v, 0.0], 2).unwrap().moments();
        let scaling = Scaling::pooled(&point(-1e-6), &point(3e-6));
        assert!((scaling.scale - 2e-6 / 2f64.sqrt()).abs() < 1e-12);
        assert!((scaling.shift[0] - 1e-6).abs() < 1e-18);
        assert_eq!(Scaling::pooled(&point(2.0), &point(2.0)).scale, 1.0);
    }

    #[test]
    fn duplicates_are_counted_as_the_naive_way_counts_them() {
        let mut rng = ChaCha8Rng::seed_from_u64(10);
        for (n, choices) in [(1, 3), (40, 3), (300, 50), (500, 1)] {
            let values: Vec<f32> = (0..2 * n)
                .map(|i| match rng.random_range(0..choices) as f32 - 1.0 {
                    v if v == 0.0 && i % 3 == 0 => -0.0,
                    v => v,
                })
                .collect();
            let samples = Samples::new(values.clone(), 2).unwrap();
            let naive = (0..n)
                .filter(|&i| (0..i).any(|j| values[2 * i..2 * i + 2] == values[2 * j..2 * j + 2]))
                .count();
            assert_eq!(samples.moments().duplicates, naive);
        }
    }

    #[test]
    fn rank_sees_flats_whatever_the_units() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut x = Vec::new();
        for _ in 0..200 {
            let (a, b): (f64, f64) = (rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0));
            // A plane in four columns of very different units, and a constant one.
            x.extend([1e6 * a, 1e-6 * b, a + b, 1e3 * (a - 2.0 * b) + 5e3, 7.0]);
        }
        let moments = Samples::from_f64(&x, 5).unwrap().moments();
        assert_eq!(moments.rank(), 2);
        assert_eq!(moments.constant, [4]);
        assert_eq!(moments.mean[4], 7.0);
        assert!((0..5).all(|j| moments.cov[j * 5 + 4] == 0.0));
        // A thin cloud is not a flat one.
        let thin: Vec<f64> = x
            .chunks_exact(5)
            .flat_map(|row| [row[0], row[0] + 1e9 * row[1]])
            .collect();
        assert_eq!(Samples::from_f64(&thin, 2).unwrap().moments().rank(), 2);
        // Fewer points than dimensions.
        let few = Samples::from_f64(&cloud(4, 10, 0.0, 12), 10)
            .unwrap()
            .moments();
        assert_eq!(few.rank(), 3);
        // One point, many times.
        let same = Samples::from_f64(&[3.0, 4.0].repeat(9), 2)
            .unwrap()
            .moments();
        assert_eq!((same.rank(), same.duplicates, same.distinct()), (0, 8, 1));
    }

    #[test]
    fn labels_become_ordered_classes() {
        let labels = ["b", "a", "b", "10", "9"].map(String::from).to_vec();
        let samples = Samples::new(vec![0.0, 1.0, 2.0, 3.0, 4.0], 1)
            .unwrap()
            .with_labels(labels)
            .unwrap();
        assert_eq!(samples.class_names(), ["10", "9", "a", "b"]);
        assert_eq!(samples.class_of().unwrap(), [3, 2, 3, 0, 1]);
        let part = samples
            .with_weights(vec![1.0, 2.0, 3.0, 0.0, 0.0])
            .unwrap()
            .select(&[2, 1])
            .unwrap();
        assert_eq!(part.values(), [2.0, 1.0]);
        assert_eq!(part.class_of().unwrap(), [3, 2]);
        assert_close(part.weights().unwrap(), &[0.6, 0.4], 1e-15);
        assert!(part.select(&[]).is_err() && part.select(&[2]).is_err());
    }

    #[test]
    fn bad_input_is_refused_with_its_place_and_a_remedy() {
        let says = |result: Result<Samples>, words: &[&str]| {
            let message = result.unwrap_err().to_string();
            for word in words {
                assert!(message.contains(word), "{message:?} lacks {word:?}");
            }
        };
        says(Samples::new(vec![], 2), &["no points"]);
        says(Samples::new(vec![1.0], 0), &["no columns"]);
        says(Samples::new(vec![1.0; 5], 2), &["5 values", "2 dimensions"]);
        says(
            Samples::new(vec![0.0, 0.0, 0.0, f32::NAN], 2),
            &["row 2, column 2", "NaN", "finite"],
        );
        says(
            Samples::from_f64(&[0.0, f64::NEG_INFINITY], 1),
            &["row 2, column 1", "-inf"],
        );
        says(
            Samples::with_origin(vec![0.0; 4], 2, vec![0.0]),
            &["origin", "1 coordinates", "2"],
        );
        says(
            Samples::with_origin(vec![0.0; 4], 2, vec![0.0, f64::NAN]),
            &["origin", "column 2"],
        );
        let samples = Samples::new(vec![0.0; 6], 2).unwrap().named("a.csv");
        let weights = |w: &[f64]| samples.clone().with_weights(w.to_vec());
        says(weights(&[1.0]), &["a.csv", "1 weights for 3 points"]);
        says(weights(&[1.0, -2.0, 0.0]), &["a.csv", "row 2", "-2"]);
        says(weights(&[1.0, 1.0, f64::NAN]), &["a.csv", "row 3", "NaN"]);
        says(weights(&[0.0; 3]), &["a.csv", "zero"]);
        let labels = |l: &[&str]| {
            let labels = l.iter().map(|l| l.to_string()).collect();
            samples.clone().with_labels(labels)
        };
        says(labels(&["a"]), &["a.csv", "1 labels for 3 points"]);
        says(labels(&["a", " ", "b"]), &["a.csv", "row 2", "empty"]);
        says(
            samples.clone().with_columns(vec!["x".into()]),
            &["a.csv", "1 column names for 2"],
        );
    }
}

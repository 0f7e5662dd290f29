//! Arrays of points on their way in and out.

use crate::errors::problem;
use crate::work::parallel;
use charflow::Error;
use charflow_io::{InMemory, Table};
use numpy::ndarray::{ArrayView2, Axis, Slice};
use numpy::{PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;
use std::sync::Mutex;

/// What stands for a label that is not known on the way to the library; no label contains it.
const UNKNOWN: &str = "\0";

/// An array of points `[n, d]`, in single or double precision, in any memory layout.
#[derive(FromPyObject)]
pub enum Coordinates<'py> {
    /// float64.
    #[pyo3(transparent)]
    Double(PyReadonlyArray2<'py, f64>),
    /// float32.
    #[pyo3(transparent)]
    Single(PyReadonlyArray2<'py, f32>),
}

impl Coordinates<'_> {
    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        let of = |shape: &[usize]| [shape[0], shape[1]];
        match self {
            Coordinates::Double(a) => of(a.as_array().shape()),
            Coordinates::Single(a) => of(a.as_array().shape()),
        }
    }

    /// Does `work` on the points in double precision, row by row, without the interpreter's lock, on so many threads. An array that is so already is not copied.
    pub fn with_rows<T: Send>(
        &self,
        py: Python<'_>,
        threads: usize,
        work: impl FnOnce(&[f64]) -> charflow::Result<T> + Send,
    ) -> PyResult<T> {
        match self {
            Coordinates::Double(a) => {
                let view = a.as_array();
                parallel(py, threads, || match view.as_slice() {
                    // By the view: the array's own slice would give one in Fortran order column by column.
                    Some(rows) => work(rows),
                    None => work(&view.iter().copied().collect::<Vec<_>>()),
                })
            }
            Coordinates::Single(a) => {
                let view = a.as_array();
                parallel(py, threads, || {
                    work(&view.iter().map(|&v| f64::from(v)).collect::<Vec<_>>())
                })
            }
        }
    }

    /// What `work` makes of the points, `[n, columns]`, in the precision that they came in. It is given all rows at once, or, where they have to be converted, block by block: a
    /// block stays in cache, where a copy of all of them would not. It must make of each row the same whatever else is there.
    pub fn mapped<'py>(
        &self,
        py: Python<'py>,
        threads: usize,
        columns: usize,
        work: impl Fn(&[f64]) -> charflow::Result<Vec<f64>> + Sync,
    ) -> PyResult<Bound<'py, PyAny>> {
        let [rows, _] = self.shape();
        match self {
            Coordinates::Double(a) => {
                let view = a.as_array();
                let values = parallel(py, threads, || match view.as_slice() {
                    Some(rows) => work(rows),
                    None => by_blocks(view, columns, &work, |v| v, |v| v),
                })?;
                out(py, values, rows, columns)
            }
            Coordinates::Single(a) => {
                let view = a.as_array();
                let single = |v: f64| v as f32;
                let values = parallel(py, threads, || {
                    by_blocks(view, columns, &work, f64::from, single)
                })?;
                out(py, values, rows, columns)
            }
        }
    }
}

/// Rows of a block for each thread, and rows that a thread converts at a time.
const BLOCK: usize = 4096;
const TILE: usize = 512;

fn by_blocks<T: Copy + Send + Sync>(
    view: ArrayView2<'_, T>,
    columns: usize,
    work: impl Fn(&[f64]) -> charflow::Result<Vec<f64>>,
    double: impl Fn(T) -> f64 + Sync,
    back: impl Fn(f64) -> T,
) -> charflow::Result<Vec<T>> {
    let (rows, width) = view.dim();
    let at_once = BLOCK * rayon::current_num_threads();
    // The order in which the values lie: the other one would touch another page of memory with each.
    let columns_first = view.strides()[0].abs() < view.strides()[1].abs();
    let mut all = Vec::with_capacity(rows * columns);
    let mut block = Vec::new();
    for first in (0..rows).step_by(at_once) {
        let part = view.slice_axis(Axis(0), Slice::from(first..rows.min(first + at_once)));
        block.clear();
        block.resize(part.len(), 0.0);
        block
            .par_chunks_mut(TILE * width)
            .enumerate()
            .for_each(|(k, tile)| {
                let of = part.slice_axis(
                    Axis(0),
                    Slice::from(k * TILE..k * TILE + tile.len() / width),
                );
                if columns_first {
                    for (j, column) in of.columns().into_iter().enumerate() {
                        for (row, &v) in tile.chunks_exact_mut(width).zip(column) {
                            row[j] = double(v);
                        }
                    }
                } else {
                    for (row, from) in tile.chunks_exact_mut(width).zip(of.rows()) {
                        for (to, &v) in row.iter_mut().zip(from) {
                            *to = double(v);
                        }
                    }
                }
            });
        match work(&block) {
            Ok(values) => all.extend(values.into_iter().map(&back)),
            // Said again of all rows, so that a row's number is its number in the array.
            Err(e) if first == 0 => return Err(e),
            Err(e) => {
                let whole: Vec<f64> = view.iter().map(|&v| double(v)).collect();
                return Err(work(&whole).err().unwrap_or(e));
            }
        }
    }
    Ok(all)
}

/// A vector as an array `[rows, columns]`, not copied.
fn out<T: numpy::Element>(
    py: Python<'_>,
    values: Vec<T>,
    rows: usize,
    columns: usize,
) -> PyResult<Bound<'_, PyAny>> {
    let flat = numpy::PyArray1::from_vec(py, values);
    let shaped: Bound<'_, PyArray2<T>> = flat.reshape([rows, columns])?;
    Ok(shaped.into_any())
}

/// One side of a problem: points with names, labels and weights, as the library holds them. Used once: a fit works on the points in place.
#[pyclass(frozen, module = "charflow._charflow")]
pub struct Points {
    made: Mutex<Option<charflow_run::Points>>,
}

#[pymethods]
impl Points {
    /// Points called `name` from `values`, float32 or float64 of shape (n, d); a label that is None is not known.
    #[new]
    #[pyo3(signature = (name, values, columns, labels, weights, threads))]
    fn new(
        py: Python<'_>,
        name: String,
        values: Coordinates<'_>,
        columns: Option<Vec<String>>,
        labels: Option<Vec<Option<String>>>,
        weights: Option<PyReadonlyArray1<'_, f64>>,
        threads: usize,
    ) -> PyResult<Self> {
        if labels.iter().flatten().flatten().any(|l| l == UNKNOWN) {
            return Err(problem(py, format!("{name}: a label is a null character.")));
        }
        let about = InMemory {
            name,
            columns,
            dim: values.shape()[1],
            double: matches!(values, Coordinates::Double(_)),
            labels: labels.map(|all| {
                let known = |l: Option<String>| l.unwrap_or_else(|| UNKNOWN.into());
                all.into_iter().map(known).collect()
            }),
            weights: weights.map(|w| w.as_array().to_vec()),
        };
        let made = |table: Result<Table, charflow_io::IoError>| {
            let table = table.map_err(|e| Error::Problem(e.to_string()))?;
            charflow_run::Points::of(table, None, Some(UNKNOWN))
        };
        let points = match &values {
            Coordinates::Double(a) => {
                let view = a.as_array();
                parallel(py, threads, || {
                    made(Table::from_memory(about, view.iter().copied()))
                })
            }
            Coordinates::Single(a) => {
                let view = a.as_array();
                parallel(py, threads, || {
                    let values = view.iter().map(|&v| f64::from(v));
                    made(Table::from_memory(about, values))
                })
            }
        }?;
        Ok(Points {
            made: Mutex::new(Some(points)),
        })
    }
}

impl Points {
    /// The points, once.
    pub fn take(&self, py: Python<'_>) -> PyResult<charflow_run::Points> {
        let mut made = self.made.lock().unwrap_or_else(|e| e.into_inner());
        made.take()
            .ok_or_else(|| problem(py, "these points were used already; make them anew"))
    }
}

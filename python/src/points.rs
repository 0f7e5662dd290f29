//! Arrays of points on their way in and out.

use crate::errors::{problem, told};
use crate::work::{guarded, parallel};
use charflow::Error;
use charflow_io::{InMemory, Table};
use numpy::ndarray::ArrayView2;
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
                    None => work(&in_rows(view, |v| v)),
                })
            }
            Coordinates::Single(a) => {
                let view = a.as_array();
                parallel(py, threads, || work(&in_rows(view, f64::from)))
            }
        }
    }

    /// Points as they go out again: in the precision that they came in.
    pub fn returned<'py>(
        &self,
        py: Python<'py>,
        threads: usize,
        values: Vec<f64>,
        columns: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let rows = values.len() / columns.max(1);
        match self {
            Coordinates::Double(_) => out(py, values, rows, columns),
            Coordinates::Single(_) => {
                let single = parallel(py, threads, || {
                    Ok(values.par_iter().map(|&v| v as f32).collect())
                })?;
                out(py, single, rows, columns)
            }
        }
    }
}

/// The values of an array row by row, in double precision.
fn in_rows<T: Copy + Sync>(view: ArrayView2<'_, T>, double: impl Fn(T) -> f64 + Sync) -> Vec<f64> {
    let columns = view.ncols();
    let mut values = vec![0.0; view.len()];
    if columns > 0 {
        values
            .par_chunks_mut(columns)
            .enumerate()
            .with_min_len(256)
            .for_each(|(i, row)| {
                for (to, &v) in row.iter_mut().zip(view.row(i)) {
                    *to = double(v);
                }
            });
    }
    values
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
    fingerprint: String,
}

#[pymethods]
impl Points {
    /// Points called `name` from `values`, float32 or float64 of shape (n, d); a label that is None is not known.
    #[new]
    #[pyo3(signature = (name, values, columns=None, labels=None, weights=None))]
    fn new(
        py: Python<'_>,
        name: String,
        values: Coordinates<'_>,
        columns: Option<Vec<String>>,
        labels: Option<Vec<Option<String>>>,
        weights: Option<PyReadonlyArray1<'_, f64>>,
    ) -> PyResult<Self> {
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
        let refused = |e: charflow_io::IoError| Error::Problem(e.to_string());
        let table = match &values {
            Coordinates::Double(a) => {
                let view = a.as_array();
                guarded(py, || {
                    Table::from_memory(about, view.iter().copied()).map_err(refused)
                })
            }
            Coordinates::Single(a) => {
                let view = a.as_array();
                guarded(py, || {
                    let values = view.iter().map(|&v| f64::from(v));
                    Table::from_memory(about, values).map_err(refused)
                })
            }
        }?;
        let points =
            charflow_run::Points::of(table, None, Some(UNKNOWN)).map_err(|e| told(py, e))?;
        Ok(Points {
            fingerprint: points.record.fingerprint.clone(),
            made: Mutex::new(Some(points)),
        })
    }

    /// 64 bits in hexadecimal that depend on every name, value, label and weight.
    #[getter]
    fn fingerprint(&self) -> &str {
        &self.fingerprint
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

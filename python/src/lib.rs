//! The native part of the Python package `charflow`: a thin face on the Rust library, without mathematics.
//!
//! Private: `charflow/_charflow.pyi` describes it, the package's own modules are what people import. One file for each thing that crosses the border: `points` (arrays),
//! `model` (a fitted map and its run), `solve` (a solve that can be watched and stopped), `work` (threads, the interpreter's lock, panics), `errors`.

mod errors;
mod model;
mod points;
mod solve;
mod work;

/// The native part of charflow. Private: use the package.
#[pyo3::pymodule]
mod _charflow {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::model::Model;
    #[pymodule_export]
    use crate::points::Points;

    /// The version of the package.
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(a, b): &(&str, &str)| (a.to_string(), b.to_string());
        pairs.iter().map(owned).collect()
    }

    /// The costs there are: their spelling, and their formula.
    #[pyfunction]
    fn costs() -> Vec<(String, String)> {
        owned(charflow::cost::KNOWN)
    }

    /// The presets there are: their name, and what they are for.
    #[pyfunction]
    fn presets() -> Vec<(String, String)> {
        owned(charflow::solver::PRESETS)
    }

    /// The efforts there are.
    #[pyfunction]
    fn efforts() -> Vec<String> {
        charflow::solver::EFFORTS.map(String::from).to_vec()
    }

    /// The ways in which a solve ends.
    #[pyfunction]
    fn outcomes() -> Vec<String> {
        crate::model::outcomes()
    }

    /// The instruction set that the kernels use; ValueError if CHARFLOW_ISA asks for one that this processor lacks.
    #[pyfunction]
    fn isa(py: Python<'_>) -> PyResult<String> {
        charflow_kernels::Isa::forced().map_err(|message| crate::errors::problem(py, message))?;
        Ok(charflow_kernels::Isa::current().name().to_string())
    }
}

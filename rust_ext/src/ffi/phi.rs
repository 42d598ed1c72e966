//! Sums over mutations and pairs of them.

use super::{array, check_threads, filled, refuse};
use crate::phi::pairs::PairLayout as Layout;
use crate::phi::FeatureRows as Rows;
use numpy::{Element, PyReadonlyArray1};
use pyo3::prelude::*;

#[pyclass(frozen, module = "geneq._ext")]
pub struct FeatureRows(Rows);

#[pyclass(frozen, module = "geneq._ext")]
pub struct PairLayout(Layout);

/// `value` as an array of `T` with 1 axis, and so many numbers where it says so.
fn vector<'py, T: Element>(
    value: &Bound<'py, PyAny>,
    name: &str,
    length: Option<usize>,
) -> PyResult<PyReadonlyArray1<'py, T>> {
    let kind = T::get_dtype(value.py()).to_string();
    let found: PyReadonlyArray1<'py, T> =
        array(value, name, &format!("a {kind} array with 1 axis"))?;
    match length {
        Some(length) if found.as_slice()?.len() != length => refuse(format!(
            "{name} must have {length} numbers, not {}",
            found.as_slice()?.len()
        )),
        _ => Ok(found),
    }
}

#[pymethods]
impl FeatureRows {
    #[new]
    fn new(
        py: Python<'_>,
        starts: &Bound<'_, PyAny>,
        features: &Bound<'_, PyAny>,
        size: u32,
    ) -> PyResult<Self> {
        let starts = vector::<i64>(starts, "starts", None)?;
        let features = vector::<u32>(features, "features", None)?;
        let (starts, features) = (starts.as_slice()?, features.as_slice()?);
        Ok(Self(
            py.detach(|| Rows::new(starts, features, size as usize))?,
        ))
    }

    #[getter]
    fn rows(&self) -> usize {
        self.0.rows()
    }

    #[getter]
    fn size(&self) -> usize {
        self.0.size()
    }

    #[pyo3(signature = (table, threads = 1))]
    fn sums<'py>(
        &self,
        py: Python<'py>,
        table: &Bound<'py, PyAny>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        check_threads(threads)?;
        let table = vector::<f64>(table, "table", Some(self.0.size()))?;
        let table = table.as_slice()?;
        let fill = |out: &mut [f64]| self.0.sums(table, out, threads);
        Ok(filled(py, None, &[self.0.rows()], fill)?.0)
    }

    #[pyo3(signature = (weights, threads = 1))]
    fn transposed<'py>(
        &self,
        py: Python<'py>,
        weights: &Bound<'py, PyAny>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        check_threads(threads)?;
        let weights = vector::<f64>(weights, "weights", Some(self.0.rows()))?;
        let weights = weights.as_slice()?;
        let fill = |out: &mut [f64]| self.0.transposed(weights, out, threads);
        Ok(filled(py, None, &[self.0.size()], fill)?.0)
    }
}

#[pymethods]
impl PairLayout {
    #[new]
    fn new(first: &Bound<'_, PyAny>, ends: &Bound<'_, PyAny>) -> PyResult<Self> {
        let first = vector::<u32>(first, "first", None)?;
        let ends = vector::<u32>(ends, "ends", None)?;
        Ok(Self(Layout::new(first.as_slice()?, ends.as_slice()?)?))
    }

    #[getter]
    fn size(&self) -> usize {
        self.0.size()
    }

    #[pyo3(signature = (rows, table, threads = 1))]
    fn sums<'py>(
        &self,
        py: Python<'py>,
        rows: &FeatureRows,
        table: &Bound<'py, PyAny>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.check(rows, threads)?;
        let table = vector::<f32>(table, "table", Some(self.0.size()))?;
        let table = table.as_slice()?;
        let fill = |out: &mut [f64]| self.0.sums(&rows.0, table, out, threads);
        Ok(filled(py, None, &[rows.0.rows()], fill)?.0)
    }

    fn shifted<'py>(
        &self,
        py: Python<'py>,
        table: &Bound<'py, PyAny>,
        centre: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let table = vector::<f64>(table, "table", Some(self.0.size()))?;
        let centre = vector::<f64>(centre, "centre", Some(self.0.features()))?;
        let (table, centre) = (table.as_slice()?, centre.as_slice()?);
        let fill = |out: &mut [f64]| self.0.shifted(table, centre, out);
        Ok(filled(py, None, &[self.0.features()], fill)?.0)
    }

    #[pyo3(signature = (rows, weights, single, centre, threads = 1))]
    fn transposed<'py>(
        &self,
        py: Python<'py>,
        rows: &FeatureRows,
        weights: &Bound<'py, PyAny>,
        single: &Bound<'py, PyAny>,
        centre: &Bound<'py, PyAny>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.check(rows, threads)?;
        let weights = vector::<f64>(weights, "weights", Some(rows.0.rows()))?;
        let single = vector::<f64>(single, "single", Some(self.0.features()))?;
        let centre = vector::<f64>(centre, "centre", Some(self.0.features()))?;
        let (weights, single) = (weights.as_slice()?, single.as_slice()?);
        let centre = centre.as_slice()?;
        let fill = |out: &mut [f64]| {
            self.0
                .transposed(&rows.0, weights, single, centre, out, threads);
        };
        Ok(filled(py, None, &[self.0.size()], fill)?.0)
    }
}

impl PairLayout {
    fn check(&self, rows: &FeatureRows, threads: usize) -> PyResult<()> {
        check_threads(threads)?;
        if self.0.features() != rows.0.size() {
            return refuse(format!(
                "rows must have {} features, as the layout, not {}",
                self.0.features(),
                rows.0.size()
            ));
        }
        Ok(())
    }
}

//! Sums over mutations and pairs of them.

use super::{array, check_threads, filled, refuse};
use crate::phi::pairs::PairLayout as Layout;
use crate::phi::FeatureRows as Rows;
use numpy::{Element, PyReadonlyArray1, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

#[pyclass(frozen, module = "geneq._ext")]
pub struct FeatureRows(Rows);

#[pyclass(frozen, module = "geneq._ext")]
pub struct PairLayout(Layout);

/// `value` as an array of `T` with 1 axis, of `length` if given.
fn vector<'py, T: Element>(
    value: &Bound<'py, PyAny>,
    name: &str,
    length: Option<usize>,
) -> PyResult<PyReadonlyArray1<'py, T>> {
    let dtype = T::get_dtype(value.py()).to_string();
    let found: PyReadonlyArray1<'py, T> =
        array(value, name, &format!("a {dtype} array with 1 axis"))?;
    match length {
        Some(length) if found.as_slice()?.len() != length => refuse(format!(
            "{name} must have {length} numbers, not {}",
            found.as_slice()?.len()
        )),
        _ => Ok(found),
    }
}

/// `value` as one column of `length` float64, or many: an array with 1 axis or with 2.
fn columns<'py>(
    value: &Bound<'py, PyAny>,
    name: &str,
    length: usize,
) -> PyResult<PyReadonlyArrayDyn<'py, f64>> {
    let found: PyReadonlyArrayDyn<'py, f64> =
        array(value, name, "a float64 array with 1 or 2 axes")?;
    match found.shape() {
        [size] | [_, size] if *size == length => Ok(found),
        [.., size] if found.ndim() <= 2 => {
            refuse(format!("{name} must have {length} numbers, not {size}"))
        }
        shape => refuse(format!("{name} must have 1 or 2 axes, not {}", shape.len())),
    }
}

/// As many columns of `length` as `given` has, which `fill` writes: of how many, and of what.
fn made<'py>(
    py: Python<'py>,
    given: &PyReadonlyArrayDyn<'py, f64>,
    length: usize,
    fill: impl FnOnce(usize, &[f64], &mut [f64]) + Send,
) -> PyResult<Bound<'py, PyAny>> {
    let (mut shape, values) = (given.shape().to_vec(), given.as_slice()?);
    let last = shape.len() - 1;
    shape[last] = length;
    let count = shape[..last].iter().product();
    Ok(filled(py, None, &shape, |out| fill(count, values, out))?.0)
}

/// Call `work` with each of `count` columns of both.
fn each(count: usize, given: &[f64], out: &mut [f64], work: impl Fn(&[f64], &mut [f64])) {
    let (width, made) = (given.len() / count.max(1), out.len() / count.max(1));
    for at in 0..count {
        work(&given[at * width..][..width], &mut out[at * made..][..made]);
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
        let table = columns(table, "table", self.0.size())?;
        made(py, &table, self.0.rows(), |count, table, out| match count {
            1 => self.0.sums(table, out, threads),
            _ => self.0.sums_of_many(table, out, threads),
        })
    }

    #[pyo3(signature = (weights, threads = 1))]
    fn transposed<'py>(
        &self,
        py: Python<'py>,
        weights: &Bound<'py, PyAny>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        check_threads(threads)?;
        let weights = columns(weights, "weights", self.0.rows())?;
        made(
            py,
            &weights,
            self.0.size(),
            |count, weights, out| match count {
                1 => self.0.transposed(weights, out, threads),
                _ => self.0.transposed_of_many(weights, out, threads),
            },
        )
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
        let table = columns(table, "table", self.0.size())?;
        made(py, &table, rows.0.rows(), |count, table, out| match count {
            1 => self.0.sums(&rows.0, table, out, threads),
            _ => self.0.sums_of_many(&rows.0, table, out, threads),
        })
    }

    fn shifted<'py>(
        &self,
        py: Python<'py>,
        table: &Bound<'py, PyAny>,
        centre: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let table = columns(table, "table", self.0.size())?;
        let centre = vector::<f64>(centre, "centre", Some(self.0.features()))?;
        let centre = centre.as_slice()?;
        made(py, &table, self.0.features(), |count, tables, out| {
            each(count, tables, out, |table, out| {
                self.0.shifted(table, centre, out)
            });
        })
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
        let weights = columns(weights, "weights", rows.0.rows())?;
        let single = columns(single, "single", self.0.features())?;
        let centre = vector::<f64>(centre, "centre", Some(self.0.features()))?;
        if weights.shape()[..weights.ndim() - 1] != single.shape()[..single.ndim() - 1] {
            return refuse("there must be as many weights as single");
        }
        let (single, centre) = (single.as_slice()?, centre.as_slice()?);
        made(
            py,
            &weights,
            self.0.size(),
            |count, weights, out| match count {
                1 => self
                    .0
                    .transposed(&rows.0, weights, single, centre, out, threads),
                _ => self
                    .0
                    .transposed_of_many(&rows.0, weights, single, centre, out, threads),
            },
        )
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

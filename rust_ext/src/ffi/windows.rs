//! Windows of a contig.

use super::{array, check_threads, check_tokens, refuse};
use crate::alphabet::Alphabet;
use crate::encode::N;
use crate::windows as cutting;
use numpy::{IntoPyArray, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;

#[pyfunction]
#[pyo3(signature = (contig, starts, length, minus, threads = 1))]
pub fn windows<'py>(
    py: Python<'py>,
    contig: &Bound<'py, PyAny>,
    starts: &Bound<'py, PyAny>,
    length: usize,
    minus: &Bound<'py, PyAny>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    check_threads(threads)?;
    let contig: PyReadonlyArray1<'py, u8> = array(contig, "contig", "a uint8 array with 1 axis")?;
    let starts: PyReadonlyArray1<'py, i64> = array(starts, "starts", "an int64 array with 1 axis")?;
    let minus: PyReadonlyArray1<'py, bool> = array(minus, "minus", "a bool array with 1 axis")?;
    let (contig, starts, minus) = (contig.as_slice()?, starts.as_slice()?, minus.as_slice()?);
    if starts.len() != minus.len() {
        return refuse(format!(
            "starts and minus must have the same length, not {} and {}",
            starts.len(),
            minus.len()
        ));
    }
    if length == 0 {
        return refuse("length must be at least 1");
    }
    let Some(size) = starts
        .len()
        .checked_mul(length)
        .filter(|&size| size <= isize::MAX as usize)
    else {
        return refuse(format!(
            "{} windows of {length} do not fit into memory",
            starts.len()
        ));
    };
    let cut = py.detach(|| {
        let mut out = vec![N; size];
        cutting::windows(contig, starts, minus, length, &mut out, threads);
        out
    });
    check_tokens(py, &Alphabet::dna(), &cut, "contig")?;
    cut.into_pyarray(py).reshape([starts.len(), length])
}

//! Frequencies of k-mers.

use super::{array, check_threads, check_tokens, filled, refuse};
use crate::alphabet::Alphabet;
use crate::kmers::{Kmers, LONGEST};
use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

#[pyfunction]
#[pyo3(signature = (tokens, edges, k, canonical = false, threads = 1))]
pub fn kmer_frequencies<'py>(
    py: Python<'py>,
    tokens: &Bound<'py, PyAny>,
    edges: &Bound<'py, PyAny>,
    k: usize,
    canonical: bool,
    threads: usize,
) -> PyResult<Bound<'py, PyAny>> {
    check_threads(threads)?;
    if !(1..=LONGEST).contains(&k) {
        return refuse(format!("k must be between 1 and {LONGEST}, not {k}"));
    }
    let tokens: PyReadonlyArray2<'py, u8> = array(tokens, "tokens", "a uint8 array with 2 axes")?;
    let edges: PyReadonlyArray1<'py, i64> = array(edges, "edges", "an int64 array with 1 axis")?;
    let (rows, length) = (tokens.shape()[0], tokens.shape()[1]);
    let (tokens, edges) = (tokens.as_slice()?, edges.as_slice()?);
    let inside = |&edge: &i64| usize::try_from(edge).is_ok_and(|edge| edge <= length);
    if edges.len() < 2 || !edges.iter().all(inside) || !edges.is_sorted() {
        return refuse(format!(
            "edges must be two or more ascending positions in 0…{length}"
        ));
    }
    check_tokens(py, &Alphabet::dna(), tokens, "tokens")?;
    let edges: Vec<_> = edges.iter().map(|&edge| edge as usize).collect();
    let kmers = Kmers::new(k, canonical);
    let shape = [rows, edges.len() - 1, kmers.classes()];
    let (out, ()) = filled::<f32, _>(py, None, &shape, |out| {
        kmers.frequencies(tokens, length, &edges, out, threads);
    })?;
    Ok(out)
}

//! Shuffled and random sequences.

use super::{array, check_threads, check_tokens, filled, refuse};
use crate::background::Composition;
use crate::shuffle::Shuffle;
use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

#[pyfunction]
#[pyo3(signature = (
    tokens, k = 2, seed = 1, first_row = 0, copies = 1, out = None, threads = 1, alphabet = "dna"
))]
#[allow(clippy::too_many_arguments)] // as many as there are choices
pub fn shuffle<'py>(
    py: Python<'py>,
    tokens: &Bound<'py, PyAny>,
    k: usize,
    seed: u64,
    first_row: u64,
    copies: usize,
    out: Option<&Bound<'py, PyAny>>,
    threads: usize,
    alphabet: &str,
) -> PyResult<Bound<'py, PyAny>> {
    check_threads(threads)?;
    let alphabet = super::alphabet(alphabet)?;
    let rows: PyReadonlyArray2<'py, u8> = array(tokens, "tokens", "a uint8 array with 2 axes")?;
    let (count, length, tokens) = (rows.shape()[0], rows.shape()[1], rows.as_slice()?);
    check_tokens(py, &alphabet, tokens, "tokens")?;
    check_words(k, length)?;
    if copies == 0 {
        return refuse("copies must be at least 1");
    }
    let plan = Shuffle {
        k,
        alphabet_size: alphabet.size(),
        seed,
        first_row,
        copies,
    };
    let fill = |out: &mut [u8]| {
        if length > 0 {
            plan.rows(tokens, length, out, threads);
        }
    };
    Ok(filled(py, out, &[count, copies, length], fill)?.0)
}

fn check_words(k: usize, length: usize) -> PyResult<()> {
    if k == 0 || (length > 0 && k > length) {
        return refuse(format!(
            "k must be 1…{length}, the length of the rows, not {k}"
        ));
    }
    if u32::try_from(length).is_err() {
        return refuse(format!(
            "rows must have fewer than 2^32 symbols, not {length}"
        ));
    }
    Ok(())
}

#[pyfunction]
#[pyo3(signature = (
    n, length, composition = None, seed = 1, first_row = 0, out = None, threads = 1,
    alphabet = "dna"
))]
#[allow(clippy::too_many_arguments)] // as many as there are choices
pub fn random_sequences<'py>(
    py: Python<'py>,
    n: usize,
    length: usize,
    composition: Option<&Bound<'py, PyAny>>,
    seed: u64,
    first_row: u64,
    out: Option<&Bound<'py, PyAny>>,
    threads: usize,
    alphabet: &str,
) -> PyResult<Bound<'py, PyAny>> {
    check_threads(threads)?;
    let size = super::alphabet(alphabet)?.size();
    let composition = match composition {
        Some(weights) => weighted(weights, size)?,
        None => Composition::uniform(size),
    };
    let fill = |out: &mut [u8]| {
        if length > 0 {
            composition.rows(seed, first_row, length, out, threads);
        }
    };
    Ok(filled(py, out, &[n, length], fill)?.0)
}

/// The composition of `size` symbols that has these weights.
pub fn weighted(weights: &Bound<'_, PyAny>, size: usize) -> PyResult<Composition> {
    let weights: PyReadonlyArray1<'_, f64> =
        array(weights, "composition", "a float64 array with 1 axis")?;
    let weights = weights.as_slice()?;
    if weights.len() != size {
        return refuse(format!(
            "composition must have a weight for each of {size} symbols, not {}",
            weights.len()
        ));
    }
    match Composition::weighted(weights) {
        Some(composition) => Ok(composition),
        None => refuse(format!(
            "composition must be finite weights of at least 0, not all of them 0, not {weights:?}"
        )),
    }
}

//! Letters, tokens, one-hot.

use super::{array, check_threads, check_tokens, filled, refuse};
use crate::alphabet::Alphabet;
use crate::encode::{self, Hot, Layout, F16};
use numpy::{
    Element, IntoPyArray, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArray1,
    PyReadonlyArrayDyn, PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Letters, unknown letter and columns of one-hot.
#[pyfunction]
pub fn alphabet(name: &str) -> PyResult<(String, char, usize)> {
    let alphabet = super::alphabet(name)?;
    let letter = |token| char::from(alphabet.letter(token));
    let letters = (0..alphabet.unknown()).map(letter).collect();
    Ok((letters, letter(alphabet.unknown()), alphabet.columns()))
}

#[pyfunction]
#[pyo3(signature = (text, alphabet = "dna"))]
pub fn tokens<'py>(
    py: Python<'py>,
    text: &[u8],
    alphabet: &str,
) -> PyResult<Bound<'py, PyArray1<u8>>> {
    let alphabet = super::alphabet(alphabet)?;
    match py.detach(|| encode::tokens(&alphabet, text)) {
        Ok(tokens) => Ok(tokens.into_pyarray(py)),
        Err(bad) => refuse(format!(
            "row {}, column {}: {}",
            bad.row,
            bad.column,
            alphabet.refusal(bad.byte)
        )),
    }
}

#[pyfunction]
#[pyo3(signature = (tokens, alphabet = "dna"))]
pub fn decode<'py>(
    py: Python<'py>,
    tokens: &Bound<'py, PyAny>,
    alphabet: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let alphabet = super::alphabet(alphabet)?;
    let tokens: PyReadonlyArray1<'py, u8> = array(tokens, "tokens", "a uint8 array with 1 axis")?;
    let tokens = tokens.as_slice()?;
    check_tokens(py, &alphabet, tokens, "tokens")?;
    let text = py.detach(|| encode::decode(&alphabet, tokens));
    Ok(PyBytes::new(py, &text))
}

#[pyfunction]
#[pyo3(signature = (tokens, threads = 1, alphabet = "dna"))]
pub fn reverse_complement<'py>(
    py: Python<'py>,
    tokens: &Bound<'py, PyAny>,
    threads: usize,
    alphabet: &str,
) -> PyResult<Bound<'py, PyArrayDyn<u8>>> {
    check_threads(threads)?;
    let letters = super::alphabet(alphabet)?;
    let Some(pairs) = letters.pairs() else {
        return refuse(format!("letters of the alphabet '{alphabet}' do not pair"));
    };
    let source = token_array(tokens, &letters)?;
    let mut turned = source.as_slice()?.to_vec();
    let length = *source.shape().last().unwrap_or(&0);
    if length > 0 {
        py.detach(|| encode::reverse_complement(&mut turned, length, pairs, threads));
    }
    turned.into_pyarray(py).reshape(source.shape())
}

#[pyfunction]
#[pyo3(signature = (
    tokens, dtype = "uint8", layout = "nlc", out = None, threads = 1, alphabet = "dna"
))]
pub fn one_hot<'py>(
    py: Python<'py>,
    tokens: &Bound<'py, PyAny>,
    dtype: &str,
    layout: &str,
    out: Option<&Bound<'py, PyAny>>,
    threads: usize,
    alphabet: &str,
) -> PyResult<Bound<'py, PyAny>> {
    check_threads(threads)?;
    let alphabet = super::alphabet(alphabet)?;
    let tokens = token_array(tokens, &alphabet)?;
    let &[rows, length] = tokens.shape() else {
        return refuse(format!("tokens must have 2 axes, not {}", tokens.ndim()));
    };
    let job = Job {
        alphabet: &alphabet,
        tokens: tokens.as_slice()?,
        rows,
        length,
        layout: layout_named(layout)?,
        threads,
    };
    match dtype {
        "uint8" => job.run::<u8>(py, out),
        "float16" => job.run::<F16>(py, out),
        "float32" => job.run::<f32>(py, out),
        _ => refuse(format!(
            "dtype must be 'uint8', 'float16' or 'float32', not '{dtype}'"
        )),
    }
}

pub fn layout_named(name: &str) -> PyResult<Layout> {
    match name {
        "nlc" => Ok(Layout::Nlc),
        "ncl" => Ok(Layout::Ncl),
        _ => refuse(format!("layout must be 'nlc' or 'ncl', not '{name}'")),
    }
}

/// One-hot of `tokens`, in any dtype.
struct Job<'a> {
    alphabet: &'a Alphabet,
    tokens: &'a [u8],
    rows: usize,
    length: usize,
    layout: Layout,
    threads: usize,
}

impl Job<'_> {
    fn run<'py, T: Element + Hot>(
        &self,
        py: Python<'py>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let shape = match self.layout {
            Layout::Nlc => [self.rows, self.length, self.alphabet.columns()],
            Layout::Ncl => [self.rows, self.alphabet.columns(), self.length],
        };
        let fill = |buffer: &mut [T]| {
            if self.length > 0 {
                let (tokens, length) = (self.tokens, self.length);
                encode::one_hot(
                    self.alphabet,
                    tokens,
                    length,
                    self.layout,
                    buffer,
                    self.threads,
                );
            }
        };
        Ok(filled(py, out, &shape, fill)?.0)
    }
}

/// The tokens in `value` (uint8, any number of axes above 0), all of `alphabet`.
fn token_array<'py>(
    value: &Bound<'py, PyAny>,
    alphabet: &Alphabet,
) -> PyResult<PyReadonlyArrayDyn<'py, u8>> {
    let tokens: PyReadonlyArrayDyn<'py, u8> = array(value, "tokens", "a uint8 array")?;
    if tokens.ndim() == 0 {
        return refuse("tokens must have at least 1 axis");
    }
    check_tokens(value.py(), alphabet, tokens.as_slice()?, "tokens")?;
    Ok(tokens)
}

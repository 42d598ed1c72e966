//! Backgrounds for Python.

use super::shuffle::weighted;
use super::{array, check_tokens, refuse};
use crate::alphabet::Alphabet;
use crate::background::{self, Composition};
use numpy::{PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

/// The background of elements and motifs.
#[pyclass(frozen)]
pub struct Background {
    pub kind: background::Background,
    pub alphabet: Alphabet,
}

#[pymethods]
impl Background {
    #[staticmethod]
    #[pyo3(signature = (alphabet, composition = None))]
    fn random(alphabet: &str, composition: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let alphabet = super::alphabet(alphabet)?;
        let composition = match composition {
            None => Composition::uniform(alphabet.size()),
            Some(weights) => weighted(weights, alphabet.size())?,
        };
        let kind = background::Background::Random(composition);
        Ok(Background { kind, alphabet })
    }

    #[staticmethod]
    fn shuffled(sources: &Bound<'_, PyAny>, k: usize, alphabet: &str) -> PyResult<Self> {
        let alphabet = super::alphabet(alphabet)?;
        let (sources, length) = rows_of(sources, &alphabet)?;
        if !(1..length).contains(&k) || length >= 1 << 32 {
            return refuse(format!(
                "k must be at least 1 and below the {length} symbols to shuffle, not {k}"
            ));
        }
        let kind = background::Background::Shuffled {
            sources,
            length,
            k,
            alphabet_size: alphabet.size(),
        };
        Ok(Background { kind, alphabet })
    }

    #[staticmethod]
    fn given(sources: &Bound<'_, PyAny>, alphabet: &str) -> PyResult<Self> {
        let alphabet = super::alphabet(alphabet)?;
        let (rows, length) = rows_of(sources, &alphabet)?;
        let kind = background::Background::Given { rows, length };
        Ok(Background { kind, alphabet })
    }
}

/// Tokens, and how many there are in a row.
fn rows_of(value: &Bound<'_, PyAny>, alphabet: &Alphabet) -> PyResult<(Vec<u8>, usize)> {
    let rows: PyReadonlyArray2<'_, u8> = array(value, "sources", "a uint8 array with 2 axes")?;
    let &[count, length] = rows.shape() else {
        return refuse("sources must have 2 axes");
    };
    if count == 0 || length == 0 {
        return refuse("there must be at least one source, and a symbol in it");
    }
    check_tokens(value.py(), alphabet, rows.as_slice()?, "sources")?;
    Ok((rows.as_slice()?.to_vec(), length))
}

//! `geneq._ext`: the only door between Python and the core.
//!
//! Every function checks what it is given (ValueError), lets go of the GIL while it works, and
//! fills the caller's buffer or gives its own to NumPy without a copy.

mod edit;
mod vcf;

use crate::encode::{self, Layout};
use crate::fasta;
use crate::windows as cutting;
use numpy::{
    Element, IntoPyArray, PyArray1, PyArray2, PyArray3, PyArrayDyn, PyArrayMethods,
    PyReadonlyArray, PyReadonlyArray1, PyReadonlyArrayDyn, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

fn refuse<T>(message: impl Into<String>) -> PyResult<T> {
    Err(PyValueError::new_err(message.into()))
}

/// `value` as an array of `T` with `D` axes; says what was wanted when it is another thing.
fn array<'py, T: Element, D: numpy::ndarray::Dimension>(
    value: &Bound<'py, PyAny>,
    name: &str,
    wanted: &str,
) -> PyResult<PyReadonlyArray<'py, T, D>> {
    let Ok(array) = value.extract::<PyReadonlyArray<'py, T, D>>() else {
        let given = match (value.getattr("dtype"), value.getattr("shape")) {
            (Ok(dtype), Ok(shape)) => format!("{dtype} of shape {shape}"),
            _ => value.get_type().to_string(),
        };
        return refuse(format!("{name} must be {wanted}, not {given}"));
    };
    if !array.is_c_contiguous() {
        return refuse(format!("{name} must be C-contiguous"));
    }
    Ok(array)
}

/// The tokens in `value` (uint8, any number of axes above 0), all at most N.
fn token_array<'py>(value: &Bound<'py, PyAny>) -> PyResult<PyReadonlyArrayDyn<'py, u8>> {
    let tokens: PyReadonlyArrayDyn<'py, u8> = array(value, "tokens", "a uint8 array")?;
    if tokens.ndim() == 0 {
        return refuse("tokens must have at least 1 axis");
    }
    check_tokens(value.py(), tokens.as_slice()?, "tokens")?;
    Ok(tokens)
}

fn check_tokens(py: Python<'_>, tokens: &[u8], name: &str) -> PyResult<()> {
    match py.detach(|| encode::first_not_token(tokens)) {
        Some(at) => refuse(format!(
            "{name} must be 0…4, but one is {} (at {at})",
            tokens[at]
        )),
        None => Ok(()),
    }
}

fn check_threads(threads: usize) -> PyResult<()> {
    if threads == 0 {
        return refuse("threads must be at least 1");
    }
    Ok(())
}

#[pyfunction]
fn tokens<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyArray1<u8>>> {
    match py.detach(|| encode::tokens(text)) {
        Ok(tokens) => Ok(tokens.into_pyarray(py)),
        Err(bad) => refuse(format!(
            "row {}, column {}: '{}' is no nucleotide letter",
            bad.row,
            bad.column,
            bad.byte.escape_ascii()
        )),
    }
}

#[pyfunction]
fn decode<'py>(py: Python<'py>, tokens: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let tokens: PyReadonlyArray1<'py, u8> = array(tokens, "tokens", "a uint8 array with 1 axis")?;
    let tokens = tokens.as_slice()?;
    check_tokens(py, tokens, "tokens")?;
    Ok(PyBytes::new(py, &py.detach(|| encode::decode(tokens))))
}

#[pyfunction]
#[pyo3(signature = (tokens, threads = 1))]
fn reverse_complement<'py>(
    py: Python<'py>,
    tokens: &Bound<'py, PyAny>,
    threads: usize,
) -> PyResult<Bound<'py, PyArrayDyn<u8>>> {
    check_threads(threads)?;
    let source = token_array(tokens)?;
    let mut turned = source.as_slice()?.to_vec();
    let length = *source.shape().last().unwrap_or(&0);
    if length > 0 {
        py.detach(|| encode::reverse_complement(&mut turned, length, threads));
    }
    turned.into_pyarray(py).reshape(source.shape())
}

#[pyfunction]
#[pyo3(signature = (contig, starts, length, minus, threads = 1))]
fn windows<'py>(
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
            "starts and minus must be equally long, not {} and {}",
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
        let mut out = vec![encode::N; size];
        cutting::windows(contig, starts, minus, length, &mut out, threads);
        out
    });
    check_tokens(py, &cut, "contig")?;
    cut.into_pyarray(py).reshape([starts.len(), length])
}

#[pyfunction]
#[pyo3(signature = (tokens, dtype = "uint8", layout = "nlc", out = None, threads = 1))]
fn one_hot<'py>(
    py: Python<'py>,
    tokens: &Bound<'py, PyAny>,
    dtype: &str,
    layout: &str,
    out: Option<&Bound<'py, PyAny>>,
    threads: usize,
) -> PyResult<Bound<'py, PyAny>> {
    check_threads(threads)?;
    let tokens = token_array(tokens)?;
    let &[rows, length] = tokens.shape() else {
        return refuse(format!("tokens must have 2 axes, not {}", tokens.ndim()));
    };
    let (layout, shape) = match layout {
        "nlc" => (Layout::Nlc, [rows, length, 4]),
        "ncl" => (Layout::Ncl, [rows, 4, length]),
        _ => return refuse(format!("layout must be 'nlc' or 'ncl', not '{layout}'")),
    };
    match dtype {
        "uint8" => one_hot_as::<u8>(py, tokens.as_slice()?, layout, shape, out, threads),
        "float32" => one_hot_as::<f32>(py, tokens.as_slice()?, layout, shape, out, threads),
        _ => refuse(format!("dtype must be 'uint8' or 'float32', not '{dtype}'")),
    }
}

fn one_hot_as<'py, T: Element + Copy + Default + From<u8>>(
    py: Python<'py>,
    tokens: &[u8],
    layout: Layout,
    shape: [usize; 3],
    out: Option<&Bound<'py, PyAny>>,
    threads: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let [rows, a, b] = shape;
    let length = a * b / 4;
    let fill = |buffer: &mut [T]| {
        if length > 0 {
            encode::one_hot(tokens, length, layout, buffer, threads);
        }
    };
    let Some(out) = out else {
        let mut buffer = vec![T::default(); rows * length * 4];
        py.detach(|| fill(&mut buffer));
        return Ok(buffer.into_pyarray(py).reshape(shape)?.into_any());
    };
    let Ok(target) = out.cast::<PyArray3<T>>() else {
        return refuse("out must be an array of the dtype asked for, with 3 axes");
    };
    if target.shape() != shape || !target.is_c_contiguous() {
        return refuse(format!("out must be C-contiguous and of shape {shape:?}"));
    }
    let Ok(mut target) = target.try_readwrite() else {
        return refuse("out must be writeable and not overlap with tokens");
    };
    let buffer = target.as_slice_mut()?;
    py.detach(|| fill(buffer));
    Ok(out.clone())
}

/// A record as (header, length, offset, line_bases, line_width, even).
type Record = (String, u64, u64, u64, u64, bool);

#[pyclass]
struct FastaScanner(Option<fasta::Scanner>);

#[pymethods]
impl FastaScanner {
    #[new]
    fn new() -> Self {
        FastaScanner(Some(fasta::Scanner::new()))
    }

    fn feed<'py>(&mut self, py: Python<'py>, chunk: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let Some(scanner) = self.0.as_mut() else {
            return refuse("the scanner is finished");
        };
        let mut text = Vec::new();
        match py.detach(|| scanner.feed(chunk, &mut text)) {
            Ok(()) => Ok(PyBytes::new(py, &text)),
            Err(error) => {
                self.0 = None;
                refuse(error.to_string())
            }
        }
    }

    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, Vec<Record>)> {
        let Some(scanner) = self.0.take() else {
            return refuse("the scanner is finished");
        };
        let mut text = Vec::new();
        match scanner.finish(&mut text) {
            Ok(records) => {
                let records = records.into_iter().map(|r| {
                    (
                        r.header,
                        r.length,
                        r.offset,
                        r.line_bases,
                        r.line_width,
                        r.even,
                    )
                });
                Ok((PyBytes::new(py, &text), records.collect()))
            }
            Err(error) => refuse(error.to_string()),
        }
    }
}

#[pymodule]
mod _ext {
    #[pymodule_export]
    use super::edit::edited_windows;
    #[pymodule_export]
    use super::vcf::vcf_alleles;
    #[pymodule_export]
    use super::{decode, one_hot, reverse_complement, tokens, windows, FastaScanner};

    /// sha256 of the code this was built from.
    #[pymodule_export]
    const CODE_DIGEST: &str = env!("CODE_DIGEST");
}

//! Symbols, tokens, one-hot.

use super::{array, check_threads, check_tokens, filled, not_token, refuse};
use crate::alphabet::Alphabet;
use crate::encode::{self, Code, Hot, Layout, UnpackError, F16};
use numpy::{
    Element, IntoPyArray, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyReadonlyArray3, PyReadonlyArrayDyn, PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Symbols, unknown symbol and columns of one-hot.
#[pyfunction]
pub fn alphabet(name: &str) -> PyResult<(String, char, usize)> {
    let alphabet = super::alphabet(name)?;
    let symbol = |token| char::from(alphabet.symbol(token));
    let symbols = (0..alphabet.unknown()).map(symbol).collect();
    Ok((symbols, symbol(alphabet.unknown()), alphabet.columns()))
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
        Err(bad) => refuse(bad_symbol(&alphabet, bad.row, bad.column, bad.byte)),
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
    let symbols = super::alphabet(alphabet)?;
    let Some(pairs) = symbols.pairs() else {
        return refuse(format!(
            "symbols of the alphabet '{alphabet}' have no complement"
        ));
    };
    let source = bytes(tokens, "tokens")?;
    check_tokens(py, &symbols, source.as_slice()?, "tokens")?;
    let mut turned = source.as_slice()?.to_vec();
    let length = *source.shape().last().unwrap_or(&0);
    if length > 0 {
        py.detach(|| encode::reverse_complement(&mut turned, length, pairs, threads));
    }
    turned.into_pyarray(py).reshape(source.shape())
}

#[pyfunction]
#[pyo3(signature = (symbols, threads = 1, alphabet = "dna"))]
pub fn symbol_tokens<'py>(
    py: Python<'py>,
    symbols: &Bound<'py, PyAny>,
    threads: usize,
    alphabet: &str,
) -> PyResult<Bound<'py, PyAny>> {
    check_threads(threads)?;
    let alphabet = super::alphabet(alphabet)?;
    let symbols = rows(symbols, "symbols")?;
    let source = symbols.as_slice()?;
    let fill = |out: &mut [u8]| encode::symbols(&alphabet, source, out, threads);
    let (out, done) = filled(py, None, symbols.shape(), fill)?;
    done.or_else(|at| refuse_byte(&alphabet, Code::Symbols, source, symbols.shape()[1], at))?;
    Ok(out)
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
    let tokens = rows(tokens, "tokens")?;
    OneHot::new(Code::Tokens, layout, threads, alphabet)?.make(py, &tokens, dtype, out)
}

#[pyfunction]
#[pyo3(signature = (
    symbols, dtype = "uint8", layout = "nlc", out = None, threads = 1, alphabet = "dna"
))]
pub fn symbol_one_hot<'py>(
    py: Python<'py>,
    symbols: &Bound<'py, PyAny>,
    dtype: &str,
    layout: &str,
    out: Option<&Bound<'py, PyAny>>,
    threads: usize,
    alphabet: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let symbols = rows(symbols, "symbols")?;
    OneHot::new(Code::Symbols, layout, threads, alphabet)?.make(py, &symbols, dtype, out)
}

/// How bytes become one-hot.
struct OneHot {
    code: Code,
    layout: Layout,
    threads: usize,
    alphabet: Alphabet,
}

impl OneHot {
    fn new(code: Code, layout: &str, threads: usize, alphabet: &str) -> PyResult<Self> {
        check_threads(threads)?;
        Ok(OneHot {
            code,
            layout: layout_named(layout)?,
            threads,
            alphabet: super::alphabet(alphabet)?,
        })
    }

    fn make<'py>(
        &self,
        py: Python<'py>,
        source: &PyReadonlyArray2<'py, u8>,
        dtype: &str,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match dtype {
            "uint8" => self.make_as::<u8>(py, source, out),
            "float16" => self.make_as::<F16>(py, source, out),
            "float32" => self.make_as::<f32>(py, source, out),
            _ => refuse(format!(
                "dtype must be 'uint8', 'float16' or 'float32', not '{dtype}'"
            )),
        }
    }

    fn make_as<'py, T: Element + Hot>(
        &self,
        py: Python<'py>,
        source: &PyReadonlyArray2<'py, u8>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (rows, length, bytes) = (source.shape()[0], source.shape()[1], source.as_slice()?);
        let shape = self.layout.shape(rows, length, self.alphabet.columns());
        let (length, source) = (length.max(1), (self.code, bytes));
        let fill = |out: &mut [T]| {
            encode::one_hot(
                &self.alphabet,
                source,
                length,
                self.layout,
                out,
                self.threads,
            )
        };
        let (out, done) = filled(py, out, &shape, fill)?;
        done.or_else(|at| refuse_byte(&self.alphabet, self.code, bytes, length, at))?;
        Ok(out)
    }
}

#[pyfunction]
#[pyo3(signature = (hot, layout = "nlc", threads = 1, alphabet = "dna"))]
pub fn from_one_hot<'py>(
    py: Python<'py>,
    hot: &Bound<'py, PyAny>,
    layout: &str,
    threads: usize,
    alphabet: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let how = OneHot::new(Code::Tokens, layout, threads, alphabet)?;
    if let Ok(hot) = array(hot, "hot", "") {
        read::<u8>(py, &how, hot)
    } else if let Ok(hot) = array(hot, "hot", "") {
        read::<F16>(py, &how, hot)
    } else {
        let wanted = "a uint8, uint16 (float16) or float32 array with 3 axes";
        read::<f32>(py, &how, array(hot, "hot", wanted)?)
    }
}

fn read<'py, T: Element + Hot>(
    py: Python<'py>,
    how: &OneHot,
    hot: PyReadonlyArray3<'py, T>,
) -> PyResult<Bound<'py, PyAny>> {
    let &[rows, a, b] = hot.shape() else {
        return refuse("hot must have 3 axes");
    };
    let (length, columns) = match how.layout {
        Layout::Nlc => (a, b),
        Layout::Ncl => (b, a),
    };
    if columns != how.alphabet.columns() {
        let wanted = how.alphabet.columns();
        return refuse(format!("hot must have {wanted} columns, not {columns}"));
    }
    let hot = hot.as_slice()?;
    let (shape, length) = ([rows, length], length.max(1));
    let fill = |out: &mut [u8]| {
        encode::from_one_hot(&how.alphabet, hot, length, how.layout, out, how.threads)
    };
    let (out, done) = filled(py, None, &shape, fill)?;
    if let Err(at) = done {
        let (row, column) = (at / length + 1, at % length + 1);
        return refuse(format!(
            "row {row}, column {column}: these values encode no symbol"
        ));
    }
    Ok(out)
}

/// Packed tokens as (data, rows and positions of unknown symbols).
type Packed<'py> = (
    Bound<'py, PyAny>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i32>>,
);

#[pyfunction]
#[pyo3(signature = (tokens, threads = 1, alphabet = "dna"))]
pub fn pack<'py>(
    py: Python<'py>,
    tokens: &Bound<'py, PyAny>,
    threads: usize,
    alphabet: &str,
) -> PyResult<Packed<'py>> {
    check_threads(threads)?;
    let alphabet = super::alphabet(alphabet)?;
    let tokens = rows(tokens, "tokens")?;
    let &[count, length] = tokens.shape() else {
        return refuse("tokens must have 2 axes");
    };
    let shape = [count, packed_width(&alphabet, length)?];
    let tokens = tokens.as_slice()?;
    check_tokens(py, &alphabet, tokens, "tokens")?;
    let fill = |out: &mut [u8]| encode::pack(&alphabet, tokens, length.max(1), out, threads);
    let (data, unknown) = filled(py, None, &shape, fill)?;
    let (rows, positions): (Vec<i64>, Vec<i32>) = unknown.into_iter().unzip();
    Ok((data, rows.into_pyarray(py), positions.into_pyarray(py)))
}

#[pyfunction]
#[pyo3(signature = (data, length, unknown_row, unknown_position, threads = 1, alphabet = "dna"))]
pub fn unpack<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    length: usize,
    unknown_row: &Bound<'py, PyAny>,
    unknown_position: &Bound<'py, PyAny>,
    threads: usize,
    alphabet: &str,
) -> PyResult<Bound<'py, PyAny>> {
    check_threads(threads)?;
    let alphabet = super::alphabet(alphabet)?;
    let data = rows(data, "data")?;
    let listed: (PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i32>) = (
        array(unknown_row, "unknown_row", "an int64 array with 1 axis")?,
        array(
            unknown_position,
            "unknown_position",
            "an int32 array with 1 axis",
        )?,
    );
    let unknown = (listed.0.as_slice()?, listed.1.as_slice()?);
    if unknown.0.len() != unknown.1.len() {
        return refuse("unknown_row and unknown_position must have the same length");
    }
    let width = packed_width(&alphabet, length)?;
    if data.shape()[1] != width {
        let given = data.shape()[1];
        return refuse(format!("data must have {width} bytes per row, not {given}"));
    }
    let (shape, bytes) = ([data.shape()[0], length], data.as_slice()?);
    let fill =
        |out: &mut [u8]| encode::unpack(&alphabet, bytes, length.max(1), unknown, out, threads);
    let (out, done) = filled(py, None, &shape, fill)?;
    match done {
        Ok(()) => Ok(out),
        Err(UnpackError::Value { row, position }) => refuse(format!(
            "row {}, column {}: the packed value is not a symbol",
            row + 1,
            position + 1
        )),
        Err(UnpackError::Outside(at)) => refuse(format!(
            "unknown symbol {at}: row {}, position {} is outside of the rows",
            unknown.0[at], unknown.1[at]
        )),
    }
}

/// Bytes of a packed row; the position of an unknown symbol in it must fit an int32.
fn packed_width(alphabet: &Alphabet, length: usize) -> PyResult<usize> {
    match encode::packed_width(alphabet, length) {
        Some(width) if i32::try_from(length).is_ok() => Ok(width),
        _ => refuse(format!("rows of {length} symbols are too long to pack")),
    }
}

pub fn layout_named(name: &str) -> PyResult<Layout> {
    match name {
        "nlc" => Ok(Layout::Nlc),
        "ncl" => Ok(Layout::Ncl),
        _ => refuse(format!("layout must be 'nlc' or 'ncl', not '{name}'")),
    }
}

/// `value` as a uint8 array with any number of axes above 0.
fn bytes<'py>(value: &Bound<'py, PyAny>, name: &str) -> PyResult<PyReadonlyArrayDyn<'py, u8>> {
    let bytes: PyReadonlyArrayDyn<'py, u8> = array(value, name, "a uint8 array")?;
    if bytes.ndim() == 0 {
        return refuse(format!("{name} must have at least 1 axis"));
    }
    Ok(bytes)
}

/// `value` as a uint8 array of rows.
fn rows<'py>(value: &Bound<'py, PyAny>, name: &str) -> PyResult<PyReadonlyArray2<'py, u8>> {
    array(value, name, "a uint8 array with 2 axes")
}

/// The error message for the byte at `at` of `source`, rows of `length`.
fn refuse_byte(
    alphabet: &Alphabet,
    code: Code,
    source: &[u8],
    length: usize,
    at: usize,
) -> PyResult<()> {
    let (row, column) = (at / length + 1, at % length + 1);
    refuse(match code {
        Code::Tokens => not_token("tokens", alphabet, source, at),
        Code::Symbols if source[at] == 0 => format!(
            "row {row} ends after {} symbols, but all rows must have the same length ({length})",
            column - 1
        ),
        Code::Symbols => bad_symbol(alphabet, row, column, source[at]),
    })
}

fn bad_symbol(alphabet: &Alphabet, row: usize, column: usize, byte: u8) -> String {
    format!("row {row}, column {column}: {}", alphabet.refusal(byte))
}

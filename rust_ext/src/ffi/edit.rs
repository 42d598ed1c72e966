//! Windows of a contig with edits.

use super::{array, check_threads, check_tokens, filled, refuse};
use crate::alphabet::Alphabet;
use crate::edit::{self, Edit};
use numpy::{PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

#[pyfunction]
#[pyo3(signature = (contig, edits, symbols, out, threads = 1))]
pub fn edited_windows<'py>(
    py: Python<'py>,
    contig: &Bound<'py, PyAny>,
    edits: &Bound<'py, PyAny>,
    symbols: &Bound<'py, PyAny>,
    out: &Bound<'py, PyAny>,
    threads: usize,
) -> PyResult<()> {
    check_threads(threads)?;
    let contig: PyReadonlyArray1<'py, u8> = array(contig, "contig", "a uint8 array with 1 axis")?;
    let edits: PyReadonlyArray2<'py, i64> = array(edits, "edits", "an int64 array with 2 axes")?;
    let symbols: PyReadonlyArray1<'py, u8> =
        array(symbols, "symbols", "a uint8 array with 1 axis")?;
    let Ok(target) = out.cast::<PyArray2<u8>>() else {
        return refuse("out must be a uint8 array with 2 axes");
    };
    let (rows, length) = (edits.shape()[0], target.dims()[1]);
    if edits.shape()[1] != 5 || length == 0 {
        return refuse("edits must have 5 columns, and out at least 1");
    }
    let (contig, symbols) = (contig.as_slice()?, symbols.as_slice()?);
    check_tokens(py, &Alphabet::dna(), contig, "contig")?;
    check_tokens(py, &Alphabet::dna(), symbols, "symbols")?;
    let windows = edits.as_slice()?.chunks_exact(5);
    let windows: Result<Vec<_>, _> = windows.map(|edit| made(edit, symbols, length)).collect();
    let windows = windows.or_else(refuse)?;
    filled(py, Some(out), &[rows, length], |buffer| {
        edit::edited(contig, &windows, length, buffer, threads)
    })?;
    Ok(())
}

/// An edit, checked: its symbols must exist and be within the window.
fn made<'a>(edit: &[i64], symbols: &'a [u8], length: usize) -> Result<Edit<'a>, String> {
    let inside = || {
        let &[start, end, place, first, last] = edit else {
            return None;
        };
        let place = usize::try_from(place).ok()?;
        let symbols = symbols.get(usize::try_from(first).ok()?..usize::try_from(last).ok()?)?;
        let fits = symbols.len() <= length && place <= length - symbols.len();
        fits.then_some(Edit {
            start,
            end,
            place,
            symbols,
        })
    };
    inside().ok_or_else(|| format!("the symbols of an edit must be within its window: {edit:?}"))
}

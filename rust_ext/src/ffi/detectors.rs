//! Detectors of motifs.

use super::{array, check_threads, check_tokens, filled, refuse};
use crate::alphabet::Alphabet;
use crate::detectors::{Detectors, CODES, LANES};
use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray4, PyUntypedArrayMethods};
use pyo3::prelude::*;

#[pyfunction]
#[pyo3(signature = (tokens, tables, thresholds, width, average = false, threads = 1))]
pub fn detections<'py>(
    py: Python<'py>,
    tokens: &Bound<'py, PyAny>,
    tables: &Bound<'py, PyAny>,
    thresholds: &Bound<'py, PyAny>,
    width: usize,
    average: bool,
    threads: usize,
) -> PyResult<Bound<'py, PyAny>> {
    check_threads(threads)?;
    let tokens: PyReadonlyArray2<'py, u8> = array(tokens, "tokens", "a uint8 array with 2 axes")?;
    let tables: PyReadonlyArray4<'py, f32> =
        array(tables, "tables", "a float32 array with 4 axes")?;
    let thresholds: PyReadonlyArray1<'py, f32> =
        array(thresholds, "thresholds", "a float32 array with 1 axis")?;
    let (rows, length) = (tokens.shape()[0], tokens.shape()[1]);
    let columns = thresholds.shape()[0];
    let shape = [columns / LANES, width.div_ceil(2), CODES, LANES];
    if width == 0 || columns == 0 || columns % LANES != 0 || tables.shape() != shape {
        return refuse(format!(
            "tables must be of shape [thresholds / {LANES}, width / 2 rounded up, {CODES}, {LANES}], \
             not {:?} for {columns} thresholds and width {width}",
            tables.shape()
        ));
    }
    let tokens = tokens.as_slice()?;
    check_tokens(py, &Alphabet::dna(), tokens, "tokens")?;
    let detectors = Detectors {
        width,
        tables: tables.as_slice()?,
        thresholds: thresholds.as_slice()?,
        average,
    };
    let shape = [rows, 1 + usize::from(average), columns];
    let (out, ()) = filled::<f32, _>(py, None, &shape, |out| {
        detectors.scan(tokens, length, out, threads);
    })?;
    Ok(out)
}

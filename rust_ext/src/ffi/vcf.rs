//! Lines of a VCF to columns of alleles.

use super::refuse;
use crate::vcf;
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Columns as (line, pos, kind, chrom, id, ref, alt).
type Columns<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<u8>>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
);

#[pyfunction]
pub fn vcf_alleles<'py>(py: Python<'py>, lines: &[u8], first: i64) -> PyResult<Columns<'py>> {
    match py.detach(|| vcf::alleles(lines, first)) {
        Ok(found) => Ok((
            found.line.into_pyarray(py),
            found.pos.into_pyarray(py),
            found.kind.into_pyarray(py),
            PyBytes::new(py, &found.chrom),
            PyBytes::new(py, &found.id),
            PyBytes::new(py, &found.reference),
            PyBytes::new(py, &found.alternative),
        )),
        Err(bad) => refuse(bad.to_string()),
    }
}

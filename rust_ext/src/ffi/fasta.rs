//! Reading FASTA.

use super::refuse;
use crate::fasta;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A record as (header, length).
type Record = (String, u64);

#[pyclass]
pub struct FastaScanner(Option<fasta::Scanner>);

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
                let records = records
                    .into_iter()
                    .map(|record| (record.header, record.length));
                Ok((PyBytes::new(py, &text), records.collect()))
            }
            Err(error) => refuse(error.to_string()),
        }
    }
}

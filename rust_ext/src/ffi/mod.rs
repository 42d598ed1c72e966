//! `geneq._ext`: the only module that uses PyO3.
//!
//! Every function checks its arguments (ValueError), releases the GIL while it works, and fills the
//! caller's buffer or passes its own to NumPy without a copy.

mod background;
mod detectors;
mod edit;
mod encoding;
mod fasta;
mod kmers;
mod library;
mod phi;
mod shuffle;
mod sums;
mod vcf;
mod windows;

use crate::alphabet::Alphabet;
use crate::encode::Code;
use numpy::{
    Element, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

fn refuse<T>(message: impl Into<String>) -> PyResult<T> {
    Err(PyValueError::new_err(message.into()))
}

/// `value` as an array of `T` with `D` axes; otherwise an error that states what was expected.
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

/// `out`, or a new array, of `shape`, and the result of `fill`, which writes it without the GIL.
///
/// New memory comes from NumPy: it asks for huge pages, and for too much it raises MemoryError.
fn filled<'py, T: Element, R: Send>(
    py: Python<'py>,
    out: Option<&Bound<'py, PyAny>>,
    shape: &[usize],
    fill: impl FnOnce(&mut [T]) -> R + Send,
) -> PyResult<(Bound<'py, PyAny>, R)> {
    let out = match out {
        Some(out) => out.clone(),
        None => {
            let numpy = py.import("numpy")?;
            numpy.call_method1("empty", (shape, T::get_dtype(py)))?
        }
    };
    let Ok(target) = out.cast::<PyArrayDyn<T>>() else {
        let wanted = T::get_dtype(py).typeobj();
        return refuse(format!(
            "out must be an array of the requested dtype ({wanted})"
        ));
    };
    if target.shape() != shape || !target.is_c_contiguous() {
        return refuse(format!("out must be C-contiguous and of shape {shape:?}"));
    }
    let Ok(mut target) = target.try_readwrite() else {
        return refuse("out must be writeable and not overlap with the input");
    };
    let buffer = target.as_slice_mut()?;
    let found = py.detach(|| fill(buffer));
    drop(target);
    Ok((out, found))
}

/// The alphabet called `name`.
fn alphabet(name: &str) -> PyResult<Alphabet> {
    let Some(alphabet) = Alphabet::named(name) else {
        return refuse(format!(
            "alphabet must be 'dna', 'rna', 'protein', 'diploid', or 'symbols:' and 1 to 64 \
             different symbols (printable ASCII, no lower case, no '?'), not '{name}'"
        ));
    };
    Ok(alphabet)
}

fn check_tokens(py: Python<'_>, alphabet: &Alphabet, tokens: &[u8], name: &str) -> PyResult<()> {
    py.detach(|| Code::Tokens.check(alphabet, tokens))
        .or_else(|at| refuse(not_token(name, alphabet, tokens, at)))
}

/// The error message for the token at `at`.
fn not_token(name: &str, alphabet: &Alphabet, tokens: &[u8], at: usize) -> String {
    let (most, given) = (alphabet.unknown(), tokens[at]);
    format!("{name} must be 0…{most}, but one is {given} (at {at})")
}

fn check_threads(threads: usize) -> PyResult<()> {
    if threads == 0 {
        return refuse("threads must be at least 1");
    }
    Ok(())
}

#[pymodule]
mod _ext {
    #[pymodule_export]
    use super::background::Background;
    #[pymodule_export]
    use super::detectors::detections;
    #[pymodule_export]
    use super::edit::edited_windows;
    #[pymodule_export]
    use super::encoding::{
        alphabet, decode, from_one_hot, one_hot, pack, reverse_complement, symbol_one_hot,
        symbol_tokens, tokens, unpack,
    };
    #[pymodule_export]
    use super::fasta::FastaScanner;
    #[pymodule_export]
    use super::kmers::kmer_frequencies;
    #[pymodule_export]
    use super::library::Library;
    #[pymodule_export]
    use super::phi::{FeatureRows, PairLayout};
    #[pymodule_export]
    use super::shuffle::{random_sequences, shuffle};
    #[pymodule_export]
    use super::sums::{add_entries, add_totals};
    #[pymodule_export]
    use super::vcf::vcf_alleles;
    #[pymodule_export]
    use super::windows::windows;

    /// sha256 of the code this was built from.
    #[pymodule_export]
    const CODE_DIGEST: &str = env!("CODE_DIGEST");
}

//! Libraries for Python: made from a checked recipe, then asked for rows.

use super::encoding::layout_named;
use super::{array, check_threads, check_tokens, filled, refuse};
use crate::alphabet::Alphabet;
use crate::encode::{Hot, Layout, F16};
use crate::library::combinations::Combinations;
use crate::library::counts::Counts;
use crate::library::pairs::Pairs;
use crate::library::random::{Letters, Places, Random};
use crate::library::saturation::{Edits, Keep, Saturation};
use crate::library::{self, Refused, Rows, Target};
use numpy::{Element, IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

enum Kind {
    Random(Random),
    Combinations(Combinations),
    Pairs(Pairs),
    Saturation(Saturation),
}

/// `$work` with `$library` bound to whatever kind of library this is.
macro_rules! with {
    ($kind:expr, $library:ident => $work:expr) => {
        match $kind {
            Kind::Random($library) => $work,
            Kind::Combinations($library) => $work,
            Kind::Pairs($library) => $work,
            Kind::Saturation($library) => $work,
        }
    };
}

impl From<Refused> for PyErr {
    fn from(refused: Refused) -> Self {
        PyValueError::new_err(refused.0)
    }
}

#[pyclass(frozen, module = "geneq._ext")]
pub struct Library {
    kind: Kind,
    alphabet: Alphabet,
}

/// Where a library mutates which sequence, as Python gives it.
fn target(
    wild_type: &Bound<'_, PyAny>,
    positions: &Bound<'_, PyAny>,
    alphabet: &Alphabet,
) -> PyResult<Target> {
    let wild = tokens_of(wild_type, "wild_type", alphabet)?;
    Ok(Target::new(wild, &positions_of(positions)?, alphabet)?)
}

fn tokens_of(value: &Bound<'_, PyAny>, name: &str, alphabet: &Alphabet) -> PyResult<Vec<u8>> {
    let tokens: PyReadonlyArray1<'_, u8> = array(value, name, "a uint8 array with 1 axis")?;
    check_tokens(value.py(), alphabet, tokens.as_slice()?, name)?;
    Ok(tokens.as_slice()?.to_vec())
}

fn positions_of(value: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
    let wanted = "a uint32 array with 1 axis";
    let positions: PyReadonlyArray1<'_, u32> = array(value, "positions", wanted)?;
    Ok(positions.as_slice()?.to_vec())
}

/// The positions that change, from the name of a distribution and its numbers.
fn places(how: &str, numbers: &[f64], target: &Target) -> PyResult<Places> {
    let most = target.sites.len();
    let one = |range: std::ops::RangeInclusive<f64>| match numbers {
        &[number] if range.contains(&number) => Ok(number),
        _ => refuse(format!(
            "{how} takes one number in {range:?}, not {numbers:?}"
        )),
    };
    Ok(match how {
        "poisson" => Places::Counts(Counts::poisson(one(0.0..=most as f64)?, most)?),
        "binomial" => Places::Counts(Counts::binomial(most, one(0.0..=1.0)?)?),
        "fixed" => Places::Counts(Counts::fixed(one(0.0..=most as f64)? as usize)),
        "table" => Places::Counts(Counts::table(numbers)?),
        "rates" => Places::Rates(chances(numbers)?),
        _ => return refuse(format!("no distribution is named '{how}'")),
    })
}

/// Probabilities in 2^-32.
fn chances(rates: &[f64]) -> PyResult<Vec<u64>> {
    if let Some(rate) = rates.iter().find(|rate| !(0.0..=1.0).contains(*rate)) {
        return refuse(format!("rates must lie in [0, 1], but one is {rate}"));
    }
    Ok(rates
        .iter()
        .map(|rate| (rate * 2f64.powi(32)) as u64)
        .collect())
}

/// Position, deleted letters, tokens of the inserted ones.
type Edited = (usize, usize, Vec<u8>);

#[pymethods]
impl Library {
    #[staticmethod]
    #[pyo3(signature = (
        wild_type, positions, alphabet, rows, seed, how, numbers,
        letter_weights = None, wild_first = true, distinct = false, threads = 1
    ))]
    #[allow(clippy::too_many_arguments)]
    fn random(
        py: Python<'_>,
        wild_type: &Bound<'_, PyAny>,
        positions: &Bound<'_, PyAny>,
        alphabet: &str,
        rows: u64,
        seed: u64,
        how: &str,
        numbers: Vec<f64>,
        letter_weights: Option<Vec<Vec<f64>>>,
        wild_first: bool,
        distinct: bool,
        threads: usize,
    ) -> PyResult<Self> {
        check_threads(threads)?;
        let alphabet = super::alphabet(alphabet)?;
        let target = target(wild_type, positions, &alphabet)?;
        let places = places(how, &numbers, &target)?;
        let letters = match letter_weights {
            Some(weights) => Letters::weighted(&weights, &target, &alphabet)?,
            None => Letters::Uniform,
        };
        let mut library = Random::new(target, places, letters, rows, seed, wild_first)?;
        if distinct {
            library = py.detach(|| library.distinct(threads))?;
        }
        let kind = Kind::Random(library);
        Ok(Library { kind, alphabet })
    }

    #[staticmethod]
    #[pyo3(signature = (wild_type, positions, alphabet, min_order, max_order, rows = None, seed = 0))]
    #[allow(clippy::too_many_arguments)]
    fn combinations(
        py: Python<'_>,
        wild_type: &Bound<'_, PyAny>,
        positions: &Bound<'_, PyAny>,
        alphabet: &str,
        min_order: usize,
        max_order: usize,
        rows: Option<u64>,
        seed: u64,
    ) -> PyResult<Self> {
        let alphabet = super::alphabet(alphabet)?;
        let target = target(wild_type, positions, &alphabet)?;
        let mut library = Combinations::new(target, min_order, max_order, seed)?;
        if let Some(rows) = rows {
            library = py.detach(|| library.sample(rows))?;
        }
        let kind = Kind::Combinations(library);
        Ok(Library { kind, alphabet })
    }

    #[staticmethod]
    #[pyo3(signature = (wild_type, first, second, alphabet, singles = true))]
    fn pairs(
        wild_type: &Bound<'_, PyAny>,
        first: &Bound<'_, PyAny>,
        second: &Bound<'_, PyAny>,
        alphabet: &str,
        singles: bool,
    ) -> PyResult<Self> {
        let alphabet = super::alphabet(alphabet)?;
        let wild = tokens_of(wild_type, "wild_type", &alphabet)?;
        let kind = Kind::Pairs(Pairs::new(
            Target::new(wild.clone(), &positions_of(first)?, &alphabet)?,
            Target::new(wild, &positions_of(second)?, &alphabet)?,
            singles,
        )?);
        Ok(Library { kind, alphabet })
    }

    #[staticmethod]
    #[pyo3(signature = (
        wild_type, positions, alphabet, substitutions, deletions, insertions, left, right,
        keep = "left", wild_first = true
    ))]
    #[allow(clippy::too_many_arguments)]
    fn saturation(
        wild_type: &Bound<'_, PyAny>,
        positions: &Bound<'_, PyAny>,
        alphabet: &str,
        substitutions: bool,
        deletions: usize,
        insertions: usize,
        left: &Bound<'_, PyAny>,
        right: &Bound<'_, PyAny>,
        keep: &str,
        wild_first: bool,
    ) -> PyResult<Self> {
        let alphabet = super::alphabet(alphabet)?;
        let target = target(wild_type, positions, &alphabet)?;
        let edits = Edits {
            substitutions,
            deletions,
            insertions,
        };
        let flanks = (
            tokens_of(left, "left", &alphabet)?,
            tokens_of(right, "right", &alphabet)?,
        );
        let keep = match keep {
            "left" => Keep::Left,
            "right" => Keep::Right,
            _ => return refuse(format!("keep must be 'left' or 'right', not '{keep}'")),
        };
        let flanks = (&flanks.0[..], &flanks.1[..]);
        let kind = Kind::Saturation(Saturation::new(target, edits, flanks, keep, wild_first)?);
        Ok(Library { kind, alphabet })
    }

    #[getter]
    fn rows(&self) -> u64 {
        with!(&self.kind, library => Rows::rows(library))
    }

    #[getter]
    fn length(&self) -> usize {
        with!(&self.kind, library => library.length())
    }

    /// Position, deleted letters and inserted tokens of the edit of each row.
    fn edits(&self, first: u64, end: u64) -> PyResult<Vec<Option<Edited>>> {
        self.check_rows(first, end)?;
        let Kind::Saturation(library) = &self.kind else {
            return refuse("only a saturation library has edits");
        };
        let edit = |row| {
            library
                .edit(row)
                .map(|e| (e.position, e.deleted, e.inserted))
        };
        Ok((first..end).map(edit).collect())
    }

    #[pyo3(signature = (first, rows, out = None, threads = 1))]
    fn tokens<'py>(
        &self,
        py: Python<'py>,
        first: u64,
        rows: usize,
        out: Option<&Bound<'py, PyAny>>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        check_threads(threads)?;
        self.check_rows(first, first.saturating_add(rows as u64))?;
        let fill = |buffer: &mut [u8]| {
            with!(&self.kind, library => library::tokens(library, first, buffer, threads));
        };
        Ok(filled(py, out, &[rows, self.length()], fill)?.0)
    }

    #[pyo3(signature = (first, rows, dtype = "uint8", layout = "nlc", out = None, threads = 1))]
    #[allow(clippy::too_many_arguments)]
    fn one_hot<'py>(
        &self,
        py: Python<'py>,
        first: u64,
        rows: usize,
        dtype: &str,
        layout: &str,
        out: Option<&Bound<'py, PyAny>>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        check_threads(threads)?;
        self.check_rows(first, first.saturating_add(rows as u64))?;
        let (layout, out) = (layout_named(layout)?, (out, threads));
        match dtype {
            "uint8" => self.one_hot_as::<u8>(py, first, rows, layout, out),
            "float16" => self.one_hot_as::<F16>(py, first, rows, layout, out),
            "float32" => self.one_hot_as::<f32>(py, first, rows, layout, out),
            _ => refuse(format!(
                "dtype must be 'uint8', 'float16' or 'float32', not '{dtype}'"
            )),
        }
    }

    /// Row (int64), position (int32) and letter (uint8) of every substitution.
    #[pyo3(signature = (first, end, threads = 1))]
    #[allow(clippy::type_complexity)]
    fn mutations<'py>(
        &self,
        py: Python<'py>,
        first: u64,
        end: u64,
        threads: usize,
    ) -> PyResult<(
        Bound<'py, PyArray1<i64>>,
        Bound<'py, PyArray1<i32>>,
        Bound<'py, PyArray1<u8>>,
    )> {
        check_threads(threads)?;
        self.check_rows(first, end)?;
        let found = match &self.kind {
            Kind::Random(library) => py.detach(|| library::mutations(library, first..end, threads)),
            Kind::Combinations(library) => {
                py.detach(|| library::mutations(library, first..end, threads))
            }
            Kind::Pairs(library) => py.detach(|| library::mutations(library, first..end, threads)),
            Kind::Saturation(_) => {
                return refuse("a saturation library is more than substitutions");
            }
        };
        Ok((
            found.row.into_pyarray(py),
            found.position.into_pyarray(py),
            found.letter.into_pyarray(py),
        ))
    }
}

impl Library {
    fn check_rows(&self, first: u64, end: u64) -> PyResult<()> {
        let rows = with!(&self.kind, library => Rows::rows(library));
        if first > end || end > rows {
            return refuse(format!(
                "rows {first} to {end} are not among the {rows} of the library"
            ));
        }
        Ok(())
    }

    fn one_hot_as<'py, T: Element + Hot>(
        &self,
        py: Python<'py>,
        first: u64,
        rows: usize,
        layout: Layout,
        (out, threads): (Option<&Bound<'py, PyAny>>, usize),
    ) -> PyResult<Bound<'py, PyAny>> {
        let (length, columns) = (self.length(), self.alphabet.columns());
        let shape = match layout {
            Layout::Nlc => [rows, length, columns],
            Layout::Ncl => [rows, columns, length],
        };
        let fill = |buffer: &mut [T]| {
            with!(&self.kind, library => {
                library.one_hot(&self.alphabet, layout, first, buffer, threads);
            });
        };
        Ok(filled(py, out, &shape, fill)?.0)
    }
}

//! Libraries for Python: made from a checked recipe, then queried for rows.

use super::background::Background;
use super::encoding::layout_named;
use super::{array, check_threads, check_tokens, filled, refuse};
use crate::alphabet::Alphabet;
use crate::encode::{Hot, Layout, F16};
use crate::library::combinations::Combinations;
use crate::library::counts::Counts;
use crate::library::factorial::{Design, Factorial, Place, Word};
use crate::library::global::Global;
use crate::library::pairs::Pairs;
use crate::library::random::{Places, Random, Symbols};
use crate::library::saturation::{Edits, Keep, Saturation};
use crate::library::{self, Refused, Rows, Target};
use numpy::{
    Element, IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

enum Kind {
    Random(Random),
    Combinations(Combinations),
    Pairs(Pairs),
    Saturation(Saturation),
    Global(Global),
    Factorial(Factorial),
}

/// `$work` with `$library` bound to the library, whatever its type.
macro_rules! with {
    ($kind:expr, $library:ident => $work:expr) => {
        match $kind {
            Kind::Random($library) => $work,
            Kind::Combinations($library) => $work,
            Kind::Pairs($library) => $work,
            Kind::Saturation($library) => $work,
            Kind::Global($library) => $work,
            Kind::Factorial($library) => $work,
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

/// The sequence of a library and the positions to mutate, as Python passes them.
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
        _ => return refuse(format!("there is no distribution '{how}'")),
    })
}

/// Probabilities in 2^-32.
fn chances(rates: &[f64]) -> PyResult<Vec<u64>> {
    if let Some(rate) = rates.iter().find(|rate| !(0.0..=1.0).contains(*rate)) {
        return refuse(format!("rates must be in [0, 1], but one is {rate}"));
    }
    Ok(rates
        .iter()
        .map(|rate| (rate * 2f64.powi(32)) as u64)
        .collect())
}

/// The design: `starts` are -1 where a motif is absent, `chosen` is twice the word, plus 1
/// for its reverse complement.
fn design(
    words: Vec<Vec<u64>>,
    starts: &Bound<'_, PyAny>,
    chosen: &Bound<'_, PyAny>,
    alphabet: &Alphabet,
) -> PyResult<Design> {
    let symbols = u64::MAX >> (64 - alphabet.size());
    if words.iter().flatten().any(|place| place & !symbols != 0) {
        return refuse("words must consist of symbols of the alphabet");
    }
    let wanted = "an int32 array with 2 axes";
    let starts: PyReadonlyArray2<'_, i32> = array(starts, "starts", wanted)?;
    let chosen: PyReadonlyArray2<'_, i32> = array(chosen, "chosen", wanted)?;
    if starts.shape() != chosen.shape() {
        return refuse("starts and chosen must have the same shape");
    }
    let cells = starts.as_slice()?.iter().zip(chosen.as_slice()?);
    let place = |(&start, &chosen): (&i32, &i32)| {
        Some(Place {
            start: usize::try_from(start).ok()?,
            word: (chosen >> 1) as usize,
            minus: chosen & 1 == 1,
        })
    };
    Ok(Design {
        words: words.into_iter().map(Word::new).collect(),
        motifs: starts.shape()[1],
        places: cells.map(place).collect(),
    })
}

/// The result of `make`, without the GIL; signal handlers (Ctrl-C) are checked now and then.
fn interruptible<L: Send>(
    py: Python<'_>,
    make: impl FnOnce(&mut dyn FnMut() -> bool) -> Result<L, Refused> + Send,
) -> PyResult<L> {
    let mut raised = None;
    let made = py.detach(|| {
        make(&mut || {
            raised = Python::attach(|py| py.check_signals()).err();
            raised.is_none()
        })
    });
    match raised {
        Some(error) => Err(error),
        None => Ok(made?),
    }
}

/// Position, deleted symbols, tokens of the inserted ones.
type Edited = (usize, usize, Vec<u8>);

#[pymethods]
impl Library {
    #[staticmethod]
    #[pyo3(signature = (
        wild_type, positions, alphabet, rows, seed, how, numbers,
        symbol_weights = None, wild_first = true, distinct = false, threads = 1
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
        symbol_weights: Option<Vec<Vec<f64>>>,
        wild_first: bool,
        distinct: bool,
        threads: usize,
    ) -> PyResult<Self> {
        check_threads(threads)?;
        let alphabet = super::alphabet(alphabet)?;
        let target = target(wild_type, positions, &alphabet)?;
        let places = places(how, &numbers, &target)?;
        let symbols = match symbol_weights {
            Some(weights) => Symbols::weighted(&weights, &target, &alphabet)?,
            None => Symbols::Uniform,
        };
        let mut library = Random::new(target, places, symbols, rows, seed, wild_first)?;
        if distinct {
            library = interruptible(py, |going| library.distinct(threads, going))?;
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
            library = interruptible(py, |going| library.sample(rows, going))?;
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

    /// The element of a random library, with a separate background for every row.
    #[staticmethod]
    fn in_background(element: &Library, background: &Background) -> PyResult<Self> {
        let Kind::Random(random) = &element.kind else {
            return refuse("the element must be a random library");
        };
        if element.alphabet != background.alphabet {
            return refuse("element and background must have the same alphabet");
        }
        let library = Global::new(random.clone(), background.kind.clone())?;
        Ok(Library {
            kind: Kind::Global(library),
            alphabet: element.alphabet.clone(),
        })
    }

    #[staticmethod]
    #[pyo3(signature = (background, length, words, starts, chosen, backgrounds, seed, unpaired = false))]
    #[allow(clippy::too_many_arguments)]
    fn factorial(
        background: &Background,
        length: usize,
        words: Vec<Vec<u64>>,
        starts: &Bound<'_, PyAny>,
        chosen: &Bound<'_, PyAny>,
        backgrounds: u64,
        seed: u64,
        unpaired: bool,
    ) -> PyResult<Self> {
        let alphabet = background.alphabet.clone();
        let design = design(words, starts, chosen, &alphabet)?;
        let background = background.kind.clone();
        let pairs = alphabet.pairs().unwrap_or_default();
        let library = Factorial::new(
            design,
            background,
            length,
            backgrounds,
            seed,
            unpaired,
            pairs,
        )?;
        let kind = Kind::Factorial(library);
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

    /// Position, deleted symbols and inserted tokens of the edit of each row.
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

    /// Row (int64), position (int32) and symbol (uint8) of every substitution.
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
            Kind::Global(library) => {
                py.detach(|| library::mutations(library.element(), first..end, threads))
            }
            Kind::Saturation(_) | Kind::Factorial(_) => {
                return refuse("rows of this library are more than substitutions");
            }
        };
        Ok((
            found.row.into_pyarray(py),
            found.position.into_pyarray(py),
            found.symbol.into_pyarray(py),
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
        let shape = layout.shape(rows, self.length(), self.alphabet.columns());
        let fill = |buffer: &mut [T]| {
            with!(&self.kind, library => {
                library.one_hot(&self.alphabet, layout, first, buffer, threads);
            });
        };
        Ok(filled(py, out, &shape, fill)?.0)
    }
}

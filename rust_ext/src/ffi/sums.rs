//! Sums over the entries of a sparse matrix.

use super::{array, refuse};
use crate::sums::{Cells, Entries, Tables};
use numpy::{
    PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadwriteArray1, PyReadwriteArray2,
};
use pyo3::prelude::*;

type Totals<'py> = PyReadwriteArray1<'py, f64>;
type Table<'py> = PyReadwriteArray2<'py, f64>;

/// Checked entries, whose places on the other axis are below `others`.
struct Checked<'py> {
    by_cell: bool,
    lengths: PyReadonlyArray1<'py, i64>,
    across: PyReadonlyArray1<'py, i64>,
    values: PyReadonlyArray1<'py, f64>,
}

impl<'py> Checked<'py> {
    fn new(
        by_cell: bool,
        lengths: &Bound<'py, PyAny>,
        across: &Bound<'py, PyAny>,
        values: &Bound<'py, PyAny>,
        others: usize,
    ) -> PyResult<Self> {
        let lengths = array(lengths, "lengths", "an int64 array with 1 axis")?;
        let across = array(across, "across", "an int64 array with 1 axis")?;
        let values = array(values, "values", "a float64 array with 1 axis")?;
        let found = Self {
            by_cell,
            lengths,
            across,
            values,
        };
        let entries = found.entries()?;
        let negative = entries.lengths.iter().any(|&length| length < 0);
        let n: i64 = entries
            .lengths
            .iter()
            .fold(0, |sum, &length| sum.saturating_add(length));
        if negative || n != entries.values.len() as i64 || n != entries.across.len() as i64 {
            return refuse("lengths must add up to the number of values and of places across");
        }
        // Negative places are large without their sign.
        let highest = entries
            .across
            .iter()
            .fold(0, |most, &at| most.max(at as u64));
        if n > 0 && highest >= others as u64 {
            return refuse(format!("places across must be below {others}"));
        }
        Ok(found)
    }

    fn entries(&self) -> PyResult<Entries<'_>> {
        Ok(Entries {
            by_cell: self.by_cell,
            lengths: self.lengths.as_slice()?,
            across: self.across.as_slice()?,
            values: self.values.as_slice()?,
        })
    }
}

fn writable<'py>(value: &Bound<'py, PyAny>, name: &str) -> PyResult<Totals<'py>> {
    let Ok(array) = value.cast::<PyArray1<f64>>() else {
        return refuse(format!("{name} must be a float64 array with 1 axis"));
    };
    array
        .try_readwrite()
        .or_else(|_| refuse(format!("{name} must be writeable")))
}

fn table<'py>(value: &Bound<'py, PyAny>, name: &str) -> PyResult<Table<'py>> {
    let Ok(array) = value.cast::<PyArray2<f64>>() else {
        return refuse(format!("{name} must be a float64 array with 2 axes"));
    };
    array
        .try_readwrite()
        .or_else(|_| refuse(format!("{name} must be writeable")))
}

#[pyfunction]
pub fn add_totals<'py>(
    py: Python<'py>,
    lengths: &Bound<'py, PyAny>,
    across: &Bound<'py, PyAny>,
    values: &Bound<'py, PyAny>,
    line_totals: &Bound<'py, PyAny>,
    across_totals: &Bound<'py, PyAny>,
) -> PyResult<(f64, bool, Option<usize>)> {
    let mut lines = writable(line_totals, "line_totals")?;
    let mut others = writable(across_totals, "across_totals")?;
    let (lines, others) = (lines.as_slice_mut()?, others.as_slice_mut()?);
    let checked = Checked::new(true, lengths, across, values, others.len())?;
    let entries = checked.entries()?;
    if lines.len() != entries.lengths.len() {
        return refuse("line_totals must have an element for every line");
    }
    let found = py.detach(|| entries.add_totals(lines, others));
    Ok((found.largest, found.integers, found.bad))
}

#[pyfunction]
#[expect(
    clippy::too_many_arguments,
    reason = "arrays of a matrix, of its cells, and of sums"
)]
pub fn add_entries<'py>(
    py: Python<'py>,
    by_cell: bool,
    first: usize,
    lengths: &Bound<'py, PyAny>,
    across: &Bound<'py, PyAny>,
    values: &Bound<'py, PyAny>,
    place: &Bound<'py, PyAny>,
    group: &Bound<'py, PyAny>,
    kind: &Bound<'py, PyAny>,
    totals: &Bound<'py, PyAny>,
    by_group: &Bound<'py, PyAny>,
    squares: &Bound<'py, PyAny>,
    products: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let wanted = "an int64 array with 1 axis";
    let place: PyReadonlyArray1<'py, i64> = array(place, "place", wanted)?;
    let group: PyReadonlyArray1<'py, i64> = array(group, "group", wanted)?;
    let kind: PyReadonlyArray1<'py, i64> = array(kind, "kind", wanted)?;
    let totals: PyReadonlyArray1<'py, f64> =
        array(totals, "totals", "a float64 array with 1 axis")?;
    let (place, group, kind) = (place.as_slice()?, group.as_slice()?, kind.as_slice()?);
    let totals = totals.as_slice()?;
    if kind.len() != group.len() || totals.len() != group.len() {
        return refuse("group, kind and totals must have an element for every cell");
    }
    let (lines, others) = if by_cell {
        (group.len(), place.len())
    } else {
        (place.len(), group.len())
    };
    let checked = Checked::new(by_cell, lengths, across, values, others)?;
    let entries = checked.entries()?;
    if first + entries.lengths.len() > lines {
        return refuse(format!("there are {lines} lines"));
    }
    let (mut by_group, mut squares, mut products) = (
        table(by_group, "by_group")?,
        table(squares, "squares")?,
        table(products, "products")?,
    );
    let width = by_group.as_array().ncols() as i64;
    let (by_group, squares) = (by_group.as_slice_mut()?, squares.as_slice_mut()?);
    let products = products.as_slice_mut()?;
    let inside = |starts: &[i64], size: usize| starts.iter().all(|&at| at + width <= size as i64);
    if place.iter().any(|&at| at >= width)
        || !inside(group, by_group.len())
        || squares.len() != products.len()
        || !(squares.is_empty() || (inside(kind, squares.len()) && kinds_are_known(group, kind)))
    {
        return refuse("place, group and kind must be inside of the sums");
    }
    let cells = Cells {
        group,
        kind,
        totals,
    };
    py.detach(|| {
        entries.add(
            first,
            place,
            &cells,
            &mut Tables {
                by_group,
                squares,
                products,
            },
        )
    });
    Ok(())
}

/// Whether every cell that has a group has a kind.
fn kinds_are_known(group: &[i64], kind: &[i64]) -> bool {
    group
        .iter()
        .zip(kind)
        .all(|(&group, &kind)| group < 0 || kind >= 0)
}

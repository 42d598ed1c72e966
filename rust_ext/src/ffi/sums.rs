//! Sums over the entries of a sparse matrix.

use super::{array, refuse};
use crate::sums::{Cells, Entries, Tables};
use numpy::ndarray::{Dimension, Ix1, Ix2};
use numpy::{PyArray, PyArrayMethods, PyReadonlyArray1, PyReadwriteArray};
use pyo3::prelude::*;

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

fn writable<'py, D: Dimension>(
    value: &Bound<'py, PyAny>,
    name: &str,
) -> PyResult<PyReadwriteArray<'py, f64, D>> {
    let Ok(array) = value.cast::<PyArray<f64, D>>() else {
        let axes = D::NDIM.unwrap_or_default();
        return refuse(format!("{name} must be a float64 array; axes: {axes}"));
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
    let mut lines = writable::<Ix1>(line_totals, "line_totals")?;
    let mut others = writable::<Ix1>(across_totals, "across_totals")?;
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
        writable::<Ix2>(by_group, "by_group")?,
        writable::<Ix2>(squares, "squares")?,
        writable::<Ix2>(products, "products")?,
    );
    let width = by_group.as_array().ncols() as i64;
    let (by_group, squares) = (by_group.as_slice_mut()?, squares.as_slice_mut()?);
    let products = products.as_slice_mut()?;
    let inside = |start: i64, size: usize| start + width <= size as i64;
    // Of the cells of this block alone: the more cells a file has, the more blocks.
    let is_inside = |cell: usize| {
        let (group, kind) = (group[cell], kind[cell]);
        let known = inside(kind, squares.len()) && (group < 0 || kind >= 0);
        inside(group, by_group.len()) && (squares.is_empty() || known)
    };
    let cells_are_inside = if by_cell {
        (first..first + entries.lengths.len()).all(is_inside)
    } else {
        entries.across.iter().all(|&cell| is_inside(cell as usize))
    };
    if place.iter().any(|&at| at >= width) || squares.len() != products.len() || !cells_are_inside {
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

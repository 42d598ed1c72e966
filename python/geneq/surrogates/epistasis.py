"""Interactions of elements: effects of pairs of positions, summed over two windows.

The interaction of two positions is that of their symbols in the wild type, in the uniform gauge:
the effect of both symbols together on φ, minus the effect that each has on average over the symbols
at the other position. Its sum over two elements is φ of the wild type, minus φ with either element
replaced by random symbols, plus φ with both replaced (for the pairs that the map has).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from ..checks import parse_window
from ..errors import GeneqError
from ..mave import user_table
from .gauges import Effects
from .maps import checked
from .surrogate import UNITS, Surrogate

__all__ = [
    "Element", "check_elements", "element_pairs", "interactions", "matrices", "read_elements",
]  # fmt: skip

GAUGE = "uniform"


@dataclass(frozen=True)
class Element:
    """A named part [start, end) of the sequence, 0-based."""

    name: str
    start: int
    end: int


def read_elements(text: str) -> list[Element]:
    """Read elements from text, or from a table.

    Parameters
    ----------
    text : str
        NAME:START-END, separated by commas (0-based, end excluded), or the path of a table (.tsv,
        .csv, either also .gz, or .parquet) with the columns name, start and end.

    Returns
    -------
    list of Element
        In the order given.

    Raises
    ------
    GeneqError
        For anything else.
    """
    if text.lower().endswith((".tsv", ".csv", ".gz", ".parquet")):
        return _table(Path(text))
    try:
        named = (part.rsplit(":", 1) for part in text.split(","))
        return [Element(name, *parse_window(place)) for name, place in named]
    except ValueError:
        raise GeneqError("Elements are NAME:START-END, separated by commas, or a table",
                         value=text) from None  # fmt: skip


def _table(path: Path) -> list[Element]:
    table = user_table(path, ("name",))
    try:
        places = table[["start", "end"]].astype(int).itertuples(index=False)
        return [Element(str(name), *place)
                for name, place in zip(table["name"], places, strict=True)]  # fmt: skip
    except (KeyError, ValueError) as error:
        raise GeneqError("A table of elements has the columns name, start and end (whole numbers)",
                         value=str(error), file=path) from None  # fmt: skip


def check_elements(elements: Sequence[Element], length: int) -> list[Element]:
    """Elements sorted by their starts.

    Parameters
    ----------
    elements : sequence of Element
        In any order.
    length : int
        Length of the sequence.

    Returns
    -------
    list of Element
        Sorted by start.

    Raises
    ------
    GeneqError
        If one exceeds the sequence, or two overlap or have the same name.
    """
    for element in elements:
        checked((element.start, element.end), length)
    if len({element.name for element in elements}) < len(elements):
        raise GeneqError("Elements must have different names",
                         value=", ".join(element.name for element in elements))  # fmt: skip
    ordered = sorted(elements, key=lambda element: element.start)
    for one, other in pairwise(ordered):
        if other.start < one.end:
            raise GeneqError("Elements must not overlap", value=f"{one.name} and {other.name}")
    return ordered


def interactions(surrogate: Surrogate, target: int | str = 0) -> np.ndarray:
    """Interactions of the wild type's symbols in φ.

    Parameters
    ----------
    surrogate : Surrogate
        With a map that has pairs.
    target : int or str
        Number or name of the target.

    Returns
    -------
    ndarray
        float64[length, length], symmetric; NaN for pairs that the map does not have.
    """
    effects = surrogate.effects(GAUGE, target)
    table = np.full((len(surrogate.wild_type),) * 2, np.nan)
    one, other = effects.terms[1].sites.T
    table[one, other] = table[other, one] = _wild(effects, surrogate.wild_type)
    return table


def element_pairs(surrogate: Surrogate, elements: Sequence[Element]) -> pd.DataFrame:
    """Sums of interactions within and between elements, strongest first, as `artifacts.ELEMENTS`.

    Parameters
    ----------
    surrogate : Surrogate
        With a map that has pairs.
    elements : sequence of Element
        Parts of the sequence that do not overlap.

    Returns
    -------
    DataFrame
        A row for each target and pair of elements, each element with itself included.

    Raises
    ------
    GeneqError
        If the map has no pairs, and as `check_elements` does.
    """
    elements = check_elements(elements, len(surrogate.wild_type))
    if surrogate.map.kind == "additive":
        raise GeneqError("Additive maps have no interactions", fix="Fit a pairwise one")
    which = list(combinations_with_replacement(range(len(elements)), 2))
    names = np.array([element.name for element in elements], object)[np.array(which)]
    sites = surrogate.layout.effects(surrogate.outputs[0].theta).terms[1].sites
    sums = _sums(elements, which, sites)
    tables = []
    for target, output in zip(surrogate.targets, surrogate.outputs, strict=True):
        phi = sums @ _wild(surrogate.effects(GAUGE, target), surrogate.wild_type)
        errors = {f"se_{units}": np.nan if output.replicates is None
                  else _errors(surrogate, target, units, sums) for units in UNITS}  # fmt: skip
        table = pd.DataFrame({
            "target": target, "element_1": names[:, 0], "element_2": names[:, 1],
            "pairs": sums.getnnz(axis=1).astype(np.int64),
            "phi": phi, "y": phi * surrogate.slope(output), **errors,
            "variance": sums @ _variances(surrogate, target),
        })  # fmt: skip
        tables.append(table.sort_values("phi", key=np.abs, ascending=False, kind="stable"))
    return pd.concat(tables, ignore_index=True)


def matrices(
    table: pd.DataFrame, elements: Sequence[Element]
) -> dict[str, tuple[np.ndarray, np.ndarray, list[str]]]:
    """The table of `element_pairs` as matrices.

    Parameters
    ----------
    table : DataFrame
        As of `element_pairs`.
    elements : sequence of Element
        In the order of rows and columns.

    Returns
    -------
    dict of str to tuple
        By target: sums and standard errors, float64[elements, elements] each, and the names of the
        elements. NaN where the map has no pairs, and for unknown errors.
    """
    names = [element.name for element in elements]
    made = {}
    for target, rows in table.groupby("target", sort=False):
        rows = rows[rows["pairs"] > 0]
        at = tuple([names.index(name) for name in rows[column]]
                   for column in ("element_1", "element_2"))  # fmt: skip
        values, errors = np.full((2, len(names), len(names)), np.nan)
        for matrix, column in ((values, "phi"), (errors, "se_phi")):
            matrix[at] = matrix[at[::-1]] = rows[column]
        made[target] = values, errors, names
    return made


def _sums(elements: Sequence[Element], which: list[tuple[int, int]], sites: np.ndarray):
    """The matrix [which, n] that sums pairs of positions, int[n, 2], over pairs of elements."""
    inside = [(sites >= element.start) & (sites < element.end) for element in elements]
    rows = [(inside[one] & inside[other][:, ::-1]).any(axis=1) if one != other
            else inside[one].all(axis=1) for one, other in which]  # fmt: skip
    return csr_matrix(np.array(rows, float).reshape(len(which), len(sites)))


def _wild(effects: Effects, wild_type: np.ndarray) -> np.ndarray:
    """float64[pairs]: effects of the wild type's symbols; 0 where one is unknown."""
    term = effects.terms[1]
    symbols = wild_type[term.sites]
    known = (symbols < effects.symbols).all(axis=1)
    one, other = np.where(known, symbols.T, 0)
    return np.where(known, term.values[np.arange(len(symbols)), one, other], 0)


def _errors(surrogate: Surrogate, target: str, units: str, sums: csr_matrix) -> np.ndarray:
    moved = [sums @ _wild(effects, surrogate.wild_type)
             for effects in surrogate.resampled(GAUGE, target, units)]  # fmt: skip
    return np.sqrt(np.mean(np.square(moved), axis=0))


def _variances(surrogate: Surrogate, target: str) -> np.ndarray:
    """float64[pairs]: of the effects of a pair of positions, symbols as frequent as in the rows."""
    term = surrogate.effects("empirical", target).terms[1]
    one, other = (surrogate.frequencies[column] for column in term.sites.T)
    return np.einsum("nab,na,nb->n", term.values**2, one, other)

"""Interactions of elements: what pairs of positions do together, summed over two windows.

The interaction of two positions is that of their symbols in the wild type, in the uniform gauge:
what the two together add to φ, beyond what each adds where the other is any symbol. Its sum over
two elements is φ of the wild type, less φ with the one or the other element replaced by random
symbols, plus φ with both replaced, by the pairs of the map.
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
from . import Effects, Surrogate
from .maps import checked

GAUGE = "uniform"


@dataclass(frozen=True)
class Element:
    """A part [start, end) of the sequence, 0-based, with a name."""

    name: str
    start: int
    end: int


def read_elements(text: str) -> list[Element]:
    """NAME:START-END with commas between them, or a table of name, start and end (`user_table`).

    Raises GeneqError for anything else.
    """
    if text.lower().endswith((".tsv", ".csv", ".gz", ".parquet")):
        return _table(Path(text))
    try:
        named = (part.rsplit(":", 1) for part in text.split(","))
        return [Element(name, *parse_window(place)) for name, place in named]
    except ValueError:
        raise GeneqError("Elements are NAME:START-END with commas between them, or a table",
                         value=text) from None  # fmt: skip


def _table(path: Path) -> list[Element]:
    table = user_table(path, ("name",))
    try:
        places = table[["start", "end"]].astype(int).itertuples(index=False)
        return [Element(str(name), *place)
                for name, place in zip(table["name"], places, strict=True)]  # fmt: skip
    except (KeyError, ValueError) as error:
        raise GeneqError("A table of elements has the columns name, start and end",
                         value=str(error), file=path) from None  # fmt: skip


def check_elements(elements: Sequence[Element], length: int) -> list[Element]:
    """Elements as they lie. Raises GeneqError where they leave the sequence, overlap, share a name.

    length: symbols of the sequence.
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
    """float64[length, length], symmetric: interactions in φ, NaN of pairs that the map lacks."""
    effects = surrogate.effects(GAUGE, target)
    table = np.full((len(surrogate.wild_type),) * 2, np.nan)
    one, other = effects.terms[1].sites.T
    table[one, other] = table[other, one] = _wild(effects, surrogate.wild_type)
    return table


def element_pairs(surrogate: Surrogate, elements: Sequence[Element]) -> pd.DataFrame:
    """Sums of interactions within and between elements, strongest first.

    Columns: target, element_1, element_2; pairs, of positions in the map; phi, the sum, and y, in
    units of scores, by the slope at the wild type; se_phi and se_y, their standard errors, where
    the fit has replicates; variance, what these pairs add to that of φ in the library (which is 1).
    Raises GeneqError for maps without pairs, and as `check_elements` does.
    """
    elements = check_elements(elements, len(surrogate.wild_type))
    if surrogate.map.kind == "additive":
        raise GeneqError("Additive maps have no interactions", fix="Fit a pairwise one")
    which = list(combinations_with_replacement(range(len(elements)), 2))
    names = np.array([element.name for element in elements])[np.array(which)]
    sites = surrogate.layout.effects(surrogate.outputs[0].theta).terms[1].sites
    sums = _sums(elements, which, sites)
    tables = []
    for target, output in zip(surrogate.targets, surrogate.outputs, strict=True):
        phi = sums @ _wild(surrogate.effects(GAUGE, target), surrogate.wild_type)
        table = pd.DataFrame({
            "target": target, "element_1": names[:, 0], "element_2": names[:, 1],
            "pairs": sums.getnnz(axis=1), "phi": phi, "y": phi * surrogate.slope(output),
        })  # fmt: skip
        if output.replicates is not None:
            for units in ("phi", "y"):
                table[f"se_{units}"] = _errors(surrogate, target, units, sums)
        table["variance"] = sums @ _variances(surrogate, target)
        tables.append(table.sort_values("phi", key=np.abs, ascending=False, kind="stable"))
    return pd.concat(tables, ignore_index=True)


def matrices(
    table: pd.DataFrame, elements: Sequence[Element]
) -> dict[str, tuple[np.ndarray, np.ndarray, list[str]]]:
    """By target, sums and standard errors as float64[elements, elements], and the elements' names.

    table: of `element_pairs`. NaN where the map has no pairs, and of errors that are not known.
    """
    names = [element.name for element in elements]
    made = {}
    for target, rows in table.groupby("target", sort=False):
        rows = rows[rows["pairs"] > 0]
        at = tuple([names.index(name) for name in rows[column]]
                   for column in ("element_1", "element_2"))  # fmt: skip
        values, errors = np.full((2, len(names), len(names)), np.nan)
        for matrix, column in ((values, "phi"), (errors, "se_phi")):
            matrix[at] = matrix[at[::-1]] = rows.get(column, np.nan)
        made[target] = values, errors, names
    return made


def _sums(elements: Sequence[Element], which: list[tuple[int, int]], sites: np.ndarray):
    """What adds up pairs of positions, int[n, 2] rising, to pairs of elements: [which, n]."""
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

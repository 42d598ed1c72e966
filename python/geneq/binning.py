"""Bins over the window of a gene.

With an annotation, edges are in nt relative to the TSS on the gene's strand (the TSS is 0, upstream
is negative); the window is [first edge, last edge). For promoters without a TSS they are fractions
of the length. A bin includes its left edge and excludes its right one. Oracles that stand side by
side may have different bins: lists of edges are separated by "/".
"""

import re
from fractions import Fraction
from itertools import pairwise

import numpy as np

from .errors import GeneqError

__all__ = [
    "ANNOTATION", "DEFAULT_EDGES", "PROMOTERS", "as_text", "check_within", "of_promoter",
    "parse_edge_lists", "parse_edges", "union",
]  # fmt: skip

ANNOTATION, PROMOTERS = "annotation", "promoters"
# Far more than any oracle reads.
FARTHEST = 10_000_000

DEFAULT_EDGES = {
    ANNOTATION: "-1024,-512,-256,-128,-64,0,64,128,256,512,1024",
    PROMOTERS: "0,1/3,2/3,1",
}
# Of promoters a slash before a whole number from 1 on is part of a fraction: a list begins below 1.
SEPARATOR = {ANNOTATION: "/", PROMOTERS: "/(?![1-9])"}


def parse_edge_lists(text: str | None, mode: str) -> list[list[float]]:
    """Lists of bin edges, one or more.

    Parameters
    ----------
    text : str or None
        Lists as `parse_edges` reads them, separated by "/"; None for the default of `mode`.
    mode : str
        "annotation" or "promoters". The first edge of a list after another one cannot be given
        as 1/3 with promoters; 0.333 can.

    Returns
    -------
    list of list of int or of float

    Raises
    ------
    GeneqError
        As `parse_edges`.
    """
    text = DEFAULT_EDGES[mode] if text is None else text
    return [parse_edges(part, mode) for part in re.split(SEPARATOR[mode], text)]


def union(lists: list[list[float]]) -> tuple[float, float]:
    """The window (first, end) that all lists of edges are in."""
    return min(edges[0] for edges in lists), max(edges[-1] for edges in lists)


def check_within(lists: list[list[float]], table: list[list[float]], file) -> None:
    """Raises GeneqError if bins extend beyond the window of the gene table.

    lists, table: lists of edges, of features and of the gene table; file: the latter's genes.json.
    """
    (first, end), (least, most) = union(lists), union(table)
    if first < least or end > most:
        raise GeneqError(
            f"--bin_edges must stay within the window of the gene table, [{least}, {most})",
            value=as_text(lists),
            file=file,
            fix="Run `geneq genes` with the same --bin_edges",
        )


def described(edges: list[float], mode: str) -> dict:
    """What `meta` of a block of features has about its bins."""
    is_annotation = mode == ANNOTATION
    return {
        "bin_edges": list(edges),
        "window": [edges[0], edges[-1]] if is_annotation else None,
        "tss_index": -edges[0] if is_annotation else None,
    }


def as_text(lists: list[list[float]]) -> str:
    """Lists of edges as on the command line."""
    return "/".join(",".join(map(str, edges)) for edges in lists)


def parse_edges(text: str | None, mode: str) -> list[float]:
    """Bin edges.

    Parameters
    ----------
    text : str or None
        Edges as "a,b,…"; None for the default of `mode`.
    mode : str
        "annotation" (integers, in nt) or "promoters" (fractions such as 0.25 or 1/3, within 0…1).

    Returns
    -------
    list of int or of float

    Raises
    ------
    GeneqError
        The edges are not in increasing order, or fewer than two.
    """
    text = DEFAULT_EDGES[mode] if text is None else text
    edges = [_edge(part, mode, text) for part in text.split(",")]
    if max(map(abs, edges)) > FARTHEST:
        raise GeneqError(f"Bin edges must be within {FARTHEST:,} nt of the TSS", value=text[:60])
    if len(edges) < 2 or any(b <= a for a, b in pairwise(edges)):
        raise GeneqError(
            "Bin edges must be at least two, in increasing order",
            value=text,
            fix=f"Give them as in --bin_edges={DEFAULT_EDGES[mode]}",
        )
    return edges


def _edge(part: str, mode: str, text: str) -> int | float:
    try:
        if mode == ANNOTATION:
            return int(part)
        edge = float(Fraction(part.strip()))
        if 0 <= edge <= 1:
            return edge
    except (ValueError, ZeroDivisionError):
        pass
    unit = "integers, in nt" if mode == ANNOTATION else "fractions of the length, 0 to 1"
    raise GeneqError(
        f"Bin edges must be {unit}, not {part!r}",
        value=text,
        fix=f"Give them as in --bin_edges={DEFAULT_EDGES[mode]}",
    )


def of_promoter(fractions: np.ndarray, length: int) -> np.ndarray:
    """Bin edges of a promoter.

    Parameters
    ----------
    fractions : float[bins + 1]
        Edges as fractions of the length.
    length : int
        Bases of the promoter.

    Returns
    -------
    ndarray of int64[bins + 1]
        Edges in bases, rounded to the nearest one (halves down).
    """
    return np.ceil(np.asarray(fractions) * length - 0.5).astype(int)

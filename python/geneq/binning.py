"""Bins over the window of a gene.

With an annotation, edges are in nt relative to the TSS on the gene's strand (the TSS is 0, upstream
is negative); the window is [first edge, last edge). For promoters without a TSS they are fractions
of the length. A bin includes its left edge and excludes its right one.
"""

from fractions import Fraction
from itertools import pairwise

import numpy as np

from .errors import GeneqError

__all__ = ["ANNOTATION", "DEFAULT_EDGES", "PROMOTERS", "of_promoter", "parse_edges"]

ANNOTATION, PROMOTERS = "annotation", "promoters"
# Far more than any oracle reads.
FARTHEST = 10_000_000

DEFAULT_EDGES = {
    ANNOTATION: "-1024,-512,-256,-128,-64,0,64,128,256,512,1024",
    PROMOTERS: "0,1/3,2/3,1",
}


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

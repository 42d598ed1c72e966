"""Bins over the window of a gene.

With an annotation the edges are nt relative to the TSS on the gene's strand (the TSS is 0,
upstream is negative); the window is [first edge, last edge). Of a promoter without TSS they are
fractions of its length. A bin holds its left edge and not its right one.
"""

from fractions import Fraction
from itertools import pairwise

import numpy as np

from .errors import GeneqError

ANNOTATION, PROMOTERS = "annotation", "promoters"

DEFAULT_EDGES = {
    ANNOTATION: "-1024,-512,-256,-128,-64,0,64,128,256,512,1024",
    PROMOTERS: "0,1/3,2/3,1",
}


def parse_edges(text: str | None, mode: str) -> list[int] | list[float]:
    """Bin edges from `text` ("a,b,…"; None for the default of `mode`).

    mode: "annotation" (whole numbers of nt) or "promoters" (fractions such as 0.25 or 1/3, all
    within 0…1). Raises GeneqError unless the edges rise strictly and make at least one bin.
    """
    text = DEFAULT_EDGES[mode] if text is None else text
    edges = [_edge(part, mode, text) for part in text.split(",")]
    if len(edges) < 2 or any(b <= a for a, b in pairwise(edges)):
        raise GeneqError(
            "Bin edges must rise strictly and make at least one bin",
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
    unit = "whole numbers of nt" if mode == ANNOTATION else "fractions of the length, 0 to 1"
    raise GeneqError(
        f"Bin edges must be {unit}, not {part!r}",
        value=text,
        fix=f"Give them as in --bin_edges={DEFAULT_EDGES[mode]}",
    )


def of_promoter(fractions: np.ndarray, length: int) -> np.ndarray:
    """int64[bins + 1]: edges, given as fractions, in a promoter of so many symbols.

    An edge that falls between bases goes to the nearer one, a half down.
    """
    return np.ceil(np.asarray(fractions) * length - 0.5).astype(int)

"""Which genes are on chromosomes that an oracle was trained on.

An oracle that was trained on the DNA of a gene, and on what was measured there, may remember it: r
on such genes can be too high, also where the teacher and the equation never saw them.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from .features import Block
from .genome import bare

__all__ = ["HELD_OUT", "TRAINED", "UNKNOWN", "UNTRAINED", "of_genes", "worst"]

# Of a gene, or of several: an oracle was trained on the chromosome; none was, or it is unknown; or
# no oracle was trained at all.
TRAINED, HELD_OUT, UNKNOWN, UNTRAINED = "trained", "held_out", "unknown", "untrained"
# The first that applies to any of several oracles, or genes, applies to all of them together.
ORDER = (TRAINED, UNKNOWN, HELD_OUT, UNTRAINED)


def of_genes(blocks: Iterable[Block], chroms: pd.Series) -> np.ndarray:
    """What the oracles of features were trained on, gene by gene.

    Parameters
    ----------
    blocks : iterable of Block
        `meta` has `trained` and `held_out` (see `Oracle`); without them it is unknown. Tables of
        gene features count as untrained.
    chroms : Series of str[gene]
        Of all genes of the genome; "" where unknown. Names are compared as by `genome.bare`.

    Returns
    -------
    ndarray of object[gene]
        TRAINED, HELD_OUT, UNKNOWN or UNTRAINED.
    """
    found = [_of_block(block, chroms.map(bare)) for block in blocks]
    rank = np.min([np.full(len(chroms), len(ORDER) - 1), *found], axis=0)
    return np.array(ORDER, dtype=object)[rank]


def worst(marks: Iterable[str]) -> str:
    """The mark of several genes together; UNKNOWN of none."""
    present = set(marks)
    return next((mark for mark in ORDER if mark in present), UNKNOWN)


def _of_block(block: Block, chroms: pd.Series) -> np.ndarray:
    """Places in ORDER, int[gene]."""
    rank = {mark: place for place, mark in enumerate(ORDER)}
    is_table = block.is_table and "source" not in block.meta
    if is_table or not block.meta.get("trained", True):
        return np.full(len(chroms), rank[UNTRAINED])
    held_out = {bare(name) for name in block.meta.get("held_out") or ()}
    # A genome with none of these chromosomes is not the one that the oracle was trained on.
    if not held_out & set(chroms):
        return np.full(len(chroms), rank[UNKNOWN])
    marks = np.where(chroms.isin(held_out), rank[HELD_OUT], rank[TRAINED])
    return np.where(chroms == "", rank[UNKNOWN], marks)

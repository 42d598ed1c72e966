"""Variant scores of oracles that define them on windows of the genome, one for each variant."""

from collections.abc import Sequence

import numpy as np

from ...genome import Genome
from ...oracles import Oracle
from ...oracles.scoring import variant_scores
from .pairs import edits_of

__all__ = ["PlacedScores"]

# Variants whose windows are in memory together.
BATCH = 1024


class PlacedScores:
    """Scores of variants on one contig by an oracle with a `variant_index`.

    A variant's first base is at that index of its window, whatever the locus is. The sequence after
    an insertion or deletion is shifted, and trimmed or filled up from the genome; what is beyond
    the end of the contig is N.
    """

    def __init__(
        self, oracle: Oracle, targets: list[str], genome: Genome, chrom: str, threads: int = 1
    ):
        assert oracle.variant_index is not None and oracle.length is not None
        self._oracle, self._targets, self._genome = oracle, targets, genome
        self._chrom, self._threads = chrom, threads
        self._first, self._length = oracle.variant_index, oracle.length

    def fits(self, sizes: np.ndarray) -> np.ndarray:
        """bool[n]: is the alternative in the window completely? sizes: as for `scores`."""
        return self._first + sizes[:, 1] <= self._length

    def scores(self, start: np.ndarray, sizes: np.ndarray, alt: Sequence[str]) -> np.ndarray:
        """Scores of variants that fit.

        Parameters
        ----------
        start : int64[n]
            Where the reference begins on the forward strand, 0-based.
        sizes : int64[n, 2]
            Bases of the reference and of the alternative.
        alt : sequence of n str
            Alternatives on the forward strand.

        Returns
        -------
        float64[n, targets]
        """
        found = np.empty((len(start), len(self._targets)))
        for first in range(0, len(start), BATCH):
            rows = slice(first, first + BATCH)
            windows = self._windows(start[rows], sizes[rows], alt[rows])
            found[rows] = variant_scores(*windows, self._oracle, self._targets)
        return found

    def _windows(
        self, start: np.ndarray, sizes: np.ndarray, alt: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """uint8[n, length] with the reference and with the alternative."""
        n, before = len(start), self._first
        places = ([self._chrom] * n, start.tolist(), ["+"] * n)
        ref = self._genome.windows(*places, -before, self._length - before, self._threads)
        edited = np.empty((n, self._length), np.uint8)
        edits, bases = edits_of(start, sizes, np.full(n, before), alt)
        self._genome.edited([self._chrom] * n, edits, bases, edited, self._threads)
        return ref, edited

"""Pairs of a variant and a gene in whose window it is."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ... import _ext, encoding
from ...genome import Genome
from ...tally import Tally
from ...vcf import leave_out, lengths, normalised

__all__ = ["Batch", "Pairs", "column_of", "completely_in", "edits_of"]

UNKNOWN = 4
OUTSIDE, ACROSS = "outside_every_window", "across_an_end_of_a_window"


class Batch(NamedTuple):
    """Sequences of pairs, on the strand of the gene.

    first: number of the first pair. variant, gene: places int64[n]. genes: int64[k], places of the
    different genes; which: int64[n], the place of each pair's gene in `genes`. reference: uint8[k,
    length]. alternative: uint8[n, length], the reference where the pair cannot be scored. scored:
    bool[n]; false where the genome or the alternative has N, or the alternative does not fit into
    the window.
    """

    first: int
    variant: np.ndarray
    gene: np.ndarray
    genes: np.ndarray
    which: np.ndarray
    reference: np.ndarray
    alternative: np.ndarray
    scored: np.ndarray


class Pairs:
    """All pairs of a variant, in its normal form, and a gene whose window it is completely in.

    variant, gene: int64[pairs], places in both tables, in the order of the variants. reasons:
    object[variants], why a variant is in no pair, "" where it is in one.

    Parameters
    ----------
    table : DataFrame
        Rows of `vcf.Variants.table`.
    genes : DataFrame
        Rows of the gene table.
    window : tuple of int
        [first, end) around the TSS on the gene's strand.
    genome : Genome
    threads : int
    """

    def __init__(
        self,
        table: pd.DataFrame,
        genes: pd.DataFrame,
        window: tuple[int, int],
        genome: Genome,
        threads: int = 1,
    ):
        self.table, self.genes, self.window, self.threads = table, genes, window, threads
        self._genome, self._length = genome, window[1] - window[0]
        normal = normalised(table, genome, threads)
        self._start = normal["start"].to_numpy(np.int64)
        self._sizes = np.stack([lengths(normal["ref"]), lengths(normal["alt"])], axis=1)
        self._alt = normal["alt"].to_numpy(object)
        minus = (genes["strand"] == "-").to_numpy()
        tss = genes["tss"].to_numpy(np.int64)
        # Of the forward strand: where windows begin, and the column of the TSS in them.
        self._first = np.where(minus, tss - window[1] + 1, tss + window[0])
        self._tss, self._minus = np.where(minus, window[1] - 1, -window[0]), minus
        variant, gene = self._touching()
        self.reasons = np.full(len(table), OUTSIDE, dtype=object)
        self.reasons[variant] = ACROSS
        inside = self._inside(variant, gene)
        self.variant, self.gene = variant[inside], gene[inside]
        self.reasons[self.variant] = ""

    def __len__(self) -> int:
        return len(self.variant)

    def skipped(self) -> dict[str, dict]:
        """Variants in no gene's window: {reason: {"n", "examples"}}."""
        tally = Tally()
        leave_out(self.table, self.reasons, tally)
        return tally.as_dict()

    def _touching(self) -> tuple[np.ndarray, np.ndarray]:
        """Places of the variant and of the gene of all pairs that overlap, by variant."""
        found = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
        end = self._start + self._sizes[:, 0]
        of_variants = self.table.groupby("chrom", sort=False).indices
        for chrom, genes in self.genes.groupby("chrom", sort=False).indices.items():
            variants = of_variants.get(chrom, np.zeros(0, np.int64))
            genes = genes[np.argsort(self._first[genes], kind="stable")]
            first = self._first[genes]
            low = np.searchsorted(first, self._start[variants] - self._length, "right")
            high = np.searchsorted(first, end[variants], "left")
            count = np.maximum(high - low, 0)
            place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
            found.append((np.repeat(variants, count), genes[np.repeat(low, count) + place]))
        variant, gene = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.argsort(variant, kind="stable")
        return variant[order], gene[order]

    def _inside(self, variant: np.ndarray, gene: np.ndarray) -> np.ndarray:
        """bool[n]: is all of it in the window?"""
        start, first = self._start[variant], self._first[gene]
        end = start + self._sizes[variant, 0]
        return completely_in(start, end, first, first + self._length)

    def batches(self, n: int) -> Iterator[Batch]:
        """All pairs with their sequences, `n` at a time."""
        for start in range(0, len(self), n):
            yield self.batch(start, min(start + n, len(self)))

    def batch(self, first: int, end: int) -> Batch:
        """Pairs [first, end) with their sequences."""
        variant, gene = self.variant[first:end], self.gene[first:end]
        genes, which = np.unique(gene, return_inverse=True)
        of_genes = self.genes.iloc[genes]
        reference = self._genome.windows_of(of_genes, *self.window, threads=self.threads)
        start, sizes = self._start[variant], self._sizes[variant]
        column = column_of(start - self._first[gene], sizes, self._tss[gene])
        scored = (column >= 0) & (column + sizes[:, 1] <= self._length)
        scored &= ~self._unknown(variant, gene, reference[which])
        alternative = reference[which]
        alternative[scored] = self._edited(variant[scored], gene[scored], column[scored])
        return Batch(first, variant, gene, genes, which, reference, alternative, scored)

    def _edited(self, variant: np.ndarray, gene: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Windows with the alternative, uint8[n, length]."""
        out = np.empty((len(variant), self._length), np.uint8)
        edits, bases = edits_of(
            self._start[variant], self._sizes[variant], column, self._alt[variant]
        )
        chroms = self.genes["chrom"].to_numpy()[gene]
        self._genome.edited(chroms, edits, bases, out, self.threads)
        minus = self._minus[gene]
        out[minus] = encoding.reverse_complement(out[minus])
        return out

    def _unknown(self, variant: np.ndarray, gene: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """bool[n]: does the alternative, or the genome where it replaces it, have N?"""
        size = self._sizes[variant, 0]
        before = self._start[variant] - self._first[gene]
        first = np.where(self._minus[gene], self._length - before - size, before)
        count = np.cumsum(windows == UNKNOWN, axis=1, dtype=np.int32)
        count = np.concatenate([np.zeros((len(windows), 1), np.int32), count], axis=1)
        rows = np.arange(len(windows))
        genome = count[rows, first + size] > count[rows, first]
        return genome | np.array(["N" in alt for alt in self._alt[variant]], bool)


def completely_in(
    start: np.ndarray, end: np.ndarray, first: np.ndarray | int, last: np.ndarray | int
) -> np.ndarray:
    """bool[n]: is [start, end) in [first, last)? An insertion has bases of it on both sides."""
    inserted = start == end
    return (start >= first + inserted) & (end <= last - inserted)


def edits_of(
    start: np.ndarray, sizes: np.ndarray, column: np.ndarray, alternatives: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The edits int64[n, 5] and symbols of `Genome.edited`.

    Parameters
    ----------
    start : ndarray of int64[n]
        Where the reference begins, on the forward strand.
    sizes : ndarray of int64[n, 2]
        Bases of the reference and of the alternative.
    column : ndarray of int64[n]
        Where the alternative begins in the window, see `column_of`.
    alternatives : sequence of n str
    """
    last = np.cumsum(sizes[:, 1])
    edits = np.stack([start, start + sizes[:, 0], column, last - sizes[:, 1], last], axis=1)
    return edits, _ext.tokens("".join(alternatives).encode())


def column_of(before: np.ndarray, sizes: np.ndarray, fixed: np.ndarray | int) -> np.ndarray:
    """Columns of the forward strand at which alternatives begin, int64[n].

    An insertion or deletion shifts the sequence on its other side from a fixed column.

    Parameters
    ----------
    before : ndarray of int64[n]
        Bases of the window before the variant, on the forward strand.
    sizes : ndarray of int64[n, 2]
        Bases of the reference and of the alternative.
    fixed : int or ndarray of int64[n]
        The column that keeps its place.
    """
    left = before + sizes[:, 0] <= fixed
    return before + np.where(left, sizes[:, 0] - sizes[:, 1], 0)

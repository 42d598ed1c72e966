"""Models of fixed length as oracles with per-bin outputs.

A model with one row of outputs per sequence is tiled: its input is centred at the TSS and at every
`tile` bases from there, upstream and downstream, and the score of a bin is the mean over the inputs
whose centre is in the bin. The centre of an input of L bases is its base L // 2 (0-based).

A profile model, with outputs for many bins of its input, is placed once on each gene, its TSS (its
centre, if it has none) at that of the gene; the score of a bin is the mean over the model's bins
that overlap it, weighted by the overlap.
"""

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ..checks import check_int
from ..errors import GeneqError
from .base import BinnedOracle, Oracle
from .feeding import Fitting, distinct_rows
from .wrapped import WrappedOracle

__all__ = ["DEFAULT_TILE", "ProfileOracle", "TiledOracle", "binned", "fitting_tile"]

DEFAULT_TILE = 64
UNKNOWN = 4
# Inputs, or scores, that are in memory together: 64 MB.
BATCH_BYTES = 2**26


def binned(oracle: Oracle, tile: int = DEFAULT_TILE, first: int = 0) -> BinnedOracle:
    """An oracle with per-bin outputs.

    Parameters
    ----------
    oracle : Oracle
        Returned unchanged if it has per-bin outputs. Others are scored once here, on Ns, to see
        whether they are profile models.
    tile : int
        Bases from one input of a tiled model to the next.
    first : int
        Position of the first bin edge relative to the TSS, on the gene's strand; 0 for promoters,
        which are tiled from their first base.

    Raises
    ------
    GeneqError
        For models of any length, or of other sequences than DNA; for models with a TSS that are no
        profile models, because they have one score for a gene.
    """
    if isinstance(oracle, BinnedOracle):
        return oracle
    if oracle.length is None or oracle.alphabet != "ACGT":
        raise GeneqError(
            "Only models that read DNA of a fixed length can be tiled",
            value=oracle.name,
            fix="Use an oracle with per-bin outputs (predict_bins)",
        )
    scores = oracle.predict(np.full((1, oracle.length), UNKNOWN, np.uint8))
    if scores.ndim == 3:
        return ProfileOracle(oracle, scores.shape[1], first)
    return TiledOracle(oracle, tile, first)


class TiledOracle(WrappedOracle):
    """A model of fixed length, scored at regular distances; see the module's docstring.

    Sequences that occur several times are scored once. What is beyond `tokens` counts as N.

    Parameters
    ----------
    oracle : Oracle
        With a fixed length and one row of outputs per sequence.
    tile, first : int
        As for `binned`.
    """

    length: int

    def __init__(self, oracle: Oracle, tile: int, first: int = 0):
        super().__init__(oracle)
        if oracle.tss is not None:
            raise GeneqError(
                f"{oracle.name} has one score for a gene, with the TSS at index {oracle.tss}: it "
                "cannot be tiled",
                fix="Use a model that does not need the TSS",
            )
        self.tile, self.first = check_int(tile, "--tile", 1), first
        self.flank = self.length // 2
        self._score = Fitting(oracle.predict, oracle.name, measured=not oracle.batched)
        content = f"tiled 1\0{oracle.hash}\0{tile}\0{first % tile}"
        self.hash = hashlib.sha256(content.encode()).hexdigest()

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """Scores of sequences of the model's length; see `Oracle.predict`."""
        return self._oracle.predict(tokens, anchor)

    def inputs(self, edges: np.ndarray) -> int:
        """Tiles of one sequence; see `BinnedOracle.inputs`."""
        return len(self._centres(np.asarray(edges, np.int64))[0])

    def predict_bins(self, tokens: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Scores float32[n, bins, targets]; see `BinnedOracle.predict_bins`.

        Raises GeneqError, which names the bin, if a bin has no centre.
        """
        centres, weights = self._centres(np.asarray(edges, np.int64))
        scores = np.empty((len(tokens), len(weights), len(self.targets)), np.float32)
        for rows in self._batches(len(tokens), len(centres)):
            found = self._distinct_scores(_inputs(tokens[rows], centres - self.flank, self.length))
            scores[rows] = weights @ found.reshape(-1, len(centres), len(self.targets))
        return scores

    def distinct_inputs(self, tokens: np.ndarray, edges: np.ndarray) -> int:
        """Different tiles of the sequences of a batch; see `BinnedOracle.distinct_inputs`."""
        centres, _ = self._centres(np.asarray(edges, np.int64))
        return sum(
            len(distinct_rows(_inputs(tokens[rows], centres - self.flank, self.length))[0])
            for rows in self._batches(len(tokens), len(centres))
        )

    def changes(
        self, before: np.ndarray, which: np.ndarray, after: np.ndarray, edges: np.ndarray
    ) -> np.ndarray:
        """Only tiles that a change reaches are scored; see `BinnedOracle.changes`."""
        centres, weights = self._centres(np.asarray(edges, np.int64))
        values = np.empty((len(after), len(weights), len(self.targets)), np.float32)
        for rows in self._batches(len(after), len(centres)):
            row, tile, inputs = self._changed_tiles(before, which[rows], after[rows], centres)
            old, new = np.split(self._distinct_scores(inputs), 2)
            found = np.zeros((len(which[rows]), len(centres), len(self.targets)), np.float32)
            found[row, tile] = new - old
            values[rows] = weights @ found
        return values

    def changed_inputs(
        self, before: np.ndarray, which: np.ndarray, after: np.ndarray, edges: np.ndarray
    ) -> int:
        """Different tiles that `changes` scores; see `BinnedOracle.changed_inputs`."""
        centres, _ = self._centres(np.asarray(edges, np.int64))
        return sum(
            len(distinct_rows(self._changed_tiles(before, which[rows], after[rows], centres)[2])[0])
            for rows in self._batches(len(after), len(centres))
        )

    def _batches(self, rows: int, tiles: int) -> Iterator[slice]:
        """Rows whose inputs, or scores, are in memory together."""
        size = max(1, tiles) * max(self.length, 4 * len(self.targets))
        batch = max(1, BATCH_BYTES // size)
        return (slice(start, start + batch) for start in range(0, rows, batch))

    def _changed_tiles(
        self, before: np.ndarray, which: np.ndarray, after: np.ndarray, centres: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row and tile int64[m] of those that changes reach, and their inputs uint8[2 m, length]:
        all before the change, then all after it."""
        starts, old = centres - self.flank, before[which]
        count = np.pad(np.cumsum(old != after, axis=1), [(0, 0), (1, 0)])
        last = np.clip(starts + self.length, 0, after.shape[1])
        row, tile = np.nonzero(count[:, last] > count[:, np.clip(starts, 0, after.shape[1])])
        sides = [_windows(side, starts, self.length) for side in (old, after)]
        inputs = [windows[row, places[tile]] for windows, places in sides]
        return row, tile, np.concatenate(inputs)

    def _centres(self, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions int64[centres], and the share of each in the bins, float32[bins, centres]."""
        tss = edges[0] - self.first
        nearest = np.arange(-((tss - edges[0]) // self.tile), -((tss - edges[-1]) // self.tile))
        centres = tss + nearest * self.tile
        inside = (centres >= edges[:-1, None]) & (centres < edges[1:, None])
        count = inside.sum(1, keepdims=True)
        if not count.all():
            b, relative = int((count == 0).argmax()), edges - tss
            best = fitting_tile(relative)
            raise GeneqError(
                f"Every bin needs the centre of a tile, at a multiple of {self.tile} nt from the "
                "TSS",
                value=f"none is in bin {b}, [{relative[b]}, {relative[b + 1]})",
                fix=f"Use --tile {best}, or wider bins" if best else "Remove bins of no base",
            )
        return centres, (inside / count).astype(np.float32)

    def _distinct_scores(self, inputs: np.ndarray) -> np.ndarray:
        """uint8[n, length] → float32[n, targets]; rows that are equal are scored once."""
        first, which = distinct_rows(inputs)
        return self._score(inputs[first])[which]


class ProfileOracle(WrappedOracle):
    """A profile model, placed once on each gene; see the module's docstring.

    What is beyond `tokens` counts as N.

    Parameters
    ----------
    oracle : Oracle
        With a fixed length and outputs [n, bins, targets].
    bins : int
        Bins of the model. They are `bin_size` wide and in the middle of the input; without a
        `bin_size` they divide the complete input.
    first : int
        As for `binned`.
    """

    length: int

    def __init__(self, oracle: Oracle, bins: int, first: int = 0):
        super().__init__(oracle)
        self.bins, self.first = bins, first
        self.size = _bin_size(oracle, self.length, bins)
        self._score = Fitting(oracle.predict, oracle.name, measured=not oracle.batched)
        self._centre = self.length // 2 if oracle.tss is None else oracle.tss
        self.flank = max(self._centre, self.length - self._centre)
        self.tss = None
        self.hash = hashlib.sha256(f"profile 1\0{oracle.hash}\0{self.size}".encode()).hexdigest()

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """Profiles of sequences of the model's length; see `Oracle.predict`."""
        return self._oracle.predict(tokens, anchor)

    def predict_bins(self, tokens: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Scores float32[n, bins, targets]; see `BinnedOracle.predict_bins`.

        Raises GeneqError, which names the bin, if a bin is not inside the model's bins.
        """
        edges = np.asarray(edges, np.int64)
        start = edges[0] - self.first - self._centre
        weights = self._overlaps(edges - start, edges - start - self._centre)
        scores = np.empty((len(tokens), len(weights), len(self.targets)), np.float32)
        batch = max(1, BATCH_BYTES // max(self.length, 4 * self.bins * len(self.targets)))
        for at in range(0, len(tokens), batch):
            inputs = _inputs(tokens[at : at + batch], np.array([start]), self.length)
            scores[at : at + batch] = weights @ self._score(inputs)
        return scores

    def _overlaps(self, edges: np.ndarray, relative: np.ndarray) -> np.ndarray:
        """Share of the model's bins in each bin, float32[bins, model's bins].

        edges: positions in the model's input. relative: the same relative to the TSS.
        """
        origin = (self.length - self.bins * self.size) // 2
        ends = origin + self.size * np.arange(self.bins + 1)
        outside = (edges[:-1] < ends[0]) | (edges[1:] > ends[-1]) | (edges[1:] <= edges[:-1])
        if outside.any():
            b, shift = int(outside.argmax()), relative[0] - edges[0]
            raise GeneqError(
                f"{self.name} has outputs for [{ends[0] + shift}, {ends[-1] + shift}) around the "
                "TSS, and bins must be in it",
                value=f"bin {b}, [{relative[b]}, {relative[b + 1]})",
                fix="Choose other --bin_edges",
            )
        last = np.minimum(edges[1:, None], ends[None, 1:])
        overlap = np.maximum(last - np.maximum(edges[:-1, None], ends[None, :-1]), 0)
        return (overlap / overlap.sum(1, keepdims=True)).astype(np.float32)


def _bin_size(oracle: Oracle, length: int, bins: int) -> int:
    """Bases of a bin of the model's profile."""
    size = length // bins if oracle.bin_size is None else oracle.bin_size
    fits = bins * size == length if oracle.bin_size is None else bins * size <= length
    if not fits:
        raise GeneqError(
            f"{oracle.name} does not state which bases the bins of its profiles cover",
            value=f"{bins:,} bins of {length:,} nt, bin_size {oracle.bin_size}",
            fix="Set the oracle's bin_size, the bases of a bin",
        )
    return size


def _inputs(tokens: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """uint8[n × starts, length]: the parts of each sequence from `starts` on, N beyond its ends."""
    windows, places = _windows(tokens, starts, length)
    return windows[:, places].reshape(-1, length)


def _windows(tokens: np.ndarray, starts: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """All parts of each sequence, a view uint8[n, positions, length], N beyond its ends, and which
    of them begin at `starts`."""
    before = max(0, -int(starts.min()))
    after = max(0, int(starts.max()) + length - tokens.shape[1])
    padded = np.pad(tokens, [(0, 0), (before, after)], constant_values=UNKNOWN)
    windows = np.lib.stride_tricks.sliding_window_view(padded, length, axis=1)
    return windows, starts + before


def fitting_tile(edges: np.ndarray) -> int | None:
    """The largest tile, below twice the widest bin, that has a centre in every bin.

    Parameters
    ----------
    edges : int[bins + 1]
        Relative to the TSS.

    Returns
    -------
    int or None
        None if a bin has no base.
    """
    narrow = int(np.diff(edges).min())
    if narrow < 1:
        return None

    def fits(tile: int) -> bool:
        return all(-(-a // tile) * tile < b for a, b in pairwise(edges))

    # A tile as wide as the narrowest bin always fits.
    return max(tile for tile in range(narrow, 2 * int(np.diff(edges).max())) if fits(tile))

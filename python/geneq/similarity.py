"""Which sequences are similar: MinHash bottom sketches of canonical k-mers (Broder 1997)."""

from collections.abc import Iterable, Iterator

import numpy as np
from scipy import sparse

__all__ = ["similar_pairs"]

# Length of k-mers, how many represent a sequence, and the share of them that makes two similar.
K, SKETCH, SIMILAR = 14, 64, 0.25
# k-mers in more sequences than this are repeats and are ignored.
REPEAT = 500
# Symbols whose k-mers are hashed at once, and sequences that are compared with all others at once.
SYMBOLS, ROWS = 1 << 21, 2048
# Bits of a hash: the rest of 64 is the number of the sequence in its batch.
BITS = np.uint64(40)


def similar_pairs(sequences: Iterable[np.ndarray]) -> np.ndarray:
    """Pairs of similar sequences.

    Parameters
    ----------
    sequences : iterable of ndarray of uint8
        Tokens, one array a sequence.

    Returns
    -------
    ndarray of int64[2, pairs]
        Numbers of the sequences of each pair, the smaller one first.

    Notes
    -----
    A sequence is represented by its 64 canonical 14-mers of lowest hash (by all of them where
    there are fewer). Two are similar when they share a quarter of the smaller such set. They then
    have about a quarter of their 14-mers in common, on either strand: as sequences do that are
    equal over a quarter of their length, or 90 % identical over all of it. 14-mers with N, and
    those in more than 500 sequences, are ignored.
    """
    sizes, hashes = [np.empty(0, int)], [np.empty(0, np.uint64)]
    for batch in _batches(sequences):
        size, hash_ = _sketches(batch)
        sizes.append(size)
        hashes.append(hash_)
    return _pairs(np.concatenate(sizes), np.concatenate(hashes))


def _batches(sequences: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    batch: list[np.ndarray] = []
    symbols = 0
    for sequence in sequences:
        batch.append(sequence)
        symbols += len(sequence)
        if symbols >= SYMBOLS:
            yield batch
            batch, symbols = [], 0
    if batch:
        yield batch


def _sketches(batch: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sizes int[sequences] of the sketches, and their hashes uint64, sequence by sequence."""
    # An N after every sequence: no k-mer spans two of them.
    tokens = np.concatenate([part for sequence in batch for part in (sequence, [4])])
    owner = np.repeat(np.arange(len(batch), dtype=np.uint64), [len(s) + 1 for s in batch])
    codes, place = _canonical(tokens.astype(np.uint8))
    hashes = np.sort((owner[place] << BITS) | (_mixed(codes) >> (np.uint64(64) - BITS)))
    hashes = hashes[np.diff(hashes, prepend=np.uint64(2**64 - 1)) != 0]  # faster than np.unique
    owner = (hashes >> BITS).astype(int)
    count = np.bincount(owner, minlength=len(batch))
    rank = np.arange(len(hashes)) - np.repeat(np.cumsum(count) - count, count)
    return np.minimum(count, SKETCH), hashes[rank < SKETCH] & (
        (np.uint64(1) << BITS) - np.uint64(1)
    )


def _canonical(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Canonical k-mers without N: numbers uint64, and where each begins in `tokens`."""
    n = max(0, len(tokens) - K + 1)
    unknown = np.concatenate([[0], np.cumsum(tokens > 3)])
    place = np.flatnonzero(unknown[K : K + n] == unknown[:n])
    forward, reverse = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    base = (tokens & 3).astype(np.uint64)
    four, three = np.uint64(4), np.uint64(3)
    for i in range(K):
        forward = forward * four + base[i : i + n]
        reverse = reverse * four + (three - base[K - 1 - i : K - 1 - i + n])
    return np.minimum(forward, reverse)[place], place


def _mixed(codes: np.ndarray) -> np.ndarray:
    """A fixed bijection of uint64 that looks random: the finaliser of SplitMix64."""
    codes = (codes ^ (codes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    codes = (codes ^ (codes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return codes ^ (codes >> np.uint64(31))


def _pairs(sizes: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """int64[2, pairs]: sequences that share enough of their sketches."""
    _, column, count = np.unique(hashes, return_inverse=True, return_counts=True)
    shared = (count[column] > 1) & (count[column] <= REPEAT)
    row = np.repeat(np.arange(len(sizes)), sizes)[shared]
    shape = (len(sizes), len(count))
    holds = sparse.csr_array((np.ones(len(row), np.int32), (row, column[shared])), shape=shape)
    held_by, found = holds.T.tocsr(), [np.empty((2, 0), int)]
    for start in range(0, len(sizes), ROWS):  # all rows at once would take too much memory
        both = (holds[start : start + ROWS] @ held_by).tocoo()
        left, right = both.row + start, both.col
        enough = both.data >= SIMILAR * np.minimum(sizes[left], sizes[right])
        kept = enough & (left < right)
        found.append(np.stack([left[kept], right[kept]]))
    return np.concatenate(found, axis=1)

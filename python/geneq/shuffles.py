"""Shuffled and random sequences: what a motif or a region is compared with, or put into."""

import operator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geneq import _ext
from geneq.errors import GeneqError


def shuffle(
    sequences,
    k: int = 2,
    n: int = 1,
    seed: int = 1,
    alphabet: str = "dna",
    threads: int = 1,
    first_row: int = 0,
) -> NDArray[np.uint8]:
    """Shuffle every sequence `n` times, keeping how often it has each k-mer.

    sequences: equally long strings or bytes (one, a list or an array of them), or uint8[rows,
    length] tokens. Returns tokens uint8[rows, n, length].

    k = 2 keeps dinucleotides, k = 1 symbols alone. A shuffle is drawn uniformly from all sequences
    with the same k-mer counts and the same first and last (k-1)-mer (Altschul & Erickson 1985;
    Kandel et al. 1996), which may be the sequence itself, and is for k = length. The unknown symbol
    (N) counts as a symbol of its own and is moved with the others.

    Shuffle j of row i depends on the sequence, `seed`, `first_row` + i and j alone: rows can be
    shuffled in parts, and more shuffles do not change the first ones. Raises GeneqError where k
    is not 1…length, for symbols that the alphabet lacks and for sequences of different lengths.
    """
    tokens = _tokens(sequences, alphabet)
    rows, length = tokens.shape
    k, n = _whole("k", k, 1), _whole("n", n, 1)
    if 0 < length < k:
        rule = "k is at most the length of the sequences"
        raise GeneqError(rule, value=f"k = {k}, length {length}")
    out = _empty((rows, n, length))
    return _call(
        _ext.shuffle,
        tokens,
        k=k,
        copies=n,
        out=out,
        alphabet=alphabet,
        **_stream(seed, first_row, threads),
    )


def random_sequences(
    n: int,
    length: int,
    composition: ArrayLike | None = None,
    seed: int = 1,
    alphabet: str = "dna",
    threads: int = 1,
    first_row: int = 0,
) -> NDArray[np.uint8]:
    """Draw `n` sequences, every symbol by itself; returns tokens uint8[n, length].

    composition: a weight of at least 0 for each symbol in the alphabet's order (they need not sum
    to 1), or None for equal ones. A probability is exact to 2^-32; a symbol of weight 0 never
    occurs, nor does the unknown symbol.

    Row i depends on `seed`, `first_row` + i, `length` and the composition alone. Raises GeneqError
    for weights that are no distribution and for more symbols than fit into memory.
    """
    shape = _whole("n", n, 0), _whole("length", length, 0)
    weights = None if composition is None else _weights(composition)
    return _call(
        _ext.random_sequences,
        *shape,
        composition=weights,
        out=_empty(shape),
        alphabet=alphabet,
        **_stream(seed, first_row, threads),
    )


def _tokens(sequences, alphabet: str) -> NDArray[np.uint8]:
    """Tokens [rows, length] of what the user calls sequences."""
    if isinstance(sequences, np.ndarray) and sequences.dtype.kind not in "SUO":
        if sequences.dtype != np.uint8 or sequences.ndim != 2:
            value = f"{sequences.dtype} of shape {sequences.shape}"
            raise GeneqError("tokens are a uint8 array with 2 axes", value=value)
        return np.ascontiguousarray(sequences)
    rows = [sequences] if isinstance(sequences, str | bytes) else list(sequences)
    for index, row in enumerate(rows):
        _check_row(index, row, rows[0])
    text = [row if isinstance(row, bytes) else row.encode() for row in rows]
    # A row a line, so that an error names both; line ends are no symbols.
    tokens = _call(_ext.tokens, b"\n".join(text), alphabet)
    length = len(rows[0]) if rows else 0
    if tokens.size != len(rows) * length:
        raise GeneqError("sequences must not have line ends")
    return tokens.reshape(len(rows), length)


def _check_row(index: int, row, first) -> None:
    if not isinstance(row, str | bytes):
        rule = "sequences are strings, bytes or a uint8 array of tokens"
        raise GeneqError(rule, value=f"row {index} is {type(row).__name__}")
    if len(row) != len(first):
        rule = "sequences must be equally long"
        value = f"row {index} has {len(row)} symbols, row 0 has {len(first)}"
        raise GeneqError(rule, value=value)


def _weights(composition: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.ascontiguousarray(composition, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise GeneqError("composition is a weight for each symbol", value=composition) from error


def _whole(name: str, value, least: int, end: int = 1 << 63) -> int:
    """`value` as an int of at least `least` and below `end`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or not least <= number < end:
        rule = f"{name} is a whole number from {least} to {end - 1}"
        raise GeneqError(rule, value=value)
    return number


def _stream(seed, first_row, threads) -> dict[str, int]:
    return {
        "seed": _whole("seed", seed, 0, 1 << 64),
        "first_row": _whole("first_row", first_row, 0, 1 << 64),
        "threads": _whole("threads", threads, 1),
    }


def _empty(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        return np.empty(shape, dtype=np.uint8)
    except (MemoryError, ValueError) as error:
        raise GeneqError(
            "the sequences do not fit into memory",
            value=" × ".join(map(str, shape)) + " bytes",
            fix="Make fewer at a time, from `first_row` on",
        ) from error


def _call(function, *arguments, **options):
    """What the extension gives; what it refuses is the user's error."""
    try:
        return function(*arguments, **options)
    except ValueError as error:
        raise GeneqError(str(error)) from error

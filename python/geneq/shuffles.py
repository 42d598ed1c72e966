"""Shuffled and random sequences, as controls and as backgrounds."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _ext
from .checks import check_int
from .errors import GeneqError

__all__ = ["random_sequences", "shuffle"]


def shuffle(
    sequences,
    k: int = 2,
    n: int = 1,
    seed: int = 1,
    alphabet: str = "dna",
    threads: int = 1,
    first_row: int = 0,
) -> NDArray[np.uint8]:
    """Shuffle every sequence `n` times, keeping its k-mer counts.

    A shuffle is drawn uniformly from all sequences with the same k-mer counts and the same first
    and last (k-1)-mer. This may be the sequence itself, and always is for k = length.

    Parameters
    ----------
    sequences : str, bytes, list, ndarray or uint8[rows, length]
        Sequences of the same length, or tokens.
    k : int
        1 to length; 2 keeps dinucleotide counts, 1 symbol counts.
    n : int
        Shuffles per sequence.
    seed : int
        Shuffle j of row i depends on the sequence, `seed`, `first_row` + i and j only: rows can be
        shuffled in parts, and more shuffles do not change the first ones.
    alphabet : str
        See `geneq.encoding`. The unknown symbol (N) counts as a symbol and is moved like the
        others.
    threads : int
        The result does not depend on it.
    first_row : int
        Number of the first row.

    Returns
    -------
    uint8[rows, n, length]
        Tokens.

    Raises
    ------
    GeneqError
        If k is not in 1…length, a character is not in the alphabet, or lengths differ.

    References
    ----------
    Altschul & Erickson 1985, "Significance of nucleotide sequence alignments"; Kandel et al. 1996,
    "Shuffling biological sequences".
    """
    tokens = _tokens(sequences, alphabet)
    rows, length = tokens.shape
    k, n = check_int(k, "k", 1), check_int(n, "n", 1)
    if 0 < length < k:
        rule = "k must be at most the length of the sequences"
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
    """Draw `n` random sequences, every symbol independently.

    Parameters
    ----------
    n, length : int
        Number and length of the sequences.
    composition : array_like, optional
        A nonnegative weight for each symbol in the alphabet's order (they need not sum to 1); by
        default uniform. Probabilities are exact to 2^-32; a symbol of weight 0 never occurs, nor
        does the unknown symbol.
    seed : int
        Row i depends on `seed`, `first_row` + i, `length` and the composition only.
    alphabet : str
    threads : int
        The result does not depend on it.
    first_row : int
        Number of the first row.

    Returns
    -------
    uint8[n, length]
        Tokens.

    Raises
    ------
    GeneqError
        If the weights are not a distribution, or the sequences do not fit into memory.
    """
    shape = check_int(n, "n", 0), check_int(length, "length", 0)
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
    """Tokens [rows, length] of sequences in any form."""
    if isinstance(sequences, np.ndarray) and sequences.dtype.kind not in "SUO":
        if sequences.dtype != np.uint8 or sequences.ndim != 2:
            value = f"{sequences.dtype} of shape {sequences.shape}"
            raise GeneqError("Tokens must be a uint8 array with 2 axes", value=value)
        return np.ascontiguousarray(sequences)
    rows = [sequences] if isinstance(sequences, str | bytes) else list(sequences)
    for index, row in enumerate(rows):
        _check_row(index, row, rows[0])
    text = [row if isinstance(row, bytes) else row.encode() for row in rows]
    # One row per line, so that an error gives row and column; line breaks are not symbols.
    tokens = _call(_ext.tokens, b"\n".join(text), alphabet)
    length = len(rows[0]) if rows else 0
    if tokens.size != len(rows) * length:
        raise GeneqError("Sequences must not contain line breaks")
    return tokens.reshape(len(rows), length)


def _check_row(index: int, row, first) -> None:
    if not isinstance(row, str | bytes):
        rule = "Sequences must be strings, bytes or a uint8 array of tokens"
        raise GeneqError(rule, value=f"row {index} is {type(row).__name__}")
    if len(row) != len(first):
        rule = "Sequences must have the same length"
        value = f"row {index} has {len(row)} symbols, row 0 has {len(first)}"
        raise GeneqError(rule, value=value)


def _weights(composition: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.ascontiguousarray(composition, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise GeneqError(
            "composition must be a weight for each symbol", value=composition
        ) from error


def _stream(seed, first_row, threads) -> dict[str, int]:
    return {
        "seed": check_int(seed, "seed", 0, 2**64 - 1),
        "first_row": check_int(first_row, "first_row", 0, 2**64 - 1),
        "threads": check_int(threads, "threads", 1),
    }


def _empty(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        return np.empty(shape, dtype=np.uint8)
    except (MemoryError, ValueError) as error:
        raise GeneqError(
            "The sequences do not fit into memory",
            value=" × ".join(map(str, shape)) + " bytes",
            fix="Make fewer at a time, with first_row",
        ) from error


def _call(function, *arguments, **options):
    """Call a function of the extension; its ValueErrors become GeneqError."""
    try:
        return function(*arguments, **options)
    except ValueError as error:
        raise GeneqError(str(error)) from error

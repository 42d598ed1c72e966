"""Convert sequences to tokens, one-hot or packed tokens and back, and reverse-complement them.

An alphabet is named by a string. Its symbols are tokens 0, 1, … in its order; the token after them
is the unknown symbol, which is all zero in one-hot.

| alphabet | symbols | unknown | not allowed |
|---|---|---|---|
| "dna" | A C G T | N, and every other IUPAC ambiguity code | U |
| "rna" | A C G U | N, and every other IUPAC ambiguity code | T |
| "protein" | A C D E F G H I K L M N P Q R S T V W Y | X, and B J O U Z | `*` `-` |
| "diploid" | A C G T R Y S W K M, unphased genotypes | N, and B D H V | |
| "symbols:…" | up to 64 custom ones (printable ASCII, no lower case, no `?`) | N, X or ? | |

The unknown symbol of a custom alphabet is the first of N, X, ? that is not among its symbols. Lower
case is read as upper case everywhere; any other character is an error, which gives its row and
column (counted from 1). One-hot has a column for every symbol; genotypes count the bases A, C, G, T
instead: A is [2, 0, 0, 0], R is [1, 0, 1, 0].

Sequences are a list of str or bytes, a NumPy array S<length>[n], S1[n, length] (both read without a
copy) or of str, or one str. All must have the same length. Results do not depend on `threads`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from . import _ext
from .errors import GeneqError

AxisOrder = Literal["nlc", "ncl"]

__all__ = [
    "Packed",
    "from_one_hot",
    "one_hot",
    "pack",
    "reverse_complement",
    "strings",
    "symbols",
    "tokens",
    "unpack",
]


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn errors of the extension into GeneqError."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise GeneqError(str(error)) from None
    except MemoryError as error:
        raise GeneqError(str(error), fix="Process fewer rows at a time") from None


# --- symbols ----------------------------------------------------------------------------------


def _symbols(sequences) -> np.ndarray:
    """The bytes uint8[n, length] of `sequences`; a view where they are an array of bytes."""
    if isinstance(sequences, str | bytes):
        sequences = [sequences]
    if not isinstance(sequences, np.ndarray):
        return _joined(list(sequences))
    if sequences.dtype.kind in "OU":
        return _joined([_word(row) for row in sequences])
    if sequences.dtype.kind == "S" and sequences.ndim == 1:
        rows = np.ascontiguousarray(sequences)
        return rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize)
    if sequences.dtype == "S1" and sequences.ndim == 2:
        return np.ascontiguousarray(sequences).view(np.uint8)
    raise GeneqError(
        "Sequences must be S<length>[n] or S1[n, length]",
        value=f"{sequences.dtype} of shape {sequences.shape}",
        fix="Pass character codes as codes.view('S1'), and tokens as uint8",
    )


def _word(row) -> str | bytes:
    """One sequence of an array of Python strings, or of its symbols."""
    return "".join(row) if isinstance(row, np.ndarray) and row.ndim == 1 else row


def _joined(rows: list) -> np.ndarray:
    """The bytes uint8[n, length] of str or bytes of the same length."""
    if not rows:
        raise GeneqError("There must be at least one sequence")
    types = set(map(type, rows))
    if not all(issubclass(one, str | bytes) for one in types):
        row, wrong = next((i, x) for i, x in enumerate(rows, 1) if not isinstance(x, str | bytes))
        raise GeneqError("A sequence must be str or bytes", value=f"row {row} is {type(wrong)}")
    length = len(rows[0])
    if set(map(len, rows)) != {length}:
        row, wrong = next((i, x) for i, x in enumerate(rows, 1) if len(x) != length)
        raise GeneqError(
            "Sequences must have the same length",
            value=f"row {row} has {len(wrong)} symbols, row 1 has {length}",
        )
    if any(issubclass(one, str) for one in types):
        rows = [row.decode("latin-1") if isinstance(row, bytes) else row for row in rows]
        text = _ascii("".join(rows), length)
    else:
        text = b"".join(rows)
    return np.frombuffer(text, dtype=np.uint8).reshape(len(rows), length)


def _ascii(text: str, length: int) -> bytes:
    """The bytes of `text`, rows of `length` symbols."""
    if text.isascii():
        return text.encode()
    place = next(place for place, symbol in enumerate(text) if not symbol.isascii())
    row, column = divmod(place, length)
    raise GeneqError(f"row {row + 1}, column {column + 1}: {text[place]!r} is not a symbol")


def tokens(sequences, alphabet: str = "dna", threads: int = 1) -> np.ndarray:
    """Encode sequences as tokens.

    Parameters
    ----------
    sequences : str, list or ndarray
        Sequences of the same length, see the module's description.
    alphabet : str
    threads : int

    Returns
    -------
    uint8[n, length]

    Raises
    ------
    GeneqError
        If a character is not in the alphabet, or lengths differ.
    """
    with _refusals():
        return _ext.symbol_tokens(_symbols(sequences), threads, alphabet)


def symbols(tokens: np.ndarray, alphabet: str = "dna") -> np.ndarray:
    """Decode tokens to an array of bytes.

    Parameters
    ----------
    tokens : uint8[n, length]
    alphabet : str

    Returns
    -------
    S<length>[n]
        Upper-case symbols, one byte each; read-only.

    Raises
    ------
    GeneqError
        If the array has another dtype or shape, or a token is out of range.
    """
    n, length = _shape(tokens)
    with _refusals():
        text = _ext.decode(np.ascontiguousarray(tokens).reshape(-1), alphabet)
    if length == 0:
        return np.zeros(n, dtype="S1")
    return np.frombuffer(text, dtype=f"S{length}")


def strings(tokens: np.ndarray, alphabet: str = "dna") -> list[str]:
    """Decode tokens to a list of str, one per row; see `symbols`."""
    n, length = _shape(tokens)
    with _refusals():
        text = _ext.decode(np.ascontiguousarray(tokens).reshape(-1), alphabet).decode()
    return [text[row * length : (row + 1) * length] for row in range(n)]


def _shape(tokens: np.ndarray) -> tuple[int, int]:
    """Number and length of the rows of tokens."""
    if not isinstance(tokens, np.ndarray) or tokens.ndim != 2:
        shape = f"shape {tokens.shape}" if isinstance(tokens, np.ndarray) else str(type(tokens))
        raise GeneqError("Tokens must be a uint8 array with 2 axes", value=shape)
    return tokens.shape


def reverse_complement(sequences, alphabet: str = "dna", threads: int = 1):
    """Reverse-complement tokens or sequences.

    Parameters
    ----------
    sequences : uint8[..., length], or sequences
    alphabet : str
    threads : int

    Returns
    -------
    uint8[..., length], S<length>[n] or list of str
        Tokens for tokens, an array of bytes for such an array, otherwise a list of str. Symbols are
        in upper case, ambiguity codes become the unknown symbol.

    Raises
    ------
    GeneqError
        If the symbols of the alphabet have no complement (protein, custom alphabets).
    """
    given = isinstance(sequences, np.ndarray) and sequences.dtype.kind
    if given == "u":
        with _refusals():
            return _ext.reverse_complement(np.ascontiguousarray(sequences), threads, alphabet)
    turned = reverse_complement(tokens(sequences, alphabet, threads), alphabet, threads)
    return symbols(turned, alphabet) if given == "S" else strings(turned, alphabet)


# --- one-hot ----------------------------------------------------------------------------------


def one_hot(
    sequences,
    alphabet: str = "dna",
    dtype="uint8",
    layout: AxisOrder = "nlc",
    out: np.ndarray | None = None,
    threads: int = 1,
) -> np.ndarray:
    """One-hot encode sequences or tokens.

    Parameters
    ----------
    sequences : uint8[n, length], or sequences
        A uint8 array is taken as tokens; pass character codes as codes.view("S1").
    alphabet : str
    dtype : {"uint8", "float16", "float32"}
    layout : {"nlc", "ncl"}
        "nlc" gives [n, length, columns], "ncl" [n, columns, length].
    out : ndarray, optional
        A C-contiguous array of that dtype and shape, which is filled and returned; after an error
        its content is undefined.
    threads : int

    Returns
    -------
    ndarray of `dtype`

    Raises
    ------
    GeneqError
        If a character is not in the alphabet, lengths differ, or `out` does not fit.
    """
    dtype = _dtype(dtype)
    half = dtype == np.float16
    if out is not None and getattr(out, "dtype", None) != dtype:
        given = getattr(out, "dtype", type(out))
        raise GeneqError(f"out must be an array of {dtype}", value=str(given))
    is_tokens = isinstance(sequences, np.ndarray) and sequences.dtype == np.uint8
    make = _ext.one_hot if is_tokens else _ext.symbol_one_hot
    target = out.view(np.uint16) if half and out is not None else out
    with _refusals():
        source = np.ascontiguousarray(sequences) if is_tokens else _symbols(sequences)
        hot = make(source, dtype.name, layout, target, threads, alphabet)
    if out is not None:
        return out
    return hot.view(np.float16) if half else hot


def _dtype(dtype) -> np.dtype:
    try:
        return np.dtype(dtype)
    except TypeError:
        raise GeneqError("dtype must be uint8, float16 or float32", value=str(dtype)) from None


def from_one_hot(
    hot: np.ndarray, layout: AxisOrder = "nlc", alphabet: str = "dna", threads: int = 1
) -> np.ndarray:
    """Decode one-hot to tokens: the inverse of `one_hot`.

    Parameters
    ----------
    hot : uint8, float16 or float32[n, length, columns] or [n, columns, length]
    layout : {"nlc", "ncl"}
    alphabet : str
    threads : int

    Returns
    -------
    uint8[n, length]

    Raises
    ------
    GeneqError
        If the values of a position encode no symbol; gives its row and column.
    """
    with _refusals():
        if isinstance(hot, np.ndarray):
            hot = np.ascontiguousarray(hot)
            hot = hot.view(np.uint16) if hot.dtype == np.float16 else hot
        return _ext.from_one_hot(hot, layout, threads, alphabet)


# --- packed tokens ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Packed:
    """Tokens in as few bits as the alphabet needs: DNA and RNA 2, genotypes 4, protein 5.

    Attributes
    ----------
    data : uint8[n, ceil(length * bits / 8)]
        Token i of a row is in its bits from i * bits; bit k of a row is bit k % 8, counted from the
        least significant, of its byte k // 8. The rest of the last byte is zero.
    length : int
    alphabet : str
    unknown_row : int64[m]
    unknown_position : int32[m]
        Rows and positions of unknown symbols, 0-based and in order; they are zero in data.
    """

    data: np.ndarray
    length: int
    alphabet: str
    unknown_row: np.ndarray
    unknown_position: np.ndarray


def pack(tokens: np.ndarray, alphabet: str = "dna", threads: int = 1) -> Packed:
    """Pack tokens into few bits; `unpack` restores them exactly.

    Parameters
    ----------
    tokens : uint8[n, length]
    alphabet : str
    threads : int

    Returns
    -------
    Packed

    Raises
    ------
    GeneqError
        If the array has another dtype or shape, or a token is out of range.
    """
    _, length = _shape(tokens)
    with _refusals():
        data, row, position = _ext.pack(np.ascontiguousarray(tokens), threads, alphabet)
    return Packed(data, length, alphabet, row, position)


def unpack(packed: Packed, threads: int = 1) -> np.ndarray:
    """Unpack tokens.

    Parameters
    ----------
    packed : Packed
    threads : int

    Returns
    -------
    uint8[n, length]

    Raises
    ------
    GeneqError
        If the data cannot come from `pack`: another width, a value that is not a symbol, or an
        unknown symbol out of range.
    """
    with _refusals():
        return _ext.unpack(
            packed.data,
            packed.length,
            packed.unknown_row,
            packed.unknown_position,
            threads,
            packed.alphabet,
        )

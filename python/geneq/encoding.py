"""Symbols to tokens to one-hot and back, the other strand, packed tokens: as functions.

An alphabet is named by a string. Its symbols are tokens 0, 1, … in its order; the token after them
is the unknown symbol, which is all zero in one-hot.

| alphabet | symbols | unknown | refused |
|---|---|---|---|
| "dna" | A C G T | N, and every other IUPAC ambiguity code | U |
| "rna" | A C G U | N, and every other IUPAC ambiguity code | T |
| "protein" | A C D E F G H I K L M N P Q R S T V W Y | X, and B J O U Z | `*` `-` |
| "diploid" | A C G T R Y S W K M, unphased genotypes | N, and B D H V | |
| "symbols:…" | up to 64 of one's own (printable ASCII, no lower case, no `?`) | N, X or ? | |

Of a custom alphabet the unknown symbol is the first of N, X, ? that is not among its symbols. Lower
case is read as upper case everywhere; any symbol not named here is an error, which says where it
stands (rows and columns in messages are counted from 1). One-hot has a column for every symbol;
genotypes count the bases A, C, G, T instead: A is [2, 0, 0, 0], R is [1, 0, 1, 0].

Sequences are a list of str or bytes, a NumPy array S<length>[n], S1[n, length] (both read without a
copy) or of str, or one str. They must be equally long. What the user gets wrong raises GeneqError.
Results do not depend on `threads`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from . import _ext
from .errors import GeneqError


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the extension refuses into GeneqError."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise GeneqError(str(error)) from None
    except MemoryError as error:
        raise GeneqError(str(error), fix="Take fewer rows at a time") from None


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
        fix="Give codes of symbols as codes.view('S1'), tokens as uint8",
    )


def _word(row) -> str | bytes:
    """One sequence of an array of Python strings, or of its symbols."""
    return "".join(row) if isinstance(row, np.ndarray) and row.ndim == 1 else row


def _joined(rows: list) -> np.ndarray:
    """The bytes uint8[n, length] of str or bytes that are equally long."""
    if not rows:
        raise GeneqError("There are no sequences", fix="Give one or more")
    kinds = set(map(type, rows))
    if not all(issubclass(kind, str | bytes) for kind in kinds):
        row, wrong = next((i, x) for i, x in enumerate(rows, 1) if not isinstance(x, str | bytes))
        raise GeneqError("A sequence must be str or bytes", value=f"row {row} is {type(wrong)}")
    length = len(rows[0])
    if set(map(len, rows)) != {length}:
        row, wrong = next((i, x) for i, x in enumerate(rows, 1) if len(x) != length)
        raise GeneqError(
            "Sequences must be equally long",
            value=f"row {row} has {len(wrong)} symbols, row 1 has {length}",
        )
    if any(issubclass(kind, str) for kind in kinds):
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
    raise GeneqError(f"row {row + 1}, column {column + 1}: {text[place]!r} is no symbol")


def tokens(sequences, alphabet: str = "dna", threads: int = 1) -> np.ndarray:
    """Tokens uint8[n, length] of sequences."""
    with _refusals():
        return _ext.symbol_tokens(_symbols(sequences), threads, alphabet)


def symbols(tokens: np.ndarray, alphabet: str = "dna") -> np.ndarray:
    """Upper-case symbols S<length>[n] of tokens uint8[n, length]; read-only, one byte a symbol."""
    n, length = _shape(tokens)
    with _refusals():
        text = _ext.decode(np.ascontiguousarray(tokens).reshape(-1), alphabet)
    if length == 0:
        return np.zeros(n, dtype="S1")
    return np.frombuffer(text, dtype=f"S{length}")


def strings(tokens: np.ndarray, alphabet: str = "dna") -> list[str]:
    """Upper-case symbols of tokens uint8[n, length], a str a row."""
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
    """The other strand of tokens uint8[..., length], or of sequences.

    Tokens give tokens, an array of bytes gives S<length>[n], anything else a list of str. Symbols
    come back in upper case, ambiguity codes as the unknown symbol. Raises GeneqError for alphabets
    whose symbols do not pair (protein, custom ones).
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
    layout: str = "nlc",
    out: np.ndarray | None = None,
    threads: int = 1,
) -> np.ndarray:
    """One-hot of sequences, or of tokens uint8[n, length].

    dtype: uint8, float16 or float32. layout: "nlc" gives [n, length, columns], "ncl"
    [n, columns, length]. `out`, C-contiguous and of that dtype and shape, is filled and returned
    when given; after an error its content is undefined. A uint8 array is taken for tokens: codes of
    symbols are given as codes.view("S1").
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
    hot: np.ndarray, layout: str = "nlc", alphabet: str = "dna", threads: int = 1
) -> np.ndarray:
    """Tokens uint8[n, length] of one-hot in uint8, float16 or float32: the inverse of `one_hot`.

    Raises GeneqError, with row and column, where the columns are those of no symbol.
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

    data: uint8[n, ceil(length * bits / 8)]. Token i of a row is in its bits from i * bits; bit k of
    a row is bit k % 8, counted from the least significant, of its byte k // 8. What is left of the
    last byte is zero. Unknown symbols are zero there and listed, 0-based and in order, by
    unknown_row (int64) and unknown_position (int32).
    """

    data: np.ndarray
    length: int
    alphabet: str
    unknown_row: np.ndarray
    unknown_position: np.ndarray


def pack(tokens: np.ndarray, alphabet: str = "dna", threads: int = 1) -> Packed:
    """Pack tokens uint8[n, length]; `unpack` gives them back exactly."""
    _, length = _shape(tokens)
    with _refusals():
        data, row, position = _ext.pack(np.ascontiguousarray(tokens), threads, alphabet)
    return Packed(data, length, alphabet, row, position)


def unpack(packed: Packed, threads: int = 1) -> np.ndarray:
    """Tokens uint8[n, length].

    Raises GeneqError for data that no `pack` gave: of another width, with values that are no
    symbol, or with unknown symbols outside of the rows.
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

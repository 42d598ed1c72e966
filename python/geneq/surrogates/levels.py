"""Alphabets of surrogates: the symbols of sequences, or the levels of factors, named by numbers."""

import numpy as np

from .. import _ext
from ..errors import GeneqError

__all__ = ["alphabet", "names", "places"]

LEVELS = "levels:"
# Levels are tokens of one byte, one of which is the unknown.
MOST = 254


def alphabet(levels: int) -> str:
    """The alphabet of a factor with so many levels. Raises GeneqError outside 2 to 254."""
    if not 2 <= levels <= MOST:
        raise GeneqError(f"A factor has 2 to {MOST} levels", value=levels)
    return f"{LEVELS}{levels}"


def names(alphabet: str) -> tuple[list[str], str]:
    """The names of tokens 0, 1, …, and that of the unknown token."""
    if alphabet.startswith(LEVELS):
        return [str(level) for level in range(int(alphabet.removeprefix(LEVELS)))], "?"
    symbols, unknown, _ = _ext.alphabet(alphabet)
    return list(symbols), unknown


def places(wild_type: np.ndarray, alphabet: str) -> dict[str, np.ndarray]:
    """Columns position (int32, 0-based), wild and symbol, with a row for each position and symbol.

    wild_type: uint8[length]. The symbols of a position are in the order of their tokens.
    """
    symbols, unknown = names(alphabet)
    return {
        "position": np.repeat(np.arange(len(wild_type), dtype=np.int32), len(symbols)),
        "wild": np.repeat(np.array([*symbols, unknown], object)[wild_type], len(symbols)),
        "symbol": np.tile(np.array(symbols, object), len(wild_type)),
    }

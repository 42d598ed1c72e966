"""Alphabets of surrogates: letters, and the levels of factors, which have numbers as names."""

from .. import _ext
from ..errors import GeneqError

LEVELS = "levels:"
# Levels are tokens of one byte, one of which is the unknown.
MOST = 254


def alphabet(levels: int) -> str:
    """The alphabet of so many levels. Raises GeneqError for too many, and for none to compare."""
    if not 2 <= levels <= MOST:
        raise GeneqError(f"A factor has 2 to {MOST} levels", value=levels)
    return f"{LEVELS}{levels}"


def names(alphabet: str) -> tuple[list[str], str]:
    """The names of tokens 0, 1, …, and of the unknown."""
    if alphabet.startswith(LEVELS):
        return [str(level) for level in range(int(alphabet.removeprefix(LEVELS)))], "?"
    letters, unknown, _ = _ext.alphabet(alphabet)
    return list(letters), unknown

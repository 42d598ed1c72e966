"""Slow, obvious doubles of the extension's encoders."""

import numpy as np

LETTERS = "ACGTN"
PAIRS = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}


def tokens(text: str) -> np.ndarray:
    """A, C, G, T → 0…3, every other letter → 4."""
    letters = [letter for letter in text.upper() if letter not in "\r\n"]
    return np.array([LETTERS.index(x) if x in "ACGT" else 4 for x in letters], dtype=np.uint8)


def decode(values) -> str:
    """The letters of tokens."""
    return "".join(LETTERS[value] for value in values)


def reverse_complement(values) -> np.ndarray:
    """The other strand, by letters."""
    return tokens("".join(PAIRS[letter] for letter in reversed(decode(values))))


def window(sequence: str, position: int, strand: str, first: int, end: int) -> np.ndarray:
    """Tokens of the offsets [first, end) from `position` on `strand`, base by base."""
    step = 1 if strand == "+" else -1
    places = [position + step * offset for offset in range(first, end)]
    letters = [sequence[p].upper() if 0 <= p < len(sequence) else "N" for p in places]
    letters = [x if x in "ACGT" else "N" for x in letters]
    return tokens("".join(letters if strand == "+" else [PAIRS[x] for x in letters]))


def one_hot(values: np.ndarray) -> np.ndarray:
    """[n, length, 4] of [n, length] tokens; N is all zero."""
    hot = np.zeros((*values.shape, 4))
    for place in np.ndindex(values.shape):
        if values[place] < 4:
            hot[(*place, values[place])] = 1
    return hot

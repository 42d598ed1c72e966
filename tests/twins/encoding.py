"""Slow, obvious doubles of the extension's encoders."""

from itertools import pairwise

import numpy as np

SYMBOLS = "ACGTN"
PAIRS = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}
# By alphabet: its symbols, what is read as the unknown symbol (the first is written), its pairs.
ALPHABETS = {
    "dna": ("ACGT", "NRYSWKMBDHV", PAIRS),
    "rna": ("ACGU", "NRYSWKMBDHV", {"A": "U", "C": "G", "G": "C", "U": "A", "N": "N"}),
    "protein": ("ACDEFGHIKLMNPQRSTVWY", "XBJOUZ", None),
    "diploid": ("ACGTRYSWKM", "NBDHV", dict(zip("ACGTRYSWKMN", "TGCAYRSWMKN", strict=True))),
    "symbols:QRSTN-": ("QRSTN-", "X", None),
    "symbols:TGCA": ("TGCA", "N", None),
}
GENOTYPES = {
    **{"A": "AA", "C": "CC", "G": "GG", "T": "TT"},
    **{"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"},
}


def tokens(text: str, alphabet: str = "dna") -> np.ndarray:
    """The place of every symbol in its alphabet, of the unknown ones the place after the last."""
    known, unknown, _ = ALPHABETS[alphabet]
    symbols = [symbol for symbol in text.upper() if symbol not in "\r\n"]
    assert set(symbols) <= set(known + unknown)
    places = [known.index(x) if x in known else len(known) for x in symbols]
    return np.array(places, dtype=np.uint8)


def decode(values, alphabet: str = "dna") -> str:
    """The symbols of tokens."""
    known, unknown, _ = ALPHABETS[alphabet]
    return "".join((known + unknown[0])[value] for value in values)


def reverse_complement(values, alphabet: str = "dna") -> np.ndarray:
    """The other strand, by symbols."""
    pairs = ALPHABETS[alphabet][2]
    symbols = reversed(decode(values, alphabet))
    return tokens("".join(pairs[symbol] for symbol in symbols), alphabet)


def window(sequence: str, position: int, strand: str, first: int, end: int) -> np.ndarray:
    """Tokens of the offsets [first, end) from `position` on `strand`, base by base."""
    step = 1 if strand == "+" else -1
    places = [position + step * offset for offset in range(first, end)]
    symbols = [sequence[p].upper() if 0 <= p < len(sequence) else "N" for p in places]
    symbols = [x if x in "ACGT" else "N" for x in symbols]
    return tokens("".join(symbols if strand == "+" else [PAIRS[x] for x in symbols]))


def one_hot(values: np.ndarray, alphabet: str = "dna") -> np.ndarray:
    """[n, length, columns] of [n, length] tokens; the unknown symbol is all zero."""
    known = ALPHABETS[alphabet][0]
    columns = "ACGT" if alphabet == "diploid" else known
    hot = np.zeros((*values.shape, len(columns)))
    for place in np.ndindex(values.shape):
        if values[place] < len(known):
            symbol = known[values[place]]
            for base in GENOTYPES[symbol] if alphabet == "diploid" else symbol:
                hot[(*place, columns.index(base))] += 1
    return hot


def pack(values: np.ndarray, alphabet: str = "dna") -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Packed rows, written out as text of bits; (row, position) of the unknown symbols."""
    size = len(ALPHABETS[alphabet][0])
    bits = len(f"{size - 1:b}")
    rows = []
    for row in values:
        text = "".join(f"{0 if value == size else value:0{bits}b}"[::-1] for value in row)
        text += "0" * (-len(text) % 8)
        edges = pairwise(range(0, len(text) + 1, 8))
        rows.append([int(text[start:end][::-1], 2) for start, end in edges])
    width = -(-values.shape[1] * bits // 8)
    data = np.array(rows, dtype=np.uint8).reshape(len(values), width)
    return data, [tuple(place) for place in np.argwhere(values == size).tolist()]

"""Reference implementation of k-mer frequencies: text, one k-mer at a time.

Imports nothing of geneq, so that both cannot have the same bug.
"""

from itertools import product

import numpy as np

PAIRS = {"A": "T", "C": "G", "G": "C", "T": "A"}


def other_strand(kmer: str) -> str:
    return "".join(PAIRS[base] for base in reversed(kmer))


def label(kmer: str, canonical: bool) -> str:
    return min(kmer, other_strand(kmer)) if canonical else kmer


def classes(k: int, canonical: bool) -> list[str]:
    """Names of the classes, in alphabetical order."""
    return sorted({label("".join(bases), canonical) for bases in product("ACGT", repeat=k)})


def frequencies(tokens: np.ndarray, edges, k: int, canonical: bool) -> np.ndarray:
    """float64[n, bins, classes] of tokens [n, length]; a k-mer counts where its centre is."""
    names = classes(k, canonical)
    found = np.zeros((len(tokens), len(edges) - 1, len(names)))
    for n, row in enumerate(tokens):
        text = "".join("ACGTN"[token] for token in row)
        for b in range(len(edges) - 1):
            for start in range(len(text) - k + 1):
                kmer = text[start : start + k]
                if edges[b] <= start + k // 2 < edges[b + 1] and "N" not in kmer:
                    found[n, b, names.index(label(kmer, canonical))] += 1
            found[n, b] /= max(1, found[n, b].sum())
    return found

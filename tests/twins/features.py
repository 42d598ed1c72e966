"""Reference implementation of the motif oracle: one sequence, position, strand, motif at a time.

Imports nothing of geneq, so that both cannot have the same bug.
"""

import math
from itertools import pairwise

import numpy as np

PSEUDOCOUNT = 0.01
LIMIT = 75.0


def log_odds(matrix: np.ndarray) -> list[list[float]]:
    """ln(p / 0.25) of a probability matrix [width, 4] with pseudocount."""
    return [
        [math.log((p + PSEUDOCOUNT / 4) / (1 + PSEUDOCOUNT) / 0.25) for p in row] for row in matrix
    ]


def site_score(site, table: list[list[float]]) -> float:
    """Log-odds of the bases `site`; N counts as background."""
    total = sum(row[symbol] for row, symbol in zip(table, site, strict=True) if symbol < 4)
    return min(max(total, -LIMIT), LIMIT)


def other_strand(site) -> list[int]:
    return [4 if symbol == 4 else 3 - symbol for symbol in reversed(site)]


def motif_score(
    sequence, matrix: np.ndarray, first: int, end: int, strands=("sense", "anti")
) -> float:
    """ln of the mean affinity of sites whose centre is in [first, end); 0 where none fits."""
    sequence, table = [int(symbol) for symbol in sequence], log_odds(matrix)
    affinities = []
    for start in range(len(sequence) - len(table) + 1):
        if first <= start + len(table) // 2 < end:
            site = sequence[start : start + len(table)]
            if "sense" in strands:
                affinities.append(math.exp(site_score(site, table)))
            if "anti" in strands:
                affinities.append(math.exp(site_score(other_strand(site), table)))
    return math.log(sum(affinities) / len(affinities)) if affinities else 0.0


def gc(sequence, first: int, end: int) -> float:
    """Share of G and C among the known bases of [first, end), minus 0.5."""
    known = [symbol for symbol in sequence[first:end] if symbol < 4]
    return sum(symbol in (1, 2) for symbol in known) / len(known) - 0.5 if known else 0.0


def cpg(sequence, first: int, end: int) -> float:
    """CG dinucleotides whose C lies in [first, end), per position."""
    found = 0
    for i in range(first, min(end, len(sequence) - 1)):
        found += sequence[i] == 1 and sequence[i + 1] == 2
    return found / (end - first)


def skew(sequence, plus: int, minus: int, first: int, end: int) -> float:
    """(plus - minus) / (plus + minus) of the counts of two bases; 0 without either."""
    part = [int(symbol) for symbol in sequence[first:end]]
    more, less = part.count(plus), part.count(minus)
    return (more - less) / (more + less) if more + less else 0.0


def cpg_observed_to_expected(sequence, first: int, end: int) -> float:
    """CG * known bases / (C * G); 0 without a C or without a G."""
    part = [int(symbol) for symbol in sequence[first:end]]
    c, g, known = part.count(1), part.count(2), sum(symbol < 4 for symbol in part)
    return cpg(sequence, first, end) * (end - first) * known / (c * g) if c and g else 0.0


def split_scores(tokens: np.ndarray, classes: list[list[np.ndarray]], edges) -> np.ndarray:
    """float64[n, bins, 2 classes + 5]: each class on the given strand, then on the other."""
    rows = []
    for sequence in tokens:
        for first, end in pairwise(edges):
            row = [
                np.mean([motif_score(sequence, m, first, end, [strand]) for m in matrices])
                for matrices in classes
                for strand in ("sense", "anti")
            ]
            row += [gc(sequence, first, end), cpg(sequence, first, end)]
            row += [skew(sequence, 2, 1, first, end), skew(sequence, 0, 3, first, end)]
            rows.append([*row, cpg_observed_to_expected(sequence, first, end)])
    return np.reshape(rows, (len(tokens), len(edges) - 1, 2 * len(classes) + 5))


def scores(tokens: np.ndarray, classes: list[list[np.ndarray]], edges) -> np.ndarray:
    """float64[n, bins, classes + 2] of tokens [n, length]; a class is a list of matrices."""
    values = np.empty((len(tokens), len(edges) - 1, len(classes) + 2))
    for n, sequence in enumerate(tokens):
        for b in range(len(edges) - 1):
            first, end = edges[b], edges[b + 1]
            for c, matrices in enumerate(classes):
                values[n, b, c] = np.mean([motif_score(sequence, m, first, end) for m in matrices])
            values[n, b, -2] = gc(sequence, first, end)
            values[n, b, -1] = cpg(sequence, first, end)
    return values

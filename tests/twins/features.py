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


# --- normal scores ----------------------------------------------------------------------------

SCORES = [-3 + i / 4 for i in range(25)]


def quantiles(x: np.ndarray) -> np.ndarray:
    """[columns, 25]: of the sorted values, interpolated between ranks (0 is the least)."""
    rows = []
    for column in x.T:
        ordered = sorted(map(float, column))
        row = []
        for score in SCORES:
            place = 0.5 * (1 + math.erf(score / math.sqrt(2))) * (len(ordered) - 1)
            low = int(place)
            high = min(low + 1, len(ordered) - 1)
            row.append(ordered[low] + (ordered[high] - ordered[low]) * (place - low))
        rows.append(row)
    return np.array(rows)


def normal_scores(x: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """[n, columns]: the score of each value on the curve of its column."""
    scores = np.zeros(x.shape)
    for j, curve in enumerate(curves):
        for i, value in enumerate(x[:, j]):
            scores[i, j] = _normal_score(float(value), [float(q) for q in curve])
    return scores


def _normal_score(value: float, curve: list[float]) -> float:
    if curve[0] == curve[-1]:
        return 0.0
    # Score at a quantile: the mean of the scores of all quantiles equal to it.
    means = {q: float(np.mean([s for s, r in zip(SCORES, curve, strict=True) if r == q]))
             for q in curve}  # fmt: skip
    if value <= curve[0]:
        return means[curve[0]]
    if value >= curve[-1]:
        return means[curve[-1]]
    below = max(q for q in curve if q <= value)
    above = min(q for q in curve if q > value)
    share = (value - below) / (above - below)
    return means[below] + share * (means[above] - means[below])

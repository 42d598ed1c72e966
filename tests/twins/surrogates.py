"""Slow, obvious doubles of surrogates: sums, densities of scipy, gauges by definition."""

from itertools import combinations, product

import numpy as np
from scipy import stats


def sums(rows, table) -> list[float]:
    """For every row, a list of features, the sum of their entries."""
    return [sum(table[feature] for feature in row) for row in rows]


def transposed(rows, weights, size) -> list[float]:
    """For every feature the sum of the weights of the rows that have it."""
    return [sum(w for row, w in zip(rows, weights, strict=True) if f in row) for f in range(size)]


def pairs(first, ends) -> list[tuple[int, int]]:
    """The pairs of features that have an entry, in order."""
    return [(f, g) for f in range(len(first)) for g in range(first[f], ends[f])]


def pair_sums(rows, pairs, table) -> list[float]:
    return [sum(table[k] for k, (f, g) in enumerate(pairs) if {f, g} <= set(row)) for row in rows]


def pair_transposed(rows, pairs, weights, single, centre) -> list[float]:
    """For every pair the weights of the rows that have it, less what centring takes."""
    kept = [(set(row), weight) for row, weight in zip(rows, weights, strict=True)]
    raw = [sum(weight for row, weight in kept if {f, g} <= row) for f, g in pairs]
    taken = [single[f] * centre[g] + single[g] * centre[f] for f, g in pairs]
    return [one - other for one, other in zip(raw, taken, strict=True)]


def shifted(pairs, table, centre) -> np.ndarray:
    """For every feature the effects of its pairs, times the centre of the other feature."""
    total = np.zeros(len(centre))
    for (f, g), effect in zip(pairs, table, strict=True):
        total[f] += effect * centre[g]
        total[g] += effect * centre[f]
    return total


def log_density(kind: str, shape: tuple, z: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Of residuals z, by scipy; the skewed t has its mode at 0."""
    if kind == "skewed_t":
        a, b = shape
        mode = (a - b) * np.sqrt(a + b) / np.sqrt((2 * a + 1) * (2 * b + 1))
        return stats.jf_skew_t(a, b).logpdf(z / scale + mode) - np.log(scale)
    family = {
        "gaussian": stats.norm, "empirical": stats.norm, "cauchy": stats.cauchy,
        "student_t": stats.t,
    }[kind]  # fmt: skip
    return family(*shape, loc=0, scale=scale).logpdf(z)


def phi(constant: float, tables: dict[tuple[int, ...], np.ndarray], tokens) -> float:
    """A phenotype from tables: of a set of positions, an effect for all their symbols."""
    return constant + sum(
        table[tuple(tokens[site] for site in sites)] for sites, table in tables.items()
    )


def everything(length: int, symbols: int) -> np.ndarray:
    """All sequences, uint8[symbols ** length, length]."""
    return np.array(list(product(range(symbols), repeat=length)), np.uint8)


def hierarchical(values: np.ndarray, probabilities: np.ndarray, sites: tuple[int, ...]):
    """The effects of a set of positions, by definition, from φ of all sequences.

    values: φ, an axis for each position. The mean of φ given the symbols at a set of positions,
    all others drawn from probabilities, is the sum of the effects of all its subsets (Möbius
    inversion).
    """
    length, total = values.ndim, 0.0
    for size in range(len(sites) + 1):
        for subset in combinations(sites, size):
            mean = values
            for site in reversed(range(length)):
                if site not in subset:
                    mean = np.tensordot(mean, probabilities[site], axes=(site, 0))
            shape = [values.shape[site] if site in subset else 1 for site in sites]
            total = total + (-1) ** (len(sites) - size) * mean.reshape(shape)
    return total


def slope(function, point: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """The gradient by central differences."""
    gradient = np.empty(len(point))
    for i in range(len(point)):
        away = np.zeros(len(point))
        away[i] = step
        gradient[i] = (function(point + away) - function(point - away)) / (2 * step)
    return gradient

"""Equations that are sums of few terms, chosen greedily from a dictionary.

Symbolic regression searches all forms, and misses long sums; these it need not find. The terms are
what splines of additive models look like on expression data (straight, bent once, saturating,
growing) and products of two variables. Their constants are fitted later, with the form's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import sympy

from ..equations import nodes
from .tidy import values

SLOPES = (0.7, 1.5)
CENTRES = (0.25, 0.5, 0.75)  # quantiles of a variable
RATES = (-0.5, 0.5)
LARGEST = 30.0
# A column is spanned by those chosen before when this share of its variance is left.
SPANNED = 0.02


@dataclass(frozen=True)
class Term:
    """A function of variables, its values float64[n] and the nodes it adds to a sum."""

    expression: sympy.Expr
    values: np.ndarray
    nodes: int


def sums(
    x: dict[str, np.ndarray], y: np.ndarray, most: int, more: Iterable[sympy.Expr] = ()
) -> list[sympy.Expr]:
    """Sums of 1, 2, … terms that approximate `y`, of at most `most` nodes.

    Two greedy paths of forward selection: by the error that a term removes, and by that over its
    nodes. x: variables, each float64[n]; y: float64[n], or float64[n, targets] for sums whose
    coefficients differ by target: those that are returned are their root mean squares. more: terms
    beside those of the dictionary.
    """
    if not x or not y.var() > 0:
        return []
    terms = dictionary(x) + _others(x, more)
    per_node = np.array([1 / term.nodes for term in terms])
    found = []
    for weight in (np.ones(len(terms)), per_node):
        found += _path(terms, y, weight, most)
    return found


def dictionary(x: dict[str, np.ndarray]) -> list[Term]:
    """The terms that sums are made of."""
    symbols = {name: sympy.Symbol(name, real=True) for name in x}
    found = []
    for name, z in x.items():
        s = symbols[name]
        found += [Term(s, z, 3), Term(s**2, z**2, 5)]
        for slope in SLOPES:
            for centre in np.unique(np.quantile(z, CENTRES)):
                shift = -slope * float(centre)
                found.append(Term(sympy.tanh(slope * s + shift), np.tanh(slope * z + shift), 8))
        found += [
            Term(sympy.exp(rate * s), np.exp(rate * z), 6)
            for rate in RATES
            if np.abs(rate * z).max() < np.log(LARGEST)
        ]
    for (a, za), (b, zb) in combinations(x.items(), 2):
        found.append(Term(symbols[a] * symbols[b], za * zb, 4))
    return [term for term in found if term.values.std() > 0]


def _others(x: dict[str, np.ndarray], more: Iterable[sympy.Expr]) -> list[Term]:
    """Expressions as terms, those that are finite and vary."""
    found = [Term(e, values(e, x), nodes(sympy.Float(2.5) * e)) for e in more]
    return [t for t in found if np.isfinite(t.values).all() and t.values.std() > 0]


def _path(terms: list[Term], y: np.ndarray, weight: np.ndarray, most: int) -> list[sympy.Expr]:
    columns = np.column_stack([term.values for term in terms])
    columns = (columns - columns.mean(0)) / columns.std(0)
    rest, residual = columns.copy(), y - y.mean(0)
    chosen: list[int] = []
    found: list[sympy.Expr] = []
    length = 2
    while True:
        size = (rest**2).sum(0)
        removed = ((rest.T @ residual) ** 2).reshape(len(terms), -1).sum(1)
        gain = np.where(size > SPANNED * len(y), removed / np.maximum(size, 1), 0)
        gain[[length + term.nodes > most for term in terms]] = 0
        best = int(np.argmax(gain * weight))
        if gain[best] <= 1e-6 * y.size * y.var():
            return found
        chosen.append(best)
        length += terms[best].nodes
        direction = rest[:, best] / np.sqrt(size[best])
        rest -= np.outer(direction, direction @ rest)
        residual = residual - np.multiply.outer(direction, direction @ residual)
        found.append(_sum([terms[i] for i in chosen], y))


def _sum(terms: list[Term], y: np.ndarray) -> sympy.Expr:
    """The terms with a constant, coefficients by least squares."""
    design = np.column_stack([np.ones(len(y)), *(term.values for term in terms)])
    constants = np.linalg.lstsq(design, y, rcond=None)[0]
    if y.ndim > 1:
        constants = np.sqrt((constants**2).mean(1))
    parts = [float(c) * term.expression for c, term in zip(constants[1:], terms, strict=True)]
    return sympy.Add(float(constants[0]), *parts)

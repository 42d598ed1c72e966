"""Additive effects by ridge regression, from which fits start."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .. import _ext
from .maps import Layout
from .optimise import conjugate_gradients

# Most features for which the dense matrix is computed.
DENSE = 4000
# Penalties to try, as fractions of a feature's sum of squares.
SHARES = (1e-3, 1e-2, 0.1, 1.0)


class Ridge:
    """Sums of squares and products of the additive features of training rows, computed once."""

    def __init__(self, layout: Layout, rows: "_ext.FeatureRows", threads: int):
        self.rows, self.threads, n = rows, threads, rows.rows
        self.mean = rows.transposed(np.ones(n), threads) / n
        self.size = float(np.mean(self.mean * (1 - self.mean))) * n
        self.gram = gram(layout, rows, threads) if layout.n_additive <= DENSE else None
        if self.gram is not None:
            self.gram -= n * np.outer(self.mean, self.mean)

    def solve(self, targets: np.ndarray, penalty: float) -> np.ndarray:
        """Effects float64[features, outputs] for targets float64[n, outputs] of mean 0."""
        sides = np.stack([self._side(target) for target in targets.T], axis=1)
        if self.gram is None:
            return np.stack([self._iterate(side, penalty) for side in sides.T], axis=1)
        return cho_solve(cho_factor(_penalised(self.gram, penalty), check_finite=False), sides)

    def factor(self, penalty: float) -> np.ndarray | None:
        """Upper triangular R with RᵀR the mean of squares and products; None if not dense."""
        if self.gram is None:
            return None
        mean = _penalised(self.gram, penalty) / self.rows.rows
        return np.triu(cho_factor(mean, check_finite=False)[0])

    def _side(self, target: np.ndarray) -> np.ndarray:
        return self.rows.transposed(target - target.mean(), self.threads)

    def _iterate(self, side: np.ndarray, penalty: float) -> np.ndarray:
        def product(theta: np.ndarray) -> np.ndarray:
            return self._side(self.rows.sums(theta, self.threads)) + penalty * theta

        return conjugate_gradients(product, side, np.zeros_like(side), steps=100, tolerance=1e-3)


def _penalised(gram: np.ndarray, penalty: float) -> np.ndarray:
    matrix = gram.copy()
    matrix.flat[:: len(matrix) + 1] += penalty
    return matrix


def gram(
    layout: Layout,
    rows: "_ext.FeatureRows",
    threads: int = 1,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """float64[features, features]: number of rows with both features, or the sum of their weights.

    The transpose of a sum over all pairs of mutations, applied to ones, gives these counts.
    """
    n, weights = layout.n_additive, np.ones(rows.rows) if weights is None else weights
    first = (layout.position + 1).astype(np.uint32) * layout.others
    pairs = _ext.PairLayout(first.astype(np.uint32), np.full(n, n, np.uint32))
    matrix, uncentred = np.zeros((n, n)), np.zeros(n)
    matrix[layout.position[:, None] < layout.position] = pairs.transposed(
        rows, weights, uncentred, uncentred, threads
    )
    matrix += matrix.T
    matrix.flat[:: n + 1] = rows.transposed(weights, threads)
    return matrix

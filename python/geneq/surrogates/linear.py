"""Linear surrogates of a scored library, to compare surrogates with nonlinearities with.

y = constant + sum of effects over a row's substitutions. Ridge and lasso shrink the effects, by a
strength that is chosen on validation rows. LIME (Ribeiro et al. 2016) weighs rows by their nearness
to the wild type, exp(−(substitutions / width)²), and keeps the few effects that lasso finds first,
fitted anew without shrinkage. The path of the lasso is that of LARS (Efron et al. 2004).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.sparse import csr_array
from sklearn.linear_model import lars_path_gram

from ..errors import GeneqError
from ..libraries import Mutations

Kind = Literal["ridge", "lasso", "lime"]
KINDS: tuple[str, ...] = get_args(Kind)
VALIDATION = 0.2
# Strengths of ridge, in shares of the mean variance of a substitution's indicator.
STRENGTHS = np.logspace(-5, 3, 33)
# Effects that LIME keeps at most, and steps of the lasso's path.
KEPT, STEPS = 100, 2000


@dataclass(frozen=True)
class Moments:
    """Weighted means and covariances of indicators x and scores y; `gram` is cov(x, x)."""

    mean_x: np.ndarray
    mean_y: float
    gram: np.ndarray
    xy: np.ndarray

    @classmethod
    def of(cls, x: csr_array, y: np.ndarray, weight: np.ndarray) -> "Moments":
        share = weight / weight.sum()
        mean_x, mean_y = x.T @ share, float(y @ share)
        weighted = x.multiply(share[:, None]).tocsr()
        gram = (x.T @ weighted).toarray() - np.outer(mean_x, mean_x)
        return cls(mean_x, mean_y, gram, x.T @ (share * y) - mean_x * mean_y)


def linear_effects(
    mutations: Mutations,
    y: np.ndarray,
    wild_type: np.ndarray,
    symbols: int = 4,
    kind: Kind = "ridge",
    width: float | None = None,
    seed: int = 1,
) -> np.ndarray:
    """Effects float64[length, symbols] in the wild-type gauge of a linear surrogate.

    mutations: of all rows of a library. y: float[rows]. wild_type: tokens uint8[length]. width: of
    LIME's weights, by default the mean number of substitutions. seed: of the rows that validate. A
    substitution that no training row has gets 0, and so do unknown symbols of the wild type. Raises
    GeneqError for an unknown kind, scores that are not finite, and fewer than ten rows.
    """
    y = np.asarray(y, np.float64)
    if kind not in KINDS:
        raise GeneqError("Unknown kind", value=str(kind), fix=f"One of {', '.join(KINDS)}")
    if len(y) < 10:
        raise GeneqError("A surrogate needs ten rows or more", value=len(y))
    if not np.isfinite(y).all():
        raise GeneqError("Scores must be finite", value=f"row {np.flatnonzero(~np.isfinite(y))[0]}")
    column = mutations.position.astype(np.int64) * symbols + mutations.symbol
    shape = (len(y), len(wild_type) * symbols)
    x = csr_array((np.ones(len(column)), (mutations.row, column)), shape)
    weight = np.ones(len(y))
    if kind == "lime":
        count = np.asarray(x.sum(axis=1)).ravel()
        weight = np.exp(-((count / (width or max(1.0, count.mean()))) ** 2))
    valid = np.random.default_rng(seed).random(len(y)) < VALIDATION
    known = Moments.of(x[~valid], y[~valid], weight[~valid])
    used = np.flatnonzero(np.diag(known.gram) > 0)
    candidates = np.zeros((x.shape[1], 0))
    if len(used):
        gram, xy = known.gram[np.ix_(used, used)], known.xy[used]
        found = {"ridge": _ridge, "lasso": _lasso, "lime": _lime}[kind](gram, xy, (~valid).sum())
        candidates = np.zeros((x.shape[1], found.shape[1]))
        candidates[used] = found
    best = _best(candidates, known, x[valid], y[valid], weight[valid])
    return best.reshape(len(wild_type), symbols)


def _best(candidates, known: Moments, x: csr_array, y: np.ndarray, weight: np.ndarray):
    """The column of candidates with the least weighted error on these rows."""
    constants = known.mean_y - known.mean_x @ candidates
    errors = weight @ (x @ candidates + constants - y[:, None]) ** 2
    return candidates[:, np.argmin(errors)] if errors.size else np.zeros(len(candidates))


# --- candidates float64[effects, n] of (gram, xy, rows) -------------------------------------------


def _ridge(gram: np.ndarray, xy: np.ndarray, rows: int) -> np.ndarray:
    values, vectors = np.linalg.eigh(gram)
    shrunk = np.clip(values, 0, None)[:, None] + STRENGTHS * np.trace(gram) / len(gram)
    return vectors @ ((vectors.T @ xy)[:, None] / shrunk)


def _lasso(gram: np.ndarray, xy: np.ndarray, rows: int) -> np.ndarray:
    return lars_path_gram(xy, gram, n_samples=rows, method="lasso", max_iter=STEPS)[2]


def _lime(gram: np.ndarray, xy: np.ndarray, rows: int) -> np.ndarray:
    path = lars_path_gram(xy, gram, n_samples=rows, method="lasso", max_iter=KEPT)[2]
    fitted = np.zeros_like(path)
    for step, kept in enumerate(path.T != 0):
        fitted[kept, step] = np.linalg.lstsq(gram[np.ix_(kept, kept)], xy[kept])[0]
    return fitted

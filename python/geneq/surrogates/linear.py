"""Linear surrogates of a scored library, as baselines for surrogates with nonlinearities.

y = constant + sum of the effects of a row's substitutions. Ridge and lasso shrink the effects, with
a strength chosen on validation rows. LIME (Ribeiro et al. 2016) weights rows by their similarity to
the wild type, exp(−(substitutions / width)²), and keeps the few effects that enter the lasso path
first, refitted without shrinkage. The lasso path is computed by LARS (Efron et al. 2004).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.sparse import csr_array
from sklearn.linear_model import lars_path_gram

from ..errors import GeneqError
from ..libraries import Mutations

__all__ = ["METHODS", "linear_effects"]

Method = Literal["ridge", "lasso", "lime"]
METHODS: tuple[Method, ...] = get_args(Method)
VALIDATION = 0.2
# Strengths of ridge, relative to the mean variance of a substitution's indicator.
STRENGTHS = np.logspace(-5, 3, 33)
# Largest number of effects that LIME keeps, and of steps of the lasso path.
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
    method: Method = "ridge",
    width: float | None = None,
    seed: int = 1,
) -> np.ndarray:
    """Effects of a linear surrogate in the wild-type gauge.

    Parameters
    ----------
    mutations : Mutations
        Of all rows of a library.
    y : ndarray
        float[rows], scores.
    wild_type : ndarray
        Tokens uint8[length].
    symbols : int
        Symbols of the alphabet.
    method : {"ridge", "lasso", "lime"}
        The method.
    width : float, optional
        Of LIME's weights, in substitutions; by default their mean number.
    seed : int
        Of the choice of validation rows.

    Returns
    -------
    ndarray
        float64[length, symbols]; 0 for substitutions that no training row has, and where the wild
        type's symbol is unknown.

    Raises
    ------
    GeneqError
        For an unknown method, fewer than ten rows, and scores that are not finite.
    """
    y = np.asarray(y, np.float64)
    if method not in METHODS:
        raise GeneqError(
            "Unknown method", value=str(method), fix=f"Use one of {', '.join(METHODS)}"
        )
    if len(y) < 10:
        raise GeneqError("A linear surrogate needs at least ten rows", value=len(y))
    if not np.isfinite(y).all():
        raise GeneqError("Scores must be finite", value=f"row {np.flatnonzero(~np.isfinite(y))[0]}")
    column = mutations.position.astype(np.int64) * symbols + mutations.symbol
    shape = (len(y), len(wild_type) * symbols)
    x = csr_array((np.ones(len(column)), (mutations.row, column)), shape)
    weight = np.ones(len(y))
    if method == "lime":
        count = np.asarray(x.sum(axis=1)).ravel()
        weight = np.exp(-((count / (width or max(1.0, count.mean()))) ** 2))
    valid = np.random.default_rng(seed).random(len(y)) < VALIDATION
    known = Moments.of(x[~valid], y[~valid], weight[~valid])
    used = np.flatnonzero(np.diag(known.gram) > 0)
    candidates = np.zeros((x.shape[1], 0))
    if len(used):
        gram, xy = known.gram[np.ix_(used, used)], known.xy[used]
        found = {"ridge": _ridge, "lasso": _lasso, "lime": _lime}[method](gram, xy, (~valid).sum())
        candidates = np.zeros((x.shape[1], found.shape[1]))
        candidates[used] = found
    best = _best(candidates, known, x[valid], y[valid], weight[valid])
    return best.reshape(len(wild_type), symbols)


def _best(candidates, known: Moments, x: csr_array, y: np.ndarray, weight: np.ndarray):
    """The column of candidates with the smallest weighted error on these rows."""
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

"""Baselines that are sums of curves: an explainable boosting machine, and a GAM of splines.

Their packages are extras of geneq, so they are imported where they are used.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

PAIRS = 10  # of an explainable boosting machine
# Pairs are of the columns whose curves matter most: time grows with the square of their number.
PAIRED_COLUMNS = 300
# 100 passes over all curves: with more, the error on other genes no longer falls.
OPTIONS = {"outer_bags": 2, "max_bins": 32, "max_rounds": 100, "smoothing_rounds": 100}
SMOOTHING = np.logspace(0, 6, 7)
SPLINES = 20


@dataclass(frozen=True)
class Sum:
    """A fitted sum of curves. predict: float[n, k] → float64[n]; terms: those that are not flat."""

    models: list[Any]
    columns: np.ndarray
    terms: int

    def predict(self, x: np.ndarray) -> np.ndarray:
        first, *rest = self.models
        found = first.predict(x)
        for model in rest:
            found = model.predict(x[:, self.columns], init_score=found)
        return found


def explainable_boosting(x: np.ndarray, y: np.ndarray, seed: int) -> Sum:
    """A curve for each column of float[n, k], then PAIRS surfaces of two columns.

    As in GA2M (Lou et al., KDD 2013): pairs are ranked, and fitted, on what the curves leave of y,
    float64[n].
    """
    from interpret.utils import measure_interactions

    curves = _boosted(seed, interactions=0).fit(x, y)
    importance = curves.term_importances()
    columns = np.sort(np.argsort(-importance, kind="stable")[:PAIRED_COLUMNS])
    found, some = curves.predict(x), x[:, columns]
    ranked = measure_interactions(some, y, interactions=PAIRS, init_score=found)
    models, terms = [curves], int((importance > 0).sum())
    if ranked:
        pairs = _boosted(seed, interactions=[pair for pair, _ in ranked], exclude="mains")
        models.append(pairs.fit(some, y, init_score=found))
        terms += int((pairs.term_importances() > 0).sum())
    return Sum(models, columns, terms)


def _boosted(seed: int, **more):
    from interpret.glassbox import ExplainableBoostingRegressor

    return ExplainableBoostingRegressor(random_state=seed, n_jobs=1, **OPTIONS, **more)


def additive_splines(x: np.ndarray, y: np.ndarray, fold: np.ndarray):
    """A GAM: a smooth curve for each column of float64[n, k], cubic splines with a penalty.

    The penalty, one for all curves, is the one of SMOOTHING with the lowest error over folds.
    """
    # Its matrices are small: threads only wait for each other, and rounding would depend on them.
    with threadpool_limits(1):
        error = sum(_spline_errors(x, y, fold == held) for held in np.unique(fold))
        return _splines(x, y, SMOOTHING[np.argmin(error)])


def _spline_errors(x: np.ndarray, y: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Summed squared error on the rows `held` of models of the others, for each of SMOOTHING."""
    models = [_splines(x[~held], y[~held], strength) for strength in SMOOTHING]
    return np.array([((model.predict(x[held]) - y[held]) ** 2).sum() for model in models])


def _splines(x: np.ndarray, y: np.ndarray, strength: float):
    from pygam import LinearGAM

    return LinearGAM(lam=strength, n_splines=SPLINES).fit(x, y)

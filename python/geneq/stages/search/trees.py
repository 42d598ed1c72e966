"""Boosted trees in place of the network's predictions.

Distillation needs a teacher's predictions, and variables that are explicit weighted sums. Trees
give the former only; the variables remain those of the network.
"""

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from .data import Data

__all__ = ["boosted_trees"]

MOST = 600
OPTIONS = {
    "learning_rate": 0.04,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 20,
    "max_features": 0.2,
    "early_stopping": False,
}


def boosted_trees(data: Data, seed: int, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of boosted trees (scikit-learn's histogram gradient boosting).

    For each cell type the number of trees is the one with the lowest error on validation genes;
    trees are then fitted to training and validation genes.

    Parameters
    ----------
    data : Data
    seed, threads : int

    Returns
    -------
    predicted : ndarray of float64[genes, cell types]
        log2(CPM + 1).
    out_of_fold : ndarray of float64[genes, cell types]
        The same by trees that never saw the gene's fold; NaN for test genes.
    """
    x = data.columns["raw"]
    predicted, out_of_fold = (np.full(data.y.shape, np.nan) for _ in range(2))
    train, valid, known = data.rows("train"), data.rows("valid"), data.rows("train", "valid")
    fold = data.genes["fold"].to_numpy()[known]
    with threadpool_limits(threads):
        for j, y in enumerate(data.y.T):
            n = _best_number(x, y, train, valid, seed)
            predicted[:, j] = _fitted(x, y, known, n, seed).predict(x)
            for k in np.unique(fold):
                inside, outside = known[fold != k], known[fold == k]
                out_of_fold[outside, j] = _fitted(x, y, inside, n, seed).predict(x[outside])
    return predicted, out_of_fold


def _fitted(
    x: np.ndarray, y: np.ndarray, rows: np.ndarray, trees: int, seed: int
) -> HistGradientBoostingRegressor:
    """Fitted to those of `rows` in which the gene is measured."""
    rows = rows[np.isfinite(y[rows])]
    model = HistGradientBoostingRegressor(max_iter=trees, random_state=seed, **OPTIONS)
    return model.fit(x[rows], y[rows])


def _best_number(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, valid: np.ndarray, seed: int
) -> int:
    """Number of trees with the lowest error on validation genes."""
    valid = valid[np.isfinite(y[valid])]
    stages = _fitted(x, y, train, MOST, seed).staged_predict(x[valid])
    return int(np.argmin([((stage - y[valid]) ** 2).mean() for stage in stages])) + 1

"""Boosted trees (scikit-learn's histogram gradient boosting), one model per cell type.

Distillation needs a teacher's predictions, and variables that are explicit weighted sums. Trees
give the former only; the variables remain those of the network.
"""

from dataclasses import dataclass
from itertools import islice

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from .data import Data
from .training import gene_errors

__all__ = ["BoostedTrees"]

# Trees are added until the last IDLE have not lowered the error on validation genes.
MOST, IDLE = 600, 50
OPTIONS = {
    "learning_rate": 0.04,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 20,
    "max_features": 0.2,
}


@dataclass(frozen=True)
class BoostedTrees:
    """How many trees are best on validation genes, and how good they are.

    numbers: for each cell type; loss: on validation genes, comparable with a trial's.
    """

    data: Data
    seed: int
    threads: int
    numbers: list[int]
    loss: float

    @classmethod
    def of(cls, data: Data, seed: int, threads: int) -> "BoostedTrees":
        """Fitted to training genes, and to as many trees as validation genes are best with."""
        train, valid = data.rows("train"), data.rows("valid")
        with threadpool_limits(threads):
            found = [_best(data, j, train, valid, seed) for j in range(data.y.shape[1])]
        predicted = np.column_stack([values for _, values in found])
        errors = gene_errors(predicted, data.y[valid], np.nanstd(data.y[train], 0), data.weight)
        return cls(data, seed, threads, [number for number, _ in found], float(errors.sum()))

    def predictions(self) -> tuple[np.ndarray, np.ndarray]:
        """log2(CPM + 1) by trees fitted to training and validation genes, float64[genes, cell
        types]; and by trees that never saw the gene's fold, NaN for test genes."""
        x, known = self.data.columns["raw"], self.data.rows("train", "valid")
        fold = self.data.genes["fold"].to_numpy()[known]
        predicted, out_of_fold = (np.full(self.data.y.shape, np.nan) for _ in range(2))
        with threadpool_limits(self.threads):
            for j, number in enumerate(self.numbers):
                predicted[:, j] = _fitted(self.data, j, known, number, self.seed).predict(x)
                for k in np.unique(fold):
                    model = _fitted(self.data, j, known[fold != k], number, self.seed)
                    outside = known[fold == k]
                    out_of_fold[outside, j] = model.predict(x[outside])
        return predicted, out_of_fold


def _best(
    data: Data, cell_type: int, train: np.ndarray, valid: np.ndarray, seed: int
) -> tuple[int, np.ndarray]:
    """Number of trees with the lowest error on validation genes, and their predictions of these."""
    (x, y), (x_valid, y_valid) = (_measured(data, cell_type, rows) for rows in (train, valid))
    model = HistGradientBoostingRegressor(
        max_iter=MOST, n_iter_no_change=IDLE, early_stopping=True, random_state=seed, **OPTIONS
    )
    model.fit(x, y, X_val=x_valid, y_val=y_valid)
    number = max(1, int(np.argmax(model.validation_score_)))
    stages = model.staged_predict(data.columns["raw"][valid])
    return number, next(islice(stages, number - 1, None))


def _fitted(
    data: Data, cell_type: int, rows: np.ndarray, trees: int, seed: int
) -> HistGradientBoostingRegressor:
    """Fitted to those of `rows` in which the gene is measured."""
    model = HistGradientBoostingRegressor(
        max_iter=trees, early_stopping=False, random_state=seed, **OPTIONS
    )
    return model.fit(*_measured(data, cell_type, rows))


def _measured(data: Data, cell_type: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and expression of those of `rows` in which the gene is measured."""
    rows = rows[np.isfinite(data.y[rows, cell_type])]
    return data.columns["raw"][rows], data.y[rows, cell_type]

"""What an equation must be held against: other models on the same features."""

import warnings

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNetCV, LassoCV
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from ...features import Features
from ...teacher import decay_basis, shapes_of

PENALTIES = np.logspace(-4, 3, 15)  # over the number of genes
TREES = 150


def elastic_net(x: np.ndarray, y: np.ndarray, fold: np.ndarray, seed: int):
    """Elastic net on all features, float64[n, bins × classes]; strengths chosen over folds."""
    model = ElasticNetCV(
        l1_ratio=[0.1, 0.5, 0.9], alphas=30, eps=1e-2, cv=PredefinedSplit(fold),
        selection="random", random_state=seed, tol=1e-3,
    )  # fmt: skip
    return _fitted(make_pipeline(StandardScaler(), model), x, y)


def degree_two_lasso(x: np.ndarray, y: np.ndarray, fold: np.ndarray, seed: int):
    """Lasso on the variables of symbolic regression, float64[n, k], their squares and products."""
    model = LassoCV(
        alphas=30, eps=1e-2, cv=PredefinedSplit(fold), selection="random", random_state=seed,
        tol=1e-3,
    )  # fmt: skip
    terms = PolynomialFeatures(2, include_bias=False)
    return _fitted(make_pipeline(StandardScaler(), terms, StandardScaler(), model), x, y)


def _fitted(pipeline, x: np.ndarray, y: np.ndarray):
    with warnings.catch_warnings():
        # The path's weakest penalties need not converge: cross-validation does not choose them.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return pipeline.fit(x, y)


def decays(features: Features, columns: np.ndarray) -> np.ndarray:
    """Sums of every class over bins, weighted by exponential decays from the TSS on either side.

    columns: float32[n, columns], scaled. As in ExPecto (Zhou et al., Nat. Genet. 50:1171, 2018).
    float64[n, decays × classes].
    """
    parts, first = [], 0
    for shape in shapes_of(features):
        block = columns[:, first : first + shape.columns].reshape(-1, shape.bins, shape.classes)
        basis = decay_basis(shape).numpy()
        parts.append(np.einsum("kb,nbc->nkc", basis, block).reshape(len(columns), -1))
        first += shape.columns
    return np.concatenate(parts, axis=1).astype(float)


def ridge(x: np.ndarray, y: np.ndarray, fold: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Ridge regression on the rows `known` of float64[n, k], predictions of all, float64[n].

    The penalty is the one with the lowest error over folds; y, fold: of the rows `known`.
    """
    mean, sd = x[known].mean(0), x[known].std(0)
    z = (x - mean) / np.where(sd > 0, sd, 1)
    inside = z[known]
    error = sum(_ridge_errors(inside, y, fold != held) for held in np.unique(fold))
    penalty = PENALTIES[np.argmin(error)]
    return _ridge_path(inside, y, z, [penalty])[:, 0]


def _ridge_errors(x: np.ndarray, y: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Summed squared error on the other rows for each of PENALTIES."""
    found = _ridge_path(x[inside], y[inside], x[~inside], PENALTIES)
    return ((found - y[~inside, None]) ** 2).sum(0)


def _ridge_path(x: np.ndarray, y: np.ndarray, new: np.ndarray, penalties) -> np.ndarray:
    """Predictions for `new` at each penalty, float64[rows, penalties]."""
    centre = x.mean(0)
    values, vectors = np.linalg.eigh((x - centre).T @ (x - centre))
    slope = vectors.T @ ((x - centre).T @ (y - y.mean()))
    shrunk = slope[:, None] / (np.maximum(values, 0)[:, None] + len(x) * np.array(penalties))
    return (new - centre) @ vectors @ shrunk + y.mean()


def boosted_trees(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, known: np.ndarray, seed: int
) -> HistGradientBoostingRegressor:
    """Histogram gradient boosting on the rows `known` of float32[n, k].

    y: float64[n]. The number of trees is the best for the rows of `known` that are not in `train`,
    from a fit to `train`.
    """
    options = {"learning_rate": 0.1, "max_leaf_nodes": 15, "min_samples_leaf": 20,
               "max_features": 0.2, "early_stopping": False, "random_state": seed}  # fmt: skip
    trees, valid = TREES // 3, known & ~train
    if valid.any() and train.any():
        model = HistGradientBoostingRegressor(max_iter=TREES, **options).fit(x[train], y[train])
        errors = [((p - y[valid]) ** 2).mean() for p in model.staged_predict(x[valid])]
        trees = int(np.argmin(errors)) + 1
    model = HistGradientBoostingRegressor(max_iter=trees, **options)
    return model.fit(x[known], y[known])

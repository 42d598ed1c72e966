"""What an equation must be held against: linear models on the same features."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNetCV, LassoCV
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler


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

"""Linear surrogates recover planted effects, and agree with scikit-learn on dense features."""

import numpy as np
import pytest
from sklearn.linear_model import Lasso, Ridge

from geneq import encoding
from geneq.errors import GeneqError
from geneq.libraries import RandomLibrary
from geneq.surrogates import linear
from geneq.surrogates.linear import METHODS, Moments, linear_effects

LENGTH, ROWS, SEED = 30, 3000, 6
rng = np.random.default_rng(SEED)
WILD_TYPE = "".join(rng.choice(list("ACGT"), LENGTH))
LIBRARY = RandomLibrary(WILD_TYPE, n=ROWS, rate=0.1, seed=SEED)
TOKENS = encoding.tokens(WILD_TYPE)[0]
AT = np.arange(LENGTH)


def planted(effects: int) -> np.ndarray:
    """So many positions with effects, 0 for the wild type's symbols."""
    truth = np.zeros((LENGTH, 4))
    at = np.random.default_rng(8).choice(LENGTH, effects, replace=False)
    truth[at] = np.random.default_rng(9).normal(size=(effects, 4))
    truth[AT, TOKENS] = 0
    return truth


def scores(truth: np.ndarray, noise: float) -> np.ndarray:
    hot = LIBRARY.one_hot("float32").reshape(ROWS, -1)
    return 2 + hot @ truth.ravel() + np.random.default_rng(10).normal(0, noise, ROWS)


def fitted(y: np.ndarray, method: str, **options) -> np.ndarray:
    return linear_effects(LIBRARY.mutations(), y, TOKENS, method=method, **options)


@pytest.mark.parametrize("method", METHODS)
def test_planted_effects_are_recovered(method):
    truth = planted(8)
    effects = fitted(scores(truth, 0.3), method)
    assert effects.shape == (LENGTH, 4) and (effects[AT, TOKENS] == 0).all()
    assert np.corrcoef(effects.ravel(), truth.ravel())[0, 1] > 0.98


def test_lime_keeps_few_effects_and_lasso_fewer_than_ridge():
    y = scores(planted(4), 0.3)
    kept = {method: np.count_nonzero(fitted(y, method)) for method in METHODS}
    assert 12 <= kept["lime"] <= linear.KEPT and kept["lime"] < kept["ridge"] == 3 * LENGTH
    assert kept["lasso"] < kept["ridge"]


def test_lime_is_true_near_the_wild_type():
    """Where effects fade with the number of substitutions, it sees those of the first."""
    truth = planted(20)
    count = np.bincount(LIBRARY.mutations().row, minlength=ROWS)
    y = (scores(truth, 0) - 2) * np.exp(-0.3 * np.maximum(count - 1, 0))
    near, far = (fitted(y, "lime", width=width) for width in (1.5, 100.0))
    assert abs(np.polyfit(truth.ravel(), near.ravel(), 1)[0] - 1) < 0.25
    assert np.polyfit(truth.ravel(), far.ravel(), 1)[0] < 0.65


def dense(y: np.ndarray) -> tuple[np.ndarray, Moments]:
    x = LIBRARY.one_hot("float32").astype(float)
    x[:, AT, TOKENS] = 0
    x = x.reshape(ROWS, -1)
    return x, Moments.of(linear.csr_array(x), y, np.ones(ROWS))


def test_ridge_is_that_of_scikit_learn():
    y = scores(planted(8), 0.3)
    x, moments = dense(y)
    found = linear._ridge(moments.gram, moments.xy, ROWS)
    for number in (0, 12, 32):
        strength = linear.STRENGTHS[number] * np.trace(moments.gram) / x.shape[1]
        wanted = Ridge(alpha=strength * ROWS, tol=1e-10).fit(x, y).coef_
        np.testing.assert_allclose(found[:, number], wanted, atol=1e-6)


def test_the_path_is_that_of_the_lasso_of_scikit_learn():
    y = scores(planted(8), 0.3)
    x, moments = dense(y)
    used = np.flatnonzero(x.any(axis=0))
    gram, xy = moments.gram[np.ix_(used, used)], moments.xy[used]
    path = linear._lasso(gram, xy, ROWS)
    for step in (3, 20):
        alpha = np.abs(xy - gram @ path[:, step]).max()
        wanted = Lasso(alpha=alpha, tol=1e-10, max_iter=100_000).fit(x[:, used], y).coef_
        np.testing.assert_allclose(path[:, step], wanted, atol=1e-5)


def test_constant_scores_have_no_effects():
    for method in METHODS:
        assert np.abs(fitted(np.full(ROWS, 3.0), method)).max() < 1e-9


@pytest.mark.parametrize(
    ("y", "method", "message"),
    [
        (np.ones(ROWS), "magic", "Unknown method: 'magic'. Use one of ridge, lasso, lime"),
        (np.ones(4), "ridge", "at least ten rows: 4"),
        (np.where(np.arange(ROWS) == 7, np.nan, 1), "ridge", "finite: 'row 7'"),
    ],
)
def test_what_makes_no_sense_is_refused(y, method, message):
    with pytest.raises(GeneqError, match=message):
        fitted(y, method)

"""Surrogates: kernels, likelihoods and gauges against reference implementations; simulations."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from geneq import _ext, surrogates
from geneq.errors import GeneqError
from geneq.libraries import Mutations, RandomLibrary
from geneq.mave import Mave
from geneq.surrogates import maps, shrinkage
from geneq.surrogates.gauges import Effects, Term, frequencies
from geneq.surrogates.objective import Objective, Prior, Scored, State, Whitening
from geneq.surrogates.optimise import conjugate_gradients, lbfgs
from geneq.surrogates.quality import information, quality, variational_information
from geneq.surrogates.ridge import Ridge, gram
from twins import surrogates as reference

SEED = 11
SIZE = 9
ROWS = st.lists(st.sets(st.integers(0, SIZE - 1)).map(sorted), max_size=40)


def feature_rows(rows) -> "_ext.FeatureRows":
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)])
    return _ext.FeatureRows(
        starts.astype(np.int64), np.array([f for row in rows for f in row], np.uint32), SIZE
    )


# --- kernels ----------------------------------------------------------------------------------


@settings(deadline=None)
@given(ROWS, st.integers(0, 99), st.integers(1, 4))
def test_sums_over_mutations_are_those_of_the_reference(rows, seed, threads):
    rng, made = np.random.default_rng(seed), feature_rows(rows)
    table, weights = rng.normal(size=SIZE), rng.normal(size=len(rows))
    np.testing.assert_allclose(made.sums(table, threads), reference.sums(rows, table), atol=1e-12)
    np.testing.assert_allclose(
        made.transposed(weights, threads), reference.transposed(rows, weights, SIZE), atol=1e-12
    )


@settings(deadline=None)
@given(ROWS, st.integers(0, 99), st.integers(0, 3), st.integers(0, SIZE))
def test_sums_over_pairs_are_those_of_the_reference(rows, seed, skip, reach):
    first = np.minimum(np.arange(SIZE) + 1 + skip, SIZE).astype(np.uint32)
    ends = np.minimum(first + reach, SIZE).astype(np.uint32)
    layout, pairs = _ext.PairLayout(first, ends), reference.pairs(first, ends)
    assert layout.size == len(pairs)
    rng, made = np.random.default_rng(seed), feature_rows(rows)
    table, weights = rng.normal(size=len(pairs)), rng.normal(size=len(rows))
    single, centre = rng.normal(size=(2, SIZE))
    wanted = reference.pair_sums(rows, pairs, table)
    np.testing.assert_allclose(layout.sums(made, table), wanted, atol=1e-5)
    found = layout.transposed(made, weights, single, centre)
    wanted = reference.pair_transposed(rows, pairs, weights, single, centre)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    found, wanted = layout.shifted(table, centre), reference.shifted(pairs, table, centre)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@settings(deadline=None)
@given(ROWS, st.integers(0, 99), st.integers(0, 20), st.integers(1, 4))
def test_sums_of_many_tables_are_those_of_each(rows, seed, count, threads):
    first = np.arange(1, SIZE + 1, dtype=np.uint32)
    layout = _ext.PairLayout(first, np.full(SIZE, SIZE, np.uint32))
    pairs, rng, made = (
        reference.pairs(first, [SIZE] * SIZE),
        np.random.default_rng(seed),
        feature_rows(rows),
    )
    tables, weights = rng.normal(size=(count, len(pairs))), rng.normal(size=(count, len(rows)))
    singles, centre = rng.normal(size=(count, SIZE)), rng.normal(size=SIZE)
    of_rows, of_pairs = (count, len(rows)), (count, len(pairs))

    def check(found, wanted, shape, atol=1e-12):
        np.testing.assert_allclose(found, np.reshape(list(wanted), shape), atol=atol)

    check(made.sums(singles, threads), (reference.sums(rows, one) for one in singles), of_rows)
    check(made.transposed(weights, threads),
          (reference.transposed(rows, one, SIZE) for one in weights), (count, SIZE))  # fmt: skip
    check(layout.sums(made, tables, threads),
          (reference.pair_sums(rows, pairs, one) for one in tables), of_rows, 2e-5)  # fmt: skip
    check(layout.transposed(made, weights, singles, centre, threads),
          (reference.pair_transposed(rows, pairs, *one, centre)
           for one in zip(weights, singles, strict=True)), of_pairs, 2e-5)  # fmt: skip
    check(layout.shifted(tables, centre),
          (reference.shifted(pairs, one, centre) for one in tables), (count, SIZE))  # fmt: skip


@pytest.mark.parametrize("count", [(), (11,)], ids=["one", "many"])
def test_threads_change_no_bit_of_a_sum(count):
    """Of 2 million mutations: fewer are left to one thread."""
    n = 120_000
    mutations = RandomLibrary("ACGT" * 15, n=n, rate=0.3, seed=SEED).mutations()
    layout = surrogates.Pairwise().layout(np.tile(np.arange(4, dtype=np.uint8), 15), 4)
    rows, rng = layout.rows(mutations, n), np.random.default_rng(SEED)
    table, weights, theta = (rng.normal(size=(*count, size))
                             for size in (layout.pairs.size, n, layout.n_additive))  # fmt: skip
    centre = rng.random(layout.n_additive)
    alone = [None] * 4
    for threads in (1, 2, 5, 16):
        found = [
            rows.sums(theta, threads), rows.transposed(weights, threads),
            layout.pairs.sums(rows, table, threads),
            layout.pairs.transposed(rows, weights, theta, centre, threads),
        ]  # fmt: skip
        if threads == 1:
            alone = found
        for one, other in zip(alone, found, strict=True):
            np.testing.assert_array_equal(one, other)


STARTS, FEATURES = np.array([0, 2], np.int64), np.array([0, 1], np.uint32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _ext.FeatureRows(STARTS, FEATURES, 1), "not below the number of features"),
        (lambda: _ext.FeatureRows(STARTS, FEATURES[::-1].copy(), 2), "row must be ascending"),
        (lambda: _ext.FeatureRows(STARTS[1:], FEATURES, 2), "starts must begin with 0"),
        (lambda: _ext.FeatureRows(STARTS.astype(int).tolist(), FEATURES, 2), "starts must be"),
        (lambda: _ext.FeatureRows(STARTS, FEATURES, 2).sums(np.zeros(3)), "table must have 2"),
        (lambda: _ext.FeatureRows(STARTS, FEATURES, 2).transposed(np.zeros(2)), "weights must"),
        (lambda: _ext.FeatureRows(STARTS, FEATURES, 2).sums(np.zeros(2), 0), "at least 1"),
        (lambda: _ext.FeatureRows(STARTS, FEATURES, 2).sums(np.zeros((1, 1, 2))), "1 or 2 axes"),
        (lambda: _ext.FeatureRows(STARTS, FEATURES, 2).sums(np.zeros((2, 3))), "table must have 2"),
        (lambda: _ext.PairLayout(FEATURES, FEATURES[:1]), "the same length"),
        (lambda: _ext.PairLayout(FEATURES, FEATURES + 5), "range of later features"),
        (lambda: _ext.PairLayout(*np.array([[1, 2], [2, 2]], np.uint32)).transposed(
            _ext.FeatureRows(STARTS, FEATURES, 2), np.zeros((2, 1)), np.zeros(2), np.zeros(2)),
         "as many"),
    ],
)  # fmt: skip
def test_kernels_refuse_what_they_cannot_sum(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_gram_matrix_counts_rows_with_both_mutations():
    wild_type = np.array([0, 3, 2, 1], np.uint8)
    mutations = RandomLibrary("ATGC", n=200, rate=0.4, seed=SEED).mutations()
    layout = maps.Layout(wild_type, 4)
    rows = layout.rows(mutations, 200)
    dense = np.zeros((200, layout.n_additive))
    for row, position, symbol in zip(*mutations, strict=True):
        dense[row, (layout.position == position) & (layout.symbol == symbol)] = 1
    np.testing.assert_array_equal(gram(layout, rows), dense.T @ dense)
    ridge, y = Ridge(layout, rows, 1), np.random.default_rng(SEED).normal(size=(200, 2))
    centred = dense - dense.mean(0)
    wanted = np.linalg.solve(
        centred.T @ centred + 3 * np.eye(layout.n_additive), centred.T @ (y - y.mean(0))
    )
    np.testing.assert_allclose(ridge.solve(y, 3.0), wanted, atol=1e-9)
    ridge.gram = None  # as for long sequences, by conjugate gradients
    np.testing.assert_allclose(ridge.solve(y, 3.0), wanted, atol=0.02 * np.abs(wanted).max())


# --- maps -------------------------------------------------------------------------------------

LENGTH = 6
WILD = np.array([1, 0, 3, 2, 0, 1], np.uint8)
MAPS = [
    surrogates.Additive(),
    surrogates.Neighbour(),
    surrogates.Pairwise(),
    surrogates.Pairwise(window=(1, 5)),
    surrogates.Pairwise(between=((0, 2), (3, 6))),
    surrogates.Pairwise(distance=2),
    surrogates.Order(3),
    surrogates.Order(4, window=(1, 5)),
]


def changes(tokens: np.ndarray, wild_type: np.ndarray) -> Mutations:
    row, position = np.nonzero(tokens != wild_type)
    return Mutations(row, position.astype(np.int32), tokens[row, position])


def random_tokens(n: int, seed: int = SEED) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (n, LENGTH)).astype(np.uint8)


def bound(map, tokens):
    """Layout and design of a map on rows."""
    layout, mutations = map.layout(WILD, 4), changes(tokens, WILD)
    rows = layout.rows(mutations, len(tokens))
    layout.learn(rows, mutations)
    return layout, layout.design(rows, mutations)


@pytest.mark.parametrize("map", MAPS)
def test_phi_is_that_of_the_effects_and_the_gradient_its_transpose(map):
    tokens, rng = random_tokens(300), np.random.default_rng(SEED)
    layout, design = bound(map, tokens)
    theta, weights = rng.normal(size=layout.size), rng.normal(size=300)
    found = design.phi(theta)
    np.testing.assert_allclose(found, layout.effects(theta).phi(tokens), atol=1e-5)
    assert weights @ found == pytest.approx(design.gradient(weights) @ theta, rel=1e-6)


@pytest.mark.parametrize(
    ("map", "allowed"),
    [
        (surrogates.Neighbour(), lambda i, j: j == i + 1),
        (surrogates.Pairwise(), lambda i, j: True),
        (surrogates.Pairwise(window=(1, 5)), lambda i, j: i >= 1 and j < 5),
        (surrogates.Pairwise(between=((3, 6), (0, 2))), lambda i, j: i < 2 and j >= 3),
        (surrogates.Pairwise(distance=3), lambda i, j: j - i <= 3),
        (
            surrogates.Pairwise(window=(1, 5), distance=2),
            lambda i, j: i >= 1 and j < 5 and j - i <= 2,
        ),
    ],
)
def test_a_map_has_the_pairs_that_it_says(map, allowed):
    layout = map.layout(WILD, 4)
    found = set(zip(layout.position[layout.one], layout.position[layout.two], strict=True))
    assert found == {(i, j) for i in range(LENGTH) for j in range(i + 1, LENGTH) if allowed(i, j)}
    assert layout.pairs.size == 9 * len(found)


@pytest.mark.parametrize("map", [surrogates.Pairwise(), surrogates.Order(3)])
def test_to_shrink_interactions_leaves_the_additive_effects_alone(map):
    """In centred coordinates their columns are orthogonal to those of single mutations."""
    tokens = reference.everything(3, 4)
    wild = np.zeros(3, np.uint8)
    layout, mutations = map.layout(wild, 4), changes(tokens, wild)
    rows = layout.rows(mutations, 64)
    layout.learn(rows, mutations)
    design = layout.design(rows, mutations)
    dense = np.stack([design.phi(column) for column in np.eye(layout.size)], axis=1)
    dense -= dense.mean(axis=0)
    across = dense[:, : layout.n_additive].T @ dense[:, layout.n_additive :]
    np.testing.assert_allclose(across, 0, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: surrogates.Pairwise(window=(2, 7)),
            r"must be within the 6 symbols.*\[2, 7\)",
        ),
        (lambda: surrogates.Pairwise(window=(3, 3)), "not empty"),
        (lambda: surrogates.Pairwise(between=((0, 4), (3, 6))), "must not overlap"),
        (
            lambda: surrogates.Pairwise(window=(0, 3), between=((0, 2), (3, 6))),
            "either window or between",
        ),
        (lambda: surrogates.Pairwise(distance=0), "distance must be between 1"),
        (lambda: surrogates.Order(0), "order must be between 1"),
        (lambda: surrogates.Order(2, window=(-1, 3)), "must be within"),
    ],
)
def test_maps_refuse_windows_that_are_not_there(make, message):
    with pytest.raises(GeneqError, match=message):
        make().layout(WILD, 4)


# --- nonlinearities ---------------------------------------------------------------------------

NONLINEARITIES = [
    surrogates.Linear(),
    surrogates.Tanh(3),
    surrogates.Tanh(),
    surrogates.Sigmoid(),
    surrogates.Spline(6),
    surrogates.Spline(),
]


@pytest.mark.parametrize("model", NONLINEARITIES)
def test_nonlinearities_rise_and_their_derivatives_are_right(model):
    rng = np.random.default_rng(SEED)
    eta = model.start(0.8) + 0.5 * rng.normal(size=len(model.start(0.8)))
    points = np.sort(rng.normal(0, 2.5, 200))
    curve = model.at(eta, points)
    values, slope = curve.y, curve.slope()
    assert (slope > 0).all() and (np.diff(values) >= 0).all()
    step = 1e-6
    by_phi = (model.at(eta, points + step).y - model.at(eta, points - step).y) / 2 / step
    np.testing.assert_allclose(slope, by_phi, atol=1e-6)
    weights = rng.normal(size=200)
    wanted = reference.slope(lambda at: weights @ model.at(at, points).y, eta)
    np.testing.assert_allclose(curve.transposed(weights), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", NONLINEARITIES)
def test_nonlinearities_start_as_about_a_line(model):
    points = np.linspace(-2, 2, 50)
    found = model.at(model.start(0.7), points).y
    assert np.polyfit(points, found, 1)[0] == pytest.approx(0.7, rel=0.3)
    assert np.corrcoef(points, found)[0, 1] > 0.99


# --- noise ------------------------------------------------------------------------------------

NOISES = [
    kind(order)
    for kind in (
        surrogates.Gaussian,
        surrogates.Cauchy,
        surrogates.StudentT,
        surrogates.SkewedT,
        surrogates.Empirical,
    )
    for order in (0, 2)
]
NOISES += [
    surrogates.Empirical(),
    surrogates.StudentT(2, 2),
    surrogates.SkewedT(2, 2),
    surrogates.SkewedT(0, 1),
]
every_noise = pytest.mark.parametrize(
    "model", NOISES, ids=lambda model: f"{model.kind}{model.order}{model.shape_order}"
)


def noisy(model):
    """Parameters, y, ŷ and σ to try a noise model on."""
    rng = np.random.default_rng(SEED)
    params = model.start(0.4) + 0.3 * rng.normal(size=model.size)
    yhat = rng.normal(size=100)
    return params, yhat + rng.standard_t(3, 100), yhat, rng.uniform(0.3, 2, 100)


def parts_of(model, params, yhat, sigma):
    """Scale of every row and shape, by their definition."""

    def polynomial(coefficients):
        return np.exp(sum(each * yhat**k for k, each in enumerate(coefficients))) * np.ones(100)

    scale, logs = polynomial(params[: model.order + 1]), params[model.order + 1 :]
    shapes = [polynomial(each) for each in np.split(logs, len(model.shapes))] if len(logs) else []
    return scale * (sigma if model.kind == "empirical" else 1), shapes


@every_noise
def test_likelihoods_are_those_of_scipy(model):
    params, y, yhat, sigma = noisy(model)
    scale, shape = parts_of(model, params, yhat, sigma)
    wanted = -reference.log_density(model.kind, tuple(shape), y - yhat, scale)
    np.testing.assert_allclose(model.losses(params, y, yhat, sigma), wanted, rtol=1e-9, atol=1e-9)
    total, _, _ = model.loss(params, y, yhat, sigma)
    assert total == pytest.approx(wanted.sum())


@every_noise
def test_derivatives_of_likelihoods_are_those_of_finite_differences(model):
    params, y, yhat, sigma = noisy(model)
    _, by_yhat, by_params = model.loss(params, y, yhat, sigma)
    wanted = reference.slope(lambda at: model.losses(params, y, at, sigma).sum(), yhat)
    np.testing.assert_allclose(by_yhat, wanted, rtol=1e-5, atol=1e-5)
    wanted = reference.slope(lambda at: model.losses(at, y, yhat, sigma).sum(), params)
    np.testing.assert_allclose(by_params, wanted, rtol=1e-5, atol=1e-4)


@every_noise
def test_cdf_quantiles_and_density_of_noise_agree(model):
    params, y, yhat, sigma = noisy(model)
    step = 1e-5
    slope = (
        model.cdf(params, y + step, yhat, sigma) - model.cdf(params, y - step, yhat, sigma)
    ) / (2 * step)
    np.testing.assert_allclose(slope, np.exp(-model.losses(params, y, yhat, sigma)), 1e-4, 1e-8)
    for q in (0.05, 0.5, 0.8):
        at = model.quantile(params, q, yhat, sigma)
        np.testing.assert_allclose(model.cdf(params, at, yhat, sigma), q, atol=1e-6)


def test_yhat_is_the_mode_of_the_skewed_t():
    model, grid = surrogates.SkewedT(0), np.linspace(-3, 3, 6001)
    for a, b in [(0.5, 3.0), (4.0, 1.0), (2.0, 2.0)]:
        params = np.concatenate([[0.0], np.log([a, b])])
        losses = model.losses(params, grid, np.zeros_like(grid))
        assert abs(grid[np.argmin(losses)]) <= 1e-3


def test_shapes_of_order_0_are_numbers_and_of_others_start_as_these():
    """The same likelihood, whether a shape is one number or as many as there are rows."""
    for kind in (surrogates.StudentT, surrogates.SkewedT):
        params, y, yhat, _ = noisy(kind(2))
        assert all(np.ndim(shape) == 0 for shape in kind(2).shape(params, yhat))
        shapes = np.stack([params[3:], np.zeros(len(kind.shapes))], axis=1)
        longer = np.concatenate([params[:3], shapes.ravel()])
        assert len(kind(2, 1).start(0.4)) == kind(2, 1).size == len(longer)
        one, other = kind(2).loss(params, y, yhat), kind(2, 1).loss(longer, y, yhat)
        assert other[0] == pytest.approx(one[0], rel=1e-12)
        np.testing.assert_allclose(other[1], one[1], rtol=1e-9, atol=1e-12)
        constant = np.concatenate([other[2][:3], other[2][3::2]])
        np.testing.assert_allclose(constant, one[2], rtol=1e-9, atol=1e-9)


def test_shapes_stay_within_bounds_wherever_their_polynomials_go():
    """No row far out may give a shape that has no density; there, nothing depends on it."""
    model, yhat = surrogates.SkewedT(0, 1), np.array([-3.0, 0.0, 3.0])
    params = np.array([0.0, 1.0, 9.0, 1.0, 0.0])
    y = yhat + 0.5
    a = model.shape(params, yhat)[0]
    np.testing.assert_allclose(a, [1e-2, np.e, 1e4])
    _, by_yhat, by_params = model.loss(params, y, yhat)
    wanted = reference.slope(lambda at: model.losses(params, y, at).sum(), yhat)
    np.testing.assert_allclose(by_yhat, wanted, rtol=1e-4, atol=1e-4)
    assert np.isfinite(by_params).all() and by_params[2] == 0  # of yhat = 0 alone


@pytest.mark.parametrize("order", [-1, 1.5])
def test_orders_of_shapes_are_whole(order):
    with pytest.raises(GeneqError, match="shape_order"):
        surrogates.SkewedT(2, order)


def test_tails_that_change_with_the_prediction_are_found():
    """Skewed up where predictions are low and down where they are high, as between two ends."""
    data, tokens, *_ = simulated(surrogates.Additive(), n=6000, noise=0.0)
    yhat = (data.y[:, 0] - data.y.mean()) / data.y.std()
    truth, params = surrogates.SkewedT(0, 1), np.array([-1.0, 2.0, -0.8, 2.0, 0.8])
    quantiles = np.random.default_rng(SEED).uniform(size=len(yhat))
    data.y = truth.quantile(params, quantiles, yhat)[:, None]
    losses, distances = [], []
    for order in (0, 1):
        fitted = surrogates.fit(data, noise=surrogates.SkewedT(2, order), replicates=20)
        held = fitted.split == 2
        latent = fitted.phi(tokens[held])
        losses.append(fitted.losses(latent, data.y[held]).mean())
        uniform = fitted.cdf(latent, data.y[held])[:, 0]
        distances.append(stats.kstest(uniform, "uniform").statistic)
        assert (fitted.errors().terms[0].values > 0).any()
    best = truth.losses(params, data.y[held, 0], yhat[held]).mean()
    # Over eight seeds and several processors: up to 0.034 nats above the truth with shapes that
    # change, at least 0.071 with shapes that do not.
    assert losses[1] < best + 0.05 < losses[0]
    # For uniform numbers, this many, the distance is larger once in a thousand times.
    assert distances[1] < stats.kstwo.ppf(0.999, held.sum())


# --- the objective ----------------------------------------------------------------------------


@pytest.mark.parametrize("map", [surrogates.Additive(), surrogates.Pairwise(), surrogates.Order(3)])
def test_the_gradient_of_the_whole_objective_is_that_of_finite_differences(map):
    rng, tokens = np.random.default_rng(SEED), random_tokens(80)
    layout, design = bound(map, tokens)
    model, scatter = surrogates.Tanh(2), surrogates.SkewedT(2, 1)
    state = State(rng.normal(size=layout.size), 0.0, 1.0, model.start(0.5), scatter.start(0.5))
    n = layout.n_additive
    factor = np.triu(rng.normal(size=(n, n))) + 4 * np.eye(n)
    whitening = Whitening(rng.uniform(0.5, 1, layout.size - n), factor)
    objective = Objective(
        Scored(design, rng.normal(size=80), None, 80), model, scatter, whitening,
        rng.uniform(1, 5, layout.size), Prior(state.eta, state.noise),
    )  # fmt: skip
    point = objective.point(state) + 0.1 * rng.normal(size=len(objective.point(state)))
    found = objective(point)[1]
    # Tables of pairs are float32: smaller steps would be those of its rounding.
    wanted = reference.slope(lambda at: objective(at)[0], point, 1e-3)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_the_minimiser_finds_the_minimum_of_rosenbrock():
    def objective(x):
        value = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        slope = [-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)]
        return value, np.array(slope)

    found = lbfgs(objective, np.array([-1.2, 1.0]), lambda x: objective(x)[0], tolerance=1e-12)
    np.testing.assert_allclose(found.point, 1, atol=1e-5)


def test_the_minimiser_gives_the_point_of_the_best_score_back():
    seen = []

    def score(x):
        seen.append(x)
        return abs(x[0] - 0.5)

    scale = np.array([1.0, 30.0])
    found = lbfgs(lambda x: ((scale * x**2).sum() / 2, scale * x), np.array([1.0, 1.0]), score)
    assert found.score == min(abs(x[0] - 0.5) for x in seen) == abs(found.point[0] - 0.5)
    assert abs(seen[-1][0]) < 0.01


def test_the_minimiser_says_that_it_cannot_descend():
    """Everywhere else the objective is not finite, as where an exponential overflows."""
    start = np.ones(2)

    def objective(x):
        return (1.0, x) if np.array_equal(x, start) else (np.inf, np.full(2, np.nan))

    found = lbfgs(objective, start, lambda x: 0.0)
    assert (found.why, found.value) == ("no descent", 1.0)
    np.testing.assert_array_equal(found.point, start)


def test_conjugate_gradients_solve():
    rng = np.random.default_rng(SEED)
    root = rng.normal(size=(20, 20))
    matrix, target = root @ root.T + np.eye(20), rng.normal(size=20)
    found = conjugate_gradients(lambda x: matrix @ x, target, np.zeros(20), 60, 1e-10)
    np.testing.assert_allclose(matrix @ found, target, atol=1e-8)


# --- gauges -----------------------------------------------------------------------------------


def random_effects(rng, length: int, symbols: int, order: int) -> tuple[Effects, dict]:
    """Effects of all sets of up to `order` positions, and the same as tables."""
    terms, tables = [], {}
    for size in range(1, order + 1):
        sites = list(reference.combinations(range(length), size))
        values = rng.normal(size=(len(sites),) + (symbols,) * size)
        terms.append(Term(np.array(sites, np.int32), values))
        tables |= dict(zip(sites, values, strict=True))
    return Effects(float(rng.normal()), tuple(terms)), tables


def drawn(rng, length: int, symbols: int) -> np.ndarray:
    return rng.dirichlet(np.ones(symbols), length)


@pytest.mark.parametrize(
    ("length", "symbols", "order"), [(3, 2, 1), (3, 3, 2), (4, 2, 3), (3, 4, 3)]
)
def test_effects_in_a_gauge_are_those_of_its_definition(length, symbols, order):
    rng = np.random.default_rng(SEED)
    effects, tables = random_effects(rng, length, symbols, order)
    everything = reference.everything(length, symbols)
    values = np.array([reference.phi(effects.constant, tables, row) for row in everything])
    weights = drawn(rng, length, symbols)
    fixed = effects.fixed(weights)
    np.testing.assert_allclose(fixed.phi(everything), values, atol=1e-10)
    cube = values.reshape((symbols,) * length)
    assert fixed.constant == pytest.approx(float(reference.hierarchical(cube, weights, ())))
    for term in fixed.terms:
        for sites, found in zip(term.sites, term.values, strict=True):
            wanted = reference.hierarchical(cube, weights, tuple(sites))
            np.testing.assert_allclose(found, wanted, atol=1e-10)


def test_a_gauge_is_found_again_from_another():
    rng = np.random.default_rng(SEED)
    effects, _ = random_effects(rng, 4, 3, 3)
    weights = drawn(rng, 4, 3)
    once, twice = effects.fixed(weights), effects.fixed(drawn(rng, 4, 3)).fixed(weights)
    for one, other in zip(once.terms, twice.terms, strict=True):
        np.testing.assert_array_equal(one.sites, other.sites)
        np.testing.assert_allclose(one.values, other.values, atol=1e-10)


def test_terms_that_were_not_there_come_where_a_gauge_needs_them():
    """Pairs without single effects have such in another gauge."""
    rng = np.random.default_rng(SEED)
    pairs = Term(np.array([[0, 2]], np.int32), rng.normal(size=(1, 2, 2)))
    effects, everything = Effects(0.0, (pairs,)), reference.everything(3, 2)
    fixed = effects.fixed(drawn(rng, 3, 2))
    assert [term.sites.tolist() for term in fixed.terms] == [[[0], [2]], [[0, 2]]]
    np.testing.assert_allclose(fixed.phi(everything), effects.phi(everything), atol=1e-12)


def test_frequencies_count_symbols():
    tokens = random_tokens(50)
    wanted = (tokens[:, :, None] == np.arange(4)).mean(axis=0)
    np.testing.assert_allclose(frequencies(WILD, changes(tokens, WILD), 50, 4), wanted)


# --- fits -------------------------------------------------------------------------------------

SITES, FEW = 30, 8


def wild_type(length: int) -> str:
    return "".join(np.random.default_rng(SEED).choice(list("ACGT"), length))


def simulated(
    map,
    length: int = SITES,
    n: int = 6000,
    noise: float = 0.05,
    planted: float = 1,
    rate: float = 0.15,
):
    """A MAVE behind a saturating curve, with noise that grows with the signal, and its truth.

    planted: spread of interactions beside that of single effects.
    """
    rng = np.random.default_rng(SEED)
    library = RandomLibrary(wild_type(length), n=n, rate=rate, seed=SEED)
    tokens = library.tokens()
    layout, mutations = map.layout(tokens[0], 4), library.mutations()
    layout.learn(layout.rows(mutations, n), mutations)
    theta = rng.normal(size=layout.size)
    theta[layout.n_additive :] *= planted
    effects = layout.effects(theta)
    raw = effects.phi(tokens)
    latent = (raw - raw.mean()) / raw.std()
    effects = Effects(
        (effects.constant - raw.mean()) / raw.std(), effects.scaled(1 / raw.std()).terms
    )
    curve = 3 / (1 + np.exp(-1.5 * latent - 1))
    y = curve + noise * np.exp(0.7 * curve) * rng.standard_normal(n)
    return surrogates.Arrays(tokens[0], library.mutations(), y), tokens, latent, effects


def agreement(one: Effects, other: Effects, order: int, length: int) -> float:
    """Correlation of effects of an order, both in the uniform gauge."""
    weights = np.full((length, 4), 0.25)
    tables = (effects.fixed(weights).terms[order - 1].values.ravel() for effects in (one, other))
    return float(np.corrcoef(*tables)[0, 1])


def linear_fit(data, map):
    return surrogates.fit(data, map, surrogates.Linear(), surrogates.Gaussian(0))


@pytest.fixture(scope="module")
def additive():
    data, tokens, latent, effects = simulated(surrogates.Additive())
    return data, tokens, latent, effects, surrogates.fit(data)


def test_additive_effects_are_recovered(additive):
    data, _, _, effects, surrogate = additive
    found = agreement(surrogate.effects(), effects, 1, SITES)
    linear = agreement(linear_fit(data, surrogates.Additive()).effects(), effects, 1, SITES)
    assert found >= 0.99
    assert linear < found


@pytest.mark.parametrize("model", [surrogates.Tanh(), surrogates.Spline(), surrogates.Sigmoid()])
@pytest.mark.parametrize(
    "scatter",
    [surrogates.Gaussian(1), surrogates.Cauchy(1), surrogates.StudentT(1), surrogates.SkewedT(1)],
)
def test_every_nonlinearity_and_noise_recovers_additive_effects(additive, model, scatter):
    data, _, _, effects, _ = additive
    found = agreement(surrogates.fit(data, None, model, scatter).effects(), effects, 1, SITES)
    assert found >= 0.99


@pytest.mark.parametrize(("rate", "planted"), [(0.3, 0.7), (0.15, 1)])
def test_pairwise_effects_are_recovered(rate, planted):
    """Also where most of what singles and pairs do is hidden on the plateaus of the curve."""
    map = surrogates.Pairwise()
    data, _, _, effects = simulated(map, FEW, 8000, 0.03, planted, rate)
    found = [surrogates.fit(data, map).effects(), linear_fit(data, map).effects()]
    pairs, linear = (agreement(one, effects, 2, FEW) for one in found)
    assert pairs >= 0.95
    assert linear < pairs
    assert agreement(found[0], effects, 1, FEW) >= 0.99


def test_few_planted_pairs_among_many_are_found():
    """Most of 3,915 pairs are nothing, in fewer rows than parameters."""
    data, tokens, _, effects = simulated(surrogates.Additive(), n=3000)
    map, rng = surrogates.Pairwise(), np.random.default_rng(SEED)
    layout = map.layout(data.wild_type, 4)
    n = layout.n_additive
    planted = np.isin(layout.groups, rng.choice(SITES * (SITES - 1) // 2, 6, replace=False))
    theta = np.zeros(layout.size)
    theta[n:][planted] = rng.normal(size=planted.sum())
    latent = effects.phi(tokens) + layout.effects(theta).phi(tokens)
    data.y = (np.tanh(latent - latent.mean()) + 0.05 * rng.standard_normal(3000))[:, None]
    with pytest.warns(UserWarning, match="2,400 training rows for .* parameters"):
        found = surrogates.fit(data, map).outputs[0].theta[n:]
    assert np.corrcoef(found, theta[n:])[0, 1] >= 0.95
    with pytest.warns(UserWarning, match="2,400 training rows"):
        plain = surrogates.fit(data, map, shrinkage="ridge").outputs[0].theta[n:]
    assert np.square(found - theta[n:]).sum() < 0.5 * np.square(plain - theta[n:]).sum()


def test_third_order_effects_are_recovered():
    map = surrogates.Order(3)
    data, tokens, latent, effects = simulated(map, 5, 10_000, 0.02, planted=0.4, rate=0.5)
    surrogate = surrogates.fit(data, map)
    assert np.corrcoef(surrogate.phi(tokens)[:, 0], latent)[0, 1] >= 0.99
    for order in (2, 3):
        assert agreement(surrogate.effects(), effects, order, 5) >= 0.95


def test_phi_is_standardised_and_the_curve_rises(additive):
    _, tokens, _, _, surrogate = additive
    train = surrogate.split == 0
    found = surrogate.phi(tokens)[train, 0]
    assert found.mean() == pytest.approx(0, abs=1e-6)
    assert found.std() == pytest.approx(1, rel=1e-6)
    points = np.linspace(-3, 3, 100)[:, None]
    assert (np.diff(surrogate.curve(points)[:, 0]) > 0).all()


def test_predictions_are_the_same_in_every_gauge(additive):
    _, tokens, _, _, surrogate = additive
    own = drawn(np.random.default_rng(SEED), SITES, 4)
    for gauge in ("wild_type", "uniform", "empirical", "consensus", own):
        effects = surrogate.effects(gauge)
        np.testing.assert_allclose(effects.phi(tokens), surrogate.phi(tokens)[:, 0], atol=1e-8)
    wild = surrogate.effects("wild_type").additive(SITES)
    np.testing.assert_array_equal(wild[np.arange(SITES), surrogate.wild_type], 0)


def test_effects_in_units_of_y_are_the_slope_at_the_wild_type(additive):
    _, _, _, _, surrogate = additive
    wild = surrogate.wild_type[None]
    table = surrogate.effects("wild_type", units="y").additive(SITES)
    position, symbol = np.unravel_index(np.argmax(np.abs(table)), table.shape)
    at, step = surrogate.phi(wild), 1e-5
    slope = (surrogate.curve(at + step) - surrogate.curve(at - step)) / 2 / step
    effect = surrogate.effects("wild_type").additive(SITES)[position, symbol]
    assert table[position, symbol] == pytest.approx(float(effect * slope[0, 0]), rel=1e-4)
    frame = surrogate.table("wild_type")
    row = frame[(frame.position == position) & (frame.symbol == "ACGT"[symbol])].iloc[0]
    assert row["phi"] == pytest.approx(effect) and row["y"] == table[position, symbol]
    assert row.wild == "ACGT"[surrogate.wild_type[position]]


@pytest.mark.parametrize("planted", [0, 0.5])
def test_ten_starts_agree(planted):
    """Also where interactions that the map does not know leave the curve's shape open."""
    data, *_ = simulated(surrogates.Pairwise(), n=8000, noise=0.02, planted=planted, rate=0.1)
    found = [surrogates.fit(data, start_seed=seed) for seed in (None, *range(10))]
    tables = [one.effects().additive(SITES).ravel() for one in found]
    assert np.corrcoef(tables).min() >= 0.999
    assert not np.array_equal(tables[0], tables[1])


def test_starts_agree_where_there_are_more_pairs_than_rows():
    map = surrogates.Pairwise()
    data, *_ = simulated(map, n=3000, noise=0.03, planted=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [surrogates.fit(data, map, start_seed=seed) for seed in (None, *range(4))]
    tables = [one.effects().additive(SITES).ravel() for one in found]
    assert np.corrcoef(tables).min() >= 0.999
    pairs = [one.outputs[0].theta[one.layout.n_additive :] for one in found]
    assert np.corrcoef(pairs).min() >= 0.97
    assert not np.array_equal(pairs[0], pairs[1])


def test_interactions_are_shrunk_as_by_one_who_knows_what_they_are():
    """Groups of 9 that are nothing, small or large: hardly more error than if that were known."""
    rng, groups, information = np.random.default_rng(SEED), np.repeat(np.arange(3000), 9), 4.0
    variance = rng.choice([0.0, 0.1, 9.0], 3000, p=[0.8, 0.15, 0.05])[groups]
    truth = rng.normal(0, np.sqrt(variance))
    alone = truth + rng.normal(0, 1 / np.sqrt(information), len(truth))
    precision = shrinkage.precisions(np.full(len(truth), information), alone, groups)
    shrunk = alone * information / (information + precision)
    known = alone * variance / (variance + 1 / information)
    assert np.square(shrunk - truth).sum() <= 1.2 * np.square(known - truth).sum()
    assert np.median(precision[variance == 0]) > 10 * information
    assert np.max(precision[variance == 9]) < information


def test_interactions_that_no_row_has_are_held_at_0():
    information, alone = np.array([4.0, 4, 0, 0]), np.array([2.0, 3, 0, 0])
    precision = shrinkage.precisions(information, alone, np.array([0, 0, 0, 1]))
    assert np.isfinite(precision[:2]).all() and np.isinf(precision[2:]).all()


def test_threads_change_no_bit_of_a_fit():
    map = surrogates.Pairwise(window=(4, 16))
    data, tokens, *_ = simulated(map, n=2000)
    one, two = (surrogates.fit(data, map, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(one.outputs[0].theta, two.outputs[0].theta)
    np.testing.assert_array_equal(one.predict(tokens), two.predict(tokens, threads=2))


def test_targets_are_fitted_as_if_alone():
    data, tokens, _, _ = simulated(surrogates.Additive(), n=2000)
    both = surrogates.Arrays(
        data.wild_type, data.changes, np.hstack([data.y, -data.y]), targets=["up", "down"]
    )
    surrogate, alone = surrogates.fit(both), surrogates.fit(data)
    assert surrogate.targets == ["up", "down"]
    np.testing.assert_allclose(surrogate.phi(tokens)[:, 0], alone.phi(tokens)[:, 0], atol=1e-9)
    np.testing.assert_allclose(
        surrogate.effects(target="down").terms[0].values,
        -surrogate.effects(target="up").terms[0].values, atol=0.15,
    )  # fmt: skip
    with pytest.raises(GeneqError, match=r"Unknown target.*down, up"):
        surrogate.effects(target="left")


def test_strength_shrinks_as_it_says(additive):
    """The prior θ ~ N(0, 1/strength) is on θ of a standardised φ: it moves effects that are few."""
    data, *_ = additive
    train = np.zeros(len(data.y), np.int8)
    train[200:400], train[400:] = 1, 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weak, strong = (
            surrogates.fit(data, strength=strength, split=train, nonlinearity=surrogates.Linear(),
                    noise=surrogates.Gaussian(0), patience=500)
            for strength in (1e-3, 1e3)
        )  # fmt: skip
    assert weak.outputs[0].strength == 1e-3 and strong.outputs[0].strength == 1e3
    sizes = [np.square(one.outputs[0].theta).sum() for one in (weak, strong)]
    assert sizes[1] < 0.8 * sizes[0]
    chosen = surrogates.fit(data, split=train)
    assert 1e-3 < chosen.outputs[0].strength < 1e3


def test_a_prior_of_any_strength_leaves_something_to_fit():
    data, tokens, *_ = simulated(surrogates.Additive(), n=1000)
    for strength in (0.0, 1e30):
        assert np.isfinite(surrogates.fit(data, strength=strength).predict(tokens)).all()


def test_the_strength_of_interactions_is_the_one_given():
    map = surrogates.Pairwise()
    data, *_ = simulated(map, FEW, 1500, planted=0.7)
    sizes = []
    for strength in (1.0, 100.0, 10_000.0):
        one = surrogates.fit(data, map, shrinkage="ridge", pair_strength=strength)
        assert one.outputs[0].pair_strength == strength
        sizes.append(np.sqrt(np.mean(one.outputs[0].theta[24:] ** 2)))
    assert sizes[0] > sizes[1] > 3 * sizes[2]


def test_the_best_point_by_validation_is_the_one_given_back(additive):
    """With as many parameters as rows and no prior, validation rows stop the fit."""
    data, tokens, *_ = additive
    split = np.full(len(data.y), 2, np.int8)
    split[:120], split[120:400] = 0, 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        surrogate = surrogates.fit(data, strength=0.0, split=split)
    output = surrogate.outputs[0]
    found = surrogate.phi(tokens[split == 1])
    loss = surrogate.losses(found, data.y[split == 1]).mean() - np.log(output.y_sd)
    best = min(score for _, score in output.history)
    assert output.why == "validation"
    assert best - 1e-9 <= loss <= best + 6e-4
    assert output.history[-1][1] > loss + 1e-3


def test_a_mave_is_fitted_as_plain_arrays_are():
    data, tokens, *_ = simulated(surrogates.Additive(), n=1000)
    library = RandomLibrary(wild_type(SITES), n=1000, rate=0.15, seed=SEED)
    y = data.y.astype(np.float32)
    mave = Mave(library, None, "dna", y, ["dev"])
    data.y = y
    one, other = surrogates.fit(mave), surrogates.fit(data)
    assert one.targets == ["dev"]
    np.testing.assert_array_equal(one.predict(tokens), other.predict(tokens))


def test_splits_are_of_the_shares_and_seeds_asked_for():
    data, *_ = simulated(surrogates.Additive(), n=1000)
    surrogate = surrogates.fit(data, valid=0.2, test=0.3)
    assert np.bincount(surrogate.split).tolist() == [500, 200, 300]
    other = surrogates.fit(data, valid=0.2, test=0.3, split_seed=2)
    assert not np.array_equal(surrogate.split, other.split)


def test_a_surrogate_is_read_as_it_was_written(tmp_path):
    for map in (
        surrogates.Additive(),
        surrogates.Pairwise(window=(2, 9)),
        surrogates.Order(2, (0, 5)),
        surrogates.Neighbour(),
    ):
        data, tokens, *_ = simulated(surrogates.Additive(), n=1500)
        surrogate = surrogates.fit(data, map, surrogates.Spline(8), surrogates.StudentT(1, 1))
        surrogate.save(tmp_path)
        again = surrogates.Surrogate.load(tmp_path)
        assert (
            again.map == map
            and again.noise == surrogates.StudentT(1, 1)
            and again.targets == ["y0"]
        )
        np.testing.assert_array_equal(again.predict(tokens), surrogate.predict(tokens))
        np.testing.assert_array_equal(
            again.effects().terms[0].values, surrogate.effects().terms[0].values
        )
        assert again.outputs[0].history == surrogate.outputs[0].history


def test_files_that_are_no_surrogate_are_refused(tmp_path):
    data, *_ = simulated(surrogates.Additive(), n=500)
    with pytest.raises(GeneqError, match="File not found"):
        surrogates.Surrogate.load(tmp_path)
    surrogates.fit(data).save(tmp_path)
    arrays, document = tmp_path / "surrogate.npz", tmp_path / "surrogate.json"
    whole, text = arrays.read_bytes(), document.read_text()
    arrays.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GeneqError, match="Not a complete file of arrays"):
        surrogates.Surrogate.load(tmp_path)
    np.savez(arrays, wild_type=np.array([object()]))
    with pytest.raises(GeneqError, match="Not a complete file of arrays"):
        surrogates.Surrogate.load(tmp_path)
    arrays.write_bytes(whole)
    for change, message in [
        ({"format": "x"}, "Not a surrogate"),
        ({"version": 2}, "of format version 1"),
        ({"map": {"kind": "pairwise"}}, "Not a complete surrogate"),
        ({"noise": {"kind": "os.system"}}, "Not a complete surrogate"),
    ]:
        document.write_text(json.dumps(json.loads(text) | change))
        with pytest.raises(GeneqError, match=message):
            surrogates.Surrogate.load(tmp_path)


# --- bad input --------------------------------------------------------------------------------


def data_with(y=None, changes=None, **more) -> surrogates.Arrays:
    library = RandomLibrary(wild_type(10), n=100, rate=0.3, seed=SEED)
    scores = np.arange(100.0) if y is None else y
    return surrogates.Arrays(
        library.tokens(0, 1)[0], changes or library.mutations(), scores, **more
    )


def with_value(value, *rows) -> np.ndarray:
    y = np.arange(100.0)
    y[list(rows)] = value
    return y


FINE = data_with().changes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: surrogates.fit(data_with(np.ones(100))),
         "All scores are identical.*1 for y0"),
        (lambda: surrogates.fit(data_with(with_value(np.nan, 3, 50))),
         "must be finite.*rows 3, 50"),
        (lambda: surrogates.fit(data_with(with_value(np.inf, *range(9)))), "4 and 4 more"),
        (lambda: surrogates.fit(data_with(np.arange(99.0))), "must be within the 99 rows"),
        (lambda: surrogates.fit(data_with(changes=FINE._replace(row=FINE.row[1:]))),
         "the same length"),
        (lambda: surrogates.fit(data_with(changes=FINE._replace(row=FINE.row[::-1]))),
         "ordered by row"),
        (lambda: surrogates.fit(data_with(changes=FINE._replace(position=FINE.position + 5))),
         "10 pos"),
        (lambda: surrogates.fit(data_with(changes=FINE._replace(symbol=FINE.symbol + 9))),
         "known symbol"),
        (lambda: surrogates.fit(data_with(changes=FINE._replace(position=FINE.position * 0))),
         "known symbol|ordered by row and position"),
        (lambda: surrogates.fit(data_with(changes=Mutations(*(c[:0] for c in FINE)))),
         "no mutations"),
        (lambda: surrogates.fit(data_with(), noise=surrogates.Empirical()), "needs sigma"),
        (lambda: surrogates.fit(data_with(sigma=np.zeros(100)), noise=surrogates.Empirical()),
         "above 0"),
        (lambda: surrogates.fit(data_with(sigma=np.ones(99)), noise=surrogates.Empirical()),
         "shape of y"),
        (lambda: surrogates.fit(data_with(targets=["a", "b"])), "a name for every target"),
        (lambda: surrogates.fit(data_with(np.array(["a"] * 100))), "y must be numbers"),
        (lambda: surrogates.fit(data_with(), valid=0.6, test=0.5), "leave rows to train on"),
        (lambda: surrogates.fit(data_with(), valid=0.0), "validation rows are needed: 0"),
        (lambda: surrogates.fit(data_with(), split=np.zeros(3)), "0, 1 or 2 for each row"),
        (lambda: surrogates.fit(data_with(), strength=-1.0), "strength must be at least 0"),
        (lambda: surrogates.fit(data_with(), shrinkage="lasso"),
         "shrinkage must be one of adaptive, ridge"),
        (lambda: surrogates.fit(data_with(), threads=0), "threads must be between 1"),
        (lambda: surrogates.fit(data_with(), split_seed=-1), "split_seed must be"),
        (lambda: surrogates.fit(data_with(), start_seed=-1), "start_seed must be"),
        (lambda: surrogates.fit(data_with(), surrogates.Pairwise(between=((0, 4),))),
         "between must be two windows"),
        (lambda: surrogates.fit(data_with(), surrogates.Pairwise(window=(0, 11))), "be within"),
        (lambda: surrogates.fit(data_with()).effects("middle"), "Unknown gauge.*uniform"),
        (lambda: surrogates.fit(data_with()).effects(np.ones((10, 4))), "add up to 1.*position 0"),
        (lambda: surrogates.fit(data_with()).effects(np.ones((9, 4)) / 4),
         r"shape \(10, 4\): '\(9, 4\)'"),
        (lambda: surrogates.fit(data_with()).effects(units="cm"), "units must be phi or y"),
        (lambda: surrogates.fit(data_with()).phi(np.zeros((2, 9), np.uint8)),
         r"tokens uint8\[n, 10\]"),
        (lambda: surrogates.fit(data_with()).phi(np.full((2, 10), 4, np.uint8)), "known symbol"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_what_is_wrong(call, message):
    with pytest.raises(GeneqError, match=message):
        call()


def test_fewer_rows_than_parameters_are_warned_of():
    with pytest.warns(UserWarning, match="80 training rows for .* parameters: effects that the"):
        surrogate = surrogates.fit(data_with(), surrogates.Pairwise())
    assert np.isfinite(surrogate.outputs[0].theta).all()


def test_unknown_symbols_of_the_wild_type_are_left_alone():
    library = RandomLibrary("ACNNTGCA", n=300, rate=0.3, windows=[(0, 2), (4, 8)], seed=SEED)
    tokens = library.tokens()
    y = (tokens == 2).sum(axis=1) + np.random.default_rng(SEED).normal(size=300)
    surrogate = surrogates.fit(
        surrogates.Arrays(tokens[0], library.mutations(), y), surrogates.Pairwise()
    )
    effects = surrogate.effects("uniform")
    np.testing.assert_allclose(effects.phi(tokens), surrogate.phi(tokens)[:, 0], atol=1e-5)
    assert (effects.additive(8)[2:4] == 0).all()


def test_other_alphabets_are_fitted():
    library = RandomLibrary("MKVLAAGIVG", n=3000, rate=0.15, alphabet="protein", seed=SEED)
    tokens, rng = library.tokens(), np.random.default_rng(SEED)
    truth = rng.normal(size=(10, 20))[np.arange(10), tokens].sum(axis=1)
    y = np.tanh(truth / 4) + 0.05 * rng.normal(size=3000)
    data = surrogates.Arrays(tokens[0], library.mutations(), y, alphabet="protein")
    assert np.corrcoef(surrogates.fit(data).phi(tokens)[:, 0], truth)[0, 1] > 0.98


# --- quality ----------------------------------------------------------------------------------


def test_quality_tells_what_was_simulated(additive):
    data, tokens, *_, surrogate = additive
    held = surrogate.split == 2
    (found,) = quality(surrogate, surrogate.phi(tokens[held]), data.y[held])
    predicted = surrogate.predict(tokens[held])[:, 0]
    y = data.y[held, 0]
    assert found.rows == held.sum()
    assert found.r2.value == pytest.approx(np.corrcoef(predicted, y)[0, 1] ** 2)
    assert found.explained.value == pytest.approx(1 - np.mean((y - predicted) ** 2) / y.var())
    assert 0 < found.r2.error < 0.02
    assert found.i_var.value <= found.i_pred.value + 3 * (found.i_var.error + found.i_pred.error)
    for share, coverage in found.coverage.items():
        assert abs(coverage.value - float(share)) < 5 * coverage.error + 0.02
    assert found.ks_p > 1e-4


@pytest.mark.parametrize(("rows", "told_by"), [(7000, 0), (2000, 1)])
def test_noise_is_that_of_training_rows_where_these_are_many_and_else_of_validation_rows(
    rows, told_by
):
    """20 rows for each parameter."""
    data, tokens, *_ = simulated(surrogates.Neighbour(), length=12, n=rows)
    split = np.random.default_rng(SEED).choice(3, rows, p=[0.6, 0.3, 0.1])
    fitted = surrogates.fit(data, surrogates.Neighbour(), noise=surrogates.Gaussian(0), split=split)
    away = (data.y - fitted.predict(tokens))[:, 0] / fitted.outputs[0].y_sd
    spreads = np.log([away[split == part].std() for part in (0, 1)])
    assert spreads[1] - spreads[0] > 0.01
    assert np.argmin(np.abs(fitted.outputs[0].noise[0] - spreads)) == told_by


def test_a_noise_model_that_is_wrong_is_told_by_its_calibration():
    rng = np.random.default_rng(SEED)
    data, tokens, *_ = simulated(surrogates.Additive())
    heavy = surrogates.Arrays(
        data.wild_type, data.changes, data.y + rng.standard_cauchy(data.y.shape)
    )
    for scatter, fine in ((surrogates.Gaussian(0), False), (surrogates.Cauchy(0), True)):
        surrogate = surrogates.fit(heavy, noise=scatter)
        held = surrogate.split == 2
        (found,) = quality(surrogate, surrogate.phi(tokens[held]), heavy.y[held])
        assert (found.ks_p > 1e-4) is fine


def test_information_of_normal_variables_is_the_known_one():
    """r = 0.8 gives −½ log2(1 − r²) bits; none is 0; transforming either changes nothing."""
    rng = np.random.default_rng(SEED)
    x, e = rng.normal(size=(2, 4000))
    y = 0.8 * x + 0.6 * e
    wanted = -0.5 * np.log2(1 - 0.64)
    assert information(x, y) == pytest.approx(wanted, abs=0.04)
    assert information(np.exp(x), y**3) == information(x, y)
    assert information(x, e) == pytest.approx(0, abs=0.04)
    losses = ((y - 0.8 * x) ** 2 / 0.36 + np.log(2 * np.pi * 0.36)) / 2
    found = variational_information(losses, y)
    assert abs(found.value - wanted) < 4 * found.error

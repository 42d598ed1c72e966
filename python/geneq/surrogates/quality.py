"""How good a surrogate is, on rows that it was not fitted to, with error bars."""

from dataclasses import asdict, dataclass

import numpy as np
from scipy import special
from scipy.spatial import cKDTree

# Neighbours of the estimates of information and entropy.
NEIGHBOURS = 5
RESAMPLED = 200
HALVES = 20
# Noise that estimates of entropy give to y, in its standard deviations.
FUZZ = 0.01
# Central shares of the noise model whose coverage is told.
SHARES = (0.5, 0.68, 0.9, 0.95)


@dataclass(frozen=True)
class Estimate:
    """A value and its standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class Quality:
    """Of one target, in `rows` held-out rows.

    r2: squared correlation of y with its prediction. explained: 1 − the mean square error in
    variances of y. i_pred: information of φ on y; i_var: what of it the noise model accounts for,
    at most i_pred but for chance (bits a row, Tareen et al. 2022). coverage: of every central
    share of the noise model, the share of y that lies in it. ks, ks_p: Kolmogorov–Smirnov distance
    of the noise model's quantiles of y from uniform, and how probable a larger one is.
    """

    rows: int
    r2: Estimate
    explained: Estimate
    i_pred: Estimate
    i_var: Estimate
    coverage: dict[str, Estimate]
    ks: float
    ks_p: float

    def to_dict(self) -> dict:
        return asdict(self)


def quality(surrogate, phi: np.ndarray, y: np.ndarray, sigma=None, seed: int = 1) -> list[Quality]:
    """The quality for every target; φ and y float64[n, targets] of held-out rows.

    Information is NaN where there are fewer than 6 rows, and its error below 12.
    """
    curve, losses = surrogate.curve(phi), surrogate.losses(phi, y, sigma)
    quantiles = surrogate.cdf(phi, y, sigma)
    columns = zip(phi.T, y.T, curve.T, losses.T, quantiles.T, strict=True)
    return [_of_one(*map(np.float64, column), np.random.default_rng(seed)) for column in columns]


def _of_one(phi, y, predicted, losses, quantiles, rng) -> Quality:
    from scipy.stats import kstest

    weights = rng.multinomial(len(y), np.full(len(y), 1 / len(y)), RESAMPLED)
    ks = kstest(quantiles, "uniform")
    away = 2 * np.abs(quantiles - 0.5)
    return Quality(
        rows=len(y),
        r2=_resampled(_correlations, weights, y, predicted),
        explained=_resampled(_explained, weights, y, predicted),
        i_pred=_by_halves(information, rng, phi, y),
        i_var=variational_information(losses, y),
        coverage={f"{share:g}": _share(away <= share) for share in SHARES},
        ks=float(ks.statistic),
        ks_p=float(ks.pvalue),
    )


def _share(inside: np.ndarray) -> Estimate:
    share = inside.mean()
    return Estimate(float(share), float(np.sqrt(share * (1 - share) / len(inside))))


# --- R² ---------------------------------------------------------------------------------------


def _resampled(measure, weights: np.ndarray, y: np.ndarray, predicted: np.ndarray) -> Estimate:
    """A measure of all rows, and its standard deviation over bootstrap samples of rows."""
    value = measure(np.ones((1, len(y))), y, predicted)[0]
    return Estimate(float(value), float(measure(weights, y, predicted).std()))


def _correlations(weights: np.ndarray, y: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    n = weights.sum(axis=1)
    y, predicted = y - y.mean(), predicted - predicted.mean()
    my, mp = weights @ y / n, weights @ predicted / n
    both = weights @ (y * predicted) / n - my * mp
    squares = (weights @ y**2 / n - my**2) * (weights @ predicted**2 / n - mp**2)
    return np.divide(both**2, squares, out=np.zeros_like(both), where=squares > 0)


def _explained(weights: np.ndarray, y: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    n = weights.sum(axis=1)
    y, error = y - y.mean(), (y - predicted) ** 2
    variance = weights @ y**2 / n - (weights @ y / n) ** 2
    return 1 - np.divide(weights @ error / n, variance, out=np.ones(len(n)), where=variance > 0)


# --- information, in bits ---------------------------------------------------------------------


def _by_halves(estimate, rng: np.random.Generator, *columns: np.ndarray) -> Estimate:
    """An estimate from all rows; its error from random halves, which vary √2 times more."""
    n = len(columns[0])
    halves = (rng.permutation(n)[: n // 2] for _ in range(HALVES))
    values = [estimate(*(column[half] for column in columns)) for half in halves]
    return Estimate(estimate(*columns), float(np.std(values) / np.sqrt(2)))


def information(x: np.ndarray, y: np.ndarray, neighbours: int = NEIGHBOURS) -> float:
    """Mutual information of two float64[n] in bits: the first method of Kraskov et al. (2004).

    NaN where there are no more rows than neighbours.
    """
    n = len(x)
    if n <= neighbours:
        return np.nan
    points = np.stack([_ranks(x), _ranks(y)], axis=1)
    distance = cKDTree(points).query(points, neighbours + 1, p=np.inf)[0][:, -1]
    counts = 0.0
    for column in points.T:
        ordered = np.sort(column)
        high = np.searchsorted(ordered, column + distance * (1 - 1e-12))
        low = np.searchsorted(ordered, column - distance * (1 - 1e-12), side="right")
        counts += special.psi(np.maximum(high - low, 1)).mean()
    return float((special.psi(neighbours) + special.psi(n) - counts) / np.log(2))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Normal scores of the ranks: information does not change when either is transformed."""
    order = np.empty(len(values))
    order[np.argsort(values, kind="stable")] = np.arange(len(values))
    return special.ndtri((order + 0.5) / len(values))


def variational_information(losses: np.ndarray, y: np.ndarray) -> Estimate:
    """Entropy of y less the mean loss, −log2 of its density under the model, in bits."""
    own = _surprise(y)
    gain = (own - losses) / np.log(2)
    return Estimate(float(gain.mean()), float(gain.std() / np.sqrt(len(gain))))


def _surprise(y: np.ndarray, neighbours: int = NEIGHBOURS) -> np.ndarray:
    """−log density of each y, in nats, whose mean is the entropy (Kozachenko and Leonenko 1987).

    Measured y, such as logs of counts, may be the same in many rows, where that has no end: as
    MAVE-NN does, each gets noise of a FUZZ share of their spread. NaN where there are no more rows
    than neighbours.
    """
    n = len(y)
    if n <= neighbours:
        return np.full(n, np.nan)
    y = y + FUZZ * y.std() * np.random.default_rng(n).standard_normal(n)
    distance = cKDTree(y[:, None]).query(y[:, None], neighbours + 1)[0][:, -1]
    spread = max(float(y.std()), 1e-300)
    widths = 2 * np.maximum(distance, 1e-12 * spread)
    return special.psi(n) - special.psi(neighbours) + np.log(widths)

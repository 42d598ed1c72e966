"""The quality of a surrogate on test rows, which it was not fitted to, with standard errors."""

from dataclasses import asdict, dataclass

import numpy as np
from scipy import special
from scipy.spatial import cKDTree

from .surrogate import Surrogate

__all__ = ["Estimate", "Quality", "information", "quality", "variational_information"]

# Nearest neighbours in the estimates of information and entropy.
NEIGHBOURS = 5
RESAMPLED = 200
HALVES = 20
# Noise added to y for estimates of entropy, in its standard deviations.
FUZZ = 0.01
# Central intervals of the noise model whose coverage is reported.
SHARES = (0.5, 0.68, 0.9, 0.95)


@dataclass(frozen=True)
class Estimate:
    """A value and its standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class Quality:
    """The quality for one target.

    Parameters
    ----------
    rows : int
        Number of test rows.
    r2 : Estimate
        Squared correlation of y with its prediction.
    explained : Estimate
        1 − mean squared error / variance of y.
    i_pred : Estimate
        Mutual information of φ and y, in bits.
    i_var : Estimate
        Variational information, in bits: the part of it that the noise model accounts for. A lower
        bound of i_pred, up to errors of the estimates [1]_.
    coverage : dict of str to Estimate
        For each central interval of the noise model, the fraction of y in it.
    ks, ks_p : float
        Kolmogorov–Smirnov distance between the quantiles of y under the noise model and the uniform
        distribution, and its p-value.

    References
    ----------
    .. [1] Tareen et al., MAVE-NN, Genome Biology 23:98, 2022.
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


def quality(
    surrogate: Surrogate,
    phi: np.ndarray,
    y: np.ndarray,
    sigma: np.ndarray | None = None,
    seed: int = 1,
) -> list[Quality]:
    """The quality for every target.

    Parameters
    ----------
    surrogate : Surrogate
        The surrogate.
    phi, y : ndarray
        float64[n, targets], latent phenotypes and scores of test rows.
    sigma : ndarray, optional
        float64[n, targets], measured standard errors of y.
    seed : int
        Of the resampling that standard errors come from.

    Returns
    -------
    list of Quality
        One for each target. Information is NaN below 6 rows, its standard error below 12.
    """
    columns = (phi, y, surrogate.curve(phi), surrogate.losses(phi, y, sigma),
               surrogate.cdf(phi, y, sigma))  # fmt: skip
    found = np.moveaxis(np.asarray(columns, np.float64), -1, 0)
    return [_of_one(*of_target, rng=np.random.default_rng(seed)) for of_target in found]


def _of_one(
    phi: np.ndarray,
    y: np.ndarray,
    predicted: np.ndarray,
    losses: np.ndarray,
    quantiles: np.ndarray,
    *,
    rng: np.random.Generator,
) -> Quality:
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
    """A measure of all rows, with its standard deviation over bootstrap samples of rows."""
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
    """An estimate from all rows; its error is from random halves, which vary √2 times more."""
    n = len(columns[0])
    halves = (rng.permutation(n)[: n // 2] for _ in range(HALVES))
    values = [estimate(*(column[half] for column in columns)) for half in halves]
    return Estimate(estimate(*columns), float(np.std(values) / np.sqrt(2)))


def information(x: np.ndarray, y: np.ndarray, neighbours: int = NEIGHBOURS) -> float:
    """Mutual information of two variables, in bits.

    Parameters
    ----------
    x, y : ndarray
        float64[n].
    neighbours : int
        Nearest neighbours of the estimate.

    Returns
    -------
    float
        NaN if there are not more rows than neighbours.

    References
    ----------
    The first estimator of Kraskov, Stögbauer and Grassberger, Physical Review E 69:066138, 2004.
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
    """Normal scores of the ranks: information is invariant under monotone transformations."""
    order = np.empty(len(values))
    order[np.argsort(values, kind="stable")] = np.arange(len(values))
    return special.ndtri((order + 0.5) / len(values))


def variational_information(losses: np.ndarray, y: np.ndarray) -> Estimate:
    """Entropy of y minus the mean loss, in bits.

    Parameters
    ----------
    losses : ndarray
        float64[n], −log density of each y under the noise model, in nats.
    y : ndarray
        float64[n].
    """
    gain = (_surprise(y) - losses) / np.log(2)
    return Estimate(float(gain.mean()), float(gain.std() / np.sqrt(len(gain))))


def _surprise(y: np.ndarray, neighbours: int = NEIGHBOURS) -> np.ndarray:
    """−log density of each y, in nats, whose mean is the entropy (Kozachenko and Leonenko 1987).

    Measured y, such as logs of counts, may have ties, for which it would be −infinite: as in
    MAVE-NN, noise of FUZZ standard deviations is added. NaN if there are not more rows than
    neighbours.
    """
    n = len(y)
    if n <= neighbours:
        return np.full(n, np.nan)
    y = y + FUZZ * y.std() * np.random.default_rng(n).standard_normal(n)
    distance = cKDTree(y[:, None]).query(y[:, None], neighbours + 1)[0][:, -1]
    spread = max(float(y.std()), 1e-300)
    widths = 2 * np.maximum(distance, 1e-12 * spread)
    return special.psi(n) - special.psi(neighbours) + np.log(widths)

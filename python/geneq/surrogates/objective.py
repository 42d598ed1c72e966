"""The objective of a fit: loss of training rows plus prior, with analytic derivatives."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular

from .maps import Design
from .noise import Noise
from .nonlinearity import Nonlinearity

# Standard deviations of the priors of the nonlinearity's parameters about a line, and of those of
# the noise about their start. Where the nonlinearity is flat, φ can be stretched without changing
# the loss; the prior makes fits from all starts the same. The prior of the noise is wide.
BENT, LOOSE = 0.3, 1.0


@dataclass
class Scored:
    """Rows with their standardised measurements, σ if given, and their number of groups."""

    design: Design
    y: np.ndarray
    sigma: np.ndarray | None
    groups: int


@dataclass
class Whitening:
    """Coordinates v in which the columns of the model are nearly orthonormal.

    θ = [factor⁻¹ v for the additive effects, v · scale for the rest]; without factor, scale for
    all. Parameters with a scale of 0 stay 0.
    """

    scale: np.ndarray
    factor: np.ndarray | None = None

    @cached_property
    def _n(self) -> int:
        return 0 if self.factor is None else len(self.factor)

    def theta(self, v: np.ndarray) -> np.ndarray:
        if self.factor is None:
            return v * self.scale
        first = solve_triangular(self.factor, v[: self._n], check_finite=False)
        return np.concatenate([first, v[self._n :] * self.scale])

    def transposed(self, theta: np.ndarray) -> np.ndarray:
        if self.factor is None:
            return theta * self.scale
        first = solve_triangular(self.factor, theta[: self._n], trans=1, check_finite=False)
        return np.concatenate([first, theta[self._n :] * self.scale])

    def inverse(self, theta: np.ndarray) -> np.ndarray:
        rest = theta[self._n :]
        rest = np.divide(rest, self.scale, out=np.zeros_like(rest), where=self.scale > 0)
        return (
            rest if self.factor is None else np.concatenate([self.factor @ theta[: self._n], rest])
        )


@dataclass
class Prior:
    """Normal priors of the parameters [η, noise]: their means `eta` and `noise`."""

    eta: np.ndarray
    noise: np.ndarray

    def loss(self, eta: np.ndarray, noise: np.ndarray) -> tuple[float, np.ndarray]:
        """Nats, and their derivatives."""
        bent, loose = (eta - self.eta) / BENT, (noise - self.noise) / LOOSE
        return (bent @ bent + loose @ loose) / 2, np.concatenate([bent / BENT, loose / LOOSE])


@dataclass
class State:
    """θ, the mean and standard deviation that standardise its φ, and the other parameters."""

    theta: np.ndarray
    mean: float
    sd: float
    eta: np.ndarray
    noise: np.ndarray


class Objective:
    """Mean loss of training rows plus prior, of points [v, η, noise].

    φ is standardised over training rows here, so that the size of θ is irrelevant and the prior is
    on θ of a φ with standard deviation 1: θ ~ N(0, 1/precision), in nats of all rows. prior: of η
    and noise. phi_alone: whether nonlinearity and noise are held fixed.
    """

    def __init__(
        self,
        train: Scored,
        nonlinearity: Nonlinearity,
        noise: Noise,
        whitening: Whitening,
        precision: np.ndarray,
        prior: Prior,
        phi_alone: bool = False,
    ):
        self.phi_alone = phi_alone
        self.train, self.nonlinearity, self.noise = train, nonlinearity, noise
        self.whitening, self.precision, self.prior = whitening, precision, prior
        self.sizes = np.cumsum([len(precision), len(prior.eta)])
        # The last point, and the parameters there.
        self.seen = np.empty(0), State(np.empty(0), 0.0, 1.0, prior.eta, prior.noise)

    def point(self, state: State) -> np.ndarray:
        v = self.whitening.inverse(state.theta)
        return np.concatenate([v, state.eta, state.noise])

    def state(self, point: np.ndarray) -> State:
        """The parameters at a point."""
        if not np.array_equal(self.seen[0], point):
            self(point)
        return self.seen[1]

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        v, eta, noise = np.split(point, self.sizes)
        theta, n = self.whitening.theta(v), len(self.train.y)
        raw = self.train.design.phi(theta)
        mean, sd = raw.mean(), raw.std()
        phi = (raw - mean) / sd
        self.seen = point, State(theta, mean, sd, eta, noise)
        curve = self.nonlinearity.at(eta, phi)
        loss, by_yhat, by_noise = self.noise.loss(noise, self.train.y, curve.y, self.train.sigma)
        weighted = self.precision * theta / sd**2
        shrunk = weighted @ theta
        away, pull = self.prior.loss(eta, noise)
        total = loss + shrunk / 2 + away
        by_phi = by_yhat * curve.slope()
        by_raw = (by_phi - by_phi.mean() - phi * ((by_phi @ phi + shrunk) / n)) / sd
        by_theta = self.train.design.gradient(by_raw) + weighted
        rest = (np.concatenate([curve.transposed(by_yhat), by_noise]) + pull) * (not self.phi_alone)
        gradient = np.concatenate([self.whitening.transposed(by_theta), rest])
        return total / n, gradient / n

    def loss(self, point: np.ndarray, rows: Scored) -> float:
        """Mean loss of other rows."""
        return mean_loss(self.state(point), rows, self.nonlinearity, self.noise)


def phi_of(state: State, design: Design) -> np.ndarray:
    """Standardised φ of rows, float64[n]."""
    return (design.phi(state.theta) - state.mean) / state.sd


def mean_loss(state: State, rows: Scored, nonlinearity: Nonlinearity, noise: Noise) -> float:
    yhat = nonlinearity.at(state.eta, phi_of(state, rows.design)).y
    return float(noise.losses(state.noise, rows.y, yhat, rows.sigma).mean())

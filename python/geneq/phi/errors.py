"""Errors of a fit: what it would have been with other rows of the same kind.

The oracle may well answer without noise: what scatters is the misfit, which differs from row to
row, so that a fit depends on which rows the library has. A replicate gives every row a random
weight of mean 1 and variance 1 (the multiplier bootstrap) and takes one Newton step to the
parameters that fit best then: θ* = θ + H⁻¹ Σ (w_i − 1) s_i, with s_i the score of a row and H the
curvature of the loss and the prior. So the prior, and what it takes from the scatter, is in the
errors; which strength was chosen is not, since the prior stays as it is.

What is kept are differences from the fit, to first order: all that follows from them is linear in
them, and directions in which the nonlinearity is not known do no harm.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .noise import Noise
from .nonlinearity import Nonlinearity
from .objective import BENT, LOOSE, Scored, State, phi_of
from .optimise import conjugate_gradients
from .ridge import DENSE, gram
from .shrinkage import Data

# Seed of the weights: the same for all targets.
SEED = 1
# Steps of finite differences of parameters that are of the order of 1.
STEP = 1e-3
# Steps of conjugate gradients at most, and their tolerance: errors are known to a few percent.
STEPS, TOLERANCE = 30, 0.03


@dataclass(frozen=True, eq=False)
class Replicates:
    """What replicates differ by from the fit.

    kept: int64[k], the parameters that are not held at 0. theta: float32[replicates, k], of these.
    offset: float64[replicates]. eta: float64[replicates, size of η].
    """

    kept: np.ndarray
    theta: np.ndarray
    offset: np.ndarray
    eta: np.ndarray

    def __len__(self) -> int:
        return len(self.offset)

    def full(self, number: int, size: int) -> np.ndarray:
        """float64[size]: all θ of a replicate, less those of the fit."""
        theta = np.zeros(size)
        theta[self.kept] = self.theta[number]
        return theta


def replicated(
    data: Data, state: State, precision: np.ndarray, on_valid: bool, replicates: int
) -> Replicates:
    """Replicates of a fit.

    state: with φ of mean 0 and standard deviation 1. precision: of the prior of θ, inf where it is
    0. on_valid: nonlinearity and noise were fitted to validation rows, not to training rows.
    """
    newton = Newton(data, state, precision, on_valid)
    rng = np.random.default_rng(SEED)
    steps = (newton.step(*map(rng.standard_normal, newton.rows)) for _ in range(replicates))
    theta, offset, eta = (np.array(column) for column in zip(*steps, strict=True))
    return Replicates(np.flatnonzero(newton.kept), theta, offset, eta)


class Newton:
    """One Newton step from a fit to that of rows with other weights.

    φ stays of mean 0 and standard deviation 1, so θ moves across the direction that would scale it.
    """

    def __init__(self, data: Data, state: State, precision: np.ndarray, on_valid: bool):
        self.state, self.design, self.on_valid = state, data.train.design, on_valid
        self.train, self.valid = (Rows(state, rows, data.nonlinearity, data.noise)
                                  for rows in (data.train, data.valid))  # fmt: skip
        self.rows = (len(self.train.phi), len(self.valid.phi))
        self.score = self.train.by_phi * self.train.inflation(self.valid)
        self.weights = self.train.curvature()
        self.solve, self.kept = solver(data, self.weights, precision)
        self.constraint = self._side(self.train.phi) / self.rows[0]
        self.along = self.solve(self.constraint)
        self.curve = Curve(self.train)
        self.mixed = np.stack([self._side(column) for column in self.curve.mixed.T], axis=1)
        self.followed = np.stack([self._across(column) for column in self.mixed.T], axis=1)
        self.matrix = self.curve.matrix - self.mixed.T @ self.followed
        self.calibration = Curve(self.valid) if on_valid else None

    def _side(self, by_row: np.ndarray) -> np.ndarray:
        return self.design.gradient(by_row - by_row.mean())

    def _across(self, side: np.ndarray) -> np.ndarray:
        """H⁻¹ side, with the standard deviation of φ held."""
        step = self.solve(side)
        return step - self.along * ((self.constraint @ step) / (self.constraint @ self.along))

    def step(self, weights: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """Changes of θ (those that are kept), offset and η for changes of the weights of rows."""
        weights, phi = weights - weights.mean(), self.train.phi
        scale, mean = weights @ (phi**2 - 1) / (2 * len(phi)), weights @ phi / len(phi)
        pushed = -mean - scale * phi
        alone = -self._across(self._side(weights * self.score + self.weights * pushed))
        side = weights @ self.curve.scores + pushed @ self.curve.mixed + self.mixed.T @ alone
        curve = -solved(self.matrix, side)
        theta = alone - self.followed @ curve
        centre = -self.design.phi(theta).mean()
        if self.on_valid:
            moved = self.valid.rows.design.phi(theta) + centre
            moved -= mean + scale * self.valid.phi
            curve = self.calibration.step(others, moved)
        offset = centre - mean + scale * self.state.mean
        theta = (theta - scale * self.state.theta)[self.kept]
        return theta.astype(np.float32), offset, curve[: len(self.state.eta)]


class Rows:
    """The loss of every row about a state: its derivative by φ, and its mean curvature."""

    def __init__(self, state: State, rows: Scored, nonlinearity: Nonlinearity, noise: Noise):
        self.state, self.rows, self.nonlinearity, self.noise = state, rows, nonlinearity, noise
        self.phi = phi_of(state, rows.design)
        curve = nonlinearity.at(state.eta, self.phi)
        self.yhat, self.slope = curve.y, curve.slope()
        self.by_yhat = self._by_yhat(self.yhat)
        self.by_phi = self.by_yhat * self.slope

    def _by_yhat(self, yhat: np.ndarray) -> np.ndarray:
        return self.noise.loss(self.state.noise, self.rows.y, yhat, self.rows.sigma)[1]

    def told(self) -> np.ndarray:
        """d² loss / dŷ², float64[n]: as it depends on ŷ alone, so that no row's is negative."""
        expected = self.noise.scale(self.state.noise, self.yhat, self.rows.sigma) ** -2.0
        either = (self._by_yhat(self.yhat + side * STEP) for side in (1, -1))
        observed = np.subtract(*either) / (2 * STEP)
        return expected * max(float(observed.sum() / expected.sum()), 1e-3)

    def curvature(self) -> np.ndarray:
        """d² loss / dφ², float64[n], without what the nonlinearity's bend adds: 0 on average."""
        weights = self.told() * self.slope**2
        return np.maximum(weights, 1e-3 * weights.mean())

    def inflation(self, valid: "Rows") -> float:
        """By how much scores of training rows are too small: those rows were fitted to.

        Of mean squares of noise σ², training rows show σ²(1 − leverage), others σ²(1 + leverage).
        """
        return max(1.0, float(np.mean(valid.by_phi**2) / np.mean(self.by_phi**2)) ** 0.25)


Solve = Callable[[np.ndarray], np.ndarray]


def solver(data: Data, weights: np.ndarray, precision: np.ndarray) -> tuple[Solve, np.ndarray]:
    """What solves H x = side, and the parameters, bool[size], that are not 0 in it.

    weights: float64[n], the curvature of every row's loss by φ.
    """
    design = data.train.design
    told = weights.sum() * data.layout.spread(design.additive)
    kept = np.isfinite(precision) & (told > 0)
    prior = np.where(kept, precision, 0)
    if data.layout.size == data.layout.n_additive <= DENSE:
        return _direct(data, weights, prior, kept), kept
    scale = np.where(kept, 1 / np.sqrt(np.where(kept, told + prior, 1)), 0)

    def product(v: np.ndarray) -> np.ndarray:
        theta = scale * v
        phi = design.phi(theta)
        weighted = (phi - phi.mean()) * weights
        return scale * (design.gradient(weighted - weighted.mean()) + prior * theta)

    def solve(side: np.ndarray) -> np.ndarray:
        start = np.zeros_like(side)
        return scale * conjugate_gradients(product, scale * side, start, STEPS, TOLERANCE)

    return solve, kept


def _direct(data: Data, weights: np.ndarray, prior: np.ndarray, kept: np.ndarray) -> Solve:
    """By Cholesky, for additive maps."""
    rows, threads = data.train.design.additive, data.train.design.threads
    mean = rows.transposed(np.ones(rows.rows), threads) / rows.rows
    matrix = gram(data.layout, rows, threads, weights)
    weighted = np.outer(matrix.diagonal(), mean)
    matrix += weights.sum() * np.outer(mean, mean) - weighted - weighted.T
    matrix.flat[:: len(matrix) + 1] += prior
    factor = cho_factor(matrix[np.ix_(kept, kept)], check_finite=False)

    def solve(side: np.ndarray) -> np.ndarray:
        found = np.zeros_like(side)
        found[kept] = cho_solve(factor, side[kept], check_finite=False)
        return found

    return solve


class Curve:
    """Nonlinearity and noise about what was fitted: how they follow weights and φ of their rows.

    scores: float64[n, k], derivatives of the loss of every row by these parameters. mixed:
    float64[n, k], of its derivative by φ. matrix: float64[k, k], their curvature.
    """

    def __init__(self, rows: Rows):
        self.size = len(rows.state.eta)
        bent, told = _jacobian(rows), rows.told()
        scores, mixed, matrix = _noise(rows)
        self.scores = np.concatenate([bent * rows.by_yhat[:, None], scores], axis=1)
        both = np.concatenate([bent * told[:, None], mixed], axis=1)
        self.mixed = both * rows.slope[:, None]
        bent_or_not = np.arange(both.shape[1]) < self.size
        self.matrix = np.diag(np.where(bent_or_not, BENT, LOOSE) ** -2.0)
        self.matrix[: self.size] += bent.T @ both
        self.matrix[self.size :, : self.size] += mixed.T @ bent
        self.matrix[self.size :, self.size :] += matrix

    def step(self, weights: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """Change of the parameters for changes of the weights of rows and of their φ."""
        return -solved(self.matrix, weights @ self.scores + moved @ self.mixed)


def _jacobian(rows: Rows) -> np.ndarray:
    """dg/dη of every row, float64[n, size of η]."""
    eta = rows.state.eta
    points = ((eta + by, eta - by) for by in np.eye(len(eta)) * STEP)
    either = (tuple(rows.nonlinearity.at(eta, rows.phi).y for eta in both) for both in points)
    return np.stack([(high - low) / (2 * STEP) for high, low in either], axis=1)


def _noise(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Derivatives by the noise's parameters of losses, of their ŷ-slopes, and of their sum."""
    noise, args, found = rows.state.noise, (rows.rows.y, rows.yhat, rows.rows.sigma), []
    for by in np.eye(len(noise)) * STEP:
        either = [(rows.noise.losses(at, *args), *rows.noise.loss(at, *args)[1:])
                  for at in (noise + by, noise - by)]  # fmt: skip
        found.append([(high - low) / (2 * STEP) for high, low in zip(*either, strict=True)])
    if not found:
        return np.empty((len(rows.phi), 0)), np.empty((len(rows.phi), 0)), np.empty((0, 0))
    return tuple(np.stack(columns, axis=-1) for columns in zip(*found, strict=True))


def solved(matrix: np.ndarray, side: np.ndarray) -> np.ndarray:
    """matrix⁻¹ side, for a matrix that is symmetric; the prior holds what the data do not tell."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return vectors @ ((vectors.T @ side).T / np.maximum(values, 1 / LOOSE**2)).T

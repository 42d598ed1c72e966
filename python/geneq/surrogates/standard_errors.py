"""Standard errors of a fit: its variation over libraries of the same type.

The oracle may be noiseless: what varies is the misfit, which differs from row to row, so that a fit
depends on which rows the library has. A replicate gives every row a random weight of mean 1 and
variance 1 (the multiplier bootstrap) and takes one Newton step to the parameters that are then the
best: θ* = θ + H⁻¹ Σ (w_i − 1) s_i, with s_i the score of a row and H the curvature of the loss and
the prior. The errors therefore include the prior and the variation that it removes. Where every
pair has its own prior, that is estimated again.

Replicates are stored as differences from the fit, to first order: everything derived from them is
linear in them, and directions in which the nonlinearity is undetermined do no harm.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from .noise import Noise
from .nonlinearity import Nonlinearity
from .objective import BENT, LOOSE, Scored, State, phi_of
from .optimise import conjugate_gradients
from .ridge import DENSE, gram
from .shrinkage import FEWEST, Chosen, Data, precisions

# Seed of the weights: the same for all targets.
SEED = 1
# Steps of finite differences of parameters that are of the order of 1.
STEP = 1e-3
# Replicates that are solved for together: as many tables as kernels sum at a time.
ABREAST = 8
# Most steps of conjugate gradients, and their tolerance: loose for many parameters, which have
# strong priors; tight for few, since the residual would act as shrinkage.
LOOSELY, CLOSELY = (30, 0.1), (300, 1e-3)
# Lower bound of a curvature, as a fraction of the one that the scores of rows imply; also of what
# remains of it after φ follows the nonlinearity.
LEAST = 0.25


@dataclass(frozen=True, eq=False)
class Replicates:
    """Differences of replicates from the fit.

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
        """float64[size]: all θ of a replicate, minus those of the fit."""
        theta = np.zeros(size)
        theta[self.kept] = self.theta[number]
        return theta


def replicated(
    data: Data,
    state: State,
    chosen: Chosen,
    on_valid: bool,
    replicates: int,
    groups: tuple[np.ndarray, np.ndarray],
) -> Replicates:
    """Replicates of a fit.

    state: with φ of mean 0 and standard deviation 1. chosen: its prior. on_valid: nonlinearity and
    noise were fitted to validation rows, not to training rows. groups: int64 of training and of
    validation rows; rows of a group have the same weight.
    """
    newton = Newton(data, state, chosen, on_valid)
    rng = np.random.default_rng(SEED)
    steps = []
    for begin in range(0, replicates, ABREAST):
        drawn = [[rng.standard_normal(numbers.max() + 1)[numbers] for numbers in groups]
                 for _ in range(begin, min(begin + ABREAST, replicates))]  # fmt: skip
        steps.append(newton.step(*map(np.array, zip(*drawn, strict=True))))
    theta, offset, eta = map(np.concatenate, zip(*steps, strict=True))
    for each in (theta, offset, eta):
        each -= each.mean(axis=0)
    return Replicates(np.flatnonzero(newton.system.kept), theta, offset, eta)


class Newton:
    """One Newton step from a fit to those of rows with other weights, for k of these at a time.

    φ stays of mean 0 and standard deviation 1, so θ moves across the direction that would scale it.
    """

    def __init__(self, data: Data, state: State, chosen: Chosen, on_valid: bool):
        self.data, self.state, self.chosen = data, state, chosen
        self.train, valid = (Rows(state, rows, data.nonlinearity, data.noise)
                             for rows in (data.train, data.valid))  # fmt: skip
        self.rows = (len(self.train.phi), len(valid.phi))
        self.score = self.train.by_phi * self.train.inflation(valid)
        self.system = self._system()
        self.constraint = self.system.side(self.train.phi) / self.rows[0]
        self.along = self.system.solve(self.constraint)
        # The mean of φ, as a sum over θ.
        self.centre = data.train.design.gradient(np.full(self.rows[0], 1 / self.rows[0]))
        self.on_valid, self.curved = on_valid, valid if on_valid else self.train
        self.curve = Curve(self.curved)
        self._couple(self.curve if not on_valid else Curve(self.train))

    def _system(self) -> "System":
        """The system of the curvature itself, if it is far from flat in every direction."""
        weights, positive = self.train.curvature(), self.train.positive()
        rest = System(self.data, weights - LEAST * positive, self.chosen.precision)
        weights = weights if rest.is_definite else positive
        return System(self.data, weights, self.chosen.precision)

    def _couple(self, curve: "Curve") -> None:
        """How θ, float64[k, size], and its φ respond to each of the curve's k parameters."""
        columns = np.split(curve.mixed.T.copy(), range(ABREAST, curve.mixed.shape[1], ABREAST))
        found = [-self._across(self.system.solve(self.system.side(some))) for some in columns]
        self.followed = np.concatenate(found)
        moved = np.concatenate([self._moved(theta) for theta in found])
        left = self.curve.matrix + (moved @ self.curve.mixed).T
        self.inverse = np.linalg.inv(at_least(left, self.curve.matrix))

    def _across(self, step: np.ndarray) -> np.ndarray:
        """A step that keeps the standard deviation of φ."""
        share = (step @ self.constraint) / (self.along @ self.constraint)
        return step - share[..., None] * self.along

    def _moved(self, theta: np.ndarray) -> np.ndarray:
        """φ of the rows of the curve for a change of θ, with the mean of training rows fixed."""
        phi = self.data.train.design.phi(theta)
        moved = self.data.valid.design.phi(theta) if self.on_valid else phi
        return moved - phi.mean(axis=-1, keepdims=True)

    def step(
        self, weights: np.ndarray, others: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Changes of the kept θ, of offset and η, for other weights of training and valid rows.

        float64[k, n] of both; float32[k, kept], float64[k] and float64[k, size of η].
        """
        weights, phi = weights - weights.mean(axis=1, keepdims=True), self.train.phi
        scale, mean = (weights @ np.stack([(phi**2 - 1) / 2, phi]).T / len(phi)).T[..., None]
        pushed = self.system.weights * (mean + scale * phi)
        theta = self._across(self._shrunk(self.system.side(weights * self.score - pushed)))
        moved = self._moved(theta) - mean - scale * self.curved.phi
        side = (others if self.on_valid else weights) @ self.curve.scores
        curve = -(side + moved @ self.curve.mixed) @ self.inverse.T
        theta += curve @ self.followed
        offset = (scale * self.state.mean - mean)[:, 0] - theta @ self.centre
        theta = (theta - scale * self.state.theta)[:, self.system.kept]
        return theta.astype(np.float32), offset, curve[:, : len(self.state.eta)]

    def _shrunk(self, score: np.ndarray) -> np.ndarray:
        """Changes of θ for changes of its score; estimated priors are estimated again.

        New priors are those of a truth for which the fit's priors are right on average: the fit
        with part of its shrinkage undone. The set of kept parameters therefore varies too.
        """
        system, chosen, n = self.system, self.chosen, self.data.layout.n_additive
        if not chosen.estimated:
            return system.solve(-score)
        information = np.maximum(system.information, 1e-300)
        shrunk = np.where(
            np.arange(len(information)) < n, 0, system.prior / chosen.strength / information
        )
        theta = self.state.theta * np.sqrt(1 + shrunk)
        noise = self.score @ self.score / system.weights.sum()
        alone = (theta - score / information)[:, n:]
        precision = np.tile(chosen.precision, (len(score), 1))
        for one, each in zip(alone, precision, strict=True):
            each[n:] = chosen.strength * precisions(
                system.information[n:] / noise, one, self.groups
            )
        new = System(self.data, system.weights, precision, system.spread)
        pull = new.prior * theta
        pull[:, :n] = 0
        start = np.where(new.kept, 0, -theta)
        return start + new.solve(-score - pull - new.product(start))

    @cached_property
    def groups(self) -> np.ndarray:
        return self.data.layout.groups


class System:
    """H = X' ω X + prior, with X the columns of the model minus their means.

    weights: ω, float64[n], the curvature of every row's loss by φ. spread: of the columns.
    precision: of the prior, float64[size], or float64[k, size] for k separate priors.
    kept: bool of that shape, parameters that the prior does not hold at 0 and that some row has.
    """

    def __init__(
        self,
        data: Data,
        weights: np.ndarray,
        precision: np.ndarray,
        spread: np.ndarray | None = None,
    ):
        self.data, self.design, self.weights = data, data.train.design, weights
        self.spread = data.layout.spread(self.design.additive) if spread is None else spread
        self.information = max(weights.sum(), 0.0) * self.spread
        self.kept = np.isfinite(precision) & (self.information > 0)
        self.prior = np.where(self.kept, precision, 0)

    def side(self, by_row: np.ndarray) -> np.ndarray:
        """X' by_row, float64[size] or of each of k."""
        return self.design.gradient(by_row - by_row.mean(axis=-1, keepdims=True))

    def product(self, theta: np.ndarray) -> np.ndarray:
        phi = self.design.phi(theta)
        centred = phi - phi.mean(axis=-1, keepdims=True)
        return self.side(centred * self.weights) + self.prior * theta

    def solve(self, side: np.ndarray) -> np.ndarray:
        """x with H x = side, or k of each, 0 where it is not kept."""
        if self.factor is not None:
            found = np.zeros_like(side)
            solved = cho_solve(self.factor, side[..., self.kept].T, check_finite=False)
            found[..., self.kept] = solved.T
            return found
        scale = np.sqrt(
            np.where(self.kept, 1 / np.maximum(self.information + self.prior, 1e-300), 0)
        )
        found = conjugate_gradients(
            lambda v: scale * self.product(scale * v), scale * side, np.zeros_like(side),
            *(LOOSELY if len(self.information) > DENSE else CLOSELY),
        )  # fmt: skip
        return scale * found

    @property
    def is_definite(self) -> bool:
        """Whether it is known to be positive definite; if weights sum to 0 nothing is kept."""
        try:
            return self.weights.sum() > 0 and self.factor is not None
        except LinAlgError:
            return False

    @cached_property
    def factor(self) -> tuple | None:
        """Cholesky factor, for additive maps that are not too large."""
        layout, rows, threads = self.data.layout, self.design.additive, self.design.threads
        if layout.size > min(layout.n_additive, DENSE):
            return None
        mean = rows.transposed(np.ones(rows.rows), threads) / rows.rows
        matrix = gram(layout, rows, threads, self.weights)
        weighted = np.outer(matrix.diagonal(), mean)
        matrix += self.weights.sum() * np.outer(mean, mean) - weighted - weighted.T
        matrix.flat[:: len(matrix) + 1] += self.prior
        return cho_factor(matrix[np.ix_(self.kept, self.kept)], check_finite=False)


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

    @cached_property
    def curvature_by_yhat(self) -> np.ndarray:
        """d² loss / dŷ², float64[n]; negative for rows treated as outliers."""
        high, low = (self._by_yhat(self.yhat + side * STEP) for side in (1, -1))
        return (high - low) / (2 * STEP)

    def curvature(self) -> np.ndarray:
        """d² loss / dφ², float64[n], without that of the nonlinearity, which is 0 on average."""
        return self.curvature_by_yhat * self.slope**2

    def positive(self) -> np.ndarray:
        """The same, each at least a LEAST fraction of its squared score; with the same sum."""
        above = np.maximum(self.curvature(), LEAST * self.by_phi**2)
        above += 1e-3 * above.mean()
        share = self.curvature().sum() / above.sum()
        return above * max(share, LEAST)

    def inflation(self, valid: "Rows") -> float:
        """By how much scores of training rows are too small, because the fit has seen them.

        As in the jackknife, the misfit of rows is taken to be what it would be without them in the
        fit: that of validation rows. With few groups, such as backgrounds of a design, validation
        rows are too variable to estimate it.
        """
        if valid.rows.groups < FEWEST:
            return 1.0
        return max(1.0, float(np.mean(valid.by_phi**2) / np.mean(self.by_phi**2)) ** 0.5)


class Curve:
    """Nonlinearity and noise about the fit: how they respond to weights and φ of their rows.

    scores: float64[n, k], derivatives of the loss of every row by these parameters. mixed:
    float64[n, k], of its derivative by φ. matrix: float64[k, k], their curvature.
    """

    def __init__(self, rows: Rows):
        size = len(rows.state.eta)
        bent, curvature = _jacobian(rows), rows.curvature_by_yhat
        scores, mixed, matrix = _noise(rows)
        self.scores = np.concatenate([bent * rows.by_yhat[:, None], scores], axis=1)
        both = np.concatenate([bent * curvature[:, None], mixed], axis=1)
        self.mixed = both * rows.slope[:, None]
        prior = np.diag(np.repeat([BENT, LOOSE], [size, len(matrix)]) ** -2.0)
        observed = prior.copy()
        observed[:size] += bent.T @ both
        observed[size:, :size] += mixed.T @ bent
        observed[size:, size:] += matrix
        self.matrix = at_least(observed, self.scores.T @ self.scores + prior)


def _jacobian(rows: Rows) -> np.ndarray:
    """dg/dη of every row, float64[n, size of η]."""
    eta = rows.state.eta
    points = ((eta + by, eta - by) for by in np.eye(len(eta)) * STEP)
    either = (tuple(rows.nonlinearity.at(eta, rows.phi).y for eta in both) for both in points)
    return np.stack([(high - low) / (2 * STEP) for high, low in either], axis=1)


def _noise(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Derivatives by the noise's parameters: of losses, of losses by ŷ, and of the sum's gradient.

    float64[n, k], float64[n, k] and float64[k, k].
    """
    noise, args, found = rows.state.noise, (rows.rows.y, rows.yhat, rows.rows.sigma), []
    for by in np.eye(len(noise)) * STEP:
        either = [(rows.noise.losses(at, *args), *rows.noise.loss(at, *args)[1:])
                  for at in (noise + by, noise - by)]  # fmt: skip
        found.append([(high - low) / (2 * STEP) for high, low in zip(*either, strict=True)])
    if not found:
        return np.empty((len(rows.phi), 0)), np.empty((len(rows.phi), 0)), np.empty((0, 0))
    scores, mixed, matrix = (np.stack(columns, axis=-1) for columns in zip(*found, strict=True))
    return scores, mixed, matrix


def at_least(matrix: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A symmetric matrix, at least a LEAST fraction of another, positive definite one.

    By chance a curvature can be nearly 0 in some direction, or negative.
    """
    values, vectors = np.linalg.eigh((other + other.T) / 2)
    root, back = vectors * np.sqrt(values) @ vectors.T, vectors / np.sqrt(values) @ vectors.T
    values, vectors = np.linalg.eigh(back @ (matrix + matrix.T) @ back / 2)
    vectors = root @ vectors
    return vectors * np.maximum(values, LEAST) @ vectors.T

"""Interactions: how strongly they are shrunk, and where they start.

There are often more interactions than rows, and most of them are 0. Those of a pair of positions
(set of mutations) share one prior, T ~ N(0, τ²). The first step is a group lasso (Yuan and Lin
2006), which is convex: it reaches the same φ from any start. About its solution τ² of each group is
estimated by empirical Bayes: the effects come from a mixture of normals of many variances,
including 0, whose weights are fitted (Stephens 2017). A factor on all the precisions is chosen on
validation rows. Interactions are solved for by conjugate gradients in the model linearised about
the current fit, which is a weighted ridge regression.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy import special

from .maps import Layout
from .noise import Empirical, Noise
from .nonlinearity import Nonlinearity
from .objective import Prior, Scored, State, mean_loss, phi_of
from .optimise import conjugate_gradients, lbfgs

# Strengths to try for one common prior, in units of the information on an interaction.
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# The strength from which the group lasso starts.
FIRST = 3.0
# Strengths of the group lasso, one after the other: at 1, groups within chance become 0.
LASSOS = (1.0, 0.7)
# Most ridge regressions in sequence, and the gain on validation rows, in nats per row, below which
# they end.
ROUNDS, WORTH = 12, 0.02
# Factors to try on the precisions of the mixture.
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
# Variances in the mixture, in units of the sampling variance, and steps that fit their weights.
VARIANCES = np.concatenate([[0.0], 2.0 ** np.arange(-3, 14)])
STEPS = 100
# Interactions shrunk below this fraction of their individual estimate are set to 0.
LEAST = 0.02
# Fewest validation rows for each parameter that is fitted to them.
FEWEST = 20
# Start of the noise's exponential tails, in standard deviations.
EDGE = 3.0
# Relative descent of the loss at which the fit of nonlinearity and noise to a φ has converged.
CALIBRATED = 2e-5
# The median of |z| of a normal z.
MEDIAN = 0.6745


@dataclass(frozen=True)
class Huber(Noise):
    """Normal noise with exponential tails: the noise model during the search for interactions.

    Under redescending tails, such as Student's, rows that an additive model misses would be treated
    as outliers, and their interactions would never be found. Real outliers have little weight.
    """

    kind: ClassVar[str] = "huber"

    def _rho(self, z, shape):
        near = np.clip(z, -EDGE, EDGE)
        total = np.sqrt(2 * np.pi) * special.erf(EDGE / np.sqrt(2))
        total += 2 / EDGE * np.exp(-(EDGE**2) / 2)
        return near * z - near**2 / 2 + np.log(total), near


@dataclass
class Data:
    """The input of every step: rows, models, and the layout of θ with interactions.

    line: mean of the prior of the nonlinearity's parameters.
    """

    layout: Layout
    train: Scored
    valid: Scored
    nonlinearity: Nonlinearity
    noise: Noise
    additive_precision: np.ndarray
    line: np.ndarray

    def loss(self, state: State) -> float:
        """Mean loss of validation rows."""
        return mean_loss(state, self.valid, self.nonlinearity, self.noise)

    def information(self, state: State) -> float:
        """Information of a row on its ŷ, in units of 1/s², estimated from validation rows."""
        yhat = self.nonlinearity.at(state.eta, phi_of(state, self.valid.design)).y
        return self.noise.information(state.noise, self.valid.y, yhat, self.valid.sigma)

    def standardised(self, state: State, theta: np.ndarray) -> State:
        """The state with θ, whose φ is centred on training rows; its scale is unchanged."""
        return replace(state, theta=theta, mean=float(self.train.design.phi(theta).mean()), sd=1.0)


@dataclass
class Chosen:
    """A state and the precision of its prior; inf where an interaction is 0.

    strength: the precision of all interactions or, if they are estimated, the factor on them.
    """

    state: State
    precision: np.ndarray
    loss: float
    strength: float
    estimated: bool = False


class Linearised:
    """The loss about a state as a weighted sum of squares: ½ Σ ω (φ − z)², φ minus its mean."""

    def __init__(self, data: Data, state: State):
        self.data, self.design = data, data.train.design
        phi = phi_of(state, self.design)
        curve = data.nonlinearity.at(state.eta, phi)
        yhat, slope = curve.y, curve.slope()
        args = (state.noise, data.train.y, yhat, data.train.sigma)
        scale = data.noise.scale(state.noise, yhat, data.train.sigma)
        weights = data.information(state) * (slope / scale) ** 2
        self.weights = np.maximum(weights, 1e-3 * weights.mean())
        self.target = phi - data.noise.loss(*args)[1] * slope / self.weights
        self.information = self.weights.sum() * data.layout.spread(self.design.additive)

    def solve(self, precision: np.ndarray, start: np.ndarray) -> np.ndarray:
        """θ that minimises sum of squares plus prior, by conjugate gradients from `start`."""
        kept = np.isfinite(precision) & (self.information + precision > 0)
        prior = np.where(kept, precision, 0)
        scale = np.where(kept, 1 / np.sqrt(np.where(kept, self.information + prior, 1)), 0)

        def product(v: np.ndarray) -> np.ndarray:
            theta = scale * v
            return scale * (self._side(self.design.phi(theta)) + prior * theta)

        from_start = np.divide(start, scale, out=np.zeros_like(start), where=kept)
        side = scale * self._side(self.target)
        return scale * conjugate_gradients(product, side, from_start, steps=15, tolerance=0.02)

    def _side(self, phi: np.ndarray) -> np.ndarray:
        weighted = (phi - phi.mean()) * self.weights
        return self.design.gradient(weighted - weighted.mean())

    def alone(self, theta: np.ndarray) -> np.ndarray:
        """Each parameter's estimate with the others fixed and no prior; 0 if no row has it."""
        step = self._side(self.target - self.design.phi(theta))
        seen = self.information > 0
        return np.where(seen, theta + step / np.where(seen, self.information, 1), 0)


def choose(data: Data, state: State, shrinkage: str, strength: float | None) -> Chosen:
    """`_choose` with noise without heavy tails; the returned state has the user's noise model.

    If there are many training rows per parameter, interactions have the prior of the additive
    effects, unless a strength is given, and stay at 0 to be fitted with all other parameters.
    """
    if enough(data, state) or len(data.train.y) > data.layout.size:
        # The nonlinearity is reset to linear and fitted again later: one fitted to the additive
        # model absorbs interactions.
        state = replace(state, eta=data.line)
    if strength is None and overdetermined(data, state):
        same = float(data.additive_precision[0])
        return Chosen(state, np.full(data.layout.size, same), data.loss(state), same)
    if isinstance(data.noise, Empirical):
        return _choose(data, calibrated(data, state), shrinkage, strength)
    plain = replace(data, noise=Huber(data.noise.order))
    chosen = _choose(plain, with_noise(plain, state), shrinkage, strength)
    state = with_noise(data, chosen.state)
    return replace(chosen, state=state, loss=data.loss(state))


def with_noise(data: Data, state: State) -> State:
    """The state with noise of the family of `data` in place of another family."""
    yhat = data.nonlinearity.at(state.eta, phi_of(state, data.valid.design)).y
    spread = float(np.median(np.abs(data.valid.y - yhat)) / MEDIAN)
    return calibrated(data, replace(state, noise=data.noise.start(max(spread, 1e-6))))


def _choose(data: Data, state: State, shrinkage: str, strength: float | None) -> Chosen:
    """A state with interactions, from one with additive effects only.

    shrinkage: "adaptive", one prior per group, or "ridge", one for all. strength: the precision of
    the common prior, or a factor on those of the groups; None: chosen by the validation loss.
    """
    n = data.layout.n_additive
    linear = Linearised(data, state)
    information = linear.information[n:]
    typical = float(np.median(information[information > 0])) if (information > 0).any() else 1.0

    def ridge(strength: float) -> Chosen:
        return _solved(data, linear, state, np.full(len(information), float(strength)), strength)

    if shrinkage == "ridge":
        tried = [ratio * typical for ratio in RIDGES] if strength is None else [strength]
        return _tuned(ridge, tried)
    found = ridge(FIRST * typical)
    for lasso in LASSOS:
        found = _lasso(data, found, lasso)
    return _adaptive(data, found, FACTORS if strength is None else [strength])


def _solved(
    data: Data, linear: "Linearised", state: State, each: np.ndarray, strength: float
) -> Chosen:
    """Interactions with these precisions, then nonlinearity and noise to match."""
    precision = np.concatenate([data.additive_precision, each])
    theta = linear.solve(precision, state.theta)
    found = data.standardised(state, theta)
    # φ of standard deviation 1 again, and the prior in its units.
    sd, n = float(phi_of(found, data.train.design).std()), data.layout.n_additive
    precision[n:] *= sd**2
    found = calibrated(data, replace(found, theta=found.theta / sd, mean=found.mean / sd))
    return Chosen(found, precision, data.loss(found), strength)


def _tuned(made: Callable[[float], Chosen], strengths: Sequence[float]) -> Chosen:
    """The result for the strength with the lowest loss, by a parabola through the three strengths
    about the lowest one tried, so that the choice does not jump between two similar ones.
    """
    tried = [made(strength) for strength in strengths]
    losses = [found.loss for found in tried]
    best = int(np.argmin(losses))
    if len(tried) < 3:
        return tried[best]
    at, first = np.log(strengths), int(np.clip(best - 1, 0, len(tried) - 3))
    three = slice(first, first + 3)
    square, linear, _ = np.polyfit(at[three], losses[three], 2)
    if square <= 0:
        return tried[best]
    return made(float(np.exp(np.clip(-linear / (2 * square), at[0], at[-1]))))


def _lasso(data: Data, found: Chosen, strength: float) -> Chosen:
    """Iterated ridge regressions that converge to the group lasso (Hunter and Li 2005).

    Its penalty is `strength` · information · |T| per interaction, |T| being the root mean square
    of its group in standard errors.
    """
    groups, n = data.layout.groups, data.layout.n_additive
    for _ in range(ROUNDS):
        before, linear = found, Linearised(data, found.state)
        information, theta = linear.information[n:], found.state.theta[n:]
        square = np.bincount(groups, information * theta**2) / np.maximum(
            np.bincount(groups, information > 0), 1
        )
        each = strength * information / np.sqrt(np.maximum(square, 1e-6))[groups]
        each[information == 0] = np.inf
        found = _solved(data, linear, found.state, each, strength)
        if found.loss > before.loss - WORTH:
            break
    return found


def _adaptive(data: Data, begin: Chosen, factors: Sequence[float]) -> Chosen:
    """Precisions from the mixture, estimated about a state, times the best of some factors."""
    linear, n = Linearised(data, begin.state), data.layout.n_additive
    information, alone = linear.information[n:], linear.alone(begin.state.theta)[n:]
    seen = information > 0
    # Sampling noise, estimated from the median interaction, is at most that of the noise model.
    z = np.abs(alone[seen]) * np.sqrt(information[seen])
    chance = min(1.0, (float(np.median(z)) / MEDIAN) ** 2) if seen.any() else 1.0
    each = precisions(information / max(chance, 1e-6), alone, data.layout.groups)
    found = _tuned(
        lambda factor: _solved(data, linear, begin.state, factor * each, factor), factors
    )
    return replace(found, estimated=True)


def precisions(information: np.ndarray, alone: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The precision of every interaction's prior, from their individual estimates; or inf.

    It shrinks each estimate as the posterior mean under the mixture does. information: the inverse
    of the sampling variance of each.
    """
    size, total = np.bincount(groups, information > 0), np.bincount(groups, information * alone**2)
    log = total[:, None] * (VARIANCES / (1 + VARIANCES)) - size[:, None] * np.log1p(VARIANCES)
    likelihood = np.exp((log - log.max(axis=1, keepdims=True)) / 2)
    posterior = likelihood * _weights(likelihood[size > 0])
    posterior /= posterior.sum(axis=1, keepdims=True)
    share = (posterior @ (VARIANCES / (1 + VARIANCES)))[groups]
    kept = (share >= LEAST) & (information > 0)
    return np.where(kept, information * (1 / np.maximum(share, LEAST) - 1), np.inf)


def _weights(likelihood: np.ndarray) -> np.ndarray:
    """Weights of a mixture by EM; likelihood: float64[observations, components]."""
    weights = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(STEPS if len(likelihood) else 0):
        weights *= (1 / (likelihood @ weights)) @ likelihood / len(likelihood)
    return weights


def enough(data: Data, state: State) -> bool:
    """Whether there are enough validation rows to fit nonlinearity and noise to."""
    return data.valid.groups >= FEWEST * (len(state.eta) + len(state.noise))


def overdetermined(data: Data, state: State) -> bool:
    """Whether there are enough training rows to fit nonlinearity and noise to these."""
    size = data.layout.size + len(state.eta) + len(state.noise)
    return data.train.groups >= FEWEST * size


def on_valid(data: Data, state: State) -> bool:
    """Whether nonlinearity and noise of a fit with interactions are fitted to validation rows."""
    return enough(data, state) and not overdetermined(data, state)


def calibrated(data: Data, state: State) -> State:
    """Nonlinearity and noise fitted to validation rows, with φ unchanged.

    Training rows are too close to a φ with many parameters: the noise would seem too small, and the
    nonlinearity too steep. If there are few validation rows, training rows are used if there are
    many per parameter; otherwise the state is returned unchanged.
    """
    size, start = len(state.eta), np.concatenate([state.eta, state.noise])
    rows = data.valid if enough(data, state) else data.train
    if rows is data.train and len(rows.y) < FEWEST * (data.layout.size + len(start)):
        return state
    phi, prior = phi_of(state, rows.design), Prior(data.line, state.noise)

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        eta, noise = np.split(point, [size])
        curve = data.nonlinearity.at(eta, phi)
        value, by_yhat, by_noise = data.noise.loss(noise, rows.y, curve.y, rows.sigma)
        away, pull = prior.loss(eta, noise)
        gradient = np.concatenate([curve.transposed(by_yhat), by_noise]) + pull
        return (value + away) / len(phi), gradient / len(phi)

    point = lbfgs(loss, start, lambda _: 0.0, steps=100, patience=100, tolerance=CALIBRATED).point
    return replace(state, eta=point[:size], noise=point[size:])

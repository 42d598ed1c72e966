"""Interactions: how strongly they are shrunk, and where they start.

There are often more interactions than rows, and most of them are nothing. So each pair of
positions (set of mutations) has a prior of its own: T ~ N(0, τ²), with τ² estimated from what
the data say of this pair (empirical Bayes), 0 where that is not clearly more than chance. How
clear it must be is chosen on validation rows. Then the interactions are solved for by conjugate
gradients in the model made linear about the fit so far, which is a weighted ridge regression,
and all of it is done again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy import special

from .maps import Layout
from .noise import Empirical, Noise
from .nonlinearity import Nonlinearity
from .objective import Prior, Scored, State, mean_loss, phi_of
from .optimise import conjugate_gradients, lbfgs

# Strengths of one prior for all that are tried, in what the data tell of an interaction.
RIDGES = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
# How many times what chance gives an interaction must be to be kept, at least.
THRESHOLDS = (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
# How often the precision of the prior is doubled or halved in a round.
DOUBLINGS = 3
ROUNDS = 6
# The least variance of an interaction that is kept, in what chance gives.
LEAST = 0.1
# A fall of the validation loss, in nats a row, that is worth another round.
WORTH = 1e-3
# Fewest validation rows for each parameter that is fitted to them.
FEWEST = 20
# Where the tails of the noise begin, in standard deviations.
EDGE = 3.0
# The fall of the loss, as a share of it, at which nonlinearity and noise are fitted to a φ.
CALIBRATED = 2e-5
# The median of |z| of a normal z.
MEDIAN = 0.6745


@dataclass(frozen=True)
class Huber(Noise):
    """Normal noise with exponential tails: the noise model while interactions are looked for.

    Under heavy tails that bend back, such as Student's, rows that an additive model misses would
    pass for outliers, and their interactions would never be seen. Real ones count for little.
    """

    kind: ClassVar[str] = "huber"

    def _rho(self, z, shape):
        near = np.clip(z, -EDGE, EDGE)
        total = np.sqrt(2 * np.pi) * special.erf(EDGE / np.sqrt(2))
        total += 2 / EDGE * np.exp(-(EDGE**2) / 2)
        return near * z - near**2 / 2 + np.log(total), near


@dataclass
class Data:
    """What every step needs: rows, models, and the layout of θ with interactions.

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
        """What a row tells of its ŷ, in units of 1/s²: told by validation rows."""
        yhat = self.nonlinearity.at(state.eta, phi_of(state, self.valid.design)).y
        return self.noise.information(state.noise, self.valid.y, yhat, self.valid.sigma)

    def standardised(self, state: State, theta: np.ndarray) -> State:
        """The state with θ, whose φ is centred on training rows; its scale is left as it is."""
        return replace(state, theta=theta, mean=float(self.train.design.phi(theta).mean()), sd=1.0)


@dataclass
class Chosen:
    """A state and the precision of its prior; inf where an interaction is 0.

    threshold: what an interaction's evidence had to exceed, where each has a precision of its own.
    """

    state: State
    precision: np.ndarray
    loss: float
    strength: float
    threshold: float | None = None


class Linearised:
    """The loss about a state as a weighted sum of squares: ½ Σ ω (φ − z)², φ less its mean."""

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
        self.told = self.weights.sum() * data.layout.spread(self.design.additive)

    def solve(self, precision: np.ndarray, start: np.ndarray) -> np.ndarray:
        """θ of the least sum of squares and prior, by conjugate gradients from `start`."""
        kept = np.isfinite(precision) & (self.told + precision > 0)
        prior = np.where(kept, precision, 0)
        scale = np.where(kept, 1 / np.sqrt(np.where(kept, self.told + prior, 1)), 0)

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
        """What each parameter would be with the others fixed and no prior; 0 where not seen."""
        step = self._side(self.target - self.design.phi(theta))
        seen = self.told > 0
        return np.where(seen, theta + step / np.where(seen, self.told, 1), 0)


def choose(data: Data, state: State, shrinkage: str, strength: float | None) -> Chosen:
    """`_choose`, with noise whose tails are not heavy; the state given back has the right noise."""
    if isinstance(data.noise, Empirical):
        return _choose(data, state, shrinkage, strength)
    plain = replace(data, noise=Huber(data.noise.order))
    chosen = _choose(plain, with_noise(plain, state), shrinkage, strength)
    state = with_noise(data, chosen.state)
    return replace(chosen, state=state, loss=data.loss(state))


def with_noise(data: Data, state: State) -> State:
    """A state whose noise is of another family than that of `data`, with noise of this one."""
    yhat = data.nonlinearity.at(state.eta, phi_of(state, data.valid.design)).y
    spread = float(np.median(np.abs(data.valid.y - yhat)) / MEDIAN)
    return calibrated(data, replace(state, noise=data.noise.start(max(spread, 1e-6))))


def _choose(data: Data, state: State, shrinkage: str, strength: float | None) -> Chosen:
    """A state with interactions, from one that has only additive effects or interactions already.

    shrinkage: "adaptive", priors of their own, or "ridge", one for all. strength: the precision of
    the one prior, or a factor on that of their own; None: chosen by the loss of validation rows.
    """
    n, fresh = data.layout.n_additive, not state.theta[data.layout.n_additive :].any()
    nothing = np.concatenate([data.additive_precision, np.full(data.layout.size - n, np.inf)])
    best = Chosen(state, nothing, data.loss(state), np.inf)
    if shrinkage == "ridge":
        return recalibrated(data, _ridge(data, best, strength))
    if fresh:
        first = _ridge(data, best, None)
        # Behind a curve that bends, φ with interactions may be better only on a curve of its own.
        best = (
            _ridge(data, best, None, recalibrated) if first is best else recalibrated(data, first)
        )
    for turn in range(ROUNDS):
        found = _adaptive(data, best, 1.0 if strength is None else strength)
        found = recalibrated(data, _scaled(data, found) if strength is None else found)
        kept = found.loss < best.loss or (turn == 0 and not fresh)
        worth = found.loss < best.loss - WORTH
        best = found if kept else best
        if not worth:
            break
    return best


def recalibrated(data: Data, chosen: Chosen) -> Chosen:
    """φ of standard deviation 1 again, the prior in its units, nonlinearity and noise to match."""
    state, n = chosen.state, data.layout.n_additive
    sd = float(phi_of(state, data.train.design).std())
    unit = replace(state, theta=state.theta / sd, mean=state.mean / sd)
    precision = np.concatenate([data.additive_precision, chosen.precision[n:] * sd**2])
    state = calibrated(data, unit)
    return Chosen(state, precision, data.loss(state), chosen.strength, chosen.threshold)


def _ridge(
    data: Data,
    begin: Chosen,
    strength: float | None,
    made: Callable[[Data, Chosen], Chosen] = lambda _, found: found,
) -> Chosen:
    """One precision for all interactions: the one given, or the best of some as `made` of them."""
    linear, n = Linearised(data, begin.state), data.layout.n_additive
    told = linear.told[n:]
    typical = float(np.median(told[told > 0])) if (told > 0).any() else 1.0
    tried = [ratio * typical for ratio in RIDGES] if strength is None else [strength]
    best, theta, losses = begin if strength is None else None, begin.state.theta, []
    for one in tried:
        precision = np.concatenate([data.additive_precision, np.full(len(told), one)])
        theta = linear.solve(precision, theta)
        state = data.standardised(begin.state, theta)
        found = made(data, Chosen(state, precision, data.loss(state), one))
        best = found if best is None or found.loss < best.loss else best
        losses.append(found.loss)
        if len(losses) > 2 and losses[-3] < losses[-2] < losses[-1]:
            break
    return best


def _adaptive(data: Data, begin: Chosen, factor: float) -> Chosen:
    """Precisions of their own, estimated about a state; the threshold is the best of some."""
    linear, n = Linearised(data, begin.state), data.layout.n_additive
    told, alone = linear.told[n:], linear.alone(begin.state.theta)[n:]
    groups, best = data.layout.groups, None
    for threshold in THRESHOLDS:
        own = factor * precisions(told, alone, groups, threshold)
        precision = np.concatenate([data.additive_precision, own])
        state = data.standardised(begin.state, linear.solve(precision, begin.state.theta))
        found = Chosen(state, precision, data.loss(state), factor, threshold)
        if best is not None and found.loss > best.loss + WORTH:
            break
        best = found if best is None or found.loss < best.loss else best
    return best


def _scaled(data: Data, begin: Chosen) -> Chosen:
    """The same precisions, doubled or halved while that is better."""
    linear, n, best = Linearised(data, begin.state), data.layout.n_additive, begin
    for factor in (2.0, 0.5):
        for _ in range(DOUBLINGS):
            precision = best.precision.copy()
            precision[n:] *= factor
            state = data.standardised(begin.state, linear.solve(precision, best.state.theta))
            found = replace(best, state=state, precision=precision, loss=data.loss(state),
                            strength=factor * best.strength)  # fmt: skip
            if found.loss > best.loss:
                break
            best = found
        if best is not begin:
            break
    return best


def precisions(
    told: np.ndarray, alone: np.ndarray, groups: np.ndarray, threshold: float
) -> np.ndarray:
    """The precision of every interaction's prior, from what those of its group are alone; or inf.

    Chance is what most interactions show where they are nothing, but no more than the noise.
    """
    seen = told > 0
    z = alone * np.sqrt(told)
    chance = min(1.0, float(np.median(np.abs(z[seen])) / MEDIAN) ** 2) if seen.any() else 1.0
    mean = np.bincount(groups, z * z) / np.maximum(np.bincount(groups, seen), 1)
    variance = np.divide(chance, told, out=np.zeros_like(told), where=seen)
    excess = (mean / max(chance, 1e-300))[groups] * seen
    tau = np.where(excess > threshold, np.maximum(excess - 1, LEAST) * variance, 0)
    return np.divide(1, tau, out=np.full(len(tau), np.inf), where=tau > 0)


def enough(data: Data, state: State) -> bool:
    """Whether there are validation rows enough to fit nonlinearity and noise to."""
    return data.valid.groups >= FEWEST * (len(state.eta) + len(state.noise))


def overdetermined(data: Data, state: State) -> bool:
    """Whether training rows are so many that nonlinearity and noise are best fitted to them."""
    size = data.layout.size + len(state.eta) + len(state.noise)
    return data.train.groups >= FEWEST * size


def on_valid(data: Data, state: State) -> bool:
    """Whether nonlinearity and noise of a fit with interactions are those of validation rows."""
    return enough(data, state) and not overdetermined(data, state)


def calibrated(data: Data, state: State) -> State:
    """Nonlinearity and noise fitted to validation rows, with φ as it is.

    Training rows lie too close to a φ of so many parameters: the noise would seem too small, and
    the nonlinearity too steep. Where validation rows are few, training rows if there are many to a
    parameter; else the state as it is.
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

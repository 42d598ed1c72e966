"""Minimisers for objectives that give values and gradients, and solvers that need products only."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import OptimizeResult, minimize

# Steps that L-BFGS remembers, and points that it tries per step. SciPy's own criteria of
# convergence are off: those of `lbfgs` are used instead.
OPTIONS = {"maxcor": 12, "maxls": 20, "ftol": 0, "gtol": 0, "maxfun": 10**9}
# Consecutive steps with little descent after which a fit has converged.
STILL = 3


@dataclass
class Found:
    """The best point, and how it was reached.

    score: of the point. steps: of the complete run. why: what ended it, "converged", "validation"
    (the score no longer falls), "steps" (the limit) or "no descent". history: value and score by
    step.
    """

    point: np.ndarray
    value: float
    score: float
    steps: int
    why: str
    history: list[tuple[float, float]] = field(default_factory=list)


def lbfgs(
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    score: Callable[[np.ndarray], float],
    steps: int = 500,
    patience: int = 20,
    tolerance: float = 1e-7,
    slack: float = 0.0,
) -> Found:
    """Minimise by L-BFGS, and return the point with the lowest score.

    The minimiser is scipy's L-BFGS-B without bounds (Liu and Nocedal 1989, Morales and Nocedal
    2011).

    objective: value and gradient, which must be finite. score: what selects the point, such as the
    loss of validation rows. The run ends when the score has been above its lowest value for
    `patience` steps, or when the value fell by less than the fraction `tolerance` in each of STILL
    steps. Scores within `slack` of the lowest count as equal, and of equal points the last is
    returned: it is nearest to the minimum, from any start.
    """
    watch = _Watch(score, patience, tolerance, slack, start, float(objective(start)[0]))
    options = OPTIONS | {"maxiter": steps}
    minimize(objective, start, jac=True, method="L-BFGS-B", callback=watch, options=options)
    found = watch.best
    if not found.why:
        found.why = "steps" if found.steps == steps else "no descent"
    return found


class _Watch:
    """Follows a minimiser: keeps the best point, and stops when no better one is expected."""

    def __init__(self, score, patience, tolerance, slack, start: np.ndarray, value: float):
        self.score, self.patience, self.tolerance, self.slack = score, patience, tolerance, slack
        self.lowest = score(start)
        self.best = Found(start, value, self.lowest, 0, "", [(value, self.lowest)])
        self.still = self.last = 0

    def __call__(self, intermediate_result: OptimizeResult) -> None:
        best, point, value = self.best, intermediate_result.x.copy(), intermediate_result.fun
        before, at = best.history[-1][0], self.score(point)
        best.steps += 1
        best.history.append((float(value), at))
        self.lowest = min(self.lowest, at)
        if at <= self.lowest + self.slack:
            best.point, best.value, best.score, self.last = point, float(value), at, best.steps
        fell = before - value >= self.tolerance * max(1.0, abs(before))
        self.still = 0 if fell else self.still + 1
        if self.still >= STILL or best.steps - self.last >= self.patience:
            best.why = "converged" if self.still >= STILL else "validation"
            raise StopIteration


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    target: np.ndarray,
    start: np.ndarray,
    steps: int = 30,
    tolerance: float = 1e-2,
) -> np.ndarray:
    """Solve product(x) = target, to `tolerance` of the target's norm, in at most `steps` steps.

    product: a symmetric, positive definite matrix times a vector. Or k systems side by side: then
    x, target and start are [k, size], each x is solved for independently, and products are of all
    k.
    """
    x = start.copy()
    residual = target - product(x) if x.any() else target.copy()
    direction, size = residual.copy(), _dot(residual, residual)
    enough = tolerance**2 * _dot(target, target)
    for _ in range(steps):
        going = size > enough
        if not going.any():
            break
        image = product(direction)
        share = np.where(going, size, 0) / np.where(going, _dot(direction, image), 1)
        x += share * direction
        residual -= share * image
        size, before = _dot(residual, residual), size
        direction *= np.where(going, size / np.where(going, before, 1), 0)
        direction += residual
    return x


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Dot products along the last axis, which becomes an axis of 1."""
    return np.vecdot(one, other)[..., None]

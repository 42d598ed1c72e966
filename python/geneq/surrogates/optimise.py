"""Minimisers for objectives of which only values and gradients, or products, are to be had."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

# Conditions of Wolfe on a step, and steps that are tried at most.
DESCENT, BENT, TRIES = 1e-4, 0.9, 20
# Steps that are remembered.
MEMORY = 12


@dataclass
class Found:
    """The best point, and what led there."""

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
    """Minimise by the method of Liu and Nocedal (1989); give the point whose score is the lowest.

    objective: value and gradient. score: what decides, such as the loss on validation rows. It ends
    when the score has been above its lowest for `patience` steps, or when the value fell by less
    than `tolerance`, as a share of it, in each of 3. Scores that differ by less than `slack` are
    alike, and of points alike the last is given: it is nearest to the minimum, from any start.
    """
    point = start
    value, gradient = objective(point)
    best = Found(point, value, score(point), 0, "steps")
    best.history.append((float(value), best.score))
    pairs: deque = deque(maxlen=MEMORY)
    still = last = 0
    lowest = best.score
    for step in range(1, steps + 1):
        direction = -_scaled(gradient, pairs)
        if direction @ gradient >= 0:
            pairs.clear()
            direction = -gradient
        length = 1.0 if pairs else min(1.0, 1 / np.abs(gradient).sum())
        found = _line(objective, point, value, gradient, direction, length)
        if found is None:
            best.why = "no descent"
            break
        moved, new_value, new_gradient = found
        difference, change = moved - point, new_gradient - gradient
        if difference @ change > 1e-12 * (change @ change):
            pairs.append((difference, change, 1 / (difference @ change)))
        still = still + 1 if value - new_value < tolerance * max(1.0, abs(value)) else 0
        point, value, gradient = moved, new_value, new_gradient
        at = score(point)
        best.history.append((float(value), at))
        lowest = min(lowest, at)
        if at <= lowest + slack:
            best.point, best.value, best.score, last = point, value, at, step
        best.steps = step
        if still >= 3 or step - last >= patience:
            best.why = "converged" if still >= 3 else "validation"
            break
    return best


def _scaled(gradient: np.ndarray, pairs: deque) -> np.ndarray:
    """The inverse of the remembered curvature times the gradient."""
    result, shares = gradient.copy(), []
    for difference, change, inverse in reversed(pairs):
        share = inverse * (difference @ result)
        result -= share * change
        shares.append(share)
    if pairs:
        _, change, inverse = pairs[-1]
        result /= inverse * (change @ change)
    for (difference, change, inverse), share in zip(pairs, reversed(shares), strict=True):
        result += (share - inverse * (change @ result)) * difference
    return result


def _line(objective, point, value, gradient, direction, length):
    """A step that meets the weak conditions of Wolfe, found by bisection; None if there is none."""
    slope, low, high, lower = gradient @ direction, 0.0, np.inf, None
    for _ in range(TRIES):
        there = point + length * direction
        new_value, new_gradient = objective(there)
        if not new_value <= value + DESCENT * length * slope:
            high = length
        elif new_gradient @ direction < BENT * slope:
            low, lower = length, (there, new_value, new_gradient)
        else:
            return there, new_value, new_gradient
        length = 2 * low if np.isinf(high) else (low + high) / 2
    return lower


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    target: np.ndarray,
    start: np.ndarray,
    steps: int = 30,
    tolerance: float = 1e-2,
) -> np.ndarray:
    """x with product(x) = target, to `tolerance` of the target's length, in at most so many steps.

    product: a symmetric, positive definite matrix times a vector. Or many times many: then x,
    target and start are [k, size], each x is solved for by itself, and products are of all k.
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
    """Of vectors, or of each with its own; with an axis of 1 in place of theirs."""
    return np.vecdot(one, other)[..., None]

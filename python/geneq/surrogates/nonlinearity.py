"""Global-epistasis nonlinearities: monotone functions from the latent phenotype φ to ŷ.

Parameters are one unconstrained vector η; slopes are exponentials of parameters, so that every η
gives an increasing function and no bounds are needed.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

# Range of φ, which has standard deviation 1 on training rows.
REACH = 4.0


class Curve(NamedTuple):
    """A nonlinearity at the φ of some rows.

    y: ŷ, float64[n]. slope: returns dŷ/dφ, float64[n]. transposed: for weights float64[n] returns
    Σ weights · dŷ/dη over rows, as long as η.
    """

    y: np.ndarray
    slope: Callable[[], np.ndarray]
    transposed: Callable[[np.ndarray], np.ndarray]


class Nonlinearity(Protocol):
    """ŷ = g(φ; η)."""

    kind: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def start(self, slope: float) -> np.ndarray:
        """η of approximately the line slope · φ, for φ of standard deviation 1."""

    def at(self, eta: np.ndarray, phi: np.ndarray) -> Curve:
        """g at φ, float64[n]."""


@dataclass(frozen=True)
class Linear:
    """g = intercept + exp(·) φ."""

    kind: ClassVar[str] = "linear"

    def start(self, slope: float) -> np.ndarray:
        return np.array([0.0, np.log(slope)])

    def at(self, eta, phi):
        slope = np.exp(eta[1])
        return Curve(
            eta[0] + slope * phi,
            lambda: np.full_like(phi, slope),
            lambda weights: np.array([weights.sum(), slope * (weights @ phi)]),
        )


@dataclass(frozen=True)
class Tanh:
    """g = intercept + Σ exp(·) tanh(exp(·) φ + ·), a sum of `terms` terms."""

    terms: int = 8
    kind: ClassVar[str] = "tanh"

    def start(self, slope: float) -> np.ndarray:
        """Steps evenly spaced over the range of φ."""
        spacing = 6.0 / self.terms
        places = (np.arange(self.terms) + 0.5) * spacing - 3.0
        steep = min(1.0, 1 / spacing)
        height = slope * spacing / 2
        ones = np.ones(self.terms)
        return np.concatenate([[0.0], np.log(height) * ones, np.log(steep) * ones, -steep * places])

    def at(self, eta, phi):
        height, steep, shift = eta[1:].reshape(3, self.terms)
        height, steep = np.exp(height), np.exp(steep)
        bent = np.tanh(np.multiply.outer(steep, phi) + shift[:, None])

        def transposed(weights: np.ndarray) -> np.ndarray:
            flat = 1 - bent * bent
            by_steep, by_shift = steep * (flat @ (weights * phi)), flat @ weights
            by_terms = [height * (bent @ weights), height * by_steep, height * by_shift]
            return np.concatenate([[weights.sum()], *by_terms])

        y = eta[0] + height @ bent
        return Curve(y, lambda: (height * steep) @ (1 - bent * bent), transposed)


@dataclass(frozen=True)
class Sigmoid(Tanh):
    """g = intercept + exp(·) tanh(exp(·) φ + ·): a logistic curve between two plateaus."""

    terms: int = 1
    kind: ClassVar[str] = "sigmoid"

    def start(self, slope: float) -> np.ndarray:
        return np.array([0.0, np.log(3 * slope), np.log(1 / 3), 0.0])


@dataclass(frozen=True)
class Spline:
    """A cubic spline, increasing, on `pieces` equal pieces of [−4, 4], and linear beyond."""

    pieces: int = 16
    kind: ClassVar[str] = "spline"

    @cached_property
    def _width(self) -> float:
        return 2 * REACH / self.pieces

    def start(self, slope: float) -> np.ndarray:
        steps = np.full(self.pieces + 2, np.log(slope * self._width))
        return np.concatenate([[0.0], steps])

    def _coefficients(self, eta: np.ndarray) -> np.ndarray:
        """float64[pieces + 3], increasing; the middle one is η[0]."""
        coefficients = np.concatenate([[0.0], np.cumsum(np.exp(eta[1:]))])
        return eta[0] + coefficients - coefficients[len(coefficients) // 2]

    def _basis(self, phi):
        """Piece, the four basis functions there, and their derivatives, each float64[4, n]."""
        inside = np.clip(phi, -REACH, REACH)
        place = (inside + REACH) / self._width
        piece = np.minimum(place.astype(np.int64), self.pieces - 1)
        t = place - piece
        s, t2 = 1 - t, t * t
        t3 = t2 * t
        basis = np.stack([s**3, 3 * t3 - 6 * t2 + 4, -3 * t3 + 3 * t2 + 3 * t + 1, t3]) / 6
        slope = np.stack([-s * s, 3 * t2 - 4 * t, -3 * t2 + 2 * t + 1, t2]) / (2 * self._width)
        return piece, basis + slope * (phi - inside), slope

    def at(self, eta, phi):
        piece, basis, slope = self._basis(phi)
        near = self._coefficients(eta)[piece + np.arange(4)[:, None]]

        def transposed(weights: np.ndarray) -> np.ndarray:
            size = self.pieces + 3
            counts = [np.bincount(piece + k, weights * basis[k], minlength=size) for k in range(4)]
            by_coefficient = np.sum(counts, axis=0)
            # A step is in every later coefficient; those up to the middle are in all, negated.
            above = np.cumsum(by_coefficient[::-1])[::-1]
            middle = np.arange(1, size) <= size // 2
            steps = above[1:] - above[0] * middle
            return np.concatenate([[above[0]], np.exp(eta[1:]) * steps])

        y = np.einsum("kn,kn->n", basis, near)
        return Curve(y, lambda: np.einsum("kn,kn->n", slope, near), transposed)


KINDS: dict[str, type] = {kind.kind: kind for kind in (Linear, Tanh, Spline, Sigmoid)}


def to_dict(nonlinearity: Nonlinearity) -> dict:
    """Kind and fields, for JSON."""
    return {"kind": nonlinearity.kind, **asdict(nonlinearity)}

"""Global-epistasis nonlinearities: from the latent phenotype φ to the prediction ŷ, always rising.

Parameters are one vector η of any real numbers; steepness goes through exp, so that every η gives a
rising function and no bound has to be kept.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import numpy as np

# φ has standard deviation 1 on training rows, so that nearly all of it lies within so many.
REACH = 4.0


class Nonlinearity(Protocol):
    """ŷ = g(φ; η)."""

    kind: ClassVar[str]

    def start(self, slope: float) -> np.ndarray:
        """η of about the line slope · φ, for φ of standard deviation 1."""

    def values(self, eta: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """g and dg/dφ, float64[n]."""

    def transposed(self, eta: np.ndarray, phi: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Σ weights · dg/dη over rows, as long as η."""


@dataclass(frozen=True)
class Linear:
    """g = intercept + exp(·) φ."""

    kind: ClassVar[str] = "linear"

    def start(self, slope: float) -> np.ndarray:
        return np.array([0.0, np.log(slope)])

    def values(self, eta, phi):
        slope = np.exp(eta[1])
        return eta[0] + slope * phi, np.full_like(phi, slope)

    def transposed(self, eta, phi, weights):
        return np.array([weights.sum(), np.exp(eta[1]) * (weights @ phi)])


@dataclass(frozen=True)
class Tanh:
    """g = intercept + Σ exp(·) tanh(exp(·) φ + ·), a sum of so many `terms`."""

    terms: int = 8
    kind: ClassVar[str] = "tanh"

    def start(self, slope: float) -> np.ndarray:
        """Steps side by side over the range of φ."""
        spacing = 6.0 / self.terms
        places = (np.arange(self.terms) + 0.5) * spacing - 3.0
        steep = min(1.0, 1 / spacing)
        height = slope * spacing / 2
        ones = np.ones(self.terms)
        return np.concatenate([[0.0], np.log(height) * ones, np.log(steep) * ones, -steep * places])

    def _parts(self, eta, phi):
        height, steep, shift = eta[1:].reshape(3, self.terms)
        height, steep = np.exp(height), np.exp(steep)
        return height, steep, np.tanh(np.multiply.outer(steep, phi) + shift[:, None])

    def values(self, eta, phi):
        height, steep, bent = self._parts(eta, phi)
        return eta[0] + height @ bent, (height * steep) @ (1 - bent * bent)

    def transposed(self, eta, phi, weights):
        height, steep, bent = self._parts(eta, phi)
        flat = 1 - bent * bent
        by_phi = flat @ (weights * phi)
        return np.concatenate(
            [
                [weights.sum()],
                height * (bent @ weights),
                height * steep * by_phi,
                height * (flat @ weights),
            ]
        )


@dataclass(frozen=True)
class Sigmoid(Tanh):
    """g = intercept + exp(·) tanh(exp(·) φ + ·): a logistic curve between two plateaus."""

    terms: int = 1
    kind: ClassVar[str] = "sigmoid"

    def start(self, slope: float) -> np.ndarray:
        return np.array([0.0, np.log(3 * slope), np.log(1 / 3), 0.0])


@dataclass(frozen=True)
class Spline:
    """A cubic spline of rising coefficients on `pieces` equal pieces of [−4, 4], lines beyond."""

    pieces: int = 16
    kind: ClassVar[str] = "spline"

    @cached_property
    def _width(self) -> float:
        return 2 * REACH / self.pieces

    def start(self, slope: float) -> np.ndarray:
        steps = np.full(self.pieces + 2, np.log(slope * self._width))
        return np.concatenate([[0.0], steps])

    def _coefficients(self, eta: np.ndarray) -> np.ndarray:
        """float64[pieces + 3], rising; the middle one is η[0]."""
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

    def values(self, eta, phi):
        piece, basis, slope = self._basis(phi)
        near = self._coefficients(eta)[piece + np.arange(4)[:, None]]
        return np.einsum("kn,kn->n", basis, near), np.einsum("kn,kn->n", slope, near)

    def transposed(self, eta, phi, weights):
        piece, basis, _ = self._basis(phi)
        size = self.pieces + 3
        by_coefficient = sum(
            np.bincount(piece + k, weights * basis[k], minlength=size) for k in range(4)
        )
        # Every later coefficient holds a step; all hold those up to the middle, with a minus.
        above = np.cumsum(by_coefficient[::-1])[::-1]
        middle = np.arange(1, size) <= size // 2
        steps = above[1:] - above[0] * middle
        return np.concatenate([[above[0]], np.exp(eta[1:]) * steps])


KINDS: dict[str, type] = {kind.kind: kind for kind in (Linear, Tanh, Spline, Sigmoid)}


def to_dict(nonlinearity: Nonlinearity) -> dict:
    """Kind and fields, as JSON takes them."""
    return {"kind": nonlinearity.kind, **asdict(nonlinearity)}

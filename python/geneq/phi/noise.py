"""Noise models: how measurements scatter about the prediction ŷ.

The density of y is that of z = (y − ŷ) / s, with log s a polynomial in ŷ. Parameters are one
vector: the polynomial's coefficients, then what the family has of its own (of any real value:
through exp). ŷ is the mode of every family. What is minimised is the negative log-likelihood,
in nats.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from scipy import special, stats

LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Noise:
    """A family of noise; `order` is that of the polynomial for the log of its scale."""

    order: int = 0
    kind: ClassVar[str]
    shapes: ClassVar[tuple[float, ...]] = ()

    # --- what a family gives ------------------------------------------------------------------

    def _shape(self, shape: np.ndarray) -> tuple[float, ...]:
        """What `_rho` takes of the shape parameters."""
        return tuple(np.exp(shape))

    def _rho(self, z: np.ndarray, shape: tuple) -> tuple[np.ndarray, np.ndarray]:
        """−log density of z, and its derivative."""
        raise NotImplementedError

    def _rho_shape(self, z: np.ndarray, shape: tuple, slope: np.ndarray) -> np.ndarray:
        """Sums over rows of the derivatives of −log density by the shape parameters."""
        return np.empty(0)

    def _cdf(self, z: np.ndarray, shape: tuple) -> np.ndarray:
        """The chance of less than z."""
        raise NotImplementedError

    def _ppf(self, q: np.ndarray, shape: tuple) -> np.ndarray:
        """z below which lies a share q."""
        raise NotImplementedError

    # --- all of them --------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Parameters there are."""
        return self.order + 1 + len(self.shapes)

    def start(self, spread: float) -> np.ndarray:
        """Parameters for residuals of this standard deviation."""
        return np.concatenate([[np.log(spread)], np.zeros(self.order), self.shapes])

    def _split(self, params):
        return params[: self.order + 1], self._shape(params[self.order + 1 :])

    def scale(self, params: np.ndarray, yhat: np.ndarray, sigma=None) -> np.ndarray:
        """s for every prediction, float64[n]."""
        return np.exp(np.polynomial.polynomial.polyval(yhat, params[: self.order + 1]))

    def losses(self, params, y, yhat, sigma=None) -> np.ndarray:
        """−log density of every y, float64[n], in nats."""
        _, shape = self._split(params)
        s = self.scale(params, yhat, sigma)
        return self._rho((y - yhat) / s, shape)[0] + np.log(s)

    def loss(self, params, y, yhat, sigma=None) -> tuple[float, np.ndarray, np.ndarray]:
        """−log-likelihood summed over rows, its derivative by ŷ, float64[n], and by parameters."""
        poly, shape = self._split(params)
        s = self.scale(params, yhat, sigma)
        z = (y - yhat) / s
        rho, slope = self._rho(z, shape)
        by_log = 1 - z * slope
        by_yhat = -slope / s
        if self.order:
            derivative = np.polynomial.polynomial.polyder(poly)
            by_yhat += by_log * np.polynomial.polynomial.polyval(yhat, derivative)
        powers = np.polynomial.polynomial.polyvander(yhat, self.order)
        by_params = np.concatenate([by_log @ powers, self._rho_shape(z, shape, slope)])
        return float(rho.sum() + np.log(s).sum()), by_yhat, by_params

    def information(self, params, y, yhat, sigma=None) -> float:
        """What a row tells of ŷ, in units of 1/s²: the mean square of d loss/dz over these rows."""
        _, shape = self._split(params)
        s = self.scale(params, yhat, sigma)
        return float(np.mean(self._rho((y - yhat) / s, shape)[1] ** 2))

    def cdf(self, params, y, yhat, sigma=None) -> np.ndarray:
        """The chance of less than y, float64[n]: uniform on [0, 1] where the model is right."""
        _, shape = self._split(params)
        return self._cdf((y - yhat) / self.scale(params, yhat, sigma), shape)

    def quantile(self, params, q: float, yhat, sigma=None) -> np.ndarray:
        """The y below which lies a share q, float64[n]."""
        _, shape = self._split(params)
        return yhat + self.scale(params, yhat, sigma) * self._ppf(q, shape)


@dataclass(frozen=True)
class Gaussian(Noise):
    """Normal noise."""

    kind: ClassVar[str] = "gaussian"

    def _rho(self, z, shape):
        return (z * z + LOG_2PI) / 2, z

    def _cdf(self, z, shape):
        return special.ndtr(z)

    def _ppf(self, q, shape):
        return special.ndtri(q)


@dataclass(frozen=True)
class Empirical(Gaussian):
    """Normal noise whose spread σ is given for every row, times a polynomial's exp if order ≥ 0.

    order −1, the default: σ as it is.
    """

    order: int = -1
    kind: ClassVar[str] = "empirical"

    def start(self, spread):
        return np.zeros(self.order + 1)

    def scale(self, params, yhat, sigma=None):
        return sigma * super().scale(params, yhat) if self.order >= 0 else sigma * 1.0

    def loss(self, params, y, yhat, sigma=None):
        if self.order >= 0:
            return super().loss(params, y, yhat, sigma)
        z = (y - yhat) / sigma
        return float(self._rho(z, ())[0].sum() + np.log(sigma).sum()), -z / sigma, np.empty(0)


@dataclass(frozen=True)
class Cauchy(Noise):
    """Cauchy noise: very heavy tails."""

    kind: ClassVar[str] = "cauchy"

    def _rho(self, z, shape):
        squared = z * z
        return np.log(np.pi) + np.log1p(squared), 2 * z / (1 + squared)

    def _cdf(self, z, shape):
        return 0.5 + np.arctan(z) / np.pi

    def _ppf(self, q, shape):
        return np.tan(np.pi * (np.asarray(q) - 0.5))


@dataclass(frozen=True)
class StudentT(Noise):
    """Student's t with the degrees of freedom that the data ask for."""

    kind: ClassVar[str] = "student_t"
    shapes: ClassVar[tuple[float, ...]] = (float(np.log(10.0)),)

    def _rho(self, z, shape):
        (nu,) = shape
        squared = z * z
        constant = -special.gammaln((nu + 1) / 2) + special.gammaln(nu / 2) + np.log(nu * np.pi) / 2
        return constant + (nu + 1) / 2 * np.log1p(squared / nu), (nu + 1) * z / (nu + squared)

    def _rho_shape(self, z, shape, slope):
        (nu,) = shape
        constant = (special.psi(nu / 2) - special.psi((nu + 1) / 2) + 1 / nu) / 2
        bent = (np.log1p(z * z / nu).sum() - (slope @ z) / nu) / 2
        return nu * np.array([len(z) * constant + bent])

    def _cdf(self, z, shape):
        return special.stdtr(shape[0], z)

    def _ppf(self, q, shape):
        return special.stdtrit(shape[0], q)


@dataclass(frozen=True)
class SkewedT(Noise):
    """The skewed t of Jones and Faddy (2003) about its mode, with tails of its own on each side.

    With m = a + b, t = z + mode and w = t / √m its log density is
    (a − b) asinh w − (m + 1)/2 · log(1 + w²) − log(2^(m − 1) B(a, b) √m).
    """

    kind: ClassVar[str] = "skewed_t"
    shapes: ClassVar[tuple[float, ...]] = (float(np.log(5.0)),) * 2

    @staticmethod
    def _mode(a: float, b: float) -> float:
        return (a - b) * np.sqrt((a + b) / ((2 * a + 1) * (2 * b + 1)))

    def _rho(self, z, shape):
        a, b = shape
        m = a + b
        w = (z + self._mode(a, b)) / np.sqrt(m)
        squared = 1 + w * w
        constant = (m - 1) * np.log(2) + special.betaln(a, b) + np.log(m) / 2
        rho = constant + (m + 1) / 2 * np.log(squared) - (a - b) * np.arcsinh(w)
        return rho, ((m + 1) * w / squared - (a - b) / np.sqrt(squared)) / np.sqrt(m)

    def _rho_shape(self, z, shape, slope):
        a, b = shape
        m, mode = a + b, self._mode(a, b)
        t = z + mode
        w = t / np.sqrt(m)
        total, moved = slope.sum(), slope @ t
        both = len(z) * (np.log(2) - special.psi(m) + 1 / (2 * m))
        both += np.log1p(w * w).sum() / 2 - moved / (2 * m)
        bent = np.arcsinh(w).sum()
        height = np.sqrt(m / ((2 * a + 1) * (2 * b + 1)))
        by_a = height + mode * (1 / (2 * m) - 1 / (2 * a + 1))
        by_b = -height + mode * (1 / (2 * m) - 1 / (2 * b + 1))
        n = len(z)
        return np.array([
            a * (both + n * special.psi(a) - bent + total * by_a),
            b * (both + n * special.psi(b) + bent + total * by_b),
        ])  # fmt: skip

    def _cdf(self, z, shape):
        a, b = shape
        t = z + self._mode(a, b)
        return special.betainc(a, b, (1 + t / np.sqrt(a + b + t * t)) / 2)

    def _ppf(self, q, shape):
        return stats.jf_skew_t.ppf(q, *shape) - self._mode(*shape)


KINDS: dict[str, type[Noise]] = {
    kind.kind: kind for kind in (Gaussian, Cauchy, StudentT, SkewedT, Empirical)
}


def to_dict(noise: Noise) -> dict:
    """Kind and fields, as JSON takes them."""
    return {"kind": noise.kind, **asdict(noise)}

"""Noise models: the distribution of measurements about the prediction ŷ.

The density of y is that of z = (y − ŷ) / s, with log s a polynomial in ŷ. Families with shape
parameters, such as the weight of tails, have a polynomial for the log of each of these too.
Parameters are one vector: the coefficients of the scale's polynomial, then those of each shape
parameter. ŷ is the mode of every family. The loss is the negative log-likelihood, in nats.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.polynomial import polynomial
from scipy import special, stats

from ..checks import check_int

LOG_2PI = float(np.log(2 * np.pi))
# Bounds of shape parameters that change with ŷ, whatever their polynomials give.
LEAST, MOST = 1e-2, 1e4


class Over(NamedTuple):
    """How derivatives by shape parameters are aggregated: for each row, or summed over rows."""

    rows: int
    sum: Callable[[np.ndarray], np.ndarray]
    dot: Callable[[np.ndarray, np.ndarray], np.ndarray]

    @classmethod
    def all(cls, z: np.ndarray) -> "Over":
        return cls(len(z), np.sum, np.dot)


EACH = Over(1, lambda values: values, np.multiply)


@dataclass(frozen=True)
class Noise:
    """A family of noise; `order` is that of the polynomial for the log of its scale."""

    order: int = 0
    kind: ClassVar[str]
    least: ClassVar[int] = 0
    shapes: ClassVar[tuple[float, ...]] = ()

    def __post_init__(self):
        check_int(self.order, "The order of noise", self.least)

    # --- what each family defines -------------------------------------------------------------

    @property
    def shape_order(self) -> int:
        """Order of the polynomials for the logs of shape parameters."""
        return 0

    def _rho(self, z: np.ndarray, shape: tuple) -> tuple[np.ndarray, np.ndarray]:
        """−log density of z, and its derivative.

        shape: for each parameter one number, or float64[n].
        """
        raise NotImplementedError

    def _rho_shape(self, z: np.ndarray, shape: tuple, slope: np.ndarray, over: Over) -> np.ndarray:
        """Derivatives of −log density by the logs of shape parameters: float64[k], or [k, n]."""
        return np.empty(0)

    def _cdf(self, z: np.ndarray, shape: tuple) -> np.ndarray:
        """The probability of less than z."""
        raise NotImplementedError

    def _ppf(self, q: float | np.ndarray, shape: tuple) -> np.ndarray:
        """The quantile q of z."""
        raise NotImplementedError

    # --- shared by all families ---------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.order + 1 + len(self.shapes) * (self.shape_order + 1)

    def start(self, spread: float) -> np.ndarray:
        """Start values for residuals with this standard deviation."""
        shapes = np.zeros((len(self.shapes), self.shape_order + 1))
        shapes[:, 0] = self.shapes
        return np.concatenate([[np.log(spread)], np.zeros(self.order), shapes.ravel()])

    def _logs(self, params: np.ndarray) -> np.ndarray:
        """Coefficients of the logs of the shape parameters, float64[k, shape_order + 1]."""
        return params[self.order + 1 :].reshape(len(self.shapes), -1)

    def shape(self, params: np.ndarray, yhat: np.ndarray) -> tuple:
        """Shape parameters: each one number, or float64[n] if they change with ŷ."""
        if not self.shape_order:
            return tuple(np.exp(params[self.order + 1 :]))
        logs = polynomial.polyval(yhat, self._logs(params).T)
        return tuple(np.exp(np.clip(logs, np.log(LEAST), np.log(MOST))))

    def scale(self, params: np.ndarray, yhat: np.ndarray, sigma=None) -> np.ndarray:
        """s for every prediction, float64[n]."""
        return np.exp(polynomial.polyval(yhat, params[: self.order + 1]))

    def losses(self, params, y, yhat, sigma=None) -> np.ndarray:
        """−log density of every y, float64[n], in nats."""
        shape = self.shape(params, yhat)
        s = self.scale(params, yhat, sigma)
        return self._rho((y - yhat) / s, shape)[0] + np.log(s)

    def loss(self, params, y, yhat, sigma=None) -> tuple[float, np.ndarray, np.ndarray]:
        """−log-likelihood summed over rows, its derivative by ŷ, float64[n], and by parameters."""
        shape = self.shape(params, yhat)
        s = self.scale(params, yhat, sigma)
        z = (y - yhat) / s
        rho, slope = self._rho(z, shape)
        by_log = 1 - z * slope
        by_yhat = -slope / s
        if self.order:
            derivative = polynomial.polyder(params[: self.order + 1])
            by_yhat += by_log * polynomial.polyval(yhat, derivative)
        powers = polynomial.polyvander(yhat, self.order)
        if self.shape_order:
            by_shape = self._by_shape(params, yhat, self._rho_shape(z, shape, slope, EACH), by_yhat)
        else:
            by_shape = self._rho_shape(z, shape, slope, Over.all(z))
        by_params = np.concatenate([by_log @ powers, by_shape])
        return float(rho.sum() + np.log(s).sum()), by_yhat, by_params

    def _by_shape(
        self, params: np.ndarray, yhat: np.ndarray, by_logs: np.ndarray, by_yhat: np.ndarray
    ) -> np.ndarray:
        """Derivatives by coefficients, from those by logs of shapes, float64[k, n].

        The effect of ŷ through shapes is added to `by_yhat`.
        """
        coefficients = self._logs(params).T
        logs = polynomial.polyval(yhat, coefficients)
        by_logs = by_logs * ((logs > np.log(LEAST)) & (logs < np.log(MOST)))
        slopes = polynomial.polyval(yhat, polynomial.polyder(coefficients))
        by_yhat += (by_logs * slopes).sum(axis=0)
        return (by_logs @ polynomial.polyvander(yhat, self.shape_order)).ravel()

    def information(self, params, y, yhat, sigma=None) -> float:
        """Fisher information of a row on ŷ, in units of 1/s²: the mean square of d loss/dz."""
        shape = self.shape(params, yhat)
        s = self.scale(params, yhat, sigma)
        return float(np.mean(self._rho((y - yhat) / s, shape)[1] ** 2))

    def cdf(self, params, y, yhat, sigma=None) -> np.ndarray:
        """The probability of less than y, float64[n]: uniform on [0, 1] if the model is right."""
        shape = self.shape(params, yhat)
        return self._cdf((y - yhat) / self.scale(params, yhat, sigma), shape)

    def quantile(self, params, q: float, yhat, sigma=None) -> np.ndarray:
        """The quantile q of y, float64[n]."""
        shape = self.shape(params, yhat)
        return yhat + self.scale(params, yhat, sigma) * self._ppf(q, shape)


@dataclass(frozen=True)
class Gaussian(Noise):
    """Normal noise.

    Parameters
    ----------
    order : int
        Order of the polynomial in ŷ for the log of the scale.
    """

    kind: ClassVar[str] = "gaussian"

    def _rho(self, z, shape):
        return (z * z + LOG_2PI) / 2, z

    def _cdf(self, z, shape):
        return special.ndtr(z)

    def _ppf(self, q, shape):
        return special.ndtri(q)


@dataclass(frozen=True)
class Empirical(Gaussian):
    """Normal noise with a given standard deviation σ for every row.

    Parameters
    ----------
    order : int
        −1, the default: σ as given. Otherwise σ is multiplied by exp of a polynomial in ŷ of this
        order.
    """

    order: int = -1
    kind: ClassVar[str] = "empirical"
    least: ClassVar[int] = -1

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
    """Cauchy noise, which has very heavy tails.

    Parameters
    ----------
    order : int
        Order of the polynomial in ŷ for the log of the scale.
    """

    kind: ClassVar[str] = "cauchy"

    def _rho(self, z, shape):
        squared = z * z
        return np.log(np.pi) + np.log1p(squared), 2 * z / (1 + squared)

    def _cdf(self, z, shape):
        return 0.5 + np.arctan(z) / np.pi

    def _ppf(self, q, shape):
        return np.tan(np.pi * (np.asarray(q) - 0.5))


@dataclass(frozen=True)
class Shaped(Noise):
    """A family with shape parameters; `shape_order`: of the polynomials for their logs."""

    shape_order: int = 0

    def __post_init__(self):
        super().__post_init__()
        check_int(self.shape_order, "shape_order", 0)


@dataclass(frozen=True)
class StudentT(Shaped):
    """Student's t with fitted degrees of freedom.

    Parameters
    ----------
    order, shape_order : int
        Orders of the polynomials in ŷ for the logs of the scale and of the degrees of freedom.
    """

    kind: ClassVar[str] = "student_t"
    shapes: ClassVar[tuple[float, ...]] = (float(np.log(10.0)),)

    def _rho(self, z, shape):
        (nu,) = shape
        squared = z * z
        constant = -special.gammaln((nu + 1) / 2) + special.gammaln(nu / 2) + np.log(nu * np.pi) / 2
        return constant + (nu + 1) / 2 * np.log1p(squared / nu), (nu + 1) * z / (nu + squared)

    def _rho_shape(self, z, shape, slope, over):
        (nu,) = shape
        constant = (special.psi(nu / 2) - special.psi((nu + 1) / 2) + 1 / nu) / 2
        bent = (over.sum(np.log1p(z * z / nu)) - over.dot(slope, z) / nu) / 2
        return nu * np.array([over.rows * constant + bent])

    def _cdf(self, z, shape):
        return special.stdtr(shape[0], z)

    def _ppf(self, q, shape):
        return special.stdtrit(shape[0], q)


@dataclass(frozen=True)
class SkewedT(Shaped):
    """The skewed t distribution about its mode, with a separate tail weight on each side.

    Parameters
    ----------
    order, shape_order : int
        Orders of the polynomials in ŷ for the logs of the scale and of both shape parameters.

    Notes
    -----
    With m = a + b, t = z + mode and w = t / √m its log density is
    (a − b) asinh w − (m + 1)/2 · log(1 + w²) − log(2^(m − 1) B(a, b) √m).

    References
    ----------
    Jones and Faddy 2003, "A skew extension of the t-distribution, with applications".
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

    def _rho_shape(self, z, shape, slope, over):
        a, b = shape
        m, mode = a + b, self._mode(a, b)
        t = z + mode
        w = t / np.sqrt(m)
        n, total, moved = over.rows, over.sum(slope), over.dot(slope, t)
        both = n * (np.log(2) - special.psi(m) + 1 / (2 * m))
        both += over.sum(np.log1p(w * w)) / 2 - moved / (2 * m)
        bent = over.sum(np.arcsinh(w))
        height = np.sqrt(m / ((2 * a + 1) * (2 * b + 1)))
        by_a = height + mode * (1 / (2 * m) - 1 / (2 * a + 1))
        by_b = -height + mode * (1 / (2 * m) - 1 / (2 * b + 1))
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
    """Kind and fields, for JSON."""
    return {"kind": noise.kind, **asdict(noise)}

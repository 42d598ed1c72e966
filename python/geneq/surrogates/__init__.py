"""Surrogates: a latent phenotype φ, a nonlinearity, and noise that depends on it."""

from .fit import Arrays, fit
from .gauges import Effects, Term
from .maps import Additive, Neighbour, Order, Pairwise
from .noise import Cauchy, Empirical, Gaussian, SkewedT, StudentT
from .nonlinearity import Linear, Sigmoid, Spline, Tanh
from .surrogate import Surrogate

__all__ = [
    "Additive", "Arrays", "Cauchy", "Effects", "Empirical", "Gaussian", "Linear", "Neighbour",
    "Order", "Pairwise", "Sigmoid", "SkewedT", "Spline", "StudentT", "Surrogate", "Tanh", "Term",
    "fit",
]  # fmt: skip

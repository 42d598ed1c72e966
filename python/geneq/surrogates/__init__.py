"""Surrogates: a latent phenotype φ, a nonlinearity, and noise that depends on it.

`fit` fits one to a library with scores, `Settings` does so with the options and defaults of `geneq
surrogate`, and `tables` gives the tables which that command writes.
"""

from .fit import Arrays, fit
from .gauges import Effects, Term
from .maps import Additive, Neighbour, Order, Pairwise
from .noise import Cauchy, Empirical, Gaussian, SkewedT, StudentT
from .nonlinearity import Linear, Sigmoid, Spline, Tanh
from .settings import Settings
from .surrogate import Surrogate
from .tables import tables

__all__ = [
    "Additive", "Arrays", "Cauchy", "Effects", "Empirical", "Gaussian", "Linear", "Neighbour",
    "Order", "Pairwise", "Settings", "Sigmoid", "SkewedT", "Spline", "StudentT", "Surrogate",
    "Tanh", "Term", "fit", "tables",
]  # fmt: skip

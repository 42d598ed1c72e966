"""Figures of a locus: what a surrogate or an attribution method says, as matplotlib figures.

Symbols and colours are those of sequence logos: A green, C blue, G orange, T and U red.
"""

from itertools import cycle

import logomaker
import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from .. import _ext

DNA = {"A": "#2a9d3f", "C": "#2166ac", "G": "#e69f00", "T": "#c8322b", "U": "#c8322b"}
OTHERS = colormaps["tab20"].colors
SIGNED = "RdBu_r"
# Points of a scatter plot: more make it slow and show no more.
POINTS = 5000
# Width of a symbol and height of a logo, inches.
SYMBOL, LOGO = 0.08, 1.6


def logo(
    effects: np.ndarray,
    alphabet: str = "dna",
    start: int = 0,
    title: str = "",
    label: str = "effect",
    errors: np.ndarray | None = None,
) -> Figure:
    """A logo of effects float64[length, symbols], the mean over symbols removed at each position.

    start: position of the first, 0-based. Positions whose effects are not known are empty. errors:
    float64[length, symbols], standard errors of what is shown: that of the largest symbol of a
    position stands as a bar at its end, one to either side.
    """
    symbols = list(_ext.alphabet(alphabet)[0])
    centred = np.nan_to_num(effects - effects.mean(axis=1, keepdims=True))
    figure = Figure(figsize=(max(4, SYMBOL * len(effects)), LOGO), layout="constrained")
    axes = figure.subplots()
    table = pd.DataFrame(centred, columns=symbols, index=np.arange(start, start + len(effects)))
    colours = DNA if set(symbols) <= set(DNA) else dict(zip(symbols, cycle(OTHERS), strict=False))
    logomaker.Logo(table, ax=axes, color_scheme=colours, show_spines=False)
    axes.axhline(0, color="black", linewidth=0.5)
    if errors is not None:
        _bars(axes, centred, errors, start)
    axes.set(title=title, ylabel=label, xlabel="position")
    return figure


def _bars(axes: Axes, centred: np.ndarray, errors: np.ndarray, start: int) -> None:
    """Errors of the largest symbols, which are the outermost of their stacks."""
    at = np.arange(len(centred)), np.abs(centred).argmax(axis=1)
    up = centred[at] >= 0
    ends = np.where(up, np.maximum(centred, 0).sum(axis=1), np.minimum(centred, 0).sum(axis=1))
    known = np.isfinite(errors[at]) & (ends != 0)
    axes.errorbar((start + at[0])[known], ends[known], errors[at][known], fmt="none",
                  ecolor="#555555", elinewidth=0.6)  # fmt: skip


def pair_triangle(strength: np.ndarray, start: int = 0, title: str = "") -> Figure:
    """A triangle of pairs: float64[length, length], of which i < j is shown.

    A pair stands above the middle of its positions, as high as they are apart. Signed where a value
    is negative. NaN, a pair that the map does not have, is left out.
    """
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axes = figure.subplots()
    one, other = np.nonzero(np.triu(np.isfinite(strength), 1))
    values = strength[one, other]
    middle, apart = start + (one + other) / 2, (other - one).astype(float)
    corners = np.array([(-0.5, 0), (0, 1), (0.5, 0), (0, -1)])
    squares = np.stack([middle, apart], axis=1)[:, None, :] + corners
    largest = np.abs(values).max(initial=0) or 1.0
    signed = {"cmap": SIGNED, "norm": TwoSlopeNorm(0, -largest, largest)}
    unsigned = {"cmap": "Reds", "clim": (0, largest)}
    shown = PolyCollection(squares, array=values, edgecolors="none", rasterized=True,
                           **(signed if (values < 0).any() else unsigned))  # fmt: skip
    axes.add_collection(shown)
    length = len(strength)
    axes.set(xlim=(start - 0.5, start + length - 0.5), ylim=(0, max(1, length)),
             xlabel="position", ylabel="positions apart", title=title)  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    figure.colorbar(shown, ax=axes, shrink=0.7)
    return figure


def latent_curve(
    phi: np.ndarray,
    y: np.ndarray,
    grid: np.ndarray,
    curve: np.ndarray,
    band: tuple[np.ndarray, np.ndarray] | None = None,
    name: str = "y",
    title: str = "",
) -> Figure:
    """Scores against the latent phenotype: points, the fitted nonlinearity and the noise band.

    phi, y: float64[n]. grid: float64[m] values of phi, rising; curve and both edges of the band, if
    there is one, are float64[m] at them.
    """
    figure = Figure(figsize=(4.4, 3.6), layout="constrained")
    axes = figure.subplots()
    _points(axes, phi, y)
    if band is not None:
        axes.fill_between(grid, *band, color="#c8322b", alpha=0.15, linewidth=0)
    axes.plot(grid, curve, color="#c8322b")
    axes.set(xlabel="latent phenotype φ", ylabel=name, title=title)
    return figure


def agreement(y: np.ndarray, predicted: np.ndarray, name: str = "y", title: str = "") -> Figure:
    """Observed against predicted, with their line of equality: both float64[n]."""
    figure = Figure(figsize=(4.0, 3.8), layout="constrained")
    axes = figure.subplots()
    _points(axes, predicted, y)
    ends = [np.nanmin([y, predicted]), np.nanmax([y, predicted])]
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.set(xlabel=f"{name}, predicted", ylabel=f"{name}, observed", title=title)
    return figure


def _points(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Points, at most POINTS of them taken evenly, as one picture even in vector formats."""
    step = max(1, -(-len(x) // POINTS))
    axes.scatter(x[::step], y[::step], s=3, color="#444444", alpha=0.3, linewidths=0,
                 rasterized=True)  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)

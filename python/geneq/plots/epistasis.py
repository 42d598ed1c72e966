"""Figures of interactions: of the positions of two windows, and of pairs of elements."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

SIGNED = "RdBu_r"
# Most positions of a side whose symbols are written.
WRITTEN = 40
# Share of the largest value from which on text must be white.
DARK = 0.7


def window_map(
    values: np.ndarray,
    first: tuple[int, int],
    second: tuple[int, int],
    symbols: str,
    title: str = "",
) -> Figure:
    """Interactions of the positions of one window (rows) with those of another (columns).

    values: float64[length, length], of which [first, second] is shown; NaN is left out. symbols: of
    the whole wild type.
    """
    shown = values[slice(*first), slice(*second)]
    figure = Figure(figsize=(6.4, 1.2 + 5 * min(1.2, len(shown) / shown.shape[1])),
                    layout="constrained")  # fmt: skip
    axes = figure.subplots()
    _image(figure, axes, shown)
    for axis, (start, end) in ((axes.yaxis, first), (axes.xaxis, second)):
        step = max(1, -(-(end - start) // WRITTEN))
        places = np.arange(start, end, step)
        names = symbols[start:end] if step == 1 else places
        axis.set_ticks(places - start, names, fontsize="x-small")
    axes.set(title=title, xlabel=f"position {second[0]} to {second[1] - 1}",
             ylabel=f"position {first[0]} to {first[1] - 1}")  # fmt: skip
    return figure


def element_map(
    values: np.ndarray, errors: np.ndarray, names: Sequence[str], title: str = ""
) -> Figure:
    """Interactions of elements, float64[elements, elements], the diagonal within each.

    errors: standard errors of the same shape, NaN where not known.
    """
    size = 1.6 + 0.8 * len(names)
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    _image(figure, axes, values)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            error = errors[row, column]
            text = f"{value:.2g}" + (f"\n± {error:.1g}" if np.isfinite(error) else "")
            dark = abs(value) > DARK * np.nanmax(np.abs(values))
            axes.text(column, row, text, ha="center", va="center", fontsize="x-small",
                      color="white" if dark else "black")  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(np.arange(len(names)), names)
    axes.set(title=title)
    return figure


def _image(figure: Figure, axes: Axes, values: np.ndarray) -> None:
    """Values as colours about a white 0; grey where there is none."""
    axes.set_facecolor("#dddddd")
    largest = np.nanmax(np.abs(values), initial=0) or 1.0
    image = axes.imshow(values, cmap=SIGNED, norm=TwoSlopeNorm(0, -largest, largest), aspect="auto")
    figure.colorbar(image, ax=axes, shrink=0.8, label="interaction in φ")

"""Two values of the same genes or sequences against each other: dots, or a density if many."""

import numpy as np
from markupsafe import Markup

from .svg import Panel, dots, figure, line, rectangles

__all__ = ["scatter"]

MANY = 1500
CELLS = (46, 34)
LEVELS = 6


def scatter(
    x: np.ndarray, y: np.ndarray, xlabel: str, ylabel: str, class_: str, what: str = "genes"
) -> Markup:
    """Dots (up to 1,500) or the density on a grid, with the identity dashed; empty below 3 points.

    x, y: float[n]; points that are not finite are dropped. A few outliers that would squeeze the
    rest are drawn at the edge. `class_` names the colour (a model); what: the points are.
    """
    known = np.isfinite(x) & np.isfinite(y)
    x, y = np.asarray(x, float)[known], np.asarray(y, float)[known]
    if len(x) < 3:
        return Markup("")
    panel = Panel(_robust_limits(x), _robust_limits(y))
    draw = _dots if len(x) <= MANY else _density
    title = f"{ylabel} against {xlabel}, {len(x):,} {what}"
    marks = draw(panel, x, y, class_)
    return figure(
        panel.width, panel.height, title, panel.axes(xlabel, ylabel), _identity(panel), marks
    )


def _robust_limits(values: np.ndarray) -> tuple[float, float]:
    """All values, or the middle 98 % widened by half if others are far away."""
    low, high = np.percentile(values, [1, 99])
    reach = 0.5 * (high - low) or 0.5 * abs(high) or 0.5
    low, high = max(values.min(), low - reach), min(values.max(), high + reach)
    margin = 0.04 * (high - low) or 0.5 * abs(high) or 0.5
    return float(low - margin), float(high + margin)


def _identity(panel: Panel) -> Markup:
    low, high = max(panel.xlim[0], panel.ylim[0]), min(panel.xlim[1], panel.ylim[1])
    if low >= high:
        return Markup("")
    return line(panel.x(low), panel.y(low), panel.x(high), panel.y(high), "identity")


def _dots(panel: Panel, x: np.ndarray, y: np.ndarray, class_: str) -> Markup:
    # Within one path overlapping dots do not darken; a few interleaved paths let them.
    parts = [slice(start, None, 8) for start in range(8)]
    return Markup("").join(dots(panel.x(x[p]), panel.y(y[p]), f"faint {class_}") for p in parts)


def _density(panel: Panel, x: np.ndarray, y: np.ndarray, class_: str) -> Markup:
    """Cells of a grid shaded by the logarithm of their number of genes: one path a shade."""
    px, py = panel.x(x), panel.y(y)
    box = [[panel.left, panel.width - panel.right], [panel.top, panel.height - panel.bottom]]
    counts, xs, ys = np.histogram2d(px, py, bins=CELLS, range=box)
    shade = np.ceil(LEVELS * np.log1p(counts) / np.log1p(counts.max())).astype(int)
    wide, tall = xs[1] - xs[0], ys[1] - ys[0]
    paths = []
    for level in range(1, LEVELS + 1):
        cells = [(xs[i], ys[j]) for i, j in zip(*np.nonzero(shade == level), strict=True)]
        opacity = f"{level / LEVELS:.2f}"
        paths.append(rectangles(cells, wide, tall, class_=f"cells {class_}", fill_opacity=opacity))
    return Markup("").join(paths)

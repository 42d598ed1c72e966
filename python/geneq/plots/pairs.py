"""Interactions: of pairs of positions, of the positions of two windows, and of elements."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from .svg import Drawing, Panel, figure, label, number, rectangles, tag, text

__all__ = ["element_map", "triangle", "window_map"]

# Pairs of positions in a picture: more make it slow and show no more.
PAIRS = 600
# Steps of colour, of values without a sign and to either side of 0.
SHADES = 8
# Pixels of the cells of a map, at most and at least, and of those of elements.
CELL, NARROW, ELEMENT = 24.0, 4.0, 64.0
# Most positions of a side whose symbols are written.
WRITTEN = 40
LEFT, TOP, BOTTOM, KEY = 60.0, 8.0, 40.0, 74.0


# --- pairs of positions ---------------------------------------------------------------------------


def triangle(
    sites: np.ndarray,
    strength: np.ndarray,
    length: int,
    name: str,
    start: int = 0,
    most: int = PAIRS,
    size: tuple[float, float] = (360, 260),
) -> Drawing:
    """The strongest pairs, each above the middle of its positions, as high as they are apart.

    Parameters
    ----------
    sites : ndarray
        int[pairs, 2], positions of each pair, 0-based.
    strength : ndarray
        float64[pairs], at least 0; pairs of 0 and NaN are not drawn.
    length : int
        Positions on the horizontal axis.
    name : str
        Description for screen readers.
    start : int
        The first of these positions.
    most : int
        Number of pairs that are drawn.
    size : (float, float)
        Width, without the key of colours, and height in pixels.
    """
    strength = np.nan_to_num(strength)
    strongest = np.argsort(-strength, kind="stable")[:most]
    strongest = strongest[strength[strongest] > 0]
    sites, strength = sites[strongest], strength[strongest]
    apart = np.ptp(sites, axis=1)
    panel = Panel((start - 0.5, start + length - 0.5), (0, max(2, 1.05 * apart.max(initial=1))),
                  size[0] + KEY, size[1], right=KEY)  # fmt: skip
    axes = panel.axes("middle of the pair", "positions apart", integer_x=True)
    largest = strength.max(initial=0)
    shade = _shades(strength, largest, np.ceil)  # none is as pale as no effect
    # Diamonds tile the plane, unless that would make them too small to see.
    wide = (panel.width - panel.left - panel.right) / length / 2
    half = max(1.2, wide), max(1.2, float(panel.y(0) - panel.y(1)))
    paths = []
    for level in np.unique(shade):
        at = shade == level
        x, y = panel.x(sites[at].mean(1)), panel.y(apart[at])
        paths.append(tag("path", d=_diamonds(x, y, half), **_colour(level)))
    key = [_key(panel.width, largest, signed=False)] if largest else []
    return figure(panel.width, panel.height, name, axes, *paths, *key)


def _diamonds(x: np.ndarray, y: np.ndarray, half: tuple[float, float]) -> str:
    wide, tall = map(number, half)
    diamond = f"l{wide} {tall}-{wide} {tall}-{wide}-{tall}z"
    return "".join(
        f"M{number(a)} {number(b - half[1])}{diamond}" for a, b in zip(x, y, strict=True)
    )


# --- maps -----------------------------------------------------------------------------------------


def window_map(
    values: np.ndarray, first: tuple[int, int], second: tuple[int, int], symbols: str, name: str
) -> Drawing:
    """Interactions of the positions of one window (rows) with those of another (columns).

    Parameters
    ----------
    values : ndarray
        float64[length, length], of which [first, second] is shown. NaN: no such pair.
    first, second : (int, int)
        [start, end) of the windows, 0-based.
    symbols : str
        The wild type.
    name : str
        Description for screen readers.
    """
    shown = values[slice(*first), slice(*second)]
    cell = max(NARROW, min(CELL, 480 / max(shown.shape)))
    rows, columns = _positions(first, symbols), _positions(second, symbols)
    marks = [_cells(shown, cell), *_row_names(rows, cell), *_column_names(columns, cell, shown)]
    height, middle = TOP + cell * len(shown), LEFT + cell * shown.shape[1] / 2
    marks.append(text(middle, height + 32, f"position {second[0]} to {second[1] - 1}", "axis mid"))
    turn = f"rotate(-90 14 {number((TOP + height) / 2)})"
    marks.append(text(14, (TOP + height) / 2, f"position {first[0]} to {first[1] - 1}", "axis mid",
                      transform=turn))  # fmt: skip
    return _map(shown, cell, name, marks)


def _positions(window: tuple[int, int], symbols: str) -> list[str]:
    """Labels of positions: symbols, or numbers of some where there are many."""
    start, end = window
    step = -(-(end - start) // WRITTEN)
    if step == 1:
        return list(symbols[start:end])
    return [str(at) if (at - start) % (5 * step) == 0 else "" for at in range(start, end)]


def element_map(values: np.ndarray, errors: np.ndarray, names: Sequence[str], name: str) -> Drawing:
    """Interactions of elements, and on the diagonal those within each.

    Parameters
    ----------
    values, errors : ndarray
        float64[elements, elements], sums and their standard errors; NaN where unknown.
    names : sequence of str
        Names of the elements.
    name : str
        Description for screen readers.
    """
    marks = [_cells(values, ELEMENT), *_row_names(names, ELEMENT),
             *_column_names(names, ELEMENT, values)]  # fmt: skip
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            x, y = LEFT + ELEMENT * (column + 0.5), TOP + ELEMENT * (row + 0.5)
            error = errors[row, column]
            known = np.isfinite(error)
            marks.append(text(x, y + (-1 if known else 4), _short(float(value)), "mid"))
            if known:
                marks.append(text(x, y + 13, f"± {_short(float(error), 1)}", "second mid"))
    return _map(values, ELEMENT, name, marks)


def _short(value: float, digits: int = 2) -> str:
    return label(float(f"{value:.{digits}g}"))


def _map(values: np.ndarray, cell: float, name: str, marks: list[Markup]) -> Drawing:
    width, height = LEFT + cell * values.shape[1] + KEY, TOP + cell * len(values) + BOTTOM
    largest = float(np.nanmax(np.abs(values), initial=0))
    key = [_key(width, largest, signed=True)] if largest else []
    return figure(width, max(height, 150), name, *marks, *key)


def _row_names(names: Sequence[str], cell: float) -> list[Markup]:
    return [text(LEFT - 6, TOP + cell * (i + 0.5) + 3.5, name, "tick end", length=9)
            for i, name in enumerate(names) if name]  # fmt: skip


def _column_names(names: Sequence[str], cell: float, values: np.ndarray) -> list[Markup]:
    y = TOP + cell * len(values) + 14
    return [text(LEFT + cell * (i + 0.5), y, name, "tick mid", length=11)
            for i, name in enumerate(names) if name]  # fmt: skip


def _cells(values: np.ndarray, cell: float) -> Markup:
    """One path for each colour; cells without a value are marked as such."""
    known = np.isfinite(values)
    shade = _shades(np.where(known, values, 0), float(np.nanmax(np.abs(values), initial=0)))
    paths = []
    for level in np.unique(shade[known]):
        at = np.argwhere(known & (shade == level))
        paths.append(_rectangles(at, cell, **_colour(level)))
    paths.append(_rectangles(np.argwhere(~known), cell, class_="none"))
    return Markup("").join(paths)


def _rectangles(at: np.ndarray, cell: float, **attributes) -> Markup:
    corners = [(LEFT + cell * column, TOP + cell * row) for row, column in at]
    gap = 1 if cell > 2 * NARROW else 0
    return rectangles(corners, cell - gap, cell - gap, **attributes)


# --- colours --------------------------------------------------------------------------------------


def _shades(values: np.ndarray, largest: float, to_integer=np.rint) -> np.ndarray:
    """int[...]: steps of colour, from −SHADES to SHADES."""
    share = np.abs(values) / (largest or 1.0)
    return np.sign(values).astype(int) * to_integer(SHADES * share).astype(int)


def _colour(level: int) -> dict[str, str]:
    if level == 0:
        return {"class_": "zero-cell"}
    # Not the full colour: text on it must be legible.
    opacity = f"{0.08 + 0.77 * (abs(level) - 1) / (SHADES - 1):.2f}"
    return {"class_": "pos" if level > 0 else "neg", "fill_opacity": opacity}


def _key(width: float, largest: float, signed: bool) -> Markup:
    """What the colours mean: a strip from the largest value down."""
    levels = [*range(SHADES, 0, -1), *(range(-1, -SHADES - 1, -1) if signed else ())]
    tall, x = 120 / len(levels), width - 58
    steps = [rectangles([(x, TOP + tall * i)], 12, tall, **_colour(level))
             for i, level in enumerate(levels)]  # fmt: skip
    ends = {largest: TOP + 7, 0.0: TOP + (60 if signed else 120)}
    ends |= {-largest: TOP + 118.0} if signed else {}
    names = [text(x + 17, y + (3.5 if value == 0 else 0), _short(value), "tick")
             for value, y in ends.items()]  # fmt: skip
    return tag("g", *steps, *names)

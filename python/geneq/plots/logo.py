"""Sequence logos: symbols stacked at their positions, each as tall as its effect.

The outlines of symbols are defined once (`glyphs`); logos refer to them.
"""

from collections.abc import Iterable

import numpy as np
from markupsafe import Markup
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from .svg import Drawing, Panel, figure, label, number, tag, text, ticks

__all__ = ["glyphs", "logo"]

# Pixels of a position, of the margins, and of the area in which symbols are drawn.
COLUMN, LEFT, TALL, BASE = 8, 44, 110, 22
# Additional margins for axis labels.
SIDE, FOOT = 16, 14
# Symbols and error bars of fewer pixels are not drawn.
LEAST = 0.6
# Colours of amino acids by their side chains, as in other tools.
AMINO = {"polar": "GSTYC", "amide": "NQ", "basic": "KRH", "acidic": "DE",
         "hydrophobic": "AVLIPWFM", "stop": "*"}  # fmt: skip
HUES = 10
# Least width of an outline by its height, and least height by its width.
NARROW, FLAT = 0.5, 0.4


def logo(
    heights: np.ndarray,
    symbols: str,
    name: str,
    errors: np.ndarray | None = None,
    first: int = 0,
    ylabel: str = "",
) -> Drawing:
    """A logo of effects.

    Parameters
    ----------
    heights : ndarray
        float64[length, symbols], effects of symbols. Positive ones are stacked upwards, negative
        ones downwards, the largest outermost. 0 and NaN draw nothing.
    symbols : str
        The symbols of the columns of `heights`.
    name : str
        Description for screen readers.
    errors : ndarray, optional
        float64[length], standard errors of the largest effect of each position, drawn as a bar at
        the end of its stack, one standard error to either side.
    first : int
        Position of the first column, 0-based.
    ylabel : str
        Label of the vertical axis; with one, the horizontal axis is labelled too.

    Returns
    -------
    Drawing
        It refers to the outlines of `glyphs(symbols)`.
    """
    heights = np.nan_to_num(np.asarray(heights, float))
    ends = _ends(heights)
    spread = np.zeros(len(heights)) if errors is None else np.nan_to_num(errors)
    # A huge error must not make the symbols small: its bar is cut off.
    spread = np.minimum(spread, np.abs(heights).max(initial=0)) * (ends != 0)
    low = float(np.min([ends - spread, _stacked(heights, -1)], initial=0))
    high = float(np.max([ends + spread, _stacked(heights, 1)], initial=0)) or 1.0
    left, bottom = (LEFT + SIDE, BASE + FOOT) if ylabel else (LEFT, BASE)
    panel = Panel((0, len(heights)), (low, high), left + COLUMN * len(heights) + 4,
                  TALL + bottom + 6, left=left, right=4, top=6, bottom=bottom)  # fmt: skip
    marks = [_axis(panel, len(heights), first), *_labels(panel, ylabel)]
    marks += _symbols(panel, heights, _classes(symbols))
    if errors is not None:
        marks.append(_bars(panel, ends, spread))
    return figure(panel.width, panel.height, name, *marks, scaled=False, class_="logo")


def _stacked(heights: np.ndarray, sign: int) -> np.ndarray:
    """float64[length]: ends of the stacks of this sign."""
    return sign * np.maximum(sign * heights, 0).sum(axis=1, initial=0)


def _ends(heights: np.ndarray) -> np.ndarray:
    """float64[length]: the end of the stack with the largest effect."""
    if not heights.size:
        return np.zeros(len(heights))
    largest = heights[np.arange(len(heights)), np.abs(heights).argmax(axis=1)]
    return np.where(largest >= 0, _stacked(heights, 1), _stacked(heights, -1))


def _axis(panel: Panel, length: int, first: int) -> Markup:
    """The line of no effect, ticks of effects, and positions every ten columns."""
    zero, base = float(panel.y(0)), panel.height - panel.bottom
    end = number(panel.width - panel.right)
    marks = [tag("path", d=f"M{number(panel.left)} {number(zero)}H{end}", class_="rule zero")]
    for tick in ticks(panel.ylim, 3):
        marks.append(text(panel.left - 6, float(panel.y(tick)) + 3.5, label(tick), "tick end"))
    for column in range(-first % 10, length, 10):
        x = panel.left + COLUMN * (column + 0.5)
        marks.append(text(x, base + 14, f"{first + column:,}", "tick mid"))
    return Markup("").join(marks)


def _labels(panel: Panel, ylabel: str) -> list[Markup]:
    if not ylabel:
        return []
    middle = panel.top + TALL / 2
    turn = f"rotate(-90 12 {number(middle)})"
    x = (panel.left + panel.width - panel.right) / 2
    return [
        text(x, panel.height - 4, "position", "axis mid"),
        text(12, middle, ylabel, "axis mid", transform=turn),
    ]


# --- symbols --------------------------------------------------------------------------------------


def _symbols(panel: Panel, heights: np.ndarray, classes: dict[str, str]) -> list[Markup]:
    """Stacks of symbols, from the smallest at the axis to the largest."""
    scale, names, marks = TALL / (panel.ylim[1] - panel.ylim[0]), list(classes), []
    order = np.argsort(np.abs(heights), axis=1)
    for column, row in enumerate(heights):
        ends = {True: 0.0, False: 0.0}
        for at in order[column]:
            value = float(row[at])
            foot = ends[value > 0]
            ends[value > 0] += value
            if abs(value) * scale >= LEAST:
                symbol = names[at]
                # Heights run upwards and pixels downwards; symbols below 0 are upright too.
                low = float(panel.y(min(foot, foot + value)))
                x = number(panel.left + COLUMN * column)
                matrix = f"matrix({COLUMN - 1} 0 0 {number(-abs(value) * scale)} {x} {low:.1f})"
                marks.append(tag("use", href=f"#{_id(symbol)}", transform=matrix,
                                 class_=classes[symbol]))  # fmt: skip
    return marks


def _bars(panel: Panel, ends: np.ndarray, spread: np.ndarray) -> Markup:
    """One standard error to either side of the end of each stack."""
    scale, path = TALL / (panel.ylim[1] - panel.ylim[0]), []
    for column in np.flatnonzero(spread * scale >= LEAST):
        x = number(panel.left + COLUMN * column + (COLUMN - 1) / 2)
        high, low = panel.y(ends[column] + spread[column]), panel.y(ends[column] - spread[column])
        path.append(f"M{x} {number(high)}V{number(low)}")
    return tag("path", d="".join(path), class_="error")


def _classes(symbols: str) -> dict[str, str]:
    """CSS classes of symbols: as usual for bases and amino acids, else a colour each."""
    if set(symbols) <= set("ACGTU"):
        return {symbol: f"symbol-{symbol}" for symbol in symbols}
    amino = {symbol: f"amino-{name}" for name, group in AMINO.items() for symbol in group}
    if set(symbols) <= set(amino):
        return {symbol: amino[symbol] for symbol in symbols}
    return {symbol: f"tinted hue-{number % HUES}" for number, symbol in enumerate(symbols)}


# --- outlines -------------------------------------------------------------------------------------


def glyphs(symbols: Iterable[str]) -> Markup:
    """What logos refer to: an outline of each symbol in a box of 1 by 1 that begins at 0, 0."""
    outlines = [tag("path", id=_id(symbol), d=_outline(symbol)) for symbol in sorted({*symbols})]
    return tag("svg", tag("defs", *outlines), width=0, height=0, class_="glyphs",
               aria_hidden="true")  # fmt: skip


def _id(symbol: str) -> str:
    plain = symbol.isascii() and symbol.isalnum()
    return f"glyph-{symbol if plain else f'u{ord(symbol):x}'}"


def _outline(symbol: str) -> str:
    path = TextPath((0, 0), symbol, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    corners = path.vertices[path.codes != Outline.CLOSEPOLY]
    if not len(corners):
        return ""
    size = np.ptp(corners, axis=0)
    # Narrow symbols, such as I, and flat ones are not stretched to the full box.
    scale = np.maximum(size, (NARROW * size[1], FLAT * size[0]))
    low = corners.min(0) - (scale - size) / 2
    commands = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C"}
    parts, last = [], None
    for point, code in zip(path.vertices, path.codes, strict=True):
        if code == Outline.CLOSEPOLY:
            parts.append("z")
        else:
            x, y = (point - low) / scale
            # A curve's control points follow its command.
            repeated = code == last and code not in (Outline.MOVETO, Outline.LINETO)
            parts.append(f"{'' if repeated else commands[code]}{x:.2f} {y:.2f} ")
        last = code
    return "".join(parts)

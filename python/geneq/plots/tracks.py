"""A locus on a page: logo, pairs and the curve from phenotype to scores, as small SVG.

A page has each symbol once (`glyphs`), and logos refer to them.
"""

import numpy as np
from markupsafe import Markup
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from .svg import Panel, dots, figure, label, limits, number, polyline, tag, text, ticks

# Pixels a position, and of the parts of a logo.
COLUMN, LEFT, TALL, BASE = 8, 44, 110, 22
# Symbols and error bars smaller than this are no more than a line.
LEAST = 0.6
# Pairs and dots in a picture: more make it slow and show no more.
PAIRS, DOTS, SHADES = 600, 400, 5
KNOWN = "ACGTU"


# --- logo -----------------------------------------------------------------------------------------


def glyphs(symbols: str) -> Markup:
    """What logos refer to: an outline for each symbol, in a box of 1 by 1 that stands on 0."""
    symbols = (
        tag("path", id=f"glyph-{symbol}", d=_outline(symbol)) for symbol in sorted(set(symbols))
    )
    return tag("svg", tag("defs", *symbols), width=0, height=0, class_="glyphs", aria_hidden="true")


def _outline(symbol: str) -> str:
    path = TextPath((0, 0), symbol, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    corners = path.vertices[path.codes != Outline.CLOSEPOLY]
    low = corners.min(0)
    scale = np.ptp(corners, axis=0)
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


def logo(
    symbols: str, effects: np.ndarray, errors: np.ndarray | None, first: int, name: str
) -> Markup:
    """The symbols of a sequence, each as tall as its effect, with standard errors.

    effects: float64[length], NaN where unknown. errors: the same, or None. first: position shown
    under the first symbol, of which others are further to the right.
    """
    effects = np.nan_to_num(effects)
    spread = np.zeros_like(effects) if errors is None else np.nan_to_num(errors)
    # An error without bounds must not make the symbols small: its bar is cut off.
    spread = np.minimum(spread, np.abs(effects).max(initial=0))
    low = min(0.0, float((effects - spread).min(initial=0)))
    high = max(0.0, float((effects + spread).max(initial=0))) or 1.0
    panel = Panel((0, len(symbols)), (low, high), LEFT + COLUMN * len(symbols) + 4, TALL + BASE + 6,
                  left=LEFT, right=4, top=6, bottom=BASE)  # fmt: skip
    scale = TALL / (high - low)
    marks = [_axis(panel, len(symbols), first)]
    for column in np.flatnonzero(np.abs(effects) * scale >= LEAST):
        marks.append(_symbol(panel, symbols[column], column, effects[column] * scale))
    if errors is not None:
        marks.append(_bars(panel, effects, spread, scale))
    width = f"min-width:{number(panel.width)}px;max-width:{number(panel.width)}px"
    return tag("svg", *marks, viewBox=f"0 0 {number(panel.width)} {number(panel.height)}",
               style=width, role="img", aria_label=name, class_="logo")  # fmt: skip


def _axis(panel: Panel, length: int, first: int) -> Markup:
    """The line of no effect, ticks of effects, and positions every ten symbols."""
    zero, base = float(panel.y(0)), panel.height - panel.bottom
    marks = [tag("path", d=f"M{LEFT} {number(zero)}H{number(panel.width - 4)}", class_="rule zero")]
    for tick in ticks(panel.ylim, 3):
        marks.append(text(LEFT - 6, float(panel.y(tick)) + 3.5, label(tick), "tick end"))
    for column in range(-first % 10, length, 10):
        x = LEFT + COLUMN * (column + 0.5)
        marks.append(text(x, base + 14, f"{first + column:,}", "tick mid"))
    return Markup("").join(marks)


def _symbol(panel: Panel, symbol: str, column: int, height: float) -> Markup:
    # Heights run upwards, pixels downwards; what is below 0 hangs, as it is.
    zero = float(panel.y(0))
    foot = zero if height > 0 else zero - height
    matrix = f"matrix({COLUMN - 1} 0 0 {number(-abs(height))} {LEFT + COLUMN * column} {foot:.1f})"
    colour = f"symbol-{symbol}" if symbol in KNOWN else "symbol"
    return tag("use", href=f"#glyph-{symbol}", transform=matrix, class_=colour)


def _bars(panel: Panel, effects: np.ndarray, spread: np.ndarray, scale: float) -> Markup:
    """One standard error to either side of every effect."""
    path = []
    for column in np.flatnonzero(spread * scale >= LEAST):
        x = LEFT + COLUMN * column + (COLUMN - 1) / 2
        ends = panel.y(effects[column] + spread[column]), panel.y(effects[column] - spread[column])
        path.append(f"M{number(x)} {number(ends[0])}V{number(ends[1])}")
    return tag("path", d="".join(path), class_="error")


# --- pairs ----------------------------------------------------------------------------------------


def triangle(sites: np.ndarray, strength: np.ndarray, length: int, name: str) -> Markup:
    """The strongest pairs: each above the middle of its positions, as high as they are apart.

    sites: int[pairs, 2]. strength: float64[pairs], at least 0.
    """
    strongest = np.argsort(-strength, kind="stable")[:PAIRS]
    strongest = strongest[strength[strongest] > 0]
    sites, strength = sites[strongest], strength[strongest]
    apart = np.ptp(sites, axis=1)
    panel = Panel((-0.5, length - 0.5), (0, max(2, 1.05 * apart.max(initial=1))))
    axes = panel.axes("middle of the pair", "positions apart", whole_x=True)
    shade = np.ceil(SHADES * strength / strength.max(initial=1e-300)).astype(int)
    half = max(1.5, (panel.width - panel.left - panel.right) / length / 2)
    corner = number(half)
    square = f"l{corner} {corner}-{corner} {corner}-{corner}-{corner}z"
    paths = []
    for level in np.unique(shade):
        at = shade == level
        x, y = panel.x(sites[at].mean(1)), panel.y(apart[at])
        starts = (f"M{number(a)} {number(b - half)}{square}" for a, b in zip(x, y, strict=True))
        opacity = f"{level / SHADES:.1f}"
        paths.append(tag("path", d="".join(starts), class_="pos", fill_opacity=opacity))
    return figure(panel.width, panel.height, name, axes, *paths)


# --- from phenotype to scores ---------------------------------------------------------------------


def curve(
    phi: np.ndarray,
    y: np.ndarray,
    grid: np.ndarray,
    values: np.ndarray,
    band: tuple[np.ndarray, np.ndarray] | None,
    name: str,
) -> Markup:
    """Scores against the latent phenotype: dots, the fitted curve, and where noise puts scores.

    phi, y: float64[n], of which at most DOTS are shown, taken evenly. grid: rising; values and both
    edges of the band are at it.
    """
    step = max(1, -(-len(phi) // DOTS))
    phi, y = phi[::step], y[::step]
    seen = [y, values, *(band or ())]
    panel = Panel(limits(grid, 0), limits(np.concatenate(seen)))
    marks = [panel.axes("latent phenotype φ", "score")]
    if band is not None:
        x = np.concatenate([grid, grid[::-1]])
        edge = np.concatenate([band[0], band[1][::-1]])
        points = zip(panel.x(x), panel.y(edge), strict=True)
        marks.append(tag("polygon", points=" ".join(f"{number(a)},{number(b)}" for a, b in points),
                         class_="band"))  # fmt: skip
    marks.append(dots(panel.x(phi), panel.y(y), "faint measured"))
    marks.append(polyline(panel.x(grid), panel.y(values), "fitted"))
    return figure(panel.width, panel.height, name, *marks)

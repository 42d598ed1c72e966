"""SVG elements, and a panel with two axes.

Every string is escaped (markupsafe). Colours are CSS classes of the page's style sheet, never
written here; coordinates are rounded to a tenth of a pixel, so equal input gives equal bytes.
"""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

__all__ = [
    "MINUS", "Drawing", "Panel", "dots", "figure", "label", "limits", "line", "number", "polyline",
    "rectangles", "shorten", "tag", "text", "ticks",
]  # fmt: skip

MINUS = "\N{MINUS SIGN}"


def tag(name: str, *children, **attributes) -> Markup:
    """An element; `class_` is class, `stroke_width` is stroke-width; None omits an attribute."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _value(value))
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(children)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inside)


def _value(value) -> str:
    return number(float(value)) if isinstance(value, float | np.floating) else str(value)


def number(value: float) -> str:
    """A coordinate to a tenth of a pixel, as short as it can be written."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def label(value: float) -> str:
    """A tick label: as short as it can be, with a true minus sign."""
    return f"{value:.10g}".replace("-", MINUS)


def shorten(text: str, length: int) -> str:
    """`text`, cut to `length` characters with an ellipsis."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def text(x: float, y: float, string: str, class_: str = "", *, length: int | None = None, **more):
    """A text; one cut to `length` characters has the full string as its tooltip."""
    shown = shorten(string, length) if length else string
    full = tag("title", escape(string)) if shown != string else ""
    return tag("text", escape(shown), full, x=float(x), y=float(y), class_=class_ or None, **more)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def dots(x: np.ndarray, y: np.ndarray, class_: str) -> Markup:
    """Round dots as one path of zero-length strokes: ten bytes a dot."""
    path = "".join(f"M{number(a)} {number(b)}h0" for a, b in zip(x, y, strict=True))
    return tag("path", d=path, class_=f"dots {class_}")


def rectangles(corners: list[tuple[float, float]], width: float, height: float, **attributes):
    """Equal rectangles (left, top) as one path."""
    wide, tall = number(width), number(height)
    path = "".join(f"M{number(x)} {number(y)}h{wide}v{tall}h-{wide}z" for x, y in corners)
    return tag("path", d=path, **attributes)


def polyline(x: np.ndarray, y: np.ndarray, class_: str) -> Markup:
    points = " ".join(f"{number(a)},{number(b)}" for a, b in zip(x, y, strict=True))
    return tag("polyline", points=points, class_=class_)


class Drawing(Markup):
    """A figure as an svg element; width and height in pixels, marks: what is in it."""

    width: float
    height: float
    marks: Markup


def figure(
    width: float, height: float, title: str, *marks, scaled: bool = True, class_: str | None = None
) -> Drawing:
    """The svg element, read out as `title`; if `scaled`, it shrinks to the width of its box."""
    style = f"max-width:{number(width)}px"
    drawing = Drawing(tag(
        "svg",
        *marks,
        viewBox=f"0 0 {number(width)} {number(height)}",
        style=style if scaled else f"min-width:{number(width)}px;{style}",
        role="img",
        aria_label=title,
        class_=class_,
    ))  # fmt: skip
    drawing.width, drawing.height, drawing.marks = width, height, Markup("").join(marks)
    return drawing


def limits(values, pad: float = 0.05) -> tuple[float, float]:
    """Lowest and highest finite value with a margin; (0, 1) if there is none."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = pad * (high - low) or 0.5 * abs(high) or 0.5
    return low - margin, high + margin


@dataclass(frozen=True)
class Panel:
    """A box with axes. `x` and `y` convert data to pixels, clipped to the limits."""

    xlim: tuple[float, float]
    ylim: tuple[float, float]
    width: float = 360
    height: float = 260
    left: float = 48
    right: float = 10
    top: float = 10
    bottom: float = 40

    def x(self, value):
        return self.left + _share(value, self.xlim) * (self.width - self.left - self.right)

    def y(self, value):
        return self.height - self.bottom - _share(value, self.ylim) * self._tall

    @property
    def _tall(self) -> float:
        return self.height - self.bottom - self.top

    def axes(self, xlabel: str, ylabel: str, *, integer_x: bool = False, xticks: int = 6) -> Markup:
        """Grid, tick labels and axis labels; `integer_x` restricts x to integers, an empty
        `ylabel` omits the ticks of y."""
        end, base = self.width - self.right, self.height - self.bottom
        marks = []
        for tick in ticks(self.xlim, xticks, integer_x):
            marks.append(line(self.x(tick), self.top, self.x(tick), base, "grid"))
            marks.append(text(self.x(tick), base + 15, label(tick), "tick mid"))
        for tick in ticks(self.ylim, max(2, int(self._tall / 40))) if ylabel else []:
            marks.append(line(self.left, self.y(tick), end, self.y(tick), "grid"))
            marks.append(text(self.left - 6, self.y(tick) + 3.5, label(tick), "tick end"))
        marks.append(text((self.left + end) / 2, self.height - 6, xlabel, "axis mid"))
        turn = f"rotate(-90 12 {number(self.top + self._tall / 2)})"
        marks.append(text(12, self.top + self._tall / 2, ylabel, "axis mid", transform=turn))
        return Markup("").join(marks)


def ticks(lim: tuple[float, float], n: int, integer: bool = False) -> list[float]:
    """About `n` round values inside the limits."""
    found = MaxNLocator(n, integer=integer, steps=[1, 2, 5, 10]).tick_values(*lim)
    return [float(v) for v in found if lim[0] <= v <= lim[1]]


def _share(value, lim: tuple[float, float]):
    return np.clip((np.asarray(value, float) - lim[0]) / (lim[1] - lim[0]), 0, 1)

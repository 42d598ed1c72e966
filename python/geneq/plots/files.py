"""Figures as files: SVG with its style inside, for browsers and vector graphics programs."""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

from markupsafe import Markup, escape

from ..artifacts import atomic_path
from .logo import glyphs
from .svg import Drawing, number, tag, text

__all__ = ["standalone", "write_svg"]

TITLE, MARGIN = 26, 6
FONTS = "DejaVu Sans, Helvetica, Arial, sans-serif"


def write_svg(
    drawing: Drawing, path: str | Path, title: str = "", symbols: Iterable[str] = ()
) -> None:
    """Write a figure to the file `path`; arguments as of `standalone`."""
    with atomic_path(path) as temporary:
        temporary.write_text(standalone(drawing, title, symbols), encoding="utf-8")


def standalone(drawing: Drawing, title: str = "", symbols: Iterable[str] = ()) -> str:
    """A figure as the text of an SVG file.

    Parameters
    ----------
    drawing : Drawing
        A figure of `geneq.plots`.
    title : str
        Written above it.
    symbols : iterable of str
        The symbols of a logo.

    Returns
    -------
    str
        It has the colours of light pages, and needs no other file.
    """
    top = TITLE if title else 0
    width, height = drawing.width + 2 * MARGIN, drawing.height + 2 * MARGIN + top
    box = f"0 0 {number(width)} {number(height)}"
    marks = [tag("style", Markup(_style())), tag("title", escape(title))]
    marks.append(tag("rect", width=width, height=height, class_="paper"))
    if title:
        marks.append(text(width / 2, MARGIN + 13, title, "heading mid"))
    # Older programs know references by this name only.
    logo = Markup(str(drawing.marks).replace(' href="#', ' xlink:href="#'))
    marks += [glyphs(symbols), tag("g", logo, transform=f"translate({MARGIN} {MARGIN + top})")]
    head = {"xmlns": "http://www.w3.org/2000/svg", "xmlns:xlink": "http://www.w3.org/1999/xlink"}
    return str(tag("svg", *marks, **head, width=width, height=height, viewBox=box,
                   font_family=FONTS)) + "\n"  # fmt: skip


@cache
def _style() -> str:
    """The rules for figures of the pages' style sheet, with the colours of light pages.

    Variables are replaced by their values: vector graphics programs do not know them.
    """
    sheet = files("geneq").joinpath("templates/style.css").read_text(encoding="utf-8")
    light = dict(re.findall(r"(--[\w-]+): ([^;]+);", sheet[: sheet.index("}")]))
    rules = re.findall(r"^svg [^{]+\{[^}]*\}", sheet, re.MULTILINE)
    rules = [rule for rule in rules if not rule.startswith("svg {")]
    return re.sub(r"var\((--[\w-]+)\)", lambda name: light[name[1]], "\n".join(rules))

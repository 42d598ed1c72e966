"""The weights of a variable over bins and sequence classes, as a heat map."""

import numpy as np
from markupsafe import Markup

from .svg import figure, label, line, rectangles, text

__all__ = ["strip"]

CELL, LEFT, MOST, SHADES = 15, 96, 6, 6


def strip(variable: dict, document: dict) -> Markup:
    """`variable`: one of equations/<n>.json, `document`: all of it.

    A figure for each block that the variable reads: a row for each class (the six with the largest
    absolute weights, others counted), a column for each bin, drawn equally wide with their edges
    below; the TSS as a vertical line. The block is named where the document has several.
    """
    places = sorted({weight["block"] for weight in variable["weights"]})
    figures = []
    for place in places:
        about = document["blocks"][place]
        weights = [weight for weight in variable["weights"] if weight["block"] == place]
        note = about["name"] if len(document["blocks"]) > 1 else ""
        figures.append(_figure(weights, about.get("bin_edges"), note))
    return Markup("").join(figures)


def _figure(weights_of: list[dict], edges: list[float] | None, note: str) -> Markup:
    """The figure of one block; gene features have no edges."""
    bins = len(edges) - 1 if edges else 1
    names, weights = _rows(weights_of, bins)
    rest, names, weights = max(0, len(names) - MOST), names[:MOST], weights[:MOST]
    step = max(22, 300 / bins)
    top, base = 4, 4 + CELL * len(names)
    marks = [
        text(LEFT - 6, top + CELL * i + 11, name, "tick end", length=15)
        for i, name in enumerate(names)
    ]
    marks += _cells(weights, top, step)
    if edges:
        marks += _edges(edges, base, step) + _start(edges, top, base, step)
    notes = "; ".join(filter(None, [note, f"and {rest} more classes" if rest else ""]))
    if notes:
        marks.append(text(LEFT, base + 28, notes, "note"))
    height = base + (32 if notes else 18)
    return figure(LEFT + step * bins + 16, height, _in_words(names, weights, edges), *marks)


def _rows(weights: list[dict], bins: int) -> tuple[list[str], np.ndarray]:
    """Classes by decreasing sum of absolute weights, and float[class, bin]."""
    rows: dict[str, np.ndarray] = {}
    for weight in weights:
        row = rows.setdefault(weight["class"], np.zeros(bins))
        row[weight["bin"]] += weight["weight"]
    names = sorted(rows, key=lambda name: (-np.abs(rows[name]).sum(), name))
    return names, np.array([rows[name] for name in names]).reshape(len(names), bins)


def _cells(weights: np.ndarray, top: float, step: float) -> list[Markup]:
    """One path for each sign and shade; cells without a weight are pale."""
    shade = np.zeros(weights.shape, int)
    if np.abs(weights).max(initial=0) > 0:
        share = np.abs(weights) / np.abs(weights).max()
        shade = np.sign(weights).astype(int) * np.ceil(SHADES * share).astype(int)
    paths = []
    for level in np.unique(shade):
        corners = [(LEFT + step * b, top + CELL * i) for i, b in np.argwhere(shade == level)]
        class_ = "none" if level == 0 else "pos" if level > 0 else "neg"
        opacity = f"{abs(level) / SHADES:.2f}" if level else None
        paths.append(rectangles(corners, step - 1, CELL - 1, class_=class_, fill_opacity=opacity))
    return paths


def _in_words(names: list[str], weights: np.ndarray, edges: list[float] | None) -> str:
    """The description for screen readers: where the first class has its largest weight."""
    if not names:
        return "No weights"
    if not edges:
        return f"Weights of gene features; {names[0]} weighs most"
    b = int(np.abs(weights[0]).argmax())
    where = f"{label(round(edges[b], 2))} to {label(round(edges[b + 1], 2))}"
    return f"Weights over {len(edges) - 1} bins; {names[0]} weighs most from {where}"


def _edges(edges: list[float], base: float, step: float) -> list[Markup]:
    return [
        text(LEFT + step * i - 0.5, base + 12, label(round(edge, 2)), "tick mid tiny")
        for i, edge in enumerate(edges)
    ]


def _start(edges: list[float], top: float, base: float, step: float) -> list[Markup]:
    """The vertical line at position 0, if the window includes it (those of promoters do not)."""
    if not edges[0] < 0 < edges[-1]:
        return []
    x = LEFT - 0.5 + step * float(np.interp(0, edges, np.arange(len(edges))))
    return [line(x, top - 3, x, base + 2, "tss")]

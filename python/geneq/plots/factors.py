"""Figures of a factorial design: what motifs do where they are, and two by what lies between."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

COLOURS = colormaps["tab10"].colors
# Width of a panel and height, inches, and panels of a row.
WIDTH, HEIGHT, PANELS = 3.6, 2.8, 3
# Half the width of a 95 % interval, in standard errors.
INTERVAL = 1.96


def level_effects(table: pd.DataFrame, name: str = "y") -> Figure:
    """What each motif does, by where it starts: a panel a motif, a line a sequence and strand.

    table: motif, sequence, start (−1 if absent), strand, effect and error (NaN where not known).
    """
    there = table[table["start"] >= 0].assign(error=table.get("error", np.nan))
    figure, panels = _panels(there["motif"].nunique())
    for axes, (motif, rows) in zip(panels, there.groupby("motif", sort=False), strict=True):
        choice = rows["sequence"].nunique() > 1
        labels = rows["sequence"].str.cat(rows["strand"], " ") if choice else rows["strand"]
        _lines(axes, rows.assign(label=labels, x=rows["start"]))
        axes.set(title=motif, xlabel="start", ylabel=f"effect on {name}")
    return figure


def spacing_curves(table: pd.DataFrame, name: str = "y") -> Figure:
    """What two motifs do by the symbols between them: a panel a pair of motifs, in their order.

    table: as of geneq.surrogates.factorial.spacings, of one target: effect and error, alone,
    measured and se_measured. Lines are the surrogate's, points and bars what was measured, thin
    lines the sum of what each of the two does alone.
    """
    figure, panels = _panels(len(table[["first", "second"]].drop_duplicates()))
    pairs = table.assign(error=table.get("error", np.nan)).groupby(["first", "second"], sort=False)
    for axes, ((first, second), rows) in zip(panels, pairs, strict=True):
        parts = [_named(rows, "_1"), _named(rows, "_2")]
        _lines(axes, rows.assign(label=parts[0].str.cat(parts[1], " "), x=rows["spacing"]))
        axes.set(title=f"{first}, then {second}", xlabel="symbols between",
                 ylabel=f"effect on {name}")  # fmt: skip
    return figure


def _named(rows: pd.DataFrame, suffix: str) -> pd.Series:
    """What tells a motif of a curve from others: its strand, and its sequence of several."""
    strand, sequence = rows[f"strand{suffix}"], rows[f"sequence{suffix}"]
    return sequence.str.cat(strand, " ") if sequence.nunique() > 1 else strand


def _panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    columns = max(1, min(count, PANELS))
    rows = max(1, -(-count // columns))
    figure = Figure(figsize=(WIDTH * columns, HEIGHT * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[count:]:
        unused.set_visible(False)
    return figure, axes[:count]


def _lines(axes: Axes, rows: pd.DataFrame) -> None:
    """A line for each label: its effects with a band of 95 %, and what else there is of it."""
    for number, (label, line) in enumerate(rows.groupby("label", sort=True)):
        line, colour = line.sort_values("x"), COLOURS[number % len(COLOURS)]
        axes.plot(line["x"], line["effect"], "-o", markersize=2.5, color=colour, label=label)
        away = INTERVAL * line["error"].fillna(0)
        axes.fill_between(line["x"], line["effect"] - away, line["effect"] + away,
                          color=colour, alpha=0.2, linewidth=0)  # fmt: skip
        if "alone" in line:
            axes.plot(line["x"], line["alone"], color=colour, linewidth=0.7, linestyle=":")
            axes.errorbar(line["x"], line["measured"], INTERVAL * line["se_measured"], fmt="s",
                          markersize=3, markerfacecolor="none", color=colour,
                          linewidth=0.7)  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.axhline(0, color="black", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")

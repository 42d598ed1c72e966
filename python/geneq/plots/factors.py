"""Factorial designs: effects of motifs by their starts, and of two motifs by their spacing."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from markupsafe import Markup

from .svg import Drawing, Panel, dots, figure, limits, line, number, polyline, tag, text

__all__ = ["level_effects", "spacing_curves"]

# Pixels of a panel, of a row of its legend and of a character in it; panels of a row.
WIDTH, HEIGHT, ROW, CHARACTER, PANELS = 320.0, 240.0, 14.0, 6.2, 3
HUES = 10
# Half the width of a 95 % interval, in standard errors.
INTERVAL = 1.96


def level_effects(table: pd.DataFrame, score: str) -> Drawing:
    """Effects of each motif by its start: a panel for each motif, a line for each strand.

    Parameters
    ----------
    table : DataFrame
        LEVELS of one target.
    score : str
        Name of the score.
    """
    there = table[table["start"] >= 0]
    panels = []
    for motif, rows in there.groupby("motif", sort=False):
        several = rows["sequence"].nunique() > 1
        labels = rows["sequence"].str.cat(rows["strand"], " ") if several else rows["strand"]
        panels.append(_panel(rows.assign(label=labels, x=rows["start"]), str(motif), "start",
                             f"effect on {score}"))  # fmt: skip
    return _grid(panels, f"Effects of motifs on {score} by their starts")


def spacing_curves(table: pd.DataFrame, score: str) -> Drawing:
    """Joint effects of two motifs by their spacing: a panel for each pair of motifs, in order.

    Lines and bands are the surrogate's, with 95 % intervals; squares and bars are measured. Dotted
    lines are the sum of the effects of each motif alone.

    Parameters
    ----------
    table : DataFrame
        SPACINGS of one target.
    score : str
        Name of the score.
    """
    panels = []
    for (first, second), rows in table.groupby(["motif_1", "motif_2"], sort=False):
        labels = _named(rows, "_1").str.cat(_named(rows, "_2"), " ")
        panels.append(_panel(rows.assign(label=labels, x=rows["spacing"]),
                             f"{first}, then {second}", "symbols between",
                             f"effect on {score}"))  # fmt: skip
    return _grid(panels, f"Effects of two motifs on {score} by their spacing")


def _named(rows: pd.DataFrame, suffix: str) -> pd.Series:
    """What distinguishes the levels of a motif: its strand, and its sequence if it has several."""
    strand, sequence = rows[f"strand{suffix}"], rows[f"sequence{suffix}"]
    return sequence.str.cat(strand, " ") if sequence.nunique() > 1 else strand


def _grid(panels: list[Callable[[], Markup]], name: str) -> Drawing:
    columns = max(1, min(len(panels), PANELS))
    rows = max(1, -(-len(panels) // columns))
    groups = [
        tag("g", draw(), transform=f"translate({number(WIDTH * (i % columns))} "
            f"{number(HEIGHT * (i // columns))})")
        for i, draw in enumerate(panels)
    ]  # fmt: skip
    return figure(WIDTH * columns, HEIGHT * rows, name, *groups)


# --- a panel --------------------------------------------------------------------------------------


def _panel(rows: pd.DataFrame, title: str, xlabel: str, ylabel: str) -> Callable[[], Markup]:
    """Lines of `rows` by label, x, y and se_y; where there are any, alone and measured values."""

    def draw() -> Markup:
        entries, legend_rows = _legend(sorted(rows["label"].unique()))
        panel = Panel(_xlim(rows["x"].to_numpy(float)), _ylim(rows), WIDTH, HEIGHT,
                      top=26 + ROW * legend_rows)  # fmt: skip
        marks = [text((panel.left + WIDTH) / 2, 15, title, "row mid", length=44), *entries,
                 panel.axes(xlabel, ylabel, integer_x=True),
                 line(panel.left, float(panel.y(0)), WIDTH - panel.right, float(panel.y(0)),
                      "rule zero")]  # fmt: skip
        for at, (_, group) in enumerate(rows.groupby("label", sort=True)):
            marks += _line(panel, group.sort_values("x"), f"hue-{at % HUES}")
        return Markup("").join(marks)

    return draw


def _xlim(x: np.ndarray) -> tuple[float, float]:
    margin = max(1.0, 0.04 * float(np.ptp(x)))
    return float(x.min()) - margin, float(x.max()) + margin


def _ylim(rows: pd.DataFrame) -> tuple[float, float]:
    """All that is drawn, and 0."""
    parts = [np.zeros(1), *_interval(rows, "y")]
    if "alone" in rows:
        parts += [rows["alone"].to_numpy(), *_interval(rows, "measured")]
    return limits(np.concatenate(parts))


def _interval(rows: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the 95 % interval; the value itself where its error is unknown."""
    values, away = rows[name].to_numpy(), INTERVAL * rows[f"se_{name}"].fillna(0).to_numpy()
    return values - away, values + away


def _line(panel: Panel, rows: pd.DataFrame, hue: str) -> Iterator[Markup]:
    x, y = panel.x(rows["x"].to_numpy()), panel.y(rows["y"].to_numpy())
    low, high = map(panel.y, _interval(rows, "y"))
    edge = zip([*x, *x[::-1]], [*high, *low[::-1]], strict=True)
    points = " ".join(f"{number(a)},{number(b)}" for a, b in edge)
    yield tag("polygon", points=points, class_=f"shade {hue}")
    if "alone" in rows:
        yield polyline(x, panel.y(rows["alone"].to_numpy()), f"series alone {hue}")
        yield _measured(panel, rows, hue)
    yield polyline(x, y, f"series {hue}")
    yield dots(x, y, f"series {hue}")


def _measured(panel: Panel, rows: pd.DataFrame, hue: str) -> Markup:
    """A square at each measured value, and its 95 % interval."""
    low, high = map(panel.y, _interval(rows, "measured"))
    x, y = panel.x(rows["x"].to_numpy()), panel.y(rows["measured"].to_numpy())
    path = "".join(
        f"M{number(a)} {number(top)}V{number(b - 2.5)}M{number(a)} {number(b + 2.5)}V{number(base)}"
        f"M{number(a - 2.5)} {number(b - 2.5)}h5v5h-5z"
        for a, b, top, base in zip(x, y, high, low, strict=True)
    )
    return tag("path", d=path, class_=f"series thin {hue}")


def _legend(labels: list[str]) -> tuple[list[Markup], int]:
    """Entries below the title, and the number of rows that they take."""
    marks, x, row = [], 52.0, 0
    for at, entry in enumerate(labels):
        wide = 26 + CHARACTER * min(len(entry), 28)
        if x + wide > WIDTH and x > 52:
            x, row = 52.0, row + 1
        y = 28 + ROW * row
        marks.append(line(x, y - 3.5, x + 14, y - 3.5, f"series hue-{at % HUES}"))
        marks.append(text(x + 18, y, entry, "tick", length=28))
        x += wide
    return marks, row + 1

"""r of every model and the ceiling: a row for each cell type, or for each data set."""

import numpy as np
import pandas as pd
from markupsafe import Markup

from .svg import MINUS, Panel, figure, line, number, tag, text

__all__ = ["forest", "mark", "strips"]

WIDTH, LEFT, TOP = 560, 150, 12
NAMES = {
    "equation": "equation",
    "faithful": "faithful equation",
    "shared": "shared equation",
    "teacher": "teacher",
    "elastic_net": "elastic net",
    "lasso2": "degree-2 lasso",
    "ridge": "ridge",
    "trees": "boosted trees",
    "ebm": "EBM",
    "gam": "GAM",
}


def forest(table: pd.DataFrame, title: str) -> Markup:
    """`table`: rows of METRICS of one kind and split, against expression.

    A row for each cell type, a line for each model with its 95 % interval; the ceiling is a
    vertical bar.
    """
    table = table[table["against"] == "expression"]
    models = [model for model in NAMES if model in set(table["model"])]
    cell_types = table["cell_type"].drop_duplicates().tolist()
    rows = {(row.cell_type, row.model): row for row in table.itertuples()}
    step = 9 * len(models) + 8
    panel = _panel(table[["r", "low"]].to_numpy(float), len(cell_types) * step)
    marks = [panel.axes("Pearson r", "", xticks=8)]
    for i, cell_type in enumerate(cell_types):
        top = TOP + i * step
        marks.append(text(LEFT - 10, top + step / 2 + 4, cell_type, "row end", length=22))
        marks.append(_ceiling(panel, rows[cell_type, models[0]].ceiling, top, step))
        for j, model in enumerate(models):
            marks.append(_estimate(panel, rows[cell_type, model], top + 9 * j + 8.5))
        if i:
            marks.append(line(4, top, WIDTH, top, "rule"))
    return figure(WIDTH, panel.height, title, *marks)


def strips(table: pd.DataFrame, title: str) -> Markup:
    """`table`: columns dataset, model, r. A row for each data set, a mark for each cell type, the
    median of the equations as a vertical bar."""
    datasets = table["dataset"].drop_duplicates().tolist()
    panel = _panel(table["r"].to_numpy(float), 22 * len(datasets))
    marks = [panel.axes("Pearson r", "", xticks=8)]
    for i, (dataset, rows) in enumerate(table.groupby("dataset", sort=False)):
        y = TOP + 22 * i + 11
        if i:
            marks.append(line(4, y - 11, WIDTH, y - 11, "rule"))
        marks.append(text(LEFT - 10, y + 4, dataset, "row end", length=22))
        for row in rows[rows["model"] == "teacher"].dropna(subset="r").itertuples():
            marks.append(mark("teacher", panel.x(row.r), y + 4))
        equations = rows[rows["model"] == "equation"].dropna(subset="r")
        for row in equations.itertuples():
            marks.append(mark("equation", panel.x(row.r), y - 4))
        if len(equations):
            middle = panel.x(equations["r"].median())
            marks.append(line(middle, y - 9, middle, y + 1, "median"))
    return figure(WIDTH, panel.height, title, *marks)


def _panel(values: np.ndarray, rows_height: float) -> Panel:
    values = values[np.isfinite(values)]
    lowest = min(0.0, np.floor(10 * values.min()) / 10) if len(values) else 0.0
    return Panel(
        (max(-1.0, lowest), 1.0), (0, 1), WIDTH, rows_height + TOP + 40, left=LEFT, top=TOP
    )


def _ceiling(panel: Panel, ceiling: float, top: float, step: float) -> Markup:
    if not np.isfinite(ceiling):
        return Markup("")
    x = panel.x(ceiling)
    return tag("g", line(x, top + 4, x, top + step - 4, "ceiling"),
               tag("title", f"ceiling {ceiling:.3f}"))  # fmt: skip


def _estimate(panel: Panel, row, y: float) -> Markup:
    if not np.isfinite(row.r):
        return Markup("")
    bar = line(panel.x(row.low), y, panel.x(row.high), y, f"interval {row.model}")
    r, low, high = (f"{value:.3f}".replace("-", MINUS) for value in (row.r, row.low, row.high))
    title = tag("title", f"{NAMES[row.model]}: r = {r} ({low} to {high}), n = {row.n:,}")
    return tag("g", bar if np.isfinite(row.low) else "", mark(row.model, panel.x(row.r), y), title)


def mark(model: str, x: float, y: float) -> Markup:
    """The model's shape, so that colour is not needed: ●, ▼, ⬟, ■, ◆, ▲, ▮, ▬, ✚, ✖."""
    if model == "equation":
        return tag("circle", cx=float(x), cy=float(y), r=3.6, class_=f"mark {model}")
    shape = {
        "teacher": "-3-3h6v6h-6z",
        "elastic_net": "0-4l4 4l-4 4l-4-4z",
        "lasso2": "0-4l4 7h-8z",
        "faithful": "0 4l4-7h-8z",
        "shared": "0-3.8l3.8 2.8-1.5 4.4h-4.6l-1.5-4.4z",
        "ridge": "-1.2-4h2.4v8h-2.4z",
        "trees": "-4-1.2v2.4h8v-2.4z",
        "ebm": "-1.2-4h2.4v2.8h2.8v2.4h-2.8v2.8h-2.4v-2.8h-2.8v-2.4h2.8z",
        "gam": "-3.6-2.2l1.4-1.4 2.2 2.2 2.2-2.2 1.4 1.4-2.2 2.2 2.2 2.2-1.4 1.4"
        "-2.2-2.2-2.2 2.2-1.4-1.4 2.2-2.2z",
    }[model]
    path = f"M{number(x)} {number(y)}m{shape}"
    return tag("path", d=path, class_=f"mark {model}")

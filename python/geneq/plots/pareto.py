"""The Pareto front of one cell type: error against complexity, fidelity below."""

import numpy as np
import pandas as pd
from markupsafe import Markup

from .svg import Panel, dots, figure, limits, line, polyline, tag, text

__all__ = ["pareto"]

WIDTH, HEIGHT, LOWER = 360, 250, 110


def pareto(front: pd.DataFrame) -> Markup:
    """`front`: the rows of EQUATIONS of one cell type.

    Above: out-of-fold mean squared error on measured expression, each member with the paired
    standard error of its difference from the best (dashed), the selected one ringed. Below: R²
    against the teacher. Members far worse than the constant are drawn at the upper edge.
    """
    front = front[np.isfinite(front["oof_mse"])].sort_values("complexity")
    if front.empty:
        return Markup("")
    xlim = limits(np.append(front["complexity"], 0), 0.06)
    upper = _errors(front, xlim)
    lower = _fidelity(front, xlim)
    return figure(
        WIDTH,
        HEIGHT + LOWER,
        "Pareto front: out-of-fold error and fidelity to the teacher by complexity",
        upper,
        tag("g", lower, transform=f"translate(0 {HEIGHT})"),
    )


def _errors(front: pd.DataFrame, xlim: tuple[float, float]) -> Markup:
    mse, se = front["oof_mse"], front["oof_delta_se"].fillna(0)
    best = mse.min()
    shown = mse <= best + 1.3 * max(mse.iloc[0] - best, 1e-12) + se
    bars = np.concatenate([mse[shown] - se[shown], mse[shown] + se[shown]])
    panel = Panel(xlim, limits(bars, 0.08), WIDTH, HEIGHT, bottom=26)
    marks = [panel.axes("", "out-of-fold error (MSE)", integer_x=True)]
    marks.append(line(panel.left, panel.y(best), WIDTH - panel.right, panel.y(best), "best"))
    marks.append(polyline(panel.x(front["complexity"]), panel.y(mse), "front"))
    for row, half in zip(front.itertuples(), se, strict=True):
        x, y = panel.x(row.complexity), panel.y(row.oof_mse)
        low, high = panel.y(row.oof_mse - half), panel.y(row.oof_mse + half)
        title = tag("title", f"{row.infix} · complexity {row.complexity}, "
                    f"error {row.oof_mse:.3g}, {row.oof_delta:.2g} above the best "
                    f"(s.e. {half:.2g}), R² against the teacher {row.fidelity:.2f}")  # fmt: skip
        ring = tag("circle", cx=x, cy=y, r=7, class_="ring") if row.chosen else ""
        bar = line(x, low, x, high, "bar") if half > 0 else ""
        marks.append(tag("g", bar, tag("circle", cx=x, cy=y, r=3.2, class_="member"), ring, title))
        if row.chosen:
            marks.append(text(x + 10, y - 8, "chosen", "note"))
    return Markup("").join(marks)


def _fidelity(front: pd.DataFrame, xlim: tuple[float, float]) -> Markup:
    panel = Panel(xlim, (0, 1), WIDTH, LOWER, top=4)
    known = front[np.isfinite(front["fidelity"])]
    x, y = panel.x(known["complexity"]), panel.y(known["fidelity"])
    return Markup("").join(
        [
            panel.axes("complexity (nodes)", "fidelity R²", integer_x=True),
            polyline(x, y, "front"),
            dots(x, y, "small"),
        ]
    )

"""The architecture search: loss of every trial in turn."""

import numpy as np
import pandas as pd
from markupsafe import Markup

from .svg import Panel, dots, figure, limits, polyline, tag

__all__ = ["trials"]


def trials(table: pd.DataFrame) -> Markup:
    """`table`: TRIALS. Complete trials filled, pruned ones hollow, the best so far as a line,
    the teacher in a ring.
    """
    table = table[np.isfinite(table["loss"])].sort_values("trial")
    complete = table[table["state"] == "complete"]
    if complete.empty:
        return Markup("")
    loss, best = table["loss"], complete["loss"].min()
    # A failed start can be worse by orders of magnitude: those are drawn at the upper edge.
    high = min(loss.max(), max(best + 4 * (complete["loss"].median() - best), 1.25 * best))
    panel = Panel(limits(np.append(table["trial"], -0.5)), limits([best, high], 0.08), width=560)
    pruned = table[table["state"] != "complete"]
    steps = complete["loss"].cummin()
    chosen = complete[complete["chosen"]].iloc[0]
    return figure(
        panel.width,
        panel.height,
        f"Validation loss of {len(table)} trials, best {best:.3g}",
        panel.axes("trial", "validation loss", integer_x=True, xticks=10),
        polyline(panel.x(np.repeat(complete["trial"], 2)[1:]), panel.y(np.repeat(steps, 2)[:-1]),
                 "front"),
        *[tag("circle", cx=panel.x(row.trial), cy=panel.y(row.loss), r=3, class_="pruned")
          for row in pruned.itertuples()],
        dots(panel.x(complete["trial"]), panel.y(complete["loss"]), "trial"),
        tag("circle", cx=panel.x(chosen["trial"]), cy=panel.y(chosen["loss"]), r=7, class_="ring"),
    )  # fmt: skip

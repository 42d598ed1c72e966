"""Reference implementation of classes of outputs: one window, class and output at a time.

Imports nothing of geneq, so that both cannot have the same bug.
"""

import numpy as np


def class_scores(outputs: dict[str, list[float]], rows: list[tuple]) -> dict[str, list[float]]:
    """Scores of classes, from outputs by name and rows (output, class, weight, mean, sd)."""
    names = list(dict.fromkeys(row[1] for row in rows))
    windows = len(next(iter(outputs.values())))
    scores: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        members = [row for row in rows if row[1] == name]
        total = sum(abs(weight) for _, _, weight, _, _ in members)
        for window in range(windows):
            terms = [
                w * (outputs[output][window] - mean) / sd for output, _, w, mean, sd in members
            ]
            scores[name].append(sum(terms) / total)
    return scores


def correlation(x, y) -> float:
    x, y = np.asarray(x, float), np.asarray(y, float)
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))

"""Effects of sequence classes in the equations of cell types, and an order that groups them."""

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage

from ..equations import class_label, class_shares, evaluate, parse, used_variables

__all__ = ["Effect", "alike_together", "class_effects", "matrix"]

DRAWS, POINTS = 128, 9
MIXED = 0.3


@dataclass(frozen=True)
class Effect:
    """The effect of a class on the equation over its range, in log2 units of expression.

    direction: 1 up, -1 down, 0 both (it depends on the class itself or on others).
    """

    size: float
    direction: int


def class_effects(document: dict) -> dict[str, Effect]:
    """Class → effect, for the classes of the variables in the expression of one equation.

    A variable is varied from the low to the high end of its training range while the others are
    drawn uniformly from theirs (128 draws, seeded): its size is the mean difference between the
    lowest and highest value. Sizes of variables of the same class are summed; that of a variable
    which mixes classes is divided among them by `class_shares`.
    """
    used = used_variables(document)
    tree = parse(document["expression"])
    low, high = (np.array([v["range"][end] for v in used], float) for end in (0, 1))
    rng = np.random.default_rng(1)
    others = low[:, None, None] + (high - low)[:, None, None] * rng.random((len(used), DRAWS, 1))
    sums: dict[str, list[float]] = {}
    for j, variable in enumerate(used):
        values = {v["name"]: others[i] for i, v in enumerate(used)}
        values[variable["name"]] = np.linspace(low[j], high[j], POINTS)[None, :]
        path = evaluate(tree, {**document["constants"], **values})
        path = np.broadcast_to(path, (DRAWS, POINTS))
        path = path[np.isfinite(path).all(axis=1)]
        if len(path):
            size, swing = np.ptp(path, axis=1).mean(), (path[:, -1] - path[:, 0]).mean()
            for key, share in class_shares(variable).items():
                total = sums.setdefault(class_label(*key, document), [0.0, 0.0])
                total[0] += float(size * abs(share))
                total[1] += float(swing * share)
    return {name: Effect(size, _direction(size, swing)) for name, (size, swing) in sums.items()}


def _direction(size: float, swing: float) -> int:
    return 0 if abs(swing) < MIXED * size else int(np.sign(swing))


def matrix(effects: list[dict[str, Effect]]) -> tuple[list[str], list[list[Effect | None]]]:
    """Classes of the columns, by decreasing number of rows and size, and a row per equation."""
    classes = {name for row in effects for name in row}

    def weight(name: str) -> tuple:
        met = [row[name].size for row in effects if name in row]
        return (-len(met), -sum(met), name)

    ordered = sorted(classes, key=weight)
    return ordered, [[row.get(name) for name in ordered] for row in effects]


def alike_together(rows: list[list[Effect | None]]) -> list[int]:
    """The order of rows by average-linkage clustering of their signed effects."""
    values = np.array(
        [[e.size * e.direction if e else 0.0 for e in row] for row in rows], dtype=float
    )
    if len(rows) < 3 or not values.any():
        return list(range(len(rows)))
    return [int(i) for i in leaves_list(linkage(np.arcsinh(values), "average"))]

"""What an equation can be written in: pooled classes and programmes, both explicit weighted sums.

A *pooled class* is one of the teacher's own variables. A *programme* is a weighted sum over the
bins of several classes, reduced to few of them: directions in which the network's prediction of a
cell type changes most, read from its gradient (an active subspace: Constantine et al., SIAM J. Sci.
Comput. 36:A1500, 2014), and the sum that is closest to the teacher's predictions (by ridge
regression).
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from ..features import Column
from ..teacher import TrainedTeacher

# A variable matters when shuffling it moves the teacher by this share of its variance.
IMPORTANT = 0.002
# A direction matters when the teacher's gradient has this share of its mean square along it.
LEAST_SHARE = 0.02
# Programmes are reduced to the fewest classes that keep this R² with the direction.
ENOUGH = 0.99
# Ridge penalty of a programme's weights, over the number of genes.
PENALTY = 0.01
# A programme of fewer classes than this, all of them pooled classes, adds nothing to those.
LEAST_CLASSES = 3
# Variables so correlated are one.
SAME = 0.995
PROGRAMME = "programme"


@dataclass(frozen=True)
class Variable:
    """offset + Σ_column weights · scaled columns; mean 0 and deviation 1 over training genes.

    label: the class, or None if it mixes classes; classes: number of them.
    """

    name: str
    label: str | None
    classes: int
    weights: np.ndarray
    offset: float

    def values(self, columns: np.ndarray) -> np.ndarray:
        """float64[n] from scaled columns, float32[n, columns]."""
        used = np.flatnonzero(self.weights)
        return columns[:, used].astype(float) @ self.weights[used] + self.offset


def offered(
    teacher: TrainedTeacher,
    columns: np.ndarray,
    about: list[Column],
    predicted: np.ndarray,
    head: int,
    most: int,
    programmes: int,
    classes: int,
    seed: int,
) -> list[Variable]:
    """The variables of one head of the teacher: at most `most` pooled classes, `programmes` more.

    The last of the programmes is the one that is closest to the predictions.

    columns: float32[n, columns], scaled columns of training genes; about: what they are;
    predicted: float64[n], the teacher's predictions of these genes; classes: the most that a
    programme may have.
    """
    pooled = teacher.pool(columns)
    places = important(teacher, pooled, head, seed)
    mixed: list[np.ndarray] = []
    if places and programmes:
        mixed = directions(teacher, pooled, [head])[: programmes - 1]
        mixed.append(closest(columns, predicted))
    return written(teacher, columns, about, places, mixed, most, classes)


def written(
    teacher: TrainedTeacher,
    columns: np.ndarray,
    about: list[Column],
    places: list[int],
    mixed: list[np.ndarray],
    most: int,
    classes: int,
) -> list[Variable]:
    """The variables from places of the teacher's, most important first, and the weights of
    programmes, float64[columns] each; arguments and limits as in `offered`."""
    taken = [v for v in places if teacher.variables[v].name is not None][:most]
    classes_taken = {(teacher.variables[v].block, teacher.variables[v].name) for v in taken}
    labels = [variable.name for variable in teacher.variables]
    named = [label for label in labels if label is not None]
    names = variable_names([*named, *[PROGRAMME] * len(mixed)])
    found = [_standardised(names[v], labels[v], 1, teacher.weights(v)[0], columns) for v in taken]
    known = [variable.values(columns) for variable in found]
    for name, weights in zip(names[len(named) :], mixed, strict=True):
        weights = with_few_classes(columns, about, weights, classes)
        used = {(c.block, c.name) for c, w in zip(about, weights, strict=True) if w}
        if len(used) < LEAST_CLASSES and used <= classes_taken:
            continue
        programme = _standardised(name, None, len(used), weights, columns)
        values = programme.values(columns)
        if all(abs(values @ other) < SAME * len(values) for other in known):
            found.append(programme)
            known.append(values)
    return found


def _standardised(
    name: str, label: str | None, classes: int, weights: np.ndarray, columns: np.ndarray
) -> Variable:
    values = Variable(name, label, classes, weights, 0.0).values(columns)
    sd = values.std() or 1.0
    return Variable(name, label, classes, weights / sd, -values.mean() / sd)


def important(teacher: TrainedTeacher, pooled: np.ndarray, head: int, seed: int) -> list[int]:
    """Places of the variables that the head's prediction depends on, most important first.

    pooled: float32[n, variables] of training genes.
    """
    importance = importances(teacher, pooled, [head], seed)[:, 0]
    ranked = np.argsort(-importance, kind="stable")
    return [int(c) for c in ranked if importance[c] >= IMPORTANT]


def importances(
    teacher: TrainedTeacher, pooled: np.ndarray, heads: list[int], seed: int
) -> np.ndarray:
    """How much every variable matters for heads of the teacher, float64[variables, heads].

    The mean squared change of the prediction when the variable's column is shuffled, over the
    prediction's variance; 0 for a prediction that is constant.
    """
    base = teacher.predict_pooled(pooled)
    variance = [base[:, head].var() for head in heads]
    order = np.random.default_rng(seed).permutation(len(pooled))
    found = np.zeros((pooled.shape[1], len(heads)))
    for c in range(pooled.shape[1]):
        shuffled = pooled.copy()
        shuffled[:, c] = pooled[order, c]
        predicted = teacher.predict_pooled(shuffled)
        for j, head in enumerate(heads):
            if variance[j] >= 1e-10:
                change = predicted[:, head] - base[:, head]
                found[c, j] = (change**2).mean() / variance[j]
    return found


def closest(columns: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The weights of the sum of columns that is closest to float64[n] predictions, by ridge
    regression, float64[columns]. columns: float32[n, columns]."""
    x, sd, gram = _standard(columns)
    return np.linalg.solve(gram, x.T @ (predicted - predicted.mean())) / np.where(sd > 0, sd, 1)


def _standard(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What ridge regression on float32[n, columns] needs: columns of mean 0 and deviation 1, those
    that are constant 0, float64[n, columns]; their deviations; their products, with the penalty."""
    x = columns.astype(float)
    sd = x.std(0)
    x = np.divide(x - x.mean(0), sd, out=np.zeros_like(x), where=sd > 0)
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += PENALTY * len(x)
    return x, sd, gram


def directions(teacher: TrainedTeacher, pooled: np.ndarray, heads: list[int]) -> list[np.ndarray]:
    """Directions in which the network's predictions change most, float64[columns] each.

    pooled: float32[n, variables] of training genes. The eigenvectors of the mean outer product of
    the gradient with respect to standardised variables, of the standardised predictions of these
    heads together, as weights of the columns; a direction's sign is such that the predictions
    rise along it on average.
    """
    z = torch.from_numpy(pooled).clone().requires_grad_()
    predicted = teacher.network.eval().members(z).mean(0)
    sd = pooled.std(0, dtype=float)
    products, mean = np.zeros((len(sd), len(sd))), np.zeros(len(sd))
    for head in heads:
        total = predicted[:, head].sum()
        gradient = torch.autograd.grad(total, z, retain_graph=True)[0].numpy().astype(float) * sd
        products += gradient.T @ gradient
        mean += gradient.mean(0)
    size, vectors = np.linalg.eigh(products)
    if size.sum() <= 0:
        return []
    vectors *= np.where(mean @ vectors < 0, -1, 1)
    kept = [i for i in range(len(size))[::-1] if size[i] >= LEAST_SHARE * size.sum()]
    found = [np.divide(vectors[:, i], sd, out=np.zeros(len(sd)), where=sd > 0) for i in kept]
    return [_of_columns(teacher, direction) for direction in found]


def _of_columns(teacher: TrainedTeacher, direction: np.ndarray) -> np.ndarray:
    """Weights of columns, float64[columns], from those of the teacher's variables."""
    used = np.flatnonzero(direction)
    return np.sum([direction[v] * teacher.weights(int(v))[0] for v in used], axis=0)


def with_few_classes(
    columns: np.ndarray, about: list[Column], weights: np.ndarray, most: int
) -> np.ndarray:
    """The weighted sum over fewer classes that is closest to this one, float64[columns].

    Backward elimination of classes by ridge regression on the sum: down to `most` classes, and
    further as long as R² is at least ENOUGH.
    """
    target = columns.astype(float)
    target = (target - target.mean(0)) @ weights
    if not target.any():
        return weights
    target /= target.std()
    x, sd, gram = _standard(columns)
    classes: dict[tuple[int, str], int] = {}
    group = np.array([classes.setdefault((c.block, c.name), len(classes)) for c in about])
    slope = x.T @ target
    kept = everything = np.flatnonzero(weights)
    last = kept, weights[kept] * sd[kept]
    while True:
        inverse = np.linalg.inv(gram[np.ix_(kept, kept)])
        found = inverse @ slope[kept]
        r2 = 1 - ((x[:, kept] @ found - target) ** 2).mean()
        inside = np.unique(group[kept])
        if len(inside) < most and r2 < ENOUGH:
            break
        if len(kept) < len(everything):
            last = kept, found
        if len(inside) == 1:
            break
        loss = np.array([_loss(inverse, found, group[kept] == g) for g in inside])
        dropped = max(1, (len(inside) - most) // 3)
        kept = kept[~np.isin(group[kept], inside[np.argsort(loss, kind="stable")[:dropped]])]
    chosen, values = last
    few = np.zeros(len(weights))
    few[chosen] = values / np.where(sd[chosen] > 0, sd[chosen], 1)
    return few


def _loss(inverse: np.ndarray, weights: np.ndarray, inside: np.ndarray) -> float:
    """What the ridge loss grows by when these columns are dropped and the others refitted."""
    return float(
        weights[inside] @ np.linalg.solve(inverse[np.ix_(inside, inside)], weights[inside])
    )


def variable_names(classes: list[str]) -> list[str]:
    """`z_` and the class's name in letters, digits and single underscores; distinct by a number.

    Of two underscores side by side, LaTeX would make a superscript.
    """
    names: list[str] = []
    taken: Counter[str] = Counter()
    for label in classes:
        stem = "z_" + re.sub(r"[\W_]+", "_", label, flags=re.ASCII).strip("_")
        name = stem
        while name in taken:
            taken[stem] += 1
            name = f"{stem}_{taken[stem]}"
        taken[name] += 1
        names.append(name)
    return names

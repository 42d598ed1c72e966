"""Which member of a Pareto front is the equation: decided against measured expression.

Constants are refitted in each fold and the squared errors taken out of fold. The choice is the
simplest member whose mean error is within one paired standard error of the best; the constant is
always among the candidates.
"""

from dataclasses import dataclass, replace

import numpy as np
import sympy

from ...equations import Form
from .simplify import simplifications

LEAST_Z = 2.0


@dataclass(frozen=True)
class Sample:
    """Genes of training and validation of one cell type.

    x: variables, each float64[n]; y: measured float64[n]; teacher: float64[n]; out_of_fold:
    float64[n], predictions of networks that never saw the gene's fold; fold: int[n]; train:
    bool[n].
    """

    x: dict[str, np.ndarray]
    y: np.ndarray
    teacher: np.ndarray
    out_of_fold: np.ndarray
    fold: np.ndarray
    train: np.ndarray


@dataclass(frozen=True)
class Member:
    """A candidate: its form, constants fitted to all genes, and its errors.

    errors: float64[n], squared, out of fold. delta, delta_se: mean error minus that of the best
    member, and its paired standard error.
    """

    form: Form
    constants: np.ndarray
    fidelity: float
    errors: np.ndarray
    delta: float = np.nan
    delta_se: float = np.nan

    @property
    def mse(self) -> float:
        return float(self.errors.mean())


@dataclass(frozen=True)
class Choice:
    """The front by complexity, the place of the chosen member in it, and why.

    Member 0 is the constant; it is chosen where no equation is selected. gain_z: paired z of
    the chosen member's gain over the constant, out of fold; teacher_z: the same of the network's.
    """

    members: list[Member]
    chosen: int
    gain_z: float
    teacher_z: float
    reason: str

    @property
    def selected(self) -> bool:
        return self.chosen > 0


def choose(front: list[sympy.Expr], sample: Sample) -> Choice:
    """Judge a front of symbolic regression; see the module's docstring.

    The member first chosen is simplified, and the choice made again among all.
    """
    constant = _judged(Form.of(sympy.Float(float(sample.y.mean()))), sample)
    assert constant is not None, "a constant can always be fitted"
    candidates = _all_judged(front, sample)
    members, chosen = _simplest(constant, candidates)
    if chosen:
        x, y = _training(sample)
        shorter = simplifications(members[chosen].form, members[chosen].constants, x, y)
        candidates += _all_judged(shorter, sample)
        members, chosen = _simplest(constant, candidates)
    return _selected(members, chosen, sample)


def _simplest(constant: Member, candidates: list[Member]) -> tuple[list[Member], int]:
    """The front, and the place of its simplest member within one standard error of the best."""
    members = _pareto([constant, *candidates])
    best = min(members, key=lambda member: member.mse)
    members = [_compared(member, best) for member in members]
    return members, next(i for i, member in enumerate(members) if member.delta <= member.delta_se)


def _selected(members: list[Member], chosen: int, sample: Sample) -> Choice:
    """The choice, or the constant where its gain over the constant is not certain enough.

    The variables were learned on most of these genes, so the equation's gain is slightly
    optimistic; that of the network, from out-of-fold predictions, is not.
    """
    constant = members[0].errors
    teacher_z = _z(constant - (sample.out_of_fold - sample.y) ** 2)
    if chosen == 0:
        reason = "nothing predicts better out of fold than a constant, by one standard error"
        return Choice(members, 0, 0.0, teacher_z, reason)
    z = _z(constant - members[chosen].errors)
    if min(z, teacher_z) < LEAST_Z:
        reason = (
            f"the gain over a constant, out of fold, is too uncertain: z = {z:.1f} for the "
            f"equation, {teacher_z:.1f} for the network (at least {LEAST_Z:g} is needed)"
        )
        return Choice(members, 0, z, teacher_z, reason)
    reason = "the simplest within one paired standard error of the best out of fold"
    return Choice(members, chosen, z, teacher_z, reason)


def _z(gain: np.ndarray) -> float:
    """Mean over its standard error."""
    spread = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
    return float(gain.mean() / spread) if spread > 0 else 0.0


def _training(sample: Sample) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Variables and the teacher's predictions on training genes."""
    x = {name: column[sample.train] for name, column in sample.x.items()}
    return x, sample.teacher[sample.train]


def _all_judged(expressions: list[sympy.Expr], sample: Sample) -> list[Member]:
    """The distinct expressions that contain a variable and are stable."""
    forms = [form for form in map(Form.of, expressions) if np.isfinite(form.start).all()]
    distinct = {form.text: form for form in forms if form.variables}
    return [member for form in distinct.values() if (member := _judged(form, sample))]


def _judged(form: Form, sample: Sample) -> Member | None:
    """The form with constants fitted, or None when it is unstable or cannot be fitted."""
    n = len(sample.y)
    distilled = form.values(form.start, sample.x, n)
    # The constant is always a candidate, however little the teacher varies.
    if form.variables and not _is_stable(distilled, sample.teacher[sample.train]):
        return None
    everything = form.fit(sample.x, sample.y, form.start)
    if everything is None or not _is_stable(form.values(everything, sample.x, n), sample.y):
        return None
    predicted = np.empty(n)
    for fold in np.unique(sample.fold):
        inside = sample.fold != fold
        x = {name: column[inside] for name, column in sample.x.items()}
        constants = form.fit(x, sample.y[inside], everything)
        if constants is None:
            return None
        predicted[~inside] = form.values(constants, sample.x, n)[~inside]
    if not _is_stable(predicted, sample.y):
        return None
    teacher = sample.teacher[sample.train]
    residual = teacher - distilled[sample.train]
    fidelity = 1 - residual.var() / teacher.var() if teacher.var() > 0 else np.nan
    return Member(form, everything, float(fidelity), (predicted - sample.y) ** 2)


def _is_stable(values: np.ndarray, reference: np.ndarray) -> bool:
    """Finite, and outside of the reference's range by no more than the width of that range."""
    low, high = reference.min(), reference.max()
    margin = max(high - low, 1e-6)
    return bool(np.isfinite(values).all() and values.min() >= low - margin
                and values.max() <= high + margin)  # fmt: skip


def _pareto(members: list[Member]) -> list[Member]:
    """Constant first, then by complexity those more faithful to the teacher than all simpler."""
    kept = members[:1]
    for member in sorted(members[1:], key=lambda m: (m.form.complexity, -m.fidelity)):
        if len(kept) == 1 or member.fidelity > kept[-1].fidelity:
            kept.append(member)
    return kept


def _compared(member: Member, best: Member) -> Member:
    difference = member.errors - best.errors
    se = float(difference.std(ddof=1) / np.sqrt(len(difference)))
    return replace(member, delta=float(difference.mean()), delta_se=se)

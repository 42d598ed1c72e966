"""Which member of a Pareto front is the equation: decided against measured expression.

Constants are refitted in each fold and the squared errors taken out of fold. The choice is the
simplest member whose mean error is within one paired standard error of the best, or that of a
negligible loss; or the simplest that keeps a stated share of the teacher's gain. The constant is
always among the candidates. Beside it is the member with the lowest error, the *faithful* one.

Programmes were learned from the expression of the genes that members are judged on. What depends on
how large their effect is (constants, the share of the teacher's gain) is therefore taken from the
teacher's predictions out of fold, wholly or in part.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import sympy

from ..equations import MOST_STEEP, Form, round_to, with_numbers
from .simplify import fitted, simplifications
from .tidy import MOST_CANCELLING, conditioning, tidy

# Least gain over the constant, in standard errors: of the equation, and of the network. The
# equation's variables were learned on the same genes, so the network's counts for more.
LEAST_Z, LEAST_TEACHER_Z = 2.0, 3.0
# A shorter member is chosen, too, where it keeps all but this share of the best one's gain over the
# constant: on many genes with little noise, the standard error alone may be smaller than what
# programmes gain because they were learned from the genes that they are judged on.
LEAST_SHARE = 0.002
# A longer member must explain this much more of the teacher's variance to be on the front.
LEAST_GAIN = 1e-3
# Nodes that one more class in a programme counts for: what it would add to a sum.
NODES_A_CLASS = 3
# A tanh whose argument has more than this standard deviation is a step: no member has one.
STEP = 4 / 3 * MOST_STEEP
# Share of measured expression in what the constants of a form in programmes are fitted to.
MEASURED = 0.25
# Constants are rounded by less than this share of their standard error, and together move the
# predictions by less than this share of their standard deviation.
ROUNDING, MOVED = 0.25, 0.005
MOST_DIGITS = 12
# Training genes that forms are compared on.
ROWS = 800


@dataclass(frozen=True)
class Sample:
    """Genes of training and validation of one cell type.

    x: variables, each float64[n]; y: measured float64[n]; teacher: float64[n], predictions of
    teachers that never saw the gene's fold; fold: int[n]; train: bool[n]; classes: number of
    classes of each variable that mixes some; most: the largest complexity of a member.
    """

    x: dict[str, np.ndarray]
    y: np.ndarray
    teacher: np.ndarray
    fold: np.ndarray
    train: np.ndarray
    classes: dict[str, int] = field(default_factory=dict)
    most: int = 1000

    @cached_property
    def rows(self) -> np.ndarray:
        """At most ROWS training genes: the teacher's predictions have no noise, so these are
        enough to compare forms with them."""
        rows = np.flatnonzero(self.train)
        return rows[:: -(-len(rows) // ROWS)]

    @cached_property
    def some(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Variables and the teacher's predictions of `rows`."""
        return {name: column[self.rows] for name, column in self.x.items()}, self.teacher[self.rows]

    def measured_share(self, form: Form) -> float:
        """Share of measured expression in what the form's constants are fitted to, see `target`."""
        return MEASURED if any(self.classes.get(name, 1) > 1 for name in form.variables) else 1.0

    def target(self, form: Form) -> np.ndarray:
        """What the constants of a form are fitted to, float64[n].

        Measured expression; for a form in programmes the mean of this and of the teacher's
        predictions, weighted by MEASURED. Programmes fit the expression that they were learned from
        too well, so that its noise would enlarge their constants.
        """
        return blended(self.y, self.teacher, self.measured_share(form))

    @property
    def teacher_errors(self) -> np.ndarray:
        """The teacher's squared errors, float64[n]."""
        return (self.teacher - self.y) ** 2

    def size(self, form: Form) -> int:
        """Nodes of a form, every class of a programme beyond the first counted as a term."""
        more = sum(self.classes.get(name, 1) - 1 for name in form.variables)
        return form.complexity + NODES_A_CLASS * more


@dataclass(frozen=True)
class Member:
    """A candidate: its form, constants fitted to all genes, and its errors.

    size: see `Sample.size`; errors: float64[n], squared, out of fold; apart: float64[n], squared
    differences from the teacher's predictions, both out of fold; cancelling: see
    `tidy.conditioning`. delta, delta_se: mean error minus that of the best
    member, and its paired standard error.
    """

    form: Form
    constants: np.ndarray
    size: int
    fidelity: float
    errors: np.ndarray
    apart: np.ndarray
    cancelling: float = 1.0
    delta: float = np.nan
    delta_se: float = np.nan

    @property
    def mse(self) -> float:
        return float(self.errors.mean())


@dataclass(frozen=True)
class Choice:
    """The front by size, the places of the chosen and the faithful member in it, and why.

    Member 0 is the constant; it is both where no equation is selected. gain_z: paired z of the
    chosen member's gain over the constant, out of fold; teacher_z: the same of the teacher's.
    """

    sample: Sample
    accuracy: float | None
    members: list[Member]
    chosen: int
    faithful: int
    gain_z: float
    teacher_z: float
    reason: str

    @property
    def selected(self) -> bool:
        return self.chosen > 0

    def kept(self, member: int) -> float:
        """Share of the teacher's gain over the constant that a member keeps, see `kept`."""
        return kept(self.members[member], self.members[0])


def kept(member: Member, constant: Member) -> float:
    """Share of the teacher's gain over the constant, out of fold, that a member keeps.

    1 - Σ (member - teacher)² / Σ (constant - teacher)²; NaN where the teacher is the constant.
    Squared errors of measured expression, which programmes were learned from, would give these too
    much; of a teacher whose predictions are neither too wide nor too narrow they expect the same.
    """
    spread = float(constant.apart.sum())
    return 1 - float(member.apart.sum()) / spread if spread > 0 else np.nan


def blended(measured: np.ndarray, teacher: np.ndarray, share: float) -> np.ndarray:
    """The mean of measured expression and the teacher's predictions, the former weighted by
    `share`."""
    return share * measured + (1 - share) * teacher


def choose(front: list[sympy.Expr], sample: Sample, accuracy: float | None = None) -> Choice:
    """Judge candidates; see the module's docstring.

    The members first chosen are simplified, and the choice made again among all. accuracy: the
    share of the teacher's gain over the constant that the chosen member must keep; None for one
    standard error.
    """
    return decide(Judge(sample, constant_of(sample)), front, accuracy)


def constant_of(sample: Sample) -> Member:
    """The constant, which is among the candidates always."""
    constant = judged(Form.of(sympy.Float(float(sample.y.mean()))), sample)
    assert constant is not None, "a constant can always be fitted"
    return constant


def decide(judge: "Judge", front: list[sympy.Expr], accuracy: float | None) -> Choice:
    """`choose` by a judge that has no candidates yet."""
    judge.add(front)
    members, chosen, faithful = judge.choose(accuracy)
    shorter = [
        expression
        for place in sorted({chosen, faithful} - {0})
        for expression in judge.shorter(members[place])
    ]
    if shorter:
        judge.add(shorter)
        members, chosen, faithful = judge.choose(accuracy)
    return selected(members, chosen, faithful, judge.sample, accuracy)


class Judge:
    """Candidates, and those of them that were held against measured expression.

    candidates: text of a form → form, size and fidelity; tidied: those that are tidy; judged: text
    → member, or None where it is none.
    """

    def __init__(self, sample: Sample, constant: Member):
        self.sample, self.constant = sample, constant
        self.candidates: dict[str, tuple[Form, int, float]] = {}
        self.tidied: set[str] = set()
        self.judged: dict[str, Member | None] = {}

    def add(self, expressions: list[sympy.Expr]) -> None:
        """Candidates that are stable with the engine's constants."""
        for form in map(Form.of, expressions):
            if form.variables and np.isfinite(form.start).all():
                self._add(form)

    def _add(self, form: Form) -> None:
        fidelity = self.fidelity(form)
        if fidelity is not None:
            self.candidates.setdefault(form.text, (form, self.sample.size(form), fidelity))

    def front(self) -> list[Member]:
        """Constant first, then by size those more faithful to the teacher than all smaller."""
        while True:
            front, best = [self.constant], -np.inf
            for form, size, fidelity in sorted(self.candidates.values(), key=_by_size):
                if fidelity < best + LEAST_GAIN:
                    continue
                if form.text not in self.tidied:
                    self._tidy(form)
                    break
                if form.text not in self.judged:
                    self.judged[form.text] = self.judge(form, size, fidelity)
                if member := self.judged[form.text]:
                    front.append(member)
                    best = fidelity
            else:
                return front

    def _tidy(self, form: Form) -> None:
        """Put the tidy form in the place of a candidate."""
        del self.candidates[form.text]
        form = self.tidy(form)
        if form.variables and form.complexity <= self.sample.most:
            self.tidied.add(form.text)
            self._add(form)

    def fidelity(self, form: Form) -> float | None:
        """R² against the teacher on training genes; None if the form is unstable."""
        return _fidelity(form, self.sample)

    def judge(self, form: Form, size: int, fidelity: float) -> Member | None:
        """The form held against measured expression, see `judged`."""
        return judged(form, self.sample, size, fidelity)

    def tidy(self, form: Form) -> Form:
        """The tidy form, fitted to the teacher."""
        x, y = self.sample.some
        expression = with_numbers(form, form.start, 15)
        simpler = tidy(expression, x, y.var())
        if simpler == expression:
            return form
        found = fitted(Form.of(simpler), x, y)
        return Form.of(found[1] if found else simpler)

    def shorter(self, member: Member) -> list[sympy.Expr]:
        """Shorter versions of a member."""
        return simplifications(member.form, member.constants, *self.sample.some)

    def choose(self, accuracy: float | None) -> tuple[list[Member], int, int]:
        """The front, and the places of the chosen and the faithful member."""
        members = self.front()
        faithful = min(range(len(members)), key=lambda i: members[i].mse)
        members = [_compared(member, members[faithful]) for member in members]
        little = LEAST_SHARE * (members[0].mse - members[faithful].mse)
        enough = [member.delta <= max(member.delta_se, little) for member in members]
        if accuracy is not None:
            enough = [kept(member, members[0]) >= accuracy for member in members]
        return members, enough.index(True) if any(enough) else faithful, faithful


def _by_size(candidate: tuple[Form, int, float]) -> tuple[int, int, float]:
    """Smallest first; of the same size those without programmes, then the most faithful."""
    form, size, fidelity = candidate
    return size, -form.complexity, -fidelity


def selected(
    members: list[Member], chosen: int, faithful: int, sample: Sample, accuracy: float | None
) -> Choice:
    """The choice, or the constant where its gain over the constant is not certain enough.

    The variables were learned on most of these genes, so the equation's gain is slightly
    optimistic; that of the network, from out-of-fold predictions, is not.
    """
    constant = members[0]
    teacher_z = _z(constant.errors - sample.teacher_errors)
    if chosen == 0:
        reason = "nothing predicts better out of fold than a constant, by one standard error"
        return Choice(sample, accuracy, members, 0, 0, 0.0, teacher_z, reason)
    z = _z(constant.errors - members[chosen].errors)
    if z < LEAST_Z or teacher_z < LEAST_TEACHER_Z:
        reason = (
            f"the gain over a constant, out of fold, is too uncertain: z = {z:.1f} for the "
            f"equation, {teacher_z:.1f} for the network (at least {LEAST_Z:g} and "
            f"{LEAST_TEACHER_Z:g} are needed)"
        )
        return Choice(sample, accuracy, members, 0, 0, z, teacher_z, reason)
    reason = "the simplest within one paired standard error of the best out of fold"
    if accuracy is not None:
        reason = f"the simplest that keeps {accuracy:g} of the teacher's gain out of fold"
        if not kept(members[chosen], constant) >= accuracy:
            reason = f"the best out of fold; none keeps {accuracy:g} of the teacher's gain"
    return Choice(sample, accuracy, members, chosen, faithful, z, teacher_z, reason)


def rounded(member: Member, sample: Sample) -> np.ndarray:
    """The member's constants to as many digits as their standard errors support.

    No constant moves by more than ROUNDING of its standard error, and all together move the
    predictions by no more than MOVED of their standard deviation.
    """
    constants = member.constants
    error = member.form.standard_errors(constants, sample.x, sample.target(member.form))
    predicted = member.form.values(constants, sample.x, len(sample.y))
    digits = [
        next((d for d in range(1, MOST_DIGITS) if abs(round_to(c, d) - c) <= ROUNDING * e),
             MOST_DIGITS)
        for c, e in zip(constants, error, strict=True)
    ]  # fmt: skip
    found = constants
    for more in range(MOST_DIGITS):
        found = np.array([round_to(c, d + more) for c, d in zip(constants, digits, strict=True)])
        moved = member.form.values(found, sample.x, len(sample.y)) - predicted
        if np.sqrt((moved**2).mean()) <= MOVED * max(predicted.std(), 1e-12):
            break
    return found


def _z(gain: np.ndarray) -> float:
    """Mean over its standard error."""
    spread = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
    return float(gain.mean() / spread) if spread > 0 else 0.0


def _fidelity(form: Form, sample: Sample) -> float | None:
    """R² against the teacher on training genes with the form's constants; None if unstable."""
    distilled = form.values(form.start, sample.x, len(sample.y))
    teacher = sample.teacher[sample.train]
    if not _is_stable(distilled, teacher):
        return None
    residual = teacher - distilled[sample.train]
    return float(1 - residual.var() / teacher.var()) if teacher.var() > 0 else None


def judged(
    form: Form,
    sample: Sample,
    size: int = 1,
    fidelity: float = 0.0,
    start: np.ndarray | None = None,
) -> Member | None:
    """The form with constants fitted; None when it is unstable, cancels, has a step or cannot be
    fitted. start: first values of the constants, by default the form's."""
    n, target = len(sample.y), sample.target(form)
    everything = form.fit(sample.x, target, form.start if start is None else start)
    if everything is None or not _is_stable(form.values(everything, sample.x, n), sample.y):
        return None
    cancelling = 1.0
    if form.variables:
        cancelling = conditioning(with_numbers(form, everything, 15), sample.some[0])
    if cancelling > MOST_CANCELLING or form.steepness(everything, sample.x) > STEP:
        return None
    predicted = np.empty(n)
    for fold in np.unique(sample.fold):
        inside = sample.fold != fold
        x = {name: column[inside] for name, column in sample.x.items()}
        constants = form.fit(x, target[inside], everything)
        if constants is None:
            return None
        predicted[~inside] = form.values(constants, sample.x, n)[~inside]
    if not _is_stable(predicted, sample.y):
        return None
    errors, apart = (predicted - sample.y) ** 2, (predicted - sample.teacher) ** 2
    return Member(form, everything, size, fidelity, errors, apart, cancelling)


def _is_stable(values: np.ndarray, reference: np.ndarray) -> bool:
    """Finite, and outside of the reference's range by no more than the width of that range."""
    low, high = reference.min(), reference.max()
    margin = max(high - low, 1e-6)
    return bool(np.isfinite(values).all() and values.min() >= low - margin
                and values.max() <= high + margin)  # fmt: skip


def _compared(member: Member, best: Member) -> Member:
    difference = member.errors - best.errors
    se = float(difference.std(ddof=1) / np.sqrt(len(difference)))
    return replace(member, delta=float(difference.mean()), delta_se=se)

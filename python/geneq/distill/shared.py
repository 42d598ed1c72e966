"""One expression for all cell types, with constants of its own for each.

Its variables are common to the types: the pooled classes that matter for them together, directions
of the network's gradient over all heads, and the sums that are closest to the teacher's mean over
the types and to the leading principal components of what sets the types apart. Every term of a
candidate has a coefficient of its own. Candidates come from symbolic regression of that mean and
those components, and from greedy sums whose terms are chosen for all types at once. They are
compared with the teacher by linear least squares of the coefficients. The choice is as for single
equations, by the joint loss: the mean over cell types of the squared error out of fold over the
type's variance, all constants fitted to each type by nonlinear least squares.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import sympy

from ..equations import Form, nodes, with_numbers
from .cell_type import SEARCH_ROWS, CellType, Settings, Source, sample_of
from .engines import Engine
from .selection import (
    LEAST_TEACHER_Z,
    Choice,
    Judge,
    Member,
    Sample,
    constant_of,
    decide,
    judged,
    selected,
)
from .simplify import LARGEST_LOSS, MOST_STEPS, deletions
from .sums import sums
from .tidy import MOST_NODES, TOLERANCE, replaced, shortest, values
from .variables import IMPORTANT, Variable, closest, directions, importances, written

__all__ = ["Term", "separate", "share", "terms_of"]

# Principal components of the differences between cell types: at most so many, each with at least
# this share of the variance of the teacher's predictions.
COMPONENTS, LEAST_COMPONENT = 2, 0.01


# --- terms ----------------------------------------------------------------------------------------


class Term(NamedTuple):
    """A summand of an expression: a coefficient, by its name, times `unit`."""

    coefficient: str
    unit: sympy.Expr

    def put_in(self, constants: dict[str, float]) -> sympy.Expr:
        """`unit` with its constants as numbers."""
        names = {s: sympy.Float(constants[s.name]) for s in self.unit.free_symbols
                 if s.name in constants}  # fmt: skip
        return self.unit.xreplace(names)


def separate(expression: sympy.Expr) -> sympy.Expr:
    """The expression multiplied out, each of its terms with a number as coefficient."""
    expanded = sympy.expand(expression, power_exp=False, power_base=False)
    found = []
    for summand in sympy.Add.make_args(expanded):
        number, rest = summand.as_coeff_Mul()
        found.append(sympy.Float(number) * rest if rest.free_symbols else summand)
    return sympy.Add(*found)


def terms_of(expression: sympy.Expr, variables: Iterable[str]) -> list[Term]:
    """The terms of an expression in variables and constants, whose numbers `separate` has put
    apart and `Form` has named; in the order of their text."""
    known, found = set(variables), []
    for summand in sympy.Add.make_args(expression):
        factors = sympy.Mul.make_args(summand)
        names = [f for f in factors if f.is_Symbol and f.name not in known]
        if len(factors) > len(names):
            found.append(Term(names[0].name, sympy.Mul(*(f for f in factors if f != names[0]))))
    return sorted(found, key=lambda term: str(term.unit))


def _place(term: Term) -> int:
    return int(term.coefficient.removeprefix("c"))


# --- genes of several cell types ------------------------------------------------------------------


@dataclass(frozen=True)
class Joint(Sample):
    """Genes of training and validation of any of several cell types.

    y, teacher: means over the types that have the gene. samples: of each type; places: of their
    genes among all, int[genes of the type].
    """

    samples: list[Sample] = field(default_factory=list)
    places: list[np.ndarray] = field(default_factory=list)

    def together(self, errors: list[np.ndarray]) -> np.ndarray:
        """The joint loss by gene, float64[n], from squared errors of each type.

        Its mean is the mean over types of the mean squared error over the type's variance.
        """
        total = np.zeros(len(self.y))
        for error, sample, place in zip(errors, self.samples, self.places, strict=True):
            total[place] += error / (sample.y.var() * len(place))
        return total * len(total) / len(errors)

    @property
    def teacher_errors(self) -> np.ndarray:
        return self.together([sample.teacher_errors for sample in self.samples])

    @cached_property
    def groups(self) -> list[tuple[dict[str, np.ndarray], np.ndarray, list[int]]]:
        """Types whose genes `Sample.rows` are the same: variables, the teacher's predictions over
        the standard deviation of measured values, float64[genes, types], and which types."""
        found: dict[bytes, list[int]] = {}
        for i, (sample, place) in enumerate(zip(self.samples, self.places, strict=True)):
            found.setdefault(place[sample.rows].tobytes(), []).append(i)
        return [
            (
                self.samples[types[0]].some[0],
                np.column_stack([self.samples[i].some[1] / self.samples[i].y.std() for i in types]),
                types,
            )
            for types in found.values()
        ]

    @cached_property
    def spread(self) -> np.ndarray:
        """Variance of the teacher's predictions over that of measured values, float64[types]."""
        found = np.zeros(len(self.samples))
        for _, targets, types in self.groups:
            found[types] = targets.var(0)
        return found

    def linear(self, form: Form) -> "Linear | None":
        """The coefficients of a form fitted to the teacher, its other constants as they are; None
        where a term is not finite."""
        terms = terms_of(form.expression, form.variables)
        numbers = {f"c{i}": value for i, value in enumerate(form.start)}
        units = [term.put_in(numbers) for term in terms]
        coefficients, left = np.zeros((len(self.samples), 1 + len(terms))), self.spread.copy()
        for x, targets, types in self.groups:
            columns = np.column_stack([np.ones(len(targets)), *(values(u, x) for u in units)])
            if not np.isfinite(columns).all():
                return None
            found = np.linalg.lstsq(columns, targets, rcond=None)[0]
            coefficients[types] = found.T
            left[types] = (targets - columns @ found).var(0)
        return Linear(terms, coefficients, left)


@dataclass(frozen=True)
class Linear:
    """Coefficients in units of the standard deviation of measured values, the constant first,
    float64[types, 1 + terms]; left: variance that remains, in its square, float64[types]."""

    terms: list[Term]
    coefficients: np.ndarray
    left: np.ndarray

    def start(self, form: Form, cell_type: int, sd: float) -> np.ndarray:
        """First values of the form's constants for a type of that standard deviation."""
        start, places = form.start.copy(), [_place(term) for term in self.terms]
        start[places] = sd * self.coefficients[cell_type, 1:]
        summands = sympy.Add.make_args(form.expression)
        (constant,) = (s for s in summands if s.is_Symbol and s.name not in form.variables)
        start[_place(Term(constant.name, constant))] = sd * self.coefficients[cell_type, 0]
        return start


# --- the choice -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class JointMember(Member):
    """errors, apart: joint, by gene, see `Joint.together`. parts: the member of each type, the
    constant where the form cannot be fitted to it."""

    parts: list[Member] = field(default_factory=list)


class JointJudge(Judge):
    """Judges one form for all types; `sample` is a Joint."""

    sample: Joint

    def __init__(self, sample: Joint, constants: list[Member]):
        super().__init__(sample, _together(sample, constants[0].form, 1, 0.0, constants))
        self.constants = constants

    def add(self, expressions: list[sympy.Expr]) -> None:
        super().add([separate(e) for e in expressions if nodes(e) <= MOST_NODES])

    def fidelity(self, form: Form) -> float | None:
        """Share of the teacher's variance, over that of measured values, summed over types."""
        found = self.sample.linear(form)
        return None if found is None else float(1 - found.left.sum() / self.sample.spread.sum())

    def judge(self, form: Form, size: int, fidelity: float) -> JointMember | None:
        found = self.sample.linear(form)
        assert found is not None, "a candidate's terms are finite"
        share = 1 - found.left / self.sample.spread
        parts = [
            judged(form, sample, size, share[i], found.start(form, i, sample.y.std()))
            for i, sample in enumerate(self.sample.samples)
        ]
        if not any(parts):
            return None
        fitted = [part or own for part, own in zip(parts, self.constants, strict=True)]
        return _together(self.sample, form, size, fidelity, fitted)

    def tidy(self, form: Form) -> Form:
        """The form with parts replaced by simpler ones that keep its fidelity."""
        least = (self.fidelity(form) or 0.0) - TOLERANCE

        def is_same(simpler: sympy.Expr) -> bool:
            found = self.fidelity(Form.of(separate(simpler))) if simpler.free_symbols else None
            return found is not None and found >= least

        expression = shortest(with_numbers(form, form.start, 15))
        return Form.of(separate(replaced(expression, self.sample.some[0], is_same)))

    def shorter(self, member: Member) -> list[sympy.Expr]:
        """Backward elimination of terms, factors and functions, by fidelity."""
        path, expression = [], with_numbers(member.form, member.form.start, 15)
        for _ in range(MOST_STEPS):
            complexity = Form.of(expression).complexity
            distinct = {f.text: f for f in (Form.of(separate(e)) for e in deletions(expression))}
            forms = [f for f in distinct.values() if f.variables and f.complexity < complexity]
            rated = [(r, f) for f in forms if (r := self.fidelity(f)) is not None]
            if not rated:
                break
            fidelity, form = max(rated, key=lambda pair: pair[0])
            if fidelity < member.fidelity - LARGEST_LOSS:
                break
            expression = with_numbers(form, form.start, 15)
            path.append(expression)
        return path


def _together(
    joint: Joint, form: Form, size: int, fidelity: float, parts: list[Member]
) -> JointMember:
    errors = joint.together([part.errors for part in parts])
    apart = joint.together([part.apart for part in parts])
    worst = max(part.cancelling for part in parts)
    return JointMember(form, form.start, size, fidelity, errors, apart, worst, parts=parts)


def share(
    source: Source, engine: Engine, settings: Settings, threads: int
) -> list[tuple[CellType, Choice]]:
    """The shared expression of the cell types, and for each the choice between it and the constant.

    Types for which the teacher is not better than the constant out of fold (see `selected`) have
    the constant, and do not take part in the choice.
    """
    frames = dict(list(source.predictions.groupby("cell_type", sort=False)))
    rows = [frames[name].reset_index(drop=True) for name in source.teacher.cell_types]
    alone = [_alone(frame) for frame in rows]
    taking = [i for i, choice in enumerate(alone) if choice.teacher_z >= LEAST_TEACHER_Z]
    found = {i: _unselected(choice) for i, choice in enumerate(alone)}
    variables: list[Variable] = []
    if taking:
        variables = _common(source, [rows[i] for i in taking], taking, settings)
    cells = _cells(source, rows, variables)
    if variables:
        joint = _joint([cells[i] for i in taking], settings.max_complexity)
        constants = [alone[i].members[0] for i in taking]
        front = _candidates(joint, variables, engine, settings, threads)
        choice = decide(JointJudge(joint, constants), front, settings.accuracy)
        for number, i in enumerate(taking):
            found[i] = _of_type(choice, number, joint.samples[number])
    return list(zip(cells, found.values(), strict=True))


def _alone(rows: pd.DataFrame) -> Choice:
    """The constant of a cell type, and how much better the teacher is."""
    sample = sample_of(rows, {}, [], 1)
    return selected([constant_of(sample)], 0, 0, sample, None)


def _unselected(choice: Choice) -> Choice:
    reason = (
        "the teacher's gain over a constant, out of fold, is too uncertain: "
        f"z = {choice.teacher_z:.1f} (at least {LEAST_TEACHER_Z:g} is needed)"
    )
    return replace(choice, reason=reason) if choice.teacher_z < LEAST_TEACHER_Z else choice


def _of_type(choice: Choice, number: int, sample: Sample) -> Choice:
    """The choice of one type: the shared form, or the constant where its gain is uncertain."""
    members = []
    for place in sorted({0, choice.chosen}):
        member = choice.members[place]
        assert isinstance(member, JointMember)
        members.append(member.parts[number])
    fitted = len(members) > 1 and bool(members[1].form.variables)
    found = selected(members[: 1 + fitted], int(fitted), int(fitted), sample, choice.accuracy)
    if not choice.selected:
        return replace(found, reason=f"no expression for all cell types: {choice.reason}")
    if not fitted:
        return replace(found, reason="the shared expression cannot be fitted to this cell type")
    if not found.selected:
        return found
    return replace(found, reason=f"one expression for all cell types: {choice.reason}")


# --- variables, genes and candidates --------------------------------------------------------------


def _common(
    source: Source, rows: list[pd.DataFrame], types: list[int], settings: Settings
) -> list[Variable]:
    """The variables that are common to cell types, from their training genes."""
    wide = _wide([frame[frame["split"] == "train"] for frame in rows])
    columns = source.columns[source.places(wide.index)]
    teacher = source.teacher
    pooled = teacher.pool(columns)
    importance = importances(teacher, pooled, types, settings.seed)
    ranked = np.argsort(-importance.sum(1), kind="stable")
    places = [int(v) for v in ranked if importance[v].max() >= IMPORTANT]
    mixed: list[np.ndarray] = []
    if places and settings.programmes:
        mixed = directions(teacher, pooled, types)[: settings.programmes - 1]
        mixed += [closest(columns, target) for target in _components(wide.to_numpy())]
    return written(
        teacher, columns, source.features.columns, places, mixed, settings.max_variables,
        settings.programme_classes,
    )  # fmt: skip


def _wide(rows: list[pd.DataFrame]) -> pd.DataFrame:
    """The teacher's predictions out of fold over the standard deviation of measured values, minus
    their mean: gene × cell type. A type that lacks a gene has the mean of the others there."""
    found = {}
    for i, frame in enumerate(rows):
        teacher = frame["teacher_out_of_fold"].to_numpy()
        scaled = (teacher - teacher.mean()) / frame["measured"].to_numpy().std()
        found[i] = pd.Series(scaled, frame["gene_id"])
    wide = pd.DataFrame(found)
    mean = wide.mean(axis=1)
    return wide.apply(lambda column: column.fillna(mean))


def _components(wide: np.ndarray) -> list[np.ndarray]:
    """The mean of float64[genes, types] over types, and the leading principal components of the
    differences from it, float64[genes] each."""
    mean = wide.mean(1)
    rest = wide - mean[:, None]
    left, size, _ = np.linalg.svd(rest - rest.mean(0), full_matrices=False)
    shares = size**2 / max(float((wide**2).sum()), 1e-12)
    kept = [i for i in range(min(COMPONENTS, len(size))) if shares[i] >= LEAST_COMPONENT]
    return [mean, *(left[:, i] * size[i] for i in kept)]


def _cells(
    source: Source, rows: list[pd.DataFrame], variables: list[Variable]
) -> list[CellType]:  # fmt: skip
    """Each type with the common variables; types with the same genes share their values."""
    cells, known = [], {}
    for frame in rows:
        places = source.places(frame["gene_id"])
        key = places.tobytes()
        if key not in known:
            columns = source.columns[places]
            known[key] = {v.name: v.values(columns) for v in variables}
        name = frame["cell_type"].iloc[0]
        cells.append(CellType(source, name, frame, places, variables, known[key]))
    return cells


def _joint(cells: list[CellType], most: int) -> Joint:
    samples = [sample_of(cell.rows, cell.x, cell.variables, most) for cell in cells]
    classes = samples[0].classes
    genes = [cell.rows.loc[cell.split("train", "valid"), "gene_id"] for cell in cells]
    every = pd.Index(pd.concat(genes).unique())
    places = [every.get_indexer(own) for own in genes]
    n, x = len(every), {name: np.zeros(len(every)) for name in classes}
    fold, train, measured = np.zeros(n, "i1"), np.zeros(n, bool), np.zeros(n)
    y, teacher = np.zeros(n), np.zeros(n)
    for sample, place in zip(samples, places, strict=True):
        fold[place], train[place] = sample.fold, sample.train
        for name, column in sample.x.items():
            x[name][place] = column
        measured[place] += 1
        y[place] += sample.y
        teacher[place] += sample.teacher
    return Joint(x, y / measured, teacher / measured, fold, train, classes, most, samples, places)


def _candidates(
    joint: Joint, variables: list[Variable], engine: Engine, settings: Settings, threads: int
) -> list[sympy.Expr]:
    """Of symbolic regression of components, of templates, and of sums for all types at once."""
    targets, rows = _targets(joint), np.flatnonzero(joint.train)
    rows = np.random.default_rng(settings.seed).permutation(rows)[:SEARCH_ROWS]
    x, targets = {name: column[rows] for name, column in joint.x.items()}, targets[rows]
    pooled = {v.name: x[v.name] for v in variables if v.label is not None}
    budget = settings.sr_generations, settings.seed, threads
    found = []
    for some in [pooled, x] if 0 < len(pooled) < len(x) else [x]:
        columns = np.column_stack(list(some.values()))
        fronts = engine.shared_front(columns, targets, list(some), *budget)
        for target in _components(targets):
            fronts += engine.front(columns, target, list(some), *budget)
        units = {u for e in fronts if nodes(e) <= MOST_NODES for u in _units(e)}
        more = sorted(units, key=str)
        found += fronts + sums(some, targets, settings.max_complexity, more)
    return found


def _units(expression: sympy.Expr) -> list[sympy.Expr]:
    """The terms of an expression with numbers, without their coefficients."""
    summands = sympy.Add.make_args(separate(expression))
    return [summand.as_coeff_Mul()[1] for summand in summands if summand.free_symbols]


def _targets(joint: Joint) -> np.ndarray:
    """The teacher's predictions of all genes, float64[n, types], as in `_wide`."""
    scaled = np.full((len(joint.y), len(joint.samples)), np.nan)
    for i, (sample, place) in enumerate(zip(joint.samples, joint.places, strict=True)):
        scaled[place, i] = (sample.teacher - sample.teacher.mean()) / sample.y.std()
    return np.where(np.isnan(scaled), np.nanmean(scaled, axis=1)[:, None], scaled)

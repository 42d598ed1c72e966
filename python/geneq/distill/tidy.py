"""Equations a biologist can read: as short as they can be written, and none that cancels.

Symbolic regression leaves functions that are straight lines over the data, and terms that say the
same and cancel. Here such parts are replaced by simpler ones where the values over the training
genes stay the same within TOLERANCE.
"""

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
import sympy

from ..equations import Program, nodes

# Share of the variance of the teacher's predictions that a simpler form may differ by.
TOLERANCE = 0.001
# No equation is selected whose terms add up to more than so many times their sum.
MOST_CANCELLING = 5.0
# Terms so correlated say the same.
SAME = 0.98
# Rewriting of longer expressions takes sympy too long.
MOST_NODES = 120
LARGEST_SHIFT = 50

Parts = dict[sympy.Expr, np.ndarray]
Values = dict[str, np.ndarray]


def tidy(expression: sympy.Expr, x: Values, variance: float) -> sympy.Expr:
    """The expression in its shortest form, parts replaced by simpler ones within TOLERANCE.

    Parameters
    ----------
    expression : sympy.Expr
        Constants are numbers.
    x : dict of str to ndarray of float64[n]
        Variables of training genes.
    variance : float
        Of the teacher's predictions of those.
    """
    expression = shortest(expression)
    target = values(expression, x)
    if not np.isfinite(target).all():
        return expression

    def is_same(simpler: sympy.Expr) -> bool:
        error = values(simpler, x) - target
        return bool(np.isfinite(error).all() and (error**2).mean() <= TOLERANCE * variance)

    return replaced(expression, x, is_same)


def replaced(
    expression: sympy.Expr, x: Values, is_same: Callable[[sympy.Expr], bool]
) -> sympy.Expr:
    """The expression with parts replaced by simpler ones as long as it stays the same."""
    while simpler := next(filter(is_same, replacements(expression, x)), None):
        expression = shortest(simpler)
    return expression


def values(expression: sympy.Expr, x: Values) -> np.ndarray:
    """float64[n]; not finite where the expression is not real."""
    n = len(next(iter(x.values())))
    return np.broadcast_to(Program(expression).run(x)[-1], n)


def replacements(expression: sympy.Expr, x: Values) -> Iterator[sympy.Expr]:
    """Expressions with one part replaced by a simpler one that is closest over the data.

    A term, function or power by a constant; a function or power by a straight line; of two terms
    of a sum that say the same, one by the other; and where terms cancel, a function by a parabola.
    """
    found = parts(expression, x)
    bent = [part for part in found if is_bent(part)]
    terms = [term for part in found if part.is_Add for term in part.args if term in found]
    for part in dict.fromkeys([*terms, *bent]):
        if np.isfinite(found[part]).all():
            yield expression.xreplace({part: sympy.Float(found[part].mean())})
    for part in bent:
        yield from _fitted(expression, part, found, 1)
    for part in found:
        if part.is_Add:
            yield from _merged(expression, part, found)
    if conditioning(expression, x) > MOST_CANCELLING:
        for part in bent:
            if not part.is_Pow:
                yield from _fitted(expression, part, found, 2)


def parts(expression: sympy.Expr, x: Values) -> Parts:
    """The parts of an expression that vary, the longest first, and their values float64[n]."""
    program = Program(expression)
    found = program.run(x)
    return {
        part: found[place] for part, place in reversed(program.place.items()) if part.free_symbols
    }


def is_bent(part: sympy.Expr) -> bool:
    """Whether this is a function of, or a power of, something that varies."""
    return bool(part.free_symbols) and (part.is_Function or part.is_Pow)


def _fitted(
    expression: sympy.Expr, part: sympy.Expr, found: Parts, degree: int
) -> Iterator[sympy.Expr]:
    """`part` as a polynomial in its argument, by least squares."""
    inner = part.base if part.is_Pow and part.exp.is_number else part.args[-1]
    z, target = found[inner], found[part]
    if not (np.isfinite(z).all() and np.isfinite(target).all() and z.std() > 0):
        return
    constants = np.polynomial.polynomial.polyfit((z - z.mean()) / z.std(), target, degree)
    u = (inner - float(z.mean())) / float(z.std())
    line = sum((float(c) * u**k for k, c in enumerate(constants)), sympy.Integer(0))
    yield expression.xreplace({part: sympy.expand(line)})


def _merged(expression: sympy.Expr, part: sympy.Expr, found: Parts) -> Iterator[sympy.Expr]:
    """One of two terms of a sum as a multiple of the other, where they are correlated."""
    terms = [term for term in part.args if term in found]
    usable = [t for t in terms if np.isfinite(found[t]).all() and found[t].std() > 0]
    if len(usable) < 2:
        return
    alike = np.abs(np.corrcoef([found[term] for term in usable])) >= SAME
    for i, j in combinations(range(len(usable)), 2):
        if not alike[i, j]:
            continue
        for kept, gone in ((usable[i], usable[j]), (usable[j], usable[i])):
            slope, constant = np.polyfit(found[kept], found[gone], 1)
            rest = [term for term in part.args if term != gone]
            yield expression.xreplace(
                {part: sympy.Add(*rest, float(slope) * kept, float(constant))}
            )


def conditioning(expression: sympy.Expr, x: Values) -> float:
    """How much cancels in an expression over the data: 1 where nothing does.

    The largest over its sums of: the standard deviations of the terms plus what their means lose
    when they are added (Σ|mean| − |Σ mean|), over the standard deviation of the sum. Infinite
    where values are not finite.
    """
    worst, found = 1.0, parts(expression, x)
    for part, total in found.items():
        if not part.is_Add:
            continue
        terms = [found[t] if t in found else np.full(len(total), float(t)) for t in part.args]
        if not np.isfinite(terms).all() or not total.std() > 0:
            return np.inf
        mean = np.mean(terms, axis=1)
        lost = np.abs(mean).sum() - abs(mean.sum())
        worst = max(worst, float((np.std(terms, axis=1).sum() + lost) / total.std()))
    return worst


def shortest(expression: sympy.Expr) -> sympy.Expr:
    """The shortest of equivalent forms: as it is, expanded, common factors taken out."""
    if nodes(expression) > MOST_NODES:
        return expression
    expression = _scaled(expression)
    forms = [expression, sympy.expand(expression, power_exp=False, power_base=False)]
    forms += [sympy.collect(forms[1], s) for s in sorted(expression.free_symbols, key=str)]
    forms.append(sympy.factor_terms(expression))
    return min(map(_scaled, forms), key=nodes)


def _scaled(expression: sympy.Expr) -> sympy.Expr:
    """No constant that another one can take: k·exp(c + u) as k'·exp(u), and of the sums in a
    product or power all but one with a coefficient of exactly 1."""
    expression = expression.replace(lambda part: isinstance(part, sympy.exp), _without_shift)
    expression = expression.replace(lambda part: part.is_Pow, _power_of_unit_sum)
    return expression.replace(lambda part: part.is_Mul, _product_of_unit_sums)


def _without_shift(part: sympy.Expr) -> sympy.Expr:
    number, rest = part.args[0].as_coeff_Add()
    if not rest.free_symbols or abs(number) > LARGEST_SHIFT:
        return part
    return sympy.exp(number) * sympy.exp(rest)


def _power_of_unit_sum(part: sympy.Expr) -> sympy.Expr:
    if not (part.base.is_Add and part.exp.is_Integer):
        return part
    factor, unit = _unit(part.base)
    return factor**part.exp * unit**part.exp


def _product_of_unit_sums(part: sympy.Expr) -> sympy.Expr:
    sums = [factor for factor in part.args if factor.is_Add]
    if len(sums) < 2:
        return part
    # A number left in front would be multiplied into any of the sums.
    number = sympy.Mul(*(factor for factor in part.args if factor.is_number))
    units: list[sympy.Expr] = []
    for factor in sums[1:]:
        scale, unit = _unit(factor)
        number, units = number * scale, [*units, unit]
    others = [factor for factor in part.args if not (factor.is_Add or factor.is_number)]
    return sympy.Mul(*others, sympy.expand_mul(number * sums[0]), *units)


def _unit(total: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """A sum as a factor and a sum one of whose terms, the largest, has no coefficient."""
    pairs = [term.as_coeff_Mul() for term in total.args]
    scale = max((c for c, rest in pairs if rest.free_symbols), key=abs, default=sympy.Float(1))
    terms = [rest if c == scale else c / scale * rest for c, rest in pairs]
    return scale, sympy.Add(*terms)

"""Shorter versions of an expression, by deleting terms that contribute little.

Symbolic regression leaves terms that contribute nothing. Deleting one at a time, each time the one
whose removal increases the error against the teacher least, gives a path of ever simpler
candidates.
"""

from collections.abc import Callable, Iterator

import numpy as np
import sympy

from ..equations import Form, with_numbers

LARGEST_LOSS = 0.3
MOST_STEPS = 25
MOST_NODES = 80
# Deletions that are fitted at every step: those with the lowest error before.
MOST_FITS = 4


def simplifications(
    form: Form, constants: np.ndarray, x: dict[str, np.ndarray], y: np.ndarray
) -> list[sympy.Expr]:
    """The paths of backward elimination from `form`, each step refitted to float64[n] `y`.

    One keeps the form as it is nested; where that differs and is not too long, another multiplies
    products of sums out at every step. A path ends at one variable, or where R² has fallen by
    LARGEST_LOSS.
    """
    start = fitted(form, x, y, constants)
    if start is None:
        return []
    path = _path(start, x, y, lambda expression: expression)
    expanded = sympy.expand(start[1])
    if expanded != start[1] and Form.of(expanded).complexity <= MOST_NODES:
        path += _path(start, x, y, sympy.expand)
    return path


def _path(
    start: tuple[float, sympy.Expr],
    x: dict[str, np.ndarray],
    y: np.ndarray,
    write: Callable[[sympy.Expr], sympy.Expr],
) -> list[sympy.Expr]:
    path, first_error, expression = [], start[0], write(start[1])
    for _ in range(MOST_STEPS):
        complexity = Form.of(expression).complexity
        distinct = {f.text: f for f in (Form.of(write(e)) for e in deletions(expression))}
        forms = [f for f in distinct.values() if f.variables and f.complexity < complexity]
        forms = sorted(forms, key=lambda form: unfitted(form, x, y))[:MOST_FITS]
        steps = [step for f in forms if (step := fitted(f, x, y))]
        if not steps:
            break
        error, expression = min(steps, key=lambda step: step[0])
        if error - first_error > LARGEST_LOSS * y.var():
            break
        path.append(expression)
    return path


def fitted(
    form: Form, x: dict[str, np.ndarray], y: np.ndarray, start: np.ndarray | None = None
) -> tuple[float, sympy.Expr] | None:
    """Mean squared error and expression of the form fitted to `y`; None where that fails.

    start: first values of the constants, by default the form's.
    """
    constants = form.fit(x, y, form.start if start is None else start)
    if constants is None:
        return None
    error = float(((form.values(constants, x, len(y)) - y) ** 2).mean())
    return error, with_numbers(form, constants, 15)


def unfitted(form: Form, x: dict[str, np.ndarray], y: np.ndarray) -> float:
    """Share of the variance of `y` that the form leaves with constants as they are, but for scale
    and offset."""
    values = form.values(form.start, x, len(y))
    if not np.isfinite(values).all() or not values.std() > 0:
        return 1.0
    return 1 - float(np.corrcoef(values, y)[0, 1]) ** 2


def deletions(expression: sympy.Expr) -> Iterator[sympy.Expr]:
    """Every expression that lacks one summand or factor of this one, or has 1 + u for a function
    or whole power of u."""
    arguments = expression.args
    if expression.is_Add or expression.is_Mul:
        for i, argument in enumerate(arguments):
            rest = arguments[:i] + arguments[i + 1 :]
            if (expression.is_Add or not argument.is_Number) and any(r.free_symbols for r in rest):
                yield expression.func(*rest)
    elif expression.is_Function or (expression.is_Pow and expression.exp.is_Integer):
        yield 1.0 + arguments[0]
    for i, argument in enumerate(arguments):
        for shorter in deletions(argument):
            yield expression.func(*arguments[:i], shorter, *arguments[i + 1 :])

"""Slow doubles: an expression tree one number at a time, and the choice of a member."""

import math

FUNCTIONS = {
    "exp": math.exp,
    "tanh": math.tanh,
    "square": lambda u: u * u,
    "abs": abs,
    "sqrt": math.sqrt,
    "log": math.log,
}
OPERATORS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}


def text(tree) -> str:
    """A tree as infix. A tree is a number, a name, (function, tree) or (operator, tree, tree)."""
    match tree:
        case (name, argument):
            return f"{name}({text(argument)})"
        case (operator, left, right):
            return f"({text(left)} {operator} {text(right)})"
    return f"({tree!r})" if isinstance(tree, float) else str(tree)


def value(tree, row: dict[str, float], seen: list[float]) -> float:
    """The value at one row; the size of every part on the way is put into `seen`."""
    match tree:
        case (name, argument):
            found = FUNCTIONS[name](value(argument, row, seen))
        case (operator, left, right):
            found = OPERATORS[operator](value(left, row, seen), value(right, row, seen))
        case str():
            found = row[tree]
        case _:
            found = float(tree)
    seen.append(abs(found))
    return found


def simplest_within_one_standard_error(errors: list[list[float]]) -> int:
    """The first of the members (squared errors of each gene, simple members first) whose mean is
    not more than one paired standard error above the least mean."""
    n = len(errors[0])
    means = [sum(member) / n for member in errors]
    best = means.index(min(means))
    for place, member in enumerate(errors):
        differences = [a - b for a, b in zip(member, errors[best], strict=True)]
        mean = sum(differences) / n
        variance = sum((d - mean) ** 2 for d in differences) / (n - 1)
        if mean <= math.sqrt(variance / n):
            return place
    raise AssertionError("the best is within its own standard error")

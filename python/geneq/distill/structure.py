"""The structure of an equation: its terms without their constants, to compare it with others."""

import sympy

__all__ = ["shape", "terms"]


def terms(expression: sympy.Expr) -> list[sympy.Expr]:
    """What an expression is the sum of, products multiplied out, without constants; sorted.

    3 + 2·(a + 1)·(b - 4) + 5·tanh(0.3·b + 1) has the terms a, a·b, b and tanh(b).
    """
    expanded = sympy.expand(expression, power_exp=False, power_base=False)
    found = {shape(term) for term in sympy.Add.make_args(expanded) if term.free_symbols}
    return sorted(found, key=str)


def shape(part: sympy.Expr) -> sympy.Expr:
    """An expression without constant factors and summands, at any depth; integer powers remain."""
    if not part.args:
        return part
    if part.is_Pow and part.exp.is_number:
        return shape(part.base) ** part.exp
    varying = [argument for argument in part.args if argument.free_symbols]
    if part.is_Add:
        return sympy.Add(*{shape(argument) for argument in varying})
    return part.func(*map(shape, varying))

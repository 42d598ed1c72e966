"""Equations as MathML, which browsers typeset without scripts or additional fonts.

An infix expression (`c0 + c1*z_SP1`) is read with Python's own grammar and never evaluated. Each
term of its outermost sum is one <math> element, so that a long equation wraps between terms.
"""

import ast
import math
from collections import Counter
from collections.abc import Callable

from markupsafe import Markup, escape

from ..equations import parse, used_variables
from ..errors import GeneqError
from .svg import MINUS, tag

TIMES = "\N{MULTIPLICATION SIGN}"
Names = Callable[[str], Markup]


def equation(document: dict, numbers: bool = True) -> Markup:
    """The right side of one equations/<n>.json.

    Constants are shown to three significant digits, or without `numbers` by their names.
    """
    constants = document["constants"] if numbers else {}
    return expression(document["expression"], document, constants)


def expression(text: str, document: dict, constants: dict[str, float] | None = None) -> Markup:
    """An expression in the variables of a document, with constants put in."""
    symbols = variable_symbols(document)

    def names(name: str) -> Markup:
        return symbols.get(name) or tag("mi", escape(name))

    tree = ast.fix_missing_locations(_PutIn(constants or {}).visit(parse(text)))
    terms = _terms(tree)
    return Markup(" ").join(
        tag("math", _signed(negative, term, names, first=i == 0))
        for i, (negative, term) in enumerate(terms)
    )


def variable_symbols(document: dict) -> dict[str, Markup]:
    """Variable name → symbol: its class, with an index where variables share a class.

    The symbol of a variable that mixes classes is its name.
    """
    used = used_variables(document)
    labels = [variable["class"] or variable["name"] for variable in used]
    shared = Counter(labels)
    seen: Counter = Counter()
    symbols = {}
    for variable, name in zip(used, labels, strict=True):
        seen[name] += 1
        symbol = tag("mi", escape(name), mathvariant="normal")
        if shared[name] > 1:
            symbol = tag("msub", symbol, tag("mn", str(seen[name])))
        symbols[variable["name"]] = symbol
    return symbols


def figure(value: float, digits: int = 3) -> Markup:
    """A number with so many significant digits; powers of ten where it is very large or small."""
    written = f"{abs(value):.{digits}g}"
    sign = tag("mo", MINUS) if value < 0 else ""
    if "e" not in written:
        return Markup("").join([sign, tag("mn", written)])
    mantissa, exponent = written.split("e")
    power = tag("msup", tag("mn", "10"), _row(figure(int(exponent), 9)))
    return Markup("").join([sign, tag("mn", mantissa), tag("mo", TIMES), power])


class _PutIn(ast.NodeTransformer):
    """Replace the constants by their values, a negative one by the minus of a positive one."""

    def __init__(self, constants: dict[str, float]):
        self.constants = constants

    def visit_Name(self, node):
        value = self.constants.get(node.id)
        if value is None:
            return node
        positive = ast.Constant(abs(float(value)))
        return ast.UnaryOp(ast.USub(), positive) if value < 0 else positive


def _terms(node: ast.expr, negative: bool = False) -> list[tuple[bool, ast.expr]]:
    """The terms of the outermost sum: (negative, term without its sign)."""
    match node:
        case ast.BinOp(left, ast.Add() | ast.Sub() as op, right):
            flipped = negative != isinstance(op, ast.Sub)
            return _terms(left, negative) + _terms(right, flipped)
        case ast.UnaryOp(ast.USub(), operand):
            return _terms(operand, not negative)
        case ast.UnaryOp(ast.UAdd(), operand):
            return _terms(operand, negative)
    minus, bare = _without_sign(node)
    return [(negative != minus, bare)]


def _without_sign(node: ast.expr) -> tuple[bool, ast.expr]:
    """A product's leading minus, taken out of it."""
    match node:
        case ast.UnaryOp(ast.USub(), operand):
            minus, bare = _without_sign(operand)
            return not minus, bare
        case ast.BinOp(left, ast.Mult() | ast.Div() as op, right):
            minus, bare = _without_sign(left)
            other, bare_right = _without_sign(right)
            return minus != other, ast.BinOp(bare, op, bare_right)
    return False, node


def _signed(negative: bool, term: ast.expr, names: Names, first: bool) -> Markup:
    sign = MINUS if negative else "" if first else "+"
    shown = tag("mo", sign, form="prefix" if first else "infix") if sign else Markup("")
    return shown + _write(term, names)


def _sum(node: ast.expr, names: Names) -> Markup:
    return Markup("").join(
        _signed(negative, term, names, first=i == 0)
        for i, (negative, term) in enumerate(_terms(node))
    )


def _write(node: ast.expr, names: Names) -> Markup:
    match node:
        case ast.Constant(int() | float() as value) if math.isfinite(value):
            return figure(value)
        case ast.Name(name):
            return names(name)
        case ast.BinOp(left, ast.Mult(), right):
            return _factor(left, names) + _times(left, right) + _factor(right, names)
        case ast.BinOp(left, ast.Div(), right):
            return tag("mfrac", _row(_sum(left, names)), _row(_sum(right, names)))
        case ast.BinOp(left, ast.Pow(), right):
            return tag("msup", _row(_base(left, names)), _row(_sum(right, names)))
        case ast.Call(ast.Name(name), arguments, []):
            return _call(name, arguments, [_sum(argument, names) for argument in arguments])
        case ast.BinOp(op=ast.Add() | ast.Sub()) | ast.UnaryOp():
            return _sum(node, names)
    raise GeneqError(
        "An equation may contain only sums, products, powers and functions", value=ast.unparse(node)
    )


def _call(name: str, arguments: list[ast.expr], written: list[Markup]) -> Markup:
    match name, written:
        case "sqrt", [inside]:
            return tag("msqrt", inside)
        case "exp", [inside] if len(_terms(arguments[0])) == 1:
            return tag("msup", tag("mi", "e"), _row(inside))
        case (("Abs" | "abs"), [inside]):
            return tag("mrow", tag("mo", "|"), inside, tag("mo", "|"))
        case "square", [inside]:
            return tag("msup", _row(_bracketed(inside)), tag("mn", "2"))
    listed = tag("mo", ",").join(written)
    return tag("mrow", tag("mi", escape(name.lower())), _bracketed(listed))


def _factor(node: ast.expr, names: Names) -> Markup:
    """A factor of a product; sums and signed numbers in brackets."""
    bracket = isinstance(node, ast.UnaryOp) or _is(node, ast.Add, ast.Sub)
    return _bracketed(_sum(node, names)) if bracket else _write(node, names)


def _base(node: ast.expr, names: Names) -> Markup:
    return _write(node, names) if isinstance(node, ast.Name) else _bracketed(_sum(node, names))


def _times(left: ast.expr, right: ast.expr) -> Markup:
    """Nothing but a thin space after a number, a dot between names."""
    if isinstance(left, ast.Constant) and not isinstance(right, ast.Constant):
        return Markup('<mspace width="0.17em"/>')
    return tag("mo", "·")


def _is(node: ast.expr, *operators) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, operators)


def _bracketed(inside: Markup) -> Markup:
    return tag("mrow", tag("mo", "("), inside, tag("mo", ")"))


def _row(inside: Markup) -> Markup:
    return tag("mrow", inside)

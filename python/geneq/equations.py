"""Equations: read, evaluate, fit, count and print them; load the ones that distill wrote.

An expression is infix text over variables, constants and the functions of FUNCTIONS
(`c0 + c1*z_SP1*tanh(c2*z_ETS)`). It is read with Python's grammar and walked; it is never run.
"""

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import sympy

from .artifacts import read_json, write_json
from .checks import check_format
from .errors import GeneqError
from .features import SCALES, Block, Column, Features, normal_scores

__all__ = [
    "SOURCE", "Equation", "Form", "Program", "about_features", "class_label", "class_shares",
    "evaluate", "nodes", "parse", "used_blocks", "used_columns", "used_variables",
]  # fmt: skip

FORMAT, VERSION = "geneq-equation", 3
# What a document needs to be evaluated.
NEEDED = (
    "version", "selected", "blocks", "scale", "variables", "expression", "constants", "infix",
)  # fmt: skip
# Of a block of an oracle.
OF_ORACLES = ("strands", "window", "tss_index", "bin_edges", "orientation")
# Of some of them: how a model is tiled, the table of classes, what the oracle was trained on.
OF_SOME_ORACLES = ("tile", "classes_file", "trained", "held_out")
# Of features that were made elsewhere, with or without bin edges.
SOURCE = "source"
# Of a variable that mixes classes, those that are shown.
MOST_CLASSES = 6
MAX_CHARACTERS = 100_000
# Deeper than any readable equation, and well below Python's recursion limit.
MAX_DEPTH = 200
MOST_ITERATIONS = 100
LARGEST_DAMPING = 1e8
# The largest standard deviation of an argument of tanh that fitting goes to. Above it a tanh is a
# step, whose slope and place the data cannot tell.
MOST_STEEP = 3.0
# Relative gain in squared error at which a fit ends.
TOLERANCE = 1e-8

FUNCTIONS = {
    "exp": (np.exp, sympy.exp),
    "log": (np.log, sympy.log),
    "sqrt": (np.sqrt, sympy.sqrt),
    "tanh": (np.tanh, sympy.tanh),
    "square": (np.square, lambda x: x**2),
    "abs": (np.abs, sympy.Abs),
    "Abs": (np.abs, sympy.Abs),
}
OPERATORS = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}


# --- infix text -----------------------------------------------------------------------------------


def parse(expression: str, file: str | Path | None = None) -> ast.expr:
    """The syntax tree of an infix expression.

    Parameters
    ----------
    expression : str
    file : optional
        Named in the error.

    Raises
    ------
    GeneqError
        The text is not an expression, or contains anything but finite numbers, names, + - * / **
        and calls of FUNCTIONS.
    """
    text = str(expression)
    try:
        if len(text) > MAX_CHARACTERS:
            raise SyntaxError(f"longer than {MAX_CHARACTERS} characters")
        tree = ast.parse(text, mode="eval").body
        _check(tree)
    except (SyntaxError, ValueError, OverflowError) as error:
        raise GeneqError(f"Not an expression ({error})", value=text[:80], file=file) from None
    except (RecursionError, MemoryError):
        raise GeneqError(
            "Not an expression (too deeply nested)", value=text[:80], file=file
        ) from None
    return tree


def _check(node: ast.expr, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise RecursionError
    match node:
        case ast.Name():
            pass
        case ast.Constant(int() | float() as n) if type(n) is not bool and math.isfinite(n):
            pass
        case ast.UnaryOp(ast.USub() | ast.UAdd(), operand):
            _check(operand, depth + 1)
        case ast.BinOp(left, operator, right) if type(operator) in OPERATORS:
            _check(left, depth + 1)
            _check(right, depth + 1)
        case ast.Call(ast.Name(name), [argument], []) if name in FUNCTIONS:
            _check(argument, depth + 1)
        case _:
            raise ValueError(f"'{ast.unparse(node)[:40]}' is not allowed in it")


def evaluate(node: ast.expr, values: dict) -> np.ndarray:
    """The value of a parsed expression.

    Parameters
    ----------
    node : ast.expr
        From `parse`.
    values : dict
        Name → number or array; arrays broadcast.

    Returns
    -------
    ndarray of float64
        Overflow and division by zero give infinity or NaN.
    """
    with np.errstate(all="ignore"):
        return np.asarray(_value(node, values), dtype=float)


def _value(node: ast.expr, values: dict):
    match node:
        case ast.Constant(value):
            return np.float64(cast(float, value))
        case ast.Name(name):
            return np.asarray(values[name], float)
        case ast.UnaryOp(sign, operand):
            value = _value(operand, values)
            return -value if isinstance(sign, ast.USub) else value
        case ast.BinOp(left, operator, right):
            return OPERATORS[type(operator)](_value(left, values), _value(right, values))
        case ast.Call(ast.Name(name), [argument], []):
            return FUNCTIONS[name][0](_value(argument, values))
    raise AssertionError("parse lets nothing else through")


def to_sympy(node: ast.expr) -> sympy.Expr:
    """A parsed expression as sympy's; every name is a real symbol."""
    match node:
        case ast.Constant(value):
            return sympy.Integer(value) if isinstance(value, int) else sympy.Float(value)
        case ast.Name(name):
            return sympy.Symbol(name, real=True)
        case ast.UnaryOp(sign, operand):
            value = to_sympy(operand)
            return -value if isinstance(sign, ast.USub) else value
        case ast.BinOp(left, operator, right):
            a, b = to_sympy(left), to_sympy(right)
            match operator:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    return a / b
                case ast.Pow():
                    return a**b
        case ast.Call(ast.Name(name), [argument], []):
            return FUNCTIONS[name][1](to_sympy(argument))
    raise AssertionError("parse lets nothing else through")


def nodes(expression: sympy.Expr) -> int:
    """Number of nodes of an expression, the measure of its length."""
    return sum(1 for _ in sympy.preorder_traversal(expression))


def used_variables(document: dict) -> list[dict]:
    """The variables that occur in the expression of a document, in the document's order."""
    names = _names(parse(document["expression"]))
    return [variable for variable in document["variables"] if variable["name"] in names]


def used_columns(document: dict) -> list[Column]:
    """The columns of features that the expression depends on, in the order of their weights."""
    weights = [weight for variable in used_variables(document) for weight in variable["weights"]]
    return list(dict.fromkeys(map(_column, weights)))


def used_blocks(document: dict) -> list[int]:
    """Places in `document["blocks"]` of those that the expression depends on, in order."""
    return sorted({column.block for column in used_columns(document)})


def class_shares(variable: dict) -> dict[tuple[int, str], float]:
    """How much classes contribute to a variable.

    Returns
    -------
    dict
        (block, class) → 1 for the class that the variable is named for. Where it mixes classes:
        share of the sum of absolute weights, with the sign of the class's sum, for at most
        MOST_CLASSES, the largest first.
    """
    sums: dict[tuple[int, str], np.ndarray] = {}
    for weight in variable["weights"]:
        found = sums.setdefault((weight["block"], weight["class"]), np.zeros(2))
        found += abs(weight["weight"]), weight["weight"]
    if variable["class"] is not None:
        blocks = [block for block, name in sums if name == variable["class"]]
        return {(blocks[0] if blocks else 0, variable["class"]): 1.0}
    total = sum(size for size, _ in sums.values())
    largest = sorted(sums, key=lambda key: (-sums[key][0], key))[:MOST_CLASSES]
    return {key: float(np.copysign(sums[key][0] / total, sums[key][1])) for key in largest}


def class_label(block: int, name: str, document: dict) -> str:
    """A class's name, with that of its block if several blocks have such a class."""
    blocks = document["blocks"]
    shared = sum(name in entry["classes"] for entry in blocks) > 1
    return f"{name} ({blocks[block]['name']})" if shared else name


def _column(weight: dict) -> Column:
    return Column(weight["block"], weight["bin"], weight["class"])


def _names(tree: ast.expr) -> set[str]:
    """Names in a parsed expression, without those of functions."""
    calls = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return {node.id for node in names if id(node) not in calls}


# --- the values of a sympy expression -------------------------------------------------------------


class Program:
    """A sympy expression as steps that NumPy carries out, and their derivatives.

    For the many forms that distilling compares, compiling each by sympy would take longer than
    fitting it. Steps: (operation, places of its arguments); equal parts are one step.

    Attributes
    ----------
    place : dict
        Part of the expression → its step.
    """

    def __init__(self, expression: sympy.Expr):
        self.steps: list[tuple[str, tuple]] = []
        self.place: dict[sympy.Expr, int] = {}
        self._add(expression)

    def _add(self, part: sympy.Expr) -> int:
        if part in self.place:
            return self.place[part]
        step: tuple[str, tuple]
        if part.is_Symbol:
            step = "name", (part.name,)
        elif part.is_number:
            step = "number", (float(part) if part.is_extended_real else math.nan,)
        elif part.is_Pow and part.exp.is_Integer:
            step = "power", (self._add(part.base), int(part.exp))
        else:
            step = type(part).__name__, tuple(self._add(argument) for argument in part.args)
        self.steps.append(step)
        self.place[part] = len(self.steps) - 1
        return self.place[part]

    def run(self, names: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The value of every step, the last of which is the expression's; arrays broadcast."""
        values: list[np.ndarray] = []
        with np.errstate(all="ignore"):
            for operation, arguments in self.steps:
                values.append(_VALUE[operation](values, names, arguments))
        return values

    def slopes(self, values: list[np.ndarray], names: list[str]) -> list[np.ndarray]:
        """Derivatives of the expression with respect to names, from the values of `run`.

        By reverse accumulation: one pass for all names.
        """
        found: dict[str, Any] = dict.fromkeys(names, 0.0)
        slopes: list = [0.0] * len(values)
        slopes[-1] = 1.0
        with np.errstate(all="ignore"):
            for i in range(len(values))[::-1]:
                operation, arguments = self.steps[i]
                if operation == "name":
                    if arguments[0] in found:
                        found[arguments[0]] = slopes[i]
                elif operation != "number":
                    for j, slope in _SLOPE[operation](values, values[i], arguments):
                        slopes[j] = slopes[j] + slopes[i] * slope
        return [found[name] for name in names]


def _product(values: list, places: tuple[int, ...]):
    return math.prod(values[j] for j in places)


_VALUE: dict[str, Callable] = {
    "name": lambda v, names, a: names[a[0]],
    "number": lambda v, names, a: np.float64(a[0]),
    "Add": lambda v, names, a: sum(v[j] for j in a),
    "Mul": lambda v, names, a: _product(v, a),
    "power": lambda v, names, a: np.power(v[a[0]], float(a[1])),
    "Pow": lambda v, names, a: np.power(v[a[0]], v[a[1]]),
    "exp": lambda v, names, a: np.exp(v[a[0]]),
    "log": lambda v, names, a: np.log(v[a[0]]),
    "tanh": lambda v, names, a: np.tanh(v[a[0]]),
    "Abs": lambda v, names, a: np.abs(v[a[0]]),
}
# (values, the step's own value, arguments) → place and derivative by each argument.
_SLOPE: dict[str, Callable] = {
    "Add": lambda v, own, a: [(j, 1.0) for j in a],
    "Mul": lambda v, own, a: [(j, _product(v, a[:i] + a[i + 1 :])) for i, j in enumerate(a)],
    "power": lambda v, own, a: [(a[0], a[1] * np.power(v[a[0]], a[1] - 1.0))],
    "Pow": lambda v, own, a: [
        (a[0], v[a[1]] * np.power(v[a[0]], v[a[1]] - 1)),
        (a[1], own * np.log(v[a[0]])),
    ],
    "exp": lambda v, own, a: [(a[0], own)],
    "log": lambda v, own, a: [(a[0], 1 / v[a[0]])],
    "tanh": lambda v, own, a: [(a[0], 1 - own**2)],
    "Abs": lambda v, own, a: [(a[0], np.sign(v[a[0]]))],
}


# --- a form with constants to fit -----------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """An expression whose numbers are named constants that can be fitted.

    Attributes
    ----------
    expression : sympy.Expr
        In `variables` and the constants c0, c1, …
    variables : tuple of str
    start : ndarray of float64[constants]
        First values of the constants.
    """

    expression: sympy.Expr
    variables: tuple[str, ...]
    start: np.ndarray

    @classmethod
    def of(cls, expression: sympy.Expr) -> "Form":
        """Name each number that can be fitted.

        Numbers are gathered and numeric factors multiplied into sums first, so that however an
        engine writes a form, its numbers are the same ones. A sum without a constant summand gets
        one. Integer exponents stay as they are.
        """
        expression = expression.replace(lambda part: part.is_Mul, _factor_into_sum)
        if not any(term.is_number for term in sympy.Add.make_args(expression)):
            expression = sympy.Add(sympy.Float(0), expression, evaluate=False)
        start: list[float] = []
        named = _name_numbers(expression, start)
        names = {symbol.name for symbol in expression.free_symbols}
        return cls(named, tuple(sorted(names)), np.array(start))

    @cached_property
    def complexity(self) -> int:
        """Nodes of the sympy expression: the one measure for every engine."""
        return nodes(self.expression)

    @cached_property
    def text(self) -> str:
        return str(self.expression)

    @cached_property
    def _program(self) -> "Program":
        return Program(self.expression)

    def values(self, constants: np.ndarray, x: dict[str, np.ndarray], n: int) -> np.ndarray:
        """float64[n] for the variables `x`, each float64[n]."""
        return np.broadcast_to(self._program.run(self._named(constants, x))[-1], n)

    def _named(self, constants: np.ndarray, x: dict[str, np.ndarray]) -> dict:
        return {**x, **{f"c{i}": constant for i, constant in enumerate(constants)}}

    def slope(self, variable: str, constants: np.ndarray, x: dict[str, np.ndarray]) -> np.ndarray:
        """Derivative with respect to a variable, float64[n], for `x` as in `fit`."""
        values = self._program.run(self._named(constants, x))
        return np.broadcast_to(self._program.slopes(values, [variable])[0], len(x[variable]))

    def steepness(self, constants: np.ndarray, x: dict[str, np.ndarray]) -> float:
        """The largest standard deviation of an argument of tanh, for `x` as in `fit`; 0 without."""
        places = [a[0] for operation, a in self._program.steps if operation == "tanh"]
        if not places:
            return 0.0
        values = self._program.run(self._named(constants, x))
        return max(float(np.std(values[place])) for place in places)

    def _gradient(self, constants: np.ndarray, x: dict[str, np.ndarray], n: int) -> np.ndarray:
        values = self._program.run(self._named(constants, x))
        names = [f"c{i}" for i in range(len(constants))]
        slopes = self._program.slopes(values, names)
        return np.stack([np.broadcast_to(slope, n) for slope in slopes], axis=1)

    def fit(self, x: dict[str, np.ndarray], y: np.ndarray, start: np.ndarray) -> np.ndarray | None:
        """Fit the constants by least squares.

        Parameters
        ----------
        x : dict of str to ndarray of float64[n]
            The variables.
        y : ndarray of float64[n]
        start : ndarray of float64[constants]

        Returns
        -------
        ndarray of float64[constants] or None
            None if the fit fails (values that are not finite).

        Notes
        -----
        Levenberg–Marquardt with Marquardt's scaling on the normal equations (Marquardt 1963, SIAM
        J. Appl. Math. 11:431): for a few constants and thousands of genes ten times faster than a
        solver that factors the Jacobian. No tanh is made steeper than MOST_STEEP.
        """
        with np.errstate(all="ignore"):
            return self._fit(x, y, np.asarray(start, float))

    def standard_errors(
        self, constants: np.ndarray, x: dict[str, np.ndarray], y: np.ndarray
    ) -> np.ndarray:
        """Standard errors of fitted constants, float64[constants], from the curvature at the fit.

        x, y: as in `fit`. Residuals are taken as independent and of one variance.
        """
        n = len(y)
        gradient = self._gradient(constants, x, n)
        residual = self.values(constants, x, n) - y
        variance = residual @ residual / max(1, n - len(constants))
        return np.sqrt(variance * np.abs(np.diag(np.linalg.pinv(gradient.T @ gradient))))

    def _fit(self, x: dict[str, np.ndarray], y: np.ndarray, constants: np.ndarray):
        n, damping = len(y), 1e-3
        steepest = max(MOST_STEEP, self.steepness(constants, x))
        residual = self.values(constants, x, n) - y
        error = residual @ residual
        if not np.isfinite(error):
            return None
        for _ in range(MOST_ITERATIONS):
            gradient = self._gradient(constants, x, n)
            curvature, slope = gradient.T @ gradient, gradient.T @ residual
            if not np.isfinite(curvature).all():
                return None
            size = np.sqrt(np.diag(curvature))
            size = np.where(size > 0, size, 1)
            curvature, slope = curvature / np.outer(size, size), slope / size
            improved = False
            while not improved and damping < LARGEST_DAMPING:
                damped = curvature + damping * np.eye(len(size))
                trial = constants - np.linalg.lstsq(damped, slope, rcond=None)[0] / size
                trial_residual = self.values(trial, x, n) - y
                trial_error = trial_residual @ trial_residual
                improved = trial_error <= error and self.steepness(trial, x) <= steepest
                damping = damping / 10 if improved else damping * 10
            if not improved:
                break
            gain = error - trial_error
            constants, residual, error = trial, trial_residual, trial_error
            if gain <= TOLERANCE * error:
                break
        return constants


@lru_cache(maxsize=10_000)
def _text(expression: sympy.Expr) -> str:
    return str(expression)


def _constant(i: int) -> sympy.Symbol:
    return sympy.Symbol(f"c{i}", real=True)


def _factor_into_sum(product: sympy.Expr) -> sympy.Expr:
    """The numeric factor of a product multiplied into one of its sums, if it has any.

    sympy does so itself only for products of a number and a sum alone.
    """
    number, rest = product.as_coeff_Mul()
    factors = sympy.Mul.make_args(rest)
    sums = [factor for factor in factors if factor.is_Add]
    if number == 1 or not sums:
        return product
    return sympy.Mul(number * sums[0], *(factor for factor in factors if factor is not sums[0]))


def _name_numbers(expression: sympy.Expr, start: list[float]) -> sympy.Expr:
    """Replace numbers by c0, c1, …, depth first, and put their values into `start`."""
    if expression.is_number:
        # What is not real (1/0, the root of -1) makes a form that is nowhere finite.
        start.append(float(expression) if expression.is_extended_real else math.nan)
        return _constant(len(start) - 1)
    if not expression.args:
        return expression
    if expression.is_Pow and expression.exp.is_Integer:
        return sympy.Pow(_name_numbers(expression.base, start), expression.exp)
    arguments = expression.args
    if expression.is_Add or expression.is_Mul:
        arguments = sorted(arguments, key=lambda e: (not e.is_number, _text(e)))
    return expression.func(*[_name_numbers(argument, start) for argument in arguments])


# --- the documents that distill writes ------------------------------------------------------------


@dataclass(frozen=True)
class Equation:
    """An equation that predicts log2(CPM + 1) of one cell type from features.

    Attributes
    ----------
    document : dict
        The content of `equations/<n>.json`; docs/equations.md lists the fields.
    """

    document: dict

    @classmethod
    def load(cls, path: str | Path) -> "Equation":
        """Read `equations/<n>.json`.

        Raises
        ------
        GeneqError
            The file is missing, truncated, incomplete or of another format, the expression has
            unknown names or is not allowed, or a variable has columns that the blocks lack.
        """
        document = check_format(read_json(path), "an equation", FORMAT, VERSION, path)
        missing = [key for key in NEEDED if key not in document]
        if missing:
            raise GeneqError("The equation lacks entries", value=", ".join(missing), file=path)
        tree = parse(document["expression"], path)
        known = {*document["constants"], *(v["name"] for v in document["variables"])}
        unknown = sorted(_names(tree) - known)
        if unknown:
            raise GeneqError(
                "The expression contains names that are neither constants nor variables",
                value=", ".join(unknown),
                file=path,
            )
        _check_columns(document, path)
        return cls(document)

    def save(self, path: str | Path) -> None:
        write_json(self.document, path)

    @property
    def selected(self) -> bool:
        """False where no equation predicts better than a constant: then it is that constant."""
        return self.document["selected"]

    def __str__(self) -> str:
        return self.document["infix"]

    def variables(self, features: Features) -> dict[str, np.ndarray]:
        """The variables of the expression.

        Parameters
        ----------
        features : Features
            With the blocks that the variables depend on, found by their names; others may be
            there, too.

        Returns
        -------
        dict of str to ndarray of float64[genes]

        Raises
        ------
        GeneqError
            A block is missing, is from another oracle or table, or has other bin edges.
        """
        scaled = self._scaled(features)
        return {
            variable["name"]: variable["offset"]
            + sum(
                weight["weight"] * scaled[_column(weight)].astype(float)
                for weight in variable["weights"]
            )
            for variable in used_variables(self.document)
        }

    def _scaled(self, features: Features) -> dict[Column, np.ndarray]:
        """float32[genes] of each column that the variables depend on, on the equation's scale."""
        blocks = {i: self._block(i, features) for i in used_blocks(self.document)}
        place = {i: {name: j for j, name in enumerate(b.classes)} for i, b in blocks.items()}
        raw = {
            column: blocks[column.block].values[:, column.bin, place[column.block][column.name]]
            for column in used_columns(self.document)
        }
        if self.document["scale"] == "raw":
            return raw
        curves = _curves(self.document)
        return {c: normal_scores(x[:, None], curves[c][None])[:, 0] for c, x in raw.items()}

    def predict(self, features: Features) -> np.ndarray:
        """Predicted log2(CPM + 1), float64[genes], in the order of `features.gene_id`.

        Raises
        ------
        GeneqError
            As `variables`.
        """
        values = {**self.document["constants"], **self.variables(features)}
        value = evaluate(parse(self.document["expression"]), values)
        return np.broadcast_to(value, len(features.gene_id)).copy()

    def _block(self, place: int, features: Features) -> Block:
        """The block of the features that is the equation's at this place."""
        wanted = self.document["blocks"][place]
        fix = f"Featurize with {wanted['name']} and the equation's bin edges"
        found = next((block for block in features.blocks if block.name == wanted["name"]), None)
        if found is None:
            raise GeneqError(
                f"The features have no block {wanted['name']}",
                value=", ".join(block.name for block in features.blocks),
                fix=fix,
            )
        for key in ("hash", "bin_edges"):
            if found.meta.get(key) != wanted.get(key):
                raise GeneqError(
                    f"The features differ from those of the equation: {key} of {found.name} is "
                    f"{found.meta.get(key)}, the equation's {wanted.get(key)}",
                    fix=fix,
                )
        return found


def _curves(document: dict) -> dict[Column, np.ndarray]:
    """Quantiles float32[SCORES] of columns."""
    return {_column(entry): np.array(entry["values"], "f4") for entry in document["quantiles"]}


def _check_columns(document: dict, path: str | Path) -> None:
    """Raises GeneqError if the columns of variables are not those of the document's blocks."""
    blocks, scale = document["blocks"], document["scale"]
    if scale not in SCALES:
        raise GeneqError(f"scale must be one of {', '.join(SCALES)}", value=scale, file=path)
    try:
        used = used_columns(document)
        absent = [column for column in used if not _is_in(blocks, column)]
        if scale == "normal":
            known = _curves(document)
            absent += [column for column in used if column not in known]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        rule = "The equation file is incomplete"
        raise GeneqError(rule, value=str(error), file=path) from None
    if absent:
        raise GeneqError(
            "A variable has a column that the document does not describe",
            value=f"block {absent[0].block}, bin {absent[0].bin}, class {absent[0].name}",
            file=path,
        )


def _is_in(blocks: list[dict], column: Column) -> bool:
    about = blocks[column.block]
    bins = len(about.get("bin_edges", (0, 1))) - 1  # a table has one
    return column.block >= 0 and column.bin in range(bins) and column.name in about["classes"]


def about_features(training: Features, scale: str, variables: list[dict]) -> dict:
    """The entries of a document that describe features.

    Parameters
    ----------
    training : Features
        Of the training genes: tables are described with their medians.
    scale : str
        One of SCALES; that of the columns which the variables weight.
    variables : list of dict
        As in the document: each with `weights`, whose entries have block, bin and class.

    Returns
    -------
    dict
        genome (its digest), blocks, scale and, for normal scores, quantiles.
    """
    about: dict = {
        "genome": training.meta.get("genome"),
        "blocks": [_about_block(block) for block in training.blocks],
        "scale": scale,
    }
    if scale == "normal":
        weights = [weight for variable in variables for weight in variable["weights"]]
        columns = dict.fromkeys(map(_column, weights))
        about["quantiles"] = [_about_quantiles(column, training) for column in columns]
    return about


def _about_block(block: Block) -> dict:
    about = {"name": block.name, "hash": block.meta["hash"], "classes": list(block.classes)}
    about |= {SOURCE: block.meta[SOURCE]} if SOURCE in block.meta else {}
    if not block.is_table:
        optional = [key for key in OF_SOME_ORACLES if key in block.meta]
        return about | {key: block.meta[key] for key in (*OF_ORACLES, *optional)}
    medians = np.median(block.values[:, 0], axis=0)
    return about | {"medians": dict(zip(block.classes, medians.tolist(), strict=True))}


def _about_quantiles(column: Column, features: Features) -> dict:
    block = features.blocks[column.block]
    assert block.quantiles is not None, "quantiles are computed when features are complete"
    values = block.quantiles[column.bin, block.classes.index(column.name)]
    place = {"block": column.block, "bin": column.bin, "class": column.name}
    return {**place, "values": values.tolist()}


def with_numbers(form: Form, constants: np.ndarray, digits: int = 3) -> sympy.Expr:
    """The expression with its constants put in, to `digits` significant digits."""
    values = {_constant(i): sympy.Float(round_to(c, digits)) for i, c in enumerate(constants)}
    return form.expression.xreplace(values)


def round_to(value: float, digits: int) -> float:
    """`value` to that many significant digits."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def infix(expression: sympy.Expr, digits: int = 3) -> str:
    """Text of an expression, numbers to `digits` significant digits."""
    from sympy.printing.str import StrPrinter

    class Printer(StrPrinter):
        def _print_Float(self, number):
            text = f"{float(number):.{digits}g}"
            # A factor of exactly 1, read again, would be no constant.
            return text + ".0" if text in ("1", "-1") else text

    return Printer().doprint(expression)

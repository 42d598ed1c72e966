"""Symbolic regression behind one interface: features and a target in, expressions out."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Protocol

import numpy as np
import sympy

from ..equations import parse, to_sympy
from ..errors import GeneqError

MAX_LENGTH = 30
# Of a template: genes times targets.
MOST_ROWS = 5000


class Engine(Protocol):
    """name, `front`: expressions from simple to good, and `shared_front`: those of which some
    constants differ between targets."""

    name: str

    def front(
        self, x: np.ndarray, y: np.ndarray, names: list[str], generations: int, seed: int,
        threads: int,
    ) -> list[sympy.Expr]:  # fmt: skip
        """float64[n, k] `x` with columns `names`, float64[n] `y` → a Pareto front."""

    def shared_front(
        self, x: np.ndarray, y: np.ndarray, names: list[str], generations: int, seed: int,
        threads: int,
    ) -> list[sympy.Expr]:  # fmt: skip
        """The same for float64[n, targets] `y`; empty where the engine has no such search. What
        differs between targets is a number all the same."""


def choose_engine(name: str) -> Engine:
    """`operon`, `pysr`, or `auto`: PySR where Julia is there, else Operon.

    Raises GeneqError for `pysr` where it cannot run.
    """
    missing = PySR.missing()
    if name == "pysr" and missing:
        raise GeneqError(
            f"--sr_engine pysr cannot run: {missing}",
            fix="Install Julia and PySR (the container image 'pysr' has both), or use operon",
        )
    return PySR() if name == "pysr" or (name == "auto" and not missing) else Operon()


class Operon:
    """pyoperon's NSGA-II over error and length (Burlacu et al., GECCO 2020).

    The budget is in generations, so that results do not depend on the machine's speed. Minimum and
    maximum are not offered: this version of Operon has them swapped.
    """

    name = "operon"
    SYMBOLS = "add,sub,mul,div,exp,tanh,square,constant,variable"
    POPULATION = 500

    def front(self, x, y, names, generations, seed, threads):
        import pyoperon
        from pyoperon.sklearn import SymbolicRegressor

        model = SymbolicRegressor(
            allowed_symbols=self.SYMBOLS,
            objectives=["mse", "length"],
            max_length=MAX_LENGTH,
            optimizer_iterations=3,
            population_size=self.POPULATION,
            generations=generations,
            max_evaluations=2**62,
            n_threads=threads,
            random_state=seed,
        ).fit(x, y)
        # The default number of decimals would round small constants to zero.
        texts = [
            pyoperon.InfixFormatter.Format(member["tree"], model.variables_, 17)
            for member in model.pareto_front_
        ]
        columns = {f"X{i + 1}": name for i, name in enumerate(names)}
        return [_renamed(text.replace("^", "**"), columns) for text in texts]

    def shared_front(self, x, y, names, generations, seed, threads):
        return []


class PySR:
    """PySR (Cranmer, arXiv:2305.01582), in a separate process: importing it starts Julia."""

    name = "pysr"

    @staticmethod
    def missing() -> str | None:
        """Why PySR cannot run here, or None. Importing it without Julia would download one."""
        if not (shutil.which("julia") or os.environ.get("PYTHON_JULIACALL_EXE")):
            return "there is no julia on PATH"
        found = subprocess.run(
            [sys.executable, "-c", "import importlib.util as u; u.find_spec('pysr') or exit(3)"]
        )
        return "the Python package pysr is not installed" if found.returncode else None

    def front(self, x, y, names, generations, seed, threads):
        columns = {f"x{i}": name for i, name in enumerate(names)}
        return [_renamed(text, columns) for text in self._run(x, y, generations, seed)]

    def shared_front(self, x, y, names, generations, seed, threads):
        """By a template: f of the columns and of parameters that differ between targets."""
        n, targets = y.shape
        rows = max(1, min(n, MOST_ROWS // targets))
        category = np.repeat(np.arange(1.0, targets + 1), rows)
        stacked = np.column_stack([np.tile(x[:rows], (targets, 1)), category])
        texts = self._run(stacked, y[:rows].T.ravel(), generations, seed, targets=targets)
        return [_of_template(text, names) for text in texts]

    def _run(self, x, y, generations: int, seed: int, **more: int) -> list[str]:
        """The front as PySR writes it."""
        with tempfile.TemporaryDirectory() as folder:
            task = Path(folder)
            np.savez(task / "data.npz", x=x, y=y)
            options = {"generations": generations, "seed": seed, "max_length": MAX_LENGTH, **more}
            (task / "options.json").write_text(json.dumps(options))
            # Not as a module of geneq, which imports torch: Julia must be loaded before that.
            worker = [sys.executable, "-P", str(Path(__file__).with_name("pysr_worker.py")), folder]
            done = subprocess.run(worker, capture_output=True, text=True)
            if done.returncode:
                raise GeneqError(
                    "PySR failed",
                    value=done.stderr.strip()[-500:],
                    fix="Try --sr_engine operon",
                )
            return json.loads((task / "front.json").read_text())


def _of_template(text: str, names: list[str]) -> sympy.Expr:
    """A template as PySR writes it, `f = #1 * #3 + 0.5; p1 = [0.2, -1.5]`, where the arguments of f
    are the columns and then the parameters. Of a parameter the largest value is taken."""
    parts = dict(part.split(" = ", 1) for part in text.split("; "))
    body = re.sub(r"#(\d+)", r"a\1", parts.pop("f")).replace("^", "**")
    expression = _renamed(body, {f"a{i + 1}": name for i, name in enumerate([*names, *parts])})
    numbers = {name: max(json.loads(values), key=abs) for name, values in parts.items()}
    symbols = {sympy.Symbol(name, real=True): sympy.Float(v) for name, v in numbers.items()}
    return expression.xreplace(symbols)


def _renamed(text: str, columns: dict[str, str]) -> sympy.Expr:
    """The engine's text as sympy's, its column names replaced by the variables'."""
    expression = to_sympy(parse(text))
    symbols = {s: sympy.Symbol(columns[s.name], real=True) for s in expression.free_symbols}
    return expression.xreplace(symbols)

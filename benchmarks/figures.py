"""What every benchmark says: figures, each beside a peer or a bound; their table; the machine."""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np


@dataclass(frozen=True)
class Figure:
    """A line of the table.

    peer: what it is measured beside, in the same unit. ratio: how many times better than that, or
    than the bound that is wanted. floor: the least ratio that is wanted, where one is.
    """

    value: float
    unit: str
    peer: float | None = None
    ratio: float | None = None
    floor: float | None = None
    beside: str = ""

    @property
    def verdict(self) -> str:
        if self.floor is None or self.ratio is None:
            return ""
        return "met" if self.ratio >= self.floor else "NOT MET"


Figures = dict[str, Figure]


def at_most(bound: float, value: float, unit: str) -> Figure:
    """A value that is wanted to be no larger."""
    return Figure(value, unit, None, bound / max(value, 1e-9), 1.0, f"at most {bound:g} {unit}")


def version(name: str) -> str | None:
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


def module_of(package: str, file: str) -> ModuleType:
    """One file of an installed package, without what the package imports beside it."""
    spec = spec_from_file_location(Path(file).stem, distribution(package).locate_file(file))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def machine(peers: tuple[str, ...]) -> str:
    """Processor and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    found = ", ".join(f"{name} {version(name) or 'not installed'}" for name in peers)
    return (
        f"{models[0] if models else platform.machine()}, {os.cpu_count()} CPUs; "
        f"Python {platform.python_version()}, NumPy {np.__version__}; {found}"
    )


def timed(
    function: Callable, tokens: np.ndarray, *others, runs: int, clock: Callable[[], float]
) -> tuple[float, np.ndarray]:
    """Seconds by `clock` of the fastest of several runs after a short one, and the result."""
    function(tokens[:2], *others)
    seconds = []
    for _ in range(runs):
        start = clock()
        result = function(tokens, *others)
        seconds.append(clock() - start)
    return min(seconds), result


def write_json(figures: Figures, path: str | Path) -> None:
    """{figure: {value, unit, peer, ratio, floor}}."""
    named = {
        name: {key: value for key, value in asdict(figure).items() if key != "beside"}
        for name, figure in figures.items()
    }
    Path(path).write_text(json.dumps(named, indent=1) + "\n")


def print_table(figures: Figures) -> None:
    width = max(map(len, figures))
    print(f"{'':{width}} {'geneq':>9} {'beside':>9} {'ratio':>7} {'wanted':>7}")
    for name, figure in figures.items():
        numbers = (figure.value, figure.peer, figure.ratio, figure.floor)
        cells = [f"{shown(number):>9}" for number in numbers[:2]]
        cells += [f"{shown(number):>7}" for number in numbers[2:]]
        about = f"{figure.unit}; {figure.beside}" if figure.beside else figure.unit
        print(f"{name:{width}} {' '.join(cells)}  {figure.verdict:7}  {about}")


def shown(number: float | None) -> str:
    return "-" if number is None else f"{number:,.{0 if number >= 100 else 2}f}"

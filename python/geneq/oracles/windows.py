"""Windows that deep models read for equations: counted, and timed, before they are scored.

They are many: each changed sequence has one in every tile, or bin, that the change reaches.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable

import numpy as np

from ..checks import check_int
from ..errors import GeneqError
from ..progress import duration
from . import named_oracles
from .base import Oracle
from .blocks import NamedOracles
from .trial import timed

__all__ = [
    "MAX_WINDOWS", "add_equation_options", "announce_windows", "check_library", "named_by",
]  # fmt: skip

MAX_WINDOWS = 1_000_000


def add_equation_options(parser: ArgumentParser) -> None:
    """Options of commands that score DNA by equations."""
    group = parser.add_argument_group("options of equations over features of deep models")
    group.add_argument(
        "--equation_oracles",
        metavar="TYPE:WHAT",
        help="the oracles that features were made with, as given to `geneq featurize --oracle`; "
        "motifs:core and k-mers need not be named",
    )
    group.add_argument(
        "--equation_classes",
        metavar="FILE",
        help="the table that was given to `geneq featurize --classes`",
    )
    group.add_argument(
        "--max_windows",
        type=int,
        default=MAX_WINDOWS,
        help="refuse to score more windows of deep models than this, for each locus or in total "
        f"(default: {MAX_WINDOWS})",
    )


def named_by(args: Namespace, oracles: Iterable[str] | None = None) -> NamedOracles:
    """The oracles that the options name.

    Raises GeneqError for --equation_classes alone, and if none of `oracles`, which are to score, is
    an equation.
    """
    check_int(args.max_windows, "--max_windows", 1)
    equations = oracles is None or any(name.startswith("equation:") for name in oracles)
    if args.equation_oracles and not equations:
        raise GeneqError("--equation_oracles is used only where an equation scores",
                         value=args.equation_oracles,
                         fix="Remove it, or give --oracle equation:FILE")  # fmt: skip
    if args.equation_classes and not args.equation_oracles:
        raise GeneqError("--equation_classes needs --equation_oracles: classes of its outputs",
                         value=args.equation_classes)  # fmt: skip
    return named_oracles(args.equation_oracles, args.equation_classes)


def announce_windows(
    name: str,
    count: int,
    most: int,
    score: Callable[[int], object],
    windows: Callable[[int], int],
    rows: int,
) -> None:
    """Print how many windows will be scored, and the expected time.

    Parameters
    ----------
    name : str
        What is scored.
    count, most : int
        Windows, and --max_windows.
    score, windows : callable
        Score the first k of some rows; how many windows these have.
    rows : int
        How many rows these are.

    Raises
    ------
    GeneqError
        If there are more windows than `most`.
    """
    if count > most:
        raise GeneqError(
            f"{name}: more windows of deep models than --max_windows {most} allows",
            value=f"{count:,} windows",
            fix="Score fewer sequences or a smaller part of them, or set --max_windows "
            f"{count} or more",
        )
    if count:
        taken, scored = timed(score, rows)
        each = taken / max(1, windows(scored))
        print(f"{name}: {count:,} windows of deep models, {each:.3g} s each; expected time: "
              f"{duration(each * count)}", file=sys.stderr)  # fmt: skip


def check_library(oracle: Oracle, parts: Iterable[np.ndarray], most: int, strands: int = 1) -> bool:
    """Call `announce_windows` for the sequences of a library.

    Parameters
    ----------
    oracle : Oracle
    parts : iterable of uint8[n, length]
        The sequences, as they are scored together.
    most : int
        --max_windows.
    strands : int
        2 if the other strand is scored, too.

    Returns
    -------
    bool
        False, with nothing printed, if the oracle is no equation over features of deep models.

    Raises
    ------
    GeneqError
        If there are more windows than `most`.
    """
    parts = iter(parts)
    first = next(parts)
    if not (count := oracle.windows(first)):
        return False
    count += sum(map(oracle.windows, parts))
    announce_windows(
        oracle.name,
        strands * count,
        most,
        lambda k: oracle.predict(first[:k]),
        lambda k: oracle.windows(first[:k]),
        len(first),
    )
    return True

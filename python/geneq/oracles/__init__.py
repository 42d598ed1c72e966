"""Oracles: sequences in, scores out. One interface to every model that geneq explains.

`load_oracle` opens one by its name on the command line, TYPE:WHAT, and `load_oracles` several,
joined by "+"; docs/oracles.md lists the types and shows how to write an oracle.
"""

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GeneqError
from .base import STRANDS, BinnedOracle, Oracle
from .feeding import device, one_hot

if TYPE_CHECKING:
    from .blocks import NamedOracles

__all__ = [
    "STRANDS", "TYPES", "BinnedOracle", "Oracle", "device", "load_oracle", "load_oracles",
    "named_oracles", "names_of", "one_hot",
]  # fmt: skip

# Other packages add theirs, see oracles/user.py.
TYPES = [
    "motifs", "kmers", "deepbind", "sei", "enformer", "borzoi", "equation", "keras", "deepstarr",
    "xpresso", "torchscript", "python",
]  # fmt: skip


def load_oracle(
    spec: str,
    max_classes: int = 40,
    precision: str = "float32",
    strands: str = "auto",
    named: "NamedOracles | None" = None,
) -> Oracle:
    """Open an oracle by its name.

    Parameters
    ----------
    spec : str
        ``TYPE:WHAT``, for example ``motifs:core`` or ``keras:model.h5``.
    max_classes : int
        For motif oracles: the largest number of sequence classes, the two of base composition
        included, before they are split by strand.
    precision : str
        What a network computes in: "float32", "bfloat16" or "float16".
    strands : {"auto", "both", "split"}
        For motifs and k-mers: score classes on both strands together, or on each. "auto" is "both"
        for motifs, "split" for k-mers.
    named : NamedOracles, optional
        For equations: the models that their features were made with, see `named_oracles`.

    Raises
    ------
    GeneqError
        If there is no such oracle, there are several, or its file cannot be read.
    """
    if len(names_of(spec)) > 1:
        raise GeneqError("This takes a single oracle", value=spec,
                         fix="Oracles side by side are for `geneq featurize`")  # fmt: skip
    oracle = _open(spec, max_classes, strands, named)
    _check_strands([oracle], spec, strands)
    _set_precision([oracle], spec, precision)
    return oracle


def load_oracles(
    spec: str, max_classes: int = 40, strands: str = "auto", precision: str = "float32"
) -> list[Oracle]:
    """Open oracles that stand side by side.

    Parameters
    ----------
    spec : str
        One or more names as for `load_oracle`, joined by "+": ``motifs:core+kmers:3``.
    max_classes : int
        As for `load_oracle`, of each motif oracle.
    strands : {"auto", "both", "split"}
        As for `load_oracle`, of every oracle that has this option.
    precision : str
        As for `load_oracle`, of every network.

    Returns
    -------
    list of Oracle
        With different names.

    Raises
    ------
    GeneqError
        If one of them cannot be opened, two have the same name, or `strands` or `precision` applies
        to none.
    """
    oracles = [_open(name, max_classes, strands) for name in names_of(spec)]
    name, times = Counter(oracle.name for oracle in oracles).most_common(1)[0]
    if times > 1:
        raise GeneqError(
            f"The oracle {name} is given {times} times",
            value=spec,
            fix="Name each oracle once, and rename files of the same name",
        )
    _check_strands(oracles, spec, strands)
    _set_precision(oracles, spec, precision)
    return oracles


def named_oracles(spec: str | None = None, classes: str | Path | None = None) -> "NamedOracles":
    """The models that features of equations were made with, which are opened where one needs them.

    Parameters
    ----------
    spec : str, optional
        As for `load_oracles`.
    classes : path, optional
        The table of classes of one of them.
    """
    from .blocks import NamedOracles

    load = cache(lambda name, strands: load_oracle(name, strands=strands))
    return NamedOracles(names_of(spec) if spec else [], classes, load)


def names_of(spec: str) -> list[str]:
    """The names of the oracles in ``A+B+C``; a + that no TYPE: follows is part of a name."""
    if "+" not in spec:
        return [spec]
    from .user import plugins

    types = "|".join(map(re.escape, TYPES + plugins()))
    return re.split(rf"\+(?=(?:{types}):)", spec)


def _open(spec: str, max_classes: int, strands: str, named: "NamedOracles | None" = None) -> Oracle:
    kind, _, what = spec.partition(":")
    oracle = _opened(kind, what, max_classes, strands, named) if what else None
    if oracle is None:
        from .user import plugins

        raise GeneqError(
            f"An oracle is given as TYPE:WHAT, and TYPE is one of: {', '.join(TYPES + plugins())}",
            value=spec,
            fix="For example motifs:core, or motifs:FILE.meme",
        )
    return oracle


def _check_strands(oracles: list[Oracle], spec: str, strands: str) -> None:
    if strands != "auto" and not any(getattr(oracle, "strands", None) for oracle in oracles):
        raise GeneqError(
            "--strands is an option of the oracles motifs and kmers only",
            value=f"{spec}, {strands}",
        )


def _set_precision(oracles: list[Oracle], spec: str, precision: str) -> None:
    able = [oracle for oracle in oracles if precision in oracle.precisions]
    if not able:
        known = dict.fromkeys(name for oracle in oracles for name in oracle.precisions)
        raise GeneqError(f"{spec} computes in {' or '.join(known)} only", value=precision)
    for oracle in able:
        oracle.precision = precision


def _opened(
    kind: str, what: str, max_classes: int, strands: str, named: "NamedOracles | None"
) -> Oracle | None:
    # Each is imported when it is asked for: together they take seconds.
    if kind == "motifs":
        from .motifs import MotifOracle

        return MotifOracle.open(what, max_classes, strands)
    if kind == "kmers":
        from .kmers import KmerOracle

        return KmerOracle.open(what, strands)
    if kind == "deepbind":
        from .deepbind import DeepBindOracle

        return DeepBindOracle.open(what)
    if kind == "sei":
        from .sei import open_sei

        return open_sei(what)
    if kind == "enformer":
        from .enformer import open_enformer

        return open_enformer(what)
    if kind == "borzoi":
        from .borzoi import open_borzoi

        return open_borzoi(what)
    if kind == "equation":
        from .equation import EquationOracle

        return EquationOracle.open(what, named)
    if kind in ("keras", "deepstarr", "xpresso"):
        from . import keras

        return keras.open_keras(what) if kind == "keras" else keras.open_published(kind, what)
    from . import user

    openers = {"torchscript": user.open_torchscript, "python": user.open_python}
    return openers[kind](what) if kind in openers else user.open_plugin(kind, what)

"""Oracles: sequences in, scores out. One interface to every model that geneq explains.

`load_oracle` opens one by its name on the command line, TYPE:WHAT; docs/oracles.md lists the types
and shows how to write an oracle.
"""

from ..errors import GeneqError
from .base import STRANDS, BinnedOracle, Oracle
from .feeding import device, one_hot

__all__ = ["STRANDS", "TYPES", "BinnedOracle", "Oracle", "device", "load_oracle", "one_hot"]

# Other packages add theirs, see oracles/user.py.
TYPES = [
    "motifs", "kmers", "deepbind", "sei", "equation", "keras", "deepstarr", "xpresso",
    "torchscript", "python",
]  # fmt: skip


def load_oracle(
    spec: str, max_classes: int = 40, precision: str = "float32", strands: str = "auto"
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

    Raises
    ------
    GeneqError
        If there is no such oracle, or its file cannot be read.
    """
    kind, _, what = spec.partition(":")
    oracle = _opened(kind, what, max_classes, strands) if what else None
    if oracle is None:
        from .user import plugins

        raise GeneqError(
            f"An oracle is given as TYPE:WHAT, and TYPE is one of: {', '.join(TYPES + plugins())}",
            value=spec,
            fix="For example motifs:core, or motifs:FILE.meme",
        )
    if strands != "auto" and not getattr(oracle, "strands", None):
        raise GeneqError(
            "--strands is an option of the oracles motifs and kmers only",
            value=f"{spec}, {strands}",
        )
    if precision not in oracle.precisions:
        raise GeneqError(
            f"{spec} computes in {' or '.join(oracle.precisions)} only", value=precision
        )
    oracle.precision = precision
    return oracle


def _opened(kind: str, what: str, max_classes: int, strands: str) -> Oracle | None:
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
    if kind == "equation":
        from .equation import EquationOracle

        return EquationOracle.open(what)
    if kind in ("keras", "deepstarr", "xpresso"):
        from . import keras

        return keras.open_keras(what) if kind == "keras" else keras.open_published(kind, what)
    from . import user

    openers = {"torchscript": user.open_torchscript, "python": user.open_python}
    return openers[kind](what) if kind in openers else user.open_plugin(kind, what)

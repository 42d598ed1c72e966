"""Oracles: sequence in, scores out. One interface for every deep network that geneq explains."""

from typing import Protocol

import numpy as np
import torch

from ..errors import GeneqError

# Other kinds come from packages, see oracles/user.py.
KINDS = ["motifs", "equation", "deepstarr", "xpresso", "torchscript", "python"]


class Oracle(Protocol):
    """What every oracle offers; `predict_bins` is there where scores can be told apart by bins.

    name: as given on the command line. alphabet: symbols of tokens 0…k-1 (the token after them is
    the unknown symbol). length: what it takes, None for any. strand: 'both' when the score of a
    sequence is that of its reverse complement, else 'given'. unknown: what N does. targets: a name
    per last axis. hash: sha256 of what determines its scores.
    """

    name: str
    alphabet: str
    length: int | None
    strand: str
    unknown: str
    targets: list[str]
    hash: str

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """uint8[n, length] → float32[n, targets], or, of a profile, [n, bins, targets]."""

    def predict_bins(self, tokens: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """uint8[n, length], int[bins + 1] rising positions → float32[n, bins, targets]."""


def load_oracle(spec: str, max_classes: int = 40, precision: str = "float32") -> Oracle:
    """Open the oracle named by `spec`, `KIND:WHAT`; docs/oracles.md lists the kinds.

    max_classes: sequence classes at most of a motif oracle, with base composition. precision: what
    a network computes in, see `NetworkOracle`. Raises GeneqError where there is no such oracle.
    """
    kind, _, what = spec.partition(":")
    oracle = _opened(kind, what, max_classes) if what else None
    if oracle is None:
        from .user import plugins

        raise GeneqError(
            f"An oracle is named KIND:WHAT, and KIND is one of: {', '.join(KINDS + plugins())}",
            value=spec,
            fix="For example motifs:core, or motifs:FILE.meme",
        )
    if precision != "float32":
        if not hasattr(oracle, "precision"):
            raise GeneqError("This oracle computes in float32 only", value=spec)
        oracle.precision = precision
    return oracle


def _opened(kind: str, what: str, max_classes: int) -> Oracle | None:
    if kind == "motifs":
        from .motifs import MotifOracle

        return MotifOracle.open(what, max_classes)
    if kind == "equation":
        from .equation import EquationOracle

        return EquationOracle.open(what)
    if kind in ("deepstarr", "xpresso"):
        from . import keras

        return {"deepstarr": keras.open_deepstarr, "xpresso": keras.open_xpresso}[kind](what)
    from . import user

    openers = {"torchscript": user.open_torchscript, "python": user.open_python}
    return openers[kind](what) if kind in openers else user.open_plugin(kind, what)


def check_sequences(oracle: Oracle, tokens: np.ndarray, anchor: int | None, fix: str) -> None:
    """Raises GeneqError for another length than that of an oracle with a TSS, or a TSS elsewhere.

    fix: how to come by sequences of that length.
    """
    if tokens.ndim != 2 or oracle.length not in (None, tokens.shape[1]):
        raise GeneqError(
            f"{oracle.name} reads sequences of {oracle.length} symbols",
            value=f"{tokens.shape[-1]} symbols",
            fix=fix,
        )
    if None not in (anchor, oracle.tss) and anchor != oracle.tss:
        raise GeneqError(f"{oracle.name} reads the TSS at index {oracle.tss}", value=anchor)


def device() -> torch.device:
    """The GPU when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def one_hot(tokens: torch.Tensor, symbols: int = 4) -> torch.Tensor:
    """uint8[n, length] → float32[n, symbols, length] on the tokens' device; unknown is all zero."""
    alphabet = torch.arange(symbols, dtype=tokens.dtype, device=tokens.device)
    return (tokens[:, None, :] == alphabet[None, :, None]).float()

"""Oracles: sequence in, scores out. One interface for every deep network that geneq explains."""

from typing import Protocol

import numpy as np
import torch

from ..errors import GeneqError


class Oracle(Protocol):
    """What every oracle offers; `predict_bins` is there where scores can be told apart by bins.

    name: as given on the command line. alphabet: letters of tokens 0…k-1 (the token after them is
    the unknown letter). length: what it takes, None for any. strand: 'both' when the score of a
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
        """uint8[n, length] → float32[n, targets]."""

    def predict_bins(self, tokens: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """uint8[n, length], int[bins + 1] rising positions → float32[n, bins, targets]."""


def load_oracle(spec: str, max_classes: int = 40) -> Oracle:
    """Open the oracle named by `spec`, `KIND:WHAT`.

    `motifs:core` is the motif file that geneq ships, `motifs:FILE` a MEME file; its motifs are
    pooled into classes, at most `max_classes` of them with base composition. `deepstarr:FILE` and
    `xpresso:FILE` are these networks with the Keras weights in FILE.
    """
    kind, _, what = spec.partition(":")
    if kind == "motifs" and what:
        from .motifs import MotifOracle

        return MotifOracle.open(what, max_classes)
    if kind in ("deepstarr", "xpresso") and what:
        from . import keras

        return {"deepstarr": keras.open_deepstarr, "xpresso": keras.open_xpresso}[kind](what)
    raise GeneqError(
        "An oracle is named KIND:WHAT, and KIND is one of: motifs, deepstarr, xpresso",
        value=spec,
        fix="For example motifs:core, or motifs:FILE.meme",
    )


def device() -> torch.device:
    """The GPU when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def one_hot(tokens: torch.Tensor, letters: int = 4) -> torch.Tensor:
    """uint8[n, length] → float32[n, letters, length] on the tokens' device; unknown is all zero."""
    alphabet = torch.arange(letters, dtype=tokens.dtype, device=tokens.device)
    return (tokens[:, None, :] == alphabet[None, :, None]).float()

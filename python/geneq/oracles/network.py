"""Oracles made of a torch network that reads one-hot."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ..errors import GeneqError, out_of_memory
from .base import Oracle, check_sequences
from .feeding import device, few_rows, on_device, one_hot, rows_that_fit, say_halved, workers

__all__ = ["PRECISIONS", "NetworkOracle", "module_hash"]

# Symbols of a batch: few on a CPU, so that activations stay in its cache.
SYMBOLS = {"cpu": 2**13, "cuda": 2**20}
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class NetworkOracle(Oracle):
    """An oracle made of a torch network.

    Parameters
    ----------
    name : str
        As on the command line.
    module : torch.nn.Module
        float32[n, symbols, length] → [n, targets], or [n, bins, targets] for profiles. Unknown
        symbols are all zero. On a CPU batches are scored in several threads at the same time, so
        `forward` must not change the module.
    length : int or None
        Length of the sequences it takes; None for any.
    targets : list of str
        A name for each output.
    tss : int, optional
        Index of the TSS in the input, for networks trained on promoters.
    alphabet : str
        Symbols of the one-hot rows, in order.
    precision : {"float32", "bfloat16", "float16"}
        The latter two by torch's autocast.
    held_out : sequence of str, optional
        Chromosomes that were not used in training.
    """

    unknown = "all zero in one-hot"
    batched = True
    precisions = tuple(PRECISIONS)
    module: nn.Module

    def __init__(
        self,
        name: str,
        module: nn.Module,
        length: int | None,
        targets: list[str],
        tss: int | None = None,
        alphabet: str = "ACGT",
        precision: str = "float32",
        held_out: Sequence[str] | None = None,
    ):
        if precision not in PRECISIONS:
            raise GeneqError(
                "Unknown precision", value=precision, fix=f"Use one of: {', '.join(PRECISIONS)}"
            )
        self.name, self.length, self.targets, self.tss = name, length, targets, tss
        self.alphabet, self.precision, self.held_out = alphabet, precision, held_out
        self.hash = module_hash(name, module)
        self._device = device()
        self._symbols, self._fitted = SYMBOLS[self._device.type], False
        self.module = module.eval().to(self._device)
        for weights in module.parameters():
            weights.requires_grad_(False)

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """Scores of sequences, see `Oracle.predict`.

        Raises
        ------
        GeneqError
            For sequences of another length, with the TSS elsewhere, or too long for the memory of
            the GPU.
        """
        check_sequences(self, tokens, anchor, "Choose a window of that length")
        if not len(tokens):
            return np.zeros((0, len(self.targets)), np.float32)
        if self._device.type == "cuda" and not self._fitted:
            self._fit(tokens)
        batch = max(1, self._symbols // tokens.shape[1])
        parts = [tokens[start : start + batch] for start in range(0, len(tokens), batch)]
        # TensorFloat-32, cuDNN's default, has three digits only.
        with (
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
            workers(self._device) as pool,
        ):
            # Scores are copied from the GPU once, at the end, so that it never waits for a copy.
            scores = torch.cat(list(pool.map(self._scores, on_device(parts, self._device))))
        return scores.cpu().numpy()

    def _fit(self, tokens: np.ndarray) -> None:
        """Limit the symbols of a batch to what fits into the free memory of the GPU."""
        few = torch.from_numpy(few_rows(tokens)).to(self._device)
        self._symbols = min(self._symbols, rows_that_fit(self._scores, few) * tokens.shape[1])
        self._fitted = True

    @torch.inference_mode()
    def _scores(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores of a batch, which is split where it does not fit into memory."""
        reduced = PRECISIONS[self.precision]
        try:
            with torch.autocast(self._device.type, reduced, enabled=reduced is not None):
                return self.module(one_hot(tokens, len(self.alphabet))).float()
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if len(tokens) == 1:
                raise GeneqError("A sequence does not fit into memory",
                                 value=f"{tokens.shape[1]:,} nt") from None  # fmt: skip
        halves = tokens.split((len(tokens) + 1) // 2)
        if halves[0].numel() < self._symbols:
            self._symbols = halves[0].numel()
            say_halved(self.name, len(halves[0]))
        return torch.cat([self._scores(half) for half in halves])


def module_hash(name: str, module: nn.Module) -> str:
    """sha256 of the model's type, the layers as torch prints them, and the weights."""
    digest = hashlib.sha256(f"{name.partition(':')[0]}\0{module}".encode())
    for key, value in sorted(module.state_dict().items()):
        digest.update(f"\0{key} {value.dtype} {tuple(value.shape)}\0".encode())
        digest.update(value.cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

"""A torch network on one-hot as an oracle."""

import hashlib

import numpy as np
import torch
from torch import nn

from ..errors import GeneqError
from . import check_sequences, device, one_hot
from .feeding import on_device, workers

# Symbols of a batch: few on a CPU, so that what is between the layers stays in its cache.
SYMBOLS = {"cpu": 2**13, "cuda": 2**20}
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class NetworkOracle:
    """Scores of a network `module`: float32[n, symbols, length] → [n, targets], or, of a profile,
    [n, bins, targets].

    length: symbols that it takes, None for any. targets: a name per output. tss: index of the TSS
    in the input, for networks that are trained on promoters. alphabet: its symbols; the unknown one
    is all zero in one-hot. precision: "float32"; "bfloat16" or "float16" under torch's autocast. On
    a CPU batches are worked on side by side: forward must not change the module.
    """

    strand = "given"
    unknown = "N is all zero in one-hot"

    def __init__(
        self,
        name: str,
        module: nn.Module,
        length: int | None,
        targets: list[str],
        tss: int | None = None,
        alphabet: str = "ACGT",
        precision: str = "float32",
    ):
        self.name, self.length, self.targets, self.tss = name, length, targets, tss
        self.alphabet, self.precision = alphabet, precision
        self.hash = _hash(name, module)
        self._device = device()
        self._symbols = SYMBOLS[self._device.type]
        self.module = module.eval().to(self._device)
        for weights in module.parameters():
            weights.requires_grad_(False)

    @property
    def precision(self) -> str:
        """What the network computes in; may be set. Raises GeneqError for an unknown one."""
        return self._precision

    @precision.setter
    def precision(self, name: str) -> None:
        if name not in PRECISIONS:
            raise GeneqError(
                "Unknown precision", value=name, fix=f"There are: {', '.join(PRECISIONS)}"
            )
        self._precision = name

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """uint8[n, length] → float32[n, targets], or [n, bins, targets].

        anchor: where the TSS lies in the sequences, for networks that know of one. Raises
        GeneqError for sequences of another length, with the TSS elsewhere, or too long for the
        memory of the GPU.
        """
        check_sequences(self, tokens, anchor, "Choose a window of that length")
        if not len(tokens):
            return np.zeros((0, len(self.targets)), np.float32)
        batch = max(1, self._symbols // tokens.shape[1])
        parts = [tokens[start : start + batch] for start in range(0, len(tokens), batch)]
        # TensorFloat-32, cuDNN's default, is no float32: it has three digits.
        with (
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
            workers(self._device) as pool,
        ):
            # Scores stay on the GPU until all are there, so that it never waits for a copy.
            scores = torch.cat(list(pool.map(self._scores, on_device(parts, self._device))))
        return scores.cpu().numpy()

    @torch.inference_mode()
    def _scores(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores of a batch, in smaller ones where it does not fit into memory."""
        reduced = PRECISIONS[self.precision]
        try:
            with torch.autocast(self._device.type, reduced, enabled=reduced is not None):
                return self.module(one_hot(tokens, len(self.alphabet))).float()
        except torch.OutOfMemoryError:
            if len(tokens) == 1:
                raise GeneqError("A sequence does not fit into the memory of the GPU",
                                 value=f"{tokens.shape[1]:,} symbols") from None  # fmt: skip
        halves = tokens.split((len(tokens) + 1) // 2)
        self._symbols = min(self._symbols, halves[0].numel())
        return torch.cat([self._scores(half) for half in halves])


def _hash(name: str, module: nn.Module) -> str:
    """sha256 of the kind, the layers as torch prints them, and the weights."""
    digest = hashlib.sha256(f"{name.partition(':')[0]}\0{module}".encode())
    for key, value in sorted(module.state_dict().items()):
        digest.update(f"\0{key} {value.dtype} {tuple(value.shape)}\0".encode())
        digest.update(value.cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

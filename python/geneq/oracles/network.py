"""A torch network on one-hot as an oracle."""

import hashlib

import numpy as np
import torch
from torch import nn

from ..errors import GeneqError
from . import device, one_hot
from .feeding import on_device


class NetworkOracle:
    """Scores of a network `module`: float32[n, letters, length] → float32[n, targets].

    length: letters that it takes. targets: a name per output. tss: index of the TSS in the input,
    for networks that are trained on promoters. The unknown letter is all zero in one-hot.
    """

    alphabet = "ACGT"
    strand = "given"
    unknown = "N is all zero in one-hot"

    # Sequences of a batch: few on a CPU, so that what is between the layers stays in its cache.
    BATCH = {"cpu": 32, "cuda": 4096}  # noqa: RUF012

    def __init__(
        self,
        name: str,
        module: nn.Module,
        length: int,
        targets: list[str],
        tss: int | None = None,
    ):
        self.name, self.length, self.targets, self.tss = name, length, targets, tss
        self.hash = _hash(name, module)
        self._device = device()
        self.module = module.eval().requires_grad_(False).to(self._device)

    @torch.inference_mode()
    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """uint8[n, length] → float32[n, targets].

        anchor: where the TSS lies in the sequences, for networks that know of one. Raises
        GeneqError for sequences of another length, or with the TSS elsewhere.
        """
        if tokens.ndim != 2 or tokens.shape[1] != self.length:
            raise GeneqError(
                f"{self.name} reads sequences of {self.length} letters",
                value=f"{tokens.shape[-1]} letters",
                fix="Choose a window of that length",
            )
        if None not in (anchor, self.tss) and anchor != self.tss:
            raise GeneqError(f"{self.name} reads the TSS at index {self.tss}", value=anchor)
        scores = np.empty((len(tokens), len(self.targets)), np.float32)
        batch = self.BATCH[self._device.type]
        starts = range(0, len(tokens), batch)
        parts = on_device((tokens[start : start + batch] for start in starts), self._device)
        for start, part in zip(starts, parts, strict=True):
            hot = one_hot(part, len(self.alphabet))
            scores[start : start + batch] = self.module(hot).cpu().numpy()
        return scores


def _hash(name: str, module: nn.Module) -> str:
    digest = hashlib.sha256(name.partition(":")[0].encode())
    for key, value in sorted(module.state_dict().items()):
        digest.update(f"\0{key} {tuple(value.shape)}\0".encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

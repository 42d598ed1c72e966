"""Tokens to a device and to one-hot there: a batch is copied while the one before is scored."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

__all__ = ["device", "distinct_rows", "on_device", "one_hot", "workers"]


def device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def one_hot(tokens: torch.Tensor, symbols: int = 4) -> torch.Tensor:
    """One-hot of tokens, on their device.

    The only place where oracles make it: tokens, one byte per symbol, are copied to a GPU.

    Parameters
    ----------
    tokens : uint8[n, length]
    symbols : int
        Size of the alphabet.

    Returns
    -------
    float32[n, symbols, length]
        Unknown symbols are all zero.
    """
    alphabet = torch.arange(symbols, dtype=tokens.dtype, device=tokens.device)
    return (tokens[:, None, :] == alphabet[None, :, None]).float()


def distinct_rows(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of uint8[n, length] that differ: their first places, and which of them each row is."""
    if not tokens.size:
        return np.arange(len(tokens)), np.arange(len(tokens))
    rows = np.ascontiguousarray(tokens).view(np.dtype((np.void, tokens.shape[1])))[:, 0]
    _, first, which = np.unique(rows, return_index=True, return_inverse=True)
    return first, which


def workers(where: torch.device) -> ThreadPoolExecutor:
    """Threads for batches: on the CPU as many as torch may use, each with its own batches.

    If they shared every batch, as torch does it, they would mostly wait for one another.
    """
    if where.type != "cpu":
        return ThreadPoolExecutor(1)
    return ThreadPoolExecutor(
        torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)
    )


def on_device(batches: Iterable[np.ndarray], where: torch.device) -> Iterator[torch.Tensor]:
    """Batches uint8[n, length] as tensors on `where`, in order.

    They are copied to a GPU as tokens (float32 one-hot has 16 times the bytes), through two buffers
    of pinned memory on a separate stream, one batch ahead. Nothing is copied for the CPU.
    """
    if where.type != "cuda":
        yield from map(torch.from_numpy, map(np.ascontiguousarray, batches))
        return
    lanes = [_Lane(where), _Lane(where)]
    under_way: _Lane | None = None
    for number, tokens in enumerate(batches):
        lane = lanes[number % 2]
        lane.send(tokens)
        if under_way:
            yield under_way.arrived()
        under_way = lane
    if under_way:
        yield under_way.arrived()


class _Lane:
    """A pinned buffer and the copy out of it."""

    def __init__(self, where: torch.device):
        self.where = where
        self.stream = torch.cuda.Stream(where)
        self.pinned = torch.empty(0, dtype=torch.uint8)

    def send(self, tokens: np.ndarray) -> None:
        # The buffer is free once the last copy has finished.
        self.stream.synchronize()
        if self.pinned.numel() < tokens.size:
            self.pinned = torch.empty(tokens.size, dtype=torch.uint8, pin_memory=True)
        buffer = self.pinned[: tokens.size].view(tokens.shape)
        np.copyto(buffer.numpy(), tokens)
        with torch.cuda.stream(self.stream):
            self.sent = buffer.to(self.where, non_blocking=True)

    def arrived(self) -> torch.Tensor:
        """The copied batch, ready for the current stream."""
        current = torch.cuda.current_stream(self.where)
        current.wait_stream(self.stream)
        self.sent.record_stream(current)
        return self.sent

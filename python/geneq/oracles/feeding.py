"""Feed a device with tokens: a batch crosses while the one before it is worked on."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch


def workers(where: torch.device) -> ThreadPoolExecutor:
    """Threads for batches: on the CPU as many as torch may use, each with work of its own.

    Were they to share every batch, as torch has it, they would mostly wait for one another.
    """
    if where.type != "cpu":
        return ThreadPoolExecutor(1)
    return ThreadPoolExecutor(
        torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)
    )


def on_device(batches: Iterable[np.ndarray], where: torch.device) -> Iterator[torch.Tensor]:
    """Give uint8[n, length] batches as tensors on `where`, in their order.

    To a GPU they go as tokens, a byte a symbol (`oracles.one_hot` then makes float32 of 16 bytes a
    symbol there), through two buffers of pinned memory on a stream of their own, and one batch
    ahead. Nothing is copied for the CPU.
    """
    if where.type != "cuda":
        yield from map(torch.from_numpy, map(np.ascontiguousarray, batches))
        return
    lanes = [_Lane(where), _Lane(where)]
    under_way = None
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
        # The buffer is free when what was sent last has left it.
        self.stream.synchronize()
        if self.pinned.numel() < tokens.size:
            self.pinned = torch.empty(tokens.size, dtype=torch.uint8, pin_memory=True)
        buffer = self.pinned[: tokens.size].view(tokens.shape)
        np.copyto(buffer.numpy(), tokens)
        with torch.cuda.stream(self.stream):
            self.sent = buffer.to(self.where, non_blocking=True)

    def arrived(self) -> torch.Tensor:
        """What was sent, for the stream that is current to work on."""
        current = torch.cuda.current_stream(self.where)
        current.wait_stream(self.stream)
        self.sent.record_stream(current)
        return self.sent

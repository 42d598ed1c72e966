"""Tokens to a device and to one-hot there: a batch is copied while the one before is scored.

How many rows are scored together depends on the memory that is free.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch

from ..checks import available_memory
from ..errors import out_of_memory

__all__ = [
    "Fitting", "device", "distinct_rows", "few_rows", "on_device", "one_hot", "rows_that_fit",
    "say_halved", "workers",
]  # fmt: skip

# Rows whose memory is measured, and share of the free memory that a call may take.
FEW, SHARE = 8, 0.5


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
    """Rows of uint8[n, length] that differ: their first places, which increase, and which of them
    each row is."""
    if not tokens.size:
        return np.arange(len(tokens)), np.arange(len(tokens))
    _, first, which = np.unique(_hashes(tokens), return_index=True, return_inverse=True)
    if not np.array_equal(tokens[first][which], tokens):  # two rows have the same hash
        rows = np.ascontiguousarray(tokens).view(np.dtype((np.void, tokens.shape[1])))[:, 0]
        _, first, which = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[which]


def _hashes(tokens: np.ndarray) -> np.ndarray:
    """uint64[n]: sums of the rows' words of eight symbols, multiplied by odd random numbers."""
    padded = np.pad(tokens, ((0, 0), (0, -tokens.shape[1] % 8)))
    words = np.ascontiguousarray(padded).view(np.uint64)
    words = words ^ (words >> np.uint64(32))
    factors = np.random.default_rng(0).integers(0, 2**64, words.shape[1], np.uint64)
    return words @ (factors | np.uint64(1))


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


# --- memory -----------------------------------------------------------------------------------


class Fitting:
    """A function of rows that is called with as many of them as fit into memory.

    The first call shows how much memory FEW rows take; later calls have at most as many rows, a
    power of two, as take half of what is free. Where memory runs out all the same, the number is
    halved, and a warning says so.

    Parameters
    ----------
    function : callable
        (uint8[n, length], …) → an array of n rows.
    name : str
        What is computed, for the warning.
    measured : bool
        Whether memory is measured; False for functions that divide their rows themselves.
    """

    def __init__(self, function: Callable[..., np.ndarray], name: str, measured: bool = True):
        self._function, self._name, self._measured = function, name, measured
        self.most: int | None = None

    def __call__(self, tokens: np.ndarray, *others) -> np.ndarray:
        """The function of `tokens`, `others` being further arguments."""
        if self._measured and self.most is None and len(tokens) > FEW:
            self._measure(few_rows(tokens), *others)
        parts: list[np.ndarray] = []
        start = 0
        while start < len(tokens) or not parts:
            part = tokens[start:][: self.most]
            try:
                parts.append(self._function(part, *others))
                start += len(part)
            except Exception as error:
                if not out_of_memory(error) or len(part) < 2:
                    raise
                self.most = len(part) // 2
                say_halved(self._name, self.most)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _measure(self, few: np.ndarray, *others) -> None:
        try:
            self.most = rows_that_fit(self._function, few, *others)
        except Exception as error:  # even these do not fit: halved when they are scored
            if not out_of_memory(error):
                raise


def few_rows(tokens: np.ndarray) -> np.ndarray:
    """The rows whose memory is measured."""
    return np.ascontiguousarray(tokens[:FEW])


def rows_that_fit(function: Callable, few, *others) -> int:
    """Rows, a power of two, that take half of the free memory; `few` are scored to measure it."""
    free = free_memory()
    with peak_memory() as taken:
        function(few, *others)
    return 2 ** int(np.log2(max(1, SHARE * free * len(few) / max(1, taken[0]))))


def say_halved(name: str, rows: int) -> None:
    """Warn that memory ran out, and how many rows are scored at a time from now on."""
    warnings.warn(f"{name}: out of memory; continued with {rows:,} at a time", stacklevel=2)


def free_memory() -> int:
    """Bytes that can still be allocated on the device."""
    if torch.cuda.is_available():
        unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return torch.cuda.mem_get_info()[0] + unused
    return available_memory()


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """A list that has, at the end, the bytes that were allocated on the device at most.

    On a CPU this is the rise of the process's largest resident memory over what it has at first; 0
    where the system does not report it.
    """
    taken: list[int] = []
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield taken
        taken.append(max(0, torch.cuda.max_memory_allocated() - before))
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # sets the largest to the present size
    before = _resident("VmRSS")
    yield taken
    taken.append(max(0, _resident("VmHWM") - before))


def _resident(line: str) -> int:
    """Bytes of the process that are in memory (VmRSS), or were at most (VmHWM)."""
    try:
        status = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * next(int(text.split()[1]) for text in status if text.startswith(line))

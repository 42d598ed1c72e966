"""Arrays whose rows are in files, and are read when they are asked for."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np

__all__ = ["Rows", "SavedArray", "Values"]


class Values(Protocol):
    """What NumPy arrays, zarr arrays, `SavedArray` and `Rows` have in common: a shape, and parts by
    slices of their axes."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class SavedArray:
    """A .npy file, opened only while a part of it is read: there may be thousands.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        Of the array in the file.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]):
        self.path, self.shape = path, shape

    def __getitem__(self, key: Any, /) -> np.ndarray:
        return np.array(np.load(self.path, mmap_mode="r", allow_pickle=False)[key])


class Rows:
    """Arrays stacked along their first axis, without being in memory together.

    Parameters
    ----------
    parts : sequence of Values
        At least one; their shapes differ in the number of rows only.
    """

    def __init__(self, parts: Sequence[Values]):
        self._parts = parts
        self._ends = list(accumulate(part.shape[0] for part in parts))
        self.shape = (self._ends[-1], *parts[0].shape[1:])

    def __getitem__(self, key: Any, /) -> np.ndarray:
        """A slice of the rows (without a step), or a tuple of it and slices of the other axes."""
        rows, *others = key if isinstance(key, tuple) else (key,)
        start, stop, _ = rows.indices(self.shape[0])
        found, place = [], bisect_right(self._ends, start)
        while start < stop:
            first = self._ends[place] - self._parts[place].shape[0]
            end = min(stop, self._ends[place])
            part = slice(start - first, end - first)
            found.append(np.asarray(self._parts[place][(part, *others)]))
            start, place = end, place + 1
        if not found:
            return np.asarray(self._parts[0][(slice(0, 0), *others)])
        return found[0] if len(found) == 1 else np.concatenate(found)

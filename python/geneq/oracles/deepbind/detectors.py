"""The detectors of DeepBind networks: maxima, and means, over the positions of windows.

The convolution is a sum of rows of tables: for every two or three positions of the detectors there
is a table of what they find in each of the pairs or triplets of A, C, G, T, N. This takes a part of
the additions and none of the multiplications of a matrix product with one-hot.
"""

import numpy as np
import torch
from torch.nn import functional

from ... import _ext
from ..feeding import device

__all__ = ["Detectors", "PairDetectors", "TripletDetectors", "detectors_on"]

SYMBOLS, UNKNOWN = 5, 4
# Detectors of a table of the extension.
LANES = 32
TRIPLET = 3
# Columns of a table on a GPU, and positions of a batch there: 256 MB.
COLUMNS, BATCH_POSITIONS = 128, 2**19
# Windows of a batch on a CPU: what is found in them, and by how many detectors, is some 10 MB.
ROWS = 256


class PairDetectors:
    """Detectors on a CPU: pairs of positions, in the extension.

    Parameters
    ----------
    detectors : float32[width, 4, columns]
    thresholds : float32[columns]
    average : bool
        Whether the means are wanted besides the maxima.
    """

    def __init__(self, detectors: np.ndarray, thresholds: np.ndarray, average: bool):
        self._width, self._average, self._columns = len(detectors), average, len(thresholds)
        beyond = -self._columns % LANES
        one, two = _positions(detectors, 2)
        tables = (one[:, :, None] + two[:, None]).reshape(len(one), SYMBOLS**2, -1)
        tables = np.pad(tables, ((0, 0), (0, 0), (0, beyond)))
        blocks = tables.reshape(*tables.shape[:2], -1, LANES).transpose(2, 0, 1, 3)
        self._tables = np.ascontiguousarray(blocks, np.float32)
        self._thresholds = np.pad(thresholds, (0, beyond)).astype(np.float32)

    def rows(self, length: int) -> int:
        """How many windows of this length are read together."""
        return ROWS

    def __call__(self, windows: np.ndarray) -> torch.Tensor:
        """uint8[n, length] → float32[n, columns, 1 or 2]: maxima and means, both above 0."""
        found = _ext.detections(
            np.ascontiguousarray(windows), self._tables, self._thresholds, self._width,
            self._average, torch.get_num_threads(),
        )  # fmt: skip
        return torch.from_numpy(found[:, :, : self._columns]).transpose(1, 2)


class TripletDetectors:
    """Detectors on a GPU: triplets of positions, in torch. Parameters as of `PairDetectors`."""

    def __init__(self, detectors: np.ndarray, thresholds: np.ndarray, average: bool):
        self._width, self._average = len(detectors), average
        one, two, three = _positions(detectors, TRIPLET)
        tables = one[:, :, None, None] + two[:, None, :, None] + three[:, None, None]
        whole = torch.tensor(tables.reshape(-1, tables.shape[-1]), device=device())
        self._tables = [table.contiguous() for table in whole.split(COLUMNS, dim=1)]
        self._thresholds = torch.tensor(thresholds, device=device()).split(COLUMNS)

    def rows(self, length: int) -> int:
        """How many windows of this length are read together."""
        return max(1, BATCH_POSITIONS // (length + self._width - 1))

    def __call__(self, windows: np.ndarray) -> torch.Tensor:
        """uint8[n, length] → float32[n, columns, 1 or 2]: maxima and means, both above 0."""
        triplets, features = self._triplets(windows), []
        for table, threshold in zip(self._tables, self._thresholds, strict=True):
            found = functional.embedding_bag(triplets, table, mode="sum")
            found = found.unflatten(0, (len(windows), -1))
            pooled = [(found.amax(1) + threshold).relu_()]
            if self._average:
                pooled.append(found.add_(threshold).relu_().mean(1))
            features.append(torch.stack(pooled, dim=-1))
        return torch.cat(features, dim=1)

    def _triplets(self, windows: np.ndarray) -> torch.Tensor:
        """uint8[n, length] → rows of the tables, int32[n × positions, triplets of a detector]."""
        count = -(-self._width // TRIPLET)
        sides = (self._width - 1, TRIPLET * count - 1)
        tokens = torch.tensor(windows, device=device())
        x = functional.pad(tokens, sides, value=UNKNOWN).int()
        code = SYMBOLS**2 * x[:, :-2] + SYMBOLS * x[:, 1:-1] + x[:, 2:]
        covered = code.unfold(1, TRIPLET * (count - 1) + 1, 1)[:, :, ::TRIPLET]
        first = SYMBOLS**TRIPLET * torch.arange(count, dtype=torch.int32, device=x.device)
        return (covered + first).flatten(0, 1)


Detectors = PairDetectors | TripletDetectors


def detectors_on(where: torch.device, *arrays) -> Detectors:
    """Detectors for a device; `arrays` as for `PairDetectors`."""
    return PairDetectors(*arrays) if where.type == "cpu" else TripletDetectors(*arrays)


def _positions(detectors: np.ndarray, count: int) -> np.ndarray:
    """float32[width, 4, columns] → float32[count, groups, 5, columns]: the positions in groups of
    `count`, 0 beyond the width; N finds the mean."""
    missing = -len(detectors) % count
    with_n = np.concatenate([detectors, detectors.mean(1, keepdims=True)], axis=1)
    padded = np.pad(with_n, [(0, missing), (0, 0), (0, 0)])
    return padded.reshape(-1, count, SYMBOLS, detectors.shape[2]).swapaxes(0, 1)

"""Reference implementation of tiling: one sequence, bin and tile at a time.

Imports nothing of geneq, so that both cannot have the same bug.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

Score = Callable[[list[int]], list[float]]


def part(tokens, start: int, length: int) -> list[int]:
    """Tokens from `start` on, N where there are none."""
    return [tokens[i] if 0 <= i < len(tokens) else 4 for i in range(start, start + length)]


def tiled(tokens, edges, tss: int, tile: int, length: int, score: Score) -> np.ndarray:
    """float64[n, bins, targets]: means over the tiles whose centre is in the bin."""
    return np.array([
        [
            np.mean([
                score(part(row, centre - length // 2, length))
                for centre in range(a, b)
                if (centre - tss) % tile == 0
            ], axis=0)
            for a, b in pairwise(edges)
        ]
        for row in tokens.tolist()
    ])  # fmt: skip


def profile(tokens, edges, start: int, length: int, size: int, score: Score) -> np.ndarray:
    """float64[n, bins, targets]: means over bases of the model's bin that each base is in.

    start: where the model's input begins; its bins of `size` bases are in the middle of it.
    """
    found = []
    for row in tokens.tolist():
        scores = np.array(score(part(row, start, length)))
        origin = start + (length - size * len(scores)) // 2
        found.append([np.mean([scores[(base - origin) // size] for base in range(a, b)], axis=0)
                      for a, b in pairwise(edges)])  # fmt: skip
    return np.array(found)

"""What the first sequences show before all are scored: how long it takes, and how large the error
of reduced precision is."""

import time
from collections.abc import Callable

import numpy as np

from .base import Oracle

__all__ = ["precision_error", "seconds_each", "timed"]

# Seconds of a call that are long enough to be measured.
ENOUGH = 1.0


def seconds_each(score: Callable, rows) -> float:
    """Seconds that a row takes.

    Parameters
    ----------
    score : callable
        Of some of the rows.
    rows : array or data frame
        At least one row.
    """
    taken, count = timed(lambda k: score(rows[:k]), len(rows))
    return taken / count


def timed(score: Callable[[int], object], rows: int) -> tuple[float, int]:
    """Seconds that a call takes, and the number of rows that it scores.

    Parameters
    ----------
    score : callable
        Scores the first k rows.
    rows : int
        How many there are. 1, 2, 4, … of them are scored, until a call takes a second. The first
        call, which may have to open a device or a library, is not timed.
    """
    count = 1
    score(count)
    while True:
        start = time.perf_counter()
        score(count)
        taken = time.perf_counter() - start
        if taken > ENOUGH or count == rows:
            return taken, count
        count = min(2 * count, rows)


def precision_error(oracle: Oracle, score: Callable, rows) -> dict | None:
    """What the reduced precision of an oracle does to scores.

    Parameters
    ----------
    oracle : Oracle
        Its precision is set to float32 while the scores are computed that are compared with.
    score : callable
        n rows → float32[n, …, targets] by this oracle.
    rows : array or data frame

    Returns
    -------
    dict or None
        None for float32. rows: how many were scored; rms: root mean square of the error,
        divided by the standard deviation of the target's float32 scores, of the worst target (None
        if no target varies); largest: the largest absolute error.
    """
    reduced = oracle.precision
    if reduced == "float32" or not len(rows):
        return None
    found = score(rows)
    oracle.precision = "float32"
    try:
        exact = score(rows)
    finally:
        oracle.precision = reduced
    error, exact = (x.reshape(-1, x.shape[-1]).astype(np.float64) for x in (found - exact, exact))
    sd = exact.std(0)
    rms = np.sqrt(np.mean(error**2, axis=0))[sd > 0] / sd[sd > 0]
    return {
        "rows": len(rows),
        "rms": float(rms.max()) if len(rms) else None,
        "largest": float(np.abs(error).max()),
    }

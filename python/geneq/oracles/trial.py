"""What the first sequences show before all are scored: how long it takes, and how far reduced
precision is off."""

import time
from collections.abc import Callable

import numpy as np

from .base import Oracle

__all__ = ["precision_error", "seconds_each"]

# Seconds of a call that are long enough to be measured.
ENOUGH = 1.0
Score = Callable[[np.ndarray], np.ndarray]


def seconds_each(score: Score, tokens: np.ndarray) -> float:
    """Seconds that a row takes.

    Parameters
    ----------
    score : callable
        Of uint8[n, length].
    tokens : uint8[n, length]
        At least one row. 1, 2, 4, … of them are scored, until a call takes a second; what opening
        a device or a library takes is in the first call only.
    """
    rows = 1
    while True:
        start = time.perf_counter()
        score(tokens[:rows])
        taken = time.perf_counter() - start
        if taken > ENOUGH or rows >= len(tokens):
            return taken / min(rows, len(tokens))
        rows *= 2


def precision_error(oracle: Oracle, score: Score, tokens: np.ndarray) -> dict | None:
    """What the reduced precision of an oracle does to scores.

    Parameters
    ----------
    oracle : Oracle
        Its precision is set to float32 while the scores are computed that are compared with.
    score : callable
        uint8[n, length] → float32[n, …, targets] by this oracle.
    tokens : uint8[n, length]

    Returns
    -------
    dict or None
        None for float32. sequences: how many were scored; rms: root mean square of the error,
        divided by the standard deviation of the target's float32 scores, of the worst target (None
        if no target varies); largest: the largest absolute error.
    """
    reduced = oracle.precision
    if reduced == "float32" or not len(tokens):
        return None
    found = score(tokens)
    oracle.precision = "float32"
    try:
        exact = score(tokens)
    finally:
        oracle.precision = reduced
    error, exact = (x.reshape(-1, x.shape[-1]).astype(np.float64) for x in (found - exact, exact))
    sd = exact.std(0)
    rms = np.sqrt(np.mean(error**2, axis=0))[sd > 0] / sd[sd > 0]
    return {
        "sequences": len(tokens),
        "rms": float(rms.max()) if len(rms) else None,
        "largest": float(np.abs(error).max()),
    }

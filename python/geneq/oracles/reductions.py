"""Profiles to one score a target: by sum, maximum, a range of bins, a principal component."""

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import GeneqError
from .user import user_function

# Each: float32[n, bins, targets] → [n, targets].
BY_ROW: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sum": lambda profiles: profiles.sum(1),
    "max": lambda profiles: profiles.max(1),
}
COMPONENT = "pc1"
PYTHON = "python:"


def by_row(spec: str) -> Callable[[np.ndarray], np.ndarray]:
    """What reduces profiles row by row: 'sum', 'max', 'START:END', or 'python:…'.

    START:END is the sum over bins [START, END), 0-based. python:module:function is the user's:
    float32[n, bins, targets] → [n, targets], of any part of the rows. Raises GeneqError for other
    names.
    """
    if spec in BY_ROW:
        return BY_ROW[spec]
    if spec.startswith(PYTHON):
        return user_function(spec.removeprefix(PYTHON))
    start, _, end = spec.partition(":")
    if not (start.isdecimal() and end.isdecimal() and int(start) < int(end)):
        raise GeneqError(
            "Unknown reduction of profiles",
            value=spec,
            fix=f"There are: sum, max, START:END (bins), {COMPONENT}, {PYTHON}MODULE:FUNCTION",
        )
    return lambda profiles: _bins(profiles, int(start), int(end)).sum(1)


def _bins(profiles: np.ndarray, start: int, end: int) -> np.ndarray:
    if end > profiles.shape[1]:
        raise GeneqError(f"Profiles have {profiles.shape[1]} bins", value=f"{start}:{end}")
    return profiles[:, start:end]


def first_component(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Place of every row along the first principal component of its target's profiles.

    parts: float32[rows, bins, targets]; looked at twice, one at a time. Gives float32[n, targets],
    mean 0 and in the unit of the profiles; it rises with the sum over the bins.
    """
    mean, covariance = _moments(parts)
    # The last eigenvector of each target's [bins, bins] is that of the largest eigenvalue.
    axes = np.linalg.eigh(covariance)[1][..., -1]
    rises = np.einsum("tb,tbc->t", axes, covariance) >= 0
    axes *= np.where(rises, 1, -1)[:, None]
    scores = [np.einsum("nbt,tb->nt", part - mean, axes) for part in parts]
    return np.concatenate(scores).astype(np.float32)


def _moments(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean [bins, targets] and covariance [targets, bins, bins], in float64."""
    n = sum(map(len, parts))
    mean = sum(part.sum(0, dtype=np.float64) for part in parts) / n
    covariance = 0.0
    for part in parts:
        centred = (part - mean).transpose(2, 1, 0)
        covariance = covariance + centred @ centred.transpose(0, 2, 1)
    return mean, covariance / n

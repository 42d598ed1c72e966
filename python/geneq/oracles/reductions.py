"""Profiles to one score per target: sum, maximum, a range of bins, a principal component."""

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import GeneqError
from .user import called, code_hash, user_function

__all__ = ["BY_ROW", "COMPONENT", "by_row", "code_of", "first_component"]

# Each: float32[n, bins, targets] → [n, targets].
BY_ROW: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sum": lambda profiles: profiles.sum(1),
    "max": lambda profiles: profiles.max(1),
}
COMPONENT = "pc1"
PYTHON = "python:"


def by_row(spec: str) -> Callable[[np.ndarray], np.ndarray]:
    """The function that reduces profiles row by row.

    Parameters
    ----------
    spec : str
        "sum", "max", "START:END" (the sum over bins [START, END), 0-based), or
        "python:module:function", a user's function of any part of the rows.

    Returns
    -------
    callable
        float32[n, bins, targets] → [n, targets].

    Raises
    ------
    GeneqError
        For any other name, or if the user's function cannot be loaded.
    """
    if spec in BY_ROW:
        return BY_ROW[spec]
    if spec.startswith(PYTHON):
        function = user_function(spec.removeprefix(PYTHON))
        return lambda profiles: called(spec, function, profiles)
    start, _, end = spec.partition(":")
    if not (start.isdecimal() and end.isdecimal() and int(start) < int(end)):
        raise GeneqError(
            "Unknown reduction of profiles",
            value=spec,
            fix=f"Use one of: sum, max, START:END (bins), {COMPONENT}, {PYTHON}MODULE:FUNCTION",
        )
    return lambda profiles: _bins(profiles, int(start), int(end)).sum(1)


def code_of(spec: str | None) -> str:
    """A hash of the file with a user's function, "" for other reductions."""
    if spec is None or not spec.startswith(PYTHON):
        return ""
    return code_hash(spec.removeprefix(PYTHON))


def _bins(profiles: np.ndarray, start: int, end: int) -> np.ndarray:
    if end > profiles.shape[1]:
        raise GeneqError(f"Profiles have {profiles.shape[1]} bins", value=f"{start}:{end}")
    return profiles[:, start:end]


def first_component(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The first principal component of each target's profiles.

    Parameters
    ----------
    parts : sequence of float32[rows, bins, targets]
        Read two times, one by one.

    Returns
    -------
    float32[n, targets]
        Mean 0, in the unit of the profiles; the sign is such that it increases with the sum over
        the bins.
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
    _, bins, targets = parts[0].shape
    mean = np.sum([part.sum(0, dtype=np.float64) for part in parts], axis=0) / n
    covariance = np.zeros((targets, bins, bins))
    for part in parts:
        centred = (part - mean).transpose(2, 1, 0)
        covariance += centred @ centred.transpose(0, 2, 1)
    return mean, covariance / n

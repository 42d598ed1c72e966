"""Scored parts that are saved, so that a run that was stopped continues from them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..artifacts import atomic_path

__all__ = ["is_saved", "kept"]


def kept(folder: str | Path | None, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The scores saved as `name` in `folder`; new ones if they are absent or incomplete.

    Parameters
    ----------
    folder : path or None
        None: nothing is saved.
    name : str
        Must determine the scores: a digest of everything that they are made from.
    make : callable
        Returns new scores.
    """
    found = _saved(folder, name)
    if found is not None:
        return found
    scores = make()
    if folder is not None:
        with atomic_path(Path(folder) / f"{name}.npy") as temporary:
            np.save(temporary, scores, allow_pickle=False)
    return scores


def is_saved(folder: str | Path | None, name: str) -> bool:
    """Whether complete scores are saved as `name` in `folder`."""
    return _saved(folder, name) is not None


def _saved(folder: str | Path | None, name: str) -> np.ndarray | None:
    if folder is None:
        return None
    try:
        return np.load(Path(folder) / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None

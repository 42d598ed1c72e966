"""Labels of cells: cell types and donors."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ...errors import GeneqError
from .frames import MISSING, Column, Frame

__all__ = ["Labels", "read_labels"]


@dataclass(frozen=True)
class Labels:
    """The labels of all cells.

    codes: int64[n_cells], positions in `names`, or -1 for a cell without label. names: sorted, no
    white space around them. notes: what was taken as missing, and which spellings as one.
    """

    codes: np.ndarray
    names: list[str]
    notes: list[str]


def read_labels(obs: Frame, key: str, option: str) -> Labels:
    """The labels in column `key` of obs; `option` is the option that named it.

    Text that means a missing value (MISSING, in any case) is no label, and labels that differ
    only in white space around them are one. Raises GeneqError if the column is absent, cannot be
    read or contains measurements.
    """
    if key not in obs.columns:
        raise GeneqError(
            f"obs has no column for {option}",
            value=key,
            file=obs.file,
            fix=f"Name one of: {', '.join(obs.columns) or '(obs has no columns)'}",
        )
    column = obs.column(key)
    fractions = [value for value in column.values if isinstance(value, float) and value % 1]
    fractions = [value for value in fractions if np.isfinite(value)]
    if fractions:
        raise GeneqError(
            f"The column for {option} must contain labels, not fractions",
            value=f"{key}, with values such as {fractions[0]}",
            file=obs.file,
        )
    return _clean(column, key)


def _clean(column: Column, key: str) -> Labels:
    texts = column.texts()
    cells = np.bincount(column.codes[column.codes >= 0], minlength=len(texts))
    stripped = [text.strip() for text in texts]
    missing = [name.casefold() in MISSING for name in stripped]
    names = sorted({name for name, gone in zip(stripped, missing, strict=True) if not gone})
    place = {name: number for number, name in enumerate(names)}
    codes = [-1 if gone else place[name] for name, gone in zip(stripped, missing, strict=True)] + [
        -1
    ]  # the last one is for cells whose code is -1
    used = [
        (*row, n) for *row, n in zip(texts, stripped, missing, cells.tolist(), strict=True) if n
    ]
    notes = _note_missing(key, used) + _note_merged(key, used)
    return Labels(np.array(codes, dtype=np.int64)[column.codes], names, notes)


def _note_missing(key: str, used: list) -> list[str]:
    found = [f"'{text}' ({n:,} cells)" for text, _, gone, n in used if gone]
    if not found:
        return []
    return [f"Taken as missing in obs column '{key}': {', '.join(found)}."]


def _note_merged(key: str, used: list) -> list[str]:
    labels = [(text, name, n) for text, name, gone, n in used if not gone]
    spellings = Counter(name for _, name, _ in labels)
    found = [
        f"'{text}' ({n:,} cells) as '{name}'"
        for text, name, n in labels
        if text != name and spellings[name] > 1
    ]
    if not found:
        return []
    return [
        f"Labels that differ only in white space are one in obs column '{key}': {', '.join(found)}."
    ]

"""Which cells are summed: those with a label, of a type that has enough of them."""

from dataclasses import dataclass

import numpy as np

from ...errors import GeneqError
from .frames import Frame
from .labels import read_labels

__all__ = ["Cells", "label_cells"]


@dataclass
class Cells:
    """The labels of cells.

    types: int64[n_cells], a position in `names` or -1; donors: the same for donors, or None if
    none were named; unlabelled: reason → bool[n_cells]; dropped_types: as in expression.json.
    """

    file: str
    names: list[str]
    types: np.ndarray
    donors: np.ndarray | None
    unlabelled: dict[str, np.ndarray]
    dropped_types: list[dict]
    notes: list[str]

    def drop_small(self, kept: np.ndarray, n_cells: np.ndarray, min_cells: int) -> None:
        """Note the types not kept. Raises GeneqError when none is."""
        reason = f"fewer than {min_cells} cells"
        for number in np.flatnonzero(~kept):
            about = {"cell_type": self.names[number], "n_cells": int(n_cells[number])}
            self.dropped_types.append({**about, "reason": reason})
        if kept.any():
            return
        largest = sorted(self.dropped_types, key=lambda about: -about["n_cells"])[:3]
        raise GeneqError(
            f"No cell type has the {min_cells} cells that --min_cells requires",
            value=", ".join(f"{about['cell_type']} has {about['n_cells']}" for about in largest)
            or "no cell has a type",
            file=self.file,
            fix="Name another column with --cell_type_key, or lower --min_cells; cells without "
            "any count are dropped",
        )

    def dropped(self, totals: np.ndarray) -> dict:
        """Cells that were dropped for themselves, not with their type, and why."""
        reasons, dropped = [], np.zeros(len(totals), dtype=bool)
        for reason, mask in {**self.unlabelled, "without any count": totals == 0}.items():
            if new := int((mask & ~dropped).sum()):
                reasons.append(f"{new} {reason}")
            dropped |= mask
        return {"n": int(dropped.sum()), "reason": ", ".join(reasons)}


def label_cells(obs: Frame, cell_type_key: str, donor_key: str | None, min_cells: int) -> Cells:
    found = read_labels(obs, cell_type_key, "--cell_type_key")
    types, notes = found.codes, list(found.notes)
    donors, unlabelled = None, {"without a cell type": types < 0}
    if donor_key:
        labels = read_labels(obs, donor_key, "--donor_key")
        donors, notes = labels.codes, notes + labels.notes
        unlabelled["without a donor"] = donors < 0
        types[donors < 0] = -1
    n_cells = np.bincount(types[types >= 0], minlength=len(found.names))
    cells = Cells(obs.file, found.names, types, donors, unlabelled, [], notes)
    kept = n_cells >= min_cells
    cells.drop_small(kept, n_cells, min_cells)
    cells.names = [name for name, keep in zip(found.names, kept, strict=True) if keep]
    cells.types = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)[types]
    return cells

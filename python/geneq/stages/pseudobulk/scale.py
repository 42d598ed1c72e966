"""What the values of a matrix are: counts, CPM, or something that cannot be summed."""

import h5py
import numpy as np

from ...errors import GeneqError
from .reading import Block, Matrix, available_matrices, open_matrix

__all__ = ["Values", "bad_value", "infer_scale"]

# log2 of a CPM is below 20, a natural log below 14; the sum of ten cells' counts is mostly above.
LOG_BELOW = 30
CONSTANT_WITHIN = 0.01  # standard deviation over mean of the cells' totals


class Values:
    """What was found in the values of a matrix so far."""

    def __init__(self) -> None:
        self.integers = True
        self.largest = 0.0

    def add(self, largest: float, integers: bool) -> None:
        """Take in those of a block."""
        self.largest = max(self.largest, largest)
        self.integers = self.integers and integers


def bad_value(block: Block, at: int, matrix: Matrix) -> GeneqError:
    """The error for an entry that is negative or not finite, which names cell and gene."""
    value = block.values[at]
    what = "negative" if value < 0 else "not finite"
    cell, column = block.cell_and_column(at)
    return GeneqError(
        f"Expression must be finite and not negative; a value of {matrix.name} is {what}",
        value=f"{value:.6g} in cell {matrix.obs.names()[cell]}, gene {matrix.var.names()[column]}",
        file=matrix.file,
        fix="Give the matrix before scaling or batch correction, as X or with --layer",
    )


def infer_scale(requested: str, values: Values, totals: np.ndarray, matrix: Matrix) -> str:
    """The scale of a matrix, "counts" or "cpm".

    requested: auto, counts or cpm; totals: float64[n_cells], sums over all genes. Integers are
    counts. Other values whose totals are the same in all cells are CPM, up to a factor. Other
    values below LOG_BELOW are logarithms: GeneqError, whatever was requested. For auto, values
    that are none of these are a GeneqError too.
    """
    if values.integers:
        return "counts" if requested == "auto" else requested
    constant = _is_constant(totals)
    if not constant and 1 < values.largest < LOG_BELOW:
        raise GeneqError(
            f"{matrix.name} looks log-transformed: its values are not integers, the cells' totals "
            f"differ, and the largest value is below {LOG_BELOW}",
            value=f"{values.largest:.4g}",
            file=matrix.file,
            fix=_suggest_counts(matrix),
        )
    if requested != "auto":
        return requested
    if constant:
        return "cpm"
    raise GeneqError(
        f"{matrix.name} is neither counts (not all values are integers) nor CPM (the cells' totals "
        "differ)",
        value=f"totals from {totals[totals > 0].min():.6g} to {totals.max():.6g}",
        file=matrix.file,
        fix=f"Set --scale counts or --scale cpm. {_suggest_counts(matrix)}",
    )


def _is_constant(totals: np.ndarray) -> bool:
    totals = totals[totals > 0]
    return bool(totals.std() <= CONSTANT_WITHIN * totals.mean())


def _suggest_counts(matrix: Matrix) -> str:
    file = matrix.element.file
    others = [name for name in available_matrices(file) if name != matrix.name]
    found = [name for name in others if _looks_like_counts(file, name)]
    if not found:
        return "No other matrix of the file looks like counts: give a file with counts"
    return f"Name a matrix that looks like counts with --layer: {', '.join(found)}"


def _looks_like_counts(file: h5py.File, name: str) -> bool:
    try:
        return open_matrix(file, name).looks_like_counts()
    except GeneqError:  # of another matrix than the one asked for
        return False

"""What the values of a matrix are: counts, CPM, or something that cannot be summed."""

import h5py
import numpy as np

from ...errors import GeneqError
from .reading import Block, Matrix, matrices, matrix, names

# log2 of a CPM is below 20, a natural log below 14; the sum of ten cells' counts is mostly above.
LOG_BELOW = 30
CONSTANT_WITHIN = 0.01  # standard deviation over mean of the cells' totals


class Values:
    """What has been seen of a matrix's values."""

    def __init__(self):
        self.integers = True
        self.high = 0.0

    def see(self, block: Block, of: Matrix) -> None:
        """Take in a block. Raises GeneqError, naming cell and gene, for a value that is negative,
        NaN or infinite."""
        values = block.values
        if not len(values):
            return
        low, high = values.min(), values.max()
        if not (low >= 0 and high < np.inf):
            raise _bad_value(block, of)
        self.high = max(self.high, float(high))
        self.integers = self.integers and bool((values == np.rint(values)).all())


def _bad_value(block: Block, of: Matrix) -> GeneqError:
    at = np.argmin((block.values >= 0) & np.isfinite(block.values))
    value = block.values[at]
    kind = "negative" if value < 0 else "not finite"
    cell, gene = block.cell_and_gene(at)
    return GeneqError(
        f"Expression must be finite and not negative; a value of {of.name} is {kind}",
        value=f"{value:.6g} in cell {names(of.element.file['obs'])[cell]}, gene "
        f"{names(of.var)[gene]}",
        file=of.file,
        fix="Give the matrix before scaling or batch correction, as X or with --layer",
    )


def judge(requested: str, values: Values, totals: np.ndarray, of: Matrix) -> str:
    """The scale of a matrix, "counts" or "cpm".

    requested: auto, counts or cpm; totals: float64[n_cells], sums over all genes. Integers are
    counts. Other values whose totals are the same in all cells are CPM, up to a factor. Other
    values below LOG_BELOW are logarithms: GeneqError, whatever was requested. What is none of
    these is a GeneqError for auto.
    """
    if values.integers:
        return "counts" if requested == "auto" else requested
    constant = _is_constant(totals)
    if not constant and 1 < values.high < LOG_BELOW:
        raise GeneqError(
            f"{of.name} looks log-transformed: no integers, cells of different totals, and a "
            f"largest value below {LOG_BELOW}",
            value=f"{values.high:.4g}",
            file=of.file,
            fix=_name_counts(of),
        )
    if requested != "auto":
        return requested
    if constant:
        return "cpm"
    raise GeneqError(
        f"{of.name} is neither counts (there are fractions) nor CPM (the cells' totals differ)",
        value=f"totals from {totals[totals > 0].min():.6g} to {totals.max():.6g}",
        file=of.file,
        fix=f"Say which with --scale counts or --scale cpm. {_name_counts(of)}",
    )


def _is_constant(totals: np.ndarray) -> bool:
    totals = totals[totals > 0]
    return bool(totals.std() <= CONSTANT_WITHIN * totals.mean())


def _name_counts(of: Matrix) -> str:
    found = counts_like(of.element.file, of.name)
    if not found:
        return "No other matrix of the file looks like counts: give a file that holds counts"
    return f"Name a matrix that looks like counts with --layer: {', '.join(found)}"


def counts_like(file: h5py.File, beside: str) -> list[str]:
    """Names of the other matrices of the file that look like counts."""
    return [name for name in matrices(file) if name != beside and _looks_like_counts(file, name)]


def _looks_like_counts(file: h5py.File, name: str) -> bool:
    try:
        return matrix(file, name).looks_like_counts()
    except GeneqError:  # of no use to the user, who asked for another
        return False

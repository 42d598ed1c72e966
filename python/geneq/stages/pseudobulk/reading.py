"""The matrix of an h5ad file, read in blocks; nothing is ever unpickled."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import scipy.sparse as sp

from ... import _ext
from ...errors import GeneqError, not_found
from ...sizes import check_dataset
from .frames import Frame, text_attribute

__all__ = ["RAW", "Block", "Matrix", "available_matrices", "open_h5ad", "open_matrix"]

BLOCK_VALUES = 1 << 20
LAYOUTS = {"csr_matrix": "csr", "csc_matrix": "csc", "array": "dense", "": "dense"}
PARTS = ("data", "indices", "indptr")
RAW = "raw.X"


@contextmanager
def open_h5ad(path: str | Path) -> Iterator[h5py.File]:
    """Open an h5ad file for reading.

    Raises GeneqError when the file is missing, empty, truncated or not HDF5, and when a read inside
    the `with` block fails.
    """
    path = Path(path)
    if not path.is_file():
        raise not_found(path)
    if path.stat().st_size == 0:
        raise GeneqError("The h5ad file is empty (0 bytes)", file=path, fix="Write it again")
    if not h5py.is_hdf5(path):
        raise GeneqError("Not an HDF5 file, so not h5ad", file=path, fix="Give an .h5ad file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError) as error:
        raise _unreadable(path, error) from None
    except KeyError as error:
        if "Unable to" not in str(error):  # not from HDF5
            raise
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> GeneqError:
    message = str(error.args[0] if error.args else error)
    if "not registered" in message or "can't open directory" in message:
        return GeneqError(
            "The h5ad file is compressed by a filter that HDF5 does not have here",
            value=message,
            file=path,
            fix="Write the file again with compression='gzip'",
        )
    return GeneqError(
        "The h5ad file is damaged or truncated",
        value=message,
        file=path,
        fix="Copy it or write it again",
    )


@dataclass(frozen=True)
class Block:
    """Entries of consecutive lines of a matrix: lines are cells if `by_cell`, otherwise genes.

    first: the first line; lengths: int64[n_lines], number of entries of each; across: int[n],
    positions on the other axis, no position repeated in a line; values: float64[n]. What is not
    listed is 0.
    """

    by_cell: bool
    first: int
    lengths: np.ndarray
    across: np.ndarray
    values: np.ndarray

    @cached_property
    def entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """lengths, across and values as the extension takes them."""
        return (
            np.ascontiguousarray(self.lengths, np.int64),
            np.ascontiguousarray(self.across, np.int64),
            np.ascontiguousarray(self.values, np.float64),
        )

    def add_totals(
        self, of_cells: np.ndarray, of_columns: np.ndarray
    ) -> tuple[float, bool, int | None]:
        """Add the values to the totals of all cells and of all columns, float64 each.

        Returns the largest value, whether all are integers, and the first entry that is negative or
        not finite, if there is one.
        """
        lines, others = (of_cells, of_columns) if self.by_cell else (of_columns, of_cells)
        lines = lines[self.first : self.first + len(self.lengths)]
        return _ext.add_totals(*self.entries, lines, others)

    def only(self, columns: np.ndarray) -> "Block":
        """The entries in some columns. columns: bool[all columns]."""
        if self.by_cell:
            kept = columns[self.across]
        else:
            lines = columns[self.first : self.first + len(self.lengths)]
            kept = np.repeat(lines, self.lengths)
        before = np.append(0, np.cumsum(kept))
        ends = np.cumsum(self.lengths)
        lengths = before[ends] - before[ends - self.lengths]
        return Block(self.by_cell, self.first, lengths, self.across[kept], self.values[kept])

    def cell_and_column(self, entry: int) -> tuple[int, int]:
        """Cell and column of an entry."""
        line = self.first + int(np.searchsorted(np.cumsum(self.lengths), entry, side="right"))
        across = int(self.across[entry])
        return (line, across) if self.by_cell else (across, line)


@dataclass(frozen=True)
class Matrix:
    """A cells x features matrix of an h5ad file, read in blocks of about `block_values` entries.

    Blocks of a CSR or dense matrix contain complete cells, those of a CSC matrix complete features;
    a block is never smaller than one of them.
    """

    element: h5py.Group | h5py.Dataset
    name: str  # as a user names it: X, raw.X or the layer
    obs: Frame
    var: Frame
    layout: str  # csr, csc, dense
    shape: tuple[int, int]
    block_values: int = BLOCK_VALUES

    @property
    def file(self) -> str:
        return self.element.file.filename

    @property
    def by_cell(self) -> bool:
        return self.layout != "csc"

    def blocks(self) -> Iterator[Block]:
        """All entries, in the order of the lines."""
        return self._dense_blocks() if self.layout == "dense" else self._sparse_blocks()

    def _dense_blocks(self) -> Iterator[Block]:
        n_cells, n_columns = self.shape
        rows = max(1, self.block_values // max(1, n_columns))
        stored = self.element.chunks[0] if self.element.chunks else 1
        rows -= rows % stored if rows > stored else 0  # no stored chunk is unpacked twice
        for first in range(0, n_cells, rows):
            part = self.element[first : first + rows]
            found = part != 0
            lengths, (_, across) = np.count_nonzero(found, axis=1), np.nonzero(found)
            yield Block(True, first, lengths, across, part[found].astype(np.float64))

    def _sparse_blocks(self) -> Iterator[Block]:
        indptr, ends = self._indptr()
        for first, last in pairwise(ends.tolist()):
            entries = slice(indptr[first], indptr[last])
            across = self._indices(entries)
            values = self.element["data"][entries].astype(np.float64)
            lengths = np.diff(indptr[first : last + 1])
            yield Block(self.by_cell, first, *self._canonical(lengths, across, values))

    def _indices(self, entries: slice) -> np.ndarray:
        across = self._integers("indices", entries)
        n = self.shape[1 if self.by_cell else 0]
        if len(across) and (across.min() < 0 or across.max() >= n):
            raise self._malformed(f"an index outside 0…{n - 1}")
        return across

    def _integers(self, part: str, entries: slice) -> np.ndarray:
        """int32 or int64, also if a part was written as another type (R has doubles)."""
        values = self.element[part][entries]
        if values.dtype in (np.int32, np.int64):
            return values
        with np.errstate(invalid="ignore"):
            integers = values.astype(np.int64)
        if (integers != values).any():
            raise self._malformed(f"{part} that are not integers")
        return integers

    def _canonical(self, lengths: np.ndarray, across: np.ndarray, values: np.ndarray) -> tuple:
        """Lengths, positions and values with entries of the same cell and feature added up.

        Such duplicates are valid: their sum is the value of the cell and feature.
        """
        n = self.shape[1 if self.by_cell else 0]
        indptr = np.append(0, np.cumsum(lengths))
        lines = sp.csr_array((values, across, indptr), shape=(len(lengths), n))
        if lines.has_canonical_format:
            return lengths, across, values
        lines.sum_duplicates()
        return np.diff(lines.indptr), lines.indices, lines.data

    def _indptr(self) -> tuple[np.ndarray, np.ndarray]:
        """The checked indptr and the lines (cells or features) at which blocks begin and end."""
        indptr = self._integers("indptr", slice(None)).astype(np.int64)
        lines = self.shape[0 if self.by_cell else 1]
        stored = {len(self.element["indices"]), len(self.element["data"])}
        if len(indptr) != lines + 1 or indptr[0] != 0 or (np.diff(indptr) < 0).any():
            raise self._malformed(f"an indptr that does not describe {lines} lines")
        if stored != {int(indptr[-1])}:
            raise self._malformed(f"{indptr[-1]} entries by its indptr, {stored} stored")
        steps = np.searchsorted(indptr, np.arange(0, indptr[-1], self.block_values), side="right")
        return indptr, np.unique([0, *(steps - 1), lines])

    def _malformed(self, what: str) -> GeneqError:
        return GeneqError(
            f"The sparse matrix {self.name} is malformed: it has {what}",
            file=self.file,
            fix="Write the file again",
        )

    def looks_like_counts(self, sample: int = 100_000) -> bool:
        """True if the first entries are non-negative integers and not all zero."""
        if self.layout == "dense":
            values = self.element[: 1 + sample // max(1, self.shape[1])]
        else:
            values = self.element["data"][:sample]
        if values.dtype.kind not in "biuf" or not values.any():
            return False
        return bool((values >= 0).all() and (values % 1 == 0).all())


def open_matrix(file: h5py.File, layer: str | None, block_values: int = BLOCK_VALUES) -> Matrix:
    """The matrix X, a layer, or `raw.X`, its shape checked against obs and var.

    Raises GeneqError when it is absent or in no known layout.
    """
    obs, var = Frame.open(file, "obs"), Frame.open(file, "var")
    available = available_matrices(file)
    name = layer or "X"
    if name not in available:
        raise GeneqError(
            "The h5ad file has no such matrix" if layer else "The h5ad file has no X",
            value=layer,
            file=file.filename,
            fix=f"Name one with --layer: {', '.join(available) or '(the file has none)'}",
        )
    element = file[available[name]]
    if name == RAW:
        var = Frame.open(file, "raw/var")
    found = Matrix(element, name, obs, var, *_layout(element, name), block_values)
    _check_shape(found)
    return found


def available_matrices(file: h5py.File) -> dict[str, str]:
    """Matrices of the file: what a user calls them → path in the file."""
    found = {"X": "X", RAW: "raw/X"}
    layers = file.get("layers")
    if isinstance(layers, h5py.Group):
        found |= {layer: f"layers/{layer}" for layer in layers if layer not in found}
    return {name: path for name, path in found.items() if _is_present(file, path)}


def _is_present(file: h5py.File, path: str) -> bool:
    return path in file and text_attribute(file[path], "encoding-type") != "null"


def _layout(element: h5py.Group | h5py.Dataset, name: str) -> tuple[str, tuple[int, int]]:
    """Layout and shape of a matrix. Raises GeneqError if it is in no known layout."""
    encoding = text_attribute(element, "encoding-type")
    layout = LAYOUTS.get(encoding, "")
    shape = _dense_shape(element) if layout == "dense" else _sparse_shape(element)
    if not layout or len(shape) != 2 or not np.isfinite(shape).all():
        raise GeneqError(
            f"{name} must be a CSR, CSC or dense matrix of numbers",
            value=encoding or "no encoding-type",
            file=element.file.filename,
        )
    return layout, (int(shape[0]), int(shape[1]))


def _dense_shape(element: h5py.Group | h5py.Dataset) -> tuple:
    return element.shape if _has_numbers(element, 2) else ()


def _sparse_shape(element: h5py.Group | h5py.Dataset) -> tuple:
    if not isinstance(element, h5py.Group) or not set(PARTS) <= set(element):
        return ()
    shape = np.ravel(element.attrs.get("shape", ()))
    numbers = shape.dtype.kind in "iuf" and all(_has_numbers(element[part], 1) for part in PARTS)
    return tuple(shape.tolist()) if numbers else ()


def _has_numbers(element: h5py.Group | h5py.Dataset, n_axes: int) -> bool:
    numbers = isinstance(element, h5py.Dataset) and element.dtype.kind in "biuf"
    return numbers and len(element.shape or ()) == n_axes


def _check_shape(found: Matrix) -> None:
    for n, frame in zip(found.shape, (found.obs, found.var), strict=True):
        if n != frame.n_rows:
            raise GeneqError(
                f"{found.name} and {frame.name} must agree in length",
                value=f"{found.name} is {found.shape[0]} x {found.shape[1]}, {frame.name} has "
                f"{frame.n_rows} rows",
                file=found.file,
                fix="Write the file again",
            )
    for part in [found.element] if found.layout == "dense" else map(found.element.get, PARTS):
        check_dataset(part)
    if 0 in found.shape:
        raise GeneqError(
            f"{found.name} has no cells or no features",
            value=f"{found.shape[0]} x {found.shape[1]}",
            file=found.file,
        )

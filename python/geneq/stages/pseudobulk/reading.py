"""An h5ad file read backed: labels whole, the matrix in blocks, nothing ever unpickled."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from ...errors import GeneqError, not_found

BLOCK_VALUES = 1 << 20
LAYOUTS = {"csr_matrix": "csr", "csc_matrix": "csc", "array": "dense", "": "dense"}
RAW = "raw.X"


@contextmanager
def opened(path: str | Path) -> Iterator[h5py.File]:
    """Open an h5ad file for reading.

    Raises GeneqError when the file is missing, empty, cut short, no HDF5 or no h5ad, and when a
    read inside of the `with` block meets damage.
    """
    path = Path(path)
    if not path.is_file():
        raise not_found(path)
    if path.stat().st_size == 0:
        raise GeneqError("The h5ad file is empty (0 bytes)", file=path, fix="Write it again")
    if not h5py.is_hdf5(path):
        raise GeneqError("Not an HDF5 file, so no h5ad", file=path, fix="Give an .h5ad file")
    try:
        with h5py.File(path, "r") as file:
            _check_frames(file)
            yield file
    except (OSError, RuntimeError) as error:
        raise GeneqError(
            "The h5ad file is damaged or cut short",
            value=str(error),
            file=path,
            fix="Copy or write it again",
        ) from None


def _check_frames(file: h5py.File) -> None:
    for frame in ("obs", "var"):
        if frame not in file:
            raise GeneqError(
                f"An h5ad file holds '{frame}'; this HDF5 file does not",
                value=", ".join(file) or "nothing in it",
                file=file.filename,
            )
        if not isinstance(file[frame], h5py.Group) or "_index" not in file[frame].attrs:
            raise GeneqError(
                f"'{frame}' is stored as by anndata before 0.7",
                file=file.filename,
                fix="Rewrite the file: anndata.read_h5ad(OLD).write_h5ad(NEW)",
            )


def n_rows(frame: h5py.Group) -> int:
    """Number of rows of `obs` or `var`."""
    index = frame[frame.attrs["_index"]]
    return index.shape[0] if isinstance(index, h5py.Dataset) else len(read_elem(index))


def names(frame: h5py.Group) -> np.ndarray:
    """The index of `obs` or `var`: object[n_rows] of str."""
    return np.asarray(read_elem(frame[frame.attrs["_index"]])).astype(str).astype(object)


def labels(file: h5py.File, key: str, option: str) -> tuple[np.ndarray, list[str]]:
    """The labels of cells in `obs[key]`: codes int64[n_cells] and the names they stand for.

    Names are sorted. A code of -1 is a cell without label: missing, "" or "nan" (what a missing
    value becomes when a column is turned into text). `option` is the option that named the
    column. Raises GeneqError when the column is absent or holds measurements.
    """
    obs = file["obs"]
    columns = [name for name in obs if name not in (obs.attrs["_index"], "__categories")]
    if key not in columns:
        raise GeneqError(
            f"obs has no column for {option}",
            value=key,
            file=file.filename,
            fix=f"Name one of: {', '.join(columns) or '(obs has no columns)'}",
        )
    values = pd.Categorical(_column(obs, key))
    if values.categories.dtype.kind == "f" and (values.categories % 1 != 0).any():
        raise GeneqError(
            f"The column for {option} must hold labels, not fractions",
            value=f"{key}, with values such as {values.categories[values.categories % 1 != 0][0]}",
            file=file.filename,
        )
    return _sorted_labels(values)


def _column(frame: h5py.Group, key: str):
    """One column; before anndata 0.8 categories lie apart and the whole frame must be read."""
    if frame.attrs.get("encoding-version") == "0.1.0":
        return read_elem(frame)[key]
    return read_elem(frame[key])


def _sorted_labels(values: pd.Categorical) -> tuple[np.ndarray, list[str]]:
    whole = values.categories.dtype.kind == "f"
    text = [str(int(name) if whole else name) for name in values.categories]
    kept = sorted({name for name in text if name.strip() and name != "nan"})
    place = {name: number for number, name in enumerate(kept)}
    codes = np.array([place.get(name, -1) for name in text] + [-1], dtype=np.int64)
    return codes[values.codes], kept  # a code of -1 takes the last one, which is -1


def identifiers(frame: h5py.Group) -> dict[str, np.ndarray]:
    """The index and every text column of `var`: name → object[n_genes] of str."""
    found = {"var index": names(frame)}
    for name, column in read_elem(frame).items():
        if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype.kind == "O":
            found[f"var column '{name}'"] = column.astype(str).to_numpy(dtype=object)
    return found


@dataclass(frozen=True)
class Block:
    """Entries of consecutive lines of a matrix: cells where `whole_cells`, else genes.

    first: the first line; lengths: int64[n_lines], entries of each; across: int[n], the entries'
    places on the other axis; values: float64[n]. What is not listed is 0.
    """

    whole_cells: bool
    first: int
    lengths: np.ndarray
    across: np.ndarray
    values: np.ndarray

    def of_cells(self, per_cell: np.ndarray) -> np.ndarray:
        """Each entry's element of an array over all cells."""
        return self._of_lines(per_cell) if self.whole_cells else per_cell[self.across]

    def of_genes(self, per_gene: np.ndarray) -> np.ndarray:
        """Each entry's element of an array over all genes."""
        return per_gene[self.across] if self.whole_cells else self._of_lines(per_gene)

    def _of_lines(self, per_line: np.ndarray) -> np.ndarray:
        return np.repeat(per_line[self.first : self.first + len(self.lengths)], self.lengths)

    def add_to_cells(self, totals: np.ndarray) -> None:
        """Add the values to `totals`, float64[all cells]."""
        if not self.whole_cells:
            totals += np.bincount(self.across, self.values, minlength=len(totals))
        elif len(self.values):
            filled = np.flatnonzero(self.lengths)
            starts = np.cumsum(self.lengths) - self.lengths
            totals[self.first + filled] += np.add.reduceat(self.values, starts[filled])

    def cell_and_gene(self, entry: int) -> tuple[int, int]:
        """Cell and gene of an entry."""
        line = self.first + int(np.searchsorted(np.cumsum(self.lengths), entry, side="right"))
        place = int(self.across[entry])
        return (line, place) if self.whole_cells else (place, line)


@dataclass(frozen=True)
class Matrix:
    """A cells x genes matrix in an open h5ad file, read in blocks of about `block_values` entries.

    Blocks of a CSR or dense matrix hold whole cells, those of a CSC matrix whole genes; a block
    is never smaller than one cell or gene.
    """

    element: h5py.Group | h5py.Dataset
    name: str  # as a user names it: X, raw.X or the layer
    var: h5py.Group
    layout: str  # csr, csc, dense
    shape: tuple[int, int]
    block_values: int = BLOCK_VALUES

    @property
    def file(self) -> str:
        return self.element.file.filename

    @property
    def whole_cells(self) -> bool:
        return self.layout != "csc"

    def blocks(self) -> Iterator[Block]:
        """All entries, in the order in which they are stored."""
        return self._dense_blocks() if self.layout == "dense" else self._sparse_blocks()

    def _dense_blocks(self) -> Iterator[Block]:
        n_cells, n_genes = self.shape
        rows = max(1, self.block_values // max(1, n_genes))
        stored = self.element.chunks[0] if self.element.chunks else 1
        rows -= rows % stored if rows > stored else 0  # no stored chunk is unpacked twice
        for first in range(0, n_cells, rows):
            part = self.element[first : first + rows]
            found = part != 0
            lengths, (_, genes) = np.count_nonzero(found, axis=1), np.nonzero(found)
            yield Block(True, first, lengths, genes, part[found].astype(np.float64))

    def _sparse_blocks(self) -> Iterator[Block]:
        indptr, ends = self._indptr()
        minor = self.shape[1 if self.whole_cells else 0]
        for first, last in pairwise(ends):
            entries = slice(indptr[first], indptr[last])
            across = self.element["indices"][entries]
            if len(across) and (across.min() < 0 or across.max() >= minor):
                raise self._malformed(f"an index outside 0…{minor - 1}")
            values = self.element["data"][entries].astype(np.float64)
            lengths = np.diff(indptr[first : last + 1])
            yield Block(self.whole_cells, int(first), lengths, across, values)

    def _indptr(self) -> tuple[np.ndarray, np.ndarray]:
        """The checked indptr and the lines (cells or genes) at which blocks begin and end."""
        indptr = self.element["indptr"][:].astype(np.int64)
        lines = self.shape[0 if self.whole_cells else 1]
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
        """True when the first entries are non-negative integers and not all zero."""
        if self.layout == "dense":
            values = self.element[: 1 + sample // max(1, self.shape[1])]
        else:
            values = self.element["data"][:sample]
        if values.dtype.kind not in "biuf" or not values.any():
            return False
        return bool((values >= 0).all() and (values % 1 == 0).all())


def matrix(file: h5py.File, layer: str | None, block_values: int = BLOCK_VALUES) -> Matrix:
    """The matrix X, a layer, or `raw.X`, its shape checked against obs and var.

    Raises GeneqError when it is absent or of no known layout.
    """
    available = matrices(file)
    name = layer or "X"
    if name not in available:
        raise GeneqError(
            "The h5ad file has no such matrix" if layer else "The h5ad file has no X",
            value=layer,
            file=file.filename,
            fix=f"Name one with --layer: {', '.join(available) or '(the file has none)'}",
        )
    element = file[available[name]]
    var = file["raw/var"] if name == RAW else file["var"]
    found = Matrix(element, name, var, *_layout(element, name), block_values)
    _check_shape(found, file)
    return found


def matrices(file: h5py.File) -> dict[str, str]:
    """Matrices of the file: what a user calls them → path in the file."""
    found = {"X": "X", RAW: "raw/X"}
    found |= {layer: f"layers/{layer}" for layer in file.get("layers", ()) if layer not in found}
    return {name: path for name, path in found.items() if _is_there(file, path)}


def _is_there(file: h5py.File, path: str) -> bool:
    return path in file and file[path].attrs.get("encoding-type") != "null"


def _layout(element, name: str) -> tuple[str, tuple[int, int]]:
    layout = LAYOUTS.get(element.attrs.get("encoding-type", ""))
    sparse = layout in ("csr", "csc") and {"data", "indices", "indptr"} <= set(element)
    shape = element.attrs.get("shape") if sparse else getattr(element, "shape", None)
    values = element["data"] if sparse else element
    if layout is None or shape is None or len(shape) != 2 or values.dtype.kind not in "biuf":
        raise GeneqError(
            f"{name} must be a CSR, CSC or dense matrix of numbers",
            value=str(element.attrs.get("encoding-type", "no encoding-type")),
            file=element.file.filename,
        )
    return layout, (int(shape[0]), int(shape[1]))


def _check_shape(found: Matrix, file: h5py.File) -> None:
    for axis, (frame, what) in enumerate(((file["obs"], "obs"), (found.var, "var"))):
        if found.shape[axis] != n_rows(frame):
            raise GeneqError(
                f"{found.name} and {what} must agree in length",
                value=f"{found.name} is {found.shape[0]} x {found.shape[1]}, {what} has "
                f"{n_rows(frame)} rows",
                file=file.filename,
                fix="Write the file again",
            )
    if 0 in found.shape:
        raise GeneqError(
            f"{found.name} holds no cells or no genes",
            value=f"{found.shape[0]} x {found.shape[1]}",
            file=file.filename,
        )

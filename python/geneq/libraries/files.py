"""Libraries from files: FASTA, parquet with text, parquet with packed tokens.

    library.write("library.packed.parquet", threads=4)
    for tokens in open_library("library.packed.parquet").stream(batch=4096):
        ...

docs/libraries.md describes the file formats, for other programs.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..checks import check_int
from ..errors import GeneqError, in_file, not_found
from .base import Library
from .fasta import read_fasta
from .parquet import read_about, read_parquet
from .writing import BATCH, recipe_path

__all__ = ["LibraryFile", "open_library", "read_recipe"]

PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class LibraryFile:
    """A library that `Library.write` wrote: its recipe, and its rows as the file has them.

    Attributes
    ----------
    path : Path
        The file.
    recipe_text : str
        The recipe as JSON.
    n_rows, length, alphabet
        As for a Library.
    """

    path: Path
    recipe_text: str = field(repr=False)
    n_rows: int
    length: int
    alphabet: str
    _read: Callable[[int, int], Iterator[np.ndarray]] = field(repr=False, compare=False)

    @cached_property
    def recipe(self) -> Library:
        """The library that was written. Raises GeneqError if it cannot be made here."""
        with in_file(self.path):
            return Library.from_json(self.recipe_text)

    def stream(self, batch: int | None = None, threads: int = 1) -> Iterator[np.ndarray]:
        """Tokens of all rows in batches, in order; one batch is in memory at a time.

        Parameters
        ----------
        batch : int, optional
            Rows per batch; by default about 8 MB.
        threads : int
            Threads that decode a batch.

        Returns
        -------
        Iterator of uint8[rows, length]

        Raises
        ------
        GeneqError
            If the file is truncated or damaged, possibly after some batches.
        """
        batch = max(1, BATCH // self.length) if batch is None else check_int(batch, "batch", 1)
        return self._checked(self._read(batch, threads))

    def _checked(self, batches: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The batches, with the length and number of their rows checked."""
        rows = 0
        with _readable(self.path):
            for tokens in batches:
                if tokens.shape[1] != self.length:
                    raise GeneqError(f"Rows of the library must have {self.length} symbols",
                                     value=f"{tokens.shape[1]}, from row {rows}")  # fmt: skip
                rows += len(tokens)
                yield tokens
            if rows != self.n_rows:
                raise GeneqError(f"The library must have {self.n_rows} rows", value=rows)


def open_library(path: str | Path) -> LibraryFile:
    """Open a library in a file of any format; rows are read on demand.

    Parameters
    ----------
    path : str or Path
        A file that `Library.write` wrote. A FASTA needs its recipe next to it.

    Returns
    -------
    LibraryFile

    Raises
    ------
    GeneqError
        If the file is missing, truncated, damaged, of a newer format version, or was not written
        by `Library.write`.
    """
    path = Path(path)
    with _readable(path):
        with open(path, "rb") as file:
            magic = file.read(len(PARQUET_MAGIC))
        return _open_parquet(path) if magic == PARQUET_MAGIC else _open_fasta(path)


def read_recipe(path: str | Path) -> Library:
    """Read a recipe file and make its library.

    Parameters
    ----------
    path : str or Path
        A JSON file as `Library.to_json` gives it.

    Returns
    -------
    Library

    Raises
    ------
    GeneqError
        If the file is missing or is not a recipe.
    """
    try:
        with in_file(path):
            return Library.from_json(Path(path).read_bytes())
    except FileNotFoundError:
        raise not_found(path) from None


def _open_parquet(path: Path) -> LibraryFile:
    about = read_about(path)
    read = partial(read_parquet, path, about)
    return LibraryFile(path, about.recipe, about.rows, about.length, about.alphabet, read)


def _open_fasta(path: Path) -> LibraryFile:
    """A FASTA is described by the recipe next to it."""
    beside = recipe_path(path)
    try:
        text = beside.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise GeneqError(
            "A library in FASTA needs its recipe beside it",
            file=path,
            fix=f"Put {beside.name} there, or read the file as any other FASTA",
        ) from None
    with in_file(beside):
        library = Library.from_json(text)
    read = partial(read_fasta, path, library.kind, library.alphabet)
    return LibraryFile(path, text, library.n_rows, library.length, library.alphabet, read)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what can go wrong while the file at `path` is read into GeneqError."""
    try:
        with in_file(path):
            yield
    except FileNotFoundError:
        raise not_found(path) from None
    except (OSError, EOFError, OverflowError, ValueError, zlib.error, pa.ArrowException) as error:
        raise GeneqError(
            "The file is truncated, damaged, or not a library",
            value=str(error),
            file=path,
            fix="Write it again",
        ) from None

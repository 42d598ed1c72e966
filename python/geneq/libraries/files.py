"""Libraries in files: FASTA, parquet with text, parquet with packed tokens.

    library.write("library.packed.parquet", threads=4)
    for tokens in open_library("library.packed.parquet").stream(batch=4096):
        ...

docs/libraries.md has the layouts, for other programs.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ..artifacts import written_whole
from ..checks import check_int
from ..errors import GeneqError, in_file, not_found
from .base import BATCH, Library
from .fasta import read_fasta, write_fasta
from .parquet import read_about, read_parquet, write_parquet

PARQUET_MAGIC = b"PAR1"
# Names of columns that are not the design's.
COLUMNS = ("row", "sequence", "packed", "unknown")
# Most symbols and rows that are written in one go: little enough for a moment's work, after which
# Ctrl-C is heard, and for what describes the rows not to count.
MOST, MOST_ROWS = 2 * BATCH, 1 << 16

# What writes a file, by its suffix; the first that fits counts.
FORMATS = {
    ".packed.parquet": partial(write_parquet, "packed"),
    ".parquet": partial(write_parquet, "text"),
    ".fa": write_fasta,
    ".fasta": write_fasta,
    ".fa.gz": write_fasta,
    ".fasta.gz": write_fasta,
}


# --- writing ----------------------------------------------------------------------------------


def write_library(
    library: Library,
    path: str | Path,
    batch: int | None = None,
    threads: int = 1,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Write `library` to `path`, and its recipe to `<path>.recipe.json`.

    The suffix, one of FORMATS, says in which format. batch: rows that are made and written at a
    time, in parquet a row group; by default as many as are about 8 MB of tokens, at most 16 MB or
    65,536 rows. No more than a few batches are in memory. progress: called after every batch with
    the number of its rows.

    Files take their names when they are whole. Raises GeneqError for another suffix, and where
    nothing can be written, or where a column of the design has the name of one that files have;
    OSError when the disk is full.
    """
    path, write = Path(path), FORMATS[suffix_of(path)]
    stream = library.stream(_batch(library.length, batch), threads=threads)
    with written_whole(recipe_path(path)) as beside, written_whole(path) as temporary:
        beside.write_text(library.to_json() + "\n", encoding="utf-8")
        write(library, temporary, _described(library, stream, progress), threads)


def suffix_of(path: str | Path) -> str:
    """The suffix of FORMATS that `path` ends in, in either case. Raises GeneqError for others."""
    name = Path(path).name.lower()
    for suffix in FORMATS:
        if name.endswith(suffix):
            return suffix
    raise GeneqError("The suffix of the file must say its format", value=Path(path).name,
                     fix=f"There are: {', '.join(FORMATS)}")  # fmt: skip


def recipe_path(path: str | Path) -> Path:
    """Where the recipe of the library at `path` stands."""
    return Path(f"{path}.recipe.json")


def _batch(length: int, batch: int | None) -> int:
    batch = BATCH // length if batch is None else check_int(batch, "batch", 1)
    return max(1, min(batch, MOST // length, MOST_ROWS))


def _described(
    library: Library, stream: Iterator[np.ndarray], progress: Callable[[int], object] | None
) -> Iterator[tuple[np.ndarray, pd.DataFrame]]:
    """The batches, each with a table of its rows: row, and the design where the kind has one."""
    first = 0
    for tokens in stream:
        yield tokens, _table(library, first, first + len(tokens))
        first += len(tokens)
        if progress:
            progress(len(tokens))


def _table(library: Library, start: int, stop: int) -> pd.DataFrame:
    rows = pd.DataFrame({"row": np.arange(start, stop)})
    if type(library).design is Library.design:
        return rows
    design = library.design(start, stop)
    if rows.equals(design.get(["row"])):
        design = design.drop(columns="row")
    if taken := [name for name in COLUMNS if name in design]:
        raise GeneqError("A column of the design has a name that the file needs for its own",
                         value=", ".join(taken), fix="Name motifs otherwise")  # fmt: skip
    return rows.join(design)


# --- reading ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class LibraryFile:
    """A library that `Library.write` wrote: its recipe, and its rows as they stand in the file.

    recipe_text: the recipe's JSON. n_rows, length, alphabet: as of a Library.
    """

    path: Path
    recipe_text: str = field(repr=False)
    n_rows: int
    length: int
    alphabet: str
    _read: Callable[[int, int], Iterator[np.ndarray]] = field(repr=False, compare=False)

    @cached_property
    def recipe(self) -> Library:
        """The library that was written. Raises GeneqError when it cannot be made here."""
        with in_file(self.path):
            return Library.from_json(self.recipe_text)

    def stream(self, batch: int | None = None, threads: int = 1) -> Iterator[np.ndarray]:
        """Tokens of all rows as batches uint8[rows, length], in order; one is in memory at a time.

        batch: rows of a batch (by default about 8 MB). Raises GeneqError, maybe after some batches,
        for a file that is cut short or damaged.
        """
        batch = max(1, BATCH // self.length) if batch is None else check_int(batch, "batch", 1)
        return self._checked(self._read(batch, threads))

    def _checked(self, batches: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The batches, which must be as many rows as long as they should."""
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
    """The library in the file at `path`, of any format; its rows are read when they are asked for.

    Raises GeneqError for a file that is missing, cut short, damaged or of a newer format, and for
    one that `Library.write` did not write.
    """
    path = Path(path)
    with _readable(path):
        with open(path, "rb") as file:
            magic = file.read(len(PARQUET_MAGIC))
        return _open_parquet(path) if magic == PARQUET_MAGIC else _open_fasta(path)


def read_recipe(path: str | Path) -> Library:
    """The library of the recipe in the file at `path`.

    Raises GeneqError for a file that is missing, or that holds no recipe.
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
    """What a FASTA holds stands in the recipe beside it."""
    beside = recipe_path(path)
    try:
        text = beside.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise GeneqError(
            "A library in FASTA has its recipe beside it",
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
            "The file is cut short, damaged, or no library",
            value=str(error),
            file=path,
            fix="Write it again",
        ) from None

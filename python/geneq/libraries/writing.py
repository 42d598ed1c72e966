"""Libraries to files: FASTA, parquet with text, parquet with packed tokens.

This module uses only the attributes of a library that `Writable` declares, so that `Library.write`
can use it. docs/libraries.md describes the file formats.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import pandas as pd

from ..artifacts import atomic_path
from ..checks import check_int
from ..errors import GeneqError
from .fasta import write_fasta
from .parquet import About, write_parquet

# Symbols of a batch where the user does not set its size.
BATCH = 1 << 23
# Columns that every file has; the columns of a design must have other names.
COLUMNS = ("row", "sequence", "packed", "unknown")
# At most so many symbols and rows are written in one go: Ctrl-C is noticed in between, and the
# tables that describe the rows stay small.
MOST, MOST_ROWS = 2 * BATCH, 1 << 16

Batches = Iterator[tuple[np.ndarray, pd.DataFrame]]


class Writable(Protocol):
    """What is needed of a library to write it."""

    kind: ClassVar[str]

    @property
    def alphabet(self) -> str: ...
    @property
    def n_rows(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def has_design(self) -> bool: ...
    def design(self, start: int, stop: int | None) -> pd.DataFrame: ...
    def stream(self, batch: int | None, *, threads: int) -> Iterator[np.ndarray]: ...
    def to_json(self) -> str: ...


def _fasta(library: Writable, path: Path, batches: Batches, threads: int) -> None:
    write_fasta(path, library.kind, library.alphabet, batches, threads)


def _parquet(layout: str, library: Writable, path: Path, batches: Batches, threads: int) -> None:
    about = About(layout, library.n_rows, library.length, library.alphabet, library.to_json())
    write_parquet(path, about, batches, threads)


# The function that writes a file, by its suffix; the first suffix that matches counts.
FORMATS: dict[str, Callable[[Writable, Path, Batches, int], None]] = {
    ".packed.parquet": partial(_parquet, "packed"),
    ".parquet": partial(_parquet, "text"),
    ".fa": _fasta,
    ".fasta": _fasta,
    ".fa.gz": _fasta,
    ".fasta.gz": _fasta,
}


def write_library(
    library: Writable,
    path: str | Path,
    batch: int | None = None,
    threads: int = 1,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Write `library` to `path`, and its recipe to `<path>.recipe.json`; see `Library.write`."""
    path, write = Path(path), FORMATS[suffix_of(path)]
    stream = library.stream(_batch(library.length, batch), threads=threads)
    with atomic_path(recipe_path(path)) as beside, atomic_path(path) as temporary:
        beside.write_text(library.to_json() + "\n", encoding="utf-8")
        write(library, temporary, _described(library, stream, progress), threads)


def suffix_of(path: str | Path) -> str:
    """The suffix of FORMATS that `path` ends in, in any case. Raises GeneqError for others."""
    name = Path(path).name.lower()
    for suffix in FORMATS:
        if name.endswith(suffix):
            return suffix
    raise GeneqError("The suffix of the file must be that of a known format",
                     value=Path(path).name, fix=f"Use one of {', '.join(FORMATS)}")  # fmt: skip


def recipe_path(path: str | Path) -> Path:
    """The path of the recipe of the library at `path`."""
    return Path(f"{path}.recipe.json")


def _batch(length: int, batch: int | None) -> int:
    batch = BATCH // length if batch is None else check_int(batch, "batch", 1)
    return max(1, min(batch, MOST // length, MOST_ROWS))


def _described(
    library: Writable, stream: Iterator[np.ndarray], progress: Callable[[int], object] | None
) -> Batches:
    """The batches, each with a table of its rows: row number, and the design if there is one."""
    first = 0
    for tokens in stream:
        yield tokens, _table(library, first, first + len(tokens))
        first += len(tokens)
        if progress:
            progress(len(tokens))


def _table(library: Writable, start: int, stop: int) -> pd.DataFrame:
    rows = pd.DataFrame({"row": np.arange(start, stop)})
    if not library.has_design:
        return rows
    design = library.design(start, stop)
    if rows.equals(design.get(["row"])):
        design = design.drop(columns="row")
    if taken := [name for name in COLUMNS if name in design]:
        raise GeneqError("A column of the design has a name that is reserved for the file",
                         value=", ".join(taken), fix="Rename the motif")  # fmt: skip
    return rows.join(design)

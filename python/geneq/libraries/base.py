"""What all libraries have: rows as tokens or one-hot, in memory or as a stream, and a recipe."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from .. import _ext
from ..checks import check_buffer, check_format, check_int, check_list, check_memory, choices, short
from ..encoding import AxisOrder
from ..errors import GeneqError
from .writing import BATCH, write_library

FORMAT, VERSION = "geneq-recipe", 1
# Symbols that a thread makes between two checks for signals (the slowest recipes make 30 million a
# second).
CHUNK = 1 << 24
# More threads than any machine has cores: asking a system for more than it can start is fatal.
MOST_THREADS = 1024

DType = Literal["uint8", "float16", "float32"]
Made = TypeVar("Made")


class Mutations(NamedTuple):
    """Substitutions of a library, ordered by row and position.

    Attributes
    ----------
    row : int64[m]
    position : int32[m]
        0-based in the sequence.
    symbol : uint8[m]
        The new token.
    """

    row: np.ndarray
    position: np.ndarray
    symbol: np.ndarray


@dataclass(frozen=True, kw_only=True, repr=False)
class Library:
    """A mutagenesis library, held as its recipe: rows are made on demand.

    The same recipe gives the same rows, whatever the number of threads, the batch size and the
    machine. This is the base class of all types of library.

    Parameters
    ----------
    alphabet : str
        "dna", "rna", "protein", "diploid", or "symbols:" followed by custom symbols.
    seed : int
        0 to 2^64 - 1.
    """

    kind: ClassVar[str]
    kinds: ClassVar[dict[str, type["Library"]]] = {}
    alphabet: str = "dna"
    seed: int = 1

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            Library.kinds[cls.kind] = cls

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", check_int(self.seed, "seed", 0, 2**64 - 1))
        self._check_alphabet()

    def _check_alphabet(self) -> None:
        try:
            _ext.alphabet(self.alphabet)
        except (ValueError, TypeError) as error:
            raise GeneqError("Not an alphabet", value=str(error)) from None

    # --- what each type of library defines ----------------------------------------------------

    @property
    def n_rows(self) -> int:
        """Number of sequences in the library."""
        raise NotImplementedError

    @property
    def length(self) -> int:
        """Number of symbols in every sequence."""
        raise NotImplementedError

    def _fill(self, start: int, stop: int, out: np.ndarray, threads: int) -> None:
        """Write the tokens of rows [start, stop) into out, uint8[stop - start, length]."""
        raise NotImplementedError

    def _fill_one_hot(
        self, start: int, stop: int, layout: AxisOrder, out: np.ndarray, threads: int
    ) -> None:
        """Write the one-hot of rows [start, stop) into out."""
        tokens = np.empty((stop - start, self.length), np.uint8)
        self._fill(start, stop, tokens, threads)
        _ext.one_hot(tokens, out.dtype.name, layout, as_bits(out), threads, self.alphabet)

    def mutations(self, start: int = 0, stop: int | None = None, threads: int = 1) -> Mutations:
        """The substitutions that turn the wild type into rows [start, stop).

        Parameters
        ----------
        start, stop : int
            Range of rows; by default all.
        threads : int
            Threads to use; the result does not depend on it.

        Returns
        -------
        Mutations

        Raises
        ------
        GeneqError
            If rows are not one wild type with substitutions, or the table does not fit into memory.
        """
        raise GeneqError(
            "Only libraries of substitutions in one wild type have a sparse form",
            value=self.kind,
            fix="Use tokens(), one_hot() or stream()",
        )

    def design(self, start: int = 0, stop: int | None = None) -> pd.DataFrame:
        """What each of rows [start, stop) was designed to be.

        Parameters
        ----------
        start, stop : int
            Range of rows; by default all.

        Returns
        -------
        pandas.DataFrame
            One line per row.

        Raises
        ------
        GeneqError
            If this type of library has no design, or the table does not fit into memory.
        """
        raise GeneqError("Libraries of this type have no design table", value=self.kind)

    @property
    def has_design(self) -> bool:
        """Whether libraries of this type have a design table."""
        return type(self).design is not Library.design

    # --- rows ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.n_rows

    def __getstate__(self) -> dict:
        """The recipe alone: a copy in another process is compiled again there."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def tokens(self, start: int = 0, stop: int | None = None, threads: int = 1) -> np.ndarray:
        """Tokens of rows [start, stop).

        Parameters
        ----------
        start, stop : int
            Range of rows; by default all.
        threads : int
            Threads to use; the result does not depend on it.

        Returns
        -------
        uint8[rows, length]

        Raises
        ------
        GeneqError
            If they do not fit into memory.
        """
        start, stop = self._range(start, stop, threads)
        self._check_memory(stop - start, 1)
        return self._tokens(start, stop, threads)

    def _tokens(
        self, start: int, stop: int, threads: int, dropped: Event | None = None
    ) -> np.ndarray:
        """Tokens of rows [start, stop); incomplete if `dropped` is set, which stops the work."""
        out = np.empty((stop - start, self.length), np.uint8)
        for a, b in pieces(start, stop, self.length, threads):
            if dropped and dropped.is_set():
                break
            self._fill(a, b, out[a - start : b - start], threads)
        return out

    def one_hot(
        self,
        dtype: DType = "uint8",
        layout: AxisOrder = "nlc",
        out: np.ndarray | None = None,
        start: int = 0,
        stop: int | None = None,
        threads: int = 1,
    ) -> np.ndarray:
        """One-hot of rows [start, stop).

        The unknown symbol is all zero. Diploid genotypes are two-hot: counts of A, C, G, T.

        Parameters
        ----------
        dtype : {"uint8", "float16", "float32"}
        layout : {"nlc", "ncl"}
            "nlc" gives [rows, length, symbols], "ncl" [rows, symbols, length].
        out : ndarray, optional
            A C-contiguous array of that dtype and shape, which is filled and returned.
        start, stop : int
            Range of rows; by default all.
        threads : int
            Threads to use; the result does not depend on it.

        Returns
        -------
        ndarray of `dtype`

        Raises
        ------
        GeneqError
            If `out` has another shape or dtype, or the array does not fit into memory.
        """
        start, stop = self._range(start, stop, threads)
        columns = _ext.alphabet(self.alphabet)[2]
        axes = {"nlc": (self.length, columns), "ncl": (columns, self.length)}
        if layout not in tuple(axes):
            raise GeneqError("layout must be nlc or ncl", value=str(layout))
        if dtype not in ("uint8", "float16", "float32"):
            raise GeneqError("dtype must be uint8, float16 or float32", value=str(dtype))
        shape = (stop - start, *axes[layout])
        if out is None:
            self._check_memory(stop - start, columns * np.dtype(dtype).itemsize)
            out = np.empty(shape, dtype)
        else:
            check_buffer(out, shape, dtype)
        for a, b in pieces(start, stop, self.length, threads):
            self._fill_one_hot(a, b, layout, out[a - start : b - start], threads)
        return out

    def stream(
        self,
        batch: int | None = None,
        start: int = 0,
        stop: int | None = None,
        threads: int = 1,
        ahead: int = 2,
    ) -> Iterator[np.ndarray]:
        """Tokens of rows [start, stop) in batches, in order.

        A stream may be abandoned at any time.

        Parameters
        ----------
        batch : int, optional
            Rows per batch; by default about 8 MB.
        start, stop : int
            Range of rows; by default all.
        threads : int
            Threads to use; the result does not depend on it.
        ahead : int
            Batches that are made in the background before they are requested. At most these and
            the current one are in memory.

        Returns
        -------
        Iterator of uint8[rows, length]

        Raises
        ------
        GeneqError
            If these batches do not fit into memory.
        """
        start, stop = self._range(start, stop, threads)
        batch = max(1, BATCH // max(1, self.length)) if batch is None else batch
        check_int(batch, "batch", 1)
        check_int(ahead, "ahead", 1)
        self._check_memory(min(batch, stop - start) * (ahead + 1), 1)
        starts = range(start, stop, batch)
        return self._stream(starts, batch, stop, threads, ahead)

    def _stream(
        self, starts: range, batch: int, stop: int, threads: int, ahead: int
    ) -> Iterator[np.ndarray]:
        dropped = Event()

        def make(start: int) -> np.ndarray:
            return self._tokens(start, min(start + batch, stop), threads, dropped)

        pool = ThreadPoolExecutor(1, "library")
        try:
            pending = deque(pool.submit(make, start) for start in starts[:ahead])
            for start in starts[ahead:]:
                done = pending.popleft().result()
                pending.append(pool.submit(make, start))
                yield done
                del done
            while pending:
                yield pending.popleft().result()
        finally:
            dropped.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _range(self, start: int, stop: int | None, threads: int = 1) -> tuple[int, int]:
        check_int(threads, "threads", 1, MOST_THREADS)
        stop = self.n_rows if stop is None else check_int(stop, "stop", 0)
        if not check_int(start, "start", 0) <= stop <= self.n_rows:
            raise GeneqError(
                f"The library has rows 0 to {self.n_rows}", value=f"rows {start} to {stop}"
            )
        return start, stop

    def _check_memory(self, rows: int, bytes_a_symbol: int) -> None:
        check_memory(
            rows * self.length * bytes_a_symbol,
            f"{rows:,} rows of {self.length:,} symbols are",
            "Use stream() to get it in batches, or start and stop to get a part of it",
        )

    def write(
        self,
        path: str | Path,
        batch: int | None = None,
        threads: int = 1,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """Write the library to a file, and its recipe to `<path>.recipe.json`.

        Both files get their names only when they are complete. `open_library` reads them back.

        Parameters
        ----------
        path : str or Path
            The suffix sets the format: .fa or .fasta (with .gz: bgzip) is FASTA; .parquet a table
            with the sequences; .packed.parquet a table with tokens in as few bits as the alphabet
            needs.
        batch : int, optional
            Rows that are made and written at a time, in parquet a row group; by default as many as
            are about 8 MB of tokens, at most 16 MB or 65,536 rows.
        threads : int
            Threads to use; the file does not depend on it.
        progress : callable, optional
            Called after every batch with the number of its rows.

        Raises
        ------
        GeneqError
            If the suffix is unknown, the file cannot be written, or a column of the design has a
            name that is reserved for the file.
        OSError
            If the disk is full.
        """
        write_library(self, path, batch, threads, progress)

    # --- recipe -------------------------------------------------------------------------------

    def to_json(self) -> str:
        """The recipe as a JSON object: format, version, kind (the type), and the class's fields."""
        return json.dumps(
            {"format": FORMAT, "version": VERSION, "kind": self.kind, **asdict(self)}, indent=1
        )

    @staticmethod
    def from_json(text: str | bytes) -> "Library":
        """Make the library from a recipe that `to_json` wrote.

        Raises
        ------
        GeneqError
            If `text` is not such a recipe, or one of another format version.
        """
        try:
            recipe = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise GeneqError("The recipe is not JSON", value=str(error)) from None
        recipe = dict(check_format(recipe, "a recipe", FORMAT, VERSION))
        del recipe["format"], recipe["version"]
        kind = recipe.pop("kind", None)
        if not isinstance(kind, str) or kind not in Library.kinds:
            raise GeneqError("Unknown type of library", value=str(kind), fix=choices(Library.kinds))
        return Library.kinds[kind]._from_fields(recipe)

    @classmethod
    def _from_fields(cls, recipe: dict) -> "Library":
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(recipe) - known)
        if unknown:
            raise GeneqError(f"Unknown field of a {cls.kind} recipe", value=", ".join(unknown),
                             fix=choices(known))  # fmt: skip
        try:
            return cls(**recipe)
        except TypeError as error:
            raise GeneqError(f"The {cls.kind} recipe is incomplete", value=str(error)) from None

    def __repr__(self) -> str:
        changed = (
            f"{field.name}={short(getattr(self, field.name))}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        )
        return f"{type(self).__name__}({', '.join(changed)})"


class Compiled(Library):
    """Rows from the extension: subclasses define `_compiled`, the recipe as compiled there."""

    @cached_property
    def _compiled(self) -> "_ext.Library":
        raise NotImplementedError

    @property
    def n_rows(self) -> int:
        return self._compiled.rows

    @property
    def length(self) -> int:
        return self._compiled.length

    def _fill(self, start: int, stop: int, out: np.ndarray, threads: int) -> None:
        self._compiled.tokens(start, stop - start, out, threads)

    def _fill_one_hot(
        self, start: int, stop: int, layout: AxisOrder, out: np.ndarray, threads: int
    ) -> None:
        self._compiled.one_hot(start, stop - start, out.dtype.name, layout, as_bits(out), threads)


class Sparse(Compiled):
    """A compiled library of substitutions in one wild type."""

    def mutations(self, start: int = 0, stop: int | None = None, threads: int = 1) -> Mutations:
        start, stop = self._range(start, stop, threads)
        parts, size = [self._compiled.mutations(start, start)], 0
        for a, b in pieces(start, stop, self.length, threads):
            parts.append(self._compiled.mutations(a, b, threads))
            size += sum(column.nbytes for column in parts[-1])
            # The parts and their concatenation, at the rate per row so far.
            check_memory(
                2 * (stop - start) * size // (b - start) - size,
                f"The substitutions of {stop - start:,} rows take about",
                "Use start and stop to get a part of them",
            )
        return Mutations(*map(np.concatenate, zip(*parts, strict=True)))


# --- checks -----------------------------------------------------------------------------------


def checked_sequence(text: str, alphabet: str, name: str) -> str:
    """`text` in upper case. Raises GeneqError if it is empty or has an unknown character."""
    if not isinstance(text, str) or not text:
        raise GeneqError(f"{name} must be a sequence", value=short(text))
    try:
        tokens = _ext.tokens(text.encode(), alphabet)
    except ValueError as error:
        raise GeneqError(f"{name} has a character that is not in the alphabet {alphabet}",
                         value=str(error)) from None  # fmt: skip
    if len(tokens) < len(text):
        raise GeneqError(
            f"{name} must be one line", value=short(text), fix="Remove the line breaks"
        )
    return text.upper()


def encoded(text: str, alphabet: str) -> np.ndarray:
    """Tokens uint8[symbols] of a checked sequence."""
    return _ext.tokens(text.encode(), alphabet)


def checked_windows(
    windows: Sequence[Sequence[int]] | None, sequence: str, alphabet: str
) -> tuple[tuple[int, int], ...] | None:
    """Windows [start, end), sorted; None means the complete sequence.

    Raises GeneqError if they are empty, outside the sequence, overlap, or contain an unknown
    symbol.
    """
    if windows is not None:
        parts = check_list(windows, "windows")
        windows = tuple(sorted(_window(window, len(sequence)) for window in parts))
        for (_, end), (start, _) in pairwise(windows):
            if start < end:
                raise GeneqError("Windows must not overlap", value=windows)
    tokens = encoded(sequence, alphabet)
    positions = window_positions(windows, len(sequence))
    if not len(positions):
        raise GeneqError("There must be at least one window", value=windows)
    bad = positions[tokens[positions] == len(_ext.alphabet(alphabet)[0])]
    if len(bad):
        raise GeneqError(
            "Windows to mutate must not contain unknown symbols",
            value=f"{sequence[bad[0]]} at position {bad[0]} (0-based), and {len(bad) - 1} more",
            fix="Exclude it from the windows, or replace it by a known symbol",
        )
    return windows


def checked_window(window: Sequence[int], sequence: str, alphabet: str) -> tuple[int, int]:
    """One window, checked as `checked_windows` does."""
    checked = _window(window, len(sequence))
    checked_windows((checked,), sequence, alphabet)
    return checked


def _window(window: Sequence[int], length: int) -> tuple[int, int]:
    window = check_list(window, "A window")
    if len(window) != 2:
        raise GeneqError("A window must be a start and an end", value=short(window))
    start, end = (check_int(value, "The edge of a window", -(2**62)) for value in window)
    if not 0 <= start < end <= length:
        raise GeneqError(
            f"A window [start, end) must be within the {length} symbols of the sequence, not empty",
            value=f"[{start}, {end})",
        )
    return start, end


def window_positions(windows: Sequence[Sequence[int]] | None, length: int) -> np.ndarray:
    """uint32: the positions in the windows, ascending; all positions if windows is None."""
    if windows is None:
        return np.arange(length, dtype=np.uint32)
    parts = [np.arange(start, end, dtype=np.uint32) for start, end in windows]
    return np.concatenate([np.empty(0, np.uint32), *parts])


def compiled(make: Callable[..., Made], *args) -> Made:
    """`make(*args)` from the extension; its ValueErrors become GeneqError."""
    try:
        return make(*args)
    except (ValueError, OverflowError) as error:
        raise GeneqError("No library can be made from this recipe", value=str(error)) from None


# --- small things -----------------------------------------------------------------------------


def pieces(start: int, stop: int, length: int, threads: int) -> Iterator[tuple[int, int]]:
    """[start, stop) in pieces of about CHUNK symbols per thread; Ctrl-C takes effect in between."""
    step = max(1, CHUNK * threads // max(1, length))
    for a in range(start, stop, step):
        yield a, min(a + step, stop)


def as_bits(out: np.ndarray) -> np.ndarray:
    """`out` as the extension expects it: float16 as its bits, uint16."""
    return out.view(np.uint16) if out.dtype == np.float16 else out

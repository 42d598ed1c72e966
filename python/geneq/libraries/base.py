"""What every library offers: rows as tokens or one-hot, in memory or as a stream, and a recipe."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd

from .. import _ext
from ..checks import check_buffer, check_format, check_int, check_list, check_memory, choices, short
from ..errors import GeneqError

FORMAT, VERSION = "geneq-recipe", 1
# Symbols that a thread makes without a look at the signals (the slowest recipes make 30 million a
# second), and symbols of a batch where the user names none.
CHUNK = 1 << 24
BATCH = 1 << 23
# More threads than any machine has cores: where a system gives no more, to ask for them is fatal.
MOST_THREADS = 1024
# Symbols of a sequence that a recipe shows when it prints itself.
SHOWN = 20

DType = Literal["uint8", "float16", "float32"]
AxisOrder = Literal["nlc", "ncl"]


class Mutations(NamedTuple):
    """Substitutions of a library, by row and position.

    row: int64[m]. position: int32[m], 0-based in the sequence. symbol: uint8[m], the new token.
    """

    row: np.ndarray
    position: np.ndarray
    symbol: np.ndarray


@dataclass(frozen=True, kw_only=True, repr=False)
class Library:
    """A mutagenesis library as its recipe: rows are made when they are asked for.

    The same recipe gives the same rows, whatever the threads, the batches and the machine.

    alphabet: "dna", "rna", "protein", "diploid", or "symbols:" and symbols. seed: 0 to 2^64 - 1.
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

    # --- what a kind of library gives ---------------------------------------------------------

    @property
    def n_rows(self) -> int:
        """Sequences in the library."""
        raise NotImplementedError

    @property
    def length(self) -> int:
        """Symbols of every sequence."""
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
        """The substitutions that make rows [start, stop) from the wild type.

        Raises GeneqError where rows are more than a wild type with substitutions.
        """
        raise GeneqError(
            "Only libraries of substitutions in one wild type have a sparse form",
            value=self.kind,
            fix="Use tokens(), one_hot() or stream()",
        )

    def design(self, start: int = 0, stop: int | None = None) -> pd.DataFrame:
        """What each of rows [start, stop) was designed to be, one line a row.

        Raises GeneqError where rows are random or follow from their number.
        """
        raise GeneqError("Libraries of this kind have no design table", value=self.kind)

    # --- rows ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.n_rows

    def __getstate__(self) -> dict:
        """The recipe alone: a copy in another process makes itself ready anew."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def tokens(self, start: int = 0, stop: int | None = None, threads: int = 1) -> np.ndarray:
        """Tokens uint8[rows, length] of rows [start, stop), by default of all.

        Raises GeneqError when they do not fit into memory.
        """
        start, stop = self._range(start, stop, threads)
        self._check_memory(stop - start, 1)
        return self._tokens(start, stop, threads)

    def _tokens(
        self, start: int, stop: int, threads: int, dropped: Event | None = None
    ) -> np.ndarray:
        """Tokens of rows [start, stop); unfinished when `dropped` says that nobody wants them."""
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

        layout: "nlc" is [rows, length, symbols], "ncl" [rows, symbols, length].
        `out`, of that dtype and shape, is filled and returned when given. The unknown symbol is
        all zero. Diploid genotypes are two-hot: counts of A, C, G, T. Raises GeneqError for another
        shape or dtype, and for what does not fit into memory.
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
        """Tokens of rows [start, stop) as batches uint8[rows, length], in order.

        batch: rows of a batch (by default about 8 MB). ahead: batches that are made in the
        background before they are asked for; no more than these and the one in hand are in
        memory. The stream may be dropped at any time.
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
            "Take it batch by batch with stream(), or a part of it with start and stop",
        )

    def write(
        self,
        path: str | Path,
        batch: int | None = None,
        threads: int = 1,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """Write the library to a file, and its recipe to `<path>.recipe.json`.

        .fa, .fasta (and these with .gz: bgzip): FASTA. .parquet: a table with the sequences.
        .packed.parquet: a table with tokens in as few bits as the alphabet needs. See
        `geneq.libraries.files`: write_library for the rest, open_library to read it back.
        """
        from .files import write_library

        write_library(self, path, batch, threads, progress)

    # --- recipe -------------------------------------------------------------------------------

    def to_json(self) -> str:
        """The recipe as a JSON object: format, version, kind, and the fields of the class."""
        return json.dumps(
            {"format": FORMAT, "version": VERSION, "kind": self.kind, **asdict(self)}, indent=1
        )

    @staticmethod
    def from_json(text: str | bytes) -> "Library":
        """The library of a recipe that `to_json` wrote. Raises GeneqError for anything else."""
        try:
            recipe = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise GeneqError("The recipe is no JSON", value=str(error)) from None
        recipe = dict(check_format(recipe, "a recipe", FORMAT, VERSION))
        del recipe["format"], recipe["version"]
        kind = recipe.pop("kind", None)
        if not isinstance(kind, str) or kind not in Library.kinds:
            raise GeneqError("Unknown kind of library", value=str(kind), fix=choices(Library.kinds))
        return Library.kinds[kind]._from_fields(recipe)

    @classmethod
    def _from_fields(cls, recipe: dict) -> "Library":
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(recipe) - known)
        if unknown:
            raise GeneqError(f"A {cls.kind} recipe has no such field", value=", ".join(unknown),
                             fix=choices(known))  # fmt: skip
        try:
            return cls(**recipe)
        except TypeError as error:
            raise GeneqError(f"The {cls.kind} recipe is not complete", value=str(error)) from None

    def __repr__(self) -> str:
        changed = (
            f"{field.name}={short(getattr(self, field.name))}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        )
        return f"{type(self).__name__}({', '.join(changed)})"


class Compiled:
    """Rows from the extension: a kind of library gives `_compiled`, the recipe made ready there."""

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
            # Together and in parts, as many a row as so far.
            check_memory(
                2 * (stop - start) * size // (b - start) - size,
                f"The substitutions of {stop - start:,} rows take about",
                "Take a part of them with start and stop",
            )
        return Mutations(*map(np.concatenate, zip(*parts, strict=True)))


# --- checks -----------------------------------------------------------------------------------


def checked_sequence(text: str, alphabet: str, name: str) -> str:
    """`text` in upper case. Raises GeneqError when it is empty or has a symbol of no meaning."""
    if not isinstance(text, str) or not text:
        raise GeneqError(f"{name} must be a sequence", value=short(text))
    try:
        tokens = _ext.tokens(text.encode(), alphabet)
    except ValueError as error:
        raise GeneqError(f"{name} is not written in the alphabet {alphabet}",
                         value=str(error)) from None  # fmt: skip
    if len(tokens) < len(text):
        raise GeneqError(f"{name} must be one line", value=short(text), fix="Remove line ends")
    return text.upper()


def encoded(text: str, alphabet: str) -> np.ndarray:
    """Tokens uint8[symbols] of a checked sequence."""
    return _ext.tokens(text.encode(), alphabet)


def checked_windows(
    windows: Sequence[Sequence[int]] | None, sequence: str, alphabet: str
) -> tuple[tuple[int, int], ...] | None:
    """Windows [start, end) as given, in the order of the sequence; None stands for all of it.

    Raises GeneqError when they are empty, lie outside, overlap, or hold an unknown symbol.
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
            "A window to mutate holds an unknown symbol",
            value=f"{sequence[bad[0]]} at position {bad[0]} (0-based), and {len(bad) - 1} more",
            fix="Leave it out of the windows, or put a symbol there",
        )
    return windows


def _window(window: Sequence[int], length: int) -> tuple[int, int]:
    window = check_list(window, "A window")
    if len(window) != 2:
        raise GeneqError("A window is a start and an end", value=short(window))
    start, end = (check_int(value, "The edge of a window", -(2**62)) for value in window)
    if not 0 <= start < end <= length:
        raise GeneqError(
            f"A window [start, end) must lie in the sequence's {length} symbols, not be empty",
            value=f"[{start}, {end})",
        )
    return start, end


def window_positions(windows: tuple[tuple[int, int], ...] | None, length: int) -> np.ndarray:
    """uint32: the positions in the windows, rising; all when there are none."""
    if windows is None:
        return np.arange(length, dtype=np.uint32)
    parts = [np.arange(start, end, dtype=np.uint32) for start, end in windows]
    return np.concatenate([np.empty(0, np.uint32), *parts])


def compiled(make, *args) -> "_ext.Library":
    """`make(*args)`, which is of the extension; what it refuses becomes GeneqError."""
    try:
        return make(*args)
    except (ValueError, OverflowError) as error:
        raise GeneqError("No library can be made from this recipe", value=str(error)) from None


# --- small things -----------------------------------------------------------------------------


def pieces(start: int, stop: int, length: int, threads: int) -> Iterator[tuple[int, int]]:
    """[start, stop) in pieces of about CHUNK symbols a thread: between them, Ctrl-C is heard."""
    step = max(1, CHUNK * threads // max(1, length))
    for a in range(start, stop, step):
        yield a, min(a + step, stop)


def as_bits(out: np.ndarray) -> np.ndarray:
    """`out` as the extension takes it: float16 as its bits, uint16."""
    return out.view(np.uint16) if out.dtype == np.float16 else out

"""Libraries that enumerate mutations: saturation, combinatorial, pairwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from .. import _ext
from ..checks import check_bool, check_int, check_memory
from ..errors import GeneqError
from .base import (
    Compiled,
    Mutations,
    Sparse,
    checked_sequence,
    checked_window,
    checked_windows,
    compiled,
    encoded,
    window_positions,
)

# Memory per line of a design table, and per row of a sample.
BYTES_OF_AN_EDIT = 500
BYTES_OF_A_RANK = 40


@dataclass(frozen=True, repr=False)
class SaturationLibrary(Compiled):
    """Every single edit of a wild type, one per row.

    Rows: the wild type if requested; the substitutions by position and symbol; the deletions of
    1, 2… `deletions` symbols by position; the insertions of 1, 2… `insertions` symbols before a
    position, by position and symbols. Every row is as long as the wild type. Two edits can give the
    same sequence (a deletion in a homopolymer, for example); each has its own row.

    Parameters
    ----------
    wild_type : str
        Symbols in upper or lower case.
    substitutions : bool
        Whether to include every substitution.
    deletions, insertions : int
        Longest deletion and insertion, in symbols.
    windows : sequence of (int, int), optional
        Windows [start, end) in which to mutate, 0-based; by default the complete sequence.
        Deletions are entirely within a window.
    left_flank, right_flank : str
        Sequence that enters at that end when a deletion shortens the row; beyond a flank the
        unknown symbol enters.
    keep : {"left", "right"}
        The side of an indel that stays in place. With "left" the sequence to its right is shifted,
        then trimmed or filled from right_flank; "right" is the mirror image.
    include_wild_type : bool
        Whether row 0 is the wild type.

    Raises
    ------
    GeneqError
        If an argument breaks a rule above, or the library would be empty.
    """

    kind: ClassVar[str] = "saturation"
    wild_type: str
    substitutions: bool = True
    deletions: int = 0
    insertions: int = 0
    windows: Sequence[Sequence[int]] | None = None
    left_flank: str = ""
    right_flank: str = ""
    keep: Literal["left", "right"] = "left"
    include_wild_type: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        wild_type = checked_sequence(self.wild_type, self.alphabet, "wild_type")
        most = len(wild_type)
        checked = {
            "wild_type": wild_type,
            "substitutions": check_bool(self.substitutions, "substitutions"),
            "deletions": check_int(self.deletions, "deletions", 0, most),
            "insertions": check_int(self.insertions, "insertions", 0, most),
            "windows": checked_windows(self.windows, wild_type, self.alphabet),
            "left_flank": self._flank("left_flank"),
            "right_flank": self._flank("right_flank"),
            "include_wild_type": check_bool(self.include_wild_type, "include_wild_type"),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.keep not in ("left", "right"):
            raise GeneqError("keep must be left or right", value=str(self.keep))
        if self.n_rows == 0:
            raise GeneqError("The recipe has no rows: no edit and no wild type is requested")

    def _flank(self, name: str) -> str:
        text = getattr(self, name)
        return text if text == "" else checked_sequence(text, self.alphabet, name)

    @cached_property
    def _compiled(self) -> _ext.Library:
        return compiled(
            _ext.Library.saturation,
            encoded(self.wild_type, self.alphabet),
            window_positions(self.windows, len(self.wild_type)),
            self.alphabet,
            self.substitutions,
            self.deletions,
            self.insertions,
            encoded(self.left_flank, self.alphabet),
            encoded(self.right_flank, self.alphabet),
            self.keep,
            self.include_wild_type,
        )

    def mutations(self, start: int = 0, stop: int | None = None, threads: int = 1) -> Mutations:
        start, stop = self._range(start, stop, threads)
        if self.deletions or self.insertions:
            return super().mutations()
        edits = self._compiled.edits(start, stop)
        changed = [(row, *edit) for row, edit in enumerate(edits, start) if edit]
        row, position, _, symbols = zip(*changed, strict=True) if changed else ((),) * 4
        return Mutations(
            np.array(row, np.int64),
            np.array(position, np.int32),
            np.array([symbol for (symbol,) in symbols], np.uint8),
        )

    def design(self, start: int = 0, stop: int | None = None) -> pd.DataFrame:
        """The edit of each of rows [start, stop).

        Returns
        -------
        pandas.DataFrame
            edit (wild type, substitution, deletion, insertion), position (0-based; -1 for the wild
            type), deleted and inserted symbols.

        Raises
        ------
        GeneqError
            If the table does not fit into memory.
        """
        start, stop = self._range(start, stop)
        check_memory(
            (stop - start) * BYTES_OF_AN_EDIT,
            f"The table of {stop - start:,} edits takes",
            "Use start and stop to get a part of it",
        )
        symbols = _ext.alphabet(self.alphabet)[0]
        rows = []
        for edit in self._compiled.edits(start, stop):
            position, deleted, inserted = edit or (-1, 0, [])
            cut = self.wild_type[position : position + deleted] if edit else ""
            put = "".join(symbols[token] for token in inserted)
            rows.append((_edit(cut, put), position, cut, put))
        return pd.DataFrame(rows, columns=["edit", "position", "deleted", "inserted"])


def _edit(deleted: str, inserted: str) -> str:
    names = {
        (False, False): "wild type",
        (True, True): "substitution",
        (True, False): "deletion",
        (False, True): "insertion",
    }
    return names[bool(deleted), bool(inserted)]


@dataclass(frozen=True, repr=False)
class CombinatorialLibrary(Sparse):
    """Every combination of `min_order` to `order` substitutions, or a sample of them.

    Rows are ordered by the number of substitutions, then by positions (as in
    itertools.combinations), then by symbols (as in itertools.product); with min_order 0 row 0 is
    the wild type.

    Parameters
    ----------
    wild_type : str
        Symbols in upper or lower case.
    order, min_order : int
        Most and fewest substitutions of a row.
    n : int, optional
        Sample size: rows drawn uniformly without replacement from all `total`, in the same order.
    windows : sequence of (int, int), optional
        Windows [start, end) in which to mutate, 0-based; by default the complete sequence.

    Raises
    ------
    GeneqError
        If an argument breaks a rule above, or there are too many combinations.
    """

    kind: ClassVar[str] = "combinatorial"
    wild_type: str
    order: int
    min_order: int = 0
    n: int | None = None
    windows: Sequence[Sequence[int]] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        wild_type = checked_sequence(self.wild_type, self.alphabet, "wild_type")
        windows = checked_windows(self.windows, wild_type, self.alphabet)
        positions = len(window_positions(windows, len(wild_type)))
        order = check_int(self.order, "order", 0)
        if order > positions:
            raise GeneqError(
                "order must not exceed the number of positions in the windows",
                value=f"{order} of {positions}",
            )
        checked = {
            "wild_type": wild_type,
            "windows": windows,
            "order": order,
            "min_order": check_int(self.min_order, "min_order", 0, order),
            "n": None if self.n is None else check_int(self.n, "n", 1),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.n is not None:
            check_memory(
                self.n * BYTES_OF_A_RANK,
                f"A sample of {self.n:,} rows takes",
                "Ask for fewer rows, or for all combinations",
            )
        _ = self._compiled

    @property
    def total(self) -> int:
        """Number of combinations, sampled or not."""
        positions = len(window_positions(self.windows, len(self.wild_type)))
        others = len(_ext.alphabet(self.alphabet)[0]) - 1
        orders = range(self.min_order, self.order + 1)
        return sum(comb(positions, size) * others**size for size in orders)

    @cached_property
    def _compiled(self) -> _ext.Library:
        return compiled(
            _ext.Library.combinations,
            encoded(self.wild_type, self.alphabet),
            window_positions(self.windows, len(self.wild_type)),
            self.alphabet,
            self.min_order,
            self.order,
            self.n,
            self.seed,
        )


@dataclass(frozen=True, repr=False)
class PairwiseLibrary(Sparse):
    """Every pair of substitutions, one in each of two windows (two elements, for example).

    Rows: the wild type; with `singles` every substitution in the first window, then in the second;
    then the pairs, by position and symbol in the first window, then in the second. For pairs within
    one window use CombinatorialLibrary(order=2, windows=[window]).

    Parameters
    ----------
    wild_type : str
        Symbols in upper or lower case.
    first, second : (int, int)
        Windows [start, end), 0-based, that do not overlap.
    singles : bool
        Whether to include the single substitutions of both windows.

    Raises
    ------
    GeneqError
        If an argument breaks a rule above.
    """

    kind: ClassVar[str] = "pairwise"
    wild_type: str
    first: Sequence[int]
    second: Sequence[int]
    singles: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        wild_type = checked_sequence(self.wild_type, self.alphabet, "wild_type")
        object.__setattr__(self, "wild_type", wild_type)
        checked_windows((self.first, self.second), wild_type, self.alphabet)
        for name in ("first", "second"):
            window = checked_window(getattr(self, name), wild_type, self.alphabet)
            object.__setattr__(self, name, window)
        object.__setattr__(self, "singles", check_bool(self.singles, "singles"))
        _ = self._compiled

    @property
    def windows(self) -> tuple[Sequence[int], Sequence[int]]:
        """Both windows."""
        return self.first, self.second

    @cached_property
    def _compiled(self) -> _ext.Library:
        first, second = (window_positions((w,), 0) for w in (self.first, self.second))
        return compiled(
            _ext.Library.pairs,
            encoded(self.wild_type, self.alphabet),
            first,
            second,
            self.alphabet,
            self.singles,
        )

"""Designed libraries: elements and motifs embedded in generated backgrounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from .. import _ext
from ..checks import check_bool, check_int, check_list, check_memory, check_numbers, choices
from ..errors import GeneqError
from .base import Compiled, Library, checked_sequence, compiled, encoded, window_positions
from .motifs import (
    MOST_SYMBOLS,
    Motif,
    Points,
    checked_motifs,
    design_points,
    distinct,
    symbol_sets,
)
from .random import RandomLibrary

BACKGROUNDS = ("random", "shuffle", "given")
# Default number of backgrounds of a factorial design.
DRAWN = 50
# Approximate bytes of a motif in a row of the design table.
CELL = 16


@dataclass(frozen=True, kw_only=True, repr=False)
class InBackground(Library):
    """Where the backgrounds of a library come from.

    Parameters
    ----------
    background : {"random", "shuffle", "given"}
        "random": symbols drawn independently. "shuffle": the sources, shuffled such that all k-mer
        counts are kept, each such order being equally probable (the first and the last k - 1
        symbols stay in place; the unknown symbol counts as any other). "given": the sources as they
        are.
    sources : sequence of str, optional
        Sequences as long as the library's, used in turn.
    k : int
        Length of the words whose counts a shuffle keeps: 2 for dinucleotides, 1 for symbols.
    composition : mapping or sequence of float, optional
        Weights of random symbols, {symbol: weight} or in the order of the alphabet (exact to
        2^-32); by default uniform.
    """

    background: Literal["random", "shuffle", "given"] = "random"
    sources: Sequence[str] | None = None
    k: int = 2
    composition: Mapping[str, float] | Sequence[float] | None = None

    def _check_background(self) -> None:
        """Check the fields above; `_check_lengths` checks lengths."""
        if self.background not in BACKGROUNDS:
            raise GeneqError("Unknown background", value=str(self.background),
                             fix=choices(BACKGROUNDS))  # fmt: skip
        if self.background == "random" and self.sources is not None:
            raise GeneqError("Random backgrounds have no sources",
                             fix="Set background to shuffle or given")  # fmt: skip
        if self.background != "random" and self.composition is not None:
            raise GeneqError("Only random backgrounds have a composition", value=self.background)
        checked = {
            "sources": self._checked_sources(),
            "k": check_int(self.k, "k", 1),
            "composition": _composition(self.composition, self.alphabet),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def _checked_sources(self) -> tuple[str, ...] | None:
        if self.sources is None:
            return None
        one = isinstance(self.sources, str)
        sources = (self.sources,) if one else check_list(self.sources, "sources")
        if not sources:
            raise GeneqError("There must be at least one source")
        return tuple(
            checked_sequence(source, self.alphabet, f"sources[{index}]")
            for index, source in enumerate(sources)
        )

    def _check_lengths(self, length: int) -> None:
        for index, source in enumerate(self.sources or ()):
            if len(source) != length:
                raise GeneqError(
                    f"Sources must have {length} symbols, as the rows of the library",
                    value=f"sources[{index}] has {len(source)}",
                )

    def _drawn(self, sources: Sequence[str], positions: slice | np.ndarray) -> _ext.Background:
        """The backgrounds as the extension expects them, from these positions of the sources."""
        if self.background == "random":
            weights = None if self.composition is None else np.array(self.composition)
            return compiled(_ext.Background.random, self.alphabet, weights)
        tokens = np.array([encoded(source, self.alphabet)[positions] for source in sources])
        if self.background == "given":
            return compiled(_ext.Background.given, tokens, self.alphabet)
        return compiled(_ext.Background.shuffled, tokens, self.k, self.alphabet)


def _composition(weights, alphabet: str) -> tuple[float, ...] | None:
    """Weights in the order of the alphabet."""
    if not isinstance(weights, Mapping):
        return None if weights is None else check_numbers(weights, "composition")
    symbols = _ext.alphabet(alphabet)[0]
    unknown = sorted(set(map(str, weights)) - set(symbols))
    if unknown:
        raise GeneqError("composition has a symbol that is not in the alphabet",
                         value=", ".join(unknown))  # fmt: skip
    return check_numbers([weights.get(symbol, 0) for symbol in symbols], "composition")


@dataclass(frozen=True, repr=False)
class GlobalLibrary(InBackground, RandomLibrary):
    """An element mutated in its windows, in a new background for every row.

    The windows contain the same as in the RandomLibrary with the same fields. Everything outside
    of them, including the gap between two windows, is background, also where the wild type has an
    unknown symbol. To a surrogate of the element the background is noise; `mutations()` returns the
    substitutions in the windows only (positions refer to the complete sequence).

    Shuffled backgrounds are made from the wild type if no sources are given. The symbols outside of
    the windows are joined and then shuffled, so that none is fixed at the edge of a window. Given
    backgrounds are used in turn: row i is in sources[i % len(sources)].

    Parameters
    ----------
    include_wild_type : bool
        Whether the windows of row 0 are unmutated; its background is random like the others.
    unique : bool
        Whether rows whose windows repeat those of an earlier row are drawn again.
    **others
        Those of RandomLibrary and InBackground.

    Raises
    ------
    GeneqError
        If an argument breaks a rule, or nothing is outside of the windows.

    References
    ----------
    This is the context-agnostic mode of SQUID: Seitz et al. 2024, "Interpreting cis-regulatory
    mechanisms from genomic deep neural networks using surrogate models".
    """

    kind: ClassVar[str] = "global"

    def _check(self) -> None:
        super()._check()
        self._check_background()
        self._check_lengths(len(self.wild_type))
        if self.background == "given" and self.sources is None:
            raise GeneqError("These backgrounds need sources", value=self.background)
        if not len(self._outside()):
            raise GeneqError(
                "The windows cover the complete sequence",
                fix="Set the windows to mutate: the sequence around them becomes background",
            )

    def _outside(self) -> np.ndarray:
        """The positions outside of the windows."""
        length = len(self.wild_type)
        return np.delete(np.arange(length), window_positions(self.windows, length))

    @cached_property
    def _compiled(self) -> _ext.Library:
        background = self._drawn(self.sources or (self.wild_type,), self._outside())
        return compiled(_ext.Library.in_background, self._mutated(), background)


@dataclass(frozen=True, repr=False)
class FactorialLibrary(Compiled, InBackground):
    """Motifs in backgrounds: every combination of their levels in every background.

    The levels of a motif are its sequences x positions x strands, and absent if it is optional; see
    Motif. They are combined as in itertools.product, in this order (absent, +, -); combinations
    that place the same motifs at the same positions are one design point.

    Row b * n_points + p is design point p in background b: scores.reshape(n_backgrounds, -1) has
    one line per background, and more backgrounds only add rows at the end.

    Parameters
    ----------
    motifs : sequence of Motif
    length : int, optional
        Symbols of a row; by default the length of the sources.
    n_backgrounds : int, optional
        By default 50, or all that are given. Shuffled backgrounds use the sources in turn; given
        ones must suffice.
    paired : bool
        Whether all design points share their backgrounds, so that within one background they differ
        by their motifs only (global importance analysis). Otherwise every row has its own.
    **others
        Those of InBackground.

    Raises
    ------
    GeneqError
        If an argument breaks a rule, motifs overlap or extend beyond the sequence, or there are too
        many design points.

    References
    ----------
    Koo et al. 2021, "Global importance analysis: an interpretability method to quantify importance
    of genomic features in deep neural networks".
    """

    kind: ClassVar[str] = "factorial"
    motifs: Sequence[Motif]
    length: int = None  # type: ignore[assignment]  # set on creation, as the property is elsewhere
    n_backgrounds: int | None = None
    paired: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_background()
        object.__setattr__(self, "motifs", checked_motifs(self.motifs))
        object.__setattr__(self, "length", self._checked_length())
        self._check_lengths(self.length)
        distinct(self._columns(), "Names of motifs, and the columns named for them,")
        object.__setattr__(self, "paired", check_bool(self.paired, "paired"))
        object.__setattr__(self, "n_backgrounds", self._checked_backgrounds())
        _ = self._compiled

    def _checked_length(self) -> int:
        if self.background != "random" and self.sources is None:
            raise GeneqError("These backgrounds need sources", value=self.background)
        if self.length is not None:
            return check_int(self.length, "length", 1, MOST_SYMBOLS)
        if self.sources is None:
            raise GeneqError("Random backgrounds need a length")
        return check_int(len(self.sources[0]), "length", 1, MOST_SYMBOLS)

    def _checked_backgrounds(self) -> int:
        given = len(self.sources or ())
        default = given if self.background == "given" else DRAWN
        number = default if self.n_backgrounds is None else self.n_backgrounds
        check_int(number, "n_backgrounds", 1)
        needed = number if self.paired else number * self.n_points
        if self.background == "given" and needed > given:
            raise GeneqError("There must be as many given backgrounds as are used",
                             value=f"{given} of {needed}")  # fmt: skip
        return number

    @cached_property
    def _compiled(self) -> _ext.Library:
        words = [
            [symbol_sets(text, name, self.alphabet) for name, text in motif.sequences.items()]
            for motif in self.motifs
        ]
        first = np.cumsum([0, *map(len, words[:-1])], dtype=np.int32)
        return compiled(
            _ext.Library.factorial,
            self._drawn(self.sources or (), slice(None)),
            self.length,
            list(chain.from_iterable(words)),
            self.points.start,
            2 * (first + self.points.chosen) + (self.points.side < 0),
            self.n_backgrounds,
            self.seed,
            not self.paired,
        )

    # --- the design ---------------------------------------------------------------------------

    @cached_property
    def points(self) -> Points:
        """The motifs and their places at every design point."""
        return design_points(self.motifs, self.length)

    @property
    def n_points(self) -> int:
        """Number of design points."""
        return len(self.points.start)

    def design(self, start: int = 0, stop: int | None = None) -> pd.DataFrame:
        """The design of rows [start, stop).

        Returns
        -------
        pandas.DataFrame
            One line per row. point, background: their numbers, from 0. For every motif NAME: NAME,
            whether it is present; NAME_start, 0-based; NAME_strand; NAME_spacing, symbols between
            it and the motif before it in the recipe; and NAME_sequence if it has several. For an
            absent motif start is -1, strand and sequence are empty; spacing is -1 if either of the
            two motifs is absent, and for the first motif.

        Raises
        ------
        GeneqError
            If the table does not fit into memory.
        """
        start, stop = self._range(start, stop)
        check_memory(
            (stop - start) * CELL * (1 + len(self.motifs)),
            f"The design of {stop - start:,} rows takes",
            "Use start and stop to get a part of it",
        )
        rows = np.arange(start, stop)
        background, point = np.divmod(rows, self.n_points)
        table = {"point": point, "background": background if self.paired else rows}
        for number in range(len(self.motifs)):
            table |= self._motif_table(number, point)
        return pd.DataFrame(table)

    def _motif_table(
        self, number: int, point: np.ndarray
    ) -> dict[str, np.ndarray | pd.Categorical]:
        motif, points = self.motifs[number], self.points
        start, _, chosen, side = (values[:, number][point] for values in points)
        spacing = _spacings(points, number)[point]
        strand = pd.Categorical.from_codes(side % 3, ["", "+", "-"])
        columns = [side != 0, start, strand, spacing]
        if motif.is_choice:
            columns.append(pd.Categorical.from_codes(np.where(side == 0, 0, chosen + 1),
                                                     ["", *motif.sequences]))  # fmt: skip
        return dict(zip(_names(motif), columns, strict=True))

    def _columns(self) -> list[str]:
        return ["point", "background", *(name for motif in self.motifs for name in _names(motif))]


def _names(motif: Motif) -> list[str]:
    """The columns of a motif."""
    fields = ["start", "strand", "spacing"] + ["sequence"] * motif.is_choice
    return [motif.name, *(f"{motif.name}_{field}" for field in fields)]


def _spacings(points: Points, number: int) -> np.ndarray:
    """Symbols between a motif and the one before it at every point, -1 where one is absent."""
    if number == 0:
        return np.full(len(points.start), -1, np.int32)
    (one, other), (one_end, other_end) = (v[:, number - 1 : number + 1].T for v in points[:2])
    both = (one >= 0) & (other >= 0)
    return np.where(both, np.maximum(other - one_end, one - other_end), -1).astype(np.int32)

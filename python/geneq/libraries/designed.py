"""Designed libraries: elements and motifs in backgrounds that are drawn for them."""

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
# Backgrounds of a factorial design where the user names no number.
DRAWN = 50
# Bytes of a motif in a row of the design table, about.
CELL = 16


@dataclass(frozen=True, kw_only=True, repr=False)
class InBackground:
    """Where the backgrounds of a library come from.

    background: "random", symbols drawn one by one; "shuffle", the sources shuffled so that each
    k-mer stays as frequent, all such orders equally probable (the first and the last k - 1 symbols
    stay, and the unknown symbol is one like the others); "given", the sources as they are. sources:
    sequences as long as the library's, taken in turn. k: 2 keeps dinucleotides, 1 symbols.
    composition: of random symbols, {symbol: weight} or weights in the order of the alphabet (to
    2^-32); by default all alike.
    """

    background: Literal["random", "shuffle", "given"] = "random"
    sources: Sequence[str] | None = None
    k: int = 2
    composition: Mapping[str, float] | Sequence[float] | None = None

    def _check_background(self) -> None:
        """Check the fields above; `_check_lengths` does the rest."""
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
            raise GeneqError("sources: there must be at least one")
        return tuple(
            checked_sequence(source, self.alphabet, f"sources[{index}]")
            for index, source in enumerate(sources)
        )

    def _check_lengths(self, length: int) -> None:
        for index, source in enumerate(self.sources or ()):
            if len(source) != length:
                raise GeneqError(
                    f"Sources must have {length} symbols as the rows of the library",
                    value=f"sources[{index}] has {len(source)}",
                )

    def _drawn(self, sources: Sequence[str], positions: slice | np.ndarray) -> _ext.Background:
        """The backgrounds as the extension takes them, of these positions of the sources."""
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
        raise GeneqError("composition names a symbol that the alphabet lacks",
                         value=", ".join(unknown))  # fmt: skip
    return check_numbers([weights.get(symbol, 0) for symbol in symbols], "composition")


@dataclass(frozen=True, repr=False)
class GlobalLibrary(InBackground, RandomLibrary):
    """An element mutated in its windows, while all around it is drawn anew for every row.

    Fields are those of RandomLibrary and of InBackground. The windows hold what they hold in the
    RandomLibrary of the same fields. All outside of them, the gap between two as well, is
    background, also where the wild type has an unknown symbol; it is noise to a surrogate of the
    element, and `mutations()` gives the substitutions in the windows alone (positions are those in
    the whole sequence). include_wild_type: row 0 has the windows unmutated, in a background of its
    own. unique: what the windows hold does not repeat.

    Shuffled backgrounds are those of the wild type where no sources are given. The symbols outside
    of the windows, joined, are what is shuffled, so that none stays at the edge of a window. Given
    ones are taken in turn: row i lies in sources[i % len(sources)].

    This is the context-agnostic mode of SQUID (Seitz et al. 2024, "Interpreting cis-regulatory
    mechanisms from genomic deep neural networks using surrogate models").
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
                "Nothing lies outside of the windows",
                fix="Name the windows to mutate: what is around them is drawn anew",
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
class FactorialLibrary(Compiled, InBackground, Library):
    """Motifs in backgrounds: every combination of their levels in every background.

    The levels of a motif are its sequences x places x strands, and absent where it is optional;
    see Motif. They are combined as itertools.product does, in this order (absent, +, -);
    combinations that put the same motifs at the same places are one design point. Fields for the
    backgrounds are those of InBackground.

    Row b * points + p is design point p in background b: scores.reshape(n_backgrounds, -1) has a
    line for every background, and more backgrounds only add rows at the end. All points share
    their backgrounds, so that within one the points differ by their motifs alone (global
    importance analysis: Koo et al. 2021); paired=False draws a background for every row instead.

    length: symbols of a row, by default those of the sources. n_backgrounds: by default 50, or all
    that are given. Shuffled backgrounds are of the sources in turn; given ones must suffice.
    """

    kind: ClassVar[str] = "factorial"
    motifs: Sequence[Motif]
    length: int | None = None
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
        if self.length is None and self.sources is None:
            raise GeneqError("Random backgrounds need a length")
        length = len(self.sources[0]) if self.length is None else self.length
        return check_int(length, "length", 1, MOST_SYMBOLS)

    def _checked_backgrounds(self) -> int:
        default = len(self.sources) if self.background == "given" else DRAWN
        number = default if self.n_backgrounds is None else self.n_backgrounds
        check_int(number, "n_backgrounds", 1)
        needed = number if self.paired else number * self.n_points
        if self.background == "given" and needed > len(self.sources):
            raise GeneqError("The given backgrounds must suffice",
                             value=f"{len(self.sources)} of {needed}")  # fmt: skip
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
        """What stands where at every design point."""
        return design_points(self.motifs, self.length)

    @property
    def n_points(self) -> int:
        """Design points."""
        return len(self.points.start)

    def design(self, start: int = 0, stop: int | None = None) -> pd.DataFrame:
        """What rows [start, stop) hold, one line a row.

        point, background: their numbers, from 0. For every motif, named for it: NAME, is it there;
        NAME_start, 0-based; NAME_strand; NAME_spacing, symbols between it and the motif before it
        in the recipe; and where there are sequences to choose between, NAME_sequence, which. Of a
        motif that is absent start is -1, strand and sequence are empty; spacing is -1 where either
        of the two is absent, and for the first motif.

        Raises GeneqError when the table does not fit into memory.
        """
        start, stop = self._range(start, stop)
        check_memory(
            (stop - start) * CELL * (1 + len(self.motifs)),
            f"The design of {stop - start:,} rows takes",
            "Take a part of it with start and stop",
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
    """Symbols between a motif and the one before it, -1 where one is absent: of every point."""
    if number == 0:
        return np.full(len(points.start), -1, np.int32)
    (one, other), (one_end, other_end) = (v[:, number - 1 : number + 1].T for v in points[:2])
    both = (one >= 0) & (other >= 0)
    return np.where(both, np.maximum(other - one_end, one - other_end), -1).astype(np.int32)

"""Motifs as factors of a design, and the design points that they make."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import NamedTuple

import numpy as np
import pandas as pd

from .. import _ext
from ..checks import check_bool, check_int, check_list, choices
from ..errors import GeneqError

# Combinations of levels that a design may have: they are listed in memory.
MOST_POINTS = 4_000_000
# What the extension takes are 32 bits.
MOST_SYMBOLS = 2**31 - 1
# Ambiguity codes of nucleotides.
CODES = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
         "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG"}  # fmt: skip


@dataclass(frozen=True)
class Motif:
    """A motif as a factor of a design: what it is, where it may stand and which way round.

    name: of its columns in the design. sequence: symbols in either case; the unknown symbol (N of
    DNA) leaves the background's symbol, of the other ambiguity codes of DNA and RNA one base is
    drawn for every background. {name: sequence} is a choice, each sequence a level. positions:
    starts, 0-based. spacings: instead of positions, symbols between the end of the motif before it
    in the design and its start; an absent motif keeps its place, so that the others stand where
    they stand with it. With neither the motif is centred: start = (length - symbols) // 2.
    orientations: "+", "-" (the reverse complement) or "+-". optional: one level more, absent.

    Raises GeneqError for levels that are empty, negative or occur twice.
    """

    name: str
    sequence: str | Mapping[str, str] | Sequence[tuple[str, str]]
    positions: Sequence[int] | None = None
    spacings: Sequence[int] | None = None
    orientations: str = "+"
    optional: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise GeneqError("A motif must have a name", value=repr(self.name))
        if self.orientations not in ("+", "-", "+-"):
            raise GeneqError(f"orientations of {self.name} must be +, - or +-",
                             value=str(self.orientations))  # fmt: skip
        if self.positions is not None and self.spacings is not None:
            raise GeneqError("A motif has either positions or spacings", value=self.name)
        object.__setattr__(self, "optional", check_bool(self.optional, f"optional of {self.name}"))
        object.__setattr__(self, "sequence", self._checked_sequence())
        for field in ("positions", "spacings"):
            object.__setattr__(self, field, self._checked_levels(field))

    def _checked_sequence(self) -> str | tuple[tuple[str, str], ...]:
        if isinstance(self.sequence, str):
            return self.sequence.upper()
        pairs = self.sequence.items() if isinstance(self.sequence, Mapping) else self.sequence
        try:
            named = tuple((str(name), sequence.upper()) for name, sequence in pairs)
        except (TypeError, ValueError, AttributeError):
            raise GeneqError(f"The sequence of {self.name} must be symbols, or {{name: symbols}}",
                             value=repr(self.sequence)) from None  # fmt: skip
        distinct([name for name, _ in named], f"Sequences of {self.name}")
        return named

    def _checked_levels(self, field: str) -> tuple[int, ...] | None:
        values, label = getattr(self, field), f"{field} of {self.name}"
        if values is None:
            return None
        levels = tuple(
            check_int(value, label, 0, MOST_SYMBOLS) for value in check_list(values, label)
        )
        distinct(levels, label)
        return levels

    @property
    def is_choice(self) -> bool:
        """Are there several sequences to choose between?"""
        return not isinstance(self.sequence, str)

    @property
    def sequences(self) -> dict[str, str]:
        """The sequences by name."""
        return dict(self.sequence) if self.is_choice else {self.name: self.sequence}

    @property
    def sides(self) -> list[str]:
        """Strands it can stand on, "" for absent."""
        return [""] * self.optional + list(self.orientations)

    @property
    def levels(self) -> int:
        """Sequences x places x sides."""
        places = self.positions or self.spacings or (0,)
        return len(self.sequences) * len(places) * len(self.sides)


class Points(NamedTuple):
    """A design: what stands where, arrays of [points, motifs].

    start, end: int32, -1 where a motif is absent. chosen: int32, which of its sequences, 0 where it
    is absent. side: int8, 0 absent, 1 on the strand of the sequence, -1 on the other.
    """

    start: np.ndarray
    end: np.ndarray
    chosen: np.ndarray
    side: np.ndarray

    def of(self, rows: np.ndarray) -> "Points":
        """Some of the points."""
        return Points(*(values[rows] for values in self))


def checked_motifs(motifs) -> tuple[Motif, ...]:
    """Motifs as given, or as a recipe has them. Raises GeneqError for anything else."""
    checked = tuple(_motif(motif) for motif in check_list(motifs, "motifs"))
    if not checked:
        raise GeneqError("motifs: there must be at least one")
    if checked[0].spacings is not None:
        raise GeneqError("The first motif has no motif before it", value=checked[0].name,
                         fix="Give it positions; order motifs as the spacings lie")  # fmt: skip
    return checked


def _motif(motif) -> Motif:
    if isinstance(motif, Motif):
        return motif
    try:
        return Motif(**motif)
    except TypeError as error:
        raise GeneqError("A motif is not as Motif has it", value=str(error)) from None


def distinct(values: Sequence[Hashable], what: str) -> None:
    """Raises GeneqError that says what they are when there are none, or one occurs twice."""
    if not values:
        raise GeneqError(f"{what}: there must be at least one")
    value, count = Counter(values).most_common(1)[0]
    if count > 1:
        raise GeneqError(f"{what} must differ", value=f"{value} occurs {count} times")


def symbol_sets(sequence: str, name: str, alphabet: str) -> list[int]:
    """A bit for every symbol that may stand at each place, none for the unknown symbol.

    Raises GeneqError for an empty sequence and for a symbol of no meaning.
    """
    symbols, unknown, _ = _ext.alphabet(alphabet)
    if not sequence:
        raise GeneqError("A motif must have symbols", value=name)
    bits = {symbol: 1 << token for token, symbol in enumerate(symbols)} | {unknown: 0}
    if alphabet in ("dna", "rna"):
        bits |= {code: sum(bits[base.replace("T", symbols[3])] for base in bases)
                 for code, bases in CODES.items()}  # fmt: skip
    for at, symbol in enumerate(sequence):
        if symbol not in bits:
            raise GeneqError(f"A motif is not written in the alphabet {alphabet}",
                             value=f"{name} has {symbol} at {at} (0-based)",
                             fix=choices(bits))  # fmt: skip
    return [bits[symbol] for symbol in sequence]


def design_points(motifs: Sequence[Motif], length: int) -> Points:
    """The combinations of the levels of motifs in sequences of `length` symbols.

    Those of the last motif change fastest; of those that put the same at the same places the first
    one stays. Raises GeneqError when there are too many, and when a motif lies outside of the
    sequence or on another one.
    """
    sizes = [motif.levels for motif in motifs]
    if prod(sizes) > MOST_POINTS:
        raise GeneqError(
            f"A design has at most {MOST_POINTS:,} combinations of levels",
            value=f"{prod(sizes):,}",
            fix="Make several designs, or leave levels out",
        )
    level, columns, end = np.arange(prod(sizes)), [], np.int64(0)
    for number, (motif, size) in enumerate(zip(motifs, sizes, strict=True)):
        own = level // prod(sizes[number + 1 :]) % size
        column, end = _placed(motif, own, end, length)
        columns.append(column)
    points = Points(*(np.stack(values, axis=1) for values in zip(*columns, strict=True)))
    _check_apart(points, motifs)
    repeated = pd.DataFrame(np.hstack(points)).duplicated().to_numpy()
    return points.of(~repeated)


def _placed(
    motif: Motif, level: np.ndarray, before: np.ndarray, length: int
) -> tuple[Points, np.ndarray]:
    """A motif's column, and where it ends even if absent. `before`: where the last one ends."""
    symbols = np.array([len(text) for text in motif.sequences.values()], np.int64)
    places = np.array(motif.positions or motif.spacings or [0], np.int64)
    place, side = np.divmod(level, len(motif.sides))
    chosen, place = np.divmod(place, len(places))
    start = places[place]
    if motif.spacings is not None:
        start = start + before
    elif motif.positions is None:
        start = (length - symbols[chosen]) // 2
    end = start + symbols[chosen]
    outside = np.flatnonzero((start < 0) | (end > length))
    if len(outside):
        raise GeneqError(
            f"A motif lies outside of the sequence's {length} symbols",
            value=f"{motif.name} at [{start[outside[0]]}, {end[outside[0]]})",
        )
    side = np.array([{"": 0, "+": 1, "-": -1}[name] for name in motif.sides], np.int8)[side]
    column = Points(start.astype(np.int32), end.astype(np.int32), chosen.astype(np.int32), side)
    for values, absent in zip(column, (-1, -1, 0), strict=False):
        values[side == 0] = absent
    return column, end


def _check_apart(points: Points, motifs: Sequence[Motif]) -> None:
    for one, other in combinations(range(len(motifs)), 2):
        both = (points.side[:, one] != 0) & (points.side[:, other] != 0)
        start = np.maximum(points.start[:, one], points.start[:, other])
        end = np.minimum(points.end[:, one], points.end[:, other])
        shared = np.flatnonzero(both & (start < end))
        if len(shared):
            at = points.start[shared[0]]
            raise GeneqError(
                "Motifs of a design point must lie apart",
                value=f"{motifs[one].name} at {at[one]} and {motifs[other].name} at {at[other]}",
                fix="Give positions that lie apart, or spacings",
            )

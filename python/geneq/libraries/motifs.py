"""Motifs as factors of a design, and its design points."""

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

# Most combinations of levels of a design: they are enumerated in memory.
MOST_POINTS = 4_000_000
# The extension uses 32-bit positions.
MOST_SYMBOLS = 2**31 - 1
# IUPAC ambiguity codes.
CODES = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
         "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG"}  # fmt: skip


@dataclass(frozen=True)
class Motif:
    """A motif as a factor of a design: its sequence, positions and orientations.

    Parameters
    ----------
    name : str
        Name of its columns in the design.
    sequence : str or mapping
        Symbols in upper or lower case. The unknown symbol (N in DNA) keeps the background's symbol;
        for the other ambiguity codes of DNA and RNA one of their bases is drawn for every
        background. {name: sequence} is a choice, each sequence a level.
    positions : sequence of int, optional
        Starts, 0-based.
    spacings : sequence of int, optional
        Instead of positions: symbols between the end of the previous motif of the design and its
        start. An absent motif keeps its place, so that the others do not move. With neither
        positions nor spacings the motif is centred: start = (length - symbols) // 2.
    orientations : {"+", "-", "+-"}
        "-" is the reverse complement.
    optional : bool
        Whether to add a level in which the motif is absent.

    Raises
    ------
    GeneqError
        If levels are empty, negative or repeated.
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
            raise GeneqError("A motif must have either positions or spacings", value=self.name)
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
        """Whether it has several sequences."""
        return not isinstance(self.sequence, str)

    @property
    def sequences(self) -> dict[str, str]:
        """The sequences by name."""
        if isinstance(self.sequence, str):
            return {self.name: self.sequence}
        return dict(self.sequence)

    @property
    def sides(self) -> list[str]:
        """Its strands, "" for absent."""
        return [""] * self.optional + list(self.orientations)

    @property
    def levels(self) -> int:
        """Number of levels: sequences x positions x sides."""
        places = self.positions or self.spacings or (0,)
        return len(self.sequences) * len(places) * len(self.sides)


class Points(NamedTuple):
    """The motifs of every design point, arrays of [points, motifs].

    start, end: int32, -1 where a motif is absent. chosen: int32, which of its sequences, 0 where it
    is absent. side: int8, 0 absent, 1 on the forward strand, -1 on the reverse strand.
    """

    start: np.ndarray
    end: np.ndarray
    chosen: np.ndarray
    side: np.ndarray

    def of(self, rows: np.ndarray) -> "Points":
        """Some of the points."""
        return Points(*(values[rows] for values in self))


def checked_motifs(motifs) -> tuple[Motif, ...]:
    """Motifs as objects, or as a recipe has them. Raises GeneqError for anything else."""
    checked = tuple(_motif(motif) for motif in check_list(motifs, "motifs"))
    if not checked:
        raise GeneqError("There must be at least one motif")
    if checked[0].spacings is not None:
        raise GeneqError("The first motif cannot have spacings", value=checked[0].name,
                         fix="Give it positions, and order motifs from left to right")  # fmt: skip
    return checked


def _motif(motif) -> Motif:
    if isinstance(motif, Motif):
        return motif
    try:
        return Motif(**motif)
    except TypeError as error:
        raise GeneqError("A motif must have the fields of Motif", value=str(error)) from None


def distinct(values: Sequence[Hashable], what: str) -> None:
    """Raises GeneqError, which names `what` they are, if there are none or one is repeated."""
    if not values:
        raise GeneqError(f"{what}: there must be at least one")
    value, count = Counter(values).most_common(1)[0]
    if count > 1:
        raise GeneqError(f"{what} must differ", value=f"{value} occurs {count} times")


def symbol_sets(sequence: str, name: str, alphabet: str) -> list[int]:
    """For each position a bit for every symbol it may have, none for the unknown symbol.

    Raises GeneqError for an empty sequence and for a character that is not in the alphabet.
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
            raise GeneqError(f"A motif has a character that is not in the alphabet {alphabet}",
                             value=f"{name} has {symbol} at {at} (0-based)",
                             fix=choices(bits))  # fmt: skip
    return [bits[symbol] for symbol in sequence]


def design_points(motifs: Sequence[Motif], length: int) -> Points:
    """The combinations of the levels of motifs in sequences of `length` symbols.

    Those of the last motif change fastest; of combinations with the same motifs at the same places
    the first one is kept. Raises GeneqError if there are too many, or if a motif extends beyond the
    sequence or overlaps another one.
    """
    sizes = [motif.levels for motif in motifs]
    if prod(sizes) > MOST_POINTS:
        raise GeneqError(
            f"A design has at most {MOST_POINTS:,} combinations of levels",
            value=f"{prod(sizes):,}",
            fix="Make several designs, or use fewer levels",
        )
    level, end = np.arange(prod(sizes)), np.zeros(prod(sizes), np.int64)
    columns: list[Points] = []
    for number, (motif, size) in enumerate(zip(motifs, sizes, strict=True)):
        chosen = level // prod(sizes[number + 1 :]) % size
        column, end = _placed(motif, chosen, end, length)
        columns.append(column)
    points = Points(*(np.stack(values, axis=1) for values in zip(*columns, strict=True)))
    _check_apart(points, motifs)
    repeated = pd.DataFrame(np.hstack(points)).duplicated().to_numpy()
    return points.of(~repeated)


def _placed(
    motif: Motif, level: np.ndarray, before: np.ndarray, length: int
) -> tuple[Points, np.ndarray]:
    """A motif's columns, and its end even if absent. `before`: the end of the previous motif."""
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
            f"A motif must be within the sequence's {length} symbols",
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
                "Motifs of a design point must not overlap",
                value=f"{motifs[one].name} at {at[one]} and {motifs[other].name} at {at[other]}",
                fix="Give positions further apart, or spacings",
            )

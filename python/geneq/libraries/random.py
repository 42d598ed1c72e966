"""Random mutagenesis: copies of a wild type, each with its own random mutations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from .. import _ext
from ..checks import check_bool, check_int, check_list, check_memory, check_numbers, check_rate
from ..errors import GeneqError
from .base import (
    Sparse,
    checked_sequence,
    checked_windows,
    compiled,
    encoded,
    window_positions,
)

DISTRIBUTIONS = ("poisson", "binomial")
# Memory to find repeated rows: a hash of 16 bytes, and its slot in a growing table.
BYTES_A_ROW = 80


@dataclass(frozen=True, repr=False)
class RandomLibrary(Sparse):
    """n copies of a wild type, each with its own random mutations.

    Positions of a row are drawn without replacement, new symbols uniformly among the others.

    Parameters
    ----------
    wild_type : str
        Symbols in upper or lower case; ambiguity codes are the unknown symbol, which never mutates.
    n : int
        Rows.
    rate : float
        Expected mutations per position of the windows, 0 to 1.
    counts : str, int or sequence of float
        Mutations per row: "poisson" or "binomial" with mean rate x positions (Poisson draws are
        capped at the number of positions), an integer for exactly that many, or weights of
        0, 1, 2… mutations.
    windows : sequence of (int, int), optional
        Windows [start, end) in which to mutate, 0-based; by default the complete sequence.
    position_rates : sequence of float, optional
        Instead of counts: each position of the windows mutates independently at its own rate
        (exact to 2^-32).
    symbol_weights : mapping or matrix, optional
        Weights of new symbols by wild-type symbol, as {symbol: {new symbol: weight}} or as rows of
        a square matrix in the order of the alphabet (its diagonal is ignored); see
        `transition_bias`.
    include_wild_type : bool
        Whether row 0 is the wild type.
    unique : bool
        Whether a row that repeats an earlier one is drawn again.

    Raises
    ------
    GeneqError
        If an argument breaks a rule above.
    """

    kind: ClassVar[str] = "random"
    wild_type: str
    n: int
    rate: float = 0.1
    counts: str | int | Sequence[float] = "poisson"
    windows: Sequence[Sequence[int]] | None = None
    position_rates: Sequence[float] | None = None
    symbol_weights: Mapping[str, Mapping[str, float]] | Sequence[Sequence[float]] | None = None
    include_wild_type: bool = True
    unique: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check()
        _ = self._compiled

    def _check(self) -> None:
        wild_type = checked_sequence(self.wild_type, self.alphabet, "wild_type")
        checked = {
            "wild_type": wild_type,
            "n": check_int(self.n, "n", 1),
            "rate": check_rate(self.rate, "rate"),
            "counts": _checked_counts(self.counts),
            "windows": checked_windows(self.windows, wild_type, self.alphabet),
            "position_rates": self._checked_rates(),
            "symbol_weights": _matrix(self.symbol_weights, self.alphabet),
            "include_wild_type": check_bool(self.include_wild_type, "include_wild_type"),
            "unique": check_bool(self.unique, "unique"),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.unique:
            check_memory(
                self.n * BYTES_A_ROW,
                f"Finding repeats among {self.n:,} rows takes",
                "Ask for fewer rows, or set unique to false",
            )

    def _checked_rates(self) -> tuple[float, ...] | None:
        if self.position_rates is None:
            return None
        given = check_list(self.position_rates, "position_rates")
        rates = tuple(check_rate(value, "A position's rate") for value in given)
        positions = window_positions(self.windows, len(self.wild_type))
        if len(rates) != len(positions):
            raise GeneqError(
                "position_rates must have one rate per position of the windows",
                value=f"{len(rates)} rates, {len(positions)} positions",
            )
        return rates

    @cached_property
    def _compiled(self) -> _ext.Library:
        return self._mutated()

    def _mutated(self) -> _ext.Library:
        positions = window_positions(self.windows, len(self.wild_type))
        return compiled(
            _ext.Library.random,
            encoded(self.wild_type, self.alphabet),
            positions,
            self.alphabet,
            self.n,
            self.seed,
            *self._distribution(len(positions)),
            self.symbol_weights,
            self.include_wild_type,
            self.unique,
        )

    def _distribution(self, positions: int) -> tuple[str, list[float]]:
        """Name and numbers of the distribution, as the extension expects them."""
        if self.position_rates is not None:
            return "rates", list(self.position_rates)
        if isinstance(self.counts, str):
            mean = self.rate * positions if self.counts == "poisson" else self.rate
            return self.counts, [mean]
        if isinstance(self.counts, int):
            if self.counts > positions:
                raise GeneqError("counts must not exceed the number of positions in the windows",
                                 value=f"{self.counts} of {positions}")  # fmt: skip
            return "fixed", [self.counts]
        return "table", list(self.counts)


@dataclass(frozen=True, repr=False)
class DiploidLibrary(RandomLibrary):
    """Random mutagenesis of an unphased diploid sequence, written in IUPAC codes.

    Each position is a genotype: A, C, G, T are homozygous, R, Y, S, W, K, M heterozygous; it
    mutates to any other one. One-hot counts the two bases: R is [1, 0, 1, 0], A is [2, 0, 0, 0].
    Parameters are those of RandomLibrary.
    """

    kind: ClassVar[str] = "diploid"
    alphabet: str = field(default="diploid", kw_only=True)

    def _check_alphabet(self) -> None:
        if self.alphabet != "diploid":
            raise GeneqError(
                "The alphabet of a diploid library must be diploid", value=self.alphabet
            )


def transition_bias(ratio: float) -> dict[str, dict[str, float]]:
    """Symbol weights of DNA that favour transitions.

    Parameters
    ----------
    ratio : float
        How many times as likely as one transversion a transition is.

    Returns
    -------
    dict
        Weights for `RandomLibrary(symbol_weights=…)`.
    """
    partners = {"A": "G", "G": "A", "C": "T", "T": "C"}
    return {
        wild: {new: ratio if new == partners[wild] else 1.0 for new in "ACGT" if new != wild}
        for wild in "ACGT"
    }


def _checked_counts(counts) -> str | int | tuple[float, ...]:
    if isinstance(counts, str):
        if counts not in DISTRIBUTIONS:
            raise GeneqError(
                "counts must be poisson, binomial, a whole number, or weights", value=counts
            )
        return counts
    if isinstance(counts, int | np.integer):
        return check_int(counts, "counts", 0)
    return check_numbers(counts, "counts")


def _matrix(weights, alphabet: str) -> tuple[tuple[float, ...], ...] | None:
    """Symbol weights as rows by wild-type symbol."""
    if weights is None:
        return None
    if not isinstance(weights, Mapping):
        rows = check_list(weights, "symbol_weights")
        return tuple(check_numbers(row, "symbol_weights") for row in rows)
    if not all(isinstance(row, Mapping) for row in weights.values()):
        raise GeneqError("symbol_weights must map wild-type symbols to weights of new symbols")
    symbols = _ext.alphabet(alphabet)[0]
    named = {**weights, **{symbol: 1 for row in weights.values() for symbol in row}}
    unknown = sorted(set(named) - set(symbols))
    if unknown:
        raise GeneqError("symbol_weights has a symbol that is not in the alphabet",
                         value=", ".join(unknown))  # fmt: skip
    given = [weights.get(wild, {}) for wild in symbols]
    return tuple(
        check_numbers([row.get(symbol, 0) for symbol in symbols], "symbol_weights") for row in given
    )

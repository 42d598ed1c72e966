"""Effects of variants in one locus, by several methods, all in the units of the oracle's score.

An effect is the score with the alternative minus the score with the reference, or the oracle's own
variant score where it defines one; where that has a window of its own (`placed`), the variant is
scored in this window of the genome and not in the sequence of the locus.

oracle: the difference of the scores of the two sequences. surrogate: the difference of its
predictions, with its standard error. ism: the sum of the effects of the variant's substitutions,
each made alone in the genome's sequence; for a single one, the same as `oracle`. gradient: the same
sum with differences of the gradient of the oracle's score at the genome's sequence (saliency).

A sequence has the length of the locus. Indels change the length: the sequence distal to the variant
is shifted, that is, the part between the variant and the end of the locus on the variant's side of
the oracle's TSS (of the middle, for oracles without one). It is trimmed there, or padded from the
genome. Variants are placed in their normal form (`vcf.normalised`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ... import encoding
from ...errors import GeneqError
from ...genome import Genome
from ...locus import Locus
from ...oracles import Oracle
from ...oracles.attribution import attribute
from ...oracles.scoring import padding, score_tokens, variant_scores
from ...surrogates import Surrogate
from ...vcf import lengths
from .pairs import column_of, edits_of
from .placed import PlacedScores

__all__ = ["METHODS", "Answer", "Case", "alternatives", "wild_type"]

UNKNOWN = 4
# Why a method has no effect for a variant.
INDEL = "not a substitution: oracle only"
NO_BASE = "N in the genome or in the alternative"
TOO_LONG = "does not fit into the locus"
NOT_MUTATED = "not among the mutations that the surrogate was fitted to"
NO_MODULE = "the oracle has no differentiable module"
NO_GRADIENT = "no gradient of profiles"
NO_COMPONENT = "a principal component is defined relative to a library"


@dataclass(frozen=True)
class Case:
    """A locus, the variants in it, and the models that predict their effects.

    Attributes
    ----------
    locus : Locus
    wild : np.ndarray
        uint8[length], the genome's sequence on the strand of the locus.
    tokens : np.ndarray
        uint8[n, length], the same with each alternative in turn, where it fits.
    substitution : np.ndarray
        bool[n], whether all other bases keep their place.
    note : np.ndarray
        object[n], "" or why no method has an effect for the variant.
    targets : list of str
    normal : pd.DataFrame
        The variants in their normal form, as `vcf.normalised` gives them.
    oracle, surrogate : optional
        None where no method needs them.
    placed : PlacedScores, optional
        For oracles that score a variant in a window of its own.
    reduce, reverse_complement :
        As in `scoring.score`.
    """

    locus: Locus
    wild: np.ndarray
    tokens: np.ndarray
    substitution: np.ndarray
    note: np.ndarray
    targets: list[str]
    normal: pd.DataFrame
    oracle: Oracle | None = None
    placed: PlacedScores | None = None
    surrogate: Surrogate | None = None
    reduce: str | None = None
    reverse_complement: bool = False

    @property
    def scorer(self) -> Oracle:
        """The oracle, which is loaded for all methods but the surrogate."""
        assert self.oracle is not None
        return self.oracle

    @cached_property
    def changes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Variant, column and new token of every substituted base of `substitutions`."""
        row, position = np.nonzero((self.tokens != self.wild) & self.substitutions[:, None])
        return row, position, self.tokens[row, position]

    @property
    def substitutions(self) -> np.ndarray:
        """bool[n]: substitutions that methods have effects for."""
        return self.substitution & (self.note == "")

    def summed(self, values: np.ndarray) -> np.ndarray:
        """float64[n, targets]: values float64[changes, targets] added up for every variant."""
        total = np.zeros((len(self.tokens), len(self.targets)))
        np.add.at(total, self.changes[0], values)
        return total

    # --- scores -------------------------------------------------------------------------------

    def gains(self, tokens: np.ndarray) -> np.ndarray:
        """float64[n, targets]: scores of uint8[n, length] minus that of the genome's sequence.

        By the oracle's own variant score, if it defines one.
        """
        if not len(tokens):
            return np.empty((0, len(self.targets)))
        if self.scorer.variant is not None and self.reduce is None:
            wild = np.broadcast_to(self.wild, tokens.shape)
            scores = variant_scores(
                wild, tokens, self.scorer, self.targets, self.reverse_complement
            )
            return scores.astype(np.float64)
        return self._scores(tokens) - self._wild_score

    def singles(self, position: np.ndarray, symbol: np.ndarray) -> np.ndarray:
        """Gains float64[k, targets] of k single substitutions; none is scored twice."""
        scored = self._singles
        new = np.stack([position, symbol], axis=1)[np.isnan(scored[position, symbol, 0])]
        new = np.unique(new, axis=0)
        gains = self._gains_in_place if self.placed else self._gains_in_locus
        scored[new[:, 0], new[:, 1]] = gains(new)
        return scored[position, symbol]

    def _gains_in_locus(self, new: np.ndarray) -> np.ndarray:
        """float64[k, targets] of each position and symbol of int64[k, 2]."""
        return self.gains(self._substituted(new))

    def _gains_in_place(self, new: np.ndarray) -> np.ndarray:
        """The same, each in a window of its own."""
        assert self.placed is not None
        start = [self.locus.forward(int(column)) for column in new[:, 0]]
        alt = [self.locus.symbol("ACGT"[symbol]) for symbol in new[:, 1]]
        return self.placed.scores(np.array(start, np.int64), np.ones((len(new), 2), np.int64), alt)

    def of_variants(self, rows: np.ndarray) -> np.ndarray:
        """float64[k, targets]: gains of the variants of bool[n]."""
        if self.placed is None:
            return self.gains(self.tokens[rows])
        normal = self.normal[rows]
        start, alt = normal["start"].to_numpy(np.int64), normal["alt"].to_numpy(object)
        return self.placed.scores(start, sizes_of(normal), alt)

    def _substituted(self, new: np.ndarray) -> np.ndarray:
        """The genome's sequence with each position and symbol of int64[k, 2] alone."""
        tokens = np.repeat(self.wild[None], len(new), axis=0)
        tokens[np.arange(len(new)), new[:, 0]] = new[:, 1]
        return tokens

    def sequences(self) -> Iterator[np.ndarray]:
        """All sequences that methods score, uint8[n, length] at a time."""
        yield self.wild[None]
        yield self.tokens[self.note == ""]
        _, position, symbol = self.changes
        singles = np.stack([position, symbol], axis=1)
        yield self._substituted(np.unique(singles, axis=0))

    @cached_property
    def _singles(self) -> np.ndarray:
        """Gains of substitutions as far as they were asked for, else NaN."""
        return np.full((len(self.wild), UNKNOWN, len(self.targets)), np.nan)

    @cached_property
    def _wild_score(self) -> np.ndarray:
        return self._scores(self.wild[None])

    def _scores(self, tokens: np.ndarray) -> np.ndarray:
        how = (self.reduce, self.reverse_complement)
        return score_tokens(tokens, self.scorer, self.targets, *how).astype(np.float64)


@dataclass(frozen=True)
class Answer:
    """What a method predicts: effect and standard error, float64[n, targets] (NaN where it has
    none), and note, object[n], why it has no effect."""

    effect: np.ndarray
    error: np.ndarray
    note: np.ndarray

    @classmethod
    def of(cls, case: Case, effect, can: np.ndarray, why, error=np.nan) -> "Answer":
        """Effects of the variants for which `can` is true; `why` is the note of the others."""
        known = can & (case.note == "")
        note = np.where(case.note != "", case.note, np.where(known, "", why)).astype(object)
        shape = (len(known), len(case.targets))
        masked = (np.where(known[:, None], one, np.nan) for one in (effect, error))
        effect, error = (np.broadcast_to(one, shape) for one in masked)
        return cls(effect, error, note)


# --- sequences --------------------------------------------------------------------------------


def wild_type(locus: Locus, genome: Genome, surrogate: Surrogate | None) -> np.ndarray:
    """The genome's sequence of the locus. Raises GeneqError where the surrogate has another."""
    wild = genome.tokens(locus.chrom, locus.start, locus.end, locus.strand)
    if surrogate is not None and not np.array_equal(surrogate.wild_type, wild):
        raise GeneqError(
            "The surrogate was fitted to a sequence that differs from the genome",
            value=f"{locus.chrom}:{locus.start}-{locus.end} ({locus.strand})",
            file=genome.folder,
            fix="Use the genome that its library was made from",
        )
    return wild


def alternatives(
    locus: Locus, genome: Genome, normal: pd.DataFrame, tss: int | None, threads: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, substitution and note of variants, as `Case` has them.

    normal: variants in their normal form that are completely in the locus. tss: column in the
    sequence of the locus.
    """
    sizes = sizes_of(normal)
    starts = normal["start"].to_numpy(np.int64)
    fixed = len(locus) // 2 if tss is None else tss
    fixed = fixed if locus.strand == "+" else len(locus) - 1 - fixed
    places = column_of(starts - locus.start, sizes, fixed)
    fits = (places >= 0) & (places + sizes[:, 1] <= len(locus))
    forward = genome.tokens(locus.chrom, locus.start, locus.end)
    edits, bases = edits_of(starts, sizes, places, normal["alt"])
    edited = np.empty((int(fits.sum()), len(locus)), np.uint8)
    genome.edited([locus.chrom] * len(edited), edits[fits], bases, edited, threads)
    tokens = np.repeat(forward[None], len(normal), axis=0)
    tokens[fits] = edited if locus.strand == "+" else encoding.reverse_complement(edited)
    unknown = _unknown(forward, starts - locus.start, sizes[:, 0])
    unknown |= np.array(["N" in alt for alt in normal["alt"]], bool)
    note = np.where(unknown, NO_BASE, np.where(fits, "", TOO_LONG)).astype(object)
    return tokens, sizes[:, 0] == sizes[:, 1], note


def sizes_of(normal: pd.DataFrame) -> np.ndarray:
    """int64[n, 2]: bases of references and of alternatives."""
    return np.stack([lengths(normal["ref"]), lengths(normal["alt"])], axis=1)


def _unknown(forward: np.ndarray, places: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """bool[n]: does the reference contain an N of the genome?"""
    before = np.concatenate([[0], np.cumsum(forward == UNKNOWN)])
    return before[places + sizes] > before[places]


# --- methods ----------------------------------------------------------------------------------


def by_oracle(case: Case) -> Answer:
    """The difference of scores."""
    known = case.note == ""
    if case.placed is not None:
        known = known & case.placed.fits(sizes_of(case.normal))
    effect = np.full((len(known), len(case.targets)), np.nan)
    row, position, symbol = case.changes
    alone = np.bincount(row, minlength=len(known)) == 1
    one = alone[row]
    effect[row[one]] = case.singles(position[one], symbol[one])
    effect[known & ~alone] = case.of_variants(known & ~alone)
    return Answer.of(case, effect, known, TOO_LONG)


def by_ism(case: Case) -> Answer:
    """Sum of the effects of single substitutions."""
    _, position, symbol = case.changes
    effect = case.summed(case.singles(position, symbol))
    return Answer.of(case, effect, case.substitution, INDEL)


def by_gradient(case: Case) -> Answer:
    """Sum of the differences of the gradient at the genome's sequence."""
    if why := _no_gradient(case):
        return Answer.of(case, np.nan, np.zeros(len(case.tokens), bool), why)
    gradients = np.stack([_gradient(case, target) for target in case.targets], axis=2)
    _, position, symbol = case.changes
    return Answer.of(case, case.summed(gradients[position, symbol]), case.substitution, INDEL)


def _no_gradient(case: Case) -> str | None:
    if case.scorer.module is None:
        return NO_MODULE
    return NO_GRADIENT if case.reduce is not None else None


def _gradient(case: Case, target: str) -> np.ndarray:
    """float64[length, symbols] in the wild-type gauge, averaged over strands where asked for."""
    left, right = padding(len(case.wild), case.scorer)
    padded = np.pad(case.wild[None], ((0, 0), (left, right)), constant_values=UNKNOWN)
    found = attribute(case.scorer, encoding.strings(padded)[0], "saliency", target)
    if case.reverse_complement:
        other = encoding.strings(encoding.reverse_complement(padded))[0]
        turned = attribute(case.scorer, other, "saliency", target)[::-1, ::-1]
        found = (found + turned) / 2
    return found[left : left + len(case.wild)]


def by_surrogate(case: Case) -> Answer:
    """Differences of the surrogate's predictions, with standard errors where it has them."""
    surrogate = case.surrogate
    assert surrogate is not None  # it is loaded for this method
    row, position, symbol = case.changes
    fitted = np.ones(len(case.tokens), bool)
    fitted[row[surrogate.frequencies[position, symbol] == 0]] = False
    can = case.substitutions & fitted
    why = np.where(case.substitution, NOT_MUTATED, INDEL)
    effect, error = np.full((2, len(can), len(case.targets)), np.nan)
    for k, target in enumerate(case.targets):
        effect[can, k], error[can, k] = surrogate.differences(case.tokens[can], target)
    return Answer.of(case, effect, can, why, error)


METHODS: dict[str, Callable[[Case], Answer]] = {
    "surrogate": by_surrogate,
    "ism": by_ism,
    "gradient": by_gradient,
    "oracle": by_oracle,
}

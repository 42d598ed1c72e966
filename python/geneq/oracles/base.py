"""What every oracle offers: sequences in, scores out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch import nn

from ..errors import GeneqError
from ..genome import Genome
from .feeding import distinct_rows

__all__ = [
    "STRANDS", "BinnedOracle", "Oracle", "VariantScore", "changed_columns", "check_build",
    "check_sequences", "chosen_strands", "flanked",
]  # fmt: skip

# What --strands takes.
STRANDS = ("auto", "both", "split")
# Targets that `Oracle.summary` names.
SHOWN = 5
UNKNOWN = 4
# uint8[n, length], uint8[n, length] → float32[n, targets].
VariantScore = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Oracle(ABC):
    """A model that scores sequences.

    A subclass defines `name`, `targets`, `hash` and `predict`; every other attribute has a default.

    Attributes
    ----------
    name : str
        As on the command line, without folders: ``TYPE:FILE``.
    targets : list of str
        A name for each output, in the order of the last axis of the scores.
    hash : str
        A digest of everything that determines the scores.
    alphabet : str
        Symbols of tokens 0, 1, …; the token after the last is the unknown symbol (N in DNA).
    length : int or None
        Length of the sequences it takes; None for any.
    tss : int or None
        Index of the transcription start site in its input; None if it needs none.
    bin_size : int or None
        Bases of a bin of its profiles, which are in the middle of the input; None if it has no
        profiles, or they divide the complete input.
    strand : {"given", "both"}
        "both" if a sequence and its reverse complement score the same.
    unknown : str
        What an unknown symbol does to the score, in words.
    held_out : sequence of str or None
        Chromosomes that were not used to train the model; None if unknown.
    trained : bool
        False for models that were not trained on genomic data, as motifs and k-mers.
    build : str or None
        Build of the genome that it was trained on, as in `genome.BUILDS`; None if unknown or if it
        applies to any.
    precisions : tuple of str
        Precisions that it can compute in.
    precision : str
        The one it computes in; may be set to any of `precisions`.
    module : torch.nn.Module or None
        The model as a differentiable function of one-hot, float32[n, symbols, length] →
        [n, targets], on the device that it runs on. Without one, gradient methods are not
        available.
    variant : callable or None
        The model's own variant score, (reference, alternative) → float32[n, targets], both
        uint8[n, length]; a subclass may define it as a method. None: the difference of the scores.
    variant_index : int or None
        Index of a variant's first base in the sequences that `variant` takes, which are then
        windows of the genome on the forward strand, one for each variant. None: they are the
        sequence of a locus.
    batched : bool
        Whether `predict` divides its rows into batches that fit into memory; where it does not,
        it is given as many rows as fit.
    note : str
        What a user should know about how a file was read; printed by `geneq score`.
    """

    name: str
    targets: list[str]
    hash: str
    alphabet: str = "ACGT"
    length: int | None = None
    tss: int | None = None
    bin_size: int | None = None
    strand: str = "given"
    unknown: str = "not stated"
    held_out: Sequence[str] | None = None
    trained: bool = True
    build: str | None = None
    precisions: tuple[str, ...] = ("float32",)
    precision: str = "float32"
    module: nn.Module | None = None
    variant: VariantScore | None = None
    variant_index: int | None = None
    batched: bool = False
    note: str = ""

    @abstractmethod
    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """Scores of sequences.

        Parameters
        ----------
        tokens : uint8[n, length]
        anchor : int, optional
            Index of the TSS in the sequences. An oracle with a TSS elsewhere refuses it; others
            ignore it.

        Returns
        -------
        float32[n, targets] or float32[n, bins, targets]
            The latter for models that predict profiles.

        Raises
        ------
        GeneqError
            For sequences that the model cannot score.
        """

    def windows(self, tokens: np.ndarray) -> int:
        """How many windows deep models read to score uint8[n, length] as features of an equation.

        Equal ones count once. 0 for oracles that are no equations over deep features.
        """
        return 0

    def summary(self) -> str:
        """The oracle in one line, for the user to check."""
        few = len(self.targets) <= SHOWN
        parts = [
            "any length" if self.length is None else f"{self.length:,} nt",
            None if self.tss is None else f"TSS at index {self.tss:,}",
            f"targets: {', '.join(self.targets)}" if few else f"{len(self.targets):,} targets",
            self.note,
        ]
        return f"{self.name}: {'; '.join(part for part in parts if part)}"


class BinnedOracle(Oracle):
    """An oracle with a score for each bin of a sequence, as equations need.

    Attributes
    ----------
    strands : {"both", "split"} or None
        Whether its classes are scored on both strands together or on each strand; None if it has
        no such option.
    flank : int
        Bases that it reads beyond the first and the last edge, on each side.
    reach : int or None
        The score of a bin depends on no base that is further than this from it; None if unknown.
    """

    strands: str | None = None
    flank: int = 0
    reach: int | None = None

    def inputs(self, edges: np.ndarray) -> int:
        """How many windows the model itself reads for one sequence with these bins."""
        return 1

    def distinct_inputs(self, tokens: np.ndarray, edges: np.ndarray) -> int:
        """How many windows `predict_bins` of these sequences scores: equal ones once."""
        return len(distinct_rows(tokens)[0]) * self.inputs(edges)

    def of_classes(self, names: list[str]) -> "BinnedOracle":
        """An oracle that has at least these of the targets, with the same scores.

        A subclass returns one that computes no others where this saves time.
        """
        return self

    @abstractmethod
    def predict_bins(self, tokens: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Scores of bins.

        Parameters
        ----------
        tokens : uint8[n, length]
            With at least `flank` bases before the first edge and after the last.
        edges : int[bins + 1]
            Increasing 0-based positions in `tokens`; bin b is [edges[b], edges[b + 1]).

        Returns
        -------
        float32[n, bins, targets]
        """

    def changes(
        self, before: np.ndarray, which: np.ndarray, after: np.ndarray, edges: np.ndarray
    ) -> np.ndarray:
        """How changes of sequence change the scores of bins.

        Only what a change reaches is scored, before and after.

        Parameters
        ----------
        before : uint8[k, length]
        which : int64[n]
            The sequence that was changed.
        after : uint8[n, length]
            That sequence with the change.
        edges : int[bins + 1]
            As for `predict_bins`.

        Returns
        -------
        float32[n, bins, targets]
        """
        values = np.zeros((len(after), len(edges) - 1, len(self.targets)), np.float32)
        for part in self._changed_parts(before, which, after, edges):
            scores = self.predict_bins(part.tokens, part.edges)
            values[part.rows, part.bins] = scores[part.after] - scores[part.before]
        return values

    def changed_inputs(
        self, before: np.ndarray, which: np.ndarray, after: np.ndarray, edges: np.ndarray
    ) -> int:
        """How many windows `changes` of these sequences scores."""
        parts = self._changed_parts(before, which, after, edges)
        return sum(self.distinct_inputs(part.tokens, part.edges) for part in parts)

    def _changed_parts(
        self, before: np.ndarray, which: np.ndarray, after: np.ndarray, edges: np.ndarray
    ) -> Iterator["ChangedPart"]:
        """What `changes` scores. Rows that differ in the same bins are scored together, each as
        far as these bins depend on it: in the same place, rounding is the same."""
        edges, reach = np.asarray(edges, np.int64), before.shape[1]
        reach = reach if self.reach is None else self.reach
        first, end = changed_columns(before[which], after)
        low = np.searchsorted(edges, first - reach, "right") - 1
        high = np.searchsorted(edges, end + reach, "left")
        low, high = np.maximum(low, 0), np.minimum(high, len(edges) - 1)
        some = np.flatnonzero((first < end) & (low < high))
        ranges, group = np.unique(np.stack([low, high], axis=1)[some], axis=0, return_inverse=True)
        for i, (a, b) in enumerate(ranges):
            rows = some[group == i]
            start = max(edges[0] - self.flank, edges[a] - reach)
            stop = min(edges[-1] + self.flank, edges[b] + reach)
            old, again = np.unique(which[rows], return_inverse=True)
            tokens = np.concatenate([before[old, start:stop], after[rows, start:stop]])
            place = len(old) + np.arange(len(rows))
            yield ChangedPart(
                rows, slice(a, b), tokens, edges[a : b + 1] - start, again.ravel(), place
            )


class ChangedPart(NamedTuple):
    """Sequences that are scored for the changes of some rows in some bins.

    rows: int64[m]. bins: of them all. tokens: uint8[s, length], parts of sequences. edges: of
    `bins`, positions in `tokens`. before, after: int64[m], the sequences of each row.
    """

    rows: np.ndarray
    bins: slice
    tokens: np.ndarray
    edges: np.ndarray
    before: np.ndarray
    after: np.ndarray


def changed_columns(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[first, end) of the columns that differ, int64[n] each; both 0 if none does."""
    differ = before != after
    first = differ.argmax(1)
    end = differ.shape[1] - differ[:, ::-1].argmax(1)
    return first, np.where(differ.any(1), end, 0)


def chosen_strands(strands: str, default: str) -> str:
    """ "both" or "split": `strands`, or `default` for "auto". Raises GeneqError for others."""
    if strands not in STRANDS:
        raise GeneqError(f"--strands must be one of {', '.join(STRANDS)}", value=strands)
    return default if strands == "auto" else strands


def check_build(oracle: Oracle, genome: Genome) -> None:
    """Raises GeneqError if the oracle was trained on another build than that of the genome."""
    if None not in (oracle.build, genome.build) and oracle.build != genome.build:
        raise GeneqError(
            f"{oracle.name} was trained on {oracle.build}, and the genome is another one",
            value=genome.build,
            file=genome.folder,
            fix=f"Use sequence and annotation of {oracle.build}",
        )


def check_sequences(oracle: Oracle, tokens: np.ndarray, anchor: int | None, fix: str) -> None:
    """Check that an oracle can score sequences.

    Parameters
    ----------
    oracle : Oracle
    tokens : uint8[n, length]
    anchor : int or None
        Index of the TSS in the sequences, if known.
    fix : str
        How to get sequences of the right length.

    Raises
    ------
    GeneqError
        If the length is not the oracle's, or the TSS is elsewhere than the oracle has it.
    """
    if tokens.ndim != 2 or oracle.length not in (None, tokens.shape[1]):
        raise GeneqError(
            f"{oracle.name} takes sequences of {oracle.length} nt",
            value=f"{tokens.shape[-1]} nt",
            fix=fix,
        )
    if None not in (anchor, oracle.tss) and anchor != oracle.tss:
        raise GeneqError(f"{oracle.name} has the TSS at index {oracle.tss}", value=anchor)


def flanked(tokens: np.ndarray, edges: np.ndarray, flank: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens with at least `flank` bases around the edges, N beyond the sequence, and the edges."""
    before, after = max(0, flank - edges[0]), max(0, edges[-1] + flank - tokens.shape[1])
    return np.pad(tokens, [(0, 0), (before, after)], constant_values=UNKNOWN), edges + before

"""Score a library with an oracle: its rows are streamed, the result is a MAVE."""

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import _ext, encoding
from ..checks import check_memory
from ..errors import GeneqError
from ..libraries import Library, LibraryFile
from ..mave import Mave, check_finite
from .base import Oracle
from .feeding import Fitting, device
from .reductions import COMPONENT, by_row, code_of, first_component
from .saved import kept
from .trial import precision_error, seconds_each

__all__ = [
    "Plan",
    "padding",
    "rows_of_a_part",
    "score",
    "score_tokens",
    "seconds_a_row",
    "variant_scores",
]

# Symbols of a part, which is scored in one go, saved, and not scored again when a run is resumed:
# seconds of work. A GPU is idle for about a millisecond between parts.
PART = {"cpu": 2**22, "cuda": 2**25}
# Rows on which the error of reduced precision is measured.
FIRST = 256


class Plan(NamedTuple):
    """How rows are scored.

    targets: indices of the oracle's. reduce: how profiles become scores, see `reductions`. left,
    right: unknown symbols added at either end. other_strand: whether both strands are averaged.
    predict: the oracle's, which is given as many rows as fit into memory.
    """

    oracle: Oracle
    alphabet: str
    targets: list[int]
    reduce: str | None
    left: int
    right: int
    other_strand: bool
    predict: Fitting

    def described(self) -> dict:
        """What determines scores besides the sequences, as in the metadata of a MAVE."""
        return {
            "name": self.oracle.name,
            "hash": self.oracle.hash,
            "precision": self.oracle.precision,
            "reduce": self.reduce,
            "padding": [self.left, self.right],
            "reverse_complement": self.other_strand,
            "held_out": None if self.oracle.held_out is None else list(self.oracle.held_out),
        }


def score(
    library: Library | LibraryFile,
    oracle: Oracle,
    targets: list[str] | None = None,
    reduce: str | None = None,
    reverse_complement: bool = False,
    threads: int = 1,
    folder: str | Path | None = None,
    progress: Callable[[int], object] | None = None,
) -> Mave:
    """Score a library.

    Parameters
    ----------
    library : Library or LibraryFile
        A recipe, or a file, whose rows must be those of its recipe if that can be made here.
    oracle : Oracle
    targets : list of str, optional
        Names of targets, by default all.
    reduce : str, optional
        How profiles become one score per target, see `reductions.by_row`; also "pc1".
    reverse_complement : bool
        Take the mean of both strands.
    threads : int
        Threads that make the library.
    folder : path, optional
        Where scored parts are saved; a run that was stopped continues from them.
    progress : callable, optional
        Called with the number of rows of every part.

    Returns
    -------
    Mave

    Raises
    ------
    GeneqError
        For sequences longer than the oracle's (shorter ones are centred between unknown symbols,
        the odd one on the right), for another alphabet, and for scores that are not finite.
    """
    sequences = (library.alphabet, library.length)
    plan = _plan(*sequences, oracle, targets, reduce, reverse_complement)
    reduced = by_row(reduce) if reduce not in (None, COMPONENT) else None
    check_memory(4 * library.n_rows * len(plan.targets), "Scores take", "Make fewer rows")
    recipe, tokens = _recipe(library), []
    parts: list[np.ndarray] = []
    first, error = 0, None
    for part in _stream(library, recipe, threads):
        if not parts:
            error = precision_error(oracle, partial(_chosen, plan), part[:FIRST])
        name = _digest(plan, recipe, first, part)
        parts.append(kept(folder, name, partial(_scored, plan, reduced, first, part)))
        first += len(part)
        if recipe is None:
            tokens.append(part)
        if progress:
            progress(len(part))
    y = first_component(parts) if reduce == COMPONENT else np.concatenate(parts)
    names = [oracle.targets[i] for i in plan.targets]
    known = np.concatenate(tokens) if recipe is None else None
    about = plan.described() | ({} if error is None else {"precision_error": error})
    return Mave(recipe, known, library.alphabet, y, names, oracle=about)


def seconds_a_row(
    library: Library | LibraryFile, oracle: Oracle, reduce: str | None, reverse_complement: bool
) -> float:
    """Seconds that a row of a library takes; see `trial.seconds_each`. Arguments as for `score`."""
    sequences = (library.alphabet, library.length)
    plan = _plan(*sequences, oracle, None, reduce, reverse_complement)
    tokens = next(iter(library.stream(rows_of_a_part(library.length))))
    return (1 + plan.other_strand) * seconds_each(partial(_chosen, plan), tokens)


def score_tokens(
    tokens: np.ndarray,
    oracle: Oracle,
    targets: list[str] | None = None,
    reduce: str | None = None,
    reverse_complement: bool = False,
) -> np.ndarray:
    """Scores of DNA sequences, as `score` gives them for a library.

    Parameters
    ----------
    tokens : uint8[n, length]
    oracle, targets, reduce, reverse_complement
        As for `score`; "pc1" is defined for a library only.

    Returns
    -------
    float32[n, targets]
    """
    plan = _plan("dna", tokens.shape[1], oracle, targets, reduce, reverse_complement)
    reduced = None if reduce is None else by_row(reduce)
    step = rows_of_a_part(tokens.shape[1])
    firsts = range(0, len(tokens), step)
    parts = [_scored(plan, reduced, first, tokens[first : first + step]) for first in firsts]
    return np.concatenate([np.empty((0, len(plan.targets)), np.float32), *parts])


def variant_scores(
    ref: np.ndarray,
    alt: np.ndarray,
    oracle: Oracle,
    targets: list[str] | None = None,
    reverse_complement: bool = False,
) -> np.ndarray:
    """The variant scores of an oracle that defines them.

    Parameters
    ----------
    ref, alt : uint8[n, length]
        DNA with the reference and with the alternative.
    oracle : Oracle
        One with `variant`.
    targets, reverse_complement
        As for `score`.

    Returns
    -------
    float32[n, targets]

    Raises
    ------
    GeneqError
        If the oracle has no variant score, or gives scores of another shape or that are not finite.
    """
    if oracle.variant is None:
        raise GeneqError("This oracle defines no variant score", value=oracle.name)
    plan = _plan("dna", ref.shape[1], oracle, targets, None, reverse_complement)
    padded = [_padded(plan, tokens) for tokens in (ref, alt)]
    pairs = [padded]
    if plan.other_strand:
        pairs.append([encoding.reverse_complement(tokens) for tokens in padded])
    scores = np.mean([oracle.variant(*pair) for pair in pairs], axis=0, dtype=np.float32)
    if scores.shape != (len(ref), len(oracle.targets)):
        raise GeneqError(f"{oracle.name}: variant must return [n, targets]",
                         value=str(list(scores.shape)))  # fmt: skip
    check_finite(scores, "Variant scores")
    return scores[:, plan.targets]


# --- before -----------------------------------------------------------------------------------


def _plan(
    alphabet: str,
    length: int,
    oracle: Oracle,
    targets: list[str] | None,
    reduce: str | None,
    reverse_complement: bool,
) -> Plan:
    symbols = _ext.alphabet(alphabet)[0]
    if symbols != oracle.alphabet:
        raise GeneqError(f"{oracle.name} takes sequences over {oracle.alphabet}",
                         value=f"the library is over {symbols}")  # fmt: skip
    unknown = sorted(set(targets or []) - set(oracle.targets))
    if unknown:
        raise GeneqError(f"{oracle.name} has no such target", value=", ".join(unknown),
                         fix=f"Use one of: {', '.join(oracle.targets)}")  # fmt: skip
    if targets and len(set(targets)) < len(targets):
        raise GeneqError("A target is given more than once", value=", ".join(targets))
    chosen = [oracle.targets.index(name) for name in targets or oracle.targets]
    other_strand = reverse_complement and oracle.strand != "both"
    predict = Fitting(oracle.predict, oracle.name, measured=not oracle.batched)
    return Plan(oracle, alphabet, chosen, reduce, *padding(length, oracle), other_strand, predict)


def padding(length: int, oracle: Oracle) -> tuple[int, int]:
    """Unknown symbols to add on the left and on the right of sequences of this length.

    Raises GeneqError for sequences that are too long, and for shorter ones if the oracle has a TSS.
    """
    missing = 0 if oracle.length is None else oracle.length - length
    if missing < 0:
        raise GeneqError(f"{oracle.name} takes at most {oracle.length:,} nt",
                         value=f"{length:,} nt in the library",
                         fix="Make the library of a shorter sequence")  # fmt: skip
    if missing and oracle.tss is not None:
        raise GeneqError(
            f"{oracle.name} takes {oracle.length:,} nt with the TSS at index {oracle.tss}",
            value=f"{length:,} nt in the library",
            fix="Make the library of the complete sequence and mutate windows of it",
        )
    return missing // 2, missing - missing // 2


def _recipe(library: Library | LibraryFile) -> Library | None:
    """The recipe; None if it is a file's and cannot be made here."""
    if isinstance(library, Library):
        return library
    try:
        return library.recipe
    except GeneqError:
        return None


def rows_of_a_part(length: int) -> int:
    """Rows that are scored in one go."""
    return max(1, PART[device().type] // length)


def _stream(
    library: Library | LibraryFile, recipe: Library | None, threads: int
) -> Iterator[np.ndarray]:
    """Tokens in parts; those of a file are checked against its recipe."""
    first, rows = 0, rows_of_a_part(library.length)
    for tokens in library.stream(rows, threads=threads):
        if recipe is not None and isinstance(library, LibraryFile):
            wanted = recipe.tokens(first, first + len(tokens), threads)
            other = (tokens != wanted).any(1)
            if other.any():
                raise GeneqError("A row differs from the one that the library's recipe generates",
                                 value=f"row {first + other.argmax()} (0-based)",
                                 file=library.path)  # fmt: skip
        first += len(tokens)
        yield tokens


# --- scores -----------------------------------------------------------------------------------


def _scored(plan: Plan, reduced: Callable | None, first: int, tokens: np.ndarray) -> np.ndarray:
    """float32[rows, targets]; [rows, bins, targets] if profiles are reduced all together.

    reduced: the function that reduces them otherwise. first: number of the first row, for errors.
    """
    tokens = _padded(plan, tokens)
    scores = _predicted(plan, tokens)
    if plan.other_strand:
        other = _predicted(plan, encoding.reverse_complement(tokens, plan.alphabet))
        # On the other strand the bins of a profile are in reverse order.
        scores = (scores + (other[:, ::-1] if other.ndim == 3 else other)) / np.float32(2)
    check_finite(scores.reshape(len(tokens), -1), "Scores", first=first)
    if reduced is None:
        return scores
    scores = _reduced(plan, reduced, scores)
    check_finite(scores, "Reduced scores", first=first)
    return scores


def _chosen(plan: Plan, tokens: np.ndarray) -> np.ndarray:
    """Scores of the selected targets of rows as they are in the library, on one strand."""
    return _predicted(plan, _padded(plan, tokens))


def _padded(plan: Plan, tokens: np.ndarray) -> np.ndarray:
    if not (plan.left or plan.right):
        return tokens
    sides = ((0, 0), (plan.left, plan.right))
    return np.pad(tokens, sides, constant_values=len(plan.oracle.alphabet))


def _predicted(plan: Plan, tokens: np.ndarray) -> np.ndarray:
    """float32 scores of the selected targets."""
    oracle, scores = plan.oracle, plan.predict(tokens)
    axes = 2 if plan.reduce is None else 3
    if scores.ndim == axes and scores.shape[:: axes - 1] == (len(tokens), len(oracle.targets)):
        return np.ascontiguousarray(scores[..., plan.targets], np.float32)
    wanted = "[rows, targets]" if axes == 2 else "[rows, bins, targets], to be reduced"
    raise GeneqError(
        f"{oracle.name} must return {wanted}",
        value=f"{list(scores.shape)} for {len(tokens)} rows and {len(oracle.targets)} targets",
        fix="Set --reduce for oracles that return profiles ([rows, bins, targets]), and only then",
    )


def _reduced(plan: Plan, reduced: Callable, profiles: np.ndarray) -> np.ndarray:
    scores = np.asarray(reduced(profiles))
    if scores.shape != (len(profiles), len(plan.targets)) or scores.dtype.kind not in "fiu":
        raise GeneqError(f"--reduce {plan.reduce} must return numbers, [rows, targets]",
                         value=f"{list(scores.shape)} of {scores.dtype}")  # fmt: skip
    return scores.astype(np.float32)


# --- saved parts ------------------------------------------------------------------------------


def _digest(plan: Plan, recipe: Library | None, first: int, tokens: np.ndarray) -> str:
    """Name of the scores of `tokens`, which are the rows of the recipe from `first` on."""
    decisive = [plan.described(), plan.targets, code_of(plan.reduce)]
    digest = hashlib.sha256(json.dumps(decisive).encode())
    if recipe is None:
        digest.update(tokens.tobytes())
    else:
        digest.update(f"\0{recipe.to_json()}\0{first}\0{len(tokens)}".encode())
    return digest.hexdigest()

"""Score a library with an oracle: rows stream through it, and come out as a MAVE."""

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import _ext, encoding
from ..artifacts import written_whole
from ..checks import check_memory
from ..errors import GeneqError
from ..libraries import Library, LibraryFile
from ..mave import Mave, check_finite
from . import Oracle, device
from .reductions import COMPONENT, by_row, first_component

# Symbols of a part that is scored in one go, kept, and not scored again when a run is resumed:
# seconds' work. A GPU is idle for about a millisecond between parts.
PART = {"cpu": 2**22, "cuda": 2**25}


class Plan(NamedTuple):
    """How rows are scored.

    targets: indices of the oracle's. reduce: how profiles become scores, see `reductions`. left,
    right: unknown symbols put at either end. other_strand: whether that counts as well.
    """

    oracle: Oracle
    alphabet: str
    targets: list[int]
    reduce: str | None
    left: int
    right: int
    other_strand: bool

    def described(self) -> dict:
        """What determines scores, beside the sequences."""
        return {
            "name": self.oracle.name,
            "hash": self.oracle.hash,
            "precision": getattr(self.oracle, "precision", "float32"),
            "reduce": self.reduce,
            "padding": [self.left, self.right],
            "reverse_complement": self.other_strand,
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
    """The library with its scores.

    library: a recipe, or a file, whose rows must be those of its recipe where that can be made
    here. targets: names, by default all. reduce: how profiles become a score a target, see
    `reductions.by_row`; also "pc1". reverse_complement: the mean over both strands. folder: where
    scored parts are kept; a run that was stopped goes on from them. progress: called with the
    number of rows of every part.

    Sequences shorter than the oracle's are put in the middle between unknown symbols (the odd one
    on the right); longer ones are refused. Raises GeneqError for these, for another alphabet, and
    for scores that are not finite.
    """
    about = (library.alphabet, library.length)
    plan = _plan(*about, oracle, targets, reduce, reverse_complement)
    reduced = by_row(reduce) if reduce not in (None, COMPONENT) else None
    check_memory(4 * library.n_rows * len(plan.targets), "Scores take", "Make fewer rows")
    recipe, tokens = _recipe(library), []
    parts, first = [], 0
    for part in _stream(library, recipe, threads):
        name = _digest(plan, recipe, first, part)
        parts.append(_kept(folder, name, partial(_scored, plan, reduced, first, part)))
        first += len(part)
        if recipe is None:
            tokens.append(part)
        if progress:
            progress(len(part))
    y = first_component(parts) if reduce == COMPONENT else np.concatenate(parts)
    names = [oracle.targets[i] for i in plan.targets]
    known = np.concatenate(tokens) if recipe is None else None
    return Mave(recipe, known, library.alphabet, y, names, oracle=plan.described())


def score_tokens(
    tokens: np.ndarray,
    oracle: Oracle,
    targets: list[str] | None = None,
    reduce: str | None = None,
    reverse_complement: bool = False,
) -> np.ndarray:
    """Scores float32[n, targets] of DNA, uint8[n, length], as `score` makes them of a library.

    reduce: not by the principal component, which is that of a library.
    """
    plan = _plan("dna", tokens.shape[1], oracle, targets, reduce, reverse_complement)
    reduced = None if reduce is None else by_row(reduce)
    step = max(1, PART[device().type] // tokens.shape[1])
    firsts = range(0, len(tokens), step)
    parts = [_scored(plan, reduced, first, tokens[first : first + step]) for first in firsts]
    return np.concatenate([np.empty((0, len(plan.targets)), np.float32), *parts])


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
        raise GeneqError(f"{oracle.name} reads the symbols {oracle.alphabet}",
                         value=f"{symbols} of the library")  # fmt: skip
    unknown = sorted(set(targets or []) - set(oracle.targets))
    if unknown:
        raise GeneqError(f"{oracle.name} has no such target", value=", ".join(unknown),
                         fix=f"There are: {', '.join(oracle.targets)}")  # fmt: skip
    if targets and len(set(targets)) < len(targets):
        raise GeneqError("A target is named once", value=", ".join(targets))
    chosen = [oracle.targets.index(name) for name in targets or oracle.targets]
    other_strand = reverse_complement and oracle.strand != "both"
    return Plan(oracle, alphabet, chosen, reduce, *padding(length, oracle), other_strand)


def padding(length: int, oracle: Oracle) -> tuple[int, int]:
    """Unknown symbols to put on the left and on the right of sequences."""
    missing = 0 if oracle.length is None else oracle.length - length
    if missing < 0:
        raise GeneqError(f"{oracle.name} reads at most {oracle.length:,} symbols",
                         value=f"{length:,} of the library",
                         fix="Make the library of a part of its sequence")  # fmt: skip
    if missing and getattr(oracle, "tss", None) is not None:
        raise GeneqError(
            f"{oracle.name} reads {oracle.length:,} symbols with the TSS at index {oracle.tss}",
            value=f"{length:,} symbols of the library",
            fix="Make the library of the whole sequence, mutated in windows",
        )
    return missing // 2, missing - missing // 2


def _recipe(library: Library | LibraryFile) -> Library | None:
    """The recipe; None for that of a file which cannot be made here."""
    if isinstance(library, Library):
        return library
    try:
        return library.recipe
    except GeneqError:
        return None


def _stream(
    library: Library | LibraryFile, recipe: Library | None, threads: int
) -> Iterator[np.ndarray]:
    """Tokens in parts; of a file, checked against its recipe."""
    first, rows = 0, max(1, PART[device().type] // library.length)
    for tokens in library.stream(rows, threads=threads):
        if recipe is not None and recipe is not library:
            wanted = recipe.tokens(first, first + len(tokens), threads)
            other = (tokens != wanted).any(1)
            if other.any():
                raise GeneqError("A row is not what the recipe of the library makes",
                                 value=f"row {first + other.argmax()} (0-based)",
                                 file=library.path)  # fmt: skip
        first += len(tokens)
        yield tokens


# --- scores -----------------------------------------------------------------------------------


def _scored(plan: Plan, reduced: Callable | None, first: int, tokens: np.ndarray) -> np.ndarray:
    """float32[rows, targets]; [rows, bins, targets] where profiles are reduced all together.

    reduced: what reduces them otherwise. first: number of the first row, for errors.
    """
    if plan.left or plan.right:
        sides = (plan.left, plan.right)
        tokens = np.pad(tokens, ((0, 0), sides), constant_values=len(plan.oracle.alphabet))
    scores = _predicted(plan, tokens)
    if plan.other_strand:
        other = _predicted(plan, encoding.reverse_complement(tokens, plan.alphabet))
        # The bins of a profile run the other way there.
        scores = (scores + (other[:, ::-1] if other.ndim == 3 else other)) / np.float32(2)
    check_finite(scores.reshape(len(tokens), -1), "Scores", first=first)
    return scores if reduced is None else _reduced(plan, reduced, scores)


def _predicted(plan: Plan, tokens: np.ndarray) -> np.ndarray:
    """float32: what the oracle gives for the targets that are wanted."""
    oracle, scores = plan.oracle, plan.oracle.predict(tokens)
    axes = 2 if plan.reduce is None else 3
    if scores.ndim == axes and scores.shape[:: axes - 1] == (len(tokens), len(oracle.targets)):
        return np.ascontiguousarray(scores[..., plan.targets], np.float32)
    wanted = "[rows, targets]" if axes == 2 else "[rows, bins, targets], to be reduced"
    raise GeneqError(
        f"{oracle.name} must give {wanted}",
        value=f"{list(scores.shape)} for {len(tokens)} rows and {len(oracle.targets)} targets",
        fix="Profiles, and only they, need a reduction",
    )


def _reduced(plan: Plan, reduced: Callable, profiles: np.ndarray) -> np.ndarray:
    scores = np.asarray(reduced(profiles), np.float32)
    if scores.shape != (len(profiles), len(plan.targets)):
        raise GeneqError("A reduction must give [rows, targets]", value=str(scores.shape))
    return scores


# --- parts that are kept ----------------------------------------------------------------------


def _digest(plan: Plan, recipe: Library | None, first: int, tokens: np.ndarray) -> str:
    """Name of the scores of `tokens`, which are the rows of the recipe from `first` on."""
    digest = hashlib.sha256(json.dumps([plan.described(), plan.targets]).encode())
    if recipe is None:
        digest.update(np.ascontiguousarray(tokens))
    else:
        digest.update(f"\0{recipe.to_json()}\0{first}\0{len(tokens)}".encode())
    return digest.hexdigest()


def _kept(folder: str | Path | None, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The scores called `name` in `folder`; where they are not there or not whole, new ones."""
    if folder is None:
        return make()
    path = Path(folder) / f"{name}.npy"
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        scores = make()
    with written_whole(path) as temporary:
        np.save(temporary, scores, allow_pickle=False)
    return scores

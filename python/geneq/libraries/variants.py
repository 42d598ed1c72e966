"""Variants of a VCF as pairs of sequences in genome context: the reference, the alternative."""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pandas as pd

from .. import _ext
from ..checks import check_int
from ..errors import GeneqError
from ..genome import Genome
from ..tally import Tally
from ..vcf import leave_out, lengths, normalised, read_vcf
from .base import Library

__all__ = ["VariantLibrary"]

SIDES = ("left", "right", "centre")
# Rows that are filled in one step.
BATCH = 4096
# Bases of a window: more than any contig has, and far from the limit of int64.
LONGEST = 2**40


@dataclass(frozen=True, repr=False)
class VariantLibrary(Library):
    """Reference and alternative of every variant of a VCF, each in its genome context.

    Rows 2i and 2i + 1 are the reference and the alternative of variant i. Variants have the order
    of the file, and each alternative allele of a multi-allelic line is a variant. They are placed
    in their normal form (`geneq.vcf.normalised`), so the same edit gives the same rows in every
    spelling.

    Parameters
    ----------
    genome : str
        Folder that `geneq genes` wrote.
    vcf : str
        File of the variants; see `geneq.vcf.read_vcf` for what is skipped and what is refused.
    window : int
        Length of the rows. They are on the genome's forward strand, with N beyond the ends of the
        contig.
    anchor : int, optional
        Column of the variant's first reference base (for an insertion, of the base right of it);
        the middle by default.
    keep : {"left", "right", "centre"}
        What keeps its column when the alternative has another length. "left": the sequence left
        of the variant; the rest moves, and the right end is trimmed or filled from the genome.
        "right": the sequence right of the variant; the left end is trimmed or filled. "centre":
        the middle of the variant; both ends move, the left one by the smaller half of a deletion
        or the larger half of an insertion.
    digest, sha256 : str, optional
        Of the genome and of the VCF file; computed from them by default.

    Raises
    ------
    GeneqError
        The genome or the VCF does not have the digest of the recipe, no variant is left, or
        window, anchor or keep is invalid.

    Notes
    -----
    A variant with an allele that is not completely in the window is skipped, and counted in
    `skipped` under does_not_fit.
    """

    kind: ClassVar[str] = "variants"

    genome: str
    vcf: str
    window: int
    anchor: int | None = None
    keep: str = "left"
    digest: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("genome", "vcf"):
            object.__setattr__(self, name, os.fspath(getattr(self, name)))
        self._check_window()
        self._check_digest("digest", Genome(self.genome).digest, "genome")
        self._check_digest("sha256", _sha256(self.vcf), "vcf")
        _ = self._pairs  # refuses a VCF without usable variants

    @cached_property
    def _pairs(self) -> "_Pairs":
        return _pairs(self, Genome(self.genome))

    def _check_window(self) -> None:
        if self.alphabet != "dna":
            raise GeneqError("The alphabet of variants is 'dna'", value=self.alphabet)
        window = check_int(self.window, "window", 1, LONGEST)
        anchor = window // 2 if self.anchor is None else self.anchor
        object.__setattr__(self, "window", window)
        object.__setattr__(self, "anchor", check_int(anchor, "anchor", 0, window - 1))
        if self.keep not in SIDES:
            raise GeneqError(f"keep must be one of {', '.join(SIDES)}", value=str(self.keep))

    def _check_digest(self, name: str, found: str, what: str) -> None:
        """Store the digest; it must be that of the recipe, where it has one."""
        wanted = getattr(self, name)
        if wanted not in (None, found):
            raise GeneqError(
                f"The {what} is not the one that the recipe was made with",
                value=f"{name} {found}, in the recipe {wanted}",
                file=getattr(self, what),
                fix=f"Give that {what}, or write a new recipe",
            )
        object.__setattr__(self, name, found)

    @property
    def n_rows(self) -> int:
        """Twice the number of variants."""
        return 2 * len(self._pairs.table)

    @property
    def length(self) -> int:
        """Length of a row."""
        return self.window

    @property
    def skipped(self) -> dict[str, dict]:
        """Alleles that were skipped: {reason: {"n": alleles, "examples": at most 5}}."""
        return self._pairs.skipped

    def design(self, start: int = 0, stop: int | None = None) -> pd.DataFrame:
        """Describe rows [start, stop).

        Returns
        -------
        pd.DataFrame
            row, variant, allele ("ref" or "alt"), chrom, pos (1-based), id, ref, alt (as in the
            VCF, upper case), offset: the column where the allele begins in the normal form, which
            has no bases that ref and alt share.
        """
        rows = np.arange(*self._range(start, stop))
        table = self._pairs.table.loc[rows // 2].reset_index(drop=True)
        columns = table[["chrom", "pos", "id", "ref", "alt"]]
        made = {"row": rows, "variant": rows // 2, "allele": np.array(["ref", "alt"])[rows % 2]}
        return pd.DataFrame({**made, **columns, "offset": self._pairs.edits[rows, 2]})

    def _fill(self, start: int, stop: int, out: np.ndarray, threads: int) -> None:
        for first in range(start, stop, BATCH):
            last = min(first + BATCH, stop)
            self._pairs.fill(first, last, out[first - start : last - start], threads)


@dataclass(frozen=True)
class _Pairs:
    """The variants of a library and how their rows are made.

    table, skipped: as in `Variants`. chroms: a name per row; edits: int64[row, 5] and bases
    (tokens) as `Genome.edited` takes them.
    """

    genome: Genome
    table: pd.DataFrame
    skipped: dict[str, dict]
    chroms: list[str]
    edits: np.ndarray
    bases: np.ndarray

    def fill(self, first: int, last: int, out: np.ndarray, threads: int) -> None:
        """Tokens of rows [first, last) into `out`."""
        edits = self.edits[first:last]
        begin, end = edits[0, 3], edits[-1, 4]
        self.genome.edited(
            self.chroms[first:last],
            edits - [0, 0, 0, begin, begin],
            self.bases[begin:end],
            out,
            threads,
        )


def _pairs(recipe: VariantLibrary, genome: Genome) -> _Pairs:
    """The variants of the recipe's VCF that fit the genome and the window."""
    variants, left_out = read_vcf(recipe.vcf, genome), Tally()
    normal = normalised(variants.table, genome)
    sizes = np.stack([lengths(normal["ref"]), lengths(normal["alt"])], axis=1)
    places = recipe.anchor + _shifts(sizes[:, 0] - sizes[:, 1], recipe.keep)
    fit = ((places >= 0) & (places + sizes <= recipe.window)).all(axis=1)
    table = leave_out(variants.table, np.where(fit, "", "does_not_fit"), left_out)
    skipped = {**variants.skipped, **left_out.as_dict()}
    if table.empty:
        counts = ", ".join(f"{found['n']} {reason}" for reason, found in skipped.items())
        raise GeneqError(
            "The VCF has no usable variant", value=counts or "it has none", file=recipe.vcf
        )
    bases = "".join(normal.loc[fit, ["ref", "alt"]].to_numpy().ravel())
    return _Pairs(
        genome,
        table.reset_index(drop=True),
        skipped,
        chroms=np.repeat(table["chrom"].to_numpy(), 2).tolist(),
        edits=_edits(normal.loc[fit, "start"].to_numpy(), sizes[fit], places[fit]),
        bases=_ext.tokens(bases.encode()),
    )


def _edits(starts: np.ndarray, sizes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """int64[row, 5] of variants that begin at `starts`; sizes, places: int64[variant, 2]."""
    ends = np.cumsum(sizes)
    starts, stops = np.repeat([starts, starts + sizes[:, 0]], 2, axis=1)
    return np.stack([starts, stops, places.ravel(), ends - sizes.ravel(), ends], axis=1)


def _shifts(lost: np.ndarray, keep: str) -> np.ndarray:
    """int64[variant, 2]: by how many columns reference and alternative begin right of the anchor.

    lost: int64[variant], length of the reference minus that of the alternative.
    """
    shift = {"left": 0 * lost, "right": lost, "centre": lost // 2}[keep]
    return np.stack([0 * lost, shift], axis=1)


def _sha256(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise GeneqError("The VCF cannot be read", value=error.strerror, file=path) from None

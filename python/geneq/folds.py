"""Folds and splits: which genes are trained on together and which are kept apart.

`fold` (0…4) groups units that are never divided: whole chromosomes, blocks of at least 1 Mb, or
clusters of similar promoters. `split` (train, valid, test) is the division for a single run.
`family` numbers genes that are similar although their units differ: paralogs, mostly. A gene is
never tested with a network that was trained on another member of its family (`for_run`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from .artifacts import SPLITS
from .errors import GeneqError
from .genome import bare

__all__ = ["N_FOLDS", "Folds", "across", "assign", "for_run"]

N_FOLDS = 5
VALID_CHROMS = ("chr10",)
TEST_CHROMS = ("chr8", "chr9")
BLOCK = 1_000_000
CHROMOSOMES, BLOCKS, CLUSTERS = "chromosomes", "blocks", "clusters"

NAMES_FIX = (
    "Name chromosomes that have genes, and leave some for training, with --valid_chroms and "
    "--test_chroms"
)
EMPTY_FIX = {
    CHROMOSOMES: NAMES_FIX,
    BLOCKS: "The genome is too short for blocks of 1 Mb. " + NAMES_FIX,
    CLUSTERS: "Give more promoters that differ from one another",
}


@dataclass(frozen=True)
class Folds:
    """Folds of a gene table.

    Attributes
    ----------
    fold : ndarray of int8[gene]
        0…4; -1 for genes that cannot be in a fold (their window crosses the edge of a block).
    split : ndarray of object[gene]
        train, valid or test; "" where fold is -1.
    family : ndarray of int32[gene]
        Genes of different units that are similar share a number; -1 for all others.
    about : dict
        How the folds were made, for `genes.json`.
    """

    fold: np.ndarray
    split: np.ndarray
    family: np.ndarray
    about: dict


def assign(
    genes: pd.DataFrame,
    pairs: np.ndarray,
    window: tuple[int, int] | None,
    lengths: dict[str, int] | None,
    valid_chroms: list[str] | None,
    test_chroms: list[str] | None,
    seed: int,
) -> Folds:
    """Folds of a gene table.

    By chromosome where chromosomes are named, or where the default ones (valid chr10, test chr8
    and chr9) exist. Otherwise by blocks where there are positions (by chromosome if no
    chromosome is long enough to be divided), and by clusters of similar promoters where not.

    Parameters
    ----------
    genes : DataFrame
        gene_id, chrom, tss, strand.
    pairs : ndarray of int[2, pairs]
        Rows of `genes` with similar DNA, as from `similarity.similar_pairs`.
    window : (first, end) or None
        Window around the TSS in nt; None for promoters.
    lengths : dict of str to int, or None
        Length of every contig; None for promoters.
    valid_chroms, test_chroms : list of str, or None
        None where the user named none.
    seed : int
        Of folds by blocks or clusters.

    Returns
    -------
    Folds

    Raises
    ------
    GeneqError
        A named chromosome does not exist, or a part has no genes.
    """
    named = valid_chroms is not None or test_chroms is not None
    valid = list(VALID_CHROMS) if valid_chroms is None else valid_chroms
    test = list(TEST_CHROMS) if test_chroms is None else test_chroms
    there = {bare(chrom) for chrom in (lengths or genes["chrom"])} - {""}
    if named:
        _check_named(valid, test, there, genes)
    present = any(bare(name) in there for name in [*valid, *test])
    if named or (present and (genes["chrom"] != "").all()):
        return _by_chromosome(genes["chrom"], valid, test, pairs)
    absent = [name for name in [*valid, *test] if bare(name) not in there]
    if lengths is not None and window is not None:
        return _by_block(genes, window, lengths, seed, pairs, absent)
    return _by_cluster(len(genes), seed, pairs, absent)


def _check_named(valid: list[str], test: list[str], there: set[str], genes: pd.DataFrame) -> None:
    both = {bare(name) for name in valid} & {bare(name) for name in test}
    if both:
        raise GeneqError(
            "A chromosome cannot be in both --valid_chroms and --test_chroms",
            value=", ".join(sorted(both)),
            fix=NAMES_FIX,
        )
    absent = [name for name in [*valid, *test] if bare(name) not in there]
    if absent:
        raise GeneqError(
            "A chromosome of --valid_chroms or --test_chroms does not exist",
            value=", ".join(absent),
            fix=f"The chromosomes are: {', '.join(sorted(there)[:30]) or 'none'}",
        )
    if (genes["chrom"] == "").any():
        gene = genes.loc[(genes["chrom"] == "").idxmax(), "gene_id"]
        raise GeneqError(
            "--valid_chroms and --test_chroms need the chromosome of every gene",
            value=f"{gene} has none",
            fix="Omit these options: folds are then clusters of similar promoters",
        )


def _by_chromosome(
    chroms: pd.Series, valid: list[str], test: list[str], pairs: np.ndarray
) -> Folds:
    """Whole chromosomes to folds, balanced by number of genes; the split by the names given."""
    names = chroms.map(bare)
    split = np.full(len(chroms), "train", dtype=object)
    split[names.isin([bare(name) for name in valid])] = "valid"
    split[names.isin([bare(name) for name in test])] = "test"
    codes = np.unique(chroms.astype(str), return_inverse=True)[1]
    about = {"by": CHROMOSOMES, "valid_chroms": valid, "test_chroms": test}
    return _checked(codes, _fold_of(codes), split, pairs, about)


def _by_block(
    genes: pd.DataFrame,
    window: tuple[int, int],
    lengths: dict[str, int],
    seed: int,
    pairs: np.ndarray,
    absent: list[str],
) -> Folds:
    """Blocks to folds; genes whose window crosses the edge of a block get fold -1.

    A contig is divided evenly into as many blocks as it has complete megabases (at least one).
    """
    first, last = _reach(genes, window)
    length = genes["chrom"].map(lengths).to_numpy()
    blocks = np.maximum(1, length // BLOCK)
    width = length / blocks
    # The part of a window that is off its contig crosses no edge.
    left = np.floor(first.clip(0) / width).astype(int)
    right = np.floor(np.minimum(last, length - 1) / width).astype(int)
    inside = left == right
    keys = genes["chrom"].astype(str).to_numpy() + ":" + left.astype(str)
    codes = np.full(len(genes), -1)
    codes[inside] = np.unique(keys[inside], return_inverse=True)[1]
    fold = _fold_of(codes, seed)
    split = _split_of(fold, 0)
    about: dict = {"by": BLOCKS, "block_nt": BLOCK, "n_blocks": int(codes.max(initial=-1)) + 1}
    if (blocks == 1).all():
        chroms = {part: sorted(set(genes["chrom"][split == part])) for part in SPLITS}
        about = {"by": CHROMOSOMES, "valid_chroms": chroms["valid"], "test_chroms": chroms["test"]}
    return _checked(codes, fold, split, pairs, {**about, "seed": seed, "absent": absent})


def _reach(genes: pd.DataFrame, window: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """First and last base of every gene's window on the forward strand."""
    tss, minus = genes["tss"].to_numpy(), (genes["strand"] == "-").to_numpy()
    first = np.where(minus, tss - window[1] + 1, tss + window[0])
    return first, first + window[1] - window[0] - 1


def _by_cluster(n_genes: int, seed: int, pairs: np.ndarray, absent: list[str]) -> Folds:
    """Genes with similar promoters to the same fold: all that are linked by similar pairs."""
    codes = _components(n_genes, pairs)
    fold = _fold_of(codes, seed)
    about = {"by": CLUSTERS, "n_clusters": int(codes.max(initial=-1)) + 1, "seed": seed}
    return _checked(codes, fold, _split_of(fold, 0), pairs, {**about, "absent": absent})


def _components(n: int, pairs: np.ndarray) -> np.ndarray:
    """Number int[n] of the group of each item; `pairs` int[2, m] link items."""
    links = sparse.coo_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(n, n))
    return sparse.csgraph.connected_components(links.tocsr(), directed=False)[1]


def _families(codes: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Family int32[gene]: linked by similar pairs of different units; -1 for no such gene.

    Pairs of one unit are always in one fold, and most of them are neighbours whose windows
    overlap: with them a family would be everything.
    """
    a, b = codes[pairs[0]], codes[pairs[1]]
    group = _components(len(codes), pairs[:, (a >= 0) & (b >= 0) & (a != b)])
    related = np.bincount(group, minlength=1)[group] > 1
    family = np.full(len(codes), -1, dtype=np.int32)
    family[related] = np.unique(group[related], return_inverse=True)[1]
    return family


def across(family: np.ndarray | pd.Series, part: np.ndarray | pd.Series) -> np.ndarray:
    """Genes that have a relative in another part.

    Parameters
    ----------
    family : int[gene]
        As in the gene table: -1 for genes without relatives.
    part : [gene]
        Fold or split of each gene.

    Returns
    -------
    ndarray of bool[gene]
    """
    family = np.asarray(family)
    parts = pd.Series(np.asarray(part)).groupby(family).transform("nunique").to_numpy()
    return (family >= 0) & (parts > 1)


def _fold_of(codes: np.ndarray, seed: int | None = None) -> np.ndarray:
    """Fold int[gene] of genes in the units `codes`; -1 for those in no unit."""
    fold, inside = np.full(len(codes), -1), codes >= 0
    fold[inside] = balanced(np.bincount(codes[inside]), seed)[codes[inside]]
    return fold


def balanced(sizes: np.ndarray, seed: int | None = None) -> np.ndarray:
    """Fold int[unit] such that folds have about equally many genes.

    Units are assigned, the largest first, to the fold with the fewest genes so far. With a `seed`
    units of equal size are taken in random order and folds are numbered at random; without one
    both follow the order of the units.
    """
    order, number = np.arange(len(sizes)), np.arange(N_FOLDS)
    if seed is not None:
        rng = np.random.default_rng(seed)
        order, number = rng.permutation(order), rng.permutation(number)
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold, held = np.zeros(len(sizes), dtype=int), np.zeros(N_FOLDS, dtype=int)
    for unit in order:
        fold[unit] = held.argmin()
        held[fold[unit]] += sizes[unit]
    return number[fold]


def _split_of(fold: np.ndarray, test_fold: int) -> np.ndarray:
    """Split of each gene: one fold is tested, the next one is for validation."""
    split = np.full(len(fold), "train", dtype=object)
    split[fold == test_fold] = "test"
    split[fold == (test_fold + 1) % N_FOLDS] = "valid"
    split[fold < 0] = ""
    return split


def _checked(
    codes: np.ndarray, fold: np.ndarray, split: np.ndarray, pairs: np.ndarray, about: dict
) -> Folds:
    counts = _counts(split)
    if not all(counts.values()):
        unit = about["by"]
        raise GeneqError(
            f"The split by {unit} leaves a part without genes",
            value=_listed(counts),
            # Chromosomes that are too few for five folds, none of them long enough for blocks.
            fix=EMPTY_FIX[BLOCKS if "absent" in about and unit == CHROMOSOMES else unit],
        )
    family = _families(codes, pairs)
    about = {
        **about,
        "genes_per_fold": np.bincount(fold[fold >= 0], minlength=N_FOLDS).tolist(),
        "split": counts,
        "n_families": int(family.max(initial=-1)) + 1,
        "relatives_in_other_fold": int(across(family, fold).sum()),
        "relatives_in_other_part": int(across(family, split).sum()),
    }
    return Folds(fold.astype(np.int8), split, family, about)


def _counts(split: np.ndarray | pd.Series) -> dict[str, int]:
    return {part: int((split == part).sum()) for part in SPLITS}


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{part} {n}" for part, n in counts.items())


def for_run(genes: pd.DataFrame, test_fold: int | None) -> pd.DataFrame:
    """The genes of one run, with their split.

    Training and validation genes of a family that is tested are dropped, so that no gene is
    tested with a model that saw a relative of it.

    Parameters
    ----------
    genes : DataFrame
        The gene table.
    test_fold : int or None
        None for the table's own split. k = 0…4 tests fold k, validates on fold k + 1 (0 after 4)
        and trains on the others.

    Returns
    -------
    DataFrame
        The remaining rows of `genes`, with `split` for this run.

    Raises
    ------
    GeneqError
        `test_fold` is another number, or a part has no genes.
    """
    if test_fold is not None:
        if test_fold not in range(N_FOLDS):
            raise GeneqError(f"--test_fold must be 0 to {N_FOLDS - 1}", value=test_fold)
        genes = genes.assign(split=_split_of(genes["fold"].to_numpy(), test_fold))
    tested = genes["split"] == "test"
    relative = genes["family"].isin(genes.loc[tested & (genes["family"] >= 0), "family"])
    genes = genes[tested | ~relative]
    counts = _counts(genes["split"])
    if test_fold is not None and not all(counts.values()):
        raise GeneqError(
            f"Fold {test_fold} as test leaves a part without genes",
            value=_listed(counts),
            fix="Cross-validation needs genes in all five folds: run without it",
        )
    return genes

"""Folds and splits: which genes are trained on together and which are kept apart.

`fold` (0…4) groups units that must not be torn apart: whole chromosomes, blocks of at least 1 Mb,
or clusters of similar promoters. `split` (train, valid, test) is the division for a single run.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from .artifacts import SPLITS
from .errors import GeneqError
from .genome import bare

N_FOLDS = 5
VALID_CHROMS = ("chr10",)
TEST_CHROMS = ("chr8", "chr9")
BLOCK = 1_000_000

# Clusters of promoters: the length of k-mers, how many of a sequence stand for it, which share
# of them makes two sequences similar, and how many sequences may hold a k-mer that still counts.
K, SKETCH, SIMILAR, REPEAT = 14, 64, 0.25, 500

NAMES_FIX = (
    "Name chromosomes that hold genes, and leave some for training, with --valid_chroms and "
    "--test_chroms"
)


@dataclass(frozen=True)
class Folds:
    """fold: int8[gene]; -1 for genes that no fold may hold. split: object[gene] ("" for those).

    about: how they were made, for `genes.json`.
    """

    fold: np.ndarray
    split: np.ndarray
    about: dict


def assign(
    genes: pd.DataFrame,
    window: tuple[int, int] | None,
    lengths: dict[str, int] | None,
    sequences: list[list[np.ndarray]] | None,
    valid_chroms: list[str] | None,
    test_chroms: list[str] | None,
    seed: int,
) -> Folds:
    """Folds of the gene table `genes` (chrom, tss, strand).

    By chromosomes where some are named, or where the default ones (valid chr10, test chr8 and
    chr9) are there. Else by blocks where `lengths` of the contigs and the `window` [first, end)
    around the TSS are given, and by clusters of similar `sequences` (tokens of the promoters of
    each gene) where they are. Raises GeneqError when a part is left empty.
    """
    named = valid_chroms is not None or test_chroms is not None
    valid = list(VALID_CHROMS) if valid_chroms is None else valid_chroms
    test = list(TEST_CHROMS) if test_chroms is None else test_chroms
    there = {bare(chrom) for chrom in (lengths or genes["chrom"])} - {""}
    if named:
        _check_named(valid, test, there, genes)
    present = any(bare(name) in there for name in [*valid, *test])
    if named or (present and (genes["chrom"] != "").all()):
        return by_chromosome(genes["chrom"], valid, test)
    if lengths is not None:
        return by_block(genes, window, lengths, seed)
    return by_cluster(sequences, seed)


def _check_named(valid: list[str], test: list[str], there: set[str], genes: pd.DataFrame) -> None:
    both = {bare(name) for name in valid} & {bare(name) for name in test}
    if both:
        raise GeneqError(
            "A chromosome cannot be for validation and test at once",
            value=", ".join(sorted(both)),
            fix=NAMES_FIX,
        )
    absent = [name for name in [*valid, *test] if bare(name) not in there]
    if absent:
        raise GeneqError(
            "A chromosome of --valid_chroms or --test_chroms is not there",
            value=", ".join(absent),
            fix=f"There are: {', '.join(sorted(there)[:30]) or 'none'}",
        )
    if (genes["chrom"] == "").any():
        gene = genes.loc[(genes["chrom"] == "").idxmax(), "gene_id"]
        raise GeneqError(
            "--valid_chroms and --test_chroms need the chromosome of every gene",
            value=f"{gene} has none",
            fix="Leave them out: similar promoters are then kept together",
        )


def by_chromosome(chroms: pd.Series, valid: list[str], test: list[str]) -> Folds:
    """Whole chromosomes to folds, balanced by gene number; the named ones to the split."""
    names = chroms.map(bare)
    split = np.full(len(chroms), "train", dtype=object)
    split[names.isin(map(bare, valid))] = "valid"
    split[names.isin(map(bare, test))] = "test"
    units, codes = np.unique(chroms.astype(str), return_inverse=True)
    fold = balanced(np.bincount(codes, minlength=len(units)))[codes]
    about = {"by": "chromosomes", "valid_chroms": list(valid), "test_chroms": list(test)}
    return _checked(fold, split, about)


def by_block(
    genes: pd.DataFrame, window: tuple[int, int], lengths: dict[str, int], seed: int
) -> Folds:
    """Blocks to folds; genes whose window crosses the edge of a block get fold -1.

    A contig is divided evenly into as many blocks as it has whole megabases (at least one).
    """
    first, last = _reach(genes, window)
    length = genes["chrom"].map(lengths).to_numpy()
    blocks = np.maximum(1, length // BLOCK)
    width = length / blocks
    # A window that hangs over the end of its contig crosses no edge.
    left = np.floor(first.clip(0) / width).astype(int)
    right = np.floor(np.minimum(last, length - 1) / width).astype(int)
    whole = left == right
    keys = genes["chrom"].astype(str).to_numpy() + ":" + left.astype(str)
    units, codes = np.unique(keys[whole], return_inverse=True)
    fold = np.full(len(genes), -1)
    fold[whole] = balanced(np.bincount(codes, minlength=len(units)), seed)[codes]
    about = {"by": "blocks", "block_nt": BLOCK, "n_blocks": len(units), "seed": seed}
    return _by_fold(fold, about)


def _reach(genes: pd.DataFrame, window: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """First and last base of every gene's window on the forward strand."""
    tss, minus = genes["tss"].to_numpy(), (genes["strand"] == "-").to_numpy()
    first = np.where(minus, tss - window[1] + 1, tss + window[0])
    return first, first + window[1] - window[0] - 1


def by_cluster(sequences: list[list[np.ndarray]], seed: int) -> Folds:
    """Genes with similar promoters to the same fold.

    A sequence is stood for by its 64 canonical 14-mers of lowest hash (all of a short one); two
    are similar when they share a quarter of the smaller such set, and what is linked by similar
    sequences is one cluster (the MinHash bottom sketch of Broder 1997). 14-mers in more than 500
    sequences are repeats and do not count. A gene's promoters are one cluster.
    """
    owner = np.repeat(np.arange(len(sequences)), [len(group) for group in sequences])
    sketches = [_sketch(tokens) for group in sequences for tokens in group]
    similar = _similar(sketches)
    belongs = sparse.csr_array((np.ones(len(owner)), (owner, np.arange(len(owner)))))
    linked = belongs @ similar @ belongs.T
    n_clusters, cluster = sparse.csgraph.connected_components(linked, directed=False)
    fold = balanced(np.bincount(cluster, minlength=n_clusters), seed)[cluster]
    return _by_fold(fold, {"by": "clusters", "n_clusters": int(n_clusters), "seed": seed})


def _sketch(tokens: np.ndarray) -> np.ndarray:
    """The lowest hashes uint64[≤ SKETCH] of the canonical k-mers of `tokens`; none over N."""
    if len(tokens) < K:
        return np.empty(0, dtype=np.uint64)
    powers = np.uint64(4) ** np.arange(K, dtype=np.uint64)
    frames = np.lib.stride_tricks.sliding_window_view(tokens, K)
    frames = frames[(frames < 4).all(axis=1)].astype(np.uint64)
    canonical = np.minimum(frames @ powers, (3 - frames[:, ::-1]) @ powers)
    return np.unique(_mixed(canonical))[:SKETCH]


def _mixed(codes: np.ndarray) -> np.ndarray:
    """A fixed bijection of uint64 that looks random: the finaliser of SplitMix64."""
    codes = (codes ^ (codes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    codes = (codes ^ (codes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return codes ^ (codes >> np.uint64(31))


def _similar(sketches: list[np.ndarray]) -> sparse.csr_array:
    """bool[sequence, sequence]: do two sequences share enough of their sketches?"""
    sizes = np.array([len(sketch) for sketch in sketches])
    hashes, column = np.unique(np.concatenate(sketches), return_inverse=True)
    row = np.repeat(np.arange(len(sketches)), sizes)
    rare = np.bincount(column, minlength=len(hashes))[column] <= REPEAT
    shape = (len(sketches), len(hashes))
    holds = sparse.csr_array((np.ones(rare.sum()), (row[rare], column[rare])), shape=shape)
    shared = (holds @ holds.T).tocoo()
    enough = shared.data >= SIMILAR * np.minimum(sizes[shared.row], sizes[shared.col])
    pairs = (shared.row[enough], shared.col[enough])
    return sparse.csr_array((np.ones(enough.sum()), pairs), shape=shared.shape)


def balanced(sizes: np.ndarray, seed: int | None = None) -> np.ndarray:
    """Fold int[unit] such that folds hold about equally many genes.

    Units go, the largest first, to the fold that holds least so far. With a `seed` equal ones are
    taken in random order and the folds are numbered at random; else both follow the units' order.
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


def _by_fold(fold: np.ndarray, about: dict) -> Folds:
    """Fold 0 is the test part, fold 1 the validation part, the others train."""
    return _checked(fold, _split_of(fold, 0), about)


def _split_of(fold: np.ndarray, test_fold: int) -> np.ndarray:
    split = np.full(len(fold), "train", dtype=object)
    split[fold == test_fold] = "test"
    split[fold == (test_fold + 1) % N_FOLDS] = "valid"
    split[fold < 0] = ""
    return split


def _checked(fold: np.ndarray, split: np.ndarray, about: dict) -> Folds:
    counts = _counts(split)
    if not all(counts.values()):
        where = {
            "chromosomes": NAMES_FIX,
            "blocks": "The genome is too short for blocks of 1 Mb; " + NAMES_FIX,
            "clusters": "Give more promoters that differ from one another",
        }
        raise GeneqError(
            f"The split by {about['by']} leaves a part without genes",
            value=", ".join(f"{part} {n}" for part, n in counts.items()),
            fix=where[about["by"]],
        )
    genes = np.bincount(fold[fold >= 0], minlength=N_FOLDS).tolist()
    return Folds(fold.astype(np.int8), split, {**about, "genes_per_fold": genes, "split": counts})


def _counts(split: np.ndarray) -> dict[str, int]:
    return {part: int((split == part).sum()) for part in SPLITS}


def split_for(genes: pd.DataFrame, test_fold: int | None) -> pd.Series:
    """The split (train, valid, test) of the gene table for a run.

    test_fold: None takes the table's own split; k = 0…4 takes fold k for test, fold k + 1 (0 after
    4) for validation and the others for training. Raises GeneqError for another number, and when
    a part holds no genes.
    """
    if test_fold is None:
        return genes["split"]
    if test_fold not in range(N_FOLDS):
        raise GeneqError(f"--test_fold must be 0 to {N_FOLDS - 1}", value=test_fold)
    split = _split_of(genes["fold"].to_numpy(), test_fold)
    counts = _counts(split)
    if not all(counts.values()):
        raise GeneqError(
            f"Fold {test_fold} as test leaves a part without genes",
            value=", ".join(f"{part} {n}" for part, n in counts.items()),
            fix="Cross-validation needs genes in all five folds: run without it",
        )
    return pd.Series(split, index=genes.index, name="split")

"""Score the DNA around every gene with oracles, bin by bin.

Writes a block for each oracle, gene × bin × class: over bins of a window around the TSS on the
gene's strand, or over thirds of a promoter; and blocks of gene features, a table of numbers for
each gene. Genes can be divided among tasks (--shard I/N), whose results are then joined (--join).

Scores of some genes at a time are saved in OUT.parts, so that a run that was stopped continues when
it is started again; then OUT is written, a chunk at a time.
"""

import hashlib
import json
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from .._ext import CODE_DIGEST
from ..artifacts import GENES, read_object
from ..binning import (
    ANNOTATION,
    as_text,
    check_within,
    described,
    of_promoter,
    parse_edge_lists,
)
from ..checks import parse_shard
from ..errors import GeneqError
from ..features import Block, Features, of_genome
from ..gene_features import of_annotation, of_table
from ..genome import Genome
from ..oracles import STRANDS, BinnedOracle, Oracle, device, load_oracles
from ..oracles.base import check_build, flanked
from ..oracles.classes import with_classes_of_one
from ..oracles.feeding import Fitting, distinct_rows
from ..oracles.network import PRECISIONS
from ..oracles.saved import is_saved, kept
from ..oracles.tiling import DEFAULT_TILE, TiledOracle, binned
from ..oracles.trial import precision_error, seconds_each
from ..progress import Progress, duration
from ..rows import Rows, SavedArray, Values

__all__ = ["add_arguments", "featurize", "run"]

# A step: genes that are scored and saved together. At most so many genes, symbols that the model
# reads (seconds to minutes of work) and scores (64 MB).
GENES_AT_A_TIME, SCORES_AT_A_TIME = 4096, 2**24
SYMBOLS_AT_A_TIME = {"cpu": 2**20, "cuda": 2**25}
# Windows on which the error of reduced precision is measured.
TRIAL_WINDOWS = 128
# Bytes of the scores of a genome by one oracle; for more, --keep_outputs is needed.
LARGEST = 4e9
UNKNOWN = 4


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq featurize`."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--genome_dir", help="folder written by `geneq genes`")
    what.add_argument("--join", nargs="+", metavar="SHARD", help="join shards, in this order")
    parser.add_argument(
        "--oracle",
        default="motifs:core",
        help="TYPE:NAME, or several side by side as TYPE:NAME+TYPE:NAME (default: motifs:core)",
    )
    parser.add_argument(
        "--bin_edges",
        help="nt from the TSS, or fractions of a promoter's length; one list for all oracles, or "
        "one for each, separated by /",
    )
    parser.add_argument(
        "--max_classes",
        type=int,
        default=40,
        help="maximum number of sequence classes of a motif oracle (default: 40)",
    )
    parser.add_argument(
        "--strands",
        choices=STRANDS,
        default="auto",
        help="both: a class is scored on both strands of the DNA together; split: on the gene's "
        "strand and on the other; auto: both for motifs, split for k-mers",
    )
    parser.add_argument(
        "--tile",
        type=int,
        help="nt between the inputs of a model of fixed length with one row of outputs "
        f"(default: {DEFAULT_TILE})",
    )
    parser.add_argument(
        "--classes",
        metavar="FILE",
        help="table of classes, whose scores replace the outputs of the one oracle that has them",
    )
    parser.add_argument(
        "--gene_features",
        metavar="TABLE",
        help="numbers for each gene: TSV, CSV (plain or gzip) or parquet, gene ids in the column "
        "gene_id or in the first one",
    )
    parser.add_argument(
        "--annotation_features",
        action="store_true",
        help="lengths and exons of a transcript of each gene, from the GTF",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="precision of networks (default: float32); the error is measured and stored",
    )
    parser.add_argument(
        "--keep_outputs",
        action="store_true",
        help=f"store more than {LARGEST / 1e9:g} GB of scores of an oracle",
    )
    parser.add_argument("--shard", default="1/1", help="I/N: the I-th of N parts of the genes")
    parser.add_argument("--out", required=True, help="output folder, e.g. features.zarr")


def run(args: Namespace) -> None:
    """Write the features of a shard, or join shards."""
    parts = Path(f"{args.out.rstrip('/')}.parts")
    if args.join:
        features = Features.join([Features.open(path) for path in args.join], args.join)
    else:
        features = featurize(
            args.genome_dir,
            load_oracles(args.oracle, args.max_classes, args.strands, args.precision),
            args.bin_edges,
            parse_shard(args.shard),
            args.threads,
            args.gene_features,
            args.annotation_features,
            args.tile,
            args.classes,
            args.keep_outputs,
            parts,
        )
    features.write(args.out)
    shutil.rmtree(parts, ignore_errors=True)
    print("\n".join(_summary(features)))


def _summary(features: Features):
    yield f"{len(features.gene_id):,} genes"
    for block in features.blocks:
        _, bins, classes = block.values.shape
        if not block.is_table:
            yield f"{block.name}: {bins} bins, {classes} classes"
            continue
        yield f"{block.name}: {classes} gene features"
        if lacking := {name: n for name, n in block.meta["missing"].items() if n}:
            counts = ", ".join(f"{name} {n:,}" for name, n in lacking.items())
            yield f"{block.name}: genes without a value, which get the median: {counts}"


def featurize(
    genome_dir: str | Path,
    oracles: Sequence[Oracle],
    bin_edges: str | None = None,
    shard: tuple[int, int] = (1, 1),
    threads: int = 1,
    gene_features: str | Path | None = None,
    annotation_features: bool = False,
    tile: int | None = None,
    classes: str | Path | None = None,
    keep_outputs: bool = False,
    folder: Path | None = None,
) -> Features:
    """Features of the genes of a genome.

    Parameters
    ----------
    genome_dir : path
        Folder that `geneq genes` wrote.
    oracles : sequence of Oracle
        With different names. Those without per-bin outputs are tiled, see `oracles.tiling.binned`.
    bin_edges : str or None
        As on the command line; None takes those of the gene table.
    shard : (I, N)
        The I-th of N parts of the genes.
    threads : int
    gene_features : path, optional
        A table of gene features.
    annotation_features : bool
        Add those that `geneq genes` read from the GTF.
    tile : int, optional
        nt between the inputs of models of fixed length; DEFAULT_TILE if not given.
    classes : path, optional
        A table of classes, for the one oracle that has its outputs.
    keep_outputs : bool
        Allow more than LARGEST bytes of scores of an oracle.
    folder : Path, optional
        Where scored parts are saved, and left: a run that was stopped continues from them. The time
        it will take, and progress, are then printed on stderr. Without it scores stay in memory.

    Returns
    -------
    Features
        A block for each oracle, then the tables; with quantiles if shard is (1, 1).

    Raises
    ------
    GeneqError
        An oracle neither has per-bin outputs nor can be tiled, has a score that is not finite, or
        was trained on another build of the genome;
        `tile` is given, but no oracle is tiled; `classes` is no table for exactly one oracle; there
        are neither one nor as many lists of bin edges as oracles; a window is larger than that of
        the gene table; gene features cannot be used; or the scores are too large for the disk, or
        to be stored without `keep_outputs`.
    """
    genome_dir = Path(genome_dir)
    about = _about(genome_dir)
    table = GENES.read(genome_dir / "genes.parquet")
    edges = _edges(bin_edges, len(oracles), about, genome_dir)
    sources = _sources(oracles, edges, about["mode"], tile, classes)
    rows = np.array_split(np.arange(len(table)), shard[1])[shard[0] - 1]
    tables = _tables(table["gene_id"].to_numpy(), about, genome_dir, gene_features,
                     annotation_features)  # fmt: skip
    _check_size(sources, edges, len(table), len(rows), keep_outputs, folder)
    genes, genome = table.iloc[rows], Genome(genome_dir)
    for source in sources:
        check_build(source.oracle, genome)
    scorers = [
        _scorer(source, own, genome, about, threads)
        for source, own in zip(sources, edges, strict=True)
    ]
    blocks = [_block(scorer, genes, folder) for scorer in scorers]
    blocks += [replace(block, values=block.values[rows]) for block in tables]
    features = Features(genes["gene_id"].to_numpy(), blocks, of_genome(about), shard)
    return features.complete() if shard == (1, 1) else features


def _about(genome_dir: Path) -> dict:
    """genes.json."""
    path = genome_dir / "genes.json"
    about = read_object(path)
    if "gene_features" not in about:
        raise GeneqError("The gene table was written by an earlier version of geneq", file=path,
                         fix="Run `geneq genes` again")  # fmt: skip
    return about


class Source(NamedTuple):
    """An oracle with per-bin outputs, and how it got them.

    meta: tile, if it is tiled; classes_file, the SHA-256 of the table of classes, if it has one.
    """

    oracle: BinnedOracle
    meta: dict


def _sources(
    oracles: Sequence[Oracle],
    edges: list[list[float]],
    mode: str,
    tile: int | None,
    classes: str | Path | None,
) -> list[Source]:
    """Every oracle with per-bin outputs, one of them with classes if there are any."""
    plain = [
        binned(oracle, DEFAULT_TILE if tile is None else tile, _first(own, mode))
        for oracle, own in zip(oracles, edges, strict=True)
    ]
    metas = [{"tile": o.tile} if isinstance(o, TiledOracle) else {} for o in plain]
    if tile is not None and not any(metas):
        raise GeneqError(
            "--tile applies only to models of fixed length with one row of outputs",
            value=f"{tile}, but the oracle is {' and '.join(oracle.name for oracle in oracles)}",
            fix="Remove --tile",
        )
    if classes is None:
        return list(map(Source, plain, metas))
    final = with_classes_of_one(plain, classes)
    used = {"classes_file": hashlib.sha256(Path(classes).read_bytes()).hexdigest()}
    return [
        Source(new, meta if new is old else meta | used)
        for new, old, meta in zip(final, plain, metas, strict=True)
    ]


def _first(edges: list[float], mode: str) -> int:
    """Position of the first edge relative to the TSS; promoters are tiled from their first base."""
    return int(edges[0]) if mode == ANNOTATION else 0


def _edges(text: str | None, oracles: int, about: dict, genome_dir: Path) -> list[list[float]]:
    """Bin edges of each oracle, within the window of the gene table."""
    lists = about["bin_edges"] if text is None else parse_edge_lists(text, about["mode"])
    if len(lists) not in (1, oracles):
        raise GeneqError(
            f"--bin_edges must be one list for all oracles or {oracles}, one for each",
            value=as_text(lists),
            fix="Separate lists by /",
        )
    check_within(lists, about["bin_edges"], genome_dir / "genes.json")
    return lists * oracles if len(lists) == 1 else lists


def _tables(
    gene_id: np.ndarray, about: dict, genome_dir: Path, table: str | Path | None, annotation: bool
) -> list[Block]:
    """Blocks of gene features of all genes."""
    blocks = [of_table(table, gene_id)] if table else []
    return blocks + ([of_annotation(genome_dir, about, gene_id)] if annotation else [])


# --- size -------------------------------------------------------------------------------------


def _check_size(
    sources: list[Source],
    edges: list[list[float]],
    all_genes: int,
    genes: int,
    keep_outputs: bool,
    folder: Path | None,
) -> None:
    """Raises GeneqError if the scores of the genome are too large, or those of this shard for the
    disk."""
    columns = [(len(own) - 1) * len(source.oracle.targets)
               for source, own in zip(sources, edges, strict=True)]  # fmt: skip
    for source, count in zip(sources, columns, strict=True):
        if 4 * all_genes * count > LARGEST and not keep_outputs:
            raise GeneqError(
                f"The scores of {source.oracle.name} are too large to be used as features",
                value=f"{all_genes:,} genes × {count:,} columns take "
                f"{4e-9 * all_genes * count:,.1f} GB",
                fix="Give a table of --classes (`geneq classes` makes one) or fewer --bin_edges, "
                "or store all of it with --keep_outputs",
            )
    # The parts and the features themselves.
    needed = 2 * 4 * genes * sum(columns)
    free = shutil.disk_usage(_existing(folder)).free if folder else needed
    if needed > free:
        raise GeneqError(
            "There is not enough disk space for the scores and their parts",
            value=f"{needed / 1e9:,.1f} GB, {free / 1e9:,.1f} GB are free",
            file=folder,
            fix="Give a table of --classes, fewer --bin_edges, or smaller shards",
        )


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in [folder, *folder.absolute().parents] if path.is_dir())


# --- scores -----------------------------------------------------------------------------------


class Scorer(NamedTuple):
    """An oracle, its bins, and the DNA that it reads.

    edges: nt from the TSS, or fractions of a promoter. score: `oracle.predict_bins`, for as many
    rows as fit into memory. meta: that of the block.
    """

    oracle: BinnedOracle
    edges: list[float]
    genome: Genome
    about: dict
    threads: int
    score: Fitting
    meta: dict

    def scores(self, genes: pd.DataFrame) -> np.ndarray:
        """float32[genes, bins, classes]. Raises GeneqError for scores that are not finite."""
        of_genes = _window_scores if self.about["mode"] == ANNOTATION else _promoter_scores
        return of_genes(self, genes)

    def windows(self, genes: pd.DataFrame) -> int:
        """Windows that the model reads for a gene; of promoters, for the first record."""
        if self.about["mode"] == ANNOTATION:
            return self.oracle.inputs(np.array(self.edges, np.int64))
        if genes.empty:
            return 1
        tokens = self.genome.record(genes["records"].iloc[0].split(" ")[0])
        return self.oracle.inputs(of_promoter(np.array(self.edges), len(tokens)))

    @property
    def read(self) -> tuple[int, int]:
        """[first, end) around the TSS of what the oracle reads."""
        return int(self.edges[0] - self.oracle.flank), int(self.edges[-1] + self.oracle.flank)

    def genes_of_a_step(self, windows: int) -> int:
        """How many genes are scored and saved together."""
        bins, width = len(self.edges) - 1, self.edges[-1] - self.edges[0] + 2 * self.oracle.flank
        symbols = windows * int(self.oracle.length or width)
        most = SYMBOLS_AT_A_TIME[device().type] // max(1, symbols)
        scores = SCORES_AT_A_TIME // (bins * len(self.oracle.targets))
        return max(1, min(GENES_AT_A_TIME, most, scores))

    def digest(self, genes: pd.DataFrame) -> str:
        """Name of the scores of these genes: a digest of what they are made from."""
        names = [self.oracle.name, self.oracle.targets, self.oracle.precision, CODE_DIGEST]
        genome = [self.about[key] for key in ("mode", "digest", "promoter_choice")]
        text = json.dumps([names, genome, self.meta, genes["gene_id"].tolist()])
        return hashlib.sha256(text.encode()).hexdigest()


def _scorer(
    source: Source, edges: list[float], genome: Genome, about: dict, threads: int
) -> Scorer:
    oracle = source.oracle
    is_annotation = about["mode"] == ANNOTATION
    meta = {
        "hash": oracle.hash,
        "strands": oracle.strands,
        **described(edges, about["mode"]),
        "orientation": "the gene's strand" if is_annotation else "as in the promoter file",
        "trained": oracle.trained,
        "held_out": None if oracle.held_out is None else list(oracle.held_out),
        **source.meta,
    }
    if oracle.precision != "float32":
        meta["precision"] = oracle.precision
    score = Fitting(oracle.predict_bins, oracle.name, measured=False)
    return Scorer(oracle, edges, genome, about, threads, score, meta)


def _block(scorer: Scorer, genes: pd.DataFrame, folder: Path | None) -> Block:
    """The scores of one oracle, a step at a time."""
    oracle, windows = scorer.oracle, scorer.windows(genes)
    if folder and scorer.about["mode"] == ANNOTATION:
        _say_unknown(scorer, genes)
    size = scorer.genes_of_a_step(windows)
    steps = [genes.iloc[start : start + size] for start in range(0, max(1, len(genes)), size)]
    names = [scorer.digest(step) for step in steps]
    done = [is_saved(folder, name) for name in names]
    left = pd.concat([genes.iloc[:0], *(s for s, old in zip(steps, done, strict=True) if not old)])
    if folder and len(left):
        _announce(scorer, left, len(genes), windows, size)
    error = precision_error(oracle, scorer.scores, genes.iloc[: max(2, TRIAL_WINDOWS // windows)])
    progress, parts = Progress(oracle.name, len(left) * windows, "windows"), []
    for step, name, old in zip(steps, names, done, strict=True):
        scores: Values = kept(folder, name, partial(scorer.scores, step))
        parts.append(SavedArray(folder / f"{name}.npy", scores.shape) if folder else scores)
        if folder and not old:
            progress.add(len(step) * windows)
    return Block(oracle.name, Rows(parts), oracle.targets, scorer.meta, precision_error=error)


def _say_unknown(scorer: Scorer, genes: pd.DataFrame) -> None:
    """Print how many windows reach beyond their contig, or are mostly N."""
    beyond = "reach beyond their contig, where they are filled with N"
    for found, what in (
        (_beyond(scorer, genes), beyond),
        (_mostly_n(scorer, genes), "are mostly N"),
    ):
        if found.any():
            count = f"{found.sum():,} of {len(genes):,} windows"
            example = genes["gene_id"].iloc[int(found.argmax())]
            print(f"{scorer.oracle.name}: {count} {what} (such as {example})", file=sys.stderr)


def _beyond(scorer: Scorer, genes: pd.DataFrame) -> np.ndarray:
    """bool[genes]: is a part of the window not on the contig?"""
    first, end = scorer.read
    minus = (genes["strand"] == "-").to_numpy()
    left = genes["tss"].to_numpy() + np.where(minus, 1 - end, first)
    length = genes["chrom"].map(scorer.genome.lengths).to_numpy()
    return (left < 0) | (left + end - first > length)


def _mostly_n(scorer: Scorer, genes: pd.DataFrame) -> np.ndarray:
    """bool[genes]: is more than half of the window unknown?"""
    first, end = scorer.read
    found, step = np.zeros(len(genes), bool), max(1, SYMBOLS_AT_A_TIME["cuda"] // (end - first))
    for start in range(0, len(genes), step):
        part = genes.iloc[start : start + step]
        tokens = scorer.genome.windows_of(part, first, end, scorer.threads)
        found[start : start + step] = (tokens == UNKNOWN).mean(1) > 0.5
    return found


def _announce(scorer: Scorer, left: pd.DataFrame, genes: int, windows: int, size: int) -> None:
    """Print how many windows there are, and how long they will take, measured on the first ones."""
    each = seconds_each(scorer.scores, left[:size]) / windows
    count = len(left) * windows
    before = f"{genes - len(left):,} genes were scored before; " if len(left) < genes else ""
    print(
        f"{scorer.oracle.name}: {before}{count:,} windows ({len(left):,} genes × {windows:,}), "
        f"{each:.3g} s each; expected time: {duration(each * count)}",
        file=sys.stderr,
    )


def _window_scores(scorer: Scorer, genes: pd.DataFrame) -> np.ndarray:
    """float32[genes, bins, classes] of windows around the TSS; equal ones are scored once."""
    oracle, edges, (first, end) = scorer.oracle, np.array(scorer.edges), scorer.read
    tokens = scorer.genome.windows_of(genes, first, end, scorer.threads)
    distinct, which = distinct_rows(tokens)
    scores = scorer.score(tokens[distinct], edges - first)
    _check_finite(scores, oracle, genes["gene_id"].iloc[distinct])
    return scores[which]


def _check_finite(scores: np.ndarray, oracle: BinnedOracle, gene_id: pd.Series) -> None:
    """Raises GeneqError for scores [genes, bins, classes] that are not finite."""
    # Least and largest are NaN where a score is; an array of booleans would take memory.
    if scores.size and not np.isfinite([scores.min(), scores.max()]).all():
        gene, b, target = np.argwhere(~np.isfinite(scores))[0]
        raise GeneqError(
            f"A score of {oracle.name} is not a finite number",
            value=f"{scores[gene, b, target]} for gene {gene_id.iloc[gene]}, class "
            f"{oracle.targets[target]}, bin {b}",
        )


def _promoter_scores(scorer: Scorer, genes: pd.DataFrame) -> np.ndarray:
    """float32[genes, bins, classes]: of the first promoter, or mean or maximum over promoters."""
    records = genes["records"].str.split(" ")
    names = [name for group in records for name in group]
    owner = np.repeat(np.arange(len(genes)), records.str.len())
    scores = _record_scores(scorer, [scorer.genome.record(name) for name in names])
    _check_finite(scores, scorer.oracle, genes["gene_id"].iloc[owner])
    if scorer.about["promoter_choice"] == "max":
        values = np.full((len(genes), *scores.shape[1:]), -np.inf, np.float32)
        np.maximum.at(values, owner, scores)
        return values
    values = np.zeros((len(genes), *scores.shape[1:]), np.float32)
    np.add.at(values, owner, scores)
    return values / np.bincount(owner, minlength=len(genes)).astype(np.float32)[:, None, None]


def _record_scores(scorer: Scorer, sequences: list[np.ndarray]) -> np.ndarray:
    """float32[sequences, bins, classes]; sequences of one length are scored together."""
    oracle, fractions = scorer.oracle, np.array(scorer.edges)
    lengths = np.array([len(sequence) for sequence in sequences])
    scores = np.empty((len(sequences), len(fractions) - 1, len(oracle.targets)), np.float32)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        edges = of_promoter(fractions, length)
        tokens = np.stack([sequences[i] for i in rows])
        distinct, which = distinct_rows(tokens)
        found = scorer.score(*flanked(tokens[distinct], edges, oracle.flank))
        scores[rows] = found[which]
    return scores

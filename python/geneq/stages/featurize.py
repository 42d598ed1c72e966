"""Score the DNA around every gene with oracles, bin by bin.

Writes a block for each oracle, gene × bin × class: over bins of a window around the TSS on the
gene's strand, or over thirds of a promoter; and blocks of gene features, a table of numbers for
each gene. Genes can be divided among tasks (--shard I/N), whose results are then joined (--join).
"""

import hashlib
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..artifacts import GENES, read_object
from ..binning import ANNOTATION, as_text, check_within, of_promoter, parse_edge_lists
from ..errors import GeneqError
from ..features import Block, Features
from ..gene_features import of_annotation, of_table
from ..genome import Genome
from ..oracles import STRANDS, BinnedOracle, Oracle, load_oracles
from ..oracles.base import check_build
from ..oracles.classes import with_classes_of_one
from ..oracles.tiling import DEFAULT_TILE, TiledOracle, binned

__all__ = ["add_arguments", "featurize", "parse_shard", "run"]

GENES_AT_A_TIME = 4096


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
    parser.add_argument("--shard", default="1/1", help="I/N: the I-th of N parts of the genes")
    parser.add_argument("--out", required=True, help="output folder, e.g. features.zarr")


def run(args: Namespace) -> None:
    """Write the features of a shard, or join shards."""
    if args.join:
        features = Features.join([Features.read(path) for path in args.join], args.join)
    else:
        features = featurize(
            args.genome_dir,
            load_oracles(args.oracle, args.max_classes, args.strands),
            args.bin_edges,
            parse_shard(args.shard),
            args.threads,
            args.gene_features,
            args.annotation_features,
            args.tile,
            args.classes,
        )
    features.write(args.out)
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


def parse_shard(text: str) -> tuple[int, int]:
    """'I/N' with 1 ≤ I ≤ N as (I, N). Raises GeneqError for anything else."""
    part, _, parts = text.partition("/")
    if part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts):
        return int(part), int(parts)
    raise GeneqError("--shard must be I/N with 1 ≤ I ≤ N", value=text)


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
        the gene table; or gene features cannot be used.
    """
    genome_dir = Path(genome_dir)
    about = _about(genome_dir)
    table = GENES.read(genome_dir / "genes.parquet")
    edges = _edges(bin_edges, len(oracles), about, genome_dir)
    sources = _sources(oracles, edges, about["mode"], tile, classes)
    rows = np.array_split(np.arange(len(table)), shard[1])[shard[0] - 1]
    tables = _tables(table["gene_id"].to_numpy(), about, genome_dir, gene_features,
                     annotation_features)  # fmt: skip
    genes, genome = table.iloc[rows], Genome(genome_dir)
    for source in sources:
        check_build(source.oracle, genome)
    blocks = [
        _block(source, own, genes, genome, about, threads)
        for source, own in zip(sources, edges, strict=True)
    ]
    blocks += [replace(block, values=block.values[rows]) for block in tables]
    meta = {"mode": about["mode"], "genome": about["digest"]}
    if about["mode"] != ANNOTATION:
        meta["promoter_choice"] = about["promoter_choice"]
    features = Features(genes["gene_id"].to_numpy(), blocks, meta, shard)
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


def _block(
    source: Source,
    edges: list[float],
    genes: pd.DataFrame,
    genome: Genome,
    about: dict,
    threads: int,
) -> Block:
    """The scores of one oracle."""
    oracle = source.oracle
    is_annotation = about["mode"] == ANNOTATION
    if is_annotation:
        values = _window_scores(genes, genome, oracle, np.array(edges), threads)
    else:
        values = _promoter_scores(genes, genome, oracle, edges, about["promoter_choice"])
    meta = {
        "hash": oracle.hash,
        "strands": oracle.strands,
        "bin_edges": list(edges),
        "window": [edges[0], edges[-1]] if is_annotation else None,
        "tss_index": -edges[0] if is_annotation else None,
        "orientation": "the gene's strand" if is_annotation else "as in the promoter file",
        "trained": oracle.trained,
        "held_out": None if oracle.held_out is None else list(oracle.held_out),
        **source.meta,
    }
    return Block(oracle.name, values, oracle.targets, meta)


def _window_scores(
    genes: pd.DataFrame, genome: Genome, oracle: BinnedOracle, edges: np.ndarray, threads: int
) -> np.ndarray:
    """float32[genes, bins, classes] of windows around the TSS."""
    values = np.empty((len(genes), len(edges) - 1, len(oracle.targets)), np.float32)
    first, end = edges[0] - oracle.flank, edges[-1] + oracle.flank
    for start in range(0, len(genes), GENES_AT_A_TIME):
        part = genes.iloc[start : start + GENES_AT_A_TIME]
        chroms, tss, strands = (part[name].to_numpy() for name in ("chrom", "tss", "strand"))
        tokens = genome.windows(chroms, tss, strands, first, end, threads)
        scores = oracle.predict_bins(tokens, edges - first)
        _check_finite(scores, oracle, part["gene_id"])
        values[start : start + len(part)] = scores
    return values


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


def _promoter_scores(
    genes: pd.DataFrame, genome: Genome, oracle: BinnedOracle, edges: list[float], choice: str
) -> np.ndarray:
    """float32[genes, bins, classes]: of the first promoter, or mean or maximum over promoters."""
    records = genes["records"].str.split(" ")
    names = [name for group in records for name in group]
    owner = np.repeat(np.arange(len(genes)), records.str.len())
    scores = _record_scores([genome.record(name) for name in names], oracle, np.array(edges))
    _check_finite(scores, oracle, genes["gene_id"].iloc[owner])
    if choice == "max":
        values = np.full((len(genes), *scores.shape[1:]), -np.inf, np.float32)
        np.maximum.at(values, owner, scores)
        return values
    values = np.zeros((len(genes), *scores.shape[1:]), np.float32)
    np.add.at(values, owner, scores)
    return values / np.bincount(owner, minlength=len(genes)).astype(np.float32)[:, None, None]


def _record_scores(
    sequences: list[np.ndarray], oracle: BinnedOracle, fractions: np.ndarray
) -> np.ndarray:
    """float32[sequences, bins, classes]; sequences of one length are scored together."""
    lengths = np.array([len(sequence) for sequence in sequences])
    scores = np.empty((len(sequences), len(fractions) - 1, len(oracle.targets)), np.float32)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        edges = of_promoter(fractions, length)
        tokens = np.stack([sequences[i] for i in rows])
        scores[rows] = oracle.predict_bins(*_flanked(tokens, edges, oracle.flank))
    return scores


def _flanked(tokens: np.ndarray, edges: np.ndarray, flank: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens with at least `flank` bases around the edges, N beyond the sequence, and the edges."""
    before, after = max(0, flank - edges[0]), max(0, edges[-1] + flank - tokens.shape[1])
    return np.pad(tokens, [(0, 0), (before, after)], constant_values=4), edges + before

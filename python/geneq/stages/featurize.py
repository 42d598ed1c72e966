"""Score the DNA around every gene with an oracle, bin by bin.

Writes sequence-class scores, gene × bin × class: over bins of a window around the TSS on the gene's
strand, or over thirds of a promoter. Genes can be divided among tasks (--shard I/N), whose results
are then joined (--join).
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np
import pandas as pd

from ..artifacts import GENES, Features, read_json
from ..binning import ANNOTATION, of_promoter, parse_edges
from ..errors import GeneqError
from ..genome import Genome
from ..oracles import STRANDS, BinnedOracle, Oracle, load_oracle

__all__ = ["add_arguments", "featurize", "parse_shard", "run"]

GENES_AT_A_TIME = 4096


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq featurize`."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--genome_dir", help="folder written by `geneq genes`")
    what.add_argument("--join", nargs="+", metavar="SHARD", help="join shards, in this order")
    parser.add_argument("--oracle", default="motifs:core", help="TYPE:NAME (default: motifs:core)")
    parser.add_argument("--bin_edges", help="nt from the TSS, or fractions of a promoter's length")
    parser.add_argument(
        "--max_classes",
        type=int,
        default=40,
        help="maximum number of sequence classes (default: 40)",
    )
    parser.add_argument(
        "--strands",
        choices=STRANDS,
        default="auto",
        help="both: a class is scored on both strands of the DNA together; split: on the gene's "
        "strand and on the other; auto: both for motifs, split for k-mers",
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
            load_oracle(args.oracle, args.max_classes, strands=args.strands),
            args.bin_edges,
            parse_shard(args.shard),
            args.threads,
        )
    features.write(args.out)
    genes, bins, classes = features.values.shape
    print(f"{genes} genes, {bins} bins, {classes} classes")


def parse_shard(text: str) -> tuple[int, int]:
    """'I/N' with 1 ≤ I ≤ N as (I, N). Raises GeneqError for anything else."""
    part, _, parts = text.partition("/")
    if part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts):
        return int(part), int(parts)
    raise GeneqError("--shard must be I/N with 1 ≤ I ≤ N", value=text)


def featurize(
    genome_dir: str | Path,
    oracle: Oracle,
    bin_edges: str | None = None,
    shard: tuple[int, int] = (1, 1),
    threads: int = 1,
) -> Features:
    """Features of the genes of a genome.

    Parameters
    ----------
    genome_dir : path
        Folder that `geneq genes` wrote.
    oracle : Oracle
        One with per-bin outputs.
    bin_edges : str or None
        As on the command line; None takes those of the gene table.
    shard : (I, N)
        The I-th of N parts of the genes.
    threads : int

    Returns
    -------
    Features
        float32[genes, bins, classes], with what they were made from.

    Raises
    ------
    GeneqError
        The oracle has no per-bin outputs, or the window is larger than that of the gene table.
    """
    if not isinstance(oracle, BinnedOracle):
        raise GeneqError(
            "Features need an oracle with per-bin outputs",
            value=oracle.name,
            fix="Use motifs or k-mers, for example motifs:core or kmers:3",
        )
    genome_dir = Path(genome_dir)
    about = read_json(genome_dir / "genes.json")
    genes = GENES.read(genome_dir / "genes.parquet")
    genes = genes.iloc[np.array_split(np.arange(len(genes)), shard[1])[shard[0] - 1]]
    genome = Genome(genome_dir)
    edges = about["bin_edges"] if bin_edges is None else parse_edges(bin_edges, about["mode"])
    _check_window(edges, about, genome_dir)
    meta = {
        "oracle": oracle.name,
        "oracle_hash": oracle.hash,
        "strands": oracle.strands,
        "mode": about["mode"],
        "bin_edges": list(edges),
        "genome": about["digest"],
    }
    if about["mode"] == ANNOTATION:
        values = _window_scores(genes, genome, oracle, np.array(edges), threads)
        meta |= {
            "window": [edges[0], edges[-1]],
            "tss_index": -edges[0],
            "orientation": "the gene's strand",
        }
    else:
        values = _promoter_scores(genes, genome, oracle, edges, about["promoter_choice"])
        meta |= {
            "window": None,
            "tss_index": None,
            "orientation": "as in the promoter file",
            "promoter_choice": about["promoter_choice"],
        }
    return Features(values, genes["gene_id"].to_numpy(), oracle.targets, meta, shard)


def _check_window(edges: list, about: dict, genome_dir: Path) -> None:
    checked = about["bin_edges"]
    if edges[0] < checked[0] or edges[-1] > checked[-1]:
        raise GeneqError(
            f"--bin_edges must stay within the window of the gene table, [{checked[0]}, "
            f"{checked[-1]})",
            value=",".join(map(str, edges)),
            file=genome_dir / "genes.json",
            fix="Run `geneq genes` with the same --bin_edges",
        )


def _window_scores(
    genes: pd.DataFrame, genome: Genome, oracle: BinnedOracle, edges: np.ndarray, threads: int
) -> np.ndarray:
    """float32[genes, bins, classes] of windows around the TSS."""
    values = np.empty((len(genes), len(edges) - 1, len(oracle.targets)), np.float32)
    for start in range(0, len(genes), GENES_AT_A_TIME):
        part = genes.iloc[start : start + GENES_AT_A_TIME]
        chroms, tss, strands = (part[name].to_numpy() for name in ("chrom", "tss", "strand"))
        tokens = genome.windows(chroms, tss, strands, edges[0], edges[-1], threads)
        values[start : start + len(part)] = oracle.predict_bins(tokens, edges - edges[0])
    return values


def _promoter_scores(
    genes: pd.DataFrame, genome: Genome, oracle: BinnedOracle, edges: list[float], choice: str
) -> np.ndarray:
    """float32[genes, bins, classes]: of the first promoter, or mean or maximum over promoters."""
    records = genes["records"].str.split(" ")
    names = [name for group in records for name in group]
    owner = np.repeat(np.arange(len(genes)), records.str.len())
    scores = _record_scores([genome.record(name) for name in names], oracle, np.array(edges))
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
        scores[rows] = oracle.predict_bins(np.stack([sequences[i] for i in rows]), edges)
    return scores

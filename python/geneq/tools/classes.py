"""Learn sequence classes from the outputs of a model on a genome.

Scores the windows of a sample of genes, bin by bin, and groups outputs that are correlated. The
table that it writes has a row for each output: output, class, weight, mean, sd. Expression data are
not used. The table can be read and edited; `geneq.oracles.classes.with_classes` applies it.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np

from ..artifacts import GENES, read_json
from ..binning import ANNOTATION, of_promoter, parse_edges
from ..checks import check_int, check_memory
from ..errors import GeneqError
from ..genome import Genome
from ..oracles import BinnedOracle, load_oracle
from ..oracles.base import check_build
from ..oracles.classes import learned_classes
from ..oracles.tiling import DEFAULT_TILE, binned

# Genes whose windows are in memory together.
GENES_AT_A_TIME = 256
UNKNOWN = 4


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq classes`."""
    parser.add_argument("--genome_dir", required=True, help="folder written by `geneq genes`")
    parser.add_argument("--oracle", required=True, help="TYPE:NAME")
    parser.add_argument("--tile", type=int, default=DEFAULT_TILE,
                        help="nt between the windows of a model of fixed length "
                        f"(default: {DEFAULT_TILE})")  # fmt: skip
    parser.add_argument("--bin_edges", help="nt from the TSS, or fractions of a promoter's length")
    parser.add_argument("--max_classes", type=int, default=40,
                        help="maximum number of classes (default: 40)")  # fmt: skip
    parser.add_argument("--genes", type=int, default=2000,
                        help="genes to sample (default: 2000)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the sample (default: 1)")
    parser.add_argument("--out", type=Path, required=True, help="table to write, e.g. classes.tsv")


def run(args: Namespace) -> None:
    """Write the table; print the number of classes."""
    check_int(args.max_classes, "--max_classes", 1)
    check_int(args.genes, "--genes", 2)
    about = read_json(Path(args.genome_dir) / "genes.json")
    edges = bin_edges(args.bin_edges, about)
    first = int(edges[0]) if about["mode"] == ANNOTATION else 0
    oracle = binned(load_oracle(args.oracle), args.tile, first)
    check_build(oracle, Genome(args.genome_dir))
    windows = sampled_scores(args.genome_dir, oracle, edges, args.genes, args.seed, args.threads)
    classes = learned_classes(windows, oracle.targets, args.max_classes)
    classes.write(args.out)
    used = classes.table["output"].nunique()
    constant = len(oracle.targets) - used
    dropped = f" ({constant:,} more are the same in all windows)" if constant else ""
    print(f"{len(classes.names)} classes of {used:,} outputs{dropped}, from {len(windows):,} bins")


def bin_edges(text: str | None, about: dict) -> list:
    """Edges as on the command line, by default those of the gene table.

    text: "a,b,…" or None. about: genes.json, whose edges are one list, or a list of lists, one for
    each oracle. Raises GeneqError if there are several.
    """
    if text:
        return parse_edges(text, about["mode"])
    lists = about["bin_edges"] if isinstance(about["bin_edges"][0], list) else [about["bin_edges"]]
    if len(lists) > 1:
        raise GeneqError(
            "The gene table has bins for several oracles",
            value=f"{len(lists)} lists of edges",
            fix="Choose those of this oracle with --bin_edges",
        )
    return lists[0]


def sampled_scores(
    genome_dir: str | Path, oracle: BinnedOracle, edges: list, genes: int, seed: int, threads: int
) -> np.ndarray:
    """Outputs on the bins of a sample of genes.

    Parameters
    ----------
    genome_dir : path
        Folder that `geneq genes` wrote.
    oracle : BinnedOracle
    edges : list
        Edges of bins: nt from the TSS, or fractions of a promoter's length.
    genes : int
        Size of the sample; all genes if there are fewer.
    seed : int
    threads : int

    Returns
    -------
    float32[genes × bins, outputs]

    Raises
    ------
    GeneqError
        If scores do not fit into memory, or are not finite.
    """
    table = GENES.read(Path(genome_dir) / "genes.parquet")
    order = np.random.default_rng(seed).permutation(len(table))[:genes]
    table = table.iloc[np.sort(order)]
    # Scores, the same standardised, and correlations.
    outputs, rows = len(oracle.targets), len(table) * (len(edges) - 1)
    check_memory(8 * rows * outputs + 24 * outputs**2, "Scores and correlations take",
                 "Sample fewer --genes")  # fmt: skip
    genome = Genome(genome_dir)
    is_annotation = read_json(Path(genome_dir) / "genes.json")["mode"] == ANNOTATION
    make = _window_parts if is_annotation else _promoter_parts
    parts = [
        oracle.predict_bins(tokens, places).reshape(-1, outputs)
        for tokens, places in make(table, genome, oracle.flank, np.array(edges), threads)
    ]
    values = np.concatenate([np.zeros((0, outputs), np.float32), *parts])
    if not np.isfinite(values).all():
        raise GeneqError(f"{oracle.name}: scores of bins must be finite")
    return values


def _window_parts(table, genome: Genome, flank: int, edges: np.ndarray, threads: int):
    """Tokens of windows around the TSS, and their edges, some genes at a time."""
    first, end = edges[0] - flank, edges[-1] + flank
    for start in range(0, len(table), GENES_AT_A_TIME):
        part = table.iloc[start : start + GENES_AT_A_TIME]
        yield genome.windows_of(part, first, end, threads), edges - first


def _promoter_parts(table, genome: Genome, flank: int, edges: np.ndarray, threads: int):
    """Tokens and edges of the first promoter of each gene, N beyond it."""
    for record in table["records"].str.split(" ").str[0]:
        tokens = genome.record(record)
        places = of_promoter(edges, len(tokens)) + flank
        yield np.pad(tokens, flank, constant_values=UNKNOWN)[None], places

"""The motif oracle on the CPU: windows of 2,048 nt scored with the core motifs in the default bins,
beside a plain NumPy scan and, if it is installed, lightmotif (a scanner in Rust with SIMD).

All run on one thread, on the same windows, and give the same scores, log mean affinity by bin.
geneq also computes base composition, which the peers do not.

Then the peak memory of `geneq featurize` for a table of 1,000 genes and for one that has them 60
times: 3-mers in the default bins, and a small tiled network with 64 outputs (--quick: 2 times).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from figures import Figure, Figures, print_table, timed, write_json
from geneq.artifacts import GENES
from geneq.binning import ANNOTATION, parse_edges
from geneq.oracles import load_oracle

SEED = 1
FLOORS = {"NumPy": 1.5, "lightmotif": 0.25}
FEW_GENES, TIMES = 1_000, 60
# Of the peak with FEW_GENES, what it may be with TIMES as many: tables of genes are in memory.
GROWTH = 1.2
NETWORK = """
import torch
from geneq.oracles.network import NetworkOracle

def make():
    torch.manual_seed(1)
    net = torch.nn.Sequential(
        torch.nn.Conv1d(4, 32, 9), torch.nn.ReLU(), torch.nn.AdaptiveMaxPool1d(1),
        torch.nn.Flatten(), torch.nn.Linear(32, 64),
    )
    return NetworkOracle("small network", net, 128, [f"class {i}" for i in range(64)])
"""
best = partial(timed, runs=2, clock=time.perf_counter)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="200 genes: under a minute")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures = measure(200 if args.quick else args.genes, guarded=not args.quick)
    figures |= memory(2 if args.quick else TIMES)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


def measure(genes: int, guarded: bool) -> Figures:
    """Genes and site scores per second; ratio: our rate divided by the peer's."""
    oracle = load_oracle("motifs:core")
    edges = np.array(parse_edges(None, ANNOTATION))
    edges = edges - edges[0]
    tokens = np.random.default_rng(SEED).integers(0, 4, (genes, edges[-1])).astype(np.uint8)
    tokens[:, :5] = 4
    matrices = [motif.log_odds() for motif in oracle.motifs]
    sites = 2 * sum(edges[-1] - len(matrix) + 1 for matrix in matrices)
    ours, scores = best(oracle.predict_bins, tokens, edges)
    peers = {"NumPy": (np.asarray, numpy_scan)}
    if find_spec("lightmotif"):
        peers["lightmotif"] = (striped, lightmotif_scan)
    figures: Figures = {}
    for name, peer in peers.items():
        # The peers are slow, and rates do not depend on the number of genes.
        part = tokens[: max(100, genes // 10)]
        seconds, theirs = best(bin_scores, part, edges, matrices, *peer)
        np.testing.assert_allclose(theirs, scores[: len(part), :, : len(matrices)], atol=1e-3)
        for unit, scale in (("genes/s", 1), ("million sites/s", sites / 1e6)):
            figures[f"featurize {unit}, {genes:,} genes, one thread, beside {name}"] = Figure(
                round(genes / ours * scale, 1),
                unit,
                round(len(part) / seconds * scale, 1),
                round(genes / ours / (len(part) / seconds), 2),
                FLOORS[name] if guarded else None,
            )
    return figures


def memory(times: int) -> Figures:
    """Peak memory of the command with many genes, beside that with few."""
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "net.py").write_text(NETWORK)
        few, many = gene_tables(folder, times)
        oracles = {"kmers:3": ["kmers:3"], "a small network": [f"python:{folder / 'net.py'}:make",
                   "--bin_edges=-512,0,512", "--tile", "256"]}  # fmt: skip
        for oracle, words in oracles.items():
            small, large = (peak(genes, words, folder / "f.zarr") for genes in (few, many))
            figures[f"featurize memory, {FEW_GENES * times:,} genes, {oracle}"] = Figure(
                large, "MB", small, GROWTH * small / large, 1.0,
                f"at most {GROWTH} times that of {FEW_GENES:,} genes",
            )  # fmt: skip
    return figures


def gene_tables(folder: Path, times: int) -> tuple[Path, Path]:
    """Folders as of `geneq genes`: of FEW_GENES, and of the same genes so many times."""
    rng = np.random.default_rng(SEED)
    with open(folder / "g.fa", "w") as fasta, open(folder / "g.gtf", "w") as gtf:
        for i in range(1, 11):
            fasta.write(f">chr{i}\n{''.join(rng.choice(list('ACGT'), 500_000))}\n")
            for gene in range(FEW_GENES // 10):
                place, strand = 3_000 + 4_900 * gene, "+-"[gene % 2]
                fields = [f"chr{i}", "x", "gene", place, place + 200, ".", strand, "."]
                gtf.write("\t".join(map(str, [*fields, f'gene_id "c{i}g{gene}";'])) + "\n")
    few, many = folder / "few", folder / "many"
    files = ["--fasta", folder / "g.fa", "--gtf", folder / "g.gtf"]
    command("genes", "--genome", "g", *files, "--out", few)
    many.mkdir()
    for path in few.iterdir():
        (many / path.name).symlink_to(path)
    (many / "genes.parquet").unlink()
    table = GENES.read(few / "genes.parquet")
    repeated = pd.concat([table.assign(gene_id=table["gene_id"] + f"_{i}") for i in range(times)])
    GENES.write(repeated.reset_index(drop=True), many / "genes.parquet")
    return few, many


def peak(genes: Path, oracle: list[str], out: Path) -> float:
    """Largest resident memory of `geneq featurize`, in MB."""
    return command("featurize", "--genome_dir", genes, "--oracle", *oracle, "--out", out)


def command(*words) -> float:
    """Run geneq on one thread; its largest resident memory, in MB."""
    line = [sys.executable, "-m", "geneq.cli", *map(str, words), "--threads", "1"]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"geneq {words[0]} failed")
    return usage.ru_maxrss / 1e3


def bin_scores(tokens, edges, matrices: list, prepare: Callable, scan: Callable) -> np.ndarray:
    """float32[genes, bins, motifs] by a peer's scan of the tokens in its own form."""
    n, length = tokens.shape
    prepared = prepare(tokens)
    scores = np.empty((n, len(edges) - 1, len(matrices)), np.float32)
    for m, matrix in enumerate(matrices):
        left = len(matrix) // 2
        right = length - (len(matrix) - 1 - left)
        counts = np.diff(np.clip(edges, left, right))
        affinity = np.zeros((n, length), np.float32)
        for strand in (matrix, matrix[::-1, ::-1]):
            affinity[:, left:right] += np.exp(scan(prepared, strand))
        sums = np.add.reduceat(affinity, edges[:-1], axis=1)
        scores[:, :, m] = np.log(sums / (2 * counts))
    return scores


def numpy_scan(tokens: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """float32[genes, positions]: log-odds at every start."""
    table = np.concatenate([matrix, np.zeros((len(matrix), 1), np.float32)], axis=1)
    positions = tokens.shape[1] - len(matrix) + 1
    score = np.zeros((len(tokens), positions), np.float32)
    for i, row in enumerate(table):
        score += row[tokens[:, i : i + positions]]
    return score


def striped(tokens: np.ndarray) -> list:
    """lightmotif's form of the sequences."""
    import lightmotif

    symbols = np.frombuffer(b"ACGTN", np.uint8)
    return [lightmotif.stripe(symbols[row].tobytes().decode()) for row in tokens]


def lightmotif_scan(sequences: list, matrix: np.ndarray) -> np.ndarray:
    """The same as `numpy_scan`, for striped sequences."""
    import lightmotif

    columns = {base: matrix[:, i].tolist() for i, base in enumerate("ACGT")}
    scanner = lightmotif.ScoringMatrix({**columns, "N": [0.0] * len(matrix)})
    scored = [scanner.calculate(sequence) for sequence in sequences]
    return np.stack([np.asarray(score).reshape(-1)[: len(score)] for score in scored])


if __name__ == "__main__":
    sys.exit(main())

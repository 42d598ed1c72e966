"""K-mer frequencies on the CPU: windows of 2,048 nt in the default bins, k-mers of 3 and of 6 on
the gene's strand, beside the same in NumPy (codes by shifted products, counts by bincount).

Both run on one thread, on the same windows, and give the same frequencies. Seconds are those of the
processor, which other work on the machine does not add to.
"""

import argparse
import sys
import time
from functools import partial

import numpy as np
import torch

from figures import Figure, Figures, print_table, timed, write_json
from geneq.binning import ANNOTATION, parse_edges
from geneq.oracles import load_oracle

SEED = 1
FLOORS = {3: 4.0, 6: 6.0}
best = partial(timed, runs=3, clock=time.process_time)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", type=int, default=5000)
    parser.add_argument("--quick", action="store_true", help="500 genes: under a minute")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    genes = 500 if args.quick else args.genes
    figures: Figures = {}
    for k in FLOORS:
        figures |= measure(k, genes, guarded=not args.quick)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


def measure(k: int, genes: int, guarded: bool) -> Figures:
    """Genes per second; ratio: our rate divided by that of NumPy."""
    oracle = load_oracle(f"kmers:{k}")
    edges = np.array(parse_edges(None, ANNOTATION))
    edges = edges - edges[0]
    tokens = np.random.default_rng(SEED).integers(0, 4, (genes, edges[-1])).astype(np.uint8)
    tokens[:, 100:105] = 4
    # NumPy is slow.
    part = tokens[: max(100, genes // 10)]
    theirs, expected = best(frequencies, part, edges, k)
    ours, found = best(oracle.predict_bins, tokens, edges)
    np.testing.assert_allclose(found[: len(part)], expected, atol=1e-6)
    rate, peer = genes / ours, len(part) / theirs
    name = f"kmers:{k}, genes/s, {genes:,} genes, one thread, beside NumPy"
    floor = FLOORS[k] if guarded else None
    return {name: Figure(round(rate), "genes/s", round(peer), round(rate / peer, 1), floor)}


def frequencies(tokens: np.ndarray, edges: np.ndarray, k: int) -> np.ndarray:
    """float32[genes, bins, 4^k] in NumPy: one bincount over all genes and bins."""
    genes, length = tokens.shape
    starts, classes, bins = length - k + 1, 4**k, len(edges) - 1
    code, known = np.zeros((genes, starts), np.int64), np.ones((genes, starts), bool)
    for place in range(k):
        base = tokens[:, place : place + starts]
        code = 4 * code + base
        known &= base < 4
    bin_of = np.searchsorted(edges, np.arange(starts) + k // 2, "right") - 1
    cell = (np.arange(genes)[:, None] * bins + bin_of) * classes + code
    counts = np.bincount(cell[known], minlength=genes * bins * classes)
    counts = counts.reshape(genes, bins, classes)
    totals = counts.sum(2, keepdims=True)
    return (counts / np.maximum(totals, 1)).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())

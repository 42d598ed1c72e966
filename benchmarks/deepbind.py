"""DeepBind networks on the CPU: 515 networks with random weights, in the shapes of the published
ones, on windows of 2,048 nt in the default bins.

Beside the speed of the matrix product (counted is what a convolution of one-hot needs, 8 operations
for each base, position of a detector and strand; geneq adds up rows of tables instead, so it can be
faster) and beside a plain torch loop over networks, strands and bins for 8 genes at a time, which
gives the same scores. Seconds on one thread are those of the processor, which other work on the
machine does not add to; those on two threads are elapsed seconds.
"""

import argparse
import sys
import time
from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional

from figures import Figure, Figures, print_table, timed, write_json
from geneq.binning import ANNOTATION, parse_edges
from geneq.oracles.deepbind import DeepBindOracle, Network

SEED = 1
DETECTORS, HIDDEN = 16, 32
# Networks of DNA by width of their detectors; those with a hidden layer are a third of them.
WIDTHS = {14: 13, 20: 308, 24: 164, 32: 24, 36: 6}
SIDE = 1536
CLOCKS = {1: time.process_time, 2: time.perf_counter}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", type=int, default=256)
    parser.add_argument("--quick", action="store_true", help="64 genes: under a minute")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    figures = measure(64 if args.quick else args.genes, guarded=not args.quick)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


def measure(genes: int, guarded: bool) -> Figures:
    """Genes per second; ratio to the matrix product's speed and to the plain loop."""
    networks = random_networks()
    oracle = DeepBindOracle("deepbind:random", list(map(str, range(len(networks)))), networks)
    edges = np.array(parse_edges(None, ANNOTATION))
    edges = edges - edges[0]
    tokens = np.random.default_rng(SEED).integers(0, 5, (genes, edges[-1])).astype(np.uint8)
    work = operations(networks, edges) * genes / 1e9
    figures: Figures = {}
    for threads, clock in CLOCKS.items():
        torch.set_num_threads(threads)
        product = product_rate(clock)
        seconds, found = timed(oracle.predict_bins, tokens, edges, runs=2, clock=clock)
        about = f"{genes:,} genes, {threads} thread{'s'[: threads - 1]}"
        figures[f"DeepBind genes/s, {about}"] = Figure(round(genes / seconds, 1), "genes/s")
        figures[f"DeepBind GFLOP/s, {about}, beside the matrix product"] = Figure(
            round(work / seconds),
            "GFLOP/s",
            round(product),
            round(work / seconds / product, 2),
            0.5 if guarded else None,
        )
        if threads == 1:
            # The loop is slow.
            part = tokens[:8]
            theirs, expected = timed(plain_loop, part, edges, networks, runs=1, clock=clock)
            np.testing.assert_allclose(found[: len(part)], expected, atol=1e-3)
            rate, peer = genes / seconds, len(part) / theirs
            figures[f"DeepBind genes/s, {about}, beside a loop over networks"] = Figure(
                round(rate, 1),
                "genes/s",
                round(peer, 2),
                round(rate / peer, 1),
                10.0 if guarded else None,
            )
    return figures


def random_networks() -> list[Network]:
    rng = np.random.default_rng(SEED)
    networks = []
    for width, count in WIDTHS.items():
        for i in range(count):
            hidden = HIDDEN if i % 3 == 0 else 0
            shapes = [(width, 4, DETECTORS), (DETECTORS,), (DETECTORS, hidden or 1)]
            shapes += [(hidden or 1,), (hidden,), (min(hidden, 1),)]
            arrays = [rng.normal(0, 0.1, shape).astype(np.float32) for shape in shapes]
            networks.append(Network(True, False, *arrays))
    return networks


def operations(networks: list[Network], edges: np.ndarray) -> int:
    """Multiplications and additions of the detectors on one gene, both strands."""
    return sum(
        2 * 2 * DETECTORS * 4 * net.width * sum(b - a + net.width - 1 for a, b in pairwise(edges))
        for net in networks
    )


def product_rate(clock) -> float:
    """GFLOP/s of torch's product of two square float32 matrices."""
    a = torch.randn(SIDE, SIDE)
    seconds, _ = timed(lambda a: a @ a if len(a) == SIDE else a, a, runs=5, clock=clock)
    return 2 * SIDE**3 / seconds / 1e9


@torch.inference_mode()
def plain_loop(tokens: np.ndarray, edges: np.ndarray, networks: list[Network]) -> np.ndarray:
    """float32[genes, bins, networks], one network, strand and bin after the other."""
    table = torch.cat([torch.eye(4), torch.full((1, 4), 0.25)])
    x = table[torch.from_numpy(tokens).long()].transpose(1, 2)
    scores = torch.empty(len(tokens), len(edges) - 1, len(networks))
    for n, net in enumerate(networks):
        weights = [torch.from_numpy(array) for array in net.arrays]
        forward = weights[0].permute(2, 1, 0).contiguous()
        side = net.width - 1
        for b, (start, end) in enumerate(pairwise(edges)):
            padded = functional.pad(x[:, :, start:end], (side, side), value=0.25)
            strands = [
                dense(functional.conv1d(padded, kernel, weights[1]).relu().amax(2), weights[2:])
                for kernel in (forward, forward.flip(1, 2))
            ]
            scores[:, b, n] = torch.maximum(*strands)
    return scores.numpy()


def dense(features: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    weights1, biases1, weights2, biases2 = weights
    first = features @ weights1 + biases1
    return first.relu() @ weights2 + biases2 if len(weights2) else first[:, 0]


if __name__ == "__main__":
    sys.exit(main())

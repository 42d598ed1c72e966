"""Deep oracles on a GPU, with random weights: one-hot, DeepSTARR, Sei, DeepBind.

A share of the peak is that of the speed of a large matrix product in the same precision, measured
here; float32 is without TensorFloat-32. How long the GPU waits for DNA is the time of the complete
road (sequences made or cut on the CPU, copied as tokens, scores copied back) beyond that of the
network alone on tokens that are on the GPU. Errors are those of `oracles.trial.precision_error`.
Sei's networks have the published shapes (WIDTH, PROFILES); the last lines are the hours of 20,000
genes at its rate. It takes less than four minutes, of which 20 s are for making and hashing Sei's
weights. Without a GPU only --quick runs: every part in a small form, whose figures mean nothing.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from deepbind import operations as deepbind_operations
from deepbind import random_networks
from deepstarr import MODELS, deepstarr, library
from figures import Figure, Figures, at_most, print_table, write_json
from geneq import _ext
from geneq.binning import ANNOTATION, parse_edges
from geneq.oracles import device, one_hot
from geneq.oracles.deepbind import DeepBindOracle
from geneq.oracles.network import PRECISIONS, NetworkOracle
from geneq.oracles.scoring import score
from geneq.oracles.sei import SeiNetwork, SeiOracle
from geneq.oracles.sei.files import SeiFiles
from geneq.oracles.sei.network import LENGTH, PROFILES, WIDTH
from geneq.oracles.tiling import binned
from geneq.oracles.trial import precision_error
from sei import operations as sei_operations

SEED = 1
CLASSES, GENES, WINDOWS = 40, 20_000, (32, 80)
# Operations that DeepSTARR takes for a sequence.
DEEPSTARR = 19.6e6


class Sizes(NamedTuple):
    """How much is computed: symbols of one-hot, rows of DeepSTARR, genes of Sei and of DeepBind
    (and its networks), Sei's shape, and the side of the matrices."""

    symbols: int = 2**28
    rows: int = 2**21
    sei_genes: int = 16
    deepbind_genes: int = 2048
    networks: int = 515
    width: int = WIDTH
    profiles: int = PROFILES
    side: int = 8192


QUICK = Sizes(2**16, 64, 1, 4, 20, 12, 60, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="every part in a small form")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    if not torch.cuda.is_available() and not args.quick:
        sys.exit("benchmarks/gpu.py needs a GPU that torch can use (CUDA), and there is none; "
                 "--quick runs every part in a small form on the CPU")  # fmt: skip
    print(torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU: on the CPU")
    sizes, figures = QUICK if args.quick else Sizes(), {}
    for part in (one_hot_rate, deepstarr_rates, sei_rates, deepbind_rate):
        figures |= part(sizes)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


# --- measuring --------------------------------------------------------------------------------


def seconds(function: Callable[[], object], runs: int = 3) -> float:
    """Of the fastest run after a first one."""
    function()
    taken = []
    for _ in range(runs):
        finish()
        start = time.perf_counter()
        function()
        finish()
        taken.append(time.perf_counter() - start)
    return min(taken)


def finish() -> None:
    """Wait for the GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def product_rate(precision: str, side: int) -> float:
    """Operations per second of a product of two square matrices."""
    kind = PRECISIONS[precision] or torch.float32
    a = torch.rand(side, side, device=device(), dtype=kind)
    return 2 * side**3 / seconds(lambda: a @ a, 10)


def network_seconds(oracle: NetworkOracle, tokens: np.ndarray, batch: int) -> float:
    """Of the network alone, in batches, on tokens that are on the device."""
    there = torch.from_numpy(tokens).to(device()).split(batch)
    reduced = PRECISIONS[oracle.precision]

    @torch.inference_mode()
    def run() -> None:
        with (
            torch.autocast(device().type, reduced, enabled=reduced is not None),
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
        ):
            for part in there:
                oracle.module(one_hot(part)).float()

    return seconds(run, 1)


def batch_of(oracle: NetworkOracle, length: int) -> int:
    """Sequences that the oracle scores together, after its first call."""
    return max(1, oracle._symbols // length)


def rates(
    name: str, unit: str, count: int, complete: float, alone: float, work: float, peak: float
) -> Figures:
    """Rate, beside what matrix products allow, and the share of the time that the GPU waits."""
    rate, allowed = count / complete, peak / work
    return {
        f"{name}, {unit}": Figure(
            rate, unit, allowed, rate / allowed, 0.5 if "bfloat16" in name else None,
            "what matrix products allow",
        ),
        f"{name}, waiting for DNA": at_most(2, max(0.0, 100 * (1 - alone / complete)), "%"),
    }  # fmt: skip


def errors(name: str, error: dict | None) -> Figures:
    """Of reduced precision."""
    if error is None:
        return {}
    share = 100 * (error["rms"] or 0.0)
    return {f"{name}, error": Figure(share, "% of the scores' standard deviation (rms)"),
            f"{name}, largest error": Figure(error["largest"], "largest")}  # fmt: skip


# --- what is measured -------------------------------------------------------------------------


def one_hot_rate(sizes: Sizes) -> Figures:
    """Symbols that become one-hot per second, beside filling as much memory."""
    tokens = torch.randint(0, 5, (sizes.symbols // 1024, 1024), dtype=torch.uint8).to(device())
    out = torch.empty(tokens.shape[0], 4, tokens.shape[1], device=device())
    ours, filling = seconds(lambda: one_hot(tokens)), seconds(out.zero_)
    return {
        "one-hot on the device": Figure(
            tokens.numel() / ours / 1e9, "billion symbols/s", tokens.numel() / filling / 1e9,
            filling / ours, None, "filling the memory",
        )
    }  # fmt: skip


def deepstarr_rates(sizes: Sizes) -> Figures:
    """A library, made while it is scored."""
    figures, made = {}, library(MODELS, sizes.rows)
    for precision in ("float32", "bfloat16"):
        oracle, name = deepstarr(MODELS, precision), f"DeepSTARR {precision}"
        error = score(made, oracle).oracle.get("precision_error")
        complete = seconds(lambda oracle=oracle: score(made, oracle), 2)
        tokens = made.tokens(0, min(len(made), 8 * batch_of(oracle, made.length)))
        alone = network_seconds(oracle, tokens, batch_of(oracle, made.length))
        alone *= len(made) / len(tokens)
        peak = product_rate(precision, sizes.side)
        figures |= rates(name, "sequences/s", len(made), complete, alone, DEEPSTARR, peak)
        figures |= errors(name, error)
    return figures


def sei_rates(sizes: Sizes) -> Figures:
    """Genes in the default bins, a tile every 64 nt, cut from a contig."""
    figures, oracle = {}, random_sei(sizes)
    work = sei_operations(sizes.width, sizes.profiles)
    edges = np.array(parse_edges(None, ANNOTATION))
    tiled = binned(oracle, first=int(edges[0]))
    contig = np.random.default_rng(SEED).integers(0, 4, 2**22).astype(np.uint8)
    starts = np.arange(sizes.sei_genes) * 20_000
    width = int(edges[-1] - edges[0]) + 2 * tiled.flank
    minus = np.zeros(len(starts), bool)

    def run() -> np.ndarray:
        tokens = _ext.windows(contig, starts, width, minus, 2)
        return tiled.predict_bins(tokens, edges - edges[0] + tiled.flank)

    count = tiled.inputs(edges - edges[0] + tiled.flank) * len(starts)
    tokens = np.lib.stride_tricks.sliding_window_view(contig, LENGTH)[:: len(contig) // count]
    tokens = np.ascontiguousarray(tokens[:count])
    for precision in ("float32", "bfloat16"):
        oracle.precision, name = precision, f"Sei {precision}"
        oracle.predict(tokens[:8])
        batch = batch_of(oracle, LENGTH)
        complete = seconds(run, 1)
        alone = network_seconds(oracle, tokens, batch) * count / len(tokens)
        peak = product_rate(precision, sizes.side)
        figures |= rates(name, "windows/s", count, complete, alone, work, peak)
        figures |= errors(name, precision_error(oracle, oracle.predict, tokens[:64]))
        for windows in WINDOWS:
            hours = GENES * windows * complete / count / 3600
            figures[f"{name}, {GENES:,} genes × {windows} windows"] = Figure(hours, "h")
    return figures


def random_sei(sizes: Sizes) -> SeiOracle:
    """Classes of random weights, as of the published folder."""
    torch.manual_seed(SEED)
    with device():
        network = SeiNetwork(sizes.width, sizes.profiles)
    with torch.no_grad():
        for weights in network.parameters():
            # As they are made, what differs between sequences becomes smaller in every layer.
            weights.mul_(3**0.5 if weights.ndim > 1 else 1)
    rng = np.random.default_rng(SEED)
    projection = rng.normal(size=(CLASSES, sizes.profiles)).astype(np.float32)
    projection /= np.linalg.norm(projection, axis=1, keepdims=True)
    names = [f"profile {i}" for i in range(sizes.profiles)]
    files = SeiFiles([f"class {i}" for i in range(CLASSES)], names, projection, np.arange(10))
    return SeiOracle("sei:random", network, files)


def deepbind_rate(sizes: Sizes) -> Figures:
    """Networks of the published shapes in the default bins."""
    networks = random_networks()[: sizes.networks]
    oracle = DeepBindOracle("deepbind:random", list(map(str, range(len(networks)))), networks)
    edges = np.array(parse_edges(None, ANNOTATION))
    edges = edges - edges[0]
    rng = np.random.default_rng(SEED)
    tokens = rng.integers(0, 4, (sizes.deepbind_genes, edges[-1])).astype(np.uint8)
    taken = seconds(lambda: oracle.predict_bins(tokens, edges), 1)
    rate = len(tokens) / taken
    allowed = product_rate("float32", sizes.side) / deepbind_operations(networks, edges)
    named = f"DeepBind, {len(networks)} networks"
    return {named: Figure(rate, "genes/s", allowed, rate / allowed, None, "convolutions as "
                          "matrix products")}  # fmt: skip


if __name__ == "__main__":
    main()

"""Sei at full width with random weights on the CPU, beside the published code.

Counted are the multiplications and additions of the convolutions and dense layers, both strands;
the matrix product is that of two square float32 matrices. --published FOLDER has the authors'
sei.py (FunctionLab/sei-framework, model/), whose network then has the same weights and runs in
turns with geneq's, both strands one after the other as its scripts do. Both take as many windows at
a time. Seconds are those of the processor, which other work on the machine does not add to, on one
thread. Memory is what the process has at most while it scores, above what it had before the network
was made. It takes 5 GB and some minutes; --quick has a narrow network.
"""

import argparse
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from figures import Figure, Figures, at_most, print_table, timed, write_json
from geneq.oracles.sei.network import LENGTH, PROFILES, WIDTH, SeiNetwork, SeiProfiles

SEED = 1
SIDE = 1536
WINDOWS, RUNS = 4, 3
NARROW = (24, 500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", type=Path, help="folder with the authors' sei.py")
    parser.add_argument("--quick", action="store_true", help="a narrow network: under a minute")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures = measure(args.published, args.quick)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


def random_network(width: int, profiles: int) -> SeiNetwork:
    torch.manual_seed(SEED)
    return SeiNetwork(width, profiles).eval()


def operations(width: int, profiles: int) -> int:
    """Of one window, both strands."""
    with torch.device("meta"):
        network = SeiNetwork(width, profiles)
        network.register_buffer("spline", torch.empty(network.get_buffer("spline").shape))
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 4, LENGTH))
    return 2 * counter.get_total_flops()


@torch.inference_mode()
def measure(published: Path | None, quick: bool) -> Figures:
    width, profiles = NARROW if quick else (WIDTH, PROFILES)
    before = resident("VmRSS")
    network = random_network(width, profiles)
    ours = SeiProfiles(network)
    weights = 4 * sum(tensor.numel() for tensor in network.parameters())
    rng = np.random.default_rng(SEED)
    hot = torch.from_numpy(np.eye(4, dtype=np.float32)[rng.integers(0, 4, (WINDOWS, LENGTH))])
    x = hot.transpose(1, 2).contiguous()
    theirs = authors_network(published, network) if published and not quick else None
    Path("/proc/self/clear_refs").write_text("5")  # sets the largest memory to the present one
    seconds: dict[str, list[float]] = {"ours": [], "theirs": [], "product": []}
    peak = 0
    for _ in range(RUNS):
        seconds["product"].append(product_seconds())
        taken, found = run(lambda: ours(x))
        seconds["ours"].append(taken)
        peak = peak or resident("VmHWM") - before  # before theirs has run
        if theirs:
            taken, expected = run(lambda: (theirs(x) + theirs(x.flip(1, 2))) / 2)
            seconds["theirs"].append(taken)
            np.testing.assert_allclose(found, expected, atol=2e-6)
    return figures_of(seconds, operations(width, profiles), peak, weights, quick)


def figures_of(seconds: dict, work: int, peak: int, weights: int, quick: bool) -> Figures:
    best = {name: min(taken) for name, taken in seconds.items() if taken}
    rate, product = WINDOWS * work / best["ours"] / 1e9, 2 * SIDE**3 / best["product"] / 1e9
    peer = best["theirs"] / WINDOWS if "theirs" in best else None
    own = best["ours"] / WINDOWS
    return {
        "Sei seconds a window, both strands": Figure(
            own, "s", peer, peer and peer / own, None if quick else 1.0, "the published code"
        ),
        "Sei GFLOP/s": Figure(
            rate, "GFLOP/s", product, rate / product, None if quick else 0.7, "the matrix product"
        ),
        "Sei memory": at_most((weights + 1.5e9) / 1e9, peak / 1e9, "GB"),
    }


def run(score) -> tuple[float, np.ndarray]:
    """Processor seconds and the result."""
    start = time.process_time()
    found = score()
    return time.process_time() - start, found.numpy()


def product_seconds() -> float:
    a = torch.randn(SIDE, SIDE)
    return timed(lambda a: a @ a if len(a) == SIDE else a, a, runs=3, clock=time.process_time)[0]


def authors_network(folder: Path, network: SeiNetwork) -> nn.Module:
    """The authors' network with the same weights, in the same memory."""
    spec = spec_from_file_location("sei", folder / "sei.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    with torch.device("meta"):
        theirs = module.Sei()
    theirs.load_state_dict(network.state_dict(), assign=True)
    return theirs.eval()


def resident(line: str) -> int:
    """Bytes of the process in memory (VmRSS), or at most (VmHWM)."""
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(text.split()[1]) for text in status if text.startswith(line))


if __name__ == "__main__":
    main()

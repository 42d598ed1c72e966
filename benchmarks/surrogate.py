"""Libraries scored with a deep network, beside Keras.

The network is DeepSTARR (19.6 MFLOP a sequence) with the weights in --models, else with random
ones; the library, mutants of its example sequence (else of a random one), rate 0.1. All runs on two
CPU cores, Keras in a process of its own with one-hot that is there already; geneq makes the library
from its recipe while it scores. A speed is that of the best run of several of 8,192 rows; by the
processor second it is less disturbed by what else runs there. Errors are root mean squares.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch

import fits
from deepstarr import MODELS, SEED, deepstarr, keras_network, library
from figures import Figure, Figures, machine, print_table, version, write_json
from geneq.oracles.scoring import score

SCORED = 8192
CORES = 2
# Keras computes with TensorFlow, which comes under several names.
TENSORFLOW = ("tensorflow", "tensorflow-cpu", "tensorflow-intel")
PEERS = ("torch", "keras", *TENSORFLOW)
# Operations that DeepSTARR takes for a sequence.
OPERATIONS = 19.6e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder with the weights")
    parser.add_argument("--quick", action="store_true", help="slow parts smaller: under a minute")
    parser.add_argument("--json", help="write the figures here too")
    parser.add_argument("--keras", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    if args.keras:
        return print(*keras_speed(args.quick))
    torch.set_num_threads(CORES)
    print(machine(PEERS))
    figures: Figures = {}
    for part in PARTS:
        figures |= part(args.quick, args.models)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


# --- what is measured -------------------------------------------------------------------------


def best(make: Callable, times: int) -> np.ndarray:
    """Seconds of the fastest call of so many, and processor seconds of the one that took least."""
    taken = []
    for _ in range(times):
        start = time.perf_counter(), time.process_time()
        make()
        taken.append(np.subtract((time.perf_counter(), time.process_time()), start))
    return np.min(taken, axis=0)


def beside(
    name: str,
    ours: float,
    peer: float | None,
    floor: float | None = None,
    unit: str = "sequences/s",
) -> Figure:
    """Speeds of ours and of the peer, if it is there."""
    if peer is None:
        return Figure(ours, unit)
    return Figure(ours, unit, peer, ours / peer, floor, name)


def times(quick: bool) -> int:
    """Runs of which the best counts."""
    return 3 if quick else 12


def native_bfloat16() -> bool:
    """Whether the processor computes in bfloat16."""
    flags = Path("/proc/cpuinfo").read_text()
    return "avx512_bf16" in flags or "amx_bf16" in flags


# --- peers ------------------------------------------------------------------------------------


def keras_speed(quick: bool) -> np.ndarray:
    """Sequences per second, and per processor second, of Keras' `predict` at its best batch."""
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    network = keras_network()
    tokens = np.random.default_rng(SEED).integers(0, 4, (SCORED, 249))
    hot = np.eye(4, dtype=np.float32)[tokens]
    speeds = []
    for batch in (512, 1024):
        network.predict(hot[: 2 * batch], batch_size=batch, verbose=0)
        taken = best(lambda b=batch: network.predict(hot, batch_size=b, verbose=0), times(quick))
        speeds.append(len(hot) / taken)
    return np.max(speeds, axis=0)


def measured_keras(quick: bool) -> list[float] | None:
    if not (version("keras") and any(map(version, TENSORFLOW))):
        return None
    command = [sys.executable, __file__, "--keras", *["--quick"] * quick]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(speed) for speed in done.stdout.split()[-2:]]


# --- figures ----------------------------------------------------------------------------------


@cache
def speed(models: Path, precision: str, quick: bool) -> tuple[np.ndarray, np.ndarray]:
    """Sequences per second and per processor second; their scores."""
    made = library(models, SCORED)
    oracle = deepstarr(models, precision)
    scores = score(made, oracle).y
    return len(made) / best(lambda: score(made, oracle), times(quick)), scores


def scoring_cpu_float32(quick: bool, models: Path) -> Figures:
    """Sequences scored a second in float32, beside Keras and beside the matrix product."""
    theirs, (ours, _) = measured_keras(quick), speed(models, "float32", quick)
    a, b = torch.rand(2048, 768), torch.rand(768, 512)
    product = 2 * 2048 * 768 * 512 / best(lambda: a @ b, 50)[1] / OPERATIONS
    named = "scoring_cpu_float32"
    return {
        named: beside("Keras predict", ours[0], theirs and theirs[0], 1.0),
        f"{named}_processor": beside(
            "Keras predict", ours[1], theirs and theirs[1], None, "sequences/processor second"
        ),
        f"{named}_product": beside(
            "what matrix products allow", ours[1], product, 0.7, "sequences/processor second"
        ),
    }


def scoring_cpu_reduced(quick: bool, models: Path) -> Figures:
    """The same in bfloat16, and how far off its scores are."""
    if not native_bfloat16():
        return {}
    full, exact = speed(models, "float32", quick)
    ours, rounded = speed(models, "bfloat16", quick)
    error = np.sqrt(np.mean((rounded - exact) ** 2, axis=0) / exact.var(axis=0)).max()
    largest, named = np.abs(rounded - exact).max(), "scoring_cpu_reduced"
    return {
        named: beside("float32", ours[0], full[0], 1.3),
        f"{named}_processor": beside(
            "float32", ours[1], full[1], None, "sequences/processor second"
        ),
        f"{named}_error": Figure(float(100 * error), "% of the scores' standard deviation"),
        f"{named}_largest": Figure(float(largest), "largest error"),
    }


PARTS = (scoring_cpu_float32, scoring_cpu_reduced, *fits.PARTS)


if __name__ == "__main__":
    main()

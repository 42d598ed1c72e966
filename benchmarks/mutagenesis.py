"""Mutagenesis libraries, one-hot, shuffles and the stream, beside squid-nn, seqpro and tangermeme.

A time is the best of several calls, each into a new array that is freed before the next, unless
the figure says warm. Fresh memory is the time of writing as many bytes to memory that nobody had
before: by NumPy, whose large arrays lie in huge pages where the system grants them, and by a plain
anonymous mapping. Peers run on one thread, after a small call that compiles what they compile;
"x 100" says that a slow one ran on that much fewer rows and its time was multiplied.
"""

import argparse
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from types import ModuleType

import numpy as np

from figures import Figure, Figures, at_most, machine, module_of, print_table, version, write_json
from geneq import encoding, shuffles
from geneq.checks import available_memory
from geneq.libraries import CombinatorialLibrary, RandomLibrary

SEED = 1
ROWS = 100_000
RATE = 0.1
# Rows of what is measured by the row and not by its memory.
SHUFFLED = 20_000
STREAMED = 10_000_000
PEERS = ("squid-nn", "seqpro", "tangermeme")
# Bytes of tokens that the consumer of a stream takes in a second.
CONSUMED = 1e9
# Seconds after which no further call is timed.
PATIENCE = 2
# No sleep ends as exactly as this, in seconds.
SLEEP = 2e-4
ONE_THREAD = {
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON")},
    "POLARS_MAX_THREADS": "1",
    "TQDM_DISABLE": "1",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="slow parts smaller: under a minute")
    parser.add_argument("--json", help="write the figures here too")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        return print(peak_of_one_hot(args.peak))
    os.environ |= ONE_THREAD
    print(machine(PEERS))
    figures: Figures = {}
    for part in PARTS:
        figures |= part(args.quick)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


# --- measuring --------------------------------------------------------------------------------


def best(make: Callable, times: int = 15) -> float:
    """Milliseconds of the fastest call of so many, or of those that begin within PATIENCE."""
    fastest, begun = np.inf, time.perf_counter()
    for _ in range(times):
        start = time.perf_counter()
        if start - begun > PATIENCE:
            break
        made = make()
        fastest = min(fastest, time.perf_counter() - start)
        del made
    return 1e3 * fastest


def beside(name: str, ours: float, peer: float | None, floor: float | None = None) -> Figure:
    """Milliseconds of ours and of the peer, if it is there."""
    if peer is None:
        return Figure(ours, "ms")
    return Figure(ours, "ms", peer, peer / ours, floor, name)


def beside_memory(name: str, ours: float, size: int) -> Figures:
    """Milliseconds of ours beside the filling of as many bytes: three times that are wanted."""
    huge, plain = best(lambda: filled(np.empty(size, np.uint8))), best(lambda: mapped(size), 3)
    about = f"filling {size / 1e6:,.0f} MB of fresh memory"
    return {
        f"{name}_memory": beside(f"{about}, NumPy", ours, huge, 1 / 3),
        f"{name}_mapped": beside(f"{about}, mmap", ours, plain, 1 / 3),
    }


def filled(out: np.ndarray) -> np.ndarray:
    out.fill(1)
    return out


def mapped(size: int) -> np.ndarray:
    return filled(np.frombuffer(mmap.mmap(-1, size), np.uint8))


@cache
def sequence(length: int) -> str:
    return "".join(np.random.default_rng(SEED).choice(list("ACGT"), length))


def library(length: int, rows: int = ROWS) -> RandomLibrary:
    return RandomLibrary(sequence(length), n=rows, rate=RATE, seed=SEED)


# --- peers ------------------------------------------------------------------------------------


@cache
def squid() -> ModuleType | None:
    """squid/mutagenizer.py alone: its package imports what squid-nn does not ask pip for."""
    return module_of("squid-nn", "squid/mutagenizer.py") if version("squid-nn") else None


def squid_made(mutagenizer, length: int, rows: int) -> np.ndarray:
    """One-hot by a mutagenizer of squid, which prints as it goes."""
    wild_type = encoding.one_hot(sequence(length))[0]
    with redirect_stdout(StringIO()):
        return mutagenizer(wild_type, rows)


def squid_random(length: int, quick: bool) -> tuple[str, float | None]:
    """Name, and milliseconds of ROWS rows; of fewer rows scaled where it must be quick or memory is
    small (it holds float64 first).
    """
    if not squid():
        return "", None
    mutagenizer, fits = (
        squid().RandomMutagenesis(RATE),
        ROWS * length * 40 < available_memory() // 2,
    )
    share = 1 if fits and not quick else 100
    squid_made(mutagenizer, length, 10)
    times = 1 if length > 1000 else 2
    taken = best(lambda: squid_made(mutagenizer, length, ROWS // share), times)
    return "squid-nn" + f" x {share}" * (share > 1), taken * share


# --- figures ----------------------------------------------------------------------------------


def random_one_hot(quick: bool) -> Figures:
    """Random mutagenesis to uint8 one-hot on one thread, and what a second thread brings."""
    figures = {}
    for length in (249, 2048):
        made, name = library(length), f"random_{length}_onehot_t1"
        ours = best(made.one_hot)
        peer, taken = squid_random(length, quick)
        figures[name] = beside(peer, ours, taken, 250)
        figures |= beside_memory(name, ours, ROWS * length * 4)
    figures["threads_2_speedup"] = speedup(library(249), 1.7)
    figures["threads_2_speedup_2048"] = speedup(library(2048))
    return figures


def speedup(made: RandomLibrary, floor: float | None = None) -> Figure:
    """How much sooner two threads have made the one-hot; one and two take turns."""
    times = [[best(lambda t=t: made.one_hot(threads=t), 1) for t in (1, 2)] for _ in range(7)]
    one, two = np.min(times, axis=0)
    return Figure(one / two, "times", 1, one / two, floor, "one thread")


def random_others(quick: bool) -> Figures:
    """The same libraries as float32, as tokens, in sparse form, and into memory that is warm."""
    made, name = library(249), "random_249_float32_t1"
    float32 = best(lambda: made.one_hot("float32"))
    figures = beside_memory(name, float32, ROWS * 249 * 16)
    figures = {name: figures.pop(f"{name}_memory"), **figures}
    for length in (249, 2048):
        made = library(length)
        mutations = len(made.mutations().row)
        tokens, sparse = (1e6 * best(make) / mutations for make in (made.tokens, made.mutations))
        figures[f"random_{length}_tokens_t1"] = at_most(6, tokens, "ns/mutation")
        figures[f"random_{length}_mutations_t1"] = Figure(sparse, "ns/mutation")
    out = made.one_hot()
    warm, ours = best(lambda: filled(out)), best(lambda: made.one_hot(out=out))
    figures["random_2048_onehot_warm_t1"] = beside("filling the same memory", ours, warm)
    return figures


def memory(quick: bool) -> Figures:
    """Peak memory of the one-hot of a library in a process of its own, in sizes of the output."""
    command = [sys.executable, __file__, "--peak", "249" if quick else "2048"]
    peak = float(subprocess.run(command, capture_output=True, check=True).stdout)
    return {"peak_memory": at_most(1.05, peak, "times the output")}


def peak_of_one_hot(length: int) -> float:
    """Growth of the largest resident set while a one-hot is made, by the size of the one-hot."""
    made, before = library(length), resident("VmRSS")
    size = made.one_hot().nbytes
    return (resident("VmHWM") - before) / size


def resident(name: str = "VmRSS") -> int:
    """Bytes of this process in memory now (VmRSS) or at most so far (VmHWM).

    getrusage would count what the parent had before this program began.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def combinatorial(quick: bool) -> Figures:
    """Every one and two substitutions, row by row what squid-nn makes."""
    made, taken = CombinatorialLibrary(sequence(249), order=2), None
    if squid():
        mutagenizer = squid().CombinatorialMutagenesis(2)
        if not np.array_equal(squid_made(mutagenizer, 249, len(made)), made.one_hot()):
            sys.exit("the combinatorial library is not the one of squid-nn")
        taken = best(lambda: squid_made(mutagenizer, 249, len(made)), 2)
    figures = {}
    for threads in (1, 2):
        name = f"combinatorial2_249{'_t2' * (threads == 2)}"
        ours = best(lambda threads=threads: made.one_hot(threads=threads))
        figures[name] = beside("squid-nn", ours, taken, 30)
    alone = figures["combinatorial2_249"].value
    return figures | beside_memory("combinatorial2_249", alone, len(made) * 249 * 4)


def strings(quick: bool) -> Figures:
    """One-hot of sequences that are given as symbols: an array of bytes, and a list of str."""
    tokens = library(249).tokens()
    array = encoding.symbols(tokens).view("S1").reshape(ROWS, 249)
    words = encoding.strings(tokens)
    ours = [best(lambda given=given: encoding.one_hot(given)) for given in (array, words)]
    theirs = [None, None]
    if version("seqpro"):
        from seqpro import DNA

        if not np.array_equal(DNA.ohe(array), encoding.one_hot(array)):
            sys.exit("seqpro makes another one-hot")
        theirs = [best(lambda given=given: DNA.ohe(given), 3) for given in (array, words)]
    out = encoding.one_hot(array)
    warm, fill = best(lambda: encoding.one_hot(array, out=out)), best(lambda: filled(out))
    return {
        "onehot_strings_249": beside("seqpro", ours[0], theirs[0], 4),
        "onehot_strings_249_warm": beside("filling the same memory", warm, fill, 0.5),
        "onehot_lists_249": beside("seqpro", ours[1], theirs[1]),
    }


def shuffled(quick: bool) -> Figures:
    """Shuffles that keep the dinucleotides, one of each sequence."""
    tokens = library(249, SHUFFLED).tokens()
    ours = best(lambda: shuffles.shuffle(tokens, k=2, seed=SEED))
    seqpro = tangermeme = None
    if version("seqpro"):
        from seqpro import DNA, k_shuffle

        symbols = encoding.symbols(tokens).view("S1").reshape(tokens.shape)
        seqpro = best(lambda: k_shuffle(symbols, 2, length_axis=1, seed=SEED, alphabet=DNA), 3)
    if version("tangermeme"):
        import torch
        from tangermeme.ersatz import dinucleotide_shuffle

        hot = torch.from_numpy(encoding.one_hot(tokens[: SHUFFLED // 10], layout="ncl"))
        dinucleotide_shuffle(hot[:10], n=1, random_state=SEED)
        tangermeme = 10 * best(lambda: dinucleotide_shuffle(hot, n=1, random_state=SEED), 2)
    return {
        "dinucleotide_shuffle_249": beside("seqpro", ours, seqpro, 2),
        "dinucleotide_shuffle_249_tangermeme": beside("tangermeme x 10", ours, tangermeme),
    }


def streams(quick: bool) -> Figures:
    """A stream of 20 GB of tokens: the consumer's wait, and memory."""
    rows = STREAMED // 10 if quick else STREAMED
    slept, sizes = consumed(rows, wait_as_a_copy_would)
    computed, _ = consumed(rows // 10, lambda batch: np.add.reduce(batch, axis=0, dtype=np.uint32))
    half = len(sizes) // 2
    return {
        "stream_wait": at_most(5, 100 * slept, "% of the time"),
        "stream_wait_numpy": Figure(100 * computed, "% of the time"),
        "stream_peak_memory": at_most(64, max(sizes), "MB"),
        "stream_growth": at_most(8, max(sizes[half:]) - max(sizes[:half]), "MB"),
    }


def consumed(rows: int, work: Callable) -> tuple[float, list[float]]:
    """Share of the time that a consumer waits for batches, and MB in memory more than before."""
    stream, before = library(2048, rows).stream(), resident()
    waited, sizes, start = 0.0, [], time.perf_counter()
    while True:
        asked = time.perf_counter()
        batch = next(stream, None)
        waited += time.perf_counter() - asked
        if batch is None:
            return waited / (time.perf_counter() - start), sizes
        work(batch)
        sizes.append((resident() - before) / 1e6)


def wait_as_a_copy_would(batch: np.ndarray) -> None:
    """Take the time of a device that copies CONSUMED bytes per second; the processor is free."""
    end = time.perf_counter() + batch.nbytes / CONSUMED
    time.sleep(max(0, batch.nbytes / CONSUMED - SLEEP))
    while time.perf_counter() < end:
        pass


def device(quick: bool) -> Figures:
    """One-hot float32 on the GPU: made there of tokens, beside made on the host and copied."""
    if not find_spec("torch"):
        return {}
    import torch

    if not torch.cuda.is_available():
        return {}
    from geneq.oracles import one_hot
    from geneq.oracles.feeding import on_device

    made, threads = library(2048), os.cpu_count() or 1

    def fed() -> None:
        for tokens in on_device(made.stream(threads=threads), torch.device("cuda")):
            one_hot(tokens)
        torch.cuda.synchronize()

    def copied() -> None:
        for start in range(0, ROWS, 4096):
            stop = min(start + 4096, ROWS)
            hot = made.one_hot("float32", "ncl", start=start, stop=stop, threads=threads)
            torch.from_numpy(hot).to("cuda")
        torch.cuda.synchronize()

    fed()
    return {"gpu_2048_float32": beside("one-hot of the host", best(fed, 3), best(copied, 3))}


PARTS = (random_one_hot, random_others, memory, combinatorial, strings, shuffled, streams, device)


if __name__ == "__main__":
    main()

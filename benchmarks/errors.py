"""Standard errors of surrogates beside the scatter over library seeds.

Every seed draws a library of mutants of DeepSTARR's example sequence, scores it with DeepSTARR's
`dev` (weights in --models; else random ones) and fits a surrogate with all that a fit chooses. A
ratio is an error (root mean square over seeds) over the standard deviation over seeds, for every
effect; shown are the median and the 10 % and 90 % quantiles. With 20 seeds a standard deviation is
itself known to 16 %, so that ratios of right errors lie between 0.8 and 1.25 in 8 of 10 cases.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

from deepstarr import MODELS, deepstarr, library
from figures import Figure, Figures, machine, print_table, write_json
from geneq import surrogates
from geneq.libraries import RandomLibrary
from geneq.oracles.scoring import score

SEEDS, ROWS, RATE, REPLICATES, WINDOW = 20, 10_000, 0.1, 100, (95, 155)
# Median ratios are wanted in here.
WANTED = (0.8, 1.25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder with the weights")
    parser.add_argument("--quick", action="store_true", help="fewer seeds: under a minute")
    parser.add_argument("--json", help="write the figures here too")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print(machine(()))
    figures: Figures = {}
    for name, map, windows in (
        ("additive", surrogates.Additive(), None),
        ("pairwise60", surrogates.Pairwise(window=WINDOW), [WINDOW]),
    ):
        figures |= compared(name, map, windows, args)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


def compared(name: str, map, windows: list | None, args: argparse.Namespace) -> Figures:
    """Ratios for effects, for interactions, and for differences of single mutants in units of y."""
    wild = library(args.models, 1).wild_type
    oracle, found, seconds = deepstarr(args.models), [], []
    for seed in range(5 if args.quick else SEEDS):
        more = {} if windows is None else {"windows": windows}
        made = RandomLibrary(wild, n=ROWS, rate=RATE, seed=seed, **more)
        y = score(made, oracle).y[:, 0]
        arrays = surrogates.Arrays(made.tokens(0, 1)[0], made.mutations(), y)
        for replicates in (0, REPLICATES):
            start = time.perf_counter()
            surrogate = surrogates.fit(arrays, map, split_seed=seed, replicates=replicates)
            seconds.append(time.perf_counter() - start)
        found.append(estimates(surrogate, windows[0] if windows else (0, len(wild))))
    figures: Figures = {}
    for what in found[0]:
        figures |= summary(f"errors_{name}_{what}", *columns(found, what))
    plain, both = (float(np.median(seconds[k::2])) for k in (0, 1))
    figures[f"errors_{name}_time"] = Figure(both, "s", plain, plain / both, None,
                                            f"without its {REPLICATES} replicates")  # fmt: skip
    return figures


def estimates(surrogate: surrogates.Surrogate, window: tuple[int, int]) -> dict:
    """What has errors, and these."""
    effects, errors = surrogate.effects(), surrogate.errors()
    pairs = zip(effects.terms, errors.terms, strict=True)
    found = {f"order{k + 1}": tuple(t.values.ravel() for t in both) for k, both in enumerate(pairs)}
    wild, mutants = surrogate.wild_type, []
    for position in range(*window):
        for symbol in set(range(4)) - {int(wild[position])}:
            mutants.append(wild.copy())
            mutants[-1][position] = symbol
    return found | {"difference": surrogate.differences(np.array(mutants))}


def columns(found: list[dict], what: str) -> tuple[np.ndarray, np.ndarray]:
    """Values and errors, float64[seeds, effects], of what no seed leaves out."""
    values, errors = (np.array([each[what][i] for each in found]) for i in (0, 1))
    there = (values != 0).all(axis=0)
    return values[:, there], errors[:, there]


def summary(name: str, values: np.ndarray, errors: np.ndarray) -> Figures:
    ratio = np.sqrt((errors**2).mean(axis=0)) / values.std(axis=0, ddof=1)
    low, median, high = np.quantile(ratio, [0.1, 0.5, 0.9])
    within = min(median / WANTED[0], WANTED[1] / median)
    return {
        name: Figure(float(median), "median ratio", None, float(within), 1.0,
                     f"of {len(ratio):,}; 0.8 to 1.25"),
        f"{name}_low": Figure(float(low), "10 % quantile"),
        f"{name}_high": Figure(float(high), "90 % quantile"),
    }  # fmt: skip


if __name__ == "__main__":
    main()

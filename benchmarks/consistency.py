"""Consistency of the map of a motif across backgrounds, by surrogate and by other methods.

Tests the claim of SQUID (Seitz et al., Nature Machine Intelligence 6:701, 2024) on DeepSTARR. Each
motif of MOTIFS, as consensus, is placed in the middle of the same 50 sequences: shuffles of the
example enhancer of DeepSTARR that preserve dinucleotides. The map of a method consists of its
effects of the motif and of 15 nt on either side, float64[width + 30, 4], minus the mean over bases
at every position, divided by the Frobenius norm. The error of a background is the distance of its
map from the mean map of the method. The surrogate's errors are compared with those of each other
method by Wilcoxon's signed-rank test, one-sided, paired by background; the p-values of a method are
corrected for the four motifs (Holm).

All of this was fixed before any map was computed. The surrogate is geneq's default, fitted to
20,000 mutants of the whole sequence (rate 0.1); `ridge` is linear and fitted to the same mutants.
Motifs of developmental enhancers are evaluated on the target `dev`, those of housekeeping enhancers
on `hk` (de Almeida et al., Nature Genetics 54:613, 2022). Needs DeepSTARR's weights in --models.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import wilcoxon

from figures import Figure, Figures, machine, print_table, write_json
from geneq import encoding, shuffles, surrogates
from geneq.libraries import RandomLibrary
from geneq.libraries.fasta import fasta_records
from geneq.oracles import load_oracle
from geneq.oracles.attribution import attribute
from geneq.oracles.network import NetworkOracle
from geneq.oracles.scoring import score
from geneq.surrogates.linear import linear_effects

MODELS = Path(__file__).parents[2] / "shared/data/models"
# Consensus and target.
MOTIFS = {
    "AP1": ("TGACTCA", "dev"),
    "DRE": ("TATCGATA", "hk"),
    "GATA": ("AGATAA", "dev"),
    "Ohler1": ("CGGTCACACTG", "hk"),  # of YGGTCACACTR
}
SURROGATE = "surrogate"
OTHERS = ("ism", "saliency", "integrated_gradients", "ridge")
FLANK = 15
BACKGROUNDS, ROWS, RATE = 50, 20_000, 0.1
QUICK_BACKGROUNDS, QUICK_ROWS = 3, 2_000
SEED = 1
# Number of motifs for which the surrogate's error should be lower, with a corrected p below ALPHA.
WANTED, ALPHA = 3, 0.05


@dataclass(frozen=True)
class Cell:
    """A motif by the surrogate and by another method.

    ours, theirs: mean errors. lower: number of backgrounds in which the surrogate's is lower. p,
    holm: p-value, and p-value corrected for the motifs.
    """

    motif: str
    method: str
    ours: float
    theirs: float
    lower: int
    p: float
    holm: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder with the weights")
    parser.add_argument("--quick", action="store_true", help="few backgrounds and small libraries")
    parser.add_argument("--json", help="write the figures here too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    weights = args.models / "deepstarr.model.h5"
    if not weights.exists():
        sys.exit(f"consistency.py needs DeepSTARR's weights: {weights} does not exist")
    print(machine(("torch", "captum", "scipy")))
    oracle = load_oracle(f"deepstarr:{weights}")
    n, rows = (QUICK_BACKGROUNDS, QUICK_ROWS) if args.quick else (BACKGROUNDS, ROWS)
    others = backgrounds(args.models, n)
    errors = {motif: motif_errors(motif, oracle, others, rows) for motif in MOTIFS}
    table = cells(errors)
    print_cells(table)
    figures = summary(table)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


# --- maps -------------------------------------------------------------------------------------


def backgrounds(models: Path, n: int) -> list[str]:
    """Shuffles of DeepSTARR's example enhancer."""
    example = next(fasta_records(models / "deepstarr_example.fa"))[1].decode()
    return encoding.strings(shuffles.shuffle(example, k=2, n=n, seed=SEED)[0])


def motif_errors(
    motif: str, oracle: NetworkOracle, within: list[str], rows: int
) -> dict[str, np.ndarray]:
    """float64[backgrounds] for every method: distances of its maps from their mean map."""
    symbols, target = MOTIFS[motif]
    start = time.perf_counter()
    found = [maps(oracle, symbols, target, one, i, rows) for i, one in enumerate(within)]
    stacked = {method: np.stack([each[method] for each in found]) for method in found[0]}
    errors = {
        method: np.linalg.norm(each - each.mean(0), axis=(1, 2)) for method, each in stacked.items()
    }
    means = ", ".join(f"{method} {error.mean():.3f}" for method, error in errors.items())
    print(f"{motif} ({symbols}, {target}): mean errors {means}; "
          f"{time.perf_counter() - start:.0f} s", flush=True)  # fmt: skip
    return errors


def maps(
    oracle: NetworkOracle, symbols: str, target: str, background: str, number: int, rows: int
) -> dict[str, np.ndarray]:
    """The map, float64[width + 30, 4], of one background by every method."""
    first = (len(background) - len(symbols)) // 2
    sequence = background[:first] + symbols + background[first + len(symbols) :]
    mave = score(
        RandomLibrary(sequence, n=rows, rate=RATE, seed=SEED + number), oracle, targets=[target]
    )
    mutations = mave.mutations()
    effects = {
        SURROGATE: surrogates.fit(mave).effects("uniform").additive(len(sequence)),
        "ridge": linear_effects(mutations, mave.y[:, 0], mave.wild_type, method="ridge"),
    }
    for method in OTHERS:
        if method not in effects:
            effects[method] = attribute(oracle, sequence, method, target)
    around = slice(first - FLANK, first + len(symbols) + FLANK)
    return {method: normalised(each[around]) for method, each in effects.items()}


def normalised(effects: np.ndarray) -> np.ndarray:
    """Minus the mean over bases, with Frobenius norm 1."""
    centred = effects - effects.mean(axis=1, keepdims=True)
    return centred / np.linalg.norm(centred)


# --- tests ------------------------------------------------------------------------------------


def cells(errors: dict[str, dict[str, np.ndarray]]) -> list[Cell]:
    """The comparison of every motif with every other method."""
    table = []
    for method in OTHERS:
        pairs = [(each[SURROGATE], each[method]) for each in errors.values()]
        p = np.array([wilcoxon(*pair, alternative="less").pvalue for pair in pairs])
        for motif, (ours, theirs), one, corrected in zip(errors, pairs, p, holm(p), strict=True):
            lower = int((ours < theirs).sum())
            means = float(ours.mean()), float(theirs.mean())
            table.append(Cell(motif, method, *means, lower, one, corrected))
    return table


def holm(p: np.ndarray) -> np.ndarray:
    """p-values corrected for multiple testing (Holm 1979)."""
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(steps, 1)
    return corrected


def print_cells(table: list[Cell]) -> None:
    print("| motif | against | surrogate | other | lower in | p | p (Holm) |")
    print("|---|---|---|---|---|---|---|")
    for cell in table:
        print(f"| {cell.motif} | {cell.method} | {cell.ours:.3f} | {cell.theirs:.3f} "
              f"| {cell.lower} | {cell.p:.2g} | {cell.holm:.2g} |")  # fmt: skip


def summary(table: list[Cell]) -> Figures:
    """Mean errors of every cell, and the number of motifs for which the surrogate's is lower."""
    figures = {
        f"consistency_{cell.motif}_{cell.method}": Figure(
            cell.ours, "mean error", cell.theirs, cell.theirs / cell.ours, None, cell.method
        )
        for cell in table
    }
    for method in OTHERS:
        cells_of = [cell for cell in table if cell.method == method]
        lower = sum(bool(cell.holm < ALPHA and cell.ours < cell.theirs) for cell in cells_of)
        figures[f"consistency_motifs_{method}"] = Figure(
            lower, "motifs of 4", WANTED, lower / WANTED, 1.0, f"lower than of {method}"
        )
    return figures


if __name__ == "__main__":
    main()

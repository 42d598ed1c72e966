"""Effects of variants beside measured ones, in simulated saturation-mutagenesis experiments.

Every substitution of a locus of 150 nt is measured: an additive φ through a curve, with noise. The
oracle has the same φ through another curve, plus small unsystematic differences: any change of a
sequence changes its score a little (a sum of cosines of random sums over bases). This favours
surrogates. The surrogate is geneq's default, fitted to 20,000 mutants. Correlations are medians
over experiments; a method counts as better in an experiment where Williams' p is below 0.01.
"""

import argparse
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from figures import Figure, Figures, machine, print_table, write_json
from geneq import cli, encoding, surrogates
from geneq.artifacts import AGREEMENT, COMPARISONS
from geneq.genome import Genome, index_fasta
from geneq.locus import Locus
from geneq.oracles.scoring import score

LENGTH, FLANK, ROWS, ROWS_QUICK = 150, 100, 20_000, 5_000
EXPERIMENTS, EXPERIMENTS_QUICK = 20, 3
# Spread of effects; height and number of the cosines; noise of the measurements.
SPREAD, HEIGHT, COSINES, NOISE = 0.15, 0.06, 8, 0.03
ALPHA = 0.01
METHODS = ("surrogate", "ism", "oracle")


class Rough:
    """The oracle of one experiment, and its measurements."""

    name, alphabet, length, strand, unknown = (
        "rough",
        "ACGT",
        LENGTH,
        "given",
        "has an effect",
    )
    targets = ("activity",)

    def __init__(self, seed: int):
        rng = np.random.default_rng(seed)
        self.hash = str(seed)
        self.wild = rng.integers(0, 4, LENGTH + 2 * FLANK).astype(np.uint8)
        self.effects = rng.laplace(0, SPREAD, (LENGTH, 5))
        self.effects -= self.effects[np.arange(LENGTH), self.wild[FLANK:-FLANK], None]
        self.angles = rng.normal(0, 3, (COSINES, LENGTH, 5))

    def phi(self, tokens: np.ndarray) -> np.ndarray:
        return self.effects[np.arange(LENGTH), tokens].sum(1)

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        turned = (each[np.arange(LENGTH), tokens].sum(1) for each in self.angles)
        rough = HEIGHT * sum(map(np.cos, turned))
        return (np.tanh(self.phi(tokens)) + rough)[:, None].astype(np.float32)

    def measured(self, tokens: np.ndarray) -> np.ndarray:
        return 2 / (1 + np.exp(-1.5 * self.phi(tokens)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few experiments, small libraries")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(machine(("scipy",)))
    seeds = range(EXPERIMENTS_QUICK if args.quick else EXPERIMENTS)
    found = [experiment(seed, ROWS_QUICK if args.quick else ROWS) for seed in seeds]
    figures = summary(*map(list, zip(*found, strict=True)))
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


def experiment(seed: int, rows: int) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Agreement and comparisons of one experiment, and the seconds `geneq variants` took."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(Path(folder), seed, rows)


def _run(folder: Path, seed: int, rows: int) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    oracle = Rough(seed)
    genome = write_inputs(folder, oracle, np.random.default_rng(1000 + seed))
    spec = f"python:{folder / 'oracle.py'}:make"
    locus = Locus("site", "chr1", FLANK, FLANK + LENGTH, spec, n=rows, seed=seed)
    surrogates.fit(score(locus.recipe(genome), oracle)).save(folder / "loci" / "site")
    locus.save(folder / "loci" / "site")
    inputs = {"vcf": "in.vcf", "genome": "", "surrogates": "loci"}
    inputs |= {"truth": "truth.tsv", "out": "out"}
    options = [word for name, file in inputs.items() for word in (f"--{name}", str(folder / file))]
    start = time.perf_counter()
    with redirect_stdout(StringIO()):
        cli.main(["variants", *options, "--threads", "1"])
    taken = time.perf_counter() - start
    tables = (folder / "out" / name for name in ("agreement.parquet", "comparisons.parquet"))
    return AGREEMENT.read(next(tables)), COMPARISONS.read(next(tables)), taken


def write_inputs(folder: Path, oracle: Rough, rng: np.random.Generator) -> Genome:
    """Genome, oracle, VCF and measured effects of every substitution of the locus."""
    wild = encoding.strings(oracle.wild[None])[0]
    (folder / "in.fa").write_text(f">chr1\n{wild}\n")
    index_fasta(folder / "in.fa", folder)
    own = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nimport variants"
    (folder / "oracle.py").write_text(f"{own}\ndef make(): return variants.Rough({oracle.hash})\n")
    sites = [(i, symbol) for i in range(LENGTH) for symbol in range(4)]
    sites = [(i, symbol) for i, symbol in sites if oracle.wild[FLANK + i] != symbol]
    tokens = np.repeat(oracle.wild[None, FLANK:-FLANK], len(sites) + 1, axis=0)
    for row, (i, symbol) in enumerate(sites, 1):
        tokens[row, i] = symbol
    before, *after = oracle.measured(tokens)
    table = pd.DataFrame({
        "chrom": "chr1", "pos": [FLANK + i + 1 for i, _ in sites],
        "ref": [wild[FLANK + i] for i, _ in sites], "alt": ["ACGT"[symbol] for _, symbol in sites],
        "value": np.array(after) - before + rng.normal(0, NOISE, len(sites)),
    })  # fmt: skip
    table.to_csv(folder / "truth.tsv", sep="\t", index=False)
    lines = [f"{v.chrom}\t{v.pos}\t.\t{v.ref}\t{v.alt}\n" for v in table.itertuples()]
    (folder / "in.vcf").write_text("".join(["#CHROM\tPOS\tID\tREF\tALT\n", *lines]))
    return Genome(folder)


def summary(
    agreements: list[pd.DataFrame], tests: list[pd.DataFrame], seconds: list[float]
) -> Figures:
    """Correlations, in how many experiments the surrogate's is higher, and the time."""
    known, compared = pd.concat(agreements).groupby("method"), pd.concat(tests)
    pair = compared[(compared["method_1"] == "surrogate") & (compared["method_2"] == "ism")]
    figures, n = {}, len(agreements)
    for kind in ("pearson", "spearman"):
        r = known[kind].median()
        figures |= {f"variants_{kind}_{name}": Figure(r[name], "r") for name in METHODS}
        significant = pair[(pair["kind"] == kind) & (pair["p"] < ALPHA)]
        for name, sign in (("higher", 1), ("lower", -1)):
            times = int((sign * significant["difference"] > 0).sum())
            figures[f"variants_{kind}_{name}"] = Figure(times, f"experiments of {n}; than of ism")
    figures["variants_seconds"] = Figure(float(np.median(seconds)), f"s; {3 * LENGTH} variants")
    return figures


if __name__ == "__main__":
    main()

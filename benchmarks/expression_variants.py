"""Effects of variants on expression: agreement with planted effects, speed and memory.

Speed and memory: random DNA with 2,000 genes, equations of 9 cell types over 5 classes each, of
motifs:core and of kmers:3, and random substitutions. `geneq variants --equations` runs as a user
runs it, with a background, on --variants of them and on ten times fewer. Pairs of a variant and a
gene per second are also given for each second of a processor, which other programs on the machine
change little.

Agreement: `geneq simulate` with random substitutions whose effects are those of the planted
equations; genes, featurize, pseudobulk, search and distill of one data set, and `geneq variants
--truth`. r is that of all substitutions, by cell type and method, for equations that recovered the
planted one. Percentiles of the substitutions should be uniform (Kolmogorov-Smirnov test).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.stats import kstest

from figures import Figure, Figures, machine, print_table, write_json
from geneq import artifacts
from geneq.equations import about_features
from geneq.features import Features

SEED = 1
GENES, SPACING, TYPES = 2000, 3000, 9
WANTED = 2000.0
DATASET, SUBSTITUTIONS, NEEDED_R = "muscle", 2000, 0.99
GENEQ = [sys.executable, "-m", "geneq.cli"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--trials", type=int, default=40, help="of the search")
    parser.add_argument(
        "--quick", action="store_true", help="5,000 variants, no agreement: under a minute"
    )
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    n = 5000 if args.quick else args.variants
    print(machine(("numpy", "torch")))
    print(f"seed {SEED}, {args.threads} threads")
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sequence = write_genome(folder)
        run("genes", "--fasta", folder / "g.fa", "--gtf", folder / "g.gtf", "--genome", "g",
            "--out", folder / "genome")  # fmt: skip
        for oracle in ("motifs:core", "kmers:3"):
            figures |= measured(folder, oracle, sequence, n, args.threads)
        if not args.quick:
            figures |= planted(folder / "simulated", args.trials, args.threads)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


def measured(folder: Path, oracle: str, sequence: str, n: int, threads: int) -> Figures:
    """Figures of one oracle."""
    made = folder / oracle.replace(":", "_")
    run(
        "featurize", "--genome_dir", folder / "genome", "--oracle", oracle, "--out", made / "f.zarr"
    )
    write_equations(Features.read(made / "f.zarr"), made / "equations")
    words = ["--genome", folder / "genome", "--equations", made, "--features", made / "f.zarr"]
    run("background", *words, "--n", 2000, "--out", made / "background")
    words += ["--background", made / "background", "--threads", threads]
    found = {}
    for count in (n // 10, n):
        vcf = write_vcf(folder / f"{count}.vcf", sequence, count)
        out = made / str(count)
        cost = run("variants", "--vcf", vcf, *words, "--out", out)
        pairs = json.loads((out / "variants.json").read_text())["pairs"]
        found[count] = pairs, *cost
    (few, short, least, low), (many, long, most, high) = found.values()
    rate = (many - few) / (long - short)  # without the time to start
    floor = 1.0 if n >= 100_000 else None
    name = f"{oracle}, {TYPES} cell types"
    return {
        f"{name}: pairs/s": Figure(round(rate), "pairs/s", WANTED, round(rate / WANTED, 1), floor),
        f"{name}: pairs/s of a processor": Figure(round((many - few) / (most - least)), "pairs/s"),
        f"{name}: memory, {n // 10:,} variants": Figure(round(low), "MB"),
        f"{name}: memory, {n:,} variants": Figure(round(high), "MB"),
    }


def planted(folder: Path, trials: int, threads: int) -> Figures:
    """Agreement of equations and teacher with planted effects, and of percentiles with uniform."""
    data, genome, features = folder / "data", folder / "genes", folder / "f.zarr"
    run("simulate", "--variants", SUBSTITUTIONS, "--seed", SEED, "--out", data)
    files = ("--fasta", data / "genome.fa.gz", "--gtf", data / "genes.gtf")
    run("genes", "--genome", "simulated", *files, "--out", genome)
    run("featurize", "--genome_dir", genome, "--out", features)
    table, name = genome / "genes.parquet", ("--dataset", DATASET)
    cells = ("--h5ad", data / f"{DATASET}.h5ad", "--cell_type_key", "cell_type")
    run("pseudobulk", *cells, *name, "--genes", table, "--out", folder / "expression")
    words = ("--features", features, "--threads", threads)
    made = ("--expression", folder / "expression", "--search", folder / "search")
    run("search", *words, *made[:2], "--genes", table, "--trials", trials, "--out", made[3])
    run("distill", *words, *made[2:], "--sr_engine", "operon", "--out", folder / "distill")
    words = (*words, *made[2:], "--genome", genome, "--equations", folder / "distill")
    run("background", *words, "--out", folder / "background")
    words = (*words, "--background", folder / "background")
    words = (*words, "--vcf", data / "expression_variants.vcf")
    run("variants", *words, "--truth", data / "expression_effects.tsv", "--out", folder / "out")
    run("report", *name, "--genes_dir", genome, *made, "--distill", folder / "distill",
        "--truth", data / "truth.parquet", "--out", folder / "report")  # fmt: skip
    rows = json.loads((folder / "report" / "recovery.json").read_text())
    return compared(folder / "out", {row["cell_type"] for row in rows if row["recovered"]})


def compared(variants: Path, recovered: set[str]) -> Figures:
    """Figures of the output of `geneq variants --truth`."""
    figures: Figures = {}
    agreement = artifacts.EXPRESSION_AGREEMENT.read(variants / "agreement.parquet")
    for row in agreement.itertuples():
        wanted = row.method == "equation" and row.cell_type in recovered
        figures[f"{row.cell_type}, {row.method}: r with planted effects"] = Figure(
            row.pearson, "r", None, row.pearson / NEEDED_R, 1.0 if wanted else None,
            f"{row.n:,} substitutions",
        )  # fmt: skip
    effects = artifacts.EXPRESSION_EFFECTS.read(variants / "expression_effects.parquet")
    for (cell_type, method), group in effects.groupby(["cell_type", "method"], sort=False):
        p = kstest(group["percentile"].dropna() / 100, "uniform").pvalue
        name = f"{cell_type}, {method}: percentiles are uniform"
        figures[name] = Figure(p, "p of Kolmogorov-Smirnov")
    return figures


def run(command: str, *words) -> tuple[float, float, float]:
    """Run `geneq COMMAND`; seconds, seconds of processors, and peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen([*GENEQ, command, *map(str, words)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"geneq {command} failed")
    busy = usage.ru_utime + usage.ru_stime
    return time.perf_counter() - start, busy, usage.ru_maxrss / 1024


def write_genome(folder: Path) -> str:
    """FASTA and GTF of one chromosome; returns its sequence."""
    rng = np.random.default_rng(SEED)
    length = (GENES + 1) * SPACING
    sequence = "".join(rng.choice(list("ACGT"), length))
    (folder / "g.fa").write_text(f">chr1\n{sequence}\n")
    with open(folder / "g.gtf", "w") as gtf:
        for i in range(GENES):
            tss, strand = (i + 1) * SPACING, "+-"[i % 2]
            gtf.write(f'chr1\tx\tgene\t{tss}\t{tss}\t.\t{strand}\t.\tgene_id "g{i}";\n')
    return sequence


def write_vcf(path: Path, sequence: str, n: int) -> Path:
    """Random substitutions, in the order of the genome."""
    rng = np.random.default_rng(SEED)
    positions = np.sort(rng.choice(len(sequence), n, replace=False))
    with open(path, "w") as vcf:
        vcf.write("##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for position in positions:
            ref = sequence[position]
            alt = "ACGT"[("ACGT".index(ref) + 1 + position % 3) % 4]
            vcf.write(f"chr1\t{position + 1}\t.\t{ref}\t{alt}\t.\t.\t.\n")
    return path


def write_equations(features: Features, folder: Path) -> None:
    """An equation of five classes for each cell type."""
    rng, block = np.random.default_rng(SEED), features.blocks[0]
    for i in range(TYPES):
        classes = rng.choice(block.classes, 5, replace=False)
        variables = [
            {
                "name": f"z{k}",
                "class": str(name),
                "offset": 0.0,
                "weights": [
                    {"block": 0, "bin": b, "class": str(name), "weight": float(weight)}
                    for b, weight in enumerate(rng.normal(0, 1, block.values.shape[1]))
                ],
                "range": [-1, 1],
            }
            for k, name in enumerate(classes)
        ]
        document = {
            "format": "geneq-equation",
            "version": 3,
            "cell_type": f"type {i}",
            "selected": True,
            **about_features(features, "raw", variables),
            "variables": variables,
            "expression": "c0 + c1*z0 + c2*z1*z2 + c3*tanh(z3) + c4*z4",
            "constants": {f"c{k}": float(c) for k, c in enumerate(rng.normal(0, 1, 5))},
            "infix": "",
        }
        artifacts.write_json(document, folder / f"{i}.json")


if __name__ == "__main__":
    main()

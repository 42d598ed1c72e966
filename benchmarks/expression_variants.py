"""Effects of variants on expression: pairs of a variant and a gene per second, and memory.

Random DNA with 2,000 genes, equations of 9 cell types over 5 classes each, of motifs:core and of
kmers:3, and random substitutions in the genes' windows. `geneq variants --equations` runs as a user
runs it, with a background, on --variants of them and on ten times fewer.
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

from figures import Figure, Figures, machine, print_table, write_json
from geneq import artifacts
from geneq.equations import about_features
from geneq.features import Features

SEED = 1
GENES, SPACING, TYPES = 2000, 3000, 9
WANTED = 2000.0
GENEQ = [sys.executable, "-m", "geneq.cli"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="5,000 variants: under a minute")
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
        seconds, memory = run("variants", "--vcf", vcf, *words, "--out", out)
        pairs = json.loads((out / "variants.json").read_text())["pairs"]
        found[count] = pairs, seconds, memory
    (few, short, low), (many, long, high) = found.values()
    rate = (many - few) / (long - short)  # without the time to start
    floor = 1.0 if n >= 100_000 else None
    name = f"{oracle}, {TYPES} cell types"
    return {
        f"{name}: pairs/s": Figure(round(rate), "pairs/s", WANTED, round(rate / WANTED, 1), floor),
        f"{name}: memory, {n // 10:,} variants": Figure(round(low), "MB"),
        f"{name}: memory, {n:,} variants": Figure(round(high), "MB"),
    }


def run(command: str, *words) -> tuple[float, float]:
    """Run `geneq COMMAND`; seconds and peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen([*GENEQ, command, *map(str, words)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"geneq {command} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


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

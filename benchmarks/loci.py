"""The cost of many loci in the pipeline: seconds and bytes per locus, and the size of the report.

Loci of 249 nt around the TSSs of a simulated genome, each with a library of mutants, are run
through the pipeline by `bin/geneq-nextflow`: genes, score, surrogate, variants, loci_report. Prints
seconds per locus from start to end and by stage, and bytes per locus in the work directory and in
the results. --oracle takes DeepSTARR's weights, as deepstarr:FILE; by default a motif is scored.
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import pandas as pd

from figures import Figure, Figures, machine, print_table, write_json
from geneq import cli
from geneq.genome import Genome, index_fasta

ROOT = Path(__file__).parents[1]
LENGTH, STAGES = 249, ("SCORE", "SURROGATE", "VARIANTS", "LOCI_REPORT")
# Loci and rows of each; the same with --quick.
LOCI, ROWS, QUICK = 100, 20_000, (6, 2_000)
# Columns of the variants of each locus.
COLUMNS = (50, 120, 200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--oracle", default="motifs:core", help="motifs:core, or deepstarr:FILE")
    parser.add_argument("--target", default="SP1", help="its target (SP1; of DeepSTARR dev or hk)")
    parser.add_argument("--loci", type=int, default=LOCI)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--quick", action="store_true", help="few loci, small libraries")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    loci, rows = QUICK if args.quick else (args.loci, args.rows)
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), loci, rows, args.oracle, args.target)
    print(f"{loci} loci of {LENGTH} nt, {rows:,} rows each, {args.oracle}, target {args.target}")
    print(machine(("torch",)))
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


def measured(folder: Path, loci: int, rows: int, oracle: str, target: str) -> Figures:
    """Run the pipeline and measure time and disk space."""
    inputs(folder, loci, rows, oracle, target)
    began = time.monotonic()
    run(folder)
    seconds = time.monotonic() - began
    trace = pd.read_csv(folder / "results/pipeline_info/trace.txt", sep="\t")
    spent = by_stage(trace)
    found = {"seconds": Figure(seconds / loci, "s per locus, from start to end")}
    found |= {
        f"seconds_{stage.lower()}": Figure(
            spent[stage] / loci, f"s per locus in {stage}, all tasks"
        )
        for stage in STAGES
    }
    # Staged files are links: only files that a task wrote count.
    work, results = size(folder / "work"), size(folder / "results" / "loci")
    genome = size(folder / "results" / "genomes")
    page = (folder / "results" / "loci.html").stat().st_size
    return found | {
        "tasks": Figure(len(trace), "tasks"),
        "work": Figure((work - genome) / loci / 1e3, "kB per locus in the work directory"),
        "results": Figure(results / loci / 1e3, "kB per locus in the results"),
        "page": Figure(page / 1e6, "MB, loci.html"),
    }


def inputs(folder: Path, loci: int, rows: int, oracle: str, target: str) -> None:
    """A simulated genome, its loci and their variants."""
    size = ("--genes", max(100, loci), "--cells", 4, "--seed", 1, "--threads", 1)
    if cli.main(["simulate", *map(str, size), "--out", str(folder)]):
        raise SystemExit("geneq simulate failed")
    kind, _, what = oracle.partition(":")
    oracle = oracle if what == "core" else f"{kind}:{Path(what).resolve()}"
    genes = pd.read_csv(folder / "genes.gtf", sep="\t", header=None)
    genes = genes[genes[2] == "gene"]
    (folder / "index").mkdir()
    index_fasta(folder / "genome.fa.gz", folder / "index")
    genome, lines = Genome(folder / "index"), ["locus,chrom,start,end,oracle,target,n"]
    variants = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    for number, (chrom, first) in enumerate(genes[[0, 3]].head(loci).itertuples(index=False)):
        start = first - LENGTH // 2
        place = f"{chrom},{start},{start + LENGTH}"
        lines.append(f"locus{number},{place},{oracle},{target},{rows}")
        tokens = genome.tokens(chrom, start, start + LENGTH)
        for column in COLUMNS:
            ref, alt = "ACGT"[tokens[column]], "CGTA"[tokens[column]]
            variants.append(f"{chrom}\t{start + column + 1}\t.\t{ref}\t{alt}\t.\t.\t.")
    (folder / "loci.csv").write_text("\n".join(lines) + "\n")
    (folder / "variants.vcf").write_text("\n".join(variants) + "\n")


def run(folder: Path) -> None:
    """Run the pipeline; raises if it fails."""
    words = ["--fasta", "genome.fa.gz", "--gtf", "genes.gtf", "--loci", "loci.csv"]
    words += ["--vcf", "variants.vcf"]
    command = [ROOT / "bin" / "geneq-nextflow", "run", ROOT / "main.nf", *words]
    environment = {**os.environ, "NXF_ANSI_LOG": "false"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def by_stage(trace: pd.DataFrame) -> dict[str, float]:
    """Seconds of all tasks by stage."""
    spent: dict[str, float] = defaultdict(float)
    for name, duration in trace[["name", "realtime"]].itertuples(index=False):
        spent[name.split(" ")[0].split(":")[-1]] += pd.Timedelta(duration).total_seconds()
    return spent


def size(folder: Path) -> int:
    """Bytes of the files in a folder; links are not followed."""
    return sum(
        path.lstat().st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )


if __name__ == "__main__":
    main()

"""What many data sets cost in the pipeline: time, tasks, CPU time, disk space, memory of Nextflow.

Copies of one small simulated data set (100 genes) are run through the pipeline by
`bin/geneq-nextflow` on this machine, with the real stages, and in larger numbers with stubs in
their place, which shows what Nextflow alone needs. Equations have 2 replicates (`-profile test`).
Prints what each run took, and what one more data set takes: the slope between the smallest and the
largest number.
"""

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import pandas as pd

from figures import Figure, Figures, at_most, machine, print_table, write_json
from geneq import cli
from loci import size

ROOT = Path(__file__).parents[1]
REAL, STUBS, QUICK = (1, 10), (1, 100, 1000), (1, 10)
# Wanted of one more data set, and of Nextflow with 1,000 of them.
TASKS, MEMORY = 5, 1000
UNITS = {"wall": "s", "tasks": "tasks", "cpu": "CPU s in tasks", "work": "MB in the work directory",
         "driver": "MB of memory, Nextflow at its peak"}  # fmt: skip
CONFIG = "trace { raw = true; fields = 'name,realtime,%cpu' }\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=int, nargs="*", default=REAL, help="numbers of data sets")
    parser.add_argument("--stubs", type=int, nargs="*", default=STUBS, help="the same, with stubs")
    parser.add_argument("--quick", action="store_true", help="few data sets, with stubs alone")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    numbers = {"real": [], "stub": QUICK} if args.quick else {"real": args.real, "stub": args.stubs}
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), numbers)
    print(machine(()))
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


def measured(folder: Path, numbers: dict[str, list[int]]) -> Figures:
    """Figures of runs with these numbers of data sets, by how they run."""
    made = ("simulate", "--out", str(folder / "data"), "--genes", "100", "--seed", "1")
    if cli.main(list(made)):
        raise SystemExit("geneq simulate failed")
    figures: Figures = {}
    for how, counts in numbers.items():
        runs = {n: run(folder, n, stub=how == "stub") for n in sorted(counts)}
        for n, found in runs.items():
            figures |= {f"{how}_{n}_{k}": Figure(v, UNITS[k]) for k, v in found.items()}
            if n == 1000:
                figures[f"{how}_{n}_driver"] = at_most(MEMORY, found["driver"], UNITS["driver"])
        if len(runs) > 1:
            figures |= slopes(how, runs)
    return figures


def slopes(how: str, runs: dict[int, dict[str, float]]) -> Figures:
    """What one more data set takes, between the smallest and the largest run."""
    least, most = min(runs), max(runs)
    more = {k: (runs[most][k] - runs[least][k]) / (most - least) for k in UNITS}
    found = {f"{how}_each_{k}": Figure(v, f"{UNITS[k]}, one more") for k, v in more.items()}
    found[f"{how}_each_tasks"] = at_most(TASKS, more["tasks"], "tasks, one more")
    return found


def run(folder: Path, n: int, stub: bool) -> dict[str, float]:
    """What a run with n data sets took, as in UNITS; raises if it fails."""
    here = folder / f"{'stub' if stub else 'real'}{n}"
    inputs(folder / "data", here, n)
    words = ["-profile", "test", "-c", "trace.config", "--input", "sheet.csv"]
    words += ["--fasta", "../data/genome.fa.gz", "--gtf", "../data/genes.gtf"]
    command = [ROOT / "bin" / "geneq-nextflow", "run", ROOT / "main.nf", *words]
    began = time.monotonic()
    driver = peak_memory([*command, "-stub"] if stub else command, here)
    wall = time.monotonic() - began
    (trace_file,) = (here / "results/pipeline_info").glob("trace-*.txt")
    trace = pd.read_csv(trace_file, sep="\t", na_values="-").fillna(0)
    spent = (trace["realtime"] / 1e3 * trace["%cpu"] / 100).sum()
    # Staged files are links: only files that a task wrote count.
    work = size(here / "work") / 1e6
    found = {"wall": wall, "tasks": len(trace), "cpu": spent, "work": work, "driver": driver}
    # A later and larger run may take hours, or fail.
    print(here.name, *(f"{key} {value:.2f}" for key, value in found.items()), flush=True)
    return found


def inputs(data: Path, folder: Path, n: int) -> None:
    """A samplesheet of n data sets, which are links to one file."""
    folder.mkdir()
    rows = ["dataset,h5ad,cell_type_key"]
    for i in range(n):
        (folder / f"{i}.h5ad").hardlink_to(data / "blood.h5ad")
        rows.append(f"set{i},{i}.h5ad,cell_type")
    (folder / "sheet.csv").write_text("\n".join(rows) + "\n")
    (folder / "trace.config").write_text(CONFIG)


def peak_memory(command: list, folder: Path) -> float:
    """MB of resident memory of a command at its peak, without that of its tasks; Linux."""
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "NXF_ANSI_LOG": "false"}
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit((folder / "log.txt").read_text())
    return peak / 1e3


def resident(process: int) -> int:
    """kB of the most resident memory of a process so far; 0 where it has ended."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


if __name__ == "__main__":
    main()

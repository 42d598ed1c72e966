"""What very many data sets and loci would cost, by arithmetic: tasks, CPU hours, disk space, money.

No run is made. The figures of one data set and of one locus are those that other benchmarks
measured (MEASURED says which), and every one can be given on the command line; prices cannot.
Printed are the products, and how long the scheduler takes to be asked for that many tasks.
"""

import argparse
import json
from pathlib import Path

# Of one data set of 20 cell types with 10,000 to 15,000 genes in 120 columns (60-bp promoters,
# HOCOMOCO), CPU s of one core: `geneq search --trials 8` took 479 s for 18 sorted blood cell types
# and 14,862 genes, `geneq distill` 28 s a cell type for PBMC 3k and 9,942 genes. A replicate of a
# cell type, of the same PBMC 3k: `geneq stability --replicates 50 --shard 1/50`. A locus of 249 nt
# with 20,000 sequences: benchmarks/loci.py with DeepSTARR, tasks of one core. Memory of Nextflow:
# benchmarks/scale.py.
MEASURED = {
    "search": (530.0, "CPU s of the search of a data set"),
    "distill": (560.0, "CPU s of distilling a data set"),
    "other": (60.0, "CPU s of pseudobulk and report of a data set"),
    "replicate": (7.0, "CPU s of a replicate of a cell type"),
    "locus": (7.0, "CPU s of a locus, scored on CPUs"),
    "dataset_mb": (30.0, "MB of a data set in the work directory"),
    "locus_mb": (0.56, "MB of a locus in the work directory"),
    "task_mb": (0.1, "MB of Nextflow's memory for a task"),
}
# US dollars per vCPU hour, and per GB and month, by list on demand: AWS us-east-1 (m7i.large, S3
# standard), Google us-central1 (n2-standard-2, standard storage). Lists change: check them. Spot
# prices change more; a third is usual.
PRICES = {"AWS": (0.1008 / 2, 0.023), "Google": (0.0971 / 2, 0.020)}
SPOT = 1 / 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=10_000)
    parser.add_argument("--cell_types", type=int, default=20, help="of a data set")
    parser.add_argument("--loci", type=int, default=10_000_000)
    parser.add_argument("--replicates", type=int, default=50, help="of an equation")
    parser.add_argument("--cv", action="store_true", help="five more searches of a data set")
    parser.add_argument("--rate", type=float, default=10.0, help="tasks submitted per second")
    parser.add_argument("--array", type=int, default=50, help="tasks submitted as one array")
    parser.add_argument("--loci_a_task", type=int, default=20, help="by --shard_bases: 1e8 bases")
    for name, (value, text) in MEASURED.items():
        parser.add_argument(f"--{name}", type=float, default=value, help=text)
    parser.add_argument("--quick", action="store_true", help="the same: it takes no time")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    rows = products(args)
    for name, (value, unit) in rows.items():
        print(f"{name:46s} {value:>16,.0f} {unit}")
    if args.json:
        found = {name: {"value": value, "unit": unit} for name, (value, unit) in rows.items()}
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n")


def products(args: argparse.Namespace) -> dict[str, tuple[float, str]]:
    """Name → figure and unit."""
    runs = 6 if args.cv else 1
    hours = {
        "search": args.datasets * runs * args.search / 3600,
        "distill": args.datasets * runs * args.distill / 3600,
        "pseudobulk, report": args.datasets * args.other / 3600,
        "replicates": args.datasets * args.cell_types * args.replicates * args.replicate / 3600,
        "loci": args.loci * args.locus / 3600,
    }
    tasks = {
        "data sets": args.datasets * (2 + 2 * runs + (args.replicates > 0)),
        "loci": 3 * args.loci / args.loci_a_task,
    }
    gigabytes = (args.datasets * runs * args.dataset_mb + args.loci * args.locus_mb) / 1000
    rows: dict[str, tuple[float, str]] = {f"tasks, {k}": (v, "tasks") for k, v in tasks.items()}
    alone = sum(tasks.values()) / args.rate / 3600
    rows["submitting them one by one"] = alone, "hours"
    rows["submitting them as arrays"] = alone / args.array, "hours"
    rows |= {f"CPU time, {name}": (value, "CPU hours") for name, value in hours.items()}
    total = sum(hours.values())
    rows["CPU time in all"] = total, "CPU hours"
    rows["the same on 2,000 CPUs"] = total / 2000, "hours"
    rows["memory of Nextflow in one run"] = sum(tasks.values()) * args.task_mb / 1000, "GB"
    rows["work directory"] = gigabytes, "GB"
    for cloud, (cpu, storage) in PRICES.items():
        rows[f"{cloud}, CPUs on demand"] = total * cpu, "US dollars"
        rows[f"{cloud}, CPUs at a spot price of a third"] = total * cpu * SPOT, "US dollars"
        rows[f"{cloud}, work directory for a month"] = gigabytes * storage, "US dollars"
    return rows


if __name__ == "__main__":
    main()

"""Recovery of equations planted over classes of DeepBind networks, beside the same over motifs.

On a simulated genome `geneq classes` learns classes of the networks' outputs. The expression of two
cell types is an equation of six of these classes: sums, saturation, a product, each class weighted
by the distance from the TSS, with noise and counts as in `geneq simulate`. Prints, by cell type, r
of the selected equation with the noiseless truth on test genes beside the teacher's and that of the
degree-2 lasso and the elastic net on the same features. The peer is the same search over motif
classes of the same genome, planted by `geneq simulate`.

The networks are the published ones (the archive of DeepBind 0.11, or its folder). 3,000 genes and
all networks of DNA; --quick: 1,000 genes, 109 networks.
"""

import argparse
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from figures import Figure, print_table, write_json
from geneq.artifacts import GENES
from geneq.features import Features
from geneq.tools import simulate
from geneq.tools.simulate import linear, product, saturating
from recovery import MODELS, agreement, geneq, recover

ARCHIVE = Path(__file__).parents[2] / "shared/data/models/deepbind.tar.gz"
DATASET, FLOOR = "muscle", 0.95
# Classes are planted whose drivers correlate no more than this; reaches of their weights, in nt.
DIFFERENT, REACHES = 0.5, (60, 250)
QUICK = ":SELEX,Ets,bHLH,Nuclear receptor,Forkhead,Sox"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deepbind", type=Path, default=ARCHIVE, help="archive or its folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="fewer genes, networks and trials")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        genes = 1000 if args.quick else 3000
        search = ["--trials", "8"] * args.quick
        geneq("simulate", "--out", folder, "--genes", genes, "--seed", args.seed)
        networks = f"deepbind:{unpacked(args.deepbind, folder)}{QUICK * args.quick}"
        rows = deep(folder, networks, args.seed, search)
        peer = pd.DataFrame(recover(folder, DATASET, args.seed, search))
    table = pd.DataFrame(rows)
    print(table.round(3).to_string(index=False))
    lowest, beside = table["equation"].min(), peer["equation"].min()
    figures = {
        "lowest r with the truth, DeepBind classes": Figure(
            lowest, "r", beside, lowest / FLOOR, 1.0, "the same over motifs:core"
        )
    }
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


def unpacked(path: Path, folder: Path) -> Path:
    """The folder of the parameters."""
    if not path.exists():
        raise SystemExit(f"There are no parameters of DeepBind at {path}: give --deepbind")
    if path.is_dir():
        return path
    with tarfile.open(path) as archive:
        archive.extractall(folder / "networks", filter="data")
    return next((folder / "networks").rglob("db.tsv")).parent


def deep(folder: Path, networks: str, seed: int, options: list[str]) -> list[dict]:
    """Plant, search and distill; one row per cell type."""
    genome, features = folder / "genome", folder / "deep.zarr"
    geneq("genes", "--genome", "simulated", "--fasta", folder / "genome.fa.gz",
          "--gtf", folder / "genes.gtf", "--out", genome)  # fmt: skip
    table, model = genome / "genes.parquet", ("--genome_dir", genome, "--oracle", networks)
    geneq("classes", *model, "--genes", 500, "--max_classes", 40, "--out", folder / "c.tsv")
    geneq("featurize", *model, "--classes", folder / "c.tsv", "--out", features)
    # Of the peer, which then simulates nothing anew.
    geneq("featurize", "--genome_dir", genome, "--out", folder / "features.zarr")
    truth, planted = plant(Features.open(features), GENES.read(table), seed, folder)
    name, run = ("--dataset", DATASET), folder / "deep"
    geneq("pseudobulk", "--h5ad", folder / "deep.h5ad", *name, "--cell_type_key", "cell_type",
          "--genes", table, "--out", run / "expression")  # fmt: skip
    geneq("search", "--features", features, "--expression", run / "expression", "--genes", table,
          "--out", run / "search", *options)  # fmt: skip
    geneq("distill", "--search", run / "search", "--features", features, "--sr_engine", "operon",
          "--out", run / "distill")  # fmt: skip
    r = agreement(run / "distill" / "predictions.parquet", truth, DATASET)
    return [
        {"cell type": about["cell_type"], "classes": ", ".join(about["classes"])}
        | {model: r[about["cell_type"]][model] for model in MODELS}
        for about in planted
    ]


def plant(
    features: Features, genes: pd.DataFrame, seed: int, folder: Path
) -> tuple[Path, list[dict]]:
    """Write cells whose expression is an equation of classes; its truth, and what was planted."""
    rng, block = np.random.default_rng(seed), features.blocks[0]
    values = np.asarray(block.values[:], float)
    middles = np.abs(np.add(block.meta["bin_edges"][1:], block.meta["bin_edges"][:-1]) / 2)
    reaches = {name: rng.uniform(*REACHES) for name in block.classes}
    drivers = {
        name: values[:, :, i] @ np.exp(-middles / reaches[name])
        for i, name in enumerate(block.classes)
    }
    a, b, c, d, e, f = different(drivers, rng, 6)
    types = {
        "one": [product(a, b, 0.8), saturating(c, 1.1), linear(d, 0.9)],
        "two": [linear(e), linear(f, 0.9), saturating(a, -1.0)],
    }
    truth = {DATASET: {name: simulate.combine(terms, drivers, drivers, len(values))
                       for name, terms in types.items()}}  # fmt: skip
    planted = [
        {"cell_type": name, **simulate.describe(terms, drivers, reaches)}
        for name, terms in types.items()
    ]
    simulate.write_dataset(DATASET, truth[DATASET], genes, 110, rng, folder / "deep.h5ad")
    simulate.write_truth(truth, planted, genes, folder / "deep_truth.parquet")
    return folder / "deep_truth.parquet", planted


def different(drivers: dict[str, np.ndarray], rng: np.random.Generator, n: int) -> list[str]:
    """n classes, drawn at random, whose drivers hardly correlate."""
    names, r = list(drivers), np.abs(np.corrcoef(list(drivers.values())))
    chosen: list[int] = []
    for i in rng.permutation(len(names)):
        if all(r[i, j] <= DIFFERENT for j in chosen) and len(chosen) < n:
            chosen.append(i)
    if len(chosen) < n:
        raise SystemExit(f"Only {len(chosen)} of {len(names)} classes differ enough to be planted")
    return [names[i] for i in chosen]


if __name__ == "__main__":
    main()

"""Teacher and equations of a cross-validated run beside boosted trees on the same features.

Reads what `nextflow run main.nf --cv` left in --results for one data set (of which only the
searches must have finished), and fits boosted trees (scikit-learn's histogram gradient boosting) on
the same folds: on the training genes, stopped by the validation genes, as the teacher is ("trees,
train"), and once more on both together with that many trees ("trees, train + valid"). With --short,
equations of at most 20 nodes are distilled, too. Prints Pearson r of the pooled out-of-fold
predictions by cell type, the share of the teacher's mean r that equations keep, with their mean
complexity and number of classes, and differences of r averaged over the cell types with at least
100,000 counts, with 95 % intervals by bootstrap over blocks of neighbouring genes: 1 Mb with an
annotation, in compact genomes the share of 20 genes; for promoters, whose file has no positions, 5
successive genes of a chromosome (a gene's share of the human genome is 0.2 Mb). With --beside,
teacher and equations are compared with those of another run instead: the same data, other features.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from geneq import cli
from geneq.artifacts import EQUATIONS, GENES, PREDICTIONS, read_json
from geneq.evaluation import BASELINES, block_weights, gene_blocks, pool_cv, weighted_r
from geneq.features import Features

SEED = 1
BOOTSTRAPS = 2000
MIN_COUNTS = 1e5
SHORT = 20
EQUATION_MODELS = ["equation", "faithful", "shared", "short"]
# What distill fitted; boosted trees are fitted here, for a teacher is stopped as these are.
FITTED = [name for name in BASELINES if name != "trees"]
MODELS = ["teacher", *EQUATION_MODELS, *FITTED]
TREES = ["trees, train", "trees, train + valid"]
# Least share of the teacher's mean r.
SHARES = {"equation": None, "faithful": 0.95, "shared": 0.95, "short": 0.90}
# (ours, peer, lowest lower bound of the difference)
DIFFERENCES = [
    ("teacher", "trees, train", -0.015),
    ("teacher", "trees, train + valid", None),
    *(
        (ours, peer, None)
        for ours in EQUATION_MODELS
        for peer in ("teacher", *FITTED, "trees, train + valid")
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", required=True, help="outdir of a run with --cv")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--genome", default="genome", help="its name in the samplesheet")
    parser.add_argument("--short", action="store_true", help="also equations of at most 20 nodes")
    parser.add_argument("--no_trees", action="store_true", help="without trees: quick")
    parser.add_argument("--beside", help="outdir of another run of the data set with --cv")
    parser.add_argument("--quick", action="store_true", help="two cell types: under a minute")
    parser.add_argument("--json", help="write the figures here too")
    args = parser.parse_args()
    run = Path(args.results) / "datasets" / args.dataset
    genome = Path(args.results) / "genomes" / args.genome
    types = measured_types(run)[: 2 if args.quick else None]
    genes = GENES.read(genome / "genes" / "genes.parquet")
    folds = predictions(run, types)
    if args.beside:
        other = predictions(Path(args.beside) / "datasets" / args.dataset, types)
        figures = compared(pool_cv(folds), pool_cv(other), gene_blocks(genes))
    else:
        zarr = genome / "featurize" / "features.zarr"
        figures = beside_peers(
            run, types, folds, zarr, gene_blocks(genes), args.short, not args.no_trees
        )
    print_figures(figures)
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")


def predictions(run: Path, types: list[str]) -> list[pd.DataFrame]:
    """Of these cell types, by fold: with equations where all folds were distilled."""
    folds = [PREDICTIONS.read(latest(folder)) for folder in searched(run)]
    return [fold[fold["cell_type"].isin(types)] for fold in folds]


def searched(run: Path) -> list[Path]:
    """Folders of the folds whose search has ended."""
    return [path.parents[1] for path in sorted(run.glob("cv/*/search/predictions.parquet"))]


def compared(table: pd.DataFrame, other: pd.DataFrame, block: pd.Series) -> dict:
    """Figures of teacher and equations of two runs on the genes that both have."""
    models = [
        name for name in ("teacher", "equation", "faithful") if name in table and name in other
    ]
    renamed = {model: f"{model}, beside" for model in models}
    keys = ["gene_id", "cell_type"]
    table = table.merge(other[[*keys, *models]].rename(columns=renamed), on=keys)
    print_r(table, [*models, *renamed.values()])
    return differences(table, block, [(ours, peer, None) for ours, peer in renamed.items()])


def beside_peers(
    run: Path, types: list[str], folds: list[pd.DataFrame], zarr: Path, block: pd.Series,
    shorter: bool, grown: bool,
) -> dict:  # fmt: skip
    """Figures of teacher and equations beside baselines, and of what equations keep.

    shorter: with those of at most SHORT nodes; grown: with boosted trees.
    """
    folders = searched(run)
    distilled = all("equation" in fold for fold in folds)
    fronts = [reported(folder) for folder in folders if distilled]
    if distilled and shorter:
        more = [short(folder, zarr) for folder in folders]
        folds = [
            fold.merge(table, on=["gene_id", "cell_type"])
            for fold, (table, _) in zip(folds, more, strict=True)
        ]
        fronts += [front for _, front in more]
    if grown:
        features = Features.read(zarr)
        folds = [with_trees(fold, features) for fold in folds]
    table = pool_cv(folds)
    r = print_r(table, MODELS + TREES)
    figures = differences(table, block, DIFFERENCES)
    if distilled:
        front = pd.concat(fronts)
        front = front[front["cell_type"].isin(types)]
        sizes = front.groupby(["model", "cell_type"])[["complexity", "classes"]].mean()
        print(sizes.groupby("model").mean().round(1).to_string())
        figures |= shares(r)
    return figures


def latest(fold: Path) -> Path:
    """Predictions of a fold's run: with equations, if it was distilled."""
    paths = [fold / stage / "predictions.parquet" for stage in ("distill", "search")]
    return next(path for path in paths if path.exists())


def short(fold: Path, features: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of the faithful equations of at most SHORT nodes, and their rows of the front."""
    with tempfile.TemporaryDirectory() as folder:
        options = ("--search", fold / "search", "--features", features, "--out", folder,
                   "--max_complexity", SHORT, "--seed", SEED)  # fmt: skip
        if cli.main(["distill", *map(str, options)]):
            raise SystemExit(f"distill failed for {fold}")
        table = PREDICTIONS.read(Path(folder) / "predictions.parquet")
        front = EQUATIONS.read(Path(folder) / "equations.parquet").query("faithful")
    predictions = table[["gene_id", "cell_type", "faithful"]]
    return predictions.rename(columns={"faithful": "short"}), front.assign(model="short")


def reported(fold: Path) -> pd.DataFrame:
    """The rows of the front that a fold's run reports."""
    front = EQUATIONS.read(fold / "distill" / "equations.parquet")
    return pd.concat(
        [
            front[front["chosen"]].assign(model="equation"),
            front[front["faithful"]].assign(model="faithful"),
        ]
    )


def measured_types(run: Path) -> list[str]:
    about = read_json(run / "pseudobulk" / "expression.json")
    return [t["cell_type"] for t in about["cell_types"] if (t["counts"] or np.inf) >= MIN_COUNTS]


def with_trees(fold: pd.DataFrame, features: Features) -> pd.DataFrame:
    """The predictions of one fold's run with columns of boosted trees."""
    row = pd.Series(np.arange(len(features.gene_id)), features.gene_id)
    parts = []
    for _, part in fold.groupby("cell_type", sort=False):
        x = features.matrix()[row[part["gene_id"]]]
        y, split = part["measured"].to_numpy(), part["split"].to_numpy()
        stopped, more = trees(x, y, split == "train", split == "valid")
        parts.append(part.assign(**{TREES[0]: stopped, TREES[1]: more}))
    return pd.concat(parts)


def trees(x, y, train, valid) -> tuple[np.ndarray, np.ndarray]:
    """Predictions for all rows of trees on `train`, and on `train` and `valid`."""
    options = {"learning_rate": 0.04, "max_leaf_nodes": 15, "min_samples_leaf": 20,
               "max_features": 0.2, "early_stopping": False, "random_state": SEED}  # fmt: skip
    model = HistGradientBoostingRegressor(max_iter=400, **options).fit(x[train], y[train])
    errors = [((p - y[valid]) ** 2).mean() for p in model.staged_predict(x[valid])]
    best = int(np.argmin(errors)) + 1
    model = HistGradientBoostingRegressor(max_iter=best, **options)
    known = train | valid
    return model.fit(x[train], y[train]).predict(x), model.fit(x[known], y[known]).predict(x)


def print_r(table: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Pearson r by cell type and model."""
    models = [model for model in models if model in table]
    r = pd.DataFrame(
        {name: rows[models].corrwith(rows["measured"]) for name, rows in table.groupby("cell_type")}
    ).T
    print(f"seed {SEED}; Pearson r, genes out of fold: {table['gene_id'].nunique()}")
    print(pd.concat([r, r.mean().to_frame("mean").T]).round(3).to_string())
    return r


def differences(table: pd.DataFrame, block: pd.Series, pairs: list[tuple]) -> dict:
    """Differences of mean r, with the 2.5 and 97.5 % points of the bootstrap.

    pairs: two models, and the lowest lower bound of their difference.
    """
    code = pd.factorize(block[table["gene_id"]])[0]
    weights = block_weights(code, BOOTSTRAPS, SEED)
    models = {model for pair in pairs for model in pair[:2] if model in table}
    mean_r = {model: np.zeros(len(weights)) for model in models}
    types = table["cell_type"].unique()
    for cell_type in types:
        inside = (table["cell_type"] == cell_type).to_numpy()
        y = table["measured"].to_numpy()[inside]
        for model in models:
            x = table[model].to_numpy()[inside]
            mean_r[model] += weighted_r(x, y, code[inside], weights) / len(types)
    figures = {}
    for ours, peer, floor in pairs:
        if ours not in models or peer not in models:
            continue
        difference = mean_r[ours] - mean_r[peer]
        low, high = np.quantile(difference[1:], [0.025, 0.975])
        figures[f"{ours} - {peer}"] = {
            "value": difference[0], "unit": "r", "low": low, "high": high, "peer": mean_r[peer][0],
            "ratio": mean_r[ours][0] / mean_r[peer][0], "floor": floor,
        }  # fmt: skip
    return figures


def shares(r: pd.DataFrame) -> dict:
    """The share of the teacher's mean r that each kind of equation keeps."""
    mean = r.mean()
    return {
        f"{model}_share": {
            "value": mean[model] / mean["teacher"], "unit": "of the teacher's mean r",
            "peer": mean["teacher"], "ratio": mean[model] / mean["teacher"], "floor": floor,
        }
        for model, floor in SHARES.items()
        if model in mean
    }  # fmt: skip


def print_figures(figures: dict) -> None:
    for name, f in figures.items():
        interval = f" [{f['low']:+.4f}, {f['high']:+.4f}]" if "low" in f else ""
        print(f"{name:36s} {f['value']:+.4f}{interval}")


if __name__ == "__main__":
    main()

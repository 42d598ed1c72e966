"""The architecture search beside the network that it starts from, boosted trees and ridge.

Four planted landscapes, of simulated features with a known answer, or real data
(--features, --expression, --genes as of `geneq search`). Prints Pearson r with measured expression
over test genes: of every strategy, of the start alone, of boosted trees (scikit-learn's histogram
gradient boosting) on the same columns, and of ridge regression on exponential decays from the TSS,
as in ExPecto. Differences have 95 % intervals, by bootstrap over genes, or over blocks of
1 Mb for real data. All strategies have the same number of trials and of training epochs.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV

from figures import Figure, machine, print_table, write_json
from geneq.artifacts import ABSOLUTE
from geneq.evaluation import block_weights, weighted_r
from geneq.features import Block, Features
from geneq.stages.search import journal_head, search
from geneq.stages.search.data import Data, load_data
from geneq.stages.search.exploring import Settings
from geneq.stages.search.journal import Journal
from geneq.stages.search.strategies import STRATEGIES
from geneq.teacher import decay_basis, shapes_of

SEED = 1
BOOTSTRAPS = 2000
EDGES = [-1024, -512, -128, 0, 128, 512, 1024]
CENTRES = (np.array(EDGES[:-1]) + EDGES[1:]) / 2
CLASSES = 20
# Share of the variance of expression that the planted function explains.
REACHABLE = 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", help="features.zarr; with --expression and --genes")
    parser.add_argument("--expression")
    parser.add_argument("--genes")
    parser.add_argument("--test_fold", type=int)
    parser.add_argument("--strategies", nargs="+", choices=list(STRATEGIES))
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one landscape and strategy, 8 trials")
    parser.add_argument("--json", help="write the figures here too")
    args = parser.parse_args()
    strategies = args.strategies or list(STRATEGIES)
    if args.quick:
        args.trials, args.epochs, strategies = 8, 20, ["tpe"]
    sets = planted(6000)
    if args.features:
        data = load_data(args.features, args.expression, args.genes, args.test_fold)
        sets = {data.dataset: data}
    print(machine(("torch", "optuna", "scikit-learn")))
    print(f"seed {SEED}, {args.trials} trials of {args.epochs} epochs, {args.threads} threads")
    figures = {}
    for name, data in list(sets.items())[: 1 if args.quick else None]:
        figures |= compared(name, data, strategies, args)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


# --- planted landscapes -----------------------------------------------------------------------


def planted(n: int) -> dict[str, Data]:
    """Landscape → genes with features and noisy expression."""
    rng = np.random.default_rng(SEED)
    common = rng.gamma(2, 1, (n, 1, CLASSES // 4))  # classes come in correlated groups of four
    x = rng.gamma(2, 1, (n, len(CENTRES), CLASSES)) + 0.7 * np.repeat(common, 4, axis=2)
    z = (x - x.mean(0)) / x.std(0)
    return {
        name: data_of(name, x.astype(np.float32), noisy(function(z, rng), rng))
        for name, function in LANDSCAPES.items()
    }


def additive(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Saturating and linear functions of eight classes, each with a profile of its own."""
    s = pooled(z, rng.dirichlet(np.ones(len(CENTRES)), CLASSES).T)
    return np.tanh(1.5 * s[:, :4]) @ rng.choice([-1, 1], 4) + s[:, 4:8] @ rng.normal(0, 0.7, 4)


def pairs(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Products of two classes."""
    s = pooled(z, np.exp(-np.abs(CENTRES) / 300)[:, None])
    return s[:, 0] * s[:, 5] + s[:, 9] * s[:, 14] + 0.7 * s[:, 2] * s[:, 11] + 0.5 * s[:, 17]


def programme(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Saturating and rectified functions of weighted sums over all bins and classes."""
    flat = z.reshape(len(z), -1)
    latent = standardised(flat @ rng.normal(0, 1, (flat.shape[1], 3)))
    return np.tanh(2 * latent[:, 0]) + np.maximum(latent[:, 1], 0) - 0.7 * latent[:, 2] ** 2


def decays(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A linear function of all classes, each decaying from the TSS at a rate of its own."""
    rate = rng.uniform(0.2, 4, CLASSES) / 1000
    return pooled(z, np.exp(-rate * np.abs(CENTRES)[:, None])) @ rng.normal(0, 1, CLASSES)


LANDSCAPES = {"additive": additive, "pairs": pairs, "programme": programme, "decays": decays}


def pooled(z: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """float64[n, classes], standardised, of z [n, bins, classes] and profiles [bins, classes]."""
    return standardised((z * profile).sum(1))


def standardised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) / x.std(0)


def noisy(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(0, ((1 - REACHABLE) / REACHABLE) ** 0.5, len(truth))
    return 5 + standardised(truth) + noise


def data_of(name: str, x: np.ndarray, y: np.ndarray) -> Data:
    # A third is learned from; so many test genes make the intervals narrow.
    fold = np.minimum(np.arange(len(x)) % 12, 4)
    genes = pd.DataFrame(
        {
            "gene_id": [f"g{i}" for i in range(len(x))],
            "chrom": fold.astype(str),
            "tss": np.arange(len(x)) * 1_000_000,
            "fold": fold,
            "split": np.array(["train", "train", "train", "valid", "test"])[fold],
            "oracle": "untrained",
        }
    )
    meta = {
        "hash": "", "strands": None, "window": [EDGES[0], EDGES[-1]], "bin_edges": EDGES,
        "tss_index": -EDGES[0], "orientation": "the gene's strand",
    }  # fmt: skip
    block = Block("simulated", x, [f"c{i}" for i in range(x.shape[2])], meta)
    features = Features(genes["gene_id"].to_numpy(), [block], {}).complete()
    unknown = {ABSOLUTE: {name: None}}  # reliability
    return Data(name, genes, features, y[:, None], [name], np.ones(1, np.float32), unknown, None)


# --- models -----------------------------------------------------------------------------------


def compared(name: str, data: Data, strategies: list[str], args) -> dict[str, Figure]:
    """The figures of a data set: r of everything, and differences from start and trees."""
    predicted, seconds = {}, {}
    for model in ["start", *strategies]:
        trials = 1 if model == "start" else args.trials
        settings = Settings("random" if trials == 1 else model, trials, args.epochs, SEED)
        start = time.perf_counter()
        predicted[model] = searched(data, settings, args.threads)
        seconds[model] = time.perf_counter() - start
    predicted |= {"trees": trees(data), "ridge on decays": ridge_on_decays(data)}
    test = data.rows("test")
    y, block = data.y[test], blocks(data.genes.iloc[test])
    r = {model: bootstrapped(p[test], y, block) for model, p in predicted.items()}
    figures = {}
    for model, values in r.items():
        took = f"{seconds[model]:.0f} s" if model in seconds else ""
        figures[f"{name}: {model}"] = Figure(values[0], "r", beside=took)
    for model in strategies:
        for peer in ("start", "trees"):
            gain = r[model] - r[peer]
            low, high = np.quantile(gain[1:], [0.025, 0.975])
            figures[f"{name}: {model} - {peer}"] = Figure(
                gain[0], "r", r[peer][0], beside=f"95 % interval {low:+.3f} to {high:+.3f}"
            )
    return figures


def searched(data: Data, settings: Settings, threads: int) -> np.ndarray:
    """The network's predictions, float32[genes, cell types]."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.jsonl", journal_head(data, settings))
        _, _, prediction = search(data, settings, journal, threads)
    return prediction.everything


def trees(data: Data) -> np.ndarray:
    """Boosted trees on training and validation genes, as many as validation genes ask for."""
    x = data.features.matrix()
    train, valid, known = data.rows("train"), data.rows("valid"), data.rows("train", "valid")
    options = {"learning_rate": 0.04, "max_leaf_nodes": 15, "min_samples_leaf": 20,
               "max_features": 0.2, "early_stopping": False, "random_state": SEED}  # fmt: skip
    found = np.empty(data.y.shape)
    for j, y in enumerate(data.y.T):
        some, others, both = (rows[np.isfinite(y[rows])] for rows in (train, valid, known))
        model = HistGradientBoostingRegressor(max_iter=500, **options).fit(x[some], y[some])
        errors = [((p - y[others]) ** 2).mean() for p in model.staged_predict(x[others])]
        best = int(np.argmin(errors)) + 1
        model = HistGradientBoostingRegressor(max_iter=best, **options).fit(x[both], y[both])
        found[:, j] = model.predict(x)
    return found


def ridge_on_decays(data: Data) -> np.ndarray:
    """Ridge regression on sums of exponential decays of every class (ExPecto: Zhou et al. 2018)."""
    parts = []
    for shape, block in zip(shapes_of(data.features), data.features.blocks, strict=True):
        parts.append(np.einsum("kb,nbc->nkc", decay_basis(shape).numpy(), block.values))
    x = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
    known = data.rows("train", "valid")
    x = (x - x[known].mean(0)) / np.maximum(x[known].std(0), 1e-6)
    found = np.empty(data.y.shape)
    for j, y in enumerate(data.y.T):
        rows = known[np.isfinite(y[known])]
        found[:, j] = RidgeCV(np.geomspace(0.1, 1e5, 13)).fit(x[rows], y[rows]).predict(x)
    return found


# --- intervals --------------------------------------------------------------------------------


def blocks(genes: pd.DataFrame) -> np.ndarray:
    """A number for each block of 1 Mb."""
    return pd.factorize(genes["chrom"] + ":" + (genes["tss"] // 1_000_000).astype(str))[0]


def bootstrapped(predicted: np.ndarray, y: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Mean r over cell types, float64[1 + BOOTSTRAPS]: of all genes, then of resampled blocks.

    The same blocks are drawn for every model, so differences are paired.
    """
    weights = block_weights(block, BOOTSTRAPS, SEED)
    found = []
    for a, b in zip(predicted.T, y.T, strict=True):
        known = np.isfinite(b)
        found.append(weighted_r(a[known], b[known], block[known], weights))
    return np.mean(found, axis=0)


if __name__ == "__main__":
    main()

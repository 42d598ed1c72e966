"""Inputs of search and distill with a known answer: features, genes and expression, written as
the stages before them write them, and a teacher whose weights are set by hand."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from geneq import artifacts
from geneq.teacher import Architecture, Scaling, Teacher, TrainedTeacher

# Names as motif files have them, and worse.
CLASSES = ["SP1", "H13CORE.0.P.B", "H13CORE_0_P_B", "a b", "<x>", "NRF1", "YY1", "GC"]
EDGES = [-200, -100, -50, 0, 50, 200]
PROFILE = np.exp(-0.5 * (np.arange(5) - 2.0) ** 2)
META = {
    "oracle": "motifs:core",
    "oracle_hash": "ab" * 32,
    "window": [-200, 200],
    "bin_edges": EDGES,
    "tss_index": 200,
    "orientation": "gene",
    "genome": "cd" * 32,
}

Truth = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class World:
    """Files under `root`, and what they were made from.

    pooled: float64[genes, classes], standardised; truth: float64[genes, cell types].
    """

    root: Path
    genes: pd.DataFrame
    features: artifacts.Features
    pooled: np.ndarray
    truth: np.ndarray
    cell_types: list[str]

    def search_args(self, out: Path, *more: str) -> list[str]:
        inputs = ("--features", self.root / "features.zarr", "--expression", self.root,
                  "--genes", self.root / "genes.parquet", "--out", out)  # fmt: skip
        return ["search", *map(str, inputs), *more]

    def distill_args(self, search: Path, out: Path, *more: str) -> list[str]:
        inputs = ("--search", search, "--features", self.root / "features.zarr", "--out", out)
        return ["distill", *map(str, inputs), *more]


def world(root: Path, truths: dict[str, Truth], n: int = 400, noise: float = 0.5, seed: int = 1):
    """Write features.zarr, genes.parquet, expression.parquet and expression.json under `root`.

    truths: cell type → expression, float64[genes], from the pooled features; measured is it with
    normal noise of that standard deviation.
    """
    rng = np.random.default_rng(seed)
    x = rng.gamma(2, 1, (n, len(PROFILE), len(CLASSES)))
    x = (x + 0.7 * rng.gamma(2, 1, (n, 1, 1))).astype(np.float32)
    genes = gene_table(n)
    features = artifacts.Features(x, genes["gene_id"].to_numpy(), CLASSES, META)
    pooled = np.einsum("b,nbc->nc", PROFILE, x.astype(float))
    pooled = (pooled - pooled.mean(0)) / pooled.std(0)
    truth = np.column_stack([np.broadcast_to(f(pooled), n) for f in truths.values()])
    made = World(root, genes, features, pooled, truth, list(truths))
    features.write(root / "features.zarr")
    artifacts.GENES.write(genes, root / "genes.parquet")
    write_expression(made, truth + rng.normal(0, noise, truth.shape))
    return made


def gene_table(n: int, test_fold: int = 0) -> pd.DataFrame:
    """n genes in five folds, one of them to test and the next to validate."""
    fold = np.arange(n) % 5
    return pd.DataFrame(
        {
            "gene_id": [f"g{i:04d}" for i in range(n)],
            "gene_name": [f"G{i}" for i in range(n)],
            "chrom": [f"chr{f + 1}" for f in fold],
            "tss": np.arange(n) * 10_000,
            "strand": "+",
            "records": "",
            "fold": fold.astype("int8"),
            "split": np.array(["test", "valid", "train", "train", "train"])[(fold - test_fold) % 5],
            "family": -1,
        }
    )


def write_expression(made: World, measured: np.ndarray, reliability=None, root=None) -> Path:
    """Write expression.parquet and .json of float64[genes, cell types]; NaN rows are left out."""
    root = root or made.root
    reliability = reliability or [0.8] * len(made.cell_types)
    frames = [
        pd.DataFrame(
            {
                "gene_id": made.genes["gene_id"],
                "cell_type": cell_type,
                "log2cpm": measured[:, j],
                "counts": 100.0,
                "n_cells": 50,
                "se": 0.1,
            }
        )
        for j, cell_type in enumerate(made.cell_types)
    ]
    table = pd.concat(frames).dropna(subset="log2cpm")
    artifacts.EXPRESSION.write(table, root / "expression.parquet")
    entries = [
        {"cell_type": c, "reliability": r, "ceiling": None if r is None else r**0.5}
        for c, r in zip(made.cell_types, reliability, strict=True)
    ]
    about = {"dataset": "planted", "cell_types": entries}
    artifacts.write_json(about, root / "expression.json")
    return root


def exact_teacher(made: World) -> TrainedTeacher:
    """Three cell types over the pooled features s of one profile (names as in CLASSES):

    "T cell"  5 + 0.6 s_SP1 + 0.4 s_H13CORE.0.P.B s_NRF1 + 0.7 tanh(0.8 s_<x>)
    "B"       4 - 0.5 s_YY1 + 0.6 tanh(0.8 s_<x>)
    "silent"  3
    """
    architecture = Architecture(
        pooling="shared", hidden="additive", width=1, interactions=1, nonlinearity="tanh",
        dropout=0.0, weight_decay=0.01, gate_penalty=0.01, learning_rate=0.01,
        members=1,
    )  # fmt: skip
    x = made.features.values
    scaling = Scaling.of(x, np.zeros((len(x), 3)))
    scaling.y_mean[:] = 5, 4, 3
    network = Teacher(architecture, *x.shape[1:], 3)
    column = {name: i for i, name in enumerate(CLASSES)}
    with torch.no_grad():
        network.profile[:, 0] = torch.from_numpy(PROFILE)
        network.hidden.slope.fill_(0.8)
        network.hidden.shift.zero_()
        network.left.weight.zero_()[0, column["H13CORE.0.P.B"]] = 1
        network.right.weight.zero_()[0, column["NRF1"]] = 1
        linear, saturating, product = network.head.weight.zero_()[0].split([8, 8, 1])
        linear[column["SP1"], 0], linear[column["YY1"], 1] = 0.6, -0.5
        saturating[column["<x>"], 0], saturating[column["<x>"], 1] = 0.7, 0.6
        product[0, 0] = 0.4
    about = {
        "dataset": "planted",
        "test_fold": None,
        "seed": 1,
        "features": META,
        "weight": [1, 1, 1],
        "ceilings": {"T cell": 0.9, "B": 0.9, "silent": None},
    }
    return TrainedTeacher(network, scaling, CLASSES, ["T cell", "B", "silent"], about)


PLANTED = {"T cell": {"SP1", "H13CORE.0.P.B", "NRF1", "<x>"}, "B": {"YY1", "<x>"}, "silent": set()}


def exact_search(root: Path, n: int = 600, noise: float = 0.5, seed: int = 2) -> World:
    """What search writes, in root/search, of the exact teacher; `truth` is its prediction."""
    made = world(root, {"T cell": lambda p: 0, "B": lambda p: 0, "silent": lambda p: 0}, n, 1, seed)
    teacher = exact_teacher(made)
    made = replace(made, truth=teacher.predict(made.features.values).astype(float))
    rng = np.random.default_rng(seed)
    measured = made.truth + rng.normal(0, noise, made.truth.shape)
    # The network of a silent type learns noise, which is worth nothing out of fold.
    known = (made.genes["split"] != "test").to_numpy()[:, None]
    out_of_fold = np.where(known, made.truth + rng.normal(0, 0.05, measured.shape), np.nan)
    write_search(made, teacher, measured, out_of_fold, root / "search")
    return made


def write_search(made: World, teacher, measured, out_of_fold, folder: Path) -> None:
    """Write teacher and predictions.parquet of float64[genes, cell types]."""
    predicted = teacher.predict(made.features.values)
    genes = made.genes[["gene_id", "fold", "split"]]
    frames = [
        genes.assign(
            cell_type=cell_type,
            measured=measured[:, j],
            teacher=predicted[:, j],
            teacher_out_of_fold=out_of_fold[:, j],
        )
        for j, cell_type in enumerate(made.cell_types)
    ]
    artifacts.PREDICTIONS.write(pd.concat(frames), folder / "predictions.parquet")
    teacher.save(folder)

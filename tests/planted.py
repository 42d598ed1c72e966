"""Inputs of search and distill with a known answer: features, genes and expression, written as
the stages before them write them, and a teacher whose weights are set by hand."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from geneq import artifacts
from geneq.features import Block, Features
from geneq.teacher import Architecture, Scaling, Teacher, TrainedTeacher, shapes_of

# Names as motif files have them, and worse.
CLASSES = ["SP1", "H13CORE.0.P.B", "H13CORE_0_P_B", "a b", "<x>", "NRF1", "YY1", "GC"]
EDGES = [-200, -100, -50, 0, 50, 200]
PROFILE = np.exp(-0.5 * (np.arange(5) - 2.0) ** 2)
ORACLE = {
    "hash": "ab" * 32,
    "strands": "both",
    "window": [-200, 200],
    "bin_edges": EDGES,
    "tss_index": 200,
    "orientation": "gene",
}
# Columns of the table; one has the name of a class.
COLUMNS = ["half-life", "SP1"]
TABLE = {"hash": "ef" * 32, "missing": {"half-life": 3, "SP1": 0}}
GENOME = {"genome": "cd" * 32}

MEANS = {"T cell": 5, "B": 4, "silent": 3}

Truth = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class World:
    """Files under `root`, and what they were made from.

    pooled: float64[genes, classes and columns of the table], standardised; truth: float64[genes,
    cell types].
    """

    root: Path
    genes: pd.DataFrame
    features: Features
    pooled: np.ndarray
    truth: np.ndarray
    cell_types: list[str]

    def search_args(self, out: Path, *more: str) -> list[str]:
        inputs = ("--features", self.root / "features.zarr", "--expression", self.root,
                  "--genes", self.root / "genes.parquet", "--out", out)  # fmt: skip
        return ["search", *map(str, inputs), "--teacher", "network", *more]

    def distill_args(self, search: Path, out: Path, *more: str) -> list[str]:
        inputs = ("--search", search, "--features", self.root / "features.zarr", "--out", out)
        return ["distill", *map(str, inputs), *more]


def world(
    root: Path,
    truths: dict[str, Truth],
    n: int = 400,
    noise: float = 0.5,
    seed: int = 1,
    table: bool = False,
) -> World:
    """Write features.zarr, genes.parquet, expression.parquet and expression.json under `root`.

    truths: cell type → expression, float64[genes], from the pooled features; measured is it with
    normal noise of that standard deviation. table: a second block, a table of gene features.
    """
    rng = np.random.default_rng(seed)
    x = rng.gamma(2, 1, (n, len(PROFILE), len(CLASSES)))
    x = (x + 0.7 * rng.gamma(2, 1, (n, 1, 1))).astype(np.float32)
    blocks = [Block("motifs:core", x, CLASSES, ORACLE)]
    pooled = np.einsum("b,nbc->nc", PROFILE, x.astype(float))
    if table:
        values = rng.lognormal(1, 1, (n, 1, len(COLUMNS))).astype(np.float32)
        blocks.append(Block("table:stability.tsv", values, COLUMNS, TABLE))
        pooled = np.concatenate([pooled, values[:, 0]], axis=1)
    pooled = (pooled - pooled.mean(0)) / pooled.std(0)
    genes = gene_table(n)
    features = Features(genes["gene_id"].to_numpy(), blocks, GENOME).complete()
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


def exact_teacher(made: World, means: dict[str, float] = MEANS) -> TrainedTeacher:
    """Three cell types over the pooled features s of one profile (names as in CLASSES):

    "T cell"  5 + 0.6 s_SP1 + 0.4 s_H13CORE.0.P.B s_NRF1 + 0.7 tanh(0.8 s_<x>)
    "B"       4 - 0.5 s_YY1 + 0.6 tanh(0.8 s_<x>)
    "silent"  3
    """
    architecture = Architecture(
        pooling="shared", hidden="additive", width=8, products=1, nonlinearity="tanh",
        input_dropout=0.0, dropout=0.0, weight_decay=0.01, gate_penalty=0.01, learning_rate=0.01,
        members=1,
    )  # fmt: skip
    teacher = blank_teacher(made, architecture, means)
    network, column = teacher.network, {name: i for i, name in enumerate(CLASSES)}
    heads = {name: head.weight[0] for name, head in network.heads.items()}
    with torch.no_grad():
        network.pooling[0].common[:, 0, 0] = torch.from_numpy(PROFILE)
        network.hidden[0].slope.fill_(0.8)
        network.hidden[0].shift.zero_()
        network.left.weight.zero_()[0, column["H13CORE.0.P.B"]] = 1
        network.right.weight.zero_()[0, column["NRF1"]] = 1
        heads["encoded"][column["SP1"], 0], heads["encoded"][column["YY1"], 1] = 0.6, -0.5
        heads["hidden"][column["<x>"], 0], heads["hidden"][column["<x>"], 1] = 0.7, 0.6
        heads["products"][0, 0] = 0.4
    return teacher


PLANTED = {"T cell": {"SP1", "H13CORE.0.P.B", "NRF1", "<x>"}, "B": {"YY1", "<x>"}, "silent": set()}


def mixed_teacher(made: World) -> TrainedTeacher:
    """Three cell types over normal scores of two blocks and a programme p, which is the mean
    difference of SP1 and GC over bins, plus the half-life:

    "T cell"  5 + 0.6 s_YY1 + 0.8 s_half-life
    "B"       4 + 0.8 p
    "silent"  3
    """
    architecture = Architecture(
        scale="normal", pooling="class", programmes=1, hidden="none", members=2
    )
    teacher = blank_teacher(made, architecture)
    network, columns = teacher.network, made.features.columns
    sign = {(0, "SP1"): 0.5, (0, "GC"): -0.5, (1, "half-life"): 1.0}
    head = network.heads["encoded"].weight
    with torch.no_grad():
        weights = [sign.get((c.block, c.name), 0.0) for c in columns]
        network.programmes[:, 0] = torch.tensor(weights)
        head[:, CLASSES.index("YY1"), 0], head[:, len(CLASSES), 0], head[:, -1, 1] = 0.6, 0.8, 0.8
    return teacher


def blank_teacher(
    made: World, architecture: Architecture, means: dict[str, float] = MEANS
) -> TrainedTeacher:
    """A teacher that predicts the means of these cell types."""
    x = made.features.matrix(architecture.scale)
    scaling = Scaling.of(x, np.zeros((len(x), len(means))))
    scaling.y_mean[:] = list(means.values())
    torch.manual_seed(1)
    about = {
        "dataset": "planted",
        "test_fold": None,
        "seed": 1,
        "features": made.features.about,
        "weight": [1] * len(means),
        "ceilings": {name: None if name == "silent" else 0.9 for name in means},
    }
    network = Teacher(architecture, shapes_of(made.features), len(means))
    classes = [block.classes for block in made.features.blocks]
    return TrainedTeacher(network, scaling, classes, list(means), about)


def sums_teacher(made: World, weights: dict[str, tuple[float, ...]]) -> TrainedTeacher:
    """Cell types that are the same sum of 4, s_SP1, s_H13CORE.0.P.B s_NRF1 and tanh(0.8 s_<x>),
    with weights of their own."""
    means = dict.fromkeys(weights, 4.0)
    teacher = exact_teacher(made, means)
    heads = {name: head.weight[0] for name, head in teacher.network.heads.items()}
    with torch.no_grad():
        for j, (line, product, curve) in enumerate(weights.values()):
            heads["encoded"][:, j], heads["hidden"][:, j] = 0, 0
            heads["encoded"][CLASSES.index("SP1"), j] = line
            heads["products"][0, j] = product
            heads["hidden"][CLASSES.index("<x>"), j] = curve
    return teacher


def exact_search(
    root: Path,
    n: int = 600,
    noise: float = 0.5,
    seed: int = 2,
    teacher_of: Callable[[World], TrainedTeacher] = exact_teacher,
    table: bool = False,
    cell_types: Iterable[str] = tuple(MEANS),
) -> World:
    """What search writes, in root/search, of a teacher set by hand; `truth` is its prediction."""
    silence = dict.fromkeys(cell_types, lambda p: 0)
    made = world(root, silence, n, 1, seed, table)
    teacher = teacher_of(made)
    made = replace(made, truth=teacher.predict(made.features).astype(float))
    rng = np.random.default_rng(seed)
    measured = made.truth + rng.normal(0, noise, made.truth.shape)
    # The network of a silent type learns noise, which is worth nothing out of fold.
    known = (made.genes["split"] != "test").to_numpy()[:, None]
    out_of_fold = np.where(known, made.truth + rng.normal(0, 0.05, measured.shape), np.nan)
    write_search(made, teacher, measured, out_of_fold, root / "search")
    return made


def write_search(made: World, teacher, measured, out_of_fold, folder: Path) -> None:
    """Write teacher and predictions.parquet of float64[genes, cell types]."""
    members = teacher.members(teacher.pooled(made.features))
    genes = made.genes[["gene_id", "fold", "split"]].assign(oracle="untrained")
    frames = [
        genes.assign(
            cell_type=cell_type,
            measured=measured[:, j],
            teacher=members.mean(0)[:, j],
            teacher_sd=members.std(0)[:, j],
            teacher_out_of_fold=out_of_fold[:, j],
        )
        for j, cell_type in enumerate(made.cell_types)
    ]
    artifacts.PREDICTIONS.write(pd.concat(frames), folder / "predictions.parquet")
    teacher.save(folder)

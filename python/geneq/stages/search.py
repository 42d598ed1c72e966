"""Search a network from sequence-class scores to expression.

An architecture search with Optuna (tree-structured Parzen estimator, median pruning) over spatial
pooling, width, interaction terms, nonlinearity, dropout, weight decay and gate penalty. Each trial
is trained on the training genes and evaluated on the validation genes. The validation loss is
noisy, so the best of many trials is partly due to chance: the teacher is the first trial that is
not worse than the best by two paired standard errors, and the first trial is a plain network. One
network predicts all cell types of a data set, with one head per cell type; the loss weights a head
by the reliability of its cell type.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import torch

from .. import folds
from ..artifacts import EXPRESSION, GENES, PREDICTIONS, TRIALS, Features, read_object
from ..checks import check_int
from ..errors import GeneqError
from ..oracles import device
from ..teacher import (
    HIDDEN,
    NONLINEARITIES,
    POOLINGS,
    Architecture,
    Scaling,
    Teacher,
    TrainedTeacher,
)

BATCH = 128
PATIENCE = 12
# Factor on the learning rate after each epoch: with little signal, the last steps must be small.
RATE_DECAY = 0.95
# Batches per epoch for the full decay. With fewer, an epoch has fewer steps and the rate decays
# less; otherwise a network of a few hundred genes would stop learning too early.
FULL_EPOCH = 10
# Of n steps, the weights of about the last n / 10 are averaged.
AVERAGED = 10
# Members of every ensemble: more members are slower and no better.
MEMBERS = 4
# Standard errors by which the best of thirty equally good trials is better by chance alone.
CERTAIN = 2.0


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--features", required=True, help="features.zarr of the genome")
    parser.add_argument("--expression", required=True, help="folder written by `geneq pseudobulk`")
    parser.add_argument("--genes", required=True, help="genes.parquet of the genome")
    parser.add_argument(
        "--test_fold",
        type=int,
        choices=range(5),
        help="test this fold and validate on the next one (default: the table's own split)",
    )
    parser.add_argument(
        "--trials", type=int, default=30, help="number of architectures (default: 30)"
    )
    parser.add_argument(
        "--max_epochs", type=int, default=150, help="maximum epochs per trial (default: 150)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of search and training (default: 1)"
    )
    parser.add_argument("--out", required=True, help="output folder")


def run(args: Namespace) -> None:
    """Run the search and write teacher, trials and predictions."""
    if args.trials < 1 or args.max_epochs < 1:
        raise GeneqError(
            "--trials and --max_epochs must be at least 1",
            value=f"{args.trials}, {args.max_epochs}",
        )
    check_int(args.seed, "--seed", 0, 2**32 - 1)
    # Networks and batches this small are slower on more threads than one.
    torch.set_num_threads(1)
    data = load_data(args.features, args.expression, args.genes, args.test_fold)
    teacher, trials = search(data, args.trials, args.max_epochs, args.seed)
    out_of_fold = predict_out_of_fold(
        data, teacher.network.architecture, teacher.about["epochs"], args.seed
    )
    predictions = data.long(
        measured=data.y,
        teacher=teacher.predict(data.features.values),
        teacher_out_of_fold=out_of_fold,
    )
    # Together at the end: a search that stops before that leaves the folder as it was.
    out = Path(args.out)
    TRIALS.write(trials, out / "trials.parquet")
    PREDICTIONS.write(predictions.dropna(subset="measured"), out / "predictions.parquet")
    teacher.save(out)
    loss = teacher.about["validation_loss"]
    print(f"{len(trials)} trials, validation loss {loss:.4f} (1 = predicting the mean)")


@dataclass(frozen=True)
class Data:
    """Genes that have features and expression, in the order of the gene table.

    y: float64[genes, cell types], log2(CPM + 1), NaN where a gene is not in the file.
    weight: float32[cell types], reliability as the weight of a head, mean 1.
    ceilings: cell type → square root of the reliability, or None.
    """

    dataset: str
    genes: pd.DataFrame
    features: Features
    y: np.ndarray
    cell_types: list[str]
    weight: np.ndarray
    ceilings: dict[str, float | None]
    test_fold: int | None

    def rows(self, split: str) -> np.ndarray:
        return np.flatnonzero(self.genes["split"] == split)

    def long(self, **columns: np.ndarray) -> pd.DataFrame:
        """`columns`, each [genes, cell types], as long rows by gene and cell type."""
        genes = self.genes[["gene_id", "fold", "split"]]
        parts = [
            genes.assign(cell_type=cell_type, **{name: v[:, j] for name, v in columns.items()})
            for j, cell_type in enumerate(self.cell_types)
        ]
        return pd.concat(parts, ignore_index=True)


def load_data(features_path, expression_folder, genes_path, test_fold: int | None) -> Data:
    """Read and align the inputs. Raises GeneqError when too few genes are left to learn from."""
    features = Features.read(features_path)
    expression = EXPRESSION.read(Path(expression_folder) / "expression.parquet")
    about = read_object(Path(expression_folder) / "expression.json")
    genes = folds.for_run(GENES.read(genes_path), test_fold)
    wide = expression.pivot(index="gene_id", columns="cell_type", values="log2cpm")
    cell_types = [entry["cell_type"] for entry in about["cell_types"]]
    genes = genes[genes["gene_id"].isin(features.gene_id) & genes["gene_id"].isin(wide.index)]
    genes = genes.reset_index(drop=True)
    _check_enough(genes, expression_folder)
    features = features.of_genes(genes["gene_id"])
    y = wide.loc[genes["gene_id"], cell_types].to_numpy()
    weight = np.array([entry["reliability"] or 0 for entry in about["cell_types"]], np.float32)
    weight = np.clip(np.nan_to_num(weight), 0.05, 1)
    ceilings = {entry["cell_type"]: entry["ceiling"] for entry in about["cell_types"]}
    weight /= weight.mean()
    return Data(about["dataset"], genes, features, y, cell_types, weight, ceilings, test_fold)


def _check_enough(genes: pd.DataFrame, file) -> None:
    counts = {split: int((genes["split"] == split).sum()) for split in ("train", "valid", "test")}
    if counts["train"] < 20 or counts["valid"] < 3 or counts["test"] < 3:
        raise GeneqError(
            "Too few genes have both DNA and expression: at least 20 training, 3 validation and "
            "3 test genes are needed",
            value=counts,
            file=file,
            fix="Check that the data set's genes are those of the genome, or choose other "
            "chromosomes for validation and test",
        )


@dataclass(frozen=True)
class Candidate:
    """The network of a complete trial. errors: float64[validation genes], shares of its loss."""

    trial: int
    network: Teacher
    epochs: int
    errors: np.ndarray

    @property
    def loss(self) -> float:
        return float(self.errors.sum())


def search(
    data: Data, trials: int, max_epochs: int, seed: int
) -> tuple[TrainedTeacher, pd.DataFrame]:
    """Find and train the teacher; also every trial as the table TRIALS."""
    train, valid = data.rows("train"), data.rows("valid")
    x, y = data.features.values, data.y
    scaling = Scaling.of(x[train], y[train])
    where = device()
    training, validation = (
        (scaling.x(x[rows]).to(where), scaling.y(y[rows]).to(where)) for rows in (train, valid)
    )
    weight = torch.from_numpy(data.weight).to(where)
    candidates: list[Candidate] = []

    def objective(trial: optuna.Trial) -> float:
        architecture = suggest(trial)
        torch.manual_seed(seed * 100_003 + trial.number)
        network = Teacher(architecture, x.shape[1], x.shape[2], y.shape[1]).to(where)
        epochs, errors = train_network(network, training, validation, weight, max_epochs, trial)
        candidate = Candidate(trial.number, network.cpu(), epochs, errors)
        candidates.append(candidate)
        return candidate.loss

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(5, trials // 3)),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=15),
    )
    for rate in FIRST_RATES[:trials]:
        study.enqueue_trial({**FIRST, "learning_rate": rate})
    study.optimize(objective, n_trials=trials, catch=(torch.linalg.LinAlgError,))
    finite = [candidate for candidate in candidates if np.isfinite(candidate.loss)]
    if not finite:
        raise GeneqError(
            "No trial of the architecture search reached a finite validation loss",
            value=data.dataset,
            fix="Look for extreme values in the expression table",
        )
    chosen = choose(finite)
    about = {
        "dataset": data.dataset,
        "test_fold": data.test_fold,
        "seed": seed,
        "features": data.features.meta,
        "weight": data.weight,
        "ceilings": data.ceilings,
        "validation_loss": chosen.loss,
        "epochs": chosen.epochs,
    }
    teacher = TrainedTeacher(chosen.network, scaling, data.features.classes, data.cell_types, about)
    return teacher, _trial_table(study, chosen.trial)


def choose(candidates: list[Candidate]) -> Candidate:
    """The first that is not worse than the best by CERTAIN paired standard errors.

    Paired over validation genes: two networks err on the same ones.
    """
    best = min(candidates, key=lambda candidate: candidate.loss)

    def is_as_good(candidate: Candidate) -> bool:
        difference = candidate.errors - best.errors
        return difference.sum() <= CERTAIN * difference.std(ddof=1) * len(difference) ** 0.5

    return next(filter(is_as_good, candidates))


# A plain network that does well on most data. The search starts from it, at two learning rates, and
# ends with it unless another is better beyond doubt.
FIRST = {
    "pooling": "partial",
    "hidden": "additive",
    "width": 8,
    "interactions": 8,
    "nonlinearity": "tanh",
    "dropout": 0.1,
    "weight_decay": 0.05,
    "gate_penalty": 0.01,
}
# The first is best for weak signal, the second for strong signal.
FIRST_RATES = (0.002, 0.005)


def suggest(trial: optuna.Trial) -> Architecture:
    """The search space."""
    return Architecture(
        pooling=trial.suggest_categorical("pooling", POOLINGS),
        hidden=trial.suggest_categorical("hidden", list(HIDDEN)),
        width=trial.suggest_categorical("width", [2, 4, 8, 16]),
        interactions=trial.suggest_categorical("interactions", [0, 2, 4, 8]),
        nonlinearity=trial.suggest_categorical("nonlinearity", list(NONLINEARITIES)),
        dropout=trial.suggest_float("dropout", 0.0, 0.5),
        weight_decay=trial.suggest_float("weight_decay", 1e-3, 1.0, log=True),
        gate_penalty=trial.suggest_float("gate_penalty", 1e-4, 1e-1, log=True),
        learning_rate=trial.suggest_float("learning_rate", 5e-4, 2e-2, log=True),
        members=MEMBERS,
    )


def training_epochs(
    network: Teacher, x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor
) -> Iterator[Teacher]:
    """Train with AdamW, the rate falling by epoch; gives a network after each epoch, without end.

    It is always the same one, whose weights are averages over the latest steps: those of `network`
    itself go on wavering with the genes of the last batches.
    """
    architecture = network.architecture
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=architecture.learning_rate, weight_decay=architecture.weight_decay
    )
    decay = RATE_DECAY ** min(1, len(x) / BATCH / FULL_EPOCH)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, decay)
    network.train()
    average, steps = deepcopy(network).eval(), count()
    while True:
        for rows in torch.randperm(len(x)).to(x.device).split(BATCH):
            members = network.members(network.pool(x[rows]))
            loss = weighted_error(members, y[rows], weight)
            loss = loss + architecture.gate_penalty * network.gate.abs().sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            average_in(average, network, next(steps))
        schedule.step()
        yield average


@torch.no_grad()
def average_in(average: Teacher, network: Teacher, step: int) -> None:
    """Take the weights after a step (0, 1, …) into their average, where the latest count most.

    Polynomial-decay averaging of Shamir and Zhang (2013): about the last tenth of the steps counts.
    """
    for mean, latest in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(latest, AVERAGED / (AVERAGED + step))


def train_network(
    network: Teacher,
    training: tuple[torch.Tensor, torch.Tensor],
    validation: tuple[torch.Tensor, torch.Tensor],
    weight: torch.Tensor,
    max_epochs: int,
    trial: optuna.Trial,
) -> tuple[int, np.ndarray]:
    """Train and keep the averaged weights of the best epoch; gives its number and `gene_errors`.

    training, validation: features and expression, scaled. Stops after PATIENCE epochs without
    improvement; raises TrialPruned when the pruner ends the trial.
    """
    x_valid, y_valid = validation
    best, kept, kept_at = np.inf, None, 0
    kept_errors = np.full(len(x_valid), np.inf)
    for epoch, average in enumerate(training_epochs(network, *training, weight), 1):
        with torch.inference_mode():
            errors = gene_errors(average(x_valid), y_valid, weight).double().cpu().numpy()
        valid = float(errors.sum())
        trial.set_user_attr("epochs", epoch)
        if valid < best:
            best, kept_at, kept_errors = valid, epoch, errors
            kept = {k: v.detach().clone() for k, v in average.state_dict().items()}
        if epoch - kept_at >= PATIENCE or epoch >= max_epochs or not np.isfinite(valid):
            break
        trial.report(best, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    if kept is not None:
        network.load_state_dict(kept)
    network.eval()
    return kept_at, kept_errors


def predict_out_of_fold(
    data: Data, architecture: Architecture, epochs: int, seed: int
) -> np.ndarray:
    """float64[genes, cell types]: training and validation genes predicted by networks that never
    saw their fold; test genes are NaN.

    The architecture and the number of epochs are the teacher's. What is left of the teacher's
    success here is not overfitting: it shows whether a cell type has any signal.
    """
    x, y, where = data.features.values, data.y, device()
    known = np.flatnonzero(data.genes["split"] != "test")
    fold = data.genes["fold"].to_numpy()
    predicted = np.full(y.shape, np.nan)
    for k in np.unique(fold[known]):
        inside, outside = known[fold[known] != k], known[fold[known] == k]
        scaling = Scaling.of(x[inside], y[inside])
        torch.manual_seed(seed * 100_003 + int(k))
        network = Teacher(architecture, x.shape[1], x.shape[2], y.shape[1]).to(where)
        tensors = (scaling.x(x[inside]), scaling.y(y[inside]), torch.from_numpy(data.weight))
        training = training_epochs(network, *(tensor.to(where) for tensor in tensors))
        *_, average = islice(training, epochs)
        trained = TrainedTeacher(average.cpu(), scaling, data.features.classes, data.cell_types, {})
        predicted[outside] = trained.predict(x[outside])
    return predicted


def weighted_error(
    predicted: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Mean over cell types of weight × mean squared error, missing targets (NaN) ignored.

    predicted: float32[n, cell types] or, to average over members, float32[members, n, cell types].
    """
    return gene_errors(predicted, target, weight).sum(-1).mean()


def gene_errors(
    predicted: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """float32[n] or float32[members, n]: what each gene adds to `weighted_error`."""
    known = ~torch.isnan(target)
    error = torch.where(known, predicted - torch.nan_to_num(target), 0.0) ** 2
    return (weight * error / known.sum(0).clamp(min=1)).mean(-1)


def _trial_table(study: optuna.Study, chosen: int) -> pd.DataFrame:
    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower().replace("fail", "failed"),
            "loss": trial.value if trial.value is not None else np.nan,
            "epochs": trial.user_attrs.get("epochs", 0),
            "seconds": trial.duration.total_seconds() if trial.duration else np.nan,
            "parameters": json.dumps(trial.params),
            "chosen": trial.number == chosen,
        }
        for trial in study.trials
    ]
    return pd.DataFrame(rows)

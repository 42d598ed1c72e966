"""Training of networks: on a list of genes, for a number of epochs, one or many at a time."""

import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import torch

from ...artifacts import ABSOLUTE
from ...features import SCALES
from ...oracles import device
from ...teacher import Architecture, BlockShape, Scaling, Teacher, dropout, shapes_of
from .data import Data

__all__ = ["Fit", "Trained", "Workers", "gene_errors", "train"]

BATCH = 128
# A network of few genes is trained for more epochs than asked: for at least this many steps.
LEAST_STEPS = 600
# Share of the steps in which the learning rate rises.
RISING = 0.2


@dataclass(frozen=True)
class Fit:
    """A network to train, and the genes to train it on and to predict (places in `Data.genes`)."""

    architecture: Architecture
    seed: int
    epochs: int
    inside: np.ndarray
    outside: np.ndarray


@dataclass(frozen=True)
class Trained:
    """A trained network. predicted: float32[outside, heads], see `Data.y`."""

    network: Teacher
    scaling: Scaling
    predicted: np.ndarray


@dataclass(frozen=True)
class Tables:
    """Features by scale, expression and weights of heads; see `Data`. absolute: heads of these."""

    x: dict[str, np.ndarray]
    y: np.ndarray
    weight: np.ndarray
    shapes: list[BlockShape]
    absolute: slice

    def fit(self, fit: Fit) -> Trained:
        """Train a network and predict."""
        where = device()
        x, y = self.x[fit.architecture.scale], self.y
        scaling = Scaling.of(x[fit.inside], y[fit.inside])
        torch.manual_seed(fit.seed)
        network = Teacher(fit.architecture, self.shapes, y.shape[1])
        network.floor[self.absolute] = scaling.floor[self.absolute]
        inside, target = scaling.x(x[fit.inside]).to(where), scaling.y(y[fit.inside]).to(where)
        weight = torch.tensor(self.weight, device=where)
        train(network.to(where), inside, target, weight, fit.epochs)
        with torch.inference_mode():
            predicted = network(scaling.x(x[fit.outside]).to(where)).cpu().numpy()
        predicted = predicted * scaling.y_sd + scaling.y_mean
        return Trained(network.cpu(), scaling, predicted)


def enough_epochs(epochs: int, genes: int) -> int:
    """`epochs`, or with few genes more, for at least LEAST_STEPS steps."""
    return max(epochs, -(-LEAST_STEPS // -(-genes // BATCH)))


def train(
    network: Teacher, x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, epochs: int
) -> None:
    """Train a network with AdamW, the learning rate in one cycle (Smith, arXiv:1803.09820).

    x: float32[n, columns], y: float32[n, cell types] (NaN is missing), both standardised; weight:
    float32[cell types]. After half of the epochs variables beyond the architecture's budget are
    removed.
    """
    a = network.architecture
    batches = -(-len(x) // BATCH)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=a.learning_rate, weight_decay=a.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, a.learning_rate, total_steps=epochs * batches, pct_start=RISING
    )
    network.train()
    for epoch in range(epochs):
        if epoch == epochs // 2:
            network.prune()
        for rows in torch.randperm(len(x)).to(x.device).split(BATCH):
            dropped = dropout(x[rows], a.input_dropout)
            loss = weighted_error(network.members(network.pool(dropped)), y[rows], weight)
            loss = loss + a.gate_penalty * network.gate.abs().sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()


def weighted_error(
    predicted: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Mean over cell types of weight × mean squared error, missing targets (NaN) ignored.

    predicted: float32[n, cell types] or, to average over members, float32[members, n, cell types].
    """
    known = ~torch.isnan(target)
    error = torch.where(known, predicted - torch.nan_to_num(target), 0.0) ** 2
    return (weight * error / known.sum(0).clamp(min=1)).mean(-1).sum(-1).mean()


def gene_errors(
    predicted: np.ndarray, y: np.ndarray, y_sd: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """float64[n]: what each gene adds to the loss, the mean over cell types of weight × mean
    squared error in units of the standard deviation; 1 in all is predicting the mean.

    predicted, y: float[n, cell types], y NaN where missing; y_sd: float[cell types], of which 0
    counts as 1.
    """
    known, unit = np.isfinite(y), np.where(y_sd > 1e-6, y_sd, 1)
    error = np.where(known, (predicted - np.nan_to_num(y)) / unit, 0.0) ** 2
    return (weight * error / np.maximum(known.sum(0), 1)).mean(1)


# --- side by side -------------------------------------------------------------------------------


class Workers:
    """Trains networks, as many at a time as there are threads; the results do not depend on it.

    With one thread, or a GPU, in this process.
    """

    def __init__(self, tables: Tables, pool: ProcessPoolExecutor | None):
        self.tables, self.pool = tables, pool

    @classmethod
    @contextmanager
    def of(cls, data: Data, threads: int) -> Iterator["Workers"]:
        # Networks and batches this small are slower on more threads than one.
        torch.set_num_threads(1)
        shapes, absolute = shapes_of(data.features), data.targets[ABSOLUTE]
        tables = Tables(data.columns, data.y, data.weight, shapes, absolute)
        if threads == 1 or device().type == "cuda":
            yield cls(tables, None)
            return
        with tempfile.TemporaryDirectory() as folder:
            for scale, values in data.columns.items():
                np.save(Path(folder) / f"{scale}.npy", values)
            start = (folder, data.y, data.weight, shapes, absolute)
            pool = ProcessPoolExecutor(threads, get_context("spawn"), _open, start)
            try:
                yield cls(tables, pool)
            finally:
                pool.shutdown(cancel_futures=True)

    def fit(self, fits: Iterable[Fit]) -> Iterator[Trained]:
        """The trained networks, in the order of `fits`."""
        fits = list(fits)
        if self.pool is None or len(fits) == 1:
            return map(self.tables.fit, fits)
        return self.pool.map(_fit, fits)


_tables: Tables


def _open(
    folder: str, y: np.ndarray, weight: np.ndarray, shapes: list[BlockShape], absolute: slice
) -> None:
    """In a worker: the tables, whose features are shared by all workers as files."""
    global _tables
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    x = {scale: np.load(Path(folder) / f"{scale}.npy", mmap_mode="r") for scale in SCALES}
    _tables = Tables(x, y, weight, shapes, absolute)


def _end_with_parent() -> None:
    """A worker whose search was killed would wait for work forever."""
    parent = parent_process()
    assert parent is not None, "workers are started by a search"
    wait([parent.sentinel])
    os._exit(1)


def _fit(fit: Fit) -> Trained:
    return _tables.fit(fit)

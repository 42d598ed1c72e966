"""The search itself: generations of networks, and the rule by which one of them is returned.

Each generation is trained for a third of the epochs; the better half of it then is trained in full
(successive halving: Jamieson and Talwalkar, AISTATS 2016). The cost of a network is its validation
loss times a small power of its number of parameters.

A validation loss is noisy, and the best of many is partly due to chance. So the networks of lowest
cost and the start are compared again, by their errors out of fold over all training and validation
genes: the best of them is returned, and the start unless another is better by CERTAIN paired
standard errors.
"""

import json
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from .data import Data
from .journal import Journal
from .space import PORTFOLIO, Parameters, architecture
from .strategies import STRATEGIES
from .training import Fit, Trained, Workers, enough_epochs, gene_errors

__all__ = [
    "AUTO",
    "Explorer",
    "Finalist",
    "Settings",
    "Trial",
    "choose",
    "surely_better",
    "table",
]

AUTO = "auto"
GENERATION = 8
SHORT = 3
# Power of the number of parameters in the cost: with ten times as many a network must be 0.1 %
# better. Where little can be predicted, that is a few per cent of it.
COMPLEXITY = 0.0005
FINALISTS = 3
CERTAIN = 1.0
# --trials auto: at least one generation of the strategy; ends after so many without this gain.
IDLE, GAIN, MOST = 2, 0.002, 96


@dataclass(frozen=True)
class Settings:
    """What a search is asked to do; trials: a number, or AUTO."""

    strategy: str
    trials: int | str
    epochs: int
    seed: int


@dataclass(frozen=True)
class Trial:
    """A network that was tried. epochs: it was trained for; loss: on validation genes."""

    number: int
    parameters: Parameters
    epochs: int
    loss: float
    complexity: int
    complete: bool

    @property
    def cost(self) -> float:
        return self.loss * self.complexity**COMPLEXITY

    @property
    def state(self) -> str:
        if not np.isfinite(self.loss):
            return "failed"
        return "complete" if self.complete else "pruned"


@dataclass(frozen=True)
class Finalist:
    """A trial with its predictions out of fold.

    predicted: float32[genes, cell types], NaN for test genes; errors: float64[genes that are not].
    """

    trial: Trial
    predicted: np.ndarray
    errors: np.ndarray


@dataclass(frozen=True)
class Explorer:
    """A search over one data set."""

    data: Data
    workers: Workers
    settings: Settings
    journal: Journal

    def trials(self) -> list[Trial]:
        """All networks that were tried; the first is the start."""
        strategy = STRATEGIES[self.settings.strategy](self.settings.seed)
        found: list[Trial] = []
        while (n := self._next_size(found)) > 0:
            asked = strategy.ask(n) if found else PORTFOLIO[:n]
            generation = self._generation(asked, len(found))
            strategy.tell(asked, [trial.cost for trial in generation])
            found += generation
        return found

    def _next_size(self, found: list[Trial]) -> int:
        """Networks of the next generation; 0 ends the search."""
        if self.settings.trials != AUTO:
            return min(GENERATION, int(self.settings.trials) - len(found))
        best = [
            min(trial.cost for trial in found[: i + GENERATION])
            for i in range(0, len(found), GENERATION)
        ]
        idle = len(best) > IDLE and best[-1] > best[-1 - IDLE] * (1 - GAIN)
        return 0 if idle or len(found) >= MOST else GENERATION

    def _generation(self, asked: list[Parameters], first: int) -> list[Trial]:
        """Train networks, the better half of them in full; the start always."""
        full = self._epochs(self.data.rows("train"))
        short = max(1, full // SHORT)
        numbers = range(first, first + len(asked))
        networks = dict(zip(numbers, asked, strict=True))
        tried = {trial.number: trial for trial in self._trained(networks, short)}
        order = sorted(numbers, key=lambda i: (i > 0, tried[i].cost))
        better = sorted(order[: -(-len(asked) // 2)])
        kept = {i: networks[i] for i in better if np.isfinite(tried[i].loss)}
        for trial in self._trained(kept, full):
            tried[trial.number] = replace(trial, complete=True)
        return list(tried.values())

    def _trained(self, networks: dict[int, Parameters], epochs: int) -> list[Trial]:
        """Networks by the number of their trial, trained on training genes."""
        found = {i: self.journal.find(i, epochs, p) for i, p in networks.items()}
        known = {i: entry for i, entry in found.items() if entry is not None}
        new = [i for i in networks if i not in known]
        train, valid = self.data.rows("train"), self.data.rows("valid")
        fits = [Fit(architecture(networks[i]), self._seed(i), epochs, train, valid) for i in new]
        for i, trained in zip(new, self.workers.fit(fits), strict=True):
            known[i] = {
                "trial": i,
                "epochs": epochs,
                "loss": float(self._errors(trained, valid).sum()),
                "complexity": sum(p.numel() for p in trained.network.parameters()),
                "parameters": networks[i],
            }
            self.journal.add(known[i])
        return [_trial(known[i]) for i in networks]

    def finalists(self, trials: list[Trial]) -> list[Finalist]:
        """The start and the trials of lowest cost, with their predictions out of fold.

        Without those whose training failed on a part of the genes.
        """
        best = sorted((t for t in trials if t.state == "complete"), key=lambda t: t.cost)
        some = [t for t in trials[:1] if t.state == "complete" and t not in best[:FINALISTS]]
        some += best[:FINALISTS]
        fold = self.data.genes["fold"].to_numpy()
        known = self.data.rows("train", "valid")
        parts = [(known[fold[known] != k], known[fold[known] == k]) for k in np.unique(fold[known])]
        fits = [
            Fit(architecture(t.parameters), self._seed(k, 1), self._epochs(inside), inside, outside)
            for t in some
            for k, (inside, outside) in enumerate(parts)
        ]
        trained = list(self.workers.fit(fits))
        outside = [rows for _, rows in parts]
        found = [
            self._finalist(trial, outside, trained[i * len(parts) :][: len(parts)])
            for i, trial in enumerate(some)
        ]
        return [finalist for finalist in found if np.isfinite(finalist.errors).all()]

    def _finalist(self, trial: Trial, parts: list[np.ndarray], trained: list[Trained]) -> Finalist:
        predicted = np.full(self.data.y.shape, np.nan)
        for rows, network in zip(parts, trained, strict=True):
            predicted[rows] = network.predicted
        known = self.data.rows("train", "valid")
        y = self.data.y[known]
        errors = gene_errors(predicted[known], y, np.nanstd(y, 0), self.data.weight)
        return Finalist(trial, predicted, errors)

    def final(self, trial: Trial) -> Trained:
        """The network of a trial, trained on training and validation genes; predicts all genes."""
        known, everything = self.data.rows("train", "valid"), np.arange(len(self.data.y))
        network, epochs = architecture(trial.parameters), self._epochs(known)
        fit = Fit(network, self._seed(0, 2), epochs, known, everything)
        return next(iter(self.workers.fit([fit])))

    def _epochs(self, genes: np.ndarray) -> int:
        return enough_epochs(self.settings.epochs, len(genes))

    def _seed(self, number: int, purpose: int = 0) -> int:
        """For trials (purpose 0), folds (1), and the teacher (2)."""
        return self.settings.seed * 1_000_003 + purpose * 100_003 + number

    def _errors(self, trained: Trained, rows: np.ndarray) -> np.ndarray:
        return gene_errors(
            trained.predicted, self.data.y[rows], trained.scaling.y_sd, self.data.weight
        )


def _trial(entry: dict) -> Trial:
    loss = entry["loss"] if np.isfinite(entry["loss"]) else np.inf
    return Trial(
        entry["trial"], entry["parameters"], entry["epochs"], loss, entry["complexity"], False
    )


def choose(finalists: list[Finalist]) -> Finalist:
    """The one with the lowest error out of fold; the start (trial 0) unless that one is better by
    CERTAIN standard errors, paired over genes: two networks err on the same ones."""
    best = min(finalists, key=lambda finalist: finalist.errors.sum())
    start = next((f for f in finalists if f.trial.number == 0), best)
    return best if surely_better(best.errors, start.errors) else start


def surely_better(errors: np.ndarray, reference: np.ndarray) -> bool:
    """Whether `errors` (one per gene) are smaller by CERTAIN standard errors of the difference."""
    gain = reference - errors
    return bool(gain.sum() > CERTAIN * gain.std(ddof=1) * len(gain) ** 0.5)


def table(trials: list[Trial], finalists: list[Finalist], chosen: Trial) -> pd.DataFrame:
    """Every trial, as the table TRIALS."""
    out_of_fold = {f.trial.number: f.errors.sum() for f in finalists}
    return pd.DataFrame(
        {
            "trial": trial.number,
            "state": trial.state,
            "loss": trial.loss if np.isfinite(trial.loss) else np.nan,
            "out_of_fold_loss": out_of_fold.get(trial.number, np.nan),
            "complexity": trial.complexity,
            "epochs": trial.epochs,
            "parameters": json.dumps(trial.parameters),
            "chosen": trial.number == chosen.number,
        }
        for trial in trials
    )

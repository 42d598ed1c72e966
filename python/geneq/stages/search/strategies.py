"""Strategies: which networks of the space to try next.

All have one interface. A generation of networks is asked for, trained, and told; what is asked for
depends on the seed and on what was told, never on time or threads.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import optuna
import torch
from torch import nn

from .space import KNOBS, Knob, Parameters

__all__ = ["STRATEGIES", "Strategy"]


class Strategy(ABC):
    """Proposes networks; `tell` gives the cost of each, infinite where training failed."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.told: list[tuple[float, Parameters]] = []

    @abstractmethod
    def ask(self, n: int) -> list[Parameters]:
        """The next `n` networks."""

    def tell(self, tried: Sequence[Parameters], costs: Sequence[float]) -> None:
        """The costs of networks, of those asked for or of others."""
        self.told += zip(costs, tried, strict=True)

    def ranked(self) -> list[Parameters]:
        """All networks told so far, the best first."""
        return [parameters for _, parameters in sorted(self.told, key=lambda told: told[0])]


class Random(Strategy):
    """Every knob at random (Bergstra and Bengio, JMLR 13:281, 2012)."""

    def ask(self, n: int) -> list[Parameters]:
        return [{knob.name: knob.sample(self.rng) for knob in KNOBS} for _ in range(n)]


class Tpe(Strategy):
    """Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), by Optuna."""

    def __init__(self, seed: int):
        super().__init__(seed)
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=8, multivariate=True, constant_liar=True
        )
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(sampler=sampler)
        self.asked: list[tuple[optuna.Trial, Parameters]] = []

    def ask(self, n: int) -> list[Parameters]:
        self.asked = [self._suggested(self.study.ask(_DISTRIBUTIONS)) for _ in range(n)]
        return [parameters for _, parameters in self.asked]

    def tell(self, tried: Sequence[Parameters], costs: Sequence[float]) -> None:
        super().tell(tried, costs)
        mine = {id(parameters): trial for trial, parameters in self.asked}
        for parameters, cost in zip(tried, costs, strict=True):
            if trial := mine.get(id(parameters)):
                state = None if np.isfinite(cost) else optuna.trial.TrialState.FAIL
                self.study.tell(trial, cost if np.isfinite(cost) else None, state=state)
            elif np.isfinite(cost):
                coded = {knob.name: _coded(knob, parameters[knob.name]) for knob in KNOBS}
                self.study.add_trial(
                    optuna.trial.create_trial(
                        params=coded, distributions=_DISTRIBUTIONS, value=cost
                    )
                )

    @staticmethod
    def _suggested(trial: optuna.Trial) -> tuple[optuna.Trial, Parameters]:
        values = {
            knob.name: knob.values[trial.params[knob.name]] if knob.ordered
            else trial.params[knob.name]
            for knob in KNOBS
        }  # fmt: skip
        return trial, values


def _coded(knob: Knob, value) -> str | int:
    """For Optuna: an ordered knob's value as its place, a number; others as they are."""
    return knob.values.index(value) if knob.ordered else value


_DISTRIBUTIONS: dict[str, optuna.distributions.BaseDistribution] = {
    knob.name: optuna.distributions.IntDistribution(0, len(knob.values) - 1) if knob.ordered
    else optuna.distributions.CategoricalDistribution(knob.values)
    for knob in KNOBS
}  # fmt: skip


class Evolution(Strategy):
    """Regularised evolution (Real et al., AAAI 2019): the best of a few of the youngest changes.

    One to three knobs of a parent change, an ordered one to a neighbouring value.
    """

    POPULATION, TOURNAMENT = 24, 6

    def ask(self, n: int) -> list[Parameters]:
        return [self._child() for _ in range(n)]

    def _child(self) -> Parameters:
        young = self.told[-self.POPULATION :]
        if not young:
            return {knob.name: knob.sample(self.rng) for knob in KNOBS}
        picked = self.rng.choice(len(young), min(self.TOURNAMENT, len(young)), replace=False)
        child = dict(min((young[i] for i in picked), key=lambda told: told[0])[1])
        for i in self.rng.choice(len(KNOBS), self.rng.integers(1, 4), replace=False):
            child[KNOBS[i].name] = self._changed(KNOBS[i], child[KNOBS[i].name])
        return child

    def _changed(self, knob: Knob, value):
        place = knob.values.index(value)
        others = [place - 1, place + 1] if knob.ordered else range(len(knob.values))
        allowed = [i for i in others if i != place and 0 <= i < len(knob.values)]
        return knob.values[allowed[self.rng.integers(len(allowed))]]


class Pmbga(Strategy):
    """A probabilistic model-building genetic algorithm (Zhang et al., Nat. Mach. Intell. 3:392).

    Every knob has a categorical distribution of its own, moved after each generation towards the
    values of the best quarter of all networks.
    """

    BEST, STEP, FLOOR = 0.25, 0.5, 0.02

    def __init__(self, seed: int):
        super().__init__(seed)
        self.probabilities = {
            knob.name: np.full(len(knob.values), 1 / len(knob.values)) for knob in KNOBS
        }

    def ask(self, n: int) -> list[Parameters]:
        return [
            {
                knob.name: knob.values[
                    self.rng.choice(len(knob.values), p=self.probabilities[knob.name])
                ]
                for knob in KNOBS
            }
            for _ in range(n)
        ]

    def tell(self, tried: Sequence[Parameters], costs: Sequence[float]) -> None:
        super().tell(tried, costs)
        best = self.ranked()[: max(2, round(self.BEST * len(self.told)))]
        for knob in KNOBS:
            places = [knob.values.index(parameters[knob.name]) for parameters in best]
            share = np.bincount(places, minlength=len(knob.values)) / len(best)
            mixed = (1 - self.STEP) * self.probabilities[knob.name] + self.STEP * share
            mixed = np.maximum(mixed, self.FLOOR)
            self.probabilities[knob.name] = mixed / mixed.sum()


class Controller(nn.Module):
    """An LSTM that chooses the knobs one after another, each given those before it."""

    UNITS = 32

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(self.UNITS, self.UNITS)
        self.first = nn.Parameter(torch.zeros(1, self.UNITS))
        self.read = nn.ModuleList(nn.Embedding(len(knob.values), self.UNITS) for knob in KNOBS)
        self.write = nn.ModuleList(nn.Linear(self.UNITS, len(knob.values)) for knob in KNOBS)

    def choices(
        self, n: int, generator: torch.Generator, chosen: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Places int64[n, knobs], drawn unless given; log probability and entropy, float32[n]."""
        state = (torch.zeros(n, self.UNITS), torch.zeros(n, self.UNITS))
        x, places = self.first.expand(n, -1), []
        log_p, entropy = torch.zeros(n), torch.zeros(n)
        for i, (read, write) in enumerate(zip(self.read, self.write, strict=True)):
            state = self.cell(x, state)
            logits = write(state[0]).log_softmax(1)
            p = logits.detach().exp()
            place = (
                torch.multinomial(p, 1, generator=generator)[:, 0]
                if chosen is None
                else chosen[:, i]
            )
            log_p = log_p + logits.gather(1, place[:, None])[:, 0]
            entropy = entropy - (logits.exp() * logits).sum(1)
            places.append(place)
            x = read(place)
        return torch.stack(places, 1), log_p, entropy


class Reinforce(Strategy):
    """An LSTM controller trained by REINFORCE (Zoph and Le, ICLR 2017), as in AMBER (Zhang et al.,
    Nat. Mach. Intell. 3:392, 2021). The reward is the cost below the mean of the costs so far."""

    STEPS, RATE, ENTROPY = 4, 0.01, 0.01

    def __init__(self, seed: int):
        super().__init__(seed)
        self.generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.controller = Controller()
        self.optimizer = torch.optim.Adam(self.controller.parameters(), lr=self.RATE)

    @torch.no_grad()
    def ask(self, n: int) -> list[Parameters]:
        places, _, _ = self.controller.choices(n, self.generator)
        return [
            {knob.name: knob.values[i] for knob, i in zip(KNOBS, row, strict=True)}
            for row in places.tolist()
        ]

    def tell(self, tried: Sequence[Parameters], costs: Sequence[float]) -> None:
        super().tell(tried, costs)
        finite = [(c, p) for c, p in zip(costs, tried, strict=True) if np.isfinite(c)]
        before = [cost for cost, _ in self.told if np.isfinite(cost)]
        if not finite:
            return
        rows = [[knob.values.index(p[knob.name]) for knob in KNOBS] for _, p in finite]
        chosen = torch.tensor(rows)
        spread = max(float(np.std(before)), 1e-6)
        reward = torch.tensor([(np.mean(before) - cost) / spread for cost, _ in finite]).float()
        for _ in range(self.STEPS):
            _, log_p, entropy = self.controller.choices(len(rows), self.generator, chosen)
            loss = -(reward.clamp(-2, 2) * log_p + self.ENTROPY * entropy).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


STRATEGIES: dict[str, type[Strategy]] = {
    "tpe": Tpe, "random": Random, "evolution": Evolution, "pmbga": Pmbga, "reinforce": Reinforce,
}  # fmt: skip

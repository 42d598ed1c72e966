"""The search space: every choice about a network, in one place.

A knob has a finite list of values, so that every strategy searches the same space. PORTFOLIO are
the networks that a search begins with.
"""

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np

from ...features import SCALES
from ...teacher import ENCODINGS, HIDDEN, LINKS, NONLINEARITIES, POOLINGS, Architecture

__all__ = ["KNOBS", "PORTFOLIO", "Knob", "Parameters", "architecture", "described", "digest"]

Parameters = dict[str, str | int | float]


@dataclass(frozen=True)
class Knob:
    """A choice.

    Attributes
    ----------
    name : str
        A field of `geneq.teacher.Architecture`.
    values : tuple
    meaning : str
    """

    name: str
    values: tuple
    meaning: str

    @property
    def ordered(self) -> bool:
        """Whether the values are numbers in increasing order."""
        return not isinstance(self.values[0], str)

    @property
    def type(self) -> str:
        return type(self.values[0]).__name__

    def sample(self, rng: np.random.Generator) -> str | int | float:
        return self.values[rng.integers(len(self.values))]


KNOBS = [
    Knob("scale", SCALES, "features as they are, or as normal scores by rank"),
    Knob(
        "pooling",
        POOLINGS,
        "weights over bins: one profile for all classes (shared), one per class (class), one per "
        "class that departs from a shared one (partial), positive ones (attention), smoothed by a "
        "shared kernel (convolution), sums of exponential decays from the TSS (decay), or one for "
        "the promoter and one for the rest, which gates it (promoter_distal)",
    ),
    Knob("profiles", (1, 2, 3), "profiles of each class (promoter_distal always has 2)"),
    Knob("programmes", (0, 8, 32), "further variables: weighted sums over all classes and bins"),
    Knob("hidden", HIDDEN, "hidden units that mix variables (dense), read one (additive)"),
    Knob(
        "width",
        (8, 16, 32, 64),
        "hidden units in all (dense); an eighth of it of each variable (additive)",
    ),
    Knob("depth", (1, 2), "hidden layers"),
    Knob("products", (0, 2, 4, 8), "products of two weighted sums of gated variables"),
    Knob("encoding", ENCODINGS, "functions of each variable beside it: hinges, sines and cosines"),
    Knob("nonlinearity", tuple(NONLINEARITIES), "of hidden units"),
    Knob("link", LINKS, "softplus: expression is never negative"),
    Knob("input_dropout", (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), "share of columns dropped"),
    Knob("dropout", (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), "share of hidden units dropped"),
    Knob("weight_decay", (0.001, 0.01, 0.03, 0.1, 0.3, 1.0), "of AdamW"),
    Knob("gate_penalty", (0.0, 0.0003, 0.001, 0.003, 0.01, 0.03), "on the sum of absolute gates"),
    Knob("budget", (0, 8, 16, 32), "variables kept after half of the training; 0: all"),
    Knob("learning_rate", (0.0005, 0.001, 0.002, 0.005, 0.01), "highest one, of a single cycle"),
]

_START = asdict(Architecture())
_START.pop("members")
_LIGHT = {**_START, "input_dropout": 0.0, "dropout": 0.1, "weight_decay": 0.03}
# A start for weak signal, which does well on real genomes, and others for what data may be like.
PORTFOLIO: list[Parameters] = [
    _START,
    {**_START, "scale": "normal", "profiles": 2},
    {**_LIGHT, "pooling": "partial", "hidden": "additive", "width": 32, "products": 8,
     "nonlinearity": "tanh", "gate_penalty": 0.01, "learning_rate": 0.005},
    {**_LIGHT, "pooling": "decay", "width": 32},
    {**_LIGHT, "pooling": "shared", "hidden": "none", "products": 4, "gate_penalty": 0.01,
     "learning_rate": 0.01},
    {**_START, "profiles": 3, "encoding": "piecewise", "input_dropout": 0.2, "dropout": 0.5,
     "learning_rate": 0.001},
    {**_START, "programmes": 32, "input_dropout": 0.5},
    {**_LIGHT, "programmes": 8, "profiles": 1, "nonlinearity": "softplus"},
]  # fmt: skip


def architecture(parameters: Parameters) -> Architecture:
    """The network that values of all knobs describe."""
    return Architecture(**parameters)  # type: ignore[arg-type]


def digest() -> str:
    """A digest of the knobs and their values."""
    text = json.dumps([[knob.name, knob.values] for knob in KNOBS])
    return hashlib.sha256(text.encode()).hexdigest()


def described() -> str:
    """The space as text, a knob a line."""
    width = max(len(knob.name) for knob in KNOBS)
    lines = [
        f"{knob.name:{width}}  {knob.type:5}  {', '.join(map(str, knob.values))}\n"
        f"{'':{width}}         {knob.meaning}"
        for knob in KNOBS
    ]
    return "\n".join(lines)

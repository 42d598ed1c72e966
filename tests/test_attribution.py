"""Attribution methods: exact where the truth is known, refused where they would be wrong."""

import numpy as np
import pytest
import torch
from torch import nn

from geneq import encoding
from geneq.errors import GeneqError
from geneq.libraries import SaturationLibrary
from geneq.oracles import load_oracle
from geneq.oracles.attribution import METHODS, attribute
from geneq.oracles.network import NetworkOracle
from test_network_oracles import deepstarr_layers, save

WILD_TYPE = "ACGTTGCAACGGTACATGTC"


class Linear(nn.Module):
    """Two targets, each a sum over positions of a weight of the symbol."""

    def __init__(self, seed: int = 3):
        super().__init__()
        weights = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 4, len(WILD_TYPE))))
        self.weights = nn.Parameter(weights.float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("ncl,tcl->nt", x, self.weights)


class Perceptron(nn.Module):
    """A hidden layer, its ReLU a module or a function."""

    def __init__(self, functional: bool):
        super().__init__()
        torch.manual_seed(5)
        self.hidden, self.last = nn.Linear(4 * len(WILD_TYPE), 40), nn.Linear(40, 1)
        self.relu = torch.relu if functional else nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.relu(self.hidden(x.flatten(1))))


def oracle_of(module: nn.Module, targets: list[str]) -> NetworkOracle:
    return NetworkOracle("test:", module, len(WILD_TYPE), targets)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("target", "row"), [("one", 0), ("two", 1), (1, 1)])
def test_a_linear_network_is_attributed_exactly(method, target, row):
    module = Linear()
    effects = attribute(oracle_of(module, ["one", "two"]), WILD_TYPE, method, target)
    weights = module.weights[row].detach().numpy().T
    tokens = encoding.tokens(WILD_TYPE)[0]
    wanted = weights - weights[np.arange(len(tokens)), tokens][:, None]
    np.testing.assert_allclose(effects, wanted, atol=1e-5)
    assert effects.dtype == np.float64


@pytest.mark.parametrize("method", METHODS)
def test_an_unknown_symbol_has_no_effects(method):
    wild_type = WILD_TYPE[:7] + "N" + WILD_TYPE[8:]
    effects = attribute(oracle_of(Linear(), ["one", "two"]), wild_type, method)
    assert np.isnan(effects[7]).all() and np.isfinite(np.delete(effects, 7, 0)).all()


def test_ism_is_the_difference_of_scores(tmp_path):
    oracle = load_oracle(f"deepstarr:{save(deepstarr_layers(), tmp_path / 'w.h5')}")
    wild_type = "".join(np.random.default_rng(1).choice(list("ACGT"), 249))
    effects = attribute(oracle, wild_type, "ism", "hk")
    rows = SaturationLibrary(wild_type).design()
    scores = oracle.predict(SaturationLibrary(wild_type).tokens())[:, 1]
    for number in (1, 100, 700):
        row = rows.iloc[number]
        found = effects[row["position"], "ACGT".index(row["inserted"])]
        assert found == pytest.approx(scores[number] - scores[0], abs=1e-5)


@pytest.mark.parametrize(
    ("method", "network"),
    [("integrated_gradients", "perceptron"), ("deeplift", "perceptron"), ("deeplift", "deepstarr")],
)
def test_contributions_add_up_to_the_difference_to_the_reference(tmp_path, method, network):
    if network == "perceptron":
        oracle, wild_type = oracle_of(Perceptron(functional=False), ["y"]), WILD_TYPE
    else:
        oracle = load_oracle(f"deepstarr:{save(deepstarr_layers(), tmp_path / 'w.h5')}")
        wild_type = "".join(np.random.default_rng(1).choice(list("ACGT"), 249))
    reference = encoding.tokens(wild_type[::-1])
    effects = attribute(oracle, wild_type, method, references=reference)
    # Of a change from the reference to the wild type.
    total = -effects[np.arange(len(wild_type)), reference[0]].sum()
    wanted = oracle.predict(encoding.tokens(wild_type)) - oracle.predict(reference)
    assert total == pytest.approx(wanted[0, 0], rel=0.02)


def test_deeplift_refuses_what_it_cannot_see():
    with pytest.raises(GeneqError, match=r"do not add up .* functional ReLU"):
        attribute(oracle_of(Perceptron(functional=True), ["y"]), WILD_TYPE, "deeplift")


def test_references_are_drawn_by_the_seed():
    oracle = oracle_of(Perceptron(functional=False), ["y"])
    one, again, other = (attribute(oracle, WILD_TYPE, "deeplift", seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "magic"}, "Unknown method: 'magic'. Use one of ism, saliency"),
        ({"target": "three"}, "no such target: 'three'. Use one of one, two"),
        ({"target": 2}, "no such target: 2"),
        ({"method": "deeplift", "references": np.zeros((3, 9), np.uint8)}, r"uint8\[n, length\]"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(GeneqError, match=message):
        attribute(oracle_of(Linear(), ["one", "two"]), WILD_TYPE, **arguments)


def test_gradients_need_a_module():
    with pytest.raises(GeneqError, match="saliency is not available"):
        attribute(load_oracle("motifs:core"), WILD_TYPE * 4, "saliency")

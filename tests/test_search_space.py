"""The search space, every network of which can be trained, and the strategies that search it."""

import json
from dataclasses import asdict, fields

import numpy as np
import pytest

import planted
from geneq.cli import main
from geneq.stages.search import space, training
from geneq.stages.search.space import KNOBS, PORTFOLIO, Knob, architecture, described, digest
from geneq.stages.search.strategies import STRATEGIES
from geneq.stages.search.training import Fit, Tables
from geneq.teacher import Architecture, shapes_of

pytestmark = pytest.mark.usefixtures("one_thread")

VALUES = [(knob.name, value) for knob in KNOBS for value in knob.values]


# --- the space ------------------------------------------------------------------------------------


def test_knobs_are_all_of_a_network_but_its_members():
    names = [knob.name for knob in KNOBS]
    assert sorted([*names, "members"]) == sorted(field.name for field in fields(Architecture))
    for knob in KNOBS:
        assert len(set(knob.values)) == len(knob.values) > 1 and knob.meaning
        assert knob.type in ("str", "int", "float") and len(set(map(type, knob.values))) == 1
        if knob.ordered:
            assert list(knob.values) == sorted(knob.values)


def test_the_portfolio_is_of_the_space_and_begins_with_the_default_network():
    assert architecture(PORTFOLIO[0]) == Architecture()
    for parameters in PORTFOLIO:
        assert all(parameters[knob.name] in knob.values for knob in KNOBS)
        assert len(parameters) == len(KNOBS)
    assert len({json.dumps(parameters) for parameters in PORTFOLIO}) == len(PORTFOLIO)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """60 genes, two blocks, two cell types; one gene is missing from one of them."""
    made = planted.world(tmp_path_factory.mktemp("space"), {"A": lambda p: p[:, 0]}, 60, table=True)
    x = {scale: made.features.matrix(scale) for scale in ("raw", "normal")}
    y = np.random.default_rng(1).normal(3, 2, (60, 2))
    y[3, 1] = np.nan
    return Tables(x, y, np.ones(2, np.float32), shapes_of(made.features), slice(2))


def trained(tables, monkeypatch, parameters):
    monkeypatch.setattr(training, "LEAST_STEPS", 4)
    rows = np.arange(60)
    return tables.fit(Fit(architecture(parameters), 1, 2, rows[:50], rows[50:]))


@pytest.mark.parametrize(("name", "value"), VALUES)
def test_every_value_gives_a_network_that_is_trained(tables, monkeypatch, name, value):
    # Hidden layers and products are there, so that what concerns them is tried.
    base = {**PORTFOLIO[0], "products": 2, "width": 8}
    result = trained(tables, monkeypatch, {**base, name: value})
    assert asdict(result.network.architecture)[name] == value
    assert result.predicted.shape == (10, 2) and np.isfinite(result.predicted).all()
    for parameter in result.network.parameters():
        assert parameter.isfinite().all()
    assert np.ptp(result.predicted, axis=0).all(), "the network reads nothing"


@pytest.mark.parametrize("seed", range(15))
def test_random_networks_are_trained(tables, monkeypatch, seed):
    (parameters,) = STRATEGIES["random"](seed).ask(1)
    result = trained(tables, monkeypatch, parameters)
    assert np.isfinite(result.predicted).all()


def test_the_space_is_printed_and_nothing_else_is_needed(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["search", "--space"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text == described() + "\n"
    lines = text.splitlines()
    for knob, line, meaning in zip(KNOBS, lines[::2], lines[1::2], strict=True):
        assert line.split()[:2] == [knob.name, knob.type]
        assert line.endswith(", ".join(map(str, knob.values))) and knob.meaning in meaning


def test_the_digest_is_of_names_and_values(monkeypatch):
    before = digest()
    for changed in (Knob("width", (4, 8), "m"), Knob("breadth", KNOBS[5].values, "m")):
        monkeypatch.setattr(space, "KNOBS", [*KNOBS[:5], changed, *KNOBS[6:]])
        assert digest() != before
    worded = Knob(KNOBS[5].name, KNOBS[5].values, "other words")
    monkeypatch.setattr(space, "KNOBS", [*KNOBS[:5], worded, *KNOBS[6:]])
    assert digest() == before


# --- strategies -----------------------------------------------------------------------------------


def cost_of(seed):
    """A cost that is 0 for one network: distances of ordered knobs from it, and others' errors."""
    rng = np.random.default_rng(seed)
    best = [int(rng.integers(len(knob.values))) for knob in KNOBS]

    def cost(parameters):
        total = 0.0
        for knob, target in zip(KNOBS, best, strict=True):
            away = abs(knob.values.index(parameters[knob.name]) - target)
            total += away / (len(knob.values) - 1) if knob.ordered else float(away > 0)
        return total

    return cost


def searched(name, seed, generations, cost, first=()):
    """The networks of each generation of 8, told their costs."""
    strategy, asked = STRATEGIES[name](seed), []
    if first:
        strategy.tell(first, [cost(parameters) for parameters in first])
    for _ in range(generations):
        asked.append(strategy.ask(8))
        strategy.tell(asked[-1], [cost(parameters) for parameters in asked[-1]])
    return asked


def is_of_the_space(parameters):
    return [*parameters] == [knob.name for knob in KNOBS] and all(
        parameters[knob.name] in knob.values and type(parameters[knob.name]) is type(knob.values[0])
        for knob in KNOBS
    )


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("first", [(), PORTFOLIO])
def test_strategies_ask_for_networks_of_the_space(name, first):
    asked = searched(name, 3, 3, cost_of(3), first)
    assert [len(generation) for generation in asked] == [8, 8, 8]
    for generation in asked:
        assert all(map(is_of_the_space, generation))
    assert STRATEGIES[name](1).ask(1) and not STRATEGIES[name](1).ask(0)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_same_seed_asks_the_same_and_another_does_not(name):
    np.random.seed(1)
    one = searched(name, 5, 3, cost_of(1), PORTFOLIO)
    np.random.seed(2)
    assert searched(name, 5, 3, cost_of(1), PORTFOLIO) == one
    assert searched(name, 6, 3, cost_of(1), PORTFOLIO) != one


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_is_asked_depends_on_what_was_told(name):
    one, other = (searched(name, 5, 3, cost_of(seed), PORTFOLIO) for seed in (1, 2))
    assert (one == other) == (name == "random")


def mean_cost(generations, cost):
    return np.mean([cost(parameters) for generation in generations for parameters in generation])


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "random"])
@pytest.mark.parametrize("seed", [1, 2])
def test_strategies_learn_from_costs(name, seed):
    """A random network has a mean cost of 8.4, with a standard deviation of 1.6."""
    cost = cost_of(seed)
    at_random = mean_cost(searched("random", seed, 4, cost), cost)
    asked = searched(name, seed, 14, cost)
    early, late = mean_cost(asked[:1], cost), mean_cost(asked[-4:], cost)
    assert late < at_random - 1.5 and late < early - 1.0


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategies_learn_from_networks_that_they_did_not_ask_for(name):
    """Told again and again that one network is much better than others, they ask for its like."""
    cost = cost_of(4)
    ranked = sorted(
        (parameters for g in searched("random", 9, 40, cost) for parameters in g), key=cost
    )
    strategy = STRATEGIES[name](1)
    for i in range(6):
        given = ranked[8 * i : 8 * i + 4] + ranked[-8 * i - 5 : -8 * i - 1]
        strategy.tell(given, [cost(parameters) for parameters in given])
    found = mean_cost([strategy.ask(8) for _ in range(4)], cost)
    assert (found < np.mean(list(map(cost, ranked))) - 0.7) == (name != "random")


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("share", [0.4, 1.0])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_failed_networks_are_accepted(name, share):
    rng, cost = np.random.default_rng(2), cost_of(2)
    strategy = STRATEGIES[name](2)
    strategy.tell(PORTFOLIO, [np.inf if rng.random() < share else cost(p) for p in PORTFOLIO])
    for _ in range(4):
        asked = strategy.ask(8)
        assert all(map(is_of_the_space, asked))
        strategy.tell(asked, [np.inf if rng.random() < share else cost(p) for p in asked])
    assert len(strategy.told) == 5 * 8


def test_a_failed_network_is_worse_than_any_other():
    strategy = STRATEGIES["evolution"](1)
    strategy.tell(PORTFOLIO[:3], [np.inf, 1e9, 3.0])
    assert strategy.ranked() == [PORTFOLIO[2], PORTFOLIO[1], PORTFOLIO[0]]


def test_evolution_changes_a_few_knobs_of_a_parent_and_ordered_ones_by_a_step():
    strategy = STRATEGIES["evolution"](1)
    strategy.tell(PORTFOLIO[:1], [1.0])
    for child in strategy.ask(50):
        changed = [knob for knob in KNOBS if child[knob.name] != PORTFOLIO[0][knob.name]]
        assert 1 <= len(changed) <= 3
        for knob in changed:
            if knob.ordered:
                places = [knob.values.index(p[knob.name]) for p in (child, PORTFOLIO[0])]
                assert abs(places[0] - places[1]) == 1


def test_pmbga_moves_its_distributions_towards_the_best_and_never_to_nothing():
    strategy, cost = STRATEGIES["pmbga"](1), cost_of(1)
    for _ in range(40):
        asked = strategy.ask(8)
        strategy.tell(asked, list(map(cost, asked)))
    for knob in KNOBS:
        p = strategy.probabilities[knob.name]
        assert p.sum() == pytest.approx(1) and p.min() > 0.01 and p.max() > 1.5 / len(p)

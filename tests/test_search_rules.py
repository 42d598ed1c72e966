"""The rules of a search: which networks are trained in full, when it ends, which one is returned,
and what its journal is good for. Training is stood in for, so that errors are known."""

import json

import numpy as np
import pytest
import torch

import planted
from geneq.errors import GeneqError
from geneq.stages.search import exploring, training
from geneq.stages.search.data import load_data
from geneq.stages.search.exploring import AUTO, Explorer, Finalist, Settings, Trial, choose, table
from geneq.stages.search.journal import Journal
from geneq.stages.search.space import PORTFOLIO, architecture
from geneq.stages.search.training import Trained
from geneq.teacher import Scaling

HEAD = {"space": "s", "data": "d", "strategy": "tpe", "epochs": 9, "seed": 1}


@pytest.fixture(autouse=True)
def as_many_epochs_as_asked(monkeypatch):
    monkeypatch.setattr(training, "LEAST_STEPS", 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("rules")
    planted.world(root, {"A": lambda p: p[:, 0], "B": lambda p: 2 - p[:, 1]}, n=100)
    return load_data(root / "features.zarr", root, root / "genes.parquet", None)


class Staged:
    """In place of Workers: predictions whose error is `loss_of(fit)`, as a share of the variance.

    fits: all that were asked for. Stops with an error where there would be more than `most`.
    """

    def __init__(self, data, loss_of, most=10**6):
        self.data, self.loss_of, self.most, self.fits = data, loss_of, most, []

    def fit(self, fits):
        for fit in list(fits):
            if len(self.fits) == self.most:
                raise InterruptedError
            self.fits.append(fit)
            y = self.data.y
            scaling = Scaling.of(np.zeros((len(fit.inside), 1), "f4"), y[fit.inside])
            error = np.sqrt(self.loss_of(fit)) * scaling.y_sd
            yield Trained(torch.nn.Linear(9, 1), scaling, y[fit.outside] + error)


def explorer(data, path, loss_of, trials=8, most=10**6, strategy="random", seed=1):
    workers = Staged(data, loss_of, most)
    settings = Settings(strategy, trials, 9, seed)
    return Explorer(data, workers, settings, Journal(path / "journal.jsonl", HEAD))


def by_place(losses, rest=5.0):
    """Losses of the networks of the portfolio, the same however long they are trained."""
    known = {architecture(p): loss for p, loss in zip(PORTFOLIO, losses, strict=False)}
    return lambda fit: known.get(fit.architecture, rest)


# --- generations ----------------------------------------------------------------------------------


def test_the_better_half_is_trained_in_full_and_the_start(data, tmp_path):
    losses = [0.9, 0.3, 0.8, 0.5, 0.7, 0.2, 0.6, 0.4]
    search = explorer(data, tmp_path, by_place(losses))
    trials = search.trials()
    assert [trial.parameters for trial in trials] == PORTFOLIO
    assert [trial.loss for trial in trials] == pytest.approx(losses, rel=1e-5)
    complete = [trial.number for trial in trials if trial.state == "complete"]
    assert complete == [0, 1, 5, 7]
    for trial in trials:
        assert trial.epochs == (9 if trial.state == "complete" else 3)
    train, valid = data.rows("train"), data.rows("valid")
    assert [fit.epochs for fit in search.workers.fits] == [3] * 8 + [9] * 4
    assert all((fit.inside == train).all() for fit in search.workers.fits)
    assert all((fit.outside == valid).all() for fit in search.workers.fits)
    assert len({fit.seed for fit in search.workers.fits}) == 8


@pytest.mark.parametrize("trials", [1, 2, 7, 8, 9, 20])
def test_as_many_networks_as_were_asked_for(data, tmp_path, trials):
    found = explorer(data, tmp_path, lambda fit: 0.5, trials).trials()
    assert [trial.number for trial in found] == list(range(trials))
    assert [trial.parameters for trial in found[:8]] == PORTFOLIO[:trials]


def test_later_generations_are_the_strategys_that_was_told_the_costs(data, tmp_path, monkeypatch):
    told = []

    class Noting(exploring.STRATEGIES["random"]):
        def tell(self, tried, costs):
            told.extend(zip(tried, costs, strict=True))

    monkeypatch.setitem(exploring.STRATEGIES, "random", Noting)
    found = explorer(data, tmp_path, by_place(np.linspace(0.9, 0.2, 8), np.nan), 20).trials()
    assert [parameters for parameters, _ in told] == [trial.parameters for trial in found]
    assert [cost for _, cost in told] == [trial.cost for trial in found]
    assert [trial.state for trial in found[8:]] == ["failed"] * 12
    assert np.isfinite([cost for _, cost in told[:8]]).all()
    assert [cost for _, cost in told[8:]] == [np.inf] * 12
    expected = Noting(1)
    assert [t.parameters for t in found[8:]] == [*expected.ask(8), *expected.ask(4)]


def test_a_search_for_as_long_as_it_helps_ends(data, tmp_path):
    # Nothing is better than the portfolio: two generations more.
    found = explorer(data, tmp_path / "idle", by_place([0.5] * 8), AUTO).trials()
    assert len(found) == 24
    # Every generation is better: until there are enough.
    seen = []

    def better(fit):
        seen.append(fit)
        return 0.99 ** len(seen)

    assert len(explorer(data, tmp_path / "better", better, AUTO).trials()) == 96
    # The third generation is the last one that helps by more than 0.2 %.
    seen = []

    def until_the_third(fit):
        seen.append(fit)
        return 0.5 - 0.1 * (len(seen) > 12) - 0.1 * (len(seen) > 24) - 1e-6 * len(seen)

    found = explorer(data, tmp_path / "third", until_the_third, AUTO).trials()
    assert len(found) == 8 * 5


def test_a_search_in_which_all_fails_ends(data, tmp_path):
    search = explorer(data, tmp_path, lambda fit: np.nan, AUTO)
    found = search.trials()
    assert len(found) == 96 and {trial.state for trial in found} == {"failed"}
    assert search.finalists(found) == []


def test_of_networks_that_are_equally_good_the_smaller_one_costs_less():
    small, large = (Trial(i, {}, 9, 0.5, n, True) for i, n in enumerate((100, 1000)))
    assert small.cost < large.cost == pytest.approx(small.cost * 1.00115, rel=1e-5)
    assert Trial(2, {}, 9, np.inf, 100, True).cost == np.inf


# --- finalists and the choice ---------------------------------------------------------------------


def test_finalists_are_compared_out_of_fold(data, tmp_path):
    losses = [0.9, 0.3, 0.8, 0.5, 0.7, 0.2, 0.6, 0.4]
    search = explorer(data, tmp_path, by_place(losses))
    trials = search.trials()
    before = len(search.workers.fits)
    finalists = search.finalists(trials)
    assert [finalist.trial.number for finalist in finalists] == [0, 5, 1, 7]
    fold, known = data.genes["fold"].to_numpy(), data.rows("train", "valid")
    fits = search.workers.fits[before:]
    assert len(fits) == 4 * 4 and all(fit.epochs == 9 for fit in fits)
    for fit in fits:
        assert len(set(fold[fit.outside])) == 1
        assert sorted([*fit.inside, *fit.outside]) == list(known)
        assert not set(fold[fit.inside]) & set(fold[fit.outside])
    # The same start in a fold for all: what they are compared by is not luck.
    assert [fit.seed for fit in fits[:4]] == [fit.seed for fit in fits[4:8]]
    for finalist in finalists:
        missing = np.isnan(finalist.predicted).all(1)
        assert (missing == (data.genes["split"] == "test")).all()
        assert np.isfinite(finalist.predicted[~missing]).all()
        assert finalist.errors.sum() == pytest.approx(losses[finalist.trial.number], rel=0.1)
    chosen = choose(finalists)
    assert chosen.trial.number == 5
    rows = table(trials, finalists, chosen.trial)
    assert list(rows.loc[rows["chosen"], "trial"]) == [5]
    assert list(rows.loc[rows["out_of_fold_loss"].notna(), "trial"]) == [0, 1, 5, 7]
    assert [json.loads(text) for text in rows["parameters"]] == PORTFOLIO


def test_a_start_that_is_among_the_best_is_compared_once(data, tmp_path):
    search = explorer(data, tmp_path, by_place([0.1, 0.3, 0.8, 0.5, 0.7, 0.2, 0.6, 0.4]))
    finalists = search.finalists(search.trials())
    assert [finalist.trial.number for finalist in finalists] == [0, 5, 1]
    assert choose(finalists).trial.number == 0


def test_a_start_that_fails_is_no_finalist(data, tmp_path):
    search = explorer(data, tmp_path, by_place([np.nan, 0.3, 0.8, 0.5, 0.7, 0.2, 0.6, 0.4]))
    finalists = search.finalists(search.trials())
    assert [finalist.trial.number for finalist in finalists] == [5, 1, 7]
    assert choose(finalists).trial.number == 5


@pytest.mark.parametrize("failing", [0, 5])
def test_a_network_that_fails_in_a_fold_is_no_finalist(data, tmp_path, failing):
    losses = by_place([0.1, 0.3, 0.8, 0.5, 0.7, 0.2, 0.6, 0.4])
    train = data.rows("train")

    def loss_of(fit):
        fails = fit.architecture == architecture(PORTFOLIO[failing])
        return np.nan if fails and not np.array_equal(fit.inside, train) else losses(fit)

    search = explorer(data, tmp_path, loss_of)
    finalists = search.finalists(search.trials())
    assert failing not in [finalist.trial.number for finalist in finalists]
    assert choose(finalists).trial.number == (5 if failing == 0 else 0)


def test_the_teacher_is_trained_on_training_and_validation_genes(data, tmp_path):
    search = explorer(data, tmp_path, by_place([0.5] * 8))
    trials = search.trials()
    search.final(trials[3])
    fit = search.workers.fits[-1]
    assert fit.architecture == architecture(PORTFOLIO[3]) and fit.epochs == 9
    assert (fit.inside == data.rows("train", "valid")).all()
    assert (fit.outside == np.arange(100)).all()
    assert fit.seed not in {other.seed for other in search.workers.fits[:-1]}


def finalist(number, errors):
    return Finalist(Trial(number, {}, 9, 0.5, 100, True), np.zeros((0, 1)), errors)


def test_the_best_is_returned_where_it_is_surely_better_and_else_the_start():
    rng = np.random.default_rng(4)
    genes = 1 + rng.gamma(1, 1, 200)  # networks err on the same genes
    noise = rng.normal(0, 0.1, 200)
    noise -= noise.mean()
    start = finalist(0, genes)
    # The gain's standard error is 0.1 / sqrt(200) = 0.007 a gene.
    for gain, better in ((0.0, False), (0.005, False), (0.009, True), (0.1, True), (-0.1, False)):
        other = finalist(5, genes + noise - gain)
        worst = finalist(7, genes + 1)
        assert choose([start, other, worst]).trial.number == (5 if better else 0), gain
        assert choose([other, worst, start]).trial.number == (5 if better else 0), gain
    # Were errors not paired, a gain of 0.1 would be within the noise: it is 0.07 by itself.
    assert genes.std() / 200**0.5 > 0.06
    assert choose([start]) is start
    others = [finalist(3, genes + 0.1), finalist(5, genes)]
    assert choose(others).trial.number == 5  # the start failed


# --- the journal ----------------------------------------------------------------------------------


def entry(trial=0, epochs=3, **changes):
    known = {"loss": 0.5, "complexity": 10, "parameters": {"width": 4}}
    return {"trial": trial, "epochs": epochs, **known, **changes}


def test_a_journal_gives_back_what_was_added(tmp_path):
    path = tmp_path / "new" / "journal.jsonl"
    journal = Journal(path, HEAD)
    entries = [entry(), entry(epochs=9, loss=float("nan")), entry(1, loss=float("inf"))]
    for each in entries:
        assert journal.find(each["trial"], each["epochs"], each["parameters"]) is None
        journal.add(each)
    again = Journal(path, HEAD)
    for each in entries:
        found = again.find(each["trial"], each["epochs"], each["parameters"])
        assert json.dumps(found) == json.dumps(each)
    assert again.find(1, 9, {}) is None and again.find(7, 3, {}) is None
    again.remove()
    again.remove()
    assert not path.exists() and not list(path.parent.iterdir())


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_last_line_that_was_cut_off_is_ignored(tmp_path, cut):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, HEAD)
    journal.add(entry(0))
    journal.add(entry(1))
    path.write_bytes(path.read_bytes()[:-cut])
    again = Journal(path, HEAD)
    assert again.find(0, 3, {"width": 4}) == entry(0) and again.find(1, 3, {"width": 4}) is None
    again.add(entry(1))
    assert Journal(path, HEAD).find(1, 3, {"width": 4}) == entry(1)


@pytest.mark.parametrize("content", ["", '{"format": "geneq-sea'])
def test_a_journal_that_was_cut_off_in_its_first_line_begins_anew(tmp_path, content):
    path = tmp_path / "journal.jsonl"
    path.write_text(content)
    Journal(path, HEAD).add(entry())
    assert Journal(path, HEAD).find(0, 3, {"width": 4}) == entry()


@pytest.mark.parametrize("key", HEAD)
def test_the_journal_of_another_search_is_refused(tmp_path, key):
    path = tmp_path / "journal.jsonl"
    Journal(path, HEAD).add(entry())
    before = path.read_bytes()
    with pytest.raises(GeneqError, match="of a search with other settings or data") as raised:
        Journal(path, {**HEAD, key: "other"})
    message = str(raised.value)
    assert f"'{key}'" in message and "journal.jsonl" in message
    assert "Repeat the search as it was started, or delete the journal" in message
    assert path.read_bytes() == before


def test_all_that_differs_is_named(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path, HEAD)
    with pytest.raises(GeneqError, match="'data, seed'"):
        Journal(path, {**HEAD, "data": "x", "seed": 2})


@pytest.mark.parametrize("content", [b"{}\n", b"[1]\n", b"notes\n", b"\xff\xfe\n", b"\n", b"3\n"])
def test_another_file_is_not_overwritten(tmp_path, content):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(content)
    with pytest.raises(GeneqError, match="Not the journal of a search"):
        Journal(path, HEAD)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "line",
    ["{", "null", "[]", "{}", "7", '{"trial": 0, "epochs": 3}', "\x00" * 40,
     json.dumps(entry(trial=[1])), json.dumps({**entry(), "more": 1})],
)  # fmt: skip
def test_a_damaged_journal_is_named(tmp_path, line):
    path = tmp_path / "journal.jsonl"
    Journal(path, HEAD).add(entry())
    with open(path, "a") as file:
        file.write(line + "\n")
    with pytest.raises(GeneqError, match=r"journal of the search is damaged.*Delete it") as raised:
        Journal(path, HEAD)
    assert "journal.jsonl" in str(raised.value)


def test_the_journal_of_other_networks_is_refused(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl", HEAD)
    journal.add(entry(3))
    again = Journal(tmp_path / "journal.jsonl", HEAD)
    with pytest.raises(GeneqError, match=r"another network for this trial: '?3"):
        again.find(3, 3, {"width": 8})


def result(trials):
    return [(t.number, t.parameters, t.epochs, t.loss, t.state) for t in trials]


@pytest.mark.parametrize("strategy", exploring.STRATEGIES)
@pytest.mark.parametrize("most", [1, 11, 30])
def test_a_search_that_stopped_goes_on_where_it_was(data, tmp_path, strategy, most):
    def loss(fit):
        return 0.2 + (fit.seed % 7) / 10 + fit.architecture.dropout

    def search(folder, most=10**6):
        return explorer(data, tmp_path / folder, loss, 24, most, strategy)

    expected = search("whole")
    trials = result(expected.trials())
    with pytest.raises(InterruptedError):
        search("stopped", most).trials()
    lines = (tmp_path / "stopped" / "journal.jsonl").read_text().splitlines()
    assert len(lines) == 1 + most
    again = search("stopped")
    assert result(again.trials()) == trials
    assert len(again.workers.fits) == len(expected.workers.fits) - most
    content = [(tmp_path / f / "journal.jsonl").read_bytes() for f in ("whole", "stopped")]
    assert content[0] == content[1]
    # A third time there is nothing left to train.
    third = search("stopped")
    assert result(third.trials()) == trials and not third.workers.fits


def test_more_trials_than_before_go_on_from_the_journal(data, tmp_path):
    few = explorer(data, tmp_path, lambda fit: 0.5, 8).trials()
    more = explorer(data, tmp_path, lambda fit: 0.5, 16)
    assert result(more.trials()[:8]) == result(few) and len(more.workers.fits) == 8 + 4

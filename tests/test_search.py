"""Search: that the teacher learns what is there, from the right genes, the same way every time.

The space and its strategies: test_search_space.py; the rules and the journal: test_search_rules.py.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from dataclasses import asdict

import numpy as np
import pytest
import torch

import planted
from children import started
from geneq import artifacts
from geneq.cli import main
from geneq.errors import GeneqError
from geneq.features import SCALES, Block, Features
from geneq.stages.search import Explorer, exploring, training
from geneq.stages.search.data import load_data
from geneq.stages.search.exploring import Settings, Trial
from geneq.stages.search.journal import Journal
from geneq.stages.search.space import PORTFOLIO
from geneq.stages.search.training import (
    Tables,
    Workers,
    enough_epochs,
    gene_errors,
    train,
    weighted_error,
)
from geneq.teacher import Architecture, BlockShape, Teacher, TrainedTeacher

pytestmark = pytest.mark.usefixtures("one_thread")

TRUTHS = {
    "T cell": lambda p: 5 + p[:, 0] + 0.8 * p[:, 1] * p[:, 5],
    "B / <memory>": lambda p: 4 - p[:, 3] + 0.9 * p[:, 4],
}
SHORT = ("--trials", "2", "--epochs", "3", "--threads", "1")


@pytest.fixture(scope="module", autouse=True)
def few_steps():
    """Networks of few genes are trained for longer than most tests need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "LEAST_STEPS", 20)
        yield


@pytest.fixture
def all_steps(monkeypatch):
    monkeypatch.setattr(training, "LEAST_STEPS", 600)


def table(out):
    return artifacts.PREDICTIONS.read(out / "predictions.parquet")


def matrix(out, made, column):
    """float64[genes, cell types] of a column of predictions.parquet; NaN where there is no row."""
    wide = table(out).pivot(index="gene_id", columns="cell_type", values=column)
    return wide.reindex(made.genes["gene_id"])[made.cell_types].to_numpy()


def contents(folder):
    """What a run says: all of its files."""
    names = ("trials.parquet", "teacher.json", "teacher.safetensors", "predictions.parquet")
    return [(folder / name).read_bytes() for name in names]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return planted.world(tmp_path_factory.mktemp("world"), TRUTHS, n=400, noise=0.3, seed=1)


@pytest.fixture(scope="module")
def found(made):
    """A search as users run it, of the first networks of the portfolio."""
    out = made.root / "found"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "LEAST_STEPS", 300)
        assert main(made.search_args(out, "--trials", "5", "--threads", "1")) == 0
    return out


@pytest.fixture(scope="module")
def short(made):
    """A short run, to compare others with."""
    out = made.root / "short"
    assert main(made.search_args(out, *SHORT)) == 0
    return out


def test_a_planted_product_is_learned(made, found):
    test = (made.genes["split"] == "test").to_numpy()
    teacher = matrix(found, made, "teacher")[test]
    for j in range(2):
        assert np.corrcoef(teacher[:, j], made.truth[test, j])[0, 1] > 0.95


def test_predictions_are_the_saved_teachers(made, found):
    teacher = TrainedTeacher.load(found)
    assert teacher.cell_types == made.cell_types and teacher.classes == [planted.CLASSES]
    members = teacher.members(teacher.pooled(made.features))
    np.testing.assert_array_equal(matrix(found, made, "teacher"), members.mean(0))
    np.testing.assert_array_equal(matrix(found, made, "teacher"), teacher.predict(made.features))
    np.testing.assert_array_equal(matrix(found, made, "teacher_sd"), members.std(0))
    assert (matrix(found, made, "teacher_sd") > 0).all()
    assert teacher.about["features"] == Features.read(made.root / "features.zarr").about
    assert (teacher.about["strategy"], teacher.about["seed"]) == ("tpe", 1)


def test_every_trial_is_recorded_and_the_teacher_is_one_of_them(made, found):
    trials = artifacts.TRIALS.read(found / "trials.parquet")
    assert list(trials["trial"]) == [0, 1, 2, 3, 4]
    assert [json.loads(text) for text in trials["parameters"]] == PORTFOLIO[:5]
    assert set(trials["state"]) == {"complete", "pruned"}
    assert (trials["epochs"] >= 1).all()
    (chosen,) = trials[trials["chosen"]].itertuples()
    assert chosen.trial > 0, "the start has no products"
    assert chosen.out_of_fold_loss == trials["out_of_fold_loss"].min()
    teacher = TrainedTeacher.load(found)
    parameters = {**asdict(teacher.network.architecture)}
    assert parameters.pop("members") == 8 and parameters == json.loads(chosen.parameters)
    assert teacher.about["validation_loss"] == chosen.loss
    assert chosen.complexity == sum(p.numel() for p in teacher.network.parameters())


def test_losses_are_those_of_the_predictions(made, found):
    (chosen,) = artifacts.TRIALS.read(found / "trials.parquet").query("chosen").itertuples()
    rows = table(found).query("split != 'test'")
    parts = []
    for _, group in rows.groupby("cell_type"):  # both heads weigh the same
        error = group["teacher_out_of_fold"] - group["measured"]
        parts.append((error**2).mean() / group["measured"].var(ddof=0))
    assert chosen.out_of_fold_loss == pytest.approx(np.mean(parts), rel=1e-6)


def test_the_teacher_is_trained_on_training_and_validation_genes(made, found):
    measured, split = matrix(found, made, "measured"), made.genes["split"]
    known = (split != "test").to_numpy()
    scaling = TrainedTeacher.load(found).scaling
    np.testing.assert_allclose(scaling.y_mean, measured[known].mean(0), rtol=1e-5)
    np.testing.assert_allclose(scaling.x_mean, made.features.matrix()[known].mean(0), rtol=1e-4)


def test_nothing_but_the_results_is_left(found):
    names = {"teacher.json", "teacher.safetensors", "predictions.parquet", "trials.parquet"}
    assert {path.name for path in found.iterdir()} == names


def test_the_same_seed_gives_the_same_files(made, short):
    out = made.root / "again"
    assert main(made.search_args(out, *SHORT)) == 0
    assert contents(out) == contents(short)


def test_the_number_of_threads_does_not_matter(tmp_path, all_steps, monkeypatch):
    # The quickest ones: workers train them for all steps.
    monkeypatch.setattr(exploring, "PORTFOLIO", PORTFOLIO[4:6])
    made = planted.world(tmp_path, TRUTHS, n=60, seed=4)
    for threads in ("1", "2"):
        args = made.search_args(tmp_path / threads, "--trials", "2", "--threads", threads)
        assert main(args) == 0
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


@pytest.mark.parametrize("strategy", exploring.STRATEGIES)
def test_every_strategy_finds_a_teacher(tmp_path, strategy, monkeypatch):
    made = planted.world(tmp_path, {"A": lambda p: p[:, 0]}, n=60, table=True)
    monkeypatch.setattr(training, "LEAST_STEPS", 3)
    args = made.search_args(tmp_path / "out", "--trials", "12", "--epochs", "2", "--threads", "1")
    assert main([*args, "--strategy", strategy]) == 0
    assert len(artifacts.TRIALS.read(tmp_path / "out" / "trials.parquet")) == 12
    teacher = TrainedTeacher.load(tmp_path / "out")
    assert teacher.about["strategy"] == strategy
    assert np.isfinite(teacher.predict(made.features)).all()


def test_a_search_for_as_long_as_it_helps_ends(tmp_path, monkeypatch):
    made = planted.world(tmp_path, {"A": lambda p: 3.0}, n=60)
    monkeypatch.setattr(training, "LEAST_STEPS", 3)
    args = made.search_args(tmp_path / "out", "--trials", "auto", "--epochs", "2", "--threads", "1")
    assert main([*args, "--strategy", "random"]) == 0
    trials = artifacts.TRIALS.read(tmp_path / "out" / "trials.parquet")
    assert len(trials) in range(24, 97, 8)


def test_another_seed_gives_another_teacher(made, short):
    out = made.root / "seed2"
    assert main(made.search_args(out, *SHORT, "--seed", "2")) == 0
    assert contents(out)[1:] != contents(short)[1:]


def test_the_test_genes_expression_is_never_seen(made, short, tmp_path):
    measured = matrix(short, made, "measured")
    test = (made.genes["split"] == "test").to_numpy()
    measured[test] = np.random.default_rng(9).normal(50, 30, measured[test].shape)
    expression = planted.write_expression(made, measured, root=tmp_path)
    args = made.search_args(tmp_path / "out", *SHORT)
    args[args.index("--expression") + 1] = str(expression)
    assert main(args) == 0
    for name in ("teacher.json", "teacher.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (short / name).read_bytes()
    for column in ("teacher", "teacher_out_of_fold"):
        np.testing.assert_array_equal(
            matrix(tmp_path / "out", made, column), matrix(short, made, column)
        )
    assert (matrix(tmp_path / "out", made, "measured")[test] == measured[test]).all()


@pytest.mark.parametrize("fold", [2, 4])
def test_test_fold_validates_on_the_next_fold(made, fold):
    out = made.root / f"fold{fold}"
    assert main(made.search_args(out, *SHORT, "--test_fold", str(fold))) == 0
    rows = table(out)
    assert set(rows.loc[rows["fold"] == fold, "split"]) == {"test"}
    assert set(rows.loc[rows["fold"] == (fold + 1) % 5, "split"]) == {"valid"}
    others = ~rows["fold"].isin([fold, (fold + 1) % 5])
    assert set(rows.loc[others, "split"]) == {"train"}
    assert TrainedTeacher.load(out).about["test_fold"] == fold


def test_out_of_fold_predictions_never_saw_their_fold(made, tmp_path):
    paths = (made.root / "features.zarr", made.root, made.root / "genes.parquet")
    data = load_data(*paths, None)
    trial = Trial(0, PORTFOLIO[4], 3, 0.5, 10, True)

    def predicted():
        with Workers.of(data, 1) as workers:
            settings = Settings("tpe", 1, 3, 1)
            explorer = Explorer(data, workers, settings, Journal(tmp_path / "journal", {}))
            return explorer.finalists([trial])[0].predicted

    before, fold = predicted(), data.genes["fold"].to_numpy()
    known = (data.genes["split"] != "test").to_numpy()
    assert (np.isfinite(before) == known[:, None]).all()
    data.y[fold == 3] += np.random.default_rng(3).normal(20, 5, data.y[fold == 3].shape)
    after = predicted()
    np.testing.assert_array_equal(after[fold == 3], before[fold == 3])
    assert not np.isclose(after[fold == 2], before[fold == 2]).any()


def test_out_of_fold_predictions_tell_signal_from_none(made, found):
    """The network of a planted type is right out of fold nearly as often as on its own genes."""
    rows = table(found)
    assert rows["teacher_out_of_fold"].isna().equals(rows["split"] == "test")
    known = rows[rows["split"] != "test"]
    for _, group in known.groupby("cell_type"):
        assert np.corrcoef(group["teacher_out_of_fold"], group["measured"])[0, 1] > 0.85


def test_genes_missing_from_one_cell_type_are_left_out_there_only(made, tmp_path):
    measured = made.truth.copy()
    missing = np.arange(len(measured)) % 7 == 3
    measured[missing, 1] = np.nan
    expression = planted.write_expression(made, measured, root=tmp_path)
    args = made.search_args(tmp_path / "out", *SHORT)
    args[args.index("--expression") + 1] = str(expression)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert main(args) == 0
    counts = table(tmp_path / "out").groupby("cell_type").size()
    assert counts["T cell"] == 400 and counts["B / <memory>"] == 400 - missing.sum()
    teacher = TrainedTeacher.load(tmp_path / "out")
    known = (made.genes["split"] != "test").to_numpy()
    np.testing.assert_allclose(
        teacher.scaling.y_mean, [measured[known, 0].mean(), np.nanmean(measured[known, 1])], 1e-5
    )
    assert np.isfinite(teacher.predict(made.features)).all()


def test_heads_weigh_as_much_as_their_reliability(made, tmp_path):
    expression = planted.write_expression(made, made.truth, [0.9, 0.3], root=tmp_path)
    paths = (made.root / "features.zarr", expression, made.root / "genes.parquet")
    np.testing.assert_allclose(load_data(*paths, None).weight, [1.5, 0.5], rtol=1e-6)
    planted.write_expression(made, made.truth, [0.95, None], root=tmp_path)
    data = load_data(*paths, None)
    np.testing.assert_allclose(data.weight, [1.9, 0.1], rtol=1e-6)  # little, but not nothing
    found = data.ceilings["absolute"]
    assert found == {"T cell": pytest.approx(0.95**0.5), "B / <memory>": None}


def test_the_loss_weighs_heads_and_ignores_missing_values():
    predicted = torch.tensor([[1.0, 2.0], [3.0, 5.0], [0.0, 7.0]])
    target = torch.tensor([[1.0, np.nan], [1.0, 2.0], [1.0, np.nan]])
    weight = torch.tensor([1.5, 0.5])
    loss = weighted_error(predicted, target, weight)
    assert loss.item() == pytest.approx((1.5 * (0 + 4 + 1) / 3 + 0.5 * 9) / 2)
    arrays = [tensor.numpy() for tensor in (predicted, target, torch.ones(2), weight)]
    share = gene_errors(*arrays)
    assert share.tolist() == pytest.approx([0, (1.5 * 4 / 3 + 0.5 * 9) / 2, 1.5 / 3 / 2])
    # In units of the standard deviation.
    arrays[2] = np.array([2.0, 3.0])
    assert gene_errors(*arrays)[1] == pytest.approx((1.5 * 4 / 4 / 3 + 0.5 * 9 / 9) / 2)
    members = torch.stack([predicted, predicted + 1])
    each = [weighted_error(member, target, weight) for member in members]
    together = weighted_error(members, target, weight)
    assert together.item() == pytest.approx((each[0] + each[1]).item() / 2)
    nothing = torch.full((3, 2), np.nan)
    assert weighted_error(predicted, nothing, torch.ones(2)).item() == 0


def small_network(**choices):
    choices = {"width": 4, "products": 2, "members": 2, "dropout": 0.0, "input_dropout": 0.0,
               "learning_rate": 0.02, **choices}  # fmt: skip
    return Teacher(Architecture(**choices), [BlockShape(5, 8)], 1)


def test_members_are_trained_each_by_itself():
    """Members share profiles and gates; with those held, one learns the same beside another."""
    torch.manual_seed(1)
    x, y = torch.randn(100, 40), torch.randn(100, 1)
    networks = [small_network() for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    with torch.no_grad():
        networks[1].heads["encoded"].weight[1] += 5
    for network in networks:
        network.pooling.requires_grad_(False)
        network.gate.requires_grad_(False)
        torch.manual_seed(2)
        train(network, x, y, torch.ones(1), 1)
    one, other = (network.heads["encoded"].weight.detach() for network in networks)
    torch.testing.assert_close(one[0], other[0])
    assert not torch.isclose(one[1], other[1]).any()


def test_a_trained_network_drops_nothing():
    torch.manual_seed(1)
    x, y = torch.randn(100, 40), torch.randn(100, 1)
    network = small_network(dropout=0.5, input_dropout=0.5)
    train(network, x, y, torch.ones(1), 1)
    assert not network.training and torch.equal(network(x), network(x))


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_columns_are_dropped_in_training(rate, monkeypatch):
    torch.manual_seed(1)
    network, seen = small_network(input_dropout=rate), []
    pool = network.pool
    monkeypatch.setattr(network, "pool", lambda x: seen.append(x) or pool(x))
    train(network, torch.ones(100, 40), torch.randn(100, 1), torch.ones(1), 1)
    zeros = (torch.cat(seen) == 0).float()
    assert zeros.mean().item() == pytest.approx(rate, abs=0.02)
    # Other columns for other genes.
    assert (zeros.std(0).min() > 0.4) == (rate > 0)


def test_gates_are_driven_to_zero_by_their_penalty():
    torch.manual_seed(1)
    x = torch.randn(300, 40)
    y = x[:, ::8].sum(1, keepdim=True) / 5**0.5  # of the first class alone
    sizes = []
    for penalty in (0.0, 0.03):
        torch.manual_seed(2)
        network = small_network(gate_penalty=penalty, weight_decay=0.0)
        train(network, x, y, torch.ones(1), 60)
        sizes.append(network.gate.detach().abs())
    # The first is the one that is needed.
    assert sizes[1][1:].max() < 0.3 * sizes[0][1:].mean() and sizes[1][0] > 2 * sizes[1][1:].max()


@pytest.mark.parametrize("budget", [0, 1, 3])
def test_after_half_of_the_training_a_budget_of_variables_is_left(budget):
    torch.manual_seed(1)
    x = torch.randn(300, 40)
    y = x[:, ::8].sum(1, keepdim=True) / 5**0.5
    network = small_network(budget=budget, gate_penalty=0.003)
    seen = []
    members = network.members
    network.members = lambda z: seen.append(int(network.kept.sum())) or members(z)
    train(network, x, y, torch.ones(1), 20)
    assert seen == [8] * 30 + [budget or 8] * 30  # 3 batches an epoch
    assert network.kept[0] == 1
    loss = weighted_error(network(x), y, torch.ones(1)).item()
    assert loss < 0.2


def test_with_few_genes_there_are_more_epochs(monkeypatch):
    steps, pool = [], Teacher.pool
    monkeypatch.setattr(Teacher, "pool", lambda self, x: steps.append(len(x)) or pool(self, x))
    for n, epochs, expected in ((100, 3, 20), (100, 30, 30), (300, 3, 7 * 3), (300, 10, 30)):
        steps.clear()
        network, enough = small_network(), enough_epochs(epochs, n)
        train(network, torch.randn(n, 40), torch.randn(n, 1), torch.ones(1), enough)
        assert len(steps) == expected and sum(steps) % n == 0


def test_an_unreliable_cell_type_costs_the_others_little(made, tmp_path, monkeypatch, all_steps):
    """With wild values in a cell type of no reliability, the other's teacher still learns."""
    measured = made.truth.copy()
    measured[:, 1] = np.random.default_rng(8).normal(0, 1, len(measured))
    expression = planted.write_expression(made, measured, [0.9, 0.0], root=tmp_path)
    args = made.search_args(tmp_path / "out", "--trials", "1", "--threads", "1")
    args[args.index("--expression") + 1] = str(expression)
    # A network that can learn products.
    monkeypatch.setattr(exploring, "PORTFOLIO", [PORTFOLIO[4]])
    assert main(args) == 0
    test = (made.genes["split"] == "test").to_numpy()
    teacher = matrix(tmp_path / "out", made, "teacher")[test, 0]
    assert np.corrcoef(teacher, made.truth[test, 0])[0, 1] > 0.95


# --- features that are hard to learn from ---------------------------------------------------------


def searched(root, values, monkeypatch):
    """A search of one gene-wise table of features, float[genes, columns]."""
    made = planted.world(root, {"A": lambda p: 5 + p[:, 0]}, n=len(values))
    names = [f"c{j}" for j in range(values.shape[1])]
    block = Block("table:t.tsv", values[:, None].astype(np.float32), names, planted.TABLE)
    features = Features(made.features.gene_id, [block], planted.GENOME).complete()
    features.write(root / "features.zarr")
    args = made.search_args(root / "out", *SHORT)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert main(args) == 0
    return TrainedTeacher.load(root / "out"), features


HARD = {
    "constant": lambda x: np.full_like(x, 3.5),
    "zero": lambda x: np.zeros_like(x),
    "one is constant": lambda x: np.where(np.arange(3) == 1, 7.0, x),
    "collinear": lambda x: x[:, :1] * [1, 1, -2],
    "tiny": lambda x: 1e-30 * x,
    "huge": lambda x: 1e15 * x,
    "far from 0": lambda x: 1e6 + x,
    "outlier": lambda x: np.where(np.arange(len(x))[:, None] == 8, 1e12, x),
    "test genes are far away": lambda x: x * np.where(np.arange(len(x)) % 5 == 0, 1e6, 1)[:, None],
    "two values": lambda x: (x > 0).astype(float),
}


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("scale", SCALES)
def test_hard_features_give_finite_predictions(tmp_path, monkeypatch, kind, scale):
    monkeypatch.setattr(exploring, "PORTFOLIO", [{**p, "scale": scale} for p in PORTFOLIO[3:5]])
    values = HARD[kind](np.random.default_rng(1).normal(size=(60, 3)))
    teacher, features = searched(tmp_path, values, monkeypatch)
    assert teacher.scale == scale
    predicted = teacher.predict(features)
    assert np.isfinite(predicted).all()
    x = features.matrix(scale).astype(float)
    for place in range(len(teacher.variables)):
        weights, offset = teacher.weights(place)
        assert np.isfinite(weights).all() and np.isfinite(offset)
        pooled = teacher.pooled(features)[:, place]
        np.testing.assert_allclose(offset + x @ weights, pooled, rtol=2e-3, atol=2e-3)


# --- input that does not do -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--trials", "0"), "--trials must be between 1 and 9223372036854775807: 0"),
        (("--epochs", "-1"), "--epochs must be between 1 and 9223372036854775807: -1"),
        (("--seed", "-1"), "--seed must be between 0 and 4294967295: -1"),
        (("--threads", "0"), "--threads must be at least 1: 0"),
    ],
)
def test_options_out_of_range(made, tmp_path, capsys, more, message):
    assert main(made.search_args(tmp_path / "out", *more)) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_too_few_genes_say_how_many_there_are(tmp_path, capsys):
    made = planted.world(tmp_path, {"T cell": lambda p: p[:, 0]}, n=30)
    assert main(made.search_args(tmp_path / "out", *SHORT)) == 1
    message = capsys.readouterr().err
    assert "Too few genes have both DNA and expression" in message
    assert "'train': 18, 'valid': 6, 'test': 6" in message and "choose other chromosomes" in message
    assert not (tmp_path / "out").exists()


def test_genes_of_another_genome_are_too_few(made, tmp_path, capsys):
    other = tmp_path / "other"
    planted.world(other, TRUTHS, n=100)
    genes = artifacts.GENES.read(other / "genes.parquet")
    artifacts.GENES.write(genes.assign(gene_id="other" + genes["gene_id"]), other / "genes.parquet")
    args = made.search_args(tmp_path / "out", *SHORT)
    args[args.index("--genes") + 1] = str(other / "genes.parquet")
    assert main(args) == 1
    assert "'train': 0, 'valid': 0, 'test': 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--trials", "many"), "must be a number or auto, not 'many'"),
        (("--strategy", "guess"), "invalid choice: 'guess'"),
        (("--test_fold", "5"), "invalid choice: 5"),
    ],
)
def test_options_that_are_no_values(made, tmp_path, capsys, more, message):
    with pytest.raises(SystemExit) as ended:
        main(made.search_args(tmp_path / "out", *more))
    assert ended.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def only_the_journal(out):
    return [path.name for path in out.iterdir()] == ["journal.jsonl"]


def test_values_that_no_network_can_learn(made, tmp_path, capsys):
    measured = made.truth.copy()
    measured[2, 0] = np.inf
    expression = planted.write_expression(made, measured, root=tmp_path)
    args = made.search_args(tmp_path / "out", *SHORT)
    args[args.index("--expression") + 1] = str(expression)
    with np.errstate(invalid="ignore"):
        assert main(args) == 1
    message = capsys.readouterr().err
    assert "No trial of the architecture search reached a finite validation loss" in message
    assert "planted" in message and "extreme values" in message
    assert only_the_journal(tmp_path / "out")


def test_a_run_that_fails_late_leaves_no_file_behind(made, tmp_path, short):
    """The place of the last file is taken by a folder: what is there before is complete."""
    out = tmp_path / "out"
    (out / "teacher.json").mkdir(parents=True)
    assert main(made.search_args(out, *SHORT)) == 1
    for path in out.iterdir():
        assert not path.name.startswith("."), "a temporary file was left behind"
    assert len(table(out)) == 800
    # With the reason gone, it goes on.
    (out / "teacher.json").rmdir()
    assert main(made.search_args(out, *SHORT)) == 0
    assert contents(out) == contents(short) and not (out / "journal.jsonl").exists()


def test_a_search_that_stops_out_of_fold_writes_nothing(made, tmp_path, monkeypatch):
    def stopped(*args):
        raise GeneqError("Stopped")

    monkeypatch.setattr(Explorer, "finalists", stopped)
    assert main(made.search_args(tmp_path / "out", *SHORT)) == 1
    assert only_the_journal(tmp_path / "out")


@pytest.mark.parametrize("name", ["features.zarr", "expression.parquet", "genes.parquet"])
def test_missing_inputs_are_named(made, tmp_path, capsys, name):
    args = made.search_args(tmp_path / "out", *SHORT)
    option = {"features.zarr": "--features", "genes.parquet": "--genes"}.get(name, "--expression")
    args[args.index(option) + 1] = str(tmp_path / ("" if option == "--expression" else name))
    assert main(args) == 1
    assert name in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# --- a search that is killed ----------------------------------------------------------------------

# A search whose process kills itself, as the kernel would, when so many trainings have ended.
KILLED = """
    import os, signal, sys
    from geneq.cli import main
    from geneq.stages.search import training
    from geneq.stages.search.journal import Journal

    most, cut, written = int(sys.argv[1]), int(sys.argv[2]), []
    add = Journal.add

    def adding(self, entry):
        add(self, entry)
        written.append(entry)
        if len(written) == most:
            os.truncate(self.path, os.path.getsize(self.path) - cut)
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.add = adding
    training.LEAST_STEPS = 20
    main(sys.argv[3:])
"""


@pytest.mark.parametrize(("most", "cut"), [(1, 0), (3, 7)])
def test_a_search_that_was_killed_goes_on(made, tmp_path, short, monkeypatch, most, cut):
    args = made.search_args(tmp_path / "out", *SHORT)
    code = textwrap.dedent(KILLED)
    command = [sys.executable, "-c", code, str(most), str(cut), *args]
    ended = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert ended.returncode == -signal.SIGKILL
    assert only_the_journal(tmp_path / "out")
    complete = (tmp_path / "out" / "journal.jsonl").read_bytes().count(b"\n") - 1
    assert complete == most - (cut > 0)
    fits, fit = [], Tables.fit
    monkeypatch.setattr(Tables, "fit", lambda self, each: fits.append(each) or fit(self, each))
    assert main(args) == 0
    assert contents(tmp_path / "out") == contents(short)
    # Two networks for a third of the epochs, one in full, one or two out of fold, and the teacher.
    trials = [each for each in fits if len(each.outside) == 80 and len(each.inside) == 240]
    finalists = artifacts.TRIALS.read(tmp_path / "out" / "trials.parquet")["out_of_fold_loss"]
    out_of_fold = 4 * finalists.notna().sum()
    assert len(fits) == 3 - complete + out_of_fold + 1
    assert len(trials) >= 3 - complete


def test_workers_end_with_a_search_that_is_killed(tmp_path):
    made = planted.world(tmp_path, {"A": lambda p: p[:, 0]}, n=60)
    args = made.search_args(tmp_path / "out", "--trials", "8", "--threads", "2")
    journal = tmp_path / "out" / "journal.jsonl"
    with started([sys.executable, "-m", "geneq.cli", *args], signal.SIG_DFL) as child:
        wait_for(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 2, child)
        workers = children_of(child.pid)
        child.kill()
    assert len(workers) >= 2
    try:
        wait_for(lambda: not any(map(is_running, workers)), seconds=60)
    finally:
        for pid in filter(is_running, workers):
            os.kill(int(pid), signal.SIGKILL)
    assert only_the_journal(tmp_path / "out")


def wait_for(condition, child=None, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        assert child is None or child.poll() is None, child.communicate()
        time.sleep(0.05)


def children_of(pid):
    found = []
    for path in (entry for entry in os.listdir("/proc") if entry.isdigit()):
        state = status(path)
        if state and int(state[1]) == pid:
            found.append(path)
    return found


def status(pid):
    """State and parent of a process; none where it has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_running(pid):
    state = status(pid)
    return state is not None and state[0] != "Z"


@pytest.mark.parametrize(
    ("more", "named"),
    [(("--seed", "2"), "seed"), (("--strategy", "random"), "strategy"),
     (("--epochs", "4"), "epochs"), (("--test_fold", "1"), "data")],
)  # fmt: skip
def test_another_search_does_not_go_on_from_the_journal(made, tmp_path, capsys, monkeypatch, more,
                                                        named):  # fmt: skip
    out = tmp_path / "out"
    monkeypatch.setattr(Explorer, "finalists", lambda *args: [])
    assert main(made.search_args(out, *SHORT)) == 1
    journal = (out / "journal.jsonl").read_bytes()
    capsys.readouterr()
    assert main(made.search_args(out, *SHORT, *more)) == 1
    message = capsys.readouterr().err
    assert f"The journal is of a search with other settings or data: '{named}'" in message
    assert only_the_journal(out) and (out / "journal.jsonl").read_bytes() == journal


def test_the_journal_knows_space_and_data(made, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(Explorer, "finalists", lambda *args: [])
    assert main(made.search_args(out, *SHORT)) == 1
    measured = made.truth.copy()
    measured[7] += 0.01
    assert made.genes["split"][7] == "train"
    args = made.search_args(out, *SHORT)
    args[args.index("--expression") + 1] = str(
        planted.write_expression(made, measured, root=tmp_path)
    )
    assert main(args) == 1
    assert "'data'" in capsys.readouterr().err
    monkeypatch.setattr("geneq.stages.search.digest", lambda: "other")
    assert main(made.search_args(out, *SHORT)) == 1
    assert "'space'" in capsys.readouterr().err


def test_the_digest_of_data_is_of_all_that_is_learned_from(tmp_path):
    made = planted.world(tmp_path, TRUTHS, n=60, table=True)
    paths = (tmp_path / "features.zarr", tmp_path, tmp_path / "genes.parquet")
    digests = {load_data(*paths, None).digest, load_data(*paths, 0).digest}
    assert len(digests) == 1
    digests |= {load_data(*paths, fold).digest for fold in (1, 2)}
    for reliability in ([0.8, 0.8], [0.9, 0.5]):
        planted.write_expression(made, made.truth, reliability)
        digests.add(load_data(*paths, None).digest)
    oracle, *others = made.features.blocks
    moved = {**planted.ORACLE, "bin_edges": [edge - 50 for edge in planted.EDGES]}
    values = oracle.values.copy()
    values[7, 0, 0] += 1
    for block in (
        Block(oracle.name, oracle.values, oracle.classes, moved, oracle.quantiles),
        Block(oracle.name, values, oracle.classes, oracle.meta, oracle.quantiles),
        Block(oracle.name, oracle.values, oracle.classes, oracle.meta, oracle.quantiles * 0.9),
    ):
        Features(made.features.gene_id, [block, *others], planted.GENOME).write(paths[0])
        digests.add(load_data(*paths, None).digest)
    assert len(digests) == 1 + 2 + 2 + 3

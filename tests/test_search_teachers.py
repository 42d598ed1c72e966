"""Whose predictions equations are distilled from: network, trees, or the mean of both."""

import numpy as np
import pytest

import planted
from geneq.artifacts import PREDICTIONS
from geneq.cli import main
from geneq.stages.search import training, trees
from geneq.stages.search.data import load_data
from geneq.stages.search.teachers import Prediction, choose_teacher
from geneq.teacher import TrainedTeacher

pytestmark = pytest.mark.usefixtures("one_thread")

TRUTHS = {
    "T cell": lambda p: 5 + p[:, 0] + 0.8 * np.abs(p[:, 1]),
    "B cell": lambda p: 4 - p[:, 3] + 0.9 * p[:, 4],
}


@pytest.fixture(scope="module", autouse=True)
def few_trees():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "MOST", 80)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return planted.world(tmp_path_factory.mktemp("world"), TRUTHS, n=600, noise=0.3, seed=1)


@pytest.fixture(scope="module")
def data(made):
    root = made.root
    return load_data(root / "features.zarr", root, root / "genes.parquet", None)


def network(made, data, error: float) -> tuple[Prediction, float]:
    """Predictions with a normal error of this standard deviation, and their loss on validation
    genes."""
    rng = np.random.default_rng(2)
    everything, out_of_fold = (made.truth + error * rng.standard_normal(made.truth.shape)
                               for _ in range(2))  # fmt: skip
    out_of_fold[data.rows("test")] = np.nan
    valid = data.rows("valid")
    loss = ((everything[valid] - data.y[valid]) ** 2).mean(0) / data.y.var(0)
    return Prediction(everything, out_of_fold, np.ones_like(everything)), float(loss.mean())


def test_a_network_that_is_better_than_trees_is_the_teacher(made, data):
    good, loss = network(made, data, error=0.1)
    name, chosen, losses = choose_teacher("auto", good, loss, data, 1, 1)
    assert name == "network" and chosen is good
    assert [*losses] == ["network"]  # trees that are much worse are fitted once only


def test_of_two_that_are_about_as_good_the_mean_is_the_teacher(made, data):
    fair, loss = network(made, data, error=0.6)
    name, chosen, losses = choose_teacher("auto", fair, loss, data, 1, 1)
    assert name == "both"
    assert losses["both"] < min(losses["network"], losses["trees"])
    _, of_trees, _ = choose_teacher("trees", fair, loss, data, 1, 1)
    for mean, a, b in (
        (chosen.everything, fair.everything, of_trees.everything),
        (chosen.out_of_fold, fair.out_of_fold, of_trees.out_of_fold),
    ):
        np.testing.assert_allclose(mean, (a + b) / 2)
    # Test genes are not used, and are predicted better than by either.
    test = data.rows("test")
    off = [((p.everything - made.truth)[test] ** 2).mean() for p in (chosen, fair, of_trees)]
    assert off[0] < min(off[1:])


def test_trees_are_the_teacher_of_what_the_network_has_not_learned(made, data):
    poor, loss = network(made, data, error=3.0)
    name, chosen, losses = choose_teacher("auto", poor, loss, data, 1, 1)
    assert name == "trees" and min(losses, key=losses.get) == "trees"
    # Folds whose teachers differ are pooled, and so have the same columns.
    assert [*chosen.columns()] == [*poor.columns()]
    assert np.isnan(chosen.columns()["teacher_sd"]).all()


def test_what_surely_helps_nothing_is_not_taken(made, data, monkeypatch):
    """The mean is a little better by chance."""
    fair, loss = network(made, data, error=0.6)
    monkeypatch.setattr("geneq.stages.search.exploring.CERTAIN", 100.0)
    name, _, losses = choose_teacher("auto", fair, loss, data, 1, 1)
    assert name == "network" and losses["both"] < losses["network"]


@pytest.mark.parametrize("asked", ["auto", "trees", "both"])
def test_a_search_writes_the_predictions_of_its_teacher(made, tmp_path, monkeypatch, asked):
    monkeypatch.setattr(training, "LEAST_STEPS", 20)
    arguments = ("--trials", "2", "--epochs", "3", "--threads", "1", "--teacher")
    for teacher in ("network", asked):
        assert main(made.search_args(tmp_path / teacher, *arguments, teacher)) == 0
    # Of a network that was hardly trained, trees are better.
    about = TrainedTeacher.load(tmp_path / asked).about
    assert about["predictions"] == ("trees" if asked == "auto" else asked)
    assert [*about["losses"]] == ["network", "trees", "both"]
    weights = [(tmp_path / t / "teacher.safetensors").read_bytes() for t in ("network", asked)]
    assert weights[0] == weights[1]  # variables are the network's
    table = PREDICTIONS.read(tmp_path / asked / "predictions.parquet")
    for j, cell_type in enumerate(made.cell_types):
        rows = table[table["cell_type"] == cell_type].set_index("gene_id")
        rows = rows.loc[made.genes["gene_id"]]
        test = (rows["split"] == "test").to_numpy()
        assert np.isnan(rows["teacher_out_of_fold"][test]).all()
        for column, genes in (("teacher", test), ("teacher_out_of_fold", ~test)):
            assert np.corrcoef(rows[column][genes], made.truth[genes, j])[0, 1] > 0.6
        # The test genes' expression is not used.
        assert np.corrcoef(rows["teacher"][test], rows["measured"][test])[0, 1] < 0.99

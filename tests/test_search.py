"""Search: that the teacher learns what is there, from the right genes, the same way every time."""

import json
import warnings

import numpy as np
import pytest
import torch
from optuna.trial import FixedTrial

import planted
from geneq import artifacts
from geneq.cli import main
from geneq.errors import GeneqError
from geneq.stages.search import (
    Candidate,
    average_in,
    choose,
    gene_errors,
    load_data,
    predict_out_of_fold,
    train_network,
    training_epochs,
    weighted_error,
)
from geneq.teacher import Architecture, Teacher, TrainedTeacher

TRUTHS = {
    "T cell": lambda p: 5 + p[:, 0] + 0.8 * p[:, 1] * p[:, 5],
    "B / <memory>": lambda p: 4 - p[:, 3] + 0.9 * p[:, 4],
}
SHORT = ("--trials", "2", "--max_epochs", "8")


def table(out):
    return artifacts.PREDICTIONS.read(out / "predictions.parquet")


def matrix(out, made, column):
    """float64[genes, cell types] of a column of predictions.parquet; NaN where there is no row."""
    wide = table(out).pivot(index="gene_id", columns="cell_type", values=column)
    return wide.reindex(made.genes["gene_id"])[made.cell_types].to_numpy()


def contents(folder):
    """What a run says: all of its files, but for the seconds that trials took."""
    trials = artifacts.TRIALS.read(folder / "trials.parquet").drop(columns="seconds")
    names = ("teacher.json", "teacher.safetensors", "predictions.parquet")
    return trials.to_json(), *((folder / name).read_bytes() for name in names)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return planted.world(tmp_path_factory.mktemp("world"), TRUTHS, n=400, noise=0.3, seed=1)


@pytest.fixture(scope="module")
def found(made):
    out = made.root / "found"
    assert main(made.search_args(out, "--trials", "4")) == 0
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
    assert teacher.cell_types == made.cell_types and teacher.classes == planted.CLASSES
    expected = teacher.predict(made.features.values)
    np.testing.assert_array_equal(matrix(found, made, "teacher"), expected)
    features = artifacts.Features.read(made.root / "features.zarr")
    assert teacher.about["features"] == features.meta


def test_every_trial_is_recorded_and_the_teacher_is_one_of_them(made, found):
    trials = artifacts.TRIALS.read(found / "trials.parquet")
    assert list(trials["trial"]) == [0, 1, 2, 3]
    assert set(trials["state"]) <= {"complete", "pruned"}
    assert (trials["epochs"] >= 1).all() and (trials["seconds"] > 0).all()
    (chosen,) = trials[trials["chosen"]].itertuples()
    teacher = TrainedTeacher.load(found)
    architecture = teacher.network.architecture
    for name, value in json.loads(chosen.parameters).items():
        assert getattr(architecture, name) == value
    assert teacher.about["validation_loss"] == chosen.loss
    valid = (made.genes["split"] == "valid").to_numpy()
    error = matrix(found, made, "teacher") - matrix(found, made, "measured")
    loss = np.mean((error[valid] / teacher.scaling.y_sd) ** 2)  # both heads weigh the same
    assert loss == pytest.approx(chosen.loss, rel=1e-4)


def test_the_first_that_is_not_surely_worse_is_chosen():
    rng = np.random.default_rng(4)
    genes = 1 + rng.gamma(1, 1, 200)  # networks err on the same genes

    def candidate(trial, worse, spread=0.1):
        noise = rng.normal(0, spread, 200)
        return Candidate(trial, None, 1, (genes + worse + noise - noise.mean()) / 200)

    best = candidate(7, 0.0)
    # Its standard error is about 0.01, by the noise of both.
    assert choose([candidate(0, 0.1), candidate(1, 0.015), candidate(2, 0.0), best]).trial == 1
    assert choose([candidate(0, 0.1), candidate(1, 0.03), best]) is best
    assert choose([candidate(0, 0.1, spread=1.0), candidate(1, 0.03), best]).trial == 0
    assert choose([best]) is best


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_same_seed_gives_the_same_files(made, short, threads):
    out = made.root / f"threads{threads}"
    assert main(made.search_args(out, *SHORT, "--threads", threads)) == 0
    assert contents(out) == contents(short)


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


def test_out_of_fold_predictions_never_saw_their_fold(made):
    paths = (made.root / "features.zarr", made.root, made.root / "genes.parquet")
    data = load_data(*paths, None)
    architecture = planted.exact_teacher(made).network.architecture
    before = predict_out_of_fold(data, architecture, 3, seed=1)
    fold = data.genes["fold"].to_numpy()
    known = (data.genes["split"] != "test").to_numpy()
    assert (np.isfinite(before) == known[:, None]).all()
    data.y[fold == 3] += np.random.default_rng(3).normal(20, 5, data.y[fold == 3].shape)
    after = predict_out_of_fold(data, architecture, 3, seed=1)
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
    train = (made.genes["split"] == "train").to_numpy()
    np.testing.assert_allclose(
        teacher.scaling.y_mean, [measured[train, 0].mean(), np.nanmean(measured[train, 1])], 1e-5
    )
    assert np.isfinite(teacher.predict(made.features.values)).all()


def test_heads_weigh_as_much_as_their_reliability(made, tmp_path):
    expression = planted.write_expression(made, made.truth, [0.9, 0.3], root=tmp_path)
    paths = (made.root / "features.zarr", expression, made.root / "genes.parquet")
    np.testing.assert_allclose(load_data(*paths, None).weight, [1.5, 0.5], rtol=1e-6)
    planted.write_expression(made, made.truth, [0.95, None], root=tmp_path)
    data = load_data(*paths, None)
    np.testing.assert_allclose(data.weight, [1.9, 0.1], rtol=1e-6)  # little, but not nothing
    assert data.ceilings == {"T cell": pytest.approx(0.95**0.5), "B / <memory>": None}


def test_the_loss_weighs_heads_and_leaves_out_missing_values():
    predicted = torch.tensor([[1.0, 2.0], [3.0, 5.0], [0.0, 7.0]])
    target = torch.tensor([[1.0, np.nan], [1.0, 2.0], [1.0, np.nan]])
    loss = weighted_error(predicted, target, torch.tensor([1.5, 0.5]))
    assert loss.item() == pytest.approx((1.5 * (0 + 4 + 1) / 3 + 0.5 * 9) / 2)
    share = gene_errors(predicted, target, torch.tensor([1.5, 0.5]))
    assert share.tolist() == pytest.approx([0, (1.5 * 4 / 3 + 0.5 * 9) / 2, 1.5 / 3 / 2])
    members = torch.stack([predicted, predicted + 1])
    each = [weighted_error(member, target, torch.tensor([1.5, 0.5])) for member in members]
    together = weighted_error(members, target, torch.tensor([1.5, 0.5]))
    assert together.item() == pytest.approx((each[0] + each[1]).item() / 2)
    nothing = torch.full((3, 2), np.nan)
    assert weighted_error(predicted, nothing, torch.ones(2)).item() == 0


def test_the_weights_of_the_best_epoch_are_kept():
    """On noise, every epoch after the first few is worse for validation genes."""
    torch.manual_seed(1)
    x, y, x_valid, y_valid = (torch.randn(60, *shape) for shape in ((5, 8), (1,), (5, 8), (1,)))
    architecture = Architecture("class", "dense", 32, 4, "relu", 0.0, 1e-3, 1e-4, 0.02, 2)
    network, trial = Teacher(architecture, 5, 8, 1), FixedTrial({})
    epoch, errors = train_network(network, (x, y), (x_valid, y_valid), torch.ones(1), 100, trial)
    with torch.inference_mode():
        kept = gene_errors(network(x_valid), y_valid, torch.ones(1)).numpy()
    np.testing.assert_allclose(kept, errors, rtol=1e-5)
    assert epoch >= 1 and trial.user_attrs["epochs"] == epoch + 12  # the patience


def small_network(members=2, rate=0.02):
    return Teacher(Architecture("class", "dense", 4, 2, "tanh", 0.2, 0, 0, rate, members), 5, 8, 1)


def test_averaged_weights_are_those_of_the_latest_steps():
    """Of weights that grow by one a step, the average lags behind by about a tenth of the steps."""
    torch.manual_seed(1)
    network, average = small_network(), small_network()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    for step in range(400):
        with torch.no_grad():
            for parameter, start in zip(network.parameters(), before, strict=True):
                parameter.copy_(start + step)
        average_in(average, network, step)
        if step == 0:
            for mean, start in zip(average.parameters(), before, strict=True):
                torch.testing.assert_close(mean, start)
    for mean, start in zip(average.parameters(), before, strict=True):
        assert ((mean - start - 399 * 10 / 11).abs() < 2).all()


def test_training_gives_averages_in_which_nothing_is_dropped():
    torch.manual_seed(1)
    x, y, network = torch.randn(300, 5, 8), torch.randn(300, 1), small_network()
    epochs = training_epochs(network, x, y, torch.ones(1))
    first = next(epochs)
    kept = first.head.weight.detach().clone()
    assert next(epochs) is first and not torch.equal(first.head.weight, kept)
    assert not first.training and first is not network
    assert not torch.equal(first.head.weight, network.head.weight)


def test_members_are_trained_each_by_itself():
    """Members share profiles and gates; with those held, one learns the same beside another."""
    torch.manual_seed(1)
    x, y = torch.randn(100, 5, 8), torch.randn(100, 1)
    networks = [small_network(members=2) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    with torch.no_grad():
        networks[1].head.weight[1] += 5
    for network in networks:
        network.dropout.p = 0.0
        network.own_profile.requires_grad_(False)
        network.gate.requires_grad_(False)
        torch.manual_seed(2)
        next(training_epochs(network, x, y, torch.ones(1)))
    one, other = (network.head.weight.detach() for network in networks)
    torch.testing.assert_close(one[0], other[0])
    assert not torch.isclose(one[1], other[1]).any()


def test_an_unreliable_cell_type_costs_the_others_little(made, tmp_path):
    """With wild values in a cell type of no reliability, the other's teacher still learns."""
    measured = made.truth.copy()
    measured[:, 1] = np.random.default_rng(8).normal(0, 1, len(measured))
    expression = planted.write_expression(made, measured, [0.9, 0.0], root=tmp_path)
    args = made.search_args(tmp_path / "out", "--trials", "1")
    args[args.index("--expression") + 1] = str(expression)
    assert main(args) == 0
    test = (made.genes["split"] == "test").to_numpy()
    teacher = matrix(tmp_path / "out", made, "teacher")[test, 0]
    assert np.corrcoef(teacher, made.truth[test, 0])[0, 1] > 0.95


# --- input that does not do -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--trials", "0"), "--trials and --max_epochs must be at least 1: '0, 150'"),
        (("--max_epochs", "-1"), "--trials and --max_epochs must be at least 1: '30, -1'"),
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
    assert not (tmp_path / "out").exists()


def test_a_run_that_fails_late_leaves_no_file_behind(made, tmp_path):
    """The place of the last file is taken by a folder: what is there before is whole."""
    out = tmp_path / "out"
    (out / "teacher.json").mkdir(parents=True)
    assert main(made.search_args(out, *SHORT)) == 1
    for path in out.iterdir():
        assert not path.name.startswith("."), "a temporary file was left behind"
    assert len(table(out)) == 800


def test_a_search_that_stops_out_of_fold_writes_nothing(made, tmp_path, monkeypatch):
    def stopped(*args):
        raise GeneqError("Stopped")

    monkeypatch.setattr("geneq.stages.search.predict_out_of_fold", stopped)
    assert main(made.search_args(tmp_path / "out", *SHORT)) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["features.zarr", "expression.parquet", "genes.parquet"])
def test_missing_inputs_are_named(made, tmp_path, capsys, name):
    args = made.search_args(tmp_path / "out", *SHORT)
    option = {"features.zarr": "--features", "genes.parquet": "--genes"}.get(name, "--expression")
    args[args.index(option) + 1] = str(tmp_path / ("" if option == "--expression" else name))
    assert main(args) == 1
    assert name in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

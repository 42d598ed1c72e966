"""Equations of specific expression: what makes cell types differ, besides equations of each."""

import shutil

import numpy as np
import pandas as pd
import pytest

import planted
import synthetic
from geneq import artifacts, load_equation
from geneq.cli import main
from geneq.evaluation import SPECIFIC_MODELS, metrics
from geneq.stages.search.data import load_data
from geneq.stages.search.training import Fit, Tables
from geneq.teacher import NO_FLOOR, Architecture, TrainedTeacher, shapes_of

FAST = ("--trials", "1", "--epochs", "30", "--threads", "1")
SP1, NRF1, YY1 = (planted.CLASSES.index(name) for name in ("SP1", "NRF1", "YY1"))


# What all types share is large; what they differ in is small.
TRUTHS = {
    "A": lambda p: 5 + 1.5 * p[:, SP1] + 0.4 * p[:, NRF1],
    "B": lambda p: 4 + 1.5 * p[:, SP1] + 0.4 * p[:, YY1],
    "C": lambda p: 3 + 1.5 * p[:, SP1],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three types with different genes missing, searched and distilled for both targets."""
    made = planted.world(tmp_path_factory.mktemp("specific"), TRUTHS, 500, noise=0.4, seed=4)
    rng = np.random.default_rng(4)
    measured = made.truth + rng.normal(0, 0.4, made.truth.shape)
    measured[7] = np.nan  # in no type
    measured[11, 1:] = np.nan  # in one type only
    measured[13, 2] = np.nan
    planted.write_expression(made, measured)
    search = made.root / "search"
    assert main(made.search_args(search, "--target", "specific", *FAST)) == 0
    args = made.distill_args(search, made.root / "distill", "--sr_generations", "5")
    assert main([*args, "--threads", "1"]) == 0
    return made


def equations(folder):
    paths = sorted((folder / "equations").iterdir())
    return {e.document["cell_type"]: e for e in map(load_equation, paths)}


def table(folder):
    return artifacts.PREDICTIONS.read(folder / "predictions.parquet")


def test_specific_equations_recover_what_types_differ_in(made):
    """Seed 4. What all types share, SP1, has nine times the variance."""
    found = equations(made.root / "distill" / "specific")
    truth = made.truth - made.truth.mean(1, keepdims=True)
    test = (made.genes["split"] == "test").to_numpy()
    for j, (name, equation) in enumerate(found.items()):
        assert equation.selected
        predicted = equation.predict(made.features)[test]
        assert np.corrcoef(predicted, truth[test, j])[0, 1] > 0.9, name
        assert "minus the gene's mean" in equation.document["y"]["transform"]
        assert "z_NRF1" in equation.document["infix"] or "z_YY1" in equation.document["infix"]


def test_absolute_equations_are_there_as_without(made):
    found = equations(made.root / "distill")
    test = (made.genes["split"] == "test").to_numpy()
    for j, equation in enumerate(found.values()):
        predicted = equation.predict(made.features)[test]
        assert np.corrcoef(predicted, made.truth[test, j])[0, 1] > 0.95
        assert equation.document["y"]["transform"] == "log2(CPM + 1)"


def test_specific_expression_is_that_minus_the_mean_over_measured_types(made):
    absolute, specific = table(made.root / "search"), table(made.root / "search" / "specific")
    wide = absolute.pivot(index="gene_id", columns="cell_type", values="measured")
    expected = wide.sub(wide.mean(axis=1), axis=0)[wide.notna().sum(axis=1) > 1]
    found = specific.pivot(index="gene_id", columns="cell_type", values="measured")
    pd.testing.assert_frame_equal(found, expected)
    assert "g0011" in wide.index and "g0011" not in found.index  # measured in one type
    assert np.isnan(found.loc["g0013", "C"])
    assert "g0007" not in wide.index


def test_documents_reproduce_the_predictions(made):
    predictions = table(made.root / "distill" / "specific")
    for name, equation in equations(made.root / "distill" / "specific").items():
        rows = predictions[predictions["cell_type"] == name]
        again = equation.predict(made.features.of_genes(rows["gene_id"]))
        np.testing.assert_allclose(rows["equation"], again, atol=1e-6)


def test_metrics_are_of_a_kind_of_their_own(made):
    found = artifacts.METRICS.read(made.root / "distill" / "specific" / "metrics.parquet")
    assert set(found["kind"]) == {SPECIFIC_MODELS}
    r = found.query("against == 'expression'").pivot(index="cell_type", columns="model", values="r")
    assert (r["equation"] > 0.25).all()
    ceilings = TrainedTeacher.load(made.root / "search").about["specific_ceilings"]
    at = found.query("model == 'teacher'").set_index("cell_type")["ceiling"].to_dict()
    assert at == pytest.approx(ceilings)
    # The same figures as those of the differences of absolute predictions would have.
    absolute = metrics(table(made.root / "distill"), {}, "test")
    assert set(absolute["kind"]) == {"absolute", "specific"}


def test_the_loss_weighs_heads_of_both(made):
    paths = (made.root / "features.zarr", made.root, made.root / "genes.parquet", None)
    data = load_data(*paths, "specific")
    assert data.y.shape == (499, 6)
    np.testing.assert_allclose(data.weight.mean(), 1, rtol=1e-6)
    # Noise is a larger part of the differences than of expression.
    assert (data.weight[3:] < data.weight[:3]).all() and (data.weight > 0.05).all()


def test_one_cell_type_has_no_specific_expression(tmp_path, capsys):
    made = planted.world(tmp_path, {"A": lambda p: p[:, 0]}, 60)
    assert main(made.search_args(tmp_path / "s", "--target", "specific", *FAST)) != 0
    said = capsys.readouterr().err
    assert "--target specific needs at least two cell types" in said
    assert "--target absolute" in said
    assert not (tmp_path / "s" / "teacher.json").exists()


def test_a_cell_type_without_specific_expression_is_named(tmp_path, capsys):
    """Type C has genes of its own; 12 others are in it, too."""
    made = planted.world(tmp_path, TRUTHS, 100)
    measured = made.truth.copy()
    measured[:60, 2], measured[72:, :2] = np.nan, np.nan
    planted.write_expression(made, measured)
    assert main(made.search_args(tmp_path / "s", "--target", "specific", *FAST)) == 1
    said = capsys.readouterr().err
    assert "at least 20 training and validation genes" in said and "'C: 9'" in said
    assert not (tmp_path / "s").exists()


def test_predictions_without_a_cell_type_are_refused(made, tmp_path, capsys):
    shutil.copytree(made.root / "search", tmp_path / "s")
    rows = table(tmp_path / "s" / "specific").query("cell_type != 'B'")
    artifacts.PREDICTIONS.write(rows, tmp_path / "s" / "specific" / "predictions.parquet")
    args = made.distill_args(tmp_path / "s", tmp_path / "d", "--sr_generations", "1")
    assert main([*args, "--threads", "1", "--baselines", "ridge"]) == 1
    assert "No gene has specific expression in a cell type: 'B'" in capsys.readouterr().err


def test_absolute_runs_into_the_same_folders_leave_nothing_specific(made, tmp_path):
    search, distill = tmp_path / "search", tmp_path / "distill"
    for folder in (search, distill):
        shutil.copytree(made.root / folder.name, folder)
    assert main(made.search_args(search, "--trials", "1", "--epochs", "2", "--threads", "1")) == 0
    assert not (search / "specific").exists()
    short = ("--sr_generations", "1", "--threads", "1", "--baselines", "ridge")
    assert main(made.distill_args(search, distill, *short)) == 0
    assert not (distill / "specific").exists() and (distill / "settings.json").exists()


def test_specific_heads_have_no_floor(made, monkeypatch):
    """Expression is at least 0; differences are not, whatever the link."""
    paths = (made.root / "features.zarr", made.root, made.root / "genes.parquet", None)
    data = load_data(*paths, "specific")
    tables = Tables(
        data.columns, data.y, data.weight, shapes_of(data.features), data.targets["absolute"]
    )
    rows = np.arange(len(data.y))
    fit = tables.fit(Fit(Architecture(link="softplus", members=2), 1, 3, rows, rows))
    assert (fit.network.floor[3:] == NO_FLOOR).all() and (fit.network.floor[:3] > NO_FLOOR).all()
    assert (fit.predicted[:, 3:] < 0).any() and (fit.predicted[:, :3] >= 0).all()


def with_specific(made):
    """Outputs as of a search for specific expression, which is half of expression here."""
    specific = made.root / "distill" / "specific"
    shutil.copytree(made.root / "distill", specific)
    predictions = table(specific)
    models = predictions.columns[predictions.columns.get_loc("measured") :]
    predictions[models] /= 2
    artifacts.PREDICTIONS.write(predictions, specific / "predictions.parquet")
    return made


def test_a_report_of_folders_that_do_not_go_together_is_refused(tmp_path, capsys):
    made = synthetic.outputs(tmp_path)
    teacher = artifacts.read_json(tmp_path / "search" / "teacher.json")
    teacher["about"]["specific_ceilings"] = dict.fromkeys(synthetic.ODD_NAMES, 0.6)
    artifacts.write_json(teacher, tmp_path / "search" / "teacher.json")
    (tmp_path / "distill" / "specific").mkdir()  # as of a distill that was killed
    assert main(made.args(tmp_path / "out")) == 1
    said = capsys.readouterr().err
    assert "the folder of distill has no equations of it" in said
    assert str(tmp_path / "distill") in said and not (tmp_path / "out").exists()


def test_the_report_shows_both_equations_and_three_kinds_of_r(tmp_path):
    made = with_specific(synthetic.outputs(tmp_path))
    cv = [
        with_specific(synthetic.outputs(tmp_path / f"cv{k}", test_fold=k, distill_only=True))
        for k in range(5)
    ]
    ceilings = dict.fromkeys(synthetic.ODD_NAMES, 0.6)
    teacher = artifacts.read_json(tmp_path / "search" / "teacher.json")
    teacher["about"]["specific_ceilings"] = ceilings
    artifacts.write_json(teacher, tmp_path / "search" / "teacher.json")
    folders = [str(each.root / "distill") for each in cv]
    assert main(made.args(tmp_path / "out", "--cv_distill", *folders)) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    selected = len(synthetic.ODD_NAMES) - 1
    assert page.count("Equation of specific expression, complexity") == selected
    assert page.count("No equation of specific expression was selected") == 1
    assert "Specific, by models fitted to it" in page and "<script>alert" not in page
    assert "specific_models" not in page
    found = artifacts.METRICS.read(tmp_path / "out" / "metrics.parquet")
    counts = found.groupby(["kind", "split"]).size().unstack()
    assert set(counts.index) == {"absolute", "specific", "specific_models"}
    assert (counts.loc["specific_models"] == counts.loc["absolute"]).all()
    assert set(found.query("kind == 'specific_models'")["ceiling"].dropna()) == {0.6}

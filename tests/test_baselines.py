"""Baselines on demand: EBM, GAM, and SHAP values of the trees; terms and seconds of all models."""

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

import planted
import synthetic
from geneq import artifacts
from geneq.cli import main
from geneq.distill.cell_type import CellType, Settings, Source
from geneq.errors import GeneqError
from geneq.evaluation import MODELS, metrics
from geneq.model_sizes import over_folds, sizes_of, with_sizes
from geneq.plots.classes import class_effects
from geneq.stages.distill import peers
from geneq.stages.distill.additive import additive_splines, explainable_boosting
from geneq.stages.distill.baselines import degree_two_lasso, elastic_net

ALL = "elastic_net,lasso2,ridge,trees,ebm,gam,shap"


def noisy(f, seed=4, n=800):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    return x, f(x), f(x) + 0.3 * rng.normal(size=n), np.arange(n) % 5


def fresh(f):
    """Other genes of the same truth."""
    x, truth, _, _ = noisy(f, seed=5)
    return x, truth


def bent(x):
    return 3 + np.abs(x[:, 0]) - 0.5 * np.tanh(3 * x[:, 4])


def product(x):
    return 3 + x[:, 0] * x[:, 4]


def r(model, f):
    x, truth = fresh(f)
    return np.corrcoef(model.predict(x), truth)[0, 1]


# --- the models -----------------------------------------------------------------------------------


def test_sums_of_curves_find_bent_terms():
    x, _, y, fold = noisy(bent)
    assert r(additive_splines(x, y, fold), bent) > 0.98
    assert r(explainable_boosting(x, y, 1), bent) > 0.95
    assert r(elastic_net(x, y, fold, 1), bent) < 0.7


def test_pairs_find_a_product_and_curves_do_not():
    x, _, y, fold = noisy(product)
    assert r(explainable_boosting(x, y, 1), product) > 0.8
    assert np.std(additive_splines(x, y, fold).predict(x)) < 0.3 * np.std(product(x))


def test_splines_of_a_straight_line_are_straight():
    x, _, y, fold = noisy(lambda x: x[:, 1])
    line = np.linspace(-2, 2, 9)[:, None] * np.eye(6)[1]
    found = additive_splines(x, y, fold).predict(line)
    np.testing.assert_allclose(np.diff(found), 0.5, atol=0.05)


def test_an_ebm_of_one_column_has_no_pairs():
    x, _, y, _ = noisy(lambda x: x[:, 0])
    model = explainable_boosting(x[:, :1], y, 1)
    assert model.terms == 1
    assert np.corrcoef(model.predict(x[:, :1]), x[:, 0])[0, 1] > 0.97


# --- geneq distill --baselines --------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set whose teacher is known exactly, distilled with all baselines."""
    made = planted.exact_search(tmp_path_factory.mktemp("exact"), n=300, noise=0.3, seed=2)
    assert main(args(made, made.root / "out", "--baselines", ALL, "--threads", "1")) == 0
    return made


def args(made, out, *more):
    return made.distill_args(made.root / "search", out, "--sr_generations", "3", *more)


def table(folder, name):
    return artifacts.METRICS.read(folder / f"{name}.parquet")


def test_predictions_and_metrics_have_all_that_were_asked_for(made):
    rows = artifacts.PREDICTIONS.read(made.root / "out" / "predictions.parquet")
    models = [model for model in MODELS if model != "shared"]
    assert np.isfinite(rows[models]).all(axis=None) and "shared" not in rows
    found = table(made.root / "out", "metrics").query("against == 'expression'")
    assert set(found["model"]) == set(models) and set(found["kind"]) == {"absolute", "specific"}
    of_b = found.query("cell_type == 'B' and kind == 'absolute'").set_index("model")
    assert (of_b.loc[["ebm", "gam"], "r"] > 0.6).all()
    assert ((of_b["low"] < of_b["r"]) & (of_b["r"] < of_b["high"])).all()


def test_terms_are_counted(made):
    found = sizes_of(table(made.root / "out", "metrics")).set_index(["cell_type", "model"])["terms"]
    columns = made.features.matrix().shape[1]
    assert found["silent", "equation"] == found["silent", "gam"] == found["silent", "lasso2"] == 0
    assert found["T cell", "equation"] == 3  # a product is one
    assert 2 <= found["B", "gam"] <= 12
    assert found["B", "ebm"] <= columns + 10
    assert 0 < found["B", "elastic_net"] <= columns
    assert found["B", "trees"] > 15
    assert np.isnan(found["B", "teacher"])


def test_a_cell_type_without_variables_has_its_mean_of_a_gam(made):
    rows = artifacts.PREDICTIONS.read(made.root / "out" / "predictions.parquet")
    rows = rows.query("cell_type == 'silent'")
    known = rows.loc[rows["split"] != "test", "measured"]
    np.testing.assert_allclose(rows["gam"], known.mean())
    assert rows["ebm"].nunique() > 1  # it reads the features themselves


def test_shap_values_find_the_planted_classes(made):
    found = artifacts.SHAP.read(made.root / "out" / "shap.parquet")
    assert (found["shap"] >= 0).all() and set(found["block"]) == {0}
    for cell_type, classes in (("T cell", {"SP1", "<x>"}), ("B", planted.PLANTED["B"])):
        of_type = found[found["cell_type"] == cell_type].sort_values("shap", ascending=False)
        assert len(of_type) == len(planted.CLASSES)
        assert set(of_type["class"].iloc[:2]) == classes


def test_the_order_of_names_does_not_matter():
    names = ALL.split(",")
    assert peers.chosen(",".join(reversed(names))) == peers.chosen(ALL) == tuple(names)


def test_the_number_of_threads_does_not_matter(made, tmp_path):
    options = ("--baselines", "ebm,gam", "--threads", "2")
    assert main(args(made, tmp_path, *options)) == 0
    first, second = (
        artifacts.PREDICTIONS.read(folder / "predictions.parquet")[["ebm", "gam"]]
        for folder in (made.root / "out", tmp_path)
    )
    assert (first == second).all(axis=None)


def test_the_default_has_neither_of_them_and_the_same_figures(made, tmp_path):
    assert main(args(made, tmp_path, "--threads", "1")) == 0
    assert not (tmp_path / "shap.parquet").exists()
    rows, more = (
        artifacts.PREDICTIONS.read(folder / "predictions.parquet")
        for folder in (tmp_path, made.root / "out")
    )
    assert set(more) - set(rows) == {"ebm", "gam"}
    pd.testing.assert_frame_equal(rows, more[list(rows)])
    assert "seconds" not in table(tmp_path, "metrics")


def test_seconds_are_recorded_where_they_are_asked_for(made, tmp_path):
    options = ("--baselines", "ridge", "--fit_seconds", "--threads", "1")
    assert main(args(made, tmp_path, *options)) == 0
    found = sizes_of(table(tmp_path, "metrics"))
    assert set(found["model"]) == {"equation", "faithful", "teacher", "ridge"}
    assert (found.loc[found["model"] != "teacher", "seconds"] > 0).all()


@pytest.mark.parametrize(
    ("names", "message"),
    [("ebm,forest", "must be different names with commas between them: 'forest'"),
     ("gam,ebm,gam", "must be different names with commas between them: 'gam'"),
     ("", "must be different names with commas between them: ''"),
     ("ebm, gam", "must be different names with commas between them: ' gam'"),
     ("ridge,shap", "SHAP values are those of the boosted trees: 'ridge,shap'. Add trees")],
)  # fmt: skip
def test_bad_names_are_refused_before_anything_runs(made, tmp_path, capsys, names, message):
    assert main(args(made, tmp_path / "out", "--baselines", names)) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(peers.NEEDED, "gam", ("no_such_package", "baselines"))
    with pytest.raises(GeneqError, match=r"gam needs the Python package no_such_package\. Install"):
        peers.chosen("ridge,gam")
    assert peers.chosen("shap,trees,ridge") == ("ridge", "trees", "shap")


def test_constant_expression_is_predicted_constant(made):
    source = Source.read(made.root / "search", made.root / "features.zarr")
    cell = CellType.of(source, source.rows("B").assign(measured=2.5), Settings())
    with threadpool_limits(1):
        found = peers.fit(cell, peers.chosen(ALL), 1)
    for values in found.values.values():
        np.testing.assert_allclose(values, 2.5)
    terms = found.sizes.set_index("model")["terms"]
    assert (terms[["ebm", "gam", "elastic_net", "lasso2"]] == 0).all()
    assert (found.shap["shap"] < 1e-9).all()


# --- in the report --------------------------------------------------------------------------------


def test_means_over_runs_have_the_least_and_the_most():
    one = pd.DataFrame({"cell_type": "B", "model": ["gam", "ebm"], "terms": [2.0, 10.0]})
    runs = [one, one.assign(terms=one["terms"] + 3), one.assign(seconds=1.0)]
    found = over_folds(runs).set_index("model")
    assert list(found) == ["cell_type", "terms", "terms_low", "terms_high"]
    assert found.loc["ebm"].tolist() == ["B", 11, 10, 13]
    bare = over_folds([one[["cell_type", "model"]]] * 2)
    assert len(bare) == 2 and list(bare) == ["cell_type", "model"]


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """The report of two runs of a cross-validation, with EBM, GAM, seconds and SHAP values."""
    root = tmp_path_factory.mktemp("reported")
    made = synthetic.outputs(root, cell_types=("B", "T", "silent"))
    folds = [
        synthetic.outputs(
            root / f"cv{k}", cell_types=("B", "T", "silent"), test_fold=k, distill_only=True
        ).root
        for k in range(2)
    ]
    for seconds, folder in enumerate([made.root, *folds]):
        add_baselines(folder / "distill", float(seconds))
    shap = pd.DataFrame(
        [(name, 0, c, 0.01 * i) for name in ("B", "T", "silent")
         for i, c in enumerate(synthetic.CLASSES)],
        columns=list(artifacts.SHAP.columns),
    )  # fmt: skip
    artifacts.SHAP.write(shap, made.root / "distill" / "shap.parquet")
    cv = ["--cv_distill", *(str(folder / "distill") for folder in folds)]
    assert main(made.args(root / "out", *cv)) == 0
    return root / "out"


def add_baselines(distill, seconds):
    rng = np.random.default_rng(8)
    path = distill / "predictions.parquet"
    rows = artifacts.PREDICTIONS.read(path)
    rows["ebm"] = rows["equation"] + rng.normal(0, 3, len(rows))
    rows["gam"] = rows["equation"] + rng.normal(0, 0.01, len(rows))
    artifacts.PREDICTIONS.write(rows, path)
    found = metrics(rows, {}, "test")
    sizes = found[["cell_type", "model"]].drop_duplicates()
    sizes = sizes.assign(terms=10 + seconds, seconds=seconds)
    artifacts.METRICS.write(with_sizes(found, sizes), distill / "metrics.parquet")


def test_the_report_has_terms_and_seconds_with_their_range_over_runs(reported):
    found = artifacts.METRICS.read(reported / "metrics.parquet")
    one = found.query("cell_type == 'B' and model == 'ebm' and kind == 'specific'")
    cv, test = (one[one["split"] == split].iloc[0] for split in ("cv", "test"))
    assert (cv["terms"], cv["terms_low"], cv["terms_high"]) == (11.5, 11, 12)
    assert (cv["seconds"], cv["seconds_low"], cv["seconds_high"]) == (1.5, 1, 2)
    assert test["terms"] == 10 and np.isnan(test["terms_low"])


def test_the_report_has_one_table_of_all_models(reported):
    source = (reported / "report.html").read_text()
    part = source[source.index(">All models<") : source.index('id="equations"')]
    rows = [row for row in part.split("<tr>") if 'scope="row"' in row]
    names = ("equation", "faithful equation", "teacher", "elastic net", "degree-2 lasso", "ridge",
             "boosted trees", "EBM", "GAM")  # fmt: skip
    assert [any(f">{name}<" in row for row in rows) for name in names] == [True] * len(rows)
    assert all("<small>11 to 12</small>" in row for row in rows)  # terms
    assert all("<small>1.0 to 2.0</small>" in row for row in rows)  # seconds
    assert ">+0." in rows[7] and "seconds to fit" in part  # the equation is better than that EBM


def test_the_report_has_shap_values_beside_the_equations(reported):
    source = (reported / "report.html").read_text()
    part = source[source.index("Beside the boosted trees") :]
    last = synthetic.CLASSES[-1]
    assert part.count(f"{last} 0.11") + part.count(f"<b>{last}</b> 0.11") == 3
    documents = artifacts.read_json(reported / "equations.json")
    used = class_effects(documents[0])
    for name in synthetic.CLASSES[-5:]:
        row = next(row for row in part.split("<tr>") if ">B<" in row)
        assert (f"<b>{name}</b>" in row) == (name in used)


def test_without_them_the_report_is_as_before(tmp_path):
    made = synthetic.outputs(tmp_path, cell_types=("B", "silent"))
    assert main(made.args(tmp_path / "out")) == 0
    source = (tmp_path / "out" / "report.html").read_text()
    assert "Beside the boosted trees" not in source and "seconds to fit" not in source
    assert ">EBM<" not in source


@pytest.mark.parametrize("model", [degree_two_lasso, elastic_net])
def test_linear_models_need_a_product_to_be_a_column(model):
    x, _, y, fold = noisy(product)
    assert (r(model(x, y, fold, 1), product) > 0.9) == (model is degree_two_lasso)

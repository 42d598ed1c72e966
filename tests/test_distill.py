"""Distil: planted equations come back, silence stays silent, and the choice follows its rule."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

import planted
from geneq import artifacts, load_equation
from geneq.cli import main
from geneq.distill.engines import Operon, PySR, choose_engine
from geneq.distill.selection import Sample, choose
from geneq.distill.simplify import simplifications
from geneq.distill.sums import sums
from geneq.distill.variables import (
    PENALTY,
    closest,
    important,
    variable_names,
    with_few_classes,
)
from geneq.equations import Form, parse, to_sympy, used_variables
from geneq.errors import GeneqError
from geneq.features import SCORES, Block, Column, Features
from geneq.stages import distill
from geneq.stages.distill.baselines import degree_two_lasso, elastic_net
from geneq.stages.search import exploring, training
from geneq.stages.search.space import PORTFOLIO
from geneq.teacher import TrainedTeacher
from twins import equations as twin

SHORT = ("--sr_generations", "3")


def expressions(*texts):
    return [to_sympy(parse(text)) for text in texts]


def predictions(folder):
    return artifacts.PREDICTIONS.read(folder / "predictions.parquet")


def equations(folder):
    return {
        equation.document["cell_type"]: equation
        for equation in map(load_equation, sorted((folder / "equations").iterdir()))
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set whose teacher is known exactly."""
    return planted.exact_search(tmp_path_factory.mktemp("exact"), n=400, seed=2)


@pytest.fixture(scope="module")
def out(made):
    out = made.root / "out"
    args = ("--sr_generations", "15", "--sr_engine", "operon")
    assert main(made.distill_args(made.root / "search", out, *args)) == 0
    return out


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The same with fewer genes, and a short run to compare others with."""
    made = planted.exact_search(tmp_path_factory.mktemp("small"), n=150, seed=3)
    args = made.distill_args(made.root / "search", made.root / "out", *SHORT, "--threads", "1")
    assert main(args) == 0
    return made


# --- what comes out -------------------------------------------------------------------------------


@pytest.mark.parametrize("cell_type", ["T cell", "B"])
def test_a_planted_equation_comes_back_with_its_classes(made, out, cell_type):
    equation = equations(out)[cell_type]
    assert equation.selected
    test = (made.genes["split"] == "test").to_numpy()
    predicted = equation.predict(made.features)[test]
    truth = made.truth[test, made.cell_types.index(cell_type)]
    assert np.corrcoef(predicted, truth)[0, 1] >= 0.98
    found = {variable["class"] for variable in used_variables(equation.document)}
    assert found == planted.PLANTED[cell_type]
    assert equation.document["fit"]["oof_r2"] > 0.4


def test_the_silent_type_is_a_constant(made, out):
    equation = equations(out)["silent"]
    document = equation.document
    assert not equation.selected
    assert (document["expression"], document["variables"], document["complexity"]) == ("c0", [], 1)
    rows = predictions(out).query("cell_type == 'silent'")
    known = rows.loc[rows["split"] != "test", "measured"]
    assert document["constants"]["c0"] == pytest.approx(known.mean())
    for model in ("equation", "lasso2"):
        assert rows[model].nunique() == 1
    assert "nothing predicts better" in document["fit"]["reason"]


def test_documents_hold_all_that_they_promise(made, out):
    paths = sorted((out / "equations").iterdir())
    assert [path.name for path in paths] == ["0.json", "1.json", "2.json"]
    for path, cell_type in zip(paths, made.cell_types, strict=True):
        document = json.loads(path.read_text())
        assert set(document) == {
            "format", "version", "dataset", "cell_type", "selected", "genome", "blocks",
            "scale", "variables", "expression", "constants", "y", "infix", "latex", "complexity",
            "fit",
        }  # fmt: skip
        assert (document["format"], document["version"]) == ("geneq-equation", 3)
        assert (document["dataset"], document["cell_type"]) == ("planted", cell_type)
        oracle = {"name": "motifs:core", "classes": planted.CLASSES, **planted.ORACLE}
        assert document["blocks"] == [oracle] and document["scale"] == "raw"
        assert document["y"] == {"transform": "log2(CPM + 1)"}
        assert isinstance(document["infix"], str) and isinstance(document["latex"], str)
        assert all(np.isfinite(c) for c in document["constants"].values())
        fit = document["fit"]
        assert fit["engine"] == "operon" and fit["reason"]
        assert all(np.isfinite(fit[k]) for k in ("gain_z", "teacher_z", "oof_mse", "oof_r2"))
        assert [v["name"] for v in used_variables(document)] == [
            v["name"] for v in document["variables"]
        ]


def test_variables_are_weighted_sums_of_raw_features(made, out):
    train = (made.genes["split"] == "train").to_numpy()
    for equation in equations(out).values():
        for variable in equation.document["variables"]:
            (block,), c = made.features.blocks, planted.CLASSES.index(variable["class"])
            value = np.full(len(block.values), variable["offset"])
            for weight in variable["weights"]:
                assert (weight["block"], weight["class"]) == (0, variable["class"])
                value += weight["weight"] * block.values[:, weight["bin"], c].astype(float)
            assert value[train].mean() == pytest.approx(0, abs=1e-4)
            assert value[train].std() == pytest.approx(1, abs=1e-4)
            low, high = variable["range"]
            np.testing.assert_allclose([value[train].min(), value[train].max()], [low, high], 1e-4)


def reproduces(made, out):
    """Whether the equations, loaded, give the predictions that were written."""
    features, rows = Features.read(made.root / "features.zarr"), predictions(out)
    for cell_type, equation in equations(out).items():
        mine = rows[rows["cell_type"] == cell_type]
        found = equation.predict(features.of_genes(mine["gene_id"]))
        np.testing.assert_allclose(found, mine["equation"], rtol=0, atol=1e-6)
    return True


def test_a_loaded_equation_reproduces_the_predictions(made, out):
    assert reproduces(made, out)


def test_numbers_of_the_infix_are_the_constants(out):
    for equation in equations(out).values():
        if equation.selected:
            read = Form.of(to_sympy(parse(str(equation))))
            constants = sorted(equation.document["constants"].values())
            np.testing.assert_allclose(sorted(read.start), constants, rtol=6e-3)


def test_the_front_is_recorded_with_its_errors(out):
    table = artifacts.EQUATIONS.read(out / "equations.parquet")
    for cell_type, front in table.groupby("cell_type"):
        document = equations(out)[cell_type].document
        assert list(front["member"]) == list(range(len(front)))
        assert front["complexity"].iloc[0] == 1 and front["complexity"].max() <= 40
        assert front["fidelity"].iloc[1:].is_monotonic_increasing
        np.testing.assert_allclose(front["oof_delta"], front["oof_mse"] - front["oof_mse"].min())
        chosen = front[front["chosen"]]
        assert len(chosen) == 1
        assert chosen["complexity"].item() == document["complexity"]
        assert chosen["oof_mse"].item() == pytest.approx(document["fit"]["oof_mse"])
        first = front[front["oof_delta"] <= front["oof_delta_se"]].iloc[0]
        assert chosen["member"].item() == (first["member"] if document["selected"] else 0)


def test_a_more_faithful_equation_is_reported_beside_it(made, out):
    table = artifacts.EQUATIONS.read(out / "equations.parquet")
    rows = predictions(out)
    for place, cell_type in enumerate(made.cell_types):
        faithful = load_equation(out / "faithful" / f"{place}.json")
        front = table[table["cell_type"] == cell_type]
        member = front[front["faithful"]]
        assert faithful.document["complexity"] == member["complexity"].item()
        if faithful.selected:
            assert member["oof_mse"].item() == front["oof_mse"].min()
            assert member["member"].item() >= front.loc[front["chosen"], "member"].item()
        mine = rows[rows["cell_type"] == cell_type]
        found = faithful.predict(made.features.of_genes(mine["gene_id"]))
        np.testing.assert_allclose(found, mine["faithful"], rtol=0, atol=1e-6)


def test_directions_of_variables_are_those_of_the_planted_equation(out):
    variables = equations(out)["B"].document["variables"]
    assert {v["class"]: v["direction"] for v in variables} == {"YY1": -1, "<x>": 1}


def test_complexity_is_that_of_the_printed_equation(out):
    table = artifacts.EQUATIONS.read(out / "equations.parquet")
    for row in table.itertuples():
        assert Form.of(to_sympy(parse(row.infix))).complexity == row.complexity, row.infix


def test_metrics_are_those_of_the_test_genes(made, out):
    metrics = artifacts.METRICS.read(out / "metrics.parquet")
    rows = predictions(out).query("split == 'test' and cell_type == 'B'")
    row = metrics.query("cell_type == 'B' and kind == 'absolute' and against == 'expression'")
    for model in ("equation", "teacher", "elastic_net", "lasso2"):
        r = np.corrcoef(rows[model], rows["measured"])[0, 1]
        assert row.loc[row["model"] == model, "r"].item() == pytest.approx(r)
    assert (row["ceiling"] == 0.9).all() and (row["n"] == 80).all()


def test_the_equation_beats_linear_models_on_a_product(made, out):
    rows = predictions(out).query("split == 'test' and cell_type == 'T cell'")
    r = {
        m: np.corrcoef(rows[m], rows["measured"])[0, 1]
        for m in ("equation", "elastic_net", "lasso2")
    }
    assert r["equation"] > r["elastic_net"] + 0.05
    assert r["equation"] > r["lasso2"] - 0.01 > r["elastic_net"]


# --- blocks, normal scores and programmes ---------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A teacher over normal scores of an oracle and a table, and over a programme."""
    root = tmp_path_factory.mktemp("mixed")
    return planted.exact_search(root, 300, 0.4, 5, planted.mixed_teacher, table=True)


@pytest.fixture(scope="module")
def mixed_out(mixed):
    out = mixed.root / "out"
    args = ("--sr_generations", "8", "--sr_engine", "operon")
    assert main(mixed.distill_args(mixed.root / "search", out, *args)) == 0
    return out


def test_an_equation_of_normal_scores_and_two_blocks_reproduces_the_predictions(mixed, mixed_out):
    assert [equation.selected for equation in equations(mixed_out).values()] == [True, True, False]
    assert reproduces(mixed, mixed_out)


@pytest.mark.parametrize("cell_type", ["T cell", "B"])
def test_a_planted_equation_of_normal_scores_comes_back(mixed, mixed_out, cell_type):
    test = (mixed.genes["split"] == "test").to_numpy()
    predicted = equations(mixed_out)[cell_type].predict(mixed.features)[test]
    truth = mixed.truth[test, mixed.cell_types.index(cell_type)]
    assert np.corrcoef(predicted, truth)[0, 1] >= 0.98


def test_variables_are_of_a_class_of_a_block_or_of_all(mixed, mixed_out):
    found = {
        cell_type: {variable["name"]: variable for variable in equation.document["variables"]}
        for cell_type, equation in equations(mixed_out).items()
    }
    assert set(found["T cell"]) == {"z_YY1", "z_half_life"} and found["silent"] == {}
    assert set(found["B"]) == {"z_programme"}
    motif, length = found["T cell"]["z_YY1"], found["T cell"]["z_half_life"]
    assert (motif["class"], length["class"]) == ("YY1", "half-life")
    assert [(w["block"], w["bin"], w["class"]) for w in motif["weights"]] == [
        (0, b, "YY1") for b in range(5)
    ]
    assert [(w["block"], w["bin"], w["class"]) for w in length["weights"]] == [(1, 0, "half-life")]
    programme = found["B"]["z_programme"]
    assert programme["class"] is None
    weights = {(w["block"], w["bin"], w["class"]): w["weight"] for w in programme["weights"]}
    read = [(0, b, name) for b in range(5) for name in ("SP1", "GC")] + [(1, 0, "half-life")]
    assert weights.keys() == set(read), "columns of weight 0 are not read"
    assert all(weights[0, b, "SP1"] > 0 > weights[0, b, "GC"] for b in range(5))


def test_documents_of_normal_scores_have_the_quantiles_of_what_they_read(mixed, mixed_out):
    oracle, table = mixed.features.blocks
    for equation in equations(mixed_out).values():
        document = equation.document
        assert document["scale"] == "normal"
        assert document["blocks"][0] == {
            "name": "motifs:core", "classes": planted.CLASSES, **planted.ORACLE
        }  # fmt: skip
        train = (mixed.genes["split"] == "train").to_numpy()
        medians = np.median(table.values[train, 0], axis=0).tolist()
        assert document["blocks"][1] == {
            "name": "table:stability.tsv", "hash": planted.TABLE["hash"],
            "classes": planted.COLUMNS,
            "medians": dict(zip(planted.COLUMNS, medians, strict=True)),
        }  # fmt: skip
        weights = [w for variable in document["variables"] for w in variable["weights"]]
        described = [(q["block"], q["bin"], q["class"]) for q in document["quantiles"]]
        assert described == list(dict.fromkeys((w["block"], w["bin"], w["class"]) for w in weights))
        for entry in document["quantiles"]:
            block = (oracle, table)[entry["block"]]
            place = entry["bin"], block.classes.index(entry["class"])
            np.testing.assert_array_equal(entry["values"], block.quantiles[place])


def test_variables_are_weighted_sums_of_normal_scores(mixed, mixed_out):
    train = (mixed.genes["split"] == "train").to_numpy()
    blocks = mixed.features.blocks
    for equation in equations(mixed_out).values():
        found = equation.variables(mixed.features)
        for variable in equation.document["variables"]:
            value = np.full(300, variable["offset"])
            for weight in variable["weights"]:
                block = blocks[weight["block"]]
                place = weight["bin"], block.classes.index(weight["class"])
                column = block.values[:, place[0], place[1]]
                value += weight["weight"] * np.interp(column, block.quantiles[place], SCORES)
            np.testing.assert_allclose(found[variable["name"]], value, atol=1e-5)
            assert value[train].mean() == pytest.approx(0, abs=1e-4)
            assert value[train].std() == pytest.approx(1, abs=1e-4)
            low, high = variable["range"]
            np.testing.assert_allclose([value[train].min(), value[train].max()], [low, high], 1e-3)


# --- what may not matter --------------------------------------------------------------------------


def documents(folder):
    return [path.read_bytes() for path in sorted((folder / "equations").iterdir())]


def test_the_same_seed_gives_the_same_equations_on_any_number_of_threads(small, tmp_path):
    args = small.distill_args(small.root / "search", tmp_path, *SHORT, "--threads", "2")
    assert main(args) == 0
    assert documents(tmp_path) == documents(small.root / "out")
    for name in ("equations.parquet", "predictions.parquet", "metrics.parquet"):
        assert (tmp_path / name).read_bytes() == (small.root / "out" / name).read_bytes()


def test_the_test_genes_expression_is_never_seen(small, tmp_path):
    search = shutil.copytree(small.root / "search", tmp_path / "search")
    rows = predictions(search)
    test = rows["split"] == "test"
    rows.loc[test, "measured"] = np.random.default_rng(4).normal(50, 30, test.sum())
    artifacts.PREDICTIONS.write(rows, search / "predictions.parquet")
    assert main(small.distill_args(search, tmp_path / "out", *SHORT, "--threads", "1")) == 0
    assert documents(tmp_path / "out") == documents(small.root / "out")
    fronts = [p / "equations.parquet" for p in (tmp_path / "out", small.root / "out")]
    assert fronts[0].read_bytes() == fronts[1].read_bytes()
    before, after = predictions(small.root / "out"), predictions(tmp_path / "out")
    models = ["equation", "elastic_net", "lasso2"]
    pd.testing.assert_frame_equal(before[models], after[models])


def test_a_known_genes_expression_is_seen(small, tmp_path):
    """The counterpart: what the test above would find."""
    search = shutil.copytree(small.root / "search", tmp_path / "search")
    rows = predictions(search)
    rows.loc[rows["split"] == "valid", "measured"] += 1
    artifacts.PREDICTIONS.write(rows, search / "predictions.parquet")
    assert main(small.distill_args(search, tmp_path / "out", *SHORT)) == 0
    assert documents(tmp_path / "out") != documents(small.root / "out")


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_noise_gives_no_equation(tmp_path, monkeypatch, seed):
    """Search and distill as users run them, on expression that has nothing to do with the DNA."""
    noise = {"A": lambda p: 5.0, "B": lambda p: 3.0}
    made = planted.world(tmp_path, noise, n=300, noise=1.0, seed=seed)
    # Networks that overfit: they drop little, and have products.
    monkeypatch.setattr(exploring, "PORTFOLIO", [PORTFOLIO[i] for i in (4, 2, 7)])
    monkeypatch.setattr(training, "LEAST_STEPS", 150)
    more = ("--trials", "3", "--seed", str(seed), "--threads", "1")
    assert main(made.search_args(tmp_path / "search", *more)) == 0
    args = made.distill_args(tmp_path / "search", tmp_path / "out", "--sr_generations", "5")
    assert main([*args, "--seed", str(seed)]) == 0
    for equation in equations(tmp_path / "out").values():
        assert not equation.selected
        assert len(set(equation.predict(made.features))) == 1


# --- input that does not do -----------------------------------------------------------------------


@pytest.mark.parametrize("options", [("--sr_generations", "0"), ("--max_variables", "0")])
def test_options_out_of_range(small, tmp_path, capsys, options):
    assert main(small.distill_args(small.root / "search", tmp_path / "out", *options)) == 1
    assert "--sr_generations and --max_variables must be at least 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_negative_seed_is_refused(small, tmp_path, capsys):
    assert main(small.distill_args(small.root / "search", tmp_path / "out", "--seed", "-1")) == 1
    assert "--seed must be between 0 and 4294967295: -1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("of_block", "more", "genome"),
    [({"meta": {**planted.ORACLE, "hash": "00"}}, [], {}),
     ({"meta": {**planted.ORACLE, "bin_edges": [0, 1, 2, 3, 4, 5]}}, [], {}),
     ({"name": "motifs:other"}, [], {}),
     ({"classes": list("abcdefgh")}, [], {}),
     ({}, [Block("table:t", np.ones((150, 1, 1), "f4"), ["a"], planted.TABLE)], {}),
     ({}, [], {"genome": "00"})],
)  # fmt: skip
def test_features_that_are_not_the_teachers(small, tmp_path, capsys, of_block, more, genome):
    blocks = [replace(small.features.blocks[0], **of_block), *more]
    other = Features(small.features.gene_id, blocks, {**planted.GENOME, **genome})
    other.complete().write(tmp_path / "other.zarr")
    args = small.distill_args(small.root / "search", tmp_path / "out", *SHORT)
    args[args.index("--features") + 1] = str(tmp_path / "other.zarr")
    assert main(args) == 1
    message = capsys.readouterr().err
    assert "not those that the teacher was trained on" in message and "other.zarr" in message
    assert not (tmp_path / "out").exists()


def test_too_few_genes(small, tmp_path, capsys):
    search = shutil.copytree(small.root / "search", tmp_path / "search")
    rows = predictions(search)
    few = rows["gene_id"].isin(small.genes["gene_id"][:15])
    artifacts.PREDICTIONS.write(rows[few], search / "predictions.parquet")
    assert main(small.distill_args(search, tmp_path / "out", *SHORT)) == 1
    message = capsys.readouterr().err
    assert "at least 20 training and validation genes" in message and "T cell: 12 in 4" in message
    assert not list((tmp_path / "out").glob("*"))


def test_one_shard_of_the_features(small, tmp_path, capsys):
    shard = small.features.of_genes(small.features.gene_id[:100])
    shard.complete().write(tmp_path / "shard.zarr")
    args = small.distill_args(small.root / "search", tmp_path / "out", *SHORT)
    args[args.index("--features") + 1] = str(tmp_path / "shard.zarr")
    assert main(args) == 1
    message = capsys.readouterr().err
    assert "lack genes that the teacher was trained on: '50, the first of them g0100'" in message
    assert not (tmp_path / "out").exists()


def test_a_run_that_fails_between_cell_types_leaves_nothing(small, tmp_path, monkeypatch, capsys):
    written = distill.Distilled.predictions

    def failing(self, *equations):
        if self.cell.name == "B":
            raise GeneqError("The machine is on fire")
        return written(self, *equations)

    monkeypatch.setattr(distill.Distilled, "predictions", failing)
    assert main(small.distill_args(small.root / "search", tmp_path / "out", *SHORT)) == 1
    assert "on fire" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


# --- variables ------------------------------------------------------------------------------------


def test_odd_class_names_give_distinct_variables():
    names = variable_names(["H13CORE.0.P.B", "H13CORE_0_P_B", "a b", "a <b>", "", "é", "SP1"])
    assert names == [
        "z_H13CORE_0_P_B", "z_H13CORE_0_P_B_2", "z_a_b", "z_a_b_2", "z_", "z__2", "z_SP1"
    ]  # fmt: skip
    assert sympy.latex(sympy.Symbol(variable_names(["<x>::y"])[0])) == "z_{x y}"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.text(max_size=8), max_size=8))
def test_every_class_name_gives_a_name_that_can_be_read(labels):
    names = variable_names(labels)
    assert len(set(names)) == len(labels)
    for name in names:
        assert name.isascii() and name.isidentifier() and name.startswith("z_")
        assert str(to_sympy(parse(name))) == name


def test_a_programme_is_reduced_to_the_classes_that_carry_it(made):
    columns, about = made.features.matrix(), made.features.columns
    size = {"SP1": 1.0, "YY1": -0.8, "GC": 0.5, "NRF1": 0.02}
    weights = np.array([size.get(column.name, 0.001) for column in about])
    exact = columns @ weights

    def kept(found):
        return {column.name for column, weight in zip(about, found, strict=True) if weight}

    found = with_few_classes(columns, about, weights, 5)
    assert kept(found) == {"SP1", "YY1", "GC"}, "the fewest with an R² of 0.99"
    assert np.corrcoef(columns @ found, exact)[0, 1] ** 2 > 0.99
    assert kept(with_few_classes(columns, about, weights, 2)) == {"SP1", "YY1"}


def test_the_closest_programme_is_ridge_regression_and_ignores_constant_columns():
    rng = np.random.default_rng(4)
    columns = rng.normal(2, 3, (300, 8)).astype(np.float32)
    columns[:, 2], columns[:, 5] = 7, columns[:, 1]
    predicted = columns[:, 0] - 0.5 * columns[:, 1] + 0.1 * rng.normal(size=300)
    found = closest(columns, predicted)
    assert found[2] == 0 and found[1] == pytest.approx(found[5], rel=1e-6)
    varying = np.delete(columns.astype(float), 2, axis=1)
    sd = varying.std(0)
    twin = Ridge(PENALTY * 300).fit((varying - varying.mean(0)) / sd, predicted)
    np.testing.assert_allclose(np.delete(found, 2), twin.coef_ / sd, rtol=1e-6)
    about = [Column(0, 0, f"c{i}") for i in range(8)]
    few = with_few_classes(columns, about, found, 3)
    assert np.isfinite(few).all() and few[2] == 0 and few[0] > 0


def test_constant_and_collinear_variables_do_no_harm():
    x, noise = drawn()
    x |= {"copy": x["a"].copy(), "flat": np.zeros(len(noise))}
    genes = sample(3 + x["a"] + 0.5 * noise, x, teacher=3 + x["a"])
    front = expressions("3.0 + a + 0.2*flat", "3.0 + 0.5*a + 0.5*copy", "3.0 + a/flat", "3 + copy")
    choice = choose([*front, *sums(x, genes.teacher, 20)], genes)
    assert choice.selected
    assert choice.members[choice.chosen].form.variables in (("a",), ("copy",))


def test_important_classes_are_those_that_the_teacher_uses(made):
    teacher = TrainedTeacher.load(made.root / "search")
    pooled = teacher.pooled(made.features)
    found = {
        cell_type: important(teacher, pooled, j, seed=1)
        for j, cell_type in enumerate(made.cell_types)
    }
    for cell_type, places in found.items():
        assert {planted.CLASSES[c] for c in places} == planted.PLANTED[cell_type]
    assert planted.CLASSES[found["B"][0]] == "YY1"


# --- the choice -----------------------------------------------------------------------------------


def sample(y, x, teacher=None):
    """Genes in five folds, the second of which validates."""
    fold = np.arange(len(y)) % 5
    return Sample(x, y, y if teacher is None else teacher, fold, fold != 1)


def shape(form):
    """A form's text, its constants all named c."""
    return re.sub(r"\bc\d+", "c", form.text)


def drawn(n=500, seed=5):
    rng = np.random.default_rng(seed)
    return {"a": rng.normal(size=n), "b": rng.normal(size=n)}, rng.normal(size=n)


@pytest.mark.parametrize("bend", [0.1, 0.2, 0.4, 0.8])
def test_the_simplest_within_one_paired_standard_error_is_taken(bend):
    """Of nested polynomials, whose out-of-fold errors are found by least squares."""
    x, noise = drawn()
    truth = 3 + x["a"] + bend * x["a"] ** 2 + 0.5 * bend * x["b"]
    given_sample = sample(truth + noise, x, teacher=truth)
    bent = f"3.0 + 0.99*a + {bend + 0.01}*a**2"
    front = expressions("3.0 + 0.99*a", bent, f"{bent} + {0.5 * bend + 0.01}*b")
    choice = choose(front, given_sample)
    forms = [shape(member.form) for member in choice.members]
    assert forms == ["c", "a*c + c", "a**2*c + a*c + c", "a**2*c + a*c + b*c + c"]
    columns = [x["a"], x["a"] ** 2, x["b"]]
    errors = [_out_of_fold(columns[:k], given_sample) for k in range(4)]
    for member, expected in zip(choice.members, errors, strict=True):
        np.testing.assert_allclose(member.errors, expected, rtol=1e-3, atol=1e-3)
    place = twin.simplest_within_one_standard_error(errors)
    assert choice.chosen == place == (1 if bend <= 0.1 else 2 if bend == 0.2 else 3)


@pytest.mark.parametrize("more, longer", [(0.04, False), (0.1, True)])
def test_a_negligible_loss_is_taken_for_a_shorter_form_even_if_it_is_certain(more, longer):
    """A term with 0.0016 or 0.01 of the variance, and hardly any noise."""
    x, noise = drawn()
    truth = 3 + x["a"] + more * x["b"]
    front = expressions("3.0 + 0.99*a", f"3.0 + 0.99*a + {more}*b")
    # The teacher exaggerates the term, so that it is on the front.
    genes = sample(truth + 0.01 * noise, x, teacher=truth + 0.1 * x["b"])
    choice = choose(front, genes)
    assert len(choice.members) == 3 and choice.members[1].delta > choice.members[1].delta_se
    assert choice.chosen == 1 + longer


def _out_of_fold(columns, given_sample):
    design = np.column_stack([np.ones(len(given_sample.y)), *columns])
    errors = np.empty(len(given_sample.y))
    for fold in range(5):
        out = given_sample.fold == fold
        weights = np.linalg.lstsq(design[~out], given_sample.y[~out], rcond=None)[0]
        errors[out] = (design[out] @ weights - given_sample.y[out]) ** 2
    return list(errors)


def test_a_tiny_gain_is_not_worth_a_term_and_a_large_one_is():
    x, noise = drawn()
    front = expressions("3.0 + 0.9*a", "3.0 + 0.9*a + 0.5*tanh(2.0*b)")
    for gain, wanted in ((0.0, ("a",)), (1.0, ("a", "b"))):
        truth = 3 + x["a"] + gain * np.tanh(2 * x["b"])
        choice = choose(front, sample(truth + noise, x, teacher=truth + 0.01 * x["b"]))
        assert choice.members[choice.chosen].form.variables == wanted


def test_fidelity_to_the_teacher_decides_nothing():
    """The teacher has learned something that measured expression does not show."""
    x, noise = drawn()
    y = 3 + x["a"] + 0.5 * noise
    teacher = 3 + x["a"] + 0.7 * x["b"]
    front = expressions("3.0 + 1.1*a", "3.0 + 1.1*a + 0.7*b")
    choice = choose(front, sample(y, x, teacher))
    assert choice.selected and choice.members[choice.chosen].form.variables == ("a",)
    assert choice.members[-1].fidelity == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    "text",
    ["1/a", "exp(9.0*a)", "3.0 + 1.0/(a - 0.1)", "exp(exp(4.0*a))", "a/(b - b)", "a/0.0",
     "log(a)", "2.0**(90*a)", "1e300*a*1e300", "3.0 + 0.9*a + 0.001*exp(5.0*square(b))"],
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_exploding_members_are_dropped(text):
    x, noise = drawn()
    y = 3 + x["a"] + noise
    choice = choose(expressions("3.0 + 0.9*a", text), sample(y, x, teacher=3 + x["a"]))
    assert set(map(shape, (member.form for member in choice.members))) == {"c", "a*c + c"}
    assert choice.chosen == 1


def test_a_member_that_explodes_out_of_fold_only_is_dropped():
    """One gene holds the pole off; left out, the others put the pole next to it."""
    x, noise = drawn(200)
    x["a"] = np.abs(x["a"]) + 1
    y = 3 + 1 / (x["a"] - 0.03) + 0.001 * noise
    x["a"][0], y[0] = 0.031, 3.5
    form = Form.of(*expressions("3.0 + 1/(0.5 + a)"))
    fitted = form.fit(x, y, form.start)
    assert np.ptp(form.values(fitted, x, 200)) < 2 * np.ptp(y)
    choice = choose(expressions("3.0 + 1/(0.5 + a)"), sample(y, x, 3 + 1 / (0.5 + x["a"])))
    assert [shape(member.form) for member in choice.members] == ["c"]


def test_no_equation_without_the_networks_out_of_fold_success():
    x, noise = drawn()
    y = 3 + x["a"] + noise
    front = expressions("3.0 + 0.9*a")
    assert choose(front, sample(y, x, teacher=3 + x["a"])).selected
    overfitted = 3 + 3 * np.random.default_rng(6).normal(size=len(y))
    choice = choose(front, sample(y, x, teacher=overfitted))
    assert not choice.selected and choice.chosen == 0
    assert choice.teacher_z < 0 < choice.gain_z
    assert "too uncertain" in choice.reason and "for the network" in choice.reason


def test_no_equation_for_a_gain_that_is_uncertain():
    """A gain of some standard errors less than two, or less than three for the network."""
    x, noise = drawn(120)
    seen = []
    for slope in np.linspace(0, 1.5, 31):
        y = 3 + slope * x["a"] + noise
        choice = choose(expressions("3.0 + 0.3*a"), sample(y, x, teacher=3 + 0.3 * x["a"]))
        certain = choice.gain_z >= 2 and choice.teacher_z >= 3
        assert choice.selected == certain, (slope, choice)
        seen.append(choice.selected)
    assert not seen[0] and seen[-1]


@pytest.mark.parametrize("wobble", [0.0, 1e-9, 1e-4])
def test_a_flat_teacher_leaves_the_constant(wobble):
    """The mean of measured values is far from such a teacher, counted in the teacher's range."""
    x, noise = drawn()
    choice = choose(
        expressions("3.0 + 0.5*a", "2.0"), sample(3.2 + noise, x, teacher=3 + wobble * x["a"])
    )
    assert choice.chosen == 0 and [m.form.text for m in choice.members] == ["c0"]
    assert choice.members[0].constants[0] == pytest.approx((3.2 + noise).mean())
    assert choose([], sample(3.2 + noise, x)).chosen == 0


# --- simplification -------------------------------------------------------------------------------


def test_a_useless_term_is_deleted():
    x, noise = drawn()
    truth = 3 + x["a"] + 0.8 * np.tanh(2 * x["b"])
    long = expressions("3.0 + 0.9*a + 0.7*tanh(2.1*b + 0.003*a) + 0.002*a*b + 0.001*exp(0.1*b)")
    choice = choose(long, sample(truth + 0.3 * noise, x, teacher=truth))
    assert shape(choice.members[choice.chosen].form) == "a*c + c + c*tanh(b*c)"


def test_products_of_sums_are_multiplied_out():
    """(a + 1)(b - 1) + b is a product and two lone terms, of which one does nothing."""
    x, noise = drawn()
    y = 3 + x["a"] * x["b"] - x["a"] + 0.05 * noise
    written = Form.of(to_sympy(parse("4.0 + 1.1*(a + 1.02)*(b - 0.98) - 1.05*b")))
    shorter = [Form.of(e) for e in simplifications(written, written.start, x, y)]
    assert "a*b*c + a*c + c" in set(map(shape, shorter))


def test_every_simplification_is_simpler_and_fitted():
    x, noise = drawn()
    y = 3 + x["a"] + np.tanh(x["b"]) + 0.05 * noise
    written = Form.of(to_sympy(parse("3.0 + 0.9*a + 1.1*tanh(0.9*b + 0.1) + 0.1*square(a)*b")))
    shorter = [Form.of(e) for e in simplifications(written, written.start, x, y)]
    assert len(shorter) >= 3
    for form in shorter:
        assert form.complexity < written.complexity and form.variables
        refitted = form.fit(x, y, form.start)
        before, after = (np.var(form.values(c, x, len(y)) - y) for c in (form.start, refitted))
        assert before == pytest.approx(after, rel=0.02)


def test_a_form_that_cannot_be_fitted_has_no_simplifications():
    x, _ = drawn()
    written = Form.of(to_sympy(parse("exp(900.0*a) + 0.5*b")))
    assert simplifications(written, written.start, x, x["a"]) == []


# --- engines --------------------------------------------------------------------------------------


def test_operon_writes_in_the_names_it_is_given():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(200, 11))
    y = 2 + x[:, 0] ** 2 + 0.5 * x[:, 9] - x[:, 10]
    names = [f"z_{symbol}" for symbol in "abcdefghijk"]
    front = Operon().front(x, y, names, 15, 1, 2)
    columns = dict(zip(names, x.T, strict=True))
    errors = {}
    for form in map(Form.of, front):
        assert set(form.variables) <= set(names)
        errors[form.variables] = np.var(form.values(form.start, columns, 200) - y)
    assert errors[("z_a", "z_j", "z_k")] < 0.01 * y.var()


def test_operon_takes_few_genes_and_one_variable():
    x = np.linspace(-1, 1, 20)[:, None]
    front = Operon().front(x, x[:, 0] ** 2, ["z_a"], 3, 1, 1)
    assert any(expression.free_symbols for expression in front)


@pytest.fixture
def no_julia(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PYTHON_JULIACALL_EXE", raising=False)
    return tmp_path


def test_without_julia_pysr_says_so_and_auto_is_operon(no_julia, small, capsys):
    assert isinstance(choose_engine("auto"), Operon)
    assert isinstance(choose_engine("operon"), Operon)
    out = no_julia / "out"
    args = small.distill_args(small.root / "search", out, "--sr_engine", "pysr")
    assert main(args) == 1
    message = capsys.readouterr().err
    assert "--sr_engine pysr cannot run: there is no julia on PATH" in message
    assert "Install Julia" in message and "use operon" in message
    assert not out.exists()


def executable(path):
    path.write_text("#!/bin/sh\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_julia_without_the_python_package(no_julia):
    found = [sys.executable, "-c", "import importlib.util as u; u.find_spec('pysr') and exit(1)"]
    if subprocess.run(found, env={}).returncode:
        pytest.skip("pysr is installed here")
    executable(no_julia / "julia")
    assert isinstance(choose_engine("auto"), Operon)
    with pytest.raises(GeneqError, match="the Python package pysr is not installed"):
        choose_engine("pysr")


# Julia cannot be had on every machine. This stands in for the package `pysr`, to run all of the
# engine but PySR itself: the process, what is handed to it, and how its front is read.
STAND_IN = """
    import pandas as pd
    import sympy

    class PySRRegressor:
        def __init__(self, *, niterations, binary_operators, unary_operators, maxsize,
                     random_state, deterministic, parallelism, progress, verbosity,
                     temp_equation_file):
            assert deterministic and parallelism == "serial"
            self.niterations, self.random_state = niterations, random_state

        def fit(self, x, y):
            if self.niterations == 13:
                raise RuntimeError("Julia lost its way")
            slope = float(((x[:, 1] - x[:, 1].mean()) * y).mean() / x[:, 1].var())
            x0, x1 = sympy.symbols("x0 x1")
            front = [sympy.Float(y.mean()), slope * x1, slope * x1 + sympy.exp(x0 * x1 / 3)**2]
            front.append(x0 + self.random_state)
            self.equations_ = pd.DataFrame({"sympy_format": front})
"""


@pytest.fixture
def stand_in(no_julia, monkeypatch):
    executable(no_julia / "julia")
    folder = no_julia / "pysr"
    folder.mkdir()
    (folder / "__init__.py").write_text(textwrap.dedent(STAND_IN))
    path = [str(no_julia), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))


def test_pysr_runs_in_a_process_of_its_own(stand_in):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(300, 2))
    y = 2 + 0.5 * x[:, 1]
    engine = choose_engine("auto")
    assert isinstance(engine, PySR)
    front = engine.front(x, y, ["z_SP1", "z_ETS"], 5, 7, 2)
    a, b = (sympy.Symbol(name, real=True) for name in ("z_SP1", "z_ETS"))
    assert front[0] == pytest.approx(2, abs=0.1) and front[1].coeff(b) == pytest.approx(0.5)
    assert (front[2] - front[1]).equals(sympy.exp(2 * a * b / 3))
    assert front[3] == a + 7
    assert "pysr" not in sys.modules


def test_what_pysr_dies_of_is_said(stand_in):
    with pytest.raises(GeneqError, match=r"PySR failed.*Julia lost its way.*--sr_engine operon"):
        PySR().front(np.ones((3, 2)), np.ones(3), ["a", "b"], 13, 1, 1)


# --- baselines ------------------------------------------------------------------------------------


def noisy(f, seed=9, n=300):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    return x, f(x), f(x) + 0.5 * rng.normal(size=n), np.arange(n) % 5


def test_elastic_net_finds_a_sum_and_no_product():
    x, truth, y, fold = noisy(lambda x: 3 + x[:, 0] - 0.5 * x[:, 4])
    assert np.corrcoef(elastic_net(x, y, fold, 1).predict(x), truth)[0, 1] > 0.98
    x, truth, y, fold = noisy(lambda x: 3 + x[:, 0] * x[:, 4])
    assert np.std(elastic_net(x, y, fold, 1).predict(x)) < 0.3 * np.std(truth)


def test_degree_two_lasso_finds_squares_and_products():
    x, truth, y, fold = noisy(lambda x: x[:, 0] * x[:, 4] - x[:, 1] ** 2 + x[:, 2])
    model = degree_two_lasso(x, y, fold, 1)
    assert np.corrcoef(model.predict(x), truth)[0, 1] > 0.98
    again = degree_two_lasso(x, y, fold, 1)
    np.testing.assert_array_equal(model.predict(x), again.predict(x))


@pytest.mark.parametrize("model", [elastic_net, degree_two_lasso])
@pytest.mark.filterwarnings("error")
def test_constant_expression_is_predicted_constant(model):
    x, _, _, fold = noisy(lambda x: x[:, 0])
    x[:, 3] = 1.0
    np.testing.assert_allclose(model(x, np.full(300, 2.5), fold, 1).predict(x), 2.5)


def test_a_cell_type_without_variation_has_a_constant(tmp_path):
    made = planted.world(tmp_path, {"A": lambda p: 4 + p[:, 0], "flat": lambda p: 3}, 200)
    measured = made.truth + np.random.default_rng(1).normal(0, 0.3, made.truth.shape)
    measured[:, 1] = 3
    planted.write_expression(made, measured)
    few = ("--trials", "1", "--epochs", "20", "--threads", "1")
    assert main(made.search_args(tmp_path / "search", *few)) == 0
    assert main(made.distill_args(tmp_path / "search", tmp_path / "out", *SHORT)) == 0
    found = equations(tmp_path / "out")
    assert found["A"].selected and not found["flat"].selected
    assert found["flat"].predict(made.features) == pytest.approx(3)
    assert found["flat"].document["fit"]["oof_r2"] is None

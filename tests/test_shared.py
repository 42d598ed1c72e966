"""One expression for all cell types: planted coefficients come back, and its cost is reported."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sympy
import torch

import planted
import synthetic
from geneq import artifacts, load_equation
from geneq.cli import main
from geneq.distill.cell_type import CellType, Settings, Source
from geneq.distill.engines import PySR
from geneq.distill.pysr_worker import template
from geneq.distill.selection import Sample, decide, judged
from geneq.distill.shared import Joint, JointJudge, _of_type, separate, share, terms_of
from geneq.distill.sums import sums
from geneq.equations import Equation, Form, parse, to_sympy
from geneq.errors import GeneqError
from geneq.evaluation import compare, gene_blocks, pool_cv
from geneq.features import Features
from geneq.stages import distill
from geneq.stages.distill import Distilled
from geneq.stages.distill.shared import write_shared
from geneq.teacher import TrainedTeacher
from test_distill import executable, no_julia  # noqa: F401

# Weights of s_SP1, s_H13CORE.0.P.B · s_NRF1 and tanh(0.8 s_<x>), see planted.sums_teacher.
WEIGHTS = {
    "A": (0.8, 0.5, 0.9),
    "B<b>": (-0.6, 0.4, 0.5),
    "C": (0.7, -0.5, 0.0),
    "D": (0.3, 0.6, -0.8),
}
SHORT = ("--sr_engine", "operon", "--sr_generations", "3", "--threads", "1")


def exact(root, n=300, noise=0.4, seed=3, weights=WEIGHTS):
    def teacher(made):
        return planted.sums_teacher(made, weights)

    return planted.exact_search(root, n, noise, seed, teacher, cell_types=weights)


def run(made, out, *more, search="search"):
    args = made.distill_args(made.root / search, out, *SHORT, *more)
    assert main(args) == 0
    return out


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return exact(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def out(made):
    return run(made, made.root / "out", "--shared")


def predictions(folder):
    return artifacts.PREDICTIONS.read(folder / "predictions.parquet")


def shared(folder):
    return [load_equation(path) for path in sorted((folder / "shared").iterdir())]


def with_truth(made, rows):
    truth = pd.DataFrame(made.truth, made.genes["gene_id"], made.cell_types)
    truth = truth.rename_axis("gene_id").melt(ignore_index=False, var_name="cell_type",
                                              value_name="truth").reset_index()  # fmt: skip
    return rows.merge(truth, on=["gene_id", "cell_type"])


def r_with_truth(made, out, model):
    rows = with_truth(made, predictions(out)).query("split == 'test'")
    return {name: group[model].corr(group["truth"]) for name, group in rows.groupby("cell_type")}


# --- what is written ------------------------------------------------------------------------------


def test_one_expression_predicts_every_cell_type(made, out):
    documents = [equation.document for equation in shared(out)]
    assert [document["cell_type"] for document in documents] == list(WEIGHTS)
    assert all(document["selected"] for document in documents)
    assert len({document["expression"] for document in documents}) == 1
    assert len({str(document["constants"]) for document in documents}) == len(WEIGHTS)
    assert min(r_with_truth(made, out, "shared").values()) >= 0.98


def test_the_variables_are_the_same_in_all(out):
    variables = [equation.document["variables"] for equation in shared(out)]
    for other in variables[1:]:
        for one, two in zip(variables[0], other, strict=True):
            assert (one["name"], one["weights"], one["offset"]) == (
                two["name"], two["weights"], two["offset"]
            )  # fmt: skip


def test_the_matrix_has_the_planted_signs_and_its_zero(out):
    table = artifacts.SHARED.read(out / "shared.parquet")
    assert list(table.groupby("cell_type", sort=False).size()) == [3, 3, 3, 3]
    found = {(row.cell_type, _of(row.term)): row for row in table.itertuples()}
    for name, weights in WEIGHTS.items():
        for which, weight in enumerate(weights):
            row = found[name, which]
            if weight == 0:
                assert abs(row.coefficient) <= 2 * row.se
            else:
                assert np.sign(row.effect) == np.sign(weight), row
                assert abs(row.coefficient) > 4 * row.se


def _of(term):
    """Which of the planted terms this is."""
    names = sorted(map(str, to_sympy(parse(term)).free_symbols))
    return [["z_SP1"], ["z_H13CORE_0_P_B", "z_NRF1"], ["z_x"]].index(names)


def test_effects_are_the_spreads_of_the_terms(made, out):
    table = artifacts.SHARED.read(out / "shared.parquet").query("cell_type == 'A'")
    train = made.genes["split"] == "train"
    equation = shared(out)[0]
    x = equation.variables(made.features.of_genes(made.genes.loc[train, "gene_id"]))
    line = next(row for row in table.itertuples() if _of(row.term) == 0)
    assert line.effect == pytest.approx((line.coefficient * x["z_SP1"]).std(), rel=1e-4)


def test_documents_reproduce_the_predictions(made, out):
    features, rows = Features.read(made.root / "features.zarr"), predictions(out)
    for equation in shared(out):
        mine = rows[rows["cell_type"] == equation.document["cell_type"]]
        found = equation.predict(features.of_genes(mine["gene_id"]))
        np.testing.assert_allclose(found, mine["shared"], rtol=0, atol=1e-6)


def test_metrics_and_cross_validation_have_the_shared_expression(out):
    metrics = artifacts.METRICS.read(out / "metrics.parquet")
    rows = metrics[(metrics["model"] == "shared") & (metrics["split"] == "test")]
    assert set(rows["kind"]) == {"absolute", "specific"} and (rows["r"] > 0.5).all()
    first = predictions(out)
    second = first.assign(split=first["split"].map({"test": "train", "valid": "test",
                                                    "train": "train"}))  # fmt: skip
    assert "shared" in pool_cv([first, second])


def test_single_equations_are_the_same_with_and_without(made, out, tmp_path):
    alone = run(made, tmp_path / "alone")
    names = [f"{kind}/{n}.json" for kind in ("equations", "faithful") for n in range(4)]
    for name in [*names, "equations.parquet", "settings.json"]:
        assert (alone / name).read_bytes() == (out / name).read_bytes()
    assert not (alone / "shared").exists() and not (alone / "shared.parquet").exists()
    assert "shared" not in predictions(alone)
    both = predictions(out).drop(columns="shared")
    pd.testing.assert_frame_equal(predictions(alone), both)


def test_a_run_without_into_the_same_folder_leaves_none(made, out, tmp_path):
    shutil.copytree(out, tmp_path / "again")
    (tmp_path / "again" / "shap.parquet").touch()
    run(made, tmp_path / "again", "--baselines", "ridge")
    found = {path.name for path in (tmp_path / "again").iterdir()}
    assert not {"shared", "shared.parquet", "shap.parquet"} & found
    assert "shared" not in predictions(tmp_path / "again")


# --- cell types that differ -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """A type without signal, and one whose genes are others."""
    made = exact(tmp_path_factory.mktemp("uneven"), weights={**WEIGHTS, "silent": (0, 0, 0)})
    rows = predictions(made.root / "search")
    number = rows["gene_id"].str[1:].astype(int)
    absent = (rows["cell_type"] == "D") & (number % 3 == 0)
    absent |= (rows["cell_type"] == "A") & (number < 100)
    artifacts.PREDICTIONS.write(rows[~absent], made.root / "search" / "predictions.parquet")
    return made


def test_types_may_lack_genes_and_a_silent_one_has_a_constant(uneven):
    source = Source.read(uneven.root / "search", uneven.root / "features.zarr")
    choices = share(source, Nothing(), Settings(), 1)
    documents = [Distilled(*pair, "sums").document(pair[1].chosen) for pair in choices]
    cells = [cell for cell, _ in choices]
    assert [len(cell.rows) for cell in cells] == [200, 300, 300, 200, 300]
    out = uneven.root / "out"
    rows = pd.concat(write_shared(documents, cells, [cell.rows for cell in cells], out))
    selected = {document["cell_type"]: document["selected"] for document in documents}
    assert selected == {**dict.fromkeys(WEIGHTS, True), "silent": False}
    assert "teacher's gain over a constant" in documents[-1]["fit"]["reason"]
    assert documents[-1]["expression"] == "c0" and documents[-1]["variables"] == []
    assert set(artifacts.SHARED.read(out / "shared.parquet")["cell_type"]) == set(WEIGHTS)
    tested = with_truth(uneven, rows.query("split == 'test'"))
    for name in WEIGHTS:
        group = tested[tested["cell_type"] == name]
        assert group["shared"].corr(group["truth"]) >= 0.97


def test_the_joint_loss_is_the_mean_over_types_of_scaled_errors(uneven):
    source = Source.read(uneven.root / "search", uneven.root / "features.zarr")
    seen = []

    class Spy(JointJudge):
        def __init__(self, sample, constants):
            seen.append(sample)
            super().__init__(sample, constants)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geneq.distill.shared.JointJudge", Spy)
        share(source, Nothing(), Settings(), 1)
    (joint,) = seen
    errors = [np.random.default_rng(i).random(len(s.y)) for i, s in enumerate(joint.samples)]
    scaled = [e.mean() / s.y.var() for e, s in zip(errors, joint.samples, strict=True)]
    assert joint.together(errors).mean() == pytest.approx(np.mean(scaled))
    for sample, place in zip(joint.samples, joint.places, strict=True):
        for name, column in sample.x.items():
            np.testing.assert_array_equal(joint.x[name][place], column)


class Nothing:
    """An engine that finds nothing: greedy sums remain."""

    name = "nothing"

    def front(self, *_):
        return []

    def shared_front(self, *_):
        return []


def test_a_type_that_a_form_cannot_be_fitted_to_has_its_constant():
    """A validation gene of the second type lies where the exponential overflows."""
    rng = np.random.default_rng(1)
    a, places = rng.normal(size=200), [np.arange(150), np.arange(50, 200)]
    a[199] = 5000
    fold = np.arange(200) % 5
    samples = []
    for place in places:
        truth = 2 + np.exp(0.9 * np.minimum(a[place], 2))
        y = truth + 0.3 * rng.normal(size=150)
        samples.append(Sample({"a": a[place]}, y, truth, fold[place], fold[place] < 4))
    constants = [judged(Form.of(sympy.Float(s.y.mean())), s) for s in samples]
    joint = Joint({"a": a}, a, a, fold, fold < 4, samples=samples, places=places)
    front = [to_sympy(parse("2.1 + 1.1*exp(0.8*a)"))]
    choice = decide(JointJudge(joint, constants), front, None)
    assert choice.selected and choice.members[choice.chosen].form.variables == ("a",)
    first, second = (_of_type(choice, i, sample) for i, sample in enumerate(samples))
    assert first.selected and first.reason.startswith("one expression for all cell types")
    assert not second.selected and "cannot be fitted to this cell type" in second.reason
    assert second.members == [constants[1]]


def test_one_cell_type_has_a_shared_expression_too(tmp_path):
    made = exact(tmp_path, n=200, weights={"A": WEIGHTS["A"], "silent": (0, 0, 0)})
    rows = predictions(tmp_path / "search")
    rows = rows[rows["cell_type"] == "A"]
    search = tmp_path / "search"
    artifacts.PREDICTIONS.write(rows, search / "predictions.parquet")
    teacher = artifacts.read_json(search / "teacher.json")
    assert teacher["cell_types"] == ["A", "silent"]
    source = Source.read(search, made.root / "features.zarr")
    source.teacher.cell_types.remove("silent")
    ((cell, choice),) = share(source, Nothing(), Settings(), 1)
    assert cell.name == "A" and choice.selected


def test_nothing_is_shared_where_there_is_no_signal(tmp_path):
    made = exact(tmp_path, n=150, noise=1.0, weights={"A": (0, 0, 0), "B": (0, 0, 0)})
    out = run(made, tmp_path / "out", "--shared")
    assert not any(equation.selected for equation in shared(out))
    table = artifacts.SHARED.read(out / "shared.parquet")
    assert table.empty and list(table) == list(artifacts.SHARED.columns)


def test_a_hundred_types_cost_no_more_runs_of_the_engine(tmp_path):
    rng = np.random.default_rng(1)
    weights = {f"type {i}": tuple(rng.normal(0, 0.7, 3)) for i in range(100)}
    made = exact(tmp_path, n=400, noise=0.3, weights=weights)
    source = Source.read(tmp_path / "search", made.root / "features.zarr")

    class Counted(Nothing):
        runs = 0

        def front(self, *_):
            Counted.runs += 1
            return []

    choices = share(source, Counted(), Settings(max_complexity=15, programmes=0), 1)
    assert len(choices) == 100 and sum(choice.selected for _, choice in choices) > 80
    assert 1 <= Counted.runs <= 6


def test_a_failing_shared_search_leaves_nothing(made, tmp_path, monkeypatch, capsys):
    def failing(*_):
        raise GeneqError("The machine is on fire")

    monkeypatch.setattr(distill, "share", failing)
    monkeypatch.setattr(TrainedTeacher, "load", _without_types(TrainedTeacher.load))
    assert main(made.distill_args(made.root / "search", tmp_path / "out", *SHORT, "--shared")) == 1
    assert "on fire" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def _without_types(load):
    """Single equations take the time of the test: a teacher that has no cell types."""

    def loaded(folder):
        return replace(load(folder), cell_types=[])

    return loaded


def test_sharing_costs_where_types_differ_in_structure(tmp_path):
    """Each type reads classes of its own, too many for one short expression."""

    def teacher(made):
        found = planted.sums_teacher(made, dict.fromkeys("ABCD", (0, 0, 0)))
        heads = found.network.heads
        with torch.no_grad():
            for j in range(4):
                heads["encoded"].weight[0, 2 * j, j] = heads["hidden"].weight[0, 2 * j + 1, j] = 0.8
        return found

    made = planted.exact_search(tmp_path, 300, 0.2, 3, teacher, cell_types="ABCD")
    source = Source.read(tmp_path / "search", made.root / "features.zarr")
    short = Settings(max_complexity=14)
    cost, r = _cost(made, source, short)
    assert cost.verdict == -1 and cost.difference < -0.005
    assert r["equation"] > 0.99 and r["shared"] < r["equation"] - 0.005


def test_sharing_costs_nothing_where_it_is_true(uneven):
    source = Source.read(uneven.root / "search", uneven.root / "features.zarr")
    cost, r = _cost(uneven, source, Settings())
    assert cost.cell_types == 4 and cost.low > -0.02
    assert r["shared"] >= r["equation"] - 0.005


def _cost(made, source, settings):
    """The paired comparison on test genes, and mean r with the truth; greedy sums alone."""
    frames = []
    for cell, choice in share(source, Nothing(), settings, 1):
        single = CellType.of(source, source.rows(cell.name), settings)
        found = {"equation": (single, single.distil(Nothing(), settings, 1))}
        for model, pair in {**found, "shared": (cell, choice)}.items():
            equation = Equation(Distilled(*pair, "sums").document(pair[1].chosen))
            predicted = equation.predict(source.features.of_genes(cell.rows["gene_id"]))
            cell = replace(cell, rows=cell.rows.assign(**{model: predicted}))
        if choice.selected:
            frames.append(cell.rows)
    rows = with_truth(made, pd.concat(frames, ignore_index=True))
    rows = rows[rows["split"] == "test"].reset_index(drop=True)
    types = [group for _, group in rows.groupby("cell_type")]
    r = {m: np.mean([g[m].corr(g["truth"]) for g in types]) for m in ("equation", "shared")}
    return compare(rows, gene_blocks(made.genes), "shared", ("equation",)), r


# --- terms ----------------------------------------------------------------------------------------


def test_every_term_has_a_coefficient():
    form = Form.of(separate(to_sympy(parse("(a + 1)*(b - 4) + tanh(0.3*c + 1) + a/(2 + b)"))))
    terms = terms_of(form.expression, form.variables)
    assert len(terms) == 5 == len({term.coefficient for term in terms})
    numbers = {f"c{i}": value for i, value in enumerate(form.start)}
    x = {name: np.array([0.3, -0.7]) for name in "abc"}
    total = form.values(form.start, {**x, **dict.fromkeys("abc", np.zeros(2))}, 2) * 0
    for term in terms:
        unit = sympy.lambdify(sympy.symbols("a b c", real=True), term.put_in(numbers))
        total = total + numbers[term.coefficient] * unit(*x.values())
    (constant,) = set(numbers) & {
        s.name for s in sympy.Add.make_args(form.expression) if s.is_Symbol
    }
    np.testing.assert_allclose(total + numbers[constant], form.values(form.start, x, 2))


def test_sums_for_several_targets_have_the_terms_of_all():
    rng = np.random.default_rng(2)
    x = {name: rng.normal(size=400) for name in "abcd"}
    targets = np.column_stack([x["a"] + x["b"], x["b"] * x["c"], -x["a"]])
    targets -= targets.mean(0)
    found = [set(map(str, e.free_symbols)) for e in sums(x, targets, 15)]
    assert {"a", "b", "c"} in found and not any("d" in names for names in found[:3])
    ratio = to_sympy(parse("a/(2 + d**2)"))
    more = sums(x, np.column_stack([x["a"] / (2 + x["d"] ** 2)]), 15, [ratio])
    assert any(e.has(ratio) for e in more[:1])


# --- PySR's templates -----------------------------------------------------------------------------

STAND_IN = """
    import pandas as pd

    class TemplateExpressionSpec:
        def __init__(self, *, expressions, variable_names, parameters, combine):
            self.given = [expressions, variable_names, parameters, combine]

    class PySRRegressor:
        def __init__(self, *, expression_spec, random_state, maxsize, **more):
            assert more["deterministic"] and more["parallelism"] == "serial"
            self.given = expression_spec.given

        def fit(self, x, y):
            expressions, names, parameters, combine = self.given
            assert expressions == ["f"] and names == ["x0", "x1", "category"]
            assert parameters == dict.fromkeys(["p1", "p2", "p3", "p4", "p5"], 3)
            assert combine == "f(x0, x1, " + ", ".join(f"{p}[category]" for p in parameters) + ")"
            assert x.shape == (90, 3) and list(dict.fromkeys(x[:, 2])) == [1.0, 2.0, 3.0]
            for category, slope in ((1, 1), (2, -2), (3, 0)):
                mine = x[:, 2] == category
                assert abs(y[mine] - slope * x[mine, 0]).max() < 1e-9
            values = "; p1 = [1.0, -2.0, 1e-9]; p2 = [0.5, 0.1, 0.2]; " + "; ".join(
                f"p{i} = [0.0, 0.0, 0.0]" for i in (3, 4, 5))
            self.equations_ = pd.DataFrame({"equation": [
                "f = #3" + values, "f = (#3 * #1) + (tanh(#2 ^ 2) * #4)" + values]})
"""


def test_pysr_is_given_a_template_with_parameters_by_type(no_julia, monkeypatch):  # noqa: F811
    import os
    import textwrap

    executable(no_julia / "julia")
    (no_julia / "pysr").mkdir()
    (no_julia / "pysr" / "__init__.py").write_text(textwrap.dedent(STAND_IN))
    path = [str(no_julia), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    x = np.random.default_rng(1).normal(size=(30, 2))
    y = np.outer(x[:, 0], [1.0, -2.0, 0.0])
    found = PySR().shared_front(x, y, ["z_SP1", "z_ETS"], 5, 7, 1)
    a, b = (sympy.Symbol(name, real=True) for name in ("z_SP1", "z_ETS"))
    assert found == [sympy.Float(-2.0), -2.0 * a + 0.5 * sympy.tanh(b**2)]


def test_a_template_has_the_target_as_its_last_column():
    assert template(2, 7)["variable_names"] == ["x0", "category"]
    assert set(template(2, 7)["parameters"].values()) == {7}


# --- the report -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A data set whose types differ in structure: sharing costs."""
    root = tmp_path_factory.mktemp("page")
    names = ("<script>x</script>", "B & b", "C", "silent")
    outputs = synthetic.outputs(root, cell_types=names)
    add_shared(root / "distill", names)
    assert main(outputs.args(root / "out")) == 0
    return root / "out" / "report.html"


def add_shared(folder, names, noise=2.0):
    """What `geneq distill --shared` writes: predictions worse than those of single equations."""
    rows = predictions(folder)
    rng = np.random.default_rng(3)
    rows["shared"] = rows["equation"] + rng.normal(0, noise, len(rows)) * (
        rows["cell_type"] != names[-1]
    )
    artifacts.PREDICTIONS.write(rows, folder / "predictions.parquet")
    first = artifacts.read_json(folder / "equations" / "0.json")
    used = [v["name"] for v in first["variables"]]
    tables = []
    for n, name in enumerate(names):
        document = artifacts.read_json(folder / "equations" / f"{n}.json")
        if document["selected"]:
            document = {**first, "cell_type": name}
            tables.append(
                pd.DataFrame(
                    {
                        "cell_type": name,
                        "place": [0, 1],
                        "term": [used[0], f"tanh({used[1]})"],
                        "coefficient": [0.5, -0.01],
                        "se": [0.1, 0.02],
                        "effect": [0.5 - n, -0.01],
                    }
                )
            )
        artifacts.write_json(document, folder / "shared" / f"{n}.json")
    artifacts.SHARED.write(pd.concat(tables), folder / "shared.parquet")


def section(page):
    return re.search(r'<section id="shared".*?</section>', page.read_text(), re.S).group()


def test_the_report_says_what_sharing_costs(page):
    text = re.sub(r"\s+", " ", section(page))
    number = r"0\.\d{3}"
    assert re.search(rf"Sharing costs accuracy: mean r .* is {number} lower than that of one", text)
    assert re.search(rf"difference −{number} to −{number}, over 3 cell types", text)
    assert re.search(rf"Mean specific r is {number} lower \(−{number} to −{number}\)", text)


def test_the_report_has_the_matrix_of_types_and_terms(page):
    text = section(page)
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    assert body.count("<tr>") == 3 and body.count('<td class="e') == 6
    assert body.count('class="e up"') == 1 and body.count('class="e down"') == 2
    assert "&lt;script&gt;x" in text and "<script>x" not in page.read_text()
    assert "B &amp; b" in text and "No member beats the mean &lt;b&gt;" in text
    assert "tanh" in text[: text.index("<tbody>")]


def test_a_report_without_shared_expression_has_no_section(tmp_path):
    outputs = synthetic.outputs(tmp_path, cell_types=("A", "silent"))
    assert main(outputs.args(tmp_path / "out")) == 0
    assert 'id="shared"' not in (tmp_path / "out" / "report.html").read_text()


def test_a_missing_table_of_terms_is_named(tmp_path, capsys):
    names = ("A", "B", "silent")
    outputs = synthetic.outputs(tmp_path, cell_types=names)
    add_shared(tmp_path / "distill", names)
    (tmp_path / "distill" / "shared.parquet").unlink()
    assert main(outputs.args(tmp_path / "out")) == 1
    assert "shared.parquet" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "distill" / "shared")
    assert main(outputs.args(tmp_path / "out")) == 1
    assert "No equations" in capsys.readouterr().err

"""Stability: what comes back when equations are searched again on resampled genes."""

import shutil

import numpy as np
import pandas as pd
import pytest

import planted
from geneq import artifacts, load_equation
from geneq.cli import main
from geneq.distill.cell_type import Settings, Source
from geneq.distill.structure import terms
from geneq.distill.variables import Variable
from geneq.equations import Equation, Form, parse, to_sympy
from geneq.errors import GeneqError
from geneq.evaluation import gene_blocks
from geneq.features import Block, Features
from geneq.stability import read_stability
from geneq.stages.stability import summary
from geneq.stages.stability.replicates import replicates, resampled, same_names

REPLICATES = 3


def expression(text):
    return to_sympy(parse(text))


def args(made, out, *more, distill=None):
    inputs = ("--search", made.root / "search", "--distill", distill or made.root / "distill",
              "--features", made.root / "features.zarr", "--genes", made.root / "genes.parquet",
              "--replicates", REPLICATES, "--threads", 1, "--out", out)  # fmt: skip
    return ["stability", *map(str, (*inputs, *more))]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set whose teacher is known exactly, its equations, and their stability in shards."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(summary, "REFITS", 100)
    made = planted.exact_search(tmp_path_factory.mktemp("exact"), n=400, seed=2)
    options = ("--sr_generations", "8", "--sr_engine", "operon", "--threads", "1")
    assert main(made.distill_args(made.root / "search", made.root / "distill", *options)) == 0
    shards = [made.root / f"shard{i}" for i in (1, 2)]
    for i, shard in enumerate(shards, start=1):
        assert main(args(made, shard, "--shard", f"{i}/2")) == 0
    # In any order.
    assert main(args(made, made.root / "stability", "--join", *shards[::-1])) == 0
    yield made
    monkeypatch.undo()


def documents(made):
    paths = (made.root / "stability" / "equations" / f"{n}.json" for n in range(3))
    return {document["cell_type"]: document for document in map(artifacts.read_json, paths)}


def table(made):
    return artifacts.REPLICATES.read(made.root / "stability" / "replicates.parquet")


# --- a whole run ----------------------------------------------------------------------------------


def test_planted_classes_come_back_and_others_seldom(made):
    for cell_type in ("T cell", "B"):
        document = documents(made)[cell_type]
        assert document["selected"] and document["replicates"] == REPLICATES
        share = {variable["class"]: variable["share"] for variable in document["variables"]}
        assert set(share) >= planted.PLANTED[cell_type]
        assert min(share[name] for name in planted.PLANTED[cell_type]) >= 0.75
        assert document["no_equation"] == 0


def test_where_nothing_is_planted_no_equation_comes_back(made):
    silent = documents(made)["silent"]
    assert (silent["selected"], silent["stable"], silent["structure"]) == (False, True, 1)
    assert silent["variables"] == silent["terms"] == silent["others"] == []
    assert silent["no_equation"] == 1 and silent["r"] is None


def test_intervals_are_around_the_constants(made):
    for n, document in enumerate(documents(made).values()):
        equation = load_equation(made.root / "distill" / "equations" / f"{n}.json").document
        found = document["constants"]
        assert {c["name"]: c["value"] for c in found["values"]} == equation["constants"]
        assert (found["genes"], found["failed"]) == (320, 0) and found["blocks"] >= 10
        error = equation["fit"]["standard_errors"]
        for constant in found["values"]:
            width = constant["high"] - constant["low"]
            assert constant["low"] < constant["value"] < constant["high"]
            assert 1 < width / error[constant["name"]] < 10


def test_over_few_blocks_r_has_no_interval(made):
    r = documents(made)["B"]["r"]
    assert r["genes"] == 80 and r["blocks"] < 10
    assert r["low"] is r["high"] is None and 0.5 < r["value"] < 1


def test_the_table_has_every_part_of_every_equation(made):
    found = artifacts.STABILITY.read(made.root / "stability" / "stability.parquet")
    for cell_type, document in documents(made).items():
        mine = found[found["cell_type"] == cell_type]
        counts = mine["part"].value_counts()
        assert counts["structure"] == 1 and counts["constant"] == len(
            document["constants"]["values"]
        )
        shares = mine[mine["part"] == "term"].set_index("name")["share"]
        assert dict(shares) == {term["term"]: term["share"] for term in document["terms"]}
        assert (counts.get("r", 0) == 1) == document["selected"]


def test_a_replicate_depends_on_its_number_only(made):
    source = Source.read(made.root / "search", made.root / "features.zarr")
    equation = load_equation(made.root / "distill" / "equations" / "1.json")
    settings = Settings.read(made.root / "distill" / "settings.json")
    assert settings == Settings(sr_generations=8)
    again = replicates(source, [equation], gene_blocks(made.genes), settings, [2], 2)
    mine = table(made).query("cell_type == 'B' and replicate == 2").reset_index(drop=True)
    pd.testing.assert_frame_equal(artifacts.REPLICATES._checked(again, None), mine)
    assert table(made).groupby("cell_type")["infix"].nunique()["T cell"] > 1


def test_one_task_writes_what_the_tasks_of_shards_write(made, tmp_path):
    assert main(args(made, tmp_path / "one")) == 0
    joined = made.root / "stability"
    files = sorted(path.relative_to(joined) for path in joined.rglob("*") if path.is_file())
    assert files == sorted(
        path.relative_to(tmp_path / "one")
        for path in (tmp_path / "one").rglob("*")
        if path.is_file()
    )
    assert [
        name
        for name in files
        if (tmp_path / "one" / name).read_bytes() != (joined / name).read_bytes()
    ] == []


def test_a_report_refuses_the_stability_of_other_equations(made):
    folder = made.root / "distill" / "equations"
    equations = [load_equation(folder / f"{n}.json").document for n in range(3)]
    assert [d["infix"] for d in read_stability(made.root / "stability", equations)] == [
        equation["infix"] for equation in equations
    ]
    equations[1] = {**equations[1], "infix": "3.5"}
    with pytest.raises(GeneqError, match=r"stability is that of another equation.*1\.json"):
        read_stability(made.root / "stability", equations)


# --- input that does not do -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--replicates", 0), "--replicates must be between 1 and"),
        (("--shard", "3/2"), "--shard must be I/N with 1 ≤ I ≤ N: '3/2'"),
        (("--sr_generations", 0), "--sr_generations and --max_variables must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(made, tmp_path, capsys, options, message):
    assert main(args(made, tmp_path / "out", *options)) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_shard_that_lacks_is_named(made, tmp_path, capsys):
    assert main(args(made, tmp_path / "out", "--join", made.root / "shard1")) == 1
    message = capsys.readouterr().err
    assert "must have each of 3 replicates of every cell type once: '6 rows of 9'" in message
    assert not (tmp_path / "out").exists()


def test_equations_of_another_run_are_refused(made, tmp_path, capsys):
    shutil.copytree(made.root / "distill", tmp_path / "distill")
    first, second = (tmp_path / "distill" / "equations" / f"{n}.json" for n in (0, 1))
    shutil.copy(second, first)
    assert main(args(made, tmp_path / "out", distill=tmp_path / "distill")) == 1
    assert "not that of the teacher's cell type 'T cell': 'B'" in capsys.readouterr().err


def test_results_without_settings_are_refused(made, tmp_path, capsys):
    shutil.copytree(made.root / "distill", tmp_path / "distill")
    path = tmp_path / "distill" / "settings.json"
    path.unlink()
    assert main(args(made, tmp_path / "out", distill=tmp_path / "distill")) == 1
    assert "File not found" in capsys.readouterr().err
    artifacts.write_json({"format": "geneq-distill", "version": 1, "speed": 3}, path)
    assert main(args(made, tmp_path / "out", distill=tmp_path / "distill")) == 1
    assert "Not settings of distill" in capsys.readouterr().err


# --- structure ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3.0", []),
        ("3.0 + 2.0*a - 0.5*b", ["a", "b"]),
        ("1.0 + 2.0*(3.0*a + 1.0)*(b - 4.0)", ["a", "a*b", "b"]),
        ("2.0*tanh(0.3*a + 1.0) + 5*exp(-0.2*b)", ["exp(b)", "tanh(a)"]),
        ("0.5 + 3.0*(a + 2.0*b + 1.0)**2", ["a", "a**2", "a*b", "b", "b**2"]),
        ("1.0 + a*tanh(b*(0.2 + c))", ["a*tanh(b*c + b)"]),
        ("1.0 + 2.0*a/(3.0 + 4.0*b)", ["a/b"]),
    ],
)
def test_terms_have_no_constants(text, found):
    assert sorted(map(str, terms(expression(text)))) == found


def test_terms_are_the_same_whatever_the_constants():
    one = "1.0 + 2.0*(3.0*a + 1.0)*(b - 4.0) + tanh(0.1*c)"
    other = "-7.0 + 0.3*a*b + 2.0*a - b - 5.0*tanh(3.0*c - 0.2)"
    assert terms(expression(one)) == terms(expression(other))


# --- shares ---------------------------------------------------------------------------------------


def equation_of(infix, selected=True):
    form = Form.of(expression(infix))
    variables = [{"name": name, "class": name[2:]} for name in form.variables]
    document = {"infix": infix, "selected": selected, "variables": variables}
    return Equation(document)


def shares_of(infix, found):
    """found: the equations of the replicates; None where none was selected."""
    selected = [text is not None for text in found]
    table = pd.DataFrame({"infix": [text or "1.0" for text in found], "selected": selected})
    return summary.shares(equation_of(infix, infix != "4.0"), table)


def test_shares_count_the_replicates_that_have_a_part():
    found = shares_of(
        "5.0 + 0.5*z_A + 2.0*tanh(z_B)",
        ["4.0 + z_A + tanh(2.0*z_B)", "4.0 + z_A + z_B", None, "z_A - tanh(z_B) + 0.3*z_C"],
    )
    assert {v["name"]: v["share"] for v in found["variables"]} == {"z_A": 0.75, "z_B": 0.75}
    assert {t["term"]: t["share"] for t in found["terms"]} == {"z_A": 0.75, "tanh(z_B)": 0.5}
    assert (found["structure"], found["identical"], found["no_equation"]) == (0.5, 0.25, 0.25)
    assert found["others"] == [{"term": "z_B", "share": 0.25}, {"term": "z_C", "share": 0.25}]
    assert found["stable"]


def test_an_equation_that_comes_back_in_under_half_is_unstable():
    found = shares_of("5.0 + z_A*z_B", ["5.0 + z_A*z_B", "5.0 + z_A + z_B", "4.0 + z_A", None])
    assert found["structure"] == 0.25 and not found["stable"]
    assert min(variable["share"] for variable in found["variables"]) == 0.5


def test_a_constant_is_stable_where_nothing_else_is_selected():
    assert shares_of("4.0", [None, None, "1.0 + z_A"])["stable"]
    assert not shares_of("4.0", [None, "2.0 + z_A", "1.0 + z_A"])["stable"]


# --- resampling -----------------------------------------------------------------------------------


def rows_of(n, folds=4, split="train"):
    genes = [f"g{i}" for i in range(n)]
    return pd.DataFrame({"gene_id": genes, "fold": np.arange(n) % folds, "split": split})


def test_whole_blocks_are_drawn():
    rows = rows_of(60)
    blocks = pd.Series(np.arange(60) // 5, rows["gene_id"]).astype(str)
    times = pd.Series(resampled(rows, blocks, np.random.default_rng(1))).value_counts()
    times = times.reindex(range(60), fill_value=0).to_numpy().reshape(12, 5)
    assert times.sum() == 60 and (times == times[:, :1]).all()
    assert times[:, 0].max() > 1 and times[:, 0].min() == 0


def test_genes_that_cannot_be_resampled_are_an_error():
    rows = rows_of(40, folds=1)
    blocks = pd.Series("chr1:0", rows["gene_id"])
    with pytest.raises(GeneqError, match="too few blocks to be resampled: '1 blocks'"):
        resampled(rows, blocks, np.random.default_rng(1))


def test_variables_are_recognised_by_class_and_values():
    """Two profiles of a class, and programmes that are nearly the same."""
    rng = np.random.default_rng(3)
    columns = rng.normal(size=(300, 3)).astype(np.float32)
    genes = np.array([f"g{i}" for i in range(300)])
    features = Features(genes, [Block("x", columns[:, None], ["A", "B", "C"], {"hash": "h"})], {})
    about = {"blocks": [{"name": "x", "hash": "h", "classes": ["A", "B", "C"]}], "scale": "raw"}

    def written(name, label, *weights):
        listed = [{"block": 0, "bin": 0, "class": c, "weight": w}
                  for c, w in zip("ABC", weights, strict=True)]  # fmt: skip
        return {"name": name, "class": label, "offset": 0.0, "weights": listed}

    variables = [written("z_A", "A", 1, 0, 0), written("z_programme", None, 1, 1, 0)]
    equation = Equation({**about, "variables": variables, "expression": "z_A + z_programme"})
    source = Source(None, features, pd.DataFrame(), columns)
    found = [
        Variable("z_A_1", "A", 1, np.array([2, 0.1, 0]), 0.0),
        Variable("z_B", "B", 1, np.array([1.0, 0, 0]), 0.0),
        Variable("z_programme", None, 2, np.array([0, 0.2, 1.0]), 0.0),
        Variable("z_programme_1", None, 2, np.array([-1, -1.1, 0]), 0.0),
    ]
    names = {str(old): str(new) for old, new in same_names(found, equation, source, genes).items()}
    assert names == {
        "z_A_1": "z_A", "z_B": "z_B", "z_programme": "z_other_programme",
        "z_programme_1": "z_programme",
    }  # fmt: skip


# --- intervals ------------------------------------------------------------------------------------


def test_intervals_contain_the_truth_as_often_as_they_say(monkeypatch):
    """Of a straight line over 30 blocks that share part of their variable and their noise."""
    monkeypatch.setattr(summary, "REFITS", 100)
    rows = rows_of(240, split="test")
    code = np.arange(240) // 8
    blocks = pd.Series(code, rows["gene_id"]).astype(str)
    about = {"blocks": [{"name": "x", "hash": "h", "classes": ["A"]}], "scale": "raw"}
    weights = [{"block": 0, "bin": 0, "class": "A", "weight": 1.0}]
    variable = {"name": "z_A", "class": "A", "offset": 0.0, "weights": weights}
    inside, independent = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x, noise = (rng.normal(size=30)[code] + rng.normal(size=240) for _ in range(2))
        slope, intercept = np.polyfit(x, 2 + 0.5 * x + noise, 1)
        features = Features(
            rows["gene_id"].to_numpy(),
            [Block("x", x.astype(np.float32)[:, None, None], ["A"], {"hash": "h"})],
            {},
        )
        values = {"c0": intercept, "c1": slope}
        equation = Equation({**about, "variables": [variable], "expression": "c0 + c1*z_A",
                             "constants": values, "fit": {"measured_share": 1.0}})  # fmt: skip
        measured = rows.assign(measured=2 + 0.5 * x + noise, teacher_out_of_fold=x, equation=x)
        found = summary.constants(equation, measured, features, blocks)["values"]
        r = summary.test_r(measured, blocks)
        inside += [found[0]["low"] <= 2 <= found[0]["high"]]
        inside += [found[1]["low"] <= 0.5 <= found[1]["high"]]
        inside += [r["low"] <= 0.5 / np.sqrt(1 + 0.25) <= r["high"]]
        error = np.sqrt((measured["measured"] - intercept - slope * x).var() / 240)
        independent += [abs(intercept - 2) <= 1.645 * error]
    assert summary.LEVEL == 0.9
    assert 0.83 <= np.mean(inside) <= 0.97
    assert np.mean(independent) < 0.8, "genes of a block are no independent observations"

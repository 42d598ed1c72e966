"""The atlas: all data sets of a run on one page."""

import json
import re
import time

import numpy as np
import pandas as pd
import pytest

import synthetic
from geneq import artifacts
from geneq.cli import main
from geneq.stages import atlas as atlas_stage
from test_report import Page


def reported(root, dataset, *more, **options):
    made = synthetic.outputs(root, dataset=dataset, **options)
    assert main(made.args(root / "out", *more)) == 0
    return root / "out"


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    """A data set with truth and odd names, one without, joined."""
    root = tmp_path_factory.mktemp("atlas")
    made = synthetic.outputs(root / "a", dataset="set_10 & <co>")
    truth = synthetic.truth(made, root / "truth.parquet")
    shares = (0.94, 0.42, 0.5, 1.0, 0.88)
    stability = synthetic.stability(made, root / "stability", shares)
    more = ("--truth", str(truth), "--stability", str(stability))
    reports = [
        reported(root / "a", "set_10 & <co>", *more),
        reported(root / "b", "set_2", cell_types=("T", "quiet")),
    ]
    given = ["--reports", *map(str, reports), "--datasets", "set_2,lost,set_10 & <co>"]
    assert main(["atlas", *given, "--out", str(root / "out")]) == 0
    return root / "out"


def test_data_sets_without_a_report_are_named(atlas):
    text = Page(atlas / "atlas.html").text
    assert (
        "Data sets without a report Of 3 data sets 1 failed: lost. The file failed.tsv"
        in " ".join(text.split())
    )


def test_it_links_to_each_data_sets_report_where_the_pipeline_puts_it(atlas):
    links = Page(atlas / "atlas.html").links
    assert "datasets/set_2/report/report.html" in links
    assert "datasets/set_10%20%26%20%3Cco%3E/report/report.html#type-3" in links
    assert all(link.startswith(("#", "datasets/")) for link in links)


def test_every_cell_type_has_its_equation_and_figures(atlas):
    page = Page(atlas / "atlas.html")
    assert "was selected in 5 of 7 cell types of 2 data sets" in page.text
    rows = [a["data-key"] for tag, a in page.tags if tag == "tr" and "data-counted" in a]
    assert len(rows) == 7 and rows[0].startswith("set_2 t ")
    assert page.text.count("no equation was selected") == 2
    assert page.count("script") == 1 and "<script>alert('x')</script>" in page.text


def test_unstable_equations_are_marked(atlas):
    page = Page(atlas / "atlas.html")
    assert "3 of 4 equations are stable: all terms come back in at least half" in page.text
    assert page.text.count("✓ stable") == 3 and page.text.count("✗ unstable") == 1
    assert "42 % ✗ unstable" in page.text


def test_the_search_box_finds_classes(atlas, tmp_path):
    page = Page(atlas / "atlas.html")
    keys = [a["data-key"] for tag, a in page.tags if "data-key" in a]
    assert any("sp1" in key.split() for key in keys)
    assert all(key == key.lower() for key in keys)


def test_recovery_is_that_of_all_data_sets(atlas):
    rows = json.loads((atlas / "recovery.json").read_text())
    assert [row["cell_type"] for row in rows] == list(synthetic.ODD_NAMES)
    assert "5 of 5 cell types are recovered" in Page(atlas / "atlas.html").text


def test_without_truth_there_is_no_recovery(tmp_path):
    folder = reported(tmp_path, "plain", cell_types=("T", "quiet"))
    assert main(["atlas", "--reports", str(folder), "--out", str(tmp_path / "atlas")]) == 0
    assert {path.name for path in (tmp_path / "atlas").iterdir()} == {
        "atlas.html",
        "cell_types.tsv",
    }
    text = Page(tmp_path / "atlas" / "atlas.html").text
    assert "planted" not in text and "stable" not in text


def test_the_table_has_a_row_for_every_cell_type(atlas):
    table = pd.read_csv(atlas / "cell_types.tsv", sep="\t")
    assert list(table["dataset"]) == ["set_2"] * 2 + ["set_10 & <co>"] * 5
    assert list(table["cell_type"][2:]) == list(synthetic.ODD_NAMES)
    assert table["selected"].sum() == 5 and table["comes_back"].notna().sum() == 4
    document = artifacts.read_json(atlas.parent / "a" / "out" / "equations.json")[0]
    assert table["equation"][2] == document["infix"]
    metrics = artifacts.METRICS.read(atlas.parent / "a" / "out" / "metrics.parquet")
    shown = metrics.query("model == 'teacher' and kind == 'absolute' and split == 'test'")
    np.testing.assert_allclose(table["teacher_absolute"][2:], shown["r"], rtol=1e-5)


def test_more_cell_types_than_can_be_shown_are_summed_up(atlas, tmp_path, monkeypatch):
    monkeypatch.setattr(atlas_stage, "MOST_SHOWN", 6)
    reports = [str(atlas.parent / name / "out") for name in "ab"]
    assert main(["atlas", "--reports", *reports, "--out", str(tmp_path)]) == 0
    page = Page(tmp_path / "atlas.html")
    assert "These are more than 6 cell types, so they are summed up here" in page.text
    assert "was selected in 5 of 7 cell types of 2 data sets" in page.text
    assert "#equations" not in page.links and page.count("svg") == 0
    assert [a["data-key"] for _, a in page.tags if "data-key" in a] == ["set_2", "set_10 & <co>"]
    written = (tmp_path / "cell_types.tsv").read_bytes()
    assert written == (atlas / "cell_types.tsv").read_bytes()
    table = pd.read_csv(tmp_path / "cell_types.tsv", sep="\t").query("selected")
    low, middle, high = table["equation_absolute"].quantile([0.05, 0.5, 0.95])
    assert f"absolute equation 5 {low:.3f} {middle:.3f} {high:.3f}" in page.text
    assert re.search(r"SP1 \d \d \d \d", page.text)


def test_a_run_in_which_nothing_is_selected(tmp_path):
    folder = reported(tmp_path, "silent", cell_types=("quiet",), n_genes=60)
    assert main(["atlas", "--reports", str(folder), "--out", str(tmp_path / "atlas")]) == 0
    text = Page(tmp_path / "atlas" / "atlas.html").text
    assert "was selected in 0 of 1 cell type of 1 data set" in text


def test_a_data_set_given_twice_is_refused(tmp_path, capsys):
    folder = str(reported(tmp_path, "twin", cell_types=("T", "quiet")))
    assert main(["atlas", "--reports", folder, folder, "--out", str(tmp_path / "atlas")]) == 1
    assert "Two reports are for the same data set: 'twin'" in capsys.readouterr().err
    assert not (tmp_path / "atlas").exists()


def test_fifty_data_sets_of_ten_cell_types_stay_quick_and_small(tmp_path):
    names = (*[f"type {i}" for i in range(9)], "quiet")
    first = reported(tmp_path / "0", "set_0", cell_types=names, n_genes=100)
    folders = [first]
    for i in range(1, 50):  # the same report under other names: only the atlas is timed
        folder = tmp_path / str(i) / "out"
        documents = artifacts.read_json(first / "equations.json")
        renamed = [{**document, "dataset": f"set_{i}"} for document in documents]
        artifacts.write_json(renamed, folder / "equations.json")
        (folder / "metrics.parquet").write_bytes((first / "metrics.parquet").read_bytes())
        folders.append(folder)
    start = time.monotonic()
    assert main(["atlas", "--reports", *map(str, folders), "--out", str(tmp_path / "atlas")]) == 0
    assert time.monotonic() - start < 20
    page = tmp_path / "atlas" / "atlas.html"
    assert page.stat().st_size < 2e6
    order = re.findall(r'class="name first"><a href="datasets/set_(\d+)/', page.read_text())
    assert order[:50] == [str(i) for i in range(50)]

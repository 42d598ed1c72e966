"""Whole runs of the real stages on small simulated data."""

import json
import shutil

import pytest

from geneq import cli

from .conftest import ROOT, pipeline

OPTIONS = ("-profile", "test", "--seed", 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Simulated data of 300 genes; `broken.csv` has a third data set, cut short."""
    folder = tmp_path_factory.mktemp("data")
    assert cli.main(["simulate", "--out", str(folder), "--genes", "300", "--seed", "3"]) == 0
    sheet = (folder / "samplesheet.csv").read_text().rstrip("\n").splitlines()
    whole = next(folder.glob("*.h5ad"))
    (folder / "cut.h5ad").write_bytes(whole.read_bytes()[:5000])
    row = ["broken", "cut.h5ad", *sheet[1].split(",")[2:]]
    (folder / "broken.csv").write_text("\n".join([*sheet[:2], ",".join(row)]) + "\n")
    return folder


def inputs(data, sheet):
    return (
        *("--input", data / sheet, "--fasta", data / "genome.fa.gz", "--gtf", data / "genes.gtf"),
        *("--truth", data / "truth.parquet"),
    )


def test_a_broken_data_set_is_named_and_stops_no_other(data, tmp_path):
    good = (data / "broken.csv").read_text().splitlines()[1].split(",")[0]
    run = pipeline(tmp_path, *OPTIONS, *inputs(data, "broken.csv"))
    results = tmp_path / "results"
    assert run.status != 0
    assert "Without a report: broken\n" in run.text
    assert "broken failed in PSEUDOBULK (exit status 1): geneq pseudobulk: error: " in run.text
    assert "cut.h5ad" in run.text
    assert [path.name for path in (results / "datasets").iterdir()] == [good]
    assert "<html" in (results / "datasets" / good / "report/report.html").read_text()
    assert good in (results / "atlas.html").read_text()
    assert {entry["dataset"] for entry in json.loads((results / "recovery.json").read_text())} == {
        good
    }
    versions = (results / "pipeline_info/versions.yml").read_text()
    assert "DISTILL:\n  geneq:" in versions

    # Mended, and taken up again: only what was broken, and the atlas over both, is computed.
    whole = next(path for path in data.glob("*.h5ad") if path.name != "cut.h5ad")
    shutil.copy(whole, data / "cut.h5ad")
    again = pipeline(tmp_path, *OPTIONS, *inputs(data, "broken.csv"), "-resume")
    assert again.status == 0, again.text
    assert sorted(again.submitted) == [
        "ATLAS (2 data sets)",
        "DISTILL (broken)",
        "PSEUDOBULK (broken)",
        "REPORT (broken)",
        "SEARCH (broken)",
    ]
    assert sorted(again.cached) == sorted(
        set(run.submitted) - {"ATLAS (1 data sets)", "PSEUDOBULK (broken)"}
    )
    assert "broken" in (results / "atlas.html").read_text()


def test_an_image_with_other_code_than_the_checkout_stops(data, tmp_path):
    checkout = tmp_path / "checkout"
    skip = shutil.ignore_patterns(".*", "target", "__pycache__", "*.so")
    for name in ("python", "rust_ext", "lib", "modules", "conf"):
        shutil.copytree(ROOT / name, checkout / name, ignore=skip)
    for name in ("main.nf", "nextflow.config", "nextflow_schema.json"):
        shutil.copy(ROOT / name, checkout)
    with (checkout / "python/geneq/errors.py").open("a") as file:
        file.write("# edited after the image was built\n")
    run = pipeline(tmp_path, *OPTIONS, *inputs(data, "samplesheet.csv"), checkout=checkout)
    assert run.status != 0
    assert run.submitted == ["GENES (genome)"]
    assert "The installed geneq holds other code than the checkout" in run.text
    assert not (tmp_path / "results/genomes").exists()

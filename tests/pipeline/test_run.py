"""Whole runs of the real stages on small simulated data."""

import json
import shutil

import pytest

from geneq import cli
from geneq._ext import CODE_DIGEST

from .conftest import ROOT, pipeline

OPTIONS = ("-profile", "test", "--seed", 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Simulated data of 300 genes, two data sets: blood, and muscle with its file cut short."""
    folder = tmp_path_factory.mktemp("data")
    assert cli.main(["simulate", "--out", str(folder), "--genes", "300", "--seed", "3"]) == 0
    (folder / "muscle.h5ad").rename(folder / "whole.h5ad")
    (folder / "muscle.h5ad").write_bytes((folder / "whole.h5ad").read_bytes()[:5000])
    return folder


def inputs(data):
    return (
        *(
            "--input",
            data / "samplesheet.csv",
            "--fasta",
            data / "genome.fa.gz",
            "--gtf",
            data / "genes.gtf",
        ),
        *("--truth", data / "truth.parquet"),
    )


def test_a_broken_data_set_is_named_and_stops_no_other(data, tmp_path):
    run = pipeline(tmp_path, *OPTIONS, *inputs(data))
    results = tmp_path / "results"
    assert run.status != 0
    assert "Without a report: muscle\n" in run.text
    assert "muscle failed in PSEUDOBULK (exit status 1): geneq pseudobulk: error: " in run.text
    assert [path.name for path in (results / "datasets").iterdir()] == ["blood"]
    assert "<html" in (results / "datasets/blood/report/report.html").read_text()
    assert "blood" in (results / "atlas.html").read_text()
    recovery = json.loads((results / "recovery.json").read_text())
    assert {entry["dataset"] for entry in recovery} == {"blood"}
    versions = (results / "pipeline_info/versions.yml").read_text()
    assert "DISTILL:\n  geneq:" in versions
    assert f'code_digest: "{CODE_DIGEST}"' in versions

    # Mended, and taken up again: only what was broken, and the atlas over both, is computed.
    (data / "whole.h5ad").replace(data / "muscle.h5ad")
    again = pipeline(tmp_path, *OPTIONS, *inputs(data), "-resume")
    assert again.status == 0, again.text
    anew = {f"{stage} (muscle)" for stage in ("PSEUDOBULK", "SEARCH", "DISTILL", "REPORT")}
    assert set(again.submitted) == {*anew, "ATLAS (2 data sets)"}
    assert set(again.cached) == set(run.submitted) - {"ATLAS (1 data sets)", "PSEUDOBULK (muscle)"}
    assert "muscle" in (results / "atlas.html").read_text()


def test_an_image_with_other_code_than_the_checkout_stops(data, tmp_path):
    checkout = tmp_path / "checkout"
    skip = shutil.ignore_patterns(".*", "target", "__pycache__", "*.so")
    for name in ("python", "rust_ext", "lib", "modules", "conf"):
        shutil.copytree(ROOT / name, checkout / name, ignore=skip)
    for name in ("main.nf", "nextflow.config", "nextflow_schema.json"):
        shutil.copy(ROOT / name, checkout)
    with (checkout / "python/geneq/errors.py").open("a") as file:
        file.write("# edited after the image was built\n")
    run = pipeline(tmp_path, *OPTIONS, *inputs(data), checkout=checkout)
    assert run.status != 0
    assert run.submitted == ["GENES (genome)"]
    assert "The installed geneq holds other code than the checkout" in run.text
    assert not (tmp_path / "results/genomes").exists()

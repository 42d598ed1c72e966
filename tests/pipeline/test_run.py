"""Whole runs of the real stages on small simulated data."""

import csv
import json
import shutil

import pytest

from geneq import cli
from geneq._ext import CODE_DIGEST
from geneq.artifacts import VARIANTS
from geneq.locus import Locus
from geneq.phi import Surrogate

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
    # The locus waits for an equation of muscle.
    run = pipeline(tmp_path, *OPTIONS, *inputs(data), "--loci", data / "loci.csv")
    results = tmp_path / "results"
    assert run.status != 0
    assert "Without a report: muscle\nWithout a surrogate: fibroblast_AP1\n" in run.text
    assert not (results / "loci").exists()
    assert "muscle failed in PSEUDOBULK (exit status 1): geneq pseudobulk: error: " in run.text
    assert [path.name for path in (results / "datasets").iterdir()] == ["blood"]
    assert "<html" in (results / "datasets/blood/report/report.html").read_text()
    assert "blood" in (results / "atlas.html").read_text()
    recovery = json.loads((results / "recovery.json").read_text())
    assert {entry["dataset"] for entry in recovery} == {"blood"}
    versions = (results / "pipeline_info/versions.yml").read_text()
    assert "\nDISTILL:\n  geneq:" in versions
    assert f'code_digest: "{CODE_DIGEST}"' in versions

    # Mended, and taken up again: only what was broken, and the atlas over both, is computed.
    (data / "whole.h5ad").replace(data / "muscle.h5ad")
    again = pipeline(tmp_path, *OPTIONS, *inputs(data), "-resume")
    assert again.status == 0, again.text
    anew = {f"{stage} (muscle)" for stage in ("PSEUDOBULK", "SEARCH", "DISTILL", "REPORT")}
    assert set(again.submitted) == {*anew, "ATLAS (2 data sets)"}
    assert set(again.cached) == set(run.submitted) - {"ATLAS (1 data sets)", "PSEUDOBULK (muscle)"}
    assert "muscle" in (results / "atlas.html").read_text()


LOCI = "locus,chrom,start,end,strand,oracle,target,window_start,window_end,n"


def sheet_of_loci(folder, *rows):
    """Loci of 120 nt by a site of the simulated genome, scored by a motif."""
    (folder / "loci.csv").write_text("\n".join([LOCI, *rows]) + "\n")
    return folder / "loci.csv"


def test_a_locus_that_fails_is_named_and_stops_no_other(data, tmp_path):
    with open(data / "sites.csv") as file:
        positions = [int(text) for text in next(csv.DictReader(file))["positions"].split()]
    with open(data / "loci.csv") as file:
        chrom = next(csv.DictReader(file))["chrom"]
    place = f"{chrom},{positions[0] - 60},{positions[0] + 60}"
    options = ("--fasta", data / "genome.fa.gz", "--gtf", data / "genes.gtf", "--loci")
    variants = ("--vcf", data / "variants.vcf")
    plus = f"plus,{place},+,motifs:core,AP1,,,1500"
    minus = f"minus,{place},-,motifs:core,AP1,,,1500"
    bad = f"bad,{place},+,motifs:core,AP9,,,1500"
    run = pipeline(tmp_path, *options, sheet_of_loci(tmp_path, plus, bad, minus), *variants)
    results = tmp_path / "results"
    assert run.status != 0
    assert "Without a surrogate: bad\n" in run.text
    assert "bad failed in score: motifs:core has no such target: 'AP9'" in run.text
    assert "SCORE (plus and 2 more)" in run.submitted
    assert {path.name for path in (results / "loci").iterdir()} == {
        *("plus", "minus"),
        *("variants.parquet", "failed.tsv"),
    }
    page = (results / "loci.html").read_text()
    assert "What failed" in page
    # The site is found, on either strand, and the variants in it lower the score.
    for name in ("plus", "minus"):
        place = Locus.load(results / "loci" / name / "surrogate")
        surrogate = Surrogate.load(results / "loci" / name / "surrogate")
        table = surrogate.table("uniform")
        own = table[table["wild"] == table["letter"]].set_index("position")["phi:AP1"]
        strongest = {*own.nlargest(len(positions)).index}
        assert len(strongest & {place.position(position) for position in positions}) >= 5
    variants = VARIANTS.read(results / "loci" / "variants.parquet")
    in_site = variants[variants["id"].str.startswith("site") & (variants["method"] == "oracle")]
    assert len(in_site) == 2 * len(positions)
    assert (in_site["effect"] < 0).all()

    # Mended, its task and what comes after are done again.
    mended = sheet_of_loci(tmp_path, plus, bad.replace("AP9", "AP1"), minus)
    again = pipeline(tmp_path, *options, mended, "-resume")
    assert again.status == 0, again.text
    assert again.cached == ["GENES (genome)"]
    assert (results / "loci" / "bad" / "surrogate" / "surrogate.npz").exists()


def test_an_image_with_other_code_than_the_checkout_stops(data, tmp_path):
    checkout = tmp_path / "checkout"
    skip = shutil.ignore_patterns(".*", "target", "__pycache__", "*.so")
    for name in ("python", "rust_ext", "lib", "modules", "workflows", "conf"):
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

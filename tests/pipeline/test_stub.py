"""The way of the data, with stubs in place of the stages."""

from collections import Counter

import pytest

from .conftest import pipeline


@pytest.fixture
def inputs(tmp_path):
    """Three data sets on two genomes, with names that a shell would trip over; options."""
    data = tmp_path / "the data"
    data.mkdir()
    for name in ("a & b's.h5ad", "genome 1.fa", "genes;1.gtf", "promoters.fa", "motifs(1).meme"):
        (data / name).touch()
    (data / "sheet.csv").write_text(
        "dataset,h5ad,cell_type_key,genome\n"
        "b,a & b's.h5ad,cell type's,human\n"
        "a,a & b's.h5ad,k,human\n"
        "c,a & b's.h5ad,k,fly\n"
    )
    (data / "genomes.csv").write_text(
        "genome,fasta,gtf,promoters\nhuman,genome 1.fa,genes;1.gtf,\nfly,,,promoters.fa\n"
        "unused,,,promoters.fa\n"
    )
    sheets = ("--input", data / "sheet.csv", "--genomes", data / "genomes.csv")
    return *sheets, f"--oracle=motifs:{data}/motifs(1).meme"


def test_every_stage_runs_as_often_as_it_should_and_is_published(tmp_path, inputs):
    run = pipeline(tmp_path, "-stub", *inputs, "--cv", "--shard_genes", 5000)
    assert run.status == 0, run.text
    times = Counter(name.split(" ")[0] for name in run.submitted)
    assert times == {
        "GENES": 2,
        "FEATURIZE": 6,  # 12,000 genes in the stub of genes, two genomes
        "JOIN": 2,
        "PSEUDOBULK": 3,
        "SEARCH": 18,
        "DISTILL": 18,
        "REPORT": 3,
        "ATLAS": 1,
    }
    results = tmp_path / "results"
    stages = {"pseudobulk", "search", "distill", "report", "cv"}
    assert {path.name for path in (results / "genomes").iterdir()} == {"human", "fly"}
    assert {path.name for path in (results / "genomes/fly").iterdir()} == {"genes", "featurize"}
    for dataset in "abc":
        assert {path.name for path in (results / "datasets" / dataset).iterdir()} == stages
    folds = {f"fold{k}/{stage}" for k in range(5) for stage in ("search", "distill")}
    found = (results / "datasets/a/cv").glob("*/*")
    assert {f"{path.parent.name}/{path.name}" for path in found} == folds
    assert {path.name for path in results.iterdir()} == {
        "genomes",
        "datasets",
        "atlas.html",
        "pipeline_info",
    }
    assert {path.name for path in (results / "pipeline_info").iterdir()} == {
        "report.html",
        "timeline.html",
        "trace.txt",
        "dag.html",
        "versions.yml",
    }

    again = pipeline(tmp_path, "-stub", *inputs, "--cv", "--shard_genes", 5000, "-resume")
    assert again.status == 0, again.text
    assert again.submitted == []
    assert Counter(again.cached) == Counter(run.submitted)

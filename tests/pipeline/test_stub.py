"""The whole workflow, with stubs in place of the stages."""

import re
from collections import Counter

import pytest

from .conftest import pipeline, with_lib


@pytest.fixture
def inputs(tmp_path):
    """Three data sets on two genomes, loci, an experiment, variants and folders of models, with
    names that a shell would trip over; options."""
    data = tmp_path / "the data"
    data.mkdir()
    names = ("a & b's.h5ad", "genome 1.fa", "genes;1.gtf", "promoters.fa", "motifs(1).meme")
    names += ("net's 1.h5", "v 1.vcf", "t's.tsv", "recipe(1).json", "net.py", "b+c's.meme")
    for name in (*names, "half lives (1).tsv", "c's (1).tsv", "net's 1.json"):
        (data / name).touch()
    for name in ("db's (1)", "sei", "fly's (1).zarr"):
        (data / name).mkdir()
        (data / name / "file").touch()
    (data / "sheet.csv").write_text(
        "dataset,h5ad,cell_type_key,genome\n"
        "b,a & b's.h5ad,cell type's,human\n"
        "a,a & b's.h5ad,k,human\n"
        "c,a & b's.h5ad,k,fly\n"
    )
    (data / "genomes.csv").write_text(
        "genome,fasta,gtf,promoters,features\nhuman,genome 1.fa,genes;1.gtf,,\n"
        "fly,,,promoters.fa,fly's (1).zarr\nunused,,,promoters.fa,\n"
    )
    # Of the network 40,000 symbols a locus, and 100 x 31 of the saturation library.
    (data / "loci.csv").write_text(
        "locus,genome,chrom,start,end,strand,oracle,target,window_start,window_end,library,n,reduce\n"
        + "".join(
            f"net{i},human,chr1,0,100,-,deepstarr:net's 1.h5,it's,10,20,random,400,\n"
            for i in range(3)
        )
        + "all,human,chr1,0,100,,deepstarr:net's 1.h5,,10,20,saturation,,\n"
        "own,human,chr1,0,2048,,distill:b:T cell (CD4+),,,,,,\n"
        "code,human,chr1,0,100,,python:net.py:make,,,,,,python:net.py:last\n"
        "deep,human,chr1,0,100,,deepbind:db's (1):C2H2 ZF,,,,,,\n"
    )
    (data / "experiments.csv").write_text(
        "experiment,recipe,oracle,target\nx.1,recipe(1).json,motifs:motifs(1).meme,it's\n"
    )
    given = ("input", "genomes", "loci", "experiments")
    names = ("sheet.csv", "genomes.csv", "loci.csv", "experiments.csv")
    sheets = [f"--{name}={data / sheet}" for name, sheet in zip(given, names, strict=True)]
    variants = (f"--vcf={data}/v 1.vcf", f"--variants_truth={data}/t's.tsv")
    oracles = f"--oracle=motifs:{data}/motifs(1).meme+kmers:2+motifs:{data}/b+c's.meme"
    oracles += (
        f"+deepbind:{data}/db's (1):SELEX,C2H2 ZF+deepbind:{data}/db's (1):CTCF+sei:{data}/sei"
    )
    models = ("--tile=128", f"--classes={data}/c's (1).tsv")
    tables = (f"--gene_features={data}/half lives (1).tsv", "--annotation_features")
    return *sheets, *variants, oracles, *models, *tables


def test_every_stage_runs_as_often_as_it_should_and_is_published(tmp_path, inputs):
    budgets = ("--cv", "--shard_genes", 5000, "--shard_bases", 85_000)
    run = pipeline(tmp_path, "-stub", *inputs, *budgets)
    assert run.status == 0, run.text
    times = Counter(name.split(" ")[0] for name in run.submitted)
    assert times == {
        "GENES": 2,
        "FEATURIZE": 3,  # 12,000 genes in the stub of genes
        "JOIN": 1,
        "FEATURES": 1,  # those of the fly exist
        "PSEUDOBULK": 3,
        "SEARCH": 18,
        "DISTILL": 18,
        "REPLICATE": 12,  # 50 replicates, at most 16 a task with 12,000 genes and 5 cell types
        "STABILITY": 3,
        "REPORT": 3,
        "ATLAS": 1,
        "SCORE": 6,  # two loci, and one with few symbols more; three; the experiment
        "SURROGATE": 6,
        "VARIANTS": 5,
        "LOCI_REPORT": 1,
    }
    assert {"SCORE (net0 and 1 more)", "SCORE (net2 and 1 more)", "SCORE (own)"} < {*run.submitted}
    results = tmp_path / "results"
    stages = {"pseudobulk", "search", "distill", "stability", "report", "cv"}
    assert {path.name for path in (results / "genomes").iterdir()} == {"human", "fly"}
    assert {path.name for path in (results / "genomes/human").iterdir()} == {"genes", "featurize"}
    assert {path.name for path in (results / "genomes/fly").iterdir()} == {"genes"}
    for dataset in "abc":
        assert {path.name for path in (results / "datasets" / dataset).iterdir()} == stages
    found = {f"{path.parent.name}/{path.name}" for path in (results / "loci").glob("*/*")}
    loci = ("net0", "net1", "net2", "all", "own", "code", "deep", "x.1")
    assert found == {f"{locus}/{stage}" for locus in loci for stage in ("score", "surrogate")}
    assert (results / "loci/x.1/surrogate/surrogate.npz").exists()
    folds = {f"fold{k}/{stage}" for k in range(5) for stage in ("search", "distill")}
    found = (results / "datasets/a/cv").glob("*/*")
    assert {f"{path.parent.name}/{path.name}" for path in found} == folds
    assert {path.name for path in results.iterdir()} == {
        "genomes",
        "datasets",
        "loci",
        "atlas.html",
        "cell_types.tsv",
        "loci.html",
        "pipeline_info",
    }
    assert {path.name.split("-")[0] for path in (results / "pipeline_info").iterdir()} == {
        "report.html",
        "timeline.html",
        "trace",
        "dag.html",
        "versions.yml",
    }

    # Features, and loci with an equation of them, have all that --oracle and --classes name; other
    # loci have their own models.
    scripts = (tmp_path / "work").glob("*/*/.command.run")
    tasks = [(path.parent, re.search("### name: '(.+)'", path.read_text())) for path in scripts]
    for stage, n in (("FEATURIZE", 3), ("SCORE (own)", 1), ("VARIANTS (own)", 1)):
        found = [folder for folder, name in tasks if f":{stage}" in name.group(1)]
        assert len(found) == n
        for folder in found:
            assert (folder / "motifs(1).meme").exists() and (folder / "b+c's.meme").exists()
            models = ("db's (1)/file", "sei/file", "classes/c's (1).tsv")
            assert all((folder / name).exists() for name in models)
    for stage, name in (
        ("SCORE (deep)", "db's (1)/file"),
        ("VARIANTS (deep)", "db's (1)/file"),
        ("SCORE (net0 ", "net's 1.json"),
        ("SEARCH (c)", "fly's (1).zarr/file"),
    ):
        (folder,) = [folder for folder, name in tasks if f":{stage}" in name.group(1)]
        assert (folder / name).exists() and not (folder / "sei").exists()

    again = pipeline(tmp_path, "-stub", *inputs, *budgets, "-resume")
    assert again.status == 0, again.text
    assert again.submitted == []
    assert Counter(again.cached) == Counter(run.submitted)


def test_an_experiment_needs_neither_data_sets_nor_a_genome(tmp_path, inputs):
    (sheet,) = [option for option in inputs if option.startswith("--experiments")]
    run = pipeline(tmp_path, "-stub", sheet)
    assert run.status == 0, run.text
    assert run.submitted == ["SCORE (x.1)", "SURROGATE (x.1)", "LOCI_REPORT (1 loci)"]
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        "loci",
        "loci.html",
        "pipeline_info",
    }


def test_reports_have_the_effects_of_variants_unless_those_fail(tmp_path):
    for name in ("a.h5ad", "b.h5ad", "g.fa", "g.gtf", "v.vcf", "t.tsv", "net.pt", "c.tsv"):
        (tmp_path / name).touch()
    (tmp_path / "s.csv").write_text("dataset,h5ad,cell_type_key\na,a.h5ad,k\nb,b.h5ad,k\n")
    (tmp_path / "fail.config").write_text(
        "process { withName: 'EFFECTS' { beforeScript = { task.tag == 'a' ? 'exit 3' : '' } } }"
    )
    inputs = ("--input", "s.csv", "--fasta", "g.fa", "--gtf", "g.gtf", "-c", "fail.config")
    inputs += ("--oracle", "torchscript:net.pt+kmers:2", "--classes", "c.tsv")
    variants = ("--vcf", "v.vcf", "--variants_truth", "t.tsv")
    run = pipeline(tmp_path, "-stub", *inputs, *variants)
    assert run.status != 0 and "a failed in EFFECTS" in run.text
    anew = {"REPORT (a)", "REPORT (b)", "ATLAS (2 data sets)"}
    assert anew < {*run.submitted}
    assert not (folder_of(tmp_path, "REPORT (a)") / "variants").exists()
    assert (folder_of(tmp_path, "REPORT (b)") / "variants").exists()
    assert (folder_of(tmp_path, "EFFECTS (b)") / "truth/t.tsv").exists()
    for stage in ("BACKGROUND (b)", "EFFECTS (b)"):
        folder = folder_of(tmp_path, stage)
        assert (folder / "net.pt").exists() and (folder / "classes/c.tsv").exists()
    versions = (tmp_path / "results/pipeline_info/versions.yml").read_text()
    assert "EXPRESSION:" not in versions and "EQUATIONS:" not in versions

    # Without variants only the reports differ.
    without = pipeline(tmp_path, "-stub", *inputs, "-resume")
    assert without.status == 0, without.text
    assert {*without.submitted} == anew - {"REPORT (a)"}


def folder_of(root, task):
    """The work folder of a task."""
    for path in (root / "work").glob("*/*/.command.run"):
        if re.search(rf"### name: '(.+:)?{re.escape(task)}'", path.read_text()):
            return path.parent
    raise AssertionError(task)


def test_replicates_of_a_small_data_set_are_one_task(tmp_path):
    """16 replicates of 12,000 genes and 5 cell types, which are those of the stubs."""
    for name in ("a.h5ad", "p.fa"):
        (tmp_path / name).touch()
    (tmp_path / "s.csv").write_text("dataset,h5ad,cell_type_key\na,a.h5ad,k\n")
    inputs = ("-stub", "--input", "s.csv", "--promoters", "p.fa")
    run = pipeline(tmp_path, *inputs, "--replicates", 16)
    assert run.status == 0, run.text
    of_a = ["PSEUDOBULK", "SEARCH", "DISTILL", "STABILITY", "REPORT"]
    assert [name for name in run.submitted if name.endswith("(a)")] == [f"{s} (a)" for s in of_a]
    assert not any("REPLICATE" in name for name in run.submitted)
    assert (folder_of(tmp_path, "REPORT (a)") / "stability").exists()

    more = pipeline(tmp_path, *inputs, "--replicates", 17, "-resume")
    assert more.status == 0, more.text
    wanted = {"REPLICATE (a 1/2)", "REPLICATE (a 2/2)", "STABILITY (a)"}
    assert wanted <= {*more.submitted} and "SEARCH (a)" in more.cached


@pytest.mark.parametrize("given", [("--replicates", 0), (), ("--cv",)])
def test_the_report_of_a_data_set_does_not_wait_for_other_data_sets(tmp_path, given):
    for name in ("a.h5ad", "b.h5ad", "p.fa"):
        (tmp_path / name).touch()
    (tmp_path / "s.csv").write_text("dataset,h5ad,cell_type_key\na,a.h5ad,k\nb,b.h5ad,k\n")
    # The search of `a` waits for the report of `b`, at most three minutes.
    wait = (
        f"timeout 180 bash -c 'until [ -e {tmp_path}/results/datasets/b/report ]; do sleep 1; done'"
    )
    (tmp_path / "slow.config").write_text(
        f"process {{ withName: 'SEARCH' {{ beforeScript = {{ "
        f'task.tag.toString() == \'a\' ? """{wait} || exit 1""" : \'\' }} }} }}\n'
        "executor.cpus = 4\n"
    )
    inputs = ("-stub", "-c", "slow.config", "--input", "s.csv", "--promoters", "p.fa")
    run = pipeline(tmp_path, *inputs, *given)
    assert run.status == 0, run.text


def test_the_number_of_replicates_of_a_task_is_by_genes_and_cell_types(tmp_path):
    cases = {
        (50, None, 100, 4): 1,
        (50, None, 20_000, 1): 1,
        (50, None, 20_001, 1): 2,  # 49 a task
        (50, None, 20_000, 10): 10,
        (50, None, 60_000, 500): 50,  # more than a task should have, but a replicate is not divided
        (50, None, 0, 0): 1,
        (50, 10, 100, 4): 5,
        (7, 3, 60_000, 500): 3,
    }
    calls = [str(case).strip("()").replace("None", "null").replace("_", "") for case in cases]
    lines = "\n".join(f"println('SHARDS ' + Shards.ofReplicates({call}))" for call in calls)
    run = with_lib(tmp_path, lines)
    assert run.status == 0, run.text
    assert [int(n) for n in re.findall(r"SHARDS (\d+)", run.text)] == [*cases.values()]

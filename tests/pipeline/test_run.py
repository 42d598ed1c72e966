"""Whole runs of the real stages on small simulated data."""

import csv
import hashlib
import json
import re
import shutil

import anndata
import numpy as np
import pandas as pd
import pytest

from geneq import cli
from geneq._ext import CODE_DIGEST
from geneq.artifacts import (
    AGREEMENT,
    EXPRESSION_AGREEMENT,
    EXPRESSION_EFFECTS,
    GENES,
    METRICS,
    VARIANTS,
)  # fmt: skip
from geneq.features import Features
from geneq.genome import Genome
from geneq.libraries import FactorialLibrary, GlobalLibrary, Motif
from geneq.locus import Locus, read_failed
from geneq.mave import Mave
from geneq.stability import read_stability
from geneq.surrogates import Surrogate
from profiles import HALVES, LAST
from test_deep_features import write_cells
from test_deepbind import make_nets, write_folder

from .conftest import ROOT, pipeline

CORE = ROOT / "python" / "geneq" / "data" / "core.meme"
PROFILE = ("-profile", "test", "--seed", 1)
OPTIONS = (*PROFILE, "--replicates", 0)
DATASETS = ("blood", "muscle")
# What --vcf adds to a data set, or changes.
EFFECTS = ("BACKGROUND", "EFFECTS", "REPORT")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Simulated data of 300 genes, two data sets: blood, and muscle with its file cut short."""
    folder = tmp_path_factory.mktemp("data")
    assert cli.main(["simulate", "--out", str(folder), "--genes", "300", "--seed", "3"]) == 0
    (folder / "muscle.h5ad").rename(folder / "whole.h5ad")
    (folder / "muscle.h5ad").write_bytes((folder / "whole.h5ad").read_bytes()[:5000])
    return folder


def inputs(data, sheet="samplesheet.csv"):
    return (
        *("--input", data / sheet, "--fasta", data / "genome.fa.gz", "--gtf", data / "genes.gtf"),
        *("--truth", data / "truth.parquet"),
    )


@pytest.fixture(scope="module")
def broken(data, tmp_path_factory):
    """A run over both data sets, and its folder, with a copy of its results in `first`, since it is
    resumed. The locus waits for an equation of muscle."""
    folder = tmp_path_factory.mktemp("broken")
    run = pipeline(folder, *OPTIONS, *inputs(data), "--loci", data / "loci.csv")
    shutil.copytree(folder / "results", folder / "first")
    return folder, run


def test_a_broken_data_set_is_named_and_stops_no_other(data, broken):
    folder, run = broken
    results = folder / "results"
    assert run.status != 0
    assert "Without a report: muscle\nWithout a surrogate: fibroblast_AP1\n" in run.text
    assert not (results / "loci").exists()
    assert "muscle failed in PSEUDOBULK (exit status 1): geneq pseudobulk: error: " in run.text
    assert [path.name for path in (results / "datasets").iterdir()] == ["blood"]
    assert "<html" in (results / "datasets/blood/report/report.html").read_text()
    atlas = (results / "atlas.html").read_text()
    assert "blood" in atlas and "Of 2 data sets 1 failed: muscle." in atlas
    failed = [line.split("\t") for line in (results / "failed.tsv").read_text().splitlines()]
    assert failed[0] == ["name", "stage", "message", "log", "folder"]
    (name, stage, message, log, task) = failed[1]
    assert len(failed) == 2 and (name, stage) == ("muscle", "pseudobulk")
    assert message.startswith("geneq pseudobulk: error: ")
    assert message.endswith(" (exit status 1)")
    assert message.removesuffix(" (exit status 1)") in (folder / log).read_text()
    assert (folder / task / ".command.sh").exists()
    recovery = json.loads((results / "recovery.json").read_text())
    assert {entry["dataset"] for entry in recovery} == {"blood"}
    versions = (results / "pipeline_info/versions.yml").read_text()
    assert "\nDISTILL:\n  geneq:" in versions
    assert f'code_digest: "{CODE_DIGEST}"' in versions

    # Fixed and resumed: only what was broken, and the atlas of both, is computed.
    (data / "whole.h5ad").replace(data / "muscle.h5ad")
    # Variants are asked for, too, and other resources, which is no reason to run a task again.
    vcf = data / "variants.vcf"
    variants = ("--vcf", vcf, "--variants_truth", measured_effects(folder, vcf))
    (folder / "site.config").write_text("process { cpus = 2; memory = 3.GB; time = 1.h }\n")
    site = ("-c", "site.config")
    again = pipeline(folder, *OPTIONS, *inputs(data), *variants, *site, "-resume")
    assert again.status == 0, again.text
    anew = {f"{stage} (muscle)" for stage in ("PSEUDOBULK", "SEARCH", "DISTILL")}
    anew |= {f"{stage} ({name})" for stage in EFFECTS for name in DATASETS}
    assert set(again.submitted) == {*anew, "ATLAS (2 data sets)"}
    before = {"ATLAS (1 data sets)", "PSEUDOBULK (muscle)", "REPORT (blood)"}
    assert set(again.cached) == set(run.submitted) - before
    atlas = (results / "atlas.html").read_text()
    assert "muscle" in atlas and " failed: " not in atlas
    assert not (results / "failed.tsv").exists()
    for name in DATASETS:
        table = EXPRESSION_EFFECTS.read(
            results / f"datasets/{name}/variants/expression_effects.parquet"
        )
        assert set(table["method"]) == {"equation", "teacher"}
        assert table["percentile"].between(0, 100).all()
        assert (results / f"datasets/{name}/background/background.parquet").exists()
        page = (results / f"datasets/{name}/report/report.html").read_text()
        assert "Agreement with measured effects" in page
        compared = EXPRESSION_AGREEMENT.read(
            results / f"datasets/{name}/variants/agreement.parquet"
        )
        assert {"equation", "teacher"} >= set(compared["method"]) > set()
    assert "Effects of variants on expression" in atlas


def blood_alone(data):
    """A samplesheet of one of the two data sets."""
    rows = (data / "samplesheet.csv").read_text().splitlines()
    (data / "blood.csv").write_text("\n".join(row for row in rows if "muscle" not in row))
    return data / "blood.csv"


def files(folder):
    """Contents of the files below a folder, by their paths in it."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in paths}


def test_after_one_task_of_each_stage_was_killed_the_results_are_the_same(data, broken, tmp_path):
    (tmp_path / "loci.csv").write_text(
        "locus,chrom,start,end,oracle,target,n\nsite,chr5,26060,26180,motifs:core,AP1,1500\n"
    )
    genome = ("--fasta", data / "genome.fa.gz", "--gtf", data / "genes.gtf")
    loci = (*genome, "--loci", "loci.csv", "--vcf", data / "variants.vcf")
    undisturbed = pipeline(tmp_path, *loci, "--outdir", "undisturbed")
    assert undisturbed.status == 0, undisturbed.text

    # The first command of the first task of each stage is killed, as if memory had run out.
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "geneq").write_text("#!/bin/bash\nmkdir half; kill -9 $$\n")
    (tmp_path / "killed" / "geneq").chmod(0o755)
    (tmp_path / "kill.config").write_text(
        "process { beforeScript = { task.index == 1 && task.attempt == 1"
        f' ? "export PATH={tmp_path}/killed:\\$PATH" : "" }} }}\n'
    )
    run = pipeline(
        *(tmp_path, *OPTIONS, "--input", blood_alone(data), "--truth", data / "truth.parquet"),
        *(*loci, "-c", "kill.config"),
    )
    assert run.status == 0, run.text
    killed = re.findall(
        r"Process `\w+:(\w+) .* exit status \(137\) -- Execution is retried", run.text
    )
    assert {*killed} == {
        *("GENES", "FEATURIZE", "JOIN", "PSEUDOBULK", "SEARCH", "DISTILL", "REPORT", "ATLAS"),
        *("SCORE", "SURROGATE", "VARIANTS", "LOCI_REPORT"),
    }
    assert len(killed) == len({*killed})
    folder, _ = broken
    for part, other in (
        ("genomes", folder / "first"),
        ("datasets/blood", folder / "first"),
        ("loci", tmp_path / "undisturbed"),
    ):
        found, wanted = files(tmp_path / "results" / part), files(other / part)
        assert {*found} == {*wanted}
        assert [name for name in found if found[name] != wanted[name]] == []
    page = (tmp_path / "results/loci.html").read_bytes()
    assert page == (tmp_path / "undisturbed/loci.html").read_bytes()
    assert (tmp_path / "results/atlas.html").exists()


def test_features_of_one_run_are_those_of_another(data, broken, tmp_path):
    """The oracle and its tasks are skipped, and the results are the same."""
    folder, _ = broken
    features = folder / "results/genomes/genome/featurize/features.zarr"
    given = (*inputs(data, blood_alone(data).name), "--features", features)
    refused = pipeline(tmp_path, *OPTIONS, *given, "--tile", 32, "--strands", "split")
    assert refused.status != 0 and refused.submitted == []
    assert "--strands, --tile: these are options for making features, and the" in refused.text
    run = pipeline(tmp_path, *OPTIONS, *given)
    assert run.status == 0, run.text
    stages = ("GENES (genome)", "FEATURES (genome)", "ATLAS (1 data sets)")
    blood = (f"{stage} (blood)" for stage in ("PSEUDOBULK", "SEARCH", "DISTILL", "REPORT"))
    assert sorted(run.submitted) == sorted([*stages, *blood])
    found = files(tmp_path / "results/datasets/blood")
    wanted = files(folder / "first/datasets/blood")
    assert {*found} == {*wanted}
    assert [name for name in found if found[name] != wanted[name]] == []


def test_specific_and_shared_equations_and_more_baselines(data, tmp_path):
    given = ("--target", "specific", "--shared", "--baselines", "elastic_net,gam", "--trials", 2)
    run = pipeline(tmp_path, *OPTIONS, *inputs(data, blood_alone(data).name), *given)
    assert run.status == 0, run.text
    folder = tmp_path / "results" / "datasets" / "blood"
    found = METRICS.read(folder / "report" / "metrics.parquet")
    models = {"equation", "faithful", "shared", "teacher", "elastic_net", "gam"}
    assert {*found["model"]} == models
    assert {*found["kind"]} == {"absolute", "specific", "specific_models"}
    n = len(list((folder / "distill" / "equations").iterdir()))
    for part in ("distill/shared", "distill/specific/equations", "distill/specific/faithful"):
        assert len(list((folder / part).iterdir())) == n
    page = (folder / "report" / "report.html").read_text()
    for text in ("All models", "specific expression", 'id="shared"', "GAM"):
        assert text in page


def cells_that_follow_cg(folder, files) -> pd.DataFrame:
    """Write sheet.csv and a data set whose expression follows the number of CG near the TSS.

    Returns the gene table.
    """
    words = ("genes", "--genome", "g", *files, "--out", folder / "genes")
    assert cli.main([*map(str, words)]) == 0
    genes = GENES.read(folder / "genes" / "genes.parquet")
    columns = (genes[name].to_numpy() for name in ("chrom", "tss", "strand"))
    windows = Genome(folder / "genes").windows(*columns, -256, 256)
    pairs = ((windows[:, :-1] == 1) & (windows[:, 1:] == 2)).sum(1)
    means = 20 * np.exp2(1.5 * (pairs - pairs.mean()) / pairs.std())
    counts = np.random.default_rng(1).poisson(means, (40, len(genes))).astype(np.float32)
    cells = pd.DataFrame({"cell_type": ["T cell"] * 40}, index=[f"c{i}" for i in range(40)])
    table = anndata.AnnData(counts, cells, pd.DataFrame(index=genes["gene_id"].to_list()))
    table.write_h5ad(folder / "cg.h5ad")
    (folder / "sheet.csv").write_text("dataset,h5ad,cell_type_key\ncg,cg.h5ad,cell_type\n")
    return genes


def test_equations_of_kmers_are_oracles_of_loci(data, tmp_path):
    """Expression follows the number of CG near the TSS: an equation of 3-mers finds that."""
    files = ("--fasta", data / "genome.fa.gz", "--gtf", data / "genes.gtf")
    cells_that_follow_cg(tmp_path, files)
    start, end = pd.read_csv(data / "loci.csv").loc[0, ["start", "end"]]
    (tmp_path / "loci.csv").write_text(
        "locus,chrom,start,end,oracle,window_start,window_end,n,replicates\n"
        f"own,chr5,{start},{end},distill:cg:T cell,{start + 1000},{start + 1060},500,0\n"
        f"counts,chr5,{start},{start + 100},kmers:1,,,500,0\n"
    )
    sheets = ("--input", "sheet.csv", "--loci", "loci.csv")
    options = (*PROFILE, "--shard_replicates", 1, "--oracle", "kmers:3", "--strands", "both")
    run = pipeline(tmp_path, *options, *sheets, *files)
    assert run.status == 0, run.text
    results = tmp_path / "results"
    document = json.loads((results / "datasets/cg/distill/equations/0.json").read_text())
    assert document["selected"]
    (block,) = document["blocks"]
    assert block["name"] == "kmers:3" and block["strands"] == "both"
    assert len(block["classes"]) == 32
    weights = [weight for variable in document["variables"] for weight in variable["weights"]]
    assert any("CG" in weight["class"] for weight in weights)
    assert Mave.load(results / "loci/own/score/mave.parquet").oracle["name"] == "equation:0.json"
    assert Mave.load(results / "loci/counts/score/mave.parquet").targets == ["A", "C", "G", "T"]
    assert {"REPLICATE (cg 1/2)", "REPLICATE (cg 2/2)", "STABILITY (cg)"} < {*run.submitted}
    (stability,) = read_stability(results / "datasets/cg/stability", [document])
    assert stability["replicates"] == 2 and stability["structure"] in (0, 0.5, 1)
    mark = "✓ stable" if stability["stable"] else "✗ unstable"
    pages = (results / "atlas.html", results / "datasets/cg/report/report.html")
    assert all(mark in page.read_text() for page in pages)


def test_oracles_and_a_table_side_by_side_give_an_equation_that_scores_a_locus(data, tmp_path):
    """Motifs of a file and 2-mers in bins of their own, and half-lives of most genes."""
    files = ("--fasta", data / "genome.fa.gz", "--gtf", data / "genes.gtf")
    genes = cells_that_follow_cg(tmp_path, files)
    half_lives = pd.DataFrame({"id": genes["gene_id"], "half_life": np.arange(len(genes)) % 11})
    half_lives.iloc[5:].to_csv(tmp_path / "half lives.csv", index=False)
    shutil.copy(CORE, tmp_path / "my+own.meme")
    start, end = pd.read_csv(data / "loci.csv").loc[0, ["start", "end"]]
    (tmp_path / "loci.csv").write_text(
        "locus,chrom,start,end,oracle,window_start,window_end,n,replicates\n"
        f"own,chr5,{start},{end},distill:cg:T cell,{start + 1000},{start + 1060},500,0\n"
    )
    run = pipeline(
        *(tmp_path, *OPTIONS, "--input", "sheet.csv", "--loci", "loci.csv", *files),
        *("--oracle", "motifs:my+own.meme+kmers:2", "--gene_features", "half lives.csv"),
        *("--bin_edges=-1024,-256,0,256,1024/-256,0,256", "--shard_genes", 200),
    )
    assert run.status == 0, run.text
    results = tmp_path / "results"
    features = Features.read(results / "genomes/genome/featurize/features.zarr")
    names = ["motifs:my+own.meme", "kmers:2", "table:half lives.csv"]
    assert [block.name for block in features.blocks] == names
    assert [block.values.shape[:2] for block in features.blocks] == [
        (len(genes), bins) for bins in (4, 2, 1)
    ]
    assert features.blocks[2].meta["missing"] == {"half_life": 5}
    assert all(block.quantiles is not None for block in features.blocks)
    document = json.loads((results / "datasets/cg/distill/equations/0.json").read_text())
    assert document["selected"] and [block["name"] for block in document["blocks"]] == names
    assert set(document["blocks"][2]["medians"]) == {"half_life"}
    mave = Mave.load(results / "loci/own/score/mave.parquet")
    assert mave.oracle["name"] == "equation:0.json" and np.ptp(mave.y) > 0


def test_equations_of_deepbind_classes_score_variants_and_loci(data, tmp_path):
    """A filter with a space, and names with spaces. Expression follows one class."""
    files = ("--fasta", data / "genome.fa.gz", "--gtf", data / "genes.gtf")
    write_folder(tmp_path / "my nets", make_nets())
    classes = tmp_path / "the classes.tsv"
    classes.write_text("output\tclass\nGATA1_D1.001\tboth\nSP1\tboth\nSP1\tSP\n")
    models = ("--oracle", "deepbind:my nets:SELEX,Homo sapiens+kmers:2", "--classes", classes)
    edges = "--bin_edges=-300,-100,100,300"
    commands = [("genes", "--genome", "g", *files, edges, "--out", tmp_path / "genes")]
    options = (f"{word}".replace("my nets", f"{tmp_path}/my nets") for word in models)
    out = ("--out", tmp_path / "features.zarr")
    commands.append(("featurize", "--genome_dir", tmp_path / "genes", *options, *out))
    for command in commands:
        assert cli.main([*map(str, command), "--threads", "1"]) == 0
    write_cells(Features.read(tmp_path / "features.zarr"), "SP", tmp_path / "sp.h5ad")
    (tmp_path / "sheet.csv").write_text("dataset,h5ad,cell_type_key\nd,sp.h5ad,cell_type\n")
    genes = GENES.read(tmp_path / "genes" / "genes.parquet")
    chrom, tss, gene = genes.loc[genes["strand"] == "+", ["chrom", "tss", "gene_id"]].iloc[0]
    base = base_of(Genome(tmp_path / "genes"), chrom, tss)
    other = "ACGT"["ACGT".index(base) - 1]
    (tmp_path / "v.vcf").write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        f"{chrom}\t{tss + 1}\tv\t{base}\t{other}\t.\t.\t.\n"
    )
    variants = ("--vcf", "v.vcf", "--shard_genes", 200, edges)
    run = pipeline(tmp_path, *OPTIONS, "--input", "sheet.csv", *files, *models, *variants)
    assert run.status == 0, run.text
    assert {"FEATURIZE (genome 2/2)", "BACKGROUND (d)", "EFFECTS (d)"} < {*run.submitted}
    results = tmp_path / "results"
    networks, kmers = Features.read(results / "genomes/genome/featurize/features.zarr").blocks
    assert networks.name == "deepbind:my nets:SELEX,Homo sapiens, classes the classes.tsv"
    assert networks.classes == ["both", "SP"] and len(networks.values) == 300
    assert networks.meta["classes_file"] == hashlib.sha256(classes.read_bytes()).hexdigest()
    assert kmers.name == "kmers:2" and "classes_file" not in kmers.meta
    equation = results / "datasets/d/distill/equations/0.json"
    assert json.loads(equation.read_text())["selected"]
    effects = EXPRESSION_EFFECTS.read(results / "datasets/d/variants/expression_effects.parquet")
    effect = effects.set_index(["gene_id", "method"]).loc[(gene, "equation"), "effect"]

    # The equation of that run, by its file, as the oracle of a locus.
    (tmp_path / "loci.csv").write_text(
        "locus,chrom,start,end,oracle,window_start,window_end,n,replicates\n"
        f"own,{chrom},{tss - 300},{tss + 300},equation:{equation},{tss - 20},{tss + 20},300,0\n"
    )
    locus = ("--loci", "loci.csv", "--vcf", "v.vcf", "--outdir", "second", *files)
    run = pipeline(tmp_path, *OPTIONS, *locus, *models)
    assert run.status == 0, run.text
    found = VARIANTS.read(tmp_path / "second/loci/variants.parquet").set_index("method")["effect"]
    assert abs(effect) > 1e-4 and found["oracle"] == pytest.approx(effect, abs=1e-4)
    few = pipeline(tmp_path, *OPTIONS, *locus, *models, "--max_windows", 9)
    assert few.status != 0
    assert "--max_windows 9 allows" in (tmp_path / "second/failed.tsv").read_text()


def base_of(genome: Genome, chrom: str, position: int) -> str:
    """The base of the genome at a 0-based position."""
    return "ACGTN"[genome.tokens(chrom, position, position + 1)[0]]


LOCI = "locus,chrom,start,end,strand,oracle,target,n,reduce"


def sheet_of_loci(folder, *rows):
    """Loci of 120 nt by a site of the simulated genome."""
    (folder / "loci.csv").write_text("\n".join([LOCI, *rows]) + "\n")
    return folder / "loci.csv"


def measured_effects(folder, vcf):
    """A table of effects: the variants in the planted site lower the score, others do not."""
    table = pd.read_csv(vcf, sep="\t", comment="#", usecols=range(5),
                        names=["chrom", "pos", "id", "ref", "alt"])  # fmt: skip
    table["value"] = -1.0 * table["id"].str.startswith("site") + 0.01 * (table["pos"] % 7)
    table.to_csv(folder / "truth.tsv", sep="\t", index=False)
    return folder / "truth.tsv"


def test_a_locus_that_fails_is_named_and_stops_no_other(data, tmp_path):
    with open(data / "sites.csv") as file:
        positions = [int(text) for text in next(csv.DictReader(file))["positions"].split()]
    with open(data / "loci.csv") as file:
        chrom = next(csv.DictReader(file))["chrom"]
    place = f"{chrom},{positions[0] - 60},{positions[0] + 60}"
    options = ("--fasta", data / "genome.fa.gz", "--gtf", data / "genes.gtf", "--loci")
    variants = ("--vcf", data / "variants.vcf")
    variants += ("--variants_truth", measured_effects(tmp_path, data / "variants.vcf"))
    plus = f"plus,{place},+,motifs:core,AP1,1500,"
    minus = f"minus,{place},-,motifs:core,AP1,1500,"
    bad = f"bad,{place},+,motifs:core,AP9,1500,"
    # A task by itself, without variants.
    (tmp_path / "net.py").write_text(HALVES)
    (tmp_path / "the last.py").write_text(LAST)
    far = f"far,{chrom},1000,1040,+,python:net.py:make,,800,"
    far += "python:the last.py:last"
    run = pipeline(tmp_path, *options, sheet_of_loci(tmp_path, plus, bad, minus, far), *variants)
    results = tmp_path / "results"
    assert run.status != 0
    assert "Without a surrogate: bad\n" in run.text
    assert "bad failed in score: motifs:core has no such target: 'AP9'" in run.text
    assert "SCORE (plus and 2 more)" in run.submitted
    (failed,) = (results / "failed.tsv").read_text().splitlines()[1:]
    assert failed.startswith("bad\tscore\tmotifs:core has no such target: 'AP9'")
    assert (tmp_path / failed.split("\t")[-1] / ".command.sh").exists()
    assert {path.name for path in (results / "loci").iterdir()} == {
        *("plus", "minus", "far"),
        *("variants.parquet", "agreement.parquet", "comparisons.parquet", "failed.tsv"),
    }
    page = (results / "loci.html").read_text()
    assert "Failed loci" in page
    # The site is found, on either strand, and the variants in it lower the score.
    for name in ("plus", "minus"):
        place = Locus.load(results / "loci" / name / "surrogate")
        surrogate = Surrogate.load(results / "loci" / name / "surrogate")
        table = surrogate.table("uniform")
        own = table[table["wild"] == table["symbol"]].set_index("position")["phi"]
        strongest = {*own.nlargest(len(positions)).index}
        assert len(strongest & {place.position(position) for position in positions}) >= 5
    variants = VARIANTS.read(results / "loci" / "variants.parquet")
    in_site = variants[variants["id"].str.startswith("site") & (variants["method"] == "oracle")]
    assert len(in_site) == 2 * len(positions)
    assert (in_site["effect"] < 0).all()

    agreement = AGREEMENT.read(results / "loci" / "agreement.parquet").set_index(
        ["locus", "method"]
    )
    assert {*agreement.index.get_level_values("locus")} == {"plus", "minus"}
    judged = variants[(variants["locus"] == "plus") & (variants["method"] == "oracle")]
    assert agreement.loc[("plus", "oracle")]["n"] == len(judged)
    assert agreement.loc[("plus", "oracle")]["pearson"] > 0
    assert page.count("Agreement with measured effects") == 2
    # The last half alone counts, by the surrogate as by what it was fitted to.
    table = pd.read_parquet(results / "loci" / "far" / "surrogate" / "effects.parquet")
    strength = table.groupby("position")["y"].agg(lambda effects: effects.abs().max())
    assert strength[:20].max() < 0.1 < 0.5 < strength[20:].min()

    # Fixed and resumed: its task and those that depend on it run again.
    fixed = sheet_of_loci(tmp_path, plus, bad.replace("AP9", "AP1"), minus, far)
    again = pipeline(tmp_path, *options, fixed, "-resume")
    assert again.status == 0, again.text
    assert {*again.cached} == {"GENES (genome)", "SCORE (far)", "SURROGATE (far)"}
    assert (results / "loci" / "bad" / "surrogate" / "surrogate.npz").exists()


def test_experiments_of_global_and_factorial_designs_are_on_the_page(tmp_path):
    element = GlobalLibrary("N" * 16 + "TGACTCA" + "N" * 16, n=1500, windows=[(16, 23)], seed=1)
    motifs = [
        Motif("site", "AGATAAG", positions=[8, 14], orientations="+-", optional=True),
        Motif("other", "CCTTCCTT", positions=[30], optional=True),
    ]
    design = FactorialLibrary(motifs=motifs, length=48, n_backgrounds=60, seed=1)
    for name, text in (("a", element.to_json()), ("b", design.to_json()), ("c", "{}")):
        (tmp_path / f"{name}, 1.json").write_text(text)
    rows = ['element,"a, 1.json",AP1,true', 'motifs,"b, 1.json",GATA,', 'broken,"c, 1.json",GATA,']
    (tmp_path / "sheet.csv").write_text(
        "\n".join(["experiment,recipe,target,reverse_complement,oracle"]
                  + [f"{row},motifs:core" for row in rows]) + "\n"
    )  # fmt: skip
    run = pipeline(tmp_path, "--experiments", "sheet.csv")
    results = tmp_path / "results"
    assert run.status != 0
    assert "Without a surrogate: broken\n  broken failed in score: " in run.text
    assert {path.name for path in (results / "loci").iterdir()} == {
        *("element", "motifs", "failed.tsv"),
    }
    for name in ("element", "motifs"):
        assert {path.name for path in (results / "loci" / name).iterdir()} == {
            *("score", "surrogate"),
        }
    # Every symbol of the element counts, and its context does not.
    table = pd.read_parquet(results / "loci/element/surrogate/effects.parquet")
    strength = table.groupby("position")["phi"].agg(lambda effects: effects.abs().max())
    assert strength.loc[16:22].min() > 0.1 and strength.drop(range(16, 23)).isna().all()
    # The motif alone has an effect, on either strand and at either place.
    levels = pd.read_parquet(results / "loci/motifs/surrogate/levels.parquet")
    there = levels[levels["start"] >= 0].groupby(["motif", "strand", "start"])["y"].mean()
    assert len(there["site"]) == 4 and there["site"].min() > 5 * there["other"].abs().max()
    spacings = pd.read_parquet(results / "loci/motifs/surrogate/spacings.parquet")
    assert {*spacings["spacing"]} == {9, 15}
    assert [row.locus for row in read_failed(results / "loci" / "failed.tsv")] == ["broken"]
    page = (results / "loci.html").read_text()
    assert 'id="locus-element"' in page and 'id="locus-motifs"' in page
    assert "Failed loci" in page and "Pairs of motifs whose joint effect" in page


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
    assert "The installed geneq was built from other code than the checkout" in run.text
    assert not (tmp_path / "results/genomes").exists()

"""Parameters and sheets are checked before any task starts."""

import json
import re

import pytest

from geneq.errors import GeneqError
from geneq.sheets import read_experiments, read_genomes, read_loci, read_samples

from .conftest import ROOT, nextflow, pipeline

SCHEMA = json.loads((ROOT / "nextflow_schema.json").read_text())
PARAMETERS = {
    name: rule for group in SCHEMA["$defs"].values() for name, rule in group["properties"].items()
}


@pytest.fixture
def folder(tmp_path):
    for name in ("a.h5ad", "genome.fa", "genes.gtf"):
        (tmp_path / name).touch()
    return tmp_path


def faults(text):
    """The lines of a message that name a line of a sheet."""
    return [
        line.split(" -- ")[0].strip() for line in text.splitlines() if line.startswith("  line")
    ]


def test_the_help_describes_every_parameter_and_runs_nothing(tmp_path):
    run = pipeline(tmp_path, "--help")
    assert run.status == 0
    words = " ".join(run.text.split())
    for name, rule in PARAMETERS.items():
        assert f"--{name} {rule['description']}" in words
    assert not (tmp_path / "results").exists()
    assert max(map(len, run.text.splitlines()[2:])) <= 100


def test_the_schema_and_the_configuration_have_the_same_parameters_and_defaults(tmp_path):
    run = nextflow(tmp_path, "config", "-flat", ROOT)
    found = dict(re.findall(r"^params\.(\w+) = (.*)$", run.text, re.MULTILINE))
    literal = {None: "null", True: "true", False: "false"}
    wanted = {name: rule.get("default") for name, rule in PARAMETERS.items()}
    assert found == {
        name: f"'{value}'"
        if isinstance(value, str)
        else literal.get(value, str(value))
        if value is None or isinstance(value, bool)
        else str(value)
        for name, value in wanted.items()
    }


def test_wrong_parameters_are_refused_all_at_once(folder):
    run = pipeline(
        folder,
        *("--input", "sheet.csv", "--min_cels", 5, "--shardGenes", 5, "--flavour", "sweet"),
        *("--trials", 0, "--seed", "many", "--sr_engine", "steam", "--oracle", "sei"),
        *("--bin_edges=-10;10", "--promoters", "p.fa", "--fasta", "genome.fa", "--vcf", "x.vcf"),
        *("--variants_truth", "a*.tsv"),
    )
    assert run.status != 0
    assert run.submitted == []
    for text in (
        "--min_cels is no parameter; is --min_cells meant?",
        "--shardGenes is no parameter; is --shard_genes meant?",
        "--flavour is no parameter\n",
        "--trials must be at least 1, not '0'",
        "--seed must be a whole number, not 'many'",
        "--sr_engine must be one of auto, operon, pysr, not 'steam'",
        "--oracle must be motifs:core or motifs:FILE.meme, with a path without",
        "--bin_edges must be numbers with commas between, not '-10;10'",
        "--vcf cannot be used with --promoters: variants need coordinates",
        "--vcf goes with --loci: variants are looked for in loci",
        "--variants_truth must be a path without",
        "as a sheet of --genomes (given: --fasta, --promoters)",
    ):
        assert text in run.text


def test_faults_of_a_samplesheet_are_those_that_validate_names(folder):
    sheet = folder / "sheet.csv"
    rows = [
        "dataset,h5ad,cell_type_key,scale,genome",
        'my data,a.h5ad,"cell ""type""",auto,',
        "b,gone.h5ad,k,tpm,human",
        "b,a.h5ad,,counts,mouse",
        "c,a.h5ad,k",
        'd,"a.h5ad,k,,',
        "it's,a.h5ad,k,,",
        "x/y,a.h5ad,k,,",
        "",
        "\tz ,a.h5ad,k,,human",
        "y,$(touch gone).h5ad,k,,human",
    ]
    sheet.write_bytes(("\ufeff" + "\r\n".join(rows)).encode())
    run = pipeline(folder, "--input", sheet, "--fasta", "genome.fa", "--gtf", "genes.gtf")
    with pytest.raises(GeneqError) as caught:
        read_samples(sheet)
    assert run.status != 0
    assert run.submitted == []
    assert faults(run.text) == [line.rstrip(".") for line in faults(str(caught.value))]
    assert len(faults(run.text)) == 12
    assert "line 2, column dataset: must begin with a letter or digit" in run.text


def test_faults_of_a_sheet_of_genomes_are_those_that_validate_names(folder):
    sheet = folder / "genomes.csv"
    sheet.write_text("genome,fasta,gtf,promoters\na,genome.fa,,\na,,,gone.fa\n,,,genome.fa\n")
    (folder / "sheet.csv").write_text("dataset,h5ad,cell_type_key\na,a.h5ad,k\n")
    run = pipeline(folder, "--input", "sheet.csv", "--genomes", sheet)
    with pytest.raises(GeneqError) as caught:
        read_genomes(sheet)
    assert run.status != 0
    assert run.submitted == []
    assert faults(run.text) == [line.rstrip(".") for line in faults(str(caught.value))]
    assert "line 2: a genome has fasta and gtf, or promoters alone" in run.text


def test_faults_of_a_sheet_of_loci_are_those_that_validate_names(folder):
    sheet = folder / "loci.csv"
    sheet.write_text(
        "locus,genome,chrom,start,end,strand,oracle,window_start,window_end,library,n,rate,"
        "reduce,precision,reverse_complement\n"
        "a,human,chr1,10,60,+,motifs:core,20,30,random,100,0.1,0:12,bfloat16,true\n"
        "a b,human,chr1,-10,60,.,motifs:core,,,,,,mean,float64,yes\n"
        "a,human,chr1,60,60,,deepstarr:gone.h5,,,shuffled,0,2,,,\n"
        "b,fly,chr1,60,10,,deepstarr,,,,,,python:reduce.py,,\n"
        "c,,chr1,60,60,,motifs:core,,,,,,python:module:function,,\n"
        "d,,chr1,10,60,,distill:blood:T cell,20,,,,,,,\n"
        "e,,chr1,10,60,,python:module:function,20,,,,,,,\n"
        "f,,chr1,10,60,,torchscript:a.h5ad,5,20,,,,,,\n"
        "g,,,,,,,,,,,,,,\n"
        "h,,chr1,10,60,,python:net.py:make,,,,,,python:gone.py:last,,\n"
    )
    run = pipeline(folder, "--loci", sheet, "--fasta", "genome.fa", "--gtf", "genes.gtf")
    with pytest.raises(GeneqError) as caught:
        read_loci(sheet, datasets=[])
    assert run.status != 0
    assert run.submitted == []
    assert faults(run.text) == [line.rstrip(".") for line in faults(str(caught.value))]
    for text in (
        "line 3, column strand: must be one of +, -: '.'",
        "line 4, column locus: must be unlike that of line 2: 'a'",
        "line 4, column oracle: there is no such file (relative paths start at the sheet's",
        "line 4, column rate: must be a number from 0 to 1, as 0.1: '2'",
        "line 3, column reduce: must be sum, max, START:END (bins), pc1 or python:MODULE:FUNCTION",
        "line 3, column precision: must be one of float32, bfloat16, float16: 'float64'",
        "line 3, column reverse_complement: must be one of true, false: 'yes'",
        "line 5, column reduce: must be sum, max",
        "line 11, column reduce: there is no such file",
        "line 5, column genome: must be one of the genomes with coordinates (human): 'fly'",
        "line 6, column end: must be above start, which is 60: '60'",
        "line 7, column oracle: the samplesheet has no such data set: 'blood'",
        "line 8: window_start and window_end go together",
        "line 9: the window must lie in 10-60: '5-20'",
        "line 11, column oracle: there is no such file (relative paths start at the sheet's",
    ):
        assert text in run.text


def test_variants_of_loci_in_two_genomes_are_refused(folder):
    (folder / "genomes.csv").write_text(
        "genome,fasta,gtf\nhuman,genome.fa,genes.gtf\nfly,genome.fa,genes.gtf\n"
    )
    (folder / "loci.csv").write_text(
        "locus,genome,chrom,start,end,oracle\n"
        "a,human,chr1,1,9,motifs:core\nb,fly,chr1,1,9,motifs:core\n"
    )
    (folder / "in.vcf").touch()
    given = ("--loci", "loci.csv", "--genomes", "genomes.csv")
    run = pipeline(folder, *given, "--vcf", "in.vcf", "--variants_truth", "in.vcf")
    assert run.status != 0 and run.submitted == []
    assert "--vcf goes with loci of one genome, and these are of human, fly: run once" in run.text
    run = pipeline(folder, *given, "--variants_truth", "in.vcf")
    assert "--variants_truth goes with --vcf" in run.text


def test_faults_of_a_sheet_of_experiments_are_those_that_validate_names(folder):
    sheet = folder / "experiments.csv"
    sheet.write_text(
        "experiment,recipe,oracle,map,reduce,precision\na,a.h5ad,motifs:core,,max,float16\n"
        "b,gone.json,motifs:core,cubic,3,double\n"
    )
    (folder / "loci.csv").write_text("locus,chrom,start,end,oracle\na,chr1,1,9,motifs:core\n")
    given = ("--loci", "loci.csv", "--fasta", "genome.fa", "--gtf", "genes.gtf")
    run = pipeline(folder, "--experiments", sheet, *given)
    with pytest.raises(GeneqError) as caught:
        read_experiments(sheet, loci=["a"])
    assert run.status != 0
    assert faults(run.text) == [line.rstrip(".") for line in faults(str(caught.value))]
    assert "line 2, column experiment: a locus has this name: 'a'" in run.text

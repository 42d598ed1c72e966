"""Parameters and sheets are checked before any task starts, by the same rules everywhere."""

import json
import re

import pytest

import sheet_cases
from geneq.errors import GeneqError
from geneq.sheets import read_experiments, read_genomes, read_loci, read_samples

from .conftest import ROOT, nextflow, pipeline, with_lib

SCHEMA = json.loads((ROOT / "nextflow_schema.json").read_text())
# Nextflow detects the types of parameters on the command line, or, from 26.04 on, passes text.
DETECTED, TEXT = {}, {"NXF_DISABLE_PARAMS_TYPE_DETECTION": "true"}
PARAMETERS = {
    name: rule for group in SCHEMA["$defs"].values() for name, rule in group["properties"].items()
}


# Oracles side by side by the rule of the column oracle.
NAMED = f"""
def rule = Sheet.rule(file('{ROOT}/python/geneq/data/loci.json'), 'oracle')
def named = {{ names -> Named.sideBySide(names, rule) }}
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("a.h5ad", "genome.fa", "genes.gtf"):
        (tmp_path / name).touch()
    return tmp_path


def errors(text):
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


@pytest.mark.parametrize("env", [DETECTED, TEXT], ids=["detected", "text"])
def test_wrong_parameters_are_refused_all_at_once(folder, env):
    run = pipeline(
        folder,
        *("--input", "sheet.csv", "--min_cels", 5, "--shardGenes", 5, "--flavour", "sweet"),
        *("--max_variables", 0, "--seed", "many", "--sr_engine", "steam", "--oracle", "sei"),
        *("--min_cells", 2.5, "--cv", "maybe", "--queue"),
        *("--bin_edges=-10;10", "--promoters", "p.fa", "--fasta", "genome.fa", "--vcf", "x.vcf"),
        *("--variants_truth", "a*.tsv", "--features", "f.zarr", "--genomes", "g.csv"),
        *("--baselines", "ebm,forest"),
        env=env,
    )
    assert run.status != 0
    assert run.submitted == []
    for text in (
        "--min_cels is not a parameter; did you mean --min_cells?",
        "--shardGenes is not a parameter; did you mean --shard_genes?",
        "--flavour is not a parameter\n",
        "--max_variables must be at least 1, not '0'",
        "--seed must be a whole number, not 'many'",
        "--min_cells must be a whole number, not '2.5'",
        "--cv must be true or false, not 'maybe'",
        "--queue needs a value, not 'true'",
        "--sr_engine must be one of auto, operon, pysr, not 'steam'",
        "--oracle must be TYPE:WHAT, such as motifs:core, or several of these joined by +",
        "--bin_edges must be comma-separated numbers, lists of them separated by /, not '-10;10'",
        "--baselines must be elastic_net, lasso2, ridge, trees, ebm, gam, shap, or some of them",
        "--vcf cannot be used with --promoters: variants need genome coordinates",
        "--variants_truth must be a path without",
        "as --genomes, a sheet (given: --genomes, --fasta, --promoters)",
        "--features is for a single genome: use the column features of --genomes",
    ):
        assert text in run.text


ORACLE = f"--oracle must be {PARAMETERS['oracle']['errorMessage']}, "
CASTS = [
    ("trials", "auto", "auto"),
    ("trials", 12, "12"),
    ("trials", "0", "--trials must be a number of at least 1, or auto, not '0'"),
    ("trials", "5.0", "--trials must be a number of at least 1, or auto, not '5.0'"),
    (
        "strategy",
        "luck",
        "--strategy must be one of tpe, random, evolution, pmbga, reinforce, not 'luck'",
    ),
    ("max_variables", "5", 5),
    ("max_variables", 5, 5),
    ("max_variables", "007", 7),
    ("seed", str(2**40), 2**40),
    ("cv", "false", False),
    ("cv", "True", True),
    ("cv", True, True),
    ("valid_chroms", "20", "20"),
    ("valid_chroms", 20, "20"),
    ("queue", 1, "1"),
    ("baselines", "ebm,gam", "ebm,gam"),
    ("fit_seconds", "true", True),
    ("bin_edges", "-8,0,8", "-8,0,8"),
    ("bin_edges", "-8,0,8/-100,0.5", "-8,0,8/-100,0.5"),
    ("oracle", "motifs:core+kmers:3", "motifs:core+kmers:3"),
    ("oracle", "motifs:a+b.meme+motifs:c", "motifs:a+b.meme+motifs:c"),
    ("oracle", "deepbind:a/b:SELEX,C2H2 ZF+kmers:3", "deepbind:a/b:SELEX,C2H2 ZF+kmers:3"),
    ("oracle", "kmers:3+sei:x+sei:y:profiles", "kmers:3+sei:x+sei:y:profiles"),
    ("oracle", "keras:a b.h5+python:net.py:make", "keras:a b.h5+python:net.py:make"),
    ("oracle", "sei", ORACLE + "not 'sei'"),
    ("oracle", "deepbind:a+sei:$x", ORACLE + "not 'deepbind:a+sei:$x'"),
    (
        "oracle",
        "motifs:https://me:secret@host/$x",
        ORACLE + "not 'motifs:https://…@host/$x'",
    ),
    ("tile", "128", 128),
    ("account", "lab\n", "--account must not contain control characters, not 'lab\\n'"),
    ("tile", "0", "--tile must be at least 1, not '0'"),
    ("annotation_features", "true", True),
    ("keep_outputs", "true", True),
    ("precision", "int8", "--precision must be one of float32, bfloat16, float16, not 'int8'"),
    ("region", None, None),
    ("max_variables", "5.0", "--max_variables must be a whole number, not '5.0'"),
    ("max_variables", 2.5, "--max_variables must be a whole number, not '2.5'"),
    ("max_variables", True, "--max_variables must be a whole number, not 'true'"),
    ("max_variables", [5], "--max_variables must be a whole number, not '[5]'"),
    ("max_variables", "0", "--max_variables must be at least 1, not '0'"),
    ("seed", str(10**30), f"--seed must be a whole number, not '{10**30}'"),
    ("cv", 1, "--cv must be true or false, not '1'"),
    ("cv", "yes", "--cv must be true or false, not 'yes'"),
    ("queue", True, "--queue needs a value, not 'true'"),
    ("queue", " ", "--queue needs a value, not ' '"),
    ("queue", ["a"], "--queue needs a value, not '[a]'"),
    (
        "publish_mode",
        "carry",
        "--publish_mode must be one of copy, symlink, link, move, not 'carry'",
    ),
]


def test_oracles_side_by_side_are_files_and_names(folder):
    (folder / "other").mkdir()
    for name in ("a+b.meme", "c.meme", "other/c.meme"):
        (folder / name).touch()
    run = with_lib(
        folder,
        NAMED
        + """
        def found = named('motifs:a+b.meme+kmers:3+motifs:core+motifs:other/c.meme')
        println("staged: ${found*.staged.join(' ')}")
        println("files: ${found*.file.findAll()*.name.join(' ')}")
        named('motifs:c.meme+motifs:other/c.meme')
        """,
    )
    assert "staged: motifs:a+b.meme kmers:3 motifs:core motifs:c.meme\n" in run.text
    assert "files: a+b.meme c.meme\n" in run.text
    assert run.status != 0 and "--oracle names motifs:c.meme 2 times" in run.text


REFUSED_ORACLES = [
    "names sei:none, and there is no folder none. Relative paths start at",
    "names motifs:none+mine:x, and there is no file none+mine:x.",
    "names deepstarr:db, and there is no file db.",
    "names python:none.py:make, and there is no file none.py.",
    "names kmers:9. Give it as TYPE:WHAT; kmers:K needs K from 1 to 6",
    "names deepbind::SELEX, and there is no folder :SELEX.",
    "names sei:. Give it as TYPE:WHAT",
    "names motifs:. Give it as TYPE:WHAT",
    "cannot be xpresso:x.h5, which has one score for a gene: features need scores of bins.",
    "cannot be equation:a.json, which predicts expression itself",
    "names 2 files or folders that are called db. Rename them",
]


def test_oracles_of_folders_keep_what_follows_the_folder(folder):
    """A folder is staged once, however often it is named."""
    for name in ("db", "a+b/sei", "other/db"):
        (folder / name).mkdir(parents=True)
    (folder / "net.weights.h5").touch()
    (folder / "net.json").touch()
    (folder / "net.py").touch()
    run = with_lib(
        folder,
        NAMED
        + """
        def refused = { names ->
            try {
                named(names)
            }
            catch (nextflow.exception.AbortOperationException e) {
                println("REFUSED ${e.message}")
            }
        }
        def names = 'deepbind:db:SELEX,C2H2 ZF+deepbind:./db/:CTCF+sei:a+b/sei:profiles+kmers:2'
        def found = named(names)
        println("staged: ${found*.staged.join(' | ')}")
        println("files: ${Named.files(found)*.name.join(' ')}")
        println("remote: ${Named.located('deepbind:s3://bucket/db:CTCF', rule)}")
        def others = 'mine:db+keras:net.weights.h5+python:./net.py:make+python:mod:make' +
            '+torchscript:genome.fa'
        println("others: ${named(others)*.staged.join(' | ')}")
        println("their files: ${Named.files(named(others))*.name.join(' ')}")
        ['sei:none', 'motifs:none+mine:x', 'deepstarr:db', 'python:none.py:make', 'kmers:9',
         'deepbind::SELEX', 'kmers:3+sei:', 'kmers:3+motifs:', 'xpresso:x.h5',
         'kmers:1+equation:a.json'].each(refused)
        refused('deepbind:db:SELEX+deepbind:other/db:CTCF')
        """,
    )
    staged = "deepbind:db:SELEX,C2H2 ZF | deepbind:db:CTCF | sei:sei:profiles | kmers:2"
    assert f"staged: {staged}\n" in run.text
    assert "files: db sei\n" in run.text
    assert "remote: [s3://bucket/db, :CTCF, folder]\n" in run.text
    others = "mine:db | keras:net.weights.h5 | python:net.py:make | python:mod:make"
    assert f"others: {others} | torchscript:genome.fa\n" in run.text
    assert "their files: db net.weights.h5 net.json net.py genome.fa\n" in run.text
    refused = re.findall("REFUSED --oracle (.*)", run.text)
    for text, expected in zip(refused, REFUSED_ORACLES, strict=True):
        assert text.startswith(expected)


def test_parameters_are_cast_by_the_schema(folder):
    (folder / "cases.json").write_text(json.dumps([case[:2] for case in CASTS]))
    run = with_lib(
        folder,
        f"""
        def parameters = new Parameters(file('{ROOT}/nextflow_schema.json'))
        def cases = new groovy.json.JsonSlurper().parse(file('cases.json').toFile())
        cases.each {{ name, value ->
            def found
            try {{
                def given = [experiments: 'x.csv', outdir: 'o', (name): value]
                found = parameters.checked(given)[name]
            }}
            catch (nextflow.exception.AbortOperationException error) {{
                found = error.message.readLines().head()
            }}
            println('CASE ' + groovy.json.JsonOutput.toJson([found, found?.getClass()?.simpleName]))
        }}
        """,
    )
    assert run.status == 0, run.text
    found = [json.loads(text) for text in re.findall("CASE (.*)", run.text)]
    assert [value for value, _ in found] == [case[2] for case in CASTS]
    # Of one class, which is part of a task's hash, whatever they were given as.
    classes = {int: "Integer", str: "String", bool: "Boolean", type(None): None}
    for (value, name), case in zip(found, CASTS, strict=True):
        assert name == ("Long" if value == 2**40 else classes[type(value)]), case


def test_parameters_mean_the_same_as_text_in_a_file_or_by_detected_type(folder):
    (folder / "sheet.csv").write_text("dataset,h5ad,cell_type_key\na,a.h5ad,k\n")
    given = {"trials": 5, "cv": False, "valid_chroms": "20", "max_cpus": 1, "gpu": False}
    words = ("-stub", "--input", "sheet.csv", "--fasta", "genome.fa", "--gtf", "genes.gtf")
    words += ("--outdir", 2024)
    typed = [word for name, value in given.items() for word in (f"--{name}", str(value).lower())]
    first = pipeline(folder, *words, *typed)
    assert first.status == 0, first.text
    assert len([name for name in first.submitted if name.startswith("SEARCH")]) == 1
    assert (folder / "2024" / "atlas.html").exists()
    again = pipeline(folder, *words, *typed, "-resume", env=TEXT)
    (folder / "params.json").write_text(json.dumps(given))
    file = pipeline(folder, *words, "-params-file", "params.json", "-resume")
    for run in (again, file):
        assert run.status == 0, run.text
        assert (run.submitted, {*run.cached}) == ([], {*first.submitted})


def test_sheets_of_spreadsheet_programs_are_read_as_validate_reads_them(folder):
    (folder / "sheets").mkdir()
    cases = {**sheet_cases.READ, **sheet_cases.NOT_UTF8}
    cases |= {name: content for name, (content, _) in sheet_cases.REFUSED.items()}
    for number, content in enumerate(cases.values()):
        (folder / "sheets" / f"{number}.csv").write_bytes(content)
        (folder / "sheets" / "a.h5ad").touch()
    run = with_lib(
        folder,
        f"""
        (0..<{len(cases)}).each {{ number ->
            def found
            try {{
                def sheet = file("sheets/${{number}}.csv")
                found = Sheet.samples(sheet, file('{ROOT}/python/geneq/data/samplesheet.json'), [])
                    .collect {{ row -> row.subMap(['dataset', 'cell_type_key']) }}
            }}
            catch (nextflow.exception.AbortOperationException error) {{
                found = error.message
            }}
            println('CASE ' + groovy.json.JsonOutput.toJson(found))
        }}
        """,
    )
    assert run.status == 0, run.text
    found = dict(zip(cases, map(json.loads, re.findall("CASE (.*)", run.text)), strict=True))
    for name in sheet_cases.READ:
        assert found[name] == sheet_cases.ROWS, name
    for name, (_, texts) in sheet_cases.REFUSED.items():
        head, *rest = found[name].split("\n  ")
        assert head.endswith(".csv is not a valid samplesheet") and rest == texts, name
    for name in sheet_cases.NOT_UTF8:
        assert found[name].startswith("A sheet must be UTF-8 text (in "), name


def test_errors_of_a_samplesheet_are_those_that_validate_reports(folder):
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
    assert errors(run.text) == [line.rstrip(".") for line in errors(str(caught.value))]
    assert len(errors(run.text)) == 12
    assert "line 2, column dataset: must start with a letter or digit" in run.text


def test_errors_of_a_sheet_of_genomes_are_those_that_validate_reports(folder):
    sheet = folder / "genomes.csv"
    sheet.write_text(
        "genome,fasta,gtf,promoters,features\n"
        "a,genome.fa,,,\na,,,gone.fa,\n,,,genome.fa,\nb,,,genome.fa,genome.fa\n"
    )
    (folder / "sheet.csv").write_text("dataset,h5ad,cell_type_key\na,a.h5ad,k\n")
    run = pipeline(folder, "--input", "sheet.csv", "--genomes", sheet)
    with pytest.raises(GeneqError) as caught:
        read_genomes(sheet)
    assert run.status != 0
    assert run.submitted == []
    assert errors(run.text) == [line.rstrip(".") for line in errors(str(caught.value))]
    assert "line 2: give either fasta and gtf, or promoters alone" in run.text
    assert "line 5, column features: folder not found (relative paths start at" in run.text


def test_errors_of_a_sheet_of_loci_are_those_that_validate_reports(folder):
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
        "i,,chr1,10,60,,deepbind:gone:SELEX,,,,,,,,\n"
        "j,,chr1,10,60,,sei:genome.fa,,,,,,,,\n"
    )
    run = pipeline(folder, "--loci", sheet, "--fasta", "genome.fa", "--gtf", "genes.gtf")
    with pytest.raises(GeneqError) as caught:
        read_loci(sheet, datasets=[])
    assert run.status != 0
    assert run.submitted == []
    assert errors(run.text) == [line.rstrip(".") for line in errors(str(caught.value))]
    for text in (
        "line 3, column strand: must be one of +, -: '.'",
        "line 4, column locus: already used in line 2: 'a'",
        "line 4, column oracle: file not found (relative paths start at the folder of the sheet)",
        "line 4, column rate: must be a number between 0 and 1, such as 0.1: '2'",
        "line 3, column reduce: must be sum, max, START:END (bins), pc1 or python:MODULE:FUNCTION",
        "line 3, column precision: must be one of float32, bfloat16, float16: 'float64'",
        "line 3, column reverse_complement: must be one of true, false: 'yes'",
        "line 5, column reduce: must be sum, max",
        "line 11, column reduce: file not found",
        "line 5, column genome: must be one of the genomes with coordinates (human): 'fly'",
        "line 6, column end: must be greater than start (60): '60'",
        "line 7, column oracle: the samplesheet has no such data set: 'blood'",
        "line 8: give both window_start and window_end, or neither",
        "line 9: the window must be inside 10-60: '5-20'",
        "line 11, column oracle: file not found (relative paths start at the folder of the sheet)",
        "line 12, column oracle: folder not found (relative paths start at the folder of the sh",
        "line 13, column oracle: folder not found",
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
    assert (
        "--vcf needs loci or data sets of a single genome, but these are of human, fly" in run.text
    )
    run = pipeline(folder, *given, "--variants_truth", "in.vcf")
    assert "--variants_truth needs --vcf: it lists" in run.text
    run = pipeline(folder, "--experiments", "sheet.csv", "--vcf", "in.vcf")
    assert "--vcf needs --loci or --input: variants are scored in loci, or in the" in run.text


def test_errors_of_a_sheet_of_experiments_are_those_that_validate_reports(folder):
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
    assert errors(run.text) == [line.rstrip(".") for line in errors(str(caught.value))]
    assert "line 2, column experiment: a locus has the same name: 'a'" in run.text

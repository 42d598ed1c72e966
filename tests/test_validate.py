"""Sheets: every error is reported with its line and column, all at once."""

import contextlib
import csv
import functools
import io
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import sheet_cases
from geneq import cli
from geneq.errors import CONTROL, GeneqError, visible
from geneq.sheets import Sheet, read_experiments, read_genomes, read_loci, read_samples

ODDITIES = Path(__file__).parents[2] / "shared" / "data" / "oddities" / "sheet"
HEADER = "dataset,h5ad,cell_type_key,layer,scale,donor_key,genome"


@pytest.fixture
def folder(tmp_path):
    for name in ("a.h5ad", "b c.h5ad", "genome.fa", "genes.gtf", "promoters.fa"):
        (tmp_path / name).touch()
    return tmp_path


def write(folder, *lines, newline="\n"):
    sheet = folder / "sheet.csv"
    sheet.write_bytes(newline.join(lines).encode())
    return sheet


def message(folder, *lines, genomes=()):
    with pytest.raises(GeneqError) as caught:
        read_samples(write(folder, *lines), list(genomes))
    return str(caught.value)


def test_rows_come_with_their_line_and_without_empty_cells(folder):
    sheet = write(
        folder,
        HEADER,
        "a,a.h5ad,cell type's,,,,",
        "",
        'b.2,b c.h5ad,"cell, ""type""",raw,counts,donor,human',
    )
    first, second = read_samples(sheet)
    assert first == {
        "dataset": "a",
        "h5ad": "a.h5ad",
        "cell_type_key": "cell type's",
        "genome": "human",
        "line": 2,
    }
    assert second["cell_type_key"] == 'cell, "type"'
    assert (second["line"], second["scale"], second["layer"]) == (4, "counts", "raw")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_spreadsheet_marks_are_tolerated(folder, newline):
    sheet = write(folder, "\ufeffdataset,h5ad,cell_type_key", " a , a.h5ad ,k", "", newline=newline)
    assert read_samples(sheet) == [
        {"dataset": "a", "h5ad": "a.h5ad", "cell_type_key": "k", "genome": "genome", "line": 2}
    ]


@pytest.mark.parametrize(
    "name", ["my data", "it's", 'a"b', "a/b", "..", ".hidden", "-x", "ä", "a\tb", "$(x)"]
)
def test_odd_names_are_refused(folder, name):
    row = io.StringIO()
    csv.writer(row).writerow([name, "a.h5ad", "k"])
    text = message(folder, "dataset,h5ad,cell_type_key", row.getvalue().strip("\r\n"))
    assert "line 2, column dataset: must start with a letter or digit" in text
    assert f"'{visible(name)}'" in text


@pytest.mark.parametrize(
    ("lines", "errors"),
    [
        ([HEADER, "a,gone.h5ad,k,,,,"], ["line 2, column h5ad: file not found"]),
        ([HEADER, "a,a.h5ad,,,,,"], ["line 2, column cell_type_key: a value is missing"]),
        ([HEADER, "a,a.h5ad,k,,log,,"], ["line 2, column scale: must be one of auto, counts, cpm"]),
        (
            [HEADER, "a,a.h5ad,k,,,,", "", "a,a.h5ad,k,,,,"],
            ["line 4, column dataset: already used in line 2: 'a'"],
        ),
        (["dataset,h5ad", "a,a.h5ad"], ["line 1, column cell_type_key: the column is missing"]),
        (
            ["dataset,h5ad,cell_type_key,sex", "a,a.h5ad,k,f"],
            ["line 1, column sex: unknown column; the columns are dataset, h5ad"],
        ),
        ([HEADER + ",layer", "a"], ["line 1, column layer: duplicate column"]),
        ([HEADER, "a,a.h5ad"], ["line 2: has 2 fields, but the header has 7"]),
        ([HEADER, '"a,a.h5ad,k,,,,'], ["line 2: quotes must enclose a complete field"]),
        ([HEADER], ["line 2: there must be at least one row below the header"]),
        ([HEADER, "", "  "], ["line 2: there must be at least one row below the header"]),
        ([""], ["line 1, column dataset: the column is missing"]),
        (
            [HEADER, "a,a.h5ad,k,,,,human", "b,a.h5ad,k,,,,mouse"],
            ["line 3, column genome: must be one of the genomes given (human): 'mouse'"],
        ),
        (
            [HEADER, "a b,gone.h5ad,k,,,,", "c,a.h5ad,,,TPM,,"],
            [
                "line 2, column dataset",
                "line 2, column h5ad",
                "line 3, column cell_type_key",
                "line 3, column scale",
            ],
        ),
    ],
)
def test_errors_name_line_and_column(folder, lines, errors):
    text = message(folder, *lines)
    assert text.startswith("sheet.csv is not a valid samplesheet\n")
    for error in errors:
        assert error in text


def test_several_genomes_must_be_told_apart(folder):
    text = message(
        folder, HEADER, "a,a.h5ad,k,,,,", "b,a.h5ad,k,,,,rat", genomes=["human", "mouse"]
    )
    assert "line 2, column genome: must be one of human, mouse" in text
    assert "line 3, column genome: must be one of the genomes given (human, mouse): 'rat'" in text


def test_what_stands_at_a_url_is_left_to_the_pipeline(folder):
    rows = read_samples(write(folder, "dataset,h5ad,cell_type_key", "a,s3://bucket/a.h5ad,k"))
    assert rows[0]["h5ad"] == "s3://bucket/a.h5ad"


def test_a_genome_has_fasta_and_gtf_or_promoters(folder):
    header = "genome,fasta,gtf,promoters"
    good = write(folder, header, "human,genome.fa,genes.gtf,", "fly,,,promoters.fa")
    assert [row["genome"] for row in read_genomes(good)] == ["human", "fly"]
    bad = write(
        folder, header, "a,genome.fa,,", "b,genome.fa,genes.gtf,promoters.fa", "a,,,promoters.fa"
    )
    with pytest.raises(GeneqError) as caught:
        read_genomes(bad)
    assert "line 2: give either fasta and gtf, or promoters alone" in str(caught.value)
    assert "line 3: give either" in str(caught.value)
    assert "line 4, column genome: already used in line 2: 'a'" in str(caught.value)


def test_a_missing_sheet_and_one_that_is_no_text(folder):
    with pytest.raises(GeneqError, match="File not found"):
        read_samples(folder / "none.csv")
    (folder / "sheet.csv").write_bytes(b"\xff\xfe\x00d")
    with pytest.raises(GeneqError, match="must be UTF-8 text"):
        read_samples(folder / "sheet.csv")


def test_the_command_says_what_it_found(folder, capsys):
    good = write(folder, "dataset,h5ad,cell_type_key", "a,a.h5ad,k")
    assert cli.main(["validate", "--input", str(good)]) == 0
    assert "1 data sets, no errors" in capsys.readouterr().out
    bad = write(folder, "dataset,h5ad,cell_type_key", "a a,a.h5ad,k")
    assert cli.main(["validate", "--input", str(bad)]) == 1
    assert "line 2, column dataset" in capsys.readouterr().err


# --- as spreadsheet programs save them ------------------------------------------------------------


@pytest.mark.parametrize("name", sheet_cases.READ)
def test_a_sheet_saved_by_a_spreadsheet_program_is_read(folder, name):
    (folder / "sheet.csv").write_bytes(sheet_cases.READ[name])
    rows = read_samples(folder / "sheet.csv")
    assert [{key: row[key] for key in ("dataset", "cell_type_key")} for row in rows] == (
        sheet_cases.ROWS
    )


@pytest.mark.parametrize("name", sheet_cases.REFUSED)
def test_a_sheet_that_cannot_be_read_says_why(folder, name):
    content, errors = sheet_cases.REFUSED[name]
    (folder / "sheet.csv").write_bytes(content)
    with pytest.raises(GeneqError) as caught:
        read_samples(folder / "sheet.csv")
    assert str(caught.value) == "\n  ".join(["sheet.csv is not a valid samplesheet", *errors]) + "."


@pytest.mark.parametrize("name", sheet_cases.NOT_UTF8)
def test_a_sheet_that_is_not_text_says_how_to_save_it(folder, name):
    (folder / "sheet.csv").write_bytes(sheet_cases.NOT_UTF8[name])
    with pytest.raises(GeneqError, match=r"must be UTF-8 text.*Save it as CSV \(UTF-8\)"):
        read_samples(folder / "sheet.csv")


@pytest.mark.parametrize("name", ["excel_rows.csv", "excel_cols.csv"])
def test_sheets_that_excel_saved(tmp_path, name):
    source = ODDITIES / name
    if not source.exists():
        pytest.skip(f"{source} is missing")
    (tmp_path / "sheet.csv").write_bytes(source.read_bytes())
    (tmp_path / "pbmc.h5ad").touch()
    (row,) = read_samples(tmp_path / "sheet.csv")
    assert (row["dataset"], row["cell_type_key"], row["line"]) == ("pbmc", "cell_type", 2)


cells = st.text(st.characters(codec="utf-8"), max_size=20).filter(lambda t: not CONTROL.search(t))


@given(st.lists(cells, min_size=1, max_size=3))
def test_any_cell_is_read_as_csv_writers_write_it(tmp_path_factory, values):
    row = io.StringIO()
    csv.writer(row).writerow(["a", "s3://b/a.h5ad", *values])
    names = ["cell_type_key", "layer", "donor_key"][: len(values)]
    sheet = tmp_path_factory.mktemp("sheet") / "s.csv"
    lines = [",".join(["dataset", "h5ad", *names]), row.getvalue().removesuffix("\r\n")]
    sheet.write_bytes("\n".join(lines).encode())
    (read,) = Sheet(sheet, "samplesheet").rows
    expected = {n: v.strip() for n, v in zip(names, values, strict=True) if v.strip()}
    assert {name: read[name] for name in names if name in read} == expected


# What a shell, a path or a page would take for more than text.
HOSTILE = [
    *(
        "$(touch pwned)",
        "`id`",
        "; rm -rf .",
        "a'b",
        'a"b',
        "a b",
        "--out=x",
        "-rf",
        "../../x",
        "|cat",
    ),
    *(
        "a\tb",
        "a\0b",
        "\u202eb",
        "é",
        "<script>x</script>",
        "&&id",
        ">x",
        "*",
        "~",
        "\\",
        "\x1b[31m",
    ),
    *("a.h5ad", "$(id).h5ad", "auto", "human", "ok", "a\u2028b", "{a,b}", "%s", "a\vb", "\ufeffok"),
    *(
        "-x.h5ad",
        "motifs:$(id)",
        "python:-x.py:f",
        "distill:b:'; id",
        "motifs:a\x1bb",
        "=1+1",
        "#a",
    ),
]
SHEETS = {
    "input": ("samplesheet", read_samples),
    "genomes": ("genomes", read_genomes),
    "loci": ("loci", read_loci),
    "experiments": ("experiments", read_experiments),
}
# Cells of a valid row, so that some sheets have a single hostile cell, or none.
GOOD = {
    **{"dataset": "ok", "genome": "human", "locus": "ok", "experiment": "ok", "h5ad": "a.h5ad"},
    **{"fasta": "a.h5ad", "gtf": "a.h5ad", "recipe": "a.h5ad", "cell_type_key": "k"},
    **{"chrom": "chr1", "start": "1", "end": "60", "oracle": "motifs:core", "strand": "+"},
}
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
PLACE = re.compile(r"  line \d+(, column .+?)?: .")


@functools.cache
def rules_of(schema):
    return json.loads((files("geneq") / "data" / f"{schema}.json").read_text())["properties"]


ANY_CELL = st.sampled_from(HOSTILE) | st.text(st.characters(codec="utf-8"), max_size=9)


@st.composite
def hostile_sheets(draw):
    """An option of `geneq validate` and the text of its sheet: valid rows with some other cells."""
    option = draw(st.sampled_from(sorted(SHEETS)))
    columns = list(rules_of(SHEETS[option][0]))
    others = st.dictionaries(st.sampled_from(columns), ANY_CELL, min_size=1, max_size=3)
    usual = {name: GOOD.get(name, "") for name in columns}
    rows = [{**usual, **changed} for changed in draw(st.lists(others, min_size=1, max_size=2))]
    text = io.StringIO(newline="")
    quoting = draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    csv.writer(text, quoting=quoting).writerows([columns, *(row.values() for row in rows)])
    return option, text.getvalue()


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for name in ("a.h5ad", "-x.h5ad", "-x.py"):
        (folder / name).touch()
    return folder


@settings(max_examples=1000)
@given(hostile_sheets())
@example(("input", "dataset,h5ad,cell_type_key\nok,a.h5ad,it's $(id)\n"))
@example(("input", "dataset,h5ad,cell_type_key\nok,-x.h5ad,k\n"))
@example(("loci", "locus,chrom,start,end,oracle\nok,chr1,1,60,python:-x.py:f\n"))
def test_a_hostile_sheet_is_refused_with_its_lines_or_its_names_are_harmless(
    hostile_folder, hostile
):
    option, text = hostile
    sheet = hostile_folder / "s.csv"
    sheet.write_text(text, encoding="utf-8", newline="")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = cli.main(["validate", f"--{option}", str(sheet)])
    lines = printed.getvalue().splitlines()
    assert not CONTROL.search("".join(lines))
    if status:
        assert status == 1 and len(lines) > 1
        assert all(PLACE.match(line) for line in lines[1:]), lines
    else:
        schema, read = SHEETS[option]
        for row in read(sheet):
            check_harmless({name: row[name] for name in rules_of(schema) if name in row}, schema)
    assert {path.name for path in hostile_folder.iterdir()} == {
        "a.h5ad",
        "-x.h5ad",
        "-x.py",
        "s.csv",
    }


def check_harmless(row, schema):
    """Only names and files reach shells as they are; lib/Shell.groovy quotes all other cells."""
    rules = rules_of(schema)
    for name, value in row.items():
        assert not CONTROL.search(str(value))
        if name in ("dataset", "genome", "locus", "experiment"):
            assert SAFE_NAME.fullmatch(value)
        if rules[name].get("format") in ("file-path", "directory-path"):
            assert Path(value).name == "a.h5ad"
        if name == "oracle":
            assert not set(value) & set('$`\\*?[]{}"') and "/-" not in value


def test_a_message_has_no_password_and_no_control_character(folder):
    url = "https://me:secret@host/[x]\x1b[31m.h5ad"
    text = message(folder, "dataset,h5ad,cell_type_key", f"a,{url},k")
    assert "secret" not in text and "https://…@host/[x]\\x1b[31m.h5ad" in text
    error = GeneqError("No such oracle", value=f"mine:{url}", file=f"{folder}/\x07")
    assert "secret" not in str(error) and not CONTROL.search(str(error))


# --- loci and experiments -------------------------------------------------------------------------

LOCI = "locus,genome,chrom,start,end,oracle,n,rate,window_start,window_end"


def test_loci_have_numbers_and_their_oracles_files(folder):
    (folder / "net.py").touch()
    (folder / "my nets").mkdir()
    (folder / "3").touch()  # no file of kmers:3
    sheet = write(
        folder,
        LOCI,
        "a,,chr1,10,60,motifs:core,500,.5,20,30",
        "b,,chr1,10,60,motifs:genes.gtf,,,,",
        "c,,chr1,10,60,python:net.py:make,,,,",
        "d,,chr1,10,60,python:module:make,,,,",
        "e,,chr1,10,60,deepbind:my nets:SELEX,,,,",
        "f,,chr1,10,60,sei:my nets,,,,",
        "g,,chr1,10,60,kmers:3,,,,",
        "h,,chr1,10,60,mine:my nets,,,,",
        "i,,chr1,10,60,mine:nothing,,,,",
    )
    first, *others = read_loci(sheet)
    assert first == {
        **{"locus": "a", "genome": "genome", "chrom": "chr1", "start": 10, "end": 60},
        **{"oracle": "motifs:core", "n": 500, "rate": 0.5, "window_start": 20, "window_end": 30},
        "line": 2,
    }
    assert [row["oracle"] for row in others] == [
        f"motifs:{folder / 'genes.gtf'}",
        f"python:{folder / 'net.py'}:make",
        "python:module:make",
        f"deepbind:{folder / 'my nets'}:SELEX",
        f"sei:{folder / 'my nets'}",
        "kmers:3",
        f"mine:{folder / 'my nets'}",
        "mine:nothing",
    ]


def test_validate_checks_all_sheets_of_a_run(folder, capsys):
    (folder / "samples.csv").write_text("dataset,h5ad,cell_type_key\nblood,a.h5ad,k\n")
    loci = write(folder, LOCI, "a,,chr1,10,60,distill:blood:T cell,,,,")
    experiments = folder / "experiments.csv"
    experiments.write_text("experiment,recipe,oracle\na,a.h5ad,motifs:core\n")
    words = ["--input", folder / "samples.csv", "--loci", loci]
    assert cli.main(["validate", *map(str, words)]) == 0
    assert "1 loci, no errors" in capsys.readouterr().out
    assert cli.main(["validate", *map(str, [*words, "--experiments", experiments])]) == 1
    assert "a locus has the same name: 'a'" in capsys.readouterr().err
    assert cli.main(["validate", "--loci", str(loci)]) == 1
    assert "the samplesheet has no such data set: 'blood'" in capsys.readouterr().err
    assert cli.main(["validate"]) == 1
    assert "Give at least one of --input, --genomes, --loci" in capsys.readouterr().err
    assert len(read_experiments(experiments)) == 1

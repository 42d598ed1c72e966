"""Text of users that a shell, a path or a page would take for more: nothing of it is run."""

import csv
import json
import re
import subprocess

import anndata
import numpy as np
import pandas as pd
import pytest

from geneq.errors import GeneqError
from geneq.sheets import read_samples

from .conftest import ROOT, nextflow, pipeline, with_lib

# Values of cells and parameters. Each would create a file called pwned if a shell read it.
HOSTILE = [
    *(
        "$(touch pwned)",
        "`touch pwned`",
        "; touch pwned",
        "it's; touch pwned '",
        "\\'; touch pwned;'",
    ),
    *(
        '"; touch pwned; "',
        "| touch pwned",
        "&& touch pwned",
        "> pwned",
        "*",
        "~",
        "\\",
        "--out=pwned",
    ),
    *(
        "-rf",
        "../../pwned",
        "{pwned,b}",
        "%s",
        "$HOME",
        "!!",
        "# pwned",
        "é 单核",
        "a  b",
        "=cmd|x",
    ),
]
# Names of files that are accepted, and that are refused.
FILES = [
    *("it's", "a b", "; touch pwned", "& touch pwned", "|touch pwned", ">pwned", "(1)", "é 单"),
    *("a#1", "a!x", "a~", "%s", "=x", ":a", "a,b", "'; touch pwned '"),
]
REFUSED = {
    **{"$(touch pwned)": "any of $", "`touch pwned`": "any of $", 'a"b': "any of $"},
    **{
        "-rf": "with '-'",
        "#1": "with '-'",
        "~root": "with '-'",
        "a\tb": "control characters",
        "\x1b[31mb": "control characters",
    },
}
SAMPLES = ["dataset", "h5ad", "cell_type_key", "layer", "donor_key"]
LOCI = ["locus", "chrom", "start", "end", "oracle", "target"]


def write_sheet(path, columns, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([columns, *rows])


def created(folder):
    """Files and folders whose name is pwned, wherever they are."""
    return [path for path in folder.rglob("*") if path.name == "pwned"]


def test_text_is_quoted_and_names_that_cannot_be_are_refused(tmp_path):
    values = [*HOSTILE, *FILES, "a\nb", "'", "''", "a'b'c", "\\n", "", " "]
    (tmp_path / "values.json").write_text(json.dumps(values))
    for name in [*FILES, *REFUSED]:
        (tmp_path / f"{name}.h5ad").touch()
    rows = [[f"d{i}", f"{name}.h5ad", "k"] for i, name in enumerate([*REFUSED, *FILES])]
    write_sheet(tmp_path / "sheet.csv", SAMPLES[:3], rows)
    run = with_lib(
        tmp_path,
        f"""
        def values = new groovy.json.JsonSlurper().parse(file('values.json').toFile())
        file('quoted.txt').text = values.collect {{ value -> Shell.quoted(value) }}.join(' ')
        file('options.txt').text = values.collect {{ value -> Shell.options([x: value]) }}.join(' ')
        Sheet.samples(file('sheet.csv'), file('{ROOT}/python/geneq/data/samplesheet.json'), [])
        """,
    )
    for name, expected in (("quoted", values), ("options", [f"--x={value}" for value in values])):
        script = f"printf '%s\\0' {(tmp_path / f'{name}.txt').read_text()}"
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, check=True)
        assert done.stdout.decode().split("\0")[:-1] == expected
    assert not created(tmp_path)

    lines = [line for line in run.text.splitlines() if line.startswith("  line ")]
    assert {re.match(r"  line (\d+), column h5ad: ", line)[1] for line in lines} == {
        str(number) for number in range(2, 2 + len(REFUSED))
    }
    for number, why in enumerate(REFUSED.values(), 2):
        assert any(line.startswith(f"  line {number},") and why in line for line in lines)
    assert "\x1b" not in run.text and "\\x1b[31mb.h5ad" in run.text
    with pytest.raises(GeneqError) as caught:
        read_samples(tmp_path / "sheet.csv")
    found = [line.split(" -- ")[0].rstrip(".") for line in lines]
    assert found == str(caught.value).rstrip(".").split("\n")[1:]


def test_hostile_sheets_and_parameters_run_nothing(tmp_path):
    for name in ("; touch pwned.fa", "it's.gtf", "& touch pwned.meme", "'; touch pwned '.h5ad"):
        (tmp_path / name).touch()
    sample = ["a", "'; touch pwned '.h5ad", *HOSTILE[:3]]
    write_sheet(tmp_path / "sheet.csv", SAMPLES, [sample])
    oracle = "motifs:& touch pwned.meme"
    loci = [[f"l{i}", text, 0, 60, oracle, text] for i, text in enumerate(HOSTILE)]
    write_sheet(tmp_path / "loci.csv", LOCI, loci)
    given = {
        **{"input": "sheet.csv", "loci": "loci.csv", "fasta": "; touch pwned.fa"},
        **{"gtf": "it's.gtf", "oracle": oracle, "outdir": "$(touch pwned) '\"; touch pwned"},
        **{"valid_chroms": "$(touch pwned)", "test_chroms": "'; touch pwned;'"},
    }
    (tmp_path / "params.json").write_text(json.dumps(given))
    run = pipeline(tmp_path, "-stub", "-params-file", "params.json")
    assert run.status == 0, run.text
    assert not created(tmp_path)
    found = {path.name for path in (tmp_path / given["outdir"] / "loci").iterdir()}
    assert found == {row[0] for row in loci}


@pytest.mark.faults
def test_real_tasks_read_columns_and_files_with_hostile_names(tmp_path):
    """GENES and PSEUDOBULK themselves, with data that has these columns."""
    rng = np.random.default_rng(1)
    keys = [text for text in HOSTILE if "/" not in text]  # a group within a group in HDF5
    labels = {key: pd.Categorical(rng.choice(["x", "y"], 60)) for key in keys}
    cells, genes = [f"c{i}" for i in range(60)], [f"g{i}" for i in range(20)]
    data = anndata.AnnData(
        rng.poisson(3, (60, 20)).astype(np.float32),
        obs=pd.DataFrame(labels, index=cells),
        var=pd.DataFrame(index=genes),
    )
    rows = []
    for i, key in enumerate(keys):
        name = f"{FILES[i % len(FILES)]}.h5ad"
        data.write_h5ad(tmp_path / name)
        rows.append([f"d{i}", name, key, key])
    columns = ["dataset", "h5ad", "cell_type_key", "donor_key"]
    write_sheet(tmp_path / "sheet.csv", columns, rows)
    promoters = [f">{gene}\n{''.join(rng.choice(list('ACGT'), 200))}\n" for gene in genes]
    (tmp_path / "'; touch pwned '.fa").write_text("".join(promoters))
    (tmp_path / "lib").symlink_to(ROOT / "lib")
    (tmp_path / "main.nf").write_text(TASKS.replace("ROOT", str(ROOT)))
    run = nextflow(tmp_path, "run", tmp_path / "main.nf", "-c", ROOT / "nextflow.config")
    assert run.status == 0, run.text
    done = [*tmp_path.glob("work/*/*/pseudobulk/expression.json")]
    found = [json.loads(path.read_text()) for path in done]
    assert {about["dataset"] for about in found} == {row[0] for row in rows}
    assert all([t["cell_type"] for t in about["cell_types"]] == ["x", "y"] for about in found)
    assert not created(tmp_path)


TASKS = """
include { GENES } from 'ROOT/modules/genes'
include { PSEUDOBULK } from 'ROOT/modules/pseudobulk'

workflow {
    def rules = file('ROOT/python/geneq/data/samplesheet.json')
    def samples = Sheet.samples(file('sheet.csv'), rules, [])
    GENES(channel.of([[genome: 'g'], [], [], [file("'; touch pwned '.fa")]]), [seed: 1])
    PSEUDOBULK(
        channel.fromList(samples).combine(GENES.out.table).map { row, _meta, table, _about ->
            def columns = row.subMap(['dataset', 'cell_type_key', 'donor_key'])
            [[dataset: row.dataset], columns, row.h5ad, table]
        },
        [min_cells: 1]
    )
}
"""

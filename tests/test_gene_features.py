"""Tables of gene features: what is read of them, and what is refused by name."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geneq.errors import GeneqError
from geneq.features import Block
from geneq.gene_features import of_table

GENES = np.array(["ENSG00000000001", "ENSG00000000002", "ENSG00000000003", "b"], dtype=object)
ROWS = pd.DataFrame(
    {
        "name": ["ENSG00000000002.7", "b", "ENSG00000000001.1_2", "elsewhere"],
        "half_life": [2.5, np.nan, 0.5, 99.0],
        "exons": [3, 1, 2, 99],
    }
)
# Rows by GENES; the third is missing, and so is the half-life of the last.
HALF_LIFE, EXONS = [0.5, 2.5, 1.5, 1.5], [2, 3, 2, 1]


def text(separator: str, **options) -> str:
    return ROWS.to_csv(sep=separator, index=False, **options)


def tsv(path: Path) -> None:
    path.write_text(text("\t"))


def csv(path: Path) -> None:
    path.write_text("\ufeff" + text(",", na_rep="NaN", lineterminator="\r\n"))


def compressed(path: Path) -> None:
    path.write_bytes(gzip.compress(text("\t", na_rep="NA").encode()))


def parquet(path: Path) -> None:
    ROWS.to_parquet(path, index=False)


def indexed(path: Path) -> None:
    ROWS.set_index("name").to_parquet(path)


def elsewhere(path: Path) -> None:
    """The column of ids is not the first one, and is named."""
    columns = ["half_life", "gene_id", "exons"]
    path.write_text(ROWS.rename(columns={"name": "gene_id"})[columns].to_csv(index=False))


def nameless(path: Path) -> None:
    """As R and pandas write row names."""
    path.write_text(ROWS.set_index("name").rename_axis(None).to_csv())


FORMATS = {
    "t.tsv": tsv, "t.csv": csv, "t.tsv.gz": compressed, "t.parquet": parquet,
    "index.parquet": indexed, "elsewhere.csv": elsewhere, "nameless.csv": nameless,
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_any_format_gives_the_same_block(tmp_path, name):
    FORMATS[name](tmp_path / name)
    block = of_table(tmp_path / name, GENES)
    assert (block.name, block.classes) == (f"table:{name}", ["half_life", "exons"])
    assert block.values.dtype == np.float32 and block.values.shape == (4, 1, 2)
    np.testing.assert_allclose(block.values[:, 0], np.column_stack([HALF_LIFE, EXONS]))
    assert block.meta["missing"] == {"half_life": 2, "exons": 1}
    assert block.is_table
    tsv(tmp_path / "same.tsv")
    assert block.meta["hash"] == of_table(tmp_path / "same.tsv", GENES).meta["hash"]


def made(folder: Path, rows: str, name: str = "t.csv") -> Block:
    (folder / name).write_text(rows)
    return of_table(folder / name, GENES)


def test_the_hash_is_that_of_names_ids_and_numbers(tmp_path):
    first = made(tmp_path, "gene_id,x\nb,1\nENSG00000000001,2\n").meta["hash"]
    assert made(tmp_path, "gene_id,x\nENSG00000000001.3,2.0\nb,1\n").meta["hash"] == first
    for other in ("gene_id,y\nb,1\nENSG00000000001,2\n", "gene_id,x\nb,2\nENSG00000000001,1\n",
                  "gene_id,x\nb,1\nENSG00000000002,2\n"):  # fmt: skip
        assert made(tmp_path, other).meta["hash"] != first


def test_a_constant_column_stays(tmp_path):
    assert (made(tmp_path, "gene_id,x\nb,1\nENSG00000000001,1\n").values == 1).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("id,x,kind\nb,1,coding\n", r"column kind has a value .*: 'coding in row 1 below the hea"),
        ("id,x\nENSG00000000001,1\nb,1e\n", r"column x .*: '1e in row 2 below the header'"),
        ("id,x\nENSG00000000001,\nb,-inf\n", r"column x .*: '-inf in row 2"),
        ("id,x\nb,1e300\n", r"column x .*: '1e300 in row 1"),
        ("id,x\nENSG00000000001.1,1\nb,2\nENSG00000000001.2,1\n",
         r"several rows in the table: 'ENSG00000000001 \(1 genes in all\)'.*t.csv"),
        ("id,x\nthe,1\nother,1\n", "No gene of the table is in the genome: 'the table has the, ot"),
        ("id\nb\n", "no column of numbers besides the gene ids"),
        ("id,x,y\nb,1,\n", "A column has no value for any gene of the genome: 'y'"),
        ("id,x\n,1\n", "A row of the table has no gene id: 'row 1'"),
        ("id,x,x\nb,1,2\n", "Columns of the table must have different names: 'x'"),
        ("id,x,\nb,1,2\n", "different names: 'a name is empty'"),
        ("id,x\n", "The table has no rows"),
        ("", "The table cannot be read"),
        ("id,x\nb,1,2\n", "The table cannot be read: .*Expected 2 fields in line 2, saw 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_name(tmp_path, rows, message):
    with pytest.raises(GeneqError, match=message) as raised:
        made(tmp_path, rows)
    assert "t.csv" in str(raised.value)


@pytest.mark.parametrize("column", ["text", "time", "infinite"])
def test_columns_of_parquet_must_have_numbers(tmp_path, column):
    values = {"text": "coding", "time": pd.Timestamp("2020-01-01"), "infinite": np.inf}
    frame = pd.DataFrame({"gene_id": ["b"], "x": [1.0], column: [values[column]]})
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(GeneqError, match=f"The column {column} has a value that is not a finite"):
        of_table(tmp_path / "t.parquet", GENES)


def test_files_that_are_absent_or_damaged_are_refused(tmp_path):
    with pytest.raises(GeneqError, match=r"File not found \(in .*none.tsv"):
        of_table(tmp_path / "none.tsv", GENES)
    compressed(tmp_path / "t.tsv.gz")
    cut = (tmp_path / "t.tsv.gz").read_bytes()[:-9]
    (tmp_path / "t.tsv.gz").write_bytes(cut)
    with pytest.raises(GeneqError, match="compressed table is truncated or damaged"):
        of_table(tmp_path / "t.tsv.gz", GENES)
    (tmp_path / "t.csv").write_bytes(b"id,x\nb\xff,1\n")
    with pytest.raises(GeneqError, match="The table cannot be read"):
        of_table(tmp_path / "t.csv", GENES)

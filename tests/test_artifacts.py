"""Files between stages: whole or not there, checked when written and when read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geneq.artifacts import (
    FORMAT_VERSION,
    GENES,
    PREDICTIONS,
    Table,
    atomic_path,
    read_json,
    remove,
    write_json,
)
from geneq.errors import GeneqError


def genes(n: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "gene_id": [f"G{i}" for i in range(n)],
            "gene_name": "name",
            "chrom": "chr1",
            "tss": range(n),
            "strand": "+",
            "records": "",
            "fold": 0,
            "split": "train",
            "family": -1,
        }
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- written whole ----------------------------------------------------------------------------


def test_a_file_appears_whole_and_replaces(tmp_path):
    target = tmp_path / "new" / "folder" / "file"
    for text in ("first", "second"):
        with atomic_path(target) as temporary:
            temporary.write_text(text)
            assert not target.exists() or target.read_text() == "first"
        assert target.read_text() == text
        assert names(target.parent) == ["file"]


def test_a_folder_appears_whole_and_replaces(tmp_path):
    target = tmp_path / "folder"
    for name in ("a", "b"):
        with atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / name).touch()
            assert not target.exists() or names(target) == ["a"]
        assert names(target) == [name]
        assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("folder", [False, True])
def test_nothing_is_left_of_what_failed(tmp_path, error, folder):
    with pytest.raises(error), atomic_path(tmp_path / "x") as temporary:
        if folder:
            temporary.mkdir()
        (temporary / "a" if folder else temporary).write_text("half")
        raise error
    assert names(tmp_path) == []


def test_what_was_there_outlives_a_failure(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "folder") as temporary:
        temporary.mkdir()
        raise RuntimeError
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path / "folder") == ["old"]
    assert names(tmp_path) == ["file", "folder"]


def test_files_and_folders_are_removed_where_there_are_any(tmp_path):
    (tmp_path / "folder" / "deeper").mkdir(parents=True)
    (tmp_path / "file").touch()
    for name in ("folder", "file", "none"):
        remove(tmp_path / name)
    assert names(tmp_path) == []


def test_a_file_does_not_replace_a_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work").touch()
    with pytest.raises(GeneqError, match=r"A folder exists where a file is to be written .*mine"):
        write_json({}, tmp_path / "mine")
    assert names(tmp_path) == ["mine"]
    assert names(tmp_path / "mine") == ["work"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GeneqError, match=r"Cannot write here: '.*' \(in .*/file/deeper/x.json\)"):
        write_json({}, tmp_path / "file" / "deeper" / "x.json")


# --- JSON -------------------------------------------------------------------------------------


def test_numbers_that_json_lacks_become_null(tmp_path):
    document = {
        "nan": float("nan"),
        "inf": np.float32("inf"),
        "array": np.array([1.5, np.nan]),
        "int": np.int8(3),
        "bool": np.bool_(True),
        5: (1, [np.float64(-np.inf)]),
        "text": "Mönozyten — 单核细胞",
    }
    write_json(document, tmp_path / "x.json")
    assert read_json(tmp_path / "x.json") == {
        "nan": None,
        "inf": None,
        "array": [1.5, None],
        "int": 3,
        "bool": True,
        "5": [1, [None]],
        "text": "Mönozyten — 单核细胞",
    }
    assert (tmp_path / "x.json").read_bytes().endswith(b"}\n")


def test_json_is_utf_8_whatever_the_locale(tmp_path):
    code = (
        "from geneq.artifacts import *; import sys;"
        "write_json({'type': '\\xf6 \\u2014'}, sys.argv[1]); read_json(sys.argv[1])"
    )
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code, str(tmp_path / "x.json")]
    subprocess.run(command, check=True, env={**os.environ, **locale})
    assert read_json(tmp_path / "x.json") == {"type": "ö —"}


@pytest.mark.parametrize("content", [b"", b'{"a": [1, 2', b"\xff\xfe"])
def test_json_that_is_cut_short_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(GeneqError, match=r"Truncated or damaged JSON document: .*x.json"):
        read_json(tmp_path / "x.json")


def test_json_that_is_missing_is_named(tmp_path):
    with pytest.raises(GeneqError, match=r"File not found \(in .*x.json\)"):
        read_json(tmp_path / "x.json")


def test_a_document_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_json({"a": object()}, tmp_path / "x.json")
    assert names(tmp_path) == []


# --- tables -----------------------------------------------------------------------------------


def test_a_table_comes_back_in_its_order_and_types(tmp_path):
    shuffled = genes()[sorted(GENES.columns, reverse=True)].iloc[::-1]
    GENES.write(shuffled, tmp_path / "genes.parquet")
    found = GENES.read(tmp_path / "genes.parquet")
    assert found.dtypes.astype(str).to_dict() == GENES.columns
    assert found["gene_id"].tolist() == ["G2", "G1", "G0"]
    assert found.index.tolist() == [0, 1, 2]
    assert names(tmp_path) == ["genes.parquet"]


def test_an_empty_table_keeps_its_types(tmp_path):
    GENES.write(genes(0), tmp_path / "genes.parquet")
    assert GENES.read(tmp_path / "genes.parquet").dtypes.astype(str).to_dict() == GENES.columns


def test_columns_past_those_known_are_kept_where_they_may_follow(tmp_path):
    frame = genes()[["gene_id", "fold", "split"]].assign(cell_type="B", measured=1, teacher=2)
    frame["oracle"] = "untrained"
    PREDICTIONS.write(frame, tmp_path / "p.parquet")
    found = PREDICTIONS.read(tmp_path / "p.parquet")
    assert list(found) == [*PREDICTIONS.columns, "teacher"]
    assert found["teacher"].dtype == float


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (genes().drop(columns=["tss", "fold"]), r"The table 'genes' lacks columns: 'tss, fold'"),
        (genes().assign(more=1), r"The table 'genes' has unknown columns: 'more'"),
        (
            pd.concat([genes(), genes(2)]),
            r"Rows of the table 'genes' must differ in gene_id: {'gene_id': 'G0'}",
        ),
        (genes().assign(tss="here"), "A column of the table 'genes' has values of another"),
        (
            genes().assign(fold=np.nan),
            "A column of the table 'genes' has values of another",
        ),
    ],
)
def test_a_table_that_breaks_a_rule_is_neither_written_nor_read(tmp_path, frame, message):
    path = tmp_path / "genes.parquet"
    with pytest.raises(GeneqError, match=rf"{message}.*genes\.parquet\)"):
        GENES.write(frame, path)
    assert names(tmp_path) == []
    frame.to_parquet(path)
    with pytest.raises(GeneqError, match=rf"{message}.*genes\.parquet\)"):
        GENES.read(path)


def test_another_table_is_refused(tmp_path):
    like_genes = Table("promoters", GENES.columns, GENES.key)
    like_genes.write(genes(), tmp_path / "x.parquet")
    with pytest.raises(GeneqError, match=r"Not a table of genes .*'geneq-promoters'"):
        GENES.read(tmp_path / "x.parquet")


def test_a_table_of_a_newer_format_is_refused(tmp_path):
    GENES.write(genes(), tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    about = json.dumps({"format": "geneq-genes", "version": FORMAT_VERSION + 1}).encode()
    pq.write_table(table.replace_schema_metadata({b"geneq": about}), tmp_path / "x.parquet")
    with pytest.raises(GeneqError, match=r"of format version 1: 2.* Install the version of geneq"):
        GENES.read(tmp_path / "x.parquet")


def test_a_table_of_other_making_is_checked_alike(tmp_path):
    pq.write_table(pa.Table.from_pandas(genes(), preserve_index=False), tmp_path / "x.parquet")
    assert GENES.read(tmp_path / "x.parquet")["tss"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("keep", [0, 3, -20])
def test_a_table_that_is_cut_short_is_refused(tmp_path, keep):
    path = tmp_path / "genes.parquet"
    GENES.write(genes(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(GeneqError, match=r"Truncated or damaged parquet file: .*genes.parquet"):
        GENES.read(path)


def test_a_table_that_is_missing_is_named(tmp_path):
    with pytest.raises(GeneqError, match=r"File not found \(in .*none.parquet\)"):
        GENES.read(tmp_path / "none.parquet")

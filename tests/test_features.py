"""Features of genes: blocks that come back as they were written, and normal scores of columns."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneq import features as module
from geneq.errors import GeneqError
from geneq.features import SCORES, VERSION, Block, Column, Features, normal_scores, quantiles
from twins import features as twin

META = {
    "hash": "ab", "strands": "both", "window": [-2, 2], "tss_index": 2, "bin_edges": [-2, 0, 2],
    "orientation": "gene",
}  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def oracle(n: int = 5, seed: int = 0, name: str = "motifs:core", **meta) -> Block:
    values = np.random.default_rng(seed).normal(size=(n, 2, 3)).astype(np.float32)
    return Block(name, values, ["a", "b", "c"], {**META, **meta})


def table(n: int = 5, seed: int = 0) -> Block:
    values = np.random.default_rng(seed).gamma(1, 1, (n, 1, 2)).astype(np.float32)
    meta = {"hash": "cd", "missing": {"half_life": 1, "a": 0}}
    return Block("table:t.tsv", values, ["half_life", "a"], meta)


def features(n: int = 5, first: int = 0, **meta) -> Features:
    """Two blocks, an oracle's and a table."""
    gene_id = np.array([f"G{i}" for i in range(first, first + n)], dtype=object)
    blocks = [oracle(n, first, **meta), table(n, first)]
    return Features(gene_id, blocks, {"genome": "ef", "mode": "annotation"})


# --- blocks -----------------------------------------------------------------------------------


def test_columns_are_those_of_the_matrix():
    made = features(4)
    columns, matrix = made.columns, made.matrix()
    assert len(columns) == matrix.shape[1] == 2 * 3 + 2
    assert columns[4] == Column(0, 1, "b") and columns[6] == Column(1, 0, "half_life")
    # A class of both blocks is two columns.
    assert [column for column in columns if column.name == "a"] == [
        Column(0, 0, "a"), Column(0, 1, "a"), Column(1, 0, "a"),
    ]  # fmt: skip
    for j, column in enumerate(columns):
        block = made.blocks[column.block]
        expected = block.values[:, column.bin, block.classes.index(column.name)]
        np.testing.assert_array_equal(matrix[:, j], expected)
    assert [block.is_table for block in made.blocks] == [False, True]


def test_features_of_some_genes_are_their_rows_in_the_order_asked_for():
    made = features(5).complete()
    part = made.of_genes(["G3", "G0"])
    assert part.gene_id.tolist() == ["G3", "G0"]
    for block, whole in zip(part.blocks, made.blocks, strict=True):
        np.testing.assert_array_equal(block.values, whole.values[[3, 0]])
        # A score is that among all genes of the genome.
        np.testing.assert_array_equal(block.quantiles, whole.quantiles)
    np.testing.assert_array_equal(part.matrix("normal"), made.matrix("normal")[[3, 0]])


def test_about_is_what_the_features_were_made_from():
    assert features(2).about == features(3, first=9).complete().about
    assert features(2).about != features(2, hash="00").about
    assert json.loads(json.dumps(features().about)) == features().about


# --- files ------------------------------------------------------------------------------------


def same(found: Features, made: Features) -> None:
    assert found.gene_id.tolist() == made.gene_id.tolist()
    assert (found.meta, found.shard) == (made.meta, made.shard)
    for block, other in zip(found.blocks, made.blocks, strict=True):
        assert (block.name, block.classes, block.meta) == (other.name, other.classes, other.meta)
        assert block.values.dtype == np.float32
        np.testing.assert_array_equal(block.values, other.values)
        assert (block.quantiles is None) == (other.quantiles is None)
        if block.quantiles is not None:
            np.testing.assert_array_equal(block.quantiles, other.quantiles)


@pytest.mark.parametrize("n", [0, 1, 5, module.GENES_OF_A_CHUNK + 1])
@pytest.mark.parametrize("complete", [False, True])
def test_features_come_back_as_they_were(tmp_path, n, complete):
    made = features(n).complete() if complete else replace(features(n), shard=(2, 3))
    made.write(tmp_path / "f.zarr")
    same(Features.read(tmp_path / "f.zarr"), made)
    assert names(tmp_path) == ["f.zarr"]


def test_features_that_are_all_0_come_back(tmp_path):
    block = replace(oracle(4), values=np.zeros((4, 2, 3), np.float32))
    replace(features(4), blocks=[block]).complete().write(tmp_path / "f.zarr")
    assert not Features.read(tmp_path / "f.zarr").matrix().any()


def test_features_replace_features_and_nothing_else(tmp_path):
    features(3).write(tmp_path / "f.zarr")
    features(4).write(tmp_path / "f.zarr")
    assert len(Features.read(tmp_path / "f.zarr").gene_id) == 4
    (tmp_path / "empty").mkdir()
    features(3).write(tmp_path / "empty")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work").touch()
    with pytest.raises(
        GeneqError, match=r"contains other files \(in .*mine\). Choose a new folder"
    ):
        features(3).write(tmp_path / "mine")
    assert names(tmp_path / "mine") == ["work"]


ARRAYS = ["values0", "values1", "quantiles0"]


def damaged(tmp_path: Path, array: str) -> Path:
    """A folder of features, and the only chunk of an array."""
    features().complete().write(tmp_path / "f.zarr")
    return tmp_path / "f.zarr" / array / "c" / "0" / "0" / "0"


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("keep", [0, 10, -1])
def test_features_with_a_chunk_cut_short_are_refused(tmp_path, array, keep):
    chunk = damaged(tmp_path, array)
    chunk.write_bytes(chunk.read_bytes()[:keep])
    with pytest.raises(GeneqError, match=r"Not a folder of features: .*f.zarr"):
        Features.read(tmp_path / "f.zarr")


@pytest.mark.parametrize("array", ARRAYS)
def test_features_that_lost_a_chunk_are_refused(tmp_path, array):
    damaged(tmp_path, array).unlink()
    with pytest.raises(GeneqError, match=r"A part of the features is missing .*f.zarr.*Make them"):
        Features.read(tmp_path / "f.zarr")


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"zarr_format": 3, "node_type": "group"}'])
def test_features_with_damaged_metadata_are_refused(tmp_path, content):
    features().write(tmp_path / "f.zarr")
    (tmp_path / "f.zarr" / "zarr.json").write_bytes(content)
    with pytest.raises(GeneqError, match=r"Not (a folder of )?features"):
        Features.read(tmp_path / "f.zarr")


@pytest.mark.parametrize("kind", ["nothing", "folder", "file"])
def test_what_holds_no_features_is_refused(tmp_path, kind):
    path = tmp_path / "x.zarr"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.touch()
    with pytest.raises(GeneqError, match=r"Not a folder of features: .*x.zarr"):
        Features.read(path)


@pytest.mark.parametrize(("key", "value"), [("version", VERSION - 1), ("format", "other")])
def test_features_of_another_format_are_refused(tmp_path, key, value):
    features().write(tmp_path / "f.zarr")
    path = tmp_path / "f.zarr" / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"][key] = value
    path.write_text(json.dumps(document))
    with pytest.raises(GeneqError, match=rf"features (of format|written by geneq).*{value}"):
        Features.read(tmp_path / "f.zarr")


# --- shards -----------------------------------------------------------------------------------


def test_joined_features_are_stacked_in_the_order_given_and_complete():
    parts = [features(2, first=7), features(0), features(3)]
    joined = Features.join(parts, ["a", "b", "c"])
    assert joined.gene_id.tolist() == ["G7", "G8", "G0", "G1", "G2"]
    for i, block in enumerate(joined.blocks):
        np.testing.assert_array_equal(block.values[2:], parts[2].blocks[i].values)
        flat = block.flat
        np.testing.assert_array_equal(
            block.quantiles, quantiles(flat).reshape(*block.values.shape[1:], len(SCORES))
        )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (features(2, first=9, hash="other"), r"from one oracle, window and genome \(in second\)"),
        (features(2, first=9, bin_edges=[-1, 0, 1]), r"from one oracle, window and genome"),
        (replace(features(2, first=9), blocks=[oracle(2)]), r"from one oracle, window and genome"),
        (features(1, first=2), r"Shards must not share genes \(in first, second\)"),
    ],
)
def test_shards_that_do_not_belong_together_are_refused(other, message):
    with pytest.raises(GeneqError, match=message):
        Features.join([features(), other], ["first", "second"])


# --- normal scores ----------------------------------------------------------------------------

NUMBERS = st.floats(-(2.0**100), 2.0**100, width=32)
COLUMNS = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1)
)


@given(COLUMNS)
@settings(max_examples=100)
def test_quantiles_and_scores_are_those_of_the_reference(rows):
    x = np.array(rows, np.float32)
    found = quantiles(x)
    assert (np.diff(found, axis=1) >= 0).all()
    np.testing.assert_allclose(found, twin.quantiles(x), rtol=1e-5, atol=1e-30)
    scores = normal_scores(x, found)
    assert (np.abs(scores) <= 3).all()
    np.testing.assert_allclose(scores, twin.normal_scores(x, found), atol=1e-4)


@given(COLUMNS)
def test_a_larger_value_never_has_a_smaller_score(rows):
    x = np.sort(np.array(rows, np.float32), axis=0)
    assert (np.diff(normal_scores(x, quantiles(x)), axis=0) >= 0).all()


def test_scores_of_any_distribution_are_normal():
    rng = np.random.default_rng(3)
    x = np.stack([rng.lognormal(0, 2, 20_000), rng.normal(5, 2, 20_000)], 1).astype(np.float32)
    scores = normal_scores(x, quantiles(x))
    np.testing.assert_allclose(scores.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(scores.std(0), 1, atol=0.02)
    # Beyond the quantiles there is nothing more.
    ends = np.array([[-1e9, -1e9], [1e9, 1e9]], np.float32)
    np.testing.assert_array_equal(normal_scores(ends, quantiles(x)), [[-3, -3], [3, 3]])


def test_a_constant_scores_0_and_a_value_of_many_genes_the_mean_of_its_ranks():
    x = np.zeros((1000, 2), np.float32)
    x[900:, 1] = np.arange(100) + 1
    scores = normal_scores(x, quantiles(x))
    assert not scores[:, 0].any()
    assert (scores[:900, 1] == scores[0, 1]).all()
    # 0 is at the quantiles of -3 to 1.25.
    assert scores[0, 1] == pytest.approx(SCORES[SCORES <= 1.25].mean())


def test_columns_are_sorted_in_parts_to_the_same_result(monkeypatch):
    x = np.random.default_rng(1).normal(size=(50, 11)).astype(np.float32)
    whole = quantiles(x)
    monkeypatch.setattr(module, "COLUMNS_AT_A_TIME", 3)
    np.testing.assert_array_equal(quantiles(x), whole)

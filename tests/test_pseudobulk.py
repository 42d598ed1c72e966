"""From an h5ad file to expression.parquet and expression.json."""

import json
import tracemalloc
import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata.io import write_elem
from hypothesis import given, settings
from hypothesis import strategies as st

from geneq import _ext
from geneq.artifacts import EXPRESSION, GENES
from geneq.cli import main
from geneq.errors import GeneqError
from geneq.stages.pseudobulk import pseudobulk
from geneq.stages.pseudobulk.mapping import map_genes
from geneq.stages.pseudobulk.reading import open_h5ad, open_matrix
from geneq.stages.pseudobulk.sums import assign_groups
from twins import pseudobulk as reference

SHARED = Path(__file__).parents[2] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="the shared inputs are not here")
LAYOUTS = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.asarray}


def gene_table(ids, symbols=None) -> pd.DataFrame:
    frame = pd.DataFrame({"gene_id": list(ids), "gene_name": list(symbols or ids)})
    constant = {"chrom": "chr1", "tss": 0, "strand": "+", "records": "", "fold": 0, "split": "test",
                "family": -1}  # fmt: skip
    return frame.assign(**constant)


def draw_counts(n_cells, n_genes, seed, types=3):
    """Poisson counts of cells of uneven depth; type codes. About half are zero."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, types, n_cells)
    profile = rng.gamma(0.5, 2, (types, n_genes))
    depth = rng.gamma(4, 0.25, (n_cells, 1))
    return rng.poisson(depth * profile[codes]), codes


def write_h5ad(path, x, types, *, layout="csr", names=None, layers=None, raw=None, **obs):
    """An h5ad file with types in obs.cell_type; names of genes default to g0, g1, …"""
    names = [f"g{i}" for i in range(x.shape[1])] if names is None else names
    labels = [f"type {code}" if isinstance(code, int | np.integer) else code for code in types]
    cells = [f"cell{i}" for i in range(len(labels))]
    adata = anndata.AnnData(
        LAYOUTS[layout](np.asarray(x, dtype=np.float32)),
        obs=pd.DataFrame({"cell_type": pd.Categorical(labels), **obs}, index=cells),
        var=pd.DataFrame(index=pd.Index(names, dtype=object)),
    )
    for name, layer in (layers or {}).items():
        adata.layers[name] = sp.csr_matrix(layer)
    if raw is not None:
        adata.raw = anndata.AnnData(sp.csr_matrix(raw), obs=adata.obs, var=adata.var)
    adata.write_h5ad(path)
    return path


def logged(x):
    """What scanpy's normalize_total and log1p make of counts."""
    return np.log1p(x / x.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)


def rows(frame: pd.DataFrame) -> dict:
    columns = frame[["cell_type", "gene_id", "log2cpm", "counts", "n_cells", "se"]]
    return {(a, b): rest for a, b, *rest in columns.itertuples(index=False)}


@pytest.fixture
def command(tmp_path, capsys):
    """Run `geneq pseudobulk` on a file; gives its status, its error text and the output folder."""

    def call(h5ad, *options, genes=None, cell_type_key="cell_type"):
        GENES.write(gene_table([f"g{i}" for i in range(20)]) if genes is None else genes, table)
        out = tmp_path / "out"
        given = ["--h5ad", h5ad, "--genes", table, "--out", out, "--cell_type_key", cell_type_key]
        argv = ["pseudobulk", "--dataset", "mine", *map(str, given), *options]
        status = main(argv)
        return status, capsys.readouterr(), out

    table = tmp_path / "genes.parquet"
    return call


@pytest.fixture
def small(tmp_path):
    """60 cells of three types, 20 genes, counts in X."""
    x, types = draw_counts(60, 20, seed=3)
    return write_h5ad(tmp_path / "small.h5ad", x, types)


# What it computes


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    layout=st.sampled_from(sorted(LAYOUTS)),
    block_values=st.sampled_from([1, 7, 100, 10_000]),
    donors=st.booleans(),
)
def test_every_layout_gene_order_and_block_size_gives_the_reference_table(
    tmp_path_factory, seed, layout, block_values, donors
):
    rng = np.random.default_rng(seed)
    x, types = draw_counts(int(rng.integers(40, 60)), 12, seed)
    x[rng.random(len(x)) < 0.1] = 0
    # g0 to g9 shuffled, two columns of the file for g3, and one that is in no table
    names = rng.permutation([*(f"g{i}" for i in range(10)), "g3", "other"])
    donor = rng.choice(["d1", "d2", "d3", "d4"], len(x))
    path = tmp_path_factory.mktemp("property") / "x.h5ad"
    with pytest.warns(UserWarning, match="Variable names are not unique"):
        write_h5ad(path, x, types, layout=layout, names=names, donor=donor)
    key = "donor" if donors else None
    genes = [f"g{i}" for i in range(11)]

    expression, document = pseudobulk(
        path, "cell_type", gene_table(genes), donor_key=key, min_cells=9, block_values=block_values
    )
    with pytest.warns(UserWarning, match="Variable names are not unique"):
        expected = reference.profiles(
            path, "cell_type", {gene: gene for gene in genes}, donor_key=key, min_cells=9
        )

    found = rows(expression)
    assert found.keys() == expected.keys()
    for row, figures in expected.items():
        exact = donors or row[1] != "g3"  # se over cells leaves out covariance between columns
        np.testing.assert_allclose(found[row][: 3 + exact], figures[: 3 + exact], rtol=1e-9)
    assert document["absent"] == {"n": 1, "examples": ["g10"]}
    assert document["duplicated"] == {"n": 1, "examples": ["g3"]}
    assert document["unmapped"] == {"n": 1, "examples": ["other"]}
    assert document["dropped_cells"]["n"] == (x.sum(axis=1) == 0).sum()


@pytest.mark.parametrize("donors", [False, True])
def test_reliability_is_that_of_the_reference(tmp_path, donors):
    x, types = draw_counts(90, 30, seed=5, types=2)
    donor = np.random.default_rng(5).integers(0, 7, 90)
    path = write_h5ad(tmp_path / "x.h5ad", x, types, donor=donor.astype(str))
    genes = gene_table([f"g{i}" for i in range(25)])
    key = "donor" if donors else None
    document = pseudobulk(path, "cell_type", genes, donor_key=key, seed=4)[1]

    groups, rng = assign_groups(types, donor if donors else None, 4), np.random.default_rng(4)
    for number, about in enumerate(document["cell_types"]):
        of_cell = groups.of_cell[types == number]
        of_cell = of_cell - of_cell.min()
        orders = [rng.permutation(of_cell.max() + 1) for _ in range(10)]
        expected = reference.reliability(x[types == number], np.arange(25), of_cell, orders)
        assert about["reliability"] == pytest.approx(expected, rel=1e-9)
        assert about["ceiling"] == pytest.approx(expected**0.5, rel=1e-9)
        assert about["halves"] == ("donors" if donors else "cells")


def replicate(path, seed, n_cells=400):
    """A data set drawn anew from always the same two types."""
    profile = np.random.default_rng(0).lognormal(0, 2, (2, 300))
    genes = gene_table([f"g{i}" for i in range(300)])
    rng = np.random.default_rng(seed)
    types = np.arange(n_cells) % 2
    share = profile[types] / profile[types].sum(axis=1, keepdims=True)
    bursts = rng.gamma(0.2, 5, share.shape)  # so that cells differ by more than counting noise
    x = rng.poisson(share * bursts * rng.gamma(2, 2000, (n_cells, 1)))
    return pseudobulk(write_h5ad(path, x, types), "cell_type", genes)


def test_reliability_and_se_tell_what_a_new_sample_of_cells_would_give(tmp_path):
    """Over 30 replicates: their r is the reliability, their spread the se of common genes."""
    tables = [replicate(tmp_path / "x.h5ad", seed) for seed in range(30)]
    values = np.array([t[0]["log2cpm"].to_numpy().reshape(2, -1) for t in tables])
    claimed = np.mean([t[1]["cell_types"][0]["reliability"] for t in tables])
    between = np.corrcoef(values[:, 0])[np.triu_indices(30, 1)].mean()
    assert claimed == pytest.approx(between, abs=0.01)
    assert 0.8 < between < 0.99  # neither perfect nor noise: the comparison says something

    counts = np.mean([t[0]["counts"].to_numpy().reshape(2, -1) for t in tables], axis=0)
    se = np.mean([t[0]["se"].to_numpy().reshape(2, -1) for t in tables], axis=0)
    common = (counts > 50) & (se < 0.3)  # the delta method is for small errors
    ratio = values.std(axis=0, ddof=1)[common] / se[common]
    assert common.sum() > 50
    assert np.sqrt(np.mean(ratio**2)) == pytest.approx(1, abs=0.05)


def test_halves_keep_donors_whole_and_groups_equal():
    types = np.repeat([0, 1, -1], [100, 5, 3])
    donors = np.arange(108) % 50
    by_cell, by_donor = assign_groups(types, None, 1), assign_groups(types, donors, 1)
    sizes = np.bincount(by_cell.of_cell[by_cell.of_cell >= 0])
    assert sorted(sizes[:8]) == [12] * 4 + [13] * 4 and sizes[8:].tolist() == [1] * 5
    assert (by_cell.of_cell[-3:] == -1).all()
    for donor in range(50):
        assert len(set(by_donor.of_cell[:100][donors[:100] == donor])) == 1
    assert np.bincount(by_donor.cell_type).tolist() == [32, 5]


def test_the_seed_decides_the_halves_and_nothing_else(small):
    genes = gene_table([f"g{i}" for i in range(20)])
    (table, one), (again, same) = (pseudobulk(small, "cell_type", genes, seed=1) for _ in "12")
    other_table, other = pseudobulk(small, "cell_type", genes, seed=2)
    assert one == same and table.equals(again)
    assert table.equals(other_table)
    assert one["cell_types"][0]["reliability"] != other["cell_types"][0]["reliability"]


@pytest.mark.parametrize("size", [1e6, 1e4, 20])
def test_cells_of_equal_totals_are_averaged_and_put_to_one_million_again(tmp_path, size):
    x, types = draw_counts(60, 20, seed=8)
    cpm = size * x / x.sum(axis=1, keepdims=True)
    path = write_h5ad(tmp_path / "cpm.h5ad", cpm, types)
    table, document = pseudobulk(path, "cell_type", gene_table(["g1", "g4"]))
    assert document["scale"] == "cpm"
    assert table["counts"].isna().all()
    assert {about["counts"] for about in document["cell_types"]} == {None}
    mean = cpm[types == 0].mean(axis=0) * 1e6 / size
    np.testing.assert_allclose(table["log2cpm"][:2], np.log2(mean[[1, 4]] + 1), rtol=1e-6)


def test_memory_does_not_grow_with_the_cells(tmp_path):
    x, types = draw_counts(500, 100, seed=2)
    genes = gene_table([f"g{i}" for i in range(100)])

    def peak(copies, layout):
        many = np.tile(x, (copies, 1)), np.tile(types, copies)
        path = write_h5ad(tmp_path / "many.h5ad", *many, layout=layout)
        tracemalloc.start()
        pseudobulk(path, "cell_type", genes, block_values=50_000)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak, 8 * np.count_nonzero(many[0])

    for layout in LAYOUTS:
        few, _ = peak(10, layout)
        many, stored = peak(100, layout)
        assert many - few < 0.5 * stored


# Labels, layers, genes


def test_the_command_writes_both_files_and_a_summary(command, small):
    status, printed, out = command(small)
    assert status == 0
    assert sorted(path.name for path in out.iterdir()) == ["expression.json", "expression.parquet"]
    document = json.loads((out / "expression.json").read_text())
    assert document["dataset"] == "mine" and document["h5ad"] == "small.h5ad"
    assert len(EXPRESSION.read(out / "expression.parquet")) == 3 * 20
    assert "mine: 60 cells of 3 types (counts), 20 of 20 genes mapped by var index" in printed.out
    assert "type 0: only 745 counts, fewer than 100,000" in printed.err


def test_cells_without_label_or_counts_and_small_types_are_dropped_and_counted(tmp_path):
    x, types = draw_counts(70, 20, seed=4)
    labels = np.array([f"t{code}" for code in types], dtype=object)
    labels[:5], labels[5:7], labels[7:10], labels[10:14] = None, "", "nan", "rare"
    x[:, 0] += 1
    x[20:23] = 0
    path = write_h5ad(tmp_path / "x.h5ad", x, labels)
    document = pseudobulk(path, "cell_type", gene_table([f"g{i}" for i in range(20)]))[1]
    assert document["dropped_cells"] == {
        "n": 13,
        "reason": "10 without a cell type, 3 without any count",
    }
    assert document["dropped_cell_types"] == [
        {"cell_type": "rare", "n_cells": 4, "reason": "fewer than 10 cells"}
    ]
    assert [about["cell_type"] for about in document["cell_types"]] == ["t0", "t1", "t2"]
    assert document["n_cells"] == 70 - 13 - 4 and document["n_cells_file"] == 70


def test_a_type_left_small_by_empty_cells_is_dropped(tmp_path):
    x, _ = draw_counts(40, 20, seed=4)
    types = np.arange(40) % 2
    x[(types == 1) & (np.arange(40) > 10)] = 0
    path = write_h5ad(tmp_path / "x.h5ad", x, types)
    table, document = pseudobulk(path, "cell_type", gene_table(["g1", "g2", "g3"]))
    assert document["dropped_cell_types"][0]["cell_type"] == "type 1"
    assert set(table["cell_type"]) == {"type 0"}


@pytest.mark.parametrize(
    "column",
    [
        np.array(["a", "b"] * 30),
        pd.Categorical(["a", "b"] * 30, categories=["unused", "b", "a"]),
        np.array([1, 2] * 30),
        np.array([1.0, np.nan] * 30),
        pd.array([1, 2] * 30, dtype="Int64"),
        np.array([True, False] * 30),
    ],
    ids=["text", "categorical", "integers", "floats", "nullable", "boolean"],
)
def test_labels_may_be_any_type_of_column(tmp_path, column):
    x, types = draw_counts(60, 20, seed=9)
    path = write_h5ad(tmp_path / "x.h5ad", x, types, label=column)
    document = pseudobulk(path, "label", gene_table(["g1", "g2", "g3"]))[1]
    found = [about["cell_type"] for about in document["cell_types"]]
    expected = {"text": ["a", "b"], "boolean": ["False", "True"], "floats": ["1"]}
    text = pd.Series(column).dropna()
    kind = {"O": "text", "b": "boolean", "f": "floats"}.get(text.dtype.kind, "integers")
    assert found == expected.get(kind, ["1", "2"])


@pytest.mark.filterwarnings("error")
def test_categories_of_older_anndata_are_read_as_names(small):
    with h5py.File(small, "r+") as file:
        obs = file["obs"]
        codes, categories = (obs["cell_type"][name][:] for name in ("codes", "categories"))
        del obs["cell_type"]
        stored = obs.create_dataset("cell_type", data=codes)
        text = h5py.string_dtype()
        stored_names = obs.create_dataset("__categories/cell_type", data=categories, dtype=text)
        stored.attrs["categories"] = stored_names.ref
        obs.attrs["encoding-version"] = "0.1.0"
    document = pseudobulk(small, "cell_type", gene_table(["g1", "g2", "g3"]))[1]
    assert [about["cell_type"] for about in document["cell_types"]] == [
        "type 0",
        "type 1",
        "type 2",
    ]


def test_one_donor_gives_a_warning_and_no_reliability(tmp_path):
    x, types = draw_counts(60, 20, seed=6, types=2)
    donor = np.where(types == 0, "d1", np.where(np.arange(60) % 2, "d1", "d2")).astype(object)
    donor[0] = None
    path = write_h5ad(tmp_path / "x.h5ad", x, types, donor=donor)
    genes = gene_table([f"g{i}" for i in range(20)])
    table, document = pseudobulk(path, "cell_type", genes, donor_key="donor")
    alone, two = document["cell_types"]
    assert "only one of the donors: no standard errors and no reliability" in alone["warnings"]
    assert np.isnan(alone["reliability"]) and two["reliability"] > 0
    assert table.groupby("cell_type")["se"].count().to_dict() == {"type 0": 0, "type 1": 20}
    assert document["dropped_cells"] == {"n": 1, "reason": "1 without a donor"}


@pytest.mark.parametrize("layer", ["counts", "raw.X"])
def test_counts_are_taken_from_a_layer_or_from_raw(tmp_path, layer):
    x, types = draw_counts(60, 20, seed=3)
    x[:, 0] += 1
    named = {"layers": {"counts": x}} if layer == "counts" else {"raw": x}
    path = write_h5ad(tmp_path / "x.h5ad", logged(x), types, **named)
    plain = write_h5ad(tmp_path / "plain.h5ad", x, types)
    genes = gene_table([f"g{i}" for i in range(20)])
    table, document = pseudobulk(path, "cell_type", genes, layer=layer)
    assert document["layer"] == layer and document["scale"] == "counts"
    pd.testing.assert_frame_equal(table, pseudobulk(plain, "cell_type", genes)[0])


def mapped(names, ids, symbols, **columns):
    identifiers = {name: np.array(values, dtype=object) for name, values in columns.items()}
    found = map_genes(
        {"var index": np.array(names, dtype=object), **identifiers}, gene_table(ids, symbols), "f"
    )
    return found, [ids[place] if place >= 0 else None for place in found.gene]


def test_genes_map_by_id_version_symbol_and_any_case():
    same = [f"S{i}" for i in range(10)]  # so that two genes in another case are a small share
    names = ["ENSG2.7", "ENSG1", "abc1", "Xyz", "XYZ", "none", "Two", "two", *same]
    ids = [f"ENSG{i}" for i in range(1, 16)]
    found, where = mapped(names, ids, ["A", "B", "ABC1", "XYZ", "TWO", *same])
    assert where[:8] == ["ENSG2", "ENSG1", "ENSG3", None, "ENSG4", None, None, None]
    counted = found.counted(gene_table(ids))
    assert counted["mapped_by"] == {
        "identifier": "var index",
        "gene_id without version": 1,
        "gene_id": 1,
        "gene_name in any case": 1,
        "gene_name": 11,
    }
    assert counted["unmapped"] == {"n": 4, "examples": ["Xyz", "none", "Two", "two"]}


@pytest.mark.parametrize(
    ("in_file", "in_table"),
    [
        ("ENSG00000100001.7", "ENSG00000100001"),
        ("ENSG00000100001", "ENSG00000100001.7"),
        ("ENSG00000100001.5_2", "ENSG00000100001"),
        ("ENSG00000100001.7_PAR_Y", "ENSG00000100001"),
        ("ENSGR0000100001.7", "ENSG00000100001"),
        ("ENSMUSG00000000001.4", "ENSMUSG00000000001"),
    ],
)
def test_ids_of_other_releases_map(in_file, in_table):
    assert mapped([in_file], [in_table], ["A"])[1] == [in_table]


def test_a_symbol_of_several_genes_is_given_to_none_of_them():
    found, where = mapped(["A", "a", "B"], ["E1", "E2", "E3"], ["A", "A", "B"])
    assert where == [None, None, "E3"]
    counted = found.counted(gene_table(["E1", "E2", "E3"]))
    assert counted["ambiguous"] == {"n": 1, "examples": ["A"]}
    assert counted["absent"]["examples"] == ["E1", "E2"]


def test_the_identifier_that_maps_most_genes_is_used():
    found, where = mapped(
        ["A", "x", "y"], ["E1", "E2", "E3"], ["A", "B", "C"], gene_ids=["E3", "E2", "zz"]
    )
    assert found.identifier == "gene_ids" and where == ["E3", "E2", None]


def test_identifiers_in_columns_of_var_are_tried(tmp_path, small):
    with h5py.File(small, "r+") as file:
        ids = np.array([f"ENSG{i:05d}.{i}" for i in range(20)], dtype=object)
        column = file["var"].create_dataset("gene_ids", data=ids, dtype=h5py.string_dtype())
        column.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
        file["var"].attrs["column-order"] = np.array(["gene_ids"], dtype=object)
    genes = gene_table([f"ENSG{i:05d}" for i in range(3, 30)])
    document = pseudobulk(small, "cell_type", genes)[1]
    assert document["n_genes_mapped"] == 17 and document["absent"]["n"] == 10
    assert document["mapped_by"]["identifier"] == "var column 'gene_ids'"


# Features that are not genes


def write_features(path, x, types, names, **var):
    """An h5ad file of features with columns of var."""
    write_h5ad(path, x, types)
    with h5py.File(path, "r+") as file:
        del file["var"]
        write_elem(file, "var", pd.DataFrame(var, index=pd.Index(names, dtype=object)))
    return path


GENES_20 = gene_table([f"g{i}" for i in range(20)])
TYPED = {
    "10x": ("feature_types", "Gene Expression", "Antibody Capture"),
    "10x peaks": ("feature_types", "Gene Expression", "Peaks"),
    "10x guides": ("feature_types", "Gene Expression", "CRISPR Guide Capture"),
    "10x tags": ("feature_types", "Gene Expression", "Multiplexing Capture"),
    "10x custom": ("feature_types", "Gene Expression", "Custom"),
    "CELLxGENE": ("feature_biotype", "gene", "spike-in"),
    "CELLxGENE 5": ("feature_type", "protein_coding", "synthetic"),
    "R": ("feature.types", "Gene Expression", "Antibody Capture"),
    "multiome": ("feature_types", "GEX", "ADT"),
    "other": ("feature_type", "Gene Expression", "any other transcript"),
}


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("case", TYPED)
def test_features_that_are_not_genes_count_neither_for_a_gene_nor_in_totals(tmp_path, layout, case):
    """Half of the file are features of another type, named like genes, with high counts."""
    column, gene, other = TYPED[case]
    x, types = draw_counts(60, 20, seed=3)
    both = np.hstack([50 * x + 1, x])
    path = write_h5ad(tmp_path / "x.h5ad", both, types, layout=layout)
    with h5py.File(path, "r+") as file:
        del file["var"]
        var = {column: [other] * 20 + [gene] * 20}
        names = [f"g{i}" for i in range(20)]
        write_elem(file, "var", pd.DataFrame(var, index=pd.Index(names * 2, dtype=object)))
    table, document = pseudobulk(path, "cell_type", GENES_20)
    plain = write_h5ad(tmp_path / "plain.h5ad", x, types, layout=layout)
    expected, about = pseudobulk(plain, "cell_type", GENES_20)
    pd.testing.assert_frame_equal(table, expected)
    assert document["cell_types"] == about["cell_types"]
    assert document["n_genes_file"] == 20
    share = both[:, :20].sum() / both.sum()
    assert document["dropped_features"] == {
        other: {"n": 20, "examples": names[:5], "share": pytest.approx(share)}
    }
    assert about["dropped_features"] == {} and about["unmapped_share"] == 0


def test_scaled_antibodies_do_no_harm(tmp_path):
    x, types = draw_counts(60, 20, seed=3)
    antibodies = np.random.default_rng(1).normal(size=(60, 3))
    antibodies[0] = np.nan
    names, feature = [*GENES_20["gene_id"], "a", "b", "c"], ["Gene Expression"] * 20 + ["ADT"] * 3
    path = write_features(
        *(tmp_path / "x.h5ad", np.hstack([x, antibodies]), types, names), feature_types=feature
    )
    table, document = pseudobulk(path, "cell_type", GENES_20)
    plain = pseudobulk(write_h5ad(tmp_path / "plain.h5ad", x, types), "cell_type", GENES_20)[0]
    pd.testing.assert_frame_equal(table, plain)
    assert document["scale"] == "counts"
    assert np.isnan(document["dropped_features"]["ADT"]["share"])


def test_spike_ins_are_known_by_their_names_and_reported(command, tmp_path):
    x, types = draw_counts(60, 24, seed=3)
    names = [*GENES_20["gene_id"][:19], "ERCC1", "ERCC-00002", "ERCC_00003", "ercc-00004", "z"]
    path = write_h5ad(tmp_path / "x.h5ad", x, types, names=names)
    genes = gene_table([*GENES_20["gene_id"][:19], "ERCC1"])  # ERCC1 is a human gene
    status, printed, out = command(path, genes=genes)
    document = json.loads((out / "expression.json").read_text())
    share = x[:, 20:23].sum() / x.sum()
    assert status == 0 and document["n_genes_mapped"] == 20
    assert document["dropped_features"]["ERCC spike-in"] == {
        "n": 3,
        "examples": ["ERCC-00002", "ERCC_00003", "ercc-00004"],
        "share": pytest.approx(share),
    }
    assert (
        "warning: Dropped 3 features that are not genes, from sums and totals: 3 ERCC spike-in "
        f"(ERCC-00002, ERCC_00003, ercc-00004; {share:.1%} of all values)."
    ) in printed.err
    totals = sum(about["counts"] for about in document["cell_types"])
    assert totals == np.delete(x, [20, 21, 22], axis=1).sum()


def test_features_of_no_gene_with_many_counts_are_named(command, tmp_path):
    x, types = draw_counts(60, 22, seed=3)
    x[:, 20:] = [x.sum() / 600, 1]
    names = [*GENES_20["gene_id"], "tdTomato", "Cre"]
    path = write_h5ad(tmp_path / "x.h5ad", x, types, names=names)
    _, printed, out = command(path)
    tomato, cre = x[:, 20:].sum(axis=0) / x.sum()
    said = f"2 features of the file are not in the gene table and have {tomato + cre:.1%} of all "
    assert f"warning: {said}values (largest: tdTomato {tomato:.1%}, Cre {cre:.1%})" in printed.err
    document = json.loads((out / "expression.json").read_text())
    assert document["unmapped_share"] == pytest.approx(tomato + cre)
    x[:, 20:] = 0
    x[:, 20] = x.sum() / 60 / 40  # 2.4 %
    _, printed, _ = command(write_h5ad(tmp_path / "x.h5ad", x, types, names=names))
    assert "tdTomato" not in printed.err


def test_a_feature_without_type_is_a_gene(tmp_path):
    x, types = draw_counts(60, 20, seed=3)
    feature = pd.array(["Gene Expression"] * 5 + [None] * 5 + ["nan"] * 5 + ["Peaks"] * 5)
    path = write_features(
        tmp_path / "x.h5ad", x, types, GENES_20["gene_id"], feature_types=pd.Categorical(feature)
    )
    assert pseudobulk(path, "cell_type", GENES_20)[1]["n_genes_mapped"] == 15


def test_a_file_without_gene_is_refused(command, tmp_path):
    x, types = draw_counts(60, 20, seed=3)
    path = write_features(
        tmp_path / "x.h5ad", x, types, GENES_20["gene_id"], feature_types=["Peaks"] * 20
    )
    refused(command(path), "No feature in var is a gene: '20 Peaks'", "x.h5ad")


# Another species

HUMAN = [f"GENE{i}" for i in range(100)]


@pytest.mark.parametrize(("n", "passes"), [(10, True), (11, False), (100, False)])
def test_more_than_a_tenth_of_genes_in_another_case_is_another_species(n, passes):
    names = [name.capitalize() if i < n else name for i, name in enumerate(HUMAN)]
    if passes:
        assert len(mapped(names, HUMAN, HUMAN)[0].mapped) == 100
        return
    with pytest.raises(GeneqError, match=f"{n} of 100 genes match the gene table only if") as error:
        mapped(names, HUMAN, HUMAN)
    assert "Gene0 for GENE0, Gene1 for GENE1" in str(error.value)
    assert "Use the genome and annotation of the file's species" in str(error.value)


def ids(prefix, n=30):
    return [f"{prefix}{i:011d}" for i in range(n)]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        *(("ENSG", "ENSMUSG"), ("ENSMUSG", "ENSG"), ("ENSMUSG", "ENSRNOG"), ("ENSG", "ENSMMUG")),
        *(("ENSG", "FBgn"), ("FBgn", "WBGene")),
    ],
)
@pytest.mark.parametrize("where", ["index", "column"])
def test_ids_of_another_species_are_refused_though_symbols_agree(ours, theirs, where):
    table, symbols = ids(ours), [f"S{i}" for i in range(30)]
    names, column = ids(theirs), symbols
    if where == "column":
        names, column = column, names
    with pytest.raises(GeneqError, match=f"another species .* ids with {theirs}, not {ours}"):
        mapped(names, table, symbols, **{"var column 'x'": column})


def test_ids_of_orthologs_beside_those_of_the_species_are_no_other_species():
    symbols = [f"S{i}" for i in range(30)]
    other = {"var column 'mouse_ortholog'": ids("ENSMUSG")}
    assert len(mapped(symbols, ids("ENSG"), symbols, **other)[0].mapped) == 30
    both = {"var column 'a'": ids("ENSMUSG"), "var column 'b'": ids("ENSG")}
    assert len(mapped(symbols, ids("ENSG"), symbols, **both)[0].mapped) == 30


def test_exact_ids_are_preferred_to_symbols_in_another_case():
    symbols = [f"S{i}" for i in range(30)]
    lower = [symbol.lower() for symbol in symbols]
    found, _ = mapped(lower, ids("ENSG"), symbols, gene_ids=[*ids("ENSG")[:29], "x"])
    assert found.identifier == "gene_ids" and len(found.mapped) == 29


# Sparse matrices as they may be


def restored(path, change):
    """Replace X of a file, a SciPy matrix, by (data, indices, indptr) as `change` gives them."""
    with h5py.File(path, "r+") as file:
        parts = [file["X"][name][:] for name in ("data", "indices", "indptr")]
        for name, values in zip(("data", "indices", "indptr"), change(*parts), strict=True):
            del file["X"][name]
            file["X"][name] = values


def twice(data, indices, indptr, seed=0):
    """Entries in two parts that add up, one of them negative at times, zeros, and all shuffled."""
    rng = np.random.default_rng(seed)
    lines = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    part = rng.integers(-3, 6, len(data)).astype(data.dtype)
    lines, indices = np.tile(lines, 3), np.tile(indices, 3)
    data = np.concatenate([part, data - part, np.zeros_like(data)])
    order = np.lexsort((rng.random(len(lines)), lines))
    return data[order], indices[order], 3 * indptr


@pytest.mark.parametrize("layout", ["csr", "csc"])
@pytest.mark.parametrize("donors", [False, True])
@pytest.mark.parametrize("block_values", [1, 50, 100_000])
def test_duplicate_and_unsorted_entries_give_what_their_sum_gives(
    tmp_path, layout, donors, block_values
):
    x, types = draw_counts(60, 20, seed=3)
    donor = [f"d{i % 5}" for i in range(60)]
    given = {"donor_key": "donor" if donors else None, "block_values": block_values}
    path = write_h5ad(tmp_path / "x.h5ad", x, types, layout=layout, donor=donor)
    expected, about = pseudobulk(path, "cell_type", GENES_20, **given)
    restored(path, twice)
    table, document = pseudobulk(path, "cell_type", GENES_20, **given)
    pd.testing.assert_frame_equal(table, expected)
    assert document == about


def test_negatives_that_do_not_cancel_are_refused(command, small):
    restored(small, lambda data, indices, indptr: (-data, indices, indptr))
    refused(command(small), "a value of X is negative: '-2 in cell cell0, gene ")


@pytest.mark.parametrize("dtype", ["uint64", "uint16", "float64", "int8"])
def test_indices_may_be_of_any_type(tmp_path, dtype):
    x, types = draw_counts(60, 20, seed=3)
    for layout in ("csr", "csc"):
        path = write_h5ad(tmp_path / "x.h5ad", x, types, layout=layout)
        expected = pseudobulk(path, "cell_type", GENES_20)[0]
        restored(path, lambda data, indices, indptr: (data, indices.astype(dtype), indptr))
        pd.testing.assert_frame_equal(pseudobulk(path, "cell_type", GENES_20)[0], expected)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "float64", "bool"])
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_small_types_of_values_do_not_overflow(tmp_path, layout, dtype):
    x = np.full((60, 20), 200 if dtype != "bool" else 1)
    x[:, 0] = 1
    types = np.arange(60) % 2
    path = write_h5ad(tmp_path / "x.h5ad", x, types, layout=layout)
    expected = pseudobulk(path, "cell_type", GENES_20)[0]
    assert expected["counts"].max() == x.max() * 30
    with h5py.File(path, "r+") as file:
        name = "X" if layout == "dense" else "X/data"
        values, attributes = file[name][()], dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, data=values.astype(dtype)).attrs.update(attributes)
    pd.testing.assert_frame_equal(pseudobulk(path, "cell_type", GENES_20)[0], expected)


# Labels as they may be


def test_text_that_stands_for_a_missing_value_is_no_label(command, tmp_path):
    x, types = draw_counts(80, 20, seed=3)
    texts = ["NA", "None", "<NA>", "NaN", "nan", "", " ", "n/a", "null", "NaT"]
    labels = np.array([*texts, *(f"t{code}" for code in types[len(texts) :])], dtype=object)
    path = write_h5ad(tmp_path / "x.h5ad", x, labels)
    status, printed, out = command(path)
    document = json.loads((out / "expression.json").read_text())
    assert status == 0
    assert {about["cell_type"] for about in document["cell_types"]} == {"t0", "t1", "t2"}
    assert document["dropped_cells"] == {"n": 10, "reason": "10 without a cell type"}
    assert document["dropped_cell_types"] == []
    assert "warning: Taken as missing in obs column 'cell_type': " in printed.err
    for text in texts:
        assert f"'{text}' (1 cells)" in printed.err


def test_missing_numbers_of_r_and_missing_donors_are_no_labels(tmp_path):
    x, types = draw_counts(60, 20, seed=3)
    numbers = np.where(np.arange(60) < 6, -(2**31), types + 1).astype(np.int32)
    donor = np.array(["NA" if i % 10 == 9 else f"d{i % 3}" for i in range(60)], dtype=object)
    path = write_h5ad(tmp_path / "x.h5ad", x, types, cluster=numbers, donor=donor)
    document = pseudobulk(path, "cluster", GENES_20, donor_key="donor", min_cells=5)[1]
    assert [about["cell_type"] for about in document["cell_types"]] == ["1", "2", "3"]
    assert document["dropped_cells"]["reason"] == "6 without a cell type, 6 without a donor"
    assert document["notes"] == [
        "Taken as missing in obs column 'cluster': '-2147483648' (6 cells).",
        "Taken as missing in obs column 'donor': 'NA' (6 cells).",
    ]


def test_codes_of_minus_one_and_missing_codes_of_r_are_no_labels(small):
    with h5py.File(small, "r+") as file:
        codes = file["obs/cell_type/codes"][:].astype(np.int32)
        codes[:3], codes[3:5] = -1, -(2**31)
        del file["obs/cell_type/codes"]
        file["obs/cell_type/codes"] = codes
    document = pseudobulk(small, "cell_type", GENES_20)[1]
    assert document["dropped_cells"] == {"n": 5, "reason": "5 without a cell type"}


@pytest.mark.parametrize("key", ["cell_type", "donor"])
def test_labels_that_differ_in_white_space_are_one(command, tmp_path, key):
    x, types = draw_counts(60, 20, seed=3, types=2)
    plain = np.array([f"t {code}" for code in types], dtype=object)
    spaced = plain.copy()
    spaced[:7] += " "
    spaced[7:12] = "\t" + spaced[7:12]
    donor, options = [f"d{i % 4}" for i in range(60)], ("--donor_key", "donor")
    columns = {"cell_type": plain, "donor": donor}
    path = write_h5ad(tmp_path / "x.h5ad", x, plain, donor=donor)
    _, _, out = command(path, *options)
    expected = EXPRESSION.read(out / "expression.parquet")
    columns[key] = [f"{label}{' ' * (i < 20)}" for i, label in enumerate(columns[key])]
    path = write_h5ad(tmp_path / "x.h5ad", x, columns["cell_type"], donor=columns["donor"])
    _, printed, out = command(path, *options)
    assert EXPRESSION.read(out / "expression.parquet").equals(expected)
    first = columns[key][0]
    n = columns[key].count(first)
    assert f"white space are one in obs column '{key}': " in printed.err
    assert f"'{first}' ({n} cells) as '{first.strip()}'" in printed.err


def replaced(path, name, values, encoding="array", **attributes):
    """Put a dataset in place of an element of a file."""
    with h5py.File(path, "r+") as file:
        del file[name]
        dataset = file.create_dataset(name, data=values)
        dataset.attrs.update({"encoding-type": encoding, "encoding-version": "0.2.0"})
        dataset.attrs.update(attributes)


def same_types(path, expected):
    document = pseudobulk(path, "cell_type", GENES_20)[1]
    assert {about["cell_type"] for about in document["cell_types"]} == expected
    return document


def test_byte_strings_are_decoded(small):
    with h5py.File(small, "r") as file:
        codes = file["obs/cell_type/codes"][:]
    names = np.array(["T cell", "Bé", "NA"], dtype=object)
    fixed = np.array([name.encode() for name in names])
    replaced(small, "obs/cell_type", fixed[codes])
    same_types(small, {"T cell", "Bé"})
    replaced(small, "obs/cell_type", fixed[codes], encoding="string-array")
    same_types(small, {"T cell", "Bé"})
    replaced(small, "obs/cell_type", np.array([b"T cell", b"B\xe9", b"x"])[codes])  # Latin-1
    same_types(small, {"T cell", "Bé", "x"})


def test_logical_values_of_r_are_labels(small):
    logical = h5py.enum_dtype({"FALSE": 0, "TRUE": 1, "NA": 2}, basetype="i1")
    values = np.tile(np.array([0, 1, 1, 2], dtype=np.int8), 15)
    with h5py.File(small, "r+") as file:
        del file["obs/cell_type"]
        file["obs"].create_dataset("cell_type", data=values, dtype=logical)
    document = same_types(small, {"FALSE", "TRUE"})
    assert document["dropped_cells"]["n"] == 15


def test_nullable_columns_are_labels(tmp_path):
    x, types = draw_counts(60, 20, seed=3)
    column = pd.array([pd.NA, True, False] * 20, dtype="boolean")
    path = write_h5ad(tmp_path / "x.h5ad", x, types, label=column)
    document = pseudobulk(path, "label", GENES_20)[1]
    assert [about["cell_type"] for about in document["cell_types"]] == ["False", "True"]
    assert document["dropped_cells"]["n"] == 20


# What other programs write


def as_bytes(value):
    return np.bytes_(value) if isinstance(value, str) else value


def as_array(value):
    return np.array([value], dtype=h5py.string_dtype()) if isinstance(value, str) else value


def as_bytes_array(value):
    return np.array([value.encode()]) if isinstance(value, str) else value


@pytest.mark.parametrize("form", [as_bytes, as_array, as_bytes_array])
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_attributes_may_be_bytes_or_arrays_of_one(tmp_path, form, layout):
    x, types = draw_counts(60, 20, seed=3)
    label = pd.array([1, 2] * 30, dtype="Int64")
    path = write_h5ad(tmp_path / "x.h5ad", x, types, layout=layout, label=label)
    expected = pseudobulk(path, "cell_type", GENES_20)

    def rewrite(_, element):
        for name, value in dict(element.attrs).items():
            del element.attrs[name]
            element.attrs[name] = form(value)

    with h5py.File(path, "r+") as file:
        file.visititems(rewrite)
        rewrite("", file)
    found = pseudobulk(path, "cell_type", GENES_20)
    pd.testing.assert_frame_equal(found[0], expected[0])
    assert found[1] == expected[1]
    assert len(pseudobulk(path, "label", GENES_20)[1]["cell_types"]) == 2


BAD_COLUMNS = {
    "unknown encoding": (
        lambda column: column.attrs.modify("encoding-type", "factor"),
        "its encoding-type is 'factor'",
    ),
    "duplicated categories": (
        lambda column: put(column, "categories", np.array([b"a", b"b", b"a"])),
        "the category 'a' is listed 2 times",
    ),
    "codes beyond the categories": (
        lambda column: put(column, "codes", np.full(60, 3)),
        "its codes run from 3 to 3, for 3 categories",
    ),
    "negative codes": (
        lambda column: put(column, "codes", np.full(60, -2)),
        "its codes run from -2 to -2, for 3 categories",
    ),
    "fractions as codes": (
        lambda column: put(column, "codes", np.full(60, 0.5)),
        "its codes are float64, not integers",
    ),
    "too few codes": (
        lambda column: put(column, "codes", np.zeros(50, dtype=int)),
        "it has 50 values for 60 rows",
    ),
    "codes of two dimensions": (
        lambda column: put(column, "codes", np.zeros((60, 1), dtype=int)),
        "it has 2 dimensions",
    ),
    "no categories": (lambda column: column.pop("categories"), "object 'categories' doesn't exist"),
    "two dimensions": (lambda column: put_column(column, np.zeros((60, 2))), "it has 2 dimensions"),
    "a wrong length": (lambda column: put_column(column, np.zeros(59)), "59 values for 60 rows"),
    "one number": (lambda column: put_column(column, 3), "it has 0 dimensions"),
    "records": (
        lambda column: put_column(column, np.zeros(60, dtype=[("a", "i4")])),
        "it is neither text nor numbers",
    ),
}


def put(column, name, values):
    del column[name]
    column[name] = values


def put_column(column, values):
    parent, name = column.parent, column.name
    del parent[name]
    parent.file[name] = values


@pytest.mark.parametrize("defect", BAD_COLUMNS)
def test_a_column_that_cannot_be_read_is_named_if_needed_and_ignored_if_not(
    command, tmp_path, defect
):
    x, types = draw_counts(60, 60, seed=3)
    other = [f"o{i % 3}" for i in range(60)]
    path = write_h5ad(tmp_path / "x.h5ad", x, types, donor=pd.Categorical(other))
    change, said = BAD_COLUMNS[defect]
    with h5py.File(path, "r+") as file:
        del file["var"]
        var = pd.DataFrame({"chrom": pd.Categorical(other)}, index=[f"g{i}" for i in range(60)])
        write_elem(file, "var", var)
    expected = pseudobulk(path, "cell_type", GENES_20)[0]
    with h5py.File(path, "r+") as file:
        change(file["obs/donor"])
        change(file["var/chrom"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pd.testing.assert_frame_equal(pseudobulk(path, "cell_type", GENES_20)[0], expected)
    for options, key in (("--donor_key", "donor"), "cell_type"), ((), "donor"):
        result = command(path, *options, cell_type_key=key)
        refused(result, "Column 'donor' of obs cannot be read", said, "x.h5ad")


def test_a_column_of_feature_types_that_cannot_be_read_is_needed(command, tmp_path):
    x, types = draw_counts(60, 20, seed=3)
    feature = pd.Categorical(["Gene Expression"] * 20)
    path = write_features(tmp_path / "x.h5ad", x, types, GENES_20["gene_id"], feature_types=feature)
    with h5py.File(path, "r+") as file:
        put(file["var/feature_types"], "codes", np.zeros(3, dtype=int))
    refused(command(path), "Column 'feature_types' of var cannot be read", "3 values for 20 rows")


def test_an_index_that_is_missing_or_cannot_be_read_is_named(command, small):
    whole = small.read_bytes()
    with h5py.File(small, "r+") as file:
        file["var"].attrs["_index"] = "nothing"
    refused(command(small), "'var' has no index")
    small.write_bytes(whole)
    with h5py.File(small, "r+") as file:
        put(file["var"], "_index", np.zeros((20, 2)))
    refused(command(small), "Column '_index' of var cannot be read", "it has 2 dimensions")
    small.write_bytes(whole)
    with h5py.File(small, "r+") as file:
        del file["var"].attrs["_index"]  # its usual name suffices
    assert command(small)[0] == 0


def test_raw_without_var_and_a_dataset_that_says_it_is_sparse_are_refused(command, tmp_path):
    x, types = draw_counts(60, 20, seed=3)
    path = write_h5ad(tmp_path / "x.h5ad", x, types, raw=x)
    with h5py.File(path, "r+") as file:
        del file["raw/var"]
    refused(command(path, "--layer", "raw.X"), "An h5ad file has 'raw/var'")
    replaced(path, "X", x, encoding="csr_matrix")
    refused(command(path), "X must be a CSR, CSC or dense matrix of numbers: 'csr_matrix'")


PARTS = [
    *("X", "X/data", "X/indices", "X/indptr", "layers", "obs", "obs/_index", "obs/cell_type"),
    *("obs/cell_type/codes", "obs/cell_type/categories", "obs/donor/mask", "obs/donor/values"),
    *("var", "var/_index"),
]


@pytest.mark.parametrize("part", PARTS)
def test_any_part_may_be_damaged_and_the_error_is_one_line(tmp_path, part):
    x, types = draw_counts(60, 20, seed=3)
    donor = pd.array([1, 2, 3] * 20, dtype="Int64")
    path = write_h5ad(tmp_path / "x.h5ad", x, types, layers={"other": x}, donor=donor)
    whole = path.read_bytes()
    for value in (None, 3, np.zeros((2, 2)), np.zeros(0), np.full(60, np.nan), h5py.Empty("f")):
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            attributes = dict(file[part].attrs)
            del file[part]
            if value is None:
                file.create_group(part)
            else:
                file[part] = value
            file[part].attrs.update(attributes)
        try:
            pseudobulk(path, "cell_type", GENES_20, donor_key="donor")
        except GeneqError as error:
            assert "x.h5ad" in str(error)
        else:
            # Neither other layers nor the names of cells are needed.
            assert part in ("layers", "obs/_index")


def test_a_compression_that_hdf5_lacks_here_is_named(command, small):
    with h5py.File(small, "r+") as file:
        data = file["X/data"][:]
        del file["X/data"]
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk((len(data),))
        layout.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))  # Zstandard
        space = h5py.h5s.create_simple((len(data),))
        stored = h5py.h5d.create(file["X"].id, b"data", h5py.h5t.IEEE_F32LE, space, layout)
        stored.write_direct_chunk((0,), data.tobytes())
    refused(command(small), "is compressed by a filter that HDF5 does not have here", "gzip")


def test_no_warning_of_a_library_reaches_a_user(command, tmp_path):
    x, types = draw_counts(60, 22, seed=3)
    names = [*GENES_20["gene_id"], "g3", "ENSG00000000001.5"]
    with pytest.warns(UserWarning, match="not unique"):
        write_h5ad(tmp_path / "x.h5ad", x, types, names=names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert command(tmp_path / "x.h5ad")[0] == 0


# The shared inputs


def toy_genes(out, gtf="_base/genes.gtf"):
    """The gene table of an annotation of the toy genome."""
    fasta = SHARED / "oddities" / "_base" / "genome.fa"
    argv = ["genes", "--genome", "toy", "--fasta", fasta, "--gtf", SHARED / "oddities" / gtf]
    argv += ["--valid_chroms", "chr2", "--test_chroms", "chr3", "--out", out]
    assert main(list(map(str, argv))) == 0
    return GENES.read(out / "genes.parquet")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return toy_genes(tmp_path_factory.mktemp("toy"))


@needs_shared
@pytest.mark.parametrize(
    ("odd", "plain"),
    [
        ("adt/cite", "adt/rna_only"),
        ("species/ercc", "species/plain"),
        ("noncanon/twice_csr", "noncanon/canonical"),
        ("attrs/fixed_X", "attrs/control"),
        ("attrs/shape1_X", "attrs/control"),
        ("labels/var_unknown_enc", "attrs/control"),
        ("labels/var_dup_cats", "attrs/control"),
        ("bytes/col_S_array", "attrs/control"),
    ],
)
def test_odd_files_give_what_plain_ones_give(toy, odd, plain):
    found, expected = (
        pseudobulk(SHARED / "oddities" / f"{name}.h5ad", "cell_type", toy) for name in (odd, plain)
    )
    pd.testing.assert_frame_equal(found[0], expected[0])
    assert found[1]["cell_types"] == expected[1]["cell_types"]
    assert len(found[0]) == 3 * 40


@needs_shared
@pytest.mark.parametrize(
    ("name", "n_cells", "said"),
    [
        ("miss_NA", 75, "Taken as missing in obs column 'cell_type': 'NA' (15 cells)."),
        ("miss_None", 75, "Taken as missing in obs column 'cell_type': 'None' (15 cells)."),
        ("trailing_space", 90, "'T cell ' (15 cells) as 'T cell'."),
    ],
)
def test_odd_labels_are_read(toy, name, n_cells, said):
    document = pseudobulk(SHARED / "oddities" / "labels" / f"{name}.h5ad", "cell_type", toy)[1]
    found = [about["cell_type"] for about in document["cell_types"]]
    assert found == ["B cell", "Mono", "T cell"]
    assert document["n_cells"] == n_cells
    assert len(document["notes"]) == 1 and document["notes"][0].endswith(said)


@needs_shared
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("species/mouse", "40 of 40 genes match the gene table only if upper and lower case"),
        ("labels/obs_codes_short", "Column 'cell_type' of obs cannot be read"),
    ],
)
def test_odd_files_that_cannot_be_used_are_refused(toy, name, said):
    with pytest.raises(GeneqError, match=said):
        pseudobulk(SHARED / "oddities" / f"{name}.h5ad", "cell_type", toy)


@needs_shared
def test_ids_of_lift37_map(tmp_path):
    genes = toy_genes(tmp_path, "lift37/lift37.gtf")
    path = SHARED / "oddities" / "lift37" / "ids.h5ad"
    assert pseudobulk(path, "cell_type", genes)[1]["n_genes_mapped"] == 40


@needs_shared
def test_yeast_is_counted_over_its_genes(tmp_path):
    """Spike-ins and transcripts of other types are dropped, genes in two rows are added up."""
    path = SHARED / "yeast" / "nadal_ribelles.h5ad"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names are not unique
        data = anndata.read_h5ad(path)
    genes = data.var["feature_type"] == "Gene Expression"
    counts = pd.Series(np.asarray(data.X.sum(axis=0)).ravel(), index=data.var_names)[genes.values]
    names = counts.index.unique()
    table, document = pseudobulk(path, "cell_type", gene_table(names[:5000]))
    assert document["n_genes_file"] == 5115 and document["n_genes_mapped"] == 5000
    dropped = {name: about["n"] for name, about in document["dropped_features"].items()}
    assert dropped == {"other transcript": 2159, "spike-in": 92}
    expected = np.log2(1e6 * counts.groupby(level=0).sum() / counts.sum() + 1)
    np.testing.assert_allclose(table["log2cpm"], expected[table["gene_id"]], rtol=1e-12)
    assert document["unmapped_share"] == pytest.approx(
        counts[~counts.index.isin(names[:5000])].sum() / counts.sum()
    )


# Bad input: the message, and nothing left behind


def refused(result, *parts):
    status, printed, out = result
    assert status == 1
    assert printed.err.startswith("geneq pseudobulk: error: ")
    for part in parts:
        assert part in printed.err
    assert not out.exists()


def test_an_empty_file_is_refused(command, tmp_path):
    (tmp_path / "empty.h5ad").touch()
    refused(command(tmp_path / "empty.h5ad"), "The h5ad file is empty (0 bytes)", "empty.h5ad")


@pytest.mark.parametrize("fraction", [0.002, 0.1, 0.5, 0.9, 0.9999])
def test_a_truncated_file_is_refused(command, small, fraction):
    whole = small.read_bytes()
    small.write_bytes(whole[: int(len(whole) * fraction)])
    refused(
        command(small), "The h5ad file is damaged or truncated", "small.h5ad", "Copy it or write"
    )


def test_a_file_damaged_inside_is_refused(command, tmp_path):
    x, types = draw_counts(60, 20, seed=3)
    path = write_h5ad(tmp_path / "x.h5ad", x, types)
    with h5py.File(path, "r+") as file:
        values = file["X/data"][:]
        del file["X/data"]
        stored = file["X"].create_dataset("data", data=values, compression="gzip", shuffle=True)
        where, size = (stored.id.get_chunk_info(0).byte_offset, stored.id.get_chunk_info(0).size)
    content = bytearray(path.read_bytes())
    content[where : where + size] = b"\xff" * size
    path.write_bytes(content)
    refused(command(path), "The h5ad file is damaged or truncated")


def test_what_is_no_hdf5_or_no_h5ad_is_refused(command, tmp_path):
    text = tmp_path / "text.h5ad"
    text.write_text("gene,cell\n" * 100)
    refused(command(text), "Not an HDF5 file", "text.h5ad")
    with h5py.File(tmp_path / "other.h5ad", "w") as file:
        file["weights"] = np.zeros(3)
    refused(command(tmp_path / "other.h5ad"), "this HDF5 file does not: 'weights'")
    refused(command(tmp_path / "absent.h5ad"), "File not found", "absent.h5ad")


def test_a_folder_in_place_of_the_file_is_called_that(command, tmp_path):
    (tmp_path / "data").mkdir()
    refused(command(tmp_path / "data"), "A file is needed, and this is a folder", "data)")


def test_missing_columns_and_layers_are_named_with_what_there_is(command, tmp_path):
    x, types = draw_counts(60, 20, seed=3)
    path = write_h5ad(tmp_path / "x.h5ad", x, types, layers={"kept": x}, batch=["b"] * 60)
    refused(
        command(path, cell_type_key="celltype"),
        "obs has no column for --cell_type_key: 'celltype'",
        "Name one of: batch, cell_type",
    )
    refused(command(path, "--donor_key", "who"), "no column for --donor_key: 'who'", "batch")
    refused(command(path, "--layer", "raw"), "no such matrix: 'raw'", "--layer: X, kept")


def test_a_column_of_measurements_is_no_cell_type(command, tmp_path):
    x, types = draw_counts(60, 20, seed=3)
    path = write_h5ad(tmp_path / "x.h5ad", x, types, score=np.arange(60) / 7)
    refused(command(path, cell_type_key="score"), "must contain labels, not fractions", "score")


@pytest.mark.parametrize(
    ("value", "said"), [(-1.5, "negative"), (np.nan, "not finite"), (np.inf, "not finite")]
)
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_bad_values_are_refused_with_cell_and_gene(command, tmp_path, value, said, layout):
    x, types = draw_counts(60, 20, seed=3)
    x = x.astype(float)
    x[41, 7] = value
    path = write_h5ad(tmp_path / "x.h5ad", x, types, layout=layout)
    refused(command(path), f"a value of X is {said}: '{value} in cell cell41, gene g7'", "x.h5ad")


@pytest.mark.parametrize("options", [(), ("--scale", "cpm"), ("--scale", "counts")])
def test_log_data_are_refused_and_counts_elsewhere_are_named(command, tmp_path, options):
    x, types = draw_counts(60, 20, seed=3)
    x[:, 0] += 1
    layers = {"umi": x, "scaled": logged(x) * 2}
    path = write_h5ad(tmp_path / "x.h5ad", logged(x), types, layers=layers, raw=x)
    with h5py.File(path, "r+") as file:
        file["layers/unknown format"] = np.zeros(3)
    refused(
        command(path, *options),
        "X looks log-transformed",
        "Name a matrix that looks like counts with --layer: raw.X, umi.",
    )
    refused(command(path, "--layer", "scaled", *options), "scaled looks log-transformed")


def test_log_data_alone_are_refused_plainly(command, tmp_path):
    x, types = draw_counts(60, 20, seed=3)
    x[:, 0] += 1
    path = write_h5ad(tmp_path / "x.h5ad", logged(x), types)
    refused(command(path), "looks log-transformed", "No other matrix of the file looks like counts")


def test_fractions_of_unknown_scale_ask_for_one(command, tmp_path):
    x, types = draw_counts(60, 20, seed=3)
    path = write_h5ad(tmp_path / "x.h5ad", x * 17.3, types)
    refused(command(path), "neither counts", "--scale counts or --scale cpm")
    status, printed, out = command(path, "--scale", "counts")
    assert status == 0
    assert "not all values of X are integers" in printed.err
    assert (out / "expression.parquet").exists()


def test_no_cell_type_with_enough_cells_is_refused(command, small):
    refused(
        command(small, "--min_cells", "50"),
        "No cell type has the 50 cells that --min_cells requires",
        "type 1 has ",
        "--cell_type_key, or lower --min_cells",
    )


def test_a_negative_seed_is_refused(command, small):
    refused(command(small, "--seed", "-1"), "--seed must be between 0 and ", ": -1.")


def test_a_matrix_of_zeros_is_refused(command, tmp_path):
    path = write_h5ad(tmp_path / "x.h5ad", np.zeros((60, 20)), np.zeros(60, int))
    refused(command(path), "No cell type has the 10 cells", "type 0 has 0", "without any count")


def test_all_cells_of_one_type_give_absolute_figures_and_a_warning(command, tmp_path):
    x, _ = draw_counts(60, 20, seed=3)
    path = write_h5ad(tmp_path / "x.h5ad", x, np.zeros(60, int))
    status, printed, out = command(path)
    said = "All cells used are of one type, 'type 0': expression specific to a cell type needs "
    assert status == 0 and f"warning: {said}" in printed.err
    assert said in json.loads((out / "expression.json").read_text())["notes"][0]


def test_a_file_of_other_genes_is_refused_with_examples_of_both(command, small):
    refused(
        command(small, genes=gene_table(["FBgn1", "FBgn2"], ["dpp", "wg"])),
        "No gene of the file is in the gene table",
        "var index: g0, g1, g2; the table has FBgn1, dpp",
    )


@pytest.mark.parametrize(
    ("dataset", "change", "said"),
    [
        ("indptr", lambda v: v[:-1], "an indptr that does not describe 60 lines"),
        ("indptr", lambda v: v[::-1], "an indptr that does not describe 60 lines"),
        ("data", lambda v: v[:-3], "stored"),
        ("indices", lambda v: v + 15, "an index outside 0…19"),
    ],
)
def test_a_malformed_sparse_matrix_is_refused(command, small, dataset, change, said):
    with h5py.File(small, "r+") as file:
        values = file["X"][dataset][:]
        del file["X"][dataset]
        file["X"][dataset] = change(values)
    refused(command(small), "The sparse matrix X is malformed", said)


def test_lengths_that_disagree_are_refused(command, small):
    with h5py.File(small, "r+") as file:
        file["X"].attrs["shape"] = [59, 20]
    refused(command(small), "X and obs must agree in length: 'X is 59 x 20, obs has 60 rows'")


def test_files_of_very_old_anndata_are_refused_with_the_way_out(command, small):
    with h5py.File(small, "r+") as file:
        del file["obs"]
        file["obs"] = np.zeros(60, dtype=[("index", "S8"), ("cell_type", "i1")])
    refused(
        command(small), "'obs' is stored in the format of anndata before 0.7", "write_h5ad(NEW)"
    )


def test_a_matrix_of_objects_is_refused_unread(small):
    with h5py.File(small, "r+") as file:
        del file["X"]
        file.create_dataset(
            "X", data=np.full((60, 20), "1", dtype=object), dtype=h5py.string_dtype()
        )
    with open_h5ad(small) as file, pytest.raises(GeneqError, match="must be a CSR, CSC or dense"):
        open_matrix(file, None)


# --- the extension --------------------------------------------------------------------------------

ENTRIES = {"lengths": [1, 2], "across": [0, 1, 2], "values": [1.0, 2.0, 3.0]}
CELLS = {"place": [0, -1, 1], "group": [2, 0], "kind": [0, 0], "totals": [1.0, 5.0]}
TABLES = {"by_group": (2, 2), "squares": (1, 2), "products": (1, 2)}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lengths": [1, 3]}, "lengths must add up"),
        ({"lengths": [4, -1]}, "lengths must add up"),
        ({"lengths": [2**62, 2**62]}, "lengths must add up"),
        ({"across": [0, 1, 3]}, "must be below 3"),
        ({"across": [0, 1, -1]}, "must be below 3"),
        ({"values": [1, 2, 3]}, "values must be a float64 array"),
        ({"place": [0, 2, 1]}, "inside of the sums"),
        ({"group": [3, 0]}, "inside of the sums"),
        ({"kind": [0, 1]}, "inside of the sums"),
        ({"kind": [0, -1]}, "inside of the sums"),
        ({"totals": [1.0]}, "for every cell"),
        ({"first": 1}, "there are 2 lines"),
        ({"products": (2, 2)}, "inside of the sums"),
    ],
)
def test_entries_outside_of_the_sums_are_refused(changed, message):
    given = {"first": 0, **ENTRIES, **CELLS, **TABLES} | changed
    floats = {"totals"} if "values" in changed else {"values", "totals"}
    arrays = {
        name: value
        if name == "first"
        else np.zeros(value)
        if name in TABLES
        else np.array(value, np.float64 if name in floats else np.int64)
        for name, value in given.items()
    }
    with pytest.raises(ValueError, match=message):
        _ext.add_entries(True, *arrays.values())
    for name in TABLES:
        assert not arrays[name].any(), "nothing was added"


def test_entries_are_added_to_their_cells():
    arrays = [np.array(v, np.float64 if k in ("values", "totals") else np.int64)
              for k, v in (ENTRIES | CELLS).items()]  # fmt: skip
    tables = [np.zeros(shape) for shape in TABLES.values()]
    _ext.add_entries(True, 0, *arrays, *tables)
    np.testing.assert_array_equal(tables[0], [[0, 3], [1, 0]])
    np.testing.assert_array_equal(tables[1], [[1, 9]])
    np.testing.assert_array_equal(tables[2], [[1, 15]])

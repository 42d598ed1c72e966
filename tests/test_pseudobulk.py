"""From an h5ad file to expression.parquet and expression.json."""

import json
import tracemalloc

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from geneq.artifacts import EXPRESSION, GENES
from geneq.cli import main
from geneq.errors import GeneqError
from geneq.stages.pseudobulk import pseudobulk
from geneq.stages.pseudobulk.mapping import map_genes
from geneq.stages.pseudobulk.reading import matrix, opened
from geneq.stages.pseudobulk.sums import deal
from twins import pseudobulk as twin

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
def test_every_layout_gene_order_and_block_size_gives_the_twins_table(
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
        expected = twin.profiles(
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
def test_reliability_is_the_twins(tmp_path, donors):
    x, types = draw_counts(90, 30, seed=5, types=2)
    donor = np.random.default_rng(5).integers(0, 7, 90)
    path = write_h5ad(tmp_path / "x.h5ad", x, types, donor=donor.astype(str))
    genes = gene_table([f"g{i}" for i in range(25)])
    key = "donor" if donors else None
    document = pseudobulk(path, "cell_type", genes, donor_key=key, seed=4)[1]

    groups, rng = deal(types, donor if donors else None, 4), np.random.default_rng(4)
    for number, about in enumerate(document["cell_types"]):
        of_cell = groups.of_cell[types == number]
        of_cell = of_cell - of_cell.min()
        orders = [rng.permutation(of_cell.max() + 1) for _ in range(10)]
        expected = twin.reliability(x[types == number], np.arange(25), of_cell, orders)
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
    by_cell, by_donor = deal(types, None, 1), deal(types, donors, 1)
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


def test_the_command_writes_both_files_and_says_what_it_did(command, small):
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
def test_labels_may_be_stored_as_any_kind_of_column(tmp_path, column):
    x, types = draw_counts(60, 20, seed=9)
    path = write_h5ad(tmp_path / "x.h5ad", x, types, label=column)
    document = pseudobulk(path, "label", gene_table(["g1", "g2", "g3"]))[1]
    found = [about["cell_type"] for about in document["cell_types"]]
    expected = {"text": ["a", "b"], "boolean": ["False", "True"], "floats": ["1"]}
    text = pd.Series(column).dropna()
    kind = {"O": "text", "b": "boolean", "f": "floats"}.get(text.dtype.kind, "integers")
    assert found == expected.get(kind, ["1", "2"])


@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning")
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
    names = ["ENSG2.7", "ENSG1", "abc1", "Xyz", "XYZ", "none", "Two", "two"]
    ids = [f"ENSG{i}" for i in range(1, 6)]
    found, where = mapped(names, ids, ["A", "B", "ABC1", "XYZ", "TWO"])
    assert where == ["ENSG2", "ENSG1", "ENSG3", None, "ENSG4", None, None, None]
    counted = found.counted(gene_table(ids))
    assert counted["mapped_by"] == {
        "identifier": "var index",
        "gene_id without version": 1,
        "gene_id": 1,
        "gene_name in any case": 1,
        "gene_name": 1,
    }
    assert counted["unmapped"] == {"n": 4, "examples": ["Xyz", "none", "Two", "two"]}


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
    refused(command(small), "The h5ad file is damaged or cut short", "small.h5ad", "Copy or write")


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
    refused(command(path), "The h5ad file is damaged or cut short")


def test_what_is_no_hdf5_or_no_h5ad_is_refused(command, tmp_path):
    text = tmp_path / "text.h5ad"
    text.write_text("gene,cell\n" * 100)
    refused(command(text), "Not an HDF5 file", "text.h5ad")
    with h5py.File(tmp_path / "other.h5ad", "w") as file:
        file["weights"] = np.zeros(3)
    refused(command(tmp_path / "other.h5ad"), "this HDF5 file does not: 'weights'")
    refused(command(tmp_path / "absent.h5ad"), "File not found", "absent.h5ad")


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
    refused(command(path, cell_type_key="score"), "must hold labels, not fractions", "score")


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
        file["layers/of no known kind"] = np.zeros(3)
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
        "No cell type has the 50 cells that --min_cells asks for",
        "type 1 has ",
        "--cell_type_key, or lower --min_cells",
    )


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
    refused(command(small), "'obs' is stored as by anndata before 0.7", "write_h5ad(NEW)")


def test_a_matrix_of_objects_is_refused_unread(small):
    with h5py.File(small, "r+") as file:
        del file["X"]
        file.create_dataset(
            "X", data=np.full((60, 20), "1", dtype=object), dtype=h5py.string_dtype()
        )
    with opened(small) as file, pytest.raises(GeneqError, match="must be a CSR, CSC or dense"):
        matrix(file, None)

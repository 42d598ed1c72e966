"""`geneq simulate`: data whose answer is known, and really is in the DNA that was written."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from geneq import cli
from geneq.artifacts import EXPRESSION, GENES, read_json
from geneq.features import Block, Features
from geneq.genome import Genome
from geneq.locus import open_loci
from geneq.oracles import load_oracle
from geneq.tools import simulate
from geneq.vcf import read_vcf
from twins import encoding
from twins import features as twin

TYPES = [(dataset, name) for dataset, types in simulate.PLANTED.items() for name in types]
SIGNAL = [(dataset, name) for dataset, name in TYPES if name != "silent"]
# In the order in which the truth is computed.
DRIVERS = list(
    dict.fromkeys(
        name
        for types in simulate.PLANTED.values()
        for terms in types.values()
        for term in terms
        for name in term.classes
    )
)


def ran(*arguments) -> None:
    assert cli.main([*map(str, arguments), "--threads", "1"]) == 0


def planted(folder: Path) -> dict[tuple[str, str], dict]:
    about = json.loads(pq.read_schema(folder / "truth.parquet").metadata[b"planted"])
    return {(entry["dataset"], entry["cell_type"]): entry for entry in about}


def truth(folder: Path) -> pd.DataFrame:
    """Truth by gene, a column per (data set, cell type)."""
    frame = pd.read_parquet(folder / "truth.parquet")
    assert list(frame) == ["dataset", "gene_id", "cell_type", "truth"]
    return frame.pivot(index="gene_id", columns=["dataset", "cell_type"], values="truth")


def make_genes(folder: Path) -> pd.DataFrame:
    files = ("--fasta", folder / "genome.fa.gz", "--gtf", folder / "genes.gtf")
    ran("genes", "--genome", "sim", *files, "--out", folder / "genes")
    return GENES.read(folder / "genes" / "genes.parquet")


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> SimpleNamespace:
    """A small simulation, its drivers by name (reach, values) and its features."""
    folder, drivers = tmp_path_factory.mktemp("small"), []

    def recording(windows, matrix, reach, driver=simulate.driver):
        values = driver(windows, matrix, reach)
        drivers.append((reach, standard(values)))
        return values

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "driver", recording)
        ran("simulate", "--genes", 300, "--cells", 20, "--seed", 5, "--out", folder)
    genes = make_genes(folder)
    ran("featurize", "--genome_dir", folder / "genes", "--out", folder / "features.zarr")
    features = Features.read(folder / "features.zarr")
    (block,) = features.blocks
    named = dict(zip(DRIVERS, drivers, strict=True))
    made = {"drivers": named, "ids": features.gene_id, "features": block}
    return SimpleNamespace(folder=folder, genes=genes, **made)


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> SimpleNamespace:
    """The simulation of the demo, with the pseudobulk of both data sets."""
    folder = tmp_path_factory.mktemp("full")
    ran("simulate", "--seed", 1, "--out", folder)
    make_genes(folder)
    expression = {}
    for dataset in simulate.PLANTED:
        data = ("--h5ad", folder / f"{dataset}.h5ad", "--cell_type_key", "cell_type")
        genes = ("--genes", folder / "genes" / "genes.parquet")
        ran("pseudobulk", "--dataset", dataset, *data, *genes, "--out", folder / dataset)
        expression[dataset] = EXPRESSION.read(folder / dataset / "expression.parquet")
    return SimpleNamespace(folder=folder, expression=expression, truth=truth(folder))


# --- the answer is in the DNA -----------------------------------------------------------------


def standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def recombined(features: Block, name: str, reach: float) -> np.ndarray:
    """The driver of the truth as a sum over bins of one class of the features."""
    edges = np.array(features.meta["bin_edges"])
    weights = np.exp(-np.abs((edges[:-1] + edges[1:]) / 2) / reach)
    scores = features.values[:, :, features.classes.index(name)].astype(float)
    return standard(scores @ weights)


@pytest.mark.parametrize("name", DRIVERS)
def test_features_of_the_written_genome_hold_the_drivers_of_the_truth(small, name):
    reach, values = small.drivers[name]
    assert small.ids.tolist() == [f"ENSG{i:011d}" for i in range(1, 301)]
    np.testing.assert_allclose(recombined(small.features, name, reach), values, atol=1e-3)


FORMS = {
    "linear": lambda u: u,
    "tanh": lambda u: np.tanh(1.5 * u),
    "product": lambda u, v: (1 + u) * (1 + v),
}


@pytest.mark.parametrize(("dataset", "cell_type"), SIGNAL)
def test_the_truth_follows_the_planted_equation(small, dataset, cell_type):
    z = {name: recombined(small.features, name, small.drivers[name][0]) for name in DRIVERS}
    terms = simulate.PLANTED[dataset][cell_type]
    written = planted(small.folder)[dataset, cell_type]["terms"]
    assert [(term["form"], term["classes"]) for term in written] == [
        (term.form, list(term.classes)) for term in terms
    ]
    values = [
        term.scale * standard(FORMS[term.form](*(z[name] for name in term.classes)))
        for term in terms
    ]
    total = np.sum(values, axis=0)
    expected = simulate.TRUTH_SD * (total - total.mean()) / total.std()
    found = truth(small.folder)[dataset, cell_type].loc[small.ids]
    np.testing.assert_allclose(found, expected, atol=0.01)
    shares = [np.cov(value, total)[0, 1] / total.var(ddof=1) for value in values]
    np.testing.assert_allclose([t["variance_share"] for t in written], shares, atol=0.005)


def test_the_double_of_the_oracle_agrees_on_the_written_genome(small):
    """One gene on either strand, three motifs, all bins."""
    classes, edges = ["SP1", "RUNX", "CREB"], small.features.meta["bin_edges"]
    core = {m.name: m.probabilities for m in load_oracle("motifs:core").motifs}
    genome = Genome(small.folder / "genes")
    columns = [small.features.classes.index(name) for name in [*classes, "GC", "CpG"]]
    for strand in "+-":
        row = int(np.flatnonzero(small.genes["strand"] == strand)[0])
        chrom, tss = small.genes.loc[row, ["chrom", "tss"]]
        symbols = encoding.decode(genome.record(chrom))
        window = encoding.window(symbols, tss, strand, edges[0], edges[-1])
        matrices = [[core[name]] for name in classes]
        expected = twin.scores(window[None], matrices, np.array(edges) - edges[0])[0]
        np.testing.assert_allclose(small.features.values[row][:, columns], expected, atol=1e-4)


def test_classes_are_many_and_several_correlate(small):
    assert len(small.features.classes) >= 20
    assert set(DRIVERS) < set(small.features.classes)
    z = np.array([recombined(small.features, name, 150) for name in small.features.classes])
    r = np.corrcoef(z) - np.eye(len(z))
    assert (r > 0.5).sum() / 2 >= 10
    close = {name for name, row in zip(small.features.classes, r, strict=True) if row.max() > 0.5}
    assert len(close & set(DRIVERS)) >= 3


# --- what was planted -------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["small", "full"])
def test_planted_terms_are_of_a_fair_size(size, request):
    about = planted(request.getfixturevalue(size).folder)
    assert list(about) == TYPES
    for key in SIGNAL:
        shares = [term["variance_share"] for term in about[key]["terms"]]
        assert min(shares) >= 0.05
        assert sum(shares) == pytest.approx(1)
        assert 3 <= len(about[key]["classes"]) <= 5
        assert about[key]["classes"] == sorted(
            {name for term in about[key]["terms"] for name in term["classes"]}
        )
    forms = {term["form"] for entry in about.values() for term in entry["terms"]}
    assert forms == {"linear", "tanh", "product"}


def test_one_type_is_silent(full):
    about = planted(full.folder)["blood", "silent"]
    assert (about["terms"], about["classes"]) == ([], [])
    assert not full.truth["blood", "silent"].any()
    expression = full.expression["blood"].pivot(
        index="gene_id", columns="cell_type", values="log2cpm"
    )
    # As far spread as the others and no nearer to any truth than chance.
    spread = expression.std()
    assert spread["silent"] == pytest.approx(spread.drop("silent").mean(), rel=0.1)
    for key in SIGNAL:
        r = np.corrcoef(expression["silent"], full.truth[key].loc[expression.index])[0, 1]
        assert abs(r) < 0.08


# --- the cells --------------------------------------------------------------------------------


@pytest.mark.parametrize(("dataset", "cell_type"), SIGNAL)
def test_pseudobulk_is_near_the_truth_and_not_too_near(full, dataset, cell_type):
    frame = full.expression[dataset].query("cell_type == @cell_type").set_index("gene_id")
    assert len(frame) == 3000
    r = np.corrcoef(frame["log2cpm"], full.truth[dataset, cell_type].loc[frame.index])[0, 1]
    assert 0.80 <= r <= 0.90


@pytest.mark.parametrize("dataset", simulate.PLANTED)
def test_cells_have_the_depth_and_the_zeros_of_real_ones(full, dataset):
    data = anndata.read_h5ad(full.folder / f"{dataset}.h5ad")
    counts = data.X.toarray()
    assert counts.shape == (110 * len(simulate.PLANTED[dataset]), 3150)
    assert np.all(counts == np.round(counts))
    assert 2000 < np.median(counts.sum(1)) < 3000
    assert 0.5 < (counts == 0).mean() < 0.95


def test_genes_that_the_annotation_lacks_are_counted(full):
    for dataset in simulate.PLANTED:
        about = read_json(full.folder / dataset / "expression.json")
        assert (about["n_genes_mapped"], about["unmapped"]["n"]) == (3000, 150)


def test_the_samplesheet_is_right(small, capsys):
    ran("validate", "--input", small.folder / "samplesheet.csv")
    assert "2 data sets, no errors" in capsys.readouterr().out


# --- a locus ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_planted_site_is_in_the_dna_on_either_strand(tmp_path, seed):
    ran("simulate", "--genes", 100, "--cells", 4, "--seed", seed, "--out", tmp_path)
    genes = make_genes(tmp_path)
    genome = Genome(tmp_path / "genes")
    (locus,) = open_loci(tmp_path / "loci.csv")
    sequence = locus.recipe(genome).wild_type
    with open(tmp_path / "sites.csv") as file:
        (site,) = csv.DictReader(file)
    columns = sorted(locus.position(int(text)) for text in site["positions"].split())
    symbols = "".join(sequence[column] for column in columns)
    # AP1 is VTGASTCAB, of which the other strand reads VTGASTCAB, too.
    assert site["motif"] == "AP1"
    assert sum(a == b for a, b in zip(symbols, "TGATCA", strict=True)) >= 5
    assert np.diff(columns).tolist() == [1, 1, 2, 1, 1]
    assert site["locus"] == locus.locus
    # The window is that of a gene, and the site near its TSS.
    tss = 1024 if locus.strand == "+" else 1023
    assert locus.start + tss in genes["tss"].to_numpy()
    assert all(abs(column - 1024) < 70 for column in columns)

    variants = read_vcf(tmp_path / "variants.vcf", genome)
    assert variants.skipped == {}
    kinds = variants.table["id"].str.split("_").str[0].value_counts()
    assert kinds["site"] == len(columns)
    assert kinds["away"] >= 5
    assert {"deletion", "insertion"} < {*kinds.index}


# --- seeds and faults -------------------------------------------------------------------------


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".h5ad"}


def test_a_seed_makes_the_same_files(tmp_path):
    for name, seed in (("a", 7), ("b", 7), ("other", 8)):
        size = ("--genes", 100, "--cells", 4)
        ran("simulate", *size, "--seed", seed, "--out", tmp_path / name)
    first, second, other = (files(tmp_path / name) for name in ("a", "b", "other"))
    assert sorted(first) == [
        *("genes.gtf", "genome.fa.gz", "loci.csv", "samplesheet.csv", "sites.csv"),
        *("truth.parquet", "variants.vcf"),
    ]
    assert first == second
    assert first["genome.fa.gz"][4:8] == bytes(4)  # gzip notes no time
    assert [name for name in first if first[name] == other[name]] == ["samplesheet.csv"]
    for dataset in simulate.PLANTED:
        a, b, c = (anndata.read_h5ad(tmp_path / n / f"{dataset}.h5ad") for n in ("a", "b", "other"))
        pd.testing.assert_frame_equal(a.obs, b.obs)
        pd.testing.assert_frame_equal(a.var, b.var)
        assert (a.X != b.X).nnz == 0
        assert a.X.shape == c.X.shape
        assert (a.X != c.X).nnz > 0


@pytest.mark.parametrize(
    "size",
    [
        ("--genes", 99),
        ("--genes", -5),
        ("--cells", 3),
        ("--cells", 0),
        ("--seed", -1),
        ("--variants", -1),
    ],
)
def test_sizes_that_make_no_sense_are_refused(tmp_path, capsys, size):
    assert cli.main(["simulate", *map(str, size), "--out", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    limits = "--genes must be at least 100, --cells at least 4, --seed and --variants at least 0"
    assert limits in message
    assert str(size[1]) in message
    assert list(tmp_path.iterdir()) == []


def test_the_truth_is_written_last(tmp_path, capsys):
    """`make` takes the truth for a sign that everything is there."""
    (tmp_path / "muscle.h5ad").mkdir()
    size = ("--genes", "100", "--cells", "4")
    assert cli.main(["simulate", *size, "--out", str(tmp_path), "--threads", "1"]) == 1
    assert "muscle.h5ad" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "blood.h5ad",
        "genes.gtf",
        "genome.fa.gz",
        "muscle.h5ad",
    ]

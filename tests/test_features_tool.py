"""`geneq features import`: every form of file gives the same features, what cannot be used is
refused by name, and equations of such features say where they come from. `geneq features check`."""

import hashlib
import re
import shutil
from itertools import product
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from geneq import cli, load_equation
from geneq.artifacts import GENES, read_json, write_json
from geneq.equations import Equation, about_features
from geneq.errors import GeneqError
from geneq.features import Features
from geneq.imported import import_features, read_scores
from geneq.oracles import load_oracle
from test_deep_features import EDGES, N_GENES, ran, write_genome

CLASSES = ["P Promoter", "E1 Stem cell", "CTCF"]
# A gene of the genome is missing, and one is elsewhere.
IDS = ["chr2_1", "elsewhere", "chr1_0", "chr10_29"]
VALUES = np.random.default_rng(4).normal(size=(4, 2, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def genome(tmp_path_factory) -> Path:
    """genes/ of ten chromosomes with 30 genes each, and k.zarr, features of it."""
    folder = tmp_path_factory.mktemp("genome")
    write_genome(folder)
    files = ("--fasta", folder / "genome.fa", "--gtf", folder / "genes.gtf")
    ran("genes", "--genome", "g", *files, EDGES, "--out", folder / "genes")
    kmers = ("--genome_dir", folder / "genes", "--oracle", "kmers:1+motifs:core")
    ran("featurize", *kmers, "--out", folder / "k.zarr")
    return folder


# --- forms ------------------------------------------------------------------------------------


def wide() -> pd.DataFrame:
    columns = [f"{name}@{b}" for b, name in product(range(2), CLASSES)]
    return pd.DataFrame(VALUES.reshape(4, -1), pd.Index(IDS, name="gene_id"), columns)


def tsv(folder: Path) -> Path:
    wide().iloc[:, ::-1].to_csv(folder / "f.tsv.gz", sep="\t", float_format="%.9g")
    return folder / "f.tsv.gz"


def parquet(folder: Path) -> Path:
    wide().reset_index().to_parquet(folder / "f.parquet")
    return folder / "f.parquet"


def long(folder: Path) -> Path:
    keys = list(product(IDS, range(2), CLASSES))
    frame = pd.DataFrame(keys, columns=["gene_id", "bin", "class"]).assign(value=VALUES.ravel())
    frame.sample(frac=1, random_state=1).to_csv(folder / "f.csv", index=False)
    return folder / "f.csv"


def h5ad(folder: Path) -> Path:
    anndata.AnnData(wide()).write_h5ad(folder / "f.h5ad")
    return folder / "f.h5ad"


@pytest.mark.parametrize("write", [tsv, parquet, long, h5ad])
def test_every_form_gives_the_same_scores(tmp_path, write):
    found = read_scores(write(tmp_path))
    rows = [found.gene_id.get_loc(gene) for gene in IDS]
    order = [found.classes.index(name) for name in CLASSES]
    np.testing.assert_allclose(found.values[rows][:, :, order], VALUES, rtol=1e-6)


def test_arrays_as_seis_scripts_leave_them(tmp_path):
    """Row labels of Selene, 61 columns of which 40 have names; or three axes, and plain ids."""
    scores = np.random.default_rng(1).normal(size=(4, 61))
    np.save(tmp_path / "p.raw_sequence_class_scores.npy", scores)
    labels = "".join(f"{i}\t{gene}.3\n" for i, gene in enumerate(["ENSG00000000001", *"abc"]))
    (tmp_path / "row_labels.txt").write_text("index\tname\n" + labels)
    (tmp_path / "seqclass.names").write_text("".join(f"C{i} a class\n" for i in range(40)))
    labelled = (tmp_path / "row_labels.txt", tmp_path / "seqclass.names")
    found = read_scores(tmp_path / "p.raw_sequence_class_scores.npy", *labelled)
    assert found.gene_id.tolist() == ["ENSG00000000001", "a.3", "b.3", "c.3"]
    assert found.classes[39] == "C39 a class"
    np.testing.assert_array_equal(found.values, scores[:, None, :40].astype(np.float32))
    np.save(tmp_path / "three.npy", VALUES)
    (tmp_path / "ids.txt").write_text("\n".join(IDS))
    (tmp_path / "names.txt").write_text("\n".join(CLASSES))
    found = read_scores(tmp_path / "three.npy", tmp_path / "ids.txt", tmp_path / "names.txt")
    assert (found.gene_id.tolist(), found.classes) == (IDS, CLASSES)
    np.testing.assert_array_equal(found.values, VALUES)


def test_features_are_of_the_genes_of_the_genome_with_their_source(genome, tmp_path, capsys):
    file = parquet(tmp_path)
    words = ("features", "import", file, "--genome_dir", genome / "genes", "--name", "sei")
    words += (EDGES, "--held_out", "chr8,chr9,chr10", "--out", tmp_path / "f.zarr")
    assert cli.main([*map(str, words)]) == 0
    assert "which has 1 genes that the genome does not have, and lacks 297 of" in (
        capsys.readouterr().out
    )
    features = Features.read(tmp_path / "f.zarr")
    genes = GENES.read(genome / "genes" / "genes.parquet")["gene_id"]
    assert features.gene_id.tolist() == [gene for gene in genes if gene in IDS]
    (block,) = features.blocks
    assert (block.name, block.classes) == ("imported:sei", CLASSES)
    rows = [IDS.index(gene) for gene in features.gene_id]
    np.testing.assert_array_equal(block.values, VALUES[rows])
    meta = dict(block.meta)
    assert len(meta.pop("hash")) == 64
    assert meta == {
        "source": {
            "file": "f.parquet", "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "unknown_genes": 1, "missing_genes": N_GENES - 3,
        },
        "trained": True, "held_out": ["chr8", "chr9", "chr10"], "strands": None,
        "bin_edges": [-120, 0, 120], "window": [-120, 120], "tss_index": 120,
        "orientation": "as in the file",
    }  # fmt: skip
    checking = ("features", "check", tmp_path / "f.zarr", "--genome_dir", genome / "genes")
    assert cli.main([*map(str, checking)]) == 0
    # Without edges a single bin has no place, and other values have another hash.
    one = wide().iloc[:, :3].set_axis(CLASSES, axis=1)
    hashes = []
    for shift in (0, 1):
        (one + shift).to_parquet(tmp_path / "one.parquet")
        made = import_features(tmp_path / "one.parquet", genome / "genes", trained=False)
        assert made.blocks[0].name == "imported:one.parquet" and made.blocks[0].is_table
        hashes.append(made.blocks[0].meta["hash"])
    assert len({*hashes, block.meta["hash"]}) == 3


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("f.csv", "id,a,b\nx,1,2\nx,3,4\n", "A gene has several rows in the table: 'x "),
        ("f.csv", "id,a,b\nx,1,\ny,3,4\n", "needs a finite score .*: 'nan for x, class b, bin 0'"),
        ("f.csv", "id,a\nx,1\ny,inf\n", "The column a has a value that is not a finite number"),
        ("f.tsv", "id\ta\nx\tone\n", "column a has a value .*: 'one in row 1"),
        ("f.csv", "id,a\n", "The table has no rows"),
        ("f.csv", "", "The table cannot be read"),
        ("f.csv", "id\nx\n", "no column of scores besides the gene ids"),
        ("f.csv", "id,a,a\nx,1,2\n", "Columns of the table must have different names"),
        ("f.csv", "id,a@0,b\nx,1,2\n", "Either all columns are CLASS@BIN or none: 'b'"),
        ("f.csv", "id,a@0,a@1,b@0\nx,1,2,3\n", "one column for each bin, from 0 on: 'b@1'"),
        ("f.csv", "gene_id,class,value\nx,a,1\nx,a,2\n", "two values .*: 'x, a, bin 0'"),
        ("f.csv", "gene_id,class,value\nx,a,1\ny,b,2\n", "nan for x, class b, bin 0"),
        ("f.csv", "gene_id,class,bin,value\nx,a,-1,1\n", "bin must be a whole number from 0 on"),
        ("f.csv", "gene_id,class,value\nx,,1\n", "A row of the table has no class: 'row 1'"),
        ("f.h5ad", "no", "The h5ad file cannot be read"),
        ("f.parquet", "no", "Truncated or damaged parquet file"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(GeneqError, match=message) as raised:
        read_scores(tmp_path / name)
    assert name in str(raised.value)


@pytest.mark.parametrize(
    ("values", "rows", "message"),
    [
        (VALUES[:3], "\n".join(IDS), "a row for each row label: '3 rows, 4 labels"),
        (VALUES[..., :2], "\n".join(IDS), "a column for each name: '2 columns, 3 names"),
        (VALUES[0, 0], "\n".join(IDS), r"of shape \[gene, class\] or .*: 'float32 of shape \(3,\)"),
        (VALUES.astype(str), "\n".join(IDS), "must have numbers"),
        (np.array([None, {}]), "\n".join(IDS), "Not a complete .npy file of numbers"),
        (VALUES[:0], "\n".join(IDS), "must have numbers"),
        (VALUES, "x\nx\ny\nz", "A gene has several rows"),
        (VALUES, "chrom\tstart\nchr1\t5", "Row labels need a column gene_id or name: 'chrom, st"),
        (VALUES, "\n\n", "The file is empty"),
        (VALUES * np.inf, "\n".join(IDS), "needs a finite score"),
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_used(tmp_path, values, rows, message):
    np.save(tmp_path / "f.npy", values)
    (tmp_path / "rows.txt").write_text(rows)
    (tmp_path / "names.txt").write_text("\n".join(CLASSES))
    with pytest.raises(GeneqError, match=message):
        read_scores(tmp_path / "f.npy", tmp_path / "rows.txt", tmp_path / "names.txt")
    with pytest.raises(GeneqError, match=r"belong to \.npy files, which need both"):
        read_scores(tmp_path / "f.npy", tmp_path / "rows.txt")


@pytest.mark.parametrize(
    ("edges", "genes", "message"),
    [
        (None, IDS, "Features of several bins need --bin_edges: '2 bins'"),
        ("-120,0,60,120", IDS, "2 bins need 3 --bin_edges"),
        ("-500,0,500", IDS, "--bin_edges must stay within the window of the gene table"),
        ("-120,0,120", [*"wxyz"], "No gene of the table is in the genome: 'the table has w, x, y"),
    ],
)
def test_scores_that_do_not_fit_the_genome(genome, tmp_path, edges, genes, message):
    wide().set_axis(pd.Index(genes, name="gene_id")).to_parquet(tmp_path / "f.parquet")
    with pytest.raises(GeneqError, match=message):
        import_features(tmp_path / "f.parquet", genome / "genes", bin_edges=edges)


# --- equations --------------------------------------------------------------------------------


def test_an_equation_carries_the_source_and_cannot_score_dna(genome, tmp_path):
    wide().iloc[:, :3].set_axis(CLASSES, axis=1).to_csv(tmp_path / "mine.tsv", sep="\t")
    made = import_features(tmp_path / "mine.tsv", genome / "genes", held_out=["chr1"])
    weight = {"block": 0, "bin": 0, "class": "CTCF", "weight": 2.0}
    variable = {"name": "z", "class": "CTCF", "offset": 1.0, "weights": [weight], "range": [0, 1]}
    document = {
        "format": "geneq-equation", "version": 3, "cell_type": "T", "selected": True,
        **about_features(made, "normal", [variable]), "variables": [variable],
        "expression": "c0*z", "constants": {"c0": 3.0}, "infix": "3*z",
    }  # fmt: skip
    Equation(document).save(tmp_path / "0.json")
    equation = load_equation(tmp_path / "0.json")
    (about,) = equation.document["blocks"]
    assert about["name"] == "imported:mine.tsv" and about["source"] == made.blocks[0].meta["source"]
    again = import_features(tmp_path / "mine.tsv", genome / "genes")
    scaled = again.matrix("normal")[:, CLASSES.index("CTCF")]
    np.testing.assert_allclose(equation.predict(again), 3 * (1 + 2 * scaled), rtol=1e-6)
    with pytest.raises(GeneqError, match=r"cannot score DNA: .*'block imported:mine.tsv, from min"):
        load_oracle(f"equation:{tmp_path / '0.json'}")


# --- check ------------------------------------------------------------------------------------


def checked(genome: Path, features: Path, *words) -> int:
    options = ("--genome_dir", genome, *words)
    # General options come first, as in the pipeline.
    return cli.main(["features", "--threads", "1", "check", str(features), *map(str, options)])


def test_features_of_this_genome_pass(genome, capsys):
    assert checked(genome / "genes", genome / "k.zarr", "--oracle", "motifs:core+kmers:1") == 0
    assert capsys.readouterr().out.startswith("300 genes\nkmers:1: 2 bins, 4 classes\nmotifs:core")


def test_features_of_something_else_are_refused(genome, tmp_path, capsys):
    def refused(message, *words, genes=genome / "genes", features=genome / "k.zarr"):
        assert checked(genes, features, *words) == 1
        assert re.search(message, capsys.readouterr().err)

    def genes_with(name, **about):
        folder = shutil.copytree(genome / "genes", tmp_path / name)
        write_json(read_json(folder / "genes.json") | about, folder / "genes.json")
        return folder

    refused("not made with this oracle: 'kmers:2' .*They have", "--oracle", "kmers:2+motifs:core")
    refused("not made of this genome", genes=genes_with("other", digest="ab"))
    refused("another mode", genes=genes_with("promoters", mode="promoters"))
    refused("stay within the window", genes=genes_with("narrow", bin_edges=[[-50, 50]]))
    fewer = genes_with("fewer")
    table = GENES.read(fewer / "genes.parquet")
    GENES.write(table.iloc[1:], fewer / "genes.parquet")
    refused("genes that the gene table does not have: '1: chr", genes=fewer)
    more = table.iloc[:1].assign(gene_id="new")
    GENES.write(pd.concat([table, more]), fewer / "genes.parquet")
    refused("lack genes of the gene table: '1: new'", genes=fewer)
    words = ("--genome_dir", genome / "genes", "--oracle", "kmers:1", "--shard", "1/2")
    ran("featurize", *words, "--out", tmp_path / "shard.zarr")
    refused("are a shard", features=tmp_path / "shard.zarr")
    refused("Not a folder of features", features=tmp_path)

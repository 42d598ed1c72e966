"""Deep models as features: from their parameters to an equation, by the commands of geneq."""

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from geneq import cli, load_equation
from geneq.artifacts import GENES, PREDICTIONS
from geneq.errors import GeneqError
from geneq.features import Features
from geneq.genome import Genome
from geneq.oracles import load_oracle, named_oracles
from geneq.oracles.sei import open_sei
from geneq.stages.featurize import featurize
from test_deepbind import make_nets, write_folder
from twins import sei as narrow

pytestmark = pytest.mark.usefixtures("one_thread")

N_GENES = 300
EDGES = "--bin_edges=-120,0,120"


def ran(*words) -> None:
    assert cli.main([*map(str, words), "--threads", "1"]) == 0


def write_genome(folder: Path) -> None:
    """Ten random chromosomes with 30 genes each."""
    rng = np.random.default_rng(12)
    with open(folder / "genome.fa", "w") as fasta, open(folder / "genes.gtf", "w") as gtf:
        for chrom in [f"chr{i}" for i in range(1, 11)]:
            fasta.write(f">{chrom}\n{''.join(rng.choice(list('ACGT'), 16_000))}\n")
            for gene in range(N_GENES // 10):
                first, strand = 400 + 500 * gene, "+-"[gene % 2]
                fields = [chrom, "test", "gene", first, first + 200, ".", strand, "."]
                gtf.write("\t".join(map(str, [*fields, f'gene_id "{chrom}_{gene}";'])) + "\n")


def write_cells(features: Features, label: str, path: Path) -> None:
    """Cells whose expression follows one class of the first block, downstream of the TSS."""
    block = features.blocks[0]
    score = block.values[:, 1, block.classes.index(label)]
    means = 20 * np.exp2(1.5 * (score - score.mean()) / score.std())
    counts = np.random.default_rng(2).poisson(means, (30, N_GENES)).astype(np.float32)
    cells = pd.DataFrame({"cell_type": ["T cell"] * 30}, index=[f"c{i}" for i in range(30)])
    genes = pd.DataFrame(index=features.gene_id.tolist())
    anndata.AnnData(counts, cells, genes).write_h5ad(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A genome and features of it, deep.zarr: two classes of DeepBind networks, and 1-mers."""
    folder = tmp_path_factory.mktemp("deep")
    write_genome(folder)
    write_folder(folder / "db", make_nets())
    files = ("--fasta", folder / "genome.fa", "--gtf", folder / "genes.gtf")
    ran("genes", "--genome", "g", *files, EDGES, "--out", folder / "genes")
    (folder / "c.tsv").write_text("output\tclass\nGATA1_D1.001\tGATA\nSP1\tSP\n")
    oracles = ("--oracle", f"deepbind:{folder / 'db'}:SELEX+kmers:1", "--classes", folder / "c.tsv")
    ran("featurize", "--genome_dir", folder / "genes", *oracles, "--out", folder / "deep.zarr")
    return folder


def test_a_network_that_expression_follows_is_in_the_equation(made, tmp_path):
    features = Features.read(made / "deep.zarr")
    name = "deepbind:db:SELEX, classes c.tsv"
    assert [block.name for block in features.blocks] == [name, "kmers:1"]
    write_cells(features, "GATA", tmp_path / "cells.h5ad")
    table = ("--genes", made / "genes" / "genes.parquet")
    cells = ("--h5ad", tmp_path / "cells.h5ad", "--dataset", "d", "--cell_type_key", "cell_type")
    ran("pseudobulk", *cells, *table, "--out", tmp_path / "bulk")
    inputs = ("--features", made / "deep.zarr", "--expression", tmp_path / "bulk", *table)
    ran("search", *inputs, "--trials", 2, "--out", tmp_path / "search")
    found = ("--search", tmp_path / "search", "--features", made / "deep.zarr")
    ran("distill", *found, "--sr_generations", 20, "--out", tmp_path / "distill")

    file = tmp_path / "distill/equations/0.json"
    document = json.loads(file.read_text())
    assert document["selected"]
    assert document["blocks"][0]["classes_file"] == features.blocks[0].meta["classes_file"]
    weights = [weight for variable in document["variables"] for weight in variable["weights"]]
    largest = max(weights, key=lambda weight: abs(weight["weight"]))
    assert (largest["block"], largest["class"], largest["bin"]) == (0, "GATA", 1)
    predicted = PREDICTIONS.read(tmp_path / "distill/predictions.parquet")
    tested = predicted[predicted["split"] == "test"]
    assert np.corrcoef(tested["measured"], tested["equation"])[0, 1] > 0.8
    again = load_equation(file).predict(features.of_genes(predicted["gene_id"].to_numpy()))
    np.testing.assert_allclose(again, predicted["equation"], atol=1e-6)
    with pytest.raises(GeneqError, match=f"needs the model .*: 'block {name}'.*--equation_oracles"):
        load_oracle(f"equation:{file}")
    named = named_oracles(f"deepbind:{made / 'db'}:SELEX")
    with pytest.raises(GeneqError, match=f"needs the table of classes .*: 'block {name}'"):
        load_oracle(f"equation:{file}", named=named)
    named = named_oracles(f"deepbind:{made / 'db'}:SELEX", made / "c.tsv")
    oracle = load_oracle(f"equation:{file}", named=named)
    genes = GENES.read(made / "genes" / "genes.parquet")
    tokens = Genome(made / "genes").windows_of(genes, *oracle.window)
    expected = load_equation(file).predict(features.of_genes(genes["gene_id"].to_numpy()))
    np.testing.assert_allclose(oracle.predict(tokens, oracle.tss)[:, 0], expected, atol=1e-5)


def test_learnt_classes_are_those_of_featurize(made, tmp_path):
    """`geneq classes` and `geneq featurize` read one model on one genome."""
    model = ("--genome_dir", made / "genes", "--oracle", f"deepbind:{made / 'db'}")
    ran("classes", *model, "--max_classes", 2, "--out", tmp_path / "learnt.tsv")
    ran("featurize", *model, "--classes", tmp_path / "learnt.tsv", "--out", tmp_path / "f.zarr")
    (block,) = Features.read(tmp_path / "f.zarr").blocks
    table = pd.read_csv(tmp_path / "learnt.tsv", sep="\t")
    assert block.classes == list(dict.fromkeys(table["class"])) and len(block.classes) == 2
    # Outputs are standardised over these very bins, so classes have a mean of 0.
    np.testing.assert_allclose(block.values.mean((0, 1)), 0, atol=1e-4)


def test_sei_is_scored_around_each_tss(made, tmp_path):
    """A tile in each bin: at the TSS, and 120 nt upstream on the gene's strand."""
    sei = open_sei(str(narrow.write_folder(tmp_path)), narrow.WIDTH)
    oracles = [sei, load_oracle("kmers:1")]
    found = featurize(made / "genes", oracles, shard=(1, 30), tile=120)
    genes = GENES.read(made / "genes" / "genes.parquet").iloc[:10]
    assert found.gene_id.tolist() == genes["gene_id"].tolist() and set(genes["strand"]) == {*"+-"}
    columns = [genes[name].to_numpy() for name in ("chrom", "tss", "strand")]
    for b, centre in enumerate((-120, 0)):
        windows = Genome(made / "genes").windows(*columns, centre - 2048, centre + 2048)
        expected = sei.predict(windows)
        np.testing.assert_allclose(found.blocks[0].values[:, b], expected, atol=1e-5)
    assert found.blocks[0].name == sei.name and found.blocks[0].meta["tile"] == 120

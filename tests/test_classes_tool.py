"""`geneq classes`: from a genome and a model to a table of classes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geneq import cli
from geneq.artifacts import GENES
from geneq.errors import GeneqError
from geneq.genome import Genome
from geneq.oracles import load_oracle
from geneq.oracles.classes import Classes, with_classes
from geneq.oracles.tiling import binned
from geneq.tools.classes import bin_edges
from twins import classes as twin

RNG = np.random.default_rng(8)
EDGES = [-60, -10, 0, 50]
# A model of fixed length: two outputs measure GC, one A, one is constant.
MODEL = """
import numpy as np
from geneq.oracles import Oracle


class Shares(Oracle):
    name, targets, hash, length = "shares", ["GC", "twice GC", "A", "one"], "1", 20

    def predict(self, tokens, anchor=None):
        gc = ((tokens == 1) | (tokens == 2)).mean(1)
        a = (tokens == 0).mean(1)
        return np.stack([gc, 2 * gc + 0.01 * a, a, np.ones(len(a))], 1).astype(np.float32)


def make():
    return Shares()
"""

pytestmark = pytest.mark.usefixtures("one_thread")


def geneq(*arguments) -> int:
    return cli.main([*map(str, arguments), "--threads", "1"])


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """genome/ and promoters/, as `geneq genes` writes them, and shares.py."""
    folder = tmp_path_factory.mktemp("classes")
    sequence = "".join(RNG.choice(list("ACGT"), 4000, p=[0.3, 0.2, 0.2, 0.3]))
    with open(folder / "genome.fa", "w") as fasta, open(folder / "genes.gtf", "w") as gtf:
        for chrom in [f"chr{i}" for i in range(1, 11)]:
            fasta.write(f">{chrom}\n{sequence[int(chrom[3:]) :]}\n")
            for i, strand in enumerate("+-+"):
                fields = [chrom, "test", "gene", 900 * (i + 1), 900 * (i + 1) + 300, ".", strand]
                gtf.write("\t".join(map(str, [*fields, ".", f'gene_id "{chrom}_{i}";'])) + "\n")
    with open(folder / "promoters.fa", "w") as fasta:
        for gene in range(20):
            promoter = sequence[100 * gene : 100 * gene + 60]
            fasta.write(f">P{gene}_1 gene_id=G{gene} chrom=chr{gene % 10 + 1}\n{promoter}\n")
    (folder / "shares.py").write_text(MODEL)
    edges = "--bin_edges=" + ",".join(map(str, EDGES))
    files = ("--fasta", folder / "genome.fa", "--gtf", folder / "genes.gtf")
    assert geneq("genes", "--genome", "g", *files, edges, "--out", folder / "genome") == 0
    promoters = ("--promoters", folder / "promoters.fa")
    assert geneq("genes", "--genome", "p", *promoters, "--out", folder / "promoters") == 0
    return folder


def learnt(inputs: Path, out: Path, *options) -> pd.DataFrame:
    common = ("classes", "--genome_dir", inputs / "genome", "--out", out)
    assert geneq(*common, *options) == 0
    return Classes.read(out).table


def test_a_tiled_model_has_classes_of_correlated_outputs(inputs, tmp_path, capsys):
    model = f"python:{inputs / 'shares.py'}:make"
    table = learnt(inputs, tmp_path / "c.tsv", "--oracle", model, "--tile", 10, "--max_classes", 2)
    assert "2 classes of 3 outputs (1 more are the same in all windows), from" in (
        capsys.readouterr().out
    )
    groups = table.groupby("class")["output"].agg(sorted).tolist()
    assert sorted(groups) == [["A"], ["GC", "twice GC"]]
    oracle = binned(load_oracle(model), 10, EDGES[0])
    genes = GENES.read(inputs / "genome" / "genes.parquet")
    columns = (genes[name].to_numpy() for name in ("chrom", "tss", "strand"))
    first = EDGES[0] - oracle.flank
    tokens = Genome(inputs / "genome").windows(*columns, first, EDGES[-1] + oracle.flank)
    values = oracle.predict_bins(tokens, np.array(EDGES) - first).reshape(-1, 4)
    about = table.set_index("output")
    for i, name in enumerate(oracle.targets[:3]):
        np.testing.assert_allclose(about.loc[name, "mean"], values[:, i].mean(), rtol=1e-4)
        np.testing.assert_allclose(about.loc[name, "sd"], values[:, i].std(), rtol=1e-4)
    assert twin.correlation(values[:, 0], values[:, 1]) > 0.9


def test_classes_are_the_same_in_every_run_and_can_be_used(inputs, tmp_path):
    options = ("--oracle", "kmers:3", "--max_classes", 7, "--genes", 12)
    table = learnt(inputs, tmp_path / "one.tsv", *options)
    learnt(inputs, tmp_path / "two.tsv", *options)
    assert (tmp_path / "one.tsv").read_bytes() == (tmp_path / "two.tsv").read_bytes()
    learnt(inputs, tmp_path / "other.tsv", *options, "--seed", 2)
    assert (tmp_path / "one.tsv").read_bytes() != (tmp_path / "other.tsv").read_bytes()
    oracle = with_classes(load_oracle("kmers:3"), tmp_path / "one.tsv")
    assert oracle.targets == list(dict.fromkeys(table["class"])) and len(oracle.targets) == 7


def test_promoters_have_classes_too(inputs, tmp_path):
    out = tmp_path / "c.tsv"
    model = f"python:{inputs / 'shares.py'}:make"
    code = geneq("classes", "--genome_dir", inputs / "promoters", "--oracle", model, "--tile", 10,
                 "--out", out)  # fmt: skip
    assert code == 0
    assert set(Classes.read(out).table["output"]) == {"GC", "twice GC", "A"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--max_classes", 0), "--max_classes must be between 1"),
        (("--genes", 1), "--genes must be between 2"),
        (("--tile", 0), "--tile must be between 1"),
        (("--tile", 600), "Every bin needs the centre of a tile"),
    ],
)
def test_wrong_options_are_refused_and_nothing_is_written(
    inputs, tmp_path, capsys, options, message
):
    model = f"python:{inputs / 'shares.py'}:make"
    common = ("classes", "--genome_dir", inputs / "genome", "--oracle", model)
    assert geneq(*common, "--out", tmp_path / "c.tsv", *options) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "stored", "edges"),
    [
        (None, [-8, 0, 8], [-8, 0, 8]),
        (None, [[-8, 0, 8]], [-8, 0, 8]),
        ("-4,4", [-8, 0, 8], [-4, 4]),
        ("-4,4", [[-8, 0, 8], [0, 8]], [-4, 4]),
    ],
)
def test_bins_are_those_of_the_gene_table_or_of_the_command_line(text, stored, edges):
    assert bin_edges(text, {"mode": "annotation", "bin_edges": stored}) == edges


def test_bins_of_several_oracles_need_a_choice():
    about = {"mode": "annotation", "bin_edges": [[-8, 0], [0, 8]]}
    with pytest.raises(GeneqError, match=r"bins for several oracles.*--bin_edges"):
        bin_edges(None, about)

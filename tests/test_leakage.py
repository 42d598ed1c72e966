"""What an oracle was trained on: from its attributes to features, predictions and figures."""

import re

import numpy as np
import pandas as pd
import pytest

from geneq import cli, folds, leakage
from geneq.artifacts import PREDICTIONS, read_json
from geneq.errors import GeneqError
from geneq.features import Block, Features
from geneq.genome import BUILDS, build_of
from geneq.oracles import Oracle, load_oracle
from geneq.oracles.sei import open_sei
from geneq.oracles.sei.oracle import BUILD, HELD_OUT
from geneq.stages.featurize import featurize
from geneq.stages.search import training
from planted import world
from test_deep_features import EDGES, ran, write_genome
from test_deepbind import make_nets, write_folder
from twins import sei as narrow

CHROMS = pd.Series(["chr8", "chr1", "10", "", "chrX"])
BINS = {"bin_edges": [-1, 1]}


def block(**meta) -> Block:
    return Block("o", np.zeros((5, 1, 1), np.float32), ["c"], meta)


DEEP = block(**BINS, trained=True, held_out=["8", "chr10"])
MOTIFS = block(**BINS, trained=False, held_out=None)
TABLE = block(missing={})
TRAINED, HELD, UNKNOWN, NOT = "trained", "held_out", "unknown", "untrained"


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([DEEP], [HELD, TRAINED, HELD, UNKNOWN, TRAINED]),
        ([MOTIFS, TABLE], [NOT] * 5),
        ([MOTIFS, DEEP, TABLE], [HELD, TRAINED, HELD, UNKNOWN, TRAINED]),
        ([DEEP, block(**BINS, trained=True, held_out=["chrX", "8"])],
         [HELD, TRAINED, TRAINED, UNKNOWN, TRAINED]),
        ([DEEP, block(**BINS, trained=True, held_out=None)],
         [UNKNOWN, TRAINED, UNKNOWN, UNKNOWN, TRAINED]),
        ([block(**BINS)], [UNKNOWN] * 5),  # written before this was recorded
        # Of a fly: the genome has none of its chromosomes.
        ([block(**BINS, trained=True, held_out=["chr2R"])], [UNKNOWN] * 5),
        ([block(source={}, trained=True, held_out=["chr8"])],
         [HELD, TRAINED, TRAINED, UNKNOWN, TRAINED]),
    ],
)  # fmt: skip
def test_genes_are_marked_by_their_chromosome(blocks, expected):
    assert leakage.of_genes(blocks, CHROMS).tolist() == expected
    assert leakage.worst(expected) == next(m for m in leakage.ORDER if m in expected)


def test_every_oracle_says_what_it_was_trained_on(tmp_path):
    assert (Oracle.held_out, Oracle.trained) == (None, True)
    for name in ("motifs:core", "kmers:2"):
        assert not load_oracle(name).trained
    sei = open_sei(str(narrow.write_folder(tmp_path)), narrow.WIDTH)
    for oracle in (sei, sei.profiles):
        assert (oracle.trained, oracle.held_out, oracle.build) == (True, HELD_OUT, "GRCh38")
    # What the default split of human genes tests and validates on, Sei was not trained on.
    assert {*folds.TEST_CHROMS, *folds.VALID_CHROMS} == {*HELD_OUT}


@pytest.fixture(scope="module")
def genes(tmp_path_factory):
    """What `geneq genes` writes of ten chromosomes with 30 genes each."""
    folder = tmp_path_factory.mktemp("genome")
    write_genome(folder)
    files = ("--fasta", folder / "genome.fa", "--gtf", folder / "genes.gtf")
    ran("genes", "--genome", "g", *files, EDGES, "--out", folder / "genes")
    return folder / "genes"


def test_features_record_it(genes, tmp_path):
    write_folder(tmp_path / "db", make_nets())
    oracles = [load_oracle(f"deepbind:{tmp_path / 'db'}"), load_oracle("kmers:1")]
    deep, kmers = featurize(genes, oracles, shard=(1, 100)).blocks
    assert (deep.meta["trained"], deep.meta["held_out"]) == (True, None)
    assert kmers.meta["trained"] is False


def test_predictions_have_it_for_every_gene(tmp_path, monkeypatch):
    """From features to the tables of search and distill, and the documents of equations."""
    monkeypatch.setattr(training, "LEAST_STEPS", 20)
    made = world(tmp_path, {"T": lambda p: 5 + p[:, 0]}, n=100)
    (old,) = made.features.blocks
    about = {**old.meta, "trained": True, "held_out": ["chr1", "chr4"]}
    deep = Block("deep:x", old.values, old.classes, about)
    Features(made.features.gene_id, [deep], made.features.meta).complete().write(
        tmp_path / "features.zarr"
    )
    short = ("--trials", "1", "--epochs", "2", "--threads", "1")
    assert cli.main(made.search_args(tmp_path / "search", *short)) == 0
    out = tmp_path / "out"
    words = made.distill_args(tmp_path / "search", out, "--sr_generations", "2", "--threads", "1")
    assert cli.main(words) == 0
    chroms = made.genes.set_index("gene_id")["chrom"]
    for folder in (tmp_path / "search", out):
        rows = PREDICTIONS.read(folder / "predictions.parquet")
        held_out = rows["gene_id"].map(chroms).isin(["chr1", "chr4"])
        assert rows["oracle"].tolist() == np.where(held_out, HELD, TRAINED).tolist()
    # Test genes are on chr1.
    metrics = pd.read_parquet(out / "metrics.parquet")
    assert set(metrics["split"]) == {"test"} and set(metrics["oracle"]) == {HELD}
    (about,) = read_json(out / "equations/0.json")["blocks"]
    assert (about["trained"], about["held_out"]) == (True, ["chr1", "chr4"])


# --- builds -----------------------------------------------------------------------------------


def test_builds_are_recognised_by_the_lengths_of_contigs():
    assert len({*BUILDS.values()}) == len(BUILDS) and BUILD in BUILDS
    assert build_of({"chr2": 5, "chr1": 248956422}) == "GRCh38"
    assert build_of({"1": 249250621}) == "GRCh37"
    assert build_of({"chr1": 248956421, "chr2": 249250621}) is None


def test_an_oracle_of_another_build_than_the_genome_is_refused(genes, tmp_path):
    """The index says that chr1 is as long as in GRCh37; nothing beyond its sequence is read."""
    sei = open_sei(str(narrow.write_folder(tmp_path)), narrow.WIDTH)
    folder = tmp_path / "genes"
    folder.mkdir()
    for path in genes.iterdir():
        (folder / path.name).symlink_to(path)
    text = (folder / "genome.fa.fai").read_text()
    (folder / "genome.fa.fai").unlink()
    for build in ("GRCh37", "GRCh38"):
        chr1 = f"chr1\t{BUILDS[build][1]}\t"
        (folder / "genome.fa.fai").write_text(re.sub(r"^chr1\t\d+\t", chr1, text, flags=re.M))
        if build == BUILD:
            found = featurize(folder, [sei], shard=(1, 300), tile=120)
            assert found.blocks[0].meta["held_out"] == ["chr8", "chr9", "chr10"]
            continue
        with pytest.raises(GeneqError, match=r"was trained on GRCh38, and .*: 'GRCh37'"):
            featurize(folder, [sei], shard=(1, 300), tile=120)
        ran("featurize", "--genome_dir", folder, "--oracle", "kmers:1", "--out", tmp_path / "z")

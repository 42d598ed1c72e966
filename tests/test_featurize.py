"""`geneq featurize`: from the gene table and the genome to scores gene × bin × class."""

import hashlib
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geneq import cli
from geneq.artifacts import GENES, read_json, write_json
from geneq.errors import GeneqError
from geneq.features import Block, Features, quantiles
from geneq.oracles import TYPES, BinnedOracle, load_oracles
from geneq.oracles.meme import families, read_meme
from geneq.stages import featurize
from twins import encoding, kmers, tiling
from twins import features as twin

RNG = np.random.default_rng(21)
LENGTH = 3_000
EDGES = [-60, -10, 0, 25, 50]
CHROMS = [f"chr{i}" for i in range(1, 11)]
# chr2 is the other strand of chr1, and its genes those of chr1 seen from there.
SYMBOLS = RNG.choice(list("ACGTN"), (len(CHROMS), LENGTH), p=[0.24] * 4 + [0.04])
SEQUENCE = {chrom: "".join(row) for chrom, row in zip(CHROMS, SYMBOLS, strict=True)}
SEQUENCE["chr2"] = encoding.decode(encoding.reverse_complement(encoding.tokens(SEQUENCE["chr1"])))
PLACES = {chrom: [(900, "+"), (1800, "-")] for chrom in CHROMS}
PLACES["chr2"] = [(LENGTH - 901, "-"), (LENGTH - 1801, "+")]
PROMOTERS = {
    f"P{gene}_{number}": "".join(RNG.choice(list("ACGT"), 60 - number))
    for gene in range(20)
    for number in (2, 1, 3)
}
# Two families of motifs of widths even and odd.
CONSENSUS = {"A": "TGACGTCA", "A2": "ATGACGTCAT", "B": "GGGGCGG", "B2": "GGGGCGGGG"}


def geneq(*arguments) -> int:
    return cli.main([*map(str, arguments), "--threads", "1"])


def ran(*arguments) -> None:
    assert geneq(*arguments) == 0


def write_inputs(folder: Path) -> None:
    with open(folder / "genome.fa", "w") as fasta, open(folder / "genes.gtf", "w") as gtf:
        for chrom in CHROMS:
            fasta.write(f">{chrom}\n{SEQUENCE[chrom]}\n")
            for i, (tss, strand) in enumerate(PLACES[chrom]):
                first, last = (tss + 1, tss + 500) if strand == "+" else (tss - 499, tss + 1)
                fields = [chrom, "test", "gene", first, last, ".", strand, "."]
                gtf.write("\t".join(map(str, [*fields, f'gene_id "{chrom}_{i}x";'])) + "\n")
    (folder / "promoters.fa").write_text(
        "".join(
            f">{name} gene_id=G{name[1:-2]} chrom=chr{int(name[1:-2]) % 10 + 1}\n{symbols}\n"
            for name, symbols in PROMOTERS.items()
        )
    )
    write_meme(folder / "m.meme", CONSENSUS)


def write_meme(path: Path, consensus: dict[str, str]) -> None:
    with open(path, "w") as meme:
        meme.write("MEME version 4\n\nALPHABET= ACGT\n")
        for name, symbols in consensus.items():
            meme.write(f"\nMOTIF {name}\nletter-probability matrix: w= {len(symbols)}\n")
            for row in 0.05 + 0.8 * np.eye(4)[encoding.tokens(symbols)]:
                meme.write(" ".join(f"{p:.2f}" for p in row) + "\n")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """genome/: of an annotation; first/, mean/, max/: of promoters; m.meme."""
    folder = tmp_path_factory.mktemp("featurize")
    write_inputs(folder)
    files = ("--fasta", folder / "genome.fa", "--gtf", folder / "genes.gtf")
    edges = "--bin_edges=" + ",".join(map(str, EDGES))
    ran("genes", "--genome", "g", *files, edges, "--out", folder / "genome")
    for choice in ("first", "mean", "max"):
        files = ("--promoters", folder / "promoters.fa", "--promoter_choice", choice)
        ran("genes", "--genome", "p", *files, "--out", folder / choice)
    return folder


class Featurize:
    """`geneq featurize` with the inputs above, into a folder of its own."""

    def __init__(self, inputs: Path, folder: Path, capsys):
        self.inputs, self.folder, self.capsys = inputs, folder, capsys
        self.oracle = ("--oracle", f"motifs:{inputs / 'm.meme'}", "--max_classes", 4)

    def features(self, genome: str, *options, out: str = "features.zarr") -> Features:
        directory = ("--genome_dir", self.inputs / genome)
        ran("featurize", *directory, *self.oracle, *options, "--out", self.folder / out)
        return Features.read(self.folder / out)

    def __call__(self, genome: str, *options, out: str = "features.zarr") -> Block:
        """The only block."""
        (block,) = self.features(genome, *options, out=out).blocks
        return block

    def by_gene(self, genome: str, block: Block) -> dict[str, np.ndarray]:
        genes = GENES.read(self.inputs / genome / "genes.parquet")
        return dict(zip(genes["gene_id"], block.values, strict=True))

    def refused(self, *options) -> str:
        """The message of a run that must fail and leave nothing behind."""
        before = sorted(self.folder.iterdir())
        assert geneq("featurize", *options, "--out", self.folder / "refused.zarr") == 1
        assert sorted(self.folder.iterdir()) == before
        return self.capsys.readouterr().err

    def classes(self) -> list[list[np.ndarray]]:
        motifs = read_meme(self.inputs / "m.meme")
        return [[motifs[i].probabilities for i in members] for _, members in families(motifs, 2)]


@pytest.fixture
def run(inputs, tmp_path, capsys):
    return Featurize(inputs, tmp_path, capsys)


# --- windows ----------------------------------------------------------------------------------


def test_features_are_those_of_the_reference(run):
    features = run("genome")
    assert features.values.shape == (20, 4, 4)
    assert [cls[0] for cls in features.classes] == ["A", "B", "G", "C"]
    assert features.classes[2:] == ["GC", "CpG"]
    found = run.by_gene("genome", features)
    for chrom in CHROMS:
        for i, (tss, strand) in enumerate(PLACES[chrom]):
            window = encoding.window(SEQUENCE[chrom], tss, strand, EDGES[0], EDGES[-1])
            edges = [edge - EDGES[0] for edge in EDGES]
            expected = twin.scores(window[None], run.classes(), edges)[0]
            np.testing.assert_allclose(found[f"{chrom}_{i}x"], expected, atol=1e-4)


def test_a_gene_on_the_other_strand_has_the_same_features(run):
    found = run.by_gene("genome", run("genome"))
    for i in (0, 1):
        np.testing.assert_allclose(found[f"chr1_{i}x"], found[f"chr2_{i}x"], atol=1e-5)
        assert not np.allclose(found[f"chr1_{i}x"], found[f"chr3_{i}x"], atol=0.1)


def test_rows_are_the_gene_tables_and_say_what_they_come_from(run):
    features = run.features("genome")
    genes = GENES.read(run.inputs / "genome" / "genes.parquet")
    assert features.gene_id.tolist() == genes["gene_id"].tolist()
    digest = read_json(run.inputs / "genome" / "genes.json")["digest"]
    assert features.meta == {"mode": "annotation", "genome": digest}
    (block,) = features.blocks
    assert block.name == "motifs:m.meme"
    meta = dict(block.meta)
    assert len(meta.pop("hash")) == 64
    assert meta == {
        "strands": "both",
        "bin_edges": EDGES,
        "window": [-60, 50],
        "tss_index": 60,
        "orientation": "the gene's strand",
        "trained": False,
        "held_out": None,
    }
    expected = quantiles(block.values.reshape(20, -1))
    np.testing.assert_array_equal(block.quantiles.reshape(16, -1), expected)
    assert "20 genes\nmotifs:m.meme: 4 bins, 4 classes\n" in run.capsys.readouterr().out


def test_other_bins_within_the_window(run):
    features = run("genome", "--bin_edges=-60,-10,50", out="coarse.zarr")
    assert features.values.shape == (20, 2, 4)
    np.testing.assert_allclose(features.values[:, 0], run("genome").values[:, 0], atol=1e-5)
    inner = run("genome", "--bin_edges=5,40", out="inner.zarr")
    assert (inner.meta["window"], inner.meta["tss_index"]) == ([5, 40], -5)


@pytest.mark.parametrize("edges", ["-61,0", "0,51"])
def test_bins_beyond_the_window_of_the_gene_table_are_refused(run, edges):
    message = run.refused("--genome_dir", run.inputs / "genome", f"--bin_edges={edges}")
    assert f"within the window of the gene table, [-60, 50): '{edges}'" in message
    assert "genes.json" in message
    assert "Run `geneq genes` with the same --bin_edges" in message


def test_batches_of_genes_do_not_change_features(run, monkeypatch):
    whole = run("genome")
    monkeypatch.setattr(featurize, "GENES_AT_A_TIME", 3)
    in_parts = run("genome", out="parts.zarr")
    np.testing.assert_allclose(in_parts.values, whole.values, atol=1e-6)


def test_strands_are_scored_apart_on_request(run):
    features = run("genome", "--strands", "split")
    assert features.meta["strands"] == "split"
    assert features.meta["hash"] != run("genome", out="both.zarr").meta["hash"]
    tail = ["GC", "CpG", "GC_skew", "AT_skew", "CpG_oe"]
    assert features.classes[0].endswith("_sense") and features.classes[-5:] == tail
    found, edges = run.by_gene("genome", features), [edge - EDGES[0] for edge in EDGES]
    for i, (tss, strand) in enumerate(PLACES["chr1"]):
        window = encoding.window(SEQUENCE["chr1"], tss, strand, EDGES[0], EDGES[-1])
        expected = twin.split_scores(window[None], run.classes(), edges)[0]
        np.testing.assert_allclose(found[f"chr1_{i}x"], expected, atol=1e-4)


@pytest.mark.parametrize("strands", ["auto", "both", "split"])
def test_kmers_of_windows_on_the_genes_strand(run, strands):
    run.oracle = ("--oracle", "kmers:2", "--strands", strands)
    features, canonical = run("genome"), strands == "both"
    assert features.classes == kmers.classes(2, canonical)
    assert features.name == "kmers:2"
    assert features.meta["strands"] == ("both" if canonical else "split")
    found, edges = run.by_gene("genome", features), [edge - EDGES[0] for edge in EDGES]
    for chrom in ("chr1", "chr2"):
        for i, (tss, strand) in enumerate(PLACES[chrom]):
            window = encoding.window(SEQUENCE[chrom], tss, strand, EDGES[0], EDGES[-1])
            expected = kmers.frequencies(window[None], edges, 2, canonical)[0]
            np.testing.assert_allclose(found[f"{chrom}_{i}x"], expected, atol=1e-6)


# --- promoters --------------------------------------------------------------------------------


def scored(run, name: str) -> np.ndarray:
    """The double's scores of a promoter: thirds of its length, a half rounded down."""
    length = len(PROMOTERS[name])
    edges = [int(np.ceil(part * length / 3 - 0.5)) for part in range(4)]
    return twin.scores(encoding.tokens(PROMOTERS[name])[None], run.classes(), edges)[0]


def test_the_first_promoter_is_scored(run):
    features = run.features("first")
    (block,) = features.blocks
    assert block.values.shape == (20, 3, 4)
    found = run.by_gene("first", block)
    for gene in range(20):
        np.testing.assert_allclose(found[f"G{gene}"], scored(run, f"P{gene}_1"), atol=1e-4)
    assert block.meta["window"] is None
    assert block.meta["tss_index"] is None
    assert block.meta["bin_edges"] == [0, 1 / 3, 2 / 3, 1]
    assert features.meta["promoter_choice"] == "first"


@pytest.mark.parametrize("choice", ["mean", "max"])
def test_scores_of_several_promoters_are_pooled(run, choice):
    features = run.features(choice)
    assert features.meta["promoter_choice"] == choice
    found = run.by_gene(choice, features.blocks[0])
    for gene in range(20):
        each = [scored(run, f"P{gene}_{number}") for number in (1, 2, 3)]
        np.testing.assert_allclose(found[f"G{gene}"], getattr(np, choice)(each, 0), atol=1e-4)


def test_a_promoter_shorter_than_a_motif_is_refused(run):
    write_meme(run.folder / "wide.meme", {**CONSENSUS, "wide": "ACGT" * 15})
    oracle = ("--oracle", f"motifs:{run.folder / 'wide.meme'}")
    message = run.refused("--genome_dir", run.inputs / "mean", *oracle)
    assert "Sequences must be at least as long as the longest motif (60 nt): 57. Remove" in message


# --- several oracles --------------------------------------------------------------------------


def half_lives(folder: Path, missing: int = 0) -> Path:
    """A table of gene features for the genes of annotation and promoters, some of them missing."""
    ids = [f"{chrom}_{i}x" for chrom in CHROMS for i in (0, 1)] + [f"G{i}" for i in range(20)]
    table = pd.DataFrame({"gene_id": ids, "half_life": np.arange(40) / 7, "GC": 1.0})
    table.drop(index=range(missing)).to_csv(folder / "half_lives.tsv", sep="\t", index=False)
    return folder / "half_lives.tsv"


def both(run) -> tuple[str, str]:
    return "--oracle", f"motifs:{run.inputs / 'm.meme'}+kmers:2"


@pytest.mark.parametrize("genome", ["genome", "first"])
def test_oracles_side_by_side_have_a_block_each_as_if_alone(run, genome):
    features = run.features(genome, *both(run), out="both.zarr")
    assert [block.name for block in features.blocks] == ["motifs:m.meme", "kmers:2"]
    alone = run(genome, out="motifs.zarr"), run(genome, "--oracle", "kmers:2", out="kmers.zarr")
    for block, other in zip(features.blocks, alone, strict=True):
        assert (block.classes, block.meta) == (other.classes, other.meta)
        np.testing.assert_array_equal(block.values, other.values)
        np.testing.assert_array_equal(block.quantiles, other.quantiles)
    out = run.capsys.readouterr().out
    assert re.search(
        r"20 genes\nmotifs:m.meme: . bins, 4 classes\nkmers:2: . bins, 16 classes", out
    )


def test_each_oracle_may_have_bins_of_its_own(run):
    edges = "--bin_edges=-60,-10,0,25,50/-40,0,40"
    features = run.features("genome", *both(run), edges)
    motifs, kmer = features.blocks
    np.testing.assert_array_equal(motifs.values, run("genome", out="alone.zarr").values)
    options = ("--oracle", "kmers:2", "--bin_edges=-40,0,40")
    np.testing.assert_array_equal(kmer.values, run("genome", *options, out="k.zarr").values)
    assert (kmer.meta["window"], kmer.meta["tss_index"]) == ([-40, 40], 40)


def test_the_gene_table_may_name_the_bins_of_each_oracle(run):
    files = ("--fasta", run.inputs / "genome.fa", "--gtf", run.inputs / "genes.gtf")
    ran("genes", "--genome", "g", *files, "--bin_edges=-60,0,30/-10,50", "--out", run.folder / "g")
    run.inputs, motifs = run.folder, run.oracle[1]
    features = run.features("g", "--oracle", f"{motifs}+kmers:1")
    assert [block.meta["bin_edges"] for block in features.blocks] == [[-60, 0, 30], [-10, 50]]
    # The window is the union.
    run("g", "--bin_edges=-60,50", out="union.zarr")
    message = run.refused("--genome_dir", run.folder / "g", "--oracle", motifs)
    assert "one list for all oracles or 1, one for each: '-60,0,30/-10,50'" in message
    options = ("--bin_edges=-61,0", "--oracle", motifs)
    message = run.refused("--genome_dir", run.folder / "g", *options)
    assert "within the window of the gene table, [-60, 50)" in message


def test_another_number_of_lists_of_bins_than_oracles_is_refused(run):
    edges = "--bin_edges=-60,50/-40,40/-10,10"
    message = run.refused("--genome_dir", run.inputs / "genome", *both(run), edges)
    assert "--bin_edges must be one list for all oracles or 2, one for each" in message


def test_bins_of_promoters_of_two_oracles(run):
    features = run.features("first", *both(run), "--bin_edges=0,1/3,2/3,1/0,0.5,1/1")
    assert [b.meta["bin_edges"] for b in features.blocks] == [[0, 1 / 3, 2 / 3, 1], [0, 0.5, 1]]


def test_a_class_of_the_same_name_in_two_blocks_stays_two(run):
    """Motifs score GC, and so does a table."""
    features = run.features("genome", "--gene_features", half_lives(run.folder))
    places = [(column.block, column.bin) for column in features.columns if column.name == "GC"]
    assert places == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]
    matrix = features.matrix()
    columns = [j for j, column in enumerate(features.columns) if column.name == "GC"]
    assert (matrix[:, columns[-1]] == 1).all() and np.ptp(matrix[:, columns[0]]) > 0.01


def test_strands_apply_to_every_oracle_that_has_them(run):
    (run.folder / "net.py").write_text(FLANKED)
    spec = f"{both(run)[1]}+python:{run.folder / 'net.py'}:make"
    features = run.features("genome", "--oracle", spec, "--strands", "both")
    assert [block.meta["strands"] for block in features.blocks] == ["both", "both", None]
    assert len(features.blocks[1].classes) == 10


def test_an_oracle_given_twice_is_refused(run):
    other = run.folder / "m.meme"
    other.write_text((run.inputs / "m.meme").read_text())
    spec = f"motifs:{run.inputs / 'm.meme'}+kmers:2+motifs:{other}"
    message = run.refused("--genome_dir", run.inputs / "genome", "--oracle", spec)
    assert "The oracle motifs:m.meme is given 2 times" in message


def test_a_plus_in_the_name_of_a_file_is_part_of_it(run):
    path = run.folder / "a+b+kmers.meme"
    path.write_text((run.inputs / "m.meme").read_text())
    features = run.features("genome", "--oracle", f"motifs:{path}+kmers:1")
    assert [block.name for block in features.blocks] == ["motifs:a+b+kmers.meme", "kmers:1"]
    assert [oracle.name for oracle in load_oracles(f"motifs:{path}")] == ["motifs:a+b+kmers.meme"]


# Counts A in bins widened by `flank`, and checks what it is given.
FLANKED = """
import numpy as np
from geneq.oracles import BinnedOracle

class Flanked(BinnedOracle):
    name, targets, hash, flank = "flanked", ["A", "N"], "1", 30

    def predict(self, tokens, anchor=None):
        raise NotImplementedError

    def predict_bins(self, tokens, edges):
        assert edges[0] >= self.flank and tokens.shape[1] - edges[-1] >= self.flank
        parts = [tokens[:, a - self.flank : b + self.flank] for a, b in zip(edges, edges[1:])]
        return np.stack([[(p == t).sum(1) for t in (0, 4)] for p in parts], 1).T.astype("f4")

def make():
    return Flanked()
"""


def test_an_oracle_reads_as_far_beyond_the_edges_as_it_says(run):
    (run.folder / "net.py").write_text(FLANKED)
    run.oracle = ("--oracle", f"python:{run.folder / 'net.py'}:make")
    edges = [-50, -10, 50]
    found = run.by_gene("genome", run("genome", "--bin_edges=-50,-10,50"))
    for chrom in CHROMS:
        for i, (tss, strand) in enumerate(PLACES[chrom]):
            window = encoding.window(SEQUENCE[chrom], tss, strand, -80, 80)
            for b, (first, end) in enumerate(pairwise(edges)):
                part = list(window[first + 80 - 30 : end + 80 + 30])
                assert found[f"{chrom}_{i}x"][b].tolist() == [part.count(0), part.count(4)]


def test_beyond_a_promoter_there_is_n(run):
    (run.folder / "net.py").write_text(FLANKED)
    run.oracle = ("--oracle", f"python:{run.folder / 'net.py'}:make")
    found = run.by_gene("first", run("first", "--bin_edges=0,0.5,1"))
    for gene in range(20):
        symbols = "N" * 30 + PROMOTERS[f"P{gene}_1"] + "N" * 30
        middle = int(np.ceil(59 / 2 - 0.5))
        parts = symbols[: middle + 60], symbols[middle:]
        assert found[f"G{gene}"].tolist() == [[p.count("A"), p.count("N")] for p in parts]


class Broken(BinnedOracle):
    """Scores 0, but for one gene's."""

    name, targets, hash = "broken", ["fine", "bad"], "1"

    def __init__(self, value: float):
        self.value = value

    def predict(self, tokens, anchor=None):
        raise NotImplementedError

    def predict_bins(self, tokens, edges):
        scores = np.zeros((len(tokens), len(edges) - 1, 2), np.float32)
        scores[3, -1, 1] = self.value
        return scores


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("genome", "gene"), [("genome", "chr3_1x"), ("mean", "G3")])
def test_a_score_that_is_not_finite_is_named(run, genome, gene, value):
    message = rf"A score of broken is not a finite number: '{value} for gene {gene}, class bad, bin"
    with pytest.raises(GeneqError, match=message):
        featurize.featurize(run.inputs / genome, [Broken(value)])


# --- models of fixed length, and classes of outputs -------------------------------------------

# Shares of two bases in an input of nine, and of the second one in its first base.
SHARES = """
import numpy as np
from geneq.oracles import Oracle

class Shares(Oracle):
    name, targets, hash, length, tss = "shares", ["A", "C", "first"], "1", {length}, {tss}

    def predict(self, tokens, anchor=None):
        rows = [(tokens == 0).mean(1), (tokens == 1).mean(1), tokens[:, 0] == 1]
        return np.stack(rows, 1).astype("f4")

def make():
    return Shares()
"""
EVEN_CLASSES = "output\tclass\tweight\tmean\tsd\nA\tpair\t1\t0.2\t0.5\nC\tpair\t-3\t0.1\t0.25\n"


def shares(tokens: list[int]) -> list[float]:
    return [tokens.count(0) / 9, tokens.count(1) / 9, float(tokens[0] == 1)]


def write_model(run, length: int | None = 9, tss: int | None = None) -> str:
    (run.folder / "net.py").write_text(SHARES.format(length=length, tss=tss))
    return f"python:{run.folder / 'net.py'}:make"


def write_classes(run, text: str = EVEN_CLASSES) -> Path:
    (run.folder / "c.tsv").write_text(text)
    return run.folder / "c.tsv"


@pytest.mark.parametrize("tile", [1, 7])
def test_a_model_of_fixed_length_is_tiled_from_the_tss(run, tile):
    """The first edge is no multiple of the tile; windows of both strands."""
    run.oracle = ("--oracle", write_model(run))
    block = run("genome", "--tile", tile, "--bin_edges=-59,-10,0,50")
    assert block.classes == ["A", "C", "first"] and block.meta["tile"] == tile
    found = run.by_gene("genome", block)
    edges = np.array([-59, -10, 0, 50]) + 100
    for chrom in CHROMS:
        for i, (tss, strand) in enumerate(PLACES[chrom]):
            window = np.array(encoding.window(SEQUENCE[chrom], tss, strand, -100, 100))[None]
            expected = tiling.tiled(window, edges, 100, tile, 9, shares)[0]
            np.testing.assert_allclose(found[f"{chrom}_{i}x"], expected, atol=1e-6)


def test_promoters_are_tiled_from_their_first_base(run):
    run.oracle = ("--oracle", write_model(run))
    found = run.by_gene("first", run("first", "--tile", 5, "--bin_edges=0,0.5,1"))
    for gene in range(20):
        tokens = np.array(encoding.tokens(PROMOTERS[f"P{gene}_1"]))[None]
        edges = [0, int(np.ceil(59 / 2 - 0.5)), 59]
        expected = tiling.tiled(tokens, edges, 0, 5, 9, shares)[0]
        np.testing.assert_allclose(found[f"G{gene}"], expected, atol=1e-6)


def test_tiles_are_64_nt_apart_unless_told(run):
    run.oracle = ("--oracle", write_model(run))
    usual, given = run("genome", "--bin_edges=-60,50"), run("genome", "--bin_edges=-60,50",
                                                         "--tile", 64, out="64.zarr")  # fmt: skip
    assert usual.meta == given.meta and usual.meta["tile"] == 64
    np.testing.assert_array_equal(usual.values, given.values)


@pytest.mark.parametrize(
    ("length", "tss", "message"),
    [
        (None, None, "Only models that read DNA of a fixed length can be tiled: 'shares'"),
        (9, 4, "has one score for a gene, with the TSS at index 4: it cannot be tiled"),
    ],
)
def test_models_that_cannot_be_tiled_are_refused(run, length, tss, message):
    model = write_model(run, length, tss)
    assert message in run.refused("--genome_dir", run.inputs / "genome", "--oracle", model)


def test_a_tile_without_a_model_of_fixed_length_is_refused(run):
    words = ("--genome_dir", run.inputs / "genome", "--tile", 8)
    message = run.refused(*words, "--oracle", "kmers:1+kmers:2")
    assert "--tile applies only to models of fixed length" in message
    assert "8, but the oracle is kmers:1 and kmers:2" in message
    message = run.refused(*words[:-1], 0, "--oracle", write_model(run))
    assert "--tile must be between 1" in message


@pytest.mark.parametrize("others", ["", "kmers:1+"])
def test_classes_replace_the_outputs_of_the_oracle_that_has_them(run, others):
    """The weighted mean of standardised outputs; kmers:1 has A and C, but not `first`."""
    table = write_classes(run, EVEN_CLASSES + "first\tstart\t1\t0\t1\n")
    model, tile = write_model(run), ("--tile", 10)
    run.oracle = ("--oracle", others + model)
    *before, block = run.features("genome", *tile, "--classes", table).blocks
    run.oracle = ("--oracle", model)
    outputs = run("genome", *tile, out="outputs.zarr")
    a, c, first = np.moveaxis(outputs.values, 2, 0)
    assert block.classes == ["pair", "start"]
    pair = (1 * (a - 0.2) / 0.5 - 3 * (c - 0.1) / 0.25) / 4
    np.testing.assert_allclose(block.values, np.stack([pair, first], 2), atol=1e-6)
    assert block.name == f"{outputs.name}, classes c.tsv"
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    assert block.meta["classes_file"] == digest and block.meta["tile"] == 10
    assert block.meta["hash"] != outputs.meta["hash"]
    for other in before:
        assert other.name == "kmers:1" and not {"tile", "classes_file"} & {*other.meta}


@pytest.mark.parametrize(
    ("oracle", "outputs", "message"),
    [
        ("kmers:1+kmers:2", ["AA", "T"], "table of classes: 'none has all 2' (in "),
        ("python+kmers:1", ["A", "C"], "'shares and kmers:1 have all 2' (in "),
        ("kmers:1", ["A", "U"], "names outputs that the model does not have"),
    ],
)
def test_classes_are_of_exactly_one_oracle(run, oracle, outputs, message):
    table = write_classes(run, "output\tclass\n" + "".join(f"{name}\tx\n" for name in outputs))
    spec = oracle.replace("python", write_model(run))
    words = ("--genome_dir", run.inputs / "genome", "--oracle", spec, "--classes", table)
    error = run.refused(*words)
    assert message in error and "c.tsv" in error


@pytest.mark.parametrize("change", ["tile", "weights", "note"])
def test_shards_of_other_tiles_or_classes_are_not_joined(run, change):
    """Also where only the text of the table differs, not what it says."""
    run.oracle = ("--oracle", write_model(run), "--classes", write_classes(run))
    run("genome", "--tile", 8, "--shard", "1/2", out="1.zarr")
    tile = 9 if change == "tile" else 8
    if change == "weights":
        write_classes(run, EVEN_CLASSES.replace("-3", "-2"))
    if change == "note":
        write_classes(run, EVEN_CLASSES.replace("0.25", "0.250"))
    run("genome", "--tile", tile, "--shard", "2/2", out="2.zarr")
    message = run.refused("--join", run.folder / "1.zarr", run.folder / "2.zarr")
    assert "Shards must come from one oracle, window and genome" in message


# --- gene features ----------------------------------------------------------------------------


def test_gene_features_are_a_block_with_medians_where_the_table_has_none(run):
    ids = GENES.read(run.inputs / "genome" / "genes.parquet")["gene_id"]
    path = half_lives(run.folder, missing=5)
    features = run.features("genome", "--gene_features", path)
    block = features.blocks[1]
    assert (block.name, block.classes) == ("table:half_lives.tsv", ["half_life", "GC"])
    assert block.is_table and block.meta["missing"] == {"half_life": 5, "GC": 5}
    table = pd.read_csv(path, sep="\t").set_index("gene_id")["half_life"]
    known = table[table.index.isin(ids)]
    expected = [known.get(gene, known.median()) for gene in ids]
    np.testing.assert_allclose(block.values[:, 0, 0], expected, rtol=1e-6)
    assert block.quantiles.shape == (1, 2, 25)
    out = run.capsys.readouterr().out
    assert "table:half_lives.tsv: 2 gene features" in out
    assert "genes without a value, which get the median: half_life 5, GC 5" in out


def test_annotation_features_need_a_gtf_that_has_them(run):
    message = run.refused("--genome_dir", run.inputs / "genome", "--annotation_features")
    assert "--annotation_features needs transcript and exon rows in the GTF" in message
    assert "genes.gtf" in message
    message = run.refused("--genome_dir", run.inputs / "first", "--annotation_features")
    assert "--annotation_features needs" in message


def test_annotation_features_are_those_of_the_gene_table(run):
    gtf = (run.inputs / "genes.gtf").read_text()
    exon = 'test\texon\t{}\t{}\t.\t+\t.\tgene_id "chr1_0x"; transcript_id "t";\n'
    rows = [f"chr1\t{exon.format(901, 1000)}", f"chr1\t{exon.format(1101, 1300)}"]
    rows.append(rows[0].replace("\texon\t901\t1000", "\ttranscript\t901\t1300"))
    (run.folder / "genes.gtf").write_text(gtf + "".join(rows))
    files = ("--fasta", run.inputs / "genome.fa", "--gtf", run.folder / "genes.gtf")
    ran("genes", "--genome", "g", *files, "--bin_edges=-60,50", "--out", run.folder / "g")
    run.inputs = run.folder
    features = run.features("g", "--annotation_features")
    block = features.blocks[1]
    assert block.name == "annotation:genes.gtf"
    place = {name: j for j, name in enumerate(block.classes)}
    # The only gene with exons gives all medians.
    np.testing.assert_allclose(block.values[:, 0, place["exon_count"]], 2)
    expected = np.log10(1 + 300)
    np.testing.assert_allclose(block.values[:, 0, place["log10_transcript_length"]], expected)
    assert block.meta["missing"] == dict.fromkeys(block.classes, 19)


# --- shards -----------------------------------------------------------------------------------


@pytest.mark.parametrize("genome", ["genome", "mean"])
@pytest.mark.parametrize("n", [3, 23])
def test_joined_shards_equal_the_whole(run, genome, n):
    two = ("--oracle", f"motifs:{run.inputs / 'm.meme'}+kmers:1")
    two += ("--gene_features", half_lives(run.folder, missing=7))
    shards = [run.folder / f"{i}.zarr" for i in range(1, n + 1)]
    for i, shard in enumerate(shards, start=1):
        part = run.features(genome, *two, "--shard", f"{i}/{n}", out=shard.name)
        assert part.shard == (i, n) and all(block.quantiles is None for block in part.blocks)
    ran("featurize", "--join", *shards, "--out", run.folder / "joined.zarr")
    joined, whole = Features.read(run.folder / "joined.zarr"), run.features(genome, *two)
    assert joined.gene_id.tolist() == whole.gene_id.tolist()
    assert joined.about == whole.about and len(whole.blocks) == 3
    for block, other in zip(joined.blocks, whole.blocks, strict=True):
        np.testing.assert_allclose(block.values, other.values, atol=1e-6)
        np.testing.assert_allclose(block.quantiles, other.quantiles, atol=1e-6)


def test_shards_of_different_oracles_are_not_joined(run):
    run("genome", "--shard", "1/2", out="1.zarr")
    run.oracle = ("--oracle", "motifs:core")
    run("genome", "--shard", "2/2", out="2.zarr")
    message = run.refused("--join", run.folder / "1.zarr", run.folder / "2.zarr")
    assert "Shards must come from one oracle, window and genome" in message
    assert "2.zarr" in message


def test_a_shard_is_not_joined_twice(run):
    run("genome", "--shard", "1/2", out="1.zarr")
    assert "must not share genes" in run.refused("--join", *[run.folder / "1.zarr"] * 2)


def test_shards_are_not_joined_where_one_is_missing(run):
    for i in (1, 3):
        run.features("genome", "--shard", f"{i}/3", out=f"{i}.zarr")
    message = run.refused("--join", run.folder / "1.zarr", run.folder / "3.zarr")
    assert "Shards are missing: 'there is no 2/3'" in message


@pytest.mark.parametrize("text", ["1", "0/3", "4/3", "1/0", "a/b", "-1/2", "1/2/3", "1.0/2", ""])
def test_a_shard_is_a_part_of_a_whole(text):
    with pytest.raises(GeneqError, match=rf"--shard must be I/N with 1 ≤ I ≤ N: '{text}'"):
        featurize.parse_shard(text)


# --- failing ----------------------------------------------------------------------------------


def test_an_unknown_oracle_is_refused(run):
    message = run.refused("--genome_dir", run.inputs / "genome", "--oracle", "tarot:weights.pt")
    types = ", ".join(TYPES)
    assert f"TYPE is one of: {types}: 'tarot:weights.pt'" in message


def test_a_gene_table_of_an_earlier_version_is_refused(run):
    shutil.copytree(run.inputs / "genome", run.folder / "old")
    about = read_json(run.folder / "old" / "genes.json")
    del about["gene_features"]
    write_json(about, run.folder / "old" / "genes.json")
    message = run.refused("--genome_dir", run.folder / "old")
    assert "by an earlier version of geneq" in message and "Run `geneq genes` again" in message


def test_a_folder_without_a_genome_is_refused(run):
    assert "File not found" in run.refused("--genome_dir", run.folder / "none")


def test_a_damaged_shard_is_named(run):
    run("genome", out="whole.zarr")
    (run.folder / "whole.zarr" / "zarr.json").write_text("{")
    message = run.refused("--join", run.folder / "whole.zarr")
    assert "Not a folder of features" in message
    assert "whole.zarr" in message

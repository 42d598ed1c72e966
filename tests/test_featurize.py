"""`geneq featurize`: from the gene table and the genome to scores gene × bin × class."""

from pathlib import Path

import numpy as np
import pytest

from geneq import cli
from geneq.artifacts import GENES, Features, read_json
from geneq.errors import GeneqError
from geneq.oracles.meme import families, read_meme
from geneq.stages import featurize
from twins import encoding, kmers
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

    def __call__(self, genome: str, *options, out: str = "features.zarr") -> Features:
        directory = ("--genome_dir", self.inputs / genome)
        ran("featurize", *directory, *self.oracle, *options, "--out", self.folder / out)
        return Features.read(self.folder / out)

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


def by_gene(features: Features) -> dict[str, np.ndarray]:
    return dict(zip(features.gene_id, features.values, strict=True))


# --- windows ----------------------------------------------------------------------------------


def test_features_are_those_of_the_reference(run):
    features = run("genome")
    assert features.values.shape == (20, 4, 4)
    assert [cls[0] for cls in features.classes] == ["A", "B", "G", "C"]
    assert features.classes[2:] == ["GC", "CpG"]
    found = by_gene(features)
    for chrom in CHROMS:
        for i, (tss, strand) in enumerate(PLACES[chrom]):
            window = encoding.window(SEQUENCE[chrom], tss, strand, EDGES[0], EDGES[-1])
            edges = [edge - EDGES[0] for edge in EDGES]
            expected = twin.scores(window[None], run.classes(), edges)[0]
            np.testing.assert_allclose(found[f"{chrom}_{i}x"], expected, atol=1e-4)


def test_a_gene_on_the_other_strand_has_the_same_features(run):
    found = by_gene(run("genome"))
    for i in (0, 1):
        np.testing.assert_allclose(found[f"chr1_{i}x"], found[f"chr2_{i}x"], atol=1e-5)
        assert not np.allclose(found[f"chr1_{i}x"], found[f"chr3_{i}x"], atol=0.1)


def test_rows_are_the_gene_tables_and_say_what_they_come_from(run):
    features = run("genome")
    genes = GENES.read(run.inputs / "genome" / "genes.parquet")
    assert features.gene_id.tolist() == genes["gene_id"].tolist()
    meta = dict(features.meta)
    assert len(meta.pop("oracle_hash")) == 64
    assert meta == {
        "oracle": "motifs:m.meme",
        "strands": "both",
        "mode": "annotation",
        "bin_edges": EDGES,
        "genome": read_json(run.inputs / "genome" / "genes.json")["digest"],
        "window": [-60, 50],
        "tss_index": 60,
        "orientation": "the gene's strand",
    }
    assert "20 genes, 4 bins, 4 classes" in run.capsys.readouterr().out


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
    assert features.meta["oracle_hash"] != run("genome", out="both.zarr").meta["oracle_hash"]
    tail = ["GC", "CpG", "GC_skew", "AT_skew", "CpG_oe"]
    assert features.classes[0].endswith("_sense") and features.classes[-5:] == tail
    found, edges = by_gene(features), [edge - EDGES[0] for edge in EDGES]
    for i, (tss, strand) in enumerate(PLACES["chr1"]):
        window = encoding.window(SEQUENCE["chr1"], tss, strand, EDGES[0], EDGES[-1])
        expected = twin.split_scores(window[None], run.classes(), edges)[0]
        np.testing.assert_allclose(found[f"chr1_{i}x"], expected, atol=1e-4)


@pytest.mark.parametrize("strands", ["auto", "both", "split"])
def test_kmers_of_windows_on_the_genes_strand(run, strands):
    run.oracle = ("--oracle", "kmers:2", "--strands", strands)
    features, canonical = run("genome"), strands == "both"
    assert features.classes == kmers.classes(2, canonical)
    assert (features.meta["oracle"], features.meta["strands"]) == (
        "kmers:2", "both" if canonical else "split",
    )  # fmt: skip
    found, edges = by_gene(features), [edge - EDGES[0] for edge in EDGES]
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
    features = run("first")
    assert features.values.shape == (20, 3, 4)
    found = by_gene(features)
    for gene in range(20):
        np.testing.assert_allclose(found[f"G{gene}"], scored(run, f"P{gene}_1"), atol=1e-4)
    assert features.meta["window"] is None
    assert features.meta["tss_index"] is None
    assert features.meta["bin_edges"] == [0, 1 / 3, 2 / 3, 1]
    assert features.meta["promoter_choice"] == "first"


@pytest.mark.parametrize("choice", ["mean", "max"])
def test_scores_of_several_promoters_are_pooled(run, choice):
    features = run(choice)
    assert features.meta["promoter_choice"] == choice
    found = by_gene(features)
    for gene in range(20):
        each = [scored(run, f"P{gene}_{number}") for number in (1, 2, 3)]
        np.testing.assert_allclose(found[f"G{gene}"], getattr(np, choice)(each, 0), atol=1e-4)


def test_a_promoter_shorter_than_a_motif_is_refused(run):
    write_meme(run.folder / "wide.meme", {**CONSENSUS, "wide": "ACGT" * 15})
    oracle = ("--oracle", f"motifs:{run.folder / 'wide.meme'}")
    message = run.refused("--genome_dir", run.inputs / "mean", *oracle)
    assert "Sequences must be at least as long as the longest motif (60 nt): 57. Remove" in message


# --- shards -----------------------------------------------------------------------------------


@pytest.mark.parametrize("genome", ["genome", "mean"])
@pytest.mark.parametrize("n", [3, 23])
def test_joined_shards_equal_the_whole(run, genome, n):
    shards = [run.folder / f"{i}.zarr" for i in range(1, n + 1)]
    for i, shard in enumerate(shards, start=1):
        run(genome, "--shard", f"{i}/{n}", out=shard.name)
    ran("featurize", "--join", *shards, "--out", run.folder / "joined.zarr")
    joined, whole = Features.read(run.folder / "joined.zarr"), run(genome)
    np.testing.assert_allclose(joined.values, whole.values, atol=1e-6)
    assert joined.gene_id.tolist() == whole.gene_id.tolist()
    assert (joined.classes, joined.meta) == (whole.classes, whole.meta)


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
        run("genome", "--shard", f"{i}/3", out=f"{i}.zarr")
    message = run.refused("--join", run.folder / "1.zarr", run.folder / "3.zarr")
    assert "Shards are missing: 'there is no 2/3'" in message


@pytest.mark.parametrize("text", ["1", "0/3", "4/3", "1/0", "a/b", "-1/2", "1/2/3", "1.0/2", ""])
def test_a_shard_is_a_part_of_a_whole(text):
    with pytest.raises(GeneqError, match=rf"--shard must be I/N with 1 ≤ I ≤ N: '{text}'"):
        featurize.parse_shard(text)


# --- failing ----------------------------------------------------------------------------------


def test_an_unknown_oracle_is_refused(run):
    message = run.refused("--genome_dir", run.inputs / "genome", "--oracle", "sei:weights.pt")
    types = "motifs, kmers, equation, keras, deepstarr, xpresso, torchscript, python"
    assert f"TYPE is one of: {types}: 'sei:weights.pt'" in message


def test_a_folder_without_a_genome_is_refused(run):
    assert "File not found" in run.refused("--genome_dir", run.folder / "none")


def test_a_damaged_shard_is_named(run):
    run("genome", out="whole.zarr")
    (run.folder / "whole.zarr" / "zarr.json").write_text("{")
    message = run.refused("--join", run.folder / "whole.zarr")
    assert "Not a folder of features" in message
    assert "whole.zarr" in message

"""Equations over features of deep models score DNA, by the models that the user names."""

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from geneq import load_equation
from geneq.artifacts import ATTRIBUTIONS, EXPRESSION_EFFECTS, GENES, VARIANTS, read_json
from geneq.equations import about_features
from geneq.errors import GeneqError
from geneq.features import Block, Features
from geneq.genome import Genome
from geneq.libraries import SaturationLibrary
from geneq.locus import open_loci
from geneq.mave import Mave
from geneq.oracles import load_oracle, named_oracles
from geneq.oracles.blocks import NamedOracles
from geneq.oracles.network import NetworkOracle
from geneq.oracles.sei import open_sei
from geneq.oracles.windows import announce_windows
from geneq.stages.featurize import featurize
from test_deepbind import ARCHIVE, make_nets, write_folder
from test_expression_effects import write_vcf
from test_featurize import PLACES, SEQUENCE, geneq, ran, write_inputs
from twins import encoding, tiling
from twins import sei as narrow

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTH, TILE = 24, 16
EDGES = [-64, -16, 0, 48]
# What a tile at the first or last centre reads.
WINDOW = (EDGES[0] - LENGTH // 2, EDGES[-1] + LENGTH // 2)
# Two classes of the outputs of the synthetic DeepBind networks.
CLASSES = "output\tclass\nGATA1_D1.001\tGATA\nGATA1_D1.002\tGATA\nSP1\tSP\nCTCF\tCTCF\n"


class Net(nn.Module):
    """Three outputs of 24 bases."""

    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(
            nn.Conv1d(4, 5, 7, padding=3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * LENGTH, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def write_net(path: Path, seed: int = 0) -> Path:
    about = json.dumps({"length": LENGTH, "targets": ["a", "b", "c"]})
    torch.jit.save(torch.jit.script(Net(seed)), path, {"geneq.json": about})
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A genome, and for each model features NAME.zarr and two equations in NAME/equations/."""
    folder = tmp_path_factory.mktemp("deep_equations")
    write_inputs(folder)
    write_net(folder / "net.pt")
    write_folder(folder / "db", make_nets())
    (folder / "c.tsv").write_text(CLASSES)
    edges = f"--bin_edges={','.join(map(str, EDGES))}"
    files = ("--fasta", folder / "genome.fa", "--gtf", folder / "genes.gtf")
    ran("genes", "--genome", "g", *files, edges, "--out", folder / "genome")
    files = ("--promoters", folder / "promoters.fa")
    ran("genes", "--genome", "p", *files, "--out", folder / "promoters")
    for name, options in models(folder).items():
        directory = ("--genome_dir", folder / ("promoters" if name == "promoters" else "genome"))
        ran("featurize", *directory, *options, "--out", folder / f"{name}.zarr")
        features = Features.read(folder / f"{name}.zarr")
        (folder / name / "equations").mkdir(parents=True)
        for i in range(2):
            text = json.dumps(document(features, i))
            (folder / name / "equations" / f"{i}.json").write_text(text)
    return folder


def models(folder: Path) -> dict[str, tuple]:
    """Options of `geneq featurize`."""
    net, deepbind = f"torchscript:{folder / 'net.pt'}", f"deepbind:{folder / 'db'}"
    classes = ("--classes", folder / "c.tsv")
    return {
        "tiled": ("--oracle", f"{net}+kmers:1", "--tile", TILE),
        "windows": ("--oracle", deepbind, *classes),
        "promoters": ("--oracle", net, "--tile", 8),
    }


def named(folder: Path, name: str = "tiled") -> tuple:
    """The same models as options of the commands that open equations."""
    option = {"--oracle": "--equation_oracles", "--classes": "--equation_classes"}
    words = [option.get(word, word) for word in models(folder)[name]]
    return tuple(words[: words.index("--tile")] if "--tile" in words else words)


def opened(folder: Path, name: str, i: int = 0):
    spec, *classes = named(folder, name)[1::2]
    equation = f"equation:{folder / name / 'equations' / f'{i}.json'}"
    return load_oracle(equation, named=named_oracles(spec, *classes))


def document(features: Features, i: int = 0) -> dict:
    """An equation over three columns of the first block and one of the last."""
    rng = np.random.default_rng(i)
    first, last = features.blocks[0], len(features.blocks) - 1
    columns = [(0, b, name) for b, name in enumerate(first.classes[:3])]
    columns.append((last, 0, features.blocks[last].classes[-1]))
    variables = [
        {
            "name": f"z{k}",
            "class": name,
            "offset": 0.1,
            "weights": [{"block": block, "bin": b, "class": name, "weight": 3 * rng.normal()}],
            "range": [-1, 1],
        }
        for k, (block, b, name) in enumerate(columns)
    ]
    return {
        "format": "geneq-equation",
        "version": 3,
        "cell_type": f"type {i}",
        "selected": True,
        **about_features(features, "raw", variables),
        "variables": variables,
        "expression": "c0 + c1*z0*exp(c2*z1) + z2 + z3",
        "constants": {"c0": 5.0, "c1": 0.5, "c2": -0.3},
        "infix": "",
    }


# --- scores -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiled", "windows"])
def test_genes_score_as_from_their_features(made, name):
    oracle, features = opened(made, name), Features.read(made / f"{name}.zarr")
    genes = GENES.read(made / "genome" / "genes.parquet")
    tokens = Genome(made / "genome").windows_of(genes, *oracle.window)
    expected = load_equation(made / name / "equations/0.json").predict(features)
    assert expected.std() > 0.05 and set(genes["strand"]) == {"+", "-"}
    np.testing.assert_allclose(oracle.predict(tokens, oracle.tss)[:, 0], expected, atol=1e-5)
    # Tiles read beyond the first and the last edge, windows of DeepBind do not.
    assert oracle.window == (WINDOW if name == "tiled" else (EDGES[0], EDGES[-1]))


def test_promoters_of_any_length_score_as_from_their_features(made):
    oracle, features = opened(made, "promoters"), Features.read(made / "promoters.zarr")
    records = GENES.read(made / "promoters" / "genes.parquet")["records"].str.split(" ").str[0]
    genome = Genome(made / "promoters")
    found = [oracle.predict(genome.record(record)[None])[0, 0] for record in records]
    expected = load_equation(made / "promoters/equations/0.json").predict(features)
    assert oracle.length is None and expected.std() > 0.05
    np.testing.assert_allclose(found, expected, atol=1e-5)


def by_hand(made: Path, tokens: np.ndarray, i: int = 0) -> np.ndarray:
    """The equation over the network's score of every tile of every sequence."""
    net, edges = load_oracle(f"torchscript:{made / 'net.pt'}"), np.subtract(EDGES, WINDOW[0])

    def one(row) -> list[float]:
        return net.predict(np.array(row, np.uint8)[None])[0].tolist()

    tiled = tiling.tiled(tokens, edges, -WINDOW[0], TILE, LENGTH, one)
    features, blocks = Features.read(made / "tiled.zarr"), []
    kmers = load_oracle("kmers:1").predict_bins(tokens[:, edges[0] : edges[-1]], edges - edges[0])
    for block, scores in zip(features.blocks, (tiled, kmers), strict=True):
        blocks.append(Block(block.name, np.asarray(scores, np.float32), block.classes, block.meta))
    equation = load_equation(made / f"tiled/equations/{i}.json")
    return equation.predict(Features(np.arange(len(tokens)), blocks, {}))


def counting(monkeypatch) -> Callable[[], int]:
    """How many windows networks have scored since."""
    seen, predict = [0], NetworkOracle.predict

    def counted(self, tokens, anchor=None):
        seen[0] += len(tokens)
        return predict(self, tokens, anchor)

    monkeypatch.setattr(NetworkOracle, "predict", counted)
    return lambda: seen[0]


def locus(made: Path, start: int = 0) -> str:
    """What the equation reads of the gene on the + strand of chr1."""
    tss = PLACES["chr1"][0][0]
    return SEQUENCE["chr1"][tss + WINDOW[0] : tss + WINDOW[1]].replace("N", "A")


def test_only_tiles_that_a_mutation_reaches_are_scored(made, monkeypatch):
    library = SaturationLibrary(locus(made))
    tokens = library.tokens()
    expected, seen = by_hand(made, tokens), counting(monkeypatch)
    oracle = opened(made, "tiled")
    before, opening = oracle.windows(tokens), seen()
    np.testing.assert_allclose(oracle.predict(tokens)[:, 0], expected, atol=1e-5)
    assert np.ptp(expected) > 0.1
    tiles = (EDGES[-1] - EDGES[0]) // TILE
    # 24 nt at every 16: a base is in one or two tiles.
    reached = tiles + sum(
        3 * sum(0 <= position - TILE * tile < LENGTH for tile in range(tiles))
        for position in range(len(locus(made)))
    )
    assert seen() - opening == before == reached
    assert reached < len(tokens) * tiles / 3


@pytest.mark.parametrize("name", ["tiled", "windows"])
def test_batches_change_nothing(made, monkeypatch, name):
    tokens = np.random.default_rng(1).integers(0, 5, (9, opened(made, name).length), np.uint8)
    oracle = opened(made, name)
    expected = oracle.predict(tokens)
    monkeypatch.setattr("geneq.oracles.equation.BATCH", 2)
    monkeypatch.setattr("geneq.oracles.tiling.BATCH_BYTES", 1)
    monkeypatch.setattr("geneq.oracles.classes.BATCH_SCORES", 1)
    np.testing.assert_allclose(oracle.predict(tokens), expected, atol=1e-6)
    assert oracle.predict(tokens[:0]).shape == (0, 1)


def test_only_networks_of_the_equations_classes_are_computed(made, tmp_path):
    about = read_json(made / "windows/equations/0.json")
    about["expression"] = "c0 + z1"
    (tmp_path / "0.json").write_text(json.dumps(about))
    models = named_oracles(f"deepbind:{made / 'db'}", made / "c.tsv")
    oracle = load_oracle(f"equation:{tmp_path / '0.json'}", named=models)
    (reader,) = oracle._readers
    assert reader.oracle.targets == [about["variables"][1]["class"]] == ["SP"]
    assert reader.oracle._binned.targets == ["SP1"]
    tokens = np.random.default_rng(2).integers(0, 4, (6, oracle.length), np.uint8)
    whole = load_oracle(f"deepbind:{made / 'db'}").predict_bins(tokens, np.subtract(EDGES, -64))
    column = load_oracle(f"deepbind:{made / 'db'}").targets.index("SP1")
    (weight,) = about["variables"][1]["weights"]
    expected = 5.1 + weight["weight"] * whole[:, weight["bin"], column]
    np.testing.assert_allclose(oracle.predict(tokens)[:, 0], expected, atol=1e-5)


def test_a_narrow_sei_scores_as_its_features(made, tmp_path):
    folder = narrow.write_folder(tmp_path)
    sei = open_sei(str(folder), narrow.WIDTH)
    features = featurize(made / "genome", [sei], shard=(1, 5), tile=16)
    (tmp_path / "0.json").write_text(json.dumps(document(features)))
    models = NamedOracles(["sei:here"], None, lambda name, strands: sei)
    oracle = load_oracle(f"equation:{tmp_path / '0.json'}", named=models)
    assert oracle.window == (EDGES[0] - 2048, EDGES[-1] + 2048) and oracle.build == "GRCh38"
    genes = GENES.read(made / "genome" / "genes.parquet").iloc[: len(features.gene_id)]
    tokens = Genome(made / "genome").windows_of(genes, *oracle.window)
    expected = load_equation(tmp_path / "0.json").predict(features)
    np.testing.assert_allclose(oracle.predict(tokens)[:, 0], expected, atol=1e-4)
    # Every tile reads nearly all of the window: a mutation in its middle reaches all 7.
    changed = np.repeat(tokens[:1], 2, axis=0)
    changed[1, oracle.tss] = (changed[0, oracle.tss] + 1) % 4
    assert (oracle.windows(tokens[:1]), oracle.windows(changed)) == (7, 14)


# --- what is refused --------------------------------------------------------------------------


def test_a_model_that_is_not_named_is_not_opened(made, tmp_path, monkeypatch):
    """Also where the document's name would lead to it."""
    monkeypatch.chdir(made)
    for name, block in (("tiled", "torchscript:net.pt"), ("windows", "deepbind:db, classes c.tsv")):
        with pytest.raises(GeneqError, match=f"none is opened .*'block {block}'") as error:
            load_oracle(f"equation:{made / name / 'equations/0.json'}")
        assert "--equation_oracles" in error.value.fix
    named = named_oracles(f"deepbind:{made / 'db'}")
    with pytest.raises(GeneqError, match="needs the table of classes") as error:
        load_oracle(f"equation:{made / 'windows/equations/0.json'}", named=named)
    assert "--equation_classes" in error.value.fix


def test_another_model_is_refused_by_its_hash(made, tmp_path):
    other = write_net(tmp_path / "net.pt", seed=1)
    equation = f"equation:{made / 'tiled/equations/0.json'}"
    with pytest.raises(GeneqError, match="None of the oracles of --equation_oracles") as error:
        load_oracle(equation, named=named_oracles(f"torchscript:{other}"))
    assert str(other) in error.value.value and "block torchscript:net.pt" in error.value.value
    nets = make_nets()
    nets["D3.001"]["thresholds"] += 1
    write_folder(tmp_path / "db", nets)
    for spec, table in (
        (f"deepbind:{tmp_path / 'db'}", CLASSES),
        (f"deepbind:{made / 'db'}", CLASSES + "CTCF\tSP\n"),
        (f"deepbind:{made / 'db'}:SELEX", CLASSES),
        ("kmers:2", CLASSES),
    ):
        (tmp_path / "c.tsv").write_text(table)
        with pytest.raises(GeneqError, match="None of the oracles of --equation_oracles"):
            load_oracle(
                f"equation:{made / 'windows/equations/0.json'}",
                named=named_oracles(spec, tmp_path / "c.tsv"),
            )


def test_of_several_oracles_the_one_with_the_hash_is_taken(made, tmp_path):
    """Whatever its file is called now."""
    other = write_net(tmp_path / "net.pt", seed=1)
    renamed = shutil.copy(made / "net.pt", tmp_path / "renamed.pt")
    names = named_oracles(f"torchscript:{other}+kmers:3+torchscript:{renamed}")
    oracle = load_oracle(f"equation:{made / 'tiled/equations/0.json'}", named=names)
    tokens = np.random.default_rng(3).integers(0, 4, (3, oracle.length), np.uint8)
    np.testing.assert_allclose(oracle.predict(tokens)[:, 0], by_hand(made, tokens), atol=1e-5)


def test_a_motif_file_may_be_named_too(made, tmp_path):
    ran("featurize", "--genome_dir", made / "genome", "--oracle", f"motifs:{made / 'm.meme'}",
        "--max_classes", 4, "--out", tmp_path / "f.zarr")  # fmt: skip
    (tmp_path / "0.json").write_text(json.dumps(document(Features.read(tmp_path / "f.zarr"))))
    with pytest.raises(GeneqError, match=r"needs the motif file m\.meme.*--equation_oracles"):
        load_oracle(f"equation:{tmp_path / '0.json'}")
    named = named_oracles(f"motifs:{made / 'm.meme'}")
    assert load_oracle(f"equation:{tmp_path / '0.json'}", named=named).targets == ["type 0"]


def test_windows_are_counted_and_timed_first(capsys):
    scored = []
    announce_windows("eq", 1000, 1000, scored.append, lambda k: 2 * k, 8)
    assert "eq: 1,000 windows of deep models," in capsys.readouterr().err
    assert scored == [1, 1, 2, 4, 8], "the first, which may open a library, is not timed"
    with pytest.raises(GeneqError, match=r"--max_windows 999 allows: '1,000 windows'.* 1000 or"):
        announce_windows("eq", 1000, 999, scored.append, lambda k: k, 8)
    assert len(scored) == 5


# --- commands ---------------------------------------------------------------------------------


def test_score_asks_for_the_models_and_keeps_to_max_windows(made, tmp_path, capsys):
    (tmp_path / "r.json").write_text(SaturationLibrary(locus(made)).to_json())
    equation = ("--oracle", f"equation:{made / 'tiled/equations/0.json'}")
    words = ("score", "--recipe", tmp_path / "r.json", "--out", tmp_path / "out")
    assert geneq(*words, *equation) == 1
    assert "Name it with --equation_oracles" in capsys.readouterr().err
    assert geneq(*words, *equation, *named(made), "--max_windows", 500) == 1
    message = capsys.readouterr().err
    windows = opened(made, "tiled").windows(SaturationLibrary(locus(made)).tokens())
    assert f"--max_windows 500 allows: '{windows:,} windows'" in message
    assert f"set --max_windows {windows} or more" in message and not (tmp_path / "out").exists()
    assert geneq(*words, "--oracle", "kmers:2", *named(made)) == 1
    assert "only where an equation scores" in capsys.readouterr().err
    assert geneq(*words, *equation, "--equation_classes", made / "c.tsv") == 1
    assert "--equation_classes needs --equation_oracles" in capsys.readouterr().err
    ran(*words, *equation, *named(made), "--max_windows", windows)
    assert f"{windows:,} windows of deep models" in capsys.readouterr().err
    mave = Mave.load(tmp_path / "out" / "mave.parquet")
    expected = by_hand(made, SaturationLibrary(locus(made)).tokens())
    np.testing.assert_allclose(mave.y[:, 0], expected, atol=1e-5)

    files = ("--mave", tmp_path / "out/mave.parquet", "--methods", "ism", "--out", tmp_path / "a")
    assert geneq("attribute", *files, *equation, *named(made), "--max_windows", 500) == 1
    assert "--max_windows 500 allows" in capsys.readouterr().err
    ran("attribute", *files, *equation, *named(made))
    effects = ATTRIBUTIONS.read(tmp_path / "a" / "attributions.parquet")
    changed = effects[effects["wild"] != effects["symbol"]]["effect"]
    assert np.sort(changed) == pytest.approx(np.sort(expected[1:] - expected[0]), abs=1e-5)


def around(chrom: str, tss: int) -> list[int]:
    """Positions in what is read of a gene, every seventh, without N."""
    places = range(tss + WINDOW[0], tss + WINDOW[1], 7)
    return [place for place in places if "N" not in SEQUENCE[chrom][place - 8 : place + 8]]


def test_loci_are_scored_fitted_and_their_variants_have_effects(made, tmp_path, capsys):
    tss, equation = PLACES["chr1"][0][0], f"equation:{made / 'tiled/equations/1.json'}"
    start, end = tss + WINDOW[0], tss + WINDOW[1]
    (tmp_path / "loci.csv").write_text(
        "locus,chrom,start,end,strand,oracle,n,window_start,window_end\n"
        f"one,chr1,{start},{end},+,{equation},300,{tss - 8},{tss + 8}\n"
    )
    inputs = ("--loci", tmp_path / "loci.csv", "--genome", made / "genome")
    ran("score", *inputs, *named(made), "--out", tmp_path / "score")
    assert "windows of deep models" in capsys.readouterr().err
    mave = Mave.load(tmp_path / "score/one/mave.parquet")
    (one,) = open_loci(tmp_path / "loci.csv")
    library = one.recipe(Genome(made / "genome")).tokens()
    np.testing.assert_allclose(mave.y[:, 0], by_hand(made, library, 1), atol=1e-5)
    ran("surrogate", "--scores", tmp_path / "score", "--out", tmp_path / "fit")

    rows = [("chr1", at + 1, f"v{at}", SEQUENCE["chr1"][at], other(SEQUENCE["chr1"][at]))
            for at in around("chr1", tss)]  # fmt: skip
    vcf = ("--vcf", write_vcf(tmp_path / "v.vcf", rows), "--genome", made / "genome")
    words = ("variants", *vcf, "--surrogates", tmp_path / "fit", "--methods", "oracle", "ism")
    ran(*words, *named(made), "--out", tmp_path / "out")
    table = VARIANTS.read(tmp_path / "out/variants.parquet")
    assert set(table["id"]) == {row[2] for row in rows} and len(rows) > 5
    for _, pos, name, _, alt in rows:
        alleles = np.stack([encoding.tokens(text) for text in alleles_of(pos, alt, start, end)])
        before, after = by_hand(made, alleles, 1)
        found = table.loc[table["id"] == name, "effect"]
        assert found.to_numpy() == pytest.approx([after - before] * 2, abs=1e-5)
    assert geneq(*words, "--out", tmp_path / "none") == 0
    assert "--equation_oracles" in (tmp_path / "none/failed.tsv").read_text()
    assert geneq(*words, *named(made), "--max_windows", 9, "--out", tmp_path / "few") == 0
    assert "--max_windows 9 allows" in (tmp_path / "few/failed.tsv").read_text()


def other(base: str) -> str:
    return "ACGT"["ACGT".index(base) - 1]


def alleles_of(pos: int, alt: str, start: int, end: int) -> tuple[str, str]:
    text = SEQUENCE["chr1"]
    return text[start:end], (text[: pos - 1] + alt + text[pos:])[start:end]


@pytest.fixture(scope="module", params=["tiled", "windows"])
def effects(made, request, tmp_path_factory) -> tuple[str, pd.DataFrame]:
    """Effects on expression of substitutions, insertions and deletions."""
    folder, name = tmp_path_factory.mktemp("effects"), request.param
    rows = []
    for chrom in ("chr1", "chr3"):
        for at in (at for tss, _ in PLACES[chrom] for at in around(chrom, tss)):
            base, pair = SEQUENCE[chrom][at], SEQUENCE[chrom][at : at + 2]
            rows.append((chrom, at + 1, "s", base, other(base)))
            if at % 2:
                rows.append((chrom, at + 1, "i", base, base + "GAT"))
            else:
                rows.append((chrom, at + 1, "d", pair, base))
    vcf = write_vcf(folder / "v.vcf", rows)
    words = ("--genome", made / "genome", "--features", made / f"{name}.zarr")
    words += ("--equations", made / name, *named(made, name))
    ran("background", *words, "--n", 200, "--out", folder / "background")
    ran("variants", "--vcf", vcf, *words, "--background", folder / "background",
        "--out", folder / "out")  # fmt: skip
    return name, EXPRESSION_EFFECTS.read(folder / "out/expression_effects.parquet")


def test_effects_on_expression_are_those_of_edited_genomes(made, effects, tmp_path):
    """Every variant alone is written into the genome, whose genes are featurized from scratch."""
    name, table = effects
    assert len(table) > 100 and table["percentile"].between(0, 100).all()
    assert table.groupby("id")["effect"].std().min() > 0.01
    oracle = opened(made, name)
    genes = GENES.read(made / "genome/genes.parquet").set_index("gene_id")
    for (chrom, pos, ref, alt, gene), group in table.groupby(
        ["chrom", "pos", "ref", "alt", "gene_id"]
    ):
        tss, strand = genes.loc[gene, ["tss", "strand"]]
        before = window(SEQUENCE[chrom], tss, strand, oracle.window)
        after = window(*edited(chrom, pos, ref, alt, tss), strand, oracle.window)
        for i in range(2):
            scores = opened_once(made, name, i).predict(np.stack([before, after]))[:, 0]
            found = group.loc[group["cell_type"] == f"type {i}", "effect"]
            assert found.item() == pytest.approx(scores[1] - scores[0], abs=2e-5)


OPENED: dict = {}


def opened_once(made: Path, name: str, i: int):
    return OPENED.setdefault((made, name, i), opened(made, name, i))


def edited(chrom: str, pos: int, ref: str, alt: str, tss: int) -> tuple[str, int]:
    """The chromosome with the variant, in its leftmost spelling, and where the TSS is then."""
    text, start = SEQUENCE[chrom], pos - 1
    while ref and alt and ref[0] == alt[0]:
        ref, alt, start = ref[1:], alt[1:], start + 1
    while bool(ref) != bool(alt) and text[start - 1] == (ref + alt)[-1]:
        start, ref, alt = start - 1, (text[start - 1] + ref)[:-1], (text[start - 1] + alt)[:-1]
        ref, alt = (ref, "") if len(ref) > len(alt) else ("", alt)
    moved = tss + len(alt) - len(ref) if start + len(ref) <= tss else tss
    return text[:start] + alt + text[start + len(ref) :], moved


def window(text: str, tss: int, strand: str, part: tuple[int, int]) -> np.ndarray:
    return np.asarray(encoding.window(text, tss, strand, *part), np.uint8)


def test_only_tiles_that_variants_reach_are_scored(made, monkeypatch, tmp_path, capsys):
    tss = PLACES["chr1"][0][0]
    at = next(at for at in around("chr1", tss) if abs(at - tss) < 20)
    row = ("chr1", at + 1, "v", SEQUENCE["chr1"][at], other(SEQUENCE["chr1"][at]))
    words = ("variants", "--vcf", write_vcf(tmp_path / "v.vcf", [row]))
    words += ("--genome", made / "genome", "--equations", made / "tiled")
    words += ("--features", made / "tiled.zarr", *named(made))
    tiles = sum(0 <= at - (tss + EDGES[0] - LENGTH // 2) - TILE * i < LENGTH for i in range(7))
    assert geneq(*words, "--max_windows", 1, "--out", tmp_path / "few") == 1
    assert f"--max_windows 1 allows: '{2 * tiles} windows'" in capsys.readouterr().err
    assert not (tmp_path / "few").exists()
    seen = counting(monkeypatch)
    ran(*words, "--out", tmp_path / "out")
    # For the expected time, twice, and for the effect; and twice Ns when the model was opened.
    assert seen() == 3 * 2 * tiles + 2
    assert geneq("background", *words[3:], "--max_windows", 9, "--out", tmp_path / "b") == 1
    assert "--max_windows 9 allows" in capsys.readouterr().err


def test_variants_ask_for_the_models(made, tmp_path, capsys):
    vcf = write_vcf(tmp_path / "v.vcf", [("chr1", 900, "v", "A", "C")])
    words = ("--genome", made / "genome", "--equations", made / "tiled")
    words += ("--features", made / "tiled.zarr")
    assert geneq("variants", "--vcf", vcf, *words, "--out", tmp_path / "out") == 1
    assert "Name it with --equation_oracles" in capsys.readouterr().err
    write_net(tmp_path / "net.pt", seed=1)
    wrong = ("--equation_oracles", f"torchscript:{tmp_path / 'net.pt'}")
    assert geneq("variants", "--vcf", vcf, *words, *wrong, "--out", tmp_path / "out") == 1
    assert "None of the oracles of --equation_oracles" in capsys.readouterr().err


# --- published networks -----------------------------------------------------------------------


@pytest.mark.skipif(not ARCHIVE.exists(), reason="no parameters of DeepBind")
def test_published_deepbind_networks_score_dna(made, tmp_path):
    """Classes that `geneq classes` learns of all GATA and Ets networks."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = (path.parent for path in tmp_path.rglob("db.tsv"))
    spec = ("--oracle", f"deepbind:{folder}:GATA,Ets,SELEX")
    genome, table = ("--genome_dir", made / "genome"), tmp_path / "classes.tsv"
    ran("classes", *genome, *spec, "--max_classes", 3, "--out", table)
    ran("featurize", *genome, *spec, "--classes", table, "--out", tmp_path / "f.zarr")
    features = Features.read(tmp_path / "f.zarr")
    (tmp_path / "0.json").write_text(json.dumps(document(features)))
    oracle = load_oracle(f"equation:{tmp_path / '0.json'}", named=named_oracles(spec[1], table))
    genes = GENES.read(made / "genome/genes.parquet")
    tokens = Genome(made / "genome").windows_of(genes, *oracle.window)
    expected = load_equation(tmp_path / "0.json").predict(features)
    assert expected.std() > 0.05
    np.testing.assert_allclose(oracle.predict(tokens)[:, 0], expected, atol=1e-4)
    # A saturation library: each sequence differs from the others in one of three bins.
    library = SaturationLibrary(encoding.decode(np.where(tokens[0] == 4, 0, tokens[0])))
    rows = library.tokens()
    alone = np.concatenate([oracle.predict(row[None]) for row in rows[::9]])
    np.testing.assert_allclose(oracle.predict(rows)[::9], alone, atol=1e-5)
    assert oracle.windows(rows) == len(rows) + 2

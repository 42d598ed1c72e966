"""A distilled equation as an oracle: it scores DNA as it scored the genes it was made from."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from geneq import surrogates
from geneq.artifacts import GENES, VARIANTS
from geneq.equations import Equation, about_features
from geneq.errors import GeneqError
from geneq.features import Block, Features
from geneq.genome import Genome
from geneq.libraries import RandomLibrary
from geneq.locus import open_loci
from geneq.oracles import load_oracle
from geneq.oracles.scoring import score
from test_featurize import CONSENSUS, EDGES, SEQUENCE, geneq, ran, write_inputs, write_meme
from twins import encoding

RNG = np.random.default_rng(31)
EXPRESSION = "c0 + c1*z_A*exp(c2*z_B) + z_GC"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Genes of an annotation (genome/) and of promoters (promoters/), features/ of both by m.meme,
    and an equation of each beside that file."""
    folder = tmp_path_factory.mktemp("equation")
    write_inputs(folder)
    edges = f"--bin_edges={','.join(map(str, EDGES))}"
    files = ("--fasta", folder / "genome.fa", "--gtf", folder / "genes.gtf", edges)
    ran("genes", "--genome", "g", *files, "--out", folder / "genome")
    files = ("--promoters", folder / "promoters.fa")
    ran("genes", "--genome", "p", *files, "--out", folder / "promoters")
    for name in ("genome", "promoters"):
        oracle = ("--oracle", f"motifs:{folder / 'm.meme'}", "--max_classes", 4)
        features = folder / f"{name}.zarr"
        ran("featurize", "--genome_dir", folder / name, *oracle, "--out", features)
        (folder / f"{name}.json").write_text(json.dumps(document(Features.read(features))))
    return folder


def document(features: Features) -> dict:
    """What distill would write of an equation over two of the motif classes and GC."""
    block = features.blocks[0]
    names = dict(zip(["z_A", "z_B", "z_GC"], block.classes, strict=False))
    variables = [
        {
            "name": name,
            "class": label,
            "offset": 0.1,
            "weights": [
                {"block": 0, "bin": b, "class": label, "weight": float(weight)}
                for b, weight in enumerate(RNG.normal(0, 0.3, block.values.shape[1]))
            ],
            "range": [-1, 1],
        }
        for name, label in names.items()
    ]
    return {
        "format": "geneq-equation",
        "version": 3,
        "cell_type": "T cell",
        "selected": True,
        **about_features(features, "raw", variables),
        "variables": variables,
        "expression": EXPRESSION,
        "constants": {"c0": 5.0, "c1": 0.5, "c2": -0.3},
        "infix": "",
    }


# Oracle, --strands, classes.
BY_STRAND = [("motifs", "split", 9), ("kmers:3", "split", 64), ("kmers:3", "both", 32)]


@pytest.fixture(scope="module", params=BY_STRAND, ids=lambda given: "-".join(map(str, given[:2])))
def stranded(made, request, tmp_path_factory) -> Path:
    """genome.zarr and promoters.zarr by one of BY_STRAND, and an equation of each."""
    (spec, strands, classes), folder = request.param, tmp_path_factory.mktemp("stranded")
    (folder / "m.meme").write_text((made / "m.meme").read_text())
    spec = f"motifs:{folder / 'm.meme'}" if spec == "motifs" else spec
    for name in ("genome", "promoters"):
        path = folder / f"{name}.zarr"
        options = ("--oracle", spec, "--strands", strands, "--max_classes", 4)
        ran("featurize", "--genome_dir", made / name, *options, "--out", path)
        features = Features.read(path)
        assert len(features.blocks[0].classes) == classes
        (folder / f"{name}.json").write_text(json.dumps(document(features)))
    return folder


def changed(made: Path, folder: Path, **changes) -> str:
    """The equation of the annotation with other entries, the motif file beside it."""
    text = {**json.loads((made / "genome.json").read_text()), **changes}
    (folder / "0.json").write_text(json.dumps({k: v for k, v in text.items() if v is not ...}))
    if not (folder / "m.meme").exists():
        (folder / "m.meme").write_text((made / "m.meme").read_text())
    return f"equation:{folder / '0.json'}"


def test_genes_score_as_from_their_features(made):
    features = Features.read(made / "genome.zarr")
    genes = GENES.read(made / "genome" / "genes.parquet")
    columns = (genes[name].to_numpy() for name in ("chrom", "tss", "strand"))
    tokens = Genome(made / "genome").windows(*columns, EDGES[0], EDGES[-1])
    oracle = load_oracle(f"equation:{made / 'genome.json'}")
    expected = Equation.load(made / "genome.json").predict(features)
    assert set(genes["strand"]) == {"+", "-"} and expected.std() > 0.05
    np.testing.assert_allclose(oracle.predict(tokens, anchor=60)[:, 0], expected, rtol=1e-5)
    assert (oracle.length, oracle.tss, oracle.targets) == (110, 60, ["T cell"])


def test_promoters_of_any_length_score_as_from_their_features(made):
    features = Features.read(made / "promoters.zarr")
    genes = GENES.read(made / "promoters" / "genes.parquet")
    genome = Genome(made / "promoters")
    oracle = load_oracle(f"equation:{made / 'promoters.json'}")
    first = [genome.record(records.split(" ")[0]) for records in genes["records"]]
    scores = oracle.predict(np.stack(first))[:, 0]
    expected = Equation.load(made / "promoters.json").predict(features)
    assert oracle.length is None
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert oracle.predict(np.zeros((1, 31), np.uint8)).shape == (1, 1)


def test_equations_of_split_motifs_and_of_kmers_score_dna(made, stranded):
    features = Features.read(stranded / "genome.zarr")
    genes = GENES.read(made / "genome" / "genes.parquet")
    columns = (genes[name].to_numpy() for name in ("chrom", "tss", "strand"))
    tokens = Genome(made / "genome").windows(*columns, EDGES[0], EDGES[-1])
    expected = Equation.load(stranded / "genome.json").predict(features)
    oracle = load_oracle(f"equation:{stranded / 'genome.json'}")
    assert expected.std() > 0.001
    np.testing.assert_allclose(oracle.predict(tokens, anchor=60)[:, 0], expected, rtol=1e-6)

    features, genome = Features.read(stranded / "promoters.zarr"), Genome(made / "promoters")
    first = GENES.read(made / "promoters" / "genes.parquet")["records"].str.split(" ").str[0]
    tokens = np.stack([genome.record(record) for record in first])
    expected = Equation.load(stranded / "promoters.json").predict(features)
    oracle = load_oracle(f"equation:{stranded / 'promoters.json'}")
    np.testing.assert_allclose(oracle.predict(tokens)[:, 0], expected, rtol=1e-6)


def by_features(stranded: Path, tokens: np.ndarray) -> np.ndarray:
    """The equation's values from features of all classes."""
    (block,) = Features.read(stranded / "genome.zarr").blocks
    spec = f"motifs:{stranded / 'm.meme'}" if block.name == "motifs:m.meme" else block.name
    oracle = load_oracle(spec, 4, strands=block.meta["strands"])
    scores = oracle.predict_bins(tokens, np.subtract(EDGES, -60))
    made = [Block(block.name, scores, block.classes, block.meta)]
    return Equation.load(stranded / "genome.json").predict(
        Features(np.arange(len(scores)), made, {})
    )


def known(first: int, end: int) -> range:
    """The longest part of [first, end) of chr1 without N."""
    runs = re.finditer("[ACGT]+", SEQUENCE["chr1"][first:end])
    longest = max(runs, key=lambda run: len(run.group()))
    return range(first + longest.start(), first + longest.end())


def test_they_score_libraries_and_variants(made, stranded, tmp_path):
    """Of the window of a gene on each strand, as `geneq score`, `surrogate` and `variants` do."""
    equation = f"equation:{stranded / 'genome.json'}"
    parts = {"plus": known(840, 950), "minus": known(1751, 1861)}
    rows = ["locus,chrom,start,end,strand,oracle,n,window_start,window_end"]
    for name, start, strand in (("plus", 840, "+"), ("minus", 1751, "-")):
        window = f"{parts[name].start},{parts[name].stop}"
        rows.append(f"{name},chr1,{start},{start + 110},{strand},{equation},300,{window}")
    (tmp_path / "loci.csv").write_text("\n".join(rows) + "\n")
    genome, oracle = Genome(made / "genome"), load_oracle(equation)
    for locus in open_loci(tmp_path / "loci.csv"):
        library = locus.recipe(genome)
        mave = score(library, oracle)
        np.testing.assert_allclose(mave.y[:, 0], by_features(stranded, library.tokens()), rtol=1e-6)
        assert np.ptp(mave.y) > 0
        surrogates.fit(mave, replicates=0).save(tmp_path / "loci" / locus.locus)
        locus.save(tmp_path / "loci" / locus.locus)

    text = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    pairs = {}
    for name, at in ((name, at) for name, part in parts.items() for at in part[::8]):
        ref = SEQUENCE["chr1"][at]
        alt = "ACGT"["ACGT".index(ref) - 1]
        text += f"chr1\t{at + 1}\tv{at}\t{ref}\t{alt}\t.\t.\t.\n"
        pairs[f"v{at}"] = [window_of(name, at, base) for base in (ref, alt)]
    (tmp_path / "in.vcf").write_text(text)
    files = ("--vcf", tmp_path / "in.vcf", "--genome", made / "genome")
    options = ("--surrogates", tmp_path / "loci", "--methods", "oracle")
    ran("variants", *files, *options, "--out", tmp_path / "out")
    table = VARIANTS.read(tmp_path / "out" / "variants.parquet").set_index("id")
    assert len(table) == len(pairs) > 4
    for name, pair in pairs.items():
        before, after = by_features(stranded, np.stack(pair))
        assert table.loc[name, "effect"] == pytest.approx(after - before, abs=1e-6)


def window_of(name: str, at: int, base: str) -> np.ndarray:
    """Tokens of the gene's window, on its strand, with this base at a position of chr1."""
    text = SEQUENCE["chr1"][:at] + base + SEQUENCE["chr1"][at + 1 :]
    tss, strand = (900, "+") if name == "plus" else (1800, "-")
    return encoding.window(text, tss, strand, EDGES[0], EDGES[-1])


def test_batches_do_not_change_scores(made, monkeypatch):
    oracle = load_oracle(f"equation:{made / 'genome.json'}")
    tokens = RNG.integers(0, 5, (25, 110)).astype(np.uint8)
    whole = oracle.predict(tokens)
    monkeypatch.setattr("geneq.oracles.equation.BATCH", 7)
    np.testing.assert_allclose(oracle.predict(tokens), whole, rtol=1e-6)
    assert oracle.predict(tokens[:0]).shape == (0, 1)


def test_a_library_is_scored_and_carries_the_equations_hash(made, tmp_path):
    library = RandomLibrary("ACGTTGCAAC" * 11, n=50, rate=0.1)
    oracle = load_oracle(f"equation:{made / 'genome.json'}")
    mave = score(library, oracle)
    assert mave.targets == ["T cell"] and np.ptp(mave.y) > 0
    assert mave.oracle["hash"] == oracle.hash
    same = load_oracle(changed(made, tmp_path, infix="other words", dataset="other"))
    assert same.hash == oracle.hash
    other = load_oracle(changed(made, tmp_path, constants={"c0": 5.0, "c1": 0.5, "c2": -0.2}))
    assert other.hash != oracle.hash


def test_composition_alone_needs_no_motif(made, tmp_path):
    oracle = load_oracle(changed(made, tmp_path, expression="c0 + c1*z_GC"))
    variables = json.loads((made / "genome.json").read_text())["variables"]
    assert variables[2]["class"] == "GC"
    rich, poor = oracle.predict(np.repeat(np.array([[1], [0]], np.uint8), 110, axis=1))[:, 0]
    gain = sum(weight["weight"] for weight in variables[2]["weights"])
    assert rich - poor == pytest.approx(0.5 * gain, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"selected": False}, r"No equation was selected.*'T cell'.*0\.json.*another cell type"),
        ({"blocks": []}, "incomplete"),
    ],
)
def test_what_cannot_score_is_refused_by_name(made, tmp_path, changes, message):
    with pytest.raises(GeneqError, match=message):
        load_oracle(changed(made, tmp_path, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hash": "00" * 32}, "does not have the motifs that"),
        ({"name": "motifs:core"}, "for motifs:core, the geneq version"),
        ({"name": "motifs:n.meme"}, "needs the motif file n.meme"),
        (
            {"name": "python:os:getcwd"},
            r"needs the model .*'block python:os:getcwd' \(in .*0\.json\).*--equation_oracles",
        ),
        ({"name": "deepbind:db"}, "needs the model .*'block deepbind:db'"),
        (
            {"name": "kmers:2, classes c.tsv", "classes_file": "00" * 32},
            "needs the model .*'block kmers:2, classes c.tsv'",
        ),
        ({"name": "kmers:2"}, "kmers:2 is not the oracle that the"),
        ({"name": "kmers:7"}, "a length K from 1 to 6: '7'"),
        ({"strands": "sense"}, "must be one of auto, both, split: 'sense'"),
        ({"window": ...}, r"incomplete: .*window.*0\.json"),
        ({"strands": ...}, r"incomplete: .*strands.*0\.json"),
        ({"bin_edges": ...}, "does not describe|incomplete"),
    ],
)
def test_a_block_that_cannot_score_is_refused_by_name(made, tmp_path, changes, message):
    (about,) = json.loads((made / "genome.json").read_text())["blocks"]
    about = {key: value for key, value in {**about, **changes}.items() if value is not ...}
    with pytest.raises(GeneqError, match=message):
        load_oracle(changed(made, tmp_path, blocks=[about]))


def test_other_motifs_under_the_same_name_are_refused(made, tmp_path):
    spec = changed(made, tmp_path)
    write_meme(tmp_path / "m.meme", {**CONSENSUS, "B": "GGGGCGA"})
    with pytest.raises(GeneqError, match=r"motifs:m\.meme does not have the motifs"):
        load_oracle(spec)


def test_the_motif_file_may_lie_in_the_current_folder(made, tmp_path, monkeypatch):
    spec = changed(made, tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "m.meme").rename(elsewhere / "m.meme")
    monkeypatch.chdir(elsewhere)
    assert load_oracle(spec).targets == ["T cell"]


def test_sequences_must_fit_the_window(made):
    oracle = load_oracle(f"equation:{made / 'genome.json'}")
    with pytest.raises(GeneqError, match="takes sequences of 110 nt: '100 nt'"):
        oracle.predict(np.zeros((1, 100), np.uint8))
    with pytest.raises(GeneqError, match="has the TSS at index 60: 55"):
        oracle.predict(np.zeros((1, 110), np.uint8), anchor=55)
    with pytest.raises(GeneqError, match="TSS at index 60"):
        score(RandomLibrary("ACGT" * 20, n=5), oracle)


# --- several blocks -----------------------------------------------------------------------------

# Motifs and k-mers in windows of their own, and gene features; the k-mers' is the wider one.
LISTS = "-60,-10,0,25,50/-80,0,30"
WINDOW = (-80, 50)
MIXED = [
    ("motifs:m.meme", 1, "A", 0.8),
    ("motifs:m.meme", 3, "GC", 2.0),
    ("kmers:2", 0, "CG", 5.0),
    ("kmers:2", 1, "GC", -9.0),
    ("table:t.csv", 0, "x", 0.3),
]


@pytest.fixture(scope="module", params=["raw", "normal"])
def mixed(made, request, tmp_path_factory) -> Path:
    """genome.zarr of motifs, k-mers and a table, and an equation of all of them, 0.json."""
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "m.meme").write_text((made / "m.meme").read_text())
    files = ("--fasta", made / "genome.fa", "--gtf", made / "genes.gtf")
    ran("genes", "--genome", "g", *files, f"--bin_edges={LISTS}", "--out", folder / "genome")
    ids = GENES.read(folder / "genome" / "genes.parquet")["gene_id"]
    rows = [f"{gene},{i % 7}" for i, gene in enumerate(ids)]
    (folder / "t.csv").write_text("\n".join(["gene_id,x", *rows]) + "\n")
    spec = ("--oracle", f"motifs:{folder / 'm.meme'}+kmers:2", "--max_classes", 4)
    more = ("--gene_features", folder / "t.csv")
    ran(
        "featurize",
        "--genome_dir",
        folder / "genome",
        *spec,
        *more,
        "--out",
        folder / "genome.zarr",
    )
    features = Features.read(folder / "genome.zarr")
    place = {block.name: i for i, block in enumerate(features.blocks)}
    weights = [
        {"block": place[name], "bin": b, "class": label, "weight": value}
        for name, b, label, value in MIXED
    ]
    variables = [{"name": "z", "class": None, "offset": 0.5, "weights": weights, "range": [-1, 1]}]
    about = {
        "format": "geneq-equation",
        "version": 3,
        "cell_type": "T cell",
        "selected": True,
        **about_features(features, request.param, variables),
        "variables": variables,
        "expression": "c0 + z",
        "constants": {"c0": 5.0},
        "infix": "",
    }
    (folder / "0.json").write_text(json.dumps(about))
    return folder


def with_medians(features: Features) -> Features:
    """The features with every gene's table at its medians."""
    *oracles, table = features.blocks
    held = np.broadcast_to(np.median(table.values, axis=0), table.values.shape)
    blocks = [*oracles, Block(table.name, held, table.classes, table.meta, table.quantiles)]
    return Features(features.gene_id, blocks, features.meta)


def tokens_of(mixed: Path, first: int, end: int) -> np.ndarray:
    genes = GENES.read(mixed / "genome" / "genes.parquet")
    columns = (genes[name].to_numpy() for name in ("chrom", "tss", "strand"))
    return Genome(mixed / "genome").windows(*columns, first, end)


def test_every_block_reads_its_own_window_and_gene_features_are_held(mixed):
    features, equation = Features.read(mixed / "genome.zarr"), Equation.load(mixed / "0.json")
    oracle = load_oracle(f"equation:{mixed / '0.json'}")
    assert (oracle.length, oracle.tss) == (130, 80)
    found = oracle.predict(tokens_of(mixed, *WINDOW), anchor=80)[:, 0]
    expected = equation.predict(with_medians(features))
    assert expected.std() > 0.1 and np.abs(expected - equation.predict(features)).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert "gene features held at their medians: x" in oracle.summary()


def test_the_window_is_that_of_all_blocks_even_of_those_not_used(mixed, tmp_path):
    text = json.loads((mixed / "0.json").read_text())
    first = text["variables"][0]
    text["variables"] = [{**first, "weights": first["weights"][:2]}]
    (tmp_path / "0.json").write_text(json.dumps(text))
    (tmp_path / "m.meme").write_text((mixed / "m.meme").read_text())
    oracle = load_oracle(f"equation:{tmp_path / '0.json'}")
    assert (oracle.length, oracle.tss, oracle.note) == (130, 80, "")
    # What only the other block reads does not count.
    tokens = tokens_of(mixed, *WINDOW)
    other = tokens.copy()
    other[:, :20] = 4
    np.testing.assert_array_equal(oracle.predict(other), oracle.predict(tokens))


def test_an_equation_of_gene_features_alone_scores_no_dna(mixed, tmp_path):
    text = json.loads((mixed / "0.json").read_text())
    first = text["variables"][0]
    text["variables"] = [{**first, "weights": first["weights"][-1:]}]
    (tmp_path / "0.json").write_text(json.dumps(text))
    with pytest.raises(GeneqError, match="depends on gene features only, not on DNA: 'T cell'"):
        load_oracle(f"equation:{tmp_path / '0.json'}")


def test_medians_and_quantiles_are_part_of_the_hash(mixed, tmp_path):
    before = load_oracle(f"equation:{mixed / '0.json'}").hash
    (tmp_path / "m.meme").write_text((mixed / "m.meme").read_text())
    text = json.loads((mixed / "0.json").read_text())
    changes = [("blocks", lambda blocks: blocks[2]["medians"].update(x=1.5))]
    if text["scale"] == "normal":
        changes.append(("quantiles", lambda entries: entries[0]["values"].reverse()))
    for key, change in changes:
        other = json.loads((mixed / "0.json").read_text())
        change(other[key])
        (tmp_path / "0.json").write_text(json.dumps(other))
        assert load_oracle(f"equation:{tmp_path / '0.json'}").hash != before


def test_commands_that_take_one_oracle_say_so(capsys, tmp_path):
    (tmp_path / "recipe.json").write_text(RandomLibrary("ACGT" * 9, n=5).to_json())
    spec = ("--oracle", "motifs:core+kmers:3", "--recipe", tmp_path / "recipe.json")
    assert geneq("score", *spec, "--out", tmp_path / "out") == 1
    assert "takes a single oracle: 'motifs:core+kmers:3'" in capsys.readouterr().err

"""A distilled equation as an oracle: it scores DNA as it scored the genes it was made from."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from geneq import surrogates
from geneq.artifacts import GENES, VARIANTS, Features
from geneq.equations import Equation
from geneq.errors import GeneqError
from geneq.genome import Genome
from geneq.libraries import RandomLibrary
from geneq.locus import open_loci
from geneq.oracles import load_oracle
from geneq.oracles.scoring import score
from test_featurize import CONSENSUS, EDGES, SEQUENCE, ran, write_inputs, write_meme
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
    names = dict(zip(["z_A", "z_B", "z_GC"], features.classes, strict=False))
    variables = [
        {
            "name": name,
            "class": label,
            "offset": 0.1,
            "weights": [
                {"bin": b, "class": label, "weight": float(weight)}
                for b, weight in enumerate(RNG.normal(0, 0.3, features.values.shape[1]))
            ],
            "range": [-1, 1],
        }
        for name, label in names.items()
    ]
    meta = features.meta
    return {
        "format": "geneq-equation",
        "version": 2,
        "cell_type": "T cell",
        "selected": True,
        "oracle": {"name": meta["oracle"], "hash": meta["oracle_hash"]},
        **{key: meta[key] for key in ("window", "tss_index", "bin_edges", "orientation")},
        "classes": features.classes,
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
        assert len(features.classes) == classes
        about = document(features)
        about["oracle"]["strands"] = features.meta["strands"]
        (folder / f"{name}.json").write_text(json.dumps(about))
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
    features = Features.read(stranded / "genome.zarr")
    spec, strands = features.meta["oracle"], features.meta["strands"]
    spec = f"motifs:{stranded / 'm.meme'}" if spec == "motifs:m.meme" else spec
    scores = load_oracle(spec, 4, strands=strands).predict_bins(tokens, np.subtract(EDGES, -60))
    made = Features(scores, np.arange(len(scores)), features.classes, features.meta)
    return Equation.load(stranded / "genome.json").predict(made)


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


def test_an_equation_from_before_strands_is_of_both(made, tmp_path):
    about = json.loads((made / "genome.json").read_text())["oracle"]
    assert "strands" not in about
    before = load_oracle(changed(made, tmp_path)).predict(np.zeros((1, 110), np.uint8))
    same = load_oracle(changed(made, tmp_path, oracle={**about, "strands": "both"}))
    assert same.predict(np.zeros((1, 110), np.uint8)) == before


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
        ({"oracle": {"name": "motifs:m.meme", "hash": "00" * 32}}, "does not have the motifs that"),
        (
            {"oracle": {"name": "motifs:core", "hash": "00" * 32}},
            "for motifs:core, the geneq version",
        ),
        ({"oracle": {"name": "motifs:n.meme", "hash": "00" * 32}}, "needs the motif file n.meme"),
        (
            {"oracle": {"name": "python:os:getcwd", "hash": ""}},
            "made with the oracles motifs and kmers can score DNA.*python:os",
        ),
        ({"oracle": {"name": "kmers:2", "hash": "00" * 32}}, "kmers:2 is not the oracle that the"),
        ({"oracle": {"name": "kmers:7", "hash": ""}}, "a length K from 1 to 6: '7'"),
        (
            {"oracle": {"name": "kmers:2", "hash": "", "strands": "sense"}},
            "must be one of auto, both, split: 'sense'",
        ),
        ({"window": ...}, r"incomplete: .*window.*0\.json"),
        ({"oracle": {}}, "incomplete"),
    ],
)
def test_what_cannot_score_is_refused_by_name(made, tmp_path, changes, message):
    with pytest.raises(GeneqError, match=message):
        load_oracle(changed(made, tmp_path, **changes))


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

"""A distilled equation as an oracle: it scores DNA as it scored the genes it was made from."""

import json
from pathlib import Path

import numpy as np
import pytest

from geneq.artifacts import GENES, Features
from geneq.equations import Equation
from geneq.errors import GeneqError
from geneq.genome import Genome
from geneq.libraries import RandomLibrary
from geneq.oracles import load_oracle
from geneq.oracles.scoring import score
from test_featurize import CONSENSUS, EDGES, ran, write_inputs, write_meme

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
        ({"oracle": {"name": "motifs:m.meme", "hash": "00" * 32}}, "has other motifs than those"),
        (
            {"oracle": {"name": "motifs:core", "hash": "00" * 32}},
            "for motifs:core, the geneq version",
        ),
        ({"oracle": {"name": "motifs:n.meme", "hash": "00" * 32}}, "needs the motif file n.meme"),
        (
            {"oracle": {"name": "python:os:getcwd", "hash": ""}},
            "made with the oracles motifs and kmers can score DNA.*python:os",
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
    with pytest.raises(GeneqError, match=r"motifs:m\.meme has other motifs"):
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

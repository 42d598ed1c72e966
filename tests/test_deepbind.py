"""DeepBind networks score as the published program; bins as in the reference implementation."""

import tarfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geneq.errors import GeneqError
from geneq.oracles import BinnedOracle, load_oracle
from geneq.oracles.deepbind import DeepBindOracle, Network, detectors, read_networks
from geneq.oracles.deepbind.files import LISTS
from twins import deepbind as twin

ARCHIVE = Path(__file__).parents[2] / "shared/data/models/deepbind.tar.gz"
SEED = 7
HEADER = "ID\tProtein\tType\tSpecies\tFamily\tClass\tExperiment\tComment"
# Width, detectors, mean, hidden units, both strands of the networks of the synthetic folder.
NETWORKS = {
    "D1.001": ("GATA1", "TF", "GATA", "SELEX", (6, 3, 0, 0, 1)),
    "D1.002": ("GATA1", "TF", "GATA", "ChIP-seq", (6, 2, 0, 4, 1)),
    "D2.001": ("CTCF", "TF", "C2H2 ZF", "ChIP-seq", (9, 2, 1, 3, 1)),
    "D3.001": ("SP1", "TF", "C2H2 ZF", "SELEX", (4, 2, 1, 0, 0)),
    "D4.001": ("RBFOX1", "RBP", "RRM", "RNAcompete", (4, 2, 1, 0, 0)),
}

pytestmark = pytest.mark.usefixtures("one_thread")


def parameters(rng, width: int, detectors: int, average: int, hidden: int, both: int) -> dict:
    features = detectors * (1 + average)
    shapes = {
        "detectors": (width, 4, detectors),
        "thresholds": (detectors,),
        "weights1": (features, max(hidden, 1)),
        "biases1": (max(hidden, 1),),
        "weights2": (hidden,),
        "biases2": (min(hidden, 1),),
    }
    whole = {
        "reverse_complement": both, "num_detectors": detectors, "detector_len": width,
        "has_avg_pooling": average, "num_hidden": hidden,
    }  # fmt: skip
    return whole | {name: rng.normal(size=shape).round(6) for name, shape in shapes.items()}


def as_text(net: dict) -> str:
    lines = ["# deepbind 0.1"]
    for name, value in net.items():
        if isinstance(value, np.ndarray):
            value = ",".join(f"{number:.9e}" for number in value.reshape(-1))
        lines.append(f"{name} = {value}")
    return "\n".join(lines) + "\n"


def make_nets() -> dict[str, dict]:
    rng = np.random.default_rng(SEED)
    return {name: parameters(rng, *shape) for name, (*_, shape) in NETWORKS.items()}


def write_folder(folder: Path, nets: dict[str, dict]) -> None:
    """A folder as it is published, of small networks."""
    (folder / "params").mkdir(parents=True)
    rows = [
        f"{name}\t{protein}\t{kind}\tHomo sapiens\t{family}\t\t{experiment}\t"
        for name, (protein, kind, family, experiment, _) in NETWORKS.items()
    ]
    (folder / "db.tsv").write_text("\n".join(["# a comment", "#", HEADER, *rows]) + "\n")
    for name, net in nets.items():
        (folder / "params" / f"{name}.txt").write_text(as_text(net))


@pytest.fixture(scope="module")
def nets() -> dict[str, dict]:
    return make_nets()


@pytest.fixture
def folder(tmp_path, nets) -> Path:
    write_folder(tmp_path, nets)
    return tmp_path


def dna(n: int, length: int, seed: int = SEED) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, (n, length)).astype(np.uint8)


def all_networks(folder: Path) -> DeepBindOracle:
    return DeepBindOracle("deepbind:all", list(NETWORKS), read_networks(folder, list(NETWORKS)))


# --- scores -----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 3, 6, 8, 9, 13, 14, 40])
def test_sequences_score_as_in_the_reference(folder, nets, length):
    """Shorter than a detector, shorter than a window, longer; with Ns."""
    tokens = dna(4, length)
    found = all_networks(folder).predict(tokens)
    expected = [[twin.sequence(row, net) for net in nets.values()] for row in tokens.tolist()]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.fixture(params=["pairs", "triplets, 1", "triplets, 5"])
def tables(request, monkeypatch):
    """Tables of pairs, as on a CPU, or of triplets, as on a GPU, with so many columns."""
    kind, _, columns = request.param.partition(", ")
    if kind == "triplets":
        monkeypatch.setattr(detectors, "PairDetectors", detectors.TripletDetectors)
        monkeypatch.setattr(detectors, "COLUMNS", int(columns))


def test_a_bin_is_one_window(folder, nets, tables):
    """Bins narrower than a detector and wider than a window, and one of no base."""
    tokens, edges = dna(3, 60), np.array([2, 3, 8, 8, 12, 55])
    found = all_networks(folder).predict_bins(tokens, edges)
    bins = list(pairwise(edges))
    expected = [
        [[twin.window(row[a:b], net) for net in nets.values()] for a, b in bins]
        for row in tokens.tolist()
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(
    tokens=hnp.arrays(np.uint8, (2, 30), elements=st.integers(0, 4)),
    inner=st.lists(st.integers(0, 30), max_size=3),
)
def test_bins_of_both_strands_are_mirrored(tokens, inner):
    rng = np.random.default_rng(SEED)
    net = parameters(rng, 5, 2, 1, 3, 1)
    arrays = [net[name].astype(np.float32) for name in LISTS]
    oracle = DeepBindOracle("deepbind:x", ["x"], [Network(True, True, *arrays)])
    edges = np.sort([0, 30, *inner])
    other = np.stack([twin.other_strand(row) for row in tokens.tolist()]).astype(np.uint8)
    np.testing.assert_allclose(
        oracle.predict_bins(other, (30 - edges)[::-1])[:, ::-1],
        oracle.predict_bins(tokens, edges),
        atol=1e-5,
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_batches_and_threads_change_nothing(folder, monkeypatch, threads):
    tokens, edges = dna(150, 40), np.array([0, 7, 40])
    oracle = load_oracle(f"deepbind:{folder}")
    expected = oracle.predict_bins(tokens, edges), oracle.predict(tokens[:9])
    monkeypatch.setattr(detectors, "ROWS", 7)
    monkeypatch.setattr("geneq.oracles.deepbind.oracle.WINDOW_SYMBOLS", 500)
    torch.set_num_threads(threads)
    try:
        found = oracle.predict_bins(tokens, edges), oracle.predict(tokens[:9])
    finally:
        torch.set_num_threads(1)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_no_sequences_have_no_scores(folder):
    oracle = load_oracle(f"deepbind:{folder}")
    assert oracle.predict(dna(0, 20)).shape == (0, 4)
    assert oracle.predict_bins(dna(0, 20), np.array([0, 5, 20])).shape == (0, 2, 4)
    with pytest.raises(GeneqError, match="at least one base"):
        oracle.predict(dna(2, 0))


# --- the folder -------------------------------------------------------------------------------


def test_targets_are_named_by_protein(folder):
    oracle = load_oracle(f"deepbind:{folder}")
    assert oracle.targets == ["GATA1_D1.001", "GATA1_D1.002", "CTCF", "SP1"]
    assert isinstance(oracle, BinnedOracle)
    assert oracle.note == "4 networks, 1 of RNA skipped"
    assert oracle.strand == "given"  # SP1's network reads one strand
    assert load_oracle(f"deepbind:{folder}:chip-seq").strand == "both"


@pytest.mark.parametrize(
    ("terms", "targets"),
    [
        ("ChIP-seq", ["GATA1_D1.002", "CTCF"]),
        ("gata1,ctcf", ["GATA1_D1.001", "GATA1_D1.002", "CTCF"]),
        ("SELEX, GATA1, CTCF", ["GATA1_D1.001"]),
        ("Homo sapiens,c2h2 zf", ["CTCF", "SP1"]),
        ("D3.001", ["SP1"]),
    ],
)
def test_a_filter_takes_values_of_columns(folder, terms, targets):
    """Those of one column are alternatives, different columns must all apply."""
    oracle = load_oracle(f"deepbind:{folder}:{terms}")
    assert oracle.targets == targets
    assert oracle.name == f"deepbind:{folder.name}:{terms}"
    everything = load_oracle(f"deepbind:{folder}")
    kept = [everything.targets.index(name) for name in targets]
    tokens = dna(3, 25)
    np.testing.assert_allclose(
        oracle.predict(tokens), everything.predict(tokens)[:, kept], atol=1e-5
    )
    assert oracle.hash != everything.hash


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ("mouse", "No DeepBind network of DNA has this value in a column: 'mouse'.*Protein"),
        ("RBFOX1", "No DeepBind network of DNA has this value"),
        ("CTCF,SELEX", "No DeepBind network of DNA passes the filter: 'CTCF,SELEX'"),
    ],
)
def test_a_filter_that_fits_no_network_is_refused(folder, terms, message):
    with pytest.raises(GeneqError, match=message) as error:
        load_oracle(f"deepbind:{folder}:{terms}")
    assert error.value.file == folder / "db.tsv"


def test_the_hash_is_that_of_the_parameters(folder, nets):
    before = load_oracle(f"deepbind:{folder}").hash
    assert load_oracle(f"deepbind:{folder}").hash == before
    changed = nets["D3.001"] | {"biases1": nets["D3.001"]["biases1"] + 0.5}
    (folder / "params" / "D3.001.txt").write_text(as_text(changed))
    assert load_oracle(f"deepbind:{folder}").hash != before


def broken(folder: Path, old: str, new: str) -> None:
    file = folder / "params" / "D2.001.txt"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("num_hidden = 3", "num_hidden = 3\ncolour = 1", "Unknown or repeated.*'colour'"),
        ("num_hidden = 3", "num_hidden = 3\nnum_hidden = 3", "Unknown or repeated.*'num_hidden'"),
        ("num_hidden = 3", "num_hidden", "Unknown or repeated parameter"),
        ("num_hidden = 3", "num_hidden = 3.5", "num_hidden must be a whole number"),
        ("num_hidden = 3", "num_hidden = -1", "num_hidden must be a whole number"),
        ("detector_len = 9", "detector_len = 0", "detector_len must be a whole number between 2"),
        ("detector_len = 9", "detector_len = 8", "detectors must have 64 values: '72'"),
        ("has_avg_pooling = 1", "has_avg_pooling = 2", "has_avg_pooling must be.*0 and 1"),
        ("thresholds = ", "thresholds = ,", "thresholds must be numbers"),
        ("thresholds = ", "thresholds = nan,", "thresholds must be finite"),
        ("biases2 = ", "biases2 = 0.5,", "biases2 must have 1 values"),
    ],
)
def test_other_parameter_files_are_refused(folder, old, new, message):
    broken(folder, old, new)
    with pytest.raises(GeneqError, match=message) as error:
        load_oracle(f"deepbind:{folder}")
    assert error.value.file == folder / "params" / "D2.001.txt"


@settings(deadline=None, max_examples=40)
@given(part=st.floats(0, 0.995))
def test_a_truncated_file_is_refused(tmp_path_factory, nets, part):
    path = tmp_path_factory.mktemp("cut") / "params" / "D2.001.txt"
    path.parent.mkdir()
    text = as_text(nets["D2.001"]).strip()
    cut = text[: int(part * text.rindex("e"))].rpartition(",")[0]
    path.write_text(cut)
    with pytest.raises(GeneqError) as error:
        read_networks(path.parent.parent, ["D2.001"])
    assert error.value.file == path


def test_missing_files_are_named(folder, tmp_path):
    with pytest.raises(GeneqError, match=r"has db.tsv and params/"):
        load_oracle(f"deepbind:{tmp_path / 'nowhere'}")
    (folder / "params" / "D1.002.txt").unlink()
    with pytest.raises(GeneqError, match=r"File not found \(in .*D1\.002\.txt"):
        load_oracle(f"deepbind:{folder}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\tSpecies", "\tKingdom", "lacks columns: 'Species'"),
        (
            "D3.001\tSP1\tTF\tHomo sapiens\tC2H2 ZF\t\tSELEX\t",
            "D3.001\tSP1",
            "too few columns: 'D3",
        ),
        ("D3.001\t", "D2.001\t", "IDs of networks must differ: 'D2.001'"),
        (HEADER, "# nothing", "lacks columns"),
    ],
)
def test_a_table_of_another_kind_is_refused(folder, old, new, message):
    table = folder / "db.tsv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))
    with pytest.raises(GeneqError, match=message):
        load_oracle(f"deepbind:{folder}")


# --- the published networks -------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    if not ARCHIVE.exists():
        pytest.skip("the published parameters of DeepBind are not here")
    folder = tmp_path_factory.mktemp("published")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "deepbind"


def test_the_published_example(published):
    """Four networks, two of them of RNA, and four sequences, as the program's README has them."""
    lines = [line.split("\t") for line in (published / "golden.tsv").read_text().splitlines()]
    ids, rows = lines[0][1:], lines[1:]
    oracle = DeepBindOracle("deepbind:example", ids, read_networks(published, ids))
    for text, *scores in rows:
        tokens = np.array([["ACGT".index(base) for base in text.replace("U", "T")]], np.uint8)
        np.testing.assert_allclose(oracle.predict(tokens)[0], np.array(scores, float), atol=1e-5)


def test_the_published_networks_of_dna(published):
    oracle = load_oracle(f"deepbind:{published}")
    assert len(oracle.targets) == len(set(oracle.targets)) == 515
    assert oracle.note == "515 networks, 2 of RNA skipped"
    assert oracle.strand == "both"
    assert len(load_oracle(f"deepbind:{published}:SELEX").targets) == 378
    tokens = dna(2, 80)
    everything = oracle.predict_bins(tokens, np.array([0, 10, 80]))
    some = [0, 100, 300, 514]
    for i in some:
        net = oracle.networks[i]
        about = {
            "detectors": net.detectors, "thresholds": net.thresholds, "weights1": net.weights1,
            "biases1": net.biases1, "weights2": net.weights2, "biases2": net.biases2,
            "num_hidden": len(net.weights2), "has_avg_pooling": net.average,
            "reverse_complement": net.reverse_complement,
        }  # fmt: skip
        expected = [[twin.window(row[a:b], about) for a, b in ((0, 10), (10, 80))]
                    for row in tokens.tolist()]  # fmt: skip
        np.testing.assert_allclose(everything[:, :, i], expected, atol=1e-5)

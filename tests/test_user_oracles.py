"""Oracles of other packages and of users' files: run by every command, or refused in one line."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geneq import cli
from geneq.artifacts import VARIANTS
from geneq.errors import GeneqError
from geneq.genome import index_fasta
from geneq.libraries import RandomLibrary
from geneq.mave import Mave
from geneq.oracles import BinnedOracle, Oracle, load_oracle
from geneq.oracles.attribution import attribute
from geneq.oracles.scoring import score, variant_scores

pytestmark = pytest.mark.usefixtures("one_thread")

# A package: one oracle is a subclass, the other any object.
PACKAGE = """
import numpy as np
from geneq.oracles import BinnedOracle, Oracle

WEIGHTS = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
WEIGHTS[:, 4] = 0

class Additive(Oracle):
    def __init__(self, what):
        self.name, self.targets, self.hash = f"toy:{what}", ["activity"], "1"
        self.length, self.held_out, self.note = 40, ("chr8",), "made up"

    def predict(self, tokens, anchor=None):
        return WEIGHTS[np.arange(40), tokens].sum(1, keepdims=True)

class Double(Additive):
    def variant(self, ref, alt):
        return 2 * (self.predict(alt) - self.predict(ref))

class Plain:
    targets = ["GC"]

    def predict(self, tokens):
        return ((tokens == 1) | (tokens == 2)).mean(1, keepdims=True)

class Binned(BinnedOracle):
    name, targets, hash = "binned", ["A"], "2"

    def predict(self, tokens, anchor=None):
        return self.predict_bins(tokens, np.array([0, tokens.shape[1]]))[:, 0]

    def predict_bins(self, tokens, edges):
        parts = [(tokens[:, a:b] == 0).sum(1) for a, b in zip(edges, edges[1:])]
        return np.stack(parts, 1)[..., None]

MADE = {"double": Double, "additive": Additive}

def open_toy(what):
    return MADE[what](what)

def open_plain(what):
    return Plain()

def open_binned(what):
    return Binned()
"""
POINTS = """
[geneq.oracles]
toy = toy_oracles:open_toy
plain = toy_oracles:open_plain
binned = toy_oracles:open_binned
absent = toy_oracles:open_absent
"""
RNG = np.random.default_rng(3)
CHR1 = "".join(RNG.choice(list("ACGT"), 200))


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """An installed package that adds oracles."""
    site = tmp_path / "site"
    about = site / "toy_oracles-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "toy_oracles.py").write_text(PACKAGE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-oracles\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(site)
    return tmp_path


def geneq(*words) -> int:
    return cli.main([*map(str, words), "--threads", "1"])


def weights() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)


# --- packages ---------------------------------------------------------------------------------


def test_the_oracle_of_a_package_runs_through_the_commands(package, capsys):
    """score, surrogate and variants, with the right effects at the end."""
    (package / "in.fa").write_text(f">chr1\n{CHR1}\n")
    (package / "genome").mkdir()
    index_fasta(package / "in.fa", package / "genome")
    sheet = "locus,chrom,start,end,oracle,n\none,chr1,100,140,toy:additive,2000\n"
    (package / "loci.csv").write_text(sheet)
    genome, out = ("--genome", package / "genome"), [package / name for name in ("a", "b", "c")]
    assert geneq("score", "--loci", package / "loci.csv", *genome, "--out", out[0]) == 0
    assert "toy:additive: 40 nt; targets: activity; made up\n" in capsys.readouterr().out
    assert Mave.load(out[0] / "one/mave.parquet").oracle["held_out"] == ["chr8"]
    assert geneq("surrogate", "--scores", out[0], "--out", out[1]) == 0
    changes = [(105, "A"), (120, "C"), (139, "T")]
    lines = [f"chr1\t{i + 1}\t.\t{CHR1[i]}\t{alt}\t.\t.\t." for i, alt in changes]
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (package / "in.vcf").write_text(header + "\n".join(lines) + "\n")
    inputs = ("--vcf", package / "in.vcf", "--surrogates", out[1], *genome)
    assert geneq("variants", *inputs, "--out", out[2]) == 0
    wanted = [weights()[i - 100, "ACGT".index(a)] - weights()[i - 100, "ACGT".index(CHR1[i])]
              for i, a in changes]  # fmt: skip
    table = VARIANTS.read(out[2] / "variants.parquet")
    assert_effects(table, "oracle", wanted, 1e-5)
    assert_effects(table, "ism", wanted, 1e-5)
    assert_effects(table, "surrogate", wanted, 0.05)
    assert (table[table["method"] == "gradient"]["note"] == NO_MODULE).all()
    # The same with a variant score of the oracle's own: twice the difference.
    assert geneq("variants", *inputs, "--oracle", "toy:double", "--out", out[2]) == 0
    table = VARIANTS.read(out[2] / "variants.parquet")
    assert_effects(table, "oracle", 2 * np.array(wanted), 1e-5)
    assert_effects(table, "ism", 2 * np.array(wanted), 1e-5)


NO_MODULE = "the oracle has no differentiable module"


def assert_effects(table: pd.DataFrame, method: str, wanted, atol: float) -> None:
    found = table[table["method"] == method].sort_values("pos")["effect"]
    np.testing.assert_allclose(found, wanted, atol=atol)


def test_a_library_is_scored_and_explained_without_a_genome(package):
    (package / "recipe.json").write_text(RandomLibrary(CHR1[:40], n=500).to_json())
    recipe = ("--recipe", package / "recipe.json")
    for spec in ("toy:additive", "plain:any"):
        out = package / spec.replace(":", "_")
        assert geneq("score", "--oracle", spec, *recipe, "--out", out) == 0
        assert geneq("surrogate", "--mave", out / "mave.parquet", "--out", out / "fit") == 0
        assert (out / "fit" / "effects.parquet").exists()


def test_parts_that_an_object_lacks_have_defaults(package):
    oracle = load_oracle("plain:any")
    assert isinstance(oracle, Oracle) and not isinstance(oracle, BinnedOracle)
    assert (oracle.name, oracle.alphabet, oracle.length) == ("plain:any", "ACGT", None)
    assert (oracle.tss, oracle.strand, oracle.held_out) == (None, "given", None)
    assert (oracle.module, oracle.variant, oracle.precision) == (None, None, "float32")
    assert oracle.predict(np.array([[1, 2, 0, 0]], np.uint8)).dtype == np.float32
    with pytest.raises(GeneqError, match="saliency is not available"):
        attribute(oracle, "ACGT", "saliency")
    with pytest.raises(GeneqError, match="defines no variant score: 'plain:any'"):
        variant_scores(np.zeros((1, 4), np.uint8), np.ones((1, 4), np.uint8), oracle)


def test_bins_of_a_package_are_bins(package):
    oracle = load_oracle("binned:any")
    assert isinstance(oracle, BinnedOracle)
    found = oracle.predict_bins(np.array([[0, 0, 1, 0, 2]], np.uint8), np.array([0, 2, 5]))
    np.testing.assert_array_equal(found, [[[2], [1]]])


def test_entry_points_that_lead_nowhere_are_named(package):
    with pytest.raises(GeneqError, match=r"absent:any failed: .*AttributeError: .*open_absent"):
        load_oracle("absent:any")
    with pytest.raises(GeneqError, match=r"toy:none failed: .*KeyError: 'none'.*line \d+"):
        load_oracle("toy:none")
    with pytest.raises(GeneqError, match="python, absent, binned, plain, toy: 'other:any'"):
        load_oracle("other:any")


def test_two_packages_with_one_name_are_refused(package):
    about = package / "site" / "other-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[geneq.oracles]\ntoy = other:open_toy\n")
    with pytest.raises(GeneqError, match=r"Several packages add oracles of type toy: .*other:open"):
        load_oracle("toy:additive")


# --- users' files -----------------------------------------------------------------------------


def written(folder: Path, body: str, rest: str = "") -> str:
    """The name of an oracle in a file whose `predict` has this body."""
    (folder / "mine.py").write_text(f"""
import numpy as np

class Mine:
    targets = ["a", "b"]
    {rest}
    def predict(self, tokens, anchor=None):
        {body}

def make():
    return Mine()
""")
    return f"python:{folder / 'mine.py'}:make"


GOOD = "return np.zeros((len(tokens), 2), np.float32)"
LIBRARY = RandomLibrary("ACGT" * 5, n=30)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return np.zeros(len(tokens))", r"predict must return .n, targets. .*'\[1\] for 1 rows"),
        ("return np.zeros((len(tokens), 3))", r"'\[1, 3\] for 1 rows and 2 targets'"),
        ("return np.zeros((1, 2))", r"'\[1, 2\] for 2 rows and 2 targets'"),
        ("return np.zeros((2, len(tokens)))", r"'\[2, 1\] for 1 rows"),
        ("return np.zeros((len(tokens), 4, 2))", "Set --reduce for oracles that return profiles"),
        ("return np.zeros((len(tokens), 2), complex)", "NumPy array of float32: 'complex128'"),
        ("return np.full((len(tokens), 2), 'a')", "NumPy array of float32: '<U1'"),
        ("return np.zeros((len(tokens), 2), object)", "NumPy array of float32: 'object'"),
        ("return [[0, 0]] * len(tokens)", "NumPy array of float32: 'list'"),
        ("return None", "NumPy array of float32: 'NoneType'"),
        ("return np.full((len(tokens), 2), np.nan)", "Scores must be finite: 'rows 0, 1, 2"),
        ("return np.full((len(tokens), 2), 1e300)", "Scores must be finite"),
        ("raise ValueError('too\\nlong')", r"make failed: .ValueError: too.*mine.py, line 8"),
        ("return 1 / 0", r"ZeroDivisionError: division by zero' \(in .*mine.py, line 8\)"),
    ],
)
def test_wrong_answers_are_one_clear_line(tmp_path, capsys, body, message):
    spec = written(tmp_path, body)
    (tmp_path / "recipe.json").write_text(LIBRARY.to_json())
    words = ("--oracle", spec, "--recipe", tmp_path / "recipe.json", "--out", tmp_path / "out")
    assert geneq("score", *words) == 1
    *progress, error = capsys.readouterr().err.splitlines()
    assert re.search(message, error), error
    assert all("expected time" in line for line in progress)
    assert not (tmp_path / "out" / "mave.parquet").exists()


def test_numbers_of_other_types_are_taken(tmp_path):
    for number in ("float64", "float16", "int64", "uint8"):
        oracle = load_oracle(written(tmp_path, f"return np.ones((len(tokens), 2), '{number}')"))
        assert score(LIBRARY, oracle).y.dtype == np.float32


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("targets = []", "targets must be a list of different names: '..'"),
        ("targets = ['a', 'a']", "targets must be a list of different names"),
        ("targets = 'ab'", "targets must be a list"),
        ("length = '20'", "length must be a positive int, or None"),
        ("length = 0", "length must be a positive int"),
        ("length, tss = 20, 20", "tss must be an index of the input, or None: '20'"),
        ("strand = '+'", r"strand must be 'given' or 'both': \"'\+'\""),
        ("alphabet = 'AA'", "alphabet must be different symbols"),
        ("held_out = 'chr1'", "held_out must be names of chromosomes, or None"),
        ("module = 1", "module must be a torch.nn.Module, or None"),
        ("precisions = ['int8']", "'float32' among them"),
        ("predict_bins = 1\n    targets = None", "it has no targets"),
        ("predict_bins = 1\n    flank = -1", "flank must be a number of bases: -1"),
    ],
)
def test_wrong_attributes_are_named(tmp_path, rest, message):
    with pytest.raises(GeneqError, match=message):
        load_oracle(written(tmp_path, GOOD, rest))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def make(:", r"make failed: .SyntaxError"),
        ("import nothing_of_this_name", r"ModuleNotFoundError: .*mine\.py, line 1"),
        ("make = 1", r"There is no such function: .*mine\.py has none"),
        ("def make():\n    return 3", "make is not an oracle: it has no predict and no targets"),
        ("def make(what):\n    return 3", "TypeError: .*missing 1 required positional argument"),
        ("class make:\n    predict = None", "is not an oracle"),
    ],
)
def test_wrong_files_are_one_clear_line(tmp_path, text, message):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(GeneqError, match=message):
        load_oracle(f"python:{tmp_path / 'mine.py'}:make")


def test_wrong_bins_and_variant_scores_are_refused(tmp_path):
    tokens, edges = np.zeros((3, 20), np.uint8), np.array([0, 10, 20])
    for body, message in [
        ("return np.zeros((3, 3, 2))", r"predict_bins must return .n, bins, targets.: '.3, 3, 2"),
        (
            "return np.zeros((3, 2, 2), complex)",
            "predict_bins must return a NumPy array of float32",
        ),
    ]:
        rest = f"def predict_bins(self, tokens, edges):\n        {body}"
        with pytest.raises(GeneqError, match=message):
            load_oracle(written(tmp_path, GOOD, rest)).predict_bins(tokens, edges)
    for body, message in [
        ("return np.zeros(3)", r"variant must return .n, targets.: '.3. for 3 rows"),
        ("return np.full((3, 2), np.nan)", "Variant scores must be finite: 'rows 0, 1, 2"),
    ]:
        oracle = load_oracle(written(tmp_path, GOOD, f"def variant(self, a, b):\n        {body}"))
        with pytest.raises(GeneqError, match=message):
            variant_scores(tokens, tokens, oracle)


def test_both_strands_of_a_variant_score_are_averaged(tmp_path):
    body = "return ((b == 1).sum(1) - (a == 1).sum(1))[:, None] * [1, 10]"
    rest = f"def variant(self, a, b):\n        {body}"
    oracle = load_oracle(written(tmp_path, GOOD, rest))
    ref, alt = np.array([[0, 0, 2]], np.uint8), np.array([[0, 1, 2]], np.uint8)
    assert variant_scores(ref, alt, oracle).tolist() == [[1, 10]]
    assert variant_scores(ref, alt, oracle, ["b"], True).tolist() == [[5]]


def test_the_hash_depends_on_the_code(tmp_path):
    """So a run that continues takes no scores of other code."""
    one = load_oracle(written(tmp_path, GOOD))
    same = load_oracle(written(tmp_path, GOOD))
    other = load_oracle(written(tmp_path, GOOD.replace("zeros", "ones")))
    assert one.hash == same.hash != other.hash
    assert load_oracle(written(tmp_path, GOOD, "hash = 'x'")).hash != one.hash
    parts = tmp_path / "parts"
    assert (score(LIBRARY, one, folder=parts).y == 0).all()
    assert (score(LIBRARY, other, folder=parts).y == 1).all()


def test_scores_are_reduced_again_when_the_function_has_changed(tmp_path):
    oracle = load_oracle(written(tmp_path, "return np.ones((len(tokens), 3, 2))"))
    for number in (2, 5):
        (tmp_path / "turn.py").write_text(f"def f(profiles):\n    return {number} * profiles[:, 0]")
        reduce = f"python:{tmp_path / 'turn.py'}:f"
        assert (score(LIBRARY, oracle, reduce=reduce, folder=tmp_path / "parts").y == number).all()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return profiles", r"must return numbers, .rows, targets.: '.30, 3, 2. of float32'"),
        ("return profiles[:, 0] / 0", "Reduced scores must be finite"),
        ("raise KeyError('bin')", r"turn.py:f failed: .KeyError: 'bin'.*turn\.py, line 2"),
    ],
)
def test_wrong_reductions_are_one_clear_line(tmp_path, body, message):
    oracle = load_oracle(written(tmp_path, "return np.ones((len(tokens), 3, 2), np.float32)"))
    (tmp_path / "turn.py").write_text(f"def f(profiles):\n    {body}")
    with pytest.raises(GeneqError, match=message), np.errstate(divide="ignore"):
        score(LIBRARY, oracle, reduce=f"python:{tmp_path / 'turn.py'}:f")


def test_a_file_may_define_dataclasses(tmp_path):
    """They look their module up by its name."""
    (tmp_path / "mine.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "import numpy as np\n\n@dataclass\nclass Mine:\n    targets: list[str]\n"
        f"    def predict(self, tokens):\n        {GOOD}\n\n"
        "def make():\n    return Mine(['a', 'b'])\n"
    )
    oracle = load_oracle(f"python:{tmp_path / 'mine.py'}:make")
    assert score(LIBRARY, oracle).targets == ["a", "b"]


# --- the rest of geneq ------------------------------------------------------------------------


def test_no_other_code_asks_an_oracle_what_it_has():
    """Every oracle has every attribute, so getattr and hasattr are for the adapter alone."""
    root = Path(cli.__file__).parent
    asking = re.compile(r"(getattr|hasattr)\((\w+\.)?oracle\b")
    files = [path for path in root.rglob("*.py") if path.parent.name not in ("oracles", "keras")]
    assert len(files) > 50
    assert [path.name for path in files if asking.search(path.read_text())] == []

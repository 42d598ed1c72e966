"""`geneq score`: libraries become MAVEs, whatever oracle scores them; bad input is refused."""

import json
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch

from geneq import cli, encoding
from geneq.errors import GeneqError
from geneq.libraries import DiploidLibrary, RandomLibrary, open_library
from geneq.mave import Mave
from geneq.oracles import load_oracle, scoring, user
from geneq.oracles.network import NetworkOracle
from geneq.oracles.reductions import by_row, first_component
from geneq.oracles.scoring import score

WILD = "ACGTTGCAACGGTACATGTC"
LIBRARY = RandomLibrary(WILD, n=300, rate=0.2)


class Weighted(torch.nn.Module):
    """Two targets, each a weighted sum of the symbols; or a profile of them in `bins` bins."""

    def __init__(self, length: int = 20, bins: int = 0):
        super().__init__()
        self.bins = bins
        generator = torch.Generator().manual_seed(3)
        self.weight = torch.nn.Parameter(torch.randn(2, 4, length, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weighted = torch.einsum("nal,tal->nlt", x, self.weight)
        if self.bins:
            return weighted.unflatten(1, (self.bins, -1)).sum(2)
        return weighted.sum(1)


def oracle(length: int | None = 20, bins: int = 0, **options) -> NetworkOracle:
    return NetworkOracle("test", Weighted(length or 20, bins), length, ["a", "b"], **options)


def expected(tokens: np.ndarray, bins: int = 0) -> np.ndarray:
    """The scores by loops: float64[n, bins, 2], or [n, 2]."""
    module = Weighted(tokens.shape[1], bins)
    weight = module.weight.detach().numpy().astype(float)
    scores = np.zeros((len(tokens), tokens.shape[1], 2))
    for i, row in enumerate(tokens):
        for position, symbol in enumerate(row):
            if symbol < 4:
                scores[i, position] = weight[:, symbol, position]
    return scores.reshape(len(tokens), bins or 1, -1, 2).sum(2)[:, slice(None) if bins else 0]


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of 50 rows."""
    monkeypatch.setattr(scoring, "PART", {"cpu": 50 * 20, "cuda": 50 * 20})


def script(path, about: dict | None = None, **options):
    """A TorchScript file of `Weighted`."""
    with pytest.warns(FutureWarning):
        module = torch.jit.trace(Weighted(**options), torch.zeros(2, 4, 20))
        about = {"length": 20, "targets": ["a", "b"]} if about is None else about
        torch.jit.save(module, str(path), _extra_files={"geneq.json": json.dumps(about)})
    return path


def run(out, *arguments) -> int:
    return cli.main(["score", "--out", str(out), "--threads", "1", *map(str, arguments)])


# --- scores -----------------------------------------------------------------------------------


def test_every_row_has_its_score(small_parts):
    seen = []
    mave = score(LIBRARY, oracle(), progress=seen.append)
    np.testing.assert_allclose(mave.y, expected(LIBRARY.tokens()), atol=1e-5)
    assert mave.y.dtype == np.float32 and mave.targets == ["a", "b"] and seen == [50] * 6
    assert mave.library == LIBRARY and mave.oracle["name"] == "test"


def test_targets_are_chosen_in_the_order_asked_for():
    both, turned = score(LIBRARY, oracle()), score(LIBRARY, oracle(), targets=["b", "a"])
    np.testing.assert_array_equal(turned.y, both.y[:, ::-1])
    np.testing.assert_array_equal(score(LIBRARY, oracle(), ["b"]).y, both.y[:, 1:])
    with pytest.raises(GeneqError, match=r"no such target: 'c'. Use one of: a, b"):
        score(LIBRARY, oracle(), ["c"])


def test_what_cannot_end_is_refused_before_it_is_begun(tmp_path, capsys):
    net = f"torchscript:{script(tmp_path / 'net.pt')}"
    (tmp_path / "recipe.json").write_text(RandomLibrary(WILD, n=10**18).to_json())
    words = ("--oracle", net, "--recipe", tmp_path / "recipe.json")
    assert run(tmp_path / "out", *words) == 1
    assert "too big for memory" in capsys.readouterr().err
    assert run(tmp_path / "out", *words, "--target", "a", "a") == 1
    assert "A target is given more than once: 'a, a'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_both_strands_are_averaged():
    tokens = LIBRARY.tokens()
    both = [expected(tokens), expected(encoding.reverse_complement(tokens))]
    mave = score(LIBRARY, oracle(), reverse_complement=True)
    np.testing.assert_allclose(mave.y, np.mean(both, 0), atol=1e-5)


def test_profiles_of_both_strands_lie_on_one_another():
    tokens = LIBRARY.tokens()
    other = expected(encoding.reverse_complement(tokens), 4)[:, ::-1]
    mave = score(LIBRARY, oracle(bins=4), reduce="0:1", reverse_complement=True)
    np.testing.assert_allclose(mave.y, (expected(tokens, 4)[:, 0] + other[:, 0]) / 2, atol=1e-5)


def test_short_sequences_lie_in_the_middle_of_unknown_symbols():
    mave = score(LIBRARY, oracle(length=25))
    padded = np.pad(LIBRARY.tokens(), ((0, 0), (2, 3)), constant_values=4)
    np.testing.assert_allclose(mave.y, expected(padded), atol=1e-5)
    assert mave.oracle["padding"] == [2, 3]


def test_reduced_precision_is_close():
    full = score(LIBRARY, oracle())
    reduced = score(LIBRARY, oracle(precision="bfloat16"))
    assert reduced.oracle["precision"] == "bfloat16"
    difference = np.abs(full.y - reduced.y).max()
    assert 0 < difference < 0.05 * full.y.std()


def test_batches_that_do_not_fit_into_memory_are_halved():
    class Greedy(Weighted):
        def forward(self, x):
            if len(x) > 7:
                raise torch.OutOfMemoryError
            return super().forward(x)

    greedy = NetworkOracle("greedy", Greedy(), 20, ["a", "b"])
    np.testing.assert_allclose(score(LIBRARY, greedy).y, expected(LIBRARY.tokens()), atol=1e-5)


# --- profiles ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reduce", "twin"),
    [
        ("sum", lambda p: p.sum(1)),
        ("max", lambda p: p.max(1)),
        ("1:3", lambda p: p[:, 1] + p[:, 2]),
    ],
)
def test_profiles_are_reduced(reduce, twin, small_parts):
    mave = score(LIBRARY, oracle(bins=5), reduce=reduce)
    np.testing.assert_allclose(mave.y, twin(expected(LIBRARY.tokens(), 5)), atol=1e-5)


def test_profiles_are_reduced_to_their_first_principal_component(small_parts):
    mave = score(LIBRARY, oracle(bins=5), reduce="pc1")
    profiles = expected(LIBRARY.tokens(), 5)
    for target in range(2):
        centred = profiles[..., target] - profiles[..., target].mean(0)
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        component = u[:, 0] * s[0]
        component *= np.sign(component @ centred.sum(1))
        np.testing.assert_allclose(mave.y[:, target], component, atol=1e-4)


def test_profiles_are_reduced_by_a_function_of_the_users(tmp_path, monkeypatch):
    (tmp_path / "mine_to_reduce.py").write_text("def last(p):\n    return p[:, -1]\nnumber = 1\n")
    monkeypatch.chdir(tmp_path)
    wanted = expected(LIBRARY.tokens(), 5)[:, -1]
    for name in ("mine_to_reduce", tmp_path / "mine_to_reduce.py"):
        mave = score(LIBRARY, oracle(bins=5), reduce=f"python:{name}:last")
        np.testing.assert_allclose(mave.y, wanted, atol=1e-5)
    with pytest.raises(
        GeneqError, match=r"no such function: 'mine_to_reduce:none'. mine_to_reduce has last"
    ):
        by_row("python:mine_to_reduce:none")
    with pytest.raises(GeneqError, match="no such function: 'mine_to_reduce:number'"):
        by_row("python:mine_to_reduce:number")


def test_the_first_component_rises_with_the_sum_and_has_mean_0():
    rng = np.random.default_rng(1)
    shape, size = rng.random(6) + 0.5, rng.normal(size=200)
    profiles = (size[:, None] * shape + 0.01 * rng.normal(size=(200, 6)))[:, :, None]
    found = first_component([profiles[:70], profiles[70:]])[:, 0]
    assert np.corrcoef(found, size)[0, 1] > 0.999 and abs(found.mean()) < 1e-5


@pytest.mark.parametrize(
    ("bins", "reduce", "message"),
    [
        (0, "sum", "must return .rows, bins, targets., to be reduced: '.300, 2. for 300 rows"),
        (5, None, "must return .rows, targets.: '.300, 5, 2.*Set --reduce for oracles"),
        (5, "3:9", "Profiles have 5 bins: '3:9'"),
        (5, "3:3", "Unknown reduction"),
        (5, "median", "Unknown reduction of profiles: 'median'. Use one of: sum"),
    ],
)
def test_what_cannot_be_reduced_is_refused(bins, reduce, message):
    with pytest.raises(GeneqError, match=message):
        score(LIBRARY, oracle(bins=bins), reduce=reduce)


# --- what is refused --------------------------------------------------------------------------


def test_scores_that_are_not_finite_are_refused_with_their_rows(small_parts):
    class Broken(Weighted):
        def forward(self, x):
            # The log of 0 where neither of two symbols is that of the wild type.
            return super().forward(x) + (x[:, 2, 2:3] + x[:, 1, 6:7]).log()

    rows = np.flatnonzero((LIBRARY.tokens()[:, [2, 6]] != [2, 1]).all(1))
    rows = rows[rows // 50 == rows[0] // 50]
    assert rows[0] > 50 and len(rows) <= 5
    named = ", ".join(map(str, rows))
    with pytest.raises(GeneqError, match=f"Scores must be finite: 'rows {named} "):
        score(LIBRARY, NetworkOracle("broken", Broken(), 20, ["a", "b"]))


def test_sequences_longer_than_the_oracle_are_refused():
    with pytest.raises(GeneqError, match="test takes at most 12 nt: '20 nt in the library'"):
        score(LIBRARY, oracle(length=12))


def test_networks_that_know_of_a_tss_are_not_padded():
    with pytest.raises(GeneqError, match="takes 25 nt with the TSS at index 9"):
        score(LIBRARY, oracle(length=25, tss=9))
    score(LIBRARY, oracle(tss=9))


def test_other_alphabets_are_refused():
    with pytest.raises(
        GeneqError, match="takes sequences over ACGT: 'the library is over ACGTRYSWKM'"
    ):
        score(DiploidLibrary(WILD, n=10), oracle())


def test_an_output_that_is_not_what_the_targets_say_is_refused():
    three = NetworkOracle("three", Weighted(), 20, ["a", "b", "c"])
    with pytest.raises(GeneqError, match=r"300, 2. for 300 rows and 3 targets"):
        score(LIBRARY, three)


# --- going on ---------------------------------------------------------------------------------


class Counting(Weighted):
    """Counts the rows that it is asked for; fails after so many."""

    def __init__(self, most: int | None = None):
        super().__init__()
        self.seen, self.most = 0, most

    def forward(self, x):
        self.seen += len(x)
        if self.most is not None and self.seen > self.most:
            raise KeyboardInterrupt
        return super().forward(x)


def counting(most: int | None = None) -> NetworkOracle:
    return NetworkOracle("counting", Counting(most), 20, ["a", "b"])


def stopped(tmp_path) -> None:
    """A run that was stopped after three parts of six."""
    with pytest.raises(KeyboardInterrupt):
        score(LIBRARY, counting(most=150), folder=tmp_path / "parts")
    assert len(list((tmp_path / "parts").iterdir())) == 3


def test_a_run_that_was_stopped_goes_on(tmp_path, small_parts):
    stopped(tmp_path)
    again = counting()
    mave = score(LIBRARY, again, folder=tmp_path / "parts")
    assert again.module.seen == 150
    np.testing.assert_array_equal(mave.y, score(LIBRARY, oracle()).y)


def test_parts_that_are_not_whole_are_scored_again(tmp_path, small_parts):
    stopped(tmp_path)
    one, two, _ = sorted((tmp_path / "parts").iterdir())
    one.write_bytes(one.read_bytes()[:-4])
    two.write_bytes(b"")
    again = counting()
    mave = score(LIBRARY, again, folder=tmp_path / "parts")
    assert again.module.seen == 250
    np.testing.assert_array_equal(mave.y, score(LIBRARY, oracle()).y)


def test_parts_of_other_scores_are_not_taken(tmp_path, small_parts):
    stopped(tmp_path)
    for options in ({"targets": ["b"]}, {"reverse_complement": True}):
        again = counting()
        mave = score(LIBRARY, again, folder=tmp_path / "parts", **options)
        assert again.module.seen == 300 * (1 + ("reverse_complement" in options))
        np.testing.assert_array_equal(mave.y, score(LIBRARY, oracle(), **options).y)
    again, other = counting(), RandomLibrary(WILD, n=300, rate=0.2, seed=2)
    score(other, again, folder=tmp_path / "parts")
    assert again.module.seen == 300


# --- oracles of users -------------------------------------------------------------------------


def test_a_torchscript_file_is_an_oracle(tmp_path):
    path = script(tmp_path / "net.pt")
    mave = score(LIBRARY, load_oracle(f"torchscript:{path}"))
    np.testing.assert_allclose(mave.y, expected(LIBRARY.tokens()), atol=1e-5)
    assert mave.targets == ["a", "b"] and mave.oracle["name"] == "torchscript:net.pt"


def test_other_files_are_no_torchscript(tmp_path):
    whole = script(tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    torch.save(Weighted(), tmp_path / "pickled.pt")
    script(tmp_path / "bare.pt", {"targets": ["a", "b"]})
    script(tmp_path / "more.pt", {"length": 20, "targets": ["a", "b"], "bins": 3})
    script(tmp_path / "half.pt", {"length": "20", "targets": ["a", "b"]})
    script(tmp_path / "list.pt", [20, "a", "b"])
    with pytest.warns(FutureWarning):
        torch.jit.save(torch.jit.trace(Weighted(), torch.zeros(2, 4, 20)), tmp_path / "mute.pt")
    for name, message in [
        ("none.pt", "File not found"),
        ("cut.pt", "Not a complete TorchScript file"),
        ("pickled.pt", "Not a complete TorchScript file"),
        ("bare.pt", 'needs geneq.json with length .* and targets .*: \'{"targets": '),
        ("more.pt", "held_out, tss are optional: .*bins"),
        ("half.pt", "length must be a positive int"),
        ("list.pt", "are optional: "),
        ("mute.pt", "there is none"),
    ]:
        with pytest.raises(GeneqError, match=message):
            load_oracle(f"torchscript:{tmp_path / name}")


def test_a_function_of_the_users_gives_an_oracle(tmp_path, monkeypatch):
    module = tmp_path / "mine_that_scores.py"
    module.write_text(
        "from types import SimpleNamespace\n"
        "import test_score\n"
        "def make():\n    return test_score.oracle()\n"
        "def half():\n    return SimpleNamespace(name='x', predict=None)\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("mine_that_scores", module):
        made = load_oracle(f"python:{name}:make")
        np.testing.assert_array_equal(score(LIBRARY, made).y, score(LIBRARY, oracle()).y)
    for name, message in [
        ("mine_that_scores:half", "half is not an oracle: it has no predict and no targets"),
        ("mine_that_scores:none", "There is no such function.*mine_that_scores has .*make, half"),
        ("mine_that_is_not_there:make", "No module named 'mine_that_is_not_there'"),
        ("make", "given as module:function or file.py:function"),
        (f"{tmp_path}/none.py:make", r"File not found \(in .*none\.py\)"),
    ]:
        with pytest.raises(GeneqError, match=message):
            load_oracle(f"python:{name}")


def test_packages_add_oracles_by_an_entry_point(monkeypatch):
    point = EntryPoint("mine", "test_score:made", user.GROUP)
    monkeypatch.setattr(user, "entry_points", lambda group, name="mine": [point] * (name == "mine"))
    monkeypatch.setitem(sys.modules, "test_score", sys.modules[__name__])
    assert load_oracle("mine:20").length == 20
    with pytest.raises(GeneqError, match="xpresso, torchscript, python, mine: 'other:20'"):
        load_oracle("other:20")


def made(what: str) -> NetworkOracle:
    return oracle(int(what))


def test_precision_is_for_networks():
    with pytest.raises(GeneqError, match="motifs:core computes in float32 only: 'bfloat16'"):
        load_oracle("motifs:core", precision="bfloat16")
    with pytest.raises(
        GeneqError, match=r"Unknown precision: 'int8'. Use one of: float32, bfloat16"
    ):
        oracle(precision="int8")


# --- the command ------------------------------------------------------------------------------


def test_the_command_writes_a_mave(tmp_path, capsys):
    net = script(tmp_path / "net.pt")
    (tmp_path / "recipe.json").write_text(LIBRARY.to_json())
    LIBRARY.write(tmp_path / "library.packed.parquet")
    recipe = ["--recipe", tmp_path / "recipe.json"]
    file = ["--library", tmp_path / "library.packed.parquet"]
    for source in (recipe, file):
        assert run(tmp_path / "out", "--oracle", f"torchscript:{net}", *source) == 0
        mave = Mave.load(tmp_path / "out/mave.parquet")
        np.testing.assert_allclose(mave.y, expected(LIBRARY.tokens()), atol=1e-5)
        assert mave.library == LIBRARY and mave.tokens is None
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["mave.parquet"]
    assert "mave.parquet: 300 rows, a, b\n" in capsys.readouterr().out


def test_the_command_takes_the_options_of_scoring(tmp_path, capsys):
    net = script(tmp_path / "net.pt", {"length": 20, "targets": ["a", "b"]}, bins=5)
    (tmp_path / "recipe.json").write_text(LIBRARY.to_json())
    options = ["--oracle", f"torchscript:{net}", "--recipe", tmp_path / "recipe.json"]
    options += ["--target", "b", "--reduce", "max", "--reverse_complement"]
    assert run(tmp_path / "out", *options, "--precision", "bfloat16") == 0
    mave = Mave.load(tmp_path / "out/mave.parquet")
    assert mave.targets == ["b"] and mave.oracle["precision"] == "bfloat16"
    assert mave.oracle["reverse_complement"] and mave.oracle["reduce"] == "max"


def test_motifs_score_a_library(tmp_path, capsys):
    library = RandomLibrary(WILD * 2, n=20)
    (tmp_path / "recipe.json").write_text(library.to_json())
    options = ["--oracle", "motifs:core", "--recipe", tmp_path / "recipe.json"]
    assert run(tmp_path / "out", *options) == 0
    assert Mave.load(tmp_path / "out/mave.parquet").y.shape == (20, 40)


def test_files_without_a_usable_recipe_keep_their_sequences(tmp_path):
    LIBRARY.write(tmp_path / "library.parquet")
    file = open_library(tmp_path / "library.parquet")
    object.__setattr__(file, "recipe_text", "{}")
    again = counting()
    for _ in range(2):
        mave = score(file, again, folder=tmp_path / "parts")
        assert mave.library is None and again.module.seen == 300
        np.testing.assert_array_equal(mave.tokens, LIBRARY.tokens())


def test_bad_libraries_are_refused(tmp_path, capsys):
    net = script(tmp_path / "net.pt")
    whole = LIBRARY.to_json()
    LIBRARY.write(tmp_path / "library.fa")
    text = (tmp_path / "library.fa").read_text()
    (tmp_path / "recipe.json").write_text(whole[: len(whole) // 2])
    for option, name, content, message in [
        ("--recipe", "none.json", None, "File not found"),
        ("--recipe", "recipe.json", whole[: len(whole) // 2], "The recipe is no JSON"),
        ("--library", "library.fa", text[: len(text) // 2], "Sequences must have the same length"),
        ("--library", "library.fa", text[: text.index(">random_99")], "must have 300 rows: 99"),
        ("--library", "library.fa", text.replace(WILD, "A" * 20, 1), "row 0 (0-based)"),
        ("--library", "none.parquet", None, "File not found"),
    ]:
        if content is not None:
            (tmp_path / name).write_text(content)
        assert run(tmp_path / "out", "--oracle", f"torchscript:{net}", option, tmp_path / name) == 1
        error = capsys.readouterr().err
        assert message in error and name in error
        assert not (tmp_path / "out/mave.parquet").exists()

"""`geneq featurize` at scale: killed runs that continue, memory, precision, progress."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from geneq import progress
from geneq.artifacts import GENES
from geneq.errors import GeneqError
from geneq.features import Features
from geneq.oracles import BinnedOracle, load_oracles
from geneq.oracles.feeding import Fitting, distinct_rows
from geneq.oracles.network import NetworkOracle
from geneq.progress import Progress, duration
from geneq.rows import Rows, SavedArray
from geneq.stages import featurize as stage
from geneq.stages.featurize import featurize
from test_deep_features import EDGES, ran, write_genome

pytestmark = pytest.mark.usefixtures("one_thread")

# A small network, which notes every window that it scores; as slow as is asked for.
NETWORK = """
import os, time
import torch
from geneq.oracles.network import NetworkOracle

class Noted(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.net = torch.nn.Sequential(
            torch.nn.Conv1d(4, 16, 7), torch.nn.ReLU(), torch.nn.AdaptiveMaxPool1d(1),
            torch.nn.Flatten(), torch.nn.Linear(16, 12),
        )

    def forward(self, x):
        time.sleep(float(os.environ.get("SLOW", "0")))
        return self.net(x)

def make():
    return NetworkOracle("noted", Noted(), 64, [f"class {i}" for i in range(12)])
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A genome of 300 genes in genes/, and net.py."""
    folder = tmp_path_factory.mktemp("streaming")
    write_genome(folder)
    (folder / "net.py").write_text(NETWORK)
    files = ("--fasta", folder / "genome.fa", "--gtf", folder / "genes.gtf")
    ran("genes", "--genome", "g", *files, EDGES, "--out", folder / "genes")
    return folder


def oracle(made: Path, precision: str = "float32") -> list:
    return load_oracles(f"python:{made / 'net.py'}:make", precision=precision)


def words(made: Path, out: Path, oracles: str = "python") -> list[str]:
    spec = oracles.replace("python", f"python:{made / 'net.py'}:make")
    given = ["--genome_dir", made / "genes", "--oracle", spec, "--tile", 8, "--out", out]
    return [str(word) for word in given]


def files(folder: Path) -> dict[str, bytes]:
    found = {p.relative_to(folder): p for p in folder.rglob("*") if p.is_file()}
    return {str(name): path.read_bytes() for name, path in found.items()}


def steps_of(monkeypatch, genes: int) -> None:
    monkeypatch.setattr(stage, "GENES_AT_A_TIME", genes)


# --- continuing -------------------------------------------------------------------------------

# The command with small steps, as a program to be killed.
PROGRAM = """
import sys
from geneq import cli
from geneq.stages import featurize
featurize.GENES_AT_A_TIME = 20
sys.exit(cli.main([*sys.argv[1:], "--threads", "1"]))
"""


def killed(words: list[str], parts: Path, saved: int) -> None:
    """A run of the command that is killed when so many parts are saved."""
    environment = {**os.environ, "SLOW": "0.05"}
    run = subprocess.Popen([sys.executable, "-c", PROGRAM, "featurize", *words], env=environment)
    deadline = time.monotonic() + 120
    while len(list(parts.glob("*.npy"))) < saved:
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL


def test_a_killed_run_continues_to_the_same_bytes(made, tmp_path, monkeypatch, capsys):
    parts = tmp_path / "killed.zarr.parts"
    # Fifteen steps of the k-mers, then some of the network.
    killed(words(made, tmp_path / "killed.zarr", "kmers:1+python"), parts, saved=19)
    assert [path for path in tmp_path.iterdir() if path.suffix == ".zarr"] == []
    saved = len(list(parts.glob("*.npy")))
    steps_of(monkeypatch, 20)
    ran("featurize", *words(made, tmp_path / "killed.zarr", "kmers:1+python"))
    assert f"noted: {20 * (saved - 15)} genes were scored before; " in capsys.readouterr().err
    assert not parts.exists()
    ran("featurize", *words(made, tmp_path / "whole.zarr", "kmers:1+python"))
    assert "noted: 9,000 windows (300 genes × 30), " in capsys.readouterr().err
    assert files(tmp_path / "killed.zarr") == files(tmp_path / "whole.zarr")


def test_parts_of_other_settings_are_not_used(made, tmp_path, monkeypatch):
    steps_of(monkeypatch, 100)
    featurize(made / "genes", oracle(made), tile=8, folder=tmp_path)
    first = {path.name for path in tmp_path.iterdir()}
    other = featurize(made / "genes", oracle(made), tile=16, folder=tmp_path)
    assert len({path.name for path in tmp_path.iterdir()} - first) == 3
    expected = featurize(made / "genes", oracle(made), tile=16)
    np.testing.assert_array_equal(other.blocks[0].values[:], expected.blocks[0].values[:])


# --- what is computed -------------------------------------------------------------------------


class Counted(BinnedOracle):
    """GC of a bin; counts the sequences that it is given, and runs out of memory above `most`."""

    name, targets, hash = "counted", ["GC", "length"], "1"

    def __init__(self, most: int | None = None, error: type[BaseException] = MemoryError):
        self.most, self.error, self.sizes = most, error, []

    def predict(self, tokens, anchor=None):
        raise NotImplementedError

    def predict_bins(self, tokens, edges):
        if self.most and len(tokens) > self.most:
            raise self.error("no memory for so many")
        self.sizes.append(len(tokens))
        gc = (tokens == 1) | (tokens == 2)
        parts = [gc[:, a:b] for a, b in pairwise(edges)]
        scores = [[part.mean(1), np.full(len(part), part.shape[1])] for part in parts]
        return np.array(scores, np.float32).transpose(2, 0, 1)


def test_equal_windows_are_scored_once(made, tmp_path):
    """A gene table in which every gene is there twice."""
    table = GENES.read(made / "genes" / "genes.parquet")
    twice = table.loc[table.index.repeat(2)].reset_index(drop=True)
    twice.loc[1::2, "gene_id"] += "_again"
    for path in (made / "genes").iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "genes.parquet").unlink()
    GENES.write(twice, tmp_path / "genes.parquet")
    counted = Counted()
    values = featurize(tmp_path, [counted]).blocks[0].values[:]
    assert sum(counted.sizes) == 300 and len(values) == 600
    np.testing.assert_array_equal(values[::2], values[1::2])


@pytest.mark.parametrize("length", [1, 7, 8, 100])
def test_distinct_rows_are_in_the_order_of_the_first(length):
    tokens = np.random.default_rng(3).integers(0, 3, (40, length)).astype(np.uint8)
    tokens = tokens[np.random.default_rng(4).integers(0, 40, 200)]
    first, which = distinct_rows(tokens)
    np.testing.assert_array_equal(tokens[first][which], tokens)
    assert len(first) == len(np.unique(tokens, axis=0)) and (np.diff(first) > 0).all()


def test_rows_with_equal_hashes_are_told_apart(monkeypatch):
    from geneq.oracles import feeding

    tokens = np.random.default_rng(3).integers(0, 3, (50, 4)).astype(np.uint8)
    first, which = distinct_rows(tokens)
    monkeypatch.setattr(feeding, "_hashes", lambda rows: np.zeros(len(rows), np.uint64))
    for found, expected in zip(distinct_rows(tokens), (first, which), strict=True):
        np.testing.assert_array_equal(found, expected)


# --- memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_genes_that_do_not_fit_into_memory_are_halved_and_said(made, error):
    greedy = Counted(most=40, error=error)
    with pytest.warns(UserWarning, match="counted: out of memory; continued with 37 at a time"):
        values = featurize(made / "genes", [greedy]).blocks[0].values[:]
    assert max(greedy.sizes) == 37 and sum(greedy.sizes) == 300
    np.testing.assert_array_equal(
        values, featurize(made / "genes", [Counted()]).blocks[0].values[:]
    )


def test_one_gene_that_does_not_fit_is_an_error(made):
    class Hopeless(Counted):
        def predict_bins(self, tokens, edges):
            raise MemoryError("never")

    with pytest.raises(MemoryError), pytest.warns(UserWarning, match="with 1 at a time"):
        featurize(made / "genes", [Hopeless()])


def test_batches_of_a_network_on_the_cpu_are_halved_and_said():
    class Greedy(torch.nn.Module):
        def forward(self, x):
            if len(x) > 7:  # as torch says it on a CPU
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to …")
            return x.sum((1, 2))[:, None]

    greedy = NetworkOracle("greedy", Greedy(), 20, ["a"])
    with pytest.warns(UserWarning, match="greedy: out of memory; continued with 6 at a time"):
        scores = greedy.predict(np.zeros((100, 20), np.uint8))
    assert (scores == 20).all()


def test_a_call_has_as_many_rows_as_fit_into_half_of_the_free_memory(monkeypatch):
    """Every row takes 8 MB; 250 MB are free."""
    from geneq.oracles import feeding

    sizes = []

    def hungry(tokens):
        sizes.append(len(tokens))
        return np.ones((len(tokens), 2**20)).sum(1)

    monkeypatch.setattr(feeding, "available_memory", lambda: 250_000_000)
    fitting = Fitting(hungry, "hungry")
    assert fitting(np.zeros((50, 4), np.uint8)).tolist() == [2**20] * 50
    assert sizes[0] == feeding.FEW and max(sizes[1:]) == fitting.most <= 16
    assert sum(sizes[1:]) == 50


def test_features_that_are_too_large_are_refused_before_anything_is_scored(
    made, tmp_path, monkeypatch
):
    counted = Counted()
    monkeypatch.setattr(stage, "LARGEST", 4 * 300 * 2 * 2 - 1)
    with pytest.raises(GeneqError, match=r"300 genes × 4 columns take 0.0 GB'. Give .* --classes"):
        featurize(made / "genes", [counted])
    featurize(made / "genes", [Counted()], keep_outputs=True)
    free = stage.shutil.disk_usage(tmp_path)._replace(free=2 * 4 * 300 * 4 - 1)
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda path: free)
    with pytest.raises(GeneqError, match=r"not enough disk space .*out\.zarr"):
        featurize(made / "genes", [counted], keep_outputs=True, folder=tmp_path / "out.zarr")
    assert not counted.sizes and not list(tmp_path.iterdir())


def test_rows_of_files_are_those_of_the_whole(tmp_path):
    whole = np.random.default_rng(0).normal(size=(23, 3, 5)).astype(np.float32)
    parts = []
    for i, (start, stop) in enumerate([(0, 7), (7, 7), (7, 20), (20, 23)]):
        np.save(tmp_path / f"{i}.npy", whole[start:stop])
        parts.append(SavedArray(tmp_path / f"{i}.npy", (stop - start, 3, 5)))
    rows = Rows(parts)
    assert rows.shape == whole.shape
    for key in (slice(None), slice(0, 0), slice(5, 8), slice(7, 30), slice(21, None)):
        np.testing.assert_array_equal(rows[key], whole[key])
        np.testing.assert_array_equal(rows[key, :, 1:3], whole[key, :, 1:3])


# --- precision and progress -------------------------------------------------------------------


def test_the_error_of_reduced_precision_is_measured_and_stored(made, tmp_path):
    full = featurize(made / "genes", oracle(made), tile=8)
    for shard in ("1/2", "2/2"):
        ran("featurize", *words(made, tmp_path / f"{shard[0]}.zarr"), "--precision", "bfloat16",
            "--shard", shard)  # fmt: skip
    ran("featurize", "--join", tmp_path / "1.zarr", tmp_path / "2.zarr", "--out", tmp_path / "j")
    (exact,), (block,) = full.blocks, Features.read(tmp_path / "j").blocks
    each = [Features.read(tmp_path / f"{i}.zarr").blocks[0].precision_error for i in (1, 2)]
    assert block.meta["precision"] == "bfloat16" and exact.precision_error is None
    assert block.precision_error in each and block.precision_error["rows"] == 4
    assert block.precision_error["rms"] == max(error["rms"] for error in each)
    difference = np.abs(block.values - exact.values[:])
    first = [np.r_[0:4], np.r_[150:154]]
    for error, rows in zip(each, first, strict=True):
        assert error["largest"] == pytest.approx(difference[rows].max(), rel=1e-4)
    assert 0 < block.precision_error["rms"] < 0.2


def test_precision_is_for_networks(made):
    assert [o.precision for o in load_oracles("kmers:1+python:" + str(made / "net.py:make"),
            precision="bfloat16")] == ["float32", "bfloat16"]  # fmt: skip
    with pytest.raises(GeneqError, match="kmers:1 computes in float32 only: 'bfloat16'"):
        load_oracles("kmers:1", precision="bfloat16")


def test_progress_has_a_rate_and_the_time_left(monkeypatch, capsys):
    now = iter([0.0, 20.0, 40.0, 50.0, 80.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    shown = Progress("model", 1000, "windows")
    for _ in range(4):
        shown.add(100)
    assert capsys.readouterr().err.splitlines() == [
        "model: 200 of 1,000 windows, 5 a second, 2 min 40 s left",
        "model: 400 of 1,000 windows, 5 a second, 2 min left",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "under 1 s"), (12, "12 s"), (250, "4 min 10 s"), (3600, "1 h"), (12_000, "3 h 20 min"),
     (86_400 + 59, "1 d"), (5_000_000, "57 d 20 h")],
)  # fmt: skip
def test_times_are_in_their_two_largest_units(seconds, text):
    assert duration(seconds) == text

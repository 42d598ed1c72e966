"""Wrong models and odd windows are named, with what to do; nothing is scored by halves."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from geneq.errors import GeneqError
from geneq.features import Features
from geneq.oracles import load_oracle
from geneq.oracles.network import NetworkOracle
from geneq.oracles.sei import open_sei
from test_deep_equations import document
from test_featurize import EDGES, geneq, ran, write_inputs
from twins import sei as narrow

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTH = 2400


class Dense(nn.Module):
    """Reads 12 groups of bases by a matrix product, so that its length is fixed."""

    def __init__(self, length: int = LENGTH):
        super().__init__()
        torch.manual_seed(3)
        self.layer = nn.Linear(4 * length, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1))


def write_net(path: Path, about: dict, module: nn.Module | None = None) -> str:
    text = json.dumps({"length": LENGTH, "targets": ["a", "b"], **about})
    torch.jit.save(torch.jit.script(module or Dense()), path, {"geneq.json": text})
    return f"torchscript:{path}"


# --- models -----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [LENGTH - 1, LENGTH + 4])
def test_a_network_of_another_length_than_it_says_is_refused(tmp_path, length):
    spec = write_net(tmp_path / "net.pt", {"length": length})
    with pytest.raises(
        GeneqError, match=rf"of the length in geneq\.json: '{length:,} nt: "
    ) as error:
        load_oracle(spec)
    assert error.value.file == str(tmp_path / "net.pt") and "own length" in error.value.fix


@pytest.mark.parametrize("targets", [["a"], ["a", "b", "c"]])
def test_a_network_with_other_outputs_than_it_says_is_refused(tmp_path, targets):
    spec = write_net(tmp_path / "net.pt", {"targets": targets})
    message = rf"other outputs than the targets .*\[1, 2\] for a sequence, {len(targets)} targets"
    with pytest.raises(GeneqError, match=message):
        load_oracle(spec)


def test_profiles_and_any_length_are_taken(tmp_path):
    class Profile(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :2].transpose(1, 2)

    spec = write_net(tmp_path / "net.pt", {}, Profile())
    assert load_oracle(spec).predict(np.zeros((1, LENGTH), np.uint8)).shape == (1, LENGTH, 2)
    spec = write_net(tmp_path / "any.pt", {"length": None}, Profile())
    assert load_oracle(spec).predict(np.zeros((1, 7), np.uint8)).shape == (1, 7, 2)


@pytest.mark.parametrize("lines", [narrow.PROFILES - 1, narrow.PROFILES + 1])
def test_names_that_do_not_fit_the_projection_are_refused(tmp_path, lines):
    folder = narrow.write_folder(tmp_path)
    (folder / "target.names").write_text("\n".join(f"p{i}" for i in range(lines)))
    message = rf"shape \(61, 30\), 40 classes, {lines} profiles"
    with pytest.raises(GeneqError, match=message) as error:
        open_sei(str(folder), narrow.WIDTH)
    assert error.value.file == folder / "projvec_targets.npy"


def test_the_checkpoint_of_another_model_lists_what_is_missing(tmp_path):
    folder = narrow.write_folder(tmp_path)
    torch.save(Dense(4).state_dict(), folder / "sei.pth")
    with pytest.raises(GeneqError, match=r"not the weights of Sei.*unknown: layer\.bias"):
        open_sei(str(folder), narrow.WIDTH)


def test_memory_that_runs_out_on_the_first_batch_is_halved_and_said():
    """Down to single sequences; then it is an error with the length."""

    class Greedy(nn.Module):
        def __init__(self, most: int):
            super().__init__()
            self.most = most

        def forward(self, x):
            if len(x) > self.most:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to …")
            return x.sum((1, 2))[:, None]

    tokens = np.zeros((8, 1000), np.uint8)
    with pytest.warns(UserWarning, match="greedy: out of memory; continued with 1 at a time"):
        scores = NetworkOracle("greedy", Greedy(1), 1000, ["a"]).predict(tokens)
    assert (scores == 1000).all() and scores.shape == (8, 1)
    hopeless = NetworkOracle("greedy", Greedy(0), 1000, ["a"])
    with (
        pytest.warns(UserWarning, match="with 1 at a time"),
        pytest.raises(GeneqError, match="A sequence does not fit into memory: '1,000 nt'"),
    ):
        hopeless.predict(tokens)


# --- windows and scores -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def genome(tmp_path_factory) -> Path:
    """Contigs of 3,000 nt, the last of them mostly N; genes/."""
    folder = tmp_path_factory.mktemp("bad_models")
    write_inputs(folder)
    contigs = (folder / "genome.fa").read_text().split(">")
    name, sequence = contigs[-1].split("\n", 1)
    middle = len(sequence) // 2
    sequence = "N" * 840 + sequence[840:960] + "N" * (middle - 960) + sequence[middle:1900]
    contigs[-1] = f"{name}\n{sequence.ljust(3000, 'N')}\n"
    (folder / "genome.fa").write_text(">".join(contigs))
    files = ("--fasta", folder / "genome.fa", "--gtf", folder / "genes.gtf")
    edges = "--bin_edges=" + ",".join(map(str, EDGES))
    ran("genes", "--genome", "g", *files, edges, "--out", folder / "genes")
    return folder


def test_windows_beyond_contigs_and_of_n_are_counted(genome, tmp_path, capsys):
    net = write_net(tmp_path / "net.pt", {})
    words = ("featurize", "--genome_dir", genome / "genes", "--tile", 10, "--out")
    ran(*words, tmp_path / "f.zarr", "--oracle", net)
    message = capsys.readouterr().err
    # 1,200 nt on either side of bins; of genes at 900 and 1,800 of 3,000 nt.
    assert (
        "torchscript:net.pt: 20 of 20 windows reach beyond their contig, where they are" in message
    )
    assert "torchscript:net.pt: 2 of 20 windows are mostly N (such as chr10_0x)" in message
    assert np.isfinite(Features.read(tmp_path / "f.zarr").blocks[0].values).all()
    ran(*words[:3], "--out", tmp_path / "k.zarr", "--oracle", "kmers:1")
    assert "beyond their contig" not in capsys.readouterr().err


def test_classes_of_outputs_that_the_model_lacks_are_refused(genome, tmp_path, capsys):
    net = write_net(tmp_path / "net.pt", {})
    (tmp_path / "c.tsv").write_text("output\tclass\na\tx\nz\tx\n")
    words = ("--oracle", net, "--classes", tmp_path / "c.tsv", "--tile", 10)
    assert geneq("featurize", "--genome_dir", genome / "genes", *words,
                 "--out", tmp_path / "f.zarr") == 1  # fmt: skip
    message = capsys.readouterr().err
    assert "names outputs that the model does not have: 'z'" in message and "It has a, b" in message
    assert not (tmp_path / "f.zarr").exists()


NAN = """
import numpy as np
from geneq.oracles import BinnedOracle

class Broken(BinnedOracle):
    name, targets, hash, bad = "broken:x", ["a", "b", "c"], "1", False

    def predict(self, tokens, anchor=None):
        return self.predict_bins(tokens, np.array([0, tokens.shape[1]]))[:, 0]

    def predict_bins(self, tokens, edges):
        parts = [tokens[:, a:b] for a, b in zip(edges[:-1], edges[1:])]
        scores = np.stack([(part == 2).mean(1) for part in parts], axis=1)
        scores[(tokens[:, 0] == 0) & self.bad] = np.nan
        return np.repeat(scores[:, :, None], 3, axis=2).astype(np.float32)

def good():
    return Broken()

def bad():
    made = Broken()
    made.bad = True
    return made
"""


def test_scores_that_are_not_numbers_are_named(genome, tmp_path, capsys):
    """By featurize and, of an equation over such features, by score and variants."""
    (tmp_path / "mine.py").write_text(NAN)
    words = ("featurize", "--genome_dir", genome / "genes", "--out", tmp_path / "f.zarr")
    assert geneq(*words, "--oracle", f"python:{tmp_path / 'mine.py'}:bad") == 1
    message = capsys.readouterr().err
    assert "A score of broken:x is not a finite number: 'nan for gene chr" in message
    assert not (tmp_path / "f.zarr").exists()
    ran(*words, "--oracle", f"python:{tmp_path / 'mine.py'}:good")
    (tmp_path / "0.json").write_text(json.dumps(document(Features.read(tmp_path / "f.zarr"))))
    ran("mutagenize", "--type", "random", "--sequence", "A" * 110, "--n", 5, "--rate", 0,
        "--out", tmp_path / "l.fa")  # fmt: skip
    named = ("--equation_oracles", f"python:{tmp_path / 'mine.py'}:bad")
    words = ("score", "--library", tmp_path / "l.fa", "--oracle", f"equation:{tmp_path / '0.json'}")
    assert geneq(*words, *named, "--out", tmp_path / "out") == 1
    assert "Scores of broken:x must be finite" in capsys.readouterr().err
    assert not (tmp_path / "out/mave.parquet").exists()
    (tmp_path / "equations").mkdir()
    (tmp_path / "0.json").rename(tmp_path / "equations/0.json")
    words = ("background", "--genome", genome / "genes", "--features", tmp_path / "f.zarr")
    words += ("--equations", tmp_path, *named, "--n", 200, "--out", tmp_path / "b")
    assert geneq(*words) == 1
    assert "Scores of broken:x must be finite" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()

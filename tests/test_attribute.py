"""`geneq attribute`: effects of the symbols of a locus by every method, in one table."""

import json

import numpy as np
import pytest
import torch

from geneq import cli
from geneq.artifacts import ATTRIBUTION_AGREEMENT, ATTRIBUTIONS
from geneq.libraries import RandomLibrary
from geneq.mave import Mave
from geneq.oracles import load_oracle
from geneq.oracles.scoring import score
from test_attribution import WILD_TYPE, Linear

pytestmark = pytest.mark.usefixtures("one_thread")
TARGETS = ["one", "two"]
METHODS = ["ism", "saliency", "integrated_gradients", "ridge", "lasso", "lime"]


def attribute(*options) -> int:
    return cli.main(["attribute", "--threads", "1", *map(str, options)])


@pytest.fixture(scope="module")
def locus(tmp_path_factory):
    """A linear network, and a library that it scored."""
    folder = tmp_path_factory.mktemp("locus")
    module, about = Linear(), json.dumps({"length": len(WILD_TYPE), "targets": TARGETS})
    torch.jit.save(torch.jit.script(module), folder / "net.pt", {"geneq.json": about})
    oracle = load_oracle(f"torchscript:{folder / 'net.pt'}")
    score(RandomLibrary(WILD_TYPE, n=2000, rate=0.2), oracle).save(folder / "mave.parquet")
    return folder


def test_every_method_finds_the_weights_of_a_linear_network(locus, tmp_path):
    mave, out = locus / "mave.parquet", tmp_path / "out"
    fitted = ["surrogate", "--mave", mave, "--out", tmp_path / "fit", "--nonlinearity", "linear"]
    assert cli.main([*map(str, fitted), "--noise", "gaussian", "--threads", "1"]) == 0
    options = ["--oracle", f"torchscript:{locus / 'net.pt'}", "--surrogate", tmp_path / "fit"]
    assert attribute("--mave", mave, "--out", out, *options) == 0
    effects = ATTRIBUTIONS.read(out / "attributions.parquet")
    assert (effects.loc[effects["wild"] == effects["symbol"], "effect"] == 0).all()
    weights = Linear().weights.detach().numpy().transpose(0, 2, 1)
    methods = ["surrogate", *METHODS]
    for number, target in enumerate(TARGETS):
        known = [method for method in methods if method != "lime"]  # keeps the few largest
        for method in known:
            chosen = (effects["target"] == target) & (effects["method"] == method)
            found = effects.loc[chosen, "effect"].to_numpy().reshape(-1, 4)
            own = weights[number][np.arange(len(found)), list(map("ACGT".index, WILD_TYPE))]
            np.testing.assert_allclose(found, weights[number] - own[:, None], atol=0.05)
    agreement = ATTRIBUTION_AGREEMENT.read(out / "attribution_agreement.parquet")
    assert len(agreement) == 2 * len(methods) * (len(methods) - 1) // 2
    assert agreement["r"].min() > 0.9
    names = {path.name for path in out.glob("*.svg")}
    assert names == {f"{number}_{method}.svg" for number in (0, 1) for method in methods}


def test_methods_without_an_oracle_need_none(locus, tmp_path, capsys):
    mave = ("--mave", locus / "mave.parquet", "--out", tmp_path / "out")
    assert attribute(*mave, "--target", "two") == 0
    effects = ATTRIBUTIONS.read(tmp_path / "out" / "attributions.parquet")
    assert set(effects["method"]) == {"ridge", "lasso", "lime"}
    assert set(effects["target"]) == {"two"}
    assert attribute(*mave, "--methods", "ism", "ridge") == 1
    assert "These methods need an oracle: 'ism'. Give --oracle" in capsys.readouterr().err
    net = f"torchscript:{locus / 'net.pt'}"
    assert attribute(*mave, "--methods", "deeplift", "--oracle", net) == 1
    assert "one that is not TorchScript: 'torchscript:net.pt'" in capsys.readouterr().err


def test_a_negative_seed_is_refused(locus, tmp_path, capsys):
    out = tmp_path / "out"
    assert attribute("--mave", locus / "mave.parquet", "--seed", "-1", "--out", out) == 1
    assert "--seed must be between 0 and " in capsys.readouterr().err
    assert not out.exists()


def test_files_already_in_the_folder_are_kept(locus, tmp_path):
    (tmp_path / "mave.parquet").write_bytes((locus / "mave.parquet").read_bytes())
    (tmp_path / "notes.txt").write_text("mine")
    assert attribute("--mave", tmp_path / "mave.parquet", "--methods", "ridge",
                     "--out", tmp_path) == 0  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {
        "mave.parquet", "notes.txt", "attributions.parquet", "attribution_agreement.parquet",
        "0_ridge.svg", "1_ridge.svg",
    }  # fmt: skip


def test_a_surrogate_of_another_locus_is_refused(locus, tmp_path, capsys):
    other = RandomLibrary(WILD_TYPE[::-1], n=500, rate=0.2)
    y = np.random.default_rng(1).normal(size=(500, 1)).astype(np.float32)
    Mave(other, None, "dna", y, ["one"]).save(tmp_path / "other.parquet")
    fitted = ["surrogate", "--mave", tmp_path / "other.parquet", "--out", tmp_path / "fit"]
    assert cli.main([*map(str, fitted), "--threads", "1"]) == 0
    mave = ("--mave", locus / "mave.parquet", "--out", tmp_path / "out")
    assert attribute(*mave, "--surrogate", tmp_path / "fit") == 1
    assert "have different wild types" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

"""Small Borzoi models of random weights, read by geneq as borzoi-pytorch computes them.

Needs borzoi-pytorch, which cannot share geneq's environment: `make test-oracles` runs this.
"""

import json

import numpy as np
import pytest
import torch

package = pytest.importorskip(
    "borzoi_pytorch.pytorch_borzoi_model",
    reason="make test-oracles runs this in an environment of its own",
)

from geneq.errors import GeneqError  # noqa: E402
from geneq.oracles.borzoi import open_borzoi  # noqa: E402

LENGTH = 2**14
MODELS = {
    "borzoi": (package.Borzoi, package.BorzoiConfig, 32),
    "prime": (package.Prime, package.PrimeConfig, 16),
}
SMALL = {"dim": 64, "depth": 1, "heads": 2, "attn_dim_key": 16, "attn_dim_value": 32,
         "bins_to_return": 32}  # fmt: skip


@pytest.fixture(scope="module", params=MODELS)
def saved(request, tmp_path_factory):
    """A model and its folder."""
    model, config, size = MODELS[request.param]
    torch.manual_seed(1)
    network = model(config(**SMALL)).eval()
    folder = tmp_path_factory.mktemp(request.param)
    network.save_pretrained(folder)
    outputs = network.human_head.out_channels
    if request.param == "prime":
        table = package.TRACKS_DF.iloc[np.arange(outputs) % 7611].reset_index(drop=True)
        table.to_csv(folder / "targets.txt", sep="\t")
    return network, folder, size


def sequences(n):
    return np.random.default_rng(1).integers(0, 5, (n, LENGTH), np.uint8)


def outputs(network, tokens):
    """Of the package, float32[n, tracks, bins], squashed."""
    one_hot = torch.from_numpy((tokens[:, None] == np.arange(4)[None, :, None]).astype(np.float32))
    with torch.inference_mode():
        return network(one_hot)


def test_scores_are_those_of_the_package(saved):
    network, folder, size = saved
    oracle = open_borzoi(f"{folder}:*CNhs1060*,ENCFF*", LENGTH)
    tokens = sequences(2)
    found = oracle.predict(tokens)
    assert (oracle.bin_size, found.shape[:2]) == (size, (2, 32))
    assert 1 < len(oracle.targets) < network.human_head.out_channels
    table = package.TRACKS_DF.iloc[np.arange(network.human_head.out_channels) % 7611].reset_index()
    chosen = table.index[
        table.identifier.str.contains("CNhs1060") | table.identifier.str.startswith("ENCFF")
    ].to_numpy()
    squashed = outputs(network, tokens)[:, chosen]
    for kind, power in (("sum_sqrt", 0.75), ("sum", 1.0), ("mean", 1.0)):
        for k in np.flatnonzero(table.sum_stat.iloc[chosen] == kind)[:3]:
            row = table.iloc[chosen[k]]
            coverage = package.undo_squashed_scale(
                squashed[:, k], row.clip_soft, power, row.scale, old_transform=size == 32
            )
            np.testing.assert_allclose(found[..., k], coverage, rtol=1e-3, atol=1e-3)


def test_published_geometry(saved):
    _, folder, size = saved
    oracle = open_borzoi(f"{folder}:CNhs10608+")
    assert (oracle.length, oracle.bin_size) == (524_288, size)


def test_a_model_of_another_type_is_refused(saved, tmp_path):
    _, folder, _ = saved
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "enformer"}))
    with pytest.raises(GeneqError, match="model_type"):
        open_borzoi(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(config | {"dim": 32}))
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    with pytest.raises(GeneqError, match="another model"):
        open_borzoi(str(tmp_path))


def test_a_table_of_tracks_is_needed_where_the_package_has_none(saved):
    network, folder, _ = saved
    if network.human_head.out_channels == 7611:
        pytest.skip("the package has the table of Borzoi")
    (folder / "targets.txt").rename(folder / "aside")
    try:
        with pytest.raises(GeneqError, match=r"targets\.txt"):
            open_borzoi(str(folder), LENGTH)
    finally:
        (folder / "aside").rename(folder / "targets.txt")

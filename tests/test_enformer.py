"""A small Enformer of random weights, read by geneq as enformer-pytorch computes it.

Needs enformer-pytorch, which cannot share geneq's environment: `make test-oracles` runs this.
"""

import json

import numpy as np
import pytest
import torch

enformer = pytest.importorskip(
    "enformer_pytorch", reason="make test-oracles runs this in an environment of its own"
)

from geneq.errors import GeneqError  # noqa: E402
from geneq.oracles import load_oracle  # noqa: E402
from geneq.oracles.enformer import open_enformer  # noqa: E402
from geneq.oracles.tiling import binned  # noqa: E402

# As many position features per head as the published model: TensorFlow's table fits no other.
SMALL = {"dim": 384, "heads": 2, "depth": 1, "output_heads": {"human": 6, "mouse": 3}}
POSITIONS = 64  # of 128 nt
TARGETS = "index\tidentifier\tdescription\n" + "".join(
    f"{i}\tE{i}\t{'CAGE' if i < 2 else 'DNASE'}:cell {i}\n" for i in range(6)
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return enformer.Enformer.from_hparams(**SMALL, target_length=16).eval()


@pytest.fixture
def folder(model, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    model.config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "targets_human.txt").write_text(TARGETS)
    return folder


def sequences(n, length=128 * POSITIONS):
    return np.random.default_rng(1).integers(0, 5, (n, length), np.uint8)


def expected(model, tokens):
    with torch.inference_mode():
        return model(torch.from_numpy(tokens).long(), head="human").numpy()


def test_scores_are_those_of_the_package(model, folder):
    oracle = open_enformer(str(folder), POSITIONS)
    tokens = sequences(3)
    found = oracle.predict(tokens)
    assert (oracle.length, oracle.bin_size, found.shape) == (8192, 128, (3, 16, 6))
    assert oracle.targets[0] == "CAGE:cell 0" and len(oracle.targets) == 6
    np.testing.assert_allclose(found, expected(model, tokens), rtol=1e-4, atol=1e-5)


def test_only_the_chosen_tracks_are_computed(model, folder):
    oracle = open_enformer(f"{folder}:CAGE:*,E4", POSITIONS)
    tokens = sequences(2)
    assert oracle.targets == ["CAGE:cell 0", "CAGE:cell 1", "DNASE:cell 4"]
    assert oracle.name == "enformer:small:CAGE:*,E4"
    assert oracle.hash != open_enformer(str(folder), POSITIONS).hash
    np.testing.assert_allclose(
        oracle.predict(tokens), expected(model, tokens)[..., [0, 1, 4]], rtol=1e-4, atol=1e-5
    )


def test_bins_are_means_of_profiles_around_the_tss(folder):
    oracle = binned(open_enformer(str(folder), POSITIONS), first=-256)
    tokens = sequences(1, 2 * oracle.flank + 512)
    edges = oracle.flank + np.array([0, 256, 512])
    profile = oracle.predict(tokens[:, 256 : 256 + 8192])[0]
    middle = len(profile) // 2
    wanted = [profile[middle - 2 : middle].mean(0), profile[middle : middle + 2].mean(0)]
    np.testing.assert_allclose(oracle.predict_bins(tokens, edges)[0], wanted, rtol=1e-5)


def test_positions_of_tensorflow_are_used_with_published_weights(folder):
    """Of a folder enformer-pytorch itself doesn't know where its weights are from."""
    config = json.loads((folder / "config.json").read_text())
    attention = [m for m in open_enformer(str(folder), POSITIONS).module.modules()
                 if hasattr(m, "use_tf_gamma") and hasattr(m, "to_q")]  # fmt: skip
    assert [m.use_tf_gamma for m in attention] == [False]
    (folder / "config.json").write_text(json.dumps(config | {"use_tf_gamma": True}))
    oracle = open_enformer(str(folder))
    assert [m.use_tf_gamma for m in oracle.module.modules() if hasattr(m, "to_q")] == [True]
    assert oracle.predict(sequences(1, 196_608)).shape == (1, 16, 6)


def test_published_shape_means_tensorflow(model):
    from geneq.oracles.enformer import _is_published

    assert _is_published(enformer.EnformerConfig(), 1536)
    assert not _is_published(model.config, 1536)


def test_weights_of_another_model_are_refused(model, folder):
    state = model.state_dict()
    path = folder / "pytorch_model.bin"
    torch.save({k: v for k, v in state.items() if "to_q" not in k}, path)
    with pytest.raises(GeneqError, match="another model"):
        open_enformer(str(folder), POSITIONS)
    torch.save(state | {"extra": torch.ones(1)}, path)
    with pytest.raises(GeneqError, match=r"another model.*extra"):
        open_enformer(str(folder), POSITIONS)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(GeneqError, match="damaged"):
        open_enformer(str(folder), POSITIONS)
    path.unlink()
    with pytest.raises(GeneqError, match="no weights"):
        open_enformer(str(folder), POSITIONS)


def test_code_in_the_weights_is_not_run(folder, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save(Evil(), folder / "pytorch_model.bin")
    with pytest.raises(GeneqError, match="damaged"):
        open_enformer(str(folder), POSITIONS)
    assert not (tmp_path / "ran").exists()


def test_safetensors_without_the_second_names_of_shared_weights(model, folder):
    """As transformers stores them: the trunk's parameters have two names each."""
    from safetensors.torch import save_model

    (folder / "pytorch_model.bin").unlink()
    save_model(model, str(folder / "model.safetensors"), metadata={"format": "pt"})
    found = open_enformer(str(folder), POSITIONS).predict(sequences(1))
    np.testing.assert_allclose(found, expected(model, sequences(1)), rtol=1e-4, atol=1e-5)


def test_the_command_line_opens_it(folder):
    assert load_oracle(f"enformer:{folder}:E1").targets == ["CAGE:cell 1"]

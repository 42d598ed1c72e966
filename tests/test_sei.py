"""Sei gives what the published code gives, on a narrow network (twins/sei.py says how)."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from geneq.errors import GeneqError
from geneq.oracles import load_oracle
from geneq.oracles.scoring import variant_scores
from geneq.oracles.sei import SeiNetwork, SeiOracle, open_sei
from geneq.oracles.tiling import TiledOracle, binned
from twins import sei as narrow

GOLDEN = Path(__file__).parent / "data" / "sei_golden.npz"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return narrow.write_folder(tmp_path_factory.mktemp("sei"))


@pytest.fixture
def copy(tmp_path) -> Path:
    """A folder to break."""
    return narrow.write_folder(tmp_path)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def oracle(folder) -> SeiOracle:
    return open_sei(str(folder), narrow.WIDTH)


# --- scores -----------------------------------------------------------------------------------


def test_profiles_are_those_of_the_published_code(folder, golden):
    oracle = open_sei(f"{folder}:profiles", narrow.WIDTH)
    found = oracle.predict(narrow.sequences())
    np.testing.assert_allclose(found, golden["profiles"], atol=2e-6)
    assert golden["profiles"].std(0).mean() > 5e-3
    assert oracle.targets[:2] == ["cell | mark | ID:0", "cell | mark | ID:1"]
    assert oracle.name == f"sei:{folder.name}:profiles"


def test_classes_are_those_of_the_published_code(oracle, golden):
    """The first rows of the projection are the classes."""
    found = oracle.predict(narrow.sequences())
    np.testing.assert_allclose(found, golden["projection"][:, : narrow.CLASSES], atol=2e-5)
    assert golden["projection"].shape[1] == narrow.ROWS
    assert len(oracle.targets) == 40 and oracle.targets[:2] == ["C0 class", "C1 class"]


def test_variant_scores_are_those_of_the_published_code(oracle, golden):
    ref, alt = narrow.alleles()
    scale = np.abs(golden["variants"]).max(1, keepdims=True)
    assert (scale > 5e-4).all()
    np.testing.assert_allclose(
        oracle.variant(ref, alt) / scale, golden["variants"] / scale, atol=2e-3
    )
    np.testing.assert_allclose(variant_scores(ref, alt, oracle), oracle.variant(ref, alt))
    assert oracle.variant(ref[:0], alt[:0]).shape == (0, 40)


def test_histones_are_scaled_before_the_difference(oracle):
    """Without that the scores are others."""
    ref, alt = narrow.alleles()
    plain = oracle.predict(alt) - oracle.predict(ref)
    assert np.abs(plain - oracle.variant(ref, alt)).max() > 1e-4


def test_a_variants_base_is_one_before_the_centre(oracle):
    assert (oracle.variant_index, oracle.length // 2) == (2047, 2048)


def test_both_strands_score_the_same(oracle):
    tokens = narrow.sequences()
    other = np.where(tokens == 4, 4, 3 - tokens)[:, ::-1].astype(np.uint8)
    np.testing.assert_allclose(oracle.predict(other), oracle.predict(tokens), atol=1e-5)
    assert oracle.strand == "both"


def test_the_oracles_properties(oracle):
    assert (oracle.length, oracle.tss) == (4096, None)
    assert set(oracle.held_out) == {"chr8", "chr9", "chr10"}
    assert oracle.unknown == "0.25 of each base"
    assert "4,096 nt; 40 targets; classes of 30 profiles" in oracle.summary()
    with pytest.raises(GeneqError, match="takes sequences of 4096 nt: '4095 nt'"):
        oracle.variant(narrow.sequences()[:, 1:], narrow.sequences()[:, 1:])


def test_gradients_flow_to_every_base(oracle):
    x = torch.zeros(1, 4, 4096)
    x[0, 1] = 1
    x.requires_grad_()
    oracle.module(x)[0, 3].backward()
    assert torch.isfinite(x.grad).all() and (x.grad.abs().sum(1) > 0).float().mean() > 0.9


def test_sei_is_tiled(oracle):
    """A tile at the TSS has its centre base, index 2,048, there."""
    tiled = binned(oracle, 64, -64)
    assert isinstance(tiled, TiledOracle) and tiled.flank == 2048
    tokens = np.random.default_rng(1).integers(0, 4, (1, 4096 + 128)).astype(np.uint8)
    edges = 2048 + np.array([0, 64, 128])
    found = tiled.predict_bins(tokens, edges)
    parts = np.stack([tokens[0, start : start + 4096] for start in (0, 64)])
    np.testing.assert_allclose(found[0], oracle.predict(parts), atol=1e-5)


# --- the network ------------------------------------------------------------------------------


def test_the_full_network_has_the_published_parameters():
    with torch.device("meta"):
        network = SeiNetwork()
    state = network.state_dict()
    assert len(state) == 38
    assert sum(parameter.numel() for parameter in network.parameters()) == 889_979_983
    assert state["classifier.0.weight"].shape == (21_907, 15_360)
    assert {name.removesuffix(".bias") for name in state if name.endswith("bias")} == set(
        narrow.SHAPES
    )


def test_splines_sum_to_one():
    splines = SeiNetwork(3, 2).spline
    assert splines.shape == (256, 16) and (splines >= 0).all()
    np.testing.assert_allclose(splines.sum(1), 1, atol=1e-6)


# --- weights ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
@pytest.mark.parametrize("wrapped", [False, True])
def test_prefixes_are_removed(copy, golden, prefix, wrapped):
    state = {prefix + name: value for name, value in narrow.weights().items()}
    torch.save({"state_dict": state, "epoch": 3} if wrapped else state, copy / "sei.pth")
    found = open_sei(str(copy), narrow.WIDTH).predict(narrow.sequences()[:1])
    np.testing.assert_allclose(found, golden["projection"][:1, :40], atol=2e-5)


def test_safetensors_are_read(copy, golden):
    from safetensors.torch import save_file

    (copy / "sei.pth").unlink()
    save_file(narrow.weights(), copy / "sei.safetensors")
    found = open_sei(str(copy), narrow.WIDTH).predict(narrow.sequences()[:1])
    np.testing.assert_allclose(found, golden["projection"][:1, :40], atol=2e-5)
    (copy / "sei.safetensors").write_bytes((copy / "sei.safetensors").read_bytes()[:-100])
    with pytest.raises(GeneqError, match="Not a complete safetensors file"):
        open_sei(str(copy), narrow.WIDTH)


def saved(folder: Path, **changes) -> None:
    """Weights with changes; None removes a tensor."""
    state = {**narrow.weights(), **changes}
    torch.save(
        {name: value for name, value in state.items() if value is not None}, folder / "sei.pth"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dconv2.1.bias": None}, "missing: dconv2.1.bias; unknown: none"),
        ({"head.weight": torch.ones(2)}, "missing: none; unknown: head.weight"),
        (
            {"conv1.0.weight": torch.ones(12, 12, 7)},
            r"other shapes than Sei's: 'conv1.0.weight \(12, 12, 7\), not \(12, 12, 9\)'",
        ),
        ({"conv1.0.bias": torch.ones(12, dtype=torch.int64)}, "must be floating-point"),
    ],
)
def test_other_weights_are_refused(copy, changes, message):
    saved(copy, **changes)
    with pytest.raises(GeneqError, match=message) as error:
        open_sei(str(copy), narrow.WIDTH)
    assert error.value.file == copy / "sei.pth"


class Harmful:
    def __init__(self, touched: Path):
        self.touched = touched

    def __reduce__(self):
        return (Path.touch, (self.touched,))


def test_code_in_weights_is_not_run(copy):
    with open(copy / "sei.pth", "wb") as file:
        pickle.dump({"a": Harmful(copy / "touched")}, file, protocol=2)
    with pytest.raises(GeneqError, match="Not a complete file of weights, or one with code in it"):
        open_sei(str(copy), narrow.WIDTH)
    assert not (copy / "touched").exists()


@pytest.mark.parametrize("size", [0, 10, 5000, -30])
def test_truncated_weights_are_refused(copy, size):
    file = copy / "sei.pth"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(GeneqError, match="Not a complete file of weights"):
        open_sei(str(copy), narrow.WIDTH)


def test_a_list_is_no_weights(copy):
    torch.save([torch.ones(2)], copy / "sei.pth")
    with pytest.raises(GeneqError, match="no tensors by name: 'list'"):
        open_sei(str(copy), narrow.WIDTH)


def test_the_hash_covers_weights_projection_and_histones(copy, oracle):
    assert open_sei(str(copy), narrow.WIDTH).hash == oracle.hash
    saved(copy, **{"conv1.0.bias": narrow.weights()["conv1.0.bias"] + 1})
    hashes = {oracle.hash, open_sei(str(copy), narrow.WIDTH).hash}
    saved(copy)
    np.save(copy / "projvec_targets.npy", narrow.projection()[::-1])
    hashes.add(open_sei(str(copy), narrow.WIDTH).hash)
    np.save(copy / "projvec_targets.npy", narrow.projection())
    np.save(copy / "histone_inds.npy", narrow.HISTONES[1:])
    hashes.add(open_sei(str(copy), narrow.WIDTH).hash)
    assert len(hashes) == 4


# --- other files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["sei.pth", "target.names", "seqclass.names", "projvec_targets.npy", "histone_inds.npy"]
)
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(GeneqError, match=r"File not found|A file of Sei is missing") as error:
        open_sei(str(copy), narrow.WIDTH)
    assert error.value.file == copy / name


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("projvec_targets.npy", np.ones((61, 29)), r"shape \(61, 29\), 40 classes, 30 profiles"),
        ("projvec_targets.npy", np.ones((39, 30)), r"a row for each class"),
        ("projvec_targets.npy", np.zeros((61, 30)), r"finite and not all 0"),
        ("projvec_targets.npy", np.array([{}] * 4), r"Not a complete NumPy file"),
        ("histone_inds.npy", np.array([1, 30]), "must be indices of profiles"),
        ("histone_inds.npy", np.array([1.0, 2.0]), "must be indices of profiles: 'float64'"),
        ("histone_inds.npy", np.array([], int), "must be indices of profiles"),
    ],
)
def test_arrays_must_fit(copy, name, array, message):
    np.save(copy / name, array)
    with pytest.raises(GeneqError, match=message) as error:
        open_sei(str(copy), narrow.WIDTH)
    assert error.value.file == copy / name


@pytest.mark.parametrize("text", ["", "a\na\n", "a\n\nb\n"])
def test_names_must_differ(copy, text):
    (copy / "seqclass.names").write_text(text)
    with pytest.raises(GeneqError, match="one name per line, all different"):
        open_sei(str(copy), narrow.WIDTH)


def test_the_name_on_the_command_line(folder, copy):
    """The narrow weights are not those of the full network."""
    with pytest.raises(GeneqError, match="Weights have other shapes than Sei's"):
        load_oracle(f"sei:{folder}")
    with pytest.raises(GeneqError, match="sei:FOLDER or sei:FOLDER:profiles"):
        load_oracle(f"sei:{folder}:class")

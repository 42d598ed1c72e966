"""The teacher: what it computes, that its pooled features are sums over bins, and its files."""

import json
import shutil
from itertools import product

import numpy as np
import pytest
import torch

from geneq.errors import GeneqError
from geneq.teacher import (
    HIDDEN,
    NONLINEARITIES,
    POOLINGS,
    Architecture,
    Linear,
    Scaling,
    Teacher,
    TrainedTeacher,
)
from twins import teacher as twin

VARIANTS = list(product(POOLINGS, HIDDEN))


def made(
    pooling="partial", hidden="dense", interactions=2, nonlinearity="gelu", members=3, seed=1
) -> tuple[TrainedTeacher, np.ndarray]:
    """A teacher with random weights for 4 bins, 5 classes and 3 cell types, and 30 genes for it.

    The units of the features differ widely, as base composition and log-odds do; one is constant.
    """
    rng = np.random.default_rng(seed)
    units = 10.0 ** rng.integers(-2, 3, 5)
    x = ((rng.gamma(2, 1, (30, 4, 5)) + 5) * units).astype(np.float32)
    x[:, 2, 3] = 7.5
    architecture = Architecture(
        pooling, hidden, 3, interactions, nonlinearity, 0.3, 0.1, 0.01, 0.1, members
    )
    torch.manual_seed(seed)
    network = Teacher(architecture, 4, 5, 3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.5 * torch.randn_like(parameter)
    y = rng.normal(5, 2, (30, 3))
    y[0, 1] = np.nan
    about = {"dataset": "made", "features": {}, "ceilings": {}}
    teacher = TrainedTeacher(network, Scaling.of(x, y), list("abcde"), ["A", "B", "C"], about)
    return teacher, x


@pytest.mark.parametrize(("pooling", "hidden"), VARIANTS)
def test_predictions_are_those_of_the_slow_double(pooling, hidden):
    sizes = ((0, 1), (1, 2), (3, 4), (2, 1))
    for nonlinearity, (interactions, members) in zip(NONLINEARITIES, sizes, strict=True):
        teacher, x = made(pooling, hidden, interactions, nonlinearity, members)
        found = teacher.predict(x)
        assert found.dtype == np.float32 and found.shape == (30, 3)
        np.testing.assert_allclose(found, twin.predict(teacher, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("pooling", "hidden"), VARIANTS)
def test_pooled_features_are_weighted_sums_of_raw_features(pooling, hidden):
    teacher, x = made(pooling, hidden)
    weights, offsets = teacher.pooling()
    assert weights.shape == (4, 5) and weights.dtype == np.float64 and offsets.shape == (5,)
    by_hand = offsets + np.einsum("nbc,bc->nc", x.astype(float), weights)
    np.testing.assert_allclose(teacher.pooled(x), by_hand, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("pooling", "hidden"), VARIANTS)
def test_nothing_but_the_pooled_features_is_read(pooling, hidden):
    teacher, x = made(pooling, hidden)
    found = teacher.predict_pooled(teacher.pooled(x))
    np.testing.assert_allclose(found, teacher.predict(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_members_differ_and_the_prediction_is_their_mean(hidden):
    teacher, x = made(hidden=hidden)
    network, z = teacher.network.eval(), torch.from_numpy(teacher.pooled(x))
    with torch.inference_mode():
        members = network.members(z).numpy()
        np.testing.assert_allclose(network.from_pooled(z), members.mean(0), rtol=1e-5, atol=1e-6)
    assert members.shape == (3, 30, 3)
    assert not np.isclose(members[0], members[1]).any()


def test_members_have_their_own_start_and_dropout():
    torch.manual_seed(1)
    network = Teacher(Architecture("class", "dense", 8, 2, "relu", 0.5, 0, 0, 0.1, 2), 4, 5, 3)
    for parameter in (*network.hidden.parameters(), network.left.weight, network.head.weight):
        assert not torch.isclose(parameter[0], parameter[1]).any()
    with torch.no_grad():
        for parameter in network.hidden.parameters():
            parameter[:] = parameter[0]
        dropped = network.dropout(network.hidden(torch.randn(50, 5))) == 0
    assert (dropped[0] != dropped[1]).any()


def test_a_member_starts_as_torch_starts_a_linear_map():
    torch.manual_seed(1)
    linear, torchs = Linear(40, 6, 30), [torch.nn.Linear(6, 30) for _ in range(40)]
    for name in ("weight", "bias"):
        ours = getattr(linear, name).detach()
        theirs = torch.stack([getattr(each, name).detach() for each in torchs])
        assert ours.numel() == theirs.numel()
        assert ours.abs().max() <= 6**-0.5 and abs(ours.std() / theirs.std() - 1) < 0.05
    x = torch.randn(4, 6)
    shared, own = linear(x), linear(x.expand(40, -1, -1))
    torch.testing.assert_close(shared, own)
    torch.testing.assert_close(shared[7], x @ linear.weight[7] + linear.bias[7, 0])


def test_a_shared_profile_is_one_and_of_unit_length():
    for pooling in POOLINGS:
        profiles = made(pooling)[0].network.pooling_weights().detach().numpy()
        np.testing.assert_allclose(np.linalg.norm(profiles, axis=0), 1, rtol=1e-5)
        same = np.allclose(profiles, profiles[:, :1])
        assert same == (pooling == "shared")


def test_dropout_is_off_in_predictions():
    teacher, x = made()
    teacher.network.train()
    np.testing.assert_array_equal(teacher.predict(x), teacher.predict(x))


def test_scaling_leaves_out_missing_values_and_constant_features():
    x = np.ones((4, 1, 2), np.float32)
    x[:, 0, 1] = [1, 2, 3, 4]
    scaling = Scaling.of(x, np.array([[1.0, 2], [np.nan, 2], [3, 2], [np.nan, 2]]))
    np.testing.assert_allclose(scaling.y_mean, [2, 2])
    np.testing.assert_allclose(scaling.y_sd, [1, 1])
    np.testing.assert_allclose(scaling.x_sd, [[1, np.std([1, 2, 3, 4])]])
    assert torch.isfinite(scaling.x(x)).all()
    assert torch.isnan(scaling.y(np.array([[np.nan, 2.0]]))[0, 0])


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pooling", "hidden"), VARIANTS)
def test_a_teacher_is_the_same_after_saving(tmp_path, pooling, hidden):
    teacher, x = made(pooling, hidden, interactions=0 if hidden == "none" else 2)
    teacher.save(tmp_path)
    again = TrainedTeacher.load(tmp_path)
    np.testing.assert_array_equal(again.predict(x), teacher.predict(x))
    np.testing.assert_array_equal(again.pooling()[0], teacher.pooling()[0])
    assert again.network.architecture == teacher.network.architecture
    assert (again.classes, again.cell_types, again.about) == (
        teacher.classes,
        teacher.cell_types,
        teacher.about,
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["teacher.json", "teacher.safetensors"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    made()[0].save(folder)
    return folder


def copied(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


@pytest.mark.parametrize("damage", ["truncated", "empty", "noise", "absent", "folder"])
def test_weights_that_cannot_be_read(saved, tmp_path, damage):
    folder = copied(saved, tmp_path)
    file = folder / "teacher.safetensors"
    content = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage != "absent":
        cut = {"truncated": content[: len(content) // 2], "empty": b"", "noise": b"\xff" * 500}
        file.write_bytes(cut[damage])
    with pytest.raises(GeneqError, match="weights cannot be read") as raised:
        TrainedTeacher.load(folder)
    assert "teacher.safetensors" in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "other", [{"hidden": "none"}, {"pooling": "class"}, {"interactions": 0}, {"members": 2}]
)
def test_weights_of_another_teacher_are_refused(saved, tmp_path, other):
    folder = copied(saved, tmp_path)
    made(**other)[0].save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "teacher.safetensors", folder)
    with pytest.raises(GeneqError, match="weights cannot be read"):
        TrainedTeacher.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1}, "a teacher of format version 2: 1"),
        ({"format": "geneq-equation"}, "Not a teacher written by geneq"),
        (None, "Not a teacher written by geneq"),
        ("{", "Truncated or damaged JSON document"),
    ],
)
def test_documents_that_are_no_teachers(saved, tmp_path, changes, message):
    folder = copied(saved, tmp_path)
    path = folder / "teacher.json"
    document = json.loads(path.read_text())
    text = changes if changes == "{" else json.dumps({**document, **changes} if changes else [1])
    path.write_text(text)
    with pytest.raises(GeneqError, match=message) as raised:
        TrainedTeacher.load(folder)
    assert "teacher.json" in str(raised.value)

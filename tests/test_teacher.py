"""The teacher: what it computes, that its variables are weighted sums of columns, and its files."""

import json
import shutil
from itertools import cycle, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geneq.errors import GeneqError
from geneq.features import SCALES, Block, Features
from geneq.teacher import (
    ENCODINGS,
    HIDDEN,
    LINKS,
    NONLINEARITIES,
    POOLINGS,
    Architecture,
    BlockShape,
    Linear,
    Scaling,
    Teacher,
    TrainedTeacher,
    Variable,
    decay_basis,
    dropout,
    promoter_mask,
    shapes_of,
)
from twins import teacher as twin

pytestmark = pytest.mark.usefixtures("one_thread")

# Two of the bins are within 250 nt of the TSS, two are not.
EDGES = [-2000, -400, 0, 100, 900]
ORACLE = {"hash": "0a", "window": [-2000, 900], "bin_edges": EDGES, "tss_index": 2000,
          "orientation": "gene", "strands": "both"}  # fmt: skip
CLASSES = [["a", "b", "c"], ["length", "a"]]
COLUMNS = 4 * 3 + 2
# A small network; profiles and programmes are there unless a test has them otherwise.
SMALL = {"width": 16, "products": 2, "programmes": 2, "profiles": 2, "members": 3}


def genes(n=12, seed=1) -> Features:
    """Of an oracle with 4 bins and 3 classes, and a table of 2 columns.

    The units of the features differ widely, as base composition and log-odds do; one is constant.
    """
    rng = np.random.default_rng(seed)
    x = ((rng.gamma(2, 1, (n, 4, 3)) + 5) * [0.01, 1, 100]).astype(np.float32)
    x[:, 2, 1] = 7.5
    lengths = rng.lognormal(7, 1, (n, 1, 2)).astype(np.float32)
    blocks = [
        Block("motifs:core", x, CLASSES[0], ORACLE),
        Block("table:lengths.tsv", lengths, CLASSES[1], {"hash": "0b", "missing": {}}),
    ]
    gene_id = np.array([f"g{i}" for i in range(n)], dtype=object)
    return Features(gene_id, blocks, {"genome": "0c"}).complete()


def made(seed=1, features=None, **choices) -> tuple[TrainedTeacher, Features]:
    """A teacher of 3 cell types with random weights, and genes for it."""
    features, rng = features or genes(), np.random.default_rng(seed)
    architecture = Architecture(**{**SMALL, **choices})
    torch.manual_seed(seed)
    network = Teacher(architecture, shapes_of(features), 3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.5 * torch.randn_like(parameter)
    y = rng.normal(3, 2, (len(features.gene_id), 3))
    y[0, 1] = np.nan
    scaling = Scaling.of(features.matrix(architecture.scale), y)
    network.floor.copy_(scaling.floor)
    about = {"dataset": "made", "features": features.about, "ceilings": {}}
    classes = [block.classes for block in features.blocks]
    return TrainedTeacher(network, scaling, classes, ["A", "B", "C"], about), features


# --- what it computes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pooling", "hidden", "encoding"), list(product(POOLINGS, HIDDEN, ENCODINGS))
)
def test_predictions_are_those_of_the_reference(pooling, hidden, encoding):
    others = cycle(product(NONLINEARITIES, (1, 2, 3), (0, 2)))
    features = genes(n=6)
    for link, products, depth in product(LINKS, (0, 1, 3), (1, 2)):
        nonlinearity, profiles, programmes = next(others)
        teacher, _ = made(
            features=features, pooling=pooling, hidden=hidden, encoding=encoding, link=link,
            products=products, depth=depth, nonlinearity=nonlinearity, profiles=profiles,
            programmes=programmes,
        )  # fmt: skip
        found = teacher.predict(features)
        assert found.dtype == np.float32 and found.shape == (6, 3)
        expected = twin.predict(teacher, features.matrix())
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize(("pooling", "scale"), list(product(POOLINGS, SCALES)))
def test_variables_are_weighted_sums_of_scaled_columns(pooling, scale):
    teacher, features = made(pooling=pooling, scale=scale)
    x, pooled = features.matrix(scale), teacher.pooled(features)
    assert pooled.shape == (12, 2 * 3 + 2 + 2) and len(teacher.variables) == 10
    np.testing.assert_allclose(pooled, twin.variables(teacher, x), rtol=1e-4, atol=1e-4)
    for place, variable in enumerate(teacher.variables):
        weights, offset = teacher.weights(place)
        assert weights.dtype == np.float64 and weights.shape == (COLUMNS,)
        by_hand = offset + x.astype(float) @ weights
        np.testing.assert_allclose(pooled[:, place], by_hand, rtol=1e-3, atol=1e-3)
        if variable.block is not None:  # of one class: no other column has a weight
            others = [(c.block, c.name) != tuple(variable) for c in features.columns]
            assert (weights[others] == 0).all()


def test_variables_are_profiles_of_classes_of_blocks_and_then_programmes():
    teacher, _ = made(profiles=2, programmes=1)
    first = [Variable(0, name) for name in "abc"]
    second = [Variable(1, "length"), Variable(1, "a")]
    # A class of one bin has one profile.
    assert teacher.variables == [*first, *first, *second, Variable(None, None)]
    assert made(pooling="promoter_distal", profiles=3)[0].variables[:8] == teacher.variables[:8]


@pytest.mark.parametrize(("pooling", "hidden"), list(product(POOLINGS, HIDDEN)))
def test_nothing_but_the_variables_is_read(pooling, hidden):
    teacher, features = made(pooling=pooling, hidden=hidden)
    found = teacher.predict_pooled(teacher.pooled(features))
    np.testing.assert_allclose(found, teacher.predict(features), rtol=1e-5, atol=1e-5)
    # Genes whose columns differ and whose variables do not are predicted alike.
    x = teacher.scaling.x(features.matrix())
    weights = np.array([teacher.network.weights(v).numpy() for v in range(len(teacher.variables))])
    unread = np.linalg.svd(weights.astype(float))[2][np.linalg.matrix_rank(weights) :]
    assert len(unread)
    other = x + torch.from_numpy(3 * unread.sum(0)).float()
    network = teacher.network.eval()
    with torch.inference_mode():
        torch.testing.assert_close(network(other), network(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_members_differ_and_the_prediction_is_their_mean(hidden):
    teacher, features = made(hidden=hidden)
    members = teacher.members(teacher.pooled(features))
    assert members.shape == (3, 12, 3)
    assert not np.isclose(members[0], members[1]).any()
    np.testing.assert_allclose(teacher.predict(features), members.mean(0), rtol=1e-6)
    with torch.inference_mode():
        y = teacher.network(teacher.scaling.x(features.matrix())).numpy()
    y = y * teacher.scaling.y_sd + teacher.scaling.y_mean
    np.testing.assert_allclose(y, members.mean(0), rtol=1e-4, atol=1e-4)


def test_members_start_differently_and_predict_the_mean():
    torch.manual_seed(1)
    shapes = [BlockShape(4, 5)]
    network = Teacher(Architecture(products=2, depth=2, members=2), shapes, 3)
    for parameter in (*network.hidden.parameters(), network.left.weight, network.right.weight):
        assert not torch.isclose(parameter[0], parameter[1]).any()
    assert (network(torch.randn(7, 20)) == 0).all()


def test_members_drop_hidden_units_of_their_own():
    torch.manual_seed(1)
    network = Teacher(Architecture(dropout=0.5, members=2), [BlockShape(4, 5)], 3)
    with torch.no_grad():
        for parameter in (*network.hidden.parameters(), *network.heads.parameters()):
            parameter.copy_(torch.randn_like(parameter[:1]).expand_as(parameter))
    z = torch.randn(50, 5)
    alike = network.eval().members(z)
    torch.testing.assert_close(alike[0], alike[1])
    dropped = network.train().members(z)
    assert not torch.isclose(dropped[0], dropped[1]).all()


def test_a_member_starts_as_torch_starts_a_linear_map():
    torch.manual_seed(1)
    linear, torchs = Linear(40, 6, 30), [torch.nn.Linear(6, 30) for _ in range(40)]
    weight = torch.stack([each.weight.detach() for each in torchs])
    bias = torch.stack([each.bias.detach() for each in torchs])
    for ours, theirs in ((linear.weight.detach(), weight), (linear.bias.detach(), bias)):
        assert ours.numel() == theirs.numel()
        assert ours.abs().max() <= 6**-0.5 and abs(ours.std() / theirs.std() - 1) < 0.05
    x = torch.randn(4, 6)
    shared, own = linear(x), linear(x.expand(40, -1, -1))
    torch.testing.assert_close(shared, own)
    torch.testing.assert_close(shared[7], x @ linear.weight[7] + linear.bias[7, 0])


def test_a_budget_keeps_exactly_so_many_variables():
    for budget in (1, 4, 7, 8, 9, 0):
        teacher, features = made(budget=budget, programmes=0)
        network, pooled = teacher.network, teacher.pooled(features)
        before = teacher.predict_pooled(pooled)
        network.prune()
        kept = network.kept.numpy() == 1
        assert kept.sum() == (budget if 0 < budget < 8 else 8)
        gates = network.gate.detach().abs().numpy()
        assert gates[kept].min() >= gates[~kept].max(initial=0)
        after = teacher.predict_pooled(pooled)
        assert np.array_equal(before, after) == kept.all()
        for place in range(8):  # those that are removed are not read
            moved = pooled.copy()
            moved[:, place] += 1
            assert np.array_equal(teacher.predict_pooled(moved), after) == (not kept[place])


def test_the_budget_of_equal_gates_is_kept_too():
    network = Teacher(Architecture(budget=2), [BlockShape(4, 5)], 1)
    network.prune()
    assert network.kept.sum() == 2


@pytest.mark.parametrize("seed", range(5))
def test_with_a_softplus_link_expression_is_never_negative(seed):
    below = [made(seed=seed, link=link) for link in LINKS]
    identity, softplus = (teacher.predict(features) for teacher, features in below)
    assert identity.min() < 0 <= softplus.min()
    teacher, features = below[1]
    members = teacher.members(teacher.pooled(features) * 50)
    assert members.min() >= -1e-5 and members.max() > 5


def test_dropout_is_off_in_predictions():
    teacher, features = made(dropout=0.5, input_dropout=0.5)
    teacher.network.train()
    np.testing.assert_array_equal(teacher.predict(features), teacher.predict(features))


# --- profiles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", POOLINGS)
def test_profiles_are_of_unit_length_and_shared_ones_are_the_same(pooling):
    teacher, _ = made(pooling=pooling)
    profiles, table = (p.detach().numpy() for p in teacher.network.profiles())
    assert profiles.shape == (4, 3, 2) and table.shape == (1, 2, 1)
    for each in (profiles, table):
        np.testing.assert_allclose(np.linalg.norm(each, axis=0), 1, rtol=1e-5)
    assert np.allclose(profiles, profiles[:, :1]) == (pooling == "shared")
    assert pooling != "attention" or (profiles > 0).all()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_profiles_of_a_class_begin_differently_and_a_single_one_is_even(pooling):
    torch.manual_seed(1)
    shape = BlockShape(4, 3, (-1000.0, -200.0, 50.0, 500.0))
    network = Teacher(Architecture(pooling=pooling, profiles=3), [shape], 1)
    profiles = network.profiles()[0]
    for one, other in ((0, 1), (1, profiles.shape[2] - 1)):
        if one != other:
            assert not torch.allclose(profiles[..., one], profiles[..., other])
    if pooling not in ("decay", "promoter_distal", "convolution"):
        (even,) = Teacher(Architecture(pooling=pooling), [shape], 1).profiles()
        torch.testing.assert_close(even, torch.full((4, 3, 1), 0.5))


def test_a_smooth_profile_changes_little_between_neighbours():
    shape = BlockShape(40, 3)
    torch.manual_seed(1)
    steps = []
    for pooling in ("class", "convolution"):
        network = Teacher(Architecture(pooling=pooling), [shape], 1)
        with torch.no_grad():
            network.pooling[0].own.normal_()
        steps.append(network.profiles()[0].diff(dim=0).abs().mean())
    assert steps[1] < 0.6 * steps[0]


def test_decays_are_exponentials_of_the_distance_on_either_side():
    centres = (-1200.0, -400.0, -100.0, 0.0, 100.0, 700.0)
    basis = decay_basis(BlockShape(6, 2, centres)).numpy()
    assert basis.shape == (10, 6) and basis.dtype == np.float32
    np.testing.assert_allclose(basis, twin.decays(centres, 6), rtol=1e-5, atol=1e-7)
    # Decays of 0.01 to 0.2 per 200 nt: upstream, 1,100 nt further away is less by a known factor.
    for k, rate in enumerate((0.01, 0.02, 0.05, 0.1, 0.2)):
        ratio = np.exp(-rate * 1100 / 200)
        assert basis[k, 0] / basis[k, 2] == pytest.approx(ratio, rel=1e-4)
        assert (basis[k, 3:] == 0).all() and (basis[k + 5, :3] == 0).all()


def test_decays_without_a_side_or_a_tss():
    downstream = decay_basis(BlockShape(3, 2, (50.0, 150.0, 250.0)))
    assert downstream.shape == (5, 3) and (downstream > 0).all()
    torch.testing.assert_close(decay_basis(BlockShape(4, 2)), torch.full((1, 4), 0.5))
    torch.testing.assert_close(decay_basis(BlockShape(1, 2)), torch.ones(1, 1))


def test_the_promoter_is_what_is_within_250_nt():
    centres = (-900.0, -250.0, 0.0, 250.0, 251.0)
    mask = promoter_mask(BlockShape(5, 1, centres)).T.tolist()
    assert mask == [[0, 1, 1, 1, 0], [1, 0, 0, 0, 1]]


@pytest.mark.parametrize("centres", [None, (-200.0, 0.0, 200.0), (-900.0, 500.0, 900.0)])
def test_where_all_bins_are_promoter_or_none_both_profiles_read_all(centres):
    assert (promoter_mask(BlockShape(3, 1, centres)) == 1).all()


def test_promoters_and_distal_bins_are_read_by_their_profiles():
    teacher, features = made(pooling="promoter_distal", programmes=0)
    pooled, others = teacher.pooled(features), features.blocks[0].values.copy()
    others[:, [0, 3]] += 1  # the distal bins, see EDGES
    moved = [Block("motifs:core", others, CLASSES[0], ORACLE), features.blocks[1]]
    change = teacher.pooled(Features(features.gene_id, moved, features.meta)) - pooled
    assert (change[:, 3:6] != 0).all() and (np.delete(change, [3, 4, 5], axis=1) == 0).all()


# --- shapes and scaling ---------------------------------------------------------------------------


def test_shapes_are_those_of_the_blocks():
    oracle, table = shapes_of(genes())
    assert oracle == BlockShape(4, 3, (-1200.0, -200.0, 50.0, 500.0)) and oracle.columns == 12
    assert table == BlockShape(1, 2, None) and table.columns == 2
    # Promoters from a FASTA file have bins in fractions of their length, and no TSS.
    promoters = Block("motifs:core", np.zeros((2, 2, 1), "f4"), ["a"],
                      {"window": None, "bin_edges": [0, 0.5, 1]})  # fmt: skip
    assert shapes_of(Features(np.array(["g", "h"]), [promoters], {})) == [BlockShape(2, 1, None)]


def test_scaling_ignores_missing_values_and_constant_features():
    x = np.ones((4, 2), np.float32)
    x[:, 1] = [1, 2, 3, 4]
    scaling = Scaling.of(x, np.array([[1.0, 2], [np.nan, 2], [3, 2], [np.nan, 2]]))
    np.testing.assert_allclose(scaling.y_mean, [2, 2])
    np.testing.assert_allclose(scaling.y_sd, [1, 1])
    np.testing.assert_allclose(scaling.x_sd, [1, np.std([1, 2, 3, 4])])
    np.testing.assert_allclose(scaling.floor, [-2, -2])
    assert torch.isfinite(scaling.x(x)).all()
    assert torch.isnan(scaling.y(np.array([[np.nan, 2.0]]))[0, 0])


# --- dropout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.7, 0.9])
def test_dropout_drops_a_share_and_keeps_the_mean(rate):
    torch.manual_seed(3)
    found = dropout(torch.ones(1000, 1001), rate)
    dropped = (found == 0).float().mean().item()
    assert dropped == pytest.approx(rate, abs=1 / 512 + 0.002)
    assert found.mean().item() == pytest.approx(1, abs=0.01)
    kept = found[found != 0]
    assert (kept == kept[0]).all() and kept[0].item() == pytest.approx(1 / (1 - rate), rel=0.02)
    # Neighbours, along either side, are dropped independently.
    zero = (found == 0).float() - dropped
    for one, other in ((zero[1:], zero[:-1]), (zero[:, 1:], zero[:, :-1])):
        assert abs((one * other).mean().item()) < 0.002


@given(st.integers(0, 5), st.integers(0, 9), st.floats(0, 0.99), st.integers(0, 2**32))
def test_dropout_keeps_shape_type_and_order(rows, columns, rate, seed):
    x = torch.arange(1.0, rows * columns + 1).reshape(rows, columns)
    torch.manual_seed(seed)
    found = dropout(x, rate)
    assert found.shape == x.shape and found.dtype == x.dtype
    factor = 256 / (256 - round(256 * rate))
    torch.testing.assert_close(found[found != 0], factor * x[found != 0])
    torch.manual_seed(seed)
    assert torch.equal(dropout(x, rate), found)
    torch.manual_seed(seed)
    torch.rand(1)
    if rows * columns > 30 and 0.3 < rate < 0.7:
        assert not torch.equal(dropout(x, rate), found)


def test_nothing_is_dropped_outside_training_or_at_rate_0():
    x = torch.randn(50, 50)
    assert torch.equal(dropout(x, 0.5, training=False), x)
    assert torch.equal(dropout(x, 0.0), x) and torch.equal(dropout(x, 0.4 / 256), x)
    assert not torch.equal(dropout(x, 1 / 64), x)


@pytest.mark.parametrize("rate", [0.999, 1.0])
def test_at_rate_1_all_is_dropped(rate):
    assert torch.equal(dropout(torch.ones(50, 50), rate), torch.zeros(50, 50))


def test_what_was_not_dropped_has_a_gradient():
    torch.manual_seed(1)
    x = torch.ones(20, 20, requires_grad=True)
    found = dropout(x, 0.5)
    found.sum().backward()
    assert torch.equal(x.grad, found.detach())


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pooling", "hidden"), list(product(POOLINGS, HIDDEN)))
def test_a_teacher_is_the_same_after_saving(tmp_path, pooling, hidden):
    teacher, features = made(
        pooling=pooling, hidden=hidden, encoding="periodic", link="softplus", budget=4,
        products=0 if hidden == "none" else 2,
    )  # fmt: skip
    teacher.network.prune()
    teacher.save(tmp_path)
    again = TrainedTeacher.load(tmp_path)
    np.testing.assert_array_equal(again.predict(features), teacher.predict(features))
    np.testing.assert_array_equal(again.weights(3)[0], teacher.weights(3)[0])
    assert again.network.architecture == teacher.network.architecture
    assert again.network.shapes == teacher.network.shapes and again.variables == teacher.variables
    for name in ("classes", "cell_types", "about"):
        assert getattr(again, name) == getattr(teacher, name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["teacher.json", "teacher.safetensors"]
    # Whoever may read the one may read the other.
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


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
    "other",
    [{"hidden": "none"}, {"pooling": "shared"}, {"products": 0}, {"members": 2}, {"profiles": 1},
     {"programmes": 0}, {"encoding": "periodic"}],
)  # fmt: skip
def test_weights_of_another_teacher_are_refused(saved, tmp_path, other):
    folder = copied(saved, tmp_path)
    made(**other)[0].save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "teacher.safetensors", folder)
    with pytest.raises(GeneqError, match="weights cannot be read"):
        TrainedTeacher.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1}, "a teacher of format version 3: 1"),
        ({"format": "geneq-equation"}, "Not a teacher written by geneq"),
        (None, "Not a teacher written by geneq"),
        ("{", "Truncated or damaged JSON document"),
        ({"architecture": {"pooling": "deep"}}, "cannot be read"),
        ({"architecture": {"depth_of_thought": 3}}, "cannot be read"),
        ({"architecture": {"nonlinearity": "gelu"}}, "cannot be read"),
        ({"shapes": [{"bins": 4, "classes": 3}]}, "cannot be read"),
        ({"shapes": [{"classes": 3}]}, "cannot be read"),
        ({"shapes": None}, "cannot be read"),
        ({"cell_types": ["A"]}, "cannot be read"),
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
    assert "teacher." in str(raised.value)


@pytest.mark.parametrize("missing", ["architecture", "shapes", "classes", "cell_types", "about"])
def test_documents_that_lack_an_entry(saved, tmp_path, missing):
    folder = copied(saved, tmp_path)
    document = json.loads((folder / "teacher.json").read_text())
    del document[missing]
    (folder / "teacher.json").write_text(json.dumps(document))
    with pytest.raises(GeneqError, match="cannot be read"):
        TrainedTeacher.load(folder)

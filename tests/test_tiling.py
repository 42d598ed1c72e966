"""Models of fixed length have per-bin outputs by tiling, profile models by overlap of bins."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geneq.errors import GeneqError
from geneq.oracles import BinnedOracle, Oracle, load_oracle
from geneq.oracles.classes import Classes, ProjectedOracle
from geneq.oracles.network import NetworkOracle
from geneq.oracles.tiling import ProfileOracle, TiledOracle, binned, fitting_tile
from twins import tiling as twin

pytestmark = pytest.mark.usefixtures("one_thread")


class Weighted(Oracle):
    """Two weighted sums over the input, which is of odd or even length."""

    def __init__(self, length: int, tss: int | None = None):
        self.name, self.targets, self.hash = f"weighted:{length}", ["a", "b"], f"{length}"
        self.length, self.tss, self.seen = length, tss, 0
        self.weights = np.random.default_rng(3).normal(size=(length, 5, 2))

    def one(self, tokens) -> list[float]:
        return list(sum(self.weights[i, token] for i, token in enumerate(tokens)))

    def predict(self, tokens, anchor=None):
        self.seen += len(tokens)
        return np.array([self.one(row) for row in tokens], np.float32).reshape(-1, 2)


class Profile(Oracle):
    """For every bin of its input, the share of each of two bases."""

    name, targets, hash = "profile:x", ["A", "G"], "1"

    def __init__(self, length: int, bins: int, bin_size: int | None = None, tss: int | None = None):
        self.length, self.bins, self.bin_size, self.tss = length, bins, bin_size, tss
        self.size = bin_size or length // bins

    def one(self, tokens) -> list[list[float]]:
        origin = (self.length - self.bins * self.size) // 2
        parts = [tokens[origin + i * self.size :][: self.size] for i in range(self.bins)]
        return [[list(part).count(base) / self.size for base in (0, 2)] for part in parts]

    def predict(self, tokens, anchor=None):
        scores = np.array([self.one(row) for row in tokens.tolist()], np.float32)
        return scores.reshape(-1, self.bins, 2)


def dna(n: int, length: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, (n, length)).astype(np.uint8)


# --- tiles ------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(
    length=st.integers(1, 12),
    tile=st.integers(1, 9),
    first=st.integers(-30, 10),
    widths=st.lists(st.integers(9, 20), min_size=1, max_size=3),
    short=st.integers(0, 6),
    seed=st.integers(0, 99),
)
def test_bins_are_means_over_tiles(length, tile, first, widths, short, seed):
    """Also where less than the flank is given: what is beyond counts as N."""
    model = Weighted(length)
    oracle = binned(model, tile, first)
    flank = max(0, oracle.flank - short)
    edges = flank + np.concatenate([[0], np.cumsum(widths)])
    tokens = dna(2, edges[-1] + flank, seed)
    found = oracle.predict_bins(tokens, edges)
    expected = twin.tiled(tokens, edges, edges[0] - first, tile, length, model.one)
    assert isinstance(oracle, TiledOracle) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("length", [6, 7])
def test_the_flank_is_all_that_is_read(length):
    """The base before the flank does not matter, its first base does (for an even length)."""
    oracle = binned(Weighted(length), 2)
    edges = oracle.flank + 1 + np.array([0, 8])
    tokens = dna(1, edges[-1] + oracle.flank + 1)
    before = oracle.predict_bins(tokens, edges)
    changed = tokens.copy()
    changed[0, 0], changed[0, -1] = (tokens[0, [0, -1]] + 1) % 5
    np.testing.assert_array_equal(oracle.predict_bins(changed, edges), before)
    changed[0, 1] = (tokens[0, 1] + 1) % 5
    assert (oracle.predict_bins(changed, edges) != before).all()


def test_tiles_are_placed_from_the_tss():
    """A single base at the TSS is in the centre of the tile of its bin."""
    model = Weighted(5)
    edges, first = np.array([10, 17, 24]), -9  # TSS at 19
    tokens = np.full((1, 40), 4, np.uint8)
    tokens[0, 19] = 2
    found = binned(model, 4, first).predict_bins(tokens, edges)[0, 1]
    tiles = [model.one(twin.part(tokens[0], centre - 2, 5)) for centre in (19, 23)]
    np.testing.assert_allclose(found, np.mean(tiles, axis=0), atol=1e-5)


def test_equal_tiles_are_scored_once():
    model = Weighted(4)
    oracle = binned(model, 4)
    model.seen = 0
    tokens = np.repeat(dna(1, 44), 3, axis=0)
    tokens[:, 20:] = 4
    found = oracle.predict_bins(tokens, np.array([2, 42]))
    assert model.seen == 6  # five of bases, one of Ns
    expected = twin.tiled(tokens, [2, 42], 2, 4, 4, model.one)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def edits(n: int, length: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three sequences, n with a change of up to eight bases, or none, of one of them, and which."""
    rng = np.random.default_rng(seed)
    before, which = dna(3, length, seed), rng.integers(0, 3, n)
    after = before[which]
    for row in after:
        start, size = rng.integers(0, length), rng.integers(0, 9)
        row[start : start + size] = rng.integers(0, 5, len(row[start : start + size]))
    return before, which, after


@settings(deadline=None, max_examples=40)
@given(
    length=st.integers(1, 12),
    tile=st.integers(1, 9),
    first=st.integers(-30, 10),
    short=st.integers(0, 6),
    seed=st.integers(0, 99),
    classes=st.booleans(),
)
def test_changes_are_those_of_all_scores(length, tile, first, short, seed, classes):
    model = Weighted(length)
    oracle = plain = binned(model, tile, first)
    if classes:
        table = pd.DataFrame({"output": ["a", "b"], "class": "x", "mean": [1, 2], "sd": [1, 3]})
        oracle = ProjectedOracle(plain, Classes.of(table), "x")
    flank = max(0, plain.flank - short)
    edges = flank + np.array([0, 10, 22, 31])
    before, which, after = edits(6, edges[-1] + flank, seed)
    expected = oracle.predict_bins(after, edges) - oracle.predict_bins(before, edges)[which]
    model.seen = 0
    found = oracle.changes(before, which, after, edges)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert model.seen == oracle.changed_inputs(before, which, after, edges)
    # What no change reaches is not scored, and the same change only once.
    same = before[which]
    assert not oracle.changes(before, which, same, edges).any()
    assert oracle.changed_inputs(before, which, same, edges) == 0
    twice = (before, np.repeat(which, 2), np.repeat(after, 2, axis=0), edges)
    assert oracle.changed_inputs(*twice) == model.seen


@pytest.mark.parametrize("reach", [None, 0, 3])
def test_changes_of_other_oracles_are_those_of_all_scores(reach):
    """Where a reach is known, bins that a change does not reach are not scored."""

    class Counts(BinnedOracle):
        name, targets, hash, flank, seen = "counts:x", ["G"], "1", 3, 0

        def predict(self, tokens, anchor=None):
            return self.predict_bins(tokens, np.array([0, tokens.shape[1]]))[:, 0]

        def predict_bins(self, tokens, edges):
            self.seen += len(tokens) * (len(edges) - 1)
            wide = reach if reach is not None else 3
            parts = [tokens[:, max(0, a - wide) : b + wide] for a, b in pairwise(edges)]
            counts = [(part == 2).sum(1, dtype=np.float32) for part in parts]
            return np.stack(counts, axis=1)[:, :, None]

    oracle, edges = Counts(), np.array([3, 20, 30, 60])
    oracle.reach = reach
    before, which, after = edits(12, 63, 8)
    expected = oracle.predict_bins(after, edges) - oracle.predict_bins(before, edges)[which]
    oracle.seen = 0
    np.testing.assert_array_equal(oracle.changes(before, which, after, edges), expected)
    changed = int((before[which] != after).any(1).sum())
    assert expected.any() and changed >= 8
    assert oracle.seen <= 3 * (3 + changed) and (reach is None or oracle.seen < 2 * changed + 9)


def test_batches_change_nothing(monkeypatch):
    oracle, tokens, edges = binned(Weighted(5), 3), dna(7, 40), np.array([4, 20, 30])
    expected = oracle.predict_bins(tokens, edges)
    monkeypatch.setattr("geneq.oracles.tiling.BATCH_BYTES", 1)
    np.testing.assert_array_equal(oracle.predict_bins(tokens, edges), expected)
    assert oracle.predict_bins(tokens[:0], edges).shape == (0, 2, 2)
    after = np.roll(tokens, 1, axis=1)
    changes = oracle.changes(tokens, np.arange(7), after, edges)
    np.testing.assert_allclose(changes, oracle.predict_bins(after, edges) - expected, atol=1e-5)


@pytest.mark.parametrize(
    ("edges", "tile", "shown", "best"),
    [
        ([-100, -64, 0, 64], 128, r"bin 0, \[-100, -64\)", 50),
        ([-60, -30, 0, 20], 64, r"bin 0, \[-60, -30\)", 30),
        ([10, 20, 100], 50, r"bin 0, \[10, 20\)", 19),
    ],
)
def test_a_bin_without_a_centre_is_named_with_a_tile_that_fits(edges, tile, shown, best):
    edges, model = np.array(edges), Weighted(3)
    places = edges - edges[0] + 1
    with pytest.raises(GeneqError, match=rf"{shown}.*Use --tile {best}\b"):
        binned(model, tile, edges[0]).predict_bins(dna(1, places[-1] + 1), places)
    assert binned(model, best, edges[0]).predict_bins(dna(1, places[-1] + 1), places).shape[1]


@settings(max_examples=60)
@given(st.integers(-40, 40), st.lists(st.integers(1, 15), min_size=2, max_size=4))
def test_no_larger_tile_fits(first, widths):
    edges = first + np.concatenate([[0], np.cumsum(widths)])

    def fits(tile: int) -> bool:
        return all(any(base % tile == 0 for base in range(a, b))
                   for a, b in pairwise(edges))  # fmt: skip

    best = fitting_tile(edges)
    assert fits(best)
    assert not any(fits(tile) for tile in range(best + 1, 2 * max(widths)))


def test_a_bin_of_no_base_is_refused():
    with pytest.raises(GeneqError, match="Remove bins of no base"):
        binned(Weighted(3), 2).predict_bins(dna(1, 20), np.array([2, 8, 8]))


def test_the_hash_covers_model_tile_and_place():
    hashes = [
        oracle.hash
        for oracle in (
            binned(Weighted(4), 4), binned(Weighted(4), 5), binned(Weighted(5), 4),
            binned(Weighted(4), 4, -1), Weighted(4),
        )
    ]  # fmt: skip
    assert len(set(hashes)) == 5
    assert binned(Weighted(4), 4, -8).hash == hashes[0]


# --- what can be tiled ------------------------------------------------------------------------


def test_oracles_with_bins_stay_as_they_are():
    oracle = load_oracle("kmers:2")
    assert binned(oracle) is oracle


@pytest.mark.parametrize(("part", "value"), [("length", None), ("alphabet", "ACGU")])
def test_other_models_are_refused(part, value):
    model = Weighted(4)
    setattr(model, part, value)
    with pytest.raises(GeneqError, match="Only models that read DNA of a fixed length"):
        binned(model)


def test_a_model_with_a_tss_is_no_tile():
    with pytest.raises(GeneqError, match="with the TSS at index 2: it cannot be tiled"):
        binned(Weighted(4, tss=2))


@pytest.mark.parametrize("tile", [0, -5, 2.5])
def test_a_tile_has_a_base(tile):
    with pytest.raises(GeneqError, match="--tile must be"):
        binned(Weighted(4), tile)


def test_a_network_is_tiled_and_keeps_its_properties(tmp_path, monkeypatch):
    """TorchScript and python: oracles too; a module stays for gradients elsewhere."""
    torch.manual_seed(1)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4 * 8, 2))
    model = NetworkOracle("mine", network, 8, ["a", "b"], held_out=["chr8"])
    oracle = binned(model, 5, -20)
    assert isinstance(oracle, BinnedOracle)
    assert (oracle.length, oracle.flank, oracle.held_out) == (8, 4, ["chr8"])
    oracle.precision = "bfloat16"
    assert model.precision == "bfloat16"
    model.precision = "float32"
    tokens = dna(2, 8)
    np.testing.assert_array_equal(oracle.predict(tokens), model.predict(tokens))
    edges, long = np.array([4, 20, 40]), dna(3, 50)
    expected = twin.tiled(
        long, edges, 24, 5, 8, lambda row: model.predict(np.array([row], np.uint8))[0]
    )
    np.testing.assert_allclose(oracle.predict_bins(long, edges), expected, atol=1e-5)


def make_profile() -> Oracle:
    return Profile(24, 4, 4)


def test_a_users_profile_model_keeps_its_bin_size():
    oracle = binned(load_oracle("python:test_tiling:make_profile"), first=-8)
    assert isinstance(oracle, ProfileOracle) and oracle.size == 4
    with pytest.raises(GeneqError, match="bin_size must be a positive int, or None: '0'"):
        load_oracle("python:test_tiling:make_wrong_profile")


def make_wrong_profile() -> Oracle:
    oracle = Profile(24, 4, 4)
    oracle.bin_size = 0
    return oracle


# --- profiles ---------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(
    shape=st.sampled_from([(24, 6, None), (24, 4, 4), (25, 5, None), (31, 3, 5), (8, 1, 8)]),
    tss=st.sampled_from([None, 0, 9]),
    cuts=st.lists(st.integers(1, 30), min_size=2, max_size=4, unique=True),
    seed=st.integers(0, 99),
)
def test_a_profile_is_averaged_by_overlap(shape, tss, cuts, seed):
    length, bins, _ = shape
    tss = None if tss is None else min(tss, length - 1)
    model = Profile(*shape, tss)
    covered = bins * model.size
    inside = sorted({min(cut, covered) for cut in cuts})
    if len(inside) < 2:
        return
    anchor = length // 2 if tss is None else tss
    first = (length - covered) // 2 + inside[0] - anchor  # of the bins, relative to the TSS
    oracle = binned(model, first=first)
    edges = oracle.flank + np.array(inside) - inside[0]
    tokens = dna(2, edges[-1] + oracle.flank, seed)
    start = edges[0] - first - anchor
    expected = twin.profile(tokens, edges, start, length, model.size, model.one)
    np.testing.assert_allclose(oracle.predict_bins(tokens, edges), expected, atol=1e-5)


def test_a_bin_beyond_the_profile_is_named():
    oracle = binned(Profile(24, 4, 4), first=-20)
    with pytest.raises(GeneqError, match=r"outputs for \[-8, 8\) .*: 'bin 0, \[-20, -4\)'"):
        oracle.predict_bins(dna(1, 60), np.array([12, 28, 36]))


@pytest.mark.parametrize(("bins", "size"), [(5, None), (4, 7)])
def test_a_profile_without_a_place_is_refused(bins, size):
    with pytest.raises(GeneqError, match=r"does not state which bases.*Set the oracle's bin_size"):
        binned(Profile(24, bins, size))

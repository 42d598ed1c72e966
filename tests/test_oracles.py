"""The motif oracle scores DNA as its reference implementation, on either strand, in any batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geneq.errors import GeneqError
from geneq.oracles import TYPES, load_oracle
from geneq.oracles.meme import MotifMatrix
from geneq.oracles.motifs import MotifOracle
from twins import encoding
from twins import features as twin

pytestmark = pytest.mark.usefixtures("one_thread")


def random_motif(rng: np.random.Generator, width: int, name: str = "m", sharp=1.0) -> MotifMatrix:
    """Symbols drawn from a Dirichlet distribution; the smaller `sharp`, the surer they are."""
    return MotifMatrix(name, rng.dirichlet(np.full(4, sharp), width))


def oracle_of(*classes: list[MotifMatrix]) -> MotifOracle:
    """An oracle whose classes c0, c1, … hold these motifs."""
    groups, motifs = [], []
    for i, members in enumerate(classes):
        groups.append((f"c{i}", list(range(len(motifs), len(motifs) + len(members)))))
        motifs += members
    return MotifOracle("motifs:test", motifs, groups)


def one_class_each(*motifs: MotifMatrix) -> MotifOracle:
    return oracle_of(*([motif] for motif in motifs))


def random_dna(rng, n: int, length: int, unknown: float = 0.0) -> np.ndarray:
    tokens = rng.integers(0, 4, (n, length)).astype(np.uint8)
    tokens[rng.random((n, length)) < unknown] = 4
    return tokens


def matrices(oracle: MotifOracle) -> list[list[np.ndarray]]:
    return [[oracle.motifs[i].probabilities for i in members] for _, members in oracle.groups]


def assert_like_twin(oracle: MotifOracle, tokens: np.ndarray, edges) -> None:
    expected = twin.scores(tokens, matrices(oracle), edges)
    np.testing.assert_allclose(oracle.predict_bins(tokens, edges), expected, atol=1e-4)


# --- the reference implementation -------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=3), min_size=1, max_size=3),
    beyond=st.integers(0, 30),
    bins=st.integers(1, 5),
    unknown=st.sampled_from([0.0, 0.2, 1.0]),
    sharp=st.sampled_from([0.05, 1.0]),
)
def test_scores_are_those_of_the_reference(seed, widths, beyond, bins, unknown, sharp):
    rng = np.random.default_rng(seed)
    oracle = oracle_of(*([random_motif(rng, w, sharp=sharp) for w in group] for group in widths))
    tokens = random_dna(rng, 2, oracle.width + beyond, unknown)
    inner = rng.choice(tokens.shape[1] + 1, min(bins, tokens.shape[1]) + 1, replace=False)
    assert_like_twin(oracle, tokens, np.sort(inner))


@pytest.mark.parametrize("widths", [[6], [7], [6, 6], [7, 6, 11, 2]])
def test_motifs_of_even_and_odd_widths(widths):
    rng = np.random.default_rng(2)
    oracle = one_class_each(*(random_motif(rng, width) for width in widths))
    assert_like_twin(oracle, random_dna(rng, 3, 40, 0.05), np.array([0, 1, 5, 6, 20, 39, 40]))


def test_a_class_is_the_mean_of_its_motifs():
    rng = np.random.default_rng(3)
    motifs = [random_motif(rng, width) for width in (4, 7, 10)]
    tokens, edges = random_dna(rng, 4, 60), np.array([0, 30, 60])
    apart = one_class_each(*motifs).predict_bins(tokens, edges)[:, :, :3]
    together = oracle_of(motifs).predict_bins(tokens, edges)[:, :, 0]
    np.testing.assert_allclose(together, apart.mean(2), atol=1e-5)


def test_core_motifs_are_scored_as_by_the_reference():
    oracle = load_oracle("motifs:core")
    tokens = random_dna(np.random.default_rng(4), 1, 90, 0.02)
    assert_like_twin(oracle, tokens, np.array([0, 32, 64, 90]))


def test_long_motifs_that_match_nowhere_score_at_the_limit_and_not_0():
    all_a = MotifMatrix("A", np.tile([1.0, 0, 0, 0], (40, 1)))
    all_g = np.full((1, 50), 2, np.uint8)
    assert one_class_each(all_a).predict(all_g)[0, 0] == pytest.approx(-75)
    assert_like_twin(one_class_each(all_a), all_g, np.array([0, 25, 50]))


def test_long_motifs_that_match_stay_finite():
    all_a = MotifMatrix("A", np.tile([1.0, 0, 0, 0], (80, 1)))
    found = one_class_each(all_a).predict(np.zeros((1, 100), np.uint8))
    assert found[0, 0] == pytest.approx(75 - np.log(2), abs=1e-3)


# --- bins, ends and N -------------------------------------------------------------------------


def test_a_bin_in_which_nothing_fits_scores_0():
    rng = np.random.default_rng(5)
    oracle = one_class_each(random_motif(rng, 9), random_motif(rng, 1))
    tokens = np.zeros((1, 30), np.uint8)
    found = oracle.predict_bins(tokens, np.array([0, 4, 26, 30]))[0]
    assert found[0, 0] == found[2, 0] == 0
    assert found[1, 0] != 0
    assert np.all(found[:, 1] != 0)


@pytest.mark.parametrize(("width", "first", "end"), [(4, 2, 9), (5, 2, 8), (1, 0, 10)])
def test_a_motif_lies_wholly_inside_and_counts_at_its_centre(width, first, end):
    oracle = one_class_each(random_motif(np.random.default_rng(6), width))
    tokens = random_dna(np.random.default_rng(7), 1, 10)
    by_position = oracle.predict_bins(tokens, np.arange(11))[0, :, 0]
    assert np.flatnonzero(by_position).tolist() == list(range(first, end))


def test_n_everywhere_scores_0():
    found = load_oracle("motifs:core").predict_bins(np.full((2, 300), 4, np.uint8), [0, 100, 300])
    assert found.shape == (2, 2, 40)
    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_n_adds_nothing():
    motif = random_motif(np.random.default_rng(8), 3)
    middle = MotifMatrix("middle", motif.probabilities[1:2])
    tokens = np.array([[4, 1, 4]], np.uint8)
    whole = one_class_each(motif).predict(tokens)[0, 0]
    assert whole == pytest.approx(one_class_each(middle).predict(tokens[:, 1:2])[0, 0], abs=1e-6)


def test_composition():
    tokens = encoding.tokens("CGCGNNATAC")[None]
    oracle = one_class_each(random_motif(np.random.default_rng(9), 1))
    assert oracle.targets[-2:] == ["GC", "CpG"]
    found = oracle.predict_bins(tokens, np.array([0, 3, 4, 6, 10]))[0, :, -2:]
    # CGC: its last C begins no CG of this bin's own symbols, but one with the next bin's G.
    expected = [[0.5, 2 / 3], [0.5, 0], [0, 0], [-0.25, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_sequences_shorter_than_the_longest_motif_are_refused():
    rng = np.random.default_rng(10)
    oracle = one_class_each(random_motif(rng, 3), random_motif(rng, 8))
    assert oracle.predict(random_dna(rng, 1, 8)).shape == (1, 4)
    with pytest.raises(GeneqError, match=r"as long as the longest motif \(8 nt\): 7. Remove"):
        oracle.predict(random_dna(rng, 1, 7))


# --- strands ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("widths", "shift"), [((1, 5, 11), 0), ((2, 6, 10), 1)])
def test_the_reverse_complement_scores_the_same_in_mirrored_bins(widths, shift):
    """The centre of an even width is its right middle symbol, on either strand: one further on."""
    rng = np.random.default_rng(11)
    oracle = one_class_each(*(random_motif(rng, width) for width in widths))
    tokens = random_dna(rng, 3, 80, 0.05)
    edges = np.array([7, 20, 21, 40, 70])
    other = np.stack([encoding.reverse_complement(sequence) for sequence in tokens])
    mirrored = oracle.predict_bins(other, (80 - edges + shift)[::-1])[:, ::-1]
    np.testing.assert_allclose(
        mirrored[:, :, :3], oracle.predict_bins(tokens, edges)[:, :, :3], atol=1e-5
    )


def test_a_whole_sequence_and_its_reverse_complement_score_the_same():
    oracle = load_oracle("motifs:core")
    assert oracle.strand == "both"
    tokens = random_dna(np.random.default_rng(12), 5, 200, 0.02)
    other = np.stack([encoding.reverse_complement(sequence) for sequence in tokens])
    np.testing.assert_allclose(oracle.predict(other), oracle.predict(tokens), atol=1e-4)


def split(oracle: MotifOracle) -> MotifOracle:
    return MotifOracle(oracle.name, oracle.motifs, oracle.groups, "split")


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=3), min_size=1, max_size=3),
    beyond=st.integers(0, 30),
    unknown=st.sampled_from([0.0, 0.2, 1.0]),
)
def test_split_scores_are_those_of_the_reference(seed, widths, beyond, unknown):
    rng = np.random.default_rng(seed)
    oracle = split(oracle_of(*([random_motif(rng, w) for w in group] for group in widths)))
    tokens = random_dna(rng, 2, oracle.width + beyond, unknown)
    inner = rng.choice(tokens.shape[1] + 1, min(3, tokens.shape[1]) + 1, replace=False)
    edges = np.sort(inner)
    expected = twin.split_scores(tokens, matrices(oracle), edges)
    np.testing.assert_allclose(oracle.predict_bins(tokens, edges), expected, atol=1e-4)


def test_split_names_the_strand_of_a_site():
    oracle = load_oracle("motifs:core", strands="split")
    assert len(oracle.targets) == 2 * 38 + 5
    assert oracle.targets[:2] == ["SP1_sense", "SP1_anti"]
    assert oracle.targets[-5:] == ["GC", "CpG", "GC_skew", "AT_skew", "CpG_oe"]
    assert (oracle.strand, oracle.strands) == ("given", "split")
    tokens = random_dna(np.random.default_rng(21), 20, 80)
    tokens[:, 30:36] = encoding.tokens("AGATAA")  # GATA on the given strand
    other = np.stack([encoding.reverse_complement(sequence) for sequence in tokens])
    sense, anti = (oracle.targets.index(f"GATA_{strand}") for strand in ("sense", "anti"))
    for dna, (higher, lower) in ((tokens, (sense, anti)), (other, (anti, sense))):
        found = oracle.predict(dna).mean(0)
        assert found[higher] > found[lower] + 1


def test_the_other_strand_exchanges_sense_and_anti_and_turns_the_skews():
    oracle = load_oracle("motifs:core", strands="split")
    tokens = random_dna(np.random.default_rng(22), 5, 200, 0.02)
    other = np.stack([encoding.reverse_complement(sequence) for sequence in tokens])
    found, turned = oracle.predict(tokens), oracle.predict(other)
    np.testing.assert_allclose(turned[:, 1:76:2], found[:, 0:76:2], atol=1e-4)
    signs = np.array([1, 1, -1, -1, 1])
    np.testing.assert_allclose(turned[:, 76:], signs * found[:, 76:], atol=1e-5)


def test_both_is_the_mean_affinity_of_the_split_strands():
    oracle = one_class_each(*(random_motif(np.random.default_rng(23), w) for w in (4, 7)))
    tokens, edges = random_dna(np.random.default_rng(24), 3, 60, 0.05), np.array([0, 9, 30, 60])
    strands = split(oracle).predict_bins(tokens, edges)[:, :, :4].astype(float)
    expected = np.log((np.exp(strands[:, :, 0::2]) + np.exp(strands[:, :, 1::2])) / 2)
    np.testing.assert_allclose(oracle.predict_bins(tokens, edges)[:, :, :2], expected, atol=1e-4)


def test_composition_by_strand():
    tokens = encoding.tokens("CGCGNNATACGG")[None]
    oracle = split(one_class_each(random_motif(np.random.default_rng(9), 1)))
    found = oracle.predict_bins(tokens, np.array([0, 3, 4, 6, 9, 12]))[0, :, -3:]
    # GC skew, AT skew, CpG: CGC has two CG, one with the next bin's G; the G after it has no C.
    expected = [[-1 / 3, 0, 2 * 3 / 2], [1, 0, 0], [0, 0, 0], [0, 1 / 3, 0], [1 / 3, 0, 3 / 2]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


# --- what a user relies on --------------------------------------------------------------------


def test_a_planted_site_lifts_its_class_in_its_bin_most():
    """Every motif of `core`: written into random DNA, on the average of 12 sequences."""
    oracle = load_oracle("motifs:core")
    rng, edges = np.random.default_rng(13), np.array([0, 50, 100, 150, 200])
    for k, motif in enumerate(oracle.motifs):
        before = random_dna(rng, 12, 200)
        after = before.copy()
        start = 125 - motif.width // 2
        best = motif.probabilities > 0.9 * motif.probabilities.max(1, keepdims=True)
        drawn = np.where(best, rng.random((12, *best.shape)), -1).argmax(2)
        after[:, start : start + motif.width] = drawn
        lift = (oracle.predict_bins(after, edges) - oracle.predict_bins(before, edges)).mean(0)
        assert np.unravel_index(lift[:, :-2].argmax(), (4, 38)) == (2, k), motif.name
        assert lift[2, k] > 1


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("most", [1, 3 * 76 * 120])
def test_batches_and_threads_do_not_change_results(monkeypatch, threads, most):
    oracle = load_oracle("motifs:core")
    tokens, edges = random_dna(np.random.default_rng(14), 7, 120), np.array([0, 50, 120])
    whole = oracle.predict_bins(tokens, edges)
    monkeypatch.setattr(MotifOracle, "BATCH_SCORES", dict.fromkeys(["cpu", "cuda"], most))
    torch.set_num_threads(threads)
    try:
        np.testing.assert_allclose(oracle.predict_bins(tokens, edges), whole, atol=1e-5)
    finally:
        torch.set_num_threads(1)


def test_no_sequences_give_no_scores():
    found = load_oracle("motifs:core").predict_bins(np.empty((0, 50), np.uint8), [0, 25, 50])
    assert found.shape == (0, 2, 40)


def test_settings_of_torch_are_left_as_they_were():
    before = torch.backends.cudnn.allow_tf32, torch.get_num_threads()
    load_oracle("motifs:core").predict(np.zeros((1, 40), np.uint8))
    assert (torch.backends.cudnn.allow_tf32, torch.get_num_threads()) == before


# --- opening ----------------------------------------------------------------------------------


def write_meme(path: Path, motifs: list[MotifMatrix]) -> Path:
    text = "MEME version 4\n\nALPHABET= ACGT\n"
    for motif in motifs:
        text += f"\nMOTIF {motif.name}\nletter-probability matrix: w= {motif.width}\n"
        text += "\n".join(" ".join(f"{p:.9f}" for p in row) for row in motif.probabilities) + "\n"
    path.write_text(text)
    return path


def test_core_has_38_families_and_base_composition():
    oracle = load_oracle("motifs:core")
    assert oracle.name == "motifs:core"
    assert len(oracle.targets) == 40
    assert oracle.targets[0] == "SP1"
    assert oracle.targets[-2:] == ["GC", "CpG"]
    assert len(set(oracle.targets)) == 40


def test_a_file_is_named_without_its_folder(tmp_path):
    rng = np.random.default_rng(15)
    file = write_meme(
        tmp_path / "mine.meme", [random_motif(rng, 5, "a"), random_motif(rng, 6, "b")]
    )
    oracle = load_oracle(f"motifs:{file}")
    assert oracle.name == "motifs:mine.meme"
    assert oracle.targets == ["a", "b", "GC", "CpG"]


def test_the_hash_changes_with_what_determines_scores(tmp_path):
    rng = np.random.default_rng(16)
    motifs = [random_motif(rng, 5, name) for name in "abc"]
    changed = [*motifs[:2], random_motif(rng, 5, "c")]

    def opened(motifs, most=40):
        return MotifOracle.open(str(write_meme(tmp_path / "m.meme", motifs)), most).hash

    hashes = [opened(motifs), opened(changed), opened(motifs, 4)]
    by_strand = MotifOracle.open(str(write_meme(tmp_path / "m.meme", motifs)), 40, "split").hash
    assert len({*hashes, by_strand}) == 4
    assert opened(motifs) == hashes[0]


def test_max_classes_counts_base_composition():
    oracle = load_oracle("motifs:core", 12)
    assert len(oracle.targets) == 12
    assert sorted(i for _, members in oracle.groups for i in members) == list(range(38))
    assert len(load_oracle("motifs:core", 12, strands="split").targets) == 2 * 10 + 5
    with pytest.raises(GeneqError, match="--max_classes must be at least 3: 2"):
        load_oracle("motifs:core", 2)


@pytest.mark.parametrize("spec", ["tangle:weights", "motifs", "motifs:", "core", ""])
def test_an_unknown_type_of_oracle_is_refused(spec):
    types = ", ".join(TYPES)
    with pytest.raises(GeneqError, match=f"TYPE is one of: {types}: .* For example motifs:core"):
        load_oracle(spec)


def test_a_motif_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(GeneqError, match=r"File not found \(in .*none.meme\)"):
        load_oracle(f"motifs:{tmp_path}/none.meme")


@pytest.mark.parametrize("name", ["GC", "CpG"])
def test_a_motif_named_like_base_composition_is_refused(tmp_path, name):
    file = write_meme(tmp_path / "m.meme", [random_motif(np.random.default_rng(17), 5, name)])
    with pytest.raises(GeneqError, match=f"must not be called GC or CpG.*'{name}'.*Rename it"):
        load_oracle(f"motifs:{file}")

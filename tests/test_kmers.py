"""The k-mer oracle counts as its reference implementation, on the gene's strand or on both."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geneq import _ext
from geneq.errors import GeneqError
from geneq.oracles import load_oracle
from geneq.oracles.kmers import KmerOracle
from twins import encoding
from twins import kmers as twin

pytestmark = pytest.mark.usefixtures("one_thread")


def random_dna(n: int, length: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, (n, length)).astype(np.uint8)


@settings(deadline=None, max_examples=80)
@given(
    tokens=hnp.arrays(
        np.uint8,
        st.tuples(st.integers(0, 3), st.integers(0, 40)),
        elements=st.sampled_from([0, 1, 2, 3, 3, 2, 1, 0, 4]),
    ),
    inner=st.lists(st.integers(0, 40), max_size=4),
    k=st.integers(1, 6),
    strands=st.sampled_from(["both", "split"]),
)
def test_frequencies_are_those_of_the_reference(tokens, inner, k, strands):
    """Sequences shorter than K, bins of width 0 and runs of N among them."""
    length = tokens.shape[1]
    edges = np.sort([0, length, *(min(edge, length) for edge in inner)])
    oracle = KmerOracle(k, strands)
    assert oracle.targets == twin.classes(k, strands == "both")
    found = oracle.predict_bins(tokens, edges)
    expected = twin.frequencies(tokens, edges, k, strands == "both")
    assert found.dtype == np.float32 and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_kmer_counts_in_the_bin_of_its_centre():
    tokens = encoding.tokens("TATAANTATAA")[None]
    oracle = load_oracle("kmers:5")
    found = oracle.predict_bins(tokens, np.array([0, 2, 3, 8, 11]))[0]
    place = oracle.targets.index("TATAA")
    # Centres at 2 and 8; the k-mers between them have an N.
    assert found[:, place].tolist() == [0, 1, 0, 1]
    assert found.sum() == 2


@pytest.mark.parametrize(("text", "k"), [("ACGT", 5), ("NNNNNNNN", 2), ("ACNACNAC", 3), ("", 1)])
def test_without_a_kmer_every_class_is_0(text, k):
    tokens = encoding.tokens(text)[None]
    edges = np.array([0, 0, len(text)])
    assert not load_oracle(f"kmers:{k}").predict_bins(tokens, edges).any()


# --- strands ----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 6))
def test_canonical_frequencies_of_the_other_strand_are_mirrored_by_bin(seed, k):
    """The centre of an even k-mer is its right middle base, on either strand: one further on."""
    tokens, oracle = random_dna(2, 60, seed), KmerOracle(k, "both")
    other = np.stack([encoding.reverse_complement(sequence) for sequence in tokens])
    edges = np.array([5, 20, 21, 50])
    mirrored = (60 - edges + (k % 2 == 0))[::-1]
    np.testing.assert_allclose(
        oracle.predict_bins(other, mirrored)[:, ::-1], oracle.predict_bins(tokens, edges), atol=1e-6
    )
    np.testing.assert_allclose(oracle.predict(other), oracle.predict(tokens), atol=1e-6)


def test_split_sees_the_strand():
    oracle = load_oracle("kmers:3")
    tokens = encoding.tokens("TTTTTTTT")[None]
    assert oracle.predict(tokens)[0, oracle.targets.index("TTT")] == 1
    assert oracle.predict(3 - tokens)[0, oracle.targets.index("AAA")] == 1
    assert (oracle.strand, oracle.strands) == ("given", "split")


def test_both_has_one_class_for_a_kmer_and_its_reverse_complement():
    oracle = load_oracle("kmers:2", strands="both")
    assert oracle.targets == ["AA", "AC", "AG", "AT", "CA", "CC", "CG", "GA", "GC", "TA"]
    assert (oracle.strand, oracle.strands) == ("both", "both")
    found = oracle.predict(encoding.tokens("TTGT")[None])[0]  # TT, TG, GT
    assert {oracle.targets[i] for i in np.flatnonzero(found)} == {"AA", "CA", "AC"}


@pytest.mark.parametrize(("k", "split", "both"), [(1, 4, 2), (3, 64, 32), (6, 4096, 2080)])
def test_number_of_classes(k, split, both):
    assert len(load_oracle(f"kmers:{k}").targets) == split
    assert len(load_oracle(f"kmers:{k}", strands="both").targets) == both


# --- opening ----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", ["0", "7", "-1", "3.0", "03", "three", "²", " 3", "1e0", "6" * 99])
def test_other_lengths_are_refused(k):
    with pytest.raises(GeneqError, match=r"kmers:K takes a length K from 1 to 6: '.*kmers:3"):
        load_oracle(f"kmers:{k}")


def test_strands_is_one_of_three_and_for_oracles_that_have_the_choice():
    with pytest.raises(GeneqError, match="--strands must be one of auto, both, split: 'sense'"):
        load_oracle("kmers:3", strands="sense")
    with pytest.raises(GeneqError, match="option of the oracles motifs and kmers only"):
        load_oracle("python:test_kmers:without_bins", strands="split")


def without_bins():
    def predict(tokens, anchor=None):
        return np.zeros((len(tokens), 1), np.float32)

    return SimpleNamespace(targets=["zero"], predict=predict)


def test_the_hash_changes_with_length_and_strands():
    specs = [(k, strands) for k in (2, 3) for strands in ("both", "split")]
    hashes = {load_oracle(f"kmers:{k}", strands=strands).hash for k, strands in specs}
    assert len(hashes) == 4
    assert load_oracle("kmers:3").hash == load_oracle("kmers:3", strands="split").hash


@pytest.mark.parametrize("most", [1, 2**24])
def test_some_classes_have_the_same_scores(monkeypatch, most):
    monkeypatch.setattr("geneq.oracles.kmers.BATCH_SCORES", most)
    oracle, tokens, edges = load_oracle("kmers:3"), random_dna(5, 50), np.array([0, 20, 50])
    part = oracle.of_classes(["TTT", "ACG"])
    assert (part.targets, part.hash) == (["ACG", "TTT"], oracle.hash)
    kept = [oracle.targets.index(name) for name in part.targets]
    np.testing.assert_array_equal(
        part.predict_bins(tokens, edges), oracle.predict_bins(tokens, edges)[:, :, kept]
    )


def test_threads_do_not_change_frequencies():
    tokens, edges = random_dna(7, 80), np.array([0, 30, 80])
    alone = load_oracle("kmers:4").predict_bins(tokens, edges)
    torch.set_num_threads(3)
    try:
        np.testing.assert_array_equal(load_oracle("kmers:4").predict_bins(tokens, edges), alone)
    finally:
        torch.set_num_threads(1)


# --- the extension ----------------------------------------------------------------------------


TOKENS, EDGES = random_dna(2, 9), np.array([0, 4, 9])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TOKENS[0], EDGES, 3), "tokens must be a uint8 array with 2 axes"),
        ((TOKENS.astype(int), EDGES, 3), "tokens must be a uint8 array with 2 axes"),
        ((TOKENS[:, ::2], EDGES, 3), "tokens must be C-contiguous"),
        ((TOKENS + 1, EDGES, 3), "tokens must be 0…4, but one is 5"),
        ((TOKENS, EDGES.astype(np.int32), 3), "edges must be an int64 array with 1 axis"),
        ((TOKENS, EDGES[:1], 3), "edges must be two or more ascending positions in 0…9"),
        ((TOKENS, EDGES[::-1].copy(), 3), "edges must be two or more ascending"),
        ((TOKENS, EDGES + 1, 3), "edges must be two or more ascending"),
        ((TOKENS, EDGES - 1, 3), "edges must be two or more ascending"),
        ((TOKENS, EDGES, 0), "k must be between 1 and 6, not 0"),
        ((TOKENS, EDGES, 7), "k must be between 1 and 6, not 7"),
        ((TOKENS, EDGES, 3, False, 0), "threads must be at least 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        _ext.kmer_frequencies(*arguments)

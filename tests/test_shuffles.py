"""Shuffles and random sequences: exact, uniform, the same everywhere."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from geneq import _ext
from geneq.errors import GeneqError
from geneq.shuffles import random_sequences, shuffle
from twins import shuffles as twin

ALPHA = 1e-4  # of every statistical test; seeds are fixed
SYMBOLS = "".join(chr(code) for code in [*range(33, 63), *range(64, 97)]) + "{"


def symbols(tokens, alphabet="dna") -> list[str]:
    """The sequences in tokens of any number of axes."""
    return [_ext.decode(row, alphabet).decode() for row in tokens.reshape(-1, tokens.shape[-1])]


@given(st.text("ACGTN", min_size=1, max_size=80), st.integers(1, 8), st.integers(0, 2**64 - 1))
def test_a_shuffle_keeps_kmers_and_ends(text, k, seed):
    k = min(k, len(text))
    for made in symbols(shuffle(text, k, 3, seed)):
        assert twin.kmers(made, k) == twin.kmers(text, k)
        assert made[: k - 1] == text[: k - 1]
        assert made[len(text) - k + 1 :] == text[len(text) - k + 1 :]


@given(st.integers(1, 64), st.integers(1, 5), st.data())
def test_shuffles_of_any_alphabet_keep_kmers(size, k, data):
    alphabet = "symbols:" + SYMBOLS[:size]
    row = data.draw(st.lists(st.integers(0, size), min_size=5, max_size=60))
    tokens = np.array([row], dtype=np.uint8)
    made = shuffle(tokens, k, alphabet=alphabet)
    assert twin.kmers(made[0, 0].tolist(), k) == twin.kmers(row, k)


@pytest.mark.parametrize(
    ("text", "k", "count"),
    [
        ("ACGTT", 1, 60),
        ("AACCAAGAC", 2, 24),
        ("ACGAGCAC", 2, 10),
        ("ANCNNGCNA", 2, 6),
        ("ACAACCACAC", 3, 9),
        ("AACAAANACA", 3, 4),
    ],
)
def test_every_order_is_equally_probable(text, k, count):
    orders = {"".join(order) for order in twin.orders(text, k)}
    assert len(orders) == count
    draws = 20_000
    seen = Counter(symbols(shuffle(text, k, draws, seed=11)))
    assert set(seen) <= orders
    expected = draws / count
    statistic = sum((seen[order] - expected) ** 2 / expected for order in orders)
    assert statistic < chi2.isf(ALPHA, count - 1)


def test_long_sequences_are_mixed():
    text = symbols(random_sequences(1, 2000))[0]
    for k in (1, 2, 3, 4):
        made = symbols(shuffle(text, k))[0]
        same = sum(a == b for a, b in zip(text, made, strict=True))
        # Unrelated sequences agree in 500 ± 19 of 2,000 places; 4-mers leave little freedom.
        assert same < 620, (k, same)


@given(
    st.lists(st.text("ACGTN", min_size=12, max_size=12), min_size=1, max_size=9),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(2, 4),
)
def test_a_row_is_a_function_of_its_index(rows, k, n, threads):
    whole = shuffle(rows, k, n + 1, seed=5)
    np.testing.assert_array_equal(shuffle(rows, k, n + 1, seed=5, threads=threads), whole)
    np.testing.assert_array_equal(shuffle(rows, k, n, seed=5), whole[:, :n])
    for index, row in enumerate(rows):
        alone = shuffle(row, k, n, seed=5, first_row=index)
        np.testing.assert_array_equal(alone[0], whole[index, :n])


def test_strings_bytes_and_tokens_are_the_same_sequences():
    tokens = np.array([[0, 1, 2, 3, 4, 0, 1], [3, 3, 1, 0, 3, 1, 3]], dtype=np.uint8)
    wanted = shuffle(tokens)
    strings = ["acgtNAC", "TTCATCT"]
    encoded = [row.encode() for row in strings]
    for given_as in (strings, encoded, np.array(strings), np.array(encoded), tuple(strings)):
        np.testing.assert_array_equal(shuffle(given_as), wanted)


def test_the_streams_are_those_of_the_first_release():
    rows = ["ACGTNACGATTGCAGTCA", "GGGATTACAGATTACACC"]
    assert symbols(shuffle(rows, 2, 2, seed=7)) == [
        "AGCATTCGACACGTGTNA",
        "ACGTTCGCATGTNAGACA",
        "GGACACCATTTAGGATAC",
        "GAGGGATACCATTTACAC",
    ]
    assert symbols(shuffle(rows, 1, seed=7)) == ["TCAGTCATNTGGAGACCA", "GTCCAGCACAATTAGATG"]
    assert symbols(shuffle("ACGTACGTACATACGCATTACA" * 2, 3, seed=7)) == [
        "ACAACATTACGCATACATACGCATTACGTACGTACGTACGTACA"
    ]
    protein = symbols(shuffle("MKVLAAGMKVAAGMKLVAGK", seed=7, alphabet="protein"), "protein")
    assert protein == ["MKLVLAAGMKVAGMKVAAGK"]
    assert symbols(random_sequences(2, 20, seed=7)) == [
        "GTCATAAACTCGTCCACATC",
        "TACGACCCCTCGCCTGAGTG",
    ]
    assert symbols(random_sequences(2, 20, [1, 2, 3, 4], seed=7)) == [
        "ATGAGCCCGGACGTGGTTCT",
        "TCCTTTGTATGGACCTGTGG",
    ]


@pytest.mark.parametrize(
    ("weights", "alphabet"),
    [
        (None, "dna"),
        (None, "protein"),
        ([0.3, 0.2, 0.2, 0.3], "rna"),
        ([1, 0, 1e-2, 0], "dna"),
        ([1, 1, 1], "symbols:XYZ"),
    ],
)
def test_symbols_are_as_frequent_as_their_weights(weights, alphabet):
    tokens = random_sequences(300, 400, weights, seed=3, alphabet=alphabet)
    size = {"dna": 4, "rna": 4, "protein": 20}.get(alphabet, 3)
    shares = np.ones(size) if weights is None else np.array(weights, dtype=float)
    expected = shares / shares.sum() * tokens.size
    seen = np.bincount(tokens.ravel(), minlength=size)
    assert len(seen) == size
    assert not seen[expected == 0].any()
    kept = expected > 0
    statistic = ((seen - expected)[kept] ** 2 / expected[kept]).sum()
    assert statistic < chi2.isf(ALPHA, kept.sum() - 1)


@pytest.mark.parametrize("weights", [None, [1, 2, 3, 4]])
def test_neighbours_and_rows_are_independent(weights):
    tokens = random_sequences(400, 300, weights, seed=4)
    share = np.ones(4) / 4 if weights is None else np.array(weights) / 10
    for first, second in ((tokens[:, :-1], tokens[:, 1:]), (tokens[:-1], tokens[1:])):
        pairs = np.bincount((4 * first.astype(int) + second).ravel(), minlength=16)
        expected = np.outer(share, share).ravel() * first.size
        # Overlapping pairs: the statistic less that of the symbols is a chi square (Good 1953).
        ones = np.bincount(first.ravel(), minlength=4)
        symbol = ((ones - share * first.size) ** 2 / (share * first.size)).sum()
        statistic = ((pairs - expected) ** 2 / expected).sum() - symbol
        assert statistic < chi2.isf(ALPHA, 12)


@given(st.integers(0, 9), st.integers(0, 40), st.integers(0, 9), st.integers(1, 4))
def test_random_rows_are_functions_of_their_index(n, length, first, threads):
    whole = random_sequences(first + n, length, [4, 3, 2, 1], seed=2)
    part = random_sequences(n, length, [4, 3, 2, 1], seed=2, threads=threads, first_row=first)
    np.testing.assert_array_equal(part, whole[first:])


def test_no_rows_and_no_symbols_are_no_error():
    assert shuffle([]).shape == (0, 1, 0)
    assert shuffle(["", ""], n=3).shape == (2, 3, 0)
    assert shuffle(np.zeros((0, 5), dtype=np.uint8), n=2).shape == (0, 2, 5)
    assert random_sequences(0, 5).shape == (0, 5)
    assert random_sequences(5, 0).shape == (5, 0)
    np.testing.assert_array_equal(shuffle("ACGTAC", k=6), [[[0, 1, 2, 3, 0, 1]]])


def test_the_extension_fills_the_callers_buffer():
    tokens = random_sequences(3, 50)
    out = np.full((3, 2, 50), 9, dtype=np.uint8)
    assert _ext.shuffle(tokens, copies=2, out=out) is out
    np.testing.assert_array_equal(out, shuffle(tokens, n=2))
    rows = np.full((3, 50), 9, dtype=np.uint8)
    assert _ext.random_sequences(3, 50, out=rows) is rows
    np.testing.assert_array_equal(rows, tokens)


GOOD = np.zeros((2, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shuffle("ACG", k=0), "k must be between 1 .*: 0"),
        (lambda: shuffle("ACG", k=2.0), "k must be a whole number: .2.0"),
        (lambda: shuffle("ACG", k=4), "at most the length of the sequences: .*k = 4, length 3"),
        (lambda: shuffle("ACG", n=0), "n must be between 1"),
        (lambda: shuffle("ACG", n=-1), "n must be between 1"),
        (lambda: shuffle("ACG", n=1 << 62), "do not fit into memory.*first_row"),
        (lambda: shuffle("ACG", n=1 << 70), "n must be between 1"),
        (lambda: shuffle("ACG", seed=-1), "seed must be between 0"),
        (lambda: shuffle("ACG", seed=1 << 64), "seed must be between 0"),
        (lambda: shuffle("ACG", threads=0), "threads must be between 1"),
        (lambda: shuffle(["ACG", "AC"]), "the same length: 'row 1 has 2 symbols, row 0 has 3'"),
        (lambda: shuffle(["ACG", "A5G"]), "row 2, column 2: '5' is not a nucleotide symbol"),
        (lambda: shuffle(["A\nG"]), "line breaks"),
        (lambda: shuffle(["ACG", 7]), "row 1 is int"),
        (lambda: shuffle("ACG", alphabet="klingon"), "alphabet must be"),
        (lambda: shuffle(GOOD + 5), "0…4, but one is 5"),
        (lambda: shuffle(GOOD[0]), r"uint8 array with 2 axes: 'uint8 of shape \(3,\)'"),
        (lambda: shuffle(GOOD.astype(int)), "uint8 array with 2 axes: 'int64"),
        (lambda: random_sequences(-1, 3), "n must be between 0"),
        (lambda: random_sequences(3, -1), "length must be between 0"),
        (lambda: random_sequences(1 << 40, 1 << 40), "do not fit into memory"),
        (lambda: random_sequences(3, 3, [1, 1, 1]), "a weight for each of 4 symbols, not 3"),
        (lambda: random_sequences(3, 3, [1, 1, 1, -1]), "weights of at least 0"),
        (lambda: random_sequences(3, 3, [1, 1, 1, np.nan]), "finite weights"),
        (lambda: random_sequences(3, 3, [1, 1, 1, np.inf]), "finite weights"),
        (lambda: random_sequences(3, 3, [0, 0, 0, 0]), "not all of them 0"),
        (lambda: random_sequences(3, 3, "ACGT"), "composition must be a weight for each symbol"),
        (lambda: random_sequences(3, 3, [[1, 1, 1, 1]]), "float64 array with 1 axis"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(GeneqError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _ext.shuffle(GOOD, 0), "k must be 1…3, .*, not 0"),
        (lambda: _ext.shuffle(GOOD, 4), "k must be 1…3, .*, not 4"),
        (lambda: _ext.shuffle(GOOD, copies=0), "copies must be at least 1"),
        (lambda: _ext.shuffle(GOOD, threads=0), "threads must be at least 1"),
        (lambda: _ext.shuffle(GOOD[0]), "tokens must be a uint8 array with 2 axes"),
        (lambda: _ext.shuffle(GOOD.astype(float)), "tokens must be a uint8 array with 2 axes"),
        (lambda: _ext.shuffle(GOOD.T), "tokens must be C-contiguous"),
        (lambda: _ext.shuffle(GOOD + 5), "0…4, but one is 5"),
        (lambda: _ext.shuffle(GOOD, out=GOOD), r"of shape \[2, 1, 3\]"),
        (lambda: _ext.shuffle(GOOD, out=GOOD[:, None]), "not overlap"),
        (lambda: _ext.random_sequences(1, 2, np.ones(3)), "for each of 4 symbols, not 3"),
        (lambda: _ext.random_sequences(1, 2, [1.0] * 4), "composition must be a float64 array"),
        (lambda: _ext.random_sequences(1, 2, -np.ones(4)), "at least 0"),
        (lambda: _ext.random_sequences(1 << 60, 1 << 60), "array|dimension"),
    ],
)
def test_the_extension_refuses_with_value_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()

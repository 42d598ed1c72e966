"""What every library offers: recipes, rows in memory and as a stream, and what it refuses."""

import copy
import gc
import json
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from children import interruptible
from geneq import _ext
from geneq.errors import GeneqError
from geneq.libraries import (
    CombinatorialLibrary,
    DiploidLibrary,
    Library,
    PairwiseLibrary,
    RandomLibrary,
    SaturationLibrary,
    base,
    transition_bias,
)

WILD = "ACGTACGTAC"
# A recipe of each kind, with fields that are not the defaults.
EACH = [
    RandomLibrary(WILD, 50, 0.3, windows=[(6, 9), (1, 4)], symbol_weights=transition_bias(2.5)),
    RandomLibrary(
        WILD, 50, counts=[0, 1, 2.5], include_wild_type=False, unique=True, seed=2**64 - 1
    ),
    RandomLibrary("AUUN", 50, alphabet="rna", windows=[(0, 3)], position_rates=[0.1, 0.5, 1]),
    RandomLibrary("MKTAYI", 50, counts=2, alphabet="protein"),
    DiploidLibrary("ARNY", 50, counts="binomial", windows=[(0, 2)]),
    SaturationLibrary(WILD, deletions=2, insertions=1, left_flank="GG", keep="right"),
    CombinatorialLibrary(WILD, 3, 1, n=50, windows=[(2, 8)], seed=5),
    PairwiseLibrary("ABBABABBAB", (5, 10), (0, 5), singles=False, alphabet="symbols:AB"),
]
each = pytest.mark.parametrize("library", EACH, ids=lambda library: library.kind)


def text(library: Library) -> list[str]:
    return [_ext.decode(row, library.alphabet).decode() for row in library.tokens()]


# --- the same rows for ever -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "rows"),
    [
        (
            """{"format": "geneq-recipe", "version": 1, "kind": "random", "alphabet": "dna",
            "seed": 7, "wild_type": "ACGTNACGTACGTACGTTGCA", "n": 6, "rate": 0.2,
            "counts": "poisson", "windows": [[0, 4], [6, 20]], "position_rates": null,
            "symbol_weights": null, "include_wild_type": true, "unique": false}""",
            """ACGTNACGTACGTACGTTGCA GCGTNAATTTCGTACCTGGCA ATGTNACGTATGTCCGATGCA
            ACGTNAGGTACGTTTGTTGCA ACGTNAAGTACGTACGTTGCA ACGTNACTTACGTACATTGCA""",
        ),
        (
            """{"format": "geneq-recipe", "version": 1, "kind": "random", "alphabet": "protein",
            "seed": 18446744073709551615, "wild_type": "MKTAYIAKQRQISFVKSHFSRQ", "n": 4,
            "rate": 0.3, "counts": "binomial", "windows": null, "position_rates": null,
            "symbol_weights": null, "include_wild_type": false, "unique": true}""",
            """LHTAGIAKQLQISFVLAHFSRQ QKSAYIAKQRQISFVKSAFIRQ MTTFVIFDKRQIAFVKCTWSRC
            CQRAGIAYQIQIMFVQQHFIRW""",
        ),
        (
            """{"format": "geneq-recipe", "version": 1, "kind": "random", "alphabet": "rna",
            "seed": 0, "wild_type": "ACGUACGUACGU", "n": 4, "rate": 0.1,
            "counts": [0.0, 0.5, 2.0, 4.0], "windows": null, "position_rates": null,
            "symbol_weights": [[0, 1, 4, 1], [1, 0, 1, 4], [4, 1, 0, 1], [1, 4, 1, 0]],
            "include_wild_type": false, "unique": false}""",
            "ACGUACCUACGU ACGUACGCGCGA GCGUACGUAGGU ACAUACGCGCGU",
        ),
        (
            """{"format": "geneq-recipe", "version": 1, "kind": "random",
            "alphabet": "symbols:AB", "seed": 3, "wild_type": "AAAABBBB", "n": 4, "rate": 0.1,
            "counts": "poisson", "windows": null,
            "position_rates": [0, 0.5, 0.5, 1, 0, 0.5, 0.5, 1], "symbol_weights": null,
            "include_wild_type": true, "unique": false}""",
            "AAAABBBB ABABBABA AABBBABA AAABBABA",
        ),
        (
            """{"format": "geneq-recipe", "version": 1, "kind": "diploid",
            "alphabet": "diploid", "seed": 5, "wild_type": "ACGTRYSWKMACGT", "n": 4,
            "rate": 0.1, "counts": 4, "windows": null, "position_rates": null,
            "symbol_weights": null, "include_wild_type": true, "unique": false}""",
            "ACGTRYSWKMACGT ACGKRRYWKMSCGT ACGTGYSWGMWCGG ARGTAYSWKMTCGR",
        ),
        (
            """{"format": "geneq-recipe", "version": 1, "kind": "saturation", "alphabet": "dna",
            "seed": 1, "wild_type": "ACGT", "substitutions": true, "deletions": 2,
            "insertions": 1, "windows": [[1, 3]], "left_flank": "TT", "right_flank": "G",
            "keep": "right", "include_wild_type": true}""",
            """ACGT AAGT AGGT ATGT ACAT ACCT ACTT TAGT TACT TTAT
            ACGT CCGT GCGT TCGT CAGT CCGT CGGT CTGT""",
        ),
        (
            """{"format": "geneq-recipe", "version": 1, "kind": "combinatorial",
            "alphabet": "dna", "seed": 11, "wild_type": "ACGTACGTAC", "order": 4,
            "min_order": 1, "n": 6, "windows": [[2, 9]]}""",
            "ACGCACTTAC ACGTCCATTC ACCTCAGCAC ACATATTCAC ACTTATATTC ACGGGCCAAC",
        ),
        (
            """{"format": "geneq-recipe", "version": 1, "kind": "pairwise",
            "alphabet": "symbols:01", "seed": 1, "wild_type": "00110", "first": [3, 5],
            "second": [0, 2], "singles": true}""",
            "00110 00100 00111 10110 01110 10100 01100 10111 01111",
        ),
    ],
)
def test_a_recipe_gives_these_rows_on_every_machine_and_in_every_version(recipe, rows):
    library = Library.from_json(recipe)
    assert text(library) == rows.split()
    assert json.loads(library.to_json()) == json.loads(recipe)


def test_deletions_and_insertions_by_hand():
    def rows(keep: str, **edits) -> list[str]:
        library = SaturationLibrary(
            "ACGT", False, windows=[(1, 3)], left_flank="TT", right_flank="A", keep=keep,
            include_wild_type=False, **edits,
        )  # fmt: skip
        return text(library)

    assert rows("left", deletions=2) == ["AGTA", "ACTA", "ATAN"]
    assert rows("right", deletions=2) == ["TAGT", "TACT", "TTAT"]
    assert rows("left", insertions=1) == [
        "AACG", "ACCG", "AGCG", "ATCG", "ACAG", "ACCG", "ACGG", "ACTG"]  # fmt: skip
    assert rows("right", insertions=1) == [
        "ACGT", "CCGT", "GCGT", "TCGT", "CAGT", "CCGT", "CGGT", "CTGT"]  # fmt: skip


# --- recipes ----------------------------------------------------------------------------------


@each
def test_a_recipe_survives_json_and_a_pickle(library):
    for again in (
        Library.from_json(library.to_json()),
        Library.from_json(library.to_json().encode()),
        pickle.loads(pickle.dumps(library)),
        copy.deepcopy(library),
    ):
        assert type(again) is type(library)
        assert again == library
        assert hash(again) == hash(library)
        np.testing.assert_array_equal(again.tokens(), library.tokens())


def test_every_kind_is_tried_here():
    assert {type(library) for library in EACH} <= set(Library.kinds.values())
    assert {library.kind for library in EACH} >= {
        "random", "diploid", "saturation", "combinatorial", "pairwise"}  # fmt: skip


def test_numbers_and_arrays_of_numpy_make_the_same_recipe():
    plain = RandomLibrary(
        WILD, 5, 0.25, 2, [(1, 4)], symbol_weights=[[1.0] * 4] * 4, seed=3, unique=True
    )
    numpy = RandomLibrary(
        WILD.lower(), np.int64(5), np.float32(0.25), np.uint8(2), np.array([[1, 4]]),
        symbol_weights=np.ones((4, 4)), seed=np.uint64(3), unique=np.True_,
    )  # fmt: skip
    assert numpy == plain
    assert numpy.to_json() == plain.to_json()
    rates = np.linspace(0, 1, 10)
    library = RandomLibrary(WILD, 5, position_rates=rates)
    assert library == RandomLibrary(WILD, 5, position_rates=rates.tolist())
    assert Library.from_json(library.to_json()) == library


def test_recipes_are_equal_when_they_ask_for_the_same():
    assert RandomLibrary("acgt", 5, windows=[[2, 4], [0, 1]]) == RandomLibrary(
        "ACGT", 5, windows=((0, 1), (2, 4))
    )
    named = RandomLibrary(WILD, 5, symbol_weights={"A": {"C": 1}, "C": {"A": 1},
                                                   "G": {"A": 1}, "T": {"A": 1}})  # fmt: skip
    assert named == RandomLibrary(
        WILD, 5, symbol_weights=[[0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    )
    assert RandomLibrary(WILD, 5) != RandomLibrary(WILD, 5, seed=2)
    assert RandomLibrary(WILD, 5, alphabet="diploid") != DiploidLibrary(WILD, 5)


def test_a_recipe_cannot_be_changed():
    with pytest.raises(AttributeError):
        RandomLibrary(WILD, 5).n = 6


def test_a_recipe_prints_what_is_not_by_default_and_no_long_sequence():
    assert repr(RandomLibrary("ACGT", 5)) == "RandomLibrary(wild_type='ACGT', n=5)"
    library = RandomLibrary("ACGT" * 5000, 5, position_rates=[0.125] * 20_000, seed=3)
    assert "'ACGTACGTACGTACGTACGT…' (20,000 symbols)" in repr(library)
    assert "seed=3" in repr(library)
    assert len(repr(library)) < 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("[]", "Not a recipe written by geneq"),
        ("{}", "Not a recipe written by geneq"),
        ('{"format": "other", "version": 1}', "Not a recipe written by geneq"),
        ("ACGT", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (None, "not JSON"),
        ("[" * 100_000, "not JSON"),
        (
            {"version": 2},
            "of format version 1: 2 *\\. Install the version of geneq that wrote it",
        ),
        ({"version": None}, "reads a recipe of format version 1"),
        ({"kind": "magic"}, "Unknown type of library: 'magic'. There are: combinatorial, dip"),
        ({"kind": ["random"]}, "Unknown type of library"),
        ({"rates": 0.1}, "Unknown field of a random recipe: 'rates'. There are: alphabet, "),
        ({"n": "5"}, "n must be a whole number: \"'5'\""),
        ({"n": True}, "n must be a whole number"),
        ({"n": 5.0}, "n must be a whole number"),
        ({"windows": [[0]]}, "A window must be a start and an end"),
        ({"unique": 1}, "unique must be true or false: '1'"),
        ({"rate": None}, "rate must be a number"),
    ],
)
def test_a_recipe_of_another_make_is_refused(change, message):
    if isinstance(change, dict):
        change = json.dumps(json.loads(RandomLibrary(WILD, 5).to_json()) | change)
    with pytest.raises(GeneqError, match=message):
        Library.from_json(change)


@pytest.mark.parametrize("missing", ["format", "version", "kind", "wild_type", "n"])
def test_an_incomplete_recipe_is_refused(missing):
    recipe = json.loads(RandomLibrary(WILD, 5).to_json())
    del recipe[missing]
    with pytest.raises(GeneqError, match=f"{missing}|written by geneq|Unknown type"):
        Library.from_json(json.dumps(recipe))


def random(**recipe):
    return RandomLibrary(**({"wild_type": WILD, "n": 5} | recipe))


def saturation(**recipe):
    return SaturationLibrary(**({"wild_type": WILD} | recipe))


def combinatorial(order=2, **recipe):
    return CombinatorialLibrary(**({"wild_type": WILD, "order": order} | recipe))


def pairwise(first=(0, 2), second=(4, 6), **recipe):
    return PairwiseLibrary(WILD, first, second, **recipe)


@pytest.mark.parametrize(
    ("make", "recipe", "message"),
    [
        (random, {"wild_type": ""}, "wild_type must be a sequence: \"''\""),
        (random, {"wild_type": b"ACGT"}, "wild_type must be a sequence: \"b'ACGT'\""),
        (random, {"wild_type": b"A" * 10**6}, r"^.{0,120}$"),
        (random, {"wild_type": ["A", "C"]}, "wild_type must be a sequence"),
        (random, {"wild_type": "AC!T"}, "alphabet dna: \"row 1, column 3: '!' is not a nucleotide"),
        (random, {"wild_type": "ACGU"}, "column 4: 'U' is not a nucleotide symbol; RNA is"),
        (random, {"wild_type": "ACGé"}, "row 1, column 4"),
        (random, {"wild_type": "\ud800"}, "not in the alphabet dna"),
        (random, {"wild_type": "AC\nGT"}, "wild_type must be one line.*Remove the line breaks"),
        (random, {"wild_type": "ACGT\r\n"}, "wild_type must be one line"),
        (random, {"wild_type": "\n"}, "wild_type must be one line"),
        (random, {"wild_type": "ACNT"}, r"unknown symbols: 'N at position 2 \(0-based"),
        (random, {"wild_type": "ACRNT"}, r"R at position 2 \(0-based\), and 1 more"),
        (random, {"alphabet": "dnaa"}, "Not an alphabet.*not 'dnaa'"),
        (random, {"alphabet": None}, "Not an alphabet"),
        (random, {"alphabet": "symbols:A", "wild_type": "AA"}, "at least 2 symbols"),
        (random, {"seed": -1}, "seed must be between 0 and 18446744073709551615: -1"),
        (random, {"seed": 2**64}, "seed must be between 0 and"),
        (random, {"seed": 1.5}, "seed must be a whole number"),
        (random, {"seed": None}, "seed must be a whole number"),
        (random, {"n": 0}, "n must be between 1 and"),
        (random, {"n": -5}, "n must be between 1 and"),
        (random, {"n": 2**70}, "n must be between 1 and 9223372036854775807: 1180591620717411303"),
        (random, {"n": "10"}, "n must be a whole number"),
        (random, {"n": True}, "n must be a whole number"),
        (random, {"n": 1e3}, "n must be a whole number"),
        (random, {"rate": "x"}, "rate must be a number"),
        (random, {"rate": True}, "rate must be a number"),
        (random, {"rate": float("nan")}, r"rate must be in \[0, 1\]: nan"),
        (random, {"rate": 1.01}, r"rate must be in \[0, 1\]: 1.01"),
        (random, {"rate": -1e-9}, r"rate must be in \[0, 1\]: -1e-09"),
        (random, {"rate": 10**400}, "rate must be a number"),
        (random, {"rate": 1 + 0j}, "rate must be a number"),
        (random, {"windows": 5}, "windows must be a list: '5'"),
        (random, {"windows": "0-5"}, "windows must be a list"),
        (random, {"windows": []}, "at least one window"),
        (random, {"windows": [5]}, "A window must be a list: '5'"),
        (random, {"windows": ["05"]}, "A window must be a list"),
        (random, {"windows": [[1, 2, 3]]}, "A window must be a start and an end"),
        (random, {"windows": [[3, 1]]}, r"not empty: '\[3, 1\)'"),
        (random, {"windows": [[3, 3]]}, r"not empty: '\[3, 3\)'"),
        (random, {"windows": [[-1, 3]]}, r"within the 10 symbols.*'\[-1, 3\)'"),
        (random, {"windows": [[0, 11]]}, r"within the 10 symbols.*'\[0, 11\)'"),
        (random, {"windows": [[0.0, 3]]}, "The edge of a window must be a whole number: '0.0'"),
        (random, {"windows": [[0, 4], [3, 6]]}, "Windows must not overlap"),
        (random, {"windows": [[0, 4], [0, 4]]}, "Windows must not overlap"),
        (random, {"windows": [[5, 6], [0, 9]]}, "Windows must not overlap"),
        (random, {"counts": "normal"}, "counts must be poisson, binomial, a whole number, or wei"),
        (random, {"counts": -1}, "counts must be between 0 and"),
        (random, {"counts": 11}, "number of positions in the windows: '11 of 10'"),
        (random, {"counts": 2**60}, "must not exceed the number of positions"),
        (random, {"counts": True}, "counts must be a whole number"),
        (random, {"counts": 2.0}, "counts must be a list"),
        (random, {"counts": None}, "counts must be a list"),
        (random, {"counts": {1: 2}}, "counts must be a list"),
        (random, {"counts": []}, "all 0"),
        (random, {"counts": [0, 0]}, "all 0"),
        (random, {"counts": [1, float("nan")]}, "the weight of 1 mutations is NaN"),
        (random, {"counts": [1, -2]}, "the weight of 1 mutations is -2"),
        (random, {"counts": [1, "2"]}, "Each of counts must be a number"),
        (random, {"counts": [1e308, 1e308]}, "too large"),
        (random, {"counts": [0] * 11 + [1]}, "11 mutations do not fit into 10 positions"),
        (random, {"position_rates": 0.5}, "position_rates must be a list"),
        (random, {"position_rates": [0.5] * 9}, "'9 rates, 10 positions'"),
        (random, {"position_rates": [0.5] * 9 + [2]}, r"rate must be in \[0, 1\]: 2"),
        (random, {"position_rates": [0.5] * 9 + ["a"]}, "rate must be a number"),
        (random, {"symbol_weights": 5}, "symbol_weights must be a list"),
        (random, {"symbol_weights": [1, 2]}, "symbol_weights must be a list"),
        (random, {"symbol_weights": [[1] * 4] * 3}, "4 rows of 4 numbers"),
        (random, {"symbol_weights": [[1] * 3] * 4}, "4 rows of 4 numbers"),
        (random, {"symbol_weights": [[1, 1, 1, -1]] * 4}, "finite and not negative"),
        (random, {"symbol_weights": [[1, 1, 1, float("nan")]] * 4}, "finite and not negative"),
        (random, {"symbol_weights": [[1, 0, 0, 0]] * 4}, "symbol A of the wild type has no weight"),
        (random, {"symbol_weights": {"A": {"C": 1}}}, "symbol C of the wild type has no weight"),
        (random, {"symbol_weights": {"N": {"C": 1}}}, "a symbol that is not in the alphabet: 'N'"),
        (random, {"symbol_weights": {"A": {"U": 1}}}, "a symbol that is not in the alphabet: 'U'"),
        (random, {"symbol_weights": {"A": 1}}, "map wild-type symbols to weights"),
        (random, {"symbol_weights": {"A": {"C": "x"}}}, "symbol_weights must be a number"),
        (random, {"include_wild_type": "no"}, "include_wild_type must be true or false: \"'no'\""),
        (random, {"unique": None}, "unique must be true or false"),
        (random, {"n": 20, "wild_type": "AC", "unique": True}, "only 16 distinct rows were found"),
        (DiploidLibrary, {"wild_type": "A", "n": 1, "alphabet": "dna"}, "diploid library must be"),
        (saturation, {"deletions": 11}, "deletions must be between 0 and 10"),
        (saturation, {"insertions": -1}, "insertions must be between 0 and 10"),
        (saturation, {"wild_type": WILD * 9, "insertions": 40}, "insertions of .* 2.64 or more"),
        (saturation, {"keep": "middle"}, "keep must be left or right: 'middle'"),
        (saturation, {"left_flank": "X"}, "left_flank has a character that is not in"),
        (saturation, {"right_flank": None}, "right_flank must be a sequence"),
        (saturation, {"substitutions": "no"}, "substitutions must be true or false"),
        (saturation, {"substitutions": False, "include_wild_type": False}, "no edit and no wild"),
        (combinatorial, {"order": 11}, "number of positions in the windows: '11 of 10'"),
        (combinatorial, {"order": 3, "windows": [[4, 6]]}, "in the windows: '3 of 2'"),
        (combinatorial, {"order": -1}, "order must be between 0"),
        (combinatorial, {"order": True}, "order must be a whole number"),
        (combinatorial, {"min_order": 3}, "min_order must be between 0 and 2: 3"),
        (combinatorial, {"n": 0}, "n must be between 1"),
        (combinatorial, {"n": 437}, "437 rows cannot be drawn from 436 combinations"),
        (combinatorial, {"wild_type": WILD * 40, "order": 20}, "of 400 positions are 2.64 or more"),
        (pairwise, {"first": 3}, "A window must be a list"),
        (pairwise, {"first": [3, 5]}, "Windows must not overlap"),
        (pairwise, {"first": [4, 6]}, "Windows must not overlap"),
        (pairwise, {"second": [8, 11]}, "within the 10 symbols"),
        (pairwise, {"singles": 0}, "singles must be true or false"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_refused_in_words(make, recipe, message):
    with pytest.raises(GeneqError, match=message):
        make(**recipe)


# --- rows -------------------------------------------------------------------------------------


@each
def test_tokens_parts_stream_and_one_hot_are_the_same_rows(library):
    whole = library.tokens()
    assert whole.shape == (len(library), library.length) == (library.n_rows, library.length)
    np.testing.assert_array_equal(library.tokens(3, 20, threads=3), whole[3:20])
    assert library.tokens(7, 7).shape == (0, library.length)
    np.testing.assert_array_equal(np.concatenate(list(library.stream(7, threads=2))), whole)
    hot = _ext.one_hot(whole, alphabet=library.alphabet)
    np.testing.assert_array_equal(library.one_hot(), hot)
    np.testing.assert_array_equal(library.one_hot(start=2, stop=9, threads=2), hot[2:9])


@settings(deadline=None)
@given(st.data(), st.integers(1, 60), st.integers(1, 4), st.integers(1, 5))
def test_batches_come_in_order_and_as_long_as_asked_for(data, batch, threads, ahead):
    library = EACH[0]
    start = data.draw(st.integers(0, 50))
    stop = data.draw(st.integers(start, 50))
    batches = list(library.stream(batch, start, stop, threads, ahead))
    wanted = [library.tokens(a, min(a + batch, stop)) for a in range(start, stop, batch)]
    assert len(batches) == len(wanted)
    for found, rows in zip(batches, wanted, strict=True):
        np.testing.assert_array_equal(found, rows)


def test_large_pieces_are_joined_without_a_seam(monkeypatch):
    library = RandomLibrary(WILD, 1000, 0.3)
    whole, hot, mutations = library.tokens(), library.one_hot("float32"), library.mutations()
    monkeypatch.setattr(base, "CHUNK", 64)
    np.testing.assert_array_equal(library.tokens(threads=2), whole)
    np.testing.assert_array_equal(library.one_hot("float32", threads=2), hot)
    for found, wanted in zip(library.mutations(threads=2), mutations, strict=True):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype


def test_half_precision_is_exact():
    """0, 1 and 2 as their bits."""
    hot = DiploidLibrary("ACGTRYSWKM" * 3, 200).one_hot("float16")
    assert set(np.unique(hot.view(np.uint16))) == {0x0000, 0x3C00, 0x4000}
    np.testing.assert_array_equal(hot, DiploidLibrary("ACGTRYSWKM" * 3, 200).one_hot())


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda library: library.tokens(0, 51), "rows 0 to 50: 'rows 0 to 51'"),
        (lambda library: library.tokens(5, 4), "'rows 5 to 4'"),
        (lambda library: library.tokens(-1), "start must be between 0"),
        (lambda library: library.tokens("0"), "start must be a whole number"),
        (lambda library: library.tokens(0, 1.5), "stop must be a whole number"),
        (lambda library: library.tokens(threads=0), "threads must be between 1 and 1024: 0"),
        (lambda library: library.tokens(threads=10**9), "threads must be between 1 and 1024"),
        (lambda library: library.mutations(0, 51), "rows 0 to 51"),
        (lambda library: library.mutations(threads=-1), "threads must be between 1"),
        (lambda library: library.one_hot("float64"), "dtype must be uint8, float16 or float32"),
        (lambda library: library.one_hot(layout="lnc"), "layout must be nlc or ncl: 'lnc'"),
        (lambda library: library.one_hot(layout=[]), "layout must be nlc or ncl"),
        (lambda library: library.one_hot(out=[[1]]), "out must be a NumPy array"),
        (lambda library: library.one_hot(threads=0), "threads must be between 1"),
        (lambda library: library.stream(0), "batch must be between 1"),
        (lambda library: library.stream(2.0), "batch must be a whole number"),
        (lambda library: library.stream(ahead=0), "ahead must be between 1"),
        (lambda library: library.stream(threads=0), "threads must be between 1"),
        (lambda library: library.stream(start=51), "'rows 51 to 50'"),
        (lambda library: library.design(), "have no design table: 'random'"),
        (lambda _: SaturationLibrary(WILD, deletions=1).mutations(), "sparse form: 'saturation'"),
    ],
)
def test_what_cannot_be_given_is_refused_when_it_is_asked_for(ask, message):
    with pytest.raises(GeneqError, match=message):
        ask(EACH[0])


def read_only(shape) -> np.ndarray:
    out = np.zeros(shape, np.float32)
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((50, 10, 4), np.uint8),
        np.zeros((50, 10, 4), ">f4"),
        np.zeros((50, 4, 10), np.float32),
        np.zeros((49, 10, 4), np.float32),
        np.zeros((50, 4, 10), np.float32).transpose(0, 2, 1),
        np.zeros((100, 10, 4), np.float32)[::2],
        np.zeros(8001, np.uint8)[1:].view(np.float32).reshape(50, 10, 4),
        read_only((50, 10, 4)),
    ],
)
def test_a_buffer_that_does_not_fit_is_refused_and_left_alone(out):
    before = out.copy()
    wanted = r"out must be float32 of shape \(50, 10, 4\), C-contiguous, aligned and writeable"
    with pytest.raises(GeneqError, match=wanted):
        EACH[0].one_hot("float32", out=out)
    np.testing.assert_array_equal(out, before)


def test_substitutions_of_a_saturation_library_have_a_sparse_form():
    library = SaturationLibrary(WILD, windows=[(2, 5)])
    found = library.mutations()
    assert [column.dtype for column in found] == [np.int64, np.int32, np.uint8]
    rows = np.repeat(library.tokens(0, 1), library.n_rows, axis=0)
    rows[found.row, found.position] = found.symbol
    np.testing.assert_array_equal(rows, library.tokens())
    assert found.row.tolist() == list(range(1, 10))
    assert library.mutations(4, 6).row.tolist() == [4, 5]
    assert len(library.mutations(0, 1).row) == 0


# --- streams ----------------------------------------------------------------------------------


def background() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("library")]


def no_thread_is_left(seconds: float = 5) -> bool:
    gc.collect()
    end = time.monotonic() + seconds
    while background() and time.monotonic() < end:
        time.sleep(0.01)
    return not background()


class Watched(RandomLibrary):
    """Notes every batch that is made, for as long as it lives."""

    def _fill(self, start, stop, out, threads):
        super()._fill(start, stop, out, threads)
        self.made.append(weakref.ref(out.base))

    @property
    def made(self) -> list:
        return self.__dict__.setdefault("_made", [])

    def alive(self) -> int:
        return sum(batch() is not None for batch in self.made)


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_no_more_batches_are_in_memory_than_those_ahead_and_two(ahead):
    library = Watched(WILD, 400)
    most = 0
    for _batch in library.stream(10, ahead=ahead):
        time.sleep(0.002)
        most = max(most, library.alive())
    assert len(library.made) == 40
    assert ahead <= most <= ahead + 2
    del _batch
    assert library.alive() == 0
    assert no_thread_is_left()


def test_batches_are_made_before_they_are_asked_for():
    library = Watched(WILD, 400)
    stream = library.stream(10, ahead=3)
    first = next(stream)
    end = time.monotonic() + 5
    while len(library.made) < 4 and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(library.made) == 4  # the one in hand and three ahead, and then it waits
    assert first.shape == (10, 10)
    stream.close()


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_a_stream_may_be_dropped_at_any_time(taken, capfd):
    stream = RandomLibrary(WILD, 2**62).stream(1000)
    for _ in range(taken):
        next(stream)
    del stream
    assert no_thread_is_left()
    assert capfd.readouterr() == ("", "")


def test_a_dropped_stream_does_not_finish_the_batch_it_is_making(monkeypatch):
    class Slow(Watched):
        def _fill(self, start, stop, out, threads):
            super()._fill(start, stop, out, threads)
            time.sleep(0.005)

    monkeypatch.setattr(base, "CHUNK", len(WILD))
    library = Slow(WILD, 1000)
    stream = library.stream(100, ahead=2)
    next(stream)
    stream.close()
    assert no_thread_is_left()
    assert 100 <= len(library.made) < 200


def test_an_error_in_the_background_reaches_the_consumer():
    class Failing(RandomLibrary):
        def _fill(self, start, stop, out, threads):
            if start >= 30:
                raise OSError("the disk is gone")
            super()._fill(start, stop, out, threads)

    stream = Failing(WILD, 100).stream(10)
    batches = []
    with pytest.raises(OSError, match="the disk is gone"):
        for batch in stream:
            batches.append(batch)
    assert len(batches) in (2, 3)
    assert next(stream, None) is None
    assert no_thread_is_left()


# --- memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [10**12, 2**62, 2**63 - 1])
def test_a_library_too_big_for_memory_names_its_size_and_the_stream(n):
    library = RandomLibrary(WILD, n)
    assert len(library) == n
    for ask, size in ((library.tokens, n * 10), (lambda: library.one_hot("float32"), n * 160)):
        message = (
            rf"{n:,} rows of 10 symbols are {size / 1e9:,.1f} GB.* GB are available.*stream\(\)"
        )
        with pytest.raises(GeneqError, match=message):
            ask()
    assert library.tokens(n - 3).shape == (3, 10)
    assert next(library.stream(4)).shape == (4, 10)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: RandomLibrary(WILD, 2**50, unique=True), "Finding repeats among .* rows takes"),
        (lambda: CombinatorialLibrary(WILD * 25, 8, n=2**50), "A sample of .* rows takes"),
        (lambda: RandomLibrary(WILD, 2**62).mutations(), "substitutions of .* rows take about"),
        (lambda: SaturationLibrary(WILD * 2, insertions=20).design(), "The table of .* edits"),
        (lambda: RandomLibrary(WILD, 2**62).stream(2**50), r"rows of 10 symbols are .* GB"),
    ],
)
def test_whatever_takes_too_much_memory_is_refused(ask, message):
    with pytest.raises(GeneqError, match=f"too big for memory: .*{message}"):
        ask()


PEAK = """
from geneq.libraries import RandomLibrary
library = RandomLibrary("ACGTACGT" * 25, {rows}, 0.05)
def peak():  # not getrusage: that has the peak of the process which started this one, too
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
library.one_hot(stop=100, threads=2), next(library.stream(100))
before = peak()
{ask}
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize(
    ("ask", "rows", "output"),
    [
        ("rows = library.tokens(threads=2)", 2_000_000, 400e6),
        ("rows = library.one_hot(threads=2)", 500_000, 400e6),
        ("for rows in library.stream(): pass", 4_000_000, 4 * base.BATCH),
    ],
)
def test_the_peak_of_memory_is_the_output_and_five_percent(ask, rows, output):
    code = PEAK.format(ask=ask, rows=rows)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.1 * output < int(ran.stdout) < 1.05 * output + 4e6


# --- Ctrl-C -----------------------------------------------------------------------------------

ENDLESS = """
import time
from geneq.libraries import CombinatorialLibrary, RandomLibrary
library = RandomLibrary("ACGTACGTAC" * 25, 4_000_000, position_rates=[{rate}] * 250)
print("ready", flush=True)
try:
    {ask}
except KeyboardInterrupt:
    print(time.monotonic())
"""


@pytest.mark.parametrize(
    ("ask", "rate"),
    [
        ("library.tokens()", 0.5),
        ("library.one_hot(stop=1_500_000)", 0.5),
        ("library.mutations()", 0.02),
        ("RandomLibrary('ACGTACGTAC' * 25, 50_000_000, unique=True)", 0),
        ("CombinatorialLibrary('ACGTACGTAC' * 25, 5, n=50_000_000)", 0),
        ("for _ in library.stream(): pass", 0.5),
        ("for _ in library.stream(1_000_000): pass", 0.5),
    ],
)
def test_ctrl_c_is_heard_within_a_second(ask, rate):
    code = ENDLESS.format(ask=ask, rate=rate)
    with interruptible([sys.executable, "-c", code]) as child:
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.3)
        sent = time.monotonic()
        child.send_signal(signal.SIGINT)
        heard, errors = child.communicate(timeout=60)
    assert float(heard) - sent < 1
    assert time.monotonic() - sent < 3  # and the process is gone
    assert (errors, child.returncode) == ("", 0)

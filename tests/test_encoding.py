"""Encoding and decoding over every alphabet, against slow doubles; what is refused."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geneq import encoding
from geneq.errors import GeneqError
from twins import encoding as twin

NAMES = st.sampled_from(list(twin.ALPHABETS))
PAIRED = st.sampled_from([name for name, kind in twin.ALPHABETS.items() if kind[2]])
DTYPES = st.sampled_from(["uint8", "float16", "float32"])
THREADS = st.integers(1, 3)


@st.composite
def texts(draw, names=NAMES, min_rows=1):
    """An alphabet, and rows of its symbols, of either case and unknown ones among them."""
    name = draw(names)
    known, unknown, _ = twin.ALPHABETS[name]
    symbols = known + unknown + (known + unknown).lower()
    length = draw(st.integers(1, 70))
    row = st.text(symbols, min_size=length, max_size=length)
    return name, draw(st.lists(row, min_size=min_rows, max_size=8))


@st.composite
def token_rows(draw, names=NAMES):
    """An alphabet and uint8[n, length] tokens of it; either may be 0."""
    name = draw(names)
    shape = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=40)
    size = len(twin.ALPHABETS[name][0])
    return name, draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, size)))


def encoded(rows: list[str], name: str) -> np.ndarray:
    return np.array([twin.tokens(row, name) for row in rows], dtype=np.uint8)


def forms(rows: list[str]) -> dict:
    """All that sequences may be given as."""
    words = np.array([row.encode() for row in rows])
    singles = words.view("S1").reshape(len(rows), -1)
    return {
        "str": rows,
        "bytes": [row.encode() for row in rows],
        "mixed": [rows[0].encode(), *rows[1:]],
        "words": words,
        "singles": singles,
        "turned": np.asfortranarray(singles),
        "unicode": np.array(rows),
        "objects": np.array(rows, dtype=object),
    }


@given(texts(), THREADS)
def test_tokens_are_those_of_the_twin_from_whatever_holds_the_symbols(text, threads):
    name, rows = text
    for form, sequences in forms(rows).items():
        found = encoding.tokens(sequences, name, threads)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, encoded(rows, name), err_msg=form)


def test_a_lone_string_is_one_row():
    np.testing.assert_array_equal(encoding.tokens("acgtn"), [[0, 1, 2, 3, 4]])
    assert encoding.one_hot(b"ACG", layout="ncl").shape == (1, 4, 3)


def test_an_array_of_bytes_is_read_where_it_lies():
    words = np.array([b"ACGT", b"TTTT"])
    assert np.shares_memory(encoding._symbols(words), words)
    assert np.shares_memory(encoding._symbols(words.view("S1").reshape(2, 4)), words)


@given(token_rows())
def test_symbols_of_tokens_are_those_of_the_twin_and_go_back(case):
    name, tokens = case
    wanted = [twin.decode(row, name) for row in tokens]
    assert encoding.strings(tokens, name) == wanted
    symbols = encoding.symbols(tokens, name)
    assert symbols.tolist() == [row.encode() for row in wanted]
    if tokens.size:
        assert symbols.dtype == f"S{tokens.shape[1]}"
        np.testing.assert_array_equal(encoding.tokens(symbols, name), tokens)


@given(token_rows(PAIRED), THREADS)
def test_the_other_strand_is_that_of_the_twin(case, threads):
    name, tokens = case
    wanted = np.empty_like(tokens)
    for row, values in zip(wanted, tokens, strict=True):
        row[:] = twin.reverse_complement(values, name)
    np.testing.assert_array_equal(encoding.reverse_complement(tokens, name, threads), wanted)
    np.testing.assert_array_equal(encoding.reverse_complement(wanted, name), tokens)


def test_the_other_strand_comes_back_as_it_was_given():
    assert encoding.reverse_complement(["aacr", "TTTT"]) == ["NGTT", "AAAA"]
    assert encoding.reverse_complement(np.array([b"ACC"])).tolist() == [b"GGT"]
    assert encoding.reverse_complement("AACK", "diploid") == ["MGTT"]


@given(texts(), DTYPES, THREADS)
def test_one_hot_of_symbols_and_of_tokens_is_that_of_the_twin(text, dtype, threads):
    name, rows = text
    tokens = encoded(rows, name)
    wanted = twin.one_hot(tokens, name)
    for sequences in (rows, np.array([row.encode() for row in rows]), tokens):
        nlc = encoding.one_hot(sequences, name, dtype, threads=threads)
        ncl = encoding.one_hot(sequences, name, dtype, "ncl", threads=threads)
        assert nlc.dtype == ncl.dtype == dtype
        np.testing.assert_array_equal(nlc, wanted)
        np.testing.assert_array_equal(ncl, wanted.transpose(0, 2, 1))
    for layout, hot in (("nlc", nlc), ("ncl", ncl)):
        np.testing.assert_array_equal(encoding.from_one_hot(hot, layout, name, threads), tokens)


@given(token_rows(), DTYPES)
def test_one_hot_of_any_shape_goes_back(case, dtype):
    name, tokens = case
    hot = encoding.one_hot(tokens, name, dtype)
    assert hot.shape == twin.one_hot(tokens, name).shape
    np.testing.assert_array_equal(encoding.from_one_hot(hot, alphabet=name), tokens)


@pytest.mark.parametrize("offset", [0, 1, 4, 20])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_large_one_hot_is_right_wherever_it_begins_in_memory(offset, threads):
    """Above 32 MiB other instructions write it; N and the ends of rows are among the symbols."""
    rng = np.random.default_rng(7)
    tokens = rng.integers(0, 5, (40_001, 211), dtype=np.uint8)
    buffer = np.full(tokens.size * 4 + 64, 9, dtype=np.uint8)
    out = buffer[offset : offset + tokens.size * 4].reshape(*tokens.shape, 4)
    wanted = (tokens[:, :, None] == np.arange(4)).view(np.uint8)
    for sequences in (tokens, encoding.symbols(tokens)):
        buffer.fill(9)
        assert encoding.one_hot(sequences, out=out, threads=threads) is out
        np.testing.assert_array_equal(out, wanted)
        assert (buffer[:offset] == 9).all()
        assert (buffer[offset + tokens.size * 4 :] == 9).all()


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_one_hot_fills_the_callers_buffer(dtype):
    out = np.full((1, 4, 3), 7, dtype=dtype)
    assert encoding.one_hot("ANT", dtype=dtype, layout="ncl", out=out) is out
    np.testing.assert_array_equal(out[0], [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]])


@given(token_rows(), THREADS)
def test_packed_tokens_are_those_of_the_twin_and_go_back(case, threads):
    name, tokens = case
    packed = encoding.pack(tokens, name, threads)
    data, unknown = twin.pack(tokens, name)
    np.testing.assert_array_equal(packed.data, data)
    listed = zip(packed.unknown_row.tolist(), packed.unknown_position.tolist(), strict=True)
    assert list(listed) == unknown
    assert (packed.unknown_row.dtype, packed.unknown_position.dtype) == (np.int64, np.int32)
    np.testing.assert_array_equal(encoding.unpack(packed, threads), tokens)


@pytest.mark.parametrize(
    ("name", "length", "width"), [("dna", 249, 63), ("diploid", 3, 2), ("protein", 8, 5)]
)
def test_packed_rows_are_as_short_as_they_can_be(name, length, width):
    assert encoding.pack(np.zeros((2, length), np.uint8), name).data.shape == (2, width)


# --- what is refused --------------------------------------------------------------------------

TOKENS = np.zeros((2, 3), dtype=np.uint8)
PACKED = encoding.pack(TOKENS, "protein")


def frozen():
    out = np.zeros((2, 3, 4), dtype=np.uint8)
    out.flags.writeable = False
    return out


def overlapping():
    buffer = np.zeros(24, dtype=np.uint8)
    return encoding.one_hot(buffer[:6].reshape(2, 3), out=buffer.reshape(2, 3, 4))


def overlapping_halves():
    buffer = np.zeros(24, dtype=np.float16)
    symbols = buffer.view("S1")[:6].reshape(2, 3)
    return encoding.one_hot(symbols, dtype="float16", out=buffer.reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: encoding.tokens([]), "must be at least one sequence"),
        (
            lambda: encoding.tokens(["ACG", "AC"]),
            "the same length: 'row 2 has 2 symbols, row 1 has 3",
        ),
        (
            lambda: encoding.tokens(np.array([b"ACG", b"AC"])),
            "row 2 ends after 2 symbols.*length \\(3",
        ),
        (lambda: encoding.tokens(["ACG", 5]), "must be str or bytes: \"row 2 is <class 'int'>"),
        (
            lambda: encoding.tokens(["ACG", "AC5"]),
            "row 2, column 3: '5' is not a nucleotide symbol",
        ),
        (lambda: encoding.tokens([b"ACG", "AéG"]), "row 2, column 2: 'é' is not a symbol"),
        (lambda: encoding.tokens(["A\nC"]), r"row 1, column 2: '\\n' is not a nucleotide symbol"),
        (lambda: encoding.tokens(["ACU"]), "column 3: 'U'.*alphabet 'rna'"),
        (lambda: encoding.tokens(["ACT"], "rna"), "column 3: 'T'.*alphabet 'dna'"),
        (
            lambda: encoding.tokens(["MK*"], "protein"),
            "column 3: '\\*' is not an amino acid symbol",
        ),
        (lambda: encoding.tokens(["ACGU"], "diploid"), "column 4: 'U' is not a genotype symbol"),
        (lambda: encoding.tokens(["ABC"], "symbols:AB"), "'C' is not a symbol of the alphabet"),
        (lambda: encoding.tokens(["A"], "symbols:AA"), "1 to 64 different symbols.*'symbols:AA'"),
        (lambda: encoding.tokens(TOKENS), "S<length>.*uint8 of shape \\(2, 3\\).*view\\('S1'\\)"),
        (lambda: encoding.tokens(np.zeros((2, 3), "S2")), "S1\\[n, length\\]"),
        (lambda: encoding.tokens(["A"], threads=0), "threads must be at least 1"),
        (lambda: encoding.tokens(["A"], threads=-1), "negative"),
        (lambda: encoding.one_hot(["ACG", "A-G"]), "row 2, column 2: '-'"),
        (lambda: encoding.one_hot(["ACG", "A-G"], layout="ncl"), "row 2, column 2: '-'"),
        (lambda: encoding.one_hot(TOKENS + 5), "tokens must be 0…4, but one is 5"),
        (lambda: encoding.one_hot(TOKENS.astype(int)), "S<length>.*int64.*tokens as uint8"),
        (lambda: encoding.one_hot(TOKENS, dtype="float64"), "dtype must be .* not 'float64'"),
        (lambda: encoding.one_hot(TOKENS, dtype="half a bit"), "dtype must be"),
        (lambda: encoding.one_hot(TOKENS, layout="lnc"), "layout must be 'nlc' or 'ncl'"),
        (lambda: encoding.one_hot(TOKENS, out=[1]), "out must be an array of uint8"),
        (lambda: encoding.one_hot(TOKENS, out=np.zeros((2, 3, 4))), "of uint8: 'float64'"),
        (
            lambda: encoding.one_hot(TOKENS, out=np.zeros((2, 4, 3), np.uint8)),
            "shape \\[2, 3, 4\\]",
        ),
        (
            lambda: encoding.one_hot(TOKENS, out=np.zeros((2, 3, 8), np.uint8)[:, :, ::2]),
            "out must be C-contiguous",
        ),
        (lambda: encoding.one_hot(TOKENS, out=frozen()), "out must be writeable"),
        (overlapping, "not overlap with the input"),
        (overlapping_halves, "not overlap with the input"),
        (lambda: encoding.strings(TOKENS[0]), "2 axes: 'shape \\(3,\\)'"),
        (lambda: encoding.strings("ACG"), "2 axes: \"<class 'str'>"),
        (lambda: encoding.symbols(TOKENS + 5), "tokens must be 0…4"),
        (lambda: encoding.reverse_complement(["MK"], "protein"), "'protein' have no complement"),
        (
            lambda: encoding.from_one_hot(np.ones((1, 2, 4), np.uint8)),
            "row 1, column 1: these values encode no symbol",
        ),
        (lambda: encoding.from_one_hot(np.full((1, 2, 4), 0.5, np.float16)), "row 1, column 1"),
        (lambda: encoding.from_one_hot(np.zeros((1, 2, 4))), "hot must be .* not float64"),
        (lambda: encoding.from_one_hot(np.zeros((1, 2, 4), "u1"), "ncl"), "4 columns, not 2"),
        (lambda: encoding.pack(TOKENS + 9), "tokens must be 0…4"),
        (lambda: encoding.unpack(dataclasses.replace(PACKED, length=4)), "3 bytes per row, not 2"),
        (
            lambda: encoding.unpack(dataclasses.replace(PACKED, data=PACKED.data + 31)),
            "row 1, column 1: the packed value is not a symbol",
        ),
        (
            lambda: encoding.unpack(
                dataclasses.replace(
                    PACKED,
                    unknown_row=np.array([1]),
                    unknown_position=np.array([3], dtype=np.int32),
                )
            ),
            "unknown symbol 0: row 1, position 3 is outside",
        ),
        (
            lambda: encoding.unpack(dataclasses.replace(PACKED, unknown_row=np.array([1]))),
            "must have the same length",
        ),
    ],
)
def test_what_the_user_gets_wrong_is_said(call, message):
    with pytest.raises(GeneqError, match=message):
        call()


def test_too_much_for_memory_is_an_error_of_the_user():
    rows = np.broadcast_to(np.uint8(0), (1 << 20, 1 << 30))
    with pytest.raises(GeneqError, match=r"Unable to allocate .*Process fewer rows at a time"):
        encoding.one_hot(rows)

"""The extension against reference implementations, and what it refuses."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geneq import _ext
from twins import encoding

ROOT = Path(__file__).parents[1]
TOKENS = st.integers(0, 4)
ROWS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0), elements=TOKENS)


@given(st.text("ACGTNRYSWKMBDHVacgtnryswkmbdhv\r\n", max_size=200))
def test_tokens_are_those_of_the_twin(text):
    np.testing.assert_array_equal(_ext.tokens(text.encode()), encoding.tokens(text))


@given(hnp.arrays(np.uint8, st.integers(0, 100), elements=TOKENS))
def test_decode_and_the_other_strand_are_those_of_the_twin(tokens):
    assert _ext.decode(tokens).decode() == encoding.decode(tokens)
    np.testing.assert_array_equal(
        _ext.reverse_complement(tokens), encoding.reverse_complement(tokens)
    )


@given(
    st.text("ACGTN", min_size=1, max_size=50),
    st.lists(st.tuples(st.integers(-80, 80), st.sampled_from("+-")), max_size=10),
    st.integers(1, 60),
    st.integers(1, 3),
)
def test_windows_are_those_of_the_twin(text, places, length, threads):
    starts = np.array([start for start, _ in places], dtype=np.int64)
    minus = np.array([strand == "-" for _, strand in places], dtype=bool)
    cut = _ext.windows(_ext.tokens(text.encode()), starts, length, minus, threads)
    assert cut.shape == (len(places), length)
    for row, (start, strand) in zip(cut, places, strict=True):
        position = start if strand == "+" else start + length - 1
        np.testing.assert_array_equal(row, encoding.window(text, position, strand, 0, length))


def test_one_hot_fills_the_callers_buffer():
    tokens = np.array([[0, 4]], dtype=np.uint8)
    out = np.full((1, 2, 4), 7, dtype=np.float32)
    assert _ext.one_hot(tokens, "float32", out=out) is out
    np.testing.assert_array_equal(out, [[[1, 0, 0, 0], [0, 0, 0, 0]]])


GOOD = np.zeros((2, 3), dtype=np.uint8)
STARTS, MINUS = np.zeros(2, dtype=np.int64), np.zeros(2, dtype=bool)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _ext.tokens(b"AC\nG5"), "row 2, column 2: '5' is not a nucleotide symbol"),
        (lambda: _ext.tokens(b"ACGU"), "row 1, column 4: 'U'"),
        (lambda: _ext.decode(GOOD), "with 1 axis, not uint8 of shape"),
        (lambda: _ext.decode(GOOD[0].astype(int)), "uint8 array with 1 axis, not int64"),
        (lambda: _ext.decode("ACGT"), "not <class 'str'>"),
        (lambda: _ext.decode(np.array([5], dtype=np.uint8)), "0…4, but one is 5"),
        (lambda: _ext.reverse_complement(GOOD[:, ::2]), "tokens must be C-contiguous"),
        (lambda: _ext.reverse_complement(np.uint8(1)), "tokens"),
        (lambda: _ext.reverse_complement(GOOD, 0), "threads must be at least 1"),
        (lambda: _ext.one_hot(GOOD[0]), "uint8 array with 2 axes, not uint8 of shape"),
        (lambda: _ext.one_hot(GOOD, "float64"), "'float16' or 'float32', not 'float64'"),
        (lambda: _ext.one_hot(GOOD, layout="lnc"), "'nlc' or 'ncl', not 'lnc'"),
        (lambda: _ext.one_hot(GOOD, out=np.zeros((2, 3, 4))), "array of the requested dtype"),
        (lambda: _ext.one_hot(GOOD, out=np.zeros((2, 4, 3), np.uint8)), r"shape \[2, 3, 4\]"),
        (lambda: _ext.one_hot(GOOD, alphabet="DNA"), "alphabet must be 'dna', .* not 'DNA'"),
        (lambda: _ext.one_hot(GOOD + 5), r"0…4, but one is 5 \(at 0\)"),
        (lambda: _ext.reverse_complement(GOOD, 1, "protein"), "'protein' have no complement"),
        (lambda: _ext.symbol_tokens(GOOD[0]), "symbols must be a uint8 array with 2 axes"),
        (lambda: _ext.from_one_hot(GOOD), "float32 array with 3 axes, not uint8 of shape"),
        (lambda: _ext.pack(GOOD + 5), "tokens must be 0…4"),
        (lambda: _ext.pack(np.zeros((0, 1 << 31), np.uint8)), "too long to pack"),
        (lambda: _ext.unpack(GOOD, 3, STARTS, STARTS), "unknown_position must be an int32 array"),
        (lambda: _ext.windows(GOOD[0], STARTS, 0, MINUS), "length must be at least 1"),
        (lambda: _ext.windows(GOOD[0], STARTS, 1 << 62, MINUS), "do not fit into memory"),
        (lambda: _ext.windows(GOOD[0], STARTS[:1], 2, MINUS), "the same length, not 1 and 2"),
        (
            lambda: _ext.windows(GOOD[0], STARTS.astype(np.int32), 2, MINUS),
            "starts must be an int64",
        ),
        (lambda: _ext.windows(GOOD[0] + 9, STARTS, 2, MINUS), "contig must be 0…4, but one is 9"),
    ],
)
def test_wrong_arguments_are_value_errors_that_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


WILD, SITES = np.array([0, 1, 4, 2], np.uint8), np.array([0, 3], np.uint32)
NONE = np.zeros(0, np.uint8)


def combinations(wild_type=WILD, positions=SITES, low=0, high=2, **more):
    return _ext.Library.combinations(wild_type, positions, "dna", low, high, **more)


def random(how, numbers, **more):
    return _ext.Library.random(WILD, SITES, "dna", 5, 1, how, numbers, **more)


def saturation(deletions=0, insertions=0, keep="left"):
    return _ext.Library.saturation(
        WILD, SITES, "dna", True, deletions, insertions, NONE, NONE, keep
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: combinations(WILD.astype(int)), "wild_type must be a uint8 array with 1 axis"),
        (lambda: combinations(WILD + 1), "wild_type must be 0…4, but one is 5"),
        (lambda: combinations(positions=[0, 3]), "positions must be a uint32 array"),
        (lambda: combinations(positions=SITES[::-1].copy()), "positions must be ascending"),
        (lambda: combinations(positions=SITES[[0, 0]]), "positions must be ascending and unique"),
        (lambda: combinations(positions=SITES[:0]), "at least one position"),
        (lambda: combinations(positions=SITES + 1), "position 4 is outside"),
        (lambda: combinations(positions=SITES[1:] - 1), "position 2 has the unknown symbol"),
        (lambda: combinations(low=2, high=1), "orders 2 to 1 do not fit into 2 positions"),
        (lambda: combinations(high=3), "orders 0 to 3 do not fit into 2 positions"),
        (lambda: combinations(rows=17), "17 rows cannot be drawn from 16 combinations"),
        (lambda: combinations().tokens(16, 1), "rows 16 to 17 are not among the 16"),
        (lambda: combinations().tokens(0, 1, np.zeros((1, 3), np.uint8)), r"of shape \[1, 4\]"),
        (lambda: combinations().tokens(0, 1, threads=0), "threads must be at least 1"),
        (lambda: combinations().one_hot(0, 1, "int8"), "dtype must be .* not 'int8'"),
        (lambda: combinations().one_hot(0, 1, layout="l"), "layout must be .* not 'l'"),
        (lambda: combinations().mutations(3, 2), "rows 3 to 2 are not among the 16"),
        (lambda: combinations().edits(0, 1), "only a saturation library has edits"),
        (lambda: random("gauss", [1]), "there is no distribution 'gauss'"),
        (lambda: random("poisson", [2.1]), r"poisson takes one number in 0.0..=2.0, not \[2.1\]"),
        (lambda: random("fixed", []), "fixed takes one number"),
        (lambda: random("table", [1, 1, 1, 1]), "3 mutations do not fit into 2 positions"),
        (lambda: random("rates", [0.5]), "a rate for every position"),
        (lambda: random("rates", [0.5, -1]), r"rates must be in \[0, 1\], but one is -1"),
        (lambda: random("fixed", [1], symbol_weights=[[1] * 4]), "4 rows of 4 numbers"),
        (lambda: random("fixed", [1], symbol_weights=[[1e308] * 4] * 4), "must be finite"),
        (lambda: random("fixed", [1], symbol_weights=[[1, 0, 0, 0]] * 4), "symbol A .* no weight"),
        (lambda: saturation(keep="both"), "keep must be 'left' or 'right', not 'both'"),
        (lambda: saturation(deletions=5), "must not be longer than the sequence"),
        (lambda: saturation().mutations(0, 1), "more than substitutions"),
        (lambda: _ext.Library.pairs(WILD, SITES, SITES[1:], "dna"), "must not overlap"),
        (lambda: _ext.Library.pairs(WILD, SITES, SITES, "symbols:A"), "0…1, but one is 4"),
    ],
)
def test_a_wrong_library_is_a_value_error_that_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_edits_are_positions_deleted_and_inserted_symbols():
    assert saturation(1, 0).edits(0, 9) == [
        None, (0, 1, b"\1"), (0, 1, b"\2"), (0, 1, b"\3"), (3, 1, b"\0"), (3, 1, b"\1"),
        (3, 1, b"\3"), (0, 1, b""), (3, 1, b"")]  # fmt: skip


def test_one_hot_refuses_a_buffer_that_must_not_be_written():
    out = np.zeros((2, 3, 4), dtype=np.uint8)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writeable"):
        _ext.one_hot(GOOD, out=out)


def test_a_scanner_ends_with_its_first_error():
    scanner = _ext.FastaScanner()
    with pytest.raises(ValueError, match="row 2: column 1: '!'"):
        scanner.feed(b">a\n!")
    with pytest.raises(ValueError, match="finished"):
        scanner.feed(b"ACGT")
    with pytest.raises(ValueError, match="finished"):
        scanner.finish()


def test_the_stub_is_that_of_the_module():
    """Names, signatures and types of the hand-written `_ext.pyi`."""
    command = [sys.executable, "-m", "mypy.stubtest", "geneq._ext"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_a_library_is_made_by_its_constructors_alone():
    with pytest.raises(TypeError, match="cannot create"):
        _ext.Library()


def digest(root: Path) -> str:
    """The code digest by its definition."""
    files = [
        path.relative_to(root).as_posix()
        for folder in ("python", "rust_ext")
        for path in (root / folder).rglob("*")
        if path.is_file()
    ]
    kept = [
        name
        for name in files
        if not any(p.startswith(".") or p in ("target", "__pycache__") for p in name.split("/"))
        and not name.endswith((".so", ".pyc", ".pyd"))
    ]
    total = hashlib.sha256()
    for name in sorted(kept, key=str.encode):
        total.update(name.encode() + b"\0" + (root / name).read_bytes() + b"\0")
    return total.hexdigest()


def test_the_code_digest_is_that_of_the_checkout():
    assert digest(ROOT) == _ext.CODE_DIGEST, "the checkout changed since the build: make install"

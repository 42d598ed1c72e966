"""The kernels of the libraries: symbol by symbol those of the twins, and distributed as they say.

Distribution tests have fixed seeds and a significance of 0.001 (ALPHA) each: for a right kernel
one such test in a thousand would fail, and whether these do was settled when the seeds were set.
"""

import json
from collections import Counter
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from geneq.libraries import (
    CombinatorialLibrary,
    DiploidLibrary,
    Library,
    PairwiseLibrary,
    RandomLibrary,
    SaturationLibrary,
    transition_bias,
)
from twins import libraries as twin

ALPHA = 1e-3
ALPHABETS = ["dna", "rna", "protein", "diploid", "symbols:AB"]
SEEDS = st.integers(0, 2**64 - 1)
NUMBERS = st.floats(0, 1) | st.sampled_from([0.0, 1.0])


# --- the twins themselves ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, [0] * 2,
         "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
        ([2**64 - 1] * 4, [2**64 - 1] * 2,
         "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0"),
        ([0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89],
         [0x452821E638D01377, 0xBE5466CF34E90C6C],
         "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6"),
    ],
)  # fmt: skip
def test_philox_of_the_twin_gives_the_numbers_that_its_authors_published(counter, key, words):
    assert twin.philox(counter, key) == [int(word, 16) for word in words.split()]


def test_xoshiro_of_the_twin_gives_the_numbers_of_the_reference_implementation():
    numbers = twin.Numbers(0, 1, 0)
    numbers.state = [1, 2, 3, 4]
    assert [numbers.u64() for _ in range(4)] == [
        41943041, 58720359, 3588806011781223, 3591011842654386]  # fmt: skip


# --- any recipe -------------------------------------------------------------------------------


@st.composite
def places(draw, length: int):
    """Windows in any order, or None for all."""
    edges = sorted(draw(st.lists(st.integers(0, length), min_size=2, max_size=7, unique=True)))
    windows = list(zip(edges[::2], edges[1::2], strict=False))
    return draw(st.none() | st.just([(0, length)]) | st.permutations(windows))


@st.composite
def sequences(draw, alphabet: str, windows, length: int) -> str:
    """Symbols in the windows, also unknown ones outside of them; either case."""
    inside = twin.positions_of(windows, length)
    symbols = twin.symbols_of(alphabet)
    free = symbols + twin.unknown_of(alphabet)
    text = [draw(st.sampled_from(symbols if at in inside else free)) for at in range(length)]
    return draw(st.sampled_from([str.upper, str.lower]))("".join(text))


@st.composite
def targets(draw, most: int = 30) -> dict:
    """Alphabet, seed, wild type and windows."""
    alphabet, length = draw(st.sampled_from(ALPHABETS)), draw(st.integers(1, most))
    windows = draw(places(length))
    wild_type = draw(sequences(alphabet, windows, length))
    return {"alphabet": alphabet, "seed": draw(SEEDS), "wild_type": wild_type, "windows": windows}


@st.composite
def distributions(draw, positions: int) -> dict:
    """How a random library draws positions."""
    some = st.lists(NUMBERS, min_size=1, max_size=positions + 1).filter(lambda w: sum(w) > 1e-300)
    number = st.integers(0, positions)
    rates = st.lists(NUMBERS, min_size=positions, max_size=positions)
    counts = st.sampled_from(["poisson", "binomial"]) | number | some
    return draw(
        st.fixed_dictionaries({"rate": NUMBERS, "counts": counts})
        | st.fixed_dictionaries({"position_rates": rates})
    )


@st.composite
def weights(draw, alphabet: str):
    """Symbol weights with something to change to for every symbol, some of them zero."""
    size = len(twin.symbols_of(alphabet))
    numbers = np.random.default_rng(draw(st.integers(0, 99))).random((size, size))
    numbers[numbers < draw(st.sampled_from([0.0, 0.5]))] = 0
    numbers[np.arange(size), np.arange(size) - 1] = draw(st.sampled_from([1.0, 1e-300, 7]))
    return draw(st.none() | st.just(numbers.tolist()))


@st.composite
def randoms(draw) -> RandomLibrary:
    target = draw(targets())
    positions = len(twin.positions_of(target["windows"], len(target["wild_type"])))
    kind = DiploidLibrary if target["alphabet"] == "diploid" else RandomLibrary
    return kind(
        n=draw(st.integers(1, 12)),
        symbol_weights=draw(weights(target["alphabet"])),
        include_wild_type=draw(st.booleans()),
        **target,
        **draw(distributions(positions)),
    )


@st.composite
def saturations(draw) -> SaturationLibrary:
    target = draw(targets(most=12))
    length, size = len(target["wild_type"]), len(twin.symbols_of(target["alphabet"]))
    flank = st.text(twin.symbols_of(target["alphabet"]), max_size=4)
    substitutions, wild = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
    return SaturationLibrary(
        substitutions=substitutions,
        deletions=draw(st.integers(0, length)),
        insertions=draw(st.integers(0, min(length, 3 if size <= 4 else 1))),
        left_flank=draw(flank),
        right_flank=draw(flank),
        keep=draw(st.sampled_from(["left", "right"])),
        include_wild_type=wild,
        **target,
    )


@st.composite
def combinatorials(draw) -> CombinatorialLibrary:
    target = draw(targets(most=9))
    positions = len(twin.positions_of(target["windows"], len(target["wild_type"])))
    size = len(twin.symbols_of(target["alphabet"]))
    order = draw(st.integers(0, min(positions, {20: 2, 10: 2, 4: 4, 2: 9}[size])))
    recipe = {"order": order, "min_order": draw(st.integers(0, order)), **target}
    total = CombinatorialLibrary(**recipe).total
    return CombinatorialLibrary(n=draw(st.none() | st.integers(1, total)), **recipe)


@st.composite
def pairwises(draw) -> PairwiseLibrary:
    alphabet, length = draw(st.sampled_from(ALPHABETS)), draw(st.integers(2, 14))
    edges = sorted(draw(st.lists(st.integers(0, length), min_size=3, max_size=4, unique=True)))
    first, second = draw(st.permutations([edges[:2], edges[-2:]]))
    wild_type = draw(sequences(alphabet, [first, second], length))
    return PairwiseLibrary(
        wild_type, first, second, draw(st.booleans()), alphabet=alphabet, seed=draw(SEEDS)
    )


ANY = randoms() | saturations() | combinatorials() | pairwises()


def expected(library: Library) -> list[str]:
    return twin.rows(json.loads(library.to_json()))


@st.composite
def parts(draw, rows: int) -> dict:
    start = draw(st.integers(0, rows))
    return {
        "start": start,
        "stop": draw(st.integers(start, rows)),
        "threads": draw(st.integers(1, 4)),
    }


@settings(deadline=None, max_examples=300)
@given(st.data(), ANY)
def test_every_part_of_a_library_is_that_of_its_twin(data, library):
    wanted = twin.tokens(expected(library), library.alphabet)
    part = data.draw(parts(library.n_rows))
    found = library.tokens(**part)
    assert (library.n_rows, library.length) == wanted.shape
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, wanted[part["start"] : part["stop"]])


@settings(deadline=None, max_examples=200)
@given(
    st.data(),
    ANY,
    st.sampled_from(["uint8", "float16", "float32"]),
    st.sampled_from(["nlc", "ncl"]),
    st.booleans(),
)
def test_one_hot_is_a_table_look_up_in_every_dtype_and_layout(data, library, dtype, layout, given):
    part = data.draw(parts(library.n_rows))
    wanted = twin.one_hot(expected(library)[part["start"] : part["stop"]] or [""], library.alphabet)
    wanted = wanted.reshape(-1, library.length, wanted.shape[-1])
    wanted = wanted if layout == "nlc" else wanted.transpose(0, 2, 1)
    out = np.full(wanted.shape, 77, dtype) if given else None
    found = library.one_hot(dtype, layout, out, **part)
    assert found.dtype == dtype
    assert out is None or found is out
    np.testing.assert_array_equal(found, wanted)


@settings(deadline=None)
@given(st.data(), randoms() | combinatorials() | pairwises())
def test_mutations_are_where_the_rows_differ_from_the_wild_type(data, library):
    recipe = json.loads(library.to_json())
    wild = twin.tokens([twin.canonical(library.wild_type, library.alphabet)], library.alphabet)
    part = data.draw(parts(library.n_rows))
    rows = twin.tokens(twin.rows(recipe), library.alphabet)
    row, position = np.nonzero(rows[part["start"] : part["stop"]] != wild)
    found = library.mutations(**part)
    assert [column.dtype for column in found] == [np.int64, np.int32, np.uint8]
    np.testing.assert_array_equal(found.row, row + part["start"])
    np.testing.assert_array_equal(found.position, position)
    np.testing.assert_array_equal(found.symbol, rows[found.row, found.position])


@settings(deadline=None)
@given(saturations())
def test_the_design_of_a_saturation_library_makes_its_rows(library):
    recipe = json.loads(library.to_json())
    wild = twin.canonical(library.wild_type, library.alphabet)
    made = [
        twin.edited(recipe, wild, max(0, at), len(deleted), inserted)
        for _, at, deleted, inserted in library.design().itertuples(index=False)
    ]
    assert made == expected(library)
    names = Counter(library.design()["edit"])
    assert names["wild type"] == library.include_wild_type
    assert names["substitution"] == sum(
        bool(a) and bool(b) for a, b in library.design()[["deleted", "inserted"]].to_numpy()
    )


@settings(deadline=None)
@given(targets(most=6), st.integers(1, 40), st.integers(1, 3))
def test_unique_rows_are_drawn_again_as_the_twin_does(target, n, count):
    """Small spaces, so that many rows repeat; up to nine tenths of all rows are asked for."""
    positions = len(twin.positions_of(target["windows"], len(target["wild_type"])))
    others = len(twin.symbols_of(target["alphabet"])) - 1
    count = min(count, positions)
    assume(others**count * comb(positions, count) * 0.9 >= n)
    library = RandomLibrary(n=n, counts=count, unique=True, include_wild_type=False, **target)
    rows = expected(library)
    assert len(set(rows)) == n
    np.testing.assert_array_equal(library.tokens(), twin.tokens(rows, library.alphabet))


def test_a_long_sequence_with_many_mutations_is_that_of_the_twin():
    wild_type = "".join(np.random.default_rng(3).choice(list("ACGT"), 3000))
    library = RandomLibrary(wild_type, 4, rate=0.3, seed=2**64 - 1)
    np.testing.assert_array_equal(library.tokens(), twin.tokens(expected(library), "dna"))


def test_numbers_that_would_make_a_draw_uneven_are_drawn_again_as_the_twin_does():
    """So many positions and symbols that every fourteenth pair is drawn again."""
    symbols = "".join(chr(code) for code in range(33, 97) if code != ord("?"))
    wild_type = symbols[0] * 4_950_000
    library = RandomLibrary(wild_type, 20, counts=40, alphabet=f"symbols:{symbols}", seed=20)
    recipe, found = json.loads(library.to_json()), library.mutations()
    bound = len(wild_type) * (len(symbols) - 1)
    assert 2**32 % bound / 2**32 > 0.07
    for row in range(1, 20):
        numbers = twin.Numbers(20, twin.MUTATIONS, row)
        numbers.u64()  # which says how many: always 40
        wanted = twin.by_count(recipe, wild_type, range(len(wild_type)), 40, numbers)
        here = found.row == row
        put = [symbols[token] for token in found.symbol[here]]
        assert dict(zip(found.position[here].tolist(), put, strict=True)) == wanted


def test_a_sample_of_very_many_combinations_is_that_of_the_twin():
    """Of a number of combinations for which every other 64-bit word is drawn again."""
    wild_type = (WILD * 10)[:181]
    library = CombinatorialLibrary(wild_type, 9, min_order=9, n=200, seed=21)
    assert library.total == comb(181, 9) * 3**9
    ranks = sorted(twin.sampled(library.total, 200, 21))
    rows = [twin.combination(rank, 9, wild_type, "dna") for rank in ranks]
    np.testing.assert_array_equal(library.tokens(), twin.tokens(rows, "dna"))


@pytest.mark.parametrize("row", [0, 1, 10**6, 2**32 + 5, 2**62 - 2])
def test_rows_far_into_a_huge_library_are_those_of_the_twin(row):
    library = RandomLibrary("ACGTACGTAC", 2**62, rate=0.4, seed=9)
    wanted = [twin.random_row(json.loads(library.to_json()), library.wild_type, row, 0)]
    found = library.tokens(row, row + 1)
    if row:
        np.testing.assert_array_equal(found, twin.tokens(wanted, "dna"))
    else:
        np.testing.assert_array_equal(found, twin.tokens([library.wild_type], "dna"))


# --- distributions ----------------------------------------------------------------------------

WILD = "ACGTACGTACGTACGTACGT"
N = 60_000


def row_counts(library: RandomLibrary) -> np.ndarray:
    """Mutations of every row."""
    return np.bincount(library.mutations(threads=2).row, minlength=library.n_rows)


def agree(found, expected) -> None:
    """Chi square of counts against expected ones, those below 10 taken together."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    assert found.sum() == pytest.approx(expected.sum())
    assert found[expected == 0].sum() == 0
    rare = (expected < 10) & (expected > 0)
    cells = [(f[expected >= 10], f[rare].sum(keepdims=True)) for f in (found, expected)]
    found, expected = (np.concatenate(pair) if rare.any() else pair[0] for pair in cells)
    if len(found) > 1:
        result = stats.chisquare(found, expected)
        assert result.pvalue > ALPHA, result


def cut_poisson(mean: float, most: int) -> np.ndarray:
    return np.append(stats.poisson.pmf(range(most), mean), stats.poisson.sf(most - 1, mean))


@pytest.mark.parametrize(
    ("recipe", "shares"),
    [
        ({"rate": 0.1}, cut_poisson(2, 20)),
        ({"rate": 0.9}, cut_poisson(18, 20)),
        ({"rate": 0.1, "windows": [(1, 3), (9, 12)]}, cut_poisson(0.5, 5)),
        ({"rate": 1.0, "windows": [(7, 8)]}, cut_poisson(1, 1)),
        ({"rate": 0.1, "counts": "binomial"}, stats.binom.pmf(range(21), 20, 0.1)),
        ({"rate": 0.93, "counts": "binomial"}, stats.binom.pmf(range(21), 20, 0.93)),
        ({"counts": 7}, np.eye(21)[7]),
        ({"counts": [1, 0, 2, 3, 0.5]}, np.array([1, 0, 2, 3, 0.5]) / 6.5),
        ({"position_rates": [0.25] * 20}, stats.binom.pmf(range(21), 20, 0.25)),
    ],
)
def test_the_number_of_mutations_is_distributed_as_asked_for(recipe, shares):
    library = RandomLibrary(WILD, N, include_wild_type=False, seed=11, **recipe)
    counts = row_counts(library)
    agree(np.bincount(counts, minlength=len(shares)), N * shares)
    mean = np.sum(shares * np.arange(len(shares)))
    variance = np.sum(shares * np.arange(len(shares)) ** 2) - mean**2
    bound = stats.norm.isf(ALPHA / 2) * np.sqrt(variance / N)
    assert abs(counts.mean() - mean) <= bound + 1e-12


@pytest.mark.parametrize("recipe", [{"rate": 0.1}, {"counts": "binomial"}, {"counts": [0, 1, 1]}])
def test_positions_and_pairs_of_positions_are_uniform(recipe):
    library = RandomLibrary(WILD, N, include_wild_type=False, seed=12, **recipe)
    changed = np.zeros((N, 20))
    found = library.mutations()
    changed[found.row, found.position] = 1
    counts = row_counts(library)
    once, twice = (changed[counts == count] for count in (1, 2))
    agree(once.sum(0), np.full(20, len(once) / 20))
    pairs = (twice.T @ twice)[np.triu_indices(20, 1)]
    agree(pairs, np.full(190, len(twice) / 190))


def test_triples_of_positions_are_uniform():
    library = RandomLibrary("ACGTACG", N, counts=3, include_wild_type=False, seed=13)
    triples = Counter(map(tuple, library.mutations().position.reshape(N, 3).tolist()))
    assert len(triples) == comb(7, 3)
    agree(list(triples.values()), np.full(35, N / 35))


def symbols_by_wild(library: RandomLibrary) -> np.ndarray:
    """[wild, new] counts."""
    found = library.mutations()
    wild = twin.tokens([library.wild_type], library.alphabet)[0][found.position]
    size = len(twin.symbols_of(library.alphabet))
    return np.bincount(wild.astype(int) * size + found.symbol, minlength=size**2).reshape(size, -1)


@pytest.mark.parametrize("recipe", [{"rate": 0.2}, {"position_rates": [0.2] * 40}])
@pytest.mark.parametrize("alphabet", ["dna", "rna", "protein", "diploid", "symbols:ABC"])
def test_new_symbols_are_uniform_among_the_others(alphabet, recipe):
    symbols = twin.symbols_of(alphabet)
    wild_type = (symbols * 40)[:40]
    library = RandomLibrary(wild_type, 20_000, alphabet=alphabet, seed=14, **recipe)
    found = symbols_by_wild(library)
    wanted = (1 - np.eye(len(symbols))) / (len(symbols) - 1) * found.sum(1, keepdims=True)
    agree(found.ravel(), wanted.ravel())


@pytest.mark.parametrize("recipe", [{"rate": 0.2}, {"position_rates": [0.2] * 20}])
def test_new_symbols_follow_their_weights(recipe):
    weights = {"A": {"C": 1, "T": 3}, "C": {"A": 1e-9, "G": 1e-9}, "G": {"T": 1}, "T": {"A": 5}}
    weights["T"] |= {"C": 2.5, "G": 2.5, "T": 1000}
    library = RandomLibrary(WILD, N, symbol_weights=weights, seed=15, **recipe)
    found = symbols_by_wild(library)
    shares = [[0, 0.25, 0, 0.75], [0.5, 0, 0.5, 0], [0, 0, 0, 1], [0.5, 0.25, 0.25, 0]]
    agree(found.ravel(), (shares * found.sum(1, keepdims=True)).ravel())


def test_a_transition_bias_is_the_ratio_of_a_transition_to_one_transversion():
    library = RandomLibrary(WILD, N, symbol_weights=transition_bias(4.0), seed=16)
    found = symbols_by_wild(library)
    shares = np.array([[0, 1, 4, 1], [1, 0, 1, 4], [4, 1, 0, 1], [1, 4, 1, 0]]) / 6
    agree(found.ravel(), (shares * found.sum(1, keepdims=True)).ravel())


def test_positions_mutate_by_themselves_with_their_own_rates():
    rates = np.array([0, 1, 0.5, 0.01, 0.25, 0.9, 0.001, 0.1])
    library = RandomLibrary("ACGTACGT", N, position_rates=rates, include_wild_type=False, seed=17)
    changed = np.zeros((N, 8))
    found = library.mutations()
    changed[found.row, found.position] = 1
    hits = changed.sum(0)
    assert hits[0] == 0
    assert hits[1] == N
    for hit, rate in zip(hits[2:], rates[2:], strict=True):
        assert stats.binomtest(int(hit), N, rate).pvalue > ALPHA
    # 15 pairs of positions that vary: a correlation is normal with deviation 1 / sqrt(N).
    between = np.corrcoef(changed[:, 2:].T)[np.triu_indices(6, 1)]
    assert np.abs(between).max() < stats.norm.isf(ALPHA / 2 / 15) / np.sqrt(N)


def test_row_0_is_the_wild_type_when_asked_for_and_the_other_rows_do_not_change():
    (wild, *rest), (_, *others) = (
        RandomLibrary(WILD, 50, counts=3, include_wild_type=include).tokens()
        for include in (True, False)
    )
    np.testing.assert_array_equal(wild, twin.tokens([WILD], "dna")[0])
    np.testing.assert_array_equal(rest, others)


@pytest.mark.parametrize("recipe", [{"rate": 0.3}, {"position_rates": [0.3] * 20}])
def test_rows_know_nothing_of_their_neighbours_or_of_the_next_seed(recipe):
    """Neither how much nor where a row mutates goes with another row's; 4 correlations."""

    def changed(seed: int) -> np.ndarray:
        library = RandomLibrary(WILD, N, include_wild_type=False, seed=seed, **recipe)
        found, hits = library.mutations(), np.zeros((N, 20))
        hits[found.row, found.position] = 1
        return hits

    one, other = changed(18), changed(19)
    bound = stats.norm.isf(ALPHA / 2 / 4)
    for first, second in ((one[:-1], one[1:]), (one, other)):
        between = stats.pearsonr(first.sum(1), second.sum(1)).statistic
        assert abs(between) < bound / np.sqrt(N)
        between = stats.pearsonr(first.ravel(), second.ravel()).statistic
        assert abs(between) < bound / np.sqrt(20 * N)


def test_sampled_combinations_are_uniform_over_orders_positions_and_symbols():
    """Ten of 67 sequences a sample; counts of draws without replacement vary less, by 57 / 66."""
    hits = Counter()
    for seed in range(2000):
        library = CombinatorialLibrary("ACAC", 2, n=10, seed=seed)
        hits.update(row.tobytes() for row in library.tokens())
    assert library.total == len(hits) == 1 + 4 * 3 + 6 * 9
    counts = np.array(list(hits.values()))
    chi = np.sum((counts - counts.mean()) ** 2 / counts.mean()) / (57 / 66)
    assert stats.chi2.sf(chi, 66) > ALPHA


def test_all_combinations_of_all_positions_are_all_sequences():
    library = CombinatorialLibrary("ACGT", 4)
    assert library.total == library.n_rows == 4**4
    assert {tuple(row) for row in library.tokens().tolist()} == set(product(range(4), repeat=4))

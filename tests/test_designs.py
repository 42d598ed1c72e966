"""Elements and motifs in backgrounds: symbol by symbol those of the twins, drawn as they say.

Distribution tests have fixed seeds and a significance of 0.001 (ALPHA) each.
"""

import hashlib
import json
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from geneq import _ext, shuffles
from geneq.errors import GeneqError
from geneq.libraries import FactorialLibrary, GlobalLibrary, Library, Motif, RandomLibrary
from twins import designs as twin
from twins import libraries
from twins.shuffles import kmers

ALPHA = 1e-3
SEEDS = st.integers(0, 2**64 - 1)
ALPHABETS = ["dna", "rna", "protein", "symbols:AB"]


def texts(tokens: np.ndarray, alphabet: str = "dna") -> list[str]:
    return [_ext.decode(row.copy(), alphabet).decode() for row in tokens]


def sequence(length: int, seed: int = 0) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


def agree(found, expected) -> None:
    """Chi square: counts are as expected."""
    expected = np.broadcast_to(np.asarray(expected, float), np.shape(found))
    expected = expected * np.sum(found) / expected.sum()
    assert stats.chisquare(np.ravel(found), np.ravel(expected)).pvalue > ALPHA


# --- any recipe -------------------------------------------------------------------------------


@st.composite
def backgrounds(draw, alphabet: str, length: int, rows: int = 1) -> dict:
    """The fields that say where backgrounds come from."""
    size = len(libraries.symbols_of(alphabet))
    background = draw(st.sampled_from(["random", "shuffle", "given"]))
    if background == "random":
        weights = st.lists(st.sampled_from([1, 0.3, 7]), min_size=size, max_size=size)
        return {"background": background, "composition": draw(st.none() | weights)}
    symbols = libraries.symbols_of(alphabet) + libraries.unknown_of(alphabet)
    source = st.text(symbols, min_size=length, max_size=length)
    sources = draw(st.lists(source, min_size=rows, max_size=rows + 3))
    return {"background": background, "sources": sources, "k": draw(st.integers(1, 3))}


@st.composite
def globals_(draw) -> GlobalLibrary:
    alphabet, length = draw(st.sampled_from(ALPHABETS)), draw(st.integers(8, 40))
    symbols = libraries.symbols_of(alphabet)
    edges = sorted(draw(st.lists(st.integers(0, length), min_size=2, max_size=5, unique=True)))
    windows = list(zip(edges[::2], edges[1::2], strict=False))
    inside = libraries.positions_of(windows, length)
    if len(inside) > length - 4:
        windows, inside = [(2, 4)], [2, 3]
    free = symbols + libraries.unknown_of(alphabet)
    wild_type = [draw(st.sampled_from(symbols if at in inside else free)) for at in range(length)]
    return GlobalLibrary(
        "".join(wild_type),
        draw(st.integers(1, 8)),
        rate=draw(st.floats(0, 1)),
        windows=windows,
        include_wild_type=draw(st.booleans()),
        alphabet=alphabet,
        seed=draw(SEEDS),
        **draw(backgrounds(alphabet, length)),
    )


@st.composite
def motifs(draw, number: int, count: int, alphabet: str) -> Motif:
    """Motif `number` of a recipe: motifs with positions stand 50 symbols apart."""
    symbols = libraries.symbols_of(alphabet) + libraries.unknown_of(alphabet)
    symbols += "RYSWKMBDHV" if alphabet in ("dna", "rna") else ""
    word = st.text(symbols, min_size=1, max_size=6)
    few = st.lists(st.integers(0, 5), min_size=1, max_size=2, unique=True)
    where = ["centre"] if count == 1 else []
    where = draw(st.sampled_from([*where, "positions", *["spacings"] * (number > 0)]))
    places = {} if where == "centre" else {where: draw(few)}
    if where == "positions":
        places = {where: [50 * number + place for place in places[where]]}
    pairing = alphabet in ("dna", "rna")
    return Motif(
        f"m{number}",
        draw(word | st.dictionaries(st.sampled_from("xyz"), word, min_size=1, max_size=2)),
        **places,
        orientations=draw(st.sampled_from(["+", "-", "+-"] if pairing else ["+"])),
        optional=draw(st.booleans()),
    )


@st.composite
def factorials(draw) -> FactorialLibrary:
    alphabet, count = draw(st.sampled_from(ALPHABETS)), draw(st.integers(1, 3))
    length, background_count = 50 * count, draw(st.integers(1, 2))
    fields = draw(backgrounds(alphabet, length, rows=background_count))
    paired = True if fields["background"] == "given" else draw(st.booleans())
    return FactorialLibrary(
        [draw(motifs(number, count, alphabet)) for number in range(count)],
        length,
        n_backgrounds=background_count,
        paired=paired,
        alphabet=alphabet,
        seed=draw(SEEDS),
        **fields,
    )


def drawn_backgrounds(recipe: dict, count: int, sources: list[str]) -> list[str]:
    """Backgrounds 0 to count - 1; shuffled ones by the function that shuffles sequences."""
    if recipe["background"] != "shuffle":
        recipe = {**recipe, "sources": sources}
        length = len(sources[0])
        return [twin.background(recipe, row, length) for row in range(count)]
    taken = [sources[row % len(sources)] for row in range(count)]
    shuffled = shuffles.shuffle(taken, recipe["k"], 1, recipe["seed"], recipe["alphabet"])
    return texts(shuffled[:, 0], recipe["alphabet"])


def expected(library: Library) -> list[str]:
    """The rows by the twins, from the recipe as JSON."""
    recipe = json.loads(library.to_json())
    if recipe["kind"] == "global":
        sources = recipe["sources"] or [recipe["wild_type"]]
        sources = [twin.outside(source, recipe["windows"]) for source in sources]
        drawn = drawn_backgrounds(recipe, recipe["n"], sources)
        return twin.global_rows(recipe, drawn)
    count = recipe["n_backgrounds"]
    count *= 1 if recipe["paired"] else len(twin.points(recipe))
    sources = recipe["sources"] or ["?" * recipe["length"]]
    return twin.factorial_rows(recipe, drawn_backgrounds(recipe, count, sources))


@settings(deadline=None, max_examples=150)
@given(globals_() | factorials(), st.integers(1, 3), st.data())
def test_rows_are_those_of_the_twin_whatever_the_part_and_the_threads(library, threads, data):
    wanted = libraries.tokens(expected(library), library.alphabet)
    assert wanted.shape == (library.n_rows, library.length)
    start = data.draw(st.integers(0, library.n_rows))
    stop = data.draw(st.integers(start, library.n_rows))
    np.testing.assert_array_equal(library.tokens(threads=threads), wanted)
    np.testing.assert_array_equal(library.tokens(start, stop, threads), wanted[start:stop])
    batches = list(library.stream(data.draw(st.integers(1, 5)), start, stop, threads))
    np.testing.assert_array_equal(np.concatenate([wanted[:0], *batches]), wanted[start:stop])


@settings(deadline=None)
@given(globals_() | factorials(), st.sampled_from(["uint8", "float16", "float32"]))
def test_one_hot_is_a_table_look_up_in_both_layouts(library, dtype):
    wanted = libraries.one_hot(texts(library.tokens(), library.alphabet), library.alphabet)
    np.testing.assert_array_equal(library.one_hot(dtype, threads=2), wanted)
    np.testing.assert_array_equal(library.one_hot(dtype, "ncl"), wanted.transpose(0, 2, 1))


@settings(deadline=None)
@given(globals_() | factorials())
def test_a_recipe_goes_to_json_and_to_other_processes_and_back(library):
    for copy in (Library.from_json(library.to_json()), pickle.loads(pickle.dumps(library))):
        assert copy == library and hash(copy) == hash(library)
        np.testing.assert_array_equal(copy.tokens(), library.tokens())


# --- global -----------------------------------------------------------------------------------


@settings(deadline=None)
@given(globals_())
def test_windows_are_those_of_the_random_library_and_so_are_its_mutations(library):
    recipe = json.loads(library.to_json())
    recipe |= {"kind": "random"}
    for field in ("background", "sources", "k", "composition"):
        del recipe[field]
    random = Library.from_json(json.dumps(recipe))
    inside = libraries.positions_of(library.windows, library.length)
    np.testing.assert_array_equal(library.tokens()[:, inside], random.tokens()[:, inside])
    for found, wanted in zip(library.mutations(threads=2), random.mutations(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert set(library.mutations().position) <= set(inside)


def test_unique_rows_are_unique_in_the_windows():
    library = GlobalLibrary(sequence(30), 150, counts=2, windows=[(8, 15)], unique=True)
    assert len(np.unique(library.tokens()[:, 8:15], axis=0)) == 150
    assert len(np.unique(library.tokens()[:, :8], axis=0)) > 130


ELEMENT = {"windows": [(12, 20), (25, 30)], "rate": 0.2}
OUTSIDE = [*range(12), *range(20, 25), *range(30, 40)]


@pytest.mark.parametrize("composition", [None, {"A": 3, "C": 1, "G": 1, "T": 2}, [1, 0, 0, 3]])
def test_flanks_and_gap_are_random_symbols_of_the_composition(composition):
    wild_type = sequence(35) + "NNNNN"
    library = GlobalLibrary(wild_type, 4000, composition=composition, seed=2, **ELEMENT)
    outside = library.tokens()[:, OUTSIDE]
    assert outside.max() <= 3  # unknown symbols of the wild type are gone
    shares = np.array(library.composition or [1, 1, 1, 1], float)
    symbols = np.flatnonzero(shares)
    assert set(np.unique(outside)) == set(symbols)
    by_position = [[(column == symbol).sum() for symbol in symbols] for column in outside.T]
    agree(by_position, shares[symbols])
    # A symbol says nothing of the next one, nor of the same place in the next row.
    for one, other in [(outside[:, :-1], outside[:, 1:]), (outside[:-1], outside[1:])]:
        pairs = np.array([[((one == a) & (other == b)).sum() for a in symbols] for b in symbols])
        agree(pairs, np.outer(shares[symbols], shares[symbols]))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_shuffled_flanks_keep_the_kmers_of_the_wild_types_own(k):
    wild_type = sequence(60, seed=5)
    library = GlobalLibrary(wild_type, 300, windows=[(20, 30), (41, 44)], background="shuffle", k=k)
    outside = [at for at in range(60) if not (20 <= at < 30 or 41 <= at < 44)]
    rows = library.tokens()[:, outside].tolist()
    own = [_ext.tokens(wild_type.encode())[at] for at in outside]
    assert all(kmers(row, k) == kmers(own, k) for row in rows)
    assert len(set(map(tuple, rows))) > 250
    # Nothing but the ends of the sequence stays in place: neighbours of the windows change too.
    edges = [outside.index(at) for at in (19, 30, 40, 44)]
    assert all(len({row[at] for row in rows}) == 4 for at in edges)


def test_given_backgrounds_are_taken_in_turn_with_their_unknown_symbols():
    sources = ["N" * 40, "A" * 40, "ac" * 20]
    library = GlobalLibrary("G" * 40, 7, background="given", sources=sources, **ELEMENT)
    wanted = ["N" * 27, "A" * 27, "".join(("AC" * 20)[at] for at in OUTSIDE)]
    assert texts(library.tokens()[:, OUTSIDE]) == [wanted[row % 3] for row in range(7)]


def test_row_0_has_the_unmutated_windows_in_a_background_of_its_own():
    wild_type = "G" * 40
    tokens = GlobalLibrary(wild_type, 50, seed=4, counts=13, **ELEMENT).tokens()
    assert (tokens[0, 12:20] == 2).all() and (tokens[1:, 12:20] != 2).all()
    assert len(np.unique(tokens[:, OUTSIDE], axis=0)) == 50 and (tokens[0, :12] != 2).any()


# --- factorial --------------------------------------------------------------------------------


@settings(deadline=None)
@given(factorials(), st.data())
def test_the_design_says_what_stands_where(library, data):
    recipe = json.loads(library.to_json())
    points = twin.points(recipe)
    assert library.n_points == len(points)
    start = data.draw(st.integers(0, library.n_rows))
    stop = data.draw(st.integers(start, library.n_rows))
    table = library.design(start, stop)
    whole = library.design()
    assert table.equals(whole[start:stop].reset_index(drop=True))
    for row, line in enumerate(whole.to_dict("records")):
        assert line.pop("point") == row % len(points)
        assert line.pop("background") == (row // len(points) if library.paired else row)
        assert line == line_of(recipe, points[row % len(points)])


def line_of(recipe: dict, point: tuple) -> dict:
    """The columns of the motifs by the twin's design point."""
    line, before = {}, None
    for motif, entry in zip(recipe["motifs"], point, strict=True):
        name, sequences = motif["name"], twin.sequences(motif)
        number, start, strand = entry or (0, -1, "")
        span = (start, start + len(sequences[number][1])) if entry else None
        line |= {name: bool(entry), f"{name}_start": start, f"{name}_strand": strand}
        gap = max(span[0] - before[1], before[0] - span[1]) if span and before else -1
        line[f"{name}_spacing"] = gap
        if not isinstance(motif["sequence"], str):
            line[f"{name}_sequence"] = sequences[number][0] if entry else ""
        before = span
    return line


PAIR = [
    Motif("AP1", "TGASTCA", positions=(3, 20), orientations="+-", optional=True),
    Motif("GATA", "AGATAAG", spacings=(0, 5), optional=True),
]


def test_a_spacing_counts_from_the_motif_before_even_where_that_is_absent():
    table = FactorialLibrary(PAIR, 60, n_backgrounds=1).design()
    # 2 places x 2 strands x (absent, 2 spacings), and without AP1 nothing, or GATA at 4 places.
    assert len(table) == 2 * 2 * 3 + 1 + 4
    alone = table[~table.AP1 & table.GATA]
    assert sorted(alone.GATA_start) == [10, 15, 27, 32] and (alone.GATA_spacing == -1).all()
    both = table[table.AP1 & table.GATA]
    assert (both.GATA_start - both.AP1_start - 7 == both.GATA_spacing).all()
    assert set(both.GATA_spacing) == {0, 5}
    assert (table.iloc[0][["AP1", "GATA"]] == [False, False]).all()


def test_points_of_a_background_differ_in_their_motifs_alone():
    library = FactorialLibrary(PAIR, background="shuffle", sources=sequence(60), n_backgrounds=30)
    table, rows = library.design(), library.tokens().reshape(30, library.n_points, 60)
    nothing = rows[:, 0]
    assert len(np.unique(nothing, axis=0)) > 25
    for point, line in table[: library.n_points].iterrows():
        free = np.ones(60, bool)
        for start in (line.AP1_start, line.GATA_start):
            free[start : start + 7 if start >= 0 else start] = False
        assert (rows[:, point, free] == nothing[:, free]).all()


def test_unpaired_every_row_has_a_background_of_its_own():
    library = FactorialLibrary([Motif("m", "ACGT")], 50, n_backgrounds=20, paired=False)
    same = FactorialLibrary([Motif("m", "ACGT")], 50, n_backgrounds=20)
    np.testing.assert_array_equal(library.tokens(), same.tokens())  # one point: no difference
    library = FactorialLibrary(PAIR, 60, n_backgrounds=20, paired=False)
    assert len(np.unique(library.tokens()[:, 40:], axis=0)) == library.n_rows


def test_more_backgrounds_only_add_rows_at_the_end():
    for paired in (True, False):
        few, many = (FactorialLibrary(PAIR, 60, n_backgrounds=n, paired=paired) for n in (3, 7))
        np.testing.assert_array_equal(few.tokens(), many.tokens(0, few.n_rows))


def test_consensus_motifs_at_the_centre_of_the_same_shuffled_backgrounds():
    consensus = {"AP1": "TGACTCA", "GATA": "AGATAAGG", "CRE": "TGACGTCA"}
    source = sequence(99)
    library = FactorialLibrary(
        [Motif("motif", consensus, optional=True)], background="shuffle", sources=source
    )
    assert library.n_rows == 4 * 50 and library.length == 99
    table, rows = library.design(), texts(library.tokens())
    assert table.motif_sequence.tolist() == ["", *consensus] * 50
    for row, line in zip(rows, table.itertuples(), strict=True):
        bare = rows[line.background * 4]
        assert kmers(bare, 2) == kmers(source, 2)
        symbols = consensus.get(line.motif_sequence, "")
        start = (99 - len(symbols)) // 2
        assert line.motif_start == (start if symbols else -1)
        assert row == bare[:start] + symbols + bare[start + len(symbols) :]
    assert len(set(rows[::4])) == 50


def test_codes_in_a_motif_are_drawn_uniformly_and_n_leaves_the_background():
    library = FactorialLibrary(
        [Motif("m", "SNVA", positions=(2, 30), orientations="+-")], 40, n_backgrounds=6000, seed=3
    )
    rows = library.tokens().reshape(6000, 4, 40)
    words = rows[:, 0, 2:6]
    turned = 3 - rows[:, 1, 2:6][:, ::-1]
    # Every point of a background has the same draws: C or G, and A, C or G.
    for word in (rows[:, 2, 30:34], turned, 3 - rows[:, 3, 30:34][:, ::-1]):
        np.testing.assert_array_equal(word[:, [0, 2, 3]], words[:, [0, 2, 3]])
    found = Counter(map(tuple, words[:, [0, 2, 3]].tolist()))
    assert set(found) == {(s, v, 0) for s in (1, 2) for v in (0, 1, 2)}
    agree(list(found.values()), 1)
    agree(np.bincount(words[:, 1], minlength=4), 1)
    np.testing.assert_array_equal(rows[:, 2, 3], words[:, 1])


def test_backgrounds_are_those_of_the_functions_that_shuffle_and_draw():
    nothing = [Motif("m", "N")]
    sources = [sequence(80, 1), sequence(80, 2)]
    shuffled = FactorialLibrary(
        nothing, background="shuffle", sources=sources, n_backgrounds=6, k=3, seed=9
    )
    wanted = shuffles.shuffle(sources * 3, 3, seed=9)[:, 0]
    np.testing.assert_array_equal(shuffled.tokens(), wanted)
    drawn = FactorialLibrary(nothing, 80, n_backgrounds=6, composition=[1, 2, 3, 4], seed=9)
    wanted = shuffles.random_sequences(6, 80, [1, 2, 3, 4], seed=9)
    np.testing.assert_array_equal(drawn.tokens(), wanted)
    given_ = FactorialLibrary(nothing, background="given", sources=sources)
    assert texts(given_.tokens()) == sources


# --- golden rows ------------------------------------------------------------------------------


GOLDEN = {
    "global": [
        "GTCATAAACTCGCCTTAGACTCCACCAGTAATCGATAGCG",
        "TACGACCCCTCGGCTACGACCCTGACTGTCGTGAGATGTT",
        "CTAAGACTGTATCATTAGGCTCTCGCATTACCTAAGGGCT",
    ],
    "shuffle": [
        "ATGGGCACAGCTCCTTAGACTCATGCAGTAACCGTTGATA",
        "ACATTGGACCATGCTACGACGATTGCTGTCTCTAGCGGCA",
        "ACAGGTGGATTCCATTAGGCACCGCCATTAATGCTGATTA",
    ],
    "factorial": [
        "ATTGCCGCATGACTTGAGTTTGAGTCAGCCAGTAGACCTA",
        "ATTGCCGCATGACTTGAGTTTGAGTCAAGATAAGGACCTA",
        "ATTGCCGCATGACTTGAGTTTGAGTCAGCCAGAGATAAGA",
    ],
    "many global": "4c8a74f2d6b9757e",
    "many shuffle": "50bf634208990479",
    "many factorial": "7137778a93edc3be",
}


def digest(library: Library) -> str:
    return hashlib.sha256(library.tokens().tobytes()).hexdigest()[:16]


def test_golden_rows():
    """The same on every platform, and in every version that reads version 1 of the recipes."""
    wild_type = "ACGTTGCAGGATCCTTAGACCATTGCAGTAGCCATGACTA"
    shuffle = {"background": "shuffle", "seed": 7}
    assert texts(GlobalLibrary(wild_type, 3, seed=7, **ELEMENT).tokens()) == GOLDEN["global"]
    assert texts(GlobalLibrary(wild_type, 3, **shuffle, **ELEMENT).tokens()) == GOLDEN["shuffle"]
    pair = FactorialLibrary(PAIR, n_backgrounds=2, sources=wild_type, **shuffle)
    assert texts(pair.tokens(14, 17)) == GOLDEN["factorial"]
    for name, library in {
        "many global": GlobalLibrary(wild_type, 1000, composition=[1, 2, 3, 4], **ELEMENT),
        "many shuffle": GlobalLibrary(wild_type, 1000, k=3, **shuffle, **ELEMENT),
        "many factorial": FactorialLibrary(PAIR, 60, n_backgrounds=100, paired=False),
    }.items():
        assert digest(library) == GOLDEN[name], name


# --- what is refused --------------------------------------------------------------------------


def made(**fields) -> GlobalLibrary:
    return GlobalLibrary(**({"wild_type": "ACGT" * 10, "n": 5} | ELEMENT | fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"windows": None}, "The windows cover the complete sequence"),
        ({"windows": [(0, 40)]}, "The windows cover the complete sequence"),
        ({"background": "dinucleotide"}, "Unknown background.*There are: given, random, shuffle"),
        ({"background": "given"}, "These backgrounds need sources"),
        ({"sources": ["A" * 40]}, "Random backgrounds have no sources"),
        ({"background": "given", "sources": []}, "There must be at least one source"),
        ({"background": "given", "sources": 7}, "sources must be a list"),
        ({"background": "given", "sources": ["A" * 40, ""]}, r"sources\[1\] must be a sequence"),
        ({"background": "given", "sources": ["A" * 39 + "*"]}, r"sources\[0\] has a character"),
        ({"background": "shuffle", "sources": ["A" * 40, "A" * 39]},
         r"Sources must have 40 symbols.*sources\[1\] has 39"),
        ({"background": "shuffle", "k": 0}, "k must be between 1"),
        ({"background": "shuffle", "k": 27}, "k must be at least 1 and below the 27 symbols"),
        ({"background": "shuffle", "k": 2.0}, "k must be a whole number"),
        ({"background": "shuffle", "composition": [1] * 4}, "Only random backgrounds have a comp"),
        ({"composition": [1, 2, 3]}, "a weight for each of 4 symbols, not 3"),
        ({"composition": [1, 2, 3, -1]}, "weights of at least 0"),
        ({"composition": [0] * 4}, "not all of them 0"),
        ({"composition": "ACGT"}, "composition must be a list"),
        ({"composition": {"A": 1, "U": 2}}, "composition has a symbol.*'U'"),
        ({"composition": {"A": "x"}}, "Each of composition must be a number"),
        ({"rate": 2}, r"rate must be in \[0, 1\]"),
        ({"wild_type": 7}, "wild_type must be a sequence"),
        ({"wild_type": "N" * 40}, "Windows to mutate must not contain unknown symbols"),
    ],
)  # fmt: skip
def test_global_recipes_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(GeneqError, match=message):
        made(**fields)


def factorial(*motifs, **fields) -> FactorialLibrary:
    return FactorialLibrary(motifs, **({"length": 40} | fields))


LONG = [Motif(f"m{n}", "A", positions=range(100), orientations="+-") for n in range(5)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Motif("", "ACGT"), "A motif must have a name"),
        (lambda: Motif("m", 7), "The sequence of m must be symbols, or {name: symbols}"),
        (lambda: Motif("m", {"x": 7}), "The sequence of m must be symbols"),
        (lambda: Motif("m", {}), "Sequences of m: there must be at least one"),
        (lambda: Motif("m", [("x", "A"), ("x", "C")]), "Sequences of m must differ: 'x occurs 2"),
        (lambda: Motif("m", "A", positions=()), "positions of m: there must be at least one"),
        (lambda: Motif("m", "A", positions=(3, 4, 3)), "positions of m must differ: '3 occurs 2"),
        (lambda: Motif("m", "A", positions=3), "positions of m must be a list"),
        (lambda: Motif("m", "A", positions=[-1]), "positions of m must be between 0"),
        (lambda: Motif("m", "A", positions=[1.5]), "positions of m must be a whole number"),
        (lambda: Motif("m", "A", spacings=[-1]), "spacings of m must be between 0"),
        (lambda: Motif("m", "A", (1,), (2,)), "either positions or spacings"),
        (lambda: Motif("m", "A", orientations="-+"), r"orientations of m must be \+, - or \+-"),
        (lambda: Motif("m", "A", optional=1), "optional of m must be true or false"),
        (lambda: factorial(), "There must be at least one motif"),
        (lambda: FactorialLibrary("ACGT", 40), "motifs must be a list"),
        (lambda: FactorialLibrary([7], 40), "A motif must have the fields of Motif"),
        (lambda: FactorialLibrary([{"name": "m", "symbols": "A"}], 40), "the fields of Motif"),
        (lambda: factorial(Motif("m", "A", spacings=[1])), "The first motif cannot have spacings"),
        (lambda: factorial(Motif("m", "")), "A motif must have symbols: 'm'"),
        (lambda: factorial(Motif("m", "ACUT")), "not in the alphabet dna: 'm has U at 2"),
        (lambda: factorial(Motif("m", {"x": "AZ"}), alphabet="protein"), "x has Z at 1"),
        (lambda: factorial(Motif("m", "A"), Motif("m", "C")), "Names of motifs.*m occurs 2 times"),
        (lambda: factorial(Motif("m", "A", (1,)), Motif("m_start", "C", (9,))), "m_start occurs 2"),
        (lambda: factorial(Motif("point", "A")), "point occurs 2"),
        (lambda: factorial(Motif("m", "ACGT", positions=[37])),
         r"within.*40 symbols: 'm at \[37, 41"),
        (lambda: factorial(Motif("m", "A" * 42)), r"within the sequence's 40.*\[-1, 41"),
        (lambda: factorial(Motif("a", "ACG", (0,)), Motif("b", "ACG", spacings=(0, 35))),
         r"b at \[38, 41\)"),
        (lambda: factorial(Motif("a", "ACG", (4, 9)), Motif("b", "ACG", (0, 10))),
         "must not overlap: 'a at 9 and b at 10'"),
        (lambda: factorial(Motif("a", "ACG"), Motif("b", "ACG")), "a at 18 and b at 18"),
        (lambda: factorial(*LONG), "at most 4,000,000 combinations of levels: '320,000,000,000'"),
        (lambda: factorial(Motif("m", "A", (1, 2)), n_backgrounds=2**62), "2\\^63 rows or more"),
        (lambda: factorial(Motif("m", "A"), n_backgrounds=0), "n_backgrounds must be between 1"),
        (lambda: factorial(Motif("m", "A"), n_backgrounds=2**63), "n_backgrounds must be between"),
        (lambda: factorial(Motif("m", "A"), paired=1), "paired must be true or false"),
        (lambda: factorial(Motif("m", "A"), length=None), "Random backgrounds need a length"),
        (lambda: factorial(Motif("m", "A"), length=0), "length must be between 1"),
        (lambda: factorial(Motif("m", "A"), background="shuffle"), "backgrounds need sources"),
        (lambda: factorial(Motif("m", "A"), background="given", sources="ACGT"),
         r"Sources must have 40 symbols.*sources\[0\] has 4"),
        (lambda: factorial(Motif("m", "A"), background="given", sources=["A" * 40] * 3,
                           n_backgrounds=4), "as many given backgrounds as are used: '3 of 4'"),
        (lambda: factorial(Motif("m", "A", (1, 2)), background="given", sources=["A" * 40] * 3,
                           paired=False), "as many given backgrounds as are used: '3 of 6'"),
        (lambda: factorial(Motif("m", "A", orientations="+-"), alphabet="protein"),
         "symbols of this alphabet have no complement"),
    ],
)  # fmt: skip
def test_designs_that_make_no_sense_are_refused(make, message):
    with pytest.raises(GeneqError, match=message):
        make()


def test_a_design_too_big_for_memory_is_refused_and_its_parts_are_not():
    library = FactorialLibrary(PAIR, 60, n_backgrounds=2**50)
    with pytest.raises(GeneqError, match=r"too big for memory.*start and stop"):
        library.design()
    last = library.design(library.n_rows - 2)
    assert last.background.tolist() == [2**50 - 1] * 2
    assert library.tokens(library.n_rows - 2).shape == (2, 60)


def test_what_these_libraries_do_not_have_is_said():
    with pytest.raises(GeneqError, match="Only libraries of substitutions"):
        FactorialLibrary(PAIR, 60).mutations()
    with pytest.raises(GeneqError, match="no design table"):
        made().design()


RANDOM = _ext.Background.random("dna")
ELEMENT_OF_4 = _ext.Library.random(np.zeros(4, np.uint8), np.array([1], np.uint32), "dna", 3, 1,
                                   "fixed", [1])  # fmt: skip
CELL = np.zeros((1, 1), np.int32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _ext.Background.random("dna", [1.0] * 4), "composition must be a float64 array"),
        (lambda: _ext.Background.given(np.zeros((0, 4), np.uint8), "dna"), "at least one source"),
        (lambda: _ext.Background.given(np.zeros((1, 0), np.uint8), "dna"), "a symbol in it"),
        (lambda: _ext.Background.given(np.full((1, 3), 5, np.uint8), "dna"), "must be 0…4"),
        (lambda: _ext.Background.given(np.zeros(3, np.uint8), "dna"), "2 axes"),
        (lambda: _ext.Background.shuffled(np.zeros((1, 3), np.uint8), 3, "dna"), "below the 3"),
        (lambda: _ext.Library.in_background(ELEMENT_OF_4, _ext.Background.random("rna")),
         "the same alphabet"),
        (lambda: _ext.Library.in_background(
            ELEMENT_OF_4, _ext.Background.given(np.zeros((1, 4), np.uint8), "dna")),
         "3 symbols lie outside of the positions to mutate, but a background has 4"),
        (lambda: _ext.Library.in_background(
            _ext.Library.in_background(ELEMENT_OF_4, RANDOM), RANDOM), "must be a random library"),
        (lambda: _ext.Library.factorial(RANDOM, 9, [[16]], CELL, CELL, 1, 1), "of the alphabet"),
        (lambda: _ext.Library.factorial(RANDOM, 9, [[1]], CELL, CELL[0], 1, 1), "int32 array"),
        (lambda: _ext.Library.factorial(RANDOM, 9, [[1]], CELL, CELL[:0], 1, 1), "the same shape"),
        (lambda: _ext.Library.factorial(RANDOM, 9, [[1]], CELL[:0], CELL[:0], 1, 1), "points"),
        (lambda: _ext.Library.factorial(RANDOM, 9, [[1]], CELL + 9, CELL, 1, 1), "is outside"),
        (lambda: _ext.Library.factorial(RANDOM, 9, [[1]], CELL, CELL + 2, 1, 1), "no word 1"),
        (lambda: _ext.Library.factorial(RANDOM, 9, [[1]], CELL, CELL - 2, 1, 1), "no word"),
    ],
)  # fmt: skip
def test_the_extension_refuses_what_it_cannot_make(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_random_is_a_random_library_in_all_but_its_background():
    assert isinstance(made(), RandomLibrary)
    assert "background='shuffle'" in repr(made(background="shuffle"))

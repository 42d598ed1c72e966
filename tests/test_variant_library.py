"""Variants in genome context: pairs of windows against the edited contig, cut from it."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneq import _ext
from geneq.artifacts import write_json
from geneq.errors import GeneqError
from geneq.genome import GAP, Genome, index_fasta
from geneq.libraries import Library, VariantLibrary
from geneq.libraries.variants import BATCH, SIDES
from geneq.vcf import read_vcf
from test_genome import bgzip, fasta
from test_vcf import vcf_text
from twins import variants as twin

RNG = np.random.default_rng(12)


def random_symbols(size: int, symbols: str = "ACGTacgt") -> str:
    return "".join(RNG.choice(list(symbols), size))


CONTIGS = {
    "chr1": "NN" + random_symbols(60) + "NNN" + random_symbols(40, "ACa") + "R",
    "chr2": "GATTACA",
    "far": random_symbols(3 * GAP),
}


def indexed(folder: Path, contigs: dict[str, str], pack=bytes) -> Path:
    """A genome as `geneq genes` leaves it, as far as a library reads it."""
    folder.mkdir()
    (folder / "in.fa").write_bytes(pack(fasta(contigs)))
    index = index_fasta(folder / "in.fa", folder)
    write_json({"digest": index.digest}, folder / "genes.json")
    return folder


@pytest.fixture(scope="module", params=[bytes, bgzip], ids=["plain", "bgzip"])
def genome(tmp_path_factory, request) -> Path:
    return indexed(tmp_path_factory.mktemp("genome") / "genome", CONTIGS, request.param)


def made(genome: Path, folder: Path, *lines: str, **options) -> VariantLibrary:
    (folder / "in.vcf").write_text(vcf_text(*lines))
    return VariantLibrary(genome=genome, vcf=folder / "in.vcf", **{"window": 9, **options})


def symbols(library: Library, *span: int) -> list[str]:
    return [_ext.decode(row).decode() for row in library.tokens(*span)]


@pytest.mark.parametrize(
    ("line", "keep", "wanted"),
    [
        # chr2 is GATTACA; the variant's first reference base is column 3 of 7.
        ("chr2|4|.|T|C", "left", ("GATTACA", "GATCACA")),
        ("chr2|3|.|TTA|TCA", "left", ("GATTACA", "GATCACA")),
        ("chr2|4|.|TA|CC", "left", ("GATTACA", "GATCCCA")),
        ("chr2|4|.|TAC|T", "left", ("ATTACAN", "ATTANNN")),
        ("chr2|4|.|TAC|T", "right", ("ATTACAN", "NGATTAN")),
        ("chr2|4|.|TAC|T", "centre", ("ATTACAN", "GATTANN")),
        ("chr2|4|.|T|TGG", "left", ("ATTACAN", "ATTGGAC")),
        ("chr2|4|.|T|TGG", "right", ("ATTACAN", "TGGACAN")),
        ("chr2|4|.|T|TGG", "centre", ("ATTACAN", "TTGGACA")),
        ("chr2|4|.|T|TG", "centre", ("ATTACAN", "TTGACAN")),
        ("chr2|4|.|TA|T", "centre", ("ATTACAN", "ATTCANN")),
        ("chr2|1|.|G|C", "left", ("NNNGATT", "NNNCATT")),
        ("chr2|1|.|G|CGT", "left", ("NNNGATT", "NNNCGTA")),
    ],
)
def test_the_alternative_is_refilled_as_documented(tmp_path, line, keep, wanted):
    genome = indexed(tmp_path / "genome", CONTIGS)
    library = made(genome, tmp_path, line, window=7, keep=keep)
    assert tuple(symbols(library)) == wanted


@st.composite
def variant(draw, contigs: dict[str, str]) -> str:
    """A line: an SNV, MNV, insertion, deletion or several, anywhere on a contig."""
    chrom = draw(st.sampled_from(list(contigs)))
    contig = contigs[chrom].upper()
    start = draw(st.integers(0, len(contig) - 1))
    ref = contig[start : start + draw(st.integers(1, 6))].replace("R", "N")
    text = st.text("ACGTacgN", min_size=1, max_size=5)
    kept = st.builds(lambda text: ref[0] + text, text)
    alts = draw(st.lists(st.one_of(text, kept, st.just(ref[0])), min_size=1, max_size=3))
    return f"{chrom}|{start + 1}|.|{ref}|{','.join(alts)}"


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.data())
def test_pairs_are_those_of_the_reference_implementation(tmp_path_factory, genome, data):
    lines = data.draw(st.lists(variant(CONTIGS), min_size=1, max_size=10))
    window = data.draw(st.integers(1, 60))
    anchor = data.draw(st.one_of(st.none(), st.integers(0, window - 1)))
    keep, threads = data.draw(st.sampled_from(SIDES)), data.draw(st.integers(1, 3))
    folder = tmp_path_factory.mktemp("vcf")
    column = window // 2 if anchor is None else anchor
    wanted = wanted_pairs(folder, genome, lines, window, column, keep)
    options = {"window": window, "anchor": anchor, "keep": keep}
    if not wanted:
        with pytest.raises(GeneqError, match="The VCF has no usable variant"):
            made(genome, folder, *lines, **options)
        return
    library = made(genome, folder, *lines, **options)
    assert symbols(library, 0, library.n_rows, threads) == wanted
    start = data.draw(st.integers(0, library.n_rows - 1))
    stop = data.draw(st.integers(start, library.n_rows))
    assert symbols(library, start, stop) == wanted[start:stop]
    check_design(library, wanted)


def wanted_pairs(folder, genome, lines, window, anchor, keep) -> list[str]:
    """Rows of the variants that fit, one after the other."""
    (folder / "in.vcf").write_text(vcf_text(*lines))
    table = read_vcf(folder / "in.vcf", Genome(genome)).table
    rows = []
    for row in table.itertuples():
        contig = CONTIGS[row.chrom]
        if twin.fits(contig, row.start, row.ref, row.alt, window, anchor, keep):
            rows += twin.pair(contig, row.start, row.ref, row.alt, window, anchor, keep)
    return rows


def check_design(library: VariantLibrary, rows: list[str]) -> None:
    """The design says where the bases are in which the two rows of a pair differ."""
    design = library.design()
    assert design["row"].tolist() == list(range(len(rows)))
    assert design["variant"].tolist() == [row // 2 for row in range(len(rows))]
    assert design["allele"].tolist() == ["ref", "alt"] * (len(rows) // 2)
    for row in design.itertuples():
        _, ref, alt = twin.normal(CONTIGS[row.chrom], row.pos - 1, row.ref, row.alt)
        text = ref if row.allele == "ref" else alt
        assert rows[row.row][row.offset : row.offset + len(text)] == text


def test_one_edit_makes_the_same_rows_in_every_spelling(tmp_path):
    """A base of a run and a unit of a repeat, deleted and inserted."""
    genome = indexed(tmp_path / "genome", {"c": "GCATTTTTGACACACATG"})
    groups = [
        ["c|3|.|AT|A", "c|4|.|TT|T", "c|7|.|TTG|TG"],
        ["c|3|.|A|AT", "c|5|.|T|TT", "c|8|.|TG|TTG"],
        ["c|9|.|GAC|G", "c|12|.|ACA|A", "c|14|.|ACAT|AT"],
    ]
    for keep in SIDES:
        for group in groups:
            pairs = {tuple(symbols(made(genome, tmp_path, line, keep=keep))) for line in group}
            assert len(pairs) == 1, (keep, group)
    library = made(genome, tmp_path, *groups[0])
    assert library.n_rows == 2
    assert library.skipped["duplicated"]["n"] == 2
    # The first T of the run is column 4, and what is right of it moves.
    assert symbols(library) == ["NGCATTTTT", "NGCATTTTG"]


def test_design_names_the_variant_of_every_row(tmp_path, genome):
    library = made(genome, tmp_path, "2|4|rs1|ta|t,C", window=7, keep="right")
    assert library.design().to_dict("list") == {
        "row": [0, 1, 2, 3],
        "variant": [0, 0, 1, 1],
        "allele": ["ref", "alt", "ref", "alt"],
        "chrom": ["chr2"] * 4,
        "pos": [4] * 4,
        "id": ["rs1"] * 4,
        "ref": ["TA"] * 4,
        "alt": ["T", "T", "C", "C"],
        "offset": [3, 4, 3, 4],
    }


def test_rows_do_not_depend_on_batches_order_or_threads(tmp_path, genome):
    contig = CONTIGS["far"].upper()
    places = RNG.integers(0, len(contig), BATCH // 2 + 50)
    places = np.concatenate([np.sort(places), places[::-1][:30]])
    lines = [f"far|{place + 1}|.|{contig[place]}|{contig[place]}A,N" for place in places.tolist()]
    library = made(genome, tmp_path, *lines, window=30)
    assert library.n_rows > BATCH + 100
    whole = library.tokens()
    np.testing.assert_array_equal(library.tokens(threads=3), whole)
    np.testing.assert_array_equal(library.tokens(1, BATCH + 7), whole[1 : BATCH + 7])
    parts = [library.tokens(row, row + 1) for row in range(0, library.n_rows, 501)]
    np.testing.assert_array_equal(np.concatenate(parts), whole[::501])
    wanted = wanted_pairs(tmp_path, genome, lines[:40], 30, 15, "left")
    assert symbols(library, 0, len(wanted)) == wanted


def test_alleles_that_do_not_fit_are_counted(tmp_path, genome):
    lines = ["chr2|1|.|GATTACA|C", "chr2|2|.|A|" + "C" * 6, "chr2|3|.|T|C"]
    library = made(genome, tmp_path, *lines, window=10)
    assert library.n_rows == 2
    assert library.skipped == {
        "does_not_fit": {
            "n": 2,
            "examples": ["line 3: chr2:1 GATTACA>C", "line 4: chr2:2 A>CCCCCC"],
        }
    }
    wide = made(genome, tmp_path, *lines, window=14)
    assert (wide.n_rows, wide.skipped) == (6, {})


def test_what_the_reader_skips_is_counted_too(tmp_path, genome):
    library = made(genome, tmp_path, "chr2|1|.|G|<DEL>,C", "none|1|.|G|C")
    assert {reason: found["n"] for reason, found in library.skipped.items()} == {
        "symbolic": 1,
        "contig_absent": 1,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 2.5}, "window must be a whole number: '2.5'"),
        ({"window": 0}, "window must be between 1 and .*: 0"),
        ({"anchor": 9}, "anchor must be between 0 and 8: 9"),
        ({"anchor": -1}, "anchor must be between 0 and 8: -1"),
        ({"keep": "middle"}, "keep must be one of left, right, centre: 'middle'"),
        ({"alphabet": "rna"}, "The alphabet of variants is 'dna': 'rna'"),
        ({"digest": "abc"}, "The genome is not the one that the recipe was made with: 'digest "),
        ({"sha256": "abc"}, "The vcf is not the one that the recipe was made with: 'sha256 "),
        ({"vcf": "nowhere.vcf"}, "The VCF cannot be read: 'No such file or directory'"),
        ({"genome": "nowhere"}, "No indexed genome"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path, genome, options, message):
    (tmp_path / "in.vcf").write_text(vcf_text("chr2|1|.|G|C"))
    given = {"genome": genome, "vcf": tmp_path / "in.vcf", "window": 9, **options}
    with pytest.raises(GeneqError, match=message):
        VariantLibrary(**given)


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ((), "it has none"),
        (("chr2|1|.|G|.,<DEL>,<DUP>",), "1 no_alternative, 2 symbolic"),
    ],
)
def test_a_vcf_of_which_nothing_is_left_is_refused(tmp_path, genome, lines, value):
    with pytest.raises(GeneqError, match=f"The VCF has no usable variant: '{value}'"):
        made(genome, tmp_path, *lines)


def test_a_recipe_makes_the_same_library_again(tmp_path, genome):
    library = made(genome, tmp_path, "chr2|4|.|TA|T", "chr1|9|.|N|C", keep="right")
    text = library.to_json()
    document = json.loads(text)
    assert document["kind"] == "variants"
    assert document["genome"] == str(genome)
    assert document["vcf"] == str(tmp_path / "in.vcf")
    again = Library.from_json(text)
    assert again == library
    assert repr(again) == repr(library)
    np.testing.assert_array_equal(again.tokens(), library.tokens())


def test_a_recipe_whose_vcf_or_genome_changed_is_refused(tmp_path):
    genome = indexed(tmp_path / "genome", CONTIGS)
    text = made(genome, tmp_path, "chr2|4|.|T|C").to_json()
    (tmp_path / "in.vcf").write_text(vcf_text("chr2|4|.|T|G"))
    with pytest.raises(GeneqError, match=r"The vcf is not the one .* in the recipe [0-9a-f]{64}"):
        Library.from_json(text)
    (tmp_path / "in.vcf").write_text(vcf_text("chr2|4|.|T|C"))
    write_json({"digest": "other"}, genome / "genes.json")
    with pytest.raises(GeneqError, match=r"The genome is not the one .* 'digest other, in the "):
        Library.from_json(text)


def test_there_is_no_one_wild_type_that_mutations_could_be_of(tmp_path, genome):
    with pytest.raises(GeneqError):
        made(genome, tmp_path, "chr2|4|.|T|C").mutations()


EDIT = np.array([[0, 1, 2, 0, 1]])
OUT, CONTIG = np.zeros((1, 5), dtype=np.uint8), np.zeros(3, dtype=np.uint8)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ([[0, 1, 5, 0, 1]], "must be within its window"),
        ([[0, 1, -1, 0, 1]], "must be within its window"),
        ([[0, 1, 0, 0, 4]], "must be within its window"),
        ([[0, 1, 0, 2, 1]], "must be within its window"),
        ([[0, 1, 0, -1, 1]], "must be within its window"),
        ([[0, 1, 0, 1]], "edits must have 5 columns"),
        ([[0, 1, 0, 0, 1]] * 2, r"out must be C-contiguous and of shape \[2, 5\]"),
    ],
)
def test_edits_that_cannot_be_are_value_errors(edits, message):
    with pytest.raises(ValueError, match=message):
        _ext.edited_windows(CONTIG, np.array(edits), CONTIG, OUT.copy())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CONTIG, EDIT.astype(np.int32), CONTIG, OUT), "edits must be an int64 array"),
        ((CONTIG + 5, EDIT, CONTIG, OUT), "contig must be 0…4"),
        ((CONTIG, EDIT, CONTIG + 5, OUT), "symbols must be 0…4"),
        ((CONTIG, EDIT, CONTIG, OUT[0]), "out must be a uint8 array with 2 axes"),
        ((CONTIG, EDIT, CONTIG, OUT.astype(np.float32)), "out must be a uint8 array"),
        ((CONTIG, EDIT, CONTIG, OUT[:, :0]), "5 columns, and out at least 1"),
        ((CONTIG, EDIT, CONTIG, np.zeros((1, 9), np.uint8)[:, ::2]), "must be C-contiguous"),
        ((CONTIG, EDIT, CONTIG, OUT, 0), "threads must be at least 1"),
    ],
)
def test_wrong_arrays_are_value_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        _ext.edited_windows(*arguments)


def test_places_far_outside_of_the_contig_are_n():
    ends = np.iinfo(np.int64)
    edits = np.array([[ends.min, ends.max, 2, 0, 1], [ends.max, ends.min, 2, 0, 0]])
    out = np.zeros((2, 5), dtype=np.uint8)
    _ext.edited_windows(CONTIG, edits, CONTIG, out)
    np.testing.assert_array_equal(out, [[4, 4, 0, 4, 4], [4] * 5])

"""MotifMatrix files: what is read, what is refused and why; families of similar motifs."""

import gzip
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneq.errors import GeneqError
from geneq.oracles.meme import MotifMatrix, families, motif_similarity, read_meme
from twins import features as twin

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data" / "motifs"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="the shared data are not here")

HEAD = "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\n"
# Definitions of the DNA alphabet as the MEME Suite allows them; matrices are in order A, C, G, T.
DNA_BLOCKS = [
    """ALPHABET "DNA" DNA-LIKE
A "Adenine" CC0000 ~ T "Thymine" 008000
C "Cytosine" 0000CC ~ G "Guanine" FFB300
N "Any base" = ACGT
X = ACGT
. = ACGT
V "Not T" 4A4A4A = ACG
U = T
END ALPHABET
""",
    "ALPHABET\nT\nG\nC\nA\nEND ALPHABET\n",
    "  ALPHABET DNA-LIKE # of genomes\n\nC~G # pairs\nT ~ A\n# no more\n  END  ALPHABET\n",
    'ALPHABET "my ~ = DNA"\nA "a = b" \nC "~"\nG 00FF00\nT "t" 123456\nEND ALPHABET\n',
]
RNA_BLOCK = DNA_BLOCKS[0].replace('"DNA" DNA', '"RNA" RNA').replace('T "Thymine"', 'U "Uracil"')
BODY = "0.7 0.1 0.1 0.1\n0 0 1 0\n0.25 0.25 0.25 0.25\n"
MOTIF = f"MOTIF SP1 GC-box\nletter-probability matrix: alength= 4 w= 3 nsites= 9 E= 0\n{BODY}"


def motifs_of(path: Path, text: str | bytes) -> list[MotifMatrix]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_meme(path)


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [False, True])
def test_a_motif_is_read(tmp_path, compressed):
    text = (HEAD + MOTIF + "URL http\n").encode()
    (motif,) = motifs_of(tmp_path / "m.meme", gzip.compress(text) if compressed else text)
    assert (motif.name, motif.width) == ("SP1", 3)
    expected = [[0.7, 0.1, 0.1, 0.1], [0, 0, 1, 0], [0.25] * 4]
    np.testing.assert_allclose(motif.probabilities, expected)


@pytest.mark.parametrize(
    "change",
    [
        ("ALPHABET= ACGT\n", ""),
        ("ALPHABET= ACGT\n", "ALPHABET = ACGT\n"),
        ("ALPHABET= ACGT\n", "ALPHABET=ACGT  \n"),
        ("ALPHABET= ACGT\n", 'ALPHABET= "ACGT"\n'),
        *(("ALPHABET= ACGT\n", block) for block in DNA_BLOCKS),
        ("MEME version 4", "MEME version 5.5.7 (Release date: x)"),
        ("w= 3", "w=3"),
        (" w= 3", ""),
        ("\n", "\r\n"),
        ("0.7 0.1 0.1 0.1", "  0.7\t0.1  1e-1 0.1  "),
        ("MOTIF SP1", "some comment\n\nMOTIF SP1"),
        ("MOTIF", "Background letter frequencies\nA 0.3 C 0.2 G 0.2 T 0.3\nMOTIF"),
    ],
)
def test_forms_of_the_format_read_the_same(tmp_path, change):
    (plain,) = motifs_of(tmp_path / "m.meme", HEAD + MOTIF)
    text = HEAD + MOTIF
    assert change[0] in text
    (motif,) = motifs_of(tmp_path / "m.meme", text.replace(*change))
    assert motif.name == plain.name
    np.testing.assert_array_equal(motif.probabilities, plain.probabilities)


def test_rows_that_are_rounded_are_brought_to_1(tmp_path):
    text = HEAD + MOTIF.replace("0.7 0.1 0.1 0.1", "0.69 0.1 0.1 0.1")
    (motif,) = motifs_of(tmp_path / "m.meme", text)
    np.testing.assert_allclose(motif.probabilities.sum(1), 1)


def test_log_odds_are_those_of_the_reference_implementation():
    motif = MotifMatrix("m", np.random.default_rng(1).dirichlet(np.ones(4) / 4, 12))
    assert motif.log_odds().dtype == np.float32
    np.testing.assert_allclose(motif.log_odds(), twin.log_odds(motif.probabilities), atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_what_is_written_is_read(tmp_path_factory, widths, seed):
    rng = np.random.default_rng(seed)
    text, matrices = HEAD, [rng.dirichlet(np.ones(4), width) for width in widths]
    for i, matrix in enumerate(matrices):
        text += f"MOTIF m{i}\nletter-probability matrix: alength= 4 w= {len(matrix)}\n"
        text += "".join(" ".join(f"{p:.12f}" for p in row) + "\n" for row in matrix) + "\n"
    found = motifs_of(tmp_path_factory.mktemp("meme") / "m.meme", text)
    assert [motif.name for motif in found] == [f"m{i}" for i in range(len(widths))]
    for motif, matrix in zip(found, matrices, strict=True):
        np.testing.assert_allclose(motif.probabilities, matrix, atol=1e-10)


# --- refusing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be MEME text, beginning with 'MEME version'"),
        (">SP1\n1 2 3 4\n", "must be MEME text"),
        (HEAD, "must have at least one MOTIF"),
        *(
            (HEAD.replace("= ACGT", text) + MOTIF, rf"alphabet of motifs must be DNA .*: '{shown}'")
            for text, shown in [
                ("= ACGU", "ACGU"),
                (" = ACGU", "ACGU"),
                ("= ACDEFGHIKLMNPQRSTVWY", "ACDEFGHIKLMNPQRSTVWY"),
                # Are columns in this order, or in that of the alphabet? MEME refuses it too.
                ("= TGCA", "TGCA"),
                ("=", ""),
                (RNA_BLOCK[8:], 'ACGU "RNA" RNA-LIKE'),
                (DNA_BLOCKS[1][8:].replace("\nT\n", "\n"), "ACG"),
                (DNA_BLOCKS[1][8:].replace("\nT\n", "\nT\nm\n"), "ACGTm"),
                (" PROTEIN-LIKE\nA\nC\nD\nEND ALPHABET", "ACD PROTEIN-LIKE"),
            ]
        ),
        (HEAD + MOTIF + HEAD.replace("ACGT", "ACGU") + MOTIF.replace("SP1", "b"), "DNA .*: 'ACGU'"),
        (HEAD.replace("= ACGT", "\nA\nC\nG\nT\n") + MOTIF, "must end with END ALPHABET"),
        ("MEME version 4\nALPHABET\nA\n", "must end with END ALPHABET"),
        (HEAD + MOTIF + MOTIF, "MotifMatrix names must differ: 'SP1'"),
        (HEAD + "MOTIF\n" + MOTIF, "MOTIF must be followed by a name: 'line 7'"),
        (HEAD + "MOTIF NFY\n" + MOTIF, "needs a letter-probability matrix: 'NFY'"),
        (HEAD + MOTIF.replace(BODY, ""), "matrix of motif SP1 must have 3 rows .*: '0 rows'"),
        (HEAD + MOTIF.replace("w= 3", "").replace(BODY, ""), "must have at least one rows"),
        (HEAD + MOTIF[:-20], "matrix of motif SP1 must have 3 rows of 4 numbers: '2 rows'"),
        (HEAD + MOTIF.replace("w= 3", "w= 4"), "must have 4 rows of 4 numbers: '3 rows'"),
        (HEAD + MOTIF.replace("0 0 1 0", "0 0 1"), "must have 3 rows of 4 numbers: '1 rows'"),
        (HEAD + MOTIF.replace("w= 3", "w= x"), r"width \(w=\) of motif SP1 must be a whole"),
        (HEAD + MOTIF.replace("w= 3 nsites= 9 E= 0", "w="), "must be a whole number"),
        *(
            (HEAD + MOTIF.replace("w= 3", "").replace("0 0 1 0", row), "probabilities .*: 'SP1'")
            for row in ("nan 0 1 0", "0 0 1 nan", "nan nan nan nan", "0 0 1 one", "inf 0 0 0")
        ),
        (HEAD + MOTIF.replace("0 0 1 0", "-0.5 0.5 1 0"), "must be probabilities that sum to 1"),
        (HEAD + MOTIF.replace("0 0 1 0", "9 0 1 0"), "must be probabilities that sum to 1: 'SP1'"),
        (b"MEME version 4\n\xff\xfe", "Not a readable motif file"),
        (gzip.compress((HEAD + MOTIF).encode())[:-12], "Not a readable motif file"),
        (gzip.compress((HEAD + MOTIF).encode())[:40] + b"x" * 90, "Not a readable motif file"),
    ],
)
def test_what_is_not_a_motif_file_is_refused(tmp_path, text, message):
    with pytest.raises(GeneqError, match=rf"{message}.*\(in .*m\.meme\)"):
        motifs_of(tmp_path / "m.meme", text)


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path):
    with pytest.raises(GeneqError, match=r"File not found \(in .*none.meme\)"):
        read_meme(tmp_path / "none.meme")
    with pytest.raises(GeneqError, match="Not a readable motif file"):
        read_meme(tmp_path)


# --- what geneq ships -------------------------------------------------------------------------


def test_the_core_motifs_are_what_their_script_writes():
    made = subprocess.run(
        [sys.executable, ROOT / "bin" / "core_motifs.py"], capture_output=True, check=True
    ).stdout
    assert (resources.files("geneq") / "data" / "core.meme").read_bytes() == made


def test_the_core_motifs_are_read():
    motifs = {motif.name: motif for motif in read_meme(ROOT / "python/geneq/data/core.meme")}
    assert len(motifs) == 38
    assert motifs["CREB"].probabilities.argmax(1).tolist() == [3, 2, 0, 1, 2, 3, 1, 0]  # TGACGTCA
    widths = [motif.width for motif in motifs.values()]
    assert (min(widths), max(widths)) == (8, 20)


@needs_shared
@pytest.mark.parametrize("name", ["rna_like.meme", "alphabet_space.meme"])
def test_the_odd_alphabets_are_refused_in_one_line(name):
    with pytest.raises(GeneqError, match=r"must be DNA \(ACGT\): 'ACGU.*These are RNA motifs"):
        read_meme(SHARED.parent / "oddities" / "meme" / name)


@needs_shared
def test_collections_of_motifs_are_read():
    assert len(read_meme(SHARED / "hocomoco_v13.meme.gz")) == 1611
    jaspar = read_meme(SHARED / "jaspar_2024_consensus.meme")
    assert len(jaspar) == 182
    groups = families(jaspar, 38)
    assert sorted(i for _, members in groups for i in members) == list(range(182))


# --- families ---------------------------------------------------------------------------------


def sharp(rng: np.random.Generator, width: int) -> np.ndarray:
    """A matrix with one certain base per position."""
    return 0.07 / 3 + (0.93 - 0.07 / 3) * np.eye(4)[rng.integers(0, 4, width)]


def relative(rng: np.random.Generator, base: np.ndarray) -> np.ndarray:
    """`base` blurred and shifted by up to 2 positions."""
    shift = rng.integers(-2, 3)
    flank = rng.dirichlet(np.full(4, 20), abs(shift))
    matrix = 0.9 * base + 0.1 * rng.dirichlet(np.ones(4), len(base))
    matrix = [*flank, *matrix[: len(base) - shift]] if shift > 0 else [*matrix[-shift:], *flank]
    return np.array(matrix)


def on_either_strand(rng: np.random.Generator, matrix: np.ndarray) -> np.ndarray:
    return matrix[::-1, ::-1] if rng.random() < 0.5 else matrix


def test_no_more_motifs_than_families_are_each_their_own():
    rng = np.random.default_rng(2)
    motifs = [MotifMatrix(name, sharp(rng, 8)) for name in "abc"]
    assert families(motifs, 3) == families(motifs, 9) == [("a", [0]), ("b", [1]), ("c", [2])]


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_families_are_recovered_from_shifted_and_reversed_relatives(seed):
    rng = np.random.default_rng(seed)
    bases = [sharp(rng, width) for width in (9, 10, 11, 12, 13, 14)]
    family = rng.permutation(np.repeat(np.arange(6), 10))
    motifs = [
        MotifMatrix(f"m{i}", on_either_strand(rng, relative(rng, bases[member])))
        for i, member in enumerate(family)
    ]
    groups = families(motifs, 6)
    assert sorted(map(sorted, (members for _, members in groups))) == sorted(
        np.flatnonzero(family == f).tolist() for f in range(6)
    )
    assert [members[0] for _, members in groups] == sorted(members[0] for _, members in groups)
    assert all(name in [f"m{i}" for i in members] for name, members in groups)


def test_a_family_is_named_for_the_member_most_like_the_others():
    rng = np.random.default_rng(6)
    base, other = sharp(rng, 10), sharp(rng, 10)
    blurred = [0.7 * base + 0.3 * rng.dirichlet(np.ones(4), 10) for _ in range(4)]
    motifs = [*blurred[:2], base, *blurred[2:], other]
    groups = families([MotifMatrix(f"m{i}", matrix) for i, matrix in enumerate(motifs)], 2)
    assert groups == [("m2", [0, 1, 2, 3, 4]), ("m5", [5])]


def test_similarity_is_the_best_over_offsets_and_strands():
    rng = np.random.default_rng(7)
    a, flat = sharp(rng, 8), np.full((6, 4), 0.25)
    half = np.concatenate([flat[:4], a[:4]])
    matrices = {"a": a, "rc": a[::-1, ::-1], "half": half, "flat": flat}
    motifs = [MotifMatrix(name, matrix) for name, matrix in matrices.items()]
    found = motif_similarity(motifs)
    np.testing.assert_allclose(np.diag(found), 1)
    np.testing.assert_allclose(found, found.T)
    assert found[0, 1] == pytest.approx(1, abs=1e-5)
    assert found[0, 2] == pytest.approx(np.sqrt(0.5), abs=1e-4)
    np.testing.assert_allclose(found[3, :3], 0, atol=1e-5)


def test_motifs_without_information_do_not_upset_the_families():
    rng = np.random.default_rng(8)
    matrices = {"flat": np.full((5, 4), 0.25), **{name: sharp(rng, 8) for name in "abc"}}
    motifs = [MotifMatrix(name, matrix) for name, matrix in matrices.items()]
    groups = families([*motifs, MotifMatrix("b2", motifs[2].probabilities)], 4)
    assert groups == [("flat", [0]), ("a", [1]), ("b", [2, 4]), ("c", [3])]

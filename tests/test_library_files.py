"""Libraries in files: what is written is read back, by geneq and by others, or refused."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneq import encoding
from geneq.artifacts import GENES
from geneq.errors import GeneqError
from geneq.genome import index_fasta, is_bgzip
from geneq.libraries import (
    CombinatorialLibrary,
    DiploidLibrary,
    FactorialLibrary,
    GlobalLibrary,
    Library,
    Motif,
    PairwiseLibrary,
    RandomLibrary,
    SaturationLibrary,
    VariantLibrary,
    open_library,
)
from geneq.libraries.writing import FORMATS, MOST, recipe_path
from test_variant_library import CONTIGS, indexed, vcf_text

WILD_TYPE = "ACGTTGCAACGGTNNRCATGACGTTGCAACGGTACATGT"
WINDOWS = [(0, 13), (17, 30)]
SATURATION = SaturationLibrary("ACGTNAC", windows=[(0, 4)], deletions=2, insertions=1)
LIBRARIES = {
    "random": RandomLibrary(WILD_TYPE, n=100, rate=0.2, windows=WINDOWS, seed=5),
    "protein": RandomLibrary("MKVLAWYXX", n=60, windows=[(0, 7)], alphabet="protein"),
    "own": RandomLibrary("01-1?-0", n=40, windows=[(0, 4)], alphabet="symbols:01-NX"),
    "two": RandomLibrary("ABABABABA", n=40, alphabet="symbols:AB"),
    "saturation": SATURATION,
    "combinatorial": CombinatorialLibrary("ACGTRC", order=2, windows=[(0, 4)], alphabet="dna"),
    "pairwise": PairwiseLibrary("ACGUNACG", first=(0, 2), second=(5, 8), alphabet="rna"),
    "diploid": DiploidLibrary("ACGRYSWKMN", n=50, rate=0.3, windows=[(0, 9)]),
    "global": GlobalLibrary("ACGTTGCAACGGTACATGTC", n=50, rate=0.3, windows=[(5, 8), (12, 16)]),
    "factorial": FactorialLibrary(
        motifs=[
            Motif("a=b", {"TGA": "TGANTCA", "CRE": "TGACGTCA"}, positions=[3], optional=True),
            Motif("GATA", "GATAA", spacings=(1, 4), orientations="+-"),
        ],
        length=30,
        n_backgrounds=4,
    ),
    "long rows": RandomLibrary("ACGT" * 5000, n=9, counts=3),
}
BITS = {"random": 2, "pairwise": 2, "diploid": 4, "protein": 5, "own": 3, "two": 1}


@pytest.fixture(scope="module")
def libraries(tmp_path_factory) -> dict[str, Library]:
    """LIBRARIES and variants, which need a genome."""
    folder = tmp_path_factory.mktemp("variants")
    genome = indexed(folder / "genome", CONTIGS)
    lines = ("chr2|4|r=s 1|T|C,<DEL>", "chr2|4|.|TA|T", "chr1|9|ä|N|C")
    (folder / "in.vcf").write_text(vcf_text(*lines))
    variants = VariantLibrary(genome=genome, vcf=folder / "in.vcf", window=9)
    return {**LIBRARIES, "variants": variants}


def read(path: Path, batch: int | None = None, threads: int = 1) -> np.ndarray:
    return np.concatenate(list(open_library(path).stream(batch, threads)))


def with_design(library: Library) -> bool:
    return type(library).design is not Library.design


# --- there and back ---------------------------------------------------------------------------


def test_every_kind_of_library_is_tried_here(libraries):
    assert {library.kind for library in libraries.values()} == set(Library.kinds)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", [*LIBRARIES, "variants"])
def test_a_library_comes_back_as_it_was(tmp_path, libraries, name, suffix):
    library, path = libraries[name], tmp_path / f"library{suffix}"
    library.write(path, batch=7, threads=2)
    file = open_library(path)
    assert (file.n_rows, file.length) == (library.n_rows, library.length)
    assert (file.alphabet, file.recipe) == (library.alphabet, library)
    batches = list(file.stream(5, threads=2))
    assert {len(tokens) for tokens in batches[:-1]} <= {5}
    np.testing.assert_array_equal(np.concatenate(batches), library.tokens())
    np.testing.assert_array_equal(read(path), library.tokens())
    assert Library.from_json(recipe_path(path).read_text()) == library
    assert {path.name for path in tmp_path.iterdir()} == {path.name, recipe_path(path).name}


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_file_does_not_depend_on_threads(tmp_path, suffix):
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    LIBRARIES["long rows"].write(one, threads=1)
    LIBRARIES["long rows"].write(two, threads=3)
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    "name",
    ["a b.fa", "-x.fa", "ä\n🧬.packed.parquet", "x.parquet.FA.GZ", ".parquet", "n/e/w.fasta"],
)
def test_names_may_be_odd(tmp_path, name):
    SATURATION.write(tmp_path / name)
    np.testing.assert_array_equal(read(tmp_path / name), SATURATION.tokens())


def test_progress_adds_up_to_the_rows(tmp_path):
    said = []
    SATURATION.write(tmp_path / "x.fa", batch=10, progress=said.append)
    assert said == [10] * (SATURATION.n_rows // 10) + [SATURATION.n_rows % 10]


def test_a_stream_of_a_file_may_be_dropped_and_begun_anew(tmp_path):
    SATURATION.write(tmp_path / "x.parquet")
    file = open_library(tmp_path / "x.parquet")
    next(file.stream(1))
    np.testing.assert_array_equal(np.concatenate(list(file.stream(4))), SATURATION.tokens())


# --- FASTA ------------------------------------------------------------------------------------


def test_fasta_has_a_record_a_row_and_the_design_in_the_header(tmp_path):
    SATURATION.write(tmp_path / "x.fa", batch=3)
    text = (tmp_path / "x.fa").read_text()
    assert text.startswith(
        ">saturation_0 edit=wild%20type position=-1 deleted= inserted=\nACGTNAC\n"
        ">saturation_1 edit=substitution position=0 deleted=A inserted=C\nCCGTNAC\n"
    )
    assert text.count(">") == text.count("\n") / 2 == SATURATION.n_rows


@pytest.mark.parametrize("name", ["saturation", "variants"])
def test_the_design_can_be_read_from_the_headers(tmp_path, libraries, name):
    library = libraries[name]
    library.write(tmp_path / "x.fa", batch=3)
    headers = [line for line in (tmp_path / "x.fa").read_text().splitlines() if line[0] == ">"]
    found = []
    for row, header in enumerate(headers):
        name, *words = header[1:].split(" ")
        assert name == f"{library.kind}_{row}"
        found.append({key: unquote(value) for key, value in (word.split("=", 1) for word in words)})
    wanted = library.design().drop(columns="row", errors="ignore").astype(str)
    pd.testing.assert_frame_equal(pd.DataFrame(found), wanted)


def test_gz_is_bgzip_which_gzip_reads(tmp_path):
    library = RandomLibrary(WILD_TYPE * 20, n=300, windows=[(0, 13)])
    library.write(tmp_path / "x.fa")
    library.write(tmp_path / "x.fa.gz", threads=2)
    text = (tmp_path / "x.fa").read_bytes()
    assert gzip.decompress((tmp_path / "x.fa.gz").read_bytes()) == text
    assert is_bgzip(tmp_path / "x.fa.gz")
    (tmp_path / "indexed").mkdir()
    index = index_fasta(tmp_path / "x.fa.gz", tmp_path / "indexed")
    assert list(index.lengths) == [f"random_{row}" for row in range(300)]


def test_fasta_that_others_wrapped_is_read(tmp_path):
    path = tmp_path / "x.fa"
    SATURATION.write(path)
    records = [record.split("\n", 1) for record in path.read_text().split(">")[1:]]
    wrapped = [f">{header}\r\n{text[:3]}\r\n{text[3:].lower()}\r\n" for header, text in records]
    path.write_text("".join(wrapped), newline="")
    np.testing.assert_array_equal(read(path, 4), SATURATION.tokens())


def test_fasta_refuses_an_alphabet_with_its_own_mark(tmp_path):
    library = RandomLibrary(">A>A", n=5, alphabet="symbols:A>")
    with pytest.raises(GeneqError, match="FASTA cannot contain the symbol '>'"):
        library.write(tmp_path / "x.fa")
    assert list(tmp_path.iterdir()) == []
    library.write(tmp_path / "x.parquet")
    np.testing.assert_array_equal(read(tmp_path / "x.parquet"), library.tokens())


# --- parquet ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*LIBRARIES, "variants"])
def test_parquet_is_a_table_that_others_read(tmp_path, libraries, name):
    library = libraries[name]
    library.write(tmp_path / "x.parquet", batch=16)
    table = pd.read_parquet(tmp_path / "x.parquet")
    assert table["row"].tolist() == list(range(library.n_rows))
    assert table["sequence"].tolist() == encoding.strings(library.tokens(), library.alphabet)
    if with_design(library):
        wanted = library.design().drop(columns="row", errors="ignore")
        pd.testing.assert_frame_equal(table.drop(columns=["row", "sequence"]), wanted)
    else:
        assert list(table) == ["row", "sequence"]


@pytest.mark.parametrize("suffix", [".parquet", ".packed.parquet"])
def test_a_batch_is_a_row_group_and_the_recipe_stands_in_the_metadata(tmp_path, suffix):
    library = LIBRARIES["random"]
    library.write(tmp_path / f"x{suffix}", batch=30)
    with pq.ParquetFile(tmp_path / f"x{suffix}") as file:
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        metadata = file.schema_arrow.metadata
    assert groups == [30, 30, 30, 10]
    assert Library.from_json(metadata[b"geneq-recipe"]) == library
    about = json.loads(metadata[b"geneq-library"])
    layout = {".parquet": {"layout": "text"}, ".packed.parquet": {"layout": "packed", "bits": 2}}
    assert about == {
        "format": "geneq-library",
        "version": 1,
        "rows": 100,
        "length": library.length,
        "alphabet": "dna",
        **layout[suffix],
    }


def test_a_batch_is_cut_to_what_is_written_in_a_moment(tmp_path):
    library = RandomLibrary("ACGT" * 250_000, n=40, counts=1)
    assert library.length * 40 > 2 * MOST
    library.write(tmp_path / "x.packed.parquet", batch=10**9)
    with pq.ParquetFile(tmp_path / "x.packed.parquet") as file:
        assert file.metadata.row_group(0).num_rows == MOST // library.length


def test_a_design_may_not_take_the_names_of_other_columns(tmp_path, monkeypatch):
    rows = range(SATURATION.n_rows)
    monkeypatch.setattr(
        SaturationLibrary, "design", lambda self, *_: pd.DataFrame({"row": rows[::-1], "packed": 1})
    )
    for suffix in FORMATS:
        with pytest.raises(GeneqError, match="name that is reserved for the file: 'row, packed'"):
            SATURATION.write(tmp_path / f"x{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["saturation", "variants"])
def test_a_part_of_a_design_is_that_part_of_the_whole(libraries, name):
    whole, part = libraries[name].design(), libraries[name].design(1, 4)
    pd.testing.assert_frame_equal(part, whole[1:4].reset_index(drop=True))
    with pytest.raises(GeneqError, match="The library has rows 0 to"):
        libraries[name].design(0, 10**6)


@pytest.mark.parametrize("name", BITS)
def test_packed_tokens_are_as_documented(tmp_path, libraries, name):
    """Taken apart bit by bit, as another program would."""
    library, path = libraries[name], tmp_path / "x.packed.parquet"
    library.write(path, batch=16)
    table, wanted = pq.read_table(path), library.tokens()
    bits = json.loads(table.schema.metadata[b"geneq-library"])["bits"]
    assert bits == BITS[name]
    unknown = wanted.max(initial=0) if name not in ("two",) else 2
    for row, (packed, places) in enumerate(
        zip(table["packed"].to_pylist(), table["unknown"].to_pylist(), strict=True)
    ):
        number = int.from_bytes(packed, "little")
        assert number >> (bits * library.length) == 0
        tokens = [number >> (bits * i) & (2**bits - 1) for i in range(library.length)]
        assert [tokens[place] for place in places] == [0] * len(places)
        for place in places:
            tokens[place] = unknown
        assert tokens == wanted[row].tolist()
        assert places == np.flatnonzero(wanted[row] == unknown).tolist()


# --- what is no library, or no longer whole ---------------------------------------------------


def refused(path: Path) -> str:
    """What is said of a file whose rows cannot all be read; it names the file."""
    with pytest.raises(GeneqError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, Path]:
    """A library in every format."""
    folder = tmp_path_factory.mktemp("whole")
    paths = {suffix: folder / f"x{suffix}" for suffix in FORMATS}
    for path in paths.values():
        LIBRARIES["random"].write(path, batch=20)
    return paths


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_short_is_refused(whole, tmp_path_factory, suffix, part):
    content = whole[suffix].read_bytes()
    path = tmp_path_factory.mktemp("cut") / f"x{suffix}"
    path.write_bytes(content[: int(part * (len(content) - 1))])
    recipe_path(path).write_bytes(recipe_path(whole[suffix]).read_bytes())
    refused(path)


@pytest.mark.parametrize(("suffix", "column"), [(".parquet", 1), (".packed.parquet", 1)])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(part=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), group=st.integers(0, 4))
def test_a_bit_that_fell_over_is_noticed(whole, tmp_path_factory, suffix, column, part, bit, group):
    content = bytearray(whole[suffix].read_bytes())
    with pq.ParquetFile(whole[suffix]) as file:
        chunk = file.metadata.row_group(group).column(column)
    # The header of the page comes first; what is changed is its data.
    size = chunk.total_compressed_size // 2
    content[chunk.data_page_offset + chunk.total_compressed_size - 1 - int(part * size)] ^= 1 << bit
    path = tmp_path_factory.mktemp("flipped") / "x.parquet"
    path.write_bytes(content)
    assert "truncated, damaged" in refused(path)


def test_a_missing_file_or_a_folder_is_refused(tmp_path):
    for path, message in [(tmp_path / "x.fa", "File not found"), (tmp_path, "Is a directory")]:
        assert message in refused(path)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"PAR1", b"PAR1" + bytes(40) + b"PAR1"])
def test_a_foreign_file_is_refused(tmp_path, content):
    (tmp_path / "x.parquet").write_bytes(content)
    recipe_path(tmp_path / "x.parquet").write_text(LIBRARIES["random"].to_json())
    refused(tmp_path / "x.parquet")


def test_a_foreign_table_is_refused(tmp_path):
    GENES.write(pd.DataFrame(columns=list(GENES.columns)), tmp_path / "x.parquet")
    assert "Not a library written by geneq" in refused(tmp_path / "x.parquet")


def test_fasta_without_its_recipe_is_refused(tmp_path):
    (tmp_path / "x.fa").write_text(">a\nACGT\n")
    assert "needs its recipe beside it" in refused(tmp_path / "x.fa")
    recipe_path(tmp_path / "x.fa").write_text("{}")
    with pytest.raises(GeneqError, match=r"x\.fa\.recipe\.json"):
        open_library(tmp_path / "x.fa")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda records: [records[1], records[0], *records[2:]], "Record 0 .* must be random_0"),
        (lambda records: records[:-1], "must have 100 rows: 99"),
        (lambda records: [*records, b"random_100\n" + WILD_TYPE.encode()], "must have 100 rows"),
        (
            lambda records: [record.replace(b"\n", b"\nA", 1) for record in records],
            "39 symbols: '40",
        ),
        (lambda records: [records[0] + b"A\n", *records[1:]], "the same length"),
        (lambda records: [records[0][:-3] + b"EE\n", *records[1:]], "'E' is not a nucleotide"),
        (lambda records: [b"promoter\nACGT\n"], "Record 0"),
    ],
)
def test_fasta_that_is_not_the_library_is_refused(whole, tmp_path, change, message):
    records = change(whole[".fa"].read_bytes().split(b">")[1:])
    path = tmp_path / "x.fa"
    path.write_bytes(b"".join(b">" + record for record in records))
    recipe_path(path).write_text(LIBRARIES["random"].to_json())
    with pytest.raises(GeneqError, match=message):
        read(path)


def altered(path: Path, source: Path, about: dict | None = None, **columns) -> None:
    """The table of `source` with other metadata, or other columns (None: without it)."""
    table = pq.read_table(source)
    metadata = table.schema.metadata
    if about is not None:
        old = json.loads(metadata[b"geneq-library"])
        new = {key: value for key, value in {**old, **about}.items() if value != "absent"}
        metadata = {**metadata, b"geneq-library": json.dumps(new).encode()}
    for name, values in columns.items():
        table = table.drop(name) if values is None else table.set_column(1, name, values)
    pq.write_table(table.replace_schema_metadata(metadata), path)


@pytest.mark.parametrize("suffix", [".parquet", ".packed.parquet"])
@pytest.mark.parametrize(
    ("about", "message"),
    [
        (
            {"version": 2},
            "of format version 1: 2 .* Install the version of geneq that wrote it",
        ),
        ({"format": "other"}, "Not a library written by geneq"),
        ({"alphabet": "klingon"}, "alphabet must be"),
        ({"alphabet": 3}, "incomplete"),
        ({"alphabet": "absent"}, "incomplete: .*alphabet"),
        ({"layout": "other"}, "incomplete: .*other"),
        ({"rows": 99}, "not match its metadata: '100 rows"),
        ({"length": 0}, "length must be"),
        ({"length": 2**62}, "does not have 4611686018427387904 symbols|not a library"),
        ({"length": 43}, "does not have 43 symbols|not match its metadata"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(whole, tmp_path, suffix, about, message):
    altered(tmp_path / "x.parquet", whole[suffix], about)
    with pytest.raises(GeneqError, match=message):
        read(tmp_path / "x.parquet")


def test_an_alphabet_of_other_symbols_is_refused(whole, tmp_path):
    altered(tmp_path / "x.parquet", whole[".parquet"], {"alphabet": "rna"})
    assert "'T' is not an RNA symbol" in refused(tmp_path / "x.parquet")
    altered(tmp_path / "x.parquet", whole[".packed.parquet"], {"alphabet": "protein"})
    assert "not match its metadata" in refused(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    "values",
    [
        None,
        pa.array([None] + [WILD_TYPE] * 99, pa.string()),
        pa.array([WILD_TYPE[:-1]] + [WILD_TYPE] * 99),
        pa.array(["A" + WILD_TYPE[:-1], WILD_TYPE[:-2] + "CCC", *[WILD_TYPE] * 98]),
        pa.array([WILD_TYPE] * 100, pa.large_string()),
    ],
)
def test_sequences_that_do_not_fit_are_refused(whole, tmp_path, values):
    altered(tmp_path / "x.parquet", whole[".parquet"], sequence=values)
    refused(tmp_path / "x.parquet")


@pytest.mark.parametrize("places", [[39], [-1], [None], None])
def test_unknown_symbols_out_of_place_are_refused(whole, tmp_path, places):
    table = pq.read_table(whole[".packed.parquet"])
    lists = pa.array([places] + [[]] * 99, pa.list_(pa.int32()))
    table = table.set_column(2, "unknown", lists)
    pq.write_table(table, tmp_path / "x.parquet")
    refused(tmp_path / "x.parquet")


def test_a_file_whose_recipe_this_geneq_lacks_is_read_nonetheless(whole, tmp_path):
    table = pq.read_table(whole[".packed.parquet"])
    metadata = {**table.schema.metadata, b"geneq-recipe": b'{"format": "geneq-recipe"}'}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "x.parquet")
    np.testing.assert_array_equal(read(tmp_path / "x.parquet"), LIBRARIES["random"].tokens())
    with pytest.raises(GeneqError, match=r"reads a recipe of format version 1.*x\.parquet"):
        _ = open_library(tmp_path / "x.parquet").recipe


# --- whole or not at all ----------------------------------------------------------------------


def test_the_suffix_must_say_a_format(tmp_path):
    with pytest.raises(
        GeneqError, match=r"must be that of a known format: 'x\.txt'.*\.packed\.parquet, \.parquet"
    ):
        SATURATION.write(tmp_path / "x.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("batch", [0, -1, 2.5])
def test_a_batch_that_cannot_be_is_refused(tmp_path, batch):
    with pytest.raises(GeneqError, match="batch must be"):
        SATURATION.write(tmp_path / "x.fa", batch=batch)
    with pytest.raises(GeneqError, match="batch must be"):
        SATURATION.write(tmp_path / "x.fa") or read(tmp_path / "x.fa", batch)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("old", [None, b"what was there"])
def test_what_is_interrupted_leaves_what_was_there(tmp_path, suffix, old):
    path, rows = tmp_path / f"x{suffix}", 0

    def interrupt(more: int) -> None:
        nonlocal rows
        rows += more
        if rows > 50:
            raise KeyboardInterrupt

    if old:
        path.write_bytes(old)
    with pytest.raises(KeyboardInterrupt):
        LIBRARIES["random"].write(path, batch=9, progress=interrupt)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == (
        [(path.name, old)] if old else []
    )
    LIBRARIES["random"].write(path)
    np.testing.assert_array_equal(read(path), LIBRARIES["random"].tokens())


def test_a_folder_in_the_way_is_left_alone(tmp_path):
    (tmp_path / "x.fa").mkdir()
    with pytest.raises(GeneqError, match="A folder exists where a file is to be written"):
        SATURATION.write(tmp_path / "x.fa")
    assert [path.name for path in tmp_path.iterdir()] == ["x.fa"]


PRELUDE = """
import resource, sys
from geneq.libraries import RandomLibrary, open_library
"""


def in_another_process(code: str, *arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", PRELUDE + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


FULL = """
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
RandomLibrary("ACGT" * 100, n=20_000).write(sys.argv[1], batch=100)
"""


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_leaves_nothing(tmp_path, suffix):
    """A limit on the size of files stands in for the disk: writing fails in the same place."""
    done = in_another_process(FULL, tmp_path / f"x{suffix}")
    assert done.returncode == 1
    assert "OSError: [Errno 27]" in done.stderr or "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []


# Peaks after a tenth and after all of the 200 batches of 2 MB, when writing and when reading.
FLAT = """
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

library, batch, rows, peaks = RandomLibrary("ACGT" * 250, n=400_000), 2000, 0, []

def note(more):
    global rows
    rows += more
    if rows == library.n_rows // 10:
        peaks.append(peak())

library.write(sys.argv[1], batch, progress=note)
peaks.append(peak())
rows = 0
for tokens in open_library(sys.argv[1]).stream(batch):
    note(len(tokens))
peaks.append(peak())
print(*peaks)
"""


@pytest.mark.parametrize("suffix", [".fa", ".parquet", ".packed.parquet"])
def test_memory_stays_flat(tmp_path, suffix):
    done = in_another_process(FLAT, tmp_path / f"x{suffix}")
    assert done.returncode == 0, done.stderr
    peaks = np.array(done.stdout.split(), dtype=int) / 1000
    # Megabytes; the library has 400.
    assert len(peaks) == 4
    assert np.all(np.diff(peaks)[[0, 2]] < 20), peaks

"""Indexing a FASTA and reading the indexed genome."""

import gzip
import hashlib
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pyfaidx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneq import genome as genome_module
from geneq.errors import GeneqError
from geneq.genome import BGZF_END, Genome, index_fasta, is_bgzip
from twins import encoding

RNG = np.random.default_rng(3)
CONTIGS = {
    name: "".join(RNG.choice(list("ACGTNacgtnR"), size))
    for name, size in [("chr1", 5000), ("2", 61), ("scaffold_3", 1)]
}
REGIONS = [("chr1", -5, 70), ("chr1", 4990, 5020), ("2", 0, 61), ("2", 59, 61), ("2", 100, 103)]


def fasta(contigs: dict[str, str], width: int = 70, end: str = "\n") -> bytes:
    lines = []
    for name, sequence in contigs.items():
        lines.append(f">{name} a contig")
        lines += [sequence[i : i + width] for i in range(0, len(sequence), width)]
    return "".join(line + end for line in lines).encode()


def bgzip(content: bytes, block: int = 700) -> bytes:
    """`content` as bgzip writes it, in small blocks."""
    parts = [content[i : i + block] for i in range(0, len(content), block)]
    return b"".join(map(bgzip_block, parts)) + BGZF_END


def bgzip_block(part: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(part) + deflate.flush()
    head = struct.pack("<4BI2BH2sHH", 31, 139, 8, 4, 0, 0, 255, 6, b"BC", 2, len(body) + 25)
    return head + body + struct.pack("<II", zlib.crc32(part), len(part))


def canonical_digest(contigs: dict[str, str]) -> str:
    text = ""
    for name, sequence in contigs.items():
        lines = [sequence[i : i + 60].upper() for i in range(0, len(sequence), 60)]
        text += "\n".join([f">{name}", *lines]) + "\n"
    return hashlib.sha256(text.encode()).hexdigest()


def indexed(tmp_path: Path, content: bytes, name: str = "in.fa") -> tuple[Genome, Path]:
    """The genome of `content`, indexed from a folder that must stay as it was."""
    source, folder = tmp_path / "source" / name, tmp_path / "out"
    source.parent.mkdir()
    folder.mkdir()
    source.write_bytes(content)
    source.parent.chmod(0o555)
    index = index_fasta(source, folder)
    assert [path.name for path in source.parent.iterdir()] == [name]
    assert index.lengths == {name: len(sequence) for name, sequence in CONTIGS.items()}
    assert index.digest == canonical_digest(CONTIGS)
    return Genome(folder), folder


def check_regions(genome: Genome) -> None:
    for chrom, start, end in REGIONS:
        wanted = encoding.window(CONTIGS[chrom], start, "+", 0, end - start)
        np.testing.assert_array_equal(genome.tokens(chrom, start, end), wanted)
        turned = encoding.reverse_complement(wanted)
        np.testing.assert_array_equal(genome.tokens(chrom, start, end, "-"), turned)


RAGGED = fasta(CONTIGS).replace(b"\n", b"\n\n", 3)


@pytest.mark.parametrize(
    "content",
    [
        fasta(CONTIGS),
        fasta(CONTIGS, width=33, end="\r\n"),
        fasta(CONTIGS)[:-1],
        RAGGED,
        b"\n" + fasta(CONTIGS, width=10_000),
        gzip.compress(fasta(CONTIGS)),
        bgzip(RAGGED),
    ],
    ids=["plain", "crlf", "no_last_line_end", "ragged", "long_lines", "gzip", "ragged_bgzip"],
)
def test_any_fasta_becomes_the_same_genome(tmp_path, content):
    genome, folder = indexed(tmp_path, content)
    assert {path.name for path in folder.iterdir()} == {"genome.fa", "genome.fa.fai"}
    check_regions(genome)
    with pyfaidx.Fasta(folder / "genome.fa", rebuild=False) as peer:
        for name, sequence in CONTIGS.items():
            assert str(peer[name]) == sequence.upper()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["in.fa.gz", "in.fa"])
def test_bgzip_is_told_by_its_content_and_stays_compressed(tmp_path, name, end):
    content = bgzip(fasta(CONTIGS, end=end))
    genome, folder = indexed(tmp_path, content, name)
    files = {path.name for path in folder.iterdir()}
    assert files == {"genome.fa.gz", "genome.fa.gz.fai", "genome.fa.gz.gzi"}
    assert (folder / "genome.fa.gz").read_bytes() == content
    check_regions(genome)
    np.testing.assert_array_equal(genome.record("2"), encoding.tokens(CONTIGS["2"]))


def test_gzip_is_not_bgzip(tmp_path):
    for content, wanted in [(gzip.compress(b">a\nA\n"), False), (BGZF_END, True), (b"\x1f", False)]:
        (tmp_path / "file").write_bytes(content)
        assert is_bgzip(tmp_path / "file") is wanted


@pytest.fixture(scope="module", params=["plain", "bgzip"])
def genome(request, tmp_path_factory):
    content = fasta(CONTIGS)
    return indexed(
        tmp_path_factory.mktemp(request.param),
        bgzip(content) if request.param == "bgzip" else content,
    )[0]


PLACES = st.lists(
    st.tuples(st.sampled_from(list(CONTIGS)), st.integers(-100, 5100), st.sampled_from("+-")),
    max_size=8,
)


@settings(deadline=None)
@given(PLACES, st.integers(-60, 60), st.integers(1, 60), st.sampled_from([0, 50, 1 << 14]))
def test_windows_are_those_of_the_twin(genome, places, first, length, gap):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(genome_module, "GAP", gap)
        columns = [list(column) for column in zip(*places, strict=True)] or [[], [], []]
        cut = genome.windows(*columns, first, first + length, threads=2)
    assert cut.shape == (len(places), length)
    for row, (chrom, position, strand) in zip(cut, places, strict=True):
        wanted = encoding.window(CONTIGS[chrom], position, strand, first, first + length)
        np.testing.assert_array_equal(row, wanted)


PROTEIN = b">sp|P04637|P53_HUMAN\nMEEPQSDPSVEPPLSQETFSDLWKLLPENNVLSPLPSQAMDDLMLSPDDIEQWFTEDPGP\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The FASTA file is empty"),
        (b"\n\n", "has no record"),
        (gzip.compress(b""), "has no record"),
        (b"gene\tvalue\na\t1\n", "row 1: text before the first header"),
        (bytes(range(256)), "row 1: text before the first header"),
        (PROTEIN, "row 2: column 2: 'E' is not a nucleotide symbol (record 'sp|P04637|P53_HUMAN')"),
        (b">a\nACGT\n>b\nAC\n>a\nAC\n", "row 5: the name 'a' occurs twice"),
        (b">a\n>b\nAC\n", "the record 'a' has no sequence"),
        (gzip.compress(fasta(CONTIGS))[:-20], "cut short or damaged"),
        (gzip.compress(fasta(CONTIGS))[:-4] + b"abcd", "cut short or damaged"),
        (bgzip(fasta(CONTIGS))[:-28], "end mark of bgzip is missing"),
        (bgzip(fasta(CONTIGS))[:-40], "cut short"),
        (bgzip(fasta(CONTIGS))[:600] + bgzip(fasta(CONTIGS))[700:], "damaged"),
    ],
)
def test_what_is_no_fasta_is_refused_and_the_reason_given(tmp_path, content, message):
    (tmp_path / "bad.fa").write_bytes(content)
    (tmp_path / "out").mkdir()
    with pytest.raises(GeneqError, match=re.escape(message)) as error:
        index_fasta(tmp_path / "bad.fa", tmp_path / "out")
    assert str(tmp_path / "bad.fa") in str(error.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(GeneqError, match=r"File not found \(in .*none.fa\)"):
        index_fasta(tmp_path / "none.fa", tmp_path)
    with pytest.raises(GeneqError, match="Is a directory"):
        index_fasta(tmp_path, tmp_path)


def test_reading_refuses_what_makes_no_sense(genome, tmp_path):
    with pytest.raises(GeneqError, match="No such sequence: 'chrUn'"):
        genome.tokens("chrUn", 0, 5)
    with pytest.raises(GeneqError, match=r"A strand must be '\+' or '-': '\.'"):
        genome.windows(["2"], [5], ["."], 0, 5)
    with pytest.raises(GeneqError, match="A window must end after its first base"):
        genome.windows(["2"], [5], ["+"], 3, 3)
    with pytest.raises(GeneqError, match="A region must end after its start: '2:5-5'"):
        genome.tokens("2", 5, 5)
    with pytest.raises(GeneqError, match=r"No indexed genome .*Make it with `geneq genes`"):
        Genome(tmp_path)


def test_a_genome_cut_short_after_indexing_is_noticed(tmp_path):
    genome, folder = indexed(tmp_path, fasta(CONTIGS))
    content = (folder / "genome.fa").read_bytes()
    (folder / "genome.fa").write_bytes(content[:2000])
    with pytest.raises(GeneqError, match="The genome is cut short: 'chr1'"):
        genome.tokens("chr1", 4000, 4100)

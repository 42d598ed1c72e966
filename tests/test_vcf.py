"""Reading a VCF against a genome: what becomes a variant, what is counted, what is refused."""

import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneq import _ext, vcf
from geneq.errors import GeneqError
from geneq.genome import BGZF_END, Genome, index_fasta
from geneq.vcf import COLUMNS, read_vcf, trimmed
from test_genome import bgzip, fasta
from twins import variants as twin

RNG = np.random.default_rng(11)
CONTIGS = {
    "chr1": "NNNacgtRACGTTTGA" + "".join(RNG.choice(list("ACGTacgt"), 800)) + "NN",
    "chr2": "GATTACA",
    "chrM": "ACGT",
    "X": "TTTT",
}
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
TAIL = "\t.\tPASS\tAC=1"


@pytest.fixture(scope="module")
def genome(tmp_path_factory) -> Genome:
    return indexed(tmp_path_factory.mktemp("genome"), CONTIGS)


def indexed(folder: Path, contigs: dict[str, str]) -> Genome:
    (folder / "in.fa").write_bytes(fasta(contigs))
    index_fasta(folder / "in.fa", folder)
    return Genome(folder)


def vcf_text(*lines: str, tail: str = TAIL) -> str:
    """A VCF of these lines: their first five fields with "|" between them; "" stays empty."""
    return HEADER + "".join((line and line.replace("|", "\t") + tail) + "\n" for line in lines)


def written(folder: Path, *lines: str) -> Path:
    (folder / "in.vcf").write_text(vcf_text(*lines))
    return folder / "in.vcf"


def rows(variants) -> list[tuple]:
    return list(variants.table.itertuples(index=False, name=None))


def counts(variants) -> dict[str, int]:
    return {reason: found["n"] for reason, found in variants.skipped.items()}


GOOD = ("chr2|1|rs1|g|A,gc", "chr2|2|.|ATT|A,ATTT", "", "X|4|b|T|n")
WANTED = [
    ("chr2", 1, 0, "rs1", "G", "A", 3),
    ("chr2", 1, 0, "rs1", "G", "GC", 3),
    ("chr2", 2, 1, ".", "ATT", "A", 4),
    ("chr2", 2, 1, ".", "ATT", "ATTT", 4),
    ("X", 4, 3, "b", "T", "N", 6),
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("tail", [TAIL, TAIL + "\tGT" + "\t0|1" * 300])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bgzip], ids=["plain", "gzip", "bgzip"])
@pytest.mark.parametrize("chunk", [50, 1 << 22])
def test_every_alternative_is_a_row_whatever_the_file(
    tmp_path, genome, monkeypatch, pack, end, tail, chunk
):
    monkeypatch.setattr(vcf, "CHUNK", chunk)
    path = tmp_path / "in.vcf"
    path.write_bytes(pack(vcf_text(*GOOD, tail=tail).replace("\n", end).encode()))
    variants = read_vcf(path, genome)
    assert list(variants.table) == COLUMNS
    assert (variants.table.dtypes[["pos", "start", "line"]] == np.int64).all()
    assert rows(variants) == WANTED
    assert variants.skipped == {}


def test_five_columns_and_no_last_line_end_are_enough(tmp_path, genome):
    header = "#CHROM\tPOS\tID\tREF\tALT"
    for text, n in [(f"{header}\r\nchr2\t1\t.\tG\tA\r\nchr2\t2\t.\tA\tC", 2), (header, 0)]:
        (tmp_path / "in.vcf").write_text(text)
        assert [row[5] for row in rows(read_vcf(tmp_path / "in.vcf", genome))] == ["A", "C"][:n]


def test_what_is_left_out_is_counted_by_reason_with_examples(tmp_path, genome):
    lines = ["chr1|5|.|C|.,*,<DEL>,<*>,C[chr2:3[,]chr2:3]C,C.,.C,c,T"]
    lines += ["chrUn|1|.|A|C", "chr2|7|.|AC|A", "chr2|1|.|T|C", "chr1|5|again|C|T"]
    lines += ["chr2|3|.|T|A", "chr2|4|.|T|A,C", "chr2|1|.|G|C"]
    variants = read_vcf(written(tmp_path, *lines), genome)
    assert [row[-1] for row in rows(variants)] == [3, 8, 9, 9, 10]
    assert counts(variants) == {
        "no_alternative": 1,
        "overlapping_deletion": 1,
        "symbolic": 2,
        "breakend": 4,
        "same_as_reference": 1,
        "contig_absent": 1,
        "beyond_contig": 1,
        "reference_differs": 1,
        "duplicated": 1,
    }
    assert variants.skipped["symbolic"]["examples"] == [
        "line 3: chr1:5 C><DEL>",
        "line 3: chr1:5 C><*>",
    ]
    assert variants.skipped["reference_differs"]["examples"] == ["line 6: chr2:1 T>C"]


def test_telomeres_are_left_out(tmp_path, genome):
    """POS 0 and behind the last base, as symbols and as the standard's own example has them."""
    behind = len(CONTIGS["chr2"]) + 1
    lines = ["chr2|0|x|N|.[chr1:5[", "chr2|0|.|N|NA", "chr2|0|.|NG|N", f"chr2|{behind}|.|N|A"]
    variants = read_vcf(written(tmp_path, *lines, *GOOD), genome)
    assert [row[:6] for row in rows(variants)] == [row[:6] for row in WANTED]
    assert counts(variants) == {"breakend": 1, "beyond_contig": 3}
    assert "line 4: chr2:0 N>NA" in variants.skipped["beyond_contig"]["examples"]


def test_many_of_a_kind_are_counted_and_five_are_named(tmp_path, genome):
    lines = [f"chr1|{pos}|.|A|<NON_REF>" for pos in range(1, 101)]
    skipped = read_vcf(written(tmp_path, *lines, "chr2|1|.|G|A"), genome).skipped
    assert skipped["symbolic"]["n"] == 100
    assert len(skipped["symbolic"]["examples"]) == 5


def test_names_of_chromosomes_are_matched(tmp_path, genome):
    path = written(tmp_path, "2|1|.|G|A", "MT|1|.|A|C", "chrX|1|.|T|A", "chr2|1|.|G|A")
    variants = read_vcf(path, genome)
    assert [row[0] for row in rows(variants)] == ["chr2", "chrM", "X"]
    assert counts(variants) == {"duplicated": 1}


def test_where_the_genome_has_n_any_reference_fits(tmp_path, genome):
    # chr1 begins NNNacgtR: R is an N to geneq.
    path = written(tmp_path, "chr1|2|.|A|C", "chr1|3|.|TA|T", "chr1|8|.|G|C", "chr1|4|.|N|C")
    variants = read_vcf(path, genome)
    assert [row[1] for row in rows(variants)] == [2, 3, 8]
    assert counts(variants) == {"reference_differs": 1}


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 64, 65, 300, 700])
def test_every_symbol_of_a_long_reference_is_compared(tmp_path, genome, length):
    there = CONTIGS["chr1"][20 : 20 + length]
    last = "A" if there[-1] in "cC" else "C"
    lines = ["chr2|1|.|G|A", f"chr1|21|good|{there}|N", f"chr1|21|bad|{there[:-1]}{last}|N"]
    variants = read_vcf(written(tmp_path, *lines), genome)
    assert [row[3] for row in rows(variants)] == [".", "good"]
    assert counts(variants) == {"reference_differs": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "The VCF is empty"),
        ("\n\n", "must have the header line #CHROM POS ID REF ALT above its variants"),
        ("##fileformat=VCFv4.2\n", "must have the header line #CHROM"),
        ("chr2\t1\t.\tG\tA\n", r"above its variants: 'chr2\\t1\\t.\\tG\\tA'"),
        ("chr2\t1\t.\tG\tA\n" + HEADER, "above its variants: 'chr2"),
        ("#CHROM POS ID REF ALT\nchr2\t1\t.\tG\tA\n", "above its variants: 'chr2"),
        (">chr2\nGATTACA\n", "above its variants: '>chr2'"),
        (HEADER + "chr2\t1\t.\tG\n", "line 3: fewer than 5 tab-separated fields: 'chr2"),
        (HEADER + "chr2 1 . G A\n", "line 3: fewer than 5 tab-separated fields"),
        (HEADER + "#\n\nchr2\t-1\t.\tG\tA\n", "line 5: POS must be a whole number, .*: '-1'"),
        (HEADER + "chr2\t1.5\t.\tG\tA\n", "POS must be a whole number, 0 or more: '1.5'"),
        (HEADER + "chr2\t\t.\tG\tA\n", "POS must be a whole number, 0 or more: ''"),
        (HEADER + "chr2\t9" + "9" * 19 + "\t.\tG\tA\n", "POS must be a whole number"),
        (HEADER + "chr2\t1\t.\tR\tA\n", "line 3: REF must be symbols of ACGTN: 'R'"),
        (HEADER + "chr2\t1\t.\t.\tA\n", "REF must be symbols of ACGTN: '.'"),
        (HEADER + "chr2\t1\t.\t\tA\n", "REF must be symbols of ACGTN: ''"),
        (HEADER + "chr2\t1\t.\tG\tA,-\n", "line 3: ALT must be symbols of ACGTN, .*: '-'"),
        (HEADER + "chr2\t1\t.\tG\tA,\n", "ALT must be symbols of ACGTN, .*: ''"),
        (HEADER + "chr2\t1\t.\tG\tA", "line 3 has no end and fewer fields than the header"),
        (
            HEADER + "5\t1\t.\tG\tA\n",
            "No chromosome of the VCF is in the genome: 'VCF has 5; genome has chr1, chr2,",
        ),
    ],
)
@pytest.mark.parametrize("chunk", [7, 1 << 22])
def test_what_is_no_vcf_is_refused(tmp_path, genome, monkeypatch, content, message, chunk):
    monkeypatch.setattr(vcf, "CHUNK", chunk)
    path = tmp_path / "in.vcf"
    path.write_text(content)
    with pytest.raises(GeneqError, match=message) as error:
        read_vcf(path, genome)
    assert error.value.file == path
    assert error.value.fix


def test_a_vcf_of_another_build_is_told(tmp_path, genome):
    lines = ["chr2|1|.|G|A", "chr2|2|.|C|A", "chr2|2|.|C|G", "chr2|100|.|G|A", "chr9|1|.|A|C"]
    message = (
        "3 of 4 variants do not fit the genome: the VCF seems to be of another build: '1 lie "
        "beyond their contig, 2 have another REF; the first is line 4: chr2:2 C>A'"
    )
    with pytest.raises(GeneqError, match=re.escape(message)):
        read_vcf(written(tmp_path, *lines), genome)


def test_half_of_the_variants_may_differ(tmp_path, genome):
    variants = read_vcf(written(tmp_path, "chr2|1|.|G|A", "chr2|2|.|C|A"), genome)
    assert len(variants.table) == 1


@pytest.mark.parametrize("pack", [gzip.compress, bgzip], ids=["gzip", "bgzip"])
@pytest.mark.parametrize("cut", [1, 9, len(BGZF_END), 60])
def test_a_compressed_vcf_that_is_cut_short_is_refused(tmp_path, genome, pack, cut):
    lines = [f"chr1|{pos}|.|N|A" for pos in range(1, 4)] * 200
    path = tmp_path / "in.vcf.gz"
    path.write_bytes(pack(vcf_text(*lines).encode())[:-cut])
    with pytest.raises(GeneqError, match="cut short or damaged"):
        read_vcf(path, genome)


def test_a_missing_file_and_a_folder_are_refused(tmp_path, genome):
    with pytest.raises(GeneqError, match="File not found"):
        read_vcf(tmp_path / "none.vcf", genome)
    with pytest.raises(GeneqError, match="cannot be read"):
        read_vcf(tmp_path, genome)


ALTS = st.lists(
    st.one_of(
        st.text("ACGTacgtN", min_size=1, max_size=4),
        st.sampled_from([".", "*", "<DEL>", "G[chr1:5[", ".A", "T."]),
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def vcf_lines(draw) -> str:
    """A line whose REF is mostly the genome's."""
    chrom = draw(st.sampled_from(["chr1", "chr1", "chr2", "X", "chrUn"]))
    contig = CONTIGS.get(chrom, "ACGT")
    start = draw(st.integers(-1, min(len(contig), 30) + 2))
    ref = contig[max(start, 0) : start + draw(st.integers(1, 20))].replace("R", "N") or "A"
    ref = draw(st.sampled_from([ref] * 9 + ["ACG"]))
    return f"{chrom}|{start + 1}|id|{ref}|{','.join(draw(ALTS))}"


@settings(deadline=None, derandomize=True)
@given(st.lists(vcf_lines(), max_size=12), st.integers(20, 200))
def test_the_reader_agrees_with_its_twin(tmp_path_factory, genome, lines, chunk):
    path = written(tmp_path_factory.mktemp("vcf"), *lines)
    wanted, skipped = twin.read(path.read_text(), CONTIGS)
    wrong = skipped.get("beyond_contig", 0) + skipped.get("reference_differs", 0)
    known = len(wanted) + wrong + skipped.get("duplicated", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vcf, "CHUNK", chunk)
        if wrong > known / 2 or (not known and "contig_absent" in skipped):
            with pytest.raises(GeneqError):
                read_vcf(path, genome)
            return
        found = read_vcf(path, genome)
    assert rows(found) == wanted
    assert counts(found) == skipped
    alleles = sum(line.split("|")[4].count(",") + 1 for line in lines)
    assert len(found.table) + sum(counts(found).values()) == alleles


SYMBOLS = st.text("AC", min_size=1, max_size=6)


@given(st.lists(st.tuples(SYMBOLS, SYMBOLS).filter(lambda pair: pair[0] != pair[1]), max_size=20))
def test_trimming_is_that_of_the_twin(pairs):
    table = pd.DataFrame(pairs, columns=["ref", "alt"], dtype=object)
    table.insert(0, "start", np.arange(len(pairs)) * 10)
    wanted = [twin.trimmed(*row) for row in table.itertuples(index=False)]
    assert list(trimmed(table).itertuples(index=False, name=None)) == wanted


def test_the_extension_numbers_lines_from_where_it_is_told():
    line, pos, kind, *text = _ext.vcf_alleles(b"1\t7\tx\ta\tC,<A>\n#\n2\t8\ty\tG\t*\n", 5)
    assert (line.tolist(), pos.tolist(), kind.tolist()) == ([5, 5, 7], [7, 7, 8], [0, 3, 2])
    assert text == [b"1\n1\n2\n", b"x\nx\ny\n", b"A\nA\nG\n", b"C\n<A>\n*\n"]

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
from geneq.vcf import COLUMNS, KEY, keyed, normalised, read_vcf
from test_genome import bgzip, fasta
from twins import variants as twin

RNG = np.random.default_rng(11)
CONTIGS = {
    "chr1": "NNNacgtRACGTTTGA" + "".join(RNG.choice(list("ACGTacgt"), 800)) + "NN",
    "chr2": "GATTACA",
    "chrM": "ACGT",
    "X": "TTTT",
}
ODDITIES = Path(__file__).parents[2] / "shared" / "data" / "oddities"
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


def test_what_is_skipped_is_counted_by_reason_with_examples(tmp_path, genome):
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


def test_odd_alleles_are_counted_and_the_rest_of_the_file_is_read(tmp_path, genome):
    """IUPAC codes and malformed alleles skip that allele alone, also on contigs of other builds."""
    odd = ["chr2|1|.|G|r,A,*ACG", "chr2|2|.|M|A,<DEL>", "chrUn_decoy|3040|.|M|A"]
    odd += ["chr2|3|.|T|C-,,<>,<DEL", "chr2|3|.|.|C", "chrUn|1|.||A", "chr2|7|.|A|[,]x"]
    variants = read_vcf(written(tmp_path, *odd, *GOOD, "chr1|5|.|C|A,G"), genome)
    assert [row[5] for row in rows(variants)] == ["A", "GC", "A", "ATTT", "N", "A", "G"]
    assert counts(variants) == {
        "iupac_code": 4,
        "malformed_allele": 7,
        "breakend": 2,
        "duplicated": 1,
    }
    assert variants.skipped["iupac_code"]["examples"] == [
        "line 3: chr2:1 G>r",
        "line 4: chr2:2 M>A",
        "line 4: chr2:2 M><DEL>",
        "line 5: chrUn_decoy:3040 M>A",
    ]
    assert variants.skipped["malformed_allele"]["examples"][:2] == [
        "line 3: chr2:1 G>*ACG",
        "line 6: chr2:3 T>C-",
    ]


@pytest.mark.skipif(not ODDITIES.exists(), reason="the shared data are not here")
@pytest.mark.parametrize("name", ["iupac_ref.vcf", "iupac_far.vcf"])
def test_the_odd_files_are_read_but_for_one_line(tmp_path, name):
    index_fasta(ODDITIES / "_base" / "genome.fa", tmp_path)
    variants = read_vcf(ODDITIES / "vcf" / name, Genome(tmp_path))
    assert len(variants.table) == 4
    assert counts(variants) == {"iupac_code": 1}


def test_telomeres_are_skipped(tmp_path, genome):
    """POS 0 and after the last base, as bases and as in the example of the standard."""
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
        (
            HEADER + "chr2\t1\tG\trs1\tA\n",
            "in most rows they are not: '1 of 1; the first is line 3",
        ),
        (
            HEADER + "chr2\t1\t.\t\tA\n",
            "REF and ALT must be bases .*: '1 of 1; the first is .* ->A'",
        ),
        (HEADER + "chr2\t1\t.\tG\tA,-,U\n", "must be bases .*: '2 of 3; .* line 3: chr2:1 G>-'"),
        (HEADER + "chr2\t1\t.\tG\tA", "line 3 has no end and fewer fields than the header"),
        (
            HEADER + "5\t1\t.\tG\tA\n",
            "No chromosome of the VCF is in the genome: 'VCF has 5; genome has chr1, chr2,",
        ),
    ],
)
@pytest.mark.parametrize("chunk", [7, 1 << 22])
def test_what_is_not_a_vcf_is_refused(tmp_path, genome, monkeypatch, content, message, chunk):
    monkeypatch.setattr(vcf, "CHUNK", chunk)
    path = tmp_path / "in.vcf"
    path.write_text(content)
    with pytest.raises(GeneqError, match=message) as error:
        read_vcf(path, genome)
    assert error.value.file == path
    assert error.value.fix


def test_a_vcf_of_another_build_is_refused(tmp_path, genome):
    lines = ["chr2|1|.|G|A", "chr2|2|.|C|A", "chr2|2|.|C|G", "chr2|100|.|G|A", "chr9|1|.|A|C"]
    message = (
        "3 of 4 variants do not fit the genome: the VCF seems to be of another build: '1 are "
        "beyond the end of their contig, 2 have another REF; the first is line 4: chr2:2 C>A'"
    )
    with pytest.raises(GeneqError, match=re.escape(message)):
        read_vcf(written(tmp_path, *lines), genome)


def test_half_of_the_variants_may_differ(tmp_path, genome):
    variants = read_vcf(written(tmp_path, "chr2|1|.|G|A", "chr2|2|.|C|A"), genome)
    assert len(variants.table) == 1


@pytest.mark.parametrize("pack", [gzip.compress, bgzip], ids=["gzip", "bgzip"])
@pytest.mark.parametrize("cut", [1, 9, len(BGZF_END), 60])
def test_a_truncated_compressed_vcf_is_refused(tmp_path, genome, pack, cut):
    lines = [f"chr1|{pos}|.|N|A" for pos in range(1, 4)] * 200
    path = tmp_path / "in.vcf.gz"
    path.write_bytes(pack(vcf_text(*lines).encode())[:-cut])
    with pytest.raises(GeneqError, match="truncated or damaged"):
        read_vcf(path, genome)


def test_a_byte_order_mark_is_passed_over(tmp_path, genome):
    path = tmp_path / "in.vcf"
    path.write_bytes(b"\xef\xbb\xbf" + vcf_text("chr2|1|.|G|A").encode())
    assert read_vcf(path, genome).table["pos"].tolist() == [1]


def test_a_missing_file_and_a_folder_are_refused(tmp_path, genome):
    with pytest.raises(GeneqError, match="File not found"):
        read_vcf(tmp_path / "none.vcf", genome)
    with pytest.raises(GeneqError, match="cannot be read"):
        read_vcf(tmp_path, genome)


ALTS = st.lists(
    st.one_of(
        st.text("ACGTacgtN", min_size=1, max_size=4),
        st.sampled_from([".", "*", "<DEL>", "G[chr1:5[", ".A", "T.", "R", "nY", "*A", "<>", ""]),
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
    ref = draw(st.sampled_from([ref] * 9 + ["ACG", "M", "."]))
    return f"{chrom}|{start + 1}|id|{ref}|{','.join(draw(ALTS))}"


@settings(deadline=None, derandomize=True)
@given(st.lists(vcf_lines(), max_size=12), st.integers(20, 200))
def test_the_reader_agrees_with_its_reference_implementation(
    tmp_path_factory, genome, lines, chunk
):
    path = written(tmp_path_factory.mktemp("vcf"), *lines)
    wanted, skipped = twin.read(path.read_text(), CONTIGS)
    wrong = skipped.get("beyond_contig", 0) + skipped.get("reference_differs", 0)
    known = len(wanted) + wrong + skipped.get("duplicated", 0)
    alleles = sum(line.split("|")[4].count(",") + 1 for line in lines)
    refused = wrong > known / 2 or (not known and "contig_absent" in skipped)
    refused |= skipped.get("malformed_allele", 0) > alleles / 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vcf, "CHUNK", chunk)
        if refused:
            with pytest.raises(GeneqError):
                read_vcf(path, genome)
            return
        found = read_vcf(path, genome)
    assert rows(found) == wanted
    assert counts(found) == skipped
    assert len(found.table) + sum(counts(found).values()) == alleles


# --- normal form ----------------------------------------------------------------------------------

REPEATS = {
    "run": "CAAAAAAG",
    "pairs": "GATATATATC",
    "unknown": "AANAAACACACNCACG",
    "all": "T" * 9,
    # Longer than what is compared in the first steps.
    "long": "G" + "A" * 200 + "C" + "AC" * 150 + "T",
}


@pytest.fixture(scope="module")
def repeats(tmp_path_factory) -> Genome:
    return indexed(tmp_path_factory.mktemp("repeats"), REPEATS)


def edit_table(*edits: tuple[str, int, str, str]) -> pd.DataFrame:
    return pd.DataFrame(edits, columns=["chrom", "start", "ref", "alt"])


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        # 186 TT>T of a VCF, 187 T>- of a table: here A at 1-6 of "run".
        (("run", 3, "AA", "A"), (1, "A", "")),
        (("run", 4, "A", ""), (1, "A", "")),
        (("run", 6, "AG", "G"), (1, "A", "")),
        (("run", 0, "CA", "C"), (1, "A", "")),
        (("run", 4, "", "AA"), (1, "", "AA")),
        (("run", 6, "A", "AAA"), (1, "", "AA")),
        (("run", 7, "", "A"), (1, "", "A")),
        (("run", 7, "G", "AG"), (1, "", "A")),
        (("run", 8, "", "G"), (7, "", "G")),
        (("run", 6, "A", "C"), (6, "A", "C")),
        (("run", 5, "AA", "AC"), (6, "A", "C")),
        (("run", 4, "AAG", "CG"), (4, "AA", "C")),
        (("pairs", 7, "AT", ""), (1, "AT", "")),
        (("pairs", 8, "T", ""), (8, "T", "")),
        (("pairs", 6, "TATC", "TC"), (1, "AT", "")),
        (("pairs", 9, "", "AT"), (1, "", "AT")),
        (("pairs", 9, "", "TAT"), (6, "", "TAT")),
        (("unknown", 5, "A", ""), (3, "A", "")),
        (("unknown", 13, "AC", ""), (12, "CA", "")),
        (("unknown", 2, "N", ""), (2, "N", "")),
        (("all", 8, "T", ""), (0, "T", "")),
        (("all", 4, "", "TTT"), (0, "", "TTT")),
        (("all", 0, "T" * 9, "T"), (0, "T" * 8, "")),
        (("long", 200, "A", ""), (1, "A", "")),
        (("long", 502, "", "AC"), (200, "", "AC")),
        (("long", 300, "AC" * 60, ""), (200, "AC" * 60, "")),
    ],
)
def test_variants_are_aligned_to_the_left_of_their_repeat(repeats, edit, wanted):
    found = normalised(edit_table(edit), repeats)
    assert tuple(found.iloc[0]) == wanted
    assert twin.normal(REPEATS[edit[0]], *edit[1:]) == wanted


@st.composite
def edits(draw) -> tuple[str, int, str, str]:
    """Any edit of a short contig: REF is the genome's, ALT differs."""
    chrom = draw(st.sampled_from(["run", "pairs", "all"]))
    contig = REPEATS[chrom]
    start = draw(st.integers(0, len(contig)))
    ref = contig[start : start + draw(st.integers(0, 5))]
    alt = draw(st.text("ACGT", max_size=5).filter(lambda alt: alt != ref))
    return chrom, start, ref, alt


def spellings(edit: tuple[str, int, str, str]) -> list[tuple[str, int, str, str]]:
    """Every edit of the contig that makes the same sequence."""
    chrom, start, ref, alt = edit
    contig, found = REPEATS[chrom], []
    edited = contig[:start] + alt + contig[start + len(ref) :]
    for first in range(len(contig) + 1):
        for end in range(first, len(contig) + 1):
            tail = len(contig) - end
            new = edited[first : len(edited) - tail]
            fits = first + tail <= len(edited)
            if fits and contig[:first] + new + contig[end:] == edited:
                found.append((chrom, first, contig[first:end], new))
    return found


@settings(max_examples=300)
@given(st.data())
def test_two_spellings_of_an_edit_have_one_normal_form(repeats, data):
    """Both make the same sequence, the normal form too; other edits have another."""
    one, another = data.draw(edits()), data.draw(edits())
    table = edit_table(one, data.draw(st.sampled_from(spellings(one))), another)
    first, second, third = normalised(table, repeats).itertuples(index=False, name=None)
    assert first == second == twin.normal(REPEATS[one[0]], *one[1:])
    sequences = []
    for chrom, start, ref, alt in [one, (one[0], *first), another]:
        contig = REPEATS[chrom]
        assert contig[start : start + len(ref)] == ref
        sequences.append((chrom, contig[:start] + alt + contig[start + len(ref) :]))
    assert sequences[0] == sequences[1]
    assert (sequences[0] == sequences[2]) == ((one[0], *first) == (another[0], *third))


def test_normal_forms_of_many_variants_are_those_of_each(repeats):
    rng = np.random.default_rng(4)
    table = []
    for chrom in rng.choice(list(REPEATS), 400).tolist():
        start = int(rng.integers(0, len(REPEATS[chrom])))
        ref = REPEATS[chrom][start : start + int(rng.integers(0, 4))]
        alt = "".join(rng.choice(list("AC"), int(rng.integers(0, 4))))
        if ref != alt:
            table.append((chrom, start, ref, alt))
    frame = edit_table(*table).set_index(np.arange(len(table))[::-1])
    wanted = [(edit[0], *twin.normal(REPEATS[edit[0]], *edit[1:])) for edit in table]
    found = keyed(frame, repeats)
    assert list(found[KEY].itertuples(index=False, name=None)) == wanted
    assert found.index.equals(frame.index)
    assert normalised(frame.iloc[:0], repeats).empty


def test_rows_of_one_edit_are_duplicates(tmp_path, repeats):
    lines = ["run|4|a|AA|A", "run|1|b|CA|C", "run|7|c|AG|G", "run|1|d|CAA|C", "run|4|e|A|AA"]
    variants = read_vcf(written(tmp_path, *lines), repeats)
    assert [row[3] for row in rows(variants)] == ["a", "d", "e"]
    assert variants.skipped == {
        "duplicated": {"n": 2, "examples": ["line 4: run:1 CA>C", "line 5: run:7 AG>G"]}
    }


def test_the_extension_numbers_lines_from_the_given_one():
    line, pos, kind, *text = _ext.vcf_alleles(b"1\t7\tx\ta\tC,<A>\n#\n2\t8\ty\tG\t*\n", 5)
    assert (line.tolist(), pos.tolist(), kind.tolist()) == ([5, 5, 7], [7, 7, 8], [0, 3, 2])
    assert text == [b"1\n1\n2\n", b"x\nx\ny\n", b"A\nA\nG\n", b"C\n<A>\n*\n"]

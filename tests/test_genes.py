"""`geneq genes`: from FASTA and GTF, or promoters, to the indexed genome and the gene table."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneq import binning, cli, folds
from geneq.artifacts import GENE_FEATURES, GENES
from geneq.errors import GeneqError
from geneq.genome import Genome
from geneq.similarity import REPEAT, similar_pairs
from geneq.stages.genes import transcripts
from geneq.stages.genes.annotation import attributes
from geneq.stages.genes.transcripts import Exons
from geneq.tally import Tally

SHARED = Path(__file__).parents[2] / "shared" / "data"
ODDITIES = SHARED / "oddities"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="the real data are not here")
needs_oddities = pytest.mark.skipif(not ODDITIES.exists(), reason="the odd files are not here")

RNG = np.random.default_rng(7)
BASES = {f"chr{n}": "".join(RNG.choice(list("ACGT"), 20_000)) for n in (*range(1, 13), "M")}
BASES["chr1"] = BASES["chr1"][:15_000] + "N" * 5_000


def write_fasta(path: Path, contigs: dict[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    return path


def line(gene: str, chrom: str, start, end, strand="+", feature="gene", more="") -> str:
    text = f'gene_id "{gene}"; gene_name "N{gene}"; {more}' if gene else 'note "none";'
    return row(chrom, start, end, text, strand, feature)


def row(chrom: str, start, end, text: str, strand="+", feature="gene") -> str:
    return f"{chrom}\ttest\t{feature}\t{start}\t{end}\t.\t{strand}\t.\t{text}\n"


def transcript(gene: str, start: int, end: int, strand="+", more="", chrom="chr1") -> str:
    return line(gene, chrom, start, end, strand, "transcript", more)


# Two genes a chromosome, at 5,001 ("+") and 9,000 ("-"), both 1-based.
GENES_EVERYWHERE = "".join(
    line(f"{chrom}a", chrom, 5001, 6000) + line(f"{chrom}b", chrom, 8001, 9000, "-")
    for chrom in BASES
)


class Run:
    """`geneq genes` in a temporary folder."""

    def __init__(self, folder: Path, capsys):
        self.folder, self.out, self.capsys = folder, folder / "out", capsys
        self.fasta = write_fasta(folder / "genome.fa", BASES)
        self.gtf = folder / "genes.gtf"

    def __call__(self, *options: str) -> int:
        argv = ["genes", "--genome", "g", "--out", str(self.out), "--threads", "1", *options]
        return cli.main(argv)

    def annotated(self, gtf: str, *options: str) -> pd.DataFrame:
        """The gene table of the GTF text `gtf`, by gene id."""
        self.gtf.write_text(gtf)
        assert self("--fasta", str(self.fasta), "--gtf", str(self.gtf), *options) == 0
        return self.table()

    def promoted(self, fasta: str, *options: str) -> pd.DataFrame:
        path = self.folder / "promoters.fa"
        path.write_text(fasta)
        assert self("--promoters", str(path), *options) == 0
        return self.table()

    def printed(self) -> str:
        return self.capsys.readouterr().out

    def table(self) -> pd.DataFrame:
        return GENES.read(self.out / "genes.parquet").set_index("gene_id")

    def features(self) -> pd.DataFrame:
        return GENE_FEATURES.read(self.out / "gene_features.parquet").set_index("gene_id")

    def about(self) -> dict:
        return json.loads((self.out / "genes.json").read_text())

    def dropped(self) -> dict[str, list[str]]:
        found = self.about()["dropped"]
        assert all(len(entry["examples"]) == min(entry["n"], 5) for entry in found.values())
        return {reason: entry["examples"] for reason, entry in found.items()}

    def refused(self, *options: str) -> str:
        """The message of a run that must fail and leave nothing behind."""
        assert self(*options) == 1
        assert not self.out.exists()
        return self.capsys.readouterr().err

    def refused_gtf(self, gtf: str | bytes, *options: str) -> str:
        self.gtf.write_bytes(gtf if isinstance(gtf, bytes) else gtf.encode())
        return self.refused("--fasta", str(self.fasta), "--gtf", str(self.gtf), *options)


@pytest.fixture
def run(tmp_path, capsys):
    return Run(tmp_path, capsys)


# --- annotation -------------------------------------------------------------------------------


def test_gene_rows_alone_give_the_gene_table(run):
    genes = run.annotated("#!genome-build test\n\n" + GENES_EVERYWHERE)
    assert len(genes) == 26
    assert genes.loc["chr1a", ["gene_name", "chrom", "tss", "strand"]].tolist() == [
        "Nchr1a",
        "chr1",
        5000,
        "+",
    ]
    assert genes.loc["chr1b", ["tss", "strand"]].tolist() == [8999, "-"]
    assert set(genes[genes["split"] == "test"]["chrom"]) == {"chr8", "chr9"}
    assert set(genes[genes["split"] == "valid"]["chrom"]) == {"chr10"}
    assert (genes.groupby("chrom")["fold"].nunique() == 1).all()
    about = run.about()
    assert about["n_genes"] == 26
    assert about["mode"] == "annotation"
    assert about["dropped"] == {}
    assert about["contigs"] == dict.fromkeys(BASES, 20000)
    assert about["tss_by"] == {"gene": 26}
    assert about["digest"] == Genome(run.out).digest
    expected = {"genome.fa", "genome.fa.fai", "genes.parquet", "genes.json"}
    assert {path.name for path in run.out.iterdir()} == expected


def test_the_tss_is_that_of_the_tagged_else_best_supported_most_5_prime_transcript(run):
    level = 'transcript_support_level "{}";'.format
    gtf = GENES_EVERYWHERE + "".join(
        [
            line("mane", "chr1", 3001, 4000),
            transcript("mane", 3001, 4000, more='tag "basic"; tag "Ensembl_canonical";'),
            transcript("mane", 3101, 4000, more='tag "basic"; tag "MANE_Select";'),
            line("canonical", "chr1", 3001, 4000),
            transcript("canonical", 3001, 4000, more=level(1)),
            transcript("canonical", 3201, 4000, more='tag "Ensembl_canonical";'),
            line("support", "chr1", 3001, 4000, "-"),
            transcript("support", 3001, 4000, "-", level("NA")),
            transcript("support", 3001, 3900, "-", level("2 (assigned to previous version 5)")),
            transcript("support", 3001, 3950, "-", level(2)),
            transcript("support", 3001, 3990, "-", level(3)),
            transcript("no_gene_row", 3301, 4000),
            transcript("no_gene_row", 3251, 4000),
        ]
    )
    genes = run.annotated(gtf)
    names = ["mane", "canonical", "support", "no_gene_row"]
    assert genes.loc[names, "tss"].tolist() == [3100, 3200, 3949, 3250]
    chosen = {"gene": 26, "MANE_Select": 1, "Ensembl_canonical": 1, "support": 2}
    assert run.about()["tss_by"] == chosen


def exon(name: str, start, end, strand="+", feature="exon", chrom="chr1") -> str:
    return row(chrom, start, end, f'gene_id "x"; transcript_id "{name}";', strand, feature)


def named(gene: str, name: str, start: int, end: int, strand="+", more="", chrom="chr1") -> str:
    return transcript(gene, start, end, strand, f'transcript_id "{name}"; {more}', chrom)


def test_lengths_and_exons_are_those_of_the_transcript_with_the_tss_and_the_longest_cds(run):
    """Rows in any order; of several transcripts with the chosen TSS the longest CDS decides."""
    gtf = GENES_EVERYWHERE + "".join(
        [
            exon("t1", 3201, 3300),
            named("plus", "t1", 3001, 3300, more='tag "Ensembl_canonical";'),
            named("plus", "longest", 3001, 5000),
            named("plus", "t2", 3001, 3300, more='tag "Ensembl_canonical";'),
            named("plus", "far", 3051, 4000, more='tag "Ensembl_canonical";'),
            exon("longest", 3001, 5000) + exon("longest", 3001, 4900, feature="CDS"),
            exon("far", 3051, 4000) + exon("far", 3051, 4000, feature="CDS"),
            exon("t1", 3001, 3100) + exon("t1", 3051, 3100, feature="CDS"),
            exon("t1", 3201, 3220, feature="CDS") + exon("t1", 3221, 3223, feature="stop_codon"),
            exon("t2", 3001, 3300) + exon("t2", 3001, 3010, feature="CDS"),
            named("minus", "m", 3001, 3400, "-") + exon("m", 3001, 3100, "-"),
            exon("m", 3201, 3300, "-") + exon("m", 3391, 3400, "-"),
            exon("m", 3091, 3100, "-", "CDS") + exon("m", 3201, 3280, "-", "CDS"),
            named("silent", "n", 3001, 3400) + exon("n", 3001, 3400),
            # The same transcript id on another contig is another transcript.
            exon("m", 1, 9000, "-", chrom="chr2"),
            named("bare", "without exons", 3001, 3400),
        ]
    )
    run.annotated(gtf)
    found = run.features()
    nt = 10 ** found.filter(like="log10") - 1
    lengths = ["transcript", "utr5", "cds", "utr3"]
    columns = [f"log10_{name}_length" for name in lengths]
    expected = {
        "plus": [200, 50, 73, 77], "minus": [210, 30, 90, 90], "silent": [400, 0, 0, 0],
    }  # fmt: skip
    for gene, wanted in expected.items():
        np.testing.assert_allclose(nt.loc[gene, columns], wanted, atol=1e-6)
    assert found.loc[[*expected], "exon_count"].tolist() == [2, 3, 1]
    per_kb = found.loc[[*expected], "exon_junctions_per_kb"]
    np.testing.assert_allclose(per_kb, [1 / 0.2, 2 / 0.21, 0])
    assert found.drop([*expected]).isna().all(axis=None)
    assert found.index.tolist() == run.table().index.tolist()
    assert run.about()["gene_features"] == [*found]


INTERVALS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 20)), min_size=1, max_size=5)


@given(INTERVALS, INTERVALS | st.just([]), st.sampled_from("+-"))
def test_lengths_are_those_counted_base_by_base(exons, coding, strand):
    """Exons may be in any order; they do not overlap in a GTF, and so not here."""
    places: set[int] = set()
    kept = []
    for start, length in exons:
        bases = {*range(start, start + length + 1)}
        if not bases & places:
            kept.append((start, start + length))
            places |= bases
    made = Exons()
    rows = [("exon", span) for span in kept]
    rows += [("CDS", (start, start + length)) for start, length in coding]
    for feature, (start, end) in rows:
        made.add(exon("t", start, end, strand, feature).encode(), 1, Tally())
    cds = [place for start, length in coding for place in (start, start + length)]
    left = sum(bool(cds) and place < min(cds) for place in places)
    right = sum(bool(cds) and place > max(cds) for place in places)
    inside = len(places) - left - right if cds else 0
    genes = pd.DataFrame({"gene_id": ["g"], "strand": [strand], "transcripts": [[b"chr1\tt"]]})
    found = transcripts.features(genes, made).loc["g"]
    utrs = [left, right] if strand == "+" else [right, left]
    sizes = [len(places), utrs[0], inside, utrs[1]]
    np.testing.assert_allclose(10 ** found.to_numpy()[:4] - 1, sizes, atol=1e-9)
    assert found["exon_count"] == len(kept)
    assert found["exon_junctions_per_kb"] == pytest.approx(1000 * (len(kept) - 1) / len(places))


@pytest.mark.parametrize(
    "more",
    [
        "",
        line("g", "chr1", 3001, 4000, feature="exon", more='transcript_id "t";'),
        named("g", "t", 3001, 4000),
        named("g", "t", 3001, 4000) + exon("other", 3001, 4000),
    ],
    ids=["genes", "exons alone", "transcripts alone", "other exons"],
)
def test_a_gtf_without_transcripts_and_exons_has_no_gene_features(run, more):
    run.annotated(GENES_EVERYWHERE + more)
    assert run.about()["gene_features"] == []
    assert not (run.out / "gene_features.parquet").exists()


@pytest.mark.parametrize(
    "text",
    [
        'transcript_id "t"; gene_id "g";',
        'gene_id "g";transcript_id "t";',
        "gene_id 'g'; transcript_id 't'",
        "gene_id g; transcript_id t;",
        'gene_id "g"; orig_transcript_id "o"; transcript_id "t";',
    ],
)
def test_transcripts_of_exons_are_found_in_every_style(run, text):
    gtf = GENES_EVERYWHERE + named("g", "t", 3001, 4000)
    run.annotated(gtf + row("chr1", 3001, 4000, text, feature="exon"))
    assert run.features().loc["g", "exon_count"] == 1


def test_exons_without_coordinates_are_counted(run):
    bad = exon("t", "x", 4000) + exon("t", 50, 20) + exon("t", 1, "9" * 5000)
    run.annotated(GENES_EVERYWHERE + named("g", "t", 3001, 4000) + exon("t", 3001, 4000) + bad)
    assert run.dropped()["bad_exon"] == ["line 29", "line 30", "line 31"]
    assert run.features().loc["g", "exon_count"] == 1


def test_the_window_is_the_union_of_several_lists_of_bins(run):
    """A gene whose window of 900 nt fits is dropped for that of another list."""
    gtf = GENES_EVERYWHERE + line("edge", "chr2", 101, 500)
    assert "edge" in run.annotated(gtf, "--bin_edges=-50,500/0,900").index
    assert run.about()["bin_edges"] == [[-50, 500], [0, 900]]
    assert "edge" not in run.annotated(gtf, "--bin_edges=-50,500/-2000,0").index
    assert run.dropped()["mostly_n"] == ["edge"]


def test_what_cannot_be_used_is_counted_by_reason_with_examples(run):
    gtf = GENES_EVERYWHERE + "".join(
        [
            line("ENSG00000000001.12", "chr2", 3001, 4000),
            line("ENSG00000000001.12_PAR_Y", "chr3", 3001, 4000),
            line("chr4a", "chr4", 5001, 6000),
            line("far", "chr5", 20_001, 21_000),
            line("unknown", "scaffold9", 5, 900),
            line("empty", "chr1", 17_001, 18_000),
            line("edge", "chr2", 1, 500),
            line("turned", "chr2", 900, 500),
            line("word", "chr2", "x", 500),
            line("enormous", "chr2", 500, "9" * 5000),
            line("strandless", "chr2", 500, 900, "."),
            line("", "chr2", 500, 900),
            "chr2\ttest\tgene\t500\t900\t.\t+\t.\t\n",
        ]
    )
    genes = run.annotated(gtf, "--bin_edges=-1000,-200,900")
    assert run.dropped() == {
        "duplicated_id": ["chr4a", "ENSG00000000001"],
        "beyond_contig": ["far"],
        "contig_absent": ["unknown"],
        "mostly_n": ["empty", "edge"],
        "bad_coordinates": ["turned (line 34)", "word (line 35)", "enormous (line 36)"],
        "no_strand": ["strandless (line 37)"],
        "no_gene_id": ["line 38", "line 39"],
    }
    assert genes.loc["ENSG00000000001", "chrom"] == "chr2"
    assert len(genes) == 27
    assert run.about()["bin_edges"] == [[-1000, -200, 900]]


def test_chromosome_names_that_differ_in_chr_are_matched_and_reported(run):
    genes = run.annotated(re.sub("^chr(M)?", r"\1", GENES_EVERYWHERE, flags=re.M))
    assert set(genes["chrom"]) == set(BASES)
    assert run.about()["notes"] == [
        "26 genes are on chromosomes that the GTF and the FASTA name differently (1 and chr1): "
        "matched"
    ]


def test_mt_is_chrm_and_a_compressed_gtf_is_read(run):
    run.gtf.write_bytes(gzip.compress(GENES_EVERYWHERE.replace("chrM\t", "MT\t").encode()))
    assert run("--fasta", str(run.fasta), "--gtf", str(run.gtf)) == 0
    assert run.table().loc["chrMa", "chrom"] == "chrM"


def test_a_byte_order_mark_is_ignored(run):
    run.gtf.write_bytes(b"\xef\xbb\xbf" + GENES_EVERYWHERE.encode())
    assert run("--fasta", str(run.fasta), "--gtf", str(run.gtf)) == 0
    assert len(run.table()) == 26


def test_windows_are_cut_in_batches(run, monkeypatch):
    whole = run.annotated(GENES_EVERYWHERE)
    monkeypatch.setattr("geneq.stages.genes.annotation.BATCH", 5000)
    pd.testing.assert_frame_equal(run.annotated(GENES_EVERYWHERE), whole)


def test_a_negative_seed_is_refused(run):
    assert "--seed must be between 0 and" in run.refused_gtf(GENES_EVERYWHERE, "--seed", "-1")


def test_running_twice_gives_the_same(run):
    first = run.annotated(GENES_EVERYWHERE)
    pd.testing.assert_frame_equal(run.annotated(GENES_EVERYWHERE), first)


def test_a_failed_run_leaves_an_earlier_result_alone(run):
    genes = run.annotated(GENES_EVERYWHERE)
    assert run("--fasta", str(run.fasta), "--gtf", str(run.folder / "none.gtf")) == 1
    assert "File not found" in run.capsys.readouterr().err
    pd.testing.assert_frame_equal(run.table(), genes)
    assert not [path for path in run.out.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("gtf", "message"),
    [
        ("", "no usable gene or transcript rows"),
        ("#only a comment\n", "no usable gene or transcript rows"),
        (line("", "chr1", 5, 9), "no usable gene or transcript rows"),
        (
            line("a", "chr1", 5, 9, feature="exon") + line("a", "chr1", 5, 9, feature="CDS"),
            "The GTF has only exon, CDS rows; a TSS is read from gene or transcript rows (in",
        ),
        (GENES_EVERYWHERE + "chr1\ttest\tgen", "Line 27 of the GTF is truncated"),
        (GENES_EVERYWHERE + line("cut", "chr1", 5, 9)[:-18], "Line 27 of the GTF is truncated"),
        (GENES_EVERYWHERE + line("cut", "chr1", 5, 9)[:-5], "Line 27 of the GTF is truncated"),
        (">chr1\nACGT\n", "Line 1 of the GTF is truncated or not a GTF line: '>chr1'"),
        (
            row("chr1", 5, 9, 'gene_id "A.1" gene_name "B"; note "x";'),
            'Line 1 of the GTF has no \';\' after gene_id: \'gene_id "A.1" gene_name "B"; note',
        ),
        (row("chr1", 5, 9, "gene_id 'A' gene_name 'B';"), "Line 1 of the GTF has no ';' after gen"),
        (row("chr1", 5, 9, "gene_id A gene_name B;"), "Line 1 of the GTF has no ';' after gene_id"),
        (
            GENES_EVERYWHERE + row("chr1", 5, 9, 'gene_id "A"; gene_name "B" note "x";'),
            "Line 27 of the GTF has no ';' after gene_name",
        ),
        ("chr1\ttest\tgene\t5\t9\t.\t+\t.\tID=gene:a;Name=b\n", "attributes of GFF3"),
        (b"\xff\xfe" + GENES_EVERYWHERE.encode(), "Line 1 is not text"),
        (gzip.compress(GENES_EVERYWHERE.encode() * 99)[:-9], "compressed GTF is truncated"),
        (GENES_EVERYWHERE.replace("chr", "NC_"), "No chromosome of the GTF is in the FASTA"),
    ],
)
def test_what_is_not_a_complete_gtf_is_refused(run, gtf, message):
    error = run.refused_gtf(gtf)
    assert message in error
    assert str(run.gtf) in error


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        (
            "".join(line(f"far{i}", "chr2", 30_001 + i, 40_000) for i in range(27)),
            "27 of 53 genes have no sequence: the FASTA and the GTF seem to be of different "
            "genome builds: '27 are past the end of their contig, 0 on N'",
        ),
        (
            "".join(line(f"n{i}", "chr1", 17_001 + i, 18_000) for i in range(30)),
            "'0 are past the end of their contig, 30 on N'",
        ),
    ],
)
def test_files_of_different_builds_are_refused_naming_both(run, genes, message):
    error = run.refused_gtf(GENES_EVERYWHERE + genes)
    assert message in error
    assert f"{run.fasta} and {run.gtf}" in error


def test_a_bad_fasta_leaves_nothing_behind(run):
    run.fasta.write_text(">chr1\nMKVL\n")
    assert "Not a nucleotide FASTA" in run.refused_gtf(GENES_EVERYWHERE)


@pytest.mark.parametrize("given", [[], ["--fasta", "a"], ["--promoters", "a", "--gtf", "b"]])
def test_input_is_fasta_and_gtf_or_promoters(run, given):
    assert "by --fasta and --gtf, or by --promoters alone" in run.refused(*given)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][\w.]*", fullmatch=True),
        st.lists(
            st.from_regex(r'[^"\\\r\n\t]*', fullmatch=True)
            | st.from_regex(r"[1-9][0-9]*", fullmatch=True),
            min_size=1,
            max_size=3,
        ),
        max_size=6,
    ),
    st.sampled_from(["; ", ";", " ; "]),
    st.booleans(),
)
def test_gtf_attributes_come_back_as_they_were_written(wanted, between, closed):
    pairs = [(key, value) for key, values in wanted.items() for value in values]
    parts = [f"{k} {v}" if re.fullmatch("[1-9]+", v) else f'{k} "{v}"' for k, v in pairs]
    assert attributes(between.join(parts) + (between if closed and parts else "")) == wanted


@given(st.text(max_size=100))
def test_any_text_can_be_looked_through_for_attributes(text):
    assert all(values for values in attributes(text).values())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            ' gene_id "A;1"; tag "x"; level 2; tag "y\\"z";note "";',
            {"gene_id": ["A;1"], "tag": ["x", 'y\\"z'], "level": ["2"], "note": [""]},
        ),
        ('gene_id "A"; gene_name "5"-CD4";', {"gene_id": ["A"], "gene_name": ['5"-CD4']}),
        ('gene_id "A"; gene_name "a "b" c"', {"gene_id": ["A"], "gene_name": ['a "b" c']}),
        ("gene_id 'A'; gene_name '5'-CD4';", {"gene_id": ["A"], "gene_name": ["5'-CD4"]}),
        ("gene_id 'A \"b\"';level 1", {"gene_id": ['A "b"'], "level": ["1"]}),
        ('gene_id"A";gene_name"B"', {"gene_id": ["A"], "gene_name": ["B"]}),
        ("gene_id A.1; gene_name 5'-CD4;", {"gene_id": ["A.1"], "gene_name": ["5'-CD4"]}),
        ('gene_id "";', {"gene_id": [""]}),
        ('gene_id "A";; gene_name\t"B" ;', {"gene_id": ["A"], "gene_name": ["B"]}),
    ],
)
def test_attributes_in_every_style(text, wanted):
    assert attributes(text) == wanted


@pytest.mark.parametrize(
    "more",
    ['gene_symbol "CD4";', 'gene "CD4";', 'gene_name "CD4"; gene "x";', 'gene_name ""; gene "CD4"',
     "gene 'CD4'; db_xref \"GeneID:920\";"],
)  # fmt: skip
def test_names_are_found_where_annotations_have_them(run, more):
    """Ensembl and GENCODE, FlyBase, NCBI and AGAT."""
    genes = run.annotated(GENES_EVERYWHERE + row("chr1", 301, 900, f'gene_id "X"; {more}'))
    assert genes.loc["X", "gene_name"] == "CD4"


def test_a_name_may_be_in_transcript_rows_only_and_a_gene_without_one_has_its_id(run):
    gtf = GENES_EVERYWHERE + row("chr1", 301, 900, 'gene_id "X";')
    gtf += row("chr1", 301, 900, 'gene_id "X"; gene_symbol "CD4";', feature="transcript")
    genes = run.annotated(gtf + row("chr2", 301, 900, 'gene_id "Y";'))
    assert genes.loc[["X", "Y"], "gene_name"].tolist() == ["CD4", "Y"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("ENSG00000141510.18", "ENSG00000141510"),
        ("ENSG00000141510.18_4", "ENSG00000141510"),
        ("ENSMUSG00000059552.8", "ENSMUSG00000059552"),
        ("ENSGR0000182378.10", "ENSG00000182378"),
        ("AT1G01010.1", "AT1G01010.1"),
    ],
)
def test_gene_ids_have_no_version(run, given, wanted):
    assert wanted in run.annotated(GENES_EVERYWHERE + line(given, "chr1", 301, 900)).index


# --- copies of a gene -------------------------------------------------------------------------

ALT = ["chr1_KX000001v1_alt", "scaffold9"]


@pytest.mark.parametrize("feature", ["gene", "transcript"])
@pytest.mark.parametrize("alt", ALT)
def test_a_copy_on_an_absent_contig_does_not_hide_one_on_a_chromosome(run, feature, alt):
    copies = [line("x", c, 3001, 4000, feature=feature) for c in (alt, "chr2")]
    first = run.annotated(GENES_EVERYWHERE + "".join(copies))
    dropped = run.dropped()
    last = run.annotated(GENES_EVERYWHERE + "".join(copies[::-1]))
    assert first.loc["x", ["chrom", "tss"]].tolist() == ["chr2", 3000]
    assert dropped == run.dropped() == {"duplicated_id": ["x"]}
    pd.testing.assert_frame_equal(first, last)


def test_a_chromosome_is_preferred_to_an_alt_contig_that_is_in_the_fasta(run):
    write_fasta(run.fasta, {"chr1_alt": BASES["chr2"][:9000], **BASES})
    copies = [line("x", c, 3001, 4000) for c in ("chr1_alt", "chr2")]
    for order in (copies, copies[::-1]):
        assert run.annotated(GENES_EVERYWHERE + "".join(order)).loc["x", "chrom"] == "chr2"


@pytest.mark.parametrize("y_id", ["ENSG00000182378.5_PAR_Y", "ENSGR0000182378.5"])
def test_of_a_pseudoautosomal_gene_the_copy_on_x_is_taken(run, y_id):
    """Also where chrY comes first, or has the region masked."""
    y = "N" * 6_000 + BASES["chr3"][:9_000]
    write_fasta(run.fasta, {"chrY": y, **BASES, "chrX": BASES["chr4"]})
    gtf = line(y_id, "chrY", 3001, 4000) + line("ENSG00000182378.5", "chrX", 3001, 4000)
    genes = run.annotated(GENES_EVERYWHERE + gtf)
    assert genes.loc["ENSG00000182378", "chrom"] == "chrX"
    assert run.dropped() == {"duplicated_id": ["ENSG00000182378"]}


def test_a_gene_without_a_usable_copy_is_counted_once_by_its_first(run):
    gtf = line("x", "scaffold9", 3001, 4000) + line("x", "chr2", 30_001, 30_100)
    genes = run.annotated(GENES_EVERYWHERE + gtf)
    assert "x" not in genes.index
    assert run.dropped() == {"contig_absent": ["x"], "duplicated_id": ["x"]}


# --- odd files --------------------------------------------------------------------------------


def odd(run, gtf: str) -> pd.DataFrame:
    files = ["--fasta", str(ODDITIES / "_base/genome.fa"), "--gtf", str(ODDITIES / gtf)]
    assert run(*files, "--valid_chroms", "chr2", "--test_chroms", "chr3") == 0
    return run.table()


@needs_oddities
@pytest.mark.parametrize("gtf", ["lift37/lift37.gtf", "lift37/alt_first.gtf"])
def test_odd_ids_give_the_base_table(run, gtf):
    base = odd(run, "_base/genes.gtf")
    assert len(base) == 40
    pd.testing.assert_frame_equal(odd(run, gtf), base)


@needs_oddities
def test_ucsc_alt_contigs_first_or_last_give_the_same_table(run):
    first, last = (odd(run, f"gtf/ucsc_alt_{place}.gtf") for place in ("first", "last"))
    assert len(first) == 40
    pd.testing.assert_frame_equal(first, last)
    assert run.about()["dropped"]["duplicated_id"]["n"] == 10


@needs_oddities
@pytest.mark.parametrize("gtf", ["flybase/fly.gtf", "gtf/inner_quote.gtf"])
def test_odd_names_are_read(run, gtf):
    names = odd(run, "_base/genes.gtf")["gene_name"].tolist()
    wanted = ['5"-CD4', *names[1:]] if gtf == "gtf/inner_quote.gtf" else names
    assert odd(run, gtf)["gene_name"].tolist() == wanted


@needs_oddities
@pytest.mark.parametrize(
    ("gtf", "message"),
    [("exon_only", "only exon rows"), ("nosemi", "Line 1 of the GTF has no ';' after gene_id")],
)
def test_odd_files_that_cannot_be_used_get_one_line(run, gtf, message):
    fasta, gtf = ODDITIES / "_base/genome.fa", ODDITIES / f"gtf/{gtf}.gtf"
    error = run.refused("--fasta", str(fasta), "--gtf", str(gtf))
    assert message in error
    assert error.count("\n") == 1


# --- folds ------------------------------------------------------------------------------------


def test_named_chromosomes_with_or_without_chr(run):
    genes = run.annotated(GENES_EVERYWHERE, "--valid_chroms", "2", "--test_chroms", "chr3,MT")
    assert set(genes[genes["split"] == "valid"]["chrom"]) == {"chr2"}
    assert set(genes[genes["split"] == "test"]["chrom"]) == {"chr3", "chrM"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--test_chroms", "chr99"], "--valid_chroms or --test_chroms does not exist: 'chr99'"),
        (["--test_chroms", "chr10"], "in both --valid_chroms and --test_chroms: '10'"),
        (["--valid_chroms", ""], "leaves a part without genes: 'train 22, valid 0, test 4'"),
        (["--test_chroms", "chr12"], "leaves a part without genes: 'train 24, valid 2, test 0'"),
    ],
)
def test_a_chromosome_split_that_leaves_a_part_empty_is_refused(run, options, message):
    gtf = GENES_EVERYWHERE.replace("chr12\t", "chr11\t")
    error = run.refused_gtf(gtf, *options)
    assert message in error
    assert "--test_chroms" in error


def test_default_chromosomes_that_leave_a_part_empty_are_refused(run):
    error = run.refused_gtf(GENES_EVERYWHERE.replace("chr10\t", "chr11\t"))
    assert "valid 0" in error
    assert "--valid_chroms" in error


def frame(chroms, tss, strand="+") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "gene_id": [f"g{i}" for i in range(len(tss))],
            "chrom": chroms,
            "tss": tss,
            "strand": strand,
        }
    )


LENGTHS = {"a": 5_500_000, "b": 900_000, "c": 3_000_000}
WINDOW = (-1000, 500)
NO_PAIRS = np.empty((2, 0), int)


def by_default(genes, lengths=LENGTHS, pairs=NO_PAIRS, seed=1) -> folds.Folds:
    return folds.assign(genes, pairs, WINDOW, lengths, None, None, seed)


def scattered(seed: int = 5, n: int = 900) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    chroms = rng.choice(list(LENGTHS), n)
    tss = [int(rng.integers(0, LENGTHS[chrom])) for chrom in chroms]
    return frame(chroms, tss, rng.choice(["+", "-"], n))


def test_without_the_default_chromosomes_blocks_keep_neighbours_together():
    genes = scattered()
    made = by_default(genes)
    assert made.about["by"] == "blocks"
    assert made.about["n_blocks"] == 5 + 1 + 3
    assert made.about["absent"] == ["chr10", "chr8", "chr9"]
    genes["fold"], genes["split"] = made.fold, made.split
    assert set(genes["fold"]) - {-1} == set(range(5))
    for _, row in genes.iterrows():
        width = {"a": 1_100_000, "b": 900_000, "c": 1_000_000}[row["chrom"]]
        window = range(row["tss"] - 1000, row["tss"] + 500)
        if row["strand"] == "-":
            window = range(row["tss"] - 499, row["tss"] + 1001)
        inside = [min(max(p, 0), LENGTHS[row["chrom"]] - 1) for p in (window[0], window[-1])]
        assert (row["fold"] == -1) == (inside[0] // width != inside[1] // width)
        if row["fold"] >= 0:
            same = (genes["chrom"] == row["chrom"]) & (genes["tss"] // width == row["tss"] // width)
            assert set(genes.loc[same, "fold"]) <= {row["fold"], -1}
    assert set(genes.loc[genes["fold"] == 0, "split"]) == {"test"}
    assert set(genes.loc[genes["fold"] == 1, "split"]) == {"valid"}
    assert set(genes.loc[genes["fold"] > 1, "split"]) == {"train"}


def test_folds_by_blocks_depend_on_the_seed_alone():
    genes = scattered()
    folds_of = [by_default(genes, seed=seed).fold.tolist() for seed in (1, 1, 2)]
    assert folds_of[0] == folds_of[1] != folds_of[2]


def test_blocks_that_are_chromosomes_are_called_so():
    lengths = dict.fromkeys("abcdef", 1_900_000)
    chroms = np.repeat(list(lengths), 10)
    genes = frame(chroms, np.arange(60) * 20_000)
    made = by_default(genes, lengths)
    assert made.about["by"] == "chromosomes"
    assert "n_blocks" not in made.about
    for part in ("valid", "test"):
        assert made.about[f"{part}_chroms"] == sorted(set(chroms[made.split == part]))
    assert (made.fold >= 0).all()


def test_genes_that_cross_the_edge_of_a_block_are_counted(run):
    write_fasta(run.fasta, {"a": "ACGT" * 300_000, "b": "ACGTT" * 600_000})
    places = [("a", 5000), ("a", 600_000), ("b", 5000), ("b", 1_500_000), ("b", 2_500_000)]
    gtf = "".join(line(f"g{i}", c, p, p + 9) for i, (c, p) in enumerate(places))
    genes = run.annotated(gtf + line("crossing", "b", 1_000_100, 1_000_200))
    assert run.dropped() == {"crosses_block_edge": ["crossing"]}
    assert len(genes) == 5
    assert run.about()["folds"]["n_blocks"] == 4


def test_a_genome_too_short_for_blocks_is_refused(run):
    write_fasta(run.fasta, {"a": "ACGT" * 5_000})
    assert "The genome is too short for blocks of 1 Mb" in run.refused_gtf(
        line("g", "a", 5000, 6000)
    )


def test_balanced_folds_hold_about_equally_many():
    sizes = np.random.default_rng(2).integers(1, 100, 60)
    held = np.bincount(folds.balanced(sizes, seed=1), weights=sizes)
    assert len(held) == 5
    assert held.max() - held.min() <= 10


def five_folds(n: int = 1) -> pd.DataFrame:
    split = np.repeat(["valid", "test", *["train"] * 3], n)
    return pd.DataFrame({"fold": np.repeat(range(5), n), "split": split, "family": -1})


def test_split_for_cross_validation():
    genes = five_folds()

    def split(test_fold):
        return folds.for_run(genes, test_fold)["split"].tolist()

    assert split(None) == genes["split"].tolist()
    assert split(4) == ["valid", "train", "train", "train", "test"]
    assert split(1) == ["train", "test", "valid", "train", "train"]
    with pytest.raises(GeneqError, match="must be 0 to 4: 5"):
        split(5)
    with pytest.raises(GeneqError, match="Fold 2 as test leaves a part without genes"):
        folds.for_run(genes[genes["fold"] != 3], 2)


# --- related genes ----------------------------------------------------------------------------


@pytest.mark.parametrize("test_fold", [None, 0, 1, 2, 3, 4])
def test_no_gene_is_trained_on_beside_a_relative_that_is_tested(test_fold):
    genes = five_folds(20)
    genes["family"] = np.random.default_rng(3).choice([-1, *range(15)], 100, p=[0.7] + [0.02] * 15)
    made = folds.for_run(genes, test_fold)
    tested = made[made["split"] == "test"]
    others = made[made["split"] != "test"]
    fold = 1 if test_fold is None else test_fold
    assert tested.index.tolist() == genes.index[genes["fold"] == fold].tolist()
    assert not set(tested["family"]) & set(others["family"]) - {-1}
    # Nothing else is dropped.
    families = set(tested["family"]) - {-1}
    assert len(others) == ((genes["fold"] != fold) & ~genes["family"].isin(families)).sum() < 80


def test_a_family_is_of_different_units_and_neighbours_are_none():
    """a0–a1 overlap, as do b0–b1; a1 is like b0, and b1 like c0."""
    genes = frame(list("aabbcdef"), [5000, 5100, 5000, 5100, *[5000] * 4])
    pairs = np.array([[0, 1, 2, 3], [1, 2, 3, 4]])
    made = by_default(genes, dict.fromkeys("abcdef", 1_000_000), pairs)
    assert made.family.tolist() == [-1, 0, 0, 1, 1, -1, -1, -1]
    assert made.about["n_families"] == 2
    for part, name in ((made.fold, "fold"), (made.split, "part")):
        wanted = [False] + [part[a] != part[b] for a, b in ((1, 2), (1, 2), (3, 4), (3, 4))]
        wanted += [False] * 3
        assert folds.across(made.family, part).tolist() == wanted
        assert made.about[f"relatives_in_other_{name}"] == sum(wanted)


def test_genes_at_the_edge_of_a_block_are_in_no_family():
    genes = frame(list("abbccdef"), [5000, 1_000_000, *[1_800_000] * 6])
    made = by_default(genes, dict.fromkeys("abcdef", 2_000_000), np.array([[0], [1]]))
    assert made.fold[1] == -1
    assert (made.family == -1).all()


def test_related_genes_are_found_and_reported(run):
    """chr1b has the window of chr8a, a test gene, on the other strand and with 3 % changed."""
    rng = np.random.default_rng(6)
    contigs = {name: list(sequence) for name, sequence in BASES.items()}
    copy = contigs["chr8"][5000 - 1024 : 5000 + 1024]
    for place in rng.choice(2048, 60, replace=False):
        copy[place] = {"A": "C", "C": "G", "G": "T", "T": "A"}[copy[place]]
    turned = "".join(copy)[::-1].translate(str.maketrans("ACGT", "TGCA"))
    contigs["chr1"][8999 - 1023 : 8999 + 1025] = turned
    write_fasta(run.fasta, {name: "".join(bases) for name, bases in contigs.items()})
    genes = run.annotated(GENES_EVERYWHERE)
    assert genes.index[genes["family"] >= 0].tolist() == ["chr1b", "chr8a"]
    about = run.about()["folds"]
    assert about["n_families"] == 1
    assert about["relatives_in_other_part"] == 2
    assert "2 genes have similar DNA to a gene of another fold or of another" in run.printed()
    used = folds.for_run(genes.reset_index(), None).set_index("gene_id")
    assert set(genes.index) - set(used.index) == {"chr1b"}


def test_random_genes_have_no_relatives(run):
    genes = run.annotated(GENES_EVERYWHERE)
    assert (genes["family"] == -1).all()
    assert run.about()["folds"]["relatives_in_other_part"] == 0
    assert "similar DNA" not in run.printed()


def test_relatives_among_promoters_by_chromosome_are_found(run):
    rng, text = np.random.default_rng(9), ""
    for gene in range(24):
        text += f">S{gene} chrom=chr{gene % 12 + 1}\n{symbols(rng, 60)}\n"
    twice = text.split("\n")[1]
    genes = run.promoted(text + f">copy chrom=chr8\n{twice}\n")
    assert genes.index[genes["family"] >= 0].tolist() == ["S0", "copy"]
    assert run.about()["folds"]["relatives_in_other_part"] == 2


# --- similar sequences ------------------------------------------------------------------------


def kmers(sequence: np.ndarray, k: int = 14) -> set[tuple]:
    """Canonical k-mers, slow and obvious."""
    found = set()
    for start in range(len(sequence) - k + 1):
        word = sequence[start : start + k]
        if word.max() < 4:
            found.add(min(tuple(word.tolist()), tuple((3 - word[::-1]).tolist())))
    return found


def related_sequences() -> list[np.ndarray]:
    rng, sequences = np.random.default_rng(12), []
    for _ in range(12):
        parent = rng.integers(0, 4, 400, dtype=np.uint8)
        part = np.concatenate([rng.integers(0, 4, 200, dtype=np.uint8), parent[:200]])
        changed = np.where(rng.random(400) < 0.02, rng.integers(0, 4, 400), parent)
        little = np.concatenate([rng.integers(0, 4, 370, dtype=np.uint8), parent[:30]])
        masked = np.where(np.arange(400) < 350, 4, parent)
        sequences += [parent, part, changed.astype(np.uint8), little, masked.astype(np.uint8)]
        sequences += [(3 - parent[::-1]).astype(np.uint8), parent[:13], parent[:0]]
    return sequences


def test_similar_pairs_are_those_that_share_a_quarter_of_their_kmers():
    """Against the exact share, away from the threshold by more than a sketch can err."""
    sequences = related_sequences()
    words = [kmers(sequence) for sequence in sequences]
    found = set(zip(*similar_pairs(sequences).tolist(), strict=True))
    assert all(a < b for a, b in found)
    for a in range(len(sequences)):
        for b in range(a + 1, len(sequences)):
            smaller = min(len(words[a]), len(words[b]))
            share = len(words[a] & words[b]) / smaller if smaller else 0
            if share > 0.45:
                assert (a, b) in found or smaller < 40
            if share < 0.1:
                assert (a, b) not in found


def test_batches_do_not_change_what_is_similar(monkeypatch):
    sequences = related_sequences()
    wanted = similar_pairs(iter(sequences)).tolist()
    monkeypatch.setattr("geneq.similarity.SYMBOLS", 1000)
    monkeypatch.setattr("geneq.similarity.ROWS", 7)
    assert similar_pairs(sequences).tolist() == wanted


def test_repeats_do_not_make_sequences_similar():
    rng = np.random.default_rng(2)
    repeat = rng.integers(0, 4, 150, dtype=np.uint8)
    sequences = [np.concatenate([repeat, rng.integers(0, 4, 50, dtype=np.uint8)])
                 for _ in range(REPEAT + 1)]  # fmt: skip
    assert similar_pairs(sequences).shape == (2, 0)
    assert similar_pairs(sequences[:4]).shape == (2, 6)


@pytest.mark.parametrize("sequences", [[], [np.empty(0, np.uint8)] * 3])
def test_nothing_is_similar_to_nothing(sequences):
    assert similar_pairs(sequences).shape == (2, 0)


# --- what is printed --------------------------------------------------------------------------


def test_folds_and_split_are_printed(run):
    run.annotated(GENES_EVERYWHERE + line("far", "chr5", 20_001, 21_000))
    assert run.printed().splitlines() == [
        "26 genes",
        "dropped: beyond_contig 1",
        "folds of whole chromosomes; genes per fold: 6, 6, 6, 4, 4",
        "split: train 20, valid 2 (chr10), test 4 (chr8, chr9)",
    ]


def test_that_the_default_chromosomes_do_not_exist_is_printed(run):
    write_fasta(run.fasta, dict.fromkeys("abcdef", "ACGTTGCAAT" * 2000))
    run.annotated("".join(line(f"g{name}", name, 5001, 6000) for name in "abcdef"))
    *_, split, note, relatives = run.printed().splitlines()
    assert re.fullmatch(r"split: train \d, valid \d \([a-f].*\), test \d \([a-f].*\)", split)
    assert note == (
        "The default chromosomes for validation and test do not exist (chr10, chr8, chr9): folds "
        "are made of whole chromosomes"
    )
    assert note in run.about()["notes"]
    assert relatives.startswith("6 genes have similar DNA")


def test_folds_without_genes_are_reported(run):
    gtf = "".join(line(f"{c}a", c, 5001, 6000) for c in ("chr1", "chr2", "chr3"))
    run.annotated(gtf, "--valid_chroms", "chr2", "--test_chroms", "chr3")
    assert "2 of 5 folds have no genes: cross-validation (--cv) is not possible" in run.printed()


# --- promoters --------------------------------------------------------------------------------


def symbols(rng, n: int) -> str:
    return "".join(rng.choice(list("ACGT"), n))


def promoter_fasta(with_chrom: bool = True) -> str:
    """Three promoters a gene, 2, 1 and 3, on chromosomes 1 to 12; of g0 there is no first."""
    rng, text = np.random.default_rng(11), ""
    for gene in range(24):
        for number in (2, 1, 3):
            if (gene, number) != (0, 1):
                chrom = f" chrom=chr{gene % 12 + 1}" if with_chrom else ""
                header = f">S{gene}_{number} gene_id=ENSG{gene:011}.4 gene_name=S{gene}{chrom}"
                text += f"{header}\n{symbols(rng, 60 - number)}\n"
    return text


def test_the_first_promoter_is_the_one_numbered_1(run):
    genes = run.promoted(promoter_fasta())
    assert len(genes) == 23
    row = genes.loc["ENSG00000000005"]
    assert row[["gene_name", "chrom", "tss", "strand", "records"]].tolist() == [
        "S5",
        "chr6",
        -1,
        ".",
        "S5_1",
    ]
    assert run.dropped() == {"no_first_promoter": ["ENSG00000000000"]}
    assert set(genes.loc[genes["split"] == "valid", "chrom"]) == {"chr10"}
    about = run.about()
    assert (about["mode"], about["promoter_choice"]) == ("promoters", "first")
    assert about["bin_edges"] == [[0, 1 / 3, 2 / 3, 1]]
    assert len(Genome(run.out).record("S5_1")) == 59


@pytest.mark.parametrize("choice", ["mean", "max"])
def test_mean_and_max_take_all_promoters(run, choice):
    genes = run.promoted(promoter_fasta(), "--promoter_choice", choice)
    assert len(genes) == 24
    assert genes.loc["ENSG00000000000", "records"] == "S0_2 S0_3"
    assert genes.loc["ENSG00000000001", "records"] == "S1_2 S1_1 S1_3"
    assert run.about()["promoter_choice"] == choice


def test_bare_headers_and_a_gene_of_several_names(run):
    rng = np.random.default_rng(4)
    headers = ["TP53_1", "TP53_2", "NM_000546", "LONE", "X_1 gene_id=E gene_name=X"]
    headers += ["Y_2 gene_id=E gene_name=Y", "Y_1 gene_id=E gene_name=Y", "MASKED_1"]
    headers += [f"G{i}" for i in range(10)]
    bodies = ["N" * 31 + "ACGT" if h == "MASKED_1" else symbols(rng, 60) for h in headers]
    genes = run.promoted("".join(f">{h}\n{b}\n" for h, b in zip(headers, bodies, strict=True)))
    wanted = {"TP53": "TP53_1", "NM_000546": "NM_000546", "LONE": "LONE", "E": "Y_1"}
    assert genes.loc[list(wanted), "records"].to_dict() == wanted
    assert genes.loc["E", "gene_name"] == "Y"
    assert run.dropped() == {"mostly_n": ["MASKED"]}


def test_similar_promoters_without_chromosome_share_a_fold(run):
    rng, text = np.random.default_rng(8), ""
    for gene in range(40):
        parent = symbols(rng, 200)
        half = parent[:120] + symbols(rng, 80)
        turned = parent[::-1].translate(str.maketrans("ACGT", "TGCA"))
        for copy, sequence in enumerate([parent, half, turned]):
            text += f">g{gene}x{copy}\n{sequence}\n"
    genes = run.promoted(text)
    about = run.about()["folds"]
    assert (about["by"], about["n_clusters"]) == ("clusters", 40)
    family = genes.index.str.replace("x.", "", regex=True)
    assert (genes.groupby(family)["fold"].nunique() == 1).all()
    assert about["genes_per_fold"] == [24] * 5


def test_promoters_of_one_gene_are_one_cluster(run):
    genes = run.promoted(promoter_fasta(with_chrom=False), "--promoter_choice", "max")
    assert run.about()["folds"]["n_clusters"] == len(genes) == 24


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (">a_2\nACGT\n", [], "No gene of the promoter FASTA is usable: 'no_first_promoter 1'"),
        (">a\nACGT\n", [], "The split by clusters leaves a part without genes"),
        (promoter_fasta(False), ["--test_chroms", "chr1"], "does not exist: 'chr10, chr1'"),
        (
            promoter_fasta() + ">late\nACGT\n",
            ["--test_chroms", "chr1"],
            "need the chromosome of every gene: 'late has none'",
        ),
        (promoter_fasta(), ["--bin_edges", "0,2"], "Bin edges must be fractions of the length"),
    ],
)
def test_promoters_that_cannot_be_used_are_refused(run, text, options, message):
    path = run.folder / "promoters.fa"
    path.write_text(text)
    assert message in run.refused("--promoters", str(path), *options)


# --- bins -------------------------------------------------------------------------------------


def test_default_bins():
    edges = binning.parse_edges(None, "annotation")
    assert edges == [-1024, -512, -256, -128, -64, 0, 64, 128, 256, 512, 1024]
    assert binning.parse_edges(None, "promoters") == pytest.approx([0, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("5", "annotation", "Bin edges must be at least two, in increasing order: '5'"),
        ("0,10,10", "annotation", "in increasing order"),
        ("10,0", "annotation", "in increasing order"),
        ("0,1.5", "annotation", "integers, in nt, not '1.5'"),
        ("", "annotation", "integers, in nt, not ''"),
        ("0,99999999999999999999", "annotation", "must be within 10,000,000 nt of the TSS"),
        ("0,1/0", "promoters", "fractions of the length, 0 to 1, not '1/0'"),
        ("-0.1,1", "promoters", "fractions of the length, 0 to 1, not '-0.1'"),
        ("0,nan", "promoters", "not 'nan'"),
    ],
)
def test_wrong_bin_edges_are_refused(text, mode, message):
    with pytest.raises(GeneqError, match=message):
        binning.parse_edges(text, mode)


@pytest.mark.parametrize(
    ("text", "mode", "lists"),
    [
        ("-5,0,5", "annotation", [[-5, 0, 5]]),
        ("-5,0,5/-9,9", "annotation", [[-5, 0, 5], [-9, 9]]),
        ("0,1/3,2/3,1", "promoters", [[0, 1 / 3, 2 / 3, 1]]),
        ("0,1/3,2/3,1/0,0.5,1", "promoters", [[0, 1 / 3, 2 / 3, 1], [0, 0.5, 1]]),
        ("0.1,1/2/0.25,3/4", "promoters", [[0.1, 0.5], [0.25, 0.75]]),
        ("0,1/0,1/1/.5,1", "promoters", [[0, 1], [0, 1], [0.5, 1]]),
        (None, "promoters", [[0, 1 / 3, 2 / 3, 1]]),
    ],
)
def test_lists_of_bin_edges_are_separated_by_slashes(text, mode, lists):
    found = binning.parse_edge_lists(text, mode)
    assert found == lists
    ends = [edge for edges in lists for edge in edges]
    assert binning.union(found) == (min(ends), max(ends))


@pytest.mark.parametrize("text", ["-5,5/", "/-5,5", "-5,5//-5,5", "-5,5/5", "-5,5/5,0"])
def test_every_list_of_bin_edges_must_be_one(text):
    with pytest.raises(GeneqError, match="Bin edges must be"):
        binning.parse_edge_lists(text, "annotation")


# --- real data --------------------------------------------------------------------------------


@needs_shared
def test_the_mini_genome(run):
    folder = SHARED / "human_mini"
    assert run("--fasta", str(folder / "genome.fa.gz"), "--gtf", str(folder / "genes.gtf")) == 0
    genes = run.table()
    assert len(genes) == 459 - run.about()["dropped"]["crosses_block_edge"]["n"] == 458
    assert run.about()["folds"]["by"] == "blocks"
    assert min(run.about()["folds"]["genes_per_fold"]) > 60


@needs_shared
def test_yeast_paralogs_are_related(run):
    folder = SHARED / "yeast"
    files = ["--fasta", str(folder / "genome.fa.gz"), "--gtf", str(folder / "genes.gtf.gz")]
    assert run(*files) == 0
    genes, about = run.table(), run.about()["folds"]
    assert len(genes) == 7036
    assert about["by"] == "chromosomes"
    assert 250 < about["relatives_in_other_fold"] < 350
    family = genes["family"]
    assert family["YAL005C"] == family["YLL024C"] >= 0  # SSA1 and SSA2


@needs_shared
def test_the_human_promoters(run):
    assert run("--promoters", str(SHARED / "human_promoters" / "promoters.fa.gz")) == 0
    assert len(run.table()) == 14_906
    assert run.about()["dropped"]["no_first_promoter"]["n"] == 628
    assert run.about()["folds"]["split"] == {"train": 13_219, "valid": 600, "test": 1_087}

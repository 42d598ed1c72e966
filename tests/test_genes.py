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
from geneq.artifacts import GENES
from geneq.errors import GeneqError
from geneq.genome import Genome
from geneq.stages.genes.annotation import attributes, plain_id

SHARED = Path(__file__).parents[2] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="the real data are not here")

RNG = np.random.default_rng(7)
BASES = {f"chr{n}": "".join(RNG.choice(list("ACGT"), 20_000)) for n in (*range(1, 13), "M")}
BASES["chr1"] = BASES["chr1"][:15_000] + "N" * 5_000


def write_fasta(path: Path, contigs: dict[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    return path


def line(gene: str, chrom: str, start, end, strand="+", feature="gene", more="") -> str:
    text = f'gene_id "{gene}"; gene_name "N{gene}"; {more}' if gene else 'note "none";'
    return f"{chrom}\ttest\t{feature}\t{start}\t{end}\t.\t{strand}\t.\t{text}\n"


def transcript(gene: str, start: int, end: int, strand="+", more="", chrom="chr1") -> str:
    return line(gene, chrom, start, end, strand, "transcript", more)


# Two genes a chromosome, at 5,001 ("+") and 9,000 ("-"), both 1-based.
GENES_EVERYWHERE = "".join(
    line(f"{chrom}a", chrom, 5001, 6000) + line(f"{chrom}b", chrom, 8001, 9000, "-")
    for chrom in BASES
)


class Run:
    """`geneq genes` in a folder of its own."""

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

    def table(self) -> pd.DataFrame:
        return GENES.read(self.out / "genes.parquet").set_index("gene_id")

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
        "bad_coordinates": ["turned (line 34)", "word (line 35)"],
        "no_strand": ["strandless (line 36)"],
        "no_gene_id": ["line 37", "line 38"],
    }
    assert genes.loc["ENSG00000000001", "chrom"] == "chr2"
    assert len(genes) == 27
    assert run.about()["bin_edges"] == [-1000, -200, 900]


def test_chromosome_names_that_differ_in_chr_are_matched_and_told(run):
    genes = run.annotated(re.sub("^chr(M)?", r"\1", GENES_EVERYWHERE, flags=re.M))
    assert set(genes["chrom"]) == set(BASES)
    assert run.about()["notes"] == [
        "26 genes lie on chromosomes that the GTF and the FASTA name differently (1 and chr1): "
        "matched"
    ]


def test_mt_is_chrm_and_a_compressed_gtf_is_read(run):
    run.gtf.write_bytes(gzip.compress(GENES_EVERYWHERE.replace("chrM\t", "MT\t").encode()))
    assert run("--fasta", str(run.fasta), "--gtf", str(run.gtf)) == 0
    assert run.table().loc["chrMa", "chrom"] == "chrM"


def test_running_twice_gives_the_same_and_replaces_the_other_form(run):
    first = run.annotated(GENES_EVERYWHERE)
    (run.out / "genome.fa.gz").write_text("of an earlier run")
    pd.testing.assert_frame_equal(run.annotated(GENES_EVERYWHERE), first)
    assert not (run.out / "genome.fa.gz").exists()


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
        (line("a", "chr1", 5, 9, feature="exon"), "no usable gene or transcript rows"),
        (GENES_EVERYWHERE + "chr1\ttest\tgen", "Line 27 of the GTF is cut short"),
        (GENES_EVERYWHERE + line("cut", "chr1", 5, 9)[:-18], "Line 27 of the GTF is cut short"),
        (GENES_EVERYWHERE + line("cut", "chr1", 5, 9)[:-5], "Line 27 of the GTF is cut short"),
        (">chr1\nACGT\n", "Line 1 of the GTF is cut short or no GTF line: '>chr1'"),
        ("chr1\ttest\tgene\t5\t9\t.\t+\t.\tID=gene:a;Name=b\n", "attributes of GFF3"),
        (b"\xff\xfe" + GENES_EVERYWHERE.encode(), "Line 1 is no text"),
        (gzip.compress(GENES_EVERYWHERE.encode() * 99)[:-9], "compressed GTF is cut short"),
        (GENES_EVERYWHERE.replace("chr", "NC_"), "No chromosome of the GTF is in the FASTA"),
    ],
)
def test_what_is_no_whole_gtf_is_refused(run, gtf, message):
    error = run.refused_gtf(gtf)
    assert message in error
    assert str(run.gtf) in error


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        (
            "".join(line(f"far{i}", "chr2", 30_001 + i, 40_000) for i in range(27)),
            "27 of 53 genes have no sequence: the FASTA and the GTF seem to be of different "
            "builds: '27 lie past the end of their contig, 0 on N'",
        ),
        (
            "".join(line(f"n{i}", "chr1", 17_001 + i, 18_000) for i in range(30)),
            "'0 lie past the end of their contig, 30 on N'",
        ),
    ],
)
def test_files_of_different_builds_are_refused_naming_both(run, genes, message):
    error = run.refused_gtf(GENES_EVERYWHERE + genes)
    assert message in error
    assert f"{run.fasta} and {run.gtf}" in error


def test_a_bad_fasta_leaves_nothing_behind(run):
    run.fasta.write_text(">chr1\nMKVL\n")
    assert "Not a FASTA of nucleotides" in run.refused_gtf(GENES_EVERYWHERE)


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


def test_attributes_of_the_wild():
    text = ' gene_id "A;1"; tag "x"; level 2; tag "y\\"z";note "";'
    wanted = {"gene_id": ["A;1"], "tag": ["x", 'y\\"z'], "level": ["2"], "note": [""]}
    assert attributes(text) == wanted


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("ENSG00000141510.18", "ENSG00000141510"),
        ("ENSMUSG00000059552.8", "ENSMUSG00000059552"),
        ("ENSG00000182378.15_PAR_Y", "ENSG00000182378"),
        ("ENSG00000182378_PAR_Y", "ENSG00000182378"),
        ("AT1G01010.1", "AT1G01010.1"),
        ("Y47D3A.1", "Y47D3A.1"),
    ],
)
def test_only_ensembl_ids_have_a_version(given, wanted):
    assert plain_id(given) == wanted


# --- folds ------------------------------------------------------------------------------------


def test_named_chromosomes_with_or_without_chr(run):
    genes = run.annotated(GENES_EVERYWHERE, "--valid_chroms", "2", "--test_chroms", "chr3,MT")
    assert set(genes[genes["split"] == "valid"]["chrom"]) == {"chr2"}
    assert set(genes[genes["split"] == "test"]["chrom"]) == {"chr3", "chrM"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--test_chroms", "chr99"], "--valid_chroms or --test_chroms is not there: 'chr99'"),
        (["--test_chroms", "chr10"], "for validation and test at once: '10'"),
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


def scattered(seed: int = 5, n: int = 900) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    chroms = rng.choice(list(LENGTHS), n)
    tss = [int(rng.integers(0, LENGTHS[chrom])) for chrom in chroms]
    return frame(chroms, tss, rng.choice(["+", "-"], n))


def test_without_the_default_chromosomes_blocks_keep_neighbours_together():
    genes = scattered()
    made = folds.assign(genes, WINDOW, LENGTHS, None, None, None, seed=1)
    assert made.about["by"] == "blocks"
    assert made.about["n_blocks"] == 5 + 1 + 3
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
    folds_of = [folds.by_block(genes, WINDOW, LENGTHS, seed).fold.tolist() for seed in (1, 1, 2)]
    assert folds_of[0] == folds_of[1] != folds_of[2]


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


def test_split_for_cross_validation():
    genes = pd.DataFrame({"fold": [0, 1, 2, 3, 4], "split": ["valid", "test", *["train"] * 3]})
    assert folds.split_for(genes, None).tolist() == genes["split"].tolist()
    assert folds.split_for(genes, 4).tolist() == ["valid", "train", "train", "train", "test"]
    assert folds.split_for(genes, 1).tolist() == ["train", "test", "valid", "train", "train"]
    with pytest.raises(GeneqError, match="must be 0 to 4: 5"):
        folds.split_for(genes, 5)
    with pytest.raises(GeneqError, match="Fold 2 as test leaves a part without genes"):
        folds.split_for(genes[genes["fold"] != 3], 2)


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
    assert about["bin_edges"] == [0, 1 / 3, 2 / 3, 1]
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
        (promoter_fasta(False), ["--test_chroms", "chr1"], "is not there: 'chr10, chr1'"),
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
        ("5", "annotation", "make at least one bin: '5'"),
        ("0,10,10", "annotation", "must rise strictly"),
        ("10,0", "annotation", "must rise strictly"),
        ("0,1.5", "annotation", "whole numbers of nt, not '1.5'"),
        ("", "annotation", "whole numbers of nt, not ''"),
        ("0,1/0", "promoters", "fractions of the length, 0 to 1, not '1/0'"),
        ("-0.1,1", "promoters", "fractions of the length, 0 to 1, not '-0.1'"),
        ("0,nan", "promoters", "not 'nan'"),
    ],
)
def test_bin_edges_that_make_no_bins_are_refused(text, mode, message):
    with pytest.raises(GeneqError, match=message):
        binning.parse_edges(text, mode)


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
def test_the_human_promoters(run):
    assert run("--promoters", str(SHARED / "human_promoters" / "promoters.fa.gz")) == 0
    assert len(run.table()) == 14_906
    assert run.about()["dropped"]["no_first_promoter"]["n"] == 628
    assert run.about()["folds"]["split"] == {"train": 13_219, "valid": 600, "test": 1_087}

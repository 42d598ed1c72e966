"""Genes and their TSS from a GTF, placed on the contigs of a genome.

The TSS of a gene with transcript rows is that of the transcript tagged MANE_Select, else
Ensembl_canonical, else the most 5' one among those of the best transcript_support_level (1 is the
best; none or NA is the worst). Of a gene without transcript rows it is the 5' end of the gene.
"""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...errors import GeneqError, not_found
from ...genome import Genome, open_maybe_gzip
from ...tally import Tally

TAGS = ("MANE_Select", "Ensembl_canonical")
WORST_SUPPORT = 6
# Windows looked at in one go: about 8 MB of tokens with the default window.
BATCH = 4096

_ATTRIBUTE = re.compile(r'\s*([^\s";=]+)\s+(?:"((?:[^"\\]|\\.)*)"|([^\s";]+))\s*(?:;|$)')
_VERSION = re.compile(r"^(ENS[A-Z]*G\d{6,})\.\d+(?:_PAR_Y)?$")
_NO_GTF = "Give a whole GTF (9 tab-separated fields a line; plain or gzip)"


def attributes(text: str) -> dict[str, list[str]]:
    """The attributes of a GTF line: values by key, in their order, without quotes.

    A quoted value may hold ";" and escaped quotes (kept as they are); what is no attribute is
    passed over.
    """
    found: dict[str, list[str]] = {}
    for match in _ATTRIBUTE.finditer(text):
        key, quoted, plain = match.groups()
        found.setdefault(key, []).append(quoted if plain is None else plain)
    return found


def plain_id(gene_id: str) -> str:
    """An Ensembl gene id without version and _PAR_Y; other ids as they are."""
    match = _VERSION.match(gene_id)
    return match.group(1) if match else gene_id.removesuffix("_PAR_Y")


class Row(NamedTuple):
    """A gene or transcript row of a GTF; tss is 0-based."""

    gene_id: str
    contig: str
    strand: str
    is_gene: bool
    tss: int
    attributes: dict[str, list[str]]


class Transcript(NamedTuple):
    """What decides which transcript gives a gene's TSS."""

    tss: int
    tags: frozenset[str]
    support: int


@dataclass
class Gene:
    """A gene of the GTF: its own row, if there is one, and its transcripts."""

    name: str = ""
    tss: int | None = None
    transcripts: list[Transcript] = field(default_factory=list)


def read_gtf(path: str | Path, dropped: Tally) -> pd.DataFrame:
    """Genes of the GTF at `path` (plain or gzip), one row an id without version.

    Columns: gene_id, gene_name, chrom (as the GTF spells it), tss (0-based), strand, chosen_by
    (MANE_Select, Ensembl_canonical, support or gene). Rows that cannot be used go to `dropped`.

    Raises GeneqError when the file is missing, cut short, no GTF or without genes.
    """
    genes: dict[tuple[str, str, str], Gene] = {}
    for row in _rows(Path(path), dropped):
        _collect(genes.setdefault(row[:3], Gene()), row, dropped)
    if not genes:
        raise GeneqError("The GTF holds no usable gene or transcript rows", file=path, fix=_NO_GTF)
    table = pd.DataFrame(
        [
            (plain_id(gene_id), gene.name or plain_id(gene_id), contig, *_tss(gene, strand), strand)
            for (gene_id, contig, strand), gene in genes.items()
        ],
        columns=["gene_id", "gene_name", "chrom", "tss", "chosen_by", "strand"],
    )
    again = table.duplicated("gene_id")
    dropped.add_all("duplicated_id", table.loc[again, "gene_id"])
    return table[~again]


def _collect(gene: Gene, row: Row, dropped: Tally) -> None:
    gene.name = gene.name or row.attributes.get("gene_name", [""])[0]
    if not row.is_gene:
        tags = frozenset(tag.replace(" ", "_") for tag in row.attributes.get("tag", []))
        gene.transcripts.append(Transcript(row.tss, tags, _support(row.attributes)))
    elif gene.tss is not None:
        dropped.add("duplicated_id", row.gene_id)
    else:
        gene.tss = row.tss


def _support(found: dict[str, list[str]]) -> int:
    level = found.get("transcript_support_level", ["NA"])[0]
    return int(level[0]) if level[:1] in set("12345") else WORST_SUPPORT


def _tss(gene: Gene, strand: str) -> tuple[int, str]:
    """0-based TSS of `gene`, and what it was chosen by."""
    if not gene.transcripts:
        return gene.tss, "gene"
    most_5_prime = min if strand == "+" else max
    for tag in TAGS:
        tagged = [transcript.tss for transcript in gene.transcripts if tag in transcript.tags]
        if tagged:
            return most_5_prime(tagged), tag
    best = min(transcript.support for transcript in gene.transcripts)
    return most_5_prime(t.tss for t in gene.transcripts if t.support == best), "support"


def _rows(path: Path, dropped: Tally) -> Iterator[Row]:
    """The usable gene and transcript rows; what is not usable goes to `dropped`."""
    for number, line in _lines(path):
        # Most lines are exons: they are counted through and not taken apart.
        fields = line.split(b"\t", 3) if line.count(b"\t") == 8 else []
        if not fields or (not line.endswith(b"\n") and not _is_whole(line)):
            raise GeneqError(
                f"Line {number} of the GTF is cut short or no GTF line",
                value=line.decode(errors="replace").strip()[:60],
                file=path,
                fix=_NO_GTF,
            )
        if fields[2] in (b"gene", b"transcript"):
            row = _row(line, number, path, dropped)
            if row:
                yield row


def _is_whole(last: bytes) -> bool:
    """Does the last line, which has no line end, end with a whole attribute?"""
    return not _ATTRIBUTE.sub("", last.decode(errors="replace").split("\t")[8]).strip()


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines, without comments and empty ones."""
    number = 0
    try:
        with open_maybe_gzip(path) as file:
            for number, line in enumerate(file, 1):
                if not line.startswith(b"#") and line.strip():
                    yield number, line
    except FileNotFoundError:
        raise not_found(path) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise GeneqError(
            f"The compressed GTF is cut short or damaged after line {number}",
            value=str(error),
            file=path,
            fix="Fetch it again and compare its checksum",
        ) from None
    except OSError as error:
        raise GeneqError("The GTF cannot be read", value=error.strerror, file=path) from None


def _row(line: bytes, number: int, path: Path, dropped: Tally) -> Row | None:
    try:
        fields = line.decode().rstrip("\r\n").split("\t")
    except UnicodeDecodeError:
        raise GeneqError(f"Line {number} is no text", file=path, fix=_NO_GTF) from None
    contig, _, feature, start, end, _, strand, _, text = fields
    found = attributes(text)
    gene_id = found.get("gene_id", [""])[0]
    if not gene_id and re.match(r"\s*\w+=", text):
        raise GeneqError(
            f"Line {number} has the attributes of GFF3, not of GTF",
            value=text[:60],
            file=path,
            fix="Convert the file to GTF, as with gffread -T",
        )
    if not gene_id:
        dropped.add("no_gene_id", f"line {number}")
    elif not (start.isdecimal() and end.isdecimal() and 1 <= int(start) <= int(end)):
        dropped.add("bad_coordinates", f"{gene_id} (line {number})")
    elif strand not in ("+", "-"):
        dropped.add("no_strand", f"{gene_id} (line {number})")
    else:
        # GTF is 1-based and closed: the first base of "-" is the last one of the row.
        tss = int(start if strand == "+" else end) - 1
        return Row(gene_id, contig, strand, feature == "gene", tss, found)
    return None


# --- on the genome ----------------------------------------------------------------------------


def place(
    genes: pd.DataFrame,
    genome: Genome,
    window: tuple[int, int],
    threads: int,
    dropped: Tally,
    files: str,
) -> tuple[pd.DataFrame, list[str]]:
    """The genes that `genome` has sequence for, by contig and TSS, and notes on their names.

    Chromosome names are matched as they are, else without "chr" and with M for MT. Genes on
    unknown contigs, with a TSS past the end of theirs, or with more than half of the window N or
    off the contig go to `dropped`.

    Raises GeneqError, naming `files`, when no contig is known or most genes have no sequence: the
    annotation is then that of another build.
    """
    genes, notes = _match_contigs(genes, genome, dropped, files)
    n_known = len(genes)
    beyond = (genes["tss"] >= genes["chrom"].map(genome.lengths)).to_numpy()
    dropped.add_all("beyond_contig", genes.loc[beyond, "gene_id"])
    genes = genes[~beyond]
    empty = _mostly_n(genes, genome, window, threads)
    dropped.add_all("mostly_n", genes.loc[empty, "gene_id"])
    if beyond.sum() + empty.sum() > n_known / 2:
        raise GeneqError(
            f"{beyond.sum() + empty.sum()} of {n_known} genes have no sequence: the FASTA and "
            "the GTF seem to be of different builds",
            value=f"{beyond.sum()} lie past the end of their contig, {empty.sum()} on N",
            file=files,
            fix="Give the annotation that was made for this genome",
        )
    genes = genes[~empty]
    rank = genes["chrom"].map({name: rank for rank, name in enumerate(genome.lengths)})
    order = np.lexsort((genes["gene_id"].astype(str), genes["tss"], rank))
    return genes.iloc[order].reset_index(drop=True), notes


def _match_contigs(
    genes: pd.DataFrame, genome: Genome, dropped: Tally, files: str
) -> tuple[pd.DataFrame, list[str]]:
    """`genes` on known contigs, `chrom` as the FASTA spells it."""
    names = {name: genome.contig(name) for name in genes["chrom"].unique()}
    known = genes["chrom"].map(names)
    absent = known.isna()
    if absent.all():
        raise GeneqError(
            "No chromosome of the GTF is in the FASTA",
            value=f"GTF has {_few(names)}; FASTA has {_few(genome.lengths)}",
            file=files,
            fix="Give files whose chromosomes are named alike ('chr' before the name may differ)",
        )
    dropped.add_all("contig_absent", genes.loc[absent, "gene_id"])
    genes, spelled = genes[~absent].assign(chrom=known[~absent]), genes.loc[~absent, "chrom"]
    differs = spelled != genes["chrom"]
    if not differs.any():
        return genes, []
    example = differs.idxmax()
    return genes, [
        f"{differs.sum()} genes lie on chromosomes that the GTF and the FASTA name differently "
        f"({spelled[example]} and {genes['chrom'][example]}): matched"
    ]


def _few(names) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _mostly_n(
    genes: pd.DataFrame, genome: Genome, window: tuple[int, int], threads: int
) -> np.ndarray:
    """bool[gene]: is more than half of the window N or off the contig?"""
    counts = [np.empty(0)]
    for start in range(0, len(genes), BATCH):
        part = genes.iloc[start : start + BATCH]
        tokens = genome.windows(part["chrom"], part["tss"], part["strand"], *window, threads)
        counts.append((tokens == 4).sum(axis=1))
    return np.concatenate(counts) > (window[1] - window[0]) / 2


def chosen_by(genes: pd.DataFrame) -> dict[str, int]:
    """How many genes' TSS was chosen by what."""
    return dict(Counter(genes["chosen_by"]))

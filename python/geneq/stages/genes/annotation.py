"""Genes and their TSS from a GTF, placed on the contigs of a genome.

The TSS of a gene with transcript rows is that of the transcript tagged MANE_Select, else
Ensembl_canonical, else the most 5' one among those of the best transcript_support_level (1 is the
best; none or NA is the worst). Of a gene without transcript rows it is the 5' end of the gene.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...errors import GeneqError, in_file, not_found
from ...gene_ids import stable_id
from ...genome import GZIP_ERRORS, Genome, damaged, open_maybe_gzip
from ...sizes import text_lines
from ...tally import Tally
from .transcripts import Exons, transcript_key

__all__ = ["attributes", "chosen_by", "place", "read_gtf"]

TAGS = ("MANE_Select", "Ensembl_canonical")
# Where annotations give a gene's symbol: Ensembl and GENCODE; FlyBase; NCBI and AGAT.
NAME_KEYS = ("gene_name", "gene_symbol", "gene")
WORST_SUPPORT = 6
LONGEST_NUMBER = 15
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Tokens of windows that are cut at once.
BATCH = 1 << 23

# A quote inside a value is one that no ";" follows: gene_name "5"-CD4";
_ATTRIBUTE = re.compile(
    r"""\s*([^\s"';=]+)
    (?: \s*"(?P<double>(?:[^"\\]|\\.|"(?!\s*(?:;|$)))*)"
      | \s*'(?P<single>(?:[^'\\]|\\.|'(?!\s*(?:;|$)))*)'
      | \s+(?P<plain>[^\s"';][^\s";]*)
    )\s*(?:;|$)""",
    re.VERBOSE,
)
# In a value: a quote, the name of the next attribute, and its quote.
_NO_SEMICOLON = re.compile(r"""["']\s+[A-Za-z_]\w*\s+["']""")
_NO_GTF = "Give a complete GTF (9 tab-separated fields per line; plain or gzip)"


def attributes(text: str) -> dict[str, list[str]]:
    """The attributes of a GTF line.

    Parameters
    ----------
    text : str
        The ninth field. Values may be in double quotes, in single quotes or without quotes.

    Returns
    -------
    dict of str to list of str
        Values by key, in their order, without the quotes around them. A quoted value may contain
        ";", quotes and escaped quotes (kept as they are); text that is not an attribute is
        ignored.
    """
    found: dict[str, list[str]] = {}
    for match in _ATTRIBUTE.finditer(text):
        key, *values = match.groups()
        found.setdefault(key, []).append(next(value for value in values if value is not None))
    return found


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

    key: bytes
    tss: int
    tags: frozenset[str]
    support: int


@dataclass
class Gene:
    """A gene of the GTF: the TSS of its gene row, if there is one, and its transcripts."""

    name: str = ""
    tss: int = -1
    transcripts: list[Transcript] = field(default_factory=list)


def read_gtf(path: str | Path, dropped: Tally) -> tuple[pd.DataFrame, Exons]:
    """Genes of a GTF, and the exons of their transcripts.

    Parameters
    ----------
    path : path
        GTF, plain or gzip, with gene or transcript rows.
    dropped : Tally
        Rows that cannot be used are counted there.

    Returns
    -------
    genes : DataFrame
        gene_id (without version), gene_name, chrom (as in the GTF), tss (0-based), chosen_by
        (MANE_Select, Ensembl_canonical, support or gene), transcripts (list of `transcript_key`:
        those that gave the TSS), strand. A gene that is on several contigs or strands has a row
        for each of these copies.
    exons : Exons

    Raises
    ------
    GeneqError
        The file is missing, truncated, not a GTF, or has no gene and transcript rows.
    """
    genes: dict[tuple[str, str, str], Gene] = {}
    features: Counter[bytes] = Counter()
    exons = Exons()
    for row in _rows(Path(path), features, exons, dropped):
        _collect(genes.setdefault(row[:3], Gene()), row, dropped)
    if not genes:
        raise _no_genes(path, features)
    table = pd.DataFrame(
        [
            (stable_id(id_), gene.name or stable_id(id_), contig, *_tss(gene, strand), strand)
            for (id_, contig, strand), gene in genes.items()
        ],
        columns=["gene_id", "gene_name", "chrom", "tss", "chosen_by", "transcripts", "strand"],
    )
    return table, exons


def _no_genes(path: str | Path, features: Counter[bytes]) -> GeneqError:
    others = [name.decode(errors="replace") for name, _ in features.most_common(5)]
    if not others or features[b"gene"] or features[b"transcript"]:
        return GeneqError("The GTF has no usable gene or transcript rows", file=path, fix=_NO_GTF)
    return GeneqError(
        f"The GTF has only {', '.join(others)} rows; a TSS is read from gene or transcript rows",
        file=path,
        fix="Give a file with gene or transcript rows; `gffread -T` adds transcript rows",
    )


def _collect(gene: Gene, row: Row, dropped: Tally) -> None:
    gene.name = gene.name or _name(row.attributes)
    if not row.is_gene:
        tags = frozenset(tag.replace(" ", "_") for tag in row.attributes.get("tag", []))
        key = transcript_key(row.contig, row.attributes.get("transcript_id", [""])[0])
        gene.transcripts.append(Transcript(key, row.tss, tags, _support(row.attributes)))
    elif gene.tss >= 0:
        dropped.add("duplicated_id", row.gene_id)
    else:
        gene.tss = row.tss


def _name(found: dict[str, list[str]]) -> str:
    return next((found[key][0] for key in NAME_KEYS if found.get(key, [""])[0]), "")


def _support(found: dict[str, list[str]]) -> int:
    level = found.get("transcript_support_level", ["NA"])[0]
    return int(level[0]) if level[:1] in set("12345") else WORST_SUPPORT


def _tss(gene: Gene, strand: str) -> tuple[int, str, list[bytes]]:
    """0-based TSS of `gene`, what it was chosen by, and the transcripts that gave it."""
    if not gene.transcripts:
        return gene.tss, "gene", []
    chosen, rule = _deciding(gene.transcripts)
    tss = (min if strand == "+" else max)(transcript.tss for transcript in chosen)
    return tss, rule, [transcript.key for transcript in chosen if transcript.tss == tss]


def _deciding(transcripts: list[Transcript]) -> tuple[list[Transcript], str]:
    """The transcripts of which the most 5' one gives the TSS, and what they were chosen by."""
    for tag in TAGS:
        tagged = [transcript for transcript in transcripts if tag in transcript.tags]
        if tagged:
            return tagged, tag
    best = min(transcript.support for transcript in transcripts)
    return [transcript for transcript in transcripts if transcript.support == best], "support"


def _rows(path: Path, features: Counter[bytes], exons: Exons, dropped: Tally) -> Iterator[Row]:
    """The usable gene and transcript rows.

    `features` counts the rows of every type, and exons are added to `exons`.
    """
    for number, line in _lines(path):
        fields = line.split(b"\t", 3) if line.count(b"\t") == 8 else []
        if not fields or (not line.endswith(b"\n") and not _is_complete(line)):
            raise GeneqError(
                f"Line {number} of the GTF is truncated or not a GTF line",
                value=line.decode(errors="replace").strip()[:60],
                file=path,
                fix=_NO_GTF,
            )
        features[fields[2]] += 1
        if fields[2] in (b"gene", b"transcript"):
            row = _row(line, number, path, dropped)
            if row:
                yield row
        elif fields[2] in Exons.ROWS:
            exons.add(line, number, dropped)


def _is_complete(last: bytes) -> bool:
    """Does the last line, which has no line end, end with a complete attribute?"""
    return not _ATTRIBUTE.sub("", last.decode(errors="replace").split("\t")[8]).strip()


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines, without comments and empty ones."""
    number = 0
    try:
        with in_file(path), open_maybe_gzip(path) as file:
            for number, line in enumerate(text_lines(file), 1):
                line = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
                if not line.startswith(b"#") and line.strip():
                    yield number, line
    except FileNotFoundError:
        raise not_found(path) from None
    except GZIP_ERRORS as error:
        rule = f"The compressed GTF is truncated or damaged after line {number}"
        raise damaged(rule, error, path) from None
    except OSError as error:
        raise GeneqError("The GTF cannot be read", value=error.strerror, file=path) from None


def _row(line: bytes, number: int, path: Path, dropped: Tally) -> Row | None:
    """The gene or transcript row; None, counted in `dropped`, if it cannot be used."""
    try:
        fields = line.decode().rstrip("\r\n").split("\t")
    except UnicodeDecodeError:
        raise GeneqError(f"Line {number} is not text", file=path, fix=_NO_GTF) from None
    contig, _, feature, start, end, _, strand, _, text = fields
    found = attributes(text)
    gene_id = found.get("gene_id", [""])[0]
    _check_attributes(found, gene_id, text, number, path)
    if not gene_id:
        dropped.add("no_gene_id", f"line {number}")
    elif not _are_coordinates(start, end):
        dropped.add("bad_coordinates", f"{gene_id} (line {number})")
    elif strand not in ("+", "-"):
        dropped.add("no_strand", f"{gene_id} (line {number})")
    else:
        # GTF is 1-based and closed: the first base of "-" is the last one of the row.
        tss = int(start if strand == "+" else end) - 1
        return Row(gene_id, contig, strand, feature == "gene", tss, found)
    return None


def _are_coordinates(start: str, end: str) -> bool:
    """Are they integers (of a size that fits int64), from 1 on and in order?"""
    numbers = all(text.isdecimal() and len(text) <= LONGEST_NUMBER for text in (start, end))
    return numbers and 1 <= int(start) <= int(end)


def _check_attributes(
    found: dict[str, list[str]], gene_id: str, text: str, number: int, path: Path
) -> None:
    """Raises GeneqError for GFF3, and where no ";" ends an attribute that is needed."""
    if not gene_id and re.match(r"\s*\w+=", text):
        raise GeneqError(
            f"Line {number} has the attributes of GFF3, not of GTF",
            value=text[:60],
            file=path,
            fix="Convert the file to GTF, as with gffread -T",
        )
    open_ended = [
        key for key in ("gene_id", *NAME_KEYS) if _NO_SEMICOLON.search(found.get(key, [""])[0])
    ]
    if not gene_id and re.match(r"\s*gene_id\s+[^\s;]", text):
        open_ended = ["gene_id"]
    if open_ended:
        raise GeneqError(
            f"Line {number} of the GTF has no ';' after {open_ended[0]}",
            value=text[:60],
            file=path,
            fix="End every attribute with ';'",
        )


# --- on the genome ----------------------------------------------------------------------------


def place(
    genes: pd.DataFrame,
    genome: Genome,
    window: tuple[int, int],
    threads: int,
    dropped: Tally,
    files: str,
) -> tuple[pd.DataFrame, list[str]]:
    """The genes that `genome` has sequence for, one row per gene.

    A copy of a gene is usable when its contig is in the genome, its TSS is on the contig, and at
    most half of its window is N or off the contig. Of several usable copies the one on the longest
    contig is taken (a chromosome rather than its alt contigs, chrX rather than chrY), then the
    first in the GTF. Contig names are compared as they are, else without "chr" and with M for MT.

    Parameters
    ----------
    genes : DataFrame
        From `read_gtf`.
    genome : Genome
    window : (first, end)
        Around the TSS, in nt.
    threads : int
    dropped : Tally
        Genes without a usable copy are counted there by what is wrong with the first one, and
        copies that were not taken.
    files : str
        Names of the two files, for errors.

    Returns
    -------
    genes : DataFrame
        By contig and TSS; `chrom` as in the FASTA.
    notes : list of str
        What to report about contig names.

    Raises
    ------
    GeneqError
        No contig is known, or most genes have no sequence: the annotation is that of another
        genome build.
    """
    contigs = _contigs(genes, genome, files)
    copies = genes.assign(spelled=genes["chrom"], chrom=genes["chrom"].map(contigs))
    problem = _problems(copies, genome, window, threads)
    _check_build(problem, files)
    kept = _best_copies(copies[problem == ""], genome)
    lost = ~copies["gene_id"].isin(kept["gene_id"])
    first = lost & ~copies.duplicated("gene_id")
    for reason in problem[first].unique():
        dropped.add_all(reason, copies.loc[first & (problem == reason), "gene_id"])
    dropped.add_all("duplicated_id", copies.loc[~first & ~copies.index.isin(kept.index), "gene_id"])
    rank = kept["chrom"].map({name: rank for rank, name in enumerate(genome.lengths)})
    order = np.lexsort((kept["gene_id"].astype(str), kept["tss"], rank))
    kept = kept.iloc[order].reset_index(drop=True)
    return kept.drop(columns="spelled"), _spelling_notes(kept)


def _contigs(genes: pd.DataFrame, genome: Genome, files: str) -> dict[str, str | None]:
    """Contig of the FASTA by its name in the GTF. Raises GeneqError when none is known."""
    names = {name: genome.contig(name) for name in genes["chrom"].unique()}
    if not any(names.values()):
        raise GeneqError(
            "No chromosome of the GTF is in the FASTA",
            value=f"GTF has {_few(names)}; FASTA has {_few(genome.lengths)}",
            file=files,
            fix="Give files with the same chromosome names ('chr' before the name may differ)",
        )
    return names


def _few(names) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _problems(
    copies: pd.DataFrame, genome: Genome, window: tuple[int, int], threads: int
) -> pd.Series:
    """Why a copy cannot be used; "" where it can."""
    problem = pd.Series("", index=copies.index, dtype=object)
    problem[copies["chrom"].isna()] = "contig_absent"
    problem[copies["tss"] >= copies["chrom"].map(genome.lengths)] = "beyond_contig"
    usable = copies[problem == ""]
    problem[usable.index[_mostly_n(usable, genome, window, threads)]] = "mostly_n"
    return problem


def _mostly_n(
    genes: pd.DataFrame, genome: Genome, window: tuple[int, int], threads: int
) -> np.ndarray:
    """bool[gene]: is more than half of the window N or off the contig?"""
    counts = [np.empty(0)]
    for tokens in windows(genes, genome, window, threads):
        counts.append((tokens == 4).sum(axis=1))
    return np.concatenate(counts) > (window[1] - window[0]) / 2


def windows(
    genes: pd.DataFrame, genome: Genome, window: tuple[int, int], threads: int
) -> Iterator[np.ndarray]:
    """Tokens uint8[some genes, length] of the windows of `genes`, in batches."""
    size = max(1, BATCH // (window[1] - window[0]))
    for start in range(0, len(genes), size):
        part = genes.iloc[start : start + size]
        yield genome.windows(
            part["chrom"].to_numpy(), part["tss"].to_numpy(), part["strand"].to_numpy(),
            *window, threads,
        )  # fmt: skip


def _check_build(problem: pd.Series, files: str) -> None:
    beyond, empty = (problem == "beyond_contig").sum(), (problem == "mostly_n").sum()
    known = (problem != "contig_absent").sum()
    if beyond + empty > known / 2:
        raise GeneqError(
            f"{beyond + empty} of {known} genes have no sequence: the FASTA and the GTF seem to be "
            "of different genome builds",
            value=f"{beyond} are past the end of their contig, {empty} on N",
            file=files,
            fix="Give the annotation that was made for this genome",
        )


def _best_copies(copies: pd.DataFrame, genome: Genome) -> pd.DataFrame:
    """One row per gene: the copy on the longest contig, the first of several."""
    length = copies["chrom"].map(genome.lengths)
    order = length.sort_values(ascending=False, kind="stable").index
    return copies.loc[order].drop_duplicates("gene_id")


def _spelling_notes(genes: pd.DataFrame) -> list[str]:
    differs = (genes["spelled"] != genes["chrom"]).to_numpy()
    if not differs.any():
        return []
    example = genes.iloc[differs.argmax()]
    return [
        f"{differs.sum()} genes are on chromosomes that the GTF and the FASTA name differently "
        f"({example['spelled']} and {example['chrom']}): matched"
    ]


def chosen_by(genes: pd.DataFrame) -> dict[str, int]:
    """How many genes' TSS was chosen by what."""
    return dict(Counter(genes["chosen_by"]))

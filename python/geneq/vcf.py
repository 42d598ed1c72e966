"""Variants of a VCF against the genome: one row per alternative allele, the reference checked.

Only the first five columns (CHROM, POS, ID, REF, ALT) are parsed. Alleles keep their spelling;
wherever variants are placed or compared, their normal form is used (`normalised`).
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from . import _ext
from .errors import GeneqError, not_found
from .genome import GZIP_ERRORS, Genome, damaged, is_truncated_bgzip, open_maybe_gzip
from .sizes import check_line
from .tally import EXAMPLES, Tally

__all__ = [
    "COLUMNS",
    "IUPAC",
    "KEY",
    "MALFORMED",
    "SAME",
    "Variants",
    "keyed",
    "leave_out",
    "lengths",
    "misfits",
    "normalised",
    "read_vcf",
]

CHUNK = 1 << 22
COLUMNS = ["chrom", "pos", "start", "id", "ref", "alt", "line"]
# Columns that identify a variant whatever its spelling: its normal form.
KEY = ["chrom", "first", "removed", "inserted"]
# Names of `_ext.vcf_alleles`' codes 0…7; alleles of bases are kept, so theirs is empty.
SAME, IUPAC, MALFORMED = "same_as_reference", "iupac_code", "malformed_allele"
KINDS = np.array(
    [
        "",
        "no_alternative",
        "overlapping_deletion",
        "symbolic",
        "breakend",
        SAME,
        IUPAC,
        MALFORMED,
    ],
    dtype=object,
)
# Token of N.
UNKNOWN = 4
# REF of up to this many bases are read from the genome in one batch.
SHORT = 16
# Bases left of a variant that are compared in one step: the first step, and the longest.
STEP, LONGEST_STEP = 16, 4096

_HEADER = re.compile(rb"^#CHROM\tPOS\tID\tREF\tALT(?:\t[^\n]*)?\r?$", re.MULTILINE)
_VARIANT = re.compile(rb"^[^#\r\n][^\n]{,60}", re.MULTILINE)
_NO_VCF = "Give a complete VCF (tab-separated, with its header; plain, gzip or bgzip)"
_NO_HEADER = "A VCF must have the header line #CHROM POS ID REF ALT above its variants"


@dataclass(frozen=True)
class Variants:
    """Variants that fit a genome, in the order of their file.

    Attributes
    ----------
    table : pd.DataFrame
        One row per alternative allele: chrom (as the genome spells it), pos (1-based, as in the
        VCF), start (0-based), id, ref, alt (upper case), line (of the file, from 1).
    skipped : dict
        ``{reason: {"n": alleles, "examples": at most 5}}``. Every alternative allele of the file
        is either a row of `table` or counted once here, under the first reason that applies:
        iupac_code (REF or ALT has an ambiguity code), malformed_allele (REF or ALT is nothing
        that a VCF may contain), no_alternative (ALT "."), overlapping_deletion ("*"), symbolic
        (such as <DEL>), breakend, same_as_reference, contig_absent, beyond_contig (includes the
        telomeres, POS 0 and after the last base), reference_differs, duplicated (the same edit as
        an earlier row, in any spelling).
    """

    table: pd.DataFrame
    skipped: dict[str, dict]


def read_vcf(path: str | Path, genome: Genome, threads: int = 1) -> Variants:
    """Read the variants of a VCF that fit a genome.

    Chromosome names are matched as they are, else without "chr" and with M for MT. A REF fits
    where it has the genome's bases, or the genome has N. Bytes that are not UTF-8 are read as the
    replacement character.

    Parameters
    ----------
    path : str or Path
        The VCF: plain, gzip or bgzip.
    genome : Genome
        The genome that its REF alleles are checked against.
    threads : int
        Threads of the extension.

    Returns
    -------
    Variants

    Raises
    ------
    GeneqError
        The file is missing, empty, truncated, damaged or not a VCF; a line breaks the rules
        (fewer than 5 fields, a POS that is not a whole number ≥ 0); most alleles are malformed;
        no contig is in the genome; most variants do not fit, so the VCF is of another build.
    """
    path, skipped = Path(path), Tally()
    table = _read(path)
    table = _alleles_of_bases(table, skipped, path)
    table = _on_contigs(table, genome, skipped, path)
    table = _fitting(table, genome, threads, skipped, path)
    again = keyed(table, genome, threads).duplicated(KEY)
    table = leave_out(table, np.where(again, "duplicated", ""), skipped)
    return Variants(table[COLUMNS].reset_index(drop=True), skipped.as_dict())


# --- normal form ------------------------------------------------------------------------------


def keyed(table: pd.DataFrame, genome: Genome, threads: int = 1) -> pd.DataFrame:
    """`table` with the columns first, removed and inserted: start, ref and alt of `normalised`.

    Rows that are the same edit of the genome agree in the columns `KEY`, and only they do.
    """
    return table.assign(**normalised(table, genome, threads).set_axis(KEY[1:], axis=1))


def normalised(table: pd.DataFrame, genome: Genome, threads: int = 1) -> pd.DataFrame:
    """The normal form of variants: left-aligned along repeats, without shared bases.

    Two variants have the same normal form if and only if they make the same sequence.

    Parameters
    ----------
    table : pd.DataFrame
        chrom (a contig of the genome), start (0-based), ref and alt (upper case; "" for none).
        `ref` is expected to be the genome's.
    genome : Genome
        Where the bases left of the variants are read.
    threads : int
        Threads of the extension.

    Returns
    -------
    pd.DataFrame
        start, ref and alt, with the index of `table`. `ref` is empty for an insertion, `alt` for
        a deletion: no anchor base is kept. An N of the genome equals no other base, so no variant
        is moved across it.

    References
    ----------
    Tan, Abecasis & Kang, "Unified representation of genetic variants", Bioinformatics 31:2202
    (2015): the algorithm of `vt normalize`, there with an anchor base.
    """
    start = table["start"].to_numpy(np.int64, copy=True)
    ref, alt = (table[name].to_numpy(object, copy=True) for name in ("ref", "alt"))
    for at in np.flatnonzero((lengths(ref) > 1) | (lengths(alt) > 1)):
        start[at], ref[at], alt[at] = _trim(start[at], ref[at], alt[at])
    indels = np.flatnonzero((ref == "") ^ (alt == ""))
    chroms = table["chrom"].iloc[indels]
    shifts = _shifts(chroms, start[indels], ref[indels] + alt[indels], genome, threads)
    for at, shift in zip(indels[shifts > 0], shifts[shifts > 0], strict=True):
        start[at], ref[at], alt[at] = (
            start[at] - shift,
            _turn(ref[at], shift),
            _turn(alt[at], shift),
        )
    return pd.DataFrame({"start": start, "ref": ref, "alt": alt}, index=table.index)


def _trim(start: int, ref: str, alt: str) -> tuple[int, str, str]:
    """The variant without shared bases: from the end first, then from the beginning."""
    end = _n_shared(ref[::-1], alt[::-1])
    ref, alt = ref[: len(ref) - end], alt[: len(alt) - end]
    first = _n_shared(ref, alt)
    return start + first, ref[first:], alt[first:]


def _n_shared(a: str, b: str) -> int:
    """Length of the common beginning of `a` and `b`."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((place for place, (x, y) in pairs if x != y), min(len(a), len(b)))


def _turn(bases: str, shift: int) -> str:
    """The bases of an insertion or deletion that is moved left by `shift`: they rotate."""
    cut = -shift % len(bases) if bases else 0
    return bases[cut:] + bases[:cut]


def _shifts(
    chroms: pd.Series, starts: np.ndarray, bases: np.ndarray, genome: Genome, threads: int
) -> np.ndarray:
    """int64[row]: by how many bases every insertion or deletion can move to the left.

    It can move as long as the base before it equals its last base, which then becomes its first:
    the j-th base to its left must equal its own j-th base from the end, cyclically.
    """
    sizes = lengths(bases)
    ends, tokens = np.cumsum(sizes), _ext.tokens("".join(bases).encode())
    shifts, step = np.zeros(len(sizes), np.int64), STEP
    moving = np.arange(len(sizes))
    while len(moving):
        back = shifts[moving, None] + np.arange(step)
        wanted = tokens[ends[moving, None] - 1 - back % sizes[moving, None]]
        places, strands = (starts[moving] - shifts[moving]).tolist(), ["+"] * len(moving)
        left = genome.windows(chroms.iloc[moving], places, strands, -step, 0, threads)[:, ::-1]
        same = (left == wanted) & (left != UNKNOWN)
        gained = np.where(same.all(axis=1), step, same.argmin(axis=1))
        shifts[moving] += gained
        moving, step = moving[gained == step], min(4 * step, LONGEST_STEP)
    return shifts


# --- the file ---------------------------------------------------------------------------------


def _read(path: Path) -> pd.DataFrame:
    """The alleles of the file: the columns of `Variants.table` and kind, an index into KINDS."""
    with _readable(path):
        parts = list(_parts(path))
        truncated = is_truncated_bgzip(path)
    if truncated:
        raise _truncated("the end-of-file block of bgzip is missing", path)
    return pd.concat(parts, ignore_index=True)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn errors while reading the VCF `path` into GeneqError."""
    try:
        if path.stat().st_size == 0:
            raise GeneqError("The VCF is empty", file=path, fix=_NO_VCF)
        yield
    except FileNotFoundError:
        raise not_found(path) from None
    except GZIP_ERRORS as error:
        raise _truncated(error, path) from None
    except OSError as error:
        raise GeneqError("The VCF cannot be read", value=error.strerror, file=path) from None


def _truncated(error: Exception | str, path: Path) -> GeneqError:
    return damaged("The VCF is truncated or damaged", error, path)


def _parts(path: Path) -> Iterator[pd.DataFrame]:
    """The alleles, a few megabytes of the file at a time."""
    header, number = None, 1
    for lines in _complete_lines(path):
        header = header or _header(lines, path)
        yield _columns(lines, number, path)
        number += lines.count(b"\n")
    if header is None:
        raise GeneqError(_NO_HEADER, file=path, fix=_NO_VCF)
    last = lines.rpartition(b"\n")[2]
    if last and last.count(b"\t") < header.count(b"\t"):
        raise _truncated(f"line {number} has no end and fewer fields than the header", path)


def _complete_lines(path: Path) -> Iterator[bytes]:
    """The text in parts of complete lines; what follows the last line end is the last part."""
    number = 1
    rest, mark = b"", codecs.BOM_UTF8  # some editors begin a file with this mark
    with open_maybe_gzip(path) as file:
        while chunk := file.read(CHUNK):
            chunk, mark = chunk.removeprefix(mark), b""
            lines, end, rest = (rest + chunk).rpartition(b"\n")
            number += lines.count(b"\n") + len(end)
            check_line(len(rest), number, path)
            yield lines + end
    yield rest


def _header(lines: bytes, path: Path) -> bytes | None:
    """The header line, if it is present. Raises GeneqError when a variant comes before it."""
    header, variant = _HEADER.search(lines), _VARIANT.search(lines)
    if variant and (header is None or variant.start() < header.start()):
        shown = variant.group().decode(errors="replace")
        raise GeneqError(_NO_HEADER, value=shown, file=path, fix=_NO_VCF)
    return header and header.group()


def _columns(lines: bytes, first: int, path: Path) -> pd.DataFrame:
    """The alleles of complete lines, the first of which has the number `first`."""
    try:
        line, pos, kind, *text = _ext.vcf_alleles(lines, first)
    except ValueError as error:
        raise GeneqError(
            "A line breaks the rules of VCF", value=str(error), file=path, fix=_NO_VCF
        ) from None
    chrom, name, ref, alt = (column.decode(errors="replace").split("\n")[:-1] for column in text)
    columns = dict(zip(COLUMNS, (chrom, pos, pos - 1, name, ref, alt, line), strict=True))
    return pd.DataFrame({**columns, "kind": kind})


# --- which variants are kept ------------------------------------------------------------------


def leave_out(
    table: pd.DataFrame, reasons: np.ndarray, skipped: Tally, unit: str = "line"
) -> pd.DataFrame:
    """The rows of `table` that are kept; the others are counted by reason.

    Parameters
    ----------
    table : pd.DataFrame
        chrom, pos, ref, alt, and the number of the line or row in the file in the column `unit`.
    reasons : np.ndarray
        object[row], why a row is skipped, "" where it is kept.
    skipped : Tally
        Counts the skipped rows.
    unit : str
        What the file's rows are called: "line" (from 1) or "row" (from 0).
    """
    kept = reasons == ""
    if kept.all():
        return table
    for reason, n in pd.Series(reasons[~kept]).value_counts(sort=False).items():
        examples = table[reasons == reason].head(EXAMPLES)
        shown = (_shown(row, unit) for row in examples.itertuples())
        skipped.add_many(str(reason), int(n), shown)
    return table[kept]


def _shown(row, unit: str = "line") -> str:
    """A variant as messages name it; `pos` is 1-based."""
    place = f"{unit} {getattr(row, unit)}: {row.chrom}:{row.pos}"
    return f"{place} {row.ref or '-'}>{row.alt or '-'}"


def _alleles_of_bases(table: pd.DataFrame, skipped: Tally, path: Path) -> pd.DataFrame:
    """The rows with a REF and ALT of bases. Raises GeneqError when most are malformed."""
    reasons = KINDS[table.pop("kind")]
    wrong = table[reasons == MALFORMED]
    if len(wrong) > len(table) / 2:
        raise GeneqError(
            "REF and ALT must be bases (ACGTN), or ALT '.', '*', <NAME> or a breakend; in most "
            "rows they are not",
            value=f"{len(wrong):,} of {len(table):,}; the first is "
            f"{_shown(next(wrong.itertuples()))}",
            file=path,
            fix=_NO_VCF,
        )
    return leave_out(table, reasons, skipped)


def _on_contigs(table: pd.DataFrame, genome: Genome, skipped: Tally, path: Path) -> pd.DataFrame:
    """The rows on known contigs, `chrom` as the genome spells it."""
    names = {name: genome.contig(name) for name in table["chrom"].unique()}
    if names and not any(names.values()):
        raise GeneqError(
            "No chromosome of the VCF is in the genome",
            value=f"VCF has {_few(names)}; genome has {_few(genome.lengths)}",
            file=path,
            fix="Use files with the same chromosome names (a leading 'chr' may differ)",
        )
    known = table["chrom"].map(names).astype(object)
    reasons = np.where(known.isna(), "contig_absent", "")
    return leave_out(table, reasons, skipped).assign(chrom=known[reasons == ""])


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _fitting(
    table: pd.DataFrame, genome: Genome, threads: int, skipped: Tally, path: Path
) -> pd.DataFrame:
    """The rows whose REF is what the genome has there."""
    reasons = misfits(table, genome, threads)
    beyond = reasons == "beyond_contig"
    wrong = table[reasons != ""]
    if len(wrong) > len(table) / 2:
        raise GeneqError(
            f"{len(wrong)} of {len(table)} variants do not fit the genome: the VCF seems to be of "
            "another build",
            value=f"{beyond.sum()} are beyond the end of their contig, {len(wrong) - beyond.sum()} "
            f"have another REF; the first is {_shown(next(wrong.itertuples()))}",
            file=path,
            fix="Give a VCF that was made for this genome",
        )
    return leave_out(table, reasons, skipped)


def misfits(table: pd.DataFrame, genome: Genome, threads: int = 1) -> np.ndarray:
    """Why variants do not fit a genome.

    Parameters
    ----------
    table : pd.DataFrame
        chrom (a contig of the genome), start (0-based) and ref.
    genome : Genome
        The genome.
    threads : int
        Threads of the extension.

    Returns
    -------
    np.ndarray
        object[row]: beyond_contig, reference_differs, or "" where the variant fits. Where the
        genome has N, any base fits.
    """
    ends = table["start"] + lengths(table["ref"])
    beyond = (table["start"] < 0) | (ends > table["chrom"].map(genome.lengths))
    reasons = np.where(beyond, "beyond_contig", "").astype(object)
    inside = np.flatnonzero(reasons == "")
    reasons[inside[_differs(table.iloc[inside], genome, threads)]] = "reference_differs"
    return reasons


def _differs(table: pd.DataFrame, genome: Genome, threads: int) -> np.ndarray:
    """bool[row]: does the genome have another base, not N, than REF?"""
    sizes = lengths(table["ref"])
    differs = np.zeros(len(table), dtype=bool)
    for width, rows in _by_width(sizes):
        part = table.iloc[rows]
        place = (part["chrom"], part["start"], ["+"] * len(part))
        there = genome.windows(*place, 0, width, threads)
        bases = "".join(ref.ljust(width, "N") for ref in part["ref"])
        given = _ext.tokens(bases.encode()).reshape(there.shape)
        in_ref = np.arange(width) < sizes[rows, None]
        differs[rows] = (in_ref & (there != given) & (there != UNKNOWN)).any(axis=1)
    return differs


def lengths(texts: pd.Series | np.ndarray) -> np.ndarray:
    """int64[row]: the length of every text."""
    return np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))


def _by_width(sizes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Rows in groups of similar length, each with a window width that holds them."""
    width, done = SHORT, 0
    while done < sizes.max(initial=0):
        rows = np.flatnonzero((sizes > done) & (sizes <= width))
        if len(rows):
            yield width, rows
        done, width = width, 4 * width

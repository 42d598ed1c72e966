"""Variants of a VCF against the genome: one row an alternative allele, the reference checked.

Only the first five columns (CHROM, POS, ID, REF, ALT) are taken apart. Variants are taken as they
are spelled: nothing is left-aligned; `trimmed` removes the symbols that both alleles share where a
variant has to be placed.
"""

import gzip
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from . import _ext
from .errors import GeneqError, not_found
from .genome import BGZF_END, Genome, is_bgzip, open_maybe_gzip
from .tally import EXAMPLES, Tally

CHUNK = 1 << 22
COLUMNS = ["chrom", "pos", "start", "id", "ref", "alt", "line"]
# What `_ext.vcf_alleles` calls 0…5; symbols, which stay, have no reason to be left out.
KINDS = np.array(
    ["", "no_alternative", "overlapping_deletion", "symbolic", "breakend", "same_as_reference"],
    dtype=object,
)
# Token of N.
UNKNOWN = 4
# REF of up to this many symbols are read from the genome together.
SHORT = 16

_HEADER = re.compile(rb"^#CHROM\tPOS\tID\tREF\tALT(?:\t[^\n]*)?\r?$", re.MULTILINE)
_VARIANT = re.compile(rb"^[^#\r\n][^\n]{,60}", re.MULTILINE)
_NO_VCF = "Give a whole VCF (tab-separated, its header included; plain, gzip or bgzip)"
_NO_HEADER = "A VCF must have the header line #CHROM POS ID REF ALT above its variants"


@dataclass(frozen=True)
class Variants:
    """Variants that fit a genome, in the order of their file.

    table: chrom (as the genome spells it), pos (1-based: the VCF's own), start (0-based), id,
    ref, alt (upper case), line (of the file, from 1); multi-allelic lines give several rows.
    skipped: {reason: {"n": alleles, "examples": at most 5}}. Every alternative of the file is
    either a row or counted once, by the first reason that applies: no_alternative (ALT "."),
    overlapping_deletion ("*"), symbolic (as <DEL>), breakend, same_as_reference, contig_absent,
    beyond_contig (also the telomeres, POS 0 and behind the last base), reference_differs,
    duplicated.
    """

    table: pd.DataFrame
    skipped: dict[str, dict]


def read_vcf(path: str | Path, genome: Genome, threads: int = 1) -> Variants:
    """The variants of the VCF at `path` (plain, gzip or bgzip) that fit `genome`.

    Chromosome names are matched as they are, else without "chr" and with M for MT. A REF fits
    where it has the genome's symbols, or the genome N. Bytes that are no UTF-8 read as
    the replacement character.

    Raises GeneqError for a file that is missing, empty, cut short, damaged or no VCF, for lines
    that break its rules (fewer than 5 fields, a POS that is no whole number or below 0, REF or ALT
    of other symbols than ACGTN), when no contig is known, and when most variants do not fit: the
    VCF is then that of another build.
    """
    skipped = Tally()
    table = _read(Path(path))
    table = leave_out(table, KINDS[table.pop("kind")], skipped)
    table = _on_contigs(table, genome, skipped, path)
    table = _fitting(table, genome, threads, skipped, path)
    again = table.duplicated(["chrom", "start", "ref", "alt"])
    table = leave_out(table, np.where(again, "duplicated", ""), skipped)
    return Variants(table[COLUMNS].reset_index(drop=True), skipped.as_dict())


def trimmed(table: pd.DataFrame) -> pd.DataFrame:
    """start, ref and alt of `table` without the symbols that both alleles share.

    Shared symbols go from the end first, then from the beginning, which moves `start`: what is
    left of ref is empty for an insertion, of alt for a deletion. Source of the order: Tan et al.
    2015, "Unified representation of genetic variants", without the shift along repeats.
    """
    found = table[["start", "ref", "alt"]].copy()
    long = np.flatnonzero((lengths(found["ref"]) > 1) | (lengths(found["alt"]) > 1))
    cut = [_trim(*row) for row in found.iloc[long].itertuples(index=False)]
    for column, values in zip(found, zip(*cut, strict=True), strict=bool(cut)):
        found.iloc[long, found.columns.get_loc(column)] = list(values)
    return found


def _trim(start: int, ref: str, alt: str) -> tuple[int, str, str]:
    end = _n_shared(ref[::-1], alt[::-1])
    ref, alt = ref[: len(ref) - end], alt[: len(alt) - end]
    first = _n_shared(ref, alt)
    return start + first, ref[first:], alt[first:]


def _n_shared(a: str, b: str) -> int:
    """Symbols that `a` and `b` begin with alike."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((place for place, (x, y) in pairs if x != y), min(len(a), len(b)))


# --- the file ---------------------------------------------------------------------------------


def _read(path: Path) -> pd.DataFrame:
    """The alleles of the file: the columns of `Variants.table` and kind, a place in KINDS."""
    with _readable(path):
        parts = list(_parts(path))
        whole = not is_bgzip(path) or _ends_with(path, BGZF_END)
    if not whole:
        raise _cut_short("the end mark of bgzip is missing", path)
    return pd.concat(parts, ignore_index=True)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what can go wrong while reading the VCF `path` into GeneqError."""
    try:
        if path.stat().st_size == 0:
            raise GeneqError("The VCF is empty", file=path, fix=_NO_VCF)
        yield
    except FileNotFoundError:
        raise not_found(path) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _cut_short(str(error), path) from None
    except OSError as error:
        raise GeneqError("The VCF cannot be read", value=error.strerror, file=path) from None


def _cut_short(how: str, path: Path) -> GeneqError:
    return GeneqError(
        "The VCF is cut short or damaged",
        value=how,
        file=path,
        fix="Fetch it again and compare its checksum",
    )


def _ends_with(path: Path, end: bytes) -> bool:
    with open(path, "rb") as file:
        file.seek(-len(end), os.SEEK_END)
        return file.read() == end


def _parts(path: Path) -> Iterator[pd.DataFrame]:
    """The alleles, some megabytes of the file at a time."""
    header, number = None, 1
    for lines in _whole_lines(path):
        header = header or _header(lines, path)
        yield _columns(lines, number, path)
        number += lines.count(b"\n")
    if header is None:
        raise GeneqError(_NO_HEADER, file=path, fix=_NO_VCF)
    last = lines.rpartition(b"\n")[2]
    if last and last.count(b"\t") < header.count(b"\t"):
        raise _cut_short(f"line {number} has no end and fewer fields than the header", path)


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The text in parts that end with a line; what follows the last line end is the last part."""
    rest = b""
    with open_maybe_gzip(path) as file:
        while chunk := file.read(CHUNK):
            lines, end, rest = (rest + chunk).rpartition(b"\n")
            yield lines + end
    yield rest


def _header(lines: bytes, path: Path) -> bytes | None:
    """The header line, if it is there. Raises GeneqError when a variant comes before it."""
    header, variant = _HEADER.search(lines), _VARIANT.search(lines)
    if variant and (header is None or variant.start() < header.start()):
        shown = variant.group().decode(errors="replace")
        raise GeneqError(_NO_HEADER, value=shown, file=path, fix=_NO_VCF)
    return header and header.group()


def _columns(lines: bytes, first: int, path: Path) -> pd.DataFrame:
    """The alleles of whole lines, the first of which has the number `first`."""
    try:
        line, pos, kind, *text = _ext.vcf_alleles(lines, first)
    except ValueError as error:
        raise GeneqError(
            "A line breaks the rules of VCF", value=str(error), file=path, fix=_NO_VCF
        ) from None
    chrom, name, ref, alt = (column.decode(errors="replace").split("\n")[:-1] for column in text)
    columns = dict(zip(COLUMNS, (chrom, pos, pos - 1, name, ref, alt, line), strict=True))
    return pd.DataFrame({**columns, "kind": kind})


# --- what stays -------------------------------------------------------------------------------


def leave_out(table: pd.DataFrame, reasons: np.ndarray, skipped: Tally) -> pd.DataFrame:
    """The rows of `table` whose reason is ""; the others are counted."""
    stays = reasons == ""
    if stays.all():
        return table
    for reason, n in pd.Series(reasons[~stays]).value_counts(sort=False).items():
        some = table[reasons == reason].head(EXAMPLES)
        skipped.add_many(reason, int(n), map(_shown, some.itertuples()))
    return table[stays]


def _shown(row) -> str:
    """A variant as messages name it; `pos` is the VCF's own."""
    return f"line {row.line}: {row.chrom}:{row.pos} {row.ref}>{row.alt}"


def _on_contigs(table: pd.DataFrame, genome: Genome, skipped: Tally, path: Path) -> pd.DataFrame:
    """The rows on known contigs, `chrom` as the genome spells it."""
    names = {name: genome.contig(name) for name in table["chrom"].unique()}
    if names and not any(names.values()):
        raise GeneqError(
            "No chromosome of the VCF is in the genome",
            value=f"VCF has {_few(names)}; genome has {_few(genome.lengths)}",
            file=path,
            fix="Give files whose chromosomes are named alike ('chr' before the name may differ)",
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
            value=f"{beyond.sum()} lie beyond their contig, {len(wrong) - beyond.sum()} have "
            f"another REF; the first is {_shown(next(wrong.itertuples()))}",
            file=path,
            fix="Give a VCF that was made for this genome",
        )
    return leave_out(table, reasons, skipped)


def misfits(table: pd.DataFrame, genome: Genome, threads: int = 1) -> np.ndarray:
    """object[row]: why a variant, on a contig of `genome`, does not fit it, "" where it does.

    table: chrom, start (0-based) and ref.
    """
    ends = table["start"] + lengths(table["ref"])
    beyond = (table["start"] < 0) | (ends > table["chrom"].map(genome.lengths))
    reasons = np.where(beyond, "beyond_contig", "").astype(object)
    inside = np.flatnonzero(reasons == "")
    reasons[inside[_differs(table.iloc[inside], genome, threads)]] = "reference_differs"
    return reasons


def _differs(table: pd.DataFrame, genome: Genome, threads: int) -> np.ndarray:
    """bool[row]: has the genome another base than REF, which is not N?"""
    sizes = lengths(table["ref"])
    differs = np.zeros(len(table), dtype=bool)
    for width, rows in _by_width(sizes):
        part = table.iloc[rows]
        strands = np.full(len(part), "+")
        there = genome.windows(part["chrom"], part["start"], strands, 0, width, threads)
        symbols = "".join(ref.ljust(width, "N") for ref in part["ref"])
        given = _ext.tokens(symbols.encode()).reshape(there.shape)
        asked = np.arange(width) < sizes[rows, None]
        differs[rows] = (asked & (there != given) & (there != UNKNOWN)).any(axis=1)
    return differs


def lengths(texts: pd.Series) -> np.ndarray:
    """int64[row]: symbols of every text."""
    return np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))


def _by_width(sizes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Rows in groups that fit into windows of one width, not much wider than they are long."""
    width, done = SHORT, 0
    while done < sizes.max(initial=0):
        rows = np.flatnonzero((sizes > done) & (sizes <= width))
        if len(rows):
            yield width, rows
        done, width = width, 4 * width

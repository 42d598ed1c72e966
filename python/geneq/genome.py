"""The indexed genome: written once by `index_fasta`, read by every stage through `Genome`.

Coordinates are 0-based and half-open, on the forward strand. `genome.fa` is canonical text: a line
">NAME" for every record, then its sequence in upper case, 60 symbols per line. The digest is the
sha256 of that text, so it does not depend on the case, line width, line ends or compression of the
file that was indexed.
"""

import gzip
import hashlib
import os
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyfaidx

from . import _ext
from .artifacts import read_json
from .errors import GeneqError, not_found

__all__ = [
    "BGZF_END",
    "BUILDS",
    "GZIP_ERRORS",
    "Genome",
    "Index",
    "Record",
    "bare",
    "build_of",
    "damaged",
    "index_fasta",
    "is_bgzip",
    "is_truncated_bgzip",
    "open_maybe_gzip",
]

CHUNK = 1 << 22
GZIP_MAGIC = b"\x1f\x8b"
FASTA = "genome.fa"
# Builds of genomes that differ in the length of this chromosome, in nt.
BUILDS = {
    "GRCh37": ("1", 249_250_621),
    "GRCh38": ("1", 248_956_422),
    "T2T-CHM13v2.0": ("1", 248_387_328),
    "NCBIM37": ("1", 197_195_432),
    "GRCm38": ("1", 195_471_971),
    "GRCm39": ("1", 195_154_279),
}
# Windows of one contig that are closer together than this are read at once.
GAP = 1 << 14


class Record(NamedTuple):
    """A FASTA record: its header (without ">") and its length in symbols."""

    header: str
    length: int

    @property
    def name(self) -> str:
        """The header up to the first white space."""
        return self.header.split()[0]


@dataclass(frozen=True)
class Index:
    """What indexing a FASTA found: records in the order of the file, digest of the sequence."""

    records: list[Record]
    digest: str

    @property
    def lengths(self) -> dict[str, int]:
        """Symbols of every record by name."""
        return {record.name: record.length for record in self.records}


# --- indexing ---------------------------------------------------------------------------------


def index_fasta(source: str | Path, folder: str | Path) -> Index:
    """Write the FASTA `source` as canonical text, with its index, into `folder`.

    Nothing is written next to `source`.

    Parameters
    ----------
    source : path
        Nucleotide FASTA: plain, gzip or bgzip (recognised by content, not by name); any line
        width, IUPAC symbols of either case.
    folder : path
        Existing folder. `genome.fa` and `genome.fa.fai` are written there.

    Returns
    -------
    Index
        Records in the order of the file, and the digest.

    Raises
    ------
    GeneqError
        The file is missing, empty, truncated or not a nucleotide FASTA, or two records have the
        same name.
    """
    source, target = Path(source), Path(folder) / FASTA
    digest, scanner = hashlib.sha256(), _ext.FastaScanner()
    with _readable(source), open_maybe_gzip(source) as file, open(target, "wb") as out:
        while chunk := file.read(CHUNK):
            text = scanner.feed(chunk)
            digest.update(text)
            out.write(text)
        rest, found = scanner.finish()
        digest.update(rest)
        out.write(rest)
    Path(f"{target}.fai").unlink(missing_ok=True)
    with pyfaidx.Faidx(str(target)):  # writes the index
        return Index([Record(*record) for record in found], digest.hexdigest())


@contextmanager
def _readable(source: Path) -> Iterator[None]:
    """Check the ends of the FASTA `source`; errors while it is read become GeneqError."""
    try:
        if source.stat().st_size == 0:
            raise GeneqError("The FASTA file is empty", file=source)
        if is_truncated_bgzip(source):
            raise EOFError("the end-of-file block of bgzip is missing")
        yield
    except FileNotFoundError:
        raise not_found(source) from None
    except GZIP_ERRORS as error:
        raise damaged("The compressed file is truncated or damaged", error, source) from None
    except ValueError as error:
        raise GeneqError(
            "Not a nucleotide FASTA",
            value=str(error),
            file=source,
            fix="Give DNA sequence in IUPAC symbols, with a different name for each record",
        ) from None
    except OSError as error:
        raise GeneqError("Indexing the FASTA failed", value=error.strerror, file=source) from None


# --- compressed files -------------------------------------------------------------------------

# What reading a truncated or damaged gzip file raises.
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)

# The empty block at the end of every bgzip file. Section 4.1 of the SAM specification.
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def open_maybe_gzip(path: str | Path) -> gzip.GzipFile | BufferedReader:
    """Open `path` for reading bytes, through gzip when its first bytes are those of gzip."""
    with open(path, "rb") as file:
        magic = file.read(len(GZIP_MAGIC))
    return gzip.open(path, "rb") if magic == GZIP_MAGIC else open(path, "rb")


def is_bgzip(path: str | Path) -> bool:
    """Whether the file begins with a block of bgzip: gzip whose extra field is named "BC"."""
    with open(path, "rb") as file:
        head = file.read(len(BGZF_END))
    return head[:4] == BGZF_END[:4] and head[12:14] == b"BC"


def is_truncated_bgzip(path: Path) -> bool:
    """Whether the file is compressed by bgzip and its end is missing."""
    if not is_bgzip(path):
        return False
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - len(BGZF_END)))
        return file.read() != BGZF_END


def damaged(rule: str, error: Exception | str, path: str | Path) -> GeneqError:
    """The error for a file that could not be read to its end."""
    return GeneqError(
        rule, value=str(error), file=path, fix="Download it again and compare its checksum"
    )


# --- reading ----------------------------------------------------------------------------------


def bare(chrom: str) -> str:
    """The name of a chromosome without "chr", M as MT: the form in which names are compared."""
    name = chrom[3:] if chrom[:3].lower() == "chr" else chrom
    return "MT" if name in ("M", "MT", "Mt") else name


def build_of(lengths: dict[str, int]) -> str | None:
    """The build of a genome by the lengths of its contigs; None for others than BUILDS."""
    found = {(bare(name), length) for name, length in lengths.items()}
    return next((build for build, chrom in BUILDS.items() if chrom in found), None)


class Genome:
    """Sequence from a folder that `geneq genes` wrote.

    Single regions are read by pyfaidx, batches of windows are cut by the extension. Positions
    outside a contig read as N.

    Parameters
    ----------
    folder : path
        Folder with `genome.fa`, `genome.fa.fai` and `genes.json`.

    Attributes
    ----------
    lengths : dict of str to int
        Length in symbols of every record, in the order of the file.

    Raises
    ------
    GeneqError
        The folder has no indexed genome.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._fasta = _open_fasta(self.folder / FASTA)
        self.lengths: dict[str, int] = {
            name: record.rlen for name, record in self._fasta.index.items()
        }

    @property
    def build(self) -> str | None:
        """The build, one of BUILDS, by the lengths of contigs; None for others."""
        return build_of(self.lengths)

    @cached_property
    def digest(self) -> str:
        """sha256 of the canonical text, from `genes.json`."""
        about = read_json(self.folder / "genes.json")
        return about["digest"]

    def contig(self, name: str) -> str | None:
        """The contig that another file calls `name`; None when there is none, or more than one.

        The exact name if there is one, else compared without "chr" and with M for MT.
        """
        if name in self.lengths:
            return name
        alike = [contig for contig in self.lengths if bare(contig) == bare(name)]
        return alike[0] if len(alike) == 1 else None

    def record(self, name: str) -> np.ndarray:
        """Tokens uint8[length] of a complete record. Raises GeneqError for an unknown name."""
        return self._tokens(name, 0, self._length(name))

    def tokens(self, chrom: str, start: int, end: int, strand: str = "+") -> np.ndarray:
        """Tokens uint8[end - start] of [start, end), as read on `strand`.

        Raises GeneqError for an unknown name or strand, or when end is not above start.
        """
        if end <= start:
            raise GeneqError("A region must end after its start", value=f"{chrom}:{start}-{end}")
        minus = _minus([strand])
        return self._cut(chrom, np.array([start], dtype=np.int64), end - start, minus, 1)[0]

    def windows(
        self,
        chroms: Sequence[str],
        positions: Sequence[int],
        strands: Sequence[str],
        first: int,
        end: int,
        threads: int = 1,
    ) -> np.ndarray:
        """Windows [first, end) around `positions`, read on the given strands.

        Parameters
        ----------
        chroms, positions, strands : sequences of n
            Contig, 0-based position on the forward strand, and "+" or "-".
        first, end : int
            Offsets in nt from the position, along the strand.
        threads : int
            Threads that cut windows; the result does not depend on it.

        Returns
        -------
        ndarray
            Tokens uint8[n, end - first]: column i is the base at offset first + i.

        Raises
        ------
        GeneqError
            An unknown name or strand, or end is not above first.
        """
        if end <= first:
            raise GeneqError("A window must end after its first base", value=f"[{first}, {end})")
        names, minus = np.asarray(chroms, dtype=object), _minus(strands)
        places = np.asarray(positions, dtype=np.int64)
        starts = np.where(minus, places - end + 1, places + first)
        out = np.empty((len(starts), end - first), dtype=np.uint8)
        for rows in _near(names, starts, end - first):
            out[rows] = self._cut(names[rows[0]], starts[rows], end - first, minus[rows], threads)
        return out

    def windows_of(self, genes: pd.DataFrame, first: int, end: int, threads: int = 1) -> np.ndarray:
        """Windows around the TSS of genes, rows of the gene table; as `windows`."""
        chroms, tss, strands = (genes[name].to_numpy() for name in ("chrom", "tss", "strand"))
        return self.windows(chroms, tss, strands, first, end, threads)

    def edited(
        self,
        chroms: Sequence[str],
        edits: np.ndarray,
        symbols: np.ndarray,
        out: np.ndarray,
        threads: int = 1,
    ) -> None:
        """Fill the rows of uint8[n, length] `out` with windows that have an edit each.

        Parameters
        ----------
        chroms : sequence of n str
        edits : ndarray of int64[n, 5]
            start, end, place, first, last: symbols[first:last] (tokens) replace [start, end) of
            the forward strand and begin at column `place`. To their left is the sequence up to
            start, to their right the sequence from end on.
        symbols : ndarray of uint8
        out : ndarray of uint8[n, length]
        threads : int

        Raises
        ------
        GeneqError
            An unknown name.
        ValueError
            Symbols outside their window.
        """
        names, length = np.asarray(chroms, dtype=object), out.shape[1]
        starts, ends, places = edits[:, 0], edits[:, 1], edits[:, 2]
        for rows in _near(names, starts, length):
            first, region = self._region(
                names[rows[0]],
                int((starts[rows] - places[rows]).min()),
                int((ends[rows] - places[rows]).max()) + length,
            )
            rows.sort()
            near = out[rows[0] : rows[-1] + 1]
            together = len(near) == len(rows)
            part = near if together else np.empty((len(rows), length), dtype=np.uint8)
            moved = edits[rows] - [first, first, 0, 0, 0]
            _ext.edited_windows(region, moved, symbols, part, threads)
            if not together:
                out[rows] = part

    def _cut(
        self, chrom: str, starts: np.ndarray, length: int, minus: np.ndarray, threads: int
    ) -> np.ndarray:
        """Windows that are near one another, from one region."""
        first, region = self._region(chrom, int(starts.min()), int(starts.max()) + length)
        return _ext.windows(region, starts - first, length, minus, threads)

    def _region(self, chrom: str, first: int, last: int) -> tuple[int, np.ndarray]:
        """The part of [first, last) that is on the contig: its start, and its tokens."""
        size = self._length(chrom)
        first, last = min(max(first, 0), size), min(max(last, 0), size)
        return first, self._tokens(chrom, first, last)

    def _tokens(self, chrom: str, start: int, end: int) -> np.ndarray:
        text = self._fasta.fetch(chrom, start + 1, end) if end > start else ""
        if len(text) < end - start:
            raise GeneqError("The genome is truncated", value=chrom, file=self.folder / FASTA)
        return _ext.tokens(text.encode())

    def _length(self, name: str) -> int:
        try:
            return self.lengths[name]
        except KeyError:
            raise GeneqError("No such sequence", value=name, file=self.folder) from None


def _open_fasta(path: Path) -> pyfaidx.Faidx:
    if not (path.exists() and os.path.exists(f"{path}.fai")):
        raise GeneqError("No indexed genome", file=path.parent, fix="Make it with `geneq genes`")
    with warnings.catch_warnings():
        # Copies of a results folder may have an index that is older than the sequence.
        warnings.filterwarnings("ignore", "Index file", RuntimeWarning)
        try:
            fasta = pyfaidx.Faidx(str(path), as_raw=True, rebuild=False)
            _check_end(fasta, path)
        except (ValueError, IndexError, pyfaidx.FastaIndexingError) as error:
            raise GeneqError(
                "The index of the genome is damaged",
                value=str(error),
                file=f"{path}.fai",
                fix="Make it again with `geneq genes`",
            ) from None
        return fasta


def _check_end(fasta: pyfaidx.Faidx, path: Path) -> None:
    """Raises ValueError unless the last record of the index ends where the file does."""
    if not fasta.index:
        raise ValueError("it has no records")
    last = list(fasta.index.values())[-1]
    lines, rest = divmod(last.rlen, last.lenc)
    left = path.stat().st_size - (last.offset + lines * last.lenb + rest)
    if not Path(f"{path}.fai").read_bytes().endswith(b"\n") or not -1 <= left <= last.lenb:
        raise ValueError(f"it does not end where {path.name} does, or one of them is truncated")


def _minus(strands: Sequence[str]) -> np.ndarray:
    """bool[n]: is the strand "-"? Raises GeneqError for anything but "+" and "-"."""
    found = np.asarray(strands, dtype=object)
    wrong = ~np.isin(found, ["+", "-"])
    if wrong.any():
        raise GeneqError("A strand must be '+' or '-'", value=str(found[wrong][0]))
    return found == "-"


def _near(chroms: np.ndarray, starts: np.ndarray, length: int) -> Iterator[np.ndarray]:
    """Rows in groups of one contig whose windows are less than GAP apart."""
    codes = pd.factorize(chroms)[0]
    order = np.lexsort((starts, codes))
    far = np.diff(starts[order]) > length + GAP
    breaks = np.flatnonzero(far | (np.diff(codes[order]) != 0)) + 1
    return (rows for rows in np.split(order, breaks) if len(rows))

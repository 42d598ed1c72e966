"""The indexed genome: made once by `index_fasta`, read by every stage through `Genome`.

Coordinates are 0-based and half-open, on the forward strand. The digest is the sha256 of the
canonical text: a line ">NAME" for every record, then its sequence in upper case, 60 symbols a
line. It does not depend on case, line width, line ends or compression of the file.
"""

import bisect
import gzip
import hashlib
import os
import shutil
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pandas as pd

from . import _ext
from .artifacts import read_json
from .errors import GeneqError, not_found

CHUNK = 1 << 22
GZIP_MAGIC = b"\x1f\x8b"
NAMES = ("genome.fa", "genome.fa.gz")
# Symbols a line of canonical text.
LINE = 60
# Windows of one contig that lie closer together than this are read in one go.
GAP = 1 << 14


class Record(NamedTuple):
    """A FASTA record and its place in the file: the columns of a `.fai` index, and the header."""

    header: str
    length: int
    offset: int
    line_bases: int
    line_width: int
    even: bool

    @property
    def name(self) -> str:
        """The header up to the first white space."""
        return self.header.split()[0]

    def place(self, position: int) -> int:
        """Byte offset of the symbol at `position`."""
        line, column = divmod(position, self.line_bases)
        return self.offset + line * self.line_width + column


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
    """Put the FASTA `source` (plain, gzip or bgzip) into `folder`, indexed.

    bgzip (told by its header, not its name) is copied to `genome.fa.gz` with `.fai` and `.gzi`;
    everything else becomes `genome.fa`, in canonical text, with `.fai`. So does a bgzip file with
    uneven lines, which no `.fai` can describe. Nothing is written beside `source`.

    Raises GeneqError for a file that is missing, empty, cut short or no nucleotide FASTA, and for
    names that stand there twice.
    """
    source, folder = Path(source), Path(folder)
    with _readable(source):
        if is_bgzip(source):
            index = _index_bgzip(source, folder)
            if index:
                return index
        return _rewrite(source, folder / "genome.fa")


@contextmanager
def _readable(source: Path) -> Iterator[None]:
    """Turn what can go wrong while reading the FASTA `source` into GeneqError."""
    try:
        if source.stat().st_size == 0:
            raise GeneqError("The FASTA file is empty", file=source)
        yield
    except FileNotFoundError:
        raise not_found(source) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise GeneqError(
            "The compressed file is cut short or damaged",
            value=str(error),
            file=source,
            fix="Fetch it again and compare its checksum",
        ) from None
    except ValueError as error:
        raise GeneqError(
            "Not a FASTA of nucleotides",
            value=str(error),
            file=source,
            fix="Give the genome's DNA sequence (IUPAC symbols, each record named once)",
        ) from None
    except OSError as error:
        raise GeneqError("Indexing the FASTA failed", value=error.strerror, file=source) from None


def open_maybe_gzip(path: str | Path) -> BinaryIO:
    """Open `path` for reading bytes, through gzip when its first bytes say so."""
    with open(path, "rb") as file:
        magic = file.read(len(GZIP_MAGIC))
    return gzip.open(path, "rb") if magic == GZIP_MAGIC else open(path, "rb")


def _rewrite(source: Path, target: Path) -> Index:
    """Write the canonical text of `source` to `target`, and its index beside it."""
    digest, scanner = hashlib.sha256(), _ext.FastaScanner()
    with open_maybe_gzip(source) as file, open(target, "wb") as out:
        while chunk := file.read(CHUNK):
            text = scanner.feed(chunk)
            digest.update(text)
            out.write(text)
        rest, records = scanner.finish()
        digest.update(rest)
        out.write(rest)
    records = list(_canonical_layout(Record(*record) for record in records))
    _write_fai(records, target)
    return Index(records, digest.hexdigest())


def _canonical_layout(records: Iterator[Record]) -> Iterator[Record]:
    """`records` with the places that they have in canonical text."""
    end = 0
    for record in records:
        offset = end + len(f">{record.name}\n".encode())
        end = offset + record.length + -(-record.length // LINE)
        yield Record(record.header, record.length, offset, LINE, LINE + 1, True)


def _write_fai(records: list[Record], fasta: Path) -> None:
    rows = ("\t".join(map(str, (record.name, *record[1:5]))) for record in records)
    Path(f"{fasta}.fai").write_text("".join(f"{row}\n" for row in rows))


# --- bgzip ------------------------------------------------------------------------------------

BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_HEADER = struct.Struct("<2sBBIBBH")
_HAS_EXTRA = 4
# No block is larger, compressed or not.
BLOCK = 1 << 16


def is_bgzip(path: str | Path) -> bool:
    """Does the file begin with a block of bgzip (gzip with the extra field "BC")?"""
    with open(path, "rb") as file:
        return _block_size(file.read(BLOCK)) is not None


def _block_size(head: bytes) -> tuple[int, int] | None:
    """Size of the bgzip block that begins with `head`, and of its header; None for no such block.

    Source of the format: section 4.1 of the SAM specification.
    """
    if len(head) < _HEADER.size:
        return None
    magic, _, flags, _, _, _, extra = _HEADER.unpack_from(head)
    if magic != GZIP_MAGIC or not flags & _HAS_EXTRA:
        return None
    at, end = _HEADER.size, _HEADER.size + extra
    while at + 6 <= min(end, len(head)):
        name, size, value = struct.unpack_from("<2sHH", head, at)
        if name == b"BC" and size == 2:
            return value + 1, end
        at += 4 + size
    return None


def _inflate(block: bytes, header: int) -> bytes:
    """The content of one whole bgzip block. Raises zlib.error when it is damaged."""
    text = zlib.decompress(block[header:-8], wbits=-zlib.MAX_WBITS)
    if struct.pack("<II", zlib.crc32(text), len(text)) != block[-8:]:
        raise zlib.error("a block's checksum is wrong")
    return text


def _blocks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Place and content of every block of a bgzip file. Raises EOFError when it is cut short."""
    place, last = 0, b""
    while head := file.read(_HEADER.size):
        if len(head) == _HEADER.size:
            head += file.read(_HEADER.unpack(head)[-1])
        sizes = _block_size(head)
        if sizes is None:
            raise EOFError(f"no bgzip block at byte {place}")
        size, header = sizes
        last = head + file.read(size - len(head))
        if len(last) < size:
            raise EOFError(f"the block at byte {place} is cut short")
        yield place, _inflate(last, header)
        place += size
    if last != BGZF_END:
        raise EOFError("the end mark of bgzip is missing")


def _index_bgzip(source: Path, folder: Path) -> Index | None:
    """Copy and index a bgzip FASTA; None, with nothing written, when its lines are uneven."""
    digest, scanner = hashlib.sha256(), _ext.FastaScanner()
    places, end = [], 0
    with open(source, "rb") as file:
        for place, text in _blocks(file):
            if text:
                places.append((place, end))
                end += len(text)
            digest.update(scanner.feed(text))
    rest, records = scanner.finish()
    digest.update(rest)
    records = [Record(*record) for record in records]
    if not all(record.even for record in records):
        return None
    target = folder / "genome.fa.gz"
    shutil.copyfile(source, target)
    _write_fai(records, target)
    _write_gzi(places, target)
    return Index(records, digest.hexdigest())


def _write_gzi(places: list[tuple[int, int]], fasta: Path) -> None:
    """The index of `bgzip -i`: places of all blocks but the first, compressed and not."""
    table = np.array(places[1:], dtype="<u8").reshape(-1, 2)
    Path(f"{fasta}.gzi").write_bytes(struct.pack("<Q", len(table)) + table.tobytes())


class _Bgzip:
    """Random access to a bgzip file with its `.gzi`."""

    def __init__(self, path: Path):
        self.file = open(path, "rb")  # noqa: SIM115
        table = np.fromfile(f"{path}.gzi", dtype="<u8")[1:].reshape(-1, 2)
        self.compressed = [0, *table[:, 0].tolist()]
        self.plain = [0, *table[:, 1].tolist()]

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes of the content from `offset`."""
        block = bisect.bisect_right(self.plain, offset) - 1
        skip = offset - self.plain[block]
        text = b""
        while len(text) < skip + size:
            text += self._block(self.compressed[block])
            block += 1
        return text[skip : skip + size]

    def _block(self, place: int) -> bytes:
        block = os.pread(self.file.fileno(), BLOCK, place)
        size, header = _block_size(block)
        return _inflate(block[:size], header)


class _Plain:
    """Random access to a plain file."""

    def __init__(self, path: Path):
        self.file = open(path, "rb")  # noqa: SIM115

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`."""
        return os.pread(self.file.fileno(), size, offset)


# --- reading ----------------------------------------------------------------------------------


def bare(chrom: str) -> str:
    """The name of a chromosome without "chr", M as MT: how names are compared."""
    name = chrom[3:] if chrom[:3].lower() == "chr" else chrom
    return "MT" if name in ("M", "MT", "Mt") else name


class Genome:
    """Sequence from a folder that `geneq genes` wrote.

    lengths: {record name: symbols}, in the order of the file. Off-contig positions read as N.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        path = next((p for p in (self.folder / n for n in NAMES) if p.exists()), None)
        if path is None or not Path(f"{path}.fai").exists():
            raise GeneqError("No indexed genome", file=folder, fix="Make it with `geneq genes`")
        self._records = _read_fai(Path(f"{path}.fai"))
        self._file = _Bgzip(path) if path.suffix == ".gz" else _Plain(path)
        self.lengths = {name: record.length for name, record in self._records.items()}

    @cached_property
    def digest(self) -> str:
        """sha256 of the canonical text, as `genes.json` states it."""
        return read_json(self.folder / "genes.json")["digest"]

    def contig(self, name: str) -> str | None:
        """The contig that another file calls `name`; None when there is none, or more than one.

        As it is, else without "chr" and with M for MT.
        """
        if name in self.lengths:
            return name
        alike = [contig for contig in self.lengths if bare(contig) == bare(name)]
        return alike[0] if len(alike) == 1 else None

    def record(self, name: str) -> np.ndarray:
        """Tokens uint8[length] of a whole record. Raises GeneqError for an unknown name."""
        return _ext.tokens(self._text(name, 0, self._known(name).length))

    def tokens(self, chrom: str, start: int, end: int, strand: str = "+") -> np.ndarray:
        """Tokens uint8[end - start] of [start, end), given on `strand`.

        Raises GeneqError for an unknown name or strand, or when end is not above start.
        """
        if end <= start:
            raise GeneqError("A region must end after its start", value=f"{chrom}:{start}-{end}")
        minus = _minus(np.array([strand]))
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
        """Tokens uint8[n, end - first] of windows [first, end) around `positions`.

        first and end are offsets in nt on the strand that is given ("+" or "-"), and so is the
        sequence: column i holds the base at offset first + i from the position.

        Raises GeneqError for an unknown name or strand, or when end is not above first.
        """
        if end <= first:
            raise GeneqError("A window must end after its first base", value=f"[{first}, {end})")
        chroms, minus = np.asarray(chroms, dtype=object), _minus(strands)
        positions = np.asarray(positions, dtype=np.int64)
        starts = np.where(minus, positions - end + 1, positions + first)
        out = np.empty((len(starts), end - first), dtype=np.uint8)
        for rows in _near(chroms, starts, end - first):
            out[rows] = self._cut(chroms[rows[0]], starts[rows], end - first, minus[rows], threads)
        return out

    def edited(
        self,
        chroms: Sequence[str],
        edits: np.ndarray,
        symbols: np.ndarray,
        out: np.ndarray,
        threads: int = 1,
    ) -> None:
        """Fill the rows of uint8[n, length] `out` with windows in which symbols are put.

        edits: int64[n, 5] of start, end, place, first, last: symbols[first:last] (tokens) stand
        from column place on, in place of [start, end) on the forward strand. What stands left of
        them ends at start, what stands right of them begins at end.

        Raises GeneqError for an unknown name, ValueError for symbols outside of their window.
        """
        chroms, length = np.asarray(chroms, dtype=object), out.shape[1]
        starts, ends, places = edits[:, 0], edits[:, 1], edits[:, 2]
        for rows in _near(chroms, starts, length):
            first, region = self._region(
                chroms[rows[0]],
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

    def _cut(self, chrom: str, starts, length: int, minus, threads: int) -> np.ndarray:
        """Windows that lie near one another, read in one go."""
        first, region = self._region(chrom, int(starts.min()), int(starts.max()) + length)
        return _ext.windows(region, starts - first, length, minus, threads)

    def _region(self, chrom: str, first: int, last: int) -> tuple[int, np.ndarray]:
        """What the contig has of [first, last): where that begins, and its tokens."""
        size = self._known(chrom).length
        first, last = min(max(first, 0), size), min(max(last, 0), size)
        return first, _ext.tokens(self._text(chrom, first, last))

    def _text(self, chrom: str, start: int, end: int) -> bytes:
        if end <= start:
            return b""
        record = self._known(chrom)
        offset = record.place(start)
        size = record.place(end - 1) + 1 - offset
        text = self._file.read(offset, size)
        if len(text) < size:
            raise GeneqError("The genome is cut short", value=chrom, file=self.folder)
        return text

    def _known(self, name: str) -> Record:
        try:
            return self._records[name]
        except KeyError:
            raise GeneqError("No such sequence", value=name, file=self.folder) from None


def _read_fai(path: Path) -> dict[str, Record]:
    rows = (line.split("\t") for line in path.read_text().rstrip("\n").split("\n"))
    return {name: Record(name, *map(int, numbers), True) for name, *numbers in rows}


def _minus(strands) -> np.ndarray:
    """bool[n]: is the strand "-"? Raises GeneqError for anything but "+" and "-"."""
    strands = np.asarray(strands, dtype=object)
    wrong = ~np.isin(strands, ["+", "-"])
    if wrong.any():
        raise GeneqError("A strand must be '+' or '-'", value=str(strands[wrong][0]))
    return strands == "-"


def _near(chroms: np.ndarray, starts: np.ndarray, length: int) -> Iterator[np.ndarray]:
    """Rows in groups of one contig whose windows lie less than GAP apart."""
    codes = pd.factorize(chroms)[0]
    order = np.lexsort((starts, codes))
    far = np.diff(starts[order]) > length + GAP
    breaks = np.flatnonzero(far | (np.diff(codes[order]) != 0)) + 1
    return (rows for rows in np.split(order, breaks) if len(rows))

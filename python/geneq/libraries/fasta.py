"""Libraries as FASTA, for programs that cannot read parquet."""

import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import numpy as np
import pandas as pd

from .. import encoding
from ..errors import GeneqError
from ..genome import BGZF_END, open_maybe_gzip
from ..sizes import text_lines

# Bytes in a bgzip block. zlib's level 4 is several times faster than its default 6, for files that
# are a fifth larger.
BLOCK, LEVEL = 0xFF00, 4
# Characters that headers contain as they are, besides letters and digits; others become %XX.
PLAIN = "!\"#$&'()*+,-./:;<>?@[\\]^_`{|}~"


# --- writing ----------------------------------------------------------------------------------


def write_fasta(
    path: Path,
    kind: str,
    alphabet: str,
    batches: Iterator[tuple[np.ndarray, pd.DataFrame]],
    threads: int,
) -> None:
    """Write records `>KIND_ROW COLUMN=VALUE…` with their sequence on one line.

    batches: tokens, and a table of row and design; see `write_library`. bgzip if the name ends
    in .gz. Raises GeneqError for an alphabet with the symbol ">".
    """
    if ">" in alphabet:
        raise GeneqError("FASTA cannot contain the symbol '>'", file=path.name, fix="Write parquet")
    name = _record_name(kind)
    with open(path, "wb") as file, _writer(file, path, threads) as write:
        for tokens, table in batches:
            symbols = encoding.symbols(tokens, alphabet).tolist()
            rows = zip(table["row"].tolist(), _attributes(table), symbols, strict=True)
            write(b"".join(b">%b%d%b\n%b\n" % (name, *row) for row in rows))


def _record_name(kind: str) -> bytes:
    """What precedes the row number in the name of a record."""
    return f"{kind}_".encode()


def _attributes(table: pd.DataFrame) -> list[bytes]:
    """The headers after the name; missing values are omitted."""
    columns = [
        [f" {_quoted(name)}={_quoted(value)}" if pd.notna(value) else "" for value in values]
        for name, values in table.items()
        if name != "row"
    ]
    return ["".join(row).encode() for row in zip(*columns, strict=True)] or [b""] * len(table)


def _quoted(value) -> str:
    return quote(str(value), safe=PLAIN)


@contextmanager
def _writer(file: BinaryIO, path: Path, threads: int) -> Iterator[Callable[[bytes], object]]:
    """A function that writes text to `file`: as it is, or as bgzip if the name ends in .gz."""
    if not path.name.lower().endswith(".gz"):
        yield file.write
        return
    pool = ThreadPoolExecutor(threads, "bgzip")

    def write(text: bytes) -> None:
        parts = (text[start : start + BLOCK] for start in range(0, len(text), BLOCK))
        file.writelines(pool.map(_block, parts))

    try:
        yield write
        file.write(BGZF_END)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _block(text: bytes) -> bytes:
    """A bgzip block: a gzip member with its size (SAM specification, section 4.1)."""
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = deflate.compress(text) + deflate.flush()
    head = struct.pack("<2sBBIBBH2sHH", b"\x1f\x8b", 8, 4, 0, 0, 255, 6, b"BC", 2, len(data) + 25)
    return head + data + struct.pack("<II", zlib.crc32(text), len(text))


# --- reading ----------------------------------------------------------------------------------


def read_fasta(
    path: Path, kind: str, alphabet: str, batch: int, threads: int
) -> Iterator[np.ndarray]:
    """Tokens of the records that `write_fasta` wrote, in batches.

    Raises GeneqError for records with other names, and whatever `fasta_records` raises.
    """
    name, first = _record_name(kind), 0
    records = fasta_records(path)
    while rows := list(islice(records, batch)):
        for row, (header, _) in enumerate(rows, first):
            if header.partition(b" ")[0] != b"%b%d" % (name, row):
                raise GeneqError(f"Record {row} (0-based) must be {name.decode()}{row}",
                                 value=header.decode(errors="replace"))  # fmt: skip
        yield encoding.tokens([text for _, text in rows], alphabet, threads)
        first += len(rows)


def fasta_records(path: str | Path) -> Iterator[tuple[bytes, bytes]]:
    """Header without ">" and sequence of the records of a FASTA: plain, gzip or bgzip.

    Raises ValueError for text before the first header; OSError, EOFError or zlib.error if the
    file cannot be read or is truncated.
    """
    header: bytes | None = None
    lines: list[bytes] = []
    with open_maybe_gzip(path) as file:
        for line in map(bytes.strip, text_lines(file)):
            if line.startswith(b">"):
                if header is not None:
                    yield header, b"".join(lines)
                header, lines = line[1:].strip(), []
            elif line and header is None:
                raise ValueError("a FASTA must begin with '>'")
            else:
                lines.append(line)
    if header is not None:
        yield header, b"".join(lines)

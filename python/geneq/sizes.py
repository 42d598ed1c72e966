"""Sizes of what files unpack to, checked before it is in memory.

A small file may unpack to, or say that it has, far more than any machine can hold. What is merely
large raises MemoryError as ever, after which the pipeline retries with more memory.
"""

import gzip
import zipfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import h5py

from .checks import available_memory
from .errors import GeneqError
from .genome import open_maybe_gzip

__all__ = ["check_archive", "check_dataset", "check_line", "check_text", "text_lines"]

# Bytes of a line; lines of a VCF with a million samples have less.
LONGEST_LINE = 1 << 26
CHUNK = 1 << 22
# Bytes of memory for each byte of a table or motif file while it is parsed.
PARSED = 16
# Tables of numbers and names, as gzip packs them, do not unpack to more than this many times.
DENSEST_TEXT = 100
# No byte of HDF5's own compression (deflate) unpacks to more than 1,032.
MOST_UNPACKED = 1100
_DAMAGED = "Copy the file again, or write it again: it may be damaged"


def text_lines(file: gzip.GzipFile | BufferedReader) -> Iterator[bytes]:
    """Lines of a file, none of which is longer than LONGEST_LINE; GeneqError otherwise."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        check_line(len(line), number)
        yield line


def check_line(length: int, number: int, path: str | Path | None = None) -> None:
    """Raises GeneqError, which names the line, if it has more bytes than LONGEST_LINE."""
    if length > LONGEST_LINE:
        raise GeneqError(f"A line must not be longer than {LONGEST_LINE >> 20} MB",
                         value=f"line {number}", file=path, fix=_DAMAGED)  # fmt: skip


def check_text(path: str | Path) -> None:
    """Raises GeneqError if a small gzip file is more text than fits into memory when it is parsed.

    Raises OSError, EOFError or zlib.error if it cannot be read.
    """
    size = Path(path).stat().st_size
    most = left = max(available_memory() // PARSED, DENSEST_TEXT * size)
    with open_maybe_gzip(path) as file:
        if not isinstance(file, gzip.GzipFile):
            return
        while left >= 0 and (chunk := file.read(CHUNK)):
            left -= len(chunk)
    if left < 0:
        raise GeneqError(
            "The compressed text is too large for memory",
            value=f"{size / 1e6:,.1f} MB unpack to more than {most / 1e6:,.0f} MB",
            file=path,
            fix=_DAMAGED,
        )


def check_archive(path: str | Path) -> None:
    """Raises GeneqError if the members of a ZIP archive are larger than the archive.

    geneq writes them uncompressed. Raises OSError or zipfile.BadZipFile if it cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > Path(path).stat().st_size:
        raise GeneqError("The archive unpacks to more than it has", value=f"{size:,} bytes",
                         file=path, fix=_DAMAGED)  # fmt: skip


def check_dataset(dataset: h5py.Dataset) -> None:
    """Raises GeneqError if an HDF5 dataset is too large for memory and is not in the file.

    Datasets have any shape; parts that were never written, and zeros, take hardly any bytes.
    """
    size, stored = dataset.size or 0, dataset.id.get_storage_size()
    claimed = size * dataset.dtype.itemsize
    if claimed > available_memory() and claimed > MOST_UNPACKED * stored:
        raise GeneqError(
            f"The file states more values of {dataset.name.strip('/')} than it stores",
            value=f"{size:,} values in {stored:,} bytes",
            file=dataset.file.filename,
            fix=_DAMAGED,
        )

"""Libraries as parquet: sequences as text, or tokens packed into few bits."""

import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .. import _ext, encoding
from ..checks import check_format, check_int
from ..encoding import Packed
from ..errors import GeneqError

FORMAT, VERSION = "geneq-library", 1
RECIPE_KEY, ABOUT_KEY = b"geneq-recipe", b"geneq-library"


class ColumnFormat(NamedTuple):
    """How a table stores the sequences.

    types: (length, alphabet) to types of the columns by name. arrays: (tokens, alphabet, threads)
    to the columns. tokens: (table, length, alphabet, threads) back to tokens uint8[rows, length];
    raises ValueError or GeneqError for columns that `arrays` cannot have made.
    """

    types: Callable[[int, str], dict[str, pa.DataType]]
    arrays: Callable[[np.ndarray, str, int], list[pa.Array]]
    tokens: Callable[[pa.RecordBatch, int, str, int], np.ndarray]


# --- text -------------------------------------------------------------------------------------


def _text_types(length: int, alphabet: str) -> dict[str, pa.DataType]:
    return {"sequence": pa.string()}


def _text_arrays(tokens: np.ndarray, alphabet: str, threads: int) -> list[pa.Array]:
    rows, length = tokens.shape
    ends = pa.py_buffer(np.arange(rows + 1, dtype=np.int32) * np.int32(length))
    symbols = pa.py_buffer(encoding.symbols(tokens, alphabet))
    return [pa.StringArray.from_buffers(rows, ends, symbols)]


def _text_tokens(table: pa.RecordBatch, length: int, alphabet: str, threads: int) -> np.ndarray:
    (texts,) = table.columns
    _, ends, symbols = texts.buffers()
    ends = np.frombuffer(ends, np.int32)[texts.offset :][: len(texts) + 1]
    if texts.null_count or np.any(np.diff(ends) != length):
        raise ValueError(f"a sequence does not have {length} symbols")
    symbols = np.frombuffer(symbols, "S1")[ends[0] : ends[-1]].reshape(-1, length)
    return encoding.tokens(symbols, alphabet, threads)


# --- packed tokens ----------------------------------------------------------------------------


def _packed_types(length: int, alphabet: str) -> dict[str, pa.DataType]:
    width = -(-length * _bits(alphabet) // 8)
    return {"packed": pa.binary(width), "unknown": pa.list_(pa.int32())}


def _bits(alphabet: str) -> int:
    """Bits of a packed token."""
    return max(1, (len(_ext.alphabet(alphabet)[0]) - 1).bit_length())


def _packed_arrays(tokens: np.ndarray, alphabet: str, threads: int) -> list[pa.Array]:
    packed = encoding.pack(tokens, alphabet, threads)
    rows, width = packed.data.shape
    ends = np.searchsorted(packed.unknown_row, np.arange(rows + 1)).astype(np.int32)
    data = [None, pa.py_buffer(packed.data)]
    return [
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), rows, data),
        pa.ListArray.from_arrays(ends, packed.unknown_position),
    ]


def _packed_tokens(table: pa.RecordBatch, length: int, alphabet: str, threads: int) -> np.ndarray:
    packed, unknown = table.columns
    positions = unknown.flatten()
    if packed.null_count or unknown.null_count or positions.null_count:
        raise ValueError("a value is missing")
    rows, width = len(packed), packed.type.byte_width
    data = np.frombuffer(packed.buffers()[1], np.uint8)[packed.offset * width :][: rows * width]
    row = np.repeat(np.arange(rows), np.diff(unknown.offsets))
    data = data.reshape(rows, width)
    return encoding.unpack(Packed(data, length, alphabet, row, positions.to_numpy()), threads)


LAYOUTS = {
    "text": ColumnFormat(_text_types, _text_arrays, _text_tokens),
    "packed": ColumnFormat(_packed_types, _packed_arrays, _packed_tokens),
}


# --- files ------------------------------------------------------------------------------------


class About(NamedTuple):
    """The metadata of a file; recipe is JSON."""

    layout: str
    rows: int
    length: int
    alphabet: str
    recipe: str


def write_parquet(
    path: Path,
    about: About,
    batches: Iterator[tuple[np.ndarray, pd.DataFrame]],
    threads: int,
) -> None:
    """Write the row number, the columns of the layout, and those of the design.

    batches: tokens, and a table of row and design; see `write_library`. Each is a row group.
    """
    types, arrays, _ = LAYOUTS[about.layout]
    held = [pa.field(*column) for column in types(about.length, about.alphabet).items()]
    head = next(batches)
    row, *design = pa.Schema.from_pandas(head[1], preserve_index=False)
    schema = pa.schema([row, *held, *design], _metadata(about))
    with pq.ParquetWriter(
        path,
        schema,
        # Packed tokens are dense already, and fast to write uncompressed.
        compression={name: "none" if name == "packed" else "zstd" for name in schema.names},
        use_dictionary=[field.name for field in design],
        write_statistics=["row"],
        column_encoding={"row": "DELTA_BINARY_PACKED"},
        write_page_checksum=True,
    ) as writer:
        for tokens, table in chain([head], batches):
            made = pa.Table.from_pandas(table, pa.schema([row, *design]), preserve_index=False)
            number, *described = made.columns
            group = [number, *arrays(tokens, about.alphabet, threads), *described]
            writer.write_table(pa.table(group, schema=schema), row_group_size=len(tokens))


def _metadata(about: About) -> dict[bytes, bytes]:
    document = {"format": FORMAT, "version": VERSION, **about._asdict()}
    recipe = document.pop("recipe")
    if about.layout == "packed":
        document["bits"] = _bits(about.alphabet)
    return {RECIPE_KEY: recipe.encode(), ABOUT_KEY: json.dumps(document).encode()}


def read_about(path: Path) -> About:
    """The metadata of the file at `path`, checked against its columns.

    Raises GeneqError for a file that `write_parquet`, or this version of it, did not write;
    ValueError or OSError if it cannot be read or is truncated.
    """
    with _opened(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
    metadata = schema.metadata or {}
    document = json.loads(metadata.get(ABOUT_KEY, b"{}"))
    check_format(document, "a library", FORMAT, VERSION)
    try:
        length, alphabet = check_int(document["length"], "length", 1), document["alphabet"]
        _ext.alphabet(alphabet)
        types = LAYOUTS[document["layout"]].types(length, alphabet)
        about = About(
            document["layout"], document["rows"], length, alphabet, metadata[RECIPE_KEY].decode()
        )
    except (KeyError, TypeError) as error:
        raise GeneqError("The metadata of the library is incomplete", value=repr(error)) from None
    found = {name: schema.field(name).type for name in types if name in schema.names}
    if found != types or about.rows != rows:
        raise GeneqError(
            "The table does not match its metadata",
            value=f"{rows} rows of {', '.join(map(str, schema.types))}",
        )
    return about


def read_parquet(path: Path, about: About, batch: int, threads: int) -> Iterator[np.ndarray]:
    """Tokens of the table at `path` in batches.

    Raises GeneqError, ValueError or OSError if it is damaged.
    """
    types, _, tokens = LAYOUTS[about.layout]
    columns = list(types(about.length, about.alphabet))
    with _opened(path) as file:
        for table in file.iter_batches(batch, columns=columns):
            yield tokens(table, about.length, about.alphabet, threads)


def _opened(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, page_checksum_verification=True)

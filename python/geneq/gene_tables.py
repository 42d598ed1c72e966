"""Tables of users with a row for each gene: text or parquet, as frames, gene ids and numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

from .artifacts import read_parquet
from .errors import GeneqError, not_found
from .gene_ids import stable_id
from .genome import GZIP_ERRORS, damaged, open_maybe_gzip
from .sizes import check_text

__all__ = ["ID", "gene_ids", "no_gene_found", "numbers", "read_table", "refuse_repeated"]

# The column of gene ids.
ID = "gene_id"


def read_table(path: Path) -> pd.DataFrame:
    """The table, with rows and with a different name for every column.

    Parameters
    ----------
    path : Path
        TSV or CSV, plain or gzip, or parquet (by its name, .parquet). An index of parquet that is
        no row number becomes a column; a first column of text without a name is called gene_id.

    Returns
    -------
    DataFrame
        Of text, with NaN where a cell is empty, NA or NaN; of parquet, columns as they are.

    Raises
    ------
    GeneqError
        The file cannot be read, has no rows, or has two columns of one name.
    """
    return _read_parquet(path) if path.suffix == ".parquet" else _read_text(path)


def gene_ids(column: pd.Series, path: Path, repeated: bool = False) -> pd.Index:
    """Gene ids of a column in the form of `stable_id`.

    Raises GeneqError if one is missing or, unless they may be `repeated`, occurs twice.
    """
    if column.isna().any():
        row = int(column.isna().argmax()) + 1
        raise GeneqError("A row of the table has no gene id", value=f"row {row}", file=path)
    ids = pd.Index([stable_id(str(text).strip()) for text in column])
    if not repeated:
        refuse_repeated(ids, path)
    return ids


def refuse_repeated(ids: pd.Index, path: Path) -> None:
    """Raises GeneqError if a gene occurs twice."""
    if repeated := ids[ids.duplicated()].tolist():
        raise GeneqError(
            "A gene has several rows in the table",
            value=f"{repeated[0]} ({len(set(repeated)):,} genes in all)",
            file=path,
            fix="Keep one row for each gene; versions of gene ids do not count",
        )


def numbers(column: pd.Series, path: Path) -> pd.Series:
    """float64[rows] of a column of numbers, or of their text; NaN where a cell is empty.

    Raises GeneqError for text and for values that are not finite in float32.
    """
    is_text = not pd.api.types.is_numeric_dtype(column)
    plain = column.map(str, na_action="ignore") if is_text else column
    numbers = pd.to_numeric(plain, errors="coerce").astype(float)
    with np.errstate(over="ignore"):
        wrong = column.notna() & ~np.isfinite(numbers.astype(np.float32))
    if wrong.any():
        _refuse(column, int(wrong.argmax()), path)
    return numbers


def _refuse(column: pd.Series, row: int, path: Path) -> NoReturn:
    raise GeneqError(
        f"The column {column.name} has a value that is not a finite number",
        value=f"{column.iloc[row]!s} in row {row + 1} below the header",
        file=path,
        fix="Columns besides the gene ids must have numbers; leave missing values empty",
    )


def no_gene_found(found: Sequence[str], genome: Sequence[str], path: Path) -> GeneqError:
    """The error for a file of `found` genes, none of which is in the genome."""
    return GeneqError(
        "No gene of the table is in the genome",
        value=f"the table has {_few(found)}; the genome has {_few(genome)}",
        file=path,
        fix="Use the ids of the annotation",
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(str, names[:3]))


def _read_parquet(path: Path) -> pd.DataFrame:
    frame = read_parquet(path).to_pandas()
    # Ids may be the index of a data frame.
    frame = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
    return _with_columns(frame, path)


def _read_text(path: Path) -> pd.DataFrame:
    """A TSV or CSV as text; NaN where a cell is empty."""
    try:
        check_text(path)
        with open_maybe_gzip(path) as file:
            header = file.readline()
        with open_maybe_gzip(path) as file:
            separator = "\t" if b"\t" in header else ","
            frame = pd.read_csv(file, sep=separator, header=None, dtype=str, encoding="utf-8-sig")
    except FileNotFoundError:
        raise not_found(path) from None
    except GZIP_ERRORS as error:
        raise damaged("The compressed table is truncated or damaged", error, path) from None
    except (OSError, ValueError) as error:  # pandas' errors of parsing and decoding are ValueErrors
        raise GeneqError(
            "The table cannot be read",
            value=str(error).strip().splitlines()[0],
            file=path,
            fix="Give a TSV or CSV with a header, or parquet",
        ) from None
    columns = frame.iloc[0].fillna("").str.strip().tolist()
    columns[0] = columns[0] or ID  # row names of R and pandas have none
    return _with_columns(frame.iloc[1:].set_axis(columns, axis=1).reset_index(drop=True), path)


def _with_columns(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """`frame`, if it has rows and every column a name of its own."""
    names = [str(name) for name in frame.columns]
    wrong = [name for i, name in enumerate(names) if not name or name in names[:i]]
    if wrong:
        raise GeneqError("Columns of the table must have different names",
                         value=wrong[0] or "a name is empty", file=path)  # fmt: skip
    if not len(frame):
        raise GeneqError("The table has no rows", file=path)
    return frame.set_axis(names, axis=1)

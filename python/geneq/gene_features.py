"""Gene features: numbers for each gene that are not scores of an oracle.

They are those of a user's table, or those that `geneq genes` reads from the GTF. A gene without a
value gets the median of the column over the genes of the genome that have one.
"""

import hashlib
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

from .artifacts import GENE_FEATURES, read_parquet
from .errors import GeneqError, not_found
from .features import Block
from .gene_ids import stable_id
from .genome import GZIP_ERRORS, damaged, open_maybe_gzip

__all__ = ["ANNOTATION_FILE", "of_annotation", "of_table"]

# In the folder of `geneq genes`.
ANNOTATION_FILE = "gene_features.parquet"
ID = "gene_id"


def of_table(path: str | Path, gene_id: np.ndarray) -> Block:
    """The block of a user's table.

    Parameters
    ----------
    path : path
        TSV or CSV, plain or gzip, or parquet (by its name, .parquet). Gene ids are in the column
        gene_id, else in the first one, and are compared in the form of `stable_id`; all other
        columns have numbers. Empty cells, NA and NaN are missing values.
    gene_id : ndarray of object[gene]
        The genes of the genome.

    Returns
    -------
    Block
        float32[gene, 1, column], named table:FILE; see `Block` for its `meta`.

    Raises
    ------
    GeneqError
        The file cannot be read; a column has text, an infinite value or, of the genome's genes, no
        value; no column has numbers; a gene is given twice, or none is in the genome.
    """
    path = Path(path)
    frame = _read_parquet(path) if path.suffix == ".parquet" else _read_text(path)
    ids = ID if ID in frame else frame.columns[0]
    table = frame.drop(columns=ids)
    if not len(table.columns):
        raise GeneqError("The table has no column of numbers besides the gene ids", file=path)
    table = pd.DataFrame({name: _numbers(table[name], path) for name in table})
    table.index = _gene_ids(frame[ids], path)
    return _block(f"table:{path.name}", table, gene_id, path)


def of_annotation(genome_dir: Path, about: dict, gene_id: np.ndarray) -> Block:
    """The block of what `geneq genes` read from the GTF.

    Parameters
    ----------
    genome_dir : path
        Folder that `geneq genes` wrote.
    about : dict
        Its genes.json.
    gene_id : ndarray of object[gene]

    Returns
    -------
    Block
        float32[gene, 1, column], named annotation:GTF.

    Raises
    ------
    GeneqError
        The GTF has no transcripts with exons.
    """
    if not about["gene_features"]:
        raise GeneqError(
            "--annotation_features needs transcript and exon rows in the GTF",
            value=", ".join(about["files"]),
            file=genome_dir / "genes.json",
            fix="Give a GTF with both, or the features as a table with --gene_features",
        )
    path = genome_dir / ANNOTATION_FILE
    table = GENE_FEATURES.read(path).set_index(ID)
    return _block(f"annotation:{about['files'][-1]}", table, gene_id, path)


def _block(name: str, table: pd.DataFrame, gene_id: np.ndarray, path: Path) -> Block:
    """A block of `table`, float64 with gene ids as its index."""
    known = table.reindex(gene_id)
    if not table.index.isin(gene_id).any():
        raise GeneqError(
            "No gene of the table is in the genome",
            value=f"the table has {_few(table.index)}; the genome has {_few(gene_id)}",
            file=path,
            fix="Use the ids of the annotation",
        )
    median, missing = known.median(), known.isna().sum()
    if median.isna().any():
        raise GeneqError("A column has no value for any gene of the genome",
                         value=median.index[median.isna()][0], file=path)  # fmt: skip
    values = known.fillna(median).to_numpy(np.float32)[:, None, :]
    meta = {"hash": _hash(table), "missing": {str(c): int(n) for c, n in missing.items()}}
    return Block(name, values, [str(column) for column in table], meta)


def _hash(table: pd.DataFrame) -> str:
    """SHA-256 of ids and numbers, whatever the format of the file and the order of its rows."""
    table = table.sort_index()
    digest = hashlib.sha256(b"gene features 1")
    for text in [*table.columns, *table.index]:
        digest.update(f"\0{text}".encode())
    digest.update(np.ascontiguousarray(table.to_numpy(), "<f8").tobytes())
    return digest.hexdigest()


def _few(names) -> str:
    return ", ".join(map(str, names[:3]))


def _gene_ids(column: pd.Series, path: Path) -> pd.Index:
    if column.isna().any():
        row = int(column.isna().argmax()) + 1
        raise GeneqError("A row of the table has no gene id", value=f"row {row}", file=path)
    ids = pd.Index([stable_id(str(text).strip()) for text in column])
    if repeated := ids[ids.duplicated()].tolist():
        raise GeneqError(
            "A gene has several rows in the table",
            value=f"{repeated[0]} ({len(set(repeated)):,} genes in all)",
            file=path,
            fix="Keep one row for each gene; versions of gene ids do not count",
        )
    return ids


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    """float64[rows] of a column of numbers, or of their text."""
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


def _read_parquet(path: Path) -> pd.DataFrame:
    frame = read_parquet(path).to_pandas()
    # Ids may be the index of a data frame.
    frame = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
    return _with_columns(frame, path)


def _read_text(path: Path) -> pd.DataFrame:
    """A TSV or CSV as text; NaN where a cell is empty."""
    try:
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

"""Gene features: numbers for each gene that are not scores of an oracle.

They are those of a user's table, or those that `geneq genes` reads from the GTF. A gene without a
value gets the median of the column over the genes of the genome that have one.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from .artifacts import GENE_FEATURES
from .errors import GeneqError
from .features import Block
from .gene_tables import ID, gene_ids, no_gene_found, numbers, read_table

__all__ = ["ANNOTATION_FILE", "of_annotation", "of_table"]

# In the folder of `geneq genes`.
ANNOTATION_FILE = "gene_features.parquet"


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
    frame = read_table(path)
    ids = ID if ID in frame else frame.columns[0]
    table = frame.drop(columns=ids)
    if not len(table.columns):
        raise GeneqError("The table has no column of numbers besides the gene ids", file=path)
    table = pd.DataFrame({name: numbers(table[name], path) for name in table})
    table.index = gene_ids(frame[ids], path)
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
        raise no_gene_found(table.index, gene_id.tolist(), path)
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

"""Features that were made elsewhere: a file of scores by gene, as a block of features.

Four forms are read, see `read_scores`. The block states where it comes from, so that equations over
it do, too; there is no oracle that could score other DNA.
"""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd

from .artifacts import GENES, read_object
from .binning import check_within, described, parse_edges
from .checks import check_memory
from .errors import GeneqError, in_file, not_found, some
from .features import Block, Features, of_genome
from .gene_tables import ID, gene_ids, no_gene_found, numbers, read_table, refuse_repeated
from .sizes import check_dataset

__all__ = ["Scores", "import_features", "read_scores"]

# A column of the wide form that is a class in one bin.
IN_BIN = re.compile("(.+)@([0-9]+)")
# Columns of the long form.
CLASS, BIN, VALUE = "class", "bin", "value"
# Columns of row labels that have gene ids: geneq's, and that of Selene for FASTA files.
LABELS = (ID, "name")
# Sei's scripts write scores of 61 rows of the projection, the first 40 of which have a name.
SEI_ROWS, SEI_CLASSES = 61, 40


class Scores(NamedTuple):
    """Scores as a file has them.

    gene_id: unique, in the form of `stable_id`. values: float32[gene, bin, class].
    """

    gene_id: pd.Index
    classes: list[str]
    values: np.ndarray


def import_features(
    path: str | Path,
    genome_dir: str | Path,
    name: str | None = None,
    rows: str | Path | None = None,
    columns: str | Path | None = None,
    bin_edges: str | None = None,
    trained: bool = True,
    held_out: list[str] | None = None,
) -> Features:
    """Features of a file that was made elsewhere.

    Parameters
    ----------
    path, rows, columns : path
        As for `read_scores`.
    genome_dir : path
        Folder that `geneq genes` wrote.
    name : str, optional
        Of the block, which is called imported:NAME; the file's by default.
    bin_edges : str, optional
        Edges of the bins, as for `geneq featurize`. Needed with more than one bin; one bin without
        edges has no place on the gene.
    trained, held_out
        What the model was trained on, see `Oracle`.

    Returns
    -------
    Features
        Complete, of the genes that the genome and the file share, in the order of the gene table.
        `meta` of the block has `source`: file, sha256, and those of the labels; unknown_genes,
        those of the file that the genome does not have, and missing_genes, the reverse.

    Raises
    ------
    GeneqError
        As `read_scores`; edges are missing or do not fit the bins or the window of the gene table;
        or no gene is in the genome.
    """
    path, genome_dir = Path(path), Path(genome_dir)
    about = read_object(genome_dir / "genes.json")
    scores = read_scores(path, rows, columns)
    edges = _edges(bin_edges, scores.values.shape[1], about, path, genome_dir)
    genes = pd.Index(GENES.read(genome_dir / "genes.parquet")[ID])
    shared = genes[genes.isin(scores.gene_id)]
    if not len(shared):
        raise no_gene_found(scores.gene_id, genes, path)
    values = scores.values[scores.gene_id.get_indexer(shared)]
    label_files = {
        what: Path(file) for what, file in (("rows", rows), ("columns", columns)) if file
    }
    source = {
        **_file(path),
        **{what: _file(file) for what, file in label_files.items()},
        "unknown_genes": len(scores.gene_id) - len(shared),
        "missing_genes": len(genes) - len(shared),
    }
    meta = {
        "hash": _hash(shared, scores.classes, values),
        "source": source,
        "trained": trained,
        "held_out": held_out,
        **_about_bins(edges, about["mode"]),
    }
    block = Block(f"imported:{name or path.name}", values, scores.classes, meta)
    return Features(shared.to_numpy(object), [block], of_genome(about)).complete()


def _edges(
    text: str | None, bins: int, about: dict, path: Path, genome_dir: Path
) -> list[float] | None:
    if text is None and bins == 1:
        return None
    if text is None:
        raise GeneqError("Features of several bins need --bin_edges", value=f"{bins} bins",
                         file=path, fix="Give the edges that they were made with")  # fmt: skip
    edges = parse_edges(text, about["mode"])
    if len(edges) != bins + 1:
        raise GeneqError(f"{bins} bins need {bins + 1} --bin_edges", value=text, file=path)
    check_within([edges], about["bin_edges"], genome_dir / "genes.json")
    return edges


def _about_bins(edges: list[float] | None, mode: str) -> dict:
    """What `meta` of an oracle's block has about its bins; nothing without edges."""
    if edges is None:
        return {}
    return {"strands": None, **described(edges, mode), "orientation": "as in the file"}


def _file(path: Path) -> dict:
    with open(path, "rb") as file:
        return {"file": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _hash(gene_id: pd.Index, classes: list[str], values: np.ndarray) -> str:
    digest = hashlib.sha256(f"imported 1 {values.shape}".encode())
    for text in [*classes, *gene_id]:
        digest.update(f"\0{text}".encode())
    digest.update(np.ascontiguousarray(values, "<f4").tobytes())
    return digest.hexdigest()


# --- files ------------------------------------------------------------------------------------


def read_scores(
    path: str | Path, rows: str | Path | None = None, columns: str | Path | None = None
) -> Scores:
    """Read scores by gene.

    Parameters
    ----------
    path : path
        .parquet, TSV or CSV (plain or gzip), with gene ids in the column gene_id or in the first
        one: either a column for each class, called CLASS, or CLASS@BIN with bins from 0 on; or in
        long form, with the columns gene_id, class, value and, for several bins, bin.
        .h5ad: genes in obs_names, classes in var_names, as the columns above.
        .npy: numbers [gene, class] or [gene, bin, class].
    rows : path, optional
        Of .npy: gene ids, one a line; or a table with tabs that has them in the column gene_id or
        name, as Sei's row labels.
    columns : path, optional
        Of .npy: classes, one a line. Of the 61 columns that Sei's scripts write, the 40 of
        seqclass.names are taken.

    Raises
    ------
    GeneqError
        The file cannot be read; a gene has two rows; a score is missing or not a finite number; or
        shapes, labels and bins do not fit one another.
    """
    path = Path(path)
    is_array = path.suffix == ".npy"
    if is_array != (rows is not None) or is_array != (columns is not None):
        raise GeneqError("--rows and --columns belong to .npy files, which need both", file=path)
    if rows is not None and columns is not None:
        found = _from_array(path, Path(rows), Path(columns))
    else:
        found = _from_h5ad(path) if path.suffix == ".h5ad" else _from_table(path)
    _check_finite(found, path)
    return found


def _from_table(path: Path) -> Scores:
    frame = read_table(path)
    if {ID, CLASS, VALUE} <= set(frame) <= {ID, CLASS, VALUE, BIN}:
        return _from_long(frame, path)
    ids = ID if ID in frame else frame.columns[0]
    table = frame.drop(columns=ids)
    if not len(table.columns):
        raise GeneqError("The table has no column of scores besides the gene ids", file=path)
    check_memory(12 * table.size, "The table takes", "Give the features as .npy")
    values = np.empty(table.shape, np.float32)
    for j, column in enumerate(table):
        values[:, j] = numbers(table[column], path)
    return _in_bins(gene_ids(frame[ids], path), list(table), values, path)


def _from_h5ad(path: Path) -> Scores:
    import anndata

    if not path.is_file():
        raise not_found(path)
    try:
        with h5py.File(path) as file:
            file.visititems(_check_size)
        data = anndata.read_h5ad(path)
    except GeneqError:
        raise
    except Exception as error:  # of h5py and anndata, of many types
        raise GeneqError("The h5ad file cannot be read", value=str(error).splitlines()[0],
                         file=path) from None  # fmt: skip
    if data.X is None or not data.n_obs or not data.n_vars:
        raise GeneqError("The h5ad file has no matrix of genes and classes", value=str(data.shape),
                         file=path)  # fmt: skip
    values = data.X if isinstance(data.X, np.ndarray) else data.X.toarray()
    if twice := data.var_names[data.var_names.duplicated()].tolist():
        raise GeneqError("Classes must have different names", value=twice[0], file=path)
    ids = gene_ids(pd.Series(data.obs_names), path)
    return _in_bins(ids, list(data.var_names), values.astype(np.float32), path)


def _check_size(_name: str, part: h5py.Group | h5py.Dataset) -> None:
    if isinstance(part, h5py.Dataset):
        check_dataset(part)


def _in_bins(ids: pd.Index, names: list[str], values: np.ndarray, path: Path) -> Scores:
    """Scores from columns CLASS, or CLASS@BIN."""
    matches = [IN_BIN.fullmatch(name) for name in names]
    if not any(matches):
        return Scores(ids, names, values[:, None])
    parts = [(match[1], int(match[2])) for match in matches if match]
    if len(parts) < len(names):
        plain = names[matches.index(None)]
        raise GeneqError("Either all columns are CLASS@BIN or none", value=plain, file=path)
    return _filled(ids, parts, values, path)


def _filled(ids: pd.Index, parts: list[tuple[str, int]], values: np.ndarray, path: Path) -> Scores:
    """Scores from float32[gene, column], with the class and bin of each column."""
    classes = list(dict.fromkeys(name for name, _ in parts))
    bins = 1 + max(b for _, b in parts)
    place = {part: j for j, part in enumerate(parts)}
    wanted = [(name, b) for b in range(bins) for name in classes]
    if len(place) < len(parts) or len(place) < len(wanted):
        missing = next((part for part in wanted if part not in place), parts[0])
        raise GeneqError("Every class needs one column for each bin, from 0 on",
                         value=f"{missing[0]}@{missing[1]}", file=path)  # fmt: skip
    ordered = values[:, [place[part] for part in wanted]]
    return Scores(ids, classes, ordered.reshape(len(ids), bins, len(classes)))


def _from_long(frame: pd.DataFrame, path: Path) -> Scores:
    ids = gene_ids(frame[ID], path, repeated=True)
    if frame[CLASS].isna().any():
        raise GeneqError("A row of the table has no class", file=path,
                         value=f"row {int(frame[CLASS].isna().argmax()) + 1}")  # fmt: skip
    bins = numbers(frame[BIN], path) if BIN in frame else pd.Series(0.0, frame.index)
    if not ((bins >= 0) & (bins % 1 == 0)).all():
        raise GeneqError("bin must be a whole number from 0 on", file=path)
    keys = pd.DataFrame({ID: ids, CLASS: frame[CLASS].astype(str), BIN: bins.astype(int)})
    if (twice := keys.duplicated()).any():
        gene, name, b = keys[twice].iloc[0]
        raise GeneqError("A gene has two values for a class and bin",
                         value=f"{gene}, {name}, bin {b}", file=path)  # fmt: skip
    genes, columns = (
        pd.factorize(keys[ID]),
        pd.factorize(pd.MultiIndex.from_frame(keys[[CLASS, BIN]])),
    )
    values = np.full((len(genes[1]), len(columns[1])), np.nan, np.float32)
    values[genes[0], columns[0]] = numbers(frame[VALUE], path)
    return _filled(pd.Index(genes[1]), list(columns[1]), values, path)


def _from_array(path: Path, rows: Path, columns: Path) -> Scores:
    values, names = _array(path), _lines(columns)
    ids = gene_ids(pd.Series(_labels(rows)), rows, repeated=True)
    if len(ids) != len(values):
        raise GeneqError("The array must have a row for each row label",
                         value=f"{len(values):,} rows, {len(ids):,} labels in {rows}",
                         file=path)  # fmt: skip
    refuse_repeated(ids, rows)
    if len(set(names)) < len(names):
        raise GeneqError("Classes must have different names", file=columns)
    if (values.shape[-1], len(names)) == (SEI_ROWS, SEI_CLASSES):
        values = values[..., :SEI_CLASSES]
    if values.shape[-1] != len(names):
        raise GeneqError("The array must have a column for each name",
                         value=f"{values.shape[-1]:,} columns, {len(names):,} names in {columns}",
                         file=path)  # fmt: skip
    values = values if values.ndim == 3 else values[:, None]
    return Scores(ids, names, values.astype(np.float32))


def _array(path: Path) -> np.ndarray:
    """Numbers [row, class] or [row, bin, class]."""
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise not_found(path) from None
    except (ValueError, OSError, EOFError) as error:
        raise GeneqError("Not a complete .npy file of numbers", value=str(error),
                         file=path) from None  # fmt: skip
    if values.dtype.kind not in "fiu" or values.ndim not in (2, 3) or not values.size:
        raise GeneqError("The array must have numbers of shape [gene, class] or [gene, bin, class]",
                         value=f"{values.dtype} of shape {values.shape}", file=path)  # fmt: skip
    return values


def _lines(path: Path) -> list[str]:
    """Lines of a text file that are not empty. Raises GeneqError if there are none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise not_found(path) from None
    except (UnicodeDecodeError, OSError) as error:
        raise GeneqError("Not a text file", value=str(error), file=path) from None
    found = [line.rstrip() for line in lines if line.strip()]
    if not found:
        raise GeneqError("The file is empty", file=path)
    return found


def _labels(path: Path) -> list[str]:
    """Gene ids of row labels: a column of a table, or lines."""
    lines = _lines(path)
    header = lines[0].split("\t")
    column = next((header.index(name) for name in LABELS if name in header), None)
    if column is None:
        if len(header) > 1:
            raise GeneqError(f"Row labels need a column {' or '.join(LABELS)}", file=path,
                             value=", ".join(header))  # fmt: skip
        return lines
    cells = [line.split("\t") for line in lines[1:]]
    if wrong := [i for i, row in enumerate(cells, 2) if len(row) <= column]:
        raise GeneqError("A row label has too few columns", value=f"line {some(wrong)}", file=path)
    return [row[column] for row in cells]


def _check_finite(scores: Scores, path: Path) -> None:
    """Raises GeneqError, which names gene, class and bin, for a score that is not finite."""
    with in_file(path):
        if not scores.values.size:
            raise GeneqError("The file has no scores")
        if not np.isfinite([scores.values.min(), scores.values.max()]).all():
            gene, b, column = np.argwhere(~np.isfinite(scores.values))[0]
            raise GeneqError(
                "Every gene needs a finite score for each class and bin",
                value=f"{scores.values[gene, b, column]} for {scores.gene_id[gene]}, class "
                f"{scores.classes[column]}, bin {b}",
                fix="Remove genes without scores",
            )

"""Sum single cells to one expression profile per cell type, with standard errors and reliability.

Counts are summed over a type's cells, converted to counts per million over all genes of the file,
and then mapped to the gene table; values that are CPM already are averaged and rescaled to one
million. Features that are not genes (antibodies, peaks, spike-ins) are dropped first. Written are
log2(CPM + 1) and its standard error for each gene and cell type, and for each cell type the
reliability of its profile. The file is read in blocks: memory grows with cell types times genes,
and hardly with the number of cells.
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np
import pandas as pd

from ... import artifacts
from ...checks import check_int
from ...errors import GeneqError
from .cells import Cells, label_cells
from .features import find_genes, identifiers
from .mapping import Mapping, map_genes
from .reading import open_h5ad, open_matrix
from .summing import sum_matrix
from .sums import Estimates, assign_groups, estimate

__all__ = ["add_arguments", "pseudobulk", "run"]

FEW_COUNTS = 1e5


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--h5ad", required=True, help="single-cell data (anndata)")
    parser.add_argument("--dataset", required=True, help="name of the data set")
    parser.add_argument("--cell_type_key", required=True, help="column of obs with cell types")
    parser.add_argument("--layer", help="layer to read, or raw.X (default: X)")
    parser.add_argument(
        "--scale",
        choices=("auto", "counts", "cpm"),
        default="auto",
        help="scale of the values (default: auto, inferred from integers and the cells' totals)",
    )
    parser.add_argument(
        "--donor_key", help="column of obs with donors: then standard errors are over donors"
    )
    parser.add_argument("--genes", required=True, help="gene table (genes.parquet)")
    parser.add_argument(
        "--min_cells", type=int, default=10, help="minimum cells of a cell type (default: 10)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the random halves of cells (default: 1)"
    )
    parser.add_argument("--out", required=True, help="output folder")


def run(args: Namespace) -> None:
    """Write OUT/expression.parquet and OUT/expression.json."""
    if args.min_cells < 1:
        raise GeneqError("--min_cells must be at least 1", value=args.min_cells)
    check_int(args.seed, "--seed", 0)
    genes = artifacts.GENES.read(args.genes)
    expression, document = pseudobulk(
        args.h5ad,
        args.cell_type_key,
        genes,
        layer=args.layer or None,
        scale=args.scale,
        donor_key=args.donor_key or None,
        min_cells=args.min_cells,
        seed=args.seed,
    )
    out = Path(args.out)
    document = {"dataset": args.dataset, **document}
    artifacts.EXPRESSION.write(expression, out / "expression.parquet")
    artifacts.write_json(document, out / "expression.json")
    _print_summary(document)


def pseudobulk(
    h5ad: str | Path,
    cell_type_key: str,
    genes: pd.DataFrame,
    *,
    layer: str | None = None,
    scale: str = "auto",
    donor_key: str | None = None,
    min_cells: int = 10,
    seed: int = 1,
    block_values: int | None = None,
) -> tuple[pd.DataFrame, dict]:
    """Expression of each cell type of an h5ad file.

    Parameters
    ----------
    h5ad : str or Path
        Single-cell data as anndata 0.7 or later writes them, or a program that follows its format.
    cell_type_key : str
        Column of obs with cell types.
    genes : pandas.DataFrame
        The gene table (artifacts.GENES). Genes that the file lacks get no row.
    layer : str, optional
        Layer to read, or "raw.X"; X by default.
    scale : {"auto", "counts", "cpm"}
        Scale of the values; "auto" infers it. Log-transformed values are refused.
    donor_key : str, optional
        Column of obs with donors, which are then the units of standard errors and reliability.
    min_cells : int
        Cell types with fewer cells are dropped.
    seed : int
        Seed of the random halves that reliability is measured with.
    block_values : int, optional
        Number of entries read at once.

    Returns
    -------
    expression : pandas.DataFrame
        As artifacts.EXPRESSION: gene_id, cell_type, log2cpm, counts, n_cells, se.
    document : dict
        expression.json without `dataset`: what was read, mapped and dropped, the reliability of
        each cell type, and notes.

    Raises
    ------
    GeneqError
        If the file is damaged, lacks a column or matrix that was named, contains values that cannot
        be summed, is of another species than the gene table, or leaves no cell type or gene.
    """
    with open_h5ad(h5ad) as file:
        matrix = open_matrix(file, layer, *([block_values] if block_values else []))
        features = find_genes(matrix.var)
        names = {key: values[features.genes] for key, values in identifiers(matrix.var).items()}
        mapping = map_genes(names, genes, h5ad)
        cells = label_cells(matrix.obs, cell_type_key, donor_key, min_cells)
        groups = assign_groups(cells.types, cells.donors, seed)
        summed = sum_matrix(matrix, scale, groups, features, mapping)
    sums = summed.sums
    estimates = estimate(groups, sums, seed)
    kept = estimates.n_cells >= min_cells
    cells.drop_small(kept, estimates.n_cells, min_cells)
    expression = _table(estimates, kept, cells.names, genes, mapping, summed.scale)
    document = {
        "h5ad": Path(h5ad).name,
        "scale": summed.scale,
        "layer": layer,
        "donor_key": donor_key,
        "n_cells": int(estimates.n_cells[kept].sum()),
        "n_cells_file": matrix.shape[0],
        "n_genes_file": int(features.genes.sum()),
        **mapping.counted(genes),
        "unmapped_share": summed.unmapped_share(),
        "dropped_features": summed.dropped_features,
        "cell_types": _cell_types(estimates, kept, cells, groups.units, summed.scale),
        "dropped_cell_types": cells.dropped_types,
        "dropped_cells": cells.dropped(sums.totals),
        "notes": [*summed.notes, *cells.notes, *_notes_on_types(kept, cells.names)],
    }
    return expression, document


def _table(estimates: Estimates, kept, names, genes, mapping: Mapping, scale) -> pd.DataFrame:
    gene_id = genes["gene_id"].to_numpy()[mapping.mapped]
    numbers = np.flatnonzero(kept)
    counts = estimates.counts[kept]
    return pd.DataFrame(
        {
            "gene_id": np.tile(gene_id, len(numbers)),
            "cell_type": np.repeat(np.array(names, dtype=object)[numbers], len(gene_id)),
            "log2cpm": estimates.log2cpm[kept].ravel(),
            "counts": (counts if scale == "counts" else np.full_like(counts, np.nan)).ravel(),
            "n_cells": np.repeat(estimates.n_cells[numbers], len(gene_id)),
            "se": estimates.se[kept].ravel(),
        }
    )


def _cell_types(estimates: Estimates, kept, cells: Cells, units: str, scale: str) -> list[dict]:
    return [
        {
            "cell_type": cells.names[number],
            "n_cells": int(estimates.n_cells[number]),
            "counts": float(estimates.total[number]) if scale == "counts" else None,
            "reliability": float(estimates.reliability[number]),
            "ceiling": float(np.sqrt(estimates.reliability[number])),
            "halves": units,
            "warnings": _warnings(estimates, number, units, scale),
        }
        for number in np.flatnonzero(kept).tolist()
    ]


def _warnings(estimates: Estimates, number: int, units: str, scale: str) -> list[str]:
    found, total = [], estimates.total[number]
    if scale == "counts" and total < FEW_COUNTS:
        found.append(
            f"only {total:,.0f} counts, fewer than {FEW_COUNTS:,.0f}: its profile is noisy and "
            "its reliability overstated"
        )
    if estimates.n_units[number] < 2:
        found.append(f"only one of the {units}: no standard errors and no reliability")
    elif np.isnan(estimates.reliability[number]):
        found.append("too few genes with differing expression to estimate its reliability")
    return found


def _notes_on_types(kept: np.ndarray, names: list[str]) -> list[str]:
    if kept.sum() > 1:
        return []
    name = names[int(np.flatnonzero(kept)[0])]
    return [
        f"All cells used are of one type, '{name}': expression specific to a cell type needs "
        "at least two cell types; only absolute figures can be given."
    ]


def _print_summary(document: dict) -> None:
    types = document["cell_types"]
    ceilings = [about["ceiling"] for about in types if np.isfinite(about["ceiling"])]
    print(
        f"{document['dataset']}: {document['n_cells']:,} cells of {len(types)} types "
        f"({document['scale']}), {document['n_genes_mapped']:,} of {document['n_genes_file']:,} "
        f"genes mapped by {document['mapped_by']['identifier']}"
        + (f", ceilings {min(ceilings):.3f} to {max(ceilings):.3f}" if ceilings else "")
    )
    dropped = document["dropped_cells"]
    if dropped["n"]:
        print(f"dropped {dropped['n']:,} cells: {dropped['reason']}")
    for about in document["dropped_cell_types"]:
        print(f"dropped cell type {about['cell_type']} ({about['n_cells']}): {about['reason']}")
    for about in types:
        for warning in about["warnings"]:
            print(f"warning: {about['cell_type']}: {warning}", file=sys.stderr)
    for note in document["notes"]:
        print(f"warning: {note}", file=sys.stderr)

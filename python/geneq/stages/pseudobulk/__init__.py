"""Sum single cells to one expression profile per cell type, with errors and reliability.

Counts are summed over a type's cells, put to counts per million over all genes of the file, and
then mapped to the gene table; values that are CPM already are averaged and put to one million
again. Written are log2(CPM + 1) and its standard error for each gene and cell type, and for each
cell type the reliability of its profile. The file is read in blocks: memory grows with cell types
times genes, and hardly with the number of cells.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from ... import artifacts
from ...errors import GeneqError
from .mapping import Mapping, map_genes
from .reading import Matrix, identifiers, labels, matrix, opened
from .scale import Values, judge
from .sums import Estimates, Groups, Sums, deal, estimate

FEW_COUNTS = 1e5


def add_arguments(parser) -> None:
    parser.add_argument("--h5ad", required=True, help="single-cell data (anndata)")
    parser.add_argument("--dataset", required=True, help="name of the data set")
    parser.add_argument("--cell_type_key", required=True, help="column of obs with cell types")
    parser.add_argument("--layer", help="layer to read, or raw.X (default: X)")
    parser.add_argument(
        "--scale",
        choices=("auto", "counts", "cpm"),
        default="auto",
        help="what the values are (default: auto, by integers and by the cells' totals)",
    )
    parser.add_argument("--donor_key", help="column of obs with donors, the units of errors")
    parser.add_argument("--genes", required=True, help="gene table (genes.parquet)")
    parser.add_argument("--min_cells", type=int, default=10, help="cells a type needs (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the halves (default 1)")
    parser.add_argument("--out", required=True, help="folder to write to")


def run(args) -> None:
    """Write OUT/expression.parquet and OUT/expression.json."""
    if args.min_cells < 1:
        raise GeneqError("--min_cells must be at least 1", value=args.min_cells)
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
    """Expression of each cell type of a file, as artifacts.EXPRESSION, and what is to be told.

    genes: the gene table; genes that the file lacks get no row. The document is expression.json
    without `dataset`. Raises GeneqError for a file that is damaged, lacks what was named, holds
    values that cannot be summed, or leaves no cell type or gene.
    """
    with opened(h5ad) as file:
        of = matrix(file, layer, *([block_values] if block_values else []))
        mapping = map_genes(identifiers(of.var), genes, h5ad)
        cells = _label_cells(file, cell_type_key, donor_key, min_cells)
        groups = deal(cells.types, cells.donors, seed)
        sums, found_scale, notes = _sum(of, scale, groups, _compact(mapping))
    estimates = estimate(groups, sums, seed)
    kept = estimates.n_cells >= min_cells
    cells.drop_small(kept, estimates.n_cells, min_cells)
    expression = _table(estimates, kept, cells.names, genes, mapping, found_scale)
    document = {
        "h5ad": Path(h5ad).name,
        "scale": found_scale,
        "layer": layer,
        "donor_key": donor_key,
        "n_cells": int(estimates.n_cells[kept].sum()),
        "n_cells_file": of.shape[0],
        "n_genes_file": of.shape[1],
        **mapping.counted(genes),
        "cell_types": _cell_types(estimates, kept, cells, groups.units, found_scale),
        "dropped_cell_types": cells.dropped_types,
        "dropped_cells": cells.dropped(sums.totals),
        "notes": notes + _notes_on_types(kept, cells.names),
    }
    return expression, document


@dataclass
class Cells:
    """The labels of cells.

    types: int64[n_cells], a place in `names` or -1; donors: the same for donors, or None where
    none were named; unlabelled: reason → bool[n_cells]; dropped_types: as in expression.json.
    """

    file: str
    names: list[str]
    types: np.ndarray
    donors: np.ndarray | None
    unlabelled: dict[str, np.ndarray]
    dropped_types: list[dict]

    def drop_small(self, kept: np.ndarray, n_cells: np.ndarray, min_cells: int) -> None:
        """Note the types not kept. Raises GeneqError when none is."""
        reason = f"fewer than {min_cells} cells"
        for number in np.flatnonzero(~kept):
            about = {"cell_type": self.names[number], "n_cells": int(n_cells[number])}
            self.dropped_types.append({**about, "reason": reason})
        if kept.any():
            return
        largest = sorted(self.dropped_types, key=lambda about: -about["n_cells"])[:3]
        raise GeneqError(
            f"No cell type has the {min_cells} cells that --min_cells asks for",
            value=", ".join(f"{about['cell_type']} has {about['n_cells']}" for about in largest)
            or "no cell has a type",
            file=self.file,
            fix="Name another column with --cell_type_key, or lower --min_cells; cells without "
            "any count are left out",
        )

    def dropped(self, totals: np.ndarray) -> dict:
        """Cells that belong to no type's sum for a reason of their own, and these reasons."""
        reasons, dropped = [], np.zeros(len(totals), dtype=bool)
        for reason, mask in {**self.unlabelled, "without any count": totals == 0}.items():
            if new := int((mask & ~dropped).sum()):
                reasons.append(f"{new} {reason}")
            dropped |= mask
        return {"n": int(dropped.sum()), "reason": ", ".join(reasons)}


def _label_cells(file: h5py.File, cell_type_key, donor_key, min_cells: int) -> Cells:
    types, type_names = labels(file, cell_type_key, "--cell_type_key")
    donors, unlabelled = None, {"without a cell type": types < 0}
    if donor_key:
        donors, _ = labels(file, donor_key, "--donor_key")
        unlabelled["without a donor"] = donors < 0
        types[donors < 0] = -1
    n_cells = np.bincount(types[types >= 0], minlength=len(type_names))
    cells = Cells(file.filename, type_names, types, donors, unlabelled, [])
    kept = n_cells >= min_cells
    cells.drop_small(kept, n_cells, min_cells)
    cells.names = [name for name, keep in zip(type_names, kept, strict=True) if keep]
    cells.types = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)[types]
    return cells


def _compact(mapping: Mapping) -> np.ndarray:
    """Column of the file → place among the mapped genes, or -1."""
    place = np.searchsorted(mapping.mapped, mapping.gene)
    return np.where(mapping.gene >= 0, place, -1)


def _sum(of: Matrix, scale: str, groups: Groups, place) -> tuple[Sums, str, list[str]]:
    """Read the matrix: once where blocks hold whole cells, else first for the cells' totals."""
    sums, values = Sums(groups, place), Values()
    for number, block in enumerate(of.blocks()):
        values.see(block, of)
        sums.add_totals(block)
        if of.whole_cells:
            sums.add(block)
            if number == 0 and scale == "auto":
                judge(scale, values, sums.totals, of)  # not to read a million cells in vain
    found = judge(scale, values, sums.totals, of)
    if not of.whole_cells:
        for block in of.blocks():
            sums.add(block)
    fractions = found == "counts" and not values.integers
    notes = [f"Taken as counts, though not all values of {of.name} are integers."]
    return sums, found, notes if fractions else []


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
        for number in np.flatnonzero(kept)
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
        found.append("too few genes with differing expression to tell its reliability")
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

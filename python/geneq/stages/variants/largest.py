"""The largest effects on expression in each cell type."""

import numpy as np
import pandas as pd

from ...artifacts import LARGEST_EFFECTS
from ...expression_model import EQUATION, TEACHER
from .pairs import Batch, Pairs

__all__ = ["Largest"]

# Pairs of a variant and a gene that are kept for each cell type.
KEPT = 100


class Largest:
    """The pairs with the largest effects in each cell type, kept while all pairs are scored.

    Effects are ranked by size: those of the equation or, where none was selected, the teacher's.

    Parameters
    ----------
    pairs : Pairs
    columns : list of (str, str)
        Method and cell type of each effect.
    """

    def __init__(self, pairs: Pairs, columns: list[tuple[str, str]]):
        self._pairs, self._place = pairs, {column: i for i, column in enumerate(columns)}
        # The first column of a cell type is that of the equation, if there is one.
        self._ranking = {cell_type: i for i, (_, cell_type) in reversed([*enumerate(columns)])}
        # By cell type: variant, gene, and effects and percentiles of equation and teacher.
        self._found = {cell_type: np.zeros((0, 6)) for cell_type in self._ranking}

    def add(self, batch: Batch, effects: np.ndarray, percentiles: np.ndarray) -> None:
        """Take effects and percentiles, float64[n, columns], of the pairs of a batch."""
        for cell_type, ranking in self._ranking.items():
            size = np.nan_to_num(np.abs(effects[:, ranking]))
            rows = np.argsort(-size, kind="stable")[:KEPT]
            rows = rows[size[rows] > 0]
            found = [batch.variant[rows], batch.gene[rows]]
            for method in (EQUATION, TEACHER):
                column = self._place.get((method, cell_type))
                found += [
                    np.full(len(rows), np.nan) if column is None else values[rows, column]
                    for values in (effects, percentiles)
                ]
            self._keep(cell_type, np.stack(found, axis=1))

    def _keep(self, cell_type: str, found: np.ndarray) -> None:
        found = np.concatenate([self._found[cell_type], found])
        ranked = np.abs(found[:, 2 if (EQUATION, cell_type) in self._place else 4])
        self._found[cell_type] = found[np.argsort(-ranked, kind="stable")[:KEPT]]

    def table(self) -> pd.DataFrame:
        """The table LARGEST_EFFECTS, by cell type, the largest first."""
        return pd.concat([self._rows(name, found) for name, found in self._found.items()])

    def _rows(self, cell_type: str, found: np.ndarray) -> pd.DataFrame:
        variant, gene = found[:, :2].T.astype(np.int64)
        variants = self._pairs.table[["chrom", "pos", "id", "ref", "alt"]].iloc[variant]
        genes = self._pairs.genes[["gene_id", "gene_name"]].iloc[gene]
        values = pd.DataFrame(found[:, 2:], columns=list(LARGEST_EFFECTS.columns)[-4:])
        parts = [part.reset_index(drop=True) for part in (variants, genes, values)]
        return pd.concat(parts, axis=1).assign(cell_type=cell_type)

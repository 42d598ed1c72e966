"""Measured effects on expression beside the predicted ones.

A value is that of a variant; of one gene, if the table has a column for genes, and of one cell
type, if it has one for cell types. Without genes it is compared with the effect on the only gene in
whose window the variant is, without cell types with the effects in every cell type.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...artifacts import EXPRESSION_AGREEMENT, EXPRESSION_COMPARISONS
from ...gene_ids import stable_id
from .pairs import Batch, Pairs
from .truth import CELL_TYPE, GENE, NO_EFFECT, Truth, agreement, comparisons, marked

__all__ = ["Measured", "of_model"]

# Why a row of the table is not matched, besides the reasons of `truth`.
NO_GENE, UNKNOWN_GENE, OTHER_WINDOW = "no_gene", "unknown_gene", "outside_the_window_of_its_gene"
SEVERAL_GENES = "several_genes"
NO_CELL_TYPE, UNKNOWN_CELL_TYPE = "no_cell_type", "unknown_cell_type"


def of_model(truth: Truth, genes: pd.DataFrame, cell_types: Sequence[str]) -> Truth:
    """The rows of known genes and cell types.

    Parameters
    ----------
    truth : Truth
        As `read_truth` returns it.
    genes : DataFrame
        Rows of the gene table. Genes are found by gene_id, with a version or without, and by symbol
        where only one gene has it; those of the result are gene_ids.
    cell_types : sequence of str
    """
    if GENE in truth.keys:
        truth = truth.only(marked(truth.table[GENE] == "", NO_GENE))
        found = _gene_ids(truth.table[GENE], genes)
        truth = replace(truth, table=truth.table.assign(gene=found))
        truth = truth.only(marked(found.isna(), UNKNOWN_GENE))
    if CELL_TYPE in truth.keys:
        truth = truth.only(marked(truth.table[CELL_TYPE] == "", NO_CELL_TYPE))
        truth = truth.only(marked(~truth.table[CELL_TYPE].isin(cell_types), UNKNOWN_CELL_TYPE))
    return truth


def _gene_ids(names: pd.Series, genes: pd.DataFrame) -> pd.Series:
    """gene_id of each name, NaN where no gene or several have it."""
    single = genes[~genes["gene_name"].duplicated(keep=False)]
    known = dict(zip(single["gene_name"], single["gene_id"], strict=True))
    known |= dict(zip(genes["gene_id"], genes["gene_id"], strict=True))
    return names.map(lambda name: known.get(name, known.get(stable_id(name))))


class Measured:
    """The effects of pairs that were measured, kept while all pairs are scored.

    Parameters
    ----------
    truth : Truth
        As `in_vcf` returns it, of known genes and cell types.
    pairs : Pairs
    columns : list of (str, str)
        Method and cell type of each effect.
    """

    def __init__(self, truth: Truth, pairs: Pairs, columns: list[tuple[str, str]]):
        self._columns = columns
        self._truth = _paired(truth, pairs)
        self._pairs = np.unique(self._truth.table["pair"])
        self._effects = np.full((len(self._pairs), len(columns)), np.nan)

    def add(self, batch: Batch, effects: np.ndarray, percentiles: np.ndarray) -> None:
        """Keep effects, float64[n, columns], of those pairs of the batch that were measured."""
        low, high = np.searchsorted(self._pairs, [batch.first, batch.first + len(effects)])
        self._effects[low:high] = effects[self._pairs[low:high] - batch.first]

    def write(self, out: Path) -> dict:
        """Write agreement.parquet and comparisons.parquet; what `Truth.as_dict` has of the rows."""
        table = self._table()
        for made, kind in (
            (agreement, EXPRESSION_AGREEMENT),
            (comparisons, EXPRESSION_COMPARISONS),
        ):
            name = kind.name.removeprefix("expression_")
            kind.write(made(table, kind, ["pair"]), out / f"{name}.parquet")
        scored = np.isin(self._truth.table["row"], table["row"])
        return self._truth.only(marked(~scored, NO_EFFECT)).as_dict()

    def _table(self) -> pd.DataFrame:
        """Rows with an effect: row, pair, cell_type, method, effect, value."""
        measured = self._truth.table
        place = np.searchsorted(self._pairs, measured["pair"])
        parts = [
            pd.DataFrame(
                {
                    "row": measured["row"],
                    "pair": measured["pair"],
                    "cell_type": cell_type,
                    "method": method,
                    "effect": effects[place],
                    "value": measured["value"],
                }
            )[measured[CELL_TYPE].eq(cell_type) if CELL_TYPE in measured else slice(None)]
            for (method, cell_type), effects in zip(self._columns, self._effects.T, strict=True)
        ]
        return pd.concat(parts, ignore_index=True).dropna(subset="effect")


def _paired(truth: Truth, pairs: Pairs) -> Truth:
    """The rows that measured a pair, whose number is in the column `pair`."""
    variant = truth.table["variant"].to_numpy()
    known = pd.DataFrame({"variant": pairs.variant, "pair": np.arange(len(pairs))})
    count = np.bincount(pairs.variant, minlength=len(pairs.table))[variant]
    if GENE in truth.keys:
        known[GENE] = pairs.genes["gene_id"].to_numpy()[pairs.gene]
        found = truth.table[["variant", GENE]].merge(known, on=["variant", GENE], how="left")[
            "pair"
        ]
        reasons = np.where(found.isna(), OTHER_WINDOW, "")
    else:
        found = pd.Series(variant).map(
            known.drop_duplicates("variant").set_index("variant")["pair"]
        )
        reasons = np.where(count > 1, SEVERAL_GENES, "")
    truth = replace(truth, table=truth.table.assign(pair=found.to_numpy()))
    truth = truth.only(np.where(count == 0, pairs.reasons[variant], reasons).astype(object))
    return replace(truth, table=truth.table.astype({"pair": np.int64}))

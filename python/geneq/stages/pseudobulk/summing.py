"""Sums of a matrix by group of cells and gene, and what was dropped from them."""

from dataclasses import dataclass

import numpy as np

from .features import Features
from .mapping import Mapping
from .reading import Matrix
from .scale import Values, bad_value, infer_scale
from .sums import Groups, Sums

__all__ = ["Summed", "sum_matrix"]

# Share of the counts above which features that are not in the gene table are worth a warning.
MUCH_UNMAPPED = 0.03
NAMED = 5
WORTH_NAMING = 0.001


@dataclass(frozen=True)
class Summed:
    """What one reading of the matrix gives.

    by_column: float64[n_columns], sums of the columns over all cells of the file. place:
    int64[n_columns], position among the mapped genes or -1.
    fractions_in: the matrix, if it was taken as counts though it has fractions, otherwise "".
    """

    sums: Sums
    scale: str
    by_column: np.ndarray
    place: np.ndarray
    features: Features
    fractions_in: str

    @property
    def unmapped(self) -> np.ndarray:
        """bool[n_columns]: genes of the file that are not in the gene table."""
        return self.features.genes & (self.place < 0)

    def unmapped_share(self) -> float:
        """Share of all values of genes that are not in the gene table."""
        total = self.by_column[self.features.genes].sum()
        return float(self.by_column[self.unmapped].sum() / total) if total > 0 else 0.0

    @property
    def dropped_features(self) -> dict[str, dict]:
        """Features that are not genes, as in expression.json."""
        return self.features.dropped(self.by_column)

    @property
    def notes(self) -> list[str]:
        found = []
        if self.fractions_in:
            found.append(
                f"Taken as counts, though not all values of {self.fractions_in} are integers."
            )
        if self.dropped_features:
            found.append(_note_on_features(self.dropped_features))
        if self.unmapped_share() > MUCH_UNMAPPED:
            found.append(self._note_unmapped())
        return found

    def _note_unmapped(self) -> str:
        columns = np.flatnonzero(self.unmapped)
        shares = self.by_column[columns] / self.by_column[self.features.genes].sum()
        largest = np.argsort(-shares, kind="stable")[:NAMED]
        named = [
            f"{self.features.names[columns[at]]} {shares[at]:.1%}"
            for at in largest
            if shares[at] >= WORTH_NAMING
        ]
        return (
            f"{len(columns):,} features of the file are not in the gene table and have "
            f"{self.unmapped_share():.1%} of all values"
            + (f" (largest: {', '.join(named)})" if named else "")
            + ". They count in the totals of CPM, as genes of the genome should; remove features "
            "that are not genes from the file, or mark them in var.feature_types."
        )


def _note_on_features(dropped: dict[str, dict]) -> str:
    n = sum(about["n"] for about in dropped.values())
    types = "; ".join(
        f"{about['n']:,} {name} ({_details(about)})" for name, about in dropped.items()
    )
    return f"Dropped {n:,} features that are not genes, from sums and totals: {types}."


def _details(about: dict) -> str:
    named = ", ".join(about["examples"][:3]) + (", …" if about["n"] > 3 else "")
    return named if np.isnan(about["share"]) else f"{named}; {about['share']:.1%} of all values"


def _place(features: Features, mapping: Mapping) -> np.ndarray:
    """Column of the matrix → position among the mapped genes, or -1: int64[n_columns]."""
    place = np.full(len(features.genes), -1)
    found = np.searchsorted(mapping.mapped, mapping.gene)
    place[features.genes] = np.where(mapping.gene >= 0, found, -1)
    return place


def sum_matrix(
    matrix: Matrix, scale: str, groups: Groups, features: Features, mapping: Mapping
) -> Summed:
    """Read the matrix: once if blocks have complete cells, otherwise first for the cells' totals.

    Values of features that are not genes are neither checked nor added. Raises GeneqError for
    values that cannot be summed.
    """
    place = _place(features, mapping)
    sums, values, by_column = Sums(groups, place), Values(), np.zeros(matrix.shape[1])
    not_counted = np.zeros(matrix.shape[0])
    for number, block in enumerate(matrix.blocks()):
        if not features.genes.all():
            block.only(~features.genes).add_totals(not_counted, by_column)
            block = block.only(features.genes)
        largest, integers, bad = block.add_totals(sums.totals, by_column)
        if bad is not None:
            raise bad_value(block, bad, matrix)
        values.add(largest, integers)
        if matrix.by_cell:
            sums.add(block)
            if number == 0 and scale == "auto":  # so that log data are refused at once
                infer_scale(scale, values, sums.totals, matrix)
    found = infer_scale(scale, values, sums.totals, matrix)
    if not matrix.by_cell:
        for block in matrix.blocks():
            sums.add(block if features.genes.all() else block.only(features.genes))
    fractions_in = "" if values.integers or found == "cpm" else matrix.name
    return Summed(sums, found, by_column, place, features, fractions_in)

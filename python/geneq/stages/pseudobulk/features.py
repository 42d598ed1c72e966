"""Which features of a file are genes.

The counts of antibodies, peaks, guides, tags and spike-ins cannot be compared with those of
transcripts, and some of these features have the name of a gene: they are added neither to a gene
nor to the totals of cells.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from ...errors import GeneqError
from .frames import MISSING, Frame

__all__ = ["Features", "find_genes", "identifiers"]

# Columns of var with the type of a feature: 10x (feature_types), CELLxGENE (feature_biotype, and
# feature_type with Ensembl's biotypes), spelled with or without "_" and ".".
TYPE_COLUMNS = {"featuretypes", "featuretype", "featurebiotype"}
GENE_TYPES = {"gene expression", "gene", "genes", "gex", "rna", "mrna", "endogenous"}
OTHER_TYPES = {
    *("antibody capture", "antigen capture", "crispr guide capture", "custom", "peaks"),
    *("multiplexing capture", "adt", "hto", "atac", "spike-in", "spike-ins", "spikein"),
    *("synthetic", "ercc", "negative control probe", "negative control codeword"),
}
SPIKE_IN = re.compile(r"(?:gSpikein[-_.])?ERCC[-_.]\d+", re.IGNORECASE)
ERCC = "ERCC spike-in"
EXAMPLES = 5


@dataclass(frozen=True)
class Features:
    """The columns of a matrix.

    type: object[n_columns], "" for a gene, otherwise what the feature is. names: object[n_columns],
    the index of var.
    """

    type: np.ndarray
    names: np.ndarray

    @property
    def genes(self) -> np.ndarray:
        """bool[n_columns]: is the feature a gene?"""
        return self.type == ""

    def dropped(self, sums: np.ndarray) -> dict[str, dict]:
        """Type → number, examples and share of all values of the features that are not genes.

        sums: float64[n_columns]. As in expression.json.
        """
        found = {}
        for name, n in Counter(self.type[~self.genes]).most_common():
            mine = self.type == name
            share = _share(sums[mine].sum(), sums.sum())
            examples = [str(feature) for feature in self.names[mine][:EXAMPLES]]
            found[name] = {"n": n, "examples": examples, "share": share}
        return found


def _share(part: float, total: float) -> float:
    """NaN if the values were not all counts (scaled antibodies, NaN)."""
    return float(part / total) if total > 0 and 0 <= part <= total else np.nan


def identifiers(var: Frame) -> dict[str, np.ndarray]:
    """The index and every readable text column of var: name → object[n_columns] of str."""
    found = {"var index": var.names()}
    for key in var.columns:
        try:
            column = var.column(key)
        except GeneqError:  # not needed
            continue
        if column.is_text and column.values:
            found[f"var column '{key}'"] = column.as_text()
    return found


def find_genes(var: Frame) -> Features:
    """Tell genes from other features by the columns of var that give types, and by names.

    A column that has one of GENE_TYPES marks every other type as not a gene; in a column without
    them (biotypes) only OTHER_TYPES are. A feature without type is a gene. ERCC spike-ins are known
    by their names too. Raises GeneqError if such a column cannot be read or no gene is left.
    """
    names = var.names()
    found = np.full(len(names), "", dtype=object)
    for key in var.columns:
        if re.sub(r"[^a-z]", "", key.lower()) in TYPE_COLUMNS:
            others = _others(var.column(key).as_text())
            found = np.where(found == "", others, found)
    spiked = np.array([bool(SPIKE_IN.fullmatch(name)) for name in names], dtype=bool)
    found[spiked & (found == "")] = ERCC
    if len(found) and (found != "").all():
        types = ", ".join(f"{n:,} {name}" for name, n in Counter(found).most_common(3))
        raise GeneqError(
            f"No feature in {var.name} is a gene",
            value=types,
            file=var.file,
            fix="Give the file with gene expression, or correct the column of feature types",
        )
    return Features(found, names)


def _others(types: np.ndarray) -> np.ndarray:
    """Types of features, with "" for genes: object[n]."""
    folded = {name: name.casefold() for name in set(types)}
    says_genes = not GENE_TYPES.isdisjoint(folded.values())
    genes = {
        name
        for name, plain in folded.items()
        if plain in MISSING or (plain in GENE_TYPES if says_genes else plain not in OTHER_TYPES)
    }
    return np.array(["" if name in genes else name for name in types], dtype=object)

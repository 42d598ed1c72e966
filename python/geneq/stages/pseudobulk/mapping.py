"""Genes of a file → genes of the gene table."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...errors import GeneqError


@dataclass(frozen=True)
class Mapping:
    """Where the columns of a matrix go.

    gene: int64[n_columns], a row of the gene table or -1. ambiguous: bool[n_columns], the column's
    symbol names several genes of the table, and therefore none. rule: object[n_columns], what
    the column was matched by ("" for none). identifier: what in `var` was compared; names:
    object[n_columns], its values.
    """

    gene: np.ndarray
    ambiguous: np.ndarray
    rule: np.ndarray
    identifier: str
    names: np.ndarray

    @property
    def mapped(self) -> np.ndarray:
        """Rows of the gene table that have a column: int64, sorted."""
        return np.unique(self.gene[self.gene >= 0])

    def counted(self, table: pd.DataFrame) -> dict:
        """What mapped, what did not and why, as it stands in expression.json."""
        columns = np.bincount(self.gene[self.gene >= 0], minlength=len(table))
        ids = table["gene_id"].to_numpy()
        return {
            "n_genes_mapped": int((columns > 0).sum()),
            "mapped_by": {"identifier": self.identifier, **Counter(self.rule[self.rule != ""])},
            "unmapped": _examples(self.names[(self.gene < 0) & ~self.ambiguous]),
            "ambiguous": _examples(self.names[self.ambiguous]),
            "duplicated": _examples(ids[columns > 1]),
            "absent": _examples(ids[columns == 0]),
        }


def map_genes(identifiers: dict[str, np.ndarray], table: pd.DataFrame, file) -> Mapping:
    """Match the genes of a file with the gene table by the identifier that maps most of them.

    A name is compared, in this order, with gene_id; without its version (ENSG….5) with gene_id;
    with gene_name; and with gene_name in any case, where exactly one name of the file and one gene
    not matched so far agree. A symbol that several genes of the table share is given to none.
    Raises GeneqError when nothing maps.
    """
    tried = [_match(name, values, table) for name, values in identifiers.items()]
    best = max(tried, key=lambda mapping: len(mapping.mapped))
    if not len(best.mapped):
        ours = table[["gene_id", "gene_name"]].head(3).to_numpy().ravel().tolist()
        theirs = [f"{name}: {', '.join(values[:3])}" for name, values in identifiers.items()]
        raise GeneqError(
            "No gene of the file is in the gene table",
            value=f"the file has {'; '.join(theirs)}; the table has {', '.join(ours)}",
            file=file,
            fix="Use the genome and annotation of the file's species",
        )
    return best


def _match(identifier: str, names: np.ndarray, table: pd.DataFrame) -> Mapping:
    keys = pd.Series(names)
    ids = _unique_places(table["gene_id"])
    symbols = _unique_places(table["gene_name"])
    rules = {
        "gene_id": keys.map(ids),
        "gene_id without version": keys.str.replace(r"^(ENS\w*)\.\d+$", r"\1", regex=True).map(ids),
        "gene_name": keys.map(symbols),
    }
    gene, rule = _first_found(rules, len(keys))
    shared = table["gene_name"][table["gene_name"].duplicated()]
    ambiguous = ((gene < 0) & keys.isin(shared)).to_numpy()
    _match_any_case(keys.mask(ambiguous, ""), table["gene_name"], gene, rule)
    return Mapping(gene, ambiguous, rule, identifier, names)


def _first_found(rules: dict[str, pd.Series], n: int) -> tuple[np.ndarray, np.ndarray]:
    gene, rule = np.full(n, -1), np.full(n, "", dtype=object)
    for name, places in rules.items():
        new = (gene < 0) & places.notna().to_numpy()
        gene[new] = places[new].astype(np.int64)
        rule[new] = name
    return gene, rule


def _match_any_case(keys: pd.Series, symbols: pd.Series, gene: np.ndarray, rule: np.ndarray):
    folded = keys.str.casefold().mask(gene >= 0, "")
    places = folded.map(_unique_places(symbols.str.casefold()))
    free = places.notna() & ~folded.duplicated(keep=False) & ~places.isin(gene[gene >= 0])
    gene[free] = places[free].astype(np.int64)
    rule[free] = "gene_name in any case"


def _unique_places(values: pd.Series) -> dict[str, int]:
    """Value → its row, of those that stand in one row alone."""
    once = ~values.duplicated(keep=False)
    return dict(zip(values[once], np.flatnonzero(once), strict=True))


def _examples(names: np.ndarray) -> dict:
    return {"n": len(names), "examples": [str(name) for name in names[:5]]}

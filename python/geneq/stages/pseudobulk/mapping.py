"""From genes of a file to genes of the gene table."""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...errors import GeneqError
from ...gene_ids import stable_id

__all__ = ["Mapping", "map_genes"]

ANY_CASE = "gene_name in any case"
# A few symbols differ in case between annotations of one species (C1orf112, C1ORF112: 2 % of human
# genes); between human and mouse nearly all do.
MAX_ANY_CASE = 0.1
# What ids of one species begin with: Ensembl, its mouse strains, FlyBase, WormBase.
_PREFIX = re.compile(r"(ENS[A-Z]*G|MGP_\w+_G|FBgn|WBGene)R?\d+")
_SPECIES = "Use the genome and annotation of the file's species"


@dataclass(frozen=True)
class Mapping:
    """Which gene of the gene table each gene of a file is.

    gene: int64[n], a row of the gene table or -1. ambiguous: bool[n], the symbol names several
    genes of the table, and is therefore given to none. rule: object[n], what matched ("" if nothing
    did). identifier: what in `var` was compared; names: object[n], its values.
    """

    gene: np.ndarray
    ambiguous: np.ndarray
    rule: np.ndarray
    identifier: str
    names: np.ndarray

    @property
    def mapped(self) -> np.ndarray:
        """Rows of the gene table that were found: int64, sorted."""
        return np.unique(self.gene[self.gene >= 0])

    @property
    def n_exact(self) -> int:
        """How many genes of the table were found without ignoring case."""
        return len(np.unique(self.gene[(self.gene >= 0) & (self.rule != ANY_CASE)]))

    def counted(self, table: pd.DataFrame) -> dict:
        """What mapped, what did not and why, as in expression.json."""
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

    identifiers: the index and text columns of `var`, name → object[n]. A value is compared, in this
    order, with gene_id; with gene_id in the form of `stable_id` on both sides; with gene_name; and
    with gene_name in any case, if exactly one value of the file and one gene not matched so far
    agree. A symbol of several genes of the table is given to none. Raises GeneqError if nothing
    maps, or if the file is of another species: by the prefix of its ids, or because more than
    MAX_ANY_CASE of the genes match only in another case.
    """
    _check_species(identifiers, table, file)
    tried = [_match(name, values, table) for name, values in identifiers.items()]
    best = max(tried, key=lambda mapping: (mapping.n_exact, len(mapping.mapped)))
    if not len(best.mapped):
        ours = table[["gene_id", "gene_name"]].head(3).to_numpy().ravel().tolist()
        theirs = [f"{name}: {', '.join(values[:3])}" for name, values in identifiers.items()]
        raise GeneqError(
            "No gene of the file is in the gene table",
            value=f"the file has {'; '.join(theirs)}; the table has {', '.join(ours)}",
            file=file,
            fix=_SPECIES,
        )
    _check_case(best, table, file)
    return best


def _check_species(identifiers: dict[str, np.ndarray], table: pd.DataFrame, file) -> None:
    ours = _prefix(table["gene_id"])
    theirs = {
        prefix: (name, values)
        for name, values in identifiers.items()
        if not re.search("orth|homolog", name, re.IGNORECASE) and (prefix := _prefix(values))
    }
    if not ours or not theirs or ours in theirs:
        return
    prefix, (name, values) = next(iter(theirs.items()))
    raise GeneqError(
        f"The genes of the file are of another species than the gene table: ids with {prefix}, "
        f"not {ours}",
        value=f"{name}: {', '.join(values[:3])}; the table has "
        f"{', '.join(table['gene_id'].head(3))}",
        file=file,
        fix=_SPECIES,
    )


def _prefix(names) -> str:
    """The prefix of a species that most of the names have, or ""."""
    found = Counter(match.group(1) for name in names if (match := _PREFIX.match(name)))
    prefix, n = found.most_common(1)[0] if found else ("", 0)
    return prefix if n > len(names) / 2 else ""


def _check_case(best: Mapping, table: pd.DataFrame, file) -> None:
    mapped, differ = len(best.mapped), np.flatnonzero(best.rule == ANY_CASE)
    if len(differ) <= MAX_ANY_CASE * mapped:
        return
    symbols = table["gene_name"].to_numpy()[best.gene[differ[:3]]]
    pairs = zip(best.names[differ[:3]], symbols, strict=True)
    raise GeneqError(
        f"{len(differ):,} of {mapped:,} genes match the gene table only if upper and lower case "
        "are ignored, as between species",
        value=f"{best.identifier}: {', '.join(f'{theirs} for {ours}' for theirs, ours in pairs)}",
        file=file,
        fix=f"{_SPECIES}. If the case of its symbols was changed, restore it, or add a column of "
        "gene ids to var",
    )


def _match(identifier: str, names: np.ndarray, table: pd.DataFrame) -> Mapping:
    keys = pd.Series(names, dtype=object)
    symbols = table["gene_name"]
    rules = {
        "gene_id": keys.map(_unique_places(table["gene_id"])),
        "gene_id without version": keys.map(stable_id).map(
            _unique_places(table["gene_id"].map(stable_id))
        ),
        "gene_name": keys.map(_unique_places(symbols)),
    }
    gene, rule = _first_found(rules, len(keys))
    shared = symbols[symbols.duplicated()]
    ambiguous = ((gene < 0) & keys.isin(shared)).to_numpy()
    _match_any_case(keys.mask(ambiguous, ""), symbols, gene, rule)
    return Mapping(gene, ambiguous, rule, identifier, names)


def _first_found(rules: dict[str, pd.Series], n: int) -> tuple[np.ndarray, np.ndarray]:
    gene, rule = np.full(n, -1), np.full(n, "", dtype=object)
    for name, places in rules.items():
        new = (gene < 0) & places.notna().to_numpy()
        gene[new] = places[new].astype(np.int64)
        rule[new] = name
    return gene, rule


def _match_any_case(
    keys: pd.Series, symbols: pd.Series, gene: np.ndarray, rule: np.ndarray
) -> None:
    folded = keys.str.casefold().mask(gene >= 0, "")
    places = folded.map(_unique_places(symbols.str.casefold()))
    free = places.notna() & ~folded.duplicated(keep=False) & ~places.isin(gene[gene >= 0])
    gene[free] = places[free].astype(np.int64)
    rule[free] = ANY_CASE


def _unique_places(values: pd.Series) -> dict[str, int]:
    """Value → its row, for those that occur in one row only."""
    once = ~values.duplicated(keep=False)
    return dict(zip(values[once], np.flatnonzero(once), strict=True))


def _examples(names: np.ndarray) -> dict:
    return {"n": len(names), "examples": [str(name) for name in names[:5]]}

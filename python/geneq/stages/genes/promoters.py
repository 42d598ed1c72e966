"""Genes from a FASTA of promoters.

A header is `NAME gene_id=… gene_name=… chrom=…`; the attributes are optional. Without gene_id the
gene is the record's name without a number at its end (`TP53_2`: promoter 2 of TP53; a name without
such a number is promoter 1). Numbers have at most three digits and no leading zero.
"""

import re
from collections import Counter
from dataclasses import dataclass

import pandas as pd

from ...errors import GeneqError
from ...gene_ids import stable_id
from ...genome import Genome, Index
from ...genome import Record as FastaRecord
from ...tally import Tally

__all__ = ["CHOICES", "FIRST", "MAX", "MEAN", "Promoter", "choose", "promoter"]

FIRST, MEAN, MAX = CHOICES = ("first", "mean", "max")

_NUMBERED = re.compile(r"^(.+)_([1-9]\d{0,2})$")


@dataclass(frozen=True)
class Promoter:
    """A record of the FASTA, and the gene it belongs to."""

    record: str
    gene_id: str
    gene_name: str
    chrom: str
    number: int


def promoter(record: FastaRecord) -> Promoter:
    """The promoter that the header of `record` describes."""
    name, *words = record.header.split()
    found = dict(word.split("=", 1) for word in words if "=" in word)
    match = _NUMBERED.match(name)
    stem, number = (match.group(1), int(match.group(2))) if match else (name, 1)
    gene_id = stable_id(found.get("gene_id") or stem)
    gene_name = found.get("gene_name") or gene_id
    return Promoter(name, gene_id, gene_name, found.get("chrom", ""), number)


def choose(index: Index, genome: Genome, choice: str, dropped: Tally) -> pd.DataFrame:
    """The gene table of a promoter FASTA, without folds, in the order of the file.

    A gene has the name that most of its records have. Records that are more than half N are not
    used.

    Parameters
    ----------
    index : Index
    genome : Genome
        The indexed promoters.
    choice : str
        "first" takes the record numbered 1 (of several, the first one with the gene's name) and
        drops genes without one; "mean" and "max" take all records of a gene, over which later
        stages pool.
    dropped : Tally
        Genes without a usable record are counted there.

    Returns
    -------
    DataFrame
        gene_id, gene_name, chrom, tss (-1), strand ("."), records.

    Raises
    ------
    GeneqError
        No gene is left.
    """
    genes: dict[str, list[Promoter]] = {}
    for record in index.records:
        found = promoter(record)
        genes.setdefault(found.gene_id, []).append(found)
    rows = []
    for gene_id, all_of_it in genes.items():
        name = Counter(found.gene_name for found in all_of_it).most_common(1)[0][0]
        chosen = _chosen(all_of_it, name, choice)
        usable = [found for found in chosen if not _mostly_n(genome, found.record)]
        if not chosen:
            dropped.add("no_first_promoter", gene_id)
        elif not usable:
            dropped.add("mostly_n", gene_id)
        else:
            rows.append(_row(usable, name))
    if not rows:
        raise GeneqError(
            "No gene of the promoter FASTA is usable",
            value=", ".join(
                f"{reason} {found['n']}" for reason, found in dropped.as_dict().items()
            ),
            fix="Use --promoter_choice mean, or number each gene's first promoter 1",
        )
    return pd.DataFrame(rows)


def _chosen(promoters: list[Promoter], name: str, choice: str) -> list[Promoter]:
    if choice != FIRST:
        return promoters
    numbered_1 = [found for found in promoters if found.number == 1]
    return sorted(numbered_1, key=lambda found: found.gene_name != name)[:1]


def _mostly_n(genome: Genome, record: str) -> bool:
    return bool((genome.record(record) == 4).mean() > 0.5)


def _row(chosen: list[Promoter], name: str) -> dict:
    return {
        "gene_id": chosen[0].gene_id,
        "gene_name": name,
        "chrom": next((found.chrom for found in chosen if found.chrom), ""),
        "tss": -1,
        "strand": ".",
        "records": " ".join(found.record for found in chosen),
    }

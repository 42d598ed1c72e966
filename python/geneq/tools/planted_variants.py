"""Random substitutions in the windows of simulated genes, and their effects on expression."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..artifacts import atomic_path
from .planted_site import Forward

__all__ = ["Substitutions", "draw", "write"]

VCF, EFFECTS = "expression_variants.vcf", "expression_effects.tsv"


@dataclass(frozen=True)
class Substitutions:
    """gene: int64[n], place of the gene; column: int64[n], of its window; edited: uint8[n, length],
    the window with the substitution."""

    gene: np.ndarray
    column: np.ndarray
    edited: np.ndarray


def draw(windows: np.ndarray, n: int, rng: np.random.Generator) -> Substitutions:
    """`n` different columns of windows uint8[genes, length], each with another base."""
    genes, length = windows.shape
    gene, column = np.divmod(np.sort(rng.choice(genes * length, n, replace=False)), length)
    edited, rows = windows[gene], np.arange(n)
    edited[rows, column] = (edited[rows, column] + rng.integers(1, 4, n)) % 4
    return Substitutions(gene, column, edited)


def write(
    genes: pd.DataFrame,
    windows: np.ndarray,
    drawn: Substitutions,
    effects: Iterable[tuple[str, np.ndarray]],
    folder: Path,
) -> None:
    """Write expression_variants.vcf, and expression_effects.tsv for `geneq variants --truth`.

    effects: cell types, and the effects of the substitutions in them, log2 units, float64[n].
    """
    table = pd.DataFrame(
        [_place(genes.iloc[gene], windows[gene], column, window)
         for gene, column, window in zip(drawn.gene, drawn.column, drawn.edited, strict=True)],
        columns=["chrom", "pos", "ref", "alt", "gene"],
    )  # fmt: skip
    parts = [table.assign(cell_type=name, value=values) for name, values in effects]
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += [f"{row.chrom}\t{row.pos}\t.\t{row.ref}\t{row.alt}\t.\t.\t."
              for row in table.sort_values(["chrom", "pos"]).itertuples()]  # fmt: skip
    with atomic_path(folder / VCF) as path:
        path.write_text("\n".join(lines) + "\n")
    with atomic_path(folder / EFFECTS) as path:
        pd.concat(parts).to_csv(path, sep="\t", index=False)


def _place(gene: pd.Series, before: np.ndarray, column: int, after: np.ndarray) -> tuple:
    """chrom, pos (1-based), ref, alt (both on the forward strand) and gene_id."""
    old, new = (
        Forward(gene["chrom"], int(gene["tss"]), gene["strand"], window)
        for window in (before, after)
    )
    place = old.position(column)
    bases = (forward.bases(place, place + 1) for forward in (old, new))
    return (gene["chrom"], place + 1, *bases, gene["gene_id"])

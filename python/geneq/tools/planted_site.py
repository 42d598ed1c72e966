"""A locus with variants from a simulated genome: one binding site that determines expression.

Which site that is is seen from the finished DNA: one near its consensus, near a TSS, with nothing
else near it that matters to the cell type.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..artifacts import atomic_path

MOTIF, DATASET, CELL_TYPE = "AP1", "muscle", "fibroblast"
# Motifs that the cell type's planted equation reads.
OTHERS = ("NFY", "GATA")
# nt from the TSS: of the site, and of the mutated part of the locus.
REACH, AROUND = 60, 100
ROWS = 4000
# Symbols of a motif that are this likely are the ones that a site needs.
NEEDED = 0.9
COMPLEMENT = str.maketrans("ACGT", "TGCA")
TRANSITION = str.maketrans("ACGT", "GTAC")
# nt from the site: variants that should do little.
AWAY = 20


@dataclass(frozen=True)
class Site:
    """A site in the window of a gene: `core` are the columns that it needs, of the window."""

    gene: int
    core: np.ndarray


def find(windows: np.ndarray, motifs: dict[str, np.ndarray]) -> Site:
    """The site with the largest margin over its surroundings.

    windows: uint8[genes, 2 x half], the TSS at half. motifs: probabilities float64[width, symbols].
    """
    middle = windows.shape[1] // 2
    near = windows[:, middle - AROUND : middle + AROUND]
    scores = _scores(near, motifs[MOTIF])
    inside = slice(AROUND - REACH, AROUND + REACH - len(motifs[MOTIF]))
    start = scores[:, inside].argmax(1) + inside.start
    rows = np.arange(len(near))
    best = scores[rows, start]
    for shift in range(-len(motifs[MOTIF]) + 1, len(motifs[MOTIF])):
        scores[rows, start + shift] = -np.inf
    rivals = [scores.max(1), *(_scores(near, motifs[name]).max(1) for name in OTHERS)]
    gene = int((best - np.max(rivals, axis=0)).argmax())
    return Site(gene, middle - AROUND + start[gene] + _core(near[gene], start[gene], motifs[MOTIF]))


def _scores(windows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """float64[genes, positions]: log-odds at every start, of the better strand."""
    both = np.log([matrix + 1e-3, matrix[::-1, ::-1] + 1e-3])
    positions = windows.shape[1] - len(matrix) + 1
    columns = [windows[:, i : i + positions] for i in range(len(matrix))]
    return np.max([np.sum(list(map(np.take, one, columns)), axis=0) for one in both], axis=0)


def _core(window: np.ndarray, start: int, matrix: np.ndarray) -> np.ndarray:
    """Columns of the motif that need one symbol, as the better strand has them."""
    symbols = window[start : start + len(matrix)]
    strands = matrix, matrix[::-1, ::-1]
    better = max(strands, key=lambda one: np.log(one[np.arange(len(one)), symbols] + 1e-3).sum())
    return np.flatnonzero(better.max(1) > NEEDED)


@dataclass(frozen=True)
class Forward:
    """Positions and symbols of a gene's window on the genome's forward strand."""

    chrom: str
    tss: int
    strand: str
    window: np.ndarray

    @property
    def half(self) -> int:
        return len(self.window) // 2

    def position(self, column: int) -> int:
        """0-based, of a column of the window."""
        away = column - self.half
        return self.tss + away if self.strand == "+" else self.tss - away

    def span(self, first: int, end: int) -> tuple[int, int]:
        """[start, end) of columns [first, end)."""
        ends = self.position(first), self.position(end - 1)
        return min(ends), max(ends) + 1

    def bases(self, start: int, end: int) -> str:
        """Symbols of [start, end)."""
        columns = sorted(abs(self.position(0) - position) for position in range(start, end))
        symbols = "".join("ACGT"[token] for token in self.window[columns])
        return symbols if self.strand == "+" else symbols.translate(COMPLEMENT)[::-1]


def write(genes: pd.DataFrame, windows: np.ndarray, site: Site, folder: Path) -> None:
    """loci.csv and variants.vcf for the pipeline, and sites.csv with the answer.

    sites.csv: locus, motif, positions: 0-based, on the forward strand, with blanks between.
    """
    gene = genes.iloc[site.gene]
    forward = Forward(gene["chrom"], int(gene["tss"]), gene["strand"], windows[site.gene])
    name = f"{CELL_TYPE}_{MOTIF}"
    positions = sorted(forward.position(column) for column in site.core)
    start, end = forward.span(0, len(forward.window))
    window = forward.span(forward.half - AROUND, forward.half + AROUND)
    files = {
        "loci.csv": "locus,chrom,start,end,strand,oracle,window_start,window_end,n\n"
        f"{name},{forward.chrom},{start},{end},{forward.strand},"
        f"distill:{DATASET}:{CELL_TYPE},{window[0]},{window[1]},{ROWS}\n",
        "sites.csv": f"locus,motif,positions\n{name},{MOTIF},{' '.join(map(str, positions))}\n",
        "variants.vcf": "\n".join(_vcf(forward, positions, window)) + "\n",
    }
    for file, text in files.items():
        with atomic_path(folder / file) as path:
            path.write_text(text)


def _vcf(forward: Forward, positions: list[int], window: tuple[int, int]) -> list[str]:
    """A substitution at every position of the site and others away from it; two indels in it."""
    away = [
        p for p in range(window[0] + 5, window[1], 15) if min(abs(p - q) for q in positions) > AWAY
    ]
    rows = []
    for kind, places in (("site", positions), ("away", away)):
        for place in places:
            base = forward.bases(place, place + 1)
            rows.append((place, f"{kind}_{place}", base, base.translate(TRANSITION)))
    first = positions[0]
    rows.append(
        (first, "deletion", forward.bases(first, first + 3), forward.bases(first, first + 1))
    )
    base = forward.bases(first + 2, first + 3)
    rows.append((first + 2, "insertion", base, f"{base}AA"))
    head = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines = [f"{forward.chrom}\t{place + 1}\t{name}\t{ref}\t{alt}\t.\t.\t."
             for place, name, ref, alt in sorted(rows)]  # fmt: skip
    return head + lines

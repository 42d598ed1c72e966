"""Effects of random substitutions, which those of variants are compared with.

A background is a folder: background.parquet, the sizes |effect| of random single-nucleotide
substitutions by method and cell type, and background.json, what they were made with.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .artifacts import BACKGROUND, read_object, write_json
from .checks import check_format
from .errors import GeneqError
from .expression_model import ExpressionModel
from .genome import Genome

__all__ = ["Background", "random_effects"]

FORMAT, VERSION = "geneq-background", 1
# Windows that are scored together.
BATCH = 1024
# Draws for each substitution that is wanted, at most: those of N are drawn again.
DRAWS = 20
UNKNOWN = 4
AGAIN = "Make it with this genome, equations and features by `geneq background`"


@dataclass(frozen=True)
class Background:
    """Sizes of random effects.

    Attributes
    ----------
    sizes : dict of (str, str) to ndarray of float32[n]
        By method and cell type, in increasing order.
    about : dict
        genome and model (digests), n, seed.
    """

    sizes: dict[tuple[str, str], np.ndarray]
    about: dict

    def write(self, folder: str | Path) -> None:
        """Write background.parquet and background.json."""
        parts = [
            pd.DataFrame({"method": method, "cell_type": cell_type, "size": sizes})
            for (method, cell_type), sizes in self.sizes.items()
        ]
        BACKGROUND.write(pd.concat(parts), Path(folder) / "background.parquet")
        document = {"format": FORMAT, "version": VERSION, **self.about}
        write_json(document, Path(folder) / "background.json")

    @classmethod
    def read(cls, folder: str | Path, model: ExpressionModel, genome: Genome) -> "Background":
        """Read what `write` wrote. Raises GeneqError if it is of another genome or model."""
        path = Path(folder) / "background.json"
        about = check_format(read_object(path), "a background", FORMAT, VERSION, path)
        if about.get("genome") != genome.digest:
            raise GeneqError("The background is of another genome", file=path, fix=AGAIN)
        if about.get("model") != model.digest:
            raise GeneqError("The background was made with other equations, features or teacher",
                             file=path, fix=AGAIN)  # fmt: skip
        table = BACKGROUND.read(Path(folder) / "background.parquet")
        groups = table.groupby(["method", "cell_type"], sort=False)["size"]
        sizes = {key: np.sort(values.to_numpy()) for key, values in groups}
        absent = [key for key in model.columns if key not in sizes]
        if absent:
            raise GeneqError("The background lacks a cell type", value=", ".join(absent[0]),
                             file=folder)  # fmt: skip
        return cls(sizes, about)

    def percentiles(self, column: tuple[str, str], effects: np.ndarray) -> np.ndarray:
        """Percentage of random substitutions with a smaller effect, float64[n].

        Equal ones count half. NaN where the effect is NaN.
        """
        sizes, found = self.sizes[column], np.abs(effects).astype(np.float32)
        ranks = np.searchsorted(sizes, found, "left") + np.searchsorted(sizes, found, "right")
        return np.where(np.isnan(effects), np.nan, 50 * ranks / len(sizes))


def random_effects(
    model: ExpressionModel, genome: Genome, n: int, seed: int, threads: int = 1
) -> Background:
    """Effects of random substitutions in the windows of genes.

    A gene, a base of its window and another base are drawn with equal probabilities.

    Parameters
    ----------
    model : ExpressionModel
    genome : Genome
    n, seed, threads : int

    Raises
    ------
    GeneqError
        Nearly all bases of the windows are N.
    """
    rng = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    left, tries = n, DRAWS * (n // BATCH + 1)
    while left > 0:
        if tries == 0:
            raise GeneqError("The windows of genes have too few known bases", file=genome.folder)
        found = _drawn(model, genome, rng, min(BATCH, 2 * left), threads)[:left]
        parts.append(np.abs(found).astype(np.float32))
        left, tries = left - len(found), tries - 1
    sizes = np.sort(np.concatenate(parts), axis=0)
    about = {"genome": genome.digest, "model": model.digest, "n": n, "seed": seed}
    return Background(dict(zip(model.columns, sizes.T, strict=True)), about)


def _drawn(
    model: ExpressionModel, genome: Genome, rng: np.random.Generator, n: int, threads: int
) -> np.ndarray:
    """Effects of up to `n` substitutions, float64[k, columns]: without those of N."""
    gene = np.sort(rng.integers(0, len(model.genes), n))
    rows = np.arange(n)
    columns, others = rng.integers(0, model.length, n), rng.integers(1, 4, n)
    different, which = np.unique(gene, return_inverse=True)
    genes = model.genes.iloc[different]
    windows = genome.windows_of(genes, *model.window, threads=threads)
    changed = windows[which]
    old = changed[rows, columns]
    changed[rows, columns] = (old + others) % 4
    known = old < UNKNOWN
    gene_id = genes["gene_id"].to_numpy()
    return model.differences(windows, which[known], changed[known], gene_id)

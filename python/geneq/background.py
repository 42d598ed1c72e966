"""Effects of random substitutions, which those of variants are compared with.

A background is a folder: background.parquet, the sizes |effect| of random single-nucleotide
substitutions by method and cell type, and background.json, what they were made with.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from .artifacts import BACKGROUND, read_object, write_json
from .checks import check_format
from .errors import GeneqError
from .expression_model import ExpressionModel
from .genome import Genome
from .oracles.windows import MAX_WINDOWS, announce_windows

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
    model: ExpressionModel,
    genome: Genome,
    n: int,
    seed: int,
    threads: int = 1,
    max_windows: int = MAX_WINDOWS,
) -> Background:
    """Effects of random substitutions in the windows of genes.

    A gene, a base of its window and another base are drawn with equal probabilities.

    Parameters
    ----------
    model : ExpressionModel
    genome : Genome
    n, seed, threads : int
    max_windows : int
        How many windows deep models may read.

    Raises
    ------
    GeneqError
        Nearly all bases of the windows are N, or deep models would read more windows than allowed.
    """
    if model.is_deep:
        _announce(model, lambda: _drawn(model, genome, n, seed, threads), max_windows)
    parts = [np.abs(drawn.effects(model)) for drawn in _drawn(model, genome, n, seed, threads)]
    sizes = np.sort(np.concatenate(parts).astype(np.float32), axis=0)
    about = {"genome": genome.digest, "model": model.digest, "n": n, "seed": seed}
    return Background(dict(zip(model.columns, sizes.T, strict=True)), about)


class Drawn(NamedTuple):
    """Random substitutions.

    windows: uint8[k, length], of genes. which: int64[n], the window of each substitution. changed:
    uint8[n, length], with it. gene_id: object[k].
    """

    windows: np.ndarray
    which: np.ndarray
    changed: np.ndarray
    gene_id: np.ndarray

    def first(self, n: int) -> "Drawn":
        """The first `n` of the substitutions."""
        return self._replace(which=self.which[:n], changed=self.changed[:n])

    def effects(self, model: ExpressionModel) -> np.ndarray:
        """float64[n, columns]."""
        return model.differences(self.windows, self.which, self.changed, self.gene_id)

    def inputs(self, model: ExpressionModel) -> int:
        """How many windows deep models read for the effects."""
        return model.windows(self.windows, self.which, self.changed)


def _announce(model: ExpressionModel, draw: Callable[[], Iterator[Drawn]], most: int) -> None:
    """Print how many windows of deep models are read; see `announce_windows`."""
    first = next(draw())
    announce_windows(
        "effects of random substitutions",
        sum(drawn.inputs(model) for drawn in draw()),
        most,
        lambda k: first.first(k).effects(model),
        lambda k: first.first(k).inputs(model),
        len(first.which),
    )


def _drawn(
    model: ExpressionModel, genome: Genome, n: int, seed: int, threads: int
) -> Iterator[Drawn]:
    """`n` random substitutions, some at a time; those of N are drawn again."""
    rng, left, tries = np.random.default_rng(seed), n, DRAWS * (n // BATCH + 1)
    while left > 0:
        if tries == 0:
            raise GeneqError("The windows of genes have too few known bases", file=genome.folder)
        drawn = _draw(model, genome, rng, min(BATCH, 2 * left), threads).first(left)
        left, tries = left - len(drawn.which), tries - 1
        yield drawn


def _draw(
    model: ExpressionModel, genome: Genome, rng: np.random.Generator, n: int, threads: int
) -> Drawn:
    """Up to `n` substitutions: without those of N."""
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
    return Drawn(windows, which[known], changed[known], genes["gene_id"].to_numpy())

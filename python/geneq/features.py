"""Features of genes, the inputs of networks and equations.

Features come in blocks: the scores of one oracle each, gene × bin × class, or a table of numbers
for each gene, which has a single bin. Oracles can stand side by side, each with bins of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr

from .artifacts import atomic_path, plain
from .checks import check_format
from .errors import GeneqError

__all__ = ["SCALES", "SCORES", "Block", "Column", "Features", "normal_scores", "quantiles"]

FORMAT, VERSION = "geneq-features", 2
# How columns can be scaled before networks and equations read them.
SCALES = ("raw", "normal")
# Normal scores at the quantiles that are stored for each column.
SCORES = np.linspace(-3, 3, 25)
# Columns that are sorted together.
COLUMNS_AT_A_TIME = 64


class Column(NamedTuple):
    """A column of `Features.matrix`: the place of its block, its bin, and its class."""

    block: int
    bin: int
    name: str


@dataclass(frozen=True)
class Block:
    """The scores of an oracle, or a table of gene features.

    Attributes
    ----------
    name : str
        The oracle as TYPE:WHAT, or the table as table:FILE or annotation:FILE.
    values : ndarray of float32[gene, bin, class]
    classes : list of str
    meta : dict
        hash; of an oracle: strands (both, split or null), window ([first, end) relative to the TSS,
        in nt on the gene's strand), bin_edges (the same unit, one more than bins; for promoters
        fractions of the length), tss_index (position of the TSS in the window), orientation, and
        where they apply tile (nt between the inputs of a model) and classes_file (SHA-256 of the
        table of classes); of a table: missing (column → genes of the genome without a value, which
        have its median).
    quantiles : ndarray of float32[bin, class, len(SCORES)], optional
        Of every column over all genes of the genome, see `quantiles`.
    """

    name: str
    values: np.ndarray
    classes: list[str]
    meta: dict
    quantiles: np.ndarray | None = None

    @property
    def is_table(self) -> bool:
        """Whether this is a table of gene features, not the scores of an oracle."""
        return "bin_edges" not in self.meta

    @property
    def flat(self) -> np.ndarray:
        """float32[gene, bin × class]."""
        n, bins, classes = self.values.shape
        return self.values.reshape(n, bins * classes)

    def scaled(self, scale: str) -> np.ndarray:
        """float32[gene, bin × class]: the values as they are ("raw") or as normal scores."""
        if scale == "raw":
            return self.flat
        assert self.quantiles is not None, "quantiles are computed when features are complete"
        return normal_scores(self.flat, self.quantiles.reshape(-1, len(SCORES)))

    def with_quantiles(self) -> "Block":
        found = quantiles(self.flat)
        return replace(self, quantiles=found.reshape(*self.values.shape[1:], len(SCORES)))


@dataclass(frozen=True)
class Features:
    """Features of genes, in blocks.

    Attributes
    ----------
    gene_id : ndarray of object[gene]
    blocks : list of Block
        With different names.
    meta : dict
        genome (digest), mode, for promoters promoter_choice.
    shard : tuple (I, N), optional
        The I-th of N parts of the genes; None if joined or unknown.
    """

    gene_id: np.ndarray
    blocks: list[Block]
    meta: dict
    shard: tuple[int, int] | None = None

    CHUNK = 1024

    @property
    def columns(self) -> list[Column]:
        """What each column of `matrix` is."""
        return [
            Column(i, b, name)
            for i, block in enumerate(self.blocks)
            for b in range(block.values.shape[1])
            for name in block.classes
        ]

    @property
    def about(self) -> dict:
        """What the features were made from; equal for features that can replace one another."""
        blocks = [
            {"name": block.name, "classes": block.classes, **block.meta} for block in self.blocks
        ]
        return plain({**self.meta, "blocks": blocks})

    def matrix(self, scale: str = "raw") -> np.ndarray:
        """float32[gene, columns]: all blocks side by side; `scale` is one of SCALES."""
        return np.concatenate([block.scaled(scale) for block in self.blocks], axis=1)

    def of_genes(self, gene_id) -> "Features":
        """The features of these genes, in their order; all of them must be here."""
        place = pd.Series(np.arange(len(self.gene_id)), self.gene_id)
        rows = place[gene_id].to_numpy()
        blocks = [replace(block, values=block.values[rows]) for block in self.blocks]
        return Features(self.gene_id[rows], blocks, self.meta)

    def complete(self) -> "Features":
        """The features of all genes of a genome, with the quantiles of every column."""
        return replace(self, blocks=[block.with_quantiles() for block in self.blocks], shard=None)

    def write(self, path: str | Path) -> None:
        """Write a zarr folder, in chunks of genes.

        Raises
        ------
        GeneqError
            The folder exists and contains something else.
        """
        import zarr

        path = Path(path)
        if path.is_dir() and any(path.iterdir()) and not (path / "zarr.json").exists():
            raise GeneqError(
                "The output folder contains other files", file=path, fix="Choose a new folder"
            )
        with atomic_path(path) as temporary:
            group = zarr.open_group(str(temporary), mode="w", zarr_format=3)
            for i, block in enumerate(self.blocks):
                _write_array(group, f"values{i}", block.values, self.CHUNK)
                if block.quantiles is not None:
                    _write_array(group, f"quantiles{i}", block.quantiles, len(block.quantiles))
            group.attrs.update(
                {
                    "format": FORMAT,
                    "version": VERSION,
                    "gene_id": [str(gene) for gene in self.gene_id],
                    "blocks": [
                        {"name": b.name, "classes": list(b.classes), "meta": plain(b.meta)}
                        for b in self.blocks
                    ],
                    "meta": plain(self.meta),
                    "shard": self.shard,
                }
            )

    @classmethod
    def read(cls, path: str | Path) -> "Features":
        """Read a zarr folder. Raises GeneqError when it has no features, or not all of them."""
        import zarr

        try:
            group = zarr.open_group(str(path), mode="r")
            attrs: dict[str, Any] = dict(group.attrs)
            check_format(attrs, "features", FORMAT, VERSION, path)
            blocks = [
                Block(
                    entry["name"],
                    _read_array(group, f"values{i}"),
                    entry["classes"],
                    entry["meta"],
                    _read_array(group, f"quantiles{i}") if f"quantiles{i}" in group else None,
                )
                for i, entry in enumerate(attrs["blocks"])
            ]
        # RuntimeError: a chunk that does not decompress.
        except (OSError, KeyError, ValueError, RuntimeError, zarr.errors.BaseZarrError) as error:
            raise GeneqError("Not a folder of features", value=str(error), file=path) from None
        stored = [a for b in blocks for a in (b.values, b.quantiles) if a is not None]
        if any(np.isnan(array).any() for array in stored):
            raise GeneqError("A part of the features is missing", file=path, fix="Make them again")
        gene_id, shard = np.array(attrs["gene_id"], dtype=object), attrs.get("shard")
        return cls(gene_id, blocks, attrs["meta"], shard and tuple(shard))

    @classmethod
    def join(cls, parts: list["Features"], paths: list) -> "Features":
        """Stack shards in the order given.

        Raises
        ------
        GeneqError
            Shards were made from different things, share genes, or one is missing.
        """
        first = parts[0]
        for part, path in zip(parts, paths, strict=True):
            if part.about != first.about:
                raise GeneqError("Shards must come from one oracle, window and genome", file=path)
        gene_id = np.concatenate([part.gene_id for part in parts])
        if len(set(gene_id)) != len(gene_id):
            raise GeneqError("Shards must not share genes", file=", ".join(map(str, paths)))
        shards = {part.shard for part in parts if part.shard}
        expected = {(i, n) for _, n in shards for i in range(1, n + 1)}
        if missing := ", ".join(f"{i}/{n}" for i, n in sorted(expected - shards)):
            raise GeneqError("Shards are missing", value=f"there is no {missing}",
                             file=", ".join(map(str, paths)))  # fmt: skip
        blocks = [
            replace(block, values=np.concatenate([part.blocks[i].values for part in parts]))
            for i, block in enumerate(first.blocks)
        ]
        return cls(gene_id, blocks, first.meta).complete()


def _write_array(group, name: str, values: np.ndarray, chunk: int) -> None:
    """NaN, which marks chunks that are missing, is no value."""
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=(max(1, min(len(values), chunk)), *values.shape[1:]),
        dtype="float32",
        fill_value=np.nan,
    )
    array[...] = values


def _read_array(group, name: str) -> np.ndarray:
    import zarr

    array = group[name]
    if not isinstance(array, zarr.Array):
        raise KeyError(f"{name} is no array")
    return np.asarray(array[...])


# --- normal scores ----------------------------------------------------------------------------


def quantiles(x: np.ndarray) -> np.ndarray:
    """Quantiles of every column at the probabilities Φ(SCORES).

    Parameters
    ----------
    x : ndarray of float32[n, columns]

    Returns
    -------
    ndarray of float32[columns, len(SCORES)]
        Not decreasing along a row.
    """
    found = np.zeros((x.shape[1], len(SCORES)), np.float32)
    if not len(x):
        return found
    place = ndtr(SCORES) * (len(x) - 1)
    low, high = np.floor(place).astype(int), np.ceil(place).astype(int)
    for start in range(0, x.shape[1], COLUMNS_AT_A_TIME):
        columns = slice(start, start + COLUMNS_AT_A_TIME)
        ordered = np.sort(x[:, columns].T, axis=1)
        below, above = ordered[:, low].astype(float), ordered[:, high].astype(float)
        found[columns] = below + (above - below) * (place - low)
    return found


def normal_scores(x: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Normal scores by rank, interpolated linearly between the quantiles of a column.

    Parameters
    ----------
    x : ndarray of float32[n, columns]
    quantiles : ndarray of float32[columns, len(SCORES)]

    Returns
    -------
    ndarray of float32[n, columns]
        In [-3, 3]. Where quantiles are equal their scores are averaged; a column with a single
        quantile scores 0.
    """
    scores = np.empty(x.shape, np.float32)
    for j, row in enumerate(quantiles):
        scores[:, j] = _curve(row)(x[:, j])
    return scores


def _curve(row: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The scores of a column's values."""
    places, first = np.unique(row, return_index=True)
    ends = pairwise([*first, len(row)])
    scores = np.array([SCORES[start:end].mean() for start, end in ends])
    if len(places) == 1:
        scores[:] = 0.0
    return lambda values: np.interp(values, places, scores)

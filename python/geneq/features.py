"""Features of genes, the inputs of networks and equations.

Features come in blocks: the scores of one oracle each, gene × bin × class, or a table of numbers
for each gene, which has a single bin. Oracles can stand side by side, each with bins of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr

from .artifacts import atomic_path, plain
from .binning import ANNOTATION
from .checks import check_format
from .errors import GeneqError
from .rows import Rows, Values

__all__ = [
    "SCALES", "SCORES", "Block", "Column", "Features", "normal_scores", "of_genome", "quantiles",
]  # fmt: skip

FORMAT, VERSION = "geneq-features", 2
# How columns can be scaled before networks and equations read them.
SCALES = ("raw", "normal")
# Normal scores at the quantiles that are stored for each column.
SCORES = np.linspace(-3, 3, 25)
# Columns that are sorted together, and values that are in memory for it: 8 MB.
COLUMNS_AT_A_TIME = 64
VALUES_AT_A_TIME = 2**21
# A chunk of a file has all bins of so many genes and an eighth of the classes: a gene or a class
# is read without most of the others.
GENES_OF_A_CHUNK, CLASSES_OF_A_CHUNK, CHUNKS_OF_CLASSES = 512, 8, 8


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
    values : ndarray of float32[gene, bin, class], or what is read from files in parts (`rows`)
    classes : list of str
    meta : dict
        hash; of an oracle: strands (both, split or null), window ([first, end) relative to the TSS,
        in nt on the gene's strand), bin_edges (the same unit, one more than bins; for promoters
        fractions of the length), tss_index (position of the TSS in the window), orientation, and
        where they apply tile (nt between the inputs of a model), classes_file (SHA-256 of the table
        of classes) and precision (if it is not float32); of a table: missing (column → genes of the
        genome without a value, which have its median).
    quantiles : ndarray of float32[bin, class, len(SCORES)], optional
        Of every column over all genes of the genome, see `quantiles`.
    precision_error : dict, optional
        What reduced precision does to the scores, see `oracles.trial.precision_error`. It is
        measured on the first genes of each shard; of joined shards, the largest.
    """

    name: str
    values: Values
    classes: list[str]
    meta: dict
    quantiles: np.ndarray | None = None
    precision_error: dict | None = None

    @property
    def is_table(self) -> bool:
        """Whether this is a table of gene features, not the scores of an oracle."""
        return "bin_edges" not in self.meta

    @property
    def flat(self) -> np.ndarray:
        """float32[gene, bin × class]."""
        n, bins, classes = self.values.shape
        return np.asarray(self.values[:]).reshape(n, bins * classes)

    def scaled(self, scale: str) -> np.ndarray:
        """float32[gene, bin × class]: the values as they are ("raw") or as normal scores."""
        if scale == "raw":
            return self.flat
        assert self.quantiles is not None, "quantiles are computed when features are complete"
        return normal_scores(self.flat, self.quantiles.reshape(-1, len(SCORES)))

    def with_quantiles(self) -> "Block":
        """The block with the quantiles of its columns; some classes are in memory at a time."""
        n, bins, classes = self.values.shape
        step = max(1, VALUES_AT_A_TIME // max(1, n * bins))
        found = []
        for start in range(0, classes, step):
            part = np.asarray(self.values[:, :, start : start + step])
            columns = bins * part.shape[2]
            found.append(quantiles(part.reshape(n, columns)).reshape(bins, -1, len(SCORES)))
        return replace(self, quantiles=np.concatenate(found, axis=1))


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
        """Write a zarr folder; what is in files is read a chunk of genes at a time.

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
                _write_array(group, f"values{i}", block.values)
                if block.quantiles is not None:
                    _write_array(group, f"quantiles{i}", block.quantiles)
            group.attrs.update(
                {
                    "format": FORMAT,
                    "version": VERSION,
                    "gene_id": [str(gene) for gene in self.gene_id],
                    "blocks": [_described(block) for block in self.blocks],
                    "meta": plain(self.meta),
                    "shard": self.shard,
                }
            )

    @classmethod
    def read(cls, path: str | Path) -> "Features":
        """Read a zarr folder. Raises GeneqError when it has no features, or not all of them."""
        features = cls.open(path)
        blocks = [replace(block, values=block.values[:]) for block in features.blocks]
        return replace(features, blocks=blocks)

    @classmethod
    def open(cls, path: str | Path) -> "Features":
        """Features whose values stay in the zarr folder until they are asked for; as `read`."""
        import zarr

        with _zarr_errors(path):
            group = zarr.open_group(str(path), mode="r")
            attrs: dict[str, Any] = dict(group.attrs)
            check_format(attrs, "features", FORMAT, VERSION, path)
            gene_id, shard = np.array(attrs["gene_id"], dtype=object), attrs.get("shard")
            blocks = [
                _stored_block(group, i, entry, len(gene_id), path)
                for i, entry in enumerate(attrs["blocks"])
            ]
            return cls(gene_id, blocks, attrs["meta"], shard and tuple(shard))

    @classmethod
    def join(cls, parts: list["Features"], paths: list) -> "Features":
        """Stack shards in the order given; values that are in files stay there.

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
            replace(
                block,
                values=Rows([part.blocks[i].values for part in parts]),
                precision_error=_largest([part.blocks[i].precision_error for part in parts]),
            )
            for i, block in enumerate(first.blocks)
        ]
        return cls(gene_id, blocks, first.meta).complete()


def of_genome(about: dict) -> dict:
    """What `Features.meta` has of a genome, from its genes.json."""
    meta = {"mode": about["mode"], "genome": about["digest"]}
    if about["mode"] != ANNOTATION:
        meta["promoter_choice"] = about["promoter_choice"]
    return meta


def _described(block: Block) -> dict:
    """A block in the attributes of the folder."""
    about = {"name": block.name, "classes": list(block.classes), "meta": plain(block.meta)}
    error = plain(block.precision_error)
    return about if error is None else {**about, "precision_error": error}


def _largest(errors: list[dict | None]) -> dict | None:
    """The largest error of shards, in number of standard deviations."""
    known = [error for error in errors if error is not None]
    return max(known, key=lambda error: error["rms"] or 0) if known else None


def _write_array(group, name: str, values: Values) -> None:
    """NaN, which marks chunks that are missing, is no value."""
    rows, middle, last = values.shape
    classes = max(CLASSES_OF_A_CHUNK, -(-last // CHUNKS_OF_CLASSES))
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=(max(1, min(rows, GENES_OF_A_CHUNK)), middle, max(1, min(last, classes))),
        dtype="float32",
        fill_value=np.nan,
    )
    for start in range(0, rows, GENES_OF_A_CHUNK):
        array[start : start + GENES_OF_A_CHUNK] = values[start : start + GENES_OF_A_CHUNK]


def _stored_block(group, i: int, entry: dict, n_genes: int, path: str | Path) -> Block:
    classes, meta = entry["classes"], entry["meta"]
    bins = len(meta["bin_edges"]) - 1 if "bin_edges" in meta else 1
    values = _Stored(group, f"values{i}", path, (n_genes, bins, len(classes)))
    quantiles = None
    if f"quantiles{i}" in group:
        shape = (bins, len(classes), len(SCORES))
        quantiles = _Stored(group, f"quantiles{i}", path, shape)[:]
    return Block(entry["name"], values, classes, meta, quantiles, entry.get("precision_error"))


class _Stored:
    """An array in a folder of features. Reading a part raises GeneqError if it is missing."""

    def __init__(self, group, name: str, path: str | Path, shape: tuple[int, int, int]):
        import zarr

        self._array, self._path = group[name], path
        if not isinstance(self._array, zarr.Array):
            raise KeyError(f"{name} is no array")
        if self._array.shape != shape or self._array.dtype != np.float32:
            found = f"{self._array.dtype} of shape {self._array.shape}"
            raise ValueError(f"{name} must be float32 of shape {shape}, not {found}")
        self.shape = shape

    def __getitem__(self, key: Any, /) -> np.ndarray:
        with _zarr_errors(self._path):
            found = np.asarray(self._array[key])
        # The least is NaN where a value is; an array of booleans would take memory.
        if found.size and np.isnan(found.min()):
            raise GeneqError("A part of the features is missing", file=self._path,
                             fix="Make them again")  # fmt: skip
        return found


@contextmanager
def _zarr_errors(path: str | Path) -> Iterator[None]:
    """Turn what zarr raises while it reads the folder at `path` into GeneqError."""
    import zarr

    try:
        yield
    # RuntimeError: a chunk that does not decompress.
    except (OSError, KeyError, ValueError, RuntimeError, zarr.errors.BaseZarrError) as error:
        raise GeneqError("Not a folder of features", value=str(error), file=path) from None


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

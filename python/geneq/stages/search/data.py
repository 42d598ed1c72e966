"""What a search learns from: genes with features and expression."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ... import folds, leakage
from ...artifacts import EXPRESSION, GENES, read_object
from ...errors import GeneqError
from ...features import SCALES, Features

__all__ = ["Data", "load_data"]


@dataclass(frozen=True)
class Data:
    """Genes that have features and expression, in the order of the gene table.

    genes: the gene table with `oracle`, whether an oracle was trained on the gene's chromosome.
    y: float64[genes, cell types], log2(CPM + 1), NaN where a gene is not in the file.
    weight: float32[cell types], reliability as the weight of a head, mean 1.
    ceilings: cell type → square root of the reliability, or None.
    """

    dataset: str
    genes: pd.DataFrame
    features: Features
    y: np.ndarray
    cell_types: list[str]
    weight: np.ndarray
    ceilings: dict[str, float | None]
    test_fold: int | None

    def rows(self, *splits: str) -> np.ndarray:
        return np.flatnonzero(self.genes["split"].isin(splits))

    def long(self, **columns: np.ndarray) -> pd.DataFrame:
        """`columns`, each [genes, cell types], as long rows by gene and cell type."""
        genes = self.genes[["gene_id", "fold", "split", "oracle"]]
        parts = [
            genes.assign(cell_type=cell_type, **{name: v[:, j] for name, v in columns.items()})
            for j, cell_type in enumerate(self.cell_types)
        ]
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """Every column by scale, float32[genes, columns]; see `Features.matrix`."""
        return {scale: self.features.matrix(scale) for scale in SCALES}

    @cached_property
    def digest(self) -> str:
        """A digest of everything that the search learns from."""
        found = hashlib.sha256()
        known = self.rows("train", "valid")
        columns = (values[known] for values in self.columns.values())
        for array in (*columns, self.y[known], self.weight):
            found.update(np.ascontiguousarray(array).data)
        # Poolings read the bins' distances from the TSS.
        found.update(json.dumps(self.features.about, sort_keys=True).encode())
        found.update("\0".join(self.genes["split"] + self.genes["fold"].astype(str)).encode())
        return found.hexdigest()


def load_data(features_path, expression_folder, genes_path, test_fold: int | None) -> Data:
    """Read and align the inputs. Raises GeneqError when too few genes are left to learn from."""
    features = Features.read(features_path)
    expression = EXPRESSION.read(Path(expression_folder) / "expression.parquet")
    about = read_object(Path(expression_folder) / "expression.json")
    genes = GENES.read(genes_path)
    genes = genes.assign(oracle=leakage.of_genes(features.blocks, genes["chrom"]))
    genes = folds.for_run(genes, test_fold)
    wide = expression.pivot(index="gene_id", columns="cell_type", values="log2cpm")
    cell_types = [entry["cell_type"] for entry in about["cell_types"]]
    genes = genes[genes["gene_id"].isin(features.gene_id) & genes["gene_id"].isin(wide.index)]
    genes = genes.reset_index(drop=True)
    _check_enough(genes, expression_folder)
    features = features.of_genes(genes["gene_id"])
    y = wide.loc[genes["gene_id"], cell_types].to_numpy()
    weight = np.array([entry["reliability"] or 0 for entry in about["cell_types"]], np.float32)
    weight = np.clip(np.nan_to_num(weight), 0.05, 1)
    ceilings = {entry["cell_type"]: entry["ceiling"] for entry in about["cell_types"]}
    weight /= weight.mean()
    return Data(about["dataset"], genes, features, y, cell_types, weight, ceilings, test_fold)


def _check_enough(genes: pd.DataFrame, file) -> None:
    counts = {split: int((genes["split"] == split).sum()) for split in ("train", "valid", "test")}
    if counts["train"] < 20 or counts["valid"] < 3 or counts["test"] < 3:
        raise GeneqError(
            "Too few genes have both DNA and expression: at least 20 training, 3 validation and "
            "3 test genes are needed",
            value=counts,
            file=file,
            fix="Check that the data set's genes are those of the genome, or choose other "
            "chromosomes for validation and test",
        )

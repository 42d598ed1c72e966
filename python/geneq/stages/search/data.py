"""What a search learns from: genes with features and expression."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ... import folds, leakage
from ...artifacts import ABSOLUTE, EXPRESSION, GENES, SPECIFIC, read_object
from ...distill.cell_type import LEAST_GENES, are_enough
from ...errors import GeneqError
from ...evaluation import specific_ceilings
from ...features import SCALES, Features

__all__ = ["Data", "load_data"]


@dataclass(frozen=True)
class Data:
    """Genes that have features and expression, in the order of the gene table.

    genes: the gene table with `oracle`, whether an oracle was trained on the gene's chromosome.
    y: float64[genes, heads], log2(CPM + 1) of every cell type, NaN where a gene is not in the file;
    then, where these are targets, too, each minus the gene's mean over cell types.
    weight: float32[heads], reliability as the weight of a head, mean 1.
    ceilings: target → cell type → square root of the reliability, or None.
    """

    dataset: str
    genes: pd.DataFrame
    features: Features
    y: np.ndarray
    cell_types: list[str]
    weight: np.ndarray
    ceilings: dict[str, dict[str, float | None]]
    test_fold: int | None

    def rows(self, *splits: str) -> np.ndarray:
        return np.flatnonzero(self.genes["split"].isin(splits))

    @property
    def targets(self) -> dict[str, slice]:
        """Target → the heads that predict it, in the order of the cell types."""
        n = len(self.cell_types)
        return {target: slice(i * n, (i + 1) * n) for i, target in enumerate(self.ceilings)}

    def long(self, heads: slice, **columns: np.ndarray) -> pd.DataFrame:
        """These heads of `columns`, each [genes, heads], as long rows by gene and cell type."""
        genes = self.genes[["gene_id", "fold", "split", "oracle"]]
        parts = [
            genes.assign(cell_type=cell_type, **{name: v[:, j] for name, v in columns.items()})
            for j, cell_type in enumerate(self.cell_types, heads.start)
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


def load_data(
    features_path, expression_folder, genes_path, test_fold: int | None, target: str = ABSOLUTE
) -> Data:
    """Read and align the inputs.

    Raises GeneqError when too few genes are left to learn from, or for a specific target too few
    cell types.
    """
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
    wide = wide.loc[genes["gene_id"], cell_types]
    y, reliability = wide.to_numpy(), [entry["reliability"] or 0 for entry in about["cell_types"]]
    ceilings = {ABSOLUTE: {entry["cell_type"]: entry["ceiling"] for entry in about["cell_types"]}}
    if target == SPECIFIC:
        specific = _minus_mean(y, expression_folder)
        _check_specific(specific, genes, cell_types, expression_folder)
        y = np.concatenate([y, specific], axis=1)
        found = _specific_ceilings(wide, ceilings[ABSOLUTE])
        ceilings[SPECIFIC] = found
        reliability += [(found[name] or 0) ** 2 for name in cell_types]
    weight = np.clip(np.nan_to_num(np.array(reliability, np.float32)), 0.05, 1)
    weight /= weight.mean()
    return Data(about["dataset"], genes, features, y, cell_types, weight, ceilings, test_fold)


def _minus_mean(y: np.ndarray, file) -> np.ndarray:
    """Expression minus the gene's mean over the cell types in which it is measured, float64[genes,
    cell types]; NaN for genes that are measured in one cell type."""
    if y.shape[1] < 2:
        raise GeneqError(
            f"--target {SPECIFIC} needs at least two cell types",
            value=y.shape[1],
            file=file,
            fix=f"Use --target {ABSOLUTE}",
        )
    known = np.isfinite(y)
    n = known.sum(1, keepdims=True)
    mean = np.where(known, y, 0).sum(1, keepdims=True) / np.maximum(n, 1)
    return np.where(n > 1, y - mean, np.nan)


def _check_specific(specific: np.ndarray, genes: pd.DataFrame, cell_types: list[str], file) -> None:
    """Raises GeneqError where no equation could be distilled of a cell type; specific:
    float64[genes, cell types]."""
    known = (genes["split"] != "test").to_numpy()
    for name, column in zip(cell_types, specific.T, strict=True):
        some = genes[known & np.isfinite(column)]
        if not are_enough(some):
            raise GeneqError(
                f"--target {SPECIFIC} needs in every cell type at least {LEAST_GENES} training and "
                "validation genes, in two folds or more, that are measured in another, too",
                value=f"{name}: {len(some)}",
                file=file,
                fix=f"Drop the cell type, or use --target {ABSOLUTE}",
            )


def _specific_ceilings(wide: pd.DataFrame, ceilings: dict[str, float | None]) -> dict:
    """Cell type → ceiling of specific expression, None where it is unknown; wide: log2(CPM + 1) by
    gene and cell type."""
    rows = wide.melt(var_name="cell_type", value_name="measured", ignore_index=False).reset_index()
    known = {name: ceiling for name, ceiling in ceilings.items() if ceiling is not None}
    found = specific_ceilings(rows, known)
    return {name: found.get(name) for name in wide.columns}


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

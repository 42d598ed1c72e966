"""What a report is made from, read and checked."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ...artifacts import (
    EQUATIONS,
    GENES,
    PREDICTIONS,
    SHARED,
    SPECIFIC,
    TRIALS,
    of_target,
    read_object,
)  # fmt: skip
from ...equations import Equation
from ...errors import GeneqError
from ...evaluation import BASELINES, Comparison, compare, gene_blocks, metrics, pool_cv
from ...model_sizes import with_sizes
from ...stability import read_stability
from .models import model_table, read_sizes, shap_view
from .shared import Shared, costs

FEW_GENES, FEW_TEST_GENES = 200, 50


@dataclass(frozen=True)
class Inputs:
    """The outputs of the stages before, of one data set.

    genes, expression: the documents genes.json and expression.json; teacher: what teacher.json says
    of the search; documents: the equations/<n>.json in order, faithful: those of faithful/<n>.json,
    specific: those of specific expression, or none;
    metrics: METRICS, rows of the split "cv" first where there are any; comparison: of the equations
    with the best baseline, by those rows; models: a row for each of them, by the same rows, see
    `model_table`; shap: see `shap_view`; stability: its documents in the order of the equations,
    or none; shared: the shared expression, None without --shared; table and frame contents as in
    artifacts.
    """

    dataset: str
    genes: dict
    gene_table: pd.DataFrame
    expression: dict
    teacher: dict
    trials: pd.DataFrame
    fronts: pd.DataFrame
    documents: list[dict]
    faithful: list[dict]
    specific: list[dict]
    predictions: pd.DataFrame
    metrics: pd.DataFrame
    comparison: Comparison | None
    models: list[dict]
    shap: list[dict]
    stability: list[dict]
    shared: Shared | None

    @cached_property
    def split_sizes(self) -> dict[str, int]:
        """Number of genes with predictions by split."""
        per_gene = self.predictions.drop_duplicates("gene_id")["split"].value_counts()
        return {split: int(per_gene.get(split, 0)) for split in ("train", "valid", "test")}

    @property
    def cell_types(self) -> list[str]:
        """In the order of the equations."""
        return [document["cell_type"] for document in self.documents]

    @property
    def few_genes(self) -> bool:
        """Too few for conclusions about other genes."""
        sizes = self.split_sizes
        return sizes["train"] + sizes["test"] < FEW_GENES or sizes["test"] < FEW_TEST_GENES

    def test_rows(self, cell_type: str) -> pd.DataFrame:
        rows = self.predictions
        return rows[(rows["cell_type"] == cell_type) & (rows["split"] == "test")]

    def about(self, cell_type: str) -> dict:
        """The entry of expression.json for a cell type."""
        types = self.expression["cell_types"]
        return next((item for item in types if item["cell_type"] == cell_type), {})


def read(
    dataset: str, genes: Path, expression_folder: Path, search: Path, distill: Path,
    cv: list[Path], stability: Path | None,
) -> Inputs:  # fmt: skip
    """Read the folders that the stages wrote. Raises GeneqError where they do not fit together.

    cv: folders of distill with each fold once as test, or none.
    """
    expression = read_object(expression_folder / "expression.json")
    if expression["dataset"] != dataset:
        raise GeneqError(
            f"The expression is not that of the data set {dataset!r}",
            value=expression["dataset"],
            file=expression_folder / "expression.json",
        )
    predictions = PREDICTIONS.read(distill / "predictions.parquet")
    ceilings = {
        item["cell_type"]: np.nan if item.get("ceiling") is None else float(item["ceiling"])
        for item in expression["cell_types"]
    }
    sizes, part = read_sizes(distill, cv), "cv" if cv else "test"
    tables = [with_sizes(metrics(predictions, ceilings, "test"), sizes["test"])]
    tested = predictions.query("split == 'test'")
    if cv:
        tested = pool_cv([PREDICTIONS.read(folder / "predictions.parquet") for folder in cv])
        tables.insert(0, with_sizes(metrics(tested, ceilings, "cv"), sizes["cv"]))
    teacher = read_object(search / "teacher.json")["about"]
    specific = []
    if teacher.get("specific_ceilings"):
        specific = read_documents(specific_folder(distill) / "equations", dataset)
        tables += specific_metrics(teacher["specific_ceilings"], distill, cv)
    gene_table = GENES.read(genes / "genes.parquet")
    blocks = gene_blocks(gene_table)
    documents = read_documents(distill / "equations", dataset)
    return Inputs(
        dataset=dataset,
        genes=read_object(genes / "genes.json"),
        gene_table=gene_table,
        expression=expression,
        teacher=teacher,
        trials=TRIALS.read(search / "trials.parquet"),
        fronts=EQUATIONS.read(distill / "equations.parquet"),
        documents=documents,
        faithful=read_documents(distill / "faithful", dataset),
        specific=specific,
        predictions=predictions,
        metrics=pd.concat(tables, ignore_index=True),
        comparison=compare(tested, blocks, "equation", BASELINES),
        models=model_table(tested, blocks, sizes[part]),
        shap=shap_view(distill, documents),
        stability=read_stability(stability, documents) if stability else [],
        shared=_shared(distill, dataset, tested, blocks) if "shared" in predictions else None,
    )


def specific_metrics(ceilings: dict, distill: Path, cv: list[Path]) -> list[pd.DataFrame]:
    """Tables METRICS of models of specific expression, that of cross-validation first."""

    def predictions(folder: Path) -> pd.DataFrame:
        return PREDICTIONS.read(specific_folder(folder) / "predictions.parquet")

    tables = [metrics(predictions(distill), ceilings, "test", SPECIFIC)]
    if cv:
        pooled = pool_cv([predictions(folder) for folder in cv])
        tables.insert(0, metrics(pooled, ceilings, "cv", SPECIFIC))
    return tables


def specific_folder(distill: Path) -> Path:
    """The specific equations of distill. Raises GeneqError where it has none."""
    folder = of_target(distill, SPECIFIC)
    if not (folder / "equations").is_dir():
        raise GeneqError(
            "The search predicts specific expression, and the folder of distill has no equations "
            "of it",
            file=distill,
            fix="Give folders of `geneq distill` of a search with --target specific",
        )
    return folder


def _shared(distill: Path, dataset: str, tested: pd.DataFrame, blocks: pd.Series) -> Shared:
    documents = read_documents(distill / "shared", dataset)
    return Shared(documents, SHARED.read(distill / "shared.parquet"), costs(tested, blocks))


def read_documents(folder: Path, dataset: str) -> list[dict]:
    """The equations/<n>.json of a folder by number, each of the data set `dataset`."""
    paths = sorted(folder.glob("*.json"), key=lambda path: (len(path.stem), path.stem))
    if not paths:
        raise GeneqError("No equations (<n>.json) in the folder", file=folder)
    documents = [Equation.load(path).document for path in paths]
    for document, path in zip(documents, paths, strict=True):
        if document["dataset"] != dataset:
            raise GeneqError(
                f"The equation is not of the data set {dataset!r}",
                value=document["dataset"],
                file=path,
            )
    return documents

"""How well planted equations were recovered (simulated data only)."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...artifacts import read_parquet
from ...equations import class_shares, used_variables
from ...errors import GeneqError
from ...evaluation import pearson
from .inputs import Inputs

NEEDED_R = 0.95


@dataclass(frozen=True)
class Recovery:
    """rows: recovery.json, one per cell type; terms: cell type → planted terms; values: gene_id,
    cell_type, truth, equation of test genes."""

    rows: list[dict]
    terms: dict[str, list[dict]]
    values: pd.DataFrame


def recover(inputs: Inputs, path: Path) -> Recovery:
    """Hold the equations against the noiseless truth at `path` (truth.parquet of simulate).

    Recovered is an equation whose r with the truth on test genes is at least 0.95 and whose
    variables include every planted class; for a type without signal, that none is selected.
    """
    truth, planted = _read(path, inputs.dataset)
    test = inputs.predictions[inputs.predictions["split"] == "test"]
    columns = ["gene_id", "cell_type", "equation"]
    values = test[columns].merge(truth, on=["gene_id", "cell_type"])
    rows = [
        _row(document, planted[document["cell_type"]]["classes"], values)
        for document in inputs.documents
        if document["cell_type"] in planted
    ]
    terms = {cell_type: item["terms"] for cell_type, item in planted.items()}
    return Recovery(rows, terms, values)


def _row(document: dict, planted: list[str], values: pd.DataFrame) -> dict:
    values = values[values["cell_type"] == document["cell_type"]]
    used = used_variables(document) if document["selected"] else []
    found = sorted({name for variable in used for _, name in class_shares(variable)})
    r = pearson(values["equation"].to_numpy(), values["truth"].to_numpy())[0] if planted else None
    if r is None:
        right = not document["selected"]
    else:
        right = bool(r >= NEEDED_R) and set(planted) <= set(found)
    return {
        "dataset": document["dataset"],
        "cell_type": document["cell_type"],
        "r_truth": r,
        "planted": sorted(planted),
        "found": found,
        "equation": document["infix"] if document["selected"] else None,
        "recovered": right,
    }


def _read(path: Path, dataset: str) -> tuple[pd.DataFrame, dict[str, dict]]:
    """The truth of one data set, and cell type → what was planted."""
    table = read_parquet(path)
    about = (table.schema.metadata or {}).get(b"planted")
    if about is None:
        raise GeneqError("The truth file has no planted equations", file=path)
    truth = table.to_pandas()
    truth = truth.loc[truth["dataset"] == dataset, ["gene_id", "cell_type", "truth"]]
    planted = {p["cell_type"]: p for p in json.loads(about) if p["dataset"] == dataset}
    if truth.empty:
        raise GeneqError(f"The truth file has no data set {dataset!r}", file=path)
    return truth, planted

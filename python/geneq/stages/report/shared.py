"""The shared expression: its terms by cell type, and what sharing costs."""

from dataclasses import dataclass

import pandas as pd

from ...artifacts import TARGETS
from ...evaluation import Comparison, compare, specific
from ...plots import mathml

__all__ = ["Shared", "costs", "shared_view"]

# Models whose r are side by side.
MODELS = ("shared", "equation")
# A coefficient closer to 0 than so many standard errors is not coloured.
LEAST_Z = 2.0


@dataclass(frozen=True)
class Shared:
    """documents: shared/<n>.json in order; terms: SHARED; costs: kind of r → shared equations
    against single ones on the same genes, over the cell types that have both."""

    documents: list[dict]
    terms: pd.DataFrame
    costs: dict[str, Comparison]


def costs(rows: pd.DataFrame, blocks: pd.Series) -> dict[str, Comparison]:
    """What sharing costs in r, by kind; rows, blocks: as in `evaluation.compare`."""
    if not {*MODELS} <= {*rows}:
        return {}
    models = list(MODELS)
    varies = rows.groupby("cell_type")[models].transform("std") > 1e-9
    rows = rows[varies.all(axis=1)]
    kinds = {"absolute": rows, "specific": specific(rows, ["measured", *models])}
    found = {kind: compare(values, blocks, MODELS[0], MODELS[1:]) for kind, values in kinds.items()}
    return {kind: comparison for kind, comparison in found.items() if comparison}


def shared_view(shared: Shared, metrics: pd.DataFrame) -> dict:
    """The values of report/shared.html.j2. metrics: METRICS of one split."""
    selected = [document for document in shared.documents if document["selected"]]
    unselected = [document for document in shared.documents if not document["selected"]]
    metrics = metrics[metrics["against"] == "expression"]
    r = {(row.cell_type, row.kind, row.model): row for row in metrics.itertuples()}
    return {
        "document": selected[0] if selected else None,
        "equation": mathml.equation(selected[0], numbers=False) if selected else None,
        "terms": _heads(shared.terms, selected[0]) if selected else [],
        "rows": [(d["cell_type"], _cells(shared.terms, d["cell_type"])) for d in selected],
        "largest": shared.terms["effect"].abs().max() or 1.0,
        "unselected": [(d["cell_type"], d["fit"]["reason"]) for d in unselected],
        "kinds": [kind for kind in TARGETS if kind in set(metrics["kind"])],
        "models": MODELS,
        "r": r,
        "costs": shared.costs,
    }


def _heads(terms: pd.DataFrame, document: dict) -> list:
    """The terms, typeset, in the order of their places."""
    texts = terms.drop_duplicates("place").sort_values("place")["term"]
    return [mathml.expression(text, document) for text in texts]


def _cells(terms: pd.DataFrame, cell_type: str) -> list[dict]:
    rows = terms[terms["cell_type"] == cell_type].sort_values("place")
    return [
        {**row, "certain": abs(row["coefficient"]) >= LEAST_Z * row["se"]}
        for row in rows.to_dict("records")
    ]
